"""The screen that searches all local images for files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from layerscope.text import docker_size, visible
from layerscope.tui.base_screen import AppScreen
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.dialogs.text_entry import TextEntry
from layerscope.tui.find.search import Found, ImageIndex, search
from layerscope.tui.keys import common
from layerscope.tui.keys.key import LAST, Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.columns import Column, ColumnList
from layerscope.tui.rows.facts import Fact, Facts
from layerscope.tui.rows.format import plural
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal.glyphs import SEPARATOR
from layerscope.tui.work import Problem, Task

if TYPE_CHECKING:
    from layerscope.engines.find_files import Match

_POLL, _PAUSE = 0.5, 0.3
_STATES = {True: "", False: "hidden", None: "?"}


class FoundList(ColumnList["Match"], screen="find", heading="Finding a file"):
    KEYS = (
        common.open_key(
            "found.open", "Open", "Open the image at this path", "There is nothing here to open."
        ),
    )
    COLUMNS: ClassVar[Sequence[Column[Match]]] = (
        Column(
            "image",
            "Image",
            8,
            lambda match: (visible(match.image.reference), "accent"),
            grow=True,
            share=1 / 3,
        ),
        Column("layer", "Layer", 5, lambda match: (str(match.layer), "muted"), "right"),
        Column(
            "size",
            "Size",
            8,
            lambda match: (
                docker_size(match.size) if match.kind.label == "file" else match.kind.label,
                "muted",
            ),
            "right",
            kept=True,
        ),
        Column("state", "", 6, lambda match: (_STATES[match.visible], "removed")),
        Column(
            "path",
            "Path",
            8,
            lambda match: (
                f"/{visible(match.path)}",
                "muted" if match.visible is False else "text",
            ),
            flex=True,
        ),
    )

    def __init__(self) -> None:
        super().__init__("found", "Found")


class FindEntry(TextEntry, screen="find", heading="Finding a file"):
    # Priority, so that the next key does not become part of the text.
    KEYS = (
        Key(
            "find.list",
            "enter,down",
            "screen.list",
            "Results",
            "Go to what was found",
            hint="find-text",
            priority=True,
        ),
    )


class FindScreen(AppScreen[None], screen="find", heading="Finding a file"):
    CSS_PATH = "find.tcss"

    def _nothing_to_index(self) -> str:
        if self.result is None and self.searching is None:
            return "Type what to look for first."
        if self.searching is None and not (self.result and self.result.unknown):
            return "All layers of all images are known."
        return ""

    KEYS = (
        Key("find.back", "escape", "back", "Back", hint="*", rank=LAST, priority=True),
        *common.pane_keys("find"),
        common.copy_key("find"),
        Key("find.edit", "slash", "edit", "Other text", "Change the text", hint="found"),
        Key(
            "find.index",
            "i",
            "index",
            "Index",
            "Read the layers that have not been read, and search them too",
            _nothing_to_index,
            hint="found",
        ),
        common.cancel_key("find", "Stop the search", "Nothing is being looked for."),
    )

    def __init__(self, images: ImageIndex, place: Place) -> None:
        super().__init__()
        self.result: Found | None = None  # None before the first search.
        self.searching: Task[Found] | None = None  # The running search.
        self.found = FoundList()
        self._images = images
        self._from = place
        self._entry = FindEntry(
            id="find-text", placeholder="Part of a path, or with * and ?, re:…, sha256:…"
        )
        self._facts = Facts("found-facts")
        self._pending: Timer | None = None
        self._cancelled = False

    def on_mount(self) -> None:
        self.title_bar.set_image("Find a file in all images", "")
        self.found.set_placeholder(
            ("Type part of a path.", "text"),
            ("All images of the engine are searched, as far as their layers are known.", "muted"),
        )
        self.set_interval(_POLL, self._show_progress)

    # The search.

    def on_input_changed(self, event: Input.Changed) -> None:
        """Searches after a pause, so that fast typing causes one search."""
        event.stop()
        if self._pending is not None:
            self._pending.stop()
        self._pending = self.set_timer(_PAUSE, self._search)

    def _search(self, index: bool = False) -> None:
        if self._pending is not None:
            self._pending.stop()
            self._pending = None
        self.work.leave("find")
        self.searching = self.result = None
        self._cancelled = False
        text = self._entry.value.strip()
        if not index:
            self.found.show((), 0)
        if text:
            self.found.set_placeholder(("Looking…", "muted"))
            self.searching = self.work.start(
                "find",
                lambda task: search(text, self._images, task, index=index),
                self._finished,
                report=self._show,
            )
        else:
            self.found.set_placeholder(("Type part of a path.", "text"))
        self._show_progress()
        self.refresh_bindings()

    def _show(self, found: Found) -> None:
        self.result = found
        self.found.show(found.matches)
        number = plural(len(found.matches), "match", "matches")
        number += f" in {found.having:,} of {plural(found.looked, 'image')}"
        parts = [f"{number} shown, there are more" if found.cut else number]
        if found.unknown:
            key = key_of(self, "find.index")
            parts.append(f"{found.unknown:,} not read yet ({key} reads them)")
        self.found.set_status(SEPARATOR.join(parts))
        self._show_facts()

    def _finished(self, found: Found) -> None:
        self.searching = None
        lines = [("Nothing was found.", "text")]
        if found.unknown:
            key = key_of(self, "find.index")
            number = plural(found.unknown, "image")
            lines.append((f"{number} not read yet: {key} in the list reads them.", "muted"))
        self.found.set_placeholder(*lines)
        self._show(found)
        self._show_progress()
        self.refresh_bindings()

    def report(self, problem: Problem) -> None:
        self._cancelled = problem.cancelled
        self._finished(self.result or Found())
        if not problem.cancelled:
            self.found.set_placeholder((problem.message, "warning"), (problem.hint, "text"))

    def _show_progress(self) -> None:
        if self.result is None:
            self.found.set_status()
        if self.searching is None:
            self.title_bar.set_right("Cancelled" if self._cancelled else "", "warning")
        else:
            self.title_bar.set_progress(self.searching.progress, "Looking")

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        if message.view is self.found:
            self._show_facts()

    def _show_facts(self) -> None:
        match = self.found.item
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
            Fact("Layer", f"{match.layer}: {layer.made_by}"),
            Fact("Visible", state[match.visible]),
        ]
        if match.containers:
            facts.append(Fact("Containers", visible(", ".join(match.containers))))
        self._facts.show(facts)

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        match = self.found.item
        if message.view is self.found and match is not None:
            self._from.go(Goal(match.image.source, match.layer, path=match.path))

    @property
    def place(self) -> Place:
        match = self.found.item
        place = replace(
            self._from, session=None, view=None, text=lambda: self.found.row_text, pane="found"
        )
        if match is None:
            return place
        return replace(place, image=match.image, layer=match.layer, path=match.path)

    # Keys.

    @property
    def panes(self) -> Sequence[Widget]:
        """Returns the search, the results, and the facts about one."""
        return (self._entry, self.found, self._facts)

    def action_list(self) -> None:
        """Searches at once and goes to the results, after the queued keys."""

        def leave() -> None:
            if self._pending is not None:
                self._search()
            self.set_focus(self.found, scroll_visible=False)

        self.call_later(leave)

    def action_edit(self) -> None:
        self.set_focus(self._entry, scroll_visible=False)

    def action_index(self) -> None:
        self._search(index=True)
