"""Keeps the layers, files and details of one image in sync."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from textual.timer import Timer

from layerscope.text import visible
from layerscope.tui.explore.details import Details
from layerscope.tui.explore.layer_list import LayerList, steps_of
from layerscope.tui.rows.file_tree import FileTree, TreeSpot
from layerscope.tui.rows.format import plural
from layerscope.tui.terminal.glyphs import ELLIPSIS, RANGE
from layerscope.tui.work import Work

if TYPE_CHECKING:
    from layerscope.filesystem.stack import Stack
    from layerscope.filesystem.view import View
    from layerscope.images.image import Image
    from layerscope.tui.destinations import Goal
    from layerscope.tui.layer_packages import LayerPackages
    from layerscope.tui.session import Session

#: Views of a stack to keep; each takes some 15 bytes per path.
_KEPT = 4

#: Seconds that a cursor must rest before the details follow it or read more.
_REST = 0.25


@dataclass(frozen=True, slots=True)
class ExplorerSpot:
    """The state of the view of an image when the user left it."""

    union: bool
    follow: bool
    filter_text: str
    layers: tuple[int, int]
    files: TreeSpot
    details: tuple[int, int]


@dataclass(eq=False)
class Explorer:
    """The view of an image: a step, alone or merged with all below it."""

    _layers: LayerList
    _files: FileTree
    _details: Details
    _clock: Callable[[], float]
    _work: Work
    _set_timer: Callable[[float, Callable[[], None]], Timer]
    union: bool = False  # Whether the tree shows the merged view up to the layer.
    #: Whether the cursor follows the layers as they arrive, until the user moves it.
    follow: bool = True
    _about_files: bool = False  # Whether the details begin with the path.
    filter_text: str = ""  # The filter of the tree as typed.
    _shown_filter: str = ""
    _filter_problem: str = ""
    _image: Image | None = None
    _stack: Stack | None = None
    _session: Session | None = None
    _goal: Goal | None = None
    _explained: Stack | None = None  # The stack whose waste is, or is being, explained.
    _resting: Timer | None = None
    _glancing: Timer | None = None
    #: The last newly read layer that the cursor moved to.
    _followed: int | None = None

    def __post_init__(self) -> None:
        self._lock = Lock()
        self._views: OrderedDict[tuple[int, bool], View] = OrderedDict()

    def moved(self) -> None:
        """Notes a move of the cursor; a move by the user ends following."""
        step = self._layers.step
        if step is None or step.layer != self._followed:
            self.follow = False

    def begin(self, source: str) -> None:
        self._image = self._stack = self._session = self._explained = None
        self._work.leave("causes")
        self._views.clear()
        self.follow = True
        self._followed = None
        self.filter_text = self._filter_problem = ""
        self._goal = None
        self._layers.set_steps([])
        self._layers.set_placeholder((f"Opening {visible(source)}…", "muted"))
        self._files.forget()
        self._files.clear()
        self._details.set_image(None, self._clock())

    def update(self, session: Session) -> None:
        self._session = session
        image, loaded = session.image, session.loaded
        if image is None:
            return
        if self._image is None:
            self._layers.set_placeholder(("This image has no layers.", "muted"))
            self._layers.set_steps(steps_of(image))
            self._details.set_image(image, self._clock())
        if self._image != image:
            if self._image is not None and self._image.missing != image.missing:
                self._layers.update_steps(steps_of(image))
                self._details.update_image(image)
            self._image = image
            self._approach()
        if loaded is not None and (loaded.stack is not self._stack or session.ended):
            if loaded.stack is not self._stack:
                self._views.clear()
            self._stack = loaded.stack
            self._layers.set_stack(loaded.stack, set(loaded.changesets), session.ended)
            if self.follow and loaded.stack.height:
                self._followed = loaded.stack.height - 1
                self._layers.select_layer(self._followed)
        if session.ended:
            problem = session.problem
            text = f"{problem.message} {problem.hint}".strip() if problem else ""
            self._layers.set_waste(session.waste)
            self._details.set_waste(session.waste, text)
            self._find_causes(session)
        self.show()

    def _find_causes(self, session: Session) -> None:
        """Finds the causes of waste in the background; nothing waits for them."""
        stack, waste = self._stack, session.waste
        if self._explained is stack or stack is None or waste is None or not waste.count:
            return
        self._explained = stack

        def start() -> None:
            if self._explained is not stack:
                return
            from layerscope.filesystem.waste_causes import find_causes

            self._work.start(
                "causes",
                lambda task: find_causes(stack, task.check, left_over=False),
                self._details.set_causes,
                # Optional here; the waste screen reports the error.
                failed=lambda _: None,
            )

        # Not while the layers are being painted.
        self._set_timer(_REST, start)

    def show(self) -> None:
        step = self._layers.step
        facts = None if step is None or step.layer is None else self._layers.facts(step.layer)
        self._details.set_step(step, facts)
        self.show_glance()
        if step is None:
            self._files.clear()
            return
        if step.layer is None:
            self._files.clear(("This step changes no files.", "text"))
        elif self._stack is None or step.layer >= self._stack.height:
            ended = self._session is not None and self._session.ended
            text = "This layer could not be read." if ended else "This layer has not arrived yet."
            self._files.clear((text, "muted"))
        elif step.missing and not self.union:
            text = f"{step.missing[0].upper()}{step.missing[1:]}."
            self._files.clear(("This layer is missing.", "text"), (text, "muted"))
        else:
            make = partial(self._view, self._stack, step.layer, self.union)
            self._files.show(self._stack, make)
            if not self._files.busy:
                # Immediately, so that title and files are sent together.
                self.show_counts()

    def entered(self, *, files: bool) -> None:
        """Notes whether the user moves in the files or in the layers."""
        self._about_files = files
        self.path_moved()

    def path_moved(self) -> None:
        """Shows the path under the cursor once it rests there, which keeps moving cheap."""
        if self._resting is not None:
            self._resting.stop()
        self._resting = self._set_timer(_REST, self._show_path)

    def _show_path(self) -> None:
        self._resting = None
        self._details.set_about_files(self._about_files)
        view, node = self._files.view, self._files.node
        if view is None or node is None:
            self._details.set_path("", ())
            return
        from layerscope.reports.entry import path_facts

        self._details.set_path(self._files.path_text, path_facts(view, node))

    def show_glance(self) -> None:
        """Shows the layer's package changes once they are known."""
        step, session = self._layers.step, self._session
        packages = None if session is None else session.packages
        layer = None if step is None else step.layer
        if self._glancing is not None:
            self._glancing.stop()
            self._glancing = None
        if packages is None or layer is None:
            self._details.set_glance(None)
        elif layer < packages.stack.height:
            known = packages.known(layer)
            self._details.set_glance(known)
            if known is None:
                self._glancing = self._set_timer(_REST, partial(self._glance, packages, layer))

    def _glance(self, packages: LayerPackages, layer: int) -> None:
        self._glancing = None
        # Optional here; the packages screen reports the error.
        self._work.start(
            "packages",
            lambda task: packages.read(layer, task.check),
            lambda _: self.show_glance(),
            failed=lambda _: None,
        )

    def toggle_union(self) -> None:
        self.union = not self.union
        self._layers.set_union(self.union)
        self.show()

    def filter(self, text: str) -> None:
        from layerscope.patterns import PatternError, typed_pattern

        self.filter_text, self._filter_problem = text, ""
        try:
            self._files.filter(typed_pattern(text))
        except PatternError as error:
            # Keeps the rows until the expression is valid again.
            self._filter_problem = error.message
            self.show_counts()

    def go_to(self, goal: Goal) -> None:
        """Shows a path in a layer, or the layer, once it has been read."""
        # Cleared first, since the following changes the rows.
        self._goal = None
        if goal.path is not None:
            self.follow = False
            if self.filter_text:
                self.filter("")
            self._files.show_kinds()
            if self.union != goal.merged:
                self.toggle_union()
        self._goal = goal
        self._approach()

    def _approach(self) -> None:
        """Takes the next possible step towards the goal."""
        goal, image, stack = self._goal, self._image, self._stack
        if goal is None or image is None:
            return
        if goal.path is None:
            for layer in image.layers:
                if goal.layer == layer.index or (goal.diff_id and layer.diff_id == goal.diff_id):
                    self._goal, self.follow = None, False
                    self._layers.select_layer(layer.index)
                    return
            return
        if stack is None or goal.layer is None or goal.layer >= stack.height:
            return
        step = self._layers.step
        if step is None or step.layer != goal.layer:
            self._layers.select_layer(goal.layer)
            self.show()
        rows = self._files.rows
        if self._files.busy or rows is None or rows.view.stack is not stack:
            return
        if rows.view.layer == goal.layer:
            self._goal = None
            self._files.go_to(goal.path)

    def leave(self) -> ExplorerSpot:
        """Returns the state, for `come_back`."""
        files = self._files.leave()
        layers, details = self._layers.spot, self._details.spot
        return ExplorerSpot(self.union, self.follow, self.filter_text, layers, files, details)

    def come_back(self, spot: ExplorerSpot) -> None:
        self.union, self.follow, self.filter_text = spot.union, spot.follow, spot.filter_text
        self._filter_problem, self._goal = "", None
        self._layers.set_union(self.union)
        self._layers.restore(spot.layers)
        self._files.come_back(spot.files)
        self.show()
        self._details.restore(spot.details)

    def cancel(self) -> None:
        """Keeps the current files instead of those being made."""
        self.filter_text = self._shown_filter
        self._files.cancel()

    def show_counts(self) -> None:
        if not self._files.busy:
            self._shown_filter = self.filter_text
            self._approach()
        self.path_moved()
        step = self._layers.step
        place = "" if step is None or step.layer is None else f"layer {step.layer}"
        if self.union and step is not None and step.layer:
            place = f"merged view of layers 0{RANGE}{step.layer}"
        rows = self._files.rows
        if self._filter_problem:
            self._files.set_status(self._filter_problem)
            return
        state = ""
        if self._files.busy:
            state = f"Working{ELLIPSIS} ctrl+k cancels"
        elif rows is not None and self._files.row_count and rows.matches is not None:
            state = plural(rows.matches, "match", "matches")
        self._files.set_status(state, place, *self._files.left_out(self.filter_text))

    def _view(self, stack: Stack, layer: int, union: bool) -> View:
        """Returns a view, new or cached; for any thread."""
        from layerscope.filesystem.view import layer_view, union_view

        with self._lock:
            view = self._views.get((layer, union))
        if view is None or view.stack is not stack:
            view = (union_view if union else layer_view)(stack, layer)
        with self._lock:
            self._views[layer, union] = view
            self._views.move_to_end((layer, union))
            if len(self._views) > _KEPT:
                self._views.popitem(last=False)
        return view
