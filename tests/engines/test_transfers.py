"""Pulls and pushes by real engines, to and from a real registry."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from layerscope.transfer.request import PULL, PUSH, TransferRequest
from tests.engines.docker_daemon import DockerDaemon
from tests.engines.fixtures import new_engine, service
from tests.engines.harness import Engine
from tests.engines.images import build, busybox_base
from tests.engines.podman_service import Podman
from tests.engines.registry import Registry
from tests.engines.test_registry_source import login
from tests.truth.command import environment, run_program
from tests.unit.images.registry.misbehaving_registry import (
    FakeRegistry,
    Slowly,
    answer,
    cut_after,
    fake_registry,
    noise,
    tar_of,
)


@dataclass
class Site:
    """An engine, a registry, and a user who has a login for it."""

    engine: Engine
    registry: Registry
    folder: Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "XDG_STATE_HOME": str(self.folder / "state"),
            "DOCKER_CONFIG": login(self.folder / "docker", self.registry),
            "HOME": str(self.folder),
            **self.more,
        }
        return environment(self.engine, **own)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_program([sys.executable, "-m", "layerscope", *arguments], self.environment)

    def events(self, *arguments: str) -> list[dict[str, Any]]:
        run = self.run(*arguments, "--json-lines")
        assert run.returncode == 0, run.stderr
        return [json.loads(line) for line in run.stdout.splitlines()]

    def image(self, name: str) -> tuple[str, str]:
        """Builds an image of its own; returns its name in the registry, and its id."""
        reference = f"{self.registry.address}/{self.engine.name}/{name}:1"
        base = busybox_base(self.engine)
        files = {"large": os.urandom(3_000_000), "small": os.urandom(100)}
        made = build(self.engine, f"FROM {base}\nCOPY large /\nCOPY small /\n", files, reference)
        return reference, made.id

    def remove(self, name: str) -> None:
        with self.engine.api() as client:
            client.remove_image(name, force=True)
            if self.engine.kind == "docker":
                client.prune_builds(all=True)

    def manifest(self, name: str) -> dict[str, Any]:
        repository, _, tag = name.partition("/")[2].rpartition(":")
        request = urllib.request.Request(f"{self.registry.url}{repository}/manifests/{tag}")
        request.add_header("Authorization", self.registry.authorization)
        request.add_header(
            "Accept",
            "application/vnd.docker.distribution.manifest.v2+json, "
            "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json",
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            document: dict[str, Any] = json.load(answer)
        return document


@pytest.fixture
def site(engine: Engine, registry: Registry, tmp_path: Path) -> Site:
    return Site(engine, registry, tmp_path)


def ended(events: list[dict[str, Any]]) -> dict[str, str]:
    """The last state of each layer."""
    return {event["id"]: event["state"] for event in events if event["event"] == "layer"}


def test_there_and_back(site: Site) -> None:
    name, identifier = site.image(f"there{time.time_ns()}")
    pushed = site.events("push", name)
    assert pushed[0]["event"] == "started"
    assert pushed[0]["image"] == name
    (finished,) = [event for event in pushed if event["event"] == "finished"]
    assert finished == pushed[-1]
    assert finished["image"] == identifier
    if site.engine.kind == "docker":
        assert set(ended(pushed).values()) <= {"done", "exists", "mounted"}
        assert "done" in ended(pushed).values()
        assert finished["digest"].startswith("sha256:")
    manifest = site.manifest(name)
    again = site.events("push", name)
    assert set(ended(again).values()) <= {"exists"}
    site.remove(name)
    preview = site.run("pull", "--dry-run", "--json", name)
    assert preview.returncode == 0, preview.stderr
    document = json.loads(preview.stdout)
    sizes = {layer["digest"]: layer["size"] for layer in document["layers"]}
    assert document["up_to_date"] is False
    assert document["missing_size"] >= 3_000_000
    if "layers" in manifest:
        assert sizes == {layer["digest"]: layer["size"] for layer in manifest["layers"]}
    pulled = site.events("pull", name)
    assert pulled[-1]["event"] == "finished"
    assert pulled[-1]["image"] == identifier
    states = ended(pulled)
    assert set(states.values()) <= {"done", "exists"}
    fetched = {
        event["id"]: event["total"]
        for event in pulled
        if event["event"] == "layer" and event.get("current") == event.get("total") is not None
        and event["state"] == "downloading"
    }  # fmt: skip
    assert site.engine.kind == "docker" or fetched
    if fetched:
        by_id = {digest.partition(":")[2][:12]: size for digest, size in sizes.items()}
        wanted = {layer for layer, state in states.items() if state == "done"}
        assert fetched == {layer: by_id[layer] for layer in wanted}
    current = json.loads(site.run("pull", "--dry-run", "--json", name).stdout)
    assert current["up_to_date"] is True
    assert current["missing_size"] == 0
    text = site.run("pull", name)
    assert text.returncode == 0, text.stderr
    assert text.stdout.splitlines()[0] == name
    assert "Image    " in text.stdout
    assert json.loads(site.run("push", "--dry-run", "--json", name).stdout)["replaces"] is None


def test_what_is_not_there_is_one_sentence(site: Site) -> None:
    whole = f"{site.registry.address}/nothing/there:1"
    run = site.run("pull", whole)
    assert run.returncode == 2, (run.stdout, run.stderr)
    assert run.stderr.count("\n") == 1, run.stderr
    assert "Traceback" not in run.stderr
    listed = json.loads(site.run("jobs", "list", "--json").stdout)["jobs"]
    assert [(job["kind"], job["state"]) for job in listed] == [("pull", "failed")]
    assert listed[0]["reason"]
    run = site.run("push", whole)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1, run.stderr


def test_without_a_login_nothing_is_pulled(site: Site) -> None:
    name, _ = site.image("private")
    site.events("push", name)
    site.remove(name)
    (site.folder / "docker/config.json").unlink()
    run = run_program(
        [sys.executable, "-m", "layerscope", "pull", name],
        {**site.environment, "DOCKER_CONFIG": str(site.folder / "none")},
    )
    assert run.returncode == 2
    assert f"layerscope login {site.registry.address}" in run.stderr
    assert site.registry.password not in run.stderr


def test_all_tags(site: Site) -> None:
    name, identifier = site.image(f"tags{time.time_ns()}")
    repository = name.rpartition(":")[0]
    with site.engine.api() as client:
        client.tag(name, repository, "2")
    pushed = site.events("push", "--all-tags", repository)
    assert {e["image"] for e in pushed if e["event"] == "started"} == {name, f"{repository}:2"}
    for tag in ("1", "2"):
        site.remove(f"{repository}:{tag}")
    pulled = site.events("pull", "--all-tags", repository)
    assert {e["image"] for e in pulled if e["event"] == "started"} == {name, f"{repository}:2"}
    with site.engine.api() as client:
        assert client.inspect_image(f"{repository}:2")["Id"].endswith(identifier.partition(":")[2])


def test_a_push_by_an_engine_replaces_only_what_was_seen(
    docker_28: Engine, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(docker_28, registry, tmp_path)
    name, _ = site.image(f"seen{time.time_ns()}")
    for variable, value in site.environment.items():
        monkeypatch.setenv(variable, value)

    def pushed(seen: str) -> str:
        job = PUSH.start(name, TransferRequest(name, seen=seen))
        return site.run("jobs", "attach", job.id).stderr

    assert pushed("") == ""
    assert "was pushed by someone else meanwhile" in pushed("")
    # Who repeats it was not asked.
    assert site.run("jobs", "repeat", "2").returncode == 0
    job = PULL.start(name, TransferRequest(name, seen="sha256:" + "0" * 64))
    assert "was pushed again after it was shown" in site.run("jobs", "attach", job.id).stdout


# --- a registry that stops in the middle of a layer ---


@pytest.fixture
def slow() -> Iterator[tuple[FakeRegistry, Slowly]]:
    """A registry without a login, which sends the beginning of a layer only."""
    with fake_registry() as registry:
        registry.image([gzip.compress(tar_of({"large": noise(3_000_000)}))], "1")
        registry.when("GET /v2/$", answer(200))
        slowly = Slowly(100_000)
        registry.when("blobs/", slowly)
        try:
            yield registry, slowly
        finally:
            slowly.go.set()


@contextmanager
def begun(site: Site, name: str, slowly: Slowly) -> Iterator[subprocess.Popen[str]]:
    """Starts a pull, and waits until it is in the middle of a layer."""
    with subprocess.Popen(
        [sys.executable, "-m", "layerscope", "pull", "--json-lines", name],
        env=site.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert slowly.reached.wait(120)
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("engine", ["docker-debian", "docker-28"], indirect=True)
@pytest.mark.parametrize("how", ["interrupt", "command"])
def test_a_pull_that_is_cancelled(site: Site, slow: tuple[FakeRegistry, Slowly], how: str) -> None:
    registry, slowly = slow
    name = f"{registry.address}/app:1"
    with begun(site, name, slowly) as process:
        if how == "interrupt":
            process.send_signal(signal.SIGINT)
        else:
            cancelled = site.run("jobs", "cancel", "1")
            assert (cancelled.returncode, cancelled.stdout) == (0, "")
            assert cancelled.stderr.startswith("Job 1 was cancelled: ")
        assert process.wait(60) == 130
    attached = site.run("jobs", "attach", "1", "--json-lines")
    assert attached.returncode == 130
    events = [json.loads(line) for line in attached.stdout.splitlines()]
    assert events[-1]["event"] == "failed"
    assert events[-1]["text"].startswith("Cancelled. Complete layers stay")
    (job,) = json.loads(site.run("jobs", "list", "--json").stdout)["jobs"]
    assert (job["kind"], job["state"], job["exit_code"]) == ("pull", "cancelled", 130)
    with site.engine.api() as client:
        assert not client.images(name)
    slowly.go.set()
    again = site.events("pull", name)
    assert again[-1]["event"] == "finished"
    site.remove(name)


def test_a_pull_outlives_its_terminal(
    docker_28: Engine, registry: Registry, slow: tuple[FakeRegistry, Slowly], tmp_path: Path
) -> None:
    site = Site(docker_28, registry, tmp_path)
    name = f"{slow[0].address}/app:1"
    with begun(site, name, slow[1]) as process:
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == -signal.SIGHUP
    slow[1].go.set()
    attached = site.run("jobs", "attach", "1")
    assert attached.returncode == 0, attached.stderr
    assert "Image    " in attached.stdout
    site.remove(name)


@pytest.mark.parametrize("engine", ["docker-28", "podman"], indirect=True)
def test_a_layer_that_was_cut(engine: Engine, registry: Registry, tmp_path: Path) -> None:
    """These engines start it again, which they do not say; another way is named."""
    site = Site(engine, registry, tmp_path)
    with fake_registry() as fake:
        fake.image([gzip.compress(tar_of({"large": noise(3_000_000)}))], "1")
        fake.when("GET /v2/$", answer(200))
        layer = max(fake.blobs, key=lambda digest: len(fake.blobs[digest]))
        fake.when(f"GET .*{layer}", answer(403))
        fake.when(f"GET .*{layer}", cut_after(1_000_000), 1)
        name = f"{fake.address}/app:1"
        run = site.run("pull", name)
        assert run.returncode == 2
        assert run.stderr.count("\n") == 1, run.stderr
        assert "starts a layer that was cut again" in run.stderr, run.stderr
        assert f"`layerscope pull --via registry {name}` keeps it." in run.stderr


def test_an_engine_that_is_killed_in_the_middle(
    registry: Registry, slow: tuple[FakeRegistry, Slowly], tmp_path: Path
) -> None:
    with new_engine("docker-28") as engine:
        site = Site(engine, registry, tmp_path)
        with begun(site, f"{slow[0].address}/app:1", slow[1]) as process:
            engine.kill()
            assert process.wait(60) == 2
            assert "was lost" in (process.stderr.read() if process.stderr else "")
    assert "Traceback" not in site.run("jobs", "list").stdout


@pytest.mark.parametrize("via", ["engine", "registry"])
def test_by_platform_and_by_digest(site: Site, via: str) -> None:
    repository = f"{site.registry.address}/platforms{time.time_ns()}"
    with fake_registry() as fake:
        digests = fake.platforms("amd64", "arm64", tag="1")
        fake.write_layout(site.folder / "layout", "1")
    site.events("push", "--via", "registry", f"oci:{site.folder}/layout", f"{repository}:1")
    pull = ("pull", "--via", via, "--platform")
    for architecture, name in (
        ("arm64", f"{repository}:1"),
        ("amd64", f"{repository}@{digests['amd64']}"),
        ("amd64", f"{repository}@{digests['index']}"),
    ):
        pulled = site.events(*pull, f"linux/{architecture}", name)[-1]
        assert pulled.get("digest", "") in (*digests.values(), "")
        with site.engine.api() as client:
            found = client.inspect_image(pulled["image"])
            assert found["Architecture"] == architecture
            # A digest moves no tag.
            assert (f"{repository}:1" in (found["RepoTags"] or [])) == name.endswith(":1")
            client.remove_image(pulled["image"], force=True)
    missing = site.run(*pull, "linux/s390x", f"{repository}:1")
    assert missing.returncode == 2
    assert missing.stderr.count("\n") == 1, missing.stderr


@pytest.mark.parametrize("name", ["docker-debian", "podman"])
def test_an_engine_whose_disk_is_full(name: str, registry: Registry, tmp_path: Path) -> None:
    with fake_registry() as fake:
        fake.image([gzip.compress(tar_of({"large": noise(8 << 20)}), 1)], "1")
        fake.write_layout(tmp_path / "layout", "1")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]).returncode:
        pytest.skip("no file system can be mounted here")
    # It goes with the engine's data folder.
    with service(
        name, lambda: Podman(disk) if name == "podman" else DockerDaemon(name, disk)
    ) as engine:
        site = Site(engine, registry, tmp_path)
        image = f"{registry.address}/full{time.time_ns()}:1"
        site.events("push", "--via", "registry", f"oci:{tmp_path}/layout", image)
        space = os.statvfs(disk)
        with (disk / "filler").open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, space.f_bavail * space.f_bsize - (2 << 20))
        for arguments in (
            ("pull", image),
            ("pull", "--via", "registry", image),
            ("load", f"{tmp_path}/layout"),
        ):
            run = site.run(*arguments)
            assert run.returncode == 2
            assert run.stderr.count("\n") == 1, run.stderr
            assert "no space left on device" in run.stderr
            assert "Make room where the engine keeps its data" in run.stderr
        with engine.api() as client:
            assert not client.images(all=True)
        (disk / "filler").unlink()
        site.events("pull", image)
