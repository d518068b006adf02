"""The Dockerfile editor: every key, files as they are on disk, builds and layers."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.screen import Screen

from layerscope.dockerfile.checks import tools
from layerscope.dockerfile.checks.facts import World
from layerscope.dockerfile.checks.problems import Problem, Severity
from layerscope.dockerfile.checks.tools import ToolResult
from layerscope.dockerfile.syntax.document import Document
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.dialogs.question import QuestionScreen
from layerscope.tui.dialogs.text_diff import TextDiffScreen
from layerscope.tui.editor import environment
from layerscope.tui.editor.opening import Start
from layerscope.tui.editor.screen import EditorScreen
from layerscope.tui.explore.screen import MainScreen
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.terminal.test_bytes import Counting, settle

TEXT = """\
FROM debian:12 AS build
WORKDIR src
COPY app.py /app/
RUN make \\
    all

FROM debian:12
COPY --from=build /app /app
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    (folder / "src").mkdir(parents=True)
    (folder / "app.py").touch()
    (folder / "src" / "main.c").touch()
    (folder / "left.log").touch()
    (folder / ".dockerignore").write_text("*.log\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", "/nowhere")
    return folder


class Edited(Driven):
    """An app with the editor on top."""

    @property
    def screen(self) -> EditorScreen:
        found = next(s for s in self.app.screen_stack if isinstance(s, EditorScreen))
        assert isinstance(found, EditorScreen)
        return found

    @property
    def body(self) -> list[str]:
        return self.pane("text")

    @property
    def cursor(self) -> tuple[int, int]:
        return self.screen.area.selection.end

    @property
    def said(self) -> str:
        """What is said above the keys, or else what is in their line."""
        return self.message or self.lines[-1].strip()

    @property
    def offered(self) -> list[str]:
        completion = self.screen.completer.popup.completion
        return [] if completion is None else [each.text for each in completion.candidates]

    async def burst(self, *keys: str) -> None:
        """Keys that arrive all at once, as over a slow line."""
        for key in keys:
            self.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await self.calm()
        await self.calm()

    async def quiet(self) -> None:
        """Waits until what was typed has been checked."""
        await self.until(lambda: self.screen.draft.rested and not self.screen.work.busy("lint"))

    async def on(self, screen: type[Screen[Any]]) -> None:
        """Waits until a screen of a class is on top."""
        await self.until(lambda: isinstance(self.app.screen, screen))

    async def says(self, text: str) -> None:
        """Waits until a text is shown at the bottom."""
        await self.until(lambda: text in self.said)

    async def saved(self) -> None:
        await self.until(lambda: not self.screen.file.dirty and "Saved" in self.text)


@asynccontextmanager
async def editing(
    text: str | bytes | None = TEXT,
    *,
    name: str = "Dockerfile",
    size: tuple[int, int] = (120, 40),
    theme: str = "layerscope-dark",
    source: str | None = None,
    reader: fakes.FakeReader | None = None,
    engine: Exception | None = None,
) -> AsyncIterator[Edited]:
    if text is not None:
        Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    opener = fakes.opener(reader or fakes.FakeReader())
    connector = fakes.connector(engine)
    app = LayerscopeApp(source, opener, connector, clock=lambda: fakes.NOW, theme=theme)
    async with app.run_test(size=size) as pilot:
        ui = Edited(app, pilot)
        await ui.until(lambda: "Looking for an engine" not in ui.text)
        if source is not None:
            await ui.until(lambda: ui.main.session and ui.main.session.ended)
        await ui.press("e")
        await ui.until(lambda: any(isinstance(each, EditorScreen) for each in app.screen_stack))
        await ui.quiet()
        yield ui


# --- the text ---


async def test_the_dockerfile_of_the_folder_is_shown_with_its_problems() -> None:
    async with editing() as ui:
        assert ui.body[:3] == [
            "   1   FROM debian:12 AS build",
            "   2 W WORKDIR src",
            "   3   COPY app.py /app/",
        ]
        assert ui.lines[0].split() == ["layerscope", "Dockerfile", "1:1"]
        assert "2:9  src is relative" in ui.pane("problems")[0]
        assert "1 warning" in ui.text
        assert ui.pane("help")[0] == " FROM [--platform=PLATFORM]"
        assert ui.focus == "text"


async def test_plain_letters_type_whatever_they_mean_elsewhere() -> None:
    async with editing("FROM a:1\n") as ui:
        await ui.press("down", *"RUN q?jk/1zgG")
        assert ui.screen.draft.text == "FROM a:1\nRUN q?jk/1zgG"
        assert "not saved" in ui.lines[0]
        assert ui.lines[0].endswith("2:14 ")


