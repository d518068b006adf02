"""Makes the pictures of the README from a real image: `python -m screenshots.make [SOURCE]`.

Without a source it takes the image that the benchmarks measure, and makes that first if need be.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from pathlib import Path

# A picture shows the colours of the theme, whatever terminal this runs in.
os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.screens.compare import CompareScreen
from layerscope.tui.screens.diff import DiffScreen
from layerscope.tui.screens.packages import PackagesScreen
from layerscope.tui.screens.waste import WasteScreen
from screenshots import builds

FOLDER = Path(__file__).parent

#: Name of the picture, size of the terminal, and the keys that lead there. The layer in the middle
#: is one whose command holds nothing of the machine that built it.
SHOTS: list[tuple[str, tuple[int, int], list[str]]] = [
    ("explorer-120x40", (120, 40), ["down"] * 8 + ["tab", "space", "down", "space"]),
    ("layers-80x24", (80, 24), ["down"] * 8),
    ("union-120x40", (120, 40), ["down"] * 8 + ["t", "tab", "E"]),
    ("content-120x40", (120, 40), ["t", "3", "slash", *"/six.py", "enter", "n", "v"]),
    (
        "versions-160x40",
        (160, 40),
        ["t", "3", "slash", *"status-old", "enter", "n", "d", "j", "j", "enter"],
    ),
    ("waste-120x40", (120, 40), ["w", "j", "j"]),
    ("packages-80x24", (80, 24), ["G", "k", "k", "P"]),
    ("help-80x24", (80, 24), ["question_mark"]),
    ("palette-80x24", (80, 24), ["down"] * 8 + ["ctrl+p"]),
    ("wide-200x60", (200, 60), ["down"] * 8 + ["tab", "E"]),
]

#: The same with a second image, which is compared; of the layers nothing is shown, for the same
#: reason.
COMPARED: tuple[str, tuple[int, int], list[str]] = ("compare-120x40", (120, 40), ["s", *"zGllll"])


#: The editor, which needs a Dockerfile and no image.
EDITED: tuple[str, tuple[int, int], list[str]] = (
    "editor-120x40",
    (120, 40),
    ["e", *["down"] * 11, "end", "enter", *"COPY --"],
)


async def shoot(source: str | None, name: str, size: tuple[int, int], keys: list[str]) -> None:
    """Makes one picture."""
    app = LayerscopeApp(source)
    async with app.run_test(size=size) as pilot:
        await app.workers.wait_for_complete()
        await pilot.pause(0.5)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.3)
            await until_compared(app)
        # The editor looks for problems once there has been a pause.
        await pilot.pause(1.0)
        svg = app.export_screenshot(title="layerscope")
    # Textual names its styles by a random number, which would make each run a change.
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    (FOLDER / f"{name}.svg").write_text(svg, "utf-8")


async def until_compared(app: LayerscopeApp) -> None:
    """Waits for what a screen compares or reads."""
    for _ in range(600):
        screen = app.screen
        if (
            isinstance(screen, CompareScreen | DiffScreen | WasteScreen)
            and not (screen.job is not None and screen.job.ended)
        ) or (isinstance(screen, PackagesScreen) and not screen.list.rows):
            await asyncio.sleep(0.2)
    await asyncio.sleep(0.1)


def main() -> None:
    """Makes all pictures."""
    if len(sys.argv) > 1:
        source = sys.argv[1]
    else:
        from tests.benchmarks.reference import reference_archive
        from tests.benchmarks.synthetic import without_mass_delete

        source = str(reference_archive())
        name, size, keys = COMPARED
        other, _ = without_mass_delete()
        asyncio.run(shoot(str(other), name, size, ["c", *source, "enter", *keys]))
        builds.main()
    for name, size, keys in SHOTS:
        asyncio.run(shoot(source, name, size, keys))
    make_edited()


def make_edited() -> None:
    """Makes the picture of the editor, of the example beside this file."""
    name, size, keys = EDITED
    # Builds that were made on this machine have nothing to do with it.
    os.environ["XDG_STATE_HOME"] = str(FOLDER / "none")
    with contextlib.chdir(FOLDER / "example"):
        asyncio.run(shoot(None, name, size, keys))


if __name__ == "__main__":
    main()
