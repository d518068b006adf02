"""A key as one record: the keys to press, the action, and its texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.actions import parse
from textual.binding import Binding, BindingType
from textual.dom import DOMNode

#: As `textual.actions.parse` returns it.
ParsedAction = tuple[str, str, tuple[object, ...]]
#: Ranks in the key bar.
FIRST, USUAL, LAST, ALWAYS = range(4)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a screen or pane: the source of bindings, key bar, help and palette."""

    id: str  # Its name in the settings file; must never change.
    keys: str  # The default keys, comma-separated, by Textual's names.
    #: The owner's action: `cancel` calls `action_cancel`, `visit('waste')` opens a screen.
    action: str
    label: str  # One or two words, for the key bar.
    tip: str = ""  # A sentence for help and palette; the label by default.
    #: Takes the owner; returns a sentence on why the key is not available now, or "".
    why_not: Callable[[Any], str] | None = None
    #: Ids of the panes that show it in the key bar, separated by spaces; `*` for all panes.
    hint: str = ""
    rank: int = USUAL  # Its place in the key bar: `FIRST`, `USUAL`, `LAST` or `ALWAYS`.
    #: A common label for adjacent keys, which the key bar shows as one.
    group: str = ""
    #: Takes the owner; returns the current label, if it changes.
    label_now: Callable[[Any], str] | None = None
    priority: bool = False  # Whether it is handled before the focused widget.

    @property
    def text(self) -> str:
        return self.tip or self.label

    def binding(self) -> Binding:
        return Binding(
            self.keys, self.action, self.label, tooltip=self.tip, id=self.id, priority=self.priority
        )

    def bindings(self) -> list[Binding]:
        return list(Binding.make_bindings([self.binding()]))

    def hinted_in(self, pane: str) -> bool:
        return self.hint == "*" or pane in self.hint.split()


class Keyed:
    """A screen, pane or app with keys; comes before Textual's class in the bases."""

    BINDINGS: ClassVar[list[BindingType]]
    KEYS: ClassVar[tuple[Key, ...]] = ()  # Its own keys; base classes add theirs.
    HEADING: ClassVar[str] = ""  # The heading of its keys on the help page.
    SCREEN: ClassVar[str] = ""  # The screen that it is or belongs to; empty if several.
    _reasons: ClassVar[dict[tuple[str, tuple[Any, ...]], Callable[[Any], str]]] = {}

    def __init_subclass__(cls, screen: str = "", heading: str = "", **options: Any) -> None:
        cls.SCREEN, cls.HEADING = screen or cls.SCREEN, heading or cls.HEADING
        if "KEYS" in cls.__dict__:
            cls.BINDINGS = [key.binding() for key in cls.KEYS]
        cls._reasons = {
            _called(key.action): key.why_not
            for owner in reversed(cls.__mro__)
            for key in owner.__dict__.get("KEYS", ())
            if key.why_not is not None
        }
        super().__init_subclass__(**options)

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Returns a sentence on why an action is not available now, or ""."""
        ask = self._reasons.get((action, parameters))
        return ask(self) if ask is not None else ""


def _called(action: str) -> tuple[str, tuple[Any, ...]]:
    _, name, parameters = parse(action)
    return name, parameters


def why_not(node: DOMNode, action: str | ParsedAction) -> str:
    """Returns a sentence on why an action of a node or its screen is not available now, or ""."""
    namespace, name, parameters = parse(action) if isinstance(action, str) else action
    owner: object = node.screen if namespace == "screen" else node
    return owner.why_not(name, parameters) if isinstance(owner, Keyed) else ""


def keys_of(owner: type) -> Iterator[Key]:
    """Yields the keys of a screen or pane: its own, then those of its base classes."""
    for each in owner.__mro__:
        yield from each.__dict__.get("KEYS", ())


def find_key(owner: type, name: str) -> Key | None:
    return next((key for key in keys_of(owner) if key.id == name), None)
