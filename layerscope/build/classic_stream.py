"""Parses the output of Docker's classic builder on `POST /build` into steps.

The builder mixes its own messages with the output of commands, in one field. A command that prints
` ---> 0123456789ab` must not look like a commit: while a container runs, everything is its log,
until the builder reports that it removed the container and the engine no longer has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from layerscope.build.plan import Plan, Step
from layerscope.build.recorder import Recorder
from layerscope.engines.podman_builds import Windows
from layerscope.text import one_line

_STEP = re.compile(r"Step (\d{1,9})/(\d{1,9}) : (.*)", re.DOTALL)
_RUNNING = re.compile(r" ---> Running in ([0-9a-f]{12,64})\s*")
_REMOVED = re.compile(r"(?: ---> Removed|Removing) intermediate container ([0-9a-f]{12,64})\s*")
_IMAGE = re.compile(r" ---> ([0-9a-f]{12,64})?\s*")
_TRIGGERS = re.compile(r"# Executing (\d{1,9}) build trigger")
_BUILT = re.compile(r"Successfully built ([0-9a-f]{12,64})\s*")
#: The exit code of a step's command, as Docker or Podman writes it.
_EXIT_CODE = re.compile(r"returned a non-zero code: (\d{1,9})|exit status (\d{1,9})")


class EngineView(Protocol):
    """Queries of parsers to the engine while it builds."""

    def full_id(self, name: str) -> str | None:
        """Returns the full id of an image, or None if the engine has no such image."""

    def is_new(self, image: str) -> bool:
        """Whether an image did not exist before the build."""

    def is_gone(self, container: str) -> bool:
        """Whether a container no longer exists."""

    def triggers(self, image: str) -> tuple[str, tuple[str, ...]] | None:
        """Returns id and ONBUILD instructions of an image by name or id, or None."""

    def chain(self, image: str, count: int) -> Sequence[str]:
        """Returns ids of the last images up to a given one, lowest first, or nothing."""

    def container_runs(self, container: str) -> None:
        """Called when a trigger runs in a container; only the last image is reported later."""


@dataclass(slots=True)
class _Trigger:
    step: Step
    cached: bool = False
    took: float | None = None


class StreamParser:
    """Parses the messages of `POST /build`."""

    def __init__(self, recorder: Recorder, plan: Plan, engine: EngineView) -> None:
        self.image: str | None = None  # Id of the image that was built.
        self.problem = ""  # Why the build failed, or "".
        self.container: str | None = None  # For Docker, the id of the running container.
        #: For Podman, when the containers of the build were created.
        self.windows: Windows | None = None
        self._recorder = recorder
        self._plan = plan
        self._engine = engine

    def feed(self, message: Mapping[str, Any]) -> None:
        aux = message.get("aux")
        if isinstance(aux, Mapping) and isinstance(aux.get("ID"), str):
            self.image = aux["ID"] if ":" in aux["ID"] else f"sha256:{aux['ID']}"
        if "error" in message or "errorDetail" in message:
            detail = message.get("errorDetail")
            detail = detail if isinstance(detail, Mapping) else {}
            reason = detail.get("message") or message.get("error")
            text = str(reason or "The engine gave no reason.")
            code = detail.get("code")
            found = _EXIT_CODE.search(text)
            if not isinstance(code, int) or code <= 0:
                code = int(found[1] or found[2]) if found is not None else None
            self._fail(text, code or None)
        elif isinstance(message.get("stream"), str):
            self._say(message["stream"])
        elif isinstance(message.get("status"), str):
            self._pulled(message)

    def end(self) -> None:
        """Handles the end of the stream."""

    def _say(self, text: str) -> None:
        raise NotImplementedError

    def _fail(self, text: str, code: int | None) -> None:
        raise NotImplementedError

    def _pulled(self, message: Mapping[str, Any]) -> None:
        """Handles a new state of a base image's pull."""


