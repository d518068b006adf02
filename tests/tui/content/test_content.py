"""Looking at the content of files: every key, hostile content, and a gigabyte."""

from __future__ import annotations

import gzip
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines.resolve import open_image
from layerscope.images.files.contents import Contents
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from layerscope.text import visible
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.content.screen import ContentScreen
from layerscope.tui.content.work import open_file
from layerscope.tui.work import Task
from tests import archives
from tests.archives import END, header, saved
from tests.tui import fakes
from tests.tui.conftest import Driven

PYTHON = b"import os\n\n\ndef twice(x):  # doc\n    return 2 * x\n"
LINES = b"".join(b"line %d of many\n" % number for number in range(1, 1001))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@asynccontextmanager
async def looking(
    path: str,
    *layers: Sequence[Any],
    compress: bool = False,
    size: tuple[int, int] = (100, 30),
    theme: str = "layerscope-dark",
    key: str = "v",
    wait: bool = True,
) -> AsyncIterator[Driven]:
    """The screen of a file of an image."""
    stored = [archives.layer(*layer) for layer in layers]
    if compress:
        stored = [gzip.compress(layer, 1) for layer in stored]
    file = Path("../image.tar")
    file.write_bytes(saved(*stored))
    app = LayerscopeApp(str(file), connector=fakes.connector(), cache=False, theme=theme)
    async with app.run_test(size=size) as pilot:
        ui = Driven(app, pilot)
        await ui.until(lambda: ui.main.session and ui.main.session.ended)
        await ui.press("3", "E")
        for _ in range(len(ui.files())):
            if ui.current() == path:
                break
            await ui.press("j")
        assert ui.current() == path
        await ui.press(key)
        if wait and isinstance(app.screen, ContentScreen):
            await ui.until(lambda: not ui.at(ContentScreen).work.busy("open"))
            found = ui.at(ContentScreen).file
            await ui.until(lambda: found is None or found.description)
            await ui.calm()
        yield ui


def shown(ui: Driven) -> list[str]:
    return ui.pane("content")


async def typed(ui: Driven, text: str) -> None:
    await ui.press(*text, "enter")


# --- what is shown ---


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("key", ["v", "enter"])
async def test_a_file_is_shown_with_all_that_is_known_of_it(key: str, compress: bool) -> None:
    async with looking("m.py", [("m.py", PYTHON)], key=key, compress=compress) as ui:
        assert shown(ui)[:5] == [
            "  1 import os",
            "  2",
            "  3",
            "  4 def twice(x):  # doc",
            "  5     return 2 * x",
        ]
        title = ui.lines[0]
        assert "/m.py  layer 0  RUN make 0" in title
        assert title.endswith("ASCII text · 50B ")
        assert "1–5 of 5 lines" in ui.lines[-2]
        assert "/ Find" in ui.lines[-1]
        await ui.press("escape")
        assert ui.app.screen is ui.main


async def test_program_text_is_coloured() -> None:
    async with looking("m.py", [("m.py", PYTHON)]) as ui:
        await ui.until(lambda: ui.at(ContentScreen).file.text.spans)  # type: ignore[union-attr]
        strip = ui.app.screen._compositor.render_strips()[2]
        colors = {text.strip(): style.color for text, style, _ in strip if style and text.strip()}
        assert colors["import"] != colors["os"] != colors["1"]


async def test_what_has_no_content_says_why() -> None:
    async with looking("d", ["d/", ("d/f", b"x")]) as ui:
        assert "A folder has no content." in ui.message
        assert ui.app.screen is ui.main
        await ui.press("2", "v")
        assert "Go to a file first" in ui.message


async def test_an_empty_file() -> None:
    async with looking("empty", [("empty", b"")]) as ui:
        assert "This file is empty." in ui.text
        await ui.press("0", "G", "j", "w", "0")
        assert "This file is empty." in ui.text


