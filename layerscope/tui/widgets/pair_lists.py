"""What two images have beside each other: values of their configuration, and layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from layerscope.text import docker_size, one_line
from layerscope.tui.format import Line, cut, left, right
from layerscope.tui.glyphs import TO, VERTICAL
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.images.image import Image
    from layerscope.reports.diff_report import LayerPair


class ConfigList(RowView):
    """Values that differ, each with its key."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "choose",
            "Values",
            key_display="enter",
            tooltip="Show both values whole",
            id="config.values",
        ),
    ]

    def __init__(self) -> None:
        super().__init__("config")
        self._values: Sequence[tuple[str, str | None, str | None]] = ()

    def set_values(self, values: Sequence[tuple[str, str | None, str | None]]) -> None:
        """Shows values; texts must be safe to show, and are None where there is nothing."""
        self._values = values
        self.set_rows(len(values))

    @property
    def value(self) -> tuple[str, str | None, str | None] | None:
        """Key and values under the cursor."""
        return self._values[self.cursor] if self._values else None

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now."""
        return "No value differs." if action == "choose" and not self._values else ""

    def row(self, row: int, width: int) -> Line:
        """A value that differs, told by a letter too: added, removed or modified in B."""
        colors = self.ink
        key, one, other = self._values[row]
        change = 1 if one is None else 3 if other is None else 2
        names = max((len(name) for name, _, _ in self._values), default=0)
        room = min(names, max(12, width // 3))
        line: Line = [
            (f" {' AMR'[change]} ", colors.change(change)),
            (left(key, room) + "  ", colors.text),
        ]
        rest = max(1, width - room - 5)
        if one is None or other is None:
            return [*line, (cut(one or other or '""', rest), colors.change(change))]
        half = (rest - 3) // 2
        # Each may have what the other leaves.
        size = max(half, rest - 3 - len(other))
        text = cut(one, size)
        after = cut(other, max(1, rest - 3 - len(text)))
        return [*line, (text, colors.removed), (f" {TO} ", colors.muted), (after, colors.added)]


class LayerPairs(RowView):
    """The layers of both images side by side, the newest at the top."""

    HEADER_ROWS = 1

    def __init__(self) -> None:
        super().__init__("pairs")
        self._pairs: Sequence[LayerPair] = ()
        self._images: tuple[Image, Image] | None = None
        self._sizes: tuple[Mapping[int, int], Mapping[int, int]] = ({}, {})

    def set_pairs(
        self,
        pairs: Sequence[LayerPair],
        images: tuple[Image, Image],
        sizes: tuple[Mapping[int, int], Mapping[int, int]],
    ) -> None:
        """Shows layers.

        Args:
            pairs: What stands beside what, base first.
            images: Both images.
            sizes: Bytes of their layers, as far as they are known.
        """
        self._pairs = pairs[::-1]
        self._images, self._sizes = images, sizes
        self.set_rows(len(pairs))

    def header(self, row: int, width: int) -> Line:
        """Which image is where."""
        half = (width - 3) // 2
        title = left(f"  {right('#', 3)} {right('Size', 7)}  A: instruction", half)
        other = f" {right('#', 3)} {right('Size', 7)}  B: instruction"
        return [(title, self.ink.muted), ("   ", self.ink.muted), (other, self.ink.muted)]

    def row(self, row: int, width: int) -> Line:
        """Two layers, or one that both have."""
        colors = self.ink
        pair = self._pairs[row]
        half = (width - 3) // 2
        if pair.shared and pair.first is not None:
            names = str(pair.first)
            if pair.second != pair.first:
                names = f"{pair.first}/{pair.second}"
            size, text = self._facts(0, pair.first)
            head = f"= {right(names, 3)} {right(size, 7)}  "
            return [(head, colors.muted), (cut(text, width - len(head)), colors.muted)]
        line = self._half(0, pair.first, half - 1, colors.removed)
        return [
            ("  " if pair.first is None else "- ", colors.removed),
            *line,
            (f"{VERTICAL}", colors.faint),
            (" " if pair.second is None else "+", colors.added),
            *self._half(1, pair.second, width - half - 3, colors.added),
        ]

    def _half(self, side: int, layer: int | None, room: int, style: object) -> Line:
        colors = self.ink
        if layer is None:
            return [(" " * room, colors.text)]
        size, text = self._facts(side, layer)
        head = f"{right(str(layer), 3)} {right(size, 7)}  "
        return [(head, colors.text), (left(text, max(0, room - len(head))), colors.text)]

    def _facts(self, side: int, layer: int) -> tuple[str, str]:
        size = self._sizes[side].get(layer)
        text = ""
        if self._images is not None:
            text = one_line(self._images[side].layers[layer].instruction)
        return ("" if size is None else docker_size(size)), text
