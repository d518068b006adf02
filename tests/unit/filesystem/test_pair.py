"""Two unions as one stack: what differs between two images."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.compare import SameContents, compare_unions, differences
from layerscope.filesystem.pair import pair_unions, pair_view
from layerscope.filesystem.rows import TreeRows
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.oci.byte_source import Stream
from tests.archives import Item, folder, hard_link, layer_tar, symlink, text, whiteout

_NAMES = ("a", "b", "a/a", "a/b", "b/a", "a/a/a")
_KINDS = ("file", "dir", "symlink")


def changeset(items: list[Item]) -> Changeset:
    return read_changeset(Stream(io.BytesIO(layer_tar(items)).read))


def stack_of(*layers: list[Item]) -> Stack:
    return Stack([changeset(layer) for layer in layers])


_ITEMS = st.lists(
    st.builds(
        lambda name, kind, uid, body: Item(
            name,
            kind,
            body if kind == "file" else b"",
            uid=uid,
            link="x" * uid if kind == "symlink" else "",
        ),
        st.sampled_from(_NAMES),
        st.sampled_from(_KINDS),
        st.integers(1, 2),
        st.sampled_from([b"", b"1", b"22"]),
    ),
    max_size=6,
)
_LAYERS = st.lists(_ITEMS, min_size=1, max_size=3)


def reported(same: Callable[[int, int], bool | None]) -> SameContents:
    return lambda pairs: [same(*pair) for pair in pairs]


def union(stack: Stack) -> dict[bytes, tuple[Any, ...]]:
    rows = stack.union(stack.height - 1).tolist()
    return {
        stack.tree.path(int(stack.nodes[row])): (
            int(stack.types[row]),
            int(stack.uids[row]),
            int(stack.sizes[row]),
            stack.link(row) if stack.types[row] == 2 else None,
        )
        for row in rows
        if stack.nodes[row]
    }


@given(_LAYERS, _LAYERS)
def test_differences_are_those_of_the_unions(
    one: list[list[Item]], other: list[list[Item]]
) -> None:
    first, second = stack_of(*one), stack_of(*other)
    before, after = union(first), union(second)
    expected = dict.fromkeys(before.keys() - after.keys(), Change.REMOVED)
    expected |= dict.fromkeys(after.keys() - before.keys(), Change.ADDED)
    expected |= {
        path: Change.MODIFIED
        for path in before.keys() & after.keys()
        if before[path] != after[path]
    }
    found = compare_unions(first, second, reported(lambda _one, _other: True))
    # Folders that no entry describes have no owner of their own and differ in nothing else here.
    assert {each.path: each.change for each in found} == expected
    assert [each.path for each in found] == sorted(
        expected, key=lambda path: path.replace(b"/", b"\0")
    )
    for each in found:
        for stack, row, there in ((first, each.first, before), (second, each.second, after)):
            assert (row is not None) == (each.path in there)
            if row is not None:
                assert stack.tree.path(int(stack.nodes[row])) == each.path


@given(_LAYERS, _LAYERS)
def test_both_unions_are_in_the_pair(one: list[list[Item]], other: list[list[Item]]) -> None:
    first, second = stack_of(*one), stack_of(*other)
    pair = pair_unions(first, second)
    for layer, stack in enumerate((first, second)):
        shown = pair.stack.union(layer)
        paths = {pair.stack.tree.path(int(pair.stack.nodes[row])) for row in shown.tolist()}
        assert paths - {b""} == union(stack).keys()
    for node in range(1, len(pair.stack.tree)):
        path = pair.stack.tree.path(node)
        sides = pair.sides(node)
        assert [side is not None for side in sides] == [
            path in union(first),
            path in union(second),
        ]


def kinds(found: Mapping[bytes, Any]) -> dict[bytes, tuple[Change, Aspect]]:
    return {path: (each.change, each.aspects) for path, each in found.items()}


def test_in_what_paths_differ() -> None:
    first = stack_of(
        [
            text("content", "a"),
            text("mode"),
            text("type"),
            symlink("link", "x"),
            folder("d"),
            text("d/gone"),
            text("same"),
            Item("dev", "char", device=(1, 3)),
            text("attributes", pax={"SCHILY.xattr.user.a": "1"}),
        ]
    )
    second = stack_of(
        [
            text("content", "b"),
            text("mode", mode=0o600, uid=1),
            symlink("type", "text\n"),
            symlink("link", "y"),
            text("d"),
            text("same"),
            text("new"),
            Item("dev", "char", device=(1, 5)),
            text("attributes", pax={"SCHILY.xattr.user.a": "2"}),
        ]
    )
    answers = {b"content": False}

    def same(one: int, other: int) -> bool:
        path = first.tree.path(int(first.nodes[one]))
        assert path == second.tree.path(int(second.nodes[other]))
        return answers.get(path, True)

    found = {each.path: each for each in compare_unions(first, second, reported(same))}
    modified = Change.MODIFIED
    assert kinds(found) == {
        b"content": (modified, Aspect.CONTENT),
        b"mode": (modified, Aspect.MODE | Aspect.OWNER),
        b"type": (modified, Aspect.TYPE | Aspect.MODE),
        b"link": (modified, Aspect.LINK),
        b"d": (modified, Aspect.TYPE | Aspect.MODE),
        b"d/gone": (Change.REMOVED, Aspect(0)),
        b"new": (Change.ADDED, Aspect(0)),
        b"dev": (modified, Aspect.DEVICE),
        b"attributes": (modified, Aspect.XATTRS),
    }


def test_what_nobody_can_read_is_not_certain() -> None:
    first, second = stack_of([text("f", "a")]), stack_of([text("f", "b", uid=1)])
    [found] = compare_unions(first, second, reported(lambda _one, _other: None))
    assert (found.aspects, found.content_known) == (Aspect.OWNER, False)
    assert (
        compare_unions(first, stack_of([text("f", "b")]), reported(lambda _one, _other: None)) == []
    )


@pytest.mark.parametrize("shares", [True, False])
def test_files_of_a_layer_that_both_have_are_not_read(shares: bool) -> None:
    base = [folder("usr"), text("usr/a", "1"), hard_link("usr/b", "usr/a"), text("usr/c", "2")]
    top = [text("usr/c", "3"), whiteout("usr/b")]
    asked: list[int] = []

    def same(one: int, other: int) -> bool:
        asked.append(one)
        return False

    if shares:
        first, second = stack_of(base), stack_of(base, top)
        found = compare_unions(first, second, reported(same), {0: 0})
    else:
        shared = changeset(base)
        first, second = Stack([shared]), Stack([shared, changeset(top)])
        found = compare_unions(first, second, reported(same))
    assert [each.path for each in found] == [b"usr/b", b"usr/c"]
    assert len(asked) == 1


def test_sizes_of_folders_before_and_after() -> None:
    first = stack_of(
        [folder("d"), text("d/a", "1" * 10), hard_link("d/b", "d/a"), text("d/gone", "3" * 5)]
    )
    second = stack_of([folder("d"), text("d/a", "1" * 4), text("d/new", "2" * 8), text("e", "9")])
    view = pair_view(pair_unions(first, second))
    tree = view.stack.tree

    def sizes(path: bytes) -> tuple[int, int, int]:
        node = tree.find(path)
        assert node is not None
        return int(view.before[node]), int(view.after[node]), int(view.sizes[node])

    assert sizes(b"d") == (15, 12, 3)
    assert sizes(b"d/gone") == (5, 0, 5)
    assert sizes(b"d/new") == (0, 8, 8)
    assert sizes(b"e") == (0, 1, 1)
    rows = TreeRows(view)
    rows.hidden = {Change.UNCHANGED}
    rows.expanded[:] = True
    rows.update()
    names = [tree.path(node) for node in rows.nodes.tolist()]
    assert names == [b"d", b"d/a", b"d/b", b"d/gone", b"d/new", b"e"]


def test_empty_images() -> None:
    nothing, something = Stack([]), stack_of([text("a")])
    assert differences(pair_unions(nothing, nothing)) == []
    assert [each.change for each in differences(pair_unions(nothing, something))] == [Change.ADDED]
    assert [each.change for each in differences(pair_unions(something, nothing))] == [
        Change.REMOVED
    ]


def test_hard_links_to_what_is_no_file_are_compared_too() -> None:
    broken = [folder("d"), hard_link("to-folder", "d"), hard_link("to-nothing", "nowhere")]
    names = {b"to-folder", b"to-nothing"}
    with_them, without = stack_of(broken), stack_of([folder("d")])
    for first, second, change in (
        (with_them, with_them, None),
        (without, with_them, Change.ADDED),
        (with_them, without, Change.REMOVED),
    ):
        found = {each.path: each.change for each in differences(pair_unions(first, second))}
        assert found == (dict.fromkeys(names, change) if change is not None else {})


def test_the_path_of_one_row_is_that_among_all() -> None:
    found = changeset([folder("."), text("a", "1"), folder("d"), text("d/b", "2")])
    assert [found.path(row) for row in range(len(found))] == found.paths()
    assert changeset([text("a", "1")]).path(0) == b"a"
