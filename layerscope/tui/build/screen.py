"""The build screen: steps, their logs, and the files that each step changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.timer import Timer
from textual.widget import Widget

from layerscope.build.compare import Compared, Comparison
from layerscope.build.events import BuildEvent
from layerscope.build.request import BUILD, source_of
from layerscope.build.state import BuildState, StepKey
from layerscope.errors import LayerscopeError
from layerscope.jobs.job import Job, State
from layerscope.text import docker_size, one_line, visible
from layerscope.tui.base_screen import AppScreen
from layerscope.tui.build.log import BuildLog
from layerscope.tui.build.step_list import StepList
from layerscope.tui.build.texts import (
    NO_STEP_FAILED,
    broken_here,
    ending,
    failure,
    layer_of,
    progress,
)
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.dialogs.dialog import MessageScreen
from layerscope.tui.dialogs.filter_bar import FilterBar
from layerscope.tui.keys import common
from layerscope.tui.keys.key import LAST, Key
from layerscope.tui.rows.file_tree import FileTree
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.session import Session
from layerscope.tui.terminal.glyphs import SEPARATOR
from layerscope.tui.work import Problem, Task

#: Seconds that the cursor must rest on a step before its layer is read.
_REST = 0.15
_TICK = 1.0

#: Seconds between two reads of the journal, and so the most often that output is painted.
_PERIOD = 0.25


class BuildWatch:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.state = BuildState(job.journal)
        self.ended: State | None = None  # How the job ended; None while it runs.
        self.compared: Compared | None = None  # A comparison with the previous build, or None.

    def follow(self, task: Task[BuildWatch]) -> BuildWatch:
        """Reads the journal until the build ends, reporting progress, or raises LayerscopeError."""
        comparison: Comparison | None = None
        while True:
            # Checked before the journal is read, so that nothing written before the end is missed.
            state = self.job.state
            grown = self._read()
            if state is not State.RUNNING:
                self.state.stop()
                if self.state.end is None and (reason := self.job.reason):
                    last = self.state.last_image
                    self.state.end = BuildEvent("failed", text=reason, image=last)
                self.ended = state
            if grown or self.ended is not None:
                comparison = comparison or Comparison(self.job)
                self.compared = comparison.look(self.state)
            if self.ended is not None:
                return self
            if grown:
                task.report(self)
            task.wait(_PERIOD)

    def _read(self) -> bool:
        try:
            return self.state.read()
        except FileNotFoundError:
            # The job's folder may be removed while its build is shown.
            return False
        except OSError as error:
            raise LayerscopeError(
                f"The journal of job {self.job.id} cannot be read: {error.strerror}."
            ) from error


def cannot_build(error: LayerscopeError) -> MessageScreen:
    """Returns a message on why no build started; no job's log has it."""
    return MessageScreen("The build cannot start", error.message, error.hint)


