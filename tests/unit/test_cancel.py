"""The wish to stop is heard in the middle of long work, wherever that is; so is a time limit."""

from __future__ import annotations

import gzip
import io
import random
import threading
import time
from pathlib import Path

import pytest

from layerscope.errors import Cancelled, UsageError
from layerscope.filesystem import search
from layerscope.images.layer_bytes import read_layer
from layerscope.images.progress import Progress
from layerscope.images.save_stream import SaveStream
from layerscope.reports.find_report import finder
from tests.archives import entry, plain_tar, saved
from tests.unit.archives import changeset, layer, seekable, write
from tests.unit.command import run

MIB = 1 << 20
NOISE = random.Random(1).randbytes(4 * MIB)


class StopsAt(Progress):
    """Progress that is cancelled when so many bytes lie behind."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def advance(self, done: int) -> None:
        if done > self.limit:
            self.cancel()
        super().advance(done)


@pytest.mark.parametrize(
    "plain",
    [layer(("a", b"1")) + NOISE, layer(("big", NOISE))],
    ids=["behind the end of the tar", "in a file"],
)
def test_a_compressed_layer(plain: bytes) -> None:
    data = gzip.compress(plain, 1)
    progress = StopsAt(2 * MIB)
    with seekable(data) as source, pytest.raises(Cancelled):
        read_layer(source, 0, len(data), file="f", name="n", advance=progress.advance)
    assert 2 * MIB < progress.done < 3.5 * MIB


@pytest.mark.parametrize(
    "data",
    [plain_tar([("a/layer.tar", layer(("big", NOISE)))]), plain_tar([("x", b"1")]) + NOISE],
    ids=["in a file", "behind the end of the tar"],
)
def test_an_export(data: bytes) -> None:
    progress = StopsAt(2 * MIB)
    with pytest.raises(Cancelled):
        list(SaveStream(io.BytesIO(data).read, "f").entries(progress))
    assert 2 * MIB < progress.done < 3.5 * MIB


def test_a_regular_expression_that_takes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_SECONDS", 0.2)
    found = finder(r"(a+)+b", regex=True)
    start = time.monotonic()
    with pytest.raises(UsageError, match="takes too long"):
        found(changeset(("a" * 60, b"")))
    assert time.monotonic() - start < 30
    # What is harmless is not in a hurry, there and elsewhere.
    assert found(changeset(("xaab", b""))) == [0]
    rows: list[list[int]] = []
    thread = threading.Thread(target=lambda: rows.append(found(changeset(("aab", b"")))))
    thread.start()
    thread.join()
    assert rows == [[0]]


def test_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(search, "MOST_SECONDS", 0.2)
    path = write(tmp_path / "i.tar", saved(entry(b"a" * 60) + bytes(1024)))
    outcome = run(capsys, "find", "--regex", "(a+)+b", path)
    assert outcome.code == 2
    assert "The pattern takes too long to match." in outcome.err
