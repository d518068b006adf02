"""A pull or push by the engine itself."""

from __future__ import annotations

from contextlib import closing

from layerscope.engines.builds import answers
from layerscope.engines.docker import DockerEngine
from layerscope.engines.engine import Engine
from layerscope.engines.transfers import pull, push
from layerscope.errors import EngineError, failures_ignored
from layerscope.images.registry.client import RegistryClient
from layerscope.jobs.worker import Cancellation
from layerscope.oci.reference import DEFAULT_DOMAIN, Reference
from layerscope.text import visible
from layerscope.transfer.engine_stream import StreamParser
from layerscope.transfer.named_images import (
    about_cut,
    check_unmoved,
    to_pull,
    to_push,
    warn_if_moved,
)
from layerscope.transfer.preview import layer_sizes
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.request import TransferRequest

_CHOOSE = "Choose one with --engine; `layerscope engines` lists them."
_ANSWER = 2.0  # Seconds within which a running engine answers.


def transfer_by_engine(
    request: TransferRequest,
    engine: Engine | None,
    recorder: Recorder,
    cancellation: Cancellation,
    *,
    pulls: bool,
) -> str:
    """Transfers images by the engine, and returns the id of the last."""
    if not isinstance(engine, DockerEngine):
        raise EngineError("There is no engine that could do this.", _CHOOSE)
    name = ""
    references = to_pull(request, cancellation) if pulls else to_push(request, engine, cancellation)
    for reference in references:
        recorder.started(str(reference))
        name = _transfer(engine, reference, request, recorder, cancellation, pulls=pulls)
    return name


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
        # Podman reports no bytes, and Docker none for small layers. On Docker Hub, looking up the
        # sizes would count as another pull.
        with failures_ignored():
            sizes = layer_sizes(reference, request.platform, request.insecure, cancellation.check)
            recorder.expect(sizes, only=engine.is_podman)
    if not pulls and request.seen is not None:
        now = request.seen
        # The engine may have access to the registry that this program lacks.
        with failures_ignored():
            now = _digest_there(reference, request, cancellation)
        check_unmoved(reference, request.seen, now)
    start = (
        (lambda: pull(engine, reference, request.platform))
        if pulls
        else (lambda: push(engine, reference))
    )
    # containerd resumes an interrupted layer; others restart it.
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
                f"Check that it still runs, then try again. {about_cut(pulls=pulls)}"
                + (f" {_own_pull(reference)} keeps those too." if restarts else ""),
            ) from None
        # Podman does not report when it fetches a layer, only which one failed.
        if restarts and (recorder.moving or "reading blob" in error.message):
            kind = "Podman" if engine.is_podman else "Docker"
            about = f"{kind} starts a layer that was cut again; {_own_pull(reference)} keeps it."
            raise EngineError(error.message, f"{error.hint} {about}".lstrip()) from None
        raise error from None
    finally:
        stream.close()
    cancellation.check()
    if pulls:
        warn_if_moved(reference, request, recorder)
    return cancellation.ask(lambda: engine.inspect(str(reference)).id)


def _digest_there(
    reference: Reference, request: TransferRequest, cancellation: Cancellation
) -> str:
    """Returns the digest that a name has in its registry, if any."""
    client = RegistryClient(reference.domain, reference.path, insecure=request.insecure)
    with closing(client):
        return client.manifest_digest(reference.tag or "", cancellation.check) or ""


def _own_pull(reference: Reference) -> str:
    return f"`layerscope pull --via registry {visible(str(reference))}`"
