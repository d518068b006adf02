"""Which variables have which values at an instruction, and what a word there expands to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from layerscope.dockerfile.document import Document, Flag, Instruction, Pair, Word
from layerscope.dockerfile.expand import Expansion, ExpansionError, expand
from layerscope.dockerfile.grammar import PLATFORM_ARGS
from layerscope.dockerfile.source import Span
from layerscope.dockerfile.stages import Stage, Stages, find_stages, global_values

#: What every image without a PATH gets.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: Instructions with words in which variables are replaced.
_EXPANDED = frozenset({"ADD", "COPY", "EXPOSE", "FROM", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"})
_PAIRS = frozenset({"ARG", "ENV", "LABEL"})

#: Gives the variables that an image sets; None if that is not known.
BaseEnvironment = Callable[[str], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable at some instruction.

    Attributes:
        name: Its name.
        value: Its value; None for an ARG that has none until the build gives one.
        kind: `ARG`, `ENV`, `base` for one of the base image, or `platform` for one that BuildKit
            sets.
        instruction: Where it was set; None for what no instruction set.
    """

    name: str
    value: str | None
    kind: str
    instruction: Instruction | None


@dataclass(frozen=True, slots=True)
class Scope:
    """The variables at an instruction.

    Attributes:
        variables: The variables by name.
        complete: Whether there can be no others: all base images are known.
    """

    variables: Mapping[str, Variable]
    complete: bool

    @property
    def values(self) -> dict[str, str]:
        """The values of those that have one."""
        return {
            name: variable.value
            for name, variable in self.variables.items()
            if variable.value is not None
        }


#: Characters that all values of a document may have together; those beyond are not known.
_ROOM = 16 << 20


class Scopes:
    """The scopes of all instructions of a document."""

    def __init__(
        self,
        document: Document,
        stages: Stages | None = None,
        arguments: Mapping[str, str] | None = None,
        environment: BaseEnvironment | None = None,
    ) -> None:
        """Follows the document from its top to its end.

        Args:
            document: The document.
            stages: Its stages, if they are known.
            arguments: Build arguments, as `--build-arg` gives them.
            environment: Gives the variables of a base image.
        """
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
        """The scope that an instruction's words are expanded in.

        Args:
            instruction: The instruction; that of an ONBUILD has the scope of its parent.
        """
        return self._scopes[instruction.index]

    def after(self, stage: int) -> Scope:
        """The scope at the end of a stage."""
        return self._ends[stage]

    def expand(self, instruction: Instruction, text: str) -> Expansion:
        """What a word of an instruction expands to.

        Raises:
            ExpansionError: It cannot be expanded.
        """
        return expand(text, self.before(instruction).values, escape=self.document.escape)

    def _above(self) -> dict[str, Variable]:
        variables = {
            name: Variable(name, self.arguments.get(name), "platform", None)
            for name in PLATFORM_ARGS
        }
        for instruction in self.stages.above:
            self._scopes[instruction.index] = Scope(dict(variables), True)
            if instruction.keyword == "ARG":
                values = global_values(self.document, self.arguments)
                for pair in instruction.pairs:
                    name = pair.name.text
                    variables[name] = Variable(name, values.get(name), "ARG", instruction)
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
        if base is not None and base.stage is not None:
            below = self._ends[base.stage]
            return dict(below.variables), below.complete
        known: Mapping[str, str] | None = None
        if base is not None:
            known = {} if base.name == "scratch" else self._environment(base.name)
        values = {"PATH": DEFAULT_PATH, **(known or {})}
        variables = {name: Variable(name, value, "base", None) for name, value in values.items()}
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
                variables[name] = Variable(name, value or "", "ENV", instruction)
            elif value is not None:
                # It wins over an ENV above it; and the ARGs after it see it, unlike those of ENV.
                variables[name] = Variable(name, value, "ARG", instruction)
                values[name] = value
            else:
                variables.setdefault(name, Variable(name, None, "ARG", instruction))

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


def expanded_words(instruction: Instruction) -> Iterator[Word]:
    """Words of an instruction in which variables are replaced."""
    keyword = instruction.keyword
    if keyword in _EXPANDED:
        words = instruction.words[:1] if keyword == "FROM" else instruction.words
        markers = {heredoc.marker for heredoc in instruction.heredocs}
        yield from (word for word in words if word.span not in markers)
    elif keyword in _PAIRS:
        for pair in instruction.pairs:
            yield pair.name
            if pair.value is not None:
                yield pair.value
    for flag in instruction.flags:
        if flag.value and flag.value_span and (keyword, flag.name) != ("COPY", "from"):
            yield _flag_word(flag)


def _flag_word(flag: Flag) -> Word:
    return Word(flag.value or "", flag.value_span or flag.span)


@dataclass(frozen=True, slots=True)
class Expanded:
    """A word or a use of a variable at a place, and what it becomes.

    Attributes:
        span: Where it stands.
        written: How it is written.
        text: What it becomes; None if it cannot be expanded.
        missing: Names of variables in it that have no value.
    """

    span: Span
    written: str
    text: str | None
    missing: tuple[str, ...]


def expansion_at(scopes: Scopes, offset: int) -> Expanded | None:
    """What the word at a place expands to.

    Args:
        scopes: The scopes of the document.
        offset: The place, in characters.

    Returns:
        None if there is no word with a variable in it, or no place where BuildKit replaces any.
    """
    document = scopes.document
    instruction = document.instruction_at(document.source.line_at(offset))
    if instruction is None:
        return None
    for word in expanded_words(instruction):
        if not word.span.holds(offset) or "$" not in word.text:
            continue
        try:
            found = scopes.expand(instruction, word.text)
        except ExpansionError:
            return Expanded(word.span, word.text, None, ())
        missing = tuple(use.name for use in found.references if not use.found)
        return Expanded(word.span, word.text, found.text, missing)
    return None
