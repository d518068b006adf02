"""What is drawn where a terminal cannot show every character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from layerscope.tui.terminal import glyphs
from layerscope.tui.terminal.glyphs import Level
from tests.tui.conftest import Drive


@given(
    st.text(st.sampled_from("ab ─│╭▾▸━╸▌▐…·–日本é\u0301🙂"), max_size=30), st.sampled_from(Level)
)
def test_replaced_text_takes_the_same_cells(text: str, level: Level) -> None:
    new = glyphs.replaced(text, level)
    assert cell_len(new) == sum(cell_len(character) for character in text)
    assert level is not Level.ASCII or new.isascii()


def test_every_mark_of_ours_has_an_ascii_one() -> None:
    names = [n for n, v in vars(glyphs).items() if n.isupper() and isinstance(v, str) and v]
    assert len(names) > 12
    for name in (name for name in names if not name.startswith("_")):
        text = glyphs.replaced(getattr(glyphs, name), Level.ASCII)
        assert text.isascii()
        assert "?" not in text, name


def test_a_sentence_trails_off_in_three_dots() -> None:
    assert glyphs.sentence("Opening a…", Level.ASCII) == "Opening a..."
    assert glyphs.sentence("Opening a…", Level.UNICODE) == "Opening a…"
    assert glyphs.replaced("a…", Level.ASCII) == "a~"


@pytest.mark.parametrize(
    ("environment", "level"),
    [
        ({}, Level.UNICODE),
        ({"LANG": "C"}, Level.ASCII),
        ({"LANG": "de_DE.UTF-8"}, Level.UNICODE),
        ({"LANG": "de_DE.utf8@euro"}, Level.UNICODE),
        ({"LANG": "de_DE.ISO-8859-1"}, Level.ASCII),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, Level.ASCII),
        ({"LC_ALL": "C.UTF-8", "LANG": "de_DE.ISO-8859-1"}, Level.UNICODE),
        ({"LC_CTYPE": "en_US.ISO-8859-15", "LANG": "en_US.UTF-8"}, Level.ASCII),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "en_US.ISO-8859-15"}, Level.ASCII),
        ({"LC_CTYPE": "C.UTF-8"}, Level.UNICODE),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, Level.ASCII),
        ({"LC_CTYPE": "en_US.UTF-8", "LANG": "C"}, Level.UNICODE),
        ({"LANG": "POSIX", "TERM": "linux"}, Level.ASCII),
        ({"TERM": "linux"}, Level.CONSOLE),
        ({"TERM": "linux", "LC_ALL": "POSIX"}, Level.ASCII),
    ],
)
def test_what_fits_is_told_from_the_environment(environment: dict[str, str], level: Level) -> None:
    assert glyphs.fitting(None, environment) is level


def test_the_user_goes_before_the_environment() -> None:
    assert glyphs.fitting(True, {"LANG": "en_US.UTF-8"}) is Level.ASCII
    assert glyphs.fitting(False, {"LC_ALL": "C"}) is Level.UNICODE
    assert glyphs.fitting(False, {"TERM": "linux"}) is Level.UNICODE


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_nothing_but_ascii_is_painted(drive: Drive, size: tuple[int, int]) -> None:
    async with drive(size=size, glyphs=Level.ASCII) as ui:
        for keys in ("", "j", "t", "3E", "G", "4", "?"):
            await ui.press(*("question_mark" if key == "?" else key for key in keys))
            assert ui.text.isascii(), ui.text
        await ui.press("escape")
        assert "+- 2 Layers" in ui.text


async def test_the_layout_is_the_same_in_ascii(drive: Drive) -> None:
    async with drive() as ui:
        await ui.rest()
        before = ui.lines
    async with drive(glyphs=Level.ASCII) as ui:
        assert [len(line) for line in ui.lines] == [cell_len(line) for line in before]


async def test_no_colour_is_painted_in_the_plain_theme(drive: Drive) -> None:
    async with drive() as ui:
        ui.app.theme = "layerscope-plain"
        await ui.press("3", "j", "slash", "l", "enter")
        reversed_text = ""
        for strip in ui.app.screen._compositor.render_strips():
            for text, style, _ in strip:
                for color in (style.color, style.bgcolor) if style else ():
                    assert color is None or color.is_default
                reversed_text += text if style and style.reverse else ""
        # The title shows which pane has the focus.
        assert "3 " in reversed_text
        assert "2 Layers" not in reversed_text
