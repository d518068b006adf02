"""A Dockerfile from an image's history: what the builder wrote down, as instructions again.

It is not the Dockerfile that the image was built from. Names of copied files may be digests, build
stages and comments are lost, variables are replaced, and the base image is a part of the history
like any other. Every instruction knows its layer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from layerscope.dockerfile.parser import parse
from layerscope.dockerfile.shell_text import quoting
from layerscope.oci.config import HistoryEntry
from layerscope.oci.config import instruction as instruction_of

#: Two strings or more as Go prints them: `["a" "b"]`.
_GO_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`')
_HEALTH = re.compile(
    r"&\{(?P<test>\[.*\])\s+\"(?P<interval>[^\"]*)\"\s+\"(?P<timeout>[^\"]*)\"\s+"
    r"\"(?P<start>[^\"]*)\"(?:\s+\"(?P<step>[^\"]*)\")?\s+(?P<retries>'(?:[^'\\]|\\.)+'|\d+)\}",
    re.DOTALL,
)
_DIGEST = re.compile(r"(?P<what>file|dir|multi):(?P<digest>[0-9a-f]{8,})\s+in\s+")
_KNOWN = re.compile(
    r"(?:ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL"
    r"|STOPSIGNAL|USER|VOLUME|WORKDIR)(?:\s|\Z)"
)
_INDENTED = re.compile(r"(?<=[;&|\\{(]) ?\t+ ?| {4,}(?=&& |\|\| )")
_FROM = re.compile(r"FROM (?P<image>\S+)\Z")


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction and what it was made of.

    Attributes:
        text: The instruction, perhaps on several lines; a comment where there is no instruction.
        layer: Number of the layer that it made; None if it made none.
        entry: The entry of the history.
        notes: What a reader should know, each a comment above it.
    """

    text: str
    layer: int | None
    entry: HistoryEntry
    notes: tuple[str, ...] = ()


def steps(history: Sequence[HistoryEntry]) -> list[Step]:
    """The instructions behind a history, oldest first."""
    return [_step(entry) for entry in history]


def reconstruct(history: Sequence[HistoryEntry], name: str = "") -> Iterator[str]:
    """The lines of a Dockerfile that says what a history says.

    Args:
        history: The history.
        name: The image's name; not made safe for a terminal.
    """
    of = f" of {_comment(name)}" if name else ""
    yield f"# Reconstructed by layerscope from the history{of}."
    yield "# This is not the original Dockerfile: copied files, stages and comments are not in it."
    if not history:
        yield "# The image has no history."
    yield "FROM scratch"
    made = False
    for step in steps(history):
        base = _FROM.match(step.entry.comment.strip())
        if base is not None:
            yield ""
            yield f"# What follows was built FROM {_comment(base['image'])}."
        if step.layer is not None or made:
            yield ""
        made = step.layer is not None
        if made:
            yield f"# layer {step.layer}"
        for note in step.notes:
            yield f"# {_comment(note)}"
        yield from step.text.split("\n")


def _comment(text: str) -> str:
    return " ".join(text.split())


def _step(entry: HistoryEntry) -> Step:
    text = instruction_of(entry.created_by)
    notes: list[str] = []
    raw = entry.created_by.strip()
    if not raw:
        what = "An entry that says nothing" + (f": {entry.comment}" if entry.comment else "")
        return Step(f"# {_comment(what)}", entry.layer, entry)
    if text.removeprefix("RUN ").startswith("#") and not raw.startswith("/bin/sh"):
        # Tools that make images without a Dockerfile write what they like.
        return Step(f"# {_comment(raw)}", entry.layer, entry)
    keyword, _, rest = text.partition(" ")
    rest = rest.strip()
    if not _KNOWN.match(text):
        return Step(f"# {_comment(raw)}", entry.layer, entry)
    if keyword == "RUN":
        made = _run(rest, entry)
    elif keyword in ("COPY", "ADD"):
        made = _copy(keyword, rest, notes)
    elif keyword in ("CMD", "ENTRYPOINT", "SHELL", "VOLUME"):
        made = f"{keyword} {_array(keyword, rest)}".rstrip()
    elif keyword in ("ENV", "LABEL"):
        made = f"{keyword} {_pairs(rest)}"
    elif keyword == "EXPOSE":
        made = f"EXPOSE {_ports(rest)}"
    elif keyword == "HEALTHCHECK":
        made = _health(rest)
    else:
        made = f"{keyword} {rest}"
    if not _one_instruction(made):
        return Step(f"# {_comment(raw)}", entry.layer, entry)
    return Step(made, entry.layer, entry, tuple(notes))


def _one_instruction(text: str) -> bool:
    """Whether a text is read as one instruction: what a history holds is anybody's text."""
    document = parse(f"{text}\nUSER x\n")
    return (
        len(document.instructions) == 2
        and document.instructions[1].arguments == "x"
        and not document.comments
    )


def _run(command: str, entry: HistoryEntry) -> str:
    if "\n" in command:
        name = "EOF"
        while name in command.split("\n"):
            name += "_"
        # Quoted, or the shell would see variables that are replaced twice.
        return f"RUN <<{name}\n{command.rstrip(chr(10))}\n{name}"
    # Builders keep the indentation of lines that went on: there the lines can end again.
    marks = quoting(command)
    return "RUN " + _INDENTED.sub(
        lambda match: match[0] if any(marks[match.start() : match.end()]) else _line_end(match),
        command,
    )


