"""What a registry can answer: refusals, quotas, failures, redirects, tokens."""

from __future__ import annotations

import gzip
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from layerscope.errors import LayerscopeError, NotFoundError, RegistryError
from layerscope.images.credentials import Credentials, Lookup
from layerscope.images.document_cache import DocumentCache
from layerscope.images.progress import Progress
from layerscope.images.registry import RegistryReader
from layerscope.images.registry_client import RegistryClient
from layerscope.images.registry_transport import Patience
from tests.unit.misbehaving_registry import (
    QUICK,
    FakeRegistry,
    Handler,
    answer,
    cut_after,
    digest_of,
    error_body,
    fake_registry,
    noise,
    tar_of,
)

LOGIN = Credentials("gordon", "mola mola", origin="config.json")
BASIC = "Basic " + b64encode(b"gordon:mola mola").decode()
SECRETS = ("mola mola", BASIC.partition(" ")[2], "T0KEN")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as running:
        running.image([gzip.compress(tar_of({"a": noise(1000)}))])
        yield running


def read(reader: RegistryReader) -> int:
    return len(dict(reader.changesets(Progress(), ())))


def refusal(open_it: Callable[[], object]) -> LayerscopeError:
    """The error, which must be one sentence and hold no secret."""
    with pytest.raises(LayerscopeError) as caught:
        open_it()
    error = caught.value
    assert error.message.endswith(".")
    assert "\n" not in str(error)
    assert not any(secret in str(error) for secret in SECRETS)
    return error


# --- statuses ---


def test_401_without_a_login(registry: FakeRegistry) -> None:
    registry.when("v2", answer(401, WWW_Authenticate='Basic realm="x"'))
    error = refusal(registry.reader)
    assert isinstance(error, RegistryError)
    assert "does not let us read app without a login (401)" in str(error)
    assert f"docker login {registry.address}" in error.hint


def test_401_with_a_wrong_login(registry: FakeRegistry) -> None:
    registry.when("v2", answer(401, WWW_Authenticate='Basic realm="x"'))
    error = refusal(lambda: registry.reader(credentials=LOGIN))
    assert "refuses the login from config.json (401)" in str(error)
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
    assert "forbids us to read app (403: not for \\e[31myou)" in str(error)


def test_404(registry: FakeRegistry) -> None:
    error = refusal(lambda: registry.reader("app:missing"))
    assert isinstance(error, NotFoundError)
    assert "has no image" in str(error)
    assert "app:missing (404)" in str(error)


def test_429_is_waited_for(registry: FakeRegistry) -> None:
    registry.when("manifests", answer(429, Retry_After="1"), times=1)
    begun = time.monotonic()
    assert read(registry.reader()) == 1
    assert 1 <= time.monotonic() - begun < 3


def test_429_with_a_date(registry: FakeRegistry) -> None:
    date = formatdate(time.time() + 1, usegmt=True)
    registry.when("blobs", answer(429, Retry_After=date), times=1)
    assert read(registry.reader()) == 1


def test_429_for_good(registry: FakeRegistry) -> None:
    body = error_body("TOOMANYREQUESTS", "You have reached your limit.")
    registry.when("manifests", answer(429, body))
    error = refusal(registry.reader)
    assert "too many requests from here (429: You have reached your limit)" in str(error)
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
    assert re.search(rf"fails to send manifest latest \({status} .*, 3 times\)", str(error))
    assert len(registry.asked) == QUICK.tries


def test_another_status(registry: FakeRegistry) -> None:
    registry.when("manifests", answer(418))
    assert "answered 418" in str(refusal(registry.reader))


