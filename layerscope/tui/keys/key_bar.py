"""The key bar: the keys of the focused pane."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from rich.cells import cell_len
from textual import events
from textual.binding import Binding
from textual.dom import DOMNode
from textual.widget import Widget

from layerscope.tui.base_app import app_of
from layerscope.tui.keys.key import ALWAYS, LAST, USUAL, Key, find_key, keys_of, why_not
from layerscope.tui.rows.bar import Bar
from layerscope.tui.rows.format import Line
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal.glyphs import sentence

#: The least width of hints, and the most for one outside `Key.hint`.
_LEAST, _MOST = 8, 24


def key_of(widget: Widget, name: str) -> str:
    """Returns the name of an action's key at a widget, or ""."""
    app = app_of(widget)
    for _, binding, _, _ in widget.screen.active_bindings.values():
        if binding.id == name:
            return app.get_key_display(binding)
    # Not from the focus: an input makes keys inactive.
    for node in widget.ancestors_with_self:
        key = find_key(type(node), name)
        if key is not None:
            binding = key.bindings()[0]
            if name in app.keymap:
                binding = binding.with_key(app.keymap[name].partition(",")[0], None)
            return app.get_key_display(binding)
    return ""


@dataclass(frozen=True, slots=True)
class _Hint:
    keys: str
    text: str
    pressed: str
    rank: int
    near: bool  # Whether the key belongs to the focused pane, not to its screen.

    @property
    def cells(self) -> int:
        return cell_len(f" {self.keys} {self.text} ")


class _Found(NamedTuple):
    """An active key; sorts by importance for the focused pane."""

    rank: int
    far: bool  # Whether it is not the pane's own.
    general: bool  # Whether all panes show it.
    depth: int
    order: int
    key: Key
    node: DOMNode
    binding: Binding


class KeyBar(Bar):
    def __init__(self) -> None:
        super().__init__("keys")
        self._spans: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.redraw())

    def on_click(self, event: events.Click) -> None:
        for start, end, key in self._spans:
            if start <= event.x < end:
                self.app.simulate_key(key)

    def line(self, width: int) -> Line:
        colors = app_of(self).palette
        self._spans = []
        hinted, others = self._keys()
        hints = self._hints(hinted)
        # Keys that all panes share stay at the right; the others fill the left.
        room = width
        here: list[_Hint] = []
        fixed: list[_Hint] = []
        for hint in sorted(hints, key=lambda hint: hint.rank != ALWAYS):
            if hint.cells <= room:
                room -= hint.cells
                (fixed if hint.rank >= LAST else here).append(hint)
        fixed.sort(key=lambda hint: hint.rank)
        alone = not here
        if alone:
            here = [hint for hint in fixed if hint.rank != ALWAYS]
            fixed = [hint for hint in fixed if hint.rank == ALWAYS]
        # Keys without a hint fill the rest. Those of the screen stay at the right too, so that
        # little changes with the pane.
        known = {hint.text for hint in hints}
        for hint in self._hints(others) if room >= _LEAST else ():
            if hint.cells < min(room, _MOST) and hint.text not in known:
                room -= hint.cells
                here.append(hint) if hint.near or alone else fixed.insert(0, hint)
        # One colour for all, since each change of pane sends the bar again.
        line: Line = []
        used = 0
        bold = colors.muted + colors.strong
        for place, hint in enumerate([*here, *fixed]):
            if place == len(here) and room:
                line.append((" " * room, colors.muted))
                used += room
            used += hint.cells
            self._spans.append((used - hint.cells, used, hint.pressed))
            line += [(f" {hint.keys}", bold), (f" {hint.text} ", colors.muted)]
        return line

    @property
    def _pane(self) -> str:
        focused = self.screen.focused
        return "" if focused is None else focused.id or ""

    def _keys(self) -> tuple[list[_Found], list[_Found]]:
        """Returns the active keys with a hint for the focused pane, and the others, in order."""
        focused, pane = self.screen.focused, self._pane
        chain = (focused or self.screen).ancestors_with_self
        found: dict[str, _Found] = {}
        for node, binding, enabled, _ in self.screen.active_bindings.values():
            if not binding.id or not enabled or binding.id in found:
                continue
            keys = enumerate(keys_of(type(node)))
            order, key = next(((n, k) for n, k in keys if k.id == binding.id), (0, None))
            if key is not None:
                depth = chain.index(node) if node in chain else len(chain)
                place = (key.rank, depth > 0, depth > 0 and key.hint == "*", depth, order)
                found[binding.id] = _Found(*place, key, node, binding)
        ordered = sorted(found.values(), key=lambda each: each[:5])
        hinted = [each for each in ordered if each.key.hinted_in(pane)]
        return hinted, [each for each in ordered if not each.key.hinted_in(pane) and _acts(each)]

    def _hints(self, found: Iterable[_Found]) -> list[_Hint]:
        """Returns the hints of available keys; a group of keys is one hint.

        Includes keys that the row under the cursor disables: they say why when pressed, and
        hints do not move with the row.
        """
        app = app_of(self)
        pane = self.screen.focused
        stay = isinstance(pane, RowView) and pane.HAS_CURSOR and pane.row_count > 0
        hints: dict[str, _Hint] = {}
        for each in found:
            key = each.key
            near = each.node is pane
            stays = stay and key.rank == USUAL and (near or key.hint == self._pane)
            if why_not(each.node, each.binding.action) and (key.group or not stays):
                continue
            shown = app.get_key_display(each.binding)
            name = key.group or key.id
            if name in hints:
                hints[name] = replace(hints[name], keys=f"{hints[name].keys} {shown}")
            else:
                label = key.label_now(each.node) if key.label_now else key.label
                text = sentence(key.group or label, app.glyphs)
                hints[name] = _Hint(shown, text, each.binding.key, key.rank, near)
        return list(hints.values())


def _acts(found: _Found) -> bool:
    """Whether a key does more than move the cursor or the focus, or a standard action."""
    key = found.key
    moves = key.action.partition("(")[0] in ("pane", "next_pane")
    usual = key.id.startswith(("rows.", "text.", "app.")) and key.id != "app.jump"
    return not (moves or usual)
