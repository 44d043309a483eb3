"""What cannot be is said at once, in one clear error, before anything is written."""

from __future__ import annotations

import copy
import re

import pytest
import torch

import minilm.generation as generation
from minilm.cache import DynamicCache
from minilm.errors import InvalidInput, MinilmError, NotFinite, OutOfRange, WrongType
from minilm.generation.generate import generate

transformers = pytest.importorskip("transformers")

PROMPT = torch.tensor([[3, 4, 5, 6]])
TWO = torch.tensor([[3, 4, 5, 6], [7, 8, 9, 3]])
VECTORS = torch.zeros(1, 4, 16)

# What is given → the error and what it says.
WRONG = [
    ({"max_length": 4}, InvalidInput, "no room for a new one.*max_new_tokens"),
    ({"max_length": 9, "max_new_tokens": 9}, InvalidInput, "one says.*9 tokens, the other at 13"),
    ({"max_new_tokens": 0}, InvalidInput, "max_new_tokens=0.*1 or more"),
    ({"max_new_tokens": "5"}, WrongType, "whole number"),
    ({"max_new_tokens": 2.5}, WrongType, "whole number"),
    ({"do_sample": True, "temperature": 0.0}, InvalidInput, "do_sample=False"),
    ({"do_sample": True, "temperature": 0}, InvalidInput, "do_sample=False"),
    ({"temperature": -0.5}, InvalidInput, "temperature=-0.5.*0 or more"),
    ({"do_sample": True, "temperature": float("nan")}, InvalidInput, "temperature=nan"),
    ({"do_sample": True, "top_p": 1.2}, InvalidInput, "top_p=1.2.*from 0 to 1"),
    ({"do_sample": True, "top_k": -1}, InvalidInput, "top_k=-1"),
    ({"do_sample": "yes"}, WrongType, "True or False"),
    ({"num_beams": 2, "num_return_sequences": 3}, InvalidInput, "no more sequences than beams"),
    ({"num_return_sequences": 3}, InvalidInput, "greedy search finds one"),
    ({"num_beams": 0}, InvalidInput, "num_beams=0"),
    ({"early_stopping": "sometimes", "num_beams": 2}, InvalidInput, "'never'"),
    ({"temprature": 0.5}, WrongType, "'temprature'; did you mean temperature?"),
    ({"attention_musk": torch.ones(1, 4)}, WrongType, "did you mean attention_mask?"),
    ({"streamers": 1}, WrongType, "did you mean streamer?"),
    ({"banana": 1}, WrongType, "no argument 'banana'"),
    ({"token_type_ids": torch.ones(1, 4)}, WrongType, "return_token_type_ids=False"),
    ({"guidance_scale": 2.0}, InvalidInput, "guidance_scale=2.0.*does not have it"),
    ({"penalty_alpha": 0.6}, InvalidInput, "does not have it"),
    ({"custom_generate": "somewhere"}, InvalidInput, "custom_generate"),
    ({"cache_implementation": "quantized"}, InvalidInput, "'dynamic' or 'static'"),
    ({"cache_implementation": "secret"}, InvalidInput, "cache_implementation='secret'"),
    ({"eos_token_id": "the end"}, WrongType, "an id, or a list of ids"),
    ({"eos_token_id": [2, None]}, WrongType, "an id, or a list of ids"),
    ({"bad_words_ids": [5]}, WrongType, "list of ids"),
    ({"suppress_tokens": 5}, WrongType, "list of ids"),
    (
        {"suppress_tokens": [2, 3], "forced_eos_token_id": 2},
        InvalidInput,
        "forced, and forbidden by suppress_tokens",
    ),
    ({"stop_strings": "x"}, InvalidInput, "tokenizer=tokenizer"),
    ({"stop_strings": ["x", ""], "tokenizer": 1}, InvalidInput, "one character or more"),
    ({"stop_strings": "x", "tokenizer": "gpt2"}, WrongType, "AutoTokenizer"),
    ({"logits_processor": 5}, WrongType, "list of things that can be called"),
    ({"stopping_criteria": [5]}, WrongType, "list of things that can be called"),
    ({"generator": 5}, WrongType, "manual_seed"),
    ({"streamer": 5}, WrongType, r"methods put and end.*TextStreamer"),
    ({"generation_config": {"max_new_tokens": 5}}, WrongType, "GenerationConfig"),
    ({"attention_mask": torch.ones(1, 3)}, InvalidInput, "3 columns.*each token: 4"),
    ({"attention_mask": torch.ones(2, 4)}, InvalidInput, "2 rows was given for 1"),
    ({"attention_mask": torch.ones(1, 1, 4, 4)}, InvalidInput, "expected a tensor"),
    ({"attention_mask": [[1, 1, 1, 1]]}, InvalidInput, "list was given"),
    ({"attention_mask": torch.zeros(1, 4)}, InvalidInput, "0 everywhere.*empty"),
    ({"past_key_values": ((1, 2),)}, WrongType, "Tuples of keys"),
    ({"inputs_embeds": torch.zeros(4, 16)}, InvalidInput, "expected"),
    ({"inputs_embeds": torch.zeros(2, 4, 16)}, InvalidInput, "as many"),
    ({"exponential_decay_length_penalty": 3}, WrongType, "a pair"),
    ({"exponential_decay_length_penalty": (1, 2.0)}, InvalidInput, "no eos_token_id"),
    ({"prefix_allowed_tokens_fn": lambda row, ids: []}, InvalidInput, "names no token"),
    ({"on_interrupt": "stop"}, InvalidInput, "'raise' or 'return'"),
    ({"max_time": -1}, InvalidInput, "max_time"),
]


