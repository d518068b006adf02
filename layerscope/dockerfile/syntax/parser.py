"""Parses a Dockerfile. Any text yields a document; its errors become faults."""

from __future__ import annotations

import re
from dataclasses import replace

from layerscope.dockerfile.syntax import words as split
from layerscope.dockerfile.syntax.document import (
    Document,
    Fault,
    FaultKind,
    Flag,
    Form,
    Heredoc,
    Instruction,
    Pair,
    Word,
)
from layerscope.dockerfile.syntax.expand import ExpansionError, expand
from layerscope.dockerfile.syntax.lines import SPACE, Joined, LineReader, LogicalLine
from layerscope.dockerfile.syntax.source import Source, Span
from layerscope.dockerfile.syntax.words import Piece

_MARKER = re.compile(r"(\d*)<<(-?)\s*([^<]*)\Z")
_BLANK = re.compile("[\t\v\f\r ]+")
_SPACES = re.compile(f"[{SPACE}]+")
_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)

_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
_PAIRS = frozenset({"ENV", "LABEL"})
_LISTS = frozenset({"ADD", "COPY", "VOLUME"})  # Words, unless it is a JSON array.
_WORDS = frozenset({"EXPOSE", "FROM"})
#: The whole text is one argument, unless it is a JSON array.
_COMMANDS = frozenset({"CMD", "ENTRYPOINT", "RUN", "SHELL"})


def parse(text: str) -> Document:
    source = Source(text)
    reader = LineReader(source)
    instructions: list[Instruction] = []
    stage = -1
    while (line := reader.next()) is not None:
        name = line.joined.text[:5]
        stage += name[:4].upper() == "FROM" and (len(name) == 4 or name[4] in SPACE)
        instructions.append(_Builder(reader, line, stage, len(instructions)).build())
    return Document(
        source, reader.escape, tuple(reader.directives), tuple(reader.comments), tuple(instructions)
    )


