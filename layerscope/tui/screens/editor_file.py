"""The file behind an editor: reading, saving, and what others do to it meanwhile."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported
from textual.message import Message

from layerscope.dockerfile import shown_text
from layerscope.dockerfile.text_file import (
    TextFile,
    current_folder,
    data_of,
    is_changed,
    read_text_file,
    write_text_file,
)
from layerscope.errors import LayerscopeError, NotFoundError
from layerscope.text import visible
from layerscope.tui.background import run_beside
from layerscope.tui.screens.question import QuestionScreen
from layerscope.tui.screens.text_diff import TextDiffScreen

if TYPE_CHECKING:
    from layerscope.tui.screens.editor import EditorScreen

Then = Callable[[], object]


class SaveDone(Message):
    """A file has been saved, or not.

    Attributes:
        file: The file as it is now; None if it was not saved.
        text: The text that was to be saved.
        problem: Why it was not, in a sentence; empty if others have changed it.
        then: What was to follow.
    """

    def __init__(self, file: TextFile | None, text: str, problem: str, then: Then | None) -> None:
        super().__init__()
        self.file = file
        self.text = text
        self.problem = problem
        self.then = then


class DiskChanged(Message):
    """Others have changed the file."""

    def __init__(self, file: TextFile) -> None:
        super().__init__()
        self.file = file


class FileKeeper:
    """What is edited, and what is on disk.

    Attributes:
        file: The file as it was read or written last; None while it has no name.
        source: What a text without a name was made of; safe to show.
    """

    def __init__(self, screen: EditorScreen) -> None:
        self.file: TextFile | None = None
        self.source = ""
        self._screen = screen
        # What the text without a name is, and the change on disk that the user wants to hear no
        # more of.
        self._text = ""
        self._told: object = None
        # What is in the file's place and cannot be read, once the user has been told.
        self._unreadable: object = None
        self._busy = self._asking = False

    @property
    def saved(self) -> str:
        """The text as it is on disk."""
        return self._text if self.file is None else self.file.text

    @property
    def dirty(self) -> bool:
        """Whether there is something to save."""
        return self._screen.text != self.saved

    @property
    def path(self) -> Path:
        """Where the file is, or where it would be looked for."""
        return current_folder() / "Dockerfile" if self.file is None else self.file.path

    @property
    def name(self) -> str:
        """What it is called; safe to show."""
        if self.file is None:
            return self.source
        path = self.file.path
        try:
            path = path.relative_to(current_folder())
        except ValueError:
            pass
        return visible(str(path))

    def open(self, path: Path) -> None:
        """Opens a file, or begins a new one of that name.

        Raises:
            LayerscopeError: It cannot be read.
        """
        try:
            self.file = read_text_file(path)
        except NotFoundError:
            self.file = TextFile(path)
        self._screen.load(self.file.text, self._reason(self.file))

    def _reason(self, file: TextFile) -> str:
        """Why a file cannot be changed here, in a sentence; empty if it can."""
        if not file.writable:
            return f"{self.name} is write-protected."
        if not shown_text.representable(file.text):
            return "It has characters that only an outside editor can show (private use)."
        return ""

    def open_text(self, text: str, source: str) -> None:
        """Shows a text that has no name yet."""
        self.file, self.source, self._text = None, source, text
        self._screen.load(text, "Save it under a name to edit it: ctrl+s.")

    # Saving.

    def save(self, then: Then | None = None) -> None:
        """Saves, and asks for a name if need be.

        Args:
            then: What is to follow once it is saved.
        """
        if self.file is None:
            self.save_as(then)
        elif self.dirty or self.file.stamp is None:
            self._write(self.file, then, force=False)
        elif then is not None:
            then()
        else:
            self._screen.say("Nothing has changed since it was saved.")

    def save_as(self, then: Then | None = None) -> None:
        """Asks for a name, and saves under it."""
        name = "Dockerfile" if self.file is None else str(self.file.path)

        def answer(text: str) -> None:
            try:
                path = current_folder() / Path(text).expanduser()
                mode = path.stat().st_mode
            except RuntimeError:
                self._screen.say("There is no such home folder.")
                return
            except FileNotFoundError:
                mode = None
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                self._screen.say(f"It cannot be written there ({visible(reason)}).")
                return
            if mode is not None and stat.S_ISDIR(mode):
                self._screen.say(f"{visible(text)} is a folder.")
            elif mode is not None:
                self._ask_overwrite(path, then)
            else:
                base = self.file or TextFile(path)
                new = replace(base, path=path, stamp=None, mode=None, writable=True)
                self._write(new, then, force=False, new=True)

        self._screen.ask("Save as", visible(name), "A path; ~ is your home folder", answer)

    def _ask_overwrite(self, path: Path, then: Then | None) -> None:
        def answer(letter: str | None) -> None:
            if letter != "o":
                self._screen.say("Nothing was written.")
                return
            try:
                known = read_text_file(path)
            except LayerscopeError as error:
                self._screen.say(str(error))
                return
            self._write(known, then, force=True)

        answers = [("o", "Overwrite it"), ("n", "Leave it as it is")]
        title = f"{visible(str(path))} is there already"
        self._screen.app.push_screen(QuestionScreen(title, "", answers[::-1]), answer)

    def _write(self, file: TextFile, then: Then | None, *, force: bool, new: bool = False) -> None:
        if self._busy:
            return
        self._busy = True
        text, post = self._screen.text, self._screen.post_message

        def work() -> None:
            try:
                if not (force or new) and is_changed(file):
                    post(SaveDone(None, text, "", then))
                else:
                    post(SaveDone(write_text_file(file, text, new=new), text, "", then))
            except LayerscopeError as error:
                post(SaveDone(None, text, str(error), then))
            except Exception as error:
                post(SaveDone(None, text, f"It cannot be written ({type(error).__name__}).", then))

        run_beside("save", work)

    def done(self, message: SaveDone) -> bool:
        """Notes what became of saving.

        Returns:
            Whether it was saved.
        """
        self._busy = False
        if message.file is None:
            if message.problem:
                self._screen.say(message.problem)
            else:
                self._ask_whose(message.then)
            return False
        named = self.file is None or self.file.path != message.file.path
        self.file, self._told = message.file, None
        if named or self._screen.area.reason:
            self._screen.set_reason(self._reason(self.file))
        self._screen.rescuer.forget()
        self._screen.say(f"Saved {self.name}.")
        if message.then is not None:
            message.then()
        return True

    # What others do.

    def look(self) -> None:
        """Looks, beside the screen, whether others have changed the file."""
        file, post = self.file, self._screen.post_message
        if file is None or self._busy:
            return

        def work() -> None:
            if is_changed(file):
                post(DiskChanged(file))

        run_beside("stat", work)

    def disk_changed(self, message: DiskChanged) -> None:
        """Takes what is new, if nothing of the user's is lost by it; asks otherwise."""
        file = self.file
        if message.file is not file or file is None or self._busy or not self._screen.is_current:
            return
        stamp = self._stamp(file)
        if self.dirty:
            if stamp != self._told:
                self._ask_whose(None)
        elif stamp != self._unreadable:
            self._take_theirs(f"{self.name} was changed by others; this is how it is now.")

    @staticmethod
    def _stamp(file: TextFile) -> object:
        try:
            return file.path.stat().st_mtime_ns
        except OSError:
            return "gone"

    def _ask_whose(self, then: Then | None) -> None:
        file = self.file
        if file is None or self._asking:
            return
        self._asking, self._told = True, self._stamp(file)
        gone = not file.path.exists()
        what = "was removed" if gone else "was changed"
        answers = [("m", "Keep mine: save it over theirs"), ("l", "Later: go on editing")]
        if not gone:
            answers[1:1] = [
                ("t", "Take theirs; undo brings mine back"),
                ("d", "Show the difference"),
            ]

        def answer(letter: str | None) -> None:
            self._asking = letter == "d"
            if letter == "m":
                self._write(file, then, force=True)
            elif letter == "t":
                self._take_theirs("This is their text; ctrl+z brings yours back.")
            elif letter == "d":
                self._show_difference(file, then)

        title = f"{self.name} {what} by others"
        text = "You have changes of your own that are not saved."
        self._screen.app.push_screen(QuestionScreen(title, text, answers), answer)

    def _show_difference(self, file: TextFile, then: Then | None) -> None:
        try:
            theirs = read_text_file(file.path)
        except LayerscopeError as error:
            self._asking = False
            self._screen.say(str(error))
            return
        old, new = data_of(theirs, theirs.text), data_of(file, self._screen.text)
        title = "- theirs, + mine"

        def seen(_: None) -> None:
            self._asking = False
            self._ask_whose(then)

        self._screen.app.push_screen(TextDiffScreen(title, old, new), seen)

    def _take_theirs(self, sentence: str) -> None:
        if self.file is None:
            return
        try:
            self.file = read_text_file(self.file.path)
        except NotFoundError:
            # The text that is shown is all that there is of it now.
            self.file = replace(self.file, text="", stamp=None, mode=None)
            sentence = f"{self.name} was removed by others; ctrl+s writes it again."
        except LayerscopeError as error:
            self._unreadable = self._stamp(self.file)
            self._screen.say(str(error))
            return
        else:
            self._screen.replace_text(self.file.text)
            reason = self._reason(self.file)
            self._screen.set_reason(reason)
            sentence = reason or sentence
        self._screen.say(sentence)

    # Another editor.

    def edit_outside(self) -> None:
        """Saves, and edits the file in the user's own editor."""
        from layerscope.tui.outside import editor_command

        try:
            command = editor_command(os.environ, read_only=False)
        except LayerscopeError as error:
            self._screen.say(str(error))
            return
        self.save(lambda: self._run(command))

    def _run(self, command: list[str]) -> None:
        from layerscope.tui.outside import run_program

        file, screen = self.file, self._screen
        if file is None:
            return
        try:
            with screen.app.suspend():
                problem = run_program(command, file.path, os.environ)
        except SuspendNotSupported:
            problem = "The terminal cannot be handed over here."
        if is_changed(file):
            self._take_theirs(f"This is what {visible(command[0])} has left.")
        if problem:
            screen.say(problem)
