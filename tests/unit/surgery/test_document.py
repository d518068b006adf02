"""The configuration of an image on another base is that of a build on that base."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from layerscope.build.embedded.metadata import METADATA, Scope
from layerscope.build.embedded.state import State
from layerscope.dockerfile.syntax.parser import parse
from layerscope.surgery.document import merged_config

SIGNALS = {"old": "SIGINT", "new": "SIGQUIT", "own": "SIGUSR1", "both": "SIGUSR2"}
PORTS = {"old": 1, "new": 2, "own": 3, "both": 4}
INSTRUCTIONS = (
    "ENV A={0}",
    "ENV B={0} {0}=1",
    "LABEL a={0}",
    "LABEL b={0} {0}=1",
    "EXPOSE {port}",
    "VOLUME /{0}",
    "USER {0}",
    "STOPSIGNAL {signal}",
    "HEALTHCHECK CMD {0}",
    'SHELL ["{0}"]',
    'CMD ["cmd-{0}"]',
    'ENTRYPOINT ["entry-{0}"]',
)


def written(chance: random.Random, side: str) -> str:
    """Some instructions; those of bases may say the same in both."""
    lines = []
    for each in chance.sample(INSTRUCTIONS, chance.randrange(8)):
        name = "both" if side != "own" and chance.random() < 0.3 else side
        lines.append(each.format(name, port=PORTS[name], signal=SIGNALS[name]))
    return "\n".join(lines)


def built(base: dict[str, Any], lines: str) -> dict[str, Any]:
    """The configuration that instructions make of another one."""
    state = State({}, json.loads(json.dumps(base)))
    instructions = parse(lines).instructions
    for place, instruction in enumerate(instructions):
        before = [each.keyword for each in instructions[:place]]
        if instruction.keyword == "ENTRYPOINT" and "CMD" not in before:
            state.config.pop("Cmd", None)
        METADATA[instruction.keyword](instruction, state, Scope("\\", {}, {}, {}))
    return {**json.loads(state.document())["config"], "Env": sorted(state.env)}


@given(st.randoms(use_true_random=False))
def test_it_is_that_of_a_build_on_the_new_base(chance: random.Random) -> None:
    old, new = (built({}, written(chance, side)) for side in ("old", "new"))
    own = f"{written(chance, 'own')}\n{chance.choice(('ONBUILD RUN later', ''))}"
    image, expected = (built(base, own) for base in (old, new))
    found = merged_config(image, old, new)
    assert {**found, "Env": sorted(found.get("Env", ()))} == expected, own


def test_triggers_of_the_new_base_stay_there() -> None:
    triggers = {"OnBuild": ["RUN x"]}
    assert merged_config({}, {}, triggers) == {}
    assert merged_config({}, triggers, triggers) == {}
    assert merged_config(triggers, triggers, {"OnBuild": ["RUN y"]}) == triggers
