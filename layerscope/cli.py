"""The commands. stdout is data, stderr is narration; the exit code is the answer."""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from layerscope import __version__
from layerscope.errors import Cancelled, LayerscopeError, UsageError

if TYPE_CHECKING:
    from layerscope.images.loading import Loaded

_SOURCE_HELP = (
    "an image: NAME[:TAG] or an id in the current engine, a file that `docker save` wrote, "
    "docker-daemon:NAME, docker-archive:PATH[:REF]"
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line that says what to do."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", f"See {self.prog} --help.")


def _parser() -> _Parser:
    parser = _Parser(
        prog="layerscope",
        description="Shows what each layer of a container image adds. Without a command: the TUI.",
        epilog="layerscope [SOURCE] starts the TUI, with that image open.",
    )
    parser.add_argument("--version", action="version", version=f"layerscope {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    inspect = commands.add_parser("inspect", help="image, layers, waste")
    inspect.add_argument("source", metavar="SOURCE", help=_SOURCE_HELP)
    inspect.add_argument("--json", action="store_true", help="one JSON object")
    inspect.set_defaults(run=_inspect)

    files = commands.add_parser("files", help="the union at the top, or one layer's changes")
    files.add_argument("source", metavar="SOURCE", help=_SOURCE_HELP)
    files.add_argument("--layer", type=int, metavar="N", help="one layer, the base being 0")
    files.add_argument("--json-lines", action="store_true", help="one JSON object a line")
    files.set_defaults(run=_files)

    images = commands.add_parser("images", help="images of the current engine")
    images.add_argument("--json", action="store_true", help="one JSON object")
    images.set_defaults(run=_images)

    tui = commands.add_parser("tui", help="the TUI, as without a command")
    tui.add_argument("source", metavar="SOURCE", nargs="?", help=_SOURCE_HELP)
    tui.set_defaults(run=_tui)
    return parser


def _inspect(arguments: argparse.Namespace) -> int:
    from layerscope.reports.inspect_report import inspect_document, inspect_text

    loaded = _load(arguments.source)
    if arguments.json:
        _write([json.dumps(inspect_document(loaded))])
    else:
        _write(inspect_text(loaded))
    return 0


def _files(arguments: argparse.Namespace) -> int:
    from layerscope.reports.files_report import json_lines, text_lines

    loaded = _load(arguments.source)
    layer: int | None = arguments.layer
    height = loaded.stack.height
    if layer is not None and not 0 <= layer < height:
        raise UsageError(
            f"There is no layer {layer}.",
            f"The image has layers 0 to {height - 1}." if height else "The image has no layers.",
        )
    _write((json_lines if arguments.json_lines else text_lines)(loaded.stack, layer))
    return 0


def _images(arguments: argparse.Namespace) -> int:
    from layerscope.engines.docker import connect
    from layerscope.reports.images_report import images_document, images_text

    engine = connect()
    try:
        images = engine.images(sizes=True)
    finally:
        engine.close()
    if arguments.json:
        _write([json.dumps(images_document(images))])
    else:
        _write(images_text(images, time.time()))
    return 0


def _tui(arguments: argparse.Namespace) -> int:
    from layerscope.tui.app import run

    code: int = run(arguments.source)
    return code


def _load(source: str) -> Loaded:
    from layerscope.engines.resolve import open_image
    from layerscope.images.loading import load
    from layerscope.reports.narration import Narration

    # Reading makes millions of objects and no cycles: collecting garbage would find none.
    gc.disable()
    with Narration() as narration:
        reader = open_image(source, narration.progress)
        try:
            return load(reader, narration.progress)
        finally:
            reader.close()


def _write(lines: Iterable[str]) -> None:
    """Writes lines to stdout, in large pieces."""
    out = sys.stdout
    piece: list[str] = []
    for line in lines:
        piece.append(line)
        if len(piece) == 4096:
            out.write("\n".join(piece) + "\n")
            piece.clear()
    if piece:
        out.write("\n".join(piece) + "\n")
    out.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: The arguments, without the program's name; None for those of the process.

    Returns:
        The exit code: 0, 1 (the answer is no), 2 (usage or error), 130 (interrupted).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except BrokenPipeError:
        # The reader of stdout has gone; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
        print(f"layerscope: {error.strerror or error}.", file=sys.stderr)
        return 2


def _run(arguments: list[str]) -> int:
    parser = _parser()
    commands = {"inspect", "files", "images", "tui"}
    # Whatever is neither an option nor a command is an image to open: `layerscope debian:12`.
    if not arguments or (arguments[0] not in commands and not arguments[0].startswith("-")):
        arguments = ["tui", *arguments]
    parsed = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] | None = getattr(parsed, "run", None)
    if run is None:
        raise UsageError("No command is named.", "See layerscope --help.")
    return run(parsed)
