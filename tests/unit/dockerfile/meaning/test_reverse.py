"""Reconstructing a Dockerfile, and matching layers with instructions."""

from __future__ import annotations

from typing import Any

import pytest

from layerscope.dockerfile.meaning.match_history import match_layers, step_waste
from layerscope.dockerfile.meaning.reverse import reconstruct, steps
from layerscope.dockerfile.syntax.parser import parse
from layerscope.filesystem.waste import LayerWaste
from layerscope.images.image import Image, image_from_config
from layerscope.oci.config import HistoryEntry, parse_config


def entry(created_by: str, layer: int | None = None, comment: str = "") -> HistoryEntry:
    return HistoryEntry(None, created_by, comment, layer is None, layer)


@pytest.mark.parametrize(
    ("created_by", "expected"),
    [
        # The classic builder.
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        (
            '/bin/sh -c #(nop)  CMD ["nginx" "-g" "daemon off;"]',
            'CMD ["nginx", "-g", "daemon off;"]',
        ),
        ('/bin/sh -c #(nop)  CMD ["/bin/sh" "-c" "a b"]', "CMD a b"),
        ("/bin/sh -c #(nop) ADD file:0123456789abcdef in / ", "ADD file:0123456789ab /"),
        ("/bin/sh -c #(nop) COPY dir:0123456789abcdef in /app ", "COPY dir:0123456789ab /app"),
        ("/bin/sh -c #(nop)  ENV A=b c", 'ENV A="b c"'),
        ("/bin/sh -c #(nop)  EXPOSE 80/tcp", "EXPOSE 80/tcp"),
        ("/bin/sh -c #(nop)  VOLUME [/a /b]", 'VOLUME ["/a", "/b"]'),
        ("/bin/sh -c #(nop)  LABEL maintainer=A B <a@b>", 'LABEL maintainer="A B <a@b>"'),
        ("/bin/sh -c #(nop) WORKDIR /a", "WORKDIR /a"),
        (
            '/bin/sh -c #(nop)  HEALTHCHECK &{["CMD-SHELL" "curl x"] "30s" "3s" "0s" \'\\x03\'}',
            "HEALTHCHECK --interval=30s --timeout=3s --retries=3 CMD curl x",
        ),
        ("|1 A=b /bin/sh -c echo $A", "RUN echo $A"),
        # BuildKit.
        ("RUN /bin/sh -c apt-get update # buildkit", "RUN apt-get update"),
        ("RUN |2 A=b C=d /bin/sh -c x # buildkit", "RUN x"),
        ("RUN /bin/sh -c set -e\nx\n # buildkit", "RUN <<EOF\nset -e\nx\nEOF"),
        ("COPY a b /c/ # buildkit", "COPY a b /c/"),
        ('ENTRYPOINT ["a" "b \\"c\\""]', 'ENTRYPOINT ["a", "b \\"c\\""]'),
        ("EXPOSE map[80/tcp:{} 90/udp:{}]", "EXPOSE 80/tcp 90/udp"),
        ("EXPOSE [80/tcp 90/udp]", "EXPOSE 80/tcp 90/udp"),
        ("SHELL [/bin/bash -o pipefail -c]", 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]'),
        ("ENV A=1 B=2", "ENV A=1 B=2"),
        (
            'HEALTHCHECK &{["CMD" "a" "b"] "1m0s" "0s" "5s" "1s" \'\\x00\'}',
            'HEALTHCHECK --interval=1m0s --start-period=5s --start-interval=1s CMD ["a", "b"]',
        ),
        ("ARG A=b", "ARG A=b"),
        ("USER a:b", "USER a:b"),
        # Buildah.
        ("/bin/sh -c #(nop) COPY file:0123456789abcdef in /x", "COPY file:0123456789ab /x"),
        ('/bin/sh -c #(nop) ENTRYPOINT ["/x"]', 'ENTRYPOINT ["/x"]'),
        # Others.
        (
            "# debian.sh --arch 'amd64' out/ 'bookworm'",
            "# # debian.sh --arch 'amd64' out/ 'bookworm'",
        ),
        ("bazel build ...", "# bazel build ..."),
        ("created by buildkit", "# created by buildkit"),
        ("mount / from exec /bin/x touch /made", "# mount / from exec /bin/x touch /made"),
        ("/bin/sh -c make|inheritLabels=false", "RUN make"),
    ],
)
def test_history_entries_become_instructions(created_by: str, expected: str) -> None:
    step = steps([entry(created_by, 0)])[0]
    assert step.text == expected
    assert step.layer == 0


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        # The classic builder runs even what it writes down by itself.
        (
            [
                "/bin/busybox ash -e -c #(nop)  SHELL [/bin/busybox ash -e -c]",
                "/bin/busybox ash -e -c #(nop)  USER 1:2",
                "/bin/busybox ash -e -c #(nop) COPY file:0123456789abcdef in /x ",
                "|1 A=1 /bin/busybox ash -e -c echo $A",
                '/bin/busybox ash -e -c #(nop)  CMD ["/bin/busybox" "ash" "-e" "-c" "x y"]',
                "/bin/sh -c #(nop)  SHELL [/bin/sh -c]",
                '/bin/sh -c #(nop)  CMD ["/bin/busybox" "ash" "-e" "-c" "x y"]',
            ],
            [
                'SHELL ["/bin/busybox", "ash", "-e", "-c"]',
                "USER 1:2",
                "COPY file:0123456789ab /x",
                "RUN echo $A",
                "CMD x y",
                'SHELL ["/bin/sh", "-c"]',
                'CMD ["/bin/busybox", "ash", "-e", "-c", "x y"]',
            ],
        ),
        (
            [
                "powershell -Command $ErrorActionPreference = 'Stop'; #(nop)  SHELL "
                "[powershell -Command $ErrorActionPreference = 'Stop';]",
                "powershell -Command $ErrorActionPreference = 'Stop'; #(nop)  USER me",
                "powershell -Command $ErrorActionPreference = 'Stop'; dir",
            ],
            [None, "USER me", "RUN dir"],
        ),
        (
            [
                "SHELL [/bin/busybox ash -c]",
                "RUN |1 A=1 /bin/busybox ash -c echo $A # buildkit",
                'CMD ["/bin/busybox" "ash" "-c" "x"]',
                'CMD ["/bin/sh" "-c" "x"]',
            ],
            [
                'SHELL ["/bin/busybox", "ash", "-c"]',
                "RUN echo $A",
                "CMD x",
                'CMD ["/bin/sh", "-c", "x"]',
            ],
        ),
    ],
)
def test_a_custom_shell_is_removed_from_commands(
    history: list[str], expected: list[str | None]
) -> None:
    made = steps(image(*[(text, False) for text in history]).history)
    assert [step.text for step, text in zip(made, expected, strict=True) if text] == [
        text for text in expected if text
    ]


