"""Pane 3: the files of a layer, or of the merged view up to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from layerscope.filesystem.change import Change
from layerscope.text import visible
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.file_rows import FileRows
from layerscope.tui.rows.format import Heading, Line, cells, left, tail
from layerscope.tui.rows.regroup import Wanted
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal.glyphs import SEPARATOR
from layerscope.tui.work import Problem, Work

if TYPE_CHECKING:
    from layerscope.filesystem.rows import SortKey, TreeRows
    from layerscope.filesystem.stack import Stack
    from layerscope.filesystem.view import View
    from layerscope.patterns import PathPattern

#: The width of the path in the border is a multiple of this.
_PATH_STEP = 16

#: The largest tree to search in the foreground, within a few milliseconds.
_SMALL = 20_000

#: The largest tree for everything else in the foreground.
_LARGE = 200_000

#: Seconds before slow work is announced.
_PATIENCE = 0.3


@dataclass(frozen=True, slots=True)
class TreeSpot:
    """The state of a file tree when the user left it."""

    rows: TreeRows | None
    pattern: PathPattern | None
    hidden: frozenset[Change]
    order: tuple[SortKey, bool] | None
    by_hand: bool  # Whether the user expanded or collapsed folders.
    place: tuple[int, int]  # The cursor's row, and the first visible row.


class FileTree(RowView, heading="In file trees"):
    HEADER_ROWS = 1
    KEEPS_HEADER = True
    CURSOR = 24
    KEYS = (
        Key("files.expand", "l,right", "expand", "Expand a folder, or go into it"),
        Key("files.collapse", "h,left", "collapse", "Collapse, or go to the folder above"),
        # No hint: enter does the same, and hints that change with the row cost output.
        Key("files.toggle", "space", "toggle_folder", "Expand", "Expand or collapse it"),
        Key("files.open", "enter", "choose", "Open", "Show a file, expand a folder", hint="files"),
        Key("files.expand_all", "E", "expand_all(True)", "Expand all"),
        Key("files.collapse_all", "C", "expand_all(False)", "Collapse all"),
    )

    def __init__(self, counted: Callable[[], object]) -> None:
        super().__init__("files", "3 Files")
        #: Called when the view, filter or shown kinds have changed. A message would come too late
        #: for the same frame.
        self._counted = counted
        self.rows: TreeRows | None = None  # None if nothing is shown.
        self.pattern: PathPattern | None = None  # The filter.
        self.hidden: set[Change] = set()  # Kinds of changes not shown.
        self._drawn: FileRows | None = None
        self._order: tuple[SortKey, bool] | None = None
        self._wanted: Wanted | None = None
        self._work = Work(self.call_later, self._failed)
        self._by_hand = False
        self._seeks = False  # Whether the cursor goes to the first match once it is known.
        self._idle = True
        self._heading = self.title
        # The page size for which folders were expanded automatically.
        self._room = 0

    # What is shown.

    def show(self, stack: Stack, make: Callable[[], View]) -> None:
        """Shows the view that `make` returns in any thread; the cursor stays near its path."""
        self._idle = False
        wanted = self._next()
        wanted.make = make
        # Until the user expands or collapses a folder, expands as many levels as fit.
        if self._free:
            self._room = wanted.room = self.page_size
        else:
            wanted.room = None
        self._regroup(wanted, len(stack.tree) > _LARGE)

    def left_out(self, needle: str) -> list[str]:
        """Returns what limits the view, for the title: the filter and hidden changes."""
        hidden = [change.label for change in Change if change in self.hidden]
        found = [f"/{visible(needle)}"] if needle else []
        return [*found, f"{' and '.join(hidden)} hidden"] if hidden else found

    def set_status(self, state: str = "", *parts: str) -> None:
        """Sets the texts after the title; the subtitle is the path under the cursor.

        A narrow border cuts `parts` before `state`.
        """
        texts = (self.title, *parts[:1], state, *parts[1:])
        self._heading = SEPARATOR.join(filter(None, texts))
        self.set_texts(self._heading, self._subtitle())

    def redraw(self, rows: Iterable[int] | None = None) -> None:
        super().redraw(rows)
        self.set_texts(self._heading, self._subtitle())

    def on_focus(self) -> None:
        # Textual updates the focus after this.
        self.call_next(self.redraw, (self.cursor,))

    def on_blur(self) -> None:
        self.call_next(self.redraw, (self.cursor,))

    @property
    def path_text(self) -> str:
        """Returns the path under the cursor, safe to show, or ""."""
        if self.node is None or self.rows is None:
            return ""
        return f"/{visible(self.rows.tree.path(self.node))}"

    @property
    def path_room(self) -> int:
        """The width for a path in the border."""
        return max(1, self.size.width - 2)

    def _subtitle(self) -> str:
        path = tail(self.path_text, self.path_room) if self.shows_cursor else ""
        # In steps, so that the line behind it is rarely sent again.
        return left(path, min(self.path_room, -(-cells(path) // _PATH_STEP) * _PATH_STEP))

    def clear(self, *placeholder: tuple[str, str]) -> None:
        self._idle = True
        self._wanted = None
        self._work.leave()
        self.set_placeholder(*placeholder)
        self.set_rows(0)
        self._counted()

    def forget(self) -> None:
        self.rows = None
        self._drawn = None
        self.pattern = None
        self._work.leave()
        self._wanted = self._order = None
        self._by_hand = False
        self.top = self.cursor = 0

    def filter(self, pattern: PathPattern | None) -> None:
        self.pattern = pattern
        if self.rows is None and self._wanted is None:
            return
        self._seeks = pattern is not None
        wanted = self._next()
        wanted.pattern, wanted.room = pattern, None
        if pattern is None and self.cursor and self.node and wanted.rows:
            # Keeps the match visible.
            self._by_hand = True
            wanted.rows.open_above(self.node)
        self._regroup(wanted, self._extent > (_LARGE if pattern is None else _SMALL))

    def hide(self, change: Change) -> None:
        self.hidden ^= {change}
        if self.rows is not None or self._wanted is not None:
            self._regroup(self._next(), self._extent > _LARGE)

    def cycle_sort(self) -> None:
        from layerscope.filesystem.rows import SortKey

        keys = list(SortKey)
        sort = keys[0] if self._order is None else self._order[0]
        self._sort(keys[(keys.index(sort) + 1) % len(keys)], False)

    def reverse_sort(self) -> None:
        from layerscope.filesystem.rows import SortKey

        sort, reverse = self._order or (SortKey.NAME, False)
        self._sort(sort, not reverse)

    @property
    def busy(self) -> bool:
        """Whether rows are being computed in the background."""
        return self._wanted is not None

    def cancel(self) -> None:
        """Keeps the current rows."""
        wanted, self._wanted = self._wanted, None
        self._work.leave()
        if wanted is None:
            return
        if self.rows is None or wanted.make is not None:
            self.clear(("Not shown: it was cancelled.", "muted"))
            return
        self.pattern, self.hidden = self.rows.pattern, set(self.rows.hidden)
        self._order = self.rows.sort, self.rows.reverse
        self._counted()

    @property
    def _free(self) -> bool:
        return not self._by_hand and self.pattern is None

    def on_resize(self) -> None:
        """Expands as many levels as fit; the first layout can come after the rows."""
        if self._idle or not self._free or self._room == self.page_size:
            return
        wanted = self._next()
        if wanted.make is None:
            if self.rows is None or self.cursor:
                return  # The row under the cursor must stay where it is.
            view = self.rows.view
            wanted.make = lambda: view
        self._room = wanted.room = self.page_size
        self._regroup(wanted, self._extent > _LARGE)

    # Computing rows.

    def _next(self) -> Wanted:
        """Returns the pending rows, or those on the screen, as a copy to modify."""
        wanted = self._wanted or Wanted(self.rows, self.hidden, self.pattern, self._order)
        return replace(wanted, hidden=set(self.hidden), pattern=self.pattern, order=self._order)

    @property
    def _extent(self) -> int:
        return len(self.rows.tree) if self.rows is not None else 0

    def _sort(self, key: SortKey, reverse: bool) -> None:
        if self.rows is not None or self._wanted is not None:
            self._order = key, reverse
            self._regroup(self._next(), self._extent > _LARGE)

    def _regroup(self, wanted: Wanted, background: bool) -> None:
        """Recomputes the rows, in the background if that is slow or work is pending."""
        if not background and self._wanted is None:
            path = self._path()
            self._take(wanted.made(), path)
            return
        if wanted.rows is self.rows and self.rows is not None:
            wanted.rows = self.rows.copy()
        if self._wanted is None:
            self.set_timer(_PATIENCE, self._show_busy)
        self._wanted = wanted
        # A copy for the thread, since `_wanted` may change before it runs.
        job = replace(wanted, rows=None if wanted.rows is None else wanted.rows.copy())
        self._work.start("rows", lambda task: job.made(task.check), self._made)

    def _made(self, rows: TreeRows) -> None:
        self._wanted = None
        self._take(rows, self._path())

    def _failed(self, problem: Problem) -> None:
        self._wanted = None
        if not problem.cancelled:
            self.clear((problem.message, "warning"), (problem.hint, "muted"))

    def _take(self, rows: TreeRows, path: bytes | None) -> None:
        if rows is not self.rows or self._drawn is None:
            self.rows = rows
            self._drawn = self.drawn(rows)
        self._changed(path)

    def drawn(self, rows: TreeRows) -> FileRows:
        return FileRows(rows)

    def _show_busy(self) -> None:
        """Announces slow work."""
        if self.busy:
            self._counted()

    @property
    def _shown(self) -> FileRows | None:
        """Returns the renderer of the rows, with columns for the current layout."""
        if self._drawn is not None:
            self._drawn.alone = self.has_class("-solo") or self.screen.has_class("-zoomed")
        return self._drawn

    def headings(self, width: int) -> list[Heading]:
        shown = self._shown
        return [] if shown is None or not self.row_count else shown.headings(width)

    def sort_by(self, key: str) -> None:
        from layerscope.filesystem.rows import SortKey

        sort, reverse = self._order or (SortKey.NAME, False)
        self._sort(SortKey(key), sort.value == key and not reverse)

    def go_to_match(self, step: int) -> bool:
        """Moves to the next or previous row that matches the filter, and wraps around."""
        if self.rows is None or self.pattern is None or not self.row_count:
            return False
        nodes = self.rows.nodes
        for distance in range(1, self.row_count + 1):
            row = (self.cursor + step * distance) % self.row_count
            if self._matches(nodes[row]):
                self.move_to(row)
                return True
        return False

    def _matches(self, node: int) -> bool:
        return self.rows is not None and self.rows.matched(int(node))

    # How it looks.

    def header(self, row: int, width: int) -> Line:
        shown = self._shown
        return [] if shown is None else shown.header(width, self.palette)

    def row(self, row: int, width: int) -> Line:
        shown = self._shown
        if self.rows is None or shown is None:
            return []
        return shown.line(int(self.rows.nodes[row]), width, self.palette)

    @property
    def shows_cursor(self) -> bool:
        """Whether the pane has the focus, or the cursor has left the first row."""
        return self.active or self.cursor > 0

    def cursor_span(self, width: int) -> tuple[int, int]:
        shown, node = self._shown, self.node
        return (0 if shown is None or node is None else shown.name_start(node, width)), width

    # Keys.

    def action_expand(self) -> None:
        node = self.node
        if node is None or self.rows is None or not self.rows.has_children(node):
            return
        if self.rows.expanded[node] or self.rows.matches is not None:
            self.action_move(1)
        else:
            self._toggle(node)

    def action_collapse(self) -> None:
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
        node = self.node
        if node is None or self.rows is None or self.rows.matches is not None:
            return
        if self.rows.has_children(node):
            self._toggle(node)

    def action_expand_all(self, expanded: bool) -> None:
        if self.rows is None or not self.row_count:
            return
        self._by_hand = True
        self._expand(slice(None), expanded)

    # Where the cursor is.

    @property
    def node(self) -> int | None:
        """The node under the cursor; None if nothing is shown."""
        if self.rows is None or not self.row_count:
            return None
        return int(self.rows.nodes[self.cursor])

    @property
    def view(self) -> View | None:
        return self.rows.view if self.rows is not None and self.row_count else None

    def action_choose(self) -> None:
        """Expands or collapses a folder; the screen opens files."""
        view = self.view
        version = -1 if view is None else int(view.versions[self.node])
        # `EntryType.DIR` is 3.
        if view is not None and (version < 0 or int(view.stack.types[version]) == 3):
            self.action_toggle_folder()
        else:
            super().action_choose()

    def go_to(self, path: bytes) -> None:
        """Puts the cursor on a path, or on the nearest folder above it."""
        if self.rows is None:
            return
        self._by_hand = True
        node = self.rows.tree.find(path)
        if node is not None:
            self.rows.reveal(node)
        self._changed(path)

    def show_kinds(self) -> None:
        """Shows changes of all kinds."""
        for change in list(self.hidden):
            self.hide(change)

    def leave(self) -> TreeSpot:
        """Returns the state, for `come_back`."""
        rows = None if self.rows is None else self.rows.copy()
        hidden = frozenset(self.hidden)
        return TreeSpot(rows, self.pattern, hidden, self._order, self._by_hand, self.spot)

    def come_back(self, spot: TreeSpot) -> None:
        self.forget()
        self._order, self._by_hand = spot.order, spot.by_hand
        self.pattern, self.hidden = spot.pattern, set(spot.hidden)
        if spot.rows is not None:
            self._idle = False
            self._take(spot.rows.copy(), None)
            self.restore(spot.place)

    # Internals.

    def _path(self) -> bytes | None:
        """Returns the path under the cursor, since nodes may change; None for the first row."""
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
            # Shows the header without rows, too.
            self.redraw()
            return
        self._drawn.pattern = self.pattern
        row = self._row_of(path)
        if self._seeks and self.rows.pattern is self.pattern:
            self._seeks = False
            row = next((row for row, node in enumerate(self.rows.nodes) if self._matches(node)), 0)
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
        self._counted()

    def _row_of(self, path: bytes | None) -> int:
        """Returns the row of a path, or of the nearest folder above it."""
        while path and self.rows is not None:
            node = self.rows.tree.find(path)
            row = None if node is None else self.rows.row_of(node)
            if row is not None:
                return row
            path = path.rpartition(b"/")[0]
        return 0
