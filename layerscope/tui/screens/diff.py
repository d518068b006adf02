"""A screen that shows what differs between two versions of a path, of one image or of two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.timer import Timer
from textual.widget import Widget

from layerscope.text import docker_size, visible
from layerscope.tui.diff_job import DiffColored, DiffJob, DiffReady
from layerscope.tui.format import plural
from layerscope.tui.glyphs import ELLIPSIS, SEPARATOR
from layerscope.tui.screens.diff_keys import BINDINGS, HINTS
from layerscope.tui.screens.pane_keys import PaneKeys
from layerscope.tui.told import Told
from layerscope.tui.widgets.diff_view import DiffView
from layerscope.tui.widgets.key_bar import KeyBar, Saying
from layerscope.tui.widgets.prompt import Prompt
from layerscope.tui.widgets.row_view import RowView
from layerscope.tui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from layerscope.images.version_diff import Side

_POLL = 0.5


class DiffScreen(Saying, PaneKeys[None], inherit_bindings=False):
    """Title, diff, keys; the diff is made beside the screen.

    Attributes:
        view: The pane with the diff.
        prompt: What asks.
        job: What compares; None before anything is to be compared.
    """

    CSS_PATH = "diff.tcss"
    AUTO_FOCUS = "#diff"
    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    def __init__(self, path: bytes) -> None:
        """Makes the screen.

        Args:
            path: The path, without slash in front.
        """
        super().__init__()
        self.path = path
        self.view = DiffView()
        self.prompt = Prompt(self._end_prompt)
        self.job: DiffJob | None = None
        self._title = TitleBar()
        self.keys = KeyBar(HINTS)
        self._head: Sequence[Told] = ()
        self._poll: Timer | None = None
        self._asked_from: RowView = self.view

    def compose(self) -> ComposeResult:
        """Title, panes, keys."""
        yield self._title
        yield from self.panes
        with Container(id="bottom"):
            yield self.keys
            yield self.prompt

    @property
    def panes(self) -> Sequence[Widget]:
        """The panes between title and keys."""
        return (self.view,)

    def on_unmount(self) -> None:
        """Stops what is being read."""
        if self.job is not None:
            self.job.cancel()

    # What is compared.

    def compare(self, old: Side | None, new: Side | None, head: Sequence[Told]) -> None:
        """Begins to compare; what was being compared before is dropped.

        Args:
            old: The old version; None if there was none.
            new: The new version; None if it is gone.
            head: What to say of both.
        """
        if self.job is not None:
            self.job.cancel()
        self._head = head
        self.view.show([*head, Told("", None, "Reading…", "muted")], None)
        name = visible(self.path.rpartition(b"/")[2])
        self.job = DiffJob(old, new, name, self.post_message)
        if self._poll is None:
            self._poll = self.set_interval(_POLL, self.tell)
        self.tell()

    def on_diff_ready(self, message: DiffReady) -> None:
        """Shows what differs."""
        job = message.job
        if job is not self.job:
            return
        if self._poll is not None:
            self._poll.stop()
            self._poll = None
        self.view.show([*self._head, *_told(job)], job.text)
        if self.view.needle:
            self.view.find(self.view.needle)
        self.tell()
        self.refresh_bindings()

    def on_diff_colored(self, message: DiffColored) -> None:
        """Colours the lines."""
        if message.job is self.job:
            self.view.set_syntax(*message.syntax)

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        """Says where the cursor is."""
        if message.view is self.view:
            self.tell()

    def on_diff_view_arranged(self) -> None:
        """Says how it is shown."""
        self.tell()
        self.refresh_bindings()

    # What is said.

    @property
    def facts(self) -> str:
        """What the title says beside the path; safe to show."""
        return ""

    def tell(self) -> None:
        """Says what is shown, and how."""
        job, view = self.job, self.view
        right, style = "", "muted"
        if job is not None and not job.ended:
            right, style = "Reading", "accent"
            if job.available:
                right += f"  {docker_size(job.available)}"
        path = "/" + visible(self.path)
        room = max(16, self.size.width - len(right) - 18)
        if len(path) > room:
            # The name matters more than the folders.
            path = ELLIPSIS + path[-room + 1 :]
        self._title.set_image(path, self.facts)
        self._title.set_right(right, style)
        modes = ["Diff"]
        if view.text is not None:
            modes += [
                text
                for text, on in (
                    ("side by side", view.is_side_by_side),
                    ("all lines", view.whole),
                    ("wrapped", view.wrap),
                )
                if on
            ]
        if view.needle:
            modes.append(f"/{visible(view.needle)}")
        found = plural(len(view.matching()), "match", "matches") if view.needle else ""
        parts = [part for part in (found, _summary(view)) if part]
        view.set_texts(SEPARATOR.join(modes), SEPARATOR.join(parts))

    # Keys.

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now, in a sentence; empty if it does mean something."""
        text = self.view.text
        if action == "cancel":
            return "" if self.job is not None and not self.job.ended else "Nothing is being read."
        if action == "next_match" and not self.view.needle:
            return "Nothing has been searched for: / finds."
        if action in ("find", "whole", "wrap", "side") and text is None:
            return "There are no lines to show."
        if text is not None and not (text.diff.old and text.diff.new):
            if action == "side":
                return "There is one text only, and nothing to put beside it."
            if action == "whole":
                return "All lines are shown: there is nothing to compare them with."
        return ""

    def action_back(self) -> None:
        """Ends the search, or goes back."""
        if self.view.needle:
            self.view.find("")
            self.tell()
            self.refresh_bindings()
        else:
            self.dismiss()

    def action_cancel(self) -> None:
        """Stops reading."""
        if self.job is not None:
            self.job.cancel()

    def action_side(self) -> None:
        """Shows both texts side by side, or one below the other."""
        self.view.set_mode(side=not self.view.is_side_by_side)

    def action_whole(self) -> None:
        """Shows all lines, or those around what differs."""
        self.view.set_mode(whole=not self.view.whole)

    def action_wrap(self) -> None:
        """Wraps long lines, or not."""
        self.view.set_mode(wrap=not self.view.wrap)

    def action_find(self) -> None:
        """Asks what to find."""
        self.keys.display = False
        focused = self.focused
        self._asked_from = focused if isinstance(focused, RowView) else self.view
        self.prompt.ask("Find", self.view.needle, "Text", self._find)

    def _find(self, needle: str) -> None:
        found = self.view.find(needle)
        if found and self.view.cursor not in self.view.matching():
            self.view.go_to_match(1)
        if not found:
            self.say("Nothing matches.")
        self.tell()

    def _end_prompt(self) -> None:
        self.keys.display = True
        self.set_focus(self._asked_from, scroll_visible=False)
        self.refresh_bindings()

    def action_next_match(self, step: int) -> None:
        """Goes to the next or previous match."""
        self.say(self.view.go_to_match(step))


