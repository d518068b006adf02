"""pytest fixtures of running engines, each started on first use and once a session."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from tests.engines.docker_daemon import FLAVOURS, DockerDaemon
from tests.engines.harness import Engine, EngineUnavailable, Service, cache_folder
from tests.engines.podman_service import Podman
from tests.engines.registry import Registry

S = TypeVar("S", bound=Service)
T = TypeVar("T")

ENGINES = (*FLAVOURS, "podman")
"""The names of all engines that tests run on."""

_running: dict[str, Service] = {}
_unavailable: dict[str, str] = {}


def _get(name: str, start: Callable[[], S]) -> S:
    """Return a running service, started if it was not or has died; skip if it cannot be had."""
    service = cast("S | None", _running.get(name))
    if service is not None and not service.running:
        service.stop()
        service = None
    if service is None:
        if name not in _unavailable:
            try:
                service = _running[name] = start()
            except EngineUnavailable as error:
                _unavailable[name] = str(error)
        if service is None:
            pytest.skip(f"{name}: {_unavailable[name]}")
    return service


def new_engine(name: str) -> Engine:
    """Start an engine of one's own, for tests that end it; skip if it cannot be had."""
    return service(name, lambda: Podman() if name == "podman" else DockerDaemon(name))


def service(name: str, start: Callable[[], T]) -> T:
    """Start a service of one's own, or make what tests need; skip if it cannot be had."""
    try:
        return start()
    except EngineUnavailable as error:
        _unavailable[name] = str(error)
        pytest.skip(f"{name}: {error}")


def running_engine(name: str) -> Engine:
    """Return the session's engine of that name; skip if it cannot be had."""
    return _get(name, lambda: Podman() if name == "podman" else DockerDaemon(name))


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest, engines: None) -> Engine:
    """Every engine in turn."""
    return running_engine(request.param)


@pytest.fixture(scope="module", params=ENGINES)
def own_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Every engine in turn, started for the module alone: lists grow with what tests leave."""
    with new_engine(request.param) as engine:
        yield engine


def _session_engine(name: str) -> Any:
    """A fixture for one of the engines."""

    @pytest.fixture(scope="session", name=name.replace("-", "_"))
    def fixture(engines: None) -> Engine:
        return running_engine(name)

    return fixture


docker_debian, docker_28, docker_28_containerd, podman = map(_session_engine, ENGINES)


@pytest.fixture(scope="session")
def registry(engines: None) -> Registry:
    """A registry on loopback that asks for a password."""
    return _get("registry", Registry)


@pytest.fixture(scope="session")
def engines() -> Iterator[None]:
    """Stop at the end of the session whatever was started."""
    yield
    while _running:
        _running.popitem()[1].stop()


def pytest_configure() -> None:
    """Let the signals that end pytest run its teardown, as ctrl+c does."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)


def _group(item: pytest.Function) -> str | None:
    """Return which tests are to share a worker, and so its engines."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    for value in parameters:
        name = value[0] if isinstance(value, tuple) and value else value
        if isinstance(name, str) and name in ENGINES:
            if "own_engine" in item.fixturenames:
                return f"{name}, {item.path.stem}"
            return f"{name}, builds" if "site" in item.fixturenames else name
    for name in ENGINES:
        if name.replace("-", "_") in item.fixturenames:
            return name
    apart = "engines" in item.fixturenames or item.path.parent == Path(__file__).parent
    return item.path.stem if apart else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests by their engine, for pytest-xdist."""
    for item in items:
        if isinstance(item, pytest.Function) and (group := _group(item)):
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Report to the controller of pytest-xdist which engines this worker lacks."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["unavailable"] = _unavailable


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _unavailable.update(getattr(node, "workeroutput", {}).get("unavailable", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what could not be tested here; `tests/setup` writes down what it lacks."""
    lacking = cache_folder() / "lacking"
    lines = lacking.read_text().splitlines() if lacking.exists() else []
    lines += [f"{name}: SKIPPED: {reason}" for name, reason in sorted(_unavailable.items())]
    if lines:
        terminalreporter.section("NOT EVERYTHING WAS TESTED", sep="!", red=True, bold=True)
    for line in lines:
        terminalreporter.write_line(line, red=True)
