"""Builds that need no engine: a job's folder, its journal written line by line by the test."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from layerscope.jobs.job import Job, read_job
from layerscope.jobs.journal import Journal
from tests.tui import fakes

IMAGE = f"sha256:{'c0ffee' * 10}beef"


def diff_id(layer: int) -> str:
    """Digest of a layer of the sample image."""
    return f"sha256:{layer + 1:x}" + f"{layer + 1:x}" * 63


class FakeBuild:
    """A job that runs for as long as a test wants."""

    KIND = "build"

    def __init__(self, root: Path, number: int = 1, title: str = "hello:latest") -> None:
        self.folder = root / "layerscope" / "jobs" / str(number)
        self.folder.mkdir(parents=True)
        document = {
            "kind": self.KIND,
            "title": title,
            "started": fakes.NOW - 5,
            "directory": "/work",
            "spec": self.spec(title),
        }
        (self.folder / "job.json").write_text(json.dumps(document))
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._journal = Journal(self.folder / "events.jsonl")
        found = read_job(self.folder)
        assert found is not None
        self.job: Job = found

    def spec(self, title: str) -> dict[str, Any]:
        return {
            "context": "/work",
            "dockerfile": "/work/Dockerfile",
            "tags": [title],
            "secrets": [],
        }

    def write(self, event: str, step: int | None = None, **facts: Any) -> None:
        """Appends an event."""
        self._journal.write({"event": event} | ({"step": step} if step else {}) | facts)

    def start(self, step: int, instruction: str, **facts: Any) -> None:
        self.write("step_started", step, steps=5, instruction=instruction, line=step, **facts)

    def commit(self, step: int, layer: int, event: str = "step_committed", **facts: Any) -> None:
        figures = {"size": 1_000_000, "added": 3, "modified": 1, "removed": 0, "seconds": 1.5}
        facts = {"image": IMAGE, "diff_id": diff_id(layer), **figures, **facts}
        self.write(event, step, **facts)

    def end(self, code: int | None = 0) -> None:
        """Ends the job; None as if it had been killed."""
        if code is not None:
            result = {"exit_code": code, "ended": fakes.NOW}
            (self.folder / "result.json").write_text(json.dumps(result))
        os.close(self._lock)
        self._journal.close()

    def sample(self) -> None:
        """The classic example, up to its third step, which runs."""
        self.write("context", size=12_400, files=3, largest=[["index.html", 12_000]])
        self.start(1, "FROM debian:bookworm")
        self.commit(1, 0, "step_cached", seconds=0.1)
        self.start(2, "RUN apt-get update && apt-get install -y python3", time=fakes.NOW - 4)
        for number in range(60):
            self.write("log", 2, text=f"Get:{number} http://deb.example/ package-{number}")
        self.write("log", 2, text="\x1b[32mSetting up\x1b[0m python3 \x1b]0;evil\x07")
        self.commit(2, 1, seconds=3.2)
        self.start(3, "RUN rm -rf /var/lib/apt/lists", time=fakes.NOW - 1)
        self.write("log", 3, text="removing")