def test_waits_get_longer_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(
        "layerscope.images.registry_client.wait_for", lambda seconds, check: waits.append(seconds)
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
    assert "cannot be talked to" in str(refusal(registry.reader))


def test_a_manifest_that_breaks_off(registry: FakeRegistry) -> None:
    registry.when("manifests", cut_after(10))
    assert "broke off" in str(refusal(registry.reader))


def test_no_registry() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = refusal(lambda: RegistryReader(f"docker://127.0.0.1:{port}/app"))
    assert f"Nothing listens at 127.0.0.1:{port}" in str(error)


def test_no_host() -> None:
    error = refusal(lambda: RegistryReader("docker://no-such-host.invalid/app"))
    assert "There is no host no-such-host.invalid" in str(error)


# --- documents ---


def test_a_huge_manifest(registry: FakeRegistry) -> None:
    registry.manifest(b" " * (9 << 20), "application/json", "huge")
    assert "larger than 8 MiB" in str(refusal(lambda: registry.reader("app:huge")))


def test_a_huge_configuration(registry: FakeRegistry) -> None:
    kind, data = registry.manifests["latest"]
    document = json.loads(data)
    document["config"]["size"] = 1 << 40
    registry.manifest(document, kind, "huge")
    assert "larger than 8 MiB" in str(refusal(lambda: registry.reader("app:huge")))


def test_a_manifest_of_another_digest(registry: FakeRegistry) -> None:
    kind, data = registry.manifests["latest"]
    registry.manifests["latest"] = (kind, data + b" ")
    assert registry.reader() is not None  # nobody promised anything about a tag
    registry.manifests[digest_of(data)] = (kind, data + b" ")
    error = refusal(lambda: registry.reader(f"app@{digest_of(data)}"))
    assert "other bytes than the digest says for manifest sha256:" in str(error)
    registry.promise_digests = False
    registry.when("manifests/latest", answer(200, data, Docker_Content_Digest=digest_of(b"")))
    assert "other bytes than the digest says" in str(refusal(registry.reader))


def test_a_configuration_of_another_digest(registry: FakeRegistry) -> None:
    config = json.loads(registry.manifests["latest"][1])["config"]["digest"]
    registry.blobs[config] = registry.blobs[config].replace(b"amd64", b"arm64")
    assert "for image configuration" in str(refusal(registry.reader))


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
        (b'{"layers": [], "config": {}}', "no digest"),
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
    assert f"holds {chart}" in str(refusal(lambda: registry.reader("app:chart")))


def test_layers_that_do_not_fit(registry: FakeRegistry) -> None:
    kind, data = registry.manifests["latest"]
    document = json.loads(data)
    document["layers"] *= 2
    registry.manifest(document, kind, "bad")
    error = refusal(lambda: registry.reader("app:bad"))
    assert "names 2 layers and its configuration 1" in str(error)


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


def test_indexes_without_end(registry: FakeRegistry) -> None:
    inner = registry.index([], "level0")
    for level in range(1, 30):
        inner = registry.index([inner], f"level{level}")
    error = refusal(lambda: registry.reader("app:level29"))
    assert "too many other indexes" in str(error)


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
    registry.when("^HEAD", answer(405))
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


# --- redirects ---


def test_no_credentials_for_another_host(registry: FakeRegistry) -> None:
    layer_digest = json.loads(registry.manifests["latest"][1])["layers"][0]["digest"]

    def wants_login(handler: Handler) -> bool:
        if handler.headers.get("Authorization") == BASIC:
            return False
        return answer(401, WWW_Authenticate='Basic realm="x"')(handler)

    with fake_registry() as storage:
        storage.blobs = registry.blobs

        def elsewhere(handler: Handler) -> bool:
            digest = handler.path.rpartition("/")[2]
            target = f"http://{storage.address}/elsewhere/blobs/{digest}"
            return answer(307, Location=target)(handler)

        registry.when("blobs", elsewhere)
        registry.when("v2", wants_login)
        storage.when(layer_digest, cut_after(500), times=1)
        assert read(registry.reader(credentials=LOGIN)) == 1
        assert [each.range for each in storage.asked if layer_digest in each.path][1] is not None
        assert len(storage.asked) >= 3
        for each in storage.asked:
            assert "Authorization" not in each.headers
        assert all(
            each.headers.get("Authorization") == BASIC
            for each in registry.asked
            if "blobs" in each.path
        )


def test_redirects_within_the_registry_keep_them(registry: FakeRegistry) -> None:
    def moved(handler: Handler) -> bool:
        if "moved" in handler.path:
            return False
        digest = handler.path.rpartition("/")[2]
        return answer(302, Location=f"/moved/blobs/{digest}")(handler)

    def wants_login(handler: Handler) -> bool:
        if handler.headers.get("Authorization") == BASIC:
            return False
        return answer(401, WWW_Authenticate='Basic realm="x"')(handler)

    registry.when("blobs", moved)
    registry.when("", wants_login)
    assert read(registry.reader(credentials=LOGIN)) == 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://x/y", "http:///x", "//["])
def test_redirects_to_nowhere(registry: FakeRegistry, target: str) -> None:
    registry.when("blobs", answer(302, Location=target))
    refusal(lambda: read(registry.reader()))


def test_redirects_in_a_circle(registry: FakeRegistry) -> None:
    registry.when("blobs", answer(302, Location="/v2/app/blobs/x"))
    assert "in a circle" in str(refusal(lambda: read(registry.reader())))


# --- tokens ---


class TokenServer:
    """Lets into a registry only with a token of its own, each good for some requests."""

    def __init__(self, registry: FakeRegistry, uses: int = 1 << 30, login: str | None = None):
        self.registry, self.uses, self.login = registry, uses, login
        self.given: list[str] = []
        self.left: dict[str, int] = {}
        registry.when("v2", self.guard)
        registry.when("token", self.token)

    def guard(self, handler: Handler) -> bool:
        token = (handler.headers.get("Authorization") or "").removeprefix("Bearer ")
        if self.left.get(token, 0):
            self.left[token] -= 1
            return False
        realm = f'Bearer realm="http://{self.registry.address}/token",service="reg, \\"x\\""'
        return answer(401, WWW_Authenticate=realm + ',scope="registry:catalog:*"')(handler)

    def token(self, handler: Handler) -> bool:
        if self.login and handler.headers.get("Authorization") != self.login:
            return answer(401)(handler)
        token = f"T0KEN{len(self.given)}"
        self.given.append(token)
        self.left[token] = self.uses
        return answer(200, json.dumps({"token": token, "expires_in": 60}).encode())(handler)


def test_an_anonymous_token(registry: FakeRegistry) -> None:
    tokens = TokenServer(registry)
    assert read(registry.reader()) == 1
    assert len(tokens.given) == 1
    asked = next(each.path for each in registry.asked if "/token" in each.path)
    # The scope is what we need, not what the registry would like.
    assert "scope=repository%3Aapp%3Apull" in asked
    assert "service=reg%2C+%22x%22" in asked
    assert "catalog" not in asked


def test_a_token_that_runs_out_is_renewed_once(registry: FakeRegistry) -> None:
    tokens = TokenServer(registry, uses=1)
    assert read(registry.reader()) == 1
    assert len(tokens.given) == 3  # manifest, configuration, layer
    tokens.uses = 0
    tokens.given.clear()
    tokens.left.clear()
    assert "(401)" in str(refusal(registry.reader))
    assert len(tokens.given) == 1


def test_a_token_with_a_login(registry: FakeRegistry) -> None:
    TokenServer(registry, login=BASIC)
    assert read(registry.reader(credentials=LOGIN)) == 1
    wrong = Credentials("gordon", "wrong", origin="config.json")
    assert "refuses the login" in str(refusal(lambda: registry.reader(credentials=wrong)))


def test_an_identity_token(registry: FakeRegistry) -> None:
    TokenServer(registry)
    bodies: list[bytes] = []

    def exchange(handler: Handler) -> bool:
        bodies.append(handler.body)
        return False

    registry.when("POST /token", exchange)
    assert read(registry.reader(credentials=Credentials("", "", "refresh-me", origin="x"))) == 1
    assert b"grant_type=refresh_token" in bodies[0]
    assert b"refresh_token=refresh-me" in bodies[0]


def test_a_token_of_ones_own(registry: FakeRegistry) -> None:
    tokens = TokenServer(registry)
    tokens.left["mine"] = 100
    assert read(registry.reader(credentials=Credentials("", "", "", "mine", "x"))) == 1
    assert not tokens.given


def test_token_servers_that_fail(registry: FakeRegistry) -> None:
    tokens = TokenServer(registry)
    registry.when("token", answer(503), times=1)
    assert read(registry.reader()) == 1
    for body in (b"{}", b"x", b'{"token": "a\\r\\nX-Evil: 1"}', b'{"token": 7}', b"[]"):
        registry.when("token", answer(200, body), times=1)
        assert "gives no token" in str(refusal(registry.reader))
    registry.when("token", answer(503))
    assert "503" in str(refusal(registry.reader))
    assert len(tokens.given) == 1


@pytest.mark.parametrize(
    ("realm", "says"),
    [
        ("http://example.com/token", "without TLS"),
        ("ftp://127.0.0.1/token", "does not say where"),
        ("", "does not say where"),
    ],
)
def test_realms_that_are_not_asked(registry: FakeRegistry, realm: str, says: str) -> None:
    registry.when("v2", answer(401, WWW_Authenticate=f'Bearer realm="{realm}"'))
    assert says in str(refusal(lambda: registry.reader(credentials=LOGIN)))


# --- TLS ---


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[str]:
    """A registry behind a certificate that nobody trusts."""
    key, certificate = tmp_path / "key", tmp_path / "cert"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"],
        check=True,
        capture_output=True,
    )  # fmt: skip

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_tls_on_this_machine_needs_no_certificate(tls_server: str) -> None:
    error = refusal(lambda: RegistryReader(f"docker://{tls_server}/app"))
    assert "forbids us to read app (403)" in str(error)


def test_a_certificate_that_is_not_valid(tls_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerscope.images.registry_client.is_loopback", lambda host: False)
    error = refusal(lambda: RegistryReader(f"docker://{tls_server}/app"))
    assert f"The certificate of {tls_server} is not valid" in str(error)
    assert f"/etc/docker/certs.d/{tls_server}/ca.crt" in error.hint


def test_no_tls_elsewhere(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerscope.images.registry_client.is_loopback", lambda host: False)

    def hang_up(handler: Handler) -> bool:
        handler.reset()
        return True

    registry.when("", hang_up)
    refusal(lambda: RegistryReader(f"docker://{registry.address}/app"))
    assert not registry.asked


def test_plain_http_on_this_machine_alone(registry: FakeRegistry) -> None:
    assert read(RegistryReader(f"docker://{registry.address}/app")) == 1


def test_names_that_are_none() -> None:
    for name in ("docker://", "docker://UPPER", "docker://a b", "docker://x/y@sha256:12"):
        assert "does not name an image" in str(refusal(partial(RegistryReader, name)))
