"""pytest fixtures of running engines, each started on first use and once a session."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, cast

import pytest

from tests.engines.docker_daemon import FLAVOURS, DockerDaemon
from tests.engines.harness import Engine, EngineUnavailable, Service
from tests.engines.podman_service import Podman
from tests.engines.registry import Registry

S = TypeVar("S", bound=Service)

ENGINES = (*FLAVOURS, "podman")
"""The names of all engines that tests run on."""

UNAVAILABLE_FILE = "LAYERSCOPE_TEST_UNAVAILABLE"
"""An environment variable that names a file to which missing engines are written, too."""

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


def service(name: str, start: Callable[[], S]) -> S:
    """Start a service of one's own; skip if it cannot be had."""
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


@pytest.fixture(scope="session")
def docker_debian(engines: None) -> Engine:
    """The distribution's Docker, overlay2."""
    return running_engine("docker-debian")


@pytest.fixture(scope="session")
def docker_28(engines: None) -> Engine:
    """The newer Docker, overlay2."""
    return running_engine("docker-28")


@pytest.fixture(scope="session")
def docker_28_containerd(engines: None) -> Engine:
    """The newer Docker with the containerd image store."""
    return running_engine("docker-28-containerd")


@pytest.fixture(scope="session")
def podman(engines: None) -> Engine:
    """Podman, by its Docker-compatible API."""
    return running_engine("podman")


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which engines nothing was tested on."""
    if not _unavailable:
        return
    terminalreporter.section("ENGINES THAT COULD NOT BE HAD", sep="!", red=True, bold=True)
    for name, reason in _unavailable.items():
        terminalreporter.write_line(f"{name}: SKIPPED: {reason}", red=True)
    if named := os.environ.get(UNAVAILABLE_FILE):
        with Path(named).open("a", encoding="utf-8") as file:
            file.writelines(f"{name}: {reason}\n" for name, reason in _unavailable.items())
