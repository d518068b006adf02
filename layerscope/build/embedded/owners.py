"""`--chown` and `--chmod` of COPY and ADD."""

from __future__ import annotations

import re
from collections.abc import Callable

from layerscope.build.embedded.metadata import StepError
from layerscope.build.embedded.sources import Source, resolve
from layerscope.filesystem.entry_type import EntryType
from layerscope.text import visible

_MOST_ID = (1 << 32) - 2  # The next number means no change.
_LONGEST = 1 << 24  # The most bytes of a passwd or group file.

#: Returns the new mode, from the old one and whether it is a folder.
ChangeMode = Callable[[int, bool], int]

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)")
_ACTION = re.compile(r"([-+=])([rwxXst]*|[ugo])")
_SHIFTS = {"u": 6, "g": 3, "o": 0}


def parse_owner(text: str, view: Source) -> tuple[int, int]:
    """Resolves `USER[:GROUP]` to ids; looks up names in an image. Raises StepError.

    The default group has the same name or number, as in Docker.
    """
    user, group = owner_parts(text)
    return _id(user, "user", b"etc/passwd", view), _id(group, "group", b"etc/group", view)


def owner_parts(text: str) -> tuple[str, str]:
    """Splits `USER[:GROUP]`; raises StepError if it is invalid."""
    user, colon, group = text.partition(":")
    found = user, group if colon else user
    for name in found:
        if not name or ":" in name:
            raise StepError(f"--chown={visible(text)} names no owner.", "Write --chown=USER:GROUP.")
        if _is_number(name) and int(name) > _MOST_ID:
            raise StepError(f"{name} is too large for the number of a user or group.")
    return found


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _id(name: str, what: str, path: bytes, view: Source) -> int:
    if _is_number(name):
        return int(name)
    for line in _lines(view, path):
        fields = line.split(":")
        if fields[0] == name and len(fields) > 2 and fields[2].strip().isdecimal():
            return int(fields[2])
    raise StepError(
        f"The image has no {what} {visible(name)} in /{path.decode()}.", "Name it by its number."
    )


def _lines(view: Source, path: bytes) -> list[str]:
    try:
        _, node = resolve(view, path)
    except StepError:
        return []
    if node is None or node.kind != EntryType.FILE or node.content is None or node.size > _LONGEST:
        return []
    return b"".join(node.content()).decode("utf-8", "surrogateescape").splitlines()


def parse_mode(text: str) -> ChangeMode:
    """Parses `--chmod`: octal digits, or symbols as in chmod(1). Raises StepError."""
    if re.fullmatch("[0-7]{1,5}", text) and int(text, 8) <= 0o7777:
        fixed = int(text, 8)
        return lambda *_: fixed
    clauses = [_CLAUSE.fullmatch(clause) for clause in text.split(",")]
    if not all(clauses):
        hint = "Write octal digits such as 0755, or symbols such as u=rwX,go=rX."
        raise StepError(f"--chmod={visible(text)} is not a mode.", hint)
    found = [(match[1] or "a", _ACTION.findall(match[2])) for match in clauses if match]

    def change(mode: int, folder: bool) -> int:
        for who, actions in found:
            for operator, what in actions:
                mode = _changed(mode, folder, who.replace("a", "ugo"), operator, what)
        return mode

    return change


def _changed(mode: int, folder: bool, who: str, operator: str, what: str) -> int:
    bits = cleared = 0
    for each in set(who):
        shift = _SHIFTS[each]
        own = _permissions(mode, folder, what)
        bits |= own << shift
        cleared |= 7 << shift
    if "s" in what:
        bits |= 0o4000 * ("u" in who) | 0o2000 * ("g" in who)
    if "t" in what:
        bits |= 0o1000
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    special = 0o4000 * ("u" in who) | 0o2000 * ("g" in who) | 0o1000 * ("o" in who)
    # chmod(1) keeps these on a folder unless they are named.
    return mode & ~(cleared | (0 if folder else special)) | bits


def _permissions(mode: int, folder: bool, what: str) -> int:
    if what in _SHIFTS:
        return mode >> _SHIFTS[what] & 7
    bits = 4 * ("r" in what) | 2 * ("w" in what) | ("x" in what)
    if "X" in what and (folder or mode & 0o111):
        bits |= 1
    return bits
