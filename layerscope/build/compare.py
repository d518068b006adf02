"""Compares a build with the previous one: where the cache broke and why, and step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from layerscope.build.inputs import (
    FOLDER,
    NAME,
    Fingerprint,
    Inputs,
    changed_files,
    differ,
    kept,
    sources_of,
)
from layerscope.build.request import BUILD, BuildRequest
from layerscope.build.state import BuildState, BuildStep, StepKey, StepState, step_label
from layerscope.content.line_matching import same_items
from layerscope.dockerfile.meaning.scope import Scopes
from layerscope.dockerfile.syntax.parser import parse
from layerscope.jobs.folder import all_jobs
from layerscope.jobs.job import Job, State
from layerscope.text import clip, one_line, short_id, visible

_NAMED = 3  # The most files to name; the others are counted.
_QUOTED = 60  # The most characters of an instruction to quote.
#: Instructions about how a container runs, which do not affect later steps: only the classic
#: builder and Podman rerun the steps after them.
_PASSIVE = frozenset(
    {"CMD", "ENTRYPOINT", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "STOPSIGNAL"}
    | {"VOLUME"}
)

_RAN = (StepState.COMMITTED, StepState.DONE)
_MADE = (*_RAN, StepState.CACHED)


#: The most earlier builds to compare with, and the most bytes of their journals.
_MOST_BUILDS, _MOST_BYTES = 20, 16 << 20


@dataclass(frozen=True, slots=True)
class Broken:
    key: StepKey  # The first step that ran although an earlier build had run it.
    why: str  # The reason, as a sentence.

    @property
    def label(self) -> str:
        return step_label(*self.key)


@dataclass(frozen=True, slots=True)
class Compared:
    #: By key, the last complete run of each step, or else its last cache hit, or else its last
    #: failure.
    before: Mapping[StepKey, BuildStep]
    broken: Broken | None  # Where the cache broke.


def previous(job: Job) -> Job | None:
    """Returns the last build of the same Dockerfile, context and target before a job, or None."""
    return next(_earlier(job), None)


def _earlier(job: Job) -> Iterator[Job]:
    """Yields earlier builds to compare a job with, newest first."""
    wanted = _identity(job)
    for other in all_jobs() if wanted is not None else ():
        earlier = int(other.id) < int(job.id) and _identity(other) == wanted
        if earlier and other.state is not State.RUNNING:
            yield other


def _identity(job: Job) -> tuple[str, ...] | None:
    """Returns what two builds must have in common to be compared."""
    r = BUILD.request_of(job)
    if r is None:
        return None
    return (r.dockerfile, r.context, r.target, r.platform, r.builder, r.engine)


class _Old:
    """An earlier build."""

    def __init__(self, job: Job, request: BuildRequest) -> None:
        """Reads its journal; raises OSError."""
        self.request = request
        self.state = BuildState(job.journal)
        self.state.read()
        self._job = job
        self._inputs: list[Inputs | None] = []
        self._alike: dict[StepKey, BuildStep] = {}
        self._alike_for: list[tuple[StepKey, str]] = []

    @property
    def inputs(self) -> Inputs | None:
        if not self._inputs:
            self._inputs.append(kept(self._job.folder))
        return self._inputs[0]

    @property
    def finished(self) -> bool:
        return self.state.end is not None and self.state.end.event == "finished"

    def steps_of(self, state: BuildState) -> Mapping[StepKey, BuildStep]:
        """Returns this build's steps that match another build's, by the other's keys."""
        news = [(step.key, step.instruction) for step in state.all_steps]
        if news != self._alike_for:
            olds = self.state.all_steps
            same = same_items([step.instruction for step in olds], [text for _, text in news])
            self._alike = {news[b][0]: olds[a] for a, b in same.items()}
            self._alike_for = news
        return self._alike


@dataclass(frozen=True, slots=True)
class _Builds:
    """A build and an earlier one, with their inputs."""

    request: BuildRequest  # The build's request.
    state: BuildState  # The build.
    now: Inputs | None  # The inputs of the build, if known.
    earlier: _Old

    @property
    def other(self) -> BuildRequest:
        return self.earlier.request

    @property
    def old(self) -> BuildState:
        return self.earlier.state

    @property
    def before(self) -> Mapping[StepKey, BuildStep]:
        """Returns the matching steps of the earlier build, by key."""
        return self.earlier.steps_of(self.state)

    @property
    def was(self) -> Inputs | None:
        """Returns the inputs of the earlier build, if known."""
        return self.earlier.inputs


