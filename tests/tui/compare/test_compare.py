"""Two images side by side."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from layerscope.errors import EngineError, LayerscopeError
from layerscope.filesystem.change import Change
from layerscope.images.files.contents import Contents
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.compare.choose import CompareWithScreen
from layerscope.tui.compare.pair_diff import PairDiffScreen
from layerscope.tui.compare.screen import CompareScreen
from layerscope.tui.content.screen import ContentScreen
from tests.archives import Item, folder, text
from tests.tui import fakes, real_images
from tests.tui.conftest import Driven

Two = Callable[..., AbstractAsyncContextManager[Driven]]


class Opener:
    """Opens images by their source, and remembers what was opened."""

    def __init__(self, folder: Path, images: dict[str, list[list[Item]] | LayerscopeError]) -> None:
        self._folder = folder
        self._images = images
        self.opened: list[tuple[str, ImageReader]] = []

    def __call__(self, source: str, progress: Progress, platform: str | None = None) -> ImageReader:
        layers = self._images[source]
        if isinstance(layers, LayerscopeError):
            raise layers
        # Both may be opened at the same time.
        where = self._folder / source.replace(":", "-")
        reader = real_images.opened(where, layers, f"{source.partition(':')[0]}:latest")
        self.opened.append((source, reader))
        return reader


def shown(ui: Driven) -> list[str]:
    """The rows of the tree: letter and path."""
    rows = ui.at(CompareScreen).files.rows
    assert rows is not None
    return [
        f"{' AMR'[rows.view.changes[node]]} {rows.tree.path(node).decode(errors='replace')}"
        for node in rows.nodes.tolist()
    ]


async def compared(ui: Driven) -> None:
    def over() -> bool:
        found = ui.app.screen
        return isinstance(found, CompareScreen) and found.over

    await ui.until(over)
    await ui.until(
        lambda: ui.at(CompareScreen).files.rows is not None and not ui.at(CompareScreen).files.busy
    )


@pytest.fixture
def two(tmp_path: Path) -> Two:
    """An app with an image open, and one more: `async with two() as ui`."""

    @asynccontextmanager
    async def driven(
        source: str | None = "one:latest",
        *,
        other: list[list[Item]] | LayerscopeError | None = None,
        first: list[list[Item]] | None = None,
        engine: fakes.FakeEngine | Exception | None = None,
        size: tuple[int, int] = (120, 40),
        wait: bool = True,
    ) -> AsyncIterator[Driven]:
        images = {
            "one:latest": first or real_images.LAYERS,
            "two:latest": real_images.OTHER if other is None else other,
        }
        names = [
            replace(fakes.IMAGES[0], repository="one"),
            replace(fakes.IMAGES[1], repository="two", tag="latest"),
        ]
        app = LayerscopeApp(
            source,
            Opener(tmp_path, images),
            fakes.connector(engine or fakes.FakeEngine(names)),
            clock=lambda: fakes.NOW,
            cache=False,
        )
        async with app.run_test(size=size) as pilot:
            ui = Driven(app, pilot)
            await ui.until(lambda: "Looking for an engine" not in ui.text)
            if source is not None:
                await ui.until(ui.over)
            await ui.press("c")
            await ui.until(lambda: getattr(ui.app.screen, "listed", True))
            if wait:
                await ui.press(*"two", "enter")
                await compared(ui)
            yield ui

    return driven


async def test_the_list_of_images_and_any_source(two: Two) -> None:
    async with two(wait=False) as ui:
        assert isinstance(ui.app.screen, CompareWithScreen)
        await ui.until(lambda: "two:latest" in ui.text)
        assert "one:latest  " in ui.text
        await ui.press(*"./x.tar")
        assert "The source ./x.tar" in ui.text
        assert "two:latest" not in ui.text
        await ui.press("escape")
        assert len(ui.app.screen_stack) == 1


async def test_a_source_can_be_typed_without_an_engine(two: Two) -> None:
    async with two(wait=False, engine=fakes.NO_ENGINE) as ui:
        await ui.until(lambda: "No engine listens" in ui.text)
        assert "Type a source" in ui.text
        await ui.press("enter")
        assert isinstance(ui.app.screen, CompareWithScreen)
        await ui.press(*"two:latest", "enter")
        await compared(ui)
        assert "A one:latest  B two:latest" in ui.lines[0]


async def test_files_that_differ_with_sizes(two: Two) -> None:
    async with two() as ui:
        header, *rows = ui.pane("files")
        assert header.split() == [
            "Mode", "Owner", "Size", "A", "Size", "B", "Change", "Name", "▴",
        ]  # fmt: skip
        assert shown(ui) == [
            "  app",
            "M app/current",
            "M app/data.bin",
            "M app/main.py",
            "  etc",
            "M etc/app.conf",
            "A etc/evil\x1b[2J",
            "M etc/hostile",
            "M etc/moved",
            "R etc/once",
            "A opt",
            "A opt/new",
        ]
        by_name = {row.split("  ")[-1].split(" ")[-1]: row for row in rows if row}
        assert "12.3kB  +12.3kB A" in by_name["new"]
        assert "17B             -17B R" in by_name["once"]
        assert any("main.py  owner" in row for row in rows)
        assert any("data.bin  content" in row for row in rows)
        assert any("evil\\e[2J" in row for row in rows)
        assert "\x1b" not in ui.text
        assert "3 added · 6 modified · 1 removed" in ui.text


async def test_kinds_filter_and_sort(two: Two) -> None:
    async with two() as ui:
        await ui.press("m")
        assert shown(ui) == ["  etc", "A etc/evil\x1b[2J", "R etc/once", "A opt", "A opt/new"]
        await ui.press("a", "r")
        assert not ui.at(CompareScreen).files.row_count
        await ui.press("m", "a", "r", "u")
        assert "  etc/passwd" not in shown(ui)
        assert len(shown(ui)) > 10
        await ui.press("u", "s")
        order = [row for row in shown(ui) if "/" not in row]
        assert order == ["  app", "A opt", "  etc"]
        await ui.press("S")
        assert [row for row in shown(ui) if "/" not in row] == order[::-1]
        await ui.press("n")
        assert "No filter is set" in ui.text
        await ui.press("/", *"*.conf", "enter")
        await ui.until(lambda: len(shown(ui)) == 2)
        assert "1 match" in ui.text
        await ui.press("n", "N")
        assert ui.at(CompareScreen).files.cursor == 1
        await ui.press("escape")
        await ui.until(lambda: len(shown(ui)) == 12)


async def test_layers_side_by_side(two: Two) -> None:
    async with two() as ui:
        rows = ui.pane("pairs")
        assert rows[0].split()[:4] == ["#", "Size", "A:", "instruction"]
        assert rows[1].startswith("-   3")
        assert "│ +   1" in rows[3]
        assert rows[4].startswith("=   0")
        assert "1 shared of 4 in A and 2 in B" in ui.text
        assert "The configuration is the same." in ui.text


async def test_configuration_that_differs(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Opener.__call__
    environment = {
        "one:latest": ["A=1", "B=2", "HOSTILE=\x1b[31m"],
        "two:latest": ["A=1", "B=3", "C=4"],
    }

    def opened(self: Opener, source: str, *rest: Any) -> Any:
        reader = real(self, source, *rest)
        config = {"config": {"Env": environment[source]}}
        if source == "two:latest":
            config["config"]["Cmd"] = ["sh"]

        class Other:
            image = replace(reader.image, config=config)

            def __getattr__(self, name: str) -> Any:
                return getattr(reader, name)

        return Other()

    monkeypatch.setattr(Opener, "__call__", opened)
    async with two() as ui:
        rows = [row.split() for row in ui.pane("config") if row]
        assert rows == [
            ["A", "Cmd", "(none)", "→", '["sh"]'],
            ["M", "Env.B", "2", "→", "3"],
            ["A", "Env.C", "(none)", "→", "4"],
            ["R", "Env.HOSTILE", "\\e[31m", "→", "(none)"],
        ]
        assert "4 differences" in ui.text
        await ui.press("1", "j", "enter")
        assert "A  2" in ui.text
        assert "B  3" in ui.text
        await ui.press("escape")
        assert isinstance(ui.app.screen, CompareScreen)


async def test_enter_and_d_show_the_diff_of_a_path(two: Two) -> None:
    async with two() as ui:
        await ui.press("j", "j", "enter")
        assert isinstance(ui.app.screen, PairDiffScreen)
        await ui.until(lambda: "first difference at byte 76,800" in ui.text)
        assert "--- A" in ui.text
        assert "+++ B" in ui.text
        await ui.press("[")
        await ui.until(
            lambda: any(x.split() == ["target", "v2", "→", "v1"] for x in ui.pane("diff"))
        )
        await ui.press("[")
        assert "This is the first file that differs." in ui.text
        await ui.press("]", "]", "]")
        await ui.until(lambda: "/etc/app.conf" in ui.lines[0])
        await ui.until(lambda: "option_30" in ui.text)
        await ui.press("]", "]", "]", "]")
        await ui.until(lambda: "/etc/once" in ui.lines[0])
        await ui.until(lambda: "two:latest: not there" in ui.text)
        await ui.press("]", "]")
        assert "This is the last file that differs." in ui.text
        await ui.press("escape")
        assert ui.at(CompareScreen).files.node is not None
        await ui.press("g", "d")
        assert isinstance(ui.app.screen, PairDiffScreen)
        await ui.until(lambda: "Nothing differs." in ui.text)
        await ui.press("escape", "enter")
        assert isinstance(ui.app.screen, CompareScreen)
        assert "M app/current" not in shown(ui)


async def test_panes_and_zoom(two: Two) -> None:
    async with two(size=(80, 24)) as ui:
        assert ui.focus == "files"
        await ui.press("tab")
        assert ui.focus == "config"
        await ui.press("2", "z")
        assert "3 Files" not in ui.text
        assert "RUN layer 3" in ui.text
        await ui.press("tab")
        assert ui.focus == "files"
        assert "2 Layers" not in ui.text
        await ui.press("escape")
        assert "2 Layers" in ui.text
        await ui.press("shift+tab", "1", "3", "escape")
        assert ui.app.screen is ui.main


async def test_a_zoomed_pane_stays_while_a_filter_is_typed(two: Two) -> None:
    async with two(size=(80, 24)) as ui:
        await ui.press("3", "z", "slash", *"data")
        await ui.until(lambda: "data.bin" in ui.text)
        assert "3 Files" in ui.text


@pytest.mark.parametrize("size", [(40, 12), (30, 8)])
async def test_in_few_lines_one_pane_is_shown(two: Two, size: tuple[int, int]) -> None:
    async with two(size=size) as ui:
        for key, title in (("3", "3 Files"), ("1", "1 Config"), ("2", "2 Layers")):
            await ui.press(key)
            assert title in ui.lines[1]
            assert len(ui.pane(ui.focus)) == size[1] - 4
        assert "Size" in ui.pane("pairs")[0]


async def test_the_image_that_is_open_stays_so(two: Two) -> None:
    async with two() as ui:
        first, second = ui.at(CompareScreen).sessions
        assert first is ui.main.session
        assert ui.app._main._opener.opened[1][0] == "two:latest"  # type: ignore[attr-defined]
        await ui.press("escape")
        assert first.contents is not None
        await ui.until(lambda: second.contents is None)


async def test_from_the_list_of_images_both_are_read(two: Two) -> None:
    async with two(None) as ui:
        assert "A one:latest  B two:latest" in ui.lines[0]
        assert len(shown(ui)) == 12
        sessions = ui.at(CompareScreen).sessions
        await ui.press("q")
        assert ui.app.screen is ui.main
        await ui.until(lambda: all(session.contents is None for session in sessions))


async def test_the_same_image_twice(two: Two) -> None:
    async with two(other=real_images.LAYERS) as ui:
        await ui.until(lambda: "All files are the same." in ui.text)
        assert "4 shared of 4 in A and 4 in B" in ui.text
        await ui.press("u")
        assert "  app" in shown(ui)


async def test_what_cannot_be_opened_is_reported(two: Two) -> None:
    problem = EngineError("There is no such image.", "Pull it first.")
    async with two(other=problem, wait=False) as ui:
        await ui.press(*"two", "enter")
        await ui.until(lambda: "Cannot compare with two:latest" in ui.text)
        assert "There is no such image." in ui.text
        await ui.press("escape")
        assert ui.app.screen is ui.main


async def test_cancel_leaves_what_is_known(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    real = Contents.open

    def slow(self: Contents, *arguments: Any) -> Any:
        content = real(self, *arguments)

        class Slow:
            size = available = content.size
            close = staticmethod(content.close)

            @staticmethod
            def read(offset: int, length: int, advance: Any = None) -> bytes:
                while not go.wait(0.01):
                    advance(0)
                return content.read(offset, length, advance)

        return Slow()

    monkeypatch.setattr(Contents, "open", slow)
    layers = [[text("a", "1"), text("b", "2")]]
    other = [[text("a", "3"), text("b", "2", uid=1)]]
    async with two(first=layers, other=other, wait=False) as ui:
        await ui.press(*"two", "enter")
        await ui.until(lambda: "Comparing content  0 / 2 files" in ui.lines[0])
        await ui.until(lambda: ui.at(CompareScreen).files.rows is not None)
        await ui.press("ctrl+k")
        await ui.until(lambda: "Incomplete: 2 files not compared" in ui.lines[0])
        assert "content not compared" in ui.text
        await ui.press("ctrl+k")
        assert "Nothing is being read." in ui.text
    go.set()


async def test_what_is_known_grows(two: Two) -> None:
    layers = [[text("a", "1"), text("b", "2")]]
    other = [[text("a", "3"), text("b", "2")]]
    async with two(first=layers, other=other) as ui:
        await ui.until(lambda: shown(ui) == ["M a"])
        assert Change.UNCHANGED in ui.at(CompareScreen).files.hidden


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (44, 16)])
async def test_every_size_holds_its_lines(two: Two, size: tuple[int, int]) -> None:
    async with two(size=size) as ui:
        assert {cell_len(line) for line in ui.lines} == {size[0]}
        await ui.press("3", "z", "E")
        assert "3 Files" in ui.text
        await ui.until(lambda: "data.bin" in ui.text)


async def test_why_not(two: Two) -> None:
    async with two(None, engine=fakes.FakeEngine([]), wait=False) as ui:
        assert ui.app.screen is ui.main
        assert "There is no image to compare" in ui.text


TIMES: list[list[Item]] = [
    [
        folder("etc", mtime=1),
        text("etc/later", "same", mtime=1),
        text("etc/other", "one!", mtime=1),
        text("etc/owned", "same", mtime=1),
    ]
]
LATER: list[list[Item]] = [
    [
        folder("etc", mtime=2),
        text("etc/later", "same", mtime=2),
        text("etc/other", "two!", mtime=2),
        text("etc/owned", "same", mtime=2, uid=3),
    ]
]


async def test_what_differs_in_its_time_only_can_be_hidden(two: Two) -> None:
    async with two(first=TIMES, other=LATER) as ui:
        everything = ["M etc", "M etc/later", "M etc/other", "M etc/owned"]
        assert shown(ui) == everything
        await ui.walk("T")
        assert shown(ui) == ["  etc", "M etc/other", "M etc/owned"]
        assert "times ignored" in ui.text
        assert "0 added · 2 modified · 0 removed" in ui.text
        await ui.walk("T")
        assert shown(ui) == everything


async def test_sides_are_swapped_without_reading_again(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two() as ui:
        before = shown(ui)
        await ui.press(*"jjjj")

        def unexpected(*_: object) -> None:
            raise AssertionError

        monkeypatch.setattr("layerscope.images.files.version_diff.same_content", unexpected)
        path = ui.at(CompareScreen).files.path_text
        await ui.press("X")
        await compared(ui)
        assert "A two:latest  B one:latest" in ui.lines[0]
        turned = str.maketrans("AR", "RA")
        assert shown(ui) == [row[0].translate(turned) + row[1:] for row in before]
        assert ui.at(CompareScreen).files.path_text == path
        assert "1 shared of 2 in A and 4 in B" in ui.text
        await ui.press("X")
        await compared(ui)
        assert shown(ui) == before


async def test_a_file_is_shown_and_left_for_the_comparison(two: Two) -> None:
    async with two() as ui:
        await ui.walk("slash", *"main.py", "enter")
        before = ui.lines
        assert ui.at(CompareScreen).files.path_text == "/app/main.py"
        await ui.walk("v")
        assert "/app/main.py" in ui.at(ContentScreen).title_bar._reference
        await ui.walk("escape")
        assert ui.lines == before


async def test_layers_open_with_enter_and_lead_back(two: Two) -> None:
    async with two() as ui:
        await ui.walk("2", "G")
        compare, before = ui.app.screen, ui.lines
        # The base layer, which both have: B is opened.
        await ui.press("enter")
        await ui.until(lambda: ui.app.screen is ui.main and ui.over())
        assert ui.main.session is not None
        assert (ui.main.session.source, ui.main.place.layer) == ("two:latest", 0)
        await ui.walk("escape")
        assert ui.app.screen is compare
        assert ui.lines[:-1] == before[:-1]
        # The newest is in A only.
        await ui.walk("g", "enter")
        await ui.until(lambda: ui.app.screen is ui.main and ui.over())
        assert (ui.main.session.source, ui.main.place.layer) == ("one:latest", 3)
        await ui.walk("escape", "escape")
        assert ui.app.screen is ui.main
        assert ui.main.session.source == "one:latest"


async def test_both_names_are_in_the_header() -> None:
    names = ["registry.example.com/a/very/long/path/of/an/image/one:latest", "b:1"]
    app = LayerscopeApp(None, **fakes.parts(fakes.FakeReader()))
    async with app.run_test() as pilot:
        bar = Driven(app, pilot).main.title_bar
        for one, other in (names, names[::-1]):
            bar.set_two(f"A {one}", f"B {other}")
            for width in (50, 80, 200):
                line = "".join(part for part, _ in bar.line(width))
                assert cell_len(line) <= width
                assert f"A {one[:8]}" in line
                assert f"B {other[:8]}" in line
