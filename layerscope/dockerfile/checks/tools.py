"""Problems found by other programs: hadolint, and BuildKit's own checks through buildx.

Both are optional. A missing one is skipped; one that fails reports the reason in a sentence.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.dockerfile.checks.problems import Problem, Severity
from layerscope.dockerfile.syntax.document import Document
from layerscope.dockerfile.syntax.source import Span
from layerscope.engines.waiting import patiently
from layerscope.programs import OutputError, ending, run
from layerscope.text import one_line

_MOST = 64 << 20  # Bytes that a tool may print.
_SECONDS = 60  # The time limit of a tool; BuildKit asks registries about base images.
_LONGEST_MESSAGE = 200  # Characters of a tool's error message.
_PREFIX = re.compile(r"(?:hadolint: |ERROR: |failed to build: |failed to solve: )*")
#: The errors of a frontend without checks, and of a buildx without them.
_OLD = re.compile(r"unsupported request frontend|unknown flag: --call|--call.*not supported")
_TOO_OLD = "BuildKit's checks were left out: they need Docker 27 and buildx 0.15, or newer"
_LEVELS = {"error": Severity.ERROR, "warning": Severity.WARNING}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The problems that a tool found; `failure` is the reason if it failed, else empty."""

    problems: tuple[Problem, ...] = ()
    failure: str = ""
    too_old: bool = False  # Whether it failed because it is too old, and will again.


def find_hadolint() -> str | None:
    """The program, from PATH or from the environment in which layerscope is installed."""
    beside = Path(sys.executable).with_name("hadolint")
    return shutil.which("hadolint") or (str(beside) if beside.is_file() else None)


def hadolint(document: Document, folder: Path | None = None) -> ToolResult | None:
    """Runs hadolint on a document; None if it is not installed.

    `folder` is the working folder: hadolint looks for its settings there and above.
    """
    program = find_hadolint()
    if program is None:
        return None
    command = [program, "--format", "json", "--no-fail", "-"]
    # The first line of an error is followed by a stack trace.
    return _result("hadolint", command, document, folder, _of_hadolint, 0)


def _of_hadolint(document: Document, found: list[dict[str, Any]]) -> Iterator[Problem]:
    for item in found:
        code = str(item["code"])
        severity = _LEVELS.get(str(item["level"]), Severity.INFO)
        message = " ".join(str(item["message"]).split())
        if code == "DL1000":
            # Its parser sometimes lags behind BuildKit's. Real errors are found elsewhere.
            severity, message = Severity.INFO, f"hadolint cannot read this: {message}"
        span = _span(document, int(item["line"]) - 1, int(item["column"]) - 1)
        hint = f"https://www.shellcheck.net/wiki/{code}" if code.startswith("SC") else ""
        yield Problem(code, severity, message, span, hint, "hadolint")


def build_check(document: Document, context: Path) -> ToolResult | None:
    """Runs BuildKit's checks with `docker buildx build --call=check`; None without buildx."""
    program = shutil.which("docker")
    if program is None:
        return None
    try:
        if run([program, "buildx", "version"], seconds=_SECONDS, group=True)[0]:
            return None
    except (OSError, OutputError):
        return None
    command = [program, "buildx", "build", "--call=check,format=json", "--file", "-", str(context)]
    found = _result("docker buildx", command, document, None, _of_buildkit, -1)
    return ToolResult(failure=_TOO_OLD, too_old=True) if _OLD.search(found.failure) else found


def _result(
    name: str,
    command: list[str],
    document: Document,
    folder: Path | None,
    problems: Callable[[Document, Any], Iterator[Problem]],
    error_line: int,
) -> ToolResult:
    """Runs a tool that prints JSON; if it fails, reports one line of its error message."""
    text = document.text.encode("utf-8", "surrogateescape")
    try:
        with patiently(Path(command[0]).name):
            code, out, err = run(
                command, text, seconds=_SECONDS, most=_MOST, errors=True, folder=folder, group=True
            )
    except OutputError as error:
        return ToolResult(failure=f"{name} {error}")
    except OSError as error:
        return ToolResult(failure=f"{name} cannot be run ({error.strerror})")
    try:
        return ToolResult(tuple(problems(document, json.loads(out))))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError):
        lines = (err.strip() or out.strip()).split(b"\n")
        message = _PREFIX.sub("", one_line(lines[error_line])) or ending(code)
        return ToolResult(failure=f"{name} failed ({message[:_LONGEST_MESSAGE]})")


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
            # `error=true`; the warnings are listed separately.
            return
        if "failed to resolve source metadata" in message:
            # No network, or no such image.
            yield Problem("BaseImageUnresolved", Severity.INFO, message, span, "", "buildkit")
        else:
            yield Problem("BuildError", Severity.ERROR, message, span, "", "buildkit")


def _line(item: dict[str, Any]) -> int:
    ranges = (item.get("location") or {}).get("ranges") or []
    return int(ranges[0]["start"]["line"]) - 1 if ranges else 0


def _span(document: Document, line: int, column: int) -> Span:
    """The keyword of an instruction, or the word at a position in it."""
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
