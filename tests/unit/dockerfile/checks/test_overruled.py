"""What hadolint reports wrongly is left out, with a reason."""

from __future__ import annotations

import pytest

from layerscope.dockerfile.checks.facts import World
from layerscope.dockerfile.checks.overruled import overrule
from layerscope.dockerfile.checks.problems import Problem, Severity
from layerscope.dockerfile.syntax.parser import parse

BASH = 'FROM a:1\nSHELL ["/bin/bash", "-c"]\n'
PIPEFAIL = 'FROM a:1 AS b\nSHELL ["/bin/bash", "-o", "pipefail", "-c"]\n'


def heredoc(command: str, *lines: str) -> str:
    return "\n".join(["FROM a:1", f"RUN {command}", *lines, "EOF", ""])


@pytest.mark.parametrize(
    ("text", "line", "code", "reason"),
    [
        (heredoc("<<EOF", "a | b"), 2, "DL4006", ""),
        (heredoc("<<EOF", "#!/bin/sh", "[[ a ]]"), 2, "SC3010", ""),
        (
            heredoc("<<EOF", "#!/usr/bin/env bash", "[[ a ]]"),
            2,
            "SC3010",
            "The heredoc's first line names bash, which is more than a POSIX shell.",
        ),
        (heredoc("<<EOF", "#!/bin/bash", "a | b"), 2, "DL4006", ""),
        (
            heredoc("<<EOF", "#!/bin/bash", "set -eux -o pipefail", "a | b"),
            2,
            "DL4006",
            "The heredoc's first line sets pipefail.",
        ),
        (heredoc("<<EOF", "#!/bin/bash", "set -euo pipefail", "a $b"), 2, "SC2086", ""),
        (
            heredoc("<<EOF", "#!/usr/bin/env -S python3 -u", "a | b"),
            2,
            "SC2086",
            "The heredoc's first line names python3, which is not a shell.",
        ),
        (heredoc("<<EOF bash", "[[ a ]]"), 2, "SC3010", "The command names bash, which is more "),
        (heredoc("bash -e <<'EOF'", "[[ a ]]"), 2, "SC3010", "The command names bash, which "),
        (heredoc("cat <<EOF | tee x", "a"), 2, "DL4006", ""),
        (heredoc("bash <<EOF | tee x", "set -o pipefail"), 2, "DL4006", ""),
        (heredoc("cat <<EOF > x", "#!/bin/bash", "a"), 2, "SC2154", ""),
        (BASH + "RUN [[ a ]]\n", 3, "SC3010", "SHELL names bash, which is more than a POSIX "),
        (BASH + "RUN a | b\n", 3, "DL4006", ""),
        (BASH + "FROM a:1\nRUN [[ a ]]\n", 4, "SC3010", ""),
        (PIPEFAIL + "FROM b\nRUN a | b\n", 4, "DL4006", "SHELL sets pipefail."),
        ("ARG B=b\n" + PIPEFAIL + "FROM $B\nRUN a | b\n", 5, "DL4006", "SHELL sets pipefail."),
        ('FROM a:1\nRUN a | b\nSHELL ["pwsh", "-c"]\n', 2, "DL4006", ""),
        ('FROM a:1\nSHELL ["pwsh", "-c"]\nRUN a | b\n', 3, "SC1008", "SHELL names pwsh, which is "),
        ("ARG I=a:1\nFROM $I\n", 2, "DL3006", "The variable stands for a:1."),
        ("ARG I=x:5/a\nFROM $I\n", 2, "DL3006", ""),
        ("ARG I=a\nFROM $I\n", 2, "DL3006", ""),
        ("ARG I\nFROM $I\n", 2, "DL3006", ""),
        ("ARG I\nFROM ${I:-a:1}\n", 2, "DL3006", "The variable stands for a:1."),
        ("ARG N=1\nFROM a:1 AS b1\nFROM b$N\n", 3, "DL3006", "The variable names the stage b1."),
        ("FROM a:1 AS Build\nFROM build\n", 2, "DL3006", "build is the stage build."),
        ("FROM a\n", 1, "DL3006", ""),
        ("FROM a:1 AS B\nFROM a:1\nCOPY --from=b x y\n", 3, "DL3022", "b is the stage b."),
        ("FROM a:1\nFROM a:1\nCOPY --from=c x y\n", 3, "DL3022", ""),
        ("FROM a:1 AS b\nUSER root\nFROM a:1\n", 2, "DL3002", "The stage b is not in the image."),
        ("FROM a:1 AS b\nUSER root\nFROM b\n", 2, "DL3002", ""),
        ("FROM a:1 AS b\nWORKDIR /x\nFROM b\nCOPY x y\n", 4, "DL3045", "The stage b below sets W"),
        ("FROM a:1\nCOPY x y\n", 2, "DL3045", ""),
        ("FROM a:1\nRUN sudo x\n", 2, "DL3004", ""),
    ],
)
def test_what_hadolint_reports(text: str, line: int, code: str, reason: str) -> None:
    document = parse(text)
    start = document.source.starts[line - 1]
    at = document.instruction_at(line - 1)
    assert at is not None
    assert at.span.start == start
    problem = Problem(code, Severity.WARNING, "x", at.keyword_span, "", "hadolint")
    kept, wrong = overrule(document, World(), [problem])
    assert [each.reason[: len(reason)] for each in wrong] == [reason] * bool(reason)
    assert kept == [problem] * (not reason)


def test_problems_of_others_stay() -> None:
    document = parse("ARG I=a:1\nFROM $I\n")
    at = document.instructions[1].keyword_span
    problem = Problem("DL3006", Severity.WARNING, "x", at, "", "buildkit")
    assert overrule(document, World(), [problem]) == ([problem], [])
