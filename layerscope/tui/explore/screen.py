"""The main screen: four panes around one image."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import takewhile

from textual.app import ComposeResult
from textual.containers import Container
from textual.timer import Timer

from layerscope.text import short_name, visible
from layerscope.tui.base_screen import AppScreen
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.drifts import Drifts
from layerscope.tui.explore.engine_images import EngineImages, Measurer
from layerscope.tui.explore.engine_list import UNANSWERED, EngineList
from layerscope.tui.explore.failures import Failures
from layerscope.tui.explore.live_container import PERIOD, LiveContainer
from layerscope.tui.explore.open_images import OpenImages, Spot
from layerscope.tui.explore.panes import PanedScreen
from layerscope.tui.explore.price import ask_price
from layerscope.tui.explore.room_keys import ROOM_KEYS
from layerscope.tui.explore.tips import tips
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.session import KINDS, Connector, Opener, Session
from layerscope.tui.trail import Trail
from layerscope.tui.work import Problem

_POLL = 0.5
#: Seconds between updates of ages.
_AGING = 20.0


class MainScreen(PanedScreen, screen="main", heading="Around an image"):
    """Images, layers, files and details, as many as fit."""

    def _not_reading(self) -> str:
        reading = self.session is not None and not self.session.ended
        return "" if reading or self.files.busy else "Nothing is being read."

    def _no_matches(self) -> str:
        if reason := self._no_files("Matches are those of files"):
            return reason
        return "" if self.files.pattern is not None else "No filter is set, so nothing matches."

    def _one_platform(self) -> str:
        if self._row_source and self.pane is self.images:
            if len(self.images.platforms) > 1:
                return ""
            if self.images.platforms:
                return "The engine has this image for one platform only."
        if not self.exploring or self._row_source:
            return self._without_image("No image is open")
        if self.session is None or not self.session.platforms:
            return "This image is there for one platform only."
        return ""

    def _nowhere_back(self) -> str:
        pane = self.pane
        if isinstance(pane, EngineList):
            pending = bool(pane.needle or (pane is self.images and self.images.marked))
        else:
            pending = self.files.pattern is not None or self._zoomed is not None
        if pending or self._then or self._came or self.trail.stops:
            return ""
        reason = "There is nothing to go back to"
        if isinstance(pane, EngineList):
            return f"{reason}."
        return f"{reason}: {key_of(self, 'main.images')} shows the images."

    KEYS = (
        common.cancel_key("main", "Stop reading the image", _not_reading),
        *common.file_keys("main"),
        Key(
            "main.union",
            "t",
            "toggle_union",
            "Merged view",
            "Show one layer, or the merged view up to it",
            lambda self: self._no_files("The merged view is one of layers"),
            "layers files",
            label_now=lambda self: "This layer" if self.explorer.union else "Merged view",
        ),
        Key(
            "main.waste",
            "w",
            "visit('waste')",
            "Waste",
            "Show what could be saved, why, and how",
            hint="images containers layers details",
        ),
        # As in lazygit, and as in dive.
        Key(
            "main.filter",
            "slash,ctrl+f",
            "filter",
            "Filter",
            "Filter by name, by path with * and ?, or by re:…",
            lambda self: self._nothing_listed("filter"),
            "images containers layers files",
        ),
        *common.match_keys("main", _no_matches, "files"),
        *common.sort_keys(
            "main", lambda self: self._nothing_listed("sort"), "images containers files"
        ),
        Key(
            "main.compare",
            "c",
            "visit('compare')",
            "Compare…",
            "Compare the image with another one",
            hint="images",
        ),
        Key(
            "main.open",
            "o",
            "open",
            "Open other…",
            "Open an archive, or any image by name",
            hint="images",
        ),
        *common.tree_keys(
            "main", lambda self: self._no_files("Kinds of changes are those of files"), "files"
        ),
        Key(
            "main.platform",
            "p",
            "platform",
            "Platform…",
            "Show the image for another platform",
            _one_platform,
            "layers details",
        ),
        common.zoom_key("main", "layers files details", lambda self: self._cannot_zoom()),
        *ROOM_KEYS,
        Key("main.reload", "R", "reload", "Reload images"),
        *common.pane_keys(
            "main",
            {
                "images": "Images",
                "layers": "Layers",
                "files": "Files",
                "details": "Details",
                "containers": "Containers",
            },
            lambda self, pane: self._no_pane(pane),
        ),
        common.back_key(
            "main", tip="Clear the filter, end the zoom, or go back", why_not=_nowhere_back
        ),
        Key(
            "main.extract",
            "ctrl+s",
            "visit('extract')",
            "Extract…",
            "Extract the file or folder to this host",
            hint="files",
        ),
        Key(
            "main.shell",
            "x",
            "visit('shell')",
            "Shell",
            "Run a shell in the container, or in the image as it is at the layer",
            hint="images containers layers",
        ),
        Key(
            "main.other-shell",
            "ctrl+x",
            "visit('other-shell')",
            "Which shell…",
            "Choose the shell, and whether it runs as root",
        ),
        common.copy_key("main"),
    )

    def __init__(
        self,
        source: str | None,
        opener: Opener,
        connector: Connector,
        clock: Callable[[], float] = time.time,
        platform: str | None = None,
        cache: bool = True,
        measurer: Measurer | None = None,
    ) -> None:
        """Opens a source at once; None starts with the list of images."""
        super().__init__(source is not None, clock)
        # Set before the first layout, so that nothing is painted twice.
        self.AUTO_FOCUS = "#images" if source is None else "#layers"  # type: ignore[misc]
        self.engine = EngineImages(
            self.images,
            self.containers,
            connector,
            clock,
            self.work,
            self._engine_answered,
            self.say,
            self.set_timer,
            lambda: self.app.screen is self and isinstance(self.pane, EngineList),
            measurer if cache else None,
        )
        self._failures = Failures(lambda: self.app, self._chosen, self._pull)
        #: Which images are out of date.
        self.drifts = Drifts(connector, self.images.set_drift)
        self._clock = clock
        self.session: Session | None = None  # The open image.
        #: The places that led here, in other rooms or with another image.
        self.trail: Trail[Spot] = Trail(lambda: self.app)
        self._open = OpenImages(self.trail)
        self._source = source
        self._opener = opener
        self._connector = connector
        self._platform = platform
        self._cache = cache
        self._poll: Timer | None = None
        self._live = LiveContainer(
            self.work,
            lambda: self.session if self.app.screen is self else None,
            lambda old, on: Session(old.source, opener, self.call_later, on, old.platform, cache),
            self._show_newer,
        )
        self._queued = False
        self._tips = False  # Whether to show tips when the engine has answered.
        self._then = ""  # The screen to go to once the image has been read.
        if source is None:
            self.add_class("-solo")
            self.images.add_class("-solo")

    def body(self) -> ComposeResult:
        yield Container(*self._all_panes, id="body")

    def on_mount(self) -> None:
        """Starts the work after the first paint."""
        for pane in (self.images, self.containers):
            pane.await_engine()
        if self._source is not None:
            self.explorer.begin(self._source)
            self.title_bar.set_image(visible(self._source), "")
        self.set_interval(PERIOD, self._live.look)
        self.set_interval(_AGING, lambda: self.engine.set_time(self._clock()))
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        if self._source is not None:
            self.open_source(self._source)
        self.engine.list()

    def on_unmount(self) -> None:
        self._live.close()
        self._open.close()

    @property
    def exploring(self) -> bool:
        """Whether an image is open or about to be."""
        return self._source is not None

    # The engine.

    def entered(self, pane: RowView) -> None:
        if pane is self.containers:
            self.engine.look_at_containers()
        if pane is self.files or pane is self.layer_list:
            self.explorer.entered(files=pane is self.files)

    def _engine_answered(self) -> None:
        self._show_title()
        self.refresh_bindings()
        if self._tips:
            self.show_tips()

    def show_tips(self) -> None:
        """Shows a new user tips, once the engine has answered."""
        self._tips = self.images.awaited and not self.exploring
        if not self._tips:
            text = tips(self.images, self.exploring, self.images.offers_demo)
            self.message.say(text, stays=True)

    def action_reload(self) -> None:
        self._live.read()
        self.images_changed("Asking the engine again…")

    def engine_chosen(self, sentence: str) -> None:
        """Switches the engine; closes an image of the old one, since both may have its name."""
        if not any(isinstance(each, AppScreen) and each.has_unsaved for each in self.trail.screens):
            self.trail.forget(len(self.trail.stops))
        if self._source is not None and self._source.partition(":")[0] not in KINDS:
            self._came, self._current, self._zoomed, self._then = [], self.images, None, ""
            self._show_no_image()
        self._close_others()
        self.engine.switch()
        self._show_title()
        self.say(sentence)

    def images_changed(self, sentence: str) -> None:
        """Refreshes the images, which may have changed."""
        self.engine.list()
        if sentence and self.app.screen is self:
            self.say(sentence)

    def on_image_list_measure(self) -> None:
        self.say("Reading the images that have not been measured…")
        self.engine.measure(thorough=True)

    def on_image_list_marked(self) -> None:
        self.engine.marked()
        self.refresh_bindings()

    # The image.

    def open_source(self, source: str, platform: str | None = None, *, go: bool = True) -> None:
        """Opens an image, and goes to its layers.

        Closes the previous one unless `esc` can return to it.
        """
        self._zoomed, self._then = None, ""
        self._source = source
        self.images.set_open(source, "")
        self.explorer.begin(source)
        platform = platform or self._platform
        of = (source, self._opener, self.call_later, self._session_changed)
        self.session = Session(*of, platform, self._cache, partial(ask_price, self.app))
        self._open.add(self.session)
        self._close_others()
        self._watch()
        if go:
            self._current = self.layer_list
        self.arrange_panes()
        if go:
            self.set_focus(self.layer_list, scroll_visible=False)
        self._show_title()

    def _watch(self) -> None:
        """Shows the progress of reading until it ends."""
        if self._poll is None:
            self._poll = self.set_interval(_POLL, self._show_title)

    def _close_others(self) -> None:
        self._open.close_others(self.session)

    def _session_changed(self, session: Session) -> None:
        if session is not self.session:
            return
        self.explorer.update(session)
        if session.image is not None:
            self.images.set_open(session.source, session.image.id)
        if session.ended:
            self.engine.learn_from(session)
            if self._poll is not None:
                self._poll.stop()
                self._poll = None
            if session.image is None or (session.loaded is None and session.problem):
                self._give_up(session)
            elif self._then and self.app.screen is self:
                self.say("")
                super().visit(self._then, self._place_of(session))
            self._then = ""
        self._show_title()
        self.refresh_bindings()

    def _give_up(self, session: Session) -> None:
        problem = session.problem or Problem("Nothing could be read.", "")
        panes = (*self._came, self.pane)
        lists = list(takewhile(lambda pane: isinstance(pane, EngineList), panes))
        if self.trail.stops and not lists:
            self.return_back()
        else:
            self._came, self._current = lists[:-1], (lists or [self.images])[-1]
            self._show_no_image()
        self._failures.show(session.source, problem)

    def _show_newer(self, session: Session) -> None:
        """Shows the newly read container, at the same place."""
        explored = self.explorer.leave()
        self.session = session
        self._open.add(session)
        self.explorer.begin(session.source)
        self.explorer.update(session)
        self.explorer.come_back(explored)
        self._close_others()
        self._show_title()

    def _show_no_image(self) -> None:
        self.session = self._source = None
        self.images.set_open("", "")
        self.explorer.begin("")
        self._close_others()
        self.arrange_panes()
        self.set_focus(self._current, scroll_visible=False)

    def action_platform(self) -> None:
        """Asks which platform of the image to show; the current one comes first."""
        if source := self._row_source:
            title = f"Platforms of {short_name(source)}"
            self._failures.ask_platform(source, title, self.images.platforms)
        elif self.session is not None and self.session.platforms:
            title = f"Platforms of {self.session.name()[0]}"
            self._failures.ask_platform(self.session.source, title, self.session.platforms)

    def action_open(self) -> None:
        from layerscope.tui.dialogs.open import OpenScreen

        names = [*self.images.names, *self.containers.names]
        self.app.push_screen(OpenScreen(names), self._chosen)

    def _chosen(self, source: str | None, platform: str | None = None) -> None:
        if source is not None:
            self._leave()
            self.open_source(source, platform)

    def _pull(self, name: str) -> None:
        self.visit("pull", replace(self.place, reference=name))

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        if message.view is self.layer_list:
            self.go(self.files)
        elif message.view is self.files:
            self.action_visit("content")
        elif isinstance(message.view, EngineList) and message.view.source:
            # The previous image is closed for good.
            self._came = [pane for pane in (*self._came, self.pane) if isinstance(pane, EngineList)]
            self.open_source(message.view.source)

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        """Shows another layer or path, once for all queued moves."""
        if message.view is self.files:
            self.explorer.path_moved()
        if message.view is not self.layer_list:
            return
        self.explorer.moved()
        if not self._queued:
            self._queued = True
            self.call_after_refresh(self._show_layer)

    def _show_layer(self) -> None:
        self._queued = False
        self.explorer.show()

    def _show_title(self) -> None:
        session = self.session
        if session is None:
            self.title_bar.set_image("", "")
            self.title_bar.set_right(self.engine.name)
        else:
            self.title_bar.set_image(*session.name())
            text, style = session.state()
            self.title_bar.set_right(text or session.kind or self.engine.name, style)

    def action_back(self) -> None:
        pane = self.pane
        if self._then:
            self._then = ""
            self.say("The image is still being read, and stays open.")
        elif pane is self.images and self.images.marked:
            self.images.clear_marks()
        elif isinstance(pane, EngineList) and pane.needle:
            pane.filter("")
        elif not isinstance(pane, EngineList) and self.files.pattern is not None:
            self._filtered = self.files
            self._set_filter("")
        elif self._zoomed is not None:
            self.action_zoom()
        elif self._came:
            self.go(self._came[-1])
        elif self.trail.stops:
            self.return_back()
        self.refresh_bindings()

    # The way back.

    def _leave(self) -> None:
        """Notes where the user is, to return there."""
        if self.exploring or self.app.screen is not self:
            explored = self.explorer.leave()
            came, zoomed = tuple(self._came), self._zoomed
            spot = Spot(self._source, self.session, self.pane, came, zoomed, explored)
            self.trail.leave(spot)
            self._came.clear()
            self._zoomed = None
            self._close_others()
        else:
            self._came = [*self._came, self.pane]

    def return_back(self) -> None:
        """Returns to the place that led here, on another screen or on this one."""
        spot = self.trail.back()
        if spot.session is not self.session:
            self.session, self._source = spot.session, spot.source
            image = None if spot.session is None else spot.session.image
            self.images.set_open(spot.source or "", "" if image is None else image.id)
            self.explorer.begin(spot.source or "")
            if spot.session is not None:
                self.explorer.update(spot.session)
                self._watch()
        if spot.session is not None:
            self.explorer.come_back(spot.explored)
        self._close_others()
        self._zoomed, self._current = spot.zoomed, spot.pane
        self.arrange_panes()
        self.go(spot.pane)
        self._came = list(spot.came)
        self._show_title()
        self.refresh_bindings()

    def action_cancel(self) -> None:
        """Stops slow work: making rows, or else reading."""
        if self.files.busy:
            self.explorer.cancel()
        elif self.session is not None:
            self.session.cancel()

    # Other screens.

    @property
    def _row_source(self) -> str:
        """Returns the source under the cursor of a list, unless it is open already."""
        pane = self.pane
        if not isinstance(pane, EngineList) or pane.source == self._source:
            return ""
        return "" if pane is self.images and self.images.at_open else pane.source

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        pane = self.pane
        if (
            action == "visit"
            and self._row_source
            and self.base_app.destinations[str(parameters[0])].reads
        ):
            return ""  # Opened first, since it has to be read.
        reason = super().why_not(action, parameters)
        awaited = isinstance(pane, EngineList) and pane.awaited and action != "back"
        return UNANSWERED if reason and awaited else reason

    def visit(self, name: str, place: Place) -> None:
        if (source := self._row_source) and self.base_app.destinations[name].reads:
            # Returning from the other screen leads to the list.
            self.open_source(source, go=False)
            self._then = name
            self.say(f"Reading {short_name(source)}…")
        else:
            super().visit(name, place)

    @property
    def place(self) -> Place:
        return self._place_of(None if self._row_source else self.session)

    def _place_of(self, session: Session | None) -> Place:
        files, step = self.files, self.layer_list.step
        shown = session is not None
        pane = self.pane
        return Place(
            opener=self._opener,
            connector=self._connector,
            session=session,
            view=files.view if shown else None,
            layer=None if step is None or not shown else step.layer,
            node=files.node if shown else None,
            source=pane.source if isinstance(pane, EngineList) else "",
            listed=self.images.image,
            chosen=self.images.chosen,
            marked=self.images.marked_sources,
            drifts=self.drifts,
            reclaimer=self.engine.reclaimer,
            text=lambda: pane.row_text,
            engine=self.engine.name,
            no_engine=self.engine.absence,
            pane=self.pane.id or "",
            cache=self._cache,
            go=self.go_to,
            changed=self.images_changed,
            switched=self.engine_chosen,
        )

    @property
    def registry(self) -> str:
        """Returns the registry of the image under the cursor, or of the open one."""
        from layerscope.oci.reference import is_reference, parse_reference

        name = (self._row_source or self._source or "").removeprefix("docker://")
        return parse_reference(name).domain if is_reference(name) else ""

    def go_to(self, goal: Goal) -> None:
        """Shows a path in the files, or a layer, after opening its image; `esc` leads back."""
        self._leave()
        if goal.source is not None and (self.session is None or self.session.source != goal.source):
            self.open_source(goal.source)
        self.explorer.go_to(goal)
        self.go(self.layer_list if goal.path is None else self.files)
        self._came.clear()
        self.refresh_bindings()
