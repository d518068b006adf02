"""Commands against engines and registries that answer anything, and damaged folders of their own.

Never a traceback, never a bug report, never an exit code that has no meaning, and never a hang.
`LAYERSCOPE_FUZZ_SECONDS` sets how long all of it takes, roughly.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerscope import cli
from layerscope.images.registry import client as registry_client
from layerscope.images.registry.transport import Patience
from tests.archives import docker_archive, folder, layer_tar, text, whiteout, write
from tests.fuzz.junk import JUNK, damaged, damaged_bytes
from tests.unit.images.registry.misbehaving_registry import (
    FakeRegistry,
    Handler,
    answer,
    fake_registry,
)

SECONDS = int(os.environ.get("LAYERSCOPE_FUZZ_SECONDS", "30"))
GENEROUS = 120  # Seconds after which a command is taken for hanging, also on a busy machine.

Capsys = pytest.CaptureFixture[bytes]


def fuzzed(share: float) -> settings:
    """So many examples for each second."""
    return settings(
        max_examples=int(share * SECONDS),
        deadline=None,
        database=None,
        suppress_health_check=[*HealthCheck],
    )


class Hangs(BaseException):
    """Not an Exception, which a command would report."""


@contextmanager
def watched() -> Iterator[None]:
    def hang(number: int, frame: FrameType | None) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(GENEROUS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(capsys: Capsys, *arguments: str) -> None:
    """Runs a command, and checks what must be true whatever it met."""
    capsys.readouterr()
    with watched():
        try:
            code = cli.main(arguments)
        except SystemExit as error:
            raise AssertionError(f"{arguments} raised {error!r}") from None
    out, err = capsys.readouterr()
    said = err.decode("utf-8", "replace")
    assert code in (0, 1, 2, 130), (arguments, code)
    assert "Traceback" not in said, (arguments, said)
    assert "This is a bug" not in said, (arguments, said)
    assert "S3CRET" not in said + out.decode("utf-8", "replace"), (arguments, said)
    assert b"\x1b" not in out + err, (arguments, out, err)


# --- an engine ---

LAYERS = [
    layer_tar([folder("etc"), text("etc/a", "one\n"), text("etc/gone", "x" * 100)]),
    layer_tar([text("etc/a", "two\n"), whiteout("etc/gone")]),
]
DIFF_IDS = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in LAYERS]
EXPORT = docker_archive(LAYERS, "app:1")
with tarfile.open(fileobj=io.BytesIO(EXPORT)) as _archive:
    _manifest = _archive.extractfile("manifest.json")
    assert _manifest is not None
    ID = "sha256:" + json.load(_manifest)[0]["Config"].removesuffix(".json").rpartition("/")[2]
CONTAINER = "c" * 64
CREATED = "2020-01-01T00:00:00.5Z"

ENGINE: dict[str, Any] = {
    "/version": {
        "ApiVersion": "1.51",
        "Version": "28.5",
        "Os": "linux",
        "Arch": "amd64",
        "Components": [{"Name": "Engine", "Version": "28.5"}],
    },
    "/images/json": [
        {
            "Id": ID,
            "ParentId": "",
            "RepoTags": ["app:1"],
            "RepoDigests": [f"app@{ID}"],
            "Created": 1577836800,
            "Size": 108,
            "SharedSize": 0,
            "Labels": {"a": "b"},
            "Containers": 1,
        }
    ],
    "/images/app/json": {
        "Id": ID,
        "RepoTags": ["app:1"],
        "RepoDigests": [f"app@{ID}"],
        "Parent": "",
        "Created": CREATED,
        "Os": "linux",
        "Architecture": "amd64",
        "Size": 108,
        "RootFS": {"Type": "layers", "Layers": DIFF_IDS},
        "GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": "/nowhere"}},
        "Config": {"Env": ["A=b"], "OnBuild": ["RUN x"], "Labels": {"a": "b"}},
        "Manifests": [
            {
                "ID": ID,
                "Kind": "image",
                "Available": True,
                "Descriptor": {"mediaType": "x", "digest": ID, "size": 5},
                "ImageData": {"Platform": {"os": "linux", "architecture": "amd64"}},
            }
        ],
    },
    "/history": [
        {"Id": ID, "Created": 1577836800, "CreatedBy": "COPY a /etc/a", "Size": 4, "Comment": ""},
        {"Id": "<missing>", "Created": 1577836800, "CreatedBy": "ADD x", "Size": 104, "Tags": None},
    ],
    "/get": EXPORT,
    "/containers/json": [
        {"Id": CONTAINER, "Names": ["/box"], "ImageID": ID, "State": "exited", "Image": "app:1"}
    ],
    "/containers/box/json": {
        "Id": CONTAINER,
        "Name": "/box",
        "Image": ID,
        "GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": "/nowhere"}},
        "ImageManifestDescriptor": {
            "digest": ID,
            "platform": {"os": "linux", "architecture": "amd64"},
        },
    },
    "/changes": [{"Path": "/etc/a", "Kind": 0}, {"Path": "/new", "Kind": 1}],
    "/export": layer_tar([folder("etc"), text("etc/a", "three\n"), text("new", "n\n")]),
    "/archive": layer_tar([text("new", "n\n")]),
    "/system/df": {
        "Images": [{"Id": ID, "SharedSize": 0}],
        "BuildCache": [{"ID": "x", "Shared": True}],
        "LayersSize": 108,
    },
    "/info": {
        "Driver": "overlay2",
        "DockerRootDir": "/nowhere",
        "DriverStatus": [["Backing Filesystem", "extfs"]],
        "ServerVersion": "28.5",
    },
    "/_ping": b"OK",
    "": {"message": "no such thing"},
}

ENGINE_COMMANDS = [
    ["images", "--json"],
    ["images"],
    ["inspect", "docker-daemon:app"],
    ["inspect", "docker-daemon:app", "--json"],
    ["history", "docker-daemon:app", "/etc/a"],
    ["files", "docker-daemon:app", "--json-lines"],
    ["waste", "docker-daemon:app"],
    ["dockerfile", "docker-daemon:app"],
    ["files", "container:box"],
    ["find", "etc", "--index"],
    ["rm", "app"],
    ["rm", "--dry-run", "app"],
]

Answer = tuple[int, bytes]


class Engine:
    """A server at DOCKER_HOST; answers by the end of the path, the longest that fits."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        engine = self

        class Answers(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                path = path.replace(ID, "app").replace(CONTAINER, "box").replace("app:1", "app")
                end = max((each for each in engine.answers if path.endswith(each)), key=len)
                status, body = engine.answers[end]
                self.send_response(status if end else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        serve = partial(self.server.serve_forever, 0.02)
        threading.Thread(target=serve, daemon=True).start()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    found = Engine()
    port = found.server.server_address[1]
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
    monkeypatch.setenv("LAYERSCOPE_CACHE_LIMIT", "0")
    yield found
    found.server.shutdown()
    found.server.server_close()


def whole(answer: object) -> bytes:
    return answer if isinstance(answer, bytes) else json.dumps(answer).encode()


@st.composite
def engine_answers(draw: st.DrawFn) -> dict[str, Answer]:
    answers = {end: (200, whole(answer)) for end, answer in ENGINE.items()}
    for _ in range(draw(st.integers(1, 2))):
        end = draw(st.sampled_from([*ENGINE]))
        answer = ENGINE[end]
        body = damaged_bytes(answer) if isinstance(answer, bytes) else damaged(answer)
        status = draw(st.sampled_from([200, 200, 200, 200, 201, 204, 304, 404, 409, 500]))
        answers[end] = (status, draw(body))
    return answers


def test_the_engine_is_one(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.answers = {end: (200, whole(answer)) for end, answer in ENGINE.items()}
    for command in ENGINE_COMMANDS[:10]:
        assert cli.main(command) == 0, (command, capsys.readouterr().err)


@fuzzed(2)
@given(answers=engine_answers(), command=st.sampled_from(ENGINE_COMMANDS))
def test_an_engine_that_answers_anything(
    engine: Engine, capfdbinary: Capsys, answers: dict[str, Answer], command: list[str]
) -> None:
    engine.answers = answers
    check(capfdbinary, *command)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_export_with_other_layers_than_were_announced(
    engine: Engine, capfdbinary: Capsys, count: int
) -> None:
    engine.answers = {end: (200, whole(answer)) for end, answer in ENGINE.items()}
    layers = [*DIFF_IDS, "sha256:" + "0" * 64][:count]
    inspected = {**ENGINE["/images/app/json"], "RootFS": {"Type": "layers", "Layers": layers}}
    engine.answers["/images/app/json"] = (200, whole(inspected))
    for command in ENGINE_COMMANDS:
        check(capfdbinary, *command)


# --- a registry ---

REGISTRY_COMMANDS = [["inspect"], ["files"], ["waste"], ["dockerfile"], ["inspect", "--json"]]
HEADERS = [
    *("Content-Length", "Content-Type", "Content-Range", "Docker-Content-Digest", "Location"),
    *("WWW-Authenticate", "Retry-After", "Transfer-Encoding", "Content-Encoding", "X"),
]
STATUSES = [200, 200, 200, 201, 204, 206, 301, 307, 400, 401, 403, 404, 416, 418, 429, 500, 503]
VALUES = st.one_of(
    st.sampled_from(
        [
            *("", "0", "-1", "1", "99999999999", "x", "chunked", "gzip", "bytes 0-1/2"),
            *("bytes 5-1/0", "/", "//[", "http://[::", "ftp://x", "https://127.0.0.1:1/"),
            *('Basic realm="x"', 'Bearer realm="http://[::"', "Bearer", "Negotiate", '"'),
            *("Bearer realm=x,scope=y", "a" * 70_000, "sha256:" + "0" * 64, "\x80\xff"),
        ]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30),
)


@st.composite
def registry_answer(draw: st.DrawFn) -> Callable[[Handler, FakeRegistry], bool]:
    """Damages what a part of the requests get: the status, headers, and the body."""
    part = draw(st.sampled_from(["manifests/", "blobs/", "", "HEAD", "token"]))
    status = draw(st.sampled_from(STATUSES))
    headers = draw(st.dictionaries(st.sampled_from(HEADERS), VALUES, max_size=2))
    seed = draw(st.integers(0, 1 << 16))
    junk = draw(st.one_of(st.none(), st.binary(max_size=50), damaged({"token": "t", "errors": []})))

    def behave(handler: Handler, registry: FakeRegistry) -> bool:
        if part not in f"{handler.command} {handler.path}":
            return False
        name = handler.path.rpartition("/")[2]
        body = junk
        if body is None:
            body = registry.manifests.get(name, ("", registry.blobs.get(name, b"")))[1]
            body = body[: seed % (len(body) + 1)]
        handler.reply(status, body, headers)
        return True

    return behave


@st.composite
def registry_image(draw: st.DrawFn) -> tuple[bytes, bytes, list[bytes]]:
    """A manifest, a configuration and layers, each perhaps damaged, with digests that fit."""
    layers = [draw(st.one_of(st.just(layer), damaged_bytes(layer))) for layer in LAYERS]
    plain = {"rootfs": {"diff_ids": DIFF_IDS}, "os": "linux", "architecture": "amd64"}
    config: dict[str, Any] = {
        **plain,
        "created": CREATED,
        "config": {"Env": ["A=b"], "Labels": {"a": "b"}},
        "history": [{"created": CREATED, "created_by": f"COPY {n}", "comment": ""} for n in (1, 2)],
    }
    data = draw(st.one_of(st.just(whole(config)), damaged(config)))

    def descriptor(kind: str, content: bytes) -> dict[str, Any]:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        return {"mediaType": kind, "digest": digest, "size": len(content), "annotations": {}}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", data),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", each) for each in layers],
    }
    document = draw(st.one_of(st.just(whole(manifest)), damaged(manifest)))
    return document, data, layers


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    quick = partial(Patience, 5, 1, 2, first_wait=0.001, longest_retry_after=0.01)
    monkeypatch.setattr(registry_client, "Patience", quick)
    with fake_registry() as found:
        yield found


