"""Checks of `RUN --mount`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerscope.dockerfile.document import Flag
from layerscope.dockerfile.facts import nearest
from layerscope.dockerfile.mounts import MOUNTS, mount_keys, parse_mount
from layerscope.dockerfile.problems import Problem, error

_NUMBERS = {
    "mode": re.compile(r"[0-7]{1,11}\Z"),
    "uid": re.compile(r"[0-9]{1,10}\Z"),
    "gid": re.compile(r"[0-9]{1,10}\Z"),
}


def check_mount(flag: Flag) -> Iterator[Problem]:
    """What is wrong with the value of a `--mount`."""
    mount = parse_mount(flag)
    if mount.type not in MOUNTS:
        if "$" not in mount.type:
            message = f"There is no type of mount {mount.type}."
            yield error("InvalidMount", message, flag.span, nearest(mount.type, MOUNTS))
        return
    keys = {key.name: key for key in mount_keys(mount.type)}
    every = {key.name for _, rules in MOUNTS.values() for key in rules}
    typed = False
    for field in mount.fields:
        typed |= field.key == "type"
        key = keys.get(field.key)
        if field.key == "type" or (key is not None and (key.flag or field.value is not None)):
            choices = key.choices if key is not None and not key.flag else ()
            value = field.value or ""
            if choices and value.lower() not in choices and "$" not in value:
                message = f"{field.key} cannot be {value or 'empty'}."
                hint = f"It is one of {', '.join(choices)}."
                yield error("InvalidMount", message, field.value_span, hint)
            elif field.key == "from" and "$" in value[:-1]:
                hint = "Name a stage: FROM $IMAGE AS name."
                message = "Variables are not replaced in from."
                yield error("InvalidMount", message, field.value_span, hint)
            elif (
                field.key in _NUMBERS and "$" not in value and not _NUMBERS[field.key].match(value)
            ):
                message = f"{field.key} cannot be {value or 'empty'}."
                yield error("InvalidMount", message, field.value_span)
            elif field.key in ("required", "size") and not typed:
                message = f"{field.key} stands before the type, which it needs."
                yield error("InvalidMount", message, field.span)
        elif key is not None:
            yield error("InvalidMount", f"{field.key} has no value.", field.span)
        elif field.key not in every:
            message = f"There is no key {field.key or '(empty)'} of a mount."
            yield error("InvalidMount", message, field.span, nearest(field.key, every))
        elif field.key in ("required", "size", "mode", "uid", "gid", "sharing", "from"):
            message = f"A mount of type {mount.type} has no {field.key}."
            yield error("InvalidMount", message, field.span)
    named = any(mount.field(key) for key in ("id", "source", "target"))
    target = mount.field("target")
    if mount.type == "secret" and not named:
        yield error("InvalidMount", "A secret needs an id or a target.", flag.span)
    elif target is not None and target.value == "/":
        yield error("InvalidMount", "Nothing can be mounted on /.", target.span)