@pytest.mark.parametrize(("given", "kind", "said"), WRONG, ids=lambda x: str(x)[:30])
@pytest.mark.filterwarnings("ignore::minilm.generation.GenerationWarning")
def test_what_does_not_fit_is_said(pair, given, kind, said):
    ours, _ = pair("llama")
    with pytest.raises(kind, match=said) as caught:
        generate(ours, PROMPT, **given)
    assert isinstance(caught.value, MinilmError)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("prompt", "kind", "said"),
    [
        (torch.zeros(1, 0, dtype=torch.int64), InvalidInput, "The prompt is empty"),
        (torch.zeros(0, 4, dtype=torch.int64), InvalidInput, "The prompt is empty"),
        (torch.tensor([3, 4]), InvalidInput, r"input_ids\[None\]"),
        (torch.zeros(1, 4), WrongType, "whole numbers"),
        ([[3, 4]], WrongType, 'return_tensors="pt"'),
        ([[3, 4], [5]], WrongType, 'padding_side="left"'),
        ("Once upon a time", WrongType, "The prompt is of the type text"),
        (torch.tensor([[3, 4]]).numpy(), WrongType, r"type ndarray.*torch.tensor\(ids\)"),
        ({"input_ids": PROMPT}, WrongType, r"generate\(\*\*batch\)"),
        (torch.tensor([[3, 99]]), OutOfRange, "99.*19 tokens"),
        (torch.ones(1, 2, dtype=torch.int64, device="meta"), InvalidInput, "on meta.*on cpu"),
    ],
)
def test_what_is_no_prompt_is_said(pair, prompt, kind, said):
    ours, _ = pair("llama")
    with pytest.raises(kind, match=said):
        generate(ours, prompt, max_new_tokens=2)


def test_no_prompt_at_all_and_nothing_to_begin_with(pair):
    ours, _ = pair("llama", bos_token_id=None)
    with pytest.raises(InvalidInput, match="no bos_token_id"):
        generate(ours, max_new_tokens=2)
    with pytest.raises(InvalidInput, match="Give one"):
        generate(ours, PROMPT, input_ids=PROMPT, max_new_tokens=2)


def test_a_prompt_longer_than_the_positions(pair):
    ours, _ = pair("gpt2")
    ids = torch.full((1, 65), 4)
    with pytest.raises(InvalidInput, match=r"65 tokens.*64 positions.*-32:"):
        generate(ours, ids, max_new_tokens=2)
    # Padding has none.
    mask = torch.ones_like(ids)
    mask[0, :5] = 0
    assert generate(ours, ids, attention_mask=mask, max_new_tokens=3).shape == (1, 68)
    # Where the text grows out of them, it is said then.
    for more in ({}, {"num_beams": 2, "pad_token_id": 0}, {"prompt_lookup_num_tokens": 2}):
        with pytest.raises(OutOfRange, match=r"come to 64 tokens.*max_new_tokens=4 at most"):
            generate(ours, ids[:, :60], max_new_tokens=30, **more)
    with pytest.raises(OutOfRange, match=r"99.*19 tokens"):  # another reason
        generate(ours, torch.tensor([[3, 99]]), max_new_tokens=80)


