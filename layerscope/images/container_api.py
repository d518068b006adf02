"""A container's own layers as its engine tells them, for where its data folder cannot be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from layerscope.errors import BadInputError, EngineError
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.settle import take_rows
from layerscope.filesystem.tar_changeset import build_changeset
from layerscope.images.container import MADE_AT_CREATION, OwnLayer
from layerscope.images.content import file_pieces
from layerscope.oci.byte_source import Stream, TruncatedError
from layerscope.oci.tar_columns import decode
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_scan import scan
from layerscope.text import decode as decode_name
from layerscope.text import visible

#: What `GET /containers/ID/changes` says of a path.
_REMOVED = 2

#: What Docker puts into a layer of its own when it creates a container, with the folders above.
#: (moby: daemon/initlayer/setup_unix.go.)
_MADE_AT_CREATION = frozenset(
    {
        b".dockerenv",
        b"dev",
        b"dev/console",
        b"dev/pts",
        b"dev/shm",
        b"etc",
        b"etc/hostname",
        b"etc/hosts",
        b"etc/mtab",
        b"etc/resolv.conf",
        b"proc",
        b"sys",
    }
)

_SURROGATES = re.compile("[\ud800-\udfff]")

Opened = tuple[Callable[[int], bytes], Callable[[], None]]


class ContainerEngine(Protocol):
    """What is needed of an engine to read a container through it."""

    def container_changes(self, identifier: str) -> Sequence[Mapping[str, Any]]:
        """`GET /containers/ID/changes`."""

    def export_container(self, identifier: str) -> Opened:
        """`GET /containers/ID/export`."""

    def container_file(self, identifier: str, path: bytes) -> Opened:
        """`GET /containers/ID/archive`."""


class ApiLayers:
    """A container's own layers as the engine tells them: what has changed, and an export.

    The engine names paths in JSON, where bytes that are not UTF-8 have become U+FFFD. Those that
    are there are found in the export all the same; one that was removed keeps the replaced name.

    The layer that Docker makes when it creates a container is not told of as a change, and what it
    has is known by name. A folder of that name may be the image's: it is then unchanged in that
    layer, which as the kernel has it does not hold it.

    Attributes:
        layers: What they are.
    """

    def __init__(
        self, engine: ContainerEngine, identifier: str, name: str, layers: Sequence[OwnLayer]
    ) -> None:
        """Makes a source.

        Args:
            engine: The engine.
            identifier: The container's id.
            name: Its name, for errors.
            layers: What it has besides its image's; all but the read-write layer and the one
                that was made when it was created stay empty.
        """
        self._engine = engine
        self._identifier = identifier
        self._file = f"container {visible(name)}"
        self.layers = layers

    def changesets(self, advance: Callable[[int], None]) -> Sequence[Changeset]:
        """Reads what has changed; for that all files of the container pass by.

        Raises:
            EngineError: The engine did not answer as it should, or broke off.
        """
        changes = {
            str(change.get("Path") or "").strip("/"): int(change.get("Kind") or 0)
            for change in self._engine.container_changes(self._identifier)
        }
        everything = self._export(advance)
        paths = everything.paths()
        found = []
        for layer in self.layers[:-1]:
            keep = []
            if layer.what == MADE_AT_CREATION:
                keep = [
                    row
                    for row, path in enumerate(paths)
                    if path in _MADE_AT_CREATION and _as_told(path) not in changes
                ]
            found.append(_taken(everything, paths, keep))
        return [*found, _changed(everything, paths, changes)]

    def _export(self, advance: Callable[[int], None]) -> Changeset:
        read, stop = self._engine.export_container(self._identifier)

        def parts() -> Iterator[Any]:
            for part in decode(scan(Stream(read))):
                advance(part.end)
                yield part

        try:
            return build_changeset(parts())
        except (TarError, TruncatedError):
            raise EngineError(
                f"The export of {self._file} broke off.",
                "Check that the engine still runs, then try again.",
            ) from None
        finally:
            stop()

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file, as they are now.

        Raises:
            BadInputError: It is there no longer.
        """
        path = changeset.path(row)
        read, stop = self._engine.container_file(self._identifier, b"/" + path)
        try:
            source = Stream(read)
            for part in decode(scan(source, batch_size=1)):
                yield from file_pieces(source, build_changeset([part]), 0)
                return
        except (TarError, TruncatedError):
            pass
        finally:
            stop()
        name = visible(decode_name(path))
        raise BadInputError(self._file, None, f"/{name} is no longer there")

    def located(self, layer: int, changeset: Changeset, row: int) -> None:
        """None: the engine gives streams."""

    def close(self) -> None:
        """Nothing to let go of."""


