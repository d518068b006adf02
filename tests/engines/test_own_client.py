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


def test_pushed_from_every_place(site: Site) -> None:
    """Engines pull what was pushed, as the same image; what is there is not sent again."""
    name, identifier = site.image(f"from{time.time_ns()}")
    repository = f"{site.registry.address}/{site.engine.name}/own{time.time_ns()}"
    pushed = site.events("push", "--via", "registry", name, f"{repository}/a:1")
    config = pushed[-1]["image"]
    assert set(ended(pushed).values()) <= {"done", "exists"}
    manifest = site.manifest(f"{repository}/a:1")
    assert manifest["config"]["digest"] == config
    sizes = sorted(layer["size"] for layer in manifest["layers"])
    sent = {
        event["id"]: event["total"]
        for event in pushed
        if event.get("state") == "pushing" and event.get("current") == event["total"]
    }
    assert sorted(sent.values()) == sizes
    assert all("gzip" in layer["mediaType"] for layer in manifest["layers"])
    # Into the same repository, nothing is sent; into another one, layers are mounted.
    again = site.events("push", "--via", "registry", name, f"{repository}/a:2")
    assert set(ended(again).values()) == {"exists"}
    mounted = site.events("push", "--via", "registry", name, f"{repository}/b:1")
    assert set(ended(mounted).values()) == {"mounted"}
    assert mounted[-1]["digest"] == again[-1]["digest"] == pushed[-1]["digest"]
    site.remove(name)
    # From a layout and an archive that were pulled; the digest stays.
    for form, path in (("oci", "layout"), ("docker-archive", "saved.tar")):
        source = f"{form}:{site.folder}/{path}"
        site.events("pull", "--via", "registry", "--to", source, f"{repository}/a:1")
        target = f"{repository}/{form}:1"
        preview = json.loads(
            site.run("push", "--via", "registry", "--dry-run", "--json", source, target).stdout
        )
        assert [layer["present"] for layer in preview["layers"]] == [False] * len(sizes)
        events = site.events("push", "--via", "registry", source, target)
        assert set(ended(events).values()) == {"mounted"}
        assert events[-1]["digest"] == pushed[-1]["digest"]
        assert events[-1]["image"] == config
    pulled = site.events("pull", f"{repository}/oci:1")
    if site.engine.name != "docker-28-containerd":
        assert pulled[-1]["image"] == identifier
    assert site.registry.password not in json.dumps([pushed, again, mounted])
    site.remove(f"{repository}/oci:1")
