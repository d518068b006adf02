"""An image's packages, a layer's changes to them, and files with special privileges.

Each version of a package manager's database is read once. Python, Node and Ruby packages are found
by the paths of their metadata.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerscope.content.package_lists import (
    Package,
    RpmError,
    apk_files,
    apk_packages,
    dpkg_automatic,
    dpkg_packages,
    rpm_packages,
)
from layerscope.errors import Cancelled, LayerscopeError, failures_ignored
from layerscope.filesystem.capabilities import ATTRIBUTE, capability_text
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.images.files.contents import Contents
from layerscope.patterns import names_pattern
from layerscope.text import visible

#: Larger databases are not read.
MOST_BYTES = 256 << 20

_RPM = (b"var/lib/rpm/rpmdb.sqlite", b"usr/lib/sysimage/rpm/rpmdb.sqlite")
#: Databases of rpm in formats that are not supported.
_OTHER_RPM = (
    b"var/lib/rpm/Packages",
    b"var/lib/rpm/Packages.db",
    b"usr/lib/sysimage/rpm/Packages",
    b"usr/lib/sysimage/rpm/Packages.db",
)
_DATABASES: tuple[tuple[bytes, Callable[[bytes], list[Package]]], ...] = (
    (b"var/lib/dpkg/status", dpkg_packages),
    (b"lib/apk/db/installed", apk_packages),
    (b"usr/lib/apk/db/installed", apk_packages),
    *((path, rpm_packages) for path in _RPM),
)
_STATUS_D = b"var/lib/dpkg/status.d"

#: Names of files whose path identifies a package.
_LEAVES = names_pattern(r"METADATA|PKG-INFO|package\.json|.*\.egg-info|.*\.gemspec")
_PACKAGES_OF = rb"(?:.*/)?(?:site|dist)-packages/"
_PATHS: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (kind, re.compile(pattern, re.DOTALL))
    for kind, pattern in (
        ("python", _PACKAGES_OF + rb"([^/]+?)-([^/-]+)\.dist-info/METADATA"),
        ("python", _PACKAGES_OF + rb"([^/]+?)-([^/-]+)(?:-py[0-9.]+)?\.egg-info(?:/PKG-INFO)?"),
        ("npm", rb"(?:.*/)?node_modules/((?:@[^/]+/)?[^/@.][^/]*)()/package\.json"),
        ("gem", rb"(?:.*/)?specifications/(?:default/)?([^/]+?)-([0-9][^/]*)\.gemspec"),
    )
)


@dataclass(frozen=True, slots=True)
class Privileged:
    """A file that runs with privileges."""

    path: bytes  # Its path, without leading slash.
    what: str  # `setuid`, `setgid`, both, or capabilities as getcap prints them.
    owner: int  # The user that a setuid file runs as.
    group: int  # The group of a setgid file.


@dataclass(frozen=True, slots=True)
class Glance:
    """A summary of a layer's changes."""

    layer: int
    added: tuple[Package, ...]
    #: Packages whose version changed, old and new.
    upgraded: tuple[tuple[Package, Package], ...]
    removed: tuple[Package, ...]
    privileged: tuple[Privileged, ...]
    notes: tuple[str, ...]  # Problems, in sentences that are safe to show.


