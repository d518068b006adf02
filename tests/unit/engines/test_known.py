"""Engines by name: which are found, which one is used, and what the docker command gets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerscope.config import load
from layerscope.engines import known, probing
from layerscope.engines.address import (
    DOCKER_SOCKET,
    command_environment,
    current_address,
    engine_address,
)
from layerscope.engines.known import KnownEngine, known_engines
from layerscope.engines.podman_connections import podman_connections
from layerscope.engines.probing import EngineState, states
from layerscope.errors import EngineError
from tests.command import run
from tests.unit.engines.test_address import create, use

Monkeypatch = pytest.MonkeyPatch

CONTAINERS_CONF = """
[engine]
active_service = "node"
[engine.service_destinations.node]
uri = "ssh://core@node:22/run/user/1000/podman/podman.sock"
identity = "/keys/node"
[engine.service_destinations.empty]
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: Monkeypatch) -> Path:
    """A user without engines, on a host without daemons."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "LAYERSCOPE_ENGINE", "PODMAN_CONNECTIONS_CONF"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))
    monkeypatch.setattr(known, "daemon_sockets", list)
    monkeypatch.setattr(known, "default_folders", list)
    (tmp_path / "docker").mkdir()
    return tmp_path


def names() -> list[str]:
    return [each.name for each in known_engines()]


def listen(home: Path, *sockets: str) -> None:
    for name in sockets:
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).touch()


def current() -> list[str]:
    return [each.name for each in known_engines() if each.current]


def test_contexts_connections_and_sockets_are_found(home: Path) -> None:
    create(home / "docker", "there", {"Host": "ssh://me@there"})
    create(home / "docker", "broken", {"Host": 7})
    (home / "containers.conf").write_text(CONTAINERS_CONF)
    listen(home, "docker.sock", "podman/podman.sock")
    found = {each.name: each for each in known_engines()}
    # The default is the one rootless Docker, which needs no other name then.
    assert {"default", "there", "podman:node", "podman-rootless"} <= found.keys()
    assert "podman:empty" not in found
    assert (found["there"].kind, found["there"].shown) == ("Docker context", "ssh://me@there")
    node = found["podman:node"].address
    assert node is not None
    assert (node.host[:15], node.identity) == ("ssh://core@node", "/keys/node")
    if not Path(DOCKER_SOCKET).exists():
        assert found["default"].shown == f"unix://{home}/docker.sock"


def test_a_damaged_context_is_listed_with_the_reason(home: Path) -> None:
    create(home / "docker", "odd", {"Host": "tcp://h:1"}, "ca.pem", "cert.pem", "key.pem")
    (each,) = (each for each in known_engines() if each.name == "odd")
    assert each.problem is None
    meta = next((home / "docker/contexts/meta").glob("*/meta.json"))
    meta.write_text(json.dumps({"Name": "odd", "Endpoints": {}}))
    (each,) = (each for each in known_engines() if each.name == "odd")
    assert "is damaged" in str(each.problem)


def test_an_address_is_listed_once_however_its_socket_is_called(
    home: Path, monkeypatch: Monkeypatch
) -> None:
    listen(home, "docker.sock", "podman/podman.sock")
    (home / "link.sock").symlink_to("podman/podman.sock")
    monkeypatch.setattr(known, "daemon_sockets", lambda: [f"{home}/link.sock", f"{home}/own.sock"])
    assert names()[-3:] == ["podman-rootless", f"unix://{home}/own.sock", "embedded"]


def test_podman_5_keeps_connections_in_json(home: Path) -> None:
    (home / "config/containers").mkdir(parents=True)
    document = {"Connection": {"Connections": {"m": {"URI": "ssh://m/s", "Identity": "/k"}}}}
    (home / "config/containers/podman-connections.json").write_text(json.dumps(document))
    assert podman_connections()["m"].uri == "ssh://m/s"
    address = engine_address("podman:m")
    assert (address.host, address.identity) == ("ssh://m/s", "/k")
    for text in ("", "[", "[]", '{"Connection": 7}', '{"Connection": {"Connections": {"m": 1}}}'):
        (home / "config/containers/podman-connections.json").write_text(text)
        assert podman_connections() == {}


def test_what_takes_precedence(home: Path, monkeypatch: Monkeypatch) -> None:
    create(home / "docker", "docks", {"Host": "tcp://docks:1"})
    create(home / "docker", "kept", {"Host": "tcp://kept:1"})
    use(home / "docker", "docks")
    assert (current_address().host, current()) == ("tcp://docks:1", ["docks"])
    (home / "config/layerscope").mkdir(parents=True)
    (home / "config/layerscope/config.toml").write_text('engine = "kept"\n')
    assert (current_address().host, current()) == ("tcp://kept:1", ["kept"])
    monkeypatch.setenv("DOCKER_CONTEXT", "docks")
    assert (current_address().host, current()) == ("tcp://docks:1", ["docks"])
    monkeypatch.setenv("DOCKER_HOST", "tcp://host:1")
    assert (current_address().host, current()) == ("tcp://host:1", ["default"])
    monkeypatch.setenv("LAYERSCOPE_ENGINE", "kept")
    assert (current_address().host, current()) == ("tcp://kept:1", ["kept"])
    monkeypatch.setenv("LAYERSCOPE_ENGINE", "auto")
    assert current_address().host == "tcp://host:1"


def test_the_docker_command_gets_the_same_engine(home: Path, monkeypatch: Monkeypatch) -> None:
    create(home / "docker", "there", {"Host": "tcp://there:1"})
    (home / "containers.conf").write_text(CONTAINERS_CONF)
    monkeypatch.setenv("DOCKER_HOST", "tcp://host:1")

    def given(name: str) -> list[str | None]:
        monkeypatch.setenv("LAYERSCOPE_ENGINE", name)
        found = command_environment()
        # Podman's command uses its own storage without this.
        assert found["CONTAINER_HOST"] == engine_address(name).host
        return [found.get(each) for each in ("DOCKER_CONTEXT", "DOCKER_HOST", "CONTAINER_SSHKEY")]

    assert given("auto") == [None, "tcp://host:1", None]
    assert given("default") == ["default", "tcp://host:1", None]
    assert given("there") == ["there", None, None]
    assert given("ssh://other") == [None, "ssh://other", None]
    assert given("podman:node")[1:] == [engine_address("podman:node").host, "/keys/node"]


@pytest.mark.parametrize("name", ["nothing", "podman:nothing", "evil\x1b[31m"])
def test_an_engine_that_does_not_exist(name: str) -> None:
    with pytest.raises(EngineError) as raised:
        engine_address(name)
    assert "layerscope engines" in raised.value.hint
    assert str(raised.value).isprintable()


@pytest.fixture
def hangs(home: Path) -> Iterator[str]:
    """An engine that accepts connections, and never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "hangs"))
        listener.listen()
        yield f"unix://{home}/hangs"


