"""Image layouts with an image for each of several platforms, in memory and as archives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from layerscope.oci.manifest import OCI_INDEX, OCI_MANIFEST
from tests.archives import diff_id, layer, plain_tar

NAME = "docker.io/library/app:1"
PLAIN = "application/vnd.oci.image.layer.v1.tar"


class Layout:
    """The files of an image layout, by name."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def add(self, data: bytes, kind: str, platform: str | None = None) -> dict[str, object]:
        """Adds a blob, and returns its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        self.files[f"blobs/sha256/{digest}"] = data
        found: dict[str, object] = {
            "mediaType": kind,
            "digest": f"sha256:{digest}",
            "size": len(data),
        }
        if platform is not None:
            words = ("os", "architecture", "variant")
            found["platform"] = dict(zip(words, platform.split("/"), strict=False))
        return found

    def image(self, platform: str, *, reported: bool = True) -> dict[str, object]:
        """Adds an image with a file that is called after its platform."""
        tar = layer((f"only-{platform.replace('/', '-')}", platform.encode()))
        system, architecture, *_ = platform.split("/")
        config = {
            "os": system,
            "architecture": architecture,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
        }
        manifest = {
            "schemaVersion": 2,
            "config": self.add(
                json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"
            ),
            "layers": [self.add(tar, "application/vnd.oci.image.layer.v1.tar")],
        }
        return self.add(json.dumps(manifest).encode(), OCI_MANIFEST, platform if reported else None)

    def index(self, manifests: Sequence[Mapping[str, object]]) -> dict[str, object]:
        """Adds an index."""
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
        return self.add(json.dumps(document).encode(), OCI_INDEX)

    def top(self, *descriptors: Mapping[str, object], name: str = NAME) -> None:
        """Writes index.json."""
        named = [
            {**each, "annotations": {"io.containerd.image.name": name}} for each in descriptors
        ]
        document = {"schemaVersion": 2, "manifests": named}
        self.files["index.json"] = json.dumps(document).encode()

    def save_manifest(self, manifest: Mapping[str, object]) -> None:
        """Writes the manifest.json that makes of it a `docker save` archive."""
        blob = f"blobs/{str(manifest['digest']).replace(':', '/')}"
        document = json.loads(self.files[blob])

        def place(descriptor: Mapping[str, str]) -> str:
            return f"blobs/{descriptor['digest'].replace(':', '/')}"

        entry = {
            "Config": place(document["config"]),
            "RepoTags": ["app:1"],
            "Layers": [place(each) for each in document["layers"]],
        }
        self.files["manifest.json"] = json.dumps([entry]).encode()

    def remove(self, descriptor: Mapping[str, object]) -> None:
        """Takes a blob away, as if it had never been pulled."""
        del self.files[f"blobs/{str(descriptor['digest']).replace(':', '/')}"]

    def archive(self) -> bytes:
        """The layout as a tar archive."""
        return plain_tar(list(self.files.items()))


def layout_for(*platforms: str) -> Layout:
    """A layout with one image for these platforms."""
    layout = Layout()
    layout.top(layout.index([layout.image(platform) for platform in platforms]))
    return layout


def layout_of(layers: Sequence[bytes], kinds: Sequence[str] = ()) -> Layout:
    """A layout of these layers, which may be compressed."""
    made = Layout()
    config = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {
            "type": "layers",
            "diff_ids": [diff_id(each) for each in layers],
        },
        "history": [{"created_by": f"COPY {number} /"} for number in range(len(layers))],
    }
    manifest = {
        "schemaVersion": 2,
        "config": made.add(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [
            made.add(tar, kind)
            for tar, kind in zip(layers, kinds or [PLAIN] * len(layers), strict=True)
        ],
    }
    made.top(made.add(json.dumps(manifest).encode(), OCI_MANIFEST))
    return made


def written(made: Layout, folder: Path, *, archive: bool) -> str:
    """Writes a layout and returns its source."""
    if archive:
        path = folder / "image.tar"
        path.write_bytes(plain_tar(list(made.files.items())))
        return f"oci-archive:{path}"
    for name, data in made.files.items():
        target = folder / "layout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return f"oci:{folder}/layout"
