"""Pulls and pushes: the question what to transfer, and a row for each layer while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.app import App

from layerscope.tui.destinations import Destination, Place, Room
from layerscope.tui.keys.key import Keyed

if TYPE_CHECKING:
    from layerscope.jobs.job import Job


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


def _pull(app: App[Any], place: Place) -> None:
    _ask(app, place, "pull", place.reference)


def _push(app: App[Any], place: Place) -> None:
    _ask(app, place, "push", place.listed.name if place.listed is not None else "")


def _ask(app: App[Any], place: Place, kind: str, name: str) -> None:
    from layerscope.tui.transfer.dialog import TransferDialog

    def started(job: Job | None) -> None:
        if job is not None:
            _watch(app, place, job)

    assert place.connector is not None  # noqa: S101
    app.push_screen(TransferDialog(kind, name, place.connector), started)


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
        "transfer_job": Destination(_show),
    },
)
