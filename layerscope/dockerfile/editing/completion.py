"""Completion of the text at the cursor."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from layerscope.dockerfile.meaning.scope import Scopes
from layerscope.dockerfile.syntax.document import Document, Flag, Form, Instruction
from layerscope.dockerfile.syntax.grammar import (
    DIRECTIVES,
    INSTRUCTIONS,
    PLATFORM_ARGS,
    PREDEFINED_ARGS,
)
from layerscope.dockerfile.syntax.lines import SPACE
from layerscope.dockerfile.syntax.mounts import MOUNTS, mount_keys, parse_mount
from layerscope.dockerfile.syntax.parser import parse
from layerscope.dockerfile.syntax.source import Span

#: Special characters in a source: as a word, and in a JSON array.
_IN_WORDS, _IN_JSON = re.compile(r"""[\s\\$"'`*\[]"""), re.compile(r"""[\\$"'`*\[]""")
_JSON = re.compile(r"""\s\[\s*["']""")
_VARIABLE = re.compile(r"\$\{?(\w*)\Z")
_PLATFORMS = ("$BUILDPLATFORM", "$TARGETPLATFORM", "linux/amd64", "linux/arm64", "linux/arm/v7")
_SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGWINCH")
#: The first words of instructions that accept only a few.
_FIRST_WORDS = {
    "HEALTHCHECK": ("CMD", "NONE"),
    "SHELL": ('["/bin/bash", "-o", "pipefail", "-c"]', '["/bin/sh", "-c"]'),
    "STOPSIGNAL": _SIGNALS,
}


@dataclass(frozen=True, slots=True)
class Candidate:
    text: str  # The text to insert.
    detail: str = ""  # A short description, or empty. Like the text, not made safe for a terminal.
    begins: bool = False  # Whether it begins a line: an instruction or a directive.


@dataclass(frozen=True, slots=True)
class Completion:
    span: Span  # The text that a candidate replaces, up to the cursor.
    candidates: tuple[Candidate, ...]  # In display order.


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The caller's knowledge besides the document."""

    images: Sequence[str] = ()  # Names of local images, `repository:tag`.
    #: Returns the names in a folder of the build context (empty for its root) except ignored ones;
    #: folders end with a slash.
    paths: Callable[[str], Iterable[str]] | None = None


def complete(
    document: Document, offset: int, surroundings: Surroundings | None = None
) -> Completion:
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
        return _nothing(offset)
    return _Completer(document, instruction, offset, around).complete()


def _nothing(offset: int) -> Completion:
    return Completion(Span(offset, offset), ())


def _values(texts: Iterable[str]) -> list[Candidate]:
    return [Candidate(text) for text in texts]


def _directive(document: Document, typed: str, offset: int, line: int) -> Completion:
    match = re.fullmatch(r"#\s*(\w*)", typed)
    first = document.instructions[0].span.start if document.instructions else len(document.text)
    others = [c for c in document.comments if document.source.line_at(c.span.start) < line]
    if match is None or offset > first or others:
        return _nothing(offset)
    used = {directive.name for directive in document.directives}
    names = [n for n in DIRECTIVES if n not in used and n.startswith(match[1].lower())]
    found = tuple(Candidate(f"{name}=", begins=True, detail=DIRECTIVES[name]) for name in names)
    return Completion(Span(offset - len(match[1]), offset), found)


def _arguments(name: str) -> str:
    """The text after the name of an instruction, in its first form."""
    return INSTRUCTIONS[name].syntax.split("\n")[0].removeprefix(name).lstrip()


def _instructions(document: Document, start: int, offset: int, *, onbuild: bool) -> Completion:
    typed = document.text[start:offset].upper()
    names = list(INSTRUCTIONS)
    if onbuild:
        names = [n for n in names if n not in ("FROM", "MAINTAINER", "ONBUILD")]
    elif not any(found.stage >= 0 and found.span.start < start for found in document.instructions):
        # Nothing else is allowed above the first FROM.
        names = ["FROM", "ARG"]
    else:
        names.remove("MAINTAINER")
    found = tuple(
        Candidate(name, begins=True, detail=_arguments(name))
        for name in names
        if name.startswith(typed)
    )
    return Completion(Span(start, offset), found)