def _as_told(path: bytes) -> str:
    """A path as it looks in the engine's JSON: each byte that is not UTF-8 is U+FFFD."""
    return _SURROGATES.sub("\ufffd", decode_name(path))


def _changed(everything: Changeset, paths: list[bytes], changes: Mapping[str, int]) -> Changeset:
    """The read-write layer, of all files and what the engine calls changed."""
    keep = [row for row, path in enumerate(paths) if _as_told(path) in changes]
    changeset = _taken(everything, paths, keep)
    there = {_as_told(paths[row]): row for row in keep}
    gone = [path for path, kind in changes.items() if kind == _REMOVED]
    marks = [(path, EntryType.WHITEOUT) for path in gone if path not in there]
    # What is gone and there nevertheless has been made anew.
    marks += [(path, EntryType.OPAQUE) for path in gone if path in there]
    return _with_marks(changeset, marks, {path: paths[row] for path, row in there.items()})


def _taken(everything: Changeset, paths: list[bytes], keep: list[int]) -> Changeset:
    """Some of all files, each hard link to one that is not among them as a file of its own."""
    changeset = take_rows(everything, paths, keep)
    _own_inodes(changeset, everything, paths, [paths[row] for row in keep])
    return changeset


def _own_inodes(
    changeset: Changeset, everything: Changeset, paths: list[bytes], kept: list[bytes]
) -> None:
    """Makes a file of a hard link whose file is not among the changes, or comes later."""
    rows = {path: row for row, path in enumerate(paths)}
    first: dict[bytes, int] = {}
    there = set(kept)
    for row in np.flatnonzero(changeset.kinds == EntryType.HARDLINK).tolist():
        target = changeset.links[row]
        if target in there:
            continue
        earlier = first.setdefault(target, row)
        if earlier != row:
            changeset.links[row] = kept[earlier]
            continue
        del changeset.links[row]
        changeset.kinds[row] = EntryType.FILE
        if target in rows:
            changeset.sizes[row] = everything.sizes[rows[target]]


def _with_marks(
    changeset: Changeset, marks: list[tuple[str, EntryType]], real: dict[str, bytes]
) -> Changeset:
    """Adds whiteouts behind the entries."""
    if not marks:
        return changeset
    names = [
        real[path] if path in real else path.encode("utf-8", "surrogateescape") for path, _ in marks
    ]
    none = np.zeros(len(marks), np.int64)
    both = [*(changeset.paths()), *names]
    return Changeset(
        path_blob=b"\0".join(both),
        kinds=np.concatenate([changeset.kinds, np.array([k for _, k in marks], np.uint8)]),
        modes=np.concatenate([changeset.modes, none.astype(np.uint16)]),
        uids=np.concatenate([changeset.uids, none]),
        gids=np.concatenate([changeset.gids, none]),
        sizes=np.concatenate([changeset.sizes, none]),
        mtimes=np.concatenate([changeset.mtimes, none]),
        header_offsets=np.concatenate([changeset.header_offsets, none - 1]),
        data_offsets=np.concatenate([changeset.data_offsets, none - 1]),
        links=changeset.links,
        devices=changeset.devices,
        xattrs=changeset.xattrs,
        sparse=changeset.sparse,
    )
