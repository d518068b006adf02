"""An engine's history has no layers: which entries made one is found, or left open."""

from __future__ import annotations

import pytest

from layerscope.images.answers import HistoryAnswer, Inspected, RootFs
from layerscope.images.described import described
from layerscope.images.image import NOT_IN_HISTORY

BASE = ("ADD base.tar /", 9)
RUN = ("RUN true", 0)
WORKDIR = ("/bin/sh -c #(nop) WORKDIR /srv", 0)
CMD = ('/bin/sh -c #(nop)  CMD ["sh"]', 0)


@pytest.mark.parametrize(
    ("entries", "layers", "made"),
    [
        ([BASE, CMD], 1, ["ADD base.tar /"]),
        ([BASE, RUN, CMD], 2, ["ADD base.tar /", "RUN true"]),
        ([BASE, RUN, WORKDIR], 2, ["ADD base.tar /", "RUN true"]),
        ([BASE, RUN, WORKDIR], 3, ["ADD base.tar /", "RUN true", "WORKDIR /srv"]),
        # One of the two made the second layer.
        ([BASE, WORKDIR, WORKDIR], 2, [NOT_IN_HISTORY] * 2),
        ([BASE, RUN], 3, [NOT_IN_HISTORY] * 3),
    ],
)
def test_the_entries_that_made_layers(
    entries: list[tuple[str, int]], layers: int, made: list[str]
) -> None:
    root = RootFs(layers=tuple(f"sha256:{number:064}" for number in range(layers)))
    inspected = Inspected(root=root)
    history = [HistoryAnswer(created_by=text, size=size) for text, size in reversed(entries)]
    image = described(inspected, history, "app:1", "app", "docker-daemon:app")
    assert [layer.made_by for layer in image.layers] == made
