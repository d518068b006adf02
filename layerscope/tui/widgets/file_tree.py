"""Pane 3: the files of a layer, or of the union up to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from layerscope.errors import Cancelled
from layerscope.filesystem.change import Change
from layerscope.tui.background import run_beside
from layerscope.tui.format import Heading, Line
from layerscope.tui.regroup import Wanted, attempt
from layerscope.tui.session import problem_of
from layerscope.tui.widgets.file_rows import FileRows
from layerscope.tui.widgets.key_bar import key_of
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.filesystem.rows import SortKey, TreeRows
    from layerscope.filesystem.stack import Stack
    from layerscope.filesystem.view import View

#: Trees up to this size are searched at once: it takes a few milliseconds.
_SMALL = 20_000

#: Up to this size, all else is done at once: it takes less than a key's echo may.
_LARGE = 200_000

#: Seconds after which it is said that something is going on.
_PATIENCE = 0.3


class FileTree(RowView):
    """The file tree.

    Attributes:
        rows: What is shown, or None while there is nothing to show.
        pattern: The filter, or None.
        hidden: Changes that are not shown.
    """

    HEADER_ROWS = 1
    KEEPS_HEADER = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,right", "expand", "Expand a folder, or go into it", id="files.expand"),
        Binding("h,left", "collapse", "Collapse, or go to the folder above", id="files.collapse"),
        Binding(
            "space", "toggle_folder", "Expand", tooltip="Expand or collapse it", id="files.toggle"
        ),
        Binding("enter", "choose", "Open", tooltip="Show a file, expand a folder", id="files.open"),
        Binding("E", "expand_all(True)", "Expand all", id="files.expand_all"),
        Binding("C", "expand_all(False)", "Collapse all", id="files.collapse_all"),
    ]

    class Counted(Message):
        """There are other rows: another view, filter or choice of kinds."""

    class Regrouped(Message):
        """Rows that were made beside the screen, or why there are none."""

        def __init__(self, rows: TreeRows | Exception | None, generation: int) -> None:
            super().__init__()
            self.rows = rows
            self.generation = generation

    def __init__(self) -> None:
        super().__init__("files")
        self.rows: TreeRows | None = None
        self.pattern: re.Pattern[bytes] | None = None
        self.hidden: set[Change] = set()
        self._drawn: FileRows | None = None
        self._order: tuple[SortKey, bool] | None = None
        self._wanted: Wanted | None = None
        self._generation = 0
        self._working = False
        self._by_hand = False
        self._idle = True
        # For how many rows as much was opened as fits.
        self._room = 0

    # What is shown.

    def show(self, stack: Stack, make: Callable[[], View]) -> None:
        """Shows a view; the cursor stays on its path, or goes to the next folder above it.

        Args:
            stack: What it is a view of.
            make: Makes it, in whatever thread.
        """
        self._idle = False
        wanted = self._next()
        wanted.make = make
        # Until the user expands or collapses something, as much is open as there is room for.
        if self._free:
            self._room = wanted.room = self.page_size
        else:
            wanted.room = None
        self._regroup(wanted, len(stack.tree) > _LARGE)

    def clear(self, *placeholder: tuple[str, str]) -> None:
        """Shows a text instead."""
        self._idle = True
        self._wanted = None
        self._generation += 1
        self.set_placeholder(*placeholder)
        self.set_rows(0)
        self.post_message(self.Counted())

    def forget(self) -> None:
        """Forgets a tree, before another image's."""
        self.rows = None
        self._drawn = None
        self.pattern = None
        self._generation += 1
        self._wanted = self._order = None
        self._by_hand = False
        self.top = self.cursor = 0

    def filter(self, pattern: re.Pattern[bytes] | None) -> None:
        """Shows only paths that match."""
        self.pattern = pattern
        if self.rows is None and self._wanted is None:
            return
        wanted = self._next()
        wanted.pattern, wanted.room = pattern, None
        self._regroup(wanted, self._extent > (_LARGE if pattern is None else _SMALL))

    def hide(self, change: Change) -> None:
        """Hides or shows a kind of change."""
        self.hidden ^= {change}
        if self.rows is not None or self._wanted is not None:
            self._regroup(self._next(), self._extent > _LARGE)

    def cycle_sort(self) -> None:
        """Sorts by the next column."""
        from layerscope.filesystem.rows import SortKey

        keys = list(SortKey)
        sort = keys[0] if self._order is None else self._order[0]
        self._sort(keys[(keys.index(sort) + 1) % len(keys)], False)

    def reverse_sort(self) -> None:
        """Turns the order round."""
        from layerscope.filesystem.rows import SortKey

        sort, reverse = self._order or (SortKey.NAME, False)
        self._sort(sort, not reverse)

    @property
    def busy(self) -> bool:
        """Whether rows are being made beside the screen."""
        return self._wanted is not None

    def cancel(self) -> None:
        """Leaves the rows as they are, whatever was to come."""
        wanted, self._wanted = self._wanted, None
        self._generation += 1
        if wanted is None:
            return
        if self.rows is None or wanted.make is not None:
            self.clear(("Not shown: it was cancelled.", "muted"))
            return
        self.pattern, self.hidden = self.rows.pattern, set(self.rows.hidden)
        self._order = self.rows.sort, self.rows.reverse
        self.post_message(self.Counted())

    @property
    def _free(self) -> bool:
        """Whether what is open is for us to choose."""
        return not self._by_hand and self.pattern is None

    def on_resize(self) -> None:
        """Opens as much as there is room for now; the first layout can come after the rows."""
        if self._idle or not self._free or self._room == self.page_size:
            return
        wanted = self._next()
        if wanted.make is None:
            if self.rows is None or self.cursor:
                return  # Somebody looks at a row, which is to stay where it is.
            view = self.rows.view
            wanted.make = lambda: view
        self._room = wanted.room = self.page_size
        self._regroup(wanted, self._extent > _LARGE)

    # Making rows.

    def _next(self) -> Wanted:
        """What is to be shown next, to be changed: what is on its way, or what is shown."""
        wanted = self._wanted or Wanted(self.rows, self.hidden, self.pattern, self._order)
        return replace(wanted, hidden=set(self.hidden), pattern=self.pattern, order=self._order)

    @property
    def _extent(self) -> int:
        return len(self.rows.tree) if self.rows is not None else 0

    def _sort(self, key: SortKey, reverse: bool) -> None:
        if self.rows is not None or self._wanted is not None:
            self._order = key, reverse
            self._regroup(self._next(), self._extent > _LARGE)

    def _regroup(self, wanted: Wanted, beside: bool) -> None:
        """Makes the rows anew, beside the screen if it takes long or something is on its way."""
        if not beside and self._wanted is None:
            path = self._path()
            self._take(wanted.made(), path)
            return
        if wanted.rows is self.rows and self.rows is not None:
            wanted.rows = self.rows.copy()
        if self._wanted is None:
            self.set_timer(_PATIENCE, self._tell_busy)
        self._wanted = wanted
        self._generation += 1
        if not self._working:
            self._start()

    def _start(self) -> None:
        wanted, generation = self._wanted, self._generation
        if wanted is None:
            return
        # The thread's own: what is wanted may change before it has come to it.
        job = replace(wanted, rows=None if wanted.rows is None else wanted.rows.copy())
        self._working = True

        def stop() -> None:
            if generation != self._generation:
                raise Cancelled

        def work() -> None:
            self.post_message(self.Regrouped(attempt(job, stop), generation))

        run_beside("rows", work)

    def on_file_tree_regrouped(self, message: Regrouped) -> None:
        """Takes rows that were made, unless they are of yesterday."""
        message.stop()
        self._working = False
        if message.generation != self._generation:
            self._start()
            return
        self._wanted = None
        if isinstance(message.rows, Exception):
            problem = problem_of(message.rows)
            self.clear((problem.message, "warning"), (problem.hint, "muted"))
        elif message.rows is not None:
            self._take(message.rows, self._path())

    def _take(self, rows: TreeRows, path: bytes | None) -> None:
        if rows is not self.rows or self._drawn is None:
            self.rows = rows
            self._drawn = self.drawn(rows)
        self._changed(path)

    def drawn(self, rows: TreeRows) -> FileRows:
        """What makes lines of rows."""
        return FileRows(rows)

    def _tell_busy(self) -> None:
        """Says that something takes longer than one would think."""
        if self.busy:
            self.post_message(self.Counted())

    def headings(self, width: int) -> list[Heading]:
        """The columns that it can be sorted by."""
        if self._drawn is None or not self.row_count:
            return []
        return self._drawn.headings(width)

    def sort_by(self, key: str) -> None:
        """Sorts by a column; turns the order round if it is sorted by that already."""
        from layerscope.filesystem.rows import SortKey

        sort, reverse = self._order or (SortKey.NAME, False)
        self._sort(SortKey(key), sort.value == key and not reverse)

    def go_to_match(self, step: int) -> bool:
        """Moves to the next or previous row that matches the filter, round the end if need be."""
        if self.rows is None or self.pattern is None or not self.row_count:
            return False
        nodes = self.rows.nodes
        for distance in range(1, self.row_count + 1):
            row = (self.cursor + step * distance) % self.row_count
            if self.rows.matched(int(nodes[row])):
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

    def cursor_span(self, width: int) -> tuple[int, int]:
        """The tree without its columns: these need not be sent again at each move."""
        return (0 if self._drawn is None else self._drawn.name_column(width)), width

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
        self._expand(slice(None), expanded)

    # Where the cursor is.

    @property
    def node(self) -> int | None:
        """The node under the cursor; None where nothing is shown."""
        if self.rows is None or not self.row_count:
            return None
        return int(self.rows.nodes[self.cursor])

    @property
    def view(self) -> View | None:
        """What is shown; None where nothing is."""
        return self.rows.view if self.rows is not None and self.row_count else None

    @property
    def on_folder(self) -> bool:
        """Whether the cursor is on a folder; `EntryType.DIR` is 3."""
        view = self.view
        version = -1 if view is None else int(view.versions[self.node])
        return version < 0 or view is None or int(view.stack.types[version]) == 3

    def go_to(self, path: bytes) -> None:
        """Puts the cursor on a path, or on the nearest folder above it that has a row."""
        if self.rows is None:
            return
        self._by_hand = True
        node = self.rows.tree.find(path)
        if node is not None:
            self.rows.reveal(node)
        self._changed(path)

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
        self._expand(node, not self.rows.expanded[node])

    def _expand(self, nodes: int | slice, expanded: bool) -> None:
        wanted = self._next()
        wanted.room = None
        if self.rows is None or wanted.rows is None:
            return
        if wanted.rows is self.rows and self._extent > _LARGE:
            wanted.rows = self.rows.copy()
        wanted.rows.expanded[nodes] = expanded
        wanted.rows.expanded[0] = True
        self._regroup(wanted, self._extent > _LARGE)

    def _changed(self, path: bytes | None) -> None:
        if self.rows is None or self._drawn is None:
            return
        if self._idle:
            # The headings are there without rows too.
            self.redraw()
            return
        self._drawn.pattern = self.pattern
        row = self._row_of(path)
        if not len(self.rows.nodes):
            if self.pattern is not None or self.hidden:
                names = ("added", "removed", "modified", "unchanged")
                keys = " ".join(key_of(self, f"main.{name}") for name in names)
                hint = f"{keys} show and hide kinds."
                if self.pattern is not None:
                    hint = f"{key_of(self, 'main.back')} clears the filter; {hint}"
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
