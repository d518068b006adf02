"""Pictures of the screen of a build: running, failed, finished."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.screens.build import BuildScreen
from tests.tui import fakes
from tests.tui.build_fakes import IMAGE, FakeBuild

SIZES = [(120, 40), (80, 24)]
Compare = Callable[..., bool]


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def app(theme: str = "layerscope-dark") -> LayerscopeApp:
    opener = fakes.opener(fakes.FakeReader())
    return LayerscopeApp(None, opener, fakes.connector(), clock=lambda: fakes.NOW, theme=theme)


def watching(build: FakeBuild, shown: str, *keys: str) -> Callable[[Pilot[Any]], Any]:
    """Shows the build, waits for a text, and presses keys."""

    async def before(pilot: Pilot[Any]) -> None:
        screen = BuildScreen(build.job, fakes.opener(fakes.FakeReader()), lambda: fakes.NOW)
        await pilot.app.push_screen(screen)
        for _ in range(400):
            await asyncio.sleep(0.01)
            if screen.build is not None and shown in str(screen.title_bar._right):
                break
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
        # A step's layer is read a little after the cursor came to rest on it.
        await pilot.pause(0.6)

    return before


def planned(root: Path, number: int = 1) -> FakeBuild:
    build = FakeBuild(root, number)
    instructions = [
        "FROM debian:bookworm",
        "RUN apt-get update && apt-get install -y python3",
        "RUN rm -rf /var/lib/apt/lists",
        "COPY app /srv/app",
        'CMD ["python3", "/srv/app"]',
    ]
    plan = [[number, number, text] for number, text in enumerate(instructions, 1)]
    build.tell("plan", steps=5, plan=plan)
    build.sample()
    return build


def failed(root: Path) -> FakeBuild:
    build = planned(root)
    text = "The command '/bin/sh -c rm -rf /var/lib/apt/lists' returned a non-zero code: 3"
    build.tell("step_failed", 3, exit_code=3, text=text, seconds=0.4)
    build.tell("failed", text=f"The build failed: {text}", image=IMAGE, seconds=5.25)
    build.end(1)
    return build


def finished(root: Path) -> FakeBuild:
    planned(root).end(1)
    build = planned(root, 2)
    build.commit(3, 2, size=0, added=0, modified=2, removed=40, wasted=20_000_000, seconds=0.8)
    build.start(4, "COPY app /srv/app")
    build.commit(4, 2, size=12_000, added=1, modified=1, seconds=0.1)
    build.start(5, 'CMD ["python3", "/srv/app"]')
    build.tell("step_committed", 5, image=IMAGE, seconds=0.0)
    build.tell(
        "finished",
        image=IMAGE,
        tags=["hello:latest"],
        size=2_012_000,
        wasted=20_000_000,
        seconds=7.25,
    )
    build.end(0)
    return build


STATES = {
    "running": (planned, "context", ()),
    "failed": (failed, "Failed", ()),
    "finished": (finished, "Built", ("g", "j")),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", STATES)
def test_build(snap_compare: Compare, tmp_path: Path, state: str, size: tuple[int, int]) -> None:
    make, shown, keys = STATES[state]
    before = watching(make(tmp_path), shown, *keys)
    assert snap_compare(app(), terminal_size=size, run_before=before)


def test_build_in_the_colours_of_the_terminal(snap_compare: Compare, tmp_path: Path) -> None:
    before = watching(failed(tmp_path), "Failed")
    assert snap_compare(app("layerscope-terminal"), terminal_size=(120, 40), run_before=before)
