"""What becomes of changes when the terminal goes away before they are saved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from layerscope.dockerfile import shown_text
from layerscope.dockerfile.rescued import Rescued, find_rescued, rescue
from layerscope.dockerfile.text_file import TextFile, data_of, write_text_file
from layerscope.errors import LayerscopeError, UsageError
from layerscope.tui.format import moment
from layerscope.tui.screens.question import QuestionScreen
from layerscope.tui.screens.text_diff import TextDiffScreen

if TYPE_CHECKING:
    from layerscope.tui.screens.editor import EditorScreen


class Rescuer:
    """Keeps changes that are not saved, and offers them when the file is opened again."""

    def __init__(self, screen: EditorScreen) -> None:
        self._screen = screen
        self._taken: Rescued | None = None

    def rescue(self) -> None:
        """Keeps changes when the terminal goes away, out of the way of builds if possible."""
        keeper, text = self._screen.keeper, self._screen.text
        if not keeper.dirty:
            return
        try:
            rescue(keeper.path, text)
        except OSError:
            if not self._beside(keeper.file or TextFile(keeper.path), text):
                return
        self.forget()

    @staticmethod
    def _beside(base: TextFile, text: str) -> bool:
        """Keeps them beside the file, as other editors do."""
        for number in range(100):
            ending = f".save.{number}" if number else ".save"
            path = base.path.with_name(base.path.name + ending)
            try:
                write_text_file(replace(base, path=path), text, new=True)
            except UsageError:
                continue
            except LayerscopeError:
                return False
            return True
        return False

    def forget(self) -> None:
        """Keeps no longer what was taken: it has been saved, or discarded."""
        if self._taken is not None:
            self._taken.forget()
            self._taken = None

    def offer(self) -> None:
        """Asks what becomes of what was kept of the file, if it is newer than the file."""
        screen, file = self._screen, self._screen.keeper.file
        if file is None or screen.area.reason:
            return
        found = find_rescued(file)
        if found is not None and shown_text.representable(found.text):
            self._ask(file, found)

    def _ask(self, file: TextFile, found: Rescued) -> None:
        screen = self._screen

        def answer(letter: str | None) -> None:
            if letter == "t":
                self._taken = found
                screen.replace_text(found.text)
                screen.say("These are the changes; ctrl+z takes them back.")
            elif letter == "d":
                old, new = data_of(file, file.text), data_of(file, found.text)
                diff = TextDiffScreen("- saved, + not saved", old, new)
                screen.app.push_screen(diff, lambda _: self._ask(file, found))
            elif letter == "x":
                found.forget()
                screen.say("They were thrown away.")

        answers = [
            ("t", "Take them; undo takes them back"),
            ("d", "Show the difference"),
            ("x", "Throw them away"),
            ("l", "Later: they are offered again"),
        ]
        when = moment(found.when // 10**9)
        title = f"Changes to {screen.keeper.name} were not saved"
        text = f"They are of {when} UTC, when the editor ended."
        screen.app.push_screen(QuestionScreen(title, text, answers), answer)
