"""Long work can be cancelled in the middle, wherever that is."""

from __future__ import annotations

import gzip
import io
import random

import pytest

from layerscope.errors import Cancelled
from layerscope.images.archives.save_stream import SaveStream
from layerscope.images.layer_stream import read_layer
from layerscope.images.progress import Progress
from tests.archives import layer, plain_tar, seekable

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
