"""Committing containers: the look is what the new layer has."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress

import docker
import pytest

from tests.engines.harness import Engine
from tests.engines.images import busybox_base
from tests.truth.command import environment, layerscope, run_program

NAME, MADE = "commit-me", "layerscope.test/committed:1"
SCRIPT = (
    "mkdir -p /srv/new /root/.ssh && head -c 70000 /dev/urandom > /srv/new/big && "
    "ln /srv/new/big /srv/new/twin && ln -s big /srv/new/link && echo key > /root/.ssh/id_rsa && "
    "printf -- '-----BEGIN EC PRIVATE KEY-----\\n' > /srv/secret && "
    "echo ls > /root/.ash_history && rm /etc/group && echo x >> /etc/passwd"
)
#: What Podman itself puts into the read-write layer, and into no image.
BY_PODMAN = {"/run", "/run/.containerenv", "/etc/mtab"}


@pytest.fixture
def container(engine: Engine) -> Iterator[Engine]:
    """A container that has written files and ended."""
    image = busybox_base(engine)
    with engine.api() as client:
        made = client.create_container(
            image,
            ["/bin/sh", "-c", SCRIPT],
            name=NAME,
            host_config=client.create_host_config(network_mode="none"),
        )
        try:
            client.start(made["Id"])
            assert client.wait(made["Id"])["StatusCode"] == 0
            yield engine
        finally:
            client.remove_container(made["Id"], force=True)
            with suppress(docker.errors.APIError):
                client.remove_image(MADE, force=True)


def commit(engine: Engine, *arguments: str, code: int = 0) -> dict[str, object]:
    run = run_program(
        [sys.executable, "-m", "layerscope", "commit", "--json", *arguments], environment(engine)
    )
    assert run.returncode == code, run.stderr
    document: dict[str, object] = json.loads(run.stdout)
    return document


def test_what_was_shown_is_what_the_new_layer_has(container: Engine) -> None:
    shown = commit(container, "--dry-run", NAME)
    assert shown["committed"] is None
    change = ("--change", 'CMD ["/bin/true"]', "--change", "ENV A=b", "--message", "why")
    done = commit(container, *change, "--author", "me", "--yes", NAME, MADE)
    assert done["changes"] == shown["changes"]
    by_path = {each["path"]: each for each in done["changes"]}  # type: ignore[attr-defined]
    unwanted = {path: each["unwanted"] for path, each in by_path.items() if each["unwanted"]}
    assert unwanted == {
        "/root/.ssh/id_rsa": "private key",
        "/srv/secret": "private key",
        "/root/.ash_history": "shell history",
    }
    # Largest first; of two names of a file, only one has its size.
    sizes = [each["size"] for each in done["changes"]]  # type: ignore[attr-defined]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == done["size"]
    assert sizes[:2] != [70_000, 70_000]
    made = done["committed"]
    assert isinstance(made, dict)
    run = layerscope("files", "--json-lines", f"--layer={made['layer']}", MADE, engine=container)
    assert run.returncode == 0, run.stderr
    layer = [json.loads(line) for line in run.stdout.splitlines()]
    there = {each["path"]: each["change"] for each in layer if each["change"] != "unchanged"}
    seen = {path: each["change"] for path, each in by_path.items()}
    # An engine may also write the folders above.
    folders = {each["path"] for each in layer if each["type"] == "dir"}
    assert {k: v for k, v in there.items() if k not in folders | BY_PODMAN} == {
        k: v for k, v in seen.items() if k not in folders | BY_PODMAN
    }
    assert sum(each["size"] for each in layer if each["type"] == "file") == done["size"]
    with container.api() as client:
        image = client.inspect_image(MADE)
        assert image["Id"].removeprefix("sha256:") == str(made["id"]).removeprefix("sha256:")
        assert image["Config"]["Cmd"] == ["/bin/true"]
        assert "A=b" in image["Config"]["Env"]
        assert image["Author"] == "me"
        comments = image["Comment"], client.history(MADE)[0]["Comment"]
        # Podman keeps no message with images in OCI's format.
        assert "why" in comments or container.name == "podman", comments


def test_a_commit_is_not_made_without_a_yes_and_takes_no_name_silently(container: Engine) -> None:
    taken = busybox_base(container)
    for arguments, said in (
        ((NAME, MADE), "--yes"),
        (("--yes", NAME, taken), "--force"),
        (("--yes", "--change", "RUN true", NAME, MADE), "cannot apply RUN"),
        (("--yes", "no-such-container"), "no container"),
        (("--yes", NAME, "Not:A:Name"), "is not a name"),
    ):
        run = run_program(
            [sys.executable, "-m", "layerscope", "commit", *arguments], environment(container)
        )
        assert run.returncode == 2
        assert said in run.stderr
        assert run.stderr.count("\n") == 1
    with container.api() as client:
        assert not client.images(MADE)
