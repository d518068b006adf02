"""The screen that tells what could be saved, why, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.widget import Widget

from layerscope.text import docker_size, one_line, visible
from layerscope.tui.goal import Goal
from layerscope.tui.screens.pane_keys import PaneKeys, pane_bindings
from layerscope.tui.waste_job import WasteFound, WasteJob
from layerscope.tui.widgets.facts import Fact, Facts
from layerscope.tui.widgets.key_bar import KeyBar, Saying
from layerscope.tui.widgets.row_view import RowView
from layerscope.tui.widgets.title_bar import TitleBar
from layerscope.tui.widgets.waste_list import WasteList, WasteRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from layerscope.filesystem.stack import Stack
    from layerscope.images.contents import Contents
    from layerscope.images.image import Image

_POLL = 0.5
HINTS = {
    "waste": ("waste.cancel", "waste.files", "waste.toggle"),
    "waste-facts": (),
    "": ("waste.back", "waste.next_pane"),
    "end": ("app.help",),
}


def facts_of(row: WasteRow | None, image: Image) -> list[Fact]:
    """What there is to say of a line."""
    from layerscope.filesystem.waste_causes import Cause
    from layerscope.reports.waste_report import (
        MEANINGS,
        changed_of,
        path_text,
        remedy,
        title_of,
    )

    def step(layer: int) -> str:
        text = one_line(image.layers[layer].instruction)
        return f"layer {layer}: {text or 'the history does not say what'}"

    if row is None:
        return []
    if row.finding is None:
        return [Fact("", MEANINGS[row.cause])]
    finding = row.finding
    what = title_of(finding) if row.path is None else path_text(row.path)
    facts = [
        Fact("Remedy", remedy(finding, image), "strong"),
        Fact("Where", what),
        Fact("Written by", step(finding.wrote)),
    ]
    if finding.hidden_by is not None:
        facts.append(Fact("Hidden by", step(finding.hidden_by)))
    changed = changed_of(finding)
    if changed:
        facts.append(Fact("Changed", changed, "warning"))
    if finding.cause is Cause.LEFT_OVER:
        facts.append(Fact("Note", "Containers see these files: they are not wasted.", "muted"))
    return facts


class WasteScreen(Saying, PaneKeys[None], inherit_bindings=False):
    """What could be saved, largest first.

    Attributes:
        list: The pane with causes, findings and paths.
        job: What finds them.
    """

    CSS_PATH = "waste.tcss"
    AUTO_FOCUS = "#waste"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "Back", key_display="esc", id="waste.back"),
        *pane_bindings("waste"),
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
        self.facts = Facts("waste-facts")
        self.job: WasteJob | None = None
        self._image = image
        self._stack = stack
        self._contents = contents
        self._go = go
        self._title = TitleBar()
        self.keys = KeyBar(HINTS)
        self._poll: Timer | None = None

    def compose(self) -> ComposeResult:
        """Title, panes, keys."""
        self.set_class(self.app.size.height < 30, "-low")
        yield self._title
        yield self.list
        yield self.facts
        yield self.keys

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
        self.facts.show(facts_of(self.list.current, self._image))
        self._tell()
        self.refresh_bindings()

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        """Tells of another line."""
        if message.view is self.list:
            self.facts.show(facts_of(self.list.current, self._image))

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

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now, in a sentence; empty if it does mean something."""
        if action == "cancel" and (self.job is None or self.job.ended):
            return "Nothing is being compared."
        return ""

    def action_back(self) -> None:
        """Goes back."""
        self.dismiss()

    @property
    def panes(self) -> Sequence[Widget]:
        """The findings, and what is said of one."""
        return (self.list, self.facts)

    def action_cancel(self) -> None:
        """Stops comparing."""
        if self.job is not None:
            self.job.cancel()
