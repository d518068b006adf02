"""Comparing two versions beside the screen; the screen is told by messages."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from textual.message import Message

from layerscope.errors import Cancelled
from layerscope.tui.background import run_beside
from layerscope.tui.session import Post, Problem, problem_of

if TYPE_CHECKING:
    from layerscope.content.diff_rows import DiffText
    from layerscope.content.display import Span
    from layerscope.content.highlight import Highlighter
    from layerscope.images.version_diff import Side, VersionDiff

#: Texts up to so many lines and bytes are coloured.
_MOST_LINES = 20_000
_MOST_BYTES = 2 << 20

Syntax = tuple["list[list[Span]] | None", "list[list[Span]] | None"]


class DiffReady(Message):
    """A job has compared, or failed to."""

    def __init__(self, job: DiffJob) -> None:
        super().__init__()
        self.job = job


class DiffColored(Message):
    """A job knows the syntax of the lines."""

    def __init__(self, job: DiffJob, syntax: Syntax) -> None:
        super().__init__()
        self.job = job
        self.syntax = syntax


class DiffJob:
    """The comparison of two versions. Attributes are written by the thread that compares.

    Attributes:
        old: The old version; None if there was none.
        new: The new version; None if it is gone.
        diff: What differs; None before that is known.
        text: The lines; None if there are none to be compared.
        problem: What went wrong.
        available: How many bytes of the file have been read that is being read.
        ended: Whether it is over.
    """

    def __init__(self, old: Side | None, new: Side | None, name: str, post: Post) -> None:
        """Begins to compare.

        Args:
            old: The old version; None if there was none.
            new: The new version; None if it is gone.
            name: Name of the file, which tells its language.
            post: Where `DiffReady` and `DiffColored` go.
        """
        self.old, self.new = old, new
        self.diff: VersionDiff | None = None
        self.text: DiffText | None = None
        self.problem: Problem | None = None
        self.available = 0
        self.ended = False
        self._name = name
        self._post = post
        self._cancelled = threading.Event()
        self._highlighters: list[Highlighter] = []
        run_beside("diff", self._run)

    def cancel(self) -> None:
        """Stops comparing; may be called twice."""
        self._cancelled.set()
        for highlighter in list(self._highlighters):
            highlighter.close()

    def _advance(self, available: int) -> None:
        self.available = available
        if self._cancelled.is_set():
            raise Cancelled

    def _run(self) -> None:
        try:
            from layerscope.content.diff_rows import DiffText
            from layerscope.images.version_diff import compare_versions

            self.diff = compare_versions(self.old, self.new, self._advance)
            if self.diff.lines is not None:
                self.text = DiffText(self.diff.lines, self.diff.encodings)
                # Rows of long texts take longer to make than a key may.
                for side in (False, True):
                    self._advance(self.available)
                    self.text.rows(side, False)
        except Exception as error:
            self.problem = problem_of(error)
        self.ended = True
        self._post(DiffReady(self))
        try:
            if self.text is not None and not self._cancelled.is_set():
                self.text.rows(False, True)
                self.text.rows(True, True)
            self._color()
        except Exception:  # noqa: S110 - without colours it can be read as well
            pass

    def _color(self) -> None:
        text = self.text
        if text is None or self._cancelled.is_set():
            return
        lines = text.diff.old, text.diff.new
        size = sum(len(line) for of in lines for line in of)
        if sum(map(len, lines)) > _MOST_LINES or size > _MOST_BYTES:
            return
        from layerscope.content.highlight import Highlighter

        found: list[list[list[Span]] | None] = []
        for of, line in ((lines[0], text.old), (lines[1], text.new)):
            texts = [line(number) for number in range(len(of))]
            highlighter = Highlighter(self._name, "\n".join(texts[:50]))
            self._highlighters.append(highlighter)
            try:
                if self._cancelled.is_set():
                    return
                found.append(highlighter.spans(texts) if texts else None)
            finally:
                highlighter.close()
        if found != [None, None] and not self._cancelled.is_set():
            self._post(DiffColored(self, (found[0], found[1])))
