"""The title bar: the image, its source, and what is going on."""

from __future__ import annotations

from collections.abc import Callable

from layerscope.images.progress import Progress
from layerscope.text import docker_size
from layerscope.tui.base_app import app_of
from layerscope.tui.rows.bar import Bar
from layerscope.tui.rows.format import Line, cells, clipped, cut, length, tail
from layerscope.tui.terminal.glyphs import SEPARATOR

#: Cells between two parts.
_GAP = 2
#: Cells below which a part that is cut says nothing.
_LEAST = 8


class TitleBar(Bar):
    """Name of the program, image, facts; at the right running jobs, and progress or the source."""

    def __init__(self, shows_job: Callable[[str], bool]) -> None:
        """Makes a title; `shows_job` says of a job that its screen shows how it goes."""
        super().__init__("title")
        self._shows = shows_job
        self._reference = ""
        self._facts = ""
        self._right = ""
        self._style = "muted"
        self._two = False  # Whether the facts are the name of another image.

    def set_image(self, reference: str, facts: str) -> None:
        self._reference, self._facts, self._two = reference, facts, False
        self.redraw()

    def set_two(self, one: str, other: str) -> None:
        """Shows the names of two images, of which each has at least half of the room."""
        self._reference, self._facts, self._two = one, other, True
        self.redraw()

    def set_right(self, text: str, style: str = "muted") -> None:
        self._right, self._style = text, style
        self.redraw()

    def set_progress(self, progress: Progress, what: str) -> None:
        """Shows how far work is at the right; `what` if it does not say itself what it does."""
        parts = [progress.what or what]
        if progress.done or progress.total:
            sizes = (progress.done, progress.total)
            parts.append(" / ".join(docker_size(size) for size in sizes if size is not None))
        self.set_right("  ".join(parts), "accent")

    def set_path(self, path: str, facts: str, right: str, style: str = "muted") -> None:
        """Shows a path in place of an image, and a text at the right."""
        self._reference, self._facts, self._two = path, facts, False
        self._right, self._style = right, style
        self.redraw()

    def line(self, width: int) -> Line:
        """As much as fits. The name goes before all else; of a long one, the end is shown."""
        app = app_of(self)
        colors = app.palette
        gap = (" " * _GAP, colors.text)
        line: Line = [(" layerscope", colors.accent + colors.strong), gap]
        right: Line = [(self._right, colors.named(self._style))] if self._right else []
        if count := sum(not self._shows(number) for number in app.running_jobs):
            right = [(f"{count} running{SEPARATOR if right else ''}", colors.accent), *right]
        if self._reference:
            names = [self._reference, *([self._facts] if self._two else [])]
            wanted = sum(cells(name) + _GAP for name in names)
            if length(line) + wanted + min(length(right), _LEAST) > width:
                line = [(" ", colors.text)]
            line += self._names(width - length(line) - 1)
        room = width - length(line) - 1
        if length(right) + _GAP > room:
            right = clipped(right, room - _GAP) if room >= _GAP + _LEAST else []
        facts = "" if self._two else cut(self._facts, room - length(right) - 2 * _GAP)
        # A few letters of a longer text say nothing.
        if facts and (facts == self._facts or len(facts) > _LEAST):
            line += [gap, (facts, colors.muted)]
        space = max(1, width - length(line) - length(right) - 1)
        return [*line, (" " * space, colors.text), *right]

    def _names(self, room: int) -> Line:
        """The name of the image, or those of two."""
        colors = app_of(self).palette
        if not self._two:
            return [(tail(self._reference, room), colors.strong)]
        one = cut(self._reference, max(room // 2 - _GAP, room - cells(self._facts) - _GAP))
        other = cut(self._facts, room - cells(one) - _GAP)
        return [(one, colors.strong), (" " * _GAP, colors.text), (other, colors.muted)]
