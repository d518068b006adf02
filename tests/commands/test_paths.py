"""history, cat, extract and find: questions about one path."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from tests.archives import (
    Item,
    folder,
    hard_link,
    layer_tar,
    symlink,
    text,
    whiteout,
    write_archive,
)
from tests.commands.conftest import Run


def test_history_names_every_version_and_what_changed(run: Run, image: Path) -> None:
    document = run("history", image, "/app/data", "--json").document
    assert document["schema"] == "layerscope.history/1"
    first, second = document["versions"]
    assert (first["layer"], first["change"], first["hidden_by"]) == (0, "added", 1)
    assert (second["change"], second["changed"]) == ("modified", ["owner"])
    assert second["content_unchanged"] is True
    assert (document["count"], document["layer"]) == (2, 1)
    assert (second["uid"], second["hidden_by"]) == (33, None)


def test_history_says_in_words_that_content_is_the_same(run: Run, image: Path) -> None:
    answer = run("history", image, "app/data")
    assert answer.out.splitlines()[:2] == ["/app/data", "2 versions; layer 1 wrote the visible one"]
    assert "0:0  1kB  20" in answer.out
    assert "hidden by layer 1" in answer.out
    assert "changed: owner 0:0→33:33, content unchanged" in answer.out


def test_history_ends_with_the_removal(run: Run, image: Path) -> None:
    document = run("history", image, "/app/gone", "--json").document
    assert (document["count"], document["layer"]) == (1, None)
    assert "\n1 version; none is visible\n" in run("history", image, "/app/gone").out
    versions = document["versions"]
    assert [(v["layer"], v["change"]) for v in versions] == [(0, "added"), (1, "removed")]
    assert "size" not in versions[1]


def test_history_of_a_path_that_no_layer_has_is_an_error(run: Run, image: Path) -> None:
    answer = run("history", image, "/nobody")
    assert (answer.code, answer.out) == (2, "")
    assert "No layer of example.test/one:1 has /nobody." in answer.err


def test_files_at_a_path_and_below_it(run: Run, image: Path) -> None:
    def listed(*arguments: str) -> list[str]:
        lines = run("files", image, "--json-lines", *arguments).out.splitlines()
        return [json.loads(line)["path"] for line in lines]

    assert listed("/app/config") == ["/app/config"]
    assert listed("app/") == ["/app", *(f"/app/{x}" for x in ("config", "data", "loop", "twin"))]
    assert listed("/") == listed()
    assert "/app/gone" in listed("--layer", "1", "/app")
    for arguments in (("/nobody",), ("--layer", "1", "/app/loop")):
        answer = run("files", image, *arguments)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("layerscope: ")
        assert arguments[-1] in answer.err


def test_cat_prints_the_version_of_a_layer(run: Run, image: Path) -> None:
    assert run("cat", image, "/app/config").out == "new!\n"
    assert run("cat", image, "/app/config", "--layer", "0").out == "old\n"
    assert run("cat", image, "/app/gone", "--layer", "0").out == "g" * 50


def test_cat_follows_links_within_the_image(run: Run, image: Path) -> None:
    assert run("cat", image, "/current/config").out == "new!\n"
    assert run("cat", image, "/app/twin").out == "d" * 1000


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/app/gone", "it is not in the image"),
        ("/app", "is a folder, which has no content"),
        ("/app/loop", "form a loop"),
        ("/app/config/below", "is not a folder"),
    ],
)
def test_cat_says_why_a_path_has_no_content(run: Run, image: Path, path: str, problem: str) -> None:
    answer = run("cat", image, path)
    assert (answer.code, answer.out) == (2, "")
    assert problem in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "said"),
    [("fifo", "a named pipe"), ("char", "a character device"), ("block", "a block device")],
)
def test_cat_names_what_is_not_a_file(run: Run, tmp_path: Path, kind: str, said: str) -> None:
    image = write_archive(
        tmp_path, [layer_tar([Item("x", kind, device=(1, 3)), symlink("link", "x")])]
    )
    for path in ("/x", "/link"):
        assert f"is {said}, which has no content" in run("cat", image, path).err


@pytest.mark.parametrize(
    ("path", "leads_to"), [("/broken", "/app/none"), ("/round", "/app/none"), ("/up/a/b", "/a/b")]
)
def test_cat_says_where_a_dangling_link_leads(
    run: Run, tmp_path: Path, path: str, leads_to: str
) -> None:
    links = [symlink("broken", "app/none"), symlink("round", "broken"), symlink("up", "../..")]
    archive = write_archive(tmp_path, [layer_tar(links)])
    answer = run("cat", archive, path)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(
        f"layerscope: {path} leads by a symbolic link to {leads_to}: it is not in the image. "
    )


def test_cat_fills_holes(run: Run, tmp_path: Path) -> None:
    sparse = text("holes", "startend")
    sparse.pax.update(
        {
            "GNU.sparse.major": "0",
            "GNU.sparse.minor": "1",
            "GNU.sparse.size": "4100",
            "GNU.sparse.map": "0,5,4097,3",
        }
    )
    image = write_archive(tmp_path, [layer_tar([sparse])])
    assert run("cat", image, "/holes").out == "start" + "\0" * 4092 + "end"


def test_extract_keeps_places_modes_and_times(run: Run, image: Path, tmp_path: Path) -> None:
    answer = run("extract", image, "/app", "-o", tmp_path / "out")
    assert answer.code == 0
    target = tmp_path / "out" / "app"
    assert sorted(path.name for path in target.iterdir()) == ["config", "data", "loop", "twin"]
    assert (target / "config").read_text() == "new!\n"
    assert stat.S_IMODE((target / "config").stat().st_mode) == 0o644
    assert int((target / "data").stat().st_mtime) == text("any").mtime
    assert (target / "loop").readlink() == Path("loop")
    assert (target / "data").stat().st_uid == os.getuid()


def test_extract_of_a_lower_layer(run: Run, image: Path, tmp_path: Path) -> None:
    run("extract", image, "/app/gone", "--layer", "0", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "app" / "gone").read_text() == "g" * 50


def test_extract_never_overwrites(run: Run, image: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "app").mkdir(parents=True)
    (tmp_path / "out" / "app" / "config").write_text("mine")
    answer = run("extract", image, "/app/config", "-o", tmp_path / "out")
    assert answer.code == 2
    assert "already exists" in answer.err
    assert (tmp_path / "out" / "app" / "config").read_text() == "mine"


def test_extract_never_leaves_its_folder(run: Run, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    lower = layer_tar([symlink("way", str(victim)), symlink("up", "../victim")])
    upper = layer_tar([folder("way"), text("way/in", "x"), folder("up"), text("up/in", "x")])
    image = write_archive(tmp_path, [lower, upper])
    target = tmp_path / "out"
    assert run("extract", image, "/", "-o", target, "--layer", "0").code == 0
    # The links are there now, and the upper layer's folders of the same names must not go through.
    answer = run("extract", image, "/", "-o", target)
    assert answer.code == 2
    assert "already exists" in answer.err
    assert list(victim.iterdir()) == []


def test_extract_drops_setuid(run: Run, tmp_path: Path) -> None:
    image = write_archive(tmp_path, [layer_tar([text("tool", mode=0o4755)])])
    run("extract", image, "/tool", "-o", tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out" / "tool").stat().st_mode) == 0o755


def test_find_tells_hidden_from_visible(run: Run, image: Path) -> None:
    found = run("find", "config", image, "--json-lines").lines
    assert [(m["layer"], m["visible"], m["size"]) for m in found] == [(0, False, 4), (1, True, 5)]
    assert found[0]["image"] == "example.test/one:1"


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        (("*.conf",), []),
        (("app/*a",), ["/app/data", "/app/data"]),
        (("--regex", "^app/(gone|twin)$"), ["/app/gone", "/app/twin"]),
        (("--regex", "^/app/(gone|twin)$"), ["/app/gone", "/app/twin"]),
        (("--regex", "^/(gone|twin)$"), []),
        (("GONE",), []),
        (("gone",), ["/app/gone"]),
    ],
)
def test_find_accepts_parts_globs_and_regular_expressions(
    run: Run, image: Path, arguments: tuple[str, ...], paths: list[str]
) -> None:
    answer = run("find", *arguments, image, "--json-lines")
    assert [match["path"] for match in answer.lines] == paths
    assert answer.code == (0 if paths else 1)


def test_find_gives_a_hard_link_the_size_of_its_file(run: Run, tmp_path: Path) -> None:
    base, upper = [text("a", "12345")], [hard_link("b", "a")]
    image = write_archive(tmp_path, [layer_tar(base), layer_tar(upper)])
    (found,) = run("find", "b", image, "--json-lines").lines
    assert (found["type"], found["size"], found["visible"]) == ("hardlink", 5, True)


def test_find_ignores_whiteouts(run: Run, tmp_path: Path) -> None:
    image = write_archive(tmp_path, [layer_tar([text("a")]), layer_tar([whiteout("a")])])
    assert [m["layer"] for m in run("find", "a", image, "--json-lines").lines] == [0]


def test_an_invalid_expression_is_reported(run: Run, image: Path) -> None:
    answer = run("find", "--regex", "(", image)
    assert answer.code == 2
    assert "Invalid pattern: missing )" in answer.err


def test_find_reports_layers_without_digests(run: Run, image: Path) -> None:
    digest = hashlib.sha256(b"d" * 1000).hexdigest()
    answer = run("find", f"sha256:{digest}", image)
    assert answer.code == 1
    assert answer.err.endswith("2 layers were listed without content, so no digests are known.\n")
    assert "without their content" not in run("find", "data", image).err
