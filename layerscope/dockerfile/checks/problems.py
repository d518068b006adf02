"""Problems of a Dockerfile: their definition, the disabled ones, and their order."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from layerscope.dockerfile.syntax.document import Document, Instruction
from layerscope.dockerfile.syntax.grammar import INSTRUCTIONS
from layerscope.dockerfile.syntax.lines import Comment
from layerscope.dockerfile.syntax.source import Span
from layerscope.text import LabelledEnum


class Severity(LabelledEnum):
    """How bad a problem is; an error ends the build."""

    INFO = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Problem:
    code: str  # Its name: BuildKit's if BuildKit has such a check, `DL…` and `SC…` for hadolint's.
    severity: Severity
    message: str  # A sentence that describes the problem; not made safe for a terminal.
    span: Span
    hint: str = ""  # What to do; may be empty.
    source: str = "layerscope"  # Its finder: `layerscope`, `hadolint` or `buildkit`.
    certain: bool = False  # Whether a comment cannot disable it, because the build would fail.


def error(code: str, message: str, at: Span | Instruction, hint: str = "") -> Problem:
    """An error at a span, or at the keyword of an instruction."""
    return Problem(code, Severity.ERROR, message, _keyword(at), hint, certain=True)


def warning(code: str, message: str, at: Span | Instruction, hint: str = "") -> Problem:
    return Problem(code, Severity.WARNING, message, _keyword(at), hint)


def _keyword(at: Span | Instruction) -> Span:
    return at.keyword_span if isinstance(at, Instruction) else at


#: hadolint's codes for problems that have a name here.
SAME_AS_HADOLINT = {
    "DL3000": "WorkdirRelativePath",
    "DL3006": "BaseWithoutTag",
    "DL3007": "LatestBase",
    "DL3009": "AptListsKept",
    "DL3012": "MultipleInstructionsDisallowed",
    "DL3020": "AddLocalFile",
    "DL3022": "UnknownStage",
    "DL3023": "CircularStage",
    "DL3024": "DuplicateStageName",
    "DL3025": "JSONArgsRecommended",
    "DL3029": "FromPlatformFlagConstDisallowed",
    "DL3043": "InvalidArguments",
    "DL3044": "UndefinedVar",
    "DL3061": "BeforeFrom",
    "DL3063": "ReservedStageName",
    "DL4000": "MaintainerDeprecated",
    "DL4003": "MultipleInstructionsDisallowed",
    "DL4004": "MultipleInstructionsDisallowed",
}
#: Other codes that hadolint can report for the same problem: its parser stops where ours
#: continues, and it does not distinguish invalid JSON from none.
_ALSO = {"DL1000": "MissingCommand", "DL3025": "JSONFormIgnored"}
_HADOLINT_OF: dict[str, set[str]] = {}
for _theirs, _ours in SAME_AS_HADOLINT.items():
    _HADOLINT_OF.setdefault(_ours, set()).add(_theirs)

_HADOLINT = re.compile(r"hadolint\s+(?P<all>global\s+)?ignore\s*=\s*(?P<codes>[\w\s,]+)", re.I)
_CODE = re.compile(r"[^\s,]+")
_CHECK = re.compile(r"check\s*=\s*(?P<value>\S+)", re.I)


def _skips(codes: set[str], problem: Problem) -> bool:
    """Whether disabled codes, or `all`, include a problem."""
    if problem.certain:
        return False
    own = {problem.code.lower(), *(c.lower() for c in _HADOLINT_OF.get(problem.code, ()))}
    return ("all" in codes and problem.source != "hadolint") or bool(own & codes)


def _check_options(value: str) -> tuple[set[str], bool]:
    """The disabled codes in `skip=A,B;error=true`, and whether a warning counts as an error."""
    codes: set[str] = set()
    strict = False
    for option in value.split(";"):
        key, _, content = option.partition("=")
        if key.strip() == "skip":
            codes |= set(_CODE.findall(content.lower()))
        elif key.strip() == "error":
            strict = content.strip().lower() in ("1", "t", "true")
    return codes, strict


def _disabled(comments: Iterable[Comment], *, everywhere: bool) -> set[str]:
    """Codes that comments disable in the whole file, or for the instruction below them."""
    codes: set[str] = set()
    for comment in comments:
        match = _HADOLINT.match(comment.text)
        if match and bool(match["all"]) == everywhere:
            codes |= set(_CODE.findall(match["codes"].lower()))
        elif not everywhere and (match := _CHECK.match(comment.text)):
            codes |= _check_options(match["value"])[0]
    return codes


#: Errors that do not concern the syntax of an instruction.
_ELSEWHERE = frozenset({"CopySourceMissing", "CopyIgnoredFile", "BaseImageMissing"})
#: Advice that may be wrong as a consequence of an earlier error.
_DERIVED = frozenset({"UndefinedVar", "UndefinedArgInFrom", "WorkdirRelativePath"})
#: The same if a variable is involved.
_OF_VALUES = frozenset({"EmptyBaseName", "InvalidBaseName", "BaseWithoutTag", "LatestBase"})
#: Instructions that such advice does not depend on.
_PRESENT = frozenset({"COPY", "ADD", "RUN", "USER", "CMD", "ENTRYPOINT", "EXPOSE", "LABEL"})


def without_consequences(document: Document, problems: Iterable[Problem]) -> list[Problem]:
    """Removes advice that may only be a consequence of an error, which is reported itself.

    The effects of an instruction with an error are unknown.
    """
    found = list(problems)
    errors = [p for p in found if p.certain and p.code not in _ELSEWHERE]
    unused = any(p.code == "UnknownStage" for p in found) or bool(errors)
    setting = [p.span.start for p in errors if _may_set(_instruction(document, p.span))]
    first = min(setting, default=len(document.text) + 1)

    def follows(problem: Problem) -> bool:
        if problem.code == "UnusedStage" or problem.span.start <= first:
            return problem.code == "UnusedStage" and unused
        of_value = problem.code in _OF_VALUES and "$" in document.source.slice(problem.span)
        return of_value or problem.code in _DERIVED

    return [problem for problem in found if not follows(problem)]


def _may_set(instruction: Instruction | None) -> bool:
    """Whether an instruction with an error may define something that later ones use."""
    if instruction is None or instruction.keyword in INSTRUCTIONS:
        return instruction is None or instruction.keyword not in _PRESENT
    meant = difflib.get_close_matches(instruction.keyword, INSTRUCTIONS, 1, 0.6)
    return not meant or meant[0] not in _PRESENT


def settle(document: Document, problems: Iterable[Problem]) -> list[Problem]:
    """Problems as shown to the user.

    Removes duplicates and those that comments disable; `error=true` turns warnings into errors.
    Sorts by severity, then by position.
    """
    directive = document.directive("check")
    codes, strict = _check_options(directive.value if directive is not None else "")
    codes |= _disabled(document.comments, everywhere=True)
    own = {
        each.index: _disabled(each.comments, everywhere=False)
        for each in document.instructions
        if each.comments
    }
    kept: list[Problem] = []
    for problem in problems:
        at = _instruction(document, problem.span)
        if _skips(codes | (own.get(at.index, set()) if at is not None else set()), problem):
            continue
        if strict and problem.severity is Severity.WARNING:
            problem = replace(problem, severity=Severity.ERROR)
        kept.append(problem)
    kept = _once(document, kept)
    return sorted(kept, key=lambda p: (-p.severity, p.span, p.code, p.message))


def _instruction(document: Document, span: Span) -> Instruction | None:
    return document.instruction_at(document.source.line_at(span.start))


def _place(document: Document, problem: Problem) -> int:
    """Number of the instruction with the problem; below 0 outside of instructions."""
    at = _instruction(document, problem.span)
    return at.index if at is not None else -1 - document.source.line_at(problem.span.start)


def _once(document: Document, problems: list[Problem]) -> list[Problem]:
    """Removes other tools' duplicates at the same instruction; layerscope's positions are best."""
    order = {"layerscope": 0, "buildkit": 1, "hadolint": 2}
    broken = {_place(document, problem) for problem in problems if problem.certain}
    seen: dict[tuple[str, object], str] = {}
    kept = []
    for problem in sorted(problems, key=lambda p: order.get(p.source, 3)):
        place: object = _place(document, problem)
        code = problem.code
        nowhere = isinstance(place, int) and place < 0
        if code in ("BuildError", "DL1000") and (place in broken or (nowhere and broken)):
            # The same, less precise.
            continue
        if problem.source == "hadolint":
            if (_ALSO.get(code, ""), place) in seen:
                continue
            code = SAME_AS_HADOLINT.get(code) or code
        if code == "MultipleInstructionsDisallowed":
            # BuildKit points at the ignored ones, hadolint at the effective one.
            at = _instruction(document, problem.span)
            place = (at.stage, at.keyword) if at is not None else place
        if seen.setdefault((code, place), problem.source) == problem.source:
            kept.append(problem)
    return list(dict.fromkeys(kept))
