"""Parsed Dockerfiles: instructions, flags, words, heredocs, and their positions."""

from __future__ import annotations

import pytest

from layerscope.dockerfile.syntax.document import Document, FaultKind, Form, Instruction
from layerscope.dockerfile.syntax.parser import parse
from layerscope.dockerfile.syntax.source import Span


def only(text: str) -> Instruction:
    document = parse(text)
    assert len(document.instructions) == 1
    return document.instructions[0]


def words(text: str) -> list[str]:
    return [word.text for word in only(text).words]


def cut(document: Document, span: Span) -> str:
    return document.source.slice(span)


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("RUN a \\\n  b", "RUN a   b"),
        ("RUN a\\\nb", "RUN ab"),
        ("RUN a \\   \n b", "RUN a  b"),
        ("RUN a \\\n# no\n  # no\n b", "RUN a  b"),
        ("RUN a \\\n\n\n b", "RUN a  b"),
        ("RUN a \\\r\n b\r\n", "RUN a  b"),
        ("RUN a \\\n\\\n\\\n b", "RUN a  b"),
        ("\\\nRUN a", "RUN a"),
        ("  RUN a", "RUN a"),
        ("\ufeffRUN a", "RUN a"),
        # A backslash before it makes it no continuation.
        ("RUN a \\\\", "RUN a \\\\"),
        ("RUN a \\", "RUN a "),
        ("RUN a # b \\\n c", "RUN a # b  c"),
        ("# escape=`\nRUN a \\ `\n b", "RUN a \\  b"),
    ],
)
def test_lines_are_joined(text: str, joined: str) -> None:
    assert only(text).joined.text == joined


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("COPY a b", ["a", "b"]),
        ('COPY ["a b", "c"]', ["a b", "c"]),
        ('COPY [ "a" , "b\\u00e9" ]', ["a", "bé"]),
        ('COPY ["a" "b"]', ['["a"', '"b"]']),
        ("COPY  a\t b  ", ["a", "b"]),
        ("RUN a  b", ["a  b"]),
        ('CMD ["a", "b"]', ["a", "b"]),
        ("CMD []", []),
        ("CMD ['a', 'b']", ["['a', 'b']"]),
        ("EXPOSE 80 443/tcp", ["80", "443/tcp"]),
        ("WORKDIR /a b", ["/a b"]),
        ("ENV a=b c=d", ["a=b", "c=d"]),
        ("ENV a=\"b c\" d='e f' g=h\\ i", ['a="b c"', "d='e f'", "g=h\\ i"]),
        ("ENV a b  c", ["a", "b  c"]),
        ("ARG a b=c", ["a", "b=c"]),
        ("HEALTHCHECK --interval=5s CMD curl -f x", ["CMD", "curl -f x"]),
        ('HEALTHCHECK CMD ["a", "b"]', ["CMD", "a", "b"]),
        ("HEALTHCHECK NONE", ["NONE"]),
        ("FROM a AS b", ["a", "AS", "b"]),
        ("FROM", []),
        ("NONSENSE a b", ["a b"]),
    ],
)
def test_each_instruction_splits_its_arguments(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "flags", "rest"),
    [
        ("COPY --from=a --link b c", [("from", "a"), ("link", None)], "b c"),
        ('COPY --chown="a b" c d', [("chown", "a b")], "c d"),
        ("COPY --exclude=a --exclude=b c d", [("exclude", "a"), ("exclude", "b")], "c d"),
        ("COPY -- --from=a b", [], "--from=a b"),
        ("COPY a --from=b c", [], "a --from=b c"),
        ("RUN --mount=type=cache,target=/a x", [("mount", "type=cache,target=/a")], "x"),
        ("RUN \\\n  --network=none \\\n  x", [("network", "none")], "x"),
        ("RUN --network=none", [("network", "none")], ""),
        ("COPY --chmod=a\\ b c d", [("chmod", "a b")], "c d"),
        ("ADD --checksum= a b", [("checksum", "")], "a b"),
    ],
)
def test_flags(text: str, flags: list[tuple[str, str | None]], rest: str) -> None:
    instruction = only(text)
    assert [(flag.name, flag.value) for flag in instruction.flags] == flags
    assert instruction.arguments == rest


def test_pairs_have_names_values_and_positions() -> None:
    document = parse('ENV a=1 \\\n  b="x y" c=\nLABEL old style value\nARG n d=')
    env, label, arg = document.instructions
    found = [(p.name.text, p.value.text if p.value else None) for p in env.pairs]
    assert found == [("a", "1"), ("b", '"x y"'), ("c", "")]
    value = env.pairs[1].value
    assert value is not None
    assert cut(document, value.span) == '"x y"'
    assert [(p.legacy, p.name.text) for p in label.pairs] == [(True, "old")]
    assert [(p.name.text, p.value is None) for p in arg.pairs] == [("n", True), ("d", False)]


def test_exec_form_has_positions() -> None:
    document = parse('CMD ["a",\\\n  "b\\n" ]')
    instruction = document.instructions[0]
    assert instruction.form is Form.EXEC
    assert [cut(document, word.span) for word in instruction.words] == ['"a"', '"b\\n"']
    assert instruction.words[1].text == "b\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('CMD ["a", 1]', FaultKind.JSON_NOT_STRINGS),
        ('CMD ["a", ["b"]]', FaultKind.JSON_NOT_STRINGS),
        ("CMD [null]", FaultKind.JSON_NOT_STRINGS),
        ('ENTRYPOINT ["a" "b"]', FaultKind.JSON_INVALID),
        ("CMD ['a']", FaultKind.JSON_INVALID),
        ("SHELL [NaN]", FaultKind.JSON_INVALID),
        ("ENV a", FaultKind.ARGUMENTS),
        ("ENV a=b c", FaultKind.ARGUMENTS),
        ("RUN <<EOF\nx", FaultKind.HEREDOC_OPEN),
    ],
)
def test_faults(text: str, kind: FaultKind) -> None:
    assert [fault.kind for fault in only(text).faults] == [kind]


