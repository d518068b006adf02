"""What registries list: repositories, and the tags of one."""

from __future__ import annotations

import gzip
import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from layerscope.errors import LayerscopeError, NotFoundError, RegistryError
from layerscope.images.registry import hub
from layerscope.images.registry.search import Hit, search, split_term
from layerscope.images.registry.tags import Tag, list_tags, pulls_left
from layerscope.oci.distribution import RateLimit, next_page, wait_of
from layerscope.reports.registry_report import hits_text, tags_document, tags_text
from tests.unit.images.registry.misbehaving_registry import (
    FakeRegistry,
    Handler,
    answer,
    digest_of,
    tar_of,
)


def query(handler: Handler) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(handler.path).query).items()}


def layer(name: str) -> bytes:
    return gzip.compress(tar_of({name: b"x"}))


@pytest.fixture
def docker_hub(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    """A server that answers as Docker Hub's API does."""
    for name in ("HUB", "INDEX"):
        monkeypatch.setattr(hub, name, f"http://{registry.address}")
    return registry


def pages(registry: FakeRegistry, key: str, names: list[str], size: int) -> None:
    """Lists names in pages, whatever is asked for, with a link from each to the next."""

    def page(handler: Handler) -> bool:
        last = query(handler).get("last", "")
        rest = [name for name in names if name > last]
        link = {}
        if len(rest) > size:
            path = urlsplit(handler.path).path
            link = {"Link": f'<{path}?n={size}&last={rest[size - 1]}>; rel="next"'}
        handler.reply(200, json.dumps({key: rest[:size]}).encode(), link)
        return True

    registry.when("tags/list" if key == "tags" else "_catalog", page)


# --- tags ---


def test_tags_of_a_registry_are_joined_and_newest_first(registry: FakeRegistry) -> None:
    registry.image([layer("a")], "1.9")
    registry.image([layer("b")], "1.10", "latest")
    arm = registry.image([layer("c")], "arm", architecture="arm64")
    amd = registry.image([layer("d")], "amd")
    one = {"platform": {"os": "linux", "architecture": "arm64"}, **arm}
    two = {"platform": {"os": "linux", "architecture": "amd64"}, **amd}
    registry.index([one, two], "both")
    pages(registry, "tags", sorted(["1.9", "1.10", "latest", "both"]), 2)
    found = list_tags(f"{registry.address}/app", platform="linux/amd64", cache=False)
    assert (found.repository, found.total) == (f"{registry.address}/app", 4)
    by_name = {tag.names: tag for tag in found.tags}
    assert set(by_name) == {("latest", "1.10"), ("1.9",), ("both",)}
    assert by_name["both",].platforms == ("linux/amd64", "linux/arm64")
    assert by_name["both",].digest == digest_of(registry.manifests["both"][1])
    assert by_name["both",].size == len(layer("d"))
    assert by_name["1.9",].platforms == ("linux/amd64",)


def test_only_the_highest_versions_are_asked_about(registry: FakeRegistry) -> None:
    names = [f"{n}.{m}" for n in range(10) for m in range(10)] + ["latest", "edge"]
    for name in names:
        registry.image([layer(name)], name)
    pages(registry, "tags", sorted(names), 1000)
    found = list_tags(f"{registry.address}/app", 3, cache=False)
    assert found.total == 102
    assert {name for tag in found.tags for name in tag.names} == {"latest", "9.9", "9.8"}
    assert len({each.path for each in registry.asked if "manifests" in each.path}) < 12


def test_tags_without_head_and_tags_that_are_artifacts(registry: FakeRegistry) -> None:
    registry.when("HEAD", answer(403))
    registry.image([layer("a")], "1")
    signature = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.dev.cosign.artifact.sig.v1+json",
        "config": registry.blob(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [],
    }
    registry.manifest(signature, "application/vnd.oci.image.manifest.v1+json", "sha256-x.sig")
    pages(registry, "tags", ["1", "gone", "sha256-x.sig"], 10)
    found = list_tags(f"{registry.address}/app", cache=False)
    assert {tag.names[0]: tag.artifact for tag in found.tags} == {
        "1": False,
        "gone": False,
        "sha256-x.sig": True,
    }


@pytest.mark.parametrize("body", [b"", b"[]", b'{"tags": 3}', b'{"tags": null}', b"{}"])
def test_lists_that_are_empty_or_rubbish(registry: FakeRegistry, body: bytes) -> None:
    registry.when("tags/list", answer(200, body))
    if body in (b'{"tags": null}', b"{}"):
        assert list_tags(f"{registry.address}/app").tags == ()
    else:
        with pytest.raises(RegistryError, match="invalid list of tags"):
            list_tags(f"{registry.address}/app")


def test_a_repository_that_does_not_exist(registry: FakeRegistry) -> None:
    registry.when("tags/list", answer(404))
    with pytest.raises(NotFoundError, match="has no repository app"):
        list_tags(f"{registry.address}/app")


def test_a_list_without_an_end_is_cut(registry: FakeRegistry) -> None:
    link = '</v2/app/tags/list?last=a>; rel="next"'
    registry.when("tags/list", answer(200, b'{"tags": ["a"]}', Link=link))
    registry.image([layer("a")], "a")
    assert list_tags(f"{registry.address}/app").total == 1
    assert len([each for each in registry.asked if "tags/list" in each.path]) == 100


def hub_tag(name: str, pushed: str, digest: str, *platforms: str) -> dict[str, object]:
    images = [
        {"os": each.split("/")[0], "architecture": each.split("/")[1], "variant": None,
         "size": 1000 + number, "digest": f"sha256:{number}", "last_pulled": None}
        for number, each in enumerate(platforms)
    ]  # fmt: skip
    return {
        "name": name,
        "full_size": 5,
        "tag_last_pushed": pushed,
        "digest": digest,
        "images": images,
        "creator": 7,
    }


def test_tags_of_docker_hub(docker_hub: FakeRegistry) -> None:
    listed = [
        hub_tag("12", "2026-01-02T03:04:05.6Z", "sha256:aa", "linux/amd64", "linux/arm64"),
        hub_tag("latest", "2026-01-02T03:04:05.6Z", "sha256:aa", "linux/amd64", "linux/arm64"),
        hub_tag("13", "2026-02-02T03:04:05.6Z", "sha256:bb", "linux/arm64", "unknown/unknown"),
    ]

    def page(handler: Handler) -> bool:
        asked = query(handler)
        size, number = int(asked["page_size"]), int(asked["page"])
        results = listed[size * (number - 1) : size * number]
        body = {"count": 3, "next": None, "previous": None, "results": results}
        handler.reply(200, json.dumps(body).encode())
        return True

    docker_hub.when("namespaces/library/repositories/debian/tags", page)
    found = list_tags("debian", platform="linux/arm64")
    assert (found.repository, found.total) == ("debian", 3)
    newest, older = found.tags
    assert newest == Tag(("13",), "sha256:bb", 1000, 1770001445, ("linux/arm64",))
    assert (older.names, older.size) == (("12", "latest"), 1001)
    assert list_tags("debian", 1).tags[0].names == ("12",)
    text = list(tags_text(list_tags("debian", 2)))
    assert text[0].split() == ["TAG", "CREATED", "SIZE", "PLATFORMS", "DIGEST"]
    assert text[1].startswith("12, latest")
    assert text[2] == "1 more tag; --limit shows more."


def test_lists_that_continue_one_another(docker_hub: FakeRegistry, registry: FakeRegistry) -> None:
    names = [str(number) for number in range(9, 0, -1)]

    def page(handler: Handler) -> bool:
        asked = query(handler)
        size, number = int(asked["page_size"]), int(asked["page"])
        # A tag that was pushed meanwhile moves the others to the next page.
        listed = names if number == 1 else ["10", *names]
        results = [
            hub_tag(name, "2026-01-02T03:04:05Z", f"sha256:{int(name) // 2}", "linux/amd64")
            for name in listed[size * (number - 1) : size * number]
        ]
        handler.reply(200, json.dumps({"count": len(listed), "results": results}).encode())
        return True

    docker_hub.when("library/repositories/debian/tags", page)
    first = list_tags("debian", 4)
    assert [tag.names for tag in first.tags] == [("9", "8"), ("7", "6")]
    both = first + list_tags("debian", 4, start=first.seen)
    assert [tag.names for tag in both.tags] == [("9", "8"), ("7", "6"), ("5", "4"), ("3",)]
    assert (both.seen, both.total) == (8, 10)
    for name in names:
        registry.image([layer(name)], name)
    pages(registry, "tags", sorted(names), 100)
    app = f"{registry.address}/app"
    found = list_tags(app, 5, cache=False)
    found += list_tags(app, 5, start=found.seen, cache=False)
    assert {name for tag in found.tags for name in tag.names} == set(names)


def test_a_limit_of_docker_hub_is_no_reason_to_ask_its_registry(
    docker_hub: FakeRegistry,
) -> None:
    docker_hub.when("library/repositories/debian/tags", answer(429, Retry_After="900"))
    with pytest.raises(RegistryError, match="Try again in 900 seconds"):
        list_tags("debian")


def test_private_repositories_of_docker_hub_cost_no_pulls(
    docker_hub: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker_hub.image([layer("a")], "1")
    pages(docker_hub, "tags", ["1"], 100)
    docker_hub.when("namespaces/me/repositories/app/tags", answer(404))
    monkeypatch.setattr(
        "layerscope.images.registry.tags.RegistryClient",
        lambda *_, **__: docker_hub.client(),
    )
    (tag,) = list_tags("me/app").tags
    assert tag == Tag(("1",), digest_of(docker_hub.manifests["1"][1]))
    assert {each.method for each in docker_hub.asked if "manifests" in each.path} == {"HEAD"}


def test_pulls_left_are_asked_without_a_pull(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "layerscope.images.registry.tags.RegistryClient", lambda *_, **__: registry.client()
    )
    limited = answer(200, ratelimit_limit="100;w=21600", ratelimit_remaining="76;w=21600")
    registry.when("HEAD .*/manifests/latest", limited)
    assert pulls_left("docker.io") == RateLimit(100, 76, 21600)
    assert [each.method for each in registry.asked] == ["HEAD"]
    registry.when("HEAD .*/manifests/latest", answer(429))
    assert pulls_left("docker.io") is None
    del registry.asked[:]
    # No other registry is known to say so.
    assert pulls_left(registry.address) is None
    assert registry.asked == []


@pytest.mark.parametrize(
    ("remaining", "says"), [("180", False), ("19", False), ("18", True), ("0", True), ("x", False)]
)
def test_requests_left_are_shown_when_they_run_out(
    docker_hub: FakeRegistry, remaining: str, says: bool
) -> None:
    tag = hub_tag("12", "2026-01-02T03:04:05.6Z", "sha256:aa", "linux/amd64")
    limits = {
        "X_RateLimit_Limit": "180",
        "X_RateLimit_Remaining": remaining,
        "X_RateLimit_Reset": str(int(time.time()) + 3600),
    }
    docker_hub.when(
        "library/repositories/debian/tags",
        answer(200, json.dumps({"count": 1, "results": [tag]}).encode(), **limits),
    )
    found = list_tags("debian")
    pulls, requests = list(tags_text(found, RateLimit(100, 76, 21600)))[2:] + ([] if says else [""])
    assert pulls == "The registry allows 76 more of 100 pulls in 6 hours."
    assert requests.startswith(
        f"The registry allows {remaining} more of 180 requests in the next 3" if says else ""
    )
    known = tags_document(found)["request_limit"]
    assert (known and known["remaining"]) == (None if remaining == "x" else int(remaining))


# --- search ---


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nginx", ("docker.io", "nginx")),
        ("bitnami/nginx", ("docker.io", "bitnami/nginx")),
        (" ghcr.io/org/app ", ("ghcr.io", "org/app")),
        ("localhost/app", ("localhost", "app")),
        ("localhost:5000", ("localhost:5000", "")),
        ("docker.io/nginx", ("docker.io", "nginx")),
    ],
)
def test_a_term_may_begin_with_a_registry(text: str, found: tuple[str, str]) -> None:
    assert split_term(text) == found


