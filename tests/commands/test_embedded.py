"""Commands on a host without any engine: what they pull, list, name and remove in our own store."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines import address as addresses
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.resolve import open_image
from tests.archives import diff_id, layer, saved
from tests.command import Outcome, one_line_error, run
from tests.unit.images.registry.misbehaving_registry import FakeRegistry, fake_registry

Capsys = pytest.CaptureFixture[str]

BASE, TOP = layer("etc/", ("etc/base", b"base" * 5000)), layer(("top", b"top"))


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found


@pytest.fixture(autouse=True)
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host where nothing listens, and a user who has chosen nothing."""
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR", "LAYERSCOPE_STORE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "DOCKER_CONFIG"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    # Processes that are started have it from here, too.
    monkeypatch.setenv("LAYERSCOPE_ENGINE", addresses.EMBEDDED)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "image.tar"
    path.write_bytes(saved(BASE, TOP))
    return path


def events(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    return [json.loads(line) for line in outcome.out.splitlines()]


def states(found: list[dict[str, Any]]) -> dict[str, str]:
    """The last state of each layer."""
    return {each["id"]: each["state"] for each in found if each["event"] == "layer"}


def row(data: bytes) -> str:
    return diff_id(data).removeprefix("sha256:")[:12]


def test_an_archive_is_pulled_into_the_store(capsys: Capsys, archive: Path) -> None:
    identifier = open_image(f"docker-archive:{archive}").image.id
    found = events(run(capsys, "pull", f"docker-archive:{archive}", "--json-lines"))
    assert found[0]["event"] == "started"
    assert states(found) == {row(BASE): "done", row(TOP): "done"}
    assert (found[-1]["event"], found[-1]["image"]) == ("finished", identifier)
    assert found[-1]["text"] == "embedded:example/app:1"
    again = events(run(capsys, "pull", str(archive), "--to", "embedded:other:2", "--json-lines"))
    assert set(states(again).values()) == {"exists"}
    listed = run(capsys, "images", "--json").document["images"]
    assert {(each["repository"], each["tag"], each["id"]) for each in listed} == {
        ("example/app", "1", identifier),
        ("other", "2", identifier),
    }
    assert run(capsys, "cat", "embedded:other:2", "/top").out == "top"


def test_bytes_of_a_pull_add_up(capsys: Capsys, archive: Path) -> None:
    found = events(run(capsys, "pull", str(archive), "--json-lines"))
    last = {
        each["id"]: (each["current"], each.get("total"))
        for each in found
        if each.get("state") == "downloading"
    }
    assert last == {row(data): (len(data), len(data)) for data in (BASE, TOP)}


def test_a_registry_is_pulled_by_our_own_client(capsys: Capsys, registry: FakeRegistry) -> None:
    registry.image([gzip.compress(BASE, mtime=0), gzip.compress(TOP, mtime=0)], "1")
    name = f"{registry.address}/app:1"
    found = events(run(capsys, "pull", name, "--json-lines"))
    assert set(states(found).values()) == {"done"}
    assert found[-1]["image"] == open_image(f"docker://{name}").image.id
    digest = found[-1]["digest"]
    assert set(states(events(run(capsys, "pull", name, "--json-lines"))).values()) == {"exists"}
    preview = run(capsys, "pull", name, "--dry-run", "--json").document
    assert preview["up_to_date"] is True
    assert preview["missing_size"] == 0
    # The digest that it had there is known, so what is behind can be found.
    assert run(capsys, "drift", name).code == 0
    assert run(capsys, "inspect", f"embedded:{registry.address}/app@{digest}").code == 0
    registry.image([gzip.compress(BASE, mtime=0)], "1")
    assert run(capsys, "drift", name).code == 1


def test_a_layer_of_a_registry_that_is_wrong_leaves_no_image(
    capsys: Capsys, registry: FakeRegistry
) -> None:
    registry.image([gzip.compress(BASE, mtime=0)], "1", diff_ids=[diff_id(TOP)])
    outcome = run(capsys, "pull", f"{registry.address}/app:1")
    assert outcome.code == 2
    assert "is not the one that the configuration names" in outcome.err
    assert run(capsys, "images", "--json").document["images"] == []


def test_what_was_pulled_is_removed_with_its_exact_bytes(capsys: Capsys, archive: Path) -> None:
    run(capsys, "pull", str(archive))
    whole = EmbeddedEngine().layers_size()
    assert whole > len(BASE) + len(TOP)
    plan = run(capsys, "rm", "example/app:1", "--dry-run").out
    assert f"({whole:,} bytes)" in plan
    assert "at least" not in plan
    done = run(capsys, "rm", "example/app:1", "--yes", "--json").document
    assert done["freed"] == whole
    assert EmbeddedEngine().layers_size() == 0
    assert run(capsys, "images", "--json").document["images"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pull", "./nothing.tar"], "nothing.tar does not exist."),
        (["pull", "container:app"], "The embedded store has no container app."),
        (["pull", "{archive}", "--all-tags"], "--all-tags is for images in a registry."),
        (["pull", "{archive}", "--dry-run"], "--dry-run is for images in a registry."),
        (["pull", "{archive}", "--to", "embedded:UPPER"], "UPPER is not the name of an image."),
        (["pull", "{archive}", "--to", "oci:x"], "is not in a registry."),
    ],
)
def test_what_cannot_be_pulled_says_why(
    capsys: Capsys, archive: Path, arguments: list[str], said: str
) -> None:
    outcome = run(capsys, *(each.format(archive=archive) for each in arguments))
    assert outcome.code == 2
    assert said in outcome.err
    assert run(capsys, "images", "--json").document["images"] == []


def test_with_an_engine_an_archive_needs_a_target(
    capsys: Capsys, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERSCOPE_ENGINE", "unix:///nowhere")
    line = one_line_error(run(capsys, "pull", str(archive)))
    assert "No engine listens at unix:///nowhere" in line
    assert run(capsys, "pull", str(archive), "--to", "embedded:").code == 0
