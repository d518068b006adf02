"""The app: one screen, themes, help, the palette, and a clean end."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar

# Textual reads these on import. On a slow line, every frame of an animation costs.
os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
os.environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")

from textual import actions, events
from textual.app import SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode
from textual.filter import LineFilter, Monochrome, NoColor
from textual.screen import Screen

from layerscope import logs
from layerscope.config import Settings, is_first_start, keep, load, settings_file
from layerscope.errors import LayerscopeError
from layerscope.images.progress import Progress
from layerscope.status_line import is_dumb
from layerscope.text import visible
from layerscope.tui.base_app import BaseApp
from layerscope.tui.base_screen import AppScreen
from layerscope.tui.dialogs.text_entry import TextEntry
from layerscope.tui.explore.engine_images import Measurer, measure_apart
from layerscope.tui.explore.screen import MainScreen
from layerscope.tui.keys.key import why_not
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rooms import DESTINATIONS, ROOMS
from layerscope.tui.session import Connector, Opener
from layerscope.tui.settings import ascii_of, keymap_of, notice_of, theme_of
from layerscope.tui.terminal.compat import BareTextArea, TerminalDriver
from layerscope.tui.terminal.glyphs import (
    KEY_NAMES,
    KEY_WORDS,
    KEY_WORDS_ALWAYS,
    GlyphFilter,
    Level,
    fitting,
)
from layerscope.tui.terminal.theme import DARK, PLAIN, THEMES
from layerscope.writing import remove_dead_folders

if TYPE_CHECKING:
    from layerscope.engines.engine import Engine
    from layerscope.images.reader import ImageReader
    from layerscope.jobs.job import Job
    from layerscope.jobs.watch import JobWatch

#: Seconds between two checks for running jobs.
_LOOK = 1.0


def _open_image(
    source: str, progress: Progress, platform: str | None = None, **options: bool
) -> ImageReader:
    # Imported in the opening thread, so that numpy and docker load after the first paint.
    from layerscope.engines.resolve import open_image

    return open_image(source, progress, platform=platform, **options)


def _connect() -> Engine:
    from layerscope.engines.docker import connect_any

    return connect_any()


class LayerscopeApp(BaseApp):
    TITLE = "layerscope"
    # Textual does not read the CSS_PATH of a default screen.
    CSS_PATH: ClassVar[list[str | PurePath]] = [
        Path(__file__).with_name("style.tcss"),
        Path(__file__).parent / "explore" / "main.tcss",
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        source: str | None = None,  # What to open at once; None shows the engine's images.
        opener: Opener | None = None,  # Opens an image; by default `open_image`.
        connector: Connector | None = None,  # Connects to an engine; by default the current one.
        clock: Callable[[], float] = time.time,
        theme: str = DARK.name,
        platform: str | None = None,  # Which one to open of several; None for this host's.
        cache: bool = True,  # Whether layers are taken from the cache and kept there.
        glyphs: Level = Level.UNICODE,
        keymap: Mapping[str, str] | None = None,  # Keys for ids of bindings.
        notice: str = "",  # A message to show until the first key; safe to show.
        first: bool = False,  # Whether to show tips if there is no notice.
        #: Measures images that nobody has opened; by default in another process if the connector
        #: is the default one.
        measurer: Measurer | None = None,
        demo: bool = False,  # Whether to build the demo, and show its tour.
    ) -> None:
        super().__init__(driver_class=TerminalDriver)
        self.bug = ""  # The report on the unexpected error that ended the app.
        self.glyphs = glyphs
        self._glyph_filter = GlyphFilter(glyphs)
        self._no_color_filter = NoColor()
        for ours in THEMES:
            self.register_theme(ours)
        self.theme = theme
        if connector is None:
            measurer = measurer or measure_apart
        opener, connector = opener or _open_image, connector or _connect
        self._main = MainScreen(source, opener, connector, clock, platform, cache, measurer)
        self._notice = notice
        self._first = first
        self._demo = demo
        self._jobs: JobWatch | None = None
        self.seen_ends = set()
        self.keymap = dict(keymap or {})
        self.destinations = DESTINATIONS
        if self.keymap:
            self.set_keymap(self.keymap)

    def get_default_screen(self) -> Screen[None]:
        return self._main

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Returns the filters for painted lines.

        Textual's NO_COLOR filter turns every theme grey; here, a theme without colours does it.
        """
        filters = super().get_line_filters()
        wanted = [each for each in filters if not isinstance(each, NoColor | Monochrome)]
        if self.theme == PLAIN.name:
            wanted.append(self._no_color_filter)
        if self._glyph_filter.enabled:
            wanted.append(self._glyph_filter)
        return wanted

    def on_mount(self) -> None:
        threading.Thread(target=remove_dead_folders, name="layerscope-rest", daemon=True).start()
        if self._notice:
            self._main.say(self._notice)
        elif self._demo:
            self.call_after_refresh(self.action_demo)
        elif self._first:
            # After the panes exist: the tips name their keys.
            self.call_after_refresh(self._main.show_tips)
        self.call_after_refresh(self._look_at_jobs)
        self.set_interval(_LOOK, self._look_at_jobs)

    def _look_at_jobs(self) -> None:
        """Shows how many jobs run, and announces on any screen when one ends."""

        def look(_: object) -> tuple[list[Job], list[Job]]:
            # Not at the top: the first paint does not need it.
            from layerscope.jobs.watch import JobWatch

            self._jobs = self._jobs or JobWatch()
            return self._jobs.look()

        self._main.work.queue("jobs", look, lambda found: self._show_jobs(*found))

    def _show_jobs(self, running: Sequence[Job], ended: Sequence[Job]) -> None:
        screens = [each for each in self.screen_stack if isinstance(each, AppScreen)]
        numbers = [job.id for job in running]
        if numbers != self.running_jobs:
            self.running_jobs = numbers
            for screen in screens:
                screen.title_bar.redraw()
        for job in ended:
            # The job may have created an image, and not every engine reports that.
            self._main.engine.refresh()
            if job.id not in self.seen_ends and not screens[-1].shows_job(job.id):
                how = f"{job.kind.capitalize()} {job.state.value}: {visible(job.title)}."
                self.say(f"{how} {key_of(self._main, 'app.jobs')} shows it.")

    def crashed(self, error: Exception) -> None:
        self.bug = str(logs.failure_of(error))

    def failed_at_end(self, error: Exception) -> None:
        logs.unexpected(error)

    async def run_action(
        self,
        action: str | actions.ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Runs a key's action, or says why it is not available now."""
        node = self if default_namespace is None else default_namespace
        if (reason := why_not(node, action)) and isinstance(self.screen, AppScreen):
            self.screen.say(reason)
            return True
        return await super().run_action(action, default_namespace, namespaces)

    def on_key(self, event: events.Key) -> None:
        """Redirects keys that were queued for another widget when an input opened."""
        if isinstance(self.focused, TextEntry) and self.focused.claims(event):
            event.stop()
            event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Redirects a paste that was queued for another widget when an input opened."""
        if isinstance(self.focused, TextEntry | BareTextArea):
            event.stop()
            self.post_message(events.Paste(event.text))

    def say(self, text: str) -> None:
        """Shows a sentence on the current screen."""
        screen = self.screen
        (screen if isinstance(screen, AppScreen) else self._main).say(text)

    @property
    def aside(self) -> Iterable[Screen[Any]]:
        return self._main.trail.screens

    def return_to(self, screen: Screen[Any]) -> None:
        while self.screen is not self._main:
            self.pop_screen()
        while screen in self.aside:
            self._main.return_back()

    async def action_quit(self) -> None:
        """Quits; asks first if there are unsaved changes."""
        for screen in (*reversed(self.screen_stack), *self.aside):
            if isinstance(screen, AppScreen) and screen.has_unsaved:
                self.say("There are changes that are not saved; go back to the editor first.")
                return
        self.exit()

    def action_jobs(self) -> None:
        """Shows all jobs; works wherever the end of a job is announced."""
        if isinstance(self.screen, AppScreen):
            self.screen.visit("jobs", self.screen.place or self._main.place)

    def action_repaint(self) -> None:
        """Redraws the screen after another program wrote to the terminal."""
        self.repaint()

    def action_help(self) -> None:
        from layerscope.tui.keys.help import HelpScreen, far_headings, help_groups

        groups = help_groups(self, self.screen, ROOMS)
        self.push_screen(HelpScreen(groups, far_headings(self.screen, ROOMS)))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Adds palette entries that have no key."""
        yield SystemCommand("Theme…", "Choose the colours", self.action_change_theme)
        yield SystemCommand(
            "Demo", "Build a small image without an engine: what its layers show", self.action_demo
        )

    def get_key_display(self, binding: Binding) -> str:
        """Returns a key's name, in words where the terminal lacks the symbol."""
        shown = KEY_NAMES.get(binding.key) or super().get_key_display(binding)
        names = KEY_WORDS if self.glyphs is not Level.UNICODE else KEY_WORDS_ALWAYS
        return "".join(names.get(character, character) for character in shown)

    def copy(self, text: str, what: str) -> None:
        """Copies a text to the terminal's clipboard and says so; offers to save a large one."""
        from layerscope.tui.terminal.clipboard import as_bytes, copied, fits, sequence

        data = as_bytes(text)
        if fits(data):
            self.send(sequence(data, os.environ))
            self.say(copied(data, what))
            return
        from layerscope.tui.dialogs.save import SaveScreen

        def saved(sentence: str | None) -> None:
            self.say(sentence or "Nothing was copied.")

        self.push_screen(SaveScreen(data, what), saved)

    def action_command_palette(self) -> None:
        from layerscope.tui.keys.palette import PaletteScreen, commands

        if isinstance(self.screen, PaletteScreen):
            self.screen.action_leave()
            return
        offered = commands(self, self.screen)

        def chosen(place: int | None) -> None:
            if place is not None:
                offered[place].run()

        self.push_screen(PaletteScreen("What do you want to do?", offered), chosen)

    def action_login(self) -> None:
        from layerscope.tui.dialogs.login import LoginScreen

        screen = self.screen
        registry = screen.registry if isinstance(screen, AppScreen) else ""

        def ended(changed: bool | None) -> None:
            if changed and isinstance(screen, AppScreen):
                screen.logged_in()

        self.push_screen(LoginScreen(registry), ended)

    def action_demo(self) -> None:
        self._main.action_visit("demo")

    def action_jump(self) -> None:
        from layerscope.tui.keys.jump import JumpScreen, Target, targets

        found = targets(self.screen)

        def chosen(target: Target | None) -> None:
            if target is not None:
                target.go()

        if found:
            self.push_screen(JumpScreen(found), chosen)

    def action_change_theme(self) -> None:
        """Lists the themes; previews the one under the cursor."""
        from layerscope.tui.keys.palette import Entry, PaletteScreen, theme_names

        names, before = theme_names(), self.theme

        def preview(place: int | None) -> None:
            self.theme = before if place is None else names[place]

        def chosen(place: int | None) -> None:
            if place is not None and names[place] != before:
                self.theme = names[place]
                self._offer_to_keep(names[place])

        place = names.index(before) if before in names else None
        entries = [Entry(name) for name in names]
        self.push_screen(PaletteScreen("Choose a theme", entries, place, preview), chosen)

    def _offer_to_keep(self, theme: str) -> None:
        from layerscope.tui.dialogs.question import QuestionScreen

        def take(letter: str | None) -> None:
            if letter != "k":
                self.say(f"{theme} is used until you quit.")
                return
            try:
                path = keep("theme", theme)
            except LayerscopeError as error:
                self.say(str(error))
                return
            origin = load().origins["theme"]
            but = "" if origin == "file" else f" {visible(origin)} takes precedence over it."
            self.say(f"{theme} is kept in {visible(str(path))}.{but}")

        answers = [("k", "Keep it, in the settings file"), ("u", "Use it until you quit")]
        file = visible(str(settings_file()))
        self.push_screen(QuestionScreen(f"Keep the theme {theme}?", file, answers), take)


def run(
    source: str | None,  # What to open at once; None shows the engine's images.
    settings: Settings | None = None,  # None for the user's.
    *,
    platform: str | None = None,  # Which one to open of several; None for this host's.
    export: bool = False,  # Whether engines export images even if their data folder is readable.
    cache: bool = True,  # Whether to read layers from the cache and keep them there.
    insecure: bool = False,  # Whether registries may lack TLS or a valid certificate.
    demo: bool = False,  # Whether to build the demo, and show its tour.
) -> int:
    """Runs the terminal UI; returns the exit code."""
    problem = _unusable()
    if problem:
        sys.stderr.write(f"layerscope: {problem}\n")
        return 2
    settings = load() if settings is None else settings
    theme = theme_of(settings)
    keymap = keymap_of(settings)
    for warning in settings.warnings:
        # The terminal shows this again after the UI ends.
        sys.stderr.write(f"layerscope: {warning}\n")
    opener = partial(_open_image, export=export, cache=cache, insecure=insecure)
    app = LayerscopeApp(
        source,
        opener,
        theme=theme,
        platform=platform,
        cache=cache,
        glyphs=fitting(ascii_of(settings), os.environ),
        keymap=keymap,
        notice=notice_of(settings.warnings),
        first=not settings.warnings and is_first_start(),
        demo=demo,
    )
    app.wrap, app.line_numbers = settings.values["wrap"], settings.values["line-numbers"]
    app.insecure = insecure
    app.plain_output = settings.values["output"] == "plain"
    try:
        app.run(mouse=settings.values["mouse"])
    finally:
        app.let_signals_go()
    if app.bug:
        sys.stderr.write(f"layerscope: {app.bug}\n")
        return 2
    return app.return_code or 0


def _unusable() -> str:
    """Returns a sentence on why the terminal UI cannot run here, or ""."""
    if is_dumb():
        return "TERM is dumb or not set, so no UI can be shown; try `layerscope inspect SOURCE`."
    if not all(stream and stream.isatty() for stream in (sys.__stdin__, sys.__stderr__)):
        return "The UI needs a terminal; try `layerscope inspect SOURCE`."
    return ""