HOSTILE = (
    "a\x1b[31mb\u202ec\u200bd\x9be\tf\n日本語 e\u0301 \U0001f600\n\rx\n".encode() + b"\xff end\n"
)


async def test_hostile_content_is_shown_and_not_obeyed() -> None:
    async with looking("evil", [("evil", HOSTILE)]) as ui:
        for _ in range(2):
            assert "a\\e[31mb\\u202ec\\u200bd\\x9be" in ui.text
            assert "日本語 e\u0301 😀" in ui.text
            assert "\\rx" in ui.text
            assert "\\xff end" in ui.text
            assert visible(ui.text.replace("\n", "")) == ui.text.replace("\n", "")
            await ui.press("w")


@pytest.mark.parametrize("wrap", [False, True])
async def test_a_line_of_a_megabyte(wrap: bool) -> None:
    data = "wörter ".encode() * 130_000
    async with looking("long", [("long", data)]) as ui:
        if wrap:
            await ui.press("w")
            assert "wrapped" in ui.lines[1]
        assert "1 wörter wörter" in shown(ui)[0]
        await ui.press("G")
        assert "1–1 of 1 line" in ui.lines[-2]
        # Rows are cut between characters, and nothing is lost.
        assert not any("\\x" in line for line in shown(ui))
        await ui.press("pageup", "k", "ctrl+u", "g")
        assert "1 wörter wörter" in shown(ui)[0]


async def test_a_binary_begins_with_what_it_is() -> None:
    data = Path("/bin/true").read_bytes()
    async with looking("true", [("true", data)]) as ui:
        assert shown(ui)[0].startswith(" Kind")
        assert "ELF 64-bit" in shown(ui)[0]
        line = next(line for line in shown(ui) if "7f 45 4c 46" in line)
        assert line.startswith("00000000  7f 45 4c 46 02")
        assert ".ELF" in line
        await ui.press("G")
        assert f"of {len(data):#x}" in ui.lines[-2]
        last = (len(data) - 1) // 16 * 16
        assert any(text.startswith(f"{last:08x}") for text in shown(ui))


# --- moving ---


async def test_keys_move_as_everywhere() -> None:
    async with looking("lines", [("lines", LINES)], size=(80, 24)) as ui:
        page = len(shown(ui))

        def top() -> int:
            return int(shown(ui)[0].split()[0])

        await ui.press("j", "down")
        assert top() == 3
        await ui.press("k", "up", "up")
        assert top() == 1
        await ui.press("pagedown")
        assert top() == 1 + page
        await ui.press("ctrl+d")
        assert top() == 1 + page + page // 2
        await ui.press("ctrl+u", "pageup")
        assert top() == 1
        for end, begin in (("G", "g"), ("end", "home")):
            await ui.press(end)
            assert "line 1000 of many" in shown(ui)[-1]
            await ui.press("j", "pagedown")
            assert "line 1000 of many" in shown(ui)[-1]
            await ui.press(begin)
            assert top() == 1
        await ui.press("l", "right")
        assert shown(ui)[0].strip("▐ ") == "1 of many"
        await ui.press("h", "left")
        assert "line 1 of many" in shown(ui)[0]


async def test_long_lines_scroll_to_the_side_and_wrap() -> None:
    text = "".join(f"{number:04}." for number in range(40))
    data = f"short\n{text}\n{'日' * 60}\nend\n".encode()
    async with looking("wide", [("wide", data)], size=(80, 24)) as ui:
        assert shown(ui)[1].endswith("0014")
        await ui.press("l")
        assert shown(ui)[1] == "  2 1." + text[10:82]
        for _ in range(30):
            await ui.press("l")
        assert "0039." in shown(ui)[1]
        await ui.press("w")
        assert shown(ui)[1] == "  2 " + text[:74]
        assert shown(ui)[2] == "    " + text[74:148]
        assert [line.count("日") for line in shown(ui)[4:6]] == [37, 23]
        assert shown(ui)[6] == "  4 end"
        await ui.press("w", "L")
        assert shown(ui)[1] == text[:78]
        await ui.press("number_sign")
        assert shown(ui)[0] == "  1 short"


