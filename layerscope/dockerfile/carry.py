"""What was said of a document, said of another one that was made of it by editing."""

from __future__ import annotations

import difflib
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
    same: dict[int, int] | None = None
    kept = []
    for problem in problems:
        at = old.instruction_at(old.source.line_at(problem.span.start))
        if at is None:
            continue
        if same is None:
            same = same_instructions(texts(old), texts(new))
        number = same.get(at.index)
        if number is not None:
            shift = new.instructions[number].span.start - at.span.start
            span = Span(problem.span.start + shift, problem.span.end + shift)
            kept.append(replace(problem, span=span))
    return kept
