"""`layerscope waste`: what could be saved in an image, why, and how."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

from layerscope.filesystem.change import Aspect
from layerscope.filesystem.waste import measure
from layerscope.filesystem.waste_causes import Cause, Causes, Finding, Folded
from layerscope.images.image import Image
from layerscope.images.loading import Loaded
from layerscope.reports.entry import aspect_words
from layerscope.text import decode, docker_size, one_line, short_id, visible

SCHEMA = "layerscope.waste/1"

#: How many findings of a cause, and paths of a finding, the text form shows; the JSON has them all.
_TEXT_FINDINGS, _TEXT_PATHS = 8, 4

#: What a cause means, in a few words.
WORDS = {
    Cause.COPIED: "copied with the content unchanged",
    Cause.REWRITTEN: "rewritten by a later layer",
    Cause.REMOVED: "removed by a later layer",
    Cause.REMOVED_TREE: "removed with their folder by a later layer",
    Cause.CACHES: "package lists and caches, hidden by a later layer",
    Cause.LEFT_OVER: "visible, but could be left out",
}

#: What it means, in sentences.
MEANINGS = {
    Cause.COPIED: "A later layer has these files again with the same content: to change the owner, "
    "the mode or the time of a file copies all of it into the layer.",
    Cause.REWRITTEN: "A later layer has these files with other content. The old one is shipped all "
    "the same.",
    Cause.REMOVED: "A later layer removed these files. That hides what lower layers have and "
    "takes nothing out of them.",
    Cause.REMOVED_TREE: "A later layer removed the folders that these files are in. That hides "
    "what lower layers have and takes nothing out of them.",
    Cause.CACHES: "What package managers and builds keep for themselves; a later layer hid it or "
    "wrote it anew.",
    Cause.LEFT_OVER: "Containers see these files, so that they are not wasted. Most containers do "
    "not need them.",
}

_DATABASES = (b"var/lib/dpkg", b"lib/apk", b"usr/lib/apk", b"var/lib/rpm", b"usr/lib/sysimage/rpm")
_COPIES = ("COPY", "ADD")


def remedy(finding: Finding, image: Image) -> str:
    """What is usually done about it, as a sentence that is safe to show."""
    if finding.kind is not None:
        return finding.kind.remedy
    if finding.hidden_by is None:
        return "One layer has these paths twice: whatever builds it should write them once."
    copied_in = _verb(image, finding.wrote) in _COPIES
    if finding.cause is Cause.COPIED:
        return _remedy_of_copies(finding.aspects, copied_in)
    if finding.cause is Cause.REWRITTEN:
        if finding.paths[0].path.startswith(_DATABASES):
            return "Install all packages in one RUN: each one writes their database anew."
        return "Write each file once: join the two instructions, or do one of them in a stage."
    if finding.wrote == 0 and _verb(image, 0) == "ADD":
        return "They come with the base image: take a smaller one, as removing saves nothing."
    if copied_in:
        return (
            "Do not copy them: name them in .dockerignore, or use RUN --mount=type=bind for what "
            "only the build needs."
        )
    return "Remove them in the RUN that makes them, or build in a stage and copy what is needed."


def _remedy_of_copies(aspects: Aspect, copied_in: bool) -> str:
    flags = {Aspect.OWNER: ("--chown", "the owner"), Aspect.MODE: ("--chmod", "permissions")}
    wanted = [words for aspect, words in flags.items() if aspects & aspect]
    if not wanted:
        return "Write them once: the later layer has the same bytes again."
    what = " and ".join(word for _, word in wanted)
    if copied_in:
        return f"Set {what} while copying: COPY {' '.join(flag for flag, _ in wanted)}."
    as_user = ", or run that as the user (USER)" if aspects & Aspect.OWNER else ""
    return f"Set {what} in the RUN that makes the files{as_user}."


def _verb(image: Image, layer: int) -> str:
    return image.layers[layer].instruction.partition(" ")[0].upper()


def waste_document(loaded: Loaded, causes: Causes) -> dict[str, Any]:
    """The object that `waste --json` prints; sizes are bytes."""
    image, waste = loaded.image, measure(loaded.stack)
    return {
        "schema": SCHEMA,
        "image": {
            "reference": image.reference,
            "id": image.id,
            "source": image.source,
            "size": waste.size,
            "visible_size": waste.visible_size,
            "wasted_size": waste.wasted_size,
            "left_over_size": causes.left_over_size,
            "uncompared_size": causes.uncompared,
        },
        "wasted": [_document(image, finding) for finding in causes.wasted],
        "left_over": [_document(image, finding) for finding in causes.left_over],
    }


def _document(image: Image, finding: Finding) -> dict[str, Any]:
    hider = finding.hidden_by
    return {
        "cause": finding.cause.value,
        "size": finding.size,
        "files": finding.files,
        "layer": finding.wrote,
        "instruction": image.layers[finding.wrote].instruction,
        "hidden_by": hider,
        "hidden_by_instruction": None if hider is None else image.layers[hider].instruction,
        "changed": aspect_words(finding.aspects),
        "kind": None if finding.kind is None else finding.kind.name,
        "uncompared_size": finding.uncompared,
        "remedy": remedy(finding, image),
        "path": "/" + decode(finding.where),
        "paths": [
            {
                "path": "/" + decode(path.path),
                "size": path.size,
                "files": path.files,
                "folder": path.folder,
            }
            for path in finding.paths
        ],
    }


def waste_text(loaded: Loaded, causes: Causes) -> Iterator[str]:
    """The same for people, line by line."""
    image = loaded.image
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 200))
    yield f"{visible(image.reference)}  {short_id(image.id)}"
    yield summary(loaded, causes)
    for cause, size, findings in causes.by_cause():
        yield ""
        yield f"{docker_size(size):>8}  {WORDS[cause]}"
        for finding in findings[:_TEXT_FINDINGS]:
            yield from _finding_lines(image, finding, width)
        rest = findings[_TEXT_FINDINGS:]
        if rest:
            more = docker_size(sum(each.size for each in rest))
            yield f"{more:>10}  in {len(rest)} more findings"


def summary(loaded: Loaded, causes: Causes) -> str:
    """What is wasted and what could be left out, in a line."""
    waste = measure(loaded.stack)
    text = f"Size {docker_size(waste.size)}, wasted {docker_size(waste.wasted_size)}"
    if causes.left_over_size:
        text += f"; {docker_size(causes.left_over_size)} more could be left out"
    if causes.uncompared:
        text += f"; {docker_size(causes.uncompared)} not compared"
    return text


def title_of(finding: Finding) -> str:
    """How many files of what kind, and where; safe to show."""
    if len(finding.paths) == 1 or not finding.where:
        place = path_text(finding.paths[0])
    else:
        place = f"/{visible(finding.where)}/"
    if len(finding.paths) > 1 and not finding.where:
        return f"{place} and {len(finding.paths) - 1} more"
    what = f"{finding.kind.name} in {place}" if finding.kind is not None else place
    return f"{what} ({finding.files:,} files)" if finding.files > 1 else what


def path_text(path: Folded) -> str:
    """A path, with a slash behind it if it stands for what is below it; safe to show."""
    return f"/{visible(path.path)}{'/' if path.folder and path.path else ''}"


def changed_of(finding: Finding) -> str:
    """What a layer changed of files that it copied, and what is not known; may be empty."""
    parts = []
    if finding.cause is Cause.COPIED:
        words = [word for word in aspect_words(finding.aspects) if word != "mtime"]
        parts.append(f"only {' and '.join(words) or 'the time'} changed")
    if finding.uncompared == finding.size:
        parts.append("content not compared")
    elif finding.uncompared:
        parts.append(f"{docker_size(finding.uncompared)} of it not compared")
    return ", ".join(parts)


def _finding_lines(image: Image, finding: Finding, width: int) -> Iterator[str]:
    changed = changed_of(finding)
    yield _cut(
        f"{docker_size(finding.size):>10}  {title_of(finding)}"
        + (f": {changed}" if changed else ""),
        width,
    )
    yield _cut(f"{'':>12}layer {finding.wrote}: {_instruction(image, finding.wrote)}", width)
    if finding.hidden_by is not None:
        hider = finding.hidden_by
        yield _cut(f"{'':>12}hidden by {hider}: {_instruction(image, hider)}", width)
    if len(finding.paths) > 1:
        for path in finding.paths[:_TEXT_PATHS]:
            yield _cut(f"{docker_size(path.size):>20}  {path_text(path)}", width)
        more = finding.paths[_TEXT_PATHS:]
        if more:
            size = docker_size(sum(path.size for path in more))
            yield f"{size:>20}  in {len(more)} more paths"
    for line in textwrap.wrap(remedy(finding, image), width - 14):
        yield f"{'':>12}{line}"


def _instruction(image: Image, layer: int) -> str:
    return one_line(image.layers[layer].instruction) or "the history does not say what"


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"
