"""Finds a user and its groups in an image's `/etc/passwd` and `/etc/group`, as Docker does."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.text import visible


class NoSuchUser(Exception):
    """The image lacks a user or a group; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int
    groups: tuple[int, ...] = ()  # Supplementary groups, the user's own first.
    home: str = "/"


def find_user(wanted: str, passwd: str, group: str) -> User:
    """Resolves `NAME`, `UID`, `NAME:GROUP` or `UID:GID`, with the text of both files.

    Raises NoSuchUser.
    """
    name, _, own = (wanted or "0").partition(":")
    found = next(
        (fields for fields in _fields(passwd, 6) if fields[0] == name or fields[2] == name), None
    )
    if found is not None and found[2].isdecimal() and found[3].isdecimal():
        user = User(int(found[2]), int(found[3]), home=found[5] or "/")
    elif name.isdecimal() and int(name) < 1 << 32:
        user = User(int(name), 0)
    else:
        raise NoSuchUser(f"The image has no user {visible(name)} in /etc/passwd.")
    if own:
        gid = _gid(own, group)
        return User(user.uid, gid, (gid,), user.home)
    login = found[0] if found else name
    groups = [user.gid]
    groups += (
        int(fields[2])
        for fields in _fields(group, 4)
        if login in fields[3].split(",") and fields[2].isdecimal()
    )
    return User(user.uid, user.gid, tuple(dict.fromkeys(groups)), user.home)


def _gid(wanted: str, group: str) -> int:
    for fields in _fields(group, 3):
        if wanted in (fields[0], fields[2]) and fields[2].isdecimal():
            return int(fields[2])
    if wanted.isdecimal() and int(wanted) < 1 << 32:
        return int(wanted)
    raise NoSuchUser(f"The image has no group {visible(wanted)} in /etc/group.")


def _fields(text: str, least: int) -> list[list[str]]:
    lines = (line.strip().split(":") for line in text.splitlines())
    return [fields for fields in lines if len(fields) >= least]
