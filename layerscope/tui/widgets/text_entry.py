"""An input that loses no key that is typed right before or behind it."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

from textual import events
from textual.widgets import Input

#: What Alt and a letter do in a shell.
_MOTIONS = {
    "alt+b": "cursor_left_word",
    "alt+f": "cursor_right_word",
    "alt+d": "delete_right_word",
    "alt+backspace": "delete_left_word",
}


class TextEntry(Input):
    """One line of text, with a cursor that does not blink.

    Keys go to the widget that has the focus when they arrive, but what they do happens later. Over
    a slow line many arrive at once, so that some belong to an input that is not there yet, or not
    any more.
    """

    #: Whether it gives keys away that arrive late; among several inputs, each keeps its own.
    GIVES_BACK: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        super().__init__(compact=True, select_on_focus=False, **options)
        self.cursor_blink = False
        # Keys that have been here, or are on their way here for the second time. Several can be on
        # their way at once, and one that this input has no use for must not come back for ever.
        self._seen: deque[events.Key] = deque(maxlen=256)

    def on_key(self, event: events.Key) -> None:
        """Gives back keys that were on their way when typing ended."""
        self._seen.append(event)
        if not self.has_focus and self.GIVES_BACK:
            event.stop()
            event.prevent_default()
            self.app.post_message(events.Key(event.key, event.character))
        elif event.key.startswith("alt+"):
            # It comes with the letter, which is not what was typed.
            event.prevent_default()
            motion = _MOTIONS.get(event.key)
            if motion is not None:
                event.stop()
                getattr(self, f"action_{motion}")()

    def _on_paste(self, event: events.Paste) -> None:
        """Takes the first line of what is pasted, without what a terminal would obey."""
        event.stop()
        event.prevent_default()
        line = next((line for line in event.text.splitlines() if line.strip()), "")
        text = "".join(character for character in line if character.isprintable())
        self.replace(text, *self.selection)

    def claims(self, event: events.Key) -> bool:
        """Takes a key that was on its way to another widget when this one got the focus.

        Returns:
            Whether it was such a key.
        """
        if any(event is key for key in self._seen):
            return False
        again = events.Key(event.key, event.character)
        self._seen.append(again)
        self.app.post_message(again)
        return True
