"""What error messages advise works: commands and options exist, and named sources open."""

from __future__ import annotations

import ast
import functools
import gzip
import json
import re
from pathlib import Path

import pytest

import layerscope
from layerscope import cli
from layerscope.commands import COMMANDS
from layerscope.dockerfile.syntax.grammar import INSTRUCTIONS
from layerscope.engines.sources import TRANSPORTS
from tests.archives import diff_id, layer, plain_tar
from tests.command import one_line_error, run
from tests.unit.images.platform_layouts import Layout, layout_for, written

Capsys = pytest.CaptureFixture[str]

#: Options of other programs that messages name.
_FOREIGN = {"--sparse"} | {
    f"--{flag.name}" for rule in INSTRUCTIONS.values() for flag in rule.flags
}


def _text(node: ast.expr) -> str:
    """A string in the source, with `X` for each value in it."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "X" for part in node.values)
    return ""


@functools.cache
def _messages() -> list[tuple[str, str]]:
    """The strings that are given to errors, and where."""
    found = []
    for path in sorted(Path(layerscope.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name.endswith(("Error", "Problem")):
                    values = [*node.args, *(keyword.value for keyword in node.keywords)]
                    found += [(f"{path.name}:{node.lineno}", _text(each)) for each in values]
    return [(where, text) for where, text in found if text]


def _options(command: str) -> set[str]:
    return set(cli.parser_of(command)._option_string_actions)


def test_commands_and_options_in_messages_exist() -> None:
    found = 0
    for where, text in _messages():
        for match in re.finditer(r"layerscope ([a-z]+)((?: --[a-z-]+| [A-Z]+| X| -\w)*)", text):
            command, rest = match[1], match[2]
            # Prose such as "layerscope opens OCI layouts" has no command.
            if f"`layerscope {command}" in text or command in COMMANDS:
                found += 1
                assert command in COMMANDS or command == "help", (where, text)
                named = set(re.findall(r"--[a-z-]+", rest))
                assert not named or named <= _options(command), (where, text)
    assert found > 8


def test_every_option_in_a_message_is_one_of_a_command() -> None:
    known = set().union(*map(_options, COMMANDS.keys())) | _FOREIGN
    for where, text in _messages():
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
        if not re.search(r"`(?!layerscope)[a-z]+ [^`]*--", text):
            assert named <= known, (where, text)


def test_every_transport_in_a_message_is_known() -> None:
    for where, text in _messages():
        for transport in re.findall(r"\b([a-z]+(?:-[a-z]+)?):(?:NAME|DIR|PATH|FILE|//)", text):
            web = transport in ("http", "https", "ssh", "tcp", "unix", "npipe")
            assert web or transport in TRANSPORTS, (where, text)


def _followed(capsys: Capsys, *arguments: str, hint: str) -> list[str]:
    """The choices that an error offers: what `hint` finds in it, split at commas."""
    line = one_line_error(run(capsys, *arguments))
    match = re.search(hint, line)
    assert match is not None, line
    return [each.strip() for each in match["names"].rstrip(".\n").split(",")]


@pytest.mark.parametrize("packed", [False, True])
def test_an_image_of_several_can_be_named_as_the_error_says(
    capsys: Capsys, tmp_path: Path, packed: bool
) -> None:
    tar = layer(("a", b"x"))
    files: dict[str, bytes] = {"l.tar": tar}
    manifest = []
    for number, tags in enumerate((["a:1"], ["localhost:5000/b:2"], [])):
        config = {"os": f"os{number}", "rootfs": {"diff_ids": [diff_id(tar)]}}
        files[f"{number}.json"] = json.dumps(config).encode()
        manifest.append({"Config": f"{number}.json", "RepoTags": tags, "Layers": ["l.tar"]})
    files["manifest.json"] = json.dumps(manifest).encode()
    data = plain_tar(list(files.items()))
    path = tmp_path / "image.tar"
    path.write_bytes(gzip.compress(data) if packed else data)
    hint = r"Name one: (?P<source>\S+):REF with REF one of (?P<names>.*)"
    source = f"docker-archive:{path}"
    names = _followed(capsys, "inspect", source, hint=hint)
    assert len(names) == 3
    assert f"Name one: {source}:REF" in run(capsys, "inspect", source).err
    systems = [
        run(capsys, "inspect", f"{source}:{name}", "--json").document["image"]["os"]
        for name in names
    ]
    assert systems == ["os0", "os1", "os2"]
    held = _followed(capsys, "inspect", f"{source}:x:9", hint=r"It holds (?P<names>.*)")
    assert held == names


def test_a_layout_of_several_images_can_be_followed(capsys: Capsys, tmp_path: Path) -> None:
    made = Layout()
    images = [made.image(f"linux/{name}", reported=False) for name in ("amd64", "s390x")]
    named = {"org.opencontainers.image.ref.name": "1.0"}
    index = {"manifests": [{**images[0], "annotations": named}, images[1]]}
    made.files["index.json"] = json.dumps(index).encode()
    for archive in (False, True):
        source = written(made, tmp_path, archive=archive)
        hint = r"Name one: (?P<source>\S+):REF with REF one of (?P<names>.*)"
        for name in _followed(capsys, "inspect", source, hint=hint):
            assert run(capsys, "inspect", f"{source}:{name}").code == 0


def test_an_offered_platform_can_be_chosen(capsys: Capsys, tmp_path: Path) -> None:
    made = layout_for("linux/s390x", "linux/arm/v7")
    source = written(made, tmp_path, archive=False)
    names = _followed(capsys, "inspect", source, hint=r"Choose one with --platform: (?P<names>.*)")
    assert names == ["linux/s390x", "linux/arm/v7"]
    for name in names:
        assert run(capsys, "inspect", source, "--platform", name).code == 0


def test_images_without_a_platform_can_be_opened_as_the_error_says(
    capsys: Capsys, tmp_path: Path
) -> None:
    made = Layout()
    images = [made.image(f"linux/{name}", reported=False) for name in ("s390x", "ppc64le")]
    made.top(made.index(images))
    source = written(made, tmp_path, archive=False)
    hint = r"Open one by its digest: (?P<names>.*)"
    sources = _followed(capsys, "inspect", source, hint=hint)
    assert len(sources) == 2
    for each in sources:
        assert run(capsys, "inspect", each).code == 0
    assert "unnamed" not in run(capsys, "inspect", source).err


def test_a_name_of_no_layer_is_reported_as_such(capsys: Capsys, tmp_path: Path) -> None:
    config = json.dumps({"rootfs": {"diff_ids": ["sha256:1"]}}).encode()
    manifest = json.dumps([{"Config": "c.json", "Layers": [""]}]).encode()
    path = tmp_path / "image.tar"
    path.write_bytes(plain_tar([("c.json", config), ("manifest.json", manifest)]))
    line = one_line_error(run(capsys, "inspect", str(path)))
    assert "manifest.json names no file for layer 0" in line


def test_a_folder_that_is_no_image_says_what_is_opened(capsys: Capsys, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    for source in (str(tmp_path), f"docker-archive:{tmp_path}", f"oci:{tmp_path}"):
        line = one_line_error(run(capsys, "inspect", source))
        assert "it is a folder without an image. layerscope opens OCI layouts" in line
    line = one_line_error(run(capsys, "inspect", f"oci:{tmp_path}/none"))
    assert "does not exist" in line


@pytest.mark.parametrize("wrong", ["docker-archive", "dir"])
def test_another_transport_is_named_that_opens_it(
    capsys: Capsys, tmp_path: Path, wrong: str
) -> None:
    for archive in (False, True):
        source = written(layout_for("linux/amd64"), tmp_path, archive=archive)
        path = source.partition(":")[2]
        line = one_line_error(run(capsys, "inspect", f"{wrong}:{path}"))
        match = re.search(r"is not what \S+: opens\. Write (?P<source>.*)\.$", line)
        assert match is not None, line
        assert run(capsys, "inspect", match["source"]).code == 0
