"""More entries than any image has: each ends in one clear error, before memory does."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.engines.resolve import open_image
from layerscope.errors import LayerscopeError
from layerscope.filesystem import changeset as changeset_module
from layerscope.filesystem.changeset import MOST_ENTRIES
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.loading import Loaded, load
from layerscope.images.progress import Progress
from layerscope.oci.tar_header import TarError
from tests.archives import END, changeset, entry, layer, saved, streamed, write
from tests.command import one_line_error, run

Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(changeset_module, "MOST_ENTRIES", 20)
    return 20


def test_rows_fit_their_type() -> None:
    # Rows and nodes are 32-bit numbers; each entry may imply a few folders more.
    assert 100 * MOST_ENTRIES < 2**31


@pytest.mark.usefixtures("limit")
def test_a_layer_of_too_many_entries_is_refused() -> None:
    tar = b"".join(entry(b"%d" % number) for number in range(20))
    assert len(read_changeset(streamed(tar + END))) == 20
    with pytest.raises(TarError, match=r"more than 20 entries at byte 10240"):
        read_changeset(streamed(tar + entry(b"one more") + END))


@pytest.mark.usefixtures("limit")
def test_the_command_says_so_and_where(capsys: Capsys, tmp_path: Path) -> None:
    tar = b"".join(entry(b"%d" % number) for number in range(21)) + END
    message = one_line_error(run(capsys, "inspect", write(tmp_path / "i.tar", saved(tar))))
    assert "the layer has more than 20 entries" in message
    assert "i.tar" in message


@pytest.mark.usefixtures("limit")
def test_many_references_to_one_layer_are_counted_each(capsys: Capsys, tmp_path: Path) -> None:
    data = layer(("a", b"x"), ("b", b"y"))
    few = write(tmp_path / "few.tar", saved(*[data] * 10))
    reader = open_image(few, Progress())
    assert load(reader, Progress()).stack.height == 10
    reader.close()
    message = one_line_error(
        run(capsys, "inspect", write(tmp_path / "i.tar", saved(*[data] * 1000)))
    )
    assert "2,000 entries" in message
    assert "at most 20" in message


@pytest.mark.usefixtures("limit")
def test_folders_that_nobody_names_count_too() -> None:
    deep = changeset(("/".join("abcdefghij"), b"x"))
    Stack([deep])
    undone = changeset(("a/.wh..wh..opq", b""))
    with pytest.raises(LayerscopeError, match="implied folders included"):
        Stack([deep, undone, deep, undone, deep])


@pytest.mark.usefixtures("limit")
def test_what_was_read_before_is_shown(tmp_path: Path) -> None:
    data = layer(("a", b"x"), ("b", b"y"))
    reader = open_image(write(tmp_path / "i.tar", saved(*[data] * 11)), Progress())
    reported: list[Loaded] = []
    with pytest.raises(LayerscopeError, match="22 entries"):
        load(reader, Progress(), reported.append)
    reader.close()
    assert not any(each.complete for each in reported)


@pytest.mark.usefixtures("limit")
def test_an_archive_of_too_many_files_is_refused(capsys: Capsys, tmp_path: Path) -> None:
    files = b"".join(entry(b"%d" % number) for number in range(21)) + END
    message = one_line_error(run(capsys, "inspect", write(tmp_path / "i.tar", files)))
    assert "more than 20 entries" in message
