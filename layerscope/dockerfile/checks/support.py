"""The features of each builder: one table, for lint, dry runs and builds.

Versions are those of the `docker/dockerfile` frontend that comes with BuildKit, and of Podman.
Docker's classic builder lacks most features; some it parses but silently ignores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from layerscope.dockerfile.checks.problems import Problem, error
from layerscope.dockerfile.meaning.scope import expanded_words
from layerscope.dockerfile.meaning.stages import find_stages, global_values
from layerscope.dockerfile.syntax.document import Document, Instruction
from layerscope.dockerfile.syntax.grammar import PLATFORM_ARGS
from layerscope.dockerfile.syntax.mounts import MOUNTS, MountField, mounts_of
from layerscope.dockerfile.syntax.source import Span

Version = tuple[int, int]
NEWEST: Version = (999, 0)
_ALWAYS: Version = (0, 0)

#: Finds uses of a feature in an instruction, given the variables with a value above the first FROM.
Finder = Callable[[Instruction, Mapping[str, str]], Iterator[Span]]


@dataclass(frozen=True, slots=True)
class Builder:
    """A builder, as far as its features are known."""

    name: str  # `classic`, `buildkit`, `podman` or `embedded`.
    title: str  # In sentences, such as `Podman 4.3`.
    version: Version = NEWEST  # Of Podman, or of the frontend in the engine's BuildKit.


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature that not every builder has. None instead of a version: never."""

    name: str
    find: Finder
    frontend: Version | None = _ALWAYS  # The first stable frontend.
    labs: Version | None = None  # The first frontend of the labs channel, if earlier.
    podman: Version | None = _ALWAYS
    classic: bool = False  # Whether the classic builder has it, with that frontend's parser.
    instead: str = ""  # The alternative, as a sentence.
    embedded: bool = True  # Whether the embedded builder has it.


def _flag(name: str, *keywords: str, values: str = "") -> Finder:
    """A flag of some instructions, with a value that matches an expression."""

    def find(instruction: Instruction, _: Mapping[str, str]) -> Iterator[Span]:
        for flag in instruction.flags if instruction.keyword in keywords else ():
            if flag.name == name and re.search(values, flag.value or ""):
                yield flag.span

    return find


def _mount(kind: str, which: Callable[[MountField], bool] | None = None) -> Finder:
    """A type of mount, or some of its fields."""

    def find(instruction: Instruction, _: Mapping[str, str]) -> Iterator[Span]:
        for mount in mounts_of(instruction):
            if mount.type == kind and which is None:
                yield mount.span
            elif mount.type == kind and which is not None:
                yield from (field.span for field in mount.fields if which(field))

    return find


def _secret_without_id(instruction: Instruction, _: Mapping[str, str]) -> Iterator[Span]:
    for mount in mounts_of(instruction):
        if mount.type == "secret" and mount.field("id") is None:
            yield mount.span


def _heredocs(instruction: Instruction, _: Mapping[str, str]) -> Iterator[Span]:
    # They end an ONBUILD at the wrong line, so that those count too.
    yield from (heredoc.marker for heredoc in instruction.effective.heredocs[:1])


def _operators(expression: str) -> Finder:
    """Operators of substitutions: what follows the name in `${name…}`."""
    pattern = re.compile(r"(?<!\\)\$\{\w+(?:" + expression + ")")

    def find(instruction: Instruction, _: Mapping[str, str]) -> Iterator[Span]:
        for word in expanded_words(instruction):
            if pattern.search(word.text):
                yield word.span

    return find


def _git(instruction: Instruction, _: Mapping[str, str]) -> Iterator[Span]:
    for word in instruction.sources if instruction.keyword == "ADD" else ():
        if GIT.match(word.text):
            yield word.span


