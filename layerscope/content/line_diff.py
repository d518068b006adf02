"""What differs between two texts, line by line, and within lines that correspond.

Lines are bytes with their ends: a text is the join of its lines, whatever is in it, and one whose
last line has no end differs from one that has.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from layerscope.content.line_matching import common_runs

#: Lines around a change that are shown with it.
CONTEXT = 3

#: Longer lines are compared at their ends only.
_LONGEST_LINE = 2000
_LINE_STEPS = 20_000

#: Blocks up to so many pairs of lines are searched for lines that correspond.
_MOST_PAIRS = 900

#: What two lines must have in common for the one to be the other, changed.
_ALIKE = 0.4

_TOKEN = re.compile(r"\w+|\s+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """Lines `old_start` to `old_end` of the old text, for which the new one has others.

    Numbers count from 0; ends are exclusive. One of the two ranges may be empty.
    """

    old_start: int
    old_end: int
    new_start: int
    new_end: int


@dataclass(frozen=True, slots=True)
class LineDiff:
    """Two texts and what differs.

    Attributes:
        old: The lines of one, with their ends.
        new: Those of the other.
        blocks: What differs, in order.
        thorough: Whether it was looked for all that they have in common; if not, blocks are larger
            than they would have to be, and none the less right.
    """

    old: list[bytes]
    new: list[bytes]
    blocks: list[Block]
    thorough: bool = True

    @property
    def added(self) -> int:
        """How many lines the new text has for others."""
        return sum(block.new_end - block.new_start for block in self.blocks)

    @property
    def removed(self) -> int:
        """How many lines of the old text are gone."""
        return sum(block.old_end - block.old_start for block in self.blocks)


def split_lines(data: bytes) -> list[bytes]:
    """The lines of a text, with their ends."""
    return io.BytesIO(data).readlines()


def diff_lines(old: bytes, new: bytes) -> LineDiff:
    """Compares two texts."""
    a, b = split_lines(old), split_lines(new)
    runs, thorough = common_runs(a, b)
    blocks: list[Block] = []
    ends = [(0, 0, 0), *runs, (len(a), len(b), 0)]
    for (a0, b0, length), (a1, b1, _) in pairwise(ends):
        if a0 + length < a1 or b0 + length < b1:
            blocks.append(Block(a0 + length, a1, b0 + length, b1))
    return LineDiff(a, b, _slid(a, b, blocks), thorough)


def hunks(diff: LineDiff, context: int = CONTEXT) -> Iterator[tuple[Block, list[Block]]]:
    """Blocks that are near each other, with the range of lines to show them in.

    Args:
        diff: What differs.
        context: Lines to show around a block.

    Yields:
        The range as a block, and the blocks in it.
    """
    group: list[Block] = []
    for block in diff.blocks:
        if group and block.old_start - group[-1].old_end > 2 * context:
            yield _around(diff, group, context), group
            group = []
        group.append(block)
    if group:
        yield _around(diff, group, context), group


def _around(diff: LineDiff, group: list[Block], context: int) -> Block:
    first, last = group[0], group[-1]
    before = min(context, first.old_start)
    after = min(context, len(diff.old) - last.old_end)
    return Block(
        first.old_start - before,
        last.old_end + after,
        first.new_start - before,
        last.new_end + after,
    )


def hunk_header(block: Block) -> str:
    """The `@@` line of a range, as diff -u writes it."""
    old = _range(block.old_start, block.old_end)
    return f"@@ -{old} +{_range(block.new_start, block.new_end)} @@"


def _range(start: int, end: int) -> str:
    length = end - start
    # An empty range is named by the line before it.
    first = start + 1 if length else start
    return str(first) if length == 1 else f"{first},{length}"


def unified(diff: LineDiff, context: int = CONTEXT) -> Iterator[bytes]:
    """The hunks as diff -u writes them; `patch` makes the new text of the old one with them."""
    for around, blocks in hunks(diff, context):
        yield hunk_header(around).encode() + b"\n"
        at = around.old_start
        for block in blocks:
            yield from _marked(b" ", diff.old[at : block.old_start])
            yield from _marked(b"-", diff.old[block.old_start : block.old_end])
            yield from _marked(b"+", diff.new[block.new_start : block.new_end])
            at = block.old_end
        yield from _marked(b" ", diff.old[at : around.old_end])


def _marked(mark: bytes, lines: list[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield mark + line
        if not line.endswith(b"\n"):
            yield b"\n\\ No newline at end of file\n"


def _slid(a: list[bytes], b: list[bytes], blocks: list[Block]) -> list[Block]:
    """Blocks that only add or only remove, moved to where people would see them.

    Lines added behind equal ones could as well have been added before these. What begins furthest
    to the left is preferred, and of several the last: that is where functions begin.
    """
    result: list[Block] = []
    floor = (0, 0)
    for index, block in enumerate(blocks):
        following = blocks[index + 1] if index + 1 < len(blocks) else None
        limit = following.old_start if following is not None else len(a)
        if block.old_start == block.old_end:
            shift = _best_shift(
                b, block.new_start, block.new_end, floor[1], limit - block.old_end + block.new_end
            )
        elif block.new_start == block.new_end:
            shift = _best_shift(a, block.old_start, block.old_end, floor[0], limit)
        else:
            shift = 0
        block = Block(
            block.old_start + shift,
            block.old_end + shift,
            block.new_start + shift,
            block.new_end + shift,
        )
        floor = (block.old_end, block.new_end)
        result.append(block)
    return _merged(result)


def _best_shift(lines: list[bytes], start: int, end: int, floor: int, limit: int) -> int:
    best, shift = (_indent(lines[start]), 0), 0
    while start + shift > floor and lines[start + shift - 1] == lines[end + shift - 1]:
        shift -= 1
        # Going up, what is as good does not count.
        if _indent(lines[start + shift]) < best[0]:
            best = (_indent(lines[start + shift]), shift)
        if shift < -_LONGEST_LINE:
            break
    shift = 0
    while end + shift < limit and lines[start + shift] == lines[end + shift]:
        shift += 1
        if _indent(lines[start + shift]) <= best[0]:
            best = (_indent(lines[start + shift]), shift)
        if shift > _LONGEST_LINE:
            break
    return best[1]


def _indent(line: bytes) -> int:
    text = line.expandtabs(8)
    bare = text.lstrip(b" ")
    return len(text) - len(bare) if bare.strip() else 1 << 30


def _merged(blocks: list[Block]) -> list[Block]:
    """Blocks with nothing between them made one."""
    result: list[Block] = []
    for block in blocks:
        last = result[-1] if result else None
        if last is not None and (last.old_end, last.new_end) == (block.old_start, block.new_start):
            result[-1] = Block(last.old_start, block.old_end, last.new_start, block.new_end)
        else:
            result.append(block)
    return result


# Within a block.


def pair_lines(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Which lines of a block correspond, in order: the one is the other with a change.

    Args:
        old: The old lines.
        new: The new lines.
    """
    if not old or not new or len(old) * len(new) > _MOST_PAIRS:
        return []
    words = [[Counter(_words(line)) for line in lines] for lines in (old, new)]
    alike = [[_likeness(one, other) for other in words[1]] for one in words[0]]
    # The best sum of what corresponds up to each pair, as for the longest common subsequence.
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in range(len(old)):
        for j in range(len(new)):
            both = best[i][j] + alike[i][j] if alike[i][j] >= _ALIKE else 0.0
            best[i + 1][j + 1] = max(both, best[i][j + 1], best[i + 1][j])
    pairs: list[tuple[int, int]] = []
    i, j = len(old), len(new)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]


