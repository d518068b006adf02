"""Saves, loads and pushes between engines as jobs, and archives of several images."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from layerscope.images.progress import Progress
from layerscope.jobs.job import Job, State
from layerscope.jobs.journal import events
from layerscope.jobs.launch import cancel
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.request import SAVE, SaveRequest
from layerscope.transfer.saving import save
from layerscope.writing import existing
from tests.archives import docker_archive, layer_tar, plain_tar, saved, text
from tests.engines.fixtures import running_engine
from tests.truth.command import environment, run_program
from tests.unit.images.registry.misbehaving_registry import (
    Handler,
    digest_of,
    fake_registry,
    noise,
    tar_of,
)

pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of commands with a store, jobs and a cache of their own."""
    places = {name: str(tmp_path / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME")}
    monkeypatch.setenv("XDG_STATE_HOME", places["XDG_STATE_HOME"])
    store = {"LAYERSCOPE_STORE": str(tmp_path / "store"), "LAYERSCOPE_ENGINE": "embedded"}
    return {**places, **store}


def layerscope(here: Mapping[str, str], *arguments: str | Path, code: int = 0) -> str:
    command = [sys.executable, "-m", "layerscope", *map(str, arguments)]
    run = run_program(command, {**environment(), **here})
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout + run.stderr


@pytest.fixture
def halting() -> Iterator[str]:
    """An image in a registry that sends half of its layer, and no more until the test is over."""
    over, layer = threading.Event(), gzip.compress(tar_of({"a": noise(1 << 21)}), mtime=0)

    def halt(handler: Handler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(layer)))
        handler.end_headers()
        handler.write(layer[: len(layer) // 2])
        return over.wait(120)

    with fake_registry() as registry:
        registry.image([layer])
        registry.when(f"blobs/{digest_of(layer)}", halt)
        yield f"docker://{registry.address}/app:latest"
        over.set()


def reading(request: SaveRequest) -> Job:
    """Starts a save, and waits until it reads its layer."""
    started = SAVE.start("halting", request)
    while not any(each.get("state") == "reading" for each in events(started.journal)):
        assert started.locked(), list(events(started.journal))
        time.sleep(0.01)
    return started


@pytest.mark.usefixtures("here")
def test_a_save_that_is_cancelled_or_killed_leaves_nothing(
    halting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "XDG_CACHE_HOME"))
    folder = tmp_path / "saved"
    folder.mkdir()
    for form, end in (("oci", State.CANCELLED), ("oci-archive", State.DIED)):
        found = reading(SaveRequest(halting, form, str(folder / form), insecure=True))
        if end is State.CANCELLED:
            assert cancel(found)
        else:
            assert found.process is not None
            os.kill(found.process, signal.SIGKILL)
            while found.locked():
                time.sleep(0.01)
        assert found.state is end
        assert list(folder.iterdir()) == []


def test_jobs_are_listed_attached_to_and_repeated(here: dict[str, str], tmp_path: Path) -> None:
    archive, target = tmp_path / "one.tar", tmp_path / "copy.tar"
    archive.write_bytes(docker_archive([layer_tar([text("a")]), layer_tar([text("b")])], "app:1"))
    number = layerscope(here, "save", "-d", "-o", target, archive).strip()
    shown = layerscope(here, "jobs", "attach", number)
    assert shown.count(" done ") == 2
    assert f"Written  docker-archive:{target}" in shown
    listed = json.loads(layerscope(here, "jobs", "--json"))["jobs"][0]
    assert (listed["kind"], listed["title"]) == ("save", f"{archive} to {target}")
    # What is there by now was not what was asked about.
    assert "already exists" in layerscope(here, "jobs", "repeat", number, code=2)
    target.unlink()
    layerscope(here, "jobs", "repeat", number)
    assert target.exists()
    lines = layerscope(here, "load", "--json-lines", target).splitlines()
    found = [json.loads(line) for line in lines]
    sizes = {each["id"]: each["total"] for each in found if "total" in each}
    assert sorted(sizes.values()) == [10240, 10240]
    (loaded,) = (each for each in found if each["event"] == "loaded")
    assert loaded["name"] == "app:1"
    assert layerscope(here, "load", "-q", target).strip() == loaded["image"]
    refused = layerscope(here, "save", "-d", "-o", "-", "app:1", code=2)
    assert "An archive on standard output is not a job." in refused


def test_what_changed_since_the_question_is_not_replaced(
    here: dict[str, str], tmp_path: Path
) -> None:
    source, target = tmp_path / "one.tar", tmp_path / "target.tar"
    source.write_bytes(docker_archive([layer_tar([text("a")])], "app:1"))
    target.write_text("old")
    seen = existing(target)
    target.write_text("another's")
    request = SaveRequest(str(source), "oci-archive", str(target), replaces=seen)
    number = SAVE.start("one.tar", request).id
    assert "already exists" in layerscope(here, "jobs", "attach", number, code=2)
    assert target.read_text() == "another's"


def several(tag: str) -> bytes:
    """An archive of two images; the first has two names."""
    base, top = layer_tar([text("base", tag)]), layer_tar([text("top", tag)])
    files: dict[str, bytes] = {}
    manifest: list[Any] = []
    for layers, names in (([base], [f"{tag}:1", f"{tag}:one"]), ([base, top], [f"{tag}:2"])):

        def keep(parts: list[tuple[str, bytes]]) -> None:
            files.update(parts)
            manifest.extend(json.loads(files.pop("manifest.json")))

        saved(*layers, tags=names, config={"config": {"Cmd": ["-"]}}, edit=keep)
    return plain_tar([*files.items(), ("manifest.json", json.dumps(manifest).encode())])


def as_layout(archive: bytes, folder: Path, tag: str) -> None:
    """The same images as a layout."""
    file = folder.with_suffix(".tar")
    file.write_bytes(archive)
    for name in (f"{tag}:1", f"{tag}:one", f"{tag}:2"):
        request = SaveRequest(f"docker-archive:{file}:{name}", "oci", str(folder))
        save(request, Recorder(bool), Progress())


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("docker-28-containerd", "layout"),
        ("docker-debian", "archive"),
        ("podman", "gzip"),
        ("embedded", "layout"),
    ],
)
def test_all_images_of_an_archive_are_loaded_with_all_their_names(
    here: dict[str, str], tmp_path: Path, name: str, form: str
) -> None:
    if name != "embedded":
        here["LAYERSCOPE_ENGINE"] = running_engine(name).host
    tag = f"several{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
    source, data = tmp_path / "images", several(tag)
    if form == "layout":
        as_layout(data, source, tag)
    else:
        source.write_bytes(gzip.compress(data, 1) if form == "gzip" else data)
    said = layerscope(here, "load", source)
    words = [line.split() for line in said.splitlines() if line.startswith("Loaded ")]
    ids = {word[1].removeprefix("localhost/"): word[2] for word in words}
    assert ids.keys() == {f"{tag}:1", f"{tag}:one", f"{tag}:2"}
    assert ids[f"{tag}:1"] == ids[f"{tag}:one"] != ids[f"{tag}:2"]
    freed = layerscope(here, "rm", "--yes", *ids)
    assert all(name in freed for name in ids)
