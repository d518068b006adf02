"""Transfers: the dialog for a pull, push, save or load, and the progress of each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.app import App

from layerscope.config import STORE
from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed

if TYPE_CHECKING:
    from layerscope.jobs.job import Job
    from layerscope.tui.transfer.verbs import Verb


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.transfer.dialog import TransferDialog
    from layerscope.tui.transfer.screen import LayerRows, TransferScreen

    return TransferScreen, LayerRows, TransferDialog


def _no_engine(place: Place) -> str:
    return "" if place.connector is not None else "There is no engine that could transfer images."


def _no_name(place: Place) -> str:
    if place.listed is None or not place.listed.name:
        return "Go to an image with a name first."
    return _no_engine(place)


def _no_image(place: Place) -> str:
    return "" if _to_save(place) else "Go to an image first."


def _to_save(place: Place) -> str:
    """Returns the image under the cursor, or else the open one, as a source."""
    if place.listed is not None:
        return place.listed.name or place.listed.id
    return place.session.source if place.session is not None else ""


def _pull(app: App[Any], place: Place) -> None:
    from layerscope.tui.transfer.verbs import Pull

    assert place.connector is not None  # noqa: S101
    verb = Pull(place.reference, place.connector, _insecure(app), own_store=_in_own_store(place))
    _ask(app, place, verb)


def _push(app: App[Any], place: Place) -> None:
    from layerscope.tui.transfer.verbs import Push

    assert place.connector is not None  # noqa: S101
    name = place.listed.name if place.listed is not None else ""
    verb = Push(name, place.connector, _insecure(app), own_store=_in_own_store(place))
    _ask(app, place, verb)


def _save(app: App[Any], place: Place) -> None:
    from layerscope.tui.transfer.verbs import Save

    _ask(app, place, Save(_to_save(place), _insecure(app)))


def _load(app: App[Any], place: Place) -> None:
    from layerscope.tui.transfer.verbs import Load

    assert place.connector is not None  # noqa: S101
    _ask(app, place, Load(place.connector))


def _push_to(app: App[Any], place: Place) -> None:
    from layerscope.tui.transfer.verbs import PushToEngine

    _ask(app, place, PushToEngine(place.reference, *place.engines))


def _in_own_store(place: Place) -> bool:
    return place.engine == f"The {STORE}"


def _insecure(app: App[Any]) -> bool:
    return bool(getattr(app, "insecure", False))


def _ask(app: App[Any], place: Place, verb: Verb) -> None:
    from layerscope.tui.transfer.dialog import TransferDialog

    def started(job: Job | None) -> None:
        if job is not None:
            _watch(app, place, job)

    app.push_screen(TransferDialog(verb), started)


def _show(app: App[Any], place: Place) -> None:
    assert place.build is not None  # noqa: S101
    _watch(app, place, place.build[0])


def _watch(app: App[Any], place: Place, job: Job) -> None:
    from layerscope.tui.transfer.screen import TransferScreen

    app.push_screen(TransferScreen(job, place))


ROOM = Room(
    "transfer",
    _keyed,
    {
        "pull": Destination(_pull, _no_engine),
        "push": Destination(_push, _no_name),
        "save": Destination(_save, _no_image),
        "load": Destination(_load, _no_engine),
        "push_to": Destination(_push_to),
        "transfer_job": Destination(_show),
    },
)
