"""Commands run in a sandbox, on every rung that this machine has, by the users they are for."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layerscope.sandbox.rung import RungName
from tests.archives import Item, folder, hard_link, symlink, text
from tests.command import ROOT
from tests.engines.sandboxes import (
    CASES,
    OVERLAYS,
    Case,
    Sandboxes,
    as_user,
    base_items,
    by_path,
    running,
    sandboxes_in,
    until,
    users,
    write_image,
)

#: cap_net_bind_service, permitted and effective (linux/capability.h), revision 2.
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)

pytestmark = pytest.mark.xdist_group("sandbox")


@pytest.fixture(scope="module")
def sandboxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandboxes]:
    with sandboxes_in(tmp_path_factory.mktemp("sandbox")) as made:
        yield made


@pytest.fixture(scope="module")
def image(sandboxes: Sandboxes) -> Path:
    """An image with everything that is hard to unpack, change and pack."""
    base = [
        *(*base_items(), *users()),
        *(folder("data", uid=33, gid=34), text("data/a", "a", uid=33, gid=34)),
        text("data/far", uid=200_000, gid=200_000),
        text("data/none", "secret", mode=0o000),
        text("data/closed", "read only", mode=0o000),
        Item("data/suid", content=b"s", mode=0o6755, gid=34),
        Item("data/able", content=b"able", mode=0o755, pax=capability()),
        *(text("data/first", "first"), folder("gone"), text("gone/x"), folder("over")),
        *(text("over/old"), symlink("to-data", "data"), folder("tmp", mode=0o1777)),
        Item("data/zero", "char", mode=0o666, device=(1, 5)),
        Item("data/pipe", "fifo"),
        Item("data/noted", content=b"n", pax={"SCHILY.xattr.user.note": "kept"}),
        text(b"data/\xff\xfe".decode("utf-8", "surrogateescape"), "odd"),
    ]
    above = [folder("data", uid=33, gid=34), hard_link("data/second", "data/first")]
    return write_image(sandboxes.base / "image.tar", base, above)


def capability() -> dict[str, str]:
    text = CAPABILITY.decode("utf-8", "surrogateescape")
    return {"SCHILY.xattr.security.capability": text}


SCRIPT = r"""
set -e
cat /data/none
cat /data/closed > /dev/null
echo more >> /data/a; touch /data/far
chmod 600 /data/none
chmod a-x /data/able; chmod a+x /data/able
echo x >> /data/second
echo new > /data/new; chmod 4711 /data/new; ln /data/new /data/same
chown 33:34 /data/suid; chmod 6755 /data/suid
chown 50:50 /data/new; chmod 4711 /data/new
touch /data/noted; mv /data/pipe /data/moved
rm -r /gone; rm -r /over; mkdir /over; echo y > /over/new
mknod /data/device c 1 3 2>/dev/null || true
echo odd > "$(printf '/data/\377new')"
mkdir -m 000 /data/locked; ln -s nowhere /data/link
touch /data/hidden; chmod 000 /data/hidden
"""


@pytest.mark.parametrize("case", CASES)
def test_the_changes_are_those_of_the_command(
    case: Case, sandboxes: Sandboxes, image: Path
) -> None:
    answer = sandboxes.run(case, image, "sh", "-c", SCRIPT)
    assert (answer.get("code"), answer.get("out")) == (0, "secret"), answer
    assert answer["left"] == []
    merged, below = by_path(answer["merged"]), by_path(answer["below"])
    owners = case.keeps_owners
    changed = by_path([entry for entry in answer["merged"] if below.get(entry["path"]) != entry])

    def facts(path: str) -> tuple[Any, ...]:
        entry = merged[path]
        return entry["type"], f"{entry['mode']:o}", tuple(entry["owner"]), entry["size"]

    assert facts("data") == ("dir", "755", (33, 34), 0)
    assert facts("data/a") == ("file", "644", (33, 34), 6)
    assert facts("data/far")[2] == (200_000, 200_000)
    assert facts("data/none") == ("file", "600", (0, 0), 6)
    assert facts("data/suid") == ("file", "6755", (33, 34) if owners else (0, 34), 1)
    assert facts("data/new") == ("file", "4711", (50, 50) if owners else (0, 0), 4)
    assert merged["data/new"]["inode"] == merged["data/same"]["inode"]
    assert facts("data/second")[3] == len("firstx\n")
    assert merged["data/able"]["xattrs"] == {"security.capability": CAPABILITY.hex()}
    assert merged["data/noted"]["xattrs"] == {"user.note": b"kept".hex()}
    assert facts("data/moved")[0] == "fifo"
    assert not {"data/pipe", "gone", "gone/x", "over/old"} & merged.keys()
    assert facts("over/new")[3] == 2
    assert facts("data/\udcffnew")[3] == 4
    assert facts("data/locked") == ("dir", "0", (0, 0), 0)
    assert facts("data/hidden") == ("file", "0", (0, 0), 0)
    assert merged["data/link"]["link"] == "nowhere"
    if case.root:
        assert merged["data/device"]["device"] == [1, 3]
    else:
        assert "data/device" not in merged
    assert merged["data/zero"] == below["data/zero"]
    every = [name for entry in changed.values() for name in entry["xattrs"]]
    assert not [name for name in every if "overlay" in name]
    assert set(changed) <= {
        *("data", "data/a", "data/far", "data/none", "data/suid", "data/able", "data/second"),
        *("data/first", "data/new", "data/same", "data/noted", "data/moved", "data/device"),
        *("data/\udcffnew", "data/locked", "data/hidden", "data/link", "over", "over/new"),
    }


@pytest.mark.parametrize("case", CASES)
def test_what_mounts_need_is_not_a_change(case: Case, sandboxes: Sandboxes) -> None:
    image = write_image(sandboxes.base / "bare.tar", base_items())
    script = "echo 1.2.3.4 > /etc/resolv.conf; touch /dev/shm/x 2>/dev/null; cd /work"
    mounts = [{"kind": "tmpfs", "target": "/made/for/it"}]
    shells = [["sh", "-c", script + " || true"], ["sh", "-c", "echo a > /etc/a"]]
    each = [{"arguments": arguments, "mounts": mounts} for arguments in shells]
    nothing, one = sandboxes.run(case, image, each=each)["runs"]
    assert nothing["changed"] == []
    assert one["changed"] == [["etc", "dir"], ["etc/a", "file"]]


@pytest.mark.parametrize("case", CASES)
def test_mounts(case: Case, sandboxes: Sandboxes, image: Path) -> None:
    place = sandboxes.folder(sandboxes.user(case)) / f"mounts-{case.number}"
    owner = place.parent.stat()
    for name in ("given", "cache"):
        (place / name).mkdir(parents=True)
        os.chown(place / name, owner.st_uid, owner.st_gid)
    (place / "given/file").write_text("given\n")
    (place / "secret").write_text("password\n")
    (place / "cache/old").write_text("old\n")
    for each in (place, place / "secret", place / "cache/old"):
        os.chown(each, owner.st_uid, owner.st_gid)
    answer = sandboxes.run(
        *(case, image, "sh", "-c"),
        "cat /g/file /run/secret /root/.cache/old; echo new > /root/.cache/new;"
        " touch /scratch/x /to-data/t; echo kept > /tmp/kept; ls /data/sub",
        mounts=[
            {"kind": "bind", "target": "/g", "source": str(place / "given")},
            {"kind": "secret", "target": "/run/secret", "source": str(place / "secret")},
            {"kind": "cache", "target": "/root/.cache", "source": str(place / "cache")},
            {"kind": "tmpfs", "target": "/scratch"},
            # Through a symlink of the image.
            {"kind": "bind", "target": "/to-data/sub", "source": str(place / "given")},
        ],
    )
    assert answer["out"] == "given\npassword\nold\nfile\n"
    assert (place / "cache/new").read_text() == "new\n"
    changed = {path for path, _ in answer["changed"]}
    assert {"data/t", "tmp/kept"} <= changed
    assert changed <= {"data", "data/t", "tmp", "tmp/kept", "root", "run"}


@pytest.mark.parametrize("case", [each for each in CASES if each.number in (0, 2, 4, 5, 7)])
def test_links_lead_nowhere_out_of_the_root_folder(case: Case, sandboxes: Sandboxes) -> None:
    place = sandboxes.folder(sandboxes.user(case)) / f"links-{case.number}"
    outside, cache = place / "outside", place / "cache"
    for made in (place, outside, outside / "0", outside / "3", cache):
        made.mkdir()
        os.chown(made, (owner := place.parent.stat()).st_uid, owner.st_gid)
    for name in ("passwd", "secret", "resolv.conf", "0/secret", "3/secret"):
        (outside / name).write_text("www:x:0:0:secret:/:/bin/sh\n")
        os.chown(outside / name, owner.st_uid, owner.st_gid)

    def found() -> dict[Path, tuple[int, ...]]:
        facts = {path: path.lstat() for path in outside.rglob("*")}
        return {path: (s.st_ino, s.st_mode, s.st_ctime_ns) for path, s in facts.items()}

    before = found()
    links = [symlink("etc", str(outside)), symlink("loop", "loop"), symlink("work", str(outside))]
    image = write_image(sandboxes.base / f"links-{case.number}.tar", [*base_items(), *links])
    script = f"""
    cat /etc/secret /work/secret; echo x >> /etc/resolv.conf; echo x > /work/new; rm -r /work
    ln -s {outside} /work
    for each in /cache /.layerscope-mounts/3; do rm -rf $each; ln -s {outside} $each; done
    true"""
    mount = {"kind": "cache", "target": "/cache", "source": str(cache)}
    each: list[dict[str, Any]] = [
        {"arguments": ["sh", "-c", script], "mounts": [mount], "workdir": "/work"},
        {"arguments": ["true"], "user": "www"},
        {"arguments": ["true"], "mounts": [{**mount, "target": "/loop/x"}]},
    ]
    first, second, third = sandboxes.run(case, image, each=each)["runs"]
    assert first.get("code") == 0, first
    assert "secret:" not in first["out"]
    assert second["error"] == "The image has no user www in /etc/passwd."
    assert "traceback" not in third.get("error", "").lower()
    assert found() == before
    # PRoot lets a command replace the cache itself, which nobody follows then.
    assert cache.is_symlink() or "secret" not in {path.name for path in cache.rglob("*")}
    assert case.name is RungName.PROOT or not cache.is_symlink()


def test_a_folder_may_be_where_a_file_is_expected(sandboxes: Sandboxes) -> None:
    folders = [folder("etc"), *(folder(f"etc/{name}") for name in ("passwd", "group", "hosts"))]
    image = write_image(sandboxes.base / "folders.tar", [*base_items(), *folders])
    assert sandboxes.run(CASES[0], image, "true")["code"] == 0


USERS = [
    ({"user": "", "workdir": "/new/dir"}, "0 0 0 /root /new/dir"),
    ({"user": "www"}, "33 34 34 50 /var/www /"),
    ({"user": "33:more", "workdir": "/tmp"}, "33 50 50 /var/www /tmp"),
    ({"user": "123:45"}, "123 45 45 / /"),
    ({"user": "who"}, "The image has no user who in /etc/passwd."),
    ({"user": "0:all"}, "The image has no group all in /etc/group."),
]


@pytest.mark.parametrize("case", [CASES[0], CASES[4]])
def test_users_and_working_directories(case: Case, sandboxes: Sandboxes, image: Path) -> None:
    script = "echo $(id -u) $(id -g) $(id -G) $HOME $PWD"
    runs = sandboxes.run(
        *(case, image, "sh", "-c", script), each=[options for options, _ in USERS]
    )["runs"]
    said = [run.get("error", run.get("out", "")).strip() for run in runs]
    assert said == [expected for _, expected in USERS]


def test_with_one_id_every_user_is_root(sandboxes: Sandboxes, image: Path) -> None:
    case = next(case for case in OVERLAYS if case.name is RungName.ONE_ID)
    answer = sandboxes.run(case, image, "sh", "-c", "echo $(id -u) $HOME", user="www")
    assert answer["out"].split() == ["0", "/var/www"]


@pytest.mark.parametrize("case", OVERLAYS)
def test_as_many_layers_as_an_image_of_docker_has(case: Case, sandboxes: Sandboxes) -> None:
    layers = [[folder(f"d{n}"), text(f"d{n}/f", f"{n}\n")] for n in range(125)]
    layers.append(layers[0])  # A layer may come twice.
    image = write_image(sandboxes.base / "high.tar", base_items(), *layers)
    answer = sandboxes.run(case, image, "sh", "-c", "cat /d*/f | wc -l; rm /d7/f")
    assert answer["out"].strip() == "125"
    assert answer["changed"] == [["d7", "dir"], ["d7/f", "whiteout"]]


@pytest.mark.parametrize("case", OVERLAYS)
def test_marks_of_overlayfs_in_an_image_mean_nothing(case: Case, sandboxes: Sandboxes) -> None:
    """Engines do not take them from layers either."""
    marks = [("opaque", "y"), ("redirect", "/bin"), ("metacopy", ""), ("whiteout", "y")]
    pax = {
        f"SCHILY.xattr.{kind}.overlay.{name}": value
        for kind in ("user", "trusted")
        for name, value in marks
    }
    base = [*base_items(), folder("d"), text("d/below", "below\n"), folder("e"), text("e/f")]
    above = [folder("d", pax=pax), text("d/above", "above\n", pax=pax), folder("e", pax=pax)]
    image = write_image(sandboxes.base / "marks.tar", base, above)
    answer = sandboxes.run(case, image, "sh", "-c", "cd /d; cat *; ls -A . /e; echo x > above")
    assert answer["out"].split() == ["above", "below", ".:", "above", "below", "/e:", "f"]
    assert answer["changed"] == [["d", "dir"], ["d/above", "file"]]
    merged = by_path(answer["merged"])
    assert merged["d/above"]["xattrs"] == {}


def test_the_same_command_gives_the_same_layer(sandboxes: Sandboxes, image: Path) -> None:
    script = "mkdir /x; echo 1 > /x/b; echo 2 > /x/a; touch -d @1000 /x/a /x/b /x"
    answer = sandboxes.run(CASES[0], image, "sh", "-c", script, each=[{}, {}])
    assert [path for path, _ in answer["changed"]] == ["x", "x/a", "x/b"]
    first, second = answer["runs"]
    assert first["diff_id"] == second["diff_id"]


@pytest.mark.parametrize("case", [CASES[0], CASES[1]])
def test_without_a_network(case: Case, sandboxes: Sandboxes, image: Path) -> None:
    answer = sandboxes.run(case, image, "ip", "-o", "link", network=False)
    assert [line.split(":")[1].strip() for line in answer["out"].splitlines()] == ["lo"]
    assert "LOWER_UP" in answer["out"]


def test_root_cannot_reach_the_host(sandboxes: Sandboxes, image: Path) -> None:
    script = r"""
    grep CapBnd /proc/self/status
    echo 1 > /proc/sys/kernel/core_pattern
    ls /proc/1/root/; ls /proc/1/cwd/
    cat /data/zero | head -c 1
    ls /sys/firmware /proc/acpi 2>/dev/null
    ip link add dummy9 type dummy
    """
    answer = sandboxes.run(CASES[0], image, "sh", "-c", script)
    lines = answer["out"].splitlines()
    # What Docker leaves.
    assert lines[0].split() == ["CapBnd:", "00000000a80425fb"]
    refused = [line for line in lines if "denied" in line or "Read-only" in line]
    assert len(refused) >= 4, lines
    assert "home" not in lines


def test_limits_and_commands_that_cannot_be_run(sandboxes: Sandboxes, image: Path) -> None:
    large = "head -c 200000000 /dev/zero | tail -c 190000000 | wc -c"
    many = "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo all"
    runs = sandboxes.run(
        *(CASES[0], image),
        each=[
            {"arguments": ["sleep", "1000"], "seconds": 0.5},
            {"arguments": ["sh", "-c", large], "memory": 40 << 20},
            {"arguments": ["sh", "-c", many], "processes": 5},
            {"arguments": ["nothing"]},
            {"arguments": ["/etc/passwd"]},
            {"arguments": ["sh", "-c", "kill -9 $$"]},
        ],
    )["runs"]
    assert runs[0]["error"] == "The command took longer than 0.5 s and was stopped."
    assert "190000000" not in runs[1]["out"]
    assert "all" not in runs[2]["out"]
    missing = "The image has no command nothing, or lacks its interpreter."
    assert runs[3]["error"] == missing
    assert runs[4]["error"] == "/etc/passwd cannot be run: Permission denied."
    assert runs[5]["code"] == 137


@pytest.mark.parametrize("case", [each for each in CASES if each.number in (0, 1, 4, 7)])
def test_what_a_command_leaves_running_ends_with_it(
    case: Case, sandboxes: Sandboxes, image: Path
) -> None:
    marker = f"7{os.getpid()}{case.number}"
    script = f"setsid sleep {marker} & sleep {marker} & exit 4"
    assert sandboxes.run(case, image, "sh", "-c", script)["code"] == 4
    assert running(marker) == []


@pytest.mark.parametrize(
    ("case", "number"),
    [
        *((CASES[0], signal.SIGINT), (CASES[1], signal.SIGKILL), (CASES[4], signal.SIGKILL)),
        *((CASES[5], signal.SIGINT), (CASES[7], signal.SIGKILL)),
    ],
)
def test_nothing_is_left_of_what_is_stopped(
    case: Case, number: signal.Signals, sandboxes: Sandboxes, image: Path
) -> None:
    user = sandboxes.user(case)
    marker = f"8{os.getpid()}{case.number}{int(number)}"
    place = sandboxes.folder(user) / f"stopped-{case.number}-{int(number)}"
    given = {
        "folder": str(place),
        "rung": case.number,
        "image": str(image),
        "command": ["sh", "-c", f"sleep {marker} & mkdir -m 0 /x; sleep {marker}"],
    }
    sandboxes.run(case, image, "true")  # Skips if it cannot be had.
    process = subprocess.Popen(
        [
            *as_user(user),
            sandboxes.python,
            str(ROOT / "tests/engines/run_sandboxed.py"),
            json.dumps(given),
        ],
        env=sandboxes.env(user),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: len(running(marker)) >= 2 and process.poll() is None)
    process.send_signal(number)
    process.wait()
    until(lambda: running(marker) == [])
    if number == signal.SIGKILL:
        # The next one clears up.
        assert sandboxes.ask(user, {**given, "command": ["true"]})["code"] == 0
    assert not list(place.glob("*/run-*"))
    assert str(place) not in Path("/proc/self/mountinfo").read_text()