def test_the_configuration_resolves_ambiguities() -> None:
    config = {
        "config": {
            "Labels": {"a": "x y", "b": 'q"uote', "c": "d=e f=g", "other": "z"},
            "Env": ["P=/a:/b", "Q=a R=b", "BROKEN"],
            "Volumes": {"/v 1": {}, "/v2": {}},
            "OnBuild": ["RUN echo $X", "COPY . /", "RUN a\nUSER b", 5],
        }
    }
    history = [
        entry('LABEL a=x y b=q"uote c=d=e f=g'),
        entry("ENV P=/a:/b Q=a R=b"),
        entry("VOLUME [/v 1 /v2]"),
        entry("LABEL other=before it was z"),
        entry("ONBUILD COPY . /"),
    ]
    assert [step.text for step in steps(history, config)] == [
        'LABEL a="x y" b="q\\"uote" c="d=e f=g"',
        'ENV P=/a:/b Q="a R=b"',
        'VOLUME ["/v 1", "/v2"]',
        'LABEL other="before it was z"',
        "ONBUILD COPY . /",
        "ONBUILD RUN echo $X",
    ]
    assert list(reconstruct(history, "x", config))[-2:] == [
        "# This is not in the history.",
        "ONBUILD RUN echo $X",
    ]
    # Whatever a configuration holds.
    odd: list[dict[str, Any]] = [
        {"config": []},
        {"config": {"Labels": [], "Env": {}, "Volumes": 1, "OnBuild": ""}},
    ]
    for document in odd:
        assert steps(history, document)[0].text.startswith("LABEL a=")


def test_podmans_intermediate_images_are_not_bases() -> None:
    lines = "\n".join(
        reconstruct(
            [entry("/bin/sh -c a", 0, "FROM app:1"), entry("USER b", None, "FROM 838502ceb8a4")]
        )
    )
    assert lines.count("The following was built FROM") == 1


