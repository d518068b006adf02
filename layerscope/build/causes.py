"""Why a step was run again: which file, argument, base or instruction is another one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from layerscope.build.inputs import FOLDER, Fingerprint, Inputs, changed_files, differ, sources_of
from layerscope.build.state import BuildState, BuildStep, StepKey
from layerscope.dockerfile.parser import parse
from layerscope.dockerfile.scope import Scopes
from layerscope.jobs.job import Job
from layerscope.text import one_line, short_id, visible

#: Files that are named; of more, their number is told.
_NAMED = 3
#: Characters of an instruction that is quoted.
_QUOTED = 60
#: Instructions that say how a container is run, and that nothing above them is made of: only the
#: classic builder and Podman run again what is above them.
_PASSIVE = frozenset(
    {"CMD", "ENTRYPOINT", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "STOPSIGNAL"}
    | {"VOLUME"}
)


@dataclass(frozen=True, slots=True)
class Builds:
    """A build, the one before it, and what both were made of.

    Attributes:
        state: The build.
        old: The one before.
        before: For each step that it had too, by its key, that step.
        was: What the one before was made of, if that is known.
        now: What the build is made of, if that is known.
    """

    state: BuildState
    old: BuildState
    before: Mapping[StepKey, BuildStep]
    was: Inputs | None
    now: Inputs | None


def why(builds: Builds, step: BuildStep, job: Job, other: Job) -> str:
    """A sentence that says why a step was no cache hit.

    Args:
        builds: Both builds.
        step: The first step that was run though the last build had run it.
        job: The build.
        other: The one before.
    """
    if job.spec.get("no_cache"):
        return "The build was asked to use no cache."
    known = builds.before.get(step.key)
    was, now = builds.was, builds.now
    if known is None:
        base = _base(builds, was, now, step.number) if was and now and step.trigger else ""
        return base or _new(builds, step)
    if was is not None and now is not None:
        found = _causes(builds, was, now, step, known)
        if found is not None:
            return found
    # BuildKit keeps apart what was run in another network.
    networks = [str(each.spec.get("network") or "") for each in (other, job)]
    if networks[0] != networks[1] and step.instruction.upper().startswith("RUN"):
        before, after = (visible(name) or "the engine's choice" for name in networks)
        return f"The network is another one: {before} became {after}."
    return f"The builder has no result of it any more: {_quote(step.instruction)}"


def _new(builds: Builds, step: BuildStep) -> str:
    """That a step is new, or what it was: what stood in its place and is nowhere now."""
    steps = builds.old.steps
    for above in range(step.number - 1, 0, -1):
        before = builds.before.get((above, 0))
        if before is not None and not step.trigger:
            other = steps.get(before.number + step.number - above)
            kept = {each.key for each in builds.before.values()}
            if other is not None and other.key not in kept and _keyword(other) == _keyword(step):
                return f"The instruction is another one: it was {_quote(other.instruction)}."
            break
    return "The instruction is new."


def _base(builds: Builds, was: Inputs, now: Inputs, number: int) -> str:
    """That a step's base image is another one; empty if it is not, or not known to be."""
    for each in reversed([number, *_chain(now, number)]):
        other = builds.before.get((each, 0))
        if other is not None and (text := _image(was, now, each, other.number)):
            return f"The base image is another one: {text}."
    return ""


def _causes(
    builds: Builds, was: Inputs, now: Inputs, step: BuildStep, known: BuildStep
) -> str | None:
    if not step.trigger and (text := _image(was, now, step.number, known.number)):
        return f"The image that it copies from is another one: {text}."
    if base := _base(builds, was, now, step.number):
        return base
    files = _files(was, now, changed_files(was, now, _sources(now, step)))
    if files:
        # Where the rules themselves are sent, they are told already.
        rules = was.ignored != now.ignored and ".dockerignore" not in files
        return f"{files} The rules of what is left out changed." if rules else files
    names = now.names.get(step.number, was.arguments.keys() | now.arguments.keys())
    changed = [n for n in sorted(names) if was.arguments.get(n) != now.arguments.get(n)]
    if changed:
        return f"Build arguments changed: {', '.join(map(visible, changed))}."
    if step.number in now.stages and not step.trigger:
        stages = ", ".join(map(visible, now.stages[step.number]))
        several = "s" if len(now.stages[step.number]) > 1 else ""
        return f"The stage{several} {stages}, which it copies from, changed."
    return _above(builds, was, [*_chain(now, step.number)], known)


