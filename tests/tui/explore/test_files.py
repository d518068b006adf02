"""Pane 3: the file tree."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from rich.cells import cell_len
from textual import events

from layerscope.filesystem.rows import SortKey, TreeRows
from layerscope.tui import work
from layerscope.tui.rows import file_tree
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven


async def base(ui: Driven) -> None:
    """Goes to the files of the base layer."""
    await ui.press("G", "3")


async def test_columns(drive: Drive) -> None:
    async with drive() as ui:
        await base(ui)
        header, *lines = ui.pane("files")
        assert header.split() == ["Mode", "Owner", "Size", "Name", "▴"]
        shown = {line.split()[-1].rstrip("/"): line for line in lines if line and "->" not in line}
        assert shown["bash"].split()[:4] == ["-rwxr-xr-x", "0:0", "26.3MB", "A"]
        assert shown["su"].split()[0] == "-rwsr-xr-x"
        assert shown["tmp"].split()[0] == "drwxrwxrwt"
        assert shown["shadow"].split()[1] == "0:42"
        assert any(line.endswith("sh -> bash") for line in lines)
        assert any(line.strip().endswith("libc.so link to /usr/lib/libc…") for line in lines)


async def test_wide_characters_stay_aligned(drive: Drive) -> None:
    async with drive() as ui:
        await base(ui)
        assert "日本語.txt" in ui.text
        assert {cell_len(line) for line in ui.lines} == {120}


async def test_hostile_names_are_shown_not_obeyed(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("j", "j", "j")
        assert "evil\\e[31m\\u202ename" in ui.text
        assert "\x1b" not in ui.text
        assert "\u202e" not in ui.text


async def test_what_replaced_a_folder_shows_that_it_expands(drive: Drive) -> None:
    layers = [
        fakes.changeset(fakes.folder("etc"), fakes.Entry("etc/passwd", 9)),
        fakes.changeset(fakes.Entry("etc", 5)),
    ]
    image = fakes.sample_image()
    history = tuple(entry for entry in image.history if entry.layer in (0, 1))
    image = dataclasses.replace(image, layers=image.layers[:2], history=history)
    async with drive(reader=fakes.FakeReader(image, layers)) as ui:
        await ui.press("3")
        assert ui.files() == ["M etc", "R etc/passwd"]
        assert ui.pane("files")[1].endswith("M ▾ etc")
        await ui.press("space")
        assert ui.files() == ["M etc"]
        assert ui.pane("files")[1].endswith("M ▸ etc")


async def test_names_that_are_endless_or_not_utf8(drive: Drive) -> None:
    entries = [
        fakes.Entry("x" * 4000),
        fakes.Entry(b"caf\xe9".decode("utf-8", "surrogateescape")),
        fakes.Entry("e\u0301" * 30),
        fakes.Entry("[bold]markup"),
        fakes.symlink("link", "\x1b]0;title\x07"),
    ]
    import dataclasses

    image = dataclasses.replace(fakes.sample_image(), layers=fakes.sample_image().layers[:1])
    reader = fakes.FakeReader(image, [fakes.changeset(*entries)])
    for size in ((120, 40), (80, 24), (44, 12), (20, 8)):
        async with drive(reader=reader, size=size) as ui:
            await ui.press("3", "z")
            assert {cell_len(line) for line in ui.lines} == {size[0]}
            if size[0] >= 80:
                assert "caf\\xe9" in ui.text
                assert "[bold]markup" in ui.text
                assert "link -> \\e]0;title\\x07" in ui.text
                assert "…" in ui.text


async def test_small_layers_are_open_and_large_ones_as_far_as_they_fit(drive: Drive) -> None:
    async with drive() as ui:
        assert "A var/www/html/index.html" in ui.files()
    async with drive(size=(80, 24)) as ui:
        await base(ui)
        assert ui.files() == ["A bin", "A etc", "A tmp", "A usr", "A var"]


async def test_expand_collapse_and_go_to_the_parent(drive: Drive) -> None:
    async with drive(size=(80, 24)) as ui:
        await base(ui)
        await ui.press("l")
        assert "A bin/bash" in ui.files()
        await ui.press("l")
        assert ui.current() == "bin/bash"
        await ui.press("right")
        assert ui.current() == "bin/bash"
        await ui.press("h")
        assert ui.current() == "bin"
        await ui.press("left")
        assert "A bin/bash" not in ui.files()
        await ui.press("left")
        assert ui.current() == "bin"
        await ui.press("space")
        assert "A bin/bash" in ui.files()
        await ui.press("enter")
        assert "A bin/bash" not in ui.files()


async def test_expand_all_and_collapse_all(drive: Drive) -> None:
    async with drive(size=(80, 24)) as ui:
        await base(ui)
        await ui.press("E")
        assert len(ui.files()) == 21
        await ui.press("G")
        assert ui.current() == "var/www"
        await ui.press("C")
        assert ui.current() == "var"
        assert len(ui.files()) == 5


async def test_what_was_expanded_by_hand_stays_so_in_other_layers(drive: Drive) -> None:
    async with drive(size=(80, 24)) as ui:
        await base(ui)
        await ui.press("C", "G", "l", "2", "k", "k")
        assert ui.files() == ["  usr", "  var", "  var/lib"]


async def test_moving_by_rows_pages_and_ends(drive: Drive) -> None:
    async with drive(size=(80, 24)) as ui:
        await base(ui)
        await ui.press("E")
        files = ui.main.files
        page = files.page_size
        for keys, row in (
            (("j", "down"), 2),
            (("k", "up"), 0),
            (("up",), 0),
            (("G",), 20),
            (("g",), 0),
            (("end",), 20),
            (("down",), 20),
            (("home",), 0),
            (("pagedown",), page),
            (("pageup",), 0),
            (("ctrl+d",), page // 2),
            (("ctrl+u",), 0),
        ):
            await ui.press(*keys)
            assert files.cursor == row, keys
            assert files.top <= files.cursor < files.top + page
            shown = ui.pane("files")[1 + files.cursor - files.top]
            assert shown.rstrip("▐ /").endswith(ui.current().rpartition("/")[2].split(" ")[0]) or (
                "->" in shown or "link to" in shown
            )


async def test_screen_is_right_after_every_page(drive: Drive) -> None:
    async with drive(size=(80, 24)) as ui:
        await base(ui)
        await ui.press("E")
        for key in ("pagedown", "pagedown", "pageup", "ctrl+d", "k", "k", "k", "k", "k", "k", "g"):
            await ui.press(key)
            painted = ui.pane("files")
            ui.main.files.notify_style_update()
            ui.main.files.refresh()
            await ui.calm()
            assert ui.pane("files") == painted, key


async def test_kinds_are_shown_and_hidden(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("j", "t", "3")
        await ui.press("C")
        assert "R var/lib/apt/lists" not in ui.files()
        await ui.press("E")
        assert "R var/lib/apt/lists" in ui.files()
        await ui.press("u")
        assert ui.files() == [
            "  etc",
            "M etc/passwd",
            "  var",
            "  var/lib",
            "  var/lib/apt",
            "R var/lib/apt/lists",
        ]
        assert "unchanged hidden" in ui.text
        await ui.press("r")
        assert ui.files() == ["  etc", "M etc/passwd"]
        await ui.press("m")
        assert ui.files() == []
        assert "Nothing matches." in ui.text
        assert "a r m u show and hide kinds." in ui.text
        assert "clears the filter" not in ui.text
        await ui.press("u", "m", "r", "a")
        assert "R var/lib/apt/lists" in ui.files()
        assert "added hidden" in ui.text


async def test_kinds_can_be_hidden_from_the_layers_too(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("a")
        assert ui.files() == ["  var", "  var/www"]
        await ui.press("a")
        assert "A var/www/html/index.html" in ui.files()


async def test_sorts_by_every_column(drive: Drive) -> None:
    async with drive(size=(80, 24)) as ui:
        await base(ui)
        assert "Name ▴" in ui.text
        await ui.press("s")
        assert "Size ▾" in ui.text
        assert ui.files() == ["A usr", "A bin", "A var", "A etc", "A tmp"]
        await ui.press("S")
        assert "Size ▴" in ui.text
        assert ui.files()[-1] == "A usr"
        await ui.press("s")
        assert "Modified (UTC) ▾" in ui.text
        assert "2024-05-02 12:00" in ui.text
        await ui.press("s")
        assert ui.main.files.rows is not None
        assert ui.main.files.rows.sort is SortKey.CHANGE
        header, *lines = ui.pane("files")
        assert header.index("Kind ▴") == lines[0].index("A ")
        assert "Size ▴" not in header
        spans = {each.key: (each.start, each.end) for each in ui.main.files.headings(78)}
        assert header[slice(*spans["change"])] == "Kind ▴ "
        await ui.press("s")
        assert "Name ▴" in ui.text
        assert "Kind" not in ui.pane("files")[0]


def shares(ui: Driven) -> dict[str, tuple[str, str]]:
    """The per cent and the bar of each name in the tree."""
    pattern = re.compile(r" (\d+%) (━*╸?) ?.*?([\w.]+)/?$")
    rows = [pattern.search(row.rstrip("▐ ")) for row in ui.pane("files")]
    return {row[3]: (row[1], row[2]) for row in rows if row}


async def test_a_tree_with_the_screen_to_itself_shows_shares_of_folders(drive: Drive) -> None:
    async with drive(size=(80, 24)) as ui:
        await base(ui)
        assert "%" not in "".join(ui.pane("files"))
        await ui.press("z", "E")
        header = ui.pane("files")[0]
        assert header.split() == ["Mode", "Owner", "Size", "Share", "Name", "▴"]
        found = shares(ui)
        assert (found["bash"], found["su"]) == (("95%", ""), ("5%", ""))
        # What is empty has no share, and a folder's only file has all of it.
        assert "tmp" not in found
        assert found["sources.list"] == ("100%", "")
        top = {"bin", "etc", "usr", "var"} & found.keys()
        assert sum(int(found[name][0][:-1]) for name in top) == pytest.approx(100, abs=2)
        await ui.press("z")
        assert "%" not in "".join(ui.pane("files"))


async def test_a_wide_tree_shows_shares_beside_all_columns(drive: Drive) -> None:
    async with drive(size=(200, 60)) as ui:
        await ui.press("j", "3")
        header = ui.pane("files")[0]
        assert header.split()[:4] == ["Mode", "Owner", "Size", "Share"]
        # What was removed is no part of what is there.
        assert shares(ui) == dict.fromkeys(("etc", "passwd"), ("100%", "━━━━━━━━━━"))


async def test_a_small_pane_has_sizes_and_names_only(drive: Drive) -> None:
    for size in ((40, 12), (30, 8)):
        async with drive(size=size) as ui:
            await base(ui)
            await ui.press("z")
            header, *rows = ui.pane("files")
            assert header.split() == ["Size", "Name", "▴"]
            assert rows[0].split()[0] == "27.8MB"


@pytest.mark.parametrize("limit", [20_000, 0])
async def test_filter_as_you_type(
    drive: Drive, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_tree, "_SMALL", limit)
    async with drive() as ui:
        await base(ui)
        await ui.press("slash", *"lib")
        await ui.until(lambda: "matches" in ui.text)
        assert "A usr/lib/libc.so.6" in ui.files()
        assert "A bin" not in ui.files()
        await ui.press("enter")
        assert ui.app.focused is ui.main.files
        assert "3 Files · layer 0 · 6 matches · /lib" in ui.text
        # The cursor is on the first match, below a folder that is none.
        assert (ui.files()[0], ui.current()) == ("A usr", "usr/lib")
        await ui.press("n")
        first = ui.current()
        await ui.press("n")
        assert ui.current() != first
        await ui.press("N")
        assert ui.current() == first
        await ui.press("g", "N")
        assert "lib" in ui.current()
        await ui.press("2", "k", "k", "k", "k")
        await ui.until(lambda: "  var/lib/apt" in ui.files())
        await ui.press("escape")
        await ui.until(lambda: ui.main.files.pattern is None and "· /lib" not in ui.text)


async def test_what_was_found_stays_under_the_cursor_without_the_filter(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("t", "3", "C")
        assert ui.files() == ["  bin", "  etc", "  tmp", "  usr", "  var"]
        await ui.press("slash", *"libc.so.6", "enter")
        while ui.current() != "usr/lib/libc.so.6":
            await ui.press("n")
        await ui.press("escape")
        assert ui.main.files.pattern is None
        assert ui.current() == "usr/lib/libc.so.6"
        assert "  bin/bash" not in ui.files()


async def test_keys_right_behind_the_slash_are_part_of_the_filter(drive: Drive) -> None:
    async with drive() as ui:
        await base(ui)
        for key in ("slash", *"passwd", "enter", "j"):
            ui.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await ui.until(lambda: "1 match" in ui.text)
        assert ui.files() == ["A etc", "A etc/passwd"]
        assert ui.app.focused is ui.main.files


async def test_a_filter_without_matches_says_so(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("slash", *"nowhere")
        await ui.until(lambda: "Nothing matches." in ui.text)
        # Also while the keys are those of what is typed.
        assert "esc clears the filter; a r m u show and hide kinds." in ui.text
        await ui.press("enter", "n", "N", "j", "space", "l", "h", "s", "E")
        assert "Nothing matches." in ui.text
        await ui.press("escape")
        await ui.until(lambda: "A var/www/html/index.html" in ui.files())


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Makes all rows in the background, and only when a test calls what is in this list."""
    started: list[Callable[[], None]] = []
    run = work.run_in_background

    def hold(name: str, call: Callable[[], None]) -> None:
        if name == "rows":
            started.append(call)
        else:
            run(name, call)

    monkeypatch.setattr(file_tree, "_SMALL", 0)
    monkeypatch.setattr(file_tree, "_LARGE", 0)
    monkeypatch.setattr(file_tree, "_PATIENCE", 0.01)
    monkeypatch.setattr(work, "run_in_background", hold)
    return started


