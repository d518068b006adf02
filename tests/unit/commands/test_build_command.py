"""`layerscope build`, as far as it goes without an engine."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from layerscope.jobs.folder import all_jobs
from tests.command import one_line_error, process, run


@pytest.fixture(autouse=True)
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")


@pytest.mark.parametrize(
    "context", ["-", "https://example.invalid/x.git", "git@example.invalid:x/y", "github.com/x/y"]
)
def test_a_context_must_be_a_folder(context: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = one_line_error(run(capsys, "build", context))
    assert f"{context} is not a folder: layerscope only sends folders." in error
    assert "-f -" in error


def test_a_dockerfile_on_stdin_is_kept_with_the_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"FROM scratch\n# \xff\n"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    assert run(capsys, "build", "-f", "-", str(tmp_path)).code == 2
    (job,) = all_jobs()
    kept = json.loads((job.folder / "job.json").read_bytes())["spec"]
    assert kept["text"].encode("utf-8", "surrogateescape") == text
    assert (kept["dockerfile"], kept["engine"]) == ("-", "unix:///nowhere")


def test_quiet_prints_only_the_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    outcome = run(capsys, "build", "-q", str(tmp_path))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("layerscope: No engine listens at unix:///nowhere.")


@pytest.mark.parametrize(
    "command", [("build", "-f", "-", "/tmp"), ("lint", "-"), ("lint", "/dev/stdin")]
)
def test_an_endless_dockerfile_is_rejected(command: tuple[str, ...]) -> None:
    done = process(*command, shell="< /dev/zero")
    assert done.returncode == 2
    assert re.fullmatch(rb"layerscope: .* is too large for a Dockerfile\.\n", done.stderr)
