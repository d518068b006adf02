"""The keys of a text that is edited, but for those of its screen."""

from __future__ import annotations

from textual.binding import Binding, BindingType


def _key(keys: str, action: str, what: str, name: str) -> Binding:
    return Binding(keys, action, what, id=f"text.{name}", show=False)


BINDINGS: list[BindingType] = [
    _key("up", "cursor_up", "Up", "up"),
    _key("down", "cursor_down", "Down", "down"),
    _key("left", "cursor_left", "Left", "left"),
    _key("right", "cursor_right", "Right", "right"),
    _key("ctrl+left,alt+b", "cursor_word_left", "Word left", "word_left"),
    _key("ctrl+right,alt+f", "cursor_word_right", "Word right", "word_right"),
    _key("home", "cursor_line_start", "Beginning of the line", "line_start"),
    _key("end", "cursor_line_end", "End of the line", "line_end"),
    _key("pageup", "cursor_page_up", "Page up", "page_up"),
    _key("pagedown", "cursor_page_down", "Page down", "page_down"),
    _key("ctrl+home,alt+less_than_sign", "text_start", "Beginning of the text", "start"),
    _key("ctrl+end,alt+greater_than_sign", "text_end", "End of the text", "end"),
    _key("shift+up", "cursor_up(True)", "Select up", "select_up"),
    _key("shift+down", "cursor_down(True)", "Select down", "select_down"),
    _key("shift+left", "cursor_left(True)", "Select left", "select_left"),
    _key("shift+right", "cursor_right(True)", "Select right", "select_right"),
    _key("shift+home", "cursor_line_start(True)", "Select to its beginning", "select_start"),
    _key("shift+end", "cursor_line_end(True)", "Select to its end", "select_end"),
    _key("ctrl+a", "select_all", "Select all", "select_all"),
    _key("backspace", "delete_left", "Delete to the left", "delete_left"),
    _key("delete,ctrl+d", "delete_right", "Delete to the right", "delete_right"),
    _key("ctrl+w,alt+backspace", "delete_word_left", "Delete a word left", "delete_word_left"),
    _key("alt+d,alt+delete", "delete_word_right", "Delete a word right", "delete_word_right"),
    _key("ctrl+u", "delete_to_start_of_line", "Delete to the line's beginning", "delete_start"),
    _key(
        "ctrl+k",
        "delete_to_end_of_line_or_delete_line",
        "Delete to the line's end",
        "delete_end",
    ),
    _key("ctrl+x", "cut", "Cut the selection, or the line", "cut"),
    _key("ctrl+c", "copy", "Copy the selection, or the line", "copy"),
    _key("ctrl+v", "paste", "Paste what was cut or copied here", "paste"),
    _key("ctrl+z", "undo", "Undo", "undo"),
    _key("ctrl+y", "redo", "Redo", "redo"),
    _key("shift+tab", "unindent", "Less indented", "unindent"),
]
