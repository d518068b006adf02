"""Everything that leans on Textual's private parts, for the version that pyproject.toml pins."""

from __future__ import annotations

import asyncio
import codecs
import os
import select
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.color import ColorSystem
from textual import events
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.content import Content
from textual.document._document import Document, Location
from textual.document._document_navigator import DocumentNavigator
from textual.document._wrapped_document import WrappedDocument
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Offset, Region, Size
from textual.screen import Screen
from textual.strip import Strip
from textual.widgets import Input, TextArea

from layerscope.tui.cells.grid import CellOutput
from layerscope.tui.cells.path import Abilities

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.dom import DOMNode
    from textual.widget import Widget

_SYNC_START, _SYNC_END = "\x1b[?2026h", "\x1b[?2026l"
#: What is shorter arrives in one piece anyway.
_SYNC_FROM = 1024


class CellApp(App[int], inherit_bindings=False):
    """An app that writes only the cells that differ from those that the terminal shows.

    Attributes:
        cells: What the terminal shows; None until there is something, or if that does not count.
        plain_output: Whether to write in Textual's own way instead, which repaints regions whole
            and relies on less.
    """

    cells: CellOutput | None = None
    plain_output = False
    _flush_due = False

    def repaint(self) -> None:
        """Writes everything again, since the terminal shows nothing of ours any more."""
        if self.cells is not None:
            self.cells.forget()
            self._flush_soon()
            return
        for screen in self.screen_stack:
            screen.refresh(layout=True)
            for widget in screen.walk_children():
                widget.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """What a terminal shows while its size changes is its own affair."""
        if self.cells is not None:
            self.cells.forget()
            if event.size == self.cells.size:
                self._flush_soon()

    async def on_event(self, event: events.Event) -> None:
        """Has a text do at once what its keys ask for.

        Keys are handed on to the widget with the focus, which does what they ask for later. Where
        keys change the focus, those behind them would overtake each other over a slow line.
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
                    colors = self.console._color_system or ColorSystem.TRUECOLOR  # noqa: SLF001
                    self.cells = CellOutput(Abilities.of(os.environ), colors)
                paint(self.cells, renderable)
                self._flush_soon()
        finally:
            self.post_display_hook()

    def _flush_soon(self) -> None:
        # All that is painted in a turn of the event loop is written at once.
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush_cells)

    def _flush_cells(self) -> None:
        self._flush_due = False
        if self.cells is None or self._driver is None or self._closed:
            return
        cursor = None
        if isinstance(self.focused, Input | TextArea):
            # It cannot be seen, but this is where an input method shows what it offers.
            cursor = self.screen.outer_size.clamp_offset(self.cursor_position)
        text = self.cells.flush(cursor)
        if self._sync_available and len(text) >= _SYNC_FROM:
            text = f"{_SYNC_START}{text}{_SYNC_END}"
        if text:
            self._driver.write(text)
            self._driver.flush()


class _FlatLines(WrappedDocument):
    """Lines that are never wrapped: nothing is kept of them, and nothing measured ahead."""

    _area: BareTextArea

    def wrap(self, width: int, tab_width: int | None = None) -> None:
        """Does nothing."""

    def wrap_range(self, start: Location, old_end: Location, new_end: Location) -> None:
        """Does nothing."""

    @property
    def height(self) -> int:
        """How many lines there are."""
        return self.document.line_count

    def offset_to_location(self, offset: Offset) -> Location:
        """The place of a cell, or the nearest there is."""
        row = max(0, min(offset.y, self.height - 1))
        return row, self.get_target_document_column(row, max(0, offset.x), 0)

    def location_to_offset(self, location: Location) -> Offset:
        """The cell of a place; between two steps of an undo it may be behind the last line."""
        row = max(0, min(location[0], self.height - 1))
        return Offset(self._area.line_cells(self.document[row][: location[1]]), row)

    def get_target_document_column(self, line_index: int, x_offset: int, y_offset: int) -> int:
        """The character at a cell of a line."""
        return self._area.character_at(self.document[line_index], x_offset)

    def get_sections(self, line_index: int) -> list[str]:
        """The line."""
        return [self.document[line_index]]

    def get_offsets(self, line_index: int) -> list[int]:
        """None: it is not wrapped."""
        return []


class BareTextArea(TextArea, inherit_bindings=False):
    """A text area without themes, blinking and wrapping, that leaves its keys to others."""

    _measured: tuple[list[str], list[int]] | None = None

    def line_cells(self, line: str) -> int:
        """Cells that a line takes."""
        return cell_len(line)

    def character_at(self, line: str, cell: int) -> int:
        """The character of a line that is at a cell, or the end of the line."""
        return min(cell, len(line))

    async def key_pressed(self, event: events.Key) -> bool:
        """Does what a key asks for, and says whether it asks for anything."""
        return False

    def pasted(self, text: str) -> None:
        """Text was pasted."""

    def edited(self) -> None:
        """The text is another."""

    def fit_gutter(self) -> None:
        """The gutter has another width."""
        self._rewrap_and_refresh_virtual_size()

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines of a part of it, border included."""
        return super(TextArea, self).render_lines(crop)

    async def _on_key(self, event: events.Key) -> None:
        # The app has asked already.
        event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.pasted(event.text)

    def _set_document(self, text: str, language: str | None) -> None:
        self.document = Document(text)
        self.wrapped_document = _FlatLines(self.document, tab_width=self.indent_width)
        self.wrapped_document._area = self  # noqa: SLF001
        self.navigator = DocumentNavigator(self.wrapped_document)
        self.move_cursor((0, 0))
        self._refresh_size()

    def _refresh_size(self) -> None:
        # The base measures each line anew at each key, which takes 10 ms for 4,000 of them.
        lines, (known, cells) = self.document.lines, self._measured or ([], [])
        # Not at the top: this comes after the first paint.
        from layerscope.dockerfile.same import same_ends

        head, tail = same_ends(known, lines)
        cells[head : len(cells) - tail] = map(self.line_cells, lines[head : len(lines) - tail])
        self._measured = lines.copy(), cells
        self.edited()
        self.virtual_size = Size(max(cells, default=0) + self.gutter_width + 1, len(lines))
        self._refresh_scrollbars()


