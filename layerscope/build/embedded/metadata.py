"""Instructions that only change an image's configuration, written as other builders do."""

from __future__ import annotations

import json
import posixpath
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from layerscope.build.embedded.state import State
from layerscope.dockerfile.syntax.document import Form, Instruction, Pair
from layerscope.dockerfile.syntax.expand import Expansion, ExpansionError, expand
from layerscope.redaction import redacted
from layerscope.text import visible

DEFAULT_SHELL = ["/bin/sh", "-c"]

_SIGNAL = re.compile(
    r"(?:SIG)?(?:HUP|INT|QUIT|ILL|TRAP|ABRT|IOT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|STKFLT|"
    r"CHLD|CLD|CONT|STOP|TSTP|TTIN|TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|POLL|PWR|SYS|"
    r"RTMIN(?:\+(?:1[0-5]|[1-9]))?|RTMAX(?:-(?:1[0-4]|[1-9]))?)",
    re.IGNORECASE,
)
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 6 * 10**10}
_UNITS["h"] = 60 * _UNITS["m"]
_ESCAPES = dict(zip("\a\b\t\n\v\f\r", map("\\{}".format, "abtnvfr"), strict=True))
_LEAST = 10**6  # Nanoseconds: Docker accepts nothing shorter.


class StepError(Exception):
    """A step is not possible; a sentence says why, and a hint what to do."""

    def __init__(self, text: str, hint: str = "", code: int | None = None) -> None:
        # A URL in a Dockerfile may contain a password.
        super().__init__(redacted(f"{text} {hint}".rstrip()))
        self.code = code  # The exit code of its command.


@dataclass(slots=True)
class Scope:
    """The variables of a stage's instructions."""

    escape: str
    #: Build arguments that the stage declares; None for those without a value.
    arguments: dict[str, str | None]
    given: Mapping[str, str]  # Values from the build.
    above: Mapping[str, str]  # Those before the first FROM, and of platforms.

    def values(self, state: State) -> dict[str, str]:
        """Returns the values; as in other builders, ENV takes precedence over ARG."""
        own = {name: value for name, value in self.arguments.items() if value is not None}
        return own | state.variables

    def expansion(self, state: State, text: str, *, quotes: bool = True) -> Expansion:
        try:
            return expand(text, self.values(state), escape=self.escape, quotes=quotes)
        except ExpansionError as error:
            raise StepError(f"{visible(text)} cannot be expanded: {error}.") from None

    def text(self, state: State, text: str) -> str:
        return clean(self.expansion(state, text).text)


Apply = Callable[[Instruction, State, Scope], str]


