"""The base class of all lists, and a record for each of their columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from layerscope.text import docker_size
from layerscope.tui.rows.format import Heading, Line, cells, left, length, right
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal.glyphs import ASCENDING, DESCENDING

T = TypeVar("T")
#: A text that is safe to show, and the name of a palette style.
Cell = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    key: str  # Its name for sorting.
    title: str  # Its heading.
    width: int  # Its width in cells; the minimum if it grows.
    cell: Callable[[T], Cell]  # The cell of an item.
    align: Literal["left", "right"] = "left"
    grow: bool = False  # Whether it grows to fit its texts.
    most: int = 0  # The maximum width in cells; 0 for none.
    share: float = 1.0  # The maximum as a share of the list's width.
    #: Whether it takes the rest of the width.
    flex: bool = False
    from_width: int = 0  # The minimum width of the list to show it.
    kept: bool = False  # Whether it stays when others are dropped to save space, as sizes do.
    optional: bool = False  # Whether it is hidden if all its cells are empty.
    #: Returns the sort key of an item; None if the column is not sortable. Items with a key of None
    #: come last in either order.
    sort: Callable[[T], Any] | None = None
    descending: bool = False
    style: str = "muted"  # The palette style of its heading.
    #: Replaces `cell` for texts with several styles; takes the width in cells.
    pieces: Callable[[T, int], Sequence[Cell]] | None = None

    def fit(self, text: str, width: int) -> str:
        return (right if self.align == "right" else left)(text, width)


def created_column(
    age: Callable[[T], str],
    created: Callable[[T], Any],
    *,
    most: int = 22,
    from_width: int = 0,
) -> Column[T]:
    """A column of ages, sorted by creation time, the newest first."""
    return Column(
        "created",
        "CREATED",
        9,
        lambda item: (age(item), "muted"),
        grow=True,
        most=most,
        from_width=from_width,
        sort=created,
        descending=True,
    )


def size_column(
    size: Callable[[T], int | None], cell: Callable[[T], Cell] | None = None, **more: Any
) -> Column[T]:
    """A column of sizes in bytes, the largest first; empty if unknown."""

    def text(item: T) -> Cell:
        count = size(item)
        return "" if count is None else docker_size(count), "text"

    fields = {"key": "size", "title": "SIZE", "width": 7, "kept": True, **more}
    return Column(cell=cell or text, align="right", sort=size, descending=True, **fields)


class ColumnList(RowView, Generic[T]):
    """A list with a header, sorted by one of its columns."""

    HEADER_ROWS = 1
    #: Width of the mark before the columns.
    MARK_WIDTH: ClassVar[int] = 1
    #: Cells between columns.
    GAP: ClassVar[int] = 2
    COLUMNS: ClassVar[Sequence[Column[Any]]] = ()  # Its columns, from left to right.
    #: Key of the column that names an item; "" for the first flexible one.
    NAME: ClassVar[str] = ""

    def __init__(self, name: str, title: str = "", sorted_by: str = "") -> None:
        super().__init__(name, title)
        self.items: Sequence[T] = ()  # In the order shown.
        #: Key of the sort column; "" for the original order.
        self.sorted_by = sorted_by
        self.reversed = False
        self._given: Sequence[T] = ()
        self._longest: dict[str, int] = {}

    @property
    def item(self) -> T | None:
        return self.items[self.cursor] if self.items else None

    def mark(self, row: int) -> Cell:
        """Returns the mark before a row, at most `MARK_WIDTH` cells wide."""
        return " ", "text"

    def same(self, one: T, other: T) -> bool:
        """Whether two items are the same, so that the cursor stays on them."""
        return one == other

    def show(self, items: Sequence[T], cursor: int | None = None) -> None:
        """Shows items, sorted; the cursor goes to a row, or else stays on its item if possible."""
        current = self.item
        self._given = items
        column = next((each for each in self.COLUMNS if each.key == self.sorted_by), None)
        if column is not None and column.sort is not None:
            items = _sorted(items, column.sort, reverse=column.descending != self.reversed)
        self.items = items
        # Texts are measured once for all rows.
        self._longest = {
            column.key: max((cells(column.cell(item)[0]) for item in items), default=0)
            for column in self.COLUMNS
            if column.grow or column.optional
        }
        if cursor is None and current is not None:
            cursor = next((i for i, each in enumerate(items) if self.same(each, current)), 0)
        self.set_rows(len(items), cursor)

    def cursor_span(self, width: int) -> tuple[int, int]:
        start = self.MARK_WIDTH
        for column, size in self.layout_columns(width):
            if self._names(column):
                return start, start + size
            start += size + self.GAP
        return 0, width

    def _names(self, column: Column[T]) -> bool:
        return column.key == self.NAME if self.NAME else column.flex

    # Order.

    def cycle_sort(self) -> None:
        """Sorts by the next visible column with a sort key."""
        shown = [column for column, _ in self.layout_columns(self.size.width)]
        keys = [column.key for column in shown if column.sort is not None]
        if not keys:
            return
        place = keys.index(self.sorted_by) if self.sorted_by in keys else -1
        self.sorted_by, self.reversed = keys[(place + 1) % len(keys)], False
        self._sort()

    def reverse_sort(self) -> None:
        self.reversed = not self.reversed
        self._sort()

    def sort_by(self, key: str) -> None:
        self.reversed = key == self.sorted_by and not self.reversed
        self.sorted_by = key
        self._sort()

    def _sort(self) -> None:
        # A cursor that was never moved stays at the top, not on its item.
        self.show(self._given, cursor=None if self.moved or self.cursor else 0)

    def headings(self, width: int) -> list[Heading]:
        found, start = [], self.MARK_WIDTH
        for column, size in self.layout_columns(width):
            if column.sort is not None:
                found.append(Heading(start, start + size, column.key))
            start += size + self.GAP
        return found

    # Lines.

    def layout_columns(self, width: int) -> list[tuple[Column[T], int]]:
        """Returns the columns that fit, with their widths."""
        shown = [
            column
            for column in self.COLUMNS
            if width >= column.from_width and (self._longest.get(column.key) or not column.optional)
        ]
        sizes = {column.key: self._size_of(column, width) for column in shown}
        room = width - 1 - self.MARK_WIDTH + self.GAP
        extra = [column for column in reversed(shown) if not (column.kept or self._names(column))]
        for column in extra:
            least = (each.width if each.flex else sizes[each.key] for each in shown)
            if sum(least) + len(shown) * self.GAP <= room:
                break
            shown.remove(column)
            del sizes[column.key]
        rest = room - len(shown) * self.GAP - sum(sizes.values())
        flexible = sum(column.flex and not column.grow for column in shown)
        for column in shown:
            if column.flex:
                more = 0
                if not column.grow:
                    more, flexible = rest // flexible, flexible - 1
                size = max(column.width, sizes[column.key] + min(rest, more))
                rest -= size - sizes[column.key]
                sizes[column.key] = size
        return [(column, sizes[column.key]) for column in shown]

    def _size_of(self, column: Column[T], width: int) -> int:
        if not column.grow:
            return column.width
        most = min(column.most or width, int(width * column.share))
        return max(column.width, min(self._longest.get(column.key, 0), most))

    def header(self, row: int, width: int) -> Line:
        colors = self.palette
        line: Line = [(" " * self.MARK_WIDTH, colors.muted)]
        for column, size in self.layout_columns(width):
            sorted_by = column.key == self.sorted_by
            text = column.title
            if sorted_by:
                down = column.descending != self.reversed
                text += f" {DESCENDING if down else ASCENDING}"
            style = colors.accent if sorted_by else colors.named(column.style)
            line += [(column.fit(text, size), style), (" " * self.GAP, colors.muted)]
        return line

    def row(self, row: int, width: int) -> Line:
        colors = self.palette
        item = self.items[row]
        mark, style = self.mark(row)
        line: Line = [(left(mark, self.MARK_WIDTH), colors.named(style))]
        for column, size in self.layout_columns(width):
            line += [*self._cells(column, item, size), (" " * self.GAP, colors.text)]
        return line

    def _cells(self, column: Column[T], item: T, size: int) -> Line:
        colors = self.palette
        if column.pieces is None:
            text, style = column.cell(item)
            return [(column.fit(text, size), colors.named(style))]
        line = [(text, colors.named(style)) for text, style in column.pieces(item, size)]
        return [*line, (" " * (size - length(line)), colors.text)]


def _sorted(items: Sequence[T], sort: Callable[[T], Any], reverse: bool) -> list[T]:
    keyed = [(sort(item), item) for item in items]
    known = [each for each in keyed if each[0] is not None]
    known.sort(key=lambda each: each[0], reverse=reverse)
    return [item for _, item in known] + [item for key, item in keyed if key is None]
