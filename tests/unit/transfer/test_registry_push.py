"""Pushes by our own client to a registry that misbehaves."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from layerscope.errors import LayerscopeError, UsageError
from layerscope.images.archives.writing import write_archive, write_layout
from layerscope.images.registry.transport import Patience
from layerscope.jobs.worker import Cancellation
from layerscope.oci.manifest import OCI_INDEX
from layerscope.oci.reference import parse_reference
from layerscope.transfer import registry_push
from layerscope.transfer.push_sources import file_source, opened_source
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.registry_push import push_by_registry
from layerscope.transfer.request import TransferRequest
from tests.archives import docker_archive, layer
from tests.unit.images.archives.test_written_images import packed
from tests.unit.images.registry.misbehaving_registry import (
    FakeRegistry,
    Handler,
    answer,
    digest_of,
    fake_registry,
    noise,
)

Behave = Callable[[Handler], bool]


@dataclass
class Uploads:
    """Takes uploads, as the distribution specification describes them."""

    registry: FakeRegistry
    sessions: dict[str, bytes] = field(default_factory=dict)
    posts: int = 0
    repositories: dict[str, set[str]] = field(default_factory=dict)  # Digests by repository.

    def __call__(self, handler: Handler) -> bool:
        parts = urlsplit(handler.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        found = re.fullmatch(r"/v2/(.+)/(blobs/uploads|blobs|manifests)/([^/]*)", parts.path)
        assert found is not None
        repository, kind, name = found.groups()
        own = self.repositories.setdefault(repository, set())
        method = handler.command
        if kind == "blobs" and method == "HEAD":
            handler.reply(200 if name in own else 404)
        elif kind == "blobs/uploads" and method == "POST":
            self._begin(handler, repository, query)
        elif kind == "blobs/uploads":
            self._go_on(handler, repository, name, query)
        elif kind == "manifests" and method == "PUT":
            media_type = handler.headers["Content-Type"]
            for key in (name, digest_of(handler.body)):
                self.registry.manifests[key] = (media_type, handler.body)
            handler.reply(201, headers={"Docker-Content-Digest": digest_of(handler.body)})
        else:
            return False
        return True

    def _begin(self, handler: Handler, repository: str, query: dict[str, str]) -> None:
        self.posts += 1
        digest = query.get("mount", "")
        if digest in self.repositories.get(query.get("from", ""), ()):
            self.repositories[repository].add(digest)
            handler.reply(201, headers={"Location": "/x"})
            return
        name = f"session{self.posts}"
        self.sessions[name] = b""
        place = f"/v2/{repository}/blobs/uploads/{name}?state=1"
        handler.reply(202, headers={"Location": place})

    def _go_on(self, handler: Handler, repository: str, name: str, query: dict[str, str]) -> None:
        if name not in self.sessions:
            handler.reply(404)
            return
        if handler.command == "PATCH":
            begin = int((handler.headers.get("Content-Range") or "0-").partition("-")[0])
            if begin != len(self.sessions[name]):
                handler.reply(416)
                return
            self.sessions[name] += handler.body
        span = {"Range": f"0-{max(0, len(self.sessions[name]) - 1)}", "Location": handler.path}
        if handler.command != "PUT":
            handler.reply(202 if handler.command == "PATCH" else 204, headers=span)
            return
        data = self.sessions.pop(name)
        if digest_of(data) != query["digest"]:
            handler.reply(400, b'{"errors":[{"message":"provided digest did not match"}]}')
            return
        self.registry.blobs[query["digest"]] = data
        self.repositories[repository].add(query["digest"])
        handler.reply(201, headers={"Docker-Content-Digest": query["digest"]})


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    quick = Patience(read=2, tries=4, first_wait=0.01, longest_wait=0.02)
    monkeypatch.setattr(registry_push, "PATIENCE", quick)
    with fake_registry() as registry:
        yield registry


@dataclass
class Pusher:
    registry: FakeRegistry
    uploads: Uploads
    events: list[dict[str, Any]] = field(default_factory=list)

    def push(self, source: str, name: str = "app:1", seen: str | None = None) -> str:
        self.events.clear()
        reference = parse_reference(f"{self.registry.address}/{name}")
        request = TransferRequest(str(reference), via="registry", source=source, seen=seen)
        recorder = Recorder(lambda event: self.events.append(dict(event)))
        cancellation = Cancellation()

        with opened_source(source, None, cancellation.check) as (image, _):
            found = push_by_registry(image, reference, request, recorder, cancellation)
        recorder.finished(found)
        return found

    def fails(self, source: str) -> str:
        with pytest.raises(LayerscopeError) as caught:
            self.push(source)
        assert "1" not in self.registry.manifests
        return str(caught.value)

    @property
    def ended(self) -> dict[str, str]:
        return {each["id"]: each["state"] for each in self.events if each["event"] == "layer"}

    @property
    def retries(self) -> list[str]:
        return [each["text"] for each in self.events if each.get("state") == "retrying"]

    def asked(self, method: str) -> int:
        return sum(each.method == method for each in self.registry.asked)


@pytest.fixture
def pusher(registry: FakeRegistry) -> Pusher:
    uploads = Uploads(registry)
    registry.when("(POST|PATCH|PUT|uploads)|HEAD .*/blobs/", uploads)
    return Pusher(registry, uploads)


CONTENTS = layer(("a", noise(300_000))), layer(("b", noise(50_000, 2)))
IMAGE = packed(*CONTENTS)
#: The first one is compressed.
STORED = {each.digest: each.size for each in IMAGE.layers}


@pytest.fixture
def source(tmp_path: Path) -> str:
    write_layout(tmp_path / "layout", [IMAGE])
    return f"oci:{tmp_path}/layout"


def check(pusher: Pusher) -> dict[str, Any]:
    """The registry has a whole image, whose layers are those of the source."""
    _, data = pusher.registry.manifests["1"]
    document: dict[str, Any] = json.loads(data)
    assert document["config"]["digest"] == IMAGE.config.digest
    first, second = document["layers"]
    # One that was compressed stays as it was.
    assert first["digest"] == IMAGE.layers[0].digest
    stored = pusher.registry.blobs[second["digest"]]
    assert digest_of(gzip.decompress(stored)) == IMAGE.layers[1].digest
    assert second["mediaType"].endswith("tar+gzip")
    assert second["size"] == len(stored)
    return document


def test_a_push(pusher: Pusher, source: str) -> None:
    assert pusher.push(source) == IMAGE.config.digest
    document = check(pusher)
    assert set(pusher.ended.values()) == {"done"}
    (first,) = [
        each
        for each in pusher.events
        if each.get("current") == STORED[IMAGE.layers[0].digest] and each["state"] == "pushing"
    ]
    assert first["total"] == first["current"]
    assert pusher.events[-1]["digest"] == digest_of(pusher.registry.manifests["1"][1])
    # Nothing is sent again, nor compressed; into another repository, all is mounted.
    patches = pusher.asked("PATCH")
    pusher.push(source)
    assert set(pusher.ended.values()) == {"exists"}
    pusher.push(source, "other:1")
    assert set(pusher.ended.values()) == {"mounted"}
    assert pusher.asked("PATCH") == patches
    assert check(pusher) == document


@pytest.mark.parametrize("tag", ["1", "2"])
def test_what_another_client_compressed_is_not_sent_again(
    pusher: Pusher, source: str, tag: str
) -> None:
    """It is in the image that is replaced, or in the one with the highest tag."""
    registry = pusher.registry
    stored = [gzip.compress(content, 1, mtime=7) for content in CONTENTS]
    registry.image(stored[1:], tag)
    registry.when("GET .*tags/list", answer(200, b'{"tags": ["%s"]}' % tag.encode()))
    pusher.uploads.repositories["app"] = {digest_of(stored[1])}
    assert pusher.push(source) == IMAGE.config.digest
    first, second = (each.digest[7:19] for each in IMAGE.layers)
    assert pusher.ended == {first: "done", second: "exists"}
    document = check(pusher)
    assert document["layers"][1]["digest"] == digest_of(stored[1])


def test_a_mount_that_is_not_possible_is_an_upload(pusher: Pusher, source: str) -> None:
    pusher.push(source)
    pusher.uploads.repositories["app"].clear()
    pusher.push(source, "other:1")
    assert any("mount=" in each.path for each in pusher.registry.asked)
    assert set(pusher.ended.values()) == {"done"}
    check(pusher)


def half_taken(pusher: Pusher, *, forget: bool = False, times: int = 1) -> Behave:
    """Takes a part of a body, then cuts the connection; what was taken may be kept or not."""

    def behave(handler: Handler) -> bool:
        name = urlsplit(handler.path).path.rpartition("/")[2]
        if len(handler.body) < 1000 or name not in pusher.uploads.sessions:
            return False
        pusher.uploads.sessions[name] += handler.body[:1000]
        if forget:
            del pusher.uploads.sessions[name]
        handler.reset()
        return True

    return behave


@pytest.mark.parametrize("forget", [False, True], ids=["kept", "forgotten"])
def test_a_connection_that_breaks(pusher: Pusher, source: str, forget: bool) -> None:
    pusher.registry.when("PATCH", half_taken(pusher, forget=forget), 3)
    pusher.push(source)
    check(pusher)
    assert pusher.retries
    assert all("the connection broke; trying again" in text for text in pusher.retries)
    ranges = [
        each.headers["Content-Range"]
        for each in pusher.registry.asked
        if each.method == "PATCH" and "Content-Range" in each.headers
    ]
    assert bool(ranges) != forget
    if not forget:
        assert ranges[0].startswith("1000-")


@pytest.mark.parametrize("method", ["PATCH", "PUT .*uploads", "PUT .*manifests", "POST", "HEAD"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_tried_again(pusher: Pusher, source: str, method: str, status: int) -> None:
    pusher.registry.when(method, answer(status, Retry_After="0"), 2)
    pusher.push(source)
    check(pusher)


SENTENCES = {
    401: "requires a login to push to app",
    403: "Ask for permission to push to it",
    404: "has no repository app, and makes none (404)",
    413: "it is too large (413)",
    500: "failed to take layer",
}


@pytest.mark.parametrize("status", list(SENTENCES))
def test_what_does_not_pass_is_a_sentence(pusher: Pusher, source: str, status: int) -> None:
    pusher.registry.when("POST", answer(status, WWW_Authenticate='Basic realm="x"'))
    assert SENTENCES[status] in pusher.fails(source)


def test_a_token_for_pushing_and_for_mounting(pusher: Pusher, source: str) -> None:
    pusher.push(source)
    realm = f'Bearer realm="http://{pusher.registry.address}/token",service="x"'
    pusher.registry.when("GET /token", answer(200, b'{"token": "T"}'))

    def wants_token(handler: Handler) -> bool:
        if "/token" in handler.path or handler.headers.get("Authorization") == "Bearer T":
            return False
        return answer(401, WWW_Authenticate=realm)(handler)

    pusher.registry.when("/v2/", wants_token)
    pusher.push(source, "other:1")
    assert set(pusher.ended.values()) == {"mounted"}
    (asked,) = [each.path for each in pusher.registry.asked if "/token" in each.path]
    assert parse_qs(urlsplit(asked).query)["scope"] == [
        "repository:other:pull,push", "repository:app:pull"
    ]  # fmt: skip


def test_a_registry_that_is_away_for_a_moment(
    pusher: Pusher, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens there for a while, in the middle."""
    registry = pusher.registry

    def gone(handler: Handler) -> bool:
        handler.reset()
        registry.go_away(0.3)
        return True

    registry.when("PATCH", gone, 1)
    patience = Patience(read=2, tries=8, first_wait=0.05, longest_wait=0.5)
    monkeypatch.setattr(registry_push, "PATIENCE", patience)
    pusher.push(source)
    check(pusher)
    assert pusher.retries


