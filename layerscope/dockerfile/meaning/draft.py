"""Drafts a Dockerfile from the changes in a container.

Only the files are known, not the commands that wrote them. So packages are installed again, their
files are left to them, and the rest is copied from a folder.
"""

from __future__ import annotations

import json
import re
import shlex
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from layerscope.content.package_lists import Package
from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.images.containers.written import Written
from layerscope.images.files.packages import Glance
from layerscope.text import decode, visible

FILES = "files"  # The folder of the build context with the changed files.

_INSTALL = {
    "deb": "apt-get update && apt-get install -y --no-install-recommends {} && "
    "rm -rf /var/lib/apt/lists/*",
    "apk": "apk add --no-cache {}",
    "rpm": "dnf install -y {} && dnf clean all",
    "python": "pip install --no-cache-dir {}",
    "npm": "npm install -g {}",
    "gem": "gem install {}",
}
_REMOVE = {
    "deb": "apt-get purge -y {}",
    "apk": "apk del {}",
    "rpm": "dnf remove -y {}",
    "python": "pip uninstall -y {}",
    "npm": "npm uninstall -g {}",
    "gem": "gem uninstall {}",
}
#: The syntax of a version; distributions drop old versions, so theirs are left out.
_VERSIONED = {"python": "{}=={}", "npm": "{}@{}", "gem": "{}:{}"}

#: Files that package managers write besides the files of packages.
_BY_PRODUCTS = re.compile(
    rb"(?:var/lib/(?:dpkg|apt|rpm|dnf|yum|pam|systemd|ucf|python|alternatives)|usr/lib/(?:apk|sysimage)"
    rb"|lib/apk|etc/(?:apk|alternatives|rc.\.d|systemd/system)|var/cache|var/log|run|tmp)(?:/.*)?"
    rb"|etc/(?:ld\.so\.cache|(?:passwd|group|shadow|gshadow|subuid|subgid)-?)|.*/__pycache__(?:/.*)?"
    rb"|.*\.pyc",
    re.DOTALL,
)
#: Folders in which language package managers install packages.
_OF_LANGUAGES = re.compile(
    rb"(?:.*/)?(?:site-packages|dist-packages|node_modules|gems/[^/]+)(?:/.*)?", re.DOTALL
)
_LANGUAGES = ("python", "npm", "gem")
#: What Podman writes into each container.
_OF_ENGINES = frozenset((b"etc/mtab", b"run/.containerenv"))


@dataclass(frozen=True, slots=True)
class DraftStep:
    text: str  # An instruction.
    notes: tuple[str, ...] = ()  # Each becomes a comment above it.


@dataclass(frozen=True, slots=True)
class Draft:
    steps: tuple[DraftStep, ...]
    files: tuple[bytes, ...]  # Paths that the steps copy, without leading slash.
    left_out: tuple[Written, ...]  # Changes that should not be in an image.


def draft(
    base: str,
    stack: Stack,
    changes: Sequence[Written],
    glance: Glance,
    wanted: Iterable[str],
    owned: frozenset[bytes],
) -> Draft:
    """Drafts a Dockerfile.

    `changes` are those of the topmost layer, `wanted` the names of packages that were requested
    rather than pulled in as dependencies (empty if unknown), and `owned` the paths of packages that
    were installed, upgraded or removed.
    """
    packages = list(_packages(glance, frozenset(wanted)))
    left = [
        each
        for each in changes
        if each.path not in _OF_ENGINES and not _explained(each.path, glance, owned)
    ]
    kept = sorted((each for each in left if not each.unwanted), key=lambda each: each.path)
    steps = [DraftStep(f"FROM {base}"), *packages, *_removals(kept)]
    copies = _Copies(stack, kept, {each.path for each in changes})
    steps += copies.steps
    out = tuple(each for each in left if each.unwanted and each.change is not Change.REMOVED)
    return Draft(tuple(steps), tuple(copies.files), out)


def _explained(path: bytes, glance: Glance, owned: frozenset[bytes]) -> bool:
    """Whether installing packages makes the same change."""
    touched = (*glance.added, *glance.removed, *(new for _, new in glance.upgraded))
    if not touched:
        return False
    languages = any(package.kind in _LANGUAGES for package in touched)
    return (
        path in owned
        or _BY_PRODUCTS.fullmatch(path) is not None
        or (languages and _OF_LANGUAGES.fullmatch(path) is not None)
    )


