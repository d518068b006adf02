"""From the editor to a build and back: saving, settings, layers, the line of a step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual import events

from layerscope.jobs import launch
from layerscope.jobs.job import Job, read_job
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.build.form import BuildForm
from layerscope.tui.build.screen import BuildScreen
from layerscope.tui.editor.screen import EditorScreen
from layerscope.tui.explore.screen import MainScreen
from tests.tui import fakes
from tests.tui.build.build_fakes import IMAGE, FakeBuild, diff_id
from tests.tui.editor.test_editor import Edited, editing, here
from tests.tui.pictures import Size, sizes

__all__ = ["here"]

TEXT = """\
FROM debian
RUN apt-get install python3
RUN rm -rf /var/lib/apt/lists
RUN echo new
"""


def built(here: Path, number: int = 1, name: str = "Dockerfile") -> FakeBuild:
    """A build of the file of the folder."""
    build = FakeBuild(here.parent / "state", number)
    document = json.loads((build.folder / "job.json").read_text())
    document["spec"] |= {"context": str(here), "dockerfile": str(here / name)}
    (build.folder / "job.json").write_text(json.dumps(document))
    found = read_job(build.folder)
    assert found is not None
    build.job = found
    return build


def all_steps(build: FakeBuild) -> None:
    build.start(1, "FROM debian")
    build.write("step_cached", 1, image=IMAGE, seconds=0.1)
    build.start(2, "RUN apt-get install python3")
    build.commit(2, 1, size=45_000_000)
    build.start(3, "RUN rm -rf /var/lib/apt/lists")


@pytest.fixture
def started(here: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was started instead of builds."""
    specs: list[dict[str, Any]] = []

    def start(kind: str, title: str, module: str, spec: dict[str, Any], *_: object) -> Job:
        specs.append(spec)
        return built(here, 100 + len(specs)).job

    monkeypatch.setattr(launch, "start", start)
    return specs


async def test_ctrl_b_saves_and_asks_what_to_build(
    here: Path, started: list[dict[str, Any]]
) -> None:
    async with editing(TEXT) as ui:
        await ui.press("#", "ctrl+b")
        await ui.on(BuildForm)
        assert (here / "Dockerfile").read_text() == "#" + TEXT
        await ui.press("enter")
        await ui.on(BuildScreen)
        assert started[0]["context"] == str(here)
        assert started[0]["dockerfile"] == str(here / "Dockerfile")
        await ui.press("escape")
        await ui.on(EditorScreen)


async def test_f5_builds_with_the_settings_of_the_last_build(
    here: Path, started: list[dict[str, Any]]
) -> None:
    build = built(here)
    all_steps(build)
    build.end()
    async with editing(TEXT) as ui:
        await ui.until(lambda: ui.screen.environment.build)
        await ui.press("f5")
        await ui.on(BuildScreen)
        assert started[0]["tags"] == ("hello:latest",)


async def test_a_failed_step_leads_to_its_line_in_the_editor(
    here: Path, started: list[dict[str, Any]]
) -> None:
    build = built(here)
    all_steps(build)
    async with editing(TEXT) as ui:
        await ui.until(lambda: ui.screen.environment.build)
        await ui.press("f5")
        await ui.on(BuildScreen)
        screen = ui.app.screen
        assert isinstance(screen, BuildScreen)
        running = read_job(here.parent / "state" / "layerscope" / "jobs" / "101")
        assert running is not None
        with running.journal.open("a") as journal:
            for event in (
                {"event": "step_started", "step": 3, "steps": 4, "line": 2}
                | {"instruction": "RUN rm -rf /var/lib/apt/lists"},
                {"event": "log", "step": 3, "text": "rm: cannot remove it\n"},
                {"event": "log", "step": 3, "text": "\n"},
                {"event": "step_failed", "step": 3, "text": "exit code 1", "seconds": 1.0},
            ):
                journal.write(json.dumps(event) + "\n")
        await ui.until(lambda: "Step 3 failed" in ui.text)
        await ui.press("e")
        await ui.on(EditorScreen)
        # The file has changed since: the instruction counts, not the number of its line.
        assert ui.cursor == (2, 0)
        await ui.says("Step 3 failed: rm: cannot remove it")


async def test_a_step_leads_to_the_editor_from_elsewhere_too(here: Path) -> None:
    (here / "Dockerfile").write_text(TEXT)
    build = built(here)
    all_steps(build)
    build.end()
    async with editing(None, name="none") as ui:
        await ui.press("escape")
        ui.app.push_screen(BuildScreen(build.job, fakes.place()))
        await ui.until(lambda: "RUN apt-get" in ui.text)
        await ui.press("g", "j", "e")
        await ui.on(EditorScreen)
        assert ui.cursor == (1, 0)
        await ui.press("escape")
        await ui.on(BuildScreen)


