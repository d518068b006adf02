"""`layerscope run --sandbox`, as whoever runs the tests."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from layerscope.errors import LayerscopeError
from layerscope.sandbox.rungs import best_rung
from tests.archives import folder, layer_tar, saved, text
from tests.command import environment, process
from tests.engines.harness import EngineUnavailable
from tests.engines.sandboxes import base_items, running, until, users

CONFIG = {
    "Entrypoint": ["sh", "-c"],
    "Cmd": ["echo $A $B $PWD $(id -un 2>/dev/null || id -u); touch made"],
    "Env": ["PATH=/bin", "A=image"],
    "WorkingDir": "/work",
}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("run")
    try:
        best_rung(place / "probe")
        base = [*base_items(), *users(), folder("work"), text("work/old", "x" * 3000)]
    except (LayerscopeError, EngineUnavailable) as error:
        pytest.skip(str(error))
    layers = [layer_tar(base), layer_tar([folder("work"), text("work/top", "top\n")])]
    path = place / "image.tar"
    path.write_bytes(saved(*layers, config={"config": CONFIG}))
    return f"docker-archive:{path}"


def ran(*arguments: str, **more: str) -> tuple[int, str, str]:
    done = process("run", "--sandbox", *arguments, **more)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_image_says_what_is_run(image: str) -> None:
    code, out, err = ran("-e", "B=given", "-e", "C", image)
    assert (code, out.split()[:3]) == (0, ["image", "given", "/work"])
    assert err.splitlines()[:3] == [
        "It changed 2 paths: 1 added, 1 modified; 0B in its layer.",
        "M        0B  /work/  (mtime)",
        "A        0B  /work/made",
    ]


def test_changes_are_listed_by_size(image: str) -> None:
    script = "rm old; echo more >> top; echo new > new; mkdir empty; exit 3"
    code, out, err = ran(image, script)
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[:7] == [
        "The command ended with code 3.",
        "It changed 5 paths: 2 added, 2 modified, 1 removed; 13B in its layer.",
        "R       3kB  /work/old",
        "M        9B  /work/top  (content, mtime)",
        "A        4B  /work/new",
        "M        0B  /work/  (mtime)",
        "A        0B  /work/empty/",
    ]


def test_json_and_the_saved_layer(image: str, tmp_path: Path) -> None:
    target = tmp_path / "layer.tar"
    code, out, err = ran(
        "--json", "--save-changes", str(target), image, "echo said; rm old; echo 1 > 'a\tb'"
    )
    assert (code, err) == (0, "said\n")
    document: dict[str, Any] = json.loads(out)
    assert document["schema"] == "layerscope.run/1"
    assert document["command"][:2] == ["sh", "-c"]
    assert (document["exit_code"], document["saved"]) == (0, str(target))
    assert (document["added"], document["modified"], document["removed"]) == (1, 1, 1)
    changes = [(each["path"], each["change"], each["size"]) for each in document["changes"]]
    assert changes == [
        ("/work/old", "removed", 3000),
        ("/work/a\tb", "added", 2),
        ("/work", "modified", 0),
    ]
    with tarfile.open(target) as tar:
        assert sorted(tar.getnames()) == ["work", "work/.wh.old", "work/a\tb"]
    before = target.read_bytes()
    code, _, err = ran("--save-changes", str(target), image, "true")
    assert (code, err) == (
        2,
        f"layerscope: {target} exists, and nothing is overwritten. Choose another name.\n",
    )
    assert target.read_bytes() == before


def test_hostile_names_are_safe_to_show(image: str) -> None:
    _, _, err = ran(image, r"touch $(printf 'a\033[2Jb')")
    assert "\x1b" not in err
    assert r"/work/a\e[2Jb" in err


def test_a_layer_can_be_chosen(image: str) -> None:
    assert ran("--layer", "0", image, "ls")[1] == "old\n"
    assert ran(image, "ls")[1] == "old\ntop\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--user", "who"), "The image has no user who in /etc/passwd."),
        (("--timeout", "1", "--memory", "many"), "'many' is not a size such as 512MB."),
        (("--layer", "7"), "There is no layer 7."),
    ],
)
def test_what_is_wrong_is_one_line(image: str, arguments: tuple[str, ...], error: str) -> None:
    code, out, err = ran(*arguments, image, "sleep 100")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert error in err


def test_without_a_sandbox_there_is_docker() -> None:
    done = process("run", "x.tar")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--sandbox" in done.stderr


def test_engines_say_what_the_host_allows(image: str) -> None:
    assert "\nSandbox: " in process("engines").stdout.decode()
    document = json.loads(process("engines", "--json").stdout)
    assert set(document["sandbox"]) == {"name", "overlay", "loses", "better"}


def test_a_terminal_is_passed_through(image: str) -> None:
    pid, master = pty.fork()
    if not pid:
        os.chdir("/")
        command = [sys.executable, "-m", "layerscope", "run", "--sandbox", image, "exec sh"]
        os.execve(sys.executable, command, environment(TERM="dumb"))
    shown = b""

    def see(wanted: bytes) -> None:
        nonlocal shown

        def found() -> bool:
            nonlocal shown
            if select.select([master], [], [], 0.1)[0]:
                shown += os.read(master, 4096)
            return wanted in shown

        until(found)
        shown = shown.partition(wanted)[2]

    try:
        see(b"#")
        os.write(master, b"test -t 0 && echo a-$((6*7))\n")
        see(b"a-42")
        # Ctrl+C is for what runs in the shell, which goes on.
        marker = f"6{os.getpid()}"
        os.write(master, f"sleep {marker}; echo b-$((6*8))\n".encode())
        until(lambda: running(marker))
        os.write(master, b"\x03")
        see(b"#")
        os.write(master, b"echo c-$((6*9)); exit 0\n")
        see(b"c-54")
        see(b"It changed nothing.")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        os.close(master)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_stopped_leaves_nothing(image: str, number: signal.Signals, tmp_path: Path) -> None:
    marker = f"9{os.getpid()}{int(number)}"
    command = [sys.executable, "-m", "layerscope", "run", "--sandbox", image]
    stopped = subprocess.Popen(
        [*command, f"sleep {marker} & touch /x; sleep {marker}"],
        env=environment(XDG_CACHE_HOME=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
    )
    until(lambda: len(running(marker)) >= 2)
    stopped.send_signal(number)
    _, err = stopped.communicate()
    assert (stopped.returncode, err) == (130, b"Interrupted.\n")
    assert running(marker) == []
    assert not list(tmp_path.glob("layerscope/sandbox/*/run-*"))
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
