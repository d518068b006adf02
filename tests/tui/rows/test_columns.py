"""Lists with columns: which columns there is room for, how wide they are, and the order."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

import layerscope.tui
from layerscope.tui.rows.columns import Column, ColumnList

Item = tuple[str, int]


class Fruit(ColumnList[Item]):
    NAME = "name"
    COLUMNS: ClassVar[Sequence[Column[Item]]] = (
        Column("name", "NAME", 5, lambda item: (item[0], "text"), grow=True, share=1 / 2, sort=str),
        Column(
            "size",
            "SIZE",
            4,
            lambda item: (str(item[1]), "muted"),
            "right",
            from_width=20,
            sort=lambda item: item[1],
            descending=True,
        ),
        Column("rest", "REST", 3, lambda item: ("", "text"), flex=True),
    )

    def __init__(self) -> None:
        super().__init__("fruit", sorted_by="size")

    # Without an app there is nothing to paint.
    def set_rows(self, count: int, cursor: int | None = None) -> None:
        self.row_count, self.cursor = count, self.cursor if cursor is None else cursor


def fruit() -> Fruit:
    made = Fruit()
    made.show([("apple", 3), ("banana", 1), ("cherry", 2)])
    return made


def sizes(made: Fruit, width: int) -> dict[str, int]:
    return {column.key: size for column, size in made.layout_columns(width)}


def test_columns_grow_with_their_texts_up_to_their_share() -> None:
    made = fruit()
    assert sizes(made, 60) == {"name": 6, "size": 4, "rest": 60 - 2 - 6 - 4 - 4}
    made.show([("a very long name of a fruit", 1)])
    assert sizes(made, 30)["name"] == 15
    assert sizes(made, 10)["name"] == 5


def test_narrow_lists_leave_columns_out() -> None:
    assert set(sizes(fruit(), 20)) == {"name", "size", "rest"}
    assert set(sizes(fruit(), 19)) == {"name", "rest"}


def test_what_has_no_room_is_left_out_from_the_right_but_for_names_and_sizes() -> None:
    class Fruits(Fruit):
        COLUMNS: ClassVar[Sequence[Column[Item]]] = (
            Column("kind", "", 6, lambda item: ("", "text")),
            Column("name", "", 8, lambda item: (item[0], "text"), flex=True),
            Column("size", "", 5, lambda item: ("", "text"), kept=True),
            Column("time", "", 9, lambda item: ("", "text")),
        )

    made = Fruits()
    made.show([("apple", 3)])
    assert list(sizes(made, 40)) == ["kind", "name", "size", "time"]
    assert list(sizes(made, 35)) == ["kind", "name", "size"]
    assert sizes(made, 24) == {"name": 15, "size": 5}
    assert made.cursor_span(40) == (9, 21)


def lists() -> list[type[ColumnList[Any]]]:
    """All lists with columns that the app has."""
    for module in pkgutil.walk_packages(layerscope.tui.__path__, "layerscope.tui."):
        importlib.import_module(module.name)
    found: list[type[ColumnList[Any]]] = [ColumnList]
    for each in found:
        found += each.__subclasses__()
    return [each for each in found if each.COLUMNS and each.__module__.startswith("layerscope")]


@pytest.mark.parametrize("kind", lists(), ids=lambda kind: kind.__name__)
def test_no_column_is_cut_by_the_edge_and_sizes_stay(kind: type[ColumnList[Any]]) -> None:
    made = kind.__new__(kind)
    made._longest = {column.key: 12 for column in kind.COLUMNS}
    kept = {column.key for column in kind.COLUMNS if column.kept}
    for width in range(28, 200):
        shown = made.layout_columns(width)
        end = kind.MARK_WIDTH + sum(size + kind.GAP for _, size in shown) - kind.GAP
        assert end <= width, f"{width}: {[(column.key, size) for column, size in shown]}"
        assert kept <= {column.key for column, _ in shown}
        start, stop = ColumnList.cursor_span(made, width)
        assert 0 <= start < stop <= width


def test_lines_are_as_wide_as_the_list() -> None:
    made = fruit()
    for width in (16, 20, 45, 80):
        total = 1 + sum(size for _, size in made.layout_columns(width))
        total += 2 * (len(made.layout_columns(width)) - 1) + 1
        assert total == width


def test_order_and_cursor() -> None:
    made = fruit()
    assert [item[0] for item in made.items] == ["apple", "cherry", "banana"]
    made.cursor = 1
    made.reverse_sort()
    assert [item[1] for item in made.items] == [1, 2, 3]
    assert made.item == ("cherry", 2)
    made.cycle_sort()
    assert [item[0] for item in made.items] == ["apple", "banana", "cherry"]
    assert made.item == ("cherry", 2)
    made.sort_by("name")
    assert made.item == ("cherry", 2)
    assert made.items[0][0] == "cherry"
    made.show([])
    assert made.item is None
