"""Copying: what, how it reaches the terminal, and what is said about it."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.tui import app as app_module
from layerscope.tui.terminal import clipboard
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the terminal has been sent, out of its base64."""
    for name in ("TMUX", "STY"):
        monkeypatch.delenv(name, raising=False)
    found: list[bytes] = []

    def write(app: object, text: str) -> None:
        match = re.fullmatch(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07", text)
        assert match is not None
        found.append(base64.b64decode(match[1]))

    monkeypatch.setattr(app_module.LayerscopeApp, "send", write)
    return found


def test_a_sequence_holds_nothing_but_base64() -> None:
    hostile = b"\x1b]52;c;!\x07\x1b\\\xff\n"
    text = clipboard.sequence(hostile, {})
    assert text == f"\x1b]52;c;{base64.b64encode(hostile).decode()}\x07"


@given(st.binary(max_size=2000))
def test_tmux_gets_it_bare_and_wrapped(data: bytes) -> None:
    bare = clipboard.sequence(data, {})
    text = clipboard.sequence(data, {"TMUX": "/tmp/tmux-0/default,1,0"})
    assert text.startswith(bare)
    wrapped = re.fullmatch(r"\x1bPtmux;(.*)\x1b\\", text[len(bare) :], re.DOTALL)
    assert wrapped is not None
    assert wrapped[1].replace("\x1b\x1b", "\x1b") == bare


@given(st.binary(max_size=2000))
def test_screen_gets_pieces_that_it_can_take(data: bytes) -> None:
    text = clipboard.sequence(data, {"STY": "1.pts-0"})
    pieces = re.findall(r"\x1bP(.*?)\x1b\\", text, re.DOTALL)
    assert "".join(pieces) == clipboard.sequence(data, {})
    assert "".join(f"\x1bP{piece}\x1b\\" for piece in pieces) == text
    assert all(len(piece) < 250 for piece in pieces)


def test_what_fits_is_counted_in_base64() -> None:
    assert clipboard.fits(b"x" * 56_244)
    assert not clipboard.fits(b"x" * 56_247)
    largest = next(size for size in range(56_260, 0, -1) if clipboard.fits(b"x" * size))
    assert len(base64.b64encode(b"x" * largest)) <= clipboard.LONGEST


def test_what_is_said_is_honest() -> None:
    assert clipboard.copied(b"x", "path") == (
        "Copied the path, 1 byte (your terminal may block it)."
    )
    assert clipboard.copied(b"\xff" * 1234, "path").endswith(
        "1,234 bytes (your terminal may block it). Some are not UTF-8."
    )


async def take(ui: Driven, *keys: str) -> str:
    await ui.press("y", *keys)
    return ui.message


async def test_every_chord(drive: Drive, sent: list[bytes]) -> None:
    async with drive() as ui:
        await ui.press("3", "E", "G")
        path = ui.current()
        for key, text in (
            ("p", f"/{path}"),
            ("r", "hello:latest"),
            ("i", f"sha256:{'c0ffee' * 10}beef"),
            ("l", "sha256:" + "4" * 64),
            ("c", "/bin/sh -c echo 'Hi, I am in Docker!' > /var/www/html/index.html"),
        ):
            said = await take(ui, key)
            assert sent[-1].decode() == text
            assert f"{len(text)} bytes (your terminal may block it)." in said
        await take(ui, "y")
        assert "index.html" in sent[-1].decode()
        assert "-rw-r--r--" in sent[-1].decode()
        assert len(sent) == 6
        await ui.press("2", "G")
        await take(ui, "d")
        assert sent[-1].decode() == "sha256:" + "b" * 64


async def test_what_there_is_not_says_so_and_is_not_copied(drive: Drive, sent: list[bytes]) -> None:
    async with drive() as ui:
        await ui.press("y")
        text = ui.text
        assert "not known" in text
        await ui.press("d")
        assert not sent
        assert "not known" in ui.text
        await ui.press("escape", "k", "y")
        assert ui.text.count("this step has no layer") == 3
        await ui.press("q")
        assert "2 Layers" in ui.text
        assert not sent


async def test_in_the_list_of_images(drive: Drive, sent: list[bytes]) -> None:
    async with drive(None) as ui:
        await ui.press("j")
        await take(ui, "r")
        assert sent[-1] == b"debian:bookworm-slim"
        await ui.press("G")
        await take(ui, "i")
        assert sent[-1].decode() == f"sha256:{'2a' * 32}"
        await ui.press("y", "r")
        assert "no image here" in ui.text
        await ui.press("p", "escape")
        assert len(sent) == 2


async def test_without_anything_there_is_nothing_to_copy(drive: Drive, sent: list[bytes]) -> None:
    async with drive(None, engine=fakes.NO_ENGINE) as ui:
        await ui.press("y", *"prildcy")
        assert not sent


async def test_hostile_names_are_quoted_for_a_shell_and_shown_harmless(
    drive: Drive, sent: list[bytes]
) -> None:
    base = fakes.changeset(fakes.Entry("a\x1b[31m\u202e\udcff", 1))
    image = fakes.sample_image()
    from dataclasses import replace

    image = replace(image, layers=image.layers[:1], history=image.history[:1])
    async with drive(reader=fakes.FakeReader(image, [base])) as ui:
        await ui.press("3", "y")
        assert "\x1b" not in ui.text
        assert "$'/a\\033[31m\\342\\200\\256\\377'" in ui.text
        await ui.press("p")
        assert sent == [b"$'/a\\033[31m\\342\\200\\256\\377'"]
        assert "Copied the path, with its control characters quoted" in ui.message


async def test_too_much_is_saved_to_a_new_file(
    drive: Drive, sent: list[bytes], tmp_path: Path
) -> None:
    async with drive() as ui:
        text = "é" * 40_000
        ui.app.copy(text, "instruction")
        await ui.calm()
        assert "It has 80kB, more than terminals accept." in ui.text
        there = tmp_path / "there"
        there.write_text("mine")
        new = tmp_path / "new"
        for name, said in (
            (there, "already exists"),
            (tmp_path / "none" / "x", "cannot be written"),
        ):
            await ui.press("ctrl+u", *str(name), "enter")
            assert said in " ".join(ui.text.replace("│", " ").split())
        await ui.press("ctrl+u", *str(new), "enter")
        await ui.until(lambda: "Saved the instruction to" in ui.message)
        assert new.read_text("utf-8") == text
        assert there.read_text() == "mine"
        ui.app.copy(text, "instruction")
        await ui.press("escape")
        assert "Nothing was copied." in ui.message
        assert not sent


async def test_a_click_on_a_line_copies(drive: Drive, sent: list[bytes]) -> None:
    async with drive() as ui:
        await ui.press("y")
        await ui.pilot.click("#copy-rows", offset=(8, 2))
        await ui.calm()
        assert sent == [b"hello:latest"]
        await ui.press("y")
        await ui.pilot.click("#copy-rows", offset=(8, 5))
        await ui.calm()
        assert "not known" in ui.text
        assert len(sent) == 1


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
async def test_the_list_fits(drive: Drive, size: tuple[int, int]) -> None:
    async with drive(size=size) as ui:
        await ui.press("y")
        assert "image reference" in ui.text
        assert "row as text" in ui.text
        assert all(len(line) <= size[0] for line in ui.lines)


async def test_chords_can_be_mapped_anew(drive: Drive, sent: list[bytes]) -> None:
    async with drive(keymap={"copy.reference": "x", "main.copy": "Y"}) as ui:
        await ui.press("Y")
        assert any(line.split()[1:3] == ["x", "image"] for line in ui.lines)
        await ui.press("x")
        assert sent == [b"hello:latest"]
