"""The configuration values and the layers of two images side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from layerscope.filesystem.change import Change
from layerscope.text import docker_size
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Cell, Column, ColumnList
from layerscope.tui.rows.format import cells, cut
from layerscope.tui.terminal.glyphs import TO, VERTICAL

if TYPE_CHECKING:
    from layerscope.images.image import Image
    from layerscope.reports.diff_report import LayerPair


class Value(NamedTuple):
    """A configuration value that differs. Its texts are safe to show."""

    key: str
    one: str  # The value in A.
    other: str  # The value in B.
    change: Change  # Added if A has no value, removed if B has none.


def _both_values(value: Value, width: int) -> Sequence[Cell]:
    one, other = value.one, value.other
    arrow = f" {TO} "
    room = width - len(arrow)
    # Each may use the room that the other leaves.
    one = cut(one, max(room // 2, room - cells(other)))
    return [(one, "removed"), (arrow, "muted"), (cut(other, room - cells(one)), "added")]


class ConfigList(ColumnList[Value], screen="compare", heading="Two images"):
    HEADER_ROWS = 0

    def _no_value(self) -> str:
        return "" if self.items else "No value differs."

    KEYS = (
        Key("config.values", "enter", "choose", "Values", "Show both values", _no_value, "config"),
    )
    NAME = "key"
    COLUMNS: ClassVar[tuple[Column[Value], ...]] = (
        Column("change", "", 1, lambda value: (value.change.letter, value.change.label)),
        Column("key", "Key", 12, lambda value: (value.key, "text"), grow=True, share=0.33),
        Column("values", "", 4, lambda _: ("", "text"), flex=True, pieces=_both_values),
    )

    def __init__(self) -> None:
        super().__init__("config", "1 Configuration")


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer of one of the images; its texts are safe to show."""

    index: int | None = None
    size: str = ""
    instruction: str = ""

    @property
    def number(self) -> str:
        return "" if self.index is None else str(self.index)


@dataclass(frozen=True, slots=True)
class _Layers:
    shared: bool
    one: _Layer
    other: _Layer

    def styled(self, text: str) -> Cell:
        return text, "muted" if self.shared else "text"


def _sides(side: Callable[[_Layers], _Layer], name: str) -> tuple[Column[_Layers], ...]:
    return (
        Column(
            f"{name}.number", "#", 3, lambda row: row.styled(side(row).number), "right", kept=True
        ),
        Column(
            f"{name}.size", "Size", 7, lambda row: row.styled(side(row).size), "right", kept=True
        ),
        Column(
            f"{name}.instruction",
            f"{name}: instruction",
            4,
            lambda row: row.styled(side(row).instruction),
            flex=True,
            from_width=44,
        ),
    )


def _sign(row: _Layers) -> Cell:
    if row.shared:
        return "=", "muted"
    return ("+", "added") if row.other.number else (" ", "text")


class LayerPairs(ColumnList[_Layers], screen="compare", heading="Two images"):
    """The layers of both images side by side, the newest at the top."""

    MARK_WIDTH = 2
    GAP = 1
    COLUMNS = (
        *_sides(lambda row: row.one, "A"),
        Column("line", VERTICAL, 1, lambda _: (VERTICAL, "faint"), style="faint"),
        Column("sign", "", 1, _sign),
        *_sides(lambda row: row.other, "B"),
    )

    KEYS = (
        common.open_key(
            "pairs.open",
            "Open",
            "Open the image at the layer: B, or A where B has none",
            "There are no layers here.",
            "pairs",
        ),
    )

    def __init__(self) -> None:
        super().__init__("pairs", "2 Layers")

    @property
    def chosen_layer(self) -> tuple[int, int] | None:
        """Returns which image to open, 0 for A or 1 for B, and at which layer."""
        row = self.item
        if row is None:
            return None
        sides = ((1, row.other.index), (0, row.one.index))
        return next(((side, index) for side, index in sides if index is not None), None)

    def mark(self, row: int) -> Cell:
        layers = self.items[row]
        if layers.shared:
            return "=", "muted"
        return ("-", "removed") if layers.one.number else (" ", "text")

    def show_pairs(
        self,
        pairs: Sequence[LayerPair],
        images: tuple[Image, Image],
        sizes: Sequence[Mapping[int, int]],
    ) -> None:
        """Shows layers side by side, the base first, with the known sizes."""

        def layer(side: int, number: int | None) -> _Layer:
            if number is None:
                return _Layer()
            size = sizes[side].get(number)
            instruction = images[side].layers[number].made_by
            return _Layer(number, "" if size is None else docker_size(size), instruction)

        rows = [_Layers(pair.shared, layer(0, pair.first), layer(1, pair.second)) for pair in pairs]
        self.show(rows[::-1], self.cursor)
