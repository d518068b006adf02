"""Text for people: as `docker images` prints it, and safe on a terminal."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.text import (
    decode,
    docker_age,
    docker_size,
    one_line,
    shell_quoted,
    short_id,
    short_name,
    shortened,
    visible,
    visible_lines,
)

DAY = 86400


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1, "1B"),
        (999, "999B"),
        (1000, "1kB"),
        (4200, "4.2kB"),
        (4249, "4.25kB"),
        (13256, "13.3kB"),
        (13_300, "13.3kB"),
        (999_499, "999kB"),
        (1_000_000, "1MB"),
        (7_800_000, "7.8MB"),
        (77_853_114, "77.9MB"),
        (116_982_314, "117MB"),
        (1_230_000_000, "1.23GB"),
        (1_005_000_000, "1GB"),
        (10_500_000_000, "10.5GB"),
        (3_900_000_000_000, "3.9TB"),
        (2**63, "9.22EB"),
    ],
)
def test_sizes_are_as_docker_images_prints_them(size: int, text: str) -> None:
    assert docker_size(size) == text


@given(st.integers(min_value=0, max_value=2**63))
def test_a_size_never_has_an_exponent(size: int) -> None:
    assert "e" not in docker_size(size)
    assert len(docker_size(size)) <= 7


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "Less than a second ago"),
        (0, "Less than a second ago"),
        (1, "1 second ago"),
        (59, "59 seconds ago"),
        (60, "About a minute ago"),
        (119, "About a minute ago"),
        (120, "2 minutes ago"),
        (59 * 60, "59 minutes ago"),
        (3600, "About an hour ago"),
        (89 * 60, "About an hour ago"),
        (90 * 60, "2 hours ago"),
        (47 * 3600, "47 hours ago"),
        (2 * DAY, "2 days ago"),
        (13 * DAY, "13 days ago"),
        (14 * DAY, "2 weeks ago"),
        (59 * DAY, "8 weeks ago"),
        (60 * DAY, "2 months ago"),
        (729 * DAY, "24 months ago"),
        (730 * DAY, "2 years ago"),
        (4000 * DAY, "10 years ago"),
    ],
)
def test_ages_are_as_docker_images_prints_them(seconds: int, text: str) -> None:
    now = 2_000_000_000.0
    assert docker_age(now - seconds, now) == text


def test_a_missing_creation_time() -> None:
    assert docker_age(0, 1e9) == "N/A"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain", "plain"),
        ("häßlich 日本 😀".encode(), "häßlich 日本 😀"),
        (b"a\x1b[31mb", "a\\e[31mb"),
        (b"a\nb\tc\rd", "a\\nb\\tc\\rd"),
        (b"\x00\x07\x7f", "\\x00\\x07\\x7f"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("\x9b31m".encode(), "\\x9b31m"),
        ("a\u202eb\u200fc\u2066d", "a\\u202eb\\u200fc\\u2066d"),
        ("\ufeff\u200b\u00ad", "\\ufeff\\u200b\\xad"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_escaped(raw: bytes | str, shown: str) -> None:
    assert visible(raw) == shown


@given(st.binary())
def test_no_bytes_leave_anything_hostile(raw: bytes) -> None:
    for text in (visible(raw), one_line(raw), short_id(decode(raw))):
        assert text.encode().decode() == text
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text)


@given(st.binary())
def test_decoding_loses_nothing(raw: bytes) -> None:
    assert decode(raw).encode("utf-8", "surrogateescape") == raw


def test_one_line_folds_white_space() -> None:
    assert one_line("  a \n\t b\x1b ") == "a b\\e"


def test_a_short_id_has_twelve_digits_and_no_algorithm() -> None:
    assert short_id("sha256:" + "0123456789abcdef" * 4) == "0123456789ab"
    assert short_id("abc") == "abc"


@pytest.mark.parametrize("before", ["", "sha256:", "docker-daemon:sha256:"])
def test_an_id_in_place_of_a_name_is_short(before: str) -> None:
    assert short_name(before + "0123456789abcdef" * 4) == "0123456789ab"


@pytest.mark.parametrize("name", ["app:1", "host/app@sha256:" + "0" * 64, "0" * 63, "bad\x1b"])
def test_a_name_stays_as_it_is(name: str) -> None:
    assert short_name(name) == visible(name)


@pytest.mark.parametrize(
    "name", ["a\nrm -rf x", "it's \\ $HOME `id`\x1b[31m", "\udcff\x9b", "\u202eabc\n'", "\x07" * 9]
)
def test_a_shell_reads_a_quoted_name_as_it_was(name: str) -> None:
    quoted = shell_quoted(name)
    assert visible(quoted) == quoted
    command = ["bash", "-c", f"printf %s {quoted}"]
    printed = subprocess.run(command, check=True, capture_output=True).stdout
    assert printed == name.encode("utf-8", "surrogateescape")


@given(st.text())
def test_what_a_terminal_would_obey_is_quoted_and_nothing_else(text: str) -> None:
    quoted = shell_quoted(text)
    assert visible(quoted) == quoted
    assert (quoted == text) == (visible(text) == text)
    lines = visible_lines(text)
    assert visible(lines.replace("\n", "").replace("\t", "")) == lines.replace("\n", "").replace(
        "\t", ""
    )


def test_long_values_are_cut_and_sentences_are_not() -> None:
    sentence = "The file /a/b/c cannot be read. " * 20
    assert shortened(sentence) == sentence
    assert shortened(f"/{'x' * 5000} is gone.") == f"/{'x' * 119}…{'x' * 40} is gone."
    assert len(shortened("long " * 5000)) == 2000
