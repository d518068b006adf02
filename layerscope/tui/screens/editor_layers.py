"""The layers that the instructions in an editor made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerscope.dockerfile.carry import same_instructions, texts

if TYPE_CHECKING:
    from layerscope.dockerfile.document import Document
    from layerscope.tui.editor_analysis import Analysis
    from layerscope.tui.editor_work import Made
    from layerscope.tui.screens.editor import EditorScreen


class Layers:
    """What instructions added, to the image that is open or in the last build.

    Attributes:
        wanted: The layer whose instruction the cursor is to be put on, once that is known.
    """

    def __init__(self, screen: EditorScreen) -> None:
        self.wanted: int | None = None
        self._screen = screen
        self._made: dict[int, Made] | None = None

    @property
    def here(self) -> Made | None:
        """What the instruction under the cursor made; None if that is not known."""
        analysis = self._screen.analysis
        if self._made is None or analysis is None or not self._screen.up_to_date:
            return None
        found = analysis.document.instruction_at(self._screen.area.selection.end[0])
        return None if found is None else self._made.get(found.index)

    @property
    def known(self) -> bool:
        """Whether there is an image, or a build, that the text has to do with."""
        return self._made is not None

    def follow(self, before: Analysis | None, now: Analysis) -> None:
        """Keeps, after an edit, those of the instructions that are unchanged."""
        if before is not None and self._made is not None and before.text != now.text:
            self._made = self._carried(self._made, before.document, now.document)
        self._show()

    def take(self, document: Document, made: dict[int, Made] | None) -> None:
        """Takes what the instructions of a document made."""
        analysis = self._screen.analysis
        if analysis is None:
            return
        if made is not None and analysis.document is not document:
            made = self._carried(made, document, analysis.document)
        self._made = made
        self._show()
        self._go_to_wanted()

    @staticmethod
    def _carried(made: dict[int, Made], old: Document, new: Document) -> dict[int, Made]:
        same = same_instructions(texts(old), texts(new))
        return {same[number]: each for number, each in made.items() if number in same}

    def _show(self) -> None:
        analysis = self._screen.analysis
        if analysis is None or not self._made:
            self._screen.area.set_sizes(None)
            return
        source = analysis.document.source
        instructions = analysis.document.instructions
        self._screen.area.set_sizes(
            {
                source.line_at(instructions[number].span.start): each.label
                for number, each in self._made.items()
                if number < len(instructions)
            }
        )

    def _go_to_wanted(self) -> None:
        wanted, analysis = self.wanted, self._screen.analysis
        if wanted is None or self._made is None or analysis is None:
            return
        self.wanted = None
        for number, each in self._made.items():
            if each.layer == wanted or wanted in each.more:
                self._screen.area.go_to(analysis.document.instructions[number].span.start)
