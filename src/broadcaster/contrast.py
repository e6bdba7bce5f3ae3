"""Whether text can be read on what is behind it: colours as CSS writes them, and their contrast (WCAG 2.1 §1.4.3).

Styles are written into the elements by then, so a walk through the page knows each text's colour, ground
and size. What only a picture or a <style> decides is not known, and nothing is said of it.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Final, NamedTuple

from broadcaster.markup import VOID
from broadcaster.page import FILLED

Colour = tuple[int, int, int]

# what text needs; large text (24 px, or 14 pt and bold), and the words of a button, need less
TEXT: Final = 4.5
LARGE: Final = 3.0
_LARGE: Final = 24.0
_LARGE_BOLD: Final = 18.66
WHITE: Final = "#ffffff"
# of letters on a light colour
DARK: Final = "#1d2327"
# the ground of a page in dark mode, and what links need on it
NIGHT: Final = "#1f2428"
_AT_NIGHT: Final = 6.0

_HEX: Final = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})")
_RGB: Final = re.compile(r"rgb\(\s*(\d{1,3})\s*,?\s*(\d{1,3})\s*,?\s*(\d{1,3})\s*\)")
_WORD: Final = re.compile(r"rgba?\([^)]*\)|#?[\w-]+")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)(px|pt|em|rem|%)")
_BUTTON: Final = re.compile(r"\b(?:button|btn|cta)\b", re.IGNORECASE)
_UNSEEN: Final = frozenset(["head", "script", "style", "title"])
_BOLD: Final = frozenset(["b", "strong", "th", "h1", "h2", "h3", "h4", "h5", "h6"])
_SIZES: Final[Mapping[str, float]] = {"h1": 2.0, "h2": 1.5, "h3": 1.17, "small": 0.83, "sup": 0.83, "sub": 0.83}
# CSS Color 4 §6.1
_NAMED: Final = (
    "aliceblue f0f8ff antiquewhite faebd7 aqua 00ffff aquamarine 7fffd4 azure f0ffff beige f5f5dc bisque ffe4c4 "
    "black 000000 blanchedalmond ffebcd blue 0000ff blueviolet 8a2be2 brown a52a2a burlywood deb887 cadetblue 5f9ea0 "
    "chartreuse 7fff00 chocolate d2691e coral ff7f50 cornflowerblue 6495ed cornsilk fff8dc crimson dc143c "
    "cyan 00ffff darkblue 00008b darkcyan 008b8b darkgoldenrod b8860b darkgray a9a9a9 darkgreen 006400 "
    "darkgrey a9a9a9 darkkhaki bdb76b darkmagenta 8b008b darkolivegreen 556b2f darkorange ff8c00 darkorchid 9932cc "
    "darkred 8b0000 darksalmon e9967a darkseagreen 8fbc8f darkslateblue 483d8b darkslategray 2f4f4f "
    "darkslategrey 2f4f4f darkturquoise 00ced1 darkviolet 9400d3 deeppink ff1493 deepskyblue 00bfff dimgray 696969 "
    "dimgrey 696969 dodgerblue 1e90ff firebrick b22222 floralwhite fffaf0 forestgreen 228b22 fuchsia ff00ff "
    "gainsboro dcdcdc ghostwhite f8f8ff gold ffd700 goldenrod daa520 gray 808080 green 008000 greenyellow adff2f "
    "grey 808080 honeydew f0fff0 hotpink ff69b4 indianred cd5c5c indigo 4b0082 ivory fffff0 khaki f0e68c "
    "lavender e6e6fa lavenderblush fff0f5 lawngreen 7cfc00 lemonchiffon fffacd lightblue add8e6 lightcoral f08080 "
    "lightcyan e0ffff lightgoldenrodyellow fafad2 lightgray d3d3d3 lightgreen 90ee90 lightgrey d3d3d3 "
    "lightpink ffb6c1 lightsalmon ffa07a lightseagreen 20b2aa lightskyblue 87cefa lightslategray 778899 "
    "lightslategrey 778899 lightsteelblue b0c4de lightyellow ffffe0 lime 00ff00 limegreen 32cd32 linen faf0e6 "
    "magenta ff00ff maroon 800000 mediumaquamarine 66cdaa mediumblue 0000cd mediumorchid ba55d3 mediumpurple 9370db "
    "mediumseagreen 3cb371 mediumslateblue 7b68ee mediumspringgreen 00fa9a mediumturquoise 48d1cc "
    "mediumvioletred c71585 midnightblue 191970 mintcream f5fffa mistyrose ffe4e1 moccasin ffe4b5 navajowhite ffdead "
    "navy 000080 oldlace fdf5e6 olive 808000 olivedrab 6b8e23 orange ffa500 orangered ff4500 orchid da70d6 "
    "palegoldenrod eee8aa palegreen 98fb98 paleturquoise afeeee palevioletred db7093 papayawhip ffefd5 "
    "peachpuff ffdab9 peru cd853f pink ffc0cb plum dda0dd powderblue b0e0e6 purple 800080 rebeccapurple 663399 "
    "red ff0000 rosybrown bc8f8f royalblue 4169e1 saddlebrown 8b4513 salmon fa8072 sandybrown f4a460 seagreen 2e8b57 "
    "seashell fff5ee sienna a0522d silver c0c0c0 skyblue 87ceeb slateblue 6a5acd slategray 708090 slategrey 708090 "
    "snow fffafa springgreen 00ff7f steelblue 4682b4 tan d2b48c teal 008080 thistle d8bfd8 tomato ff6347 "
    "turquoise 40e0d0 violet ee82ee wheat f5deb3 white ffffff whitesmoke f5f5f5 yellow ffff00 yellowgreen 9acd32"
)
_NAMES: Final = {name: f"#{digits}" for name, digits in re.findall("([a-z]+) ([0-9a-f]{6})", _NAMED)}


def parsed(text: str) -> Colour | None:
    """A colour as CSS writes it; None for what is none, or is seen through."""
    text = text.strip().lower()
    if found := _RGB.fullmatch(text):
        red, green, blue = (min(int(each), 255) for each in found.groups())
        return red, green, blue
    text = _NAMES.get(text, text)
    if not _HEX.fullmatch(text):
        return None
    digits = text[1:] if len(text) == 7 else "".join(each * 2 for each in text[1:])
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def written(colour: Colour) -> str:
    """A colour as everybody writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def spellings(colour: Colour) -> str:
    """A pattern that finds a colour in a text, however it is written there."""
    whole = written(colour)
    short = f"#{whole[1::2]}" if whole[1::2] == whole[2::2] else whole
    names = "|".join(name for name, digits in _NAMES.items() if digits == whole)
    numbers = r"rgb\(\s*{}\s*,?\s*{}\s*,?\s*{}\s*\)".format(*colour)
    return rf"(?i){whole}\b|{short}\b|{numbers}" + (rf"|[:=\"']\s*(?:{names})\b" if names else "")