async def test_keys_that_arrive_at_once_are_done_in_order() -> None:
    async with editing("FROM a:1\n") as ui:
        await ui.burst("end", *"23", "left", "left", "backspace", "9", "end", "enter", *"RUN x")
        assert ui.screen.draft.text == "FROM a:923\nRUN x\n"
        await ui.burst("ctrl+f", *"from", "enter")
        await ui.until(lambda: ui.said == "Match 1 of 1, from the top.")
        await ui.burst(*"FROM", "ctrl+r", *"1", "enter")
        await ui.until(lambda: ui.cursor == (0, 0))


async def test_moving_and_deleting() -> None:
    async with editing("FROM a:1\nRUN one two\n") as ui:
        await ui.press("ctrl+end")
        assert ui.cursor == (2, 0)
        await ui.press("up", "end", "ctrl+w")
        assert ui.screen.draft.text == "FROM a:1\nRUN one \n"
        await ui.press("home", "ctrl+k")
        assert ui.screen.draft.text == "FROM a:1\n\n"
        await ui.press("ctrl+home", "ctrl+d")
        assert ui.screen.draft.text == "ROM a:1\n\n"
        await ui.press("end", "ctrl+u")
        assert ui.screen.draft.text == "\n\n"
        await ui.press("ctrl+z", "ctrl+z", "ctrl+z", "ctrl+z")
        assert ui.screen.draft.text == "FROM a:1\nRUN one two\n"
        await ui.press("ctrl+y")
        assert ui.screen.draft.text == "FROM a:1\nRUN one \n"


async def test_cut_copy_and_paste_reach_the_terminal_too() -> None:
    async with editing("FROM a:1\nRUN b\n") as ui:
        await ui.press("ctrl+x")
        assert ui.screen.draft.text == "RUN b\n"
        assert "Copied" in ui.said
        await ui.press("down", "ctrl+v")
        assert ui.screen.draft.text == "RUN b\nFROM a:1\n"
        await ui.press("ctrl+a", "ctrl+c", "ctrl+end", "ctrl+v")
        assert ui.screen.draft.text == "RUN b\nFROM a:1\n" * 2
        ui.screen.area.post_message(events.Paste("RUN c\r\nRUN \x1b[31m"))
        await ui.calm()
        await ui.calm()
        assert ui.screen.draft.text.endswith("RUN c\nRUN \x1b[31m")
        assert "␛[31m" in ui.text
        assert "\x1b" not in ui.text


async def test_a_line_that_goes_on_is_indented() -> None:
    async with editing("FROM a:1\n") as ui:
        await ui.press("down", *"RUN a && \\", "enter", "b", "enter", *"RUN c")
        assert ui.screen.draft.text == "FROM a:1\nRUN a && \\\n    b\nRUN c"
        await ui.press("home", "tab", "shift+tab")
        assert ui.screen.draft.text.endswith("\nRUN c")


# --- completion ---


async def test_instructions_are_offered_while_they_are_typed() -> None:
    async with editing("FROM a:1\n") as ui:
        await ui.press("down", "e")
        assert ui.offered == ["ENTRYPOINT", "ENV", "EXPOSE"]
        assert "│ ENTRYPOINT" in ui.text
        await ui.press("down", "down", "enter")
        assert ui.screen.draft.text == "FROM a:1\nENV "
        assert ui.offered == []


async def test_tab_takes_the_first_and_enter_ends_the_line() -> None:
    async with editing("FROM a:1 AS base\nFROM b:1\n") as ui:
        await ui.press("ctrl+end", *"COPY --fr", "tab")
        assert ui.screen.draft.text.endswith("COPY --from=")
        assert ui.offered[0] == "base"
        await ui.press("tab", *" /a ap")
        await ui.press("enter")
        # It may have been meant as it was typed.
        assert ui.screen.draft.text.endswith("COPY --from=base /a ap\n")


async def test_escape_closes_the_list_and_stays_in_the_editor() -> None:
    async with editing("FROM a:1\n") as ui:
        await ui.press("down", "e")
        assert ui.offered
        await ui.press("escape")
        assert not ui.offered
        await ui.press("left")
        await ui.on(EditorScreen)


async def test_paths_come_from_the_context_without_what_is_ignored() -> None:
    async with editing("FROM a:1\n") as ui:
        await ui.press("down", *"COPY ", "ctrl+n")
        await ui.until(lambda: ui.offered)
        assert "app.py" in ui.offered
        assert "src/" in ui.offered
        assert "left.log" not in ui.offered
        await ui.press(*"sr", "tab")
        assert ui.screen.draft.text.endswith("COPY src/")
        await ui.until(lambda: ui.offered == ["src/main.c"])


async def test_images_come_from_the_engine() -> None:
    async with editing("") as ui:
        await ui.press(*"FROM h")
        await ui.until(lambda: ui.offered == ["hello:latest"])
        await ui.press("tab")
        assert ui.screen.draft.text == "FROM hello:latest"


