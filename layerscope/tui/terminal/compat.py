"""All uses of Textual's private parts, for the version that pyproject.toml pins.

- `App._display`: writing only the cells that differ.
- `App._watch_app_focus`: the focus stays in place while the terminal has none.
- `TextArea`'s document, size and rendering: long texts without wrapping, themes and delays.
- `LinuxDriver`'s threads, handlers and decoder: signals at any moment, terminals that close or
  report no size, input that is not UTF-8.
- `message_pump.Timer`: a one-shot timer fires on a busy machine, too.
- `App._handle_exception` and what it sets: errors end the app without a traceback.
- `DOMNode._bindings`: running a key's action at once, where later keys would overtake it.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS
from textual import events, message_pump
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.screen import Screen
from textual.strip import Strip
from textual.timer import Timer
from textual.widgets import Input, TextArea
from textual.widgets.text_area import Document, DocumentNavigator, Location, WrappedDocument

from layerscope.tui.terminal.cells.grid import CellOutput
from layerscope.tui.terminal.cells.path import Abilities
from layerscope.tui.terminal.signals import Signals

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.dom import DOMNode

_SYNC_START, _SYNC_END = "\x1b[?2026h", "\x1b[?2026l"
#: The least output to synchronize; shorter output arrives in one piece anyway.
_SYNC_FROM = 1024


class CellApp(App[int], inherit_bindings=False):
    """An app that writes only the cells that have changed."""

    #: The cells that the terminal shows; None before the first output, or if unused.
    cells: CellOutput | None = None
    #: Whether to use Textual's own output instead, which repaints whole regions.
    plain_output = False
    _flush_due = False

    def repaint(self) -> None:
        """Redraws the whole screen, after another program wrote to the terminal."""
        if self.cells is not None:
            self.cells.forget()
            self._flush_soon()
            return
        for screen in self.screen_stack:
            screen.refresh(layout=True)
            for widget in screen.walk_children():
                widget.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Repaints everything, since the content after a resize is unknown."""
        if self.cells is not None:
            self.cells.forget()
            if event.size == self.cells.size:
                self._flush_soon()

    def send(self, text: str) -> None:
        """Sends an invisible sequence to the terminal."""
        if self._driver is not None:
            self._driver.write(text)
            self._driver.flush()

    def crashed(self, error: Exception) -> None:
        """Called when an unexpected error is about to end the app."""

    def let_signals_go(self) -> None:
        """Stops watching the terminal and signals, after the app has ended."""
        if isinstance(self._driver, TerminalDriver):
            self._driver.signals.close()

    def failed_at_end(self, error: Exception) -> None:
        """Called for an error while the app ends."""

    @property
    def ending(self) -> bool:
        """Whether the app is about to end."""
        return self._exit

    def fail(self, error: Exception) -> None:
        """Ends the app because of an unexpected error."""
        self._handle_exception(error)

    def _watch_app_focus(self, focus: bool) -> None:
        """Does nothing: Textual's own would take the focus, and so its keys, from the pane."""

    def _handle_exception(self, error: Exception) -> None:
        if self.ending:
            # Opening or closing screens fail on widgets that are already gone.
            self.failed_at_end(error)
            return
        self.crashed(error)
        # Textual's own method also prints a traceback, with the values of variables.
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()

    async def on_event(self, event: events.Event) -> None:
        """Handles the keys of a text area at once.

        Textual queues keys for the focused widget, so over a slow line, later keys would overtake
        one that moves the focus.
        """
        area = self.focused if isinstance(event, events.Key) else None
        if not isinstance(area, BareTextArea) or event.is_forwarded:
            await super().on_event(event)
            return
        assert isinstance(event, events.Key)  # noqa: S101
        if await self._check_bindings(event.key, priority=True):
            return
        if not await area.key_pressed(event):
            await self._check_bindings(event.key)

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if self.plain_output or not isinstance(renderable, LayoutUpdate | ChopsUpdate):
            super()._display(screen, renderable)
            return
        try:
            if self._running and not (self._closed or self._batch_count or self.is_headless):
                if self.cells is None:
                    name = self.console.color_system or ""
                    colors = COLOR_SYSTEMS.get(name, ColorSystem.TRUECOLOR)
                    self.cells = CellOutput(Abilities.of(os.environ), colors)
                paint(self.cells, renderable)
                self._flush_soon()
        finally:
            self.post_display_hook()

    def _flush_soon(self) -> None:
        # Writes everything painted in one turn of the event loop at once.
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush_cells)

    def _flush_cells(self) -> None:
        self._flush_due = False
        if self.cells is None or self._driver is None or self._closed:
            return
        cursor = None
        if isinstance(self.focused, Input | TextArea):
            # The cursor is hidden, but an input method shows its suggestions there.
            cursor = self.screen.outer_size.clamp_offset(self.cursor_position)
        text = self.cells.flush(cursor)
        if self._sync_available and len(text) >= _SYNC_FROM:
            text = f"{_SYNC_START}{text}{_SYNC_END}"
        if text:
            self._driver.write(text)
            self._driver.flush()