@sizes()
@pytest.mark.parametrize("pane", ["steps", "log", "files"])
async def test_from_the_failed_step_to_its_line_takes_one_key(
    here: Path, size: Size, pane: str
) -> None:
    (here / "Dockerfile").write_text(TEXT)
    build = built(here)
    all_steps(build)
    async with editing(None, size=size, name="none") as ui:
        await ui.press("escape")
        screen = BuildScreen(build.job, fakes.place())
        ui.app.push_screen(screen)
        await ui.until(lambda: "RUN rm" in ui.text)
        screen.action_pane(pane)
        build.write("step_failed", 3, text="exit code 1", exit_code=1, seconds=1.0)
        build.write("failed", text="The build failed: exit code 1")
        build.end(1)
        await ui.until(lambda: "Step 3 failed with exit code 1." in ui.message)
        await ui.press("e")
        await ui.on(EditorScreen)
        assert ui.cursor == (2, 0)
        # What is typed goes to the text, and esc back to the build.
        await ui.press("#", "backspace", "escape")
        await ui.on(BuildScreen)


async def test_a_dockerfile_that_cannot_be_read_leads_to_its_line(here: Path) -> None:
    (here / "Dockerfile").write_text(TEXT)
    build = built(here)
    build.write("failed", line=2, text="The build failed: parse error line 2: no such thing")
    build.end(1)
    async with editing(None, name="none") as ui:
        await ui.press("escape")
        ui.app.push_screen(BuildScreen(build.job, fakes.place()))
        await ui.until(lambda: "the log says why" in ui.message)
        await ui.press("e")
        await ui.on(EditorScreen)
        assert ui.cursor == (1, 0)
        await ui.says("parse error line 2: no such thing")


@pytest.mark.parametrize("way", ["escape", "e"])
async def test_typing_after_a_build_goes_to_the_text(
    here: Path, started: list[dict[str, Any]], way: str
) -> None:
    build = built(here)
    all_steps(build)
    build.end()
    async with editing(TEXT + "FRMO x\n") as ui:
        await ui.until(lambda: ui.screen.environment.build and "FRMO" in ui.text)
        await ui.press("f6")
        assert ui.focus == "problems"
        await ui.press("f5")
        await ui.on(BuildScreen)
        # Meanwhile the user looked at another window.
        ui.app.post_message(events.AppBlur())
        ui.app.post_message(events.AppFocus())
        await ui.press(way)
        await ui.on(EditorScreen)
        await ui.press("#", "!")
        assert "#!" in ui.screen.draft.text


def finished(here: Path) -> None:
    """A build whose image is there."""
    build = built(here)
    all_steps(build)
    build.write("finished", image=IMAGE)
    build.end()


async def test_the_last_build_shows_what_instructions_added(here: Path) -> None:
    finished(here)
    async with editing(TEXT) as ui:
        await ui.until(lambda: "+45MB" in ui.body[1])
        assert ui.body[0].startswith("            1")
        await ui.press("down")
        assert "+45MB" in ui.lines[0]
        # What is edited is no longer what was built; what is not, still is.
        await ui.press("up", "end", "enter", *"ENV A=b")
        assert "+45MB" in ui.body[2]
        await ui.press("down", "end", *" git")
        assert "+45MB" not in ui.text
        await ui.press("ctrl+z", "ctrl+z", "ctrl+z", "ctrl+z", "ctrl+z")
        await ui.until(lambda: "+45MB" in ui.text)


async def test_the_layer_of_the_last_build_is_opened(here: Path) -> None:
    finished(here)
    async with editing(TEXT) as ui:
        await ui.until(lambda: "+45MB" in ui.text)
        await ui.press("down", "ctrl+l")
        await ui.on(MainScreen)
        await ui.until(lambda: ui.main.session and ui.main.session.ended)
        step = ui.main.layer_list.step
        assert step is not None
        assert step.layer == 1
        image = ui.main.session.image if ui.main.session else None
        assert image is not None
        assert image.layers[1].diff_id == diff_id(1)


async def test_the_file_that_the_open_image_was_built_from(here: Path) -> None:
    build = built(here, name="Other")
    (here / "Other").write_text(TEXT)
    build.write("finished", image=fakes.sample_image().id)
    build.end()
    async with editing("FROM b\n", source="hello:latest") as ui:
        assert ui.lines[0].split()[1] == "Other"
        await ui.says("built from this by job 1")


async def test_no_changes_are_lost_by_quitting_from_elsewhere() -> None:
    async with editing(TEXT) as ui:
        await ui.press("#", "f6", "q")
        await ui.says("not saved; go back to the editor first")
        await ui.on(EditorScreen)
        assert ui.app.is_running


async def test_layers_of_an_image_that_is_still_being_read_are_shown_later(here: Path) -> None:
    reader = fakes.FakeReader().hold()
    (here / "Dockerfile").write_text("FROM a\nRUN rm -rf /var/lib/apt/lists\n")
    app = LayerscopeApp("hello:latest", fakes.opener(reader), fakes.connector())
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Edited(app, pilot)
        await ui.until(lambda: ui.main.session and ui.main.session.image)
        await ui.press("e")
        await ui.until(lambda: isinstance(app.screen, EditorScreen))
        await ui.quiet()
        for layer in range(4):
            reader.release(layer)
        await ui.until(lambda: ui.body[1].split()[0].startswith("+"))
