"""Build secrets, which no layer contains, and masking their values.

A request has a secret's id and the place of its value: a file or an environment variable. The value
itself is read only when the build runs, and is masked in the log.
"""

from __future__ import annotations

import csv
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from layerscope.bounded import read_file
from layerscope.errors import UsageError
from layerscope.redaction import hide
from layerscope.text import visible

LARGEST = 500 * 1024  # BuildKit's limit, in bytes.

#: How to write a secret, for messages, which never repeat the input.
HOW = "Write id=NAME,src=FILE or id=NAME,env=VARIABLE."

_SHORTEST = 4  # Shorter lines of a value are not masked, which would make logs unreadable.
_HIDDEN = "***"
_ID = re.compile(r"[^\s,\"'=]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYS = {"id": "id", "src": "src", "source": "src", "env": "env", "type": "type"}


@dataclass(frozen=True, slots=True)
class Secret:
    id: str  # Its name in the Dockerfile.
    file: str = ""  # The file with its value, absolute; empty if it is in a variable.
    variable: str = ""  # The environment variable with its value; empty if it is in a file.

    def __str__(self) -> str:
        where = f"src={self.file}" if self.file else f"env={self.variable}"
        if not {",", '"'} & set(where):
            return f"id={self.id},{where}"
        quoted = where.replace('"', '""')
        return f'id={self.id},"{quoted}"'

    @property
    def problem(self) -> str:
        """Returns a sentence on why its value cannot be read, or ""."""
        if self.variable:
            if self.variable in os.environ:
                return ""
            return f"The variable {visible(self.variable)} is not set."
        name = visible(self.file)
        try:
            status = Path(self.file).stat()
        except (OSError, ValueError):
            return f"There is no file {name}."
        if not stat.S_ISREG(status.st_mode):
            return f"{name} is not a file."
        if not os.access(self.file, os.R_OK):
            return f"{name} cannot be read."
        if status.st_size > LARGEST:
            return f"{name} is larger than 500 KiB, the limit of a secret."
        return ""

    def value(self) -> bytes:
        """Returns its value; raises UsageError if it cannot be read."""
        problem = self.problem
        if problem:
            raise UsageError(f"The secret {visible(self.id)} cannot be read. {problem}")
        if self.variable:
            return os.environb[os.fsencode(self.variable)]
        try:
            return read_file(self.file, LARGEST)
        except OSError as error:
            raise UsageError(f"{visible(self.file)} cannot be read ({error.strerror}).") from None


def parse_secret(text: str, folder: Path | None = None) -> Secret:
    """Parses a secret as for `docker build --secret`; files are relative to `folder`.

    The forms are `id=x,src=FILE` and `id=x,env=VARIABLE`; `id=x` alone means the variable of that
    name, or else the file.

    Raises:
        UsageError: It is invalid. The message does not repeat the text, which may be the value.
    """
    try:
        (record,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise UsageError("This is not a secret.", HOW) from None
    fields: dict[str, str] = {}
    for part in record:
        name, equals, value = part.partition("=")
        key = _KEYS.get(name.strip().lower())
        if key is None or not equals or key in fields:
            raise UsageError("A secret has an id, and one of src and env.", HOW)
        fields[key] = value
    identifier = fields.get("id", "")
    if not identifier:
        raise UsageError("The secret has no id.", HOW)
    if not _ID.fullmatch(identifier) or not identifier.isprintable():
        raise UsageError("The id of a secret is one word.", HOW)
    file, variable, kind = (fields.get(key, "") for key in ("src", "env", "type"))
    if kind not in ("", "file", "env") or (kind == "file" and variable):
        raise UsageError("A secret's type is file or env.", HOW)
    if file and variable:
        raise UsageError("A secret is in a file or in a variable, not in both.", HOW)
    if kind == "env":
        # As in buildx, `src` may then name the variable.
        file, variable = "", variable or file
    if not file and not variable:
        in_environment = kind != "file" and identifier in os.environ
        file, variable = ("", identifier) if in_environment else (identifier, "")
    if variable:
        if not _VARIABLE.fullmatch(variable):
            raise UsageError("A variable's name has letters, digits and underscores.", HOW)
        return Secret(identifier, variable=variable)
    path = Path(os.path.expanduser(file))  # noqa: PTH111 - never raises
    if "\0" in file or "\n" in file:
        raise UsageError("The file name of a secret is invalid.", HOW)
    return Secret(identifier, file=os.path.abspath((folder or Path.cwd()) / path))  # noqa: PTH100


def parse_secrets(texts: Iterable[str], folder: Path | None = None) -> tuple[Secret, ...]:
    """Parses secrets, and checks that their values can be read.

    Raises UsageError if one is invalid, duplicate, or cannot be read.
    """
    found: dict[str, Secret] = {}
    for text in texts:
        secret = parse_secret(text, folder)
        if secret.id in found:
            raise UsageError(f"The secret {visible(secret.id)} is given twice.")
        if secret.problem:
            raise UsageError(secret.problem, f"The secret {visible(secret.id)} is read from there.")
        found[secret.id] = secret
    return tuple(found.values())


class Mask:
    """Hides the values of secrets in the output of a build, line by line."""

    def __init__(self, values: Iterable[bytes] = ()) -> None:
        lines = {
            line.strip()
            for value in values
            for line in value.decode("utf-8", "replace").splitlines()
        }
        hide(*lines)
        wanted = sorted((line for line in lines if len(line) >= _SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, wanted))) if wanted else None

    def hide(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(_HIDDEN, text)
