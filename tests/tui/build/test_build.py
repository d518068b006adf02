"""The screen of a build: steps, logs, files, while it runs and after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from layerscope.errors import LayerscopeError
from layerscope.images.summary import ImageSummary
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.build.log_colors import colored_line
from layerscope.tui.build.screen import BuildScreen
from layerscope.tui.content.screen import ContentScreen
from layerscope.tui.versions.screen import VersionsScreen
from tests.tui import fakes
from tests.tui.build.build_fakes import IMAGE, FakeBuild
from tests.tui.conftest import Driven


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def build(tmp_path: Path) -> FakeBuild:
    return FakeBuild(tmp_path)


class Watched(Driven):
    """An app with the screen of a build on top."""

    given: list[str | None]

    @property
    def screen(self) -> BuildScreen:
        screen = self.app.screen
        assert isinstance(screen, BuildScreen)
        return screen


@asynccontextmanager
async def watching(
    build: FakeBuild,
    size: tuple[int, int] = (120, 40),
    engine: fakes.FakeEngine | None = None,
) -> AsyncIterator[Watched]:
    opener = fakes.opener(fakes.FakeReader())
    app = LayerscopeApp(None, opener, fakes.connector(engine), clock=lambda: fakes.NOW)
    async with app.run_test(size=size) as pilot:
        ui = Watched(app, pilot)
        ui.given = []
        if engine is not None:
            await ui.until(lambda: engine.images()[0].repository in ui.text)
        place = replace(ui.main.place, go=lambda goal: ui.given.append(goal.source))
        screen = BuildScreen(build.job, place, lambda: fakes.NOW)
        app.push_screen(screen)
        await ui.until(lambda: isinstance(app.screen, BuildScreen))
        await ui.until(lambda: screen.build is not None)
        yield ui


async def test_steps_appear_as_they_begin_with_their_state_size_and_time(build: FakeBuild) -> None:
    async with watching(build) as ui:
        assert "Starting the build…" in ui.text
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        steps = ui.pane("steps")
        assert steps[1].split()[:6] == ["=", "1", "cached", "1MB", "0.1s", "FROM"]
        assert steps[2].split()[:6] == ["✓", "2", "committed", "1MB", "3.2s", "RUN"]
        assert steps[3].split()[:5] == ["●", "3", "running", "1.0s", "RUN"]
        assert "2 of 5 steps" in ui.text
        assert "context 12.4kB in 3 files · 5.0s" in ui.lines[0]


async def test_the_log_of_the_running_step_is_followed(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        await ui.until(lambda: "removing" in ui.pane("log"))
        for number in range(100):
            build.write("log", 3, text=f"line {number}")
        await ui.until(lambda: ui.pane("log")[-1].startswith("line 99"))
        # Scrolling up ends the following.
        await ui.press("2", "g")
        build.write("log", 3, text="more")
        await ui.until(lambda: "102 lines" in ui.text)
        assert ui.pane("log")[0].startswith("removing")
        await ui.press("G")
        build.write("log", 3, text="and more")
        await ui.until(lambda: ui.pane("log")[-1].startswith("and more"))


async def test_a_log_shows_escape_sequences_and_obeys_colours_only(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        await ui.press("k")
        await ui.until(lambda: "Setting up python3 \\e]0;evil\\x07" in ui.pane("log")[-1])


async def test_the_layer_of_a_step_is_shown(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        await ui.until(lambda: "This step is not committed yet." in ui.text)
        await ui.press("k")
        await ui.until(lambda: any("python3" in line for line in ui.pane("files")))
        assert "3 Files · step 2 · 1MB" in ui.text
        assert "3 added, 1 modified" in ui.text
        await ui.press("enter")
        assert ui.focus == "files"
        while "python3" not in ui.pane("files")[ui.screen.files.cursor + 1]:
            await ui.press("j")
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, ContentScreen))
        await ui.press("escape", "d")
        await ui.until(lambda: isinstance(ui.app.screen, VersionsScreen))
        await ui.press("escape")
        assert "RUN rm -rf" in ui.text


async def test_enter_goes_from_a_step_without_a_layer_to_its_log(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        build.write("step_committed", 3, image=IMAGE, seconds=0.2)
        await ui.until(lambda: "3 of 5 steps" in ui.text)
        await ui.until(lambda: "This step changes no files." in ui.text)
        await ui.press("enter")
        assert ui.focus == "log"


async def test_the_search_in_a_log(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        await ui.press("k", "slash", *"package-7", "enter")
        await ui.until(lambda: any("package-7" in line for line in ui.pane("log")))
        assert ui.focus == "log"
        # The last search is there again; typing replaces it.
        await ui.press("slash", *"nowhere", "enter")
        await ui.until(lambda: "No match for nowhere." in ui.message)


async def test_a_failed_step_says_why(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        build.write("step_failed", 3, exit_code=3, text="It returned 3.", seconds=0.4)
        build.write("failed", text="The build failed.", image=IMAGE)
        build.end(1)
        await ui.until(lambda: "Failed" in ui.lines[0])
        assert "Step 3 failed with exit code 3. x opens a shell, b builds" in ui.message
        assert ui.pane("steps")[3].split()[:3] == ["✗", "3", "failed"]
        assert ui.pane("log")[:2] == ["removing", "It returned 3."]
        # The image of the last good step can be opened.
        await ui.press("i")
        await ui.until(lambda: ui.given == [f"docker-daemon:{IMAGE}"])


@pytest.mark.parametrize(
    ("code", "said"),
    [(130, "Cancelled"), (None, "Killed"), (0, "Built c0ffeec0ffee")],
)
async def test_how_a_build_ended(build: FakeBuild, code: int | None, said: str) -> None:
    async with watching(build) as ui:
        build.sample()
        if code == 0:
            build.commit(3, 2)
            build.write("finished", image=IMAGE, tags=["hello:latest"], seconds=7.25)
        build.end(code)
        await ui.until(lambda: said in ui.lines[0])
        assert "running" not in "\n".join(ui.pane("steps"))


async def test_why_a_build_ended_in_the_middle_of_a_step(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        build.write("failed", text="The connection \x1b broke off. Start it.", image=IMAGE)
        build.end(2)
        await ui.until(lambda: "Failed" in ui.lines[0])
        assert "The connection \\e broke off. Start it." in ui.message
        await ui.until(lambda: "The connection" in "\n".join(ui.pane("files")))
        assert ui.pane("steps")[3].split()[:3] == ["-", "3", "stopped"]
        await ui.press("i")
        await ui.until(lambda: ui.given == [f"docker-daemon:{IMAGE}"])


async def test_the_files_of_a_stopped_step_say_why_there_are_none(build: FakeBuild) -> None:
    """The step has stopped before it is known why."""
    async with watching(build) as ui:
        build.sample()
        await ui.until(lambda: "This step is not committed yet." in ui.text)
        build.write("failed", text="The connection was lost.")
        await ui.until(lambda: "This step was stopped, so it has no layer." in ui.text)
        build.end(2)
        await ui.until(lambda: any("connection was lost" in line for line in ui.pane("files")))


async def test_the_image_of_a_cancelled_build_cannot_be_opened(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        await ui.press("ctrl+k")
        build.write("failed", text="Cancelled.")
        build.end(130)
        await ui.until(lambda: "Cancelled" in ui.lines[0])
        assert ui.message.startswith("Cancelled.")
        await ui.press("i")
        assert "There is no image yet." in ui.message


async def test_a_build_whose_process_was_killed_says_so(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        build.end(None)
        await ui.until(lambda: "Killed" in ui.lines[0])
        assert "The process of job 1 was killed." in ui.message
        # The image of the last committed step can be opened.
        await ui.press("i")
        await ui.until(lambda: ui.given == [f"docker-daemon:{IMAGE}"])


async def test_keys_that_cannot_be_used_say_why(build: FakeBuild) -> None:
    async with watching(build) as ui:
        await ui.press("i")
        assert "There is no image yet." in ui.message
        await ui.press("b")
        assert "The build is still running" in ui.message
        await ui.press("x")
        assert "No step has been committed" in ui.message
        build.end(0)
        await ui.until(lambda: ui.screen.build is not None and ui.screen.build.ended is not None)
        await ui.press("ctrl+k")
        assert "The build has ended." in ui.message


async def test_a_journal_that_cannot_be_read_is_reported(build: FakeBuild) -> None:
    build.job.journal.unlink()
    build.job.journal.mkdir()
    async with watching(build) as ui:
        why = "The journal of job 1 cannot be read: Is a directory."
        await ui.until(lambda: why in ui.pane("log"))
        await ui.press("j", "w")
        assert why in ui.pane("log")


@pytest.mark.parametrize("again", [True, False])
async def test_why_a_build_cannot_start_stays_until_it_is_read(
    build: FakeBuild, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    def start(request: object) -> None:
        raise LayerscopeError("The disk is full.", "Make room.")

    monkeypatch.setattr("layerscope.build.request.start_build", start)
    build.end(1)
    async with watching(build) as ui:
        await ui.until(lambda: "Failed" in ui.lines[0])
        if again:
            await ui.press("b")
        else:
            ui.screen.visit("build_again", replace(ui.main.place, request=ui.screen.request))
            await ui.calm()
        await ui.press("j")
        assert "The build cannot start" in ui.text
        assert "The disk is full." in ui.text
        assert "Make room." in ui.text
        await ui.press("escape")
        assert ui.screen.job is build.job


@pytest.mark.parametrize("screen", ["build", "jobs"])
async def test_a_build_that_does_not_stop_is_reported(
    build: FakeBuild, monkeypatch: pytest.MonkeyPatch, screen: str
) -> None:
    for module in ("layerscope.jobs.launch", "layerscope.tui.jobs.screen"):
        monkeypatch.setattr(f"{module}.cancel", lambda _: False)
    async with watching(build) as ui:
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        if screen == "jobs":
            await ui.press("escape", "J")
        await ui.press("ctrl+k")
        if screen == "jobs":
            # The screen below the list shows messages.
            await ui.press("escape")
        await ui.until(lambda: "has not stopped yet." in ui.message)


async def test_a_job_that_has_ended_is_not_stopped(build: FakeBuild) -> None:
    build.end(0)
    async with watching(build) as ui:
        await ui.press("escape", "J")
        await ui.until(lambda: "0 of 1 job running" in ui.text)
        await ui.press("ctrl+k", "escape")
        await ui.until(lambda: "This job has ended." in ui.message)


async def test_leaving_lets_the_build_go_on(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        await ui.press("escape")
        await ui.until(lambda: not isinstance(ui.app.screen, BuildScreen))
        assert ui.given == []
        assert build.job.locked()
        # The list of jobs has it.
        await ui.press("J")
        await ui.until(lambda: "1 of 1 job running" in ui.text)
        assert "enter shows, ^k stops, esc goes back" in ui.text
        await ui.press("enter")
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        # Back in the list, and only then where that was opened.
        await ui.press("escape")
        await ui.until(lambda: "1 of 1 job running" in ui.text)
        await ui.press("escape")
        await ui.until(lambda: "1 of 1 job running" not in ui.text)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_every_pane_has_room(build: FakeBuild, size: tuple[int, int]) -> None:
    async with watching(build, size) as ui:
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        for key, name in (("2", "log"), ("3", "files"), ("1", "steps")):
            await ui.press(key)
            assert ui.focus == name
            assert ui.screen.query_one(f"#{name}").region.height >= 5
        await ui.press("2", "z")
        assert ui.screen.query_one("#log").region.height == size[1] - 2
        await ui.press("escape")
        assert ui.screen.query_one("#log").region.height < size[1] - 2


async def test_moving_through_the_steps_stops_following(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        await ui.press("g")
        build.commit(3, 2)
        build.start(4, "CMD hello")
        await ui.until(lambda: "CMD hello" in ui.text)
        assert ui.screen.steps.cursor == 0


async def test_the_whole_log_has_the_lines_of_all_steps(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.write("log", text="pulling a base")
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        await ui.press("w")
        assert "63 lines" in ui.text
        await ui.press("2", "g")
        first, second, *_ = ui.pane("log")
        assert first.split()[:3] == ["pulling", "a", "base"]
        # Each line of a step begins with its number.
        assert second.split()[0] == "2"
        await ui.press("w")
        assert ui.pane("log")[0].split()[0] != "2"


async def test_a_file_is_shown_only_when_the_cursor_is_on_one(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        await ui.press("v")
        assert ui.message.startswith(("Go to a file first", "Nothing is read yet"))


async def test_a_build_is_compared_with_the_one_before_it(build: FakeBuild, tmp_path: Path) -> None:
    build.sample()
    build.commit(3, 2)
    build.write("finished", image=IMAGE)
    build.end(0)
    again = FakeBuild(tmp_path, 2)
    async with watching(again, (200, 60)) as ui:
        again.start(1, "FROM debian:bookworm")
        again.commit(1, 0, "step_cached", seconds=0.1)
        again.start(2, "RUN apt-get update && apt-get install -y python3")
        again.commit(2, 1, seconds=9.9)
        again.start(3, "RUN something else")
        again.commit(3, 2, size=5)
        again.write("finished", image=IMAGE)
        again.end(0)
        await ui.until(lambda: "Built" in ui.lines[0])
        steps = ui.pane("steps")
        assert steps[0].split() == ["#", "State", "Size", "Took", "Before", "Instruction"]
        assert steps[2].split()[4:8] == ["9.9s", "1MB", "3.2s", "RUN"]
        assert steps[3].split()[5:7] == ["new", "RUN"]
        reason = "Cache broken: The builder no longer has its result"
        await ui.until(lambda: reason in ui.text)


async def test_steps_of_the_plan_wait_for_their_turn(build: FakeBuild) -> None:
    plan = [[n, n, f"RUN number {n}"] for n in range(1, 6)]
    build.write("plan", steps=5, plan=plan)
    async with watching(build) as ui:
        await ui.until(lambda: "RUN number 5" in ui.text)
        assert [row.split()[1] for row in ui.pane("steps")[1:6]] == ["waiting"] * 5
        assert "0 of 5 steps" in ui.text
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        assert ui.screen.steps.cursor == 2
        assert ui.pane("steps")[5].split() == ["5", "waiting", "RUN", "number", "5"]
        build.write("step_failed", 3, exit_code=3, text="It returned 3.", seconds=0.4)
        build.write("failed", text="The build failed.")
        build.end(1)
        await ui.until(lambda: "Failed" in ui.lines[0])
        assert ui.pane("steps")[5].split()[:3] == ["5", "not", "run"]
        assert "2 of 5 steps" in ui.text
        await ui.press("G")
        await ui.until(lambda: "This step did not run." in ui.text)


async def test_a_log_without_a_line_says_why_there_is_none(build: FakeBuild) -> None:
    build.write("plan", steps=5, plan=[[n, n, f"RUN number {n}"] for n in range(1, 6)])
    async with watching(build) as ui:
        await ui.until(lambda: "RUN number 5" in ui.text)

        async def says(key: str, text: str) -> None:
            await ui.press(key)
            await ui.until(lambda: text in "\n".join(ui.pane("log")))

        await says("g", "This step has not started.")
        build.start(1, "FROM debian:bookworm")
        build.commit(1, 0, "step_cached", seconds=0.1)
        build.start(2, "RUN touch /a")
        build.commit(2, 1)
        build.start(3, "RUN sleep 100")
        await ui.until(lambda: "sleep 100" in ui.text)
        await says("g", "Taken from the cache, so nothing ran.")
        await says("j", "This step printed nothing.")
        await says("j", "No output yet.")
        await says("w", "No output yet.")
        build.write("failed", text="Cancelled.")
        build.end(130)
        await says("g", "Nothing was printed.")
        await says("w", "Taken from the cache, so nothing ran.")
        await says("G", "This step did not run.")


async def test_the_log_keeps_why_a_build_ended_in_the_middle_of_a_step(build: FakeBuild) -> None:
    async with watching(build, (80, 24)) as ui:
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        why = "The connection to the engine at unix:///run/docker.sock broke off. Is it up."
        build.write("failed", text=why, image=IMAGE)
        build.end(2)
        await ui.until(lambda: "Failed" in ui.lines[0])
        # The message at the bottom is cut off there, and goes with the next key.
        await ui.press("2")
        shown = " ".join(line.strip() for line in ui.pane("log"))
        assert shown.startswith(f"removing {why}")


async def test_the_cursor_stays_at_the_step_that_was_stopped(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        build.commit(3, 2)
        build.start(4, "RUN sleep 100")
        await ui.until(lambda: "sleep 100" in ui.text)
        build.write("failed", text="Cancelled.")
        build.end(130)
        await ui.until(lambda: "Cancelled" in ui.lines[0])
        assert ui.screen.steps.cursor == 3


async def test_a_rebuilt_image_can_be_opened(
    build: FakeBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(build) as ui:
        build.sample()
        build.write("failed", text="The connection broke off.", image=IMAGE)
        build.end(2)
        await ui.until(lambda: "Failed" in ui.lines[0])
        await ui.until(lambda: "The connection" in "\n".join(ui.pane("files")))
        again = FakeBuild(tmp_path, 2)
        monkeypatch.setattr("layerscope.jobs.launch.start", lambda *_: again.job)
        await ui.press("g", "b")
        await ui.until(lambda: "Starting the build…" in ui.text)
        assert "connection" not in ui.text
        again.start(1, "FROM debian:bookworm")
        again.commit(1, 0, image="sha256:new", size=7)
        again.start(2, "RUN true")
        await ui.until(lambda: "RUN true" in ui.text)
        assert ui.screen.steps.cursor == 1
        again.write("finished", image="sha256:new")
        again.end(0)
        await ui.until(lambda: "Built" in ui.lines[0])
        await ui.press("i")
        await ui.until(lambda: ui.given == ["docker-daemon:sha256:new"])


class GrowingEngine(fakes.FakeEngine):
    """An engine that gets an image, and counts how often it is asked for its images."""

    asked = 0

    def images(self, *, sizes: bool = False) -> list[ImageSummary]:
        self.asked += 1
        return super().images(sizes=sizes)

    def add(self) -> None:
        self._images.append(replace(self._images[0], repository="fresh", id="f" * 64))


@pytest.mark.parametrize("left_first", [False, True])
async def test_a_built_image_is_in_the_list_of_images(build: FakeBuild, left_first: bool) -> None:
    engine = GrowingEngine()
    async with watching(build, engine=engine) as ui:
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        if left_first:
            await ui.press("escape")
            await ui.until(lambda: "1 Images" in ui.text)
        engine.add()
        build.write("finished", image=IMAGE)
        build.end(0)
        if not left_first:
            await ui.until(lambda: "Built" in ui.lines[0])
            await ui.press("escape")
        await ui.until(lambda: "fresh" in ui.text)
        if left_first:
            await ui.until(lambda: "Build finished: hello:latest." in ui.message)
        assert ("Build finished" in ui.message) == left_first


async def test_looking_at_an_old_build_asks_the_engine_for_nothing(build: FakeBuild) -> None:
    engine = GrowingEngine()
    build.sample()
    build.end(1)
    async with watching(build, engine=engine) as ui:
        await ui.until(lambda: "Failed" in ui.lines[0])
        asked = engine.asked
        await ui.press("escape")
        await ui.until(lambda: "1 Images" in ui.text)
        assert engine.asked == asked


async def test_escape_goes_from_files_that_hide_the_log_to_the_steps(
    build: FakeBuild,
) -> None:
    async with watching(build, (80, 24)) as ui:
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        await ui.press("k", "enter")
        assert ui.focus == "files"
        await ui.press("escape")
        assert ui.focus == "steps"
        assert "2 Log" in ui.text
        assert ui.given == []
        await ui.press("escape")
        assert ui.given == []


def test_no_line_of_a_log_blinks_or_hides() -> None:
    line = colored_line("\x1b[5;31mred\x1b[6m \x1b[8mhidden\x1b[0m")
    assert "".join(text for text, _ in line) == "red hidden"
    assert all(not (style.blink or style.blink2 or style.conceal) for _, style in line)
    assert line[0][1].color is not None


async def test_steps_that_are_committed_at_the_end_of_the_build_say_so(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.start(1, "FROM debian:bookworm")
        build.write("step_done", 1, seconds=0.1)
        build.start(2, "RUN false")
        await ui.until(lambda: "RUN false" in ui.text)
        await ui.press("k")
        await ui.until(lambda: "BuildKit commits layers at the end" in "\n".join(ui.pane("files")))
        build.write("step_failed", 2, exit_code=1, text="It returned 1.")
        build.write("failed", text="The build failed.")
        build.end(1)
        await ui.until(lambda: "Failed" in ui.lines[0])
        await ui.press("j")
        await ui.until(lambda: "so it has no layer" in ui.text)
        await ui.press("k")
        await ui.until(lambda: "The build made no image." in "\n".join(ui.pane("files")))


WHY = "dockerfile parse error line 3: unknown instruction: RUNN"


@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_why_a_build_failed_before_its_first_step(
    build: FakeBuild, size: tuple[int, int], planned: bool
) -> None:
    if planned:
        plan = [[n, n, f"RUN number {n}"] for n in range(1, 6)]
        build.write("plan", steps=5, plan=plan)
    build.write("warning", text="secret.txt cannot be read.")
    build.write("log", text="Dockerfile:3")
    build.write("failed", line=3, text=f"The build failed: {WHY}\nTry another.")
    build.end(1)
    async with watching(build, size) as ui:
        await ui.until(lambda: "Failed" in ui.lines[0])
        assert "The build failed: the log says why. e edits the Dockerfile" in ui.message
        for key in ("j", "2", "w", "g"):
            await ui.press(key)
            shown = " ".join(line.strip() for line in ui.pane("log"))
            expected = f"Warning: secret.txt cannot be read. Dockerfile:3 The build failed: {WHY}"
            assert shown.strip() == f"{expected} Try another."
        assert ui.screen.steps.cursor == (3 if planned else 0)  # One below the line's.
        await ui.press("escape", "escape", "J")
        await ui.until(lambda: WHY in " ".join(line.strip(" │") for line in ui.lines))


async def test_warnings_are_in_the_log_of_their_step(build: FakeBuild) -> None:
    async with watching(build) as ui:
        build.sample()
        build.write("warning", 3, text="Only the last lines are kept.")
        build.write("warning", line=3, text="Upper and lower case are mixed.")
        await ui.until(lambda: "mixed." in ui.text)
        assert [line for line in ui.pane("log") if line] == [
            "removing",
            "Warning: Only the last lines are kept.",
            "Warning: line 3: Upper and lower case are mixed.",
        ]
        await ui.press("2", "slash", *"warning", "enter")
        await ui.until(lambda: "No match" not in ui.message and ui.focus == "log")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_cursor_goes_to_what_broke_the_cache(
    build: FakeBuild, tmp_path: Path, size: tuple[int, int]
) -> None:
    def run(build: FakeBuild, second: str, third: str) -> None:
        build.start(1, "FROM debian:bookworm")
        build.commit(1, 0, "step_cached", seconds=0.1)
        build.start(2, second)
        build.commit(2, 1, seconds=9.9)
        build.start(3, third)
        for number in range(200):
            build.write("log", 3, text=f"line {number}")
        build.commit(3, 2)
        build.write("finished", image=IMAGE)
        build.end(0)

    run(build, "RUN one", "RUN more")
    again = FakeBuild(tmp_path, 2)
    async with watching(again, size) as ui:
        run(again, "RUN two", "RUN more")
        await ui.until(lambda: "Built" in ui.lines[0] and "cache broke at 2" in ui.text)
        assert ui.screen.steps.cursor == 1
        steps = ui.pane("steps")
        assert steps[2].startswith("!✓")
        assert steps[3].startswith(" ✓")
        assert ui.pane("log")[0] == "Cache broken: The instruction changed; it was RUN one."
        await ui.press("j")
        await ui.until(lambda: ui.pane("log")[-1].startswith("line 199"))
        assert "Cache broken" not in ui.text
        await ui.press("k", "w")
        await ui.until(lambda: "all steps" in ui.text)


async def test_escape_goes_to_the_steps_first(build: FakeBuild) -> None:
    async with watching(build, (120, 40)) as ui:
        build.sample()
        await ui.until(lambda: "RUN rm -rf" in ui.text)
        for pane in ("2", "3"):
            await ui.press(pane, "z", "escape", "escape")
            assert ui.focus == "steps"
        await ui.press("escape")
        await ui.until(lambda: not isinstance(ui.app.screen, BuildScreen))
