"""Pane 4: the path and the layer under the cursor, the image, and wasted bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.style import Style

from layerscope.filesystem.change import Change
from layerscope.text import docker_age, docker_size, visible
from layerscope.tui.rows.facts import LABEL, Fact, MadeRows, fact_lines
from layerscope.tui.rows.format import Line, bar, cut, left, percent, plural, right, wrap
from layerscope.tui.terminal.glyphs import ELLIPSIS, HORIZONTAL
from layerscope.tui.terminal.theme import Palette

if TYPE_CHECKING:
    from layerscope.filesystem.waste import Waste
    from layerscope.filesystem.waste_causes import Causes
    from layerscope.images.files.packages import Glance
    from layerscope.images.image import Image
    from layerscope.tui.explore.layer_list import LayerFacts, Step

#: The most findings of a cause.
_MOST = 20
#: Lines of a command, unless the pane is alone on the screen.
_COMMAND_LINES = 3
#: The facts of a step without a layer, and of one whose layer is not known.
_NO_LAYER = {
    False: ("none", "0B", "0B", "configuration only", "none changed", "none", "none"),
    True: tuple(["not known"] * 7),
}
#: Lines about the path under the cursor, after the one with the path.
_FILE_LINES = 5
_SHOWN = (Change.ADDED, Change.MODIFIED, Change.REMOVED)


class Details(MadeRows):
    """Facts about the image and the layer under the cursor."""

    def __init__(self) -> None:
        super().__init__("details", "4 Details")
        self._image: Image | None = None
        self._step: Step | None = None
        self._facts: LayerFacts | None = None
        self._waste: Waste | None = None
        self._causes: Causes | None = None
        self._glance: Glance | None = None
        self._path = ""
        self._about_path: Sequence[tuple[str, str]] = ()
        self._about_files = False
        self._problem = ""
        self._now = 0.0

    def set_image(self, image: Image | None, now: float) -> None:
        """Shows an image, and forgets the previous one."""
        self._image = image
        self._now = now
        self._step = self._facts = self._waste = self._causes = self._glance = None
        self._path, self._about_path = "", ()
        self._problem = ""
        self.top = 0
        self.update()

    def update_image(self, image: Image) -> None:
        self._image = image
        self.update()

    def set_step(self, step: Step | None, facts: LayerFacts | None) -> None:
        """Shows a step, with the facts of its layer once read."""
        if (step, facts) != (self._step, self._facts):
            self._step, self._facts = step, facts
            self.update()

    def set_path(self, path: str, facts: Sequence[tuple[str, str]]) -> None:
        """Shows facts about a path, which must be safe to show; "" for none."""
        if (path, facts) != (self._path, self._about_path):
            self._path, self._about_path = path, facts
            self.update()

    def set_about_files(self, about_files: bool) -> None:
        """Begins with the path, or leaves it out while the user is in the layers."""
        if about_files != self._about_files:
            self._about_files = about_files
            self.top = 0
            self.update()

    def set_glance(self, glance: Glance | None) -> None:
        """Shows the layer's package changes once they are known."""
        if glance is not self._glance:
            self._glance = glance
            self.update()

    def set_waste(self, waste: Waste | None, problem: str) -> None:
        """Shows the waste, and why the image could not be read completely."""
        self._waste = waste
        self._problem = problem
        self.update()

    def set_causes(self, causes: Causes) -> None:
        """Shows the causes of waste once they are known."""
        self._causes = causes
        self.update()

    def lines(self, width: int) -> list[Line]:
        if self._image is None:
            return []
        colors = self.palette
        lines: list[Line] = []
        if self._problem:
            lines += [[(f" {text}", colors.warning)] for text in wrap(self._problem, width - 2)]
            lines.append([])
        if self._about_files:
            lines += [*self._file_lines(width, colors), []]
        if self._step is not None:
            lines += [*self._step_lines(self._image, self._step, width, colors), []]
        lines += self._image_lines(self._image, width, colors)
        if self._causes is not None and self._causes.wasted:
            lines += [[], *self._cause_lines(self._causes, width, colors)]
        return lines

    def _file_lines(self, width: int, colors: Palette) -> list[Line]:
        # A fixed number of lines, so that few cells change with the path.
        path, *more = wrap(self._path or "none", width - 7)
        lines: list[Line] = [[(" File ", colors.strong), (path, colors.text)]]
        lines += [[("      ", colors.text), (text, colors.text)] for text in more]
        room = max(8, width - LABEL - 2)
        for label, text in self._about_path or [("", "")] * _FILE_LINES:
            lines.append([(f" {left(label, LABEL)}", colors.muted), (cut(text, room), colors.text)])
        return lines

    def _image_lines(self, image: Image, width: int, colors: Palette) -> list[Line]:
        lines: list[Line] = [[(" Image", colors.strong)]]
        lines += _fact("Reference", visible(image.reference), width, colors)
        lines += _digest("Id", image.id, width, colors)
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
        label = (f" {left('Efficiency', LABEL)}", colors.muted)
        lines.append([label, (f"{left(percent(waste.efficiency), 6)} ", colors.text)])
        lines[-1] += [(filled, colors.accent), (HORIZONTAL * (10 - len(filled)), colors.faint)]
        return lines

    def _step_lines(self, image: Image, step: Step, width: int, colors: Palette) -> list[Line]:
        # Each fact keeps its line, so that few cells change with the layer.
        if step.layer is None:
            number, *facts, identifier = _NO_LAYER[step.unknown]
            lines: list[Line] = [_heading(number, colors)]
            labels = ("Size", "Hides", "Changes", "Packages", "Rights")
            for label, text in zip(labels, facts, strict=True):
                lines += _fact(label, text, width, colors)
            ids = (identifier, identifier)
        else:
            layer = image.layers[step.layer]
            lines = [_heading(str(step.layer), colors)]
            if layer.missing:
                stored = docker_size(layer.stored_size or 0)
                lines += _fact("Size", f"missing, {stored} as it is stored", width, colors)
                lines += _fact("Hides", "unknown", width, colors)
                lines += _fact("Changes", f"unknown: {layer.missing}", width, colors)
            elif self._facts is not None:
                size, counts, suspicious = self._facts
                wasted, hides = self._waste_of(step.layer)
                lines += _fact("Size", f"{docker_size(size)}{wasted}", width, colors)
                lines += _fact("Hides", hides, width, colors)
                lines += _fact("Changes", _counts(counts, width - LABEL - 2), width, colors)
                for text in suspicious:
                    lines += _fact("Suspicious", text, width, colors)
            lines += self._glance_lines(step.layer, width, colors)
            ids = (layer.diff_id or "none", layer.digest or "not known")
        for label, text in zip(("Diff id", "Digest"), ids, strict=True):
            lines += _digest(label, text, width, colors)
        command = _fact("Command", step.instruction, width, colors)
        if len(command) > _COMMAND_LINES and not self.screen.has_class("-solo"):
            margin, (last, style) = command[_COMMAND_LINES - 1]
            last = cut(f"{last} {ELLIPSIS}", width - LABEL - 2)
            command[_COMMAND_LINES - 1 :] = [[margin, (last, style)]]
        # Pads a short command, so that the lines below need not be sent again.
        lines += command + [[]] * (_COMMAND_LINES - len(command))
        return lines

    def _waste_of(self, layer: int) -> tuple[str, str]:
        """Returns the layer's wasted bytes and the bytes that it hides, once they are known."""
        waste = self._waste
        if waste is None or layer >= len(waste.layer_sizes):
            return "", ELLIPSIS
        wasted, hides = waste.layer_wasted[layer], waste.layer_hides[layer]
        return (
            f", {docker_size(wasted)} wasted" if wasted else "",
            f"{docker_size(hides)}{' below' if hides else ''}",
        )

    def _glance_lines(self, layer: int, width: int, colors: Palette) -> list[Line]:
        """Returns a line for each package change; placeholders until they are known."""
        unknown = self._image is not None and self._image.layers[layer].missing
        facts = [(label, "unknown" if unknown else ELLIPSIS) for label in ("Packages", "Rights")]
        if not unknown and self._glance is not None and self._glance.layer == layer:
            from layerscope.reports.packages_report import glance_facts

            facts = glance_facts(self._glance)
        room = max(8, width - LABEL - 2)
        return [
            [(f" {left(label, LABEL)}", colors.muted), (cut(text, room), colors.text)]
            for label, text in facts
        ]

    def _cause_lines(self, causes: Causes, width: int, colors: Palette) -> list[Line]:
        """Returns the waste in the groups of the waste screen, the largest first."""
        from layerscope.reports.findings import heading, layers_of, title_of

        def line(size: int, layers: str, text: str, style: Style) -> Line:
            facts = f" {right(docker_size(size), 7)}  {left(layers, 8)} "
            return [(facts, colors.muted), (cut(text, max(8, width - len(facts))), style)]

        lines: list[Line] = [[(" Wasted, largest first", colors.strong)]]
        lines.append([(f" {right('Size', 7)}  {left('Layer', 8)} What", colors.muted)])
        for cause, total, findings in causes.by_cause():
            facts = f" {right(docker_size(total), 7)}  "
            lines.append([(facts, colors.muted), (cut(heading(cause), width - 10), colors.strong)])
            lines += [
                line(each.size, layers_of(each), title_of(each), colors.text)
                for each in findings[:_MOST]
            ]
            if rest := findings[_MOST:]:
                more = plural(len(rest), "more finding")
                lines.append(line(sum(each.size for each in rest), "", more, colors.muted))
        return lines


