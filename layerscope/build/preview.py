"""What a build would be, before anything is sent: builder, stage, arguments, secrets, context."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from layerscope.build.asked import Answer
from layerscope.build.builders import Builders, builders_of
from layerscope.build.offer import Offer
from layerscope.build.request import BuildRequest
from layerscope.dockerfile.context import Context, read_context
from layerscope.engines.docker import connect
from layerscope.errors import LayerscopeError


@dataclass(frozen=True, slots=True)
class Preview:
    """What a build would be.

    Attributes:
        request: The build.
        offer: What its Dockerfile offers.
        context: What would be sent.
        builders: The engine's builders; None if it does not answer.
        problem: Why the engine cannot build it, in a sentence; empty if it can.
    """

    request: BuildRequest
    offer: Offer
    context: Context
    builders: Builders | None
    problem: str

    @property
    def builder(self) -> str:
        """The builder that is meant; empty if there is none."""
        name = self.request.builder
        if self.builders is None:
            return ""
        builder = self.builders.auto if name == "auto" else name
        return "" if builder in self.builders.missing else builder


def preview(answer: Answer, stopped: Callable[[], None] | None = None) -> Preview:
    """Looks at what a build would be.

    Args:
        answer: What was asked for, with nothing wrong.
        stopped: Called now and then; raises to stop.

    Raises:
        LayerscopeError: The context cannot be read.
    """
    request = answer.checked()
    builders, problem = engine_builders()
    if builders is not None:
        try:
            builders.chosen(request.builder)
            problem = builders.without_secrets(request.builder) if request.secrets else ""
        except LayerscopeError as error:
            problem = str(error)
    dockerfile = answer.dockerfile or Path(os.devnull)
    context = read_context(Path(request.context), dockerfile, stopped=stopped)
    return Preview(request, answer.offer or Offer(), context, builders, problem)


def engine_builders() -> tuple[Builders | None, str]:
    """The builders of the current engine, or why they are not known."""
    try:
        with closing(connect()) as engine:
            return builders_of(engine), ""
    except LayerscopeError as error:
        return None, str(error)
