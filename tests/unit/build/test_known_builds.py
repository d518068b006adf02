"""Builds of a file or an image among the jobs, and the steps of instructions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from layerscope.build.known_builds import build_of, build_to_repeat, end_of, last_build, match_steps
from layerscope.build.request import BUILD
from layerscope.build.state import BuildState
from layerscope.dockerfile.syntax.parser import parse
from layerscope.jobs.job import Job


def job(folder: Path, number: int, dockerfile: Path, *events: dict[str, Any]) -> Job:
    place = folder / str(number)
    place.mkdir()
    lines = "".join(json.dumps(event) + "\n" for event in events)
    (place / "events.jsonl").write_text(lines)
    spec = {"context": "/", "dockerfile": str(dockerfile)}
    return Job(str(number), place, "build", "x", 0.0, "/", spec)


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


def test_the_build_to_repeat_in_a_folder(tmp_path: Path) -> None:
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


def test_instructions_are_matched_with_steps(tmp_path: Path) -> None:
    events = [
        {"event": "step_started", "step": number, "steps": 3, "instruction": text}
        for number, text in enumerate(["FROM a", "RUN b  c", "RUN d"], 1)
    ]
    state = BuildState(job(tmp_path, 1, tmp_path / "f", *events).journal)
    state.read()
    document = parse("FROM a\nENV new=1\nRUN b \\\n  c\nRUN e\n")
    matched = match_steps(document, state)
    assert {number: step.number for number, step in matched.items()} == {0: 1, 2: 2}


#: A job's request as older versions wrote it.
OLD = {
    "context": "/x",
    "dockerfile": "/x/Dockerfile",
    "builder": "auto",
    "tags": ["x:1"],
    "build_args": {"A": None, "B": "2"},
    "labels": {"c": "d"},
    "secrets": ["id=x,env=X"],
    "export": False,
    "engine": "unix:///run/docker.sock",
}


def test_requests_of_older_and_newer_versions_are_read(tmp_path: Path) -> None:
    request = BUILD.request_of(Job("1", tmp_path, "build", "x", 0.0, "/", OLD | {"later": [1]}))
    assert request is not None
    assert (request.tags, request.build_args) == (("x:1",), {"A": None, "B": "2"})
    assert (request.target, request.engine) == ("", "unix:///run/docker.sock")


@pytest.mark.parametrize(
    "wrong", [{"tags": "x"}, {"context": None}, {"build_args": {"A": 1}}, {"labels": []}], ids=str
)
def test_a_damaged_request_is_none(wrong: dict[str, Any], tmp_path: Path) -> None:
    assert BUILD.request_of(Job("1", tmp_path, "build", "x", 0.0, "/", OLD | wrong)) is None
