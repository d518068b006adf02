"""What the form of a build offers below its fields, for the one with the focus."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layerscope.text import docker_size, visible
from layerscope.tui.format import plural, right
from layerscope.tui.widgets.offer_list import OfferRow

if TYPE_CHECKING:
    from layerscope.build.asked import Asked
    from layerscope.build.builders import Builders
    from layerscope.build.offer import Offer
    from layerscope.dockerfile.context import Context
    from layerscope.errors import LayerscopeError

#: Platforms that are often built for.
_PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/ppc64le", "linux/s390x")

_TITLES = {
    "context": "Context",
    "dockerfile": "Dockerfile",
    "tags": "Names of the image",
    "target": "Stages",
    "build_args": "Arguments of the Dockerfile",
    "secrets": "Secrets for RUN --mount=type=secret",
    "platform": "Platforms",
    "network": "Network of RUN steps",
    "builder": "Builders",
    "labels": "Labels",
    "no_cache": "Cache",
    "pull": "Base images",
}


@dataclass
class Known:
    """What is known around the fields.

    Attributes:
        asked: What is in the fields.
        offer: What the Dockerfile offers; None until it is read.
        last: What was asked for last time; None if nothing was, or that is not known yet.
        context: The context; None until it is looked through.
        context_problem: Why it cannot be.
        builders: The engine's builders; None until it has answered.
        engine_problem: Why it does not.
        dockerfiles: Names of Dockerfiles in the context.
        problems: What is wrong, by field.
    """

    asked: Asked
    offer: Offer | None = None
    last: Asked | None = None
    context: Context | None = None
    context_problem: str = ""
    builders: Builders | None = None
    engine_problem: str = ""
    dockerfiles: tuple[str, ...] = ()
    problems: dict[str, LayerscopeError] = field(default_factory=dict)


def title_of(name: str, known: Known) -> str:
    """What the list of a field is called."""
    context = known.context
    if name == "context" and context is not None:
        files = plural(context.files, "file")
        left = f"; .dockerignore leaves out {context.ignored:,}" if context.ignored else ""
        return f"Sent to the builder: {docker_size(context.size)} in {files}{left}"
    return _TITLES[name]


def rows_of(name: str, known: Known) -> list[OfferRow]:
    """The list of a field: what is wrong with it first."""
    rows: list[OfferRow] = []
    problem = known.problems.get(name)
    if problem is not None:
        rows += [
            OfferRow(text, style="warning") for text in (problem.message, problem.hint) if text
        ]
    rows += _MAKERS[name](known)
    return rows


def _context(known: Known) -> Iterator[OfferRow]:
    context = known.context
    if context is None:
        if "context" not in known.problems:
            text = known.context_problem or "Looking through the context…"
            yield OfferRow(text, style="warning" if known.context_problem else "muted")
        return
    for entry in context.largest():
        yield OfferRow(f"{right(docker_size(entry.size), 8)}  {visible(entry.path)}")
    if context.ignore_file is None:
        yield OfferRow("There is no .dockerignore: everything is sent.", style="muted")
        return
    name = visible(context.ignore_file.name)
    yield OfferRow(f"Left out by {name}: {context.ignored:,}", style="muted")
    for left in context.left_out:
        rule = f"line {left.pattern.line + 1}: {visible(left.pattern.text)}"
        text = f"{right(f'{left.count:,}', 8)}  {rule}, such as {visible(left.example)}"
        yield OfferRow(text, style="muted")


def _dockerfile(known: Known) -> Iterator[OfferRow]:
    for name in known.dockerfiles:
        yield OfferRow(visible(name), value=name)
    if known.offer is not None and known.offer.own_syntax:
        yield OfferRow("It is written for a frontend of its own.", style="muted")


def _tags(known: Known) -> Iterator[OfferRow]:
    for tag in known.last.tags if known.last is not None else ():
        yield OfferRow(visible(tag), "last time", tag)
    yield OfferRow("NAME:TAG, several with blanks between.", style="muted")


def _target(known: Known) -> Iterator[OfferRow]:
    offer = known.offer
    if offer is None or not offer.stage_names:
        yield OfferRow("The stages of the Dockerfile are not known.", style="muted")
        return
    last = "last time" if known.last is not None and not known.last.target else ""
    yield OfferRow("the last stage", last, "")
    for stage in offer.stages:
        steps = plural(stage.steps, "step")
        was = known.last is not None and known.last.target.lower() == stage.target
        detail = f"FROM {visible(stage.base)}, {steps}{', last time' if was else ''}"
        yield OfferRow(visible(stage.target), detail, stage.target)


def _build_args(known: Known) -> Iterator[OfferRow]:
    last = dict(text.partition("=")[::2] for text in (known.last.build_args if known.last else ()))
    declared = known.offer.arguments if known.offer is not None else ()
    for each in declared:
        default = (
            f"{visible(each.default)} by default" if each.default is not None else "no default"
        )
        was = last.pop(each.name, None)
        detail = default if was is None else f"{default}, {visible(was)} last time"
        value = was if was is not None else each.default
        yield OfferRow(visible(each.name), detail, word(f"{each.name}={value or ''}"))
    for name, value in last.items():
        detail = f"{visible(value)} last time; not declared any more"
        yield OfferRow(visible(name), detail, word(f"{name}={value}"), "muted")
    if not declared:
        yield OfferRow("The Dockerfile declares no ARG.", style="muted")
    else:
        yield OfferRow("NAME without = takes the value of the environment.", style="muted")


def _secrets(known: Known) -> Iterator[OfferRow]:
    from layerscope.build.secrets import HOW

    last = {text.partition(",")[0]: text for text in (known.last.secrets if known.last else ())}
    for each in known.offer.secrets if known.offer is not None else ():
        must = "required" if each.required else "optional"
        was = last.pop(f"id={each.id}", None)
        value = word(was) if was is not None else f"id={each.id},src="
        detail = f"{must} by line {each.line}"
        detail += "" if was is None else f"; {visible(was.partition(',')[2])} last time"
        yield OfferRow(visible(each.id), detail, value)
    for text in last.values():
        yield OfferRow(visible(text), "last time", word(text))
    yield OfferRow(HOW, style="muted")
    yield OfferRow("The value is in no layer, no log and no file of layerscope's.", style="muted")


def _platform(known: Known) -> Iterator[OfferRow]:
    own = known.builders.platform if known.builders is not None else ""
    yield OfferRow("the engine's own", visible(own), "")
    for name in _PLATFORMS:
        if name != own:
            yield OfferRow(name, "RUN needs its emulation (binfmt_misc)", name)


def _network(known: Known) -> Iterator[OfferRow]:
    from layerscope.build.fields import NETWORKS

    for name, what in NETWORKS.items():
        yield OfferRow(name, what, "" if name == "default" else name)


def _builder(known: Known) -> Iterator[OfferRow]:
    from layerscope.build.builders import TITLES
    from layerscope.build.request import BUILDERS

    builders = known.builders
    if builders is None:
        text = known.engine_problem or "Asking the engine…"
        yield OfferRow(text, style="warning" if known.engine_problem else "muted")
    for name in BUILDERS:
        if builders is not None and name in builders.missing:
            yield OfferRow(name, builders.missing[name], style="faint")
            continue
        detail = TITLES.get(name, "")
        if name == "auto" and builders is not None:
            detail = f"{TITLES[builders.auto]}: {builders.why}"
        yield OfferRow(name, detail, "" if name == "auto" else name)


def _labels(known: Known) -> Iterator[OfferRow]:
    for text in known.last.labels if known.last is not None else ():
        yield OfferRow(visible(text), "last time", word(text))
    yield OfferRow("NAME=VALUE, several with blanks between.", style="muted")


def _no_cache(known: Known) -> Iterator[OfferRow]:
    yield OfferRow("space turns it on: nothing of earlier builds is used.", style="muted")


def _pull(known: Known) -> Iterator[OfferRow]:
    yield OfferRow("space turns it on: the registry is asked for newer ones.", style="muted")
    for stage in known.offer.stages if known.offer is not None else ():
        yield OfferRow(f"FROM {visible(stage.base)}", style="muted")


_MAKERS = {
    "context": _context,
    "dockerfile": _dockerfile,
    "tags": _tags,
    "target": _target,
    "build_args": _build_args,
    "secrets": _secrets,
    "platform": _platform,
    "network": _network,
    "builder": _builder,
    "labels": _labels,
    "no_cache": _no_cache,
    "pull": _pull,
}


def note_of(name: str, known: Known) -> tuple[str, bool]:
    """What stands beside a field, and whether it is a warning."""
    problem = known.problems.get(name)
    if problem is not None:
        return problem.message, True
    asked, offer, builders = known.asked, known.offer, known.builders
    if name == "context" and known.context is not None:
        context = known.context
        return f"{docker_size(context.size)} in {plural(context.files, 'file')}", False
    if name == "dockerfile" and offer is not None and not asked.text and offer.stages:
        return plural(len(offer.stages), "stage"), False
    if name == "target" and offer is not None and not asked.target and offer.stage_names:
        last = offer.stages[-1]
        return (visible(last.name) if last.name else ""), False
    if name == "build_args" and offer is not None and not offer.own_syntax:
        declared = {each.name for each in offer.arguments}
        names = (text.partition("=")[0] for text in asked.build_args)
        unknown = [visible(each) for each in names if each not in declared]
        return (f"Not declared: {', '.join(unknown)}", True) if unknown else ("", False)
    if name == "secrets":
        return _secrets_note(known)
    if name == "builder":
        if builders is None:
            return known.engine_problem.partition(". ")[0] or "asking the engine…", False
        if asked.builder in ("", "auto"):
            from layerscope.build.builders import TITLES

            return f"{TITLES[builders.auto]}: {builders.why}", False
    return "", False


def _secrets_note(known: Known) -> tuple[str, bool]:
    if known.builders is not None:
        why = known.builders.without_secrets(known.asked.builder or "auto")
        if why:
            return why, False
    given = {text.partition(",")[0] for text in known.asked.secrets}
    wanted = known.offer.wanted_secrets(known.asked.target) if known.offer is not None else ()
    missing = [visible(e.id) for e in wanted if e.required and f"id={e.id}" not in given]
    return (f"Missing: {', '.join(missing)}", True) if missing else ("", False)


def word(text: str) -> str:
    """A word as it is typed: quoted where it has to be."""
    plain = text.replace("=", "").replace(",", "").replace("~", "")
    return text if shlex.quote(plain) == plain else shlex.quote(text)