def test_413_for_a_layer(pusher: Pusher, source: str) -> None:
    pusher.registry.when("PATCH", answer(413))
    assert re.search(r"does not accept layer [0-9a-f]{12}: it is too large", pusher.fails(source))


def test_a_wait_that_is_too_long_is_said(pusher: Pusher, source: str) -> None:
    pusher.registry.when("PATCH", answer(429, X_Retry_After=str(int(time.time()) + 3600)))
    assert re.search(r"Try again in 3[56]\d\d seconds", pusher.fails(source))


def test_a_registry_that_gets_another_digest(pusher: Pusher, source: str) -> None:
    pusher.registry.when(
        "PUT .*uploads", answer(400, b'{"errors":[{"message":"provided digest did not match"}]}')
    )
    assert "rejects layer" in (text := pusher.fails(source))
    assert "provided digest did not match" in text


@pytest.mark.parametrize("number", [0, 1], ids=["compressed", "not compressed"])
def test_a_source_that_is_damaged(pusher: Pusher, source: str, tmp_path: Path, number: int) -> None:
    digest = IMAGE.layers[number].digest
    (tmp_path / "layout/blobs/sha256" / digest[7:]).write_bytes(bytes(STORED[digest]))
    assert re.search(r"^layer [0-9a-f]{12}: it is damaged: its digest should", pusher.fails(source))
    assert digest not in pusher.registry.blobs


