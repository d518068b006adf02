"""What answers at DOCKER_HOST need not be a container engine, or not answer as one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.unit.command import one_line_error, run

Capsys = pytest.CaptureFixture[str]

VERSION = {"ApiVersion": "1.41", "Version": "1"}
PODMAN = {**VERSION, "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}
IMAGE = {"Id": "sha256:" + "a" * 64, "RepoTags": ["app:1"], "Size": 9, "SharedSize": 0}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What is answered for a path, by the path's end; bytes as they are."""
    known: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            answer = next((known[end] for end in known if path.endswith(end)), None)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
    yield known
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("version", [b"", b"<html>", b"null", b"[]", b"{}"])
def test_what_is_no_engine_is_said_so(
    capsys: Capsys, answers: dict[str, Any], version: bytes
) -> None:
    answers["/version"] = version
    assert "is no container engine" in one_line_error(run(capsys, "images"))


@pytest.mark.parametrize(
    ("command", "end", "answer"),
    [
        ("images", "/images/json", {}),
        ("images", "/images/json", [1]),
        ("inspect", "/images/app/json", []),
        ("inspect", "/images/app/history", ["x"]),
    ],
)
def test_answers_of_another_kind_are_an_error(
    capsys: Capsys, answers: dict[str, Any], command: str, end: str, answer: object
) -> None:
    answers |= {"/version": VERSION, "/system/df": {}, "/images/app/json": IMAGE, end: answer}
    outcome = run(capsys, command, *(["app"] if command == "inspect" else []))
    assert "is no container engine" in one_line_error(outcome)


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


def test_an_engine_without_images(capsys: Capsys, answers: dict[str, Any]) -> None:
    answers |= {"/version": VERSION, "/system/df": {}, "/images/json": None}
    outcome = run(capsys, "images", "--json")
    assert (outcome.code, json.loads(outcome.out)["images"]) == (0, [])


@pytest.mark.parametrize(("version", "shared"), [(VERSION, 0), (PODMAN, None)])
def test_podman_does_not_know_what_its_images_share(
    capsys: Capsys, answers: dict[str, Any], version: object, shared: int | None
) -> None:
    answers |= {"/version": version, "/images/json": [IMAGE], "/system/df": {}}
    (image,) = json.loads(run(capsys, "images", "--json").out)["images"]
    assert (image["size"], image["shared_size"]) == (9, shared)
    assert image["unique_size"] == (None if shared is None else 9)


@pytest.mark.parametrize("command", ["inspect", "dockerfile"])
def test_a_name_of_bytes_that_are_no_text_is_no_images(
    capsys: Capsys, answers: dict[str, Any], command: str
) -> None:
    answers["/version"] = VERSION
    error = one_line_error(run(capsys, command, "docker-daemon:\udcff"))
    assert "has no image \\xff." in error
