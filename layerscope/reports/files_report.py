"""`layerscope files`: the union at the top, or one layer's changes, an entry a line."""

from __future__ import annotations

from collections.abc import Iterator
from json.encoder import encode_basestring_ascii as quote

import numpy as np

from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tree import Int32
from layerscope.reports.entry import mode_text
from layerscope.text import decode, visible

#: Rows that are turned into Python objects at a time.
_SLICE = 8192


def listed_rows(stack: Stack, layer: int | None) -> Int32:
    """Versions to list, by path; the root folder, which every image has, is not among them.

    Args:
        stack: The layers.
        layer: The layer whose changes to list, or None for the union at the top.
    """
    if layer is None:
        union = stack.union(stack.height - 1)
        below_root: Int32 = union[stack.nodes[union] != 0]
        return below_root
    span = stack.rows(layer)
    rows = np.arange(span.start, span.stop, dtype=np.int32)
    rows = rows[(stack.nodes[rows] != 0) | (stack.kinds[rows] == EntryType.OPAQUE)]
    order = np.lexsort((stack.kinds[rows], stack.nodes[rows]))
    ordered: Int32 = rows[order]
    return ordered


def json_lines(stack: Stack, layer: int | None) -> Iterator[str]:
    """One JSON object a line, with the fields of the design's `files --json-lines`."""
    union = layer is None
    labels = [kind.label for kind in EntryType]
    changes = ["null" if union else f'"{change.label}"' for change in Change]
    kinds = stack.types if union else stack.kinds
    rows = listed_rows(stack, layer)
    for start in range(0, len(rows), _SLICE):
        part = rows[start : start + _SLICE]
        paths = stack.tree.paths(stack.nodes[part].tolist())
        for row, path, kind, mode, uid, gid, size, mtime, of_layer, change in zip(
            part.tolist(),
            paths,
            kinds[part].tolist(),
            stack.modes[part].tolist(),
            stack.uids[part].tolist(),
            stack.gids[part].tolist(),
            stack.sizes[part].tolist(),
            stack.mtimes[part].tolist(),
            stack.layers[part].tolist(),
            stack.changes[part].tolist(),
            strict=True,
        ):
            link = "null"
            if kind == EntryType.SYMLINK:
                link = quote(decode(stack.link(int(stack.inodes[row])) or b""))
            elif kind == EntryType.HARDLINK:
                link = quote("/" + decode(stack.link(row) or b""))
            yield (
                f'{{"path": {quote("/" + decode(path))}, "type": "{labels[kind]}", "mode": {mode}, '
                f'"uid": {uid}, "gid": {gid}, "size": {size}, "mtime": {mtime}, "link": {link}, '
                f'"layer": {of_layer}, "change": {changes[change]}}}'
            )


def text_lines(stack: Stack, layer: int | None) -> Iterator[str]:
    """The same for people: change, mode, owner, size and path."""
    union = layer is None
    for row in listed_rows(stack, layer).tolist():
        kind = EntryType(int((stack.types if union else stack.kinds)[row]))
        mark = "" if union else f"{Change(int(stack.changes[row])).letter} "
        mode = mode_text(kind, int(stack.modes[row]))
        owner = f"{stack.uids[row]}:{stack.gids[row]}"
        yield (
            f"{mark}{mode} {owner:>11} {int(stack.sizes[row]):>12} "
            f"/{visible(stack.tree.path(int(stack.nodes[row])))}{_target(stack, row, kind)}"
        )


def _target(stack: Stack, row: int, kind: EntryType) -> str:
    if kind is EntryType.SYMLINK:
        return f" -> {visible(stack.link(int(stack.inodes[row])) or b'')}"
    if kind is EntryType.HARDLINK:
        return f" link to /{visible(stack.link(row) or b'')}"
    return ""
