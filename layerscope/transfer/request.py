"""The request of a transfer, which is kept with its job, and its kinds of jobs."""

from __future__ import annotations

from typing import Literal

from layerscope.errors import UsageError
from layerscope.jobs.job import Job
from layerscope.jobs.kind import Kind
from layerscope.oci.reference import Reference, parse_reference
from layerscope.records import Record
from layerscope.text import visible
from layerscope.transfer.events import TransferEvent


class TransferRequest(Record, frozen=True):
    reference: str  # What to transfer, as people write it.
    all_tags: bool = False  # Whether to transfer all tags of the repository.
    platform: str = ""  # Such as `linux/arm64`; empty for the engine's own.
    insecure: bool = False  # Whether the registry may be used without TLS.
    via: Literal["engine", "registry"] = "engine"  # Who does it: the engine, or our own client.
    target: str = ""  # Where a pull by our own client goes; empty for the engine.
    #: Where a push takes the image from, or a pull that is not from its registry; empty for the
    #: usual place.
    source: str = ""


_WORKER = "layerscope.transfer.worker"
PULL = Kind("pull", _WORKER, TransferRequest, TransferEvent)
PUSH = Kind("push", _WORKER, TransferRequest, TransferEvent)
KINDS = {kind.name: kind for kind in (PULL, PUSH)}


def reference_of(name: str) -> Reference:
    """The image that a user names for a transfer; raises UsageError."""
    name = name.removeprefix("docker://")
    try:
        return parse_reference(name)
    except ValueError:
        raise UsageError(
            f"{visible(name)} is not the name of an image.", "Write [HOST/]NAME[:TAG]."
        ) from None


def start_transfer(kind: Kind[TransferRequest, TransferEvent], request: TransferRequest) -> Job:
    """Starts a transfer by the current engine. Raises LayerscopeError if it cannot be started."""
    return kind.start(request.reference, request)
