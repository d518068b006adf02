"""What a Dockerfile offers for a build: stages, arguments, and secrets that it mounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from layerscope.dockerfile.editing.text_file import read_text_file
from layerscope.dockerfile.meaning.stages import Stages, find_stages, global_values
from layerscope.dockerfile.syntax.document import Document
from layerscope.dockerfile.syntax.expand import expanded
from layerscope.dockerfile.syntax.grammar import PLATFORM_ARGS
from layerscope.dockerfile.syntax.mounts import mounts_of
from layerscope.dockerfile.syntax.parser import parse


@dataclass(frozen=True, slots=True)
class OfferedStage:
    index: int  # Its number, from 0.
    name: str | None
    base: str  # The image or stage that it begins with, with variables expanded.
    steps: int  # Its number of instructions, including FROM.
    #: Numbers of the stages that it needs, including itself.
    needs: frozenset[int] = frozenset()

    @property
    def target(self) -> str:
        return self.name if self.name is not None else str(self.index)


@dataclass(frozen=True, slots=True)
class OfferedArgument:
    """A build argument; `line` is its first declaration, from 1."""

    name: str
    default: str | None
    line: int


@dataclass(frozen=True, slots=True)
class OfferedSecret:
    id: str  # Its id.
    required: bool  # Whether a step fails without it.
    line: int  # The first line that mounts it, from 1.
    stages: frozenset[int] = frozenset()  # Numbers of the stages that mount it.


@dataclass(frozen=True, slots=True)
class Offer:
    """The stages, arguments and secrets of a Dockerfile, in order.

    `own_syntax` means that it is for another BuildKit frontend, so the stages may be wrong.
    `document` is the Dockerfile itself.
    """

    stages: tuple[OfferedStage, ...] = ()
    arguments: tuple[OfferedArgument, ...] = ()
    secrets: tuple[OfferedSecret, ...] = ()
    own_syntax: bool = False
    document: Document | None = field(default=None, repr=False, compare=False)

    @property
    def stage_names(self) -> tuple[str | None, ...]:
        """The names of the stages, empty if they may be wrong."""
        return () if self.own_syntax else tuple(stage.name for stage in self.stages)

    def wanted_secrets(self, target: str) -> tuple[OfferedSecret, ...]:
        """The secrets needed to build a stage, by name or number; empty for the last."""
        if not self.stages:
            return self.secrets
        named = [stage for stage in self.stages if target.lower() in (stage.name, str(stage.index))]
        needs = (named or self.stages)[-1].needs
        return tuple(secret for secret in self.secrets if secret.stages & needs)


def read_offer(path: Path) -> Offer:
    """Reads a file, for `offer_of`; raises LayerscopeError if it cannot be read."""
    return offer_of(read_text_file(path).text)


def offer_of(text: str) -> Offer:
    return offer_with(parse(text))


def offer_with(
    document: Document, arguments: Mapping[str, str] | None = None, builder: str = ""
) -> Offer:
    """Returns what a Dockerfile offers to a builder, with values of arguments."""
    stages = find_stages(document, arguments, builder)
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
        document,
    )


def _arguments(document: Document) -> tuple[OfferedArgument, ...]:
    found: dict[str, OfferedArgument] = {}
    above = global_values(document)
    for instruction in document.instructions:
        if instruction.keyword != "ARG":
            continue
        line = document.source.line_at(instruction.span.start) + 1
        for pair in instruction.pairs:
            name, value = pair.name.text, pair.value
            default = None if value is None else expanded(value.text, above, document.escape)
            known = found.get(name)
            # A repeated declaration without a default keeps the first one's.
            if known is None or (known.default is None and default is not None):
                found[name] = OfferedArgument(name, default, known.line if known else line)
    # BuildKit sets the arguments of platforms itself.
    return tuple(each for each in found.values() if each.name not in PLATFORM_ARGS)


def _secrets(document: Document, stages: Stages) -> tuple[OfferedSecret, ...]:
    found: dict[str, OfferedSecret] = {}
    for stage in stages.stages:
        for instruction in stage.instructions:
            line = document.source.line_at(instruction.span.start) + 1
            for mount in mounts_of(instruction):
                if mount.type != "secret":
                    continue
                named = [mount.field(key) for key in ("id", "source", "target")]
                name = next((each.value for each in named if each is not None and each.value), "")
                # The default id is the name of the mounted file.
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
