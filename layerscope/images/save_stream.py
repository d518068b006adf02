"""A `docker save` archive that comes as a stream: from an engine, or out of a compressed file.

Layers are read as they pass by. Where they belong is told by `save_layout.place_layers` as soon as
it can be, and by `manifest.json` in the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from layerscope.errors import BadInputError, LayerscopeError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.content import layer_content, layer_contents
from layerscope.images.image import Image, image_from_config
from layerscope.images.layer_bytes import read_layer
from layerscope.images.passing import Passed, Wanted, unreadable
from layerscope.images.progress import Progress
from layerscope.images.reader import Known
from layerscope.images.save_layout import (
    MANIFEST,
    check_layers,
    choose_image,
    image_id,
    load_json,
    place_layers,
    read_config,
    resolve_link,
    sparse_member,
)
from layerscope.oci.byte_source import Stream, TruncatedError
from layerscope.oci.compression import compression_of
from layerscope.oci.manifest import MAX_DOCUMENT
from layerscope.oci.tar_columns import decode
from layerscope.oci.tar_header import TarError, checksum_matches
from layerscope.oci.tar_scan import scan
from layerscope.text import decode as decode_name
from layerscope.text import visible

_FILE, _SYMLINK, _HARDLINK = b"021"

#: All documents of one archive together; more is an attack.
_MAX_DOCUMENTS = 64 << 20


class SaveStream:
    """The entries of a `docker save` archive, as they pass by.

    Attributes:
        layers: Changesets by the name of their entry.
        documents: JSON documents by the name of their entry.
        links: Targets of links between entries.
    """

    def __init__(self, read: Callable[[int], bytes], file: str) -> None:
        """Makes a stream.

        Args:
            read: Returns up to so many bytes, and none at the end.
            file: What the stream is called, for errors.
        """
        self._read = read
        self._source = Stream(self._next)
        self._file = file
        self._progress: Progress | None = None
        self.layers: dict[str, Changeset] = {}
        self.documents: dict[str, bytes] = {}
        self.links: dict[str, str] = {}
        self._document_bytes = 0
        self._parsed: dict[str, Any] = {}

    def _next(self, size: int) -> bytes:
        piece = self._read(size)
        if self._progress is not None:
            # Also in the middle of a file, and behind the last one.
            self._progress.advance(self._source.position)
        return piece

    def entries(self, progress: Progress) -> Iterator[str]:
        """Reads on, and yields the name of each entry that has been read.

        Raises:
            BadInputError: The stream is no such archive, or it is truncated.
            Cancelled: The progress was asked to stop.
        """
        self._progress = progress
        first = True
        try:
            for part in decode(scan(self._source, batch_size=1)):
                for row, raw in enumerate(part.names):
                    name = decode_name(raw).removeprefix("./")
                    kind = int(part.kinds[row])
                    if row in part.sparse:
                        raise sparse_member(self._file, name, int(part.offsets[row]))
                    if kind == _FILE:
                        offset, size = int(part.data_offsets[row]), int(part.sizes[row])
                        self._take(name, offset, size, progress)
                    elif kind == _SYMLINK:
                        self.links[name] = decode_name(part.links[row])
                    elif kind == _HARDLINK:
                        self.links[name] = "/" + decode_name(part.links[row])
                    first = False
                    yield name
            self._source.drain()
        except TarError as error:
            problem = "it is not a tar archive" if first and not error.offset else error.problem
            raise BadInputError(self._file, error.offset, problem) from None
        except TruncatedError as error:
            raise BadInputError(
                self._file, error.offset, "the archive is truncated", "Save or copy it again."
            ) from None

    def _take(self, name: str, offset: int, size: int, progress: Progress) -> None:
        start = self._source.window(offset)[: min(size, 512)]
        # A layer whose first entry is called `[` begins like a document.
        is_tar = len(start) == 512 and checksum_matches(start)
        if size <= MAX_DOCUMENT and start[:1] in (b"{", b"[") and not is_tar:
            self._document_bytes += size
            if self._document_bytes > _MAX_DOCUMENTS:
                raise BadInputError(self._file, offset, "it holds too many documents")
            data = self.documents[name] = self._source.read(offset, size)
            try:
                self._parsed[name] = json.loads(data)
            except (ValueError, RecursionError):
                pass  # If it is one that counts, `finish` says so.
        elif is_tar or _may_be_layer(name, size, start):
            self.layers[name] = read_layer(
                self._source,
                offset,
                size,
                file=self._file,
                name=name,
                digest=True,
                advance=progress.advance,
            )
        progress.advance(offset + size)

    def finish(
        self, wanted: str | None, *, reference: str | None, source: str
    ) -> tuple[Image, list[tuple[str, Changeset]]]:
        """Puts together what has passed by.

        Args:
            wanted: Which image, if the archive holds several.
            reference: What to call it, or None for its first tag.
            source: Where it comes from.

        Returns:
            The image, and for each layer the name of its entry and its changeset.

        Raises:
            LayerscopeError: Something is missing, or does not fit.
        """
        file = self._file
        if MANIFEST not in self.documents:
            raise BadInputError(
                file,
                None,
                f"it is a tar archive without {MANIFEST}",
                "layerscope opens what `docker save` or `podman save` writes.",
            )
        document = load_json(file, MANIFEST, self.documents[MANIFEST])
        saved = choose_image(file, document, wanted)
        data = self.documents.get(resolve_link(saved.config, self.links))
        if data is None:
            raise BadInputError(file, None, f"it has no {visible(saved.config)}")
        config = read_config(file, saved.config, data)
        check_layers(file, saved, config)
        layers: list[tuple[str, Changeset]] = []
        digests = []
        for name in saved.layers:
            target = resolve_link(name, self.links).removeprefix("/")
            if target not in self.layers:
                raise BadInputError(
                    file, None, f"{MANIFEST} names layer {visible(name)}, which is not there"
                )
            layers.append((target, self.layers[target]))
            in_blobs = target.startswith("blobs/sha256/")
            digests.append("sha256:" + target.rpartition("/")[2] if in_blobs else None)
        image = image_from_config(
            config,
            reference=reference or (saved.tags[0] if saved.tags else image_id(saved)),
            image_id=image_id(saved),
            source=source,
            digests=digests,
        )
        return image, layers

    def placed(self, diff_ids: tuple[str, ...]) -> dict[int, Changeset]:
        """The layers of an image that have arrived and whose place is known."""
        names: dict[str, Changeset] = dict(self.layers)
        for name in self.links:
            target = resolve_link(name, self.links).removeprefix("/")
            if target in self.layers:
                names[name] = self.layers[target]
        found = place_layers(names, self._parsed, diff_ids)
        return {index: names[name] for index, name in found.items() if index < len(diff_ids)}


def _may_be_layer(name: str, size: int, start: bytes) -> bool:
    """Layers are told by their names, or, among blobs, by how they begin."""
    if ".tar" in name.rpartition("/")[2]:
        return True
    return name.startswith("blobs/") and (size >= 512 or compression_of(start[:6]) is not None)


def content_in_stream(
    read: Callable[[int], bytes], file: str, name: str, changeset: Changeset, row: int
) -> Iterator[bytes]:
    """The bytes of a file in a layer of an archive that is read once more for it.

    Args:
        read: Returns up to so many bytes of the archive, and none at the end.
        file: What the archive is called, for errors.
        name: Name of the layer's entry.
        changeset: The layer's changeset.
        row: Row of a regular file in it.

    Raises:
        BadInputError: The archive is not what it was before.
    """
    source = Stream(read)
    try:
        for part in decode(scan(source, batch_size=1)):
            if part.names and decode_name(part.names[0]).removeprefix("./") == name:
                layer = source.part(int(part.data_offsets[0]), int(part.sizes[0]))
                yield from layer_content(layer, changeset, row, file=file, name=name)
                return
    except (TarError, TruncatedError) as error:
        raise BadInputError(file, error.offset, "the archive has changed or broke off") from None
    raise BadInputError(file, None, f"layer {visible(name)} is no longer there")


def contents_in_stream(
    reopen: Callable[[], AbstractContextManager[Callable[[int], bytes]]],
    file: str,
    names: Mapping[int, str],
    wanted: Wanted,
) -> Iterator[Passed]:
    """The content of many files of an archive that is read once more for all of them.

    Args:
        reopen: Opens the archive, and gives a function that reads its bytes.
        file: What the archive is called, for errors.
        names: For each layer, the name of its entry.
        wanted: As for `PassingReader.contents`.
    """
    later = dict(wanted)
    while later:
        # Layers that are equal may be one entry, which can pass by for one of them only.
        now: dict[str, int] = {}
        for layer in later:
            now.setdefault(names[layer], layer)
        failure: LayerscopeError | None = None
        try:
            with reopen() as read:
                source = Stream(read)
                for part in decode(scan(source, batch_size=1)):
                    name = decode_name(part.names[0]).removeprefix("./") if part.names else ""
                    number = now.pop(name, None)
                    if number is not None:
                        changeset, rows = later.pop(number)
                        stored = source.part(int(part.data_offsets[0]), int(part.sizes[0]))
                        yield from layer_contents(
                            number, stored, changeset, rows, file=file, name=name
                        )
                    if not now:
                        break
        except (TarError, TruncatedError) as error:
            failure = BadInputError(file, error.offset, "the archive has changed or broke off")
        except LayerscopeError as error:
            failure = error
        for name, layer in now.items():
            gone = BadInputError(file, None, f"layer {visible(name)} is no longer there")
            yield from unreadable(layer, later.pop(layer)[1], failure or gone)


class CompressedArchiveReader:
    """An image in a compressed `docker save` archive; it is read from front to back.

    Attributes:
        image: The image.
        way: How it was read.
    """

    def __init__(
        self,
        reopen: Callable[[], AbstractContextManager[Callable[[int], bytes]]],
        progress: Progress,
        *,
        kind: str,
        file: str,
        wanted: str | None,
        source: str,
    ) -> None:
        """Reads the archive far enough to know the image: that is to its end.

        Args:
            reopen: Opens the archive, and gives a function that reads decompressed bytes.
            progress: Told how many of them lie behind.
            kind: How the archive is compressed.
            file: What it is called, for errors.
            wanted: Which image, if it holds several.
            source: Where it comes from.
        """
        self.way = f"archive, {kind}"
        self._reopen = reopen
        self._file = file
        with reopen() as read:
            stream = SaveStream(read, file)
            for _ in stream.entries(progress):
                pass
        self.image, layers = stream.finish(wanted, reference=None, source=source)
        self._layers = layers

    def cache_key(self, layer: int) -> str | None:
        """None: knowing the image means to have read it."""
        return None

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """The layers; see `ImageReader.changesets`."""
        for index, (_, changeset) in enumerate(self._layers):
            if index not in known:
                yield index, changeset

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file; see `ImageReader.content`."""
        name = self._layers[layer][0]
        with self._reopen() as read:
            yield from content_in_stream(read, self._file, name, changeset, row)

    def contents(self, wanted: Wanted) -> Iterator[Passed]:
        """The content of many files; see `PassingReader.contents`."""
        names = {layer: self._layers[layer][0] for layer in wanted}
        yield from contents_in_stream(self._reopen, self._file, names, wanted)

    def close(self) -> None:
        """Nothing to let go of."""
