"""The recording in the README: pictures of a terminal as one animated SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from screenshots.animation import animated


def picture(*rows: str, style: int = 1) -> str:
    texts = "".join(
        f'<text class="terminal-r{style}" x="0" y="{20 + 24.4 * n:g}" textLength="{12 * len(row)}"'
        f' clip-path="url(#terminal-line-{n})">{row}</text>'
        for n, row in enumerate(rows)
    )
    return (
        f'<svg viewBox="0 0 118 150"><style>.terminal-r{style} {{ fill: #aabbcc }}</style>'
        f'<rect fill="#101010" x="0" y="1.5" width="61" height="24.65" shape-rendering="x"/>'
        f'<rect fill="#101010" x="61" y="1.5" width="39" height="24.65" shape-rendering="x"/>'
        f"{texts}</svg>"
    )


def test_a_row_is_drawn_once_for_as_long_as_it_stands() -> None:
    svg = animated(
        [
            (5.0, picture("same", "one")),
            (6.0, picture("same", "two", style=7)),
            (7.0, picture("same")),
        ],
        pause=2.0,
    )
    ElementTree.fromstring(svg)
    assert [svg.count(f">{text}<") for text in ("same", "one", "two")] == [1, 1, 1]
    # Both numbers of the style are of one style, and the background is one piece.
    assert len(re.findall(r"fill: #aabbcc", svg)) == 1
    assert re.findall(r"<rect [^>]*>", svg) == [
        '<rect fill="#101010" x="0" y="1.5" width="100" height="24.65"/>'
    ]
    one = re.search(r'<g class="(m\d+)"><text[^>]*>one<', svg)
    assert one is not None
    assert f"@keyframes {one[1]} {{ 0.00% {{ visibility: visible; }} 25.00%, 100%" in svg
    two = re.search(r'<g class="(m\d+)"><text[^>]*>two<', svg)
    assert two is not None
    assert f"@keyframes {two[1]} {{ 0% {{ visibility: hidden; }} 25.00% {{ visibility: vis" in svg
    # What is there at the end is seen where nothing plays.
    assert f".{two[1]} {{ visibility: hidden;" in svg
