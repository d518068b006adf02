"""What a shell completes, with and without an engine, and in each shell for real."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.archives import entry, layer, saved, write
from tests.command import environment, run
from tests.unit.engines.test_wrong_engines import IMAGE, VERSION


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an image and the like."""
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "xdg"))
    files = [("etc/motd", b"1"), ("etc/gone", b"1"), ("etc/with space", b""), ("bin/sh", b"")]
    write(tmp_path / "image.tar", saved(layer(*files), layer(("etc/.wh.gone", b""))))
    write(tmp_path / "notes.txt", b"")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path, tmp_path / "folder"):
        (place / "Dockerfile").write_text("FROM a AS base\nFROM base AS final\n")
    return tmp_path


#: layerscope, as patient as a busy machine needs it.
_PATIENT = """
import sys
from layerscope.__main__ import main
from layerscope.commands import completion
completion._PATIENCE = float(sys.argv.pop(1))
sys.exit(main())
"""


def completed(
    line: str, *, shell: str = "fish", patience: str = "60", **more: str
) -> dict[str, str]:
    """What a shell gets: words, and what each means."""
    known = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SHELL": shell,
        "_ARGCOMPLETE_DFS": "\t",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    host = os.environ.get("DOCKER_HOST", "unix:///nowhere")
    done = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" "$2" 8>&1 >&2', sys.executable, _PATIENT, patience],
        env=environment(**{"DOCKER_HOST": host, **known, **more}),
        capture_output=True,
        check=False,
        timeout=120,
        text=True,
    )
    assert done.stderr == ""
    pairs = (each.partition("\t") for each in done.stdout.split("\n") if each)
    return {word: what for word, _, what in pairs}


def test_commands_and_sources_stand_first(here: Path) -> None:
    found = completed("layerscope ")
    assert found["inspect"] == "image, layers, waste"
    assert {"image.tar", "folder/", "tui", "ps" if "ps" in found else "rm"} <= found.keys()
    assert not {"notes.txt", "--help"} & found.keys()
    assert completed("layerscope insp") == {"inspect": "image, layers, waste"}
    assert list(completed("layerscope --log x --color=never insp")) == ["inspect"]
    assert {"--theme", "--platform"} <= completed("layerscope image.tar --").keys()
    assert {"--layer", "--json-lines"} <= completed("layerscope files image.tar --").keys()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("inspect im", ["image.tar"]),
        ("inspect ./", ["./image.tar", "./folder/"]),
        ("inspect docker-archive:i", ["docker-archive:image.tar"]),
        ("inspect docker-a", ["docker-archive:"]),
        ("diff image.tar i", ["image.tar"]),
        ("find libssl image.tar i", ["image.tar"]),
        ("cat image.tar /et", ["/etc/"]),
        ("cat image.tar /etc/", ["/etc/motd", "/etc/with space"]),
        ("cat image.tar etc/m", ["etc/motd"]),
        ("cat --layer 0 image.tar /etc/g", ["/etc/gone"]),
        ("cat image.tar /none/", []),
        ("history image.tar /etc/g", ["/etc/gone"]),
        ("extract image.tar /etc/motd /b", ["/bin/"]),
        ("extract image.tar / -o f", ["folder/"]),
        ("files image.tar --layer ", ["0", "1"]),
        ("inspect image.tar --platform ", ["linux/amd64"]),
        ("--theme da", ["dark"]),
        ("lint --target ", ["base", "final"]),
        ("build folder --target f", ["final"]),
        ("build --target ", ["base", "final"]),
        ("lint n", ["notes.txt"]),
        ("lint --builder cl", ["classic"]),
        ("lint --builder=cl", ["--builder=classic"]),
        ("build f", ["folder/"]),
        ("jobs at", ["attach"]),
        ("jobs attach ", []),
        ("help so", ["sources"]),
        ("help insp", ["inspect"]),
        ("completion z", ["zsh"]),
        ("image.tar --the", ["--theme"]),
        ("no-such-command x", []),
        ("inspect --json image.tar x y z ", []),
        ("cat no-such-image.tar /", []),
    ],
)
def test_values_are_completed(here: Path, line: str, expected: list[str]) -> None:
    assert sorted(completed(f"layerscope {line}")) == sorted(expected)


def test_choices_are_not_all_described_as_their_option(here: Path) -> None:
    found = completed("layerscope build --builder ")
    assert found == dict.fromkeys(("auto", "buildkit", "classic", "embedded", "podman"), "")


def test_jobs_are_completed_with_what_they_are(here: Path) -> None:
    folder = here / "xdg/layerscope/jobs/7"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    document = '{"kind": "build", "title": "app", "started": 1, "directory": "/", "spec": {}}'
    (folder / "job.json").write_text(document)
    for action in ("attach", "cancel"):
        found = completed(f"layerscope jobs {action} ")
        assert list(found) == ["7"]
        assert found["7"].startswith("build app")


