"""What Podman says on `POST /build`, as steps.

Its own words are mixed with what the steps' commands print: only what it says where it would say it
is taken for its own, and an id only if it is that of an image that was not there before.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from layerscope.build.classic_stream import EXIT_CODE
from layerscope.build.plan import Plan, Step
from layerscope.build.recorder import Recorder
from layerscope.text import one_line

_STEP = re.compile(r"(?:\[(\d{1,9})/(\d{1,9})\] )?STEP (\d{1,9})/(\d{1,9}): (.*)", re.DOTALL)
_CACHED = re.compile(r"--> Using cache ([0-9a-f]{12,64})\s*")
_IMAGE = re.compile(r"--> (?:Pushing cache .*|([0-9a-f]{11,64}))\s*")
_COMMIT = re.compile(r"(?:\[\d+/\d+\] )?COMMIT\b.*", re.DOTALL)


class PodmanParser:
    """Podman's words, on the same endpoint.

    Attributes:
        image: Id of the image that was built.
        problem: Why the build failed; empty if it did not.
        windows: For each image that the build works on, the times between which the container of
            the next step was made.
    """

    def __init__(
        self,
        recorder: Recorder,
        plan: Plan,
        full_id: Callable[[str], str | None],
        is_new: Callable[[str], bool],
    ) -> None:
        """Begins.

        Args:
            recorder: Takes the steps.
            plan: The steps of the Dockerfile.
            full_id: The whole id of an image, or None if the engine has none of it.
            is_new: Whether there was no image of that id when the build began.
        """
        self.image: str | None = None
        self.problem = ""
        self._recorder = recorder
        self._plan = plan
        self._full_id = full_id
        self._is_new = is_new
        self._step: Step | None = None
        self._images: dict[str, str] = {}
        self._open = False
        self._base = False
        self._commits = False
        self._begun = time.time()
        self._grown = ""
        self._line = ""
        self._instruction = ""
        self.windows: dict[str, tuple[float, float]] = {}

    def feed(self, message: Mapping[str, Any]) -> None:
        """Takes a message of the stream."""
        aux = message.get("aux")
        if isinstance(aux, Mapping) and isinstance(aux.get("ID"), str):
            self.image = aux["ID"] if ":" in aux["ID"] else f"sha256:{aux['ID']}"
        if "error" in message or "errorDetail" in message:
            self._fail(message)
        elif isinstance(message.get("stream"), str):
            text = message["stream"]
            # Its own words are whole lines; what commands print comes as it is written, and may
            # have no end before them.
            if self._line and text.startswith(("--> ", "STEP ", "[", "COMMIT")):
                self._say(self._line)
                self._line = ""
            *lines, self._line = (self._line + text).split("\n")
            for line in lines:
                self._say(line)

    def end(self) -> None:
        """The stream is over."""
        if self._open and self._base and not self.problem:
            self._end_base()

    def _say(self, line: str) -> None:
        step = _STEP.fullmatch(line)
        cached = _CACHED.fullmatch(line)
        image = _IMAGE.fullmatch(line)
        if step is not None and (begun := self._expected(step)) is not None:
            self._begin(begun, step[5])
        elif cached is not None and (known := self._full_id(cached[1])):
            if self._open:
                self._commit(known, cached=True)
        elif image is not None and self._settles(image[1]):
            return
        elif _COMMIT.fullmatch(line) and self._step is not None:
            self._commits = True
        elif (self._commits or not self._open) and re.fullmatch(r"[0-9a-f]{64}", line):
            self.image = self.image or f"sha256:{line}"
        elif not line.strip() or (
            (self._commits or not self._open)
            and line.startswith(("Successfully tagged ", "Successfully built "))
        ):
            return
        else:
            number, trigger = (None, 0) if self._step is None else self._step.key
            self._recorder.log(number, line + "\n", trigger)

    def _settles(self, short: str | None) -> bool:
        """Whether an id is that of the step's new image; a command may print any other."""
        known = None if short is None else self._full_id(short)
        if known is None or not (self._is_new(known) or not self._open):
            return short is None
        if self._open:
            self._commit(known)
        return True

    def _commit(self, image: str, *, cached: bool = False) -> None:
        self._open = False
        self._grow(image)
        if self._step is not None:
            self._images[self._step.stage_name] = image
            number, trigger = self._step.key
            self._recorder.committed(number, image, cached=cached, trigger=trigger)

    def _grow(self, image: str) -> None:
        """The next step's container is made of an image: from the last step's end on."""
        now = time.time()
        if self._grown:
            self.windows[self._grown] = (self.windows[self._grown][0], now)
        self.windows[image] = (min(self._begun, now), math.inf)
        self._begun, self._grown = now, image

    def _expected(self, step: re.Match[str]) -> Step | None:
        """The step that comes next, if it is one, and not a command that prints such words."""
        stage, place = int(step[1] or 1), int(step[3])
        # What a base image has for those that build on it runs right behind the FROM, as steps of
        # its own; with heredocs, Podman may count other steps than there are.
        triggers = int(step[4]) - self._plan.stage_steps(stage) if not self._plan.heredocs else 0
        begins = self._plan.step_of(stage, 1)
        if begins is not None and 1 < place <= 1 + triggers:
            found: Step | None = begins.triggered(place - 1, step[5])
        else:
            found = self._plan.step_of(stage, place - max(0, triggers) if place > 1 else 1)
        if found is None or (self._step is not None and found.key <= self._step.key):
            return None
        return found

    def _begin(self, step: Step, instruction: str) -> None:
        if self._open and self._base:
            self._end_base()
        steps = len(self._plan.steps)
        for above in self._plan.steps if self._step is None else ():
            # Podman says nothing of an ARG before the first FROM.
            if above.stage == 0:
                self._recorder.step_started(above.number, steps, above.text, above.line)
                self._recorder.committed(above.number, None, base=True)
        self._step = step
        self._open = True
        self._commits = False
        self._base = step.keyword == "FROM"
        self._instruction = instruction
        self._recorder.step_started(step.number, steps, step.text, step.line, step.trigger)

    def _end_base(self) -> None:
        """A base image says nothing more of itself: it is there when the next step begins."""
        if self._step is None:
            return
        self._open = False
        name = self._instruction.split()[1:2]
        image = None
        if name and name[0] != "scratch":
            image = self._images.get(name[0].lower()) or self._full_id(name[0])
            if image is not None:
                self._images[self._step.stage_name] = image
                self._grow(image)
        self._recorder.committed(self._step.number, image, base=True)

    def _fail(self, message: Mapping[str, Any]) -> None:
        detail = message.get("errorDetail")
        text = str(
            (detail.get("message") if isinstance(detail, Mapping) else None)
            or message.get("error")
            or "The engine gave no reason."
        )
        # What it was parsed to is for Podman's own.
        self.problem = one_line(text.partition(" &imagebuilder.Step{")[0])
        found = EXIT_CODE.search(text)
        if self._step is not None:
            code = int(found[1] or found[2]) if found is not None else None
            number, trigger = self._step.key
            self._recorder.step_failed(number, self.problem, code, trigger)
