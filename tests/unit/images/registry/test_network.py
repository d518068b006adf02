"""The way to a registry: proxies, registries that need no TLS, and Docker Hub's other names."""

from __future__ import annotations

import gzip
import io
import json
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from urllib3 import BaseHTTPResponse, HTTPResponse

from layerscope.engines.resolve import open_image
from layerscope.images.registry import insecure as insecure_registries
from layerscope.images.registry.insecure import is_insecure
from layerscope.images.registry.reader import RegistryReader
from layerscope.images.registry.transport import Transport, proxy_for
from tests.command import run
from tests.unit.images.registry.misbehaving_registry import (
    BASIC,
    FakeRegistry,
    answer,
    fake_registry,
    read,
    refusal,
    tar_of,
)

HOST = "registry.test:5000"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No proxy, and settings in a folder of the test's own."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("CONTAINERS_REGISTRIES_CONF", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr(insecure_registries, "_DOCKER", str(tmp_path / "daemon.json"))
    monkeypatch.setattr(insecure_registries, "_CONTAINERS", str(tmp_path / "registries.conf"))
    return tmp_path


class Proxy(ThreadingHTTPServer):
    """A proxy that leads every request to one server, whatever host it is for.

    If it has a `login`, it refuses requests without that one.
    """

    daemon_threads = True

    def __init__(self, target: str, login: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.target = target
        self.login = login
        self.asked: list[str] = []
        self.logins: set[str | None] = set()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class ProxyHandler(BaseHTTPRequestHandler):
    server: Proxy

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        login = self.headers.get("Proxy-Authorization")
        self.server.logins.add(login)
        if self.server.login in (None, login):
            return True
        self.send_error(407)
        return False

    def _note(self) -> socket.socket:
        self.server.asked.append(f"{self.command} {self.path}")
        host, _, port = self.server.target.partition(":")
        return socket.create_connection((host, int(port)))

    def do_GET(self) -> None:
        with self._note() as there:
            path = "/" + self.path.split("/", 3)[3]
            lines = [f"{self.command} {path} HTTP/1.1", "Connection: close"]
            kept = (f"{k}: {v}" for k, v in self.headers.items() if "connection" not in k.lower())
            there.sendall("\r\n".join([*lines, *kept, "", ""]).encode())
            while piece := there.recv(1 << 16):
                self.wfile.write(piece)
        self.close_connection = True

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_CONNECT(self) -> None:
        with self._note() as there:
            self.send_response(200)
            self.end_headers()
            pair = (self.connection, there)
            while True:
                for one in select.select(pair, (), ())[0]:
                    piece = one.recv(1 << 16)
                    if not piece:
                        self.close_connection = True
                        return
                    pair[one is pair[0]].sendall(piece)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy(registry: FakeRegistry) -> Iterator[Proxy]:
    with Proxy(registry.address) as running:
        yield running
        running.shutdown()


def insecure() -> RegistryReader:
    return RegistryReader(f"docker://{HOST}/app", insecure=True)


# --- proxies ---


def test_http_through_a_proxy(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:s%20cret@{proxy.address}")
    assert read(insecure()) == 1
    assert f"GET http://{HOST}/v2/app/manifests/latest" in proxy.asked
    assert proxy.logins == {"Basic bWU6cyBjcmV0"}


@pytest.fixture
def certificate(registry: FakeRegistry, tmp_path: Path) -> Path:
    """That of the registry, which speaks TLS."""
    key, certificate = tmp_path / "key", tmp_path / "cert"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=registry.test",
         "-addext", "subjectAltName=DNS:registry.test"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    registry.server.socket = context.wrap_socket(registry.server.socket, server_side=True)
    return certificate


def trust(certificate: Path, home: Path) -> Path:
    """Puts the certificate of the registry's authority where Podman's users have it."""
    folder = home / ".config/containers/certs.d" / HOST
    folder.mkdir(parents=True)
    return Path(shutil.copy(certificate, folder / "ca.crt"))


def test_tls_through_a_proxy(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certificate: Path
) -> None:
    with Proxy(registry.address) as proxy:
        monkeypatch.setenv("https_proxy", proxy.address)
        source = f"docker://{HOST}/app"
        assert "certificate of registry.test:5000 is not valid" in str(
            refusal(lambda: RegistryReader(source))
        )
        trusted = trust(certificate, tmp_path)
        assert read(RegistryReader(source)) == 1
        assert set(proxy.asked) == {f"CONNECT {HOST}"}
        trusted.unlink()
        monkeypatch.setenv("http_proxy", "127.0.0.1:1")  # where nothing listens
        assert read(insecure()) == 1
        proxy.shutdown()


LOGIN = "Basic bWU6cyBjcmV0"


def test_a_proxy_that_wants_a_login(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Proxy(registry.address, LOGIN) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        assert "The proxy on the way to registry.test:5000 requires a login (407)." in str(
            refusal(insecure)
        )
        monkeypatch.setenv("HTTP_PROXY", f"http://me:s%20cret@{proxy.address}")
        assert read(insecure()) == 1
        proxy.shutdown()


def test_a_tunnel_that_wants_a_login(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certificate: Path
) -> None:
    source = f"docker://{HOST}/app"
    trust(certificate, tmp_path)
    with Proxy(registry.address, LOGIN) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:wrong@{proxy.address}")
        error = refusal(lambda: RegistryReader(source))
        assert "The proxy on the way to registry.test:5000 requires a login (407)." in str(error)
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:s%20cret@{proxy.address}")
        assert read(RegistryReader(source)) == 1
        assert set(proxy.asked) == {f"CONNECT {HOST}"}
        proxy.shutdown()


def test_a_proxy_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    error = refusal(lambda: RegistryReader(f"docker://{HOST}/app"))
    assert "The proxy on the way to registry.test:5000 rejected the request." in str(error)


@pytest.mark.parametrize(
    ("bypassed", "url"),
    [
        ("registry.test", "https://registry.test:5000/v2/"),
        ("registry.test:5000", "https://registry.test:5000/v2/"),
        (".test", "https://registry.test/v2/"),
        ("a.test, registry.test", "https://registry.test/v2/"),
        ("*", "https://registry.test/v2/"),
        ("10.0.0.0/8", "https://10.1.2.3:5000/v2/"),
        ("x/y,10.0.0.0/8", "https://10.1.2.3:5000/v2/"),
        ("fd00::/8", "https://[fd00::1]:5000/v2/"),
        ("", "https://127.0.0.1:5000/v2/"),
        ("", "http://localhost/v2/"),
    ],
)
def test_no_proxy(monkeypatch: pytest.MonkeyPatch, bypassed: str, url: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", bypassed)
    assert proxy_for(url) is None


@pytest.mark.parametrize("bypassed", ["", "egistry.test", "registry.test:5001", "11.0.0.0/8"])
def test_proxy(monkeypatch: pytest.MonkeyPatch, bypassed: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", bypassed)
    assert proxy_for("https://registry.test:5000/v2/") == "http://proxy.test:3128"
    assert proxy_for("https://10.0.0.1/v2/") == "http://proxy.test:3128"
    assert proxy_for("http://registry.test/v2/") is None


# --- registries that need no TLS ---


def test_the_command_has_an_option_for_it(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.address)
    monkeypatch.setenv("HTTPS_PROXY", proxy.address)
    source = f"docker://{HOST}/app"
    outcome = run(capsys, "files", source)
    assert outcome.code == 2
    outcome = run(capsys, "files", "--insecure", source)
    assert outcome.code == 0
    assert outcome.out.endswith("/a\n")


def test_so_do_the_settings(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, no_settings: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.address)
    (no_settings / "daemon.json").write_text(json.dumps({"insecure-registries": [HOST]}))
    reader = open_image(f"docker://{HOST}/app", cache=False)
    reader.close()
    assert reader.image.reference == f"{HOST}/app:latest"


def test_a_login_may_go_there_without_tls_but_nowhere_else(
    registry: FakeRegistry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, no_settings: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.address)
    auth = BASIC.removeprefix("Basic ")
    (no_settings / "docker").mkdir()
    (no_settings / "docker/config.json").write_text(json.dumps({"auths": {HOST: {"auth": auth}}}))
    realm = ["http://elsewhere.test/token"]

    def wants_token(handler: object) -> bool:
        headers = handler.headers  # type: ignore[attr-defined]
        if headers.get("Authorization") == "Bearer let-me-in":
            return False
        challenge = f'Bearer realm="{realm[0]}",service="x"'
        return answer(401, WWW_Authenticate=challenge)(handler)  # type: ignore[arg-type]

    registry.when("v2", wants_token)
    registry.when("/token", answer(200, b'{"token": "let-me-in"}'))
    assert "without TLS" in str(refusal(insecure))
    assert not [each for each in registry.asked if "token" in each.path]
    realm[0] = f"http://{HOST}/token"
    assert read(insecure()) == 1
    (asked,) = [each for each in registry.asked if "token" in each.path]
    assert asked.headers["Authorization"] == BASIC


def test_docker_s_list(no_settings: Path) -> None:
    entries = ["a.test", "b.test:5000", "10.0.0.0/8", "fd00::/8", 7]
    (no_settings / "daemon.json").write_text(json.dumps({"insecure-registries": entries}))
    for domain in ("a.test", "b.test:5000", "10.1.2.3", "10.1.2.3:80", "[fd00::1]:80"):
        assert is_insecure(domain, "app"), domain
    for domain in ("b.test", "a.test:5000", "sub.a.test", "11.0.0.1", "[fe00::1]", "7"):
        assert not is_insecure(domain, "app"), domain


def test_podman_s_lists(no_settings: Path) -> None:
    (no_settings / "registries.conf").write_text(
        '[[registry]]\nlocation = "a.test"\ninsecure = true\n'
        '[[registry]]\nprefix = "a.test/safe"\nlocation = "b.test"\n'
        '[[registry]]\nprefix = "*.c.test/open"\ninsecure = true\n'
        '[[registry]]\nlocation = "d.test"\ninsecure = true\n'
    )
    folder = no_settings / "registries.conf.d"
    folder.mkdir()
    (folder / "1.conf").write_text('[[registry]]\nlocation = "d.test"\ninsecure = false\n')
    (folder / "2.conf").write_text('[registries.insecure]\nregistries = ["e.test:5000"]\n')
    assert is_insecure("a.test", "x/y")
    assert not is_insecure("a.test", "safe/x")
    assert is_insecure("a.test", "safer/x")
    assert is_insecure("x.c.test", "open/x")
    assert not is_insecure("c.test", "open/x")
    assert not is_insecure("x.c.test", "x")
    assert not is_insecure("d.test", "x")
    assert is_insecure("e.test:5000", "x")
    assert not is_insecure("a.test:5000", "x")


@pytest.mark.parametrize("text", ["{", "[]", '{"insecure-registries": 7}', "[[registry]", "\xff"])
def test_damaged_settings_allow_nothing(no_settings: Path, text: str) -> None:
    for name in ("daemon.json", "registries.conf"):
        (no_settings / name).write_bytes(text.encode("latin-1"))
    assert not is_insecure("a.test", "app")


# --- Docker Hub ---


def test_docker_hub_is_asked_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the answers of Docker's "Registry authentication" and "Token authentication"."""
    with fake_registry() as images:
        images.image([gzip.compress(tar_of({"a": b"1"}))], "3")
    asked: list[tuple[str, str | None]] = []

    def hub(
        self: Transport, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> BaseHTTPResponse:
        asked.append((f"{method} {url}", headers.get("Authorization")))
        where, _, path = url.partition("/v2/library/alpine/")
        if url.startswith("https://auth.docker.io/token?"):
            return said(200, b'{"token": "let-me-in", "expires_in": 300}')
        assert where == "https://registry-1.docker.io"
        if headers.get("Authorization") != "Bearer let-me-in":
            scope = "repository:library/alpine:pull"
            challenge = (
                'Bearer realm="https://auth.docker.io/token",'
                f'service="registry.docker.io",scope="{scope}"'
            )
            return said(401, b'{"errors": [{"code": "UNAUTHORIZED"}]}', challenge)
        kind, _, name = path.partition("/")
        data = images.manifests[name][1] if kind == "manifests" else images.blobs[name]
        return said(200, data)

    def said(status: int, data: bytes, challenge: str = "") -> BaseHTTPResponse:
        headers = {"WWW-Authenticate": challenge} if challenge else {}
        return HTTPResponse(io.BytesIO(data), headers, status, preload_content=False)

    monkeypatch.setattr(Transport, "request", hub)
    for name in ("alpine:3", "docker.io/alpine:3", "index.docker.io/library/alpine:3"):
        asked.clear()
        reader = RegistryReader(f"docker://{name}")
        assert reader.image.reference == "alpine:3"
        assert reader.image.source == "docker://docker.io/library/alpine:3"
        assert asked[0] == ("GET https://registry-1.docker.io/v2/library/alpine/manifests/3", None)
        token, login = asked[1]
        assert token.startswith("GET https://auth.docker.io/token?")
        assert "service=registry.docker.io" in token
        assert "scope=repository%3Alibrary%2Falpine%3Apull" in token
        assert login is None
        assert asked[2] == (asked[0][0], "Bearer let-me-in")
