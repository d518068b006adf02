"""Text that an editor holds in place of a file's: no control character is in it, and none is lost.

Each character that a terminal would obey, or that takes no cell, or that stands for a byte that is
not UTF-8, is replaced by one of its own in a private part of Unicode. So offsets stay the same, a
cell is a cell, lines end at line feeds only, and the way back is exact.
"""

from __future__ import annotations

import re
import unicodedata

# What `layerscope.text` takes for hostile, but for tabs and line feeds, which an editor knows.
_HOSTILE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
#: Planes 15 and 16, where nobody else has characters.
_FIRST, _TAGS, _FIRST_TAG = 0xF0000, 0xE0000, 0x100000
_STANDING = re.compile("[\U000f0000-\U000ffffd\U00100000-\U0010007f]")


def representable(text: str) -> bool:
    """Whether a text has no character that would be taken for one that stands for another."""
    return text.isascii() or _STANDING.search(text) is None


def held(text: str) -> str:
    """What an editor holds of a text of a file, character by character."""
    return _HOSTILE.sub(_hold, text) if _HOSTILE.search(text) else text


def written(text: str) -> str:
    """The text of the file for what an editor holds."""
    if text.isascii() or _STANDING.search(text) is None:
        return text
    return _STANDING.sub(lambda match: chr(_meant(match[0])), text)


def stands(character: str) -> bool:
    """Whether a character stands for another one."""
    return character >= "\U000f0000" and _STANDING.match(character) is not None


def sign(character: str) -> str:
    """What is shown for a character that stands for another one, in one cell."""
    code = _meant(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def name(character: str) -> str:
    """What a character that stands for another one is called."""
    code = _meant(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"byte 0x{code - 0xDC00:02x}, not UTF-8"
    known = "carriage return" if code == 13 else unicodedata.name(chr(code), "control character")
    return f"U+{code:04X} {known.lower()}"


def _hold(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(_FIRST + code if code < _TAGS else _FIRST_TAG + code - _TAGS)


def _meant(character: str) -> int:
    code = ord(character)
    return code - _FIRST if code < _FIRST_TAG else code - _FIRST_TAG + _TAGS
