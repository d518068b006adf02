"""The base of registry screens, with the registry's rate limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerscope.tui.dialogs.list_screen import ListScreen
from layerscope.tui.rows.facts import Fact
from layerscope.tui.work import Task

if TYPE_CHECKING:
    from layerscope.oci.distribution import RateLimit


class LimitedScreen(ListScreen):
    _pulls: RateLimit | None = None

    def ask_limit(self) -> None:
        """Queries the limit of pulls, if the registry reports one."""
        domain = self.registry

        def ask(task: Task[None]) -> RateLimit | None:
            from layerscope.images.registry.tags import pulls_left

            return pulls_left(domain, task.check)

        self.work.start("limit", ask, self._show_limit, failed=lambda _: None)

    def _show_limit(self, pulls: RateLimit | None) -> None:
        self._pulls = pulls
        self.show_facts()

    def limit_facts(self, note: str = "", requests: RateLimit | None = None) -> Iterator[Fact]:
        """Returns the remaining pulls, and the remaining requests if they are few."""
        if (pulls := self._pulls) is not None:
            yield Fact("Limit", pulls.pulls + note, "warning" if pulls.is_low else "text")
        if requests is not None and requests.is_low:
            yield Fact("Limit", requests.requests, "warning")