@fuzzed(1)
@given(
    image=registry_image(),
    behaves=st.one_of(st.none(), registry_answer()),
    command=st.sampled_from(REGISTRY_COMMANDS),
)
def test_a_registry_that_answers_anything(
    registry: FakeRegistry,
    capfdbinary: Capsys,
    image: tuple[bytes, bytes, list[bytes]],
    behaves: Callable[[Handler, FakeRegistry], bool] | None,
    command: list[str],
) -> None:
    document, config, layers = image
    registry.behaviours.clear()
    for content in (config, *layers):
        registry.blob(content, "")
    registry.manifest(document, "application/vnd.oci.image.manifest.v1+json", "1")
    if behaves is not None:
        registry.when("", lambda handler: behaves(handler, registry))
    check(capfdbinary, *command, f"docker://{registry.address}/app:1")
    # Again, with what was kept.
    check(capfdbinary, *command, f"docker://{registry.address}/app:1")


# --- folders of its own ---

FOLDER_COMMANDS = [
    ["inspect", "IMAGE"],
    ["files", "IMAGE"],
    ["ci", "IMAGE"],
    ["config"],
    ["config", "show", "--json"],
    ["jobs"],
    ["jobs", "list", "--json"],
    ["jobs", "attach", "7"],
    ["jobs", "attach", "7", "--json-lines"],
    ["jobs", "cancel", "7"],
    ["build", "--dry-run", "CONTEXT"],
    ["lint", "CONTEXT/Dockerfile", "--no-hadolint"],
    ["images"],
    ["inspect", "REGISTRY"],
]
JOB = {
    "kind": "build",
    "title": "app:1",
    "started": 1577836800.0,
    "directory": "/",
    "spec": {"context": "/", "dockerfile": "/Dockerfile", "tags": ["app:1"], "builder": "classic"},
}
EVENTS = [
    {"event": "plan", "steps": 1, "plan": [[1, 1, "FROM scratch"]], "chain": [1]},
    {"event": "context", "size": 5, "files": 1, "ignored": 0, "largest": [["a", 5]]},
    {"event": "step_started", "step": 1, "steps": 1, "instruction": "FROM scratch", "line": 1},
    {"event": "log", "step": 1, "text": "hello"},
    {"event": "step_committed", "step": 1, "image": ID, "size": 5, "added": 1, "seconds": 0.5},
    {"event": "finished", "image": ID, "size": 5, "wasted": 0, "tags": ["app:1"], "seconds": 1.0},
]
LOGIN = {"auths": {"127.0.0.1:1": {"auth": "bWU6UzNDUkVU"}}, "credHelpers": {}, "credsStore": ""}


