"""Stages of a Dockerfile and their dependencies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import groupby

from layerscope.dockerfile.syntax.document import Document, Instruction, Word
from layerscope.dockerfile.syntax.expand import expanded
from layerscope.dockerfile.syntax.grammar import PLATFORM_ARGS
from layerscope.dockerfile.syntax.mounts import mounts_of
from layerscope.dockerfile.syntax.source import Span

_NAME = re.compile(r"[a-z][a-z0-9-_.]*\Z")


@dataclass(frozen=True, slots=True)
class Use:
    """A place where a stage uses another stage, or an image."""

    what: str  # `from`, `copy` or `mount`.
    name: str  # The name, with variables expanded.
    span: Span
    stage: int | None  # Number of the stage; None for an image or a named context.
    instruction: Instruction


@dataclass(frozen=True, slots=True)
class Stage:
    index: int
    name: str | None  # Its name in lower case, or None.
    name_word: Word | None  # Its name as written.
    base_word: Word | None  # The image or stage in its FROM as written, or None.
    start: Instruction  # Its FROM.
    instructions: tuple[Instruction, ...]  # Its instructions, including FROM.
    uses: tuple[Use, ...] = field(repr=False)  # Its base first.

    @property
    def base(self) -> Use | None:
        return self.uses[0] if self.uses and self.uses[0].what == "from" else None

    @property
    def below(self) -> int | None:
        """Number of the stage that it is built on, always a lower one; None for an image."""
        return self.base.stage if self.base is not None else None

    @property
    def label(self) -> str:
        return self.name if self.name is not None else str(self.index)


@dataclass(frozen=True, slots=True)
class Stages:
    """All stages of a document, in order; `above`: instructions above the first FROM."""

    stages: tuple[Stage, ...]
    above: tuple[Instruction, ...]

    def find(self, name: str) -> int | None:
        """The stage with a name or number, as for `--target`; the last one of that name."""
        lowered = name.lower()
        for stage in reversed(self.stages):
            if stage.name == lowered:
                return stage.index
        return stage_number(name, len(self.stages))

    def above_it(self, index: int, name: str, *, numbers: bool) -> int | None:
        """The stage above another that a name refers to in the classic builder, ignoring case."""
        above = self.stages[:index]
        found = (stage.index for stage in reversed(above) if stage.name == name.lower())
        return next(found, stage_number(name, index) if numbers else None)

    def target(self, name: str | None) -> int | None:
        """The final stage of a build with this `--target`; the last stage by default."""
        named = None if name is None else self.find(name)
        return named if named is not None or not self.stages else len(self.stages) - 1

    def shipped(self, target: str | None = None) -> frozenset[int]:
        """The stages whose layers are in the image: the target and those that it is built on."""
        return frozenset(stage.index for stage in self.chain(self.target(target)))

    def chain(self, stage: int | None) -> Iterator[Stage]:
        """A stage, the stage that it is built on, and so on."""
        while stage is not None:
            yield (found := self.stages[stage])
            stage = found.below

    def needed(self, target: int | None = None) -> frozenset[int]:
        """The stages built for one (the last by default), including itself."""
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
        """A use that makes a stage depend on itself, or None."""
        graph = {
            stage.index: [use.stage for use in stage.uses if use.stage is not None]
            for stage in self.stages
        }
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            # Each stage uses the one before it; the last is the first.
            stages: list[int] = error.args[1][1:]
            first = min(stages)
            user = self.stages[stages[(stages.index(first) + 1) % len(stages)]]
            return next(use for use in user.uses if use.stage == first)
        return None


def find_stages(
    document: Document, arguments: Mapping[str, str] | None = None, builder: str = ""
) -> Stages:
    """Finds the stages of a document; `arguments` are build arguments.

    Builders compare names differently; an unknown builder is treated as BuildKit, which stores
    names in lower case, and ignores case except in FROM. The classic builder ignores case
    everywhere, Podman nowhere. All accept numbers as names in COPY, only Podman in mounts and FROM.
    """
    values = global_values(document, arguments)
    grouped = groupby(document.instructions, lambda instruction: instruction.stage)
    by_stage = {stage: list(group) for stage, group in grouped}
    above = by_stage.pop(-1, [])
    groups = list(by_stage.values())
    words = [_name_word(group[0]) for group in groups]
    written = [word.text.lower() if word is not None else "" for word in words]
    names = [name if _NAME.match(name) else None for name in written]
    podman = builder == "podman"
    spelled = [w.text if w is not None else None for w in words] if podman else names
    # The last of several with the same name wins.
    numbers = {name: index for index, name in enumerate(spelled) if name is not None}
    above_it: dict[str, int] = {}

    def stage_of(what: str, name: str) -> int | None:
        # FROM sees only the stages above it, as do all instructions in the other builders.
        known = numbers if what != "from" and builder in ("", "buildkit") else above_it
        exact = podman or (what == "from" and builder != "classic")
        found = known.get(name if exact else name.lower())
        if found is not None or not (podman or what == "copy"):
            return found
        return stage_number(name, len(names) if known is numbers else len(stages))

    stages: list[Stage] = []
    for index, group in enumerate(groups):
        base = group[0].words[0] if group[0].words else None
        uses = _uses(document, group, stage_of, values)
        if (own := spelled[index]) is not None:
            above_it[own] = index
        stages.append(Stage(index, names[index], words[index], base, group[0], tuple(group), uses))
    return Stages(tuple(stages), tuple(above))


def global_values(document: Document, arguments: Mapping[str, str] | None = None) -> dict[str, str]:
    """Values of the ARGs above the first FROM, except those without a value."""
    arguments = arguments or {}
    values = {name: value for name, value in arguments.items() if name in PLATFORM_ARGS}
    for instruction in document.instructions:
        if instruction.stage >= 0:
            break
        if instruction.keyword != "ARG":
            continue
        for pair in instruction.pairs:
            name = pair.name.text
            if name in arguments:
                values[name] = arguments[name]
            elif pair.value is not None:
                values[name] = expanded(pair.value.text, values, document.escape)
    return values


def _name_word(start: Instruction) -> Word | None:
    words = start.words
    return words[2] if len(words) == 3 and words[1].text.upper() == "AS" else None


def _uses(
    document: Document,
    group: list[Instruction],
    stage_of: Callable[[str, str], int | None],
    values: Mapping[str, str],
) -> tuple[Use, ...]:
    uses: list[Use] = []
    start = group[0]
    if start.words:
        word = start.words[0]
        base = expanded(word.text, values, document.escape)
        uses.append(Use("from", base, word.span, stage_of("from", base), start))
    for instruction in group[1:]:
        # An ONBUILD runs in another build.
        if instruction.keyword == "COPY":
            flag = instruction.flag("from")
            if flag is not None and flag.value and flag.value_span is not None:
                stage = stage_of("copy", flag.value)
                uses.append(Use("copy", flag.value, flag.value_span, stage, instruction))
        for mount in mounts_of(instruction):
            named = mount.field("from")
            if named is not None and named.value:
                stage = stage_of("mount", named.value)
                uses.append(Use("mount", named.value, named.value_span, stage, instruction))
    return tuple(uses)


def stage_number(text: str, count: int) -> int | None:
    """The number of a stage out of `count`, or None if the text is not one."""
    digits = text.lstrip("0") or "0"
    if not text or not text.isascii() or not text.isdigit() or len(digits) > len(str(count)):
        return None
    number = int(digits)
    return number if number < count else None
