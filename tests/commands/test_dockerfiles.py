"""lint and dockerfile: what they print, and their exit codes."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from layerscope.dockerfile.checks import tools
from layerscope.engines import resolve
from layerscope.errors import NotFoundError, RegistryError
from layerscope.images.image import image_from_config
from layerscope.oci.config import parse_config
from tests.archives import entry, layer, saved, write
from tests.commands.conftest import Run

CLEAN = 'FROM debian:12\nCOPY main.py /app/\nCMD ["/app/main.py"]\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to build, with no other tool anywhere."""
    (tmp_path / "main.py").write_text("x")
    (tmp_path / "Dockerfile").write_text(CLEAN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    return tmp_path


def program(folder: Path, name: str, script: str) -> None:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_clean_file(run: Run, project: Path) -> None:
    answer = run("lint")
    assert (answer.code, answer.out, answer.err) == (0, "Dockerfile: no problems\n", "")
    (project / "Dockerfile").rename(project / "Containerfile")
    assert run("lint").out == "Containerfile: no problems\n"


def test_problems_have_places_and_hints(run: Run, project: Path) -> None:
    (project / "Dockerfile").write_text("FROM debian:12\nCOPI a b\nWORKDIR x\n")
    answer = run("lint", "--no-hadolint", "--no-buildkit")
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[0] == "Dockerfile:2:1  error    There is no instruction COPI. (UnknownInstruction)"
    assert lines[1].split() == ["Did", "you", "mean", "COPY?"]
    assert lines[2].startswith("Dockerfile:3:9  warning")
    assert lines[-1] == "1 error, 1 warning"


def test_json(run: Run, project: Path) -> None:
    (project / "Dockerfile").write_text("FROM debian:12\nENV é=1\nUSER x \\\n  $y\n")
    document = run("lint", "--json").document
    assert document["schema"] == "layerscope.lint/1"
    assert document["file"] == "Dockerfile"
    assert document["tools"] == ["layerscope"]
    assert document["counts"] == {"error": 0, "warning": 0, "info": 1}
    problem = document["problems"][0]
    assert (problem["code"], problem["severity"]) == ("UndefinedVar", "info")
    assert problem["start"] == {"line": 4, "column": 3, "byte": 35}
    assert problem["end"] == {"line": 4, "column": 5, "byte": 37}


@pytest.mark.parametrize(
    ("limit", "code"), [("error", 0), ("warning", 1), ("info", 1), ("never", 0)]
)
def test_the_exit_code_is_by_severity(run: Run, project: Path, limit: str, code: int) -> None:
    (project / "Dockerfile").write_text("FROM debian\n")
    assert run("lint", "--fail-on", limit).code == code
    (project / "Dockerfile").write_text("FROM a:1 AS spare\nFROM debian:12\n")
    assert run("lint", "--fail-on", limit).code == int(limit == "info")


def test_standard_input(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"FROM debian:12\nCOPY nothing /\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert run("lint", "-").out == "-: no problems\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    answer = run("lint", "-", "--context", str(project))
    assert answer.code == 1
    assert "CopySourceMissing" in answer.out


def test_the_context_may_be_elsewhere(run: Run, project: Path) -> None:
    (project / "docker").mkdir()
    (project / "docker/Dockerfile").write_text(CLEAN)
    assert run("lint", "docker/Dockerfile").code == 1
    assert run("lint", "docker").code == 1
    assert run("lint", "docker/Dockerfile", "--context", ".").code == 0


def test_target_and_build_arguments(run: Run, project: Path) -> None:
    (project / "Dockerfile").write_text("ARG V\nFROM a:$V AS one\nFROM b:1 AS two\n")
    assert "InvalidDefaultArgInFrom" in run("lint").out
    answer = run("lint", "--build-arg", "V=1", "--target", "one", "--fail-on", "info")
    assert "UnusedStage" in answer.out
    assert "stage two" in answer.out
    assert run("lint", "--build-arg", "=1").code == 2


def test_a_build_argument_without_a_value_is_from_the_environment(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "Dockerfile").write_text("ARG V\nFROM a:$V\n")
    monkeypatch.delenv("V", raising=False)
    assert "InvalidDefaultArgInFrom" in run("lint", "--build-arg", "V").out
    monkeypatch.setenv("V", "1")
    assert "InvalidDefaultArgInFrom" not in run("lint", "--build-arg", "V").out


@pytest.mark.parametrize("name", ["none", "bad\x1bname"])
def test_a_missing_file(run: Run, project: Path, name: str) -> None:
    answer = run("lint", name)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("layerscope: There is no file ")
    assert "\x1b" not in answer.err


def test_no_file_at_all_and_no_context(run: Run, project: Path) -> None:
    (project / "Dockerfile").unlink()
    assert "Name one" in run("lint").err
    (project / "Dockerfile").write_text(CLEAN)
    assert run("lint", "--context", "none").code == 2
    (project / ".dockerignore").write_text("[\n")
    assert "line 1" in run("lint").err


class Reader:
    """An image of which nothing but its configuration is asked for."""

    def __init__(self, *variables: str) -> None:
        document = {"os": "linux", "config": {"Env": list(variables)}}
        self.image = image_from_config(
            parse_config(document), reference="a", image_id="b", source="c"
        )
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_base_images_are_looked_up_in_the_engine_and_then_in_the_registry(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader("HOME=/root")
    asked = []

    def open_image(source: str, *_: object, **options: object) -> Reader:
        asked.append(source)
        if source == "docker://there:1":
            return reader
        if source.startswith("docker://offline"):
            raise RegistryError("No network.")
        raise NotFoundError("Not there.")

    monkeypatch.setattr(resolve, "open_image", open_image)
    text = "FROM there:1\nUSER $HOME$X\nFROM gone:1\nFROM offline:1\nUSER $Y\n"
    (project / "Dockerfile").write_text(text)
    found = {p["code"]: p["message"] for p in run("lint", "--bases", "--json").document["problems"]}
    assert found["BaseImageMissing"] == "There is no image gone:1."
    assert asked == [
        f"{transport}{name}:1"
        for name in ("there", "gone", "offline")
        for transport in ("docker-daemon:", "docker://")
    ]
    assert reader.closed
    messages = [p["message"] for p in run("lint", "--bases", "--json").document["problems"]]
    assert "$X is not set here." in messages
    assert "$Y is not set here, unless the base image sets it." in messages
    asked.clear()
    run("lint")
    assert asked == []


def test_nothing_of_the_file_reaches_the_terminal(run: Run, project: Path) -> None:
    (project / "Dockerfile").write_bytes(b"FROM a:1\nCOPI\x1b[31m \xff\nCOPY \x1b]0;x\x07 /\n")
    answer = run("lint")
    assert answer.code == 1
    assert "\\e[31m" in answer.out.lower()
    assert all(line.isprintable() for line in answer.out.splitlines())


def test_hadolint_runs_if_it_is_installed(run: Run, project: Path) -> None:
    found = [
        {"code": "SC2086", "column": 1, "level": "info", "line": 2, "message": "Quote\nthis"},
        {"code": "DL3006", "column": 1, "level": "warning", "line": 1, "message": "Tag it"},
    ]
    program(project, "hadolint", f"printf %s '{json.dumps(found)}'")
    (project / "Dockerfile").write_text("FROM debian\nRUN x\n")
    document = run("lint", "--json").document
    assert document["tools"] == ["layerscope", "hadolint"]
    assert [(p["code"], p["source"]) for p in document["problems"]] == [
        ("BaseWithoutTag", "layerscope"),
        ("SC2086", "hadolint"),
    ]
    assert document["problems"][1]["message"] == "Quote this"
    assert run("lint", "--json", "--no-hadolint").document["tools"] == ["layerscope"]


def test_a_failing_tool_is_not_a_failure(run: Run, project: Path) -> None:
    program(project, "hadolint", "echo sorry >&2; exit 3")
    answer = run("lint")
    assert (answer.code, answer.out) == (0, "Dockerfile: no problems\n")
    assert answer.err == "layerscope: hadolint failed (sorry).\n"
    (project / "bin/hadolint").write_text("no program")
    assert "cannot be run" in run("lint").err


CHECK = {
    "warnings": [
        {
            "ruleName": "JSONArgsRecommended",
            "detail": "JSON is better",
            "url": "https://example.com",
            "location": {"ranges": [{"start": {"line": 2}}]},
        }
    ],
    "buildError": {
        "message": "a:1: failed to resolve source metadata for a:1: no such host",
        "location": {"ranges": [{"start": {"line": 1}}]},
    },
}


def test_buildkit_s_checks_run(run: Run, project: Path) -> None:
    asked = project / "asked"
    script = (
        f'[ "$2" = version ] && exit 0\necho "$@" > {asked}\necho \'{json.dumps(CHECK)}\'\nexit 1'
    )
    program(project, "docker", script)
    (project / "Dockerfile").write_text("FROM a:1\nRUN x\n")
    answer = run("lint", "--json", "--fail-on", "error")
    assert answer.code == 0
    assert [
        (p["code"], p["severity"], p["start"]["line"]) for p in answer.document["problems"]
    ] == [
        ("JSONArgsRecommended", "warning", 2),
        ("BaseImageUnresolved", "info", 1),
    ]
    assert "--call=check,format=json" in asked.read_text()
    assert run("lint", "--json", "--no-buildkit").document["problems"] == []
    program(project, "docker", "[ $2 = version ] && exit 0\necho no daemon >&2; exit 1")
    assert run("lint").err == "layerscope: docker buildx failed (no daemon).\n"
    program(project, "docker", "exit 1")
    assert run("lint").err == ""


def test_a_tool_that_takes_too_long_is_stopped(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "_SECONDS", 0.2)
    program(project, "hadolint", "exec /bin/sleep 5")
    assert "took longer" in run("lint").err


HISTORY = [
    {"created_by": "/bin/sh -c #(nop) ADD file:0123456789abcdef in / "},
    {"created_by": '/bin/sh -c #(nop)  CMD ["sh"]', "empty_layer": True},
    {"created_by": "RUN /bin/sh -c chown -R 1 /x # buildkit"},
]


@pytest.fixture
def built(project: Path) -> str:
    lower = layer(("x/big", b"x" * 2_000_000))
    upper = entry(b"x/big", b"x" * 2_000_000, uid=1) + bytes(1024)
    return write(project / "i.tar", saved(lower, upper, config={"history": HISTORY}))


def test_what_the_last_build_wasted_is_a_problem(run: Run, project: Path, built: str) -> None:
    (project / "Dockerfile").write_text("FROM debian:12\nRUN chown -R 1 /x\n")
    answer = run("lint", "--image", built, "--no-cache")
    assert answer.code == 1
    assert "Dockerfile:2:1" in answer.out
    assert "copied 2MB without changing it, mostly in /x/big. (WastedBytes)" in answer.out


def test_a_dockerfile_from_an_image(run: Run, project: Path, built: str) -> None:
    answer = run("dockerfile", built)
    assert answer.code == 0
    assert answer.out.startswith("# Reconstructed by layerscope from the history of ")
    assert answer.out.endswith('CMD ["sh"]\n\n# layer 1\nRUN chown -R 1 /x\n')
    document = run("dockerfile", built, "--json").document
    assert document["schema"] == "layerscope.dockerfile/1"
    assert [(s["instruction"], s["layer"]) for s in document["steps"]] == [
        ("ADD file:0123456789ab /", 0),
        ('CMD ["sh"]', None),
        ("RUN chown -R 1 /x", 1),
    ]


def test_a_hostile_history_is_escaped(run: Run, project: Path) -> None:
    history = [{"created_by": "/bin/sh -c echo \x1b[31m\u202e\tx"}]
    source = write(project / "h.tar", saved(layer("d/"), config={"history": history}))
    out = run("dockerfile", source).out
    assert "\\e[31m\\u202e" in out
    assert all(line.replace("\t", "").isprintable() for line in out.splitlines())


def test_hadolint_is_found_beside_the_interpreter(project: Path) -> None:
    assert tools.find_hadolint() is None
    program(project, "hadolint", "")
    os.environ["PATH"] = "/nowhere"
    assert tools.find_hadolint() == str(project / "bin/hadolint")
