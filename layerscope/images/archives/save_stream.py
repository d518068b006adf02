"""A `docker save` archive as a stream: from an engine or a compressed file.

Layers are read as they arrive. `place_layers` finds out as early as possible which layers these
are; `manifest.json` settles it at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from layerscope.errors import BadInputError, LayerscopeError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.archives.blob_store import INDEX, MANIFEST
from layerscope.images.archives.legacy_format import REPOSITORIES
from layerscope.images.archives.save_format import (
    entry_name,
    place_layers,
    promised,
    resolve_link,
    saved_image,
    sparse_member,
)
from layerscope.images.image import Image
from layerscope.images.layer_stream import (
    NOTHING,
    Digests,
    Passed,
    Read,
    layer_contents,
    read_whole,
    tar_reader,
)
from layerscope.images.progress import Progress
from layerscope.images.reader import Wanted, unreadable
from layerscope.oci.byte_source import Stream, TruncatedError, whole_reader
from layerscope.oci.compression import compression_of
from layerscope.oci.manifest import MAX_DOCUMENT
from layerscope.oci.tar_columns import decode
from layerscope.oci.tar_header import TarError, checksum_matches
from layerscope.oci.tar_scan import scan
from layerscope.records import go_json
from layerscope.text import decode as decode_name
from layerscope.text import visible

#: A blob in a folder by skopeo.
_HEX = re.compile(r"(?:[a-z0-9]+-)?[0-9a-f]{64,128}")

_FILE, _SYMLINK, _HARDLINK = b"021"

#: The limit for all documents kept from an archive, such as SBOMs beside an image.
_MAX_DOCUMENTS = 64 << 20
_ALWAYS_KEPT = (MANIFEST, INDEX, REPOSITORIES)


#: Opens an archive, and yields a function that reads its decompressed bytes.
Reopen = Callable[[], AbstractContextManager[Callable[[int], bytes]]]


class SaveStream:
    """The entries of the `docker save` archive `file`, in stream order."""

    def __init__(self, read: Callable[[int], bytes], file: str) -> None:
        self._read = read
        self._source = Stream(self._next)
        self.file = file
        self._progress: Progress | None = None
        self.layers: dict[str, Changeset] = {}  # Changesets by entry name.
        self._digests: dict[str, Digests] = {}  # Their digests.
        #: Errors of entries that look like layers or other needed files, by name.
        self._failed: dict[str, BadInputError] = {}
        self.documents: dict[str, bytes] = {}  # JSON documents by entry name.
        self.links: dict[str, str] = {}  # Targets of links between entries.
        self._document_bytes = 0
        self._parsed: dict[str, Any] = {}

    def _next(self, size: int) -> bytes:
        piece = self._read(size)
        if self._progress is not None:
            # Also within a file, and after the last one.
            self._progress.advance(self._source.position)
        return piece

    def entries(self, progress: Progress) -> Iterator[str]:
        """Reads the stream, and yields the name of each entry once it has been read.

        Raises BadInputError if the stream is not such an archive, or is truncated, and Cancelled if
        `progress` was cancelled.
        """
        self._progress = progress
        first = True
        try:
            for part in decode(scan(self._source, batch_size=1)):
                for row, raw in enumerate(part.names):
                    name = entry_name(raw)
                    kind = int(part.kinds[row])
                    if row in part.sparse:
                        sparse = sparse_member(self.file, name, int(part.offsets[row]))
                        self._failed[name] = sparse
                    elif kind == _FILE:
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
            raise BadInputError(self.file, error.offset, problem) from None
        except TruncatedError as error:
            raise BadInputError(
                self.file, error.offset, "the archive is truncated", "Save or copy it again."
            ) from None

    def _take(self, name: str, offset: int, size: int, progress: Progress) -> None:
        start = self._source.window(offset)[: min(size, 512)]
        # A layer whose first entry is called `[` begins like a document.
        is_tar = len(start) == 512 and checksum_matches(start)
        if size <= MAX_DOCUMENT and start[:1] in (b"{", b"[") and not is_tar:
            self._take_document(name, offset, size)
        elif is_tar or _may_be_layer(name, size, start):
            try:
                self.layers[name], self._digests[name] = read_whole(
                    self._source,
                    offset,
                    size,
                    file=self.file,
                    name=name,
                    advance=progress.advance,
                )
            except BadInputError as error:
                self._failed[name] = error  # It may only look like a layer.
        progress.advance(offset + size)

    def _take_document(self, name: str, offset: int, size: int) -> None:
        self._document_bytes += size
        if self._document_bytes > _MAX_DOCUMENTS and name not in _ALWAYS_KEPT:
            self._failed[name] = BadInputError(self.file, offset, "it holds too many documents")
            return
        data = self.documents[name] = self._source.read(offset, size)
        try:
            self._parsed[name] = go_json(data)
        except ValueError:
            pass  # `finish` reports it, if it matters.

    def finish(
        self, wanted: str | None, *, source: str, reference: str | None = None
    ) -> tuple[Image, list[tuple[str, Changeset]]]:
        """The image, and each layer's entry name and changeset; see `saved_image`."""
        image, layers = saved_image(self, wanted, reference=reference, source=source)
        for layer, (name, _), digests in zip(image.layers, layers, promised(image), strict=True):
            if not layer.missing:
                self.check(name, digests)
        return image, layers

    def check(self, name: str, digests: Digests) -> None:
        """Compares a layer with its expected digests; raises BadInputError."""
        digests.check(self._digests[name], self.file, name)

    # As `SavedFiles`.

    def _target(self, name: str) -> str:
        target = resolve_link(name, self.links)
        if target in self._failed:
            raise self._failed[target]
        return target

    def read(self, name: str) -> bytes | None:
        return self.documents.get(self._target(name))

    def find_layer(self, name: str) -> tuple[str, Changeset] | None:
        target = self._target(name)
        changeset = self.layers.get(target)
        return None if changeset is None else (target, changeset)

    def diff_id(self, layer: tuple[str, Changeset]) -> str:
        return self._digests[layer[0]].diff_id

    def is_empty(self, layer: tuple[str, Changeset]) -> bool:
        return self._digests[layer[0]].blob == NOTHING

    def has_layer(self, name: str) -> bool:
        target = resolve_link(name, self.links)
        return target in self.layers or target in self._failed

    def names(self) -> Iterator[str]:
        yield from (*self.layers, *self._failed, *self.links)

    def placed(self, diff_ids: tuple[str, ...]) -> dict[int, Changeset]:
        """The layers of an image that have been read and whose position is known."""
        names: dict[str, Changeset] = dict(self.layers)
        for name in self.links:
            target = resolve_link(name, self.links)
            if target in self.layers:
                names[name] = self.layers[target]
        places = place_layers(names, self._parsed, diff_ids)
        return {index: names[name] for index, name in places.items() if index < len(diff_ids)}


