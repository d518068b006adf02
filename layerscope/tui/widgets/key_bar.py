"""The line at the bottom: the keys that matter in the pane with the focus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.actions import parse
from textual.binding import Binding
from textual.dom import DOMNode
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from layerscope.tui.format import Line, cut
from layerscope.tui.glyphs import level_of, sentence
from layerscope.tui.strips import changed_span
from layerscope.tui.theme import palette


def why_not(node: DOMNode, action: str, parameters: tuple[object, ...]) -> str:
    """Why an action makes no sense now, in a sentence; empty if it does."""
    ask = getattr(node, "why_not", None)
    return "" if ask is None else str(ask(action, parameters))


def key_of(widget: Widget, name: str) -> str:
    """What the key of a binding is called where a widget is; empty if there is none.

    Args:
        widget: A widget, or a screen.
        name: Id of the binding.
    """
    for _, binding, _, _ in widget.screen.active_bindings.values():
        if binding.id == name:
            return widget.app.get_key_display(binding)
    # While something is typed its keys are not active, and will be again.
    keymap: Mapping[str, str] = getattr(widget.app, "keymap", {})
    for node in widget.ancestors_with_self:
        for binding in Binding.make_bindings(type(node).BINDINGS):
            if binding.id == name:
                if name in keymap:
                    binding = binding.with_key(keymap[name].partition(",")[0], None)
                return widget.app.get_key_display(binding)
    return ""


class Saying:
    """What a screen with a key bar has in common: it says sentences there.

    Attributes:
        keys: The bar.
    """

    keys: KeyBar

    def say(self, text: str) -> None:
        """Says a sentence at the bottom, until the next key or click."""
        self.keys.say(text)

    def on_key(self) -> None:
        """What was said has been read. Bindings are looked up later, and may say something."""
        self.keys.say("")

    def on_mouse_down(self) -> None:
        """What was said has been read."""
        self.keys.say("")


class KeyBar(Widget):
    """Keys and what they do, of the bindings that are active."""

    ALLOW_SELECT = False

    def __init__(self, hints: Mapping[str, Sequence[str]]) -> None:
        """Makes a bar.

        Args:
            hints: For the id of a pane, the ids of the bindings to show, most important first,
                several of them as `a.id b.id=What they do together`; those under the empty id
                follow in every pane, and those under `end` always have room.
        """
        super().__init__(id="keys")
        self._hints = hints
        self._strip: Strip | None = None
        self._spans: list[tuple[int, int, str]] = []
        self._said = ""

    def on_mount(self) -> None:
        """Follows the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def say(self, text: str) -> None:
        """Shows a sentence in place of the keys, until the next key or click.

        Args:
            text: Safe to show; empty brings the keys back.
        """
        if text != self._said:
            self._said = text
            self._redraw()

    def notify_style_update(self) -> None:
        """Another theme."""
        self._strip = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """The line."""
        if self._strip is None or self._strip.cell_length != self.size.width:
            self._strip = self._make()
        return self._strip

    def on_click(self, event: events.Click) -> None:
        """A click on a key presses it."""
        for start, end, key in self._spans:
            if start <= event.x < end:
                self.app.simulate_key(key)

    def _bindings_changed(self, _screen: Screen[object]) -> None:
        self._redraw()

    def _redraw(self) -> None:
        if not self.size.width or not self.is_attached:
            return
        old, new = self._strip, self._make()
        span = (0, self.size.width) if old is None else changed_span(old, new)
        self._strip = new
        if span is not None:
            self.refresh(Region(span[0], 0, span[1] - span[0], 1))

    def _make(self) -> Strip:
        colors = palette(self.app)
        width = self.size.width
        if self._said:
            self._spans = []
            return self._finished([(f" {cut(self._said, width - 2)}", colors.warning)])
        focused = self.screen.focused
        pane = focused.id if focused is not None and focused.id else ""
        active: dict[str, Binding] = {}
        for node, binding, enabled, _ in self.screen.active_bindings.values():
            if not binding.id or not enabled:
                continue
            _, action, parameters = parse(binding.action)
            if not why_not(node, action, parameters):
                active.setdefault(binding.id, binding)
        end = self._hints_of(self._hints.get("end", ()), active)
        room = width - sum(cell_len(f" {key} {text} ") for key, text, _ in end)
        line: Line = []
        used = 0
        self._spans = []
        wanted = self._hints_of((*self._hints.get(pane, ()), *self._hints.get("", ())), active)
        for key, text, pressed in [*wanted, *end]:
            size = cell_len(f" {key} {text} ")
            if (key, text, pressed) in end:
                room = width
            if used + size > room:
                continue
            self._spans.append((used, used + size, pressed))
            used += size
            line += [(f" {key}", colors.accent), (f" {text} ", colors.muted)]
        return self._finished(line)

    def _finished(self, line: Line) -> Strip:
        colors = palette(self.app)
        return (
            Strip([Segment(text, style) for text, style in line])
            .adjust_cell_length(self.size.width, colors.text)
            .apply_style(colors.base)
        )

    def _hints_of(
        self, hints: Sequence[str], active: Mapping[str, Binding]
    ) -> list[tuple[str, str, str]]:
        """Keys as shown, what they do, and the key that a click presses."""
        found = []
        for hint in hints:
            names, _, label = hint.partition("=")
            bindings = [active[name] for name in names.split() if name in active]
            if bindings:
                keys = " ".join(self.app.get_key_display(binding) for binding in bindings)
                text = sentence(label or bindings[0].description, level_of(self.app))
                found.append((keys, text, bindings[0].key))
        return found
