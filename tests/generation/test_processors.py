"""Each processor alone does what transformers' does, bit for bit, and they come in its order."""

from __future__ import annotations

import copy
import math

import pytest
import torch

import minilm.generation as ours
from minilm.errors import InvalidInput, MinilmError, OutOfRange, WrongType
from minilm.generation import building, filters
from minilm.generation.generate import settle

transformers = pytest.importorskip("transformers")
from transformers.generation import logits_process as theirs  # noqa: E402

V = 19
PROMPT = torch.tensor([[4, 5, 6, 4, 5], [7, 7, 7, 7, 7], [0, 0, 3, 18, 3]])
# Name → what it is made with; several of each.
MADE_WITH = {
    "TemperatureLogitsWarper": [{"temperature": t} for t in (0.1, 0.7, 1.0, 3.0)],
    "TopKLogitsWarper": [
        {"top_k": k, "min_tokens_to_keep": n} for k in (1, 3, 19, 40) for n in (1, 4)
    ],
    "TopPLogitsWarper": [
        {"top_p": p, "min_tokens_to_keep": n} for p in (0.0, 0.3, 0.81, 0.99, 1.0) for n in (1, 3)
    ],
    "MinPLogitsWarper": [
        {"min_p": p, "min_tokens_to_keep": n} for p in (0.0, 0.05, 0.5, 1.0) for n in (1, 3)
    ],
    "TopHLogitsWarper": [{"top_h": h} for h in (0.1, 0.4, 0.9, 1.0)],
    "TypicalLogitsWarper": [
        {"mass": p, "min_tokens_to_keep": n} for p in (0.1, 0.5, 0.9, 0.999) for n in (1, 3)
    ],
    "EpsilonLogitsWarper": [
        {"epsilon": e, "min_tokens_to_keep": n} for e in (0.001, 0.05, 0.6) for n in (1, 3)
    ],
    "EtaLogitsWarper": [
        {"epsilon": e, "min_tokens_to_keep": n} for e in (0.001, 0.05, 0.6) for n in (1, 3)
    ],
    "RepetitionPenaltyLogitsProcessor": [
        {"penalty": 1.3},
        {"penalty": 0.6},
        {"penalty": 1.3, "prompt_ignore_length": 2},
        {"penalty": 1.3, "prompt_ignore_length": torch.tensor([0, 3, 1])},
    ],
    "NoRepeatNGramLogitsProcessor": [{"ngram_size": n} for n in (1, 2, 3, 5, 6)],
    "EncoderNoRepeatNGramLogitsProcessor": [
        {"encoder_ngram_size": n, "encoder_input_ids": PROMPT} for n in (1, 2, 3, 6)
    ],
    "EncoderRepetitionPenaltyLogitsProcessor": [
        {"penalty": p, "encoder_input_ids": PROMPT} for p in (1.5, 0.7)
    ],
    "SequenceBiasLogitsProcessor": [
        {"sequence_bias": {(4,): 1.5, (4, 5, 6): -2.5, (5, 6): 0.75, (7, 7): 4.0, (3, 3): -1.0}},
        {"sequence_bias": [[[3], 1.5], [[18, 3, 9], -2.5]]},
    ],
    "NoBadWordsLogitsProcessor": [
        {"bad_words_ids": [[4], [5, 6], [2], [3, 4]], "eos_token_id": 2},
        {"bad_words_ids": [[2], [18, 3, 2]]},
    ],
    "MinLengthLogitsProcessor": [
        {"min_length": n, "eos_token_id": e} for n in (0, 5, 6) for e in (2, [2, 11])
    ],
    "MinNewTokensLengthLogitsProcessor": [
        {"prompt_length_to_skip": 3, "min_new_tokens": n, "eos_token_id": [2, 3]} for n in (2, 3)
    ],
    "ForcedBOSTokenLogitsProcessor": [{"bos_token_id": 4}],
    "ForcedEOSTokenLogitsProcessor": [
        {"max_length": n, "eos_token_id": e} for n in (5, 6) for e in (2, [2, 11])
    ],
    "InfNanRemoveLogitsProcessor": [{}],
    "ExponentialDecayLengthPenalty": [
        {
            "exponential_decay_length_penalty": (n, 1.5),
            "eos_token_id": [2, 5],
            "input_ids_seq_length": 2,
        }
        for n in (0, 2, 3)
    ],
    "SuppressTokensLogitsProcessor": [{"suppress_tokens": [3, 8, 18]}],
    "SuppressTokensAtBeginLogitsProcessor": [
        {"begin_suppress_tokens": [3, 8], "begin_index": n} for n in (4, 5)
    ],
    "LogitNormalization": [{}],
    "PrefixConstrainedLogitsProcessor": [
        {"prefix_allowed_tokens_fn": lambda row, ids: [row, int(ids[-1])], "num_beams": 1}
    ],
}
CASES = [(name, i) for name, several in MADE_WITH.items() for i in range(len(several))]


