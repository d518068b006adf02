"""The images of several real engines in one list."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.archives import docker_archive, layer_tar, text
from tests.engines.fixtures import running_engine
from tests.engines.harness import Engine
from tests.truth.command import environment, run_program

pytestmark = pytest.mark.usefixtures("engines")

ENGINES = ("docker-28", "docker-28-containerd", "podman")
#: What they are listed as: the first is in DOCKER_HOST.
NAMES = ("default", *ENGINES[1:])


@pytest.fixture
def engines() -> list[Engine]:
    return [running_engine(name) for name in ENGINES]


def context(folder: Path, name: str, host: str) -> None:
    """Adds a Docker context."""
    place = folder / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    place.mkdir(parents=True)
    document = {"Name": name, "Endpoints": {"docker": {"Host": host}}}
    (place / "meta.json").write_text(json.dumps(document))


def test_which_engine_has_what_and_what_the_others_lack(
    engines: list[Engine], tmp_path: Path
) -> None:
    unique = str(time.time_ns())
    base, top = layer_tar([text("base", unique)]), layer_tar([text("top", f"{unique}\n" * 9)])
    whole, lower = f"fleet{unique}:whole", f"fleet{unique}:lower"
    for engine, loaded in zip(engines, ([whole], [whole, lower], [lower]), strict=True):
        context(tmp_path / "docker", engine.name, engine.host)
        with engine.api() as client:
            for name in loaded:
                layers = [base, top] if name == whole else [base]
                events = list(client.load_image(docker_archive(layers, name)))
                assert not any("error" in event for event in events)
    context(tmp_path / "docker", "gone", f"unix://{tmp_path}/nobody")

    def images(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "layerscope", "images", "--all-engines", *arguments]
        return run_program(command, environment(engines[0], DOCKER_CONFIG=str(tmp_path / "docker")))

    try:
        document: dict[str, Any] = json.loads(images("--json").stdout)
        problems = {each["name"]: each["problem"] for each in document["engines"]}
        assert "nobody" in problems["gone"]
        assert [problems[name] for name in NAMES] == [None] * 3
        ours = [image for image in document["images"] if any(unique in n for n in image["names"])]
        by_tag = {image["names"][0].rpartition(":")[2]: image for image in ours}
        has = {tag: [held["engine"] for held in by_tag[tag]["engines"]] for tag in by_tag}
        assert has == {"whole": list(NAMES[:2]), "lower": list(NAMES[1:])}
        lacks = {tag: {m["engine"]: m for m in by_tag[tag]["missing_from"]} for tag in by_tag}
        # The engine with the lower image lacks the upper layer only, the other way round nothing.
        assert lacks["whole"]["podman"]["layers"] == [1]
        assert lacks["whole"]["podman"]["size"] == by_tag["whole"]["layers"][1]["size"] > 0
        assert lacks["lower"]["default"]["layers"] == []
        said = images(whole)
        assert said.returncode == 0
        assert "default, docker-28-containerd" in said.stdout
        assert "podman lacks 1 of 2 layers, " in said.stdout
        unknown = images("no-such-image")
        assert unknown.returncode == 1
        assert unknown.stderr == "layerscope: No engine has an image no-such-image.\n"
    finally:
        for engine, names in zip(engines, ([whole], [whole, lower], [lower]), strict=True):
            with engine.api() as client:
                for name in names:
                    client.remove_image(name, force=True)
