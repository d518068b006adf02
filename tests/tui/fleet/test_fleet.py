"""The images of all engines in the TUI."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from layerscope.config import ENGINE
from layerscope.engines import fleet, known
from layerscope.engines.address import Address
from layerscope.engines.fleet import Fleet, FleetImage, Holding
from layerscope.engines.known import KnownEngine
from layerscope.engines.naming import Naming
from layerscope.errors import EngineError
from layerscope.images.image import Layer
from layerscope.jobs.job import Job
from layerscope.transfer.loading import PlannedImage
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.explore.screen import MainScreen
from layerscope.tui.fleet.screen import FleetScreen
from layerscope.tui.transfer.screen import TransferScreen
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.pictures import Picture, Size, sizes
from tests.tui.transfer.test_transfer import FakePull

ENGINES = [
    KnownEngine("default", "default", Address("unix:///d", None, ""), current=True),
    KnownEngine("no\x1bde", "Docker context", Address("ssh://me@node", None, "")),
    KnownEngine("gone", "Docker context", Address("ssh://me@gone", None, "")),
]


def held(name: str, digit: str, *sizes: int) -> Holding:
    layers = tuple(f"sha256:{number}" for number in range(len(sizes)))
    created = int(fakes.NOW) - 3 * fakes.DAY
    return Holding(f"sha256:{digit * 64}", (name,), (f"{name}@sha256:ab",), created, layers, sizes)


FLEET = Fleet(
    ENGINES,
    [
        FleetImage({"default": held("app:2", "2", 70_000_000, 5_000_000, 1_000_000)}),
        FleetImage({name: held("app:1", "1", 70_000_000) for name in ("default", "no\x1bde")}),
        FleetImage({"no\x1bde": held("evil\x1b[31m:1", "3", 70_000_000, 5_000_000)}),
    ],
    {"gone": EngineError("The engine at ssh://me@gone has not answered within 60 seconds.")},
)


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ENGINE, "auto")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(known, "known_engines", lambda: ENGINES)
    monkeypatch.setattr(fleet, "find_fleet", lambda _: iter([FLEET]))
    monkeypatch.setattr("layerscope.tui.fleet.screen.time.time", lambda: fakes.NOW)


def made() -> LayerscopeApp:
    opener = fakes.opener(fakes.FakeReader())
    return LayerscopeApp(None, opener, fakes.FakeEngine, clock=lambda: fakes.NOW)


async def show(ui: Driven) -> FleetScreen:
    await ui.until(lambda: "debian" in ui.text)
    await ui.press("H")
    await ui.until(lambda: "app:2" in ui.text)
    return ui.at(FleetScreen)


async def test_which_engine_has_what_and_what_others_lack() -> None:
    app = made()
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Driven(app, pilot)
        await show(ui)
        rows = ui.pane("fleet")
        assert "default, no\\ede" in next(row for row in rows if "app:1" in row)
        assert "3 images, of 2 engines; not reached: gone" in ui.text
        await ui.press("/", *"app:2", "enter")
        await ui.until(lambda: "Lacked by  no\\ede  1 of 3 layers, 1MB" in ui.text)
        await ui.press("escape", "escape")
        ui.at(MainScreen)


async def test_engines_are_listed_as_they_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be reached does not hold up the others."""
    both, rest = threading.Event(), threading.Event()

    def answers(_: object) -> Iterator[Fleet]:
        yield Fleet(ENGINES, [FLEET.images[2]], {}, {"default", "gone"})
        both.wait(60)
        yield Fleet(ENGINES, FLEET.images, {}, {"gone"})
        rest.wait(60)
        yield FLEET

    monkeypatch.setattr(fleet, "find_fleet", answers)
    app = made()
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Driven(app, pilot)
        await ui.until(lambda: "debian" in ui.text)
        await ui.press("H")
        await ui.until(lambda: "1 image, of 1 engine" in ui.text)
        assert "Asking 2 engines" in ui.text
        assert "Lacked by" not in ui.text
        both.set()
        await ui.until(lambda: "3 images, of 2 engines" in ui.text)
        assert "Asking 1 engine" in ui.text
        # The cursor is still on it, below the others.
        assert ui.at(FleetScreen).rows.cursor == 2
        await ui.until(lambda: "Lacked by  default  0 of 2 layers" in ui.text)
        assert "gone" not in ui.text
        rest.set()
        await ui.until(lambda: "not reached: gone" in ui.text)
        assert "Asking" not in ui.text


async def test_an_image_opens_in_the_engine_that_has_it() -> None:
    app = made()
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Driven(app, pilot)
        await show(ui)
        await ui.press("/", *"evil", "enter", "enter")
        await ui.until(lambda: isinstance(ui.app.screen, MainScreen))
        assert os.environ[ENGINE] == ENGINES[1].name
        await ui.until(lambda: ui.main.session is not None)
        assert ui.main.session is not None
        assert ui.main.session.source == f"sha256:{'3' * 64}"


async def test_an_image_is_pushed_to_an_engine_that_lacks_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from layerscope.engines import docker
    from layerscope.transfer import loading
    from layerscope.tui.transfer import verbs

    asked: list[tuple[object, ...]] = []
    layers = tuple(Layer(n, f"sha256:{n}", None, f"RUN step {n}") for n in range(3))
    image = replace(fakes.FakeReader().image, layers=layers)
    lost = Naming("", "app:2", f"sha256:{'9' * 64}")
    plan = PlannedImage(image, (lost,), 2, (70_000_000, 5_000_000, 1_000_000))

    def planned(engine: object, source: str, progress: object, holder: str) -> PlannedImage:
        asked.append((source, holder))
        return plan

    def start(*arguments: object) -> Job:
        asked.append(arguments)
        return FakePull(tmp_path, title="app:2").job

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(docker, "connect_any", lambda _: fakes.FakeEngine())
    monkeypatch.setattr("layerscope.engines.address.engine_address", lambda name: name)
    monkeypatch.setattr(loading, "plan_send", planned)
    monkeypatch.setattr(verbs, "start_push_to", start)
    app = made()
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Driven(app, pilot)
        await show(ui)
        await ui.press("/", *"app:2", "enter", ">")
        await ui.until(lambda: "no\\ede  1 of 3 layers, 1MB" in ui.text)
        await ui.press("enter")
        await ui.until(lambda: "enter moves the name and pushes it" in ui.text)
        assert "gets 1 of 3 layers, 1MB" in ui.text
        assert "app:2 is the name of image 999999999999" in ui.text
        assert asked == [("app:2", "default")]
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, TransferScreen))
    assert asked[1:] == [("app:2", "no\x1bde", {"app:2": lost.held_by}, "default")]


@sizes((80, 24), (120, 40))
def test_picture(size: Size, picture: Picture) -> None:
    async def before(ui: Driven) -> None:
        await show(ui)
        await ui.press("j")

    picture(made(), size, before)
