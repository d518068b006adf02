"""extract, where links, holes, full disks and odd names are concerned."""

from __future__ import annotations

import errno
import gzip
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from layerscope.errors import LayerscopeError
from layerscope.images.files import extract as extract_files
from tests.archives import (
    TIME,
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

HOLE = 60 << 30
FORMS = ("gnu", "posix 0.0", "posix 0.1", "posix 1.0")


def sparse_layer(tmp_path: Path, form: str) -> bytes:
    """A file of 60 GB with data at its begin, in its middle and at its end, made by GNU tar."""
    source = tmp_path / "source"
    source.mkdir()
    with (source / "holes").open("wb") as file:
        file.write(b"begin")
        file.seek(HOLE // 2)
        file.write(b"middle")
        file.seek(HOLE)
        file.write(b"end")
    name, _, version = form.partition(" ")
    options = [f"--format={name}", *([f"--sparse-version={version}"] if version else [])]
    command = ["tar", "--sparse", *options, "-C", str(source), "-c", "holes"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def check_holes(path: Path) -> None:
    assert path.stat().st_size == HOLE + 3
    assert path.stat().st_blocks * 512 < 1 << 20
    with path.open("rb") as file:
        for place, expected in ((0, b"begin\0"), (HOLE // 2, b"middle\0"), (HOLE, b"end")):
            file.seek(place)
            assert file.read(len(expected)) == expected


def test_a_hard_link_without_a_file_is_skipped_with_a_line(run: Run, tmp_path: Path) -> None:
    links = [folder("d"), hard_link("a", "b"), hard_link("b", "a"), hard_link("c", "d")]
    image = write_archive(tmp_path, [layer_tar([*links, hard_link("e", "none"), text("zz")])])
    out = tmp_path / "out"
    answer = run("extract", image, "/", "-o", out)
    assert answer.code == 0
    assert sorted(path.name for path in out.iterdir()) == ["d", "zz"]
    line = "layerscope: /e: it is a hard link to /none, which is not a file of the image."
    assert line in answer.err.splitlines()
    assert answer.err.count("which is not a file of the image") == 4
    answer = run("cat", image, "/e")
    assert answer.code == 2
    assert answer.err.startswith(line)


def test_a_folder_without_a_name_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = write_archive(tmp_path, [layer_tar([text("a")])])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for command in (
        ("extract", image, "/", "-o", ""),
        ("ci", image, "--config", ""),
        ("lint", ""),
        ("build", ".", "--dry-run", "-f", ""),
        ("build", ".", "--dry-run", "--ignorefile", ""),
    ):
        answer = run(*command)
        assert answer.code == 2
        assert "the name is empty" in answer.err
    assert os.listdir() == []  # noqa: PTH208 - the current folder
    answer = run("extract", image, "/", "-o", ".")
    assert answer.err == f"1 file, 5B, under {tmp_path / 'here'}.\n"


def test_a_refused_extraction_leaves_no_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = write_archive(tmp_path, [layer_tar([text("a"), text("b")])])
    (tmp_path / "there").mkdir()

    def no_space(*_: object) -> None:
        raise LayerscopeError("There is no space left.")

    assert run("extract", image, "/none", "-o", tmp_path / "x").code == 2
    monkeypatch.setattr(extract_files, "check_space", no_space)
    for place in ("out", "new/below/out", "there", "there/out"):
        answer = run("extract", image, "/", "-o", tmp_path / place)
        assert (answer.code, answer.err) == (2, "layerscope: There is no space left.\n")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_dir()) == ["there"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compressed", [False, True])
def test_holes_stay_holes(run: Run, tmp_path: Path, form: str, *, compressed: bool) -> None:
    layer = sparse_layer(tmp_path, form)
    image = write_archive(tmp_path, [gzip.compress(layer) if compressed else layer])
    answer = run("extract", image, "/holes", "-o", tmp_path / "out")
    assert answer.code == 0, answer.err
    check_holes(tmp_path / "out" / "holes")


def test_a_hole_that_no_file_system_stores_is_skipped(run: Run, tmp_path: Path) -> None:
    layer = sparse_layer(tmp_path, "posix 0.0")
    huge = layer.replace(str(HOLE + 3).encode(), str((8 << 60) - 1).encode()[: len(str(HOLE + 3))])
    assert len(huge) == len(layer)
    image = write_archive(tmp_path, [layer_tar([text("ok")]), huge])
    answer = run("extract", image, "/", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "ok").exists(), answer.err


def test_names_of_one_inode_are_linked_across_layers(run: Run, tmp_path: Path) -> None:
    base = [folder("d"), text("a", "12345"), hard_link("d/b", "a")]
    image = write_archive(tmp_path, [layer_tar(base), layer_tar([hard_link("c", "a")])])
    out = tmp_path / "out"
    answer = run("extract", image, "/", "-o", out)
    assert answer.code == 0
    status = [(out / name).stat() for name in ("a", "d/b", "c")]
    assert {(each.st_ino, each.st_nlink) for each in status} == {(status[0].st_ino, 3)}
    assert "3 files, 1 folder, 5B" in answer.err


def test_a_link_whose_target_is_not_extracted_has_the_content(run: Run, tmp_path: Path) -> None:
    base = [folder("d"), text("a", "12345"), hard_link("d/b", "a"), hard_link("d/c", "a")]
    image = write_archive(tmp_path, [layer_tar(base), layer_tar([whiteout("a")])])
    run("extract", image, "/d", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "d" / "b").read_text() == "12345"
    assert (tmp_path / "out" / "d" / "b").samefile(tmp_path / "out" / "d" / "c")


def test_without_hard_links_files_are_copied(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def link(source: str | bytes, name: bytes, **more: Any) -> None:
        if isinstance(source, bytes):
            raise OSError(errno.EPERM, "Operation not permitted")
        real(source, name, **more)

    monkeypatch.setattr("os.link", link)
    image = write_archive(
        tmp_path, [layer_tar([text("a", "12345", mode=0o400), hard_link("b", "a", mode=0o400)])]
    )
    answer = run("extract", image, "/", "-o", tmp_path / "out")
    assert answer.code == 0, answer.err
    copy = tmp_path / "out" / "b"
    assert (copy.read_text(), copy.stat().st_nlink) == ("12345", 1)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o400


@pytest.mark.parametrize("unnamed", [True, False])
def test_nothing_incomplete_remains_on_a_full_disk(
    run: Run, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, *, unnamed: bool
) -> None:
    if not unnamed:
        monkeypatch.setattr("layerscope.writing._UNNAMED", 0)
    monkeypatch.setattr("layerscope.images.files.extract.check_space", lambda *_: None)
    files = [text("a", "a" * 1000), text("d/big", "b" * (3 << 20)), text("z", "z")]
    image = write_archive(tmp_path, [layer_tar([folder("d", mode=0o755), *files])])
    answer = run("extract", image, "/", "-o", small_disk)
    assert answer.code == 2
    assert "the disk is full" in answer.err
    assert "1 file, 1 folder, 1kB" in answer.err
    assert sorted(str(path.relative_to(small_disk)) for path in small_disk.rglob("*")) == ["a", "d"]
    assert stat.S_IMODE((small_disk / "d").stat().st_mode) == 0o755


def test_space_is_checked_before_anything_is_written(
    run: Run, tmp_path: Path, small_disk: Path
) -> None:
    files = [text("a", "a"), text("big", "b" * (3 << 20))]
    image = write_archive(tmp_path, [layer_tar(files)])
    answer = run("extract", image, "/", "-o", small_disk)
    assert answer.code == 2
    assert "65.5kB of free space, but 3.15MB are needed. Choose another folder" in answer.err
    assert list(small_disk.iterdir()) == []
    # A file and its links need the space once, and holes need none.
    links = [text("a", "a" * 20_000), *(hard_link(f"l{n}", "a") for n in range(9))]
    image = write_archive(tmp_path, [layer_tar(links), sparse_layer(tmp_path, "gnu")])
    answer = run("extract", image, "/", "-o", small_disk)
    assert answer.code == 0, answer.err
    assert (small_disk / "l8").stat().st_nlink == 10
    check_holes(small_disk / "holes")


def test_existing_folders_stay_as_they_are(run: Run, tmp_path: Path) -> None:
    items = [folder("d", mode=0o755), folder("d/new", mode=0o750), text("d/new/f")]
    image = write_archive(tmp_path, [layer_tar(items)])
    mine = tmp_path / "out" / "d"
    mine.mkdir(parents=True, mode=0o711)
    os.utime(mine, (1, 1))
    os.utime(mine.parent, (2, 2))
    assert run("extract", image, "/", "-o", tmp_path / "out").code == 0
    assert stat.S_IMODE(mine.stat().st_mode) == 0o711
    assert mine.stat().st_mtime != TIME
    assert mine.parent.stat().st_mtime == 2
    assert stat.S_IMODE((mine / "new").stat().st_mode) == 0o750
    assert (mine / "new").stat().st_mtime == TIME


def test_nothing_is_written_if_something_is_in_the_way(run: Run, tmp_path: Path) -> None:
    items = [folder("d"), text("a"), text("d/in"), text("z")]
    image = write_archive(tmp_path, [layer_tar(items)])
    (tmp_path / "out" / "d").mkdir(parents=True)
    (tmp_path / "out" / "d" / "in").write_text("mine")
    answer = run("extract", image, "/", "-o", tmp_path / "out")
    assert answer.code == 2
    assert "d/in already exists" in answer.err
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == ["d", "in"]


def test_paths_may_overlap(run: Run, tmp_path: Path) -> None:
    image = write_archive(tmp_path, [layer_tar([folder("d"), text("d/f"), text("d/g")])])
    assert run("extract", image, "/d/f", "/d", "/d/f", "-o", tmp_path / "out").code == 0
    assert sorted(path.name for path in (tmp_path / "out" / "d").iterdir()) == ["f", "g"]


def test_what_cannot_be_written_is_skipped_with_a_line(run: Run, tmp_path: Path) -> None:
    long = "n" * 256
    deep = "/".join("d" * 200 for _ in range(20))
    items = [
        text(long),
        folder(f"{long}d"),
        text(f"{long}d/in"),
        hard_link("first", long),
        symlink(f"{long}l", "x"),
        symlink("far", "x" * 4096),
        text("n" * 255),
        *(Item(kind, kind, device=(1, 3)) for kind in ("char", "block", "fifo")),
        text(f"{deep}/end"),
        text("zz"),
    ]
    image = write_archive(tmp_path, [layer_tar(items)])
    out = tmp_path / "out"
    answer = run("extract", image, "/", "-o", out)
    assert answer.code == 0, answer.err
    assert {"first", "n" * 255, "zz"} <= {path.name for path in out.iterdir()}
    assert (out / "first").read_text() == "text\n"
    lines = answer.err.splitlines()
    for name in (f"/{long}: it cannot be written here", f"/{long}d: it", f"/{long}l: it", "/far: "):
        assert sum(line.startswith(f"layerscope: {name}") for line in lines) == 1
    assert sum("is not extracted" in line for line in lines) == 3
    fd = os.open(out, os.O_RDONLY)
    for part in deep.split("/"):
        fd, before = os.open(part, os.O_RDONLY, dir_fd=fd), fd
        os.close(before)
    assert os.listdir(fd) == ["end"]  # noqa: PTH208 - a descriptor
    os.close(fd)


BLOCKED = """
import os, sys, time
from layerscope import cli, writing
from layerscope.images.files import extract

def begin(fd, pieces, advance=None):
    os.write(fd, b"begin")
    print("ready", flush=True)
    time.sleep(600)

extract.write_pieces = begin
if {named}:
    writing._UNNAMED = 0
sys.exit(cli.main({arguments!r}))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_leaves_nothing_incomplete(tmp_path: Path, number: signal.Signals) -> None:
    image = write_archive(tmp_path, [layer_tar([text("f", "content")])])
    out = tmp_path / "out"
    # Where every file has a name, SIGKILL leaves one that the next writer removes.
    named = number is not signal.SIGKILL
    script = BLOCKED.format(named=named, arguments=["extract", str(image), "/", "-o", str(out)])
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert len(list(out.iterdir())) == named
        process.send_signal(number)
        _, errors = process.communicate()
    if number is signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert (process.returncode, errors) == (130, "Interrupted.\n")
    assert list(out.rglob("*")) == []
