"""Carries over the problems of a document to an edited version of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace

from layerscope.content.line_matching import same_ends, same_items
from layerscope.dockerfile.checks.problems import Problem
from layerscope.dockerfile.syntax.document import Document
from layerscope.dockerfile.syntax.source import Span


def texts(document: Document) -> list[str]:
    return [document.source.slice(each.span) for each in document.instructions]


def carry(problems: Iterable[Problem], old: Document, new: Document) -> list[Problem]:
    """The problems of a document that still apply to another: those of unchanged instructions."""
    between: dict[int, int] | None = None
    kept = []
    first, behind = _unchanged(old, new)
    gain, shift = len(new.instructions) - len(old.instructions), len(new.text) - len(old.text)
    start = old.instructions[first].span.start if first < len(old.instructions) else len(old.text)
    end = old.instructions[behind].span.start if behind < len(old.instructions) else None
    for problem in problems:
        place = problem.span.start
        if place < start and first:
            kept.append(problem)
        elif end is not None and place >= end:
            kept.append(_moved(problem, shift))
        elif (at := old.instruction_at(old.source.line_at(place))) is not None:
            if between is None:
                between = same_items(texts(old)[first:behind], texts(new)[first : behind + gain])
            number = between.get(at.index - first)
            if number is not None:
                now = new.instructions[first + number].span.start
                kept.append(_moved(problem, now - at.span.start))
    return kept


def _unchanged(old: Document, new: Document) -> tuple[int, int]:
    """The number of equal instructions at the start, and the index of the first at the end."""
    a, b = old.instructions, new.instructions
    head, tail = same_ends(old.text, new.text)
    # Text after an instruction may have become part of it.
    first = bisect_left(a, head, key=lambda each: each.span.end)
    first = min(first, bisect_left(b, head, key=lambda each: each.span.end))
    begin, shift = len(old.text) - tail, len(new.text) - len(old.text)
    behind = bisect_left(a, begin, first, key=lambda each: each.span.start)
    gain = len(b) - len(a)
    # So may text before it. If one instruction begins at the same place in both, all later ones do.
    same = (
        first <= behind + gain
        and behind < len(a)
        and a[behind].span.start + shift == b[behind + gain].span.start
    )
    return first, behind if same else len(a)


def _moved(problem: Problem, by: int) -> Problem:
    if not by:
        return problem
    return replace(problem, span=Span(problem.span.start + by, problem.span.end + by))
