"""Secrets in texts: by their form, and by their values."""

from __future__ import annotations

import pytest

from layerscope import redaction
from layerscope.redaction import hide, redacted


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", set[str]())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tcp://me:s3cret@host:1 is down", "tcp://***@host:1 is down"),
        ("tcp://me:s3@cret@host", "tcp://***@host"),
        ("ssh://me@host", "ssh://me@host"),
        ("ssh://me:s3cret@host", "ssh://me:***@host"),
        ("https://host/blob?sig=s3cret", "https://host/blob?***"),
        ("Authorization: Bearer s3cret.s3cret", "Authorization: Bearer ***"),
        ("docker://host/app@sha256:12", "docker://host/app@sha256:12"),
    ],
)
def test_secrets_by_their_form(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_secrets_by_their_values() -> None:
    hide("hunter22\nsecond line", "abc", "latest")
    assert redacted(r"Invalid header value b'hunter22\nsecond line'") == (
        r"Invalid header value b'***\n***'"
    )
    assert redacted("abc") == "abc"  # Too short to be hidden.
    assert redacted("app:latest latest2") == "app:*** latest2"  # Whole words.
