"""Computes what removing images would free, and removes them; for background work."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from layerscope.errors import NotFoundError
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.images.pruning import PruneRequest
    from layerscope.images.reclaim import Holdings, Plan
    from layerscope.tui.session import Connector

#: Ids of images with one of their names each; "" means the image with all its names.
Names = tuple[tuple[str, str], ...]


class Reclaimer:
    """Queries an engine, one call at a time; keeps the answers until `forget`."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._lock = threading.Lock()
        self._holdings: Holdings | None = None

    def forget(self) -> None:
        """Drops the answers, which may be out of date."""
        self._holdings = None

    def plan(self, names: Names) -> Plan:
        """Plans a removal; raises NotFoundError if an image is gone or has lost the name."""
        from layerscope.engines.removal import holdings_of
        from layerscope.images.reclaim import plan

        with self._lock:
            holdings = self._holdings
            if holdings is None:
                holdings = self._holdings = holdings_of(self._connector())
            for identifier, name in names:
                image = holdings.images.get(identifier)
                if image is None or (name and name not in image.tags):
                    self.forget()
                    what = "one of these images" if image is None else f"{visible(name)} as it was"
                    raise NotFoundError(f"The engine no longer has {what}.", "Reload the list.")
            return plan(holdings, names)

    def prune(self, request: PruneRequest) -> Plan:
        """Plans a prune."""
        from layerscope.engines.removal import holdings_of
        from layerscope.images.pruning import prune

        with self._lock:
            engine = self._connector()
            held = holdings_of(engine, containers=request.containers, cache=request.cache)
            return prune(held, request)

    def drop(self, container: str) -> Plan:
        """Plans the removal of a container; raises EngineError if it is running."""
        from layerscope.engines.removal import find_containers, holdings_of
        from layerscope.images.pruning import with_containers
        from layerscope.images.reclaim import Plan

        with self._lock:
            engine = self._connector()
            found = find_containers(engine, [container])
            return with_containers(holdings_of(engine), Plan(), found)

    def remove(self, plan: Plan) -> int | None:
        """Carries out a plan; returns the freed bytes, None if unknown."""
        from layerscope.engines.removal import Space, remove

        try:
            with self._lock:
                engine = self._connector()
                space = Space(engine, plan)
                for _ in remove(engine, plan, space):
                    pass
                return space.freed()
        finally:
            self.forget()
