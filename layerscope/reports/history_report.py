"""`layerscope history`: every version of a path, its layer, and its changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerscope.errors import NotFoundError
from layerscope.filesystem.change import Aspect, Change, aspect_words
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.facts import time_text
from layerscope.filesystem.lookup import Version, path_history
from layerscope.images.files.digests import settle
from layerscope.images.loading import Loaded
from layerscope.images.reader import ImageReader
from layerscope.reports.color import by_change
from layerscope.reports.entry import difference_text, version_document, version_text
from layerscope.text import decode, plural, visible


def versions_at(loaded: Loaded, reader: ImageReader, path: bytes) -> list[Version]:
    """All versions of a path, with their content compared.

    Raises NotFoundError if no layer has the path.
    """
    stack = loaded.stack
    node = stack.tree.find(path)
    rows = [] if node is None else stack.versions(node)
    if node is None or not rows:
        raise NotFoundError(
            f"No layer of {visible(loaded.image.reference)} has /{visible(path)}.",
            "`layerscope files` lists the paths.",
        )
    settle(stack, reader, [row for row in rows if stack.unread[row]])
    return path_history(stack, node)


def history_document(loaded: Loaded, path: bytes, versions: list[Version]) -> dict[str, Any]:
    return {
        "schema": "layerscope.history/1",
        "path": "/" + decode(path),
        "count": _count(versions),
        "layer": _shown(versions),
        "versions": [_document(loaded, version) for version in versions],
    }


def _document(loaded: Loaded, version: Version) -> dict[str, Any]:
    stack = loaded.stack
    document: dict[str, Any] = {
        "layer": version.layer,
        "instruction": loaded.image.layers[version.layer].instruction,
        "change": version.change.label,
        "changed": aspect_words(version.aspects),
        "content_unchanged": _content_unchanged(loaded, version),
        "hidden_by": version.hidden_by,
    }
    if version.change is not Change.REMOVED:
        document |= version_document(stack, version.row)
    return document


def _content_unchanged(loaded: Loaded, version: Version) -> bool | None:
    """Whether a file was written again with the same bytes; None if unknown or not a file."""
    stack = loaded.stack
    if version.change in (Change.ADDED, Change.REMOVED) or not version.content_known:
        return None
    if stack.types[version.row] != EntryType.FILE or version.aspects & Aspect.TYPE:
        return None
    return not version.aspects & Aspect.CONTENT


def history_text(loaded: Loaded, path: bytes, versions: list[Version]) -> Iterator[str]:
    yield f"/{visible(path)}"
    layer = _shown(versions)
    state = f"layer {layer} wrote the visible one" if layer is not None else "none is visible"
    yield f"{plural(_count(versions), 'version')}; {state}"
    for version in versions:
        yield ""
        yield from version_lines(loaded, version)


def _count(versions: list[Version]) -> int:
    return sum(version.change is not Change.REMOVED for version in versions)


def _shown(versions: list[Version]) -> int | None:
    """The layer of the version that the image shows, if any."""
    last = versions[-1]
    return last.layer if last.change is not Change.REMOVED and last.hidden_by is None else None


def version_lines(loaded: Loaded, version: Version) -> Iterator[str]:
    """A version: its layer, type, changes, and what hid it."""
    stack = loaded.stack
    instruction = loaded.image.layers[version.layer].made_by
    change = by_change(version.change.label, version.change)
    yield f"layer {version.layer}  {change}  {instruction}"
    if version.change is Change.REMOVED:
        return
    time = time_text(int(stack.mtimes[version.row]))
    yield f"    {version_text(stack, version.row)}  {time}"
    if version.change is not Change.ADDED:
        below = int(stack.below[version.row])
        changed = difference_text(
            stack, below, stack, version.row, version.aspects, version.content_known
        )
        yield f"    changed: {changed}" if version.aspects else "    nothing changed"
    if version.hidden_by is None:
        yield "    visible in the image"
    else:
        yield f"    hidden by layer {version.hidden_by}"
