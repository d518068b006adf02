"""Parses the output of Podman on `POST /build` into steps.

Podman mixes its own messages with the output of commands: a line counts as a message only where
Podman would print it, and an id only if it belongs to a new image.
"""

from __future__ import annotations

import re
import time

from layerscope.build.classic_stream import EngineView, StreamParser
from layerscope.build.plan import Plan, Step
from layerscope.build.recorder import LONGEST_LINE, Recorder
from layerscope.engines.podman_builds import Windows
from layerscope.text import one_line

_STEP = re.compile(r"(?:\[(\d{1,9})/(\d{1,9})\] )?STEP (\d{1,9})/(\d{1,9}): (.*)", re.DOTALL)
_CACHED = re.compile(r"--> Using cache ([0-9a-f]{12,64})\s*")
_IMAGE = re.compile(r"--> (?:Pushing cache .*|([0-9a-f]{11,64}))\s*")
_COMMIT = re.compile(r"(?:\[\d+/\d+\] )?COMMIT\b.*", re.DOTALL)


class PodmanParser(StreamParser):
    windows: Windows

    def __init__(self, recorder: Recorder, plan: Plan, engine: EngineView) -> None:
        super().__init__(recorder, plan, engine)
        self._step: Step | None = None
        self._images: dict[str, str] = {}
        self._open = False
        self._base = False
        self._commits = False
        self._begun = time.time()
        self._grown = ""
        self._rest = ""
        self._cut = False  # Whether part of the current line has been passed on.
        self._instruction = ""
        self.windows = {}

    def _say(self, text: str) -> None:
        # Podman's own messages are whole lines; command output may lack the end of a line.
        if (self._rest or self._cut) and text.startswith(("--> ", "STEP ", "[", "COMMIT")):
            self._line(self._rest)
            self._rest = ""
        *lines, rest = text.split("\n")
        for line in lines:
            self._line(self._rest + line)
            self._rest = ""
        self._rest += rest
        if len(self._rest) > LONGEST_LINE:
            # Not one of Podman's own.
            self._log(self._rest)
            self._rest, self._cut = "", True

    def end(self) -> None:
        if self._open and self._base and not self.problem:
            self._end_base()

    def _log(self, text: str) -> None:
        number, trigger = (None, 0) if self._step is None else self._step.key
        self._recorder.log(number, text, trigger)

    def _line(self, line: str) -> None:
        if self._cut:
            self._cut = False
            self._log(line + "\n")
            return
        step = _STEP.fullmatch(line)
        cached = _CACHED.fullmatch(line)
        image = _IMAGE.fullmatch(line)
        if step is not None and (begun := self._expected(step)) is not None:
            self._begin(begun, step[5])
        elif cached is not None and (known := self._engine.full_id(cached[1])):
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
            self._log(line + "\n")

    def _settles(self, short: str | None) -> bool:
        """Whether an id is the step's new image; a command may print any other."""
        known = None if short is None else self._engine.full_id(short)
        if known is None or not (self._engine.is_new(known) or not self._open):
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
        """Notes that the next step's container may now be created from an image."""
        now = time.time()
        if self._grown:
            self.windows[self._grown] = (self.windows[self._grown][0], now)
        self.windows[image] = (min(self._begun, now), None)
        self._begun, self._grown = now, image

    def _expected(self, step: re.Match[str]) -> Step | None:
        """Returns the next step, or None if a command printed the line."""
        stage, place = int(step[1] or 1), int(step[3])
        # ONBUILD triggers of a base image run after the FROM, as separate steps; with heredocs,
        # Podman may count steps differently.
        own = sum(each.stage == stage for each in self._plan.steps)
        triggers = int(step[4]) - own if not self._plan.heredocs else 0
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
            # Podman does not report ARGs before the first FROM.
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
        """Ends a base image, which is complete when the next step begins."""
        if self._step is None:
            return
        self._open = False
        name = self._instruction.split()[1:2]
        image = None
        if name and name[0] != "scratch":
            image = self._images.get(name[0].lower()) or self._engine.full_id(name[0])
            if image is not None:
                self._images[self._step.stage_name] = image
                self._grow(image)
        self._recorder.committed(self._step.number, image, base=True)

    def _fail(self, text: str, code: int | None) -> None:
        # Podman appends its parsed instruction.
        self.problem = one_line(text.partition(" &imagebuilder.Step{")[0])
        if self._step is not None:
            number, trigger = self._step.key
            self._recorder.step_failed(number, self.problem, code, trigger)
