"""A container's own layers from the engine's API, for when its data folder cannot be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from layerscope.errors import BadInputError, export_broke_off
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.tar_changeset import build_changeset
from layerscope.images.answers import Change
from layerscope.images.containers.reader import MADE_AT_CREATION, ContainerLayers, OwnLayer
from layerscope.images.layer_stream import file_pieces
from layerscope.images.pieces import Piece
from layerscope.oci.byte_source import Stream, TruncatedError
from layerscope.oci.tar_columns import decode
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_scan import scan
from layerscope.text import decode as decode_name
from layerscope.text import visible

#: A kind in the answer to `GET /containers/ID/changes`.
_REMOVED = 2

#: Files that Docker adds in a separate layer when it creates a container, with parent folders.
#: (moby: daemon/initlayer/setup_unix.go.)
_MADE_AT_CREATION = (
    b".dockerenv dev dev/console dev/pts dev/shm etc etc/hostname etc/hosts etc/mtab "
    b"etc/resolv.conf proc sys"
)

_SURROGATES = re.compile("[\ud800-\udfff]")

Opened = tuple[Callable[[int], bytes], Callable[[], None]]


class ContainerEngine(Protocol):
    """What an engine must offer to read a container through its API."""

    def container_changes(self, identifier: str) -> Sequence[Change]: ...

    def export_container(self, identifier: str) -> Opened: ...

    def container_file(self, identifier: str, path: bytes) -> Opened: ...


class ApiLayers(ContainerLayers):
    """A container's own layers from the engine's list of changes and an export.

    The engine lists paths in JSON, with U+FFFD for bytes that are not UTF-8. Existing ones are
    matched with the export; a removed one keeps the replaced name.

    The layer that Docker adds when it creates a container is not in the list of changes; its
    content is known by name. A folder of that name may be the image's: this layer then shows it
    as unchanged, although the kernel's layer does not have it.
    """

    def __init__(
        self, engine: ContainerEngine, identifier: str, name: str, layers: Sequence[OwnLayer]
    ) -> None:
        """Takes the container's id, its name for errors, and its own layers.

        All but the read-write layer and the one added at creation stay empty.
        """
        self._engine = engine
        self._identifier = identifier
        self._file = f"container {visible(name)}"
        self.layers = layers

    def changesets(self, advance: Callable[[int], None]) -> Sequence[Changeset]:
        """Reads the layers; this exports the whole container.

        Raises EngineError if the engine's answer is invalid or the connection broke.
        """
        changes = {
            change.path.strip("/"): change.kind
            for change in self._engine.container_changes(self._identifier)
        }
        everything = self._export(advance)
        paths = everything.paths()
        found = []
        made = frozenset(_MADE_AT_CREATION.split())
        for layer in self.layers[:-1]:
            keep = []
            if layer.what == MADE_AT_CREATION:
                keep = [
                    row
                    for row, path in enumerate(paths)
                    if path in made and _as_listed(path) not in changes
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
            raise export_broke_off(self._file) from None
        finally:
            stop()

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[Piece]:
        """The current content of a file; raises BadInputError if it is gone."""
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
        raise BadInputError(self._file, None, f"/{name} no longer exists")


def _as_listed(path: bytes) -> str:
    """A path as it appears in the engine's JSON: each byte that is not UTF-8 is U+FFFD."""
    return _SURROGATES.sub("\ufffd", decode_name(path))


def _changed(everything: Changeset, paths: list[bytes], changes: Mapping[str, int]) -> Changeset:
    """The read-write layer, from all files and the engine's list of changes."""
    keep = [row for row, path in enumerate(paths) if _as_listed(path) in changes]
    changeset = _taken(everything, paths, keep)
    there = {_as_listed(paths[row]): row for row in keep}
    gone = [path for path, kind in changes.items() if kind == _REMOVED]
    marks = [(path, EntryType.WHITEOUT) for path in gone if path not in there]
    # A path that was removed but exists was created again.
    marks += [(path, EntryType.OPAQUE) for path in gone if path in there]
    if not marks:
        return changeset
    names = [
        paths[there[path]] if path in there else path.encode("utf-8", "surrogateescape")
        for path, _ in marks
    ]
    return changeset.extended(names, [kind for _, kind in marks])


def _taken(everything: Changeset, paths: list[bytes], keep: list[int]) -> Changeset:
    """A subset of all files; a hard link to a file outside it becomes a file."""
    changeset = everything.take(np.array(keep, np.int64), paths)
    kept = [paths[row] for row in keep]
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
    return changeset
