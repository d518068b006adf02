"""Files that are complete or absent, and temporary folders that no killed process leaves."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from layerscope import writing
from layerscope.errors import LayerscopeError
from layerscope.writing import (
    check_space,
    remove_dead_folders,
    temporary_folder,
    whole_file,
    write_whole,
)


@pytest.fixture(params=["unnamed", "named"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With files that have no name, and without, as on NFS."""
    if request.param == "named":
        monkeypatch.setattr(writing, "_UNNAMED", 0)
    return str(request.param)


def write(path: Path, data: bytes, *, replace: bool = False) -> None:
    with whole_file(path, replace=replace) as fd:
        writing.write_all(fd, data)


@pytest.mark.usefixtures("way")
def test_a_file_has_its_name_when_it_is_complete(tmp_path: Path) -> None:
    with whole_file(tmp_path / "f", mode=0o640) as fd:
        os.write(fd, b"12")
        assert not (tmp_path / "f").exists()
        os.write(fd, b"345")
    assert (tmp_path / "f").read_bytes() == b"12345"
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_large_file_goes_to_the_disk_while_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(writing, "_STRIDE", 100)
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, start, end, _: sent.append(end - start))
    data = os.urandom(333)
    with whole_file(tmp_path / "f") as fd:
        behind = writing.WriteBehind(fd)
        for start in range(0, 333, 30):
            behind.write(data[start : start + 30])
    assert (tmp_path / "f").read_bytes() == data
    assert behind.size == 333
    assert sent == [120, 240]


@pytest.mark.usefixtures("way")
def test_nothing_is_replaced_unless_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("f")
    for name in ("f", "link"):
        with pytest.raises(FileExistsError):
            write(tmp_path / name, b"new")
    write(tmp_path / "link", b"new", replace=True)
    assert (tmp_path / "f").read_bytes() == b"mine"
    assert not (tmp_path / "link").is_symlink()
    write_whole(tmp_path / "a" / "b" / "f", b"x")
    (tmp_path / "dir").mkdir()
    with pytest.raises(OSError, match=r"[Ii]s a directory|exists"):
        write(tmp_path / "dir", b"x", replace=True)
    assert {path.name for path in tmp_path.iterdir()} == {"f", "link", "a", "dir"}


@pytest.mark.usefixtures("way")
def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def late() -> None:
        with whole_file(tmp_path / "f") as fd:
            os.write(fd, b"new")
            (tmp_path / "f").write_bytes(b"theirs")

    with pytest.raises(FileExistsError):
        late()
    assert (tmp_path / "f").read_bytes() == b"theirs"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt(), SystemExit(3)])
def test_nothing_remains_of_what_failed(tmp_path: Path, error: BaseException) -> None:
    def fail() -> None:
        with whole_file(tmp_path / "f", replace=True) as fd:
            os.write(fd, b"begin")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_file_systems_without_links_take_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(writing, "_UNNAMED", 0)
    monkeypatch.setattr("os.link", refuse)
    write(tmp_path / "f", b"x")
    with pytest.raises(FileExistsError):
        write(tmp_path / "f", b"y")
    assert (tmp_path / "f").read_bytes() == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def begun(code: str) -> subprocess.Popen[str]:
    """A process that ran some code, said so, and waits."""
    script = f"import os, time\nfrom layerscope import writing\n{code}\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_the_next_writer_removes_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""
writing._UNNAMED = 0
from pathlib import Path
with writing.whole_file(Path({str(tmp_path)!r}, "f")) as fd:
    os.write(fd, b"begin")
    print("ready", flush=True)
    time.sleep(600)"""
    monkeypatch.setattr(writing, "_UNNAMED", 0)
    other = tmp_path / ".layerscope-notes.part"
    other.write_bytes(b"mine")
    process = begun(code)
    try:
        assert len(list(tmp_path.iterdir())) == 2
        write(tmp_path / "mine", b"x")
        assert len(list(tmp_path.iterdir())) == 3
    finally:
        killed(process)
    write(tmp_path / "second", b"x")
    assert {path.name for path in tmp_path.iterdir()} == {other.name, "mine", "second"}


def test_temporary_folders_of_killed_processes_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    code = """
with writing.temporary_folder() as folder:
    (folder / "secret").write_bytes(b"x")
    print("ready", flush=True)
    time.sleep(600)"""
    # What other programs, and people, have there.
    (tmp_path / "layerscope-tmp-abcdefgh").mkdir(mode=0o755)
    (tmp_path / "layerscope-tmp-mine").mkdir(mode=0o700)
    (tmp_path / "layerscope-tmp-file").write_bytes(b"x")
    (tmp_path / "layerscope-tmp-link").symlink_to(tmp_path)
    (tmp_path / "layerscope-backup").mkdir(mode=0o700)
    theirs = {path.name for path in tmp_path.iterdir()}
    process = begun(code)
    try:
        with temporary_folder() as folder:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert len(list(tmp_path.iterdir())) == len(theirs) + 2
        remove_dead_folders()
        assert len(list(tmp_path.iterdir())) == len(theirs) + 1
    finally:
        killed(process)
    assert len(list(tmp_path.iterdir())) == len(theirs) + 1
    remove_dead_folders()
    assert {path.name for path in tmp_path.iterdir()} == theirs


def test_space_is_checked(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        check_space(fd, 1, "here", "Hint.")
        with pytest.raises(LayerscopeError, match=r"^here has .*B of free space, but 1.15EB are"):
            check_space(fd, 1 << 60, "here", "Hint.")
    finally:
        os.close(fd)
