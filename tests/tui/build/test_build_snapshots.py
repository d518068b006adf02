"""Pictures of the screen of a build: running, failed, finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.build.screen import BuildScreen
from tests.tui import fakes
from tests.tui.build.build_fakes import IMAGE, FakeBuild
from tests.tui.conftest import Driven
from tests.tui.pictures import Before, Look, Picture, Size, looks, sizes


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def app(theme: str = "layerscope-dark") -> LayerscopeApp:
    opener = fakes.opener(fakes.FakeReader())
    return LayerscopeApp(None, opener, fakes.connector(), clock=lambda: fakes.NOW, theme=theme)


def watching(build: FakeBuild, shown: str, *keys: str) -> Before:
    """Shows the build, waits for a text, and presses keys."""

    async def before(ui: Driven) -> None:
        screen = BuildScreen(build.job, fakes.place(), lambda: fakes.NOW)
        await ui.app.push_screen(screen)
        await ui.until(lambda: screen.build is not None and shown in str(screen.title_bar._right))
        await ui.press(*keys)

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
    build.write("plan", steps=5, plan=plan)
    build.sample()
    return build


def failed(root: Path) -> FakeBuild:
    build = planned(root)
    text = "The command '/bin/sh -c rm -rf /var/lib/apt/lists' returned a non-zero code: 3"
    build.write("step_failed", 3, exit_code=3, text=text, seconds=0.4)
    build.write("failed", text=f"The build failed: {text}", image=IMAGE, seconds=5.25)
    build.end(1)
    return build


def finished(root: Path) -> FakeBuild:
    first = planned(root)
    first.commit(3, 2, size=0, seconds=0.8)
    first.start(4, "COPY app /srv/app")
    first.commit(4, 2, size=12_000, seconds=0.1)
    first.write("finished", image=IMAGE)
    first.end(0)
    build = planned(root, 2)
    build.commit(3, 2, size=0, added=0, modified=2, removed=40, wasted=20_000_000, seconds=0.8)
    build.start(4, "COPY app /srv/app")
    build.commit(4, 2, size=12_000, added=1, modified=1, seconds=0.1)
    build.start(5, 'CMD ["python3", "/srv/app"]')
    build.write("step_committed", 5, image=IMAGE, seconds=0.0)
    build.write(
        "finished",
        image=IMAGE,
        tags=["hello:latest"],
        size=2_012_000,
        wasted=20_000_000,
        seconds=7.25,
    )
    build.end(0)
    return build


def early(root: Path) -> FakeBuild:
    """It failed before its first step."""
    build = FakeBuild(root)
    instructions = ["FROM debian:bookworm", "RUN apt-get update", "RUNN apt-get install python3"]
    plan = [[number, number, text] for number, text in enumerate(instructions, 1)]
    build.write("plan", steps=3, plan=plan)
    build.write("warning", text="secret.txt cannot be read, and is not counted in the context.")
    why = "dockerfile parse error line 3: unknown instruction: RUNN"
    build.write("log", text=f"ERROR: failed to build: failed to solve: {why}")
    build.write("failed", line=3, text=f"The build failed: {why}", seconds=0.25)
    build.end(1)
    return build


STATES = {
    "early": (early, "Failed", ()),
    "jobs": (early, "Failed", ("escape", "J")),
    "running": (planned, "context", ()),
    "failed": (failed, "Failed", ()),
    "finished": (finished, "Built", ()),
}


@sizes()
@pytest.mark.parametrize("state", STATES)
def test_build(picture: Picture, tmp_path: Path, state: str, size: Size) -> None:
    make, shown, keys = STATES[state]
    picture(app(), size, watching(make(tmp_path), shown, *keys))


@looks("16")
def test_look(picture: Picture, tmp_path: Path, look: Look) -> None:
    picture(app(look.theme), look.size, watching(failed(tmp_path), "Failed"))
