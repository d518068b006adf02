"""The panes of the main screen: which ones are visible, and moving between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.widget import Widget

from layerscope.filesystem.change import Change
from layerscope.tui.base_screen import AppScreen
from layerscope.tui.dialogs.filter_bar import FilterBar
from layerscope.tui.explore.container_list import ContainerList
from layerscope.tui.explore.details import Details
from layerscope.tui.explore.engine_list import EngineList
from layerscope.tui.explore.explorer import Explorer
from layerscope.tui.explore.image_list import ImageList
from layerscope.tui.explore.layer_list import LayerList
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.file_tree import FileTree
from layerscope.tui.rows.row_view import RowView

#: With fewer lines, only one pane is visible.
_ONE_PANE = 13


class PanedScreen(AppScreen[None]):
    """Shows as many panes as fit; the others replace them on focus."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-short"), (36, "-tall")]  # noqa: RUF012

    def __init__(self, exploring: bool, clock: Callable[[], float]) -> None:
        """Starts in the layers of an image if `exploring`, else in the list of images."""
        super().__init__()
        self.images = ImageList()  # Pane 1.
        self.layer_list = LayerList()  # Pane 2.
        self.files = FileTree(lambda: self.explorer.show_counts())  # Pane 3.
        self.details = Details()  # Pane 4.
        self.containers = ContainerList()  # Pane 5.
        self.filter_bar = FilterBar(self.keys, lambda: self._filtered)
        self.bottom_line.append(self.filter_bar)
        self.explorer = Explorer(
            self.layer_list, self.files, self.details, clock, self.work, self.set_timer
        )
        self._filtered: RowView = self.files
        self._zoomed: RowView | None = None
        self._came: list[RowView] = []  # The panes that led to the focused one.
        self._current: RowView = self.layer_list if exploring else self.images

    @property
    def exploring(self) -> bool:
        """Whether an image is open or about to be."""
        raise NotImplementedError

    def entered(self, pane: RowView) -> None:
        """Called when a pane gets the focus."""

    @property
    def _all_panes(self) -> tuple[RowView, ...]:
        return (self.images, self.layer_list, self.files, self.details, self.containers)

    @property
    def panes(self) -> Sequence[RowView]:
        """Returns the panes that are not empty, in the order of their numbers."""
        return self._all_panes if self.exploring else (self.images, self.containers)

    @property
    def ring(self) -> Sequence[RowView]:
        """Leaves out empty lists, and the containers while an image is open."""
        if self.exploring:
            panes = self._all_panes[:-1]
            return panes if self.images.total else panes[1:]
        return (
            self.panes if self.containers.total or self.pane is self.containers else self.panes[:1]
        )

    @property
    def pane(self) -> RowView:
        return self._current

    def arrange_panes(self) -> None:
        alone = self._zoomed
        if self.pane is self.containers:
            alone = self.containers
        elif not self.exploring or (self.pane is self.images and not self.has_class("-wide")):
            alone = self.images
        elif alone is None and self.app.size.height < _ONE_PANE:
            alone = self.pane
        self.set_class(alone is not None, "-solo")
        self.set_class(self.pane is self.details, "-at-details")
        for pane in self._all_panes:
            pane.set_class(pane is alone, "-solo")
        if not self.exploring and alone is not None:
            self.set_focus(alone, scroll_visible=False)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Shows a hidden pane when it gets the focus."""
        # The focus may have moved since.
        if isinstance(event.widget, RowView) and event.widget is self.focused:
            self._enter(event.widget)
            if self._zoomed is not None:
                self._zoomed = event.widget
            self.arrange_panes()
            self.entered(event.widget)
            self.refresh_bindings()

    def on_resize(self) -> None:
        self.call_after_refresh(self.arrange_panes)

    def go(self, pane: Widget) -> None:
        if not isinstance(pane, RowView):
            return
        # A hidden pane cannot take the focus, so it is shown first.
        if not pane.display or not pane.region:
            if self._zoomed is not None:
                self._zoomed = pane
            self.set_class(pane is self.details, "-at-details")
            alone = isinstance(pane, EngineList) or self._zoomed is not None
            self.set_class(alone, "-solo")
            for other in self._all_panes:
                other.set_class(other is pane, "-solo")
        self._enter(pane)
        self.set_focus(pane, scroll_visible=False)

    def _enter(self, pane: RowView) -> None:
        """Notes the pane that led here; returning to a noted pane drops those after it."""
        if pane in self._came:
            del self._came[self._came.index(pane) :]
        elif pane is not self._current:
            self._came.append(self._current)
        self._current = pane

    def action_zoom(self) -> None:
        self._zoomed = None if self._zoomed is not None else self.pane
        self.arrange_panes()

    def _without_image(self, reason: str) -> str:
        if self.images.image:
            return f"{reason}: {key_of(self, 'images.open')} opens the one under the cursor."
        return f"{reason}: {key_of(self, 'main.open')} opens one."

    # Reasons for disabled keys.

    def _cannot_zoom(self) -> str:
        if not self.exploring:
            return self._without_image("There is one pane only until an image is open")
        if self.pane is self.containers or (
            self.pane is self.images and not self.has_class("-wide")
        ):
            return "This list has the screen to itself already."
        return ""

    def _no_pane(self, name: str) -> str:
        if self.exploring or name in ("images", "containers"):
            return ""
        if not name:
            if len(self.ring) > 1:
                return ""
            return self._without_image("There is one pane only until an image is open")
        return self._without_image("No image is open")

    def _no_files(self, reason: str) -> str:
        if not self.exploring:
            return self._without_image("No image is open")
        away = isinstance(self.pane, EngineList)
        return f"{reason}: go to the layers or files first." if away else ""

    def _nothing_listed(self, verb: str) -> str:
        if isinstance(self.pane, EngineList) and not self.pane.total:
            return f"There are no {self.pane.NOUN}s to {verb}."
        return ""

    # Keys for the files, or for the focused list.

    def action_sort(self) -> None:
        self._sorted.cycle_sort()

    def action_reverse(self) -> None:
        self._sorted.reverse_sort()

    @property
    def _sorted(self) -> ImageList | ContainerList | FileTree:
        pane = self.pane
        return pane if isinstance(pane, ImageList | ContainerList) else self.files

    def action_toggle_union(self) -> None:
        self.explorer.toggle_union()
        self.refresh_bindings()

    def action_show_kind(self, name: str) -> None:
        self.files.hide(Change[name.upper()])

    def action_next_match(self, step: int) -> None:
        self.files.go_to_match(step)

    # The filter.

    def action_filter(self) -> None:
        pane = self.pane
        if isinstance(pane, EngineList):
            self._filtered = pane
            parts = "name, tag or id" if pane is self.images else "name, image or state"
            self.filter_bar.open(pane.needle, f"Part of a {parts}")
        else:
            self._filtered = self.files
            self.filter_bar.open(
                self.explorer.filter_text, "Part of a path, or with * and ?, or re:…"
            )

    def on_filter_bar_typed(self, message: FilterBar.Typed) -> None:
        self._set_filter(message.text)

    def _set_filter(self, text: str) -> None:
        if isinstance(self._filtered, EngineList):
            self._filtered.filter(text)
        else:
            self.explorer.filter(text)