def test_a_shell_test_is_not_json() -> None:
    assert only("RUN [ -f /a ] || b").faults == ()
    assert only("CMD [[ -f /a ]] || b").faults == ()


def test_heredocs() -> None:
    text = "COPY <<A <<-'B' /x/\n1 $a\nA\n\t2\n\tB\nUSER z\n"
    document = parse(text)
    copy, user = document.instructions
    first, second = copy.heredocs
    assert (first.name, first.content, first.expand) == ("A", "1 $a\n", True)
    assert (second.name, second.content, second.expand) == ("B", "2\n", False)
    assert cut(document, first.marker) == "<<A"
    assert cut(document, second.marker) == "<<-'B'"
    assert cut(document, second.body) == "\t2\n"
    assert second.terminator is not None
    assert cut(document, second.terminator) == "\tB"
    assert cut(document, copy.span) == text[: text.index("\nUSER")]
    assert cut(document, copy.head) == text.split("\n")[0]
    assert user.words[0].text == "z"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("RUN cat <<EOF", ["EOF"]),
        ("RUN cat << EOF", ["EOF"]),
        ("RUN 3<<EOF cat", ["EOF"]),
        ("RUN cat <<EOF > /f && x <<'E F'", ["EOF", "E F"]),
        ("RUN <<EOF \\\n  cat", ["EOF"]),
        ("ONBUILD RUN <<EOF", ["EOF"]),
        ("run <<EOF", ["EOF"]),
        ("RUN cat <<<EOF", []),
        ("RUN echo $((1<<EOF))", []),
        ("RUN a<<EOF", []),
        ('RUN echo "<<EOF"', []),
        ('RUN ["<<EOF"]', []),
        ("ENV a=<<EOF", []),
        ("CMD <<EOF", []),
        # BuildKit finds none where a quote is not closed.
        ("RUN it's <<EOF", []),
    ],
)
def test_what_announces_a_heredoc(line: str, names: list[str]) -> None:
    ends = "".join(f"{name}\n" for name in names)
    instruction = parse(f"{line}\n{ends}").instructions[0]
    assert [heredoc.name for heredoc in instruction.effective.heredocs] == names
    assert all(heredoc.terminator for heredoc in instruction.effective.heredocs)


def test_directives() -> None:
    document = parse("# syntax = a/b:1\n#CHECK=skip=all\n# escape=`\n# other=1\n# escape=\\\nRUN a")
    assert [(d.name, d.value) for d in document.directives] == [
        ("syntax", "a/b:1"),
        ("check", "skip=all"),
        ("escape", "`"),
    ]
    assert document.escape == "`"
    assert [c.text for c in document.comments] == ["other=1", "escape=\\"]
    assert cut(document, document.directives[0].value_span) == "a/b:1"


@pytest.mark.parametrize("above", ["\n", "# a comment\n", "RUN x\n"])
def test_directives_are_only_at_the_top(above: str) -> None:
    assert parse(above + "# escape=`\n").escape == "\\"


def test_a_repeated_directive_is_marked() -> None:
    found = parse("# escape=`\n# escape=\\\n").directives
    assert [d.repeated for d in found] == [False, True]


def test_comments_above_belong_to_the_instruction() -> None:
    document = parse("# one\n\n# two\n#\n# three\n# four\nRUN a \\\n# in\n b\nRUN c")
    first, second = document.instructions
    assert [c.text for c in first.comments] == ["three", "four"]
    assert second.comments == ()
    assert [c.text for c in document.comments][-1] == "in"


def test_onbuild_holds_an_instruction() -> None:
    document = parse('FROM a\nONBUILD copy --from=b ["c", "d"]')
    onbuild = document.instructions[1]
    child = onbuild.child
    assert child is not None
    assert (onbuild.keyword, child.keyword, child.stage) == ("ONBUILD", "COPY", 0)
    assert [w.text for w in child.words] == ["c", "d"]
    assert cut(document, child.keyword_span) == "copy"
    assert cut(document, child.flags[0].span) == "--from=b"


def test_stages_are_counted() -> None:
    document = parse("ARG a\nFROM a\nRUN b\nfrom c\nRUN d\nFROMAGE\n")
    assert [i.stage for i in document.instructions] == [-1, 0, 0, 1, 1, 1]


def test_positions_in_characters_and_in_bytes() -> None:
    document = parse("# é\nRUN é ☃ \\\n  x\n")
    instruction = document.instructions[0]
    begin, end = map(document.source.position, instruction.span)
    assert (begin.line, begin.column, begin.byte) == (1, 0, 5)
    assert (end.line, end.column) == (2, 3)
    assert end.byte == len("# é\nRUN é ☃ \\\n  x".encode())
    word = document.source.position(instruction.words[0].span.start)
    assert (word.column, word.byte) == (4, 9)
    assert document.source.offset(1, 4) == instruction.words[0].span.start
    assert document.source.offset(99, 0) == len(document.text)


def test_the_instruction_at_a_line() -> None:
    document = parse("# c\nFROM a\n\nRUN b \\\n# in\n  c\nCOPY <<E /\nx\nE\n")
    at = [document.instruction_at(line) for line in range(10)]
    names = [found.keyword if found else None for found in at]
    expected = [None, "FROM", None, "RUN", "RUN", "RUN", "COPY", "COPY", "COPY", None]
    assert names == expected
