"""The palette: a searchable list of all actions available on the current screen."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.fuzzy import FuzzySearch
from textual.screen import Screen
from textual.theme import BUILTIN_THEMES
from textual.widgets import Input

from layerscope.tui.base_app import BaseApp
from layerscope.tui.base_screen import AppModal, AppScreen
from layerscope.tui.dialogs.text_entry import TextEntry
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key, keys_of, why_not
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.format import Line, cut, left, right
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal.glyphs import sentence
from layerscope.tui.terminal.theme import THEMES

_MOST_ROWS = 18
#: Prefixes of the ids of keys that only move.
_MOVING = ("rows.", "text.")


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the list. All texts must be safe to show."""

    text: str
    key: str = ""  # May be empty.
    problem: str = ""  # Why it is unavailable, or "".
    run: Callable[[], object] = lambda: None
    also: str = ""  # Additional search words.


#: Words of layerscope, and synonyms that users may type.
_ALIKE = {
    "archive": "tar",
    "cancel": "stop abort kill",
    "compare": "diff difference",
    "containers": "container ps",
    "copy": "yank clipboard",
    "find": "search grep locate",
    "newer": "update upgrade outdated drift behind",
    "registries": "hub tags repository catalog",
    "help": "shortcuts hotkeys bindings manual docs",
    "history": "commits",
    "instruction": "history",
    "jobs": "tasks background builds",
    "layers": "history",
    "log": "login logout sign authenticate credentials password token",
    "open": "container",
    "platform": "architecture arch os",
    "name": "tag rename retag",
    "prune": "clean gc sweep dangling unused",
    "quit": "exit leave close",
    "reload": "refresh update",
    "remove": "delete prune rm rmi erase clean",
    "save": "export extract download",
    "shell": "exec bash sh run attach terminal container",
    "theme": "dark light color colors colour colours skin",
    "versions": "history blame diff",
    "waste": "space disk usage efficiency dive",
    "zoom": "fullscreen maximize",
}
_WORD = re.compile(r"[^\W_]+")


class Match(NamedTuple):
    """How well an entry matches the query; the smallest is the best."""

    unavailable: bool
    rank: int
    score: float
    row: int
    marked: frozenset[int]  # Positions of the matching letters.


#: The rank of matches by letters in order, below all matches by words.
_LETTERS = 6


def matches(query: str, entries: Sequence[Entry]) -> list[Match]:
    """Returns the matching entries, the best first: whole words, prefixes, then other words.

    Unavailable entries come last.
    """
    typed = query.lower().split()
    search = FuzzySearch()
    found = []
    for index, entry in enumerate(entries):
        text = entry.text.lower()
        rank, score, marked = _rank(typed, text, f"{text} {entry.also.lower()}"), 0.0, set[int]()
        if rank == _LETTERS:
            score, offsets = search.match(query, entry.text)
            marked.update(offsets)
            if not score:
                continue
        for word in typed if rank < _LETTERS else ():
            place = next((m.start() for m in _WORD.finditer(text) if m[0].startswith(word)), -1)
            place = text.find(word) if place < 0 else place
            marked.update(range(place, place + len(word)) if place >= 0 else ())
        found.append(Match(bool(entry.problem), rank, -score, index, frozenset(marked)))
    by_word = any(match.rank < _LETTERS for match in found)
    return sorted(match for match in found if not by_word or match.rank < _LETTERS)


def _rank(typed: Sequence[str], text: str, whole: str) -> int:
    words = _WORD.findall(whole)
    begins = text.startswith(" ".join(typed))
    if all(word in words for word in typed):
        return 0 if begins else 1
    if begins:
        return 2
    if all(any(each.startswith(word) for each in words) for word in typed):
        return 3
    if all(word in words or not words_of(word).isdisjoint(words) for word in typed):
        return 4
    return 5 if all(word in whole for word in typed) else _LETTERS


def words_of(word: str) -> set[str]:
    """Returns the words of layerscope that a user may mean by another word."""
    return {ours for ours, others in _ALIKE.items() if word in others.split()}


