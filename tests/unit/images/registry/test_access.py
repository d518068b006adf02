"""Who is let in, and where a secret goes: redirects, tokens, TLS."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from layerscope.images.registry.credentials import Credentials
from layerscope.images.registry.reader import RegistryReader
from tests.unit.images.registry.misbehaving_registry import (
    BASIC,
    LOGIN,
    FakeRegistry,
    Handler,
    answer,
    cut_after,
    fake_registry,
    read,
    refusal,
)

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
    assert "rejects the login" in str(refusal(lambda: registry.reader(credentials=wrong)))


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
        assert "issued no token" in str(refusal(registry.reader))
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
    assert "denies access to app (403)" in str(error)


def test_a_certificate_that_is_not_valid(tls_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerscope.images.registry.client.is_loopback", lambda host: False)
    error = refusal(lambda: RegistryReader(f"docker://{tls_server}/app"))
    assert f"The certificate of {tls_server} is not valid" in str(error)
    assert f"/etc/docker/certs.d/{tls_server}/ca.crt" in error.hint


def test_no_tls_elsewhere(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerscope.images.registry.client.is_loopback", lambda host: False)

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
