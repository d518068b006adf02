"""Real engines: what they report while they change, their containers, and what images waste."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import docker
import pytest

from layerscope.engines.address import Address
from layerscope.engines.docker import DockerEngine, connect
from layerscope.engines.engine import EngineEvent
from layerscope.errors import EngineError
from tests.engines.harness import Engine
from tests.engines.images import build, busybox_base
from tests.truth.command import environment, run_program

TAG = "layerscope.test/events:1"
NAME = "layerscope-test-events"
LIMIT = 60.0
"""Seconds for which an event is waited for; a busy machine may take a good part of it."""


@pytest.fixture
def connection(engine: Engine) -> Iterator[DockerEngine]:
    with closing(connect(Address(engine.host, None, engine.host))) as found:
        yield found


@pytest.fixture
def image(engine: Engine) -> Iterator[str]:
    """An image of which 70,000 bytes are hidden."""
    base = busybox_base(engine)
    dockerfile = f"FROM {base}\nCOPY one /one\nRUN rm /one\n"
    build(engine, dockerfile, {"one": os.urandom(70_000)}, TAG)
    yield TAG
    with engine.api() as client:
        with suppress(docker.errors.APIError):
            client.remove_container(NAME, force=True)
        for name in (TAG, f"{TAG}-other"):
            with suppress(docker.errors.APIError):
                client.remove_image(name, force=True)


def test_events_report_images_and_containers(
    engine: Engine, connection: DockerEngine, image: str
) -> None:
    found: queue.Queue[EngineEvent] = queue.Queue()
    opened = threading.Event()
    stops = []

    def listen() -> None:
        with suppress(EngineError):
            events, stop = connection.events()
            stops.append(stop)
            opened.set()
            for event in events:
                found.put(event)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    # Podman begins its answer with the first event.
    opened.wait(2)

    def expect(kind: str) -> EngineEvent:
        while True:
            event = found.get(timeout=LIMIT)
            if event.kind == kind:
                return event

    with engine.api() as client:
        client.tag(image, image.partition(":")[0], "1-other")
        assert expect("image").id
        made = client.create_container(image, ["true"], name=NAME)
        assert expect("container").id == made["Id"]
        client.remove_container(NAME)
        assert expect("container").id == made["Id"]
    stops[0]()
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_containers_and_what_they_wrote(
    engine: Engine, connection: DockerEngine, image: str
) -> None:
    with engine.api() as client:
        host = client.create_host_config(network_mode="none")
        made = client.create_container(image, ["true"], name=NAME, host_config=host)
    (listed,) = [each for each in connection.containers() if each.id == made["Id"]]
    assert (listed.name, listed.size) == (NAME, None)
    assert listed.image.endswith(image)
    assert listed.created > 1_000_000_000
    (listed,) = [each for each in connection.containers(sizes=True) if each.id == made["Id"]]
    assert listed.size is not None


def test_images_are_measured_without_an_export(engine: Engine, image: str, tmp_path: Path) -> None:
    cache = environment(engine, XDG_CACHE_HOME=str(tmp_path))
    command = ["-m", "layerscope", "images", "--wasted", "--json"]
    run = run_program([sys.executable, *command], cache)
    assert run.returncode == 0, run.stderr
    images = json.loads(run.stdout)["images"]
    (own,) = [each for each in images if image in each["names"]]
    assert own["wasted_size"] == 70_000
    assert own["platforms"][0].startswith("linux/")
