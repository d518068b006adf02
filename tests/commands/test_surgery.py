"""squash, rebase and drop: what they show, what they make in our own store and in files."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines import address as addresses
from layerscope.oci.manifest import OCI_CONFIG, OCI_MANIFEST, Descriptor, describe
from tests.archives import (
    Item,
    folder,
    hard_link,
    layer_tar,
    opaque,
    saved,
    symlink,
    text,
    whiteout,
)
from tests.command import Outcome, one_line_error
from tests.commands.conftest import Run

SHELL = "/bin/sh -c "
BASE_HISTORY: list[dict[str, Any]] = [
    {"created_by": f"{SHELL}#(nop) ADD file:abc in / "},
    {"created_by": f'{SHELL}#(nop)  CMD ["sh"]', "empty_layer": True},
]
OWN_HISTORY: list[dict[str, Any]] = [
    {"created_by": f"{SHELL}apt-get update"},
    {"created_by": "ENV A=b", "empty_layer": True, "comment": "buildkit.dockerfile.v0"},
    {"created_by": f"{SHELL}rm -rf /var/lib/apt /gone"},
    {"created_by": "COPY app /app # buildkit", "comment": "buildkit.dockerfile.v0"},
]
BASE = [
    *(folder("etc"), text("etc/conf", "old"), folder("var/lib/apt"), text("gone", "g")),
    *(text("var/lib/apt/state", "x" * 1000), folder("bin"), text("bin/sh", "#!")),
]
OWN: list[list[Item]] = [
    [text("var/lib/apt/lists", "l" * 50_000), text("etc/conf", "mine")],
    [whiteout("var/lib/apt"), whiteout("gone")],
    [folder("app"), text("app/a.pyc", "1"), text("app/main", "m"), text("bin/tool", "t")],
]
NEW = [
    *(folder("etc"), text("etc/conf", "newer"), folder("usr/bin"), symlink("bin", "usr/bin")),
    *(text("usr/bin/sh", "#!2"), text("app/main", "of the base")),
]


def write(
    path: Path, layers: Sequence[Sequence[Item]], history: Sequence[Any], **config: Any
) -> Path:
    document = {"config": config, "history": history}
    path.write_bytes(saved(*map(layer_tar, layers), config=document, tags=[f"{path.stem}:1"]))
    return path


@pytest.fixture(autouse=True)
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERSCOPE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LAYERSCOPE_ENGINE", addresses.EMBEDDED)
    monkeypatch.delenv("DOCKER_HOST", raising=False)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    config = {"Env": ["PATH=/bin", "V=1", "A=b"], "Cmd": ["sh"], "Labels": {"x": "1"}}
    return write(tmp_path / "app.tar", [BASE, *OWN], [*BASE_HISTORY, *OWN_HISTORY], **config)


@pytest.fixture
def bases(tmp_path: Path) -> tuple[Path, Path]:
    """The base of that image, and a newer one."""
    old = write(tmp_path / "old.tar", [BASE], BASE_HISTORY, Env=["PATH=/bin", "V=1"], Cmd=["sh"])
    history = [*BASE_HISTORY[:1], {"created_by": f"{SHELL}more"}]
    new = {"Env": ["PATH=/usr/bin", "V=2", "N=1"], "Cmd": ["bash"]}
    return old, write(tmp_path / "new.tar", [NEW, [text("extra", "e")]], history, **new)


def made(run: Run, *arguments: str | Path) -> Any:
    """What is shown before an image is made, and its id."""
    shown = run(*arguments, "--dry-run", "--json").document
    assert shown["schema"] == "layerscope.surgery/1"
    outcome = run(*arguments, "--yes", "--quiet")
    assert outcome.code == 0, outcome.err
    return {**shown, "made": outcome.out.strip()}


def files(run: Run, source: str | Path) -> list[Any]:
    """What a container sees. A folder that lost what it was made for has an entry afterwards."""
    found: list[Any] = run("files", "--json-lines", source).lines
    other = ("layer", "implied")
    return [{key: value for key, value in each.items() if key not in other} for each in found]


def test_squash_shows_what_it_saves_and_makes_an_image(run: Run, app: Path) -> None:
    shown = run("squash", app, "--from", "1", "--dry-run")
    assert shown.code == 0
    assert shown.out.splitlines() == [
        "Squash layers 1 to 3 of app:1.",
        "             before    after",
        "Layers            4        2",
        "Size           51kB   1.01kB",
        "Visible          9B       9B",
        "Wasted         51kB      1kB",
        "",
        "A container sees no difference.",
    ]
    assert run("images", "--json").document["images"] == []
    found = made(run, "squash", app, "--from", "1", "--tag", "app:small")
    assert found["changes"] == found["conflicts"] == found["config"] == []
    assert (found["before"]["layers"], found["after"]["layers"]) == (4, 2)
    assert found["layers"][1] == {
        "index": 1,
        "of": "image",
        "layers": [1, 2, 3],
        "new": True,
        "size": 7,
    }
    assert files(run, "app:small") == files(run, app)
    inspected = run("inspect", "--json", "app:small").document
    assert inspected["image"]["id"] == found["made"]
    one, other = (run("inspect", "--json", each).document for each in (app, "app:small"))
    assert other["layers"][0]["diff_id"] == one["layers"][0]["diff_id"]
    assert [(each["created_by"], each["comment"], each["layer"]) for each in other["history"]] == [
        (BASE_HISTORY[0]["created_by"], "", 0),
        (BASE_HISTORY[1]["created_by"], "", None),
        ("ENV A=b", "buildkit.dockerfile.v0", None),
        (
            "squashed 3 layers: RUN apt-get update; RUN rm -rf /var/lib/apt /gone; COPY app /app",
            "layerscope squash --from 1 --to 3",
            1,
        ),
    ]
    assert run("diff", app, "app:small").out.endswith("No differences.\n")


def test_layers_in_the_middle_and_all_layers(run: Run, app: Path) -> None:
    middle = made(run, "squash", app, "--from", "1", "--to", "2", "--tag", "app:middle")
    assert middle["after"]["layers"] == 3
    whole = made(run, "squash", app, "--from", "0", "--tag", "app:whole")
    assert (whole["after"]["layers"], whole["after"]["wasted_size"]) == (1, 0)
    assert files(run, "app:middle") == files(run, "app:whole") == files(run, app)
    lines = run("files", "--layer", "0", "app:whole").out
    assert "whiteout" not in lines
    again = made(run, "squash", "app:middle", "--from", "1", "--tag", "app:again")
    assert again["changes"] == []


def test_the_same_edit_gives_the_same_image(
    run: Run, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    ids = {made(run, "squash", app, "--from", "1")["made"] for _ in range(2)}
    assert len(ids) == 1
    assert (
        run("inspect", "--json", ids.pop()).document["image"]["created"] == "2001-09-09T01:46:40Z"
    )


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci"])
def test_into_a_file(run: Run, app: Path, tmp_path: Path, form: str) -> None:
    target = f"{form}:{tmp_path / 'target'}"
    outcome = run(
        *("squash", app, "--from", "1", "--tag", "app:small", "--into", target, "--yes"),
        "--json-lines",
    )
    started, *_, finished = outcome.lines
    assert (started["image"], finished["text"]) == (str(app), target)
    assert finished["image"] == run("inspect", "--json", target).document["image"]["id"]
    assert files(run, target) == files(run, app)
    assert run("images", "--json").document["images"] == []


def test_drop_names_what_reappears(run: Run, app: Path) -> None:
    shown = run("drop", app, "--layer", "2", "--paths", "/gone", "--dry-run")
    assert shown.out.splitlines()[-2:] == [
        "A container sees 1 change: 1 added.",
        "A /gone  -rw-r--r--  0:0  1B; that of layer 0 reappears",
    ]
    shown = run("drop", app, "--layer", "1", "--paths", "etc/conf", "var/*/*/lists", "--dry-run")
    assert shown.out.splitlines()[-2:] == [
        "A container sees 1 change: 1 modified.",
        "M /etc/conf  size 4→3 bytes; that of layer 0 reappears",
    ]
    found = made(run, "drop", app, "--layer", "3", "--paths", "*.pyc", "tool", "--tag", "app:2")
    assert [(each["path"], each["change"], each["reappears"]) for each in found["changes"]] == [
        ("/app/a.pyc", "removed", None),
        ("/bin/tool", "removed", None),
    ]
    assert run("cat", "app:2", "/app/main").out == "m"
    history = run("inspect", "--json", "app:2").document["history"]
    assert [(each["created_by"], each["layer"]) for each in history[-2:]] == [
        ("COPY app /app # buildkit", 3),
        ("dropped from the layer below: *.pyc tool", None),
    ]


def test_a_hard_link_goes_on_without_the_file_and_not_without_its_target(
    run: Run, tmp_path: Path
) -> None:
    layers = [
        [text("a", "bytes"), hard_link("b", "a"), text("c", "more")],
        [hard_link("d", "c")],
    ]
    image = write(tmp_path / "links.tar", layers, [])
    found = made(run, "drop", image, "--layer", "0", "--paths", "/a", "--tag", "x:1")
    assert [each["path"] for each in found["changes"]] == ["/a"]
    assert not found["history"]
    assert run("cat", "x:1", "/b").out == "bytes"
    refused = run("drop", image, "--layer", "0", "--paths", "/c", "--dry-run")
    assert one_line_error(refused) == (
        "/d of layer 1 is a hard link to /c, which would not be there. No engine loads such an "
        "image."
    )


def test_what_tars_can_hold_is_kept(run: Run, tmp_path: Path) -> None:
    capability = "\x01\x00\x00\x02\x00\x04" + "\x00" * 14
    sparse = {"GNU.sparse.size": "1000000000", "GNU.sparse.numblocks": "1"}
    layers = [
        [folder("d"), text("d/low"), text("kept")],
        [
            *(folder("d"), opaque("d"), text("d/caf\udce9", "latin"), hard_link("twin", "kept")),
            Item("tool", content=b"run", mode=0o4755, pax={"SCHILY.xattr.user.a": "b"}),
            Item("cap", pax={"SCHILY.xattr.security.capability": capability}),
            Item("dev", "block", device=(300, 70000), mode=0o640, gid=6),
            Item("holes", content=b"data", pax={**sparse, "GNU.sparse.map": "4096,4"}),
            *(symlink("to", "d/low"), Item("pipe", "fifo")),
        ],
        [text("d/other", "x"), hard_link("again", "tool"), folder("d", mode=0o700)],
    ]
    image = write(tmp_path / "odd.tar", layers, [])
    target = f"docker-archive:{tmp_path / 'target.tar'}"
    found = made(run, "squash", image, "--from", "1", "--into", target)
    assert found["changes"] == []
    assert files(run, target) == files(run, image)
    assert (tmp_path / "target.tar").stat().st_size < 100_000
    listed = run("files", "--json-lines", "--layer", "1", target).lines
    types = {each["path"]: each["type"] for each in listed if each["type"] != "file"}
    assert types["/twin"] == types["/tool"] == "hardlink"
    assert [each["type"] for each in listed if each["path"] == "/d"] == ["dir", "opaque"]
    subprocess.run(["tar", "-xf", tmp_path / "target.tar", "-C", tmp_path], check=True)
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    with tarfile.open(tmp_path / manifest[0]["Layers"][1]) as tar:
        members = {member.name: member for member in tar}
        assert members["holes"].size == 1_000_000_000
        assert members["again"].pax_headers["SCHILY.xattr.user.a"] == "b"
        held = tar.extractfile("holes")
        assert held is not None
        assert held.read(4100)[4090:] == bytes(6) + b"data"


def test_names_that_share_a_file_no_more_are_changes(run: Run, tmp_path: Path) -> None:
    layers = [
        [text("a", "same"), hard_link("b", "a"), hard_link("gone", "a")],
        [text("b", "same"), hard_link("c", "b"), hard_link("d", "b")],
    ]
    image = write(tmp_path / "links.tar", layers, [{"created_by": "one"}, {"created_by": "two"}])
    drop = ("drop", image, "--layer", "1", "--paths", "/b", "--dry-run")
    assert run(*drop).out.split("\n\n")[-1].splitlines() == [
        "A container sees 5 changes: 5 modified.",
        "M /a  hardlinks, content unchanged",
        "M /b  hardlinks, content unchanged; that of layer 0 reappears",
        "M /c  hardlinks, content unchanged",
        "M /d  hardlinks, content unchanged",
        "M /gone  hardlinks, content unchanged",
    ]
    # A name that is gone says that itself.
    removed = run("drop", image, "--layer", "0", "--paths", "/gone", "--dry-run", "--json").document
    assert [each["path"] for each in removed["changes"]] == ["/gone"]
    assert run("squash", image, "--from", "0", "--dry-run", "--json").document["changes"] == []


def test_rebase_names_what_conflicts_and_what_changes(
    run: Run, app: Path, bases: tuple[Path, Path]
) -> None:
    old, new = bases
    shown = run("rebase", app, "--onto", new, "--old-base", old, "--dry-run")
    assert shown.out.splitlines()[0] == "Move 3 layers of app:1 from old:1 onto new:1."
    assert shown.out.split("\n\n")[1:] == [
        "Of the configuration, this changes:\n"
        'Cmd: ["sh"] → ["bash"]\nEnv.N: (none) → 1\nEnv.PATH: /bin → /usr/bin\nEnv.V: 1 → 2',
        "5 conflicts of the layers with the new base:\n"
        "/etc/conf: layer 1 replaces a file that differs in the new base (content)\n"
        "/gone: layer 2 removes a path that the new base does not have\n"
        "/var/lib/apt: layer 2 removes a path that the new base does not have\n"
        "/app/main: layer 3 replaces a file that only the new base has\n"
        "/bin: layer 3 has a folder where the new base has a symbolic link to usr/bin",
        "A container sees 6 changes: 4 added, 1 modified, 1 removed.\n"
        "M /bin  mtime\n"
        "R /bin/sh  -rw-r--r--  0:0  2B\n"
        "A /extra  -rw-r--r--  0:0  1B\n"
        "A /usr  drwxr-xr-x  0:0  (implied)\n"
        "A /usr/bin  drwxr-xr-x  0:0\n"
        "A /usr/bin/sh  -rw-r--r--  0:0  3B\n",
    ]
    found = made(run, "rebase", app, "--onto", new, "--old-base", old, "--tag", "app:2")
    assert [each["kind"] for each in found["conflicts"]] == [
        *("replaced", "whiteout", "whiteout", "added", "folder")
    ]
    one, two, three = (run("inspect", "--json", each).document for each in (app, new, "app:2"))
    ids = [[layer["diff_id"] for layer in each["layers"]] for each in (one, two, three)]
    assert ids[2] == ids[1] + ids[0][1:]
    assert [each["created_by"] for each in three["history"]] == [
        each["created_by"] for each in (*two["history"], *OWN_HISTORY)
    ]
    assert three["layers"][2]["instruction"] == "RUN apt-get update"
    differences = run("diff", "--json", new, "app:2").document["config"]
    assert {each["key"]: each["b"] for each in differences} == {"Env.A": "b", "Labels.x": "1"}


def test_triggers_of_the_new_base_are_named_and_not_inherited(
    run: Run, app: Path, bases: tuple[Path, Path], tmp_path: Path
) -> None:
    new = write(tmp_path / "onbuild.tar", [NEW], BASE_HISTORY[:1], OnBuild=["RUN x"])
    rebase = ("rebase", app, "--onto", new, "--old-base", bases[0])
    assert "The new base has ONBUILD triggers, which only" in run(*rebase, "--dry-run").out
    made(run, *rebase, "--tag", "app:2")
    differences = run("diff", "--json", new, "app:2").document["config"]
    assert next(each["b"] for each in differences if each["key"] == "OnBuild") is None


def layout(folder_path: Path, layers: Sequence[Sequence[Item]], annotations: Any) -> str:
    """An OCI layout whose manifest has annotations."""
    blobs = folder_path / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def add(data: bytes, kind: str) -> Descriptor:
        found = describe(data, kind)
        (blobs / found.digest.partition(":")[2]).write_bytes(data)
        return found

    tars = [add(layer_tar(items), "application/vnd.oci.image.layer.v1.tar") for items in layers]
    rootfs = {"type": "layers", "diff_ids": [tar.digest for tar in tars]}
    config = {"os": "linux", "architecture": "amd64", "rootfs": rootfs}
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": add(json.dumps(config).encode(), OCI_CONFIG).document,
        "layers": [tar.document for tar in tars],
        "annotations": annotations,
    }
    top = add(json.dumps(manifest).encode(), OCI_MANIFEST)
    index = {"schemaVersion": 2, "manifests": [top.document]}
    (folder_path / "index.json").write_text(json.dumps(index))
    (folder_path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return f"oci:{folder_path}"


def test_the_base_that_annotations_name(run: Run, tmp_path: Path, bases: tuple[Path, Path]) -> None:
    old, new = bases
    annotations = {"org.opencontainers.image.base.name": str(old)}
    image = layout(tmp_path / "layout", [BASE, OWN[0]], annotations)
    shown = run("rebase", image, "--onto", new, "--dry-run", "--json").document
    assert shown["after"]["layers"] == 3
    image = layout(tmp_path / "other", [NEW, OWN[0]], annotations)
    refused = one_line_error(run("rebase", image, "--onto", new, "--dry-run"))
    assert "which is no longer available as it was then. Give --old-base IMAGE" in refused


def refused(outcome: Outcome) -> str:
    return one_line_error(outcome)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("squash", "--from", "4"), "There is no layer 4. The image has layers 0 to 3."),
        (("squash", "--from", "1", "--to", "9"), "There is no layer 9."),
        (("squash", "--from", "-1"), "There is no layer -1."),
        (("squash", "--from", "3"), "Layers 3 to 3 are not two or more layers."),
        (("drop", "--paths", "x"), "layerscope drop needs --layer."),
        (("drop", "--layer", "1", "--paths", "*.py"), "Layer 1 has nothing at *.py."),
        (("drop", "--layer", "8", "--paths", "x"), "There is no layer 8."),
        (("rebase",), "layerscope rebase needs --onto."),
        (("squash", "small:1", "--from", "1"), "layerscope squash does not take small:1. Did you "),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    run: Run, app: Path, arguments: tuple[str, ...], message: str
) -> None:
    name, *rest = arguments
    assert refused(run(name, app, *rest, *(["--dry-run"] if rest else []))).startswith(message)


def test_an_image_of_one_layer_is_not_squashed(run: Run, tmp_path: Path) -> None:
    one = write(tmp_path / "one.tar", [BASE], BASE_HISTORY[:1])
    assert refused(run("squash", one, "--from", "0", "--dry-run")) == (
        "Layers 0 to 0 are not two or more layers. The image has just this one."
    )


def test_bases_that_do_not_fit(run: Run, app: Path, bases: tuple[Path, Path]) -> None:
    old, new = bases
    assert refused(run("rebase", app, "--onto", new, "--dry-run")).startswith(
        "app:1 does not say what it is based on. Give --old-base IMAGE"
    )
    assert refused(run("rebase", app, "--onto", old, "--old-base", new, "--dry-run")).startswith(
        "app:1 was not built on new:1 as it is now: they share none of its 2 layers."
    )
    assert refused(run("rebase", app, "--onto", old, "--old-base", old, "--dry-run")).startswith(
        "app:1 is based on old:1 already."
    )
    assert refused(run("rebase", app, "--onto", old, "--dry-run")).startswith(
        "app:1 is based on old:1 already."
    )
    assert refused(run("rebase", app, "--onto", app, "--old-base", old, "--dry-run")).startswith(
        "app:1 cannot move onto app:1, which has all of its layers."
    )
    assert refused(run("rebase", app, "--onto", new, "--old-base", app, "--dry-run")).startswith(
        "app:1 has no layers above those of app:1."
    )


def test_nothing_is_made_unasked(run: Run, app: Path) -> None:
    assert "there is no terminal to ask on" in refused(run("squash", app, "--from", "1"))
    assert "--json needs --dry-run" in refused(run("squash", app, "--from", "1", "--json"))
    assert refused(run("squash", "container:x", "--from", "1", "--dry-run")).startswith(
        "A container is not an image."
    )


def test_a_name_is_not_taken_silently(run: Run, app: Path) -> None:
    made(run, "squash", app, "--from", "1", "--tag", "app:small")
    again = run("squash", app, "--from", "2", "--tag", "app:small", "--yes")
    assert again.code == 2
    assert "app:small is the name of image" in again.err
    moved = made(run, "squash", app, "--from", "2", "--tag", "app:small", "--force")
    assert run("inspect", "--json", "app:small").document["image"]["id"] == moved["made"]


def test_an_image_without_all_layers(run: Run, tmp_path: Path, app: Path) -> None:
    part = tmp_path / "part"
    assert run("squash", app, "--from", "1", "--yes", "--into", f"oci:{part}").code == 0
    (top,) = json.loads((part / "index.json").read_bytes())["manifests"]
    blobs = part / "blobs" / "sha256"
    manifest = json.loads((blobs / top["digest"].partition(":")[2]).read_bytes())
    (blobs / manifest["layers"][0]["digest"].partition(":")[2]).unlink()
    outcome = run("squash", f"oci:{part}", "--from", "0", "--dry-run")
    assert outcome.code == 2
    assert "A new image cannot be made without them." in outcome.err


def test_it_is_a_job_that_can_be_repeated(run: Run, app: Path) -> None:
    outcome = run("squash", app, "--from", "1", "--tag", "app:small", "--yes")
    assert outcome.code == 0, outcome.err
    *_, loaded, image, place = outcome.out.splitlines()
    assert loaded.startswith("Loaded   app:small  ")
    assert image.startswith("Image    ")
    assert place == "Written  embedded:app:small"
    (job,) = run("jobs", "--json").document["jobs"]
    assert (job["kind"], job["state"]) == ("squash", "finished")
    assert job["title"] == f"{app} as app:small"
    assert run("rm", "--yes", "app:small").code == 0
    assert run("jobs", "repeat", "1").code == 0
    assert files(run, "app:small") == files(run, app)


def test_what_was_looked_at_is_what_is_made(run: Run, app: Path, bases: tuple[Path, Path]) -> None:
    old, new = bases
    rebased = (*("rebase", app, "--onto", new, "--old-base", old), "--yes", "--quiet")
    assert run(*rebased).code == 0
    write(new, [NEW, [text("extra", "another")]], BASE_HISTORY[:1])
    outcome = run("jobs", "repeat", "1", "--quiet")
    assert outcome.code == 2
    assert "or its new base has changed since the preview. Look at" in outcome.err
    assert run("rebase", app, "--onto", new, "--old-base", old, "--yes", "--quiet").code == 0
