"""Reads a Dockerfile. Whatever stands in the text, there is a document of it."""

from __future__ import annotations

import re
from dataclasses import replace

from layerscope.dockerfile import words as split
from layerscope.dockerfile.document import (
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
from layerscope.dockerfile.expand import ExpansionError, expand
from layerscope.dockerfile.lines import SPACE, Joined, LineReader, LogicalLine
from layerscope.dockerfile.source import Source, Span

_MARKER = re.compile(r"(\d*)<<(-?)\s*([^<]*)\Z")
_BLANK = re.compile("[\t\v\f\r ]+")
_SPACES = re.compile(f"[{SPACE}]*")
_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)

_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
_PAIRS = frozenset({"ENV", "LABEL"})
#: Words, unless it is a JSON array.
_LISTS = frozenset({"ADD", "COPY", "VOLUME"})
_WORDS = frozenset({"EXPOSE", "FROM"})
#: All text is one argument, unless it is a JSON array.
_COMMANDS = frozenset({"CMD", "ENTRYPOINT", "RUN", "SHELL"})


def parse(text: str) -> Document:
    """Reads a Dockerfile.

    Args:
        text: Its text.
    """
    source = Source(text)
    reader = LineReader(source)
    instructions: list[Instruction] = []
    stage = -1
    while (line := reader.next()) is not None:
        stage += _begins_stage(line.joined.text)
        instructions.append(_Builder(reader, line, stage, len(instructions)).build())
    return Document(
        source,
        reader.escape,
        tuple(reader.directives),
        tuple(reader.comments),
        tuple(instructions),
    )


def _begins_stage(text: str) -> bool:
    return text[:4].upper() == "FROM" and (len(text) == 4 or text[4] in SPACE)


