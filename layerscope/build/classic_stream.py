"""What the classic builder says on `POST /build`, as steps.

It mixes its own words with what the steps' commands print, in the same field. A command that
prints ` ---> 0123456789ab` must not be taken for a commit: while a container runs, everything is
its log, until the engine says that it removed that very container, and it is gone indeed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from layerscope.build.plan import Plan, Step
from layerscope.build.recorder import Recorder
from layerscope.text import one_line

_STEP = re.compile(r"Step (\d{1,9})/(\d{1,9}) : (.*)", re.DOTALL)
_RUNNING = re.compile(r" ---> Running in ([0-9a-f]{12,64})\s*")
_REMOVED = re.compile(r"(?: ---> Removed|Removing) intermediate container ([0-9a-f]{12,64})\s*")
_IMAGE = re.compile(r" ---> ([0-9a-f]{12,64})?\s*")
_TRIGGERS = re.compile(r"# Executing (\d{1,9}) build trigger")
_BUILT = re.compile(r"Successfully built ([0-9a-f]{12,64})\s*")
#: How the exit code of a step's command is told, by Docker or by Podman.
EXIT_CODE = re.compile(r"returned a non-zero code: (\d{1,9})|exit status (\d{1,9})")


@dataclass(frozen=True, slots=True)
class TriggersOf:
    """What an image has for those that build on it.

    Attributes:
        image: Its id.
        instructions: The instructions of its ONBUILDs.
    """

    image: str
    instructions: tuple[str, ...]


@dataclass(slots=True)
class _Trigger:
    step: Step
    cached: bool = False
    took: float | None = None


class ClassicParser:
    """The classic builder's words.

    Attributes:
        image: Id of the image that was built.
        problem: Why the build failed; empty if it did not.
        container: Id of the container that runs now.
    """

    def __init__(
        self,
        recorder: Recorder,
        plan: Plan,
        is_gone: Callable[[str], bool],
        full_id: Callable[[str], str | None],
        triggers: Callable[[str], TriggersOf | None],
        below: Callable[[str, int], Sequence[str]],
        runs: Callable[[str], None],
    ) -> None:
        """Begins.

        Args:
            recorder: Takes the steps.
            plan: The steps of the Dockerfile.
            is_gone: Whether the engine has no container of that id any more.
            full_id: The whole id of an image, or None if the engine has none of it.
            triggers: What an image, by name or id, has for those that build on it.
            below: The ids of a number of images that one of the classic builder's was made of,
                the lowest first, itself the last.
            runs: Told of the container that a trigger runs in: of the images that triggers become,
                only the last one's id is told.
        """
        self.image: str | None = None
        self.problem = ""
        self.container: str | None = None
        self._recorder = recorder
        self._plan = plan
        self._is_gone = is_gone
        self._full_id = full_id
        self._triggers_of = triggers
        self._below = below
        self._runs = runs
        self._images: dict[int, str] = {}
        self._triggers: list[_Trigger] = []
        self._trigger = 0
        self._step = 0
        self._steps = 0
        self._cached = False
        self._open = False
        self._base = False

    def feed(self, message: Mapping[str, Any]) -> None:
        """Takes a message of the stream."""
        aux = message.get("aux")
        if isinstance(aux, Mapping) and isinstance(aux.get("ID"), str):
            self.image = aux["ID"]
        if "error" in message or "errorDetail" in message:
            self._fail(message)
        elif isinstance(message.get("stream"), str):
            self._say(message["stream"])
        elif isinstance(message.get("status"), str):
            self._pulled(message)

    def end(self) -> None:
        """The stream is over."""

    def _say(self, text: str) -> None:
        if self.container is not None:
            removed = _REMOVED.fullmatch(text)
            if removed is None or removed[1] != self.container or not self._is_gone(removed[1]):
                self._recorder.log(self._step, text, self._trigger)
                return
            self.container = None
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
                self._runs(running[1])
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
            self.image = self.image or self._full_id(built[1])
        elif text.startswith("Successfully tagged "):
            return
        elif text.startswith(("[Warning]", "WARNING")):
            self._recorder.warning(one_line(text), self._step or None)
        else:
            self._recorder.log(self._step or None, text)

    def _begin(self, step: int, steps: int, instruction: str) -> None:
        if self._open and self._step:
            # ARG before FROM says nothing more of itself.
            self._recorder.committed(self._step, None, base=True)
        self._step, self._steps = step, steps
        self._cached = False
        self._open = True
        self._triggers, self._trigger = [], 0
        self._base = instruction.split(None, 1)[:1] in (["FROM"], ["from"])
        self._recorder.step_started(step, steps, instruction, self._plan.lines.get(step))

    def _commit(self, short: str | None) -> None:
        self._open = False
        image = None if short is None else self._full_id(short) or short
        stage = next((s.stage for s in self._plan.steps if s.number == self._step), 0)
        if image is not None:
            self._images[stage] = image
        if self._triggers and image is not None:
            self._commit_triggers(image)
        else:
            self._recorder.committed(self._step, image, cached=self._cached, base=self._base)

    def _begin_triggers(self, count: int) -> None:
        """What the base has for those that build on it is run, before anything else is said."""
        begun = next((step for step in self._plan.steps if step.number == self._step), None)
        if begun is None:
            return
        stage = self._plan.begins.get(self._step)
        name = self._plan.bases.get(self._step, "") if stage is None else self._images.get(stage)
        found = self._triggers_of(name) if name else None
        if found is None or len(found.instructions) != count:
            return
        self._triggers = [
            _Trigger(begun.triggered(number, text))
            for number, text in enumerate(found.instructions, 1)
        ]
        self._recorder.committed(self._step, found.image, base=True)

    def _next_trigger(self, *, cached: bool = False, silent: bool = True) -> None:
        """The next trigger is a cache hit, or runs in a container.

        Args:
            cached: Whether it is a hit.
            silent: Whether it may be one of those that have no container of their own, and of
                which nothing is said unless they are hits.
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
        """The trigger that was begun last is over."""
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
        # Of their images, only the last one's id was told.
        count = len(self._triggers)
        images: list[str | None] = [*self._below(image, count)]
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
        """A base image is pulled: a line for each thing that changes its state, not each byte."""
        if message.get("progressDetail"):
            return
        identifier = f"{message['id']}: " if message.get("id") else ""
        self._recorder.log(self._step or None, f"{identifier}{message['status']}\n")

    def _fail(self, message: Mapping[str, Any]) -> None:
        detail = message.get("errorDetail")
        detail = detail if isinstance(detail, Mapping) else {}
        text = str(detail.get("message") or message.get("error") or "The engine gave no reason.")
        self.problem = one_line(text)
        code = detail.get("code")
        found = EXIT_CODE.search(text)
        if not isinstance(code, int) and found is not None:
            code = int(found[1] or found[2])
        if not code and self._trigger < len(self._triggers):
            # No command has failed: it was the next one, of which nothing is said before.
            self._next_trigger()
        if self._step:
            self._recorder.step_failed(
                self._step,
                self.problem,
                code if isinstance(code, int) and code > 0 else None,
                self._trigger,
            )
