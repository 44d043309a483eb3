"""GPT-2's byte alphabet: 256 printable characters that stand for the 256 bytes."""

from __future__ import annotations


def byte_alphabet() -> dict[int, str]:
    """Give every byte a printable stand-in (Radford et al. 2019, GPT-2's `bytes_to_unicode`).

    Returns byte → character, 256 entries. A byte that is printable in Latin-1 stands for itself.
    The others (control characters, the spaces, the soft hyphen) get the characters from U+0100
    on, in the order of the bytes, so that a space becomes "Ġ" and a newline "Ċ".

    >>> [byte_alphabet()[byte] for byte in b"A b"]
    ['A', 'Ġ', 'b']
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    printable += range(ord("®"), ord("ÿ") + 1)
    alphabet = {byte: chr(byte) for byte in printable}
    spare = 0x100
    for byte in range(256):
        if byte not in alphabet:
            alphabet[byte] = chr(spare)
            spare += 1
    return alphabet


STAND_INS = byte_alphabet()
BYTE_OF = {character: byte for byte, character in STAND_INS.items()}


def text_to_symbols(text: str) -> str:
    """Write each UTF-8 byte of a text as its stand-in.

    text: any text without lone surrogates

    Returns a string with one character per byte.
    Equals tokenizers' `ByteLevel` normalizer.

    >>> text_to_symbols("é !")
    'Ã©Ġ!'
    """
    # Latin-1 reads byte n as code point n, so that translate meets the bytes themselves.
    return text.encode("utf-8").decode("latin-1").translate(STAND_INS)


def tokens_to_text(tokens: list[str]) -> str:
    r"""Read tokens of stand-ins back as text.

    tokens: what a byte-level model knows its tokens by; a token with a character from outside
        the alphabet (an added token, say) counts as its own UTF-8 bytes

    Returns the text of all bytes joined: a character cut in two by the tokens is whole again,
    and bytes that are no UTF-8 become "\ufffd".
    Equals tokenizers' `ByteLevel` decoder.

    >>> tokens_to_text(["Ġh", "Ã", "©"])
    ' hé'
    """
    spelled: dict[str, bytes] = {}
    for token in set(tokens):
        try:
            spelled[token] = bytes([BYTE_OF[character] for character in token])
        except KeyError:
            spelled[token] = token.encode("utf-8")
    return b"".join(map(spelled.__getitem__, tokens)).decode("utf-8", errors="replace")