async def shown(ui: Driven, held: list[Callable[[], None]]) -> None:
    """Does all pending work."""
    while held:
        held.pop(0)()
        await ui.calm()


@asynccontextmanager
async def base_shown(drive: Drive, held: list[Callable[[], None]]) -> AsyncIterator[Driven]:
    """Shows the files of the base layer; later work is held."""
    async with drive() as ui:
        await shown(ui, held)
        await base(ui)
        await shown(ui, held)
        yield ui


async def test_a_late_search_does_not_replace_a_newer_one(
    drive: Drive, held: list[Callable[[], None]]
) -> None:
    async with base_shown(drive, held) as ui:
        ui.main.explorer.filter("passwd")
        assert len(held) == 1
        ui.main.explorer.filter("bash")
        assert len(held) == 2
        held.pop(0)()
        await ui.calm()
        assert "passwd" not in "".join(ui.files()) or len(ui.files()) > 2
        await shown(ui, held)
        assert ui.files() == ["A bin", "A bin/bash"]


async def test_what_is_asked_while_rows_are_made_is_not_lost(
    drive: Drive, held: list[Callable[[], None]]
) -> None:
    async with base_shown(drive, held) as ui:
        before = ui.files()
        await ui.press("E", "s", "S", "u", "t", "j", "j")
        assert ui.files() == before
        assert "Working" in ui.text
        await shown(ui, held)
        rows = ui.main.files.rows
        assert rows is not None
        assert rows.expanded.all()
        assert (rows.sort, rows.reverse) == (SortKey.SIZE, True)
        assert "unchanged hidden" in ui.text
        assert "Working" not in ui.text
        assert not ui.main.files.busy
        assert ui.files() != before


