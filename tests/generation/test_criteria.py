"""Every reason to stop, alone and in `generate`."""

from __future__ import annotations

import time

import pytest
import torch

import minilm.generation as generation
from minilm.errors import InvalidInput, WrongType
from minilm.generation.generate import generate

transformers = pytest.importorskip("transformers")
TEXT = (
    "the cat sat on the mat. The dog's café — naïve 漢字 🙂 stop here\nnew line, do not stop! END"
)
IDS = torch.tensor([[3, 4, 2], [3, 2, 4]])


KINDS = ["byte_level", "byte_fallback", "word_pieces", "metaspace"]


def test_each_criterion_alone():
    assert generation.MaxLengthCriteria(3)(IDS, None).tolist() == [True, True]
    assert generation.MaxLengthCriteria(4)(IDS, None).tolist() == [False, False]
    assert generation.EosTokenCriteria(2)(IDS, None).tolist() == [True, False]
    assert generation.EosTokenCriteria([4, 2])(IDS, None).tolist() == [True, True]
    assert generation.EosTokenCriteria(torch.tensor([9]))(IDS, None).tolist() == [False, False]
    several_new = generation.EosTokenCriteria(2)(IDS, None, new_token_length=2)
    assert several_new.tolist() == [True, True]
    assert generation.MaxTimeCriteria(1000.0)(IDS).tolist() == [False, False]
    long_ago = generation.MaxTimeCriteria(1000.0, time.time() - 1001)
    assert long_ago(IDS).tolist() == [True, True]
    for criterion in (generation.MaxLengthCriteria(3), generation.EosTokenCriteria(2)):
        assert criterion(IDS, None).dtype == torch.bool


def test_a_list_of_criteria_ends_a_row_where_one_of_them_does():
    criteria = generation.StoppingCriteriaList(
        [generation.EosTokenCriteria(4), lambda ids, scores: torch.tensor([False, False])]
    )
    assert criteria(IDS, None).tolist() == [False, True]
    assert criteria.max_length is None
    criteria.append(generation.MaxLengthCriteria(3))
    assert criteria(IDS, None).tolist() == [True, True]
    assert criteria.max_length == 3
    assert generation.StoppingCriteriaList()(IDS, None).tolist() == [False, False]


STRINGS = [
    ["stop"],
    ["the"],
    ["é", "END"],
    ["\n"],
    ["do not", "cat sat"],
    ["🙂"],
    ["字"],
    ["t. The"],
    ["a"],
    [" c"],
    ["zebra"],
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strings", STRINGS, ids=str)
def test_strings_are_found_wherever_tokens_begin_and_end(tokenizer_pair, kind, strings):
    ours, theirs = tokenizer_pair(kind)
    mine = generation.StopStringCriteria(ours, strings)
    try:
        reference = transformers.StopStringCriteria(theirs, strings)
    except ValueError:  # it knows no token that could be a part of one
        reference = None
    generator = torch.Generator().manual_seed(2)
    text = torch.tensor(ours.encode(TEXT, add_special_tokens=False))
    n_found = 0
    for end in range(1, len(text) + 1):
        drawn = torch.randint(0, len(ours.get_vocab()), (8,), generator=generator)
        for ids in (text[:end], text[max(end - 3, 0) : end], drawn):
            found = mine(ids[None], None).tolist()
            n_found += found[0]
            if reference is not None:
                assert found == reference(ids[None], None).tolist(), ids
    text_of_it = ours.decode(text.tolist())
    assert bool(n_found) >= any(string in text_of_it for string in strings)


def test_a_string_counts_only_where_the_last_token_has_a_part_in_it(tokenizer_pair):
    ours, _ = tokenizer_pair("byte_level")
    criterion = generation.StopStringCriteria(ours, "sat")
    before, after = ours.encode("the cat sat"), ours.encode("the cat sat on the mat")
    assert criterion(torch.tensor([before]), None).tolist() == [True]
    assert criterion(torch.tensor([after]), None).tolist() == [False]


def test_texts_stop_at_strings_and_at_the_end_as_those_of_transformers(pair, tokenizer_pair):
    tokenizer, theirs_tokenizer = tokenizer_pair("byte_level")
    n_words = len(tokenizer.get_vocab())
    ours, theirs = pair("llama", vocab_size=n_words)
    ids = torch.randint(1, n_words, (6, 4), generator=torch.Generator().manual_seed(0))
    how = {"max_new_tokens": 30, "do_sample": True, "eos_token_id": 0, "pad_token_id": 5}
    n_ended = 0
    for seed, strings in enumerate((["a"], ["e", "th"], "s", ["\n", " "])):
        torch.manual_seed(seed)
        mine = generate(ours, ids, stop_strings=strings, tokenizer=tokenizer, **how)
        torch.manual_seed(seed)
        reference = theirs.generate(ids, stop_strings=strings, tokenizer=theirs_tokenizer, **how)
        assert torch.equal(mine, reference)
        n_ended += int((mine[:, -1] == 5).sum())
    assert n_ended > 3


def test_time_that_is_up_ends_the_text(pair):
    ours, _ = pair("llama")
    written = generate(ours, IDS, max_new_tokens=50, max_time=0.0)
    assert written.shape == (2, 4), "the token that is being written is finished"


def test_a_criterion_of_ones_own_ends_rows_or_all(pair):
    ours, theirs = pair("llama")

    class Rows:
        def __call__(self, input_ids, scores, **more):
            return input_ids[:, -1] > 9

    how = {"max_new_tokens": 12, "eos_token_id": 2, "pad_token_id": 0}
    for own in ([Rows()], [lambda ids, scores, **more: torch.full((2,), ids.shape[1] > 6)]):
        mine = generate(ours, IDS, stopping_criteria=own, **how)
        reference = theirs.generate(
            IDS, stopping_criteria=transformers.StoppingCriteriaList(own), **how
        )
        assert torch.equal(mine, reference)
    seen = []
    generate(
        ours,
        IDS,
        max_new_tokens=3,
        return_dict_in_generate=True,
        output_scores=True,
        stopping_criteria=[lambda ids, scores: seen.append(len(scores)) or ids[:, 0] < 0],
    )
    assert seen == [1, 2, 3]


def test_what_cannot_stop_anything_is_said(tokenizer_pair):
    ours, _ = tokenizer_pair("byte_level")
    with pytest.raises(InvalidInput, match="one character or more"):
        generation.StopStringCriteria(ours, [])
    with pytest.raises(WrongType, match="list of strings"):
        generation.StopStringCriteria(ours, [5])
    with pytest.raises(WrongType, match="AutoTokenizer"):
        generation.StopStringCriteria("gpt2", "x")
    with pytest.raises(InvalidInput, match="max_time=-1"):
        generation.MaxTimeCriteria(-1)
