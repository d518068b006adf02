"""Commands as a process: exit codes, pipes, signals, permissions."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from layerscope.commands import comparing, looking
from tests.archives import entry, saved
from tests.unit.archives import layer, write
from tests.unit.command import Outcome, environment, one_line_error, process, run

_BLAS = "OPENBLAS_NUM_THREADS"

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    files = b"".join(entry(b"folder/%06d" % n) for n in range(20_000))
    return write(tmp_path_factory.mktemp("image") / "i.tar", saved(files))


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect"],
        ["inspect", "--nonsense", "x"],
        ["inspect", "a", "b"],
        ["files", "--layer", "x", "a"],
        ["--nonsense"],
        ["-x", "inspect", "a"],
        ["frobnicate", "it"],
        ["inspect", "\x1b[31m", "\n", "b"],
        ["inspect", ""],
        ["files", "--layer"],
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_do(capsys: Capsys, arguments: list[str]) -> None:
    line = one_line_error(run(capsys, *arguments))
    assert "--help" in line or "Name one" in line


@pytest.mark.parametrize("number", ["1", "-1", "99999999999999999999"])
def test_a_layer_that_is_not_there_is_said_so(capsys: Capsys, image: str, number: str) -> None:
    line = one_line_error(run(capsys, "files", f"--layer={number}", image))
    assert line == f"There is no layer {number}. The image has layers 0 to 0."


def test_an_image_without_layers_has_none_to_name(capsys: Capsys, tmp_path: Path) -> None:
    source = write(tmp_path / "i.tar", saved())
    assert run(capsys, "files", source) == Outcome(0, "", "")
    line = one_line_error(run(capsys, "files", "--layer", "0", source))
    assert "has no layers" in line


def test_help_and_version_go_to_stdout(capsys: Capsys) -> None:
    for option in ("--help", "--version"):
        with pytest.raises(SystemExit) as left:
            run(capsys, option)
        assert left.value.code == 0
        captured = capsys.readouterr()
        assert "layerscope" in captured.out
        assert captured.err == ""


def test_an_error_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    source = write(tmp_path / "i.tar", b"nonsense" * 1000)
    done = process("inspect", source)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().count("\n") == 1
    assert source in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error(image: str) -> None:
    done = process("files", image, shell="| head -1")
    assert (done.stderr, done.stdout.count(b"\n")) == (b"", 1)
    done = process("files", "--json-lines", image, shell="| head -1; exit ${PIPESTATUS[0]}")
    assert (done.stderr, done.returncode) == (b"", 128 + signal.SIGPIPE)
    done = process("inspect", image, shell="| true; exit ${PIPESTATUS[0]}")
    assert done.stderr == b""


def test_output_that_cannot_be_written_is_one_line(image: str) -> None:
    done = process("files", image, shell="> /dev/full")
    assert done.returncode == 2
    assert done.stderr.decode() == "layerscope: Standard output: No space left on device.\n"
    done = process("files", image, shell=">&-")
    assert done.returncode == 2
    assert done.stderr.decode().count("\n") == 1
    assert b"Traceback" not in done.stderr


def test_a_terminal_without_utf8_gets_escapes(tmp_path: Path) -> None:
    source = write(tmp_path / "i.tar", saved(layer(("ü日", b""))))
    done = process("files", source, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"/\\xfc\\u65e5\n" in done.stdout


def test_an_interrupt_is_130_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "big.tar"
    path.write_bytes(saved(b"".join(entry(b"f%07d" % n) for n in range(150_000))))
    child = subprocess.Popen(
        [sys.executable, "-m", "layerscope", "files", "--no-cache", str(path)],
        env=environment(),
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    begun = time.monotonic()
    while not _has_open(child.pid, path):
        assert child.poll() is None
        assert time.monotonic() - begun < 20
        time.sleep(0.002)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert (child.returncode, errors) == (130, b"Interrupted.\n")


def test_an_interrupt_that_an_import_makes_an_error_of_is_130(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: object) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError from None
        return 0

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(looking, "inspect", load)
    try:
        assert run(capsys, "inspect", "x") == Outcome(130, "", "Interrupted.\n")
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_mistake_of_ours_is_not_the_answer_no(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        raise AttributeError("of nothing")

    monkeypatch.setattr(comparing, "ci", fail)
    outcome = run(capsys, "ci", "x")
    assert (outcome.code, outcome.out) == (2, "")
    assert "AttributeError: of nothing" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("layerscope: That is a mistake")


def test_a_closed_stderr_changes_no_answer(image: str) -> None:
    for stream in ("2>&-", "<&-", "2>&- <&-"):
        done = process("inspect", image, shell=stream)
        assert (done.returncode, done.stdout.count(b"LAYER")) == (0, 1)
    assert process("inspect", "/nonexistent", shell="2>&-").returncode == 2


def _has_open(pid: int, path: Path) -> bool:
    folder = Path(f"/proc/{pid}/fd")
    try:
        return any(link.readlink() == path for link in folder.iterdir())
    except OSError:
        return False


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv")
def test_a_file_that_may_not_be_read_is_said_so(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    inside = write(closed / "image", b"x")
    locked = Path(write(tmp_path / "locked.tar", b"x"))
    locked.chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    # A stranger may not see the virtual environment; the test says what it can.
    if subprocess.run([*drop, sys.executable, "-c", ""], check=False).returncode:
        pytest.skip("another user cannot run this Python")
    for source in (str(locked), inside, f"docker-archive:{locked}"):
        done = subprocess.run(
            [*drop, sys.executable, "-m", "layerscope", "inspect", source],
            check=False,
            capture_output=True,
            env=environment(HOME="/nonexistent", XDG_CACHE_HOME=""),
            cwd="/",
        )
        line = one_line_error(Outcome(done.returncode, done.stdout.decode(), done.stderr.decode()))
        assert "Permission denied" in line
        assert source.removeprefix("docker-archive:") in line


def test_numpy_starts_no_threads_and_no_program_learns_why() -> None:
    code = (
        "import os, subprocess, sys; from layerscope import cli; cli.main(['config', 'path']);"
        "import numpy; print(len(os.listdir('/proc/self/task')));"
        "print(subprocess.run(['env'], env=os.environ, capture_output=True).stdout.decode())"
    )
    kept = {name: value for name, value in environment().items() if name != _BLAS}
    for given, told in (({}, None), ({_BLAS: "2"}, f"{_BLAS}=2")):
        done = subprocess.run(
            [sys.executable, "-c", code], env=kept | given, capture_output=True, check=True
        )
        lines = done.stdout.decode().splitlines()
        assert next((line for line in lines if line.startswith(_BLAS)), None) == told
        if not given:
            assert lines[1] == "1"