class _FlatLines(WrappedDocument):
    """Lines that are never wrapped, so nothing about them is measured ahead or cached."""

    def __init__(self, area: BareTextArea) -> None:
        self._area = area
        super().__init__(area.document, tab_width=area.indent_width)

    def wrap(self, width: int, tab_width: int | None = None) -> None: ...

    def wrap_range(self, start: Location, old_end: Location, new_end: Location) -> None: ...

    @property
    def height(self) -> int:
        return self.document.line_count

    def offset_to_location(self, offset: Offset) -> Location:
        row = max(0, min(offset.y, self.height - 1))
        return row, self.get_target_document_column(row, max(0, offset.x), 0)

    def location_to_offset(self, location: Location) -> Offset:
        """Returns the cell of a location, which may be past the last line during an undo."""
        row = max(0, min(location[0], self.height - 1))
        return Offset(self._area.line_cells(self.document[row][: location[1]]), row)

    def get_target_document_column(self, line_index: int, x_offset: int, y_offset: int) -> int:
        return self._area.character_at(self.document[line_index], x_offset)

    def get_sections(self, line_index: int) -> list[str]:
        return [self.document[line_index]]

    def get_offsets(self, line_index: int) -> list[int]:
        return []


class BareTextArea(TextArea, inherit_bindings=False):
    """A text area without themes, blinking and wrapping, whose keys are handled elsewhere."""

    _measured: tuple[list[str], list[int]] | None = None

    def line_cells(self, line: str) -> int:
        return cell_len(line)

    def character_at(self, line: str, cell: int) -> int:
        return min(cell, len(line))

    async def key_pressed(self, event: events.Key) -> bool:
        """Handles a key; returns whether it means anything here."""
        return False

    def pasted(self, text: str) -> None: ...

    def edited(self) -> None: ...

    def fit_gutter(self) -> None:
        self._rewrap_and_refresh_virtual_size()

    def render_lines(self, crop: Region) -> list[Strip]:
        return super(TextArea, self).render_lines(crop)

    async def on_key(self, event: events.Key) -> None:
        # `CellApp.on_event` has already handled it.
        event.prevent_default()

    async def on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.pasted(event.text)

    def _set_document(self, text: str, language: str | None) -> None:
        self.document = Document(text)
        self.wrapped_document = _FlatLines(self)
        self.navigator = DocumentNavigator(self.wrapped_document)
        self.move_cursor((0, 0))
        self._refresh_size()

    def _refresh_size(self) -> None:
        # The base measures all lines again at each key, which takes 10 ms for 4,000 of them.
        lines, (known, cells) = self.document.lines, self._measured or ([], [])
        # Not at the top: the first paint does not need it.
        from layerscope.content.line_matching import same_ends

        head, tail = same_ends(known, lines)
        cells[head : len(cells) - tail] = map(self.line_cells, lines[head : len(lines) - tail])
        self._measured = lines.copy(), cells
        self.edited()
        self.virtual_size = Size(max(cells, default=0) + self.gutter_width + 1, len(lines))
        self._refresh_scrollbars()


def paint(cells: CellOutput, update: LayoutUpdate | ChopsUpdate) -> None:
    if isinstance(update, LayoutUpdate):
        if cells.size != update.region.size:
            cells.resize(*update.region.size)
        for y, line in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in line:
                cells.paint(x, y, strip)
                x += strip.cell_length
        return
    for y, left, right in update.spans:
        for end, (x, chop) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if chop is not None and x <= right and end > left:
                whole = left <= x < right and end <= right
                cells.paint(x, y, chop if whole else chop.crop(0, min(end, right) - x))


class _Decoder(codecs.getincrementaldecoder("utf-8")):  # type: ignore[misc]
    """A decoder of input that replaces bytes that are not UTF-8, and notices the end of input.

    Textual's ends the app at the first such byte, which may come from a noisy line, a paste, or a
    terminal that sends Latin-1 or sets the eighth bit for alt. It also keeps reading the end of
    file of a closed terminal, which keeps a core busy.
    """

    def __init__(self) -> None:
        super().__init__("replace")

    def decode(self, data: bytes, final: bool = False) -> str:
        if not data and not final:
            raise EOFError
        return str(super().decode(data, final))


