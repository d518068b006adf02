"""What a registry can answer: refusals, quotas, failures."""

from __future__ import annotations

import gzip
import re
import socket
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from layerscope.errors import NotFoundError, RegistryError
from layerscope.images.cache.documents import DocumentCache
from layerscope.images.progress import Progress
from layerscope.images.registry.client import RegistryClient
from layerscope.images.registry.credentials import Lookup
from layerscope.images.registry.reader import RegistryReader
from layerscope.images.registry.transport import Patience
from tests.unit.images.registry.misbehaving_registry import (
    BASIC,
    LOGIN,
    QUICK,
    FakeRegistry,
    Handler,
    answer,
    cut_after,
    digest_of,
    error_body,
    noise,
    read,
    refusal,
    tar_of,
)

# --- statuses ---


def test_401_without_a_login(registry: FakeRegistry) -> None:
    registry.when("v2", answer(401, WWW_Authenticate='Basic realm="x"'))
    error = refusal(registry.reader)
    assert isinstance(error, RegistryError)
    assert "requires a login to read app (401)" in str(error)
    assert f"layerscope login {registry.address}" in error.hint


def test_401_with_a_wrong_login(registry: FakeRegistry) -> None:
    registry.when("v2", answer(401, WWW_Authenticate='Basic realm="x"'))
    error = refusal(lambda: registry.reader(credentials=LOGIN))
    assert "rejects the login from config.json (401)" in str(error)
    assert [each.headers.get("Authorization") for each in registry.asked] == [None, BASIC]


def test_401_tells_what_was_wrong_with_the_files(registry: FakeRegistry) -> None:
    registry.when("v2", answer(401, WWW_Authenticate='Basic realm="x"'))
    client = RegistryClient(
        registry.address,
        "app",
        patience=QUICK,
        find=lambda domain, repository: Lookup(None, "docker-credential-x is not installed"),
    )
    error = refusal(lambda: client.manifest("latest"))
    assert "docker-credential-x is not installed" in str(error)


def test_403(registry: FakeRegistry) -> None:
    registry.when("manifests", answer(403, error_body("DENIED", "not for \x1b[31myou")))
    error = refusal(registry.reader)
    assert "denies access to app (403: not for \\e[31myou)" in str(error)


def test_404(registry: FakeRegistry) -> None:
    error = refusal(lambda: registry.reader("app:missing"))
    assert isinstance(error, NotFoundError)
    assert "has no image" in str(error)
    assert "app:missing (404)" in str(error)


def test_429_is_waited_for(registry: FakeRegistry) -> None:
    registry.when("manifests", answer(429, Retry_After="1"), times=1)
    begun = time.monotonic()
    assert read(registry.reader()) == 1
    assert time.monotonic() - begun >= 1


def test_429_with_a_date(registry: FakeRegistry) -> None:
    date = formatdate(time.time() + 1, usegmt=True)
    registry.when("blobs", answer(429, Retry_After=date), times=1)
    assert read(registry.reader()) == 1


def test_429_for_good(registry: FakeRegistry) -> None:
    body = error_body("TOOMANYREQUESTS", "You have reached your limit.")
    registry.when("manifests", answer(429, body))
    error = refusal(registry.reader)
    assert "received too many requests from here (429: You have reached your limit)" in str(error)
    assert "log in" in error.hint
    assert len(registry.asked) == QUICK.tries


def test_429_for_longer_than_we_wait(registry: FakeRegistry) -> None:
    registry.when("manifests", answer(429, Retry_After="3600"))
    error = refusal(registry.reader)
    assert "in 3600 seconds" in error.hint
    assert len(registry.asked) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_5xx(registry: FakeRegistry, status: int) -> None:
    registry.when("manifests", answer(status), times=2)
    assert read(registry.reader()) == 1
    registry.asked.clear()
    registry.when("manifests", answer(status, b"<html>oops"))
    error = refusal(registry.reader)
    assert re.search(rf"failed to send manifest latest \({status} .*, 3 times\)", str(error))
    assert len(registry.asked) == QUICK.tries


def test_another_status(registry: FakeRegistry) -> None:
    registry.when("manifests", answer(418))
    assert "answered 418" in str(refusal(registry.reader))


