"""A Dockerfile as it was read: every instruction with its parts and where they stand."""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from layerscope.dockerfile.lines import Comment, Directive, Joined
from layerscope.dockerfile.source import Range, Source, Span


class Form(enum.Enum):
    """How the arguments of an instruction are written."""

    #: As a JSON array: `CMD ["a", "b"]`.
    EXEC = "exec"
    #: As text, for a shell or for the instruction itself: `CMD a b`.
    SHELL = "shell"


class FaultKind(enum.Enum):
    """What can be wrong with an instruction as it is written."""

    JSON_NOT_STRINGS = "a JSON array of something else than strings"
    JSON_INVALID = "text that looks like a JSON array and is none"
    HEREDOC_OPEN = "a heredoc without its end"
    ARGUMENTS = "arguments that make no sense"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with an instruction as it is written.

    Attributes:
        kind: What.
        message: A sentence that says so.
        span: Where.
    """

    kind: FaultKind
    message: str
    span: Span


@dataclass(frozen=True, slots=True)
class Word:
    """A word of an instruction.

    Attributes:
        text: What it says, without continuations; quotes and variables as they are written, except
            in exec form, where it is the string.
        span: Where it stands.
    """

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of an instruction, such as `--from=build`.

    Attributes:
        name: Its name, without dashes.
        value: Its value, without quotes; None if there is no `=`.
        span: Where it stands.
        name_span: Where its name stands, dashes included.
        value_span: Where its value stands.
    """

    name: str
    value: str | None
    span: Span
    name_span: Span
    value_span: Span | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A name and its value, in ENV, LABEL and ARG.

    Attributes:
        name: The name.
        value: The value as it is written; None in `ARG name`.
        legacy: Whether it is written with a space: `ENV name value`.
    """

    name: Word
    value: Word | None
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A heredoc.

    Attributes:
        name: The word that ends it.
        marker: Where it is announced, such as `<<EOF`.
        body: Its lines, with the line feed of the last one.
        terminator: The line that ends it; None if there is none.
        content: What it says, tabs taken away where `<<-` asks for that.
        expand: Whether variables in it are replaced: not if its name is quoted.
        strip_tabs: Whether it is announced by `<<-`.
        descriptor: The file descriptor in front of `<<`; 0 if there is none.
    """

    name: str
    marker: Span
    body: Span
    terminator: Span | None
    content: str
    expand: bool
    strip_tabs: bool
    descriptor: int


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction.

    Attributes:
        keyword: Its name, in upper case; any word may stand there.
        keyword_span: Where the name stands.
        span: From its first character to the end of its last line, heredocs included.
        head: The same without heredocs.
        joined: Its text without continuations, and where each character of it stands.
        arguments_start: Where in the joined text its arguments begin, flags not counted.
        flags: Its flags.
        words: Its arguments: one for each word where words matter, one for all text elsewhere.
        pairs: Names and values of ENV, LABEL and ARG.
        form: How the arguments are written.
        heredocs: Its heredocs.
        child: The instruction in an ONBUILD.
        stage: Number of the stage it is in, counted from 0; -1 above the first FROM.
        index: Its number in the document; a child has its parent's.
        comments: The comments right above it.
        empty_lines: Lines without anything among its continuations.
        faults: What is wrong with it as it is written.
    """

    keyword: str
    keyword_span: Span
    span: Span
    head: Span
    joined: Joined
    arguments_start: int
    flags: tuple[Flag, ...]
    words: tuple[Word, ...]
    pairs: tuple[Pair, ...]
    form: Form
    heredocs: tuple[Heredoc, ...]
    child: Instruction | None
    stage: int
    index: int
    comments: tuple[Comment, ...]
    empty_lines: tuple[int, ...]
    faults: tuple[Fault, ...]

    @property
    def arguments(self) -> str:
        """The arguments without continuations, as they are written."""
        return self.joined.text[self.arguments_start :].rstrip()

    @property
    def arguments_span(self) -> Span:
        """Where the arguments stand."""
        return self.joined.span(
            self.arguments_start, self.arguments_start + max(len(self.arguments), 0)
        )

    @property
    def effective(self) -> Instruction:
        """The instruction itself, or of an ONBUILD the one in it."""
        return self if self.child is None else self.child

    def flag(self, name: str) -> Flag | None:
        """The first flag of a name."""
        return next((flag for flag in self.flags if flag.name == name), None)

    def all_flags(self, name: str) -> Iterator[Flag]:
        """All flags of a name."""
        return (flag for flag in self.flags if flag.name == name)


@dataclass(frozen=True, slots=True)
class Document:
    """A Dockerfile.

    Attributes:
        source: Its text, and how to tell places in it.
        escape: The escape character.
        directives: Parser directives.
        comments: Comments, in order; directives are not among them.
        instructions: Instructions, in order.
    """

    source: Source
    escape: str
    directives: tuple[Directive, ...]
    comments: tuple[Comment, ...]
    instructions: tuple[Instruction, ...]

    @property
    def text(self) -> str:
        """The text."""
        return self.source.text

    def range(self, span: Span) -> Range:
        """Lines and columns of a piece."""
        return self.source.range(span)

    def directive(self, name: str) -> Directive | None:
        """The first directive of a name."""
        return next((found for found in self.directives if found.name == name), None)

    def instruction_at(self, line: int) -> Instruction | None:
        """The instruction that a line belongs to, comments and heredocs inside of it included.

        Args:
            line: The line, counted from 0.
        """
        starts = self.source.starts
        if not 0 <= line < len(starts):
            return None
        end = self.source.line_end(line)
        place = bisect_right(self.instructions, end, key=lambda found: found.span.start) - 1
        if place < 0:
            return None
        found = self.instructions[place]
        return found if starts[line] <= found.span.end else None
