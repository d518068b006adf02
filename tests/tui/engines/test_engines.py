"""The list of engines in the TUI, and using another one without leaving."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from layerscope.config import ENGINE, load
from layerscope.engines.address import Address
from layerscope.engines.known import KnownEngine
from layerscope.engines.probing import EngineState
from layerscope.errors import EngineError
from layerscope.images.summary import ImageSummary
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.dialogs.question import QuestionScreen
from layerscope.tui.engines import screen
from layerscope.tui.engines.screen import EnginesScreen
from layerscope.tui.explore.screen import MainScreen
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.pictures import Picture, Size, sizes

DENIED = EngineError(
    "No permission to talk to the engine at unix:///run/podman/podman.sock.",
    "Run it with sudo, or join the socket's group.",
)


def known(name: str, host: str, kind: str, *, current: bool = False) -> KnownEngine:
    return KnownEngine(name, kind, Address(host, None, ""), current=current)


ENGINES = [
    known("default", "unix:///var/run/docker.sock", "default", current=True),
    known("build\x1b[31mhost", "ssh://me@buildhost", "Docker context"),
    known("podman", "unix:///run/podman/podman.sock", "socket"),
    known("containerd-root:/var/lib/containerd", "containerd-root:/var/lib/containerd", "folder"),
]
STATES = [
    EngineState(ENGINES[0], "Docker 28.5.1", "overlay2", 7, 12_300_000_000, done=True),
    EngineState(ENGINES[1], "Docker 20.10.24", "overlay2", 41),
    EngineState(ENGINES[2], problem=DENIED, done=True),
    EngineState(ENGINES[3], "data folder", "containerd", 2, 400_000_000, done=True),
]


class _Other(fakes.FakeEngine):
    name = "Docker 20.10.24"

    def images(self, *, sizes: bool = False) -> list[ImageSummary]:
        return [each for each in fakes.IMAGES if each.repository == "debian"][:1]


def connect() -> fakes.FakeEngine:
    """The engine that the variable names, as a real connector does."""
    return _Other() if "build" in os.environ[ENGINE] else fakes.FakeEngine()


@pytest.fixture(autouse=True)
def hang(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[threading.Event]:
    """Engines of which the second is still asked until the event is set."""
    answered = threading.Event()

    def states(engines: Sequence[KnownEngine]) -> Iterator[EngineState]:
        yield from STATES
        answered.wait()

    monkeypatch.setenv(ENGINE, "auto")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(screen, "known_engines", lambda: ENGINES)
    monkeypatch.setattr(screen, "states", states)
    yield answered
    answered.set()


def made(source: str | None = None) -> LayerscopeApp:
    opener = fakes.opener(fakes.FakeReader())
    return LayerscopeApp(source, opener, connect, clock=lambda: fakes.NOW)


def kept() -> str:
    """The engine in the settings file, whatever the variable is."""
    environment = {"XDG_CONFIG_HOME": os.environ["XDG_CONFIG_HOME"]}
    return str(load(environment=environment).values["engine"])


async def show(ui: Driven) -> EnginesScreen:
    await ui.until(lambda: "debian" in ui.text)
    await ui.press("O")
    await ui.until(lambda: "Docker 20.10.24" in ui.text)
    return ui.at(EnginesScreen)


async def test_what_each_engine_has() -> None:
    app = made()
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Driven(app, pilot)
        await show(ui)
        rows = ui.pane("engine-rows")
        default = next(row for row in rows if "default" in row)
        assert "*" in default
        assert all(part in default for part in ("Docker 28.5.1", "overlay2", " 7 ", "12.3GB"))
        assert "cannot be reached" in next(row for row in rows if "podman" in row)
        assert "build\\e[31mhost" in ui.text
        assert "4 engines, asking 1" in ui.text
        assert "default: unix:///var/run/docker.sock" in ui.text
        await ui.press("j", "j")
        await ui.until(lambda: "No permission to talk to" in ui.text)
        assert "sudo" in ui.text
        await ui.press("escape")
        ui.at(MainScreen)


async def test_another_engine_is_used_without_leaving() -> None:
    app = made(source="hello:latest")
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Driven(app, pilot)
        await ui.until(ui.over)
        await ui.press("1")
        assert await show(ui)
        await ui.press("j", "enter")
        await ui.until(lambda: isinstance(ui.app.screen, MainScreen))
        # The image of the other engine is closed, and the list is that of this one.
        await ui.until(lambda: ui.main.engine.name == "Docker 20.10.24")
        assert ui.main.session is None
        assert ui.main.images.total == 1
        assert "is used until you quit" in ui.message
        assert os.environ[ENGINE] == ENGINES[1].name
        assert kept() == "auto"


async def test_an_archive_stays_open() -> None:
    app = made(source="docker-archive:image.tar")
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Driven(app, pilot)
        await ui.until(ui.over)
        await ui.press("1")
        await show(ui)
        await ui.press("j", "enter")
        await ui.until(lambda: ui.main.engine.name == "Docker 20.10.24")
        assert ui.main.session is not None


async def test_an_engine_is_kept() -> None:
    app = made()
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Driven(app, pilot)
        await show(ui)
        await ui.press("G", "K")
        await ui.until(lambda: isinstance(ui.app.screen, MainScreen))
        assert "from now on; kept in" in ui.message
        assert kept() == ENGINES[3].name


@sizes((80, 24), (120, 40))
def test_picture(size: Size, picture: Picture) -> None:
    async def before(ui: Driven) -> None:
        await show(ui)
        await ui.press("j", "j")

    picture(made(), size, before)


class _Far(fakes.FakeReader):
    """An image that an engine on another host must export."""

    price = 3_900_000_000


@pytest.mark.parametrize("letter", ["t", "c", "escape"])
async def test_the_price_of_an_export_is_asked_about(letter: str) -> None:
    opener = fakes.opener(_Far())
    app = LayerscopeApp("hello:latest", opener, connect, clock=lambda: fakes.NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        ui = Driven(app, pilot)
        await ui.until(lambda: isinstance(ui.app.screen, QuestionScreen))
        text = " ".join(ui.text.replace("│", " ").split())
        assert "hello:latest must be exported from another host, which transfers 3.9GB." in text
        assert ui.main.session is not None
        assert ui.main.session.loaded is None
        await ui.press(letter)
        await ui.until(ui.over)
        session = ui.main.session
        assert (session is not None and session.loaded is not None) == (letter == "t")
