"""One image whose layers hold between them what a Dockerfile can do to a file system."""

from __future__ import annotations

import io
import struct
import tarfile

from tests.engines.harness import Engine
from tests.engines.images import BUSYBOX, Built, build, busybox_base, has_image

KITCHEN_SINK = "layerscope.test/kitchen-sink:latest"

LONG = "l" * 120
"""More than the 100 bytes that a name has in a plain tar header."""

COMPONENT = "c" * 255
"""The longest name that a file can have."""

_DEEP = "/".join(f"level{number}" for number in range(40))

_CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
"""`cap_net_bind_service+ep`, as the kernel keeps it in `security.capability`."""

_STEPS: tuple[tuple[tuple[str, str], ...], ...] = (
    (
        (
            "something to change in every way",
            "mkdir -p /k/tree/a/b /k/opaque/old /k/dir-to-file/x /k/dir-to-symlink/x"
            " /k/file-to-dir.d /k/owned/sub /k/many /k/back/x"
            " && for name in removed readded touched chmodded chowned linked file-to-dir"
            " file-to-symlink rewritten truncated renamed; do echo $name > /k/$name; done"
            " && echo 1 > /k/tree/a/b/c && echo 2 > /k/tree/a/d && echo 3 > /k/opaque/old/e"
            " && echo 4 > /k/opaque/f && echo 5 > /k/dir-to-file/x/y"
            " && echo 6 > /k/dir-to-symlink/x/y"
            " && echo 7 > /k/owned/sub/one && echo 8 > /k/owned/two && echo 9 > /k/back/x/y"
            " && ln -s removed /k/symlink && ln -s /nowhere /k/dangling && ln -s tree /k/to-dir"
            " && ln -s /k/owned/two /k/owned/symlink"
            " && touch -d '2001-02-03 04:05:06' /k/touched",
        ),
        ("a folder renamed", "mkdir -p /k/moved/in && echo m > /k/moved/in/f"),
    ),
    (
        ("a file removed", "rm /k/removed /k/readded"),
        ("a tree removed", "rm -r /k/tree"),
        (
            "types that change",
            "rm -r /k/dir-to-file && echo file > /k/dir-to-file"
            " && rm -r /k/dir-to-symlink && ln -s owned /k/dir-to-symlink"
            " && rm /k/file-to-dir && mkdir /k/file-to-dir && echo in > /k/file-to-dir/in"
            " && rm /k/file-to-symlink && ln -s readded /k/file-to-symlink"
            " && rm -r /k/back && echo file > /k/back",
        ),
        ("a symlink retargeted", "ln -sfn readded /k/symlink && ln -sfn owned /k/to-dir"),
        (
            "hard links in a layer",
            "mkdir /k/hard && echo one inode > /k/hard/b && ln /k/hard/b /k/hard/a"
            " && ln /k/hard/b /k/hard/c && mkdir /k/hard/sub && ln /k/hard/b /k/hard/sub/d",
        ),
        ("a hard link to a file of a lower layer", "ln /k/linked /k/linked-again"),
        (
            "the same bytes again",
            "cat /k/rewritten > /tmp/x && cat /tmp/x > /k/rewritten; rm /tmp/x",
        ),
        ("truncated, renamed", ": > /k/truncated && mv /k/renamed /k/renamed-to"),
    ),
    (
        ("a whiteout, then the path again", "echo again > /k/readded && echo back > /k/removed"),
        (
            "a folder removed and made anew in one step: opaque",
            "rm -r /k/opaque && mkdir /k/opaque && echo new > /k/opaque/new",
        ),
        (
            "and back",
            "rm /k/dir-to-file && mkdir /k/dir-to-file && echo z > /k/dir-to-file/z"
            " && rm /k/dir-to-symlink && mkdir /k/dir-to-symlink && echo z > /k/dir-to-symlink/z"
            " && rm -r /k/file-to-dir && echo file > /k/file-to-dir"
            " && rm /k/file-to-symlink && echo file > /k/file-to-symlink"
            " && rm /k/back && mkdir -p /k/back/x && echo other > /k/back/x/w",
        ),
        (
            "one of several names removed, another written to",
            "rm /k/hard/a && echo more >> /k/hard/c",
        ),
        (
            "and folders with files",
            "mv /k/moved /k/moved-to && mv /k/many /k/many-to && mkdir /k/many",
        ),
    ),
    (
        ("chmod, nothing else", "chmod 600 /k/chmodded"),
        ("chown, nothing else", "chown 33:33 /k/chowned"),
        ("chown -R", "chown -R 1000:1001 /k/owned"),
        ("touch, nothing else", "touch -d '2020-02-02 02:02:02' /k/touched"),
    ),
    (("an empty step", "true"),),
    (
        (
            "sparse files and empty ones",
            "dd if=/dev/zero of=/k/sparse bs=1 count=1 seek=5000000 2>/dev/null"
            " && echo data | dd of=/k/sparse bs=1 seek=1000000 conv=notrunc 2>/dev/null"
            " && : > /k/empty",
        ),
        (
            "long names",
            f"mkdir -p /k/{LONG}/{LONG}/{LONG} && echo long > /k/{LONG}/{LONG}/{LONG}/{LONG}"
            f" && echo c > /k/{COMPONENT} && ln -s /k/{LONG}/{LONG}/{LONG}/{LONG} /k/long-link"
            f" && ln /k/{LONG}/{LONG}/{LONG}/{LONG} /k/long-hard-link",
        ),
        ("deep nesting", f"mkdir -p /k/{_DEEP} && echo deep > /k/{_DEEP}/file"),
        (
            "names in UTF-8, and not",
            "mkdir /k/names && cd /k/names && echo a > grüße-日本語-🐳"
            " && echo b > e$(printf '\\314\\201')"
            " && echo c > \"$(printf 'latin1-\\344\\366\\374')\""
            " && echo d > \"$(printf '\\377\\376')\""
            " && mkdir \"$(printf 'dir-\\351')\" && echo e > \"$(printf 'dir-\\351/f-\\200')\""
            " && ln -s \"$(printf 'to-\\370')\" \"$(printf 'link-\\371')\"",
        ),
        (
            "names that a terminal must not obey",
            "cd /k/names && echo a > 'with  spaces ' && echo b > \"$(printf 'new\\nline')\""
            " && echo c > \"$(printf 'esc\\033[31mred\\007')\""
            " && echo d > \"$(printf 'tab\\tcr\\r.')\""
            " && echo e > 'back\\slash' && echo f > '\"quotes'\"'\" && echo g > -rf && echo h > '*'"
            " && echo i > '%s$HOME' && echo j > \"$(printf 'c1-\\302\\233')\"",
        ),
        (
            "special bits",
            "mkdir /k/bits && cd /k/bits && touch suid sgid && mkdir sticky setgid-dir none"
            " && chown 5:6 suid sgid && chmod 4755 suid && chmod 2711 sgid && chmod 1777 sticky"
            " && chmod 2775 setgid-dir && chmod 0 none && touch zero && chmod 0 zero",
        ),
        ("a fifo", "mkfifo /k/fifo && chmod 620 /k/fifo"),
        (
            # Not every engine lets a build make devices; they are missing in the truth too.
            "devices",
            "mknod /k/null c 1 3; mknod /k/disk b 8 17; mknod /k/large c 300 70000; true",
        ),
        (
            "ids that do not fit seven octal digits",
            "touch /k/id-large /k/id-max && chown 3000000:4000000 /k/id-large"
            " && chown 2097152:2097151 /k/id-max",
        ),
        (
            "times before 1970 and after 2038, and after 2242, when the octal field ends",
            "touch /k/old /k/new /k/far && touch -d '1969-07-20 20:17:40' /k/old"
            " && touch -d '2050-01-01 00:00:00' /k/new;"
            " touch -d '2300-01-01 00:00:00' /k/far; true",
        ),
        (
            "many files in one folder",
            "cd /k/many && i=0 && while [ $i -lt 1500 ]; do : > file-$i; i=$((i+1)); done",
        ),
    ),
    (
        ("a long name removed", f"rm /k/{LONG}/{LONG}/{LONG}/{LONG}"),
        ("a strange name removed", "cd /k/names && rm \"$(printf '\\377\\376')\" && rm -- -rf"),
        ("a third of many files removed", "cd /k/many && rm file-1*"),
    ),
)
"""What each step is about, and its commands."""


