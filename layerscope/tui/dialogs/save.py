"""Asks where to save text that is too large for the clipboard."""

from __future__ import annotations

from pathlib import Path

from textual.app import ComposeResult
from textual.widgets import Input

from layerscope.text import docker_size, visible
from layerscope.tui.dialogs.dialog import Dialog
from layerscope.tui.dialogs.text_entry import TextEntry
from layerscope.tui.keys.key import Key
from layerscope.writing import whole_file, write_all


class SaveScreen(Dialog[str | None], screen="save", heading="Saving"):
    """Writes bytes to a new file; returns a confirmation."""

    ANSWERS = "enter saves, esc goes back"
    KEYS = (Key("save.back", "escape", "dismiss(None)", "Back"),)

    def __init__(self, data: bytes, what: str) -> None:
        super().__init__(
            f"Save the {what} to a new file",
            f"It has {docker_size(len(data))}, more than terminals accept.",
        )
        self._data = data
        self._what = what

    def body(self) -> ComposeResult:
        yield TextEntry(id="open-source", value="layerscope-copy.txt")

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        name = event.value.strip()
        if not name:
            return
        try:
            with whole_file(Path(name).expanduser(), mode=0o666) as fd:
                write_all(fd, self._data)
        except FileExistsError:
            self.show_hint(f"{visible(name)} already exists; choose another name.")
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            self.show_hint(f"{visible(name)} cannot be written: {visible(str(reason))}.")
        else:
            self.dismiss(f"Saved the {self._what} to {visible(name)}.")