class _Completer:
    def __init__(
        self, document: Document, instruction: Instruction, offset: int, around: Surroundings
    ) -> None:
        self.document = document
        self.whole = instruction
        self.offset = offset
        self.around = around
        prefix = "# escape=`\n" if document.escape == "`" else ""
        self.shift = instruction.span.start - len(prefix)
        # Only the text before the cursor matters, so it is parsed as if nothing followed.
        typed = prefix + document.text[instruction.span.start : offset]
        self.before = parse(typed).instructions[0]

    def complete(self) -> Completion:
        instruction = self.before.effective
        line = self.document.source.line_at(self.offset)
        typed = self.document.text[self.document.source.starts[line] : self.offset]
        match = _VARIABLE.search(typed)
        if match is not None:
            return self.made(len(match[1]), self.variables())
        token = re.split(f"[{SPACE}]", typed)[-1]
        local = self.offset - self.shift
        at_keyword = self.before.child is not None and instruction.keyword_span.end == local
        if at_keyword or (instruction.keyword == "ONBUILD" and instruction.child is None):
            return _instructions(self.document, self.offset - len(token), self.offset, onbuild=True)
        if instruction.flags and instruction.flags[-1].span.end == local and token:
            return self.flag(instruction, instruction.flags[-1], token)
        if token in ("-", "--") and not instruction.words[1:]:
            return self.flag_names(instruction, token)
        return self.argument(instruction, token)

    def made(self, length: int, candidates: Iterable[Candidate]) -> Completion:
        """The candidates that continue the typed text, given its length."""
        typed = self.document.text[self.offset - length : self.offset].lower()
        found = {c.text: c for c in candidates if c.text.lower().startswith(typed)}
        return Completion(Span(self.offset - length, self.offset), tuple(found.values()))

    def variables(self) -> list[Candidate]:
        scope = Scopes(self.document).before(self.whole)
        found = [
            Candidate(name, f"{variable.kind} {variable.value or ''}".rstrip())
            for name, variable in sorted(scope.variables.items())
        ]
        if self.before.effective.keyword == "RUN":
            found += [Candidate(n, "predefined") for n in PREDEFINED_ARGS]
        return found

    def sources(self, *, above: bool) -> list[Candidate]:
        """The other stages, or only those above this one, and images."""
        own = self.whole.stage
        stages = [
            Candidate(stage.name, f"stage {stage.index}")
            for stage in Scopes(self.document).stages.stages
            if stage.name is not None and (stage.index < own or not above) and stage.index != own
        ]
        scratch = [Candidate("scratch", "an empty image")] if above else []
        return [*stages, *scratch, *(Candidate(name) for name in self.around.images)]

    def flag_names(self, instruction: Instruction, token: str) -> Completion:
        rule = INSTRUCTIONS.get(instruction.keyword)
        used = {flag.name for flag in self.whole.effective.flags} - {token[2:]}
        found = [
            Candidate(f"--{flag.name}" + ("" if flag.takes == "bool" else "="), flag.text)
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
            found = self.sources(above=False)
        elif flag.name == "platform":
            found = _values(_PLATFORMS)
        elif of_rule is not None:
            found = _values(("true", "false") if of_rule.takes == "bool" else of_rule.choices)
        return self.made(len(value), found)

    def mount(self, flag: Flag, value: str) -> Completion:
        mount = parse_mount(flag)
        last = value.rpartition(",")[2]
        key, equals, content = last.partition("=")
        if not equals:
            used = {field.key for field in mount.fields[:-1]}
            found = [] if "type" in used else [Candidate("type=", "what to mount")]
            found += [
                Candidate(name.name + ("" if name.flag else "="), name.text)
                for name in mount_keys(mount.type)
                if name.name not in used
            ]
            return self.made(len(key), found)
        key = mount.fields[-1].key
        if key == "type":
            found = [Candidate(name, text) for name, (text, _) in MOUNTS.items()]
        elif key == "from":
            found = self.sources(above=False)
        elif key == "source" and mount.type == "bind" and mount.field("from") is None:
            return self.path(content)
        else:
            found = _values(next((k.choices for k in mount_keys(mount.type) if k.name == key), ()))
        return self.made(len(content), found)

    def argument(self, instruction: Instruction, token: str) -> Completion:
        keyword = instruction.keyword
        number = len(instruction.words) - bool(token)
        if keyword in ("COPY", "ADD"):
            if instruction.flag("from") is not None or "<<" in token:
                return _nothing(self.offset)
            if instruction.form is Form.SHELL:
                token = token.lstrip("[\"',")
            before = self.document.text[instruction.span.start : self.offset]
            return self.source(token, _IN_JSON if _JSON.search(before) else _IN_WORDS)
        found: list[Candidate] = []
        if keyword == "FROM" and number == 0:
            found = self.sources(above=True)
        elif keyword == "FROM" and number == 1:
            found = [Candidate("AS", "names the stage")]
        elif number == 0 and keyword in _FIRST_WORDS:
            found = _values(_FIRST_WORDS[keyword])
        elif keyword == "ARG" and self.whole.stage >= 0 and "=" not in token:
            above = [each for each in self.document.instructions if each.stage < 0]
            found = [
                Candidate(pair.name.text, "above the first FROM")
                for other in above
                for pair in other.pairs
            ]
            found += [Candidate(n, text) for n, text in PLATFORM_ARGS.items()]
        return self.made(len(token), found)

    def source(self, typed: str, odd: re.Pattern[str]) -> Completion:
        """Completes the path of a source, with `?` for characters with a special meaning.

        `typed` is the text so far. `odd` matches such characters.
        """
        paths = self.around.paths
        if paths is None:
            return _nothing(self.offset)
        folder, slash, name = typed.rpartition("/")
        real = ""
        for part in folder.split("/") if "?" in folder else ():
            names = (each.rstrip("/") for each in paths(real))
            found = next((each for each in names if odd.sub("?", each) == part), part)
            real = f"{real}/{found}".lstrip("/")
        start = (real or folder) + slash
        plain = (each.text.removeprefix(start) for each in self.path(start).candidates)
        entries = ((entry, odd.sub("?", entry)) for entry in plain)
        candidates = tuple(
            Candidate(folder + slash + written, "" if written == entry else entry)
            for entry, written in entries
            if written.startswith(name) or entry.startswith(name)
        )
        return Completion(Span(self.offset - len(typed), self.offset), candidates)

    def path(self, typed: str) -> Completion:
        """Paths in the build context that continue the text so far."""
        if self.around.paths is None:
            return _nothing(self.offset)
        folder, slash, name = typed.rpartition("/")
        clean = "/".join(part for part in folder.split("/") if part not in ("", "."))
        if ".." in clean.split("/"):
            return _nothing(self.offset)
        found = tuple(
            Candidate(folder + slash + entry)
            for entry in self.around.paths(clean)
            if entry.startswith(name)
        )
        return Completion(Span(self.offset - len(typed), self.offset), found)
