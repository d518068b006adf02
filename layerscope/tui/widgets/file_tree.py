"""Pane 3: the files of a layer, or of the union up to it."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from layerscope.filesystem.change import Change
from layerscope.tui.background import run_beside
from layerscope.tui.format import Heading, Line
from layerscope.tui.unfold import unfolded
from layerscope.tui.widgets.file_rows import FileRows
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.filesystem.rows import TreeRows
    from layerscope.filesystem.view import View

#: Trees up to this size are searched at once: it takes a few milliseconds.
_SMALL = 20_000


class FileTree(RowView):
    """The file tree.

    Attributes:
        rows: What is shown, or None while there is nothing to show.
        pattern: The filter, or None.
        hidden: Changes that are not shown.
    """

    HEADER_ROWS = 1
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,right", "expand", "Expand a folder, or go into it", id="files.expand"),
        Binding("h,left", "collapse", "Collapse, or go to the folder above", id="files.collapse"),
        Binding(
            "space,enter",
            "toggle_folder",
            "Expand",
            tooltip="Expand or collapse a folder",
            id="files.toggle",
        ),
        Binding("E", "expand_all(True)", "Expand all", id="files.expand_all"),
        Binding("C", "expand_all(False)", "Collapse all", id="files.collapse_all"),
    ]

    class Counted(Message):
        """There are other rows: another view, filter or choice of kinds."""

    class Filtered(Message):
        """A search beside the screen has ended."""

        def __init__(self, rows: TreeRows, generation: int) -> None:
            super().__init__()
            self.rows = rows
            self.generation = generation

    def __init__(self) -> None:
        super().__init__("files")
        self.rows: TreeRows | None = None
        self.pattern: re.Pattern[bytes] | None = None
        self.hidden: set[Change] = set()
        self._drawn: FileRows | None = None
        self._generation = 0
        self._by_hand = False
        self._idle = True

    # What is shown.

    def show(self, view: View) -> None:
        """Shows a view; the cursor stays on its path, or goes to the next folder above it."""
        from layerscope.filesystem.rows import TreeRows

        path = self._path()
        self._idle = False
        # Until the user expands or collapses something, as much is open as there is room for.
        free = not self._by_hand and self.pattern is None
        rows = self.rows
        if rows is None or (free and rows.view.stack is not view.stack):
            self.rows = TreeRows(view)
            self.rows.hidden = self.hidden
            if rows is not None:
                self.rows.sort, self.rows.reverse = rows.sort, rows.reverse
            self._drawn = FileRows(self.rows)
            rows = self.rows
        if free:
            rows.expanded = unfolded(view, self.page_size)
        rows.show(view)
        self._changed(path)

    def clear(self, *placeholder: tuple[str, str]) -> None:
        """Shows a text instead."""
        self._idle = True
        self.set_placeholder(*placeholder)
        self.set_rows(0)
        self.post_message(self.Counted())

    def forget(self) -> None:
        """Forgets a tree, before another image's."""
        self.rows = None
        self._drawn = None
        self.pattern = None
        self._generation += 1
        self._by_hand = False
        self.top = self.cursor = 0

    def filter(self, pattern: re.Pattern[bytes] | None) -> None:
        """Shows only paths that match; large trees are searched beside the screen."""
        self.pattern = pattern
        self._generation += 1
        rows = self.rows
        if rows is None:
            return
        if pattern is None or len(rows.tree) <= _SMALL:
            path = self._path()
            rows.filter(pattern)
            self._changed(path)
            return
        generation = self._generation
        found = copy.copy(rows)

        def search() -> None:
            found.filter(pattern)
            if generation == self._generation:
                self.post_message(self.Filtered(found, generation))

        run_beside("filter", search)

    def on_file_tree_filtered(self, message: Filtered) -> None:
        """Takes the rows that a search found, unless they are of yesterday."""
        message.stop()
        rows = self.rows
        if rows is None or message.generation != self._generation:
            return
        path = self._path()
        found = message.rows
        found.hidden = self.hidden
        found.sort, found.reverse = rows.sort, rows.reverse
        found.show(rows.view)
        self.rows = found
        self._drawn = FileRows(found)
        self._changed(path)

    def hide(self, change: Change) -> None:
        """Hides or shows a kind of change."""
        self.hidden ^= {change}
        if self.rows is not None:
            path = self._path()
            self.rows.hidden = self.hidden
            self.rows.update()
            self._changed(path)

    def cycle_sort(self) -> None:
        """Sorts by the next column."""
        from layerscope.filesystem.rows import SortKey

        if self.rows is not None:
            keys = list(SortKey)
            self._sort(keys[(keys.index(self.rows.sort) + 1) % len(keys)].value, False)

    def reverse_sort(self) -> None:
        """Turns the order round."""
        if self.rows is not None:
            self._sort(self.rows.sort.value, not self.rows.reverse)

    def headings(self, width: int) -> list[Heading]:
        """The columns that it can be sorted by."""
        if self._drawn is None or not self.row_count:
            return []
        return self._drawn.headings(width)

    def sort_by(self, key: str) -> None:
        """Sorts by a column; turns the order round if it is sorted by that already."""
        if self.rows is not None:
            same = self.rows.sort.value == key
            self._sort(key, same and not self.rows.reverse)

    def go_to_match(self, step: int) -> bool:
        """Moves to the next or previous row that matches the filter, round the end if need be."""
        if self.rows is None or self.pattern is None or not self.row_count:
            return False
        nodes, tree = self.rows.nodes, self.rows.tree
        hidden = {int(change) for change in self.hidden}
        for distance in range(1, self.row_count + 1):
            row = (self.cursor + step * distance) % self.row_count
            node = int(nodes[row])
            if self.pattern.search(tree.path(node)) and (
                not hidden or int(self.rows.view.changes[node]) not in hidden
            ):
                self.move_to(row)
                return True
        return False

    # How it looks.

    def header(self, row: int, width: int) -> Line:
        """The names of the columns."""
        return self._drawn.header(width, self.ink) if self._drawn is not None else []

    def row(self, row: int, width: int) -> Line:
        """An entry."""
        if self.rows is None or self._drawn is None:
            return []
        return self._drawn.line(int(self.rows.nodes[row]), width, self.ink)

    def clicked_row(self, row: int, x: int, chain: int) -> None:
        """A second click expands or collapses."""
        if chain == 2:
            self.action_toggle_folder()

    # Keys.

    def action_expand(self) -> None:
        """Expands a folder, or enters one that is expanded."""
        node = self.node
        if node is None or self.rows is None or not self.rows.has_children(node):
            return
        if self.rows.expanded[node] or self.rows.matches is not None:
            self.action_move(1)
        else:
            self._toggle(node)

    def action_collapse(self) -> None:
        """Collapses a folder, or goes to the one above."""
        node = self.node
        if node is None or self.rows is None:
            return
        filtered = self.rows.matches is not None
        if self.rows.expanded[node] and self.rows.has_children(node) and not filtered:
            self._toggle(node)
            return
        row = self.rows.row_of(int(self.rows.tree.parents[node]))
        if row is not None:
            self.move_to(row)

    def action_toggle_folder(self) -> None:
        """Expands or collapses a folder."""
        node = self.node
        if node is None or self.rows is None or self.rows.matches is not None:
            return
        if self.rows.has_children(node):
            self._toggle(node)

    def action_expand_all(self, expanded: bool) -> None:
        """Expands or collapses everything."""
        if self.rows is None or not self.row_count:
            return
        self._by_hand = True
        path = self._path()
        self.rows.expand_all(expanded)
        self._changed(path)

    # Where the cursor is.

    @property
    def node(self) -> int | None:
        """The node under the cursor; None where nothing is shown."""
        if self.rows is None or not self.row_count:
            return None
        return int(self.rows.nodes[self.cursor])

    # Inner workings.

    def _path(self) -> bytes | None:
        """The path under the cursor: nodes have other numbers once more layers have arrived.

        A cursor on the first row has not been put anywhere, and stays on the first row.
        """
        node = self.node if self.cursor else None
        return None if node is None or self.rows is None else self.rows.tree.path(node)

    def _toggle(self, node: int) -> None:
        if self.rows is None:
            return
        self._by_hand = True
        self.rows.toggle(node)
        self.set_rows(len(self.rows.nodes))
        self.post_message(self.Counted())

    def _sort(self, key: str, reverse: bool) -> None:
        from layerscope.filesystem.rows import SortKey

        if self.rows is None:
            return
        path = self._path()
        self.rows.sort = SortKey(key)
        self.rows.reverse = reverse
        self.rows.update()
        self._changed(path)

    def _changed(self, path: bytes | None) -> None:
        if self.rows is None or self._drawn is None or self._idle:
            return
        self._drawn.pattern = self.pattern
        row = self._row_of(path)
        if not len(self.rows.nodes):
            filtered = self.pattern is not None or bool(self.hidden)
            if filtered:
                hint = "Esc clears the filter; a, r, m and u show and hide kinds."
                self.set_placeholder(("Nothing matches.", "text"), (hint, "muted"))
            else:
                self.set_placeholder(("This layer changes no files.", "text"))
        self.set_rows(len(self.rows.nodes), row)
        self.post_message(self.Counted())

    def _row_of(self, path: bytes | None) -> int:
        """The row of a path, or of the nearest folder above it that has one."""
        while path and self.rows is not None:
            node = self.rows.tree.find(path)
            row = None if node is None else self.rows.row_of(node)
            if row is not None:
                return row
            path = path.rpartition(b"/")[0]
        return 0
