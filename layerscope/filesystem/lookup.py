"""Finds a path in the merged view as the kernel would, following symlinks inside the image."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack

#: Linux follows this many before it fails with ELOOP.
_MAX_LINKS = 40


class LookupFailedError(LookupError):
    """A path that does not exist; the message is the reason, as the end of a sentence."""

    def __init__(self, problem: str, leads_to: bytes | None = None) -> None:
        super().__init__(problem)
        self.leads_to = leads_to  # The missing path that symlinks led to, or None.


def clean_user_path(path: str) -> bytes:
    """A path as typed, without leading and trailing slashes, `.` and `..` resolved."""
    parts: list[bytes] = []
    for part in path.encode("utf-8", "surrogateescape").split(b"/"):
        if part == b"..":
            if parts:
                parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def resolve(stack: Stack, path: bytes, layer: int, *, follow: bool = True) -> int:
    """The row of the version at a path with `layer` on top.

    Raises LookupFailedError if there is none; the root folder has none either.
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
                raise LookupFailedError("its symbolic links form a loop")
            target = stack.link(int(stack.inodes[row])) or b""
            done = [] if target.startswith(b"/") else done[:-1]
            pending += target.split(b"/")[::-1]
        elif pending and kind != EntryType.DIR:
            raise LookupFailedError("a part of it is not a folder")
    node = stack.tree.find(b"/".join(done))
    final = None if node is None or not done else stack.version(node, layer)
    if final is None:
        raise LookupFailedError("no layer has an entry for this folder")
    return final


def entries_below(stack: Stack, text: str, layer: int | None) -> list[str]:
    """Paths that begin with a text, as typed; folders end with a slash.

    With `layer`, they are those visible with it on top, and symlinks are followed; without it,
    those of all layers.
    """
    folder, slash, beginning = text.rpartition("/")
    path = clean_user_path(folder)
    node: int | None = 0
    if path:
        try:
            node = stack.tree.find(path) if layer is None else _node(stack, path, layer)
        except LookupFailedError:
            node = None
    if node is None:
        return []
    found = []
    for child in stack.tree.children(node):
        name = stack.tree.name(child).decode("utf-8", "surrogateescape")
        if not name.startswith(beginning):
            continue
        rows = stack.versions(child)[-1:] if layer is None else [stack.version(child, layer)]
        for row in rows:
            if row is not None:
                is_folder = stack.types[row] == EntryType.DIR
                found.append(f"{folder}{slash or '/'}{name}{'/' if is_folder else ''}")
    return found


def _node(stack: Stack, path: bytes, layer: int) -> int:
    return int(stack.nodes[resolve(stack, path, layer)])


@dataclass(frozen=True, slots=True)
class Version:
    """A change that a layer made to a path."""

    layer: int
    row: int  # The version's row; for a removal, the removed version's.
    change: Change
    aspects: Aspect  # How it differs from the version below, if it was modified.
    hidden_by: int | None  # The layer that hid it; None if it is visible at the top.
    content_known: bool  # Whether CONTENT in `aspects` is certain.


def path_history(stack: Stack, node: int) -> list[Version]:
    """All changes that layers made to a path, including removals, lowest layer first."""
    result: list[Version] = []
    rows = stack.versions(node)
    present = {int(stack.layers[row]) for row in rows}
    for row in rows:
        layer, hidden_by = int(stack.layers[row]), int(stack.hidden_by[row])
        top = hidden_by >= stack.height
        change, aspects = Change(int(stack.changes[row])), Aspect(int(stack.aspects[row]))
        known = not bool(stack.unread[row])
        result.append(Version(layer, row, change, aspects, None if top else hidden_by, known))
        if not top and hidden_by not in present:
            result.append(Version(hidden_by, row, Change.REMOVED, Aspect(0), None, True))
    return sorted(result, key=lambda version: version.layer)
