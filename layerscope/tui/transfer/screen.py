"""The screen of a transfer: a row for each layer, and one total."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.widget import Widget

from layerscope.jobs.job import Job, State
from layerscope.jobs.launch import cancel
from layerscope.oci.reference import is_reference, parse_reference
from layerscope.reports.transfer_report import total_parts
from layerscope.text import docker_size, duration, one_line, short_id, visible
from layerscope.transfer.events import TransferEvent
from layerscope.transfer.request import KINDS, PUSH, SAVE
from layerscope.transfer.state import Row, TransferState
from layerscope.tui.base_screen import AppScreen
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.columns import Cell, Column, ColumnList
from layerscope.tui.rows.facts import Fact, Facts
from layerscope.tui.rows.format import bar
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal import glyphs
from layerscope.tui.terminal.glyphs import SEPARATOR
from layerscope.tui.work import Task

#: Errors of registries and engines when a login is missing or wrong.
_REFUSED = re.compile(r"\b401\b|unauthorized|authentication required|denied|no basic auth", re.I)
#: Seconds between repaints, and between updates of the speed.
_PERIOD = 0.5
_BAR = 20

_STYLES = {"exists": "muted", "done": "added", "mounted": "added", "retrying": "warning"}
_WORDS = {"exists": "already there"}


def _bytes(row: Row) -> Cell:
    if row.total is None:
        return "", "muted"
    done = docker_size(row.total if row.ended else row.current or 0)
    return (done if row.ended else f"{done} / {docker_size(row.total)}"), "text"


def _progress(row: Row) -> Cell:
    if row.text and row.state != "mounted":
        return one_line(row.text), "warning"
    if row.ended or not row.total:
        return "", "muted"
    return bar((row.current or 0) / row.total, _BAR), "accent"


class LayerRows(ColumnList[Row], screen="transfer", heading="Transfers"):
    COLUMNS: ClassVar[Sequence[Column[Row]]] = (
        Column("layer", "Layer", 12, lambda row: (visible(row.id), "strong")),
        Column(
            "state",
            "State",
            13,
            lambda row: (_WORDS.get(row.state, row.state), _STYLES.get(row.state, "accent")),
        ),
        Column("bytes", "Bytes", 17, _bytes, "right"),
        Column("progress", "", _BAR, _progress, flex=True),
    )
    NAME = "layer"

    def __init__(self) -> None:
        super().__init__("transfer", "Layers")
        self.set_placeholder(("Waiting for the first layer…", "muted"))

    def same(self, one: Row, other: Row) -> bool:
        return one.id == other.id

    def mark(self, row: int) -> Cell:
        item = self.items[row]
        return (glyphs.DONE if item.ended else glyphs.BUSY), _STYLES.get(item.state, "accent")


class TransferScreen(AppScreen[None], screen="transfer", heading="Transfers"):
    CSS_PATH = "transfer.tcss"

    def _not_running(self) -> str:
        return "" if self._ended is None else "It has ended."

    def _not_there(self) -> str:
        if self._job.kind == PUSH.name:
            return "What was pushed is opened from the list of images."
        done = self._ended is State.FINISHED
        return "" if done else f"The image can be opened once the {self._job.kind} has ended."

    KEYS = (
        common.back_key("transfer", "escape,q"),
        Key("transfer.open", "enter", "open", "Open", "Open the image", _not_there, "*"),
        common.cancel_key("transfer", "Stop it", _not_running),
    )

    def __init__(self, job: Job, place: Place, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._job = job
        self._from = place
        self._list = LayerRows()
        self._facts = Facts("transfer-facts")
        self._state = TransferState()
        self._ended: State | None = None

    @property
    def panes(self) -> Sequence[Widget]:
        return (self._list, self._facts)

    @property
    def place(self) -> Place | None:
        return self._from

    @property
    def registry(self) -> str:
        name = self._job.title
        return parse_reference(name).domain if is_reference(name) else ""

    def shows_job(self, identifier: str) -> bool:
        return identifier == self._job.id

    def on_mount(self) -> None:
        self.go(self._list)
        self._show()
        self.work.start("follow", self._follow, self._end, report=lambda _: self._show())
        self.set_interval(1.0, self._show_total)

    def _follow(self, task: Task[None]) -> State:
        """Reads the journal until the job ends."""
        grown = False
        for event in KINDS[self._job.kind].watch(self._job):
            task.check()
            if event is not None:
                self._state.take(event, self._clock())
            grown = grown or event is not None
            if grown:
                # Events that come too soon are painted in the next pause.
                grown = event is not None
                task.report(None, every=_PERIOD if grown else 0)
        if self._state.end is None and (reason := self._job.reason):
            self._state.end = TransferEvent("failed", text=reason)
        # The lock is released shortly after the last event.
        while self._job.state is State.RUNNING:
            task.wait(0.05)
        return self._job.state

    def _end(self, state: State) -> None:
        self._ended = state
        self._list.set_placeholder(("No layer was moved.", "muted"))
        self.base_app.seen_ends.add(self._job.id)
        self._show()
        self.refresh_bindings()
        if state is State.FINISHED and self._job.kind not in (PUSH.name, SAVE.name):
            self._from.changed("")

    def _show(self) -> None:
        state = self._state
        self.title_bar.set_image(visible(state.image or self._job.title), self._job.kind)
        self._list.show(list(state.rows.values()))
        self._show_total()
        self._facts.show(self._what_is_known())

    def _show_total(self) -> None:
        now = self._clock() if self._ended is None else None
        if self._ended is None:
            self.title_bar.set_right("running", "accent")
        else:
            style = "muted" if self._ended is State.FINISHED else "removed"
            self.title_bar.set_right(self._ended.value, style)
        self._list.set_status(SEPARATOR.join(total_parts(self._state, now)))

    def _what_is_known(self) -> list[Fact]:
        state = self._state
        facts = [Fact("Warning", one_line(text), "warning") for text in state.warnings[-3:]]
        end = state.end
        if end is None:
            goes_on = "It goes on when you leave this screen; J lists all jobs."
            return [*facts, Fact("Job", f"{self._job.id}. {goes_on}", "muted")]
        if end.event == "failed":
            text = one_line(end.text or "")
            facts.append(Fact("Failed", text, "removed"))
            if _REFUSED.search(text):
                key, kind = key_of(self, "app.login"), self._job.kind
                facts.append(Fact("Log in", f"Press {key} to log in, then {kind} it again."))
            return facts
        for each in state.loaded[-3:]:
            before = f", in place of {short_id(each.replaced)}" if each.replaced else ""
            name = f"{visible(each.name)}  " if each.name else ""
            facts.append(Fact("Loaded", f"{name}{short_id(each.image or '')}{before}"))
        if end.image and not state.loaded:
            facts.append(Fact("Image", short_id(end.image)))
        if end.digest:
            facts.append(Fact("Digest", visible(end.digest)))
        if end.text:
            facts.append(Fact("Written", one_line(end.text)))
        if end.seconds is not None:
            facts.append(Fact("Took", duration(end.seconds)))
        return facts

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        message.stop()
        if problem := self._not_there():
            self.say(problem)
        else:
            self.action_open()

    def action_open(self) -> None:
        self.dismiss(None)
        end = self._state.end
        place = end.text if end is not None else None  # Where it was written.
        name = self._state.image or self._job.title
        if self._state.loaded:
            last = self._state.loaded[-1]
            name = last.name or last.image or name
        self._from.go(Goal(source=place or f"docker-daemon:{name}"))

    def action_cancel(self) -> None:
        self.say(f"Stopping the {self._job.kind}…")
        self.work.start("cancel", lambda _: cancel(self._job))
