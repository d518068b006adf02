"""How cells are drawn, and the shortest codes from one way to another."""

from __future__ import annotations

from typing import NamedTuple

from rich.color import ColorSystem
from rich.style import Style
from textual.strip import Strip

#: What takes an attribute back. Bold and dim have one in common.
_OFF = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "6": "25", "7": "27", "8": "28"}
_OFF |= {"9": "29", "21": "24", "51": "54", "52": "54", "53": "55"}
#: Attributes that can be seen on a blank.
_ON_BLANKS = frozenset(_OFF) - {"1", "2", "3"}
_KEPT = 4096


class Pen(NamedTuple):
    """How a cell is drawn.

    Attributes:
        attributes: Codes of SGR, but for colours.
        foreground: Code of SGR; empty is the terminal's own colour, None any colour: on a blank
            none can be seen.
        background: Code of SGR; empty is the terminal's own colour.
        link: What OSC 8 is told; empty for none.
    """

    attributes: frozenset[str] = frozenset()
    foreground: str | None = ""
    background: str = ""
    link: str = ""


class Pens:
    """All pens that are in use, by number; 0 is that of a terminal to which nothing was said.

    Attributes:
        pens: Each number's pen.
        blanks: Each number's pen as it is enough for a blank.
    """

    def __init__(self, colors: ColorSystem, codes: bool) -> None:
        """Makes the first one.

        Args:
            colors: The colours that the terminal has; others are made into these.
            codes: Whether it knows the codes that take back one attribute, and not all of them.
        """
        self.pens: list[Pen] = []
        self.blanks: list[int] = []
        self._colors = colors
        self._codes = codes
        self._numbers: dict[Pen, int] = {}
        self._styles: dict[Style | None, int] = {}
        self._turns: dict[tuple[int, int], tuple[str, int]] = {}
        self.number(Pen())

    def number(self, pen: Pen) -> int:
        """The number of a pen."""
        number = self._numbers.get(pen)
        if number is None:
            number = self._numbers[pen] = len(self.pens)
            self.pens.append(pen)
            self.blanks.append(number)
            if not pen.link and not pen.attributes & _ON_BLANKS:
                self.blanks[number] = self.number(Pen(frozenset(), None, pen.background))
        return number

    def of(self, style: Style | None) -> int:
        """The number of a style's pen."""
        number = self._styles.get(style)
        if number is None:
            if len(self._styles) >= _KEPT:
                self._styles.clear()
            number = self._styles[style] = 0 if style is None else self.number(self._read(style))
        return number

    def turn(self, have: int, want: int) -> tuple[str, int]:
        """The codes from one pen to another, and the number of the pen that is had then."""
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
        # On a blank, what cannot be seen stays as it is.
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
        # Or everything anew, which is what nothing before the first semicolon does.
        again = Pen(want.attributes, want.foreground or "", want.background, want.link)
        colors = [code for code in (again.foreground, again.background) if code]
        anew = ";".join(["", *sorted(again.attributes), *colors])
        if codes and (len(anew) < len(text) or (off and not self._codes)):
            changed, text = again, anew
        link = f"\x1b]8;{want.link or ';'}\x1b\\" if want.link != have.link else ""
        return link + (f"\x1b[{text}m" if codes else ""), self.number(changed)