def test_an_engine_that_hangs_holds_no_other_up(
    hangs: str, home: Path, monkeypatch: Monkeypatch
) -> None:
    answered = threading.Event()

    def answers(engine: KnownEngine) -> Iterator[EngineState]:
        if engine.name != "good":
            yield from real(engine)
            return
        yield EngineState(engine, "Docker 1", "overlay2", 3)
        answered.wait()  # Measuring takes longer than anyone waits.

    real = probing._answers
    monkeypatch.setattr(probing, "_answers", answers)
    asked = [
        KnownEngine("hangs", "socket", engine_address(hangs)),
        KnownEngine("gone", "socket", engine_address(f"unix://{home}/none")),
        KnownEngine("broken", "Docker context", problem=EngineError("It is damaged.")),
        KnownEngine("good", "socket", engine_address("unix:///good")),
    ]
    last = {state.engine.name: state for state in states(asked, patience=0.5)}
    answered.set()
    assert all(state.done for state in last.values())
    assert "has not answered within 0.5 seconds" in str(last["hangs"].problem)
    assert "No engine listens" in str(last["gone"].problem)
    assert str(last["broken"].problem) == "It is damaged."
    good = last["good"]
    assert (good.version, good.images, good.disk, good.problem) == ("Docker 1", 3, None, None)


def test_the_command_lists_and_keeps(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create(home / "docker", "there", {"Host": f"unix://{home}/none"})
    done = run(capsys, "engines")
    assert done.code == 0
    assert f"there: No engine listens at unix://{home}/none." in done.out
    rows = json.loads(run(capsys, "engines", "list", "--json").out)["engines"]
    assert [row["name"] for row in rows][:2] == ["default", "there"]
    done = run(capsys, "engines", "use", "there")
    assert (done.code, done.out) == (0, "")
    assert f"layerscope uses there (unix://{home}/none) from now on" in done.err
    assert "No engine listens" in done.err
    assert load().values["engine"] == "there"
    assert current() == ["there"]
    assert not (home / "docker/config.json").exists()  # The docker command's own choice.
    assert run(capsys, "engines", "use", "nothing").code == 2
    assert load().values["engine"] == "there"
    assert run(capsys, "engines", "use", "auto").code == 0
    assert load().values["engine"] == "auto"


def test_use_says_what_takes_precedence(
    home: Path, monkeypatch: Monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{home}/none")
    assert "DOCKER_HOST is set, and takes precedence" in run(capsys, "engines", "use", "auto").err


def test_an_engine_for_one_command(
    home: Path, monkeypatch: Monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAYERSCOPE_ENGINE", "auto")  # Set back after the test.
    for arguments in (("images", "--engine", "x"), ("--engine", "x", "images")):
        done = run(capsys, *arguments)
        assert (done.code, done.out) == (2, "")
        assert "There is no engine x." in done.err
