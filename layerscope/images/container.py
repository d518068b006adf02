"""`container:NAME`: a container's image with its read-write layer on top."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from layerscope.errors import BadInputError, EngineError
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.settle import take_rows
from layerscope.filesystem.tar_changeset import build_changeset
from layerscope.images.content import file_pieces
from layerscope.images.image import Image, Layer
from layerscope.images.located import Located, LocatingReader
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, Known
from layerscope.oci.byte_source import Stream, TruncatedError
from layerscope.oci.tar_columns import decode
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_scan import scan
from layerscope.text import decode as decode_name
from layerscope.text import visible

#: What `GET /containers/ID/changes` says of a path.
_REMOVED = 2

_SURROGATES = re.compile("[\ud800-\udfff]")

Opened = tuple[Callable[[int], bytes], Callable[[], None]]


class ReadWriteLayer(Protocol):
    """Where a container's changes can be read."""

    def changeset(self, advance: Callable[[int], None]) -> Changeset:
        """Reads what the container has changed up to now."""

    def content(self, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file, as they are now."""

    def located(self, changeset: Changeset, row: int) -> Located | None:
        """The same where it lies, or None where it can be had as a stream only."""

    def close(self) -> None:
        """Lets go of files; may be called twice."""


class ContainerReader:
    """A container.

    Attributes:
        way: How its read-write layer is read; the image's layers may be read another way.
        why: Why there is no faster way, as the end of a sentence; empty if there is none faster.
    """

    def __init__(
        self,
        base: ImageReader,
        top: ReadWriteLayer,
        fallback: tuple[ReadWriteLayer, str] | None,
        *,
        name: str,
        source: str,
        way: str,
        why: str,
    ) -> None:
        """Puts the container together.

        Args:
            base: Its image; closed with the reader.
            top: Its read-write layer.
            fallback: Another way to that, and what it is called, should the first one fail.
            name: Its name.
            source: Where it comes from.
            way: How the read-write layer is read.
            why: Why there is no faster way.
        """
        self._base = base
        self._top = top
        self._fallback = fallback
        self._name = name
        self._source = source
        self.way = way
        self.why = why

    @property
    def image(self) -> Image:
        """The container as an image: its read-write layer is the last one, and has no diff_id."""
        image = self._base.image
        layer = Layer(
            index=len(image.layers),
            diff_id="",
            digest=None,
            instruction=f"read-write layer of {self._name}",
        )
        return replace(
            image,
            reference=self._name,
            source=self._source,
            layers=(*image.layers, layer),
            platforms=(),  # It runs on one.
        )

    def cache_key(self, layer: int) -> str | None:
        """That of the image; the read-write layer is never kept."""
        return self._base.cache_key(layer) if layer < len(self._base.image.layers) else None

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Reads the layers; see `ImageReader.changesets`."""
        yield from self._base.changesets(progress, known)
        progress.what = "Reading the container"

        def advance(_: int) -> None:
            progress.advance(progress.done)

        advance(0)
        yield len(self._base.image.layers), self._changes(advance)

    def _changes(self, advance: Callable[[int], None]) -> Changeset:
        try:
            return self._top.changeset(advance)
        except BadInputError as error:
            # Such as content that overlayfs keeps elsewhere: that shows in the walk only.
            if self._fallback is None:
                raise
            self._top.close()
            self._top, self.way = self._fallback
            self.why = error.message.rstrip(".")
            self._fallback = None
            return self._top.changeset(advance)

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file; see `ImageReader.content`."""
        if layer < len(self._base.image.layers):
            return self._base.content(layer, changeset, row)
        return self._top.content(changeset, row)

    def located(self, layer: int, changeset: Changeset, row: int) -> Located | None:
        """Where the content of a file lies; see `LocatingReader.located`."""
        if layer < len(self._base.image.layers):
            base = self._base
            return base.located(layer, changeset, row) if isinstance(base, LocatingReader) else None
        return self._top.located(changeset, row)

    def close(self) -> None:
        """Lets go of the image and the engine."""
        self._top.close()
        self._base.close()


class ContainerEngine(Protocol):
    """What is needed of an engine to read a container through it."""

    def container_changes(self, identifier: str) -> Sequence[Mapping[str, Any]]:
        """`GET /containers/ID/changes`."""

    def export_container(self, identifier: str) -> Opened:
        """`GET /containers/ID/export`."""

    def container_file(self, identifier: str, path: bytes) -> Opened:
        """`GET /containers/ID/archive`."""


class ApiLayer:
    """A read-write layer as the engine tells it: what has changed, and how it looks in an export.

    The engine names paths in JSON, where bytes that are not UTF-8 have become U+FFFD. Those that
    are there are found in the export all the same; one that was removed keeps the replaced name.
    """

    def __init__(self, engine: ContainerEngine, identifier: str, name: str) -> None:
        self._engine = engine
        self._identifier = identifier
        self._file = f"container {visible(name)}"

    def changeset(self, advance: Callable[[int], None]) -> Changeset:
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
        keep = [row for row, path in enumerate(paths) if _as_told(path) in changes]
        changeset = take_rows(everything, paths, keep)
        _own_inodes(changeset, everything, paths, [paths[row] for row in keep])
        there = {_as_told(paths[row]): row for row in keep}
        gone = [path for path, kind in changes.items() if kind == _REMOVED]
        marks = [(path, EntryType.WHITEOUT) for path in gone if path not in there]
        # What is gone and there nevertheless has been made anew.
        marks += [(path, EntryType.OPAQUE) for path in gone if path in there]
        return _with_marks(changeset, marks, {path: paths[row] for path, row in there.items()})

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

    def content(self, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file, as they are now.

        Raises:
            BadInputError: It is there no longer.
        """
        path = changeset.paths()[row]
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

    def located(self, changeset: Changeset, row: int) -> None:
        """None: the engine gives streams."""

    def close(self) -> None:
        """Nothing to let go of."""


def _as_told(path: bytes) -> str:
    """A path as it looks in the engine's JSON: each byte that is not UTF-8 is U+FFFD."""
    return _SURROGATES.sub("\ufffd", decode_name(path))


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
