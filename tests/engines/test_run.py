"""`run`, and the TUI's `x`: shells and commands in images and containers, in a real terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.engines.harness import Engine, find_program
from tests.engines.images import build, busybox_base
from tests.truth.command import environment, run_program
from tests.tui.terminal.conftest import terminals
from tests.tui.terminal.programs import Terminal, start

__all__ = ["terminals"]

TOP, BARE = "layerscope.test/run-top:1", "layerscope.test/run-bare:1"
NAME = "run-me"


@pytest.fixture(scope="module", params=["docker-28", "docker-28-containerd"])
def engine(request: pytest.FixtureRequest, engines: None) -> Iterator[Engine]:
    from tests.engines.fixtures import running_engine

    found = running_engine(request.param)
    base = busybox_base(found)
    build(found, f"FROM {base}\nRUN echo low > /low\nRUN echo high > /high\nUSER 4321\n", {}, TOP)
    build(found, "FROM scratch\nCOPY hello /hello\n", {"hello": b"hi\n"}, BARE)
    yield found
    with found.api() as client, suppress(docker.errors.APIError):
        client.remove_image(TOP, force=True)
        client.remove_image(BARE, force=True)


def run(engine: Engine, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "layerscope", "run", *arguments]
    return run_program(command, environment(engine), given=typed)


def opened(engine: Engine, *arguments: str, **more: str) -> Terminal:
    """layerscope in a terminal of its own."""
    values: dict[str, Any] = environment(engine, **more)
    return start(*arguments, module="layerscope", size=(120, 30), **values)


def leave(terminal: Terminal) -> None:
    """Ends the shell, and then layerscope."""
    # What is typed before it has the terminal again is the shell's.
    terminal.output = b""
    terminal.keys("exit\n")
    terminal.until_written(b"\x1b[?1049h")
    terminal.keys("q")
    assert terminal.wait() == 0


def ids(engine: Engine) -> set[str]:
    with engine.api() as client:
        return {str(image["Id"]) for image in client.images(all=True)}


def test_a_command_has_its_own_output_and_exit_code(engine: Engine) -> None:
    done = run(engine, TOP, "sh", "-c", "cat; id -u; exit 7", typed="typed\n")
    assert (done.returncode, done.stdout) == (7, "typed\n4321\n")
    done = run(engine, "--user", "0:9", TOP, "id")
    assert (done.returncode, done.stdout.startswith("uid=0(root) gid=9")) == (0, True)
    done = run(engine, TOP, typed="ls /high; exit 3\n")
    assert (done.returncode, done.stdout) == (0, "/high\n")


def test_podman_runs_what_its_service_has(podman: Engine, tmp_path: Path) -> None:
    # Podman's command would use the storage of this host, which has no such image.
    folders = f'graphroot = "{tmp_path}/storage"\nrunroot = "{tmp_path}/run"\n'
    (tmp_path / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\n{folders}')
    there = environment(podman, CONTAINERS_STORAGE_CONF=f"{tmp_path}/storage.conf")
    command = [sys.executable, "-m", "layerscope", "run", busybox_base(podman)]
    done = run_program([*command, "sh", "-c", "cat; exit 7"], there, given="typed\n")
    assert (done.returncode, done.stdout) == (7, "typed\n"), done.stderr


def test_at_a_layer_the_files_above_are_absent_and_nothing_is_left(engine: Engine) -> None:
    before = ids(engine)
    done = run(engine, "--layer", "4", TOP, "sh", "-c", "ls /low /high")
    assert done.stdout == "/low\n"
    assert "/high: No such file" in done.stderr
    done = run(engine, "--layer", "5", TOP, "cat", "/low", "/high")
    assert (done.returncode, done.stdout) == (0, "low\nhigh\n")
    assert ids(engine) == before
    done = run(engine, "--layer", "6", TOP, "true")
    assert done.returncode == 2
    assert "layers 0 to 5" in done.stderr


def test_an_image_without_a_shell_runs_busybox_beside_it(engine: Engine) -> None:
    busybox = str(find_program("busybox"))
    done = run(engine, BARE, typed="ls\n")
    assert done.returncode == 2
    assert "The image has no shell. Add --busybox " in done.stderr
    done = run(engine, "--busybox", busybox, BARE, "cat", "/hello")
    assert (done.returncode, done.stdout) == (0, "hi\n")
    done = run(engine, "--busybox", busybox, BARE, typed="echo shell: $(cat /hello)\n")
    assert done.stdout == "shell: hi\n"
    done = run(engine, "--busybox", sys.executable, BARE)
    assert "is not a static program" in done.stderr
    done = run(engine, "--shell", "zsh", TOP)
    assert (done.returncode, "There is no zsh here." in done.stderr) == (2, True)


def test_what_is_not_there(engine: Engine) -> None:
    for arguments, said in (
        (["no-such:1"], "no image"),
        (["container:no-such"], "no container"),
        (["--layer=0", "container:x"], "Name its image"),
        (["./image.tar"], "not in the engine"),
        (["--shell=sh", TOP, "ls"], "--shell cannot be combined"),
    ):
        done = run(engine, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_shells_in_a_terminal(engine: Engine, terminals: list[Terminal]) -> None:
    with engine.api() as client:
        made = client.create_container(TOP, ["sleep", "1000"], name=NAME)
        client.start(made["Id"])
    try:
        for source in (TOP, f"container:{NAME}"):
            terminal = opened(engine, "run", source)
            terminals.append(terminal)
            # A user without a name, and the prompt of a shell on a terminal.
            terminal.until("$")
            terminal.keys("tty; echo mark-$((6 * 7)); id -u\n")
            terminal.until("mark-42")
            assert "/dev/pts/" in terminal.text
            assert "4321" in terminal.text
            terminal.keys("no-such-command; exit 5\n")
            assert terminal.wait() == 0
    finally:
        with engine.api() as client:
            client.remove_container(made["Id"], force=True)


def test_it_offers_busybox_on_a_terminal(engine: Engine, terminals: list[Terminal]) -> None:
    terminal = opened(engine, "run", BARE)
    terminals.append(terminal)
    terminal.until("(y/N)")
    terminal.keys("y\n")
    terminal.until("#")
    terminal.keys("echo found: $(cat /hello)\n")
    terminal.until("found: hi")
    terminal.keys("exit\n")
    assert terminal.wait() == 0


def test_x_on_a_layer_runs_a_shell_without_the_layers_above(
    engine: Engine, terminals: list[Terminal], tmp_path: Path
) -> None:
    before, folder = ids(engine), str(tmp_path)
    terminal = opened(engine, TOP, XDG_STATE_HOME=folder, XDG_CONFIG_HOME=folder)
    terminals.append(terminal)
    terminal.until("echo high")
    # Below USER, and the layer that is the topmost.
    terminal.keys("gjj")
    terminal.until("Files · layer 4")
    terminal.keys("x")
    terminal.until("/ $")
    terminal.keys("echo low: $(cat /low), high: $(ls /high 2>&1)\n")
    terminal.until("low: low, high: ls: /high: No such file")
    leave(terminal)
    assert ids(engine) == before


def test_x_runs_a_shell_and_comes_back(
    engine: Engine, terminals: list[Terminal], tmp_path: Path
) -> None:
    folder = str(tmp_path)
    terminal = opened(engine, XDG_STATE_HOME=folder, XDG_CONFIG_HOME=folder)
    terminals.append(terminal)
    terminal.until("run-top")
    terminal.keys("/run-top\r")
    terminal.until("1 of ")
    terminal.keys("x")
    terminal.until("/ $")
    terminal.keys("echo mark-$((6 * 7))\n")
    terminal.until("mark-42")
    leave(terminal)
