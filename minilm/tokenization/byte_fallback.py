"""Byte fallback: characters that a vocabulary lacks, spelled as pieces like "<0xC3>"."""

from __future__ import annotations

import regex

from minilm.tokenization import utf8

BYTE_PIECE = regex.compile(r"<0x([0-9A-Fa-f]{2})>")


def byte_pieces(character: str) -> list[str]:
    """Spell a character as pieces that name its UTF-8 bytes (Kudo and Richardson 2018).

    character: the character, or any text

    Returns one piece per byte, the number in two capital hexadecimal digits.

    >>> byte_pieces("é")
    ['<0xC3>', '<0xA9>']
    """
    return [f"<0x{byte:02X}>" for one in character for byte in utf8.utf8_bytes(one)]


def join_byte_pieces(tokens: list[str]) -> list[str]:
    r"""Turn each run of byte pieces back into text and leave other tokens as they are.

    tokens: tokens in order, byte pieces among them

    Returns the tokens, one for each run; a run that is no UTF-8 becomes one "\ufffd" a byte.
    Equals tokenizers' `ByteFallback` decoder.

    >>> join_byte_pieces(["h", "<0xC3>", "<0xA9>", "!", "<0xC3>"])
    ['h', 'é', '!', '\ufffd']
    """
    joined, run = list[str](), bytearray()
    for token in [*tokens, None]:  # the None at the end closes the last run
        if byte_piece := token and BYTE_PIECE.fullmatch(token):
            run.append(int(byte_piece[1], 16))
            continue
        if run:
            try:
                joined.append(run.decode("utf-8"))
            except UnicodeDecodeError:
                joined.append("\ufffd" * len(run))
            run.clear()
        if token is not None:
            joined.append(token)
    return joined
