"""Content that is written to files of the user."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layerscope.errors import Cancelled, LayerscopeError
from layerscope.images.files.save import InTheWay, safe_name, save_file
from layerscope.tui.terminal.outside import editor_command, harmless, obeys, pager_command
from layerscope.writing import existing


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = self.available = self.stored = len(data)

    def read(self, offset: int, length: int, advance: object = None) -> bytes:
        return self.data[offset : offset + length]

    def extents(self, advance: object = None) -> Iterator[tuple[int, int]]:
        yield 0, self.size

    def close(self) -> None:
        return


DATA = os.urandom(3 << 20)


def test_a_file_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    reported: list[int] = []
    target = tmp_path / "f"
    assert save_file(Bytes(DATA), target, advance=reported.append) == len(DATA)
    assert target.read_bytes() == DATA
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert reported[-1] == len(DATA)
    with pytest.raises(InTheWay, match="already exists"):
        save_file(Bytes(b"x"), target)
    assert save_file(Bytes(b"x"), target, overwrite=existing(target)) == 1
    assert target.read_bytes() == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_link_in_the_way_is_never_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    link = tmp_path / "link"
    link.symlink_to(victim)
    with pytest.raises(InTheWay):
        save_file(Bytes(b"x"), link)
    save_file(Bytes(b"x"), link, overwrite=existing(link))
    assert victim.read_bytes() == b"mine"
    assert not link.is_symlink()
    dead = tmp_path / "dead"
    dead.symlink_to("nowhere")
    with pytest.raises(InTheWay):
        save_file(Bytes(b"x"), dead)
    with pytest.raises(InTheWay, match="is a folder"):
        save_file(Bytes(b"x"), tmp_path, overwrite=existing(tmp_path))


def test_devices_pipes_and_sockets_are_never_replaced(tmp_path: Path) -> None:
    """As root, /dev/null would become a file."""
    pipe, server = tmp_path / "pipe", socket.socket(socket.AF_UNIX)
    os.mkfifo(pipe)
    with contextlib.closing(server), contextlib.chdir(tmp_path):
        server.bind("socket")
        for target in (pipe, tmp_path / "socket"):
            mode = target.stat().st_mode
            for overwrite in (None, existing(target)):
                with pytest.raises(InTheWay, match="is not a regular file") as found:
                    save_file(Bytes(b"x"), target, overwrite=overwrite)
                assert found.value.there is None
            assert target.stat().st_mode == mode


def _ignore(_: object) -> None:
    return


def test_only_what_the_question_was_about_is_overwritten(tmp_path: Path) -> None:
    target, victim = tmp_path / "f", tmp_path / "victim"
    target.write_bytes(b"old")
    victim.write_bytes(b"mine")

    def changes(change: Callable[[], object]) -> InTheWay:
        """The answer after something changed between the question and the last byte."""
        asked = existing(target)
        with pytest.raises(InTheWay) as found:
            save_file(Bytes(b"x"), target, overwrite=asked, advance=lambda _: _ignore(change()))
        return found.value

    again = changes(lambda: target.write_bytes(b"theirs"))
    assert target.read_bytes() == b"theirs"
    assert again.there == existing(target)

    def link() -> None:
        target.unlink(missing_ok=True)
        target.symlink_to(victim)

    assert "is a symbolic link" in str(changes(link))
    assert (target.is_symlink(), victim.read_bytes()) == (True, b"mine")
    save_file(Bytes(b"x"), target, overwrite=existing(target))
    assert (target.is_symlink(), victim.read_bytes()) == (False, b"mine")
    # What is gone is no longer in the way.
    asked = existing(target)
    target.unlink()
    save_file(Bytes(b"y"), target, overwrite=asked)
    assert target.read_bytes() == b"y"


class Sparse(Bytes):
    """A hole of a TB before the data and behind it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.size = (2 << 40) + len(data)

    def read(self, offset: int, length: int, advance: object = None) -> bytes:
        assert offset >= 1 << 40
        return super().read(offset - (1 << 40), length)

    def extents(self, advance: object = None) -> Iterator[tuple[int, int]]:
        yield 1 << 40, len(self.data)


def test_holes_stay_holes(tmp_path: Path) -> None:
    size = save_file(Sparse(DATA), tmp_path / "f")
    status = (tmp_path / "f").stat()
    assert size == status.st_size == (2 << 40) + len(DATA)
    assert status.st_blocks * 512 < 2 * len(DATA)
    with (tmp_path / "f").open("rb") as file:
        file.seek((1 << 40) - 1)
        assert file.read(1 + len(DATA)) == b"\0" + DATA


def test_pagers_other_than_less_get_escapes(tmp_path: Path) -> None:
    assert [obeys([name]) for name in ("less", "/usr/bin/less", "more", "cat")] == [
        *(False, False, True, True)
    ]
    content = Bytes("a\t\x1b]52;c;eA==\x07é\n".encode() + b"\x9b31m")
    save_file(content, tmp_path / "f", escape=True)
    assert (tmp_path / "f").read_text() == "a\t\\e]52;c;eA==\\x07é\n\\x9b31m"


def test_a_full_disk_leaves_nothing(tmp_path: Path, small_disk: Path) -> None:
    with pytest.raises(LayerscopeError, match=r"65.5kB of free space, but 3.15MB are needed"):
        save_file(Bytes(DATA), small_disk / "f")
    lying = Bytes(DATA)
    lying.stored = 10
    with pytest.raises(LayerscopeError, match="the disk is full"):
        save_file(lying, small_disk / "f")
    assert list(small_disk.iterdir()) == []


def test_nothing_is_left_of_what_was_stopped_or_failed(tmp_path: Path) -> None:
    def stop(_: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        save_file(Bytes(DATA), tmp_path / "f", advance=stop)
    with pytest.raises(LayerscopeError, match="cannot be written"):
        save_file(Bytes(DATA), tmp_path / "no" / "f")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"plain.txt", "plain.txt"),
        (b"-rf", "rf"),
        (b"..", "file"),
        (b"", "file"),
        (b"a b\x1b[31m\xff", "a_b__31m_"),
        ("größe".encode(), "gr__e"),
        (b"x" * 300, "x" * 100),
    ],
)
def test_names_that_no_program_misreads(name: bytes, expected: str) -> None:
    assert safe_name(name) == expected


def test_less_is_kept_from_obeying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: f"/bin/{name}")
    assert pager_command({}) == ["less"]
    assert pager_command({"PAGER": "less -RS -r --RAW-CONTROL-CHARS -X"}) == ["less", "-S", "-X"]
    assert pager_command({"PAGER": "most -r"}) == ["most", "-r"]
    environment = harmless({"LESS": "-R", "LESSOPEN": "|x %s", "HOME": "/root"})
    assert environment == {"HOME": "/root", "LESSSECURE": "1"}


def test_editors_are_told_that_it_is_for_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: f"/bin/{name}")
    assert editor_command({}) == ["vi", "-R"]
    assert editor_command({"VISUAL": "/x/nvim -n", "EDITOR": "ed"}) == [
        "/x/nvim",
        "-n",
        "-R",
        "--cmd",
        "set nomodeline",
    ]
    assert editor_command({"EDITOR": "nano"}) == ["nano", "-v"]
    assert editor_command({"EDITOR": "code 'wait"}) == ["code", "'wait"]
