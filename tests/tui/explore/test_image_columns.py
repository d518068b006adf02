"""What the list of images says of each: waste, users, platforms, names, which one is open."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from layerscope.engines.engine import EngineEvent, Events
from layerscope.engines.measuring import MeasuredImage
from layerscope.images.cache.sizes import SizesCache
from layerscope.images.sizes import ImageSizes
from layerscope.images.summary import ImageSummary
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.compare.screen import CompareScreen
from layerscope.tui.explore import engine_images
from layerscope.tui.waste.screen import WasteScreen
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven
from tests.tui.pictures import Picture, Size, sizes
from tests.tui.remove.test_remove import DEBIAN, HELLO, LAYERS, NONE, SLIM, TEAM, RemovingEngine

MEGABYTE = 1_000_000


@pytest.fixture(autouse=True)
def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache that knows two images."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = SizesCache()
    cache.put(LAYERS[DEBIAN], ImageSizes((100 * MEGABYTE,), 100 * MEGABYTE))
    cache.put(LAYERS[HELLO], ImageSizes((100 * MEGABYTE, 60 * MEGABYTE), 40 * MEGABYTE))


class Measurer:
    """Measures when a test lets it, and notes what it was asked."""

    def __init__(self, known: dict[str, ImageSizes]) -> None:
        self.known = known
        self.free = threading.Event()
        self.asked: list[tuple[list[str], bool]] = []

    def __call__(
        self,
        ids: Sequence[str],
        on_stop: Callable[[Callable[[], object]], object],
        *,
        thorough: bool = False,
    ) -> Iterator[MeasuredImage]:
        self.asked.append((list(ids), thorough))
        on_stop(self.free.set)
        self.free.wait(60)
        yield from (MeasuredImage(each, self.known.get(each)) for each in ids)


def line_of(ui: Driven, name: str) -> str:
    return next(line for line in ui.pane("images") if name in line)


async def test_the_cache_knows_what_is_wasted_and_the_rest_is_not_known(drive: Drive) -> None:
    async with drive(None, engine=RemovingEngine()) as ui:
        await ui.until(lambda: "120MB" in line_of(ui, "hello"))
        assert "25.0%" in line_of(ui, "hello")
        assert "0B  100.0%" in line_of(ui, "bookworm ")
        assert line_of(ui, "bookworm-slim").count("…") == 2
        assert "we\\eb" in line_of(ui, "registry")
        assert "3 not measured yet (i reads them)" in ui.text


async def test_what_is_measured_meanwhile_fills_in(drive: Drive) -> None:
    measurer = Measurer({SLIM: ImageSizes((9, 1), 3)})
    async with drive(None, engine=RemovingEngine(), measurer=measurer) as ui:
        await ui.until(lambda: measurer.asked)
        assert sorted(measurer.asked[0][0]) == sorted(LAYERS.keys() - {HELLO, DEBIAN})
        assert not measurer.asked[0][1], "an export must be asked for"
        await ui.press("s", "s")
        await ui.until(lambda: "120MB" in ui.pane("images")[1])
        measurer.free.set()
        await ui.until(lambda: "30.0%" in ui.text)
        assert "2 not measured yet (i reads them)" in ui.text
        # They are not tried again, unless that is asked for.
        await ui.press("R")
        await ui.rest()
        assert len(measurer.asked) == 1
        measurer.known[NONE] = ImageSizes((5, 5), 5)
        await ui.press("i")
        await ui.until(lambda: "50.0%" in ui.text)
        assert measurer.asked[1][1]
        assert len(measurer.asked[1][0]) == 2


async def test_an_image_that_was_opened_is_measured_too(drive: Drive) -> None:
    image = fakes.sample_image("debian:bookworm-slim")
    image = replace(
        image, id=SLIM, layers=tuple(replace(x, diff_id=f"s{x.index}") for x in image.layers)
    )
    engine = RemovingEngine()
    diff_ids = [layer.diff_id for layer in image.layers]
    before, LAYERS[SLIM] = LAYERS[SLIM], diff_ids
    try:
        async with drive(None, engine=engine, reader=fakes.FakeReader(image)) as ui:
            await ui.until(lambda: "3 not measured yet" in ui.text)
            await ui.press("j", "enter")
            await ui.until(ui.over)
            await ui.press("1")
            assert "→debian" in line_of(ui, "bookworm-slim")
            await ui.until(lambda: "…" not in line_of(ui, "bookworm-slim"))
            await ui.rest()
            assert SizesCache().get(diff_ids) is not None
    finally:
        LAYERS[SLIM] = before


async def test_which_image_wastes_most_and_why_takes_three_keys(drive: Drive) -> None:
    async with drive(None, engine=RemovingEngine(), size=(80, 24)) as ui:
        await ui.until(lambda: "120MB" in ui.text)
        await ui.walk("s", "s", "w")
        await ui.until(lambda: isinstance(ui.app.screen, WasteScreen))
        assert ui.main.session is not None
        assert ui.main.session.source == "hello:latest"
        await ui.until(lambda: "Removed by a later layer" in ui.text)
        # Back from there, the list is as it was.
        await ui.press("escape")
        assert ui.focus == "images"
        assert "WASTED ▾" in ui.text
        assert "Reading" not in ui.text


async def test_a_key_acts_on_the_row_also_while_another_image_is_open(drive: Drive) -> None:
    async with drive("hello:latest", engine=RemovingEngine()) as ui:
        await ui.until(lambda: ui.main.images.total)
        await ui.press("1", "j", "j")
        assert ui.main.images.source == "debian:bookworm"
        await ui.walk("c")
        assert "Compare debian:bookworm with" in ui.text
        await ui.walk("escape", "w")
        await ui.until(lambda: isinstance(ui.app.screen, WasteScreen))
        assert ui.main.session is not None
        assert ui.main.session.source == "debian:bookworm"
        await ui.walk("escape", "y")
        assert DEBIAN[:30] in ui.text


async def test_another_screen_is_not_gone_to_once_the_user_went_on(drive: Drive) -> None:
    reader = fakes.FakeReader().hold()
    async with drive(None, engine=RemovingEngine(), reader=reader) as ui:
        await ui.press("w")
        await ui.until(lambda: "Reading" in ui.text)
        await ui.press("escape")
        for layer in range(len(reader.gates)):
            reader.release(layer)
        await ui.until(ui.over)
        assert ui.app.screen is ui.main


async def test_two_marked_images_are_compared_at_once(drive: Drive) -> None:
    async with drive(None, engine=RemovingEngine()) as ui:
        await ui.walk("space", "j", "space", "c")
        await ui.until(lambda: isinstance(ui.app.screen, CompareScreen))
        sessions = ui.at(CompareScreen).sessions
        assert [session.source for session in sessions] == ["hello:latest", "debian:bookworm"]


TAGS = [
    replace(fakes.IMAGES[1], repository=name, tag=tag)
    for name, tag in (("debian", "12-slim"), ("other.example/debian", "slim"))
]


async def test_all_names_of_an_image_are_in_one_row_that_opens(drive: Drive) -> None:
    engine = RemovingEngine()
    engine._images[2:2] = TAGS
    async with drive(None, engine=engine) as ui:
        assert "5 images" in ui.text
        assert "bookworm-slim +2" in line_of(ui, "debian")
        await ui.press("l")
        assert "This image has one name only." in ui.message
        await ui.press("j", "l", "j", "j")
        assert ui.main.images.source == "other.example/debian:slim"
        assert "slim" in line_of(ui, "other.example")
        # One name is marked, then all of them.
        await ui.press("space")
        await ui.until(lambda: "1 untagged only" in ui.text)
        await ui.press("k", "k", "k", "space")
        await ui.until(lambda: "1 marked: frees 74.8MB" in ui.text)
        await ui.press("h")
        assert "12-slim" not in ui.text
        assert line_of(ui, "bookworm-slim").startswith("* ")
        await ui.press("slash", *"other.ex", "enter")
        assert "1 of 5 images" not in ui.text, "marks are shown instead"
        assert len(ui.main.images.items) == 1


async def test_images_are_marked_by_kind(drive: Drive) -> None:
    async with drive(None, engine=RemovingEngine()) as ui:
        await ui.until(lambda: "we\\eb" in ui.text)
        await ui.press("T")
        assert [identifier for identifier, _ in ui.main.images.marked] == [NONE]
        await ui.press("T")
        assert not ui.main.images.marked
        await ui.press("U")
        await ui.until(lambda: "4 marked" in ui.text)
        await ui.press("A")
        await ui.until(lambda: "5 marked" in ui.text)
        await ui.press("A")
        assert not ui.main.images.marked
        # Only what the filter shows.
        await ui.press("slash", *"debian", "enter", "A")
        await ui.until(lambda: "2 marked" in ui.text)


async def test_a_kind_of_which_there_are_none_is_named(drive: Drive) -> None:
    engine = RemovingEngine()
    del engine._images[-1]
    async with drive(None, engine=engine) as ui:
        await ui.press("T")
        assert "There are no dangling images." in ui.message


class Telling(RemovingEngine):
    """An engine that reports what changes."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: queue.Queue[EngineEvent | None] = queue.Queue()
        self.listeners = 0

    def events(self) -> Events:
        self.listeners += 1

        def events() -> Iterator[EngineEvent]:
            while (event := self.queue.get()) is not None:
                yield event

        return events(), lambda: self.queue.put(None)