def test_texts_past_what_a_model_was_trained_for_are_warned_about(pair):
    ours, theirs = pair("llama")
    ids = torch.full((1, 62), 4)
    with pytest.warns(generation.GenerationWarning, match="64"):
        written = generate(ours, ids, max_new_tokens=6)
    assert torch.equal(written, theirs.generate(ids, max_new_tokens=6))


def test_padding_on_the_right_is_warned_about(pair):
    ours, theirs = pair("llama")
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    with pytest.warns(generation.GenerationWarning, match='Row 1.*padding_side="left"'):
        written = generate(ours, TWO, attention_mask=mask, max_new_tokens=3, pad_token_id=0)
    reference = theirs.generate(TWO, attention_mask=mask, max_new_tokens=3, pad_token_id=0)
    assert torch.equal(written, reference)
    padded = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]])
    with pytest.warns(generation.GenerationWarning, match="Pad on the left"):
        generate(ours, padded, max_new_tokens=3, pad_token_id=0)


def test_warnings_are_of_whoever_called(pair):
    ours, _ = pair("llama")
    mask = torch.tensor([[1, 1, 1, 0]])
    with pytest.warns(generation.GenerationWarning) as caught:
        generate(ours, PROMPT, attention_mask=mask, max_new_tokens=3)
    assert caught[0].filename == __file__


def test_settings_that_do_nothing_are_warned_about(pair):
    ours, _ = pair("llama")
    for given, said in (
        ({"temperature": 0.5, "top_p": 0.9}, "temperature=0.5, top_p=0.9 do nothing without do_sa"),
        ({"length_penalty": 2.0}, "length_penalty=2.0 does nothing without num_beams above 1"),
        ({"output_scores": True}, "return_dict_in_generate=True"),
        ({"min_new_tokens": 9}, "may have 7: it will end there"),
    ):
        with pytest.warns(generation.GenerationWarning, match=re.escape(said)):
            generate(ours, PROMPT, max_new_tokens=3, **given)
    with pytest.warns(generation.GenerationWarning, match="20 new tokens"):
        generate(ours, PROMPT)
    with pytest.warns(generation.GenerationWarning, match="nothing is guessed"):
        generate(ours, PROMPT, max_new_tokens=2, num_beams=2, prompt_lookup_num_tokens=2)


def test_a_padding_token_that_is_missing_for_a_batch(pair):
    ours, _ = pair("llama")
    own = [generation.EosTokenCriteria([3])]
    with pytest.raises(InvalidInput, match="pad_token_id is missing"):
        generate(ours, TWO, max_new_tokens=3, stopping_criteria=own)
    assert generate(ours, TWO[:1], max_new_tokens=3, stopping_criteria=own).shape[0] == 1
    assert (
        generate(ours, TWO, max_new_tokens=3, stopping_criteria=own, pad_token_id=0).shape[0] == 2
    )


def test_padding_that_is_no_token_of_the_model(pair):
    ours, theirs = pair("llama")
    more = {"max_new_tokens": 5, "pad_token_id": 32000}
    with pytest.raises(OutOfRange, match=r"pad_token_id=32000.*0 to 18"):
        generate(ours, TWO, eos_token_id=[3, 4, 5, 6], **more)
    for ids, how in ((PROMPT, {}), (TWO, {"eos_token_id": None}), (TWO, {"num_beams": 2})):
        how = {"eos_token_id": [3, 4, 5, 6], **how, **more}
        assert torch.equal(generate(ours, ids, **how), theirs.generate(ids, **how))


def test_a_cache_that_has_it_all_already(pair):
    ours, _ = pair("llama")
    output = generate(ours, PROMPT, max_new_tokens=5, return_dict_in_generate=True)
    with pytest.raises(InvalidInput, match="8 tokens, and the prompt has 4: nothing is new"):
        generate(ours, PROMPT, past_key_values=output.past_key_values, max_new_tokens=2)
    mask = torch.ones(1, 7)
    with pytest.raises(InvalidInput, match="4, or 12 with the cached ones"):
        generate(
            ours,
            PROMPT,
            attention_mask=mask,
            past_key_values=output.past_key_values,
            max_new_tokens=2,
        )


