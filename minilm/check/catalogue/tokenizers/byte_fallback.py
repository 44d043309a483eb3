"""Mistakes in spelling a character as byte pieces."""

from __future__ import annotations

import random
from collections.abc import Iterable

from minilm.check.exercise import Case, Exercise, Mistake

LESSON = "02_tokenizers"


def byte_pieces_cases(draw: random.Random) -> list[Case]:
    """Characters of one to four bytes, some below 16, some in no plane people remember."""
    known = [
        "a",
        "\n",
        "\x00",
        "~",
        "é",
        "ß",
        "\u00ff",
        "ж",
        "€",
        "中",
        "\ufeff",
        "🙂",
        "\U0010ffff",
    ]
    drawn = [chr(draw.choice([draw.randint(0, 127), draw.randint(160, 0xD7FF)])) for _ in range(12)]
    several = ["ab", "é!", "€🙂"]  # "or any text"
    return [{"character": character} for character in known + several + drawn]


def byte_pieces_reference(character: str) -> list[str]:
    """Ask tokenizers' BPE with byte_fallback and no other piece."""
    from tokenizers.models import BPE

    model = BPE({f"<0x{byte:02X}>": byte for byte in range(256)}, [], byte_fallback=True)
    return [token.value for token in model.tokenize(character)]


def _code_point_bytes(character: str) -> bytes:
    """The bytes of the number of each character, highest first."""
    numbers = map(ord, character)
    return b"".join(n.to_bytes(max(1, (n.bit_length() + 7) // 8), "big") for n in numbers)


def _spell(numbers: Iterable[int]) -> list[str]:
    return [f"<0x{number:02X}>" for number in numbers]


def _byte_pieces_by_format(character):
    return ["<0x%02X>" % number for number in bytearray(character, "utf8")]  # noqa: UP031


def _byte_pieces_by_hex(character):
    digits = character.encode().hex().upper()
    return [f"<0x{digits[i : i + 2]}>" for i in range(0, len(digits), 2)]


def _byte_pieces_by_padding(character):
    pieces = []
    for number in character.encode("utf-8"):
        digits = hex(number)[2:].upper().rjust(2, "0")
        pieces += ["<0x" + digits + ">"]
    return tuple(pieces)


byte_pieces = Exercise(
    answer="minilm.tokenization.byte_fallback:byte_pieces",
    lesson=LESSON,
    cases=byte_pieces_cases,
    reference=byte_pieces_reference,
    reference_name="tokenizers' byte_fallback",
    mistakes=[
        Mistake(
            "small hexadecimal digits",
            lambda character: [f"<0x{number:02x}>" for number in character.encode()],
            "Your code writes <0xc3>. The vocabulary holds <0xC3>, capitals, and a piece that "
            "differs in case is another piece: it has no id.",
        ),
        Mistake(
            "no leading zero",
            lambda character: [f"<0x{number:X}>" for number in character.encode()],
            "Your code writes <0xA> for a line break. The vocabulary holds <0x0A>: always two "
            "digits. Only bytes below 16 show it, and every line break is one.",
        ),
        Mistake(
            "the code point instead of its bytes",
            lambda character: [f"<0x{ord(one):02X}>" for one in character],
            "Your code writes the number of the character. There are 256 byte pieces and a million "
            "characters: encode it as UTF-8 first, one piece per byte.",
        ),
        Mistake(
            "the bytes of the code point",
            lambda character: _spell(_code_point_bytes(character)),
            "Your code cuts the code point's number into bytes. UTF-8 spreads the bits differently "
            "(it marks first and later bytes), so no decoder gets the character back.",
        ),
        Mistake(
            "looks at the first character only",
            lambda character: _spell(character[0].encode()),
            "Your code spells the first character and drops the rest. It may be given a whole "
            "stretch of text.",
        ),
        Mistake(
            "one character and no more",
            lambda character: _spell(chr(ord(character)).encode()),
            "Your code works for one character and stops with an error at two (ord wants exactly "
            "one). It may be given a whole stretch of text: go over its characters.",
        ),
        Mistake(
            "UTF-16 instead of UTF-8",
            lambda character: _spell(character.encode("utf-16-le")),
            "Your code spells the UTF-16 bytes. Models were trained on UTF-8: other bytes, other "
            "ids, even for plain letters.",
        ),
        Mistake(
            "UTF-16 in the other byte order",
            lambda character: _spell(character.encode("utf-16-be")),
            "Your code spells the UTF-16 bytes. Models were trained on UTF-8: other bytes, other "
            "ids, even for plain letters.",
        ),
        Mistake(
            "all bytes in one piece",
            lambda character: [f"<0x{character.encode().hex().upper()}>"],
            "Your code writes one piece for the whole character. The vocabulary has a piece per "
            "byte, 256 of them; that is how it can spell anything.",
        ),
        Mistake(
            "bytes in reverse",
            lambda character: _spell(reversed(character.encode())),
            "Your code lists the last byte first. UTF-8 has one order, first byte first, and the "
            "decoder reads it so.",
        ),
        Mistake(
            "decimal numbers",
            lambda character: [f"<0x{number:02d}>" for number in character.encode()],
            "Your code writes the bytes in decimal behind 0x. The vocabulary counts in "
            "hexadecimal: byte 195 is <0xC3>.",
        ),
        Mistake(
            "the bare digits",
            lambda character: [f"{number:02X}" for number in character.encode()],
            "Your code leaves out <0x and >. Without them 'C3' could be text somebody typed; the "
            "brackets make it a piece of its own.",
        ),
        Mistake(
            "numbers instead of pieces",
            lambda character: list(character.encode()),
            "Your code returns the bytes as numbers. A vocabulary maps pieces, which are strings, "
            "to ids: write each byte as its piece.",
        ),
        Mistake(
            "leaves ASCII alone",
            lambda character: [character] if ord(character) < 128 else _spell(character.encode()),
            "Your code keeps ASCII characters as they are. This function is asked when a character "
            "is in no piece, and that can happen to an ASCII one: a tab, say.",
        ),
        Mistake(
            "one string",
            lambda character: "".join(_spell(character.encode())),
            "Your code joins the pieces into one string. Each piece gets its own id, so return a "
            "list.",
        ),
    ],
    accepts=[_byte_pieces_by_format, _byte_pieces_by_hex, _byte_pieces_by_padding],
)