def clean(text: str) -> str:
    """Returns a text for JSON: bytes that are not UTF-8 become U+FFFD, as in Go."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def shell_of(state: State) -> list[str]:
    return state.strings("Shell") or DEFAULT_SHELL


def command_of(instruction: Instruction, state: State) -> list[str]:
    """Returns the command of RUN, CMD, ENTRYPOINT or HEALTHCHECK, in either form."""
    if instruction.form is Form.EXEC:
        return [clean(word.text) for word in instruction.words]
    return [*shell_of(state), clean(instruction.arguments)]


def quoted(words: list[str]) -> str:
    """Formats a list as Go does."""
    return f"[{' '.join(json.dumps(word, ensure_ascii=False) for word in words)}]"


def _pair(pair: Pair, state: State, scope: Scope) -> tuple[str, str]:
    value = "" if pair.value is None else scope.text(state, pair.value.text)
    return scope.text(state, pair.name.text), value


def _env(instruction: Instruction, state: State, scope: Scope) -> str:
    # Expands all values before setting any.
    pairs = [_pair(pair, state, scope) for pair in instruction.pairs]
    variables = state.variables
    for name, value in pairs:
        if not name:
            raise StepError("A variable has no name.", "Write ENV NAME=VALUE.")
        variables[name] = value
    state.config["Env"] = [f"{name}={value}" for name, value in variables.items()]
    return "ENV " + " ".join(f"{name}={value}" for name, value in pairs)


def _arg(instruction: Instruction, state: State, scope: Scope) -> str:
    texts = []
    for pair in instruction.pairs:
        name = scope.text(state, pair.name.text)
        value: str | None = None
        if name in scope.given:
            value = clean(scope.given[name])
        elif pair.value is not None:
            value = scope.text(state, pair.value.text)
        else:
            value = scope.above.get(name, scope.arguments.get(name))
        scope.arguments[name] = value
        texts.append(name if value is None else f"{name}={value}")
    return "ARG " + " ".join(texts)


def _label(instruction: Instruction, state: State, scope: Scope) -> str:
    pairs = [_pair(pair, state, scope) for pair in instruction.pairs]
    state.config["Labels"] = {**_map(state, "Labels"), **dict(pairs)}
    return "LABEL " + " ".join(f"{name}={value}" for name, value in pairs)


def _map(state: State, key: str) -> dict[str, Any]:
    found = state.config.get(key)
    return dict(found) if isinstance(found, dict) else {}


def workdir_of(instruction: Instruction, state: State, scope: Scope) -> str:
    text = scope.text(state, instruction.arguments)
    if not text:
        raise StepError("WORKDIR names no folder.", "Write WORKDIR /path.")
    folder = posixpath.normpath(posixpath.join("/", state.workdir, text))
    # Python keeps two slashes at the start.
    return "/" + folder.lstrip("/")


def _user(instruction: Instruction, state: State, scope: Scope) -> str:
    user = scope.text(state, instruction.arguments)
    state.config["User"] = user
    return f"USER {user}"


def _cmd(instruction: Instruction, state: State, scope: Scope) -> str:
    command = command_of(instruction, state)
    state.config["Cmd"] = command
    return f"CMD {quoted(command)}"


def _entrypoint(instruction: Instruction, state: State, scope: Scope) -> str:
    command = command_of(instruction, state)
    state.config["Entrypoint"] = command
    return f"ENTRYPOINT {quoted(command)}"


def _shell(instruction: Instruction, state: State, scope: Scope) -> str:
    if instruction.form is not Form.EXEC or not instruction.words:
        raise StepError("SHELL is not a JSON array.", 'Write SHELL ["/bin/sh", "-c"].')
    shell = [clean(word.text) for word in instruction.words]
    state.config["Shell"] = shell
    return f"SHELL [{' '.join(shell)}]"


def _expose(instruction: Instruction, state: State, scope: Scope) -> str:
    ports = _map(state, "ExposedPorts")
    named: list[str] = []
    for word in instruction.words:
        for piece in scope.expansion(state, word.text).words:
            named += _ports(piece.text)
    state.config["ExposedPorts"] = dict(sorted({**ports, **{port: {} for port in named}}.items()))
    return f"EXPOSE [{' '.join(sorted(named))}]"


def _ports(text: str) -> list[str]:
    # Of `[[IP:]HOST:]CONTAINER`, the last counts.
    match = _PORT.fullmatch(text.rpartition(":")[2])
    first = int(match[1]) if match else 0
    last = int(match[2] or match[1]) if match else 0
    if match is None or not first <= last <= 65535:
        raise StepError(f"{visible(text)} is not a port.", "Write EXPOSE PORT[/PROTOCOL].")
    protocol = (match[3] or "tcp").lower()
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def _volume(instruction: Instruction, state: State, scope: Scope) -> str:
    paths = [scope.text(state, word.text) for word in instruction.words]
    if not all(paths):
        raise StepError("VOLUME has an empty path.", 'Write VOLUME ["/path"].')
    state.config["Volumes"] = {**_map(state, "Volumes"), **{path: {} for path in paths}}
    return f"VOLUME [{' '.join(paths)}]"


def _stopsignal(instruction: Instruction, state: State, scope: Scope) -> str:
    signal = scope.text(state, instruction.arguments)
    if not _SIGNAL.fullmatch(signal) and not re.fullmatch(r"0*[1-9]\d{0,8}", signal, re.ASCII):
        shown = visible(signal) or "Nothing"
        raise StepError(f"{shown} is not a signal.", "Write STOPSIGNAL SIGTERM.")
    state.config["StopSignal"] = signal
    return f"STOPSIGNAL {signal}"


def _healthcheck(instruction: Instruction, state: State, scope: Scope) -> str:
    kind, _, rest = instruction.arguments.partition(" ")
    if kind.upper() == "NONE":
        state.config["Healthcheck"] = {"Test": ["NONE"]}
        return "HEALTHCHECK NONE"
    if kind.upper() != "CMD" or rest.replace(" ", "") in ("", "[]"):
        raise StepError("HEALTHCHECK has no command.", "Write HEALTHCHECK CMD COMMAND.")
    if instruction.form is Form.EXEC:
        test = ["CMD", *(clean(word.text) for word in instruction.words[1:])]
    else:
        test = ["CMD-SHELL", clean(rest.strip())]
    check: dict[str, Any] = {"Test": test}
    keys = {
        "interval": "Interval",
        "timeout": "Timeout",
        "start-period": "StartPeriod",
        "start-interval": "StartInterval",
    }
    for flag in instruction.flags:
        value = scope.text(state, flag.value or "")
        if flag.name in keys:
            if time := _nanoseconds(value, flag.name):
                check[keys[flag.name]] = time
        elif flag.name == "retries":
            if not value.isdecimal():
                raise StepError(f"--retries={visible(value)} is not a number.")
            if int(value):
                check["Retries"] = int(value)
    state.config["Healthcheck"] = check
    texts = " ".join(f'"{_go_time(check.get(key, 0))}"' for key in keys.values())
    return f"HEALTHCHECK &{{{quoted(test)} {texts} {_go_character(check.get('Retries', 0))}}}"


def _nanoseconds(text: str, name: str) -> int:
    found = list(_DURATION.finditer(text))
    if text != "0" and (not found or "".join(match[0] for match in found) != text):
        raise StepError(f"--{name}={visible(text)} is not a duration.", "Write 30s, or 1m30s.")
    time = round(sum(float(match[1]) * _UNITS[match[2]] for match in found))
    if 0 < time < _LEAST:
        raise StepError(f"--{name}={visible(text)} is shorter than 1ms.")
    return time


def _go_character(number: int) -> str:
    """Formats a number as Go's `%q`, which BuildKit uses."""
    if number > sys.maxunicode:
        return "'�'"
    text = chr(number)
    if text in "'\\":
        text = f"\\{text}"
    elif not text.isprintable():
        text = _ESCAPES.get(text) or (f"\\x{number:02x}" if number < 128 else f"\\u{number:04x}")
    return f"'{text}'"


