"""Matches instructions of a document to the layers of an image built from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerscope.content.line_matching import same_items
from layerscope.dockerfile.meaning.scope import Scopes
from layerscope.dockerfile.meaning.stages import Stage
from layerscope.dockerfile.syntax.document import Document, Form, Instruction
from layerscope.dockerfile.syntax.grammar import INSTRUCTIONS
from layerscope.text import decode

if TYPE_CHECKING:
    from layerscope.filesystem.waste import LayerWaste
    from layerscope.images.image import Image

#: The classic builder records sources by digest instead of name.
_BY_DIGEST = re.compile(r"(?:file|dir|multi):[0-9a-f]{8,}\s+in\s+")


@dataclass(frozen=True, slots=True)
class StepWaste:
    """Files of lower layers that an instruction hid when an image was built from the document."""

    instruction: int  # Number of the instruction.
    image: str  # Name of the image, or of the build that it is from.
    layer: int | None  # Number of the layer, or None if unknown.
    size: int  # Bytes of lower layers that can no longer be read.
    copied: int  # Those of them that the layer contains again, unchanged.
    paths: Sequence[tuple[str, int]]  # The largest paths, starting with a slash, and their bytes.
    #: The ONBUILD instruction that ran for a FROM; empty for the instruction itself.
    trigger: str = ""


def match_layers(
    document: Document, image: Image, target: str | None = None
) -> dict[int, list[int]]:
    """Maps numbers of instructions to the layers that they created.

    A FROM can create layers too, by ONBUILD. Only the parts that are the same in the document and
    the image's history are matched: after an edit, the other matches remain.

    `target` is the stage that was built; the last by default.
    """
    scopes = Scopes(document)
    shipped = [scopes.stages.stages[n] for n in sorted(scopes.stages.shipped(target))]
    entries = [(entry.layer, entry.instruction) for entry in image.history]
    digests = any(_BY_DIGEST.search(text) for _, text in entries)
    chain = _chain(shipped)
    ours = [(i.index, _key(scopes, each, digests)) for i, each in chain]
    if shipped:
        own = sum(each.child is not None for _, each in chain)
        triggers = _triggers_of_base([text for _, text in entries], own)
        ours[:0] = [(shipped[0].start.index, _entry_key(text, digests)) for text in triggers]
    theirs = [(layer, _entry_key(text, digests)) for layer, text in entries]
    found: dict[int, list[int]] = {}
    for a, b in same_items([key for _, key in ours], [key for _, key in theirs]).items():
        if (layer := theirs[b][0]) is not None:
            found.setdefault(ours[a][0], []).append(layer)
    return found


def _chain(shipped: Sequence[Stage]) -> list[tuple[Instruction, Instruction]]:
    """Instructions whose layers are in the image, lowest first, each with the one that ran.

    For a FROM, those are the ONBUILD triggers of the stage that it names.
    """
    found: list[tuple[Instruction, Instruction]] = []
    waiting: list[Instruction] = []
    for stage in shipped:
        found += [(stage.start, trigger) for trigger in waiting]
        found += [(each, each) for each in stage.instructions[1:]]
        waiting = [each.child for each in stage.instructions if each.child is not None]
    return found


def _triggers_of_base(entries: Sequence[str], own: int) -> list[str]:
    """ONBUILD triggers of the base image, as far as the history has them.

    The last `own` ones are those of the document.
    """
    texts = [text[8:].strip() for text in entries if text.startswith("ONBUILD ")]
    return texts[: len(texts) - own]


def _key(scopes: Scopes, instruction: Instruction, digests: bool) -> str:
    """An instruction's form in a history; with `digests`, sources are recorded by digest."""
    keyword, text = instruction.keyword, instruction.arguments
    copies = keyword in ("COPY", "ADD")
    if instruction.form is Form.EXEC and (copies or keyword == "RUN"):
        text = " ".join(word.text for word in instruction.words)
    elif keyword != "RUN":
        text = scopes.expanded(instruction, text)
    elif instruction.heredocs:
        heredoc = instruction.heredocs[0]
        if text == scopes.document.source.slice(heredoc.marker):
            text = heredoc.content
        else:
            text = "\n".join([text, *(f"{h.content}{h.name}" for h in instruction.heredocs)])
    if digests and copies:
        text = "".join(text.split()[-1:])
    return _folded(f"{keyword} {text}")


def _entry_key(text: str, digests: bool) -> str:
    text = _BY_DIGEST.sub("", text)
    if text.partition(" ")[0] not in INSTRUCTIONS:
        # The classic builder records `RUN ["command"]` like a committed command.
        text = f"RUN {text}"
    copy = re.match(r"(?P<keyword>COPY|ADD) (?:--\S+ )*(?P<rest>.*)", text, re.DOTALL)
    if copy is not None:
        words = copy["rest"].split()
        text = " ".join([copy["keyword"], *(words[-1:] if digests else words)])
    return _folded(text)


def _folded(text: str) -> str:
    return " ".join(text.split())


def step_waste(
    document: Document, image: Image, waste: Sequence[LayerWaste], target: str | None = None
) -> list[StepWaste]:
    """The waste of each instruction when an image was built from the document.

    `waste` is that of its layers (`filesystem.waste.by_layer`); see `match_layers` for `target`.
    """
    matched = match_layers(document, image, target)
    by_layer = {layer: number for number, layers in matched.items() for layer in layers}
    return [
        StepWaste(
            by_layer[found.layer],
            image.reference,
            found.layer,
            found.size,
            found.copied,
            [("/" + decode(path), size) for path, size in found.paths],
        )
        for found in waste
        if found.layer in by_layer
    ]
