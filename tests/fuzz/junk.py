"""What others may answer: valid documents with parts replaced, and bytes that are no documents."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

_DEEP = "@deep@"  # Stands for what `json` itself could not write.
_HUGE = "@huge@"

#: Values of every type, most of them at an edge.
JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1 << 31, 1 << 63, -(1 << 64), 1.5, -0.0, 1e308, 253402300800),
        *(float("nan"), float("inf"), "", "x", "a:b", "\ud800", "\x1b]0;x\x07", "\0", "é" * 300),
        *("../../etc", "/", "sha256:", "sha256:" + "0" * 64, "9" * 5000, "2020-13-45T99:99:99Z"),
        *([], {}, [None], [[]], [1, "a"], {"": None}, {"Id": 1}, [{}], _DEEP, _HUGE),
    ]
)


@st.composite
def damaged(draw: st.DrawFn, document: object) -> bytes:
    """The JSON of a document of which a few parts were replaced or removed."""
    root = [copy.deepcopy(document)]
    for _ in range(draw(st.integers(1, 3))):
        place: Any = root
        key: Any = 0
        while isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 4)):
            place = place[key]
            keys = sorted(place) if isinstance(place, dict) else [*range(len(place))]
            key = draw(st.sampled_from(keys))
        if place is not root and draw(st.booleans()):
            del place[key]
        else:
            place[key] = copy.deepcopy(draw(JUNK))
    text = json.dumps(root[0])
    text = text.replace(f'"{_DEEP}"', "[" * 100_000 + "]" * 100_000).replace(f'"{_HUGE}"', "1e999")
    return text.encode()


@st.composite
def damaged_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes that were cut, or changed in some places."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, 4)) if data else 0):
        changed[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    end = draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))
    return bytes(changed[:end]) + draw(st.binary(max_size=8))