def added_tar() -> bytes:
    """Return a tar for ADD, with what a shell in a build cannot do."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, content: bytes = b"", **changes: object) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mtime = 1_234_567_890
            for key, value in changes.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))

        add("added", type=tarfile.DIRTYPE, mode=0o750, uid=7, gid=8)
        add("added/plain", b"plain\n", mode=0o640)
        capability = _CAPABILITY.decode("utf-8", "surrogateescape")
        add(
            "added/capable",
            b"x",
            mode=0o755,
            pax_headers={"SCHILY.xattr.security.capability": capability},
        )
        add("added/attributed", b"x", pax_headers={"SCHILY.xattr.user.layerscope": "value"})
        add("added/fraction", b"x", mtime=1_234_567_890.75)
        add("added/past", b"x", mtime=-1000.5)
        add("added/link", type=tarfile.SYMTYPE, linkname="../added/plain")
        add("added/hard", type=tarfile.LNKTYPE, linkname="added/plain")
        add("added/no/parents/named", b"x")
    return stream.getvalue()


def kitchen_sink_dockerfile() -> str:
    """Return the Dockerfile; comments before each RUN say what it shows."""
    runs = "\n".join(
        "".join(f"# {about}\n" for about, _ in step)
        + f"RUN {' && '.join(f'({command})' for _, command in step)}"
        for step in _STEPS
    )
    return f"""\
FROM {BUSYBOX}
LABEL about="every case" empty=""
{runs}
# a file replaced from outside, a folder merged into one that is there
COPY replaced /k/rewritten
COPY tree/ /k/owned/
COPY tree /k/copied/
ADD added.tar /k/
WORKDIR /k/work/dir
ENV WORDS="a b" OTHER=c
VOLUME /k/volume
EXPOSE 80/tcp 53/udp
USER 33:33
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["true"]
"""


def sink_files() -> dict[str, bytes]:
    """Return what its build context holds besides."""
    return {
        "replaced": b"from outside\n",
        "tree/sub/three": b"three\n",
        "tree/two": b"replaced\n",
        "added.tar": added_tar(),
    }


def build_kitchen_sink(engine: Engine) -> Built:
    """Build the image; takes a few seconds to half a minute."""
    busybox_base(engine)
    return build(engine, kitchen_sink_dockerfile(), sink_files(), KITCHEN_SINK)


def kitchen_sink(engine: Engine) -> str:
    """Return the tag of the image, built on first use."""
    if not has_image(engine, KITCHEN_SINK):
        build_kitchen_sink(engine)
    return KITCHEN_SINK
