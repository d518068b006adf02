"""What layerscope says of images is what the engine says of them; and how it fails."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.engines.fixtures import new_engine
from tests.engines.harness import Engine
from tests.engines.images import build, busybox_base, classic_example
from tests.engines.kitchen_sink import kitchen_sink
from tests.truth.command import layerscope, output
from tests.truth.relay import Relay

NONE = "<none>"


def whole_seconds(time_text: str | None) -> int:
    """Return an RFC 3339 time as Unix time; fractions may have nine digits."""
    assert time_text is not None
    text = re.sub(r"\.\d+", "", time_text).replace("Z", "+00:00")
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())


def untagged(image: dict[str, Any]) -> str:
    """The name of an image without a tag; one that has lost its tag keeps its repository."""
    digests = [each for each in image["RepoDigests"] or () if not each.startswith(NONE)]
    return f"{digests[0].partition('@')[0] if digests else NONE}:{NONE}"


def test_images_are_those_that_the_engine_lists(engine: Engine) -> None:
    classic_example(engine)
    with engine.api() as client:
        client.tag(classic_example(engine), "layerscope.test/second-name", "v1")
        summaries = client.images()
    truth = Counter(
        (*(tag.rpartition(":")[::2]), image["Id"], image["Created"], image["Size"])
        for image in summaries
        for tag in image["RepoTags"] or [untagged(image)]
    )
    document = json.loads(output("images", "--json", engine=engine))
    images: list[dict[str, Any]] = document["images"]
    said = Counter(
        (
            *(image[key] for key in ("repository", "tag", "id")),
            whole_seconds(image["created"]),
            image["size"],
        )
        for image in images
    )
    assert said == truth
    assert [image["created"] for image in images] == sorted(
        (image["created"] for image in images), reverse=True
    )
    for image in images:
        if image["shared_size"] is not None:
            assert image["shared_size"] + image["unique_size"] == image["size"]


def test_images_are_those_that_the_command_of_the_engine_prints(engine: Engine) -> None:
    classic_example(engine)
    printed = engine.docker(
        "images", "--no-trunc", "--format", "{{.Repository}} {{.Tag}} {{.ID}}"
    ).stdout.decode()
    said = json.loads(output("images", "--json", engine=engine))["images"]
    lines = [f"{image['repository']} {image['tag']} {image['id']}" for image in said]
    assert Counter(lines) == Counter(printed.splitlines())


@pytest.mark.parametrize("make", [classic_example, kitchen_sink])
def test_image_layers_and_history_are_those_of_the_engine(engine: Engine, make: Any) -> None:
    image = make(engine)
    document = json.loads(output("inspect", "--json", image, engine=engine))
    with engine.api() as client:
        truth, history = client.inspect_image(image), client.history(image)
    said = document["image"]
    assert said["reference"] == image
    assert said["source"] == f"docker-daemon:{image}"
    assert said["id"].removeprefix("sha256:") == truth["Id"].removeprefix("sha256:")
    assert (said["os"], said["architecture"]) == (
        truth["Os"],
        "/".join(part for part in (truth["Architecture"], truth.get("Variant")) if part),
    )
    assert whole_seconds(said["created"]) == whole_seconds(truth["Created"])
    assert [layer["diff_id"] for layer in document["layers"]] == truth["RootFS"]["Layers"]
    assert [layer["index"] for layer in document["layers"]] == list(range(len(document["layers"])))
    assert [
        (entry["created_by"], entry["comment"], whole_seconds(entry["created"]))
        for entry in document["history"]
    ] == [(entry["CreatedBy"], entry["Comment"], entry["Created"]) for entry in reversed(history)]
    made = [entry["layer"] for entry in document["history"] if entry["layer"] is not None]
    assert made == list(range(len(document["layers"])))


def test_layer_sizes_add_up_to_the_image(engine: Engine) -> None:
    document = json.loads(output("inspect", "--json", kitchen_sink(engine), engine=engine))
    image = document["image"]
    assert sum(layer["size"] for layer in document["layers"]) == image["size"]
    assert image["size"] - image["visible_size"] == image["wasted_size"]
    assert sum(path["size"] for path in document["wasted"]) == image["wasted_size"]
    assert image["efficiency"] == pytest.approx(image["visible_size"] / image["size"])


def check_refused(run: subprocess.CompletedProcess[str], *words: str) -> None:
    """Fail unless a command said in one line on stderr what is wrong, and nothing else.

    Before that, it may say what an export from another host costs.
    """
    assert (run.returncode, run.stdout) == (2, "")
    lines = [line for line in run.stderr.splitlines() if "must be exported" not in line]
    assert len(lines) == 1
    assert lines[0].startswith("layerscope: ")
    assert "Traceback" not in run.stderr
    for word in words:
        assert word in run.stderr


COMMANDS = [("files", "--json-lines", "x"), ("inspect", "--json", "x"), ("images", "--json")]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_no_engine_is_one_line_and_exit_code_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/nothing"
    check_refused(layerscope(*arguments, DOCKER_HOST=host), host, "DOCKER_HOST")


def test_a_socket_without_an_engine_is_one_line_and_exit_code_2() -> None:
    check_refused(layerscope("images", DOCKER_HOST="tcp://127.0.0.1:9"), "127.0.0.1:9")


@pytest.mark.parametrize("name", ["layerscope.test/nowhere:1", "docker-daemon:nowhere", "0" * 12])
def test_an_unknown_image_is_one_line_and_exit_code_2(engine: Engine, name: str) -> None:
    shown = name.removeprefix("docker-daemon:")
    # What is more likely an id cannot be pulled.
    hint = "layerscope images" if name.isdigit() else f"layerscope pull {shown}"
    for command in ("files", "inspect"):
        check_refused(layerscope(command, name, engine=engine), shown, hint)


@pytest.mark.parametrize("name", ["docker-28", "podman"])
def test_an_engine_killed_in_an_export_is_one_line_and_exit_code_2(name: str) -> None:
    with new_engine(name) as engine:
        base = busybox_base(engine)
        dockerfile = f"FROM {base}\nRUN dd if=/dev/zero of=/large bs=1M count=60 2>/dev/null\n"
        image = build(engine, dockerfile).tag
        with Relay(engine, fatal=20 << 20) as relay:
            run = layerscope("files", image, DOCKER_HOST=relay.host)
        assert not engine.running
    check_refused(run, "was lost")
