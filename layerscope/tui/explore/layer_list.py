"""Pane 2: the layers as a stack, the base at the bottom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from layerscope.filesystem.change import Change
from layerscope.text import docker_size
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Cell, Column, ColumnList
from layerscope.tui.rows.format import bar, count, percent, plural
from layerscope.tui.terminal.glyphs import DOT, EDGE, SEPARATOR

if TYPE_CHECKING:
    from layerscope.filesystem.stack import Stack
    from layerscope.filesystem.waste import Waste
    from layerscope.images.image import Image

_BAR = 8
#: The least widths for the waste, the bar, and the counts.
_WITH_WASTE, _WITH_BAR, _WITH_COUNTS = 46, 66, 84

#: Size, changes, and suspicious findings of a layer.
LayerFacts: TypeAlias = tuple[int, dict[Change, int], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Step:
    layer: int | None  # Number of the layer; None for a history entry without one.
    instruction: str  # The instruction in Dockerfile form, on one line.
    missing: str = ""  # Why the layer is missing, or "".
    unknown: bool = False  # Whether it created a layer, but it is not known which.


def steps_of(image: Image) -> list[Step]:
    """Returns the steps of an image, oldest first; see `history_of`."""
    # Not at the top: the first paint comes before any image.
    from layerscope.images.image import history_of, maker

    steps = []
    for entry, layer in history_of(image):
        own = "" if entry is None else maker(entry.instruction, entry.comment)
        text = own if layer is None else image.layers[layer].made_by
        missing = "" if layer is None else image.layers[layer].missing
        unknown = layer is None and entry is not None and not entry.empty_layer
        steps.append(Step(layer, text, missing, unknown))
    return steps


@dataclass(frozen=True, slots=True)
class _Row:
    """A step, with its layer's size, share of the largest, waste and changes once known."""

    step: Step
    text: str
    size: int | None = None
    share: float = 0.0
    wasted: int | None = None
    counts: dict[Change, int] | None = None
    suspicious: tuple[str, ...] = ()
    state: str = ""

    @property
    def known(self) -> bool:
        return self.size is not None and not self.step.missing


def _number(row: _Row) -> Cell:
    return (DOT, "faint") if row.step.layer is None else (str(row.step.layer), "text")


def _size(row: _Row) -> Cell:
    if row.step.layer is None:
        return "", "faint"
    if row.size is None or row.step.missing:
        return "missing" if row.step.missing else row.state, "faint"
    return docker_size(row.size), "text"


def _share(row: _Row) -> Cell:
    return bar(row.share, _BAR) if row.known else "", "accent"


def _wasted(row: _Row) -> Cell:
    if not row.known or row.wasted is None:
        return "", "faint"
    return (docker_size(row.wasted), "warning") if row.wasted else (DOT, "faint")


def _changes(change: Change, style: str) -> Callable[[_Row], Cell]:
    def cell(row: _Row) -> Cell:
        if not row.known or row.counts is None:
            return "", "faint"
        number = row.counts.get(change, 0)
        return (count(number), style) if number else (DOT, "faint")

    return cell


def _instruction(row: _Row) -> Cell:
    return row.text, "faint" if row.step.layer is None else "text" if row.known else "muted"


