"""Compares two versions and highlights their lines in the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerscope.tui.work import Task

if TYPE_CHECKING:
    from layerscope.content.diff_rows import DiffText
    from layerscope.content.display import Span
    from layerscope.images.files.version_diff import Side, VersionDiff

#: The largest texts to highlight, in lines and characters.
_MOST_LINES = 20_000
_MOST_CHARACTERS = 2 << 20

#: The spans of each line of the old and the new text; None if unknown.
Syntax = tuple["list[list[Span]] | None", "list[list[Span]] | None"]


@dataclass(frozen=True, slots=True)
class Comparison:
    old: Side | None  # The old version; None if there was none.
    new: Side | None  # The new version; None if it was removed.
    diff: VersionDiff
    text: DiffText | None  # The lines, or None if the content is not text.


def compare_sides(old: Side | None, new: Side | None, task: Task[Any]) -> Comparison:
    """Compares two versions; reports progress in bytes of the current file."""
    from layerscope.content.diff_rows import DiffText
    from layerscope.images.files.version_diff import compare_versions

    diff = compare_versions(old, new, task.progress.advance)
    if diff.lines is None:
        return Comparison(old, new, diff, None)
    text = DiffText(diff.lines, diff.encodings)
    _make_rows(text, False, task)
    return Comparison(old, new, diff, text)


def highlight(text: DiffText, name: str, task: Task[Any]) -> Syntax:
    """Highlights both texts unless they are too long."""
    _make_rows(text, True, task)
    both = text.diff.old, text.diff.new
    size = sum(len(line) for lines in both for line in lines)
    if sum(map(len, both)) > _MOST_LINES or size > _MOST_CHARACTERS:
        return None, None
    from layerscope.content.highlight import Highlighter

    found: list[list[list[Span]] | None] = []
    for lines, line in ((both[0], text.old), (both[1], text.new)):
        texts = [line(number) for number in range(len(lines))]
        highlighter = Highlighter(name, "\n".join(texts[:50]))
        task.on_stop(highlighter.close)
        try:
            task.check()
            found.append(highlighter.spans(texts) if texts else None)
        finally:
            highlighter.close()
    return found[0], found[1]


def _make_rows(text: DiffText, whole: bool, task: Task[Any]) -> None:
    """Computes and caches the rows of a text; too slow for a key press in long texts."""
    for side_by_side in (False, True):
        task.check()
        text.rows(side_by_side, whole)
