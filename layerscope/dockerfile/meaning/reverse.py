"""Reconstructs a Dockerfile from an image's history.

It is not the original: names of copied files may be digests, build stages and comments are lost,
variables are expanded, and the base image is part of the history like the rest. Every instruction
has its layer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from layerscope.dockerfile.syntax.grammar import INSTRUCTIONS
from layerscope.dockerfile.syntax.parser import parse
from layerscope.dockerfile.syntax.shell_text import quoting
from layerscope.images.image import maker
from layerscope.oci.config import HistoryEntry

#: A string as Go prints it in a list: `["a" "b"]`.
_GO_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`')
_HEALTH = re.compile(
    r"&\{(?P<test>\[.*\])\s+\"(?P<interval>[^\"]*)\"\s+\"(?P<timeout>[^\"]*)\"\s+"
    r"\"(?P<start_period>[^\"]*)\"(?:\s+\"(?P<start_interval>[^\"]*)\")?\s+"
    r"(?P<retries>'(?:[^'\\]|\\.)+'|\d+)\}",
    re.DOTALL,
)
_DIGEST = re.compile(r"(?P<what>file|dir|multi):(?P<digest>[0-9a-f]{8,})\s+in\s+")
_MOST = 256  # With more pairs than this, they are not tried one by one.
_NAME = re.compile(r"[A-Za-z_][\w.\-/]*")  # Names of variables and labels that need no quotes.
_INDENTED = re.compile(r"(?<=[;&|\\{(]) ?\t+ ?|(?<! ) {4,}(?=&& |\|\| )")
#: Podman records the image that each step was built on; intermediate images have no name.
_FROM = re.compile(r"FROM (?!(?:sha256:)?[0-9a-f]{12,64}\Z)(?P<image>\S+)\Z")


@dataclass(frozen=True, slots=True)
class Step:
    text: str  # The instruction, possibly on several lines; a comment if there is no instruction.
    layer: int | None  # Number of the layer that it created, or None.
    entry: HistoryEntry
    notes: tuple[str, ...] = ()  # Notes for the reader, each a comment above it.
    #: Whether it is an ONBUILD that has run, so that the image no longer has it.
    already_run: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    """Facts from the image's configuration that resolve ambiguities in the history."""

    #: For ENV and LABEL, each `NAME=VALUE` and its form in a Dockerfile.
    pairs: Mapping[str, Mapping[str, str]]
    volumes: Mapping[str, str]  # The paths of volumes.
    triggers: Sequence[str]  # The ONBUILD instructions.


def steps(history: Sequence[HistoryEntry], config: Mapping[str, Any] | None = None) -> list[Step]:
    """The instructions behind a history, oldest first, then triggers that it does not contain."""
    known = _known(config or {})
    found = _run_by_onbuild([_step(entry, known) for entry in history])
    recorded = {step.text for step in found if not step.already_run}
    for trigger in known.triggers:
        text = f"ONBUILD {trigger}"
        if text not in recorded and _one_instruction(text):
            nothing = HistoryEntry(None, "", "", empty_layer=True, layer=None)
            found.append(Step(text, None, nothing, ("This is not in the history.",)))
    return found


def _run_by_onbuild(found: list[Step]) -> list[Step]:
    """Marks ONBUILDs that have run, and the instructions that they ran."""
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
                    found[w] = replace(found[w], already_run=True)
                for r in run:
                    notes = (*found[r].notes, "Run by ONBUILD in the base image.")
                    found[r] = replace(found[r], notes=notes)
                waiting = []
    return found


def _same(trigger: str, text: str) -> bool:
    """Whether an ONBUILD produced a history entry, which may have digests as sources of COPY."""
    # The text shown is broken into lines again.
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
    """Maps pairs in their history form to their form in a Dockerfile."""
    return {
        f"{name}={value}": f"{name}={_quoted(value)}"
        for name, value in pairs
        if isinstance(name, str) and isinstance(value, str) and _NAME.fullmatch(name)
    }


def _strings(values: object) -> list[str]:
    return [v for v in values if isinstance(v, str)] if isinstance(values, list) else []


def _pieces(text: str, known: Mapping[str, str]) -> list[str] | None:
    """Splits a text into known pieces separated by blanks; None if there is anything else."""
    found = []
    while text and len(known) <= _MOST:
        # The longest first, as one may be a prefix of another.
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
    """The lines of a Dockerfile that corresponds to a history."""
    of = f" of {_comment(name)}" if name else ""
    yield f"# Reconstructed by layerscope from the history{of}."
    yield "# This is not the original Dockerfile: copied files, stages and comments are missing."
    if not history:
        yield "# The image has no history."
    if any(entry.layer is None and not entry.empty_layer for entry in history):
        yield "# The history does not say which instruction made which layer."
    yield "FROM scratch"
    made = False
    for step in steps(history, config):
        base = _FROM.match(step.entry.comment.strip())
        if base is not None:
            yield ""
            yield f"# The following was built FROM {_comment(base['image'])}."
        if step.layer is not None or made:
            yield ""
        made = step.layer is not None
        if made:
            yield f"# layer {step.layer}"
        for note in step.notes:
            yield f"# {_comment(note)}"
        lines = step.text.split("\n")
        yield from (f"# {line}" for line in lines) if step.already_run else lines


