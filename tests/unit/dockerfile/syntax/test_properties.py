"""Properties of any text, Dockerfile or not."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from layerscope.dockerfile.editing.completion import complete
from layerscope.dockerfile.editing.format import apply, edits, meaning
from layerscope.dockerfile.editing.help import help_at
from layerscope.dockerfile.meaning.scope import Scopes
from layerscope.dockerfile.syntax.document import Document, Instruction
from layerscope.dockerfile.syntax.parser import parse
from layerscope.dockerfile.syntax.source import Span

_PIECES = [
    *("FROM a\n", "from a  as  B\n", "RUN", "run ", "copy ", "ADD", "ENV ", "env a=b", "LABEL "),
    *(" ", "  ", "\t", "\n", "\\\n", "\\ \n", "`\n", "# c\n", "'", '"', "\\", "$x", "${x:-y}"),
    *("<<EOF", "<<-EOF", "EOF\n", "\tEOF\n", "[", "]", '"a", ', "--from=x ", "--", "x", "y;"),
    *("--mount=type=cache,target=/x ", "&& ", "ONBUILD ", "CMD ", "HEALTHCHECK ", 'SHELL ["a"]\n'),
    *("=", "\r\n", "é", "# escape=`\n", "# check=skip=all\n", "$'", "\ufeff", "\u2003", "\0"),
]
texts = st.lists(st.sampled_from(_PIECES), max_size=25).map("".join)
anything = st.text(max_size=60)


def spans(instruction: Instruction) -> list[Span]:
    """All spans of an instruction."""
    found = [instruction.keyword_span, instruction.head, instruction.arguments_span]
    found += [flag.span for flag in instruction.flags]
    found += [word.span for word in instruction.words]
    for pair in instruction.pairs:
        found.append(pair.name.span)
        found += [pair.value.span] if pair.value else []
    for heredoc in instruction.heredocs:
        found += [heredoc.marker, heredoc.body]
    return found + (spans(instruction.child) if instruction.child else [])


def covered(document: Document) -> list[Span]:
    """Instructions, comments and directives in order, without those inside instructions."""
    outer = [instruction.span for instruction in document.instructions]
    loose = [c.span for c in document.comments] + [d.span for d in document.directives]
    loose = [s for s in loose if not any(o.start <= s.start and s.end <= o.end for o in outer)]
    return sorted([*outer, *loose])


@given(texts | anything)
@example("RUN <<EOF")
@example("\\")
@settings(max_examples=300)
def test_ranges_cover_the_text(text: str) -> None:
    document = parse(text)
    place = 0
    for span in covered(document):
        assert place <= span.start <= span.end <= len(text)
        # Between them there is nothing that says anything.
        assert not text[place : span.start].strip("\ufeff\\` \t\r\n\v\f\u2003\x85\xa0")[:1].strip()
        place = span.end
    for instruction in document.instructions:
        for span in spans(instruction):
            assert instruction.span.start <= span.start <= span.end <= instruction.span.end
        keyword = document.source.slice(instruction.keyword_span)
        if "\\" not in keyword and "`" not in keyword:
            assert keyword.upper() == instruction.keyword


@given(texts)
@settings(max_examples=200)
def test_joined_text_maps_to_the_source(text: str) -> None:
    document = parse(text)
    for instruction in document.instructions:
        joined = instruction.joined
        for place, char in enumerate(joined.text):
            assert text[joined.offset(place)] == char


@given(texts, st.data())
@settings(max_examples=200)
def test_what_is_being_typed_never_raises(text: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    for version in (text[:place], text[:place] + data.draw(anything) + text[place:]):
        document = parse(version)
        Scopes(document)
        complete(document, place)
        help_at(document, place)
        position = document.source.position(place)
        assert document.source.offset(position.line, position.column) == place


@given(texts)
@settings(max_examples=400)
def test_formatting_keeps_the_meaning_and_is_idempotent(text: str) -> None:
    before = parse(text)
    after = parse(apply(before.text, edits(before)))
    assert [meaning(before, i) for i in before.instructions] == [
        meaning(after, i) for i in after.instructions
    ]
    assert [c.text for c in before.comments] == [c.text for c in after.comments]
    assert apply(after.text, edits(after)) == after.text