class LayerList(ColumnList[_Row], screen="main", heading="2 Layers"):
    """The steps of an image, the newest at the top.

    The cursor is on the layer that the file tree shows. In a merged view, the left edge is solid
    for it and all layers below.
    """

    GAP = 1
    #: Few, since a move changes the other panes too.
    CURSOR = 16
    KEYS = (
        Key("layers.files", "enter", "choose", "Files", "Go to the files of the layer", hint="*"),
        Key(
            "layers.squash",
            "K",
            "screen.visit('squash')",
            "Squash…",
            "Squash this layer and all above it into one, after a preview",
        ),
    )
    COLUMNS: ClassVar[Sequence[Column[_Row]]] = (
        Column("layer", "#", 3, _number, "right", kept=True),
        Column("size", "Size", 8, _size, "right", kept=True),
        Column("share", "", _BAR, _share, from_width=_WITH_BAR),
        Column("wasted", "Wasted", 7, _wasted, "right", from_width=_WITH_WASTE),
        *(
            Column(
                change.label,
                change.label[0].upper(),
                5,
                _changes(change, change.label),
                "right",
                from_width=_WITH_COUNTS,
                style=change.label,
            )
            for change in (Change.ADDED, Change.MODIFIED, Change.REMOVED)
        ),
        Column("instruction", " Instruction", 8, _instruction, flex=True),
    )

    def __init__(self) -> None:
        super().__init__("layers", self.HEADING)
        self._arrived: set[int] = set()
        self._ended = False
        self._union = False

    @property
    def step(self) -> Step | None:
        return None if self.item is None else self.item.step

    def set_steps(self, steps: list[Step]) -> None:
        """Shows the steps of an image before its layers are read."""
        self._arrived = set()
        self._ended = False
        self.top = 0
        rows = [_Row(step, f" {step.instruction}") for step in reversed(steps)]
        self._update(rows, len(steps) - 1)

    def update_steps(self, steps: list[Step]) -> None:
        """Updates the same steps when a layer turns out to be missing."""
        rows = zip(self.items, reversed(steps), strict=True)
        self._update([replace(row, step=step) for row, step in rows])

    def set_stack(self, stack: Stack, arrived: set[int], ended: bool) -> None:
        """Shows the layers from the base up to the first missing one; `ended` if it is final."""
        # Not at the top: the first paint comes before any stack.
        from layerscope.filesystem.suspicious import suspicions

        self._arrived = arrived
        self._ended = ended
        sizes = [stack.layer_size(layer) for layer in range(stack.height)]
        largest = max(sizes, default=0) or 1

        def known(row: _Row) -> _Row:
            layer = row.step.layer
            if layer is None or layer >= stack.height:
                return replace(row, size=None, counts=None)
            size = sizes[layer]
            return replace(
                row,
                size=size,
                share=size / largest,
                counts=stack.counts(layer),
                suspicious=tuple(suspicions(stack, layer)),
            )

        self._update([known(row) for row in self.items])

    def set_waste(self, waste: Waste | None) -> None:
        """Shows how many bytes of each layer others hide, once known."""
        known = () if waste is None else waste.layer_wasted

        def wasted(row: _Row) -> _Row:
            layer = row.step.layer
            found = known[layer] if layer is not None and layer < len(known) else None
            return replace(row, wasted=found)

        self._update([wasted(row) for row in self.items])

    def _update(self, rows: list[_Row], cursor: int | None = None) -> None:
        layers = {row.step.layer for row in rows} - self._arrived
        first = min((layer for layer in layers if layer is not None), default=-1)

        def stated(row: _Row) -> _Row:
            reading = "reading…" if row.step.layer == first else "waiting"
            return replace(row, state="missing" if self._ended else reading)

        self.show([stated(row) for row in rows], self.cursor if cursor is None else cursor)
        self._show_count()

    def set_union(self, union: bool) -> None:
        self._union = union
        self.redraw()

    def select_layer(self, layer: int) -> None:
        for row, item in enumerate(self.items):
            if item.step.layer == layer:
                self.move_to(row)

    def facts(self, layer: int) -> LayerFacts | None:
        """Returns a layer's size, changes and suspicious findings, once known."""
        for row in self.items:
            if row.step.layer == layer and row.size is not None and row.counts is not None:
                return row.size, row.counts, row.suspicious
        return None

    def move_to(self, row: int) -> None:
        """Moves the cursor and the left edge."""
        super().move_to(row)
        if self._union:
            self.redraw()

    def mark(self, row: int) -> Cell:
        inside = self._union and row >= self.cursor
        inside = inside and self.items[self.cursor].step.layer is not None
        return EDGE if inside else " ", "accent"

    def _show_count(self) -> None:
        rows = [row for row in self.items if row.step.layer is not None]
        known = [row for row in rows if row.known]
        text = plural(len(rows), "layer")
        if len(known) < len(rows):
            text = f"{len(known)} of {text}"
        if known:
            size = sum(row.size or 0 for row in known)
            text += f"{SEPARATOR}{docker_size(size)}"
            wasted = sum(row.wasted or 0 for row in known)
            if wasted:
                text += f"{SEPARATOR}{docker_size(wasted)} wasted, {percent(wasted / size)}"
        self.set_status(text if self.items else "")
