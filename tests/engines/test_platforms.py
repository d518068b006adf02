"""An image for several platforms in an engine: the one that is asked for is shown, every way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerscope.oci.platform import host_platform
from tests.engines.harness import Engine
from tests.truth.command import environment, layerscope, output, run_program
from tests.unit.images.platform_layouts import layout_for

PLATFORMS = ("linux/arm64/v8", "linux/amd64", "linux/s390x")
NAME = "app:1"


@pytest.fixture
def loaded(docker_28_containerd: Engine, tmp_path: Path) -> Iterator[Engine]:
    engine = docker_28_containerd
    archive = tmp_path / "several.tar"
    archive.write_bytes(layout_for(*PLATFORMS).archive())
    engine.docker("load", "-i", archive)
    try:
        yield engine
    finally:
        engine.docker("rmi", "--force", NAME)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_platform_that_is_asked_for_is_shown(loaded: Engine, platform: str) -> None:
    root = f"docker-root:{loaded.data_root}:{NAME}"
    found = []
    for source in ([NAME], [NAME, "--export"], [root]):
        said = output("inspect", "--json", "--platform", platform, *source, engine=loaded)
        image = json.loads(said)["image"]
        found.append((image["id"], image["platforms"]))
        files = output("files", "--platform", platform, *source, engine=loaded)
        assert files.split()[-1] == f"/only-{platform.replace('/', '-')}"
    assert found[0] == found[1] == found[2]
    assert found[0][1] == [platform, *(other for other in PLATFORMS if other != platform)]


def test_a_container_has_the_platform_that_it_was_made_with(loaded: Engine) -> None:
    loaded.docker("create", "--platform", "linux/s390x", "--name", "foreign", NAME, "x")
    try:
        files = output("files", "container:foreign", engine=loaded)
        assert "/only-linux-s390x" in files
        assert "/only-linux-amd64" not in files
        said = layerscope("files", "--platform", "arm64", "container:foreign", engine=loaded)
        assert said.returncode == 2
        assert "Choose one with --platform: linux/s390x" in said.stderr
    finally:
        loaded.docker("rm", "foreign")


def test_what_it_saves_offers_the_same(loaded: Engine, tmp_path: Path) -> None:
    archive = tmp_path / "saved.tar"
    loaded.docker("save", "-o", archive, NAME)
    for platform in PLATFORMS:
        files = output("files", "--platform", platform, archive)
        assert files.split()[-1] == f"/only-{platform.replace('/', '-')}"


def test_a_platform_that_it_does_not_have(loaded: Engine) -> None:
    for more in ([], ["--export"]):
        said = layerscope("inspect", "--platform", "linux/riscv64", NAME, *more, engine=loaded)
        assert said.returncode == 2
        assert f"has no image for linux/riscv64. Choose one with --platform: {PLATFORMS[0]}" in (
            said.stderr
        )


def test_find_reads_images_that_are_not_for_this_host(
    docker_28_containerd: Engine, tmp_path: Path
) -> None:
    engine = docker_28_containerd
    foreign = [each for each in PLATFORMS if each != str(host_platform())][:2]
    archive = tmp_path / "foreign.tar"
    archive.write_bytes(layout_for(*foreign).archive())
    engine.docker("load", "-i", archive)
    try:
        found = output("find", "--index", "only-linux-", engine=engine)
        assert f"/only-{foreign[0].replace('/', '-')}" in found
        asked = output("find", "--index", "--platform", foreign[1], "only-linux-", engine=engine)
        assert f"/only-{foreign[1].replace('/', '-')}" in asked
        assert f"/only-{foreign[0].replace('/', '-')}" not in asked
        none = layerscope(
            *("find", "--index", "--platform", "linux/riscv64", "only-linux-"), engine=engine
        )
        said = "layerscope: Nothing matches in 0 images.\n"
        assert (none.returncode, none.stdout, none.stderr) == (1, "", said)
    finally:
        engine.docker("rmi", "--force", NAME)


def test_find_takes_the_platform_that_is_asked_for_from_the_cache(
    loaded: Engine, tmp_path: Path
) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_program(
            [sys.executable, "-m", "layerscope", *arguments],
            environment(loaded, XDG_CACHE_HOME=str(tmp_path / "cache")),
        )

    for platform in PLATFORMS:
        assert run("inspect", "--platform", platform, NAME).returncode == 0
    for platform in PLATFORMS:
        found = run("find", "--platform", platform, "only-linux-")
        own = [line for line in found.stdout.splitlines() if "/only-linux-" in line]
        assert len(own) == 1
        assert f"/only-{platform.replace('/', '-')}" in own[0]
    missing = run("find", "--platform", "linux/riscv64", "only-linux-")
    assert (missing.returncode, missing.stdout) == (1, "")
    usage = run("find", "--platform", "/", "only-linux-")
    assert (usage.returncode, usage.stdout) == (2, "")
    assert "is not a platform" in usage.stderr
