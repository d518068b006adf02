"""Completions at the cursor: when to offer them, the list, and inserting one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from rich.cells import cell_len
from textual.actions import SkipAction
from textual.geometry import Offset

from layerscope.dockerfile.editing import shown_text
from layerscope.dockerfile.editing.completion import Candidate, Completion, Surroundings, complete
from layerscope.text import visible
from layerscope.tui.editor.dialogs import Dialogs
from layerscope.tui.editor.draft import Draft
from layerscope.tui.editor.environment import Environment
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Column, ColumnList

#: Size of the list.
_ROWS, _WIDEST = 8, 64
#: The most candidates to list, and to measure for the width.
_MOST, _MEASURED = 500, 200


class CompletionList(
    ColumnList[Candidate], screen="completion", heading="In the list of completions"
):
    """Candidates. Never has the focus: while it is shown, the text area passes keys to it."""

    HEADER_ROWS = 0
    KEYS = (
        *common.step_keys(
            "choose_by",
            ("completion.next", "down,ctrl+n", 1, "Next", ""),
            ("completion.previous", "up", -1, "Previous", ""),
            ("completion.page_down", "pagedown", 8, "Page down", ""),
            ("completion.page_up", "pageup", -8, "Page up", ""),
        ),
        Key("completion.take", "tab", "take", "Take"),
        Key("completion.take_chosen", "enter", "take_chosen", "Take", "Take the chosen one"),
        Key("completion.close", "escape", "close", "Close"),
    )
    # Details take the rest of the width.
    COLUMNS: ClassVar[Sequence[Column[Candidate]]] = (
        Column("name", "", 1, lambda each: (visible(each.text), "text"), grow=True, flex=True),
        Column("detail", "", 0, lambda each: (visible(each.detail), "muted"), flex=True),
    )

    can_focus = False

    def __init__(self, on_take: Callable[[], None], on_close: Callable[[], None]) -> None:
        super().__init__("completion")
        self._on_take, self._on_close = on_take, on_close
        self.completion: Completion | None = None  # None while the list is hidden.
        #: Whether the user asked for the list or moved in it, so that enter inserts a candidate.
        self.chosen = False
        self.display = False

    @property
    def active(self) -> bool:
        return self.chosen

    def open(self, completion: Completion, cursor: Offset, *, chosen: bool) -> None:
        """Shows candidates; `chosen` means that the user asked for them."""
        before = self.item
        self.completion = completion
        texts = [candidate.text for candidate in completion.candidates]
        keep = self.chosen and before is not None and before.text in texts
        self.chosen = chosen or keep
        at = texts.index(before.text) if keep and before is not None else 0
        typed = completion.span.end - completion.span.start
        some = completion.candidates[:_MEASURED]
        names, details = (
            max(cell_len(visible(text)) for text in column)
            for column in zip(*((each.text, each.detail) for each in some), strict=True)
        )
        # Between the title bar and the key bar.
        room = self.screen.region.shrink((1, 0, 1, 0))
        width = min(names + details + (7 if details else 6), _WIDEST, room.width)
        below, above = room.bottom - cursor.y - 1, cursor.y - room.y
        rows = min(len(texts), _ROWS, max(below, above) - 2)
        if rows < 1:
            self.close()
            return
        y = cursor.y + 1 if rows + 2 <= below else cursor.y - rows - 2
        x = max(room.x, min(cursor.x - typed - 2, room.right - width))
        self.styles.width, self.styles.height = width, rows + 2
        self.absolute_offset = Offset(x, y)
        self.top = 0
        self.display = True
        self.show(completion.candidates, at)
        self.set_texts("", f"{at + 1} of {len(texts)}" if len(texts) > rows else "")
        self.refresh(layout=True)

    def close(self) -> None:
        self.show(())
        self.completion, self.chosen = None, False
        self.display = False

    def action_choose_by(self, rows: int) -> None:
        row = self.cursor + rows
        if not self.chosen and rows == 1:
            # Before that, the first candidate is only a suggestion.
            row = self.cursor
        elif self.chosen and abs(rows) == 1:
            row %= self.row_count
        self.chosen = True
        self.move_to(row)
        self.redraw()
        if self.row_count > self.page_size:
            self.set_texts("", f"{self.cursor + 1} of {self.row_count}")

    def action_take(self) -> None:
        self._on_take()

    def action_take_chosen(self) -> None:
        """Inserts a candidate if the user has chosen one; else the key breaks the line as usual."""
        candidate = self.item
        sure = candidate is not None and candidate.begins
        if not (self.chosen or sure):
            raise SkipAction
        self._on_take()

    def action_close(self) -> None:
        self._on_close()

    def clicked_row(self, row: int, x: int, chain: int) -> None:
        self._on_take()


class Completer:
    def __init__(self, draft: Draft, environment: Environment, dialogs: Dialogs) -> None:
        self.popup = CompletionList(self.take, self.close)
        self._draft = draft
        self._environment = environment
        self._dialogs = dialogs
        # Where to show candidates once they are known, and whether the user asked for them.
        self._waiting: tuple[int, bool] | None = None
        # Whether some candidates are still being read.
        self._missing = False

    @property
    def is_open(self) -> bool:
        return self.popup.completion is not None

    def close(self) -> None:
        self._waiting = None
        if self.is_open:
            self.popup.close()
            self._draft.area.popup = None

    def typed(self, text: str) -> None:
        """Offers completions for the text just typed, which is empty after a deletion."""
        if text.strip() or (self.is_open and not text):
            self.offer(asked=False)
        else:
            self.close()

    def moved(self) -> None:
        """Closes the list when the cursor moves away other than by typing."""
        completion, place = self.popup.completion, self._draft.area.place
        if completion is not None and completion.span.end != place:
            self.close()
        elif self._waiting is not None and self._waiting[0] != place:
            self._waiting = None

    def learned(self) -> None:
        """Updates the candidates when more is known about the text, images or build context."""
        if self._waiting is not None:
            self.offer(asked=self._waiting[1])
        elif self.is_open:
            self.offer(asked=False)

    def offer(self, *, asked: bool) -> None:
        """Shows the candidates here, if any; `asked` means that the user asked for them."""
        area, analysis = self._draft.area, self._draft.current
        if area.read_only:
            return
        if analysis is None:
            self._waiting = area.place, asked
            return
        environment = self._environment
        self._missing = environment.listing_images
        found = complete(
            analysis.document, area.place, Surroundings(environment.images, self._names)
        )
        typed = analysis.text[found.span.start : found.span.end]
        fitting = tuple(each for each in found.candidates[:_MOST] if each.text != typed)
        found = replace(found, candidates=fitting)
        if not found.candidates:
            self.close()
            if self._missing:
                self._waiting = area.place, asked
            elif asked:
                failure = environment.images_failure
                self._dialogs.say(f"There is nothing to complete here. {failure}".rstrip())
            return
        self._waiting = None
        cursor = area.cursor_screen_offset
        self.popup.open(found, Offset(cursor.x, cursor.y), chosen=asked)
        area.popup = self.popup if self.is_open else None

    def _names(self, folder: str) -> Iterable[str]:
        """Returns the known names in a folder of the build context."""
        names = self._environment.list_folder(folder)
        if names is None:
            self._missing = True
        return names or ()

    def take(self) -> None:
        """Inserts the candidate under the cursor of the list."""
        completion, candidate = self.popup.completion, self.popup.item
        self.close()
        if completion is None or candidate is None:
            return
        area, span = self._draft.area, completion.span
        text = shown_text.held(candidate.text)
        following = area.whole[span.end : span.end + 1]
        if candidate.begins and not text.endswith("=") and following not in (" ", "\t"):
            text += " "
        area.history.checkpoint()
        area.replace(
            text,
            area.location_of(span.start),
            area.location_of(span.end),
            maintain_selection_offset=False,
        )
        area.history.checkpoint()
        self._draft.catch_up()
        if text.endswith(("=", "/", " ")):
            self.offer(asked=False)