def _line_end(match: re.Match[str]) -> str:
    text = match[0]
    depth = max(1, text.count("\t"))
    return " \\\n" + "    " * min(depth, 8)


def _copy(keyword: str, rest: str, notes: list[str]) -> str:
    match = _DIGEST.search(rest)
    if match is None:
        return f"{keyword} {rest}"
    what = {"file": "A file", "dir": "A folder", "multi": "Several files"}[match["what"]]
    notes.append(f"{what} whose name the history does not tell.")
    target = rest[match.end() :].strip() or "/"
    return f"{keyword} {rest[: match.start()]}{match['what']}:{match['digest'][:12]} {target}"


def _array(keyword: str, rest: str) -> str:
    """A list as JSON: Go prints it without commas, and SHELL and VOLUME without quotes."""
    if not rest.startswith("[") or not rest.endswith("]"):
        return rest
    try:
        values = json.loads(rest)
        if isinstance(values, list) and all(isinstance(value, str) for value in values):
            return json.dumps(values, ensure_ascii=False)
    except (ValueError, RecursionError):
        pass
    inside = rest[1:-1].strip()
    strings = _GO_STRING.findall(inside)
    if strings and not _GO_STRING.sub("", inside).replace(",", "").strip():
        values = [_unquoted(text) for text in strings]
    elif keyword in ("SHELL", "VOLUME") and '"' not in inside:
        values = inside.split()
    else:
        return rest
    values = _without_shell(keyword, values)
    return values if isinstance(values, str) else json.dumps(values, ensure_ascii=False)


def _without_shell(keyword: str, values: list[str]) -> list[str] | str:
    """The command of `["/bin/sh" "-c" "command"]`, which is what the shell form becomes."""
    shell_form = keyword in ("CMD", "ENTRYPOINT") and values[:2] == ["/bin/sh", "-c"]
    if shell_form and len(values) == 3 and values[2].strip() and "\n" not in values[2]:
        return values[2]
    return values


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        return str(json.loads(re.sub(r"\\x([0-9a-fA-F]{2})|\\a|\\v", _go_escape, text)))
    except ValueError:
        return text[1:-1]


def _go_escape(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else {"\\a": 7, "\\v": 11}[match[0]]
    return f"\\u{code:04x}"


def _pairs(rest: str) -> str:
    """`NAME=VALUE` with quotes, which histories leave out: what has no name goes on a value."""
    if '"' in rest or "'" in rest:
        if "=" in rest.split(" ", 1)[0]:
            name, _, value = rest.partition("=")
            parsed = parse(f"ENV {rest}\n")
            if parsed.instructions and not parsed.instructions[0].faults:
                return rest
            return f"{name}={_quoted(value)}"
        return rest
    words = rest.split(" ")
    pairs: list[list[str]] = []
    for word in words:
        if re.match(r"[A-Za-z_][\w.\-/]*=", word):
            pairs.append(list(word.partition("=")[::2]))
        elif pairs:
            pairs[-1][1] += f" {word}"
        else:
            return rest
    return " ".join(f"{name}={_quoted(value)}" for name, value in pairs)


def _quoted(value: str) -> str:
    if re.fullmatch(r"[\w.,:/@%+=\-]*", value):
        return value
    return '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'


def _ports(rest: str) -> str:
    """Ports, which are at times printed as Go prints a map or a list."""
    match = re.fullmatch(r"map\[(.*)\]|\[(.*)\]", rest)
    if match is None:
        return rest
    inside = match[1] if match[1] is not None else match[2]
    return " ".join(word.removesuffix(":{}") for word in inside.split())


def _health(rest: str) -> str:
    """`HEALTHCHECK`, which is printed as Go prints a structure."""
    match = _HEALTH.fullmatch(rest)
    if match is None:
        return f"HEALTHCHECK {rest}"
    strings = [_unquoted(text) for text in _GO_STRING.findall(match["test"])]
    if strings == ["NONE"]:
        return "HEALTHCHECK NONE"
    flags = [
        f"--{name}={value}"
        for name, value in (
            ("interval", match["interval"]),
            ("timeout", match["timeout"]),
            ("start-period", match["start"]),
            ("start-interval", match["step"] or ""),
        )
        if value not in ("", "0s")
    ]
    retries = _number(match["retries"])
    flags += [f"--retries={retries}"] if retries else []
    if strings[:1] == ["CMD-SHELL"]:
        command = " ".join(strings[1:])
    else:
        command = json.dumps(strings[1:], ensure_ascii=False)
    return " ".join(["HEALTHCHECK", *flags, "CMD", command])


def _number(text: str) -> int:
    """A number that Go prints as one or as a character."""
    if text.isdigit():
        return int(text)
    inside = text[1:-1]
    match = re.fullmatch(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})", inside)
    if match is not None:
        return int(match[1] or match[2], 16)
    named = {"\\a": 7, "\\b": 8, "\\t": 9, "\\n": 10, "\\v": 11, "\\f": 12, "\\r": 13}
    return named.get(inside, ord(inside) if len(inside) == 1 else 0)
