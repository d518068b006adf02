"""Keys shared by several screens, with separate ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from layerscope.tui.keys.key import FIRST, LAST, Key

#: The keys that show and hide kinds of changes.
_KINDS = {"a": "added", "r": "removed", "m": "modified", "u": "unchanged"}


_Reason = Callable[[Any], str]


def pane_keys(
    scope: str,
    #: Names of panes by id, in the order of their numbers; others get no key.
    names: Mapping[str, str] | None = None,
    #: Called with the screen and a pane, or "" for the next one; see `Key`.
    why_not: Callable[[Any, str], str] | None = None,
) -> tuple[Key, ...]:

    def reason(pane: str) -> _Reason | None:
        return None if why_not is None else lambda owner: why_not(owner, pane)

    numbered = (
        Key(
            f"{scope}.{pane}",
            str(number),
            f"pane('{pane}')",
            name,
            f"Go to the {name.lower()}",
            reason(pane),
        )
        for number, (pane, name) in enumerate((names or {}).items(), 1)
    )
    return (
        *numbered,
        Key(
            f"{scope}.next_pane", "tab", "next_pane(1)", "Pane", "Next pane", reason(""), "*", LAST
        ),
        Key(
            f"{scope}.previous_pane",
            "shift+tab",
            "next_pane(-1)",
            "Previous pane",
            why_not=reason(""),
        ),
    )


def zoom_key(scope: str, hint: str = "", why_not: _Reason | None = None) -> Key:
    return Key(f"{scope}.zoom", "z", "zoom", "Zoom", "Give a pane the whole screen", why_not, hint)


def back_key(
    scope: str, keys: str = "escape", tip: str = "", why_not: _Reason | None = None
) -> Key:
    return Key(f"{scope}.back", keys, "back", "Back", tip, why_not, "*", LAST)


def cancel_key(scope: str, tip: str, why_not: _Reason | str) -> Key:
    """`why_not` as a sentence applies while the work group named after the screen is idle."""

    def idle(screen: Any) -> str:
        return "" if screen.work.busy(scope) else str(why_not)

    reason = idle if isinstance(why_not, str) else why_not
    return Key(f"{scope}.cancel", "ctrl+k", "cancel", "Cancel", tip, reason, "*", FIRST)


def open_key(name: str, label: str, tip: str, empty: str, hint: str = "*") -> Key:
    """Returns the key that opens the row under the cursor; `empty` is shown without a row."""
    return Key(name, "enter", "choose", label, tip, lambda rows: "" if rows.items else empty, hint)


def step_keys(
    action: str,
    *ways: tuple[str, str, int, str, str],
    why_not: _Reason | None = None,
    hint: str = "",
    group: str = "",
) -> tuple[Key, ...]:
    """Returns keys for one action with different steps."""
    return tuple(
        Key(name, key, f"{action}({step})", label, tip, why_not, hint, group=group)
        for name, key, step, label, tip in ways
    )


def match_keys(
    scope: str, why_not: _Reason | None = None, hint: str = "", keys: tuple[str, str] = ("n", "N")
) -> tuple[Key, ...]:
    return step_keys(
        "next_match",
        (f"{scope}.next_match", keys[0], 1, "Next match", ""),
        (f"{scope}.previous_match", keys[1], -1, "Previous match", ""),
        why_not=why_not,
        hint=hint,
        group="Match",
    )


def tree_keys(scope: str, why_not: _Reason | None = None, hint: str = "") -> tuple[Key, ...]:
    """Returns keys that choose which changes a file tree shows."""
    return tuple(
        Key(
            f"{scope}.{kind}",
            key,
            f"show_kind('{kind}')",
            f"Show or hide {kind}",
            "",
            why_not,
            hint,
            group="Kinds",
        )
        for key, kind in _KINDS.items()
    )


def file_keys(scope: str) -> tuple[Key, ...]:
    """Returns keys that open the content and the versions of a path."""
    tip = "Show and compare the versions of the path"
    return (
        Key(f"{scope}.content", "v", "visit('content')", "View", "Show the file", None, "files"),
        Key(f"{scope}.versions", "d", "visit('versions')", "Versions", tip, None, "files"),
    )


def copy_key(scope: str) -> Key:
    tip = "Copy a path, an id, a digest, a row"
    return Key(f"{scope}.copy", "y", "visit('copy')", "Copy", tip, None, "*", LAST)


def sort_keys(scope: str, why_not: _Reason | None = None, hint: str = "") -> tuple[Key, ...]:
    ways = (
        ("sort", "s", "Sort", "Sort by the next column"),
        ("reverse", "S", "Reverse", "Reverse the order"),
    )
    return tuple(
        Key(f"{scope}.{name}", key, name, label, tip, why_not, hint, group="Sort")
        for name, key, label, tip in ways
    )
