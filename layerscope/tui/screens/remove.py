"""Says what removing images would do, and asks."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from layerscope.tui.format import Line, cut
from layerscope.tui.reclaim_job import ImagesRemoved, Names, PlanMade, Reclaimer
from layerscope.tui.widgets.row_view import RowView


class _Steps(RowView):
    """What is done with each image and name."""

    HAS_CURSOR = False

    def __init__(self) -> None:
        super().__init__("remove-rows")
        self._texts: list[tuple[str, str]] = []

    def show(self, texts: list[tuple[str, str]]) -> None:
        """Shows lines, each with the name of its style."""
        self._texts = texts
        # What is around it would not see that an automatic height has become another.
        self.styles.height = max(1, len(texts))
        self.set_rows(len(texts))

    def row(self, row: int, width: int) -> Line:
        """A line."""
        text, style = self._texts[row]
        return [(cut(text, width), getattr(self.ink, style))]


class RemoveScreen(ModalScreen[str | None], inherit_bindings=False):
    """Removes images after asking; gives what has been done, in a sentence."""

    CSS_PATH = "remove.tcss"
    AUTO_FOCUS = "#remove-rows"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "agree", "Remove", tooltip="Remove these images", id="remove.yes"),
        Binding("escape,n,q", "back", "Back", key_display="esc", id="remove.back"),
    ]

    def __init__(self, names: Names, reclaimer: Reclaimer) -> None:
        """Makes the question.

        Args:
            names: The images.
            reclaimer: Works out what removing them would do, and does it.
        """
        super().__init__()
        self._names = names
        self._reclaimer = reclaimer
        self._made: PlanMade | None = None
        self._working = False
        self._rows = _Steps()
        self._sentence = Static(Content("Working out what that would free…"), id="remove-sentence")
        self._keys = Static(Content("esc goes back"), id="remove-keys")

    def compose(self) -> ComposeResult:
        """The question."""
        with Vertical(id="remove"):
            yield Static(Content("Remove images"), id="remove-title")
            yield self._rows
            yield self._sentence
            yield self._keys

    def on_mount(self) -> None:
        """Begins to work it out."""
        self._reclaimer.ask(self._names, self.post_message)

    def on_plan_made(self, message: PlanMade) -> None:
        """Shows what it would do."""
        from layerscope.reports.removal_report import plan_text

        if message.names != self._names or self._made is not None:
            return
        self._made = message
        if message.plan is None:
            problem = message.problem
            text = f"{problem.message} {problem.hint}".strip() if problem else ""
            self._sentence.update(Content(text))
            return
        *steps, sentence = plan_text(message.plan)
        styles = {"Remove": "removed", "Untag": "modified", "Keep": "warning"}
        self._rows.show([(step, styles.get(step.split(" ")[0], "text")) for step in steps])
        self._sentence.update(Content(sentence))
        if self._possible:
            self._keys.update(Content("y removes them, esc goes back"))

    @property
    def _possible(self) -> bool:
        plan = None if self._made is None else self._made.plan
        return plan is not None and bool(plan.removed or plan.untagged)

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now."""
        if action != "agree":
            return ""
        if self._working:
            return "They are being removed."
        return "" if self._possible else "There is nothing to remove."

    def say(self, text: str) -> None:
        """Says why a key means nothing now."""
        if text:
            self._keys.update(Content(f"{text} esc goes back"))

    def action_agree(self) -> None:
        """Removes them."""
        if self._made is not None and self._made.plan is not None and not self._working:
            self._working = True
            self._keys.update(Content("Removing…"))
            self._reclaimer.remove(self._made.plan, self.post_message)

    def on_images_removed(self, message: ImagesRemoved) -> None:
        """Goes back, and tells."""
        from layerscope.reports.removal_report import done_sentence

        if message.problem is not None:
            self._working = False
            self._made = PlanMade(self._names, None, message.problem)
            self._sentence.update(Content(f"{message.problem.message} {message.problem.hint}"))
            self._keys.update(Content("esc goes back"))
            return
        self.dismiss(done_sentence(message.plan))

    def action_back(self) -> None:
        """Removes nothing; what is being removed already goes on."""
        failed = self._made is not None and self._made.problem is not None
        self.dismiss("" if failed or self._working else None)
