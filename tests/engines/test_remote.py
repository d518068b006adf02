"""Engines on other hosts: by TCP, TLS and ssh, as DOCKER_HOST or a Docker context names them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.engines.docker_daemon import DockerDaemon
from tests.engines.fixtures import service
from tests.engines.harness import SYSTEM_PATH, Engine
from tests.engines.images import build, busybox_base
from tests.engines.registry import Registry
from tests.engines.remote import (
    RemoteSite,
    SshServer,
    free_port,
    write_certificates,
    write_program,
)
from tests.engines.test_registry_source import login
from tests.truth.command import output
from tests.unit.images.registry.misbehaving_registry import noise

Way = dict[str, str]


@dataclass
class Remote:
    """An engine, and the ways that lead to it."""

    engine: DockerDaemon
    ways: dict[str, Way] = field(default_factory=dict)


@pytest.fixture(scope="module")
def plain(engines: None) -> Iterator[Remote]:
    """An engine that listens at TCP without any protection, as none should, and behind ssh."""
    port = free_port()
    with ExitStack() as stack:
        engine = stack.enter_context(
            service(
                "docker-28", lambda: DockerDaemon("docker-28", hosts=[f"tcp://127.0.0.1:{port}"])
            )
        )
        yield Remote(engine, {"tcp": {"DOCKER_HOST": f"tcp://127.0.0.1:{port}"}})


@pytest.fixture(scope="module")
def by_ssh(plain: Remote) -> Iterator[Remote]:
    """The same engine by ssh."""
    engine = plain.engine
    with service("sshd", lambda: SshServer(engine.host, engine.path)) as server:
        way = {"DOCKER_HOST": server.host, "PATH": str(server.bin)}
        create(engine, "by-ssh", f"host={server.host}")
        context = {"DOCKER_CONTEXT": "by-ssh", "PATH": str(server.bin)}
        yield Remote(engine, {"ssh": way, "context ssh": context})


@pytest.fixture(scope="module")
def by_tls(engines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """An engine that wants certificates, and shows its own."""
    folder, port = tmp_path_factory.mktemp("certificates"), free_port()
    write_certificates(folder)
    host = f"tcp://127.0.0.1:{port}"
    files = {"tlscacert": "ca.pem", "tlscert": "cert.pem", "tlskey": "key.pem"}
    settings = {"tlsverify": True, **{name: str(folder / file) for name, file in files.items()}}
    with service(
        "docker-28", lambda: DockerDaemon("docker-28", hosts=[host], more=settings)
    ) as engine:
        ca, certificate, key = (folder / file for file in files.values())
        create(engine, "by-tls", f"host={host},ca={ca},cert={certificate},key={key}")
        way = {"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}
        yield Remote(engine, {"tls": way, "context tls": {"DOCKER_CONTEXT": "by-tls"}})


def create(engine: DockerDaemon, name: str, endpoint: str) -> None:
    """Make a Docker context."""
    engine.docker("context", "create", name, "--docker", endpoint)


WAYS = {
    "tcp": "plain",
    "tls": "by_tls",
    "ssh": "by_ssh",
    "context tls": "by_tls",
    "context ssh": "by_ssh",
}


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> RemoteSite:
    """A site for a way and a builder."""
    way, builder = request.param
    remote: Remote = request.getfixturevalue(WAYS[way])
    return RemoteSite(remote.engine, builder, tmp_path, remote.ways[way])


def by(*pairs: tuple[str, str]) -> pytest.MarkDecorator:
    """Run a test by some ways, with a builder for each."""
    return pytest.mark.parametrize("site", pairs, indirect=True, ids="-".join)


@by(
    ("tcp", "classic"),
    ("tcp", "buildkit"),
    ("tls", "classic"),
    ("ssh", "buildkit"),
    ("context tls", "buildkit"),
    ("context ssh", "classic"),
)
def test_what_an_engine_elsewhere_has_is_listed_exported_and_built_on(site: RemoteSite) -> None:
    base = busybox_base(site.engine)
    listed = site.run("images", "--json")
    assert listed.returncode == 0, listed.stderr
    images = json.loads(listed.stdout)["images"]
    assert base in {f"{image['repository']}:{image['tag']}" for image in images}
    site.write(f"FROM {base}\nCOPY . /context/\nRUN echo {time.time_ns()} && echo xyz > /file\n")
    built = site.build("-t", "layerscope.test/remote:1")
    assert built.code == 0, built.errors
    assert built.step(3)["size"] == 4
    shown = site.run("inspect", "layerscope.test/remote:1")
    assert shown.returncode == 0, shown.stderr
    assert "the engine is on another host" in shown.stdout


@by(("tcp", "buildkit"), ("tls", "classic"), ("ssh", "classic"), ("ssh", "buildkit"))
def test_a_build_elsewhere_is_stopped_and_leaves_nothing(site: RemoteSite) -> None:
    base = busybox_base(site.engine)
    site.write(f"FROM {base}\nRUN echo {time.time_ns()} > /x\nRUN echo begun; sleep 617\n")
    before = site.left()
    with site.begun("begun") as process:
        attached = subprocess.Popen(
            site.command("jobs", "attach", "1"), env=site.environment, stdout=subprocess.DEVNULL
        )
        assert site.runs("sleep 617")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert attached.wait(60) == 130
    assert site.left() == before
    assert not site.runs("sleep 617")
    # Nor does an ssh stay that nobody waits for.
    assert not site.runs("dial-stdio")


@by(("ssh", "classic"))
def test_why_ssh_does_not_connect(site: RemoteSite) -> None:
    host = site.way["DOCKER_HOST"]
    site.way = {**site.way, "DOCKER_HOST": host.replace("root@", "nobody@")}
    asked = site.run("images")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "cannot be reached (ssh: " in asked.stderr
    assert "Permission denied" in asked.stderr
    assert len(asked.stderr.splitlines()) == 1
    port = free_port()
    site.way = {**site.way, "DOCKER_HOST": f"ssh://root@127.0.0.1:{port}"}
    asked = site.run("images")
    assert f"(ssh: connect to host 127.0.0.1 port {port}: Connection refused)" in asked.stderr
    assert f"`ssh -p {port} root@127.0.0.1 docker version` must work" in asked.stderr


@by(("tls", "classic"))
def test_why_tls_does_not_connect(site: RemoteSite, tmp_path: Path) -> None:
    without = {"DOCKER_HOST": site.way["DOCKER_HOST"]}
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    write_certificates(stranger)
    for way, said in (
        (without, "HTTPS"),
        ({**site.way, "DOCKER_CERT_PATH": str(stranger)}, "No secure connection to the engine at "),
        ({**site.way, "DOCKER_CERT_PATH": str(tmp_path / "none")}, "Check DOCKER_CERT_PATH"),
    ):
        site.way = way
        asked = site.run("images")
        assert (asked.returncode, asked.stdout) == (2, "")
        assert said in asked.stderr
        assert len(asked.stderr.splitlines()) == 1


def test_a_context_that_is_not_there(plain: Remote, tmp_path: Path) -> None:
    site = RemoteSite(plain.engine, "classic", tmp_path, {"DOCKER_CONTEXT": "no-such"})
    asked = site.run("images")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "There is no Docker context no-such." in asked.stderr


# --- layerscope on the other side ---


@pytest.fixture(params=["with", "without"])
def other_side(
    request: pytest.FixtureRequest, docker_debian: Engine, tmp_path: Path
) -> Iterator[RemoteSite]:
    """An engine behind ssh, with or without a layerscope there."""
    path = str(tmp_path / "there")
    if request.param == "with":
        write_program(tmp_path / "there/layerscope")
    with service("sshd", lambda: SshServer(docker_debian.host, f"{path}:{SYSTEM_PATH}")) as server:
        way = {"DOCKER_HOST": server.host, "PATH": str(server.bin)}
        yield RemoteSite(docker_debian, request.param, tmp_path, way)


def test_the_layerscope_there_reads(other_side: RemoteSite) -> None:
    base = busybox_base(other_side.engine)
    local = [
        output(*words, engine=other_side.engine) for words in (("files", base), ("inspect", base))
    ]
    files, inspected = (other_side.run(*words, base) for words in (["files"], ["inspect"]))
    assert files.stdout == local[0]
    assert inspected.returncode == 0
    if other_side.builder == "with":
        assert "layerscope at ssh://root@127.0.0.1" in inspected.stdout
        assert files.stderr == inspected.stderr == ""
    else:
        assert "and layerscope is not installed there" in inspected.stdout
        assert f"{base} must be exported from another host, which transfers" in files.stderr
        assert inspected.stderr == ""  # It is in the cache now.
    read = [
        subprocess.run(
            [*other_side.command("cat"), base, "/bin/busybox"],
            env=environment,
            capture_output=True,
            check=True,
        ).stdout
        for environment in (other_side.environment, {**os.environ, **other_side.engine.env})
    ]
    assert read[0] == read[1] == Path("/bin/busybox").read_bytes()
    archive = other_side.folder / "saved.tar"
    copied = other_side.run("save", base, "-o", str(archive))
    assert copied.returncode == 0, copied.stderr
    found = json.loads(output("inspect", "--json", str(archive)))
    there = json.loads(output("inspect", "--json", base, engine=other_side.engine))
    for image in (found, there):
        image["layers"] = [layer["diff_id"] for layer in image["layers"]]
    assert (found["image"]["id"], found["layers"]) == (there["image"]["id"], there["layers"])


def test_only_layers_that_a_registry_lacks_travel(
    other_side: RemoteSite, registry: Registry
) -> None:
    engine, there = other_side.engine, other_side.folder / "there"
    if other_side.builder == "with":
        program = there / "layerscope"
        program.write_text(
            program.read_text().replace("exec ", "").rstrip() + f" | tee {there}/sent\n"
        )
    login_folder = login(other_side.folder / "docker", registry)
    other_side.way |= {"DOCKER_CONFIG": login_folder, "XDG_CACHE_HOME": str(other_side.folder)}
    repository = f"{registry.address}/ssh{time.time_ns()}"
    names = [f"{repository}:{number}" for number in (1, 2)]
    lower, upper = ({"file": noise(size, size)} for size in (1_000_000, 1000))
    build(engine, "FROM scratch\nCOPY file /lower\n", lower, names[0])
    # What another client has compressed counts as well.
    engine.docker("push", names[0], env={"DOCKER_CONFIG": login_folder})
    made = build(engine, f"FROM {names[0]}\nCOPY file /upper\n", upper, names[1]).id
    pushed = other_side.run("push", "--via", "registry", "--json-lines", names[1])
    assert pushed.returncode == 0, pushed.stderr
    events = [json.loads(line) for line in pushed.stdout.splitlines()]
    states = [each["state"] for each in events if each.get("state") in ("exists", "done")]
    assert sorted(states) == ["done", "exists"]
    (text,) = [each["text"] for each in events if each["event"] == "warning"] or [""]
    if other_side.builder == "with":
        assert text == ""
        assert (there / "sent").stat().st_size < 100_000
    else:
        assert "is exported from another host, which transfers 1MB" in text
    with engine.api() as client:
        for name in names:
            client.remove_image(name)
    engine.docker("pull", names[1], env={"DOCKER_CONFIG": login_folder})
    with engine.api() as client:
        assert client.inspect_image(names[1])["Id"] == made
        client.remove_image(names[1])
