"""Shows what a removal would do, and asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult

from layerscope.tui.destinations import Place
from layerscope.tui.dialogs.dialog import Dialog
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.facts import MadeRows
from layerscope.tui.rows.format import Line, left, wrap
from layerscope.tui.work import Problem

if TYPE_CHECKING:
    from layerscope.images.reclaim import Plan
    from layerscope.tui.removal import Reclaimer


#: Width of the verb before the object of a step.
_WORD = 8


class _Steps(MadeRows):
    def __init__(self) -> None:
        super().__init__("remove-rows")
        self._texts: list[tuple[str, str]] = []

    def show(self, texts: list[tuple[str, str]]) -> None:
        self._texts = texts
        self.update()
        # The container would not notice a change of an automatic height.
        self.styles.height = max(1, self.row_count)

    def lines(self, width: int) -> list[Line]:
        """Returns the steps without cutting names, which could then be those of other images."""
        return [
            [(left("" if row else text[:_WORD], _WORD) + part, self.palette.named(style))]
            for text, style in self._texts
            for row, part in enumerate(wrap(text[_WORD:], width - _WORD))
        ]


class RemoveScreen(Dialog[None], screen="remove", heading="Removing images"):
    AUTO_FOCUS = "#remove-rows"
    MORE_KEYS: ClassVar[Sequence[str]] = ()  # Descriptions of more keys.

    def _not_now(self) -> str:
        if self.work.busy("remove"):
            return "They are being removed."
        plan = self._plan
        return "There is nothing to remove." if plan is None or plan.empty else ""

    KEYS: ClassVar[tuple[Key, ...]] = (
        Key("remove.yes", "y", "agree", "Remove", "Remove what is shown", _not_now),
        Key("remove.back", "escape,n,q", "back", "Back"),
    )

    def __init__(self, title: str, place: Place, planned: Callable[[Reclaimer], Plan]) -> None:
        super().__init__(title, hint="Working out what that would free…")
        assert place.reclaimer is not None  # noqa: S101
        self._planner = planned
        self._reclaimer = place.reclaimer
        self._changed = place.changed
        self._plan: Plan | None = None
        self._failed = False
        self._rows = _Steps()

    def body(self) -> ComposeResult:
        yield self._rows

    def on_mount(self) -> None:
        # The plan must be about the engine's current state.
        self._reclaimer.forget()
        self.plan()

    def plan(self) -> None:
        self.work.start("plan", lambda _: self._planner(self._reclaimer), self._planned)

    def _planned(self, plan: Plan) -> None:
        from layerscope.reports.removal_report import plan_text

        self._plan = plan
        *steps, sentence = plan_text(plan)
        styles = {"Remove": "removed", "Untag": "modified", "Keep": "warning"}
        self._rows.show([(step, styles.get(step.split(" ")[0], "text")) for step in steps])
        self.show_hint(sentence)
        keys = [] if plan.empty else ["y removes them"]
        self.show_keys(", ".join([*keys, *self.MORE_KEYS, "esc goes back"]))

    def say(self, text: str) -> None:
        if text:
            self.show_keys(f"{text} esc goes back")

    def report(self, problem: Problem) -> None:
        self._plan, self._failed = None, True
        self.show_hint(f"{problem.message} {problem.hint}".strip())
        self.show_keys("esc goes back")

    def action_agree(self) -> None:
        plan = self._plan
        if plan is None:
            return
        self.show_keys("Removing…")
        self.work.start("remove", lambda _: self._reclaimer.remove(plan), self._removed)

    def _removed(self, freed: int | None) -> None:
        from layerscope.reports.removal_report import done_sentence

        assert self._plan is not None  # noqa: S101
        self.dismiss(None)
        self._changed(done_sentence(self._plan, freed))

    def action_back(self) -> None:
        """Leaves without removing; a running removal continues."""
        if self._failed or self.work.busy("remove"):
            self._changed("")
        self.dismiss(None)
