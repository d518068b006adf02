"""An input that loses no key typed just before or after it has the focus."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from textual import events
from textual.widgets import Input

from layerscope.tui.keys.key import Keyed
from layerscope.tui.terminal.compat import action_of_key

#: Alt keys, as in a shell.
_MOTIONS = {
    "alt+b": "cursor_left_word",
    "alt+f": "cursor_right_word",
    "alt+d": "delete_right_word",
    "alt+backspace": "delete_left_word",
}


class TextEntry(Keyed, Input):
    """One line of text, with a cursor that does not blink.

    A key goes to the widget that has the focus when it arrives, but is handled later. Over a slow
    line many keys arrive at once, so some belong to an input that is not shown yet, or no longer.
    """

    #: Whether it passes on keys that arrive late; one of several inputs keeps them.
    GIVES_BACK: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        super().__init__(compact=True, select_on_focus=False, **options)
        self.cursor_blink = False
        # Keys already passed on: one that comes back must not circulate forever.
        self._seen: deque[events.Key] = deque(maxlen=256)

    async def on_key(self, event: events.Key) -> None:
        """Passes on keys that were still queued when typing ended."""
        self._seen.append(event)
        if not self.has_focus and self.GIVES_BACK:
            event.stop()
            event.prevent_default()
            self.app.post_message(events.Key(event.key, event.character))
        elif event.key.startswith("alt+"):
            # The event carries a letter that the user did not type.
            event.prevent_default()
            motion = _MOTIONS.get(event.key)
            if motion is not None:
                event.stop()
                getattr(self, f"action_{motion}")()

    def on_paste(self, event: events.Paste) -> None:
        """Takes the first line of a paste, without control characters."""
        event.stop()
        event.prevent_default()
        line = next((line for line in event.text.splitlines() if line.strip()), "")
        text = "".join(character for character in line if character.isprintable())
        self.replace(text, *self.selection)

    def claims(self, event: events.Key) -> bool:
        """Takes a key that was queued for another widget; returns whether it was such a key."""
        if any(event is key for key in self._seen):
            return False
        again = events.Key(event.key, event.character)
        self._seen.append(again)
        self.app.post_message(again)
        return True


class BarEntry(TextEntry):
    """An entry in the bottom line; one key accepts the text, another discards it."""

    def __init__(self, end: Callable[[bool], None], **options: Any) -> None:
        super().__init__(**options)
        self._end = end  # Called with whether the text is accepted.

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()

    def action_take(self) -> None:
        # After the queued keys.
        self.call_later(self._end, True)

    def action_give_up(self) -> None:
        self.call_later(self._end, False)


class FieldEntry(TextEntry):
    """One of several fields; receives all keys pressed while it had the focus."""

    GIVES_BACK = False

    async def on_key(self, event: events.Key) -> None:
        """Handles a key immediately, so that no later key overtakes it."""
        action = action_of_key(self, event.key)
        if action is not None:
            event.stop()
            event.prevent_default()
            await self.run_action(action)
