"""A list of sources, platforms or shells to choose from."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.text import visible
from layerscope.tui.dialogs.dialog import ChoicesDialog
from layerscope.tui.keys.key import Key


class ChoiceScreen(ChoicesDialog, screen="choice", heading="A choice"):
    ANSWERS = "enter chooses, esc goes back"
    KEYS = (
        Key("choice.take", "enter", "take", "Choose it"),
        Key("choice.back", "escape,q", "dismiss(None)", "Back"),
    )

    def __init__(self, title: str, sources: Sequence[str]) -> None:
        super().__init__(title, "", [("", visible(source)) for source in sources], sources)
