"""Which instruction of a document made which layer of an image that was built from it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from layerscope.dockerfile.document import Document, Form, Instruction
from layerscope.dockerfile.expand import ExpansionError
from layerscope.dockerfile.facts import Facts, StepWaste, World
from layerscope.filesystem.waste import LayerWaste
from layerscope.images.image import Image
from layerscope.text import decode

_BLANKS = re.compile(r"\s+")
#: Entries of a history that the classic builder writes by digest, whatever their source was called.
_BY_DIGEST = re.compile(r"(?:file|dir|multi):[0-9a-f]{8,}\s+in\s+")


def match_layers(
    document: Document, image: Image, target: str | None = None
) -> dict[int, list[int]]:
    """Numbers of instructions, and of the layers that they made: a FROM may have some, by ONBUILD.

    Only what is the same in both is matched: a document that was changed since the build keeps its
    other matches.

    Args:
        document: The document.
        image: The image.
        target: The stage that was built; None for the last.
    """
    facts = Facts(document, World(target=target))
    entries = [(entry.layer, entry.instruction) for entry in image.history]
    digests = any(_BY_DIGEST.search(text) for _, text in entries)
    ours = [(i.index, _key(facts, each, digests)) for i, each in _chain(facts)]
    ours[:0] = _triggers_of_base(facts, [text for _, text in entries], digests)
    theirs = [(layer, _entry_key(text, digests)) for layer, text in entries]
    matcher = difflib.SequenceMatcher(
        None, [key for _, key in ours], [key for _, key in theirs], autojunk=False
    )
    found: dict[int, list[int]] = {}
    for block in matcher.get_matching_blocks():
        for number in range(block.size):
            layer = theirs[block.b + number][0]
            if layer is not None:
                found.setdefault(ours[block.a + number][0], []).append(layer)
    return found


def _chain(facts: Facts) -> list[tuple[Instruction, Instruction]]:
    """Instructions whose layers are in the image, the lowest first, each with what is carried out.

    For a FROM, that is what the stage that it names has for those that build on it.
    """
    found: list[tuple[Instruction, Instruction]] = []
    waiting: list[Instruction] = []
    for number in sorted(facts.shipped):
        stage = facts.stages.stages[number]
        found += [(stage.start, trigger) for trigger in waiting]
        found += [(each, each) for each in stage.instructions[1:]]
        waiting = [each.child for each in stage.instructions if each.child is not None]
    return found


def _triggers_of_base(facts: Facts, entries: Sequence[str], digests: bool) -> list[tuple[int, str]]:
    """What the base image has for those that build on it, as far as its history has kept that."""
    if not facts.shipped:
        return []
    start = facts.stages.stages[min(facts.shipped)].start
    own = sum(each.child is not None for _, each in _chain(facts))
    texts = [text[8:] for text in entries if text.startswith("ONBUILD ")]
    # Those of the document itself come last.
    texts = texts[: len(texts) - own]
    return [(start.index, _entry_key(text.strip(), digests)) for text in texts]


def _key(facts: Facts, instruction: Instruction, digests: bool) -> str:
    """What an instruction looks like in a history.

    Args:
        facts: The document.
        instruction: The instruction.
        digests: Whether sources are there by their digest, which says nothing of their names.
    """
    keyword = instruction.keyword
    if keyword == "RUN":
        text = instruction.arguments
        if instruction.form is Form.EXEC:
            text = " ".join(word.text for word in instruction.words)
        elif instruction.heredocs:
            heredoc = instruction.heredocs[0]
            alone = text == facts.document.source.slice(heredoc.marker)
            text = (
                heredoc.content
                if alone
                else "\n".join([text, *(f"{h.content}{h.name}" for h in instruction.heredocs)])
            )
    else:
        try:
            text = facts.scopes.expand(instruction, instruction.arguments).text
        except ExpansionError:
            text = instruction.arguments
        if keyword in ("COPY", "ADD") and instruction.form is Form.EXEC:
            text = " ".join(word.text for word in instruction.words)
        if digests and keyword in ("COPY", "ADD"):
            text = text.split()[-1] if text.split() else ""
    return _folded(f"{keyword} {text}")


def _entry_key(text: str, digests: bool) -> str:
    text = _BY_DIGEST.sub("", text)
    copy = re.match(r"(?P<keyword>COPY|ADD) (?:--\S+ )*(?P<rest>.*)", text, re.DOTALL)
    if copy is not None:
        words = copy["rest"].split()
        text = " ".join([copy["keyword"], *(words[-1:] if digests else words)])
    return _folded(text)


def _folded(text: str) -> str:
    return _BLANKS.sub(" ", text).strip()


def step_waste(
    document: Document,
    image: Image,
    waste: Sequence[LayerWaste],
    target: str | None = None,
) -> list[StepWaste]:
    """What each instruction wasted when an image was built from the document.

    Args:
        document: The document.
        image: The image.
        waste: What its layers hid (`filesystem.waste.by_layer`).
        target: The stage that was built; None for the last.
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
