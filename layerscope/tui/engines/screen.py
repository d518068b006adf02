"""The available engines, updated as they answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from layerscope.config import keep, use_engine
from layerscope.engines.known import known_engines
from layerscope.engines.probing import EngineState, states
from layerscope.errors import LayerscopeError
from layerscope.text import docker_size, plural, visible
from layerscope.tui.base_screen import AppModal
from layerscope.tui.destinations import Place
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.columns import Cell, Column, ColumnList
from layerscope.tui.rows.facts import Note
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal import glyphs
from layerscope.tui.terminal.glyphs import SEPARATOR
from layerscope.tui.work import Task


def _version(state: EngineState) -> Cell:
    if state.problem is not None:
        return "cannot be reached", "removed"
    return (state.version, "text") if state.version else ("asking", "muted")


class EngineRows(ColumnList[EngineState], screen="engines", heading="Engines"):
    MARK_WIDTH = 3
    GAP = 1
    KEYS = (Key("engines.use", "enter", "choose", "Use", "Use this engine until you quit"),)
    COLUMNS: ClassVar[Sequence[Column[EngineState]]] = (
        Column("name", "Name", 16, lambda row: (visible(row.engine.name), "strong"), flex=True),
        Column("engine", "Engine", 17, _version, grow=True, most=22),
        Column("store", "Store", 10, lambda row: (row.store, "muted"), grow=True, most=22),
        Column(
            "images",
            "Images",
            6,
            lambda row: ("" if row.images is None else str(row.images), "text"),
            "right",
        ),
        Column(
            "disk",
            "Disk",
            7,
            lambda row: ("" if row.disk is None else docker_size(row.disk), "text"),
            "right",
        ),
    )

    def __init__(self) -> None:
        super().__init__("engine-rows", "Engines")
        self.set_placeholder(("Looking for engines…", "muted"))

    def same(self, one: EngineState, other: EngineState) -> bool:
        return one.engine.name == other.engine.name

    def mark(self, row: int) -> Cell:
        item = self.items[row]
        if item.engine.current:
            return " *", "accent"
        return (f" {glyphs.FAILED}", "removed") if item.problem is not None else (" ", "text")

    def show_states(self, found: Sequence[EngineState]) -> None:
        first = not self.items
        current = next((at for at, each in enumerate(found) if each.engine.current), 0)
        self.show(found, current if first else None)
        pending = sum(not each.done for each in found)
        count = plural(len(found), "engine") + (f", asking {pending}" if pending else "")
        ways = [f"{key_of(self, 'engines.use')} uses", f"{key_of(self, 'engines.keep')} keeps"]
        ways.append(f"{key_of(self, 'engines.back')} goes back")
        self.set_status(f"{count}{SEPARATOR}{', '.join(ways)}")


class EnginesScreen(AppModal[None], screen="engines", heading="Engines"):
    CSS_PATH = "engines.tcss"

    def _no_engine(self) -> str:
        return "" if self._list.item is not None else "No engine has been found yet."

    KEYS = (
        Key("engines.back", "escape,q", "dismiss(None)", "Back"),
        Key("engines.keep", "K", "keep", "Keep", "Use this engine from now on", _no_engine, "*"),
        Key("engines.reload", "R", "reload", "Ask again", "Look for engines again", hint="*"),
    )

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place
        self._list = EngineRows()
        self._facts = Note("engine-facts", "Address")

    def compose(self) -> ComposeResult:
        with Vertical(id="engines"):
            yield self._list
            yield self._facts

    def on_mount(self) -> None:
        self.set_focus(self._list)
        self.action_reload()

    def action_reload(self) -> None:
        def ask(task: Task[list[EngineState]]) -> list[EngineState]:
            known = known_engines()
            found = {each.name: EngineState(each) for each in known}
            task.report([*found.values()])
            for state in states(known):
                task.check()
                found[state.engine.name] = state
                task.report([*found.values()])
            return [*found.values()]

        self.work.start("engines", ask, self._show, report=self._show)

    def _show(self, found: Sequence[EngineState]) -> None:
        self._list.show_states(found)
        self._show_facts()
        self.refresh_bindings()

    def _show_facts(self) -> None:
        """Shows the address of the engine under the cursor, and why it is unreachable."""
        state = self._list.item
        if state is None:
            self._facts.show()
            return
        address = ": ".join(filter(None, (state.engine.kind, state.engine.shown)))
        problem = [] if state.problem is None else [(str(state.problem), "removed")]
        self._facts.show((address, "muted"), *problem)

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        message.stop()
        self._show_facts()

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        message.stop()
        self._use("until you quit")

    def action_keep(self) -> None:
        state = self._list.item
        if state is None:
            return
        try:
            path = keep("engine", state.engine.name)
        except LayerscopeError as error:
            self.say(str(error))
            return
        self._use(f"from now on; kept in {visible(str(path))}")

    def _use(self, how_long: str) -> None:
        state = self._list.item
        if state is None:
            return
        use_engine(state.engine.name)
        self.dismiss(None)
        self._place.switched(f"{visible(state.engine.name)} is used {how_long}.")
