"""Compares the unions of two stacks, path by path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack

#: Says whether two regular files of the same size have the same content; None if nobody can tell.
SameContent = Callable[[int, int], bool | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """A path that is not the same in two images.

    Attributes:
        path: The path, without slash in front.
        change: Added: only in the second; removed: only in the first; or modified.
        aspects: In what it differs, if it was modified.
        first: Row in the first stack, or None.
        second: Row in the second stack, or None.
        content_known: Whether CONTENT in `aspects` is certain.
    """

    path: bytes
    change: Change
    aspects: Aspect
    first: int | None
    second: int | None
    content_known: bool


def compare_unions(first: Stack, second: Stack, same_content: SameContent) -> list[Difference]:
    """What differs between the unions at the top of two stacks, by path.

    Args:
        first: One stack.
        second: The other.
        same_content: Asked for files of equal size that do not come from the same layer.
    """
    one, other = _by_path(first), _by_path(second)
    result: list[Difference] = []
    for path, row in one.items():
        match = other.get(path)
        if match is None:
            result.append(Difference(path, Change.REMOVED, Aspect(0), row, None, True))
            continue
        aspects, known = _aspects(first, row, second, match, same_content)
        if aspects:
            result.append(Difference(path, Change.MODIFIED, aspects, row, match, known))
    result += [
        Difference(path, Change.ADDED, Aspect(0), None, row, True)
        for path, row in other.items()
        if path not in one
    ]
    result.sort(key=lambda difference: difference.path.replace(b"/", b"\0"))
    return result


def _by_path(stack: Stack) -> dict[bytes, int]:
    rows = stack.union(stack.height - 1)
    rows = rows[stack.nodes[rows] != 0]
    paths = stack.tree.paths(stack.nodes[rows].tolist())
    return dict(zip(paths, rows.tolist(), strict=True))


def _aspects(
    first: Stack, row: int, second: Stack, match: int, same_content: SameContent
) -> tuple[Aspect, bool]:
    one, other = first.place(int(first.inodes[row])), second.place(int(second.inodes[match]))
    if one is not None and other is not None and one[0] is other[0] and one[1] == other[1]:
        return Aspect(0), True
    aspects = Aspect(0)
    kind = int(first.types[row])
    if kind != second.types[match]:
        aspects |= Aspect.TYPE
    if first.modes[row] != second.modes[match]:
        aspects |= Aspect.MODE
    if first.uids[row] != second.uids[match] or first.gids[row] != second.gids[match]:
        aspects |= Aspect.OWNER
    if first.mtimes[row] != second.mtimes[match]:
        aspects |= Aspect.MTIME
    if first.xattrs(row) != second.xattrs(match):
        aspects |= Aspect.XATTRS
    known = True
    if not aspects & Aspect.TYPE:
        if kind == EntryType.SYMLINK and _target(first, row) != _target(second, match):
            aspects |= Aspect.LINK
        elif kind in (EntryType.CHAR, EntryType.BLOCK):
            if first.device(row) != second.device(match):
                aspects |= Aspect.DEVICE
        elif kind == EntryType.FILE:
            same = first.sizes[row] == second.sizes[match]
            if same and first.sizes[row]:
                answer = same_content(row, match)
                known, same = answer is not None, answer is not False
            if not same:
                aspects |= Aspect.CONTENT
    return aspects, known


def _target(stack: Stack, row: int) -> bytes | None:
    return stack.link(int(stack.inodes[row]))
