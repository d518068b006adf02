"""Creates the layers of uncached steps: entries, compared with old layers, and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from layerscope.build.embedded.copy_step import CopyStep
from layerscope.build.embedded.copying import Written, same_layer, written
from layerscope.build.embedded.layers import Layers, add_layer
from layerscope.build.embedded.metadata import StepError
from layerscope.build.embedded.picked import Copy, Picked
from layerscope.build.embedded.sources import FOLDER, EmptySource, Source, resolve
from layerscope.build.embedded.state import State, StoredLayer
from layerscope.engines.embedded.build_cache import Step as CachedStep
from layerscope.engines.embedded.store import Lease, Store
from layerscope.filesystem.layer_tar import layer_pieces
from layerscope.sandbox.foreign import cannot_run
from layerscope.text import visible


class Maker:
    def __init__(self, store: Store, lease: Lease, check: Callable[[], None]) -> None:
        self.layers = Layers(store)
        self._lease, self._check = lease, check
        self.close = self.layers.close

    def view(self, state: State) -> Source:
        """Returns the merged view of an image so far."""
        return self.layers.source(state.layers, "")

    def copied(self, step: CopyStep, state: State) -> Written:
        """Returns the entries of a COPY or ADD."""
        return written(step.copy(lambda: self.view(state)))

    def folder(self, state: State, folder: str) -> Written | None:
        """Returns the entries of a new folder and its parents; None if it exists."""
        view = self.view(state)
        _, node = resolve(view, folder.encode("utf-8", "surrogateescape"))
        if node is None:
            made = Picked(EmptySource(), b"", FOLDER, b"")
            return written(Copy([made], folder + "/", view))
        if not node.is_folder:
            raise StepError(f"{visible(folder)} is not a folder.")
        return None

    def check_machine(self, state: State, program: str) -> None:
        """Raises StepError if an image's program is for another machine."""
        _, node = resolve(self.view(state), program.strip("/").encode("utf-8", "surrogateescape"))
        if node is None or node.content is None or not program.startswith("/"):
            return
        if cannot_run(next(iter(node.content()), b"")):
            raise StepError(
                f"{visible(program)} of the image is for another machine.",
                "Build for this one, or install an emulator (qemu-user-static).",
            )

    def same(self, made: Written, candidates: Iterable[CachedStep]) -> CachedStep | None:
        """Returns a step that copied the same files, perhaps with other times."""
        for step in candidates:
            layer = StoredLayer.made(step.layer, step.size)
            old = self.layers.changeset(layer)

            def content(row: int, layer: StoredLayer = layer) -> Any:
                return self.layers.content(layer, self.layers.changeset(layer), row)

            if same_layer(made, old, content):
                return step
        return None

    def write(self, made: Written | None) -> StoredLayer | None:
        """Adds a layer to the store, unless it would be empty."""
        if made is None or not len(made.changeset):
            return None
        pieces = layer_pieces(made.changeset, made.content)
        try:
            return StoredLayer.made(*add_layer(self._lease, pieces, self._check))
        except ValueError as error:
            path = visible(made.changeset.path(int(error.args[0])))
            raise StepError(f"{path} changed its size while it was read.", "Try again.") from None
