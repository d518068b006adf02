"""Pictures: their format and dimensions, from the first bytes."""

from __future__ import annotations

import re
import struct

from layerscope.content.access import RandomAccess
from layerscope.content.description import Description, Fact, NotThatKind

_SVG = re.compile(rb"<svg\b([^<>]*)>", re.DOTALL)
_ATTRIBUTE = re.compile(rb"""\b(width|height|viewBox)\s*=\s*["']([^"']{1,80})["']""")
_LENGTH = re.compile(rb"\s*(\d+(?:\.\d+)?)\s*(?:px)?\s*")

_PNG_COLORS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}

#: Limit of segments before the dimensions of a JPEG: metadata, previews, colour profiles.
_MOST_SEGMENTS = 200


def describe_picture(head: bytes, source: RandomAccess) -> Description | None:
    """Describes a PNG, JPEG, GIF or WebP picture, or an icon; else None. Raises NotThatKind."""
    try:
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height, bits, color = struct.unpack_from(">IIBB", head, 16)
            depth = f"{bits} bits, {_PNG_COLORS.get(color, 'unknown colours')}"
            return _picture("png", "PNG", width, height, depth, b"acTL" in head[:1024])
        if head.startswith(b"\xff\xd8\xff"):
            width, height = _jpeg(source)
            return _picture("jpeg", "JPEG", width, height)
        if head[:6] in (b"GIF87a", b"GIF89a"):
            width, height = struct.unpack_from("<HH", head, 6)
            return _picture("gif", "GIF", width, height)
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            width, height = _webp(head)
            return _picture("webp", "WebP", width, height)
        if head[:4] == b"\0\0\1\0" and 0 < head[4] < 64 and head[5] == 0 and head[9] == 0:
            width, height = head[6] or 256, head[7] or 256
            return _picture("ico", "icon", width, height)
    except (struct.error, IndexError):
        raise NotThatKind("the picture is truncated") from None
    return None


def svg_facts(head: bytes) -> tuple[Fact, ...] | None:
    """The dimensions of an SVG document; None if it is not one."""
    found = _SVG.search(head)
    if found is None:
        return None
    given = {key.decode(): value for key, value in _ATTRIBUTE.findall(found[1])}
    size = [_LENGTH.fullmatch(given.get(name, b"")) for name in ("width", "height")]
    if all(size):
        width, height = (match[1].decode() for match in size if match)
        return (Fact("dimensions", "Dimensions", f"{width} × {height}"),)
    box = given.get("viewBox", b"").replace(b",", b" ").split()
    if len(box) == 4:
        width, height = (part.decode("latin-1") for part in box[2:])
        return (Fact("dimensions", "Dimensions", f"{width} × {height}, from the view box"),)
    return ()


def _picture(
    kind: str, name: str, width: int, height: int, depth: str = "", animated: bool = False
) -> Description:
    facts = [Fact("dimensions", "Dimensions", f"{width} × {height}")]
    if depth:
        facts.append(Fact("depth", "Depth", depth))
    if animated:
        facts.append(Fact("animated", "Animated", True))
    return Description(kind, f"{name} picture, {width} × {height}", None, tuple(facts))


def _jpeg(source: RandomAccess) -> tuple[int, int]:
    """Width and height from the frame header (ITU T.81, B.2.2)."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        mark, kind, length = struct.unpack(">BBH", source.read(at, 4))
        if mark != 0xFF:
            break
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", source.read(at + 5, 4))
            return width, height
        at += 2 + length
    raise NotThatKind("the JPEG has no frame")


def _webp(head: bytes) -> tuple[int, int]:
    form = head[12:16]
    if form == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
        return 1 + width, 1 + height
    if form == b"VP8L":
        bits = struct.unpack_from("<I", head, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if form == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise NotThatKind("the WebP has no picture")
