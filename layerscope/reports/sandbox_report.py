"""The changes of a command in a sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from layerscope.filesystem.change import Aspect, Change, aspect_words
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.stack import Stack
from layerscope.reports.color import marked, sized
from layerscope.reports.entry import version_document
from layerscope.reports.files_report import listed_rows
from layerscope.sandbox.rung import Rung
from layerscope.sandbox.rungs import Tried
from layerscope.text import decode, docker_size, listed, plural, visible

#: The most changes in the text.
_MOST = 40


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ran on all layers of a stack but the last, which it created."""

    command: Sequence[str]
    code: int
    rung: Rung
    stack: Stack
    diff_id: str
    saved: str = ""  # The file that contains the layer.
    container: str = ""  # The container that keeps the changes.
    engine: str = ""  # The option that selects its engine, if that is not the current one.


@dataclass(frozen=True, slots=True)
class _Changed:
    change: Change
    row: int  # For a removal, the removed version.
    size: int  # Bytes; for a removed folder, with all its contents.


def _changes(stack: Stack) -> list[_Changed]:
    """The changes in the last layer, largest first; only the top of removed trees."""
    layer = stack.height - 1
    found = [
        _Changed(change, row, int(stack.sizes[row]))
        for row in listed_rows(stack, layer).tolist()
        if (change := Change(int(stack.changes[row]))) in (Change.ADDED, Change.MODIFIED)
        and stack.kinds[row] < EntryType.WHITEOUT
    ]
    tops: list[_Changed] = []
    end = 0  # Past the nodes of the last of them.
    for row in stack.removed(layer).tolist():
        node = int(stack.nodes[row])
        size = int(stack.sizes[row])
        if tops and node < end:
            tops[-1] = _Changed(Change.REMOVED, tops[-1].row, tops[-1].size + size)
        else:
            tops.append(_Changed(Change.REMOVED, row, size))
            end = int(stack.tree.ends[node])
    return sorted([*found, *tops], key=lambda each: -each.size)


def _count(changes: Sequence[_Changed], change: Change) -> int:
    return sum(each.change is change for each in changes)


def _aspects(stack: Stack, changed: _Changed) -> list[str]:
    if changed.change is not Change.MODIFIED:
        return []
    return aspect_words(Aspect(int(stack.aspects[changed.row])))


def _path(stack: Stack, row: int) -> bytes:
    return b"/" + stack.tree.path(int(stack.nodes[row]))


def sandbox_document(ran: Ran) -> dict[str, Any]:
    """The object of `run --sandbox --json`."""
    stack, changes = ran.stack, _changes(ran.stack)
    return {
        "schema": "layerscope.run/1",
        "command": list(ran.command),
        "exit_code": ran.code,
        "sandbox": rung_document(ran.rung),
        "diff_id": ran.diff_id,
        "size": stack.layer_size(stack.height - 1),
        "saved": ran.saved or None,
        "container": ran.container or None,
        **{
            change.label: _count(changes, change)
            for change in (Change.ADDED, Change.MODIFIED, Change.REMOVED)
        },
        "changes": [
            {
                "path": decode(_path(stack, each.row)),
                "change": each.change.label,
                "aspects": _aspects(stack, each),
                "content_compared": not stack.unread[each.row],
                **version_document(stack, each.row),
                "size": each.size,
            }
            for each in changes
        ],
    }


def rung_document(rung: Rung) -> dict[str, Any]:
    return {
        "name": str(rung.name),
        "overlay": rung.overlay,
        "loses": list(rung.loses),
        "better": rung.better or None,
    }


def sandbox_text(ran: Ran) -> Iterator[str]:
    stack, changes = ran.stack, _changes(ran.stack)
    counts = [
        f"{_count(changes, change)} {change.label}"
        for change in (Change.ADDED, Change.MODIFIED, Change.REMOVED)
        if _count(changes, change)
    ]
    if ran.code:
        yield f"The command ended with code {ran.code}."
    if not changes:
        yield "It changed nothing."
    else:
        size = docker_size(stack.layer_size(stack.height - 1))
        paths = plural(len(changes), "path")
        yield f"It changed {paths}: {', '.join(counts)}; {size} in its layer."
    for each in changes[:_MOST]:
        words = _aspects(stack, each)
        if stack.unread[each.row]:
            words.append("content not compared")
        more = f"  ({', '.join(words)})" if words else ""
        kind = EntryType(int(stack.types[each.row]))
        slash = "/" if kind is EntryType.DIR else ""
        path = visible(_path(stack, each.row)) + slash
        yield f"{marked(each.change.letter)}  {sized(each.size, 8)}  {path}{more}"
    if len(changes) > _MOST:
        yield f"… and {len(changes) - _MOST} more, smaller ones; --json lists all."
    if lost := ran.rung.loses:
        yield f"Sandbox: {ran.rung.name}; {listed(lost)}. {ran.rung.better}".rstrip()
    if ran.saved:
        yield f"{visible(ran.saved)} has the layer, {ran.diff_id}."
    if name := ran.container:
        command = f"layerscope{ran.engine}"
        yield (
            f"{name} keeps the changes: `{command} container:{name}` shows them, `{command} commit "
            f"{name} NAME` makes an image of them, `{command} rm container:{name}` drops them."
        )


def ladder_document(tried: Sequence[Tried]) -> dict[str, Any] | None:
    """The method by which this host runs commands without an engine; None if there is none."""
    return rung_document(tried[-1].rung) if tried[-1].works else None


def ladder_text(tried: Sequence[Tried]) -> Iterator[str]:
    """The same, or why there is none, and what would be better."""
    rung = tried[-1].rung
    if tried[-1].works:
        lost = listed(rung.loses) or "nothing is lost"
        yield f"Sandbox: {rung.name}; {lost}. {rung.better}".rstrip()
        return
    reasons = {str(each.rung.name): each.why for each in tried}
    yield "Sandbox: none (" + "; ".join(f"{name}: {why}" for name, why in reasons.items()) + ")."
