"""Builds of a file or an image among the jobs, and the steps that instructions were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from layerscope.build.known_builds import build_of, build_to_repeat, end_of, last_build, match_steps
from layerscope.build.state import BuildState
from layerscope.dockerfile.parser import parse
from layerscope.jobs.job import Job


def job(folder: Path, number: int, dockerfile: Path, *events: dict[str, Any]) -> Job:
    place = folder / str(number)
    place.mkdir()
    lines = "".join(json.dumps(event) + "\n" for event in events)
    (place / "events.jsonl").write_text(lines)
    return Job(str(number), place, "build", "x", 0.0, "/", {"dockerfile": str(dockerfile)})


FINISHED = {"event": "finished", "image": "sha256:a"}
FAILED = {"event": "failed", "image": "sha256:a", "text": "no"}
LOG = {"event": "log", "step": 1, "text": "x" * 40_000}


def test_the_event_that_ended_a_build(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    end = end_of(job(tmp_path, 1, file, LOG, FINISHED))
    assert end is not None
    assert end.image == "sha256:a"
    assert end_of(job(tmp_path, 2, file, LOG)) is None
    assert end_of(job(tmp_path, 3, file)) is None


def test_builds_of_a_file_and_of_an_image(tmp_path: Path) -> None:
    file, link = tmp_path / "Dockerfile", tmp_path / "link"
    file.touch()
    link.symlink_to(file)
    jobs = [
        job(tmp_path, 4, tmp_path / "other", FINISHED),
        job(tmp_path, 3, file, FAILED),
        job(tmp_path, 2, link, FINISHED),
    ]
    assert last_build(link, jobs) is jobs[1]
    assert last_build(tmp_path / "none", jobs) is None
    assert build_of("sha256:a", jobs[1:]) is jobs[2]
    assert build_of("sha256:b", jobs) is None
    assert build_of("", jobs) is None


def test_the_build_that_is_wanted_again_in_a_folder(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    jobs = [
        job(tmp_path, 3, there / "Containerfile", FINISHED),
        job(tmp_path, 2, here / "Dockerfile", FINISHED),
        job(tmp_path, 1, here / "Dockerfile", FINISHED),
    ]
    assert build_to_repeat(here, jobs) is jobs[0]
    (here / "Dockerfile").touch()
    assert build_to_repeat(here, jobs) is jobs[1]
    (tmp_path / "Dockerfile").touch()
    assert build_to_repeat(tmp_path, jobs) is None


def test_instructions_and_the_steps_that_they_were(tmp_path: Path) -> None:
    events = [
        {"event": "step_started", "step": number, "steps": 3, "instruction": text}
        for number, text in enumerate(["FROM a", "RUN b  c", "RUN d"], 1)
    ]
    state = BuildState(job(tmp_path, 1, tmp_path / "f", *events).journal)
    state.read()
    document = parse("FROM a\nENV new=1\nRUN b \\\n  c\nRUN e\n")
    matched = match_steps(document, state)
    assert {number: step.number for number, step in matched.items()} == {0: 1, 2: 2}
