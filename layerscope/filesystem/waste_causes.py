"""Why bytes are wasted: what wrote them, what hid them, and how; and what could be left out.

The sums are those of `waste.measure`: every hidden inode has one cause, and all causes together are
what an image wastes. What containers see but do not need is counted apart: it is not wasted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from layerscope.filesystem.change import NEVER, Aspect
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.folding import common_folder, fold
from layerscope.filesystem.left_overs import KINDS, LeftOver, find_left_overs
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.waste import hidden_files, hiders

_Ints = npt.NDArray[np.intp]


class Cause(Enum):
    """How bytes came to be hidden; the value is what JSON says."""

    COPIED = "unchanged content"
    REWRITTEN = "rewritten"
    REMOVED = "removed"
    REMOVED_TREE = "removed tree"
    CACHES = "package lists and caches"
    #: Seen by containers, so not wasted.
    LEFT_OVER = "could be left out"


@dataclass(frozen=True, slots=True)
class Folded:
    """A path that stands for itself or for all files below it.

    Attributes:
        path: The path, without leading slash.
        size: Bytes.
        files: How many files.
        folder: Whether it stands for what is below it.
    """

    path: bytes
    size: int
    files: int
    folder: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """Bytes with one cause, written by one layer and hidden by one.

    Attributes:
        cause: Why they could be saved.
        wrote: The layer that wrote them.
        hidden_by: The layer that hid them; None if that was their own, or nothing hides them.
        size: Bytes.
        files: How many files.
        uncompared: Bytes of those whose content nobody has compared with what replaced it.
        aspects: What the hiding layer changed of copied files, in all of them together.
        kind: What they are, if they are one of the things that builds leave behind.
        where: The lowest path that is above all of them; empty if only the root is.
        paths: Where they are, largest first, folded to the highest folders that say it all.
    """

    cause: Cause
    wrote: int
    hidden_by: int | None
    size: int
    files: int
    uncompared: int
    aspects: Aspect
    kind: LeftOver | None
    where: bytes
    paths: tuple[Folded, ...]


@dataclass(frozen=True, slots=True)
class Causes:
    """What could be saved.

    Attributes:
        wasted: What is hidden, largest first.
        left_over: What containers see and need not have, largest first.
    """

    wasted: tuple[Finding, ...]
    left_over: tuple[Finding, ...]

    @property
    def wasted_size(self) -> int:
        """The same as that of `waste.measure`."""
        return sum(each.size for each in self.wasted)

    @property
    def left_over_size(self) -> int:
        """Bytes of what could be left out."""
        return sum(each.size for each in self.left_over)

    @property
    def uncompared(self) -> int:
        """Bytes of which it is not known whether they were rewritten or copied."""
        return sum(each.uncompared for each in self.wasted)

    def by_cause(self) -> list[tuple[Cause, int, list[Finding]]]:
        """Causes of waste with their bytes and findings, largest first, what is left over last."""
        groups: dict[Cause, list[Finding]] = {}
        for finding in (*self.wasted, *self.left_over):
            groups.setdefault(finding.cause, []).append(finding)
        sums = [(cause, sum(x.size for x in found), found) for cause, found in groups.items()]
        return sorted(sums, key=lambda group: (group[0] is Cause.LEFT_OVER, -group[1]))


def find_causes(stack: Stack, stop: Callable[[], None] = lambda: None) -> Causes:
    """Finds what could be saved in an image.

    Args:
        stack: Its layers; content that has not been compared counts as rewritten.
        stop: Called now and then; may raise, to end the search.
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
            _finding(stack, kinds, rows, _ORDER[cause], wrote, hider, kind, bits, unknown)
        )
    return Causes(_largest(findings), _largest(_left_over(stack, hidden_by, kinds)))


#: Causes by number, in columns.
_ORDER = tuple(Cause)

#: Which kinds of what is left over are caches; the last is for what is of no kind, -1.
_CACHES = np.array([*(kind.cache for kind in KINDS), False], np.bool_)


def uncompared(stack: Stack) -> list[int]:
    """Versions whose bytes tell whether a hidden file was copied or rewritten, largest first."""
    hidden_by = hiders(stack)
    lost = hidden_files(stack, hidden_by)
    _, ups = _replaced(stack, lost, hidden_by)
    kinds = find_left_overs(stack.tree)[stack.nodes[lost]]
    asked = (ups >= 0) & stack.unread[ups] & ~_CACHES[kinds]
    rows = np.unique(ups[asked])
    ordered: list[int] = rows[np.argsort(-stack.sizes[rows], kind="stable")].tolist()
    return ordered


