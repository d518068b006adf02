"""The builders of buildx: those in its files, and what a docker says of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from layerscope.build.buildkit import _arguments
from layerscope.build.check import WrittenBuild, check_build, written_of
from layerscope.build.instances import instance_states, known_instances, parsed
from layerscope.build.request import BuildRequest, split_builder
from layerscope.errors import UsageError
from tests.command import one_line_error, run

FAR = """Name:          far
Driver:        remote
Last Activity: 2026-11-30 07:41:31 +0000 UTC

Nodes:
Name:     far0
Endpoint: tcp://127.0.0.1:9
Status:   inactive
Name:                  far1
Endpoint:              tcp://127.0.0.2:9
Status:                running
BuildKit version:      v0.20.1
Platforms:             linux/amd64*, linux/arm64
"""
DEFAULT = """Name:   default
Driver: docker

Nodes:
Name:     default
Endpoint: default
Error:    Cannot connect to the Docker daemon at unix:///none.
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("BUILDX_CONFIG", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    monkeypatch.setenv("LAYERSCOPE_ENGINE", "auto")
    folder = tmp_path / "buildx/instances"
    folder.mkdir(parents=True)
    for name, driver, endpoint in (
        ("far", "remote", "tcp://127.0.0.1:9"),
        ("pods", "kubernetes", "kubernetes:///pods?x=\x1b[31m"),
    ):
        nodes = [{"Name": f"{name}0", "Endpoint": endpoint, "Platforms": None}]
        document = {"Name": name, "Driver": driver, "Nodes": nodes, "Dynamic": False}
        (folder / name).write_text(json.dumps(document))
    (folder / "broken").write_text("{")
    (folder / "odd").write_text("[7]")
    return tmp_path


@pytest.fixture
def docker(home: Path) -> Path:
    """A docker with buildx that knows two builders, one of them the current one."""
    program = home / "bin/docker"
    program.parent.mkdir()
    (home / "far.txt").write_text(FAR)
    (home / "default.txt").write_text(DEFAULT)
    program.write_text(
        f"""#!/bin/sh
        case "$3" in
            "") read -r _ < /dev/null; exec /bin/cat {home}/default.txt ;;
            far) exec /bin/cat {home}/far.txt ;;
            *) exit 1 ;;
        esac
        """
    )
    program.chmod(0o755)
    return program


def test_what_the_files_say() -> None:
    assert [(each.name, each.driver, each.state) for each in known_instances()] == [
        ("far", "remote", ""),
        ("pods", "kubernetes", ""),
    ]


def test_without_buildx_their_states_are_unknown() -> None:
    assert instance_states() == known_instances()


def test_what_state_they_are_in(docker: Path) -> None:
    default, far, pods = instance_states()
    assert (default.name, default.current, default.state) == ("default", True, "error")
    assert default.problem == "Cannot connect to the Docker daemon at unix:///none."
    assert (far.current, far.state, far.buildkit) == (False, "inactive, running", "v0.20.1")
    assert far.platforms == ("linux/amd64", "linux/arm64")
    assert far.endpoints == ("tcp://127.0.0.1:9", "tcp://127.0.0.2:9")
    assert (pods.driver, pods.state) == ("kubernetes", "")


def test_text_that_is_none() -> None:
    for text in ("", "\n", ":", "Nodes:", "a\nNodes:\n:\n"):
        assert parsed(text).name == ""


def test_the_command(docker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(capsys, "engines", "builders")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[1].split()[:4] == ["*", "default", "docker", "error"]
    assert "default: Cannot connect to the Docker daemon" in lines[-1]
    assert "\x1b" not in done.out
    rows = run(capsys, "engines", "builders", "--json").document["builders"]
    assert [row["state"] for row in rows] == ["error", "inactive, running", None]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ("auto", "")),
        (" BuildKit ", ("buildkit", "")),
        ("buildkit:Far", ("buildkit", "Far")),
        ("buildkit:", ("buildkit", "")),
    ],
)
def test_a_builder_as_it_is_typed(text: str, found: tuple[str, str]) -> None:
    assert split_builder(text) == found


def test_it_is_built_with(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    request = check_build(WrittenBuild(str(tmp_path), builder="buildkit:far")).checked()
    assert (request.builder, request.instance) == ("buildkit", "far")
    assert "--builder=far" in _arguments(request, tmp_path / "iid")
    assert written_of(request).builder == "buildkit:far"
    plain = BuildRequest(str(tmp_path), "Dockerfile")
    assert not any("--builder" in each for each in _arguments(plain, tmp_path / "iid"))
    for text in ("classic:far", "podman:far", "buildkit:-rm"):
        with pytest.raises(UsageError, match="is not a builder"):
            check_build(WrittenBuild(str(tmp_path), builder=text)).checked()


def test_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    options = ("build", "--builder-instance", "far", "--builder", "classic", str(tmp_path))
    assert "is for BuildKit" in one_line_error(run(capsys, *options))