class PackageReader:
    """Reads the packages of an image, and caches what it has read.

    `contents` is None if the content of files cannot be read.
    """

    def __init__(self, stack: Stack, contents: Contents | None) -> None:
        self._stack = stack
        self._contents = contents
        self._lists: dict[int, tuple[list[Package], str]] = {}
        self._from_paths: list[tuple[Package, int]] | None = None

    def installed(
        self, layer: int, check: Callable[[], None] = lambda: None
    ) -> tuple[list[Package], list[str]]:
        """The packages in the merged view at a layer, and notes about problems.

        Layer -1 is below the base and has none. `check` may raise to stop. Raises Cancelled if the
        image has been closed.
        """
        packages: list[Package] = []
        notes: list[str] = []
        if layer < 0:
            return packages, notes
        for row, parse in self._sources(layer):
            found, note = self._list(row, parse, check)
            packages += found
            if note:
                notes.append(note)
        if all(self._row(path, layer) is None for path in _RPM):
            others = [path for path in _OTHER_RPM if self._row(path, layer) is not None]
            notes += [
                f"RPM database in an older format: /{visible(path)} is not read." for path in others
            ]
        visible_rows = self._visible(layer)
        packages += [package for package, row in self._by_path() if visible_rows[row]]
        return sorted(set(packages)), notes

    def glance(self, layer: int, check: Callable[[], None] = lambda: None) -> Glance:
        """Summarizes a layer; `check` is called repeatedly and may raise to stop.

        Raises Cancelled if the image has been closed.
        """
        below, _ = self.installed(layer - 1, check)
        above, notes = self.installed(layer, check)
        before, after = _by_name(below), _by_name(above)
        added: list[Package] = []
        removed: list[Package] = []
        upgraded: list[tuple[Package, Package]] = []
        for key in sorted(before.keys() | after.keys()):
            old, new = before.get(key, {}), after.get(key, {})
            gone = [old[version] for version in sorted(old.keys() - new.keys())]
            come = [new[version] for version in sorted(new.keys() - old.keys())]
            if len(gone) == len(come) == 1:
                upgraded.append((gone[0], come[0]))
            else:
                removed += gone
                added += come
        privileged, changed = tuple(self.privileged(layer)), tuple(upgraded)
        return Glance(layer, _largest(added), changed, _largest(removed), privileged, tuple(notes))

    def owned(self, glance: Glance) -> frozenset[bytes]:
        """Paths of the packages that a layer added, upgraded or removed, without leading slash.

        Only dpkg and apk list them.
        """
        found: set[bytes] = set()
        here = {package.name for package in (*glance.added, *(new for _, new in glance.upgraded))}
        below = {
            package.name for package in (*glance.removed, *(old for old, _ in glance.upgraded))
        }
        for layer, names in ((glance.layer, here), (glance.layer - 1, below)):
            for data in self._dpkg_lists(layer, names):
                found |= {line.lstrip(b"/") for line in data.split(b"\n")}
            for path, parse in _DATABASES:
                if parse is apk_packages and names:
                    found |= apk_files(self._read(path, layer), names)
        return frozenset(found)

    def wanted(self, glance: Glance) -> set[str]:
        """Names of packages that were requested, not just dependencies; empty if unknown."""
        world = self._read(b"etc/apk/world", glance.layer).split()
        found = {re.split(rb"[<>=~@]", word)[0].decode("utf-8", "replace") for word in world}
        automatic = dpkg_automatic(self._read(b"var/lib/apt/extended_states", glance.layer))
        if automatic:
            found |= {p.name for p in glance.added if p.kind == "deb"} - automatic
        return found

    def _dpkg_lists(self, layer: int, names: set[str]) -> Iterator[bytes]:
        folder = self._stack.tree.find(b"var/lib/dpkg/info")
        if folder is None or not names:
            return
        tree = self._stack.tree
        for node in range(folder + 1, int(tree.ends[folder])):
            path = tree.path(node)
            if path.endswith(b".list"):
                name = path.rpartition(b"/")[2].removesuffix(b".list").partition(b":")[0]
                if name.decode("utf-8", "replace") in names:
                    yield self._read(path, layer)

    def _read(self, path: bytes, layer: int) -> bytes:
        """A file in the merged view at a layer; empty if it is missing or cannot be read."""
        row = self._row(path, layer)
        if row is None or self._contents is None or self._stack.types[row] != EntryType.FILE:
            return b""
        with failures_ignored():
            return self._contents.read_all(self._stack, row, MOST_BYTES)
        return b""

    def privileged(self, layer: int, top: int | None = None) -> list[Privileged]:
        """Privileged files that a layer wrote and that are visible at `top`, by path."""
        stack = self._stack
        top = layer if top is None else top
        rows = stack.rows(layer)
        own = np.arange(rows.start, rows.stop)
        own = own[(stack.types[own] == EntryType.FILE) & (stack.hidden_by[own] > top)]
        special = set(own[stack.modes[own] & 0o6000 != 0].tolist())
        if stack.changesets[layer].xattrs:
            special |= {row for row in own.tolist() if ATTRIBUTE in stack.xattrs(row)}
        found = []
        for row in sorted(special, key=lambda row: int(stack.nodes[row])):
            mode = int(stack.modes[row])
            words = [word for bit, word in ((0o4000, "setuid"), (0o2000, "setgid")) if mode & bit]
            value = stack.xattrs(row).get(ATTRIBUTE)
            if value is not None:
                words.append(capability_text(value) or "damaged capabilities")
            path = stack.tree.path(int(stack.nodes[row]))
            owner, group = int(stack.uids[row]), int(stack.gids[row])
            found.append(Privileged(path, " ".join(words), owner, group))
        return found

    def _sources(self, layer: int) -> list[tuple[int, Callable[[bytes], list[Package]]]]:
        """The databases in the merged view at a layer: their rows and parsers."""
        found = []
        for path, parse in _DATABASES:
            row = self._row(path, layer)
            if row is not None and self._stack.types[row] == EntryType.FILE:
                found.append((row, parse))
        folder = self._stack.tree.find(_STATUS_D)
        if folder is not None:
            shown = self._visible(layer) & (self._stack.types == EntryType.FILE)
            nodes, tree = self._stack.nodes, self._stack.tree
            inside = (nodes > folder) & (nodes < int(tree.ends[folder])) & shown
            paths = tree.paths(nodes[inside].tolist())
            found += [
                (row, dpkg_packages)
                for row, path in zip(np.flatnonzero(inside).tolist(), paths, strict=True)
                if not path.endswith(b".md5sums")
            ]
        return found

    def _row(self, path: bytes, layer: int) -> int | None:
        node = self._stack.tree.find(path)
        return None if node is None else self._stack.version(node, layer)

    def _visible(self, layer: int) -> npt.NDArray[np.bool_]:
        shown: npt.NDArray[np.bool_] = (self._stack.layers <= layer) & (
            self._stack.hidden_by > layer
        )
        return shown & (self._stack.kinds < EntryType.WHITEOUT)

    def _list(
        self, row: int, parse: Callable[[bytes], list[Package]], check: Callable[[], None]
    ) -> tuple[list[Package], str]:
        inode = int(self._stack.inodes[row])
        if inode not in self._lists:
            check()
            name = f"/{visible(self._stack.tree.path(int(self._stack.nodes[row])))}"
            self._lists[inode] = self._parsed(inode, parse, name, check)
        return self._lists[inode]

    def _parsed(
        self,
        row: int,
        parse: Callable[[bytes], list[Package]],
        name: str,
        check: Callable[[], None],
    ) -> tuple[list[Package], str]:
        if self._contents is None:
            return [], f"{name} cannot be read: the image is closed."
        if int(self._stack.sizes[row]) > MOST_BYTES:
            return [], f"{name} is too large to read."
        try:
            data = self._contents.read_all(self._stack, row, MOST_BYTES, lambda _: check())
            return parse(data), ""
        except Cancelled:
            raise
        except RpmError as error:
            return [], f"{name} is not read: {error}."
        except LayerscopeError as error:
            return [], error.message

    def _by_path(self) -> list[tuple[Package, int]]:
        """Packages found by their paths, with the rows of those paths."""
        if self._from_paths is None:
            stack, tree = self._stack, self._stack.tree
            marked = tree.joined_names().matching(_LEAVES)
            rows = np.flatnonzero(marked[stack.nodes] & (stack.kinds < EntryType.WHITEOUT)).tolist()
            paths = tree.paths(stack.nodes[rows].tolist())
            self._from_paths = [
                (package, row)
                for row, path in zip(rows, paths, strict=True)
                if (package := _package_of(path)) is not None
            ]
        return self._from_paths


def _package_of(path: bytes) -> Package | None:
    for kind, pattern in _PATHS:
        match = pattern.fullmatch(path)
        if match is not None:
            name, version = (part.decode("utf-8", "replace")[:200] for part in match.groups())
            return Package(kind, name, version)
    return None


def _by_name(packages: Iterable[Package]) -> dict[tuple[str, str], dict[str, Package]]:
    found: dict[tuple[str, str], dict[str, Package]] = {}
    for package in packages:
        found.setdefault((package.kind, package.name), {})[package.version] = package
    return found


def _largest(packages: list[Package]) -> tuple[Package, ...]:
    return tuple(sorted(packages, key=lambda each: (-(each.size or 0), each)))