#: What stands in the place of a file or folder; mostly, a file with other bytes.
WAYS = ["junk", "junk", "junk", "changed", "cut", "fifo", "zero", "loop", "folder"]


META = {
    "Name": "there",
    "Endpoints": {"docker": {"Host": "tcp://me:S3CRET@127.0.0.1:1", "SkipTLSVerify": False}},
}
DOCUMENTS = [JOB, *EVENTS, LOGIN, META, {"exit_code": 0, "ended": 1577836801.0}]


def make_home(home: Path) -> None:
    """Writes what layerscope and the programs beside it keep in a home folder."""
    shutil.rmtree(home, ignore_errors=True)
    files: dict[str, object] = {
        ".config/layerscope/config.toml": b'theme = "dark"\n[keys]\nmain.filter = "F"\n',
        ".local/state/layerscope/jobs/7/job.json": JOB,
        ".local/state/layerscope/jobs/7/result.json": {"exit_code": 0, "ended": 1577836801.0},
        ".local/state/layerscope/jobs/7/events.jsonl": b"\n".join(map(whole, [*EVENTS, b""])),
        ".local/state/layerscope/jobs/7/lock": b"1",
        ".local/state/layerscope/jobs/7/inputs.json": {"files": {}, "sources": {}},
        ".docker/config.json": {**LOGIN, "currentContext": "there"},
        ".config/containers/auth.json": LOGIN,
        ".config/docker/daemon.json": {"insecure-registries": ["127.0.0.0/8"]},
        ".config/containers/registries.conf": b'[[registry]]\nprefix = "a"\ninsecure = true\n',
        "context/Dockerfile": b"FROM scratch\nCOPY a /\n",
        "context/.dockerignore": b"b\n",
        "context/layerscope.toml": b"[ci]\nlowest-efficiency = 0.5\n",
        "context/a": b"a\n",
    }
    context = hashlib.sha256(b"there").hexdigest()
    files[f".docker/contexts/meta/{context}/meta.json"] = META
    for name, content in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole(content))


