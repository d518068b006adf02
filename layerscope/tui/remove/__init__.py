"""Removing and untagging images, and pruning."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.dialogs.question import QuestionScreen
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.remove.prune import PruneScreen
    from layerscope.tui.remove.screen import RemoveScreen

    return RemoveScreen, PruneScreen


_CONTAINER = "container:"


def _why_not(place: Place) -> str:
    if place.pane == "containers":
        return "" if place.source else "There is no container here to remove."
    return "" if place.chosen else "There is no image here to remove."


def _go(app: App[Any], place: Place) -> None:
    from layerscope.tui.remove.screen import RemoveScreen

    if place.pane == "containers":
        name = place.source.removeprefix(_CONTAINER)
        app.push_screen(RemoveScreen("Remove a container", place, lambda e: e.drop(name)))
        return
    chosen = place.chosen
    app.push_screen(RemoveScreen("Remove images", place, lambda engine: engine.plan(chosen)))


def _no_name(place: Place) -> str:
    listed = place.listed
    return "" if listed is not None and listed.name else "Go to an image with a name first."


def _untag(app: App[Any], place: Place) -> None:
    from layerscope.tui.remove.screen import RemoveScreen

    assert place.listed is not None  # noqa: S101
    names = ((place.listed.id, place.listed.name),)
    app.push_screen(RemoveScreen("Remove a name", place, lambda engine: engine.plan(names)))


def _no_engine(place: Place) -> str:
    return place.no_engine


#: What can be pruned: letter, name, description and request.
_KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "d": ("dangling images", ": those without a tag", {}),
    "u": ("unused images", ": all that no container uses", {"images": "unused"}),
    "c": ("stopped containers", "; their volumes stay", {"images": "", "containers": True}),
    "b": ("build cache", " that is not in use", {"images": "", "cache": True}),
    "a": (
        "all of these",
        ", and the images of such containers",
        {"images": "unused", "containers": True, "cache": True},
    ),
}


def _prune(app: App[Any], place: Place) -> None:
    def chosen(letter: str | None) -> None:
        from layerscope.images.pruning import PruneRequest
        from layerscope.tui.remove.prune import PruneScreen

        if letter is not None:
            what, _, options = _KINDS[letter]
            title = "Prune everything unused" if letter == "a" else f"Prune {what}"
            app.push_screen(PruneScreen(title, place, PruneRequest(**options)))

    answers = [(letter, what + more) for letter, (what, more, _) in _KINDS.items()]
    text = "What would go is shown first, with what prevents the rest."
    app.push_screen(QuestionScreen("Prune what nothing needs", text, answers), chosen)


ROOM = Room(
    "remove",
    _keyed,
    {
        "remove": Destination(_go, _why_not),
        "untag": Destination(_untag, _no_name),
        "prune": Destination(_prune, _no_engine),
    },
)
