"""Text for people: hostile bytes made harmless, sizes and ages as `docker images` prints them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

# Controls (C0, DEL, C1), lone surrogates, line separators, and everything that changes the
# direction of text or joins it invisibly: image content must neither move the cursor nor pretend
# to be something else.
_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)

_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", start=1):
    _UNITS[f"{_letter}b"] = _UNITS[_letter] = 1000**_power
    _UNITS[f"{_letter}ib"] = 1024**_power

#: Select Graphic Rendition (ECMA-48, 8.3.117): the colours and weights of a terminal.
COLORS = re.compile("\x1b\\[[0-9;:]*m")

#: What stands for the name of an image that has none.
_ID = re.compile("(docker-daemon:)?(sha256:)?[0-9a-f]{64}")

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def decode(data: bytes) -> str:
    """Bytes of a name as text; what is not UTF-8 becomes lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def visible(text: str | bytes) -> str:
    r"""Text that is safe on a terminal: whatever could be obeyed is shown as an escape.

    Bytes that are not UTF-8 are shown as `\xNN`, control characters likewise, invisible and
    direction-changing characters as `\uNNNN`.
    """
    if isinstance(text, bytes):
        text = decode(text)
    return _HOSTILE.sub(_escape, text) if _HOSTILE.search(text) else text


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    simple = {9: "\\t", 10: "\\n", 13: "\\r", 27: "\\e"}.get(code)
    if simple is not None:
        return simple
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible_pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of what `visible` makes of a text, and whether each stands for something hostile.

    Args:
        text: The text.
    """
    reached = 0
    for match in _HOSTILE.finditer(text):
        if match.start() > reached:
            yield text[reached : match.start()], False
        yield _escape(match), True
        reached = match.end()
    if reached < len(text):
        yield text[reached:], False


def one_line(text: str | bytes) -> str:
    """Text with runs of white space folded, and safe on a terminal."""
    if isinstance(text, bytes):
        text = decode(text)
    return visible(" ".join(text.split()))


def printable(text: str) -> bool:
    """Whether a text can be shown as it is."""
    return not _HOSTILE.search(text) and unicodedata.is_normalized("NFC", text)


def parse_size(text: str) -> int | None:
    """Bytes of a size such as `20MB`, `1.5 GiB` or `1000`; None if it is none."""
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text, re.ASCII)
    unit = _UNITS.get(match[2].lower()) if match else None
    return None if match is None or unit is None else int(float(match[1]) * unit)


def docker_size(size: int) -> str:
    """A size as `docker images` prints it: three digits, decimal units, `1.23GB`."""
    value = float(size)
    unit = 0
    while value >= 1000 and unit < len(_SIZES) - 1:
        value /= 1000
        unit += 1
    return f"{value:.3g}{_SIZES[unit]}" if value < 999.5 else f"{value:.0f}{_SIZES[unit]}"


def docker_age(created: float, now: float) -> str:
    """An age as `docker images` prints it: `3 weeks ago`."""
    if created <= 0:
        return "N/A"
    return _duration(max(0, int(now - created))) + " ago"


def rfc3339(seconds: float, fraction: bool = False) -> str | None:
    """A Unix time as JSON has it (RFC 3339, in UTC); None if no calendar has it.

    Args:
        seconds: The time.
        fraction: Whether to tell milliseconds.
    """
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    text = moment.isoformat(timespec="milliseconds" if fraction else "seconds")
    return text.replace("+00:00", "Z")


def _duration(seconds: int) -> str:
    minutes = seconds // 60
    hours = (seconds + 1800) // 3600
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{hours // 24 // 365} years"


def short_name(reference: str) -> str:
    """A reference, safe on a terminal; of an image without a name, the first digits of its id."""
    return short_id(reference) if _ID.fullmatch(reference) else visible(reference)


def short_id(identifier: str) -> str:
    """The first twelve digits of an id or digest, without its algorithm, safe on a terminal."""
    return visible(identifier.rpartition(":")[2][:12])
