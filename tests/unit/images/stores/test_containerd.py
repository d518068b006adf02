"""The data folder of containerd, without its database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from layerscope.images.stores.containerd import ContainerdStore, NamedImage
from layerscope.images.stores.data_folder import DataFolder
from layerscope.oci.manifest import OCI_INDEX, OCI_MANIFEST
from tests.unit.images.platform_layouts import Layout


def named(name: str, descriptor: Mapping[str, object], kind: str = OCI_MANIFEST) -> NamedImage:
    return NamedImage(name, str(descriptor["digest"]), kind, 0)


def test_artifacts_are_not_listed_as_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Layout()
    image, other = made.image("linux/amd64"), made.image("linux/s390x")
    index = made.index([image, other])
    chart = "application/vnd.cncf.helm.config.v1+json"
    config = made.add(b"{}", chart)
    artifact = made.add(
        b'{"config": {"mediaType": "%s", "digest": "%s", "size": 2}, "layers": []}'
        % (chart.encode(), str(config["digest"]).encode()),
        OCI_MANIFEST,
    )
    made.remove(other)  # It was not pulled.
    for name, data in made.files.items():
        path = tmp_path / "io.containerd.content.v1.content" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    store = ContainerdStore(DataFolder(tmp_path))
    images = [
        named("example.com/app:1", index, OCI_INDEX),
        named("example.com/chart:1", artifact),
        named("example.com/gone:1", {"digest": "sha256:" + "0" * 64}),
    ]
    monkeypatch.setattr(store, "images", lambda: images)
    listed = [(line.repository, line.size > 0) for line in store.summaries()]
    assert sorted(listed) == [("example.com/app", True), ("example.com/gone", False)]
    store.close()
