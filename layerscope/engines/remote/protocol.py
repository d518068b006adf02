"""The protocol of `layerscope serve --stdio`, on the stdin and stdout of a process.

A message is a JSON object and bytes: two lengths of four bytes, most significant first, then both.
The server first writes `MAGIC` and a hello: `{"protocol": 1, "version": …, "changesets": …,
"requests": [name, …]}`, where `changesets` is their format version. A server that does not list its
requests supports all but `tars` and `tar_sizes`. It answers one request at a time; all answers have
the request's `id`, and the last one has `end`:

    {"id", "request": "images"}               → {"images": [{repository, tag, id, …}]}
    {"id", "request": "open", "name", "platform"}
                                              → {"layers": [diff_id, …], "way", "why"} and the
                                                configuration
    {"id", "request": "changesets", "diff_ids"}
                                              → {"diff_id"} and a changeset as the cache has it, for
                                                each; {"done", "total", "what"} meanwhile
    {"id", "request": "contents", "files": [[layer, path], …]}
                                              → {"file": number}, then its pieces as bytes or as
                                                {"hole": bytes}; or {"file": number, "error"}
    {"id", "request": "tars", "diff_ids"}     → {"tar": diff_id}, then the pieces of its tar as one
                                                zstd stream, for each; then {"tar": null} and the
                                                configuration. An engine that exports names none of
                                                its layers: they come all, with empty names
    {"id", "request": "tar_sizes", "diff_ids"}
                                              → {"diff_id", "size"} of each that has a name
    {"request": "cancel"}                     ends the present request early

All but `images` and `open` refer to the last opened image. Paths are base64. An error is
`{"error": sentence, "hint": …}`. Neither side trusts a length.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from layerscope.errors import LayerscopeError

PROTOCOL = 1
MAGIC = b"layerscope serve\n"

_HEADER = struct.Struct(">II")
#: The most bytes of a message's JSON and data; a changeset of a million entries takes 20 MB.
_MOST_JSON, MOST_DATA = 64 << 20, 512 << 20

Message = tuple[dict[str, Any], bytes]


class ProtocolError(LayerscopeError):
    """The other side violates the protocol."""


def packed(document: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    return _HEADER.pack(len(text), len(data)) + text + data


def read_message(read: Callable[[int], bytes]) -> Message | None:
    """Reads a message; None at the end. `read` must return fewer bytes only at the end.

    Raises ProtocolError if it is not a message, or too large.
    """
    header = read(_HEADER.size)
    if not header:
        return None
    if len(header) < _HEADER.size:
        raise ProtocolError("A message is cut short.")
    length, size = _HEADER.unpack(header)
    if length > _MOST_JSON or size > MOST_DATA:
        raise ProtocolError(f"A message claims {length + size} bytes, which is too much.")
    text, data = read(length), read(size)
    if len(text) < length or len(data) < size:
        raise ProtocolError("A message is cut short.")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("A message is not JSON.") from None
    if not isinstance(document, dict):
        raise ProtocolError("A message is not a JSON object.")
    return document, data


def summary_document(summary: Any) -> dict[str, Any]:
    """Converts an `ImageSummary` to JSON."""
    return asdict(summary)
