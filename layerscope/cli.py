"""The commands. stdout is data, stderr is narration; the exit code is the answer."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from layerscope import __version__, config
from layerscope.commands import command
from layerscope.commands.build_flags import add_build
from layerscope.errors import Cancelled, LayerscopeError, UsageError
from layerscope.text import visible

_SOURCE_HELP = (
    "an image: NAME[:TAG] or an id in the current engine, a file that `docker save` wrote, a "
    "folder with an OCI image layout; or TRANSPORT:…, with TRANSPORT one of docker, docker-daemon, "
    "docker-archive, docker-root, container, oci, oci-archive"
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line that says what to do."""

    def error(self, message: str) -> NoReturn:
        message = visible(f"{message[:1].upper()}{message[1:]}")
        raise UsageError(f"{message}.", f"See {self.prog} --help.")


def _parser() -> tuple[_Parser, frozenset[str]]:
    """The parser, and the names of all commands."""
    parser = _Parser(
        prog="layerscope",
        description="Shows what each layer of a container image adds. Without a command: the TUI.",
        epilog="layerscope [SOURCE] starts the TUI, with that image open. If a terminal shows it "
        "wrongly, LAYERSCOPE_OUTPUT=plain in the environment makes it write more, and simpler.",
    )
    parser.add_argument("--version", action="version", version=f"layerscope {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    inspect = _command(subparsers, "inspect", "image, layers, waste")
    inspect.add_argument("--json", action="store_true", help="one JSON object")

    waste = _command(subparsers, "waste", "what could be saved, why, and how")
    waste.add_argument("--json", action="store_true", help="one JSON object")
    waste.add_argument(
        "--no-compare",
        dest="compare",
        action="store_false",
        help="read no content, which tells what was copied from what was rewritten",
    )

    what = "installed packages, what a layer did to them, setuid files and capabilities"
    packages = _command(subparsers, "packages", what)
    packages.add_argument("--layer", type=int, metavar="N", help="what layer N changed")
    packages.add_argument("--json", action="store_true", help="one JSON object")

    files = _command(subparsers, "files", "the union at the top, or one layer's changes")
    files.add_argument("--layer", type=int, metavar="N", help="one layer, the base being 0")
    files.add_argument("--json-lines", action="store_true", help="one JSON object a line")

    history = _command(subparsers, "history", "every version of a path")
    history.add_argument("path", metavar="PATH")
    history.add_argument(
        "-p", "--patch", action="store_true", help="unified diffs between versions, for patch too"
    )
    history.add_argument("--json", action="store_true", help="one JSON object")

    cat = _command(subparsers, "cat", "content of a version of a file")
    cat.add_argument("path", metavar="PATH")
    cat.add_argument("--layer", type=int, metavar="N", help="as it is with layer N on top")
    cat.add_argument("--describe", action="store_true", help="what kind of file it is instead")
    cat.add_argument("--json", action="store_true", help="with --describe, one JSON object")

    extract = _command(subparsers, "extract", "write files of an image to a folder")
    extract.add_argument("paths", metavar="PATH", nargs="+", help="/ for everything")
    extract.add_argument("-o", "--output", metavar="DIR", required=True)
    extract.add_argument("--layer", type=int, metavar="N", help="as it is with layer N on top")

    diff = _command(subparsers, "diff", "two images, of any two sources", source=False)
    diff.add_argument("a", metavar="A", help=_SOURCE_HELP)
    diff.add_argument("b", metavar="B")
    diff.add_argument("--json", action="store_true", help="one JSON object")
    diff.add_argument("--path", metavar="PATH", help="unified diff of this one path, for patch too")
    diff.add_argument("--exit-code", action="store_true", help="exit with 1 if they differ")

    find = _command(subparsers, "find", "a file in all local images", source=False)
    find.add_argument(
        "pattern", metavar="PATTERN", help="part of a path, a glob, or sha256:DIGEST of content"
    )
    find.add_argument("sources", metavar="SOURCE", nargs="*", help="look in these instead")
    find.add_argument("--regex", action="store_true", help="PATTERN is a regular expression")
    find.add_argument("--index", action="store_true", help="read layers that are not known yet")
    find.add_argument("--json-lines", action="store_true", help="one JSON object a line")

    gate = _command(subparsers, "ci", "gate with thresholds; exit 1 on a breach")
    fraction, size = "FRACTION", "BYTES"
    gate.add_argument("--lowest-efficiency", metavar=fraction)
    gate.add_argument("--highest-wasted-bytes", metavar=size)
    gate.add_argument("--highest-wasted-percent", metavar=fraction)
    gate.add_argument("--highest-user-wasted-percent", metavar=fraction)
    gate.add_argument("--highest-size", metavar=size)
    gate.add_argument("--exclude", metavar="GLOB", action="append", help="waste not to count")
    gate.add_argument("--config", metavar="FILE", help="layerscope.toml, pyproject.toml, .dive-ci")
    gate.add_argument("--json", action="store_true", help="one JSON object")

    what = "images of the current engine, or of a data folder"
    images = _command(subparsers, "images", what, source=False)
    images.add_argument(
        "source", metavar="SOURCE", nargs="?", help="docker-root:DIR, a daemon's data folder"
    )
    images.add_argument("--json", action="store_true", help="one JSON object")

    what = "remove images, after saying what that frees and asking"
    removal = subparsers.add_parser("rm", help=what, description=f"{what.capitalize()}.")
    removal.add_argument("images", metavar="IMAGE", nargs="+", help="name or id")
    removal.add_argument("--dry-run", action="store_true", help="say it, and remove nothing")
    removal.add_argument("--yes", action="store_true", help="do not ask")
    removal.add_argument("--json", action="store_true", help="one JSON object")

    _add_lint(subparsers)
    made_of = _command(subparsers, "dockerfile", "a Dockerfile from an image's history")
    made_of.add_argument("--json", action="store_true", help="one JSON object, with layer numbers")
    add_build(subparsers)
    _add_jobs(subparsers)

    tui = _command(subparsers, "tui", "the TUI, as without a command", source=False)
    tui.add_argument("source", metavar="SOURCE", nargs="?", help=_SOURCE_HELP)
    tui.add_argument("--theme", metavar="NAME", help="auto, dark, light, terminal, plain, …")
    tui.add_argument("--ascii", action="store_true", default=None, help="draw with ASCII alone")
    tui.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")

    what = "the settings that apply, and where each comes from"
    settings = subparsers.add_parser("config", help=what, description=f"{what.capitalize()}.")
    settings.add_argument(
        "what", choices=("show", "path"), nargs="?", default="show", help="path: of the file"
    )
    settings.add_argument("--json", action="store_true", help="one JSON object")
    return parser, frozenset(subparsers.choices)


def _add_lint(subparsers: argparse._SubParsersAction[_Parser]) -> None:
    lint = _command(subparsers, "lint", "problems of a Dockerfile; exit 1 if any", source=False)
    lint.add_argument(
        "file", metavar="FILE", nargs="?", help="- for standard input; ./Dockerfile by default"
    )
    lint.add_argument("--context", metavar="DIR", help="build context; FILE's folder by default")
    lint.add_argument("--target", metavar="STAGE", help="the stage that is built; the last one")
    lint.add_argument(
        "--build-arg", metavar="NAME[=VALUE]", action="append", help="a build argument"
    )
    lint.add_argument(
        "--image", metavar="SOURCE", help="built from FILE: what its steps wasted counts too"
    )
    lint.add_argument(
        "--bases", action="store_true", help="look base images up, in the engine or a registry"
    )
    lint.add_argument(
        "--fail-on",
        choices=("error", "warning", "info", "never"),
        default="warning",
        help="exit with 1 from this severity on; warning by default",
    )
    lint.add_argument(
        "--no-hadolint", dest="hadolint", action="store_false", help="do not ask hadolint"
    )
    lint.add_argument(
        "--no-buildkit", dest="buildkit", action="store_false", help="do not ask docker buildx"
    )
    lint.add_argument(
        "--no-builds",
        dest="builds",
        action="store_false",
        help="do not tell what the last build of FILE wasted",
    )
    lint.add_argument("--json", action="store_true", help="one JSON object")


def _add_jobs(subparsers: argparse._SubParsersAction[_Parser]) -> None:
    what = "builds that run or ran, also those of terminals that are gone"
    jobs = subparsers.add_parser("jobs", help=what, description=f"{what.capitalize()}.")
    actions = jobs.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
    listed = actions.add_parser("list", help="all of them, newest first")
    # Without an action it is `list`, flag and all.
    for parser, default in ((jobs, False), (listed, argparse.SUPPRESS)):
        parser.add_argument("--json", action="store_true", default=default, help="one JSON object")
    attach = actions.add_parser("attach", help="follow a job from its first line on")
    attach.add_argument("id", metavar="ID")
    attach.add_argument("--json-lines", action="store_true", help="one JSON object an event")
    cancel = actions.add_parser("cancel", help="stop a job")
    cancel.add_argument("id", metavar="ID")


def _command(
    subparsers: argparse._SubParsersAction[_Parser], name: str, text: str, *, source: bool = True
) -> _Parser:
    parser = subparsers.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.")
    if source:
        parser.add_argument("source", metavar="SOURCE", help=_SOURCE_HELP)
    parser.add_argument(
        "--platform", metavar="OS/ARCH", help="which image of several; this host's by default"
    )
    parser.add_argument(
        "--export",
        action="store_true",
        help="have the engine export the image, even where its data folder can be read",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="read registries without TLS too, and with certificates that are not valid",
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="neither use nor keep what was read before"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: The arguments, without the program's name; None for those of the process.

    Returns:
        The exit code: 0, 1 (the answer is no), 2 (usage or error), 130 (interrupted).
    """
    # Reading makes millions of objects and no cycles: collecting garbage would find none.
    gc.disable()
    _fill_closed_streams()
    _want_no_threads()
    arguments = list(sys.argv[1:] if argv is None else argv)
    interrupts = _remember_interrupts()
    try:
        return _run(arguments)
    except BrokenPipeError:
        _drop_output()
        return 128 + signal.SIGPIPE
    except (KeyboardInterrupt, Cancelled):
        print("Interrupted.", file=sys.stderr)
        return 130
    except LayerscopeError as error:
        print(f"layerscope: {error}", file=sys.stderr)
        return error.exit_code
    except MemoryError:
        print("layerscope: There is not enough memory to read this image.", file=sys.stderr)
        return 2
    except OSError as error:
        name = f"{visible(str(error.filename))}: " if error.filename else ""
        print(f"layerscope: {name}{error.strerror or error}.", file=sys.stderr)
        _drop_output()
        return 2
    except Exception:
        # Left to Python, the exit code would be 1: the answer is no.
        if interrupts:
            print("Interrupted.", file=sys.stderr)
            return 130
        sys.excepthook(*sys.exc_info())
        print("layerscope: That is a mistake in layerscope. Please report it.", file=sys.stderr)
        return 2


def _remember_interrupts() -> list[int]:
    """Makes ctrl+c leave a note, too: numpy raises an ImportError if it comes while that loads."""
    notes: list[int] = []

    def interrupt(number: int, _: object) -> NoReturn:
        notes.append(number)
        raise KeyboardInterrupt

    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):
        signal.signal(signal.SIGINT, interrupt)
    return notes


def _fill_closed_streams() -> None:
    """Sees to it that no file takes the place of a stream that the process was started without.

    What is told on stderr would go into that file, and there is no `sys.stderr` to tell it on.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good


def _want_no_threads() -> None:
    """Keeps numpy from starting a thread for each core, for linear algebra that nothing here does.

    That takes a third of the time of its import. `os.environ` does not learn of it, so that neither
    do the editor and the shell that a user opens from here.
    """
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        os.putenv("OPENBLAS_NUM_THREADS", "1")


def _drop_output() -> None:
    """If stdout takes nothing more, lets go of what is buffered: it must not raise at exit."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str]) -> int:
    parser, names = _parser()
    # Whatever is no command is an image to open, or an option of that: `layerscope debian:12`.
    if not arguments or arguments[0] not in names | {"-h", "--help", "--version"}:
        arguments = ["tui", *arguments]
    parsed = parser.parse_args(arguments)
    if parsed.command is None:
        raise UsageError("No command is named.", "See layerscope --help.")
    if parsed.command not in ("tui", "config"):
        # Those tell of more, the keys among it.
        for warning in config.load().warnings:
            print(f"layerscope: {warning}", file=sys.stderr)
    if parsed.command == "tui":
        # Its stderr is the screen.
        return command(parsed.command)(parsed)
    # Not at the top: the TUI has no use for it, and paints sooner.
    from layerscope.engines.waiting import waiting_told

    with waiting_told(_say_waiting):
        return command(parsed.command)(parsed)


def _say_waiting(text: str) -> None:
    # On a terminal, a line of progress may stand there that is told again below.
    begin = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{begin}layerscope: {text}", file=sys.stderr, flush=True)