HITS = {
    "num_results": 3,
    "query": "nginx",
    "results": [
        {"name": "nginx", "description": "Official build", "star_count": 20000,
         "is_official": True, "is_automated": False},
        {"name": "evil/nginx", "description": "a\u001b[31m\nb", "star_count": 3,
         "is_official": False},
        {"name": "old/nginx", "description": None, "star_count": None, "is_automated": True},
    ],
}  # fmt: skip


def test_search_on_docker_hub(docker_hub: FakeRegistry) -> None:
    docker_hub.when("v1/search", answer(200, json.dumps(HITS).encode()))
    pulls = {"results": [{"repo_name": "library/nginx", "pull_count": 12_000_000_000}]}
    docker_hub.when("v2/search/repositories", answer(200, json.dumps(pulls).encode()))
    found = search("nginx")
    assert found[0] == Hit("nginx", "Official build", 20000, True, False, 12_000_000_000)
    assert found[2] == Hit("old/nginx", "", 0, False, True, None)
    heads, first, second, _ = hits_text(found)
    assert heads.split() == ["NAME", "DESCRIPTION", "STARS", "PULLS", "OFFICIAL", "AUTOMATED"]
    assert "[OK]" in first
    assert "12.0 G" in first
    assert "\x1b" not in second
    assert query_of(docker_hub, "v1/search") == {"q": ["nginx"], "n": ["25"]}


