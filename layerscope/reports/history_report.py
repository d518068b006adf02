"""`layerscope history`: every version of a path, the layer behind it, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerscope.errors import NotFoundError
from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.lookup import Version, path_history
from layerscope.images.file_digests import settle
from layerscope.images.loading import Loaded
from layerscope.images.reader import ImageReader
from layerscope.reports.entry import aspect_words, change_text, version_document, version_text
from layerscope.text import decode, one_line, visible

SCHEMA = "layerscope.history/1"


def versions_at(loaded: Loaded, reader: ImageReader, path: bytes) -> list[Version]:
    """All versions of a path, their content compared.

    Raises:
        NotFoundError: No layer has the path.
    """
    stack = loaded.stack
    node = stack.tree.find(path)
    rows = [] if node is None else stack.versions(node)
    if node is None or not rows:
        raise NotFoundError(
            f"No layer of {visible(loaded.image.reference)} has /{visible(path)}.",
            "Paths are as `layerscope files` lists them.",
        )
    settle(stack, reader, [row for row in rows if stack.unread[row]])
    return path_history(stack, node)


def history_document(loaded: Loaded, path: bytes, versions: list[Version]) -> dict[str, Any]:
    """The object that `history --json` prints."""
    return {
        "schema": SCHEMA,
        "path": "/" + decode(path),
        "versions": [_document(loaded, version) for version in versions],
    }


def _document(loaded: Loaded, version: Version) -> dict[str, Any]:
    stack = loaded.stack
    removed = version.change is Change.REMOVED
    document: dict[str, Any] = {
        "layer": version.layer,
        "instruction": loaded.image.layers[version.layer].instruction,
        "change": version.change.label,
        "changed": aspect_words(version.aspects),
        "content_unchanged": _content_unchanged(loaded, version),
        "hidden_by": version.hidden_by,
    }
    if not removed:
        document |= version_document(stack, version.row)
    return document


def _content_unchanged(loaded: Loaded, version: Version) -> bool | None:
    """Whether a file came again with the same bytes; None where that is no question or unknown."""
    stack = loaded.stack
    if version.change in (Change.ADDED, Change.REMOVED) or not version.content_known:
        return None
    if stack.types[version.row] != EntryType.FILE or version.aspects & Aspect.TYPE:
        return None
    return not version.aspects & Aspect.CONTENT


def history_text(loaded: Loaded, path: bytes, versions: list[Version]) -> Iterator[str]:
    """The same for people, line by line."""
    yield f"/{visible(path)}"
    for version in versions:
        yield ""
        yield from version_lines(loaded, version)


def version_lines(loaded: Loaded, version: Version) -> Iterator[str]:
    """A version for people: its layer, what it is, what changed, and what hid it."""
    stack = loaded.stack
    instruction = one_line(loaded.image.layers[version.layer].instruction)
    yield f"layer {version.layer}  {version.change.label}  {instruction}"
    if version.change is Change.REMOVED:
        return
    yield f"    {version_text(stack, version.row)}"
    if version.change is not Change.ADDED:
        below = int(stack.below[version.row])
        changed = change_text(stack, below, version.row, version.aspects, version.content_known)
        yield f"    changed: {changed}" if version.aspects else "    nothing changed"
    if version.hidden_by is None:
        yield "    visible in the image"
    else:
        yield f"    hidden by layer {version.hidden_by}"
