"""The screen that shows which engine has which image, and which ones lack it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from layerscope.config import use_engine
from layerscope.text import docker_age, docker_size, plural, short_id, visible
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.dialogs.dialog import ChoicesDialog
from layerscope.tui.dialogs.list_screen import ListScreen, list_keys
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Column, created_column, size_column
from layerscope.tui.rows.facts import Fact
from layerscope.tui.rows.filtered import FilteredList
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.work import Task

if TYPE_CHECKING:
    from layerscope.engines.fleet import Fleet, FleetImage, Holding


@dataclass(frozen=True, slots=True)
class _Row:
    image: FleetImage
    name: str
    engines: str
    age: str
    missing_from: int  # Number of engines that lack it.


class FleetList(FilteredList[_Row], screen="fleet", heading="Images of all engines"):
    NOUN = ("image", "images")
    KEYS = (
        common.open_key(
            "fleet.open",
            "Layers",
            "Use the engine that has the image, and show its layers",
            "The list is empty.",
        ),
        Key(
            "fleet.push",
            "greater_than_sign",
            "screen.push",
            "Push to…",
            "Push the image to an engine that lacks it, after a preview",
            lambda self: "" if self.item and self.item.missing_from else "No engine lacks it.",
            "*",
        ),
    )
    COLUMNS: ClassVar[Sequence[Column[_Row]]] = (
        Column(
            "name",
            "IMAGE",
            10,
            lambda row: (row.name, "text" if row.image.names else "muted"),
            grow=True,
            flex=True,
            sort=lambda row: row.name,
        ),
        Column("id", "ID", 12, lambda row: (short_id(row.image.first.id), "muted"), from_width=100),
        created_column(lambda row: row.age, lambda row: row.image.first.created, most=16),
        size_column(lambda row: row.image.size, kept=False),
        Column(
            "engines",
            "ENGINES",
            14,
            lambda row: (row.engines, "accent"),
            grow=True,
            share=1 / 3,
            kept=True,
            sort=lambda row: row.engines,
        ),
        Column(
            "missing",
            "LACKED BY",
            9,
            lambda row: (str(row.missing_from or ""), "warning"),
            "right",
            sort=lambda row: -row.missing_from,
        ),
    )

    def __init__(self) -> None:
        super().__init__("fleet", "Images of all engines", sorted_by="name")

    def same(self, one: _Row, other: _Row) -> bool:
        return bool(one.image.holdings.items() & other.image.holdings.items())


class EngineChoice(ChoicesDialog, screen="fleet_choice", heading="An engine that lacks an image"):
    ANSWERS = "enter shows what would be sent, esc goes back"
    KEYS = (
        Key("fleet_choice.take", "enter", "take", "Choose it"),
        Key("fleet_choice.back", "escape,q", "dismiss(None)", "Back"),
    )


class FleetScreen(ListScreen, screen="fleet", heading="Images of all engines"):
    KEYS = (
        Key("fleet.reload", "R", "reload", "Ask again", "", None, "fleet"),
        *list_keys("fleet"),
    )

    def __init__(self, place: Place) -> None:
        self.rows = FleetList()
        super().__init__(self.rows)
        self._from = place
        self._fleet: Fleet | None = None

    def on_mount(self) -> None:
        self.title_bar.set_image("Images of all engines", "")
        self.go(self.list)
        self.action_reload()

    def action_reload(self) -> None:
        def ask(task: Task[Fleet]) -> None:
            from layerscope.engines.fleet import find_fleet
            from layerscope.engines.known import distinct, known_engines

            for fleet in find_fleet(distinct(known_engines())):
                task.report(fleet)
                task.check()

        self.list.set_placeholder(("Asking the engines…", "muted"))
        self.title_bar.set_right("Asking the engines", "accent")
        self.work.start("fleet", ask, report=self._show)

    def _show(self, fleet: Fleet) -> None:
        self._fleet, now = fleet, time.time()
        if fleet.pending:
            waiting = plural(len(fleet.pending), "engine")
            self.title_bar.set_right(f"Asking {waiting}", "accent")
        else:
            self.title_bar.set_right("")
            self.list.set_placeholder(("No engine has an image.", "text"))
        rows = [
            _Row(
                image,
                visible(", ".join(image.names)) or short_id(image.first.id),
                visible(", ".join(image.holdings)),
                docker_age(image.first.created, now),
                sum(1 for _ in fleet.lacking(image)),
            )
            for image in fleet.images
        ]
        answered = len(fleet.engines) - len(fleet.problems) - len(fleet.pending)
        note = f"of {plural(answered, 'engine')}"
        if fleet.problems:
            note += f"; not reached: {visible(', '.join(fleet.problems))}"
        self.rows.fill(rows, note)
        self.show_facts()

    def row_facts(self) -> Sequence[Fact]:
        row = self.rows.item
        if self._fleet is None or row is None:
            return []
        facts = []
        for engine, held in row.image.holdings.items():
            names = visible(", ".join(held.names))
            facts.append(Fact("In", f"{visible(engine)}  {short_id(held.id)} {names}"))
            facts += [Fact("", visible(digest), "muted") for digest in held.digests]
        lacking = self._lacking(self._fleet, row.image)
        return [*facts, *(Fact("Lacked by", text, "warning") for text in lacking.values())]

    @staticmethod
    def _lacking(fleet: Fleet, image: FleetImage) -> dict[str, str]:
        """Returns what each engine that lacks an image would receive, by engine name."""
        found = {}
        for engine, layers in fleet.lacking(image):
            count = f"{len(layers)} of {plural(len(image.first.layers), 'layer')}"
            size = image.size_of(layers)
            found[engine] = f"{visible(engine)}  " + (
                count if size is None else f"{count}, {docker_size(size)}"
            )
        return found

    @property
    def place(self) -> Place:
        return replace(
            self._from, session=None, view=None, pane="fleet", source="",
            text=lambda: self.list.row_text,
        )  # fmt: skip

    def action_push(self) -> None:
        row = self.rows.item
        if self._fleet is None or row is None or not row.missing_from:
            return
        lacking = self._lacking(self._fleet, row.image)
        holder, held = self._holder(row.image)
        name = next(iter(held.names), held.id)

        def chosen(engine: str | None) -> None:
            if engine is not None:
                at = replace(self.place, reference=name, engines=(holder, engine))
                self.visit("push_to", at)

        title = f"Push {visible(row.name)} to"
        choices = [("", text) for text in lacking.values()]
        self.app.push_screen(EngineChoice(title, "", choices, [*lacking]), chosen)

    def _holder(self, image: FleetImage) -> tuple[str, Holding]:
        """Returns an engine that has an image, preferably the current one."""
        assert self._fleet is not None  # noqa: S101
        current = next((each.name for each in self._fleet.engines if each.current), "")
        name = current if current in image.holdings else next(iter(image.holdings))
        return name, image.holdings[name]

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        message.stop()
        row = self.rows.item
        if message.view is not self.list or row is None or self._fleet is None:
            return
        holder, held = self._holder(row.image)
        if not any(each.current and each.name == holder for each in self._fleet.engines):
            use_engine(holder)
            self._from.switched(f"{visible(holder)} is used until you quit.")
        self._from.go(Goal(source=held.id))
