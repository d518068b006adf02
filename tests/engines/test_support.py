"""What layerscope refuses is what builders really cannot do, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.build.builders import refused
from layerscope.build.buildkit import buildx_builder, has_buildx
from layerscope.build.preview import engine_builders
from layerscope.dockerfile.syntax.parser import parse
from tests.engines.docker_daemon import DockerDaemon
from tests.engines.fixtures import running_engine
from tests.engines.images import BUSYBOX, busybox_base
from tests.engines.listings import use

F = f"FROM {BUSYBOX}\n"
Q = f"FROM {BUSYBOX} AS q\n"
#: Each Dockerfile fails where its feature is missing or ignored, if that can be seen.
TEXTS = (
    "RUN cat <<EOF > /h\nhello\nEOF\nRUN grep hello /h\n",
    "COPY <<EOF /h\nhello\nEOF\nRUN grep hello /h\n",
    "RUN --mount=type=bind,source=a,target=/m cat /m\n",
    "WORKDIR /w\nRUN --mount=type=bind,target=x true\n",
    "RUN --mount=type=cache,target=/m true\n",
    "RUN --mount=type=tmpfs,target=/m true\n",
    "RUN --mount=type=tmpfs,target=/m,size=1m true\n",
    "RUN --mount=type=secret,id=x true\n",
    "RUN --mount=type=secret,id=x,env=X true\n",
    "RUN --mount=type=secret,target=/x true\n",
    "RUN --mount=type=ssh true\n",
    "RUN --network=none true\n",
    "RUN --security=sandbox true\n",
    "RUN --device=vendor1.com/device=class1 true\n",
    "COPY --link a /\n",
    "COPY --chmod=700 a /\nRUN ls -l /a | grep rwx--\n",
    "COPY --chmod=u+x a /\nRUN ls -l /a | grep rwx\n",
    "COPY --chown=1:1 a /\n",
    "COPY --exclude=*.md . /q/\nRUN test ! -e /q/b.md\n",
    "COPY --parents dir/x /q/\nRUN test -e /q/dir/x\n",
    "ADD --unpack=false a /\n",
    "HEALTHCHECK --start-interval=1s CMD true\n",
    "ARG a=foobar\nENV b=${a#foo}\nRUN test $b = bar\n",
    "ARG a=foobar\nENV b=${a/o/x}\nRUN test $b = fxobar\n",
    "ARG a=foobar\nENV b=${a:?no}\nRUN test $b = foobar\n",
    "ENV b=${q-foobar}\nRUN test $b = foobar\n",
    "ENV b=${q:-foobar}\nRUN test $b = foobar\n",
    f"ARG S={BUSYBOX}\nCOPY --from=$S /bin/busybox /z\n",
    "ONBUILD RUN --mount=type=cache,target=/x true\n",
)
WHOLE = (
    f"FROM --platform=$BUILDPLATFORM {BUSYBOX}\n",
    f"FROM {BUSYBOX} AS x\nONBUILD RUN --mount=type=cache,target=/x true\nFROM x\nRUN true\n",
)
#: What newer classic builders accept and ignore, without an effect that can be seen here.
IGNORED = ("--link", "--unpack")
BUILDERS = (
    ("docker-debian", "classic"),
    ("docker-28", "classic"),
    ("docker-28", "buildkit"),
    ("podman", "podman"),
)


@pytest.mark.parametrize("site", BUILDERS, ids="-".join)
def test_builders_fail_at_what_is_refused(
    site: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engines: None
) -> None:
    engine, builder = running_engine(site[0]), site[1]
    busybox_base(engine)
    use(monkeypatch, engine)
    if isinstance(engine, DockerDaemon):
        monkeypatch.setenv("PATH", engine.path)
        monkeypatch.setenv("DOCKER_CONFIG", engine.env["DOCKER_CONFIG"])
    has_buildx.cache_clear()
    buildx_builder.cache_clear()
    builders, problem = engine_builders()
    assert builders is not None, problem
    (tmp_path / "dir").mkdir()
    for name in ("a", "b.md", "dir/x"):
        (tmp_path / name).write_text(name)
    other = {}
    for text in [*(Q + F + text for text in TEXTS), *WHOLE]:
        (tmp_path / "Dockerfile").write_text(text)
        done = engine.docker(
            *("build", "--network", "host", "-t", "layerscope.test/support", str(tmp_path)),
            check=False,
            env={"DOCKER_BUILDKIT": str(int(builder == "buildkit"))},
        )
        lacks = [each.sentence for each in refused(builders, builder, parse(text))]
        ignored = builder == "classic" and any(flag in text for flag in IGNORED)
        if bool(lacks) != bool(done.returncode) and not (lacks and ignored):
            other[text] = (lacks, done.stderr[-200:])
    has_buildx.cache_clear()
    buildx_builder.cache_clear()
    assert other == {}
