"""Parses an engine's messages during a pull or push, which have the words of the docker command.

Docker with either store, and Podman, have different messages; see the tables below. Pulls name rows
by the first 12 digits of a blob's digest, pushes by those of a diff_id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from layerscope.engines.transfers import refusal
from layerscope.oci.reference import Reference
from layerscope.text import one_line
from layerscope.transfer.events import State
from layerscope.transfer.recorder import Recorder

_STATES: dict[str, State] = {
    "pulling fs layer": "waiting",
    "preparing": "waiting",
    "waiting": "waiting",
    "downloading": "downloading",
    "verifying checksum": "verifying",
    "download complete": "verifying",
    "extracting": "extracting",
    "pull complete": "done",
    "already exists": "exists",
    "layer already exists": "exists",
    "pushing": "pushing",
    "pushed": "done",
}
_PREFIXES: dict[str, State] = {"retrying in": "retrying", "mounted from": "mounted"}
#: Ids of layers. `latest: Pulling from library/debian` is not about a layer.
_LAYER = re.compile(r"(?:[a-z]+-)?(?:sha256:)?([0-9a-f]{12})[0-9a-f]{0,52}")
_DIGEST = re.compile(r"\b[Dd]igest: (sha256:[0-9a-f]{64})")
#: Messages that repeat a row or the result.
_IDLE = re.compile(
    r"(?:pulling from |the push refers to |(?:\S+: )?digest: |status: |using default tag"
    r"|trying to pull |getting image source|copying (?:blob|config)|writing manifest"
    r"|storing signatures)",
    re.IGNORECASE,
)


class StreamParser:
    """Converts the messages of one transfer to events."""

    def __init__(self, recorder: Recorder, reference: Reference) -> None:
        self.status = ""  # The engine's final message.
        self._recorder = recorder
        self._reference = reference

    def feed(self, message: Mapping[str, Any]) -> None:
        """Handles a message; raises EngineError if it reports that the transfer failed."""
        if "error" in message or "errorDetail" in message:
            detail = message.get("errorDetail")
            detail = detail if isinstance(detail, Mapping) else {}
            reason = detail.get("message") or message.get("error")
            raise refusal(str(reason or "The engine gave no reason"), self._reference)
        aux = message.get("aux")
        if isinstance(aux, Mapping) and isinstance(digest := aux.get("Digest"), str):
            self._recorder.digest = digest
        status = message.get("status")
        if not isinstance(status, str):
            return
        if found := _DIGEST.search(status):
            self._recorder.digest = found[1]
        identifier = message.get("id")
        layer = _LAYER.fullmatch(identifier) if isinstance(identifier, str) else None
        state = state_of(status)
        if layer is not None and state is not None:
            self._row(layer[1], state, status, message)
        elif status.lower().startswith("status: "):
            self.status = one_line(status[8:])
        elif identifier is None and status.strip() and not _IDLE.match(status.strip()):
            self._recorder.warning(re.sub("^warning: ", "", one_line(status), flags=re.IGNORECASE))

    def _row(self, layer: str, state: State, status: str, message: Mapping[str, Any]) -> None:
        counted = state in ("downloading", "pushing", "extracting")
        detail = message.get("progressDetail") if counted else None
        detail = detail if isinstance(detail, Mapping) else {}
        current, total = _number(detail.get("current")), _number(detail.get("total"))
        if detail.get("units") == "s":  # containerd counts the seconds of an extraction.
            current = total = None
        text = one_line(status) if state in ("retrying", "mounted") else None
        self._recorder.layer(layer, state, current, total, text)


def state_of(status: str) -> State | None:
    """Returns the layer state that a status means, or None."""
    low = status.strip().lower()
    found = _STATES.get(low)
    if found is None:
        found = next((state for words, state in _PREFIXES.items() if low.startswith(words)), None)
    return found


def _number(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and isinstance(value, int) and 0 <= value < 1 << 63 else None
