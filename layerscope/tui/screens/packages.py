"""The screen with packages: what a layer did to them, or all that are installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from layerscope.errors import Cancelled
from layerscope.text import docker_size, one_line, visible
from layerscope.tui.background import run_beside
from layerscope.tui.format import Line, cut, left, plural, right
from layerscope.tui.glance_job import GlanceJob
from layerscope.tui.goal import Goal
from layerscope.tui.screens.pane_keys import PaneKeys, pane_bindings
from layerscope.tui.session import Problem, problem_of
from layerscope.tui.widgets.facts import Fact, Facts
from layerscope.tui.widgets.key_bar import KeyBar, Saying
from layerscope.tui.widgets.row_view import RowView
from layerscope.tui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from layerscope.images.image import Image

HINTS = {
    "packages": ("packages.files", "packages.all", "packages.older packages.newer=Layer"),
    "packages-facts": ("packages.all",),
    "": ("packages.back", "packages.next_pane"),
    "end": ("app.help",),
}
_STYLES = {"A": "added", "M": "modified", "R": "removed", "S": "warning", " ": "text"}


@dataclass(frozen=True, slots=True)
class PackageRow:
    """A line.

    Attributes:
        letter: A, M or R for packages that a layer changed, S for a file with special rights.
        kind: What sort of package it is.
        size: Its size, as it is shown.
        text: Name and version, or path and rights; safe to show.
        layer: The layer that wrote the file; None for a package.
        path: Its path; None for a package.
    """

    letter: str
    kind: str
    size: str
    text: str
    layer: int | None = None
    path: bytes | None = None


class PackageList(RowView):
    """Packages, and files with special rights below them."""

    HEADER_ROWS = 1
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "choose",
            "Files",
            key_display="enter",
            tooltip="Go to the file in its layer",
            id="packages.files",
        ),
    ]

    def __init__(self) -> None:
        super().__init__("packages")
        self.rows: list[PackageRow] = []

    @property
    def current(self) -> PackageRow | None:
        """The line under the cursor."""
        return self.rows[self.cursor] if self.rows else None

    def show(self, rows: list[PackageRow]) -> None:
        """Shows lines."""
        self.rows = rows
        self.top = 0
        self.set_rows(len(rows), 0)

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now."""
        if action == "choose" and (self.current is None or self.current.path is None):
            return "This is no single file."
        return ""

    def header(self, row: int, width: int) -> Line:
        """The names of the columns."""
        return [(f"   {left('Kind', 8)}  {right('Size', 8)}  Name", self.ink.muted)]

    def row(self, row: int, width: int) -> Line:
        """A line."""
        each, colors = self.rows[row], self.ink
        return [
            (f" {each.letter} ", getattr(colors, _STYLES[each.letter])),
            (f"{left(each.kind, 8)}  {right(each.size, 8)}  ", colors.muted),
            (cut(each.text, max(8, width - 23)), colors.text),
        ]