def _replaced(
    stack: Stack, lost: _Ints, hidden_by: npt.NDArray[np.int16]
) -> tuple[_Ints, npt.NDArray[np.int64]]:
    """For each hidden file a name of it that was hidden last, and what took that path then.

    Returns:
        Rows of names, and of the versions over them; -1 where there is none.
    """
    rows = np.flatnonzero(stack.types == EntryType.FILE)
    last = rows[stack.hidden_by[rows] == hidden_by[stack.inodes[rows]]]
    name_of = np.full(len(stack.kinds), -1, np.int64)
    # The inode's own name, if it was among the last, goes before others.
    name_of[stack.inodes[last[::-1]]] = last[::-1]
    names = name_of[lost]
    over = np.full(len(stack.kinds), -1, np.int64)
    uppers = np.flatnonzero((stack.below >= 0) & (stack.kinds < EntryType.WHITEOUT))
    over[stack.below[uppers]] = uppers
    ups = over[names]
    # A path that was removed has nothing over it, whatever a later layer puts there.
    gone = (ups >= 0) & (stack.layers[ups] != hidden_by[lost])
    ups[gone] = -1
    return names, ups


def _with_their_folder(
    stack: Stack, rows: _Ints, hidden_by: npt.NDArray[np.int16]
) -> npt.NDArray[np.bool_]:
    """Which hidden versions went together with the folder that they were in."""
    tree = stack.tree
    result: npt.NDArray[np.bool_] = np.zeros(len(rows), np.bool_)
    parents = tree.parents[stack.nodes[rows]]
    for layer in np.unique(hidden_by).tolist():
        gone = np.zeros(len(tree), np.bool_)
        removed = stack.removed(layer)
        gone[stack.nodes[removed[stack.types[removed] == EntryType.DIR]]] = True
        own = hidden_by == layer
        result[own] = gone[parents[own]]
    return result


def _left_over(
    stack: Stack, hidden_by: npt.NDArray[np.int16], kinds: npt.NDArray[np.int8]
) -> list[Finding]:
    files = np.flatnonzero(
        (stack.kinds == EntryType.FILE)
        & (stack.inodes == np.arange(len(stack.kinds)))
        & (hidden_by == NEVER)
        & (stack.sizes > 0)
        & (stack.hidden_by == NEVER)
    )
    files = files[kinds[stack.nodes[files]] >= 0]
    columns = (stack.layers[files], kinds[stack.nodes[files]])
    return [
        _finding(stack, kinds, files[group], Cause.LEFT_OVER, key[0], -1, key[1], Aspect(0), 0)
        for key, group in _groups(columns)
    ]


def _groups(columns: tuple[npt.NDArray[np.generic], ...]) -> list[tuple[tuple[int, ...], _Ints]]:
    """The different rows of some columns, and where each is."""
    if not len(columns[0]):
        return []
    table = np.stack([column.astype(np.int64) for column in columns], axis=1)
    keys, places = np.unique(table, axis=0, return_inverse=True)
    order = np.argsort(places.ravel(), kind="stable")
    bounds = np.searchsorted(places.ravel()[order], np.arange(1, len(keys)))
    return [
        (tuple(key), group)
        for key, group in zip(keys.tolist(), np.split(order, bounds), strict=True)
    ]


def _finding(
    stack: Stack,
    marks: npt.NDArray[np.int8],
    rows: _Ints,
    cause: Cause,
    wrote: int,
    hider: int,
    kind: int,
    aspects: Aspect,
    unknown: int,
) -> Finding:
    own = stack.rows(wrote)
    written = np.arange(own.start, own.stop)
    kinds = stack.kinds[own.start : own.stop]
    written = written[(kinds == EntryType.FILE) & (stack.sizes[own.start : own.stop] > 0)]
    if kind >= 0:
        # Its name says what is meant, so that its folders may have other things in them.
        written = written[marks[stack.nodes[written]] == kind]
    folded = fold(stack.tree, stack.nodes[rows], stack.sizes[rows], stack.nodes[written])
    names = stack.tree.paths([node for node, _, _, _ in folded])
    paths = [
        Folded(name, size, files, folder)
        for name, (_, size, files, folder) in zip(names, folded, strict=True)
    ]
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


def _largest(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda each: (-each.size, each.wrote)))
