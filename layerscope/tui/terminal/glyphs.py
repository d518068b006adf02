"""The characters for drawing, by name, and their replacements on simpler terminals.

A filter replaces characters that the terminal cannot show in all painted lines: borders, marks,
titles and file names. Replacements have the same width, so the layout does not change.
"""

from __future__ import annotations

import locale
import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

#: Marks text that was cut off.
ELLIPSIS = "…"
#: Separates parts of a title.
DOT = "·"
#: From one number to another.
RANGE = "–"
#: From one value to another.
TO = "→"
#: An open folder, a closed one, and the order of a column.
OPEN, CLOSED, DESCENDING, ASCENDING = "▾", "▸", "▾", "▴"
#: A bar, its half, and the rest of it.
BAR, HALF_BAR = "━", "╸"
#: The edge of rows that belong together.
EDGE = "▌"
#: The scroll position.
THUMB = "▐"
#: A line down, and across.
VERTICAL, HORIZONTAL = "│", "─"
#: Marks in front of a line: done, failed, being worked on.
DONE, FAILED, BUSY = "✓", "✗", "●"

#: Separates facts in a title.
SEPARATOR = f" {DOT} "


_DRAWN = str.maketrans("", "", OPEN + CLOSED + BAR + HALF_BAR + EDGE + THUMB)


#: Usual names of keys for which Textual has a longer name or a symbol.
KEY_NAMES = {
    "escape": "esc",
    "enter": "enter",
    "tab": "tab",
    "slash": "/",
    "question_mark": "?",
    "colon": ":",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
}
#: Words for Textual's symbols that few people know.
KEY_WORDS_ALWAYS = {"⏎": "enter", "⌫": "backspace"}
#: Words for symbols that some terminals lack, too.
KEY_WORDS = {**KEY_WORDS_ALWAYS, "↑": "up", "↓": "down", "←": "left", "→": "right"}


class Level(Enum):
    """What a terminal can show."""

    UNICODE = "unicode"
    #: The font of a virtual console: UTF-8, with only the classic PC characters.
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
    """Returns a text of the same width that the terminal can show."""
    if level is Level.UNICODE or text.isascii():
        return text
    if level is Level.CONSOLE:
        return "".join(_CONSOLE.get(character, character) for character in text)
    return "".join(map(_ascii, text))


def sentence(text: str, level: Level) -> str:
    """Returns a text that the terminal can show; its width may change."""
    if level is not Level.UNICODE:
        text = text.replace(ELLIPSIS, "...").replace(TO, "->")
    return replaced(text, level)


def plain(text: str) -> str:
    """Returns a line as text to copy: no drawing characters, two spaces between columns."""
    return re.sub(r"\s{3,}", "  ", text.translate(_DRAWN)).strip()


class GlyphFilter(LineFilter):
    """Replaces characters that the terminal cannot show in painted lines."""

    def __init__(self, level: Level) -> None:
        super().__init__(level is not Level.UNICODE)
        self.level = level

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment
            if segment.text.isascii()
            else Segment(replaced(segment.text, self.level), segment.style, segment.control)
            for segment in segments
        ]


def fitting(wanted: bool | None, environment: Mapping[str, str]) -> Level:
    """Returns what the terminal can show; `wanted` is the user's choice of ASCII, if any."""
    if wanted or (wanted is None and not _unicode_locale(environment)):
        return Level.ASCII
    if wanted is None and environment.get("TERM") == "linux":
        return Level.CONSOLE if _unicode_console() else Level.ASCII
    return Level.UNICODE


def _unicode_locale(environment: Mapping[str, str]) -> bool:
    """Whether the locale's encoding is UTF-8.

    Minimal systems and containers set no locale, which counts as UTF-8. Python does the same for
    `C`, which here means ASCII.
    """
    names = ["LC_ALL", "LC_CTYPE", "LANG"]
    if environment.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8") and environment.get("LANG"):
        # Python has set it, since LANG names the C locale or one that this system lacks.
        names.remove("LC_CTYPE")
    name = next((value for each in names if (value := environment.get(each, ""))), "")
    if not name:
        return True
    if name in ("C", "POSIX"):
        return False
    _, dot, rest = name.partition(".")
    encoding = rest.partition("@")[0] if dot else locale.nl_langinfo(locale.CODESET)
    return encoding.lower().replace("-", "") == "utf8"


def _unicode_console() -> bool:
    """Whether the virtual console is in UTF-8 mode; true on other terminals."""
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