def _packages(glance: Glance, wanted: frozenset[str]) -> Iterator[DraftStep]:
    upgraded = [new for _, new in glance.upgraded]
    for kind, command in _INSTALL.items():
        added = [p for p in (*glance.added, *upgraded) if p.kind == kind]
        if named := [p for p in added if p.name in wanted]:
            added = named
        if added:
            notes = () if named or kind in _LANGUAGES else ("Some may come along with others.",)
            yield DraftStep(_run(command.format(_names(added))), notes)
    for kind, command in _REMOVE.items():
        if gone := [p for p in glance.removed if p.kind == kind]:
            yield DraftStep(_run(command.format(_names(gone))))


def _names(packages: Iterable[Package]) -> str:
    forms = ((_VERSIONED.get(p.kind, "{}") if p.version else "{}", p) for p in packages)
    return " ".join(sorted({shlex.quote(form.format(p.name, p.version)) for form, p in forms}))


def _removals(changes: Sequence[Written]) -> Iterator[DraftStep]:
    gone = [each.path for each in changes if each.change is Change.REMOVED]
    if gone:
        note = "They stay in the layers below, so this makes no image smaller."
        yield DraftStep(_run(f"rm -rf {' '.join(map(word, gone))}"), (note,))


class _Copies:
    """Steps that restore files that a container added or modified."""

    def __init__(self, stack: Stack, changes: Sequence[Written], written: Set[bytes]) -> None:
        """`written` has all paths that changed: a folder is not copied with what is left out."""
        self._stack = stack
        self._changes = [each for each in changes if each.change is not Change.REMOVED]
        self._left_out = sorted(written - {each.path for each in changes})
        self.files: list[bytes] = []
        self.steps: list[DraftStep] = []
        at = 0
        while at < len(self._changes):
            each = self._changes[at]
            end = at + 1
            prefix = each.path + b"/"
            while end < len(self._changes) and self._changes[end].path.startswith(prefix):
                end += 1
            below = self._changes[at + 1 : end]
            if (
                each.kind is EntryType.DIR
                and each.change is Change.ADDED
                and self._alike(each, below)
            ):
                self._copy(each)
                at = end
            else:
                self._step(each)
                at += 1

    def _owner(self, each: Written) -> tuple[int, int]:
        return int(self._stack.uids[each.row]), int(self._stack.gids[each.row])

    def _alike(self, folder: Written, below: Sequence[Written]) -> bool:
        """Whether one COPY restores a new folder with all its contents."""
        plain = (EntryType.FILE, EntryType.DIR)
        prefix = folder.path + b"/"
        at = bisect_left(self._left_out, prefix)
        if at < len(self._left_out) and self._left_out[at].startswith(prefix):
            return False
        return bool(below) and all(
            each.kind in plain and self._owner(each) == self._owner(folder) for each in below
        )

    def _step(self, each: Written) -> None:
        stack, path = self._stack, word(each.path)
        owner, mode = "{}:{}".format(*self._owner(each)), int(stack.modes[each.row])
        if each.kind is EntryType.DIR:
            self._folder(each, owner, mode)
        elif each.kind is EntryType.FILE:
            self._copy(each)
        elif each.kind is EntryType.SYMLINK:
            target = word(stack.link(each.row) or b"", root="")
            self.steps.append(DraftStep(_run(f"ln -snf {target} {path}")))
        else:
            note = f"/{visible(each.path)} is a {each.kind.label}, which no instruction copies."
            self.steps.append(DraftStep(f"# {note}"))

    def _folder(self, each: Written, owner: str, mode: int) -> None:
        stack, path = self._stack, word(each.path)
        below = stack.version(int(stack.nodes[each.row]), stack.height - 2)
        if each.change is Change.ADDED or below is None:
            self.steps.append(
                DraftStep(_run(f"mkdir -p {path} && chown {owner} {path} && chmod {mode:o} {path}"))
            )
            return
        commands = []
        if (int(stack.uids[below]), int(stack.gids[below])) != self._owner(each):
            commands.append(f"chown {owner} {path}")
        if int(stack.modes[below]) != mode:
            commands.append(f"chmod {mode:o} {path}")
        if commands:
            self.steps.append(DraftStep(_run(" && ".join(commands))))

    def _copy(self, each: Written) -> None:
        uid, gid = self._owner(each)
        slash = "/" if each.kind is EntryType.DIR else ""
        words = [f"{FILES}/{decode(each.path)}{slash}", f"/{decode(each.path)}{slash}"]
        plain = all(re.fullmatch(r"[\w./+@%:=,-]+", word) for word in words)
        shown = " ".join(words) if plain else json.dumps(words)
        flag = f"--chown={uid}:{gid} " if uid or gid else ""
        self.steps.append(DraftStep(f"COPY {flag}{shown}"))
        self.files.append(each.path)


def word(path: bytes, root: str = "/") -> str:
    """Quotes a path as a word of a shell command."""
    return shlex.quote(root + decode(path))


def _run(command: str) -> str:
    return f"RUN {command}"
