"""Waste, worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.archives import Item, folder, hard_link, layer_tar, opaque, text, whiteout
from tests.archives import write_archive as write
from tests.truth.command import command
from tests.truth.formats import FORMATS, HOLES

TEN, HUNDRED = "t" * 10, "h" * 100


def inspected(where: Path, *layers: list[Item]) -> dict[str, Any]:
    """Return what `inspect --json` says of an image of these layers."""
    path = write(where, [layer_tar(items) for items in layers])
    document: dict[str, Any] = json.loads(command("inspect", "--json", path))
    return document


def wasted(document: dict[str, Any]) -> list[tuple[str, int, int, int | None]]:
    """Return path, size, versions and hiding layer of all that is wasted."""
    return [tuple(each.values()) for each in document["wasted"]]


def sizes(document: dict[str, Any]) -> tuple[int, int, int]:
    """Return shipped, visible and wasted bytes."""
    image = document["image"]
    return image["size"], image["visible_size"], image["wasted_size"]


def test_nothing_is_wasted_in_one_layer(tmp_path: Path) -> None:
    document = inspected(tmp_path, [text("a", TEN), text("b", HUNDRED)])
    assert sizes(document) == (110, 110, 0)
    assert document["image"]["efficiency"] == 1.0
    assert wasted(document) == []


def test_an_empty_image_is_efficient(tmp_path: Path) -> None:
    document = inspected(tmp_path, [])
    assert sizes(document) == (0, 0, 0)
    assert document["image"]["efficiency"] == 1.0


def test_every_hidden_version_of_a_path_counts(tmp_path: Path) -> None:
    document = inspected(
        tmp_path, [text("a", TEN)], [text("a", HUNDRED)], [text("b")], [text("a", "now")]
    )
    assert sizes(document) == (118, 8, 110)
    assert wasted(document) == [("/a", 110, 2, 3)]
    assert document["image"]["efficiency"] == 8 / 118


def test_a_removed_tree_counts_with_all_that_was_in_it(tmp_path: Path) -> None:
    document = inspected(
        tmp_path,
        [folder("d"), text("d/a", TEN), folder("d/e"), text("d/e/b", HUNDRED), text("k", "k")],
        [whiteout("d")],
    )
    assert sizes(document) == (111, 1, 110)
    assert wasted(document) == [("/d/e/b", 100, 1, 1), ("/d/a", 10, 1, 1)]
    assert [layer["removed"] for layer in document["layers"]] == [0, 1]


def test_a_tree_behind_an_opaque_whiteout_counts(tmp_path: Path) -> None:
    document = inspected(
        tmp_path,
        [folder("d"), text("d/a", TEN), text("d/b", HUNDRED)],
        [folder("d"), opaque("d"), text("d/b", "new")],
    )
    assert sizes(document) == (113, 3, 110)
    assert wasted(document) == [("/d/b", 100, 1, 1), ("/d/a", 10, 1, 1)]


def test_what_a_file_in_place_of_a_folder_hides_counts(tmp_path: Path) -> None:
    document = inspected(tmp_path, [folder("d"), text("d/a", TEN)], [text("d", "file")])
    assert sizes(document) == (14, 4, 10)
    assert wasted(document) == [("/d/a", 10, 1, 1)]


def test_chown_of_everything_wastes_all_bytes_and_is_modified(tmp_path: Path) -> None:
    files = {"d/a": TEN, "d/b": HUNDRED}
    document = inspected(
        tmp_path,
        [folder("d"), *(text(path, content) for path, content in files.items())],
        [folder("d", uid=7), *(text(path, content, uid=7) for path, content in files.items())],
    )
    assert sizes(document) == (220, 110, 110)
    assert wasted(document) == [("/d/b", 100, 1, 1), ("/d/a", 10, 1, 1)]
    assert document["layers"][1]["modified"] == 3


def test_a_file_with_several_names_counts_once(tmp_path: Path) -> None:
    document = inspected(
        tmp_path, [text("a", HUNDRED), hard_link("b", "a"), hard_link("c", "b"), text("d", TEN)]
    )
    assert sizes(document) == (110, 110, 0)
    assert document["layers"][0]["size"] == 110


@pytest.mark.parametrize("gone", ["a", "b"])
def test_a_file_is_not_wasted_while_a_name_of_it_is_left(tmp_path: Path, gone: str) -> None:
    document = inspected(tmp_path, [text("a", HUNDRED), hard_link("b", "a")], [whiteout(gone)])
    assert sizes(document) == (100, 100, 0)
    assert wasted(document) == []


def test_a_file_is_wasted_by_the_layer_that_hides_its_last_name(tmp_path: Path) -> None:
    document = inspected(
        tmp_path, [text("a", HUNDRED), hard_link("b", "a")], [whiteout("a")], [whiteout("b")]
    )
    assert sizes(document) == (100, 0, 100)
    assert wasted(document) == [("/a", 100, 1, 2)]
    assert document["image"]["efficiency"] == 0.0


def test_a_copied_up_hard_link_wastes_nothing_while_the_old_file_is_seen(tmp_path: Path) -> None:
    document = inspected(
        tmp_path, [text("a", HUNDRED), hard_link("b", "a")], [text("b", HUNDRED + TEN)]
    )
    assert sizes(document) == (210, 210, 0)


def test_symlinks_folders_and_empty_files_have_no_bytes_to_waste(tmp_path: Path) -> None:
    document = inspected(
        tmp_path,
        [folder("d"), text("d/e", ""), Item("l", "symlink", link="d"), Item("p", "fifo")],
        [whiteout("d"), whiteout("l"), whiteout("p")],
    )
    assert sizes(document) == (0, 0, 0)
    assert wasted(document) == []
    assert document["layers"][1]["removed"] == 3


def test_holes_of_a_sparse_file_count_as_the_reader_sees_them(tmp_path: Path) -> None:
    path = write(tmp_path, FORMATS["pax sparse 1.0"].layers)
    assert sizes(json.loads(command("inspect", "--json", path))) == (HOLES, HOLES, 0)


def test_the_same_layer_twice_is_wasted_once(tmp_path: Path) -> None:
    layer = [text("a", HUNDRED)]
    document = inspected(tmp_path, layer, layer)
    assert sizes(document) == (200, 100, 100)
    assert wasted(document) == [("/a", 100, 1, 1)]
    assert document["layers"][1]["modified"] == document["layers"][1]["added"] == 0
