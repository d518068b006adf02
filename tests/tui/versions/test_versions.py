"""The versions of a path, and what differs between them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from layerscope.content.diff_rows import RowKind
from layerscope.images.files.contents import Contents
from layerscope.tui.diff import work
from layerscope.tui.versions.screen import VersionsScreen
from tests.archives import Item, folder, text
from tests.tui import fakes, real_images
from tests.tui.conftest import Drive, Driven
from tests.tui.terminal.test_bytes import Counting, settle

At = Callable[..., AbstractAsyncContextManager[Driven]]


async def compared(ui: Driven) -> None:
    await ui.until(lambda: not ui.at(VersionsScreen).comparing)
    await ui.until(lambda: "Reading…" not in ui.text)


@pytest.fixture
def at(drive: Drive, tmp_path: Path) -> At:
    """The versions of a path: `async with at("etc/app.conf") as ui`."""

    @asynccontextmanager
    async def there(
        path: str, *, layers: list[list[Item]] | None = None, wait: bool = True, **options: Any
    ) -> AsyncIterator[Driven]:
        reader = real_images.opened(tmp_path, layers or real_images.LAYERS)
        async with drive(reader=reader, **options) as ui:
            # The merged view has every path, and the cursor is on the newest layer.
            await ui.press("t", "3", "E")
            rows = ui.main.files.rows
            assert rows is not None
            node = rows.tree.find(path.encode("utf-8", "surrogateescape"))
            assert node is not None
            row = rows.row_of(node)
            assert row is not None
            ui.main.files.move_to(row)
            await ui.press("d")
            if wait:
                await compared(ui)
            yield ui

    return there


async def test_d_shows_every_version_and_what_changed(at: At) -> None:
    async with at("app/main.py") as ui:
        header, *rows = ui.pane("versions")
        assert header.split() == [
            "#", "Size", "Mode", "Owner", "Hidden", "by", "Changed", "Instruction",
        ]  # fmt: skip
        assert [row.split()[0:3] for row in rows if row] == [
            ["+", "2", "M"],
            ["-", "1", "M"],
            ["0", "A", f"{len(real_images.PROGRAM)}B"],
        ]
        assert "owner, same content" in rows[0]
        assert "layer 2" in rows[1]
        assert "RUN layer 1" in rows[1]
        diff = ui.pane("diff")
        assert diff[0].startswith(" --- layer 1")
        assert any(line.split() == ["owner", "0:0", "→", "1000:1000"] for line in diff)
        assert any(line.split() == ["content", "unchanged"] for line in diff)
        assert ui.focus == "versions"
        assert "/app/main.py" in ui.lines[0]


async def test_moving_compares_with_the_version_below(at: At) -> None:
    async with at("app/main.py") as ui:
        await ui.press("j")
        await compared(ui)
        diff = "\n".join(ui.pane("diff"))
        assert "+ import json" in diff
        assert '-     print(len(data), "bytes")  # say so' in diff
        await ui.press("G")
        await compared(ui)
        assert "@@ -0,0 +1,18 @@" in "\n".join(ui.pane("diff"))
        await ui.press("g", "]")
        assert "This is the newest version." in ui.text
        await ui.press("[")
        assert ui.at(VersionsScreen).list.cursor == 1
        await ui.press("]")
        assert ui.at(VersionsScreen).list.cursor == 0


async def test_two_versions_can_be_marked(at: At) -> None:
    async with at("app/main.py") as ui:
        await ui.press("space", "G")
        assert ui.at(VersionsScreen).list.pair == (2, 0)
        await ui.press("space", "k")
        await compared(ui)
        assert ui.at(VersionsScreen).list.pair == (2, 0)
        assert "+++ layer 2" in ui.text
        assert ui.pane("versions")[1].startswith("*+")
        await ui.press("space")
        assert ui.at(VersionsScreen).list.marked == [2, 1]
        await ui.press("space")
        assert ui.at(VersionsScreen).list.marked == [2]
        await ui.press("escape")
        assert ui.at(VersionsScreen).list.marked == []
        await ui.press("escape")
        assert ui.app.screen is ui.main


async def test_a_removal_is_a_version_too(at: At) -> None:
    async with at("etc/app.conf") as ui:
        words = [row.split()[:2] for row in ui.pane("versions")[1:5]]
        assert [row for row in words if row] == [["+", "3"], ["-", "2"], ["1", "M"], ["0", "A"]]
        await ui.press("j")
        await compared(ui)
        diff = ui.pane("diff")
        assert "removed by" in diff[1]
        assert "- option_0 = 0" in "\n".join(diff)
        assert "+0 -60" in ui.text
        assert "   1 - option_0" not in ui.text
        assert " 1 - option_0 = 0" in ui.text


async def test_one_version_is_shown_with_its_facts(at: At) -> None:
    async with at("etc/once") as ui:
        diff = "\n".join(ui.pane("diff"))
        assert "+++ layer 0" in diff
        assert "0644" in diff
        assert "+ one version only" in diff
        await ui.press("space")
        assert "This path has only one version." in ui.text
        await ui.press("V")
        assert "There is only one text: there is nothing to put beside it." in ui.text
        await ui.press("u")
        assert "There is only one text: all its lines are shown." in ui.text


async def test_binaries_links_and_folders(at: At) -> None:
    async with at("app/data.bin") as ui:
        assert "Binary, 102kB → 77.1kB, the first difference at byte 76,800." in ui.text
        await ui.press("w")
        assert "There are no lines to show." in ui.text
        await ui.press("tab", "}")
        assert "No lines differ." in ui.text
    async with at("app/current") as ui:
        assert any(line.split() == ["target", "v1", "→", "v2"] for line in ui.pane("diff"))
    async with at("app") as ui:
        assert any(line.split() == ["type", "dir"] for line in ui.pane("diff"))


async def test_hostile_content_is_shown_not_obeyed(at: At) -> None:
    for size in ((120, 40), (80, 24), (160, 40), (44, 12)):
        async with at("etc/hostile", size=size) as ui:
            assert "\x1b" not in ui.text
            assert "\u202e" not in ui.text
            assert {cell_len(line) for line in ui.lines} == {size[0]}
            if size[0] >= 80:
                assert "\\e[32mgreen" in ui.text
                assert "日本 wide" in ui.text
                assert "no newline at end" in ui.text


async def test_hostile_names(at: At) -> None:
    name = "evil\x1b]0;x\x07\n日本"
    layers = [[text(name, "a\n")], [text(name, "b\n")]]
    async with at(name, layers=layers, size=(80, 24)) as ui:
        assert "evil\\e]0;x\\x07\\n日本" in ui.lines[0]
        assert "\x1b" not in ui.text


async def test_side_by_side_by_width_and_by_key(at: At) -> None:
    async with at("app/main.py", size=(160, 40)) as ui:
        await ui.press("j")
        await compared(ui)
        view = ui.at(VersionsScreen).view
        assert view.is_side_by_side
        [line] = [line for line in ui.pane("diff") if "say so" in line]
        left, _, right = line.partition("│")
        assert "-     print(len(data)" in left
        assert '+     print(f"' in right
        await ui.press("V")
        assert not view.is_side_by_side
        assert RowKind.BOTH not in {row.kind for row in view._rows}
        await ui.press("V")
        assert view.is_side_by_side
    async with at("app/main.py") as ui:
        await ui.press("j")
        await compared(ui)
        assert not ui.at(VersionsScreen).view.is_side_by_side
        await ui.press("V")
        assert "side by side" in ui.text


async def test_all_lines_or_those_around_what_differs(at: At) -> None:
    async with at("etc/app.conf") as ui:
        await ui.press("j", "j", "tab")
        await compared(ui)
        view = ui.at(VersionsScreen).view
        assert "option_20" not in ui.text
        assert sum(row.kind is RowKind.HUNK for row in view._rows) == 2
        await ui.press("u")
        assert len(view._rows) == 62
        await ui.press("u")
        assert sum(row.kind is RowKind.HUNK for row in view._rows) == 2


async def test_changes_are_gone_through(at: At) -> None:
    async with at("etc/app.conf") as ui:
        await ui.press("j", "j", "tab", "u")
        await compared(ui)
        view = ui.at(VersionsScreen).view
        first, second = view.changes
        await ui.press("g", "}")
        assert view.cursor == first
        assert "change 1 of 2" in ui.text
        await ui.press("}")
        assert view.cursor == second
        assert "- option_30 = 210" in ui.text
        await ui.press("}")
        assert view.cursor == second
        await ui.press("{")
        assert view.cursor == first
        await ui.press("G")
        assert view.cursor == view.row_count - 1


async def test_finding(at: At) -> None:
    async with at("etc/app.conf") as ui:
        await ui.press("j", "j", "n")
        assert "Nothing has been searched for" in ui.text
        await ui.press("u", "/", *"OPTION_30", "enter")
        assert "Nothing matches." in ui.text
        await ui.press("/", *["backspace"] * 9, *"option_3", "enter")
        view = ui.at(VersionsScreen).view
        found = view.matching()
        assert len(found) == 12
        assert ui.focus == "versions"
        at_first = view.cursor
        assert at_first in found
        await ui.press("n")
        assert view.cursor == found[found.index(at_first) + 1]
        await ui.press("N", "N")
        assert view.cursor == found[found.index(at_first) - 1]
        assert "12 matches" in ui.text
        await ui.press("escape")
        assert view.needle == ""
        assert isinstance(ui.app.screen, VersionsScreen)


@pytest.mark.parametrize("size", [(80, 24), (160, 30)])
async def test_long_lines_scroll_and_wrap(at: At, size: tuple[int, int]) -> None:
    layers = [[text("f", "a" * 200 + "1END\n")], [text("f", "a" * 200 + "2END\n")]]
    async with at("f", layers=layers, size=size) as ui:
        await ui.press("tab")
        assert "1END" not in ui.text
        await ui.press(*["l"] * 22)
        assert "1END" in ui.text
        assert "2END" in ui.text
        await ui.press("h", "left", "w")
        view = ui.at(VersionsScreen).view
        assert view.left == 0
        assert "1END" in ui.text
        assert view.row_count > len(view._rows) + 3
        await ui.press("l")
        assert "w ends that" in ui.text
        await ui.press("}", "w")
        assert view.row_count == len(view._rows) + 3


async def test_the_settings_say_whether_lines_are_wrapped_at_first(at: At) -> None:
    layers = [[text("f", "a" * 200 + "1END\n")], [text("f", "a" * 200 + "2END\n")]]
    async with at("f", layers=layers, size=(80, 24)) as ui:
        assert "1END" not in ui.text
        ui.app.wrap = True
        await ui.press("escape", "d")
        await ui.until(lambda: "1END" in ui.text)
        assert ui.at(VersionsScreen).view.wrap


async def test_wrapped_lines_keep_changes_and_matches(at: At) -> None:
    old = "".join(f"{n} " + "word " * 60 + "\n" for n in range(20))
    layers = [[text("f", old)], [text("f", old.replace("15 word", "15 other"))]]
    async with at("f", layers=layers, size=(80, 24)) as ui:
        await ui.press("tab", "u", "w", "}")
        view = ui.at(VersionsScreen).view
        assert view.row_count > 60
        assert view.cursor == view.changes[0]
        assert "15 word" in ui.text
        await ui.press("/", *"other", "enter")
        assert view.cursor in view.matching()


async def test_zoom_and_panes(at: At) -> None:
    async with at("app/main.py", size=(80, 24)) as ui:
        await ui.press("enter")
        assert ui.focus == "diff"
        await ui.press("tab")
        assert ui.focus == "versions"
        await ui.press("z")
        assert ui.focus == "diff"
        assert "Hidden by" not in ui.text
        await ui.press("tab")
        assert ui.focus == "diff"
        await ui.press("escape")
        assert "Hidden by" in ui.text
        await ui.press("q")
        assert ui.app.screen is ui.main


async def test_content_is_compared_in_the_background(at: At) -> None:
    layers = [
        [text("f", "x"), text("g", "x"), folder("d")],
        [text("f", "y", uid=1)],
        [text("f", "y", uid=2)],
    ]
    async with at("f", layers=layers) as ui:
        await ui.until(lambda: "content not compared" not in ui.text)
        rows = ui.pane("versions")
        assert "owner, same content" in rows[1]
        assert "content owner" in rows[2]


async def test_cancel_and_leave_while_it_is_read(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    real = Contents.open

    def slow(self: Contents, *arguments: Any) -> Any:
        content = real(self, *arguments)
        read = content.read

        class Slow:
            size = content.size
            available = 0
            close = staticmethod(content.close)

            @staticmethod
            def read(offset: int, length: int, advance: Any = None) -> bytes:
                while not go.wait(0.01):
                    advance(1_000_000)
                return read(offset, length, advance)

        return Slow()

    monkeypatch.setattr(Contents, "open", slow)
    async with at("app/data.bin", wait=False) as ui:
        await ui.until(lambda: "Reading  1MB" in ui.lines[0])
        await ui.press("ctrl+k")
        await ui.until(lambda: "Cancelled." in ui.text)
        await ui.press("ctrl+k")
        assert "Nothing is being read." in ui.text
        await ui.press("j", "k", "escape")
        assert ui.app.screen is ui.main
    go.set()


async def test_what_is_read_too_late_is_dropped(at: At) -> None:
    async with at("app/main.py") as ui:
        release, real = threading.Event(), work.compare_sides

        def slow(old: Any, new: Any, task: Any) -> Any:
            found = real(old, new, task)
            release.wait(10)
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("layerscope.tui.diff.screen.compare_sides", slow)
            await ui.press("j", "k")
        await ui.press("j")
        await compared(ui)
        shown = ui.text
        release.set()
        await ui.calm()
        assert ui.text == shown


async def test_syntax_arrives_after_the_lines(at: At) -> None:
    async with at("app/main.py", size=(160, 40)) as ui:
        await ui.press("j")
        await compared(ui)
        view = ui.at(VersionsScreen).view
        await ui.until(
            lambda: view.lines.syntax[0] is not None and view.lines.syntax[1] is not None
        )
        assert view.lines.syntax[1] is not None
        assert any(view.lines.syntax[1])


@pytest.mark.parametrize("theme", ["layerscope-plain", "layerscope-terminal", "nord"])
async def test_signs_tell_what_colours_would(at: At, theme: str) -> None:
    async with at("app/main.py", size=(80, 24)) as ui:
        ui.app.theme = theme
        await ui.press("j")
        await compared(ui)
        assert "+ import json" in ui.text
        assert '-     with open(path, "rb") as file:' in ui.text


async def test_v_shows_the_whole_version(at: At) -> None:
    async with at("etc/app.conf") as ui:
        await ui.press("j", "v")
        assert "This layer removed the path: its content is in the version below." in ui.text
        await ui.press("j", "v")
        await ui.until(lambda: "option_30 = thirty" in ui.text)
        assert not isinstance(ui.app.screen, VersionsScreen)
        await ui.press("escape")
        assert ui.at(VersionsScreen).list.cursor == 2
    async with at("etc") as ui:
        await ui.press("v")
        assert "A folder has no content." in ui.text


async def test_why_not(drive: Drive, tmp_path: Path) -> None:
    async with drive(reader=real_images.opened(tmp_path)) as ui:
        await ui.press("d")
        assert "Go to a path in the files first" in ui.text
    async with drive(None) as ui:
        await ui.press("d")
        assert ui.app.screen is ui.main
        assert "Go to a path in the files first" in ui.text


async def test_keys_are_in_the_help(at: At) -> None:
    async with at("app/main.py", size=(120, 60)) as ui:
        await ui.press("?")
        assert "Versions and differences" in ui.text
        assert "Show both texts side by side" in ui.text


async def test_a_move_in_a_diff_costs_little(tmp_path: Path) -> None:
    app = Counting("app.tar", **fakes.parts(real_images.opened(tmp_path)), cache=False)
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Driven(app, pilot)
        await ui.started()
        for key in ("t", "3", "E", "slash", *"app.conf", "enter", "n", "d", "j", "j", "tab", "u"):
            app.simulate_key(key)
            await ui.rest()
        await settle(app)
        assert isinstance(app.screen, VersionsScreen)
        spent = {}
        for key in ("j", "k", "pagedown", "right_curly_bracket"):
            app.simulate_key(key)
            spent[key] = await settle(app)
        assert 0 < spent["j"] <= 170
        assert 0 < spent["k"] <= 170
        assert 0 < spent["pagedown"] <= 2_700
        await asyncio.sleep(1)
        assert app.written == 0


@pytest.mark.parametrize("size", [(40, 12), (30, 8)])
async def test_in_few_lines_versions_and_their_comparison_take_turns(
    at: At, size: tuple[int, int]
) -> None:
    async with at("app/main.py", size=size) as ui:
        versions, diff = (ui.app.screen.query_one(f"#{name}") for name in ("versions", "diff"))
        header, *rows = ui.pane("versions")
        assert "Size" in header
        assert len([row for row in rows if row.strip()]) == 3
        assert not diff.display
        await ui.press("enter")
        assert (versions.display, diff.display, ui.focus) == (False, True, "diff")
        await ui.press("tab")
        assert (versions.display, diff.display, ui.focus) == (True, False, "versions")
        await ui.press("z")
        assert (versions.display, diff.display) == (False, True)
