"""What checks look at: the document, what follows from it, and what the caller knows besides."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from layerscope.dockerfile.context import ContextFolder
from layerscope.dockerfile.document import Document, Instruction, Word
from layerscope.dockerfile.scope import Scopes
from layerscope.dockerfile.source import Span
from layerscope.dockerfile.stages import Stages, find_stages


@dataclass(frozen=True, slots=True)
class BaseImage:
    """What is known of an image that is built on.

    Attributes:
        found: Whether it is there, in the engine or a registry.
        environment: Variables that it sets; None if that is not known.
    """

    found: bool
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class StepWaste:
    """What an instruction hid of lower layers when an image was built from the document.

    Attributes:
        instruction: Number of the instruction.
        image: What the image is called: its name, or which build it is of.
        layer: Number of the layer; None if it is not known.
        size: Bytes of lower layers that can no longer be read.
        copied: Those of them that the layer holds again, with the same content.
        paths: The largest paths, with a slash at their beginning, and their bytes.
        trigger: What was run for a FROM, by ONBUILD; empty for the instruction itself.
    """

    instruction: int
    image: str
    layer: int | None
    size: int
    copied: int
    paths: Sequence[tuple[str, int]]
    trigger: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """What the caller knows besides the document.

    Attributes:
        context: The build context.
        base: Looks an image up; None for an answer if that could not be done.
        arguments: Build arguments.
        waste: What the last build from the document wasted.
        target: The stage that is built, by name or number; None for the last.
    """

    context: ContextFolder | None = None
    base: Callable[[str], BaseImage | None] | None = None
    arguments: Mapping[str, str] | None = None
    waste: Sequence[StepWaste] = ()
    target: str | None = None


class Facts:
    """A document and what follows from it.

    Attributes:
        document: The document.
        world: What the caller knows besides.
        stages: Its stages.
    """

    def __init__(self, document: Document, world: World) -> None:
        self.document = document
        self.world = world
        self.stages: Stages = find_stages(document, world.arguments)
        self._bases: dict[str, BaseImage | None] = {}

    @cached_property
    def scopes(self) -> Scopes:
        """The variables."""
        return Scopes(self.document, self.stages, self.world.arguments, self._environment)

    def base(self, name: str) -> BaseImage | None:
        """What is known of an image; it is looked up once."""
        if self.world.base is None:
            return None
        if name not in self._bases:
            self._bases[name] = self.world.base(name)
        return self._bases[name]

    def _environment(self, name: str) -> Mapping[str, str] | None:
        found = self.base(name)
        return None if found is None else found.environment

    @cached_property
    def target(self) -> int | None:
        """Number of the stage that is built; None if there is none."""
        if not self.stages.stages:
            return None
        named = None if self.world.target is None else self.stages.find(self.world.target)
        return len(self.stages.stages) - 1 if named is None else named

    @cached_property
    def shipped(self) -> frozenset[int]:
        """Numbers of the stages whose layers are in the image: the target and what it is on."""
        found: set[int] = set()
        stage = self.target
        while stage is not None and stage not in found:
            found.add(stage)
            base = self.stages.stages[stage].base
            stage = base.stage if base is not None else None
        return frozenset(found)

    def all_instructions(self) -> Iterable[Instruction]:
        """All instructions, those in an ONBUILD after it."""
        for instruction in self.document.instructions:
            yield instruction
            if instruction.child is not None:
                yield instruction.child


def part(instruction: Instruction, word: Word, start: int, end: int) -> Span:
    """Where a piece of a word stands; the whole word if it is not written as it reads."""
    joined = instruction.joined
    place = joined.place(word.span.start)
    if not joined.text.startswith(word.text, place):
        return word.span
    return joined.span(place + start, place + end)


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint that names what is spelled nearly so; empty if nothing is."""
    lowered = {other.lower(): other for other in names}
    found = difflib.get_close_matches(name.lower(), lowered, 1, 0.6)
    return f"Did you mean {lowered[found[0]]}?" if found else ""
