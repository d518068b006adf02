"""Asks what to build, and shows what would be sent."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widgets import Input, Static

from layerscope.build.asked import MANY, Answer, Asked, answer, asked_of, typed
from layerscope.build.offer import Offer
from layerscope.build.request import BuildRequest
from layerscope.tui._textual_compat import action_of_key
from layerscope.tui.build_look import BuildersSeen, BuildLook, ContextSeen, DockerfileSeen
from layerscope.tui.path_completion import PathSuggester
from layerscope.tui.screens.build_offers import Known, note_of, rows_of, title_of, word
from layerscope.tui.widgets.key_bar import KeyBar, Saying
from layerscope.tui.widgets.offer_list import OfferList
from layerscope.tui.widgets.text_entry import TextEntry
from layerscope.tui.widgets.title_bar import TitleBar
from layerscope.tui.widgets.toggle import Toggle

if TYPE_CHECKING:
    from layerscope.errors import LayerscopeError

#: Name, what it is called, and what is shown while it is empty.
FIELDS = (
    ("context", "Context", "the current folder"),
    ("dockerfile", "Dockerfile", "the context's Dockerfile or Containerfile"),
    ("tags", "Tags", "name:tag, several with blanks between"),
    ("target", "Target", "the last stage"),
    ("build_args", "Arguments", "NAME=VALUE, several with blanks between"),
    ("secrets", "Secrets", "id=NAME,src=FILE or id=NAME,env=VARIABLE"),
    ("platform", "Platform", "the engine's own"),
    ("network", "Network", "of RUN steps: the engine's choice"),
    ("builder", "Builder", "auto"),
    ("labels", "Labels", "NAME=VALUE, several with blanks between"),
)
TOGGLES = (("no_cache", "run every step"), ("pull", "look for newer bases"))
HINTS = {
    "offers": ("build_offers.take", "build_offers.leave"),
    "": (
        "build_form.build",
        "build_form.next",
        "build_form.choose",
        "build_form.toggle",
    ),
    "end": ("build_form.back",),
}
#: Seconds that typing has to pause before a folder is looked through.
_PAUSE = 0.3


class FieldEntry(TextEntry):
    """A field; what was pressed while it had the focus is typed into it."""

    GIVES_BACK = False

    async def _on_key(self, event: events.Key) -> None:
        """Does at once what a key asks for, so that none behind it overtakes it."""
        action = action_of_key(self, event.key)
        if action is not None:
            event.stop()
            event.prevent_default()
            await self.run_action(action)


class FieldSuggester(Suggester):
    """Offers the rest of what is typed, out of what the list below the fields has."""

    def __init__(self, name: str, form: BuildForm) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._name, self._form = name, form

    async def get_suggestion(self, value: str) -> str | None:
        """The whole value, or None."""
        values = (row.value for row in rows_of(self._name, self._form.known))
        found = (each for each in values if each and value and each.startswith(value))
        return next((each for each in found if each.isprintable()), None)


class BuildForm(Saying, Screen[BuildRequest | None], inherit_bindings=False):
    """The fields of a build; gives the build, or None.

    Attributes:
        known: What is known around the fields.
    """

    CSS_PATH = "build_form.tcss"
    AUTO_FOCUS = "#field-context"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", key_display="esc", id="build_form.back"),
        Binding(
            "enter",
            "build",
            "Build",
            key_display="enter",
            tooltip="Build it",
            id="build_form.build",
            priority=True,
        ),
        Binding(
            "tab,down",
            "field(1)",
            "Next",
            key_display="tab",
            tooltip="Next field",
            id="build_form.next",
            priority=True,
        ),
        Binding(
            "shift+tab,up",
            "field(-1)",
            "Before",
            tooltip="Field before",
            id="build_form.before",
            priority=True,
        ),
        Binding(
            "ctrl+n",
            "choose",
            "Choose",
            tooltip="Choose from the list below the fields, or read on in it",
            id="build_form.choose",
            priority=True,
        ),
    ]

    def __init__(self, known: BuildRequest | None = None, folder: Path | None = None) -> None:
        """Makes the form.

        Args:
            known: What was built last, to begin with.
            folder: The folder that names are relative to; None for the current one.
        """
        super().__init__()
        self._folder = folder or Path.cwd()
        first = Asked(".") if known is None else asked_of(known, self._folder)
        self.known = Known(first)
        self._first = first
        self._at = "context"
        self._shown = ""
        self._place: tuple[Path | None, Path | None] = (None, None)
        self._pause: Timer | None = None
        self._look = BuildLook(self.post_message, self._folder)
        self._title = TitleBar()
        self._list = OfferList(self._take)
        self.keys = KeyBar(HINTS)

    # The fields.

    def compose(self) -> ComposeResult:
        """Title, fields, what they offer, keys."""
        values = _values(self._first)
        yield self._title
        with Vertical(id="fields"):
            for name, label, hint in FIELDS:
                with Horizontal(classes="field", id=f"row-{name}"):
                    yield Static(Content(label), classes="label")
                    yield FieldEntry(
                        id=f"field-{name}",
                        value=values[name],
                        placeholder=hint,
                        suggester=PathSuggester()
                        if name in ("context", "dockerfile")
                        else FieldSuggester(name, self),
                    )
                    yield Static(classes="note", id=f"note-{name}")
            with Horizontal(classes="field"):
                yield Static(Content("Options"), classes="label")
                for name, label in TOGGLES:
                    yield Toggle(f"field-{name}", label)
        yield self._list
        yield self.keys

    def on_mount(self) -> None:
        """Ready to type."""
        self._title.set_image("Build an image", "")
        self._look.builders()
        self._check()

    def on_unmount(self) -> None:
        """Stops looking."""
        self._look.leave()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Says at once what is wrong."""
        event.stop()
        self._check()

    def on_toggle_changed(self, event: Toggle.Changed) -> None:
        """Notes an option."""
        event.stop()
        self._check()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Offers what can stand in another field."""
        name = (event.widget.id or "").removeprefix("field-")
        if name != event.widget.id:
            for row in self.query(".field"):
                row.set_class(event.widget in row.children, "-at")
            self._at = name
            self._show_list()

    def _typed(self) -> tuple[Asked, dict[str, LayerscopeError]]:
        values = {name: self._entry(name).value for name, _, _ in FIELDS}
        on = {name: self.query_one(f"#field-{name}", Toggle).on for name, _ in TOGGLES}
        if self._without_secrets(values["builder"].strip()):
            values["secrets"] = ""
        asked, problems = typed(values, on)
        # What has no field of its own is as it was.
        return replace(asked, export=self._first.export), problems

    def _answer(self, offer: Offer | None) -> Answer:
        asked, problems = self._typed()
        found = answer(asked, self._folder, offer, self.known.builders)
        found.problems |= problems
        self.known.asked, self.known.problems = asked, found.problems
        return found

    def _check(self) -> None:
        """Reads the fields, and shows what there is to say to them."""
        # What is not read yet cannot be wrong.
        found = self._answer(self.known.offer or Offer(own_syntax=True))
        place = (found.context, found.dockerfile)
        if place != self._place:
            before, self._place = self._place, place
            if found.dockerfile != before[1]:
                self.known.offer = self.known.last = None
                if found.dockerfile is not None:
                    self._look.dockerfile(found.dockerfile)
            self.known.context, self.known.context_problem = None, ""
            self.known.dockerfiles = ()
            self._look.leave()
            if self._pause is not None:
                self._pause.stop()
            if before == (None, None):
                self._look_through()
            else:
                self._pause = self.set_timer(_PAUSE, self._look_through)
        self._show()

    def _look_through(self) -> None:
        context, dockerfile = self._place
        if context is not None:
            self._look.context(context, dockerfile or context / "Dockerfile")

    def _without_secrets(self, builder: str) -> str:
        builders = self.known.builders
        return "" if builders is None else builders.without_secrets(builder or "auto")

    # What has been looked at.

    def on_builders_seen(self, message: BuildersSeen) -> None:
        """Knows which builders there are."""
        self.known.builders, self.known.engine_problem = message.builders, message.problem
        if message.builders is not None:
            self._title.set_right(message.builders.engine)
            own = message.builders.platform
            if own:
                self._entry("platform").placeholder = f"{own}, the engine's own"
        self._check()

    def on_dockerfile_seen(self, message: DockerfileSeen) -> None:
        """Knows what the Dockerfile offers."""
        if message.path == self._place[1]:
            self.known.offer, self.known.last = message.offer, message.last
            self._check()

    def on_context_seen(self, message: ContextSeen) -> None:
        """Knows what would be sent."""
        context = self._place[0]
        if context is not None and message.place[0] == context:
            self.known.context = message.context
            self.known.context_problem = message.problem
            self.known.dockerfiles = message.dockerfiles
            self._show()

    # What is shown.

    def _show(self) -> None:
        for name, _, _ in FIELDS:
            text, warns = note_of(name, self.known)
            note = self.query_one(f"#note-{name}", Static)
            if str(note.content) != text:
                note.update(Content(text))
            note.set_class(warns, "-warning")
        without = bool(self._without_secrets(self.known.asked.builder))
        self.query_one("#row-secrets").set_class(without, "-without")
        self._entry("secrets").disabled = without
        self._show_list()

    def _show_list(self) -> None:
        stay, self._shown = self._at == self._shown, self._at
        self._list.show(title_of(self._at, self.known), rows_of(self._at, self.known), stay=stay)

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In the list, its own keys count."""
        return not (action in ("build", "field", "choose") and self.focused is self._list)

    def action_back(self) -> None:
        """Builds nothing."""
        self.dismiss(None)

    def action_field(self, step: int) -> None:
        """Goes to another field."""
        names = [name for name, *_ in (*FIELDS, *TOGGLES)]
        fields = [self.query_one(f"#field-{name}") for name in names]
        fields = [field for field in fields if not field.disabled]
        focused = self.focused
        if focused in fields:
            self.set_focus(fields[(fields.index(focused) + step) % len(fields)])

    def action_fields(self) -> None:
        """Goes from the list to its field."""
        self.set_focus(self.query_one(f"#field-{self._at}"))

    def action_choose(self) -> None:
        """Goes from a field to its list."""
        self._list.go_to(str(getattr(self.known.asked, self._at)))
        self.set_focus(self._list)

    def _take(self) -> None:
        """Puts what was chosen into the field."""
        offer = self._list.offer
        if offer is None or offer.value is None:
            self.say("There is nothing to take in this row.")
            return
        if not offer.value.isprintable():
            self.say("It has characters that cannot be typed in a line.")
            return
        entry = self._entry(self._at)
        if self._at in MANY:
            entry.value = _added(entry.value, offer.value)
        else:
            entry.value = offer.value
        entry.cursor_position = len(entry.value)
        self.set_focus(entry)

    def action_build(self) -> None:
        """Gives the build to the one who asked, or says what is wrong."""
        if not self.is_mounted:
            # Typed right behind what opened the form: nobody has seen what it would build.
            return
        # What was typed before is on its way to the field.
        (self.focused or self).call_later(self._build)

    def _build(self) -> None:
        if not self.is_current:
            return
        found = self._answer(None)
        for name, error in found.problems.items():
            self.say(str(error))
            self._show()
            self.set_focus(self.query_one(f"#field-{name}"))
            return
        self.dismiss(found.checked())

    def _entry(self, name: str) -> Input:
        return self.query_one(f"#field-{name}", Input)


def _values(asked: Asked) -> Mapping[str, str]:
    """What is typed in each field to ask for that."""
    values = {}
    for name, _, _ in FIELDS:
        value = getattr(asked, name)
        # A line feed, say, cannot be typed in a line.
        texts = [value] if isinstance(value, str) else value
        texts = [text for text in texts if text.isprintable()]
        values[name] = " ".join(map(word, texts)) if name in MANY else "".join(texts)
    return values


def _added(text: str, new: str) -> str:
    """A line of words with one more, in place of one of the same name."""
    try:
        words = shlex.split(text)
    except ValueError:
        return f"{text} {new}"
    name = new.partition("=")[0] if not new.startswith("id=") else new.partition(",")[0]
    kept = [each for each in words if not _is_named(each, name)]
    return " ".join([*map(word, kept), new])


def _is_named(text: str, name: str) -> bool:
    return text == name or text.startswith((f"{name}=", f"{name},"))