def _may_be_layer(name: str, size: int, start: bytes) -> bool:
    """Whether an entry looks like a layer: by its name or, for a blob, by its first bytes."""
    if ".tar" in name.rpartition("/")[2]:
        return True
    is_blob = name.startswith("blobs/") or _HEX.fullmatch(name) is not None
    return is_blob and (size >= 512 or compression_of(start[:6]) is not None)


def contents_in_stream(
    reopen: Reopen,
    file: str,
    names: Mapping[int, str],
    wanted: Wanted,
) -> Iterator[Passed]:
    """`ImageReader.contents` for an archive that is read again, once for all files.

    `names` holds the entry name of each layer.
    """
    later = dict(wanted)
    while later:
        # Equal layers may share one entry, which each pass can read for only one of them.
        now: dict[str, int] = {}
        for layer in later:
            now.setdefault(names[layer], layer)
        failure: LayerscopeError | None = None
        try:
            with reopen() as read:
                source = Stream(read)
                for part in decode(scan(source, batch_size=1)):
                    name = entry_name(part.names[0]) if part.names else ""
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
            failure = BadInputError(file, error.offset, "the archive has changed or ended early")
        except LayerscopeError as error:
            failure = error
        for name, layer in now.items():
            gone = BadInputError(file, None, f"layer {visible(name)} is no longer there")
            yield from unreadable(layer, later.pop(layer)[1], failure or gone)


def tars_in_stream(
    reopen: Reopen,
    file: str,
    wanted: Callable[[str], str | None],
    document: Callable[[bytes], object] = bool,
) -> Iterator[tuple[str, Read]]:
    """`ImageReader.tars` for an archive that is read again.

    `wanted` maps an entry's name to its diff_id, or None for other entries. Everything that looks
    like JSON is passed to `document`.
    """
    try:
        with reopen() as read:
            source = Stream(read)
            for part in decode(scan(source, batch_size=1)):
                if not part.names or int(part.kinds[0]) != _FILE:
                    continue
                name, size = entry_name(part.names[0]), int(part.sizes[0])
                offset = int(part.data_offsets[0])
                start = source.window(offset)[: min(size, 512)]
                is_tar = len(start) == 512 and checksum_matches(start)
                if size <= MAX_DOCUMENT and start[:1] == b"{" and not is_tar:
                    document(source.read(offset, size))
                elif (is_tar or _may_be_layer(name, size, start)) and (
                    diff_id := wanted(name)
                ) is not None:
                    stored = whole_reader(source.part(offset, size), size)
                    yield diff_id, tar_reader(stored, file, name)
    except (TarError, TruncatedError) as error:
        raise BadInputError(file, error.offset, "the archive has changed or ended early") from None
