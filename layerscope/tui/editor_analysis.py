"""A Dockerfile that is edited, as it is read: at each key, or beside the screen if it is long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from layerscope.tui.background import uncollected

if TYPE_CHECKING:
    from layerscope.dockerfile.colours import ColourSpan
    from layerscope.dockerfile.document import Document
    from layerscope.dockerfile.format import Edit


@dataclass(frozen=True, slots=True)
class Analysis:
    """A text, read.

    Attributes:
        text: The text, as it is on disk.
        document: The same as a document.
        colours: The colours of each line.
        complete: Whether these go on to the end of each instruction.
    """

    text: str
    document: Document
    colours: Sequence[Sequence[ColourSpan]]
    complete: bool = True


#: Characters up to which a text is read again at each key; a longer one is read beside the screen.
SMALL = 20_000


def analyse(text: str) -> Analysis:
    """Reads a text."""
    from layerscope.dockerfile.colours import ColoursWhenSeen, line_colours
    from layerscope.dockerfile.parser import parse

    if len(text) <= SMALL:
        return Analysis(text, parse(text), line_colours(text))
    with uncollected():
        document = parse(text)
        seen = ColoursWhenSeen(document)
    return Analysis(text, document, seen, seen.complete)


class Formatted(Message):
    """It is known what formatting changes.

    Attributes:
        analysis: The text that it was asked for, read.
        text: What it becomes; the same if it is formatted already.
        edits: Pieces of the text and what takes their place.
    """

    def __init__(self, analysis: Analysis, text: str, edits: Sequence[Edit]) -> None:
        super().__init__()
        self.analysis = analysis
        self.text = text
        self.edits = edits
