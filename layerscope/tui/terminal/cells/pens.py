"""Pens, which are the styles of cells, and the shortest codes to switch between them."""

from __future__ import annotations

from typing import NamedTuple

from rich.color import ColorSystem
from rich.style import Style
from textual.strip import Strip

#: The SGR codes that end attributes. Bold and dim share one.
_OFF = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "6": "25", "7": "27", "8": "28"}
_OFF |= {"9": "29", "21": "24", "51": "54", "52": "54", "53": "55"}
#: Attributes that are visible on a blank.
_ON_BLANKS = frozenset(_OFF) - {"1", "2", "3"}
_KEPT = 4096


class Pen(NamedTuple):
    """The style of a cell."""

    attributes: frozenset[str] = frozenset()  # SGR codes, except colours.
    #: SGR code; "" for the terminal's default colour, None for any, which suffices for a blank.
    foreground: str | None = ""
    background: str = ""  # SGR code; "" for the terminal's default colour.
    link: str = ""  # Parameters of OSC 8; "" for no link.


class Pens:
    """All pens in use, by number; 0 is the terminal's default."""

    def __init__(self, colors: ColorSystem, codes: bool) -> None:
        self.pens: list[Pen] = []  # By number.
        self.blanks: list[int] = []  # Numbers of the pens for blanks, by number.
        self._colors = colors  # The terminal's colours; others are converted.
        self._codes = codes  # Whether the terminal knows the codes that end a single attribute.
        self._numbers: dict[Pen, int] = {}
        self._styles: dict[Style | None, int] = {}
        self._turns: dict[tuple[int, int], tuple[str, int]] = {}
        self.number(Pen())

    def number(self, pen: Pen) -> int:
        number = self._numbers.get(pen)
        if number is None:
            number = self._numbers[pen] = len(self.pens)
            self.pens.append(pen)
            self.blanks.append(number)
            if not pen.link and not pen.attributes & _ON_BLANKS:
                self.blanks[number] = self.number(Pen(frozenset(), None, pen.background))
        return number

    def of(self, style: Style | None) -> int:
        number = self._styles.get(style)
        if number is None:
            if len(self._styles) >= _KEPT:
                self._styles.clear()
            number = self._styles[style] = 0 if style is None else self.number(self._read(style))
        return number

    def turn(self, have: int, want: int) -> tuple[str, int]:
        """Returns the codes from one pen to another, and the number of the resulting pen."""
        known = self._turns.get((have, want))
        if known is None:
            if len(self._turns) >= _KEPT:
                self._turns.clear()
            known = self._turns[have, want] = self._turn(self.pens[have], self.pens[want])
        return known

    def _read(self, style: Style) -> Pen:
        attributes = set()
        colors = {"3": "", "4": ""}
        codes = [code for code in Strip.render_ansi(style, self._colors).split(";") if code]
        while codes:
            code = codes.pop(0)
            if code in ("38", "48"):
                count = 4 if codes[0] == "2" else 2
                colors[code[0]] = ";".join([code, *codes[:count]])
                del codes[:count]
            elif code in _OFF:
                attributes.add(code)
            elif code not in ("39", "49"):
                colors["3" if code[:-1] in ("3", "9") else "4"] = code
        link = f"id={style.link_id};{style.link}" if style.link else ""
        return Pen(frozenset(attributes), colors["3"], colors["4"], link)

    def _turn(self, have: Pen, want: Pen) -> tuple[str, int]:
        # For a blank, keeps attributes that do not show on it.
        kept = have.attributes - _ON_BLANKS if want.foreground is None else want.attributes
        color = have.foreground if want.foreground is None else want.foreground
        off = {_OFF[code] for code in have.attributes - kept}
        on = {code for code in kept if code not in have.attributes or _OFF[code] in off}
        codes = [*sorted(off), *sorted(on)]
        if color != have.foreground:
            codes.append(color or "39")
        if want.background != have.background:
            codes.append(want.background or "49")
        changed = Pen(frozenset(kept), color, want.background, want.link)
        text = ";".join(codes)
        # The alternative: an empty code, which resets, and all attributes again.
        again = Pen(want.attributes, want.foreground or "", want.background, want.link)
        colors = [code for code in (again.foreground, again.background) if code]
        anew = ";".join(["", *sorted(again.attributes), *colors])
        if codes and (len(anew) < len(text) or (off and not self._codes)):
            changed, text = again, anew
        link = f"\x1b]8;{want.link or ';'}\x1b\\" if want.link != have.link else ""
        return link + (f"\x1b[{text}m" if codes else ""), self.number(changed)