def _fact(label: str, value: str, width: int, colors: Palette) -> list[Line]:
    return fact_lines(Fact(label, value), width, colors)


def _heading(layer: str, colors: Palette) -> Line:
    return [(" Layer", colors.strong), (f" {layer}", colors.text)]


def _digest(label: str, digest: str, width: int, colors: Palette) -> list[Line]:
    """Returns a digest, shortened if it does not fit; copying copies the full one."""
    text = visible(digest)
    if len(text) > width - LABEL - 2:
        algorithm, colon, digits = text.rpartition(":")
        text = f"{algorithm}{colon}{digits[:12]}{ELLIPSIS}"
    return _fact(label, text, width, colors)


def _counts(counts: dict[Change, int], room: int) -> str:
    """Returns the changes in words, or as letters if they do not fit on a line."""
    found = [(f"{counts[change]:,}", change.label) for change in _SHOWN if counts.get(change)]
    text = ", ".join(f"{number} {label}" for number, label in found)
    if len(text) > room:
        text = ", ".join(f"{number} {label[0].upper()}" for number, label in found)
    return text or "none"


def _created(created: str | None, now: float) -> str:
    try:
        moment = datetime.fromisoformat((created or "").replace("Z", "+00:00"))
    except ValueError:
        return visible(created or "unknown")
    if moment.tzinfo is None or moment.year < 1971:
        return "not recorded"
    age = docker_age(moment.timestamp(), now)
    return f"{moment:%Y-%m-%d %H:%M} ({age[:1].lower()}{age[1:]})"
