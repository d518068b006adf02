"""Searches through real engines and a real registry; only the index is a server of the tests."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.engines.harness import Engine
from tests.engines.images import busybox_base, classic_example
from tests.engines.registry import Registry
from tests.engines.test_registry_source import login, push
from tests.truth.command import environment, run_program


def layerscope(
    *arguments: str, engine: Engine | None = None, config: str = ""
) -> subprocess.CompletedProcess[str]:
    own = {"DOCKER_CONFIG": config} if config else {}
    command = [sys.executable, "-m", "layerscope", *arguments]
    return run_program(command, environment(engine, **own))


RESULTS = [
    {"name": "team/app", "description": "An app", "star_count": 7, "is_official": False},
    {"name": "app", "description": "The app", "star_count": 9, "is_official": True},
]


class _Index(BaseHTTPRequestHandler):
    """Answers as Docker's index does, and has no registry."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        body: dict[str, object] = {"standalone": False}
        status = 200
        if parts.path == "/v1/search":
            term = parse_qs(parts.query)["q"][0]
            body = {"query": term, "num_results": 2, "results": RESULTS}
        elif parts.path != "/v1/_ping":
            status = 404
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("engine", ["docker-debian", "docker-28"], indirect=True)
def test_what_has_no_catalog_is_searched_by_the_engine(engine: Engine, index: str) -> None:
    run = layerscope("search", "--json", f"{index}/app", engine=engine)
    assert (run.returncode, run.stderr) == (0, "")
    assert [
        (hit["name"], hit["stars"], hit["official"])
        for hit in json.loads(run.stdout)["repositories"]
    ] == [(f"{index}/team/app", 7, False), (f"{index}/app", 9, True)]
    starred = layerscope("search", "--stars", "8", f"{index}/app", engine=engine)
    assert starred.returncode == 0
    assert "team/app" not in starred.stdout
    assert layerscope("search", "--stars", "10", f"{index}/app", engine=engine).returncode == 1


def test_catalog_and_tags(docker_28: Engine, registry: Registry, tmp_path: Path) -> None:
    config = login(tmp_path, registry)
    classic, base = classic_example(docker_28), busybox_base(docker_28)
    for image, tag in ((classic, "1.9"), (base, "1.10"), (base, "latest")):
        push(docker_28, registry, image, "listed/app", tag)
    found = layerscope("search", f"{registry.address}/listed", config=config)
    assert (found.returncode, found.stderr) == (0, "")
    assert f"{registry.address}/listed/app" in found.stdout
    run = layerscope("tags", "--json", f"{registry.address}/listed/app", config=config)
    assert (run.returncode, run.stderr) == (0, "")
    document = json.loads(run.stdout)
    assert document["total"] == 3
    tags = {tuple(each["tags"]): each for each in document["tags"]}
    assert set(tags) == {("1.9",), ("latest", "1.10")}
    with docker_28.api() as api:
        digests = api.inspect_image(f"{registry.address}/listed/app:1.9")["RepoDigests"]
    assert any(digest.endswith(tags[("1.9",)]["digest"]) for digest in digests)
    assert tags[("1.9",)]["platforms"] == ["linux/amd64"]
    assert tags[("1.9",)]["size"] > 100_000
    # The same without a login: what to do is said.
    run = layerscope("tags", f"{registry.address}/listed/app", config=str(tmp_path / "x"))
    assert run.returncode == 2
    assert f"layerscope login {registry.address}" in run.stderr
