"""Asks what to pull or push, shows what that would move, and starts it."""

from __future__ import annotations

from contextlib import closing

from textual.app import ComposeResult
from textual.widgets import Input

from layerscope.errors import LayerscopeError, UsageError
from layerscope.jobs.job import Job
from layerscope.transfer.request import KINDS, TransferRequest, reference_of, start_transfer
from layerscope.tui.dialogs.dialog import Dialog
from layerscope.tui.dialogs.login import LoginScreen
from layerscope.tui.dialogs.text_entry import TextEntry
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.format import cut
from layerscope.tui.session import Connector
from layerscope.tui.work import Problem, Task

#: Lines of a preview that fit into the dialog; its end says the most.
_MOST_LINES = 8

_TITLES = {"pull": "Pull an image", "push": "Push an image"}
_VERBS = {"pull": "pulls", "push": "pushes"}


class TransferDialog(Dialog[Job | None], screen="transfer_dialog", heading="A pull or push"):
    """`enter` shows what would be transferred, and then starts it."""

    ANSWERS = "enter shows what would move, esc goes back"

    def _no_login(self) -> str:
        return "" if self._login else "The registry wants no login."

    KEYS = (
        Key("transfer_dialog.back", "escape", "dismiss(None)", "Back"),
        Key("transfer_dialog.login", "ctrl+g", "login", "Log in", "", _no_login),
    )

    def __init__(self, kind: str, name: str, connector: Connector) -> None:
        super().__init__(_TITLES[kind], hint="NAME[:TAG] of Docker Hub, or HOST/NAME[:TAG]")
        self._kind = kind
        self._name = name
        self._connector = connector
        self._seen: str | None = None  # The name whose preview is shown.
        self._login = ""  # The registry that wants a login.

    def body(self) -> ComposeResult:
        yield TextEntry(id="transfer-name", value=self._name, placeholder="debian:bookworm")

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))
        if self._name:
            self._preview(self._name)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value.strip() != self._seen:
            self._seen = None
            self.show_keys(self.ANSWERS)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        name = event.value.strip()
        if name and name == self._seen:
            self._start(name)
        elif name:
            self._preview(name)

    def _preview(self, name: str) -> None:
        self._login = ""
        self.show_hint("Asking the registry…")
        self.work.start(
            "preview",
            lambda task: self._lines(name, task),
            lambda lines: self._show(name, lines),
            failed=lambda problem: self._failed(name, problem),
        )

    def _lines(self, name: str, task: Task[None]) -> list[str]:
        # Not at the top: the dialog is there before the client of registries is.
        from layerscope.reports.transfer_report import pull_text, push_text
        from layerscope.transfer.preview import preview_pull, preview_push

        reference = reference_of(name)
        with closing(self._connector()) as engine:
            if self._kind == "pull":
                return list(pull_text(preview_pull(engine, reference, check=task.check)))
            return list(push_text(preview_push(engine, reference, check=task.check)))

    def _show(self, name: str, lines: list[str]) -> None:
        self._seen = name
        more = len(lines) - _MOST_LINES
        shown = [f"  … {more} more", *lines[-_MOST_LINES:]] if more > 0 else lines
        width = self.query_one("#transfer-name").size.width
        # A layer has one line; sentences are wrapped.
        self.show_hint("\n".join(cut(x, width) if x.startswith("  ") else x for x in shown))
        self.show_keys(f"enter {_VERBS[self._kind]} it, esc goes back")

    def _failed(self, name: str, problem: Problem) -> None:
        if problem.cancelled:
            return
        self._login = problem.login
        self.show_hint(problem.message if problem.login else str(problem))
        try:
            reference_of(name)
        except UsageError:
            return
        # The engine may have a way to the registry, or a login, that this program lacks.
        self._seen = name
        login = f"{key_of(self, 'transfer_dialog.login')} logs in, " if problem.login else ""
        self.show_keys(f"{login}enter {_VERBS[self._kind]} it all the same, esc goes back")

    def action_login(self) -> None:
        def ended(changed: bool | None) -> None:
            if changed:
                self._preview(self.query_one(Input).value.strip())

        self.app.push_screen(LoginScreen(self._login), ended)

    def _start(self, name: str) -> None:
        try:
            job = start_transfer(KINDS[self._kind], TransferRequest(str(reference_of(name))))
        except LayerscopeError as error:
            self.show_hint(str(error))
        else:
            self.dismiss(job)
