"""The problems of a Dockerfile, a line for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from layerscope.dockerfile.problems import Problem, Severity
from layerscope.text import one_line
from layerscope.tui.dockerfile_ink import severity_style
from layerscope.tui.format import Line, cut, plural
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.dockerfile.document import Document


class ProblemList(RowView):
    """Problems, those further up first."""

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
            (cut(self.full(row), width - 12), self.ink.text),
        ]

    def full(self, row: int) -> str:
        """All that is said of a problem."""
        if row >= len(self.problems):
            return ""
        problem = self.problems[row]
        hint = f" {problem.hint}" if problem.hint else ""
        return one_line(f"{problem.message}{hint} ({problem.code})")
