"""history --patch and diff --path: unified diffs, for people and for patch."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.archives import Item, folder, layer_tar, symlink, text, whiteout, write_archive
from tests.commands.conftest import Run

needs_patch = pytest.mark.skipif(shutil.which("patch") is None, reason="needs patch")
HOSTILE = "a\nred \x1b[31m \xe9\nno end"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    layers = [
        [
            folder("etc"),
            text("etc/app conf", "one\ntwo\nthree\n"),
            text("etc/hostile", "a\n"),
            text("etc/moved", "m"),
            Item("etc/data", content=b"\0\1\2"),
            symlink("conf", "etc"),
        ],
        [
            text("etc/app conf", "one\n2\nthree\n", uid=33),
            Item("etc/hostile", content=HOSTILE.encode("latin-1")),
            text("etc/moved", "m", uid=33, gid=33, mode=0o664),
            Item("etc/data", content=b"\0\1\3\4"),
        ],
        [whiteout("etc/app conf")],
    ]
    return write_archive(tmp_path, [layer_tar(layer) for layer in layers], "example.test/p:1")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    where = tmp_path / "other"
    where.mkdir()
    layer = [folder("etc"), text("etc/app conf", "one\n"), text("etc/moved", "m")]
    return write_archive(where, [layer_tar(layer)], "example.test/q:1")


def test_history_has_a_diff_for_every_version(run: Run, image: Path) -> None:
    answer = run("history", image, "/etc/app conf", "--patch")
    assert answer.code == 0
    assert answer.out.count("--- ") == 3
    added, changed, removed = answer.out.split("\nlayer ")[1:]
    assert "--- /dev/null\n+++ b/etc/app conf\t\n@@ -0,0 +1,3 @@\n+one\n+two\n+three\n" in added
    assert "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n" in changed
    assert "owner 0:0→33:0" in changed
    assert "+++ /dev/null\n@@ -1,3 +0,0 @@\n" in removed


def test_content_that_stayed_has_no_diff(run: Run, image: Path) -> None:
    answer = run("history", image, "/etc/moved", "-p")
    second = answer.out.split("\nlayer ")[2]
    assert "changed: owner 0:0→33:33, mode 0644→0664, content unchanged" in second
    assert "@@" not in second


def test_binaries_are_described_in_a_sentence(run: Run, image: Path) -> None:
    answer = run("history", image, "/etc/data", "--patch")
    assert "Binary, 3B.\n" in answer.out
    assert "Binary, 3B → 4B, the first difference at byte 2.\n" in answer.out


@needs_patch
def test_patch_accepts_what_is_written_to_a_pipe(run: Run, image: Path, tmp_path: Path) -> None:
    answer = run("history", image, "/etc/hostile", "--patch")
    _, after = answer.out.encode("utf-8", "surrogateescape").split(b"\nlayer 1")
    assert b"red \x1b[31m \xe9\n" in after
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hostile").write_bytes(b"a\n")
    subprocess.run(["patch", "-s", "-p1", "-d", tmp_path], input=after, check=True, timeout=120)
    assert (tmp_path / "etc" / "hostile").read_bytes() == HOSTILE.encode("latin-1")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_control_characters_are_escaped_on_a_terminal(image: Path, no_color: str) -> None:
    main, side = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": no_color, "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "layerscope", "history", str(image), "etc/hostile", "-p"]
    with subprocess.Popen(
        command, stdout=side, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        os.close(side)
        out = b""
        while True:
            try:
                piece = os.read(main, 4096)
            except OSError:
                break
            if not piece:
                break
            out += piece
    os.close(main)
    assert process.returncode == 0
    shown = out.decode()
    assert "red \\e[31m é" in shown
    assert ("\x1b[32m+red" in shown) == (not no_color)
    for color in ("\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[36m", "\x1b[1m", "\x1b[m"):
        shown = shown.replace(color, "")
    assert "\x1b" not in shown


def test_diff_of_one_path(run: Run, image: Path, other: Path) -> None:
    answer = run("diff", image, other, "--path", "etc/moved", "--exit-code")
    assert answer.code == 1
    assert "    owner: 33:33 → 0:0\n" in answer.out
    assert "@@" not in answer.out
    gone = run("diff", image, other, "--path", "/conf/hostile")
    assert (gone.code, "+++ /dev/null" in gone.out) == (0, True)
    come = run("diff", image, other, "--path", "/etc/app conf")
    assert "--- /dev/null\n+++ b/etc/app conf\t\n@@ -0,0 +1 @@\n+one\n" in come.out


def test_diff_of_an_unchanged_path(run: Run, image: Path) -> None:
    answer = run("diff", image, image, "--path", "/etc/data", "--exit-code")
    assert (answer.code, answer.out) == (0, "")


def test_diff_of_a_path_in_neither_image(run: Run, image: Path, other: Path) -> None:
    answer = run("diff", image, other, "--path", "/nobody")
    assert (answer.code, answer.out) == (2, "")
    assert "Neither example.test/p:1 nor example.test/q:1 has /nobody." in answer.err


def test_json_and_patch_exclude_each_other(run: Run, image: Path, other: Path) -> None:
    assert run("history", image, "/etc/data", "--patch", "--json").code == 2
    assert run("diff", image, other, "--path", "/etc/data", "--json").code == 2


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ('a"b\\c', '"b/a\\"b\\\\c"'),
        ("tab\there", '"b/tab\\there"'),
        ("\x1b[2J", '"b/\\033[2J"'),
        ("日本語", "b/日本語"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), '"b/caf\\351"'),
    ],
)
def test_unusual_names_are_quoted_for_patch(
    run: Run, tmp_path: Path, name: str, quoted: str
) -> None:
    path = write_archive(tmp_path, [layer_tar([text(name, "x\n")])])
    answer = run("history", path, name, "--patch")
    assert f"+++ {quoted}\n" in answer.out
