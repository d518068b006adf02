"""Asks for another name for an image, and tags it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.widgets import Input

from layerscope.images.summary import ImageSummary
from layerscope.text import short_id, visible
from layerscope.tui.destinations import Place
from layerscope.tui.dialogs.dialog import Dialog
from layerscope.tui.dialogs.text_entry import TextEntry
from layerscope.tui.keys.key import Key
from layerscope.tui.work import Problem

if TYPE_CHECKING:
    from layerscope.engines.naming import Naming


class TagDialog(Dialog[None], screen="tag", heading="Naming an image"):
    """`enter` adds the name; a second `enter` moves a name that another image has."""

    ANSWERS = "enter gives the name, esc goes back"
    KEYS = (Key("tag.back", "escape", "dismiss(None)", "Back"),)

    def __init__(self, place: Place, image: ImageSummary) -> None:
        shown = visible(image.name) or short_id(image.id)
        super().__init__(f"Another name for {shown}", hint="[HOST/]NAME[:TAG]")
        self._image = image
        self._place = place
        self._taken: Naming | None = None  # The name of another image that the dialog shows.

    def body(self) -> ComposeResult:
        yield TextEntry(id="tag-name", value=visible(self._image.name), placeholder="app:1")

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._taken = None
        self.show_keys(self.ANSWERS)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        name, taken = event.value.strip(), self._taken
        if name and not self.work.busy("tag"):
            self.work.start("tag", lambda _: self._named(name, taken), self._done)

    def _named(self, name: str, taken: Naming | None) -> tuple[Naming, bool]:
        """Returns the name, and whether it was added: not if another image would lose it."""
        from layerscope.engines.naming import give_name, plan_name

        assert self._place.connector is not None  # noqa: S101
        engine = self._place.connector()
        naming = taken or plan_name(engine, self._image.id, name)
        if naming.taken and taken is None:
            return naming, False
        give_name(engine, naming)
        return naming, True

    def _done(self, answer: tuple[Naming, bool]) -> None:
        naming, given = answer
        if given:
            self.dismiss(None)
            self._place.changed(f"Image {short_id(naming.id)} is {visible(naming.name)}.")
        else:
            self._taken = naming
            self.show_hint(naming.conflict)
            self.show_keys("enter moves it, esc goes back")

    def report(self, problem: Problem) -> None:
        self._taken = None
        if not problem.cancelled:
            self.show_hint(str(problem))
