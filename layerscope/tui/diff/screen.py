"""A screen that compares two versions of a path, in one image or in two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.timer import Timer
from textual.widget import Widget

from layerscope.text import docker_size, visible
from layerscope.tui.dialogs.prompt import PromptScreen
from layerscope.tui.diff.view import DiffView, SummaryLine
from layerscope.tui.diff.work import Comparison, compare_sides, highlight
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.format import plural
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal.glyphs import SEPARATOR
from layerscope.tui.work import Problem, Task

if TYPE_CHECKING:
    from layerscope.content.diff_rows import DiffText
    from layerscope.images.files.version_diff import Side

_POLL = 0.5


class DiffScreen(PromptScreen, screen="diff", heading="Versions and differences"):
    CSS_PATH = Path(__file__).with_name("diff.tcss")

    def _not_reading(self) -> str:
        return "" if self.comparing else "Nothing is being read."

    def _no_lines(self) -> str:
        return "There are no lines to show." if self.view.text is None else ""

    def _not_searched(self) -> str:
        return "" if self.view.needle else "Nothing has been searched for: / finds text."

    def _no_second_text(self, consequence: str) -> str:
        text = self.view.text
        if text is not None and not (text.diff.old and text.diff.new):
            return f"There is only one text: {consequence}."
        return self._no_lines()

    KEYS = (
        common.back_key("diff", "escape,q"),
        Key("diff.find", "slash", "find", "Find", "Find text in the diff", _no_lines, "diff"),
        *common.match_keys("diff", _not_searched, "diff"),
        Key(
            "diff.side",
            "V",
            "side",
            "Side by side",
            "Show both texts side by side, or one below the other",
            lambda self: self._no_second_text("there is nothing to put beside it"),
            "diff versions",
        ),
        Key(
            "diff.whole",
            "u",
            "whole",
            "All lines",
            "Show all lines, or only those around changes",
            lambda self: self._no_second_text("all its lines are shown"),
            "diff versions",
        ),
        Key("diff.wrap", "w", "wrap", "Wrap", "Wrap long lines, or not", _no_lines, "diff"),
        common.cancel_key("diff", "Stop reading", _not_reading),
    )

    def __init__(self, path: bytes) -> None:
        super().__init__()
        self.path = path  # Without a leading slash.
        self.view = DiffView()
        self._head: Sequence[SummaryLine] = ()
        self._reading: Task[None] | None = None
        self._poll: Timer | None = None

    @property
    def panes(self) -> Sequence[Widget]:
        return (self.view,)

    # The comparison.

    @property
    def comparing(self) -> bool:
        return self.work.busy("diff")

    def compare(self, old: Side | None, new: Side | None, head: Sequence[SummaryLine]) -> None:
        """Compares two versions; None means that there is none."""
        self.work.leave("syntax")
        self._head = head
        self.view.show([*head, SummaryLine("", None, "Reading…", "muted")], None)
        self._reading = self.work.start(
            "diff", lambda task: compare_sides(old, new, task), self._compared, failed=self._failed
        )
        if self._poll is None:
            self._poll = self.set_interval(_POLL, self.show_status)
        self.show_status()

    def _compared(self, found: Comparison) -> None:
        text = found.text
        self._show(_summary(found), text)
        if text is not None:
            name = visible(self.path.rpartition(b"/")[2])
            self.work.start("syntax", partial(highlight, text, name), self.view.set_syntax)

    def _failed(self, problem: Problem) -> None:
        text = f"{problem.message} {problem.hint}".strip()
        self._show([SummaryLine("", None, text, "warning")], None)

    def _show(self, summary: Iterable[SummaryLine], text: DiffText | None) -> None:
        if self._poll is not None:
            self._poll.stop()
            self._poll = None
        self.view.show([*self._head, *summary], text)
        if self.view.needle:
            self.view.find(self.view.needle)
        self.on_diff_view_arranged()

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        if message.view is self.view:
            self.show_status()

    def on_diff_view_arranged(self) -> None:
        self.show_status()
        self.refresh_bindings()

    # Title and border.

    @property
    def facts(self) -> str:
        """The text beside the path in the title; safe to show."""
        return ""

    def show_status(self) -> None:
        view = self.view
        right, style = "", "muted"
        if self.comparing and self._reading is not None:
            right, style = "Reading", "accent"
            if self._reading.progress.done:
                right += f"  {docker_size(self._reading.progress.done)}"
        self.title_bar.set_path("/" + visible(self.path), self.facts, right, style)
        modes = ["Diff"]
        if view.text is not None:
            modes += ["side by side"] if view.is_side_by_side else []
            modes += ["all lines"] if view.whole else []
            modes += ["wrapped"] if view.wrap else []
        found = ""
        if view.needle:
            modes.append(f"/{visible(view.needle)}")
            found = plural(len(view.matching()), "match", "matches")
        parts = filter(None, (found, _changes(view)))
        view.set_texts(SEPARATOR.join(modes), SEPARATOR.join(parts))

    # Keys.

    def action_back(self) -> None:
        if self.view.needle:
            self.view.find("")
            self.on_diff_view_arranged()
        else:
            super().action_back()

    def action_side(self) -> None:
        self.view.set_mode(side=not self.view.is_side_by_side)

    def action_whole(self) -> None:
        self.view.set_mode(whole=not self.view.whole)

    def action_wrap(self) -> None:
        self.view.set_mode(wrap=not self.view.wrap)

    def action_find(self) -> None:
        self.ask("Find", self.view.needle, "Text", self._find)

    def _find(self, needle: str) -> None:
        found = self.view.find(needle)
        if found and self.view.cursor not in self.view.matching():
            self.view.go_to_match(1)
        if not found:
            self.say("Nothing matches.")
        self.show_status()

    def action_next_match(self, step: int) -> None:
        self.say(self.view.go_to_match(step))


def _summary(found: Comparison) -> Iterator[SummaryLine]:
    from layerscope.images.files.version_diff import Body, encoding_note
    from layerscope.reports.patch_report import content_note

    diff = found.diff
    both = found.old is not None and found.new is not None
    for fact in diff.facts:
        old, new = fact.old, fact.new
        if both:
            # One version may lack an attribute of the other.
            old, new = old or "none", new or "none"
        yield SummaryLine(fact.name, old, new)
    note = content_note(diff, found.old, found.new)
    if diff.body is Body.SAME:
        yield SummaryLine("content", None, "unchanged", "strong")
    elif note:
        style = "warning" if diff.body is Body.UNREADABLE else "text"
        yield SummaryLine("content", None, note, style)
    if encoding_note(diff):
        yield SummaryLine("encoding", None, encoding_note(diff))
    if found.text is not None and not found.text.diff.blocks:
        yield SummaryLine("content", None, "empty", "muted")
    if both and not diff.changed:
        yield SummaryLine("", None, "Nothing differs.", "strong")


def _changes(view: DiffView) -> str:
    """Returns the number of changes, and the current one."""
    if view.text is None:
        return ""
    diff, changes = view.text.diff, view.changes
    parts = [f"+{diff.added:,} -{diff.removed:,}"]
    at = sum(row <= view.cursor for row in changes)
    if len(changes) > 1:
        parts.append(f"change {at} of {len(changes):,}" if at else plural(len(changes), "change"))
    if not diff.thorough:
        parts.append("not compared thoroughly: too different")
    return SEPARATOR.join(parts)