def query_of(registry: FakeRegistry, path: str) -> dict[str, list[str]]:
    return parse_qs(next(urlsplit(each.path).query for each in registry.asked if path in each.path))


def test_search_without_what_is_not_documented(docker_hub: FakeRegistry) -> None:
    docker_hub.when("v1/search", answer(200, json.dumps(HITS).encode()))
    docker_hub.when("v2/search/repositories", answer(500))
    assert [hit.pulls for hit in search("nginx")] == [None] * 3


def test_too_many_searches(docker_hub: FakeRegistry) -> None:
    later = str(int(time.time()) + 500)
    docker_hub.when("v1/search", answer(429, X_Retry_After=later))
    with pytest.raises(RegistryError, match=r"too many requests.*Try again in (4\d\d|500) seconds"):
        search("nginx")


@pytest.mark.parametrize("body", [b"", b"[", b'{"results": 7}', b'{"results": [{"name": []}]}'])
def test_an_answer_that_is_not_valid(docker_hub: FakeRegistry, body: bytes) -> None:
    docker_hub.when("v1/search", answer(200, body))
    with pytest.raises(LayerscopeError, match="not valid"):
        search("nginx")


def test_search_in_a_catalog(registry: FakeRegistry) -> None:
    pages(registry, "repositories", ["a/nginx", "b/redis", "c/Nginx", "d/nginx"], 1)
    found = search("nginx", registry.address, 2)
    assert found == [Hit(f"{registry.address}/a/nginx"), Hit(f"{registry.address}/c/Nginx")]
    assert next(iter(hits_text(found))) == "NAME"


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_registry_without_a_catalog_says_what_to_do(registry: FakeRegistry, status: int) -> None:
    registry.when("_catalog", answer(status))
    with pytest.raises(RegistryError, match=r"Name a repository: layerscope tags"):
        search("nginx", registry.address)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ('</v2/a/tags/list?n=1&last=b>; rel="next"', "/v2/a/tags/list?n=1&last=b"),
        ("</v2/_catalog?last=b>; rel=next", "/v2/_catalog?last=b"),
        ('<https://evil.example/v2/_catalog?last=b>; rel="next"', "/v2/_catalog?last=b"),
        ('</elsewhere?last=b>; rel="next"', None),
        ('<//[>; rel="next"', None),
        ('</v2/x?a=\x1b>; rel="next"', None),
        ("", None),
        (None, None),
    ],
)
def test_next_pages(link: str | None, expected: str | None) -> None:
    assert next_page(link) == expected


def test_how_long_to_wait() -> None:
    assert wait_of({"X-Retry-After": "130"}, 100) == 30
    assert wait_of({"X-Retry-After": "90"}, 100) == 0
    assert wait_of({"X-Retry-After": "soon", "Retry-After": "7"}, 100) == 7
    assert wait_of({}, 100) is None
