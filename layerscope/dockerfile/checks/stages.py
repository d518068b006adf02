"""Checks of stages and of their base images."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.checks.facts import Facts, nearest
from layerscope.dockerfile.checks.problems import Problem, Severity, error, warning
from layerscope.dockerfile.meaning.stages import Stage, Use
from layerscope.dockerfile.syntax.document import Instruction
from layerscope.oci.reference import is_reference

_RESERVED = frozenset({"scratch", "context"})


def check_stages(facts: Facts) -> Iterator[Problem]:
    """Names of stages, their references, and unused stages."""
    stages = facts.stages.stages
    podman = facts.world.builder is not None and facts.world.builder.name == "podman"
    names = [stage.name for stage in stages if stage.name is not None]
    # Uses of these are not checked: the names are errors already.
    invalid = {each.name_word.text for each in stages if each.name is None and each.name_word}
    seen: set[str] = set()
    for stage in stages:
        yield from _name(stage, podman)
        if stage.name is not None and stage.name_word is not None:
            if stage.name in seen:
                message = f"An earlier stage is also called {stage.name}."
                hint = "COPY --from finds only the last one."
                yield warning("DuplicateStageName", message, stage.name_word.span, hint)
            seen.add(stage.name)
        for use in stage.uses:
            if use.stage is None and use.what != "from" and use.name not in invalid:
                yield from _unknown(facts, use, names)
        if stage.base is None or stage.base.name not in invalid:
            yield from _base(facts, stage)
    cycle = facts.stages.cycle()
    if cycle is not None:
        message = f"The stage {cycle.name} depends on the stage that uses it here."
        yield error("CircularStage", message, cycle.span)
        return
    needed = facts.stages.needed(facts.target)
    # Stages that are used above their FROM.
    for index in sorted(needed):
        for use in stages[index].uses:
            if use.stage is not None and use.stage > index:
                message = f"The stage {use.name} begins only below."
                hint = "Move it above this one."
                yield error("UnknownStage", message, use.span, hint)
    for stage in stages:
        if stage.index in needed:
            continue
        # A named one may be intended for --target.
        severity = Severity.WARNING if stage.name is None else Severity.INFO
        span = stage.name_word.span if stage.name_word is not None else stage.start.keyword_span
        hint = "Remove it" + (", unless you build it with --target." if stage.name else ".")
        yield Problem("UnusedStage", severity, f"Nothing uses the stage {stage.label}.", span, hint)


def _name(stage: Stage, podman: bool) -> Iterator[Problem]:
    word = stage.name_word
    if word is None:
        return
    if stage.name is None and not podman:
        hint = "Use a letter, then letters, digits, -, _ or a period."
        yield error("InvalidStageName", f"{word.text} is not a stage name.", word.span, hint)
        return
    if stage.name is None:
        return
    if word.text != stage.name:
        message = f"The stage name {word.text} is not in lower case."
        yield warning("StageNameCasing", message, word.span)
    if stage.name in _RESERVED:
        message = f"{word.text} is reserved and should not be a stage name."
        yield warning("ReservedStageName", message, word.span)


def _unknown(facts: Facts, use: Use, names: list[str]) -> Iterator[Problem]:
    name = use.name
    if name.isascii() and name.isdigit():
        hint = f"Stages are 0 to {len(facts.stages.stages) - 1}."
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
        hint = nearest(name, names) or "If it is an image, add a tag."
        message = f"There is no stage {name}, so it is treated as an image."
        yield warning("UnknownStage", message, use.span, hint)


def _base(facts: Facts, stage: Stage) -> Iterator[Problem]:
    base = stage.base
    if base is None or stage.base_word is None:
        return
    yield from _platform(stage.start)
    if base.stage is not None or base.name == "scratch":
        return
    name, span = base.name, base.span
    if not name.strip():
        message = f"{stage.base_word.text} is empty, so there is no base image."
        yield error("EmptyBaseName", message, span, "Give the ARG above FROM a default.")
        return
    if not is_reference(name):
        # check_variables reports variables without a value.
        if facts.is_base_known(stage):
            hint = "Write [HOST/]NAME[:TAG], with the name in lower case."
            if facts.stages.find(name) is not None:
                hint = f"In FROM, write the stage in lower case: {name.lower()}."
            yield error("InvalidBaseName", f"{name} is not an image name.", span, hint)
        return
    tagged = re.search(r":([^/:@]*)(?:@|\Z)", name)
    if "@" in name:
        pass
    elif tagged is None:
        hint = "Without a tag, latest is used."
        yield warning("BaseWithoutTag", f"{name} has no tag.", span, hint)
    elif tagged[1] == "latest":
        hint = "Name a version, so that the build is reproducible."
        message = f"{name} can change between builds."
        yield warning("LatestBase", message, span, hint)
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
        message = "$TARGETPLATFORM is the platform by default."
        yield warning("RedundantTargetPlatform", message, flag.span)
    elif "$" not in flag.value:
        message = f"The stage is always built for {flag.value}."
        hint = "Use $BUILDPLATFORM, or build with --platform."
        yield warning("FromPlatformFlagConstDisallowed", message, flag.span, hint)
