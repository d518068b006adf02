"""Stages, configuration, cache and history of the embedded builder."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from layerscope.build.embedded.state import State, StoredLayer
from layerscope.dockerfile.meaning.reverse import reconstruct
from layerscope.engines.embedded.contents import give_name
from layerscope.oci.config import parse_config
from layerscope.oci.manifest import OCI_LAYERS
from layerscope.oci.reference import parse_reference
from layerscope.sandbox.process import SandboxError
from layerscope.sandbox.rung import Rung, RungName
from tests.unit.build.embedded.building import Workshop


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    found = Workshop.at(tmp_path)
    found.write({"a": "a", "d/b": "b", "d/c": "c"})
    return found


WHOLE = r"""ARG BASE=scratch
FROM ${BASE} AS build
COPY d /d
FROM scratch
ARG VERSION=1
ENV A="two words" B=$VERSION
WORKDIR /app
COPY --from=build --chown=5 /d/ ./
USER app
EXPOSE 80 53/udp
VOLUME ["/data"]
LABEL one="1 2"
STOPSIGNAL SIGINT
SHELL ["/bin/bash", "-c"]
HEALTHCHECK --interval=90s --retries=2 CMD check me
ENTRYPOINT ["run", "it"]
CMD echo $A
ONBUILD RUN x
MAINTAINER me
"""


def test_the_configuration_is_what_the_dockerfile_says(shop: Workshop) -> None:
    document = shop.config(shop.built(WHOLE, labels={"two": "2"}).image)
    assert document["author"] == "me"
    assert document["config"] == {
        "Env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "A=two words",
            "B=1",
        ],
        "WorkingDir": "/app",
        "User": "app",
        "ExposedPorts": {"53/udp": {}, "80/tcp": {}},
        "Volumes": {"/data": {}},
        "Labels": {"one": "1 2", "two": "2"},
        "StopSignal": "SIGINT",
        "Shell": ["/bin/bash", "-c"],
        "Healthcheck": {"Test": ["CMD-SHELL", "check me"], "Interval": 90 * 10**9, "Retries": 2},
        "Entrypoint": ["run", "it"],
        "Cmd": ["/bin/bash", "-c", "echo $A"],
        "OnBuild": ["RUN x"],
    }


def test_the_history_reads_as_the_instructions(shop: Workshop) -> None:
    document = shop.config(shop.built(WHOLE).image)
    history = document["history"]
    assert [each["created_by"] for each in history] == [
        "ARG VERSION=1",
        "ENV A=two words B=1",
        "WORKDIR /app",
        "COPY --chown=5 /d/ ./ # buildkit",
        "USER app",
        "EXPOSE [53/udp 80/tcp]",
        "VOLUME [/data]",
        "LABEL one=1 2",
        "STOPSIGNAL SIGINT",
        "SHELL [/bin/bash -c]",
        'HEALTHCHECK &{["CMD-SHELL" "check me"] "1m30s" "0s" "0s" "0s" \'\\x02\'}',
        'ENTRYPOINT ["run" "it"]',
        'CMD ["/bin/bash" "-c" "echo $A"]',
        "ONBUILD RUN x",
        "MAINTAINER me",
    ]
    made = [each["created_by"].split()[0] for each in history if not each.get("empty_layer")]
    assert made == ["WORKDIR", "COPY"]
    assert len(document["rootfs"]["diff_ids"]) == 2
    config = parse_config(document)
    text = list(reconstruct(config.history, "", config.raw))
    for line in ('ENV A="two words" B=1', "HEALTHCHECK --interval=1m30s --retries=2 CMD check me"):
        assert line in text


def test_a_folder_that_is_there_makes_an_empty_layer(shop: Workshop) -> None:
    document = shop.config(shop.built("FROM scratch\nCOPY d /d\nWORKDIR /d\nWORKDIR /\n").image)
    assert [bool(each.get("empty_layer")) for each in document["history"]] == [False, True, True]


def test_the_same_input_gives_the_same_image_in_another_store(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000")
    os.utime(shop.context / "a", (5, 5))
    text = "FROM scratch\nENV A=b\nWORKDIR /w\nCOPY a d ./\n"
    first = shop.built(text)
    (tmp_path / "other").mkdir()
    other = Workshop.at(tmp_path / "other")
    other.write({"d/c": "c", "d/b": "b", "a": "a"})
    os.utime(other.context / "a", (5, 5))
    assert other.built(text).image == first.image
    document = shop.config(first.image)
    assert {each["created"] for each in document["history"]} == {"1970-01-12T13:46:40Z"}
    assert shop.built(text, no_cache=True).image == first.image


def test_a_second_build_is_cached_whatever_the_times_of_files(shop: Workshop) -> None:
    text = "FROM scratch\nENV A=b\nCOPY a d /d/\nCMD x\n"
    first = shop.built(text)
    assert not first.cached
    again = shop.built(text)
    assert (again.cached, again.image) == ([2, 3, 4], first.image)
    os.utime(shop.context / "a", (1, 1))
    assert shop.built(text).image == first.image
    shop.write({"a": "b"})
    changed = shop.built(text)
    assert changed.cached == [2]
    assert changed.image != first.image
    shop.write({"a": "a"})
    assert shop.built(text).image == first.image
    assert not shop.built(text, no_cache=True).cached
    (shop.context / "a").chmod(0o600)
    assert shop.built(text).cached == [2]


def test_another_instruction_or_argument_breaks_the_cache_from_there(shop: Workshop) -> None:
    text = "FROM scratch\nARG V=1\nENV A=$V\nCOPY a /a\n"
    shop.built(text)
    assert shop.built(text).cached == [2, 3, 4]
    assert shop.built(text, build_args={"V": "2"}).cached == []
    assert shop.built(text.replace("/a\n", "/b\n")).cached == [2, 3]


def test_only_the_stages_that_are_needed_are_built(shop: Workshop) -> None:
    text = (
        "FROM scratch AS one\nCOPY a /one\nFROM scratch AS two\nCOPY missing /two\n"
        "FROM one AS three\nCOPY a /three\n"
    )
    built = shop.built(text)
    assert set(shop.files(built.image)) == {"/one", "/three"}
    started = [each["step"] for each in built.events if each["event"] == "step_started"]
    assert started == [1, 2, 5, 6]
    assert set(shop.files(shop.built(text, target="one").image)) == {"/one"}
    assert "Line 4: missing is not in" in shop.build(text, target="two").problem


def test_triggers_of_a_base_run_once(shop: Workshop) -> None:
    shop.built(
        "FROM scratch\nONBUILD COPY a /triggered\nONBUILD ENV T=1\nENTRYPOINT e\n",
        tags=("base:1",),
    )
    built = shop.built("FROM base:1\nCMD x\n", tags=("next:1",))
    assert set(shop.files(built.image)) == {"/triggered"}
    config = shop.config(built.image)["config"]
    assert "T=1" in config["Env"]
    assert "OnBuild" not in config
    steps = [
        (each["step"], each.get("trigger", 0))
        for each in built.events
        if each["event"] == "step_committed"
    ]
    assert steps == [(1, 0), (1, 1), (1, 2), (2, 0)]


def test_a_dockerfile_that_changes_nothing_is_its_base(shop: Workshop) -> None:
    base = shop.built("FROM scratch\nCOPY a /a\n", tags=("base:1",))
    assert shop.built("FROM base:1\n", tags=("other:1",)).image == base.image
    assert shop.engine.find("other:1").id == base.image


def test_an_entrypoint_drops_the_command_of_the_base_only(shop: Workshop) -> None:
    shop.built('FROM scratch\nCMD ["base"]\n', tags=("base:1",))
    dropped = shop.config(shop.built('FROM base:1\nENTRYPOINT ["e"]\n').image)
    assert "Cmd" not in dropped["config"]
    kept = shop.config(shop.built('FROM base:1\nCMD ["own"]\nENTRYPOINT ["e"]\n').image)
    assert kept["config"]["Cmd"] == ["own"]


def test_platforms_are_those_of_the_build(shop: Workshop) -> None:
    text = (
        "FROM --platform=$BUILDPLATFORM scratch AS tools\nFROM scratch\n"
        "ARG TARGETARCH TARGETPLATFORM\nENV ARCH=$TARGETARCH ALL=$TARGETPLATFORM\n"
    )
    document = shop.config(shop.built(text, platform="linux/arm/v7").image)
    assert (document["architecture"], document["variant"]) == ("arm", "v7")
    assert "ARCH=arm" in document["config"]["Env"]
    assert "ALL=linux/arm/v7" in document["config"]["Env"]
    # A default above the first FROM wins, and what the build passes wins over that.
    for given, arch in (({}, "own"), ({"TARGETARCH": "given"}, "given")):
        built = shop.built(f"ARG TARGETARCH=own\n{text}", platform="linux/arm/v7", build_args=given)
        assert f"ARCH={arch}" in shop.config(built.image)["config"]["Env"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("COPY --chown=nobody a /a", "no user nobody in /etc/passwd"),
        ("COPY --from=base missing /a", "missing is not in base."),
        ("WORKDIR /f/x", "/f is not a folder."),
    ],
)
def test_a_step_that_cannot_be_done_says_why(shop: Workshop, line: str, problem: str) -> None:
    above = "FROM scratch AS base\nCOPY a /f\nFROM base\nLABEL a=b\n"
    built = shop.build(f"{above}{line}\n")
    assert built.failed == 5
    assert problem in built.problem
    assert built.problem.count("\n") == 0
    # What was committed before is a cache hit.
    assert shop.built(above).cached == [2, 4]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("EXPOSE high", "high is not a port."),
        ("STOPSIGNAL SIGNOTHING", "SIGNOTHING is not a signal."),
        ("HEALTHCHECK --interval=soon CMD x", "soon is not a duration."),
        ("COPY --chmod=rwx a /a", "rwx is not a mode."),
        ("COPY --other=x a /a", "COPY has no flag --other."),
        ("COPY --chown=a:b:c a /a", "--chown=a:b:c names no owner."),
        ("COPY --chown=4294967295 a /a", "4294967295 is too large"),
        ("COPY --exclude=[ a /a", "--exclude=[ is not a pattern."),
        ("COPY a d /file", "2 files are copied to /file, which is not written as a folder."),
        ("COPY no* /a/", "Nothing matches no*."),
        ("ADD --checksum=md5:0 http://127.0.0.1:1/x /a", "md5:0 is not a digest."),
        ("ADD --checksum=sha256:0 a /a", "--checksum is for downloads and repositories only."),
        (
            "ADD --checksum=no https://127.0.0.1:1/x.git /a",
            "--checksum=no is not the id of a commit.",
        ),
        ("ADD http://127.0.0.1:1/ /a/", "has no file name."),
        ("HEALTHCHECK CMD []", "HEALTHCHECK has no command."),
        ("COPY --from=7 a /a", "There is no stage 7."),
        ("COPY missing /a", "missing is not in the build context."),
        ('ENV A="${B:?no B}"', "no B"),
        ("NONSENSE x", "There is no instruction NONSENSE."),
        ("COPY <<EOF /x", "not ended by a line EOF"),
        ("RUN", "RUN has no command."),
        ("RUN --network=other x", "--network cannot be other."),
        ("RUN --mount=type=other,target=/x x", "There is no mount type other."),
        ("RUN --mount=other=1,target=/x x", "A mount has no key other."),
        ("RUN --mount=type=cache x", "A mount of type cache has no target."),
        ("RUN --mount=type=tmpfs,target=/x,size=big x", "size=big is not a size."),
        ("RUN --mount=type=bind,source=no,target=/x x", "no is not in the build context."),
        ("RUN --mount=type=secret,id=key,required x", "The secret key is needed."),
        ("RUN --mount=type=ssh,required x", "The SSH agent default is needed."),
    ],
)
def test_what_is_known_to_fail_fails_before_anything_is_built(
    shop: Workshop, line: str, problem: str
) -> None:
    built = shop.build(f"FROM scratch\nCOPY a /a\n{line}\n")
    assert built.problem.startswith("Line 3: ")
    assert problem in built.problem
    assert built.problem.count("\n") == 0
    assert built.events == []
    assert not list(shop.store.folder.glob("blobs/sha256/*"))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("STOPSIGNAL SIG$A", "SIGbase is not a signal."),
        ("EXPOSE $A", "base is not a port."),
        ("COPY $V /a", "missing is not in the build context."),
        ("COPY --chmod=$A a /a", "--chmod=base is not a mode."),
        ("COPY --from=nowhere.invalid/x:1 a /a", "nowhere.invalid"),
        ("ADD --checksum=$A http://127.0.0.1:1/x /a", "--checksum=base is not a digest."),
        ("RUN --mount=type=secret,id=$A,required x", "The secret base is needed."),
        ("RUN --mount=from=nowhere.invalid/x:1,target=/x x", "nowhere.invalid"),
        ("RUN --mount=type=bind,source=$V,target=/x x", "missing is not in the build context."),
        ('ENV B="${C:?not given}"', "not given"),
        ("RUN --mount=type=tmpfs,target=. x", "A mount cannot replace /."),
        ("FROM other AS last", "Line 1, ONBUILD COPY missing /: missing is not in"),
        ("FROM --platform=nope scratch AS last", "nope is not a platform."),
    ],
)
def test_what_depends_on_a_base_is_known_before_anything_is_run(
    shop: Workshop, line: str, problem: str
) -> None:
    shop.built("FROM scratch\nENV A=base\nONBUILD LABEL x=y\n", tags=("base:1",))
    shop.built("FROM scratch\nONBUILD COPY missing /\n", tags=("other:1",))
    first = "FROM base:1 AS first\nCOPY a /a\nFROM base:1\nCOPY --from=first a /a\nARG V=missing\n"
    line = line.replace("FROM other", "FROM other:1")
    problem = problem.replace("Line 1,", "Line 6,")
    built = shop.build(f"{first}{line}\nCOPY --from=first a /b\n")
    assert problem in built.problem
    assert built.problem.count("\n") == 0
    started = {each["step"] for each in built.events if each["event"] == "step_started"}
    assert started <= {1, 3, 6}


@pytest.mark.parametrize(
    "trigger",
    ["RUN --mount=type=no,target=/x y", "COPY --no=x a /", "ENV", "COPY --chmod=9 a /", "X", "RUN"],
)
def test_a_trigger_that_cannot_be_done_is_known_before_anything_is_run(
    shop: Workshop, trigger: str
) -> None:
    with shop.store.lease() as lease:
        state = State({"os": "linux"}, {"OnBuild": [trigger]})
        _, entry = state.stored(lease)
        with shop.store.changed() as change:
            give_name(change.entries, entry, parse_reference("base:1"))
    built = shop.build("FROM scratch AS one\nCOPY a /\nFROM base:1\nCOPY --from=one a /\n")
    assert built.problem.startswith(f"Line 3, ONBUILD {trigger}: ")
    assert {each["step"] for each in built.events if "step" in each} <= {1, 3}


@pytest.mark.parametrize("name", [RungName.CHROOT, RungName.PROOT])
@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        ("--mount=type=ssh", "The sandbox of this host cannot mount an SSH agent."),
        ("--network=none", "The sandbox of this host cannot run a command without the network."),
    ],
)
def test_what_a_sandbox_without_namespaces_cannot_do_is_known_before_anything_is_run(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, name: RungName, flag: str, problem: str
) -> None:
    monkeypatch.setattr("layerscope.sandbox.rungs.best_rung", lambda _: Rung(name, False))
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(path := str(shop.context / "agent"))
        built = shop.build(f"FROM scratch\nCOPY a /\nRUN {flag} x\n", ssh=(f"default={path}",))
    assert built.problem.startswith(f"Line 3: {problem}")
    assert not list(shop.store.folder.glob("blobs/sha256/*"))


def test_a_command_for_another_machine_is_known_before_anything_is_run(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write({"bin/sh": "a program"})
    shop.built("FROM scratch\nCOPY bin /bin\n", platform="linux/s390x", tags=("other:1",))
    monkeypatch.setattr("layerscope.sandbox.rungs.best_rung", lambda _: Rung(RungName.ROOT, True))
    monkeypatch.setattr("layerscope.build.embedded.making.cannot_run", lambda head: bool(head))
    other = "FROM --platform=linux/s390x other:1"
    built = shop.build(f"{other} AS two\nRUN x\nFROM scratch\nCOPY a /\nCOPY --from=two a /b\n")
    assert built.problem.startswith("Line 2: /bin/sh of the image is for another machine.")
    # What is copied first may bring an emulator.

    def perform(*_: object, **__: object) -> None:
        raise SandboxError("It is run.")

    monkeypatch.setattr("layerscope.sandbox.running.perform", perform)
    assert "It is run." in shop.build(f"{other}\nCOPY a /\nRUN x\n").problem


@pytest.mark.parametrize("source", ["missing", "none*", "a d"])
def test_what_an_image_lacks_is_known_before_anything_is_made(shop: Workshop, source: str) -> None:
    shop.built("FROM scratch\nCOPY a /a\nCOPY d /d\n", tags=("base:1",))
    built = shop.build(f"FROM scratch\nCOPY a /\nCOPY --from=base:1 {source} /x\n")
    assert built.problem.startswith("Line 3: ")
    made = [each["step"] for each in built.events if each["event"] == "step_committed"]
    assert made == [1]


def test_triggers_copy_from_the_stages_of_the_build(shop: Workshop) -> None:
    shop.built(
        "FROM scratch\nONBUILD COPY --from=made /m /name\nONBUILD COPY --from=0 /m /number\n",
        tags=("base:1",),
    )
    text = (
        "FROM scratch AS below\nCOPY a /m\nFROM below AS made\nCOPY a /x\n"
        "FROM scratch\nCOPY missing /\nFROM base:1\n"
    )
    built = shop.built(text)
    assert set(shop.files(built.image)) == {"/name", "/number"}
    assert shop.built(text).image == built.image


def test_bytes_that_are_not_utf8_become_marks_in_documents(shop: Workshop) -> None:
    document = shop.config(shop.built(b"FROM scratch\nENV A=\xff\nLABEL \xfe=1\n").image)
    assert "A=�" in document["config"]["Env"]
    json.dumps(document).encode()


def test_a_base_that_is_stored_compressed_keeps_its_blobs(shop: Workshop) -> None:
    state = State(
        {"os": "linux"},
        layers=(StoredLayer("sha256:plain", "sha256:packed", 5, OCI_LAYERS["gzip"]),),
    )
    with shop.store.lease() as lease:
        _, entry = state.stored(lease)
    path = shop.store.folder / "blobs/sha256" / entry["digest"].removeprefix("sha256:")
    (layer,) = json.loads(path.read_bytes())["layers"]
    assert layer == {"mediaType": OCI_LAYERS["gzip"], "digest": "sha256:packed", "size": 5}
