"""The input of the checks: the document, derived facts, and what the caller knows."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from layerscope.dockerfile.checks.support import Builder
from layerscope.dockerfile.context.context import ContextFolder
from layerscope.dockerfile.meaning.scope import Scopes
from layerscope.dockerfile.meaning.stages import Stage, Stages, find_stages
from layerscope.dockerfile.syntax.document import Document, Instruction, Word
from layerscope.dockerfile.syntax.expand import ExpansionError
from layerscope.dockerfile.syntax.source import Span

if TYPE_CHECKING:
    from layerscope.dockerfile.meaning.match_history import StepWaste


@dataclass(frozen=True, slots=True)
class BaseImage:
    found: bool  # Whether it exists, in the engine or a registry.
    environment: Mapping[str, str] | None = None  # Variables that it sets, or None if unknown.


@dataclass(frozen=True, slots=True)
class World:
    """The caller's knowledge besides the document."""

    context: ContextFolder | None = None
    #: Looks up an image; returns None if that is impossible.
    base: Callable[[str], BaseImage | None] | None = None
    arguments: Mapping[str, str] | None = None  # Build arguments.
    waste: Sequence[StepWaste] = ()  # The waste of the document's last build.
    target: str | None = None  # The stage that is built, by name or number; the last by default.
    builder: Builder | None = None  # The builder, if one is chosen.


class Facts:
    """A document and facts derived from it."""

    def __init__(self, document: Document, world: World) -> None:
        self.document = document
        self.world = world
        builder = world.builder.name if world.builder is not None else ""
        self.stages: Stages = find_stages(document, world.arguments, builder)
        self._bases: dict[str, BaseImage | None] = {}

    @cached_property
    def scopes(self) -> Scopes:
        return Scopes(self.document, self.stages, self.world.arguments, self._environment)

    def base(self, name: str) -> BaseImage | None:
        """Facts about an image; it is looked up only once."""
        if self.world.base is None:
            return None
        if name not in self._bases:
            self._bases[name] = self.world.base(name)
        return self._bases[name]

    def is_base_known(self, stage: Stage) -> bool:
        """Whether all variables in the base image's name have a value or do not need one."""
        try:
            text = stage.base_word.text if stage.base_word is not None else ""
            return not self.scopes.expand(stage.start, text).unset
        except ExpansionError:
            return False

    def _environment(self, name: str) -> Mapping[str, str] | None:
        found = self.base(name)
        return None if found is None else found.environment

    @cached_property
    def target(self) -> int | None:
        return self.stages.target(self.world.target)

    @cached_property
    def shipped(self) -> frozenset[int]:
        """Numbers of the stages whose layers are in the image."""
        return self.stages.shipped(self.world.target)

    def all_instructions(self) -> Iterable[Instruction]:
        for instruction in self.document.instructions:
            yield instruction
            if instruction.child is not None:
                yield instruction.child


def part(instruction: Instruction, word: Word, start: int, end: int) -> Span:
    """The position of a piece of a word; the whole word if it has quotes or escapes."""
    joined = instruction.joined
    place = joined.place(word.span.start)
    if not joined.text.startswith(word.text, place):
        return word.span
    return joined.span(place + start, place + end)


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint with the most similar name; empty if none is similar."""
    lowered = {other.lower(): other for other in names}
    found = difflib.get_close_matches(name.lower(), lowered, 1, 0.6)
    return f"Did you mean {lowered[found[0]]}?" if found else ""
