"""Going to a place in the content that a screen shows, as soon as the lines up to it are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.tui.screens.content import ContentScreen


class Going:
    """Where the user wants to be: at a byte, at a line, or at the end."""

    def __init__(self, screen: ContentScreen) -> None:
        self._screen = screen
        self._byte: int | None = None
        self._line: int | None = None
        self._to_end = False

    def forget(self) -> None:
        """Stays where the view is."""
        self._byte = self._line = None
        self._to_end = False

    @property
    def waiting(self) -> bool:
        """Whether the place is not known yet."""
        return self._to_end or self._byte is not None or self._line is not None

    @property
    def here(self) -> int:
        """The byte that the first visible row begins with."""
        view = self._screen.view
        first, last = view.visible_rows
        if view.rows is None or last < first or not view.rows.count or view.top < view.prelude:
            return 0
        return view.rows.offset_of(min(first, view.rows.count - 1))

    def to_byte(self, offset: int, context: int = 0) -> None:
        """Goes to a byte, with so many rows above it if it was not visible."""
        screen = self._screen
        job, rows = screen.job, screen.view.rows
        if job is None or job.text is None or rows is None:
            return
        self.forget()
        index = job.text.index
        if not screen.hex and offset >= index.offset and not index.complete:
            self._byte = offset
            job.want(offset + 1)
            return
        column = 0 if screen.hex else job.text.column_at(offset)
        screen.view.go_to(rows.row_at(offset), column, context=context)

    def to_line(self, line: int) -> None:
        """Goes to a line, counted from 0."""
        job = self._screen.job
        if job is None or job.text is None or job.content is None:
            return
        self.forget()
        index = job.text.index
        if line >= index.lines and not index.complete:
            self._line = line
            job.want(job.content.size)
            return
        self._screen.view.go_to(index.row_of_line(line))

    def to_end(self) -> None:
        """Goes to the end, of which the view has shown what is known."""
        screen, job = self._screen, self._screen.job
        if job is None or job.text is None or job.content is None:
            return
        if not job.text.index.complete and (not screen.hex or screen.streaming):
            self.forget()
            self._to_end = True
            job.want(job.content.size)

    def arrive(self) -> None:
        """Goes on to where the user wanted to be, if that is known by now."""
        job = self._screen.job
        if job is None or job.text is None:
            return
        index = job.text.index
        if self._byte is not None:
            self.to_byte(self._byte, self._screen.view.page_size // 3)
        elif self._line is not None and (self._line < index.lines or index.complete):
            self.to_line(self._line)
            job.rest()
        elif self._to_end and index.complete:
            self._to_end = False
            self._screen.view.action_last()

    def ask(self) -> None:
        """Asks where to go."""
        line = "" if self._screen.hex else "a line, "
        self._screen.ask("Go to", "", f"{line}an offset such as 0x1f0, or 50%", self._go)

    def _go(self, text: str) -> None:
        screen, job = self._screen, self._screen.job
        size = job.content.size if job is not None and job.content is not None else 0
        last = max(0, size - 1)
        text = text.strip().lower().replace(",", "")
        try:
            if text.endswith("%"):
                self.to_byte(max(0, min(last, int(size * float(text[:-1]) / 100))))
            elif text.startswith("0x"):
                self.to_byte(max(0, min(last, int(text, 16))))
            elif screen.hex:
                self.to_byte(max(0, min(last, int(text))))
            else:
                self.to_line(max(0, int(text) - 1))
        except (ValueError, OverflowError):
            screen.say(f"{visible(text[:40])} is no place: a line, 0x and an offset, or 50%.")
        screen.tell()
