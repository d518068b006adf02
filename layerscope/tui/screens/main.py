"""The main screen: four panes around one image."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.timer import Timer

from layerscope.filesystem.change import Change
from layerscope.text import visible
from layerscope.tui.explorer import Explorer
from layerscope.tui.screens.choice import ChoiceScreen
from layerscope.tui.screens.main_keys import BINDINGS, HINTS
from layerscope.tui.screens.message import MessageScreen
from layerscope.tui.session import (
    Connector,
    EngineListed,
    Opener,
    Problem,
    Session,
    SessionChanged,
    list_images,
)
from layerscope.tui.widgets.details import Details
from layerscope.tui.widgets.file_tree import FileTree
from layerscope.tui.widgets.filter_bar import FilterBar
from layerscope.tui.widgets.image_list import ImageList
from layerscope.tui.widgets.key_bar import KeyBar
from layerscope.tui.widgets.layer_list import LayerList
from layerscope.tui.widgets.row_view import RowView
from layerscope.tui.widgets.title_bar import TitleBar

_POLL = 0.5


class MainScreen(Screen[None], inherit_bindings=False):
    """Images, layers, files and details."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    def __init__(
        self,
        source: str | None,
        opener: Opener,
        connector: Connector,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Makes the screen.

        Args:
            source: What to open at once.
            opener: Opens an image.
            connector: Connects to an engine.
            clock: Tells the time that ages are counted from.
        """
        super().__init__()
        # Set before the first layout, so that nothing is painted twice.
        self.AUTO_FOCUS = "#images" if source is None else "#layers"  # type: ignore[misc]
        self.images = ImageList()
        self.layer_list = LayerList()
        self.files = FileTree()
        self.details = Details()
        self.title_bar = TitleBar()
        self.filter_bar = FilterBar(self._end_filter)
        self.keys = KeyBar(HINTS)
        self.explorer = Explorer(self.layer_list, self.files, self.details, clock)
        self.session: Session | None = None
        self._source = source
        self._opener = opener
        self._connector = connector
        self._clock = clock
        self._engine = ""
        self._zoomed: RowView | None = None
        self._current: RowView = self.images if source is None else self.layer_list
        self._filtered: RowView = self.files
        self._poll: Timer | None = None
        self._queued = False
        if source is None:
            self.add_class("-solo")
            self.images.add_class("-solo")

    def compose(self) -> ComposeResult:
        """The panes and bars."""
        # Textual sets these classes too, but only after it has painted once without them.
        for points, size in (
            (self.HORIZONTAL_BREAKPOINTS, self.app.size.width),
            (self.VERTICAL_BREAKPOINTS, self.app.size.height),
        ):
            self.add_class([name for least, name in points if size >= least][-1])
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

    # The engine.

    def _begin(self) -> None:
        if self._source is not None:
            self.open_source(self._source)
        self.list_images()

    def list_images(self) -> None:
        """Asks the engine for its images, again or for the first time."""
        list_images(self._connector, self.post_message)

    def on_engine_listed(self, message: EngineListed) -> None:
        """Shows what the engine has, or why there is none."""
        self._engine = visible(message.name)
        problem = message.problem
        self.images.set_listed(
            message.images,
            self._clock(),
            None if problem is None else (problem.message, problem.hint),
        )
        self._tell()
        self.refresh_bindings()

    # The image.

    def open_source(self, source: str) -> None:
        """Opens an image; what was being read before is dropped."""
        if self.session is not None:
            self.session.cancel()
        self._zoomed = None
        self._source = source
        self.explorer.begin(source)
        self.session = Session(source, self._opener, self.post_message)
        if self._poll is None:
            self._poll = self.set_interval(_POLL, self._tell)
        self._arrange()
        self.set_focus(self.layer_list, scroll_visible=False)
        self._tell()

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
        self._tell()
        self.refresh_bindings()

    def _give_up(self, session: Session) -> None:
        """Nothing of the image can be shown."""
        problem = session.problem or Problem("Nothing could be read.", "")
        self.session = self._source = None
        self.explorer.begin("")
        self._arrange()
        self.set_focus(self.images, scroll_visible=False)
        if problem.choices:
            self.app.push_screen(ChoiceScreen(problem.message, problem.choices), self._chosen)
        elif not problem.cancelled:
            title = f"Cannot open {visible(session.source)}"
            self.app.push_screen(MessageScreen(title, problem.message, problem.hint))

    def _chosen(self, source: str | None) -> None:
        if source is not None:
            self.open_source(source)

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """Opens an image, or goes from a layer to its files."""
        if message.view is self.layer_list:
            self._go(self.files)
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

    def on_file_tree_counted(self) -> None:
        """Tells in the border what the tree shows."""
        self.explorer.tell_files()

    # What the title says.

    def _tell(self) -> None:
        session = self.session
        if session is None:
            self.title_bar.set_image("", "")
            self.title_bar.set_right(self._engine)
        else:
            self.title_bar.set_image(*session.name())
            text, style = session.state()
            self.title_bar.set_right(text or self._engine, style)

    # Panes.

    @property
    def exploring(self) -> bool:
        """Whether an image is open, or is about to be."""
        return self._source is not None

    @property
    def panes(self) -> list[RowView]:
        """The panes that there is anything in, in the order of their numbers."""
        if not self.exploring:
            return [self.images]
        return [self.images, self.layer_list, self.files, self.details]

    @property
    def pane(self) -> RowView:
        """The pane with the focus, or that had it before the filter was opened."""
        return self._current

    def _arrange(self) -> None:
        """Decides which panes are visible."""
        alone = self._zoomed
        if not self.exploring or (self.pane is self.images and not self.has_class("-wide")):
            alone = self.images
        self.set_class(alone is not None, "-solo")
        self.set_class(self.pane is self.details, "-at-details")
        for pane in (self.images, self.layer_list, self.files, self.details):
            pane.set_class(pane is alone, "-solo")
        if not self.exploring:
            self.set_focus(self.images, scroll_visible=False)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """A pane that was hidden comes into sight with the focus."""
        if isinstance(event.widget, RowView):
            self._current = event.widget
            if self._zoomed is not None:
                self._zoomed = event.widget
            self._arrange()
            self.refresh_bindings()

    def on_resize(self) -> None:
        """Another size, another arrangement."""
        self.call_after_refresh(self._arrange)

    def _go(self, pane: RowView) -> None:
        # A hidden pane takes no focus; it is shown first.
        if not pane.display or not pane.region:
            if self._zoomed is not None:
                self._zoomed = pane
            self.set_class(pane is self.details, "-at-details")
            self.set_class(pane is self.images or self._zoomed is not None, "-solo")
            for other in self.panes:
                other.set_class(other is pane, "-solo")
        self._current = pane
        self.set_focus(pane, scroll_visible=False)

    def action_pane(self, name: str) -> None:
        """Goes to a pane."""
        for pane in self.panes:
            if pane.id == name:
                self._go(pane)

    def action_next_pane(self, step: int) -> None:
        """Goes to the next or previous pane; the images are left out while they are hidden."""
        panes = self.panes
        if len(panes) > 1 and not self.images.total:
            panes = panes[1:]
        current = panes.index(self.pane) if self.pane in panes else 0
        self._go(panes[(current + step) % len(panes)])

    def action_zoom(self) -> None:
        """Gives a pane the whole screen, or takes it back."""
        self._zoomed = None if self._zoomed is not None else self.pane
        self._arrange()

    def action_back(self) -> None:
        """Undoes the last of: a filter, a zoom, an image."""
        pane = self.pane
        if pane is self.images and self.images.needle:
            self.images.filter("")
        elif pane is not self.images and self.files.pattern is not None:
            self._filtered = self.files
            self._set_filter("")
        elif self._zoomed is not None:
            self.action_zoom()
        elif self.exploring and pane is not self.layer_list:
            self._go(self.layer_list)
        elif self.exploring:
            self._go(self.images)
        self.refresh_bindings()

    # Keys that mean the files, or the images while these have the focus.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys mean something now."""
        if action in ("toggle_union", "show_kind", "zoom"):
            return self.exploring and self.focused is not self.images
        if action == "next_match":
            return self.files.pattern is not None
        if action == "cancel":
            return self.session is not None and not self.session.ended
        if action in ("filter", "sort", "reverse") and self.pane is self.images:
            return self.images.total > 0
        if action == "next_pane":
            return len(self.panes) > 1
        if action == "back":
            return self.exploring or bool(self.images.needle)
        return True

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
        """Stops reading."""
        if self.session is not None:
            self.session.cancel()

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
            "Part of a name, tag or id" if images else "Part of a path, or a pattern with * and ?",
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
            self.session.cancel()
