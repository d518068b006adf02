"""The screen that looks for a file in all local images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from layerscope.text import docker_size, one_line, visible
from layerscope.tui.find_job import FindJob, FindTold, Shelf
from layerscope.tui.format import Line, cut, left, plural, right
from layerscope.tui.goal import Goal
from layerscope.tui.screens.pane_keys import PaneKeys, pane_bindings
from layerscope.tui.widgets.facts import Fact, Facts
from layerscope.tui.widgets.key_bar import KeyBar, Saying, key_of
from layerscope.tui.widgets.row_view import RowView
from layerscope.tui.widgets.text_entry import TextEntry
from layerscope.tui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from layerscope.reports.find_report import Match

_POLL, _PAUSE = 0.5, 0.3
_STATES = {True: "", False: "hidden", None: "?"}
HINTS = {
    "find-text": ("find.cancel", "find.list"),
    "found": ("find.cancel", "found.open", "find.index", "find.edit"),
    "found-facts": ("find.cancel",),
    "": ("find.back", "find.next_pane"),
    "end": ("app.help",),
}


class Found(RowView):
    """What was found."""

    HEADER_ROWS = 1
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "choose",
            "Open",
            key_display="enter",
            tooltip="Open the image at this path",
            id="found.open",
        ),
    ]

    def __init__(self) -> None:
        super().__init__("found")
        self.matches: list[Match] = []
        self._names = 8

    @property
    def match(self) -> Match | None:
        """The match under the cursor."""
        return self.matches[self.cursor] if self.matches else None

    def show(self, matches: list[Match]) -> None:
        """Shows matches; the cursor stays where it is."""
        self.matches = matches
        self._names = max((len(visible(each.image.reference)) for each in matches), default=8)
        self.set_rows(len(matches))

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now."""
        return "There is nothing here to open." if action == "choose" and not self.matches else ""

    def header(self, row: int, width: int) -> Line:
        """The names of the columns."""
        names = self._room(width)
        text = (
            f" {left('Image', names)}  {right('Layer', 5)}  {right('Size', 8)}  {left('', 6)}  Path"
        )
        return [(text, self.ink.muted)]

    def row(self, row: int, width: int) -> Line:
        """A match."""
        each, colors = self.matches[row], self.ink
        names = self._room(width)
        state = _STATES[each.visible]
        size = docker_size(each.size) if each.kind.label == "file" else each.kind.label
        path = cut(f"/{visible(each.path)}", max(8, width - names - 28))
        return [
            (f" {left(visible(each.image.reference), names)}", colors.accent),
            (f"  {right(str(each.layer), 5)}  {right(size, 8)}  ", colors.muted),
            (f"{left(state, 6)}  ", colors.removed if state else colors.muted),
            (path, colors.muted if each.visible is False else colors.text),
        ]

    def _room(self, width: int) -> int:
        return max(8, min(self._names, width // 3))


class FindEntry(TextEntry):
    """What to look for."""

    # Priority, so that a key typed right behind it is not taken for a part of the text.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter,down",
            "screen.list",
            "Results",
            tooltip="Go to what was found",
            id="find.list",
            priority=True,
        ),
    ]


