"""The characters that draw: one name for each, and what stands for it where a terminal lacks it.

Widgets take marks from here, by name. What a terminal cannot show is replaced in the lines that are
painted, whoever made them: borders, marks, titles, and file names too. Each character is replaced
by one of the same width, so that no layout depends on the terminal.
"""

from __future__ import annotations

import locale
import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

if TYPE_CHECKING:
    from textual.app import App

#: What was cut off.
ELLIPSIS = "…"
#: Between two parts of a title.
DOT = "·"
#: From one number to another.
RANGE = "–"
#: From one value to another.
TO = "→"
#: A folder that is open, one that is not, and the order of a column.
OPEN, CLOSED, DESCENDING, ASCENDING = "▾", "▸", "▾", "▴"
#: A bar, its half, and the rest of it.
BAR, HALF_BAR = "━", "╸"
#: The edge of rows that belong together.
EDGE = "▌"
#: Where the view is in what it shows.
THUMB = "▐"
#: A line down, and across.
VERTICAL, HORIZONTAL = "│", "─"
#: Marks in front of a line: done, failed, being worked on.
DONE, FAILED, BUSY = "✓", "✗", "●"

#: Between what is beside each other in a title.
SEPARATOR = f" {DOT} "


_DRAWN = str.maketrans("", "", OPEN + CLOSED + BAR + HALF_BAR + EDGE + THUMB)


#: What Textual has signs for that few know.
KEY_WORDS_ALWAYS = {"⏎": "enter", "⌫": "backspace"}
#: And those that not every terminal has.
KEY_WORDS = {**KEY_WORDS_ALWAYS, "↑": "up", "↓": "down", "←": "left", "→": "right"}


class Level(Enum):
    """What a terminal can show."""

    UNICODE = "unicode"
    #: The font of a virtual console: UTF-8, with the characters that a PC always had.
    CONSOLE = "console"
    ASCII = "ascii"


_CONSOLE = {
    **dict(zip("╭╮╰╯┏┓┗┛━┃╸╺", "┌┐└┘┌┐└┘═│──", strict=True)),
    **dict(zip("▾▸▴◂▼▶▲◀", "▼►▲◄▼►▲◄", strict=True)),
    **dict(zip("…–—‘’“”✓✗●⌫⏎×", "~--''\"\"+x*<<x", strict=True)),
}
_ASCII = {
    **dict(zip("╭╮╰╯┌┐└┘┏┓┗┛╔╗╚╝├┤┬┴┼", "+" * 21, strict=True)),
    **dict(zip("─│━┃═║╸╺╴╶╵╷", "-|=|=|--||||", strict=True)),
    **dict(zip("▾▸▴◂▼▶▲◀►◄", "v>^<v>^<><", strict=True)),
    **dict(zip("▌▐█▀▄▎▍▏▕▔▁▉▊▋", "|###_||||^_###", strict=True)),
    **dict(zip("…·–—×→←↑↓✓✗●○•‘’“”⌫⏎ ", "~.--x><^v+x*o*''\"\"<< ", strict=True)),
}


@lru_cache(4096)
def _ascii(character: str) -> str:
    known = _ASCII.get(character)
    if known is not None:
        return known
    return character if character.isascii() else "?" * get_character_cell_size(character)


def replaced(text: str, level: Level) -> str:
    """A text of the same width that a terminal can show.

    Args:
        text: Safe to show otherwise.
        level: What the terminal can show.
    """
    if level is Level.UNICODE or text.isascii():
        return text
    if level is Level.CONSOLE:
        return "".join(_CONSOLE.get(character, character) for character in text)
    return "".join(map(_ascii, text))


def sentence(text: str, level: Level) -> str:
    """A text that need not keep its width: what trails off does so in three dots."""
    if level is not Level.UNICODE:
        text = text.replace(ELLIPSIS, "...").replace(TO, "->")
    return replaced(text, level)


def plain(text: str) -> str:
    """A line as a text that others can use: without what only draws, columns two blanks apart."""
    return re.sub(r"\s{3,}", "  ", text.translate(_DRAWN)).strip()


def level_of(app: App[object]) -> Level:
    """What the terminal of an app can show."""
    level: Level = getattr(app, "glyphs", Level.UNICODE)
    return level


class GlyphFilter(LineFilter):
    """Replaces what a terminal cannot show in the lines that are painted."""

    def __init__(self, level: Level) -> None:
        """Makes a filter.

        Args:
            level: What the terminal can show.
        """
        super().__init__(level is not Level.UNICODE)
        self.level = level

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same line in other characters."""
        return [
            segment
            if segment.text.isascii()
            else Segment(replaced(segment.text, self.level), segment.style, segment.control)
            for segment in segments
        ]


def fitting(wanted: bool | None, environment: Mapping[str, str]) -> Level:
    """What can be shown here.

    Args:
        wanted: Whether the user asks for ASCII; None leaves it to the terminal.
        environment: The variables that tell of the locale and the terminal.
    """
    if wanted or (wanted is None and not _unicode_locale(environment)):
        return Level.ASCII
    if wanted is None and environment.get("TERM") == "linux":
        return Level.CONSOLE if _unicode_console() else Level.ASCII
    return Level.UNICODE


def _unicode_locale(environment: Mapping[str, str]) -> bool:
    """Whether the locale's encoding is UTF-8.

    A locale that is not set at all, or `LANG=C`, is what minimal systems and containers have
    whatever the terminal. Python takes these for UTF-8, and so does this; `LC_ALL=C` is meant.
    """
    names = ["LC_ALL", "LC_CTYPE", "LANG"]
    if environment.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8") and environment.get("LANG"):
        # Python has set it, since this system does not have the locale that LANG names.
        names.remove("LC_CTYPE")
    name = next((value for each in names if (value := environment.get(each, ""))), "")
    if not name or (name in ("C", "POSIX") and not environment.get("LC_ALL")):
        return True
    if name in ("C", "POSIX"):
        return False
    _, dot, rest = name.partition(".")
    encoding = rest.partition("@")[0] if dot else locale.nl_langinfo(locale.CODESET)
    return encoding.lower().replace("-", "") == "utf8"


def _unicode_console() -> bool:
    """Whether the virtual console is in UTF-8 mode; true where it is none."""
    import fcntl
    import struct
    import sys

    get_keyboard_mode, unicode_mode = 0x4B44, 3
    try:
        found = fcntl.ioctl(sys.__stderr__, get_keyboard_mode, b"\0" * 4)  # type: ignore[arg-type]
    except (OSError, TypeError, ValueError):
        return True
    mode: int = struct.unpack("i", found)[0]
    return mode == unicode_mode
