"""Rows for the layers of an image that is copied: while they are read, and then written."""

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
    """The rows of all layers; `why` the lowest ones that are `there` need not be copied."""
    for layer in image.layers:
        state: State = "exists" if layer.index < there else "waiting"
        recorder.layer(row_of(layer.diff_id), state, text=why if layer.index < there else None)


def reading(recorder: Recorder) -> OnLayer:
    """Reports the bytes of layers that are read, as far as it is known which they are."""

    def report(diff_id: str, current: int) -> None:
        if diff_id:
            recorder.layer(row_of(diff_id), "reading", current)

    return report


def imported(recorder: Recorder, state: State = "reading") -> OnImport:
    """Reports layers that come into the embedded store; `state` is what their bytes do."""

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
    """Reports the bytes of layers that are written one after the other, as `archive_pieces` does.

    `rows` are the names of rows by the digests of blobs, where they are not called by these.
    """
    layers = {layer.digest for layer in image.layers}
    ends: list[tuple[int, int, str]] = []  # Where a blob ends, its size and row; the first is last.
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
    """The diff_id of each layer, by the digest of its blob."""
    pairs = zip(packed.layers, image.layers, strict=True)
    return {blob.digest: layer.diff_id for blob, layer in pairs}
