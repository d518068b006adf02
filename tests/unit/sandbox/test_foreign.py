"""Programs for other machines are known by their first bytes and the kernel's interpreters."""

import platform
import struct
from pathlib import Path

import pytest

from layerscope.sandbox.foreign import cannot_run


def program(machine: int, order: str = "<") -> bytes:
    data = 1 if order == "<" else 2
    return struct.pack(f"{order}4s4B8x2H", b"\x7fELF", 2, data, 1, 0, 2, machine) + bytes(44)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    (tmp_path / "register").touch()
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "jar").write_text("enabled\ninterpreter /jexec\nflags: \nextension .jar\n")
    return tmp_path


def test_a_program_needs_its_machine_or_an_interpreter(folder: Path) -> None:
    arm, big = program(183), program(22, ">")
    found = [cannot_run(head, folder) for head in (program(62), program(3), arm, big)]
    assert found == [False, False, True, True]
    assert not cannot_run(b"#!/bin/sh\n", folder)
    assert not cannot_run(arm[:10], folder)
    entry = "enabled\ninterpreter /qemu\nflags: F\noffset 0\nmagic {}\nmask {}\n"
    mask = b"\xff" * 5 + b"\0" * 11 + b"\xfe\xff\xff\xff"
    (folder / "qemu-aarch64").write_text(entry.format(arm[:20].hex(), mask.hex()))
    assert not cannot_run(arm, folder)
    assert cannot_run(big, folder)
    (folder / "status").write_text("disabled\n")
    assert cannot_run(arm, folder)


def test_what_cannot_be_seen_is_not_certain(folder: Path, tmp_path: Path) -> None:
    assert not cannot_run(program(183), tmp_path / "nowhere")
    (folder / "odd").write_text("enabled\nmagic no\n")
    assert not cannot_run(program(183), folder)