def _go_time(nanoseconds: int) -> str:
    """Formats a duration as Go does."""
    seconds, rest = divmod(nanoseconds, 10**9)
    if not seconds:
        return f"{rest / 10**6:g}ms" if rest else "0s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f"{rest / 10**9:.9f}".rstrip("0")[1:] if rest else ""
    text = f"{seconds}{fraction}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


def _onbuild(instruction: Instruction, state: State, scope: Scope) -> str:
    child = instruction.child
    if child is None or child.keyword in ("ONBUILD", "FROM", "MAINTAINER"):
        name = child.keyword if child is not None else "nothing"
        raise StepError(f"ONBUILD cannot run {visible(name)}.")
    trigger = clean(instruction.arguments)
    state.config["OnBuild"] = [*state.strings("OnBuild"), trigger]
    return f"ONBUILD {trigger}"


def _maintainer(instruction: Instruction, state: State, scope: Scope) -> str:
    author = clean(instruction.arguments)
    state.facts["author"] = author
    return f"MAINTAINER {author}"


#: Applies each instruction to the configuration, and returns its entry in the history.
METADATA: Mapping[str, Apply] = {
    "ENV": _env,
    "ARG": _arg,
    "LABEL": _label,
    "USER": _user,
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "SHELL": _shell,
    "EXPOSE": _expose,
    "VOLUME": _volume,
    "STOPSIGNAL": _stopsignal,
    "HEALTHCHECK": _healthcheck,
    "ONBUILD": _onbuild,
    "MAINTAINER": _maintainer,
}
