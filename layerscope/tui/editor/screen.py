"""The Dockerfile editor: text, help, problems, and the layers that instructions created."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import TextArea

from layerscope import records
from layerscope.build.request import BUILD, BuildRequest, source_of
from layerscope.dockerfile.editing import shown_text
from layerscope.dockerfile.editing.help import help_at
from layerscope.dockerfile.editing.highlight import LONGEST
from layerscope.errors import LayerscopeError
from layerscope.text import visible
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.dialogs.prompt import PromptScreen
from layerscope.tui.editor.completion import Completer
from layerscope.tui.editor.dialogs import Dialogs
from layerscope.tui.editor.dockerfile_area import DockerfileArea
from layerscope.tui.editor.draft import SMALL, Analysis, Draft
from layerscope.tui.editor.environment import Environment, Findings
from layerscope.tui.editor.file import OpenFile, UnsavedChanges
from layerscope.tui.editor.find import Finder
from layerscope.tui.editor.help_pane import HelpPane
from layerscope.tui.editor.layers import InstructionLayers
from layerscope.tui.editor.opening import Start, reconstructed
from layerscope.tui.editor.problems import ProblemList, Problems, WholeProblem
from layerscope.tui.keys import common
from layerscope.tui.keys.key import ALWAYS, Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal.glyphs import SEPARATOR
from layerscope.tui.terminal.outside import editor_command, show_in_program

#: Seconds between checks of the disk.
_LOOK = 2.0


class EditorScreen(PromptScreen, screen="editor", heading="In the Dockerfile editor"):
    AUTO_FOCUS = "#text"
    CSS_PATH = "editor.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (30, "-tall")]  # noqa: RUF012

    def _no_search(self) -> str:
        return "" if self.finder.needle else "Search for something first: ctrl+f."

    def _no_history(self) -> str:
        session = self.environment.session
        return "No image is open." if session is None or session.image is None else ""

    KEYS = (
        Key("editor.save", "ctrl+s", "save", "Save", hint="text"),
        Key("editor.save_as", "f2", "save_as", "Save as…"),
        Key(
            "editor.build", "ctrl+b", "build", "Build…", "Save, and ask what to build", hint="text"
        ),
        Key(
            "editor.build_again", "f5", "build_again", "Build again", "Save, and build as last time"
        ),
        Key("editor.help", "f1,ctrl+g", "help", "Help", "Help on the instruction", hint="text"),
        Key(
            "editor.complete",
            "ctrl+n",
            "complete",
            "Complete",
            "List what fits at the cursor",
            lambda self: self.area.reason,
            "text",
        ),
        Key(
            "editor.next_problem",
            "f8",
            "problem(1)",
            "Problem",
            "Next problem",
            lambda self: self.problems.why_none(),
            "text",
        ),
        Key(
            "editor.previous_problem",
            "shift+f8,f7",
            "problem(-1)",
            "Previous problem",
            why_not=lambda self: self.problems.why_none(),
        ),
        Key("editor.problems", "f6", "problems", "Problems", "Go to the list of problems"),
        Key("editor.find", "ctrl+f", "find", "Find", "Find text; :12 goes to line 12", hint="text"),
        *common.match_keys("editor", _no_search, keys=("f3", "shift+f3")),
        Key(
            "editor.format",
            "ctrl+t",
            "format",
            "Format",
            "Format: keywords in upper case, consistent indentation",
            lambda self: self.area.reason,
            "text",
        ),
        Key("editor.go", "ctrl+r,alt+g", "go", "Go to line"),
        Key(
            "editor.editor",
            "ctrl+e",
            "editor",
            "$EDITOR",
            "Save, and edit the file in $EDITOR",
            lambda self: "" if self.file.known else "Save it to a file first: ctrl+s.",
        ),
        Key(
            "editor.layer",
            "ctrl+l",
            "layer",
            "Layer",
            "Go to the layer that the instruction made",
            lambda self: self.instruction_layers.why_none(),
            "text",
        ),
        Key(
            "editor.reverse",
            "f4",
            "reverse",
            "From history",
            "Show a Dockerfile made from the history of the open image",
            _no_history,
        ),
        Key("editor.quit", "ctrl+q", "quit", "Quit", "Quit the program"),
        Key("editor.back", "escape", "back", "Back", hint="*", rank=ALWAYS),
    )

    def __init__(self, start: Start, place: Place) -> None:
        super().__init__()
        self._start = start
        self._from = place
        self.area = DockerfileArea()
        self.help_pane = HelpPane()
        self.problem_list = ProblemList()
        self.whole_problem = WholeProblem()
        self._dialogs = dialogs = Dialogs(
            self.say,
            self.ask,
            lambda screen, take: self.app.push_screen(screen, take),
            lambda: self.is_current,
        )
        self.draft = Draft(
            self.area,
            self.work,
            on_edit=self._update_title,
            on_analysis=self._analysed,
            on_rest=self._rested,
        )
        self.environment = Environment(
            self.work, place.connector, place.session, lambda: self.completer.learned()
        )
        self.file = OpenFile(self.draft, self.work, dialogs, self._saved)
        self.unsaved = UnsavedChanges(self.draft, self.file, dialogs)
        self.completer = Completer(self.draft, self.environment, dialogs)
        self.finder = Finder(self.area, dialogs)
        self.instruction_layers = InstructionLayers(self.draft)
        self.problems = Problems(
            self.draft,
            self.work,
            self.problem_list,
            self.whole_problem,
            self.say,
            lambda text: self.base_app.say_once(text),
        )
        self._layer = start.layer  # The layer whose instruction to go to.
        self._discarded = False
        self._reading_image = place.session is not None and not place.session.ended
        self._said_colours = False
        self._context_failure = ""

    def body(self) -> ComposeResult:
        yield Container(self.area, self.help_pane, self.problem_list, id="editor-body")
        yield self.whole_problem
        yield self.completer.popup

    def on_mount(self) -> None:
        start = self._start
        self.help_pane.show(None)
        self.area.on_type = self._typed
        if start.path is None:
            self.file.open_text(start.text, start.source)
        else:
            try:
                self.file.open(start.path)
            except LayerscopeError as error:
                self.draft.load("", "The file could not be read.")
                self.say(str(error))
        self.environment.list_images()
        self.set_interval(_LOOK, self._look_around)
        self.instruction_layers.wanted = self._layer
        self.show_line(start.line, start.notice)
        self.call_after_refresh(self.unsaved.offer)

    def on_unmount(self) -> None:
        self.draft.close()
        if not self._discarded:
            self.unsaved.keep()

    @property
    def has_unsaved(self) -> bool:
        return self.file.dirty

    def show_line(self, line: int | None, notice: str) -> None:
        """Goes to a line, from 0, shows a sentence that is safe to show, and focuses the text."""
        self.go(self.area)
        if line is not None:
            self.finder.go_to_line(str(line + 1))
        if notice:
            self.say(notice)

    def show_layer(self, layer: int | None) -> None:
        """Goes to the instruction that created a layer of the open image, once that is known."""
        self._layer = self.instruction_layers.wanted = layer
        self._check()

    # The text.

    def _typed(self, text: str) -> None:
        self.draft.catch_up()
        self.completer.typed(text)

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self.draft.catch_up()

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        event.stop()
        self.completer.moved()
        self.problems.show_whole()
        self._show_help()
        self._update_title()
        self.refresh_bindings()

    def _analysed(self, before: Analysis | None, now: Analysis) -> None:
        self.problems.follow(before, now)
        self.instruction_layers.follow(before, now)
        self._show_help()
        if len(now.text) > SMALL:
            self.completer.learned()
        if not (now.complete or self._said_colours):
            self._said_colours = True
            self.say(f"Only the first {LONGEST:,} characters of an instruction are coloured.")
        self._update_title()

    def _rested(self, now: Analysis) -> None:
        self._check()
        self.problems.run_hadolint(now.document, self.file.path)

    def _check(self) -> None:
        now, path = self.draft.current, self.file.path
        if now is not None:
            document = now.document
            self.work.queue("lint", lambda _: self.environment.check(document, path), self._checked)

    def _say_if_unknown(self) -> None:
        """Shows a message if the instruction of the requested layer is not known."""
        layer, session = self.instruction_layers.wanted, self.environment.session
        if layer is not None and session is not None and session.ended:
            self.instruction_layers.wanted = None
            said = f"{self.message.text}\n" if self.message.text else ""
            self.say(
                f"{said}No instruction here is known to have made layer {layer}. "
                f"{key_of(self, 'editor.reverse')} shows one made from the image's history."
            )

    def _checked(self, found: Findings) -> None:
        self.environment.take(found)
        self.problems.take(found.problems, found.document)
        self.instruction_layers.take(found)
        self._say_if_unknown()
        if found.context is not None:
            self.completer.learned()
        # Keeps an unread message; the next check reports the failure.
        if not (found.failure and self.message.text):
            if found.failure and found.failure != self._context_failure:
                self.say(found.failure)
            self._context_failure = found.failure
        self._update_title()
        self.refresh_bindings()

    def _saved(self) -> None:
        self.unsaved.forget()
        now = self.draft.current
        if now is not None:
            self.problems.run_tools(now.document, self.file.path)
        self._check()
        self._update_title()

    def _look_around(self) -> None:
        """Checks for changes on disk, and whether the image has been read."""
        self.file.look()
        session = self.environment.session
        if self._reading_image and session is not None and session.ended:
            self._reading_image = False
            self._check()

    def on_app_focus(self) -> None:
        self.file.look()

    def on_screen_resume(self) -> None:
        """Checks for a new build and for changes on disk."""
        self.file.look()
        self.environment.find_build(self.file.path, self._check)

    def on_resize(self) -> None:
        self.completer.close()
        self.call_after_refresh(self._show_help)
        self.call_after_refresh(self.problems.show_whole)

    def _update_title(self) -> None:
        if not self.is_mounted:
            return
        file, area = self.file, self.area
        facts = []
        if file.known is None:
            facts.append("read-only until saved to a file")
        elif area.reason:
            facts.append("read-only")
        elif file.known.stamp is None:
            facts.append("a new file")
        if file.dirty:
            facts.append("not saved")
        if file.known is not None and file.known.crlf:
            facts.append("CRLF line endings")
        self.title_bar.set_image(file.name, ", ".join(facts))
        row, column = area.selection.end
        parts = [f"{row + 1}:{column + 1}"]
        made = self.instruction_layers.here
        if made is not None:
            number = "" if made.layer is None else f"layer {made.layer} "
            parts.insert(0, f"{number}{made.label}")
        line = area.document.get_line(row)
        if column < len(line) and shown_text.stands(line[column]):
            parts.insert(0, shown_text.name(line[column]))
        self.title_bar.set_right(SEPARATOR.join(parts))

    def _show_help(self) -> None:
        now = self.draft.current
        if now is not None and self.help_pane.display:
            self.help_pane.show(help_at(now.document, self.area.place))

    def ask(self, label: str, text: str, hint: str, answer: Callable[[str], None]) -> None:
        self.completer.close()
        super().ask(label, text, hint, answer)

    def _end_prompt(self) -> None:
        super()._end_prompt()
        self.go(self.area)

    # Keys of the text.

    def action_save(self) -> None:
        self.file.save()

    def action_save_as(self) -> None:
        self.file.save_as()

    def action_complete(self) -> None:
        self.completer.offer(asked=True)

    def action_format(self) -> None:
        self.draft.format(self.say)

    def action_find(self) -> None:
        self.finder.ask()

    def action_next_match(self, step: int) -> None:
        self.finder.go(step)

    def action_go(self) -> None:
        self.finder.ask_line()

    def action_problem(self, step: int) -> None:
        self.problems.go(step)

    def action_problems(self) -> None:
        self.go(self.problem_list if self.focused is self.area else self.area)
        self.problems.show_whole()

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        if message.view is self.problem_list and self.problem_list.problem is not None:
            self.problems.go_to(self.problem_list.problem)
            self.go(self.area)
            self.problems.show_whole()

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        if message.view is self.problem_list:
            self.problems.show_whole()

    def action_help(self) -> None:
        """Shows or hides the help; on a narrow screen, it replaces the problems."""
        self.toggle_class("-helping")
        self.call_after_refresh(self._show_help)

    def action_editor(self) -> None:
        try:
            command = editor_command(os.environ, read_only=False)
        except LayerscopeError as error:
            self.say(str(error))
        else:
            self.file.save(lambda: self._edit_outside(command))

    def _edit_outside(self, command: list[str]) -> None:
        problem = show_in_program(self.app.suspend, command, self.file.path, os.environ)
        self.file.reload_if_changed(f"Reloaded what {visible(command[0])} saved.")
        if problem:
            self.say(problem)

    # Ways out.

    def _leave(self, then: Callable[[], object]) -> None:
        def take(letter: str | None) -> None:
            if letter == "s":
                self.file.save(then)
            elif letter == "d":
                self._discarded = True
                self.unsaved.forget()
                then()

        if self.has_unsaved:
            answers = [("s", "Save them"), ("d", "Discard them"), ("e", "Continue editing")]
            self._dialogs.question(f"{self.file.name} has unsaved changes", "", answers, take)
        else:
            then()

    def action_back(self) -> None:
        if self.focused is self.problem_list:
            self.action_problems()
        elif self.has_class("-helping") and self.has_class("-narrow"):
            self.action_help()
        else:
            self._leave(lambda: self.dismiss(None))

    def action_quit(self) -> None:
        self._leave(self.app.exit)

    def action_build(self) -> None:
        self.file.save(lambda: self._build(again=False))

    def action_build_again(self) -> None:
        self.file.save(lambda: self._build(again=True))

    def _build(self, *, again: bool) -> None:
        # After the build, typing goes to the text.
        self.go(self.area)
        path, build = self.file.path, self.environment.build
        known = None if build is None else BUILD.request_of(build)
        request = known or BuildRequest(str(path.parent), str(path))
        name = "build"
        if known is not None and again:
            # Ignoring the cache and pulling base images applied to one build only.
            name, request = "build_again", records.replace(known, no_cache=False, pull=False)
        self.visit(name, replace(self._from, request=request))

    def action_layer(self) -> None:
        made, build = self.instruction_layers.here, self.environment.finished
        if made is None:
            return
        if made.layer is not None:
            self._from.go(Goal(diff_id=made.diff_id))
            return
        image = build.state.last_image if build is not None else None
        if build is None or image is None:
            self.say("The image of the last build is not known.")
        else:
            source = source_of(build.job, image)
            self._from.go(Goal(source, diff_id=made.diff_id))

    def action_reverse(self) -> None:
        session = self.environment.session
        if session is None or session.image is None:
            return
        text, source = reconstructed(session.image)

        def show() -> None:
            self._discarded = False
            self.file.open_text(text, source)
            self.show_layer(self._layer)

        self._leave(show)
