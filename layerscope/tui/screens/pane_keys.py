"""What screens with several panes have in common: the keys that go from one to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget

T = TypeVar("T")

#: The kinds of changes that a key shows and hides.
_KINDS = {"a": "added", "r": "removed", "m": "modified", "u": "unchanged"}


def pane_bindings(scope: str, names: Mapping[str, str] | None = None) -> list[BindingType]:
    """Keys that go to the panes of a screen.

    Args:
        scope: What the ids of the screen's bindings begin with.
        names: What each pane is called, by its id, in the order of their numbers; without them
            there is no key for each.
    """
    numbered: list[BindingType] = [
        Binding(
            str(number),
            f"pane('{pane}')",
            name,
            tooltip=f"Go to the {name.lower()}",
            id=f"{scope}.{pane}",
        )
        for number, (pane, name) in enumerate((names or {}).items(), 1)
    ]
    return [
        *numbered,
        Binding("tab", "next_pane(1)", "Pane", tooltip="Next pane", id=f"{scope}.next_pane"),
        Binding("shift+tab", "next_pane(-1)", "Previous pane", id=f"{scope}.previous_pane"),
    ]


def zoom_binding(scope: str) -> Binding:
    """The key that gives a pane the whole screen."""
    tooltip = "Give a pane the whole screen"
    return Binding("z", "zoom", "Zoom", tooltip=tooltip, id=f"{scope}.zoom")


def match_bindings(scope: str) -> list[BindingType]:
    """Keys that go from match to match."""
    return [
        Binding("n", "next_match(1)", "Next match", id=f"{scope}.next_match"),
        Binding("N", "next_match(-1)", "Previous match", id=f"{scope}.previous_match"),
    ]


def tree_bindings(scope: str) -> list[BindingType]:
    """Keys that say which changes a file tree shows, and in which order."""
    kinds: list[BindingType] = [
        Binding(key, f"show_kind('{kind}')", f"Show or hide {kind}", id=f"{scope}.{kind}")
        for key, kind in _KINDS.items()
    ]
    return [
        *kinds,
        Binding("s", "sort", "Sort", tooltip="Sort by the next column", id=f"{scope}.sort"),
        Binding("S", "reverse", "Reverse", tooltip="Reverse the order", id=f"{scope}.reverse"),
    ]


class PaneKeys(Screen[T], inherit_bindings=False):
    """A screen whose panes take the focus in turn."""

    @property
    def panes(self) -> Sequence[Widget]:
        """The panes that can be gone to, in the order of their numbers."""
        raise NotImplementedError

    @property
    def ring(self) -> Sequence[Widget]:
        """Those of them that `tab` goes round."""
        return self.panes

    @property
    def pane(self) -> Widget | None:
        """The pane that one goes on from."""
        return self.focused

    def go(self, pane: Widget) -> None:
        """Gives a pane the focus."""
        self.set_focus(pane, scroll_visible=False)

    def action_pane(self, name: str) -> None:
        """Goes to the pane with an id."""
        for pane in self.panes:
            if pane.id == name:
                self.go(pane)

    def action_next_pane(self, step: int) -> None:
        """Goes to the next or previous pane, and round."""
        ring, pane = self.ring, self.pane
        place = ring.index(pane) if pane in ring else 0
        self.go(ring[(place + step) % len(ring)])

    def action_zoom(self) -> None:
        """Gives a pane the whole screen, or takes it back."""
        self.toggle_class("-zoomed")