@pytest.mark.parametrize("do_sample", [False, True])
def test_scores_that_are_no_numbers_are_said_with_step_and_row(pair, do_sample):
    ours, _ = pair("llama")
    broken = copy.deepcopy(ours)
    rows = torch.tensor([[3, 4], [5, 6], [7, 8]])
    with torch.no_grad():
        broken.get_input_embeddings().weight[6] = float("nan")
    with pytest.raises(NotFinite, match="new token 1 are NaN in row 1 of"):
        generate(broken, rows, max_new_tokens=2, do_sample=do_sample)
    with torch.no_grad():
        broken.get_input_embeddings().weight[:] = float("nan")
    with pytest.raises(NotFinite, match=r"row 0.*2 more"):
        generate(broken, rows, max_new_tokens=2, do_sample=do_sample)
    assert generate(broken, rows, max_new_tokens=2, remove_invalid_values=True).shape == (3, 4)

    class Later:
        def __call__(self, ids, scores):
            broken_later.get_input_embeddings().weight.data[:] = float("nan")
            return scores

    broken_later = copy.deepcopy(ours)
    with pytest.raises(NotFinite, match="new token 2"):
        generate(broken_later, rows, max_new_tokens=3, logits_processor=[Later()])


def test_infinite_scores_are_numbers_enough(pair):
    ours, _ = pair("llama")
    high = copy.deepcopy(ours)
    with torch.no_grad():
        high.lm_head.weight[:] = 0
        high.lm_head.weight[3] = 1
        high.lm_head.weight[4] = -1
        high.base_model.norm.weight *= 1e38
    with torch.no_grad():
        logits = high(PROMPT).logits
    assert logits.isinf().any()
    assert not logits.isnan().any()
    assert generate(high, PROMPT, max_new_tokens=2).shape == (1, 6)


def test_a_draw_with_nothing_to_draw_from_is_explained(pair):
    ours, _ = pair("llama")
    how = {"max_new_tokens": 3, "do_sample": True}
    with pytest.raises(InvalidInput, match="new token 1, every token is forbidden in row 0"):
        generate(ours, PROMPT, bad_words_ids=[[i] for i in range(19)], **how)
    with pytest.raises(InvalidInput, match="new token 1, row 0 has scores that are NaN"):
        generate(ours, PROMPT, logits_processor=[lambda ids, scores: scores * float("nan")], **how)


def test_a_model_without_a_head_is_said(pair):
    ours, _ = pair("llama")
    with pytest.raises(WrongType, match=r"LlamaModel.*AutoModelForCausalLM"):
        generate(ours.base_model, PROMPT, max_new_tokens=2)
    with pytest.raises(WrongType, match="assistant_model"):
        generate(ours, PROMPT, max_new_tokens=2, assistant_model=ours.base_model)


def test_one_streamer_shows_one_text(pair):
    ours, _ = pair("llama")

    class Streamer(generation.BaseStreamer):
        ended = 0

        def put(self, value):
            raise AssertionError

        def end(self):
            self.ended += 1

    streamer = Streamer()
    for ids, more in ((TWO, {}), (PROMPT, {"num_beams": 2}), (PROMPT, {"do_sample": True})):
        if more.get("do_sample"):
            more["num_return_sequences"] = 2
        with pytest.raises(InvalidInput, match="streamer shows one text"):
            generate(ours, ids, max_new_tokens=2, streamer=streamer, **more)
    assert streamer.ended == 3, "whoever waits for it is let go"


def test_several_sequences_are_refused_with_guesses(pair):
    ours, _ = pair("llama")
    with pytest.raises(InvalidInput, match="writes one text"):
        generate(
            ours,
            PROMPT,
            max_new_tokens=2,
            do_sample=True,
            num_return_sequences=2,
            prompt_lookup_num_tokens=2,
        )


def test_an_empty_cache_may_be_given(pair):
    ours, _ = pair("llama")
    cache = DynamicCache()
    generate(ours, PROMPT, max_new_tokens=2, past_key_values=cache)
    assert cache.get_seq_length() == 5
