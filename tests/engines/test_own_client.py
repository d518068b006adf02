"""Pulls and pushes by layerscope's own client, with a real registry and real engines."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.engines.harness import Engine
from tests.engines.registry import Registry
from tests.engines.test_transfers import Site, ended


@pytest.fixture
def site(engine: Engine, registry: Registry, tmp_path: Path) -> Site:
    return Site(engine, registry, tmp_path, {"XDG_CACHE_HOME": str(tmp_path / "cache")})


def image_id(site: Site, source: str) -> str:
    run = site.run("inspect", "--json", source)
    assert run.returncode == 0, run.stderr
    return str(json.loads(run.stdout)["image"]["id"])


def fetched(events: list[dict[str, object]]) -> dict[str, object]:
    """The bytes of each layer that was fetched."""
    return {
        str(event["id"]): event["total"]
        for event in events
        if event.get("state") == "downloading" and event["current"] == event["total"]
    }


def test_pulled_into_every_place(site: Site) -> None:
    name, identifier = site.image(f"own{time.time_ns()}")
    site.events("push", name)
    manifest = site.manifest(name)
    site.remove(name)
    sizes = {layer["digest"][7:19]: layer["size"] for layer in manifest["layers"]}
    config = manifest["config"]["digest"]
    for place in ("oci:{}/layout", "docker-archive:{}/saved.tar", "oci-archive:{}/layout.tar"):
        target = place.format(site.folder)
        events = site.events("pull", "--via", "registry", "--to", target, name)
        assert fetched(events) == sizes
        assert set(ended(events).values()) == {"done"}
        assert events[-1]["image"] == config
        assert events[-1]["text"] == target
        assert image_id(site, target) == config
        assert not list((site.folder / "cache/layerscope/blobs-1").iterdir())
    events = site.events("pull", "--via", "registry", name)
    assert events[-1]["image"] == identifier
    assert set(ended(events).values()) <= {"done", "exists"}
    with site.engine.api() as client:
        assert client.inspect_image(name)["Id"] == identifier
    # What the engine has is not fetched again, if it loads images without it.
    again = site.events("pull", "--via", "registry", name)
    by_chain = site.engine.name in ("docker-debian", "docker-28")
    assert set(ended(again).values()) == {"exists" if by_chain else "done"}
    assert again[-1]["image"] == identifier
    preview = json.loads(site.run("pull", "--dry-run", "--json", name).stdout)
    assert preview["up_to_date"] is True
    site.remove(name)
