"""The union at the top is what a container sees, whichever way the image is read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engines.exports import Entry, listing_of_export
from tests.engines.harness import Engine
from tests.engines.images import classic_example
from tests.engines.kitchen_sink import kitchen_sink
from tests.truth.command import as_exported, check_same, layerscope, listed, output, parse_lines
from tests.truth.relay import Relay

IMAGES: dict[str, Callable[[Engine], str]] = {
    "classic": classic_example,
    "kitchen-sink": kitchen_sink,
}

_exports: dict[tuple[str, str], dict[str, Entry]] = {}


def export(engine: Engine, image: str) -> dict[str, Entry]:
    """Return the engine's own listing, asked for once."""
    key = (engine.host, image)
    if key not in _exports:
        _exports[key] = listing_of_export(engine, image)
    return _exports[key]


@pytest.fixture(params=IMAGES)
def image(request: pytest.FixtureRequest, engine: Engine) -> str:
    """Every image in turn, built on every engine."""
    return IMAGES[request.param](engine)


def check_union(engine: Engine, image: str, said: str) -> None:
    """Fail if what layerscope said is not what the engine exports."""
    truth = export(engine, image)
    check_same(as_exported(engine, listed(said)), as_exported(engine, truth))


def test_from_the_engine(engine: Engine, image: str) -> None:
    check_union(engine, image, output("files", "--json-lines", image, engine=engine))


def test_from_an_engine_on_another_host(engine: Engine, image: str) -> None:
    with Relay(engine) as relay:
        said = from_elsewhere("files", "--json-lines", image, relay=relay)
    check_union(engine, image, said)


def test_from_the_engine_by_transport_and_by_id(engine: Engine) -> None:
    image = classic_example(engine)
    with engine.api() as client:
        identifier = client.inspect_image(image)["Id"]
    for source in (f"docker-daemon:{image}", identifier):
        check_union(engine, image, output("files", "--json-lines", source, engine=engine))


def test_from_saved_archives(engine: Engine, image: str, tmp_path: Path) -> None:
    saved = tmp_path / "saved.tar"
    engine.docker("save", "-o", saved, image)
    compressed = tmp_path / "saved.tar.gz"
    with saved.open("rb") as file:
        compressed.write_bytes(gzip.compress(file.read(), 1))
    unnamed = compressed.rename(tmp_path / "whatever")
    said = output("files", "--json-lines", saved)
    check_union(engine, image, said)
    for source in (f"docker-archive:{saved}", f"docker-archive:{saved}:{image}", str(unnamed)):
        assert output("files", "--json-lines", source) == said


def test_all_ways_tell_the_same_layers(engine: Engine, image: str, tmp_path: Path) -> None:
    saved = tmp_path / "saved.tar"
    engine.docker("save", "-o", saved, image)
    with Relay(engine) as relay:
        said = [
            output("inspect", "--json", image, engine=engine),
            from_elsewhere("inspect", "--json", image, relay=relay),
            output("inspect", "--json", saved),
        ]
    documents = [json.loads(text) for text in said]
    for document in documents:
        for key in ("source", "id", "reference"):
            del document["image"][key]
        # What was rewritten with the same content is known only where content was read.
        del document["findings"]
        for layer in document["layers"]:
            # Archives hold layers as they are stored, with digests that folders do not have.
            del layer["digest"]
    check_same(flat(documents[1]), flat(documents[0]))
    check_same(flat(documents[2]), flat(documents[0]))


def from_elsewhere(*arguments: str, relay: Relay) -> str:
    """Return what the program prints of an engine that seems to be on another host."""
    run = layerscope(*arguments, DOCKER_HOST=relay.host)
    assert run.returncode == 0, run.stderr
    assert "must be exported from another host, which transfers" in run.stderr
    return run.stdout


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return the leaves of a document by their place in it."""
    if isinstance(value, dict):
        items = [(f"{name}.{key}", each) for key, each in value.items()]
    elif isinstance(value, list):
        items = [(f"{name}[{index}]", each) for index, each in enumerate(value)]
    else:
        return {name: value}
    return {key: leaf for place, each in items for key, leaf in flat(each, place).items()}


def test_a_union_tells_which_layer_wrote_each_path(engine: Engine) -> None:
    image = classic_example(engine)
    lines = parse_lines(output("files", "--json-lines", image, engine=engine))
    layers = {line.path: line.layer for line in lines}
    top = max(layers.values())
    assert layers["/var/www/html/index.html"] == top
    assert layers["/var/lib/packages/list"] == top - 2
    assert layers["/bin/busybox"] == 0
