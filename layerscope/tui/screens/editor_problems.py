"""The problems of an editor: where they are marked, and going from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from layerscope.dockerfile.carry import carry
from layerscope.dockerfile.problems import Problem, settle
from layerscope.tui.widgets.area_lines import Mark

if TYPE_CHECKING:
    from layerscope.dockerfile.document import Document
    from layerscope.tui.editor_work import Analysis, ToolsDone
    from layerscope.tui.screens.editor import EditorScreen

#: Lines of one problem that are marked.
_LINES = 50


class Problems:
    """What is wrong with a document, as far as it is known."""

    def __init__(self, screen: EditorScreen) -> None:
        self._screen = screen
        self._own: Sequence[Problem] = ()
        self._others: Sequence[Problem] = ()
        self._failures = ""
        self._shown: list[Problem] = []

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._shown)

    def follow(self, before: Analysis | None, now: Analysis) -> None:
        """Keeps, after an edit, those of the instructions that are unchanged."""
        if before is None:
            self._own = self._others = ()
        elif before.text != now.text:
            self._own = carry(self._own, before.document, now.document)
            self._others = carry(self._others, before.document, now.document)
        self._show()

    def take(self, document: Document, own: Sequence[Problem]) -> None:
        """Takes what the checks of this program found in a document."""
        analysis = self._screen.analysis
        if analysis is None:
            return
        if analysis.document is document:
            self._own = own
        else:
            self._own = carry(own, document, analysis.document)
        self._show()

    def begin_tools(self) -> None:
        """Other tools begin to look; what they found before is no longer what counts."""
        self._failures = ""

    def take_tools(self, message: ToolsDone) -> None:
        """Takes what other tools found."""
        analysis = self._screen.analysis
        if analysis is not None:
            self._others = message.problems
            if analysis.document is not message.document:
                self._others = carry(self._others, message.document, analysis.document)
            self._failures = message.failures
            self._show()
            if message.failures and self._screen.is_current:
                self._screen.say(f"{message.failures}.")

    def go(self, step: int) -> None:
        """Goes to the next or previous problem, round the end if need be."""
        screen = self._screen
        if not self._shown:
            screen.say("No problems.")
            return
        place = screen.area.place
        starts = [problem.span.start for problem in self._shown]
        if step > 0:
            at = next((n for n, start in enumerate(starts) if start > place), 0)
        else:
            at = sum(start < place for start in starts) - 1
        self.go_to(self._shown[at])

    def go_to(self, problem: Problem) -> None:
        """Goes to a problem, and says what it is."""
        screen = self._screen
        screen.area.go_to(problem.span.start)
        row = screen.problem_list.problems.index(problem)
        screen.problem_list.move_to(row)
        screen.say(screen.problem_list.full(row))

    def _show(self) -> None:
        analysis = self._screen.analysis
        if analysis is None:
            return
        document = analysis.document
        found = settle(document, [*self._own, *self._others]) if self._others else self._own
        self._shown = sorted(found, key=lambda problem: problem.span)
        self._screen.problem_list.show(document, self._shown)
        self._screen.area.set_marks(marks(document, self._shown))


def marks(document: Document, problems: Sequence[Problem]) -> Mapping[int, Sequence[Mark]]:
    """The pieces of lines that something is wrong with, by line."""
    found: dict[int, list[Mark]] = {}
    source = document.source
    for problem in problems:
        first = source.line_at(problem.span.start)
        last = source.line_at(max(problem.span.start, problem.span.end - 1))
        for line in range(first, min(last + 1, first + _LINES)):
            begin = source.starts[line]
            start = max(problem.span.start, begin) - begin
            end = min(problem.span.end, source.line_end(line)) - begin
            if line == first or end > start:
                # What has no extent is told at its first character.
                found.setdefault(line, []).append(
                    Mark(start, max(end, start + (line == first)), problem.severity)
                )
    return found