class ClassicParser(StreamParser):
    def __init__(self, recorder: Recorder, plan: Plan, engine: EngineView) -> None:
        super().__init__(recorder, plan, engine)
        self._images: dict[int, str] = {}
        self._triggers: list[_Trigger] = []
        self._trigger = 0
        self._step = 0
        self._steps = 0
        self._cached = False
        self._open = False
        self._base = False

    def _say(self, text: str) -> None:
        if self.container is not None:
            removed = _REMOVED.fullmatch(text)
            ended = removed is not None and removed[1] == self.container
            if ended and self._engine.is_gone(self.container):
                self.container = None
            else:
                self._recorder.log(self._step, text, self._trigger)
            return
        step = _STEP.fullmatch(text.rstrip("\n"))
        running = _RUNNING.fullmatch(text)
        image = _IMAGE.fullmatch(text)
        if step is not None and int(step[1]) == self._step + 1:
            self._begin(int(step[1]), int(step[2]), step[3])
        elif running is not None and self._open:
            self._next_trigger(silent=False)
            self.container = running[1]
            if self._triggers:
                self._engine.container_runs(running[1])
        elif text.strip() == "---> Using cache":
            self._cached = True
            self._next_trigger(cached=True)
        elif (found := _TRIGGERS.match(text)) is not None and self._base and not self._triggers:
            self._begin_triggers(int(found[1]))
        elif self._triggers and not self._trigger and text.strip() == "s":
            return
        elif image is not None and self._open:
            self._commit(image[1])
        elif _REMOVED.fullmatch(text) or not text.strip():
            return
        elif (built := _BUILT.fullmatch(text)) is not None:
            self.image = self.image or self._engine.full_id(built[1])
        elif text.startswith("Successfully tagged "):
            return
        elif text.startswith(("[Warning]", "WARNING")):
            self._recorder.warning(one_line(text), self._step or None)
        else:
            self._recorder.log(self._step or None, text)

    def _begin(self, step: int, steps: int, instruction: str) -> None:
        if self._open and self._step:
            # Nothing follows an ARG before FROM.
            self._recorder.committed(self._step, None, base=True)
        self._step, self._steps = step, steps
        self._cached = False
        self._open = True
        self._triggers, self._trigger = [], 0
        self._base = instruction.split(None, 1)[:1] in (["FROM"], ["from"])
        self._recorder.step_started(step, steps, instruction, self._plan.lines.get(step))

    def _commit(self, short: str | None) -> None:
        self._open = False
        image = None if short is None else self._engine.full_id(short) or short
        stage = next((s.stage for s in self._plan.steps if s.number == self._step), 0)
        if image is not None:
            self._images[stage] = image
        if self._triggers and image is not None:
            self._commit_triggers(image)
        else:
            self._recorder.committed(self._step, image, cached=self._cached, base=self._base)

    def _begin_triggers(self, count: int) -> None:
        """Begins the ONBUILD triggers of the base image."""
        begun = next((step for step in self._plan.steps if step.number == self._step), None)
        if begun is None:
            return
        stage = self._plan.begins.get(self._step)
        name = self._plan.bases.get(self._step, "") if stage is None else self._images.get(stage)
        found = self._engine.triggers(name) if name else None
        if found is None or len(found[1]) != count:
            return
        self._triggers = [
            _Trigger(begun.triggered(number, text)) for number, text in enumerate(found[1], 1)
        ]
        self._recorder.committed(self._step, found[0], base=True)

    def _next_trigger(self, *, cached: bool = False, silent: bool = True) -> None:
        """Begins the next trigger, a cache hit or one that runs in a container.

        If `silent`, it may be COPY or ADD, which have no container, and which the stream mentions
        only if they are hits.
        """
        while self._trigger < len(self._triggers):
            self._end_trigger()
            trigger = self._triggers[self._trigger]
            self._trigger += 1
            trigger.cached = cached
            step = trigger.step
            self._recorder.step_started(
                step.number, self._steps, step.text, step.line, step.trigger
            )
            if silent or step.keyword not in ("COPY", "ADD"):
                return

    def _end_trigger(self) -> None:
        if self._trigger:
            trigger = self._triggers[self._trigger - 1]
            number, place = trigger.step.key
            if trigger.took is None:
                trigger.took = self._recorder.seconds(number, place) or 0.0
                self._recorder.end_log(number, place)
                self._recorder.done(number, trigger.took, trigger.cached, place)

    def _commit_triggers(self, image: str) -> None:
        while self._trigger < len(self._triggers):
            self._next_trigger()
        self._end_trigger()
        # The builder only reported the id of the last image.
        count = len(self._triggers)
        images: list[str | None] = [*self._engine.chain(image, count)]
        images = images or [*[None] * (count - 1), image]
        for trigger, each in zip(self._triggers, images, strict=True):
            self._recorder.committed(
                trigger.step.number,
                each,
                cached=trigger.cached,
                trigger=trigger.step.trigger,
                took=trigger.took,
            )

    def _pulled(self, message: Mapping[str, Any]) -> None:
        # A line for each change of state, not for each progress report.
        if message.get("progressDetail"):
            return
        identifier = f"{message['id']}: " if message.get("id") else ""
        self._recorder.log(self._step or None, f"{identifier}{message['status']}\n")

    def _fail(self, text: str, code: int | None) -> None:
        self.problem = one_line(text)
        if not code and self._trigger < len(self._triggers):
            # No command has failed, so it was the next trigger, which the stream did not announce.
            self._next_trigger()
        if self._step:
            self._recorder.step_failed(self._step, self.problem, code, self._trigger)
