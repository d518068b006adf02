"""Text for users: safe on a terminal; sizes, ages, counts and lists."""

from __future__ import annotations

import codecs
import re
import time
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import IntEnum

# Controls (C0, DEL, C1), lone surrogates, line separators, and everything that changes the
# direction of text or joins it invisibly: image content must neither move the cursor nor
# masquerade as something else.
INVISIBLE = (
    "\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
_HOSTILE = re.compile(f"[\x00-\x1f{INVISIBLE}]")
#: The same, except that line feeds and tabs keep their meaning.
HOSTILE_IN_LINES = re.compile(f"[\x00-\x08\x0b-\x1f{INVISIBLE}]")

_LONG = re.compile(r"\S{201,}")  # Too long for anyone to read.
_LONGEST = 2000

_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", start=1):
    _UNITS[f"{_letter}b"] = _UNITS[_letter] = 1000**_power
    _UNITS[f"{_letter}ib"] = 1024**_power

#: Select Graphic Rendition (ECMA-48, 8.3.117): colors and weights.
COLORS = re.compile("\x1b\\[[0-9;:]*m")

#: The source of an image without a name.
_ID = re.compile("(docker-daemon:|embedded:)?(sha256:)?[0-9a-f]{64}")

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


class LabelledEnum(IntEnum):
    """Numbers whose lower-case names are shown and used in JSON."""

    @property
    def label(self) -> str:
        return self.name.lower()


def decode(data: bytes) -> str:
    """Bytes as text; bytes that are not UTF-8 become lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def visible(text: str | bytes) -> str:
    r"""Text that is safe on a terminal.

    Control characters and bytes that are not UTF-8 are shown as `\xNN`, invisible characters and
    those that change the direction of text as `\uNNNN`.
    """
    if isinstance(text, bytes):
        text = decode(text)
    return _HOSTILE.sub(_escape, text) if _HOSTILE.search(text) else text


def visible_lines(text: str) -> str:
    """Text of several lines that is safe on a terminal, as `visible`."""
    return HOSTILE_IN_LINES.sub(_escape, text)


def visible_content(pieces: Iterable[bytes]) -> Iterator[str]:
    """`visible_lines` for content in pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for piece in pieces:
        yield visible_lines(decoder.decode(piece))
    yield visible_lines(decoder.decode(b"", final=True))


def shell_quoted(text: str) -> str:
    """Text that is safe to paste into a shell: quoted if it has what `visible` escapes."""
    if not _HOSTILE.search(text):
        return text
    quoted = re.sub(r"['\\]", r"\\\g<0>", text)
    octal = _HOSTILE.sub(
        lambda match: "".join(f"\\{byte:03o}" for byte in _bytes(match[0])), quoted
    )
    return f"$'{octal}'"


def _bytes(text: str) -> bytes:
    return text.encode(
        "utf-8", "surrogateescape" if "\udc80" <= text <= "\udcff" else "surrogatepass"
    )


def shortened(text: str) -> str:
    """A sentence with long values cut, such as paths of thousands of characters."""
    return clip(_LONG.sub(lambda match: f"{match[0][:120]}…{match[0][-40:]}", text), _LONGEST)


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
    """The pieces of `visible(text)`, and whether each is an escape."""
    reached = 0
    for match in _HOSTILE.finditer(text):
        if match.start() > reached:
            yield text[reached : match.start()], False
        yield _escape(match), True
        reached = match.end()
    if reached < len(text):
        yield text[reached:], False


def one_line(text: str | bytes) -> str:
    """Text on one line, with white space collapsed, and safe on a terminal."""
    return visible(" ".join((decode(text) if isinstance(text, bytes) else text).split()))


def not_expected(what: str, expected: str, got: str) -> str:
    """Reports the expected digest and the one found."""
    return f"its {what} should be {visible(expected)}, but is {visible(got)}"


def clip(text: str, length: int) -> str:
    """A text of at most `length` characters; an ellipsis marks the cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def printable(text: str) -> bool:
    return not _HOSTILE.search(text) and unicodedata.is_normalized("NFC", text)


def parse_size(text: str) -> int | None:
    """The bytes of a size such as `20MB`, `1.5 GiB` or `1000`, or None."""
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text, re.ASCII)
    unit = _UNITS.get(match[2].lower()) if match else None
    return None if match is None or unit is None else int(float(match[1]) * unit)


def plural(number: int, one: str, many: str = "") -> str:
    """A count and its noun: `1 layer`, `1,204 layers`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Iterable[str]) -> str:
    """Names as in a sentence: `a, b and c`."""
    # Imported here: most runs have no list to show.
    from humanize import natural_list

    return natural_list(list(names))


def duration(seconds: float) -> str:
    """A time in at most seven cells: `0.3s`, `12.4s`, `3m 05s`, `1h 02m`."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    return f"{minutes // 60}h {minutes % 60:02}m"


def docker_size(size: int) -> str:
    """A size as `docker images` prints it: three digits, decimal units, `1.23GB`."""
    value = float(size)
    unit = 0
    while value >= 1000 and unit < len(_SIZES) - 1:
        value /= 1000
        unit += 1
    return f"{value:.3g}{_SIZES[unit]}" if value < 999.5 else f"{value:.0f}{_SIZES[unit]}"


def docker_age(created: float, now: float | None = None) -> str:
    """An age as `docker images` prints it: `3 weeks ago`."""
    if created <= 0:
        return "N/A"
    now = time.time() if now is None else now
    return docker_duration(max(0, int(now - created))) + " ago"


def rfc3339(seconds: float, fraction: bool = False) -> str | None:
    """A Unix time as RFC 3339 in UTC, to the second or the millisecond; None if out of range."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    text = moment.isoformat(timespec="milliseconds" if fraction else "seconds")
    return text.replace("+00:00", "Z")


_AGES = {"m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def parse_age(text: str) -> int | None:
    """The seconds of an age such as `30d`, `12h` or `2w`; None if it is invalid."""
    match = re.fullmatch("([0-9]{1,6})([mhdwy])", text)
    return int(match[1]) * _AGES[match[2]] if match else None


def docker_duration(seconds: int) -> str:
    """A time as docker prints it (`units.HumanDuration`)."""
    hours = (seconds + 1800) // 3600
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return plural(seconds, "second")
    if seconds < 120:
        return "About a minute"
    if seconds < 3600:
        return f"{seconds // 60} minutes"
    if hours == 1:
        return "About an hour"
    for most, unit, name in (
        (48, 1, "hours"),
        (24 * 7 * 2, 24, "days"),
        (24 * 30 * 2, 24 * 7, "weeks"),
        (24 * 365 * 2, 24 * 30, "months"),
    ):
        if hours < most:
            return f"{hours // unit} {name}"
    return f"{hours // (24 * 365)} years"


def short_name(reference: str) -> str:
    """A reference, or the short id of an image without a name; safe on a terminal."""
    return short_id(reference) if _ID.fullmatch(reference) else visible(reference)


def short_id(identifier: str) -> str:
    """The first twelve digits of an id or digest, without its algorithm; safe on a terminal."""
    return visible(identifier.rpartition(":")[2][:12])
