"""Why bytes are wasted, worked out by hand, and in sum as `inspect` has it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.filesystem.change import Aspect
from layerscope.filesystem.left_overs import KINDS, find_left_overs
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.filesystem.tree import PathTree
from layerscope.filesystem.waste import measure
from layerscope.filesystem.waste_causes import Cause, Finding, find_causes, fold, uncompared
from tests.archives import (
    Item,
    folder,
    hard_link,
    layer_tar,
    opaque,
    streamed,
    symlink,
    text,
    whiteout,
)

TEN, HUNDRED = "t" * 10, "h" * 100


def stacked(*layers: Sequence[Item], digest: bool = True) -> Stack:
    """Layers on each other; read as a stream with digests, contents are compared already."""
    return Stack([read_changeset(streamed(layer_tar(list(x)), digest=digest)) for x in layers])


def wasted(stack: Stack) -> list[Finding]:
    causes = find_causes(stack)
    assert causes.wasted_size == measure(stack).wasted_size
    return list(causes.wasted)


def brief(finding: Finding) -> tuple[Cause, int, int | None, int, list[tuple[str, int]]]:
    paths = [(each.path.decode() + "/" * each.folder, each.size) for each in finding.paths]
    return finding.cause, finding.wrote, finding.hidden_by, finding.size, paths


def test_a_chown_of_a_tree_is_one_finding_with_one_folder() -> None:
    files = {f"opt/venv/lib/{n}": HUNDRED for n in range(50)} | {"opt/venv/bin/a": TEN}
    (found,) = wasted(
        stacked(
            [folder("opt"), text("etc/a", TEN), *(text(p, c) for p, c in files.items())],
            [text(path, content, uid=7) for path, content in files.items()],
        )
    )
    assert brief(found) == (Cause.COPIED, 0, 1, 5010, [("opt/venv/", 5010)])
    assert found.aspects == Aspect.OWNER
    assert found.files == 51


def test_content_that_nobody_compared_is_told_apart() -> None:
    stack = stacked([text("a", HUNDRED)], [text("a", HUNDRED, mode=0o755)], digest=False)
    (found,) = wasted(stack)
    assert (found.cause, found.uncompared) == (Cause.REWRITTEN, 100)
    (row,) = uncompared(stack)
    stack.settle(row, True)
    (found,) = wasted(stack)
    assert (found.cause, found.uncompared, found.aspects) == (Cause.COPIED, 0, Aspect.MODE)
    assert uncompared(stack) == []


def test_a_file_written_again_is_rewritten() -> None:
    (found,) = wasted(stacked([text("etc/a", TEN)], [text("etc/b")], [text("etc/a", HUNDRED)]))
    assert brief(found) == (Cause.REWRITTEN, 0, 2, 10, [("etc/a", 10)])


def test_removed_files_and_trees_are_told_apart() -> None:
    first = [text("d/a", TEN), text("d/e/b", HUNDRED), text("k", TEN), text("f/x", TEN)]
    first += [text("f/y", TEN)]
    found = wasted(stacked(first, [whiteout("d"), whiteout("f/x")]))
    assert [brief(each) for each in found] == [
        (Cause.REMOVED_TREE, 0, 1, 110, [("d/", 110)]),
        (Cause.REMOVED, 0, 1, 10, [("f/x", 10)]),
    ]


def test_what_was_removed_and_is_there_again_later_was_removed() -> None:
    found = wasted(stacked([text("a", TEN)], [whiteout("a")], [text("a", TEN)]))
    assert [brief(each) for each in found] == [(Cause.REMOVED, 0, 1, 10, [("a", 10)])]


def test_removed_and_written_anew_in_one_layer_is_rewritten() -> None:
    (found,) = wasted(stacked([text("a", TEN)], [whiteout("a"), text("a", HUNDRED)]))
    assert found.cause is Cause.REWRITTEN


def test_an_opaque_folder_removes_files() -> None:
    found = wasted(
        stacked([text("d/a", TEN), text("d/b", HUNDRED)], [opaque("d"), text("d/b", "new")])
    )
    assert {(x.cause, x.size) for x in found} == {(Cause.REMOVED, 10), (Cause.REWRITTEN, 100)}


def test_package_lists_are_called_so_however_they_went() -> None:
    lists = "var/lib/apt/lists"
    (found,) = wasted(
        stacked(
            [
                text(f"{lists}/a", HUNDRED),
                text(f"{lists}/b", TEN),
                text("var/lib/dpkg/status", TEN),
            ],
            [whiteout(f"{lists}/a"), whiteout(f"{lists}/b")],
        )
    )
    assert brief(found) == (Cause.CACHES, 0, 1, 110, [(f"{lists}/", 110)])
    assert found.kind is not None
    assert found.kind.name == "apt package lists"


def test_what_containers_see_is_left_over_and_not_wasted() -> None:
    causes = find_causes(
        stacked(
            [
                text("var/cache/apk/x", HUNDRED),
                text("usr/share/doc/a/b", TEN),
                text("etc/apk/keys"),
            ],
            [
                text("app/__pycache__/m.pyc", TEN),
                text("app/m.py", TEN),
                text("root/.cache/pip/w", TEN),
            ],
        )
    )
    assert causes.wasted == ()
    assert [(x.kind.name, x.wrote, x.size) for x in causes.left_over if x.kind] == [
        ("apk packages", 0, 100),
        ("documentation", 0, 10),
        ("pip cache", 1, 10),
        ("compiled Python", 1, 10),
    ]
    assert causes.left_over_size == 130
    assert [cause for cause, _, _ in causes.by_cause()] == [Cause.LEFT_OVER]


def test_docs_that_were_removed_are_a_removed_tree() -> None:
    (found,) = wasted(stacked([text("usr/share/doc/a", TEN)], [whiteout("usr/share/doc")]))
    assert (found.cause, found.kind) == (Cause.REMOVED_TREE, None)


def test_hard_links_count_once_and_when_their_last_name_goes() -> None:
    found = wasted(
        stacked([text("a", HUNDRED), hard_link("b", "a")], [whiteout("a")], [text("b", TEN)])
    )
    assert [brief(each)[:4] for each in found] == [(Cause.REWRITTEN, 0, 2, 100)]


def test_causes_are_largest_first_with_what_is_left_over_at_the_end() -> None:
    causes = find_causes(
        stacked(
            [text("a", TEN), text("d/b", HUNDRED), text("var/log/x", HUNDRED * 9)],
            [text("a", "changed"), whiteout("d")],
        )
    )
    groups = [(cause, size) for cause, size, _ in causes.by_cause()]
    assert groups == [
        (Cause.REMOVED_TREE, 100),
        (Cause.REWRITTEN, 10),
        (Cause.LEFT_OVER, 900),
    ]


def test_it_can_be_stopped() -> None:
    class StopError(Exception):
        pass

    def stop() -> None:
        raise StopError

    with pytest.raises(StopError):
        find_causes(stacked([text("a", TEN)], [whiteout("a")]), stop)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("var/lib/apt/lists/x", "apt package lists"),
        ("var/cache/apt/archives/a.deb", "apt packages"),
        ("var/cache/apt/pkgcache.bin", "caches of apt's package lists"),
        ("var/cache/apt/srcpkgcache.bin", "caches of apt's package lists"),
        ("var/cache/apt/archives/pkgcache.bin", "apt packages"),
        ("var/cache/apk/APKINDEX.00740ba1.tar.gz", "apk package lists"),
        ("etc/apk/cache/APKINDEX.00740ba1.tar.gz", "apk package lists"),
        ("var/cache/apk/curl-8.5.0-r0.apk", "apk packages"),
        ("root/.cache/pip/yarn/cache/x", "pip cache"),
        ("var/cache/x/.cache/pip/x", "pip cache"),
        ("var/cache/dnf/x", "dnf and yum caches"),
        ("home/me/.cache/pip/x", "pip cache"),
        ("root/.npm/_cacache/x", "npm cache"),
        ("usr/local/share/.cache/yarn/x", "yarn and pnpm caches"),
        ("root/.cache/go-build/x", "Go caches"),
        ("go/pkg/mod/x", "Go caches"),
        ("usr/local/cargo/registry/x", "Cargo caches"),
        ("root/.m2/repository/x", "Maven and Gradle caches"),
        ("usr/local/bundle/cache/x", "gem caches"),
        ("root/.composer/cache/x", "Composer cache"),
        ("opt/conda/pkgs/x", "conda packages"),
        ("var/cache/ldconfig/x", "caches"),
        ("root/.cache/other/x", "caches"),
        ("app/.git/x", "a Git repository"),
        ("etc/apk/repositories", ""),
        ("var/lib/apt/extended_states", ""),
        ("usr/share/docs/x", ""),
        ("app/cache/x", ""),
    ],
)
def test_left_overs_are_known_by_their_folder(path: str, name: str) -> None:
    tree = PathTree([path.encode()])
    node = tree.find(path.encode())
    assert node is not None
    kind = int(find_left_overs(tree)[node])
    assert (KINDS[kind].name if kind >= 0 else "") == name


def test_every_remedy_is_a_sentence() -> None:
    for kind in KINDS:
        assert kind.remedy[0].isupper()
        assert kind.remedy.endswith(".")


_PATHS = ["a", "d", "d/a", "d/e/b", "d/e/c", "var/cache/x", "var/cache/apk/y", "l"]
_ITEMS = st.one_of(
    st.builds(
        text,
        st.sampled_from(_PATHS),
        st.sampled_from(["", "one", "two", "three"]),
        uid=st.integers(0, 1),
    ),
    st.builds(whiteout, st.sampled_from(_PATHS)),
    st.builds(opaque, st.sampled_from(["d", "d/e", "var"])),
    st.builds(symlink, st.sampled_from(["l", "a", "d"]), st.just("x")),
)


@given(st.lists(st.lists(_ITEMS, max_size=6), max_size=5), st.booleans())
def test_causes_add_up_to_what_is_wasted(layers: list[list[Item]], digest: bool) -> None:
    stack = stacked(*layers, digest=digest)
    causes = find_causes(stack)
    waste = measure(stack)
    assert causes.wasted_size == waste.wasted_size
    for finding in (*causes.wasted, *causes.left_over):
        assert finding.size == sum(path.size for path in finding.paths)
        assert finding.files == sum(path.files for path in finding.paths)
        assert finding.uncompared <= finding.size
    assert causes.left_over_size <= waste.visible_size
    wrote = dict.fromkeys(range(stack.height), 0)
    for finding in causes.wasted:
        wrote[finding.wrote] += finding.size
    assert all(size <= stack.layer_size(layer) for layer, size in wrote.items())


@given(st.data())
def test_folding_keeps_every_file_and_takes_in_no_other(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.text("ab/", min_size=1, max_size=7), min_size=1, max_size=12))
    paths = sorted({"/".join(filter(None, name.split("/"))) for name in names} - {""})
    if not paths:
        return
    tree = PathTree([path.encode() for path in paths])
    nodes = [tree.find(path.encode()) for path in paths]
    whole = np.array([node for node in nodes if node is not None], np.int32)
    some = data.draw(st.lists(st.sampled_from(whole.tolist()), min_size=1, unique=True))
    picked = np.array(some, np.int32)
    folded = fold(tree, picked, picked.astype(np.int64), whole)
    covered: set[int] = set()
    for node, size, files, is_folder in folded:
        inside = [x for x in whole.tolist() if node <= x < tree.ends[node]]
        if not is_folder:
            inside = [node]
        assert (sum(inside), len(inside)) == (size, files)
        assert not covered & set(inside)
        covered.update(inside)
    assert covered == set(some)
