"""What could stand at the cursor."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from layerscope.dockerfile.document import Document, Flag, Form, Instruction
from layerscope.dockerfile.grammar import DIRECTIVES, INSTRUCTIONS, PLATFORM_ARGS, PREDEFINED_ARGS
from layerscope.dockerfile.lines import SPACE
from layerscope.dockerfile.mounts import MOUNTS, mount_keys, parse_mount
from layerscope.dockerfile.parser import parse
from layerscope.dockerfile.scope import BaseEnvironment, Scopes
from layerscope.dockerfile.source import Span

#: Characters of names that mean something else in a source: as a word, and in a JSON array.
_IN_WORDS, _IN_JSON = re.compile(r"""[\s\\$"'`*\[]"""), re.compile(r"""[\\$"'`*\[]""")
_JSON = re.compile(r"""\s\[\s*["']""")
_VARIABLE = re.compile(r"\$\{?(\w*)\Z")
_SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGWINCH")
_PLATFORMS = ("$BUILDPLATFORM", "$TARGETPLATFORM", "linux/amd64", "linux/arm64", "linux/arm/v7")
_SHELLS = ('["/bin/bash", "-o", "pipefail", "-c"]', '["/bin/sh", "-c"]')


class Kind(enum.Enum):
    """What a candidate is."""

    INSTRUCTION = "instruction"
    FLAG = "flag"
    VALUE = "value"
    STAGE = "stage"
    VARIABLE = "variable"
    IMAGE = "image"
    PATH = "path"
    DIRECTIVE = "directive"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that could stand at the cursor.

    Attributes:
        text: What to put there.
        kind: What it is.
        detail: A few words about it; may be empty. Like the text, not made safe for a terminal.
    """

    text: str
    kind: Kind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """All that could stand at the cursor.

    Attributes:
        span: What a candidate takes the place of, up to the cursor.
        candidates: The candidates, in the order to show them.
    """

    span: Span
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the caller knows of the world around the document.

    Attributes:
        images: Names of local images, `repository:tag`.
        paths: Gives the names in a folder of the build context (empty for its root), folders with
            a slash at their end, what is ignored left out.
        environment: Gives the variables of a base image.
    """

    images: Sequence[str] = ()
    paths: Callable[[str], Iterable[str]] | None = None
    environment: BaseEnvironment | None = None


def complete(
    document: Document, offset: int, surroundings: Surroundings | None = None
) -> Completion:
    """What could stand at a place.

    Args:
        document: The document.
        offset: The place, in characters.
        surroundings: What is known besides.
    """
    around = surroundings or Surroundings()
    line = document.source.line_at(offset)
    start = document.source.starts[line]
    typed = document.text[start:offset]
    stripped = typed.lstrip(SPACE + "\ufeff")
    if stripped.startswith("#"):
        return _directive(document, stripped, offset, line)
    instruction = document.instruction_at(line)
    if instruction is None or offset <= instruction.keyword_span.end:
        return _instructions(document, offset - len(stripped), offset, onbuild=False)
    if offset > instruction.head.end and instruction.heredocs:
        return Completion(Span(offset, offset), ())
    return _Completer(document, instruction, offset, around).complete()


def _directive(document: Document, typed: str, offset: int, line: int) -> Completion:
    match = re.fullmatch(r"#\s*(\w*)", typed)
    first = document.instructions[0].span.start if document.instructions else len(document.text)
    others = [c for c in document.comments if document.source.line_at(c.span.start) < line]
    if match is None or offset > first or others:
        return Completion(Span(offset, offset), ())
    used = {directive.name for directive in document.directives}
    names = [n for n in DIRECTIVES if n not in used and n.startswith(match[1].lower())]
    found = tuple(Candidate(f"{name}=", Kind.DIRECTIVE, DIRECTIVES[name]) for name in names)
    return Completion(Span(offset - len(match[1]), offset), found)


def _arguments(name: str) -> str:
    """What follows the name of an instruction, in its first form."""
    return INSTRUCTIONS[name].syntax.split("\n")[0].removeprefix(name).lstrip()


def _instructions(document: Document, start: int, offset: int, *, onbuild: bool) -> Completion:
    typed = document.text[start:offset].upper()
    names = list(INSTRUCTIONS)
    if onbuild:
        names = [n for n in names if n not in ("FROM", "MAINTAINER", "ONBUILD")]
    elif not any(found.stage >= 0 and found.span.start < start for found in document.instructions):
        # Nothing else can stand above the first FROM.
        names = ["FROM", "ARG"]
    else:
        names.remove("MAINTAINER")
    found = tuple(
        Candidate(name, Kind.INSTRUCTION, _arguments(name))
        for name in names
        if name.startswith(typed)
    )
    return Completion(Span(start, offset), found)


