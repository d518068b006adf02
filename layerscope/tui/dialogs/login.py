"""Logging in to a registry and out; shows first where the login will be stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, Static

from layerscope.errors import LayerscopeError
from layerscope.text import visible
from layerscope.tui.base_app import app_of
from layerscope.tui.dialogs.dialog import Dialog, field_row
from layerscope.tui.dialogs.question import QuestionScreen
from layerscope.tui.dialogs.text_entry import FieldEntry
from layerscope.tui.keys.key import Key
from layerscope.tui.work import Problem, Task

if TYPE_CHECKING:
    from layerscope.images.registry.credentials import Credentials
    from layerscope.images.registry.login import Keeper

_PAUSE = 0.3  # Seconds without typing before a registry is looked up.
_FIELDS = ("registry", "user", "password")


class PasswordEntry(FieldEntry):
    """A field that neither shows nor copies its text."""

    def action_copy(self) -> None: ...

    def action_cut(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Known:
    domain: str
    keeper: Keeper  # Where a login would be stored.
    login: Credentials | None = None  # The current one.


class LoginScreen(Dialog[bool], screen="login", heading="Logging in to a registry"):
    """Checks a login and stores it, or removes one; returns whether it has."""

    ANSWERS = "enter logs in, tab goes to the next field, esc goes back"

    def _no_login(self) -> str:
        if self._known is not None and self._known.login is not None:
            return ""
        return "There is no login for this registry."

    KEYS = (
        Key("login.back", "escape", "back", "Back", priority=True),
        Key("login.take", "enter", "take", "Log in", priority=True),
        Key("login.next", "tab,down", "field(1)", "Next field", priority=True),
        Key("login.before", "shift+tab,up", "field(-1)", "Previous field", priority=True),
        Key("login.out", "ctrl+r", "log_out", "Log out", "Remove the login", _no_login),
    )

    def __init__(self, registry: str = "") -> None:
        super().__init__("Log in to a registry")
        self._registry = registry
        self._known: _Known | None = None  # None until it is known.
        self._pause: Timer | None = None
        self._info = Static(id="login-info")

    def body(self) -> ComposeResult:
        for name in _FIELDS:
            kind = PasswordEntry if name == "password" else FieldEntry
            value = self._registry if name == "registry" else ""
            hint = "docker.io" if name == "registry" else ""
            secret = name == "password"
            entry = kind(id=f"login-{name}", value=value, placeholder=hint, password=secret)
            yield field_row(name.capitalize(), entry)
        yield self._info

    def on_mount(self) -> None:
        self.set_focus(self._entry("user" if self._registry else "registry"))
        self._look()

    # What is known of the registry.

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.input.id == "login-registry":
            self._known = None
            if self._pause is not None:
                self._pause.stop()
            self._pause = self.set_timer(_PAUSE, self._look)

    def _look(self) -> None:
        self._pause, text = None, self._entry("registry").value

        def look(task: Task[_Known]) -> _Known:
            # Not at the top: the dialog opens before the registry client is imported.
            from layerscope.images.registry.credentials import find_credentials
            from layerscope.images.registry.login import keeper_of, registry_of

            domain = registry_of(text)
            known = _Known(domain, keeper_of(domain))
            task.report(known)
            # A credential helper may be slow.
            return replace(known, login=find_credentials(domain, "").credentials)

        self._info.update("")
        self.work.start("look", look, self._show, report=self._show)

    def _show(self, known: _Known) -> None:
        from layerscope.images.registry.login import token_hint

        self._known = known
        keeper, login = known.keeper, known.login
        lines = [f"The login will be kept by {visible(keeper.name)}, Docker's credential helper."]
        if not keeper.helper:
            lines = [
                f"The login will be kept in {visible(keeper.name)} as plain text: "
                "everyone who can read that file can use it."
            ]
        if login is not None:
            whom = f" as {visible(login.username)}" if login.username else ""
            lines.append(f"You are logged in{whom}, from {visible(login.origin)}; ctrl+r logs out.")
        lines += filter(None, [token_hint(known.domain)])
        self._info.update(Content("\n".join(lines)))
        if not self.work.busy("login"):
            self.show_hint("")

    def report(self, problem: Problem) -> None:
        if not problem.cancelled:
            self.show_hint(problem.message if problem.login else str(problem))
            self.show_keys(self.ANSWERS)

    # Keys.

    def _entry(self, name: str) -> Input:
        return self.query_one(f"#login-{name}", Input)

    def action_back(self) -> None:
        self.dismiss(False)

    def action_take(self) -> None:
        """Goes to the next field; logs in from the last.

        The focus moves at once: keys that follow, such as a password, must not reach this field.
        """
        password = self._entry("password")
        if self.focused is password:
            # Lets earlier keys reach the fields first.
            self._entry("user").call_later(password.call_later, self._take)
        else:
            self.action_field(1)

    def _take(self) -> None:
        """Goes to the first empty field, or logs in."""
        empty = next((name for name in _FIELDS[1:] if not self._entry(name).value), None)
        if empty is not None:
            self.set_focus(self._entry(empty))
        elif not self.work.busy("login"):
            self._log_in()

    def _log_in(self) -> None:
        from layerscope.images.registry.login import check_login, credentials_of

        known = self._known
        if known is None:
            self._look()  # Shows what is wrong with the name.
            return
        try:
            typed = credentials_of(self._entry("user").value, self._entry("password").value)
        except LayerscopeError as error:
            self.show_hint(str(error))
            return
        insecure = app_of(self).insecure
        self.show_hint(f"Asking {visible(known.domain)}…")
        self.work.start(
            "login",
            lambda task: check_login(known.domain, typed, insecure=insecure, check=task.check),
            lambda answer: self._keep(known, *answer),
        )

    def _keep(self, known: _Known, login: Credentials, checked: bool) -> None:
        """Stores a login that the registry accepts."""
        from layerscope.images.registry.login import HelperError, keep_login, warning_of

        domain, keeper = known.domain, known.keeper

        def keep(_: object) -> HelperError | str:
            try:
                keep_login(domain, login, keeper)
            except HelperError as error:
                return error
            return warning_of(domain)

        def kept(answer: HelperError | str) -> None:
            if not isinstance(answer, str):
                self._ask_for_file(known, login, checked, answer.message)
                return
            self.dismiss(True)
            whom = f" as {visible(login.username)}" if login.username else ""
            where = f"{visible(keeper.name)}{'' if keeper.helper else ', as plain text'}"
            but = "" if checked else " It requires none, so it was not checked."
            said = f"Logged in to {visible(domain)}{whom}; it is kept in {where}.{but} {answer}"
            app_of(self).say(said.rstrip())

        self.show_hint(f"Storing the login with {visible(keeper.name)}…")
        self.work.start("login", keep, kept)

    def _ask_for_file(self, known: _Known, login: Credentials, checked: bool, problem: str) -> None:
        from layerscope.images.registry.login import keeper_of

        plain = keeper_of(known.domain, plain=True)

        def take(letter: str | None) -> None:
            if letter == "k":
                self._keep(replace(known, keeper=plain), login, checked)
            else:
                self.show_hint(f"{problem} Nothing was kept.")

        text = (
            f"{visible(known.domain)} accepts the login. It can be kept in {visible(plain.name)} "
            "as plain text: everyone who can read that file can use it."
        )
        answers = [("n", "Do not keep it"), ("k", "Keep it there, as plain text")]
        self.app.push_screen(QuestionScreen(problem, text, answers), take)

    def action_log_out(self) -> None:
        known = self._known
        if known is None or known.login is None:
            return
        whom = f" of {visible(known.login.username)}" if known.login.username else ""
        text = f"This removes the login{whom} from {visible(known.login.origin)}."
        title = f"Log out of {visible(known.domain)}?"

        def take(letter: str | None) -> None:
            if letter == "y":
                self._log_out(known.domain)

        answers = [("n", "Stay logged in"), ("y", "Log out")]
        self.app.push_screen(QuestionScreen(title, text, answers), take)

    def _log_out(self, domain: str) -> None:
        from layerscope.images.registry.login import forget_login, still_known

        def done(found: tuple[list[str], str]) -> None:
            places, left = found
            self.dismiss(True)
            where = " and ".join(map(visible, places))
            text = f"Removed the login for {visible(domain)} from {where}."
            if not places:
                text = f"Docker keeps no login for {visible(domain)}."
            but = f" {visible(left)} still has one." if left else ""
            app_of(self).say(text + but)

        self.show_hint("Removing the login…")
        self.work.start("login", lambda _: (forget_login(domain), still_known(domain)), done)
