"""Colors of reports on a terminal: few, and never the only indication of anything.

Changes are green, yellow and red, in addition to their letters; failures are red, and passes
green. Sizes have weights: bold from a gigabyte on, dim below a megabyte. A terminal's own 16 colors
suit its background, so no others are used.
"""

from __future__ import annotations

import os
import sys

from layerscope.filesystem.change import Change
from layerscope.status_line import is_dumb
from layerscope.text import COLORS, docker_size
from layerscope.text import clip as clip_plain

BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"

_CHANGES = {Change.ADDED: GREEN, Change.MODIFIED: YELLOW, Change.REMOVED: RED}
_LETTERS = {change.letter: color for change, color in _CHANGES.items()}

_wanted = False


def choose(when: str) -> None:
    """Sets when to use colors: `always`, `never`, or `auto` (on a terminal that has them)."""
    global _wanted
    _wanted = when == "always" or (when == "auto" and _has_colors())


def _has_colors() -> bool:
    if os.environ.get("NO_COLOR") or is_dumb():
        return False
    return sys.stdout is not None and sys.stdout.isatty()


def wanted() -> bool:
    return _wanted


def painted(text: str, color: str) -> str:
    return f"\x1b[{color}m{text}\x1b[m" if _wanted and color and text.strip() else text


def by_change(text: str, change: Change) -> str:
    return painted(text, _CHANGES.get(change, ""))


def marked(letter: str) -> str:
    """The letter of a change in its color."""
    return painted(letter, _LETTERS.get(letter, ""))


def by_size(text: str, size: int) -> str:
    """A text with the weight of a size."""
    if not _wanted:
        return text
    return painted(text, BOLD if size >= 1e9 else DIM if size < 1e6 else "")


def sized(size: int, width: int = 0) -> str:
    """`docker_size` with its weight, right-aligned."""
    return by_size(f"{docker_size(size):>{width}}", size)


def clip(text: str, length: int) -> str:
    """As `text.clip`, for a text that may have colors."""
    if not _wanted or not COLORS.search(text):
        return clip_plain(text, length)
    if len(COLORS.sub("", text)) <= length:
        return text
    kept: list[str] = []
    left = length - 1
    place = 0
    for match in COLORS.finditer(text):
        piece = text[place : match.start()]
        kept += [piece[: max(0, left)], match[0]]
        left -= len(piece)
        place = match.end()
    kept.append(text[place:][: max(0, left)])
    return "".join(kept) + "…"
