"""Instructions for `commit --change`."""

from __future__ import annotations

import pytest

from layerscope.dockerfile.syntax.commit_change import checked_change
from layerscope.errors import UsageError


@pytest.mark.parametrize(
    "text",
    [
        'CMD ["nginx", "-g", "daemon off;"]',
        "CMD nginx",
        "ENV A=b C='d e'",
        "EXPOSE 80/tcp",
        "LABEL a=b",
        "USER 1000:1000",
        "WORKDIR /srv",
        "VOLUME /data",
        "ONBUILD RUN make",
        "HEALTHCHECK CMD true",
        'entrypoint ["sh"]',
    ],
)
def test_what_a_commit_applies(text: str) -> None:
    assert checked_change(f" {text}") == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("RUN make", "cannot apply RUN"),
        ("COPY a b", "cannot apply COPY"),
        ("FROM debian", "cannot apply FROM"),
        ("nginx -g", "cannot apply NGINX"),
        ('CMD ["a", b]', 'The JSON array of CMD ["a", b] is not valid.'),
        ('CMD ["a"', 'Write it as in a Dockerfile: CMD ["PROGRAM", "ARGUMENT"].'),
        ("ENV", "ENV"),
        ("EXPOSE", "EXPOSE"),
        ("CMD a\nUSER b", "not one instruction"),
        ("# comment", "not one instruction"),
        ("", "not one instruction"),
        ("RUN <<E\nx\nE", "not one instruction"),
    ],
)
def test_what_it_does_not(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_change(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
