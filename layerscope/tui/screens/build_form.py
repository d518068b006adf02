"""Asks what to build."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from layerscope.build.request import BUILDERS, BuildRequest
from layerscope.tui.widgets.text_entry import TextEntry

#: Id, what it is called, and what is shown while it is empty.
_FIELDS = (
    ("context", "Context", "folder of the build context"),
    ("dockerfile", "Dockerfile", "in the context: Dockerfile or Containerfile"),
    ("tags", "Tags", "name:tag, several with blanks between"),
    ("target", "Target", "the last stage"),
    ("arguments", "Arguments", "NAME=VALUE, several with blanks between"),
    ("network", "Network", "of RUN steps: the engine's choice, host, none"),
    ("builder", "Builder", " ".join(BUILDERS)),
)
_SWITCHES = (("no_cache", "ctrl+n", "run every step"), ("pull", "ctrl+l", "look for newer bases"))


class BuildForm(ModalScreen[BuildRequest | None], inherit_bindings=False):
    """The fields of a build; gives the build, or None."""

    CSS_PATH = "build_form.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", id="build_form.back"),
        Binding("enter", "build", "Build", id="build_form.build", priority=True),
        Binding("tab,down", "field(1)", "Next field", id="build_form.next", priority=True),
        Binding("shift+tab,up", "field(-1)", "Field before", id="build_form.before", priority=True),
        Binding("ctrl+n", "switch('no_cache')", "Without cache", id="build_form.no_cache"),
        Binding("ctrl+l", "switch('pull')", "Pull", id="build_form.pull"),
    ]

    def __init__(self, known: BuildRequest | None = None, folder: Path | None = None) -> None:
        """Makes the form.

        Args:
            known: What was built last, to begin with.
            folder: The folder that names are relative to; None for the current one.
        """
        super().__init__()
        self._folder = folder or Path.cwd()
        self._on = {"no_cache": False, "pull": False}
        self._values = _values(known, self._folder)
        self._known = known

    def compose(self) -> ComposeResult:
        """The fields."""
        with Vertical(id="build-form"):
            yield Static(Content("Build an image"), id="message-title")
            for name, label, hint in _FIELDS:
                yield Static(Content(label), classes="label")
                yield TextEntry(id=f"field-{name}", value=self._values[name], placeholder=hint)
            yield Static(id="switches")
            yield Static(id="problem")
            keys = "enter builds, tab goes on, esc goes back"
            yield Static(Content(keys), id="message-keys")

    def on_mount(self) -> None:
        """Ready to type."""
        self._show_switches()
        self.set_focus(self.query_one("#field-context", Input))

    def action_field(self, step: int) -> None:
        """Goes to another field."""
        fields = list(self.query(TextEntry))
        if not fields:
            return
        focused = self.focused
        at = fields.index(focused) if isinstance(focused, TextEntry) else 0
        self.set_focus(fields[(at + step) % len(fields)])

    def action_switch(self, name: str) -> None:
        """Turns an option on or off."""
        self._on[name] = not self._on[name]
        if self.is_mounted:
            self._show_switches()

    def action_build(self) -> None:
        """Gives the build to the one who asked, or says what is wrong."""
        if not self.is_mounted:
            # Typed right behind what opened the form: nobody has seen what it would build.
            return
        values = {name: self.query_one(f"#field-{name}", Input).value for name, _, _ in _FIELDS}
        try:
            request = request_of(values, self._on, self._folder)
        except ValueError as error:
            self.query_one("#problem", Static).update(Content(str(error)))
            return
        self.dismiss(request)

    def _show_switches(self) -> None:
        texts = [
            f"[{'x' if self._on[name] else ' '}] {key} {what}" for name, key, what in _SWITCHES
        ]
        self.query_one("#switches", Static).update(Content("   ".join(texts)))


def _values(known: BuildRequest | None, folder: Path) -> dict[str, str]:
    if known is None:
        return {name: "" for name, _, _ in _FIELDS} | {"context": ".", "builder": "auto"}
    arguments = (known.build_args or {}).items()
    return {
        "context": _short(known.context, folder),
        "dockerfile": _short(known.dockerfile, folder) if known.text is None else "",
        "tags": " ".join(known.tags),
        "target": known.target,
        "arguments": shlex.join(k if v is None else f"{k}={v}" for k, v in arguments),
        "network": known.network,
        "builder": known.builder,
    }


def _short(path: str, folder: Path) -> str:
    try:
        return str(Path(path).relative_to(folder)) or "."
    except ValueError:
        return path


def request_of(values: dict[str, str], on: dict[str, bool], folder: Path) -> BuildRequest:
    """The build that the fields of the form ask for.

    Args:
        values: What is typed in each field.
        on: The options.
        folder: The folder that names are relative to.

    Raises:
        ValueError: They ask for what there is not; the text says what.
    """
    context = folder / Path(values["context"].strip() or ".").expanduser()
    if not context.is_dir():
        raise ValueError("There is no such context folder.")
    names = [values["dockerfile"].strip()]
    if not names[0]:
        names = [str(context / name) for name in ("Dockerfile", "Containerfile")]
    files = [folder / Path(name).expanduser() for name in names]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise ValueError("There is no Dockerfile of that name.")
    builder = values["builder"].strip() or "auto"
    if builder not in BUILDERS:
        raise ValueError(f"Builders are {', '.join(BUILDERS)}.")
    try:
        words = shlex.split(values["arguments"])
    except ValueError:
        raise ValueError("A quote in the arguments has no end.") from None
    arguments: dict[str, str | None] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise ValueError("An argument has no name.")
        arguments[name] = value if equals else None
    return BuildRequest(
        context=os.path.realpath(context),
        dockerfile=os.path.realpath(found),
        builder=builder,
        tags=tuple(values["tags"].split()),
        target=values["target"].strip(),
        build_args=arguments,
        network=values["network"].strip(),
        no_cache=on["no_cache"],
        pull=on["pull"],
    )
