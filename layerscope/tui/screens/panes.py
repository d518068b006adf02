"""Which of the panes are visible, which has the focus, and the keys that change it."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.widget import Widget

from layerscope.tui.screens.pane_keys import PaneKeys
from layerscope.tui.widgets.details import Details
from layerscope.tui.widgets.file_tree import FileTree
from layerscope.tui.widgets.image_list import ImageList
from layerscope.tui.widgets.layer_list import LayerList
from layerscope.tui.widgets.row_view import RowView

#: Below so many lines, there is room for one pane only.
_ONE_PANE = 13


class PaneScreen(PaneKeys[None], inherit_bindings=False):
    """Four panes, of which as many are shown as there is room for.

    Attributes:
        images: Pane 1.
        layer_list: Pane 2.
        files: Pane 3.
        details: Pane 4.
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-short"), (36, "-tall")]  # noqa: RUF012

    def __init__(self, exploring: bool) -> None:
        """Makes the panes.

        Args:
            exploring: Whether it begins with an image, and not with the list of images.
        """
        super().__init__()
        # Set before the first layout, so that nothing is painted twice.
        self.AUTO_FOCUS = "#layers" if exploring else "#images"  # type: ignore[misc]
        self.images = ImageList()
        self.layer_list = LayerList()
        self.files = FileTree()
        self.details = Details()
        self._zoomed: RowView | None = None
        self._current: RowView = self.layer_list if exploring else self.images
        if not exploring:
            self.add_class("-solo")
            self.images.add_class("-solo")

    @property
    def exploring(self) -> bool:
        """Whether an image is open, or is about to be."""
        raise NotImplementedError

    @property
    def panes(self) -> Sequence[RowView]:
        """The panes that there is anything in, in the order of their numbers."""
        if not self.exploring:
            return (self.images,)
        return (self.images, self.layer_list, self.files, self.details)

    @property
    def ring(self) -> Sequence[RowView]:
        """The images are left out while they are hidden."""
        panes = self.panes
        return panes if self.images.total or len(panes) == 1 else panes[1:]

    @property
    def pane(self) -> RowView:
        """The pane with the focus, or that had it before the filter was opened."""
        return self._current

    def fit_size(self) -> None:
        """Sets the classes that follow from the size, before the first picture.

        Textual sets them too, but only after it has painted once without them.
        """
        for points, size in (
            (self.HORIZONTAL_BREAKPOINTS, self.app.size.width),
            (self.VERTICAL_BREAKPOINTS, self.app.size.height),
        ):
            self.add_class([name for least, name in points if size >= least][-1])

    def arrange_panes(self) -> None:
        """Decides which panes are visible."""
        alone = self._zoomed
        if not self.exploring or (self.pane is self.images and not self.has_class("-wide")):
            alone = self.images
        elif alone is None and self.app.size.height < _ONE_PANE:
            alone = self.pane
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
            self.arrange_panes()
            self.refresh_bindings()

    def on_resize(self) -> None:
        """Another size, another arrangement."""
        self.call_after_refresh(self.arrange_panes)

    def go(self, pane: Widget) -> None:
        """Gives a pane the focus."""
        if not isinstance(pane, RowView):
            return
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

    def action_zoom(self) -> None:
        """Gives a pane the whole screen, or takes it back."""
        self._zoomed = None if self._zoomed is not None else self.pane
        self.arrange_panes()
