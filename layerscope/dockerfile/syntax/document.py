"""A parsed Dockerfile: every instruction with its parts and their positions."""

from __future__ import annotations

import enum
from bisect import bisect_right
from dataclasses import dataclass

from layerscope.dockerfile.syntax.lines import Comment, Directive, Joined
from layerscope.dockerfile.syntax.source import Source, Span


class Form(enum.Enum):
    EXEC = "exec"  # A JSON array: `CMD ["a", "b"]`.
    SHELL = "shell"  # Text, for a shell or for the instruction itself: `CMD a b`.


class FaultKind(enum.Enum):
    """The kinds of errors in an instruction's syntax."""

    JSON_NOT_STRINGS = "a JSON array with items that are not strings"
    JSON_INVALID = "text that looks like a JSON array but is not one"
    HEREDOC_OPEN = "an unterminated heredoc"
    ARGUMENTS = "invalid arguments"


@dataclass(frozen=True, slots=True)
class Fault:
    """An error in an instruction's syntax; the message is a sentence."""

    kind: FaultKind
    message: str
    span: Span


@dataclass(frozen=True, slots=True)
class Word:
    #: Its text without continuations. Quotes and variables are as written, except in exec form,
    #: where it is the decoded string.
    text: str
    span: Span  # Its position.


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of an instruction, such as `--from=build`."""

    name: str  # Without dashes.
    value: str | None  # Its value without quotes, or None without a `=`.
    span: Span
    name_span: Span  # Includes the dashes.
    value_span: Span | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A name and its value, in ENV, LABEL and ARG."""

    name: Word
    value: Word | None  # The value as written; None in `ARG name`.
    legacy: bool = False  # Whether it is written with a space: `ENV name value`.


@dataclass(frozen=True, slots=True)
class Heredoc:
    name: str  # The word that ends it.
    marker: Span  # Its announcement, such as `<<EOF`.
    body: Span  # Its lines, including the line feed of the last one.
    terminator: Span | None  # The line that ends it, or None.
    content: str  # Its text; with `<<-`, without leading tabs.
    expand: bool  # Whether variables in it are expanded: not if its name is quoted.
    descriptor: int  # The file descriptor before `<<`; 0 by default.


@dataclass(frozen=True, slots=True)
class Instruction:
    keyword: str  # Its name in upper case; may be any word.
    keyword_span: Span
    span: Span  # From its first character to the end of its last line, including heredocs.
    head: Span  # The same without heredocs.
    joined: Joined  # Its text without continuations, and the position of each character.
    arguments_start: int  # The offset in the joined text of the arguments after the flags.
    flags: tuple[Flag, ...]
    #: Its arguments: split if the instruction takes words, else one for the whole text.
    words: tuple[Word, ...]
    pairs: tuple[Pair, ...]  # Names and values of ENV, LABEL and ARG.
    form: Form
    heredocs: tuple[Heredoc, ...]
    child: Instruction | None  # The instruction in an ONBUILD.
    stage: int  # Number of its stage, from 0; -1 above the first FROM.
    index: int  # Its number in the document; a child has its parent's.
    comments: tuple[Comment, ...]  # The comments right above it.
    empty_lines: tuple[int, ...]  # Empty lines among its continuations.
    faults: tuple[Fault, ...]

    @property
    def arguments(self) -> str:
        """The arguments as written, without continuations."""
        return self.joined.text[self.arguments_start :].rstrip()

    @property
    def arguments_span(self) -> Span:
        start = self.arguments_start
        return self.joined.span(start, start + len(self.arguments))

    @property
    def effective(self) -> Instruction:
        """The instruction itself, or the one in an ONBUILD."""
        return self if self.child is None else self.child

    def flag(self, name: str) -> Flag | None:
        return next((flag for flag in self.flags if flag.name == name), None)

    @property
    def sources(self) -> list[Word]:
        markers = {heredoc.marker for heredoc in self.heredocs}
        return [word for word in self.words[:-1] if word.span not in markers]


@dataclass(frozen=True, slots=True)
class Document:
    """A Dockerfile. Comments do not include directives."""

    source: Source
    escape: str
    directives: tuple[Directive, ...]
    comments: tuple[Comment, ...]
    instructions: tuple[Instruction, ...]

    @property
    def text(self) -> str:
        return self.source.text

    def directive(self, name: str) -> Directive | None:
        return next((found for found in self.directives if found.name == name), None)

    def instruction_at(self, line: int) -> Instruction | None:
        """The instruction that a line, from 0, belongs to, with its comments and heredocs."""
        starts = self.source.starts
        if not 0 <= line < len(starts):
            return None
        end = self.source.line_end(line)
        place = bisect_right(self.instructions, end, key=lambda found: found.span.start) - 1
        if place < 0:
            return None
        found = self.instructions[place]
        return found if starts[line] <= found.span.end else None
