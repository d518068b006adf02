"""Pictures of the editor, compared with those that were found to be good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.glyphs import Level
from layerscope.tui.screens.editor import EditorScreen
from tests.tui import fakes
from tests.tui.test_editor import here

__all__ = ["here"]

SIZES = [(120, 40), (80, 24)]
Compare = Callable[..., bool]

TEXT = """\
# syntax=docker/dockerfile:1
ARG VERSION=3.12
FROM python:${VERSION}-slim AS build
WORKDIR src
ENV LANG=C.UTF-8 \\
    PIP_NO_CACHE_DIR=1
COPY app.py ./
run apt-get update && apt-get install -y python3
RUN --mount=type=cache,target=/root/.cache <<EOF
pip install "flask>=3"
EOF

FROM python
# Only what is needed.
COPY --from=build /app /app
RUN apt-get update && apt-get install -y python3
HEALTHCHECK --interval=30s CMD ["true", "\t\x1b[31m"]
ENTRYPOINT python -m app
"""

#: The keys that lead there, and whether an image is open.
CASES: dict[str, tuple[tuple[str, ...], bool]] = {
    "problems": (("f8", "f8"), False),
    "layers": (("ctrl+end", "up"), True),
    "completion": (("ctrl+end", *"CO"), False),
    "flags": (("ctrl+end", *"COPY --"), False),
    "selected": (("down", "down", "shift+down", "shift+end"), False),
    "help": (("down", "down", "down", "f1"), False),
    "leave": (("x", "escape"), False),
    "find": (("ctrl+f", *"python", "enter"), False),
}


def app(theme: str, image: bool, glyphs: Level = Level.UNICODE) -> LayerscopeApp:
    Path("Dockerfile").write_text(TEXT)
    return LayerscopeApp(
        "hello:latest" if image else None,
        fakes.opener(fakes.FakeReader()),
        fakes.connector(),
        clock=lambda: fakes.NOW,
        theme=theme,
        glyphs=glyphs,
    )


def then(keys: tuple[str, ...]) -> Callable[[Pilot[Any]], Any]:
    """Opens the editor, waits for the problems, presses keys, and waits again."""

    async def before(pilot: Pilot[Any]) -> None:
        async def until(condition: Callable[[], object]) -> None:
            for _ in range(500):
                if condition():
                    return
                await asyncio.sleep(0.01)

        main = pilot.app.screen_stack[0]
        await until(lambda: main._source is None or (main.session and main.session.ended))  # type: ignore[attr-defined]
        await pilot.pause()
        await pilot.press("e")
        await until(lambda: isinstance(pilot.app.screen, EditorScreen))
        screen = pilot.app.screen
        assert isinstance(screen, EditorScreen)

        def checked() -> bool:
            return screen._rested and not screen.work.busy("lint", "images", "build")

        await until(checked)
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
        await until(checked)
        await pilot.pause(0.3)

    return before


@pytest.mark.parametrize("size", SIZES, ids=["120x40", "80x24"])
@pytest.mark.parametrize("case", CASES)
def test_editor(snap_compare: Compare, case: str, size: tuple[int, int]) -> None:
    keys, image = CASES[case]
    made = app("layerscope-dark", image)
    assert snap_compare(made, terminal_size=size, run_before=then(keys))


LOOKS = {
    "light": ("layerscope-light", Level.UNICODE),
    "16": ("layerscope-terminal", Level.UNICODE),
    "none": ("layerscope-plain", Level.UNICODE),
    "ascii": ("layerscope-plain", Level.ASCII),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("case", ["layers", "completion", "selected"])
def test_looks(snap_compare: Compare, look: str, case: str) -> None:
    theme, glyphs = LOOKS[look]
    keys, image = CASES[case]
    made = app(theme, image, glyphs)
    assert snap_compare(made, terminal_size=(80, 24), run_before=then(keys))
