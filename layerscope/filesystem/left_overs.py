"""Folders that package managers and builds leave behind, and how to leave them out."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerscope.filesystem.tree import PathTree

_OWN_RUN = "in the RUN that makes them"


@dataclass(frozen=True, slots=True)
class LeftOver:
    """A kind of folder whose content no container needs.

    Attributes:
        name: What is in it, in words.
        path: Matches the folder's whole path, without leading slash.
        remedy: How to leave it out, as a sentence.
        cache: Whether a package manager or a build makes it for itself, so that whatever layer
            hides it, the remedy stays the same.
    """

    name: str
    path: re.Pattern[bytes]
    remedy: str
    cache: bool = True


def _kind(name: str, path: str, remedy: str, *, cache: bool = True) -> LeftOver:
    return LeftOver(name, re.compile(path.encode(), re.DOTALL), remedy, cache)


def _mount(folder: str) -> str:
    return f"RUN --mount=type=cache,target={folder}"


#: The first that matches counts, and the highest folder that one matches.
KINDS: tuple[LeftOver, ...] = (
    _kind(
        "apt package lists",
        r"var/lib/apt/lists",
        f"Remove them {_OWN_RUN}: rm -rf /var/lib/apt/lists/*, or {_mount('/var/lib/apt')}.",
    ),
    _kind(
        "apt packages",
        r"var/cache/apt",
        f"Remove them {_OWN_RUN}: apt-get clean, or {_mount('/var/cache/apt')}.",
    ),
    _kind("debconf's cache", r"var/cache/debconf", f"Remove it {_OWN_RUN.replace('them', 'it')}."),
    _kind("apk packages", r"var/cache/apk|etc/apk/cache", "Use apk add --no-cache."),
    _kind(
        "dnf and yum caches",
        r"var/cache/(?:dnf|yum|libdnf5|PackageKit)|var/lib/dnf/repos",
        f"Remove them {_OWN_RUN}: dnf clean all, or {_mount('/var/cache/dnf')}.",
    ),
    _kind("zypper caches", r"var/cache/zypp", f"Remove them {_OWN_RUN}: zypper clean --all."),
    _kind("pacman packages", r"var/cache/pacman", f"Remove them {_OWN_RUN}: pacman -Scc."),
    _kind(
        "pip cache",
        r"(?:.*/)?\.cache/pip",
        f"Use pip install --no-cache-dir, or {_mount('/root/.cache/pip')}.",
    ),
    _kind(
        "Python package caches",
        r"(?:.*/)?\.cache/(?:uv|pypoetry|pipenv|pdm)",
        f"Use {_mount('/root/.cache')}, or remove them {_OWN_RUN}.",
    ),
    _kind(
        "npm cache",
        r"(?:.*/)?\.npm(?:/_cacache)?",
        f"Use {_mount('/root/.npm')}, or npm cache clean --force {_OWN_RUN}.",
    ),
    _kind(
        "yarn and pnpm caches",
        r"(?:.*/)?\.cache/(?:yarn|pnpm)|(?:.*/)?\.local/share/pnpm/store",
        f"Use {_mount('/root/.cache')}, or remove them {_OWN_RUN}.",
    ),
    _kind(
        "Go caches",
        r"(?:.*/)?\.cache/go-build|(?:.*/)?go/pkg/mod",
        f"Use {_mount('/root/.cache/go-build')}, or build in a stage of its own.",
    ),
    _kind(
        "Cargo caches",
        r"(?:.*/)?\.?cargo/(?:registry|git)",
        f"Use {_mount('/usr/local/cargo/registry')}, or build in a stage of its own.",
    ),
    _kind(
        "Maven and Gradle caches",
        r"(?:.*/)?\.m2/repository|(?:.*/)?\.gradle/caches",
        f"Use {_mount('/root/.m2')}, or build in a stage of its own.",
    ),
    _kind(
        "gem caches",
        r"(?:.*/)?(?:bundle|ruby/(?:gems/)?[^/]+|gems/[0-9][^/]*)/cache",
        f"Remove them {_OWN_RUN}: rm -rf the cache folder, or {_mount('/usr/local/bundle/cache')}.",
    ),
    _kind(
        "Composer cache",
        r"(?:.*/)?\.(?:composer/cache|cache/composer)",
        f"Use composer --no-cache, or {_mount('/root/.composer')}.",
    ),
    _kind(
        "conda packages",
        r"(?:.*/)?(?:mini|ana|micro)?(?:conda|forge|mamba)3?/pkgs",
        f"Remove them {_OWN_RUN}: conda clean --all.",
    ),
    _kind("caches", r"var/cache", f"Remove them {_OWN_RUN}.", cache=False),
    _kind("caches", r"(?:root|home/[^/]+)/\.cache", f"Remove them {_OWN_RUN}.", cache=False),
    _kind(
        "compiled Python",
        r"(?:.*/)?__pycache__",
        "Set PYTHONDONTWRITEBYTECODE=1, and use pip install --no-compile; "
        "then programs start a little slower.",
        cache=False,
    ),
    _kind(
        "documentation",
        r"usr/(?:local/)?share/(?:doc|man|info|gtk-doc|help)",
        "Have dpkg leave it out (path-exclude in /etc/dpkg/dpkg.cfg.d), or dnf: "
        "--setopt=tsflags=nodocs.",
        cache=False,
    ),
    _kind(
        "translations",
        r"usr/(?:local/)?share/locale",
        "Have dpkg leave them out: path-exclude=/usr/share/locale/* in /etc/dpkg/dpkg.cfg.d.",
        cache=False,
    ),
    _kind("temporary files", r"(?:var/)?tmp", f"Remove them {_OWN_RUN}.", cache=False),
    _kind("logs", r"var/log", f"Remove them {_OWN_RUN}.", cache=False),
    _kind(
        "a Git repository",
        r"(?:.*/)?\.git",
        "Name .git in .dockerignore, or copy only what is needed.",
        cache=False,
    ),
)

#: Names of all folders that a kind can match, in the form that `Joined.with_match` searches.
_LEAVES = re.compile(
    rb"\0(?:lists|apt|debconf|apk|dnf|yum|libdnf5|PackageKit|repos|zypp|pacman|pip|uv|pypoetry|"
    rb"pipenv|pdm|\.npm|_cacache|yarn|pnpm|store|go-build|mod|registry|git|repository|caches|cache|"
    rb"composer|pkgs|\.cache|__pycache__|doc|man|info|gtk-doc|help|locale|tmp|log|\.git)"
    rb"(?=\0)"
)


def find_left_overs(tree: PathTree) -> npt.NDArray[np.int8]:
    """For each node of a tree the place in `KINDS` of what it is part of; -1 for all else."""
    kinds = np.full(len(tree), -1, np.int8)
    nodes = np.flatnonzero(tree.joined_names().with_match(_LEAVES, lower=False)).tolist()
    ends = tree.ends
    inside = 0
    for node, path in zip(nodes, tree.paths(nodes), strict=True):
        if node < inside and kinds[node] >= 0 and KINDS[kinds[node]].cache:
            continue
        for place, kind in enumerate(KINDS):
            if kind.path.fullmatch(path):
                kinds[node : ends[node]] = place
                inside = int(ends[node])
                break
    return kinds
