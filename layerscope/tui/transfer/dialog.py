"""Asks what to transfer, shows a preview, and starts the transfer."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, Static

from layerscope.errors import LayerscopeError
from layerscope.jobs.job import Job
from layerscope.tui.dialogs.dialog import Dialog, field_row
from layerscope.tui.dialogs.login import LoginScreen
from layerscope.tui.dialogs.text_entry import FieldEntry
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.format import cut
from layerscope.tui.transfer.verbs import Look, Verb
from layerscope.tui.work import Problem

#: Lines of a preview that fit into the dialog; its end matters most.
_MOST_LINES = 8

#: The texts of the fields, and the index of the way.
_Typed = tuple[tuple[tuple[str, str], ...], int]


class TransferDialog(Dialog[Job | None], screen="transfer_dialog", heading="A transfer"):
    """`enter` shows a preview; a second `enter` starts the transfer."""

    ANSWERS = "enter shows what would move, esc goes back"

    def _no_login(self) -> str:
        return "" if self._login else "The registry requires no login."

    def _one_way(self) -> str:
        return "" if len(self._verb.ways) > 1 else "There is one way only."

    KEYS = (
        Key("transfer_dialog.back", "escape", "dismiss(None)", "Back"),
        Key(
            "transfer_dialog.next", "tab,down,shift+tab,up", "field(1)", "Next field", priority=True
        ),
        Key(
            "transfer_dialog.way",
            "ctrl+r",
            "way",
            "Another way",
            "Engine or own client; compression of layers",
            _one_way,
            priority=True,
        ),
        Key("transfer_dialog.login", "ctrl+g", "login", "Log in", "", _no_login),
    )

    def __init__(self, verb: Verb) -> None:
        super().__init__(verb.title, hint=verb.hint)
        self._verb = verb
        self._chosen = 0  # Index of the way.
        self._way = Static(id="transfer-way")
        self._seen: _Typed | None = None  # What the shown preview is about.
        self._found: Look | None = None
        self._login = ""  # The registry that requires a login.

    def body(self) -> ComposeResult:
        for field in self._verb.fields:
            entry = FieldEntry(
                id=f"transfer-{field.name}", value=field.value, placeholder=field.placeholder
            )
            yield field_row(field.label, entry)
        yield self._way

    def on_mount(self) -> None:
        entries = list(self.query(Input))
        self.set_focus(next((each for each in entries if not each.value), entries[0]))
        self._show_way()
        self._show_answers()
        if self._verb.fields[0].value:
            self._look()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._show_way()
        self._forget()

    def _forget(self) -> None:
        """Drops the preview if the input has changed."""
        if self._seen is not None and self._seen != self._typed:
            self._seen = None
            self._show_answers()

    def _show_answers(self) -> None:
        way = f"{key_of(self, 'transfer_dialog.way')} changes how, " * (not self._one_way())
        self.show_keys(f"enter shows what would move, {way}esc goes back")

    def action_way(self) -> None:
        self._chosen = (self._chosen + 1) % len(self._verb.ways)
        self._show_way()
        self._forget()

    @property
    def _typed(self) -> _Typed:
        values = {
            field.name: entry.value.strip()
            for field in self._verb.fields
            for entry in self.query(f"#transfer-{field.name}").results(Input)
        }
        return tuple(values.items()), self._verb.forced_way(values, self._chosen)

    def _show_way(self) -> None:
        self._way.update(Content(self._verb.ways[self._typed[1]]))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._look()

    def _look(self) -> None:
        """Shows a preview; starts the transfer if the preview is already shown."""
        typed = self._typed
        if typed == self._seen and self._found is not None:
            self._start(self._found)
            return
        values, way = typed
        try:
            asked = self._verb.ask(dict(values), way)
        except LayerscopeError as error:
            self.show_hint(str(error))
            return
        if asked is None:
            return
        self._login = ""
        self.show_hint(self._verb.waiting)
        self.work.start(
            "preview",
            asked.look,
            lambda look: self._show(typed, look),
            failed=lambda problem: self._failed(typed, problem, asked.blind),
        )

    def _show(self, typed: _Typed, look: Look) -> None:
        self._seen, self._found = typed, look
        lines = list(look.lines)
        more = len(lines) - _MOST_LINES
        shown = [f"  … {more} more", *lines[-_MOST_LINES:]] if more > 0 else lines
        width = self._way.size.width
        # Cuts the line of a layer; sentences are wrapped.
        self.show_hint("\n".join(cut(x, width) if x.startswith("  ") else x for x in shown))
        self.show_keys(f"enter {look.answer}, esc goes back")

    def _failed(self, typed: _Typed, problem: Problem, blind: Look | None) -> None:
        if problem.cancelled:
            return
        self._login = problem.login
        self.show_hint(problem.message if problem.login else str(problem))
        answers = [f"{key_of(self, 'transfer_dialog.login')} logs in"] if problem.login else []
        if blind is not None:
            self._seen, self._found = typed, blind
            answers.append(f"enter {blind.answer}")
        if answers:
            self.show_keys(", ".join([*answers, "esc goes back"]))

    def action_login(self) -> None:
        def ended(changed: bool | None) -> None:
            if changed:
                self._seen = None
                self._look()

        self.app.push_screen(LoginScreen(self._login), ended)

    def _start(self, look: Look) -> None:
        try:
            job = look.start()
        except LayerscopeError as error:
            self.show_hint(str(error))
        else:
            self.dismiss(job)
