"""Pane 1: the images of an engine."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from layerscope.errors import EngineError
from layerscope.images.summary import ImageSummary
from layerscope.tui.explore import engine_images
from layerscope.tui.explore.image_list import ImageList
from layerscope.tui.explore.screen import MainScreen
from tests.tui import fakes
from tests.tui.conftest import Drive


async def test_lists_images_as_docker_prints_them(drive: Drive) -> None:
    async with drive(None) as ui:
        header, first, *_ = ui.pane("images")
        assert header.split()[:7] == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "▾", "SIZE"]
        assert first.split()[:7] == ["hello", "latest", "c0ffeec0ffee", "2", "days", "ago", "284MB"]
        assert "5 images" in ui.text
        assert "Docker 28.5.1" in ui.lines[0]


async def test_the_age_of_what_was_just_built_has_room(drive: Drive) -> None:
    new = replace(fakes.IMAGES[0], created=int(fakes.NOW))
    engine = fakes.FakeEngine([new, *fakes.IMAGES[1:]])
    async with drive(None, engine=engine, size=(80, 24)) as ui:
        await ui.until(lambda: "Less than a second ago" in ui.text)
        assert "284MB" in ui.text


async def test_images_have_the_screen_to_themselves_until_one_is_open(drive: Drive) -> None:
    async with drive(None) as ui:
        assert "2 Layers" not in ui.text
        assert isinstance(ui.app.focused, ImageList)
        await ui.press("2", "3", "4", "tab", "z")
        assert isinstance(ui.app.focused, ImageList)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (200, 60)])
async def test_sorts_by_every_column_in_sight_and_reverses(
    drive: Drive, size: tuple[int, int]
) -> None:
    def names() -> list[str]:
        return [line.split()[0] for line in ui.pane("images")[1:6]]

    async with drive(None, size=size) as ui:
        assert names()[0] == "hello"
        await ui.press("s")
        assert names()[0].startswith("registry")
        await ui.press("S")
        assert names()[0] == "2a2a2a2a2a2a"
        titles = [each.title for each, _ in ui.main.images.layout_columns(size[0] - 2)]
        seen = ["SIZE"]
        for _ in titles[1:]:
            await ui.press("s")
            (heading,) = (x for x in titles if f"{x} ▾" in ui.text or f"{x} ▴" in ui.text)
            seen.append(heading)
        assert sorted(seen) == sorted(titles)
        while "REPOSITORY ▴" not in ui.text:
            await ui.press("s")
        assert names()[1:4] == ["debian", "debian", "hello"]
        await ui.press("S")
        assert names()[0].startswith("registry")


async def test_cursor_stays_on_its_image_when_sorted(drive: Drive) -> None:
    async with drive(None) as ui:
        await ui.press("j", "j")
        before = ui.main.images.image
        await ui.press("s")
        assert ui.main.images.image is before


async def test_a_cursor_that_was_not_moved_is_on_what_a_sort_brings_first(drive: Drive) -> None:
    async with drive(None) as ui:
        first = ui.main.images.image
        await ui.press("S")
        assert ui.main.images.spot == (0, 0)
        assert ui.main.images.image is not first


async def test_filter_as_you_type_keep_and_clear(drive: Drive) -> None:
    async with drive(None) as ui:
        await ui.press("slash", *"debi")
        await ui.until(lambda: "2 of 5 images" in ui.text)
        await ui.press("enter")
        assert isinstance(ui.app.focused, ImageList)
        assert "/debi" in ui.text
        await ui.press("escape")
        assert "5 images" in ui.text
        await ui.press("slash", *"zzz")
        await ui.until(lambda: "No image matches zzz." in ui.text)
        assert "esc clears the filter." in ui.text
        await ui.press("escape")
        assert "5 images" in ui.text


async def test_enter_opens_by_name_and_by_id(drive: Drive) -> None:
    async with drive(None) as ui:
        await ui.press("enter")
        await ui.until(lambda: ui.main.session is not None and ui.main.session.ended)
        assert ui.main.session is not None
        assert ui.main.session.source == "hello:latest"
        assert "2 Layers" in ui.text
        await ui.press("1")
        assert "REPOSITORY" in ui.text
        await ui.press("G", "enter")
        assert ui.main.session.source == f"sha256:{'2a' * 32}"


async def test_open_asks_for_a_source(drive: Drive) -> None:
    async with drive(None) as ui:
        await ui.press("o")
        assert "Open an image" in ui.text
        await ui.press(*"./a.tar", "enter")
        await ui.until(lambda: ui.main.session is not None and ui.main.session.ended)
        assert ui.main.session is not None
        assert ui.main.session.source == "./a.tar"


async def test_open_can_be_left(drive: Drive) -> None:
    async with drive(None) as ui:
        await ui.press("o", "escape")
        assert "REPOSITORY" in ui.text
        assert ui.main.session is None


async def test_no_engine_says_what_to_do(drive: Drive) -> None:
    async with drive(None, engine=fakes.NO_ENGINE) as ui:
        assert "No engine listens at unix:///var/run/docker.sock." in ui.text
        assert "Start Docker or Podman" in ui.text
        assert "Press o to open something else" in ui.text
        await ui.press("o")
        assert "Open an image" in ui.text


async def test_no_permission_says_what_to_do(drive: Drive) -> None:
    error = EngineError(
        "No permission to talk to the engine at unix:///var/run/docker.sock.",
        "Run as root, or join the socket's group.",
    )
    async with drive(None, engine=error) as ui:
        assert "No permission to talk to the engine" in ui.text
        assert "join the socket's group" in ui.text


async def test_an_engine_without_images_says_so(drive: Drive) -> None:
    async with drive(None, engine=fakes.FakeEngine([])) as ui:
        assert "The engine has no images yet." in ui.text
        await ui.press("enter", "s", "S", "j", "G")
        assert "The engine has no images yet." in ui.text


async def test_an_engine_that_fails_as_nobody_foresaw_is_told_calmly(drive: Drive) -> None:
    async with drive(None, engine=RuntimeError("bad \x1b[31m thing")) as ui:
        assert "Something unexpected happened (RuntimeError: bad \\e[31m thing)." in ui.text
        assert "\x1b" not in ui.text


async def test_an_archive_opens_without_an_engine(drive: Drive) -> None:
    async with drive("./image.tar", engine=fakes.NO_ENGINE) as ui:
        assert "2 Layers" in ui.text
        await ui.press("tab", "tab", "tab")
        assert ui.app.focused is ui.main.layer_list
        await ui.press("1")
        assert "No engine listens" in ui.text
        await ui.press("escape")
        assert "2 Layers" in ui.text


async def test_hostile_tags_are_shown_not_obeyed(drive: Drive) -> None:
    images = [ImageSummary("a\x1b]0;x\x07", "[red]b[/red]", "sha256:" + "1" * 64, 1, 1, None, None)]
    async with drive(None, engine=fakes.FakeEngine(images)) as ui:
        assert "a\\e]0;x\\x07" in ui.text
        assert "[red]b[/red]" in ui.text


async def test_narrow_list_leaves_out_columns_not_names(drive: Drive) -> None:
    async with drive(None, size=(60, 20)) as ui:
        assert "IMAGE ID" not in ui.text
        assert "hello" in ui.text
        assert "284MB" in ui.text


async def test_an_engine_that_is_started_is_seen_without_a_key(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_images, "_AGAIN", 0.2)
    asked = 0

    class Started(fakes.FakeEngine):
        def images(self, *, sizes: bool = False) -> list[ImageSummary]:
            nonlocal asked
            asked += 1
            if asked < 4:
                raise fakes.NO_ENGINE
            return super().images(sizes=sizes)

    async with drive(None, engine=Started()) as ui:
        await ui.until(lambda: "No engine listens" in ui.text)
        await ui.until(lambda: "hello" in ui.text)
        await ui.press("j")
        assert asked in (4, 5)
        # One that answered is left alone.
        await asyncio.sleep(0.5)
        assert asked in (4, 5)


async def test_an_engine_that_hangs_later_leaves_the_list_and_says_so(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_images, "_PATIENCE", 0.2)
    never = threading.Event()

    class Hangs(fakes.FakeEngine):
        hangs = False

        def images(self, *, sizes: bool = False) -> list[ImageSummary]:
            if self.hangs:
                never.wait(600)
            return super().images(sizes=sizes)

    engine = Hangs()
    async with drive(None, engine=engine) as ui:
        assert "hello" in ui.text
        engine.hangs = True
        await ui.press("R")
        await ui.until(lambda: "The engine has not answered yet. It may hang." in ui.text)
        assert "hello" in ui.text
        await ui.press("j")
        never.set()


async def test_images_are_listed_again(drive: Drive) -> None:
    engine = fakes.FakeEngine(fakes.IMAGES[:1])
    async with drive(None, engine=engine) as ui:
        assert "1 image" in ui.text
        engine._images.append(fakes.IMAGES[1])
        await ui.press("R")
        await ui.until(lambda: "2 images" in ui.text)


async def test_an_engine_that_hangs_is_told(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()

    class Hanging(fakes.FakeEngine):
        def images(self, *, sizes: bool = False) -> list[ImageSummary]:
            free.wait(600)
            return super().images(sizes=sizes)

    monkeypatch.setattr("layerscope.tui.explore.engine_images._PATIENCE", 0.05)
    async with drive(None, engine=Hanging(), wait=False) as ui:
        await ui.until(lambda: "The engine has not answered yet." in ui.text)
        free.set()
        await ui.until(lambda: "5 images" in ui.text)


async def test_the_title_has_the_short_id_of_an_image_without_a_name(drive: Drive) -> None:
    name = "sha256:" + "0123456789abcdef" * 4
    reader = fakes.FakeReader(fakes.sample_image(name))
    async with drive(name, reader=reader) as ui:
        assert ui.lines[0].split()[:2] == ["layerscope", "0123456789ab"]
        assert "0123456789abcd" not in ui.lines[0]


class _Store(fakes.FakeEngine):
    name, own_store = "The embedded store", True
    notice = "No engine was found, so this is layerscope's own store."


async def test_an_empty_store_of_our_own_says_what_can_be_done_from_here(drive: Drive) -> None:
    async with drive(None, engine=_Store([]), size=(80, 24)) as ui:
        for text in (
            "No engine was found, so this is layerscope's own store.",
            "The embedded store has no images yet.",
            "enter builds a small demo image, and shows what its layers do",
            "o     opens an archive, or looks into a registry without a pull",
            "<     pulls an image into the store",
            "e     writes a Dockerfile",
            "R     looks for an engine again, once Docker or Podman runs",
        ):
            assert text in ui.text
        assert ui.lines[-1].startswith(" enter Build demo ")
        await ui.press("o")
        assert "Open an image" in ui.text


async def test_the_tips_say_what_enter_does_in_an_empty_store(drive: Drive) -> None:
    async with drive(None, engine=_Store([]), first=True) as ui:
        await ui.until(lambda: ui.message)
        assert ui.message.startswith("enter builds a small demo image, o opens another one.")


async def test_enter_in_an_empty_store_builds_the_demo(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    went: list[str] = []
    monkeypatch.setattr(MainScreen, "action_visit", lambda self, name: went.append(name))
    async with drive(None, engine=_Store([])) as ui:
        await ui.until(lambda: "demo" in ui.text)
        await ui.press("enter")
        await ui.until(lambda: went == ["demo"])


async def test_a_store_of_our_own_with_images_says_once_why_it_is_shown(drive: Drive) -> None:
    async with drive(None, engine=_Store(fakes.IMAGES)) as ui:
        await ui.until(lambda: _Store.notice in ui.text)
        assert "hello" in ui.text
        assert "The embedded store" in ui.text


async def test_keys_before_the_engine_has_answered_say_so(drive: Drive) -> None:
    free = threading.Event()

    class Slow(fakes.FakeEngine):
        def images(self, *, sizes: bool = False) -> list[ImageSummary]:
            free.wait(600)
            return super().images(sizes=sizes)

    async with drive(None, engine=Slow(), wait=False) as ui:
        await ui.until(lambda: "Looking for an engine" in ui.text)
        said = {}
        for key in ("enter", "space", "D", "w", "slash", "s", "c", "v", "B", "W", "x"):
            await ui.press(key)
            said[key] = ui.message
        free.set()
        assert set(said.values()) == {"The engine has not answered yet."}, said
        await ui.until(lambda: "5 images" in ui.text)
