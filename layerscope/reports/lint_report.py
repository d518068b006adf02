"""`layerscope lint`: the problems of a Dockerfile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from layerscope.dockerfile.checks.overruled import Overruled
from layerscope.dockerfile.checks.problems import Problem, Severity
from layerscope.dockerfile.syntax.document import Document
from layerscope.dockerfile.syntax.source import Position
from layerscope.reports.color import RED, YELLOW, painted
from layerscope.text import one_line, plural, visible


@dataclass(frozen=True, slots=True)
class Linted:
    file: str  # Its name; `-` for standard input.
    document: Document
    problems: Sequence[Problem]  # The most severe first.
    tools: Sequence[str]  # The tools that checked it: `layerscope`, `hadolint`, `buildkit`.
    overruled: Sequence[Overruled] = ()  # False positives of hadolint.

    def count(self, severity: Severity) -> int:
        return sum(problem.severity is severity for problem in self.problems)


def lint_document(linted: Linted) -> dict[str, Any]:
    """The object of `lint --json`; lines and columns count from 1, bytes from 0."""
    return {
        "schema": "layerscope.lint/1",
        "file": linted.file,
        "tools": list(linted.tools),
        "counts": {severity.label: linted.count(severity) for severity in reversed(Severity)},
        "problems": [_problem(linted.document, problem) for problem in linted.problems],
        "left_out": [
            {**_problem(linted.document, each.problem), "reason": each.reason}
            for each in linted.overruled
        ],
    }


def _problem(document: Document, problem: Problem) -> dict[str, Any]:
    start, end = map(document.source.position, problem.span)
    return {
        "severity": problem.severity.label,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "source": problem.source,
        "start": _position(start),
        "end": _position(end),
    }


def _position(position: Position) -> dict[str, int]:
    return {"line": position.line + 1, "column": position.column + 1, "byte": position.byte}


_COLORS = {Severity.ERROR: RED, Severity.WARNING: YELLOW}


def lint_text(linted: Linted) -> Iterator[str]:
    """`FILE:LINE:COLUMN`, severity, message and code, and a hint on the next line."""
    if not linted.problems:
        yield f"{visible(linted.file)}: no problems"
        return
    places = []
    for problem in linted.problems:
        start = linted.document.source.position(problem.span.start)
        places.append(f"{visible(linted.file)}:{start.line + 1}:{start.column + 1}")
    width = max(len(place) for place in places)
    for place, problem in zip(places, linted.problems, strict=True):
        message = one_line(problem.message)
        severity = painted(f"{problem.severity.label:<7}", _COLORS.get(problem.severity, ""))
        yield f"{place:<{width}}  {severity}  {message} ({visible(problem.code)})"
        if problem.hint:
            yield f"{'':<{width}}  {'':<7}  {one_line(problem.hint)}"
    yield ""
    counts = [(linted.count(severity), severity.label) for severity in reversed(Severity)]
    # The plural of "info" is "info".
    yield ", ".join(
        plural(count, label, "info" if label == "info" else "") for count, label in counts if count
    )
