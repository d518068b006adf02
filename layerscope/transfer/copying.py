"""The process of a save or a load, and pushes between engines."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from layerscope.engines.address import current_address, engine_address
from layerscope.engines.docker import connect_any
from layerscope.engines.waiting import waits_reported
from layerscope.images.progress import Progress
from layerscope.jobs.job import Job, read_job
from layerscope.jobs.journal import Write
from layerscope.jobs.worker import Cancellation
from layerscope.transfer import saving
from layerscope.transfer.loading import Loader
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.request import LOAD, SAVE, LoadRequest, SaveRequest, TransferRequest


def main(arguments: list[str]) -> int:
    job = read_job(Path(arguments[0]))
    if job is not None and job.kind == SAVE.name:
        return SAVE.run(arguments, save)
    return LOAD.run(arguments, load)


def save(job: Job, request: SaveRequest, write: Write, cancellation: Cancellation) -> int:
    recorder, progress = Recorder(write), Progress()
    cancellation.on_cancel(progress.cancel)
    with waits_reported(recorder.warning):
        saving.save(request, recorder, progress)
    return 0


def load(job: Job, request: LoadRequest, write: Write, cancellation: Cancellation) -> int:
    recorder = Recorder(write)
    cancellation.waits_for = f"The engine at {current_address().shown}"
    with (
        waits_reported(recorder.warning),
        closing(cancellation.ask(connect_any)) as engine,
    ):
        loader = Loader(engine, request.moves, recorder, cancellation)
        recorder.finished(loader.load(request.source))
    return 0


def push_to_engine(request: TransferRequest, recorder: Recorder, cancellation: Cancellation) -> str:
    """Copies an image from the current engine to another, and returns its id there."""
    address = engine_address(request.to_engine)
    cancellation.waits_for = f"The engine at {address.shown}"
    with closing(cancellation.ask(lambda: connect_any(address))) as engine:
        return Loader(engine, request.moves, recorder, cancellation).send(request.source)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
