"""Names that lead through symlinks of their own layer, in numbers that no image has."""

from __future__ import annotations

import pytest

from layerscope.filesystem import settle
from layerscope.filesystem.settle import LayerLinks
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.oci.tar_extended import MAX_PATH
from layerscope.oci.tar_header import TarError
from tests.archives import (
    END,
    entry,
    hard_link,
    header,
    layer_tar,
    streamed,
    symlink,
    text,
    whiteout,
)


def test_the_same_path_comes_back_where_no_link_is() -> None:
    links = LayerLinks(1)
    folder = b"a/b"
    assert links.follow(folder, 0) is folder
    links.add(b"c", b"d")
    assert links.follow(folder, 0) is folder
    links.add(b"a", b"c")
    assert links.follow(folder, 0) == b"d/b"
    links.discard(b"c")
    assert links.follow(folder, 0) == b"c/b"


def test_rows_lie_where_links_lead_and_keep_what_their_headers_say() -> None:
    items = [
        symlink("a", "b"),
        text("a/x", "content", mode=0o640),
        hard_link("a/y", "a/x", mode=0o640),
    ]
    changeset = read_changeset(streamed(layer_tar(items)))
    assert changeset.paths() == [b"a", b"b/x", b"b/y"]
    assert changeset.links == {0: b"b", 2: b"b/x"}
    assert int(changeset.modes[1]) == 0o640


def test_a_whiteout_hides_what_a_link_leads_to() -> None:
    lower = read_changeset(streamed(layer_tar([text("b/x"), text("b/y")])))
    upper = read_changeset(streamed(layer_tar([symlink("a", "b"), whiteout("a/x")])))
    stack = Stack([lower, upper])
    shown = {stack.tree.path(int(stack.nodes[row])) for row in stack.union(1).tolist()}
    assert shown == {b"a", b"b", b"b/y"}


def test_more_links_than_any_engine_follows_are_refused() -> None:
    most = settle.MOST_LINKS
    tar = b"".join(header(b"l%d" % n, kind=b"2", link=b"l%d" % (n + 1)) for n in range(most))
    read_changeset(streamed(tar + entry(b"l0/x") + END))
    more = header(b"l%d" % most, kind=b"2", link=b"z")
    with pytest.raises(TarError, match=r"the name l0 leads .* loop of .* at byte 131072"):
        read_changeset(streamed(tar + more + entry(b"l0/x") + END))


def test_links_that_double_are_refused_in_no_time() -> None:
    # Each link is the next one, many times over.
    tar = b"".join(
        header(b"l%d" % n, kind=b"2", link=b"/../".join([b"l%d" % (n + 1)] * 12)) for n in range(40)
    )
    with pytest.raises(TarError, match="symbolic links"):
        read_changeset(streamed(tar + entry(b"l0/x") + END))


def test_long_ways_are_counted_over_the_whole_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "_STEPS", 100)
    monkeypatch.setattr(settle, "_STEPS_EACH", 0)
    tar = header(b"a", kind=b"2", link=b"./././././././././b")
    tar += b"".join(entry(b"a/%d/x" % number) for number in range(20))
    with pytest.raises(TarError, match=r"no engine would follow at byte \d+"):
        read_changeset(streamed(tar + END))


def test_paths_that_grow_by_a_link_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "MOST_IMPLIED", 1000)
    tar = header(b"a", kind=b"2", link=b"b" * 90)
    names = b"".join(entry(b"a/%d" % number) for number in range(11))
    assert len(read_changeset(streamed(tar + names + END))) == 12
    with pytest.raises(TarError, match="too many names that lead through symbolic links"):
        read_changeset(streamed(tar + names + entry(b"a/x") + END))


def test_a_name_longer_than_any_path_is_left_as_it_is() -> None:
    links = LayerLinks(1)
    links.add(b"a", b"b")
    folder = b"a/" + b"x" * MAX_PATH
    assert links.follow(folder, 0) is folder


def test_deep_names_of_whiteouts_and_hard_links_take_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settle, "MOST_IMPLIED", 1 << 20)
    deep = [f"{number}/{'d/' * 1500}x" for number in range(20)]
    links = [hard_link(f"h{number}", name) for number, name in enumerate(deep)]
    items = [text("t"), symlink("a", "b"), *map(whiteout, deep), *links]
    changeset = read_changeset(streamed(layer_tar(items)))
    assert changeset.paths() == [
        b"t",
        b"a",
        *(name.encode() for name in deep),
        *(f"h{number}".encode() for number in range(20)),
    ]
