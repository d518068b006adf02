"""rm: what removing images would do, and that it asks."""

from __future__ import annotations

import io
import sys

import pytest

from tests.commands.conftest import Run
from tests.tui.remove.test_remove import DEBIAN, HELLO, RemovingEngine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> RemovingEngine:
    from layerscope.engines import docker

    found = RemovingEngine()
    monkeypatch.setattr(docker, "connect_any", lambda: found)
    return found


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_dry_run_removes_nothing(run: Run, engine: RemovingEngine) -> None:
    answer = run("rm", "--dry-run", "hello:latest", "debian:bookworm")
    assert answer.code == 0
    assert answer.out.splitlines()[-1] == (
        "This removes 2 images, and frees 284MB (284,000,001 bytes)."
    )
    document = run("rm", "--dry-run", "--json", "hello").document
    assert document["freed_at_least"] == document["freed_at_most"] == 167_000_001
    assert engine.removed == []


def test_an_image_in_use_stays_and_is_reported(run: Run, engine: RemovingEngine) -> None:
    answer = run("rm", "--yes", "registry.example.com:5000/team/api:2024.5.1", "hello")
    assert answer.code == 1
    assert "in use by we\\eb (running)" in answer.out
    assert engine.removed == [HELLO]


def test_without_a_terminal_yes_is_required(run: Run, engine: RemovingEngine) -> None:
    answer = run("rm", "hello")
    assert (answer.code, answer.out) == (2, "")
    assert "--yes" in answer.err
    answer = run("rm", "--json", "hello")
    assert answer.code == 2
    assert "--dry-run" in answer.err
    assert engine.removed == []


@pytest.mark.parametrize(
    ("typed", "code", "removed"),
    [("y\n", 0, [HELLO]), ("n\n", 1, []), ("\n", 1, []), ("", 1, [])],
)
def test_on_a_terminal_it_asks(
    run: Run,
    engine: RemovingEngine,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    code: int,
    removed: list[str],
) -> None:
    asked = _Terminal()
    monkeypatch.setattr(sys, "stdin", _Terminal(typed))
    monkeypatch.setattr(sys, "stderr", asked)
    assert run("rm", "hello").code == code
    assert engine.removed == removed
    assert "(y/N)" in asked.getvalue()


@pytest.mark.parametrize("name", ["nobody:1", "abc", "sha256:ffff"])
def test_a_missing_image(run: Run, engine: RemovingEngine, name: str) -> None:
    answer = run("rm", "--dry-run", name)
    assert answer.code == 2
    assert "has no image" in answer.err


def test_an_id_means_the_image_with_all_its_names(run: Run, engine: RemovingEngine) -> None:
    document = run("rm", "--dry-run", "--json", "c0ffee").document
    assert document["removed"][0]["names"] == ["hello:latest"]


def test_nothing_is_removed_if_a_name_moved_since(
    run: Run, engine: RemovingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Asking(_Terminal):
        def flush(self) -> None:
            if self.getvalue().endswith("(y/N) "):
                engine.move("hello:latest", DEBIAN)

    monkeypatch.setattr(sys, "stdin", _Terminal("y\n"))
    asked = _Asking()
    monkeypatch.setattr(sys, "stderr", asked)
    assert run("rm", "hello").code == 2
    assert "hello:latest now names another image" in asked.getvalue()
    assert engine.removed == []
