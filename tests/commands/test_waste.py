"""waste: what could be saved, why, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.archives import Item, folder, layer_tar, opaque, text, whiteout, write_archive
from tests.commands.conftest import Run

LISTS = "var/lib/apt/lists"
LAYERS = [
    [
        folder("app"),
        *(text(f"app/lib/{n}.so", str(n) * 5000) for n in range(9)),
        text("app/gone", "g" * 700),
        text("app/tree/a/b", "g" * 300),
        text(f"{LISTS}/main", "l" * 1000),
        text("var/lib/dpkg/status", "s" * 50),
    ],
    [
        *(text(f"app/lib/{n}.so", str(n) * 5000, uid=33, mode=0o755) for n in range(9)),
        text("var/lib/dpkg/status", "t" * 50),
        text("usr/share/doc/x/copyright", "c" * 400),
    ],
    [whiteout("app/gone"), whiteout("app/tree"), whiteout(f"{LISTS}/main")],
]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_archive(tmp_path, [layer_tar(layer) for layer in LAYERS], "example.test/w:1")


def test_json_names_cause_layers_and_remedy(run: Run, archive: Path) -> None:
    document = run("waste", archive, "--json").document
    assert document["schema"] == "layerscope.waste/1"
    assert document["image"]["reference"] == "example.test/w:1"
    assert document["image"]["wasted_size"] == 47050
    assert document["image"]["left_over_size"] == 400
    assert document["image"]["uncompared_size"] == 0
    found = [(x["cause"], x["size"], x["layer"], x["hidden_by"]) for x in document["wasted"]]
    assert found == [
        ("unchanged content", 45000, 0, 1),
        ("package lists and caches", 1000, 0, 2),
        ("removed", 700, 0, 2),
        ("removed tree", 300, 0, 2),
        ("rewritten", 50, 0, 1),
    ]
    copied, lists, gone, tree, status = document["wasted"]
    assert copied["changed"] == ["mode", "owner"]
    assert copied["paths"] == [{"path": "/app/lib", "size": 45000, "files": 9, "folder": True}]
    assert copied["instruction"] == "RUN layer 0"
    assert copied["hidden_by_instruction"] == "RUN layer 1"
    assert "Set the owner and permissions in the RUN" in copied["remedy"]
    assert (lists["kind"], lists["path"]) == ("apt package lists", f"/{LISTS}/main")
    assert "rm -rf /var/lib/apt/lists/*" in lists["remedy"]
    assert gone["paths"][0]["folder"] is False
    assert tree["path"] == "/app/tree/a/b"
    assert "Install all packages in one RUN" in status["remedy"]
    (left,) = document["left_over"]
    assert (left["kind"], left["size"], left["hidden_by"]) == ("documentation", 400, None)


def test_without_comparing_nothing_is_called_unchanged(run: Run, archive: Path) -> None:
    document = run("waste", archive, "--json", "--no-compare").document
    assert document["image"]["uncompared_size"] == 45000
    assert {x["cause"] for x in document["wasted"] if x["size"] > 1000} == {"rewritten"}
    assert "of it not compared" not in run("waste", archive).out
    assert "45kB of it not compared" in run("waste", archive, "--no-compare").out


def test_text_names_cause_layers_and_remedy(run: Run, archive: Path) -> None:
    out = run("waste", archive).out
    assert "wasted 47kB" in out or "wasted 47.1kB" in out
    assert "400B more could be left out" in out
    assert "45kB  /app/lib/ (9 files): only mode and owner changed" in out
    assert "hidden by 1: RUN layer 1" in out
    assert out.index("copied with") < out.index("package lists") < out.index("visible, but")


def test_an_image_without_waste_says_so_in_one_line(run: Run, tmp_path: Path) -> None:
    clean = write_archive(tmp_path, [layer_tar([text("a", "a")])], "clean:1")
    answer = run("waste", clean)
    assert answer.code == 0
    assert answer.out.splitlines()[1:] == ["Size 1B, wasted 0B"]


def test_control_characters_are_shown(run: Run, tmp_path: Path) -> None:
    bad = write_archive(
        tmp_path, [layer_tar([text("a\x1b[31m", "a")]), layer_tar([whiteout("a\x1b[31m")])], "b:1"
    )
    out = run("waste", bad).out
    assert "\x1b" not in out
    assert "/a\\e[31m" in out


@pytest.mark.parametrize(
    "layers",
    [
        LAYERS,
        [[text("a", "1" * 10)], [text("a", "2" * 10)], [text("a", "3" * 9)], [whiteout("a")]],
        [[text("d/a", "aa"), text("d/b", "bb")], [folder("d"), opaque("d"), text("d/b", "bb")]],
        [[text("d/a", "aa")], [text("d", "file")]],
    ],
)
def test_causes_add_up_to_what_inspect_calls_wasted(
    run: Run, tmp_path: Path, layers: list[list[Item]]
) -> None:
    path = write_archive(tmp_path, [layer_tar(layer) for layer in layers], "x:1")
    inspected: Any = run("inspect", path, "--json").document
    document = run("waste", path, "--json").document
    total = sum(each["size"] for each in document["wasted"])
    assert total == inspected["image"]["wasted_size"] == document["image"]["wasted_size"]
    assert total == sum(each["size"] for each in inspected["wasted"])
    for index, layer in enumerate(inspected["layers"]):
        own = [each["size"] for each in document["wasted"] if each["layer"] == index]
        hidden = [each["size"] for each in document["wasted"] if each["hidden_by"] == index]
        assert (layer["wasted_size"], layer["hides_size"]) == (sum(own), sum(hidden))
        assert layer["wasted_size"] <= layer["size"]
    # `inspect` reads no content.
    unread = run("waste", path, "--json", "--no-compare").document["wasted"]
    assert inspected["findings"] == [
        {key: each[key] for key in inspected["findings"][0]} for each in unread
    ]


def test_inspect_shows_the_same_groups(run: Run, archive: Path) -> None:
    lines = run("inspect", archive).out.splitlines()
    head = lines.index(next(line for line in lines if line.startswith("LAYER")))
    assert lines[head].split()[:3] == ["LAYER", "SIZE", "WASTED"]
    assert [line.split()[:3] for line in lines[head + 1 : head + 4]] == [
        ["0", "47kB", "47kB"],
        ["1", "45.5kB", "0B"],
        ["2", "0B", "0B"],
    ]
    table = lines[lines.index("  WASTED    LAYER  WHAT") + 1 :]
    assert table == [
        "    45kB           rewritten by a later layer",
        "    45kB    0 → 1    /app/lib/ and 1 more: 45kB of it not compared",
        "     1kB           package lists and caches, hidden by a later layer",
        "     1kB    0 → 2    apt package lists in /var/lib/apt/lists/main",
        "    700B           removed by a later layer",
        "    700B    0 → 2    /app/gone",
        "    300B           removed with their folder by a later layer",
        "    300B    0 → 2    /app/tree/a/b",
    ]
