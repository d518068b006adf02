"""Creates the image of an edit: its new layer and configuration, and readers of the rest."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import IO

from layerscope.errors import BadInputError, UsageError
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.layer_tar import layer_pieces
from layerscope.filesystem.stack import Stack
from layerscope.images.archives.packing import OnLayer, copied, spooled
from layerscope.images.archives.writing import Blob
from layerscope.images.image import Image, image_from_config
from layerscope.images.layer_stream import Read, read_layer
from layerscope.images.pieces import stored_size
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader, LayerTars
from layerscope.oci.byte_source import FileRange, reader_of_pieces
from layerscope.oci.config import parse_config
from layerscope.oci.manifest import OCI_CONFIG, describe, json_bytes
from layerscope.records import go_json
from layerscope.surgery.edit import Document, Edit, Rewritten, Source, Taken
from layerscope.text import rfc3339, visible

_EPOCH = "SOURCE_DATE_EPOCH"
_PIECE = 1 << 20


class Made(LayerTars):
    """A new image; its layers come from the sources of the edit, as in `ImageReader.tars`."""

    def __init__(
        self, image: Image, own: Mapping[str, Blob], others: Sequence[tuple[ImageReader, set[str]]]
    ) -> None:
        self.image = image
        self._own = own
        self._others = others

    def tars(self, progress: Progress, wanted: Container[str]) -> Iterator[tuple[str, Read]]:
        for diff_id, blob in self._own.items():
            if diff_id in wanted:
                with blob.opened() as read:
                    yield diff_id, read
        for reader, layers in self._others:
            if those := {diff_id for diff_id in layers if diff_id in wanted}:
                yield from reader.tars(progress, those)


@contextmanager
def made(
    edit: Edit, reference: str, progress: Progress, on_layer: OnLayer = lambda *_: None
) -> Iterator[Made]:
    """Yields the image of an edit, with a name or "".

    Reads only the layers that become a new one now, and reports them to `on_layer`. Raises
    LayerscopeError if they cannot be read, do not match the configuration, or do not fit on disk.
    """
    created = _now()
    with ExitStack() as stack:
        readers = {
            id(source): stack.enter_context(source.contents.alone(progress.check))
            for source in (edit.image, edit.base)
            if source is not None
        }
        own: dict[str, Blob] = {}
        others: dict[int, set[str]] = {}
        diff_ids: list[str] = []
        for part in edit.parts:
            reader = readers[id(part.source)]
            if isinstance(part, Taken):
                diff_ids.append(part.source.image.layers[part.layer].diff_id)
                others.setdefault(id(part.source), set()).add(diff_ids[-1])
            else:
                diff_id, own[diff_id] = _rewrite(part, reader, progress, stack, on_layer)
                diff_ids.append(diff_id)
        image, base = (
            {} if source is None else _document(readers[id(source)], progress)
            for source in (edit.image, edit.base)
        )
        document = edit.configure(image, base, created)
        document["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
        data = json_bytes(document)
        yield Made(
            image_from_config(
                parse_config(document, data),
                reference=reference,
                image_id=describe(data, OCI_CONFIG).digest,
                source=edit.image.image.source,
            ),
            own,
            [(readers[key], layers - own.keys()) for key, layers in others.items()],
        )


def _now() -> str:
    given = os.environ.get(_EPOCH, "")
    seconds = int(given) if given.isascii() and given.isdecimal() else time.time()
    text = rfc3339(seconds)
    if text is None:
        raise UsageError(f"{_EPOCH}={visible(given)} is not a number of seconds.")
    return text


def _document(reader: ImageReader, progress: Progress) -> Document:
    """Returns the stored configuration, which some sources only know after reading."""
    if not reader.image.document:
        for _ in reader.tars(progress, ()):
            pass
    document: Document = go_json(reader.image.document)
    return document


def _rewrite(
    part: Rewritten, reader: ImageReader, progress: Progress, files: ExitStack, on_layer: OnLayer
) -> tuple[str, Blob]:
    """Writes a new layer to an unnamed file; returns its diff_id and the file."""
    source, top = part.source, part.layers.stop
    needed = _layers_needed(source, part)
    layers = source.image.layers
    progress.what = "Reading the layers"
    tars: dict[str, IO[bytes]] = {}
    for meant, read in reader.tars(progress, {layers[layer].diff_id for layer in needed}):
        file = files.enter_context(spooled())
        tars[copied(read, file, None, progress, partial(on_layer, meant))[0]] = file
    changesets = list(source.stack.changesets[:top])
    by_layer: dict[int, IO[bytes]] = {}
    for layer in needed:
        name, place = layers[layer].diff_id, visible(source.image.source)
        if name not in tars:
            problem = f"layer {layer} is not the one that the configuration names"
            raise BadInputError(place, None, problem)
        file = by_layer[layer] = tars[name]
        size = os.fstat(file.fileno()).st_size
        container = FileRange(file.fileno(), 0, size)
        changesets[layer] = read_layer(container, 0, size, file=place, name=name)
    stack = Stack(changesets)
    found = part.flatten(stack)

    def content(row: int) -> Iterator[bytes]:
        version = int(found.inodes[row])
        layer = int(stack.layers[version])
        inner = version - stack.bases[layer]
        start = int(changesets[layer].data_offsets[inner])
        left = stored_size(changesets[layer], inner)
        while left > 0 and (piece := os.pread(by_layer[layer].fileno(), min(left, _PIECE), start)):
            yield piece
            start += len(piece)
            left -= len(piece)

    progress.what, progress.done, progress.total = "Writing the layer", 0, None
    read = reader_of_pieces(map(bytes, layer_pieces(found.changeset, content)))
    diff_id, _, blob = copied(read, files.enter_context(spooled()), None, progress)
    return diff_id, blob


def _layers_needed(source: Source, part: Rewritten) -> list[int]:
    """Returns the layers with a new one's content, also below it because of hard links."""
    found = part.flatten(source.below(part.layers.stop))
    files = found.inodes[found.changeset.kinds == EntryType.FILE]
    return sorted({*part.layers, *source.stack.layers[files].tolist()})
