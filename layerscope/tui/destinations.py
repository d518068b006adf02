"""Navigation between screens: what each room offers, and when it can be entered.

A room registers its screens as destinations in the `ROOM` of its package. Other rooms go there by
name (`AppScreen.action_visit`) and know nothing else of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App

    from layerscope.build.request import BuildRequest
    from layerscope.build.state import BuildState, BuildStep
    from layerscope.filesystem.view import View
    from layerscope.images.image import Image
    from layerscope.images.summary import ImageSummary
    from layerscope.jobs.job import Job
    from layerscope.tui.drifts import Drifts
    from layerscope.tui.keys.key import Keyed
    from layerscope.tui.removal import Names, Reclaimer
    from layerscope.tui.session import Connector, Opener, Session


@dataclass(frozen=True, slots=True)
class Goal:
    """A place on the main screen: a path in the files of a layer, or the layer itself."""

    source: str | None = None  # The image to open; None for the open one.
    layer: int | None = None  # Number of the layer; None to find it by `diff_id`.
    diff_id: str | None = None  # The layer's diff_id; None leaves the layer open.
    path: bytes | None = None  # The path, without a leading slash; None goes to the layer.
    merged: bool = False  # Whether to show the merged view up to the layer, not the layer alone.


@dataclass(frozen=True, slots=True)
class Place:
    """Where the user is."""

    opener: Opener
    #: Connects to the engine; None where no other image can be opened.
    connector: Connector | None
    session: Session | None = None  # The open image, read or being read.
    view: View | None = None  # What the file tree shows.
    layer: int | None = None  # The layer under the cursor; None for a history entry without one.
    #: The node of `view.stack.tree` under the cursor of the file tree, or None.
    node: int | None = None
    #: The version to show, as a row of `view.stack`; None for the one in `view`.
    row: int | None = None
    listed: ImageSummary | None = None  # The image under the cursor of the image list.
    text: Callable[[], str] = lambda: ""  # Returns the row under the cursor as text, or "".
    #: The path of a row in a screen without a file tree; it has no leading slash.
    path: bytes | None = None
    image: Image | None = None  # The selected image, if it is not the open one.
    engine: str = ""  # The connected engine, with its version.
    no_engine: str = "No engine answers."  # Why there is no engine, or "".
    chosen: Names = ()  # The marked images, or the one under the cursor, as ids and names.
    marked: tuple[str, ...] = ()  # The marked images as sources to open.
    source: str = ""  # The image or container under the cursor of the focused list.
    drifts: Drifts | None = None  # What is known about newer images.
    reclaimer: Reclaimer | None = None  # Computes what removing images would free.
    pane: str = ""  # Id of the pane with the focus: `images`, `layers`, `files` or `details`.
    cache: bool = True  # Whether layers are read from the cache and kept there.
    #: The selected build, its state, and one of its steps.
    build: tuple[Job, BuildState | None, BuildStep | None] | None = None
    request: BuildRequest | None = None  # What the user has chosen to build.
    reference: str = ""  # The selected image or repository in a registry.
    #: The engine that has the image of `reference`, and the chosen one that lacks it.
    engines: tuple[str, str] = ("", "")
    #: Goes to a place on the main screen after closing the other screens.
    go: Callable[[Goal], object] = lambda _: None
    #: Refreshes the engine's images, and shows a sentence unless it is empty.
    changed: Callable[[str], object] = lambda _: None

    #: Shows the images of the new current engine, and a sentence.
    switched: Callable[[str], object] = lambda _: None

    @property
    def version(self) -> int | None:
        """The version to show of the path under the cursor, if any."""
        if self.row is not None:
            return self.row
        if self.view is None or self.node is None:
            return None
        version = int(self.view.versions[self.node])
        return version if version >= 0 else None


@dataclass(frozen=True, slots=True)
class Destination:
    """A screen that others can open."""

    #: Imports the screen's module and pushes the screen.
    go: Callable[[App[Any], Place], object]
    #: Returns a sentence on why the screen is not available from a place, or "".
    why_not: Callable[[Place], str] = lambda _: ""
    #: Whether it needs an image that has been read; a listed image is opened first.
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """A feature of the TUI: its screens, their keys, and how they are entered."""

    name: str  # The name of its package.
    #: Imports and returns its screens and panes with keys, in the order of the help page.
    keyed: Callable[[], tuple[type[Keyed], ...]]
    #: The screens that other rooms can open, by name.
    destinations: Mapping[str, Destination] = field(default_factory=dict)
