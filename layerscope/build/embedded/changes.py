"""Applies the changes of a commit to a configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from layerscope.build.embedded.metadata import METADATA, Scope, StepError, workdir_of
from layerscope.build.embedded.state import State
from layerscope.dockerfile.syntax.parser import parse
from layerscope.errors import UsageError


def applied(changes: Sequence[str]) -> Callable[[dict[str, Any]], None]:
    """Returns a function that applies instructions from `checked_change`; it raises UsageError."""

    def configure(config: dict[str, Any]) -> None:
        state, scope = State({}, config), Scope("\\", {}, {}, {})
        for change in changes:
            (instruction,) = parse(f"{change}\n").instructions
            try:
                if instruction.keyword == "WORKDIR":
                    config["WorkingDir"] = workdir_of(instruction, state, scope)
                else:
                    METADATA[instruction.keyword](instruction, state, scope)
            except StepError as error:
                raise UsageError(str(error)) from None

    return configure
