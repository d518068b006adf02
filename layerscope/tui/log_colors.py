"""Colours in build output: the one thing of it that is translated; all else is shown as it is."""

from __future__ import annotations

from collections.abc import Iterator

from rich.ansi import AnsiDecoder
from rich.style import Style

from layerscope.text import COLORS, visible
from layerscope.tui.format import Line

_PLAIN = Style()
#: What no line may ask for: to be hidden, or to draw on the terminal for as long as it is shown.
_CALM = Style(blink=False, blink2=False, conceal=False)
#: Cells to the next tab stop are not counted: a log is not aligned with anything.
_TAB = " " * 8


def _pieces(text: str) -> Iterator[str]:
    """What is between the colours, and these, one after another."""
    place = 0
    for match in COLORS.finditer(text):
        yield text[place : match.start()]
        yield match[0]
        place = match.end()
    yield text[place:]


def colored_line(text: str, base: Style = _PLAIN, room: int | None = None) -> Line:
    """A line of a log in pieces, each in the colours that it asks for.

    Args:
        text: The line as it was printed. What a progress bar drew over itself is left out.
        base: The style of what asks for none.
        room: Cells that are of interest; None for all.
    """
    # A carriage return draws over what was before it; what was drawn last counts.
    last = text.rstrip("\r").rpartition("\r")[2].replace("\t", _TAB)
    if "\x1b" not in last:
        return [(visible(last[:room]), base)]
    decoder = AnsiDecoder()
    line: Line = []
    left = len(last) if room is None else room
    for piece in _pieces(last):
        if left <= 0:
            break
        if COLORS.fullmatch(piece):
            # rich knows the numbers; given one sequence alone, it can do nothing but keep it.
            decoder.decode_line(piece)
        elif piece:
            style = base + decoder.style
            if style.blink or style.blink2 or style.conceal:
                style += _CALM
            line.append((visible(piece[:left]), style))
            left -= len(piece)
    return line
