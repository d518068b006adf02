"""The log: nothing by default; no secrets and no control characters in it."""

from __future__ import annotations

import logging
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerscope import logs
from layerscope.errors import UsageError
from layerscope.tui.app import LayerscopeApp
from tests.archives import saved, write
from tests.command import one_line_error, run
from tests.tui.fakes import FakeEngine as Engine

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _no_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Set first, so that what `start` sets is undone.
    monkeypatch.setenv(logs.VARIABLE, "")
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    # pytest-xdist cannot send records with lone surrogates.
    monkeypatch.setattr(logging.getLogger("layerscope"), "propagate", False)
    yield
    logs.stop()


def _fail(text: str) -> BaseException:
    try:
        raise KeyError(text)
    except KeyError as error:
        return error


def test_without_a_log_nothing_is_written(capsys: Capsys) -> None:
    logs.start()
    logging.getLogger("layerscope.room").warning("trouble")
    report = logs.unexpected(_fail("x"))
    assert report == "This is a bug in layerscope. Please report it."
    assert logs.file() == ""
    assert capsys.readouterr() == ("", "")


def test_an_unexpected_error_is_logged_with_its_traceback(tmp_path: Path) -> None:
    path = tmp_path / "log"
    logs.start(str(path))
    report = logs.unexpected(_fail("x"))
    assert report == f"This is a bug in layerscope. Please report it, with {path}."
    text = path.read_text()
    assert "Traceback" in text
    assert "KeyError: 'x'" in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "secret",
    [
        "https://me:s3cret@example.org/v2/",
        "https://example.org/blob?signature=s3cret",
        "Authorization: Bearer s3cret.s3cret",
        "Basic czNjcmV0czNjcmV0",
    ],
)
def test_credentials_are_not_logged(tmp_path: Path, secret: str) -> None:
    logs.start(str(tmp_path / "log"))
    logging.getLogger("layerscope.room").error("refused: %s", secret, exc_info=_fail(secret))
    text = (tmp_path / "log").read_text()
    assert "refused" in text
    assert "***" in text
    assert "s3cret" not in text
    assert "czNj" not in text


def test_the_log_is_safe_on_a_terminal(tmp_path: Path) -> None:
    logs.start(str(tmp_path / "log"))
    logs.unexpected(_fail("\x1b[2J"))
    logging.getLogger("layerscope.room").error("\x1b[2J\udcff")
    assert "\x1b" not in (tmp_path / "log").read_text()


def test_libraries_are_not_logged(tmp_path: Path) -> None:
    logs.start(str(tmp_path / "log"))
    logging.getLogger("urllib3.connectionpool").error("GET /token")
    assert (tmp_path / "log").read_text() == ""


def test_an_error_in_a_thread_is_logged(tmp_path: Path, capsys: Capsys) -> None:
    logs.start(str(tmp_path / "log"))

    def fail() -> None:
        raise KeyError("missing")

    thread = threading.Thread(target=fail, name="layerscope-test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", logs.thread_failed)
        thread.start()
        thread.join()
    text = (tmp_path / "log").read_text()
    assert "unexpected error in layerscope-test" in text
    assert "KeyError: 'missing'" in text


def test_a_log_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be written: .*--log"):
        logs.start(str(tmp_path / "missing" / "log"))


@pytest.mark.parametrize("before", [True, False], ids=["before-command", "after-command"])
def test_a_command_names_the_log_after_a_bug(
    capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("layerscope.reports.inspect_report.inspect_text", broken)
    source, log = write(tmp_path / "i.tar", saved()), str(tmp_path / "log")
    option = ["--log", log]
    arguments = [*option, "inspect", source] if before else ["inspect", source, *option]
    done = run(capsys, *arguments)
    assert done.code == 2
    assert done.err.startswith("layerscope: Something unexpected happened (KeyError: 'oops').")
    assert "a bug in layerscope (commands/image.py, line " in done.err
    assert done.err.endswith(f"). Please report it, with {log}.\n")
    assert done.err.count("\n") == 1
    text = Path(log).read_text()
    assert f"layerscope inspect, {sys.modules['layerscope'].__version__}" in text
    assert "KeyError: 'oops'" in text


def test_the_environment_names_a_log(
    capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(logs.VARIABLE, str(tmp_path / "missing" / "log"))
    line = one_line_error(run(capsys, "inspect", write(tmp_path / "i.tar", saved())))
    assert "LAYERSCOPE_LOG" in line


async def test_an_unexpected_error_in_the_tui_is_logged(tmp_path: Path) -> None:
    def fail() -> None:
        raise KeyError("lost")

    async def run() -> None:
        async with app.run_test() as pilot:
            app.call_later(fail)
            await pilot.pause()

    logs.start(str(tmp_path / "log"))
    app = LayerscopeApp(connector=Engine)
    with pytest.raises(KeyError):
        await run()
    assert app.bug.startswith("Something unexpected happened (KeyError: 'lost'). This is a bug in ")
    assert app.bug.endswith(f"). Please report it, with {tmp_path}/log.")
    assert "KeyError: 'lost'" in (tmp_path / "log").read_text()
