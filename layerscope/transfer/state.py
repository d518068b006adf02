"""The state of a transfer, from its events: a row for each layer, and a total."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from layerscope.transfer.events import ENDED, MOVING, State, TransferEvent

_WINDOW = 8.0  # The speed is the mean over this many seconds.


@dataclass(slots=True)
class Row:
    id: str
    state: State
    current: int | None = None  # Bytes done.
    total: int | None = None  # All bytes.
    text: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ENDED


@dataclass(slots=True)
class TransferState:
    rows: dict[str, Row] = field(default_factory=dict)
    image: str = ""  # The current image's name.
    warnings: list[str] = field(default_factory=list)
    loaded: list[TransferEvent] = field(default_factory=list)
    end: TransferEvent | None = None
    _moved: int = 0  # Bytes so far.
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def take(self, event: TransferEvent, now: float) -> None:
        """Handles an event; `now` is in seconds of any clock."""
        if event.event == "started":
            self.image = event.image or ""
        elif event.event == "warning":
            self.warnings.append(event.text or "")
        elif event.event == "loaded":
            self.loaded.append(event)
        elif event.event in ("finished", "failed"):
            self.end = event
        elif event.id is not None and event.state is not None:
            self._layer(event.id, event, event.state, now)

    def _layer(self, identifier: str, event: TransferEvent, state: State, now: float) -> None:
        row = self.rows.setdefault(identifier, Row(identifier, state))
        if state in MOVING and event.current is not None:
            same = row.state == state or row.state not in MOVING
            self._moved += max(0, event.current - (row.current or 0 if same else 0))
            row.current = event.current
            row.total = event.total or row.total
        elif state == "done" and row.total is not None:
            row.current = row.total
        row.state, row.text = state, event.text or ""
        self._seen.append((now, self._moved))
        while self._seen[0][0] < now - _WINDOW:
            self._seen.popleft()

    @property
    def done(self) -> int:
        """The number of layers that have arrived."""
        return sum(row.ended for row in self.rows.values())

    @property
    def current(self) -> int:
        return sum(row.current or 0 for row in self.rows.values())

    @property
    def total(self) -> int:
        """The total bytes of all layers whose size is known."""
        return sum(row.total or 0 for row in self.rows.values())

    def speed(self, now: float) -> float:
        """Returns the bytes per second of the last seconds."""
        recent = [(at, moved) for at, moved in self._seen if at >= now - _WINDOW]
        if len(recent) < 2:
            return 0.0
        return (recent[-1][1] - recent[0][1]) / max(0.2, now - recent[0][0])

    def seconds_left(self, now: float) -> float | None:
        """Returns the seconds until all known bytes have moved; None if nothing moves."""
        speed = self.speed(now)
        left = sum((r.total or 0) - (r.current or 0) for r in self.rows.values() if not r.ended)
        return left / speed if speed > 0 and left > 0 else None
