"""Formatting, completion, help and colours."""

from __future__ import annotations

from itertools import pairwise

import pytest

from layerscope.dockerfile.editing import highlight as colouring
from layerscope.dockerfile.editing.completion import Surroundings, complete
from layerscope.dockerfile.editing.format import apply, edits
from layerscope.dockerfile.editing.help import flag_help, help_at, instruction_help, mount_help
from layerscope.dockerfile.editing.highlight import colours, line_colours
from layerscope.dockerfile.syntax.document import Document
from layerscope.dockerfile.syntax.grammar import INSTRUCTIONS
from layerscope.dockerfile.syntax.mounts import MOUNTS
from layerscope.dockerfile.syntax.parser import parse


def formatted(document: Document) -> str:
    return apply(document.text, edits(document))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from a as b", "FROM a AS b\n"),
        ("  run  x", "RUN x\n"),
        ("FROM a\nRUN a && \\\n\t\tb", "FROM a\nRUN a && \\\n    b\n"),
        ("RUN a &&   \\  \n  b\n", "RUN a && \\\n    b\n"),
        ("COPY  --from=a   b \\\nc d\n", "COPY --from=a b \\\n    c d\n"),
        ('ENV  a=1   b="x  y"\n', 'ENV a=1 b="x  y"\n'),
        ("onbuild  run x\n", "ONBUILD RUN x\n"),
        ("RUN a && \\\n# why\n\n b\n", "RUN a && \\\n# why\n\n    b\n"),
        ("# escape=`\nRUN  a `\n  b\n", "# escape=`\nRUN a `\n  b\n"),
        ("run x\r\nrun y \\\r\n z\r\n", "RUN x\r\nRUN y \\\r\n    z\r\n"),
    ],
)
def test_what_formatting_changes(text: str, expected: str) -> None:
    assert formatted(parse(text)) == expected
    assert formatted(parse(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        # Inside of quotes blanks are text.
        "RUN echo 'a \\\n  b'\n",
        'RUN echo "a \\\n  b"\n',
        "RUN echo $'it\\'s \\\n  b'\n",
        # Without a blank on either side it is one word.
        "RUN echo a\\\nb\n",
        "RUN echo a\\ \\\nb\n",
        "ENV a b  c\n",
        "WORKDIR /a  b\n",
        "RUN  x\n".replace("  ", " "),
        "RUN <<EOF\n  x   \\\n y\nEOF\n",
        "# a   comment\n\n\n\nRUN x\n",
        "RUN a   b\n",
        'CMD ["a  b"]\n',
        'SHELL ["pwsh", "-c"]\nRUN a `\n',
        'FROM a\nSHELL ["cmd", "/S"]\nRUN a \\\n  b\n',
        "RUN a # it's \\\n  b\n",
        "",
    ],
)
def test_what_formatting_leaves_alone(text: str) -> None:
    assert formatted(parse(text)) == text


def test_edits_are_small_and_do_not_touch_each_other() -> None:
    text = "from a\nRUN x\nCOPY  a \\\nb\n"
    made = edits(parse(text))
    assert [(text[span.start : span.end], new) for span, new in made] == [
        ("from", "FROM"),
        ("  ", " "),
        ("", "    "),
    ]
    assert all(one.end <= other.start for (one, _), (other, _) in pairwise(made))


def test_a_heredoc_without_end_gets_no_line() -> None:
    assert formatted(parse("RUN <<EOF\nx")) == "RUN <<EOF\nx"


AROUND = Surroundings(
    images=("debian:12", "python:3.13"),
    paths=lambda folder: {"": ["src/", "setup.py"], "src": ["main.py"]}.get(folder, []),
)


