"""A Dockerfile from an image's history: what the builder wrote down, as instructions again.

It is not the Dockerfile that the image was built from. Names of copied files may be digests, build
stages and comments are lost, variables are replaced, and the base image is a part of the history
like any other. Every instruction knows its layer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from layerscope.dockerfile.parser import parse
from layerscope.dockerfile.shell_text import quoting
from layerscope.oci.config import HistoryEntry

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
#: What is more than that is not tried one by one.
_MOST = 256
#: Names of variables and labels that need no quotes.
_NAME = re.compile(r"[A-Za-z_][\w.\-/]*")
_INDENTED = re.compile(r"(?<=[;&|\\{(]) ?\t+ ?|(?<! ) {4,}(?=&& |\|\| )")
#: Podman writes for each step which image it was built on; those without a name are its own.
_FROM = re.compile(r"FROM (?!(?:sha256:)?[0-9a-f]{12,64}\Z)(?P<image>\S+)\Z")


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction and what it was made of.

    Attributes:
        text: The instruction, perhaps on several lines; a comment where there is no instruction.
        layer: Number of the layer that it made; None if it made none.
        entry: The entry of the history.
        notes: What a reader should know, each a comment above it.
        over: Whether it is an ONBUILD that has been run, so that the image has it no more.
    """

    text: str
    layer: int | None
    entry: HistoryEntry
    notes: tuple[str, ...] = ()
    over: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    """What the image's configuration says, by which its history is read where it leaves it open.

    Attributes:
        pairs: For ENV and LABEL, all `NAME=VALUE` and what they are in a Dockerfile.
        volumes: The paths of volumes.
        triggers: What is run for those who build on it (ONBUILD).
    """

    pairs: Mapping[str, Mapping[str, str]]
    volumes: Mapping[str, str]
    triggers: Sequence[str]


def steps(history: Sequence[HistoryEntry], config: Mapping[str, Any] | None = None) -> list[Step]:
    """The instructions behind a history, oldest first, and the triggers that it does not tell.

    Args:
        history: The history.
        config: The image's configuration, which knows what belongs together.
    """
    known = _known(config or {})
    found = _run_by_onbuild([_step(entry, known) for entry in history])
    told = {step.text for step in found if not step.over}
    for trigger in known.triggers:
        text = f"ONBUILD {trigger}"
        if text not in told and _one_instruction(text):
            nothing = HistoryEntry(None, "", "", empty_layer=True, layer=None)
            found.append(Step(text, None, nothing, ("The history does not tell of it.",)))
    return found


def _run_by_onbuild(found: list[Step]) -> list[Step]:
    """Tells ONBUILDs that have been run, and what they ran, from others."""
    waiting: list[int] = []
    for place, step in enumerate(found):
        if step.text.startswith("ONBUILD "):
            waiting.append(place)
            continue
        run = range(place, place + len(waiting))
        if waiting and run.stop <= len(found):
            pairs = zip(waiting, run, strict=True)
            if all(_same(found[w].text[8:], found[r].text) for w, r in pairs):
                for w in waiting:
                    found[w] = replace(found[w], over=True)
                for r in run:
                    notes = (*found[r].notes, "Run by ONBUILD of the image below.")
                    found[r] = replace(found[r], notes=notes)
                waiting = []
    return found


def _same(trigger: str, text: str) -> bool:
    """Whether a history entry is what an ONBUILD has run; sources of COPY may be digests there."""
    # Lines that went on end again in what is shown.
    words, others = trigger.split(), [word for word in text.split() if word != "\\"]
    if words[:1] in (["COPY"], ["ADD"]):
        return words[:1] + words[-1:] == others[:1] + others[-1:]
    return words == others


def _known(config: Mapping[str, Any]) -> _Known:
    own = config.get("config")
    own = own if isinstance(own, dict) else {}
    labels, volumes = own.get("Labels"), own.get("Volumes")
    labels = labels.items() if isinstance(labels, dict) else ()
    variables = (text.partition("=")[::2] for text in _strings(own.get("Env")) if "=" in text)
    return _Known(
        {"LABEL": _written(labels), "ENV": _written(variables)},
        {text: text for text in _strings(list(volumes) if isinstance(volumes, dict) else ())},
        _strings(own.get("OnBuild")),
    )


