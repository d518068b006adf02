"""`layerscope build --dry-run`: what would be built and sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerscope.build.builders import TITLES
from layerscope.build.offer import Offer
from layerscope.build.preview import Preview
from layerscope.build.request import BuildRequest
from layerscope.build.secrets import parse_secret
from layerscope.text import docker_size, plural, visible

_RULES = 10  # Rules of .dockerignore in the text.


def preview_document(seen: Preview) -> dict[str, Any]:
    """The object of `build --dry-run --json`; sizes are bytes."""
    request, context, offer, builders = seen.request, seen.context, seen.offer, seen.builders
    given = request.build_args or {}
    secrets = {secret.id: secret for secret in map(parse_secret, request.secrets)}
    return {
        "schema": "layerscope.build-preview/1",
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
            "instance": request.instance or None,
            "chosen": seen.builder or None,
            "why": builders.why if builders else "",
            "engine": builders.engine if builders else None,
            "platform": (builders.platform or None) if builders else None,
            "missing": dict(builders.missing) if builders else {},
            "problem": seen.problem or None,
            "unsupported": [
                {"line": each.line, "feature": each.feature.name, "hint": each.hint}
                for each in seen.unsupported
            ],
        },
    }


def preview_text(seen: Preview) -> Iterator[str]:
    request, offer, builders = seen.request, seen.offer, seen.builders
    if builders is not None and seen.builder:
        title = TITLES[seen.builder]
        why = f": {builders.why}" if request.builder == "auto" else f", of {builders.engine}."
        if request.instance:
            why = f", {visible(request.instance)} of buildx."
        yield f"Builder     {title[0].upper()}{title[1:]}{why}"
    if seen.problem:
        yield f"Problem     {seen.problem}"
    for each in seen.unsupported:
        if each.sentence != seen.problem:
            yield f"{'':<12}{each.sentence}"
        if each.hint:
            yield f"{'':<12}{each.hint}"
    platform = builders.platform if builders is not None else ""
    own = f"{platform}, the engine's own" if platform else "the engine's own"
    yield f"Platform    {request.platform or own}"
    yield f"Dockerfile  {visible(request.dockerfile)}"
    yield from _labelled("Tags", [visible(tag) for tag in request.tags])
    yield f"Target      {target_text(offer, request.target)}"
    stages = [f"{visible(each.target)} FROM {visible(each.base)}" for each in offer.stages]
    yield from _labelled("Stages", stages)
    yield from _labelled("Arguments", list(_arguments(offer, request)))
    yield from _labelled("Secrets", list(_secrets(offer, request)))
    size, files = docker_size(seen.context.size), plural(seen.context.files, "file")
    yield f"Context     {size} in {files} ({visible(request.context)})"
    for entry in seen.context.largest():
        yield f"{docker_size(entry.size):>11}  {visible(entry.path)}"
    if seen.context.ignored:
        rules = seen.context.ignore_file
        name = visible(rules.name) if rules is not None else ".dockerignore"
        yield f"Left out    {seen.context.ignored} by {name}"
        for left in seen.context.left_out[:_RULES]:
            line = f"line {left.pattern.line + 1}: {visible(left.pattern.text)}"
            yield f"{left.count:>11}  {line}, such as {visible(left.example)}"


def target_text(offer: Offer, target: str) -> str:
    if target:
        return visible(target)
    if not offer.stages or offer.own_syntax:
        return "the last stage"
    last = offer.stages[-1]
    return f"the last stage, {visible(last.name)}" if last.name else "the last stage"


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
        yield f"{visible(unknown)} is not declared in the Dockerfile"


def _secrets(offer: Offer, request: BuildRequest) -> Iterator[str]:
    given = {secret.id: secret for secret in map(parse_secret, request.secrets)}
    for secret in given.values():
        where = visible(secret.file) if secret.file else f"the variable {visible(secret.variable)}"
        yield f"{visible(secret.id)} from {where}"
    for each in offer.wanted_secrets(request.target):
        if each.id not in given:
            must = ", which is required" if each.required else ""
            yield f"{visible(each.id)} is not given{must} (line {each.line})"
