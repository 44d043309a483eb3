"""The exercise tokens_to_text and its known mistakes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

from minilm.check.catalogue.byte_pairs.characters import alphabet
from minilm.check.catalogue.byte_pairs.words import FRAGMENTS
from minilm.check.exercise import Exercise, Mistake

LESSON = "01_byte_pairs"


def reference_decode(tokens):
    from tokenizers.decoders import ByteLevel

    return ByteLevel().decode(tokens)


def token_bytes(token: str) -> bytes:
    byte_of = {character: byte for byte, character in alphabet()().items()}
    if all(character in byte_of for character in token):
        return bytes(byte_of[character] for character in token)
    return token.encode()


def decoding(**options: str) -> Callable[[list[str]], str]:
    """Make a tokens_to_text that decodes the joined bytes with other options."""
    return lambda tokens: b"".join(map(token_bytes, tokens)).decode(**options)


def decode_inside_only(tokens):
    byte_of = {character: byte for byte, character in alphabet()().items()}
    known = bytes(byte_of[c] for token in tokens for c in token if c in byte_of)
    return known.decode(errors="replace")


def decode_by_character(tokens):
    byte_of = {character: bytes([byte]) for byte, character in alphabet()().items()}
    spelled = b"".join(byte_of.get(c, c.encode()) for token in tokens for c in token)
    return spelled.decode(errors="replace")


def decode_known_only(tokens):
    byte_of = {character: byte for byte, character in alphabet()().items()}
    return bytes(byte_of[c] for token in tokens for c in token).decode(errors="replace")


def decode_whole_tokens(tokens):
    def read(token):
        try:
            return token_bytes(token).decode()
        except UnicodeDecodeError:
            return token

    return "".join(map(read, tokens))


def decode_all_or_nothing(tokens):
    try:
        return decode_known_only(tokens)
    except KeyError:
        return "".join(tokens)


def decode_by_halves(tokens):
    byte_of = {character: byte for byte, character in alphabet()().items()}
    joined = bytearray()
    for token in tokens:
        try:
            for character in token:
                joined.append(byte_of[character])
        except KeyError:
            joined += token.encode()
    return joined.decode(errors="replace")


def decode_every_byte(tokens):
    text = b"".join(map(token_bytes, tokens)).decode(errors="surrogateescape")
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def decode_by_latin(tokens):
    table = {ord(character): byte for byte, character in alphabet()().items()}
    spelled = b""
    for token in tokens:
        try:
            spelled += (
                token.translate(table).encode("latin-1")
                if set(map(ord, token)) <= set(table)
                else token.encode()
            )
        except UnicodeEncodeError:
            spelled += token.encode()
    return str(spelled, "utf-8", "replace")


def decode_incrementally(tokens):
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return "".join(decoder.decode(token_bytes(t)) for t in tokens) + decoder.decode(b"", True)


def draw_tokens(draw: random.Random) -> list[dict]:
    small = [[], ["a"], ["Ġa"], ["a", "b"], ["Ġa", "Ġ"], ["Ċ"], ["Ā"], ["ł"], ["¡"], ["Ã", "©"]]
    small += [["Ã"], ["©"], ["Ã", "x"], ["â", "Ĥ"], ["â", "Ĥ", "¬"], ["ðŁ", "ĺĢ"], ["í", "ł", "Ģ"]]
    small += [
        ["日"],
        ["é日"],
        ["Ã", "日"],
        ["Ġa", "日"],
        [" "],
        ["a b"],
        ["Ã©", "<|endoftext|>"],
        ["ðŁ", "Ã", "©"],
    ]
    table = alphabet()()
    drawn = []
    for _ in range(40):
        spelled = "".join(draw.choices(FRAGMENTS, k=4)).encode()
        symbols = "".join(table[byte] for byte in spelled)
        cuts = sorted(draw.choices(range(len(symbols) + 1), k=4))
        tokens = [symbols[start:end] for start, end in itertools.pairwise(cuts)]
        drawn.append([token for token in tokens if token])
    return [{"tokens": tokens} for tokens in [*small, *drawn]]


TOKENS_TO_TEXT = Exercise(
    answer="minilm.tokenization.byte_alphabet:tokens_to_text",
    lesson=LESSON,
    cases=draw_tokens,
    reference=reference_decode,
    reference_name="tokenizers' ByteLevel decoder",
    mistakes=[
        Mistake(
            "decodes token by token",
            lambda tokens: "".join(token_bytes(token).decode(errors="replace") for token in tokens),
            "Each token is read alone, and a character whose bytes lie in two tokens breaks in "
            "both. Join all the bytes first, decode once.",
        ),
        Mistake(
            "leaves broken tokens as they are",
            decode_whole_tokens,
            "Each token is read alone, and one that is half a character stays in stand-ins: é in "
            "two tokens reads Ã©. Join all the bytes first, decode once.",
        ),
        Mistake(
            "reads the stand-ins as text",
            lambda tokens: "".join(tokens).replace("Ġ", " ").replace("Ċ", "\n"),
            "Spaces and newlines come back, the other stand-ins stay: é reads Ã©. Look every "
            "character up, not only the two you meet most.",
        ),
        Mistake(
            "takes the low byte of each character",
            lambda tokens: bytes(ord(c) % 256 for t in tokens for c in t).decode(errors="replace"),
            "ord(character) % 256 happens to be right up to the space and for whatever stands "
            "for itself. From byte 127 on the moved bytes lie elsewhere.",
        ),
        Mistake(
            "reads the bytes as Latin-1",
            decoding(encoding="latin-1"),
            "The bytes are right, and each becomes a character of its own. They are UTF-8.",
        ),
        Mistake(
            "leaves broken bytes out",
            decoding(errors="ignore"),
            "Bytes that are no UTF-8 vanish, and nobody sees that something was cut. They become "
            "\\ufffd.",
        ),
        Mistake(
            "fails on broken bytes",
            decoding(errors="strict"),
            "Half a character raises UnicodeDecodeError. A model that streams its answer stops "
            "within a character all the time: broken bytes become \\ufffd.",
        ),
        Mistake(
            "marks every broken byte",
            decode_every_byte,
            "Each byte that cannot be read gets its own \\ufffd. The rule is one mark for the "
            "longest beginning of a character: E2 82 without its third byte is one.",
        ),
        Mistake(
            "puts spaces between tokens",
            lambda tokens: b" ".join(map(token_bytes, tokens)).decode(errors="replace"),
            "Tokens are pieces of words. Their spaces are in them, as Ġ.",
        ),
        Mistake(
            "trims the text",
            lambda tokens: decoding(errors="replace")(tokens).strip(),
            "White space at the ends is lost, so text that is generated token by token runs "
            "together.",
        ),
        Mistake(
            "leaves out what the alphabet lacks",
            decode_inside_only,
            "Characters that stand for no byte vanish. They come from added tokens, which are "
            "written as they are.",
        ),
        Mistake(
            "fails on what the alphabet lacks",
            decode_known_only,
            "A character that stands for no byte raises KeyError. It comes from an added token: "
            "take the token's own UTF-8 bytes.",
        ),
        Mistake(
            "gives the whole text up for one token",
            decode_all_or_nothing,
            "One token with a character from outside the alphabet, and all the others are no "
            "longer read either. Decide for each token by itself.",
        ),
        Mistake(
            "spells the beginning of a token twice",
            decode_by_halves,
            "In a token such as é日 you have written the byte of é when 日 turns out not to be in "
            "the alphabet, and then the whole token follows. Collect a token's bytes first.",
        ),
        Mistake(
            "mixes both spellings in one token",
            decode_by_character,
            "In a token such as é日 you read é as byte 233 and 日 as itself. One character outside "
            "the alphabet shows that the whole token is plain text.",
        ),
    ],
    accepts=[decoding(errors="replace"), decode_by_latin, decode_incrementally],
)
