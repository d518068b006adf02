"""Makes the pictures of the README from a real image: `python -m screenshots.make [SOURCE]`.

Without a source it takes the image that the benchmarks measure, and makes that first if need be.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

# A picture shows the colours of the theme, whatever terminal this runs in.
os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"

from layerscope.tui.app import LayerscopeApp

FOLDER = Path(__file__).parent

#: Name of the picture, size of the terminal, and the keys that lead there. The layer in the middle
#: is one whose command holds nothing of the machine that built it.
SHOTS: list[tuple[str, tuple[int, int], list[str]]] = [
    ("explorer-120x40", (120, 40), ["down"] * 8 + ["tab", "space", "down", "space"]),
    ("layers-80x24", (80, 24), ["down"] * 8),
    ("union-120x40", (120, 40), ["down"] * 8 + ["t", "tab", "E"]),
    ("content-120x40", (120, 40), ["t", "3", "slash", *"/six.py", "enter", "n", "v"]),
    ("help-80x24", (80, 24), ["question_mark"]),
    ("palette-80x24", (80, 24), ["down"] * 8 + ["ctrl+p"]),
    ("wide-200x60", (200, 60), ["down"] * 8 + ["tab", "E"]),
]


async def shoot(source: str, name: str, size: tuple[int, int], keys: list[str]) -> None:
    """Makes one picture."""
    app = LayerscopeApp(source)
    async with app.run_test(size=size) as pilot:
        await app.workers.wait_for_complete()
        await pilot.pause(0.5)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.3)
        svg = app.export_screenshot(title="layerscope")
    # Textual names its styles by a random number, which would make each run a change.
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    (FOLDER / f"{name}.svg").write_text(svg, "utf-8")


def main() -> None:
    """Makes all pictures."""
    if len(sys.argv) > 1:
        source = sys.argv[1]
    else:
        from tests.benchmarks.reference import reference_archive

        source = str(reference_archive())
    for name, size, keys in SHOTS:
        asyncio.run(shoot(source, name, size, keys))


if __name__ == "__main__":
    main()
