"""When an editor offers what could stand at the cursor, and how it is taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.geometry import Offset

from layerscope.dockerfile import shown_text
from layerscope.dockerfile.complete import Completion, Kind, Surroundings, complete

if TYPE_CHECKING:
    from layerscope.tui.screens.editor import EditorScreen

#: More than anybody looks through; what is typed narrows them down.
_MOST = 500


class Completer:
    """The completion of an editor."""

    def __init__(self, screen: EditorScreen) -> None:
        self._screen = screen
        # The place that candidates are to be shown for as soon as more is known, and whether the
        # user has asked for them.
        self._waiting: tuple[int, bool] | None = None
        # Whether something that could be offered is not known yet.
        self._missing = False

    @property
    def is_open(self) -> bool:
        """Whether candidates are shown."""
        return self._screen.popup.completion is not None

    def close(self) -> None:
        """Shows no more candidates."""
        self._waiting = None
        if self.is_open:
            self._screen.popup.close()
            self._screen.area.popup = None

    def typed(self, text: str) -> None:
        """Offers what goes on with what was just typed, or goes on offering."""
        if text.strip() or (self.is_open and not text):
            self.offer(asked=False)
        else:
            self.close()

    def moved(self) -> None:
        """The cursor has moved, perhaps because something was typed."""
        completion, place = self._screen.popup.completion, self._screen.area.place
        if completion is not None and completion.span.end != place:
            self.close()
        elif self._waiting is not None and self._waiting[0] != place:
            self._waiting = None

    def arrived(self) -> None:
        """More is known: of the text, of images, of the build context."""
        if self._waiting is not None:
            self.offer(asked=self._waiting[1])
        elif self.is_open:
            self.offer(asked=False)

    def offer(self, *, asked: bool) -> None:
        """Shows what could stand at the cursor, if anything.

        Args:
            asked: Whether the user has asked for it.
        """
        screen = self._screen
        if screen.area.read_only:
            return
        if not screen.up_to_date or screen.analysis is None:
            self._waiting = screen.area.place, asked
            return
        self._missing = screen.work.busy("images")
        found = self._completion()
        if not found.candidates:
            self.close()
            if self._missing:
                self._waiting = screen.area.place, asked
            elif asked:
                screen.say("There is nothing to complete here.")
            return
        self._waiting = None
        area = screen.area
        cursor = area.cursor_screen_offset
        shown = Offset(cursor.x, cursor.y)
        area.popup = screen.popup
        screen.popup.open(found, shown, screen.region.shrink((1, 0, 1, 0)), chosen=asked)
        if not self.is_open:
            area.popup = None

    def _completion(self) -> Completion:
        screen = self._screen
        around = screen.work.around
        assert screen.analysis is not None  # noqa: S101
        surroundings = Surroundings(around.images, self._names)
        place = screen.area.place
        found = complete(screen.analysis.document, place, surroundings)
        typed = screen.text[found.span.start : found.span.end]
        fitting = [c for c in found.candidates[:_MOST] if c.text != typed]
        # What is written out already needs no help, even if it could go on.
        whole = any(c.text == typed and c.kind is not Kind.PATH for c in found.candidates)
        return replace(found, candidates=() if whole and len(fitting) < 1 else tuple(fitting))

    def _names(self, folder: str) -> Iterable[str]:
        """Names in a folder of the build context, as far as they are known."""
        names = self._screen.work.list_folder(folder)
        if names is None:
            self._missing = True
        return names or ()

    def take(self) -> None:
        """Puts the candidate under the cursor of the list into the text."""
        screen, popup = self._screen, self._screen.popup
        completion, candidate = popup.completion, popup.candidate
        self.close()
        if completion is None or candidate is None:
            return
        area = screen.area
        text = shown_text.held(candidate.text)
        after = screen.area.whole[completion.span.end : completion.span.end + 1]
        if candidate.kind is Kind.INSTRUCTION and after not in (" ", "\t"):
            text += " "
        area.history.checkpoint()
        area.replace(
            text,
            area.location_of(completion.span.start),
            area.location_of(completion.span.end),
            maintain_selection_offset=False,
        )
        area.history.checkpoint()
        screen.catch_up()
        if text.endswith(("=", "/", " ")):
            self.offer(asked=False)
