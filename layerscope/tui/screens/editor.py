"""The Dockerfile editor: text, help, problems, and the layers that instructions made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import BindingType
from textual.timer import Timer
from textual.widgets import TextArea

from layerscope.dockerfile import shown_text
from layerscope.errors import LayerscopeError
from layerscope.tui.editor_analysis import SMALL, Analysis, Formatted, analyse
from layerscope.tui.editor_work import (
    Analysed,
    BuildFound,
    EditorWork,
    Linted,
    Surrounded,
    ToolDone,
)
from layerscope.tui.screens.editor_complete import Completer
from layerscope.tui.screens.editor_file import DiskChanged, FileKeeper, SaveDone
from layerscope.tui.screens.editor_find import Finder
from layerscope.tui.screens.editor_going import Going
from layerscope.tui.screens.editor_keys import BINDINGS
from layerscope.tui.screens.editor_layers import Layers
from layerscope.tui.screens.editor_panes import EditorPanes
from layerscope.tui.screens.editor_problems import Problems
from layerscope.tui.screens.editor_rescue import Rescuer
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.tui.session import Connector, Opener, Session

#: Seconds without a key before a large text is read, and before problems are looked for; and
#: between two looks at the disk.
_BREATH, _PAUSE, _LOOK = 0.12, 0.4, 2.0


@dataclass(frozen=True, slots=True)
class Start:
    """What to edit.

    Attributes:
        path: The file; it need not be there. None for a text without a name.
        text: The text without a name.
        source: What that was made of; safe to show.
        line: The line to begin at, from 0.
        layer: A layer of the open image, to begin at the instruction that made it.
        notice: What to say at the beginning; safe to show.
    """

    path: Path | None
    text: str = ""
    source: str = ""
    line: int | None = None
    layer: int | None = None
    notice: str = ""


class EditorScreen(EditorPanes, inherit_bindings=False):
    """A Dockerfile; gives what to look at next, or None.

    Attributes:
        text: The text as it would be on disk.
        analysis: What is known of it, perhaps as it was some keys ago.
        left: Whether the user has left it, and has said what becomes of changes.
    """

    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    def __init__(
        self,
        start: Start,
        opener: Opener,
        connector: Connector | None = None,
        session: Session | None = None,
    ) -> None:
        """Makes the screen.

        Args:
            start: What to edit.
            opener: Opens images.
            connector: Connects to the engine, for names of images.
            session: The image that is open.
        """
        super().__init__()
        self.text = ""
        self.analysis: Analysis | None = None
        self.work = EditorWork(self.post_message, connector, session)
        self.keeper = FileKeeper(self)
        self.rescuer = Rescuer(self)
        self.completer = Completer(self)
        self.finder = Finder(self)
        self.problems = Problems(self)
        self.made = Layers(self)
        self.going = Going(self, opener)
        self.left = False
        self._reading_image = False
        self._start = start
        self._pause: Timer | None = None
        self._reading: Timer | None = None
        # Whether there has been a pause since the last edit.
        self._rested = False
        self._told_colours = False

    def on_mount(self) -> None:
        """Opens the file."""
        start, session = self._start, self.work.around.session
        self.help_pane.show(None)
        self.area.on_type = self._typed
        if start.path is None:
            self.keeper.open_text(start.text, start.source)
        else:
            try:
                self.keeper.open(start.path)
            except LayerscopeError as error:
                self.load("", "It could not be read.")
                self.say(str(error))
        self.work.list_images()
        self.work.find_build(self.keeper.path)
        self._reading_image = session is not None and not session.ended
        self.set_interval(_LOOK, self._look_around)
        self.made.wanted = start.layer
        self.show_line(start.line, start.notice)
        self.call_after_refresh(self.rescuer.offer)

    def _look_around(self) -> None:
        """Looks for what others have done, and whether the image has been read by now."""
        self.keeper.look()
        session = self.work.around.session
        if self._reading_image and session is not None and session.ended:
            self._reading_image = False
            self._lint()

    def on_unmount(self) -> None:
        """Drops what is under way; what the user has not decided on is kept."""
        self.work.close()
        if not self.left:
            self.rescuer.rescue()

    # The text.

    @property
    def up_to_date(self) -> bool:
        """Whether all is known of the text as it is now."""
        return self.analysis is not None and self.analysis.text == self.text

    def load(self, text: str, reason: str = "") -> None:
        """Shows a text.

        Args:
            text: The text.
            reason: Why it cannot be changed, in a sentence; empty if it can.
        """
        self.text, self.analysis = text, None
        self.area.load(shown_text.held(text))
        self.set_reason(reason)
        self._read()

    def set_reason(self, reason: str) -> None:
        """Says why the text cannot be changed; empty if it can."""
        self.area.reason = reason
        self.area.read_only = bool(reason)
        self.tell()

    def replace_text(self, text: str) -> None:
        """Puts another text in the place of this one; undo brings it back."""
        place = min(self.area.place, len(text))
        self.area.replace_all(shown_text.held(text), place)
        self._take_text(text)

    def catch_up(self) -> None:
        """Takes the text as it is now, after it has been edited."""
        # What cannot be changed is not what the area holds, if that has no signs for all of it.
        if not self.area.reason:
            self._take_text(shown_text.written(self.area.whole))

    def _take_text(self, text: str) -> None:
        if text != self.text:
            self.text = text
            self._read()

    def _read(self) -> None:
        if len(self.text) <= SMALL:
            self._take(analyse(self.text))
        else:
            self.area.shift_colours()
            if self._reading is not None:
                self._reading.stop()
            self._reading = self.set_timer(_BREATH, self._read_beside)
        if self._pause is not None:
            self._pause.stop()
        self._rested = False
        self._pause = self.set_timer(_PAUSE, self._rest)
        self.tell()

    def _read_beside(self) -> None:
        self.work.analyse(self.text)

    def _take(self, analysis: Analysis) -> None:
        before, self.analysis = self.analysis, analysis
        self.area.set_colours(analysis.colours)
        self.problems.follow(before, analysis)
        self.made.follow(before, analysis)
        self.show_help()
        if not (analysis.complete or self._told_colours):
            from layerscope.dockerfile.colours import LONGEST

            self._told_colours = True
            self.say(f"Colours end after {LONGEST:,} characters of an instruction.")

    def _rest(self) -> None:
        self._rested = True
        self._lint()
        self._ask_hadolint()

    def _ask_hadolint(self) -> None:
        if self.analysis is not None and self.up_to_date:
            self.work.look_with_hadolint(self.analysis.document, self.keeper.path)

    def _lint(self) -> None:
        if self.analysis is not None and self.up_to_date:
            self.work.lint(self.analysis.document, self.keeper.path)

    def _typed(self, text: str) -> None:
        self.catch_up()
        self.completer.typed(text)

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """The text is another."""
        event.stop()
        self.catch_up()

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        """The cursor is elsewhere."""
        event.stop()
        self.completer.moved()
        self.problems.show_whole()
        self.show_help()
        self.tell()
        self.refresh_bindings()

    def show_line(self, line: int | None, notice: str) -> None:
        """Goes to a line, and says why.

        Args:
            line: The line, from 0; None stays where it is.
            notice: What to say; safe to show.
        """
        if line is not None:
            self.finder.go_to_line(str(line + 1))
        if notice:
            self.say(notice)

    # What was worked out beside the screen.

    def on_analysed(self, message: Analysed) -> None:
        """Takes what is known of a large text."""
        if message.analysis.text == self.text:
            self._take(message.analysis)
            self.completer.arrived()
            if self._rested:
                self._rest()
            self.tell()

    def on_formatted(self, message: Formatted) -> None:
        """Puts the formatted text in the place of this one."""
        self.going.formatted(message)

    def on_linted(self, message: Linted) -> None:
        """Shows problems and layers."""
        if self.analysis is None:
            return
        self.problems.take(message.document, message.own)
        self.made.take(message.document, message.made)
        if message.context is not None:
            self.completer.arrived()
        self.tell()
        self.refresh_bindings()

    def on_tool_done(self, message: ToolDone) -> None:
        """Shows what other tools found."""
        self.problems.take_tool(message)

    def on_surrounded(self, message: Surrounded) -> None:
        """Offers what is known now."""
        self.completer.arrived()

    def on_build_found(self, message: BuildFound) -> None:
        """Looks which instruction made what."""
        self._lint()

    # What happens around it.

    def show_help(self) -> None:
        """Shows help on what is under the cursor."""
        if self.analysis is not None and self.up_to_date and self.help_pane.display:
            from layerscope.dockerfile.help import help_at

            self.help_pane.show(help_at(self.analysis.document, self.area.place))

    def on_resize(self) -> None:
        """There may be room for the help now."""
        self.completer.close()
        self.call_after_refresh(self.show_help)
        self.call_after_refresh(self.problems.show_whole)

    def on_key(self) -> None:
        """What was said has been read."""
        self.say("")

    def on_app_focus(self) -> None:
        """Others may have been at work meanwhile."""
        self.keeper.look()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """A build may have been made, or the file changed."""
        self.keeper.look()
        self.work.find_build(self.keeper.path)

    def on_save_done(self, message: SaveDone) -> None:
        """Shows what became of saving."""
        if self.keeper.done(message):
            if self.analysis is not None and self.up_to_date:
                self.work.look_with_tools(self.analysis.document, self.keeper.path)
            self._lint()
        self.tell()

    def on_disk_changed(self, message: DiskChanged) -> None:
        """Others have changed the file."""
        self.keeper.disk_changed(message)
        self.tell()

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """From a problem to its place."""
        if message.view is self.problem_list and self.problem_list.problem is not None:
            self.problems.go_to(self.problem_list.problem)
            self.set_focus(self.area, scroll_visible=False)
            self.problems.show_whole()

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        """Another problem is looked at."""
        if message.view is self.problem_list:
            self.problems.show_whole()

    # Keys.

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now; empty if it does."""
        return self.going.why_not(action)

    @property
    def has_unsaved(self) -> bool:
        """Whether leaving now would lose something."""
        return self.keeper.dirty

    def action_back(self) -> None:
        """Goes back, once nothing is lost by it."""
        if self.focused is self.problem_list:
            self.action_problems()
        elif self.has_class("-helping") and self.has_class("-narrow"):
            self.action_help()
        else:
            self.going.leave(lambda: self.dismiss(None))

    def action_quit(self) -> None:
        """Ends the program, once nothing is lost by it."""
        self.going.leave(self.app.exit)