async def test_the_settings_say_how_a_file_is_shown_at_first() -> None:
    line = b"begin " + b"x" * 300 + b" end\n"
    async with looking("f", [("f", line)]) as ui:
        assert not ui.at(ContentScreen).view.wrap
        numbered = shown(ui)[0]
        assert numbered.split()[0] == "1"
        ui.app.wrap, ui.app.line_numbers = True, False
        await ui.press("escape", "v")
        await ui.until(lambda: " end" in ui.text)
        assert shown(ui)[0].split()[0] == "begin"


async def test_wrapped_lines_are_scrolled_one_by_one() -> None:
    data = b"".join(bytes([letter]) * 200 + b"\n" for letter in b"abcdefghijklmnopqrstuvwxyz")
    async with looking("wide", [("wide", data)], size=(80, 24)) as ui:
        await ui.press("w")
        first = shown(ui)
        assert first[0].endswith("a" * 73 + "▐")
        await ui.press("j")
        assert shown(ui)[0].startswith("    aaa")
        assert [line.strip("▐ ") for line in shown(ui)[:-1]] == [
            line.strip("▐ ") for line in first[1:]
        ]
        await ui.press("j", "j")
        assert shown(ui)[0].startswith("  2 bbb")
        await ui.press("G")
        assert shown(ui)[-1].strip("▐ ").endswith("zzz")
        await ui.press("k", "pageup", "pageup", "pageup", "pageup")
        assert shown(ui)[0] == first[0]


async def test_going_to_a_place() -> None:
    async with looking("lines", [("lines", LINES)], size=(80, 24)) as ui:
        await ui.press("colon")
        await typed(ui, "500")
        assert "line 500 of many" in shown(ui)[0]
        await ui.press("colon")
        await typed(ui, "9999")
        assert "line 1000 of many" in shown(ui)[-1]
        await ui.press("colon")
        await typed(ui, "0x10")
        assert "line 2 of many" in shown(ui)[0]
        await ui.press("colon")
        await typed(ui, "50%")
        assert any("line 50" in line for line in shown(ui))
        before = shown(ui)
        await ui.press("colon")
        await typed(ui, "nowhere")
        assert "nowhere is not a line" in ui.message
        await ui.press("colon", "1", "escape")
        assert shown(ui) == before
        await ui.press("0", "colon")
        await typed(ui, "0x100")
        assert shown(ui)[0].startswith("00000100")


async def test_hexadecimal_and_back_stays_at_the_place() -> None:
    async with looking("lines", [("lines", LINES)], size=(80, 24)) as ui:
        await ui.press("colon")
        await typed(ui, "500")
        await ui.press("0")
        assert "hex" in ui.lines[1]
        offset = LINES.index(b"line 500 ")
        assert shown(ui)[0].startswith(f"{offset // 16 * 16:08x}")
        await ui.press("w")
        assert "This works only in text: 0 shows it." in ui.message
        await ui.press("0")
        assert "line 499 of many" in shown(ui)[0] or "line 500 of many" in shown(ui)[0]
    async with looking("b", [("b", b"\x00\x01text\n" * 9)], size=(80, 24)) as ui:
        assert "hex" in ui.lines[1]
        await ui.press("0")
        assert shown(ui)[0].startswith("  1 \\x00\\x01text")


# --- finding ---