def test_waits_get_longer_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(
        "layerscope.images.registry.client.wait_for", lambda seconds, check: waits.append(seconds)
    )
    client = RegistryClient("example.com", "app", patience=Patience())
    for attempt in range(1, 12):
        client.pause(attempt, lambda: None)
    for attempt, wait in enumerate(waits):
        limit = min(0.5 * 2**attempt, 30)
        assert limit / 2 <= wait <= limit
    assert len(set(waits)) == len(waits)


def test_connections_that_break(registry: FakeRegistry) -> None:
    def hang_up(handler: Handler) -> bool:
        handler.close_connection = True
        return True

    registry.when("manifests", hang_up, times=2)
    assert read(registry.reader()) == 1
    registry.when("manifests", hang_up)
    assert "cannot be reached" in str(refusal(registry.reader))


def test_a_manifest_that_breaks_off(registry: FakeRegistry) -> None:
    registry.when("manifests", cut_after(10))
    assert "broke" in str(refusal(registry.reader))


def test_no_registry() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = refusal(lambda: RegistryReader(f"docker://127.0.0.1:{port}/app"))
    assert f"Nothing listens at 127.0.0.1:{port}" in str(error)


def test_no_host() -> None:
    error = refusal(lambda: RegistryReader("docker://no-such-host.invalid/app"))
    assert "There is no host no-such-host.invalid" in str(error)


# --- quota ---


def test_opened_again_without_a_pull(registry: FakeRegistry, tmp_path: Path) -> None:
    kept = DocumentCache(tmp_path)
    assert read(registry.reader(documents=kept)) == 1
    assert [each.method for each in registry.asked] == ["GET"] * 3
    registry.asked.clear()
    registry.reader(documents=DocumentCache(tmp_path))
    assert [f"{each.method} {each.path}" for each in registry.asked] == [
        "HEAD /v2/app/manifests/latest"
    ]
    # The tag moves on, and then the registry knows nothing of HEAD.
    registry.image([gzip.compress(tar_of({"other": b"x"}))])
    registry.asked.clear()
    reader = registry.reader(documents=kept)
    assert [each.method for each in registry.asked] == ["HEAD", "GET", "GET"]
    assert [row for _, each in reader.changesets(Progress(), ()) for row in each.paths()] == [
        b"other"
    ]


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 405, 429, 500, 501, 503, 0])
def test_head_refused_while_get_works(registry: FakeRegistry, tmp_path: Path, status: int) -> None:
    kept = DocumentCache(tmp_path)
    registry.reader(documents=kept)

    def hang_up(handler: Handler) -> bool:
        handler.reset()
        return True

    registry.when("^HEAD", answer(status) if status else hang_up)
    registry.asked.clear()
    assert read(registry.reader(documents=kept)) == 1
    assert [each.method for each in registry.asked].count("HEAD") == 1


def test_what_head_says_may_be_wrong(registry: FakeRegistry, tmp_path: Path) -> None:
    kept = DocumentCache(tmp_path)
    registry.reader(documents=kept)
    for said in ("", "sha256:1", digest_of(b"other"), "x" * 5000):
        registry.when("^HEAD", answer(200, Docker_Content_Digest=said), times=1)
        assert read(registry.reader(documents=kept)) == 1


def test_kept_documents_are_verified(registry: FakeRegistry, tmp_path: Path) -> None:
    kept = DocumentCache(tmp_path)
    registry.reader(documents=kept)
    for path in tmp_path.glob("documents-*/*"):
        path.write_bytes(path.read_bytes() + b" ")
    assert read(registry.reader(documents=kept)) == 1


def test_documents_are_bounded(tmp_path: Path) -> None:
    kept = DocumentCache(tmp_path, limit=100_000)
    documents = [noise(20_000, seed) for seed in range(10)]
    for document in documents:
        kept.put(digest_of(document), document)
    found = [kept.get(digest_of(document)) is not None for document in documents]
    assert sum(found) in (4, 5)
    assert kept.get("sha256:" + "0" * 64) is None
    (tmp_path / "file").write_bytes(b"")
    nowhere = DocumentCache(tmp_path / "file")
    nowhere.put(digest_of(b"x"), b"x")
    assert nowhere.get(digest_of(b"x")) is None
