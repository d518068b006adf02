"""A stack as bytes, and what the cache does with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import layerscope.filesystem.apply
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.changeset_file import ChangesetFileError, dump_changeset
from layerscope.filesystem.lookup import path_history
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.stack_file import dump_stack, load_stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.filesystem.view import layer_view, union_view
from layerscope.filesystem.waste import measure
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.images.loading import Loaded, load
from layerscope.images.progress import Progress
from layerscope.reports.files_report import json_lines
from tests.archives import Short, changeset, entry, pax, stack, streamed
from tests.tui.fakes import FakeReader

COLUMNS = (
    *("nodes", "layers", "hidden_by", "below", "inodes", "kinds", "types", "modes", "uids"),
    *("gids", "sizes", "mtimes", "changes", "aspects", "unread"),
)

names = st.sampled_from(
    ["a", "b", "a/b", "a/b/c", "b/\udcff", ".wh.a", "a/.wh..wh..opq", "b/.wh.d"]
)
items: st.SearchStrategy[Short] = st.one_of(
    st.tuples(names, st.binary(max_size=3)),
    st.tuples(names, st.just("symlink"), st.sampled_from(["x", "../y\udcfe"])),
    st.tuples(names, st.just("link"), names),
    names.map(lambda name: name + "/"),
)


def same(one: Stack, other: Stack) -> None:
    for name in COLUMNS:
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine.dtype == theirs.dtype
        assert mine.tolist() == theirs.tolist(), name
    assert one.tree.blob == other.tree.blob
    assert one.bases == other.bases
    for field in ("layer_sizes", "layer_wasted", "layer_hides", "visible_size", "columns"):
        assert getattr(measure(one), field) == getattr(measure(other), field), field
    for layer in range(one.height):
        assert one.entries(layer) == other.entries(layer) == one.changesets[layer].entries
        assert list(json_lines(one, layer)) == list(json_lines(other, layer))
        assert dump_changeset(one.changesets[layer]) == dump_changeset(other.changesets[layer])
        for view in (layer_view, union_view):
            assert view(one, layer).sizes.tolist() == view(other, layer).sizes.tolist()
    for node in range(len(one.tree)):
        assert path_history(one, node) == path_history(other, node)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(items, max_size=6), max_size=4))
def test_a_stack_comes_back_as_it_was(layers: list[list[Short]]) -> None:
    before = stack(*layers)
    same(before, load_stack(dump_stack(before, "key"), "key"))


def test_what_few_entries_have_comes_back() -> None:
    tar = (
        pax({b"SCHILY.xattr.user.a": b"\x00\xff"})
        + entry(b"file", b"x")
        + entry(b"null", kind=b"3", devices=(1, 3))
        + entry(b"hard", kind=b"1", link=b"file", mode=0o600, uid=7)
    )
    before = Stack([read_changeset(streamed(tar + bytes(1024), digest=True)), Changeset.empty()])
    after = load_stack(dump_stack(before, "key"), "key")
    same(before, after)
    for path in (b"file", b"null", b"hard"):
        node = before.tree.find(path)
        assert node is not None
        (row,) = before.versions(node)
        assert after.xattrs(row) == before.xattrs(row)
        assert after.device(row) == before.device(row)
        assert after.link(row) == before.link(row)
    one, other = before.changesets[0].digests, after.changesets[0].digests
    assert one is not None
    assert other is not None
    assert np.array_equal(one, other)
    assert [each.kinds.tolist() for each in after.changesets[-2:]] == [[0, 4, 1], []]


def test_threads_unpack_sections_of_one_stack_at_once() -> None:
    rng = np.random.default_rng(1)
    layers = [
        [(f"d{rng.integers(50)}/f{layer}-{number}", rng.bytes(3)) for number in range(300)]
        for layer in range(6)
    ]
    data = dump_stack(stack(*layers), "key")
    expected = [dump_changeset(changeset(*layer)) for layer in layers]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            loaded = load_stack(data, "key").changesets
            numbers = [number % 6 for number in range(48)]
            found = list(pool.map(lambda number, of=loaded: dump_changeset(of[number]), numbers))
            assert found == [expected[number] for number in numbers]
            assert all(loaded[number] is loaded[number] for number in range(6))


def test_damaged_bytes_are_never_taken_for_a_stack() -> None:
    data = dump_stack(stack([("a/b", b"1")], [("a/b", b"22")]), "key")
    for place in range(len(data)):
        with pytest.raises(ChangesetFileError):
            load_stack(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :], "key")
    for length in range(0, len(data), 5):
        with pytest.raises(ChangesetFileError):
            load_stack(data[:length], "key")
    with pytest.raises(ChangesetFileError, match="another"):
        load_stack(data, "other")


class KeptReader(FakeReader):
    def cache_key(self, layer: int) -> str | None:
        return f"layer {layer}"


def test_a_stack_is_applied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ChangesetCache(tmp_path)
    first = load(KeptReader(), Progress(), cache=cache)

    def refuse(*_: object) -> None:
        raise AssertionError("layers were applied again")

    monkeypatch.setattr(layerscope.filesystem.apply.Applied, "_apply", refuse)
    reported: list[Loaded] = []
    second = load(KeptReader(), Progress(), reported.append, cache)
    assert reported == [second]
    assert second.complete
    same(first.stack, second.stack)
    assert list(second.changesets) == list(range(4))
    assert dump_changeset(second.changesets[3]) == dump_changeset(first.changesets[3])
    assert 4 not in second.changesets


def test_layers_in_another_order_are_another_stack(tmp_path: Path) -> None:
    cache = ChangesetCache(tmp_path)
    cache.put_stack(["a", "b"], stack([("f", b"1")], [("f", b"22")]))
    assert cache.get_stack(["b", "a"]) is None
    assert cache.get_stack(["a"]) is None
    assert cache.get_stack(["a", "b"]) is not None
    assert ChangesetCache(tmp_path, limit=0).get_stack(["a", "b"]) is None


def test_a_damaged_file_is_dropped_and_made_anew(tmp_path: Path) -> None:
    cache = ChangesetCache(tmp_path)
    first = load(KeptReader(), Progress(), cache=cache)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    again = load(KeptReader(), Progress(), cache=cache)
    same(first.stack, again.stack)
    same(again.stack, load(KeptReader(), Progress(), cache=cache).stack)


def test_stacks_count_for_the_bound_of_the_cache(tmp_path: Path) -> None:
    cache = ChangesetCache(tmp_path, limit=3000)
    for number in range(20):
        cache.put(f"{number}", changeset((f"file-{number}", b"x")))
        cache.put_stack([f"{number}"], stack([(f"file-{number}", b"x")]))
        assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= 3000
