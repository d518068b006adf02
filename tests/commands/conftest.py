"""An image with a little of everything, and the program as a function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from layerscope import cli
from tests.archives import folder, hard_link, layer_tar, symlink, text, whiteout, write_archive
from tests.command import Outcome

Run = Callable[..., Outcome]


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    def call(*arguments: str | Path) -> Outcome:
        code = cli.main([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Outcome(code, out.decode("utf-8", "surrogateescape"), err.decode())

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
