"""Fields to type in: keys with Alt, what is pasted, paths that complete themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from layerscope.tui.dialogs.path_completion import completed
from tests.tui.conftest import Drive, Driven


async def alt(ui: Driven, letter: str) -> None:
    ui.app.post_message(events.Key(f"alt+{letter}", letter if len(letter) == 1 else None))
    await ui.calm()


async def paste(ui: Driven, text: str) -> None:
    ui.app.post_message(events.Paste(text))
    await ui.calm()
    await ui.calm()


def field(ui: Driven) -> Input:
    return ui.app.screen.query_one(Input)


@pytest.mark.parametrize("opened", ["o", "slash", "ctrl+p"])
async def test_alt_moves_as_in_a_shell_and_types_nothing(drive: Drive, opened: str) -> None:
    async with drive() as ui:
        await ui.press(opened, *"one two")
        for letter, position in (("b", 4), ("b", 0), ("f", 4), ("x", 4), ("q", 4)):
            await alt(ui, letter)
            assert (field(ui).value, field(ui).cursor_position) == ("one two", position)
        await alt(ui, "d")
        assert field(ui).value == "one "
        await alt(ui, "backspace")
        assert field(ui).value == ""


@pytest.mark.parametrize("opened", ["o", "slash", "ctrl+p"])
async def test_pasted_text_is_one_line_that_a_terminal_does_not_obey(
    drive: Drive, opened: str
) -> None:
    async with drive() as ui:
        await ui.press(opened)
        await paste(ui, "\n\x1b[31mde\x07bi\u202ean\r\nsecond line\n")
        assert field(ui).value == "[31mdebian"
        await paste(ui, ":12")
        assert field(ui).value == "[31mdebian:12"
        assert "\x1b" not in ui.text


@pytest.mark.parametrize("text", ["", "\n", "\x1b\n", "\n\n"])
async def test_pasting_nothing_is_nothing(drive: Drive, text: str) -> None:
    async with drive() as ui:
        await paste(ui, "not in a field")
        await ui.press("slash", "x")
        await paste(ui, text)
        assert field(ui).value == "x"


async def test_a_paste_right_behind_the_key_that_opens_a_field_is_typed(drive: Drive) -> None:
    async with drive() as ui:
        ui.app.post_message(events.Key("slash", "/"))
        ui.app.post_message(events.Paste("inde"))
        ui.app.post_message(events.Key("x", "x"))
        await ui.until(lambda: field(ui).value == "index")
        await ui.until(lambda: "A var/www/html/index.html" in ui.files())
        assert "A bin/bash" not in ui.files()


@pytest.mark.parametrize(("key", "character"), [("o", "o"), ("ctrl+p", None), ("f", "f")])
async def test_a_paste_right_behind_the_key_that_opens_a_screen_is_typed(
    drive: Drive, key: str, character: str | None
) -> None:
    async with drive() as ui:
        ui.app.post_message(events.Key(key, character))
        ui.app.post_message(events.Paste("index"))
        await ui.until(lambda: ui.app.screen is not ui.main and field(ui).value == "index")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("images", "images/b", "images/.hidden"):
        (tmp_path / name).mkdir()
    for name in ("images/a.tar", "images/bad\x1bname", "image.tar"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "rest"),
    [
        ("/im", "/image.tar"),
        ("/images", "/images/"),
        ("/images/", "/images/a.tar"),
        ("/images/b", "/images/b/"),
        ("/images/.h", "/images/.hidden/"),
        ("/images/bad", None),
        ("/images/a.tar", None),
        ("/none/x", None),
    ],
)
def test_paths_are_completed_as_a_shell_does(folder: Path, typed: str, rest: str | None) -> None:
    for transport in ("", "docker-archive:", "oci:", "oci-archive:", "docker-root:"):
        expected = None if rest is None else f"{transport}{folder}{rest}"
        assert completed(f"{transport}{folder}{typed}") == expected


def test_a_path_needs_no_beginning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert completed("im") == "image.tar"
    assert completed("im", ["imagemagick:7"]) == "imagemagick:7"
    assert completed("images") == "images/"
    (folder / "notes.txt").write_bytes(b"")
    assert completed("notes") is None
    assert completed("./notes") == "./notes.txt"
    assert completed("docker://im") is None
    assert completed("./im") == "./image.tar"
    assert completed("oci:im") == "oci:image.tar"
    monkeypatch.setenv("HOME", str(folder))
    assert completed("~/im") == "~/image.tar"
    assert completed("~nobody-of-that-name/x") is None
    assert completed("/\0") is None


async def test_tab_takes_what_is_suggested(drive: Drive, folder: Path) -> None:
    async with drive(None) as ui:
        await ui.press("o", *f"{folder}/image.")
        await ui.until(lambda: field(ui)._suggestion.endswith("image.tar"))
        await ui.press("tab")
        assert field(ui).value == f"{folder}/image.tar"
        await ui.press("tab", "enter")
        await ui.until(ui.over)
        assert ui.main.session is not None
        assert ui.main.session.source == f"{folder}/image.tar"
