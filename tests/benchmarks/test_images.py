"""The list of an engine's images while they are measured: when it is there, and its keys."""

from __future__ import annotations

import json
import re
import shutil
import socketserver
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from statistics import median, quantiles

import pytest

from layerscope.filesystem.stack import Stack
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.oci.byte_source import Stream
from tests.benchmarks.budgets import Table
from tests.benchmarks.measure import compare, environment, layerscope
from tests.benchmarks.synthetic import IMAGES, Files, kept, write_layer
from tests.benchmarks.terminal import Terminal, terminal_environment

ENTRIES = 100_000
#: How many of them a later layer has again.
_AGAIN = 20_000
_LIMIT = 120.0


def _id(number: int) -> str:
    return f"sha256:{number:064x}"


def _layers(number: int) -> list[str]:
    return [f"sha256:{1000 + 2 * number + layer:064x}" for layer in range(2)]


def _name(number: int) -> str:
    return f"layerscope.test/application-{number:02}:latest"


def cached_images() -> Path:
    """A cache folder with the stacks of fifty images of 100,000 entries each, none measured."""

    def make(folder: Path) -> None:
        cache = ChangesetCache(folder / "layerscope", 4 << 30)
        tar = folder / "layer.tar"
        for number in range(IMAGES):
            top = f"opt/application-{number:02}/lib"
            changesets = []
            for count, mtime in ((ENTRIES - _AGAIN, 1_700_000_000), (_AGAIN, 1_700_000_001)):
                write_layer(tar, Files(top, 0, count, mtime=mtime))
                with tar.open("rb") as file:
                    changesets.append(read_changeset(Stream(file.read)))
            cache.put_stack(_layers(number), Stack(changesets))
        tar.unlink()

    return kept("fifty-stacks-1", make)


class _Engine(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    describes = True  # Whether it describes images, without which nothing is measured.


class _Handler(BaseHTTPRequestHandler):
    server: _Engine

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        *_, name, last = ["", *path.split("/")]
        if last == "events":
            self.send_response(200)
            self.end_headers()
            threading.Event().wait(_LIMIT)
            return
        answer = self._answer(path, name, last)
        body = json.dumps({"message": "no"} if answer is None else answer).encode()
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, path: str, name: str, last: str) -> object:
        if last == "version":
            return {"ApiVersion": "1.41", "Version": "28", "Os": "linux", "Arch": "amd64"}
        if path.endswith("/images/json"):
            return [
                {
                    "Id": _id(number),
                    "RepoTags": [_name(number)],
                    "Created": 1_700_000_000 - number,
                    "Size": 10_000_000 + number,
                }
                for number in range(IMAGES)
            ]
        if path.endswith("/containers/json"):
            return []
        if "/images/" in path and last == "json" and self.server.describes:
            number = int(name.removeprefix("sha256:"), 16)
            return {
                "Id": _id(number),
                "RepoTags": [_name(number)],
                "Os": "linux",
                "Architecture": "amd64",
                "RootFS": {"Layers": _layers(number)},
            }
        return {"Images": []} if last == "df" else None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def engine() -> Iterator[tuple[_Engine, str]]:
    """An engine that describes the images, and cannot be read in any other way."""
    folder = tempfile.mkdtemp(prefix="lsc-img-")
    with _Engine(f"{folder}/s", _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, f"unix://{folder}/s"
        server.shutdown()
    shutil.rmtree(folder)


@contextmanager
def started(host: str) -> Iterator[Terminal]:
    """The list of images, with a cache of which nothing has been measured."""
    cache = Path(tempfile.mkdtemp(prefix="lsc-img-"))
    try:
        source = cached_images() / "layerscope"
        (cache / "layerscope").mkdir()
        for path in source.iterdir():
            (cache / "layerscope" / path.name).symlink_to(path)
        env = terminal_environment(
            **environment(DOCKER_HOST=host, XDG_CACHE_HOME=str(cache), NO_COLOR="")
        )
        with Terminal(layerscope(), env, columns=160, lines=60) as terminal:
            yield terminal
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def listed(text: str) -> bool:
    return "50 images" in text


def measured(text: str) -> bool:
    """Whether all images in sight are; what is not known yet is shown by an ellipsis."""
    return listed(text) and not re.search(r"  …", text)


def until_listed(server: _Engine, host: str, *, describes: bool) -> float:
    server.describes = describes
    with started(host) as terminal:
        return terminal.wait_for(listed, limit=_LIMIT)


def test_the_list_is_there_as_fast(engine: tuple[_Engine, str], table: Table) -> None:
    ratio = compare(
        partial(until_listed, *engine, describes=True),
        partial(until_listed, *engine, describes=False),
        rounds=7,
    )
    table.record("images-listed", ratio.value, spread=ratio.spread, note=ratio.note)


def test_keys_while_images_are_measured(engine: tuple[_Engine, str], table: Table) -> None:
    server, host = engine
    server.describes = True
    with started(host) as terminal:
        terminal.wait_for(listed, limit=_LIMIT)
        times: list[float] = []
        while not measured(terminal.text):
            for key in "jjjk":
                answer = terminal.ask(key, quiet=0.02)
                if answer.bytes:
                    times.append(1000 * answer.first)
            shown = time.perf_counter() - terminal.started
            assert shown < _LIMIT, terminal.text
    assert times, "no key was answered"
    high = quantiles(times, n=20, method="inclusive")[-1]
    note = f"p50 {median(times):.0f} ms, {len(times)} keys; all were measured after {shown:.1f} s"
    table.record("images-keys", high, spread=(min(times), max(times)), note=note)