def _words(line: str) -> list[str]:
    return [word for word in _TOKEN.findall(line[:_LONGEST_LINE]) if not word.isspace()]


def _likeness(one: Counter[str], other: Counter[str]) -> float:
    """The share of characters that two lines have in common, blanks aside."""
    total = sum(len(word) * count for words in (one, other) for word, count in words.items())
    common = sum(len(word) * count for word, count in (one & other).items())
    return 2 * common / total if total else 1.0


Spans = list[tuple[int, int]]


def changed_spans(old: str, new: str) -> tuple[Spans, Spans]:
    """What differs within two lines that correspond, by words.

    Returns:
        Start and end of what is gone of the old line, and of what has come in the new one.
    """
    if max(len(old), len(new)) > _LONGEST_LINE:
        return _at_the_ends(old, new)
    a, b = _TOKEN.findall(old), _TOKEN.findall(new)
    runs, _ = common_runs(a, b, _LINE_STEPS)
    return (
        _between(a, [(start, length) for start, _, length in runs]),
        _between(b, [(start, length) for _, start, length in runs]),
    )


def _at_the_ends(old: str, new: str) -> tuple[Spans, Spans]:
    limit = min(len(old), len(new))
    head = _common(old, new, limit)
    tail = _common(old[head:][::-1], new[head:][::-1], limit - head)
    spans = [(head, len(old) - tail)], [(head, len(new) - tail)]
    return tuple([(s, e) for s, e in side if s < e] for side in spans)  # type: ignore[return-value]


def _common(one: str, other: str, limit: int) -> int:
    """How many characters are the same at the beginning, found by halving."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _between(tokens: list[str], runs: list[tuple[int, int]]) -> Spans:
    """The parts of a line that are in no run; a blank between two of them belongs to them."""
    offsets = [0]
    for token in tokens:
        offsets.append(offsets[-1] + len(token))
    spans: Spans = []
    at = 0
    for start, length in [*runs, (len(tokens), 0)]:
        if at < start:
            begin, end = offsets[at], offsets[start]
            gap = "".join(tokens[at - 1 : at]) if at else ""
            if spans and spans[-1][1] == begin - len(gap) and gap.isspace():
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((begin, end))
        at = start + length
    return spans
