"""The process of a pull or push, by the engine or by layerscope's client."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.engines.address import current_address
from layerscope.engines.sources import is_file
from layerscope.engines.waiting import waits_reported
from layerscope.errors import Cancelled, LayerscopeError
from layerscope.jobs.job import CANCELLED, Job, read_job
from layerscope.jobs.journal import Write
from layerscope.jobs.worker import Cancellation
from layerscope.oci.reference import parse_reference
from layerscope.transfer.named_images import about_cut, to_pull, to_push
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.request import KINDS, PULL, TransferRequest

if TYPE_CHECKING:
    from layerscope.engines.engine import Engine


def main(arguments: list[str]) -> int:
    job = read_job(Path(arguments[0]))
    kind = None if job is None else KINDS.get(job.kind)
    return (kind or PULL).run(arguments, transfer)


def transfer(job: Job, request: TransferRequest, write: Write, cancellation: Cancellation) -> int:
    """Does the transfer of a job; returns 0 if it is complete."""
    recorder = Recorder(write)
    cancellation.waits_for = f"The engine at {current_address().shown}"
    pulls = job.kind == PULL.name
    own = request.via == "registry"
    try:
        with waits_reported(recorder.warning), ExitStack() as stack:
            engine: Engine | None = None
            if not (request.target or request.to_engine or is_file(request.source)):
                from layerscope.engines.docker import connect_any

                engine = stack.enter_context(closing(cancellation.ask(connect_any)))
                own = own or engine.own_store
            if engine is None or engine.own_store:
                cancellation.waits_for = ""
            where = ""
            # Not at the top: each way needs few of the others' imports.
            if request.to_engine:
                from layerscope.transfer.copying import push_to_engine

                name = push_to_engine(request, recorder, cancellation)
            elif pulls and request.source:
                from layerscope.transfer.source_pull import pull_source

                name, where = pull_source(request, recorder, cancellation)
            elif pulls and own:
                name, where = _pull_by_registry(request, engine, recorder, cancellation)
            elif own:
                name = _push_by_registry(request, engine, recorder, cancellation)
            else:
                from layerscope.transfer.by_engine import transfer_by_engine

                name = transfer_by_engine(request, engine, recorder, cancellation, pulls=pulls)
    except Cancelled as error:
        about = "" if request.to_engine else about_cut(pulls=pulls, own=own)
        recorder.failed(f"Cancelled. {error.hint or about}".rstrip())
        return CANCELLED
    except LayerscopeError as error:
        recorder.failed(str(error))
        return error.exit_code
    recorder.finished(name, where)
    return 0


def _pull_by_registry(
    request: TransferRequest,
    engine: Engine | None,
    recorder: Recorder,
    cancellation: Cancellation,
) -> tuple[str, str]:
    from layerscope.transfer.registry_pull import pull_by_registry
    from layerscope.transfer.targets import target_of

    with closing(target_of(request.target, engine, cancellation)) as target:
        references = to_pull(request, cancellation)
        return pull_by_registry(references, request, target, recorder, cancellation)


def _push_by_registry(
    request: TransferRequest,
    engine: Engine | None,
    recorder: Recorder,
    cancellation: Cancellation,
) -> str:
    from layerscope.transfer.push_sources import note_pushed, opened_source
    from layerscope.transfer.registry_push import push_by_registry

    references = [parse_reference(request.reference)]
    if request.all_tags and engine is not None:
        references = list(to_push(request, engine, cancellation))
    name = ""
    for reference in references:
        recorder.started(str(reference))
        source = request.source or str(reference)
        opened = opened_source(source, engine, cancellation.check, recorder.warning)
        with opened as (image, _):
            name = push_by_registry(image, reference, request, recorder, cancellation)
        note_pushed(source, engine, name, f"{reference.repository}@{recorder.digest}")
    return name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
