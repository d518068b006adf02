"""What is said about the path under the cursor."""

from __future__ import annotations

import io

import pytest

from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.filesystem.view import layer_view, union_view
from layerscope.oci.byte_source import Stream
from layerscope.reports.entry import path_facts
from tests.archives import Item, folder, hard_link, layer_tar, symlink, text, whiteout

LAYERS: list[list[Item]] = [
    [
        folder("etc", uid=7),
        text("etc/motd", "one"),
        text("etc/gone", "12345"),
        symlink("etc/link", "motd\x1b[2J"),
        hard_link("etc/twin", "etc/motd"),
        text("etc/odd", "x", mode=0o4755, uid=3, gid=4),
    ],
    [text("etc/motd", "second", mtime=86_400), text("a/b", "b" * 10)],
    [whiteout("etc/gone")],
]


@pytest.fixture(scope="module")
def stack() -> Stack:
    return Stack([read_changeset(Stream(io.BytesIO(layer_tar(each)).read)) for each in LAYERS])


def facts(stack: Stack, layer: int, path: str, *, merged: bool = False) -> dict[str, str]:
    node = stack.tree.find(path.encode())
    assert node is not None
    return dict(path_facts((union_view if merged else layer_view)(stack, layer), node))


def test_a_file_that_a_later_layer_wrote_again(stack: Stack) -> None:
    assert facts(stack, 0, "etc/motd") == {
        "Type": "file, 3B",
        "Mode": "-rw-r--r--  0:0",
        "Modified": "2017-07-14 02:40:00 UTC",
        "Written by": "layer 0",
        "Version": "1 of 2, hidden by layer 1",
    }
    newer = facts(stack, 2, "etc/motd", merged=True)
    assert newer["Type"] == "file, 6B"
    assert newer["Modified"] == "1970-01-02 00:00:00 UTC"
    assert (newer["Written by"], newer["Version"]) == ("layer 1", "2 of 2")


def test_what_a_layer_removed(stack: Stack) -> None:
    found = facts(stack, 2, "etc/gone")
    assert found["Type"] == "file, 5B"
    assert found["Version"] == "1 of 1, hidden by layer 2"


def test_folders_are_those_that_a_layer_below_wrote(stack: Stack) -> None:
    found = facts(stack, 1, "etc")
    assert found["Type"] == "folder, 6B below"
    assert (found["Mode"], found["Written by"]) == ("drwxr-xr-x  7:0", "layer 0")
    assert facts(stack, 1, "a")["Written by"] == "layer 1"


def test_links_and_rights(stack: Stack) -> None:
    assert facts(stack, 0, "etc/link")["Type"] == "symbolic link to motd\\e[2J"
    assert facts(stack, 0, "etc/odd")["Mode"] == "-rwsr-xr-x  3:4"
    assert facts(stack, 0, "etc/twin")["Type"] == "file, 3B"


def test_titles_are_the_same_for_all_paths(stack: Stack) -> None:
    titles = {tuple(facts(stack, layer, "etc")) for layer in range(3)}
    titles |= {tuple(facts(stack, 1, "a")), tuple(facts(stack, 0, "etc/link"))}
    assert len(titles) == 1
