"""`layerscope dockerfile`: from an image's history, or from a container's changes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerscope.dockerfile.meaning.reverse import reconstruct, steps
from layerscope.images.image import Image
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.dockerfile.meaning.draft import Draft


def dockerfile_document(image: Image) -> dict[str, Any]:
    """The object of `dockerfile --json`; `layer` is null for a step without a layer."""
    return {
        "schema": "layerscope.dockerfile/1",
        "reference": image.reference,
        "id": image.id,
        "steps": [
            {
                "instruction": step.text,
                "layer": step.layer,
                "created": step.entry.created,
                "created_by": step.entry.created_by,
                "comment": step.entry.comment,
                "notes": list(step.notes),
            }
            for step in steps(image.history, image.config)
        ],
    }


def dockerfile_text(image: Image) -> Iterator[str]:
    """The lines of the Dockerfile, safe on a terminal; tabs stay."""
    for line in reconstruct(image.history, image.reference, image.config):
        yield "\t".join(visible(piece) for piece in line.split("\t"))


@dataclass(frozen=True, slots=True)
class Drafted:
    """A container's changes as a Dockerfile."""

    container: str  # Its name.
    id: str
    draft: Draft


def draft_document(drafted: Drafted) -> dict[str, Any]:
    """The object of `dockerfile --json` for a container; no step is a layer yet."""
    return {
        "schema": "layerscope.dockerfile/1",
        "reference": f"container:{drafted.container}",
        "id": drafted.id,
        "steps": [
            {
                "instruction": step.text,
                "layer": None,
                "created": None,
                "created_by": "",
                "comment": "",
                "notes": list(step.notes),
            }
            for step in drafted.draft.steps
        ],
    }


def draft_text(drafted: Drafted) -> Iterator[str]:
    """The lines of the Dockerfile, safe on a terminal."""
    from layerscope.dockerfile.meaning.draft import FILES, word

    found, container = drafted.draft, drafted.container
    yield f"# Drafted by layerscope from what the container {visible(container)} has changed."
    yield "# How it did so is not known: check each line."
    if found.files:
        paths = " ".join(map(word, found.files))
        command = f"layerscope extract -o {FILES} {shlex.quote(f'container:{container}')} {paths}"
        yield f"# First extract the files to copy into {FILES}/, beside this Dockerfile:"
        yield f"# {visible(command)}"
    for each in found.left_out:
        yield f"# left out: /{visible(each.path)} ({each.unwanted})"
    for step in found.steps:
        yield from (f"# {note}" for note in step.notes)
        yield visible(step.text)
