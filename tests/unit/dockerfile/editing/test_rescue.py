"""Unsaved texts: kept for the user, offered if they are newer, limited in number."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from layerscope.dockerfile.editing import rescue as rescued
from layerscope.dockerfile.editing.rescue import find_rescued, rescue
from layerscope.dockerfile.editing.text_file import TextFile, read_text_file


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "layerscope" / "unsaved"


def test_any_text_is_restored_exactly(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"Docker\xff file")
    rescue(path, "a\r\n\udcff\x00é")
    found = find_rescued(TextFile(path))
    assert found is not None
    assert found.text == "a\r\n\udcff\x00é"
    found.forget()
    found.forget()
    assert find_rescued(TextFile(path)) is None


def test_only_newer_and_different_texts_are_found(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM a\n")
    rescue(path, "FROM b\n")
    assert find_rescued(read_text_file(path)) is not None
    assert find_rescued(TextFile(tmp_path / "Containerfile")) is None
    later = time.time_ns() + 10**9
    os.utime(path, ns=(later, later))
    assert find_rescued(read_text_file(path)) is None
    other = tmp_path / "same"
    other.write_text("FROM a\n")
    rescue(other, "FROM a\n")
    assert find_rescued(read_text_file(other)) is None


def test_a_file_is_found_through_links(tmp_path: Path) -> None:
    path, link = tmp_path / "Dockerfile", tmp_path / "link"
    path.write_text("FROM a\n")
    link.symlink_to(path)
    rescue(link, "FROM b\n")
    found = find_rescued(read_text_file(path))
    assert found is not None
    assert found.text == "FROM b\n"


def test_the_newest_are_kept_and_nothing_else_is_removed(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(rescued.MOST_OF_FILE + 3):
        rescue(tmp_path / "Dockerfile", f"{number}")
    assert len(list(state.iterdir())) == rescued.MOST_OF_FILE
    found = find_rescued(TextFile(tmp_path / "Dockerfile"))
    assert found is not None
    assert found.text == f"{rescued.MOST_OF_FILE + 2}"
    (state / "mine").write_text("of somebody else")
    monkeypatch.setattr(rescued, "MOST", 7)
    for number in range(10):
        rescue(tmp_path / f"{number}", "text")
    assert len(list(state.iterdir())) == 8
    assert find_rescued(TextFile(tmp_path / "9")) is not None
    assert (state / "mine").exists()


def test_pipes_and_links_are_not_read(tmp_path: Path, state: Path) -> None:
    kept = rescue(tmp_path / "Dockerfile", "text")
    kept.unlink()
    kept.symlink_to(tmp_path)
    assert find_rescued(TextFile(tmp_path / "Dockerfile")) is None
    kept.unlink()
    os.mkfifo(kept)
    assert find_rescued(TextFile(tmp_path / "Dockerfile")) is None