async def test_nothing_to_complete_is_reported() -> None:
    async with editing("FROM a:1\nRUN x\n") as ui:
        await ui.press("down", "end", "ctrl+n")
        # Only once the images are known.
        await ui.says("There is nothing to complete here.")


async def test_without_an_engine_completion_says_why_it_knows_no_images() -> None:
    async with editing("FROM h\n", engine=fakes.NO_ENGINE) as ui:
        assert "No engine listens" not in ui.said
        await ui.press("end", "ctrl+n")
        await ui.says("Local images are not known: No engine listens")


async def test_a_click_takes_a_candidate() -> None:
    async with editing("FROM a:1\n") as ui:
        await ui.press("down", "e")
        await ui.pilot.click("#completion", offset=(4, 2))
        await ui.calm()
        assert ui.screen.draft.text == "FROM a:1\nENV "


# --- help, problems, format ---


async def test_help_follows_the_cursor_when_there_is_room() -> None:
    async with editing() as ui:
        await ui.press("down", "down")
        assert "COPY" in ui.pane("help")[0]
        await ui.press("f1")
        assert not ui.screen.help_pane.display
    async with editing(size=(80, 24)) as ui:
        assert not ui.screen.help_pane.display
        await ui.press("down", "ctrl+g")
        assert "WORKDIR" in ui.text
        assert ui.screen.help_pane.display
        await ui.press("escape")
        assert not ui.screen.help_pane.display


async def test_f8_goes_from_problem_to_problem_and_says_what_it_is() -> None:
    async with editing("FROM a\nWORKDIR b\nrun c\n") as ui:
        await ui.press("f8")
        first = ui.cursor
        assert ui.said
        await ui.press("f8")
        assert ui.cursor > first
        await ui.press("shift+f8")
        assert ui.cursor == first
        await ui.press("f6")
        assert ui.focus == "problems"
        await ui.press("j", "enter")
        assert ui.focus == "text"


async def test_problems_are_underlined_and_follow_what_is_typed_above() -> None:
    async with editing() as ui:
        line = ui.screen.area.render_line(1)
        marked = "".join(text for text, style, _ in line if style and style.underline)
        assert marked == "src"
        await ui.press("enter", "up", *"# new")
        assert ui.body[2].startswith("   3 W WORKDIR")
        await ui.press("down", "down", "end", "ctrl+w", *"/src")
        await ui.quiet()
        assert "No problems." in ui.text


async def test_formatting_is_one_edit_and_keeps_the_cursor() -> None:
    async with editing("from a:1\nrun   b\ncopy  c   d\n") as ui:
        await ui.press("down", "down", "end")
        await ui.press("ctrl+t")
        await ui.says("Formatted.")
        assert ui.screen.draft.text == "FROM a:1\nRUN b\nCOPY c d\n"
        assert ui.cursor == (2, 8)
        await ui.press("ctrl+z")
        assert ui.screen.draft.text == "from a:1\nrun   b\ncopy  c   d\n"
        await ui.press("ctrl+y", "ctrl+t")
        await ui.says("It is already formatted.")


# --- finding ---


async def test_find_and_go_to_line() -> None:
    async with editing() as ui:
        await ui.press("ctrl+f", *"copy", "enter")
        assert ui.cursor == (2, 4)
        await ui.says("Match 1 of 2.")
        await ui.press("f3")
        assert ui.cursor == (7, 4)
        await ui.press("f3")
        await ui.says("Match 1 of 2, from the top.")
        await ui.press("shift+f3")
        assert ui.cursor == (7, 4)
        await ui.press("ctrl+f")
        await ui.press("ctrl+u")
        await ui.press(*":4", "enter")
        assert ui.cursor == (3, 0)
        await ui.press("ctrl+r", *"2", "enter")
        assert ui.cursor == (1, 0)
        await ui.press("ctrl+f")
        await ui.press("ctrl+u")
        await ui.press(*"nowhere", "enter")
        await ui.says("No match for nowhere.")
        await ui.press("ctrl+f", "escape")
        assert ui.focus == "text"


# --- files ---


async def test_saving_keeps_the_mode_and_says_so(here: Path) -> None:
    async with editing() as ui:
        (here / "Dockerfile").chmod(0o640)
        # The mode does not belong to the content.
        await ui.press("x", "ctrl+s")
        await ui.saved()
        assert (here / "Dockerfile").read_text() == "x" + TEXT
        assert stat.S_IMODE((here / "Dockerfile").stat().st_mode) == 0o640
        await ui.press("ctrl+s")
        await ui.says("There are no changes to save.")


