"""What was said of a document, said of another one that was made of it by editing."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace

from layerscope.dockerfile.document import Document
from layerscope.dockerfile.problems import Problem
from layerscope.dockerfile.same import same_ends
from layerscope.dockerfile.source import Span


def same_instructions(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """For numbers of old instructions, those of the new ones that are the same.

    Args:
        old: The instructions, one text each.
        new: The same later.
    """
    head, tail = same_ends(old, new)
    found = {number: number for number in range(head)}
    middle = old[head : len(old) - tail], new[head : len(new) - tail]
    for block in difflib.SequenceMatcher(None, *middle, autojunk=False).get_matching_blocks():
        found |= {head + block.a + n: head + block.b + n for n in range(block.size)}
    found |= {len(old) - 1 - n: len(new) - 1 - n for n in range(tail)}
    return found


def texts(document: Document) -> list[str]:
    """The instructions of a document as they are written."""
    return [document.source.slice(each.span) for each in document.instructions]


def carry(problems: Iterable[Problem], old: Document, new: Document) -> list[Problem]:
    """The problems of a document that are still there in another: those of unchanged instructions.

    Args:
        problems: The problems.
        old: The document that they were found in.
        new: The document that was made of it.
    """
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
                middle = texts(old)[first:behind], texts(new)[first : behind + gain]
                between = same_instructions(*middle)
            number = between.get(at.index - first)
            if number is not None:
                now = new.instructions[first + number].span.start
                kept.append(_moved(problem, now - at.span.start))
    return kept


def _unchanged(old: Document, new: Document) -> tuple[int, int]:
    """How many instructions are the same at the beginning, and the first of those at the end."""
    a, b = old.instructions, new.instructions
    head, tail = same_ends(old.text, new.text)
    # What comes behind an instruction may have become a part of it.
    first = bisect_left(a, head, key=lambda each: each.span.end)
    first = min(first, bisect_left(b, head, key=lambda each: each.span.end))
    begin, shift = len(old.text) - tail, len(new.text) - len(old.text)
    behind = bisect_left(a, begin, first, key=lambda each: each.span.start)
    gain = len(b) - len(a)
    # So may what comes before it. Where one begins in both, all begin in both.
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
