"""The problems of a Dockerfile: list, marks, and moving between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from rich.cells import cell_len

from layerscope.dockerfile.checks import tools
from layerscope.dockerfile.checks.carry import carry
from layerscope.dockerfile.checks.problems import Problem, Severity, settle
from layerscope.dockerfile.checks.tools import ToolResult
from layerscope.dockerfile.syntax.document import Document
from layerscope.text import one_line, visible
from layerscope.tui.editor.area_lines import SEVERITIES, Mark
from layerscope.tui.editor.draft import Analysis, Draft
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Cell, Column, ColumnList
from layerscope.tui.rows.format import Line, cut, plural, wrap
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.work import Work

#: The most lines to mark for a problem, and the most lines of its full text.
_MARKED, _WHOLE = 50, 3
_WORDS = {
    Severity.ERROR: ("error", "errors"),
    Severity.WARNING: ("warning", "warnings"),
    Severity.INFO: ("info", "info"),
}


class _Row(NamedTuple):
    problem: Problem
    document: Document

    @property
    def severity(self) -> Cell:
        severity = self.problem.severity
        return severity.name[0], f"{SEVERITIES[severity]} strong"

    @property
    def place(self) -> Cell:
        start = self.document.source.position(self.problem.span.start)
        return f"{start.line + 1}:{start.column + 1}", "muted"

    @property
    def text(self) -> str:
        hint = f" {self.problem.hint}" if self.problem.hint else ""
        return one_line(f"{self.problem.message}{hint} ({self.problem.code})")


class ProblemList(ColumnList[_Row], screen="editor", heading="In the Dockerfile editor"):
    HEADER_ROWS = 0
    PLACEHOLDER_AT_LEFT = True
    KEYS = (Key("problems.go", "enter", "choose", "Go there", hint="problems"),)
    COLUMNS: ClassVar[Sequence[Column[_Row]]] = (
        Column("severity", "", 1, lambda row: row.severity),
        Column("place", "", 6, lambda row: row.place, "right"),
        Column("text", "", 0, lambda row: (row.text, "text"), flex=True),
    )

    def __init__(self) -> None:
        super().__init__("problems", "Problems")

    @property
    def problem(self) -> Problem | None:
        return self.item.problem if self.item is not None else None

    def show_problems(self, document: Document, problems: Sequence[Problem]) -> None:
        number = Counter(problem.severity for problem in problems)
        counts = [plural(number[each], *words) for each, words in _WORDS.items() if number[each]]
        self.set_placeholder(("No problems.", "muted"))
        self.set_status(", ".join(counts))
        self.show([_Row(problem, document) for problem in problems], self.cursor)

    def fits(self, row: int) -> bool:
        """Whether the text of a problem fits in its row; works while the list is hidden, too."""
        width = self.size.width - (self.row_count > self.page_size)
        *_, (_, size) = self.layout_columns(width)
        return cell_len(self.full(row)) <= size

    def full(self, row: int) -> str:
        return self.items[row].text if row < len(self.items) else ""


class WholeProblem(RowView):
    """The full text of a problem that is too long for its row in the list."""

    HAS_CURSOR = False
    can_focus = False

    def __init__(self) -> None:
        super().__init__("problem")
        self._texts: list[str] = []
        self.display = False

    def show(self, text: str) -> None:
        """Shows a text, which must be safe to show; "" hides the pane."""
        texts: list[str] = []
        if text:
            width = self.screen.size.width - 2
            texts = wrap(text, width)
            if len(texts) > _WHOLE:
                texts[_WHOLE - 1 :] = [cut(" ".join(texts[_WHOLE - 1 :]), width)]
        if texts != self._texts:
            self._texts = texts
            self.display = bool(texts)
            self.set_rows(len(texts))

    def row(self, row: int, width: int) -> Line:
        return [(" ", self.palette.text), (self._texts[row], self.palette.text)]


@dataclass(eq=False)
class Problems:
    _draft: Draft
    _work: Work
    _list: ProblemList
    _whole: WholeProblem
    _say: Callable[[str], object]
    _say_once: Callable[[str], object]
    _found: dict[str, Sequence[Problem]] = field(
        default_factory=dict
    )  # By the tool that found them.
    _shown: list[Problem] = field(default_factory=list)
    _visited: Problem | None = None  # The one that the user last went to.

    def why_none(self) -> str:
        return "" if self._shown else "There are no problems."

    def follow(self, before: Analysis | None, now: Analysis) -> None:
        """Keeps the problems of unchanged instructions after an edit."""
        if before is None:
            self._found = {}
        elif before.text != now.text:
            for tool, problems in self._found.items():
                self._found[tool] = carry(problems, before.document, now.document)
        self._show()

    def take(self, problems: Sequence[Problem], document: Document, tool: str = "") -> None:
        """Sets the problems that a tool, or layerscope itself, found in a possibly old document."""
        analysis = self._draft.analysis
        if analysis is None or not (problems or self._found.get(tool)):
            return
        if analysis.document is not document:
            problems = carry(problems, document, analysis.document)
        self._found[tool] = problems
        self._show()

    # Other tools.

    def run_hadolint(self, document: Document, path: Path, *, loud: bool = False) -> None:
        """Runs hadolint if it is installed; reports a failure if `loud`."""
        self._run("hadolint", document, lambda: tools.hadolint(document, path.parent), loud)

    def run_tools(self, document: Document, path: Path) -> None:
        """Runs hadolint and BuildKit's checks if they are installed."""
        self.run_hadolint(document, path, loud=True)
        self._run("buildkit", document, lambda: tools.build_check(document, path.parent), True)

    def _run(
        self, tool: str, document: Document, run: Callable[[], ToolResult | None], loud: bool
    ) -> None:
        def done(found: ToolResult | None) -> None:
            if found is None or not found.failure:
                self.take(() if found is None else found.problems, document, tool)
            elif loud:
                # Earlier problems still apply to unchanged lines.
                say = self._say_once if found.too_old else self._say
                say(f"{visible(found.failure)}.")

        self._work.queue(tool, lambda _: run(), done)

    # Going to problems.

    def go(self, step: int) -> None:
        """Goes to the next or previous problem, and wraps around."""
        if not self._shown:
            return
        place = self._draft.area.place
        starts = [problem.span.start for problem in self._shown]
        if step > 0:
            at = next((n for n, start in enumerate(starts) if start > place), 0)
        else:
            at = sum(start < place for start in starts) - 1
        self.go_to(self._shown[at])

    def go_to(self, problem: Problem) -> None:
        self._draft.area.go_to(problem.span.start)
        row = self._shown.index(problem)
        self._list.move_to(row)
        self._visited = problem
        self.show_whole()
        if not self._whole.display:
            self._say(self._list.full(row))

    def show_whole(self) -> None:
        """Shows the full text of the visited problem if the list has no room for it."""
        if self._list.screen.focused is self._list:
            self._visited = self._list.problem
        elif self._visited is not None:
            span = self._visited.span
            if not span.start <= self._draft.area.place <= span.end:
                self._visited = None
        row = self._shown.index(self._visited) if self._visited in self._shown else None
        seen = row is None or (self._list.display and self._list.fits(row))
        self._whole.show("" if row is None or seen else self._list.full(row))

    def _show(self) -> None:
        if self._draft.analysis is None:
            return
        document = self._draft.analysis.document
        found = [problem for problems in self._found.values() for problem in problems]
        if any(self._found[tool] for tool in self._found if tool):
            found = settle(document, found)
        self._shown = sorted(found, key=lambda problem: problem.span)
        self._list.show_problems(document, self._shown)
        self._draft.area.set_marks(marks(document, self._shown))
        self.show_whole()


def marks(document: Document, problems: Sequence[Problem]) -> Mapping[int, Sequence[Mark]]:
    """Returns the marked parts of lines that have problems, by line."""
    found: dict[int, list[Mark]] = {}
    source = document.source
    for problem in problems:
        first = source.line_at(problem.span.start)
        last = source.line_at(max(problem.span.start, problem.span.end - 1))
        for line in range(first, min(last + 1, first + _MARKED)):
            begin = source.starts[line]
            start = max(problem.span.start, begin) - begin
            end = min(problem.span.end, source.line_end(line)) - begin
            if line == first or end > start:
                # Marks the first character of an empty span.
                found.setdefault(line, []).append(
                    Mark(start, max(end, start + (line == first)), problem.severity)
                )
    return found
