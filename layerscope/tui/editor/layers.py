"""The layers that the instructions in an editor created."""

from __future__ import annotations

from collections.abc import Mapping

from layerscope.content.line_matching import same_items
from layerscope.dockerfile.checks.carry import texts
from layerscope.dockerfile.syntax.document import Document
from layerscope.tui.editor.draft import Analysis, Draft
from layerscope.tui.editor.environment import Findings, InstructionLayer

Layers = Mapping[int, InstructionLayer]


class InstructionLayers:
    """What instructions added to the open image or in the last build."""

    def __init__(self, draft: Draft) -> None:
        #: The layer whose instruction the cursor goes to once that is known.
        self.wanted: int | None = None
        self._draft = draft
        self._layers: Layers | None = None

    @property
    def here(self) -> InstructionLayer | None:
        """The layer of the instruction under the cursor, if known."""
        analysis = self._draft.current
        if self._layers is None or analysis is None:
            return None
        found = analysis.document.instruction_at(self._draft.area.selection.end[0])
        return None if found is None else self._layers.get(found.index)

    def why_none(self) -> str:
        """Returns a sentence on why the instruction under the cursor has no layer, or ""."""
        if self.here is not None:
            return ""
        if self._layers is None:
            return "No layers are known: build this Dockerfile, or open an image built from it."
        return "No layer of this instruction is known: it made none, or has changed since."

    def follow(self, before: Analysis | None, now: Analysis) -> None:
        """Keeps the layers of unchanged instructions after an edit."""
        if before is not None and self._layers is not None and before.text != now.text:
            self._layers = _carried(self._layers, before.document, now.document)
        self._show()

    def take(self, found: Findings) -> None:
        analysis, layers = self._draft.analysis, found.layers
        if analysis is None:
            return
        if layers is not None and analysis.document is not found.document:
            layers = _carried(layers, found.document, analysis.document)
        self._layers = layers
        self._show()
        if self.wanted is not None and layers:
            number = _maker(analysis.document, layers, self.wanted)
            if number is not None:
                self.wanted = None
                self._draft.area.go_to(analysis.document.instructions[number].span.start)

    def _show(self) -> None:
        analysis = self._draft.analysis
        if analysis is None or not self._layers:
            self._draft.area.set_sizes(None)
            return
        source, instructions = analysis.document.source, analysis.document.instructions
        self._draft.area.set_sizes(
            {
                source.line_at(instructions[number].span.start): each.label
                for number, each in self._layers.items()
                if number < len(instructions)
            }
        )


def _maker(document: Document, layers: Layers, wanted: int) -> int | None:
    """Returns the number of the instruction that created a layer: FROM for a base layer."""
    for number, each in layers.items():
        if each.layer == wanted or wanted in each.more:
            return number
    first = min(layers)
    lowest = layers[first].layer
    if lowest is None or wanted > lowest:
        return None
    stage = document.instructions[first].stage
    froms = (each for each in document.instructions if each.keyword == "FROM")
    return next((each.index for each in froms if each.stage == stage), None)


def _carried(layers: Layers, old: Document, new: Document) -> Layers:
    same = same_items(texts(old), texts(new))
    return {same[number]: each for number, each in layers.items() if number in same}
