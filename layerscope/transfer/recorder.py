"""Writes the events of a transfer: the changes of each layer, at a readable rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from layerscope.jobs.journal import Event
from layerscope.transfer.events import ENDED, State, TransferEvent

#: Seconds between events about a layer's bytes.
_PERIOD = 0.2


@dataclass(slots=True)
class _Layer:
    state: State
    current: int | None = None
    total: int | None = None
    written: float = 0.0
    whole: bool = False  # Whether all its bytes have been reported.


class Recorder:
    """Writes events; `sizes` are sizes of layers by the id that the engine will use."""

    def __init__(
        self,
        write: Callable[[Event], object],
        sizes: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.digest: str | None = None  # Of the manifest, once it is known.
        self._write = write
        self._sizes = dict(sizes or {})
        self._only = False
        self._clock = clock
        self._begun = clock()
        self._layers: dict[str, _Layer] = {}
        self._lock = threading.RLock()

    def started(self, image: str) -> None:
        self._put(TransferEvent("started", image=image, time=round(time.time(), 3)))

    def expect(self, sizes: Mapping[str, int], *, only: bool = False) -> None:
        """Sets the sizes of layers, which the engine may not report; `only` these are layers."""
        self._sizes.update(sizes)
        self._only = only

    def layer(
        self,
        identifier: str,
        state: State,
        current: int | None = None,
        total: int | None = None,
        text: str | None = None,
    ) -> None:
        """Records the state of a layer; may be called by several threads."""
        with self._lock:
            self._layer(identifier, state, current, total, text)

    def _layer(
        self,
        identifier: str,
        state: State,
        current: int | None,
        total: int | None,
        text: str | None,
    ) -> None:
        if self._only and identifier not in self._sizes:
            return  # Podman has a row for the image itself, too.
        known = self._layers.get(identifier)
        size = self._sizes.get(identifier)
        if state == "downloading":
            # After a retry, an engine counts only the rest.
            total = size or total
        now = self._clock()
        same = known is not None and known.state == state
        if known is not None and same and (current, total) == (known.current, known.total):
            return
        if known is not None and known.state in ENDED:
            return
        complete = current is not None and current == total
        if known is not None and same and not complete and now - known.written < _PERIOD:
            return
        whole = known is not None and known.whole
        if size and not whole and state in ("verifying", "extracting", "done"):
            # Small and last pieces arrive without a count.
            self._put(TransferEvent("layer", identifier, "downloading", size, size))
            whole = True
        whole = whole or (state == "downloading" and complete)
        self._layers[identifier] = _Layer(state, current, total, now, whole)
        self._put(TransferEvent("layer", identifier, state, current, total, text))

    @property
    def moving(self) -> bool:
        """Whether a layer is partly transferred, or was."""
        return any(each.state in ("downloading", "retrying") for each in self._layers.values())

    def loaded(self, image: str, name: str, replaced: str = "") -> None:
        """Records that an image, by id, was loaded; `replaced` had its name before."""
        self._end_layers()
        self._put(
            TransferEvent("loaded", image=image, name=name or None, replaced=replaced or None)
        )

    def warning(self, text: str) -> None:
        self._put(TransferEvent("warning", text=text))

    def finished(self, image: str, text: str = "") -> None:
        self._end_layers()
        self._put(
            TransferEvent(
                "finished",
                image=image,
                digest=self.digest,
                seconds=self._seconds(),
                text=text or None,
            )
        )

    def failed(self, text: str) -> None:
        self._put(TransferEvent("failed", text=text, seconds=self._seconds()))

    def _seconds(self) -> float:
        return round(self._clock() - self._begun, 3)

    def _end_layers(self) -> None:
        for identifier, layer in list(self._layers.items()):
            if layer.state not in ENDED:
                # Podman does not report when a layer is unpacked.
                self.layer(identifier, "done")

    def _put(self, event: TransferEvent) -> None:
        self._write(event.document())


def row_of(digest: str) -> str:
    """Returns the id of a layer in events, as engines write it."""
    return digest.partition(":")[2][:12]
