"""A small registry in this process that misbehaves on demand, and counts requests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import socket
import struct
import tarfile
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from layerscope.errors import LayerscopeError
from layerscope.images.progress import Progress
from layerscope.images.registry.client import RegistryClient
from layerscope.images.registry.credentials import Credentials, Lookup
from layerscope.images.registry.reader import RegistryReader
from layerscope.images.registry.transport import Patience
from layerscope.oci.manifest import OCI_INDEX, OCI_MANIFEST

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
TIME = 1_600_000_000
PIECE = 1 << 16

QUICK = Patience(connect=2, read=1, tries=3, first_wait=0.01, longest_wait=0.02)


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Asked:
    """A request that came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    sent: int = 0  # How many bytes of body it was answered with, as far as they went.
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def range(self) -> str | None:
        return self.headers.get("Range")


def sent_in_all(requests: Iterable[Asked]) -> int:
    """How many bytes of body were sent, once every answer has ended.

    A client may have read the last byte before the registry has noted that it went.
    """
    total = 0
    for each in requests:
        assert each.ended.wait(60), f"{each.method} {each.path} was never answered whole"
        total += each.sent
    return total


Behaviour = Callable[["Handler"], bool]
"""Answers a request and returns True, or leaves it to the next one."""


class FakeRegistry:
    """A registry on loopback, without TLS."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.asked: list[Asked] = []
        self.behaviours: list[Behaviour] = []
        self.ranges = True
        self.promise_digests = True
        self._serve(0)

    def _serve(self, port: int) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.registry = self  # type: ignore[attr-defined]
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self.thread.start()

    def go_away(self, seconds: float) -> None:
        """Accepts no connection for a while; called while a request is handled."""
        port = int(self.address.rpartition(":")[2])
        self.close()
        threading.Timer(seconds, self._serve, [port]).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    # --- what it holds ---

    def blob(self, data: bytes, kind: str, **more: Any) -> dict[str, Any]:
        digest = digest_of(data)
        self.blobs[digest] = data
        return {"mediaType": kind, "digest": digest, "size": len(data), **more}

    def manifest(self, document: object, kind: str, *tags: str) -> dict[str, Any]:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        for name in (*tags, digest_of(data)):
            self.manifests[name] = (kind, data)
        return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}

    def image(
        self,
        layers: Sequence[bytes],
        *tags: str,
        annotations: Sequence[Mapping[str, str]] = (),
        diff_ids: Sequence[str] | None = None,
        plain: Sequence[bytes] | None = None,
        architecture: str = "amd64",
        layer_type: str = LAYER_TYPE,
        created: str | None = None,
    ) -> dict[str, Any]:
        """Stores an image; layers are as they are stored."""
        if diff_ids is None:
            diff_ids = [digest_of(p) for p in plain or [gzip.decompress(each) for each in layers]]
        config = {
            **({"created": created} if created else {}),
            "os": "linux",
            "architecture": architecture,
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
            "history": [{"created_by": f"COPY {n} /"} for n in range(len(layers))],
        }
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(json.dumps(config).encode(), CONFIG_TYPE),
            "layers": [
                self.blob(layer, layer_type, annotations=dict(notes))
                for layer, notes in zip(
                    layers, [*annotations, *({},) * (len(layers) - len(annotations))], strict=True
                )
            ],
        }
        return self.manifest(document, OCI_MANIFEST, *(tags or ("latest",)))

    def index(self, manifests: Sequence[Mapping[str, Any]], *tags: str) -> dict[str, Any]:
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests)}
        return self.manifest(document, OCI_INDEX, *tags)

    def platforms(self, *names: str, tag: str) -> dict[str, str]:
        """Stores an image for some architectures; returns the digests of each and of their index.

        The index has the key `index`.
        """
        inner = []
        for name in names:
            layer = gzip.compress(tar_of({"f": name.encode()}), mtime=0)
            image = self.image([layer], name, architecture=name)
            inner.append({**image, "platform": {"os": "linux", "architecture": name}})
        found = dict(zip(names, (each["digest"] for each in inner), strict=True))
        return {**found, "index": self.index(inner, tag)["digest"]}

    def write_layout(self, folder: Path, tag: str) -> Path:
        """Writes a layout of what it holds, with the image of a tag; returns its blobs' folder."""
        blobs = folder / "blobs/sha256"
        blobs.mkdir(parents=True)
        kind, data = self.manifests[tag]
        top = {"mediaType": kind, "digest": digest_of(data), "size": len(data)}
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
        for content in (*self.blobs.values(), *(each for _, each in self.manifests.values())):
            (blobs / digest_of(content)[7:]).write_bytes(content)
        return blobs

    # --- how it is read ---

    def client(
        self, credentials: Credentials | None = None, patience: Patience = QUICK
    ) -> RegistryClient:
        return RegistryClient(
            self.address,
            "app",
            patience=patience,
            find=lambda domain, repository: Lookup(credentials),
            base=f"http://{self.address}",
        )

    def reader(
        self,
        name: str = "app:latest",
        credentials: Credentials | None = None,
        patience: Patience = QUICK,
        **more: Any,
    ) -> RegistryReader:
        return RegistryReader(
            f"docker://{self.address}/{name}", client=self.client(credentials, patience), **more
        )

    # --- how it misbehaves ---

    def when(self, pattern: str, behaviour: Behaviour, times: int = 1 << 30) -> None:
        """Behaves so for requests whose `METHOD PATH` fits, that many times."""
        left = [times]

        def limited(handler: Handler) -> bool:
            if not left[0] or not re.search(pattern, f"{handler.command} {handler.path}"):
                return False
            left[0] -= 1
            return behaviour(handler)

        self.behaviours.insert(0, limited)

    def blob_requests(self) -> list[Asked]:
        return [each for each in self.asked if "/blobs/" in each.path]


