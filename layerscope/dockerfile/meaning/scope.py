"""The variables and their values at an instruction, and the expansion of its words."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass

from layerscope.dockerfile.meaning.stages import Stage, Stages, find_stages, global_values
from layerscope.dockerfile.syntax.document import Document, Instruction, Pair, Word
from layerscope.dockerfile.syntax.expand import Expansion, ExpansionError, expand, expanded
from layerscope.dockerfile.syntax.grammar import PLATFORM_ARGS

#: The PATH of every image that does not set one.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: Instructions with words in which variables are expanded.
_EXPANDED = frozenset({"ADD", "COPY", "EXPOSE", "FROM", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"})
_PAIRS = frozenset({"ARG", "ENV", "LABEL"})

#: Returns the variables that an image sets, or None if unknown.
BaseEnvironment = Callable[[str], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    value: str | None  # Its value; None for an ARG without a default, until the build passes one.
    kind: str  # `ARG`, `ENV`, `base` if the base image sets it, or `platform` if BuildKit does.


@dataclass(frozen=True, slots=True)
class Scope:
    """The variables at an instruction, by name.

    `complete` is true if there can be no others, because all base images are known.
    """

    variables: Mapping[str, Variable]
    complete: bool

    @property
    def values(self) -> dict[str, str]:
        return {each.name: each.value for each in self.variables.values() if each.value is not None}


#: The most characters of all values of a document; beyond that, values are unknown.
_ROOM = 16 << 20


class Scopes:
    def __init__(
        self,
        document: Document,
        stages: Stages | None = None,
        arguments: Mapping[str, str] | None = None,
        environment: BaseEnvironment | None = None,
    ) -> None:
        self.document = document
        self.arguments = dict(arguments or {})
        self.stages = stages or find_stages(document, self.arguments)
        self._environment = environment or (lambda _: None)
        self._room = _ROOM
        self._scopes: dict[int, Scope] = {}
        self._ends: list[Scope] = []
        self._globals = self._above()
        for stage in self.stages.stages:
            self._ends.append(self._follow(stage))

    def before(self, instruction: Instruction) -> Scope:
        """The scope in which an instruction's words are expanded; in an ONBUILD, its parent's."""
        return self._scopes[instruction.index]

    def expand(self, instruction: Instruction, text: str) -> Expansion:
        return expand(text, self.before(instruction).values, escape=self.document.escape)

    def expanded(self, instruction: Instruction, text: str) -> str:
        return expanded(text, self.before(instruction).values, self.document.escape)

    def _above(self) -> dict[str, Variable]:
        variables = {
            name: Variable(name, self.arguments.get(name), "platform") for name in PLATFORM_ARGS
        }
        for instruction in self.stages.above:
            self._scopes[instruction.index] = Scope(dict(variables), True)
            if instruction.keyword == "ARG":
                values = global_values(self.document, self.arguments)
                for pair in instruction.pairs:
                    name = pair.name.text
                    variables[name] = Variable(name, values.get(name), "ARG")
        return variables

    def _follow(self, stage: Stage) -> Scope:
        self._scopes[stage.start.index] = Scope(self._globals, True)
        variables, complete = self._base(stage)
        for instruction in stage.instructions[1:]:
            scope = Scope(variables, complete)
            self._scopes[instruction.index] = scope
            if instruction.keyword in ("ARG", "ENV") and instruction.pairs:
                variables = dict(variables)
                self._set(instruction, scope.values, variables)
        return Scope(variables, complete)

    def _base(self, stage: Stage) -> tuple[dict[str, Variable], bool]:
        base = stage.base
        if stage.below is not None:
            below = self._ends[stage.below]
            return dict(below.variables), below.complete
        known: Mapping[str, str] | None = None
        if base is not None:
            known = {} if base.name == "scratch" else self._environment(base.name)
        values = {"PATH": DEFAULT_PATH, **(known or {})}
        variables = {name: Variable(name, value, "base") for name, value in values.items()}
        return variables, known is not None

    def _set(
        self, instruction: Instruction, values: dict[str, str], variables: dict[str, Variable]
    ) -> None:
        argument = instruction.keyword == "ARG"
        for pair in instruction.pairs:
            name, value = self._pair(pair, values)
            if argument and name in self.arguments:
                value = self.arguments[name]
            elif argument and pair.value is None and name in self._globals:
                value = self._globals[name].value
            if not argument:
                variables[name] = Variable(name, value or "", "ENV")
            elif value is not None:
                # It overrides an ENV above it. Unlike those of ENV, following pairs see it.
                variables[name] = Variable(name, value, "ARG")
                values[name] = value
            else:
                variables.setdefault(name, Variable(name, None, "ARG"))

    def _pair(self, pair: Pair, values: Mapping[str, str]) -> tuple[str, str | None]:
        escape = self.document.escape
        if self._room < 0:
            return pair.name.text, None
        try:
            name = expand(pair.name.text, values, escape=escape).text
            value = None
            if pair.value is not None:
                value = expand(pair.value.text, values, escape=escape).text
        except ExpansionError:
            return pair.name.text, None
        self._room -= len(value or "")
        return name, value


def expanded_words(instruction: Instruction, given: Container[str] = ()) -> Iterator[Word]:
    """The words of an instruction in which variables are expanded.

    `given` are names of build arguments; the defaults of their ARGs are skipped.
    """
    keyword = instruction.keyword
    if keyword in _EXPANDED:
        words = instruction.words[:1] if keyword == "FROM" else instruction.words
        markers = {heredoc.marker for heredoc in instruction.heredocs}
        yield from (word for word in words if word.span not in markers)
    elif keyword in _PAIRS:
        for pair in instruction.pairs:
            yield pair.name
            if pair.value is not None and not (keyword == "ARG" and pair.name.text in given):
                yield pair.value
    for flag in instruction.flags:
        if flag.value and flag.value_span and (keyword, flag.name) != ("COPY", "from"):
            yield Word(flag.value, flag.value_span)
