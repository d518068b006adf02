"""Problems that other programs find: hadolint, and BuildKit's own checks through buildx.

Neither is ever needed. One that is not there is left out; one that fails says why in a sentence.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.dockerfile.document import Document
from layerscope.dockerfile.problems import Problem, Severity
from layerscope.dockerfile.source import Span
from layerscope.engines.waiting import patiently
from layerscope.text import one_line

#: Seconds that a tool may take; BuildKit asks registries about base images.
_SECONDS = 60
#: Characters of what a tool says of its own failure.
_SAID = 200
_PREFIX = re.compile(r"(?:ERROR: |failed to build: |failed to solve: )*")
_LEVELS = {"error": Severity.ERROR, "warning": Severity.WARNING}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool found.

    Attributes:
        problems: The problems.
        failure: Why it could not do its work; empty if it could.
    """

    problems: tuple[Problem, ...] = ()
    failure: str = ""


def find_hadolint() -> str | None:
    """The program, from the PATH or from the environment that this program is installed in."""
    beside = Path(sys.executable).with_name("hadolint")
    return shutil.which("hadolint") or (str(beside) if beside.is_file() else None)


def hadolint(document: Document, folder: Path | None = None) -> ToolResult | None:
    """What hadolint says of a document.

    Args:
        document: The document.
        folder: Where to run it: it looks for its settings there and above.

    Returns:
        None if it is not installed.
    """
    program = find_hadolint()
    if program is None:
        return None
    done = _run([program, "--format", "json", "--no-fail", "-"], document.text, folder)
    if isinstance(done, str):
        return ToolResult(failure=f"hadolint {done}")
    try:
        found = json.loads(done.stdout)
        return ToolResult(tuple([_of_hadolint(document, item) for item in found]))
    except (ValueError, TypeError, KeyError, AttributeError):
        # What follows its first line is a trace of its own code.
        lines = [*done.stderr.split("\n"), *done.stdout.split("\n")]
        said = next((one_line(line) for line in lines if line.strip()), "")
        said = said.removeprefix("hadolint: ") or f"exit code {done.returncode}"
        return ToolResult(failure=f"hadolint failed ({said[:_SAID]})")


def _of_hadolint(document: Document, item: dict[str, Any]) -> Problem:
    code = str(item["code"])
    severity = _LEVELS.get(str(item["level"]), Severity.INFO)
    message = " ".join(str(item["message"]).split())
    if code == "DL1000":
        # Its parser is behind BuildKit's at times; what ends a build is found by others.
        severity, message = Severity.INFO, f"hadolint cannot read this: {message}"
    span = _span(document, int(item["line"]) - 1, int(item["column"]) - 1)
    hint = f"https://www.shellcheck.net/wiki/{code}" if code.startswith("SC") else ""
    return Problem(code, severity, message, span, hint, "hadolint")


def build_check(document: Document, context: Path) -> ToolResult | None:
    """What BuildKit's checks say of a document, by `docker buildx build --call=check`.

    Args:
        document: The document.
        context: The build context.

    Returns:
        None if there is no buildx.
    """
    program = shutil.which("docker")
    if program is None:
        return None
    known = _run([program, "buildx", "version"], "", None)
    if isinstance(known, str) or known.returncode:
        return None
    command = [program, "buildx", "build", "--call=check,format=json", "--file", "-", str(context)]
    done = _run(command, document.text, None)
    if isinstance(done, str):
        return ToolResult(failure=f"docker buildx {done}")
    try:
        answer = json.loads(done.stdout)
        problems = list(_of_buildkit(document, answer))
        return ToolResult(tuple(problems))
    except (ValueError, TypeError, KeyError, AttributeError):
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        said = _PREFIX.sub("", one_line(lines[-1]))
        return ToolResult(failure=f"docker buildx failed ({said[:_SAID]})")


def _of_buildkit(document: Document, answer: dict[str, Any]) -> Iterator[Problem]:
    for warning in answer.get("warnings") or ():
        span = _span(document, _line(warning), 0)
        code = str(warning["ruleName"])
        message = str(warning["detail"]).rstrip(".") + "."
        hint = str(warning.get("url") or "")
        yield Problem(code, Severity.WARNING, message, span, hint, "buildkit")
    failed = answer.get("buildError")
    if failed:
        message = " ".join(str(failed["message"]).split()).rstrip(".") + "."
        span = _span(document, _line(failed), 0)
        if message.startswith("lint violation found"):
            # `error=true`; the warnings themselves are there.
            return
        if "failed to resolve source metadata" in message:
            # No network, or no such image: it cannot be told from here.
            yield Problem("BaseImageUnresolved", Severity.INFO, message, span, "", "buildkit")
        else:
            yield Problem("BuildError", Severity.ERROR, message, span, "", "buildkit")


def _line(item: dict[str, Any]) -> int:
    ranges = (item.get("location") or {}).get("ranges") or []
    return int(ranges[0]["start"]["line"]) - 1 if ranges else 0


def _span(document: Document, line: int, column: int) -> Span:
    """What to point at: the keyword of an instruction, or the word at a place in it."""
    source = document.source
    line = max(0, min(line, len(source.starts) - 1))
    start = source.offset(line, column)
    found = document.instruction_at(line)
    if found is not None and start <= found.keyword_span.end:
        return found.keyword_span
    text = source.text[start : source.line_end(line)]
    blank = len(text) - len(text.lstrip())
    words = text.split(maxsplit=1)
    return Span(start + blank, start + blank + len(words[0])) if words else Span(start, start)


def _run(
    command: list[str], text: str, folder: Path | None
) -> subprocess.CompletedProcess[str] | str:
    """Runs a program; a few words if it could not be run."""
    try:
        process = subprocess.Popen(  # noqa: S603 - no shell, and no argument is the document's
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            # What it has started itself, as docker does, ends with it.
            process_group=0,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except OSError as error:
        return f"cannot be run ({error.strerror})"
    with process:
        try:
            with patiently(Path(command[0]).name):
                out, err = process.communicate(text, _SECONDS)
        except subprocess.TimeoutExpired:
            _end(process)
            return f"took longer than {_SECONDS} s"
        except BaseException:
            _end(process)
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
