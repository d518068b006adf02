"""Previews a build before anything is sent: builder, stage, arguments, secrets, context."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from layerscope.build.builders import (
    Builders,
    builders_of,
    check_files,
    embedded_builders,
    refused,
)
from layerscope.build.check import CheckedBuild
from layerscope.build.offer import Offer, offer_with
from layerscope.build.request import BUILDERS, BuildRequest
from layerscope.dockerfile.checks.support import Unsupported
from layerscope.dockerfile.context.context import Context, read_context
from layerscope.dockerfile.context.conventions import has_both, has_containerignore
from layerscope.engines.address import has_engine
from layerscope.errors import LayerscopeError


@dataclass(frozen=True, slots=True)
class Preview:
    request: BuildRequest  # The build.
    offer: Offer
    context: Context  # What would be sent.
    builders: Builders | None  # The engine's builders; None if it does not answer.
    problem: str  # A sentence on why the engine cannot build it, or "".
    unsupported: tuple[Unsupported, ...] = ()  # What the builder does not support.

    @property
    def builder(self) -> str:
        """The builder, or "" if the engine does not have it."""
        builder = "" if self.builders is None else self.builders.resolve(self.request.builder)
        return "" if self.builders is None or builder in self.builders.missing else builder


def preview(checked: CheckedBuild, stopped: Callable[[], None] | None = None) -> Preview:
    """Previews a build of checked fields; calls `stopped` regularly, which raises to stop.

    Raises LayerscopeError if the context cannot be read.
    """
    request = checked.checked()
    builders, problem = engine_builders(request.builder)
    dockerfile = checked.dockerfile or Path(os.devnull)
    builder = request.builder if builders is None else builders.resolve(request.builder)
    arguments = request.known_arguments
    document = checked.offer.document if checked.offer is not None else None
    offer = Offer() if document is None else offer_with(document, arguments, builder)
    lacks: list[Unsupported] = []
    try:
        check_files(builder, dockerfile, request.ignore_file)
        if builders is not None:
            builders.chosen(request.builder)
            problem = builders.without_secrets(request.builder) if request.secrets else ""
        if document is not None and builder in BUILDERS[1:]:
            lacks = refused(
                builders, builder, document, request.target, arguments, request.instance
            )
            problem = problem or " ".join(each.sentence for each in lacks[:1])
    except LayerscopeError as error:
        problem = str(error)
    rules = Path(request.ignore_file) if request.ignore_file else None
    root = Path(request.context)
    context = read_context(root, dockerfile, builder, rules=rules, stopped=stopped)
    return Preview(request, offer, context, builders, problem, tuple(lacks))


def builder_that_matters(context: Path, dockerfile: Path | None = None) -> str:
    """Returns the current engine's builder if a file here depends on the builder.

    Otherwise, or if the engine does not answer, returns "".
    """
    if not has_containerignore(context, dockerfile) and not has_both(context):
        return ""
    builders, _ = engine_builders()
    return "" if builders is None else builders.auto


def engine_builders(wanted: str = "") -> tuple[Builders | None, str]:
    """Returns the builders of the current engine, or why they are unknown.

    Needs no engine if the embedded builder is wanted or no engine is set up.
    """
    if wanted == "embedded" or not has_engine():
        return embedded_builders(), ""
    # Not at the top: the embedded builder does not need an engine's client.
    from layerscope.engines.docker import connect

    try:
        with closing(connect()) as engine:
            return builders_of(engine), ""
    except LayerscopeError as error:
        return None, str(error)