def _chain(inputs: Inputs, number: int) -> Iterator[int]:
    """The steps that one is made on top of, the nearest first."""
    # A step is made on top of one above it only, whatever a damaged file says.
    while (below := inputs.below.get(number, 0)) and below < number:
        yield below
        number = below


def _image(was: Inputs, now: Inputs, number: int, other: int) -> str:
    old, new = was.bases.get(other), now.bases.get(number)
    return f"{short_id(old)} became {short_id(new)}" if old and new and old != new else ""


def _sources(inputs: Inputs, step: BuildStep) -> tuple[str, ...]:
    if not step.trigger:
        return inputs.sources.get(step.number, ())
    # What a base image runs for those that build on it is not in the Dockerfile.
    document = parse(f"FROM scratch\n{step.instruction.partition(' ')[2]}\n")
    return tuple(
        source for i in document.instructions[1:] for source in sources_of(i, Scopes(document))
    )


def _files(was: Inputs, now: Inputs, paths: list[str]) -> str:
    """What became of files, in a sentence for each kind of change; empty if nothing did."""
    old = {path: was.files[path] for path in paths if path in was.files}
    new = {path: now.files[path] for path in paths if path in now.files}
    if any(FOLDER not in (old.get(p, _NONE)[4], new.get(p, _NONE)[4]) for p in paths):
        # Folders come and go with what is in them.
        paths = [p for p in paths if FOLDER not in (old.get(p, _NONE)[4], new.get(p, _NONE)[4])]
    added = [path for path in paths if path not in old]
    gone = [path for path in paths if path not in new]
    moved = _moved(old, new, gone, added)
    modes: list[str] = []
    others: list[str] = []
    for path in paths:
        if path in old and path in new:
            same = not differ((new[path][0], *old[path][1:]), new[path])
            (modes if same else others).append(path)
    added = [path for path in added if path not in moved.values()]
    gone = [path for path in gone if path not in moved]
    sentences = []
    if others:
        sentences.append(f"{_list(others)} changed.")
    if modes:
        sentences.append(f"The mode{'s' * (len(modes) > 1)} of {_list(modes)} changed.")
    if moved:
        sentences.append(f"{_list(f'{a} became {b}' for a, b in moved.items())}.")
    if added:
        sentences.append(f"{_list(added)} {'are' if len(added) > 1 else 'is'} new.")
    if gone:
        sentences.append(f"{_list(gone)} {'are' if len(gone) > 1 else 'is'} gone.")
    return " ".join(sentences)


_NONE: Fingerprint = (0, 0, 0, 0, "")


def _moved(
    old: Mapping[str, Fingerprint],
    new: Mapping[str, Fingerprint],
    gone: Iterable[str],
    added: Iterable[str],
) -> dict[str, str]:
    """Files that have another name now: the same content, once before and once after."""
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for path in gone:
        before.setdefault(old[path][4], []).append(path)
    for path in added:
        after.setdefault(new[path][4], []).append(path)
    return {
        paths[0]: after[digest][0]
        for digest, paths in before.items()
        if digest not in ("", FOLDER) and len(paths) == len(after.get(digest, ())) == 1
    }


def _list(names: Iterable[str]) -> str:
    found = [visible(name) for name in names]
    named = ", ".join(found[:_NAMED])
    more = len(found) - _NAMED
    return f"{named} and {more} more" if more > 0 else named


def _above(builds: Builds, was: Inputs, chain: list[int], known: BuildStep) -> str | None:
    """What is new, or gone, among the instructions that a step is made on top of."""
    steps = builds.state.steps
    new = [
        steps[n] for n in chain if n in steps and (n, 0) not in builds.before and _counts(steps[n])
    ]
    kept = {step.number for step in builds.before.values()}
    old = builds.old.steps
    gone = [old[n] for n in _chain(was, known.number) if n in old and n not in kept]
    gone = [step for step in gone if _counts(step)] or gone
    for step in new:
        for other in gone:
            if _keyword(step) == _keyword(other):
                return f"{_quote(other.instruction)} above it became {_quote(step.instruction)}."
    if new:
        return f"{_quote(new[0].instruction)} above it is new."
    if gone:
        return f"{_quote(gone[0].instruction)} above it is gone."
    return None


def _counts(step: BuildStep) -> bool:
    return _keyword(step) not in _PASSIVE


def _keyword(step: BuildStep) -> str:
    return step.instruction.partition(" ")[0].upper()


def _quote(instruction: str) -> str:
    text = one_line(instruction)
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"
