"""Keeps layers, files and details of one image together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from layerscope.filesystem.change import Change
from layerscope.text import visible
from layerscope.tui.format import plural
from layerscope.tui.glyphs import ELLIPSIS, RANGE, SEPARATOR
from layerscope.tui.steps import Step, steps_of
from layerscope.tui.widgets.details import Details
from layerscope.tui.widgets.file_tree import FileTree
from layerscope.tui.widgets.layer_list import LayerList

if TYPE_CHECKING:
    from layerscope.filesystem.stack import Stack
    from layerscope.filesystem.view import View
    from layerscope.images.image import Image
    from layerscope.tui.goal import Goal
    from layerscope.tui.session import Session

#: Views of the same stack that are kept; each takes some 15 bytes for a path.
_KEPT = 4


class Explorer:
    """What is shown of an image: a step, alone or with all below it.

    Attributes:
        union: Whether the tree shows the union up to the layer.
        follow: Whether the cursor follows the layers as they arrive, until the user moves it.
        filter_text: The filter of the tree as it was typed.
    """

    def __init__(
        self,
        layers: LayerList,
        files: FileTree,
        details: Details,
        clock: Callable[[], float],
    ) -> None:
        self.union = False
        self.follow = True
        self.filter_text = self._shown_filter = self._filter_problem = ""
        self._wanted: str | None = None
        self._layers = layers
        self._files = files
        self._details = details
        self._clock = clock
        self._image: Image | None = None
        self._stack: Stack | None = None
        self._lock = Lock()
        self._views: OrderedDict[tuple[int, bool], View] = OrderedDict()
        self._session: Session | None = None
        self._goal: Goal | None = None
        # The layer that the cursor was last put on because it had arrived.
        self._followed: int | None = None

    def moved(self) -> None:
        """Notes a move of the cursor: one of the user's ends the following."""
        step = self._layers.step
        if step is None or step.layer != self._followed:
            self.follow = False

    def want(self, diff_id: str | None) -> None:
        """Goes to a layer, as soon as there is one of that digest."""
        self._wanted = diff_id
        if self._image is not None:
            self._go_to_wanted(self._image)

    def _go_to_wanted(self, image: Image) -> None:
        for layer in image.layers if self._wanted is not None else ():
            if layer.diff_id == self._wanted:
                self._wanted, self.follow = None, False
                self._layers.select_layer(layer.index)
                return

    def begin(self, source: str) -> None:
        """Forgets an image before another one is read."""
        self._image = self._stack = self._session = None
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
        """Shows what has been read since."""
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
            self._go_to_wanted(image)
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
            self._details.set_waste(session.waste, text)
        self.show()

    def show(self) -> None:
        """Shows the step under the cursor."""
        step = self._layers.step
        facts = None if step is None or step.layer is None else self._layers.facts(step.layer)
        self._details.set_step(step, facts)
        self.show_glance()
        if step is None:
            self._files.clear()
            return
        if step.layer is None:
            self._files.clear(
                ("No files change here.", "text"),
                ("This step changes the configuration only.", "muted"),
            )
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

    def show_glance(self) -> None:
        """Says what the layer did to packages, as soon as that is known."""
        step, session = self._layers.step, self._session
        glances = None if session is None else session.glances
        if glances is None or step is None or step.layer is None:
            self._details.set_glance(None)
        elif step.layer < glances.stack.height:
            self._details.set_glance(glances.get(step.layer))

    def toggle_union(self) -> None:
        """Shows one layer, or the union up to it."""
        self.union = not self.union
        self._layers.set_union(self.union)
        self.show()

    def filter(self, text: str) -> None:
        """Filters the tree."""
        from layerscope.filesystem.regexes import typed_pattern

        self.filter_text = text
        pattern, self._filter_problem = typed_pattern(text)
        if self._filter_problem:
            # What is shown stays until the expression makes sense again.
            self.tell_files()
        else:
            self._files.filter(pattern)

    def go_to(self, goal: Goal) -> None:
        """Shows a path in a layer, as soon as that is there."""
        self._goal = goal
        self.follow = False
        if self.filter_text:
            self.filter("")
        if self.union != goal.union:
            self.toggle_union()
        self._approach()

    def _approach(self) -> None:
        """Takes the next step to where the user wants to go, if that is possible yet."""
        goal, stack = self._goal, self._stack
        if goal is None or stack is None or goal.layer >= stack.height:
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

    def cancel(self) -> None:
        """Leaves the files as they are, whatever they were about to become."""
        self._files.cancel()
        self.filter_text = self._shown_filter

    def tell_files(self) -> None:
        """Says in the border of the tree what it shows."""
        if not self._files.busy:
            self._shown_filter = self.filter_text
            self._approach()
        step = self._layers.step
        title = "3 Files"
        if step is not None and step.layer is not None:
            title += f"{SEPARATOR}{self._place(step)}"
        if self.filter_text:
            title += f"{SEPARATOR}/{visible(self.filter_text)}"
        hidden = [change.label for change in Change if change in self._files.hidden]
        if hidden:
            title += f"{SEPARATOR}{' and '.join(hidden)} hidden"
        rows = self._files.rows
        subtitle = ""
        if self._filter_problem:
            subtitle = self._filter_problem
        elif self._files.busy:
            subtitle = f"Working{ELLIPSIS} ctrl+k cancels"
        elif rows is not None and self._files.row_count:
            if rows.matches is not None:
                subtitle = plural(rows.matches, "match", "matches")
            else:
                subtitle = plural(len(rows.nodes), "row")
        self._files.set_texts(title, subtitle)

    def _place(self, step: Step) -> str:
        if self.union and step.layer:
            return f"layers 0{RANGE}{step.layer} united"
        return f"layer {step.layer}"

    def _view(self, stack: Stack, layer: int, union: bool) -> View:
        """A view, made or kept; called in whatever thread."""
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