def test_an_answer_that_is_lost(pusher: Pusher, source: str) -> None:
    """The upload was completed, and only the answer did not arrive."""

    def lost(handler: Handler) -> bool:
        pusher.uploads(handler)
        handler.reset()
        return True

    pusher.registry.when("PUT .*uploads", lost, 2)
    pusher.push(source)
    check(pusher)


def test_a_tag_that_moves_meanwhile_is_not_replaced(pusher: Pusher, source: str) -> None:
    def moves(handler: Handler) -> bool:
        pusher.registry.manifests["1"] = ("application/json", b"theirs")
        return False

    pusher.registry.when("PUT .*uploads", moves, 1)
    with pytest.raises(LayerscopeError, match="was pushed by someone else meanwhile"):
        pusher.push(source)
    assert pusher.registry.manifests["1"][1] == b"theirs"


def test_what_a_user_saw_is_replaced_and_nothing_else(pusher: Pusher, source: str) -> None:
    manifest = pusher.registry.image([], "1")
    for seen in ("", "sha256:" + "0" * 64):
        with pytest.raises(LayerscopeError, match="was pushed by someone else meanwhile"):
            pusher.push(source, seen=seen)
        assert not pusher.asked("POST")
    pusher.push(source, seen=manifest["digest"])
    check(pusher)
    pusher.push(source, "app:new", seen="")


