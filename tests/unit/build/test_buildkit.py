"""What BuildKit and buildx say of a build that fails, with a docker that only talks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from layerscope.build import buildkit
from layerscope.build.plan import plan_of
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest
from layerscope.dockerfile.syntax.parser import parse
from layerscope.errors import BuildFailedError
from layerscope.images.reader import ImageReader
from layerscope.jobs.worker import Cancellation

REASON = "dockerfile parse error on line 3: unknown instruction: RUNN"
EXCERPT = ["Dockerfile:3", "--------------------", "   3 | >>> RUNN x", "--------------------"]


class NoImages:
    def height(self, image: str) -> int:
        raise NotImplementedError

    def open(self, image: str) -> ImageReader:
        raise NotImplementedError


@pytest.mark.parametrize("excerpt", [EXCERPT, []])
def test_what_is_said_before_the_first_step_is_kept_around_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, excerpt: list[str]
) -> None:
    said = "\n".join([*excerpt, f"ERROR: failed to build: failed to solve: {REASON}"])
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(program))
    monkeypatch.setattr(buildkit, "has_buildx", lambda: True)
    monkeypatch.setattr(buildkit, "_bound", list)
    events: list[dict[str, Any]] = []
    recorder = Recorder(lambda event: events.append(dict(event)), NoImages())
    plan = plan_of(
        parse("FROM scratch\nCOPY a b\nRUNN x\n"), "", "Dockerfile", {}, None, "buildkit"
    )
    with pytest.raises(BuildFailedError, match="unknown instruction: RUNN") as failed:
        buildkit.build_by_buildkit(
            BuildRequest(str(tmp_path), "Dockerfile"),
            plan,
            recorder,
            Cancellation(),
            NoImages().open,
            lambda name: (),
        )
    recorder.failed_with(str(failed.value))
    assert [event["text"] for event in events if event["event"] == "log"] == excerpt
    # The line is known, and so is what was said, once.
    assert (events[-1]["event"], events[-1]["line"]) == ("failed", 3)
    assert events[-1]["text"] == f"The build failed: {REASON}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("The build failed: dockerfile parse error line 12: unknown instruction: X", 12),
        ("Line 4: The classic builder does not support heredocs.", 4),
        (".dockerignore, line 3 is not a valid pattern: [", None),
        ("line 7: command not found", None),
    ],
)
def test_the_line_of_the_dockerfile_that_is_wrong(text: str, line: int | None) -> None:
    events: list[dict[str, Any]] = []
    recorder = Recorder(lambda event: events.append(dict(event)), NoImages())
    recorder.failed_with(text)
    assert events[-1].get("line") == line