def contrast(one: Colour, other: Colour) -> float:
    """1 to 21, whichever is text (WCAG 2.1, contrast ratio)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (
        each / 255 / 12.92 if each <= 10 else ((each / 255 + 0.055) / 1.055) ** 2.4  # 0.04045 of 255
        for each in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def readable(colour: Colour, beside: Collection[tuple[Colour, float]]) -> Colour | None:
    """The nearest shade of a colour that has the contrast it needs to each of some others; None if there is none."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*(each / 255 for each in colour))
    for step in range(256):
        for shade in (lightness - step / 255, lightness + step / 255):
            red, green, blue = (round(x * 255) for x in colorsys.hls_to_rgb(hue, min(max(shade, 0), 1), saturation))
            if all(contrast((red, green, blue), other) >= needed for other, needed in beside):
                return red, green, blue
    return None


def completed(theme: Mapping[str, str]) -> Mapping[str, str]:
    """A theme with its colours in figures, and those that follow: of words on `colour`, of links by day and night."""
    whole = dict(theme)
    for key in KEYS:
        if found := parsed(theme.get(key, "")):
            whole[key] = written(found)
    if (colour := parsed(theme.get("colour", ""))) is not None:
        white, dark = ((255, 255, 255), parsed(DARK) or (0, 0, 0))
        whole["on_colour"] = WHITE if contrast(white, colour) >= min(TEXT, contrast(dark, colour)) else DARK
        if "link_colour" not in whole and contrast(colour, white) >= TEXT:
            whole["link_colour"] = whole["colour"]
        night = readable(colour, [((parsed(NIGHT) or (0, 0, 0)), _AT_NIGHT)])
        whole["night_colour"] = written(night or (255, 255, 255))
    return whole


