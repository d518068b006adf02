"""Checks all steps before anything runs, to find those that will fail.

Commands do not change variables, so all values are known once the base images are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from layerscope.build.embedded.copy_step import CopyStep
from layerscope.build.embedded.metadata import METADATA, Scope, StepError, workdir_of
from layerscope.build.embedded.state import State
from layerscope.dockerfile.checks.facts import World
from layerscope.dockerfile.checks.lint import lint
from layerscope.dockerfile.checks.support import Builder
from layerscope.dockerfile.syntax.document import FaultKind, Instruction
from layerscope.dockerfile.syntax.mounts import mounts_of
from layerscope.dockerfile.syntax.parser import parse
from layerscope.errors import BuildFailedError, Cancelled, LayerscopeError
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.build.embedded.commands import RunStep

EMBEDDED_BUILDER = Builder("embedded", "")
#: Instructions whose variables a shell expands.
_SHELLS = ("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK", "ONBUILD", "SHELL", "MAINTAINER")
#: Not checked in triggers, whose stages belong to another Dockerfile.
_OF_STAGES = ("UnknownStage", "CircularStage")


@dataclass(slots=True)
class Built:
    """A stage, as built so far."""

    index: int
    state: State
    image: str  # Its id; "" for `scratch` without steps.
    entry: dict[str, Any] | None  # Its entry in an index.
    scope: Scope
    has_cmd: bool = False  # Whether a CMD of this Dockerfile counts.

    def copy(self) -> Built:
        scope = replace(self.scope, arguments=dict(self.scope.arguments))
        return replace(self, state=self.state.copy(), scope=scope)


class Steps(Protocol):
    def copy_step(self, instruction: Instruction, stage: Built, stack: ExitStack) -> CopyStep: ...

    def run_step(self, instruction: Instruction, stage: Built) -> RunStep: ...


def check_step(steps: Steps, instruction: Instruction, stage: Built) -> CopyStep | RunStep | None:
    """Raises StepError if a step will certainly fail; otherwise updates its stage.

    Returns a step that copies or runs.
    """
    for fault in instruction.faults:
        # Text that only looks like JSON is shell form.
        if fault.kind is not FaultKind.JSON_INVALID:
            raise StepError(fault.message)
    if instruction.keyword in ("COPY", "ADD"):
        with ExitStack() as stack:
            copy = steps.copy_step(instruction, stage.copy(), stack)
        copy.check()
        return copy
    if instruction.keyword == "RUN":
        run = steps.run_step(instruction, stage.copy())
        run.check()
        return run
    configure(instruction, stage)
    return None


def configure(instruction: Instruction, stage: Built) -> str:
    """Applies an instruction's change of the configuration; returns its history entry."""
    keyword, state = instruction.keyword, stage.state
    if keyword == "WORKDIR":
        state.config["WorkingDir"] = folder = workdir_of(instruction, state, stage.scope)
        return f"WORKDIR {folder}"
    if keyword not in METADATA:
        raise StepError(f"{visible(keyword)} is not an instruction.")
    if keyword == "ENTRYPOINT" and not stage.has_cmd:
        # The CMD of a base image belongs to its own ENTRYPOINT.
        state.config.pop("Cmd", None)
    stage.has_cmd |= keyword == "CMD"
    return METADATA[keyword](instruction, state, stage.scope)


def is_literal(instruction: Instruction) -> bool:
    """Whether it does not depend on the base image."""
    for mount in mounts_of(instruction):
        target = mount.field("target")
        if target is not None and not (target.value or "/").startswith("/"):
            return False  # It depends on the working directory.
    texts = [flag.value or "" for flag in instruction.flags]
    texts += [each.content for each in instruction.heredocs if each.expand]
    if instruction.keyword not in _SHELLS:
        texts.append(instruction.arguments)
    return not any("$" in text for text in texts)


def origins_of(instruction: Instruction) -> Iterator[str]:
    """Yields the names in `--from`, and in `from` of mounts."""
    flag = instruction.flag("from") if instruction.keyword in ("COPY", "ADD") else None
    if flag is not None:
        yield flag.value or ""
    for mount in mounts_of(instruction):
        field = mount.field("from")
        if field is not None and mount.type in ("bind", "cache"):
            yield field.value or ""


def trigger_of(text: str) -> Instruction:
    """Parses an ONBUILD instruction of a base image; raises StepError if it is invalid."""
    found = parse(text).instructions
    if len(found) != 1 or found[0].keyword in ("FROM", "ONBUILD", "MAINTAINER"):
        raise StepError(f"ONBUILD cannot run {visible(text)}.")
    for problem in lint(parse(f"FROM scratch\n{text}\n"), World(builder=EMBEDDED_BUILDER)):
        if problem.certain and problem.code not in _OF_STAGES:
            raise StepError(visible(problem.message), visible(problem.hint))
    return found[0]


@dataclass(frozen=True, slots=True)
class NamedLine:
    """Adds the line to an error that is found before anything runs."""

    line: int
    trigger: str = ""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (StepError, LayerscopeError)) and not isinstance(error, Cancelled):
            of = f", {visible(self.trigger)}" if self.trigger else ""
            raise BuildFailedError(f"Line {self.line}{of}: {error}") from None
