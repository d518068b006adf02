"""Servers at DOCKER_HOST that are not container engines, or answer strangely."""

from __future__ import annotations

import errno
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines import client
from layerscope.engines.address import Address
from layerscope.engines.docker import connect
from layerscope.engines.errors import unreachable
from layerscope.images.archives.engine_export import EngineExportReader
from tests.command import one_line_error, run

Capsys = pytest.CaptureFixture[str]

VERSION = {"ApiVersion": "1.41", "Version": "1"}
PODMAN = {**VERSION, "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}
IMAGE = {"Id": "sha256:" + "a" * 64, "RepoTags": ["app:1"], "Size": 9, "SharedSize": 0}


@pytest.mark.parametrize("version", [b"", b"<html>", b"null", b"[]", b"{}"])
def test_something_that_is_not_an_engine_is_reported(
    capsys: Capsys, answers: dict[str, Any], version: bytes
) -> None:
    answers["/version"] = version
    assert "is not a container engine" in one_line_error(run(capsys, "images"))


def test_a_connection_that_breaks_has_no_number() -> None:
    wrapped = RuntimeError(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
    message = unreachable(Address("unix:///s", None, ""), wrapped).message
    assert message == "The engine at unix:///s cannot be reached (Connection reset by peer)."


@pytest.mark.parametrize(
    ("command", "end", "answer"),
    [
        ("images", "/images/json", {}),
        ("images", "/images/json", [1]),
        ("inspect", "/images/app/json", []),
        ("inspect", "/images/app/history", ["x"]),
    ],
)
def test_answers_of_the_wrong_type_are_an_error(
    capsys: Capsys, answers: dict[str, Any], command: str, end: str, answer: object
) -> None:
    answers |= {"/version": VERSION, "/system/df": {}, "/images/app/json": IMAGE, end: answer}
    outcome = run(capsys, command, *(["app"] if command == "inspect" else []))
    assert "sent an invalid answer" in one_line_error(outcome)


def test_an_answer_that_is_too_large(
    capsys: Capsys, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerscope.engines.client.LARGE", 1 << 20)
    answers |= {"/version": VERSION, "/system/df": {}, "/images/json": [IMAGE] * 20_000}
    assert "an answer larger than 1 MiB" in one_line_error(run(capsys, "images"))


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({}, 0),
        (b"{", 0),
        (b"[" * 100_000, 2),
        ({"auths": None, "proxies": None}, None),
        ({"auths": {"x": {"auth": 3}}}, None),
        (os.mkfifo, 2),
        (lambda path: path.symlink_to("/dev/zero"), 2),
        (Path.mkdir, 0),
    ],
)
def test_a_config_json_of_any_shape(
    capsys: Capsys,
    answers: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    config: Any,
    code: int | None,
) -> None:
    path = tmp_path / "config.json"
    if callable(config):
        config(path)
    else:
        path.write_bytes(config if isinstance(config, bytes) else json.dumps(config).encode())
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    answers |= {"/version": VERSION, "/system/df": {}, "/images/json": [IMAGE]}
    outcome = run(capsys, "images", "--json")
    if code is not None:
        assert outcome.code == code, outcome
    if outcome.code:
        assert "config.json" in one_line_error(outcome)


def test_no_proxy_leads_to_this_host(
    capsys: Capsys, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    answers |= {"/version": VERSION, "/system/df": {}, "/images/json": [IMAGE]}
    outcome = run(capsys, "images", "--json")
    assert (outcome.code, outcome.err) == (0, "")


def test_an_engine_that_is_too_old(capsys: Capsys, answers: dict[str, Any]) -> None:
    answers["/version"] = {"ApiVersion": "1.12", "Version": "0.12"}
    assert "is too old (API 1.12)." in one_line_error(run(capsys, "images"))


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ("Docker/28.5.2+dfsg4 (linux)", "Docker 28.5.2+dfsg4"),
        ("Libpod/4.3.1 (linux)", "Podman 4.3.1"),
    ],
    ids=["docker", "podman"],
)
def test_an_engine_that_says_what_it_is_is_not_asked_for_its_version(
    answers: dict[str, Any], server: str, name: str
) -> None:
    answers |= {"/_ping": ({"Server": server, "Api-Version": "1.41"}, b"OK"), "/version": b"<html>"}
    with closing(connect()) as engine:
        assert (engine.name, engine.client.api_version) == (name, "1.41")


