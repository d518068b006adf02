"""The title bar: the image, its source, and the current activity."""

from __future__ import annotations

from collections.abc import Callable

from layerscope.images.progress import Progress
from layerscope.text import docker_size
from layerscope.tui.base_app import app_of
from layerscope.tui.rows.bar import Bar
from layerscope.tui.rows.format import Line, cells, clipped, cut, length, tail
from layerscope.tui.terminal.glyphs import SEPARATOR

#: Cells between parts.
_GAP = 2
#: The least useful width of a part that is cut.
_LEAST = 8


class TitleBar(Bar):
    """Program name, image and facts; at the right, running jobs, and progress or the source."""

    def __init__(self, shows_job: Callable[[str], bool]) -> None:
        """`shows_job` returns whether the screen already shows a job's progress."""
        super().__init__("title")
        self._shows = shows_job
        self._reference = ""
        self._facts = ""
        self._right = ""
        self._style = "muted"
        self._two = False  # Whether the facts are the name of a second image.

    def set_image(self, reference: str, facts: str) -> None:
        self._reference, self._facts, self._two = reference, facts, False
        self.redraw()

    def set_two(self, one: str, other: str) -> None:
        """Shows the names of two images; each may use at least half of the width."""
        self._reference, self._facts, self._two = one, other, True
        self.redraw()

    def set_right(self, text: str, style: str = "muted") -> None:
        self._right, self._style = text, style
        self.redraw()

    def set_progress(self, progress: Progress, what: str) -> None:
        """Shows progress at the right; `what` names the work if `progress` does not."""
        parts = [progress.what or what]
        if progress.done or progress.total:
            sizes = (progress.done, progress.total)
            parts.append(" / ".join(docker_size(size) for size in sizes if size is not None))
        self.set_right("  ".join(parts), "accent")

    def set_path(self, path: str, facts: str, right: str, style: str = "muted") -> None:
        """Shows a path instead of an image, and a text at the right."""
        self._reference, self._facts, self._two = path, facts, False
        self._right, self._style = right, style
        self.redraw()

    def line(self, width: int) -> Line:
        """Returns as much as fits. The name has priority; a long one loses its beginning."""
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
        # A few letters of a longer text are useless.
        if facts and (facts == self._facts or len(facts) > _LEAST):
            line += [gap, (facts, colors.muted)]
        space = max(1, width - length(line) - length(right) - 1)
        return [*line, (" " * space, colors.text), *right]

    def _names(self, room: int) -> Line:
        """Returns the name of the image, or of both images."""
        colors = app_of(self).palette
        if not self._two:
            return [(tail(self._reference, room), colors.strong)]
        one = cut(self._reference, max(room // 2 - _GAP, room - cells(self._facts) - _GAP))
        other = cut(self._facts, room - cells(one) - _GAP)
        return [(one, colors.strong), (" " * _GAP, colors.text), (other, colors.muted)]
