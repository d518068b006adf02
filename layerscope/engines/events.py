"""Events of an engine (`GET /events`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from requests import Response

from layerscope.engines.client import Client
from layerscope.engines.engine import EngineEvent, Events
from layerscope.engines.errors import checked
from layerscope.engines.messages import messages, stop
from layerscope.images.answers import EventAnswer

_FILTERS = json.dumps({"type": ["image", "container"]})
_LONGEST = 1 << 20  # Bytes of a message, which may have long labels.
#: Prefixes of actions that do not change a list.
_IDLE = (
    "attach",
    "archive-path",
    "copy",
    "detach",
    "exec_",
    "export",
    "extract",
    "health_status",
    "push",
    "resize",
    "save",
    "top",
)


def events_of(client: Client, host: str) -> Events:
    """Returns the events of an engine; raises docker-py's exceptions."""
    response = client.open_stream("/events", parameters={"filters": _FILTERS})
    return _events(response, host), partial(stop, response)


def _events(response: Response, host: str) -> Iterator[EngineEvent]:
    try:
        for message in messages(response, host, _LONGEST):
            event = checked(message, EventAnswer, host)
            if event.type in ("image", "container") and not event.action.startswith(_IDLE):
                yield EngineEvent(event.type, event.action, event.actor.id)
    finally:
        response.close()
