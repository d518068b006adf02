"""Previews of builds, and builds that repeat the last one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from layerscope.build import preview
from layerscope.jobs.folder import all_jobs
from tests.builders import DOCKER
from tests.command import one_line_error, run

TEXT = """\
ARG BASE=debian
FROM $BASE AS build
ARG VERSION
RUN --mount=type=secret,id=npm,required make
FROM scratch AS web
COPY --from=build /x /
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    monkeypatch.setenv("TOKEN", "hush-hush")
    folder = tmp_path / "context"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "Dockerfile").write_text(TEXT)
    (folder / ".dockerignore").write_text("*.log\nDockerfile\n")
    for number in range(12):
        (folder / f"file{number:02}").write_bytes(bytes(1000 + number))
    for name in ("a.log", "b.log"):
        (folder / name).write_text(name)
    (folder / "\x1b[2Jevil").write_bytes(bytes(5000))
    return folder


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "engine_builders", lambda *_: (DOCKER, ""))


@pytest.mark.usefixtures("docker")
def test_a_preview_starts_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--build-arg", "VERSION=2", "--build-arg", "TYPO=1", "--secret", "id=x,env=TOKEN")
    outcome = run(capsys, "build", "--dry-run", "-t", "shop:1", *flags, ".")
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "Builder     BuildKit: docker has buildx.",
        "Platform    linux/amd64, the engine's own",
        f"Dockerfile  {here}/Dockerfile",
        "Tags        shop:1",
        "Target      the last stage, web",
        "Stages      build FROM debian",
        "            web FROM scratch",
        "Arguments   BASE=debian by default",
        "            VERSION=2",
        "            TYPO is not declared in the Dockerfile",
        "Secrets     x from the variable TOKEN",
        "            npm is not given, which is required (line 4)",
        f"Context     17.2kB in 15 files ({here})",
        "        5kB  \\e[2Jevil",
        *(f"     1.01kB  file{number:02}" for number in range(11, 5, -1)),
        *(f"        1kB  file{number:02}" for number in range(5, 2, -1)),
        "Left out    2 by .dockerignore",
        "          2  line 1: *.log, such as a.log",
    ]
    assert all_jobs() == []


@pytest.mark.usefixtures("docker")
def test_the_preview_as_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--secret", "id=npm,env=TOKEN", "--build-arg", "BASE=alpine")
    outcome = run(capsys, "build", "--dry-run", "--json", *flags, ".")
    document: dict[str, Any] = json.loads(outcome.out)
    assert document["schema"] == "layerscope.build-preview/1"
    assert len(document["context"]["largest"]) == 10
    ignored = {"line": 1, "pattern": "*.log", "count": 2, "example": "a.log"}
    assert document["context"]["ignored"] == [ignored]
    assert [stage["name"] for stage in document["stages"]] == ["build", "web"]
    base, version = document["arguments"]
    assert (base["given"], base["default"], base["value"]) == (True, "debian", "alpine")
    assert (version["given"], version["default"], version["value"]) == (False, None, None)
    assert document["secrets"] == [{"id": "npm", "required": True, "line": 4, "given": True}]
    assert document["secrets_given"] == [{"id": "npm", "file": None, "variable": "TOKEN"}]
    assert document["builder"]["chosen"] == "buildkit"
    assert "hush-hush" not in outcome.out


@pytest.mark.usefixtures("docker", "here")
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--builder", "podman"), "Docker 28 does not have Podman's builder."),
        (
            ("--builder", "classic", "--secret", "id=x,env=TOKEN"),
            "classic builder does not support secrets",
        ),
    ],
)
def test_what_the_engine_cannot_do_is_reported(
    flags: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run(capsys, "build", "--dry-run", *flags, ".")
    assert outcome.code == 1
    assert f"Problem     {'The ' if said.startswith('classic') else ''}{said}" in outcome.out


@pytest.mark.usefixtures("here")
def test_a_preview_without_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run(capsys, "build", "--dry-run", ".")
    assert outcome.code == 1
    assert outcome.out.startswith("Problem     No engine listens at unix:///nowhere.")
    assert "Context     " in outcome.out


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--json",), "--json needs --dry-run."),
        (("--dry-run", "-q"), "--dry-run builds nothing."),
        (("--again",), "There is no last build of"),
        (("--again", "-f", "-"), "There is no last build of standard input."),
    ],
)
def test_flags_that_make_no_sense(
    flags: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "layerscope.commands.building.dockerfile_on_stdin", lambda _: "FROM scratch"
    )
    assert said in one_line_error(run(capsys, "build", *flags, "."))


def test_again_fills_empty_fields_from_the_last_build(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ("-t", "shop:1", "--target", "build", "--build-arg", "VERSION=1", "--no-cache")
    more = ("--secret", "id=npm,env=TOKEN", "--platform", "linux/arm64", "--builder", "classic")
    assert run(capsys, "build", *first, *more, ".").code == 2
    assert run(capsys, "build", "--again", "--target", "web", "--builder", "auto", ".").code == 2
    again, last = all_jobs()
    changed = {"target": "web", "builder": "auto", "no_cache": False}
    assert again.spec == dict(last.spec) | changed
    assert again.spec["secrets"] == ["id=npm,env=TOKEN"]
