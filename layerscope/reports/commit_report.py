"""`layerscope commit`: what a container would add to an image, and what it added."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from layerscope.engines.committing import Committed
from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import EntryType
from layerscope.images.containers.written import Written, total
from layerscope.reports.color import YELLOW, marked, painted, sized
from layerscope.text import decode, docker_size, listed, short_id, short_name, visible

_MOST = 20  # The largest paths that are listed.
_WIDTH = 9


def commit_document(
    container: str, image: str, changes: Sequence[Written], made: Committed | None
) -> dict[str, Any]:
    """The object of `commit --json`; `committed` is null if nothing was committed."""
    return {
        "schema": "layerscope.commit/1",
        "container": container,
        "image": image,
        "size": total(changes),
        "changes": [
            {
                "path": f"/{decode(each.path)}",
                "type": each.kind.label,
                "change": each.change.label,
                "size": each.size,
                "unwanted": each.unwanted or None,
            }
            for each in changes
        ],
        "committed": None
        if made is None
        else {"id": made.id, "name": made.name or None, "layer": made.layer},
    }


def commit_text(
    container: str, image: str, changes: Sequence[Written], layer: int
) -> Iterator[str]:
    """A preview of the commit: unwanted files first, then the rest by size."""
    yield f"{visible(container)}, of {short_name(image)}: {summary(changes)}"
    unwanted = [each for each in changes if each.unwanted]
    rest = [each for each in changes if not (each.unwanted or each.minor)]
    if unwanted:
        yield ""
        yield painted(
            f"These should not go into an image ({docker_size(total(unwanted))}):", YELLOW
        )
        yield from map(_line, unwanted[:_MOST])
        yield from _more(unwanted)
    if rest:
        yield ""
        yield "What else it changed:" if unwanted else "What it changed:"
        yield from map(_line, rest[:_MOST])
        yield from _more(rest)
    if max(len(unwanted), len(rest)) > _MOST:
        source = visible(f"container:{container}")
        yield f"`layerscope files --layer {layer} {source}` lists all."
    yield ""
    yield alternative(container)


def _more(changes: Sequence[Written]) -> Iterator[str]:
    if (left := len(changes) - _MOST) > 0:
        yield f"{'':{_WIDTH}}    … {left:,} more, {docker_size(total(changes[_MOST:]))}"


def _line(each: Written) -> str:
    slash = "/" if each.kind is EntryType.DIR else ""
    size = sized(each.size, _WIDTH) if each.size else " " * _WIDTH
    why = f"  {painted(each.unwanted, YELLOW)}" if each.unwanted else ""
    return f"{size}  {marked(each.change.letter)} /{visible(each.path)}{slash}{why}"


def alternative(container: str) -> str:
    """Why to avoid committing, and what to do instead."""
    source = visible(shlex.quote(f"container:{container}"))
    return (
        "A Dockerfile can be read, reviewed and built again: "
        f"`layerscope dockerfile {source}` drafts one."
    )


def summary(changes: Sequence[Written]) -> str:
    """The amount that a container changed, in words."""
    counted = [each for each in changes if not each.minor]
    if not counted:
        return "it has changed nothing; the layer would be empty."
    numbers = dict.fromkeys(Change, 0)
    for each in counted:
        numbers[each.change] += 1
    parts = [f"{number:,} {change.label}" for change, number in numbers.items() if number]
    return f"{listed(parts)}; a layer of {docker_size(total(changes))}."


def unwanted_summary(changes: Sequence[Written]) -> str:
    """Lists the unwanted files by kind in a sentence; returns "" without any."""
    kinds = sorted(each.unwanted for each in changes if each.unwanted)
    if not kinds:
        return ""
    parts = [f"{what} ({len(list(same))})" for what, same in groupby(kinds)]
    return f"Should not go into an image: {listed(parts)}."


def committed_sentence(made: Committed) -> str:
    name = f"{visible(made.name)}, " if made.name else ""
    new = "it has no new layer" if made.layer is None else f"its new layer is layer {made.layer}"
    return f"Committed {name}image {short_id(made.id)}; {new}."