class FindScreen(Saying, PaneKeys[None], inherit_bindings=False):
    """A text, and where it is found, as it is found.

    Attributes:
        job: The search; None before the first.
    """

    CSS_PATH: ClassVar = ["waste.tcss", "find.tcss"]
    AUTO_FOCUS = "#find-text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", key_display="esc", id="find.back", priority=True),
        *pane_bindings("find"),
        Binding(
            "slash",
            "edit",
            "Other text",
            key_display="/",
            tooltip="Change the text",
            id="find.edit",
        ),
        Binding(
            "i",
            "index",
            "Index",
            tooltip="Read the images whose layers are not known, and look in them too",
            id="find.index",
        ),
        Binding("ctrl+k", "cancel", "Cancel", tooltip="Stop looking", id="find.cancel"),
    ]

    def __init__(self, shelf: Shelf, go: Callable[[Goal], object]) -> None:
        """Makes the screen.

        Args:
            shelf: The images.
            go: Opens one of them at a path.
        """
        super().__init__()
        self.job: FindJob | None = None
        self.found = Found()
        self._shelf = shelf
        self._go = go
        self._entry = FindEntry(
            id="find-text", placeholder="Part of a path, or with * and ?, re:…, sha256:…"
        )
        self._facts = Facts("found-facts")
        self._title = TitleBar()
        self.keys = KeyBar(HINTS)
        self._pending: Timer | None = None
        self._poll: Timer | None = None

    def compose(self) -> ComposeResult:
        """Title, text, panes, keys."""
        yield self._title
        yield self._entry
        yield self.found
        yield self._facts
        yield self.keys

    def on_mount(self) -> None:
        """Ready to type."""
        self._title.set_image("Find a file in all images", "")
        self.found.set_texts("Found")
        self._facts.set_texts("Details")
        self.found.set_placeholder(
            ("Type a part of a path.", "text"),
            ("All images of the engine are searched, as far as their layers are known.", "muted"),
        )

    def on_unmount(self) -> None:
        """Stops."""
        if self.job is not None:
            self.job.leave()

    # The search.

    def on_input_changed(self, event: Input.Changed) -> None:
        """Waits a moment, so that fast typing is one search."""
        event.stop()
        if self._pending is not None:
            self._pending.stop()
        self._pending = self.set_timer(_PAUSE, self._begin)

    def _begin(self, index: bool = False) -> None:
        if self._pending is not None:
            self._pending.stop()
            self._pending = None
        if self.job is not None:
            self.job.leave()
            self.job = None
        text = self._entry.value.strip()
        if not index:
            self.found.cursor = 0
            self.found.show([])
        if text:
            self.found.set_placeholder(("Looking…", "muted"))
            self.job = FindJob(text, self._shelf, self.post_message, index=index)
            if self._poll is None:
                self._poll = self.set_interval(_POLL, self._tell)
        else:
            self.found.set_placeholder(("Type a part of a path.", "text"))
        self._tell()
        self.refresh_bindings()

    def on_find_told(self, message: FindTold) -> None:
        """Shows what has been found since."""
        job = message.job
        if job is not self.job:
            return
        self.found.show(job.matches)
        if job.ended:
            if self._poll is not None:
                self._poll.stop()
                self._poll = None
            self.found.set_placeholder(*self._nothing(job))
        self._show_facts()
        self._tell()
        self.refresh_bindings()

    def _nothing(self, job: FindJob) -> list[tuple[str, str]]:
        if job.problem is not None:
            return [(job.problem.message, "warning"), (job.problem.hint, "text")]
        lines = [("Nothing was found.", "text")]
        if job.unknown:
            key = key_of(self, "find.index")
            number = plural(job.unknown, "image")
            lines.append((f"{number} not read yet: {key} in the list reads them.", "muted"))
        return lines

    def _tell(self) -> None:
        job = self.job
        if job is None:
            self.found.set_texts("Found")
            self._title.set_right("")
            return
        number = plural(len(job.matches), "match", "matches")
        number += " shown, there are more" if job.cut else f" in {plural(job.looked, 'image')}"
        if job.unknown:
            number += f", {job.unknown} not known"
        self.found.set_texts("Found", number)
        if job.ended:
            self._title.set_right("Cancelled" if job.cancelled else "", "warning")
            return
        text = job.progress.what or "Looking"
        if job.progress.done:
            text += f"  {docker_size(job.progress.done)}"
        self._title.set_right(text, "accent")

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        """Tells of another match."""
        if message.view is self.found:
            self._show_facts()

    def _show_facts(self) -> None:
        match = self.found.match
        if match is None:
            self._facts.show([])
            return
        layer = match.image.layers[match.layer]
        state = {
            True: "Containers see it.",
            False: "A later layer hides it.",
            None: "Whether it is visible is known once all layers of the image are.",
        }
        facts = [
            Fact("Path", f"/{visible(match.path)}", "strong"),
            Fact(
                "Layer", f"{match.layer}: {one_line(layer.instruction) or visible(layer.diff_id)}"
            ),
            Fact("Visible", state[match.visible]),
        ]
        if match.containers:
            facts.append(Fact("Containers", visible(", ".join(match.containers))))
        self._facts.show(facts)

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """Opens the image at the path."""
        match = self.found.match
        if message.view is self.found and match is not None:
            self.dismiss()
            self._go(Goal(match.layer, match.path, match.image.source))

    # Keys.

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now, in a sentence; empty if it does mean something."""
        job = self.job
        if action == "cancel" and (job is None or job.ended):
            return "Nothing is being looked for."
        if action == "index":
            if job is None:
                return "Type what to look for first."
            if job.ended and not job.unknown:
                return "All layers of all images are known."
        return ""

    def action_back(self) -> None:
        """Goes back."""
        self.dismiss()

    @property
    def panes(self) -> Sequence[Widget]:
        """What is looked for, what is found, and what is said of it."""
        return (self._entry, self.found, self._facts)

    def action_list(self) -> None:
        """Searches at once, and goes to what is found, behind keys that wait to be typed."""

        def leave() -> None:
            if self._pending is not None:
                self._begin()
            self.set_focus(self.found, scroll_visible=False)

        self.call_later(leave)

    def action_edit(self) -> None:
        """Goes to the text."""
        self.set_focus(self._entry, scroll_visible=False)

    def action_index(self) -> None:
        """Looks in images too that have to be read first."""
        self._begin(index=True)

    def action_cancel(self) -> None:
        """Stops looking."""
        if self.job is not None:
            self.job.cancel()
