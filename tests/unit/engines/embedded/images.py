"""Small images for tests of the embedded store, and what must always hold there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.importing import import_image
from layerscope.engines.embedded.store import Store
from layerscope.engines.resolve import open_image
from layerscope.images.progress import Progress
from layerscope.oci.reference import parse_reference
from tests.archives import layer, saved

BASE = layer("etc/", ("etc/base", b"base"))
#: Images that share layers with each other, and one that shares none.
LAYERS = (
    (BASE, layer(("a", b"a" * 5000))),
    (BASE, layer(("b", b"b" * 3000)), layer(("c", b"c"))),
    (layer(("b", b"b" * 3000)), BASE),
    (BASE,),
    (layer(("alone", b"alone")),),
)


def archives(folder: Path) -> list[Path]:
    """An archive of each image."""
    paths = [folder / f"{number}.tar" for number in range(len(LAYERS))]
    for path, layers in zip(paths, LAYERS, strict=True):
        path.write_bytes(saved(*layers, tags=()))
    return paths


def add(store: Store, archive: Path, name: str = "") -> str:
    """Imports an archive and returns the image's id."""
    reader = open_image(f"docker-archive:{archive}")
    return import_image(store, reader, parse_reference(name) if name else None, Progress())


def names(engine: EmbeddedEngine) -> dict[str, str]:
    return {line.name: line.id for line in engine.images() if line.name}


def blobs(folder: Path) -> dict[str, bytes]:
    files = (folder / "blobs/sha256").glob("*")
    return {f"sha256:{path.name}": path.read_bytes() for path in files if path.name[0] != "."}


def check(folder: Path) -> int:
    """Reads a store with nothing of the program, and returns the bytes that nothing refers to.

    All that the index and the cache of builds lead to must be there, and all blobs must be what
    they are called.
    """
    found = blobs(folder)
    for digest, data in found.items():
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    used = set()
    index, cache = folder / "index.json", folder / "build-cache.json"
    entries = json.loads(index.read_bytes())["manifests"] if index.exists() else []
    steps = json.loads(cache.read_bytes())["steps"] if cache.exists() else []
    for entry in [*entries, *(step["manifest"] for step in steps)]:
        manifest = json.loads(found[entry["digest"]])
        assert len(found[entry["digest"]]) == entry["size"]
        used.add(entry["digest"])
        for descriptor in (manifest["config"], *manifest["layers"]):
            assert len(found[descriptor["digest"]]) == descriptor["size"]
            used.add(descriptor["digest"])
    return sum(len(data) for digest, data in found.items() if digest not in used)
