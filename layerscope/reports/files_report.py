"""`layerscope files`: the merged view, or one layer's changes, one entry per line."""

from __future__ import annotations

from collections.abc import Iterator
from json.encoder import encode_basestring_ascii as quote

import numpy as np

from layerscope.errors import NotFoundError
from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import EntryType, Int32
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.suspicious import suspicion
from layerscope.reports.color import by_size, marked
from layerscope.reports.entry import mark_text, mode_text
from layerscope.text import decode, visible

_SLICE = 8192  # Rows converted to Python objects at a time.


def listed_rows(stack: Stack, layer: int | None, path: bytes = b"") -> Int32:
    """The rows of a layer's changes, or of the merged view, by path, without the root folder.

    With a path, only those at and below it. Raises NotFoundError if the path does not exist.
    """
    rows = _all_rows(stack, layer)
    if not path:
        return rows
    node = stack.tree.find(path)
    if node is not None:
        nodes = stack.nodes[rows]
        rows = rows[(nodes >= node) & (nodes < stack.tree.ends[node])]
    if node is None or not len(rows):
        where = "The merged view has no" if layer is None else f"Layer {layer} does not change"
        raise NotFoundError(
            f"{where} /{visible(path)}.", "`layerscope files` without a path lists all."
        )
    return rows


def _all_rows(stack: Stack, layer: int | None) -> Int32:
    if layer is None:
        merged = stack.union(stack.height - 1)
        below_root: Int32 = merged[stack.nodes[merged] != 0]
        return below_root
    rows = stack.changed(layer)
    rows = rows[(stack.nodes[rows] != 0) | (stack.kinds[rows] == EntryType.OPAQUE)]
    ordered: Int32 = rows[np.lexsort((stack.kinds[rows], stack.nodes[rows]))]
    return ordered


def json_lines(stack: Stack, layer: int | None, path: bytes = b"") -> Iterator[str]:
    merged = layer is None
    labels = [kind.label for kind in EntryType]
    changes = ["null" if merged else f'"{change.label}"' for change in Change]
    kinds = stack.types if merged else stack.kinds
    rows = listed_rows(stack, layer, path)
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
            (stack.shown_mtimes(part) if merged else stack.mtimes[part]).tolist(),
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
                f'"layer": {of_layer}, "change": {changes[change]}{_marks(stack, row)}}}'
            )


def _marks(stack: Stack, row: int) -> str:
    """The fields that few versions have."""
    marks = ', "implied": true' if stack.implied(row) else ""
    suspicious = suspicion(stack, row)
    return marks + (f', "suspicious": {quote(suspicious)}' if suspicious else "")


def text_lines(stack: Stack, layer: int | None, path: bytes = b"") -> Iterator[str]:
    merged = layer is None
    for row in listed_rows(stack, layer, path).tolist():
        kind = EntryType(int((stack.types if merged else stack.kinds)[row]))
        mark = "" if merged else f"{marked(Change(int(stack.changes[row])).letter)} "
        size = int(stack.sizes[row])
        mode = mode_text(kind, int(stack.modes[row]))
        owner = f"{stack.uids[row]}:{stack.gids[row]}"
        yield (
            f"{mark}{mode} {owner:>11} {by_size(f'{size:>12}', size)} "
            f"/{visible(stack.tree.path(int(stack.nodes[row])))}{_target(stack, row, kind)}"
            f"{mark_text(stack, row)}"
        )


def _target(stack: Stack, row: int, kind: EntryType) -> str:
    if kind is EntryType.SYMLINK:
        return f" -> {visible(stack.link(int(stack.inodes[row])) or b'')}"
    if kind is EntryType.HARDLINK:
        return f" link to /{visible(stack.link(row) or b'')}"
    return ""
