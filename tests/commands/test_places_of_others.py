"""Settings, cache and state in places that cannot be used, and credentials that cannot be sent."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layerscope import cli, logs
from tests.archives import layer_tar, text, write_archive
from tests.commands.conftest import Run
from tests.unit.images.registry.misbehaving_registry import answer, fake_registry

SECRET = "hunter22-hunter22"


@pytest.fixture(autouse=True)
def _no_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Set first, so that what a command sets is undone.
    monkeypatch.setenv(logs.VARIABLE, "")
    yield
    logs.stop()


def by_nobody(*arguments: str) -> tuple[int, str]:
    """Runs a command as a user who owns nothing; returns the exit code and all output."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.dup2(write, 1)
            os.dup2(write, 2)
            with os.fdopen(1, "w") as sys.stdout, os.fdopen(2, "w") as sys.stderr:
                code = cli.main(arguments)
            os._exit(code)
        finally:
            os._exit(99)
    os.close(write)
    with os.fdopen(read, "rb") as said:
        output = said.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("command", ["inspect", "files", "ci"])
def test_the_cache_of_another_user(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    """As sudo leaves it: a cache folder that only root can read."""
    place = Path("/tmp") / f"layerscope-{os.getpid()}-{command}"  # Others reach it.
    place.mkdir(mode=0o755)
    try:
        image = write_archive(place, [layer_tar([text("a")])])
        image.chmod(0o644)
        monkeypatch.setenv("HOME", str(place))
        monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        expected = run(command, image)
        assert expected.code == 0
        for folder in (place / "cache").rglob("*"):
            assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0 or folder.name == "layerscope"
        code, output = by_nobody(command, str(image))
        assert (code, output) == (0, expected.out)
    finally:
        shutil.rmtree(place)


def a_file(path: Path) -> None:
    path.write_bytes(b"x")


def dev_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [a_file, os.mkfifo, dev_zero, a_loop])
@pytest.mark.parametrize("below", ["", "layerscope", "layerscope/entries"])
def test_a_cache_that_is_something_else(
    run: Run,
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    make: Callable[[Path], None],
    below: str,
) -> None:
    expected = run("files", image)
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    if below == "layerscope/entries":
        run("files", image)
        for entry in [path for path in cache.rglob("*") if path.is_file()]:
            entry.unlink()
            make(entry)
    else:
        (cache / below).parent.mkdir(exist_ok=True)
        make(cache / below)
    assert run("files", image) == expected
    assert run("files", image) == expected


@pytest.mark.parametrize("make", [os.mkfifo, dev_zero, Path.mkdir, a_loop])
def test_settings_that_are_no_file(
    run: Run,
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    make: Callable[[Path], None],
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    (tmp_path / "settings/layerscope").mkdir(parents=True)
    make(tmp_path / "settings/layerscope/config.toml")
    outcome = run("files", image)
    assert outcome.code == 0
    assert "config.toml: it cannot be read" in outcome.err


@pytest.mark.parametrize("make", [os.mkfifo, dev_zero])
def test_a_log_that_is_no_file(
    run: Run, image: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "log")
    outcome = run("files", image, "--log", tmp_path / "log")
    assert outcome.code == 2
    assert "cannot be written" in outcome.err


def test_a_user_without_a_home(
    run: Run, image: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert run("files", image).code == 0


@pytest.mark.parametrize(
    "entry",
    [
        {"registrytoken": f"{SECRET}\nX: y"},
        {"registrytoken": f"{SECRET}\ud800"},
        {"auth": base64.b64encode(b"me:" + SECRET.encode() + b"\xff").decode()},
        {"username": "me", "password": f"{SECRET}\ud800"},
        {"username": "m\ud800e", "password": SECRET},
        {"identitytoken": f"{SECRET}\ud800"},
        {"username": "me", "password": f"{SECRET}\n"},
    ],
)
def test_credentials_that_cannot_be_sent_are_never_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: dict[str, str]
) -> None:
    log = tmp_path / "log"
    with fake_registry() as registry:
        registry.image([])
        realm = f"http://{registry.address}/token"
        challenge = f'Bearer realm="{realm}", Basic realm="x"'
        registry.when("", answer(401, WWW_Authenticate=challenge))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        config = {"auths": {registry.address: entry}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        outcome = run("inspect", f"docker://{registry.address}/app:1", "--log", log)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    for said in (outcome.err, outcome.out, log.read_text()):
        assert "hunter22" not in said
        assert "Traceback" not in said


@pytest.mark.parametrize("proxy", ["http://[::", "http://me:hunter22@[::", "://", "http://é:x"])
def test_a_proxy_that_is_no_address(run: Run, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, proxy)
    outcome = run("inspect", "docker://registry.invalid/app:1")
    assert outcome.code == 2
    assert "proxy" in outcome.err
    assert "hunter22" not in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    "host",
    [
        *("tcp://me:hunter22@127.0.0.1:1", "ssh://me:hunter22@host", "me:hunter22@host:1"),
        *("tcp://me:hunt/er22@host:1", "http://me:hunter22@[::", "tcp://hunter22@127.0.0.1:1"),
        "x://me:hunter22@host",
    ],
)
def test_a_login_in_docker_host_is_not_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    for command in (["images"], ["inspect", "docker-daemon:app"], ["find", "x"]):
        outcome = run(*command, "--log", tmp_path / "log")
        assert outcome.code == 2
        assert "er22" not in outcome.err + outcome.out + (tmp_path / "log").read_text()
        assert outcome.err.count("\n") == 1
