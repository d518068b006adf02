"""Dialogs: questions, choices, messages and input lines."""

from __future__ import annotations

from layerscope.tui.destinations import Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.dialogs.choice import ChoiceScreen
    from layerscope.tui.dialogs.dialog import MessageScreen
    from layerscope.tui.dialogs.filter_bar import FilterBar
    from layerscope.tui.dialogs.login import LoginScreen
    from layerscope.tui.dialogs.open import OpenScreen
    from layerscope.tui.dialogs.prompt import PromptEntry
    from layerscope.tui.dialogs.question import QuestionScreen
    from layerscope.tui.dialogs.save import SaveScreen
    from layerscope.tui.dialogs.text_diff import TextDiffScreen

    return (
        FilterBar,
        PromptEntry,
        OpenScreen,
        LoginScreen,
        SaveScreen,
        ChoiceScreen,
        QuestionScreen,
        TextDiffScreen,
        MessageScreen,
    )


ROOM = Room("dialogs", _keyed)
