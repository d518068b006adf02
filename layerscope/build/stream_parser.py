"""What the classic builder and Podman say on `POST /build`, as steps.

Both mix their own words with what the steps' commands print, in the same field. A command that
prints ` ---> 0123456789ab` must not be taken for a commit: while a container runs, everything is
its log, until the engine says that it removed that very container, and it is gone indeed.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from layerscope.build.plan import Plan, Step
from layerscope.build.recorder import Recorder
from layerscope.text import one_line

_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)", re.DOTALL)
_RUNNING = re.compile(r" ---> Running in ([0-9a-f]{12,64})\s*")
_REMOVED = re.compile(r"(?: ---> Removed|Removing) intermediate container ([0-9a-f]{12,64})\s*")
_IMAGE = re.compile(r" ---> ([0-9a-f]{12,64})?\s*")
_BUILT = re.compile(r"Successfully built ([0-9a-f]{12,64})\s*")
_CODE = re.compile(r"returned a non-zero code: (\d+)|exit status (\d+)")

_POD_STEP = re.compile(r"(?:\[(\d+)/(\d+)\] )?STEP (\d+)/(\d+): (.*)", re.DOTALL)
_POD_CACHED = re.compile(r"--> Using cache ([0-9a-f]{12,64})\s*")
_POD_IMAGE = re.compile(r"--> (?:Pushing cache .*|([0-9a-f]{11,64}))\s*")
_POD_COMMIT = re.compile(r"(?:\[\d+/\d+\] )?COMMIT\b.*", re.DOTALL)


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
        lines: Mapping[int, int | None],
        is_gone: Callable[[str], bool],
        full_id: Callable[[str], str | None],
    ) -> None:
        """Begins.

        Args:
            recorder: Takes the steps.
            lines: Line of the Dockerfile on which each step begins.
            is_gone: Whether the engine has no container of that id any more.
            full_id: The whole id of an image, or None if the engine has none of it.
        """
        self.image: str | None = None
        self.problem = ""
        self.container: str | None = None
        self._recorder = recorder
        self._lines = lines
        self._is_gone = is_gone
        self._full_id = full_id
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
                self._recorder.log(self._step, text)
                return
            self.container = None
            return
        step = _STEP.fullmatch(text.rstrip("\n"))
        running = _RUNNING.fullmatch(text)
        image = _IMAGE.fullmatch(text)
        if step is not None and int(step[1]) == self._step + 1:
            self._begin(int(step[1]), int(step[2]), step[3])
        elif running is not None and self._open:
            self.container = running[1]
        elif text.strip() == "---> Using cache":
            self._cached = True
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
        self._base = instruction.split(None, 1)[:1] in (["FROM"], ["from"])
        self._recorder.step_started(step, steps, instruction, self._lines.get(step))

    def _commit(self, short: str | None) -> None:
        self._open = False
        image = None if short is None else self._full_id(short) or short
        self._recorder.committed(self._step, image, cached=self._cached, base=self._base)

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
        found = _CODE.search(text)
        if not isinstance(code, int) and found is not None:
            code = int(found[1] or found[2])
        if self._step:
            self._recorder.step_failed(
                self._step, self.problem, code if isinstance(code, int) and code > 0 else None
            )


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

    @property
    def _number(self) -> int | None:
        return None if self._step is None else self._step.number

    def _say(self, line: str) -> None:
        step = _POD_STEP.fullmatch(line)
        cached = _POD_CACHED.fullmatch(line)
        image = _POD_IMAGE.fullmatch(line)
        if step is not None and (begun := self._expected(step)) is not None:
            self._begin(begun, step[5])
        elif cached is not None and (known := self._full_id(cached[1])):
            # A second one is of what ONBUILD put behind the FROM.
            if self._open:
                self._commit(known, cached=True)
        elif image is not None and self._settles(image[1]):
            return
        elif _POD_COMMIT.fullmatch(line) and self._step is not None:
            self._commits = True
        elif (self._commits or not self._open) and re.fullmatch(r"[0-9a-f]{64}", line):
            self.image = self.image or f"sha256:{line}"
        elif line.startswith(("Successfully tagged ", "Successfully built ")) or not line.strip():
            return
        else:
            self._recorder.log(self._number, line + "\n")

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
            self._recorder.committed(self._step.number, image, cached=cached)

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
        # What a base image has for those that build on it runs right behind the FROM.
        triggers = int(step[4]) - self._plan.stage_steps(stage) if not self._plan.heredocs else 0
        if place > 1 and triggers > 0:
            if place <= 1 + triggers:
                return None
            place -= triggers
        found = self._plan.step_of(stage, place)
        if found is None or (self._step is not None and found.number <= self._step.number):
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
        self._recorder.step_started(step.number, steps, step.text, step.line)

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
        found = _CODE.search(text)
        if self._step is not None:
            code = int(found[1] or found[2]) if found is not None else None
            self._recorder.step_failed(self._step.number, self.problem, code)
