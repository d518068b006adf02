"""The problems of an editor: where they are marked, and going from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from layerscope.dockerfile.carry import carry
from layerscope.dockerfile.problems import Problem, settle
from layerscope.tui.widgets.area_lines import Mark

if TYPE_CHECKING:
    from layerscope.dockerfile.document import Document
    from layerscope.tui.editor_analysis import Analysis
    from layerscope.tui.editor_work import ToolDone
    from layerscope.tui.screens.editor import EditorScreen

#: Lines of one problem that are marked.
_LINES = 50


class Problems:
    """What is wrong with a document, as far as it is known."""

    def __init__(self, screen: EditorScreen) -> None:
        self._screen = screen
        self._own: Sequence[Problem] = ()
        self._others: dict[str, Sequence[Problem]] = {}
        self._shown: list[Problem] = []
        # The one that is being looked at.
        self._whole: Problem | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._shown)

    def follow(self, before: Analysis | None, now: Analysis) -> None:
        """Keeps, after an edit, those of the instructions that are unchanged."""
        if before is None:
            self._own, self._others = (), {}
        elif before.text != now.text:
            self._own = carry(self._own, before.document, now.document)
            for tool, problems in self._others.items():
                self._others[tool] = carry(problems, before.document, now.document)
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

    def take_tool(self, message: ToolDone) -> None:
        """Takes what another tool found."""
        analysis = self._screen.analysis
        if analysis is None:
            return
        found = message.problems
        if analysis.document is not message.document:
            found = carry(found, message.document, analysis.document)
        if message.failure:
            # What it said before still holds of what was not changed since.
            found = self._others.get(message.tool, ())
        if found or self._others.get(message.tool):
            self._others[message.tool] = found
            self._show()
        if message.failure and message.loud and self._screen.is_current:
            self._screen.say(f"{message.failure}.")

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
        self._whole = problem
        self.show_whole()
        if not screen.whole_problem.display:
            screen.say(screen.problem_list.full(row))

    def show_whole(self) -> None:
        """Shows the problem that is being looked at whole, if its row has no room for it."""
        screen, found = self._screen, self._screen.problem_list
        if screen.focused is found:
            self._whole = found.problem
        elif self._whole is not None:
            place = screen.area.place
            if not self._whole.span.start <= place <= self._whole.span.end:
                self._whole = None
        row = found.problems.index(self._whole) if self._whole in found.problems else None
        seen = row is None or (found.display and found.fits(row))
        screen.whole_problem.show("" if row is None or seen else found.full(row))

    def _show(self) -> None:
        analysis = self._screen.analysis
        if analysis is None:
            return
        document = analysis.document
        others = [problem for problems in self._others.values() for problem in problems]
        found = settle(document, [*self._own, *others]) if others else self._own
        self._shown = sorted(found, key=lambda problem: problem.span)
        self._screen.problem_list.show(document, self._shown)
        self._screen.area.set_marks(marks(document, self._shown))
        self.show_whole()


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