def _platform_variables(instruction: Instruction, values: Mapping[str, str]) -> Iterator[Span]:
    flag = instruction.flag("platform") if instruction.keyword == "FROM" else None
    names = re.findall(r"\$\{?(\w+)", flag.value or "") if flag is not None else []
    if flag is not None and any(name in PLATFORM_ARGS and name not in values for name in names):
        yield flag.span


#: A source of ADD that is a Git repository.
GIT = re.compile(r"(?:git|ssh)://|git@|https?://[^?#]+\.git/?(?:[#?]|\Z)", re.I)
_BOTH = ("ADD", "COPY")

FEATURES: tuple[Feature, ...] = (
    Feature("heredocs", _heredocs, (1, 4), (1, 3), (4, 8)),
    *(Feature(f"RUN --mount=type={kind}", _mount(kind), (1, 2)) for kind in MOUNTS),
    *(
        Feature(
            f"`from` in a {kind} mount",
            _mount(kind, lambda field: field.key == "from"),
            (1, 2),
        )
        for kind in ("bind", "cache")
    ),
    Feature("the size of a tmpfs", _mount("tmpfs", lambda f: f.key == "size"), (1, 4), None, None),
    Feature(
        "a secret as a variable", _mount("secret", lambda f: f.key == "env"), (1, 10), None, (6, 0)
    ),
    Feature("a secret without an id", _secret_without_id, podman=None, classic=True),
    Feature(
        "`required` without a value",
        _mount("secret", lambda f: f.key == "required" and f.value is None),
        podman=(4, 6),
        classic=True,
        instead="Write required=true.",
    ),
    Feature(
        "a mount on a relative path",
        _mount("bind", lambda f: f.key == "target" and (f.value or "/")[0] not in "/$"),
        podman=(4, 4),
        classic=True,
    ),
    Feature("RUN --network", _flag("network", "RUN"), (1, 3), None, (4, 5)),
    Feature("RUN --security", _flag("security", "RUN"), (1, 20), (1, 1), None, embedded=False),
    Feature("RUN --device", _flag("device", "RUN"), None, (1, 14), None, embedded=False),
    Feature("--chmod", _flag("chmod", *_BOTH), (1, 2)),
    Feature(
        "--chmod with letters", _flag("chmod", *_BOTH, values=r"\A[^0-9$]"), (1, 14), None, None
    ),
    Feature("--link", _flag("link", *_BOTH), (1, 4), None, (5, 2)),
    Feature("--exclude", _flag("exclude", *_BOTH), (1, 19), (1, 7), (5, 2)),
    Feature("COPY --parents", _flag("parents", "COPY"), (1, 20), (1, 7), (5, 2)),
    Feature(
        "variables in COPY --from",
        _flag("from", "COPY", values=r"\$"),
        None,
        instead="Name a stage: FROM $IMAGE AS name, with ARG IMAGE above the first FROM.",
        embedded=False,
    ),
    Feature("ADD --checksum", _flag("checksum", "ADD"), (1, 6), (1, 5), (4, 8)),
    Feature("ADD --keep-git-dir", _flag("keep-git-dir", "ADD"), (1, 6), (1, 5), (5, 2)),
    Feature("ADD --unpack", _flag("unpack", "ADD"), (1, 17), None, None),
    Feature("ADD of a Git repository", _git, (1, 6), (1, 5), (5, 3)),
    Feature(
        "HEALTHCHECK --start-interval",
        _flag("start-interval", "HEALTHCHECK"),
        (1, 6),
        None,
        (5, 1),
        classic=True,
    ),
    Feature("${name:?…}", _operators(r":\?"), (1, 2), None, (4, 5), classic=True),
    Feature(
        "${name-…}, ${name+…} and ${name?…}", _operators("[-+?]"), (1, 6), None, None, classic=True
    ),
    Feature(
        "${name#…}, ${name%…} and ${name/…}",
        _operators("[#%/]"),
        (1, 7),
        None,
        (5, 2),
        classic=True,
    ),
    Feature("platform variables in FROM --platform", _platform_variables),
)