def candidates(text: str) -> list[str]:
    """What could come at the bar."""
    place = text.index("|")
    document = parse(text.replace("|", ""))
    completion = complete(document, place, AROUND)
    assert completion.span.end == place
    typed = document.text[completion.span.start : place]
    found = [candidate.text for candidate in completion.candidates]
    assert all(name.lower().startswith(typed.lower()) for name in found)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("|", ["FROM", "ARG"]),
        ("FROM a\nE|", ["ENTRYPOINT", "ENV", "EXPOSE"]),
        ("FROM a\nco|\nRUN x", ["COPY"]),
        ("FROM |", ["scratch", "debian:12", "python:3.13"]),
        ("FROM a AS one\nFROM o|", ["one"]),
        ("FROM a |", ["AS"]),
        ("FROM a AS x\nFROM b AS y\nCOPY --from=|", ["x", "debian:12", "python:3.13"]),
        ("FROM a\nCOPY --ch|", ["--chown=", "--chmod="]),
        ("FROM a\nCOPY --chown=x --c|  y z", ["--chmod="]),
        ("FROM a\nCOPY --link=|", ["true", "false"]),
        ("FROM a\nCOPY s|", ["src/", "setup.py"]),
        ("FROM a\nCOPY src/|", ["src/main.py"]),
        ("FROM a\nCOPY ./src/|", ["./src/main.py"]),
        ('FROM a\nCOPY ["sr|', ["src/"]),
        ("FROM a\nCOPY ../|", []),
        ("FROM a\nCOPY --from=x |", []),
        ("FROM a\nRUN --mount=type=s|", ["secret", "ssh"]),
        ("FROM a\nRUN --mount=type=cache,sh|", ["sharing="]),
        ("FROM a\nRUN --mount=type=cache,sharing=l|", ["locked"]),
        ("FROM a\nRUN --mount=type=bind,source=se|", ["setup.py"]),
        ("FROM a AS x\nFROM b\nRUN --mount=type=bind,from=x|", ["x"]),
        ("FROM a\nRUN --network=|", ["default", "none", "host"]),
        ("FROM a\nENV VERSION=1\nRUN x \\\n  $VER|", ["VERSION"]),
        ("ARG TAG=1\nFROM a:${TAG|", ["TAG"]),
        ("ARG TAG=1\nFROM a\nARG TA|", ["TAG", "TARGETPLATFORM"]),
        ("FROM a\nONBUILD CO|", ["COPY"]),
        ("FROM a\nHEALTHCHECK |", ["CMD", "NONE"]),
        ("FROM a\nSTOPSIGNAL SIGQ|", ["SIGQUIT"]),
        ("# sy|", ["syntax="]),
        ("# c\n# sy|", []),
        ("FROM a\n# sy|", []),
        ("FROM a\nRUN <<EOF\nCO|\nEOF\n", []),
        ("FROM a\nRUN x|", []),
    ],
)
def test_completion(text: str, expected: list[str]) -> None:
    found = candidates(text)
    assert found[: len(expected)] == expected
    assert bool(found) == bool(expected)


def test_everything_has_help() -> None:
    for rule in INSTRUCTIONS.values():
        found = instruction_help(rule.name)
        assert found is not None
        assert found.syntax
        assert found.text.endswith(".")
        example = parse(found.example).instructions
        assert len(example) == 1
        for flag in rule.flags:
            on_flag = flag_help(rule.name, flag.name)
            assert on_flag is not None
            written = parse(f"{rule.name} {on_flag.example} x").instructions[0].flags
            assert [found_flag.name for found_flag in written] == [flag.name]
    assert all(mount_help(kind) for kind in MOUNTS)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("FR|OM a", "FROM"),
        ("FROM a|", "FROM"),
        ("FROM a\nCOPY --li|nk a b", "COPY --link"),
        ("FROM a\nRUN --mount=type=ca|che,target=/a x", "RUN --mount=type=cache"),
        ("FROM a\nONBUILD RU|N x", "RUN"),
        ("FROM a\nARG TARGET|ARCH", "TARGETARCH"),
        ("# synt|ax=a\n", "# syntax"),
        ("# a co|mment\n", None),
        ("NON|SENSE", None),
    ],
)
def test_help_at_a_place(text: str, title: str | None) -> None:
    place = text.index("|")
    found = help_at(parse(text.replace("|", "")), place)
    assert (found.title if found else None) == title


TEXT = "# é\nFROM é AS b\nRUN <<EOF\necho $x\nEOF\n"


@pytest.mark.parametrize("grammar", [True, False])
def test_colours(grammar: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not grammar:
        monkeypatch.setattr(colouring, "_grammar", lambda: None)
    found = {(TEXT[s.start : s.end].strip(), name) for s, name in colours(TEXT)}
    assert {("# é", "comment"), ("FROM", "keyword"), ("RUN", "keyword")} <= found
    second = line_colours(TEXT)[1]
    assert ("FROM", "keyword") in [(TEXT.split("\n")[1][s.start : s.end], n) for s, n in second]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("COPY with", ["with?blank/"]),
        ("COPY with?", ["with?blank/"]),
        ("COPY with?blank/", ["with?blank/a?b"]),
        ('COPY ["with', ["with blank/"]),
        ("ADD q", ["q?uote"]),
        ('COPY ["q', ["q?uote"]),
        ("COPY pl", ["plain"]),
        ("COPY ?", ["?var", "?br]"]),
    ],
)
def test_special_characters_in_sources_become_patterns(line: str, offered: list[str]) -> None:
    names = {"": ["with blank/", 'q"uote', "plain", "$var", "[br]"], "with blank": ["a b"]}
    document = parse("FROM a\n" + line)
    around = Surroundings(paths=lambda folder: names.get(folder, ()))
    found = complete(document, len(document.text), around)
    assert [each.text for each in found.candidates] == offered