def answer(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    def behave(handler: Handler) -> bool:
        handler.reply(status, body, {k.replace("_", "-"): v for k, v in headers.items()})
        return True

    return behave


def error_body(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def cut_after(count: int) -> Behaviour:
    """Sends so many bytes of the body, then resets the connection."""

    def behave(handler: Handler) -> bool:
        handler.cut = count
        return False

    return behave


@dataclass
class Slowly:
    """Sends a few bytes, then nothing until it is let go."""

    first: int = 1000
    go: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    def __call__(self, handler: Handler) -> bool:
        handler.pause = self
        return False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cut: int | None = None
    pause: Slowly | None = None

    @property
    def registry(self) -> FakeRegistry:
        return self.server.registry  # type: ignore[attr-defined,no-any-return]

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        self.cut = self.pause = None
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        self.asking = Asked(self.command, self.path, dict(self.headers.items()))
        self.registry.asked.append(self.asking)
        try:
            if not any(behaviour(self) for behaviour in list(self.registry.behaviours)):
                self.usual()
        finally:
            self.asking.ended.set()

    do_HEAD = do_POST = do_PATCH = do_PUT = do_GET  # noqa: N815

    def usual(self) -> None:
        name = self.path.rpartition("/")[2]
        if "/manifests/" in self.path and name in self.registry.manifests:
            kind, data = self.registry.manifests[name]
            headers = {"Content-Type": kind}
            if self.registry.promise_digests:
                headers["Docker-Content-Digest"] = digest_of(data)
            self.reply(200, data, headers)
        elif "/blobs/" in self.path and name in self.registry.blobs:
            self.send_blob(self.registry.blobs[name])
        elif self.path == "/v2/":
            self.reply(200, b"{}")
        else:
            self.reply(404, error_body("UNKNOWN", "unknown"))

    def send_blob(self, data: bytes) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if wanted is None or not self.registry.ranges:
            self.reply(200, data)
            return
        start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
        if start >= len(data):
            self.reply(416)
            return
        span = {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
        self.reply(206, data[start:end], span)

    def reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.pause is not None and len(body) > self.pause.first:
            self.write(body[: self.pause.first])
            self.pause.reached.set()
            self.pause.go.wait(600)
            body = body[self.pause.first :]
        if self.cut is not None and len(body) > self.cut:
            self.write(body[: self.cut])
            self.reset()
            return
        self.write(body)

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self.wfile.write(piece)
            self.asking.sent += len(piece)
        self.wfile.flush()

    def reset(self) -> None:
        """Ends the connection so that the client gets what was sent, and then an end."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_WR)
        linger = struct.pack("ii", 0, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@contextmanager
def fake_registry() -> Iterator[FakeRegistry]:
    registry = FakeRegistry()
    try:
        yield registry
    finally:
        registry.close()


def tar_of(files: Mapping[str, bytes | None], **fields: Any) -> bytes:
    """A layer of files and, for None, folders."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mtime = TIME
            if content is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            else:
                member.size = len(content)
            for key, value in fields.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content) if content is not None else None)
    return stream.getvalue()


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress."""
    return hashlib.shake_128(b"%d" % seed).digest(size)


# --- what tests ask of a reader ---

LOGIN = Credentials("gordon", "mola mola", origin="config.json")
BASIC = "Basic " + b64encode(b"gordon:mola mola").decode()
SECRETS = ("mola mola", BASIC.partition(" ")[2], "T0KEN")


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
