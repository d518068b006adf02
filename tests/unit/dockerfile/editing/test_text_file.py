"""Dockerfiles on disk and in the editor: nothing is lost."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.content.line_matching import same_items
from layerscope.dockerfile.checks.carry import carry
from layerscope.dockerfile.checks.lint import lint
from layerscope.dockerfile.editing import shown_text
from layerscope.dockerfile.editing.text_file import (
    is_changed,
    read_text_file,
    write_text_file,
)
from layerscope.dockerfile.syntax.parser import parse
from layerscope.errors import LayerscopeError, NotFoundError, UsageError

ODD = "a\x00\x1b[31m\r\x7f\x85\u202e\ufeff\u200b\u2028\udcff\U000e0041\té日本"


def test_the_editors_text_is_safe_and_reversible() -> None:
    held = shown_text.held(ODD)
    assert len(held) == len(ODD)
    assert shown_text.written(held) == ODD
    assert held.splitlines() == [held]
    shown = "".join(shown_text.sign(c) if shown_text.stands(c) else c for c in held)
    assert shown == "a␀␛[31m␍␡\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\té日本"
    assert shown_text.name(held[1]) == "U+0000 control character"
    assert "byte 0xff" in shown_text.name(held[ODD.index("\udcff")])
    assert "right-to-left override" in shown_text.name(held[ODD.index("\u202e")])


@given(st.text(st.characters(max_codepoint=0xEFFFF)))
def test_every_text_is_reversible(text: str) -> None:
    assert shown_text.representable(text)
    assert shown_text.written(shown_text.held(text)) == text


def test_texts_with_replacement_characters_are_detected() -> None:
    assert not shown_text.representable("\U000f001b")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"FROM a\n",
        b"FROM a",
        b"FROM a\r\nRUN b\r\n",
        b"FROM a\r\nRUN b\nRUN c\r\n",
        b"\xef\xbb\xbfFROM a\n",
        b"FROM a\nRUN \xff\xfe\x1b[0m \xed\xa0\x80\n",
        b"RUN a\rb\x0bc\x0cd\x85\n",
    ],
)
def test_saving_keeps_what_was_not_changed(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "Dockerfile"
    path.write_bytes(data)
    file = read_text_file(path)
    held = shown_text.held(file.text)
    saved = write_text_file(file, shown_text.written(held))
    assert path.read_bytes() == data
    assert saved.text == file.text
    assert not is_changed(saved)


def test_mode_links_and_line_ends_are_kept(tmp_path: Path) -> None:
    path, link, other = tmp_path / "Dockerfile", tmp_path / "link", tmp_path / "other"
    path.write_bytes(b"FROM a\r\n")
    path.chmod(0o751)
    link.symlink_to("Dockerfile")
    file = write_text_file(read_text_file(link), "FROM b\nRUN c\n")
    assert path.read_bytes() == b"FROM b\r\nRUN c\r\n"
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o751
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []
    # A file with two names stays one.
    os.link(path, other)
    write_text_file(file, "FROM c\n")
    assert other.read_bytes() == b"FROM c\r\n"
    assert path.samefile(other)


def test_changes_by_others_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM a\n")
    file = read_text_file(path)
    assert not is_changed(file)
    path.write_text("FROM ab\n")
    assert is_changed(file)
    path.unlink()
    assert is_changed(file)


def test_a_new_file_does_not_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM a\n")
    file = read_text_file(path)
    with pytest.raises(UsageError, match="already exists"):
        write_text_file(file, "FROM b\n", new=True)
    assert path.read_text() == "FROM a\n"


def test_what_cannot_be_edited_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_text_file(tmp_path / "none")
    with pytest.raises(UsageError, match="is not a file"):
        read_text_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is not a file"):
        read_text_file(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\x7fELF\0\0")
    with pytest.raises(UsageError, match="is not a text file"):
        read_text_file(tmp_path / "binary")
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    file = read_text_file(tmp_path / "Dockerfile")
    (tmp_path / "Dockerfile").unlink()
    (tmp_path / "Dockerfile").mkdir()
    with pytest.raises(LayerscopeError, match="cannot be written"):
        write_text_file(file, "FROM b\n")


def test_problems_go_with_instructions_that_are_unchanged() -> None:
    old = parse("FROM a:1\nWORKDIR b\nrun c\n")
    found = lint(old)
    assert {problem.code for problem in found} == {
        "WorkdirRelativePath",
        "ConsistentInstructionCasing",
    }
    new = parse("FROM a:1\n# more\nENV A=b\nWORKDIR b\nrun cc\n")
    kept = carry(found, old, new)
    assert [(p.code, new.source.slice(p.span)) for p in kept] == [("WorkdirRelativePath", "b")]


def test_the_same_instructions() -> None:
    assert same_items(["a", "b", "c"], ["a", "x", "b", "c"]) == {0: 0, 1: 2, 2: 3}
    assert same_items(["a", "a"], ["a"]) == {0: 0}
    assert same_items([], ["a"]) == {}


def test_a_hard_linked_file_survives_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM a\n" * 100)
    (tmp_path / "other").hardlink_to(path)
    file = read_text_file(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(LayerscopeError, match="cannot be written"):
            write_text_file(file, "FROM b\n" * 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "other").read_text() == "FROM a\n" * 100
    write_text_file(file, "FROM b\n")
    assert (tmp_path / "other").read_text() == "FROM b\n"
