"""Executes the steps of a Dockerfile, and commits each to the embedded store."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from layerscope.build.embedded.bases import Base, Bases
from layerscope.build.embedded.copy_step import CopyStep, World
from layerscope.build.embedded.images import StepImages
from layerscope.build.embedded.metadata import Scope, StepError
from layerscope.build.embedded.rehearsal import (
    EMBEDDED_BUILDER,
    Built,
    NamedLine,
    check_step,
    configure,
    is_literal,
    origins_of,
    trigger_of,
)
from layerscope.build.embedded.sources import ContextSource, Origin
from layerscope.build.embedded.stages import InOrder, build_stages
from layerscope.build.embedded.state import State, StoredLayer, time_of
from layerscope.build.fields import agent_of
from layerscope.build.plan import Plan, Step
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest
from layerscope.dockerfile.checks.facts import World as Known
from layerscope.dockerfile.checks.lint import lint
from layerscope.dockerfile.context.context import Context
from layerscope.dockerfile.meaning.stages import Stage, find_stages, global_values
from layerscope.dockerfile.syntax.document import Document, Instruction
from layerscope.dockerfile.syntax.expand import expanded
from layerscope.engines.address import EMBEDDED
from layerscope.engines.embedded.build_cache import BuildCache
from layerscope.engines.embedded.build_cache import Step as CachedStep
from layerscope.engines.embedded.contents import give_name
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.store import Lease
from layerscope.errors import BuildFailedError, Cancelled, LayerscopeError, UsageError
from layerscope.images.progress import Progress
from layerscope.jobs.worker import Cancellation
from layerscope.oci.platform import Platform, host_platform, parse_platform
from layerscope.oci.reference import parse_reference
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.build.embedded.commands import RunStep
    from layerscope.build.embedded.making import Maker

_EPOCH = "SOURCE_DATE_EPOCH"
_MOST_CANDIDATES = 4  # The most layers to compare files with to find a cache hit.


def build_embedded(
    request: BuildRequest,
    document: Document,
    plan: Plan,
    context: Context,
    images: StepImages,
    recorder: Recorder,
    cancellation: Cancellation,
    secrets: Mapping[str, bytes] | None = None,
) -> str:
    """Builds an image in the embedded store, and returns its id.

    Raises LayerscopeError if the build failed or was stopped; committed steps are then cache hits.
    """
    store = images.store
    with store.lease() as lease:
        build = _Build(lease, request, document, plan, images, recorder, cancellation)
        build.context, build.secrets = ContextSource(context), secrets or {}
        build.agents = dict(map(agent_of, request.ssh))
        with build.opened:
            return build.run()


class _Build:
    def __init__(
        self,
        lease: Lease,
        request: BuildRequest,
        document: Document,
        plan: Plan,
        images: StepImages,
        recorder: Recorder,
        cancellation: Cancellation,
    ) -> None:
        self.context: ContextSource
        self.secrets: Mapping[str, bytes]
        self.agents: Mapping[str, str]
        self.opened = ExitStack()  # Resources of the build.
        self._store, self._lease = images.store, lease
        self._document, self._plan = document, plan
        self._request, self._images = request, images
        self._recorder, self._cancellation = recorder, cancellation
        self._progress = Progress()
        cancellation.on_cancel(self._progress.cancel)
        self._bases = Bases(EmbeddedEngine(self._store), lease, request.pull, self._progress)
        self._sandbox_folder = self._store.folder / "sandbox"
        self._checked = False  # Whether the checks before the first command are done.
        self._made: Maker | None = None
        self._guard = threading.RLock()  # For data shared by stages.
        self._cache = BuildCache(self._store)
        given = request.known_arguments
        self._epoch = _epoch(given)
        self._host = host_platform()
        wanted = request.platform
        self._platform = parse_platform(wanted) if wanted else self._host
        platforms = _platform_arguments(self._host, self._platform)
        # A default before the first FROM takes precedence over the platform.
        own = global_values(self._document, given)
        platforms |= {name: own[name] for name in platforms if name in own}
        self._arguments = {**platforms, **given}
        self._given = given
        self._found = find_stages(self._document, self._arguments, EMBEDDED)
        self._above = {**platforms, **global_values(self._document, self._arguments)}
        self._order = InOrder(range(len(self._found.stages)))
        self._begun: dict[int, Built] = {}  # The initial state of each stage.
        self._rehearsed: dict[int, Built] = {}  # The expected final state of each.
        self._triggers: dict[int, list[tuple[str, Instruction]]] = {}
        self._commands: list[tuple[NamedLine, RunStep]] = []
        self._copies: list[tuple[NamedLine, CopyStep]] = []  # From images.
        self._stages: dict[int, Built] = {}
        self._steps = {step.number: step for step in plan.steps}

    @property
    def _maker(self) -> Maker:
        # Not at the top: a fully cached build does not need numpy.
        from layerscope.build.embedded.making import Maker

        with self._guard:
            if self._made is None:
                self._made = Maker(self._store, self._lease, self._progress.check)
                self.opened.callback(self._made.close)
            return self._made

    def run(self) -> str:
        target = self._found.target(self._request.target or None)
        if target is None:
            raise BuildFailedError("The build failed: There is no FROM.", "Begin with FROM.")
        self._above.setdefault("TARGETSTAGE", self._found.stages[target].name or "default")
        self._check_written()
        needed = sorted(self._found.needed(target))
        for index in needed:
            self._check_literal(self._found.stages[index])
        for instruction in self._found.above:
            step = self._steps[instruction.index + 1]
            self._start(step)
            self._recorder.committed(step.number, None, base=True)
        try:
            build_stages(self._begin_all(needed), self._build_stage, self._progress.cancel)
            return self._finish(self._stages[target])
        except _StepFailed as failed:
            self._order.end_all()
            raise self._failed(failed) from None
        finally:
            self._order.end_all()
            self._cache.save()

    # Before anything runs.

    def _check_written(self) -> None:
        """Raises BuildFailedError if the Dockerfile is invalid."""
        target = self._request.target or None
        known = Known(arguments=self._arguments, target=target, builder=EMBEDDED_BUILDER)
        for problem in lint(self._document, known):
            if problem.certain:
                with NamedLine(self._document.source.line_at(problem.span.start) + 1):
                    raise StepError(visible(problem.message), visible(problem.hint))

    def _check_literal(self, stage: Stage) -> None:
        """Checks what does not depend on the base image, which may have to be pulled first."""
        for instruction in stage.instructions[1:]:
            if is_literal(instruction):
                empty = Built(stage.index, State.scratch(self._platform), "", None, self._scope())
                with self._named_line(instruction):
                    check_step(self, instruction, empty)

    def _begin_all(self, needed: list[int]) -> dict[int, set[int]]:
        """Finds the base of each stage, and checks its steps; returns what each needs."""
        pending, needs = set(needed), dict[int, set[int]]()
        while pending:
            index = min(pending)
            stage = self._found.stages[index]
            used = self._begin(stage)
            needs[index] = used | {use.stage for use in stage.uses if use.stage is not None}
            for each in used:
                pending |= self._found.needed(each)
            pending -= needs.keys()
        for index in range(len(self._found.stages)):
            if index not in needs:
                self._order.end(index)
        return needs

    def _begin(self, stage: Stage) -> set[int]:
        """Finds the base of a stage, and checks its steps; returns the stages its triggers use."""
        index, start = stage.index, self._steps[stage.start.index + 1]
        if stage.below is None:
            self._start(start)
            with _Failing(start):
                self._begun[index] = self._base(stage, start)
            self._commit(start, self._begun[index], base=True)
            current = self._begun[index].copy()
        else:
            current = replace(self._rehearsed[stage.below].copy(), index=index, has_cmd=False)
        used = set()
        self._triggers[index] = triggers = []
        for text in current.state.strings("OnBuild"):
            line = self._named_line(stage.start, f"ONBUILD {text}")
            with line:
                triggers.append((text, trigger_of(text)))
                used |= self._rehearse(triggers[-1][1], current, line)
        current.state.config.pop("OnBuild", None)
        for instruction in stage.instructions[1:]:
            self._rehearse(instruction, current, self._named_line(instruction))
        self._rehearsed[index] = current
        return used

    def _rehearse(self, instruction: Instruction, stage: Built, line: NamedLine) -> set[int]:
        """Checks a step, and finds the images that it uses; returns the stages that it uses."""
        start = self._found.stages[stage.index].start
        with line:
            names = origins_of(instruction)
            used = {name: self._named(instruction, stage, name) for name in names}
            for name in [name for name, found in used.items() if found is None]:
                self._image(name, start.index + 1)
            step = check_step(self, instruction, stage)
            if isinstance(step, CopyStep):
                self._copies += [(line, step)] if None in used.values() else []
            elif step is not None:
                self._commands.append((line, step))
        return {found for found in used.values() if found is not None}

    def _scope(self) -> Scope:
        return Scope(self._document.escape, {}, self._given, self._above)

    def _named_line(self, instruction: Instruction, trigger: str = "") -> NamedLine:
        return NamedLine(self._document.source.line_at(instruction.span.start) + 1, trigger)

    # Stages.

    def _build_stage(self, index: int) -> None:
        stage = self._found.stages[index]
        start = self._steps[stage.start.index + 1]
        if stage.below is None:
            current = self._begun[index]
        else:
            self._start(start)
            current = replace(self._stages[stage.below].copy(), index=index, has_cmd=False)
            self._commit(start, current, base=True)
        self._run_triggers(current, start)
        for instruction in stage.instructions[1:]:
            self._progress.check()
            step = self._steps[instruction.index + 1]
            self._start(step)
            with _Failing(step):
                cached = self._execute(instruction, current, step)
            self._commit(step, current, cached=cached)
        self._stages[index] = current
        self._order.end(index)

    def _start(self, step: Step) -> None:
        self._recorder.step_started(
            step.number, len(self._plan.steps), step.text, step.line, step.trigger
        )

    def _commit(
        self, step: Step, stage: Built, *, cached: bool = False, base: bool = False
    ) -> None:
        """Reports a finished step; measures it after earlier stages."""
        recorder, number, trigger = self._recorder, step.number, step.trigger
        recorder.end_log(number, trigger)
        seconds = recorder.seconds(number, trigger)
        recorder.done(number, seconds, cached, trigger)
        report = partial(
            recorder.committed, cached=cached, base=base, trigger=trigger, took=seconds
        )
        self._order.report(step.stage - 1, partial(report, number, stage.image or None))

    def _base(self, stage: Stage, step: Step) -> Built:
        """Returns the initial state of a FROM with an image."""
        scope = self._scope()
        use = stage.base
        if use is None or not use.name:
            raise StepError("FROM names no image.", "Write FROM IMAGE, or FROM scratch.")
        flag = stage.start.flag("platform")
        platform, exact = self._platform, bool(self._request.platform)
        if flag is not None and flag.value:
            platform = _platform_of(expanded(flag.value, self._above, self._document.escape))
            exact = True
        if use.name == "scratch":
            return Built(stage.index, State.scratch(platform), "", None, scope)
        base = self._bases.find(use.name, platform, self._saying(step.number), exact=exact)
        self._images.entries[base.image] = len(base.state.layers), base.entry
        return Built(stage.index, base.state.copy(), base.image, base.entry, scope)

    def _saying(self, number: int) -> Callable[[str], None]:
        return lambda line: self._recorder.log(number, f"{line}\n")

    def _run_triggers(self, stage: Built, start: Step) -> None:
        """Executes the ONBUILD instructions of the base image, and removes them."""
        triggers = self._triggers[stage.index]
        if triggers:
            stage.state.config.pop("OnBuild")
            stage.entry = None
        for number, (text, instruction) in enumerate(triggers, 1):
            self._progress.check()
            step = start.triggered(number, text)
            self._start(step)
            with _Failing(step):
                cached = self._execute(instruction, stage, step)
            self._commit(step, stage, cached=cached)

    def _failed(self, failed: _StepFailed) -> BuildFailedError:
        step, error = failed.step, failed.error
        code = error.code if isinstance(error, StepError) else None
        self._recorder.step_failed(step.number, str(error), code, step.trigger)
        return BuildFailedError(f"The build failed: {error}")

    # Steps.

    def _execute(self, instruction: Instruction, stage: Built, step: Step) -> bool:
        """Executes an instruction, and adds its result; returns whether it was a cache hit."""

        def log(text: str) -> None:
            self._recorder.log(step.number, text, step.trigger)

        if instruction.keyword in ("COPY", "ADD"):
            return self._copy(instruction, stage)
        if instruction.keyword == "RUN":
            return self._run_command(instruction, stage, log)
        before = stage.state.key
        text = configure(instruction, stage)
        place = _digest(before, text)
        hit, made = self._hit(place), None
        if instruction.keyword == "WORKDIR" and hit is None:
            made = self._maker.write(self._maker.folder(stage.state, stage.state.workdir))
        return self._add(stage, text, place, place, made, hit)

    def copy_step(self, instruction: Instruction, stage: Built, stack: ExitStack) -> CopyStep:
        flag = instruction.flag("from")
        origin = partial(self._origin, instruction, stage, flag.value or "") if flag else None
        world = World(
            self.context,
            origin,
            self._store.folder,
            self.agents.get("default"),
            stack,
            self._progress.check,
            self._epoch,
        )
        return CopyStep(instruction, stage.state, stage.scope, world)

    def _copy(self, instruction: Instruction, stage: Built) -> bool:
        with ExitStack() as stack:
            step = self.copy_step(instruction, stage, stack)
            below = stage.state.key if step.depends else ""
            place = _digest(below, step.text, step.details)
            key = _digest(place, *step.stamps)
            hit = self._hit(key)
            if hit is not None:
                return self._add(stage, step.text, place, key, None, hit)
            made = self._maker.copied(step, stage.state)
            hit = self._maker.same(made, self._candidates(place))
            layer = None if hit is not None else self._maker.write(made)
            return self._add(stage, step.text, place, key, layer, hit)

    def run_step(
        self, instruction: Instruction, stage: Built, log: Callable[[str], None] = lambda _: None
    ) -> RunStep:
        # Not at the top: most steps do not need the sandbox.
        from layerscope.build.embedded.commands import RunStep, Surroundings

        around = Surroundings(
            self.context,
            partial(self._origin, instruction, stage),
            self._sandbox_folder,
            self.secrets,
            self.agents,
            self._request.network,
            log,
            self._progress,
        )
        return RunStep(instruction, stage.state, stage.scope, around)

    def _run_command(
        self, instruction: Instruction, stage: Built, log: Callable[[str], None]
    ) -> bool:
        step = self.run_step(instruction, stage, log)
        place = _digest(stage.state.key, step.text)
        key = _digest(place, *step.stamps, str(self._epoch))
        hit = self._hit(key)
        if hit is not None:
            return self._add(stage, step.text, place, key, None, hit)
        from layerscope.build.embedded.commands import layer_of
        from layerscope.sandbox.running import Base

        if stage.entry is None:
            self._store_image(stage)
        with closing(self._images.open(stage.image)) as reader:
            base = Base(self._maker.layers.stack(stage.state.layers), reader)
            with step.ran(base) as outcome:
                found = layer_of(outcome, self._lease, self._epoch, self._progress.check)
                outcome.keep()
        layer = None if found is None else StoredLayer.made(*found)
        return self._add(stage, step.text, place, key, layer)

    def _check_unmade(self) -> None:
        """Checks what a fully cached build does not need, before the first step that runs."""
        with self._guard:
            checked, self._checked = self._checked, True
        if checked:
            return
        for line, copy in self._copies:
            with line:
                copy.check_origin()
        if self._commands:
            from layerscope.sandbox.rungs import best_rung

            rung = best_rung(self._sandbox_folder)
            for line, command in self._commands:
                with line:
                    command.check_rung(rung)
            for index in self._begun:
                self._check_machine(self._found.stages[index])

    def _check_machine(self, stage: Stage) -> None:
        """Raises BuildFailedError if the first command of a stage is for another machine."""
        begun = self._begun[stage.index]
        if begun.state.facts.get("architecture") == self._host.architecture:
            return
        steps = (*(each for _, each in self._triggers[stage.index]), *stage.instructions[1:])
        first = next((each for each in steps if each.keyword in ("RUN", "COPY", "ADD")), None)
        if first is not None and first.keyword == "RUN":
            line = stage.start if first in dict(self._triggers[stage.index]).values() else first
            with self._named_line(line):
                program = self.run_step(first, self._rehearsed[stage.index]).command[0]
                self._maker.check_machine(begun.state, program)

    def _named(self, instruction: Instruction, stage: Built, name: str) -> int | None:
        """Returns the stage named by `--from`, or `from` in a mount; None for an image."""
        numbers = instruction.keyword != "RUN"
        found = self._found.above_it(stage.index, name, numbers=numbers)
        if found is None and name in ("", "scratch"):
            raise StepError(f"from={visible(name)} names neither a stage nor an image.")
        return found

    def _image(self, name: str, number: int) -> Base:
        with self._guard:
            exact = bool(self._request.platform)
            return self._bases.find(name, self._platform, self._saying(number), exact=exact)

    def _origin(self, instruction: Instruction, stage: Built, name: str) -> Origin:
        """Returns the source named by `--from`, or `from` in a mount."""
        found = self._named(instruction, stage, name)
        state = self._image(name, 0).state if found is None else self._stages[found].state
        layers, key = state.layers, _digest(*(each.diff_id for each in state.layers))
        return lambda: self._maker.layers.source(layers, key), key

    def _hit(self, key: str) -> CachedStep | None:
        """Returns a cached step, with its layer, or None."""
        step = None if self._request.no_cache else self._cache.find(key)
        if step is not None and self._has_layer(step):
            return step
        self._check_unmade()
        return None

    def _has_layer(self, step: CachedStep) -> bool:
        return not step.layer or self._lease.claim(step.layer) == step.size

    def _candidates(self, place: str) -> list[CachedStep]:
        """Returns steps that may have copied the same files."""
        found = () if self._request.no_cache else islice(self._cache.at(place), _MOST_CANDIDATES)
        return [step for step in found if step.layer and self._has_layer(step)]

    def _add(
        self,
        stage: Built,
        text: str,
        place: str,
        key: str,
        made: StoredLayer | None,
        hit: CachedStep | None = None,
    ) -> bool:
        """Adds the result of a step, or a hit, to its stage; returns whether it was a hit."""
        if hit is not None:
            layer = StoredLayer.made(hit.layer, hit.size) if hit.layer else None
            created = hit.created
        else:
            created, layer = time_of(self._epoch), made
        state = stage.state
        state.add(text, layer, created)
        self._store_image(stage)
        assert stage.entry is not None  # noqa: S101 - it has been stored
        self._cache.use(
            CachedStep(
                key,
                place,
                text,
                created,
                stage.image,
                stage.entry,
                layer.diff_id if layer is not None else "",
                layer.size if layer is not None else 0,
            )
        )
        return hit is not None

    def _store_image(self, stage: Built) -> None:
        stage.image, stage.entry = stage.state.stored(self._lease)
        self._images.entries[stage.image] = len(stage.state.layers), stage.entry

    def _finish(self, stage: Built) -> str:
        """Tags the image, and returns its id."""
        if self._request.labels:
            labels = stage.state.config.get("Labels")
            own = labels if isinstance(labels, dict) else {}
            stage.state.config["Labels"] = {**own, **self._request.labels}
            stage.entry = None
        if stage.entry is None:
            stage.state.created = stage.state.created or time_of(self._epoch)
            self._store_image(stage)
        entry = stage.entry
        assert entry is not None  # noqa: S101 - it has been stored
        with self._store.changed() as change:
            for tag in self._request.tags or (None,):
                reference = None if tag is None else parse_reference(tag)
                give_name(change.entries, dict(entry), reference)
        return stage.image


class _StepFailed(Exception):
    def __init__(self, step: Step, error: Exception) -> None:
        self.step, self.error = step, error


@dataclass(frozen=True, slots=True)
class _Failing:
    """Adds the step to an error."""

    step: Step

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # Errors found in advance are about another step.
        others = isinstance(error, (Cancelled, BuildFailedError))
        if isinstance(error, (StepError, LayerscopeError)) and not others:
            raise _StepFailed(self.step, error) from None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _epoch(given: Mapping[str, str]) -> int | None:
    text = given.get(_EPOCH) or os.environ.get(_EPOCH, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise UsageError(f"{_EPOCH}={visible(text)} is not a number of seconds.")
    return int(text)


def _platform_of(text: str) -> Platform:
    try:
        return parse_platform(text)
    except ValueError:
        raise StepError(f"{visible(text)} is not a platform.", "Write OS/ARCH.") from None


def _platform_arguments(host: Platform, wanted: Platform) -> dict[str, str]:
    found = {}
    for prefix, platform in (("BUILD", host), ("TARGET", wanted)):
        found[f"{prefix}PLATFORM"] = str(platform)
        found[f"{prefix}OS"] = platform.os
        found[f"{prefix}ARCH"] = platform.architecture
        found[f"{prefix}VARIANT"] = platform.variant
    return found
