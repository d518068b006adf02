"""The clipboard of the terminal, reached by OSC 52: also over SSH, and with no program to ask.

The terminal gives no answer, so that nobody can say whether it took what was sent.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping

#: Characters of base64 that terminals take at least; xterm and tmux drop all of what is longer.
LONGEST = 74_994

_CHUNK = 240


def as_bytes(text: str) -> bytes:
    """The bytes of a text; what was not UTF-8 is what it was."""
    return text.encode("utf-8", "surrogateescape")


def fits(data: bytes) -> bool:
    """Whether terminals can be expected to take so much."""
    return (len(data) + 2) // 3 * 4 <= LONGEST


def sequence(data: bytes, environment: Mapping[str, str]) -> str:
    """What makes the terminal put bytes into its clipboard.

    In tmux and screen it is also wrapped, so that it goes through to the terminal around them. The
    text is in base64, so that nothing in it can be obeyed.

    Args:
        data: The bytes; those that do not fit are for the caller to keep back.
        environment: The variables that tell of tmux and screen.
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


def told(data: bytes, what: str) -> str:
    """What to say after it was sent.

    Args:
        data: What was sent.
        what: What it is, in words.
    """
    number = f"{len(data):,} byte{'' if len(data) == 1 else 's'}"
    text = f"Sent the {what}, {number}, to the terminal; it may refuse."
    try:
        data.decode()
    except UnicodeDecodeError:
        text += " Some are not UTF-8."
    return text
