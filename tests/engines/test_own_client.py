"""Pulls and pushes by layerscope's own client, with a real registry and real engines."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.engines.harness import Engine
from tests.engines.registry import Registry
from tests.engines.test_transfers import Site, ended


@pytest.fixture
def site(engine: Engine, registry: Registry, tmp_path: Path) -> Site:
    return Site(engine, registry, tmp_path, {"XDG_CACHE_HOME": str(tmp_path / "cache")})


def whole(events: list[dict[str, Any]], state: str) -> dict[str, int]:
    """The bytes of each layer that was moved to its end."""
    return {
        event["id"]: event["total"]
        for event in events
        if event.get("state") == state and event.get("current") == event["total"]
    }


def test_an_engine_pulls_what_was_pushed_and_the_other_way_round(site: Site) -> None:
    name, identifier = site.image(f"own{time.time_ns()}")
    pushed = site.events("push", "--via", "registry", name)
    assert set(ended(pushed).values()) <= {"done", "exists"}
    manifest = site.manifest(name)
    assert all("gzip" in layer["mediaType"] for layer in manifest["layers"])
    sizes = {layer["digest"][7:19]: layer["size"] for layer in manifest["layers"]}
    sent = whole(pushed, "pushing")
    assert sorted(sent.values()) == sorted(sizes.values())[-len(sent) :]
    site.remove(name)
    # With an id that is that of its manifest, layers that were compressed make another one.
    by_blob = site.engine.name == "docker-28-containerd"
    pulled = site.events("pull", name)
    assert by_blob or pulled[-1]["image"] == identifier
    assert pulled[-1].get("digest", pushed[-1]["digest"]) == pushed[-1]["digest"]
    expected = pulled[-1]["image"]
    site.remove(name)
    loaded = site.events("pull", "--via", "registry", name)
    assert whole(loaded, "downloading").items() <= sizes.items()
    assert loaded[-1]["image"] == expected
    # What the engine has is not fetched again, if it loads images without it.
    again = site.events("pull", "--via", "registry", name)
    by_chain = site.engine.name in ("docker-debian", "docker-28")
    assert set(ended(again).values()) == {"exists" if by_chain else "done"}
    assert again[-1]["image"] == expected
    site.remove(name)


def test_archives_and_layouts(docker_28: Engine, registry: Registry, tmp_path: Path) -> None:
    """Into each and from each; what is there is not sent again, or mounted."""
    site = Site(docker_28, registry, tmp_path, {"XDG_CACHE_HOME": str(tmp_path / "cache")})
    name, identifier = site.image(f"files{time.time_ns()}")
    pushed = site.events("push", name)
    site.remove(name)
    manifest = site.manifest(name)
    sizes = {layer["digest"][7:19]: layer["size"] for layer in manifest["layers"]}
    repository = name.rpartition(":")[0]
    for place in ("oci:{}/layout", "docker-archive:{}/saved.tar", "oci-archive:{}/layout.tar"):
        target = place.format(tmp_path)
        events = site.events("pull", "--via", "registry", "--to", target, name)
        assert whole(events, "downloading") == sizes
        assert set(ended(events).values()) == {"done"}
        assert events[-1]["image"] == manifest["config"]["digest"] == identifier
        assert events[-1]["text"] == target
        image = json.loads(site.run("inspect", "--json", target).stdout)["image"]
        assert image["id"] == identifier
        assert not list((tmp_path / "cache/layerscope/blobs-1").iterdir())
        # Back under another tag, and into another repository.
        same = site.events("push", "--via", "registry", target, f"{repository}:2")
        assert set(ended(same).values()) == {"exists"}
        other = f"{repository}/{place.partition(':')[0]}:1"
        command = ("push", "--via", "registry", target, other)
        preview = json.loads(site.run(*command, "--dry-run", "--json").stdout)
        assert not any(layer["present"] for layer in preview["layers"])
        mounted = site.events(*command)
        assert set(ended(mounted).values()) == {"mounted"}
        assert mounted[-1]["digest"] == same[-1]["digest"] == pushed[-1]["digest"]
    assert site.registry.password not in json.dumps([pushed, mounted])
