"""`docker://`: images in a real registry, pushed there by real engines."""

from __future__ import annotations

import hashlib
import json
import subprocess
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest

from layerscope.images.pieces import filled
from layerscope.images.progress import Progress
from layerscope.images.registry.reader import RegistryReader
from layerscope.oci.manifest import DOCKER_MANIFEST
from tests.archives import layer_tar, text
from tests.engines.harness import Engine
from tests.engines.images import build, busybox_base, classic_example
from tests.engines.kitchen_sink import kitchen_sink
from tests.engines.registry import Registry
from tests.truth.command import layerscope
from tests.unit.images.registry.misbehaving_registry import noise


def push(engine: Engine, registry: Registry, image: str, name: str, tag: str = "v1") -> str:
    """Push an image, and return the source that names it."""
    repository = f"{registry.address}/{name}"
    with engine.api() as client:
        client.tag(image, repository, tag)
        events = client.push(
            repository, tag, stream=True, decode=True, auth_config=registry.auth_config
        )
        errors = [event["error"] for event in events if "error" in event]
        assert not errors
    return f"docker://{repository}:{tag}"


def login(folder: Path, registry: Registry, password: str | None = None) -> str:
    """Write a `config.json` as `docker login` does, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    auth = b64encode(f"{registry.user}:{password or registry.password}".encode()).decode()
    document = {"auths": {registry.address: {"auth": auth}}}
    (folder / "config.json").write_text(json.dumps(document))
    return str(folder)


def said(run: subprocess.CompletedProcess[str], registry: Registry) -> str:
    """Return the one line of an error, in which no secret may be."""
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    assert registry.password not in run.stderr
    assert registry.authorization.partition(" ")[2] not in run.stderr
    return run.stderr


def test_the_same_as_through_the_engine(engine: Engine, registry: Registry, tmp_path: Path) -> None:
    name = kitchen_sink(engine)
    source = push(engine, registry, name, f"{engine.name}/kitchen-sink")
    config = login(tmp_path, registry)

    def listing(source: str, *options: str) -> str:
        run = layerscope(
            "files", "--json-lines", "--no-cache", *options, source, engine=engine,
            DOCKER_CONFIG=config,
        )  # fmt: skip
        assert (run.returncode, run.stderr) == (0, "")
        return run.stdout

    saved = tmp_path / "saved.tar"
    engine.docker("save", "-o", saved, name)
    through_save = listing(f"docker-archive:{saved}")
    assert len(through_save) > 10_000
    assert listing(source) == through_save
    for layer in ("0", "3"):
        through_registry = listing(source, "--layer", layer)
        assert through_registry == listing(f"docker-archive:{saved}", "--layer", layer)


def test_by_digest_and_content(docker_debian: Engine, registry: Registry, tmp_path: Path) -> None:
    source = push(docker_debian, registry, classic_example(docker_debian), "content")
    config = login(tmp_path, registry)
    manifest = json.dumps(registry.get("content/tags/list"))
    assert "v1" in manifest
    run = layerscope("inspect", "--json", source, DOCKER_CONFIG=config)
    document = json.loads(run.stdout)
    assert document["image"]["source"] == source
    layers = document["layers"]
    assert all(0 < layer["stored_size"] < 3_000_000 for layer in layers)
    assert all(layer["digest"].startswith("sha256:") for layer in layers)
    page = layerscope("cat", source, "/var/www/html/index.html", DOCKER_CONFIG=config)
    assert page.stdout == "Hi, I am in Docker!\n"
    with docker_debian.api() as client:
        digests = client.inspect_image(source.removeprefix("docker://"))["RepoDigests"]
    (digest,) = (each for each in digests if f"{registry.address}/content@" in each)
    by_digest = layerscope("inspect", "--json", f"docker://{digest}", DOCKER_CONFIG=config)
    assert json.loads(by_digest.stdout)["image"]["id"] == document["image"]["id"]


def test_what_a_pull_would_fetch(docker_debian: Engine, registry: Registry, tmp_path: Path) -> None:
    base = busybox_base(docker_debian)
    image = build(docker_debian, f"FROM {base}\nRUN echo new > /new\n", tag="layerscope.test/new")
    source = push(docker_debian, registry, image.tag, "estimate")
    config = login(tmp_path, registry)

    def line(engine: Engine | None) -> str:
        run = layerscope("inspect", source, engine=engine, DOCKER_CONFIG=config)
        assert (run.returncode, run.stderr) == (0, "")
        return run.stdout.splitlines()[-1]

    assert "has all 5 layers" in line(docker_debian)
    with docker_debian.api() as client:
        client.remove_image(source.removeprefix("docker://"))
        client.remove_image(image.tag)
    assert "has 4 of 5 layers (0, 1, 2, 3)." in line(docker_debian)
    assert "Without an engine" in line(None)


def test_errors(docker_debian: Engine, registry: Registry, tmp_path: Path) -> None:
    source = push(docker_debian, registry, classic_example(docker_debian), "errors")
    config = login(tmp_path / "right", registry)
    nobody = layerscope("inspect", source, DOCKER_CONFIG=str(tmp_path / "none"))
    assert "requires a login to read errors (401)" in said(nobody, registry)
    wrong = login(tmp_path / "wrong", registry, "not the password")
    run = layerscope("inspect", source, DOCKER_CONFIG=wrong)
    text = said(run, registry)
    assert f"rejects the login from {wrong}/config.json (401)" in text
    assert "not the password" not in text
    missing = layerscope("inspect", source.replace(":v1", ":v2"), DOCKER_CONFIG=config)
    assert "has no image" in said(missing, registry)
    assert "(404)" in missing.stderr
    other = layerscope("inspect", source, "--platform", "linux/riscv64", DOCKER_CONFIG=config)
    assert "has no image for linux/riscv64. Choose one with --platform: linux/" in said(
        other, registry
    )
    podman = tmp_path / "auth.json"
    podman.write_bytes((tmp_path / "right" / "config.json").read_bytes())
    run = layerscope(
        "inspect", source, DOCKER_CONFIG=str(tmp_path / "none"), REGISTRY_AUTH_FILE=str(podman)
    )
    assert run.returncode == 0


def test_a_credential_helper(docker_debian: Engine, registry: Registry, tmp_path: Path) -> None:
    source = push(docker_debian, registry, classic_example(docker_debian), "helper")
    helper = tmp_path / "docker-credential-test"
    answer = json.dumps({"Username": registry.user, "Secret": registry.password})
    helper.write_text(
        f"#!/bin/sh\nread server\n[ $server = {registry.address} ] && echo '{answer}'"
    )
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "test"}))
    run = layerscope(
        "inspect", source, DOCKER_CONFIG=str(tmp_path), PATH=f"{tmp_path}:/usr/bin:/bin"
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("compression", ["zstd:chunked", "zstd", "gzip"])
def test_compressions_of_podman(
    podman: Engine,
    registry: Registry,
    compression: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Podman writes zstd:chunked itself: a real table of contents, and what it must agree with."""
    # Podman pushes no layer again that the registry has in another compression: this one is new.
    large = noise(300_000, sum(compression.encode()))
    image = build(
        podman,
        f"FROM {kitchen_sink(podman)}\nCOPY large small /\n",
        {"large": large, "small": compression.encode()},
        tag=f"layerscope.test/compressed:{compression.replace(':', '-')}",
    ).tag
    config = login(tmp_path, registry)
    target = f"{registry.address}/compressed:{compression.replace(':', '-')}"
    pushed = podman.docker(
        "push", "--tls-verify=false", f"--creds={registry.user}:{registry.password}",
        f"--compression-format={compression}", image, target, check=False,
        env={"DOCKER_CONFIG": config},
    )  # fmt: skip
    if pushed.returncode:
        pytest.skip(f"this podman cannot: {pushed.stderr.decode(errors='replace')[-200:]}")
    through_engine = layerscope("files", "--json-lines", "--no-cache", image, engine=podman)
    run = layerscope("files", "--json-lines", "--no-cache", f"docker://{target}",
                     DOCKER_CONFIG=config)  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == through_engine.stdout

    monkeypatch.setenv("DOCKER_CONFIG", config)
    reader = RegistryReader(f"docker://{target}")
    changesets = dict(reader.changesets(Progress(), ()))
    assert ("by their table of contents" in reader.way) == (compression == "zstd:chunked")
    last = len(changesets) - 1
    paths = changesets[last].paths()
    for path, content in ((b"large", large), (b"small", compression.encode())):
        row = paths.index(path)
        assert b"".join(filled(reader.content(last, changesets[last], row))) == content