class Comparison:
    """Compares a running build with earlier ones, repeatedly."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._request = BUILD.request_of(job)
        self._unread = islice(_earlier(job), _MOST_BUILDS)
        self._room = _MOST_BYTES
        self._read: list[_Old] = []
        self._inputs: Inputs | None = None
        self._written: float | None = None

    def look(self, state: BuildState) -> Compared | None:
        """Compares the build so far; None if there is no earlier one."""
        request = self._request
        if request is None or next(self._olds(), None) is None:
            return None
        self._read_inputs()
        # The inputs are not known at the very beginning of a build.
        known = self._inputs is not None or state.end is not None

        def pairs() -> Iterator[_Builds]:
            return (_Builds(request, state, self._inputs, old) for old in self._olds())

        return Compared(self._before(state), _broken(state, pairs) if known else None)

    def _olds(self) -> Iterator[_Old]:
        """Yields earlier builds, newest first; reads each journal on demand."""
        yield from self._read
        for job in self._unread if self._room > 0 else ():
            request = BUILD.request_of(job)
            with suppress(OSError):
                self._room -= job.journal.stat().st_size
                if request is not None and (self._room > 0 or not self._read):
                    self._read.append(_Old(job, request))
                    yield self._read[-1]

    def _before(self, state: BuildState) -> dict[StepKey, BuildStep]:
        found: dict[StepKey, BuildStep] = {}
        missing = {step.key for step in state.all_steps}
        for old in self._olds():
            for key, step in old.steps_of(state).items():
                if key in missing and step.state in _RAN:
                    found[key] = step
                    missing.discard(key)
                elif step.state is StepState.CACHED or step.state is StepState.FAILED:
                    found.setdefault(key, step)
            if not missing:
                break
        return found

    def _read_inputs(self) -> None:
        """Reads the inputs of the build once they are written, and again when they change."""
        with suppress(OSError):
            written = (self._job.folder / NAME).stat().st_mtime
            if written != self._written:
                self._inputs, self._written = kept(self._job.folder), written


def compare(job: Job, state: BuildState) -> Compared | None:
    """Compares a build with earlier ones; returns None for a first build."""
    return Comparison(job).look(state)


def _broken(state: BuildState, pairs: Callable[[], Iterator[_Builds]]) -> Broken | None:
    """Compares the first step that ran with the last build that completed it."""
    # FROM and the ARGs before it never run, and are never cache hits.
    ran = [
        step
        for step in state.all_steps
        if step.state in (*_RAN, StepState.FAILED, StepState.RUNNING)
        # Configuration steps, which BuildKit does not execute, take no time.
        and (step.seconds is not None or step.state is StepState.RUNNING)
        and step.instruction.split(None, 1)[:1] not in (["FROM"], ["ARG"])
    ]
    for step in ran:
        failed = over = False
        without: _Builds | None = None
        for pair in pairs():
            old = pair.before.get(step.key)
            over = over or pair.old.failed is not None
            if not any(each.state in _MADE for each in pair.old.all_steps):
                continue
            if old is None:
                if pair.earlier.finished:
                    return Broken(step.key, _why(pair, step))
                without = without or pair
            elif old.state in _MADE:
                why = _why(pair, step)
                # No known change, and it has failed since: there was nothing to hit.
                return None if failed and why.startswith(_GONE) else Broken(step.key, why)
            else:
                failed = failed or old.state is not StepState.SKIPPED
        if without is not None and not failed:
            return Broken(step.key, _why(without, step))
        if failed or over:
            return None
    return None


#: The text if no reason was found.
_GONE = "The builder no longer has its result"


def _why(builds: _Builds, step: BuildStep) -> str:
    """Returns a sentence on why the first step that ran again was not a cache hit."""
    if builds.request.no_cache:
        return "The build did not use the cache (--no-cache)."
    known = builds.before.get(step.key)
    was, now = builds.was, builds.now
    if known is None:
        base = _base(builds, was, now, step.number) if was and now and step.trigger else ""
        return base or _new(builds, step)
    if was is not None and now is not None:
        found = _causes(builds, was, now, step, known)
        if found is not None:
            return found
    # BuildKit caches results by network.
    networks = builds.other.network, builds.request.network
    if networks[0] != networks[1] and _keyword(step) == "RUN":
        before, after = (visible(name) or "the engine's choice" for name in networks)
        return f"The network changed from {before} to {after}."
    return f"{_GONE}: {_quote(step.instruction)}"


def _new(builds: _Builds, step: BuildStep) -> str:
    steps = builds.old.steps
    for above in range(step.number - 1, 0, -1):
        before = builds.before.get((above, 0))
        if before is not None and not step.trigger:
            other = steps.get(before.number + step.number - above)
            kept = {each.key for each in builds.before.values()}
            if other is not None and other.key not in kept and _keyword(other) == _keyword(step):
                return f"The instruction changed; it was {_quote(other.instruction)}."
            break
    return "The instruction is new."


def _base(builds: _Builds, was: Inputs, now: Inputs, number: int) -> str:
    """Returns a sentence if a step's base image is known to have changed, or ""."""
    for each in reversed([number, *_chain(now, number)]):
        other = builds.before.get((each, 0))
        if other is not None and (text := _image(was, now, each, other.number)):
            return f"The base image changed: {text}."
    return ""


