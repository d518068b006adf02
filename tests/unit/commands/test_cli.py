"""Commands as a process: exit codes, pipes, signals, permissions."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from layerscope import __version__, cli, command_table
from layerscope.commands import COMMANDS
from layerscope.commands import image as image_commands
from layerscope.engines import resolve
from tests.archives import entry, layer, saved, write
from tests.command import Outcome, environment, one_line_error, process, run
from tests.folders import let_others_in

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
        ["files", "--layer"],
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_do(capsys: Capsys, arguments: list[str]) -> None:
    line = one_line_error(run(capsys, *arguments))
    assert "--help" in line


@pytest.mark.parametrize("number", ["1", "-1", "99999999999999999999"])
def test_a_missing_layer_is_reported(capsys: Capsys, image: str, number: str) -> None:
    line = one_line_error(run(capsys, "files", f"--layer={number}", image))
    assert line == f"There is no layer {number}. The image has layers 0 to 0."


def test_an_image_without_layers(capsys: Capsys, tmp_path: Path) -> None:
    source = write(tmp_path / "i.tar", saved())
    assert run(capsys, "files", source) == Outcome(0, "", "")
    line = one_line_error(run(capsys, "files", "--layer", "0", source))
    assert "has no layers" in line


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("inspct", "inspect"), ("file", "files"), ("Inspect", "inspect"), ("pack", "packages")],
)
def test_an_unknown_command_suggests_the_nearest(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, typed: str, meant: str
) -> None:
    monkeypatch.setattr(resolve, "engine_has", lambda _: False)
    for more in ([], ["debian:12"], ["--json"], ["--json", "x"], ["--layer", "0", "x"]):
        line = one_line_error(run(capsys, typed, *more))
        assert line == f"No command {typed}. Did you mean {meant}?"


def test_an_unknown_command_is_not_an_image(capsys: Capsys) -> None:
    line = one_line_error(run(capsys, "frobnicate", "it"))
    assert line == "No command frobnicate. See layerscope --help."


def test_a_source_is_opened_even_if_it_looks_like_a_command(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []

    def open_tui(arguments: argparse.Namespace) -> int:
        opened.append(arguments.image)
        return 0

    def engine_has(name: str) -> bool:
        asked.append(name)
        return name == "file"

    asked: list[str] = []
    monkeypatch.setattr(cli, "command", lambda _: open_tui)
    monkeypatch.setattr(resolve, "engine_has", engine_has)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inspct").touch()
    # An image of the engine, a file, and what is like no command.
    for name in ("file", "inspct", "debian", "debian:12", "docker-archive:inspct"):
        assert run(capsys, name).code == 0
        assert run(capsys, "--color", "never", name, "--theme", "dark").code == 0
    assert opened[::2] == ["file", "inspct", "debian", "debian:12", "docker-archive:inspct"]
    assert set(asked) == {"file"}


def test_wrong_options_of_the_tui_are_reported_as_such(capsys: Capsys) -> None:
    line = one_line_error(run(capsys, "debian", "--thme", "dark"))
    assert line == "layerscope has no option --thme. Did you mean --theme?"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("history", "layerscope history needs SOURCE and PATH. See layerscope history --help."),
        ("run", "layerscope run needs SOURCE. See layerscope run --help."),
        ("inspect --nothing a", "layerscope inspect has no option --nothing. See layerscope insp"),
        ("inspect --jsn a", "layerscope inspect has no option --jsn. Did you mean --json?"),
        ("inspect a b c", "layerscope inspect does not take b c. See layerscope inspect --help."),
        ("inspect --json=1 a", "--json takes no value. See layerscope inspect --help."),
        ("cat a /b --layer", "--layer needs a value. See layerscope cat --help."),
        ("cat a /b --layer x", "--layer must be a whole number, not 'x'. See layerscope cat"),
        ("completion tcsh", "SHELL must be bash, zsh or fish, not 'tcsh'. See layerscope comp"),
        ("tags --limit 0 a", "--limit: '0' is not a number from 1 on. See layerscope tags --help."),
    ],
)
def test_wrong_usage_is_a_sentence(capsys: Capsys, arguments: str, line: str) -> None:
    assert one_line_error(run(capsys, *arguments.split())).startswith(line)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_says_all_of_a_command(capsys: Capsys, name: str) -> None:
    parser = cli.parser_of(name)
    with pytest.raises(SystemExit) as left:
        run(capsys, name, "--help")
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert "\nexamples:\n  " in text
    for code in parser.exit_codes:
        assert f"\n  {code:<5}" in text
    for action in parser._actions:
        assert action.help, action
    for example in parser.examples:
        _check_example(example)


def _check_example(line: str) -> None:
    """Parses what an example calls."""
    words = shlex.split(re.split(" [|<>] ", line)[0])
    if words[0] != "layerscope":
        assert "$(layerscope " in line
        return
    assert cli._parsed(words[1:])


def test_a_help_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    description = cli.parser_of("run").description or ""
    assert 0 < max(map(len, description.splitlines())) < 40


def test_options_of_one_name_have_their_own_meaning() -> None:
    for command, option, dest in (
        ("save", "--output", "archive"),
        ("extract", "--output", "output"),
        ("squash", "--to", "last"),
        ("pull", "--to", "to"),
    ):
        action = cli.parser_of(command)._option_string_actions[option]
        assert (action.dest, action.option_strings[-1]) == (dest, option)


def test_every_command_is_listed_once() -> None:
    listed = " ".join(command_table.GROUPS.values()).split()
    assert sorted([*listed, "tui"]) == sorted(COMMANDS) == sorted(command_table.COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"tui"}))
def test_missing_arguments_are_named(capsys: Capsys, name: str) -> None:
    required = [
        str(action.metavar)
        for action in cli.parser_of(name)._actions
        if action.required and action.nargs != "*" and not action.option_strings
    ]
    if required:
        line = one_line_error(run(capsys, name))
        names = line.removeprefix(f"layerscope {name} needs ").partition(". See")[0]
        named = names.replace(" and ", ", ").split(", ")
        assert [each for each in named if not each.startswith("-")] == required


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_empty_values_are_refused(capsys: Capsys, name: str) -> None:
    for action in cli.parser_of(name)._actions:
        option = next(iter(action.option_strings), "")
        if option and action.nargs is None and action.choices is None:
            line = one_line_error(run(capsys, name, f"{option}="))
            assert re.search("is empty|must be a whole number|is not a number", line)


def test_the_usage_names_source_and_the_options_of_the_tui(capsys: Capsys) -> None:
    with pytest.raises(SystemExit):
        run(capsys, "--help")
    usage = capsys.readouterr().out.partition("\n\n")[0]
    for part in ("[SOURCE]", "[--theme NAME]", "[--platform ", "layerscope COMMAND"):
        assert part in usage


def test_version_is_a_command_too(capsys: Capsys) -> None:
    assert run(capsys, "version") == Outcome(0, f"layerscope {__version__}\n", "")


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


def test_a_closed_pipe_is_not_an_error(image: str) -> None:
    done = process("files", image, shell="| head -1")
    assert (done.stderr, done.stdout.count(b"\n")) == (b"", 1)
    done = process("files", "--json-lines", image, shell="| head -1; exit ${PIPESTATUS[0]}")
    assert (done.stderr, done.returncode) == (b"", 128 + signal.SIGPIPE)
    done = process("inspect", image, shell="| true; exit ${PIPESTATUS[0]}")
    assert done.stderr == b""


def test_a_closed_pipe_ends_it_as_it_ends_other_programs(image: str) -> None:
    for arguments in (["files", image], ["--help"], ["help", "sources"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-m", "layerscope", *arguments],
            stdout=writer,
            stderr=subprocess.PIPE,
            env=environment(),
            cwd="/",
            check=False,
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


def test_output_that_cannot_be_written_is_one_line(image: str) -> None:
    done = process("files", image, shell="> /dev/full")
    assert done.returncode == 2
    assert done.stderr.decode() == "layerscope: Standard output: No space left on device.\n"
    done = process("files", image, shell=">&-")
    assert done.returncode == 2
    assert done.stderr.decode().count("\n") == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("ci", "--help"), ("help",)])
def test_a_help_that_cannot_be_written_is_an_error(arguments: tuple[str, ...]) -> None:
    done = process(*arguments, shell="> /dev/full")
    assert done.returncode == 2
    assert done.stderr.decode() == "layerscope: Standard output: No space left on device.\n"
    done = process(*arguments, shell=">&-")
    assert (done.returncode, done.stderr) == (2, b"layerscope: Standard output is closed.\n")


def test_a_full_stderr_changes_no_answer(image: str) -> None:
    for more in ("", "> /dev/full"):
        assert process("inspect", "/nonexistent", shell=f"{more} 2> /dev/full").returncode == 2
        assert process("inspect", "--what", shell=f"{more} 2> /dev/full").returncode == 2
    assert process("inspect", image, shell="2> /dev/full").returncode == 0
    assert process("inspect", image, shell="> /dev/full 2> /dev/full").returncode == 2


def test_long_values_are_cut(capsys: Capsys) -> None:
    long = "x" * 5000
    for arguments in (("inspect", f"/{long}"), (f"{long}",), ("ci", "a", "--highest-size", long)):
        line = one_line_error(run(capsys, *arguments))
        assert "xxx…xxx" in line
        assert len(line) < 600


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
        assert time.monotonic() - begun < 120
        time.sleep(0.002)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=120)
    assert (child.returncode, errors) == (130, b"Interrupted.\n")


def test_an_interrupt_during_an_import_is_130(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: object) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError from None
        return 0

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(image_commands, "inspect", load)
    try:
        assert run(capsys, "inspect", "x") == Outcome(130, "", "Interrupted.\n")
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_bug_is_not_the_answer_no(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise AttributeError("of nothing")

    monkeypatch.setattr(image_commands, "ci", fail)
    outcome = run(capsys, "ci", "x")
    assert (outcome.code, outcome.out) == (2, "")
    assert "AttributeError: of nothing" in outcome.err
    assert "This is a bug in layerscope" in outcome.err
    assert (outcome.err.count("\n"), "Traceback" in outcome.err) == (1, False)


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
def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    inside = write(closed / "image", b"x")
    locked = Path(write(tmp_path / "locked.tar", b"x"))
    locked.chmod(0o600)
    let_others_in(tmp_path)
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


def test_numpy_starts_no_threads_and_the_environment_stays() -> None:
    code = (
        "import os, subprocess, sys; from layerscope import cli; cli.main(['config', 'path']);"
        "import numpy; print(len(os.listdir('/proc/self/task')));"
        "print(subprocess.run(['env'], env=os.environ, capture_output=True).stdout.decode())"
    )
    kept = {name: value for name, value in environment().items() if name != _BLAS}
    for given, expected in (({}, None), ({_BLAS: "2"}, f"{_BLAS}=2")):
        done = subprocess.run(
            [sys.executable, "-c", code], env=kept | given, capture_output=True, check=True
        )
        lines = done.stdout.decode().splitlines()
        assert next((line for line in lines if line.startswith(_BLAS)), None) == expected
        if not given:
            assert lines[1] == "1"
