"""The screen with packages: the changes of a layer, or all installed ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from textual.widget import Widget

from layerscope.text import docker_size, visible
from layerscope.tui.base_screen import AppScreen
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Column, ColumnList
from layerscope.tui.rows.facts import Fact, Facts
from layerscope.tui.rows.format import plural
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.work import Problem

if TYPE_CHECKING:
    from layerscope.images.files.packages import PackageReader
    from layerscope.images.image import Image

_STYLES = {"A": "added", "M": "modified", "R": "removed", "S": "warning", " ": "text"}


@dataclass(frozen=True, slots=True)
class PackageRow:
    letter: str  # A, M or R for a changed package, S for a file with special permissions.
    kind: str  # The kind of package.
    size: str  # As shown.
    text: str  # Name and version, or path and permissions; safe to show.
    layer: int | None = None  # The layer that wrote the file; None for a package.
    path: bytes | None = None  # None for a package.


class PackageList(ColumnList[PackageRow], screen="packages", heading="Packages"):
    MARK_WIDTH = 2
    GAP = 2
    KEYS = (
        Key(
            "packages.files",
            "enter",
            "choose",
            "Files",
            "Go to the file in its layer",
            lambda self: "" if self.item and self.item.path else "This is not a single file.",
            hint="*",
        ),
    )
    COLUMNS: ClassVar[Sequence[Column[PackageRow]]] = (
        Column("change", "", 1, lambda row: (row.letter, _STYLES[row.letter])),
        Column("kind", "Kind", 8, lambda row: (row.kind, "muted"), from_width=44),
        Column("size", "Size", 8, lambda row: (row.size, "muted"), "right", kept=True),
        Column("name", "Name", 8, lambda row: (row.text, "text"), flex=True),
    )

    def __init__(self) -> None:
        super().__init__("packages")


class PackagesScreen(AppScreen[None], screen="packages", heading="Packages"):
    CSS_PATH = "packages.tcss"
    KEYS = (
        common.back_key("packages", "escape,q"),
        *common.pane_keys("packages"),
        common.copy_key("packages"),
        Key(
            "packages.all",
            "t",
            "toggle_all",
            "All",
            "Show what the layer changed, or all packages up to it",
            hint="packages packages-facts",
        ),
        Key(
            "packages.older",
            "left_square_bracket",
            "layer(-1)",
            "Lower layer",
            "Show the layer below",
            lambda self: self._no_layer(-1),
            hint="packages",
            group="Layer",
        ),
        Key(
            "packages.newer",
            "right_square_bracket",
            "layer(1)",
            "Upper layer",
            "Show the layer above",
            lambda self: self._no_layer(1),
            hint="packages",
            group="Layer",
        ),
    )

    def __init__(self, place: Place, layer: int) -> None:
        super().__init__()
        session = place.session
        assert session is not None and session.image is not None  # noqa: S101, PT018
        assert session.packages is not None  # noqa: S101
        self.list = PackageList()
        self._facts = Facts("packages-facts", "Layer")
        self._from = place
        self._image = session.image
        self._packages = session.packages
        self._wanted = (layer, False)

    def on_mount(self) -> None:
        self.title_bar.set_image(visible(self._image.reference), "packages")
        self._show()

    # What is shown.

    def _show(self) -> None:
        self._tell("")
        self.list.set_placeholder(("Reading…", "muted"))
        self.list.show([], 0)
        layer, everything = self._wanted
        self.work.start(
            "packages",
            lambda task: self._packages.ask(
                lambda reader: _rows(reader, self._image, layer, everything, task.check)
            ),
            self._found,
        )

    def _found(self, found: tuple[list[PackageRow], list[Fact]]) -> None:
        rows, facts = found
        everything = self._wanted[1]
        text = "No packages were found." if everything else "This layer changes no packages."
        self.list.set_placeholder((text, "text"))
        self.list.show(rows, 0)
        self._facts.show(facts)
        self._tell(plural(len(rows), "row"))
        self.refresh_bindings()

    def report(self, problem: Problem) -> None:
        self.list.set_placeholder((problem.message, "warning"), (problem.hint, "text"))

    def _tell(self, number: str) -> None:
        layer, everything = self._wanted
        self.list.set_texts(
            f"Packages up to layer {layer}" if everything else f"Packages of layer {layer}", number
        )

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        row = self.list.item
        if message.view is self.list and row is not None and row.path is not None:
            self._from.go(Goal(layer=row.layer or 0, path=row.path))

    @property
    def place(self) -> Place:
        row = self.list.item
        layer = self._wanted[0] if row is None or row.layer is None else row.layer
        return replace(
            self._from,
            layer=layer,
            view=None,
            path=None if row is None else row.path,
            text=lambda: self.list.row_text,
            pane="packages",
        )

    # Keys.

    def _no_layer(self, step: int) -> str:
        if 0 <= self._wanted[0] + step < self._packages.stack.height:
            return ""
        return f"This is the {'top' if step > 0 else 'base'} layer."

    @property
    def panes(self) -> Sequence[Widget]:
        return (self.list, self._facts)

    def action_toggle_all(self) -> None:
        layer, everything = self._wanted
        self._wanted = (layer, not everything)
        self._show()

    def action_layer(self, step: int) -> None:
        layer, everything = self._wanted
        self._wanted = (layer + step, everything)
        self._show()


def _rows(
    reader: PackageReader, image: Image, layer: int, everything: bool, check: Callable[[], None]
) -> tuple[list[PackageRow], list[Fact]]:
    from layerscope.reports.packages_report import (
        KINDS,
        changes,
        headline,
        privileged_text,
        special,
    )

    instruction = image.layers[layer].made_by
    facts = [Fact("Layer", f"{layer}: {instruction}")]
    if everything:
        packages, notes = reader.installed(layer, check)
        found = [(" ", package, package.version) for package in packages]
        facts.append(Fact("Packages", f"{len(packages):,} with this layer on top"))
    else:
        glance = reader.glance(layer, check)
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
