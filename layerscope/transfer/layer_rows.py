"""Rows for the layers of a copied image, while they are read and then written."""

from __future__ import annotations

from collections.abc import Mapping

from layerscope.engines.embedded.importing import LayerState
from layerscope.engines.embedded.importing import OnLayer as OnImport
from layerscope.images.archives.packing import OnLayer
from layerscope.images.archives.writing import Advance, PackedImage
from layerscope.images.image import Image
from layerscope.images.progress import Progress
from layerscope.transfer.events import State
from layerscope.transfer.recorder import Recorder, row_of


def show_layers(recorder: Recorder, image: Image, there: int = 0, why: str | None = None) -> None:
    """Shows all layers; the lowest, which are already `there`, with the reason `why`."""
    for layer in image.layers:
        state: State = "exists" if layer.index < there else "waiting"
        recorder.layer(row_of(layer.diff_id), state, text=why if layer.index < there else None)


def reading(recorder: Recorder) -> OnLayer:
    """Returns a callback that reports the bytes read of known layers."""

    def report(diff_id: str, current: int) -> None:
        if diff_id:
            recorder.layer(row_of(diff_id), "reading", current)

    return report


def imported(recorder: Recorder, state: State = "reading") -> OnImport:
    """Returns a callback that reports layers imported into the embedded store, in a state."""

    def report(diff_id: str, what: LayerState, current: int) -> None:
        if not diff_id:
            return
        if what == "done":
            recorder.expect({row_of(diff_id): current})
        moves = what == "downloading"
        recorder.layer(
            row_of(diff_id), state if moves else what, current, None if moves else current
        )

    return report


def writing(
    recorder: Recorder,
    progress: Progress,
    image: PackedImage,
    state: State,
    rows: Mapping[str, str] | None = None,
) -> Advance:
    """Returns a callback that reports layers written one after the other, as by `archive_pieces`.

    `rows` are the names of rows by blob digest, if they are not the digests.
    """
    layers = {layer.digest for layer in image.layers}
    ends: list[
        tuple[int, int, str]
    ] = []  # End offset, size and row of each blob; the first is last.
    end = 0
    for digest, size in {blob.digest: blob.size for blob in image.blobs}.items():
        end += size
        row = row_of((rows or {}).get(digest, digest)) if digest in layers else ""
        ends.insert(0, (end, size, row))

    def advance(written: int) -> None:
        progress.advance(written)
        while ends:
            end, size, row = ends[-1]
            current = written - (end - size)
            if row and current > 0:
                recorder.layer(row, state, min(current, size), size)
            if current < size:
                return
            ends.pop()

    return advance


def rows_of(image: Image, packed: PackedImage) -> dict[str, str]:
    """Returns the diff_id of each layer, by blob digest."""
    pairs = zip(packed.layers, image.layers, strict=True)
    return {blob.digest: layer.diff_id for blob, layer in pairs}