class _Builder:
    """Makes an instruction of a logical line."""

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
        """The instruction, with its heredocs taken from the lines that follow."""
        instruction = self.part(0, nested=0)
        effective = instruction.effective
        heredocs: tuple[Heredoc, ...] = ()
        faults = list(instruction.faults)
        if (
            "<<" in self.text
            and effective.keyword in _HEREDOCS
            and effective.form is not Form.EXEC
            and (effective is instruction or effective.child is None)
        ):
            heredocs, open_ones = self.heredocs()
            faults += open_ones
        if not heredocs and len(faults) == len(instruction.faults):
            return instruction
        end = instruction.span.end
        if heredocs:
            last = heredocs[-1]
            end = last.body.end if last.terminator is None else last.terminator.end
        child = instruction.child
        if child is not None:
            child = _replace(
                child, Span(child.span.start, end), heredocs, child.faults, child.child
            )
        return _replace(
            instruction, Span(instruction.span.start, end), heredocs, tuple(faults), child
        )

    def part(self, start: int, nested: int) -> Instruction:
        """The instruction that begins at an offset of the joined text."""
        text, joined = self.text, self.joined
        blank = _BLANK.search(text, start)
        end = blank.start() if blank else len(text)
        keyword = text[start:end]
        flags: tuple[split.Piece, ...] = ()
        arguments = len(text)
        if blank:
            arguments = blank.end()
            if text.startswith("--", arguments) or text[arguments : arguments + 1] in SPACE:
                flags, arguments = split.split_flags(text, arguments, self.escape)
        self.pairs, self.form = (), Form.SHELL
        faults_before, self.faults = self.faults, []
        name = keyword.upper()
        child = None
        words: tuple[split.Piece, ...] = ()
        if name == "ONBUILD" and nested < 8:
            if arguments < len(text):
                child = self.part(arguments, nested + 1)
        else:
            words = self.arguments(name, arguments)
        pairs, form = self.pairs, self.form
        if child is not None:
            pairs, form = (), child.form
        faults = tuple(self.faults)
        self.faults = [*faults_before, *faults]
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
            words=tuple([Word(piece.text, joined.span(piece[1], piece[2])) for piece in words]),
            pairs=pairs,
            form=form,
            heredocs=(),
            child=child,
            stage=self.stage,
            index=self.index,
            comments=self.line.comments,
            empty_lines=self.line.empty,
            faults=faults,
        )

    def flag(self, piece: split.Piece) -> Flag:
        name, equals, value = piece.text[2:].partition("=")
        raw = self.text[piece.start : piece.end]
        place = raw.find("=") if equals else len(raw)
        place = len(raw) if place < 0 else place
        return Flag(
            name,
            value if equals else None,
            self.joined.span(piece.start, piece.end),
            self.joined.span(piece.start, piece.start + place),
            self.joined.span(min(piece.start + place + 1, piece.end), piece.end)
            if equals
            else None,
        )

    def arguments(self, name: str, start: int) -> tuple[split.Piece, ...]:
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
        return (split.Piece(text[start:], start, len(text)),)

    def json(self, name: str, start: int) -> tuple[split.Piece, ...] | None:
        """The words of a JSON array; None if it is none, with a fault where that looks wrong."""
        if not self.text.startswith("[", start):
            return None
        found = split.split_json(self.text, start)
        if found.words is not None:
            self.form = Form.EXEC
            return found.words
        span = self.joined.span(start, len(self.text))
        if found.not_strings:
            message = f"The JSON array of {name} holds something that is no string."
            self.faults.append(Fault(FaultKind.JSON_NOT_STRINGS, message, span))
        elif not re.match(r"\[\[?\s", self.text[start:]) or name not in ("RUN", "CMD"):
            # `[ -f x ]` and `[[ -f x ]]` are a shell's tests.
            message = f"{name} looks like a JSON array and is none, so it is read as text."
            self.faults.append(Fault(FaultKind.JSON_INVALID, message, span))
        return None

    def health(self, start: int) -> tuple[split.Piece, ...]:
        first = next(iter(split.split_quoted(self.text, start, "\0")), None)
        blank = re.compile(f"[{SPACE}]").search(self.text, start)
        if first is None or blank is None:
            return (split.Piece(self.text[start:], start, len(self.text)),)
        kind = split.Piece(self.text[start : blank.start()], start, blank.start())
        spaces = _SPACES.match(self.text, blank.start())
        place = spaces.end() if spaces else blank.end()
        command = self.json("HEALTHCHECK", place)
        if command is None:
            command = (split.Piece(self.text[place:], place, len(self.text)),)
        return (kind, *command)

    def name_values(self, name: str, start: int) -> tuple[split.Piece, ...]:
        pieces = split.split_quoted(self.text, start, self.escape)
        if not pieces:
            return ()
        if "=" not in pieces[0].text:
            blank = _BLANK.search(self.text, start)
            if blank is None:
                self.fault(f"{name} has a name and no value.", pieces[0])
                self.pairs = (Pair(self.word(pieces[0]), None, legacy=True),)
                return pieces
            key = split.Piece(self.text[start : blank.start()], start, blank.start())
            value = split.Piece(self.text[blank.end() :], blank.end(), len(self.text))
            self.pairs = (Pair(self.word(key), self.word(value), legacy=True),)
            return (key, value)
        for piece in pieces:
            if "=" not in piece.text:
                self.fault(f"{name} has a word without =.", piece)
        self.pairs = tuple([self.pair(piece) for piece in pieces])
        return pieces

    def pair(self, piece: split.Piece) -> Pair:
        name, equals, value = piece.text.partition("=")
        place = self.text.find("=", piece.start, piece.end) if equals else piece.end
        key = self.word(split.Piece(name, piece.start, place))
        if not equals:
            return Pair(key, None)
        return Pair(key, self.word(split.Piece(value, place + 1, piece.end)))

    def word(self, piece: split.Piece) -> Word:
        return Word(piece.text, self.joined.span(piece.start, piece.end))

    def fault(self, message: str, piece: split.Piece) -> None:
        span = self.joined.span(piece.start, piece.end)
        self.faults.append(Fault(FaultKind.ARGUMENTS, message, span))

    def heredocs(self) -> tuple[tuple[Heredoc, ...], list[Fault]]:
        """The heredocs that the line announces, with the lines that follow it."""
        found: list[Heredoc] = []
        faults: list[Fault] = []
        for name, piece, expands, chomp, descriptor in _markers(self.text):
            marker = self.joined.span(piece.start, piece.end)
            heredoc = self.body(name, marker, expands, chomp, descriptor)
            if heredoc.terminator is None:
                message = f"The heredoc has no line {name} that ends it."
                faults.append(Fault(FaultKind.HEREDOC_OPEN, message, marker))
            found.append(heredoc)
        return tuple(found), faults

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
        return Heredoc(name, marker, body, terminator, content, expands, chomp, descriptor)


def _markers(text: str) -> list[tuple[str, split.Piece, bool, bool, int]]:
    """Heredocs announced in a line: name, place, whether they expand and strip tabs, descriptor."""
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
        piece = split.Piece(word.text, word.start, word.end)
        descriptor = int(match[1][:9] or 0)
        markers.append((name, piece, expands, match[2] == "-", descriptor))
    return markers


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')


def _replace(
    instruction: Instruction,
    span: Span,
    heredocs: tuple[Heredoc, ...],
    faults: tuple[Fault, ...],
    child: Instruction | None,
) -> Instruction:
    return replace(instruction, span=span, heredocs=heredocs, faults=faults, child=child)
