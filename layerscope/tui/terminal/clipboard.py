"""The terminal's clipboard, set with OSC 52: works over SSH and needs no other program.

The terminal does not answer, so there is no way to know whether it accepted the text.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping

#: Characters of base64 that all terminals accept; xterm and tmux drop longer texts whole.
LONGEST = 74_994

_CHUNK = 240


def as_bytes(text: str) -> bytes:
    """The bytes of a text; bytes that are not UTF-8 come back unchanged."""
    return text.encode("utf-8", "surrogateescape")


def fits(data: bytes) -> bool:
    """Whether terminals can be expected to accept the bytes."""
    return (len(data) + 2) // 3 * 4 <= LONGEST


def sequence(data: bytes, environment: Mapping[str, str]) -> str:
    """What makes the terminal put bytes into its clipboard, if it accepts so many.

    In tmux and screen it is also wrapped, so that it goes through to the terminal around them. The
    text is in base64, so that nothing in it can be obeyed.
    """
    bare = f"\x1b]52;c;{binascii.b2a_base64(data, newline=False).decode()}\x07"
    if environment.get("TMUX"):
        # tmux takes the bare one if set-clipboard is on, the other if allow-passthrough is.
        return f"{bare}\x1bPtmux;{bare.replace(chr(27), chr(27) * 2)}\x1b\\"
    if environment.get("STY"):
        # screen takes strings of 256 bytes; it puts the pieces together again.
        pieces = (bare[start : start + _CHUNK] for start in range(0, len(bare), _CHUNK))
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    return bare


def copied(data: bytes, what: str) -> str:
    """What to say after bytes, described in words, were copied."""
    number = f"{len(data):,} byte{'' if len(data) == 1 else 's'}"
    text = f"Copied the {what}, {number} (your terminal may block it)."
    try:
        data.decode()
    except UnicodeDecodeError:
        text += " Some are not UTF-8."
    return text