def _causes(
    builds: _Builds, was: Inputs, now: Inputs, step: BuildStep, known: BuildStep
) -> str | None:
    if not step.trigger and (text := _image(was, now, step.number, known.number)):
        return f"The image that it copies from changed: {text}."
    if base := _base(builds, was, now, step.number):
        return base
    files = _files(was, now, changed_files(was, now, _sources(now, step)))
    if files:
        # Unless the ignore file is already named.
        name = visible(now.ignore_file or was.ignore_file)
        rules = was.ignored != now.ignored and name not in files
        return f"{files} The rules in {name} changed." if rules else files
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
    """Yields the steps that a step builds on, nearest first."""
    # A damaged file may contain a cycle.
    while (below := inputs.below.get(number, 0)) and below < number:
        yield below
        number = below


def _image(was: Inputs, now: Inputs, number: int, other: int) -> str:
    old, new = was.bases.get(other), now.bases.get(number)
    return f"{short_id(old)} became {short_id(new)}" if old and new and old != new else ""


def _sources(inputs: Inputs, step: BuildStep) -> tuple[str, ...]:
    if not step.trigger:
        return inputs.sources.get(step.number, ())
    # ONBUILD triggers of a base image are not in the Dockerfile.
    document = parse(f"FROM scratch\n{step.instruction.partition(' ')[2]}\n")
    return tuple(
        source for i in document.instructions[1:] for source in sources_of(i, Scopes(document))
    )


def _files(was: Inputs, now: Inputs, paths: list[str]) -> str:
    """Returns how files changed, in a sentence for each kind of change, or ""."""
    old = {path: was.files[path] for path in paths if path in was.files}
    new = {path: now.files[path] for path in paths if path in now.files}
    # Folders are added and removed with their contents.
    paths = [
        p for p in paths if FOLDER not in (old.get(p, _NONE)[4], new.get(p, _NONE)[4])
    ] or paths
    added = [path for path in paths if path not in old]
    gone = [path for path in paths if path not in new]
    moved = _moved(old, new, gone, added)
    both = [path for path in paths if path in old and path in new]
    content = {path for path in both if differ((new[path][0], *old[path][1:]), new[path])}
    others = [path for path in both if path in content]
    modes = [path for path in both if path not in content]
    added = [path for path in added if path not in moved.values()]
    gone = [path for path in gone if path not in moved]
    sentences = (
        (others, f"{_list(others)} changed."),
        (modes, f"The mode{'s' * (len(modes) > 1)} of {_list(modes)} changed."),
        (moved, f"{_list(f'{a} became {b}' for a, b in moved.items())}."),
        (added, f"{_list(added)} {'are' if len(added) > 1 else 'is'} new."),
        (gone, f"{_list(gone)} {'were' if len(gone) > 1 else 'was'} removed."),
    )
    return " ".join(sentence for names, sentence in sentences if names)


_NONE: Fingerprint = (0, 0, 0, 0, "")


def _moved(
    old: Mapping[str, Fingerprint],
    new: Mapping[str, Fingerprint],
    gone: Iterable[str],
    added: Iterable[str],
) -> dict[str, str]:
    """Returns renamed files: the same content once before and once after."""
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


def _above(builds: _Builds, was: Inputs, chain: list[int], known: BuildStep) -> str | None:
    """Returns what was added or removed among the instructions that a step builds on."""
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
        return f"{_quote(gone[0].instruction)} above it was removed."
    return None


def _counts(step: BuildStep) -> bool:
    return _keyword(step) not in _PASSIVE


def _keyword(step: BuildStep) -> str:
    return step.instruction.partition(" ")[0].upper()


def _quote(instruction: str) -> str:
    return clip(one_line(instruction), _QUOTED)
