"""The work of test jobs: the steps in the job's spec."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable

from layerscope.errors import EngineError
from layerscope.jobs.job import Job
from layerscope.jobs.journal import Event
from layerscope.jobs.worker import Cancellation, run


def work(job: Job, write: Callable[[Event], None], cancellation: Cancellation) -> int:
    for name, value in job.spec["do"]:
        if name == "say":
            write({"event": "log", "text": value})
        elif name == "tell":
            write(value)
        elif name == "many":
            for number in range(value):
                write({"event": "log", "text": f"line {number}"})
        elif name == "sleep":
            until = time.monotonic() + value
            while time.monotonic() < until:
                cancellation.check()
                time.sleep(0.01)
        elif name == "environment":
            write({"event": "log", "text": os.environ.get(value, "")})
        elif name == "has":
            write({"event": "log", "text": f"{value} {hasattr(sys, value)}"})
        elif name == "fail":
            raise EngineError(value, "Try again.")
        elif name == "mistake":
            raise ZeroDivisionError(value)
        elif name == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif name == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (value, value))
        elif name == "hang":
            cancellation.waits_for = value
            time.sleep(600)
        elif name == "exit":
            return int(value)
    return 0


def main(arguments: list[str]) -> int:
    return run(arguments, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
