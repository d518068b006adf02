"""Finds a path in the union as the kernel would, symlinks followed inside the image."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack

#: As many links as Linux follows before it gives up with ELOOP.
_MAX_LINKS = 40


class LookupFailedError(LookupError):
    """A path that is not there; the message says why, as the end of a sentence.

    Attributes:
        leads_to: The path that is missing, where symlinks led there; else None.
    """

    def __init__(self, problem: str, leads_to: bytes | None = None) -> None:
        super().__init__(problem)
        self.leads_to = leads_to


def clean_user_path(path: str) -> bytes:
    """A path as a user types it, without slash in front and behind, `.` and `..` resolved."""
    parts: list[bytes] = []
    for part in path.encode("utf-8", "surrogateescape").split(b"/"):
        if part == b"..":
            if parts:
                parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def resolve(stack: Stack, path: bytes, layer: int, *, follow: bool = True) -> int:
    """The version that a path means with `layer` on top.

    Args:
        stack: The layers.
        path: The path, without slash in front.
        layer: Number of the top layer.
        follow: Whether a symlink at the end is followed too.

    Returns:
        Its row. The root folder has none, and is not found.

    Raises:
        LookupFailedError: There is none.
    """
    pending = path.split(b"/")[::-1]
    done: list[bytes] = []
    links = 0
    row = -1
    while pending:
        part = pending.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            if done:
                done.pop()
            continue
        done.append(part)
        node = stack.tree.find(b"/".join(done))
        found = None if node is None else stack.version(node, layer)
        if found is None:
            missing = b"/".join([*done, *pending[::-1]])
            raise LookupFailedError("it is not in the image", missing if links else None)
        row = found
        kind = stack.types[row]
        if kind == EntryType.SYMLINK and (follow or pending):
            links += 1
            if links > _MAX_LINKS:
                raise LookupFailedError("its symbolic links go round in a circle")
            target = stack.link(int(stack.inodes[row])) or b""
            done = [] if target.startswith(b"/") else done[:-1]
            pending += target.split(b"/")[::-1]
        elif pending and kind != EntryType.DIR:
            raise LookupFailedError("something on the way to it is no folder")
    node = stack.tree.find(b"/".join(done))
    final = None if node is None or not done else stack.version(node, layer)
    if final is None:
        raise LookupFailedError("it is a folder that no layer describes")
    return final


@dataclass(frozen=True, slots=True)
class Version:
    """One thing that a layer did at a path.

    Attributes:
        layer: The layer.
        row: The version's row; of a removal, the row of the version that was removed.
        change: What the layer did.
        aspects: In what the version differs from the one below, if it was modified.
        hidden_by: The layer that hid the version, None while it is visible at the top.
        content_known: Whether CONTENT in `aspects` is certain, one way or the other.
    """

    layer: int
    row: int
    change: Change
    aspects: Aspect
    hidden_by: int | None
    content_known: bool


def path_history(stack: Stack, node: int) -> list[Version]:
    """Everything that layers did at a path, lowest layer first; removals are versions too."""
    result: list[Version] = []
    rows = stack.versions(node)
    present = {int(stack.layers[row]) for row in rows}
    for row in rows:
        layer, hidden_by = int(stack.layers[row]), int(stack.hidden_by[row])
        top = hidden_by >= stack.height
        result.append(
            Version(
                layer=layer,
                row=row,
                change=Change(int(stack.changes[row])),
                aspects=Aspect(int(stack.aspects[row])),
                hidden_by=None if top else hidden_by,
                content_known=not bool(stack.unread[row]),
            )
        )
        if not top and hidden_by not in present:
            result.append(Version(hidden_by, row, Change.REMOVED, Aspect(0), None, True))
    return sorted(result, key=lambda version: version.layer)
