"""Content that leaves the screen: saved to a file, or shown in the user's pager or editor."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported
from textual.message import Message

from layerscope.errors import Cancelled, LayerscopeError
from layerscope.images.save_file import InTheWay, safe_name, save_file
from layerscope.text import docker_size, visible
from layerscope.tui.background import run_beside
from layerscope.tui.outside import Copy, editor_command, harmless, pager_command, run_program
from layerscope.tui.session import problem_of

if TYPE_CHECKING:
    from layerscope.images.contents import Content
    from layerscope.tui.screens.content import ContentScreen


@dataclass(frozen=True, slots=True)
class _Program:
    command: list[str]
    environment: Mapping[str, str]


class Kept(Message):
    """A copy has been made, or not."""

    def __init__(
        self,
        text: str,
        *,
        in_the_way: Path | None = None,
        copy: Copy | None = None,
        program: _Program | None = None,
    ) -> None:
        super().__init__()
        self.text = text
        self.in_the_way = in_the_way
        self.copy = copy
        self.program = program


class Keeper:
    """Makes copies of what a screen shows, beside it.

    Attributes:
        text: What is going on, in words.
        under_way: Whether a copy is being made.
    """

    def __init__(self, screen: ContentScreen) -> None:
        self._screen = screen
        self.text = ""
        self.under_way = False
        self._stopped = False

    def cancel(self) -> None:
        """Stops."""
        self._stopped = True

    # A file.

    def ask_where(self) -> None:
        """Asks for the path to save to."""
        name = safe_name(self._screen.path.rpartition(b"/")[2])
        self._screen.ask("Save to", name, "A path; ~ is your home folder", self.save)

    def save(self, text: str) -> None:
        """Saves the content, if there is no such file yet."""
        try:
            path = Path(text).expanduser()
        except RuntimeError:
            self._screen.say(f"There is no home folder {visible(text.partition('/')[0])}.")
            return
        self._save(path, overwrite=False)

    def _save(self, path: Path, *, overwrite: bool) -> None:
        def work(content: Content) -> Kept:
            try:
                size = save_file(content, path, overwrite=overwrite, advance=self._advance)
            except InTheWay as error:
                return Kept(str(error), in_the_way=None if path.is_dir() else path)
            full = visible(str(path.absolute()))
            return Kept(f"Saved {docker_size(size)} to {full}, for you alone (mode 0600).")

        self._run("saving", work)

    def _ask_overwrite(self, path: Path) -> None:
        def answer(text: str) -> None:
            if text.strip().lower() in ("yes", "y"):
                self._save(path, overwrite=True)
            else:
                self._screen.say("Nothing was written.")

        label = f"{visible(str(path))} is already there. Overwrite it?"
        self._screen.ask(label, "", "yes, or esc", answer)

    # Programs.

    def show_in_pager(self) -> None:
        """Shows a copy in the pager."""
        self._show(lambda: _Program(pager_command(os.environ), harmless(os.environ)))

    def show_in_editor(self) -> None:
        """Shows a copy in the editor."""
        self._show(lambda: _Program(editor_command(os.environ), os.environ))

    def _show(self, find: Callable[[], _Program]) -> None:
        name = self._screen.path.rpartition(b"/")[2]
        try:
            program = find()
        except LayerscopeError as error:
            self._screen.say(str(error))
            return

        def work(content: Content) -> Kept:
            return Kept("", copy=Copy(content, name, self._advance), program=program)

        self._run("copying", work)

    # How it is done.

    def _run(self, what: str, work: Callable[[Content], Kept]) -> None:
        job, post = self._screen.job, self._screen.post_message
        content = job.content if job is not None else None
        if content is None or self.under_way:
            return
        self.under_way, self._stopped, self.text = True, False, what

        def run() -> None:
            try:
                done = work(content)
            except Cancelled:
                done = Kept("Stopped; nothing was written.")
            except Exception as error:
                problem = problem_of(error)
                done = Kept(f"{problem.message} {problem.hint}".strip())
            if not post(done) and done.copy is not None:
                done.copy.close()

        run_beside("save", run)
        self._screen.tell()

    def _advance(self, _: int) -> None:
        if self._stopped:
            raise Cancelled

    def kept(self, message: Kept) -> None:
        """Says what was written, asks, or runs the program."""
        self.under_way, self.text = False, ""
        if message.in_the_way is not None:
            self._ask_overwrite(message.in_the_way)
        elif message.copy is not None and message.program is not None:
            problem = self._outside(message.copy, message.program)
            if problem:
                self._screen.say(problem)
        else:
            self._screen.say(message.text)

    def _outside(self, copy: Copy, program: _Program) -> str:
        try:
            with self._screen.app.suspend():
                return run_program(program.command, copy.path, program.environment)
        except SuspendNotSupported:
            return "Other programs cannot be shown in this terminal."
        finally:
            copy.close()
