"""Manifests, indexes and configurations that are not what they should be; platforms."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.images.registry.misbehaving_registry import (
    FakeRegistry,
    answer,
    digest_of,
    refusal,
    tar_of,
)

# --- documents ---


def test_a_huge_manifest(registry: FakeRegistry) -> None:
    registry.manifest(b" " * (9 << 20), "application/json", "huge")
    assert "more than 8 MiB" in str(refusal(lambda: registry.reader("app:huge")))


def refused_when(registry: FakeRegistry, change: Callable[[Any], object]) -> str:
    """Why an image is refused whose manifest was changed."""
    kind, data = registry.manifests["latest"]
    document = json.loads(data)
    change(document)
    registry.manifest(document, kind, "changed")
    return str(refusal(lambda: registry.reader("app:changed")))


def test_a_huge_configuration(registry: FakeRegistry) -> None:
    error = refused_when(registry, lambda document: document["config"].update(size=1 << 40))
    assert "larger than 8 MiB" in error


def test_a_manifest_of_another_digest(registry: FakeRegistry) -> None:
    kind, data = registry.manifests["latest"]
    registry.manifests["latest"] = (kind, data + b" ")
    assert registry.reader() is not None  # nobody promised anything about a tag
    registry.manifests[digest_of(data)] = (kind, data + b" ")
    error = refusal(lambda: registry.reader(f"app@{digest_of(data)}"))
    assert "do not match the digest of manifest sha256:" in str(error)
    # Nor does the header count, which many registries and proxies get wrong.
    registry.promise_digests = False
    registry.when("manifests/latest", answer(200, data, Docker_Content_Digest=digest_of(b"")))
    assert registry.reader().digest == digest_of(data)


def test_a_configuration_of_another_digest(registry: FakeRegistry) -> None:
    config = json.loads(registry.manifests["latest"][1])["config"]["digest"]
    registry.blobs[config] = registry.blobs[config].replace(b"amd64", b"arm64")
    assert "of the image configuration" in str(refusal(registry.reader))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "no list of layers"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "schema 1, which has been retired"),
        (b'{"manifests": 7}', "no list of manifests"),
        (b'{"manifests": []}', "its index names no image"),
        (b'{"layers": [], "config": {}}', "no valid digest"),
    ],
)
def test_documents_that_are_no_manifests(
    registry: FakeRegistry, document: bytes, says: str
) -> None:
    registry.manifest(document, "application/json", "bad")
    assert says in str(refusal(lambda: registry.reader("app:bad")))


def test_what_is_no_image(registry: FakeRegistry) -> None:
    chart = "application/vnd.cncf.helm.config.v1+json"
    document = {"config": registry.blob(b"{}", chart), "layers": []}
    registry.manifest(document, "application/json", "chart")
    assert f"is an artifact of type {chart}, not a container image" in str(
        refusal(lambda: registry.reader("app:chart"))
    )


def test_layers_that_do_not_fit(registry: FakeRegistry) -> None:
    error = refused_when(registry, lambda document: document["layers"].extend(document["layers"]))
    assert "names 2 layers and its configuration 1" in error


# --- platforms ---


def with_platform(descriptor: dict[str, object], text: str, **more: object) -> dict[str, object]:
    system, architecture, *variant = text.split("/")
    platform = {"os": system, "architecture": architecture}
    if variant:
        platform["variant"] = variant[0]
    return {**descriptor, "platform": platform, **more}


def test_platforms(registry: FakeRegistry) -> None:
    layer = gzip.compress(tar_of({"a": b"b"}))
    images = {
        text: with_platform(registry.image([layer], text[6:], architecture=text[6:]), text)
        for text in ("linux/amd64", "linux/arm64", "linux/s390x")
    }
    for text in ("linux/arm/v6", "linux/arm/v7"):
        images[text] = with_platform(
            registry.image([layer], text[-2:], architecture=text[6:]), text
        )
    attestation = with_platform(
        registry.image([layer], "attested", architecture="attestation"),
        "unknown/unknown",
        annotations={"vnd.docker.reference.type": "attestation-manifest"},
    )
    inner = registry.index([images["linux/s390x"]], "inner")
    registry.index([attestation, *list(images.values())[:2], *list(images.values())[3:], inner],
                   "many")  # fmt: skip

    def architecture(platform: str | None) -> str:
        return registry.reader("app:many", platform=platform).image.architecture

    assert architecture("linux/arm64") == "arm64"
    assert architecture("linux/arm64/v8") == "arm64"
    assert architecture("linux/arm/v7") == "arm/v7"
    assert architecture("linux/arm/v6") == "arm/v6"
    assert architecture("s390x") == "s390x"
    error = refusal(lambda: registry.reader("app:many", platform="linux/riscv64"))
    assert "has no image for linux/riscv64" in str(error)
    for name in ("linux/amd64", "linux/arm64", "linux/arm/v6", "linux/s390x"):
        assert name in error.hint
    assert "unknown" not in error.hint
    assert "is not a platform" in str(refusal(lambda: registry.reader(platform="a/b/c/d")))
    assert "linux/amd64" in str(refusal(lambda: registry.reader(platform="linux/arm64")))


def test_more_layers_than_any_engine_takes(registry: FakeRegistry) -> None:
    error = refused_when(
        registry, lambda document: document.update(layers=document["layers"] * 1001)
    )
    assert "its manifest names 1,001 layers" in error


def test_indexes_without_end(registry: FakeRegistry) -> None:
    inner = registry.index([], "level0")
    for level in range(1, 30):
        inner = registry.index([inner], f"level{level}")
    error = refusal(lambda: registry.reader("app:level29"))
    assert "too many other indexes" in str(error)
