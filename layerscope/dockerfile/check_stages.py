"""Checks of stages and of the images that they are built on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.document import Instruction
from layerscope.dockerfile.facts import Facts, nearest
from layerscope.dockerfile.problems import Problem, Severity, error
from layerscope.dockerfile.stages import Stage, Use
from layerscope.oci.reference import parse_reference

_RESERVED = frozenset({"scratch", "context"})


def check_stages(facts: Facts) -> Iterator[Problem]:
    """Names of stages, what they use, and whether anything uses them."""
    stages = facts.stages.stages
    names = [stage.name for stage in stages if stage.name is not None]
    seen: set[str] = set()
    for stage in stages:
        yield from _name(stage)
        if stage.name is not None and stage.name_word is not None:
            if stage.name in seen:
                message = f"A stage above is called {stage.name} too."
                hint = "COPY --from finds the last one only."
                span = stage.name_word.span
                yield Problem("DuplicateStageName", Severity.WARNING, message, span, hint)
            seen.add(stage.name)
        for use in stage.uses:
            if use.stage is None and use.what != "from":
                yield from _unknown(facts, use, names)
        yield from _base(facts, stage)
    cycle = facts.stages.cycle()
    if cycle is not None:
        message = f"The stage {cycle.name} needs the one that uses it here."
        yield error("CircularStage", message, cycle.span)
    else:
        yield from _unused(facts)


def _unused(facts: Facts) -> Iterator[Problem]:
    needed = facts.stages.needed(facts.target)
    for stage in facts.stages.stages:
        if stage.index in needed:
            continue
        # One with a name may be meant for --target.
        severity = Severity.WARNING if stage.name is None else Severity.INFO
        span = stage.name_word.span if stage.name_word is not None else stage.start.keyword_span
        hint = "Remove it" + (", unless you build it by --target." if stage.name else ".")
        message = f"Nothing uses the stage {stage.label}."
        yield Problem("UnusedStage", severity, message, span, hint)


def _name(stage: Stage) -> Iterator[Problem]:
    word = stage.name_word
    if word is None:
        return
    if stage.name is None:
        hint = "It begins with a letter; letters, digits, - _ and . follow."
        yield error("InvalidStageName", f"{word.text} is no name for a stage.", word.span, hint)
        return
    if word.text != stage.name:
        message = f"The stage's name {word.text} is not in lower case."
        yield Problem("StageNameCasing", Severity.WARNING, message, word.span)
    if stage.name in _RESERVED:
        message = f"{word.text} has a meaning of its own and should name no stage."
        yield Problem("ReservedStageName", Severity.WARNING, message, word.span)


def _unknown(facts: Facts, use: Use, names: list[str]) -> Iterator[Problem]:
    name = use.name
    if name.isascii() and name.isdigit():
        count = len(facts.stages.stages)
        hint = f"Stages are 0 to {count - 1}."
        yield error("UnknownStage", f"There is no stage {name}.", use.span, hint)
        return
    if name.lower() == "scratch" or "$" in name:
        return
    found = facts.base(name)
    if found is not None:
        if not found.found:
            message = f"There is neither a stage nor an image {name}."
            yield error("UnknownStage", message, use.span, nearest(name, names))
    elif not re.search(r"[/:@.]", name):
        hint = nearest(name, names) or "Give an image a tag, if it is one."
        message = f"There is no stage {name}, so it is taken for an image."
        yield Problem("UnknownStage", Severity.WARNING, message, use.span, hint)


def _base(facts: Facts, stage: Stage) -> Iterator[Problem]:
    base = stage.base
    if base is None or stage.base_word is None:
        return
    yield from _platform(stage.start)
    if base.stage is not None or base.name == "scratch":
        return
    name, span = base.name, base.span
    if not name.strip():
        message = f"{stage.base_word.text} is empty, so there is no image to build on."
        yield error("EmptyBaseName", message, span, "Give the ARG above FROM a default.")
        return
    try:
        parse_reference(name)
    except ValueError:
        # The checks of variables say why, if there are any in it.
        if "$" not in stage.base_word.text:
            hint = "Write [HOST/]NAME[:TAG], the name in lower case."
            yield error("InvalidBaseName", f"{name} is no name of an image.", span, hint)
        return
    tagged = re.search(r":([^/:@]*)(?:@|\Z)", name)
    if "@" in name:
        pass
    elif tagged is None:
        hint = "A tag says which one you mean; without it that is latest."
        yield Problem("BaseWithoutTag", Severity.WARNING, f"{name} has no tag.", span, hint)
    elif tagged[1] == "latest":
        hint = "Name the version that you mean, so that the build stays the same."
        message = f"{name} is another image every now and then."
        yield Problem("LatestBase", Severity.WARNING, message, span, hint)
    found = facts.base(name)
    if found is not None and not found.found:
        names = [other.name for other in facts.stages.stages[: stage.index] if other.name]
        message = f"There is no image {name}."
        yield error("BaseImageMissing", message, span, nearest(name, names))


def _platform(start: Instruction) -> Iterator[Problem]:
    flag = start.flag("platform")
    if flag is None or not flag.value:
        return
    if re.fullmatch(r"\$(?:TARGETPLATFORM|\{TARGETPLATFORM\})", flag.value):
        message = "$TARGETPLATFORM is the platform in any case."
        yield Problem("RedundantTargetPlatform", Severity.WARNING, message, flag.span)
    elif "$" not in flag.value:
        message = f"The stage is for {flag.value} alone."
        hint = "Use $BUILDPLATFORM, or --platform of the build."
        code = "FromPlatformFlagConstDisallowed"
        yield Problem(code, Severity.WARNING, message, flag.span, hint)