def paint(cells: CellOutput, update: LayoutUpdate | ChopsUpdate) -> None:
    """Puts into a grid what Textual would write."""
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


def _lenient_decoder(encoding: str) -> partial[codecs.IncrementalDecoder]:
    """A decoder that takes what is no UTF-8 for a character that nobody typed.

    Textual's ends the app at the first such byte: of a line with noise, of a terminal that types
    Latin-1 or sets the eighth bit for alt, of what is pasted.
    """
    return partial(codecs.getincrementaldecoder(encoding), errors="replace")


linux_driver.getincrementaldecoder = _lenient_decoder  # type: ignore[assignment,attr-defined]


class TerminalDriver(LinuxDriver):
    """A driver that notices when the terminal goes away.

    Textual's own reads end of file from a closed terminal again and again, and keeps a core busy
    with it. Here a thread sleeps until the terminal hangs up, and then ends the app.
    """

    _app: CellApp

    def __init__(self, app: CellApp, **options: Any) -> None:
        super().__init__(app, **options)
        self._hung_up = False
        self._watching = False

    def start_application_mode(self) -> None:
        """Takes the terminal over, also after the app was suspended."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self._watching:
            self._app.call_later(self._app.repaint)
        else:
            self._watching = True
            threading.Thread(target=self._watch, name="layerscope-hang-up", daemon=True).start()

    def stop_application_mode(self) -> None:
        """Gives the terminal back, with its own pen."""
        self.write("\x1b[m")
        super().stop_application_mode()

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

            self._app._return_code = 1  # noqa: SLF001
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


def write_to_terminal(app: App[Any], text: str) -> None:
    """Sends a sequence that shows nothing to the terminal, if there is one."""
    driver = app._driver  # noqa: SLF001
    if driver is not None:
        driver.write(text)
        driver.flush()


def still_cursors() -> None:
    """Keeps the cursor of every input still, those of the palette included.

    A cursor that blinks writes to the terminal for as long as the program runs.
    """
    Input.cursor_blink._default = False  # noqa: SLF001


def action_of_key(node: DOMNode, key: str) -> str | None:
    """What a key does by a node's own bindings, with the keys that the settings give them.

    Args:
        node: A widget or a screen.
        key: The key, by Textual's name.
    """
    bindings = node._bindings.copy()  # noqa: SLF001
    keymap = node.app._keymap  # noqa: SLF001
    if keymap:
        bindings.apply_keymap(keymap)
    found = bindings.key_to_bindings.get(key)
    return found[0].action if found else None


def dismiss_once() -> None:
    """Lets a screen be dismissed once, whatever else it is told before it is gone.

    Keys that came behind the one that dismissed it, typed fast or over a slow line, are still
    handled by the screen. Textual's `dismiss` would then end the app, or take another screen away.
    """
    if Screen.dismiss is not _dismiss_once:
        Screen.dismiss = _dismiss_once  # type: ignore[method-assign]


_dismiss = Screen.dismiss


def _dismiss_once(self: Screen[Any], result: Any = None) -> AwaitComplete:
    app = self.app
    if self not in app.screen_stack:
        return AwaitComplete()
    while app.screen is not self:
        app.pop_screen()
    return _dismiss(self, result)