async def test_events_keep_the_list_true(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_images, "_GATHER", 0.01)
    engine = Telling()
    new = ImageSummary("new", "1", "sha256:" + "7" * 64, int(fakes.NOW), 5, None, None)
    LAYERS[new.id] = ["d"]
    try:
        async with drive(None, engine=engine) as ui:
            await ui.until(lambda: engine.listeners)
            await ui.press("j")
            engine._images.insert(0, new)
            engine.queue.put(EngineEvent("image", "tag", new.id))
            await ui.until(lambda: "6 images" in ui.text)
            assert ui.main.images.source == "debian:bookworm-slim", "the cursor stays"
            await ui.until(lambda: "…" not in line_of(ui, "new"))
            # A connection that is lost is opened again, quietly.
            engine.queue.put(None)
            await ui.until(lambda: engine.listeners == 2)
            engine.queue.put(None)
    finally:
        del LAYERS[new.id]


async def test_the_cursor_keeps_its_place_when_its_image_goes(drive: Drive) -> None:
    engine = RemovingEngine()
    async with drive(None, engine=engine) as ui:
        await ui.walk("j", "j")
        assert ui.main.images.source == "debian:bookworm"
        del engine._images[2]
        ui.main.engine.refresh()
        await ui.until(lambda: "4 images" in ui.text)
        assert ui.main.images.source.startswith("registry.example.com")
        # It stays on its image when others go.
        del engine._images[0]
        ui.main.engine.refresh()
        await ui.until(lambda: "3 images" in ui.text)
        assert ui.main.images.source.startswith("registry.example.com")


