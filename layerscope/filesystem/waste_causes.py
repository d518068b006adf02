"""Why bytes are wasted: which layers wrote and hid them, and how; and what could be left out.

The sums are those of `waste.measure`: every hidden inode has one cause. Files that containers see
but do not need are counted separately, as they are not wasted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from layerscope.filesystem.apply import distinct
from layerscope.filesystem.change import NEVER, Aspect
from layerscope.filesystem.changeset import Bool, EntryType, Int8, Int16, Int32, Int64, Intp
from layerscope.filesystem.left_overs import KINDS, LeftOver, find_left_overs
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tree import PathTree
from layerscope.filesystem.waste import hidden_files, hiders, inodes_of_files


class Cause(Enum):
    """How bytes were hidden. JSON has the values."""

    COPIED = "unchanged content"
    REWRITTEN = "rewritten"
    REMOVED = "removed"
    REMOVED_TREE = "removed tree"
    CACHES = "package lists and caches"
    #: Visible to containers, so not wasted.
    LEFT_OVER = "could be left out"


@dataclass(frozen=True, slots=True)
class Folded:
    """A path that represents itself or, if `folder`, all files below it."""

    path: bytes  # Without a leading slash.
    size: int
    files: int
    folder: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """Bytes with one cause, written by one layer and hidden by one."""

    cause: Cause  # Why they could be saved.
    wrote: int
    #: The layer that hid them; None if it was their own or nothing hides them.
    hidden_by: int | None
    size: int
    files: int
    uncompared: int  # Bytes whose content has not been compared with their replacement.
    aspects: Aspect  # What the hiding layer changed in any of the copied files.
    kind: LeftOver | None  # Their kind, if builds are known to leave it behind.
    where: bytes  # The lowest common folder; empty for the root.
    #: The largest paths first, folded into folders that contain nothing else.
    paths: tuple[Folded, ...]


@dataclass(frozen=True, slots=True)
class Causes:
    wasted: tuple[Finding, ...]  # Hidden files, largest first.
    left_over: tuple[Finding, ...]  # What containers see but do not need, largest first.

    @property
    def wasted_size(self) -> int:
        return sum(each.size for each in self.wasted)

    @property
    def left_over_size(self) -> int:
        return sum(each.size for each in self.left_over)

    @property
    def uncompared(self) -> int:
        return sum(each.uncompared for each in self.wasted)

    def by_cause(self) -> list[tuple[Cause, int, list[Finding]]]:
        """Causes with their bytes and findings, largest first, `LEFT_OVER` last."""
        groups: dict[Cause, list[Finding]] = {}
        for finding in (*self.wasted, *self.left_over):
            groups.setdefault(finding.cause, []).append(finding)
        sums = [(cause, sum(x.size for x in found), found) for cause, found in groups.items()]
        return sorted(sums, key=lambda group: (group[0] is Cause.LEFT_OVER, -group[1]))


def find_causes(
    stack: Stack,
    stop: Callable[[], None] = lambda: None,
    *,
    paths: bool = True,
    left_over: bool = True,
) -> Causes:
    """Finds what could be saved in an image; uncompared content counts as rewritten.

    `stop` is called repeatedly and may raise. Leaving out the findings' `paths`, or those that
    could be `left_over`, is faster.
    """
    hidden_by = hiders(stack)
    lost = hidden_files(stack, hidden_by)
    names, ups = _replaced(stack, lost, hidden_by)
    kinds = find_left_overs(stack.tree)
    stop()
    nodes = stack.nodes[lost]
    causes = np.full(len(lost), _ORDER.index(Cause.REMOVED), np.int64)
    causes[_with_their_folder(stack, names, hidden_by[lost])] = _ORDER.index(Cause.REMOVED_TREE)
    replaced = ups >= 0
    same_file = replaced & (stack.types[ups] == EntryType.FILE)
    content = stack.aspects[ups] & np.uint16(Aspect.CONTENT | Aspect.TYPE) != 0
    unread = same_file & stack.unread[ups]
    causes[replaced] = _ORDER.index(Cause.REWRITTEN)
    causes[same_file & ~content & ~unread] = _ORDER.index(Cause.COPIED)
    cache = _CACHES[kinds[nodes]]
    causes[cache] = _ORDER.index(Cause.CACHES)
    own = hidden_by[lost] == stack.layers[lost]
    causes[own & ~cache] = _ORDER.index(Cause.REWRITTEN)
    aspects = np.where(causes == _ORDER.index(Cause.COPIED), stack.aspects[ups], 0)
    marks = np.where(cache, kinds[nodes], -1)
    columns = (causes, stack.layers[lost], np.where(own, -1, hidden_by[lost]), marks)
    findings = []
    for (cause, wrote, hider, kind), group in _groups(columns):
        stop()
        rows = lost[group]
        bits = Aspect(int(np.bitwise_or.reduce(aspects[group], initial=0)))
        unknown = int(stack.sizes[rows[unread[group] & ~cache[group]]].sum())
        findings.append(
            _finding(stack, kinds, rows, _ORDER[cause], wrote, hider, kind, bits, unknown, paths)
        )
    left = _left_over(stack, hidden_by, kinds, paths) if left_over else []
    return Causes(_largest(findings), _largest(left))


#: Causes by number, in columns.
_ORDER = tuple(Cause)

#: Whether each kind is a cache; the last is for no kind, -1.
_CACHES = np.array([*(kind.cache for kind in KINDS), False], np.bool_)


def uncompared(stack: Stack) -> list[int]:
    """Versions to compare to distinguish copied files from rewritten ones, largest first."""
    hidden_by = hiders(stack)
    lost = hidden_files(stack, hidden_by)
    _, ups = _replaced(stack, lost, hidden_by)
    kinds = find_left_overs(stack.tree)[stack.nodes[lost]]
    asked = (ups >= 0) & stack.unread[ups] & ~_CACHES[kinds]
    rows = distinct(ups[asked])
    ordered: list[int] = rows[np.argsort(-stack.sizes[rows], kind="stable")].tolist()
    return ordered


def _replaced(stack: Stack, lost: Intp, hidden_by: Int16) -> tuple[Intp, Int64]:
    """For each hidden file, the row of the name hidden last, and of its replacement, or -1."""
    rows = np.flatnonzero(stack.types == EntryType.FILE)
    last = rows[stack.hidden_by[rows] == hidden_by[stack.inodes[rows]]]
    name_of = np.full(len(stack.kinds), -1, np.int64)
    # The inode's own name takes precedence if it was among the last.
    name_of[stack.inodes[last[::-1]]] = last[::-1]
    names = name_of[lost]
    over = np.full(len(stack.kinds), -1, np.int64)
    uppers = np.flatnonzero((stack.below >= 0) & (stack.kinds < EntryType.WHITEOUT))
    over[stack.below[uppers]] = uppers
    ups = over[names]
    # Nothing replaces a removed path, whatever a later layer puts there.
    gone = (ups >= 0) & (stack.layers[ups] != hidden_by[lost])
    ups[gone] = -1
    return names, ups


def _with_their_folder(stack: Stack, rows: Intp, hidden_by: Int16) -> Bool:
    """Which hidden versions were removed together with their folder."""
    tree = stack.tree
    result: Bool = np.zeros(len(rows), np.bool_)
    parents = tree.parents[stack.nodes[rows]]
    for layer in distinct(hidden_by).tolist():
        gone = np.zeros(len(tree), np.bool_)
        removed = stack.removed(layer)
        gone[stack.nodes[removed[stack.types[removed] == EntryType.DIR]]] = True
        own = hidden_by == layer
        result[own] = gone[parents[own]]
    return result


def _left_over(stack: Stack, hidden_by: Int16, kinds: Int8, paths: bool) -> list[Finding]:
    shown = (hidden_by == NEVER) & (stack.sizes > 0) & (stack.hidden_by == NEVER)
    files = inodes_of_files(stack)
    files = files[shown[files] & (kinds[stack.nodes[files]] >= 0)]
    columns = (stack.layers[files], kinds[stack.nodes[files]])
    return [
        _finding(
            stack, kinds, files[group], Cause.LEFT_OVER, key[0], -1, key[1], Aspect(0), 0, paths
        )
        for key, group in _groups(columns)
    ]


def _groups(columns: tuple[npt.NDArray[np.generic], ...]) -> list[tuple[tuple[int, ...], Intp]]:
    """The distinct rows of some columns of small numbers, and their positions."""
    if not len(columns[0]):
        return []
    table = np.stack([column.astype(np.int16) for column in columns], axis=1)
    # A row becomes one number of its bytes, which sorts much faster than several columns.
    keys = np.zeros(len(table), np.int64)
    for column in columns:
        keys = (keys << 16) + column.astype(np.int64)
    order = np.argsort(keys, kind="stable")
    bounds = np.flatnonzero(np.diff(keys[order])) + 1
    groups = np.split(order, bounds)
    return [(tuple(table[group[0]].tolist()), group) for group in groups]


def _finding(
    stack: Stack,
    marks: Int8,
    rows: Intp,
    cause: Cause,
    wrote: int,
    hider: int,
    kind: int,
    aspects: Aspect,
    unknown: int,
    with_paths: bool,
) -> Finding:
    paths = _folded(stack, marks, rows, wrote, kind) if with_paths else []
    return Finding(
        cause=cause,
        wrote=wrote,
        hidden_by=hider if hider >= 0 else None,
        size=int(stack.sizes[rows].sum()),
        files=len(rows),
        uncompared=unknown,
        aspects=aspects,
        kind=KINDS[kind] if kind >= 0 else None,
        where=stack.tree.path(common_folder(stack.tree, stack.nodes[rows])),
        paths=tuple(sorted(paths, key=lambda each: (-each.size, each.path))),
    )


def _folded(stack: Stack, marks: Int8, rows: Intp, wrote: int, kind: int) -> list[Folded]:
    """The paths of a layer's files, folded into folders that contain nothing else of it."""
    own = stack.rows(wrote)
    written = np.arange(own.start, own.stop)
    kinds = stack.kinds[own.start : own.stop]
    written = written[(kinds == EntryType.FILE) & (stack.sizes[own.start : own.stop] > 0)]
    if kind >= 0:
        # The kind is stated, so its folders may contain other files.
        written = written[marks[stack.nodes[written]] == kind]
    folded = fold(stack.tree, stack.nodes[rows], stack.sizes[rows], stack.nodes[written])
    names = stack.tree.paths([node for node, _, _, _ in folded])
    return [
        Folded(name, size, files, folder)
        for name, (_, size, files, folder) in zip(names, folded, strict=True)
    ]


