"""What the screens of registries have in common: how much more the registry allows."""

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
        """Asks the registry, if it is one that says so, how many pulls it allows."""
        domain = self.registry

        def ask(task: Task[None]) -> RateLimit | None:
            from layerscope.images.registry.tags import pulls_left

            return pulls_left(domain, task.check)

        self.work.start("limit", ask, self._show_limit, failed=lambda _: None)

    def _show_limit(self, pulls: RateLimit | None) -> None:
        self._pulls = pulls
        self.show_facts()

    def limit_facts(self, note: str = "", requests: RateLimit | None = None) -> Iterator[Fact]:
        """The pulls that are left, and the requests if they are almost used up."""
        if (pulls := self._pulls) is not None:
            yield Fact("Limit", pulls.pulls + note, "warning" if pulls.is_low else "text")
        if requests is not None and requests.is_low:
            yield Fact("Limit", requests.requests, "warning")
