"""Ways from one screen to another: what a room offers, and where it is entered from.

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

    source: str | None = None  # The image to open; None for the one that is open.
    layer: int | None = None  # Number of the layer; None to find it by `diff_id`.
    diff_id: str | None = None  # The layer's diff_id; None leaves the layer open.
    path: bytes | None = None  # The path, without slash in front; None goes to the layer.
    merged: bool = False  # Whether to show the merged view up to the layer, not the layer alone.


@dataclass(frozen=True, slots=True)
class Place:
    """Where the user is."""

    opener: Opener  # Opens other images.
    #: Connects to the engine; None where no other image can be asked for.
    connector: Connector | None
    session: Session | None = None  # The image that is open, read or being read, or None.
    view: View | None = None  # What the file tree shows, or None.
    layer: int | None = None  # The layer under the cursor; None for a history entry without one.
    #: The node of `view.stack.tree` under the cursor of the file tree, or None.
    node: int | None = None
    #: A version to show, a row of `view.stack`; None for the one that `view` shows.
    row: int | None = None
    listed: ImageSummary | None = None  # The image under the cursor of the image list, or None.
    text: Callable[[], str] = lambda: ""  # Returns the row under the cursor as text, or "".
    #: A path, without slash in front, where no file tree shows it.
    path: bytes | None = None
    image: Image | None = None  # Another image than the one that is open, where the user is at one.
    engine: str = ""  # The engine that answers, with its version.
    no_engine: str = "No engine answers."  # Why none does, in a sentence, or "".
    chosen: Names = ()  # The marked images, or the one under the cursor, as ids and names.
    marked: tuple[str, ...] = ()  # The marked images as sources to open.
    source: str = ""  # The image or container under the cursor of a list that has the focus.
    drifts: Drifts | None = None  # What is known of newer images, or None.
    reclaimer: Reclaimer | None = None  # Works out what removing images would free, or None.
    pane: str = ""  # Id of the pane with the focus: `images`, `layers`, `files` or `details`.
    cache: bool = True  # Whether layers are read from the cache and kept there.
    #: A build, what is known of it, and one of its steps, where the user is at one.
    build: tuple[Job, BuildState | None, BuildStep | None] | None = None
    request: BuildRequest | None = None  # What to build, where the user has chosen that.
    reference: str = ""  # An image or repository in a registry, where the user is at one.
    #: The engine that has the image of `reference`, and another one that lacks it, where the user
    #: has chosen these.
    engines: tuple[str, str] = ("", "")
    #: Goes to a place on the main screen, once the other screens are left.
    go: Callable[[Goal], object] = lambda _: None
    #: Asks the engine for its images again, since they may be others now; says a sentence if it is
    #: not empty.
    changed: Callable[[str], object] = lambda _: None

    #: Shows what another engine has, once that is the current one, and says a sentence.
    switched: Callable[[str], object] = lambda _: None

    @property
    def version(self) -> int | None:
        """The version of the path under the cursor to show, if there is one."""
        if self.row is not None:
            return self.row
        if self.view is None or self.node is None:
            return None
        version = int(self.view.versions[self.node])
        return version if version >= 0 else None


@dataclass(frozen=True, slots=True)
class Destination:
    """A screen that can be gone to."""

    #: Goes there: pushes the screen. Its module is imported here, not before it is wanted.
    go: Callable[[App[Any], Place], object]
    #: Why that cannot be done from a place, in a sentence, or "".
    why_not: Callable[[Place], str] = lambda _: ""
    #: Whether it is about an image that has been read: an image in a list is opened for it.
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """A feature of the TUI: its screens, their keys, and how they are entered."""

    name: str  # The room's name, which is that of its package.
    #: Its screens and panes with keys, in the order of the help page; imported when called.
    keyed: Callable[[], tuple[type[Keyed], ...]]
    #: Its screens that others go to, by name.
    destinations: Mapping[str, Destination] = field(default_factory=dict)
