"""`layerscope waste`: what could be saved in an image, why, and how."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from layerscope.filesystem.change import Aspect, aspect_words
from layerscope.filesystem.waste import measure
from layerscope.filesystem.waste_causes import Cause, Causes, Finding
from layerscope.images.image import Image
from layerscope.images.loading import Loaded
from layerscope.reports.color import BOLD, clip, painted, sized
from layerscope.reports.findings import WORDS, changed_of, finding_fields, path_text, title_of
from layerscope.reports.inspect_report import image_fields, size_fields
from layerscope.reports.layout import terminal_width
from layerscope.text import decode, docker_size, plural, short_id, visible

#: The most findings of a cause, and paths of a finding, in the text; the JSON has all.
_TEXT_FINDINGS, _TEXT_PATHS = 8, 4

#: The meaning of each cause, in a sentence.
MEANINGS = {
    Cause.COPIED: "A later layer has these files again with the same content: changing the owner, "
    "the mode or the time of a file copies the whole file into the layer.",
    Cause.REWRITTEN: "A later layer has these files with other content. The old content is still "
    "shipped.",
    Cause.REMOVED: "A later layer removed these files. That hides them in the lower layers, but "
    "does not take them out.",
    Cause.REMOVED_TREE: "A later layer removed the folders of these files. That hides them in the "
    "lower layers, but does not take them out.",
    Cause.CACHES: "Caches of package managers and builds that a later layer removed or rewrote.",
    Cause.LEFT_OVER: "Containers see these files, so they are not wasted, but most containers do "
    "not need them.",
}

_DATABASES = (b"var/lib/dpkg", b"lib/apk", b"usr/lib/apk", b"var/lib/rpm", b"usr/lib/sysimage/rpm")
_COPIES = ("COPY", "ADD")


def remedy(finding: Finding, image: Image) -> str:
    """The usual remedy, as a sentence that is safe on a terminal."""
    if finding.kind is not None:
        return finding.kind.remedy
    if finding.hidden_by is None:
        return "This layer has these paths twice; its builder should write them once."
    copied_in = _verb(image, finding.wrote) in _COPIES
    if finding.cause is Cause.COPIED:
        return _remedy_of_copies(finding.aspects, copied_in)
    if finding.cause is Cause.REWRITTEN:
        if finding.paths[0].path.startswith(_DATABASES):
            return "Install all packages in one RUN: each RUN rewrites the package database."
        return "Write each file once: join the two instructions, or move one to another stage."
    if finding.wrote == 0 and _verb(image, 0) == "ADD":
        return "Use a smaller base image: removing its files saves nothing."
    if copied_in:
        return (
            "Do not copy them: add them to .dockerignore, or use RUN --mount=type=bind for files "
            "that only the build needs."
        )
    return "Remove them in the RUN that makes them, or build in another stage and copy the result."


def _remedy_of_copies(aspects: Aspect, copied_in: bool) -> str:
    flags = {Aspect.OWNER: ("--chown", "the owner"), Aspect.MODE: ("--chmod", "permissions")}
    wanted = [words for aspect, words in flags.items() if aspects & aspect]
    if not wanted:
        return "Write them only once: the later layer has the same bytes."
    what = " and ".join(word for _, word in wanted)
    if copied_in:
        return f"Set {what} while copying: COPY {' '.join(flag for flag, _ in wanted)}."
    as_user = ", or run that as the user (USER)" if aspects & Aspect.OWNER else ""
    return f"Set {what} in the RUN that makes the files{as_user}."


def _verb(image: Image, layer: int) -> str:
    return (image.layers[layer].instruction or "").partition(" ")[0].upper()


def waste_document(loaded: Loaded, causes: Causes) -> dict[str, Any]:
    """The object of `waste --json`; sizes are bytes."""
    image, waste = loaded.image, measure(loaded.stack)
    return {
        "schema": "layerscope.waste/1",
        "image": {
            **image_fields(image),
            **size_fields(waste),
            "left_over_size": causes.left_over_size,
            "uncompared_size": causes.uncompared,
        },
        "wasted": [_document(image, finding) for finding in causes.wasted],
        "left_over": [_document(image, finding) for finding in causes.left_over],
    }


def _document(image: Image, finding: Finding) -> dict[str, Any]:
    hider = finding.hidden_by
    return {
        **finding_fields(finding),
        "instruction": image.layers[finding.wrote].instruction,
        "hidden_by_instruction": None if hider is None else image.layers[hider].instruction,
        "changed": aspect_words(finding.aspects),
        "uncompared_size": finding.uncompared,
        "remedy": remedy(finding, image),
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
    image = loaded.image
    width = terminal_width()
    yield f"{visible(image.reference)}  {short_id(image.id)}"
    yield summary(loaded, causes)
    for cause, size, findings in causes.by_cause():
        yield ""
        yield f"{sized(size, 8)}  {painted(WORDS[cause], BOLD)}"
        for finding in findings[:_TEXT_FINDINGS]:
            yield from _finding_lines(image, finding, width)
        rest = findings[_TEXT_FINDINGS:]
        if rest:
            more = docker_size(sum(each.size for each in rest))
            yield f"{more:>10}  in {plural(len(rest), 'more finding')}"


def summary(loaded: Loaded, causes: Causes) -> str:
    """The wasted bytes, and those that could be left out, on one line."""
    waste = measure(loaded.stack)
    text = f"Size {docker_size(waste.size)}, wasted {docker_size(waste.wasted_size)}"
    if causes.left_over_size:
        text += f"; {docker_size(causes.left_over_size)} more could be left out"
    if causes.uncompared:
        text += f"; {docker_size(causes.uncompared)} not compared"
    return text


def _finding_lines(image: Image, finding: Finding, width: int) -> Iterator[str]:
    changed = f": {text}" if (text := changed_of(finding)) else ""
    size = sized(finding.size, 10)
    yield clip(f"{size}  {title_of(finding)}{changed}", width)
    yield clip(f"{'':>12}layer {finding.wrote}: {image.layers[finding.wrote].made_by}", width)
    if finding.hidden_by is not None:
        hider = finding.hidden_by
        yield clip(f"{'':>12}hidden by {hider}: {image.layers[hider].made_by}", width)
    if len(finding.paths) > 1:
        for path in finding.paths[:_TEXT_PATHS]:
            size = sized(path.size, 20)
            yield clip(f"{size}  {path_text(path)}", width)
        more = finding.paths[_TEXT_PATHS:]
        if more:
            size = docker_size(sum(path.size for path in more))
            yield f"{size:>20}  in {plural(len(more), 'more path')}"
    for line in textwrap.wrap(remedy(finding, image), width - 14):
        yield f"{'':>12}{line}"
