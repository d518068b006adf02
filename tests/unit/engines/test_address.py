"""Docker contexts, as `docker context create` and `docker context use` write them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from layerscope.engines.address import current_address, current_context
from layerscope.errors import EngineError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def create(folder: Path, name: str, endpoint: object, *files: str) -> None:
    identifier = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts/meta" / identifier
    meta.mkdir(parents=True)
    document = {"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}
    (meta / "meta.json").write_text(json.dumps(document))
    for file in files:
        path = folder / "contexts/tls" / identifier / "docker" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def use(folder: Path, name: object) -> None:
    (folder / "config.json").write_text(json.dumps({"currentContext": name}))


def test_without_a_context_it_is_the_default() -> None:
    assert current_context() is None


def test_the_variable_overrides_the_chosen_context(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(folder, "there", {"Host": "ssh://me@there"})
    monkeypatch.setenv("DOCKER_CONTEXT", "there")
    address = current_address()
    assert (address.host, address.tls, address.why) == (
        "ssh://me@there",
        None,
        "the Docker context there",
    )
    use(folder, "elsewhere")
    assert current_address().host == "ssh://me@there"
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert current_context() is None
    monkeypatch.setenv("DOCKER_HOST", "tcp://host:1")
    assert current_address().why == "DOCKER_HOST"


@pytest.mark.parametrize("name", ["", "default", None, 7])
def test_values_that_name_no_context(folder: Path, name: object) -> None:
    use(folder, name)
    assert current_context() is None


def test_certificates_of_a_context(folder: Path) -> None:
    create(folder, "tls", {"Host": "tcp://h:2376"}, "ca.pem", "cert.pem", "key.pem")
    use(folder, "tls")
    tls = current_address().tls
    assert (tls.verify, Path(tls.ca_cert).name) == (True, "ca.pem")
    assert [Path(path).name for path in tls.cert] == ["cert.pem", "key.pem"]


def test_unverified_and_missing_certificates(folder: Path) -> None:
    lax = {"Host": "tcp://h:2376", "SkipTLSVerify": True}
    create(folder, "lax", lax, "ca.pem", "cert.pem", "key.pem")
    use(folder, "lax")
    assert (current_address().tls.verify, current_address().tls.ca_cert) == (False, None)
    create(folder, "ca", {"Host": "tcp://h:2376"}, "ca.pem")
    use(folder, "ca")
    assert (current_address().tls.verify, current_address().tls.cert) == (True, None)
    create(folder, "none", {"Host": "tcp://h:2375"})
    use(folder, "none")
    assert current_address().tls is None


def test_a_missing_or_damaged_context(folder: Path) -> None:
    use(folder, "a\x1bb")
    with pytest.raises(EngineError, match=r"no Docker context a\\eb\. Choose"):
        current_context()
    for number, endpoint in enumerate(
        (None, 7, {}, {"Host": 7}, {"Host": "x", "SkipTLSVerify": 1})
    ):
        create(folder, f"bad{number}", endpoint)
        use(folder, f"bad{number}")
        with pytest.raises(EngineError, match=f"The Docker context bad{number} is damaged"):
            current_context()