def test_a_foreign_layer_that_no_registry_holds(registry: Registry, tmp_path: Path) -> None:
    base, top = (layer_tar([text(name)]) for name in ("base", "top"))
    digests = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in (base, top)]
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": digests}}
    ).encode()
    upload(registry, "foreign", top)
    kind = "application/vnd.docker.image.rootfs"
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": upload(registry, "foreign", config),
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": f"{kind}.foreign.diff.tar",
                "digest": digests[0],
                "size": len(base),
                "urls": ["https://example.test/base"],
            },
            {"mediaType": f"{kind}.diff.tar", "digest": digests[1], "size": len(top)},
        ],
    }
    request(registry, "PUT", "foreign/manifests/v1", json.dumps(manifest).encode(), DOCKER_MANIFEST)
    run = layerscope(
        "inspect",
        "--json",
        f"docker://{registry.address}/foreign:v1",
        DOCKER_CONFIG=login(tmp_path, registry),
    )
    assert (run.returncode, run.stderr) == (0, "")
    document = json.loads(run.stdout)
    assert document["image"]["complete"] is False
    missing, there = document["layers"]
    assert missing["missing"] == "it is foreign, kept elsewhere for its license"
    assert (missing["stored_size"], missing["entries"]) == (len(base), 0)
    assert (there["entries"], "missing" in there) == (1, False)


def request(registry: Registry, method: str, path: str, data: bytes = b"", kind: str = "") -> str:
    """Ask the registry for something; return where it says to go on."""
    asked = urllib.request.Request(
        path if path.startswith("http") else f"{registry.url}{path}",
        data=data,
        method=method,
        headers={
            "Authorization": registry.authorization,
            "Content-Type": kind or "application/octet-stream",
        },
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return str(answer.headers.get("Location", ""))


def upload(registry: Registry, repository: str, data: bytes) -> str:
    """Push a blob, and return its digest."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    place = request(registry, "POST", f"{repository}/blobs/uploads/")
    request(registry, "PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", data)
    return digest