def test_indentation_restores_line_breaks() -> None:
    text = steps([entry("/bin/sh -c set -eux; \tapt-get update; \t\tx # buildkit", 0)])[0].text
    assert text == "RUN set -eux; \\\n    apt-get update; \\\n        x"
    assert parse(text).instructions[0].keyword == "RUN"
    quoted = "RUN echo 'a;\t\tb'"
    assert steps([entry(quoted, 0)])[0].text == quoted


@pytest.mark.parametrize(
    "created_by",
    [
        "USER a\nRUN evil",
        "ENV a=b\n# x",
        "COPY <<E /x",
        "WORKDIR \\",
        'CMD ["a\nRUN x',
        "",
        "\x1b[31m",
    ],
)
def test_other_text_becomes_comments(created_by: str) -> None:
    text = "\n".join(reconstruct([entry(created_by)], "a\nRUN b"))
    keywords = [i.keyword for i in parse(text).instructions]
    assert keywords in (["FROM"], ["FROM", "RUN"])
    if len(keywords) == 2:
        assert parse(text).instructions[1].arguments == created_by


def test_a_layer_without_an_instruction_is_a_comment_that_says_so() -> None:
    history = [entry("", 0, "Imported from -"), entry("", 1, "by hand"), entry("", 2)]
    lines = [line for line in reconstruct(history, "app:1") if line.startswith("# ")][2:]
    assert lines == [
        *("# layer 0", "# imported: standard input"),
        *("# layer 1", "# unknown: by hand"),
        *("# layer 2", "# An empty entry"),
    ]


def test_comments_and_layers() -> None:
    history = [
        entry("/bin/sh -c #(nop) ADD file:0123456789abcdef in / ", 0),
        entry('/bin/sh -c #(nop)  CMD ["sh"]'),
        entry("/bin/sh -c x", 1, "FROM docker.io/library/alpine:3"),
    ]
    lines = list(reconstruct(history, "app:1"))
    assert lines[0] == "# Reconstructed by layerscope from the history of app:1."
    assert "not the original" in lines[1]
    assert lines[2:] == [
        "FROM scratch",
        "",
        "# layer 0",
        "# A file whose name is not in the history.",
        "ADD file:0123456789ab /",
        "",
        'CMD ["sh"]',
        "",
        "# The following was built FROM docker.io/library/alpine:3.",
        "",
        "# layer 1",
        "RUN x",
    ]


def image(*created_by: tuple[str, bool]) -> Image:
    layers = sum(makes for _, makes in created_by)
    config = parse_config(
        {
            "os": "linux",
            "rootfs": {"diff_ids": [f"sha256:{n:064}" for n in range(layers)]},
            "history": [{"created_by": t, "empty_layer": not makes} for t, makes in created_by],
        }
    )
    return image_from_config(config, reference="app:1", image_id="x", source="y")


DOCUMENT = """\
FROM base:1 AS build
RUN make
FROM base:1
ARG V=2
WORKDIR /app
COPY --from=build /out /app/
RUN pip install x && \\
    rm -rf /tmp/x
RUN <<EOF
set -e
y
EOF
RUN --mount=type=cache,target=/c z$V
CMD ["a"]
"""


def test_layers_are_matched_with_instructions() -> None:
    built = image(
        ("ADD rootfs.tar / # buildkit", True),
        ('CMD ["sh"]', False),
        ("ARG V=2", False),
        ("WORKDIR /app", True),
        ("COPY /out /app/ # buildkit", True),
        ("RUN |1 V=2 /bin/sh -c pip install x &&     rm -rf /tmp/x # buildkit", True),
        ("RUN |1 V=2 /bin/sh -c set -e\ny\n # buildkit", True),
        ("RUN |1 V=2 /bin/sh -c z$V # buildkit", True),
        ('CMD ["a"]', False),
    )
    document = parse(DOCUMENT)
    assert match_layers(document, built) == {4: [1], 5: [2], 6: [3], 7: [4], 8: [5]}
    waste = step_waste(
        document, built, [LayerWaste(3, 9, 1, [(b"tmp/x", 9)]), LayerWaste(0, 1, 0, [])]
    )
    assert [(w.instruction, w.layer, w.size, w.copied) for w in waste] == [(6, 3, 9, 1)]
    assert list(waste[0].paths) == [("/tmp/x", 9)]