async def test_a_new_file(here: Path) -> None:
    async with editing(None) as ui:
        assert "a new file" in ui.lines[0]
        await ui.press(*"FROM a:1", "ctrl+s")
        await ui.saved()
        assert (here / "Dockerfile").read_text() == "FROM a:1"
        assert "a new file" not in ui.lines[0]


async def test_saving_as_asks_before_overwriting(here: Path) -> None:
    (here / "other").write_text("theirs")
    async with editing() as ui:
        await ui.press("f2")
        await ui.press("ctrl+u")
        await ui.press(*"other", "enter")
        await ui.on(QuestionScreen)
        await ui.press("n")
        assert (here / "other").read_text() == "theirs"
        await ui.press("f2")
        await ui.press("ctrl+u")
        await ui.press(*"other", "enter")
        await ui.on(QuestionScreen)
        # The question was about another file.
        (here / "other").unlink()
        (here / "other").symlink_to("Dockerfile")
        first = ui.app.screen
        await ui.press("o")
        await ui.until(lambda: isinstance(ui.app.screen, QuestionScreen))
        await ui.until(lambda: ui.app.screen is not first)
        await ui.on(QuestionScreen)
        assert (here / "other").is_symlink()
        (here / "other").unlink()
        (here / "other").write_text("theirs again")
        await ui.press("n", "f2", "ctrl+u")
        await ui.press(*"other", "enter", "o")
        await ui.until(lambda: (here / "other").read_text() == TEXT)
        await ui.until(lambda: ui.lines[0].split()[1] == "other")


async def test_changes_on_disk_are_reloaded_if_that_loses_nothing(here: Path) -> None:
    async with editing() as ui:
        (here / "Dockerfile").write_text("FROM theirs:1\n")
        await ui.until(lambda: "FROM theirs:1" in ui.text)
        await ui.says("changed on disk")
        await ui.press("ctrl+z")
        assert ui.screen.draft.text == TEXT


@pytest.mark.parametrize("key", ["m", "t", "d", "l"])
async def test_conflicting_changes_are_asked_about(here: Path, key: str) -> None:
    async with editing() as ui:
        await ui.press("x")
        (here / "Dockerfile").write_text("FROM theirs:1\n")
        await ui.press("ctrl+s")
        await ui.on(QuestionScreen)
        assert "has changed on disk" in ui.text
        await ui.press(key)
        if key == "m":
            await ui.until(lambda: (here / "Dockerfile").read_text() == "x" + TEXT)
        elif key == "t":
            assert ui.screen.draft.text == "FROM theirs:1\n"
            await ui.press("ctrl+z")
            assert ui.screen.draft.text == "x" + TEXT
        elif key == "d":
            await ui.on(TextDiffScreen)
            assert "-FROM theirs:1" in ui.text
            assert "+xFROM debian:12 AS build" in ui.text
            await ui.press("escape")
            await ui.on(QuestionScreen)
        else:
            assert ui.screen.draft.text == "x" + TEXT
            assert (here / "Dockerfile").read_text() == "FROM theirs:1\n"


@pytest.mark.parametrize("key", ["s", "d", "e", "escape"])
async def test_leaving_asks_about_unsaved_changes(here: Path, key: str) -> None:
    async with editing() as ui:
        await ui.press("x", "escape")
        await ui.on(QuestionScreen)
        assert "unsaved changes" in ui.text
        await ui.press(key)
        if key in ("s", "d"):
            await ui.on(MainScreen)
            assert (here / "Dockerfile").read_text() == ("x" + TEXT if key == "s" else TEXT)
        else:
            await ui.on(EditorScreen)
            assert ui.screen.draft.text == "x" + TEXT


async def test_quitting_asks_only_about_unsaved_changes() -> None:
    async with editing() as ui:
        await ui.press("x", "ctrl+q")
        await ui.on(QuestionScreen)
        await ui.press("ctrl+q")
        assert ui.app.is_running
        await ui.press("e", "ctrl+z", "escape")
        await ui.on(MainScreen)


async def test_bytes_that_are_not_utf8_are_shown_and_kept(here: Path) -> None:
    data = b"\xef\xbb\xbfFROM a:1\r\nRUN \xff\x1b]0;x\x07 \xe2\x80\xae\tb\r\n"
    async with editing(data) as ui:
        assert "CRLF" in ui.lines[0]
        assert ui.body[1] == "   2   RUN \ufffd␛]0;x␇ \ufffd   b"
        await ui.press("down", *["right"] * 4)
        assert "byte 0xff, not UTF-8" in ui.lines[0]
        await ui.press("end", "!", "ctrl+s")
        await ui.saved()
        assert (here / "Dockerfile").read_bytes() == data[:-2] + b"!\r\n"


