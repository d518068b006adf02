"""Highlighting of a Dockerfile in an editor, with tree-sitter's grammar or else Pygments."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, overload

from layerscope.content.highlight import Category, spans_of
from layerscope.dockerfile.syntax.document import Document
from layerscope.dockerfile.syntax.source import Source, Span

if TYPE_CHECKING:
    import tree_sitter


class ColourSpan(NamedTuple):
    """A coloured piece of a text.

    The name is one of tree-sitter's capture names: `keyword`, `comment`, `string`, `property`,
    `operator`, `number`, `variable`, `constant`, `label` and so on.
    """

    span: Span
    name: str


#: The same for categories of Pygments' tokens.
_PYGMENTS = {
    Category.COMMENT: "comment",
    Category.KEYWORD: "keyword",
    Category.STRING: "string",
    Category.NUMBER: "number",
    Category.BUILTIN: "variable",
    Category.NAME: "property",
}


def colours(text: str) -> list[ColourSpan]:
    """The coloured pieces of a Dockerfile, in order; where two overlap, the later one wins."""
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
        # No wheel for this machine, or an incompatible version of the parser.
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
    # For each byte, and for the end, the number of characters that begin before it.
    offsets = [*accumulate((byte & 0xC0 != 0x80 for byte in data), initial=0)]
    return [ColourSpan(Span(offsets[start], offsets[end]), name) for start, end, name in places]


def _by_pygments(text: str) -> list[ColourSpan]:
    from pygments.lexers.configs import DockerLexer

    found = []
    place = 0
    lines = text.split("\n")
    for line, spans in zip(lines, spans_of(DockerLexer(), lines), strict=True):
        for start, end, kind in spans:
            if kind in _PYGMENTS:
                span = Span(place + start, place + end)
                found.append(ColourSpan(span, _PYGMENTS[Category(kind)]))
        place += len(line) + 1
    return found


def line_colours(text: str) -> list[list[ColourSpan]]:
    """The same line by line, with spans relative to the start of each line."""
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


#: Characters of an instruction, without heredocs, that are highlighted in a long text.
LONGEST = 20_000
_KEPT = 500  # Instructions whose colours are cached.


class ColoursWhenSeen(Sequence[Sequence[ColourSpan]]):
    """The colours of each line of a long text, computed by instruction on demand.

    They equal `line_colours`, but stop after `LONGEST` characters of an instruction; `complete` is
    true if no instruction is that long.
    """

    def __init__(self, document: Document) -> None:
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
            # The grammar does not accept unterminated heredocs.
            lines = self._piece(first, head, "".join(f"\n{heredoc.name}" for heredoc in heredocs))
        return lines[line - first] if line - first < len(lines) else ()

    def _piece(self, first: int, end: int, more: str = "") -> list[list[ColourSpan]]:
        if first not in self._known:
            if len(self._known) >= _KEPT:
                self._known.clear()
            source = self._document.source
            self._known[first] = line_colours(source.text[source.starts[first] : end] + more)
        return self._known[first]
