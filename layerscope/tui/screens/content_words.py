"""What the screen that shows a file says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.lookup import LookupFailedError, resolve
from layerscope.reports.description_report import fact_text
from layerscope.text import docker_size, one_line, visible
from layerscope.tui.format import plural
from layerscope.tui.glyphs import RANGE, SEPARATOR

if TYPE_CHECKING:
    from layerscope.content.description import Description
    from layerscope.filesystem.stack import Stack
    from layerscope.images.image import Image
    from layerscope.tui.content_job import ContentJob
    from layerscope.tui.content_rows import HexRows

#: A title and a text, safe to show.
Told = list[tuple[str, str]]

#: Of these, the title and the first line say all.
_PLAIN = frozenset(("text", "script"))


def title_of(image: Image, stack: Stack, row: int, job: ContentJob | None) -> tuple[str, str, str]:
    """A version's path; its layer with the instruction; its kind and size. Safe to show."""
    layer = int(stack.layers[row])
    path = "/" + visible(stack.tree.path(int(stack.nodes[row])))
    facts = f"layer {layer}  {one_line(image.layers[layer].instruction)}"
    if job is None:
        return path, facts, EntryType(int(stack.types[row])).label
    size = job.content.size if job.content is not None else int(stack.sizes[row])
    summary = visible(job.description.summary) if job.description is not None else ""
    return path, facts, SEPARATOR.join(part for part in (summary, docker_size(size)) if part)


def facts_of(found: Description | None) -> Told:
    """What is told above the content; nothing where the title has said it all."""
    if found is None or not found.facts or found.kind in _PLAIN:
        return []
    facts = [(fact.title, fact_text(fact)) for fact in found.facts]
    return [("Kind", visible(found.summary)), *facts]


def followed(stack: Stack, row: int, layer: int) -> int:
    """The version that a symbolic link leads to, in the union with `layer` on top.

    A version that is hidden there is followed in the union of its own layer.

    Raises:
        LookupFailedError: It leads nowhere.
    """
    own = int(stack.layers[row])
    if not own <= layer < stack.hidden_by[row]:
        layer = own
    return resolve(stack, stack.tree.path(int(stack.nodes[row])), layer)


def link_facts(stack: Stack, row: int, layer: int) -> Told:
    """What is told of a symbolic link."""
    target = stack.link(int(stack.inodes[row])) or b""
    facts = [("Kind", "symbolic link"), ("Target", visible(target))]
    try:
        found = followed(stack, row, layer)
    except LookupFailedError as error:
        return [*facts, ("Leads to", f"nothing: {error}")]
    path = visible(stack.tree.path(int(stack.nodes[found])))
    kind = EntryType(int(stack.types[found]))
    if kind is not EntryType.FILE:
        return [*facts, ("Leads to", f"/{path}, a {kind.label}")]
    size = docker_size(int(stack.sizes[found]))
    return [*facts, ("Leads to", f"/{path}, {size}"), ("", "enter follows it")]


def text_place(job: ContentJob, first: int, last: int) -> str:
    """Which lines are visible, of how many."""
    if job.text is None or not job.text.count or last < first:
        return ""
    index = job.text.index
    begin, end = index.row(first).line + 1, index.row(min(last, index.rows - 1)).line + 1
    more = "" if index.complete else "+"
    return f"{begin:,}{RANGE}{end:,} of {plural(index.lines, 'line')}{more}"


def hex_place(rows: HexRows, size: int, first: int, last: int) -> str:
    """Which bytes are visible, of how many."""
    if last < first:
        return f"{size:#x} bytes"
    end = min(rows.available, (last + 1) * rows.width)
    return f"{first * rows.width:#x}{RANGE}{end:#x} of {size:#x}"
