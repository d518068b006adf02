"""Syntax highlighting by Pygments, in a separate process.

Some lexers take forever on some texts, and a thread could not be stopped within a match; it would
even block the UI. The process ends itself after a few seconds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from enum import IntEnum
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pygments.lexer import Lexer

    from layerscope.content.display import Span

#: Seconds that a text can take.
_PATIENCE = 4

#: Longer lines are slow, and not written by people.
_LONGEST_LINE = 2000

#: Pygments' names of interpreters.
_INTERPRETERS = {"sh": "bash", "dash": "bash", "ash": "bash", "node": "javascript"}


class Category(IntEnum):
    """The category of a part of a text; 0 is anything else."""

    COMMENT = 1
    KEYWORD = 2
    STRING = 3
    NUMBER = 4
    NAME = 5
    BUILTIN = 6
    TAG = 7
    INSERTED = 8
    DELETED = 9
    HEADING = 10


#: Pygments' token types. A type that is not listed has the category of its parent.
_TOKENS = {
    Category.COMMENT: "Comment",
    Category.KEYWORD: "Keyword Operator.Word",
    Category.STRING: "Literal.String",
    Category.NUMBER: "Keyword.Constant Literal.Number Literal.Date Name.Constant",
    Category.NAME: "Name.Function Name.Class Name.Exception Name.Attribute Name.Namespace",
    Category.BUILTIN: "Comment.Preproc Keyword.Type Literal.String.Interpol Literal.String.Escape "
    "Name.Builtin Name.Decorator Name.Variable",
    Category.TAG: "Name.Tag Name.Label",
    Category.INSERTED: "Generic.Inserted",
    Category.DELETED: "Generic.Deleted",
    Category.HEADING: "Generic.Heading Generic.Subheading",
}
_CATEGORIES = {f"Token.{t}": category for category, ts in _TOKENS.items() for t in ts.split()}


def find_lexer(name: str, head: str) -> Lexer | None:
    """The lexer for a file, by its name or the start of its content, or None."""
    from pygments.lexers import find_lexer_class_for_filename, get_lexer_by_name
    from pygments.lexers.special import TextLexer
    from pygments.util import ClassNotFound

    found = find_lexer_class_for_filename(name, head[:4096])
    if found is not None and found is not TextLexer:
        lexer: Lexer = found()
        return lexer
    first = head.partition("\n")[0]
    alias = ""
    if first.startswith("#!"):
        words = first[2:].replace("/usr/bin/env", "").replace("-S", "").split()
        alias = words[0].rpartition("/")[2].rstrip("0123456789.") if words else ""
        alias = _INTERPRETERS.get(alias, alias)
    elif first.startswith("<?xml"):
        alias = "xml"
    elif first.startswith(("{", "[{")) and name.endswith("rc"):
        alias = "json"
    try:
        return get_lexer_by_name(alias) if alias else None
    except ClassNotFound:
        return None


def spans_of(lexer: Lexer, lines: list[str]) -> list[list[Span]]:
    """The categories of the parts of each line; lines are without their ends."""
    text = "\n".join(line if len(line) <= _LONGEST_LINE else "" for line in lines)
    result: list[list[Span]] = [[] for _ in lines]
    line = begin = 0
    for at, token, value in lexer.get_tokens_unprocessed(text):
        category = _category(str(token), str(token))
        for index, part in enumerate(value.split("\n")):
            if index:
                line += 1
                begin = at
            if category and part and line < len(lines):
                result[line].append((at - begin, at - begin + len(part), category))
            at += len(part) + 1
    return result


def _category(token: str, whole: str) -> int:
    while token:
        found = _CATEGORIES.get(token)
        if found is not None:
            _CATEGORIES[whole] = found
            return int(found)
        token = token.rpartition(".")[0]
    return 0


class Highlighter:
    """A process that highlights the lines of one file. Used by one thread at a time."""

    def __init__(self, name: str, head: str) -> None:
        """Takes the file's name and how it begins; the process is started on first use."""
        self._first: dict[str, str] = {"name": name, "head": head[:4096]}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._given_up = False

    def spans(self, lines: list[str]) -> list[list[Span]] | None:
        """The categories of the parts of each line, or None if unknown."""
        if self._given_up:
            return None
        try:
            process = self._process or self._start()
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            assert process.stdout is not None  # noqa: S101 - likewise
            _send(process.stdin, lines)
            answer = _receive(process.stdout)
        except (OSError, ValueError):
            answer = None
        if not isinstance(answer, list):
            self.close()
            return None
        return [[(begin, end, kind) for begin, end, kind in line] for line in answer]

    def close(self) -> None:
        """Ends the process; can be called from any thread, more than once."""
        with self._lock:
            self._given_up = True
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                try:
                    if pipe is not None:
                        pipe.close()
                except OSError:
                    pass
            process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        # The same module path as here, without the current folder, which is untrusted.
        path = os.pathsep.join(entry for entry in sys.path if entry)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "layerscope.content.highlight"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        with self._lock:
            if self._given_up:
                process.kill()
                process.wait()
                raise ValueError("it has been closed")
            self._process = process
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        _send(process.stdin, self._first)
        return process


def _send(pipe: IO[bytes], value: object) -> None:
    pipe.write(json.dumps(value).encode("ascii") + b"\n")
    pipe.flush()


def _receive(pipe: IO[bytes]) -> object:
    line = pipe.readline()
    answer: object = json.loads(line) if line else None
    return answer


def _serve() -> None:
    """The process's main loop: one line in, one line out."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    first = _receive(source)
    lexer = None
    if isinstance(first, dict):
        signal.alarm(_PATIENCE)
        lexer = find_lexer(first["name"], first["head"])
    while True:
        signal.alarm(0)
        lines = _receive(source)
        if not isinstance(lines, list):
            return
        # The signal ends the process even in the middle of a match.
        signal.alarm(_PATIENCE)
        _send(target, None if lexer is None else spans_of(lexer, lines))


if __name__ == "__main__":
    _serve()
