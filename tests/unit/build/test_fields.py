"""The fields of a build, for the command line and the form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from layerscope.build.check import WrittenBuild, check_build, written_of
from layerscope.build.fields import dockerfile_of
from layerscope.build.offer import offer_of
from layerscope.errors import UsageError
from layerscope.jobs.folder import all_jobs
from tests.command import one_line_error, run

TEXT = """\
# syntax=docker/dockerfile:1
ARG BASE=debian
ARG VERSION="1.2"
FROM ${BASE}:12 AS Build
ARG TARGETARCH
ARG VERSION
ARG TOKEN
RUN --mount=type=secret,id=npm,required --mount=type=cache,target=/x make
FROM scratch
ARG TOKEN=none
RUN --mount=type=secret,target=/run/secrets/pip cat /run/secrets/pip
FROM build AS web
RUN --mount=type=secret,id=npm cat /run/secrets/npm
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(TEXT)
    return tmp_path


def test_the_offer_of_a_dockerfile() -> None:
    offer = offer_of(TEXT)
    assert [(s.target, s.base, s.steps) for s in offer.stages] == [
        ("build", "debian:12", 5),
        ("1", "scratch", 3),
        ("web", "build", 2),
    ]
    # The builder sets the arguments of platforms.
    assert [(a.name, a.default, a.line) for a in offer.arguments] == [
        ("BASE", "debian", 2),
        ("VERSION", "1.2", 3),
        ("TOKEN", "none", 7),
    ]
    assert [(s.id, s.required, s.line) for s in offer.secrets] == [
        ("npm", True, 8),
        ("pip", False, 11),
    ]
    assert offer.stage_names == ("build", None, "web")
    wanted = [[s.id for s in offer.wanted_secrets(t)] for t in ("", "BUILD", "1", "none")]
    assert wanted == [["npm"], ["npm"], ["pip"], ["npm"]]
    assert offer_of("# syntax=example/other\nstages: [a]\n").stage_names == ()
    assert offer_of("").stages == ()


def test_all_fields_become_a_build_and_come_back(here: Path) -> None:
    (here / "t").write_text("x")
    written = WrittenBuild(
        context="",
        tags=("shop:1", "localhost:5000/a/b"),
        target="Web",
        build_args=["A=b c=d", "HOME", "E="],
        labels=["l=1", "m"],
        secrets=["id=a,src=t"],
        platform="linux/aarch64",
        network="host",
        builder="",
        no_cache=True,
        pull=True,
    )
    request = check_build(written, here).checked()
    assert (request.context, request.dockerfile) == (str(here), str(here / "Dockerfile"))
    assert request.build_args == {"A": "b c=d", "HOME": None, "E": ""}
    assert request.labels == {"l": "1", "m": ""}
    assert request.secrets == (f"id=a,src={here}/t",)
    assert (request.platform, request.builder, request.target) == ("linux/arm64", "auto", "Web")
    assert request.no_cache
    assert request.pull
    again = check_build(written_of(request, here), here).checked()
    # These two do not carry over.
    assert (again.no_cache, again.pull) == (False, False)
    assert again.document() == request.document() | {"no_cache": False, "pull": False}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("context", "none", "none is not a folder."),
        ("context", "https://example.invalid/x.git", "layerscope only sends folders"),
        ("dockerfile", "none", "There is no file none."),
        ("dockerfile", ".", "There is no file ."),
        ("tags", ["Shop"], "Shop is not the name of an image. Names must be in lower case."),
        ("tags", ["a b"], "a b is not the name of an image. Write NAME:TAG."),
        ("tags", [f"a@sha256:{'0' * 64}"], "has a digest"),
        ("target", "wbe", "There is no stage wbe. Did you mean web?"),
        ("target", "zzz", "There is no stage zzz. It has build, web."),
        ("target", "3", "There is no stage 3."),
        ("target", "0", "Builders find a target by its name, not its number."),
        ("build_args", ["=x"], "=x has no name. Write NAME=VALUE."),
        ("labels", [" =x"], "has no name"),
        ("platform", "arm64", "arm64 is not a platform. Write OS/ARCH[/VARIANT]"),
        ("platform", "linux/", "linux/ is not a platform."),
        ("platform", "linux/a/b/c", "is not a platform"),
        ("platform", "linux/amd64,linux/arm64", "Only one platform can be built at a time."),
        ("network", "a b", "The name of a network has no spaces."),
        ("builder", "kaniko", "There is no builder kaniko. One of auto, classic"),
        ("secrets", ["x"], "A secret has an id"),
        ("target", "\x1b[2J", "There is no stage \\e[2J."),
    ],
)
def test_invalid_values_are_reported_by_field_in_one_line(
    here: Path, field: str, value: Any, said: str
) -> None:
    found = check_build(WrittenBuild(**({"context": "."} | {field: value})), here)
    assert list(found.problems) == [field]
    text = str(found.problems[field])
    assert said in text
    assert text.isprintable()
    assert found.request is None
    with pytest.raises(UsageError):
        found.checked()


def test_all_problems_are_reported_at_once(here: Path) -> None:
    found = check_build(WrittenBuild(".", target="x", platform="x", tags=["X"]), here)
    assert list(found.problems) == ["tags", "target", "platform"]


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--target", "wbe", "Did you mean web?"),
        ("--platform", "arm64", "Write OS/ARCH[/VARIANT]"),
        ("--tag", "Shop", "Names must be in lower case."),
        ("--build-arg", "=1", "has no name"),
    ],
)
def test_the_command_line_reports_the_same_and_starts_nothing(
    here: Path,
    flag: str,
    value: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(here / "state"))
    assert said in one_line_error(run(capsys, "build", flag, value, str(here)))
    assert all_jobs() == []


def test_lint_needs_an_existing_stage(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--no-hadolint", "--no-buildkit", str(here / "Dockerfile"))
    error = one_line_error(run(capsys, "lint", "--target", "wbe", *flags))
    assert error == "There is no stage wbe. Did you mean web?"
    for target in ("web", "WEB"):
        assert run(capsys, "lint", "--target", target, *flags).code < 2


def test_an_unreadable_folder_differs_from_one_without_a_dockerfile(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root can search any folder.
    def closed(path: Path, **_: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", closed)
    with pytest.raises(UsageError, match="Dockerfile cannot be read \\(Permission denied\\)"):
        dockerfile_of("", here)