def scores_of_many_kinds(vocab_size: int = V) -> list[torch.Tensor]:
    """Flat and steep ones, with ties, with tokens forbidden before, with one left."""
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(3, vocab_size, generator=generator)
    forbidden = scores.clone()
    forbidden[:, ::2] = -math.inf
    alone = torch.full_like(scores, -math.inf)
    alone[:, -1] = 1.5
    return [scores, scores * 8, scores.round(), torch.zeros_like(scores), forbidden, alone]


@pytest.mark.parametrize(("name", "i"), CASES)
def test_a_processor_alone_equals_that_of_transformers(name, i):
    settings = MADE_WITH[name][i]
    kinds = scores_of_many_kinds()
    if name == "InfNanRemoveLogitsProcessor":
        kinds[0][0, 3], kinds[0][1, 4] = math.nan, math.inf
    for scores in kinds:
        before = scores.clone()
        mine = getattr(ours, name)(**copy.deepcopy(settings))
        reference = getattr(theirs, name)(**copy.deepcopy(settings))
        for ids in (PROMPT, PROMPT[:, :1]):
            if name == "RepetitionPenaltyLogitsProcessor" and ids.shape[1] == 1:
                continue  # transformers finds nothing to gather where all is left out
            got, expected = mine(ids, scores), reference(ids, scores.clone())
            assert torch.equal(got, expected), (settings, ids)
            assert torch.equal(got.softmax(-1).isnan(), expected.softmax(-1).isnan())
        torch.testing.assert_close(scores, before, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("vocab_size", [1, 2])
def test_tiny_vocabularies_are_filtered_as_well(vocab_size):
    ids = torch.zeros(3, 4, dtype=torch.int64)
    for name in MADE_WITH:
        if "Warper" in name:
            for settings in MADE_WITH[name]:
                for scores in scores_of_many_kinds(vocab_size):
                    if vocab_size == 1 and scores.isneginf().any():
                        continue  # nothing is left to choose from
                    got = getattr(ours, name)(**settings)(ids, scores)
                    assert torch.equal(got, getattr(theirs, name)(**settings)(ids, scores))


def test_another_filter_value_than_minus_infinity_is_used():
    ids, scores = PROMPT, scores_of_many_kinds()[0]
    for name, settings in (
        ("TopKLogitsWarper", {"top_k": 3}),
        ("TopPLogitsWarper", {"top_p": 0.5}),
        ("MinPLogitsWarper", {"min_p": 0.3}),
        ("TypicalLogitsWarper", {"mass": 0.5}),
        ("EpsilonLogitsWarper", {"epsilon": 0.1}),
        ("EtaLogitsWarper", {"epsilon": 0.1}),
        ("TopHLogitsWarper", {"top_h": 0.3}),
    ):
        got = getattr(ours, name)(**settings, filter_value=-50.0)(ids, scores)
        expected = getattr(theirs, name)(**settings, filter_value=-50.0)(ids, scores)
        assert torch.equal(got, expected)
        assert (got == -50.0).any(), name


def test_each_filter_keeps_the_dtype():
    scores = scores_of_many_kinds()[0].double()
    for name in MADE_WITH:
        for settings in MADE_WITH[name]:
            assert getattr(ours, name)(**settings)(PROMPT, scores).dtype == torch.float64, name


def test_plain_functions_are_the_ones_that_the_classes_use(monkeypatch):
    called = []
    for name in (
        "with_temperature",
        "keep_top_k",
        "keep_top_p",
        "keep_min_p",
        "penalize_repetition",
        "forbid_repeated_ngrams",
    ):
        monkeypatch.setattr(
            filters, name, lambda *given, name=name: called.append(name) or given[-2]
        )
    for name in (
        "TemperatureLogitsWarper",
        "TopKLogitsWarper",
        "TopPLogitsWarper",
        "MinPLogitsWarper",
        "RepetitionPenaltyLogitsProcessor",
        "NoRepeatNGramLogitsProcessor",
    ):
        getattr(ours, name)(**MADE_WITH[name][0])(PROMPT, scores_of_many_kinds()[0])
    assert called == [
        "with_temperature",
        "keep_top_k",
        "keep_top_p",
        "keep_min_p",
        "penalize_repetition",
        "forbid_repeated_ngrams",
    ]


ALL_SETTINGS = {
    "sequence_bias": {(4, 5): 1.0},
    "encoder_repetition_penalty": 1.2,
    "repetition_penalty": 1.4,
    "no_repeat_ngram_size": 2,
    "encoder_no_repeat_ngram_size": 3,
    "bad_words_ids": [[3]],
    "min_length": 9,
    "min_new_tokens": 5,
    "forced_bos_token_id": 3,
    "forced_eos_token_id": 2,
    "remove_invalid_values": True,
    "exponential_decay_length_penalty": (3, 1.2),
    "suppress_tokens": [4],
    "begin_suppress_tokens": [5],
    "do_sample": True,
    "temperature": 0.7,
    "top_h": 0.8,
    "top_k": 10,
    "top_p": 0.9,
    "min_p": 0.01,
    "typical_p": 0.9,
    "epsilon_cutoff": 0.001,
    "eta_cutoff": 0.001,
    "renormalize_logits": True,
    "eos_token_id": [2, 6],
    "pad_token_id": 0,
    "max_new_tokens": 10,
}


class MyOwn(ours.LogitsProcessor):
    def __call__(self, input_ids, scores):
        return scores


def names_of(processors) -> list[str]:
    return [type(one).__name__ for one in processors]


@pytest.mark.parametrize("num_beams", [1, 3])
def test_all_processors_come_in_the_order_of_transformers(pair, num_beams):
    mine, reference = pair("llama")
    settings = {**ALL_SETTINGS, "num_beams": num_beams}
    config = settle(mine, None, dict(settings))
    config.max_length = 15
    made = building.processors_for(config, PROMPT, None, [MyOwn()], lambda row, ids: list(range(V)))
    generation_config, _ = reference._prepare_generation_config(None, **copy.deepcopy(settings))
    reference._prepare_special_tokens(generation_config, True, device="cpu")
    generation_config.max_length = 15
    expected = reference._get_logits_processor(
        generation_config,
        input_ids_seq_length=PROMPT.shape[1],
        encoder_input_ids=PROMPT,
        prefix_allowed_tokens_fn=lambda row, ids: list(range(V)),
        logits_processor=theirs.LogitsProcessorList([MyOwn()]),
        device="cpu",
    )
    assert names_of(made) == names_of(expected)
    assert len(made) == 24 + 1
    for one, other in zip(made, expected, strict=True):
        assert getattr(one, "min_tokens_to_keep", 1) == getattr(other, "min_tokens_to_keep", 1)


def test_one_of_ones_own_takes_the_place_of_its_kind(pair):
    mine, _ = pair("llama")
    config = settle(mine, None, {"repetition_penalty": 1.3, "bad_words_ids": [[3]]})
    own = ours.RepetitionPenaltyLogitsProcessor(2.0)
    with pytest.warns(ours.GenerationWarning, match="RepetitionPenaltyLogitsProcessor"):
        made = building.processors_for(config, PROMPT, None, [own, MyOwn()])
    assert made[0] is own
    assert names_of(made)[1:] == ["NoBadWordsLogitsProcessor", "MyOwn"]


def test_padding_repeats_nothing_in_ours():
    """transformers' no_repeat_ngram_size counts left padding as text; ours does not."""
    ids = torch.tensor([[0, 0, 0, 5, 6]])
    scores = torch.zeros(1, V)
    aware = ours.NoRepeatNGramLogitsProcessor(1, prompt_ignore_length=torch.tensor([3]))
    assert aware(ids, scores).isneginf().nonzero()[:, 1].tolist() == [5, 6]
    unaware = theirs.NoRepeatNGramLogitsProcessor(1)
    assert unaware(ids, scores).isneginf().nonzero()[:, 1].tolist() == [0, 5, 6]
    # A row is then treated as it would be alone, without padding.
    alone = ours.NoRepeatNGramLogitsProcessor(2)(ids[:, 3:], scores)
    assert torch.equal(ours.NoRepeatNGramLogitsProcessor(2, torch.tensor([3]))(ids, scores), alone)


def test_a_list_applies_its_processors_in_order_and_hands_on_what_else_there_is():
    class Adds(ours.LogitsProcessor):
        def __call__(self, input_ids, scores, *, more=0.0):
            return scores * 2 + more

    both = ours.LogitsProcessorList([Adds(), Adds()])
    assert both(PROMPT, torch.ones(3, 2), more=1.0).tolist() == [[7.0, 7.0]] * 3


def test_ids_past_the_vocabulary_are_passed_over_or_named():
    scores = torch.zeros(1, 4)
    ids = torch.tensor([[9, 1]])
    assert ours.RepetitionPenaltyLogitsProcessor(2.0)(ids, scores + 1).tolist() == [[1, 0.5, 1, 1]]
    assert ours.SuppressTokensLogitsProcessor([9])(ids, scores).isfinite().all()
    with pytest.raises(OutOfRange, match=r"\[9\].*0 to 3"):
        ours.SequenceBiasLogitsProcessor({(9,): 1.0})(ids, scores)
    with pytest.raises(OutOfRange, match=r"forced.*0 to 3"):
        ours.ForcedBOSTokenLogitsProcessor(9)(ids[:, :1], scores)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("TemperatureLogitsWarper", {"temperature": 0.0}, "do_sample=False"),
        ("TemperatureLogitsWarper", {"temperature": -1.0}, "0 or more"),
        ("TemperatureLogitsWarper", {"temperature": "hot"}, "number"),
        ("TopKLogitsWarper", {"top_k": 0}, "1 or more"),
        ("TopKLogitsWarper", {"top_k": 2.5}, "whole number"),
        ("TopPLogitsWarper", {"top_p": 1.5}, "from 0 to 1"),
        ("MinPLogitsWarper", {"min_p": -0.5}, "from 0 to 1"),
        ("TypicalLogitsWarper", {"mass": 0.0}, "above 0"),
        ("EpsilonLogitsWarper", {"epsilon": 0.0}, "between 0 and 1"),
        ("EtaLogitsWarper", {"epsilon": 1.0}, "between 0 and 1"),
        ("TopHLogitsWarper", {"top_h": 1.5}, "above 0"),
        ("RepetitionPenaltyLogitsProcessor", {"penalty": 0.0}, "above 0"),
        ("NoRepeatNGramLogitsProcessor", {"ngram_size": 0}, "1 or more"),
        ("NoBadWordsLogitsProcessor", {"bad_words_ids": []}, "list of lists"),
        ("NoBadWordsLogitsProcessor", {"bad_words_ids": [3]}, "list of ids"),
        ("SequenceBiasLogitsProcessor", {"sequence_bias": {}}, "tuples of ids"),
        ("SequenceBiasLogitsProcessor", {"sequence_bias": {(-1,): 1.0}}, "tuples of ids"),
        ("MinLengthLogitsProcessor", {"min_length": -1, "eos_token_id": 2}, "0 or more"),
    ],
)
def test_what_a_processor_cannot_be_made_with_is_said(name, settings, said):
    with pytest.raises((InvalidInput, WrongType), match=said) as caught:
        getattr(ours, name)(**settings)
    assert isinstance(caught.value, MinilmError)


def test_an_unsatisfiable_prefix_is_said():
    constrained = ours.PrefixConstrainedLogitsProcessor(lambda row, ids: [], 1)
    with pytest.raises(InvalidInput, match="names no token"):
        constrained(PROMPT, torch.zeros(3, V))


def test_a_number_of_rows_that_differs_is_said():
    penalty = ours.RepetitionPenaltyLogitsProcessor(1.2, torch.tensor([0, 1]))
    with pytest.raises(InvalidInput, match=r"2 rows.*there are 3"):
        penalty(PROMPT, torch.zeros(3, V))
    with pytest.raises(InvalidInput, match="shape"):
        ours.RepetitionPenaltyLogitsProcessor(1.2, torch.tensor([[0, 1]]))
