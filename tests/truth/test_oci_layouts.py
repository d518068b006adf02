"""The same image as an OCI layout, folder or archive, and as `docker save` archive."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.engines.harness import Engine
from tests.engines.kitchen_sink import kitchen_sink
from tests.truth.command import layerscope


@pytest.fixture(scope="session")
def saved(docker_28_containerd: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layout")
    archive = folder / "image.tar"
    tag = kitchen_sink(docker_28_containerd)
    docker_28_containerd.docker("save", "-o", str(archive), tag)
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "layout", filter="data")
    return folder


def files(source: str) -> str:
    return layerscope("files", "--json-lines", "--no-cache", source).stdout


def test_layouts_equal_the_archive(saved: Path) -> None:
    expected = files(f"docker-archive:{saved}/image.tar")
    assert expected.count("\n") > 1000
    assert files(f"oci-archive:{saved}/image.tar") == expected
    assert files(f"oci:{saved}/layout") == expected
    assert files(f"{saved}/layout") == expected


def test_an_image_is_chosen_by_its_name(saved: Path) -> None:
    index = json.loads((saved / "layout" / "index.json").read_text())
    name = index["manifests"][0]["annotations"]["io.containerd.image.name"]
    found = layerscope("inspect", "--json", f"oci:{saved}/layout:{name}")
    assert json.loads(found.stdout)["image"]["reference"] == name
    missing = layerscope("inspect", f"oci:{saved}/layout:nobody:1")
    assert missing.returncode == 2
    assert "holds no image nobody:1" in missing.stderr


def test_a_platform_that_is_not_there_is_said_with_those_that_are(saved: Path) -> None:
    result = layerscope("inspect", "--platform", "linux/s390x", f"oci:{saved}/layout")
    assert result.returncode == 2
    assert "no image for linux/s390x" in result.stderr
    assert "linux/" in result.stderr.split("--platform", 1)[1]
