"""Characters that the font of a picture can draw."""

from __future__ import annotations

# Signs for characters that have no shape of their own.
_SIGNS = {"\n": "↵", "\r": "↵", "\t": "→"}
_BOX = "▯"


def drawable(text: str, family: str = "DejaVu Sans") -> str:
    """Give a text with the same length in which every character can be drawn.

    text: any text    family: the font's name, one that ships with matplotlib

    Returns the text with signs for line breaks and tabs, and an empty box where the font has nothing.
    """
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family=family)))
    signs = (_SIGNS.get(character, character) for character in text)
    return "".join(sign if font.get_char_index(ord(sign)) else _BOX for sign in signs)
