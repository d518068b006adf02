"""Images of an engine compared with their registry, by digests."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence

import pytest

from layerscope.engines.drift import Drift, DriftState, find_drift
from layerscope.engines.engine import ContainerSummary, Engine
from layerscope.errors import NotFoundError
from layerscope.images.answers import DescriptorAnswer, Inspected
from layerscope.images.summary import ImageSummary
from layerscope.oci.platform import Platform
from layerscope.reports.drift_report import drift_document, drift_text
from tests.unit.images.registry.misbehaving_registry import (
    FakeRegistry,
    answer,
    digest_of,
    fake_registry,
    tar_of,
)

OTHER = "sha256:" + "0" * 64


class FakeEngine(Engine):
    name = "Docker 28"

    def __init__(self) -> None:
        self.listed: list[ImageSummary] = []
        self.known: dict[str, Inspected] = {}
        self.used: list[ContainerSummary] = []
        self.given: dict[str, str] = {}

    def add(
        self, name: str, *digests: str, identifier: str = "sha256:i", manifest: str = ""
    ) -> None:
        repository, _, tag = name.rpartition(":")
        self.listed.append(ImageSummary(repository, tag, identifier, 1_700_000_000, 5, None, None))
        self.known[identifier] = Inspected(
            id=identifier,
            tags=(name,),
            digests=tuple(f"{repository}@{digest}" for digest in digests),
            descriptor=DescriptorAnswer(digest=manifest),
        )

    def images(self, *, sizes: bool = False) -> Sequence[ImageSummary]:
        return self.listed

    def containers(self, *, sizes: bool = False) -> Sequence[ContainerSummary]:
        return self.used

    def given_image(self, container: str) -> str:
        return self.given[container]

    def inspect(self, name: str, platform: Platform | None = None) -> Inspected:
        return self.known[name]


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        found.image([gzip.compress(tar_of({"a": b"x"}))], "1")
        yield found


def only(engine: FakeEngine, *names: str) -> Drift:
    (found,) = find_drift(engine, names)
    return found


def current(registry: FakeRegistry, tag: str = "1") -> str:
    return digest_of(registry.manifests[tag][1])


def test_the_same_digest_is_current_without_a_pull(registry: FakeRegistry) -> None:
    engine = FakeEngine()
    engine.add(f"{registry.address}/app:1", OTHER, current(registry))
    found = only(engine)
    assert (found.state, found.remote) == (DriftState.CURRENT, current(registry))
    assert {each.method for each in registry.asked if "manifests" in each.path} == {"HEAD"}
    assert not found.is_behind


def test_another_digest_is_behind(registry: FakeRegistry) -> None:
    engine = FakeEngine()
    engine.add(f"{registry.address}/app:1", OTHER)
    found = only(engine)
    assert (found.state, found.remote) == (DriftState.BEHIND, current(registry))
    assert found.is_behind
    assert list(drift_text([found]))[-1] == "1 of 1 image or their containers are behind."


def test_how_much_newer_the_registry_is(registry: FakeRegistry) -> None:
    # The image of the engine is of 2023-11-14.
    manifest = registry.image(
        [gzip.compress(tar_of({"b": b"x"}))], "new", created="2023-11-26T23:00:00Z"
    )
    registry.index([{**manifest, "platform": {"os": "linux", "architecture": "amd64"}}], "both")
    engine = FakeEngine()
    engine.add(f"{registry.address}/app:new", OTHER)
    engine.add(f"{registry.address}/app:both", OTHER)
    engine.add(f"{registry.address}/app:1", OTHER)
    new, both, unknown = find_drift(engine)
    assert new.remote_created == both.remote_created == 1_701_039_600
    assert new.seconds_behind == 1_039_600
    assert unknown.seconds_behind is None
    assert ["behind 12 days" in line for line in drift_text([new, unknown])][1:3] == [True, False]
    assert drift_document([new])["images"][0]["remote_created"] == "2023-11-26T23:00:00Z"
    # What was fetched is cached: a second look is no pull.
    asked = len(registry.asked)
    find_drift(engine)
    methods = {each.method for each in registry.asked[asked:] if "manifests" in each.path}
    assert methods == {"HEAD"}


def test_an_index_is_compared_with_the_manifest_of_the_platform(registry: FakeRegistry) -> None:
    manifest = registry.image([gzip.compress(tar_of({"b": b"x"}))], "amd64")
    registry.index([{**manifest, "platform": {"os": "linux", "architecture": "amd64"}}], "both")
    engine = FakeEngine()
    engine.add(f"{registry.address}/app:both", manifest["digest"])
    assert only(engine).state is DriftState.CURRENT


def test_the_digest_of_containerd_counts_for_what_was_pulled_only(registry: FakeRegistry) -> None:
    engine = FakeEngine()
    engine.add(f"{registry.address}/app:1", OTHER, manifest=current(registry))
    engine.add(f"{registry.address}/app:2", identifier="sha256:j", manifest=current(registry))
    assert [each.state for each in find_drift(engine)] == [DriftState.CURRENT, DriftState.LOCAL]


def test_without_head_the_manifest_is_fetched(registry: FakeRegistry) -> None:
    registry.when("HEAD", answer(405))
    engine = FakeEngine()
    engine.add(f"{registry.address}/app:1", current(registry))
    assert only(engine).state is DriftState.CURRENT


def test_what_is_gone_local_or_unknown(registry: FakeRegistry) -> None:
    engine = FakeEngine()
    engine.add(f"{registry.address}/app:gone", OTHER, identifier="sha256:1")
    engine.add("own/app:1", identifier="sha256:2")
    engine.add("127.0.0.1:1/app:1", OTHER, identifier="sha256:3")
    found = find_drift(engine)
    assert [each.state.value for each in found] == ["gone", "local", "unknown"]
    assert "Nothing listens at 127.0.0.1:1" in found[2].why
    assert not any(each.is_behind for each in found)
    document = drift_document(found)
    assert document["images"][2]["why"] == found[2].why
    assert any("Nothing listens" in line for line in drift_text(found))


def test_containers_that_run_an_older_image(registry: FakeRegistry) -> None:
    engine = FakeEngine()
    name = f"{registry.address}/app:1"
    engine.add(name, current(registry))
    engine.used = [
        ContainerSummary("1", "new", "sha256:i", "running", name),
        # Once a name means another image, engines list the id.
        ContainerSummary("2", "old\x1b", "sha256:before", "exited", "sha256:" + "b" * 64),
        ContainerSummary("3", "other", "sha256:before", "exited", "another:1"),
    ]
    engine.given["2"] = name
    found = only(engine)
    assert [(c.name, now) for c, now in found.containers] == [("new", True), ("old\x1b", False)]
    assert found.is_behind
    lines = list(drift_text([found]))
    assert "older: old\\e" in lines[1]


def test_names(registry: FakeRegistry) -> None:
    engine = FakeEngine()
    engine.add("a:1", identifier="sha256:1")
    engine.add("docker.io/library/b:latest", identifier="sha256:2")
    assert [each.reference for each in find_drift(engine, ["b"])] == ["docker.io/library/b:latest"]
    with pytest.raises(NotFoundError):
        find_drift(engine, ["c"])