def _written(pairs: Iterable[tuple[object, object]]) -> dict[str, str]:
    """What histories and Dockerfiles have for pairs of names and values."""
    return {
        f"{name}={value}": f"{name}={_quoted(value)}"
        for name, value in pairs
        if isinstance(name, str) and isinstance(value, str) and _NAME.fullmatch(name)
    }


def _strings(values: object) -> list[str]:
    return [v for v in values if isinstance(v, str)] if isinstance(values, list) else []


def _pieces(text: str, known: Mapping[str, str]) -> list[str] | None:
    """What a text is made of, with blanks in between; None if it is of anything else."""
    found = []
    while text and len(known) <= _MOST:
        # The longest first, as one may begin with another.
        fits = [key for key in known if text == key or text.startswith(f"{key} ")]
        if not fits:
            return None
        longest = max(fits, key=len)
        found.append(known[longest])
        text = text[len(longest) + 1 :]
    return found or None


def reconstruct(
    history: Sequence[HistoryEntry], name: str = "", config: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """The lines of a Dockerfile that says what a history says.

    Args:
        history: The history.
        name: The image's name; not made safe for a terminal.
        config: The image's configuration.
    """
    of = f" of {_comment(name)}" if name else ""
    yield f"# Reconstructed by layerscope from the history{of}."
    yield "# This is not the original Dockerfile: copied files, stages and comments are not in it."
    if not history:
        yield "# The image has no history."
    yield "FROM scratch"
    made = False
    for step in steps(history, config):
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
        lines = step.text.split("\n")
        yield from (f"# {line}" for line in lines) if step.over else lines


def _comment(text: str) -> str:
    return " ".join(text.split())


def _step(entry: HistoryEntry, known: _Known) -> Step:
    text = entry.instruction
    notes: list[str] = []
    raw = entry.created_by.strip()
    if not raw:
        what = "An entry that says nothing" + (f": {entry.comment}" if entry.comment else "")
        return Step(f"# {_comment(what)}", entry.layer, entry)
    if text.removeprefix("RUN ").startswith("#") and not raw.startswith(
        ("/bin/sh", entry.shell or "/bin/sh")
    ):
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
    elif keyword == "VOLUME" and (paths := _pieces(rest[1:-1], known.volumes)):
        made = f"VOLUME {json.dumps(paths, ensure_ascii=False)}"
    elif keyword in ("CMD", "ENTRYPOINT", "SHELL", "VOLUME"):
        made = f"{keyword} {_array(keyword, rest, entry.shell)}".rstrip()
    elif keyword in ("ENV", "LABEL"):
        pairs = _pieces(rest, known.pairs[keyword])
        made = f"{keyword} {' '.join(pairs) if pairs else _pairs(rest)}"
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


def _array(keyword: str, rest: str, shell: str) -> str:
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
    strings = _go_strings(inside)
    if strings:
        values = strings
    elif keyword in ("SHELL", "VOLUME") and '"' not in inside:
        values = inside.split()
    else:
        return rest
    values = _without_shell(keyword, values, shell)
    return values if isinstance(values, str) else json.dumps(values, ensure_ascii=False)


def _without_shell(keyword: str, values: list[str], shell: str) -> list[str] | str:
    """The command of `["/bin/sh" "-c" "command"]`, which is what the shell form becomes."""
    if not values:
        return values
    *before, command = values
    shell_form = keyword in ("CMD", "ENTRYPOINT") and " ".join(before) == (shell or "/bin/sh -c")
    return command if shell_form and command.strip() and "\n" not in command else values


def _go_strings(text: str) -> list[str]:
    """Strings as Go prints several, with blanks between; none if there is anything else."""
    found = []
    place = 0
    while place < len(text):
        if text[place].isspace() or text[place] == ",":
            place += 1
            continue
        match = _GO_STRING.match(text, place)
        if match is None:
            return []
        found.append(_unquoted(match[0]))
        place = match.end()
    return found


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
    strings = _go_strings(match["test"][1:-1])
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
        return int(text) if text.isascii() and len(text) < 10 else 0
    inside = text[1:-1]
    match = re.fullmatch(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})", inside)
    if match is not None:
        return int(match[1] or match[2], 16)
    named = {"\\a": 7, "\\b": 8, "\\t": 9, "\\n": 10, "\\v": 11, "\\f": 12, "\\r": 13}
    return named.get(inside, ord(inside) if len(inside) == 1 else 0)
