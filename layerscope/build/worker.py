"""The process of a build: `python -m layerscope.build.worker FOLDER LOCK`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from layerscope.build.recorder import Images, Recorder
from layerscope.build.request import BUILD, BuildRequest
from layerscope.engines.waiting import waits_reported
from layerscope.errors import Cancelled, LayerscopeError
from layerscope.jobs.job import CANCELLED, Job
from layerscope.jobs.journal import Write
from layerscope.jobs.worker import Cancellation

Build = Callable[[Job, BuildRequest, Recorder, Cancellation], str]


def main(arguments: list[str]) -> int:
    return BUILD.run(arguments, build)


def build(job: Job, request: BuildRequest, write: Write, cancellation: Cancellation) -> int:
    """Does the build of a job; returns 0 if there is an image, 1 if the build failed."""
    images, work = _way(request)
    recorder = Recorder(write, images)
    cancellation.on_cancel(recorder.hurry)
    try:
        with waits_reported(recorder.warning):
            image = work(job, request, recorder, cancellation)
    except Cancelled:
        more = f" {cancellation.waits_for} did not answer; the next build cleans up there."
        recorder.failed_with(f"Cancelled.{more * job.left}")
        return CANCELLED
    except LayerscopeError as error:
        recorder.failed_with(str(error))
        return 1 if recorder.failed else error.exit_code
    recorder.finished(image, request.tags)
    return 0


def _way(request: BuildRequest) -> tuple[Images, Build]:
    """Returns the images of a build's steps, and the function that builds."""
    # Not at the top: each way needs few of the other's imports.
    if request.builder == "embedded":
        from layerscope.build.embedded.images import StepImages
        from layerscope.build.embedded.job import build_in_store
        from layerscope.engines.embedded.store import Store

        stored = StepImages(Store())
        return stored, partial(build_in_store, stored)
    from layerscope.build.by_engine import EngineImages, build_by_engine

    return EngineImages(request.export), build_by_engine


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
