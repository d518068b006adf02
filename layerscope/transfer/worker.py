"""The process of a pull or push, by the engine or by our own client."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from layerscope.engines.address import current_address
from layerscope.engines.builds import answers
from layerscope.engines.docker import DockerEngine, connect_any
from layerscope.engines.engine import Engine
from layerscope.engines.transfers import pull, push
from layerscope.engines.waiting import waits_reported
from layerscope.errors import Cancelled, EngineError, LayerscopeError, failures_ignored
from layerscope.images.registry.tags import tag_names
from layerscope.jobs.job import CANCELLED, Job, read_job
from layerscope.jobs.journal import Write
from layerscope.jobs.worker import Cancellation
from layerscope.oci.reference import DEFAULT_DOMAIN, Reference, parse_reference
from layerscope.text import visible
from layerscope.transfer.engine_stream import StreamParser
from layerscope.transfer.preview import layer_sizes
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.request import KINDS, PULL, TransferRequest

_CHOOSE = "Choose one with --engine; `layerscope engines` lists them."
_ANSWER = 2.0  # Seconds within which a running engine answers.


def main(arguments: list[str]) -> int:
    job = read_job(Path(arguments[0]))
    kind = None if job is None else KINDS.get(job.kind)
    return (kind or PULL).run(arguments, transfer)


def transfer(job: Job, request: TransferRequest, write: Write, cancellation: Cancellation) -> int:
    """Transfers what a job asks for; returns 0 if all of it is where it should be."""
    recorder = Recorder(write)
    cancellation.waits_for = f"The engine at {current_address().shown}"
    pulls = job.kind == PULL.name
    own = request.via == "registry"
    # Not at the top: an engine's transfer needs little of it.
    from layerscope.transfer.push_sources import is_file
    from layerscope.transfer.source_pull import pull_source

    try:
        with waits_reported(recorder.warning), ExitStack() as stack:
            engine: Engine | None = None
            if not (request.target or is_file(request.source)):
                engine = stack.enter_context(closing(cancellation.ask(connect_any)))
                own = own or engine.own_store
            if engine is None or engine.own_store:
                cancellation.waits_for = ""
            where = ""
            if pulls and request.source:
                name, where = pull_source(request, recorder, cancellation)
            elif pulls and own:
                name, where = _pull_by_registry(request, engine, recorder, cancellation)
            elif own:
                name = _push_by_registry(request, engine, recorder, cancellation)
            elif isinstance(engine, DockerEngine):
                name = _by_engine(request, engine, recorder, cancellation, pulls=pulls)
            else:
                raise EngineError("There is no engine that could do this.", _CHOOSE)
    except Cancelled:
        recorder.failed(f"Cancelled. {_about_cut(pulls=pulls, own=own)}")
        return CANCELLED
    except LayerscopeError as error:
        recorder.failed(str(error))
        return error.exit_code
    recorder.finished(name, where)
    return 0


def _by_engine(
    request: TransferRequest,
    engine: DockerEngine,
    recorder: Recorder,
    cancellation: Cancellation,
    *,
    pulls: bool,
) -> str:
    """Lets the engine transfer images, and returns the id of the last."""
    name = ""
    references = (
        _to_pull(request, cancellation) if pulls else _to_push(request, engine, cancellation)
    )
    for reference in references:
        recorder.started(str(reference))
        name = _transfer(engine, reference, request, recorder, cancellation, pulls=pulls)
    return name


def _pull_by_registry(
    request: TransferRequest,
    engine: Engine | None,
    recorder: Recorder,
    cancellation: Cancellation,
) -> tuple[str, str]:
    # Not at the top: an engine's pull needs none of it.
    from layerscope.transfer.registry_pull import pull_by_registry
    from layerscope.transfer.targets import target_of

    with closing(target_of(request.target, engine, cancellation)) as target:
        references = _to_pull(request, cancellation)
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
        references = list(_to_push(request, engine, cancellation))
    name = ""
    for reference in references:
        recorder.started(str(reference))
        source = request.source or str(reference)
        with opened_source(source, engine, cancellation.check) as (image, _):
            name = push_by_registry(image, reference, request, recorder, cancellation)
        note_pushed(source, engine, name, f"{reference.repository}@{recorder.digest}")
    return name


def _to_pull(request: TransferRequest, cancellation: Cancellation) -> Iterator[Reference]:
    reference = parse_reference(request.reference)
    if not request.all_tags:
        return iter((reference,))
    names = tag_names(reference, insecure=request.insecure, check=cancellation.check)
    return _tagged(reference, names)


def _to_push(
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


def _transfer(
    engine: DockerEngine,
    reference: Reference,
    request: TransferRequest,
    recorder: Recorder,
    cancellation: Cancellation,
    *,
    pulls: bool,
) -> str:
    """Transfers an image, and returns its id."""
    if pulls and (engine.is_podman or reference.domain != DEFAULT_DOMAIN):
        # Podman reports no bytes, and Docker none of small layers. On Docker Hub, looking them up
        # would count as another pull.
        with failures_ignored():
            sizes = layer_sizes(reference, request.platform, request.insecure, cancellation.check)
            recorder.expect(sizes, only=engine.is_podman)
    start = (
        (lambda: pull(engine, reference, request.platform))
        if pulls
        else (lambda: push(engine, reference))
    )
    # containerd goes on with a layer that was cut; others begin it again.
    restarts = pulls and not cancellation.ask(lambda: engine.keeps_blobs)
    stream = cancellation.ask(start)
    cancellation.on_cancel(stream.stop)
    parser = StreamParser(recorder, reference)
    try:
        for message in stream.messages():
            cancellation.check()
            parser.feed(message)
    except EngineError as error:
        cancellation.check()
        if not answers(engine, _ANSWER):
            raise EngineError(
                f"The connection to the engine at {engine.host} was lost.",
                f"Check that it still runs, then try again. {_about_cut(pulls=pulls)}"
                + (f" {_own_pull(reference)} keeps those too." if restarts else ""),
            ) from None
        # Podman does not say when it fetches a layer, but in which one it failed.
        if restarts and (recorder.moving or "reading blob" in error.message):
            kind = "Podman" if engine.is_podman else "Docker"
            about = f"{kind} starts a layer that was cut again; {_own_pull(reference)} keeps it."
            raise EngineError(error.message, f"{error.hint} {about}".lstrip()) from None
        raise error from None
    finally:
        stream.close()
    cancellation.check()
    return cancellation.ask(lambda: engine.inspect(str(reference)).id)


def _own_pull(reference: Reference) -> str:
    return f"`layerscope pull --via registry {visible(str(reference))}`"


def _about_cut(*, pulls: bool, own: bool = False) -> str:
    """What becomes of what was transferred already."""
    if pulls and own:
        return "What was fetched is kept; the next attempt goes on from there."
    if pulls:
        return "Complete layers stay; the engine starts the others again."
    return "Layers that the registry has are not pushed again."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
