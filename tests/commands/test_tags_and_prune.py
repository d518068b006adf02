"""tag, untag, prune: what they say, what they ask, and what they leave alone."""

from __future__ import annotations

import sys

import pytest

from tests.commands.conftest import Run
from tests.commands.test_rm import _Terminal
from tests.tui.remove.test_remove import HELLO, NONE, SLIM, PruningEngine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> PruningEngine:
    from layerscope.engines import docker

    found = PruningEngine()
    monkeypatch.setattr(docker, "connect_any", lambda: found)
    return found


def typing(monkeypatch: pytest.MonkeyPatch, text: str) -> _Terminal:
    asked = _Terminal()
    monkeypatch.setattr(sys, "stdin", _Terminal(text))
    monkeypatch.setattr(sys, "stderr", asked)
    return asked


def has(engine: PruningEngine, name: str) -> str:
    return engine.inspect(name).id


def test_an_image_gets_another_name(run: Run, engine: PruningEngine) -> None:
    answer = run("tag", "hello", "app")
    assert (answer.code, answer.err) == (0, "Image c0ffeec0ffee is app:latest.\n")
    assert has(engine, "app:latest") == HELLO
    assert "already app:latest" in run("tag", "docker-daemon:hello:latest", "app").err


@pytest.mark.parametrize(
    ("source", "name", "said"),
    [
        ("hello", "App", "App is not a name for an image."),
        ("hello", f"app@sha256:{'a' * 64}", "has a digest"),
        ("hello", "a:b:c", "is not a name"),
        ("nobody", "app", "no image"),
        ("container:web", "app", "layerscope commit"),
        ("docker-archive:image.tar", "app", "not in the engine"),
        ("./image.tar", "app", "not in the engine"),
        ("docker://debian", "app", "not in the engine"),
    ],
)
def test_what_cannot_be_named(
    run: Run, engine: PruningEngine, source: str, name: str, said: str
) -> None:
    answer = run("tag", source, name)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


def test_a_name_is_taken_from_another_image_only_if_that_is_wanted(
    run: Run, engine: PruningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = "debian:bookworm-slim"
    answer = run("tag", "hello", taken)
    assert answer.code == 2
    assert "is the name of image 5d5d5d5d5d5d, which has no other name" in answer.err
    assert "--force" in answer.err
    with monkeypatch.context() as patch:
        asked = typing(patch, "n\n")
        assert run("tag", "hello", taken).code == 1
        assert "Move it? (y/N)" in asked.getvalue()
    assert has(engine, taken) == SLIM
    assert run("tag", "--force", "hello", taken).code == 0
    assert has(engine, taken) == HELLO


def test_a_name_that_moves_while_it_asks_stays(
    run: Run, engine: PruningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Asking(_Terminal):
        def flush(self) -> None:
            if self.getvalue().endswith("(y/N) "):
                engine.move("debian:bookworm-slim", NONE)

    monkeypatch.setattr(sys, "stdin", _Terminal("y\n"))
    asked = _Asking()
    monkeypatch.setattr(sys, "stderr", asked)
    assert run("tag", "hello", "debian:bookworm-slim").code == 2
    assert "now refers to image 2a2a2a2a2a2a" in asked.getvalue()
    assert has(engine, "debian:bookworm-slim") == NONE


def test_a_name_goes_at_once_if_the_image_has_another(run: Run, engine: PruningEngine) -> None:
    engine.tag_image(HELLO, "hello:again")
    answer = run("untag", "hello:again")
    assert answer.code == 0
    assert "the image stays as hello:latest" in answer.out
    assert engine.removed == ["hello:again"]


def test_the_last_name_is_not_removed_silently(
    run: Run, engine: PruningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = run("untag", "hello")
    assert answer.code == 2
    assert "image c0ffeec0ffee is removed: hello:latest is its last name." in answer.out
    assert "--yes" in answer.err
    assert "is the id of an image, not a name" in run("untag", "c0ffee").err
    assert run("untag", "registry.example.com:5000/team/api:2024.5.1").code == 1
    assert engine.removed == []
    with monkeypatch.context() as patch:
        typing(patch, "n\n")
        assert run("untag", "hello").code == 1
    assert engine.removed == []
    assert run("untag", "--yes", "hello").code == 0
    assert engine.removed == [HELLO]


def test_prune_shows_everything_and_removes_nothing_without_a_yes(
    run: Run, engine: PruningEngine
) -> None:
    document = run("prune", "--dry-run", "--json").document
    assert document["schema"] == "layerscope.prune/1"
    assert [each["id"] for each in document["removed"]] == [NONE]
    assert document["containers"] == document["build_cache"] == []
    document = run("prune", "--dry-run", "--json", "--containers", "--build-cache").document
    assert document["removed"] == []
    assert [each["name"] for each in document["containers"]] == ["old"]
    assert [each["id"] for each in document["build_cache"]] == ["two", "one"]
    assert document["freed_at_least"] == 341_000
    answer = run("prune", "--unused")
    assert answer.code == 2
    assert "--dry-run" in answer.err
    assert engine.removed == []


def test_prune_removes_what_it_showed(run: Run, engine: PruningEngine) -> None:
    answer = run("prune", "--yes", "--unused", "--containers")
    assert answer.code == 0
    assert "Keep    registry.example.com:5000/team/api:2024.5.1: in use by web" in answer.out
    assert engine.removed[0] == "2"
    assert set(engine.removed[1:]) == {HELLO, SLIM, NONE, f"sha256:{'4e' * 32}"}
    assert run("prune", "--yes").out == "Nothing can be removed.\n"


@pytest.mark.parametrize("age", ["30", "d", "30x", "-1d", ""])
def test_an_age_that_is_none(run: Run, engine: PruningEngine, age: str) -> None:
    answer = run("prune", f"--older-than={age}")
    assert (answer.code, answer.out) == (2, "")


def test_contradictions(run: Run, engine: PruningEngine) -> None:
    assert run("prune", "--dangling", "--unused").code == 2
    assert run("prune", "--build-cache", "--label", "a=b").code == 2
    assert run("prune", "--dry-run", "--older-than", "2w").code == 0
