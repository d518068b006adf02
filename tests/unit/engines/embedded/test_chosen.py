"""When the embedded store is the current engine, and what commands say then."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope import config
from layerscope.engines import address as addresses
from layerscope.engines.docker import connect, connect_any
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.known import known_engines
from layerscope.errors import EngineError
from tests.command import one_line_error, run
from tests.unit.engines.embedded.images import add, archives

Capsys = pytest.CaptureFixture[str]
NOTICE = "No engine was found, so this is layerscope's own store."


@pytest.fixture(autouse=True)
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without any engine."""
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR", config.ENGINE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("LAYERSCOPE_STORE", raising=False)
    monkeypatch.setattr(addresses, "DOCKER_SOCKET", str(tmp_path / "docker.sock"))
    monkeypatch.setattr(
        addresses, "local_sockets", lambda: {"docker": str(tmp_path / "docker.sock")}
    )


def test_without_an_engine_the_store_is_used_and_says_so(capsys: Capsys, tmp_path: Path) -> None:
    outcome = run(capsys, "images")
    assert (outcome.code, outcome.err) == (0, f"layerscope: {NOTICE}\n")
    assert outcome.out.splitlines()[1:] == []
    engine = EmbeddedEngine()
    assert engine.store.folder == tmp_path / "data/layerscope/store"
    add(engine.store, archives(tmp_path)[0], "app:1")
    assert "app" in run(capsys, "images").out
    assert run(capsys, "inspect", "app:1").code == 0
    assert run(capsys, "files", "app:1", "--json-lines").out.count("\n") == 3
    assert run(capsys, "ps").code == 0
    assert "/etc/base" in run(capsys, "find", "base", "--index").out


def test_what_needs_an_engine_says_that_there_is_none(capsys: Capsys, tmp_path: Path) -> None:
    message = rf"No engine listens at unix://{tmp_path}/docker.sock\."
    with pytest.raises(EngineError, match=message):
        connect()
    outcome = run(capsys, "inspect", "container:app")
    assert one_line_error(outcome).startswith("The embedded store has no container app.")
    outcome = run(capsys, "inspect", "app:1")
    assert "The embedded store has no image app:1. Pull it: layerscope pull app:1." in outcome.err


def test_the_store_can_be_chosen(
    capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker.sock").touch()  # Something may listen there.
    assert not addresses.current_address().own_store
    monkeypatch.setenv(config.ENGINE, "embedded")
    engine = connect_any()
    assert engine.own_store
    assert engine.notice == ""
    assert run(capsys, "images").err == ""
    with pytest.raises(EngineError, match="This needs a running engine"):
        connect()


def test_an_engine_that_was_named_is_never_replaced(
    capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (
        ("DOCKER_HOST", f"unix://{tmp_path}/nowhere"),
        (config.ENGINE, "default"),
        (config.ENGINE, "docker"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            assert "No engine listens at" in one_line_error(run(capsys, "images"))


def test_the_store_is_among_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = [each for each in known_engines() if each.name == "embedded"]
    assert found.current
    assert found.kind == "own store"
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:1")
    assert [each.name for each in known_engines() if each.current] == ["default"]


def test_sources_are_completed(capsys: Capsys, tmp_path: Path) -> None:
    from layerscope.engines.named import sources

    add(EmbeddedEngine().store, archives(tmp_path)[0], "app:1")
    assert list(sources("embedded:")) == ["embedded:app:1"]
    assert "app:1" in list(sources("ap"))