KEYS: Final = ("link_colour", "text_colour", "background", "colour")


class Faint(NamedTuple):
    """A text that is hard to read: its first words, colours, and how much contrast they have and need."""

    words: str
    colour: Colour
    ground: Colour
    ratio: float
    needed: float


def faint(html: str) -> Iterator[Faint]:
    """Each pair of colours of a page, its Jinja taken out, that is hard to read, once."""
    page = _Page()
    page.feed(html)
    page.close()
    for (colour, ground, needed), words in page.pairs.items():
        if (ratio := contrast(colour, ground)) < needed:
            yield Faint(words, colour, ground, ratio, needed)


@dataclass(frozen=True, slots=True)
class _Look:
    """How text looks inside an element. A colour that is not known is None; sizes are in pixels."""

    tag: str = ""
    colour: Colour | None = (0, 0, 0)
    ground: Colour | None = (255, 255, 255)
    size: float = 16.0
    bold: bool = False
    button: bool = False
    seen: bool = True

    @property
    def needed(self) -> float:
        large = self.size >= _LARGE or (self.bold and self.size >= _LARGE_BOLD)
        return LARGE if large or self.button else TEXT


class _Page(HTMLParser):
    """Follows colours through the elements. `pairs`: text colour, ground, what it needs → first words."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: dict[tuple[Colour, Colour, float], str] = {}
        self._open = [_Look()]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self._open.append(_inside(self._open[-1], tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if any(look.tag == tag for look in self._open[1:]):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        look = self._open[-1]
        words = " ".join(data.split())
        if look.seen and look.colour and look.ground and any(sign.isalnum() or sign == FILLED for sign in words):
            self.pairs.setdefault((look.colour, look.ground, look.needed), words.replace(FILLED, "…"))


def _inside(around: _Look, tag: str, values: Mapping[str, str]) -> _Look:
    style = dict(_declared(values.get("style", "")))
    look = replace(
        around,
        tag=tag,
        button=around.button or _BUTTON.search(values.get("class", "")) is not None,
        bold=around.bold or tag in _BOLD,
        size=around.size * _SIZES.get(tag, 1),
        seen=around.seen and tag not in _UNSEEN and not _hidden(style),
    )
    if tag == "a" and "href" in values:
        look = replace(look, colour=(0, 0, 238))  # what browsers give to links
    if tag == "font" and "color" in values:
        look = replace(look, colour=parsed(values["color"]))
    ground = values.get("bgcolor", "")
    for name, value in style.items():
        if name == "color" and value not in ("inherit", "currentcolor"):
            look = replace(look, colour=parsed(value))
        elif name == "color":
            look = replace(look, colour=around.colour)
        elif name in ("background", "background-color"):
            ground = value
        elif name == "font-weight":
            look = replace(look, bold=value in ("bold", "bolder") or (value.isdigit() and int(value) >= 700))
        elif name == "font-size" and (found := _SIZE.fullmatch(value)):
            look = replace(look, size=_pixels(float(found[1]), found[2], around.size))
    if "url(" in ground or "gradient(" in ground or "background" in values:
        return replace(look, ground=None)
    named = [word for word in _WORD.findall(ground) if word not in _GROUNDLESS]
    if not named:
        return look
    return replace(look, ground=parsed(named[0]), button=look.button or tag == "a")


# words of a background that leave it as it is
_GROUNDLESS: Final = frozenset(["transparent", "none", "inherit", "initial", "unset"])


def _declared(style: str) -> Iterator[tuple[str, str]]:
    for declaration in re.split(r";(?![^(]*\))", style):
        name, _, value = declaration.partition(":")
        yield name.strip().lower(), value.replace("!important", "").strip().lower()


def _hidden(style: Mapping[str, str]) -> bool:
    gone = style.get("display") == "none" or style.get("visibility") == "hidden"
    # half seen through: its colour is not known
    return gone or style.get("opacity", "1") != "1" or style.get("font-size") in ("0", "0px", "1px")


def _pixels(number: float, unit: str, around: float) -> float:
    factors = {"px": 1.0, "pt": 4 / 3, "em": around, "rem": 16.0, "%": around / 100}
    return number * factors[unit]
