"""The filter is run by a small machine for classic BPF, as the kernel does."""

import platform
import struct

import pytest

from layerscope.sandbox.ownership import ownership_filter

ALLOW, SUCCEED = 0x7FFF0000, 0x00050000
X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7


def answer(machine: str, audit: int, number: int, *arguments: int) -> int:
    data = struct.pack("<IIQ6Q", number, audit, 0, *arguments, *[0] * (6 - len(arguments)))
    program = list(struct.iter_unpack("=HBBI", ownership_filter()))
    at = accumulator = 0
    while True:
        code, true, false, operand = program[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x15:
            at += true if accumulator == operand else false
        else:
            assert code == 0x06
            return int(operand)


@pytest.mark.parametrize(
    ("machine", "audit", "succeeding", "allowed", "mknodat"),
    [
        ("x86_64", X86_64, [92, 94, 260, 105, 119, 126, 116], [0, 59, 90, 257], 259),
        ("x86_64", I386, [182, 212, 298, 213, 23], [92, 5, 11], 297),
        ("aarch64", AARCH64, [54, 55, 146, 159, 91], [92, 221], 33),
    ],
)
def test_only_what_changes_ids_and_makes_devices_is_answered(
    machine: str,
    audit: int,
    succeeding: list[int],
    allowed: list[int],
    mknodat: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert {answer(machine, audit, number) for number in succeeding} == {SUCCEED}
    assert {answer(machine, audit, number) for number in allowed} == {ALLOW}
    for mode, expected in (
        (0o20666, SUCCEED),
        (0o60660, SUCCEED),
        (0o10644, ALLOW),
        (0o644, ALLOW),
    ):
        assert answer(machine, audit, mknodat, 0, 0, mode) == expected
    # Of another architecture, nothing is known.
    assert answer(machine, 0x1234, succeeding[0]) == ALLOW
