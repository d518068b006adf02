"""`layerscope build --dry-run`: what would be built, and what would be sent for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerscope.build.builders import TITLES
from layerscope.build.offer import Offer, OfferedStage
from layerscope.build.preview import Preview
from layerscope.build.request import BuildRequest
from layerscope.build.secrets import parse_secret
from layerscope.dockerfile.context import Context
from layerscope.text import docker_size, visible

SCHEMA = "layerscope.build-preview/1"

#: Rules of .dockerignore that are told to people.
_RULES = 10


def preview_document(seen: Preview) -> dict[str, Any]:
    """The object that `build --dry-run --json` prints; sizes are bytes."""
    request, context, offer = seen.request, seen.context, seen.offer
    given = request.build_args or {}
    secrets = {secret.id: secret for secret in map(parse_secret, request.secrets)}
    return {
        "schema": SCHEMA,
        "context": {
            "folder": request.context,
            "size": context.size,
            "files": context.files,
            "largest": [{"path": e.path, "size": e.size} for e in context.largest()],
            "ignore_file": None if context.ignore_file is None else str(context.ignore_file),
            "ignored": [
                {
                    "line": left.pattern.line + 1,
                    "pattern": left.pattern.text,
                    "count": left.count,
                    "example": left.example,
                }
                for left in context.left_out
            ],
        },
        "dockerfile": request.dockerfile,
        "tags": list(request.tags),
        "target": request.target or None,
        "stages": [
            {"index": stage.index, "name": stage.name, "base": stage.base, "steps": stage.steps}
            for stage in offer.stages
        ],
        "arguments": [
            {
                "name": each.name,
                "default": each.default,
                "given": each.name in given,
                "value": request.known_arguments.get(each.name, each.default),
                "line": each.line,
            }
            for each in offer.arguments
        ],
        "undeclared": [name for name in given if name not in _declared(offer)],
        "secrets": [
            {
                "id": each.id,
                "required": each.required,
                "line": each.line,
                "given": each.id in secrets,
            }
            for each in offer.secrets
        ],
        "secrets_given": [
            {"id": s.id, "file": s.file or None, "variable": s.variable or None}
            for s in secrets.values()
        ],
        "platform": request.platform or None,
        "network": request.network or None,
        "builder": {
            "asked": request.builder,
            "chosen": seen.builder or None,
            "why": "" if seen.builders is None else seen.builders.why,
            "engine": None if seen.builders is None else seen.builders.engine,
            "platform": None if seen.builders is None else seen.builders.platform or None,
            "missing": {} if seen.builders is None else dict(seen.builders.missing),
            "problem": seen.problem or None,
        },
    }


def preview_text(seen: Preview) -> Iterator[str]:
    """The same for people, line by line."""
    request, offer, builders = seen.request, seen.offer, seen.builders
    if builders is not None and seen.builder:
        title = TITLES[seen.builder]
        why = f": {builders.why}" if request.builder == "auto" else f", of {builders.engine}."
        yield f"Builder     {title[0].upper()}{title[1:]}{why}"
    if seen.problem:
        yield f"Problem     {seen.problem}"
    platform = builders.platform if builders is not None else ""
    own = f"{platform}, the engine's own" if platform else "the engine's own"
    yield f"Platform    {request.platform or own}"
    yield f"Dockerfile  {visible(request.dockerfile)}"
    yield from _labelled("Tags", [visible(tag) for tag in request.tags])
    yield f"Target      {target_text(offer, request.target)}"
    yield from _labelled("Stages", [stage_text(stage) for stage in offer.stages])
    yield from _labelled("Arguments", list(_arguments(offer, request)))
    yield from _labelled("Secrets", list(_secrets(offer, request)))
    yield f"Context     {context_text(seen.context)} ({visible(request.context)})"
    for entry in seen.context.largest():
        yield f"{docker_size(entry.size):>11}  {visible(entry.path)}"
    if seen.context.ignored:
        yield f"Left out    {seen.context.ignored} {left_out_by(seen.context)}"
        for left in seen.context.left_out[:_RULES]:
            line = f"line {left.pattern.line + 1}: {visible(left.pattern.text)}"
            yield f"{left.count:>11}  {line}, such as {visible(left.example)}"


def context_text(context: Context) -> str:
    """Size and number of files."""
    files = f"{context.files:,} files" if context.files != 1 else "1 file"
    return f"{docker_size(context.size)} in {files}"


def left_out_by(context: Context) -> str:
    """By which file something is left out."""
    name = context.ignore_file.name if context.ignore_file is not None else ".dockerignore"
    return f"by {visible(name)}"


def target_text(offer: Offer, target: str) -> str:
    """Which stage is built."""
    if target:
        return visible(target)
    if not offer.stages or offer.own_syntax:
        return "the last stage"
    last = offer.stages[-1]
    return f"the last stage, {visible(last.name)}" if last.name else "the last stage"


def stage_text(stage: OfferedStage) -> str:
    """A stage: what it is called, and what it is built on."""
    return f"{visible(stage.target)} FROM {visible(stage.base)}"


def _labelled(label: str, lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"{'' if number else label:<12}{line}"


def _declared(offer: Offer) -> frozenset[str]:
    return frozenset(each.name for each in offer.arguments)


def _arguments(offer: Offer, request: BuildRequest) -> Iterator[str]:
    given = request.known_arguments
    for each in offer.arguments:
        name = visible(each.name)
        if each.name in given:
            yield f"{name}={visible(given[each.name])}"
        elif each.default is not None:
            yield f"{name}={visible(each.default)} by default"
        else:
            yield f"{name} has no value"
    for unknown in (request.build_args or {}).keys() - _declared(offer):
        yield f"{visible(unknown)} is declared nowhere in the Dockerfile"


def _secrets(offer: Offer, request: BuildRequest) -> Iterator[str]:
    given = {secret.id: secret for secret in map(parse_secret, request.secrets)}
    for secret in given.values():
        where = visible(secret.file) if secret.file else f"the variable {visible(secret.variable)}"
        yield f"{visible(secret.id)} from {where}"
    for each in offer.wanted_secrets(request.target):
        if each.id not in given:
            must = ", which is required" if each.required else ""
            yield f"{visible(each.id)} is not given{must} (line {each.line})"
