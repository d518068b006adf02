"""Content that is written to files of the user."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from layerscope.errors import Cancelled, LayerscopeError
from layerscope.images.save_file import InTheWay, safe_name, save_file
from layerscope.tui.outside import editor_command, harmless, pager_command


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = self.available = len(data)

    def read(self, offset: int, length: int, advance: object = None) -> bytes:
        return self.data[offset : offset + length]

    def fill(self, until: int | None = None, advance: object = None) -> None:
        return

    def close(self) -> None:
        return


DATA = os.urandom(3 << 20)


def test_a_file_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    told: list[int] = []
    target = tmp_path / "f"
    assert save_file(Bytes(DATA), target, advance=told.append) == len(DATA)
    assert target.read_bytes() == DATA
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert told[-1] == len(DATA)
    with pytest.raises(InTheWay, match="already there"):
        save_file(Bytes(b"x"), target)
    assert save_file(Bytes(b"x"), target, overwrite=True) == 1
    assert target.read_bytes() == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_link_in_the_way_is_never_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    link = tmp_path / "link"
    link.symlink_to(victim)
    with pytest.raises(InTheWay):
        save_file(Bytes(b"x"), link)
    save_file(Bytes(b"x"), link, overwrite=True)
    assert victim.read_bytes() == b"mine"
    assert not link.is_symlink()
    dead = tmp_path / "dead"
    dead.symlink_to("nowhere")
    with pytest.raises(InTheWay):
        save_file(Bytes(b"x"), dead)
    with pytest.raises(InTheWay, match="is a folder"):
        save_file(Bytes(b"x"), tmp_path, overwrite=True)


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