def _largest(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda each: (-each.size, each.wrote)))


def fold(
    tree: PathTree, nodes: Int32, sizes: Int64, whole: Int32
) -> list[tuple[int, int, int, bool]]:
    """Replaces files by folders that contain no others.

    `nodes` are the files, which may be repeated; `whole` are all files, including `nodes`.

    Returns node, bytes, number of files, and whether the node represents the files below it.
    """
    if not len(nodes):
        return []
    order = np.argsort(nodes, kind="stable")
    picked, sums = nodes[order], np.concatenate([[0], np.cumsum(sizes[order])])
    everything = np.sort(whole)
    ends, parents = tree.ends, tree.parents
    alone = distinct(picked)
    # A path that is a file in one entry of a layer and a folder in another represents itself.
    whole_branch = _within(picked, alone, ends) == _within(everything, alone, ends)
    alone, current = alone[~whole_branch], alone[whole_branch]
    settled: list[Int32] = []
    while len(current):
        above = parents[current]
        climbs = (above != current) & (
            _within(picked, above, ends) == _within(everything, above, ends)
        )
        settled.append(current[~climbs])
        current = distinct(above[climbs])
    tops = distinct(np.concatenate([np.zeros(0, np.int32), *settled]))
    first = np.searchsorted(picked, np.concatenate([tops, alone]))
    last = np.searchsorted(picked, np.concatenate([ends[tops], alone + 1])) - 1
    # The lowest folder that contains all of them.
    low, final = picked[first].copy(), picked[last]
    while (short := ends[low] <= final).any():
        low[short] = parents[low[short]]
    bytes_, files = sums[last + 1] - sums[first], last + 1 - first
    folders = (low != picked[first]) | (final != picked[first])
    columns = (column.tolist() for column in (low, bytes_, files, folders))
    return list(zip(*columns, strict=True))


def _within(nodes: Int32, folders: Int32, ends: Int32) -> Intp:
    """The number of sorted nodes in or at each folder."""
    return np.searchsorted(nodes, ends[folders]) - np.searchsorted(nodes, folders)


def common_folder(tree: PathTree, nodes: Int32) -> int:
    low, last = int(nodes.min()), int(nodes.max())
    while tree.ends[low] <= last:
        low = int(tree.parents[low])
    return low
