"""layerscope's own client and a real registry that is killed in the middle, or speaks TLS."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from layerscope.images.archives.writing import write_layout
from layerscope.images.registry import uploading
from layerscope.jobs.worker import Cancellation
from layerscope.oci.reference import parse_reference
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.registry_push import push_by_registry
from layerscope.transfer.request import TransferRequest
from tests.archives import layer
from tests.engines.fixtures import service
from tests.engines.registry import Registry
from tests.engines.remote import write_certificates
from tests.engines.test_registry_source import login
from tests.engines.test_transfers import ended
from tests.truth.command import environment, run_program
from tests.unit.images.archives.test_written_images import packed
from tests.unit.images.registry.misbehaving_registry import noise

#: Larger than what the sockets and the registry buffer.
LARGE = 24 << 20
IMAGE = packed(layer(("large", noise(LARGE))), layer(("small", b"x")))
SIZE = IMAGE.layers[0].size


@dataclass
class Gate:
    """Passes connections on to a registry, which is killed and started again in the middle."""

    registry: Registry
    #: The registry is killed once, when it has answered so many bytes, or with this text.
    answers: int | bytes = 0
    sends: int = 0  # The same for bytes that it was sent.
    sent: int = 0
    answered: int = 0
    kills: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: set[socket.socket] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def kill_after(self, answers: int | bytes) -> None:
        self.answers, self.sent, self.answered, self.kills = answers, 0, 0, 0

    def close(self) -> None:
        self._server.close()
        self._cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                try:
                    there = socket.create_connection(("127.0.0.1", self.registry.port), 5)
                except OSError:
                    client.close()
                    continue
                self._open |= {client, there}
                for pair in ((client, there), (there, client)):
                    answers = pair[0] is there
                    threading.Thread(target=self._pass, args=(*pair, answers), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                if not answers:
                    # Nothing comes to a registry that is about to be killed.
                    with self._lock:
                        self.sent += len(data)
                        other.sendall(data)
                        if self.sends and not self.kills and self.sent > self.sends:
                            self._restart()
                    continue
                with self._lock:
                    self.answered += len(data)
                    other.sendall(data)
                    if self._is_time(data):
                        self._restart()
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _is_time(self, data: bytes) -> bool:
        if self.kills or not self.answers:
            return False
        if isinstance(self.answers, bytes):
            return self.answers in data
        return self.answered > self.answers

    def _restart(self) -> None:
        self.kills += 1
        self.registry.kill()
        self._cut()
        self.registry.start()

    def _cut(self) -> None:
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)


@dataclass
class Site:
    folder: Path
    address: str
    registry: Registry

    def events(self, *arguments: str) -> list[dict[str, Any]]:
        run = self.run(*arguments, "--json-lines")
        assert run.returncode == 0, run.stderr
        return [json.loads(line) for line in run.stdout.splitlines()]

    @property
    def environment(self) -> dict[str, str]:
        config = login(self.folder / "docker", self.registry)
        path = Path(config, "config.json")
        path.write_text(path.read_text().replace(self.registry.address, self.address))
        return environment(
            XDG_STATE_HOME=str(self.folder / "state"),
            XDG_CACHE_HOME=str(self.folder / "cache"),
            DOCKER_CONFIG=config,
            HOME=str(self.folder),
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_program([sys.executable, "-m", "layerscope", *arguments], self.environment)


@pytest.fixture(params=["layerscope", ""], ids=["secret", "no secret"])
def gate(request: pytest.FixtureRequest) -> Iterator[Gate]:
    secret = request.param
    with service("registry", lambda: Registry(secret=secret)) as registry, gated(registry) as gate:
        yield gate


@contextmanager
def gated(registry: Registry) -> Iterator[Gate]:
    gate = Gate(registry)
    try:
        yield gate
    finally:
        gate.close()


def test_a_registry_that_is_killed_in_the_middle(
    gate: Gate,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site(tmp_path, gate.address, gate.registry)
    name = f"{gate.address}/app:1"
    for variable, value in site.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(uploading, "CHUNK", 4 << 20)
    gate.kill_after(b"Range: 0-%d\r\n" % ((16 << 20) - 1))
    events: list[dict[str, Any]] = []
    recorder = Recorder(lambda event: events.append(dict(event)))
    push_by_registry(IMAGE, parse_reference(name), TransferRequest(name), recorder, Cancellation())
    assert gate.kills == 1
    assert "retrying" in {event.get("state") for event in events}
    assert set(ended(events).values()) == {"done"}
    # A registry that signs with another secret since its start has forgotten what it had.
    again = gate.sent - SIZE
    assert (16 << 20 < again < 18 << 20) if "no secret" in request.node.name else again < 2 << 20
    # A pull goes on where it was, whatever the registry remembers.
    gate.kill_after(SIZE // 2)
    target = f"oci:{tmp_path}/to"
    pulled = site.events("pull", "--via", "registry", "--to", target, name)
    assert gate.kills == 1
    assert "retrying" in {event.get("state") for event in pulled}
    assert set(ended(pulled).values()) == {"done"}
    assert SIZE < gate.answered < SIZE + (4 << 20)
    stored = (tmp_path / "to/blobs/sha256" / IMAGE.layers[0].digest[7:]).read_bytes()
    assert gzip.decompress(stored) == layer(("large", noise(LARGE)))


def test_a_registry_that_is_killed_in_the_middle_of_a_request(tmp_path: Path) -> None:
    """What it had of the request is lost to this registry: the blob is sent again."""
    with service("registry", Registry) as registry, gated(registry) as gate:
        site = Site(tmp_path, gate.address, registry)
        write_layout(tmp_path / "from", [IMAGE])
        gate.sends = SIZE // 2
        name = f"{gate.address}/app:1"
        pushed = site.events("push", "--via", "registry", f"oci:{tmp_path}/from", name)
        assert gate.kills == 1
        assert "retrying" in {event.get("state") for event in pushed}
        assert set(ended(pushed).values()) == {"done"}
        target = f"oci-archive:{tmp_path}/to.tar"
        pulled = site.events("pull", "--via", "registry", "--to", target, name)
        assert pulled[-1]["digest"] == pushed[-1]["digest"]


def test_a_registry_with_tls(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    with service("registry", lambda: Registry(tls=tmp_path)) as registry:
        site = Site(tmp_path, registry.address, registry)
        write_layout(tmp_path / "from", [IMAGE])
        name = f"{registry.address}/app:1"
        pushed = site.events("push", "--via", "registry", f"oci:{tmp_path}/from", name)
        archive = f"docker-archive:{tmp_path}/to.tar"
        pulled = site.events("pull", "--via", "registry", "--to", archive, name)
        assert pulled[-1]["digest"] == pushed[-1]["digest"]
        assert pulled[-1]["image"] == IMAGE.config.digest
        # Without a login, one sentence, and nothing is written.
        (tmp_path / "docker/config.json").unlink()
        own = environment(HOME=str(tmp_path), DOCKER_CONFIG=str(tmp_path / "none"))
        for command in (
            ["pull", "--via", "registry", "--to", f"oci:{tmp_path}/none", name],
            ["push", "--via", "registry", f"oci:{tmp_path}/from", name],
        ):
            run = run_program([sys.executable, "-m", "layerscope", *command], own)
            assert run.returncode == 2
            assert run.stderr.count("\n") == 1, run.stderr
            assert f"layerscope login {registry.address}" in run.stderr
        assert not (tmp_path / "none").exists()
