"""A list to type into: what is typed picks from it, however incomplete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.fuzzy import FuzzySearch
from textual.screen import ModalScreen
from textual.widgets import Input

from layerscope.tui.format import Line, cut, left, right
from layerscope.tui.widgets.row_view import RowView
from layerscope.tui.widgets.text_entry import TextEntry

_MOST_ROWS = 18


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the list. All of it must be safe to show.

    Attributes:
        text: What it is.
        key: The key that does the same; may be empty.
        problem: Why it cannot be chosen now; empty if it can.
    """

    text: str
    key: str = ""
    problem: str = ""


class _Rows(RowView, can_focus=False):
    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__("palette-rows")
        self._entries = entries
        self._shown: list[tuple[int, frozenset[int]]] = []
        self._keys = max((cell_len(entry.key) for entry in entries), default=0)

    @property
    def place(self) -> int | None:
        """Place of the entry under the cursor."""
        return self._shown[self.cursor][0] if self._shown else None

    @property
    def active(self) -> bool:
        """The keys are for it, though they go to the input."""
        return True

    def on_mount(self) -> None:
        """Nothing has been typed yet."""
        self.set_placeholder(("Nothing matches.", "muted"))

    def pick(self, query: str, place: int | None = None) -> None:
        """Shows what fits to a text, the best first; the cursor goes to a place, or the best."""
        if query:
            search = FuzzySearch()
            found = [
                (*search.match(query, entry.text), index)
                for index, entry in enumerate(self._entries)
            ]
            found = [match for match in found if match[0]]
            begins = {
                index
                for index, entry in enumerate(self._entries)
                if entry.text.lower().startswith(query.lower())
            }
            found.sort(key=lambda match: (match[2] not in begins, -match[0], match[2]))
            self._shown = [(index, frozenset(offsets)) for _, offsets, index in found]
        else:
            self._shown = [(index, frozenset()) for index in range(len(self._entries))]
        rows = [index for index, _ in self._shown]
        self.set_rows(len(rows), rows.index(place) if place in rows else 0)

    def clicked_row(self, row: int, x: int, chain: int) -> None:
        """A click chooses."""
        self.action_choose()

    def row(self, row: int, width: int) -> Line:
        """An entry, what of it matches, and its key."""
        index, marked = self._shown[row]
        entry = self._entries[index]
        colors = self.ink
        room = max(1, width - self._keys - 3)
        style = colors.faint if entry.problem else colors.text
        text = cut(entry.text, room)
        line: Line = [(" ", style)]
        line += [
            (character, style + colors.match if place in marked else style)
            for place, character in enumerate(text)
        ]
        rest = room - cell_len(text)
        line.append((left(f"  {entry.problem}" if entry.problem else "", rest), colors.faint))
        line.append((f" {right(entry.key, self._keys)} ", colors.accent))
        return line


class PaletteScreen(ModalScreen[int | None], inherit_bindings=False):
    """Asks for one of many entries; gives its place."""

    CSS_PATH = "palette.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="palette.back"),
        Binding("down", "move(1)", "Down", id="palette.down"),
        Binding("up", "move(-1)", "Up", id="palette.up"),
        Binding("pagedown", "page(1)", "Page down", id="palette.page_down"),
        Binding("pageup", "page(-1)", "Page up", id="palette.page_up"),
    ]

    def __init__(
        self,
        hint: str,
        entries: Sequence[Entry],
        place: int | None = None,
        preview: Callable[[int | None], None] | None = None,
    ) -> None:
        """Makes the list.

        Args:
            hint: What to show while nothing is typed.
            entries: What there is.
            place: The entry to begin at.
            preview: Told of the entry under the cursor whenever it is another one; None if the user
                leaves without a choice.
        """
        super().__init__()
        self._entry = TextEntry(id="palette-text", placeholder=hint)
        self._rows = _Rows(entries)
        self._entries = entries
        self._preview = preview
        self._begin = place

    def compose(self) -> ComposeResult:
        """The input and the list."""
        self._fit()
        with Vertical(id="palette"):
            yield self._entry
            yield self._rows

    def on_mount(self) -> None:
        """Ready to type."""
        self._rows.pick("", self._begin)
        self.set_focus(self._entry)

    def on_resize(self) -> None:
        """As many entries as there is room for."""
        self._fit()

    def _fit(self) -> None:
        self._rows.styles.max_height = max(1, min(_MOST_ROWS, self.app.size.height - 4))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Picks."""
        event.stop()
        self._rows.pick(event.value.strip())
        self._tell()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Gives what is under the cursor to the one who asked."""
        event.stop()
        self._choose()

    def on_row_view_moved(self) -> None:
        """Shows what the entry would do."""
        self._tell()

    def on_row_view_chosen(self) -> None:
        """The same for a click."""
        self._choose()

    def on_mouse_down(self) -> None:
        """Typing goes on after a click."""
        self.set_focus(self._entry)

    def action_move(self, rows: int) -> None:
        """Moves by entries."""
        self._rows.action_move(rows)

    def action_page(self, pages: int) -> None:
        """Moves by pages."""
        self._rows.action_page(pages)

    def action_leave(self) -> None:
        """Goes back without a choice."""
        if self._preview is not None:
            self._preview(None)
        self.dismiss(None)

    def _tell(self) -> None:
        if self._preview is not None and self._rows.place is not None:
            self._preview(self._rows.place)

    def _choose(self) -> None:
        if self._rows.place is not None:
            self.dismiss(self._rows.place)
