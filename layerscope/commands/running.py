"""Runs a shell or a command in an image or a container: run."""

from __future__ import annotations

import argparse
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from layerscope.commands.shells import request_of, with_shell
from layerscope.errors import LayerscopeError, NotFoundError, UsageError
from layerscope.reports.progress import shown_progress


def run(arguments: argparse.Namespace) -> int:
    """Returns the command's exit code; 0 for a shell."""
    of_engine = {"--shell": arguments.shell_name, "--busybox": arguments.busybox}
    of_sandbox = {
        "--network": arguments.network,
        "--timeout": arguments.timeout,
        "--memory": arguments.memory,
        "--processes": arguments.processes,
        "--save-changes": arguments.save_changes,
        "--json": arguments.json,
    }
    in_store = not arguments.sandbox and _is_of_store(arguments.source)
    others = of_engine if arguments.sandbox else {} if in_store else of_sandbox
    wrong = next((name for name, given in others.items() if given), "")
    if wrong:
        why = "cannot be combined with" if arguments.sandbox else "needs"
        raise UsageError(f"{wrong} {why} --sandbox.", f"Leave out {wrong}.")
    if arguments.sandbox:
        from layerscope.commands.sandbox import run_in_sandbox

        return run_in_sandbox(arguments)
    if arguments.shell_name and arguments.command_line:
        raise UsageError("--shell cannot be combined with a command.", "Leave one of them out.")
    if arguments.source.startswith("container:") and arguments.layer is not None:
        raise UsageError("A container runs with all its layers.", "Name its image for --layer.")
    if in_store:
        from layerscope.commands.kept_runs import run_in_store

        return run_in_store(arguments)
    return _run_in_engine(arguments)


def _is_of_store(source: str) -> bool:
    """Whether a source is an image or a container in the embedded store."""
    from layerscope.engines.address import EMBEDDED, current_address

    own = current_address().host.startswith(f"{EMBEDDED}:")
    if source.startswith("container:") and not own:
        return _only_store_has(source.removeprefix("container:"))
    return own or source.startswith(f"{EMBEDDED}:")


def _only_store_has(container: str) -> bool:
    """Whether only the embedded store, not the current engine, has a container."""
    from layerscope.engines.docker import connect
    from layerscope.engines.embedded.engine import EmbeddedEngine

    try:
        EmbeddedEngine().inspect_container(container)
    except NotFoundError:
        return False
    try:
        with closing(connect()) as engine:
            engine.inspect_container(container)
    except LayerscopeError:
        return True
    return False


def _run_in_engine(arguments: argparse.Namespace) -> int:
    from layerscope.engines.docker import connect
    from layerscope.engines.resolve import name_in_engine
    from layerscope.engines.shell import run_command
    from layerscope.transfer.lower_layers import image_up_to

    source = arguments.source
    in_container = source.startswith("container:")
    try:
        name = source if in_container else name_in_engine(source)
    except UsageError as error:
        raise UsageError(error.message, "With --sandbox, any image runs without one.") from None
    request = request_of(arguments, name)
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
            raise UsageError(
                "The engine is on another host, without the files of this one.",
                "Leave out --busybox.",
            )
        podman = engine.is_podman
        return with_shell(
            request,
            lambda r: _ended(run_command(r, podman=podman)),
            local=local,
            mounts=not in_container,
        )


def _ended(command: Sequence[str]) -> int:
    """Runs a program in the terminal; returns its exit code as shells do."""
    from layerscope.engines.address import command_environment

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # The program would inherit that.
        # The interrupt is for the program, as in a shell.
        signal.signal(signal.SIGINT, lambda *_: None)
    try:
        # Runs docker with the user's command.
        code = subprocess.run(command, env=command_environment(), check=False).returncode  # noqa: S603
    finally:
        signal.signal(signal.SIGINT, before)
    return 128 - code if code < 0 else code
