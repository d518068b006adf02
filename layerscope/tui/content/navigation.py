"""Goes to a place in a file once the rows up to it are known."""

from __future__ import annotations

from layerscope.text import visible
from layerscope.tui.content.view import ContentView
from layerscope.tui.content.work import OpenFile


class Navigation:
    """The place that the user asked for: a byte, a line, or the end."""

    def __init__(self, file: OpenFile, view: ContentView) -> None:
        self._file = file
        self._view = view
        self._byte: int | None = None
        self._line: int | None = None
        self._to_end = False

    def forget(self) -> None:
        self._byte = self._line = None
        self._to_end = False

    @property
    def waiting(self) -> bool:
        return self._to_end or self._byte is not None or self._line is not None

    @property
    def here(self) -> int:
        view = self._view
        first, last = view.visible_rows
        if view.rows is None or last < first or not view.rows.count or view.top < view.prelude:
            return 0
        return view.rows.offset_of(min(first, view.rows.count - 1))

    def to_byte(self, offset: int, *, context: bool = False) -> None:
        """Goes to a byte; with `context`, leaves some rows above it if it was not visible."""
        file, rows = self._file, self._view.rows
        if rows is None:
            return
        self.forget()
        index = file.text.index
        if not file.hex and offset >= index.offset and not index.complete:
            self._byte = offset
            file.want(offset + 1)
            return
        column = 0 if file.hex else file.text.column_at(offset)
        above = self._view.page_size // 3 if context else 0
        self._view.go_to(rows.row_at(offset), column, context=above)

    def to_line(self, line: int) -> None:
        self.forget()
        index = self._file.text.index
        if line >= index.lines and not index.complete:
            self._line = line
            self._file.want(self._file.content.size)
        else:
            self._view.go_to(index.row_of_line(line))

    def to_end(self) -> None:
        """Goes to the end, once it is known; the view is at the last known row already."""
        file = self._file
        if not file.text.index.complete and (not file.hex or file.streaming):
            self.forget()
            self._to_end = True
            file.want(file.content.size)

    def arrive(self) -> None:
        """Goes to the requested place if it is known by now."""
        index = self._file.text.index
        if self._byte is not None:
            self.to_byte(self._byte, context=True)
        elif self._line is not None and (self._line < index.lines or index.complete):
            self.to_line(self._line)
            self._file.rest()
        elif self._to_end and index.complete:
            self._to_end = False
            self._view.action_last()

    def to(self, text: str) -> str:
        """Goes to a typed line, offset or percentage; returns a message, or ""."""
        size = self._file.content.size
        text = text.strip().lower().replace(",", "")
        try:
            if text.endswith("%"):
                offset = int(size * float(text[:-1]) / 100)
            elif text.startswith("0x"):
                offset = int(text, 16)
            elif self._file.hex:
                offset = int(text)
            else:
                self.to_line(max(0, int(text) - 1))
                return ""
        except (ValueError, OverflowError):
            return f"{visible(text[:40])} is not a line, an offset such as 0x1f0, or 50%."
        self.to_byte(max(0, min(size - 1, offset)))
        return ""
