"""An image cut off at each of its layers, as the engine itself keeps it from the build."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from tests.engines.harness import Engine

CUT = "layerscope.test/cut"


def layers_of(engine: Engine, image: str) -> list[str]:
    """Return the diff_ids of an image, base first."""
    with engine.api() as client:
        found: list[str] = client.inspect_image(image)["RootFS"]["Layers"]
    return found


def cuts(engine: Engine, image: str, saved: Path) -> list[str]:
    """Return an image for each layer, with that layer on top.

    They are what the build left after its steps; where an engine keeps no such image, one is made
    by loading the archive with a shorter configuration.

    Args:
        engine: where the image is.
        image: its name.
        saved: an archive of it.
    """
    wanted = layers_of(engine, image)
    found: dict[int, str] = {}
    with engine.api() as client:
        for summary in client.images(all=True):
            layers = client.inspect_image(summary["Id"])["RootFS"].get("Layers")
            if layers and layers == wanted[: len(layers)]:
                found.setdefault(len(layers), summary["Id"])
    for height in range(1, len(wanted) + 1):
        if height not in found:
            found[height] = f"{CUT}:{height}"
            engine.docker("load", stdin=cut_archive(saved, height, found[height]))
            assert layers_of(engine, found[height]) == wanted[:height]
    return [found[height] for height in range(1, len(wanted) + 1)]


def cut_archive(saved: Path, height: int, tag: str) -> bytes:
    """Return an archive of the lowest layers of an image only."""
    with tarfile.open(saved) as source:

        def content(name: str) -> bytes:
            file = source.extractfile(name)
            assert file is not None
            return file.read()

        manifest = json.loads(content("manifest.json"))[0]
        config: dict[str, Any] = json.loads(content(manifest["Config"]))
        config["rootfs"]["diff_ids"] = config["rootfs"]["diff_ids"][:height]
        config["history"] = []
        layers = {f"{n}.tar": content(name) for n, name in enumerate(manifest["Layers"][:height])}
    listed = [{"Config": "config.json", "RepoTags": [tag], "Layers": list(layers)}]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as target:
        for name, data in {
            **layers,
            "config.json": json.dumps(config).encode(),
            "manifest.json": json.dumps(listed).encode(),
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))
    return stream.getvalue()
