"""Makes one animated SVG from pictures of a terminal that Rich exports.

A row that does not change is drawn once. The animation needs only CSS, so it plays as an image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_STYLE = re.compile(r"\.terminal-r(\d+) \{ (.*?) \}")
_RECT = re.compile(
    r'<rect fill="([^"]+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="24.65"[^>]*/>'
)
_TEXT = re.compile(
    r'<text class="terminal-r(\d+)" x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"[^>]*>'
    r"(.*?)</text>"
)
_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_ROW, _CELL = 24.4, 12.2
_BLANK = "&#160;"
_BLANKS = re.compile(f"^(?:{_BLANK})+")


@dataclass
class _Rows:
    """The rows of one picture as SVG; all pictures share the names of styles."""

    styles: dict[str, str]
    rows: dict[int, list[str]] = field(default_factory=dict)

    def take(self, svg: str) -> dict[int, str]:
        known = dict(_STYLE.findall(svg))
        spans: dict[int, list[tuple[str, float, float]]] = {}
        for fill, x, y, width in _RECT.findall(svg):
            row = round((float(y) - 1.5) / _ROW)
            left, right = float(x), float(x) + float(width)
            before = spans.setdefault(row, [])
            if before and before[-1][0] == fill and abs(before[-1][2] - left) < 0.1:
                before[-1] = (fill, before[-1][1], right)
            else:
                before.append((fill, left, right))
        for row, found in spans.items():
            for fill, left, right in found:
                self._add(
                    row,
                    f'<rect fill="{fill}" x="{left:g}" y="{row * _ROW + 1.5:g}" '
                    f'width="{right - left:g}" height="24.65"/>',
                )
        for number, left, y, length, text in _TEXT.findall(svg):
            name = self.styles.setdefault(known.get(number, ""), f"s{len(self.styles)}")
            row = round((float(y) - 20) / _ROW)
            # Some SVG renderers drop leading spaces.
            shown = _BLANKS.sub("", text)
            x = float(left) + _CELL * ((len(text) - len(shown)) // len(_BLANK))
            width = float(length) - (x - float(left))
            if shown:
                self._add(
                    row,
                    f'<text class="{name}" x="{x:g}" y="{y}" textLength="{width:g}">{shown}</text>',
                )
        return {row: "".join(parts) for row, parts in self.rows.items()}

    def _add(self, row: int, part: str) -> None:
        self.rows.setdefault(row, []).append(part)


def animated(pictures: Sequence[tuple[float, str]], pause: float = 4.0) -> str:
    """One SVG that plays pictures in a loop.

    Args:
        pictures: The time of each, in seconds, and its SVG; all of the same size.
        pause: How many seconds the last one is shown.
    """
    styles: dict[str, str] = {}
    begin = pictures[0][0]
    total = pictures[-1][0] - begin + pause
    frames = [(when - begin, _Rows(styles).take(svg)) for when, svg in pictures]
    moves: dict[tuple[float, float], str] = {}
    drawn: list[str] = []
    for row in sorted({row for _, rows in frames for row in rows}):
        for start, end, content in _stretches(frames, row, total):
            if not content:
                continue
            if (start, end) == (0, total):
                drawn.append(content)
                continue
            name = moves.setdefault((start, end), f"m{len(moves)}")
            drawn.append(f'<g class="{name}">{content}</g>')
    found = _BOX.search(pictures[0][1])
    width, height = (float(size) for size in found.groups()) if found else (0.0, 0.0)
    # Without Rich's margin for a window's frame.
    width, height = width - 18, height - 50
    css = [f".{name} {{ {style} }}" for style, name in styles.items()]
    css += [_move(name, start, end, total) for (start, end), name in moves.items()]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}">',
            "<style>",
            "text { font: 20px 'Fira Code', 'DejaVu Sans Mono', Menlo, Consolas, monospace;"
            " white-space: pre; }",
            "rect { shape-rendering: crispEdges; }",
            *css,
            "</style>",
            *drawn,
            "</svg>",
            "",
        ]
    )


def _stretches(
    frames: Sequence[tuple[float, dict[int, str]]], row: int, total: float
) -> list[tuple[float, float, str]]:
    """When a row begins and ends to have a content."""
    found: list[tuple[float, float, str]] = []
    for when, rows in frames:
        content = rows.get(row, "")
        if found and found[-1][2] == content:
            continue
        if found:
            found[-1] = (found[-1][0], when, found[-1][2])
        found.append((when, total, content))
    return found


def _move(name: str, start: float, end: float, total: float) -> str:
    first, last = 100 * start / total, 100 * end / total
    steps = "" if start == 0 else "0% { visibility: hidden; } "
    steps += f"{first:.2f}% {{ visibility: visible; }}"
    steps += "" if end == total else f" {last:.2f}%, 100% {{ visibility: hidden; }}"
    # Without animations, the last picture is visible.
    still = "visible" if end == total else "hidden"
    return (
        f".{name} {{ visibility: {still}; animation: {name} {total:.2f}s step-end infinite; }}\n"
        f"@keyframes {name} {{ {steps} }}"
    )
