"""Drift of real engines from a real registry."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.engines.harness import Engine
from tests.engines.images import build, busybox_base
from tests.engines.registry import Registry
from tests.engines.test_registry_source import login, push
from tests.truth.command import environment, run_program


def test_drift(engine: Engine, registry: Registry, tmp_path: Path) -> None:
    repository = f"{engine.name}/drift{time.time_ns()}"
    name = f"{registry.address}/{repository}:1"
    config = login(tmp_path, registry)

    def drift(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "layerscope", "drift", name, *arguments]
        return run_program(command, environment(engine, DOCKER_CONFIG=config))

    def state() -> tuple[str, int]:
        run = drift("--json")
        assert run.stderr == ""
        (image,) = json.loads(run.stdout)["images"]
        return image["state"], run.returncode

    base = busybox_base(engine)
    first = build(engine, f"FROM {base}\nENV A={time.time_ns()}\n", tag=name)
    assert state()[0] in ("local", "gone")
    push(engine, registry, first.id, repository, "1")
    assert state() == ("current", 0)
    with engine.api() as client:
        made = client.create_container(name, "/bin/true", name="layerscope-drift")
    try:
        second = build(engine, f"FROM {base}\nENV A={time.time_ns()}\n", tag=name)
        push(engine, registry, second.id, repository, "1")
        said = drift()
        assert said.returncode == 1
        assert "older: layerscope-drift" in said.stdout
        assert "current" in said.stdout.splitlines()[1]
    finally:
        with engine.api() as client:
            client.remove_container(made["Id"])
    assert state() == ("current", 0)
    with engine.api() as client:
        client.tag(first.id, f"{registry.address}/{repository}", "1", force=True)
    assert state() == ("behind", 1)
    with engine.api() as client:
        for image in (first.id, second.id):
            client.remove_image(image, force=True)