async def test_finding_in_text() -> None:
    async with looking("lines", [("lines", LINES)], size=(80, 24)) as ui:
        await ui.press("n")
        assert "Nothing has been searched for" in ui.message
        await ui.press("slash")
        await typed(ui, "LINE 70")
        await ui.until(lambda: "Nothing matches." in ui.text)
        assert "no match" in ui.lines[-2]
        await ui.press("slash", *["backspace"] * 7)
        await typed(ui, "line 70")
        await ui.until(lambda: "match 1 of 11" in ui.lines[-2])
        assert any("line 70 of" in line for line in shown(ui))
        await ui.press("n")
        assert "match 2 of 11" in ui.lines[-2]
        assert any("line 700 of" in line for line in shown(ui))
        await ui.press("N", "N")
        assert "Continued from the bottom." in ui.message
        assert "match 11 of 11" in ui.lines[-2]
        assert any("line 709 of" in line for line in shown(ui))
        await ui.press("n")
        assert "Continued from the top." in ui.message
        marked = [
            text
            for strip in ui.app.screen._compositor.render_strips()
            for text, style, _ in strip
            if style and style.reverse
        ]
        assert "line 70" in marked


async def test_finding_in_hexadecimal() -> None:
    data = bytes(5000) + b"\x7fELF?" + bytes(5000) + b"de ad" + b"\xde\xad"
    async with looking("b", [("b", data)], size=(80, 24)) as ui:
        await ui.press("slash")
        await typed(ui, "7f 45 4c")
        await ui.until(lambda: "match 1 of 1" in ui.lines[-2])
        assert any(".ELF?" in line for line in shown(ui))
        await ui.press("slash", *["backspace"] * 8)
        await typed(ui, "dead")
        await ui.until(lambda: "match 1 of 1" in ui.lines[-2])
        await ui.press("slash", *["backspace"] * 8)
        await typed(ui, '"de ad"')
        await ui.until(lambda: "match 1 of 1" in ui.lines[-2])
        assert any("de ad" in line[50:] for line in shown(ui))


async def test_a_match_far_to_the_right_comes_into_sight() -> None:
    data = b"x" * 3000 + b"needle\n"
    async with looking("wide", [("wide", data)], size=(80, 24)) as ui:
        await ui.press("slash")
        await typed(ui, "needle")
        await ui.until(lambda: "needle" in shown(ui)[0])


# --- versions and links ---


async def test_versions_of_the_path() -> None:
    layers: list[list[Any]] = [
        [("f", b"first\n")],
        [("f", b"second\n")],
        [("f", "symlink", "g"), ("g", b"goal\n")],
    ]
    async with looking("f", *layers) as ui:
        assert "Version 3 of 3" in ui.lines[1]
        assert "Target    g" in ui.text
        assert "Leads to  /g, 5B" in ui.text
        await ui.press("left_square_bracket")
        await ui.until(lambda: "second" in ui.text)
        assert "Version 2 of 3" in ui.lines[1]
        assert "layer 1" in ui.lines[0]
        await ui.press("left_square_bracket")
        await ui.until(lambda: "first" in ui.text)
        await ui.press("left_square_bracket")
        assert "This is the first version." in ui.message
        await ui.press("enter")
        assert "Only symbolic links can be followed." in ui.message
        await ui.press("right_square_bracket", "right_square_bracket", "enter")
        await ui.until(lambda: "goal" in ui.text)
        assert "/g" in ui.lines[0]
        await ui.press("right_square_bracket")
        assert "This is the only version of the path." in ui.message
        # Back to the link, and only then to where that was opened.
        await ui.press("escape")
        assert "Leads to  /g, 5B" in ui.text
        assert "Version 3 of 3" in ui.lines[1]
        await ui.press("escape")
        assert not isinstance(ui.app.screen, ContentScreen)


async def test_links_that_lead_nowhere_or_to_a_folder() -> None:
    layer: list[Any] = ["d/", ("dead", "symlink", "/nowhere"), ("dir", "symlink", "d")]
    async with looking("dead", layer) as ui:
        assert "Leads to  nothing: it is not in the image" in ui.text
        await ui.press("enter")
        assert "The link leads nowhere" in ui.message
        await ui.press("s")
        assert "There is no content to show." in ui.message
    async with looking("dir", layer) as ui:
        assert "Leads to  /d, a folder" in ui.text
        await ui.press("enter")
        assert "The link leads to a folder" in ui.message


