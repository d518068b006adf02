"""Pane 4: the image, the layer under the cursor, and where bytes are wasted."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from layerscope.filesystem.change import Change
from layerscope.text import docker_age, docker_size, one_line, visible
from layerscope.tui.format import Line, bar, cut, left, percent, plural, right, wrap
from layerscope.tui.glyphs import ELLIPSIS, HORIZONTAL
from layerscope.tui.theme import Palette
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.filesystem.waste import Waste
    from layerscope.images.image import Image
    from layerscope.images.packages import Glance
    from layerscope.tui.steps import Step

_LABEL = 11
_MOST = 200
_COMMAND_LINES = 3


class Details(RowView):
    """Facts, in lines that are made for the width of the pane."""

    HAS_CURSOR = False

    def __init__(self) -> None:
        super().__init__("details")
        self._image: Image | None = None
        self._step: Step | None = None
        self._facts: tuple[int, dict[Change, int]] | None = None
        self._waste: Waste | None = None
        self._glance: Glance | None = None
        self._problem = ""
        self._now = 0.0
        self._made: list[Line] = []
        self._made_for: tuple[int, str] = (0, "")

    def set_image(self, image: Image | None, now: float) -> None:
        """Shows an image; what was known of another one is forgotten."""
        self._image = image
        self._now = now
        self._step = self._facts = self._waste = self._glance = None
        self._problem = ""
        self.top = 0
        self._update()

    def update_image(self, image: Image) -> None:
        """Shows what has become known of the same image."""
        self._image = image
        self._update()

    def set_step(self, step: Step | None, facts: tuple[int, dict[Change, int]] | None) -> None:
        """Shows a step, and size and counts of its layer if that has arrived."""
        if (step, facts) != (self._step, self._facts):
            self._step, self._facts = step, facts
            self._update()

    def set_glance(self, glance: Glance | None) -> None:
        """Shows what the layer did to packages, once that is known."""
        if glance is not self._glance:
            self._glance = glance
            self._update()

    def set_waste(self, waste: Waste | None, problem: str) -> None:
        """Shows what is wasted, and why not all of the image could be read."""
        self._waste = waste
        self._problem = problem
        self._update()

    def row(self, row: int, width: int) -> Line:
        """A line."""
        self._make(width)
        return self._made[row] if row < len(self._made) else []

    def on_resize(self) -> None:
        """Wraps the lines anew."""
        self._update()
        super().on_resize()

    def _update(self) -> None:
        self._made_for = (0, "")
        # A cell is kept for the scroll bar, so that lines need not be wrapped twice.
        self._make(max(1, self.size.width - 1))
        self.set_rows(len(self._made))
        self.set_texts("4 Details", "")

    def _make(self, width: int) -> None:
        width = max(1, self.size.width - 1)
        if self._made_for == (width, self.app.theme):
            return
        self._made_for = (width, self.app.theme)
        colors = self.ink
        self._made = []
        if self._image is None:
            return
        if self._problem:
            self._made += [
                [(f" {text}", colors.warning)] for text in wrap(self._problem, width - 2)
            ]
            self._made.append([])
        self._made += self._image_lines(self._image, width, colors)
        if self._step is not None:
            self._made.append([])
            self._made += self._step_lines(self._image, self._step, width, colors)
        if self._waste is not None and self._waste.count:
            self._made.append([])
            self._made += self._waste_lines(self._waste, width, colors)

    def _image_lines(self, image: Image, width: int, colors: Palette) -> list[Line]:
        lines: list[Line] = [[(" Image", colors.strong)]]
        lines += _fact("Reference", visible(image.reference), width, colors)
        lines += _fact("Id", visible(image.id), width, colors)
        platform = "/".join(part for part in (image.os, image.architecture) if part)
        lines += _fact("Platform", visible(platform) or "unknown", width, colors)
        if image.platforms[1:]:
            from layerscope.images.platforms import other_platforms

            lines += _fact("Also for", other_platforms(image), width, colors)
        lines += _fact("Created", _created(image.created, self._now), width, colors)
        waste = self._waste
        if waste is None:
            return lines
        lines += _fact("Size", docker_size(waste.size), width, colors)
        lines += _fact("Visible", docker_size(waste.visible_size), width, colors)
        lines += _fact("Wasted", docker_size(waste.wasted_size), width, colors)
        filled = bar(waste.efficiency, 10).rstrip()
        label = (f" {left('Efficiency', _LABEL)}", colors.muted)
        lines.append([label, (f"{left(percent(waste.efficiency), 6)} ", colors.text)])
        lines[-1] += [(filled, colors.accent), (HORIZONTAL * (10 - len(filled)), colors.faint)]
        return lines

    def _step_lines(self, image: Image, step: Step, width: int, colors: Palette) -> list[Line]:
        # Each fact stays on its line, whatever the layer, so that only what differs is sent.
        if step.layer is None:
            lines: list[Line] = [[(" Empty layer", colors.strong)]]
            lines += _fact("Size", "0B", width, colors)
            lines += _fact("Changes", "The configuration only", width, colors)
            lines += _fact("Packages", "none changed", width, colors)
            lines += _fact("Rights", "none", width, colors)
            ids = ("none", "none")
        else:
            layer = image.layers[step.layer]
            lines = [[(f" Layer {step.layer}", colors.strong)]]
            if layer.missing:
                stored = docker_size(layer.stored_size or 0)
                lines += _fact("Size", f"missing, {stored} as it is stored", width, colors)
                lines += _fact("Changes", f"unknown: {layer.missing}", width, colors)
            elif self._facts is not None:
                size, counts = self._facts
                lines += _fact("Size", docker_size(size), width, colors)
                lines.append(_counts(counts, colors))
            lines += self._glance_lines(step.layer, width, colors)
            ids = (layer.diff_id, layer.digest or "not known")
        base = image.layers[0] if image.layers else None
        usual = ("", "") if base is None else (base.diff_id, base.digest or "")
        for label, text, other in zip(("Diff id", "Digest"), ids, usual, strict=True):
            fact = _fact(label, visible(text), width, colors)
            lines += fact + [[]] * (len(_fact("", visible(other), width, colors)) - len(fact))
        command = _fact("Command", one_line(step.created_by or step.instruction), width, colors)
        # What follows a short command stays where it is, and need not be sent again.
        lines += command + [[]] * (_COMMAND_LINES - len(command))
        return lines

    def _glance_lines(self, layer: int, width: int, colors: Palette) -> list[Line]:
        """What the layer did to packages: a line for each, which waits for what is not known."""
        unknown = self._image is not None and self._image.layers[layer].missing
        facts = [(label, "unknown" if unknown else ELLIPSIS) for label in ("Packages", "Rights")]
        if not unknown and self._glance is not None and self._glance.layer == layer:
            from layerscope.reports.packages_report import glance_facts

            facts = glance_facts(self._glance)
        room = max(8, width - _LABEL - 2)
        return [
            [(f" {left(label, _LABEL)}", colors.muted), (cut(text, room), colors.text)]
            for label, text in facts
        ]

    def _waste_lines(self, waste: Waste, width: int, colors: Palette) -> list[Line]:
        lines: list[Line] = [
            [(" Wasted, largest first", colors.strong)],
            [(f" {right('Size', 8)}  {'Copies':>6}  {'Hidden by':>9}  Path", colors.muted)],
        ]
        for path in waste.largest(_MOST):
            hider = "same" if path.hidden_by is None else str(path.hidden_by)
            facts = f" {right(docker_size(path.size), 8)}  {path.versions:>6}  {hider:>9}  "
            room = max(8, width - len(facts))
            name = _tail(f"/{visible(path.path)}", room)
            lines.append([(facts, colors.muted), (name, colors.text)])
        if waste.count > _MOST:
            lines.append([(f" and {plural(waste.count - _MOST, 'more path')}", colors.muted)])
        return lines


def _fact(label: str, value: str, width: int, colors: Palette) -> list[Line]:
    room = max(8, width - _LABEL - 2)
    lines: list[Line] = []
    for text in wrap(value, room):
        name = left("" if lines else label, _LABEL)
        lines.append([(f" {name}", colors.muted), (text, colors.text)])
    return lines


def _counts(counts: dict[Change, int], colors: Palette) -> Line:
    line: Line = [(f" {left('Changes', _LABEL)}", colors.muted)]
    parts = [
        (counts.get(change, 0), change.label, style)
        for change, style in (
            (Change.ADDED, colors.added),
            (Change.MODIFIED, colors.modified),
            (Change.REMOVED, colors.removed),
        )
        if counts.get(change, 0)
    ]
    for place, (number, label, style) in enumerate(parts):
        line.append((f"{', ' if place else ''}{number:,} {label}", style))
    return line if parts else [*line, ("none", colors.text)]


def _created(created: str | None, now: float) -> str:
    try:
        moment = datetime.fromisoformat((created or "").replace("Z", "+00:00"))
    except ValueError:
        return visible(created or "unknown")
    if moment.tzinfo is None or moment.year < 1971:
        return "not recorded"
    return f"{moment:%Y-%m-%d %H:%M} ({docker_age(moment.timestamp(), now)})"


def _tail(path: str, width: int) -> str:
    """The end of a path says more than its beginning."""
    from rich.cells import cell_len

    if cell_len(path) <= width:
        return path
    while path and cell_len(path) > width - 1:
        path = path[max(1, len(path) - width) :] if len(path) > 2 * width else path[1:]
    return f"{ELLIPSIS}{path}"
