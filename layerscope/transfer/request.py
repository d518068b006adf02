"""What transfers are asked for, which is kept with their jobs, and their kinds of jobs."""

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
    reference: str  # What to transfer, as people write it.
    all_tags: bool = False  # Whether to transfer all tags of the repository.
    platform: str = ""  # Such as `linux/arm64`; empty for the engine's own.
    insecure: bool = False  # Whether the registry may be used without TLS.
    via: Literal["engine", "registry"] = "engine"  # Who does it: the engine, or our own client.
    target: str = ""  # Where a pull by our own client goes; empty for the engine.
    #: Where a push takes the image from, or a pull that is not from its registry; empty for the
    #: usual place.
    source: str = ""
    to_engine: str = ""  # Where a push goes that needs no registry: the name of another engine.
    moves: dict[str, str] = field(default_factory=dict)  # As in `LoadRequest`, there.
    #: Digest of what the user saw under the name in the registry, which a push would replace; empty
    #: for nothing, None if nobody looked.
    seen: str | None = None


class SaveRequest(Record, frozen=True):
    source: str
    form: str  # One of `engines.sources.FILES`.
    path: str  # Absolute.
    compression: str = ""  # Of layers: none, gzip or zstd; empty keeps them as they are.
    without: str = ""  # Another image, whose layers are left out.
    platform: str = ""
    export: bool = False  # For the rest, see `open_image`.
    cache: bool = True
    insecure: bool = False
    replaces: Existing | None = None  # The file that may be replaced.


class LoadRequest(Record, frozen=True):
    source: str  # An archive or a layout.
    #: The names that may be taken from other images: `repository:tag`, and the other image's id.
    moves: dict[str, str] = field(default_factory=dict)


class SurgeryRequest(Record, frozen=True):
    source: str
    first: int = 0  # For squash: the lowest of the layers.
    last: int | None = None  # The highest of them; the top layer by default.
    layer: int = 0  # For drop.
    paths: tuple[str, ...] = ()
    literal: bool = False  # Whether these are paths, with a slash in front; else they are globs.
    onto: str = ""  # For rebase: the new base.
    old_base: str = ""  # Empty for the one that the image names.
    into: str = ""  # Where the new image goes: a place, or the current engine by default.
    name: str = ""  # `repository:tag` that it gets; empty for none.
    moves: dict[str, str] = field(default_factory=dict)  # As in `LoadRequest`.
    shown: tuple[str, ...] = ()  # Ids of the image and the new base, as they were looked at.
    platform: str = ""  # For the rest, see `open_image`.
    export: bool = False
    cache: bool = True
    insecure: bool = False


_WORKER = "layerscope.transfer.worker"
_REMADE = "layerscope.transfer.remade"
_COPIES = "layerscope.transfer.copying"


def _unseen(asked: TransferRequest) -> TransferRequest:
    """What a repeated job is asked for: nobody looks again."""
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
    """The image that a user names for a transfer; raises UsageError."""
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
    """Starts making an image of another one. Raises LayerscopeError if it cannot be started."""
    onto = f" onto {request.onto}" if request.onto else ""
    name = f" as {request.name}" if request.name else ""
    into = f" into {request.into}" if request.into else ""
    return kind.start(f"{request.source}{onto}{name}{into}", request)


def start_transfer(kind: Kind[TransferRequest, TransferEvent], request: TransferRequest) -> Job:
    """Starts a transfer by the current engine. Raises LayerscopeError if it cannot be started."""
    return kind.start(request.reference, request)
