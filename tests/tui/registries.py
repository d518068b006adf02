"""A registry and Docker Hub in this process, for screens that ask them."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from layerscope.images.registry import hub
from layerscope.oci.distribution import RateLimit
from layerscope.text import rfc3339
from tests.tui import fakes
from tests.unit.images.registry.misbehaving_registry import FakeRegistry, Handler, answer, tar_of

HITS = [
    ("nginx", "Official build of Nginx.", 20_812, True, 12_345_678_901),
    ("nginx/nginx-ingress", "NGINX Ingress Controllers for Kubernetes", 111, False, 1_002_003),
    ("bitnami/nginx", "Bitnami container image for NGINX", 203, False, 345_678_901),
    ("evil/nginx", "a\x1b[31mred\nsecond line", 0, False, None),
]


def no_logins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a folder the home, so that no login of this machine is used, and nothing is cached."""
    for name in ("HOME", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.delenv("DOCKER_AUTH_CONFIG", raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/none.sock")


def serve_hub(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers as Docker Hub's API does: searches for `nginx`, and its 120 tags."""
    for name in ("HUB", "INDEX"):
        monkeypatch.setattr(hub, name, f"http://{registry.address}")
    found = [
        {"name": name, "description": about, "star_count": stars, "is_official": official}
        for name, about, stars, official, _ in HITS
    ]
    pulls = [
        {"repo_name": name if "/" in name else f"library/{name}", "pull_count": count}
        for name, *_, count in HITS
        if count is not None
    ]
    registry.when("v1/search", answer(200, json.dumps({"results": found}).encode()))
    registry.when("v2/search/repo", answer(200, json.dumps({"results": pulls}).encode()))
    registry.when("namespaces/library/repositories/nginx/tags", _hub_tags)


def _hub_tags(handler: Handler) -> bool:
    asked = {key: int(value[0]) for key, value in parse_qs(urlsplit(handler.path).query).items()}
    names = [f"1.{number}" for number in range(120, 1, -1)]
    tags = [hub_tag("latest", 120), *(hub_tag(name, int(name[2:])) for name in names)]
    size, page = asked["page_size"], asked["page"]
    body = {"count": len(tags), "results": tags[size * (page - 1) : size * page]}
    handler.reply(200, json.dumps(body).encode())
    return True


def hub_tag(name: str, number: int) -> dict[str, object]:
    images = [
        {"os": "linux", "architecture": each, "size": 70_000_000 + number, "digest": "sha256:1"}
        for each in ("amd64", "arm64")
    ]
    return {
        "name": name,
        "digest": f"sha256:{number:064x}",
        "tag_last_pushed": rfc3339(1_704_067_200 + number * fakes.DAY),
        "images": images,
    }


def tagged(registry: FakeRegistry, *tags: str) -> None:
    """Puts images under tags into the repository `team/app`, and lists them."""
    for tag in tags:
        registry.image([gzip.compress(tar_of({tag: b"x"}), mtime=0)], tag)
    registry.when("team/app/tags/list", answer(200, json.dumps({"tags": tags}).encode()))


#: How many pulls are left with `limit_pulls`.
LEFT = "76 more of 100 pulls in 6 hours"


def limit_pulls(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = RateLimit(100, 76, 21600)
    monkeypatch.setattr("layerscope.images.registry.tags.pulls_left", lambda *_: limit)


class NginxEngine(fakes.FakeEngine):
    """Has `nginx:1.119`, and images of other repositories."""

    def __init__(self) -> None:
        nginx = replace(fakes.IMAGES[1], repository="nginx", tag="1.119", id="sha256:" + "9" * 64)
        super().__init__([*fakes.IMAGES, nginx])
