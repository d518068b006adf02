"""Colours in build output; other escape sequences are shown as text."""

from __future__ import annotations

from collections.abc import Iterator

from rich.ansi import AnsiDecoder
from rich.style import Style

from layerscope.text import COLORS, visible
from layerscope.tui.rows.format import Line

_PLAIN = Style()
#: Hidden text is unsafe, and blinking text repaints all the time.
_CALM = Style(blink=False, blink2=False, conceal=False)
#: A fixed width, since a log is not aligned with anything.
_TAB = " " * 8


def _pieces(text: str) -> Iterator[str]:
    """Splits a text into colour sequences and what is between them."""
    place = 0
    for match in COLORS.finditer(text):
        yield text[place : match.start()]
        yield match[0]
        place = match.end()
    yield text[place:]


def colored_line(text: str, base: Style = _PLAIN, room: int | None = None) -> Line:
    """Returns at most `room` cells of a log line, in pieces with their colours."""
    # A carriage return restarts the line; only the last version counts.
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
            # For a bare sequence, rich only remembers its style.
            decoder.decode_line(piece)
        elif piece:
            style = base + decoder.style
            if style.blink or style.blink2 or style.conceal:
                style += _CALM
            line.append((visible(piece[:left]), style))
            left -= len(piece)
    return line