async def test_making_rows_can_be_cancelled(drive: Drive, held: list[Callable[[], None]]) -> None:
    async with base_shown(drive, held) as ui:
        before = ui.files()
        await ui.press("s", "u")
        ui.main.explorer.filter("bash")
        await ui.press("ctrl+k")
        assert not ui.main.files.busy
        await shown(ui, held)
        assert ui.files() == before
        assert "Name ▴" in ui.text
        assert "hidden" not in ui.text
        assert "/bash" not in ui.text
        await ui.press("s")
        await shown(ui, held)
        assert "Size ▾" in ui.text
        await ui.press("2", "k", "k")
        await ui.press("ctrl+k")
        await shown(ui, held)
        assert "it was cancelled" in ui.text
        await ui.press("k", "k")
        await shown(ui, held)
        assert ui.files()


async def test_rows_that_cannot_be_made_say_why(
    drive: Drive, held: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    async with base_shown(drive, held) as ui:
        monkeypatch.setattr(TreeRows, "update", refuse)
        await ui.press("s")
        await shown(ui, held)
        assert "There is not enough memory." in ui.text


async def test_mouse_moves_opens_and_scrolls(drive: Drive) -> None:
    async with drive(size=(80, 24)) as ui:
        await base(ui)
        await ui.pilot.click("#files", offset=(30, 3))
        assert ui.current() == "etc"
        await ui.pilot.click("#files", offset=(30, 3), times=2)
        assert "A etc/passwd" in ui.files()
        await ui.press("E")
        files = ui.main.files
        before = files.top
        files._scroll(files.top + 3)
        await ui.calm()
        assert files.top == before + 3
        assert files.top <= files.cursor < files.top + files.page_size


async def test_files_of_the_next_image_start_afresh(drive: Drive) -> None:
    async with drive() as ui:
        await base(ui)
        await ui.press("slash", *"lib", "enter", "E")
        ui.main.open_source("again")
        await ui.until(lambda: ui.main.session is not None and ui.main.session.ended)
        assert ui.main.files.pattern is None
        assert "A var/www/html/index.html" in ui.files()


async def test_what_is_open_does_not_hang_on_when_there_was_room(drive: Drive) -> None:
    async with drive(size=(120, 40)) as ui:
        await ui.press("G")
        wanted = ui.files()
    assert len(wanted) > 10
    async with drive(size=(120, 16)) as ui:
        await ui.press("G")
        assert len(ui.files()) < 10
        await ui.pilot.resize_terminal(120, 40)
        await ui.until(lambda: ui.files() == wanted)
    async with drive(size=(120, 16)) as ui:
        await ui.press("G", "3", "space", "g")
        by_hand = ui.files()
        await ui.pilot.resize_terminal(120, 40)
        await ui.calm()
        assert ui.files()[: len(by_hand)] == by_hand
        assert ui.files() != wanted
    async with drive(size=(120, 16)) as ui:
        await ui.press("G", "3", "j")
        looked_at = ui.current()
        await ui.pilot.resize_terminal(120, 40)
        await ui.calm()
        assert ui.current() == looked_at
        assert ui.files() != wanted


async def test_the_key_bar_stays_while_the_row_changes(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("3", "g", "E")
        before, seen = ui.lines[-1], set[str]()
        assert before.startswith(" enter Open  v View  d Versions ")
        for key in "jjjjjkkkk":
            await ui.walk(key)
            assert ui.lines[-1] == before
            # A key that the row rules out says why.
            seen.add(ui.main.why_not("visit", ("content",)))
        assert seen == {"", "A folder has no content."}


async def test_keys_that_nothing_in_the_list_allows_leave_no_gap(drive: Drive) -> None:
    async with drive(None, engine=fakes.NO_ENGINE) as ui:
        assert ui.lines[-1].startswith(" o Open other… ")
