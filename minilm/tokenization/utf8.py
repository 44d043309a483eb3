"""UTF-8: how a code point becomes one to four bytes."""

from __future__ import annotations

from minilm.errors import InvalidInput


def utf8_bytes(character: str) -> list[int]:
    """Spell one character as its UTF-8 bytes (RFC 3629).

    character: a string of length 1

    Returns 1 to 4 numbers from 0 to 255, as `list(character.encode("utf-8"))`: the first says how
    many follow, the others carry six bits each.
    Raises InvalidInput for half of a surrogate pair, which is no character and has no bytes.

    >>> [hex(byte) for byte in utf8_bytes("é")]
    ['0xc3', '0xa9']
    """
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        raise InvalidInput(f"U+{code:04X} is half of a surrogate pair. Give a whole character.")
    if code < 0x80:
        return [code]
    followers = [0x80 | code & 0x3F]  # the last six bits, marked 10xxxxxx
    code >>= 6
    room = 0x20  # 110xxxxx holds five more bits, then 1110xxxx four, 11110xxx three
    while code >= room:
        followers.insert(0, 0x80 | code & 0x3F)
        code >>= 6
        room >>= 1
    return [0x100 - 2 * room | code, *followers]
