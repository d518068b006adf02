"""The copy menu: the texts that can be copied on a screen, and their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual import events
from textual.app import App, ComposeResult

from layerscope.text import decode, shell_quoted, visible, visible_lines
from layerscope.tui.base_app import app_of
from layerscope.tui.base_screen import AppModal
from layerscope.tui.destinations import Place
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.format import Line, cut, left
from layerscope.tui.rows.row_view import RowView

#: What can be copied: a key and a description each.
_KINDS = {
    "path": ("p", "path"),
    "reference": ("r", "image reference"),
    "image": ("i", "image id"),
    "diff_id": ("l", "layer diff id"),
    "digest": ("d", "layer digest"),
    "instruction": ("c", "instruction"),
    "row": ("y", "row as text"),
}


@dataclass(frozen=True, slots=True)
class Copy:
    name: str
    label: str
    text: str  # Safe on a terminal; empty if not available.
    quoted: bool = False  # Whether control characters were escaped.
    problem: str = ""  # Why the text is empty.


def ask(app: App[Any], place: Place) -> None:
    """Shows what can be copied, and copies the choice."""

    def chosen(copy: Copy | None) -> None:
        if copy is not None:
            quoted = ", with its control characters quoted" if copy.quoted else ""
            app_of(app).copy(copy.text, f"{copy.label}{quoted}")

    app.push_screen(CopyScreen(copies(place)), chosen)


def copies(place: Place) -> list[Copy]:
    """Returns what can be copied, in the order of the list."""
    reference, identifier = _image(place)
    diff_id, digest, instruction, problem = _layer(place)
    no_image = "no image here"
    return [
        _copy("path", _path(place), "no file is shown"),
        _copy("reference", reference, no_image),
        _copy("image", identifier, no_image),
        _copy("diff_id", diff_id, problem),
        _copy("digest", digest, problem or "it is not known"),
        _copy("instruction", instruction, problem or "it is not known"),
        _copy("row", place.text(), "no row here"),
    ]


def _copy(name: str, text: str, problem: str) -> Copy:
    # A name may be pasted into a shell, so it must not end the line. An instruction has lines.
    safe = visible_lines(text) if name == "instruction" else shell_quoted(text)
    return Copy(name, _KINDS[name][1], safe, safe != text, "" if text else problem)


def _path(place: Place) -> str:
    if place.path is not None:
        return f"/{decode(place.path)}"
    if place.view is None or place.node is None:
        return ""
    return f"/{decode(place.view.stack.tree.path(place.node))}"


def _image(place: Place) -> tuple[str, str]:
    """Returns reference and id of the image under the cursor of the list, or of the open one."""
    if place.pane == "images":
        return ("", "") if place.listed is None else (place.listed.name, place.listed.id)
    image = place.image or (None if place.session is None else place.session.image)
    return (place.reference, "") if image is None else (image.reference, image.id)


def _layer(place: Place) -> tuple[str, str, str, str]:
    """Returns diff_id, digest and instruction of the layer under the cursor, and the problem."""
    image = place.image or (None if place.session is None else place.session.image)
    if image is None:
        return "", "", "", "no image is open"
    if place.layer is None or place.layer >= len(image.layers):
        return "", "", "", "this step has no layer"
    layer = image.layers[place.layer]
    entries = (entry.created_by for entry in image.history if entry.layer == place.layer)
    instruction = next(entries, layer.instruction or "")
    return layer.diff_id or "", layer.digest or "", instruction, ""


class _Rows(RowView, can_focus=False):
    HAS_CURSOR = False

    def __init__(self, copies: Sequence[Copy]) -> None:
        super().__init__("copy-rows")
        self._copies = copies

    def on_mount(self) -> None:
        self.set_texts("Copy", "esc goes back")
        self.set_rows(len(self._copies))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        screen = self.screen
        if offset is not None and isinstance(screen, CopyScreen):
            row = offset.y + self.top
            if row < len(self._copies):
                screen.action_take(self._copies[row].name)

    def row(self, row: int, width: int) -> Line:
        """Returns a key, what it copies, and the beginning of the text."""
        each = self._copies[row]
        colors = self.palette
        key = left(key_of(self, f"copy.{each.name}"), 3)
        room = max(0, width - 25)
        if each.problem:
            text = left(f" {key} {each.label}", 24)
            return [(text, colors.faint), (cut(each.problem, room), colors.faint)]
        shown = cut(visible(each.text[:1000]), room)
        return [
            (f" {key} ", colors.accent),
            (left(each.label, 19), colors.text),
            (shown, colors.muted),
        ]


class CopyScreen(AppModal[Copy | None], screen="copy", heading="Copying"):
    CSS_PATH = "copy.tcss"
    KEYS = (
        *(
            Key(f"copy.{name}", key, f"take('{name}')", f"Copy the {label}")
            for name, (key, label) in _KINDS.items()
        ),
        Key("copy.back", "escape,q", "dismiss(None)", "Back"),
    )

    def __init__(self, copies: Sequence[Copy]) -> None:
        super().__init__()
        self._copies = {each.name: each for each in copies}
        self._rows = _Rows(copies)

    def compose(self) -> ComposeResult:
        yield self._rows

    def action_take(self, name: str) -> None:
        """Returns the text, if there is one."""
        if not self._copies[name].problem:
            self.dismiss(self._copies[name])
