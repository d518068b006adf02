"""The key map: all actions by id, with their keys after applying the settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from textual.app import App
from textual.binding import Binding
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, key_to_character
from textual.screen import Screen

from layerscope.config import Settings
from layerscope.text import visible
from layerscope.tui.destinations import Room
from layerscope.tui.keys.key import Keyed
from layerscope.tui.rows.row_view import RowView

_LISTED = "`layerscope config` lists all bindings"


def owners(rooms: Iterable[Room]) -> list[type[Keyed]]:
    """Returns all screens and panes with keys, in the order of the help page."""
    return [owner for room in rooms for owner in room.keyed()]


def meet(one: type[Keyed], other: type[Keyed]) -> bool:
    """Whether the keys of both can be active at the same time."""
    if one is other:
        return True
    if _has_focus_alone(one) and _has_focus_alone(other):
        return False
    return not one.SCREEN or not other.SCREEN or one.SCREEN == other.SCREEN


def _has_focus_alone(owner: type[Keyed]) -> bool:
    """Whether it is a pane, of which only one has the focus at a time."""
    return not issubclass(owner, Screen | App) and owner is not RowView


@dataclass(frozen=True, slots=True)
class Bound:
    """An action and its keys."""

    id: str  # Its name in the settings file.
    keys: tuple[str, ...]  # By Textual's names.
    what: str  # A description of the action.
    owner: type[Keyed]  # The screen or pane that has it.


def all_bound(rooms: Iterable[Room]) -> dict[str, Bound]:
    found: dict[str, Bound] = {}
    for owner in owners(rooms):
        for key in owner.__dict__.get("KEYS", ()):
            known = found[key.id].keys if key.id in found else ()
            keys = (*known, *(binding.key for binding in key.bindings()))
            found[key.id] = Bound(key.id, keys, key.text, owner)
    return found


def checked_keymap(settings: Settings, rooms: Iterable[Room]) -> dict[str, str]:
    """Returns the key map of the settings, for `App.set_keymap`.

    Drops unknown ids, unknown keys, and keys with another meaning in the same place, with a
    warning.
    """
    if not settings.keys:
        return {}
    bound = all_bound(rooms)
    for name in list(settings.keys):
        if name not in bound:
            settings.drop_key(name, f"there is no binding {visible(name)!r}; {_LISTED}")
            continue
        keys = tuple(_normal(key) for key in settings.keys[name])
        unknown = [key for key in keys if not _exists(key)]
        if unknown:
            settings.drop_key(name, f"{name}: there is no key {visible(unknown[0])!r}")
        else:
            settings.keys[name] = keys
    while clash := next(_clashes(settings.keys, bound), None):
        name, key, other = clash
        what = f"{other.id} ({other.what})" if other.what else other.id
        settings.drop_key(name, f"{name}: the key {visible(key)} is taken by {what}")
    return {name: ",".join(keys) for name, keys in settings.keys.items()}


def _clashes(
    wanted: Mapping[str, tuple[str, ...]], bound: Mapping[str, Bound]
) -> Iterator[tuple[str, str, Bound]]:
    """Yields ids whose keys have another meaning in the same place, the last in the file first."""
    for name in reversed(list(wanted)):
        for key in wanted[name]:
            # Actions may share a default key; the nearer one takes precedence.
            if key in bound[name].keys:
                continue
            for other in bound.values():
                if other.id == name or not meet(other.owner, bound[name].owner):
                    continue
                if key in wanted.get(other.id, other.keys):
                    yield name, key, other


_NAMED = frozenset(key.value for key in Keys) | frozenset(KEY_NAME_REPLACEMENTS.values())
_MODIFIERS = re.compile(r"^(?:(?:ctrl|shift|alt|super|meta|hyper)\+)*")


def _normal(key: str) -> str:
    if len(key) == 1:
        binding = next(iter(Binding.make_bindings([(key, "x", "x")])))
        return binding.key
    return key


def _exists(key: str) -> bool:
    if key in _NAMED:
        return True
    name = _MODIFIERS.sub("", key)
    return bool(name) and (len(name) == 1 or name in _NAMED or key_to_character(name) is not None)
