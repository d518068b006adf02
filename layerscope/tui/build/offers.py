"""What the build form shows for each field: values to choose from, and notes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layerscope.build.fields import NETWORKS
from layerscope.build.request import BUILDERS, split_builder
from layerscope.build.secrets import HOW
from layerscope.text import docker_size, one_line, visible
from layerscope.tui.build.offer_list import OfferRow
from layerscope.tui.rows.format import plural, right

if TYPE_CHECKING:
    from layerscope.build.builders import Builders
    from layerscope.build.check import WrittenBuild
    from layerscope.build.instances import BuilderInstance
    from layerscope.build.offer import Offer
    from layerscope.dockerfile.context.context import Context
    from layerscope.errors import LayerscopeError

#: Common platforms.
_PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/ppc64le", "linux/s390x")


@dataclass
class Known:
    written: WrittenBuild
    offer: Offer | None = None  # What the Dockerfile offers; None until it is read.
    #: The fields of the last build; None if there was none, or it is not known yet.
    last: WrittenBuild | None = None
    context: Context | None = None  # The context; None until it is read.
    context_problem: str = ""  # Why the context cannot be read.
    builders: Builders | None = None  # The engine's builders; None until it answers.
    engine_problem: str = ""  # Why the engine does not answer.
    instances: Sequence[BuilderInstance] = ()  # The builders of buildx.
    dockerfiles: tuple[str, ...] = ()  # Names of Dockerfiles in the context.
    problems: dict[str, LayerscopeError] = field(default_factory=dict)  # By field.
    lacks: tuple[object, str] = (None, "")  # The cached arguments and result of `_lacks`.


def title_of(name: str, known: Known) -> str:
    context = known.context
    if name == "context" and context is not None:
        rules = context.ignore_file
        name = visible(rules.name) if rules is not None else ""
        left = f"; {name} leaves out {context.ignored:,}" if context.ignored else ""
        return f"Sent to the builder: {_sent(context)}{left}"
    return _LISTS[name][0]


def rows_of(name: str, known: Known) -> list[OfferRow]:
    """Returns the rows for a field; its problem comes first."""
    problem = known.problems.get(name)
    texts = [] if problem is None else [problem.message, problem.hint]
    return [*(OfferRow(text, style="warning") for text in texts if text), *_LISTS[name][1](known)]


def _sent(context: Context) -> str:
    return f"{docker_size(context.size)} in {plural(context.files, 'file')}"


def _note(text: str) -> OfferRow:
    return OfferRow(text, style="muted")


def _waiting(problem: str, text: str) -> OfferRow:
    """Returns a row for a value that is not known yet, or for the problem."""
    return OfferRow(problem, style="warning") if problem else _note(text)


def _last_time(texts: Sequence[str], hint: str) -> Iterator[OfferRow]:
    for text in texts:
        yield OfferRow(visible(text), "last time", word(text))
    yield _note(hint)


def _context(known: Known) -> Iterator[OfferRow]:
    context = known.context
    if context is None:
        if "context" not in known.problems:
            yield _waiting(known.context_problem, "Reading the context…")
        return
    for entry in context.largest():
        yield OfferRow(f"{right(docker_size(entry.size), 8)}  {visible(entry.path)}")
    if context.ignore_file is None:
        yield _note("No rules leave anything out: everything is sent.")
        return
    name = visible(context.ignore_file.name)
    yield _note(f"Left out by {name}: {context.ignored:,}")
    for left in context.left_out:
        rule = f"line {left.pattern.line + 1}: {visible(left.pattern.text)}"
        text = f"{right(f'{left.count:,}', 8)}  {rule}, such as {visible(left.example)}"
        yield _note(text)


def _dockerfile(known: Known) -> Iterator[OfferRow]:
    for name in known.dockerfiles:
        yield OfferRow(visible(name), value=name)
    if known.offer is not None and known.offer.own_syntax:
        yield _note("It uses a custom frontend (# syntax=).")


def _tags(known: Known) -> Iterator[OfferRow]:
    return _last_time(known.last.tags if known.last else (), "NAME:TAG, separated by spaces.")


def _labels(known: Known) -> Iterator[OfferRow]:
    return _last_time(known.last.labels if known.last else (), "NAME=VALUE, separated by spaces.")


def _target(known: Known) -> Iterator[OfferRow]:
    offer = known.offer
    if offer is None or not offer.stage_names:
        yield _note("The stages of the Dockerfile are not known.")
        return
    last = "last time" if known.last is not None and not known.last.target else ""
    yield OfferRow("the last stage", last, "")
    for stage in offer.stages:
        # Builders find a stage only by its name.
        if stage.name is None:
            continue
        steps = plural(stage.steps, "step")
        was = known.last is not None and known.last.target.lower() == stage.target
        detail = f"FROM {visible(stage.base)}, {steps}{', last time' if was else ''}"
        yield OfferRow(visible(stage.target), detail, stage.target)


def _build_args(known: Known) -> Iterator[OfferRow]:
    last = dict(text.partition("=")[::2] for text in (known.last.build_args if known.last else ()))
    declared = known.offer.arguments if known.offer is not None else ()
    for each in declared:
        default = "no default" if each.default is None else f"{visible(each.default)} by default"
        was = last.pop(each.name, None)
        detail = default if was is None else f"{default}, {visible(was)} last time"
        value = was if was is not None else each.default
        yield OfferRow(visible(each.name), detail, word(f"{each.name}={value or ''}"))
    for name, value in last.items():
        detail = f"{visible(value)} last time; no longer declared"
        yield OfferRow(visible(name), detail, word(f"{name}={value}"), "muted")
    hint = "NAME without = takes its value from the environment."
    yield _note(hint if declared else "The Dockerfile declares no ARG.")


def _secrets(known: Known) -> Iterator[OfferRow]:
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
    yield _note(HOW)
    yield _note("Its value is never written to a layer, a log or a job.")


def _platform(known: Known) -> Iterator[OfferRow]:
    own = known.builders.platform if known.builders is not None else ""
    yield OfferRow("the engine's own", visible(own), "")
    for name in _PLATFORMS:
        if name != own:
            yield OfferRow(name, "RUN needs emulation (binfmt_misc)", name)


def _network(known: Known) -> Iterator[OfferRow]:
    for name, what in NETWORKS.items():
        yield OfferRow(name, what, "" if name == "default" else name)


def _builder(known: Known) -> Iterator[OfferRow]:
    from layerscope.build.builders import TITLES

    builders = known.builders
    if builders is None:
        yield _waiting(known.engine_problem, "Asking the engine…")
    for name in BUILDERS:
        if builders is not None and name in builders.missing:
            yield OfferRow(name, builders.missing[name], style="faint")
            continue
        detail = TITLES.get(name, "")
        if name == "auto" and builders is not None:
            detail = f"{TITLES[builders.auto]}: {builders.why}"
        yield OfferRow(name, detail, "" if name == "auto" else name)
    if builders is None or "buildkit" not in builders.missing:
        for each in known.instances:
            name = f"buildkit:{each.name}"
            facts = filter(
                None, (each.driver, each.state, each.problem or ", ".join(each.endpoints))
            )
            detail = one_line(", ".join(facts))
            yield OfferRow(visible(name), detail, name, "faint" if each.problem else "text")


def _no_cache(known: Known) -> Iterator[OfferRow]:
    yield _note("space turns it on: every step runs, without the cache.")


def _pull(known: Known) -> Iterator[OfferRow]:
    yield _note("space turns it on: newer versions are pulled.")
    for stage in known.offer.stages if known.offer is not None else ():
        yield _note(f"FROM {visible(stage.base)}")


#: Title and rows of the list of each field.
_LISTS: Mapping[str, tuple[str, Callable[[Known], Iterator[OfferRow]]]] = {
    "context": ("Context", _context),
    "dockerfile": ("Dockerfile", _dockerfile),
    "tags": ("Image names", _tags),
    "target": ("Stages", _target),
    "build_args": ("Build arguments", _build_args),
    "secrets": ("Secrets for RUN --mount=type=secret", _secrets),
    "platform": ("Platforms", _platform),
    "network": ("Network for RUN steps", _network),
    "builder": ("Builders", _builder),
    "labels": ("Labels", _labels),
    "no_cache": ("Cache", _no_cache),
    "pull": ("Base images", _pull),
}


def note_of(name: str, known: Known) -> tuple[str, bool]:
    """Returns the note beside a field, and whether it is a warning."""
    problem = known.problems.get(name)
    if problem is not None:
        return problem.message, True
    written, offer, builders = known.written, known.offer, known.builders
    if name == "context" and known.context is not None:
        return _sent(known.context), False
    if name == "dockerfile" and offer is not None and not written.text and offer.stages:
        return plural(len(offer.stages), "stage"), False
    if name == "target" and offer is not None and not written.target and offer.stage_names:
        return visible(offer.stages[-1].name or ""), False
    if name == "build_args" and offer is not None and not offer.own_syntax:
        declared = {each.name for each in offer.arguments}
        names = (text.partition("=")[0] for text in written.build_args)
        unknown = [visible(each) for each in names if each not in declared]
        return (f"Not declared: {', '.join(unknown)}", True) if unknown else ("", False)
    if name == "secrets":
        return _secrets_note(known)
    if name == "builder":
        if builders is None:
            return known.engine_problem.partition(". ")[0] or "asking the engine…", False
        lacks = _lacks(known, builders)
        if lacks:
            return lacks, True
        if written.builder in ("", "auto"):
            from layerscope.build.builders import TITLES

            return f"{TITLES[builders.auto]}: {builders.why}", False
    return "", False


def _lacks(known: Known, builders: Builders) -> str:
    """Returns a sentence on what the builder cannot do, or "" if it can build the Dockerfile."""
    from layerscope.build.builders import known_builder
    from layerscope.dockerfile.checks.support import unsupported

    name = builders.resolve(split_builder(known.written.builder)[0])
    document = known.offer.document if known.offer is not None else None
    # BuildKit's features depend on the builder, which is not queried here.
    if document is None or name not in ("classic", "podman", "embedded"):
        return ""
    key = (id(document), name, known.written.target)
    if known.lacks[0] != key:
        lacks = unsupported(document, known_builder(builders, name), known.written.target)
        known.lacks = key, lacks[0].sentence if lacks else ""
    return known.lacks[1]


def _secrets_note(known: Known) -> tuple[str, bool]:
    if known.builders is not None:
        why = known.builders.without_secrets(split_builder(known.written.builder)[0])
        if why:
            return why, False
    given = {text.partition(",")[0] for text in known.written.secrets}
    wanted = known.offer.wanted_secrets(known.written.target) if known.offer is not None else ()
    missing = [visible(e.id) for e in wanted if e.required and f"id={e.id}" not in given]
    return (f"Missing: {', '.join(missing)}", True) if missing else ("", False)


def word(text: str) -> str:
    """Returns a word, quoted if necessary."""
    plain = text.replace("=", "").replace(",", "").replace("~", "")
    return text if shlex.quote(plain) == plain else shlex.quote(text)
