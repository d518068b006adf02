"""The command to run, and a shell for images without one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from layerscope.commands.asking import agreed, may_ask
from layerscope.errors import UsageError
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.engines.shell import RunRequest


def request_of(arguments: argparse.Namespace, source: str) -> RunRequest:
    """Raises UsageError if this host's busybox needs libraries."""
    from layerscope.engines.shell import RunRequest, is_static

    if arguments.busybox and not is_static(arguments.busybox):
        raise UsageError(
            f"{visible(arguments.busybox)} is not a static program.",
            "Name a static busybox, such as that of Debian's busybox-static.",
        )
    return RunRequest(
        source,
        tuple(arguments.command_line),
        arguments.shell_name or "",
        arguments.user or "",
        arguments.platform or "",
        arguments.busybox or "",
        sys.stdin is not None and sys.stdin.isatty(),
        arguments.workdir or "",
        tuple(arguments.env),
    )


def with_shell(
    request: RunRequest, start: Callable[[RunRequest], int], *, local: bool, mounts: bool = True
) -> int:
    """Runs a command, or a shell: this host's busybox if there is none and the user agrees.

    That needs an engine on this host (`local`) that can mount it (`mounts`).

    `start` returns an exit code: docker's own if the program does not exist.
    """
    from layerscope.engines.shell import NOT_FOUND, NOT_RUNNABLE, find_busybox

    code = start(request)
    if request.command or request.busybox or code not in (NOT_FOUND, NOT_RUNNABLE):
        return code
    if request.shell:
        shell = visible(request.shell)
        raise UsageError(f"There is no {shell} here.", "Leave out --shell to run bash or sh.")
    problem = "The image has no shell."
    if request.source.startswith("container:"):
        problem = "The container has no shell."
        if not mounts:
            raise UsageError(problem, "Copy a static busybox into it: docker cp.")
    busybox = find_busybox() if local else ""
    if not busybox or not may_ask():
        hint = f"Add --busybox {busybox or 'PATH'}, a static one, to run that beside it."
        raise UsageError(problem, hint)
    if not agreed(f"{problem} Run {visible(busybox)} of this host in it? (y/N) "):
        return 1
    return start(replace(request, busybox=busybox))
