"""The form that asks what to build, and shows what the builder would receive."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widgets import Input, Static

from layerscope.build.check import MANY, CheckedBuild, WrittenBuild, check_build, typed, written_of
from layerscope.build.fields import dockerfiles_in
from layerscope.build.known_builds import last_build
from layerscope.build.offer import Offer, read_offer
from layerscope.build.request import BUILD, BuildRequest, split_builder
from layerscope.dockerfile.context.context import Context, read_context
from layerscope.dockerfile.context.conventions import Conventions, conventions
from layerscope.errors import LayerscopeError
from layerscope.tui.base_screen import AppScreen
from layerscope.tui.build.offer_list import OfferList
from layerscope.tui.build.offers import Known, note_of, rows_of, title_of, word
from layerscope.tui.dialogs.path_completion import SourceSuggester
from layerscope.tui.dialogs.text_entry import FieldEntry
from layerscope.tui.keys.key import ALWAYS, LAST, Key, Keyed
from layerscope.tui.work import Problem, Task

if TYPE_CHECKING:
    from layerscope.build.builders import Builders
    from layerscope.build.instances import BuilderInstance

#: Name, label and placeholder.
FIELDS = (
    ("context", "Context", "the current folder"),
    ("dockerfile", "Dockerfile", "the context's Dockerfile or Containerfile"),
    ("tags", "Tags", "NAME:TAG, separated by spaces"),
    ("target", "Target", "the last stage"),
    ("build_args", "Arguments", "NAME=VALUE, separated by spaces"),
    ("secrets", "Secrets", "id=NAME,src=FILE or id=NAME,env=VARIABLE"),
    ("platform", "Platform", "the engine's own"),
    ("network", "Network", "for RUN steps: the engine's choice"),
    ("builder", "Builder", "auto"),
    ("labels", "Labels", "NAME=VALUE, separated by spaces"),
)
TOGGLES = (("no_cache", "ignore the cache"), ("pull", "pull newer bases"))
#: Seconds that typing must pause before a folder is read.
_PAUSE = 0.3


class FieldSuggester(Suggester):
    """Completes input from the values in the list below the fields."""

    def __init__(self, name: str, known: Known) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._name, self._known = name, known

    async def get_suggestion(self, value: str) -> str | None:
        values = (row.value for row in rows_of(self._name, self._known))
        found = (each for each in values if each and value and each.startswith(value))
        return next((each for each in found if each.isprintable()), None)


class Toggle(Keyed, Static, can_focus=True, screen="build_form", heading="What to build"):
    """A checkbox with a label."""

    ALLOW_SELECT = False
    KEYS = (
        Key("build_form.toggle", "space", "turn", "On or off", "Turn on or off", None, "*", LAST),
    )

    class Changed(Message):
        """It was turned on or off."""

    def __init__(self, name: str, label: str) -> None:
        super().__init__(id=name)
        self.on = False
        self._label = label
        self._draw()

    def _draw(self) -> None:
        self.update(Content(f"[{'x' if self.on else ' '}] {self._label}"))

    def action_turn(self) -> None:
        self.on = not self.on
        self._draw()
        self.post_message(self.Changed())

    def on_click(self) -> None:
        self.action_turn()


def _form_key(name: str, keys: str, action: str, label: str, tip: str, hint: str = "") -> Key:
    """Returns a key with priority over the focused field."""
    return Key(f"build_form.{name}", keys, action, label, tip, None, hint, LAST, priority=True)


class BuildForm(AppScreen[BuildRequest | None], screen="build_form", heading="What to build"):
    CSS_PATH = "build_form.tcss"
    AUTO_FOCUS = "#field-context"
    KEYS = (
        Key("build_form.back", "escape", "back", "Back", "", None, "*", ALWAYS),
        _form_key("build", "enter", "build", "Build", "Start the build", "*"),
        _form_key("next", "tab,down", "field(1)", "Next", "Next field", "*"),
        _form_key("before", "shift+tab,up", "field(-1)", "Previous", "Previous field"),
        _form_key("choose", "ctrl+n", "choose", "Choose", "Choose from the list below", "*"),
    )

    def __init__(self, known: BuildRequest | None = None) -> None:
        super().__init__()
        self._folder = Path.cwd()
        first = WrittenBuild("") if known is None else written_of(known, self._folder)
        self.known = Known(first)  # What is known about the fields.
        self._first = first
        self._at = "context"
        self._shown = ""
        #: The context, the Dockerfile, and the conventions that find its ignore file.
        self._place: tuple[Path | None, Path | None, Conventions | None] = (None, None, None)
        self._pause: Timer | None = None
        self._list = OfferList(self._take)

    # The fields.

    def body(self) -> ComposeResult:
        values = _values(self._first)
        with Vertical(id="fields"):
            for name, label, hint in FIELDS:
                with Horizontal(classes="field", id=f"row-{name}"):
                    yield Static(Content(label), classes="label")
                    yield FieldEntry(
                        id=f"field-{name}",
                        value=values[name],
                        placeholder=hint,
                        suggester=SourceSuggester()
                        if name in ("context", "dockerfile")
                        else FieldSuggester(name, self.known),
                    )
                    yield Static(classes="note", id=f"note-{name}")
            with Horizontal(classes="field"):
                yield Static(Content("Options"), classes="label")
                for name, label in TOGGLES:
                    yield Toggle(f"field-{name}", label)
        yield self._list

    def on_mount(self) -> None:
        self.title_bar.set_image("Build an image", "")
        self.work.start("builders", _ask_engine, self._builders_known, failed=self._no_builders)
        self.work.start(
            "instances", _ask_buildx, self._instances_known, report=self._instances_known
        )
        self._check()

    def _instances_known(self, found: list[BuilderInstance]) -> None:
        self.known.instances = found
        self._show()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._check()

    def on_toggle_changed(self, event: Toggle.Changed) -> None:
        event.stop()
        self._check()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        name = (event.widget.id or "").removeprefix("field-")
        if name != event.widget.id:
            for row in self.query(".field"):
                row.set_class(event.widget in row.children, "-at")
            self._at = name
            self._show_list()

    def _typed(self) -> tuple[WrittenBuild, dict[str, LayerscopeError]]:
        values = {name: self._entry(name).value for name, _, _ in FIELDS}
        on = {name: self.query_one(f"#field-{name}", Toggle).on for name, _ in TOGGLES}
        if self._without_secrets(values["builder"].strip()):
            values["secrets"] = ""
        written, problems = typed(values, on)
        # Options without a field keep their values.
        return replace(
            written, export=self._first.export, ignore_file=self._first.ignore_file
        ), problems

    def _checked(self, offer: Offer | None) -> CheckedBuild:
        written, problems = self._typed()
        found = check_build(written, self._folder, offer, self.known.builders)
        found.problems |= problems
        self.known.written, self.known.problems = written, found.problems
        return found

    def _check(self) -> None:
        # Do not report a Dockerfile that is still being read.
        found = self._checked(self.known.offer or Offer(own_syntax=True))
        folder = found.context
        rules = None
        if folder is not None:
            rules = conventions(self._builder(), folder, found.dockerfile)
        place = (folder, found.dockerfile, rules)
        if place != self._place:
            before, self._place = self._place, place
            if found.dockerfile != before[1]:
                self.known.offer = self.known.last = None
                self._read_dockerfile(found.dockerfile)
            self.known.context, self.known.context_problem = None, ""
            self.known.dockerfiles = ()
            self.work.leave("context")
            if self._pause is not None:
                self._pause.stop()
            if before[:2] == (None, None):
                self._read_context()
            else:
                self._pause = self.set_timer(_PAUSE, self._read_context)
        self._show()

    def _builder(self) -> str:
        """The chosen builder; empty until the engine answers."""
        builders, chosen = self.known.builders, self.known.written.builder
        return "" if builders is None else builders.resolve(split_builder(chosen)[0])

    def _without_secrets(self, builder: str) -> str:
        builders = self.known.builders
        return "" if builders is None else builders.without_secrets(split_builder(builder)[0])

    # Background work.

    def _builders_known(self, answer: tuple[Builders | None, str]) -> None:
        builders, self.known.engine_problem = answer
        self.known.builders = builders
        if builders is not None:
            self.title_bar.set_right(builders.engine)
            if builders.platform:
                self._entry("platform").placeholder = f"{builders.platform}, the engine's own"
        self._check()

    def _no_builders(self, problem: Problem) -> None:
        self._builders_known((None, str(problem)))

    def _read_dockerfile(self, path: Path | None) -> None:
        if path is None:
            self.work.leave("dockerfile")
            return

        def read(_: Task[None]) -> tuple[Offer | None, WrittenBuild | None]:
            offer = None
            # The field says what is wrong with the file.
            with suppress(LayerscopeError):
                offer = read_offer(path)
            job = last_build(path)
            request = None if job is None else BUILD.request_of(job)
            return offer, None if request is None else written_of(request, self._folder)

        def done(found: tuple[Offer | None, WrittenBuild | None]) -> None:
            self.known.offer, self.known.last = found
            self._check()

        self.work.start("dockerfile", read, done)

    def _read_context(self) -> None:
        context, dockerfile, _ = self._place
        if context is None:
            return
        builder, path = self._builder(), dockerfile or context / "Dockerfile"
        own = self._first.ignore_file
        rules = self._folder / own if own else None

        def read(task: Task[None]) -> tuple[Context, tuple[str, ...]]:
            found = read_context(context, path, builder, rules=rules, stopped=task.check)
            return found, tuple(_relative(each, self._folder) for each in dockerfiles_in(context))

        def done(found: tuple[Context, tuple[str, ...]]) -> None:
            self.known.context, self.known.dockerfiles = found
            self._show()

        def failed(problem: Problem) -> None:
            self.known.context_problem = str(problem)
            self._show()

        self.work.start("context", read, done, failed=failed)

    # What is shown.

    def _show(self) -> None:
        for name, _, _ in FIELDS:
            text, warns = note_of(name, self.known)
            note = self.query_one(f"#note-{name}", Static)
            if str(note.content) != text:
                note.update(Content(text))
            note.set_class(warns, "-warning")
        without = bool(self._without_secrets(self.known.written.builder))
        self.query_one("#row-secrets").set_class(without, "-without")
        self._entry("secrets").disabled = without
        self._show_list()

    def _show_list(self) -> None:
        stay, self._shown = self._at == self._shown, self._at
        title, rows = title_of(self._at, self.known), rows_of(self._at, self.known)
        self._list.show_offers(title, rows, stay=stay)

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # The list has the same keys for something else.
        return not (action in ("build", "field", "choose") and self.focused is self._list)

    def action_field(self, step: int) -> None:
        names = [name for name, *_ in (*FIELDS, *TOGGLES)]
        fields = [self.query_one(f"#field-{name}") for name in names]
        fields = [field for field in fields if not field.disabled]
        focused = self.focused
        if focused in fields:
            self.set_focus(fields[(fields.index(focused) + step) % len(fields)])

    def action_fields(self) -> None:
        self.set_focus(self.query_one(f"#field-{self._at}"))

    def action_choose(self) -> None:
        values = _values(self.known.written)
        self._list.go_to(values.get(self._at, ""))
        self.set_focus(self._list)

    def _take(self, value: str) -> None:
        if not value.isprintable():
            self.say("It contains characters that cannot be typed into a field.")
            return
        entry = self._entry(self._at)
        entry.value = _added(entry.value, value) if self._at in MANY else value
        entry.cursor_position = len(entry.value)
        self.set_focus(entry)

    def action_build(self) -> None:
        if not self.is_mounted:
            # Pressed right after the form opened: the user has not seen what it would build.
            return
        # Lets earlier keys reach the field first.
        (self.focused or self).call_later(self._build)

    def _build(self) -> None:
        if not self.is_current:
            return
        found = self._checked(None)
        for name, error in found.problems.items():
            self.say(str(error))
            self._show()
            self.set_focus(self.query_one(f"#field-{name}"))
            return
        self.dismiss(found.checked())

    def _entry(self, name: str) -> Input:
        return self.query_one(f"#field-{name}", Input)


def _ask_engine(_: Task[None]) -> tuple[Builders | None, str]:
    # The client of the engine takes a while to import.
    from layerscope.build.preview import engine_builders

    return engine_builders()


def _ask_buildx(task: Task[list[BuilderInstance]]) -> list[BuilderInstance]:
    from layerscope.build.instances import instance_states, known_instances

    task.report(known_instances())
    return instance_states()


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _values(written: WrittenBuild) -> Mapping[str, str]:
    values = {}
    for name, _, _ in FIELDS:
        value = getattr(written, name)
        # A field cannot hold a line feed, for example.
        texts = [value] if isinstance(value, str) else value
        texts = [text for text in texts if text.isprintable()]
        values[name] = " ".join(map(word, texts)) if name in MANY else "".join(texts)
    return values


def _added(text: str, new: str) -> str:
    """Adds a word to a line, or replaces the one with the same name."""
    try:
        words = shlex.split(text)
    except ValueError:
        return f"{text} {new}"
    name = new.partition("=")[0] if not new.startswith("id=") else new.partition(",")[0]
    kept = [each for each in words if not _is_named(each, name)]
    return " ".join([*map(word, kept), new])


def _is_named(text: str, name: str) -> bool:
    return text == name or text.startswith((f"{name}=", f"{name},"))
