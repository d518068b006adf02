"""`layerscope run` in the embedded store: what is changed there stays as a container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from layerscope.config import store_folder
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.importing import import_image
from layerscope.engines.resolve import open_image
from layerscope.errors import LayerscopeError
from layerscope.images.progress import Progress
from layerscope.oci.reference import parse_reference
from layerscope.sandbox.rungs import best_rung
from tests.archives import folder, layer_tar, saved, text
from tests.command import Outcome, environment
from tests.commands.conftest import Run
from tests.engines.harness import EngineUnavailable, find_program
from tests.engines.sandboxes import base_items, running, until, users
from tests.unit.engines.embedded.images import add

CONFIG = {
    "Entrypoint": ["never"],
    "Cmd": ["this"],
    "Env": ["PATH=/bin"],
    "WorkingDir": "/work",
    "Labels": {"kept": "yes"},
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("kept")
    try:
        best_rung(place / "probe")
        base = [*base_items(), *users(), folder("work"), text("work/motd", "hello\n")]
    except (LayerscopeError, EngineUnavailable) as error:
        pytest.skip(str(error))
    layers = [layer_tar(base), layer_tar([folder("work"), text("work/top", "top\n")])]
    path = place / "image.tar"
    path.write_bytes(saved(*layers, config={"config": CONFIG}))
    return path


@pytest.fixture(autouse=True)
def engine(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedEngine:
    """A store with the image `app:1`, on a host without another engine."""
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "LAYERSCOPE_STORE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(archive.parent / "cache"))
    monkeypatch.setenv("LAYERSCOPE_ENGINE", "embedded")
    made = EmbeddedEngine()
    reader = open_image(f"docker-archive:{archive}")
    import_image(made.store, reader, parse_reference("app:1"), Progress())
    return made


def only(engine: EmbeddedEngine) -> str:
    (container,) = engine.containers()
    return container.name


def left() -> list[Path]:
    return list((store_folder() / "containers").glob("*"))


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "layerscope", "run", *command],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def changes(found: Outcome) -> Sequence[tuple[str, str]]:
    return [(each["change"], each["path"]) for each in found.lines if each["change"]]


def test_what_is_written_into_a_file_of_the_image_is_copied_up(
    run: Run, engine: EmbeddedEngine
) -> None:
    script = "echo more >> motd; rm top; echo $PWD"
    found = run("run", "embedded:app:1", "sh", "-c", script)
    assert (found.code, found.out) == (0, "/work\n")
    name = only(engine)
    assert found.err.splitlines()[:3] == [
        "It changed 3 paths: 2 modified, 1 removed; 11B in its layer.",
        "M       11B  /work/motd  (content, mtime)",
        "R        4B  /work/top",
    ]
    assert f"layerscope commit {name} NAME" in found.err
    source = f"container:{name}"
    layer = run("files", source, "--layer", "2", "--json-lines")
    assert changes(layer) == [
        ("modified", "/work"),
        ("modified", "/work/motd"),
        ("removed", "/work/top"),
    ]
    assert run("cat", source, "/work/motd").out == "hello\nmore\n"
    listed = run("ps", "--json").document["containers"]
    assert [(each["name"], each["state"], each["size"]) for each in listed] == [
        (name, "exited", 11)
    ]
    assert "/work/top" in run("diff", "embedded:app:1", source).out


def test_a_commit_names_the_busybox_of_this_host_and_not_where_it_was(
    run: Run, engine: EmbeddedEngine
) -> None:
    busybox = find_program("busybox")
    ran = run("run", "--name", "web", "--busybox", busybox, "app:1", "touch", "/new")
    assert ran.code == 0, ran.err
    assert run("commit", "--yes", "web", "app:2").code == 0
    assert open_image("embedded:app:2").image.history[-1].created_by == "busybox touch /new"


def test_a_container_without_a_shell_runs_the_busybox_of_this_host_again(
    run: Run, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.tar"
    bare.write_bytes(saved(layer_tar([text("etc/motd", "hello\n")])))
    add(engine.store, bare, "bare:1")
    busybox = find_program("busybox")
    assert run("run", "--name", "web", "--busybox", busybox, "bare:1", "touch", "/new").code == 0
    again = run("run", "container:web")
    assert again.code == 2
    assert "The container has no shell. Add --busybox " in again.err
    assert run("run", "--busybox", busybox, "container:web", "touch", "/newer").code == 0
    assert "/newer" in run("files", "--layer", "1", "container:web").out


def test_a_commit_is_an_image_with_the_changes_on_top(run: Run, engine: EmbeddedEngine) -> None:
    run("run", "--name", "web", "app:1", "sh", "-c", "echo more >> motd")
    changes = ('CMD ["sh", "-l"]', "ENV A=b", "WORKDIR sub", "LABEL b=c")
    options = [each for change in changes for each in ("--change", change)]
    about = ("--message", "why", "--author", "me")
    found = run("commit", "--yes", "--json", *about, *options, "web", "app:2")
    assert found.document["committed"]["layer"] == 2
    image = open_image("embedded:app:2").image
    assert image.config["config"] == {
        "Entrypoint": ["never"],
        "Cmd": ["sh", "-l"],
        "Env": ["PATH=/bin", "A=b"],
        "WorkingDir": "/work/sub",
        "Labels": {"kept": "yes", "b": "c"},
    }
    last = image.history[-1]
    assert (last.created_by, last.comment) == ("sh -c echo more >> motd", "why")
    assert json.loads(image.document)["author"] == "me"
    assert run("cat", "embedded:app:2", "/work/motd").out == "hello\nmore\n"
    # The container is as it was; what drops it frees what it wrote.
    removed = run("rm", "--yes", "--json", "container:web")
    assert [each["name"] for each in removed.document["containers"]] == ["web"]
    assert removed.document["freed"] == 11
    assert left() == []


def test_what_was_run_goes_on_in_its_container(run: Run, engine: EmbeddedEngine) -> None:
    run("run", "--name", "web", "app:1", "sh", "-c", "echo 1 > a; rm top")
    found = run("run", "container:web", "sh", "-c", "cat a; echo 2 > b; ls")
    assert (found.code, found.out) == (0, "1\na\nb\nmotd\n")
    assert run("run", "container:web", "sh", "-c", "rm a b; exit 7").code == 7
    layer = run("files", "container:web", "--layer", "2", "--json-lines")
    assert changes(layer) == [("modified", "/work"), ("removed", "/work/top")]


def test_a_layer_can_be_run_and_its_image_stays_for_it(run: Run, engine: EmbeddedEngine) -> None:
    assert run("run", "--layer", "0", "--name", "low", "app:1", "sh", "-c", "ls; >new").out == (
        "motd\n"
    )
    assert run("rm", "--yes", "app:1").code == 0
    assert [each.state for each in engine.containers()] == ["exited"]
    assert run("cat", "container:low", "/work/motd").out == "hello\n"
    assert run("commit", "--yes", "low", "low:1").code == 0
    assert len(open_image("embedded:low:1").image.layers) == 2
    # What describes the lowest layers as an image goes with the container.
    before = engine.layers_size()
    shown = run("rm", "--dry-run", "--json", "container:low").document
    removed = run("rm", "--yes", "--json", "container:low").document["freed"]
    assert removed == before - engine.layers_size() > 0
    assert (shown["freed_at_least"], shown["exact"]) == (removed, True)
    assert engine.garbage() == {}


def test_an_image_that_a_container_needs_is_kept(run: Run, engine: EmbeddedEngine) -> None:
    run("run", "--name", "web", "app:1", "touch", "a")
    found = run("rm", "--yes", "app:1")
    assert (found.code, "in use by web (exited)" in found.out) == (1, True)
    pruned = run("prune", "--yes", "--json", "--containers", "--unused").document
    assert [each["name"] for each in pruned["containers"]] == ["web"]
    assert len(pruned["removed"]) == 1
    assert engine.store.sizes() == {}
    assert left() == []


def test_a_run_is_seen_while_it_lasts_and_found_after_a_crash(
    run: Run, engine: EmbeddedEngine
) -> None:
    marker = f"5{os.getpid()}"
    script = f"echo live >> motd; mkdir -m 0 x; sleep {marker}"
    with started("--name", "web", "embedded:app:1", "sh", "-c", script) as process:
        until(lambda: running(marker))
        assert [(each.name, each.state) for each in engine.containers()] == [("web", "running")]
        layer = run("files", "container:web", "--layer", "2", "--json-lines")
        assert ("modified", "/work/motd") in changes(layer)
        assert run("cat", "container:web", "/work/motd").out == "hello\nlive\n"
        assert "it can be removed once" in run("rm", "--yes", "container:web").err.lower()
        assert run("run", "container:web", "true").err == (
            "layerscope: web runs. Wait until it has ended, or run its image again.\n"
        )
        # Another one of the same image is no trouble.
        assert run("run", "app:1", "cat", "motd").out == "hello\n"
        process.kill()
        process.wait()
        until(lambda: not running(marker) and engine.containers()[0].state == "exited")
    assert str(store_folder()) not in Path("/proc/self/mountinfo").read_text()
    assert run("cat", "container:web", "/work/motd").out == "hello\nlive\n"
    assert run("prune", "--yes", "--containers").code == 0
    assert left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_stopped_leaves_nothing(number: signal.Signals, engine: EmbeddedEngine) -> None:
    marker = f"4{os.getpid()}{int(number)}"
    with started("app:1", "sh", "-c", f"touch a; sleep {marker} & sleep {marker}") as process:
        until(lambda: len(running(marker)) >= 2)
        process.send_signal(number)
        assert process.communicate()[1] == b"Interrupted.\n"
        assert process.returncode == 130
    assert running(marker) == []
    assert left() == []
    assert str(store_folder()) not in Path("/proc/self/mountinfo").read_text()


def test_what_changes_nothing_leaves_nothing(run: Run, engine: EmbeddedEngine) -> None:
    found = run("run", "--json", "app:1", "true")
    assert (found.document["container"], found.document["changes"]) == (None, [])
    assert left() == []
    # Not even for a working directory that had to be made.
    assert run("run", "--json", "--workdir", "/new/dir", "app:1", "true").code == 0
    assert left() == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("app:1", "nothing"), "The image has no command nothing, or lacks its interpreter."),
        (("--layer", "2", "app:1"), "There is no layer 2. The image has layers 0 to 1."),
        (("--name", "a/b", "app:1", "true"), "a/b cannot be the name of a container."),
        (("--user", "who", "app:1", "true"), "The image has no user who in /etc/passwd."),
        (("container:none", "true"), "The embedded store has no container none."),
        (("--layer", "0", "container:none"), "A container runs with all its layers."),
        (("--shell", "zsh", "app:1"), "There is no zsh here."),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, arguments: tuple[str, ...], error: str) -> None:
    found = run("run", *arguments)
    assert (found.code, found.out, len(found.err.splitlines())) == (2, "", 1)
    assert error in found.err
    assert left() == []


def test_a_name_is_given_once(run: Run) -> None:
    run("run", "--name", "web", "app:1", "touch", "a")
    assert "There is a container web already." in run("run", "--name", "web", "app:1").err
