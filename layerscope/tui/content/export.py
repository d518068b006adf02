"""Saves content to a file, or opens it in the user's pager or editor."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from layerscope.errors import LayerscopeError
from layerscope.images.files.save import InTheWay, safe_name, save_file
from layerscope.text import docker_size, visible
from layerscope.tui.terminal.outside import (
    Copy,
    Suspend,
    editor_command,
    harmless,
    obeys,
    pager_command,
    show_in_program,
)
from layerscope.tui.work import Problem, Task, Work

if TYPE_CHECKING:
    from layerscope.images.files.contents import Content
    from layerscope.writing import Existing

T = TypeVar("T")


@dataclass(slots=True)
class Export:
    """Copies content in the background, one copy at a time."""

    work: Work  # The screen's background work.
    ask: Callable[[str, str, str, Callable[[str], None]], None]  # As `Prompt.ask`.
    say: Callable[[str], object]  # Shows a sentence.
    changed: Callable[[], object]  # Called when the status changes.
    suspend: Suspend  # Gives the terminal to another program.
    status: str = ""  # The current activity, or "".

    # A file.

    def ask_where(self, content: Content, name: bytes) -> None:
        def answer(text: str) -> None:
            try:
                path = Path(text).expanduser()
            except RuntimeError:
                self.say(f"{visible(text.partition('/')[0])} has no home folder.")
                return
            self._save(content, path, None)

        self.ask("Save to", safe_name(name), "A path; ~ is your home folder", answer)

    def _save(self, content: Content, path: Path, overwrite: Existing | None) -> None:
        shown = visible(str(path.absolute()))

        def run(task: Task[None]) -> int | InTheWay:
            """Returns the size, or the existing file if it can be overwritten."""
            try:
                return save_file(content, path, overwrite=overwrite, advance=task.progress.advance)
            except InTheWay as problem:
                if problem.there is None:
                    raise
                return problem

        def done(result: int | InTheWay) -> None:
            if isinstance(result, int):
                size = docker_size(result)
                self.say(f"Saved {size} to {shown}, readable only by you (mode 0600).")
                return
            there = result.there

            def overwrite_if(text: str) -> None:
                if text.strip().lower() in ("yes", "y"):
                    self._save(content, path, there)
                else:
                    self.say("Nothing was written.")

            self.ask(f"{result.message} Overwrite it?", "", "yes, or esc", overwrite_if)

        self._start("saving", run, done)

    # Programs.

    def show(self, content: Content, name: bytes, *, pager: bool) -> None:
        """Opens a copy in the user's pager or editor."""
        environment = harmless(os.environ) if pager else os.environ
        try:
            command = (pager_command if pager else editor_command)(os.environ)
        except LayerscopeError as error:
            self.say(str(error))
            return

        def done(copy: Copy) -> None:
            try:
                problem = show_in_program(self.suspend, command, copy.path, environment)
            finally:
                copy.close()
            if problem:
                self.say(problem)

        def copy(task: Task[None]) -> Copy:
            escape = pager and obeys(command)
            return Copy(content, name, task.progress.advance, escape=escape)

        self._start("copying", copy, done)

    def _start(
        self, status: str, run: Callable[[Task[None]], T], done: Callable[[T], None]
    ) -> None:
        if self.status:
            return
        self.status = status

        def end(result: T) -> None:
            self.status = ""
            done(result)
            self.changed()

        def failed(problem: Problem) -> None:
            self.status = ""
            cancelled = "Stopped; nothing was written."
            self.say(cancelled if problem.cancelled else str(problem))
            self.changed()

        self.work.start("export", run, end, failed=failed)
        self.changed()
