"""An editor's form of a file's text: without control characters, and reversible.

Each character that a terminal would obey, that takes no cell, or that represents a byte that is not
UTF-8 is replaced by a character in a private use area of Unicode. Offsets do not change, every
character takes a cell, only line feeds end lines, and the original can be restored exactly.
"""

from __future__ import annotations

import re
import unicodedata

from layerscope.text import HOSTILE_IN_LINES

#: Planes 15 and 16, which are private use areas.
_FIRST, _TAGS, _FIRST_TAG = 0xF0000, 0xE0000, 0x100000
_STANDING = re.compile("[\U000f0000-\U000ffffd\U00100000-\U0010007f]")


def representable(text: str) -> bool:
    """Whether a text contains none of the replacement characters itself."""
    return text.isascii() or _STANDING.search(text) is None


def held(text: str) -> str:
    """The editor's form of a file's text, character by character."""
    return HOSTILE_IN_LINES.sub(_hold, text)


def written(text: str) -> str:
    return _STANDING.sub(lambda match: chr(_meant(match[0])), text)


def stands(character: str) -> bool:
    return character >= "\U000f0000" and _STANDING.match(character) is not None


def sign(character: str) -> str:
    """The displayed form, one cell wide, of a replacement character."""
    code = _meant(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def name(character: str) -> str:
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
