"""What a Dockerfile offers to whoever builds it: stages to stop at, arguments, secrets it wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layerscope.dockerfile.document import Document
from layerscope.dockerfile.expand import ExpansionError, expand
from layerscope.dockerfile.grammar import PLATFORM_ARGS
from layerscope.dockerfile.mounts import parse_mount
from layerscope.dockerfile.parser import parse
from layerscope.dockerfile.stages import Stages, find_stages, global_values
from layerscope.dockerfile.text_file import read_text_file


@dataclass(frozen=True, slots=True)
class OfferedStage:
    """A stage.

    Attributes:
        index: Its number, from 0.
        name: Its name; None if it has none.
        base: What it is built on, with variables replaced.
        steps: How many instructions it has, its FROM included.
        needs: Numbers of the stages that are built for it, itself included.
    """

    index: int
    name: str | None
    base: str
    steps: int
    needs: frozenset[int] = frozenset()

    @property
    def target(self) -> str:
        """What `--target` calls it."""
        return self.name if self.name is not None else str(self.index)


@dataclass(frozen=True, slots=True)
class OfferedArgument:
    """A build argument.

    Attributes:
        name: Its name.
        default: Its default; None if it has none.
        line: The line on which it is declared first, from 1.
    """

    name: str
    default: str | None
    line: int


@dataclass(frozen=True, slots=True)
class OfferedSecret:
    """A secret that a RUN mounts.

    Attributes:
        id: What it is called.
        required: Whether the step fails without it.
        line: The line on which it is mounted first, from 1.
        stages: Numbers of the stages that mount it.
    """

    id: str
    required: bool
    line: int
    stages: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Offer:
    """What a Dockerfile offers.

    Attributes:
        stages: Its stages, in order.
        arguments: The arguments that it declares, in order.
        secrets: The secrets that it mounts, in order.
        own_syntax: Whether it is written for another frontend than Dockerfiles have, whose stages
            only that one knows.
    """

    stages: tuple[OfferedStage, ...] = ()
    arguments: tuple[OfferedArgument, ...] = ()
    secrets: tuple[OfferedSecret, ...] = ()
    own_syntax: bool = False

    @property
    def stage_names(self) -> tuple[str | None, ...]:
        """The names of the stages; none if they are not known for sure."""
        return () if self.own_syntax else tuple(stage.name for stage in self.stages)

    def wanted_secrets(self, target: str) -> tuple[OfferedSecret, ...]:
        """The secrets that are mounted on the way to a stage.

        Args:
            target: The stage, by name or number; empty for the last.
        """
        if not self.stages:
            return self.secrets
        named = [stage for stage in self.stages if target.lower() in (stage.name, str(stage.index))]
        needs = (named or self.stages)[-1].needs
        return tuple(secret for secret in self.secrets if secret.stages & needs)


def read_offer(path: Path) -> Offer:
    """What the Dockerfile in a file offers.

    Raises:
        LayerscopeError: It cannot be read.
    """
    return offer_of(read_text_file(path).text)


def offer_of(text: str, arguments: Mapping[str, str] | None = None) -> Offer:
    """What a Dockerfile offers.

    Args:
        text: The Dockerfile.
        arguments: Build arguments.
    """
    document = parse(text)
    stages = find_stages(document, arguments)
    syntax = document.directive("syntax")
    return Offer(
        tuple(
            OfferedStage(
                stage.index,
                stage.name,
                stage.base.name if stage.base is not None else "",
                len(stage.instructions),
                stages.needed(stage.index),
            )
            for stage in stages.stages
        ),
        _arguments(document),
        _secrets(document, stages),
        syntax is not None and "dockerfile" not in syntax.value.lower(),
    )


def _arguments(document: Document) -> tuple[OfferedArgument, ...]:
    found: dict[str, OfferedArgument] = {}
    above = global_values(document)
    for instruction in document.instructions:
        if instruction.keyword != "ARG":
            continue
        line = document.range(instruction.span).start.line + 1
        for pair in instruction.pairs:
            name, default = pair.name.text, None
            if pair.value is not None:
                try:
                    default = expand(pair.value.text, above, escape=document.escape).text
                except ExpansionError:
                    default = pair.value.text
            known = found.get(name)
            # What only repeats a name takes the default of the first one.
            if known is None or (known.default is None and default is not None):
                found[name] = OfferedArgument(name, default, known.line if known else line)
    # BuildKit sets those of platforms by itself.
    return tuple(each for each in found.values() if each.name not in PLATFORM_ARGS)


def _secrets(document: Document, stages: Stages) -> tuple[OfferedSecret, ...]:
    found: dict[str, OfferedSecret] = {}
    for stage in stages.stages:
        for instruction in stage.instructions:
            line = document.range(instruction.span).start.line + 1
            for flag in instruction.all_flags("mount") if instruction.keyword == "RUN" else ():
                mount = parse_mount(flag)
                if mount.type != "secret":
                    continue
                named = [mount.field(key) for key in ("id", "source", "target")]
                name = next((each.value for each in named if each is not None and each.value), "")
                # Without an id it is called as the file that it becomes.
                name = name if named[0] is not None else name.rpartition("/")[2]
                field = mount.field("required")
                required = field is not None and (field.value or "true").lower() in ("true", "1")
                known = found.get(name)
                if name:
                    before = known is not None and known.required
                    first = known.line if known is not None else line
                    mounted = (known.stages if known is not None else frozenset()) | {stage.index}
                    found[name] = OfferedSecret(name, required or before, first, mounted)
    return tuple(found.values())