def test_images_and_containers_of_the_engine_are_completed(
    here: Path, answers: dict[str, Any]
) -> None:
    container = {"Id": "c" * 64, "Names": ["/web"], "ImageID": IMAGE["Id"], "State": "running"}
    answers |= {"/version": VERSION, "/images/json": [IMAGE], "/containers/json": [container]}
    assert list(completed("layerscope inspect ap")) == ["app:1"]
    assert list(completed("layerscope ap")) == ["app:1"]
    assert "app:1" in completed("layerscope push ")  # Files can be pushed, too.
    for command in ("rm", "pull", "drift"):
        assert list(completed(f"layerscope {command} ")) == ["app:1"]
    assert list(completed("layerscope inspect docker-daemon:")) == ["docker-daemon:app:1"]
    assert list(completed("layerscope inspect container:w")) == ["container:web"]
    # bash breaks words at colons, and completes what is behind them.
    words = {"_ARGCOMPLETE_COMP_WORDBREAKS": " \"'><=;|&(:"}
    assert list(completed("layerscope inspect app:", shell="bash", **words)) == ["1"]
    # Its layers would have to be exported.
    answers |= {"/images/app/json": IMAGE, "/images/app/history": []}
    assert completed("layerscope cat app /") == {}


def test_an_engine_that_hangs_takes_nothing_away(here: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        host = f"unix://{tmp_path}/s"
        assert list(completed("layerscope inspect im", patience="1", DOCKER_HOST=host)) == [
            "image.tar"
        ]
        assert completed("layerscope rm ", patience="1", DOCKER_HOST=host) == {}


def test_a_hostile_name_is_not_offered(here: Path) -> None:
    files = entry(b"a/\x1b[31mred") + entry(b"a/\xff") + entry(b"a/fine")
    write(here / "odd.tar", saved(files))
    assert list(completed("layerscope cat odd.tar /a/")) == ["/a/fine"]


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run(capsys, "completion", "tcsh")
    assert outcome.code == 2
    assert "must be bash, zsh or fish" in outcome.err


# In real shells.

_SETUP = {
    "bash": (["bash", "--norc", "-i"], 'eval "$(layerscope completion bash)"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -U compinit; compinit -D; eval "$(layerscope completion zsh)"',
    ),
    "fish": (["fish", "--no-config", "-i"], "layerscope completion fish | source"),
}


class Terminal:
    """A shell in a terminal; what it shows is read as plain text."""

    def __init__(self, program: list[str], variables: dict[str, str]) -> None:
        self.process, self.fd = pty.fork()
        if not self.process:
            os.execvpe(program[0], program, variables)
        self.text = ""

    def type(self, text: str) -> None:
        self.text = ""
        os.write(self.fd, text.encode())

    def wait_for(self, wanted: str) -> None:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                data = os.read(self.fd, 65536).decode(errors="replace")
                # A terminal that is asked what it can do would answer.
                if "\x1b[c" in data or "\x1b[0c" in data:
                    os.write(self.fd, b"\x1b[?62c")
                self.text += re.sub(
                    r"\x1b(\[[0-9;?<>=]*[a-zA-Z]|[()].|[=>]|\].*?(\a|\x1b\\))", "", data
                )
            if wanted in self.text.replace("\r", "").replace("\n", ""):
                return
        raise AssertionError(f"{wanted!r} is not in {self.text[-2000:]!r}")


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "layerscope"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{_PATIENT}' 60 \"$@\"\n")
    program.chmod(0o755)
    return folder


@pytest.fixture(params=sorted(_SETUP))
def shell(request: pytest.FixtureRequest, here: Path, bin_folder: Path) -> Iterator[Terminal]:
    program, setup = _SETUP[request.param]
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    variables = environment(PATH=path, TERM="xterm", HOME=str(here), COLUMNS="200", LINES="50")
    terminal = Terminal(program, variables)
    terminal.type(f"{setup}; echo re''ady\r")
    terminal.wait_for("ready")
    yield terminal
    os.kill(terminal.process, 9)
    os.waitpid(terminal.process, 0)
    os.close(terminal.fd)


def test_a_real_shell_completes(shell: Terminal) -> None:
    shell.type("layerscope insp\t")
    shell.wait_for("inspect ")
    shell.type("docker-archive:im\t")
    shell.wait_for("image.tar")
    shell.type("\x15layerscope cat image.tar /etc/mo\t")
    shell.wait_for("/etc/motd")
    # What is typed reaches layerscope as it was completed.
    shell.type("\x15layerscope cat image.tar /etc/wi\t --describe\r")
    shell.wait_for("Size")