@pytest.mark.parametrize("status", [400, 404, 416])
def test_a_part_that_is_refused_is_sent_in_one_piece(
    pusher: Pusher, source: str, status: int
) -> None:
    pusher.registry.when("PATCH", answer(status), 1)
    pusher.push(source)
    check(pusher)


def test_an_archive_of_docker_save(pusher: Pusher, tmp_path: Path) -> None:
    """It has no manifest; one is made, and layers are compressed."""
    contents = [layer(("a", noise(9_000))), layer(("b", b"x"))]
    plain = docker_archive(contents)
    (tmp_path / "a.tar").write_bytes(plain)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(plain))
    found = [pusher.push(f"{tmp_path}/{name}", f"app:{name}") for name in ("a.tar", "a.tar.gz")]
    assert found[0] == found[1]
    document = json.loads(pusher.registry.manifests["a.tar"][1])
    assert document["config"]["digest"] == found[0]
    for entry, content in zip(document["layers"], contents, strict=True):
        assert gzip.decompress(pusher.registry.blobs[entry["digest"]]) == content


def test_all_platforms_of_an_image(pusher: Pusher, tmp_path: Path) -> None:
    """An index goes with all its images; of one that is not whole, what is there."""
    registry = pusher.registry
    digests = registry.platforms("amd64", "arm64", tag="many")
    folder = tmp_path / "many"
    blobs = registry.write_layout(folder, "many")
    pusher.push(f"oci:{folder}", "app:all")
    kind, data = registry.manifests["all"]
    assert kind == OCI_INDEX
    assert digest_of(data) == digests["index"]
    (blobs / digests["arm64"][7:]).unlink()
    pusher.push(f"oci:{folder}", "app:one")
    assert digest_of(registry.manifests["one"][1]) == digests["amd64"]


@pytest.mark.parametrize("name", ["docker-root:/var/lib/docker", "docker://debian:12"])
def test_what_cannot_be_pushed(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be pushed"):
        file_source(name)


def test_an_archive_is_pushed_as_it_was_written(pusher: Pusher, tmp_path: Path) -> None:
    write_archive(tmp_path / "x.tar", [IMAGE], docker=True)
    pusher.push(f"docker-archive:{tmp_path}/x.tar")
    check(pusher)
