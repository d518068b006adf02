"""Asks for the name, message, author and changes of a commit."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from layerscope.build.embedded.changes import applied
from layerscope.dockerfile.syntax.commit_change import checked_change
from layerscope.engines.engine import CommitRequest
from layerscope.engines.naming import whole_name
from layerscope.errors import LayerscopeError
from layerscope.tui.dialogs.dialog import Dialog, field_row
from layerscope.tui.dialogs.text_entry import FieldEntry
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of

_FIELDS = (
    ("Name", "name", "[HOST/]NAME[:TAG]"),
    ("Message", "message", "a note in the image's history"),
    ("Author", "author", "NAME <ADDRESS>"),
)
_CHANGE = 'CMD ["nginx"], ENV A=b, USER web, …'


class CommitDialog(Dialog[CommitRequest | None], screen="commit_dialog", heading="A commit"):
    KEYS = (
        Key("commit_dialog.back", "escape", "dismiss(None)", "Back"),
        Key("commit_dialog.next", "tab,down", "field(1)", "Next field", priority=True),
        Key("commit_dialog.previous", "shift+tab,up", "field(-1)", "Previous field", priority=True),
        Key("commit_dialog.change", "ctrl+n", "another", "Add another change", priority=True),
        Key(
            "commit_dialog.pause",
            "ctrl+r",
            "pause",
            "Pause or not",
            "Pause the container during the commit, or not",
            priority=True,
        ),
    )

    def __init__(self, *, keeps_message: bool) -> None:
        note = "" if keeps_message else "Podman keeps no message with an image."
        super().__init__("Commit the container", hint=note)
        self._pause = True
        self._pausing = Static(id="commit-pause")

    def body(self) -> ComposeResult:
        with Vertical(id="commit-fields"):
            for label, name, hint in _FIELDS:
                yield field_row(label, FieldEntry(id=f"commit-{name}", placeholder=hint))
            yield field_row("Change", FieldEntry(classes="change", placeholder=_CHANGE))
        yield self._pausing

    def on_mount(self) -> None:
        self.set_focus(self.query_one("#commit-name", Input))
        self._show_pause()
        another, pause = (key_of(self, f"commit_dialog.{each}") for each in ("change", "pause"))
        self.show_keys(f"enter commits, {another} adds a change, {pause} pauses or not, esc ends")

    def _show_pause(self) -> None:
        paused = "is paused meanwhile" if self._pause else "goes on meanwhile"
        self._pausing.update(Content(f"The container {paused}."))

    async def action_another(self) -> None:
        entry = FieldEntry(classes="change", placeholder=_CHANGE)
        await self.query_one("#commit-fields").mount(field_row("Change", entry))
        self.set_focus(entry)

    def action_pause(self) -> None:
        self._pause = not self._pause
        self._show_pause()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        name, message, author = (
            self.query_one(f"#commit-{field}", Input).value.strip() for _, field, _ in _FIELDS
        )
        if not name:
            self.show_hint("Name the image.")
            return
        typed = (entry.value.strip() for entry in self.query(".change").results(Input))
        try:
            changes = tuple(checked_change(text) for text in typed if text)
            name = whole_name(name)
        except LayerscopeError as error:
            self.show_hint(str(error))
            return
        about = (name, message, author, self._pause, changes)
        self.dismiss(CommitRequest(*about, applied(changes)))
