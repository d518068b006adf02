"""Formatting: upper-case keywords and uniform indentation, without changing the meaning.

Comments, directives, heredocs, empty lines and quoted text do not change. After each change the
document is parsed again; an instruction whose meaning would change is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from layerscope.dockerfile.syntax.document import Document, Form, Instruction
from layerscope.dockerfile.syntax.lines import BLANK
from layerscope.dockerfile.syntax.parser import parse
from layerscope.dockerfile.syntax.shell_text import PLAIN, folded, quoting
from layerscope.dockerfile.syntax.source import Span

INDENT = "    "

#: All blanks between their words are equivalent.
_WORDS = frozenset({"ADD", "COPY", "EXPOSE", "FROM", "VOLUME"})
_QUOTED = frozenset({"ARG", "ENV", "LABEL"})  # Blanks outside quotes are equivalent.
_SHELL = frozenset({"RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"})
_SH = re.compile(r"(?:.*/)?(?:ba|da|a|k|z)?sh\Z")

Edit = tuple[Span, str]


def edits(document: Document) -> list[Edit]:
    """The changes for formatting: pieces of the text and their replacements, in order.

    The new text has the same meaning, and formatting it again changes nothing. An editor that
    applies the edits one by one, starting with the last, keeps its cursor in place.
    """
    found: list[Edit] = []
    shell_known = True
    for instruction in document.instructions:
        shell_known = _shell_known(instruction, shell_known)
        own = _edits(document, instruction, shell_known)
        if own and _means_same(document, instruction, own):
            found += own
    text = document.text
    if text and not text.endswith("\n") and not _ends_open(document):
        found.append((Span(len(text), len(text)), "\n"))
    return sorted(found)


def _ends_open(document: Document) -> bool:
    """Whether a line feed at the end would add a line to a heredoc or an instruction."""
    last = document.instructions[-1] if document.instructions else None
    if last is None or last.span.end < len(document.text.rstrip(BLANK)):
        return False
    return any(heredoc.terminator is None for heredoc in last.effective.heredocs)


def meaning(document: Document, instruction: Instruction) -> tuple[object, ...]:
    """The meaning of an instruction: instructions with equal meanings build the same."""
    effective = instruction.effective
    outer = tuple((flag.name, flag.value) for flag in instruction.flags)
    flags = tuple((flag.name, flag.value) for flag in effective.flags)
    words: tuple[str, ...] = tuple(word.text for word in effective.words)
    if effective.form is Form.SHELL and effective.keyword in _SHELL:
        words = tuple(folded(word, document.escape) for word in words)
    elif effective.form is Form.SHELL and effective.keyword == "FROM" and len(words) == 3:
        words = (words[0], words[1].upper(), words[2])
    bodies = tuple(
        (heredoc.name, heredoc.content, heredoc.expand, heredoc.descriptor)
        for heredoc in effective.heredocs
    )
    pairs = tuple(
        (pair.name.text, pair.value.text if pair.value is not None else None, pair.legacy)
        for pair in effective.pairs
    )
    return (
        instruction.keyword,
        outer,
        effective.keyword,
        flags,
        effective.form,
        words,
        pairs,
        bodies,
        instruction.stage,
    )


def _means_same(document: Document, instruction: Instruction, changes: list[Edit]) -> bool:
    """Whether an instruction, parsed on its own, has the same meaning after its edits."""
    span = Span(
        min(instruction.span.start, *(edit.start for edit, _ in changes)), instruction.span.end
    )
    prefix = "# escape=`\n" if document.escape == "`" else ""
    moved = [(Span(edit.start - span.start, edit.end - span.start), new) for edit, new in changes]
    before = document.text[span.start : span.end]
    after = apply(before, moved)
    first = parse(prefix + before + "\n")
    second = parse(prefix + after + "\n")
    if len(first.instructions) != 1 or len(second.instructions) != 1:
        return False
    same_text = [c.text for c in first.comments] == [c.text for c in second.comments]
    return same_text and meaning(first, first.instructions[0]) == meaning(
        second, second.instructions[0]
    )


def apply(text: str, changes: Sequence[Edit]) -> str:
    """A text with non-adjacent edits applied."""
    pieces = []
    place = 0
    for span, new in sorted(changes):
        pieces += [text[place : span.start], new]
        place = span.end
    return "".join([*pieces, text[place:]])


def _shell_known(instruction: Instruction, known: bool) -> bool:
    """Whether the shell for the following instructions splits words as sh does."""
    if instruction.keyword == "FROM":
        return True
    if instruction.keyword == "SHELL" and instruction.words:
        return bool(_SH.match(instruction.words[0].text))
    return known


def _edits(document: Document, instruction: Instruction, shell_known: bool) -> list[Edit]:
    """The edits of an instruction, which are not adjacent."""
    text = document.text
    edits: list[Edit] = []
    line_start = document.source.starts[document.source.line_at(instruction.span.start)]
    if text.startswith("\ufeff") and line_start == 0:
        line_start = 1
    own = [instruction] if instruction.child is None else [instruction, instruction.child]
    edits += [
        (part.keyword_span, part.keyword)
        for part in own
        if part.keyword.isalpha() and part.keyword.isascii()
    ]
    effective = instruction.effective
    if effective.keyword == "FROM" and len(effective.words) == 3:
        edits.append((effective.words[1].span, effective.words[1].text.upper()))
    edits += _blanks(document, instruction, shell_known)
    edits = [(span, new) for span, new in edits if text[span.start : span.end] != new]
    if line_start < instruction.span.start:
        edits.append((Span(line_start, instruction.span.start), ""))
    return edits


def _blanks(document: Document, instruction: Instruction, shell_known: bool) -> Iterator[Edit]:
    """Edits of blanks: between keyword, flags and words, and around line ends."""
    effective = instruction.effective
    joined, text = instruction.joined, instruction.joined.text
    body = effective.arguments_start
    stop = len(text.rstrip(BLANK))
    marks = quoting(text, document.escape)
    loose = _loose(document, effective, shell_known)
    breaks = [place for place, _ in joined.pieces[1:]]
    for match in re.finditer(r"[\t\v\f\r ]+", text[:stop]):
        start, end = match.span()
        if start >= body and not (loose and effective.keyword not in _SHELL):
            break
        if any(marks[start:end]) and not (
            effective.keyword in _WORDS and effective.form is Form.SHELL and start >= body
        ):
            continue
        if not any(start <= place <= end for place in breaks):
            yield joined.span(start, end), " "
    if not loose or len(joined.pieces) < 2:
        return
    yield from _line_ends(document, instruction, marks)


def _line_ends(document: Document, instruction: Instruction, marks: bytes) -> Iterator[Edit]:
    """Edits at continuations: one blank before the escape character, indentation after it."""
    text = document.text
    joined = instruction.joined
    # A line with only `\` is not among the pieces.
    pieces = [*joined.pieces, (len(joined.text), 0)]
    for (above, _), (place, offset), (below, _) in zip(
        pieces, pieces[1:], pieces[2:], strict=False
    ):
        if not joined.text[above:place].strip(BLANK) or not joined.text[place:below].strip(BLANK):
            continue
        blanks = len(joined.text) - len(joined.text[place:].lstrip(" \t")) - place
        before = joined.text[:place]
        trailing = len(before) - len(before.rstrip(" \t"))
        if not (trailing or blanks) or any(marks[place - trailing : place + blanks]):
            continue
        if place > 0 and marks[place - 1] != PLAIN and not blanks:
            continue
        yield Span(offset, offset + blanks), INDENT
        line = document.source.line_at(joined.offset(max(place - 1, 0)))
        end = document.source.line_end(line)
        escape = text.rfind(document.escape, 0, end)
        content = joined.offset(max(place - trailing - 1, 0)) + 1
        if content <= escape and not text[content:escape].strip(" \t"):
            yield Span(content, escape), " "
            tail = text[escape + 1 : end].rstrip("\r")
            if tail:
                yield Span(escape + 1, escape + 1 + len(tail)), ""


def _loose(document: Document, instruction: Instruction, shell_known: bool) -> bool:
    """Whether all blanks outside quotes are equivalent in the arguments."""
    keyword = instruction.keyword
    if instruction.form is Form.EXEC:
        # An apostrophe is not a quote in JSON, but would be treated as one.
        return "'" not in instruction.arguments
    if keyword in _QUOTED:
        return not any(pair.legacy for pair in instruction.pairs)
    if keyword in _SHELL:
        # `$'…'` has escapes in single quotes, and a comment can hide a quote.
        arguments = instruction.arguments
        return (
            shell_known
            and document.escape == "\\"
            and "$'" not in arguments
            and not re.search(r"(?:^|\s)#", arguments)
        )
    return keyword in _WORDS