class _Rows(RowView, can_focus=False):
    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__("palette-rows")
        self._typed: Entry | None = None
        self._shown: list[tuple[int, frozenset[int]]] = []
        self.set_entries(entries)

    def set_entries(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._keys = max((cell_len(entry.key) for entry in entries), default=0)

    @property
    def place(self) -> int | None:
        return self._shown[self.cursor][0] if self._shown else None

    @property
    def active(self) -> bool:
        """Always true, since the input passes its keys on."""
        return True

    def on_mount(self) -> None:
        self.set_placeholder(("Nothing matches.", "muted"))

    def pick(self, query: str, place: int | None = None, typed: Entry | None = None) -> None:
        """Shows the entries that match a query, the best first, then one for the query itself.

        The cursor moves to the entry at `place`, or to the best match.
        """
        if query:
            self._shown = [(match.row, match.marked) for match in matches(query, self._entries)]
        else:
            rows = range(len(self._entries))
            available = sorted(rows, key=lambda row: bool(self._entries[row].problem))
            self._shown = [(row, frozenset()) for row in available]
        self._typed = typed
        if typed is not None:
            # Last, so that enter prefers a match.
            self._shown.append((len(self._entries), frozenset()))
        at = (row for row, (index, _) in enumerate(self._shown) if index == place)
        self.set_rows(len(self._shown), next(at, 0))

    def clicked_row(self, row: int, x: int, chain: int) -> None:
        self.action_choose()

    def row(self, row: int, width: int) -> Line:
        index, marked = self._shown[row]
        entry = self._entries[index] if index < len(self._entries) else self._typed
        if entry is None:
            return []
        colors = self.palette
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


class PaletteScreen(AppModal[int | None], screen="palette", heading="In the palette"):
    """Asks for an entry; returns its index."""

    CSS_PATH = Path(__file__).with_name("palette.tcss")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (104, "-wide")]  # noqa: RUF012
    KEYS = (
        Key("palette.back", "escape", "leave", "Back"),
        *common.step_keys(
            "move", ("palette.down", "down", 1, "Down", ""), ("palette.up", "up", -1, "Up", "")
        ),
        *common.step_keys(
            "page",
            ("palette.page_down", "pagedown", 1, "Page down", ""),
            ("palette.page_up", "pageup", -1, "Page up", ""),
        ),
    )

    def __init__(
        self,
        hint: str,
        entries: Sequence[Entry],
        place: int | None = None,
        preview: Callable[[int | None], None] | None = None,
    ) -> None:
        super().__init__()
        self._entry = TextEntry(id="palette-text", placeholder=hint)
        self._rows = _Rows(entries)
        self._preview = preview
        self._begin = place

    def compose(self) -> ComposeResult:
        self._fit()
        with Vertical(id="palette", classes="dialog"):
            yield self._entry
            yield self._rows

    def on_mount(self) -> None:
        self._pick(self._begin)
        self.set_focus(self._entry)

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        self._rows.styles.max_height = max(1, min(_MOST_ROWS, self.app.size.height - 4))

    @property
    def typed_text(self) -> str:
        return self._entry.value.strip()

    def show(self, entries: Sequence[Entry]) -> None:
        self._rows.set_entries(entries)
        self._pick()

    def set_placeholder(self, *lines: tuple[str, str]) -> None:
        """Sets what to show while there are no entries; see `RowView.set_placeholder`."""
        self._rows.styles.min_height = 4
        self._rows.set_placeholder(*lines)

    def typed(self, text: str) -> Entry | None:
        """Returns an entry for the typed text itself, if any."""
        return None

    def choose(self, place: int) -> None:
        """Chooses the entry at an index; the one for the typed text is the last."""
        self.dismiss(place)

    def _pick(self, place: int | None = None) -> None:
        text = self.typed_text
        self._rows.pick(text, place, self.typed(text) if text else None)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._pick()
        self._show_preview()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._choose()

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        self._show_preview()

    def on_row_view_chosen(self) -> None:
        self._choose()

    def on_mouse_down(self) -> None:
        self.set_focus(self._entry)

    def action_move(self, rows: int) -> None:
        self._rows.action_move(rows)

    def action_page(self, pages: int) -> None:
        self._rows.action_page(pages)

    def action_leave(self) -> None:
        if self._preview is not None:
            self._preview(None)
        self.dismiss(None)

    def _show_preview(self) -> None:
        if self._preview is not None and self._rows.place is not None:
            self._preview(self._rows.place)

    def _choose(self) -> None:
        if self._rows.place is not None:
            self.choose(self._rows.place)


def commands(app: BaseApp, screen: Screen[object]) -> list[Entry]:
    """Returns all actions of a screen and its panes; keys that only move come last."""
    found: dict[str, Entry] = {}
    for node, binding, _, _ in screen.active_bindings.values():
        name = binding.id or binding.action
        if name in found or name == "app.palette":
            continue
        text = sentence(binding.tooltip or binding.description, app.glyphs)
        run = partial(app.call_later, app.run_action, binding.action, node)
        why = why_not(node, binding.action)
        shown = app.get_key_display(binding)
        found[name] = Entry(text, shown, why, run, binding.description)
    texts = {entry.text for entry in found.values()}
    panes = screen.panes if isinstance(screen, AppScreen) else ()
    for pane in (each for each in panes if isinstance(each, RowView)):
        for key in keys_of(type(pane)):
            text = sentence(key.text, app.glyphs)
            if key.id not in found and text not in texts and not key.id.startswith(_MOVING):
                why = f"Only in pane {pane.title}."
                say = partial(app.call_later, app.say, why)
                found[key.id] = Entry(text, key_of(pane, key.id), why, say, key.label)
    others = [
        Entry(sentence(title, app.glyphs), run=partial(app.call_later, run))
        for title, _, run, _ in app.get_system_commands(screen)
    ]
    moves = {name for name in found if name.startswith(_MOVING)}
    return [
        *(command for name, command in found.items() if name not in moves),
        *others,
        *(found[name] for name in moves),
    ]


def theme_names() -> list[str]:
    return [theme.name for theme in THEMES] + [
        name for name in BUILTIN_THEMES if not name.startswith("textual-")
    ]