class BuildScreen(AppScreen[None], screen="build", heading="A build"):
    CSS_PATH = "build.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium")]  # noqa: RUF012

    def _no_needle(self) -> str:
        return "" if self.log_view.needle else "Press / to search the log first."

    def _no_image(self) -> str:
        return "" if self._last_image else "There is no image yet."

    def _still_building(self) -> str:
        return "The build is still running; ctrl+k stops it." if self._building else ""

    def _no_shell(self) -> str:
        if self.request is not None and self.request.builder == "embedded":
            return "No engine has this image, so there is no container for a shell."
        return "" if self._last_image else "No step has been committed yet that a shell can run in."

    def _no_dockerfile(self) -> str:
        if self.request is None or self.request.text is not None:
            return "The Dockerfile was read from standard input, so there is no file to edit."
        return ""

    KEYS = (
        *common.pane_keys("build", {"steps": "Steps", "log": "Log", "files": "Files"}),
        common.zoom_key("build", "*"),
        Key("build.search", "slash", "search", "Search", hint="log"),
        *common.match_keys("build", _no_needle, "log"),
        Key("build.whole", "w", "whole", "Whole log", "Log of one step, or all", None, "*", LAST),
        Key(
            "build.image",
            "i",
            "image",
            "Image",
            "Open the image that was built",
            _no_image,
            "log steps",
        ),
        Key("build.again", "b", "again", "Build again", "", _still_building, "log steps"),
        Key(
            "build.shell",
            "x",
            "shell",
            "Shell",
            "A shell in the last good layer",
            _no_shell,
            "log steps",
        ),
        Key(
            "build.edit",
            "e",
            "edit",
            "Edit",
            "Edit the Dockerfile, at the line of the step",
            _no_dockerfile,
            "log steps",
        ),
        *common.file_keys("build"),
        common.cancel_key(
            "build", "Stop the build", lambda self: "" if self._building else "The build has ended."
        ),
        common.back_key("build", tip="Go to the steps, or leave; the build continues"),
    )

    def __init__(self, job: Job, place: Place, clock: Callable[[], float] = time.time) -> None:
        """Shows a running or ended build; `clock` times running steps."""
        super().__init__()
        self.steps = StepList(clock)
        self.log_view = BuildLog(self.work, self.say)
        self.files = FileTree(self._show_files_status)
        self.search_bar = FilterBar(self.keys, lambda: self.log_view)
        self.bottom_line.append(self.search_bar)
        self.job = job
        self.request = BUILD.request_of(job)
        self.build = BuildWatch(job)
        self.session: Session | None = None
        self._place = place
        self._clock = clock
        # The image and diff_id of the shown layer, and the step it belongs to.
        self._shown: tuple[str, str] | None = None
        self._shown_for: tuple[StepKey, str] | None = None
        self._rest: Timer | None = None
        self._failure_shown = False

    def body(self) -> ComposeResult:
        yield Container(*self.panes, id="build-body")

    def on_mount(self) -> None:
        self._follow(self.job)
        self.set_interval(_TICK, self._tick)

    def on_unmount(self) -> None:
        self._close_session()

    def shows_job(self, identifier: str) -> bool:
        return identifier == self.job.id

    def _close_session(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None

    def _follow(self, job: Job) -> None:
        """Shows a build from the start, replacing any other."""
        self._close_session()
        self.job, self.build = job, BuildWatch(job)
        self._failure_shown = False
        self.log_view.problem = ""
        self._shown = self._shown_for = None
        self.steps.begin(self.build.state)
        self.log_view.show(self.build.state, self.steps.step)
        self._say_in_files("The changes of a step appear here once it is committed.")
        self.title_bar.set_image(f"Build {visible(job.title)}", f"job {job.id}")
        self._show_status()
        follow, changed = self.build.follow, self._build_changed
        self.work.start("build", follow, changed, failed=self._unreadable, report=changed)

    # Progress.

    def _build_changed(self, build: BuildWatch) -> None:
        state, compared, failed = build.state, build.compared, build.state.failed
        end = state.end if build.ended is not None else None
        if build.ended is not None:
            self.base_app.seen_ends.add(self.job.id)
        if end is not None and end.event == "failed":
            self.steps.reason = one_line(end.text or "")
        self.steps.update_steps(state, compared)
        self._show_step()
        self._show_status()
        reason = self.steps.reason
        if failed is not None:
            reason = failure(failed, self._last_image is not None)
        elif state.failed_between_steps and build.ended is State.FAILED:
            reason = NO_STEP_FAILED
        if reason and not self._failure_shown:
            self._failure_shown = True
            self.say(reason)

    def _unreadable(self, problem: Problem) -> None:
        """Shows in the log why the build cannot be followed."""
        if not problem.cancelled:
            self.log_view.problem = str(problem)
            self.steps.follow = False
            self._show_step()

    def _show_step(self) -> None:
        """Shows the log and, soon, the files of the step under the cursor."""
        step = self.steps.step
        self.log_view.show(self.build.state, step, broken_here(self.build.compared, step))
        self._look_soon()
        self.refresh_bindings()

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        if message.view is self.steps:
            if self.focused is self.steps and self.steps.step is not self.build.state.latest:
                self.steps.follow = False
            self._show_step()

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """Goes from a step to its files, or to its log if it has none."""
        step = self.steps.step
        if message.view is self.files:
            self.action_visit("content")
        elif message.view is self.steps and step is not None:
            self.action_pane("files" if step.has_layer else "log")

    def _tick(self) -> None:
        self.steps.tick()
        if self._building:
            self._show_status()

    def _show_status(self) -> None:
        build = self.build
        if build.ended is None:
            seconds = max(0.0, self._clock() - self.job.started)
            self.title_bar.set_right(progress(build.state, seconds), "accent")
        else:
            style = "added" if build.ended is State.FINISHED else "removed"
            self.title_bar.set_right(ending(build.ended, build.state.end), style)

    # Files of a step.

    def _look_soon(self) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(_REST, self._look)

    def on_screen_resume(self) -> None:
        self._look_soon()

    def _look(self) -> None:
        if not self.is_current:
            return  # Another screen may be reading the shown layer.
        step = self.steps.step
        wanted = None if step is None else layer_of(step, self.build.state)
        shown_for = None if step is None else (step.key, self.steps.why_no_layer)
        if wanted == self._shown and (wanted is not None or shown_for == self._shown_for):
            return
        self._shown, self._shown_for = wanted, shown_for
        self._close_session()
        if wanted is None:
            self._say_in_files(self.steps.why_no_layer)
            return
        self._say_in_files("Reading the layer…")
        self.session = Session(
            source_of(self.job, wanted[0]),
            self._place.opener,
            self.call_later,
            self._session_changed,
        )

    def _session_changed(self, session: Session) -> None:
        if session is not self.session or not session.ended or self._shown is None:
            return
        loaded = session.loaded
        if loaded is None or not loaded.complete:
            problem = session.problem
            self.files.clear((problem.message if problem else "The layer cannot be read.", "muted"))
            return
        layers = loaded.image.layers
        fitting = [layer.index for layer in layers if layer.diff_id == self._shown[1]]
        if fitting:
            from layerscope.filesystem.view import layer_view

            stack, layer = loaded.stack, fitting[-1]
            self.files.show(stack, lambda: layer_view(stack, layer))

    def _show_files_status(self) -> None:
        step = self.steps.step
        if step is None or step.ended is None or self._shown is None:
            return
        end = step.ended
        parts = end.changes
        if end.wasted:
            parts.append(f"{docker_size(end.wasted)} wasted below")
        place = f"step {step.label}{SEPARATOR}{docker_size(end.size or 0)}"
        self.files.set_status(", ".join(parts), place)

    def _say_in_files(self, text: str) -> None:
        self.files.forget()
        self.files.set_status()
        self.files.clear((text, "muted"))

    # Keys.

    @property
    def _building(self) -> bool:
        return self.build.ended is None

    @property
    def _last_image(self) -> str | None:
        return self.build.state.last_image

    @property
    def panes(self) -> Sequence[Widget]:
        return (self.steps, self.log_view, self.files)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Shows only the focused pane where only one fits."""
        if event.widget in self.panes:
            self._bring(event.widget)
            self.refresh_bindings()

    def _bring(self, pane: Widget) -> None:
        self.set_class(pane is self.files, "-at-files")
        for other in self.panes:
            other.set_class(other is pane, "-current")

    def go(self, pane: Widget) -> None:
        # A hidden pane cannot take the focus.
        self._bring(pane)
        super().go(pane)

    def action_whole(self) -> None:
        self.log_view.toggle_whole()

    def action_search(self) -> None:
        self.search_bar.open(self.log_view.needle, "Text to find in the log", anew=True)

    def on_filter_bar_typed(self, message: FilterBar.Typed) -> None:
        self.log_view.search(message.text)

    def action_next_match(self, step: int) -> None:
        self.log_view.go_to_match(step)

    def action_cancel(self) -> None:
        from layerscope.jobs.launch import cancel

        self.say("Stopping the build…")
        job = self.job

        def done(ended: bool) -> None:
            if not ended:
                self.say("The build has not stopped yet.")

        self.work.start("cancel", lambda _: cancel(job), done)

    def action_image(self) -> None:
        image = self._last_image
        if image is not None:
            self._place.go(Goal(source_of(self.job, image)))

    def action_back(self) -> None:
        if self.has_class("-zoomed"):
            self.action_zoom()
        elif self.focused is not self.steps:
            self.go(self.steps)
        else:
            self.dismiss(None)

    def action_again(self) -> None:
        from layerscope.build.request import start_build

        if self.request is None:
            return
        try:
            job = start_build(self.request)
        except LayerscopeError as error:
            self.app.push_screen(cannot_build(error))
            return
        # Reuses the screen, so that esc returns to where the user came from.
        self._follow(job)
        self.go(self.steps)

    def action_edit(self) -> None:
        build = (self.job, self.build.state, self.steps.step)
        self.visit("edit_step", replace(self._place, build=build))

    @property
    def place(self) -> Place:
        files = self.files
        return replace(
            self._place,
            session=self.session,
            view=files.view,
            node=files.node,
            pane="files" if self.focused is files else "",
        )

    def action_shell(self) -> None:
        """Runs a shell in the last good layer, in a temporary container."""
        from layerscope.engines.shell import RunRequest
        from layerscope.tui.terminal.shell import run_shell

        image = self._last_image
        if image is not None and (problem := run_shell(self.app, RunRequest(image))):
            self.say(problem)
