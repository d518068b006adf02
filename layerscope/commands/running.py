"""Runs a shell or a command in an image or a container: run."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

from layerscope.commands.asking import agreed, may_ask
from layerscope.errors import UsageError
from layerscope.reports.progress import shown_progress
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.engines.shell import RunRequest


def run(arguments: argparse.Namespace) -> int:
    """Returns the command's exit code; of a shell, 0."""
    of_engine = {"--shell": arguments.shell_name, "--busybox": arguments.busybox}
    of_sandbox = {
        "--network": arguments.network,
        "--timeout": arguments.timeout,
        "--memory": arguments.memory,
        "--processes": arguments.processes,
        "--save-changes": arguments.save_changes,
        "--json": arguments.json,
    }
    others = of_engine if arguments.sandbox else of_sandbox
    wrong = next((name for name, given in others.items() if given), "")
    if wrong:
        other = "out" if arguments.sandbox else ""
        raise UsageError(f"{wrong} is only for a run with{other} --sandbox.", f"Leave out {wrong}.")
    if arguments.sandbox:
        from layerscope.commands.sandbox import run_in_sandbox

        return run_in_sandbox(arguments)
    return _run_in_engine(arguments)


def _run_in_engine(arguments: argparse.Namespace) -> int:
    from layerscope.engines.docker import connect
    from layerscope.engines.resolve import name_in_engine
    from layerscope.engines.shell import RunRequest, is_static
    from layerscope.transfer.lower_layers import image_up_to

    source = arguments.source
    in_container = source.startswith("container:")
    try:
        name = source if in_container else name_in_engine(source)
    except UsageError as error:
        raise UsageError(error.message, "With --sandbox, any image runs without one.") from None
    if arguments.shell_name and arguments.command_line:
        raise UsageError("--shell is for a shell, not for a command.", "Leave one of them out.")
    if in_container and arguments.layer is not None:
        raise UsageError("A container runs with all its layers.", "Name its image for --layer.")
    if arguments.busybox and not is_static(arguments.busybox):
        raise UsageError(
            f"{visible(arguments.busybox)} is not a program without libraries.",
            "Name a static busybox, such as that of Debian's busybox-static.",
        )
    request = RunRequest(
        name,
        tuple(arguments.command_line),
        arguments.shell_name or "",
        arguments.user or "",
        arguments.platform or "",
        arguments.busybox or "",
        sys.stdin is not None and sys.stdin.isatty(),
        arguments.workdir or "",
        tuple(arguments.env),
    )
    with ExitStack() as stack:
        engine = stack.enter_context(closing(connect()))
        if in_container:
            engine.inspect_container(source.removeprefix("container:"))
        elif arguments.layer is None:
            engine.inspect(request.source)
        else:
            with shown_progress("Reading the image") as progress:
                image = stack.enter_context(
                    image_up_to(
                        engine,
                        f"docker-daemon:{request.source}",
                        arguments.layer,
                        progress,
                        arguments.platform,
                    )
                )
            request = replace(request, source=image)
        local = engine.host.startswith("unix:")
        if request.busybox and not local:
            raise UsageError("The engine is on another host.", "Nothing of this host is there.")
        return _run(request, podman=engine.is_podman, local=local)


def _run(request: RunRequest, *, podman: bool, local: bool) -> int:
    from layerscope.engines.shell import NOT_FOUND, NOT_RUNNABLE, find_busybox, run_command

    code = _ended(run_command(request, podman=podman))
    if request.command or request.busybox or code not in (NOT_FOUND, NOT_RUNNABLE):
        return code
    if request.shell:
        shell = visible(request.shell)
        raise UsageError(f"There is no {shell} here.", "Leave out --shell to run what there is.")
    if request.source.startswith("container:"):
        raise UsageError("The container has no shell.", "Copy a static busybox into it: docker cp.")
    busybox = find_busybox() if local else ""
    if not busybox or not may_ask():
        hint = f"Add --busybox {busybox or 'PATH'}, a static one, to run that beside it."
        raise UsageError("The image has no shell.", hint)
    question = f"The image has no shell. Run {visible(busybox)} of this host in it? (y/N) "
    if not agreed(question):
        return 1
    return _ended(run_command(replace(request, busybox=busybox), podman=podman))


def _ended(command: Sequence[str]) -> int:
    """Runs a program that has the terminal; returns its exit code as shells do."""
    from layerscope.engines.address import command_environment

    # It is docker, with what the user asked for.
    with subprocess.Popen(command, env=command_environment()) as program:  # noqa: S603
        while True:
            try:
                code = program.wait()
                break
            except KeyboardInterrupt:
                # It is for the program, as in a shell.
                continue
    return 128 - code if code < 0 else code