@dataclass(frozen=True, slots=True)
class Unsupported:
    feature: Feature
    builder: Builder
    span: Span
    line: int  # From 1.

    @property
    def message(self) -> str:
        title = self.builder.title
        return f"{title[:1].upper()}{title[1:]} does not support {self.feature.name}."

    @property
    def hint(self) -> str:
        """What to do, or which builders have the feature; empty if none has."""
        feature, name = self.feature, self.builder.name
        if feature.instead:
            return feature.instead
        if name == "buildkit":
            channel = "" if feature.frontend else "-labs"
            if feature.frontend or feature.labs:
                return f"Begin the file with # syntax=docker/dockerfile:1{channel}."
            return "Podman does." if feature.podman else ""
        others = []
        if name in ("podman", "embedded") and feature.podman and feature.podman > _ALWAYS:
            others.append(f"Podman {feature.podman[0]}.{feature.podman[1]}")
        if feature.frontend or feature.labs:
            others.append("BuildKit")
        elif name != "podman" and feature.podman:
            others.append("Podman")
        return f"{' and '.join(others)} {'do' if len(others) > 1 else 'does'}." if others else ""

    @property
    def sentence(self) -> str:
        return f"Line {self.line}: {self.message}"

    def problem(self) -> Problem:
        return error("NotSupported", self.message, self.span, self.hint)


def unsupported(
    document: Document,
    builder: Builder,
    target: str | None = None,
    arguments: Mapping[str, str] | None = None,
) -> list[Unsupported]:
    """The features that a build needs and a builder lacks, in document order.

    Each feature is listed once per instruction.
    """
    version: tuple[Version, bool] | None = builder.version, False
    if builder.name == "buildkit":
        version = frontend_of(document, builder.version)
    if version is None:
        return []
    found = []
    values = global_values(document, arguments)
    lacking = [each for each in FEATURES if not _supports(each, builder.name, *version)]
    for instruction in _built(document, builder.name, target, arguments):
        for feature in lacking:
            span = next(feature.find(instruction, values), None)
            if span is not None:
                line = document.source.line_at(span.start) + 1
                found.append(Unsupported(feature, builder, span, line))
    return found


def _supports(feature: Feature, name: str, version: Version, labs: bool) -> bool:
    if name == "embedded":
        return feature.embedded
    if name == "podman":
        return feature.podman is not None and version >= feature.podman
    first = (labs and feature.labs) or feature.frontend
    able = first is not None and version >= first
    return able and (feature.classic or name == "buildkit")


def _built(
    document: Document, name: str, target: str | None, arguments: Mapping[str, str] | None
) -> Iterator[Instruction]:
    """The instructions that a builder reads or executes, with triggers of the file's own stages."""
    found = find_stages(document, arguments, name)
    last = found.target(target or None)
    if last is None:
        yield from document.instructions
        return
    # BuildKit reads all of them; the classic builder executes everything up to the target.
    count = {"buildkit": len(found.stages), "classic": last + 1}.get(name)
    yield from found.above
    for number in sorted(found.needed(last)) if count is None else range(count):
        stage = found.stages[number]
        if stage.below is not None:
            triggers = (each.child for each in found.stages[stage.below].instructions)
            yield from (each for each in triggers if each is not None)
        yield from stage.instructions


def frontend_of(document: Document, bundled: Version) -> tuple[Version, bool] | None:
    """The version of a document's frontend, and whether it is from the labs channel.

    None if unknown.
    """
    syntax = document.directive("syntax")
    if syntax is None or not syntax.value.strip():
        return bundled, False
    image = re.fullmatch(
        r"(?:docker\.io/)?docker/dockerfile(?::(?P<tag>[\w.-]+))?(?:@.*)?", syntax.value.split()[0]
    )
    if image is None or "@" in syntax.value:
        return None
    tag = image["tag"] or "latest"
    number = re.match(r"1\.(\d+)", tag)
    return (1, int(number[1])) if number else NEWEST, "labs" in tag
