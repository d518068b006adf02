"""Works out beside the screen what removing images would free, and removes them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from textual.message import Message

from layerscope.tui.background import run_beside
from layerscope.tui.session import Connector, Problem, problem_of

if TYPE_CHECKING:
    from layerscope.engines.docker import Engine
    from layerscope.images.reclaim import Holdings, Plan

#: Id of an image, and a name of it; no name means the image with all its names.
Names = tuple[tuple[str, str], ...]
Post = Callable[[Message], object]


class PlanMade(Message):
    """It is known what removing some images would do, or why not."""

    def __init__(self, names: Names, plan: Plan | None, problem: Problem | None) -> None:
        super().__init__()
        self.names = names
        self.plan = plan
        self.problem = problem


class ImagesRemoved(Message):
    """Images have been removed, or not."""

    def __init__(self, plan: Plan, problem: Problem | None) -> None:
        super().__init__()
        self.plan = plan
        self.problem = problem


class Reclaimer:
    """Asks an engine, one question at a time; the answers hold until `forget`."""

    def __init__(self, connector: Connector) -> None:
        """Takes what connects to the engine; nothing is asked yet."""
        self._connector = connector
        self._lock = threading.Lock()
        self._holdings: Holdings | None = None

    def forget(self) -> None:
        """Forgets what the engine has: it may have become something else."""
        self._holdings = None

    def ask(self, names: Names, post: Post) -> None:
        """Works out what removing images would do.

        Args:
            names: The images.
            post: Where the `PlanMade` goes.
        """

        def work() -> None:
            try:
                with self._lock:
                    plan = self._plan(names)
            except Exception as error:
                post(PlanMade(names, None, problem_of(error)))
            else:
                post(PlanMade(names, plan, None))

        run_beside("plan", work)

    def remove(self, plan: Plan, post: Post) -> None:
        """Removes images.

        Args:
            plan: What the user has seen and agreed to.
            post: Where the `ImagesRemoved` goes.
        """

        def work() -> None:
            from layerscope.engines.removal import remove

            try:
                with self._lock:
                    engine = self._connector()
                    remove(cast("Engine", engine), plan)
            except Exception as error:
                post(ImagesRemoved(plan, problem_of(error)))
            else:
                post(ImagesRemoved(plan, None))
            finally:
                self.forget()

        run_beside("remove", work)

    def _plan(self, names: Names) -> Plan:
        from layerscope.engines.removal import holdings_of
        from layerscope.errors import NotFoundError
        from layerscope.images.reclaim import plan

        holdings = self._holdings
        if holdings is None:
            holdings = self._holdings = holdings_of(cast("Engine", self._connector()))
        if any(identifier not in holdings.images for identifier, _ in names):
            self.forget()
            raise NotFoundError("The engine no longer has one of these images.", "Reload the list.")
        return plan(holdings, names)