def _comment(text: str) -> str:
    return " ".join(text.split())


def _step(entry: HistoryEntry, known: _Known) -> Step:
    notes: list[str] = []
    raw = entry.created_by.strip() or maker("", entry.comment) or "An empty entry"
    unknown = Step(f"# {_comment(raw)}", entry.layer, entry)
    keyword, _, rest = entry.instruction.partition(" ")
    rest = rest.strip()
    if entry.exported or keyword == "FROM" or keyword not in INSTRUCTIONS:
        return unknown
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
    return Step(made, entry.layer, entry, tuple(notes)) if _one_instruction(made) else unknown


def _one_instruction(text: str) -> bool:
    """Whether a text parses as exactly one instruction: a history may contain anything."""
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
        # Quoted, so that variables are not expanded before the shell sees them.
        return f"RUN <<{name}\n{command.rstrip(chr(10))}\n{name}"
    # Builders keep the indentation of continued lines, which shows where to break them again.
    marks = quoting(command)

    def line_end(match: re.Match[str]) -> str:
        if any(marks[match.start() : match.end()]):
            return match[0]
        return " \\\n" + "    " * min(max(1, match[0].count("\t")), 8)

    return "RUN " + _INDENTED.sub(line_end, command)


def _copy(keyword: str, rest: str, notes: list[str]) -> str:
    match = _DIGEST.search(rest)
    if match is None:
        return f"{keyword} {rest}"
    what = {"file": "A file", "dir": "A folder", "multi": "Several files"}[match["what"]]
    notes.append(f"{what} whose name is not in the history.")
    target = rest[match.end() :].strip() or "/"
    return f"{keyword} {rest[: match.start()]}{match['what']}:{match['digest'][:12]} {target}"


def _array(keyword: str, rest: str, shell: str) -> str:
    """A list as JSON: Go prints it without commas, and SHELL and VOLUME without quotes."""
    if not rest.startswith("[") or not rest.endswith("]"):
        return rest
    inside = rest[1:-1].strip()
    values = _go_strings(inside)
    if not values and keyword in ("SHELL", "VOLUME") and '"' not in inside:
        values = inside.split()
    if not values:
        return rest
    # The shell form becomes `["/bin/sh" "-c" "command"]`.
    *before, command = values
    shell_form = keyword in ("CMD", "ENTRYPOINT") and " ".join(before) == (shell or "/bin/sh -c")
    if shell_form and command.strip() and "\n" not in command:
        return command
    return json.dumps(values, ensure_ascii=False)


def _go_strings(text: str) -> list[str]:
    """Parses a list of strings as printed by Go; empty if there is anything else."""
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
    """`NAME=VALUE` with quotes, which histories omit: a word without `=` belongs to a value."""
    if '"' in rest or "'" in rest:
        name, _, value = rest.partition("=")
        parsed = parse(f"ENV {rest}\n")
        fits = parsed.instructions and not parsed.instructions[0].faults
        return rest if fits or " " in name or name == rest else f"{name}={_quoted(value)}"
    pairs: list[list[str]] = []
    for word in rest.split(" "):
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
    """Ports, which may be printed like a Go map or list."""
    match = re.fullmatch(r"map\[(.*)\]|\[(.*)\]", rest)
    if match is None:
        return rest
    return " ".join(word.removesuffix(":{}") for word in (match[1] or match[2] or "").split())


def _health(rest: str) -> str:
    """`HEALTHCHECK`, which is printed like a Go structure."""
    match = _HEALTH.fullmatch(rest)
    if match is None:
        return f"HEALTHCHECK {rest}"
    strings = _go_strings(match["test"][1:-1])
    if strings == ["NONE"]:
        return "HEALTHCHECK NONE"
    flags = [
        f"--{name.replace('_', '-')}={match[name]}"
        for name in ("interval", "timeout", "start_period", "start_interval")
        if match[name] not in (None, "", "0s")
    ]
    retries = _number(match["retries"])
    flags += [f"--retries={retries}"] if retries else []
    if strings[:1] == ["CMD-SHELL"]:
        command = " ".join(strings[1:])
    else:
        command = json.dumps(strings[1:], ensure_ascii=False)
    return " ".join(["HEALTHCHECK", *flags, "CMD", command])


def _number(text: str) -> int:
    if text.isdigit():
        return int(text) if text.isascii() and len(text) < 10 else 0
    character = _unquoted(f'"{text[1:-1]}"')
    return ord(character) if len(character) == 1 else 0
