"""What a container leaves behind that no image should have."""

from __future__ import annotations

import pytest

from layerscope.filesystem.stack import Stack
from layerscope.filesystem.unwanted import unwanted_content, unwanted_file, unwanted_nodes
from tests.tui.fakes import Entry, changeset


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("root/.bash_history", "shell history"),
        ("home/me/.python_history", "shell history"),
        ("root/.ssh/id_ed25519", "private key"),
        ("root/.ssh/id_ed25519.pub", ""),
        ("root/.ssh/authorized_keys", ""),
        ("etc/ssh/ssh_host_rsa_key", "private key"),
        ("etc/ssh/ssh_host_rsa_key.pub", ""),
        ("root/.docker/config.json", "login or token"),
        ("app/.npmrc", "login or token"),
        ("app/.env", "environment file, often with secrets"),
        ("app/.env.production", "environment file, often with secrets"),
        ("app/.env.example", ""),
        ("app/.environment", ""),
        ("etc/machine-id", "id of one machine"),
        ("srv/app.log", "log"),
        ("usr/bin/bash", ""),
        ("app/history", ""),
    ],
)
def test_files_by_name(path: str, what: str) -> None:
    assert unwanted_file(path.encode()) == what


@pytest.mark.parametrize(
    ("beginning", "what"),
    [
        (b"-----BEGIN PRIVATE KEY-----\n", "private key"),
        (b"x\n-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key"),
        (b"-----BEGIN RSA PRIVATE KEY-----\n", "private key"),
        (b"-----BEGIN CERTIFICATE-----\n", ""),
        (b"-----BEGIN PUBLIC KEY-----\n", ""),
        (b"key = AKIAABCDEFGHIJKLMNOP\n", "login or token"),
        (b"token: ghp_" + b"a1" * 18, "login or token"),
        (b"AKIA is a prefix", ""),
        (b"", ""),
    ],
)
def test_files_by_content(beginning: bytes, what: str) -> None:
    assert unwanted_content(beginning) == what


def test_folders_of_caches_and_logs() -> None:
    paths = ("var/cache/apt/archives/x.deb", "var/log/a", "tmp/t", "root/.cache/pip/w", "srv/x")
    stack = Stack([changeset(*map(Entry, paths), Entry("usr/share/doc/x/copyright"))])
    reasons = unwanted_nodes(stack.tree)
    found = {path: reasons[stack.tree.find(path.encode()) or 0] for path in paths}
    assert found == {
        "var/cache/apt/archives/x.deb": "apt packages",
        "var/log/a": "logs",
        "tmp/t": "temporary files",
        "root/.cache/pip/w": "pip cache",
        "srv/x": "",
    }
    assert not reasons[stack.tree.find(b"usr/share/doc/x/copyright") or 0]
