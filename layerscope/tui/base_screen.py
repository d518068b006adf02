"""The base of every screen: panes, focus, zoom, messages, background work, other screens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.containers import Container
from textual.screen import ModalScreen, Screen
from textual.timer import Timer
from textual.widget import Widget

from layerscope.tui.base_app import BaseApp, app_of
from layerscope.tui.destinations import Place
from layerscope.tui.keys.key import Keyed
from layerscope.tui.keys.key_bar import KeyBar, key_of
from layerscope.tui.keys.message_line import MessageLine
from layerscope.tui.rows.facts import Facts
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.title_bar import TitleBar
from layerscope.tui.work import Problem, Work

T = TypeVar("T")
#: Seconds that the cursor must rest on a row before the key bar shows its keys.
_REST = 0.2


class AppScreen(Keyed, Screen[T], inherit_bindings=False):
    """A screen whose panes take the focus in turn, with a title and a key bar."""

    VERTICAL_BREAKPOINTS = [(0, "-few"), (16, "-low"), (30, "-tall")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.title_bar = TitleBar(self.shows_job)  # The line at the top.
        self.keys = KeyBar()  # The line at the bottom.
        self.message = MessageLine()  # What is said, above that line, until the next key.
        #: The key bar, and the inputs that replace it.
        self.bottom_line: list[Widget] = [self.keys]
        self._resting: Timer | None = None
        #: The screen's background work; it ends with the screen.
        self.work = Work(self.call_later, self.report)

    @property
    def base_app(self) -> BaseApp:
        return app_of(self)

    def shows_job(self, identifier: str) -> bool:
        """Whether this screen shows how a job ends."""
        return False

    @property
    def has_unsaved(self) -> bool:
        """Whether quitting now would lose what the user typed."""
        return False

    def compose(self) -> ComposeResult:
        self.fit_size()
        yield self.title_bar
        yield from self.body()
        yield Container(*self.bottom_line, id="bottom")
        yield self.message

    def body(self) -> ComposeResult:
        """Composes the widgets between the title bar and the key bar."""
        return self.panes

    def fit_size(self) -> None:
        """Sets the breakpoint classes before the first paint; Textual sets them only after it."""
        for points, size in (
            (self.HORIZONTAL_BREAKPOINTS, self.app.size.width),
            (self.VERTICAL_BREAKPOINTS, self.app.size.height),
        ):
            names = [name for least, name in points or () if size >= least]
            self.add_class(*names[-1:])

    # Messages.

    def say(self, text: str) -> None:
        """Shows a sentence above the key bar until the next key; it must be safe to show."""
        self.message.say(text)

    def report(self, problem: Problem) -> None:
        if not problem.cancelled:
            self.say(self.sentence_of(problem))

    def sentence_of(self, problem: Problem) -> str:
        """Returns an error as a sentence, with the login key if a login would help."""
        if problem.login:
            return f"{problem.message} Press {key_of(self, 'app.login')} to log in."
        return str(problem)

    def on_key(self, event: events.Key) -> None:
        """Clears the message; bindings run after this, and may show another."""
        self.message.take_key(event.key)

    def on_mouse_down(self) -> None:
        self.message.say("")

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        """Shows the keys for a row once the cursor rests on it, since each update costs output."""
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(_REST, self.refresh_bindings)

    # Panes.

    @property
    def panes(self) -> Sequence[Widget]:
        """Returns the panes with a number key, in order."""
        return ()

    @property
    def ring(self) -> Sequence[Widget]:
        """Returns the panes that `tab` cycles through."""
        return self.panes

    @property
    def pane(self) -> Widget | None:
        return self.focused

    def go(self, pane: Widget) -> None:
        self.set_focus(pane, scroll_visible=False)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """On a low screen, shows facts only while they have the focus."""
        self.set_class(isinstance(event.widget, Facts), "-at-facts")

    def action_pane(self, name: str) -> None:
        for pane in self.panes:
            if pane.id == name:
                self.go(pane)

    def action_next_pane(self, step: int) -> None:
        ring, pane = self.ring, self.pane
        place = ring.index(pane) if pane in ring else 0
        self.go(ring[(place + step) % len(ring)])

    def action_zoom(self) -> None:
        self.toggle_class("-zoomed")

    # Logins.

    @property
    def registry(self) -> str:
        """Returns the domain of the registry that the user is looking at, or ""."""
        return ""

    def logged_in(self) -> None:
        """Called after a login or logout, to retry what the registry refused."""

    # Other screens.

    @property
    def place(self) -> Place | None:
        """Returns where the user is, on screens that lead to others."""
        return None

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Returns a sentence on why an action is not available now, or ""."""
        reason = super().why_not(action, parameters)
        if not reason and action == "visit" and (place := self.place) is not None:
            return self.base_app.destinations[str(parameters[0])].why_not(place)
        return reason

    def action_visit(self, name: str) -> None:
        if self.place is not None:
            self.visit(name, self.place)

    def visit(self, name: str, place: Place) -> None:
        destination = self.base_app.destinations[name]
        problem = destination.why_not(place)
        if problem:
            self.say(problem)
        else:
            destination.go(self.app, place)

    def action_back(self) -> None:
        self.dismiss(None)

    def action_cancel(self) -> None:
        """Cancels the work group named after the screen."""
        self.work.cancel(self.SCREEN)

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Leaves the screen, only once.

        Keys typed right after the one that dismissed it are still handled by the screen. Textual's
        own method would then end the app, or dismiss another screen.
        """
        if self not in self.app.screen_stack:
            return AwaitComplete()
        while self.app.screen is not self:
            self.app.pop_screen()
        return super().dismiss(result)

    def on_unmount(self) -> None:
        self.work.leave()


class AppModal(AppScreen[T], ModalScreen[T]):
    """A screen above another one, which stays in sight and shows its messages."""

    def say(self, text: str) -> None:
        below = self.app.screen_stack[self.app.screen_stack.index(self) - 1]
        if isinstance(below, AppScreen):
            below.say(text)
