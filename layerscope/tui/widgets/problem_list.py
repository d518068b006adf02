"""The problems of a Dockerfile, a line for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType

from layerscope.dockerfile.problems import Problem, Severity
from layerscope.text import one_line
from layerscope.tui.dockerfile_ink import severity_style
from layerscope.tui.format import Line, cut, plural, wrap
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.dockerfile.document import Document


#: Cells before the text of a problem, and behind it.
_BEFORE = 12
#: Lines that a problem takes where it is shown whole.
_LINES = 3


class ProblemList(RowView):
    """Problems, those further up first."""

    PLACEHOLDER_AT_LEFT = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Go there", key_display="enter", id="problems.go"),
    ]

    def __init__(self) -> None:
        super().__init__("problems")
        self.problems: list[Problem] = []
        self._document: Document | None = None

    @property
    def problem(self) -> Problem | None:
        """The problem under the cursor."""
        return self.problems[self.cursor] if self.problems else None

    def show(self, document: Document, problems: Sequence[Problem], notes: str = "") -> None:
        """Shows problems.

        Args:
            document: The document that they are in.
            problems: The problems.
            notes: What else to say, such as that a tool could not do its work; safe to show.
        """
        self.problems = sorted(problems, key=lambda problem: problem.span)
        self._document = document
        number = Counter(problem.severity for problem in self.problems)
        counts = [
            plural(number[severity], word, word + end)
            for severity, word, end in (
                (Severity.ERROR, "error", "s"),
                (Severity.WARNING, "warning", "s"),
                (Severity.INFO, "info", ""),
            )
            if number[severity]
        ]
        self.set_placeholder(("No problems.", "muted"))
        self.set_texts("Problems", ", ".join(filter(None, [notes, *counts])))
        self.set_rows(len(self.problems))

    def row(self, row: int, width: int) -> Line:
        """A problem."""
        if self._document is None:
            return []
        problem = self.problems[row]
        start = self._document.source.position(problem.span.start)
        place = f"{start.line + 1}:{start.column + 1}"
        style = severity_style(self.app, problem.severity)
        return [
            (f" {problem.severity.name[0]} ", style + self.ink.strong),
            (f"{place:>7}  ", self.ink.muted),
            (cut(self.full(row), width - _BEFORE), self.ink.text),
        ]

    def fits(self, row: int) -> bool:
        """Whether all that is said of a problem has room in its row, or it is out of sight."""
        width = self.size.width - _BEFORE - (self.row_count > self.page_size)
        return cell_len(self.full(row)) <= width

    def full(self, row: int) -> str:
        """All that is said of a problem."""
        if row >= len(self.problems):
            return ""
        problem = self.problems[row]
        hint = f" {problem.hint}" if problem.hint else ""
        return one_line(f"{problem.message}{hint} ({problem.code})")


class WholeProblem(RowView):
    """All that is said of a problem whose row in the list has no room for it."""

    HAS_CURSOR = False
    can_focus = False

    def __init__(self) -> None:
        super().__init__("problem")
        self._texts: list[str] = []
        self.display = False

    def show(self, text: str) -> None:
        """Shows a problem.

        Args:
            text: Safe to show; empty shows nothing.
        """
        texts: list[str] = []
        if text:
            width = self.screen.size.width - 2
            texts = wrap(text, width)
            if len(texts) > _LINES:
                texts[_LINES - 1 :] = [cut(" ".join(texts[_LINES - 1 :]), width)]
        if texts != self._texts:
            self._texts = texts
            self.display = bool(texts)
            self.set_rows(len(texts))

    def row(self, row: int, width: int) -> Line:
        """A line of it."""
        return [(" ", self.ink.text), (self._texts[row], self.ink.text)]
