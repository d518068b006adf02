"""Pane 2: the layers, drawn as the stack that they are, the base at the bottom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType

from layerscope.filesystem.change import Change
from layerscope.text import docker_size, one_line
from layerscope.tui.format import Line, bar, count, cut, left, plural, right
from layerscope.tui.glyphs import DOT, EDGE, SEPARATOR
from layerscope.tui.steps import Step
from layerscope.tui.theme import Palette
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.filesystem.stack import Stack

_BAR = 8
#: Cells from which there is room for the bar, and for the counts.
_WITH_BAR, _WITH_COUNTS = 66, 46
#: What is shown of a layer that is not there yet, by state.
_STATES = {"reading": "reading…", "waiting": "waiting", "missing": "missing"}
_NONE = right(DOT, 6)


def _counted(colors: Palette) -> list[tuple[Change, Style]]:
    return [
        (Change.ADDED, colors.added),
        (Change.MODIFIED, colors.modified),
        (Change.REMOVED, colors.removed),
    ]


@dataclass(frozen=True, slots=True)
class _Facts:
    size: int
    counts: dict[Change, int]


class LayerList(RowView):
    """The steps of an image, the newest at the top.

    The edge at the left is solid for the layers that the file tree shows: one layer, or it and all
    below it.
    """

    HEADER_ROWS = 1
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "choose",
            "Files",
            key_display="enter",
            tooltip="Go to the files of the layer",
            id="layers.files",
        ),
    ]

    def __init__(self) -> None:
        super().__init__("layers")
        self._steps: list[Step] = []
        self._texts: list[str] = []
        self._facts: dict[int, _Facts] = {}
        self._largest = 0
        self._arrived: set[int] = set()
        self._ended = False
        self._union = False

    @property
    def step(self) -> Step | None:
        """The step under the cursor."""
        return self._steps[self.cursor] if self._steps else None

    def ready(self, layer: int) -> bool:
        """Whether a layer, and all below it, have arrived."""
        return layer in self._facts

    def set_steps(self, steps: list[Step]) -> None:
        """Shows the steps of an image of which nothing has been read yet.

        Args:
            steps: The steps, oldest first.
        """
        self._steps = steps[::-1]
        self._texts = [one_line(step.instruction) for step in self._steps]
        self._facts = {}
        self._arrived = set()
        self._largest = 0
        self._ended = False
        self.top = 0
        self.set_rows(len(steps), len(steps) - 1)
        self._tell()

    def update_steps(self, steps: list[Step]) -> None:
        """Shows what has become known of the same steps: that a layer is missing."""
        self._steps = steps[::-1]
        self.redraw()
        self._tell()

    def set_stack(self, stack: Stack, arrived: set[int], ended: bool) -> None:
        """Shows how far the layers have been read.

        Args:
            stack: The layers from the base up to the first that is missing.
            arrived: All layers that have arrived.
            ended: Whether no more will arrive.
        """
        self._facts = {
            layer: _Facts(stack.layer_size(layer), stack.counts(layer))
            for layer in range(stack.height)
        }
        self._largest = max((facts.size for facts in self._facts.values()), default=0)
        self._arrived = arrived
        self._ended = ended
        self.redraw()
        self._tell()

    def set_union(self, union: bool) -> None:
        """Says whether the tree shows the union or one layer."""
        self._union = union
        self.redraw()

    def select_layer(self, layer: int) -> None:
        """Puts the cursor on a layer."""
        for row, step in enumerate(self._steps):
            if step.layer == layer:
                self.move_to(row)

    def facts(self, layer: int) -> tuple[int, dict[Change, int]] | None:
        """Size and counts of a layer that has arrived."""
        facts = self._facts.get(layer)
        return None if facts is None else (facts.size, facts.counts)

    def move_to(self, row: int) -> None:
        """Moves the cursor; the edge at the left follows it."""
        super().move_to(row)
        if self._union:
            self.redraw()

    def header(self, row: int, width: int) -> Line:
        """The names of the columns."""
        colors = self.ink
        spare = " " * (_BAR + 1) if width >= _WITH_BAR else ""
        line = [(f"  {right('#', 3)} {right('Size', 7)} {spare}", colors.muted)]
        if width >= _WITH_COUNTS:
            line += [
                (right("A", 6), colors.added),
                (right("M", 6), colors.modified),
                (right("R", 6), colors.removed),
            ]
        return [*line, ("  Instruction", colors.muted)]

    def row(self, row: int, width: int) -> Line:
        """A step."""
        colors = self.ink
        step = self._steps[row]
        text = self._texts[row]
        wide, counts = width >= _WITH_BAR, width >= _WITH_COUNTS
        columns = 16 + (_BAR + 1 if wide else 0) + (18 if counts else 0)
        edge = (f"{EDGE} " if self._inside(row) else "  ", colors.accent)
        if step.layer is None:
            none = left(right(DOT, 3), columns - 2)
            return [edge, (none + cut(text, width - columns), colors.faint)]
        name = (right(str(step.layer), 3) + " ", colors.text)
        facts = self._facts.get(step.layer)
        if facts is None or step.missing:
            state = _STATES["missing" if step.missing else self._state(step.layer)]
            blank = left(right(state, 7 + 1 + len("reading")), columns - 6)
            return [edge, name, (blank, colors.faint), (cut(text, width - columns), colors.muted)]
        line: Line = [edge, name, (right(docker_size(facts.size), 7) + " ", colors.text)]
        if wide:
            share = facts.size / self._largest if self._largest else 0.0
            line.append((bar(share, _BAR) + " ", colors.accent))
        for change, style in _counted(colors) if counts else ():
            number = facts.counts.get(change, 0)
            line.append((right(count(number), 6), style) if number else (_NONE, colors.faint))
        line.append(("  " + cut(text, width - columns), colors.text))
        return line

    def cursor_span(self, width: int) -> tuple[int, int]:
        """The number and the size: what is behind them need not be sent again at each move."""
        return 0, 14

    def _inside(self, row: int) -> bool:
        """Whether the file tree shows this step."""
        if self._steps[self.cursor].layer is None:
            return False
        return row >= self.cursor if self._union else row == self.cursor

    @property
    def _missing(self) -> list[Step]:
        return [step for step in self._steps if step.missing]

    def _state(self, layer: int) -> str:
        if self._ended:
            return "missing"
        first = next((n for n in range(len(self._steps)) if n not in self._arrived), -1)
        return "reading" if layer == first else "waiting"

    def _tell(self) -> None:
        layers = sum(step.layer is not None for step in self._steps)
        ready = len(self._facts) - sum(step.layer in self._facts for step in self._missing)
        text = plural(layers, "layer")
        if ready < layers:
            text = f"{ready} of {text}"
        if ready:
            text += f"{SEPARATOR}{docker_size(sum(facts.size for facts in self._facts.values()))}"
        self.set_texts("2 Layers", text if self._steps else "")