class _Completer:
    """Completes inside of an instruction."""

    def __init__(
        self, document: Document, instruction: Instruction, offset: int, around: Surroundings
    ) -> None:
        self.document = document
        self.whole = instruction
        self.offset = offset
        self.around = around
        prefix = "# escape=`\n" if document.escape == "`" else ""
        self.shift = instruction.span.start - len(prefix)
        # What stands before the cursor decides, so it is read as if there were nothing after it.
        typed = prefix + document.text[instruction.span.start : offset]
        self.before = parse(typed).instructions[0]

    def complete(self) -> Completion:
        """What could stand at the cursor."""
        instruction = self.before.effective
        line = self.document.source.line_at(self.offset)
        typed = self.document.text[self.document.source.starts[line] : self.offset]
        match = _VARIABLE.search(typed)
        if match is not None:
            return self.made(len(match[1]), self.variables())
        token = re.split(f"[{SPACE}]", typed)[-1]
        if instruction.keyword == "ONBUILD" and instruction.child is None:
            return _instructions(self.document, self.offset - len(token), self.offset, onbuild=True)
        if self.before.child is not None and instruction.keyword_span.end == self.local:
            start = self.offset - len(token)
            return _instructions(self.document, start, self.offset, onbuild=True)
        if instruction.flags and instruction.flags[-1].span.end == self.local and token:
            return self.flag(instruction, instruction.flags[-1], token)
        if token in ("-", "--") and not instruction.words[1:]:
            return self.flag_names(instruction, token)
        return self.argument(instruction, token)

    @property
    def local(self) -> int:
        return self.offset - self.shift

    def made(self, length: int, candidates: Iterable[Candidate]) -> Completion:
        """The candidates that go on with what was typed, which has a length."""
        typed = self.document.text[self.offset - length : self.offset].lower()
        found = {c.text: c for c in candidates if c.text.lower().startswith(typed)}
        return Completion(Span(self.offset - length, self.offset), tuple(found.values()))

    def variables(self) -> list[Candidate]:
        """Variables that have a meaning here."""
        scope = self.scopes().before(self.whole)
        found = [
            Candidate(name, Kind.VARIABLE, f"{variable.kind} {variable.value or ''}".rstrip())
            for name, variable in sorted(scope.variables.items())
        ]
        if self.before.effective.keyword == "RUN":
            found += [Candidate(n, Kind.VARIABLE, "predefined") for n in PREDEFINED_ARGS]
        return found

    def scopes(self) -> Scopes:
        return Scopes(self.document, environment=self.around.environment)

    def stages(self, *, above: bool) -> list[Candidate]:
        """Names of stages: those above this one, or all but this one."""
        own = self.whole.stage
        return [
            Candidate(stage.name, Kind.STAGE, f"stage {stage.index}")
            for stage in self.scopes().stages.stages
            if stage.name is not None and (stage.index < own or not above) and stage.index != own
        ]

    def images(self) -> list[Candidate]:
        return [Candidate(name, Kind.IMAGE) for name in self.around.images]

    def flag_names(self, instruction: Instruction, token: str) -> Completion:
        rule = INSTRUCTIONS.get(instruction.keyword)
        used = {flag.name for flag in self.whole.effective.flags} - {token[2:]}
        found = [
            Candidate(
                f"--{flag.name}" + ("" if flag.takes == "bool" else "="), Kind.FLAG, flag.text
            )
            for flag in (rule.flags if rule else ())
            if flag.takes == "values" or flag.name not in used
        ]
        return self.made(len(token), found)

    def flag(self, instruction: Instruction, flag: Flag, token: str) -> Completion:
        if flag.value is None:
            return self.flag_names(instruction, token)
        value = token.partition("=")[2]
        if flag.name == "mount":
            return self.mount(flag, value)
        found: list[Candidate] = []
        rule = INSTRUCTIONS.get(instruction.keyword)
        of_rule = rule.flag(flag.name) if rule else None
        if flag.name == "from":
            found = self.stages(above=False) + self.images()
        elif flag.name == "platform":
            found = [Candidate(name, Kind.VALUE) for name in _PLATFORMS]
        elif of_rule is not None:
            choices = ("true", "false") if of_rule.takes == "bool" else of_rule.choices
            found = [Candidate(name, Kind.VALUE) for name in choices]
        return self.made(len(value), found)

    def mount(self, flag: Flag, value: str) -> Completion:
        mount = parse_mount(flag)
        last = value.rpartition(",")[2]
        key, equals, content = last.partition("=")
        if not equals:
            used = {field.key for field in mount.fields[:-1]}
            found = [] if "type" in used else [Candidate("type=", Kind.VALUE, "what is mounted")]
            found += [
                Candidate(name.name + ("" if name.flag else "="), Kind.VALUE, name.text)
                for name in mount_keys(mount.type)
                if name.name not in used
            ]
            return self.made(len(key), found)
        key = mount.fields[-1].key
        if key == "type":
            found = [Candidate(name, Kind.VALUE, text) for name, (text, _) in MOUNTS.items()]
        elif key == "from":
            found = self.stages(above=False) + self.images()
        elif key == "source" and mount.type == "bind" and mount.field("from") is None:
            return self.path(content)
        else:
            choices = next((k.choices for k in mount_keys(mount.type) if k.name == key), ())
            found = [Candidate(name, Kind.VALUE) for name in choices]
        return self.made(len(content), found)

    def argument(self, instruction: Instruction, token: str) -> Completion:
        keyword = instruction.keyword
        number = len(instruction.words) - bool(token)
        if keyword in ("COPY", "ADD"):
            if instruction.flag("from") is not None or "<<" in token:
                return Completion(Span(self.offset, self.offset), ())
            if instruction.form is Form.SHELL:
                token = token.lstrip("[\"',")
            before = self.document.text[instruction.span.start : self.offset]
            return self.source(token, _IN_JSON if _JSON.search(before) else _IN_WORDS)
        found: list[Candidate] = []
        if keyword == "FROM" and number == 0:
            found = [*self.stages(above=True), Candidate("scratch", Kind.IMAGE, "nothing at all")]
            found += self.images()
        elif keyword == "FROM" and number == 1:
            found = [Candidate("AS", Kind.VALUE, "names the stage")]
        elif keyword == "HEALTHCHECK" and number == 0:
            found = [Candidate("CMD", Kind.VALUE), Candidate("NONE", Kind.VALUE)]
        elif keyword == "STOPSIGNAL":
            found = [Candidate(name, Kind.VALUE) for name in _SIGNALS]
        elif keyword == "SHELL" and number == 0:
            found = [Candidate(text, Kind.VALUE) for text in _SHELLS]
        elif keyword == "ARG" and self.whole.stage >= 0 and "=" not in token:
            above = [
                pair.name.text
                for other in self.document.instructions
                if other.stage < 0
                for pair in other.pairs
            ]
            found = [Candidate(name, Kind.VARIABLE, "above the first FROM") for name in above]
            found += [Candidate(n, Kind.VARIABLE, text) for n, text in PLATFORM_ARGS.items()]
        return self.made(len(token), found)

    def source(self, typed: str, odd: re.Pattern[str]) -> Completion:
        """The same for a pattern, in which a question mark stands for what means something else.

        Args:
            typed: What was typed.
            odd: Characters that do.
        """
        folder, slash, name = typed.rpartition("/")
        real = ""
        paths = self.around.paths
        for part in folder.split("/") if "?" in folder and paths is not None else ():
            names = (each.rstrip("/") for each in (paths(real) if paths is not None else ()))
            found = next((each for each in names if odd.sub("?", each) == part), part)
            real = f"{real}/{found}".lstrip("/")
        plain = self.path((real or folder) + slash)
        begin = len((real or folder) + slash)
        entries = (
            (each.text[begin:], odd.sub("?", each.text[begin:])) for each in plain.candidates
        )
        candidates = tuple(
            Candidate(folder + slash + written, Kind.PATH, "" if written == entry else entry)
            for entry, written in entries
            if written.startswith(name) or entry.startswith(name)
        )
        return Completion(Span(self.offset - len(typed), self.offset), candidates)

    def path(self, typed: str) -> Completion:
        """Paths of the build context that go on with what was typed."""
        if self.around.paths is None:
            return Completion(Span(self.offset, self.offset), ())
        folder, slash, name = typed.rpartition("/")
        clean = "/".join(part for part in folder.split("/") if part not in ("", "."))
        if ".." in clean.split("/"):
            return Completion(Span(self.offset, self.offset), ())
        found = tuple(
            Candidate(folder + slash + entry, Kind.PATH)
            for entry in self.around.paths(clean)
            if entry.startswith(name)
        )
        return Completion(Span(self.offset - len(typed), self.offset), found)
