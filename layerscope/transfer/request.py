"""Requests for transfers, which are stored with their jobs, and their kinds of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from layerscope.errors import UsageError
from layerscope.jobs.job import Job
from layerscope.jobs.kind import Kind
from layerscope.oci.reference import Reference, parse_reference
from layerscope.records import Record, field, replace
from layerscope.text import visible
from layerscope.transfer.events import TransferEvent
from layerscope.writing import Existing


class TransferRequest(Record, frozen=True):
    reference: str  # What to transfer, as the user wrote it.
    all_tags: bool = False  # Whether to transfer all tags of the repository.
    platform: str = ""  # Such as `linux/arm64`; empty for the engine's own.
    insecure: bool = False  # Whether the registry may be used without TLS.
    via: Literal["engine", "registry"] = "engine"  # The engine, or layerscope's client.
    target: str = ""  # Target of a pull by layerscope's client; "" for the engine.
    #: Source of a push, or of a pull that is not from a registry; "" for the default.
    source: str = ""
    to_engine: str = ""  # The engine that a push without a registry goes to.
    moves: dict[str, str] = field(default_factory=dict)  # As in `LoadRequest`, there.
    #: The digest that the user saw under the name in the registry, which a push would replace; ""
    #: for none, None if the user saw no preview.
    seen: str | None = None


class SaveRequest(Record, frozen=True):
    source: str
    form: str  # One of `engines.sources.FILES`.
    path: str  # Absolute.
    compression: str = ""  # Of layers: none, gzip or zstd; "" keeps theirs.
    without: str = ""  # Another image, whose layers are omitted.
    platform: str = ""
    export: bool = False  # For the rest, see `open_image`.
    cache: bool = True
    insecure: bool = False
    replaces: Existing | None = None  # The file that may be replaced.


class LoadRequest(Record, frozen=True):
    source: str  # An archive or a layout.
    #: Names that other images may lose: `repository:tag`, and the other image's id.
    moves: dict[str, str] = field(default_factory=dict)


class SurgeryRequest(Record, frozen=True):
    source: str
    first: int = 0  # For squash: the lowest layer.
    last: int | None = None  # The highest layer; by default the top one.
    layer: int = 0  # For drop.
    paths: tuple[str, ...] = ()
    literal: bool = False  # Whether these are paths with a leading slash, rather than globs.
    onto: str = ""  # For rebase: the new base.
    old_base: str = ""  # "" for the one that the image names.
    into: str = ""  # The target: a place, by default the current engine.
    name: str = ""  # Its `repository:tag`, or "".
    moves: dict[str, str] = field(default_factory=dict)  # As in `LoadRequest`.
    shown: tuple[str, ...] = ()  # Ids of the image and the new base in the preview.
    platform: str = ""  # For the rest, see `open_image`.
    export: bool = False
    cache: bool = True
    insecure: bool = False


_WORKER = "layerscope.transfer.worker"
_REMADE = "layerscope.transfer.remade"
_COPIES = "layerscope.transfer.copying"


def _unseen(asked: TransferRequest) -> TransferRequest:
    """Returns the request for a repeated job, which has no preview."""
    return replace(asked, seen=None)


PULL = Kind("pull", _WORKER, TransferRequest, TransferEvent, _unseen)
PUSH = Kind("push", _WORKER, TransferRequest, TransferEvent, _unseen)
SAVE = Kind("save", _COPIES, SaveRequest, TransferEvent)
LOAD = Kind("load", _COPIES, LoadRequest, TransferEvent)
SQUASH, DROP, REBASE = (
    Kind(name, _REMADE, SurgeryRequest, TransferEvent) for name in ("squash", "drop", "rebase")
)
KINDS: Mapping[str, Kind[Any, TransferEvent]] = {
    kind.name: kind for kind in (PULL, PUSH, SAVE, LOAD, SQUASH, DROP, REBASE)
}


def reference_of(name: str) -> Reference:
    """Parses the image that a user names for a transfer; raises UsageError."""
    name = name.removeprefix("docker://")
    try:
        return parse_reference(name)
    except ValueError:
        raise UsageError(
            f"{visible(name)} is not the name of an image.", "Write [HOST/]NAME[:TAG]."
        ) from None


def start_push_to(
    source: str, engine: str, moves: dict[str, str], holder: str | None = None
) -> Job:
    """Starts a push to another engine, from the current one or `holder`."""
    request = TransferRequest(source, source=source, to_engine=engine, moves=moves)
    return PUSH.start(f"{source} to {engine}", request, engine=holder)


def start_surgery(kind: Kind[SurgeryRequest, TransferEvent], request: SurgeryRequest) -> Job:
    """Starts creating an image from another. Raises LayerscopeError if it cannot start."""
    onto = f" onto {request.onto}" if request.onto else ""
    name = f" as {request.name}" if request.name else ""
    into = f" into {request.into}" if request.into else ""
    return kind.start(f"{request.source}{onto}{name}{into}", request)


def start_transfer(kind: Kind[TransferRequest, TransferEvent], request: TransferRequest) -> Job:
    """Starts a transfer by the current engine. Raises LayerscopeError if it cannot start."""
    return kind.start(request.reference, request)
