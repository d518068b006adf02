"""Findings of waste in words and as fields, for all reports and screens that list them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerscope.filesystem.change import aspect_words
from layerscope.filesystem.waste_causes import Cause, Causes, Finding, Folded
from layerscope.reports.color import BOLD, clip, painted, sized
from layerscope.text import decode, docker_size, listed, plural, visible

#: The meaning of each cause, in a few words.
WORDS = {
    Cause.COPIED: "copied with the content unchanged",
    Cause.REWRITTEN: "rewritten by a later layer",
    Cause.REMOVED: "removed by a later layer",
    Cause.REMOVED_TREE: "removed with their folder by a later layer",
    Cause.CACHES: "package lists and caches, hidden by a later layer",
    Cause.LEFT_OVER: "visible, but could be left out",
}


def finding_fields(finding: Finding) -> dict[str, Any]:
    return {
        "cause": finding.cause.value,
        "size": finding.size,
        "files": finding.files,
        "layer": finding.wrote,
        "hidden_by": finding.hidden_by,
        "kind": None if finding.kind is None else finding.kind.name,
        "path": "/" + decode(finding.where),
    }


def heading(cause: Cause) -> str:
    words = WORDS[cause]
    return f"{words[:1].upper()}{words[1:]}"


def layers_of(finding: Finding) -> str:
    """The layer that wrote it, and the one that hid it."""
    hider = finding.hidden_by
    return str(finding.wrote) if hider is None else f"{finding.wrote} → {hider}"


def title_of(finding: Finding) -> str:
    """The files and their number; safe on a terminal."""
    if len(finding.paths) == 1 or not finding.where:
        place = path_text(finding.paths[0])
    else:
        place = f"/{visible(finding.where)}/"
    if len(finding.paths) > 1 and not finding.where:
        return f"{place} and {len(finding.paths) - 1} more"
    what = f"{finding.kind.name} in {place}" if finding.kind is not None else place
    return f"{what} ({plural(finding.files, 'file')})" if finding.files > 1 else what


def path_text(path: Folded) -> str:
    """A path, with a trailing slash for a whole folder; safe on a terminal."""
    return f"/{visible(path.path)}{'/' if path.folder and path.path else ''}"


def changed_of(finding: Finding) -> str:
    """What a layer changed in copied files, and what was not compared; may be empty."""
    parts = []
    if finding.cause is Cause.COPIED:
        words = [word for word in aspect_words(finding.aspects) if word != "mtime"]
        parts.append(f"only {listed(words or ['the time'])} changed")
    if finding.uncompared == finding.size:
        parts.append("content not compared")
    elif finding.uncompared:
        parts.append(f"{docker_size(finding.uncompared)} of it not compared")
    return ", ".join(parts)


def group_lines(causes: Causes, most: int, width: int) -> Iterator[str]:
    """A table of causes, each with at most `most` findings, largest first."""
    yield f"{'WASTED':>8} {'LAYER':>8}  WHAT"
    for cause, total, findings in causes.by_cause():
        yield f"{sized(total, 8)} {'':>8}  {painted(WORDS[cause], BOLD)}"
        for finding in findings[:most]:
            changed = f": {text}" if (text := changed_of(finding)) else ""
            size, layers = sized(finding.size, 8), layers_of(finding)
            yield clip(f"{size} {layers:>8}    {title_of(finding)}{changed}", width)
        if rest := findings[most:]:
            size = docker_size(sum(each.size for each in rest))
            yield f"{size:>8} {'':>8}    in {plural(len(rest), 'more finding')}"
