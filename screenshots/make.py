"""Makes the pictures of the README from a real image: `python -m screenshots.make [SOURCE]`.

Without a source it uses the image of the benchmarks, and makes that first if necessary.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import tempfile
from pathlib import Path

# Pictures have the theme's colors, whatever the terminal.
os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"
# Where nothing listens, the store of layerscope would answer: its events never end.
os.environ.setdefault("DOCKER_HOST", "unix:///var/run/docker.sock")

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.compare.screen import CompareScreen
from layerscope.tui.diff.screen import DiffScreen
from layerscope.tui.packages.screen import PackagesScreen
from layerscope.tui.waste.screen import WasteScreen
from screenshots import builds, engines, registries, surgery
from tests.tui.conftest import Driven

FOLDER = Path(__file__).parent

#: Name of the picture, size of the terminal, and the keys that lead there. The command of the
#: selected layer shows nothing of the machine that built the image.
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

#: The same for a comparison with a second image. It shows no layers, for the same reason.
COMPARED: tuple[str, tuple[int, int], list[str]] = ("compare-120x40", (120, 40), ["s", *"zGllll"])


#: The editor, which needs a Dockerfile and no image.
EDITED: tuple[str, tuple[int, int], list[str]] = (
    "editor-120x40",
    (120, 40),
    ["e", *["down"] * 11, "end", "enter", *"COPY --"],
)


async def shoot(source: str | None, name: str, size: tuple[int, int], keys: list[str]) -> None:
    app = LayerscopeApp(source)
    async with app.run_test(size=size) as pilot:
        ui = Driven(app, pilot)
        await ui.started()
        await ui.rest()
        for key in keys:
            await ui.walk(key)
            await until_compared(app)
        # The editor looks for problems after a pause.
        await pilot.pause(1.0)
        await ui.rest()
        svg = app.export_screenshot(title="layerscope")
    # Textual has random numbers in the names of styles.
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    (FOLDER / f"{name}.svg").write_text(svg, "utf-8")


async def until_compared(app: LayerscopeApp) -> None:
    """Waits until a screen has compared or read everything."""
    for _ in range(600):
        screen = app.screen
        if (
            (isinstance(screen, DiffScreen) and screen.comparing)
            or (isinstance(screen, CompareScreen) and not screen.over)
            or (isinstance(screen, WasteScreen) and screen.finding is not None)
            or (isinstance(screen, PackagesScreen) and not screen.list.items)
        ):
            await asyncio.sleep(0.2)
    await asyncio.sleep(0.1)


def main() -> None:
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
        registries.main()
        engines.main()
        surgery.main()
    for name, size, keys in SHOTS:
        asyncio.run(shoot(source, name, size, keys))
    make_edited()


def make_edited() -> None:
    """Makes the picture of the editor, from the folder `example`."""
    name, size, keys = EDITED
    # Without the builds of this machine.
    with tempfile.TemporaryDirectory() as state, contextlib.chdir(FOLDER / "example"):
        os.environ["XDG_STATE_HOME"] = state
        asyncio.run(shoot(None, name, size, keys))


if __name__ == "__main__":
    main()
