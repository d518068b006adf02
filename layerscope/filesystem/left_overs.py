"""Folders that package managers and builds leave behind, and how to avoid them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from layerscope.filesystem.changeset import Int8
from layerscope.filesystem.tree import PathTree

_OWN_RUN = "in the RUN that makes them"


@dataclass(frozen=True, slots=True)
class LeftOver:
    """A kind of folder whose content no container needs."""

    name: str  # A description of its content.
    path: str  # An expression that matches the whole path, without a leading slash.
    remedy: str  # How to avoid it, as a sentence.
    #: Whether a package manager or a build fills it for its own use, so that the remedy does not
    #: depend on the layer that hides it.
    cache: bool = True
    mixed: bool = False  # Whether files in it may be of other kinds.


def _mount(folder: str) -> str:
    return f"RUN --mount=type=cache,target={folder}"


#: The first match wins, for the highest folder that matches. Within a cache, only earlier kinds
#: match.
KINDS: tuple[LeftOver, ...] = (
    LeftOver(
        "apt package lists",
        r"var/lib/apt/lists",
        f"Remove them {_OWN_RUN}: rm -rf /var/lib/apt/lists/*, or {_mount('/var/lib/apt')}.",
    ),
    LeftOver(
        "caches of apt's package lists",
        r"var/cache/apt/(?:src)?pkgcache\.bin",
        f"Remove them {_OWN_RUN}: apt-get clean, or {_mount('/var/cache/apt')}.",
    ),
    LeftOver(
        "apt packages",
        r"var/cache/apt",
        f"Remove them {_OWN_RUN}: apt-get clean, or {_mount('/var/cache/apt')}.",
        mixed=True,
    ),
    LeftOver(
        "debconf's cache", r"var/cache/debconf", f"Remove it {_OWN_RUN.replace('them', 'it')}."
    ),
    LeftOver(
        "apk package lists",
        r"(?:var/cache/apk|etc/apk/cache)/APKINDEX[^/]*",
        "Use apk add --no-cache.",
    ),
    LeftOver("apk packages", r"var/cache/apk|etc/apk/cache", "Use apk add --no-cache.", mixed=True),
    LeftOver(
        "dnf and yum caches",
        r"var/cache/(?:dnf|yum|libdnf5|PackageKit)|var/lib/dnf/repos",
        f"Remove them {_OWN_RUN}: dnf clean all, or {_mount('/var/cache/dnf')}.",
    ),
    LeftOver("zypper caches", r"var/cache/zypp", f"Remove them {_OWN_RUN}: zypper clean --all."),
    LeftOver("pacman packages", r"var/cache/pacman", f"Remove them {_OWN_RUN}: pacman -Scc."),
    LeftOver(
        "pip cache",
        r"(?:.*/)?\.cache/pip",
        f"Use pip install --no-cache-dir, or {_mount('/root/.cache/pip')}.",
    ),
    LeftOver(
        "Python package caches",
        r"(?:.*/)?\.cache/(?:uv|pypoetry|pipenv|pdm)",
        f"Use {_mount('/root/.cache')}, or remove them {_OWN_RUN}.",
    ),
    LeftOver(
        "npm cache",
        r"(?:.*/)?\.npm(?:/_cacache)?",
        f"Use {_mount('/root/.npm')}, or npm cache clean --force {_OWN_RUN}.",
    ),
    LeftOver(
        "yarn and pnpm caches",
        r"(?:.*/)?\.cache/(?:yarn|pnpm)|(?:.*/)?\.local/share/pnpm/store",
        f"Use {_mount('/root/.cache')}, or remove them {_OWN_RUN}.",
    ),
    LeftOver(
        "Go caches",
        r"(?:.*/)?\.cache/go-build|(?:.*/)?go/pkg/mod",
        f"Use {_mount('/root/.cache/go-build')}, or build in a stage of its own.",
    ),
    LeftOver(
        "Cargo caches",
        r"(?:.*/)?\.?cargo/(?:registry|git)",
        f"Use {_mount('/usr/local/cargo/registry')}, or build in a stage of its own.",
    ),
    LeftOver(
        "Maven and Gradle caches",
        r"(?:.*/)?\.m2/repository|(?:.*/)?\.gradle/caches",
        f"Use {_mount('/root/.m2')}, or build in a stage of its own.",
    ),
    LeftOver(
        "gem caches",
        r"(?:.*/)?(?:bundle|ruby/(?:gems/)?[^/]+|gems/[0-9][^/]*)/cache",
        f"Remove them {_OWN_RUN}: rm -rf the cache folder, or {_mount('/usr/local/bundle/cache')}.",
    ),
    LeftOver(
        "Composer cache",
        r"(?:.*/)?\.(?:composer/cache|cache/composer)",
        f"Use composer --no-cache, or {_mount('/root/.composer')}.",
    ),
    LeftOver(
        "conda packages",
        r"(?:.*/)?(?:mini|ana|micro)?(?:conda|forge|mamba)3?/pkgs",
        f"Remove them {_OWN_RUN}: conda clean --all.",
    ),
    LeftOver("caches", r"var/cache", f"Remove them {_OWN_RUN}.", cache=False),
    LeftOver("caches", r"(?:root|home/[^/]+)/\.cache", f"Remove them {_OWN_RUN}.", cache=False),
    LeftOver(
        "compiled Python",
        r"(?:.*/)?__pycache__",
        "Set PYTHONDONTWRITEBYTECODE=1, and use pip install --no-compile; "
        "then programs start a little slower.",
        cache=False,
    ),
    LeftOver(
        "documentation",
        r"usr/(?:local/)?share/(?:doc|man|info|gtk-doc|help)",
        "Have dpkg leave it out (path-exclude in /etc/dpkg/dpkg.cfg.d), or dnf: "
        "--setopt=tsflags=nodocs.",
        cache=False,
    ),
    LeftOver(
        "translations",
        r"usr/(?:local/)?share/locale",
        "Have dpkg leave them out: path-exclude=/usr/share/locale/* in /etc/dpkg/dpkg.cfg.d.",
        cache=False,
    ),
    LeftOver("temporary files", r"(?:var/)?tmp", f"Remove them {_OWN_RUN}.", cache=False),
    LeftOver("logs", r"var/log", f"Remove them {_OWN_RUN}.", cache=False),
    LeftOver(
        "a Git repository",
        r"(?:.*/)?\.git",
        "Name .git in .dockerignore, or copy only what is needed.",
        cache=False,
    ),
)

#: All kinds in one pattern, with a group for each.
_ANY_KIND = re.compile("|".join(f"({kind.path})" for kind in KINDS).encode(), re.DOTALL)

#: Names of all folders that a kind may match.
_LEAVES = frozenset(
    b"lists apt debconf apk cache dnf yum libdnf5 PackageKit repos zypp pacman pip uv pypoetry "
    b"pipenv pdm .npm _cacache yarn pnpm store go-build mod registry git repository caches "
    b"composer pkgs .cache __pycache__ doc man info gtk-doc help locale tmp log .git".split()
)


def find_left_overs(tree: PathTree) -> Int8:
    """For each node of a tree, the index in `KINDS` of its kind; -1 for all others."""
    kinds = np.full(len(tree), -1, np.int8)
    ends = tree.ends

    def look(node: int, path: bytes) -> None:
        above = int(kinds[node])
        before = above if above >= 0 and KINDS[above].cache else len(KINDS)
        found = _ANY_KIND.fullmatch(path)
        place = None if found is None else found.lastindex
        if place is not None and place <= before:
            kinds[node : ends[node]] = place - 1

    folders = np.flatnonzero(ends > np.arange(len(tree)) + 1).tolist()
    for folder, path in zip(folders, tree.paths(folders), strict=True):
        if path.rpartition(b"/")[2] not in _LEAVES:
            continue
        look(folder, path)
        if kinds[folder] >= 0 and KINDS[kinds[folder]].mixed:
            children = tree.children(folder)
            for node, name in zip(children, tree.paths(children), strict=True):
                look(node, name)
    return kinds
