"""Layers that become one, and layers that lose paths: what is seen of them stays as it should."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, reject, settings
from hypothesis import strategies as st

from layerscope.filesystem.change import Aspect
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.compare import compare_unions, with_hard_links
from layerscope.filesystem.flatten import Flattened, merged, without
from layerscope.filesystem.layer_tar import layer_pieces
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.pieces import stored_size
from layerscope.oci.byte_source import Stream
from layerscope.oci.tar_header import TarError
from tests.archives import Item, folder, hard_link, layer_tar, opaque, text, whiteout
from tests.truth.stacks import union_of
from tests.truth.test_by_hand import BY_HAND
from tests.truth.test_properties import Layers, paths, stacks

thorough = settings(
    max_examples=150, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def stack_of(tars: Iterable[bytes]) -> Stack:
    return Stack([read_changeset(Stream(io.BytesIO(each).read)) for each in tars])


def written(stack: Stack, tars: list[bytes], found: Flattened) -> bytes:
    """The tar of a layer, with content from the layers that it was made of."""

    def content(row: int) -> list[bytes]:
        version = int(found.inodes[row])
        layer = int(stack.layers[version])
        place = stack.place(version)
        assert place is not None
        start = int(place[0].data_offsets[place[1]])
        return [tars[layer][start : start + stored_size(*place)]]

    return b"".join(layer_pieces(found.changeset, content))


def seen(tars: list[bytes]) -> tuple[dict[str, tuple[object, ...]], set[frozenset[str]]]:
    """What a container sees, with the bytes of files; and which names share an inode."""
    stack = stack_of(tars)
    union = union_of(stack, stack.height - 1)
    names: dict[int, set[str]] = {}
    for row in stack.union(stack.height - 1).tolist():
        path = stack.tree.path(int(stack.nodes[row])).decode("utf-8", "surrogateescape")
        inode = int(stack.inodes[row])
        names.setdefault(inode, set()).add(path)
        place = stack.place(inode)
        if path and place is not None and union[path][0] == "file":
            start = int(place[0].data_offsets[place[1]])
            data = tars[int(stack.layers[inode])][start : start + stored_size(*place)]
            union[path] = (*union[path], data)
    return union, {frozenset(each) for each in names.values()}


@st.composite
def linked_stacks(draw: st.DrawFn) -> Layers:
    """Layers with hard links to what lower layers have, or had."""
    layers = draw(stacks)
    for number, items in enumerate(layers[1:]):
        lower = [item.name for below in layers[: number + 1] for item in below]
        names = [name for name in lower if ".wh." not in name]
        if draw(st.booleans()) and names:
            items.append(hard_link(draw(paths), draw(st.sampled_from(names))))
    try:
        links = stack_of(map(layer_tar, layers)).types == EntryType.HARDLINK
    except TarError:
        reject()  # A link leads through a loop.
    # No engine takes a hard link to nothing, or to a folder.
    assume(not links.any())
    return layers


@pytest.mark.parametrize("name", BY_HAND)
def test_squashed_layers_of_every_kind_show_what_they_showed(name: str) -> None:
    tars = BY_HAND[name].layers
    for first in range(len(tars)):
        stack = stack_of(tars)
        assert seen([*tars[:first], written(stack, tars, merged(stack, first))]) == seen(tars)


@thorough
@given(linked_stacks(), st.data())
@example([[text("a", "1")], [whiteout("a"), text("a/b", "2")], [opaque("a")]], None)
@example([[text("a", "1"), text("c", "3")], [hard_link("b", "a")], [whiteout("a")]], None)
@example([[text("d/x", "1"), text("d/y", "1")], [opaque("d"), text("d/z", "2")], []], None)
def test_squashed_layers_show_what_they_showed(layers: Layers, data: st.DataObject | None) -> None:
    tars = [layer_tar(items) for items in layers]
    top = len(tars) - 1
    last = top if data is None else data.draw(st.integers(0, top))
    first = min(1, top) if data is None else data.draw(st.integers(0, last))
    stack = stack_of(tars[: last + 1])
    squashed = written(stack, tars, merged(stack, first))
    assert seen([*tars[:first], squashed, *tars[last + 1 :]]) == seen(tars)


@thorough
@given(stacks, st.data())
def test_a_layer_without_a_path_is_as_if_it_never_had_it(
    layers: Layers, data: st.DataObject
) -> None:
    """What stays of the layer is there as before, and nothing else is new."""
    tars = [layer_tar(items) for items in layers]
    top = data.draw(st.integers(0, len(tars) - 1))
    tars = tars[: top + 1]
    stack = stack_of(tars)
    own = stack.nodes[stack.rows(top).start : stack.rows(top).stop]
    dropped = np.zeros(len(stack.tree), np.bool_)
    if len(own):
        node = data.draw(st.sampled_from(own.tolist()))
        dropped[node : stack.tree.ends[node]] = True
    after = stack_of([*tars[:-1], written(stack, tars, without(stack, dropped))])
    rows = stack.union(top)
    for row in rows[stack.layers[rows] == top].tolist():
        path = stack.tree.path(int(stack.nodes[row]))
        found = after.tree.find(path)
        version = None if found is None else after.version(found, top)
        if not dropped[stack.nodes[row]] and not stack.implied(row):
            assert version is not None
            assert after.layers[version] == top
            assert after.types[version] == stack.types[row]
            assert after.modes[version] == stack.modes[row]
            assert after.sizes[version] == stack.sizes[row]
        elif version is not None and not stack.implied(row):
            assert after.layers[version] < top or after.implied(version)


@thorough
@given(linked_stacks(), st.data())
@example([[text("a"), hard_link("b", "a")], [text("b"), hard_link("c", "b")]], None)
def test_names_of_one_file_that_are_so_no_longer_are_differences(
    layers: Layers, data: st.DataObject | None
) -> None:
    tars = [layer_tar(items) for items in layers]
    before = stack_of(tars)
    own = before.nodes[before.bases[-2] : before.bases[-1]]
    assume(len(own))
    node = before.tree.find(b"b") if data is None else data.draw(st.sampled_from(own.tolist()))
    dropped = np.zeros(len(before.tree), np.bool_)
    dropped[node : before.tree.ends[node]] = True
    made = [*tars[:-1], written(before, tars, without(before, dropped))]
    after = stack_of(made)
    assume(not (after.types == EntryType.HARDLINK).any())
    (one, groups), (other, others) = seen(tars), seen(made)
    common = frozenset(one.keys() & other.keys())
    kept, rest = ({each & common for each in names} for names in (groups, others))
    expected = {name for each in kept ^ rest for name in each}
    found = compare_unions(before, after, lambda pairs: [None] * len(pairs))
    changed = with_hard_links(before, after, found)
    assert {
        each.path.decode("utf-8", "surrogateescape")
        for each in changed
        if each.aspects & Aspect.HARDLINKS
    } == expected
    assert [each.path for each in changed] == sorted(
        {each.path for each in changed}, key=lambda path: path.split(b"/")
    )


def test_squashing_keeps_opaque_whiteouts_and_leaves_out_what_is_gone() -> None:
    layers: list[list[Item]] = [
        [folder("d"), text("d/x"), text("d/y"), text("e/f")],
        [folder("d"), opaque("d"), text("d/z"), text("t", "temporary")],
        [whiteout("t"), whiteout("e/f")],
    ]
    stack = stack_of(layer_tar(items) for items in layers)
    found = merged(stack, 1).changeset
    assert list(zip(found.paths(), found.kinds.tolist(), strict=True)) == [
        (b"d", 3),
        (b"d", 8),
        (b"d/z", 0),
        (b"e/f", 7),
    ]


def test_a_whiteout_stays_before_what_takes_the_place_of_the_path() -> None:
    layers = [
        [text("a"), folder("d"), text("d/x")],
        [whiteout("a"), text("a"), whiteout("d"), text("d"), text("z")],
    ]
    stack = stack_of(layer_tar(items) for items in layers)
    dropped = np.zeros(len(stack.tree), np.bool_)
    dropped[stack.tree.find(b"z") or 0] = True
    found = without(stack, dropped).changeset
    assert list(zip(found.paths(), found.kinds.tolist(), strict=True)) == [
        (b"a", 7),
        (b"a", 0),
        (b"d", 7),
        (b"d", 0),
    ]


def test_a_file_that_loses_its_name_goes_on_under_the_next() -> None:
    tars = [layer_tar([text("a", "bytes"), hard_link("b", "a"), hard_link("c", "a")])]
    stack = stack_of(tars)
    dropped = np.zeros(len(stack.tree), np.bool_)
    dropped[stack.tree.find(b"a") or 0] = True
    union, inodes = seen([written(stack, tars, without(stack, dropped))])
    assert union["b"][-1] == union["c"][-1] == b"bytes"
    assert frozenset(("b", "c")) in inodes