async def test_a_file_that_cannot_be_edited_says_why(here: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root can write everything")
    (here / "Dockerfile").write_text(TEXT)
    (here / "Dockerfile").chmod(0o444)
    async with editing(None) as ui:
        assert "read-only" in ui.lines[0]
        await ui.press("x")
        await ui.says("write-protected")
        assert ui.screen.draft.text == TEXT


async def test_another_editor(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = here / "ed.sh"
    script.write_text("#!/bin/sh\necho 'FROM outside:1' > \"$1\"\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)

    from contextlib import nullcontext

    async with editing() as ui:
        monkeypatch.setattr(ui.app, "suspend", nullcontext)
        await ui.press("x", "ctrl+e")
        await ui.until(lambda: ui.screen.draft.text == "FROM outside:1\n")
        await ui.says("Reloaded")
        await ui.press("ctrl+z")
        assert ui.screen.draft.text == "x" + TEXT


# --- images ---


async def test_without_a_file_the_history_of_the_image_is_shown(here: Path) -> None:
    async with editing(None, source="hello:latest") as ui:
        assert "Reconstructed from hello:latest" in ui.lines[0]
        assert "RUN apt-get update && apt-get install -y python3" in ui.text
        assert "+224MB" in ui.text or "MB" in ui.text
        before = ui.screen.draft.text
        await ui.press("x")
        assert ui.screen.draft.text == before
        await ui.says("Save it to a file to edit it: ctrl+s.")
        await ui.press("ctrl+s")
        await ui.press("ctrl+u")
        await ui.press(*"New.Dockerfile", "enter")
        await ui.until(lambda: (here / "New.Dockerfile").exists())
        await ui.until(lambda: "New.Dockerfile" in ui.lines[0])
        await ui.press("ctrl+home", "#")
        assert ui.screen.draft.text == "#" + before


async def test_from_an_instruction_to_its_layer_and_back() -> None:
    install = "RUN apt-get update && apt-get install -y python3"
    text = f"FROM debian\n{install}\nRUN rm -rf /var/lib/apt/lists\n"
    async with editing(text, source="hello:latest") as ui:
        # The cursor begins at the instruction of the layer that was under the cursor.
        await ui.until(lambda: any("MB" in line for line in ui.body))
        assert ui.body[1].split()[0].startswith("+")
        await ui.press("ctrl+home")
        await ui.press("ctrl+l")
        await ui.says("No layer of this instruction is known")
        await ui.press("down")
        assert "layer 1 +" in ui.lines[0]
        await ui.press("ctrl+l")
        assert ui.app.screen is ui.main
        step = ui.main.layer_list.step
        assert step is not None
        assert step.layer == 1
        await ui.press("e")
        await ui.on(EditorScreen)
        await ui.until(lambda: ui.cursor == (1, 0))
        await ui.press("f4")
        assert "Reconstructed from hello:latest" in ui.lines[0]


async def test_large_files_are_analysed_in_the_background() -> None:
    text = "FROM a:1\n" + "".join(f"RUN echo {n} \\\n    && true\n" for n in range(2500))
    async with editing(text) as ui:
        await ui.until(lambda: ui.screen.draft.current)
        await ui.press("ctrl+end", *"ru")
        await ui.until(lambda: ui.offered == ["RUN"])
        await ui.press("tab")
        assert ui.screen.draft.text.endswith("RUN ")
        area = ui.screen.area
        assert len(area._colours) == area.document.line_count
        await ui.until(lambda: ui.screen.draft.current and area._colours[-1])


async def test_an_unreadable_file_is_reported(here: Path) -> None:
    (here / "binary").write_bytes(b"\0\1")
    async with editing() as ui:
        screen = EditorScreen(Start(here / "binary"), fakes.place())
        ui.app.push_screen(screen)
        await ui.until(lambda: "is not a text file" in ui.text)
        await ui.press("x")
        assert screen.draft.text == ""


# --- what else may happen ---


def kept_texts(here: Path) -> list[Path]:
    return sorted((here.parent / "state" / "layerscope" / "unsaved").glob("*"))


async def test_unsaved_changes_are_kept_when_the_terminal_goes_away(here: Path) -> None:
    async with editing() as ui:
        await ui.press("x")
        ui.app.exit()
    assert (here / "Dockerfile").read_text() == TEXT
    assert not list(here.glob("*.save*"))
    (kept,) = kept_texts(here)
    assert kept.read_text() == "x" + TEXT
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


async def test_without_a_state_folder_changes_are_kept_beside_the_file(here: Path) -> None:
    (here.parent / "state").write_text("no folder")
    (here / "Dockerfile.save").write_text("older")
    async with editing() as ui:
        await ui.press("x")
        ui.app.exit()
    assert (here / "Dockerfile").read_text() == TEXT
    assert (here / "Dockerfile.save").read_text() == "older"
    assert (here / "Dockerfile.save.1").read_text() == "x" + TEXT


@pytest.mark.parametrize("end", ["save", "discard", "undo"])
async def test_kept_changes_are_offered_and_can_be_undone(here: Path, end: str) -> None:
    async with editing() as ui:
        await ui.press("x")
        ui.app.exit()
    async with editing(None) as ui:
        await ui.on(QuestionScreen)
        assert "Dockerfile has unsaved changes" in ui.text
        await ui.press("d")
        await ui.on(TextDiffScreen)
        await ui.press("escape", "t")
        assert ui.screen.draft.text == "x" + TEXT
        assert kept_texts(here)
        if end == "save":
            await ui.press("ctrl+s")
            await ui.saved()
        elif end == "discard":
            await ui.press("ctrl+q", "d")
        else:
            await ui.press("ctrl+z")
            assert ui.screen.draft.text == TEXT
    assert len(kept_texts(here)) == (end == "undo")


async def test_kept_changes_are_offered_until_they_are_discarded(here: Path) -> None:
    async with editing() as ui:
        await ui.press("x")
        ui.app.exit()
    for key, left in (("escape", 1), ("x", 0)):
        async with editing(None) as ui:
            await ui.on(QuestionScreen)
            await ui.press(key)
            assert ui.screen.draft.text == TEXT
        assert len(kept_texts(here)) == left
    async with editing(None) as ui:
        await ui.on(EditorScreen)


async def test_saved_and_discarded_changes_are_not_kept(here: Path) -> None:
    async with editing() as ui:
        await ui.press("x", "ctrl+q", "d")
    async with editing() as ui:
        await ui.press("x", "ctrl+q", "s")
        await ui.until(lambda: not ui.app.is_running or not ui.app._running)
    assert (here / "Dockerfile").read_text() == "x" + TEXT
    assert not list(here.glob("*.save*"))
    assert not kept_texts(here)


async def test_other_tools_run_on_saving(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hadolint(document: Document, folder: Path) -> ToolResult:
        assert folder == here
        if "a:11" in document.text:
            return ToolResult()
        span = document.instructions[0].keyword_span
        return ToolResult((Problem("DL9", Severity.INFO, "Theirs.", span, "", "hadolint"),))

    def build_check(document: Document, context: Path) -> ToolResult:
        return ToolResult(failure="docker buildx failed (\x1b[2Jno)")

    monkeypatch.setattr(tools, "hadolint", hadolint)
    monkeypatch.setattr(tools, "build_check", build_check)
    async with editing("FROM a:1\n") as ui:
        await ui.press("ctrl+end", *"USER b", "ctrl+s")
        await ui.until(lambda: "I     1:1  Theirs. (DL9)" in ui.text)
        await ui.says("docker buildx failed (\\e[2Jno).")
        await ui.press("ctrl+home", "enter")
        assert "I     2:1  Theirs. (DL9)" in ui.text
        await ui.press("end", "1")
        assert "Theirs" not in ui.text


async def test_checks_that_an_engine_is_too_old_for_are_said_once(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def build_check(document: Document, context: Path) -> ToolResult:
        asked.append(document.text)
        return ToolResult(failure="They need something newer", too_old=True)

    monkeypatch.setattr(tools, "build_check", build_check)
    async with editing("FROM a:1\n") as ui:
        await ui.press("x", "ctrl+s")
        await ui.says("They need something newer.")
        await ui.press("y", "ctrl+s")
        await ui.until(lambda: len(asked) == 2)
        await ui.rest()
        assert "newer" not in ui.text


async def test_hadolint_runs_while_editing_and_delays_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, asked = threading.Event(), []

    def hadolint(document: Document, folder: Path) -> ToolResult:
        asked.append(document.text)
        answer.wait(600)
        if len(document.instructions) > 3:
            return ToolResult(failure="hadolint failed (no)")
        found = [
            Problem(f"DL{i.index}", Severity.INFO, "Theirs.", i.keyword_span, "", "hadolint")
            for i in document.instructions[1:]
        ]
        return ToolResult(tuple(found))

    monkeypatch.setattr(tools, "hadolint", hadolint)
    async with editing("FROM a:1\nUSER b\nUSER c\n") as ui:
        await ui.until(lambda: bool(asked))
        # An older text is being looked at: what is changed meanwhile has nothing to do with it.
        await ui.press("down", "end", *"cd", "enter", *"MAINTAINER x")
        await ui.until(lambda: "MaintainerDeprecated" in ui.text)
        assert "Theirs" not in ui.text
        answer.set()
        await ui.until(lambda: "4:1  Theirs. (DL2)" in ui.text)
        assert "(DL1)" not in ui.text
        await ui.until(lambda: len(asked) > 1)
        await ui.until(lambda: not ui.screen.work.busy("hadolint"))
        # It failed with the new text, which nobody asked it about: what it said stays.
        assert "4:1  Theirs. (DL2)" in ui.text
        assert "failed" not in ui.said


async def test_a_check_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(document: Document, world: World) -> list[Problem]:
        raise ValueError("no such rule")

    async with editing() as ui:
        monkeypatch.setattr(environment, "lint", fail)
        await ui.press("x")
        await ui.says("ValueError: no such rule")


async def test_a_build_context_that_cannot_be_read_is_reported(here: Path) -> None:
    async with editing() as ui:
        (here / ".dockerignore").write_text("[\n")
        await ui.press("x")
        await ui.says(".dockerignore")
        assert ui.screen.draft.text == "x" + TEXT


async def test_the_palette_offers_commands_but_no_movements() -> None:
    async with editing() as ui:
        await ui.press("ctrl+p")
        shown = ui.text
        assert "Next problem" in shown
        assert "Start of the line" not in shown
        await ui.press(*"keywords in upper", "enter")
        await ui.on(EditorScreen)
        await ui.says("ormatted")


async def test_remapped_keys_work_in_the_text(here: Path) -> None:
    (here / "Dockerfile").write_text("FROM a:1\n")
    app = LayerscopeApp(
        None,
        fakes.opener(fakes.FakeReader()),
        fakes.connector(),
        keymap={"text.line_end": "ctrl+e", "editor.editor": "f9", "completion.take": "ctrl+y"},
    )
    async with app.run_test(size=(80, 24)) as pilot:
        ui = Edited(app, pilot)
        await ui.until(lambda: "Looking for an engine" not in ui.text)
        await ui.press("e")
        await ui.quiet()
        await ui.press("ctrl+e")
        assert ui.cursor == (0, 8)
        await ui.press("enter", "e", "ctrl+y")
        assert ui.screen.draft.text.startswith("FROM a:1\nENTRYPOINT ")


async def test_bytes_per_key(here: Path) -> None:
    (here / "Dockerfile").write_text(TEXT * 20)
    app = Counting(None, **fakes.parts())
    async with app.run_test(size=(120, 40)) as pilot:
        ui = Edited(app, pilot)
        await ui.until(lambda: "Looking for an engine" not in ui.text)
        await ui.press("e")
        await ui.quiet()
        await settle(app)

        async def written(key: str) -> int:
            await ui.press(key)
            return await settle(app)

        # In an instruction without problems; elsewhere, their list changes, too.
        await ui.press("down", "down", "down", "end")
        await settle(app)
        assert await written("left") <= 170
        assert await written("left") <= 170
        assert await written("3") <= 250
        assert await written("4") <= 250
        assert await written("pagedown") <= 2_700
        # Problems are shown after a pause; then nothing more is written.
        await ui.quiet()
        await settle(app)
        assert await settle(app) == 0


@pytest.mark.parametrize("after", ["ctrl+home", "left", "up"])
async def test_a_paste_longer_than_the_screen_can_be_undone(after: str) -> None:
    async with editing("FROM a\n") as ui:
        await ui.press("ctrl+end")
        ui.app.post_message(events.Paste("RUN x\n" * 200))
        await ui.calm()
        await ui.press(after, "ctrl+z")
        assert ui.screen.draft.text == "FROM a\n"
        await ui.press("ctrl+y")
        assert ui.screen.draft.text == "FROM a\n" + "RUN x\n" * 200
        await ui.press("ctrl+z", "x")
        assert "FROM a\n" in ui.screen.draft.text
        assert len(ui.screen.draft.text) == len("FROM a\nx")


async def test_a_long_text_is_formatted_in_the_background_as_one_edit() -> None:
    text = "FROM debian:12\n" + "run  make\n" * 3000
    async with editing(text) as ui:
        await ui.press("ctrl+t")
        await ui.says("Formatted")
        formatted = ui.screen.draft.text == text.replace("run  make", "RUN make")
        assert formatted
        await ui.press("ctrl+z")
        back = ui.screen.draft.text == text
        assert back


async def test_formatting_loses_nothing_typed_meanwhile() -> None:
    async with editing("from debian:12\n") as ui:
        area = ui.screen.area
        ui.screen.action_format()
        area.replace("# hi\n", (0, 0), (0, 0))
        ui.screen.draft.catch_up()
        await ui.says("meanwhile")
        assert ui.screen.draft.text == "# hi\nfrom debian:12\n"


async def test_lines_of_a_long_text_have_the_colours_of_a_short_one() -> None:
    text = "# hi\nFROM debian:12 AS a\nENV A=b\nRUN <<EOF\necho\nEOF\n"
    async with editing(text) as ui:
        short = ui.screen.area.render_lines(ui.screen.area.region.reset_offset)[:6]
    async with editing(text + "RUN make\n" * 3000) as ui:
        await ui.until(lambda: ui.screen.draft.current)
        long = ui.screen.area.render_lines(ui.screen.area.region.reset_offset)[:6]
    for one, other in zip(short, long, strict=True):
        # But for the numbers and the bar at the right.
        assert list(one.crop(8, 60)) == list(other.crop(9, 61))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_line_being_typed_stays_visible(size: tuple[int, int]) -> None:
    """At the end of a text that fills the screen, and when problems take some of it."""
    text = "FROM debian:12\n" + "RUN make\n" * (size[1] - 9)
    async with editing(text, size=size) as ui:
        await ui.press("ctrl+end")
        await ui.quiet()
        await ui.press(*"nonsense", "enter", *"gibberish x")
        await ui.quiet()
        await ui.calm()
        assert "gibberish x" in ui.body[-1]
        for _ in range(3):
            await ui.press("enter")
            await ui.quiet()
            await ui.calm()
            assert ui.body[-1].split()[0] == str(ui.cursor[0] + 1)


async def test_the_cursor_may_be_scrolled_out_of_sight() -> None:
    async with editing("FROM debian:12\n" + "RUN make\n" * 60, size=(80, 24)) as ui:
        await ui.press("ctrl+end")
        ui.screen.area.scroll_to(y=0, animate=False, force=True)
        await ui.pilot.resize_terminal(80, 20)
        await ui.calm()
        assert ui.body[0].split()[0] == "1"


LONG = (
    "FROM a:1\n"
    + "RUN true\n" * 30
    + "CMD echo $UNKNOWN_VARIABLE_OF_A_LONG_NAME | cat && cd /srv\n"
)


@pytest.mark.parametrize("size", [(80, 24), (40, 20)])
async def test_a_long_problem_can_be_read_whole(size: tuple[int, int]) -> None:
    async with editing(size=size, text=LONG) as ui:
        before = ui.text
        await ui.press("ctrl+end", "f8")
        found = [
            ui.screen.problem_list.full(row) for row in range(ui.screen.problem_list.row_count)
        ]
        row, whole = max(enumerate(found), key=lambda each: len(each[1]))
        assert not ui.screen.problem_list.fits(row)
        for _ in range(row):
            await ui.press("f8")
        shown = " ".join(line.strip() for line in ui.pane("problem"))
        assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1]))
        area = ui.screen.area
        assert 0 <= ui.cursor[0] - area.scroll_offset.y < area.size.height
        await ui.press("ctrl+home")
        assert not ui.screen.whole_problem.display
        await ui.press("f6", "G", "g")
        for _ in range(row):
            await ui.press("j")
        assert ui.screen.whole_problem.display
        await ui.press("escape")
        assert not ui.screen.whole_problem.display
        assert ui.text == before


async def test_candidates_stand_in_columns_and_names_appear_once() -> None:
    async with editing("FROM a\n\n") as ui:
        await ui.press("down", "C", "O")
        (row,) = [line for line in ui.lines if "[FLAGS]" in line]
        assert "COPY  [FLAGS] SOURCE..." in row
        await ui.press("backspace", "backspace", "ctrl+n")
        completion = ui.screen.completer.popup.completion
        assert completion is not None
        rows = ui.pane("completion")
        columns = {
            row.index(f"  {each.detail[:12]}", len(each.text))
            for each, row in zip(completion.candidates, rows, strict=False)
        }
        assert len(rows) > 4
        assert len(columns) == 1


async def test_having_no_problems_is_shown_in_their_pane() -> None:
    async with editing("FROM debian:12\n") as ui:
        assert ui.pane("problems")[0].startswith(" No problems.")


async def test_there_is_no_gutter_for_sizes_if_none_are_known() -> None:
    async with editing() as ui:
        width = ui.screen.area.gutter_width
        ui.screen.instruction_layers._layers = {}
        ui.screen.instruction_layers._layers = {}
        ui.screen.instruction_layers._show()
        assert ui.screen.area.gutter_width == width


async def test_where_colours_end_is_said_once() -> None:
    said = "Only the first 20,000 characters of an instruction are coloured."
    heredoc = "FROM a\nRUN <<E\n" + "echo\n" * 5000 + "E\n"
    async with editing(heredoc) as ui:
        await ui.until(lambda: ui.screen.draft.current)
        assert said not in ui.text
    async with editing("FROM a\nRUN true \\\n" + "  && true \\\n" * 3000 + "  && true\n") as ui:
        await ui.until(lambda: ui.said == said)
        await ui.press("down")
        assert ui.said != said
        await ui.press("x")
        await ui.until(lambda: ui.screen.draft.current)
        assert ui.said != said