class _Builder:
    """Creates an instruction from a logical line."""

    def __init__(self, reader: LineReader, line: LogicalLine, stage: int, index: int) -> None:
        self.reader = reader
        self.escape = reader.escape
        self.line = line
        self.joined: Joined = line.joined
        self.text = line.joined.text.rstrip(SPACE)
        self.stage = stage
        self.index = index
        self.faults: list[Fault] = []
        self.pairs: tuple[Pair, ...] = ()
        self.form = Form.SHELL

    def build(self) -> Instruction:
        """The instruction, with its heredocs read from the following lines."""
        instruction = self.part(0, nested=0)
        effective = instruction.effective
        if (
            "<<" not in self.text
            or effective.keyword not in _HEREDOCS
            or effective.form is Form.EXEC
            or not (heredocs := self.heredocs())
        ):
            return instruction
        last = heredocs[-1]
        end = last.body.end if last.terminator is None else last.terminator.end
        child = instruction.child
        if child is not None:
            child = replace(child, span=Span(child.span.start, end), heredocs=heredocs)
        return replace(
            instruction,
            span=Span(instruction.span.start, end),
            heredocs=heredocs,
            faults=tuple(self.faults),
            child=child,
        )

    def part(self, start: int, nested: int) -> Instruction:
        """The instruction that begins at an offset of the joined text."""
        text, joined = self.text, self.joined
        blank = _BLANK.search(text, start)
        end = blank.start() if blank else len(text)
        keyword = text[start:end]
        flags: tuple[Piece, ...] = ()
        arguments = len(text)
        if blank:
            arguments = blank.end()
            if text.startswith("--", arguments) or text[arguments : arguments + 1] in SPACE:
                flags, arguments = split.split_flags(text, arguments, self.escape)
        self.pairs, self.form = (), Form.SHELL
        name = keyword.upper()
        child = None
        words: tuple[Piece, ...] = ()
        if name == "ONBUILD" and nested < 8:
            if arguments < len(text):
                child = self.part(arguments, nested + 1)
        else:
            words = self.arguments(name, arguments)
        pairs, form = self.pairs, self.form
        if child is not None:
            pairs, form = (), child.form
        head = self.line.span
        if nested:
            head = Span(joined.offset(start), head.end)
        return Instruction(
            keyword=name,
            keyword_span=joined.span(start, end) if text else head,
            span=head,
            head=head,
            joined=joined,
            arguments_start=arguments,
            flags=tuple([self.flag(piece) for piece in flags]),
            words=tuple([self.word(piece) for piece in words]),
            pairs=pairs,
            form=form,
            heredocs=(),
            child=child,
            stage=self.stage,
            index=self.index,
            comments=self.line.comments,
            empty_lines=self.line.empty,
            faults=tuple(self.faults),
        )

    def flag(self, piece: Piece) -> Flag:
        name, equals, value = piece.text[2:].partition("=")
        span = self.joined.span
        place = self.text.find("=", piece.start, piece.end) if equals else -1
        place = piece.end if place < 0 else place
        return Flag(
            name,
            value if equals else None,
            span(piece.start, piece.end),
            span(piece.start, place),
            span(min(place + 1, piece.end), piece.end) if equals else None,
        )

    def arguments(self, name: str, start: int) -> tuple[Piece, ...]:
        text = self.text
        if start >= len(text):
            return ()
        if name in _WORDS:
            return split.split_blank(text, start)
        if name in _PAIRS:
            return self.name_values(name, start)
        if name == "ARG":
            pieces = split.split_quoted(text, start, self.escape)
            self.pairs = tuple([self.pair(piece) for piece in pieces])
            return pieces
        if name in _COMMANDS or name in _LISTS:
            found = self.json(name, start)
            if found is not None:
                return found
            if name in _LISTS:
                return split.split_blank(text, start)
        elif name == "HEALTHCHECK":
            return self.health(start)
        return (self.piece(start),)

    def json(self, name: str, start: int) -> tuple[Piece, ...] | None:
        """The words of a JSON array, or None; adds a fault if it only looks like one."""
        if not self.text.startswith("[", start):
            return None
        try:
            if (found := split.split_json(self.text, start)) is not None:
                self.form = Form.EXEC
                return found
        except split.NotStringsError:
            message = f"The JSON array of {name} has items that are not strings."
            self.fault(message, self.piece(start), FaultKind.JSON_NOT_STRINGS)
            return None
        if not re.match(r"\[\[?\s", self.text[start:]) or name not in ("RUN", "CMD"):
            # `[ -f x ]` and `[[ -f x ]]` are shell tests.
            message = f"{name} looks like a JSON array but is not valid, so it is read as text."
            self.fault(message, self.piece(start), FaultKind.JSON_INVALID)
        return None

    def health(self, start: int) -> tuple[Piece, ...]:
        blank = _SPACES.search(self.text, start)
        if blank is None:
            return (self.piece(start),)
        command = self.json("HEALTHCHECK", blank.end()) or (self.piece(blank.end()),)
        return (self.piece(start, blank.start()), *command)

    def name_values(self, name: str, start: int) -> tuple[Piece, ...]:
        pieces = split.split_quoted(self.text, start, self.escape)
        if not pieces:
            return ()
        if "=" not in pieces[0].text:
            blank = _BLANK.search(self.text, start)
            if blank is None:
                self.fault(f"{name} has a name but no value.", pieces[0])
                self.pairs = (Pair(self.word(pieces[0]), None, legacy=True),)
                return pieces
            key, value = self.piece(start, blank.start()), self.piece(blank.end())
            self.pairs = (Pair(self.word(key), self.word(value), legacy=True),)
            return (key, value)
        for piece in pieces:
            if "=" not in piece.text:
                self.fault(f"{name} has a word without =.", piece)
        self.pairs = tuple([self.pair(piece) for piece in pieces])
        return pieces

    def pair(self, piece: Piece) -> Pair:
        name, equals, value = piece.text.partition("=")
        place = self.text.find("=", piece.start, piece.end) if equals else piece.end
        key = self.word(Piece(name, piece.start, place))
        if not equals:
            return Pair(key, None)
        return Pair(key, self.word(Piece(value, place + 1, piece.end)))

    def piece(self, start: int, end: int | None = None) -> Piece:
        end = len(self.text) if end is None else end
        return Piece(self.text[start:end], start, end)

    def word(self, piece: Piece) -> Word:
        return Word(piece.text, self.joined.span(piece.start, piece.end))

    def fault(self, message: str, piece: Piece, kind: FaultKind = FaultKind.ARGUMENTS) -> None:
        self.faults.append(Fault(kind, message, self.joined.span(piece.start, piece.end)))

    def heredocs(self) -> tuple[Heredoc, ...]:
        """The heredocs announced by the line, read from the following lines."""
        found: list[Heredoc] = []
        for name, piece, expands, chomp, descriptor in _markers(self.text):
            marker = self.joined.span(piece.start, piece.end)
            found.append(self.body(name, marker, expands, chomp, descriptor))
            if found[-1].terminator is None:
                message = f"The heredoc is not ended by a line {name}."
                self.fault(message, piece, FaultKind.HEREDOC_OPEN)
        return tuple(found)

    def body(self, name: str, marker: Span, expands: bool, chomp: bool, descriptor: int) -> Heredoc:
        source = self.reader.source
        text = source.text
        line = self.reader.line
        start = source.starts[line] if line < len(source.starts) else len(text)
        body_end, terminator = len(text), None
        while (read := self.reader.physical()) is not None:
            place, content = read
            if (content.lstrip("\t") if chomp else content) == name:
                body_end, terminator = place, Span(place, place + len(content))
                break
        content = text[start:body_end]
        if chomp:
            content = _LEADING_TABS.sub("", content)
        body = Span(start, body_end)
        return Heredoc(name, marker, body, terminator, content, expands, descriptor)


def _markers(text: str) -> list[tuple[str, Piece, bool, bool, int]]:
    """Heredocs announced in a line: name, position, whether they expand, strip tabs, descriptor."""
    try:
        found = expand(text, {}, raw_quotes=True, raw_escapes=True, keep_unset=True).words
    except ExpansionError:
        return []
    markers = []
    for word in found:
        match = _MARKER.match(word.text)
        if match is None or not match[3]:
            continue
        try:
            plain = expand(match[3], {}, keep_unset=True).words
            raw = expand(match[3], {}, raw_quotes=True, keep_unset=True).words
        except ExpansionError:
            continue
        if len(plain) != 1 or len(raw) != 1:
            continue
        name = plain[0].text
        expands = _quotes(name) == _quotes(raw[0].text)
        markers.append((name, word, expands, match[2] == "-", int(match[1][:9] or 0)))
    return markers


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
