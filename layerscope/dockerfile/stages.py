"""Stages of a Dockerfile, and which of them are needed for which."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from layerscope.dockerfile.document import Document, Instruction, Word
from layerscope.dockerfile.expand import ExpansionError, expand
from layerscope.dockerfile.mounts import parse_mount
from layerscope.dockerfile.source import Span

_NAME = re.compile(r"[a-z][a-z0-9-_.]*\Z")


@dataclass(frozen=True, slots=True)
class Use:
    """A place where a stage uses another one, or an image.

    Attributes:
        what: `from`, `copy` or `mount`.
        name: What it names, with variables replaced.
        span: Where it names it.
        stage: Number of the stage that it is; None for an image or a named context.
        instruction: The instruction.
    """

    what: str
    name: str
    span: Span
    stage: int | None
    instruction: Instruction


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage.

    Attributes:
        index: Its number, counted from 0.
        name: Its name, in lower case; None if it has none.
        name_word: Its name as it is written.
        base_word: What its FROM names, as it is written; None if that is missing.
        start: Its FROM.
        instructions: Its instructions, FROM included.
        uses: What it uses, its base first.
    """

    index: int
    name: str | None
    name_word: Word | None
    base_word: Word | None
    start: Instruction
    instructions: tuple[Instruction, ...]
    uses: tuple[Use, ...] = field(repr=False)

    @property
    def base(self) -> Use | None:
        """What it is built on."""
        return self.uses[0] if self.uses and self.uses[0].what == "from" else None

    @property
    def label(self) -> str:
        """What a user calls it."""
        return self.name if self.name is not None else str(self.index)


@dataclass(frozen=True, slots=True)
class Stages:
    """All stages of a document.

    Attributes:
        stages: The stages, in order.
        above: Instructions above the first FROM.
    """

    stages: tuple[Stage, ...]
    above: tuple[Instruction, ...]

    def find(self, name: str) -> int | None:
        """The stage of a name or number, as `--target` takes it; the last of those so called."""
        lowered = name.lower()
        for stage in reversed(self.stages):
            if stage.name == lowered:
                return stage.index
        return stage_number(name, len(self.stages))

    def needed(self, target: int | None = None) -> frozenset[int]:
        """Numbers of the stages that are built for one, itself included.

        Args:
            target: Its number; None for the last.
        """
        if not self.stages:
            return frozenset()
        todo = [len(self.stages) - 1 if target is None else target]
        found: set[int] = set()
        while todo:
            index = todo.pop()
            if index in found:
                continue
            found.add(index)
            todo += [use.stage for use in self.stages[index].uses if use.stage is not None]
        return frozenset(found)

    def cycle(self) -> Use | None:
        """A use that makes a stage need itself; None if there is no such."""
        done: set[int] = set()
        for first in self.stages:
            # Depth first; a stage on the way here that is met again closes a circle.
            way = [(first.index, iter(first.uses))] if first.index not in done else []
            on_way = {first.index}
            while way:
                index, uses = way[-1]
                use = next(uses, None)
                if use is None:
                    way.pop()
                    on_way.discard(index)
                    done.add(index)
                elif use.stage in on_way:
                    return use
                elif use.stage is not None and use.stage not in done:
                    on_way.add(use.stage)
                    way.append((use.stage, iter(self.stages[use.stage].uses)))
        return None

    def edges(self) -> list[tuple[int, int, str]]:
        """The graph: a stage, one that it needs, and by what (`from`, `copy`, `mount`)."""
        return sorted(
            {
                (stage.index, use.stage, use.what)
                for stage in self.stages
                for use in stage.uses
                if use.stage is not None
            }
        )


def find_stages(document: Document, arguments: Mapping[str, str] | None = None) -> Stages:
    """Finds the stages of a document.

    Args:
        document: The document.
        arguments: Build arguments, as `--build-arg` gives them.
    """
    values = global_values(document, arguments)
    groups: list[list[Instruction]] = []
    above: list[Instruction] = []
    for instruction in document.instructions:
        if instruction.stage < 0:
            above.append(instruction)
            continue
        if instruction.stage >= len(groups):
            groups.append([])
        groups[instruction.stage].append(instruction)
    names: list[str | None] = []
    for group in groups:
        word = _name_word(group[0])
        name = word.text.lower() if word is not None else None
        names.append(name if name is not None and _NAME.match(name) else None)
    # Of several of the same name the last counts.
    numbers = {name: index for index, name in enumerate(names) if name is not None}
    above_it: dict[str, int] = {}

    def stage_of(name: str) -> int | None:
        return _stage(name, numbers, len(names))

    stages = []
    for index, group in enumerate(groups):
        base = group[0].words[0] if group[0].words else None
        uses = _uses(document, group, above_it, stage_of, values)
        if (own := names[index]) is not None:
            above_it[own] = index
        stages.append(
            Stage(index, names[index], _name_word(group[0]), base, group[0], tuple(group), uses)
        )
    return Stages(tuple(stages), tuple(above))


def global_values(document: Document, arguments: Mapping[str, str] | None = None) -> dict[str, str]:
    """Values of the ARGs above the first FROM; those without any are not among them."""
    arguments = arguments or {}
    values = dict(arguments)
    for instruction in document.instructions:
        if instruction.stage >= 0:
            break
        if instruction.keyword != "ARG":
            continue
        for pair in instruction.pairs:
            name = pair.name.text
            if name in arguments or pair.value is None:
                continue
            try:
                values[name] = expand(pair.value.text, values, escape=document.escape).text
            except ExpansionError:
                values[name] = pair.value.text
    return values


def _name_word(start: Instruction) -> Word | None:
    words = start.words
    return words[2] if len(words) == 3 and words[1].text.upper() == "AS" else None


def _uses(
    document: Document,
    group: list[Instruction],
    above_it: Mapping[str, int],
    stage_of: Callable[[str], int | None],
    values: Mapping[str, str],
) -> tuple[Use, ...]:
    uses: list[Use] = []
    start = group[0]
    if start.words:
        word = start.words[0]
        try:
            base = expand(word.text, values, escape=document.escape).text
        except ExpansionError:
            base = word.text
        # FROM sees the stages above it only, by name and not by number.
        stage = above_it.get(base.lower())
        uses.append(Use("from", base, word.span, stage, start))
    for instruction in group[1:]:
        # What stands in an ONBUILD is done in another build.
        if instruction.keyword == "COPY":
            flag = instruction.flag("from")
            if flag is not None and flag.value and flag.value_span is not None:
                stage = stage_of(flag.value)
                uses.append(Use("copy", flag.value, flag.value_span, stage, instruction))
        elif instruction.keyword == "RUN":
            for flag in instruction.all_flags("mount"):
                mount = parse_mount(flag)
                field_ = mount.field("from")
                if field_ is not None and field_.value:
                    stage = stage_of(field_.value)
                    uses.append(Use("mount", field_.value, field_.value_span, stage, instruction))
    return tuple(uses)


def _stage(name: str, numbers: Mapping[str, int], count: int) -> int | None:
    """The stage that a name or a number means, of so many."""
    found = numbers.get(name.lower())
    return stage_number(name, count) if found is None else found


def stage_number(text: str, count: int) -> int | None:
    """The number of a stage, of so many; None if a text is no such number."""
    digits = text.lstrip("0") or "0"
    if not text or not text.isascii() or not text.isdigit() or len(digits) > len(str(count)):
        return None
    number = int(digits)
    return number if number < count else None
