"""Build secrets: what a build is given and no layer holds, and how their values stay unseen.

A build is told a secret's id and where its value is: in a file, or in a variable of the
environment. Nothing but that is kept; the value is read when the build runs, and hidden where a
step prints it.
"""

from __future__ import annotations

import csv
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from layerscope.errors import UsageError
from layerscope.text import visible

#: What BuildKit takes at most, in bytes.
LARGEST = 500 * 1024

#: How a secret is written, for messages: what was typed is never repeated in them.
HOW = "Write id=NAME,src=FILE or id=NAME,env=VARIABLE."

#: Shorter lines of a value are no secret, and hiding them would make logs unreadable.
_SHORTEST = 4
_HIDDEN = "***"
_ID = re.compile(r"[^\s,\"'=]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYS = {"id": "id", "src": "src", "source": "src", "env": "env", "type": "type"}


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of a build.

    Attributes:
        id: What the Dockerfile calls it.
        file: The file that its value is in, absolute; empty if it is in a variable.
        variable: The variable of the environment that its value is in; empty if it is in a file.
    """

    id: str
    file: str = ""
    variable: str = ""

    def __str__(self) -> str:
        """As `--secret` takes it: a record of CSV."""
        where = f"src={self.file}" if self.file else f"env={self.variable}"
        if not {",", '"'} & set(where):
            return f"id={self.id},{where}"
        quoted = where.replace('"', '""')
        return f'id={self.id},"{quoted}"'

    @property
    def problem(self) -> str:
        """Why its value cannot be read now, in a sentence; empty if it can."""
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
            return f"{name} is no file."
        if not os.access(self.file, os.R_OK):
            return f"{name} cannot be read."
        if status.st_size > LARGEST:
            return f"{name} is larger than a secret may be (500 KiB)."
        return ""

    def value(self) -> bytes:
        """Its value.

        Raises:
            UsageError: It cannot be read.
        """
        problem = self.problem
        if problem:
            raise UsageError(f"The secret {visible(self.id)} cannot be given. {problem}")
        if self.variable:
            return os.environb[os.fsencode(self.variable)]
        try:
            with Path(self.file).open("rb") as file:
                return file.read(LARGEST + 1)[:LARGEST]
        except OSError as error:
            name = visible(self.file)
            raise UsageError(f"{name} cannot be read ({error.strerror}).") from None


def parse_secret(text: str, folder: Path | None = None) -> Secret:
    """Reads a secret as `docker build --secret` takes it.

    `id=x,src=FILE` and `id=x,env=VARIABLE`; with `id=x` alone it is the variable of that name, or
    else the file.

    Args:
        text: What was written.
        folder: The folder that names are relative to; None for the current one.

    Raises:
        UsageError: It is none. The message does not repeat the text, which may be the value itself.
    """
    try:
        (record,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise UsageError("This is no secret.", HOW) from None
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
        # As buildx has it, `src` may name the variable then.
        file, variable = "", variable or file
    if not file and not variable:
        in_environment = kind != "file" and identifier in os.environ
        file, variable = ("", identifier) if in_environment else (identifier, "")
    if variable:
        if not _VARIABLE.fullmatch(variable):
            raise UsageError("A variable's name has letters, digits and underscores.", HOW)
        return Secret(identifier, variable=variable)
    path = Path(file).expanduser()
    if "\0" in file or "\n" in file:
        raise UsageError("The file of a secret has a name that cannot be.", HOW)
    return Secret(identifier, file=os.path.abspath((folder or Path.cwd()) / path))  # noqa: PTH100


def parse_secrets(texts: Iterable[str], folder: Path | None = None) -> tuple[Secret, ...]:
    """Reads secrets, and sees to it that their values can be read.

    Raises:
        UsageError: One is none, is there twice, or cannot be read.
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
    """Hides the values of secrets in what a build prints."""

    def __init__(self, values: Iterable[bytes] = ()) -> None:
        """Learns what to hide: the lines of each value, as steps print them.

        Args:
            values: The values.
        """
        lines = {
            line.strip()
            for value in values
            for line in value.decode("utf-8", "replace").splitlines()
        }
        wanted = sorted((line for line in lines if len(line) >= _SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, wanted))) if wanted else None

    def hide(self, text: str) -> str:
        """A text with three stars in place of each value."""
        return text if self._pattern is None else self._pattern.sub(_HIDDEN, text)
