"""The exercises utf8_bytes and byte_alphabet, and their known mistakes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

from minilm.check.exercise import Exercise, Mistake, Raises
from minilm.errors import InvalidInput

LESSON = "01_byte_pairs"


def reference_utf8(character):
    try:
        return list(character.encode("utf-8"))
    except UnicodeEncodeError:
        return Raises(InvalidInput, ValueError)


def code_of(character):
    if "\ud800" <= character <= "\udfff":
        raise ValueError("half of a surrogate pair")
    return ord(character)


def spelling(
    limits: tuple[int, int, int] = (0x80, 0x800, 0x10000),
    marks: tuple[int, int, int, int] = (0x00, 0xC0, 0xE0, 0xF0),
    follower: int = 0x80,
    mask: int = 0x3F,
    backwards: bool = False,
    refuses_surrogates: bool = True,
) -> Callable[[str], list[int]]:
    """Make a utf8_bytes in which one part of the layout may be wrong."""

    def utf8_bytes(character):
        code = code_of(character) if refuses_surrogates else ord(character)
        followers = sum(code >= limit for limit in limits)
        tail = [follower | code >> 6 * at & mask for at in reversed(range(followers))]
        result = [marks[followers] | code >> 6 * followers, *tail]
        return result[::-1] if backwards else result

    return utf8_bytes


def utf8_by_surrogates(character):
    code = code_of(character)
    if code < 0x10000:
        return spelling()(character)
    halves = 0xD800 + (code - 0x10000 >> 10), 0xDC00 + (code - 0x10000 & 0x3FF)
    return [byte for half in halves for byte in spelling(refuses_surrogates=False)(chr(half))]


def utf8_by_branches(character):
    n = code_of(character)
    if n <= 0x7F:
        return [n]
    if n <= 0x7FF:
        return [0b11000000 | n >> 6, 0b10000000 | n & 0b111111]
    if n <= 0xFFFF:
        return [0b11100000 | n >> 12, 0b10000000 | n >> 6 & 0b111111, 0b10000000 | n & 0b111111]
    return [0b11110000 | n >> 18, *[0b10000000 | n >> shift & 0b111111 for shift in (12, 6, 0)]]


def utf8_by_division(character):
    code, room, rest = code_of(character), 32, []
    if code < 128:
        return [code]
    while True:
        code, digit = divmod(code, 64)
        rest = [128 + digit, *rest]
        if code < room:
            return [256 - 2 * room + code, *rest]
        room //= 2


def utf8_by_digits(character):
    bits = f"{code_of(character):b}"
    length, free = next(
        size for size in ((1, 7), (2, 11), (3, 16), (4, 21)) if len(bits) <= size[1]
    )
    bits = bits.zfill(free)
    if length == 1:
        return [int(bits, 2)]
    cuts = [bits[: free - 6 * (length - 1)]]
    cuts += [bits[at : at + 6] for at in range(len(cuts[0]), free, 6)]
    return [int("1" * length + "0" + cuts[0], 2), *(int("10" + cut, 2) for cut in cuts[1:])]


def draw_characters(draw: random.Random) -> list[dict]:
    edges = "A\x00\x7f\x80é\u07ff\u0800€\ud7ff\ue000\uffff\U00010000🙂\U0010ffff"
    codes = [draw.randrange(*bounds) for bounds in PLANES for _ in range(6)]
    halves = "\ud800\udbff\udc00\udfff"
    return [{"character": character} for character in [*edges, *map(chr, codes), *halves]]


# Where a character has 1, 2, 3 or 4 bytes; the surrogates, which have none, are left out.
PLANES = [(0x00, 0x80), (0x80, 0x800), (0x800, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000)]

UTF8_BYTES = Exercise(
    answer="minilm.tokenization.utf8:utf8_bytes",
    lesson=LESSON,
    cases=draw_characters,
    reference=reference_utf8,
    reference_name="Python's str.encode",
    mistakes=[
        Mistake(
            "gives the code point",
            lambda character: [code_of(character)],
            "Your list holds the character's number in Unicode. Above 127 that number is no byte "
            "of UTF-8: é is number 233 and two bytes long.",
        ),
        Mistake(
            "spells up to 255 in one byte",
            spelling(limits=(0x100, 0x800, 0x10000)),
            "Characters 128 to 255 come out as one byte. That is Latin-1. In UTF-8 a byte above "
            "127 is always part of a longer run.",
        ),
        Mistake(
            "gives U+007F two bytes",
            spelling(limits=(0x7F, 0x800, 0x10000)),
            "The last character of one byte is 127, which seven bits can hold. Yours already "
            "gets two, and UTF-8 forbids a longer spelling than needed.",
        ),
        Mistake(
            "gives U+0080 one byte",
            spelling(limits=(0x81, 0x800, 0x10000)),
            "128 needs an eighth bit, and a first byte with that bit set announces a longer run. "
            "One byte ends at 127.",
        ),
        Mistake(
            "gives U+07FF three bytes",
            spelling(limits=(0x80, 0x7FF, 0x10000)),
            "Two bytes hold 5 + 6 bits, up to 2047. Your comparison leaves out the last one.",
        ),
        Mistake(
            "gives U+0800 two bytes",
            spelling(limits=(0x80, 0x801, 0x10000)),
            "Two bytes hold 5 + 6 bits. 2048 needs a twelfth, which runs over into the mark.",
        ),
        Mistake(
            "gives U+FFFF four bytes",
            spelling(limits=(0x80, 0x800, 0xFFFF)),
            "Three bytes hold 4 + 6 + 6 bits, up to 65535. Your comparison leaves out the last one.",
        ),
        Mistake(
            "gives U+10000 three bytes",
            spelling(limits=(0x80, 0x800, 0x10001)),
            "Three bytes hold 4 + 6 + 6 bits. 65536 needs a seventeenth, which runs over into "
            "the mark.",
        ),
        Mistake(
            "stops at three bytes",
            spelling(limits=(0x80, 0x800, 0x110000)),
            "Characters from U+10000 on, every emoji among them, get three bytes. They need four: "
            "the first number comes out too large for its place.",
        ),
        Mistake(
            "goes by way of UTF-16",
            utf8_by_surrogates,
            "A character above U+FFFF is cut into two surrogates of three bytes each. That is "
            "CESU-8. UTF-8 spells the character's own number in four bytes.",
        ),
        Mistake(
            "keeps all the bits above",
            spelling(mask=-1),
            "The bytes that follow carry six bits each. Yours keep everything that stands left of "
            "them, so they grow past 255. Mask with 0x3F after shifting.",
        ),
        Mistake(
            "keeps only five bits",
            spelling(mask=0x1F),
            "The bytes that follow carry six bits each. Your mask lets five through, so half the "
            "characters turn into others. Six ones are 0x3F.",
        ),
        Mistake(
            "puts the low bits first",
            spelling(backwards=True),
            "The bytes are right and in the wrong order: a reader must meet the first byte first, "
            "since it says how many follow.",
        ),
        Mistake(
            "leaves the followers unmarked",
            spelling(follower=0x00),
            "The bytes that follow carry no mark. Without 10 in front (0x80) they look like "
            "letters of their own, and a reader cannot tell where a character begins.",
        ),
        Mistake(
            "marks the followers as first bytes",
            spelling(follower=0xC0),
            "The bytes that follow begin with 11, the mark of a first byte. They begin with 10: "
            "the mark is 0x80.",
        ),
        Mistake(
            "marks every first byte alike",
            spelling(marks=(0x00, 0xC0, 0xC0, 0xC0)),
            "The first byte says how many there are: 110 for two, 1110 for three, 11110 for four. "
            "Yours says two for longer ones as well.",
        ),
        Mistake(
            "spells half a surrogate pair",
            spelling(refuses_surrogates=False),
            "All characters are right. U+D800 to U+DFFF are halves that UTF-16 uses, no characters: "
            "UTF-8 has no bytes for them, so raise InvalidInput.",
        ),
    ],
    accepts=[
        lambda character: list(character.encode()),
        utf8_by_branches,
        utf8_by_division,
        utf8_by_digits,
    ],
)


def reference_alphabet():
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return dict(sorted(bytes_to_unicode().items()))


def alphabet(
    ranges: Sequence[tuple[int, int]] = ((0x21, 0x7E), (0xA1, 0xAC), (0xAE, 0xFF)),
    first_spare: int = 0x100,
) -> Callable[[], dict[int, str]]:
    """Make a byte_alphabet; bytes in the ranges, both ends included, stand for themselves."""

    def byte_alphabet():
        kept = {byte for low, high in ranges for byte in range(low, high + 1)}
        spare = itertools.count(first_spare)
        return {byte: chr(byte) if byte in kept else chr(next(spare)) for byte in range(256)}

    return byte_alphabet


def alphabet_by_two_lists():
    bs = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    cs = bs[:]
    n = 0
    for b in range(256):
        if b not in bs:
            bs.append(b)
            cs.append(256 + n)
            n += 1
    return dict(zip(bs, map(chr, cs), strict=True))


def alphabet_by_categories():
    import unicodedata

    unprintable = [b for b in range(256) if unicodedata.category(chr(b)) in ("Cc", "Cf", "Zs")]
    table = {b: chr(b) for b in range(256)}
    for place, b in enumerate(unprintable):
        table[b] = chr(0x100 + place)
    return table


def alphabet_by_search():
    moved = [*range(0x21), *range(0x7F, 0xA1), 0xAD]
    return {b: chr(256 + moved.index(b)) if b in moved else chr(b) for b in range(255, -1, -1)}


BYTE_ALPHABET = Exercise(
    answer="minilm.tokenization.byte_alphabet:byte_alphabet",
    lesson=LESSON,
    cases=lambda draw: [{}],
    reference=reference_alphabet,
    reference_name="transformers' bytes_to_unicode",
    mistakes=[
        Mistake(
            "lets every byte stand for itself",
            lambda: {byte: chr(byte) for byte in range(256)},
            "Your table is Latin-1: a space stays a space and a newline a newline. A file of "
            "merges, one pair a line with a space between, could not be read back.",
        ),
        Mistake(
            "moves every byte",
            lambda: {byte: chr(0x100 + byte) for byte in range(256)},
            "Every byte gets a character from U+0100 on, so even A cannot be read. Printable "
            "bytes stay what they are.",
        ),
        Mistake(
            "skips places among the stand-ins",
            lambda: {
                byte: character if ord(character) < 0x100 else chr(0x100 + byte)
                for byte, character in alphabet()().items()
            },
            "A moved byte gets character 256 + byte. GPT-2 counts the moved bytes instead: the "
            "first gets U+0100, the next U+0101, with no gap. The two agree up to the space, "
            "and part at byte 127.",
        ),
        Mistake(
            "starts the stand-ins one late",
            alphabet(first_spare=0x101),
            "The first moved byte gets U+0101. It gets U+0100, the first character that is no "
            "byte.",
        ),
        Mistake(
            "starts the stand-ins one early",
            alphabet(first_spare=0xFF),
            "The first moved byte gets U+00FF, which already stands for byte 255. Two bytes with "
            "one character cannot be told apart when you decode.",
        ),
        Mistake(
            "keeps the soft hyphen",
            alphabet(((0x21, 0x7E), (0xA1, 0xFF))),
            "Byte 0xAD stands for itself, but U+00AD is the soft hyphen, which no screen shows. "
            "It is the last byte that moves, to U+0143.",
        ),
        Mistake(
            "keeps the space",
            alphabet(((0x20, 0x7E), (0xA1, 0xAC), (0xAE, 0xFF))),
            "Byte 0x20 stands for itself. The space is what the alphabet is made to hide: the "
            "file of merges uses it between the two halves of a pair.",
        ),
        Mistake(
            "keeps the no-break space",
            alphabet(((0x21, 0x7E), (0xA0, 0xAC), (0xAE, 0xFF))),
            "Byte 0xA0 stands for itself, and U+00A0 is a space that looks like any other. The "
            "second range begins at ¡, U+00A1.",
        ),
        Mistake(
            "keeps the delete character",
            alphabet(((0x21, 0x7F), (0xA1, 0xAC), (0xAE, 0xFF))),
            "Byte 0x7F stands for itself, and U+007F is a control character. The first range ends "
            "at ~, U+007E.",
        ),
        Mistake(
            "moves the tilde",
            alphabet(((0x21, 0x7D), (0xA1, 0xAC), (0xAE, 0xFF))),
            "Byte 0x7E (~) moves. A Python range leaves out its end: write range(33, 127).",
        ),
        Mistake(
            "moves the not sign",
            alphabet(((0x21, 0x7E), (0xA1, 0xAB), (0xAE, 0xFF))),
            "Byte 0xAC (¬) moves. A Python range leaves out its end: write range(161, 173).",
        ),
        Mistake(
            "moves the last byte",
            alphabet(((0x21, 0x7E), (0xA1, 0xAC), (0xAE, 0xFE))),
            "Byte 0xFF (ÿ) moves. A Python range leaves out its end: write range(174, 256).",
        ),
        Mistake(
            "moves everything above ASCII",
            alphabet(((0x21, 0x7E),)),
            "Only ASCII stands for itself. The printable half of Latin-1, ¡ to ÿ without the soft "
            "hyphen, does too.",
        ),
        Mistake(
            "turns the table round",
            lambda: {character: byte for byte, character in alphabet()().items()},
            "Your dictionary goes from character to byte. It is the right table, read from the "
            "other side: keys are bytes here.",
        ),
    ],
    accepts=[alphabet_by_two_lists, alphabet_by_categories, alphabet_by_search],
)