class PackagesScreen(Saying, PaneKeys[None], inherit_bindings=False):
    """What a layer did to packages, or all packages up to it."""

    CSS_PATH: ClassVar = ["waste.tcss", "packages.tcss"]
    AUTO_FOCUS = "#packages"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "Back", key_display="esc", id="packages.back"),
        *pane_bindings("packages"),
        Binding(
            "t",
            "toggle_all",
            "All",
            tooltip="Show what the layer changed, or all packages up to it",
            id="packages.all",
        ),
        Binding(
            "left_square_bracket",
            "layer(-1)",
            "Lower layer",
            key_display="[",
            tooltip="Show the layer below",
            id="packages.older",
        ),
        Binding(
            "right_square_bracket",
            "layer(1)",
            "Upper layer",
            key_display="]",
            tooltip="Show the layer above",
            id="packages.newer",
        ),
    ]

    class Read(Message):
        """What there is to show, or why there is nothing."""

        def __init__(
            self,
            wanted: tuple[int, bool],
            rows: list[PackageRow],
            facts: list[Fact],
            problem: Problem | None,
        ) -> None:
            super().__init__()
            self.wanted = wanted
            self.rows = rows
            self.facts = facts
            self.problem = problem

    def __init__(
        self, image: Image, job: GlanceJob, layer: int, go: Callable[[Goal], object]
    ) -> None:
        """Makes the screen.

        Args:
            image: The image.
            job: Knows its packages.
            layer: The layer to begin with.
            go: Goes to a path in the files.
        """
        super().__init__()
        self.list = PackageList()
        self._facts = Facts("packages-facts")
        self._image = image
        self._job = job
        self._wanted = (layer, False)
        self._go = go
        self._title = TitleBar()
        self.keys = KeyBar(HINTS)

    def compose(self) -> ComposeResult:
        """Title, panes, keys."""
        yield self._title
        yield self.list
        yield self._facts
        yield self.keys

    def on_mount(self) -> None:
        """Begins to read."""
        self._title.set_image(visible(self._image.reference), "packages")
        self._facts.set_texts("Layer")
        self._show()

    # What is shown.

    def _show(self) -> None:
        self._tell("")
        self.list.set_placeholder(("Reading…", "muted"))
        self.list.show([])
        wanted = self._wanted
        run_beside("packages", lambda: self._read(wanted))

    def _read(self, wanted: tuple[int, bool]) -> None:
        rows: list[PackageRow] = []
        facts: list[Fact] = []
        problem = None
        try:
            with self._job.lock:
                rows, facts = _rows(self._job, self._image, *wanted)
        except Cancelled:
            return
        except Exception as error:
            problem = problem_of(error)
        self.post_message(self.Read(wanted, rows, facts, problem))

    def on_packages_screen_read(self, message: Read) -> None:
        """Shows it, unless something else is wanted by now."""
        if message.wanted != self._wanted:
            return
        everything = self._wanted[1]
        text = "No packages are known." if everything else "This layer changes no packages."
        lines = [(text, "text")]
        if message.problem is not None:
            lines = [(message.problem.message, "warning"), (message.problem.hint, "text")]
        self.list.set_placeholder(*lines)
        self.list.show(message.rows)
        self._facts.show(message.facts)
        self._tell(plural(len(message.rows), "row"))
        self.refresh_bindings()

    def _tell(self, number: str) -> None:
        layer, everything = self._wanted
        self.list.set_texts(
            f"Packages up to layer {layer}" if everything else f"Packages of layer {layer}", number
        )

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """Goes to a file with special rights."""
        row = self.list.current
        if message.view is self.list and row is not None and row.path is not None:
            self.dismiss()
            self._go(Goal(row.layer or 0, row.path))

    # Keys.

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now, in a sentence; empty if it does mean something."""
        if action == "layer":
            step = 1 if parameters == (1,) else -1
            if not 0 <= self._wanted[0] + step < self._job.stack.height:
                return f"This is the {'top' if step > 0 else 'base'} layer."
        return ""

    def action_back(self) -> None:
        """Goes back."""
        self.dismiss()

    @property
    def panes(self) -> Sequence[Widget]:
        """The packages, and what is said of one."""
        return (self.list, self._facts)

    def action_toggle_all(self) -> None:
        """Shows what the layer changed, or all packages."""
        layer, everything = self._wanted
        self._wanted = (layer, not everything)
        self._show()

    def action_layer(self, step: int) -> None:
        """Goes to another layer."""
        layer, everything = self._wanted
        self._wanted = (layer + step, everything)
        self._show()


def _rows(
    job: GlanceJob, image: Image, layer: int, everything: bool
) -> tuple[list[PackageRow], list[Fact]]:
    from layerscope.reports.packages_report import (
        KINDS,
        changes,
        headline,
        privileged_text,
        special,
    )

    reader = job.reader
    instruction = one_line(image.layers[layer].instruction) or "the history does not say what"
    facts = [Fact("Layer", f"{layer}: {instruction}")]
    if everything:
        packages, notes = reader.installed(layer, job.check)
        found = [(" ", package, package.version) for package in packages]
        facts.append(Fact("Packages", f"{len(packages):,} with this layer on top"))
    else:
        glance = reader.glance(layer, job.check)
        found, notes = changes(glance), list(glance.notes)
        facts.append(Fact("Packages", headline(glance).removeprefix("Packages: ")))
    rows = [
        PackageRow(
            letter,
            KINDS[package.kind],
            "" if package.size is None else docker_size(package.size),
            f"{visible(package.name)} {visible(version)}".rstrip(),
        )
        for letter, package, version in found
    ]
    rights = special(reader, layer, None if everything else layer)
    rows += [
        PackageRow("S", "rights", "", privileged_text(each), number, each.path)
        for number, each in rights
    ]
    facts.append(Fact("Rights", f"{plural(len(rights), 'file')} with special rights"))
    return rows, facts + [Fact("Note", note, "warning") for note in notes]
