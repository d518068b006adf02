"""The differences between two texts by lines, and within lines that correspond.

Lines are bytes with their ends: the text is their concatenation, and one without a final newline
differs from one that has it.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from layerscope.content.line_matching import common_runs, same_ends

#: Lines of context around a change.
CONTEXT = 3

#: Longer lines are compared only at their ends.
_LONGEST_LINE = 2000
_LINE_STEPS = 20_000

#: How far a block is moved.
_MOST_SHIFT = 2000

#: In larger blocks (old times new lines), corresponding lines are not searched for.
_MOST_PAIRS = 900

#: The minimum likeness of corresponding lines.
_ALIKE = 0.4

_TOKEN = re.compile(r"\w+|\s+|.", re.DOTALL)


class Block(NamedTuple):
    """Lines `old_start` to `old_end` of the old text, which the new one replaces.

    Numbers count from 0; ends are exclusive. One of the two ranges can be empty.
    """

    old_start: int
    old_end: int
    new_start: int
    new_end: int


@dataclass(frozen=True, slots=True)
class LineDiff:
    """Two texts, as lines with their ends, and their differences in order.

    If `thorough` is False, the search was cut short: blocks are correct, but can be larger than
    necessary.
    """

    old: list[bytes]
    new: list[bytes]
    blocks: list[Block]
    thorough: bool = True

    @property
    def added(self) -> int:
        return sum(block.new_end - block.new_start for block in self.blocks)

    @property
    def removed(self) -> int:
        return sum(block.old_end - block.old_start for block in self.blocks)


def split_lines(data: bytes) -> list[bytes]:
    return io.BytesIO(data).readlines()


def diff_lines(old: bytes, new: bytes) -> LineDiff:
    a, b = split_lines(old), split_lines(new)
    runs, thorough = common_runs(a, b)
    blocks: list[Block] = []
    ends = [(0, 0, 0), *runs, (len(a), len(b), 0)]
    for (a0, b0, length), (a1, b1, _) in pairwise(ends):
        if a0 + length < a1 or b0 + length < b1:
            blocks.append(Block(a0 + length, a1, b0 + length, b1))
    return LineDiff(a, b, _slid(a, b, blocks), thorough)


def hunks(diff: LineDiff, context: int = CONTEXT) -> Iterator[tuple[Block, list[Block]]]:
    """Groups blocks that are near each other.

    Yields the range of lines to show, as a block, and the blocks in it.
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
    old = (first.old_start - before, last.old_end + after)
    return Block(*old, first.new_start - before, last.new_end + after)


def hunk_header(block: Block) -> str:
    """The `@@` line of a range, as diff -u writes it."""
    old = _range(block.old_start, block.old_end)
    return f"@@ -{old} +{_range(block.new_start, block.new_end)} @@"


def _range(start: int, end: int) -> str:
    length = end - start
    # An empty range has the number of the line before it.
    first = start + 1 if length else start
    return str(first) if length == 1 else f"{first},{length}"


def unified(diff: LineDiff) -> Iterator[bytes]:
    """The hunks as diff -u writes them; `patch` accepts them."""
    for around, blocks in hunks(diff, CONTEXT):
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
    """Moves blocks that only add or only remove lines to where people expect them.

    Lines added after equal ones could as well have been added before them. The position whose first
    line is indented least is preferred, and the last of several: functions begin there.
    """
    result: list[Block] = []
    floor = (0, 0)
    limits = [*(block.old_start for block in blocks[1:]), len(a)]
    for (a0, a1, b0, b1), limit in zip(blocks, limits, strict=False):
        shift = 0
        if a0 == a1:
            shift = _best_shift(b, b0, b1, floor[1], limit - a1 + b1)
        elif b0 == b1:
            shift = _best_shift(a, a0, a1, floor[0], limit)
        result.append(Block(a0 + shift, a1 + shift, b0 + shift, b1 + shift))
        floor = (a1 + shift, b1 + shift)
    return _merged(result)


def _best_shift(lines: list[bytes], start: int, end: int, floor: int, limit: int) -> int:
    first = last = 0
    while start + first > max(floor, start - _MOST_SHIFT):
        if lines[start + first - 1] != lines[end + first - 1]:
            break
        first -= 1
    while end + last < min(limit, end + _MOST_SHIFT) and lines[start + last] == lines[end + last]:
        last += 1
    # The least indented first line; of several the last, but moving up must gain something.
    return min(range(first, last + 1), key=lambda n: (_indent(lines[start + n]), n < 0, -n))


def _indent(line: bytes) -> int:
    text = line.expandtabs(8)
    bare = text.lstrip(b" ")
    return len(text) - len(bare) if bare.strip() else 1 << 30


def _merged(blocks: list[Block]) -> list[Block]:
    result: list[Block] = []
    for block in blocks:
        last = result[-1] if result else None
        if last is not None and (last.old_end, last.new_end) == (block.old_start, block.new_start):
            result[-1] = block._replace(old_start=last.old_start, new_start=last.new_start)
        else:
            result.append(block)
    return result


def pair_lines(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Finds the lines of a block that correspond, in order: one is a changed form of the other."""
    if not old or not new or len(old) * len(new) > _MOST_PAIRS:
        return []
    words = [[Counter(_words(line)) for line in lines] for lines in (old, new)]
    alike = [[_likeness(one, other) for other in words[1]] for one in words[0]]
    # The best total likeness up to each pair, as for the longest common subsequence.
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
    """The share of characters that two lines have in common, ignoring blanks."""
    total = sum(len(word) * count for words in (one, other) for word, count in words.items())
    common = sum(len(word) * count for word, count in (one & other).items())
    return 2 * common / total if total else 1.0


Spans = list[tuple[int, int]]


def changed_spans(old: str, new: str) -> tuple[Spans, Spans]:
    """The differences between two corresponding lines, by words.

    Returns start and end of the parts removed from the old line, and of those added in the new one.
    """
    if max(len(old), len(new)) > _LONGEST_LINE:
        head, tail = same_ends(old, new)
        ends = len(old) - tail, len(new) - tail
        gone, come = ([(head, end)] if head < end else [] for end in ends)
        return gone, come
    a, b = _TOKEN.findall(old), _TOKEN.findall(new)
    runs, _ = common_runs(a, b, _LINE_STEPS)
    return (
        _between(a, [(start, length) for start, _, length in runs]),
        _between(b, [(start, length) for _, start, length in runs]),
    )


def _between(tokens: list[str], runs: list[tuple[int, int]]) -> Spans:
    """The parts of a line that are in no run; a blank between two of them is included."""
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
