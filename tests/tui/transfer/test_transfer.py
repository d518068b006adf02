"""Pulls and pushes in the TUI: the question, a row for each layer, and the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.errors import LoginError, RegistryError
from layerscope.images.image import Layer
from layerscope.images.registry.pull_estimate import PullEstimate
from layerscope.jobs.job import Job
from layerscope.oci.distribution import RateLimit
from layerscope.oci.platform import Platform
from layerscope.transfer.preview import PullPreview, PushPreview
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.dialogs.login import LoginScreen
from layerscope.tui.transfer.dialog import TransferDialog
from layerscope.tui.transfer.screen import TransferScreen
from layerscope.writing import existing
from tests.archives import docker_archive, layer_tar, text
from tests.tui import fakes
from tests.tui.build.build_fakes import FakeBuild
from tests.tui.conftest import Driven
from tests.tui.pictures import Before, Look, Picture, Size, looks, sizes
from tests.tui.remove.test_remove import RemovingEngine

A, B, C = "a" * 12, "b" * 12, "c" * 12
NAME = "registry.example.com/app:1"


class FakePull(FakeBuild):
    KIND = "pull"

    def spec(self, title: str) -> dict[str, Any]:
        return {"reference": title}

    def layer(self, identifier: str, state: str, *sizes: int, **more: object) -> None:
        facts: dict[str, Any] = dict(zip(("current", "total"), sizes, strict=False))
        self.write("layer", None, id=identifier, state=state, **facts, **more)

    def sample(self) -> None:
        self.write("started", image=NAME)
        self.layer(A, "exists")
        self.layer(B, "downloading", 0, 40_000_000)
        self.layer(B, "downloading", 30_000_000, 40_000_000)
        self.layer(C, "retrying", text="Retrying in 5 seconds")


class FakePush(FakePull):
    KIND = "push"


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.fixture
def pull(tmp_path: Path) -> FakePull:
    return FakePull(tmp_path, title=NAME)


def made(theme: str = "layerscope-dark", engine: fakes.FakeEngine | None = None) -> LayerscopeApp:
    opener, connector = fakes.opener(fakes.FakeReader()), fakes.connector(engine)
    return LayerscopeApp(None, opener, connector, clock=lambda: fakes.NOW, theme=theme)


class Watched(Driven):
    given: list[str | None]


@asynccontextmanager
async def running(
    size: Size = (120, 40), engine: fakes.FakeEngine | None = None
) -> AsyncIterator[Watched]:
    app = made(engine=engine)
    async with app.run_test(size=size) as pilot:
        ui = Watched(app, pilot)
        ui.given = []
        await ui.until(lambda: "debian" in ui.text)
        yield ui


async def watch(ui: Watched, job: FakePull) -> TransferScreen:
    place = replace(ui.main.place, go=lambda goal: ui.given.append(goal.source))
    screen = TransferScreen(job.job, place, lambda: 0.0)
    await ui.app.push_screen(screen)
    return screen


async def test_a_row_for_each_layer_and_one_total(pull: FakePull) -> None:
    async with running() as ui:
        await watch(ui, pull)
        assert "Waiting for the first layer" in ui.text
        pull.sample()
        await ui.until(lambda: C in ui.text)
        rows = ui.pane("transfer")
        assert "already there" in next(row for row in rows if A in row)
        assert "30MB / 40MB" in next(row for row in rows if B in row)
        assert "1 of 3 layers" in ui.text
        assert "30MB of 40MB" in ui.text
        await ui.press("enter")
        assert "can be opened once the pull has ended" in ui.message
        pull.layer(B, "done")
        pull.layer(C, "done")
        pull.write("finished", image="sha256:" + "5" * 64, digest="sha256:" + "6" * 64, seconds=9.0)
        pull.end()
        await ui.until(lambda: "finished" in ui.text)
        assert "3 of 3 layers" in ui.text
        assert "555555555555" in ui.text
        await ui.press("enter")
        assert ui.given == [f"docker-daemon:{NAME}"]


async def test_why_it_failed_and_that_it_goes_on(pull: FakePull) -> None:
    async with running() as ui:
        await watch(ui, pull)
        pull.sample()
        await ui.until(lambda: "It goes on when you leave" in ui.text)
        await ui.press("escape")
        assert pull.job.locked()
        await ui.press("J")
        await ui.until(lambda: "1 of 1 job running" in ui.text)
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, TransferScreen))
        pull.write("failed", text="no space left\x1b[31m on device")
        pull.end(2)
        await ui.until(lambda: "failed" in ui.text)
        assert "no space left\\e[31m on device" in ui.text


async def test_one_that_moves_nothing_does_not_wait(pull: FakePull) -> None:
    async with running() as ui:
        await watch(ui, pull)
        pull.write("started", image=NAME)
        pull.write("finished", image="sha256:" + "5" * 64, seconds=0.1)
        pull.end()
        await ui.until(lambda: "No layer was moved." in ui.text)
        assert "Waiting for the first layer" not in ui.text


async def test_one_whose_process_was_killed(pull: FakePull) -> None:
    async with running() as ui:
        await watch(ui, pull)
        pull.sample()
        pull.end(None)
        await ui.until(lambda: "was killed" in ui.text)
        assert "died" in ui.text


async def test_it_is_stopped(pull: FakePull, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[str] = []

    def stop(job: Job) -> bool:
        stopped.append(job.id)
        return True

    monkeypatch.setattr("layerscope.tui.transfer.screen.cancel", stop)
    async with running() as ui:
        await watch(ui, pull)
        pull.sample()
        await ui.press("ctrl+k")
        await ui.until(lambda: stopped == ["1"])


# --- the question ---


def pull_preview(**more: Any) -> PullPreview:
    layers = tuple(
        Layer(
            n,
            f"sha256:{n}",
            f"sha256:{str(n) * 64}",
            f"RUN step {n} {'and more ' * 20}",
            stored_size=1_000_000,
        )
        for n in range(3)
    )
    estimate = PullEstimate((True, False, False), 3_000_000, 2_000_000)
    values: dict[str, Any] = {
        "reference": NAME,
        "digest": "sha256:d",
        "platform": Platform("linux", "amd64"),
        "engine": "Docker 28",
        "layers": layers,
        "estimate": estimate,
        "up_to_date": False,
        "limit": RateLimit(100, 76, 21600),
    }
    return PullPreview(**{**values, **more})


async def test_what_a_pull_would_fetch_is_shown_before_it_starts(
    pull: FakePull, monkeypatch: pytest.MonkeyPatch
) -> None:
    from layerscope.transfer import preview
    from layerscope.tui.transfer import verbs

    started: list[str] = []

    def start(kind: Any, asked: Any) -> Any:
        started.append(f"{kind.name} {asked.reference}")
        return pull.job

    monkeypatch.setattr(preview, "preview_pull", lambda *_, **__: pull_preview())
    monkeypatch.setattr(verbs, "start_transfer", start)
    async with running() as ui:
        await ui.press("<")
        ui.at(TransferDialog)
        await ui.press(*NAME)
        await ui.press("enter")
        await ui.until(lambda: "would fetch 2MB of 3MB: 2 of 3 layers" in ui.text)
        assert "76 more of 100 pulls in 6 hours" in ui.text
        # However long its instruction is, a layer has one line.
        assert sum("and more" in line for line in ui.lines) == 3
        assert "enter pulls it" in ui.text
        # Another name is looked at first, too.
        await ui.press("2", "backspace", "enter")
        await ui.until(lambda: "enter pulls it" in ui.text)
        assert started == []
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, TransferScreen))
        assert started == [f"pull {NAME}"]


async def test_into_our_own_store_there_is_one_way(
    pull: FakePull, monkeypatch: pytest.MonkeyPatch
) -> None:
    from layerscope.transfer import preview
    from layerscope.tui.transfer import verbs

    started: list[str] = []

    def start(kind: Any, asked: Any) -> Any:
        started.append(asked.via)
        return pull.job

    monkeypatch.setattr(preview, "preview_own_pull", lambda *_, **__: pull_preview(kept=0))
    monkeypatch.setattr(verbs, "start_transfer", start)
    monkeypatch.setattr(fakes.FakeEngine, "name", EmbeddedEngine.name)
    async with running() as ui:
        await ui.press("<")
        assert "the embedded store, or oci:DIR" in ui.text
        assert "own client does it" in ui.text
        assert "changes how" not in ui.text
        await ui.press(*NAME, "enter")
        await ui.until(lambda: "enter pulls it" in ui.text)
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, TransferScreen))
    assert started == ["registry"]


async def test_our_own_client_can_do_it(
    pull: FakePull, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from layerscope.transfer import preview
    from layerscope.tui.transfer import verbs

    started: list[Any] = []

    def start(kind: Any, asked: Any) -> Any:
        started.append(asked)
        return pull.job

    monkeypatch.setattr(preview, "preview_own_pull", lambda *_, **__: pull_preview(kept=7_000_000))
    monkeypatch.setattr(verbs, "start_transfer", start)
    async with running() as ui:
        await ui.press("<", *NAME)
        assert "The engine does it." in ui.text
        await ui.press("ctrl+r")
        assert "own client does it" in ui.text
        await ui.press("enter")
        await ui.until(lambda: "7MB of them are kept" in ui.text)
        # A target asks for another look; what is no target is said.
        await ui.press("tab", *"nowhere", "enter")
        assert "is not a target" in ui.text
        await ui.press(*["backspace"] * 7, *f"oci:{tmp_path}/x", "ctrl+r")
        assert "own client does it" in ui.text
        await ui.press("enter")
        await ui.until(lambda: "enter pulls it" in ui.text)
        assert started == []
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, TransferScreen))
    (asked,) = started
    assert (asked.reference, asked.via) == (NAME, "registry")
    assert asked.target == f"oci:{tmp_path}/x"


async def test_what_was_written_to_a_file_is_opened_there(tmp_path: Path) -> None:
    target = "oci:/images/layout"

    class ToLayout(FakePull):
        def spec(self, title: str) -> dict[str, Any]:
            return {"reference": title, "via": "registry", "target": target}

    job = ToLayout(tmp_path, title=NAME)
    async with running() as ui:
        await watch(ui, job)
        job.sample()
        job.write("finished", image="sha256:" + "5" * 64, text=target, seconds=1.0)
        job.end()
        await ui.until(lambda: "Written" in ui.text and target in ui.text)
        await ui.press("enter")
        assert ui.given == [target]


async def test_a_registry_that_does_not_answer_leaves_it_to_the_engine(
    pull: FakePull, monkeypatch: pytest.MonkeyPatch
) -> None:
    from layerscope.transfer import preview

    def fail(*_: object, **__: object) -> None:
        raise RegistryError("Nothing listens there.", "Check the name.")

    monkeypatch.setattr(preview, "preview_pull", fail)
    async with running() as ui:
        await ui.press("<", *"app", "enter")
        await ui.until(lambda: "Nothing listens there. Check the name." in ui.text)
        assert "enter pulls it all the same" in ui.text
        await ui.press("escape")
        await ui.press("<", *"No such:name", "enter")
        await ui.until(lambda: "is not the name of an image" in ui.text)
        assert "all the same" not in ui.text


async def test_a_registry_that_wants_a_login_is_asked_again_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from layerscope.transfer import preview

    asked: list[str] = []

    def look(_: object, reference: object, **__: object) -> PullPreview:
        asked.append(str(reference))
        if len(asked) == 1:
            raise LoginError("ghcr.io requires a login (401).", "", "ghcr.io")
        return pull_preview()

    monkeypatch.setattr(preview, "preview_pull", look)
    async with running() as ui:
        await ui.press("<", *"ghcr.io/app", "enter")
        await ui.until(lambda: "requires a login (401)" in ui.text)
        assert "^g logs in, enter pulls it all the same" in ui.text
        await ui.press("ctrl+g")
        await ui.until(lambda: isinstance(ui.app.screen, LoginScreen))
        ui.at(LoginScreen).dismiss(True)
        await ui.until(lambda: "enter pulls it" in ui.text and "would fetch" in ui.text)
        assert len(asked) == 2


async def test_a_transfer_that_was_refused_says_which_key_logs_in(pull: FakePull) -> None:
    async with running() as ui:
        screen = await watch(ui, pull)
        pull.sample()
        pull.write("failed", text="unauthorized: authentication required")
        pull.end(2)
        await ui.until(lambda: "Press I to log in, then pull it again." in ui.text)
        assert screen.registry == "registry.example.com"


async def test_a_push_is_of_the_image_under_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.transfer import preview
    from layerscope.tui.transfer import verbs

    asked: list[str] = []

    def look(_: object, reference: object, **__: object) -> PushPreview:
        asked.append(str(reference))
        present, there = (True, False), "sha256:there"
        return PushPreview(
            str(reference), "sha256:i", "Docker 28", ("d", "e"), present, None, there
        )

    monkeypatch.setattr(preview, "preview_push", look)
    started: list[Any] = []
    monkeypatch.setattr(verbs, "start_transfer", lambda _, request: started.append(request))
    async with running() as ui:
        await ui.press(">")
        await ui.until(lambda: "enter pushes it" in ui.text)
        assert asked == ["hello:latest"]
        assert "already there" in ui.text
        await ui.press("enter")
        await ui.until(lambda: bool(started))
        assert started[0].seen == "sha256:there"


def starts_noted(monkeypatch: pytest.MonkeyPatch, kind: str, job: Job) -> list[Any]:
    """Notes the requests of jobs of a kind that would be started."""
    from layerscope.tui.transfer import verbs

    started: list[Any] = []

    def start(title: str, request: object) -> Job:
        started.append(request)
        return job

    monkeypatch.setattr(verbs, kind, SimpleNamespace(start=start))
    return started


async def test_images_of_an_archive_are_loaded_after_a_look(
    pull: FakePull, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = starts_noted(monkeypatch, "LOAD", pull.job)
    file = tmp_path / "image.tar"
    file.write_bytes(docker_archive([layer_tar([text("a")])], "debian:bookworm-slim"))
    async with running(engine=RemovingEngine()) as ui:
        await ui.press("{", *str(file), "enter")
        await ui.until(lambda: "is the name of image" in ui.text)
        assert "enter moves the name and loads it" in ui.text
        assert started == []
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, TransferScreen))
    (request,) = started
    assert request.source == str(file)
    assert list(request.moves) == ["debian:bookworm-slim"]


async def test_an_image_is_saved_and_a_file_replaced_only_after_its_name(
    pull: FakePull, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = starts_noted(monkeypatch, "SAVE", pull.job)
    source, target = tmp_path / "image.tar", tmp_path / "copy.tar"
    source.write_bytes(docker_archive([layer_tar([text("a")])], "app:1"))
    target.write_text("mine")
    async with running() as ui:
        await ui.press("}", "shift+tab", *["backspace"] * 30, *str(source), "tab")
        await ui.press(*f"oci-archive:{target}", "ctrl+r", "ctrl+r")
        assert "compressed with zstd" in ui.text
        await ui.press("enter")
        await ui.until(lambda: "enter replaces that file" in ui.text)
        assert "is there, with 4B." in ui.text
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, TransferScreen))
    (request,) = started
    assert (request.form, request.path) == ("oci-archive", str(target))
    assert (request.compression, request.replaces) == ("zstd", existing(target))


class FakeLoad(FakePull):
    KIND = "load"

    def spec(self, title: str) -> dict[str, Any]:
        return {"source": title}


async def test_what_was_loaded_is_opened(tmp_path: Path) -> None:
    job = FakeLoad(tmp_path, title="image.tar")
    async with running() as ui:
        await watch(ui, job)
        job.sample()
        job.write("loaded", image="sha256:" + "5" * 64, name="app:2", replaced="sha256:" + "4" * 64)
        job.write("finished", image="sha256:" + "5" * 64, seconds=1.0)
        job.end()
        await ui.until(lambda: f"app:2  {'5' * 12}, in place of {'4' * 12}" in ui.text)
        await ui.press("enter")
        assert ui.given == ["docker-daemon:app:2"]


# --- pictures ---


def shown(job: FakePull) -> Before:
    async def before(ui: Driven) -> None:
        job.sample()
        await ui.app.push_screen(TransferScreen(job.job, fakes.place(), lambda: 0.0))
        await ui.until(lambda: C in ui.text)

    return before


@looks()
def test_a_pull_in_themes(picture: Picture, tmp_path: Path, look: Look) -> None:
    picture(made(look.theme), look.size, shown(FakePull(tmp_path, title=NAME)))


@sizes((80, 24), (40, 12))
def test_a_push_in_sizes(picture: Picture, tmp_path: Path, size: Size) -> None:
    picture(made(), size, shown(FakePush(tmp_path, title=NAME)))


@sizes((80, 24), (120, 40))
def test_the_question(picture: Picture, size: Size, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.transfer import preview

    monkeypatch.setattr(preview, "preview_pull", lambda *_, **__: pull_preview())

    async def before(ui: Driven) -> None:
        await ui.press("<", *NAME, "enter")
        await ui.until(lambda: "enter pulls it" in ui.text)

    picture(made(), size, before)
