"""A Dockerfile drafted from a container: built with its files, it gives the container's files."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.engines.harness import Engine
from tests.engines.images import busybox_base, debian_base
from tests.truth.command import environment, layerscope, listed, run_program

NAME, BUILT = "draft-me", "layerscope.test/drafted:1"
SCRIPT = (
    "mkdir -p '/srv/a b/deep' /srv/own /srv/empty && echo one > '/srv/a b/deep/x' && "
    "chmod 640 '/srv/a b/deep/x' && echo two > /srv/own/y && chown -R 7:8 /srv/own && "
    "ln -s 'a b' /srv/link && echo root::0:0:::/bin/sh > /etc/passwd && rm /etc/group && "
    "chmod 711 /etc && echo ls > /root/.ash_history; true"
)


def run_container(engine: Engine, image: str, script: str) -> str:
    with engine.api() as client:
        host = client.create_host_config(network_mode="none")
        made = client.create_container(
            image, ["/bin/sh", "-c", script], name=NAME, host_config=host
        )
        client.start(made["Id"])
        assert client.wait(made["Id"])["StatusCode"] == 0
    return str(made["Id"])


def remove(engine: Engine, container: str) -> None:
    with engine.api() as client:
        client.remove_container(container, force=True)


def draft(engine: Engine) -> list[str]:
    run = layerscope("dockerfile", f"container:{NAME}", engine=engine)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_what_is_built_from_it_is_what_the_container_has(
    docker_debian: Engine, tmp_path: Path
) -> None:
    base = busybox_base(docker_debian)

    def files(source: str) -> dict[str, object]:
        run = layerscope("files", "--json-lines", source, engine=docker_debian)
        return {
            path: (each.type, each.mode, each.uid, each.gid, each.size, each.link)
            for path, each in listed(run.stdout).items()
        }

    # What the engine itself puts into every container.
    untouched = run_container(docker_debian, base, "true")
    stubs = files(f"container:{NAME}").keys() - files(base).keys()
    remove(docker_debian, untouched)
    container = run_container(docker_debian, base, SCRIPT)
    try:
        lines = draft(docker_debian)
        assert f"FROM {base}" in lines
        assert "# left out: /root/.ash_history (shell history)" in lines
        assert "COPY --chown=7:8 files/srv/own/ /srv/own/" in lines
        assert "RUN rm -rf /etc/group" in lines
        command = next(line[2:] for line in lines if line.startswith("# layerscope extract "))
        words = shlex.split(command)[1:]
        here = environment(docker_debian)
        program = [sys.executable, "-m", "layerscope", *words]
        subprocess.run(program, env=here, cwd=tmp_path, check=True)
        (tmp_path / "Dockerfile").write_text("\n".join(lines) + "\n")
        build = [sys.executable, "-m", "layerscope", "build", "-q", "--builder", "classic"]
        built = run_program([*build, "-t", BUILT, str(tmp_path)], here)
        assert built.returncode == 0, built.stderr

        there = files(f"container:{NAME}")
        for path in (*stubs, "/root/.ash_history"):
            there.pop(path, None)
        assert files(BUILT) == there
    finally:
        remove(docker_debian, container)
        with docker_debian.api() as client:
            client.remove_image(BUILT, force=True)


def test_packages_are_installed_again(docker_28: Engine, tmp_path: Path) -> None:
    base = debian_base(docker_28)
    # As dpkg leaves it, without a network to install anything from.
    script = (
        "printf '\\nPackage: hello\\nStatus: install ok installed\\nVersion: 1\\n' "
        ">> /var/lib/dpkg/status; echo /usr/bin/hello > /var/lib/dpkg/info/hello.list; "
        "touch /usr/bin/hello /srv/mine"
    )
    container = run_container(docker_28, base, script)
    try:
        lines = draft(docker_28)
    finally:
        remove(docker_28, container)
    (install,) = (line for line in lines if "apt-get install" in line)
    assert re.search(r"--no-install-recommends hello &&", install)
    assert [line for line in lines if line.startswith("COPY")] == ["COPY files/srv/mine /srv/mine"]
