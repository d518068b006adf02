"""Starts layerscope from the one file that .ci/zipapp/build.py made.

Native modules cannot be loaded from a zip file, so what this Python needs is unpacked once, below
the user's cache folder. The syntax is that of Python 3.6, so that an older Python gets as far as
the sentence that says what is missing.
"""

import glob
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile

BUILD = "BUILD"  # Set when the file is made: names what is unpacked.
UNUSED = 30 * 24 * 3600  # Seconds after which what another version unpacked is removed.
OLDEST = (3, 11)
NEWEST = (3, 14)


def fail(message):
    sys.stderr.write("layerscope: %s\n" % message)
    sys.exit(2)


def version_text(version):
    return ".".join(map(str, version))


def run_newer_python():
    """Runs this file with a newer Python that has the version in its name, if there is one."""
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        program = shutil.which("python3.%d" % minor)
        # A version manager may have one of that name that only says that it is not chosen.
        if program and not subprocess.call([program, "-c", ""], stderr=subprocess.DEVNULL):
            os.execv(program, [program] + sys.argv)
    mine = version_text(sys.version_info[:2])
    fail(
        "Python %s or later is needed, and this is %s. Install one, such as python3.12."
        % (version_text(OLDEST), mine)
    )


def environment():
    """The name of what this Python needs."""
    libc = "musl" if "musl" in (sysconfig.get_config_var("SOABI") or "") else "glibc"
    return "cp%d%d-%s-%s" % (sys.version_info[0], sys.version_info[1], libc, os.uname().machine)


def check_libc():
    """Checks that what is unpacked can be loaded; where it cannot, Python itself would crash."""
    wanted, mine = (2, 28), ""
    try:
        mine = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")[2]
    except (OSError, ValueError):  # musl knows of no such name.
        wanted = (1, 2, 4)
        for loader in glob.glob("/lib/ld-musl-*.so.1"):
            process = subprocess.Popen([loader], stderr=subprocess.PIPE)
            mine = process.communicate()[1].decode().partition("Version ")[2].split("\n")[0]
    numbers = tuple(int(number) for number in re.findall("[0-9]+", mine))
    if numbers and numbers < wanted:
        name = "glibc %s (Debian 10, RHEL 8)" if wanted[0] == 2 else "musl %s (Alpine 3.18)"
        fail("%s or later is needed, and this is %s." % (name % version_text(wanted), mine))


def folder():
    """Where it is unpacked: below the cache folder, or where that cannot be written, in /tmp."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    for root in (
        os.path.join(home, "layerscope", "app"),
        os.path.join(tempfile.gettempdir(), "layerscope-%d" % os.getuid()),
    ):
        if os.path.isabs(root):
            try:
                os.makedirs(root, mode=0o700, exist_ok=True)
            except OSError:
                continue
            # Others who may write there could have their code run.
            status = os.lstat(root)
            mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if mine and not status.st_mode & 0o022 and os.access(root, os.W_OK):
                return root
    return fail("There is no folder to unpack to. Set XDG_CACHE_HOME to one that you may write.")


def unpack(archive, name, root):
    """Unpacks what this Python needs, whole or not at all; returns its folder."""
    target = os.path.join(root, "%s-%s" % (BUILD, name))
    if os.path.isdir(target):
        os.utime(target)  # It is in use.
        return target
    check_libc()
    work = tempfile.mkdtemp(dir=root, prefix=".unpacking-")
    try:
        with zipfile.ZipFile(archive) as file:
            try:
                entries = json.loads(file.read("for/%s.json" % name).decode())
            except KeyError:
                known = sorted(e[4:-5] for e in file.namelist() if e.startswith("for/"))
                fail("This file is not for %s, but for %s." % (name, ", ".join(known)))
            for path, content in entries.items():
                place = os.path.join(work, path)
                os.makedirs(os.path.dirname(place), exist_ok=True)
                with file.open("content/" + content) as source, open(place, "wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
        try:
            os.rename(work, target)
        except OSError:
            if not os.path.isdir(target):  # Another process may have been faster.
                raise
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        fail("It cannot be unpacked to %s: %s" % (root, error))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for other in os.listdir(root):
        path = os.path.join(root, other)
        if os.lstat(path).st_mtime < time.time() - UNUSED:
            shutil.rmtree(path, ignore_errors=True)
    return target


def main():
    if sys.version_info[:2] < OLDEST:
        run_newer_python()
    archive = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = unpack(archive, environment(), folder())
    from layerscope.__main__ import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
