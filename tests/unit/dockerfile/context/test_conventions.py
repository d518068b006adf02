"""Where each builder looks for the Dockerfile and for its rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.dockerfile.context.context import read_context
from layerscope.dockerfile.context.conventions import PODMAN, find_dockerfile
from layerscope.dockerfile.context.ignore import IgnorePatternError, parse_ignore

FILES = {
    "D": "D.dockerignore",
    "C": "D.containerignore",
    "d": ".dockerignore",
    "c": ".containerignore",
}


@pytest.mark.parametrize("builder", ["", "buildkit", "classic"])
def test_the_dockerfile_of_a_folder(tmp_path: Path, builder: str) -> None:
    assert find_dockerfile(tmp_path, builder) is None
    (tmp_path / "Containerfile").touch()
    assert find_dockerfile(tmp_path, builder) == tmp_path / "Containerfile"
    (tmp_path / "Dockerfile").touch()
    assert find_dockerfile(tmp_path, builder) == tmp_path / "Dockerfile"
    assert find_dockerfile(tmp_path, "podman") == tmp_path / "Containerfile"


@pytest.mark.parametrize(
    ("builder", "there", "used"),
    [
        ("podman", "CDcd", "D"),
        ("podman", "Ccd", "C"),
        ("podman", "cd", "c"),
        ("podman", "d", "d"),
        ("buildkit", "CDcd", "D"),
        ("buildkit", "Ccd", "d"),
        ("buildkit", "Cc", ""),
        ("classic", "CDcd", "d"),
        ("classic", "CDc", ""),
        ("", "CDcd", "D"),
        ("", "Cd", "C"),
        ("", "cd", "c"),
        ("", "d", "d"),
        ("auto", "cd", "c"),
    ],
)
def test_the_file_with_the_rules(tmp_path: Path, builder: str, there: str, used: str) -> None:
    dockerfile = tmp_path / "D"
    dockerfile.touch()
    for letter in "DCdc":
        (tmp_path / f"x{letter}").touch()
    for letter in there:
        (tmp_path / FILES[letter]).write_text(f"x{letter}\n")
    context = read_context(tmp_path, dockerfile, builder)
    name = None if context.ignore_file is None else context.ignore_file.name
    assert name == (FILES[used] if used else None)
    left = {entry.path[1:] for entry in context.entries if entry.path.startswith("x")}
    assert left == set("DCdc") - set(used)


@pytest.mark.parametrize(
    ("rules", "ignored", "kept"),
    [
        ("/a/\n", ["a", "a/b"], ["b/a"]),
        (" /a\n", [], ["a"]),
        ("\ufeffa\n", ["a"], []),
        ("*\n!/a\n", ["b"], ["a"]),
        ("*\n! a\n", ["a"], [" a"]),
        ("a+(b)c\n", ["aabc"], ["a+(b)c"]),
        ("**/*.md\n", ["x.md", "a/x.md"], ["md"]),
        ("a.b$\n", ["a.b$"], ["axb", "a.b"]),
    ],
)
def test_rules_as_buildah_reads_them(rules: str, ignored: list[str], kept: list[str]) -> None:
    found = parse_ignore(rules, PODMAN.reading)
    assert [path for path in ignored if found.ignores(path) is None] == []
    assert [path for path in kept if found.ignores(path) is not None] == []


@pytest.mark.parametrize("rules", ["!", "!/", "a++", "a(b", "[", "a\\"])
def test_rules_that_end_a_build_by_buildah(rules: str) -> None:
    with pytest.raises(IgnorePatternError):
        parse_ignore(rules, PODMAN.reading)


@pytest.mark.parametrize(
    ("builder", "sent"), [("buildkit", ["b", "b/y"]), ("classic", []), ("podman", [])]
)
def test_exceptions_with_wildcards_in_an_excluded_folder(
    tmp_path: Path, builder: str, sent: list[str]
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/y").touch()
    (tmp_path / ".dockerignore").write_text("*\n!**/y\n")
    context = read_context(tmp_path, builder=builder)
    assert [entry.path for entry in context.entries if not entry.for_builder] == sent


@pytest.mark.parametrize("builder", ["classic", "podman"])
def test_rules_from_another_file(tmp_path: Path, builder: str) -> None:
    for name in "ab":
        (tmp_path / name).touch()
    (tmp_path / ".dockerignore").write_text("a\n")
    rules = tmp_path / "rules"
    rules.write_text("b\n")
    context = read_context(tmp_path, None, builder, rules=rules)
    assert context.ignore_file == rules
    assert {"a", "b"} & {entry.path for entry in context.entries} == {"a"}
