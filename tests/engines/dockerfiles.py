"""The Dockerfiles that all builders are tested with.

`{base}` is an image with a shell; `{unique}` is a command that no cache has.
"""

from __future__ import annotations

import time

STEPS = """\
FROM {base}
ENV A=1
WORKDIR /app
COPY data.txt /app/
RUN {unique} && echo hello && rm /app/data.txt && mkdir /made && echo xyz > /made/file
CMD ["sh"]
"""
WITHOUT_LAYERS = ("FROM {base}\nENV A=1\n", "FROM scratch\nLABEL a=b\n")
CACHED = "FROM {base}\nRUN {unique}\nRUN echo one > /file\n"
STAGES = """\
ARG BASE={base}
FROM ${BASE} AS first
ARG WHO=nobody
RUN {unique} && echo $WHO > /who
FROM ${BASE}
COPY --from=first /who /copied
ENV X=1
RUN cat /copied
"""
IGNORING = "FROM {base}\nCOPY . /all/\nRUN {unique} && ls /all\n"

TRIGGERS = [
    "ONBUILD COPY a.txt /app/",
    "ONBUILD RUN echo trigger > /trig && echo said",
    "ONBUILD ENV T=1",
    "ONBUILD RUN rm /app/a.txt && exit $FAIL",
]
WITH_TRIGGERS = "\n".join(
    ["FROM {base}", "ENV FAIL=0", "RUN {unique}", *TRIGGERS, "RUN echo own > /own", ""]
)
ON_TRIGGERS = """\
# comment
FROM {base} AS one
RUN echo 1 > /one

FROM {base}
ENV X=1
RUN echo two
RUN echo 22 > /two
COPY --from=one /one /x
"""
OWN_TRIGGERS = """\
FROM {base} AS one
ONBUILD RUN {unique} && echo trigger > /trig; echo said
ONBUILD ENV B=1
RUN echo 1 > /one
FROM one AS two
RUN echo 22 > /two
FROM two
ENV C=1
RUN echo 333 > /three; echo three
"""

CHANGED_FILES = "FROM {base}\nRUN {unique}\nCOPY . /x/\nRUN echo last\n"
CHANGED_START = "FROM {base}\nRUN {unique}\n"
#: What follows that, one after another, and what is said of the cache.
CHANGED_TEXTS = (
    ("RUN echo 1\nRUN echo 2\n", ""),
    ("RUN echo 3\nRUN echo 2\n", "3: The instruction changed; it was RUN echo 1."),
    ("RUN echo 0\nRUN echo 3\nRUN echo 2\n", "3: The instruction is new."),
    ("RUN echo 0\nRUN echo 2\n", "4: RUN echo 3 above it was removed."),
    ("RUN echo 0\nARG V=1\nRUN echo $V\n", "5: The instruction is new."),
    ("RUN echo 0\nARG V=2\nRUN echo $V\n", "5: ARG V=1 above it became ARG V=2."),
)
CHANGED_ARGUMENTS = CHANGED_START + "ARG V\nRUN echo $V\nARG W\nRUN echo $W\n"
CHANGED_STAGE = """\
FROM {base} AS made
RUN {unique}
COPY a.txt /src
RUN cp /src /out
FROM {base}
RUN echo z
COPY --from=made /out /out
"""
CHANGED_MOUNTS = """\
FROM {base}
RUN --mount=type=secret,id=t cat /run/secrets/t; {unique}
RUN --mount=type=bind,source=d,target=/ctx cat /ctx/one > /one
COPY --link a.txt /
COPY --link b.txt /
"""
CHANGED_FIRST = "FROM scratch\nWORKDIR /w\nCOPY a.txt /\n"


def filled(text: str, base: str, unique: int | None = None) -> str:
    """A Dockerfile with its image and its commands in it."""
    number = time.time_ns() if unique is None else unique
    return text.replace("{base}", base).replace("{unique}", f"echo {number} > /unique")