linux_driver.getincrementaldecoder = lambda _: _Decoder  # type: ignore[assignment,attr-defined]


class SureTimer(Timer):
    """A timer that skips ticks only if it repeats forever.

    Textual's skips the only tick of a short timer if the machine is busy when it starts, and then
    never redraws a resized window, for example.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._skip = self._skip and self._repeat is None


message_pump.Timer = SureTimer  # type: ignore[attr-defined]

#: The default size of a terminal, and the largest plausible one.
_USUAL, _LARGEST = (80, 24), (2000, 1000)


def believable(*sizes: tuple[int, int]) -> tuple[int, int]:
    """Returns the first plausible width and height.

    Serial lines, `docker exec` and web consoles report 0 before the size is known.
    """
    width, height = (
        next(value for value in values if 0 < value <= most)
        for values, most in zip(zip(*sizes, _USUAL, strict=True), _LARGEST, strict=True)
    )
    return width, height


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 10 else 0


class TerminalDriver(LinuxDriver):
    """A driver for terminals that close or report wrong sizes, and for signals at any moment."""

    _app: CellApp

    def __init__(self, app: CellApp, **options: Any) -> None:
        super().__init__(app, **options)
        self._hung_up = False
        self._active = False  # Whether it controls the terminal.
        self._size = self._size or self._get_terminal_size()
        self.signals = Signals(lambda code: app.exit(return_code=code))
        self.signals.take_stops(self._give_back, self._take_again)
        self.signals.watch(self.fileno)

    def start_application_mode(self) -> None:
        """Takes control of the terminal, also after a suspension."""
        again = self._writer_thread is not None
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if not self._can_write:
            self._hang_up()
            return
        with suppress(termios.error):
            # Sends a line feed, the shortest way down, as one byte.
            attributes = termios.tcgetattr(self.fileno)
            attributes[1] &= ~termios.ONLCR
            termios.tcsetattr(self.fileno, termios.TCSANOW, attributes)
        self._active = True
        self.signals.holds_terminal(True)
        self.signals.on(signal.SIGWINCH, self._resized)
        if again:
            self._app.call_later(self._app.repaint)
            # The size may have changed.
            self._resized()

    def stop_application_mode(self) -> None:
        if self._active:
            self._active = False
            self.write("\x1b[m")
            super().stop_application_mode()
            self.signals.holds_terminal(False)

    def write(self, data: str) -> None:
        """Writes to the terminal, if it is still there."""
        if self._can_write:
            super().write(data)

    def close(self) -> None:
        if self._can_write:
            super().close()

    @property
    def _can_write(self) -> bool:
        # After a closed terminal has ended the writer thread, its bounded queue would block.
        writer = self._writer_thread
        return not self._hung_up and writer is not None and writer.is_alive()

    def process_message(self, message: Message) -> None:
        if isinstance(message, events.Resize):
            size = Size(*believable(message.size))
            message = events.Resize(size, size, pixel_size=message.pixel_size)
        super().process_message(message)

    def _get_terminal_size(self) -> tuple[int, int]:
        """Returns the terminal's size, or else the environment's, which never changes."""
        size = (0, 0)
        with suppress(OSError):
            size = os.get_terminal_size(self.fileno)
        return believable(size, (_number("COLUMNS"), _number("LINES")))

    def _resized(self) -> None:
        if self._active and not self._in_band_window_resize:
            size = Size(*self._get_terminal_size())
            self._app.post_message(events.Resize(size, size))

    def _give_back(self) -> None:
        if self._active:
            self.suspend_application_mode()

    def _take_again(self) -> None:
        # Also active after SIGSTOP, when a shell may have changed the terminal.
        self._give_back()
        if self._app.is_running and not self._app.ending:
            self.resume_application_mode()

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except (OSError, EOFError):
            self._hang_up()
        except Exception as error:
            self._app.call_later(self._app.fail, error)

    def _hang_up(self) -> None:
        if not self._hung_up:
            self._hung_up = True
            self.exit_event.set()
            self._app.call_later(self._app.exit)


def action_of_key(node: DOMNode, key: str) -> str | None:
    """Returns the action of a key in a node's own bindings, with the user's key map applied."""
    bindings = node._bindings.copy()  # noqa: SLF001
    keymap = node.app._keymap  # noqa: SLF001
    if keymap:
        bindings.apply_keymap(keymap)
    found = bindings.key_to_bindings.get(key)
    return found[0].action if found else None
