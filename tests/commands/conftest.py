"""An image with a little of everything, and the program as a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layerscope import cli
from tests.archives import (
    folder,
    hard_link,
    layer_tar,
    symlink,
    text,
    whiteout,
    write_archive,
)


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Answer]


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    def call(*arguments: str | Path) -> Answer:
        code = cli.main([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Answer(code, out.decode("utf-8", "surrogateescape"), err.decode())

    return call


@pytest.fixture
def image(tmp_path: Path) -> Path:
    base = layer_tar(
        [
            folder("app"),
            text("app/config", "old\n", mode=0o600),
            text("app/data", "d" * 1000),
            text("app/gone", "g" * 50),
            symlink("current", "app"),
            symlink("app/loop", "loop"),
            hard_link("app/twin", "app/data"),
        ]
    )
    changed = layer_tar(
        [
            folder("app"),
            text("app/config", "new!\n"),
            text("app/data", "d" * 1000, uid=33, gid=33),
            whiteout("app/gone"),
        ]
    )
    return write_archive(tmp_path, [base, changed], "example.test/one:1")