async def test_a_version_that_is_a_folder() -> None:
    async with looking("p", ["p/"], [("p", b"now a file\n")]) as ui:
        await ui.press("left_square_bracket")
        assert "This version is a folder. It has no content." in ui.text


# --- copies ---


def _gone(path: Path) -> bool:
    return not path.exists()


async def test_saving_never_overwrites_unasked() -> None:
    async with looking("dir/f.txt", ["dir/", ("dir/f.txt", b"content\n")]) as ui:
        await ui.press("s")
        assert "Save to" in ui.lines[-1]
        await ui.press("enter")
        await ui.until(lambda: "Saved 8B to" in ui.message)
        file = Path("f.txt")
        assert file.read_bytes() == b"content\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.write_bytes(b"mine")
        await ui.press("s", "enter")
        await ui.until(lambda: "already exists. Overwrite it?" in ui.lines[-1])
        await ui.press("n", "o", "enter")
        assert "Nothing was written." in ui.message
        await ui.press("s", "enter")
        await ui.until(lambda: "Overwrite it?" in ui.lines[-1])
        await ui.press("escape")
        assert file.read_bytes() == b"mine"
        await ui.press("s", "enter")
        await ui.until(lambda: "Overwrite it?" in ui.lines[-1])
        await ui.press("y", "e", "s", "enter")
        await ui.until(lambda: "Saved 8B" in ui.message)
        assert file.read_bytes() == b"content\n"
        await ui.press("s", "enter")
        await ui.until(lambda: "Overwrite it?" in ui.lines[-1])
        file.unlink()
        file.symlink_to("elsewhere")
        await ui.press("y", "e", "s", "enter")
        await ui.until(lambda: "is a symbolic link. Overwrite it?" in ui.lines[-1])
        await ui.press("y", "e", "s", "enter")
        await ui.until(lambda: "Saved 8B" in ui.message)
        assert [path.name for path in Path().iterdir()] == ["f.txt"]
        await ui.press("s", *["backspace"] * 5)
        await typed(ui, "no/such")
        await ui.until(lambda: "cannot be written" in ui.message)


