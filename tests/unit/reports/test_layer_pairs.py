"""The layers of two images side by side."""

from __future__ import annotations

import pytest

from layerscope.images.image import Image, Layer
from layerscope.reports.diff_report import pair_layers


def image(*layers: str) -> Image:
    """Layers as `diff_id instruction`."""
    made = tuple(
        Layer(index, text.split(" ", 1)[0], None, text.split(" ", 1)[1])
        for index, text in enumerate(layers)
    )
    return Image("x:1", "sha256:1", "x", "linux", "amd64", None, {}, made, ())


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([], [], []),
        (["a ADD"], ["a ADD"], ["0=0"]),
        (["a ADD", "b RUN"], ["a ADD", "c RUN"], ["0=0", "1 1"]),
        (["a ADD", "b RUN x", "c COPY"], ["a ADD", "d COPY"], ["0=0", "1 -", "2 1"]),
        (["a ADD"], ["b ADD", "c RUN"], ["0 0", "- 1"]),
        (["a ADD", "b X", "z Z"], ["c Y", "d W", "z Z"], ["0 0", "1 1", "2=2"]),
        (["a A"], [], ["0 -"]),
        ([], ["a A"], ["- 0"]),
    ],
)
def test_which_layers_share_a_row(one: list[str], other: list[str], expected: list[str]) -> None:
    found = [
        f"{'-' if pair.first is None else pair.first}{'=' if pair.shared else ' '}"
        f"{'-' if pair.second is None else pair.second}"
        for pair in pair_layers(image(*one), image(*other))
    ]
    assert found == expected
