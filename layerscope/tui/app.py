"""The app: one screen, themes, help, the palette, and a clean end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

# Textual reads these when it is imported. Every frame of an animation is paid for on a slow line.
os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
os.environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")

from textual import actions, events
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.filter import LineFilter, Monochrome, NoColor
from textual.screen import Screen

from layerscope.config import Settings, load, settings_file
from layerscope.images.progress import Progress
from layerscope.text import visible
from layerscope.tui._textual_compat import (
    BareTextArea,
    CellApp,
    TerminalDriver,
    dismiss_once,
    still_cursors,
    write_to_terminal,
)
from layerscope.tui.glyphs import KEY_WORDS, KEY_WORDS_ALWAYS, GlyphFilter, Level, fitting
from layerscope.tui.screens.main import MainScreen
from layerscope.tui.session import Connector, EngineLike, Opener
from layerscope.tui.settings import ascii_of, keymap_of, notice_of, theme_of
from layerscope.tui.theme import DARK, PLAIN, THEMES
from layerscope.tui.widgets.key_bar import why_not
from layerscope.tui.widgets.text_entry import TextEntry

if TYPE_CHECKING:
    from layerscope.images.reader import ImageReader


def _open_image(
    source: str,
    progress: Progress,
    platform: str | None = None,
    *,
    export: bool = False,
    cache: bool = True,
    insecure: bool = False,
) -> ImageReader:
    # Imported in the thread that opens: numpy and docker come after the first paint.
    from layerscope.engines.resolve import open_image

    return open_image(
        source, progress, platform=platform, export=export, cache=cache, insecure=insecure
    )


def _connect() -> EngineLike:
    from layerscope.engines.docker import connect

    return connect()


#: Signals that end the app, and its exit code then.
_ENDS = {signal.SIGTERM: 0, signal.SIGHUP: 0, signal.SIGINT: 130, signal.SIGQUIT: 131}


class LayerscopeApp(CellApp, inherit_bindings=False):
    """The terminal UI.

    Attributes:
        glyphs: What characters the terminal can show.
        wrap: Whether long lines of texts go on in the next row, until the user says otherwise.
        line_numbers: The same for numbers of lines.
        keymap: Keys for ids of bindings, in place of the default ones.
    """

    TITLE = "layerscope"
    # A default screen's own CSS_PATH is not read; read here, it is parsed before the first paint.
    CSS_PATH = Path(__file__).parent / "screens" / "main.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", key_display="?", id="app.help"),
        Binding("ctrl+p", "command_palette", "Palette", id="app.palette", priority=True),
        Binding(
            "ctrl+o", "jump", "Jump", tooltip="Jump to a pane, a row or a heading", id="app.jump"
        ),
        Binding("q", "quit", "Quit", id="app.quit"),
        Binding("ctrl+c,ctrl+q", "quit", "Quit", id="app.quit_always", show=False),
        Binding("ctrl+z", "suspend_process", "Suspend", id="app.suspend", show=False),
        Binding("ctrl+l", "repaint", "Draw everything again", id="app.repaint", show=False),
    ]

    def __init__(
        self,
        source: str | None = None,
        opener: Opener | None = None,
        connector: Connector | None = None,
        clock: Callable[[], float] = time.time,
        theme: str = DARK.name,
        platform: str | None = None,
        cache: bool = True,
        glyphs: Level = Level.UNICODE,
        keymap: Mapping[str, str] | None = None,
        notice: str = "",
    ) -> None:
        """Makes the app.

        Args:
            source: What to open at once; None shows the engine's images.
            opener: Opens an image; by default `open_image`.
            connector: Connects to an engine; by default the current one.
            clock: Tells the time that ages are counted from.
            theme: Name of the theme to begin with.
            platform: Which platform's image to open of several; None for this host's.
            cache: Whether layers are taken from the cache and kept there.
            glyphs: What characters the terminal can show.
            keymap: Keys for ids of bindings, in place of the default ones.
            notice: What to say before the first key; safe to show.
        """
        dismiss_once()
        still_cursors()
        super().__init__(driver_class=TerminalDriver)
        self.glyphs = glyphs
        self.wrap, self.line_numbers = False, True
        self._glyph_filter = GlyphFilter(glyphs)
        self._no_color_filter = NoColor()
        for ours in THEMES:
            self.register_theme(ours)
        self.theme = theme
        opener, connector = opener or _open_image, connector or _connect
        self._main = MainScreen(source, opener, connector, clock, platform, cache)
        self._notice = notice
        self.keymap = dict(keymap or {})
        if self.keymap:
            self.set_keymap(self.keymap)

    def get_default_screen(self) -> Screen[None]:
        """The main screen."""
        return self._main

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What the lines go through before they are painted.

        Textual's own for NO_COLOR hold for every theme, and turn to grey instead of leaving colours
        out; here it is a theme that has none.
        """
        filters = super().get_line_filters()
        wanted = [each for each in filters if not isinstance(each, NoColor | Monochrome)]
        if self.theme == PLAIN.name:
            wanted.append(self._no_color_filter)
        if self._glyph_filter.enabled:
            wanted.append(self._glyph_filter)
        return wanted

    def on_mount(self) -> None:
        """Says what is wrong with the settings."""
        if self._notice:
            self._main.keys.say(self._notice)

    def on_load(self) -> None:
        """Ends cleanly from now on, before the terminal is taken over, when that is asked for."""
        loop = asyncio.get_running_loop()
        for number, code in _ENDS.items():
            try:
                loop.add_signal_handler(number, partial(self.exit, return_code=code))
            except (NotImplementedError, RuntimeError, ValueError):
                # Not in the main thread, as in tests.
                return

    async def run_action(
        self,
        action: str | actions.ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Does what a key asks for, or says why that cannot be.

        Whatever has a method `why_not`, from the name of an action and its parameters to a
        sentence, is asked first; the sentence goes to the method `say` of the screen.
        """
        node = self if default_namespace is None else default_namespace
        _, name, parameters = actions.parse(action) if isinstance(action, str) else action
        reason = why_not(node, name, parameters)
        say = getattr(self.screen, "say", None)
        if reason and say is not None:
            say(reason)
            return True
        return await super().run_action(action, default_namespace, namespaces)

    def on_key(self, event: events.Key) -> None:
        """Hands keys to an input that were on their way elsewhere when it opened."""
        if isinstance(self.focused, TextEntry) and self.focused.claims(event):
            event.stop()
            event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Hands a paste to an input that opened while it was on its way elsewhere."""
        if isinstance(self.focused, TextEntry | BareTextArea):
            event.stop()
            self.post_message(events.Paste(event.text))

    async def action_quit(self) -> None:
        """Ends the program, unless that would lose what is being edited."""
        for screen in reversed(self.screen_stack):
            if getattr(screen, "has_unsaved", False):
                say = getattr(self.screen, "say", None)
                if say is not None:
                    say("There are changes that are not saved; go back to the editor first.")
                else:
                    self.bell()
                return
        self.exit()

    def action_repaint(self) -> None:
        """Mends what somebody else wrote to the terminal."""
        self.repaint()

    def action_help(self) -> None:
        """Shows all keys."""
        from layerscope.tui.help import help_groups
        from layerscope.tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(help_groups(self, self.screen)))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the palette offers besides everything that has a key."""
        yield SystemCommand("Theme…", "Choose the colours", self.action_change_theme)

    def get_key_display(self, binding: Binding) -> str:
        """What a key is called; in words where a terminal has no signs for it."""
        shown = super().get_key_display(binding)
        names = KEY_WORDS if self.glyphs is not Level.UNICODE else KEY_WORDS_ALWAYS
        return "".join(names.get(character, character) for character in shown)

    def copy(self, text: str, what: str) -> None:
        """Sends a text to the clipboard of the terminal, and says so; offers to save a large one.

        Args:
            text: The text, with lone surrogates for bytes that are not UTF-8.
            what: What it is, in words.
        """
        from layerscope.tui.clipboard import as_bytes, fits, sequence, told

        data = as_bytes(text)
        say = getattr(self.screen, "say", self._main.say)
        if fits(data):
            write_to_terminal(self, sequence(data, os.environ))
            say(told(data, what))
            return
        from layerscope.tui.screens.save import SaveScreen

        def saved(sentence: str | None) -> None:
            say(sentence or "Nothing was copied.")

        self.push_screen(SaveScreen(data, what), saved)

    def action_command_palette(self) -> None:
        """Shows what can be done here."""
        from layerscope.tui.palette_entries import commands
        from layerscope.tui.screens.palette import PaletteScreen

        if isinstance(self.screen, PaletteScreen):
            self.screen.action_leave()
            return
        offered = commands(self, self.screen)

        def chosen(place: int | None) -> None:
            if place is not None:
                offered[place].run()

        entries = [command.entry for command in offered]
        self.push_screen(PaletteScreen("What do you want to do?", entries), chosen)

    def action_jump(self) -> None:
        """Shows letters over what can be gone to."""
        from layerscope.tui.jump import Target, targets
        from layerscope.tui.screens.jump import JumpScreen

        found = targets(self.screen)

        def chosen(target: Target | None) -> None:
            if target is not None:
                target.go()

        if found:
            self.push_screen(JumpScreen(found), chosen)

    def action_change_theme(self) -> None:
        """Shows the themes, each while the cursor is on it."""
        from layerscope.tui.palette_entries import theme_names
        from layerscope.tui.screens.palette import Entry, PaletteScreen

        names, before = theme_names(), self.theme

        def preview(place: int | None) -> None:
            self.theme = before if place is None else names[place]

        def chosen(place: int | None) -> None:
            if place is not None and names[place] != before:
                self.theme = names[place]
                self._main.say(
                    f'Until you quit. To keep it: theme = "{names[place]}" in '
                    f"{visible(str(settings_file()))}"
                )

        place = names.index(before) if before in names else None
        entries = [Entry(name) for name in names]
        self.push_screen(PaletteScreen("Choose a theme", entries, place, preview), chosen)


def run(
    source: str | None,
    settings: Settings | None = None,
    *,
    platform: str | None = None,
    export: bool = False,
    cache: bool = True,
    insecure: bool = False,
) -> int:
    """Runs the terminal UI.

    Args:
        source: What to open at once; None shows the engine's images.
        settings: The settings; None for the user's.
        platform: Which platform's image to open of several; None for this host's.
        export: Whether an engine is to export images even where its data folder can be read.
        cache: Whether what was read before is used, and what is read is kept.
        insecure: Whether registries may be read without TLS or a valid certificate.

    Returns:
        The exit code.
    """
    problem = _unusable()
    if problem:
        sys.stderr.write(f"layerscope: {problem}\n")
        return 2
    settings = load() if settings is None else settings
    theme = theme_of(settings)
    keymap = keymap_of(settings)
    for warning in settings.warnings:
        # What is written here is on the terminal again when the UI is left.
        sys.stderr.write(f"layerscope: {warning}\n")
    usual = cache and not export and not insecure
    asked = partial(_open_image, export=export, cache=cache, insecure=insecure)
    opener = None if usual else asked
    app = LayerscopeApp(
        source,
        opener,
        theme=theme,
        platform=platform,
        cache=cache,
        glyphs=fitting(ascii_of(settings), os.environ),
        keymap=keymap,
        notice=notice_of(settings.warnings),
    )
    app.wrap, app.line_numbers = settings.values["wrap"], settings.values["line-numbers"]
    app.plain_output = settings.values["output"] == "plain"
    app.run(mouse=settings.values["mouse"])
    return app.return_code or 0


def _unusable() -> str:
    """Why there can be no terminal UI here, in a sentence; empty if there can."""
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        return (
            "TERM is dumb or not set, so that no UI can be shown; try `layerscope inspect SOURCE`."
        )
    if not all(stream and stream.isatty() for stream in (sys.__stdin__, sys.__stderr__)):
        return "The UI needs a terminal; try `layerscope inspect SOURCE`."
    return ""