@pytest.mark.parametrize(
    "message",
    [
        'failed to convert ImageData to ImageInspect "4e1d": locating item named "manifest" for '
        'image with ID "0816" (consider removing the image to resolve the issue): file does not '
        "exist",
        "NotFound: snapshot c94ce51a7cb0 does not exist: not found",
    ],
    ids=["podman", "docker"],
)
def test_an_engine_is_asked_again_while_another_image_is_removed(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(client, "_WHILE_IT_GOES", (0.01, 0.01))
    said = iter([{"message": message}, [IMAGE], *[{"message": message}] * 9])
    answers |= {"/version": PODMAN, "/images/json": lambda: next(said)}
    assert run(capsys, "images").code == 0
    assert message in one_line_error(run(capsys, "images"))


@pytest.mark.parametrize("version", ["", "x", "1.4.1", "1" * 99])
def test_headers_that_say_nothing(answers: dict[str, Any], version: str) -> None:
    answers |= {"/_ping": ({"Server": "\x1b[2J", "Api-Version": version}, b"OK")}
    answers["/version"] = PODMAN
    with closing(connect()) as engine:
        assert (engine.name, engine.client.api_version) == ("Podman 4.3.1", "1.41")


def test_an_engine_without_images(capsys: Capsys, answers: dict[str, Any]) -> None:
    answers |= {"/version": VERSION, "/system/df": {}, "/images/json": None}
    outcome = run(capsys, "images", "--json")
    assert (outcome.code, json.loads(outcome.out)["images"]) == (0, [])


@pytest.mark.parametrize(("version", "shared"), [(VERSION, 0), (PODMAN, None)])
def test_podman_has_no_shared_sizes(
    capsys: Capsys, answers: dict[str, Any], version: object, shared: int | None
) -> None:
    answers |= {"/version": version, "/images/json": [IMAGE], "/system/df": {}}
    (image,) = json.loads(run(capsys, "images", "--json").out)["images"]
    assert (image["size"], image["shared_size"]) == (9, shared)
    assert image["unique_size"] == (None if shared is None else 9)


@pytest.mark.parametrize("name", ["app:1", "aaaaaaaaaaaa"])
def test_of_several_names_an_image_has_the_one_that_was_asked_for(
    answers: dict[str, Any], name: str
) -> None:
    tags = ["example.com/other:1", "docker.io/library/app:1"]
    inspected = {**IMAGE, "RepoTags": tags, "Os": "linux", "Architecture": "amd64"}
    answers |= {"/version": PODMAN, f"/images/{name}/json": inspected}
    answers[f"/images/{name}/history"] = []
    with closing(connect()) as engine:
        reader = EngineExportReader(engine, name, f"docker-daemon:{name}")
    assert reader.image.reference == tags[name == "app:1"]


@pytest.mark.parametrize("command", ["inspect", "dockerfile"])
def test_a_name_that_is_not_utf8_is_no_images(
    capsys: Capsys, answers: dict[str, Any], command: str
) -> None:
    answers["/version"] = VERSION
    error = one_line_error(run(capsys, command, "docker-daemon:\udcff"))
    assert "has no image \\xff." in error


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        ("yes", False),
        ("exit 1", False),
        ("echo []", False),
        (
            '[ $1 = list ] && echo \'{"r": "me"}\' || echo \'{"Username": "me", "Secret": "s"}\'',
            True,
        ),
    ],
)
def test_a_credential_helper_never_fails_a_build(
    answers: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    script: str,
    sent: bool,
) -> None:
    helper = tmp_path / "docker-credential-odd"
    helper.write_text(f"#!/bin/sh\n{script}\n")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore": "odd"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    answers["/version"] = VERSION
    engine = connect()
    headers: dict[str, str] = {}
    engine.client._set_auth_headers(headers)
    engine.close()
    assert ("X-Registry-Config" in headers) == sent
