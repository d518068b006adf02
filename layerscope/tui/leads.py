"""Keys that lead from the place where the user is to another screen, in one table.

A screen of its own asks nothing of the main screen but a `Place`; the main screen knows nothing of
it but its line in `LEADS`. So each can be opened from elsewhere too, and a key that cannot be
followed here says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerscope.text import visible

if TYPE_CHECKING:
    from textual.screen import Screen

    from layerscope.filesystem.view import View
    from layerscope.images.stored import ImageSummary
    from layerscope.tui.goal import Goal
    from layerscope.tui.screens.main import MainScreen
    from layerscope.tui.session import Connector, Opener, Session


@dataclass(frozen=True, slots=True)
class Place:
    """Where the user is.

    Attributes:
        opener: Opens other images.
        connector: Connects to the engine; None where no other image is asked for.
        session: The image that is open, read or being read; None without one.
        view: What the file tree shows; None if it shows nothing.
        layer: The layer under the cursor of the layer list; None for a history entry without one.
        node: The node of `view.stack.tree` under the cursor of the file tree; None without one.
        listed: The image under the cursor of the image list; None without one.
        pane: Id of the pane with the focus: `images`, `layers`, `files` or `details`.
        cache: Whether layers are taken from the cache and kept there.
        go: Goes to a path on the main screen, which other screens have been left for.
    """

    opener: Opener
    connector: Connector | None
    session: Session | None = None
    view: View | None = None
    layer: int | None = None
    node: int | None = None
    listed: ImageSummary | None = None
    pane: str = ""
    cache: bool = True
    go: Callable[[Goal], object] = lambda _: None

    @property
    def version(self) -> int | None:
        """The version of the path under the cursor that the file tree shows, if it has one."""
        if self.view is None or self.node is None:
            return None
        version = int(self.view.versions[self.node])
        return version if version >= 0 else None


@dataclass(frozen=True, slots=True)
class LayerGoal:
    """What a screen leads back to.

    Attributes:
        source: An image to open; None for the one that is open.
        diff_id: The layer to go to; None leaves it open.
    """

    source: str | None
    diff_id: str | None = None


@dataclass(frozen=True, slots=True)
class Lead:
    """A way to another screen.

    Attributes:
        why_not: Says in a sentence why it cannot be followed from a place; empty if it can.
        screen: Makes the screen, which may give a `LayerGoal`. Its module is imported here, so not
            before it is wanted.
    """

    why_not: Callable[[Place], str]
    screen: Callable[[Place], Screen[Any]]


def _no_versions(place: Place) -> str:
    """Why there are no versions to show."""
    session, view, node = place.session, place.view, place.node
    if session is None or session.contents is None or session.image is None:
        return "Nothing is read yet."
    if place.pane != "files" or view is None or node is None:
        return "Go to a path in the files first: versions are those of a path."
    if not view.stack.versions(node):
        return "No layer has an entry for this folder, so that it has no versions."
    return ""


def _versions(place: Place) -> Screen[Any]:
    from layerscope.tui.screens.versions import VersionsScreen

    session, view, node = place.session, place.view, place.node
    assert session is not None and view is not None and node is not None  # noqa: S101, PT018
    assert session.contents is not None and session.image is not None  # noqa: S101, PT018
    return VersionsScreen(session.contents, session.image, view.stack, node, view.layer)


def _no_content(place: Place) -> str:
    """Why there is no content to show."""
    session, view = place.session, place.view
    if session is None or session.contents is None or session.image is None:
        return "Nothing is read yet."
    if place.pane != "files" or view is None or place.node is None:
        return "Go to a file first: content is that of the file under the cursor."
    version = place.version
    # `EntryType`, which is not imported before there are files: FILE, HARDLINK, SYMLINK, DIR.
    kind = 3 if version is None else int(view.stack.types[version])
    if kind == 3:
        return "A folder has no content."
    return "" if kind in (0, 1, 2) else "A device or a pipe has no content."


def _content(place: Place) -> Screen[Any]:
    from layerscope.tui.screens.content import ContentScreen

    session, view, version = place.session, place.view, place.version
    assert session is not None and view is not None and version is not None  # noqa: S101, PT018
    assert session.contents is not None and session.image is not None  # noqa: S101, PT018
    return ContentScreen(session.contents, session.image, view.stack, view.layer, version)


def _nothing_to_compare(place: Place) -> str:
    """Why there is no image to compare."""
    if place.session is None and place.listed is None:
        return "There is no image to compare: o opens one."
    return ""


def _compare(place: Place) -> Screen[Any]:
    from layerscope.tui.screens.compare import CompareScreen
    from layerscope.tui.screens.compare_with import CompareWithScreen, source_of

    first: Session | str
    listed = place.listed if place.pane == "images" or place.session is None else None
    if listed is not None:
        first = source_of(listed)
        name = visible(first)
    else:
        assert place.session is not None  # noqa: S101 - or there would be nothing to compare
        first = place.session
        name = first.name()[0]

    def compare(source: str) -> CompareScreen:
        return CompareScreen(first, source, place.opener, cache=place.cache)

    assert place.connector is not None  # noqa: S101 - only the main screen leads there
    return CompareWithScreen(name, place.connector, compare)


def _no_waste(place: Place) -> str:
    """Why there is no waste to show."""
    session = place.session
    if session is None:
        return "No image is open, so that nothing of it can be wasted."
    if session.loaded is None or not session.ended:
        return "The image is still being read: what hides what is known once it is all there."
    if not session.loaded.stack.height:
        return "The image has no layers, so that nothing of it is wasted."
    return ""


def _waste(place: Place) -> Screen[Any]:
    from layerscope.tui.screens.waste import WasteScreen

    session = place.session
    assert session is not None and session.loaded is not None  # noqa: S101, PT018
    return WasteScreen(session.loaded.image, session.loaded.stack, session.contents, place.go)


def _no_packages(place: Place) -> str:
    """Why there are no packages to show."""
    session = place.session
    if session is None:
        return "No image is open, so that there are no packages to show."
    if session.glances is None:
        return "Packages are known once all layers have been read."
    return "" if session.glances.stack.height else "The image has no layers."


def _packages(place: Place) -> Screen[Any]:
    from layerscope.tui.screens.packages import PackagesScreen

    session = place.session
    assert session is not None and session.image is not None  # noqa: S101, PT018
    assert session.glances is not None  # noqa: S101
    top = session.glances.stack.height - 1
    layer = top if place.layer is None else min(place.layer, top)
    return PackagesScreen(session.image, session.glances, layer, place.go)


def _find(place: Place) -> Screen[Any]:
    from layerscope.tui.find_job import Shelf
    from layerscope.tui.screens.find import FindScreen

    assert place.connector is not None  # noqa: S101 - only the main screen leads there
    return FindScreen(Shelf(place.connector, place.opener, place.cache), place.go)


def _editor(place: Place) -> Screen[Any]:
    from layerscope.tui.editing import editor

    return editor(place)


def follow(main: MainScreen, goal: object) -> None:
    """Goes where a screen has led to, if anywhere."""
    if isinstance(goal, LayerGoal):
        main.explorer.want(goal.diff_id)
        if goal.source is not None:
            main.open_source(goal.source)
        main.set_focus(main.layer_list, scroll_visible=False)


#: What `action_lead('name')` of the main screen follows.
LEADS: Mapping[str, Lead] = {
    "versions": Lead(_no_versions, _versions),
    "content": Lead(_no_content, _content),
    "compare": Lead(_nothing_to_compare, _compare),
    "waste": Lead(_no_waste, _waste),
    "packages": Lead(_no_packages, _packages),
    "find": Lead(lambda _: "", _find),
    "editor": Lead(lambda _: "", _editor),
}
