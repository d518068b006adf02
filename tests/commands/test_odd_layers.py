"""What is said of layers that no ordinary tool writes: in files, history and inspect alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.archives import (
    END,
    base256,
    entry,
    folder,
    header,
    layer_tar,
    text,
    whiteout,
    write_archive,
)
from tests.commands.conftest import Run


def rows(run: Run, source: Path, *more: object) -> dict[str, dict[str, Any]]:
    answer = run("files", "--json-lines", source, *more)
    return {line["path"]: line for line in map(json.loads, answer.out.splitlines())}


def test_folders_without_an_entry_are_implied_everywhere(run: Run, tmp_path: Path) -> None:
    first = [folder("known"), text("known/a"), text("opt/tool/b")]
    second = [text("known/c"), text("a/new"), whiteout("gone/x")]
    source = write_archive(tmp_path, [layer_tar(first), layer_tar(second)])
    implied = {0: {"/opt", "/opt/tool"}, 1: {"/a", "/gone"}}
    merged = rows(run, source)
    assert {path for path, row in merged.items() if "implied" in row} == implied[0] | implied[1]
    layers = run("inspect", "--json", source).document["layers"]
    for layer, folders in implied.items():
        own = rows(run, source, "--layer", layer)
        assert {path for path, row in own.items() if row.get("implied")} == folders
        added = {path for path, row in own.items() if row["change"] == "added"}
        assert layers[layer]["added"] == len(added)
        assert (layers[layer]["implied"], folders <= added) == (2, True)
        for path in folders:
            (version,) = run("history", "--json", source, path).document["versions"]
            assert (version["layer"], version["change"]) == (layer, "added")
            assert version["implied"] is True
            assert "(implied)" in run("history", source, path).out
    assert "/opt/tool  (implied)\n" in run("files", source).out
    (version,) = run("history", "--json", source, "/known").document["versions"]
    assert "implied" not in version


def test_a_file_that_becomes_an_implied_folder_is_modified(run: Run, tmp_path: Path) -> None:
    for gone in ([], [whiteout("a")]):
        layers = [layer_tar([text("a")]), layer_tar([*gone, text("a/b")])]
        source = write_archive(tmp_path, layers)
        versions = run("history", "--json", source, "/a").document["versions"]
        assert [v["change"] for v in versions] == ["added", "modified"]
        assert (versions[1]["changed"][0], versions[1]["implied"]) == ("type", True)
        answer = run("files", "--json-lines", source, "--layer", 1)
        assert [line["path"] for line in map(json.loads, answer.out.splitlines())][:1] == ["/a"]
        assert json.loads(answer.out.splitlines()[0])["implied"]


def test_a_name_that_leads_out_is_suspicious_everywhere(run: Run, tmp_path: Path) -> None:
    name = b"../evil\x1b[2J"
    data = entry(name, b"data") + entry(b"good", b"x") + END
    source = write_archive(tmp_path, [layer_tar([text("x")]), data])
    (path,) = (path for path, row in rows(run, source).items() if "suspicious" in row)
    assert path == "/evil\x1b[2J"
    for row in (rows(run, source)[path], rows(run, source, "--layer", 1)[path]):
        assert "leads out of the root" in row["suspicious"]
        assert "\x1b" not in row["suspicious"]
    layers = run("inspect", "--json", source).document["layers"]
    assert "suspicious" not in layers[0]
    assert "1 name leads out of the root" in layers[1]["suspicious"][0]
    for answer in (run("inspect", source), run("files", source), run("history", source, path)):
        assert "uspicious: " in answer.out
        assert "\x1b" not in answer.out
    assert run("cat", source, path).out == "data"


def test_times_are_those_of_a_container_in_the_merged_view(run: Run, tmp_path: Path) -> None:
    times = {b"old": -5, b"new": 1 << 40, b"now": 9_223_372_036}
    data = b"".join(header(name, mtime=base256(time, 12)) for name, time in times.items())
    data += header(b"to", kind=b"2", link=b"old", mtime=base256(-5, 12))
    source = write_archive(tmp_path, [data + END])
    own, merged = rows(run, source, "--layer", 0), rows(run, source)
    assert [row["mtime"] for row in own.values()] == [1 << 40, 9_223_372_036, -5, -5]
    # Docker 20.10 and Podman keep the time of a symlink.
    assert [row["mtime"] for row in merged.values()] == [0, 9_223_372_036, 0, -5]


def test_a_whiteout_of_nothing_is_one_error(run: Run, tmp_path: Path) -> None:
    source = write_archive(tmp_path, [layer_tar([folder("etc"), text("etc/.wh.")])])
    answer = run("inspect", source)
    assert (answer.code, answer.out) == (2, "")
    assert "the whiteout /etc/.wh. names no file" in answer.err
