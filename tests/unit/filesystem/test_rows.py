"""Which nodes are rows on the screen, and in what order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.filesystem.change import Change
from layerscope.filesystem.rows import SortKey, TreeRows
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.view import layer_view, union_view
from layerscope.patterns import filter_pattern
from tests.archives import Short, changeset, stack

BASE: list[Short] = [
    "b/",
    ("b/big", b"x" * 90),
    ("b/small", b"x"),
    ("a/deep/file", b"xx"),
    ("z", b"y" * 50),
]
TOP: list[Short] = [("b/big", b"x" * 91), ("b/new", b"x" * 5), (".wh.z", b""), ("c", b"")]


@pytest.fixture
def rows() -> TreeRows:
    return TreeRows(union_view(stack(BASE, TOP), 1))


def shown(of: TreeRows) -> list[str]:
    return [path.decode() for path in of.tree.paths(of.nodes.tolist())]


def node(of: TreeRows, path: str) -> int:
    found = of.tree.find(path.encode())
    assert found is not None
    return found


def expand(of: TreeRows, nodes: int | slice = slice(None), expanded: bool = True) -> None:
    of.expanded[nodes] = expanded
    of.expanded[0] = True
    of.update()


def keep(of: TreeRows, text: str) -> None:
    of.pattern = filter_pattern(text)
    of.update()


def test_at_first_only_the_top_is_shown(rows: TreeRows) -> None:
    assert shown(rows) == ["a", "b", "c", "z"]
    assert rows.row_of(node(rows, "b")) == 1
    assert rows.row_of(node(rows, "b/big")) is None


def test_expanding_and_collapsing_shows_and_hides_what_is_below(rows: TreeRows) -> None:
    expand(rows, node(rows, "b"))
    assert shown(rows) == ["a", "b", "b/big", "b/new", "b/small", "c", "z"]
    expand(rows, node(rows, "a"))
    assert shown(rows)[:3] == ["a", "a/deep", "b"]
    expand(rows, node(rows, "b"), False)
    assert shown(rows) == ["a", "a/deep", "b", "c", "z"]
    expand(rows)
    assert len(shown(rows)) == len(rows.tree) - 1
    expand(rows, expanded=False)
    assert shown(rows) == ["a", "b", "c", "z"]


def test_revealing_expands_all_that_is_above(rows: TreeRows) -> None:
    rows.reveal(node(rows, "a/deep/file"))
    assert shown(rows) == ["a", "a/deep", "a/deep/file", "b", "c", "z"]


def test_a_filter_shows_matches_and_the_way_to_them(rows: TreeRows) -> None:
    keep(rows, "file")
    assert shown(rows) == ["a", "a/deep", "a/deep/file"]
    assert rows.matches == 1
    keep(rows, "b/")
    assert "b" in shown(rows)
    keep(rows, "nothing")
    assert (shown(rows), rows.matches) == ([], 0)
    keep(rows, "")
    assert shown(rows) == ["a", "b", "c", "z"]
    found: int | None = rows.matches
    assert found is None


def test_kinds_can_be_hidden_but_not_the_way_to_others(rows: TreeRows) -> None:
    expand(rows)
    rows.hidden = {Change.UNCHANGED}
    rows.update()
    assert shown(rows) == ["b", "b/big", "b/new", "c", "z"]
    rows.hidden = {Change.UNCHANGED, Change.MODIFIED, Change.REMOVED}
    rows.update()
    assert shown(rows) == ["b", "b/new", "c"]
    rows.hidden = set(Change)
    rows.update()
    assert shown(rows) == []


@pytest.mark.parametrize(
    ("key", "expected", "reverse"),
    [
        (SortKey.NAME, "a b b/big b/new b/small c z", "z c b b/small b/new b/big a"),
        (SortKey.SIZE, "b b/big b/new b/small z a c", "c a z b b/small b/new b/big"),
        (SortKey.CHANGE, "c z a b b/new b/big b/small", None),
    ],
)
def test_siblings_are_sorted_with_all_that_is_below_them(
    rows: TreeRows, key: SortKey, expected: str, reverse: str | None
) -> None:
    expand(rows, node(rows, "b"))
    rows.sort = key
    rows.update()
    order = shown(rows)
    if key is SortKey.CHANGE:
        assert order.index("c") < order.index("z") < order.index("a")
        assert order.index("b/new") < order.index("b/big") < order.index("b/small")
    else:
        assert order == expected.split()
    rows.reverse = True
    rows.update()
    if reverse is not None:
        assert shown(rows) == reverse.split()


paths = st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=4).map("/".join)


@given(
    st.dictionaries(paths, st.binary(max_size=5), max_size=12),
    st.sampled_from(list(SortKey)),
    st.booleans(),
    st.sampled_from(["", "a", "b/a", "*b"]),
    st.sets(st.sampled_from(list(Change))),
    st.randoms(),
)
def test_rows_keep_children_right_below_their_folder(
    files: dict[str, bytes],
    key: SortKey,
    reverse: bool,
    text: str,
    hidden: set[Change],
    chance: object,
) -> None:
    found = Stack([changeset(*files.items())])
    rows = TreeRows(union_view(found, 0))
    expand(rows)
    rows.sort, rows.reverse, rows.hidden = key, reverse, hidden
    keep(rows, text)
    order = rows.nodes.tolist()
    assert len(set(order)) == len(order)
    stack_of_folders = [0]
    for number in order:
        while number >= rows.tree.ends[stack_of_folders[-1]] or number <= stack_of_folders[-1]:
            stack_of_folders.pop()
        assert int(rows.tree.parents[number]) == stack_of_folders[-1]
        stack_of_folders.append(number)
    rows.sort, rows.reverse = SortKey.NAME, False
    rows.update()
    assert sorted(order) == rows.nodes.tolist()


@given(
    st.dictionaries(
        paths, st.tuples(st.binary(max_size=3), st.integers(0, 3), st.booleans()), max_size=20
    ),
    st.sampled_from(list(SortKey)),
    st.booleans(),
)
def test_siblings_are_in_the_order_of_their_keys_then_of_their_names(
    files: dict[str, tuple[bytes, int, bool]], key: SortKey, reverse: bool
) -> None:
    below = changeset(*[(path, data) for path, (data, _, old) in files.items() if old])
    above = changeset(*[(path, data) for path, (data, _, old) in files.items() if not old])
    for layer, old in ((below, True), (above, False)):
        times = [time for _, time, which in files.values() if which is old]
        layer.mtimes[:] = np.resize([*times, 0], len(layer))
    rows = TreeRows(union_view(Stack([below, above]), 1))
    expand(rows)
    view, tree = rows.view, rows.tree
    shown_nodes = rows.nodes.tolist()

    def rank(number: int) -> tuple[int, int]:
        version = int(view.versions[number])
        value = {
            SortKey.NAME: number,
            SortKey.SIZE: -int(view.sizes[number]),
            SortKey.MTIME: -int(view.stack.mtimes[version]) if version >= 0 else 0,
            SortKey.CHANGE: [3, 0, 1, 2][int(view.changes[number])],
        }[key]
        return -value if reverse else value, number

    def walk(folder: int) -> list[int]:
        own = [n for n in shown_nodes if n and int(tree.parents[n]) == folder]
        return [each for n in sorted(own, key=rank) for each in (n, *walk(n))]

    rows.sort, rows.reverse = key, reverse
    rows.update()
    assert rows.nodes.tolist() == walk(0)


@pytest.mark.parametrize("size", [5, 1 << 40, 1 << 62])
def test_values_too_far_apart_for_one_number_are_sorted_all_the_same(size: int) -> None:
    big = changeset(("a/big", b"x"), ("a/small", b"x"), ("z", b"x"))
    big.sizes[big.paths().index(b"a/big")] = size
    rows = TreeRows(union_view(Stack([big]), 0))
    expand(rows)
    rows.sort, rows.reverse = SortKey.SIZE, True
    rows.update()
    assert shown(rows) == ["z", "a", "a/small", "a/big"]


def test_what_is_expanded_is_carried_over_to_a_larger_stack(rows: TreeRows) -> None:
    small = stack(BASE)
    grown = TreeRows(union_view(small, 0))
    grown.reveal(node(grown, "a/deep/file"))
    keep(grown, "new")
    assert shown(grown) == []
    grown.show(union_view(stack(BASE, TOP), 1))
    assert shown(grown) == ["b", "b/new"]
    keep(grown, "")
    assert shown(grown) == ["a", "a/deep", "a/deep/file", "b", "c", "z"]


def test_views_of_one_stack_share_what_is_expanded() -> None:
    found = stack(BASE, TOP)
    rows = TreeRows(union_view(found, 1))
    expand(rows, node(rows, "b"))
    rows.show(layer_view(found, 1))
    assert shown(rows) == ["b", "b/big", "b/new", "c", "z"]
    assert rows.has_children(node(rows, "b"))
    assert not rows.has_children(node(rows, "c"))
    assert not rows.has_children(node(rows, "a"))


def test_an_empty_image_has_no_rows() -> None:
    rows = TreeRows(union_view(Stack([changeset()]), 0))
    for key in SortKey:
        rows.sort, rows.reverse = key, True
        rows.update()
        assert shown(rows) == []
