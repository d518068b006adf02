"""Problems of a Dockerfile: what they are, which to leave out, in which order."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from layerscope.dockerfile.document import Document, Instruction
from layerscope.dockerfile.lines import Comment
from layerscope.dockerfile.source import Span


class Severity(enum.IntEnum):
    """How bad a problem is; the build ends at an error."""

    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def label(self) -> str:
        """The word for it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem.

    Attributes:
        code: Its name: BuildKit's where BuildKit has such a check, `DL…` and `SC…` for those of
            hadolint.
        severity: How bad it is.
        message: A sentence that says what is wrong; not made safe for a terminal.
        span: Where it is.
        hint: What to do; may be empty.
        source: Who found it: `layerscope`, `hadolint` or `buildkit`.
        certain: Whether a comment cannot switch it off: the file cannot be built as it is.
    """

    code: str
    severity: Severity
    message: str
    span: Span
    hint: str = ""
    source: str = "layerscope"
    certain: bool = False


def error(code: str, message: str, span: Span, hint: str = "") -> Problem:
    """A problem that ends the build."""
    return Problem(code, Severity.ERROR, message, span, hint, certain=True)


#: hadolint's names for what has a name here.
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
    "DL4000": "MaintainerDeprecated",
    "DL4003": "MultipleInstructionsDisallowed",
    "DL4004": "MultipleInstructionsDisallowed",
}
#: What hadolint may call the same besides: its parser ends where ours goes on, and for JSON that is
#: none it has the name of what has none.
_ALSO = {"DL1000": "MissingCommand", "DL3025": "JSONFormIgnored"}
_HADOLINT_OF: dict[str, set[str]] = {}
for _theirs, _ours in SAME_AS_HADOLINT.items():
    _HADOLINT_OF.setdefault(_ours, set()).add(_theirs)

_HADOLINT = re.compile(r"hadolint\s+(?P<all>global\s+)?ignore\s*=\s*(?P<codes>[\w\s,]+)", re.I)
_CHECK = re.compile(r"check\s*=\s*(?P<value>\S+)", re.I)


@dataclass(frozen=True, slots=True)
class Switches:
    """What comments switch off.

    Attributes:
        codes: Codes that do not count; `all` for every one.
        error: Whether a warning counts as an error.
    """

    codes: frozenset[str] = frozenset()
    error: bool = False

    def skips(self, problem: Problem) -> bool:
        """Whether a problem does not count."""
        if problem.certain:
            return False
        own = {problem.code.lower(), *(c.lower() for c in _HADOLINT_OF.get(problem.code, ()))}
        all_of_them = "all" in self.codes and problem.source != "hadolint"
        return all_of_them or bool(own & self.codes)


def check_options(value: str) -> Switches:
    """Reads what `# check=` says: `skip=A,B;error=true`."""
    codes: set[str] = set()
    error = False
    for option in value.split(";"):
        key, _, content = option.partition("=")
        if key.strip() == "skip":
            codes |= {code.strip().lower() for code in content.split(",") if code.strip()}
        elif key.strip() == "error":
            error = content.strip().lower() in ("1", "t", "true")
    return Switches(frozenset(codes), error)


def _in_comments(comments: Iterable[Comment]) -> frozenset[str]:
    """Codes that comments above an instruction switch off for it."""
    codes: set[str] = set()
    for comment in comments:
        if (match := _HADOLINT.match(comment.text)) and not match["all"]:
            codes |= {code.lower() for code in re.split(r"[\s,]+", match["codes"]) if code}
        elif match := _CHECK.match(comment.text):
            codes |= check_options(match["value"]).codes
    return frozenset(codes)


def settle(document: Document, problems: Iterable[Problem]) -> list[Problem]:
    """Problems as a user gets to see them.

    Those that comments switch off are left out, as are those that are said twice; `error=true`
    makes errors of warnings. The worst come first, then those further up.

    Args:
        document: The document.
        problems: All that was found.
    """
    directive = document.directive("check")
    whole = check_options(directive.value) if directive is not None else Switches()
    everywhere = set(whole.codes)
    for comment in document.comments:
        if (match := _HADOLINT.match(comment.text)) and match["all"]:
            everywhere |= {code.lower() for code in re.split(r"[\s,]+", match["codes"]) if code}
    own = {i.index: _in_comments(i.comments) for i in document.instructions if i.comments}
    kept: list[Problem] = []
    for problem in problems:
        at = _instruction(document, problem.span)
        codes = everywhere | (own.get(at.index, frozenset()) if at is not None else frozenset())
        if Switches(frozenset(codes)).skips(problem):
            continue
        if whole.error and problem.severity is Severity.WARNING:
            problem = replace(problem, severity=Severity.ERROR)
        kept.append(problem)
    kept = _once(document, kept)
    return sorted(kept, key=lambda p: (-p.severity, p.span, p.code, p.message))


def _instruction(document: Document, span: Span) -> Instruction | None:
    return document.instruction_at(document.source.line_at(span.start))


def _place(document: Document, problem: Problem) -> int:
    """Number of the instruction that a problem is in; below 0 where there is none."""
    at = _instruction(document, problem.span)
    return at.index if at is not None else -1 - document.source.line_at(problem.span.start)


def _once(document: Document, problems: list[Problem]) -> list[Problem]:
    """Leaves out what others found too, at the same instruction; layerscope knows places best."""
    order = {"layerscope": 0, "buildkit": 1, "hadolint": 2}
    broken = {_place(document, problem) for problem in problems if problem.certain}
    seen: dict[tuple[str, object], str] = {}
    kept = []
    for problem in sorted(problems, key=lambda p: order.get(p.source, 3)):
        place: object = _place(document, problem)
        code = problem.code
        nowhere = isinstance(place, int) and place < 0
        if code in ("BuildError", "DL1000") and (place in broken or (nowhere and broken)):
            # The same, less exactly.
            continue
        if problem.source == "hadolint":
            if (_ALSO.get(code, ""), place) in seen:
                continue
            code = SAME_AS_HADOLINT.get(code) or code
        if code == "MultipleInstructionsDisallowed":
            # Of several, BuildKit points at those that do not count, and hadolint at those that do.
            at = _instruction(document, problem.span)
            place = (at.stage, at.keyword) if at is not None else place
        first = seen.setdefault((code, place), problem.source)
        if first == problem.source:
            kept.append(problem)
    return list(dict.fromkeys(kept))
