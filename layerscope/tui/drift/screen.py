"""The screen that compares the engine's images with their registries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from layerscope.text import docker_age, short_id, visible
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.dialogs.list_screen import ListScreen, list_keys
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Cell, Column, created_column
from layerscope.tui.rows.facts import Fact
from layerscope.tui.rows.filtered import FilteredList
from layerscope.tui.rows.format import tail
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal.glyphs import ELLIPSIS
from layerscope.tui.work import Problem, Task

if TYPE_CHECKING:
    from layerscope.engines.drift import Drift

_STYLES = {"current": "added", "behind": "warning", "gone": "warning", "unknown": "removed"}
#: States, the most urgent first.
_ORDER = ("behind", "gone", "unknown", "current", "local")
_MEANINGS = {
    "current": "The registry has the same image under this name.",
    "behind": "The registry has another image under this name.",
    "gone": "The registry has no such name any more.",
    "local": "It was neither pulled nor pushed here, so there is nothing to compare.",
    "unknown": "It could not be checked.",
}


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    id: str
    drift: Drift | None  # None until the registry answers.
    age: str = ""
    behind: str = ""  # How much newer the registry's image is.


def _state(row: _Row) -> Cell:
    if row.drift is None:
        return ELLIPSIS, "faint"
    state = row.drift.state.value
    return f"{state} {row.behind}".rstrip(), _STYLES.get(state, "muted")


def _rank(row: _Row) -> tuple[bool, int, int] | None:
    drift = row.drift
    if drift is None:
        return None
    return not drift.is_behind, _ORDER.index(drift.state.value), -(drift.seconds_behind or 0)


def _local(row: _Row) -> str:
    return row.drift.local[0] if row.drift is not None and row.drift.local else ""


def _older(row: _Row) -> str:
    found = [] if row.drift is None else row.drift.containers
    names = ", ".join(visible(container.name) for container, current in found if not current)
    return f"older: {names}" if names else ""


class DriftList(FilteredList[_Row], screen="drift", heading="Newer images"):
    NOUN = ("image", "images")
    KEYS = (
        common.open_key(
            "drift.open", "Layers", "Show the layers of the local image", "The list is empty."
        ),
    )
    COLUMNS: ClassVar[Sequence[Column[_Row]]] = (
        Column(
            "name",
            "IMAGE",
            8,
            lambda row: (visible(row.name), "text"),
            grow=True,
            flex=True,
            sort=lambda row: row.name,
            pieces=lambda row, width: [(tail(visible(row.name), width), "text")],
        ),
        Column("state", "STATE", 17, _state, kept=True, sort=_rank),
        created_column(lambda row: row.age, lambda row: row.drift.created if row.drift else None),
        Column(
            "local",
            "LOCAL",
            12,
            lambda row: (short_id(_local(row)), "muted"),
            from_width=90,
        ),
        Column(
            "remote",
            "REGISTRY",
            12,
            lambda row: (short_id((row.drift and row.drift.remote) or ""), "muted"),
            from_width=90,
        ),
        Column(
            "containers",
            "CONTAINERS",
            10,
            lambda row: (_older(row), "warning"),
            grow=True,
            share=1 / 4,
            optional=True,
        ),
    )

    def __init__(self) -> None:
        super().__init__("drift", "Images and their registries", sorted_by="state")

    def same(self, one: _Row, other: _Row) -> bool:
        return (one.name, one.id) == (other.name, other.id)


class DriftScreen(ListScreen, screen="drift", heading="Newer images"):
    def _not_remote(self) -> str:
        row = self.rows.item
        if row is None:
            return "The list is empty."
        there = row.drift is None or row.drift.state.value in ("current", "behind")
        return "" if there else "The registry has no such image to compare with."

    KEYS = (
        Key(
            "drift.compare",
            "c",
            "compare",
            "Compare",
            "Compare the local image with the registry's, without a pull",
            _not_remote,
            "drift",
        ),
        Key(
            "drift.pull",
            "less_than_sign",
            "visit('pull')",
            "Pull…",
            "Pull the newer image",
            _not_remote,
            "drift",
        ),
        Key("drift.reload", "R", "reload", "Check again", "", None, "drift"),
        *list_keys("drift"),
        common.cancel_key("drift", "Stop asking the registries", "No registry is being asked."),
    )

    def __init__(self, place: Place) -> None:
        self.rows = DriftList()
        super().__init__(self.rows)
        assert place.drifts is not None  # noqa: S101 - the key requires it
        self._drifts = place.drifts
        self._from = place
        self._names = [name for _, name in place.chosen if name] if place.marked else []

    def on_mount(self) -> None:
        self.title_bar.set_image("Newer images", self._from.engine)
        self.go(self.list)
        self.action_reload()

    def on_unmount(self) -> None:
        super().on_unmount()
        self._drifts.end()

    # What is known.

    def action_reload(self) -> None:
        insecure = self.base_app.insecure

        def ask(task: Task[None]) -> None:
            self._drifts.ask(self._names, task, insecure=insecure)

        self.list.set_placeholder(("Asking the registries…", "muted"))
        self.title_bar.set_right("Asking the registries", "accent")
        self.work.start("drift", ask, self._ended, report=lambda _: self._show())

    def _ended(self, _: object) -> None:
        self.title_bar.set_right("")
        self.list.set_placeholder(("The engine has no image with a name.", "text"))
        self._drifts.end()
        self._show()

    def report(self, problem: Problem) -> None:
        self._ended(None)
        self.list.set_placeholder((problem.message, "warning"), (problem.hint, "text"))
        if self.rows.total:
            super().report(problem)

    def _show(self) -> None:
        from layerscope.reports.drift_report import time_behind

        now, known = time.time(), self._drifts.known
        rows = []
        for name, identifier in self._drifts.names:
            drift = known.get((name, identifier))
            if drift is None:
                rows.append(_Row(name, identifier, None))
            else:
                age = docker_age(drift.created, now)
                rows.append(_Row(name, identifier, drift, age, time_behind(drift)))
        behind = sum(drift.is_behind for drift in known.values())
        note = f"{behind} behind, or with older containers" if behind else ""
        # Outdated images come first; a cursor that was never moved stays at the top.
        self.rows.fill(rows, note, cursor=None if self.rows.moved else 0)
        self._drifts.show()
        self.show_facts()

    def row_facts(self) -> Sequence[Fact]:
        row = self.rows.item
        return [] if row is None or row.drift is None else _facts(row, row.drift)

    # What can be done with an image.

    @property
    def place(self) -> Place:
        row = self.rows.item
        name = "" if row is None else row.name
        marked = (f"docker-daemon:{name}", f"docker://{name}")
        return replace(
            self._from, session=None, view=None, pane="drift", source="", marked=marked,
            text=lambda: self.list.row_text, reference=name,
        )  # fmt: skip

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        message.stop()
        row = self.rows.item
        if message.view is self.list and row is not None:
            self._from.go(Goal(source=row.name))

    def action_compare(self) -> None:
        self.visit("compare_marked", self.place)


def _facts(row: _Row, drift: Drift) -> Sequence[Fact]:
    state = drift.state.value
    text = _MEANINGS[state]
    if row.behind:
        text += f" It is {row.behind} newer."
    facts = [Fact("Image", visible(row.name), "strong")]
    facts.append(Fact("State", text, _STYLES.get(state, "text")))
    if drift.why:
        facts.append(Fact("Why", visible(drift.why), "removed"))
    facts += [Fact("Local", visible(digest)) for digest in drift.local]
    if drift.remote:
        facts.append(Fact("Registry", visible(drift.remote)))
    for container, current in drift.containers:
        text = f"{visible(container.name)} ({visible(container.state)})"
        text += " uses this image" if current else " uses an older one: create it again"
        facts.append(Fact("Container", text, "text" if current else "warning"))
    return facts