def test_a_changed_document_keeps_its_other_matches() -> None:
    built = image(("RUN /bin/sh -c a # buildkit", True), ("RUN /bin/sh -c b # buildkit", True))
    document = parse("FROM x\nRUN new\nRUN a\nRUN changed\nRUN b\n")
    assert match_layers(document, built) == {2: [0], 4: [1]}


def test_classic_copies_are_matched_by_destination() -> None:
    built = image(("/bin/sh -c #(nop) COPY file:0123456789abcdef in /x ", True))
    assert match_layers(parse("FROM x\nCOPY a /x\nCOPY b /y\n"), built) == {1: [0]}


def test_a_command_without_a_shell_is_matched() -> None:
    built = image(("/bin/busybox touch /x", True))
    assert match_layers(parse('FROM x\nRUN ["/bin/busybox", "touch", "/x"]\n'), built) == {1: [0]}


def test_a_history_that_does_not_fit_the_layers_says_so() -> None:
    lines = list(reconstruct([HistoryEntry(None, "/bin/sh -c make", "", False, None)]))
    assert "# The history does not say which instruction made which layer." in lines
    assert "RUN make" in lines
    assert not any(line.startswith("# layer") for line in lines)


def test_what_an_exporter_wrote_is_no_instruction() -> None:
    exported = HistoryEntry(None, "COPY / /", "buildkit.exporter.image.v0", False, 0)
    assert [step.text for step in steps([exported])] == ["# COPY / /"]


TRIGGERS = [
    ("/bin/sh -c #(nop)  ONBUILD COPY a.txt /app/", False),
    ("/bin/sh -c #(nop)  ONBUILD RUN a  &&  b", False),
    ("/bin/sh -c own", True),
    ("/bin/sh -c #(nop) COPY file:0123456789abcdef in /app/ ", True),
    ("/bin/sh -c a && b", True),
    ("/bin/sh -c last", True),
]


def test_onbuild_layers_belong_to_the_from() -> None:
    built = image(*TRIGGERS)
    assert match_layers(parse("FROM x\nRUN last\n"), built) == {0: [1, 2], 1: [3]}
    document = parse(
        "FROM x AS y\nONBUILD COPY a.txt /app/\nONBUILD RUN a && b\nRUN own\nFROM y\nRUN last\n"
    )
    assert match_layers(document, built) == {3: [0], 4: [1, 2], 5: [3]}
    waste = step_waste(parse("FROM x\nRUN last\n"), built, [LayerWaste(2, 9, 0, [])])
    assert [(w.instruction, w.layer) for w in waste] == [(0, 2)]


def test_an_onbuild_that_has_run_is_a_comment() -> None:
    lines = list(reconstruct(image(*TRIGGERS).history))
    assert "# ONBUILD COPY a.txt /app/" in lines
    copy = lines.index("COPY file:0123456789ab /app/")
    assert "# Run by ONBUILD in the base image." in lines[copy - 2 : copy]
    # Nothing was built on this one.
    assert "ONBUILD RUN a  &&  b" in list(reconstruct(image(*TRIGGERS[:3]).history))


@pytest.mark.parametrize(
    "created_by",
    [
        "RUN a" + " " * 200_000 + "b",
        "RUN a" + "    x" * 50_000,
        "CMD [" + '"a\\' * 70_000 + "]",
        'HEALTHCHECK &{["CMD" ' + '"a\\' * 70_000 + '] "1s" "1s" "0s" \'\\x03\'}',
        "LABEL " + "a=a " * 20_000,
        "x #(nop) SHELL [" * 15_000,
    ],
    ids=["blanks", "runs", "strings", "health", "labels", "shells"],
)
def test_no_history_takes_long_to_read(created_by: str) -> None:
    document = {"config": {"Labels": {"a": "a"}}, "history": [{"created_by": created_by}]}
    config = parse_config({"rootfs": {"diff_ids": []}, **document})
    assert list(reconstruct(config.history, "x", config.raw))


@pytest.mark.parametrize("retries", ["9" * 5000, "\u0663", "'\\x00'"])
def test_invalid_retries_are_dropped(retries: str) -> None:
    (step,) = steps([entry(f'HEALTHCHECK &{{["CMD" "a"] "1s" "1s" "0s" {retries}}}')])
    assert step.text == 'HEALTHCHECK --interval=1s --timeout=1s CMD ["a"]'
