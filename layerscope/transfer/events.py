"""The events of a transfer, the same for all ways, in its journal and on stdout."""

from __future__ import annotations

from typing import Literal

from layerscope.records import Count, Record, Seconds, UnixTime

State = Literal[
    "waiting",
    "downloading",
    "verifying",
    "extracting",
    "exists",
    "done",
    "pushing",
    "mounted",
    "retrying",
    "reading",
    "writing",
    "loading",
]

#: States in which a layer has arrived.
ENDED: frozenset[State] = frozenset(("exists", "done", "mounted"))
#: States in which bytes move.
MOVING: frozenset[State] = frozenset(("downloading", "pushing", "reading", "writing", "loading"))


class TransferEvent(Record, frozen=True, omit_defaults=True):
    """Something that happened in a transfer; fields with their default are left out of JSON."""

    event: Literal["started", "layer", "loaded", "warning", "finished", "failed"]
    #: The layer: a prefix of its blob's digest in a pull, of its diff_id in a push by Docker.
    id: str | None = None
    state: State | None = None  # The state of the layer.
    #: Bytes done and in total: compressed in a pull, not in a push by Docker. An engine may report
    #: neither.
    current: Count | None = None
    total: Count | None = None
    text: str | None = None  # A remark, or an error sentence.
    image: str | None = None  # First the image's name, later its id.
    name: str | None = None  # The name that the image was loaded under.
    replaced: str | None = None  # Id of the image that had this name before.
    digest: str | None = None  # Digest of the manifest in the registry.
    seconds: Seconds | None = None
    time: UnixTime | None = None  # Unix time.
