"""The terminal's clipboard, set with OSC 52, which works over SSH and needs no other program.

The terminal does not answer, so it is unknown whether it accepted the text.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping

#: The most base64 characters that all terminals accept; xterm and tmux drop longer texts.
LONGEST = 74_994

_CHUNK = 240


def as_bytes(text: str) -> bytes:
    """Encodes a text; restores bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def fits(data: bytes) -> bool:
    """Whether terminals should accept the bytes."""
    return (len(data) + 2) // 3 * 4 <= LONGEST


def sequence(data: bytes, environment: Mapping[str, str]) -> str:
    """Returns the sequence that copies bytes to the terminal's clipboard.

    In tmux and screen, also wraps it to pass it through to the outer terminal. The text is in
    base64, so it cannot inject escape sequences.
    """
    bare = f"\x1b]52;c;{binascii.b2a_base64(data, newline=False).decode()}\x07"
    if environment.get("TMUX"):
        # tmux accepts the bare one with set-clipboard, the wrapped one with allow-passthrough.
        return f"{bare}\x1bPtmux;{bare.replace(chr(27), chr(27) * 2)}\x1b\\"
    if environment.get("STY"):
        # screen accepts strings of 256 bytes, and joins the pieces.
        pieces = (bare[start : start + _CHUNK] for start in range(0, len(bare), _CHUNK))
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    return bare


def copied(data: bytes, what: str) -> str:
    """Returns the message after copying bytes; `what` describes them."""
    number = f"{len(data):,} byte{'' if len(data) == 1 else 's'}"
    text = f"Copied the {what}, {number} (your terminal may block it)."
    try:
        data.decode()
    except UnicodeDecodeError:
        text += " Some are not UTF-8."
    return text