def _told(job: DiffJob) -> Iterator[Told]:
    """What is said above the lines of a comparison."""
    diff = job.diff
    if diff is None:
        problem = job.problem
        text = f"{problem.message} {problem.hint}".strip() if problem is not None else ""
        yield Told("", None, text, "warning")
        return
    from layerscope.images.version_diff import Body, encoding_note
    from layerscope.reports.patch_report import content_note

    both = job.old is not None and job.new is not None
    for fact in diff.facts:
        old, new = fact.old, fact.new
        if both:
            # One of two versions may have an attribute that the other lacks.
            old, new = old or "none", new or "none"
        yield Told(fact.name, old, new)
    note = content_note(diff, job.old, job.new)
    if diff.body is Body.SAME:
        yield Told("content", None, "unchanged", "strong")
    elif note:
        style = "warning" if diff.body is Body.UNREADABLE else "text"
        yield Told("content", None, note, style)
    if encoding_note(diff):
        yield Told("encoding", None, encoding_note(diff))
    if job.text is not None and not job.text.diff.blocks:
        yield Told("content", None, "empty", "muted")
    if both and not diff.changed:
        yield Told("", None, "Nothing differs.", "strong")


def _summary(view: DiffView) -> str:
    """How much differs, and where the cursor is in it."""
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
