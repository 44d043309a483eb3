import pytest

from minilm.errors import InvalidInput
from minilm.tokenization.utf8 import utf8_bytes

EDGES = [0x0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF]


def test_every_character_is_spelled_as_python_spells_it():
    codes = [*EDGES, *range(0, 0xD800, 7), *range(0xE000, 0x110000, 97)]
    for character in map(chr, codes):
        assert utf8_bytes(character) == list(character.encode("utf-8"))


@pytest.mark.parametrize("half", ["\ud800", "\udbff", "\udc00", "\udfff"])
def test_half_of_a_surrogate_pair_is_refused_by_name(half):
    with pytest.raises(InvalidInput, match=f"U\\+{ord(half):04X}.*surrogate"):
        utf8_bytes(half)
