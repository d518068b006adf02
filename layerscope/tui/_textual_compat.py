"""Everything that leans on Textual's private parts, for the version that pyproject.toml pins."""

from __future__ import annotations

import select
import threading
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from textual.content import Content
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Region
from textual.widgets import Input

if TYPE_CHECKING:
    from textual.widget import Widget


class TerminalDriver(LinuxDriver):
    """A driver that notices when the terminal goes away.

    Textual's own reads end of file from a closed terminal again and again, and keeps a core busy
    with it. Here a thread sleeps until the terminal hangs up, and then ends the app.
    """

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self._hung_up = False
        self._watching = False

    def start_application_mode(self) -> None:
        """Takes the terminal over, also after the app was suspended."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self._watching:
            # The terminal shows nothing of ours any more, so what was painted counts for nothing.
            self._app.call_later(self._repaint)
        else:
            self._watching = True
            threading.Thread(target=self._watch, name="layerscope-hang-up", daemon=True).start()

    def _repaint(self) -> None:
        for screen in self._app.screen_stack:
            screen.refresh(layout=True)
            for widget in screen.walk_children():
                widget.refresh()

    def write(self, data: str) -> None:
        """Writes to the terminal, if it is still there."""
        # Once the thread that writes has died of a closed terminal, its bounded queue would block.
        writer = self._writer_thread
        if not self._hung_up and (writer is None or writer.is_alive()):
            super().write(data)

    def close(self) -> None:
        """Ends the thread that writes."""
        writer = self._writer_thread
        if writer is None or writer.is_alive():
            super().close()

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self.fileno, 0)
        poll.poll()
        self._hang_up()

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except OSError:
            self._hang_up()
        except BaseException:
            import rich.traceback

            self._app.call_later(self._app.panic, rich.traceback.Traceback())

    def _hang_up(self) -> None:
        if self._hung_up:
            return
        self._hung_up = True
        self.exit_event.set()
        self._app.call_later(self._app.exit)


def set_border_texts(widget: Widget, title: str, subtitle: str) -> None:
    """Sets the texts in a widget's border and repaints no more than the two lines they are in.

    Assigning `border_title` repaints the widget whole, which over a slow line is 8 KB for a word.

    Args:
        widget: A widget with a border.
        title: Plain text; nothing in it is taken for markup.
        subtitle: The same, for the lower border.
    """
    width, height = widget.outer_size
    for name, text, y in (("_border_title", title, 0), ("_border_subtitle", subtitle, height - 1)):
        old = getattr(widget, name, None)
        before = old.plain if old is not None else ""
        if before == text:
            continue
        setattr(widget, name, Content(text) if text else None)
        if height:
            # Regions are relative to the content, which begins behind the border. Titles are at
            # the left, with a corner, a line and a blank before them, and a blank behind.
            left, top = -widget.gutter.left, -widget.gutter.top
            reach = max(cell_len(before), cell_len(text)) + 5 if y == 0 else width
            widget.refresh(Region(left, top + y, min(width, reach), 1))


def still_cursors() -> None:
    """Keeps the cursor of every input still, those of the palette included.

    A cursor that blinks writes to the terminal for as long as the program runs.
    """
    Input.cursor_blink._default = False  # noqa: SLF001
