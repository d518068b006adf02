"""The base class of dialogs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from layerscope.tui.base_screen import AppModal
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.format import Line, cut
from layerscope.tui.rows.row_view import RowView

T = TypeVar("T")


class Dialog(AppModal[T]):
    """A title, a text, an input, a hint, and the keys."""

    CSS_PATH = Path(__file__).with_name("dialog.tcss")
    #: The keys in words.
    ANSWERS: ClassVar[str] = "esc goes back"

    def __init__(self, title: str, text: str = "", hint: str = "") -> None:
        """All texts must be safe to show."""
        super().__init__()
        self._texts = title, text
        self._hint = Static(Content(hint), id="dialog-hint")
        self._hint.display = bool(hint)
        self._answers = Static(Content(self.ANSWERS), id="dialog-keys")

    def compose(self) -> ComposeResult:
        title, text = self._texts
        with Vertical(id="dialog", classes="dialog"):
            yield Static(Content(title), id="dialog-title")
            if text:
                yield Static(Content(text), id="dialog-text")
            yield from self.body()
            yield self._hint
            yield self._answers

    def body(self) -> ComposeResult:
        yield from ()

    def action_field(self, step: int) -> None:
        """Goes to the next field, or with -1 to the previous one."""
        fields = list(self.query(Input))
        if (focused := self.focused) in fields:
            self.set_focus(fields[(fields.index(focused) + step) % len(fields)])

    def action_complete(self) -> None:
        """Accepts the suggestion of the input."""
        entry = self.query_one(Input)
        entry.action_end()
        entry.action_cursor_right()

    def show_hint(self, text: str) -> None:
        self._hint.update(Content(text))
        self._hint.display = bool(text)

    def show_keys(self, text: str) -> None:
        self._answers.update(Content(text))


def field_row(label: str, entry: Input) -> Horizontal:
    """A field after its label, which must be safe to show."""
    return Horizontal(Static(Content(label), classes="field-label"), entry, classes="field-row")


class MessageScreen(Dialog[None], screen="message", heading="A message"):
    KEYS = (Key("message.back", "escape,enter,q", "dismiss", "Back"),)


class _Choices(RowView):
    def __init__(self, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__("choices")
        self._choices = choices

    def on_mount(self) -> None:
        self.set_rows(len(self._choices))

    def row(self, row: int, width: int) -> Line:
        letter, text = self._choices[row]
        mark = f" {letter}  " if letter else " "
        return [(mark, self.palette.accent), (cut(text, width - len(mark) - 1), self.palette.text)]


class ChoicesDialog(Dialog[str | None]):
    """A list of choices with optional letters; returns the value of one, or None."""

    def __init__(
        self, title: str, text: str, choices: Sequence[tuple[str, str]], values: Sequence[str]
    ) -> None:
        super().__init__(title, text)
        self._choices = _Choices(choices)
        self.values = values

    def body(self) -> ComposeResult:
        yield self._choices

    def on_mount(self) -> None:
        self.set_focus(self._choices)

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        message.stop()
        self.action_take()

    def action_take(self) -> None:
        self.dismiss(self.values[self._choices.cursor])