def damage(path: Path, way: str, data: bytes) -> None:
    """Puts something else in the place of a file or folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if way == "fifo":
        os.mkfifo(path)
    elif way == "zero":
        path.symlink_to("/dev/zero")
    elif way == "loop":
        path.symlink_to(path)
    elif way == "folder":
        path.mkdir()
    else:
        path.write_bytes(data)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DOCKER_HOST", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home/.cache"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "home/run"))
    write(tmp_path / "image.tar", EXPORT)
    return tmp_path / "home"


@fuzzed(0.7)
@given(data=st.data(), command=st.sampled_from(FOLDER_COMMANDS))
def test_damaged_folders(
    home: Path, capfdbinary: Capsys, registry: FakeRegistry, data: st.DataObject, command: list[str]
) -> None:
    make_home(home)
    names = {
        "IMAGE": str(home.parent / "image.tar"),
        "CONTEXT": str(home / "context"),
        "CONTEXT/Dockerfile": str(home / "context/Dockerfile"),
        "REGISTRY": f"docker://{registry.address}/app:1",
    }
    registry.behaviours.clear()
    registry.when("", answer(401, WWW_Authenticate="Basic"))
    arguments = [names.get(word, word) for word in command]
    check(capfdbinary, "inspect", names["IMAGE"])  # Fills the cache.
    # Not drawn from the places themselves: the cache may have more or fewer.
    places = sorted(path for path in home.rglob("*") if path.name != "a")
    for number in data.draw(st.lists(st.integers(0, 1 << 16), min_size=1, max_size=3)):
        path = places[number % len(places)]
        way = data.draw(st.sampled_from(WAYS))
        junk = data.draw(st.one_of(JUNK.map(whole), *map(damaged, DOCUMENTS)))
        cut, change = data.draw(st.floats(0, 1)), data.draw(st.binary(max_size=3))
        if not os.path.lexists(path):
            continue
        if way == "changed" and path.is_file():
            content = path.read_bytes()
            place = int(cut * len(content))
            junk = content[:place] + change + content[place + len(change) :]
        elif way == "cut" and path.is_file():
            content = path.read_bytes()
            junk = content[: int(cut * len(content))]
        damage(path, way, junk)
    with contextlib.chdir(home.parent):
        check(capfdbinary, *arguments)
