"""The job of a build that needs no engine."""

from __future__ import annotations

from layerscope.build.embedded.builder import build_embedded
from layerscope.build.embedded.images import StepImages
from layerscope.build.preparing import keeping_inputs, prepare
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest
from layerscope.build.secrets import Mask, parse_secret
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.jobs.job import Job
from layerscope.jobs.worker import Cancellation


def build_in_store(
    images: StepImages,
    job: Job,
    request: BuildRequest,
    recorder: Recorder,
    cancellation: Cancellation,
) -> str:
    """Builds an image in the embedded store, and returns its id. Raises LayerscopeError."""
    secrets = {secret.id: secret.value() for secret in map(parse_secret, request.secrets)}
    recorder.mask = Mask(secrets.values())
    prepared = prepare(job, request, "embedded", None, recorder, cancellation)
    with keeping_inputs(EmbeddedEngine(), job, request, prepared, cancellation):
        return build_embedded(
            request,
            prepared.document,
            prepared.plan,
            prepared.context,
            images,
            recorder,
            cancellation,
            secrets,
        )
