"""The images that a transfer names, and what remains of them after an interruption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from layerscope.errors import EngineError, RegistryError
from layerscope.oci.reference import Reference, parse_reference
from layerscope.text import short_id, visible

if TYPE_CHECKING:
    from layerscope.engines.engine import Engine
    from layerscope.jobs.worker import Cancellation
    from layerscope.transfer.recorder import Recorder
    from layerscope.transfer.request import TransferRequest


def to_pull(request: TransferRequest, cancellation: Cancellation) -> Iterator[Reference]:
    reference = parse_reference(request.reference)
    if not request.all_tags:
        return iter((reference,))
    from layerscope.images.registry.tags import tag_names

    names = tag_names(reference, insecure=request.insecure, check=cancellation.check)
    return _tagged(reference, names)


def to_push(
    request: TransferRequest, engine: Engine, cancellation: Cancellation
) -> Iterator[Reference]:
    reference = parse_reference(request.reference)
    if not request.all_tags:
        return iter((reference,))
    images = cancellation.ask(engine.images)
    names = [each.tag for each in images if each.repository == reference.repository and each.name]
    return _tagged(reference, names)


def _tagged(reference: Reference, tags: Sequence[str]) -> Iterator[Reference]:
    if not tags:
        raise EngineError(f"There are no tags of {reference.repository} to transfer.")
    return (replace(reference, tag=tag, digest=None) for tag in tags)


def check_unmoved(reference: Reference, before: str, now: str | None) -> None:
    """Raises RegistryError if a name in a registry has another digest than before."""
    if (now or "") != before:
        raise RegistryError(
            f"{visible(str(reference))} was pushed by someone else meanwhile and is "
            f"{short_id(now or 'gone')} now; it was not replaced.",
            "Look at that first, then push again.",
        )


def warn_if_moved(reference: Reference, request: TransferRequest, recorder: Recorder) -> None:
    """Warns if a pull gets another image than the user saw under that name."""
    now = recorder.digest
    if request.seen and now and now != request.seen:
        recorder.warning(
            f"{visible(str(reference))} was pushed again after it was shown: it was "
            f"{short_id(request.seen)}, and is {short_id(now)} now."
        )


def about_cut(*, pulls: bool, own: bool = False) -> str:
    """Returns a sentence on what remains of an interrupted transfer."""
    if pulls and own:
        return "What was fetched is kept; the next attempt goes on from there."
    if pulls:
        return "Complete layers stay; the engine starts the others again."
    return "Layers that the registry has are not pushed again."
