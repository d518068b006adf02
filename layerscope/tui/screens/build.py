"""A build while it goes on, and after: its steps, their logs, and what each of them added."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.timer import Timer
from textual.widget import Widget

from layerscope.jobs.job import Job, State
from layerscope.text import docker_size, one_line, visible
from layerscope.tui.background import run_beside
from layerscope.tui.build_watch import BuildChanged, BuildWatch
from layerscope.tui.building import tell_end
from layerscope.tui.glyphs import SEPARATOR
from layerscope.tui.screens.build_keys import BINDINGS, HINTS
from layerscope.tui.screens.build_words import broken_here, ending, failure, layer_of, progress
from layerscope.tui.screens.pane_keys import PaneKeys
from layerscope.tui.session import Opener, Session, SessionChanged
from layerscope.tui.widgets.build_log import BuildLog
from layerscope.tui.widgets.file_tree import FileTree
from layerscope.tui.widgets.filter_bar import FilterBar
from layerscope.tui.widgets.key_bar import KeyBar, Saying
from layerscope.tui.widgets.row_view import RowView
from layerscope.tui.widgets.step_list import StepList
from layerscope.tui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from layerscope.build.state import BuildStep, StepKey, StepState

#: Seconds that the cursor rests on a step before its layer is read.
_REST = 0.15
_TICK = 1.0


class BuildScreen(Saying, PaneKeys[str | None], inherit_bindings=False):
    """Steps, log and files of a build; gives the source of an image to open, or None."""

    CSS_PATH = "build.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    def __init__(self, job: Job, opener: Opener, clock: Callable[[], float] = time.time) -> None:
        """Makes the screen.

        Args:
            job: The build; one that has ended is shown as it was.
            opener: Opens images.
            clock: Tells the time that running steps are measured by.
        """
        super().__init__()
        self.AUTO_FOCUS = "#steps"  # type: ignore[misc]
        self.title_bar = TitleBar()
        self.steps = StepList(clock)
        self.log_view = BuildLog()
        self.files = FileTree()
        self.keys = KeyBar(HINTS)
        self.search_bar = FilterBar(self._end_search)
        self.job = job
        self.build: BuildWatch | None = None
        self.session: Session | None = None
        self._opener = opener
        self._clock = clock
        # The layer that is shown, and the step that it, or the lack of one, is shown for.
        self._shown: tuple[str, str] | None = None
        self._shown_for: tuple[StepKey, StepState] | None = None
        self._rest: Timer | None = None
        self._told_failure = False
        self._ran = False

    def compose(self) -> ComposeResult:
        """The panes and bars."""
        points = self.HORIZONTAL_BREAKPOINTS
        self.add_class([name for least, name in points if self.app.size.width >= least][-1])
        yield self.title_bar
        with Container(id="build-body"):
            yield self.steps
            yield self.log_view
            yield self.files
        with Container(id="bottom"):
            yield self.keys
            yield self.search_bar

    def on_mount(self) -> None:
        """Begins to follow the build."""
        self._follow()
        self.set_interval(_TICK, self._tick)

    def on_unmount(self) -> None:
        """Lets go; the job goes on."""
        self._let_go()
        if self._ran and (below := self.app.screen_stack):
            tell_end(self.job, below[0])

    def _let_go(self) -> None:
        if self.build is not None:
            self.build.close()
        if self.session is not None:
            self.session.close()
            self.session = None

    def _follow(self) -> None:
        """Shows the job from its first line on, in place of one that was shown before."""
        self._let_go()
        self._ran = self._ran or self.job.state is State.RUNNING
        self.build = BuildWatch(self.job, self.post_message)
        self.steps.set_placeholder(("The build begins…", "muted"))
        self.steps.follow, self.steps.reason, self._told_failure = True, "", False
        self.steps.show(self.build.state, {})
        self.log_view.show(self.build.state, self.steps.step)
        self._shown = self._shown_for = None
        self.files.forget()
        self._files_say("What a step added is shown here as soon as it is committed.")
        self._tell()

    # What the build says.

    def on_build_changed(self, message: BuildChanged) -> None:
        """Shows what has happened since."""
        build = message.watch
        if build is not self.build:
            return
        state = build.state
        compared = build.compared
        self.steps.show(state, {} if compared is None else compared.before)
        self.log_view.show(state, self.steps.step, self._note)
        self._look_soon()
        self._tell()
        end = state.end if build.ended is not None else None
        if end is not None and end.event == "failed":
            self.steps.reason = one_line(end.text or "")
            if not state.steps:
                self.steps.set_placeholder((self.steps.reason, "warning"))
        failed = state.failed
        told = failure(failed, state.last_image is not None) if failed is not None else ""
        told = told or self.steps.reason
        if told and not self._told_failure:
            self._told_failure = True
            self.keys.say(told)
        self.refresh_bindings()

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        """Shows the log and the layer of another step."""
        if message.view is not self.steps or self.build is None:
            return
        if self.focused is self.steps and self.steps.step is not self._latest:
            self.steps.follow = False
        self.log_view.show(self.build.state, self.steps.step, self._note)
        self._look_soon()
        self.refresh_bindings()

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """From a step to its files, or to its log if it has none."""
        step = self.steps.step
        if message.view is self.files and self.files.on_folder:
            self.files.action_toggle_folder()
        elif message.view is self.files:
            self.action_lead("content")
        elif message.view is self.steps and step is not None:
            self.action_pane("files" if step.has_layer else "log")

    def on_build_log_searched(self, message: BuildLog.Searched) -> None:
        """Says that there is no such line."""
        if message.row is None:
            self.keys.say(f"Nothing with {visible(self.log_view.needle)}.")

    @property
    def _latest(self) -> BuildStep | None:
        if self.build is None:
            return None
        state = self.build.state
        begun = [step for step in state.all_steps if step.begun]
        return state.failed or state.running or state.stopped or (begun[-1] if begun else None)

    @property
    def _note(self) -> str:
        """Why the cache broke, at the step where it did."""
        return "" if self.build is None else broken_here(self.build.compared, self.steps.step)

    def _tick(self) -> None:
        self.steps.tick()
        if self.build is not None and self.build.ended is None:
            self._tell()

    def _tell(self) -> None:
        watch = self.build
        what = visible(self.job.title)
        self.title_bar.set_image(f"Build {what}", f"job {self.job.id}")
        if watch is None:
            return
        if watch.ended is None:
            seconds = max(0.0, self._clock() - self.job.started)
            self.title_bar.set_right(progress(watch.state, seconds), "accent")
        else:
            style = "added" if watch.ended is State.FINISHED else "removed"
            self.title_bar.set_right(ending(watch.ended, watch.state.end), style)

    # What a step added.

    def _look_soon(self) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(_REST, self._look)

    def on_screen_resume(self) -> None:
        """Back from another screen."""
        self._look_soon()

    def _look(self) -> None:
        """Reads the layer of the step under the cursor."""
        if not self.is_current:
            return  # Another screen may read from the layer that is shown.
        step = self.steps.step
        wanted = layer_of(step, self.build.state) if step and self.build is not None else None
        shown_for = None if step is None else (step.key, step.state)
        if wanted == self._shown and (wanted is not None or shown_for == self._shown_for):
            return
        self._shown, self._shown_for = wanted, shown_for
        if self.session is not None:
            self.session.close()
            self.session = None
        self.files.forget()
        if wanted is None:
            self._files_say(self.steps.why_no_layer)
            return
        self._files_say("Reading the layer…")
        self.session = Session(f"docker-daemon:{wanted[0]}", self._opener, self.post_message)

    def on_session_changed(self, message: SessionChanged) -> None:
        """Shows the files of the layer that was read."""
        session = message.session
        if session is not self.session or not session.ended or self._shown is None:
            return
        loaded = session.loaded
        if loaded is None or not loaded.complete:
            problem = session.problem
            self._files_say(problem.message if problem is not None else "It cannot be read.")
            return
        layers = [layer.index for layer in loaded.image.layers]
        fitting = [n for n in layers if loaded.image.layers[n].diff_id == self._shown[1]]
        if fitting:
            from layerscope.filesystem.view import layer_view

            stack, layer = loaded.stack, fitting[-1]
            self.files.show(stack, lambda: layer_view(stack, layer))

    def on_file_tree_counted(self) -> None:
        """Says in the border what the tree shows."""
        step = self.steps.step
        if step is None or step.ended is None or self._shown is None:
            return
        end = step.ended
        parts = end.changes
        if end.wasted:
            parts.append(f"{docker_size(end.wasted)} wasted below")
        title = f"3 Files{SEPARATOR}step {step.label}{SEPARATOR}{docker_size(end.size or 0)}"
        self.files.set_texts(title, ", ".join(parts))

    def _files_say(self, text: str) -> None:
        self.files.set_texts("3 Files")
        self.files.clear((text, "muted"))

    # Keys.

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now; empty if it does."""
        watch = self.build
        running = watch is not None and watch.ended is None
        if action == "cancel" and not running:
            return "The build is over."
        if action == "again" and running:
            return "The build still runs; ctrl+k stops it."
        if action == "edit" and self.job.spec.get("text") is not None:
            return "The Dockerfile came by standard input: there is no file of it."
        if watch is None or watch.state.last_image is None:
            if action == "image":
                return "There is no image yet."
            if action == "shell":
                return "No step has been committed that a shell could run in."
        if action == "next_match" and not self.log_view.needle:
            return "Nothing is searched for; / begins."
        return ""

    @property
    def panes(self) -> Sequence[Widget]:
        """The panes, in the order of their numbers."""
        return (self.steps, self.log_view, self.files)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The pane with the focus is the one in sight, where there is room for one only."""
        if event.widget in self.panes:
            self._bring(event.widget)
            self.refresh_bindings()

    def _bring(self, pane: Widget) -> None:
        self.set_class(pane is self.files, "-at-files")
        for other in self.panes:
            other.set_class(other is pane, "-current")

    def go(self, pane: Widget) -> None:
        """Gives a pane the focus."""
        # A hidden pane takes no focus.
        self._bring(pane)
        super().go(pane)

    def action_whole(self) -> None:
        """Shows the log of one step, or of all."""
        self.log_view.toggle_whole()

    def action_search(self) -> None:
        """Opens the search in the log."""
        self.keys.display = False
        self.search_bar.open(self.log_view.needle, "Part of a line of the log", anew=True)

    def on_filter_bar_typed(self, message: FilterBar.Typed) -> None:
        """Searches while the user types."""
        self.log_view.search(message.text)

    def _end_search(self) -> None:
        self.keys.display = True
        self.set_focus(self.log_view, scroll_visible=False)
        self.refresh_bindings()

    def action_next_match(self, step: int) -> None:
        """Goes to the next or previous match."""
        self.log_view.go_to_match(step)

    def action_cancel(self) -> None:
        """Stops the build."""
        from layerscope.jobs.launch import cancel

        self.keys.say("Stopping the build…")
        run_beside("cancel", lambda: _ignore(cancel(self.job)))

    def action_image(self) -> None:
        """Opens the image, or what there is of it."""
        image = self.build.state.last_image if self.build is not None else None
        if image is not None:
            self.dismiss(f"docker-daemon:{image}")

    def action_back(self) -> None:
        """Ends the zoom, or goes back; the build goes on."""
        if self.has_class("-zoomed"):
            self.action_zoom()
        elif self.has_class("-narrow") and self.focused is self.files:
            # They are in the place of the log: to the user, a page of their own.
            self.go(self.steps)
        else:
            self.dismiss(None)

    def action_again(self) -> None:
        """Builds the same again: what is unchanged is a cache hit."""
        from layerscope.errors import LayerscopeError
        from layerscope.jobs.launch import start

        try:
            self.job = start("build", self.job.title, "layerscope.build.worker", self.job.spec)
        except LayerscopeError as error:
            self.keys.say(str(error))
            return
        # Not a new screen, for which nobody would wait.
        self._follow()
        self.go(self.steps)

    def action_edit(self) -> None:
        """Goes to the line of the step in the editor."""
        from layerscope.tui.editing import edit_step

        state = self.build.state if self.build is not None else None
        edit_step(self.app, self.job, state, self.steps.step, self._opener)

    def action_lead(self, name: str) -> None:
        """Shows the file under the cursor, or its versions; or says why not."""
        from layerscope.tui.leads import LEADS, Place

        lead, files = LEADS[name], self.files
        pane = "files" if self.focused is files else ""
        place = Place(self._opener, None, self.session, files.view, node=files.node, pane=pane)
        if problem := lead.why_not(place):
            self.keys.say(problem)
        else:
            self.app.push_screen(lead.screen(place))

    def action_shell(self) -> None:
        """A shell in the last good layer, in a container that is removed at its end."""
        from layerscope.tui.shell import run_shell

        image = self.build.state.last_image if self.build is not None else None
        if image is not None and (problem := run_shell(self.app, image)):
            self.keys.say(problem)


def _ignore(_: object) -> None:
    """A result that nobody asks for."""
