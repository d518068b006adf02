"""Images that are behind their registries: the screen, and the column of the list of images."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace

import pytest

from layerscope.engines.engine import ContainerSummary
from layerscope.images.answers import Inspected
from layerscope.images.summary import ImageSummary
from layerscope.oci.platform import Platform
from layerscope.text import visible
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.compare.screen import CompareScreen
from layerscope.tui.drift.screen import DriftScreen
from layerscope.tui.transfer.dialog import TransferDialog
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven
from tests.tui.pictures import Picture, Size, sizes
from tests.tui.registries import no_logins
from tests.unit.images.registry.misbehaving_registry import (
    FakeRegistry,
    answer,
    digest_of,
    fake_registry,
    tar_of,
)

OLD = "sha256:" + "0d" * 32
OLDER = "sha256:" + "0c" * 32
DAYS_OLD = 40


class PulledEngine(fakes.FakeEngine):
    """Has images that were pulled from a registry, one that was built, and containers."""

    def __init__(self, registry: str, current: str) -> None:
        self.registry = registry
        old = replace(fakes.IMAGES[0], created=int(fakes.NOW) - DAYS_OLD * fakes.DAY)
        images = [
            replace(old, repository=f"{registry}/app", tag=tag, id=f"sha256:{digit * 64}")
            for tag, digit in (("behind", "1"), ("current", "2"), ("gone", "3"), ("secret", "4"))
        ]
        super().__init__([*images, fakes.IMAGES[0]])
        self.digests = {"2": current}

    def containers(self, *, sizes: bool = False) -> list[ContainerSummary]:
        name = f"{self.registry}/app:current"
        return [
            ContainerSummary("c1", "we\x1bb", "sha256:" + "2" * 64, "running", name),
            ContainerSummary("c2", "old", OLDER, "exited", name),
        ]

    def inspect(self, name: str, platform: Platform | None = None) -> Inspected:
        digest = self.digests.get(name[7], OLD)
        named = () if name == fakes.IMAGES[0].id else (f"{self.registry}/app@{digest}",)
        return Inspected(id=name, digests=named, os="linux", architecture="amd64")

    def images(self, *, sizes: bool = False) -> list[ImageSummary]:
        return self._images


@pytest.fixture
def registry(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeRegistry]:
    no_logins(tmp_path_factory.mktemp("home"), monkeypatch)
    with fake_registry() as found:
        fill(found)
        yield found


def fill(registry: FakeRegistry) -> str:
    """Puts images into a registry; returns the digest of the one that is current."""
    for tag, created in (("behind", "2024-05-04"), ("current", "2024-05-01")):
        layer = gzip.compress(tar_of({tag: b"x"}), mtime=0)
        registry.image([layer], tag, created=f"{created}T12:00:00Z")
    registry.when("manifests/secret", answer(403))
    return digest_of(registry.manifests["current"][1])


@pytest.fixture
def engine(registry: FakeRegistry) -> PulledEngine:
    return PulledEngine(registry.address, fill(registry))


def row(ui: Driven, pane: str, name: str) -> str:
    return next(line for line in ui.pane(pane) if f"{name} " in line)


async def check(ui: Driven) -> None:
    await ui.press("B")
    await ui.until(lambda: isinstance(ui.app.screen, DriftScreen))
    await ui.until(lambda: not ui.at(DriftScreen).work.busy("drift"))


async def test_nothing_is_asked_before_the_user_wants_it(
    drive: Drive, registry: FakeRegistry, engine: PulledEngine
) -> None:
    async with drive(None, engine=engine) as ui:
        await ui.rest()
        assert "BEHIND" not in ui.text
        assert registry.asked == []
        await check(ui)
        assert registry.asked


async def test_states_digests_and_older_containers(drive: Drive, engine: PulledEngine) -> None:
    async with drive(None, engine=engine) as ui:
        await check(ui)
        await ui.until(lambda: "2 behind, or with older containers" in ui.text)
        first = ui.pane("drift")[1]
        assert "app:behind" in first
        assert "behind 12 days" in first
        assert OLD[7:19] in first
        assert "current" in row(ui, "drift", "app:current")
        assert "old" in row(ui, "drift", "app:current")
        assert "gone" in row(ui, "drift", "app:gone")
        assert "unknown" in row(ui, "drift", "app:secret")
        assert "local" in row(ui, "drift", "hello:latest")
        assert "It is 12 days newer." in ui.text
        assert OLD in ui.text
        await ui.press("/", *"current", "enter")
        await ui.until(lambda: "old (exited) uses an older one" in ui.text)
        assert "we\\eb (running) uses this image" in ui.text
        await ui.press("escape", "/", *"secret", "enter")
        await ui.until(lambda: "denies access" in ui.text)
        await ui.press("<")
        assert "The registry has no such image to compare with." in ui.message


async def test_it_is_compared_and_pulled(drive: Drive, engine: PulledEngine) -> None:
    # It is not the first of the images, but of what is behind.
    engine._images.reverse()
    async with drive(None, engine=engine) as ui:
        await check(ui)
        name = f"{engine.registry}/app:behind"
        await ui.press("c")
        await ui.until(lambda: isinstance(ui.app.screen, CompareScreen))
        assert ui.at(CompareScreen)._sources == (f"docker-daemon:{name}", f"docker://{name}")
        # One name, in two places.
        # Both are called the same, so where each is from is shown.
        await ui.until(lambda: "A engine hello:latest" in ui.lines[0])
        await ui.press("escape", "<")
        await ui.until(lambda: isinstance(ui.app.screen, TransferDialog) and name in ui.text)
        await ui.press("escape")
        await ui.until(lambda: isinstance(ui.app.screen, DriftScreen))
        await ui.press("enter")
        await ui.until(lambda: ui.app.screen is ui.main)
        assert ui.main.session is not None
        assert ui.main.session.source == name
        await ui.press("escape")
        ui.at(DriftScreen)


async def test_the_list_of_images_has_a_column_of_it(drive: Drive, engine: PulledEngine) -> None:
    async with drive(None, engine=engine) as ui:
        await check(ui)
        await ui.press("escape")
        await ui.until(lambda: "BEHIND" in ui.pane("images")[0])
        assert "12 days" in row(ui, "images", "behind")
        assert " no " in row(ui, "images", "current")
        assert " gone " in row(ui, "images", "gone ")
        # It stays when the engine is asked again.
        await ui.press("R")
        await ui.rest()
        assert "12 days" in row(ui, "images", "behind")


async def test_only_marked_images_are_asked_about(
    drive: Drive, registry: FakeRegistry, engine: PulledEngine
) -> None:
    async with drive(None, engine=engine) as ui:
        await ui.press("/", *"gone", "enter", "space")
        await check(ui)
        assert "1 image" in ui.text
        assert {each.path for each in registry.asked if "manifests" in each.path} == {
            "/v2/app/manifests/gone"
        }


async def test_an_engine_that_fails_says_why(drive: Drive, engine: PulledEngine) -> None:
    async with drive(None, engine=engine) as ui:

        def fail(*_: object, **__: object) -> list[ContainerSummary]:
            raise fakes.NO_ENGINE

        engine.containers = fail  # type: ignore[method-assign]
        await check(ui)
        await ui.until(lambda: "No engine listens" in ui.text)


@sizes((80, 24), (120, 40))
def test_pictures(
    picture: Picture, engine: PulledEngine, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerscope.tui.drift.screen.time.time", lambda: fakes.NOW)
    show_as_example(engine, monkeypatch)
    opener = fakes.opener(fakes.FakeReader())
    app = LayerscopeApp(None, opener, lambda: engine, clock=lambda: fakes.NOW)

    async def before(ui: Driven) -> None:
        await ui.until(lambda: "hello" in ui.text)
        await check(ui)

    picture(app, size, before)


def show_as_example(engine: PulledEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the registry one name in pictures: its port is another one each time."""

    def shown(text: str) -> str:
        return visible(text.replace(engine.registry, "registry.example.com"))

    monkeypatch.setattr("layerscope.tui.drift.screen.visible", shown)
