"""Random stacks: the core and a naive reading of the specification come to the same."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from layerscope.filesystem.view import union_view
from layerscope.filesystem.waste import measure
from tests.archives import (
    Item,
    folder,
    hard_link,
    opaque,
    symlink,
    text,
    whiteout,
)
from tests.truth.reference import Applied, apply_all, real_path, remove
from tests.truth.stacks import changes_of, stack_of_items, union_of

Layers = list[list[Item]]

NAMES = ("a", "b", "c")
TARGETS = (*NAMES, "a/b", "../c", "/b", "/", ".")
MODES = st.sampled_from((0o644, 0o600, 0o4755))
OWNERS = st.sampled_from((0, 7))
TIMES = st.sampled_from((5, 6))

paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)


@st.composite
def layer_items(draw: st.DrawFn) -> list[Item]:
    """Return a layer in any order, in which hard links follow what they are links to."""
    items: list[Item] = []
    # What a link can be made to is what the layer has at that point, so that is kept track of.
    tree: dict[str, Item] = {}
    for _ in range(draw(st.integers(0, 7))):
        kind = draw(st.sampled_from(("file", "file", "dir", "symlink", "link", "white", "opaque")))
        path = draw(paths)
        fields = {"mode": draw(MODES), "uid": draw(OWNERS), "mtime": draw(TIMES)}
        try:
            real = real_path(tree, path)
            real_path(tree, f"{real}/x")
        except RecursionError:
            continue  # A circle of symlinks, which nobody can follow.
        targets = sorted(
            name
            for name, item in tree.items()
            if item.kind != "dir" and name != real and not real.startswith(f"{name}/")
        )
        if kind == "white":
            items.append(whiteout(path))
            continue
        if kind == "opaque":
            items.append(opaque(draw(st.sampled_from((path, "")))))
            continue
        if kind == "dir":
            item = folder(path, **fields)
        elif kind == "symlink":
            item = symlink(path, draw(st.sampled_from(TARGETS)), mtime=fields["mtime"])
        elif kind == "link" and targets:
            target = draw(st.sampled_from(targets))
            item = hard_link(path, target, **fields)
            items.append(item)
            _keep(tree, real, tree[target])
            continue
        else:
            item = text(path, draw(st.sampled_from(("", "one", "two", "three"))), **fields)
        items.append(item)
        _keep(tree, real, item)
    return items


def _keep(tree: dict[str, Item], path: str, item: Item) -> None:
    parts = path.split("/")
    for count in range(1, len(parts)):
        parent = "/".join(parts[:count])
        if parent not in tree or tree[parent].kind != "dir":
            remove(tree, parent)
            tree[parent] = folder(parent)
    if not (item.kind == "dir" and path in tree and tree[path].kind == "dir"):
        remove(tree, path)
    tree[path] = item


stacks = st.lists(layer_items(), min_size=1, max_size=4)
thorough = settings(
    max_examples=400, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@thorough
@given(stacks)
def test_the_union_is_that_of_the_reference_at_every_height(layers: Layers) -> None:
    stack = stack_of_items(layers)
    for done in apply_all(layers):
        truth = {path: inode.seen for path, inode in done.union.items()}
        assert union_of(stack, done.layer) == truth


def naive_changes(done: Applied) -> dict[tuple[str, str], str]:
    """Return what the reference says that a layer did."""
    own = {
        path for path, inode in done.union.items() if inode.implied and inode.layer == done.layer
    }
    found = {(path, "entry"): done.change(path) for path in own | done.entries.keys()}
    for what, marked in (("whiteout", done.whiteouts), ("opaque", done.opaques)):
        for path in marked:
            gone = done.removes(path, inside=what == "opaque")
            found[path, what] = "removed" if gone else "unchanged"
    return found


@thorough
@given(stacks)
def test_changes_are_those_between_two_unions(layers: Layers) -> None:
    stack = stack_of_items(layers)
    for done in apply_all(layers):
        truth = naive_changes(done)
        assert changes_of(stack, done.layer) == truth
        counts = {change.label: number for change, number in stack.counts(done.layer).items()}
        assert Counter(truth.values()) == Counter(counts)


@thorough
@given(stacks)
@example([[text("a", "one")], [whiteout("a"), text("a/b", "two")]])
def test_waste_is_what_is_shipped_and_not_visible(layers: Layers) -> None:
    stack = stack_of_items(layers)
    waste = measure(stack)
    naive = apply_all(layers)
    assert waste.visible_size == naive[-1].visible_size
    assert waste.wasted_size == sum(waste.layer_sizes) - waste.visible_size
    assert waste.wasted_size == sum(path.size for path in waste.paths)
    assert list(waste.layer_sizes) == [done.size for done in naive]
    assert all(path.size > 0 and path.versions > 0 for path in waste.paths)
    assert [path.size for path in waste.paths] == sorted(
        (path.size for path in waste.paths), reverse=True
    )
    assert 0.0 <= waste.efficiency <= 1.0


@thorough
@given(stacks)
def test_the_total_of_the_root_is_the_visible_size(layers: Layers) -> None:
    stack = stack_of_items(layers)
    for done in apply_all(layers):
        assert int(union_view(stack, done.layer).sizes[0]) == done.visible_size
