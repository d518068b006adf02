"""The screen that tells what could be saved, why, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.timer import Timer

from layerscope.text import docker_size, one_line, visible
from layerscope.tui.format import Line, left, wrap
from layerscope.tui.goal import Goal
from layerscope.tui.waste_job import WasteFound, WasteJob
from layerscope.tui.widgets.key_bar import KeyBar
from layerscope.tui.widgets.row_view import RowView
from layerscope.tui.widgets.title_bar import TitleBar
from layerscope.tui.widgets.waste_list import WasteList, WasteRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerscope.filesystem.stack import Stack
    from layerscope.images.contents import Contents
    from layerscope.images.image import Image

_POLL = 0.5
_LABEL = 11
HINTS = {
    "waste": ("waste.cancel", "waste.files", "waste.toggle"),
    "waste-facts": (),
    "": ("waste.back", "waste.pane"),
    "end": ("app.help",),
}


class WasteFacts(RowView):
    """What there is to say of the line under the cursor."""

    HAS_CURSOR = False

    def __init__(self, image: Image) -> None:
        super().__init__("waste-facts")
        self._image = image
        self._row: WasteRow | None = None
        self._made: list[Line] = []
        self._made_for: tuple[int, str] = (0, "")

    def show(self, row: WasteRow | None) -> None:
        """Tells of a line."""
        self._row = row
        self._made_for = (0, "")
        self.top = 0
        self._make()
        self.set_rows(len(self._made))

    def on_resize(self) -> None:
        """Wraps the lines anew."""
        self.show(self._row)

    def row(self, row: int, width: int) -> Line:
        """A line."""
        self._make()
        return self._made[row] if row < len(self._made) else []

    def _make(self) -> None:
        width = max(1, self.size.width - 1)
        if self._made_for == (width, self.app.theme):
            return
        self._made_for = (width, self.app.theme)
        self._made = []
        for label, text, style in self._facts():
            for place, part in enumerate(wrap(text, max(8, width - _LABEL - 2))):
                ink = getattr(self.ink, style)
                label_ink = self.ink.muted
                self._made.append(
                    [(f" {left('' if place else label, _LABEL)}", label_ink), (part, ink)]
                )

    def _facts(self) -> list[tuple[str, str, str]]:
        from layerscope.filesystem.waste_causes import Cause
        from layerscope.reports.waste_report import (
            MEANINGS,
            changed_of,
            path_text,
            remedy,
            title_of,
        )

        row = self._row
        if row is None:
            return []
        if row.finding is None:
            return [("", MEANINGS[row.cause], "text")]
        finding = row.finding
        what = title_of(finding) if row.path is None else path_text(row.path)
        facts = [
            ("Remedy", remedy(finding, self._image), "strong"),
            ("Where", what, "text"),
            ("Written by", self._step(finding.wrote), "text"),
        ]
        if finding.hidden_by is not None:
            facts.append(("Hidden by", self._step(finding.hidden_by), "text"))
        changed = changed_of(finding)
        if changed:
            facts.append(("Changed", changed, "warning"))
        if finding.cause is Cause.LEFT_OVER:
            facts.append(("Note", "Containers see these files: they are not wasted.", "muted"))
        return facts

    def _step(self, layer: int) -> str:
        text = one_line(self._image.layers[layer].instruction)
        return f"layer {layer}: {text or 'the history does not say what'}"


class WasteScreen(Screen[None], inherit_bindings=False):
    """What could be saved, largest first.

    Attributes:
        list: The pane with causes, findings and paths.
        job: What finds them.
    """

    CSS_PATH = "waste.tcss"
    AUTO_FOCUS = "#waste"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "Back", key_display="esc", id="waste.back"),
        Binding("tab,shift+tab", "pane", "Pane", tooltip="Next pane", id="waste.pane"),
        Binding("ctrl+k", "cancel", "Cancel", tooltip="Stop comparing", id="waste.cancel"),
    ]

    def __init__(
        self,
        image: Image,
        stack: Stack,
        contents: Contents | None,
        go: Callable[[Goal], object],
    ) -> None:
        """Makes the screen.

        Args:
            image: The image.
            stack: Its layers, all of them.
            contents: The content of its files; None if it cannot be read.
            go: Goes to a path in the files.
        """
        super().__init__()
        self.list = WasteList()
        self.facts = WasteFacts(image)
        self.job: WasteJob | None = None
        self._image = image
        self._stack = stack
        self._contents = contents
        self._go = go
        self._title = TitleBar()
        self._keys = KeyBar(HINTS)
        self._poll: Timer | None = None

    def compose(self) -> ComposeResult:
        """Title, panes, keys."""
        self.set_class(self.app.size.height < 30, "-low")
        yield self._title
        yield self.list
        yield self.facts
        yield self._keys

    def on_mount(self) -> None:
        """Begins to look."""
        self._title.set_image(visible(self._image.reference), "what could be saved")
        self.list.set_texts("Waste")
        self.facts.set_texts("Details")
        self.list.set_placeholder(("Looking for waste…", "muted"))
        self.job = WasteJob(self._stack, self._contents, self.post_message)
        self._poll = self.set_interval(_POLL, self._tell)

    def on_unmount(self) -> None:
        """Stops."""
        if self.job is not None:
            self.job.leave()

    def on_resize(self) -> None:
        """Leaves most of a low window to the list."""
        self.set_class(self.app.size.height < 30, "-low")

    def on_waste_found(self, message: WasteFound) -> None:
        """Shows what has been found."""
        causes = message.job.causes
        if message.job is not self.job or causes is None:
            return
        if message.job.ended and self._poll is not None:
            self._poll.stop()
            self._poll = None
        total = sum(self._stack.layer_size(layer) for layer in range(self._stack.height))
        if not causes.wasted and not causes.left_over:
            self.list.set_placeholder(
                ("Nothing is wasted, and nothing stands out that could be left out.", "text")
            )
        self.list.set_causes(causes, total)
        wasted = f"{docker_size(causes.wasted_size)} wasted"
        if causes.left_over_size:
            wasted += f", {docker_size(causes.left_over_size)} could be left out"
        self.list.set_texts("Waste", wasted)
        self.facts.show(self.list.current)
        self._tell()
        self.refresh_bindings()

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        """Tells of another line."""
        if message.view is self.list:
            self.facts.show(self.list.current)

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """Goes to the files."""
        row = self.list.current
        if message.view is not self.list or row is None or row.finding is None:
            return
        finding = row.finding
        path = row.path.path if row.path is not None else finding.paths[0].path
        layer = finding.wrote if finding.hidden_by is None else finding.hidden_by
        self.dismiss()
        self._go(Goal(layer, path))

    def _tell(self) -> None:
        job = self.job
        if job is None:
            return
        if job.ended:
            uncompared = 0 if job.causes is None else job.causes.uncompared
            text = f"{docker_size(uncompared)} not compared" if uncompared else ""
            self._title.set_right(text, "warning" if job.cancelled else "muted")
            return
        progress = job.progress
        text = progress.what or "Looking for waste"
        if progress.total:
            text += f"  {docker_size(progress.done)} / {docker_size(progress.total)}"
        self._title.set_right(text, "accent")

    # Keys.

    def say(self, text: str) -> None:
        """Says a sentence at the bottom, until the next key or click."""
        self._keys.say(text)

    def on_key(self) -> None:
        """What was said has been read."""
        self._keys.say("")

    def on_mouse_down(self) -> None:
        """What was said has been read."""
        self._keys.say("")

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now, in a sentence; empty if it does mean something."""
        if action == "cancel" and (self.job is None or self.job.ended):
            return "Nothing is being compared."
        return ""

    def action_back(self) -> None:
        """Goes back."""
        self.dismiss()

    def action_pane(self) -> None:
        """Goes to the other pane."""
        other = self.facts if self.focused is self.list else self.list
        self.set_focus(other, scroll_visible=False)

    def action_cancel(self) -> None:
        """Stops comparing."""
        if self.job is not None:
            self.job.cancel()
