"""The JSON that scripts rely on: fields and types exactly as the design has them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from layerscope.images.summary import ImageSummary
from layerscope.reports.images_report import images_document
from tests.archives import END, entry, header, layer, pax, saved, write
from tests.command import run

Capsys = pytest.CaptureFixture[str]
Text = (str, type(None))
Number = (int, type(None))

IMAGE = {
    "reference": str,
    "id": str,
    "source": str,
    "os": str,
    "architecture": str,
    "platforms": list,
    "created": Text,
    "size": int,
    "visible_size": int,
    "wasted_size": int,
    "efficiency": float,
    "complete": bool,
    "missing": list,
}
LAYER = {
    "index": int,
    "diff_id": str,
    "digest": Text,
    "instruction": Text,
    "size": int,
    "wasted_size": int,
    "hides_size": int,
    "entries": int,
    "added": int,
    "modified": int,
    "removed": int,
    "implied": int,
}
HISTORY = {
    "created": Text,
    "created_by": str,
    "comment": str,
    "empty_layer": bool,
    "layer": Number,
}
WASTED = {"path": str, "size": int, "versions": int, "hidden_by": Number}
FINDING = {
    "cause": str,
    "size": int,
    "files": int,
    "layer": int,
    "hidden_by": Number,
    "kind": Text,
    "path": str,
}
FILE = {
    "path": str,
    "type": str,
    "mode": int,
    "uid": int,
    "gid": int,
    "size": int,
    "mtime": int,
    "link": Text,
    "layer": int,
    "change": Text,
}


def check(document: dict[str, Any], fields: dict[str, Any]) -> None:
    """Exactly these fields, each of its type; a bool is no number."""
    # Folders that no entry describes have one field more.
    implied = {"implied": bool} if document.get("implied") is True else {}
    fields = {**fields, **implied}
    assert list(document) == list(fields)
    for name, kind in fields.items():
        assert isinstance(document[name], kind), name
        assert kind is bool or not isinstance(document[name], bool), name


@pytest.fixture
def source(tmp_path: Path) -> str:
    base = (
        header(b"d", kind=b"5", mode=0o41755, mtime=5)
        + entry(b"d/f", b"x" * 100, mode=0o104755, uid=1, gid=2, mtime=1_700_000_000)
        + header(b"d/h", kind=b"1", link=b"d/f")
        + header(b"d/s", kind=b"2", link=b"../x")
        + header(b"dev", kind=b"3", devices=(1, 3))
        + header(b"blk", kind=b"4", devices=(8, 0))
        + header(b"pipe", kind=b"6")
        + pax({b"mtime": b"-1.5"}) + entry(b"old\xff\n", b"y" * 7)
        + header(b"e/sub", kind=b"5")
        + END
    )  # fmt: skip
    top = (
        entry(b"d/f", b"z" * 100)
        + header(b".wh.pipe")
        + header(b"e/.wh..wh..opq")
        + entry(b"new", b"n")
        + END
    )
    config = {
        "history": [
            {"created_by": "/bin/sh -c #(nop) ADD file:1 in / ", "created": "2024-01-01T00:00:00Z"},
            {"created_by": "CMD x", "empty_layer": True, "comment": "c"},
            {"created_by": "RUN /bin/sh -c make # buildkit"},
        ]
    }
    return write(tmp_path / "i.tar", saved(base, top, config=config))


def test_inspect_has_the_fields_of_the_design(capsys: Capsys, source: str) -> None:
    outcome = run(capsys, "inspect", "--json", source)
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    assert list(document) == ["schema", "image", "layers", "history", "wasted", "findings"]
    assert document["schema"] == "layerscope.inspect/1"
    check(document["image"], IMAGE)
    lists = {"layers": LAYER, "history": HISTORY, "wasted": WASTED, "findings": FINDING}
    for name, fields in lists.items():
        assert document[name] or fields in (WASTED, FINDING)
        for item in document[name]:
            check(item, fields)


def test_an_unknown_instruction_and_time_are_null(capsys: Capsys, tmp_path: Path) -> None:
    history = [{"created_by": "RUN touch /a # buildkit", "created": "0001-01-01T00:00:00Z"}]
    data = saved(layer(("a", b"")), layer(("b", b"")), config={"history": history, "created": None})
    path = write(tmp_path / "image.tar", data)
    document = run(capsys, "inspect", "--json", path).document
    assert document["image"]["created"] is None
    assert [item["instruction"] for item in document["layers"]] == [None, None]
    assert [(item["created"], item["layer"]) for item in document["history"]] == [(None, None)]
    text = run(capsys, "inspect", path).out
    assert "created unknown" in text
    assert text.count("(not in the history)") == 2
    assert "    ?                                            RUN touch /a" in text


def test_inspect_says_what_is_in_the_image(capsys: Capsys, source: str) -> None:
    document = json.loads(run(capsys, "inspect", "--json", source).out)
    image = document["image"]
    assert image["reference"] == "example/app:1"
    assert image["source"] == f"docker-archive:{source}"
    assert image["id"].startswith("sha256:")
    assert (image["os"], image["architecture"]) == ("linux", "amd64")
    assert image["created"] == "2024-05-06T07:08:09Z"
    # The first version of d/f still exists under its other name.
    assert (image["size"], image["visible_size"], image["wasted_size"]) == (208, 208, 0)
    assert [item["index"] for item in document["layers"]] == [0, 1]
    assert [item["instruction"] for item in document["layers"]] == ["ADD file:1 in /", "RUN make"]
    assert [item["size"] for item in document["layers"]] == [107, 101]
    assert [item["entries"] for item in document["layers"]] == [9, 4]
    assert [item["layer"] for item in document["history"]] == [0, None, 1]
    assert [item["empty_layer"] for item in document["history"]] == [False, True, False]
    assert image["wasted_size"] == image["size"] - image["visible_size"]
    assert image["efficiency"] == image["visible_size"] / image["size"]


def lines(capsys: Capsys, *arguments: str) -> dict[str, dict[str, Any]]:
    outcome = run(capsys, "files", "--json-lines", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    documents = [json.loads(line) for line in outcome.out.splitlines()]
    for document in documents:
        check(document, FILE)
        assert document["path"].startswith("/")
        assert not document["path"].endswith("/")
    assert [d["path"] for d in documents] == sorted(
        (d["path"] for d in documents), key=lambda path: path.split("/")
    )
    return {document["path"]: document for document in documents}


def test_files_of_the_union_have_the_fields_of_the_design(capsys: Capsys, source: str) -> None:
    found = lines(capsys, source)
    assert {path: item["type"] for path, item in found.items()} == {
        "/blk": "block",
        "/d": "dir",
        "/d/f": "file",
        "/d/h": "file",
        "/d/s": "symlink",
        "/dev": "char",
        "/e": "dir",
        "/new": "file",
        "/old\udcff\n": "file",
    }
    assert {item["change"] for item in found.values()} == {None}
    hard = found["/d/h"]
    assert (hard["size"], hard["link"], hard["layer"]) == (100, None, 0)
    assert found["/d/s"]["link"] == "../x"
    assert found["/d/s"]["mode"] == 0o777
    assert (found["/d"]["mode"], found["/d"]["mtime"]) == (0o1755, 5)
    assert (found["/d/f"]["layer"], found["/d/f"]["size"]) == (1, 100)
    # Containers show the beginning of 1970 for a time before it.
    assert (found["/old\udcff\n"]["mtime"], found["/old\udcff\n"]["size"]) == (0, 7)


def test_files_of_a_layer_have_the_fields_of_the_design(capsys: Capsys, source: str) -> None:
    base = lines(capsys, "--layer", "0", source)
    assert {item["change"] for item in base.values()} == {"added"}
    assert {item["layer"] for item in base.values()} == {0}
    file, hard = base["/d/f"], base["/d/h"]
    assert (file["uid"], file["gid"], file["size"]) in {(1, 2, 100), (0, 0, 100)}
    assert (hard["type"], hard["link"]) == ("hardlink", "/d/f")
    assert base["/pipe"]["type"] == "fifo"
    top = lines(capsys, "--layer", "1", source)
    assert {path: (item["type"], item["change"]) for path, item in top.items()} == {
        "/d/f": ("file", "modified"),
        "/e": ("opaque", "removed"),
        "/new": ("file", "added"),
        "/pipe": ("whiteout", "removed"),
    }


def test_json_is_ascii_and_names_that_are_not_utf8_are_escaped(capsys: Capsys, source: str) -> None:
    for arguments in (["files", "--json-lines"], ["inspect", "--json"]):
        outcome = run(capsys, *arguments, source)
        assert outcome.out.isascii()
        assert "\x1b" not in outcome.out
    assert '"/old\\udcff\\n"' in run(capsys, "files", "--json-lines", source).out


def test_wasted_is_sorted_by_size_and_names_the_layer(capsys: Capsys, tmp_path: Path) -> None:
    layers = [
        layer(("a", b"1"), ("b", b"22"), ("c/d", b"333")),
        layer(("a", b"11"), (".wh.c", b""), (".wh.b", b"")),
        layer((".wh.a", b"")),
    ]
    document = json.loads(
        run(capsys, "inspect", "--json", write(tmp_path / "i.tar", saved(*layers))).out
    )
    for item in document["wasted"]:
        check(item, WASTED)
    assert document["wasted"] == [
        {"path": "/a", "size": 3, "versions": 2, "hidden_by": 2},
        {"path": "/c/d", "size": 3, "versions": 1, "hidden_by": 1},
        {"path": "/b", "size": 2, "versions": 1, "hidden_by": 1},
    ]
    assert document["image"]["efficiency"] == 0.0


def test_an_image_without_bytes_has_an_efficiency_of_one(capsys: Capsys, tmp_path: Path) -> None:
    for layers in ([], [layer()], [layer(("a", b""))]):
        source = write(tmp_path / "i.tar", saved(*layers))
        document = json.loads(run(capsys, "inspect", "--json", source).out)
        assert document["image"]["efficiency"] == 1.0
        assert document["wasted"] == []


def test_both_ways_of_reading_give_the_same_json(capsys: Capsys, source: str) -> None:
    path = Path(source)
    plain = [run(capsys, *words, source).out for words in WORDS]
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert [run(capsys, *words, source).out for words in WORDS] == plain


WORDS = (
    ["inspect", "--json"],
    ["files", "--json-lines"],
    ["files", "--json-lines", "--layer", "0"],
    ["files", "--json-lines", "--layer", "1"],
)


@pytest.mark.parametrize(
    ("created", "shown"),
    [
        (1_714_979_289, "2024-05-06T07:08:09Z"),
        (0, None),
        (-62_135_596_800, None),  # the year 1, by which Go says that there is no time
        (1 << 60, None),
    ],
)
def test_times_of_images_are_as_in_inspect(created: int, shown: str | None) -> None:
    image = ImageSummary("app", "1", "sha256:" + "a" * 64, created, 10, None, None)
    document = images_document([image])
    assert document["schema"] == "layerscope.images/1"
    assert document["images"] == [
        {
            "repository": "app",
            "tag": "1",
            "id": image.id,
            "created": shown,
            "size": 10,
            "shared_size": None,
            "unique_size": None,
        }
    ]
