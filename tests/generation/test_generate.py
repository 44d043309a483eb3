"""`generate` writes what transformers' does, whatever it is given to go on from and asked for."""

from __future__ import annotations

import copy
import warnings
from functools import partial

import pytest
import torch

import minilm.generation as generation
from minilm.cache import DynamicCache, StaticCache
from minilm.generation import filters, loop
from minilm.generation.config import config_of
from minilm.generation.generate import generate

transformers = pytest.importorskip("transformers")

FAMILIES = ["gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3"]
VOCAB = 19
END = {"eos_token_id": [2, 5], "pad_token_id": 0}
pytestmark = pytest.mark.filterwarnings("ignore:Nothing says how long")


def seeded(seed, write, *given, **settings):
    torch.manual_seed(seed)
    return write(*given, **copy.deepcopy(settings)), torch.rand(1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("padded", [False, True])
def test_greedy_and_sampled_tokens_are_those_of_transformers(pair, prompts, family, batch, padded):
    ours, theirs = pair(family)
    ids, mask = prompts(batch, 6, [i % 5 for i in range(batch)] if padded else ())
    for settings in (
        {},
        {"use_cache": False},
        {"do_sample": True},
        {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 7},
        {"do_sample": True, "num_return_sequences": 3, "repetition_penalty": 1.3},
    ):
        how = {**END, **settings, "attention_mask": mask, "max_new_tokens": 9}
        mine, after = seeded(5, partial(generate, ours), ids, **how)
        expected, after_theirs = seeded(5, theirs.generate, ids, **how)
        assert torch.equal(mine, expected), settings
        assert torch.equal(after, after_theirs), "as many draws"


@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral"])
def test_a_padded_batch_is_written_as_each_alone(pair, prompts, family):
    ours, _ = pair(family)
    ids, mask = prompts(4, 7, [0, 3, 5, 6])
    together = generate(ours, ids, attention_mask=mask, max_new_tokens=8)
    for row, n in enumerate([0, 3, 5, 6]):
        alone = generate(ours, ids[row : row + 1, n:], max_new_tokens=8)
        assert together[row, n:].tolist() == alone[0].tolist()


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_padding_is_no_text_that_no_repeat_ngram_size_counts_and_in_transformers_it_is(
    pair, family
):
    ours, theirs = pair(family)
    ids = torch.tensor([[17, 12, 11, 3]])
    settings = {"max_new_tokens": 8, "no_repeat_ngram_size": 1}
    alone = generate(ours, ids, **settings)
    pad = int(alone[0, 4])  # a token that this text would have
    padded = torch.cat([torch.full((1, 2), pad), ids], dim=1)
    settings |= {"attention_mask": torch.tensor([[0, 0, 1, 1, 1, 1]]), "pad_token_id": pad}
    assert torch.equal(generate(ours, padded, **settings)[:, 2:], alone)
    reference = theirs.generate(padded, **settings)[0, 6:].tolist()
    assert pad not in reference, "transformers takes the padding for text that has been"
    assert reference != alone[0, 4:].tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_everything_else_that_is_asked_for_equals_transformers(pair, prompts, family):
    ours, theirs = pair(family)
    theirs = copy.deepcopy(theirs)
    theirs.set_attn_implementation("eager")
    ids, mask = prompts(2, 5, [0, 2])
    how = {
        **END,
        "attention_mask": mask,
        "max_new_tokens": 6,
        "do_sample": True,
        "temperature": 0.7,
        "return_dict_in_generate": True,
        "output_scores": True,
        "output_logits": True,
        "output_attentions": True,
        "output_hidden_states": True,
    }
    mine, _ = seeded(1, partial(generate, ours), ids, **how)
    expected, _ = seeded(1, theirs.generate, ids, **how)
    assert isinstance(mine, generation.GenerateDecoderOnlyOutput)
    assert list(mine) == list(expected)
    assert torch.equal(mine.sequences, expected.sequences)
    assert mine.past_key_values.get_seq_length() == expected.past_key_values.get_seq_length()
    for name in ("scores", "logits"):
        assert len(mine[name]) == mine.sequences.shape[1] - 5
        for one, other in zip(mine[name], expected[name], strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    real = mask.bool()
    for name in ("attentions", "hidden_states"):
        for step, (one, other) in enumerate(zip(mine[name], expected[name], strict=True)):
            assert len(one) == len(other)
            for layer, reference in zip(one, other, strict=True):
                assert layer.shape == reference.shape
                if step == 0:  # padding looks at other things in eager attention: all or nothing
                    rows = real if name == "hidden_states" else real[:, None].expand(-1, 4, -1)
                    layer, reference = layer[rows], reference[rows]
                torch.testing.assert_close(layer, reference, atol=1e-4, rtol=0)


def test_only_what_is_asked_for_is_there(pair, prompts):
    ours, _ = pair("llama")
    ids, _ = prompts(1, 4)
    plain = generate(ours, ids, max_new_tokens=2)
    assert isinstance(plain, torch.Tensor)
    output = generate(ours, ids, max_new_tokens=2, return_dict_in_generate=True, use_cache=False)
    assert list(output) == ["sequences"]
    with pytest.warns(generation.GenerationWarning, match="return_dict_in_generate"):
        assert isinstance(generate(ours, ids, max_new_tokens=2, output_scores=True), torch.Tensor)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("padded", [False, True])
def test_a_cache_is_gone_on_from(pair, prompts, family, padded):
    ours, theirs = pair(family)
    ids, mask = prompts(2, 6, [3, 0] if padded else ())
    first = {"attention_mask": mask, "max_new_tokens": 5, "return_dict_in_generate": True}
    mine, expected = generate(ours, ids, **first), theirs.generate(ids, **first)
    more = torch.cat([mine.sequences, torch.tensor([[7, 8, 9], [6, 6, 3]])], dim=1)
    mask = torch.cat([mask, torch.ones(2, 8, dtype=torch.int64)], dim=1)
    anew = generate(ours, more, attention_mask=mask, max_new_tokens=6)
    only_new = generate(
        ours,
        more[:, 10:],
        attention_mask=mask,
        past_key_values=copy.deepcopy(mine.past_key_values),
        max_new_tokens=6,
    )
    assert torch.equal(only_new[:, -6:], anew[:, -6:])
    several = generate(
        ours,
        more,
        attention_mask=mask,
        past_key_values=mine.past_key_values,
        max_new_tokens=6,
        do_sample=True,
        top_k=1,
        num_return_sequences=2,
    )
    assert torch.equal(several, anew.repeat_interleave(2, dim=0))
    gone_on = generate(
        ours, more, attention_mask=mask, past_key_values=mine.past_key_values, max_new_tokens=6
    )
    reference = theirs.generate(
        more, attention_mask=mask, past_key_values=expected.past_key_values, max_new_tokens=6
    )
    assert torch.equal(gone_on, reference)
    assert torch.equal(gone_on, anew)
    # And again: what was returned holds all but the last token.
    assert mine.past_key_values.get_seq_length() == gone_on.shape[1] - 1


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_a_cache_of_a_call_with_gradients_is_gone_on_from(pair, prompts, family):
    ours, _ = pair(family)
    ids, _ = prompts(2, 6)
    for more in (
        {},
        {"num_beams": 3, "pad_token_id": 0},
        {"do_sample": True, "num_return_sequences": 2},
    ):
        cache = ours(ids[:, :4], use_cache=True).past_key_values
        assert cache.layers[0].keys.requires_grad
        written = []
        for held in (cache, None):
            torch.manual_seed(0)
            written.append(generate(ours, ids, past_key_values=held, max_new_tokens=5, **more))
        assert torch.equal(*written), more


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_in_place_of_a_prompt(pair, prompts, family):
    ours, theirs = pair(family)
    ids, _ = prompts(2, 6)
    vectors = ours.get_input_embeddings()(ids)
    written = generate(ours, ids, max_new_tokens=7)
    for more in ({"max_new_tokens": 7}, {"max_length": 13}, {}):
        mine = generate(ours, inputs_embeds=vectors, **more)
        assert torch.equal(mine, theirs.generate(inputs_embeds=vectors, **more))
        assert mine.shape[1] == 7 or not more
        beside = generate(ours, ids, inputs_embeds=vectors, **more)
        assert torch.equal(beside, theirs.generate(ids, inputs_embeds=vectors, **more))
    assert torch.equal(generate(ours, inputs_embeds=vectors, max_new_tokens=7), written[:, 6:])
    # The ids may be others, and fewer: the model sees the vectors.
    few = generate(ours, ids[:, :2], inputs_embeds=vectors, max_new_tokens=7)
    assert torch.equal(few[:, 2:], written[:, 6:])


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_positions_that_are_given_are_counted_on(pair, prompts, family):
    ours, theirs = pair(family)
    ids, mask = prompts(2, 5, [2, 0])
    positions = torch.tensor([[0, 0, 4, 5, 6], [3, 4, 5, 6, 7]])
    for use_cache in (True, False):
        how = {"attention_mask": mask, "position_ids": positions, "use_cache": use_cache}
        mine = generate(ours, ids, max_new_tokens=6, **how)
        assert torch.equal(mine, theirs.generate(ids, max_new_tokens=6, **how))


def test_token_types_go_on_as_they_end(pair, prompts):
    ours, theirs = pair("gpt2")
    ids, _ = prompts(2, 5)
    types = torch.tensor([[3, 3, 4, 4, 4], [3, 4, 4, 4, 3]])
    mine = generate(ours, ids, token_type_ids=types, max_new_tokens=6)
    assert torch.equal(mine, theirs.generate(ids, token_type_ids=types, max_new_tokens=6))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cache_of_fixed_size_changes_nothing(pair, prompts, family):
    ours, _ = pair(family)
    ids, mask = prompts(2, 5, [1, 0])
    plain = generate(ours, ids, attention_mask=mask, max_new_tokens=9)
    for more in (
        {"cache_implementation": "static"},
        {"cache_implementation": "static", "max_cache_len": 50},
        {"past_key_values": StaticCache(14, list(ours.base_model.windows))},
        {"past_key_values": DynamicCache()},
    ):
        assert torch.equal(
            plain, generate(ours, ids, attention_mask=mask, max_new_tokens=9, **more)
        )


def test_without_a_mask_the_padding_token_tells_it(pair, prompts):
    ours, theirs = pair("gpt2")
    ids, mask = prompts(3, 6, [0, 2, 4], pad_token_id=18)
    told = generate(ours, ids, attention_mask=mask, max_new_tokens=5, pad_token_id=18)
    assert torch.equal(told, generate(ours, ids, max_new_tokens=5, pad_token_id=18))
    assert torch.equal(told, theirs.generate(ids, max_new_tokens=5, pad_token_id=18))
    # Not where it means the end as well.
    with pytest.warns(generation.GenerationWarning, match="attention_mask"):
        untold = generate(ours, ids, max_new_tokens=5, pad_token_id=18, eos_token_id=18)
    assert torch.equal(
        untold, theirs.generate(ids, max_new_tokens=5, pad_token_id=18, eos_token_id=18)
    )


def test_a_text_begins_with_the_first_token_where_there_is_no_prompt(pair):
    ours, theirs = pair("llama")
    mine = generate(ours, max_new_tokens=4)
    assert torch.equal(mine, theirs.generate(max_new_tokens=4))
    assert mine[0, 0] == 1


def test_lengths_count_the_prompt_or_not(pair, prompts):
    ours, theirs = pair("llama")
    ids, _ = prompts(1, 5)
    for more, length in (({"max_length": 9}, 9), ({"max_new_tokens": 9}, 14), ({}, 25)):
        mine = generate(ours, ids, **more)
        assert mine.shape == (1, length)
        assert torch.equal(mine, theirs.generate(ids, **more))
    # The positions of the model are an end as well, where nobody says another.
    long_ids, _ = prompts(1, 60)
    assert generate(ours, long_ids).shape == theirs.generate(long_ids).shape == (1, 64)


def test_a_config_of_ones_own_and_the_models(pair, prompts):
    ours, theirs = pair("llama")
    ours, theirs = copy.deepcopy(ours), copy.deepcopy(theirs)
    ids, _ = prompts(2, 4)
    settings = {"max_new_tokens": 6, "repetition_penalty": 1.8, "eos_token_id": 3}
    config_of(ours).update(**settings)
    theirs.generation_config.update(**settings)
    for config, more in (
        (None, {}),
        ({"max_new_tokens": 3}, {}),
        ({"max_new_tokens": 3, "eos_token_id": 7}, {}),
        (None, {"eos_token_id": None, "repetition_penalty": None}),
        ({"repetition_penalty": 0.5}, {"max_new_tokens": 2}),
    ):
        mine = generate(ours, ids, config and generation.GenerationConfig(**config), **more)
        reference = config and transformers.GenerationConfig(**config)
        assert torch.equal(mine, theirs.generate(ids, reference, **more)), (config, more)
    assert config_of(ours).max_new_tokens == 6, "a call changes nobody's config"


def test_the_text_is_given_back_when_interrupted(pair, prompts):
    ours, _ = pair("llama")
    ids, _ = prompts(1, 4)
    whole = generate(ours, ids, max_new_tokens=8)

    class PressesCtrlC:
        def __call__(self, input_ids, scores):
            if input_ids.shape[1] == 7:
                raise KeyboardInterrupt
            return scores

    how = {"max_new_tokens": 8, "logits_processor": [PressesCtrlC()]}
    with pytest.raises(KeyboardInterrupt):
        generate(ours, ids, **how)
    back = generate(ours, ids, on_interrupt="return", **how)
    assert torch.equal(back, whole[:, :7])
    output = generate(
        ours,
        ids,
        on_interrupt="return",
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
        **how,
    )
    assert torch.equal(output.sequences, whole[:, :7])
    assert len(output.scores) == len(output.logits) == 3

    class PressesLater(generation.StoppingCriteria):
        def __call__(self, input_ids, scores=None, **more):
            raise KeyboardInterrupt

    back = generate(
        ours, ids, max_new_tokens=8, on_interrupt="return", stopping_criteria=[PressesLater()]
    )
    assert torch.equal(back, whole[:, :5]), "a token that was written is kept"


@pytest.mark.parametrize(
    "how", [{}, {"num_beams": 2, "pad_token_id": 0}, {"prompt_lookup_num_tokens": 2}]
)
def test_an_interruption_between_two_layers_leaves_no_cache_to_go_on_from(pair, prompts, how):
    ours = copy.deepcopy(pair("llama")[0])
    ids, _ = prompts(1, 4)
    how = {**how, "max_new_tokens": 8, "return_dict_in_generate": True, "on_interrupt": "return"}
    whole = generate(ours, ids, **how)
    assert all(
        layer.get_seq_length() == whole.past_key_values.get_seq_length()
        for layer in whole.past_key_values.layers
    )
    calls = []

    def presses_ctrl_c(*given):
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt

    ours.base_model.layers[1].register_forward_pre_hook(presses_ctrl_c)
    output = generate(ours, ids, **how)
    assert ids.shape[1] < output.sequences.shape[1] < whole.sequences.shape[1]
    assert output.past_key_values is None


def test_a_readers_own_functions_are_called(pair, prompts, monkeypatch):
    ours, _ = pair("llama")
    ids, _ = prompts(1, 4)
    monkeypatch.setattr(loop, "choose_next", lambda scores, *how: torch.tensor([11]))
    assert generate(ours, ids, max_new_tokens=3)[0, -3:].tolist() == [11, 11, 11]
    monkeypatch.undo()
    monkeypatch.setattr(loop, "write_tokens", lambda input_ids, *how: input_ids + 1)
    assert torch.equal(generate(ours, ids, max_new_tokens=3), ids + 1)
    monkeypatch.undo()
    monkeypatch.setattr(filters, "keep_top_k", lambda scores, k: torch.eye(VOCAB)[:1].log())
    assert generate(ours, ids, max_new_tokens=2, do_sample=True)[0, -2:].tolist() == [0, 0]


def test_gradients_do_not_flow_and_the_mode_stays(pair, prompts):
    ours, _ = pair("llama")
    ids, _ = prompts(1, 4)
    output = generate(ours, ids, max_new_tokens=2, return_dict_in_generate=True, output_logits=True)
    assert not output.logits[0].requires_grad
    assert torch.is_grad_enabled()
    assert not ours.training


def test_a_half_precision_model_chooses_in_full_precision(pair, prompts):
    ours, theirs = pair("llama")
    ours, theirs = copy.deepcopy(ours).bfloat16(), copy.deepcopy(theirs).bfloat16()
    ids, _ = prompts(2, 4)
    output = generate(
        ours,
        ids,
        max_new_tokens=6,
        return_dict_in_generate=True,
        output_scores=True,
        do_sample=True,
    )
    assert output.scores[0].dtype == torch.float32


def test_nothing_is_warned_about_in_plain_calls(pair, prompts):
    ours, _ = pair("llama")
    ids, mask = prompts(2, 4, [0, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generate(ours, ids, attention_mask=mask, max_new_tokens=2, **END)
        generate(ours, ids, attention_mask=mask, max_new_tokens=2, do_sample=True, top_p=0.5)
        generate(ours, ids[:1], max_length=7)


def test_ten_thousand_tokens_with_a_window_in_constant_memory(pair):
    ours, _ = pair("mistral", num_hidden_layers=1, max_position_embeddings=20000)
    cache = DynamicCache(list(ours.base_model.windows))
    held, tensors = [], []

    class Looks(generation.StoppingCriteria):
        def __call__(self, input_ids, scores=None, **more):
            if input_ids.shape[1] % 2000 == 0:
                held.append(cache.nbytes)
            return torch.zeros(len(input_ids), dtype=torch.bool)

    written = generate(
        ours,
        torch.tensor([[3, 4, 5]]),
        past_key_values=cache,
        max_new_tokens=10_000,
        stopping_criteria=[Looks()],
        do_sample=True,
        generator=torch.Generator().manual_seed(0),
    )
    assert written.shape == (1, 10_003)
    assert cache.get_seq_length() == 10_002
    assert len(held) == 5
    assert len(set(held)) == 1
    assert cache.layers[0].keys.shape[2] == 3
    assert not tensors