async def test_what_is_shared_is_worked_out_where_the_engine_does_not_say_it(drive: Drive) -> None:
    class Silent(RemovingEngine):
        def images(self, *, sizes: bool = False) -> list[ImageSummary]:
            return super().images()

    sizes = ImageSizes((1_000,), 1_000)
    measurer = Measurer({SLIM: sizes, NONE: sizes, TEAM: ImageSizes((1_000, 2_000), 3_000)})
    measurer.free.set()
    async with drive(None, engine=Silent(), measurer=measurer, size=(200, 60)) as ui:
        await ui.until(lambda: "160MB" not in ui.text and "60MB" in line_of(ui, "hello"))
        assert "60MB     100MB" in line_of(ui, "hello"), "its base is that of debian:bookworm"
        assert "0B     100MB" in line_of(ui, "bookworm ")
        assert "3kB        0B" in line_of(ui, "registry")


async def test_an_engine_that_restarts_keeps_its_images_on_the_screen(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_images, "_AGAIN", 0.05)

    class Restarting(RemovingEngine):
        down = 0

        def images(self, *, sizes: bool = False) -> list[ImageSummary]:
            if self.down:
                self.down -= 1
                raise fakes.NO_ENGINE
            return super().images(sizes=sizes)

    engine = Restarting()
    async with drive(None, engine=engine) as ui:
        await ui.rest()
        engine.down = 2
        del engine._images[0]
        ui.main.engine.refresh()
        await ui.until(lambda: "4 images" in ui.text or "No engine" in ui.text)
        assert "4 images" in ui.text
        engine.down = 1_000
        ui.main.engine.refresh()
        await ui.until(lambda: "No engine listens" in ui.text)


async def test_ages_go_on(drive: Drive) -> None:
    async with drive(None) as ui:
        assert "2 days ago" in line_of(ui, "hello")
        ui.main.engine.set_time(fakes.NOW + 3 * fakes.DAY)
        await ui.until(lambda: "5 days ago" in line_of(ui, "hello"))


def test_the_app_measures_only_images_of_the_current_engine() -> None:
    asked = LayerscopeApp(None, connector=fakes.connector())
    assert asked._main.engine._measurer is None
    assert LayerscopeApp(None)._main.engine._measurer is engine_images.measure_apart
    assert LayerscopeApp(None, cache=False)._main.engine._measurer is None


def _with_names() -> RemovingEngine:
    engine = RemovingEngine()
    engine._images[2:2] = TAGS
    return engine


@sizes()
def test_picture(picture: Picture, size: Size) -> None:
    """An image that is open, one with all its names, marks, and what is not known yet."""

    async def before(ui: Driven) -> None:
        await ui.until(lambda: ("120MB" in ui.text and "we\\eb" in ui.text) or size[0] < 112)
        await ui.walk("enter")
        await ui.until(ui.over)
        await ui.walk("1", "j", "l", "j", "space", "T")
        await ui.until(lambda: "2 marked: frees" in ui.text)

    app = LayerscopeApp(
        None,
        fakes.opener(fakes.FakeReader()),
        fakes.connector(_with_names()),
        lambda: fakes.NOW,
    )
    picture(app, size, before)
