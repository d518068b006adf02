"""What the main screen does with an engine: its images, and removing some of them."""

from __future__ import annotations

from collections.abc import Callable

from layerscope.text import visible
from layerscope.tui.building import BuildLeft
from layerscope.tui.reclaim_job import PlanMade, Reclaimer
from layerscope.tui.screens.panes import PaneScreen
from layerscope.tui.session import Connector, EngineListed, EngineSized, list_images
from layerscope.tui.widgets.key_bar import KeyBar

#: Seconds until an engine that does not answer is worth a word.
_PATIENCE = 5.0
#: Seconds until an engine that is not there, or does not answer, is asked again.
_AGAIN = 3.0


class EngineScreen(PaneScreen, inherit_bindings=False):
    """Panes, the first of which has the images of an engine.

    Attributes:
        keys: The bar that shows keys, and says what has been done.
    """

    def __init__(
        self, exploring: bool, connector: Connector, clock: Callable[[], float], keys: KeyBar
    ) -> None:
        """Makes the panes.

        Args:
            exploring: Whether it begins with an image, and not with the list of images.
            connector: Connects to the engine.
            clock: Tells the time that ages are counted from.
            keys: The bar at the bottom.
        """
        super().__init__(exploring)
        self.keys = keys
        self._connector = connector
        self._clock = clock
        self._engine = ""
        self._listed = False
        self._problem = False
        self._asked = 0
        self._reclaimer = Reclaimer(connector)

    def tell(self) -> None:
        """Says in the title what is going on."""
        raise NotImplementedError

    def list_images(self) -> None:
        """Asks the engine for its images, again or for the first time."""
        self._reclaimer.forget()
        self._listed = False
        self._asked += 1
        asked = self._asked
        self.set_timer(_PATIENCE, lambda: self._still_waiting(asked))
        list_images(self._connector, self.post_message, sizes=True)

    def action_reload(self) -> None:
        """Asks the engine again."""
        self.keys.say("Asking the engine again…")
        self.list_images()

    def on_build_left(self, message: BuildLeft) -> None:
        """Shows what has been built."""
        self.list_images()
        if message.outcome and self.app.screen is self:
            self.keys.say(message.outcome)

    def _still_waiting(self, asked: int) -> None:
        """An engine that hangs does not say so by itself."""
        if self._listed or asked != self._asked:
            return
        if self.images.total:
            self.keys.say("The engine has not answered yet. It may hang.")
        elif not self._problem:
            self.images.set_placeholder(
                ("The engine has not answered yet.", "warning"),
                ("It may hang. You can wait, or press o to open something else.", "muted"),
            )

    def _ask_soon(self) -> None:
        """An engine that is started, or has hung, is seen without a key; nobody else is asked."""

        def ask() -> None:
            if not self._listed or not self._problem:
                return
            if self.app.screen is self and self.pane is self.images:
                self.list_images()
            else:
                self._ask_soon()

        self.set_timer(_AGAIN, ask)

    def on_engine_sized(self, message: EngineSized) -> None:
        """Shows what images share, and who uses them."""
        self.images.set_sizes(message.images, message.containers)

    def on_image_list_marked(self) -> None:
        """Works out what removing the marked images would free."""
        if self.images.marked:
            self._reclaimer.ask(self.images.marked, self.post_message)
        self.refresh_bindings()

    def on_plan_made(self, message: PlanMade) -> None:
        """Tells it."""
        self.images.set_plan(message)

    def on_image_list_removal_wanted(self) -> None:
        """Asks whether to remove the marked images, or the one under the cursor."""
        from layerscope.tui.screens.remove import RemoveScreen

        def removed(sentence: str | None) -> None:
            if sentence is not None:
                self.images.clear_marks()
                self.list_images()
                self.keys.say(sentence)

        self.app.push_screen(RemoveScreen(self.images.chosen, self._reclaimer), removed)

    def on_engine_listed(self, message: EngineListed) -> None:
        """Shows what the engine has, or why there is none."""
        self._listed = True
        self._engine = visible(message.name)
        problem = message.problem
        self._problem = problem is not None
        if self._problem:
            self._ask_soon()
        self.images.set_listed(
            message.images,
            self._clock(),
            None if problem is None else (problem.message, problem.hint),
        )
        self.tell()
        self.refresh_bindings()
