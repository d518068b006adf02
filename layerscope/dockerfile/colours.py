"""Colours of a Dockerfile for an editor: by tree-sitter's grammar, or by Pygments without it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

from layerscope.dockerfile.document import Document
from layerscope.dockerfile.source import Source, Span

if TYPE_CHECKING:
    import tree_sitter


class ColourSpan(NamedTuple):
    """A piece of a text that has a colour.

    Attributes:
        span: Where it is.
        name: What it is, in the names that tree-sitter's queries use: `keyword`, `comment`,
            `string`, `property`, `operator`, `number`, `variable`, `constant`, `label` and so on.
    """

    span: Span
    name: str


#: Pygments' names for the same.
_PYGMENTS = {
    "Token.Keyword": "keyword",
    "Token.Comment": "comment",
    "Token.Literal.String": "string",
    "Token.Literal.Number": "number",
    "Token.Name.Variable": "variable",
    "Token.Name.Attribute": "property",
    "Token.Operator": "operator",
}


def colours(text: str) -> list[ColourSpan]:
    """The coloured pieces of a Dockerfile, in order; where two overlap, the later one wins.

    Args:
        text: Its text.
    """
    tools = _grammar()
    return _by_pygments(text) if tools is None else _by_grammar(text, *tools)


@functools.cache
def _grammar() -> tuple[tree_sitter.Parser, tree_sitter.Query] | None:
    try:
        import tree_sitter
        import tree_sitter_containerfile as containerfile

        language = tree_sitter.Language(containerfile.language())
        query = tree_sitter.Query(language, str(containerfile.HIGHLIGHTS_QUERY))
        return tree_sitter.Parser(language), query
    except (ImportError, OSError, ValueError):
        # No wheel for this machine, or one of another version of the parser.
        return None


def _by_grammar(
    text: str, parser: tree_sitter.Parser, query: tree_sitter.Query
) -> list[ColourSpan]:
    import tree_sitter

    data = text.encode("utf-8", "replace")
    captures = tree_sitter.QueryCursor(query).captures(parser.parse(data).root_node)
    places = [
        (node.start_byte, node.end_byte, name) for name, nodes in captures.items() for node in nodes
    ]
    places.sort(key=lambda place: (place[0], -place[1]))
    if text.isascii():
        return [ColourSpan(Span(start, end), name) for start, end, name in places]
    offsets = _character_offsets(data)
    return [ColourSpan(Span(offsets[start], offsets[end]), name) for start, end, name in places]


def _character_offsets(data: bytes) -> list[int]:
    """For each byte, and for the end, how many characters begin before it."""
    result = []
    count = 0
    for byte in data:
        result.append(count)
        count += byte & 0xC0 != 0x80
    return [*result, count]


def _by_pygments(text: str) -> list[ColourSpan]:
    from pygments.lexers.configs import DockerLexer

    found = []
    place = 0
    lexer = DockerLexer(stripnl=False, ensurenl=False)
    for kind, value in lexer.get_tokens(text):
        name = str(kind)
        while name not in _PYGMENTS and "." in name:
            name = name.rpartition(".")[0]
        if name in _PYGMENTS and value.strip():
            found.append(ColourSpan(Span(place, place + len(value)), _PYGMENTS[name]))
        place += len(value)
    return found


def line_colours(text: str) -> list[list[ColourSpan]]:
    """The same line by line, spans counting from the beginning of each line.

    Args:
        text: The text of a Dockerfile.
    """
    source = Source(text)
    lines: list[list[ColourSpan]] = [[] for _ in source.starts]
    for span, name in colours(text):
        first, last = source.line_at(span.start), source.line_at(max(span.start, span.end - 1))
        for line in range(first, last + 1):
            begin = source.starts[line]
            start = max(span.start, begin) - begin
            end = min(span.end, source.line_end(line)) - begin
            if start < end:
                lines[line].append(ColourSpan(Span(start, end), name))
    return lines


#: Characters of one instruction, its heredocs apart, that are coloured in a long text.
LONGEST = 20_000
#: Instructions whose colours are kept.
_KEPT = 500


class ColoursWhenSeen(Sequence[Sequence[ColourSpan]]):
    """The colours of each line of a long text, instruction by instruction, once they are asked for.

    They are those of `line_colours`, but end after `LONGEST` characters of an instruction.

    Attributes:
        complete: Whether no instruction is that long.
    """

    def __init__(self, document: Document) -> None:
        """Begins with none.

        Args:
            document: The text, read.
        """
        self._document = document
        self._known: dict[int, list[list[ColourSpan]]] = {}
        self.complete = not any(
            each.span.end - each.span.start > LONGEST
            and each.effective.head.end - each.effective.head.start > LONGEST
            for each in document.instructions
        )

    def __len__(self) -> int:
        return len(self._document.source.starts)

    @overload
    def __getitem__(self, line: int) -> Sequence[ColourSpan]: ...

    @overload
    def __getitem__(self, line: slice) -> Sequence[Sequence[ColourSpan]]: ...

    def __getitem__(
        self, line: int | slice
    ) -> Sequence[ColourSpan] | Sequence[Sequence[ColourSpan]]:
        """The colours of a line."""
        if isinstance(line, slice):
            return [self[each] for each in range(*line.indices(len(self)))]
        source = self._document.source
        found = self._document.instruction_at(line)
        if found is None:
            return self._piece(line, source.line_end(line))[0]
        first = source.line_at(found.span.start)
        heredocs = found.effective.heredocs
        if found.span.end - found.span.start <= LONGEST:
            lines = self._piece(first, found.span.end)
        else:
            start, end = source.starts[line], source.line_end(line)
            for heredoc in heredocs:
                if heredoc.body.start <= start < heredoc.body.end:
                    return [ColourSpan(Span(0, end - start), "string")]
                if heredoc.terminator is not None and start <= heredoc.terminator.start < end:
                    return [ColourSpan(Span(0, end - start), "label")]
            head = min(found.head.end, found.head.start + LONGEST)
            # Heredocs that are not there to the end are none to the grammar.
            lines = self._piece(first, head, "".join(f"\n{heredoc.name}" for heredoc in heredocs))
        return lines[line - first] if line - first < len(lines) else ()

    def _piece(self, first: int, end: int, more: str = "") -> list[list[ColourSpan]]:
        if first not in self._known:
            if len(self._known) >= _KEPT:
                self._known.clear()
            source = self._document.source
            self._known[first] = line_colours(source.text[source.starts[first] : end] + more)
        return self._known[first]
