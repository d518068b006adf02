"""The whole: panes, zoom, help, palette, layouts, keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.widgets import Input

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.explore.image_list import ImageList
from layerscope.tui.explore.layer_list import LayerList
from layerscope.tui.explore.screen import MainScreen
from layerscope.tui.keys.help import HelpScreen
from layerscope.tui.keys.key import keys_of
from layerscope.tui.rows.file_tree import FileTree
from layerscope.tui.rows.row_view import RowView
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven


def shown(ui: Driven) -> list[str]:
    return [
        pane
        for pane in ("images", "layers", "files", "details")
        if ui.app.screen.query_one(f"#{pane}").region
    ]


async def test_tab_and_numbers_go_round_the_panes(drive: Drive) -> None:
    async with drive() as ui:
        order = []
        for _ in range(4):
            await ui.press("tab")
            order.append(ui.focus)
        assert order == ["files", "details", "images", "layers"]
        await ui.press("shift+tab")
        assert ui.focus == "images"
        for key, name in zip("1234", ("images", "layers", "files", "details"), strict=True):
            await ui.press(key)
            assert ui.focus == name
            assert name in shown(ui)


@pytest.mark.parametrize(
    ("size", "panes"),
    [
        ((80, 24), ["layers", "files"]),
        ((80, 50), ["layers", "files", "details"]),
        ((120, 40), ["layers", "files", "details"]),
        ((200, 60), ["images", "layers", "files", "details"]),
    ],
)
async def test_layouts(drive: Drive, size: tuple[int, int], panes: list[str]) -> None:
    async with drive(size=size) as ui:
        assert shown(ui) == panes
        for key, name in zip("1234", ("images", "layers", "files", "details"), strict=True):
            await ui.press(key)
            assert name in shown(ui)


async def test_details_take_turns_with_files_where_there_is_no_room(drive: Drive) -> None:
    async with drive(size=(80, 24)) as ui:
        await ui.press("4")
        assert shown(ui) == ["layers", "details"]
        await ui.rest()  # What is wasted comes a little later.
        await ui.press("G", "j")
        assert "Wasted, largest first" in ui.text
        await ui.press("g")
        assert " Layer " in ui.text
        await ui.press("escape")
        assert shown(ui) == ["layers", "files"]


async def test_details_are_about_the_cursor_that_the_user_moves(drive: Drive) -> None:
    async with drive() as ui:
        await ui.until(lambda: "Efficiency" in ui.text)
        first, *rest = ui.pane("details")
        assert first.startswith(" Layer 3")
        # All of the image is in sight, too.
        assert any(line.startswith(" Efficiency") for line in rest)
        await ui.press("3")
        await ui.until(lambda: ui.pane("details")[0].startswith(" File /"))
        # They stay as they are while they are read.
        await ui.press("4")
        await ui.rest()
        assert ui.pane("details")[0].startswith(" File /")
        await ui.press("2")
        await ui.until(lambda: ui.pane("details")[0].startswith(" Layer 3"))


async def test_resizing_keeps_everything_usable(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("3")
        for size in ((80, 24), (200, 60), (40, 10), (10, 4), (120, 40)):
            await ui.pilot.resize_terminal(*size)
            await ui.calm()
            await ui.press("j", "k", "tab", "shift+tab")
            assert ui.focus == "files"
        assert shown(ui) == ["layers", "files", "details"]
        assert "index.html" in ui.text


@pytest.mark.parametrize("key", ["2", "3", "4"])
async def test_zoom_gives_a_pane_the_whole_screen(drive: Drive, key: str) -> None:
    async with drive() as ui:
        await ui.rest()
        before = ui.text
        await ui.press(key, "z")
        assert shown(ui) == [ui.focus]
        assert ui.app.screen.query_one(f"#{ui.focus}").outer_size == (120, 38)
        await ui.press("tab")
        assert shown(ui) == [ui.focus]
        await ui.press("escape")
        assert len(shown(ui)) == 3 or ui.focus == "images"
        await ui.walk("2")
        assert ui.text == before


async def test_zoom_in_the_widest_layout(drive: Drive) -> None:
    async with drive(size=(200, 60)) as ui:
        await ui.press("3", "z")
        assert ui.main.files.outer_size == (200, 58)
        await ui.press("z")
        assert len(shown(ui)) == 4


async def test_escape_goes_back_step_by_step(drive: Drive) -> None:
    async with drive() as ui:
        for key in ("3", "z", "slash", "x", "enter"):
            await ui.press(key)
        await ui.press("escape")
        assert ui.main.files.pattern is None
        await ui.press("escape")
        assert len(shown(ui)) == 3
        await ui.press("escape")
        assert ui.focus == "layers"
        await ui.press("escape")
        assert ui.focus == "layers"
        assert "There is nothing to go back to: 1 shows the images." in ui.message


async def test_help_is_made_of_the_bindings(drive: Drive) -> None:
    async with drive(size=(120, 200)) as ui:
        await ui.press("3", "question_mark")
        for owner in (LayerscopeApp, MainScreen, RowView, ImageList, LayerList, FileTree):
            for key in keys_of(owner):
                # A longer text takes several lines.
                assert key.text[:16] in ui.text
                assert ui.app.get_key_display(key.bindings()[0]) in ui.text
        await ui.press("escape")
        assert "2 Layers" in ui.text


@pytest.mark.parametrize("key", ["question_mark", "q", "escape"])
async def test_help_scrolls_and_closes(drive: Drive, key: str) -> None:
    async with drive(size=(80, 24)) as ui:
        await ui.press("question_mark")
        assert "2 Layers" in ui.lines[1]
        await ui.press("G")
        assert "This page" in ui.text
        await ui.press(key)
        assert "2 Layers" in ui.text


async def test_key_bar_tells_the_keys_of_the_pane(drive: Drive) -> None:
    async with drive() as ui:
        assert "enter Files" in ui.lines[-1]
        await ui.press("3")
        assert "a r m u Kinds" in ui.lines[-1]
        assert "? Help" in ui.lines[-1]
        assert "q Quit" in ui.lines[-1]
        assert "Match" not in ui.lines[-1]
        await ui.press("slash", *"html", "enter")
        assert "n N Match" in ui.lines[-1]
        await ui.press("escape", "1")
        assert "enter Open" in ui.lines[-1]


async def test_key_bar_can_be_clicked(drive: Drive) -> None:
    async with drive() as ui:
        await ui.pilot.click("#keys", offset=(ui.lines[-1].index("? Help") + 1, 0))
        await ui.calm()
        assert isinstance(ui.app.screen, HelpScreen)


@pytest.mark.parametrize("theme", ["layerscope-terminal", "layerscope-light", "nord", "ansi-dark"])
async def test_every_theme_shows_the_same_text(drive: Drive, theme: str) -> None:
    async with drive() as ui:
        await ui.rest()
        before = ui.text
        ui.app.theme = theme
        await ui.calm()
        assert ui.text == before
        await ui.walk("3", "j", "2", "j", "k", "3", "k", "2")
        assert ui.text == before


async def test_no_cursor_blinks(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("slash")
        assert not ui.app.screen.query_one(Input).cursor_blink
        await ui.press("escape", "ctrl+p")
        assert not ui.app.screen.query_one(Input).cursor_blink


async def test_keys_can_be_mapped_anew(drive: Drive) -> None:
    async with drive() as ui:
        ui.app.set_keymap({"main.union": "x"})
        await ui.press("x")
        assert "merged view of" in ui.text
        assert "x This layer" in ui.lines[-1]
        await ui.press("t")
        assert "merged view of" in ui.text


async def test_q_quits(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("q")
        assert not ui.app.is_running or ui.app._exit


async def test_details_say_all_there_is(drive: Drive) -> None:
    async with drive(size=(120, 60)) as ui:
        await ui.rest()  # What is wasted comes a little later.
        text = "\n".join(ui.pane("details"))
        for part in (
            "hello:latest",
            "linux/amd64",
            "2024-05-30 10:00 (2 days ago)",
            "302MB",
            "86.5%",
            "Layer 3",
            "not known",
            "RUN echo 'Hi,",
            "/var/lib/apt/lists",
            "23.5MB",
        ):
            assert part in text
        await ui.press("G")
        text = "\n".join(ui.pane("details"))
        assert "sha256:" + "b" * 12 + "…" in text
        assert "21 added" in text


async def test_what_a_random_walk_leaves_is_what_a_full_repaint_shows(drive: Drive) -> None:
    import random

    keys = [*"jkjkjkgGtarmusSnNzEC1234hl", "tab", "escape", "space", "pagedown", "pageup", "ctrl+d"]
    chance = random.Random(7)
    async with drive(size=(100, 30)) as ui:
        for _ in range(8):
            pressed = chance.choices(keys, k=8)
            await ui.press(*pressed)
            await ui.rest()
            painted = ui.text
            for pane in ui.app.screen.query(RowView):
                pane.notify_style_update()
                pane.refresh()
            await ui.calm()
            assert ui.text == painted, pressed


async def test_the_title_has_short_facts_and_no_few_letters_of_long_ones(drive: Drive) -> None:
    async with drive() as ui:
        title = ui.main.title_bar
        title.set_image("A one:1", "B two:2")
        await ui.calm()
        assert "A one:1  B two:2 " in ui.lines[0]
        title.set_image("A " + "x" * 80, "B two:2 and more")
        await ui.calm()
        assert "B two" not in ui.lines[0]


async def test_a_long_command_is_cut_unless_the_details_are_alone(drive: Drive) -> None:
    reader = fakes.FakeReader()
    words = [f"word-{number}" for number in range(40)]
    layers = list(reader.image.layers)
    layers[-1] = replace(layers[-1], instruction=f"RUN {' '.join(words)}")
    reader.image = replace(reader.image, layers=tuple(layers))
    async with drive(reader=reader) as ui:
        text = " ".join("\n".join(ui.pane("details")).split())
        assert "RUN word-0 word-1" in text
        assert "word-39" not in text
        await ui.walk("4", "z")
        assert "word-39" in " ".join(ui.pane("details"))
        await ui.walk("z")
        assert "word-39" not in " ".join(ui.pane("details"))


async def test_the_cursor_colours_the_first_cells_of_the_name_in_every_list(drive: Drive) -> None:
    async with drive(size=(200, 60)) as ui:
        for key, name in (("1", "hello"), ("2", "RUN echo"), ("3", "var")):
            await ui.press(key)
            view = ui.main.pane
            line = view.render_line(view.cursor - view.top + view.header_rows)
            ground = view.palette.cursor.bgcolor
            marked = [piece for piece in line if piece.style and piece.style.bgcolor == ground]
            text = "".join(piece.text for piece in marked)
            assert name in text, text
            assert len(text) <= view.CURSOR
