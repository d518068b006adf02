"""The screen that shows what could be saved, why, and how."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.widget import Widget

from layerscope.errors import Cancelled
from layerscope.text import docker_size, visible
from layerscope.tui.base_screen import AppScreen
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.facts import Fact, Facts
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.waste.waste_list import WasteList, WasteRow
from layerscope.tui.work import Problem, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from layerscope.filesystem.stack import Stack
    from layerscope.filesystem.waste_causes import Causes
    from layerscope.images.files.contents import Contents
    from layerscope.images.image import Image

_POLL = 0.5

#: Seconds between reports of the comparison.
_PERIOD = 2.0


def find_waste(task: Task[Causes], stack: Stack, contents: Contents | None) -> Causes:
    """Finds what could be saved, and reports partial results.

    Cancelling only ends the comparison, and keeps its results.
    """
    from layerscope.filesystem.waste_causes import find_causes
    from layerscope.images.files.hidden import compare_hidden

    def stop() -> None:
        if task.left:
            raise Cancelled

    due = 0.0

    def look() -> Causes:
        nonlocal due
        start = time.monotonic()
        causes = find_causes(stack, stop)
        due = time.monotonic() + max(_PERIOD, 10 * (time.monotonic() - start))
        task.report(causes)
        return causes

    def now_and_then() -> None:
        if time.monotonic() >= due:
            look()

    causes = look()
    if contents is None or not causes.uncompared:
        return causes
    try:
        compare_hidden(stack, contents, task.progress, now_and_then)
    except Cancelled:
        stop()
    return look()


def facts_of(row: WasteRow | None, image: Image) -> list[Fact]:
    from layerscope.filesystem.waste_causes import Cause
    from layerscope.reports.findings import changed_of, path_text, title_of
    from layerscope.reports.waste_report import MEANINGS, remedy

    def step(layer: int) -> str:
        return f"layer {layer}: {image.layers[layer].made_by}"

    if row is None:
        return []
    if row.finding is None:
        return [Fact("", MEANINGS[row.cause])]
    finding = row.finding
    what = title_of(finding) if row.path is None else path_text(row.path)
    facts = [Fact("Written by", step(finding.wrote))]
    if finding.hidden_by is not None:
        facts.append(Fact("Hidden by", step(finding.hidden_by)))
    facts += [Fact("Remedy", remedy(finding, image), "strong"), Fact("Where", what)]
    changed = changed_of(finding)
    if changed:
        facts.append(Fact("Changed", changed, "warning"))
    if finding.cause is Cause.LEFT_OVER:
        facts.append(Fact("Note", "Containers see these files: they are not wasted.", "muted"))
    return facts


class WasteScreen(AppScreen[None], screen="waste", heading="Waste"):
    CSS_PATH = "waste.tcss"
    KEYS = (
        common.back_key("waste", "escape,q"),
        *common.pane_keys("waste"),
        Key(
            "waste.edit",
            "e",
            "visit('editor')",
            "Edit",
            "Go to the instruction that wrote it, in the Dockerfile",
            lambda self: self.list.no_finding(),
            "waste",
        ),
        common.copy_key("waste"),
        common.cancel_key("waste", "Stop comparing", "Nothing is being compared."),
    )

    def __init__(self, place: Place) -> None:
        super().__init__()
        session = place.session
        assert session is not None and session.loaded is not None  # noqa: S101, PT018
        self.list = WasteList()
        self.facts = Facts("waste-facts")
        self.finding: Task[Causes] | None = None  # The running search.
        self._from = place
        self._image = session.loaded.image
        self._stack = session.loaded.stack
        self._contents = session.contents

    def on_mount(self) -> None:
        self.title_bar.set_image(visible(self._image.reference), "what could be saved")
        self.list.set_placeholder(("Looking for waste…", "muted"))
        self.finding = self.work.start(
            "waste",
            lambda task: find_waste(task, self._stack, self._contents),
            self._finished,
            report=self._show,
        )
        self.set_interval(_POLL, self._show_progress)

    def _finished(self, causes: Causes) -> None:
        cancelled = self.finding is not None and self.finding.progress.cancelled
        self.finding = None
        self._show(causes)
        text = f"{docker_size(causes.uncompared)} not compared" if causes.uncompared else ""
        self.title_bar.set_right(text, "warning" if cancelled else "muted")

    def _show(self, causes: Causes) -> None:
        total = sum(self._stack.layer_size(layer) for layer in range(self._stack.height))
        if not causes.wasted and not causes.left_over:
            self.list.set_placeholder(
                ("Nothing is wasted, and nothing stands out that could be left out.", "text")
            )
        self.list.set_causes(causes, total)
        wasted = f"{docker_size(causes.wasted_size)} wasted"
        if causes.left_over_size:
            wasted += f", {docker_size(causes.left_over_size)} could be left out"
        self.list.set_status(wasted)
        self.facts.show(facts_of(self.list.item, self._image))
        self._show_progress()
        self.refresh_bindings()

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        if message.view is self.list:
            self.facts.show(facts_of(self.list.item, self._image))

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        row = self.list.item
        if message.view is not self.list or row is None or row.finding is None:
            return
        finding = row.finding
        layer = finding.wrote if finding.hidden_by is None else finding.hidden_by
        self._from.go(Goal(layer=layer, path=row.place))

    def report(self, problem: Problem) -> None:
        self.finding = None
        self.list.set_placeholder((problem.message, "warning"), (problem.hint, "text"))

    def _show_progress(self) -> None:
        if self.finding is not None:
            self.title_bar.set_progress(self.finding.progress, "Looking for waste")

    @property
    def panes(self) -> Sequence[Widget]:
        return (self.list, self.facts)

    @property
    def place(self) -> Place:
        """Points to the instruction to change: the one that wrote the wasted bytes."""
        row = self.list.item
        finding = None if row is None else row.finding
        return replace(
            self._from,
            layer=None if finding is None else finding.wrote,
            view=None,
            path=None if row is None or finding is None else row.place,
            text=lambda: self.list.row_text,
            pane="waste",
        )
