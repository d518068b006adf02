"""`layerscope lint`: the problems of a Dockerfile, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from layerscope.dockerfile.document import Document
from layerscope.dockerfile.problems import Problem, Severity
from layerscope.dockerfile.source import Position
from layerscope.text import one_line, visible

SCHEMA = "layerscope.lint/1"


@dataclass(frozen=True, slots=True)
class Linted:
    """A Dockerfile and its problems.

    Attributes:
        file: What it is called; `-` for standard input.
        document: The document.
        problems: Its problems, the worst first.
        tools: Who looked at it: `layerscope`, `hadolint`, `buildkit`.
    """

    file: str
    document: Document
    problems: Sequence[Problem]
    tools: Sequence[str]

    def count(self, severity: Severity) -> int:
        """How many problems of a severity there are."""
        return sum(problem.severity is severity for problem in self.problems)


def lint_document(linted: Linted) -> dict[str, Any]:
    """The object that `lint --json` prints; lines and columns count from 1, bytes from 0."""
    return {
        "schema": SCHEMA,
        "file": linted.file,
        "tools": list(linted.tools),
        "counts": {severity.label: linted.count(severity) for severity in reversed(Severity)},
        "problems": [_problem(linted.document, problem) for problem in linted.problems],
    }


def _problem(document: Document, problem: Problem) -> dict[str, Any]:
    start, end = document.range(problem.span)
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


def lint_text(linted: Linted) -> Iterator[str]:
    """The same for people: `FILE:LINE:COLUMN`, severity, message, code, and a hint below."""
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
        yield f"{place:<{width}}  {problem.severity.label:<7}  {message} ({visible(problem.code)})"
        if problem.hint:
            yield f"{'':<{width}}  {'':<7}  {one_line(problem.hint)}"
    yield ""
    counts = [(linted.count(severity), severity.label) for severity in reversed(Severity)]
    yield ", ".join(
        f"{count} {label}{'s' if count > 1 and label != 'info' else ''}"
        for count, label in counts
        if count
    )
