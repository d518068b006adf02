"""The tree of all paths, layers on top of each other, what they waste, and what a screen shows."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.errors import Cancelled, LayerscopeError
from layerscope.filesystem import search as search_module
from layerscope.filesystem import settle as settle_module
from layerscope.filesystem import tree as tree_module
from layerscope.filesystem.change import NEVER, Aspect, Change
from layerscope.filesystem.changeset import Changeset, EntryType, Int64
from layerscope.filesystem.changeset_file import dump_changeset, load_changeset
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.stack_file import dump_stack, load_stack
from layerscope.filesystem.suspicious import suspicion, suspicions
from layerscope.filesystem.tar_changeset import clean_path, clean_paths, read_changeset
from layerscope.filesystem.tree import PathTree
from layerscope.filesystem.view import layer_view, union_view
from layerscope.filesystem.waste import by_layer, measure
from layerscope.oci.byte_source import Stream
from layerscope.oci.tar_header import TarError
from layerscope.patterns import PathPattern, filter_pattern, regex_pattern
from tests.archives import BLOCK, END, Short, changeset, entry, header, layer, pax, stack, streamed

names = st.text("ab.-", min_size=1, max_size=3).filter(lambda n: n not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=5).map(lambda parts: "/".join(parts).encode())


def union(of: Stack, height: int | None = None) -> list[str]:
    top = of.height - 1 if height is None else height
    found = [of.tree.path(int(of.nodes[row])).decode() for row in of.union(top)]
    return [path for path in found if path]


def changes(of: Stack, number: int) -> dict[str, str]:
    rows = of.rows(number)
    return {
        of.tree.path(int(of.nodes[row])).decode(): Change(int(of.changes[row])).letter
        for row in rows
    }


@given(st.sets(paths, max_size=30), st.sets(paths, max_size=5))
def test_a_tree_numbers_all_paths_depth_first(of: set[bytes], extra: set[bytes]) -> None:
    tree = PathTree([b"\0".join(of)] if of else [], extra)
    wanted = {b""}
    for path in of | extra:
        parts = path.split(b"/")
        wanted |= {b"/".join(parts[:n]) for n in range(1, len(parts) + 1)}
    ordered = sorted(wanted, key=lambda path: path.split(b"/") if path else [])
    assert tree.paths(range(len(tree))) == ordered
    for node, path in enumerate(ordered):
        assert tree.find(path) == node
        assert tree.name(node) == path.rpartition(b"/")[2]
        assert tree.depths[node] == (path.count(b"/") + 1 if path else 0)
        inside = [n for n, p in enumerate(ordered) if not path or p.startswith(path + b"/")]
        inside = [n for n in inside if n != node]
        assert inside == list(range(node + 1, int(tree.ends[node])))
        children = [n for n in inside if int(tree.parents[n]) == node]
        assert tree.children(node) == children
    flags = np.arange(len(tree)) % 2 == 0
    expected = [sum(flags[n + 1 : int(tree.ends[n])]) for n in range(len(tree))]
    assert tree.below(flags).tolist() == expected
    assert tree.find(b"no such path") is None
    again = PathTree([], blob=tree.blob)
    tree.compact()
    for column in ("parents", "depths", "ends"):
        assert getattr(again, column).tolist() == getattr(tree, column).tolist()
    for same in (tree, again):
        assert [same.find(path) for path in ordered] == list(range(len(ordered)))
        assert same.find(b"no such path") is None
        assert same.nodes(b"\0".join(ordered), len(ordered)).tolist() == list(range(len(ordered)))


PATTERNS = st.one_of(
    st.text("abA/.*?é", min_size=1, max_size=4).map(filter_pattern),
    st.text("abA.é", min_size=1, max_size=2).map(filter_pattern),
    st.sampled_from(["a.", "^a", "b$", "a|b", "[^a]", r"\Aa/b\Z"]).map(regex_pattern),
)


@given(st.sets(paths, max_size=30), PATTERNS)
def test_a_search_finds_the_paths_that_its_pattern_finds(
    of: set[bytes], pattern: PathPattern | None
) -> None:
    if pattern is None:
        return
    tree = PathTree([b"\0".join(of)] if of else [])
    expected = [pattern.search(path) for path in tree.paths(range(len(tree)))]
    assert tree.search(pattern).tolist() == expected


@given(st.sets(paths, max_size=30), st.sampled_from([1, 3, 1 << 18]))
def test_names_are_the_last_components_of_paths(of: set[bytes], chunk: int) -> None:
    tree = PathTree([b"\0".join(of)] if of else [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "_CHUNK", chunk)
        names = tree.joined_names()
    expected = [tree.name(node) for node in range(len(tree))]
    assert names.blob == b"\0".join(expected)
    assert np.diff(names.starts).tolist() == [len(name) + 1 for name in expected]


def test_a_search_that_nobody_wants_any_more_ends() -> None:
    tree = PathTree([b"a/b"])

    def stop() -> None:
        raise Cancelled

    for pattern in (filter_pattern("a*b"), regex_pattern("a.b")):
        assert pattern is not None
        with pytest.raises(Cancelled):
            tree.search(pattern, stop)


def test_a_tree_is_searched_by_whole_paths() -> None:
    tree = PathTree([b"a/b\0a/c"])
    assert tree.search(regex_pattern("a/b$")).tolist() == [False, False, True, False]


def test_a_tree_of_names_that_are_not_utf8_keeps_them() -> None:
    tree = PathTree([b"\xff/\xfe\n"])
    assert tree.paths(range(3)) == [b"", b"\xff", b"\xff/\xfe\n"]


def test_paths_out_of_proportion_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "MOST_IMPLIED", 1000)
    with pytest.raises(LayerscopeError, match="deep paths"):
        PathTree([b"a/" * 60 + b"b"])
    assert len(PathTree([b"a/b/c"])) == 4


@pytest.mark.parametrize(
    ("name", "path"),
    [(b"a", b"a"), (b"./a", b"a"), (b"/a//b/", b"a/b"), (b"a/./b/../c", b"a/c"), (b"./", b""),
     (b"...", b"..."), (b"a/..", b""), (b"../a", b"a"), (b"a/../../b", b"b"), (b"/..", b"")],
)  # fmt: skip
def test_names_become_paths_as_an_engine_unpacks_them(name: bytes, path: bytes) -> None:
    assert clean_path(name) == path


components = st.sampled_from([b"", b".", b"..", b".a", b"..a", b"a.", b"a"])


@given(st.lists(st.lists(components, min_size=1, max_size=4).map(b"/".join), max_size=4))
def test_many_names_become_the_same_paths_as_one(names: list[bytes]) -> None:
    assert clean_paths(names, {}) == [clean_path(name) for name in names]


@pytest.mark.parametrize("name", [b"../a", b"b/../../a", b"/../a", b"../../../a"])
def test_names_that_lead_out_end_at_the_root_and_are_suspicious(name: bytes) -> None:
    inside = header(b"b/c") + header(b"..a") + header(b"b/../d")
    found = read_changeset(streamed(inside + header(name) + END))
    assert found.paths() == [b"b/c", b"..a", b"d", b"a"]
    assert found.outside == {3: name}
    link = read_changeset(streamed(header(b"a") + header(b"l", kind=b"1", link=name) + END))
    assert (link.links, link.outside) == ({1: b"a"}, {1: name})
    again = load_changeset(dump_changeset(found))
    assert again.outside == found.outside
    stack = Stack([again])
    kept = load_stack(dump_stack(stack, "key"), "key")
    for each in (stack, kept):
        (said,) = suspicions(each, 0)
        assert name.decode() in said
        assert [row for row in range(4) if suspicion(each, row)] == [3]


@pytest.mark.parametrize("name", [b".", b"/", b"./", b"a/..", b"", b".."])
@pytest.mark.parametrize("kind", [b"0", b"1", b"2", b"6"])
def test_the_root_is_a_folder(name: bytes, kind: bytes) -> None:
    data = header(name, kind=kind, link=b"x") + header(b"other") + END
    assert read_changeset(streamed(data)).paths() == [b"other"]
    assert read_changeset(streamed(header(name, kind=b"5") + END)).entries == 0


@pytest.mark.parametrize("name", [b".wh.", b"etc/.wh.", b".wh..", b"a/.wh...", b".wh..."])
def test_a_whiteout_of_nothing_or_a_dot_is_refused(name: bytes) -> None:
    with pytest.raises(TarError, match=f"the whiteout /{re.escape(name.decode())} names no file"):
        read_changeset(streamed(header(name) + END))


def test_a_folder_undoes_a_whiteout_before_it() -> None:
    found = changeset(("x/.wh.d", b""), "x/d/", ("x/d/b", b""), (".wh.f", b""), ("f", b""))
    assert found.paths() == [b"x/d", b"x/d/b", b"f", b"f"]
    linked = changeset("real/", ("to", "symlink", "real"), ("real/.wh.d", b""), "to/d/")
    assert linked.paths() == [b"real", b"to", b"real/d"]
    lower = [("x/d/a", b"1")]
    merged = stack(lower, [("x/.wh.d", b""), "x/d/"])
    assert {merged.tree.path(int(node)) for node in merged.nodes[merged.union(1)]} == {
        b"x", b"x/d", b"x/d/a"
    }  # fmt: skip


def test_paths_with_the_same_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def few(paths: Iterable[bytes], count: int) -> Int64:
        return np.fromiter((len(path) % 3 for path in paths), np.int64, count)

    blob = b"\0".join(b"%d/%d" % (number % 7, number) for number in range(99))
    items = layer("a/", ("a/b", b"x"), ("c", "symlink", "a"), ("c/d", b""), (".wh.e", b""), "e/")
    known = PathTree([blob])
    nodes, paths = known.nodes(blob, 99).tolist(), read_changeset(streamed(items)).paths()
    for module in (tree_module, settle_module):
        monkeypatch.setattr(module, "hashes", few)
    tree = PathTree([blob])
    assert tree.blob == known.blob
    assert tree.nodes(blob, 99).tolist() == nodes
    tree.compact()
    assert tree.nodes(blob, 99).tolist() == nodes
    assert read_changeset(streamed(items)).paths() == paths


def test_an_entry_takes_little_memory() -> None:
    many = 40_000
    names = (b"d%d/f%d" % (number // 500, number) for number in range(many))
    blocks = itertools.chain(map(header, names), [END])
    tracemalloc.start()
    found = read_changeset(Stream(lambda size: b"".join(itertools.islice(blocks, size // BLOCK))))
    # Headers are read in batches, which take most while there are so few.
    tracemalloc.reset_peak()
    Stack([found]).counts(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / many < 250


def test_an_opaque_root_hides_nothing() -> None:
    found = stack([("a", b"")], [(".wh..wh..opq", b""), ("b", b"")])
    assert len(found.union(1)) == 2
    assert found.counts(1) == {
        Change.UNCHANGED: 1, Change.ADDED: 1, Change.MODIFIED: 0, Change.REMOVED: 0
    }  # fmt: skip


def test_whiteouts_and_aufs_book_keeping_are_told_apart() -> None:
    found = changeset(("a/.wh.b", b""), ("c/.wh..wh..opq", b""), (".wh..wh.plnk", b""),
                      ("a.wh.b", b"x"))  # fmt: skip
    assert found.paths() == [b"a/b", b"c", b"a.wh.b"]
    assert found.kinds.tolist() == [EntryType.WHITEOUT, EntryType.OPAQUE, EntryType.FILE]


def test_files_of_aufs_at_the_root_are_skipped_and_links_to_them_become_files() -> None:
    """Podman 4.3 shows this; Docker and containerd have the same code."""
    found = changeset(
        (".wh..wh.plnk", b""),
        (".wh..wh.plnk/10.20", b"shared"),
        ("a", "link", ".wh..wh.plnk/10.20"),
        ("b", "link", "/.wh..wh.plnk/10.20"),
        (".wh..wh.orph/x", b"q"),
        ("c/.wh..wh.foo/x", b"q"),
    )
    labels = [EntryType(kind).label for kind in found.kinds]
    assert dict(zip(found.paths(), labels, strict=True)) == {
        b".wh..wh.plnk": "dir",
        b".wh..wh.orph": "dir",
        b"a": "file",
        b"b": "file",
        b"c/.wh..wh.foo/x": "file",
    }
    assert found.size == 6 + 6 + 1


def test_of_repeated_entries_the_last_counts() -> None:
    found = changeset(("a", b"first"), ("b", b""), ("a", b"second!"))
    assert found.paths() == [b"b", b"a"]
    assert found.size == 7


def test_a_hard_link_keeps_a_file_that_is_replaced_later() -> None:
    found = stack([("a", b"first"), ("l", "link", "a"), ("m", "link", "a"), ("a", b"second!")])
    sizes = {
        found.tree.path(int(found.nodes[row])): int(found.sizes[row]) for row in found.union(0)
    }
    assert sizes == {b"a": 7, b"l": 5, b"m": 5}
    assert found.layer_size(0) == 12


def test_claimed_sizes_that_overflow_are_refused() -> None:

    one = pax({b"GNU.sparse.size": b"%d" % 2**60, b"GNU.sparse.map": b""})
    with pytest.raises(TarError, match="larger than any layer can be"):
        read_changeset(streamed(one + entry(b"a") + one + entry(b"b") + END))


def test_each_kind_of_change_is_told() -> None:
    found = stack(
        ["d/", ("d/a", b"1"), ("d/b", b"2"), ("d/c", b"3"), ("s", "symlink", "a"), ("t", b"t")],
        [("d/a", b"22"), ("d/.wh.b", b""), ("d/new", b""), ("s", "symlink", "b"), ("t", b"t")],
    )
    assert changes(found, 1) == {"d/a": "M", "d/b": "R", "d/new": "A", "s": "M", "t": " "}
    assert union(found) == ["d", "d/a", "d/c", "d/new", "s", "t"]
    assert union(found, 0) == ["d", "d/a", "d/b", "d/c", "s", "t"]
    row = found.version(found.tree.find(b"s") or 0, 1)
    assert row is not None
    assert Aspect(int(found.aspects[row])) == Aspect.LINK


def test_content_of_the_same_size_is_compared_by_digest() -> None:
    found = stack([("a", b"1234"), ("b", b"1234")], [("a", b"1234"), ("b", b"1235")])
    assert changes(found, 1) == {"a": " ", "b": "M"}
    assert not found.unread.any()


def test_whiteouts_hide_what_is_below_wherever_they_stand() -> None:
    base: list[Short] = [("d/a", b"a"), ("d/sub/b", b"b"), ("x", b"")]
    assert union(stack(base, [(".wh.d", b"")])) == ["x"]
    assert union(stack(base, [(".wh.d", b""), ("d/new", b"")])) == ["d", "d/new", "x"]
    assert union(stack(base, [("d/new", b""), (".wh.d", b"")])) == ["d", "d/new", "x"]
    assert union(stack(base, [("d/new", b""), ("d/.wh..wh..opq", b"")])) == ["d", "d/new", "x"]
    assert union(stack(base, [("d/.wh..wh..opq", b"")])) == ["d", "x"]


def test_a_folder_replaced_by_a_file_or_symlink_loses_its_children() -> None:
    base: list[Short] = ["d/", ("d/a", b"a")]
    assert union(stack(base, [("d", b"file")])) == ["d"]
    assert union(stack(base, [("d", "symlink", "x")])) == ["d"]
    assert union(stack(base, [("d", b"file")], [("d/b", b"")])) == ["d", "d/b"]


def test_an_empty_stack_has_nothing() -> None:
    found = Stack([])
    assert (found.height, len(found.union(-1)), measure(found).efficiency) == (0, 0, 1.0)
    assert Stack([Changeset.empty()] * 3).height == 3


def test_waste_counts_hidden_bytes_once_and_names_who_hid_them() -> None:
    found = stack(
        [("a", b"x" * 10), ("b", b"y" * 20), ("l", "link", "b"), ("d/c", b"z" * 5), ("e", b"")],
        [("a", b"x" * 11), (".wh.d", b"")],
        [("a", b"x" * 12), (".wh.b", b"")],
        [(".wh.l", b"")],
    )
    waste = measure(found)
    assert waste.layer_sizes == (35, 11, 12, 0)
    assert (waste.size, waste.visible_size, waste.wasted_size) == (58, 12, 46)
    assert waste.efficiency == pytest.approx(12 / 58)
    assert [(w.path, w.size, w.versions, w.hidden_by) for w in waste.paths] == [
        (b"a", 21, 2, 2),
        (b"b", 20, 1, 3),
        (b"d/c", 5, 1, 1),
    ]


def test_what_a_layer_itself_replaces_is_no_part_of_it() -> None:
    found = stack([("d/a", b"xxx"), ("d", b"file")])
    assert union(found) == ["d"]
    assert measure(found).layer_sizes == (4,)
    assert measure(found).paths == []


def test_waste_by_layer_tells_copies_from_what_is_gone() -> None:
    found = stack(
        [("a", b"x" * 10), ("b", b"y" * 20), ("d/c", b"z" * 5), ("l", "link", "d/c")],
        [("a", b"x" * 10), ("b", b"y" * 21), (".wh.d", b"")],
        [(".wh.l", b""), (".wh.a", b"")],
    )
    assert [(w.layer, w.size, w.copied) for w in by_layer(found)] == [(1, 30, 10), (2, 15, 0)]
    assert by_layer(found)[0].paths == [(b"b", 20), (b"a", 10)]
    assert by_layer(found, 1)[0].paths == [(b"b", 20)]
    assert by_layer(stack([("a", b"x"), ("a", b"y")])) == []


layers = st.lists(
    st.lists(st.tuples(paths, st.sampled_from(["file", "dir", "whiteout", "opaque"])), max_size=6),
    min_size=1,
    max_size=4,
)


@given(layers)
def test_waste_is_what_is_shipped_and_not_visible(of: list[list[tuple[bytes, str]]]) -> None:
    found = Stack([read_changeset(streamed(packed(items))) for items in of])
    waste = measure(found)
    assert waste.wasted_size == sum(path.size for path in waste.paths)
    hidden = by_layer(found)
    # What a layer hid of itself is nobody else's.
    assert sum(layer.size for layer in hidden) <= waste.wasted_size
    assert all(0 <= layer.copied <= layer.size for layer in hidden)
    top = found.union(found.height - 1)
    assert waste.visible_size == int(found.sizes[top][found.kinds[top] == EntryType.FILE].sum())
    for number in range(found.height):
        live = found.union(number)
        shown = set(found.nodes[live].tolist())
        assert len(shown) == len(live), "one version of a path at a time"
        for node in shown:
            parent = int(found.tree.parents[node])
            if parent:
                row = found.version(parent, number)
                assert row is not None
                assert found.types[row] == EntryType.DIR
        view = union_view(found, number)
        assert view.sizes[0] == int(found.sizes[live][found.kinds[live] == EntryType.FILE].sum())
    assert ((found.hidden_by == NEVER) | (found.hidden_by < found.height)).all()


def packed(items: Iterable[tuple[bytes, str]]) -> bytes:
    data = b""
    for number, (path, kind) in enumerate(items):
        folder, slash, name = path.rpartition(b"/")
        if kind == "file":
            data += entry(path, b"x" * (number + 1))
        elif kind == "dir":
            data += header(path, kind=b"5")
        elif kind == "whiteout":
            data += header(folder + slash + b".wh." + name.lstrip(b".-") + b"w")
        else:
            data += header(path + b"/.wh..wh..opq")
    return data + END


def test_a_view_of_a_layer_shows_only_what_it_touches() -> None:
    found = stack(
        ["d/", ("d/a", b"1"), ("d/b", b"22"), ("e/c", b"333")], [("d/a", b"4444"), ("d/.wh.b", b"")]
    )
    view = layer_view(found, 1)
    shown = [found.tree.path(int(n)).decode() for n in np.flatnonzero(view.shown)]
    assert shown == ["d", "d/a", "d/b"]
    by_path = {path: n for n, path in enumerate(found.tree.paths(range(len(found.tree))))}
    assert view.changes[by_path[b"d/b"]] == Change.REMOVED
    assert view.versions[by_path[b"d"]] == -1
    assert (view.sizes[by_path[b"d/b"]], view.sizes[by_path[b"d"]]) == (2, 4)
    assert view.touched[by_path[b"d"]]
    whole = union_view(found, 1)
    assert (whole.sizes[0], whole.sizes[by_path[b"e"]]) == (7, 3)
    assert not whole.touched[by_path[b"e"]]


def test_a_view_counts_an_inode_once() -> None:
    found = stack([("a/x", b"123"), ("b/y", "link", "a/x")])
    view = union_view(found, 0)
    assert view.sizes[0] == 3


def test_layers_that_are_shared_are_told_apart() -> None:
    same = changeset(("a", b"1"))
    found = Stack([same, same, same])
    assert changes(found, 2) == {"a": " "}
    assert measure(found).wasted_size == 2
    assert layer(("a", b"1")) == layer(("a", b"1"))
