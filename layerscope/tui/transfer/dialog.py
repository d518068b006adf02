"""Asks what to pull or push, shows what that would move, and starts it."""

from __future__ import annotations

from contextlib import ExitStack, closing

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Static

from layerscope.errors import LayerscopeError
from layerscope.jobs.job import Job
from layerscope.transfer.request import KINDS, TransferRequest, reference_of, start_transfer
from layerscope.tui.dialogs.dialog import Dialog
from layerscope.tui.dialogs.login import LoginScreen
from layerscope.tui.dialogs.text_entry import FieldEntry
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.format import cut
from layerscope.tui.session import Connector
from layerscope.tui.work import Problem, Task

#: Lines of a preview that fit into the dialog; its end says the most.
_MOST_LINES = 8

_TITLES = {"pull": "Pull an image", "push": "Push an image"}
_VERBS = {"pull": "pulls", "push": "pushes"}
_TARGETS = "the engine, or oci:DIR, docker-archive:FILE"
_WAYS = {
    False: "The engine does it.",
    True: "layerscope does it: it goes on with layers that were cut, in the next attempt too.",
}

#: The name, the target, and whether our own client does it.
_Typed = tuple[str, str, bool]


class TransferDialog(Dialog[Job | None], screen="transfer_dialog", heading="A pull or push"):
    """`enter` shows what would be transferred, and then starts it."""

    ANSWERS = "enter shows what would move, ctrl+r changes who does it, esc goes back"

    def _no_login(self) -> str:
        return "" if self._login else "The registry wants no login."

    KEYS = (
        Key("transfer_dialog.back", "escape", "dismiss(None)", "Back"),
        Key("transfer_dialog.next", "tab,down,shift+tab,up", "field", "Next field", priority=True),
        Key("transfer_dialog.way", "ctrl+r", "way", "Engine or own client", priority=True),
        Key("transfer_dialog.login", "ctrl+g", "login", "Log in", "", _no_login),
    )

    def __init__(self, kind: str, name: str, connector: Connector) -> None:
        super().__init__(_TITLES[kind], hint="NAME[:TAG] of Docker Hub, or HOST/NAME[:TAG]")
        self._kind = kind
        self._name = name
        self._connector = connector
        self._own = False  # Whether our own client does it, and not the engine.
        self._way = Static(id="transfer-way")
        self._seen: _Typed | None = None  # What the preview is about that is shown.
        self._login = ""  # The registry that wants a login.

    def body(self) -> ComposeResult:
        fields = [("Image", "name", self._name, "debian:bookworm")]
        if self._kind == "pull":
            fields.append(("To", "to", "", _TARGETS))
        for label, name, value, hint in fields:
            with Horizontal(classes="field-row"):
                yield Static(Content(label), classes="field-label")
                yield FieldEntry(id=f"transfer-{name}", value=value, placeholder=hint)
        yield self._way

    def on_mount(self) -> None:
        self.set_focus(self.query_one("#transfer-name", Input))
        self._show_way()
        if self._name:
            self._look()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._show_way()
        self._forget()

    def _forget(self) -> None:
        """Waits for another look, if what is asked has changed."""
        if self._seen is not None and self._seen != self._typed:
            self._seen = None
            self.show_keys(self.ANSWERS)

    def action_field(self) -> None:
        fields = list(self.query(Input))
        if (focused := self.focused) in fields:
            self.set_focus(fields[(fields.index(focused) + 1) % len(fields)])

    def action_way(self) -> None:
        self._own = not self._own
        self._show_way()
        self._forget()

    @property
    def _typed(self) -> _Typed:
        name, target = (
            "".join(
                entry.value.strip() for entry in self.query(f"#transfer-{field}").results(Input)
            )
            for field in ("name", "to")
        )
        # No engine pulls into a file.
        return name, target, self._own or bool(target)

    def _show_way(self) -> None:
        self._way.update(Content(_WAYS[self._typed[2]]))

    def _asked(self) -> TransferRequest | None:
        """What is asked for; None if no name is; raises UsageError."""
        name, target, own = self._typed
        if not name:
            return None
        if target:
            # Not at the top: the dialog is there before the client of registries is.
            from layerscope.transfer.places import check_place, parse_place

            place = parse_place(target)
            check_place(place)
            target = str(place)
        return TransferRequest(
            str(reference_of(name)),
            insecure=self.base_app.insecure,
            via="registry" if own else "engine",
            target=target,
        )

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._look()

    def _look(self) -> None:
        """Shows what would move, and starts it where that has been seen."""
        try:
            asked = self._asked()
        except LayerscopeError as error:
            self.show_hint(str(error))
            return
        if asked is None:
            return
        typed = self._typed
        if typed == self._seen:
            self._start(asked)
            return
        self._login = ""
        self.show_hint("Asking the registry…")
        self.work.start(
            "preview",
            lambda task: self._lines(asked, task),
            lambda lines: self._show(typed, lines),
            failed=lambda problem: self._failed(typed, problem),
        )

    def _lines(self, asked: TransferRequest, task: Task[None]) -> list[str]:
        # Not at the top: the dialog is there before the client of registries is.
        from layerscope.reports.transfer_report import pull_text, push_text
        from layerscope.transfer.preview import preview_own_pull, preview_pull, preview_push

        reference = reference_of(asked.reference)
        insecure = asked.insecure
        with ExitStack() as stack:
            engine = None if asked.target else stack.enter_context(closing(self._connector()))
            if engine is None or (self._kind == "pull" and asked.via == "registry"):
                found = preview_own_pull(
                    engine, reference, target=asked.target, insecure=insecure, check=task.check
                )
                return list(pull_text(found))
            if self._kind == "pull":
                pull = preview_pull(engine, reference, insecure=insecure, check=task.check)
                return list(pull_text(pull))
            push = preview_push(engine, reference, insecure=insecure, check=task.check)
            return list(push_text(push))

    def _show(self, typed: _Typed, lines: list[str]) -> None:
        self._seen = typed
        more = len(lines) - _MOST_LINES
        shown = [f"  … {more} more", *lines[-_MOST_LINES:]] if more > 0 else lines
        width = self._way.size.width
        # A layer has one line; sentences are wrapped.
        self.show_hint("\n".join(cut(x, width) if x.startswith("  ") else x for x in shown))
        self.show_keys(f"enter {_VERBS[self._kind]} it, esc goes back")

    def _failed(self, typed: _Typed, problem: Problem) -> None:
        if problem.cancelled:
            return
        self._login = problem.login
        self.show_hint(problem.message if problem.login else str(problem))
        answers = [f"{key_of(self, 'transfer_dialog.login')} logs in"] if problem.login else []
        if not typed[2]:
            # The engine may have a way to the registry, or a login, that this program lacks.
            self._seen = typed
            answers.append(f"enter {_VERBS[self._kind]} it all the same")
        if answers:
            self.show_keys(", ".join([*answers, "esc goes back"]))

    def action_login(self) -> None:
        def ended(changed: bool | None) -> None:
            if changed:
                self._seen = None
                self._look()

        self.app.push_screen(LoginScreen(self._login), ended)

    def _start(self, asked: TransferRequest) -> None:
        try:
            job = start_transfer(KINDS[self._kind], asked)
        except LayerscopeError as error:
            self.show_hint(str(error))
        else:
            self.dismiss(job)
