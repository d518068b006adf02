"""Transfers as text: a line for each finished layer, a total, and previews."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from layerscope.text import docker_size, duration, one_line, plural, short_id, visible
from layerscope.transfer.events import ENDED, TransferEvent
from layerscope.transfer.state import TransferState

if TYPE_CHECKING:
    from layerscope.transfer.preview import PullPreview, PushPreview

_WORDS = {"exists": "already there", "mounted": "mounted"}


class TransferText:
    """The lines for each event of a transfer. The clock returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._state = TransferState()

    def lines(self, event: TransferEvent) -> Iterator[str]:
        self._state.take(event, self._clock())
        if event.event == "started":
            yield visible(event.image or "")
        elif event.event == "warning":
            yield f"Warning: {one_line(event.text or '')}"
        elif event.event == "layer" and event.id is not None:
            row = self._state.rows[event.id]
            if event.state == "retrying":
                yield f"  {visible(row.id)}  {one_line(row.text)}"
            elif event.state in ENDED:
                size = "" if row.total is None else f"  {docker_size(row.total)}"
                word = row.text or _WORDS.get(row.state, "done")
                yield f"  {visible(row.id)}  {one_line(word)}{size}"
        elif event.event == "loaded":
            name = f"{visible(event.name)}  " if event.name else ""
            before = f", in place of {short_id(event.replaced)}" if event.replaced else ""
            yield f"Loaded   {name}{short_id(event.image or '')}{before}"
        elif event.event == "finished":
            took = "" if event.seconds is None else f", {duration(event.seconds)}"
            moved = f", {docker_size(self._state.current)}" if self._state.current else ""
            yield f"Image    {short_id(event.image or '')}{moved}{took}"
            if event.digest:
                yield f"Digest   {visible(event.digest)}"
            if event.text:
                yield f"Written  {one_line(event.text)}"

    def status(self) -> str:
        if self._state.end is not None:
            return ""
        return " · ".join(total_parts(self._state, self._clock())) or "Waiting for the first layer…"

    def failure(self, event: TransferEvent) -> str:
        return one_line(event.text or "It failed.")


def total_parts(state: TransferState, now: float | None) -> list[str]:
    """The progress of a transfer: layers, bytes and, until it ends, speed and time left.

    `now` is None once it has ended.
    """
    parts = [f"{state.done} of {plural(len(state.rows), 'layer')}"] if state.rows else []
    if state.total:
        parts.append(f"{docker_size(state.current)} of {docker_size(state.total)}")
    if now is not None:
        if speed := state.speed(now):
            parts.append(f"{docker_size(int(speed))}/s")
        if (left := state.seconds_left(now)) is not None:
            parts.append(f"{duration(left)} left")
    return parts


def pull_document(found: PullPreview) -> dict[str, Any]:
    """The object of `pull --dry-run --json`: sizes in bytes, compressed."""
    return {
        "schema": "layerscope.pull/1",
        "reference": found.reference,
        "digest": found.digest,
        "platform": None if found.platform is None else str(found.platform),
        "engine": found.engine,
        "up_to_date": found.up_to_date,
        "size": found.estimate.total,
        "missing_size": 0 if found.up_to_date else found.estimate.missing,
        "layers": [
            {
                "diff_id": layer.diff_id,
                "digest": layer.digest,
                "size": layer.stored_size,
                "present": present or found.up_to_date,
                "instruction": layer.instruction,
            }
            for layer, present in zip(found.layers, found.estimate.present, strict=True)
        ],
        "pull_limit": found.limit and asdict(found.limit),
        **({} if found.kept is None else {"kept_size": found.kept}),
    }


def pull_text(found: PullPreview) -> Iterator[str]:
    for layer, present in zip(found.layers, found.estimate.present, strict=True):
        size = "" if layer.stored_size is None else docker_size(layer.stored_size)
        what = "already here" if present or found.up_to_date else "to fetch"
        yield f"  {short_id(layer.digest or layer.diff_id)}  {size:>8}  {what:<12}  {layer.made_by}"
    where = visible(found.engine)
    platform = "" if found.platform is None else f" for {visible(str(found.platform))}"
    if found.up_to_date:
        yield f"{where} has {visible(found.reference)}{platform} as the registry does."
    else:
        missing = found.estimate.present.count(False)
        last = f"{where} unpacks them, which takes more space." if missing else ""
        if found.kept is not None:
            last = f"They go to {where}."
        if found.kept:
            last += f" {docker_size(found.kept)} of them are kept from an earlier attempt."
        yield (
            f"A pull{platform} would fetch {docker_size(found.estimate.missing)} of "
            f"{docker_size(found.estimate.total)}: {missing} of "
            f"{plural(len(found.layers), 'layer')}. {last}"
        )
    if found.limit is not None:
        yield f"The registry allows {found.limit.pulls}."


def push_document(found: PushPreview) -> dict[str, Any]:
    """The object of `push --dry-run --json`."""
    return {
        "schema": "layerscope.push/1",
        "reference": found.reference,
        "image": found.image,
        "engine": found.engine,
        "replaces": found.replaces,
        "layers": [
            {"diff_id": diff_id, "present": present}
            for diff_id, present in zip(found.diff_ids, found.present, strict=True)
        ],
    }


def push_text(found: PushPreview) -> Iterator[str]:
    for diff_id, present in zip(found.diff_ids, found.present, strict=True):
        yield f"  {short_id(diff_id)}  {'already there' if present else 'to push'}"
    name = visible(found.reference)
    if found.replaces is not None:
        yield f"A push replaces {name}, which is {short_id(found.replaces)} in the registry now."
    elif all(found.present):
        yield f"The registry has {name} as it is here."
    else:
        yield f"The registry has no {name} yet. Layers of other names there are not pushed again."