async def test_the_pager_gets_a_copy_and_no_options_that_obey(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from contextlib import contextmanager

    program = Path("../pager")
    program.write_text(
        '#!/bin/sh\nfor last; do :; done\n{ echo "$@"; echo "LESS=$LESS $LESSSECURE"; cat "$last";'
        ' stat -c %a "$last"; } > ../seen\n'
    )
    program.chmod(0o755)
    suspended: list[bool] = []

    @contextmanager
    def suspend(_: object):  # type: ignore[no-untyped-def]
        suspended.append(True)
        yield

    monkeypatch.setattr(LayerscopeApp, "suspend", suspend)
    monkeypatch.setenv("LESS", "-R")
    for key, name in (("p", "PAGER"), ("e", "EDITOR")):
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv(name, f"{program.absolute()} -x")
        async with looking("f\x1b.txt", [("f\x1b.txt", b"content\n")]) as ui:
            await ui.press(key)
            await ui.until(lambda: Path("../seen").exists() and Path("../seen").read_text())
            seen = Path("../seen").read_text().splitlines()
            copy = seen[0].split()[-1]
            assert seen[0].split()[0] == "-x"
            assert copy.endswith("/f_.txt")
            assert seen[2:] == ["content", "400"]
            if key == "p":
                assert seen[1] == "LESS= 1"
            await ui.until(partial(_gone, Path(copy)))
            Path("../seen").unlink()
    assert suspended == [True, True]


async def test_programs_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", "no-such-pager -R")
    monkeypatch.setenv("VISUAL", "no-such-editor")
    async with looking("f", [("f", b"x")]) as ui:
        await ui.press("p")
        assert "There is no pager: no-such-pager is not installed." in ui.message
        await ui.press("e")
        assert "There is no editor: no-such-editor is not installed." in ui.message


async def test_where_nothing_can_be_suspended_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", "cat")
    async with looking("f", [("f", b"x")]) as ui:
        await ui.press("p")
        await ui.until(lambda: "cannot be shown in this terminal" in ui.message)


# --- damage and size ---


async def test_a_damaged_layer_is_one_sentence() -> None:
    async with looking("f", [("f", os.urandom(3 << 20))], wait=False) as ui:
        await ui.press("escape")
        os.truncate("../image.tar", 4096)
        await ui.press("v")
        await ui.until(lambda: "shorter than it was" in ui.text)
        await ui.press("escape")
        assert ui.app.screen is ui.main


def sparse_image(path: Path, size: int) -> None:
    """An image with a file of lines, then a hole, then lines."""
    head = header(b"big", size=size)
    layer_size = 512 + size + len(END)
    lines = b"the first lines\n" * 4096
    import json

    name = "0/layer.tar"
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ["x"]}}
    ).encode()
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["big:1"], "Layers": [name]}]).encode()
    with path.open("wb") as file:
        for entry, data in ((b"c.json", config), (b"manifest.json", manifest)):
            file.write(header(entry, size=len(data)) + data + bytes(-len(data) % 512))
        file.write(header(name.encode(), size=layer_size))
        start = file.tell()
        file.write(head + lines)
        file.seek(start + 512 + size - 9)
        file.write(b"\nthe end\n")
        file.truncate(start + layer_size)
        file.seek(0, os.SEEK_END)
        file.write(END)


def test_the_first_screen_of_a_gigabyte_is_there_before_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "big.tar"
    sparse_image(path, 1 << 30)
    reader = open_image(str(path), Progress())
    stack = load(reader, Progress()).stack
    contents = Contents(reader)
    (row,) = stack.versions(stack.tree.find(b"big") or 0)
    opened = open_file(lambda: contents.open(stack, row), "big", Task(print, None))
    assert opened.text.pieces(0) == [("the first lines", 0)]
    assert not opened.text.index.complete
    opened.content.close()
    contents.close()


@asynccontextmanager
async def large_file(folder: Path, size: int) -> AsyncIterator[Driven]:
    """Shows the beginning of the large file of an image."""
    path = folder / "big.tar"
    sparse_image(path, size)
    app = LayerscopeApp(str(path), connector=fakes.connector(), cache=False)
    async with app.run_test(size=(80, 24)) as pilot:
        ui = Driven(app, pilot)
        await ui.until(lambda: ui.main.session and ui.main.session.ended)
        await ui.press("3", "v")
        await ui.until(lambda: "the first lines" in ui.text)
        yield ui


async def test_the_end_of_a_large_file_is_found_with_progress(tmp_path: Path) -> None:
    async with large_file(tmp_path, 256 << 20) as ui:
        await ui.press("G")
        await ui.until(lambda: "the end" in ui.text)
        assert "lines+" not in ui.lines[-2]
        await ui.press("g", "slash")
        await typed(ui, "the end")
        await ui.until(lambda: "match 1 of 1" in ui.lines[-2])
        assert "the end" in ui.text


async def test_reading_to_the_end_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from layerscope.tui.content import work

    monkeypatch.setattr(work, "EAGER", 1 << 20)
    async with large_file(tmp_path, 2 << 30) as ui:
        await ui.press("G", "escape")
        navigation = ui.at(ContentScreen).navigation
        assert navigation is not None
        assert not navigation.waiting
        file = ui.at(ContentScreen).file
        assert file is not None
        await ui.until(lambda: not file.reading)
        assert not file.text.index.complete
        await ui.press("escape")
        assert ui.lines[1].startswith("╭─ 2 Layers")
