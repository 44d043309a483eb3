"""Wrong input: one clear error that says what was given and what to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minilm.errors import InvalidInput, MinilmError, WrongType
from minilm.masks import (
    causal_mask,
    decoder_mask,
    document_mask,
    encoder_mask,
    prefix_mask,
    sliding_window_mask,
)

ONES = torch.ones(2, 5)
SCORES = torch.zeros(2, 1, 5, 5)
BOOLEANS = SCORES == 0

# What is asked for → (arguments, options, error, what the message must say).
REFUSED = {
    "more queries than keys": (
        (5, 3),
        {},
        InvalidInput,
        r"query_length=5 and key_length=3.*cached",
    ),
    "a negative length": ((-1, 3), {}, InvalidInput, r"query_length=-1"),
    "a window of nothing": (
        (5, 5),
        {"sliding_window": 0},
        InvalidInput,
        r"sliding_window=0.*itself",
    ),
    "a negative window": ((5, 5), {"sliding_window": -4}, InvalidInput, r"sliding_window=-4"),
    "a window and a half": ((5, 5), {"sliding_window": 1.5}, WrongType, r"1.5 is a float.*whole"),
    "a window from a sloppy file": (
        (5, 5),
        {"sliding_window": 4096.0},
        WrongType,
        r"4096.0 is a fl",
    ),
    "a window of yes": ((5, 5), {"sliding_window": True}, WrongType, r"True is a bool.*None"),
    "a negative prefix": ((5, 5), {"prefix_length": -1}, InvalidInput, r"prefix_length=-1.*0 to 5"),
    "a prefix longer than the keys": ((3, 5), {"prefix_length": 6}, InvalidInput, r"6.*5 keys"),
    "a prefix that is no number": ((3, 5), {"prefix_length": 2.0}, WrongType, r"2.0 is a float"),
    "a prefix of yes": ((3, 5), {"prefix_length": True}, WrongType, r"True is a bool"),
    "a negative prefix in one row": (
        (5, 5),
        {"prefix_length": torch.tensor([1, -2])},
        InvalidInput,
        r"\[1, -2\]",
    ),
    "a prefix too long in one row": (
        (5, 5),
        {"prefix_length": torch.tensor([6, 2])},
        InvalidInput,
        r"\[6, 2\]",
    ),
    "a prefix of floats": (
        (5, 5),
        {"prefix_length": torch.tensor([1.0])},
        WrongType,
        r"torch.float32 of shape \(1,\).*int \(B,\)",
    ),
    "a prefix given as a mask": (
        (5, 5),
        {"prefix_length": torch.ones(5, dtype=torch.bool)},
        WrongType,
        r"torch.bool",
    ),
    "a prefix of two dimensions": (
        (5, 5),
        {"prefix_length": torch.ones(2, 1, dtype=torch.long)},
        WrongType,
        r"shape \(2, 1\)",
    ),
    "a prefix for another batch": (
        (5, 5, ONES),
        {"prefix_length": torch.tensor([1, 2, 3])},
        InvalidInput,
        r"2 in attention_mask, 3 in prefix_length",
    ),
    "a mask of the new tokens alone": (
        (5, 9, ONES),
        {},
        InvalidInput,
        r"5 columns and there are 9 keys: it covers only the new tokens, and 4 cached.*torch\.cat",
    ),
    "a mask too short": (
        (5, 9, torch.ones(2, 7)),
        {},
        InvalidInput,
        r"7 columns.*9 keys.*4 cached",
    ),
    "a mask too long": ((5, 5, torch.ones(2, 7)), {}, InvalidInput, r"7 columns.*5 keys"),
    "a mask too short for a window": (
        (2, 5, torch.ones(2, 4)),
        {"sliding_window": 9},
        InvalidInput,
        r"4 columns.*5 keys",
    ),
    "a mask of one row without its dimension": (
        (5, 5, torch.ones(5)),
        {},
        InvalidInput,
        r"shape \(5,\).*attention_mask\[None\]",
    ),
    "a mask of three dimensions": ((5, 5, torch.ones(2, 5, 5)), {}, InvalidInput, r"\(2, 5, 5\)"),
    "a list": ((3, 3, [[1, 1, 1]]), {}, WrongType, r"is a list; give a tensor"),
    "an array": ((3, 3, np.ones((1, 3))), {}, WrongType, r"is a ndarray"),
    "scores of two dimensions": (
        (2, 2, torch.tensor([[-torch.inf, 0.0]])),
        {},
        InvalidInput,
        r"negative.*1 is a real token.*attention_mask == 0",
    ),
    "scores of four dimensions": ((5, 5, SCORES), {}, InvalidInput, r"torch.float32.*mask == 0"),
    "ones and zeros of four dimensions": (
        (5, 5, BOOLEANS.long()),
        {},
        InvalidInput,
        r"torch.int64.*mask.bool\(\)",
    ),
    "a whole mask for other queries": ((3, 5, BOOLEANS), {}, InvalidInput, r"3 queries"),
    "a padding mask as a whole one": (
        (5, 5, BOOLEANS[:, :, :1]),
        {},
        InvalidInput,
        r"5 queries.*causal order too",
    ),
    "a whole mask for other keys": ((5, 8, BOOLEANS), {}, InvalidInput, r"8 keys"),
    "a whole mask with keys too many": ((4, 4, BOOLEANS[:, :, :4]), {}, InvalidInput, r"4 keys"),
    "a whole mask and a prefix": (
        (5, 5, BOOLEANS),
        {"prefix_length": 2},
        InvalidInput,
        r"prefix_le",
    ),
    "a whole mask and documents": (
        (5, 5, BOOLEANS),
        {"document_ids": ONES},
        InvalidInput,
        r"document_ids came with.*says it all",
    ),
    "documents of the new tokens alone": (
        (2, 5),
        {"document_ids": ONES[:, :2]},
        InvalidInput,
        r"document_ids has 2 columns.*only the new tokens",
    ),
    "documents of wrong length": (
        (5, 5),
        {"document_ids": ONES[:, :4]},
        InvalidInput,
        r"4 columns",
    ),
    "documents for another batch": (
        (5, 5, ONES),
        {"document_ids": torch.zeros(3, 5)},
        InvalidInput,
        r"2 in attention_mask, 3 in document_ids",
    ),
    "positions in a list": ((2, 2), {"position_ids": [[0, 1]]}, WrongType, r"position_ids is a li"),
    "positions of one row without its dimension": (
        (2, 2),
        {"position_ids": torch.arange(2)},
        InvalidInput,
        r"position_ids has the shape \(2,\).*position_ids\[None\]",
    ),
    "positions that are no whole numbers": (
        (2, 2),
        {"position_ids": torch.rand(1, 2)},
        WrongType,
        r"position_ids are torch.float32",
    ),
    "positions of fewer tokens": (
        (3, 3),
        {"position_ids": torch.tensor([[0, 1]])},
        InvalidInput,
        r"position_ids has 2 columns and there are 3 queries",
    ),
    "documents in a list": (
        (2, 2),
        {"document_ids": [[0, 1]]},
        WrongType,
        r"document_ids is a list",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_decoder_refuses(what):
    arguments, options, error, message = REFUSED[what]
    with pytest.raises(error, match=message) as raised:
        decoder_mask(*arguments, **options)
    assert isinstance(raised.value, MinilmError)


@pytest.mark.parametrize(
    ("attention_mask", "error", "message"),
    [
        ([[1, 1]], WrongType, "is a list"),
        (torch.ones(3), InvalidInput, r"shape \(3,\)"),
        (torch.ones(2, 3, 3), InvalidInput, r"\(2, 3, 3\)"),
        (torch.tensor([[0.0, -1e9]]), InvalidInput, "negative"),
        (SCORES, InvalidInput, "booleans"),
    ],
)
def test_an_encoder_refuses(attention_mask, error, message):
    with pytest.raises(error, match=message):
        encoder_mask(attention_mask)


def test_the_blocks_refuse_what_has_no_meaning():
    with pytest.raises(InvalidInput, match="5 queries and 3 keys"):
        causal_mask(5, 3)
    with pytest.raises(InvalidInput, match="5 queries and 3 keys"):
        prefix_mask(5, 3, 2)
    with pytest.raises(InvalidInput, match="window=0"):
        sliding_window_mask(3, 3, 0)
    with pytest.raises(InvalidInput, match="5 queries and 3 document ids"):
        document_mask(torch.zeros(1, 3), 5)
    with pytest.raises(InvalidInput, match="-1 queries and 3 keys"):
        causal_mask(-1, 3)
    with pytest.raises(InvalidInput, match="-1 queries and 3 document ids"):
        document_mask(torch.zeros(1, 3), -1)


def test_numbers_of_numpy_and_of_torch_are_numbers():
    for number in [np.int64(2), torch.tensor(2)]:
        ours = decoder_mask(4, 4, sliding_window=number)
        assert torch.equal(ours, decoder_mask(4, 4, sliding_window=2))
        ours = decoder_mask(4, 4, prefix_length=number)
        assert torch.equal(ours.squeeze(), prefix_mask(4, 4, 2))


def test_one_row_serves_every_text_of_a_batch():
    mask = decoder_mask(3, 3, torch.tensor([[0, 1, 1]]), prefix_length=torch.tensor([1, 2, 3]))
    assert mask.shape == (3, 1, 3, 3)
