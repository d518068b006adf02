"""Whatever an image holds, no command hands it to a terminal as it is."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import tty
from pathlib import Path

import pytest

from layerscope.text import HOSTILE_IN_LINES
from tests import forks
from tests.archives import folder, hard_link, layer_tar, saved, symlink, text, whiteout, write
from tests.command import environment

#: Colours, the clipboard, C1 controls, the direction of text, ends of lines, DEL and backspace.
HOSTILE = "a\x1b[31m\x1b]52;c;eA==\x07\x9b32m\u202e\u2066\x7f\x08\rb\u200b\u2028"
NAMED = f"{HOSTILE}\nnew"
RAW = "\udc9b31m\udcff"  # C1 as a byte.

STATUS = f"Package: p{HOSTILE}\nStatus: install ok installed\nVersion: 1{HOSTILE}\n\n"
CONTENT = f"begin\t{HOSTILE}\nend\n"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    base = [
        folder(NAMED),
        text(f"{NAMED}/file", "old\n"),
        text(f"{NAMED}/gone", "x" * 100),
        text(f"raw{RAW}"),
        symlink(f"link{NAMED}", f"to{NAMED}"),
        hard_link(f"hard{NAMED}", f"{NAMED}/file"),
        text("content", CONTENT),
        folder("var/lib/dpkg"),
        text("var/lib/dpkg/status", STATUS),
        text("suid" + NAMED, mode=0o4755),
    ]
    upper = [
        text(f"{NAMED}/file", CONTENT),
        whiteout(f"{NAMED}/gone"),
        text("var/lib/dpkg/status", STATUS * 2),
    ]
    config = {
        "Env": [f"A={NAMED}"],
        "Cmd": [NAMED],
        "Entrypoint": [NAMED],
        "User": NAMED,
        "WorkingDir": f"/{NAMED}",
        "Labels": {NAMED: NAMED},
        "ExposedPorts": {f"80/{NAMED}": {}},
        "Volumes": {f"/{NAMED}": {}},
        "StopSignal": NAMED,
    }
    document = {
        "author": NAMED,
        "created": NAMED,
        "os": f"linux{NAMED}",
        "architecture": NAMED,
        "config": config,
        "history": [
            {"created_by": f"RUN echo {NAMED}", "comment": NAMED, "created": NAMED},
            {"created_by": f"LABEL x={NAMED}", "empty_layer": True},
            {"created_by": f"COPY {NAMED} /", "author": NAMED},
        ],
    }
    archive = saved(layer_tar(base), layer_tar(upper), config=document, tags=[f"x/{NAMED}:1"])
    return write(tmp_path_factory.mktemp("hostile") / "image.tar", archive)


def shown(*arguments: str, terminal: bool) -> str:
    """What a command prints, on both streams; stdout is a terminal that changes nothing."""
    env = environment(NO_COLOR="1", PAGER="cat", TERM="xterm")
    if not terminal:
        done = forks.run(arguments, env)
        return (done.stdout + done.stderr).decode("utf-8", "surrogateescape")
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    with subprocess.Popen(
        [sys.executable, "-m", "layerscope", *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.STDOUT,
    ):
        os.close(theirs)
        found = b""
        try:
            while piece := os.read(ours, 1 << 16):
                found += piece
        except OSError as error:
            if error.errno != errno.EIO:  # All have closed the terminal.
                raise
    os.close(ours)
    return re.sub("\r\x1b\\[K", "", found.decode("utf-8", "surrogateescape"))


FILE = f"/{NAMED}/file"


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "IMAGE"),
        ("waste", "IMAGE"),
        ("packages", "IMAGE"),
        ("packages", "IMAGE", "--layer", "1"),
        ("files", "IMAGE"),
        ("files", "IMAGE", "--layer", "1"),
        ("files", "IMAGE", "--json-lines"),
        ("inspect", "IMAGE", "--json"),
        ("history", "IMAGE", FILE),
        ("history", "IMAGE", f"/hard{NAMED}"),
        ("history", "IMAGE", f"/{NAMED}"),
        ("cat", "IMAGE", FILE, "--describe"),
        ("cat", "IMAGE", f"/{NAMED}"),
        ("cat", "IMAGE", f"/link{NAMED}"),
        ("diff", "IMAGE", "IMAGE"),
        ("find", "new", "IMAGE"),
        ("find", NAMED, "IMAGE"),
        ("ci", "IMAGE", "--highest-wasted-bytes", "1"),
        ("images", NAMED),
        ("extract", "IMAGE", f"/{NAMED}/nothing", "-o", "/tmp/never"),
        ("extract", "IMAGE", FILE, "-o", "/dev/null"),
        # What a user, or a script, passes on.
        ("inspect", NAMED),
        ("inspect", f"docker-archive:IMAGE:{NAMED}"),
        ("inspect", f"oci:{NAMED}"),
        ("inspect", f"docker://{NAMED}"),
        ("inspect", f"container:{NAMED}"),
        ("inspect", "IMAGE", "--platform", NAMED),
        ("inspect", "IMAGE", f"--{NAMED}"),
        (NAMED,),
        ("inspect", "IMAGE", "--layer", NAMED),
        ("find", "--regex", f"({NAMED}", "IMAGE"),
        ("lint", NAMED),
        ("build", NAMED),
        ("build", ".", "-f", NAMED),
        ("jobs", "attach", NAMED),
        ("jobs", NAMED),
        ("help", NAMED),
        ("--log", f"/{NAMED}/log", "inspect", "IMAGE"),
    ],
)
def test_nothing_is_obeyed(image: str, arguments: tuple[str, ...], *, terminal: bool) -> None:
    given = [argument.replace("IMAGE", image) for argument in arguments]
    found = shown(*given, terminal=terminal)
    assert found
    match = HOSTILE_IN_LINES.search(found)
    assert match is None, repr(found[max(0, match.start() - 60) : match.end() + 20])
    assert "Traceback" not in found
    assert "This is a bug" not in found
    if arguments[0] != "files" and "--json" not in arguments:
        # A line of its own could say anything.
        assert "\nnew" not in found


@pytest.mark.parametrize(
    "arguments",
    [
        ("cat", "IMAGE", FILE),
        ("history", "IMAGE", FILE, "--patch"),
        ("diff", "IMAGE", "IMAGE", "--path", FILE),
        ("dockerfile", "IMAGE"),
    ],
)
def test_content_is_escaped_on_a_terminal(image: str, arguments: tuple[str, ...]) -> None:
    given = [argument.replace("IMAGE", image) for argument in arguments]
    found = shown(*given, terminal=True)
    match = HOSTILE_IN_LINES.search(found)
    assert match is None, repr(found[max(0, match.start() - 60) : match.end() + 20])


EVENTS = (
    {"event": "step_started", "step": 1, "steps": 2, "instruction": f"RUN {NAMED}"},
    {"event": "log", "step": 1, "text": NAMED},
    {"event": "log", "step": 1, "text": f"50%\r{HOSTILE}"},
    {"event": "step_committed", "step": 1, "size": 1, "image": NAMED, "diff_id": NAMED},
    {"event": "warning", "text": NAMED, "line": 1},
    {"event": NAMED, "text": NAMED},
    {"event": "step_failed", "step": 1, "text": NAMED},
    {"event": "failed", "text": NAMED},
)


@pytest.fixture
def hostile_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = tmp_path / "layerscope" / "jobs" / "1"
    job.mkdir(parents=True)
    record = {"kind": "build", "title": NAMED, "started": 1e9, "directory": NAMED, "spec": {}}
    (job / "job.json").write_text(json.dumps(record))
    (job / "result.json").write_text(json.dumps({"exit_code": 1, "reason": NAMED}))
    (job / "events.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in EVENTS))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.mark.usefixtures("hostile_job")
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("arguments", [("jobs",), ("jobs", "attach", "1"), ("jobs", "cancel", "1")])
def test_jobs_are_shown_safely(arguments: tuple[str, ...], *, terminal: bool) -> None:
    found = shown(*arguments, terminal=terminal)
    assert HOSTILE_IN_LINES.search(found) is None
    assert "\nnew" not in found


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(
    "command", [("lint", "FILE", "--no-buildkit"), ("build", "DIR", "--dry-run")]
)
def test_dockerfiles_are_shown_safely(
    tmp_path: Path, command: tuple[str, ...], *, terminal: bool
) -> None:
    place = tmp_path / f"d{NAMED}"
    place.mkdir()
    line = HOSTILE.replace("\r", "")
    (place / "Dockerfile").write_text(
        f"FROM {line}\nFROM x AS {line}\nRUNN {line}\nCOPY --from={line} a{line} /\n"
        f"ENV {line}\nLABEL {line}={line}\nEXPOSE {line}\nARG {line}\nCMD [{line}\n"
    )
    (place / NAMED).write_text("x")
    given = [x.replace("FILE", f"{place}/Dockerfile").replace("DIR", str(place)) for x in command]
    found = shown(*given, terminal=terminal)
    match = HOSTILE_IN_LINES.search(found)
    assert match is None, repr(found[max(0, match.start() - 60) : match.end() + 20])


def test_content_is_raw_in_a_pipe(image: str) -> None:
    assert shown("cat", image, FILE, terminal=False) == CONTENT
    assert shown("cat", image, FILE, terminal=True) == (
        "begin\ta\\e[31m\\e]52;c;eA==\\x07\\x9b32m\\u202e\\u2066\\x7f\\x08\\rb\\u200b\\u2028\nend\n"
    )


def test_bytes_across_pieces_are_decoded(tmp_path: Path) -> None:
    content = "x" * ((1 << 20) - 1) + "é\x1b"
    source = write(tmp_path / "i.tar", saved(layer_tar([text("f", content)])))
    assert shown("cat", source, "/f", terminal=True)[-3:] == "é\\e"
