"""The main screen: four panes around one image."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.timer import Timer

from layerscope.filesystem.change import Change
from layerscope.text import visible
from layerscope.tui.explorer import Explorer
from layerscope.tui.glance_job import GlanceMade
from layerscope.tui.leads import LEADS, Place, follow
from layerscope.tui.screens.choice import ChoiceScreen
from layerscope.tui.screens.engine import EngineScreen
from layerscope.tui.screens.main_keys import BINDINGS, HINTS
from layerscope.tui.screens.message import MessageScreen
from layerscope.tui.screens.reasons import why_not_now
from layerscope.tui.session import (
    Connector,
    Opener,
    Problem,
    Session,
    SessionChanged,
)
from layerscope.tui.widgets.file_tree import FileTree
from layerscope.tui.widgets.filter_bar import FilterBar
from layerscope.tui.widgets.image_list import ImageList
from layerscope.tui.widgets.key_bar import KeyBar, Saying
from layerscope.tui.widgets.row_view import RowView
from layerscope.tui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from layerscope.tui.app import LayerscopeApp
    from layerscope.tui.goal import Goal

_POLL = 0.5


class MainScreen(Saying, EngineScreen, inherit_bindings=False):
    """Images, layers, files and details."""

    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    def __init__(
        self,
        source: str | None,
        opener: Opener,
        connector: Connector,
        clock: Callable[[], float] = time.time,
        platform: str | None = None,
        cache: bool = True,
    ) -> None:
        """Makes the screen.

        Args:
            source: What to open at once.
            opener: Opens an image.
            connector: Connects to an engine.
            clock: Tells the time that ages are counted from.
            platform: Which platform's image to open of several; None for this host's.
            cache: Whether layers are taken from the cache and kept there.
        """
        super().__init__(source is not None, connector, clock, KeyBar(HINTS))
        self.title_bar = TitleBar()
        self.filter_bar = FilterBar(self._end_filter)
        self.explorer = Explorer(self.layer_list, self.files, self.details, clock)
        self.session: Session | None = None
        self._source = source
        self._opener = opener
        self._platform = platform
        self._cache = cache
        self._filtered: RowView = self.files
        self._poll: Timer | None = None
        self._queued = False

    def compose(self) -> ComposeResult:
        """The panes and bars."""
        self.fit_size()
        yield self.title_bar
        with Container(id="body"):
            yield self.images
            yield self.layer_list
            yield self.files
            yield self.details
        with Container(id="bottom"):
            yield self.keys
            yield self.filter_bar

    def on_mount(self) -> None:
        """Shows the first picture; the work begins when it is on the screen."""
        self.images.set_texts("1 Images")
        self.layer_list.set_texts("2 Layers")
        self.files.set_texts("3 Files")
        self.details.set_texts("4 Details")
        self.images.set_placeholder(("Looking for an engine…", "muted"))
        if self._source is not None:
            self.explorer.begin(self._source)
            self.title_bar.set_image(visible(self._source), "")
        self.call_after_refresh(self._begin)

    @property
    def exploring(self) -> bool:
        """Whether an image is open, or is about to be."""
        return self._source is not None

    # The engine.

    def _begin(self) -> None:
        if self._source is not None:
            self.open_source(self._source)
        self.list_images()

    # The image.

    def open_source(self, source: str, platform: str | None = None) -> None:
        """Opens an image; what was being read before is dropped."""
        if self.session is not None:
            self.session.close()
        self._zoomed = None
        self._source = source
        self.explorer.begin(source)
        platform = platform or self._platform
        self.session = Session(source, self._opener, self.post_message, platform, self._cache)
        if self._poll is None:
            self._poll = self.set_interval(_POLL, self.tell)
        self.arrange_panes()
        self.set_focus(self.layer_list, scroll_visible=False)
        self.tell()

    def on_session_changed(self, message: SessionChanged) -> None:
        """Shows what has arrived."""
        session = message.session
        if session is not self.session:
            return
        self.explorer.update(session)
        if session.ended:
            if self._poll is not None:
                self._poll.stop()
                self._poll = None
            if session.image is None or (session.loaded is None and session.problem):
                self._give_up(session)
        self.tell()
        self.refresh_bindings()

    def _give_up(self, session: Session) -> None:
        """Nothing of the image can be shown."""
        problem = session.problem or Problem("Nothing could be read.", "")
        session.close()
        self.session = self._source = None
        self.explorer.begin("")
        self.arrange_panes()
        self.set_focus(self.images, scroll_visible=False)
        if problem.choices:
            self.app.push_screen(ChoiceScreen(problem.message, problem.choices), self._chosen)
        elif problem.platforms:
            self._ask_platform(session, problem.message, problem.platforms)
        elif not problem.cancelled:
            title = f"Cannot open {visible(session.source)}"
            self.app.push_screen(MessageScreen(title, problem.message, problem.hint))

    def _ask_platform(self, session: Session, title: str, platforms: Sequence[str]) -> None:
        def chosen(platform: str | None) -> None:
            if platform is not None:
                self.open_source(session.source, platform)

        self.app.push_screen(ChoiceScreen(title, platforms), chosen)

    def action_platform(self) -> None:
        """Asks for which platform the image is to be shown; the one that is comes first."""
        if self.session is not None and self.session.platforms:
            title = f"Platforms of {self.session.name()[0]}"
            self._ask_platform(self.session, title, self.session.platforms)

    def _chosen(self, source: str | None) -> None:
        if source is not None:
            self.open_source(source)

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """Opens an image or a file, or goes from a layer to its files."""
        if message.view is self.layer_list:
            self.go(self.files)
        elif message.view is self.files and self.files.on_folder:
            self.files.action_toggle_folder()
        elif message.view is self.files:
            self.action_lead("content")
        elif message.view is self.images and self.images.image is not None:
            image = self.images.image
            named = "<none>" not in (image.repository, image.tag)
            self.open_source(f"{image.repository}:{image.tag}" if named else image.id)

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        """Shows another layer, once however many moves are waiting."""
        if message.view is not self.layer_list:
            return
        self.explorer.moved()
        if not self._queued:
            self._queued = True
            self.call_after_refresh(self._show_layer)

    def _show_layer(self) -> None:
        self._queued = False
        self.explorer.show()

    def on_glance_made(self, message: GlanceMade) -> None:
        """Shows what the layer under the cursor did to packages, if it is that one."""
        if self.session is not None and message.job is self.session.glances:
            self.explorer.show_glance()

    def on_file_tree_counted(self) -> None:
        """Tells in the border what the tree shows."""
        self.explorer.tell_files()

    # What the title says.

    def tell(self) -> None:
        """Says in the title what is going on."""
        session = self.session
        if session is None:
            self.title_bar.set_image("", "")
            self.title_bar.set_right(self._engine)
        else:
            self.title_bar.set_image(*session.name())
            text, style = session.state()
            self.title_bar.set_right(text or self._engine, style)

    def action_back(self) -> None:
        """Undoes the last of: a filter, a zoom, an image."""
        pane = self.pane
        if pane is self.images and self.images.marked:
            self.images.clear_marks()
        elif pane is self.images and self.images.needle:
            self.images.filter("")
        elif pane is not self.images and self.files.pattern is not None:
            self._filtered = self.files
            self._set_filter("")
        elif self._zoomed is not None:
            self.action_zoom()
        elif self.exploring and pane is not self.layer_list:
            self.go(self.layer_list)
        elif self.exploring:
            self.go(self.images)
        self.refresh_bindings()

    # Keys that mean the files, or the images while these have the focus.

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now, in a sentence; empty if it does mean something."""
        return why_not_now(self, action, parameters)

    def action_toggle_union(self) -> None:
        """Shows one layer, or the union up to it."""
        self.explorer.toggle_union()

    def action_show_kind(self, name: str) -> None:
        """Hides or shows a kind of change."""
        self.files.hide(Change[name.upper()])

    def action_sort(self) -> None:
        """Sorts by the next column."""
        self._sorted.cycle_sort()

    def action_reverse(self) -> None:
        """Turns the order round."""
        self._sorted.reverse_sort()

    @property
    def _sorted(self) -> ImageList | FileTree:
        return self.images if self.pane is self.images else self.files

    def action_next_match(self, step: int) -> None:
        """Goes to the next or previous match."""
        self.files.go_to_match(step)

    def action_cancel(self) -> None:
        """Stops what takes long: making rows, or else reading."""
        if self.files.busy:
            self.explorer.cancel()
        elif self.session is not None:
            self.session.cancel()

    # Other screens.

    @property
    def place(self) -> Place:
        """Where the user is."""
        files = self.files
        step = self.layer_list.step
        layer = None if step is None else step.layer
        image, pane, cache = self.images.image, self.pane.id or "", self._cache
        return Place(
            self._opener,
            self._connector,
            self.session,
            files.view,
            layer,
            files.node,
            image,
            pane,
            cache,
            self.go_to,
        )

    def go_to(self, goal: Goal) -> None:
        """Shows a path in the files, after opening its image if need be."""
        if goal.source is not None:
            self.open_source(goal.source)
        self.explorer.go_to(goal)
        self.go(self.files)

    def action_lead(self, name: str) -> None:
        """Goes to another screen, or says why not."""
        lead, place = LEADS[name], self.place
        problem = lead.why_not(place)
        if problem:
            self.keys.say(problem)
        else:
            self.app.push_screen(lead.screen(place), lambda goal: follow(self, goal))

    def action_copy(self) -> None:
        """Asks what to copy."""
        from layerscope.tui.copies import Copy, copies
        from layerscope.tui.screens.copy import CopyScreen

        def chosen(copy: Copy | None) -> None:
            if copy is not None:
                app: LayerscopeApp = self.app  # type: ignore[assignment]
                app.copy(copy.text, copy.label)

        self.app.push_screen(CopyScreen(copies(self.place, self.pane.row_text)), chosen)

    def action_build(self) -> None:
        """Asks what to build, and shows how it goes."""
        from layerscope.tui.building import ask

        ask(self.app, self._opener, self._chosen, self.keys.say)

    def action_jobs(self) -> None:
        """Shows the builds that run or ran."""
        from layerscope.tui.building import choose_job

        choose_job(self.app, self._opener, self._chosen)

    def action_open(self) -> None:
        """Asks what to open."""
        from layerscope.tui.screens.open import OpenScreen

        self.app.push_screen(OpenScreen(), self._chosen)

    # The filter.

    def action_filter(self) -> None:
        """Opens the filter."""
        self._filtered = self.images if self.pane is self.images else self.files
        images = self._filtered is self.images
        self.keys.display = False
        self.filter_bar.open(
            self.images.needle if images else self.explorer.filter_text,
            "Part of a name, tag or id" if images else "Part of a path, or with * and ?, or re:…",
        )

    def on_filter_bar_typed(self, message: FilterBar.Typed) -> None:
        """Filters while the user types."""
        self._set_filter(message.text)

    def _end_filter(self) -> None:
        """Gives the focus back."""
        self.keys.display = True
        self.set_focus(self._filtered, scroll_visible=False)
        self.refresh_bindings()

    def _set_filter(self, text: str) -> None:
        if self._filtered is self.images:
            self.images.filter(text)
        else:
            self.explorer.filter(text)

    def on_unmount(self) -> None:
        """Stops what is being read."""
        if self.session is not None:
            self.session.close()
