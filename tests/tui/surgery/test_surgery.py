"""Squash, drop and rebase: the look first, then the name, then a job that makes the image."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from layerscope.engines import address as addresses
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.engine import Events
from layerscope.engines.resolve import open_image
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.jobs.folder import all_jobs
from layerscope.jobs.job import State
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.surgery.screen import SurgeryScreen
from layerscope.tui.transfer.screen import TransferScreen
from tests.archives import diff_id, layer_tar, text, write_archive
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.pictures import Picture, Size, sizes
from tests.tui.real_images import LAYERS
from tests.unit.engines.embedded.images import add

#: As the image's base, but for a file that the image replaces.
NEW_BASE = [*LAYERS[0], text("etc/app.conf", "new")]


class QuietEngine(EmbeddedEngine):
    """Our own store, without the thread that watches it for as long as the app runs."""

    def events(self) -> Events:
        raise self._unsupported("report what changes")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAYERSCOPE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LAYERSCOPE_ENGINE", addresses.EMBEDDED)
    return write_archive(tmp_path, [layer_tar(items) for items in LAYERS], "example.test/app:1")


def app_of(archive: Path) -> LayerscopeApp:
    def opener(source: str, progress: Progress, platform: str | None = None) -> ImageReader:
        return open_image(source, progress, platform=platform)

    return LayerscopeApp(str(archive), opener, QuietEngine, lambda: fakes.NOW)


@asynccontextmanager
async def opened(archive: Path) -> AsyncIterator[Driven]:
    app = app_of(archive)
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Driven(app, pilot)
        await ui.until(ui.over)
        yield ui


async def ended(ui: Driven, kind: str) -> None:
    """Waits for the end of the job that makes the image."""
    await ui.until(lambda: isinstance(ui.app.screen, TransferScreen))
    await ui.until(lambda: ui.at(TransferScreen)._ended is not None)
    await ui.rest()
    (job,) = all_jobs()
    assert (job.kind, job.state) == (kind, State.FINISHED), job.reason


def paths(ui: Driven) -> list[str]:
    return [each.path.decode() for each in ui.at(SurgeryScreen)._list.items]


def reader_of(name: str) -> Iterator[ImageReader]:
    with closing(open_image(f"embedded:{name}")) as reader:
        yield reader


async def test_the_layers_above_become_one(archive: Path) -> None:
    async with opened(archive) as ui:
        await ui.press("2", "G")
        await ui.rest()
        await ui.press("k", "K")
        await ui.until(lambda: "A container sees no difference." in ui.text)
        assert "Squash layers 1 to 3 of example.test/app:1." in ui.text
        assert "4 → 2" in ui.text
        await ui.press("enter", *"Small", "enter")
        await ui.until(lambda: "Small is not a name for an image." in ui.text)
        await ui.press("enter", *"small:1", "enter")
        await ended(ui, "squash")
        await ui.press("enter")
        await ui.until(lambda: "squashed 3 layers: " in ui.text and ui.over())
    for reader in reader_of("small:1"):
        assert len(reader.image.layers) == 2


async def test_a_path_is_dropped_from_its_layer(archive: Path) -> None:
    async with opened(archive) as ui:
        await ui.press("K")
        await ui.until(lambda: "There is no layer above this one." in ui.message)
        await ui.press("3")
        await ui.until(lambda: "app.conf" in ui.text)
        await ui.rest()
        await ui.press("G", "K")
        await ui.until(lambda: paths(ui) == ["etc/app.conf"])
        assert "Drop /etc/app.conf from layer 3" in ui.text
        await ui.press("enter", *"other:1", "enter")
        await ended(ui, "drop")
    for reader in reader_of("other:1"):
        assert len(reader.image.layers) == 4


async def move_onto(ui: Driven, image: str, base: str, old: str) -> None:
    """Goes to what an image in the list of three would be on another base."""
    await ui.press("1")
    await ui.until(lambda: ui.main.images.total == 3)
    await ui.press("g")
    await ui.rest()
    for _ in range(2):
        if ui.main.images.source != image:
            await ui.press("j")
    await ui.press("K")
    await ui.until(lambda: "New base: " in ui.text)
    await ui.press(*base, "enter", *old, "enter")


async def test_an_image_in_the_list_is_moved_onto_another_base(
    archive: Path, tmp_path: Path
) -> None:
    add(EmbeddedEngine().store, archive, "app:1")
    for name, items in (("base:1", LAYERS[0]), ("base:2", NEW_BASE)):
        (tmp_path / "base").mkdir(exist_ok=True)
        add(EmbeddedEngine().store, write_archive(tmp_path / "base", [layer_tar(items)]), name)
    async with opened(archive) as ui:
        await move_onto(ui, "app:1", "base:2", "base:2")
        await ui.until(lambda: "was not built on base:2 as it is now" in ui.text)
        await ui.press("enter", *"base:2", "enter", *"base:1", "enter")
        await ui.until(lambda: "from base:1 onto base:2." in ui.text)
        await ui.rest()
        assert "conflict: layer 3 " in ui.text
        assert "1 conflict of the layers with the new base." in ui.text
        await ui.press("enter", *"moved:1", "enter")
        await ended(ui, "rebase")
    for reader in reader_of("moved:1"):
        assert len(reader.image.layers) == 4
        assert reader.image.layers[0].diff_id == diff_id(layer_tar(NEW_BASE))


async def test_leaving_makes_nothing(archive: Path) -> None:
    async with opened(archive) as ui:
        await ui.press("2", "G")
        await ui.rest()
        await ui.press("K")
        await ui.until(lambda: "Squash layers 0 to 3" in ui.text)
        await ui.press("enter", "escape", "escape")
        assert ui.app.screen is ui.main
    assert EmbeddedEngine().images() == []


@sizes((80, 24), (120, 40))
def test_picture(picture: Picture, size: Size, archive: Path) -> None:
    async def before(ui: Driven) -> None:
        await ui.until(ui.over)
        await ui.press("3")
        await ui.until(lambda: "app.conf" in ui.text)
        await ui.rest()
        await ui.press("G", "K")
        await ui.until(lambda: paths(ui) == ["etc/app.conf"])

    picture(app_of(archive), size, before)
