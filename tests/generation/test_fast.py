"""The short way to the next token gives what the plain way gives, and steps aside for others' code."""

from __future__ import annotations

import copy
import inspect

import pytest
import torch
from torch import nn

from minilm import layers
from minilm.cache import DynamicCache
from minilm.generation import fast, fast_layers, own_code
from minilm.generation.fast import FastForward
from minilm.generation.fast_layers import short_form
from minilm.generation.forward import Forward, new_cache
from minilm.generation.generate import generate

# family → settings of models that differ in what the short way must do.
VARIANTS = [
    ("gpt2", {}),
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True, "activation_function": "relu"}),
    ("gpt2", {"scale_attn_weights": False, "n_inner": 20, "tie_word_embeddings": True}),
    ("gpt_neox", {}),
    ("gpt_neox", {"use_parallel_residual": False, "attention_bias": False}),
    ("gpt_neox", {"rotary_pct": 1.0, "tie_word_embeddings": True}),
    ("llama", {}),
    ("llama", {"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu"}),
    ("llama", {"num_key_value_heads": 1, "tie_word_embeddings": True}),
    ("llama", {"num_key_value_heads": 4, "head_dim": 6}),
    ("mistral", {}),
    ("mistral", {"sliding_window": 1}),
    ("qwen2", {}),
    ("qwen3", {}),
    ("qwen3", {"attention_bias": True}),
]


def awake(model):
    """A copy of a model whose vectors differ from ones and zeros, too."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def logits_of(kind, model, ids, mask, n_prompt, implementation=None):
    """The logits of every token behind the prompt, one after the other."""
    cache = new_cache(model, implementation, ids.shape[1])
    forward = kind(model, ids[:, :n_prompt], mask, past_key_values=cache)
    ends = range(n_prompt, ids.shape[1] + 1)
    with torch.no_grad():
        found = [forward.next_logits(ids[:, :end]) for end in ends]
    if kind is FastForward:
        assert forward._short is not None
    return torch.stack(found, dim=1), forward


@pytest.fixture
def example(prompts):
    ids, mask = prompts(3, 12, padding=(2, 0, 5))
    mask[:, 7:] = 1
    return ids, mask


@pytest.mark.parametrize(("family", "settings"), VARIANTS)
@pytest.mark.parametrize("padded", [False, True])
def test_every_family_scores_as_on_the_plain_way(pair, example, family, settings, padded):
    model = awake(pair(family, **settings)[0])
    ids, mask = example
    mask = mask[:, :7] if padded else None
    ours, _ = logits_of(FastForward, model, ids, mask, 7)
    plain, _ = logits_of(Forward, model, ids, mask, 7)
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "mistral", "qwen3"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes_score_as_on_the_plain_way(pair, example, family, dtype):
    model = awake(pair(family)[0]).to(dtype)
    ids, mask = example
    ours, _ = logits_of(FastForward, model, ids, mask[:, :7], 7)
    plain, _ = logits_of(Forward, model, ids, mask[:, :7], 7)
    # Eight bits: what is added in another order may come out one step apart.
    near = 0.02 * float(plain.abs().max()) if dtype is torch.bfloat16 else 1e-5
    torch.testing.assert_close(ours, plain, atol=near, rtol=0)


@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral", "qwen2"])
def test_a_cache_of_fixed_size_serves_as_well(pair, example, family):
    model = pair(family)[0]
    ids, _ = example
    ours, _ = logits_of(FastForward, model, ids, None, 4, "static")
    plain, _ = logits_of(Forward, model, ids, None, 4)
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


def test_weights_are_used_as_they_lie_where_copies_would_take_too_much(pair, example, monkeypatch):
    model = awake(pair("llama", attention_bias=True)[0])
    plain, _ = logits_of(Forward, model, example[0], None, 4)
    monkeypatch.setattr(fast_layers, "MOST_COPIED", 0)
    ours, _ = logits_of(FastForward, model, example[0], None, 4)
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
    room = fast_layers.Room(3)
    room.joined(model.model.layers[0].self_attn.q_proj)
    assert room.n_bytes == 3


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_weights_of_a_large_model_are_turned_round_and_stay_what_they_are(
    pair, prompts, family, monkeypatch, tmp_path
):
    model = copy.deepcopy(awake(pair(family, tie_word_embeddings=True)[0]))
    before = {name: each.clone() for name, each in model.state_dict().items()}
    ids, how = prompts(1, 5)[0], {"do_sample": False, "pad_token_id": 0}
    plain = generate(model, ids, max_new_tokens=12, **how)
    monkeypatch.setattr(fast_layers, "MOST_COPIED", 0)
    assert torch.equal(generate(model, ids, max_new_tokens=12, **how), plain)
    assert model.lm_head.weight.is_contiguous()  # not for so few tokens
    monkeypatch.setattr(fast_layers, "WORTH_TURNING", 8)
    assert torch.equal(generate(model, ids.repeat(2, 1), max_new_tokens=12, **how)[:1], plain)
    assert model.lm_head.weight.is_contiguous()  # nor for several texts
    for _ in range(2):
        assert torch.equal(generate(model, ids, max_new_tokens=12, **how), plain)
    assert not model.lm_head.weight.is_contiguous()
    assert model.lm_head.weight is model.get_input_embeddings().weight
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    for name, each in before.items():
        assert torch.equal(model.state_dict()[name], each)
        assert torch.equal(again.state_dict()[name], each)


def test_the_cache_is_left_as_the_plain_way_leaves_it(pair, example):
    model = pair("qwen2")[0]
    _, ours = logits_of(FastForward, model, example[0], None, 4)
    _, plain = logits_of(Forward, model, example[0], None, 4)
    assert ours.seen == plain.seen and ours.steps == plain.steps
    for one, other in zip(ours.cache.layers, plain.cache.layers, strict=True):
        torch.testing.assert_close(one.keys, other.keys, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(one.values, other.values, atol=1e-5, rtol=1e-5)


def test_rows_may_be_reordered_and_tokens_taken_back(pair, example):
    model = pair("mistral")[0]
    ids = example[0]

    def run(kind):
        cache = new_cache(model, None, 12, take_back=3)
        forward = kind(model, ids[:, :5], past_key_values=cache)
        with torch.no_grad():
            forward.next_logits(ids[:, :5])
            forward.next_logits(ids[:, :6])
            forward.reorder(torch.tensor([2, 2, 0]))
            forward.next_logits(ids[:, :7])
            forward(ids[:, :10], 3)  # several at once
            forward.take_back(2)
            return forward.next_logits(ids[:, :9])

    torch.testing.assert_close(run(FastForward), run(Forward), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("large", [1, 1 << 19])
def test_several_tokens_of_one_text_take_the_short_way(
    pair, prompts, family, shared, large, monkeypatch
):
    monkeypatch.setattr(fast_layers, "LARGE", large)
    model = awake(pair(family)[0])
    ids = prompts(1, 12)[0]

    def run(kind):
        forward = kind(model, ids[:, :4], past_key_values=new_cache(model, None, 9))
        with torch.no_grad():
            forward(ids[:, :4])
            if not shared and kind is FastForward:
                forward.cache.batch_select_indices(torch.tensor([0]))  # out of the shared room
            found = [forward(ids[:, :7], 3).logits, forward(ids[:, :9], 1).logits]
            forward.take_back(1)
            found.append(forward(ids[:, :12], 2).logits)
        if kind is FastForward:
            assert forward._short is not None and forward.cache.is_shared() == shared
        return torch.cat(found, dim=1)

    torch.testing.assert_close(run(FastForward), run(Forward), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("padded", [False, True])
def test_prompts_are_run_once_for_all_their_copies(pair, example, padded):
    model = pair("llama")[0]
    ids, mask = (each.repeat_interleave(2, dim=0) for each in example)
    mask = mask[:, :7] if padded else None
    n_rows = []
    handle = model.base_model.register_forward_pre_hook(
        lambda _, given: n_rows.append(len(given[0])), with_kwargs=False
    )

    def run(kind, **copies):
        cache = new_cache(model, None, 12)
        forward = kind(model, ids[:, :7], mask, past_key_values=cache, **copies)
        with torch.no_grad():
            found = [forward.next_logits(ids[:, :end]) for end in (7, 8)]
            forward.reorder(torch.tensor([1, 1, 2, 2, 5, 4]))
            return torch.stack([*found, forward.next_logits(ids[:, :9])])

    ours, plain = run(FastForward, copies=2), run(Forward)
    handle.remove()
    assert n_rows == [3, 6, 6, 6, 6, 6]
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


def test_weights_that_change_between_two_texts_are_seen(pair, example):
    model = awake(pair("llama")[0])
    logits_of(FastForward, model, example[0], None, 4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.data.mul_(1.1)
    ours, _ = logits_of(FastForward, model, example[0], None, 4)
    plain, _ = logits_of(Forward, model, example[0], None, 4)
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


def plainly(*how, copies, **options):
    return Forward(*how, **options)


@pytest.mark.parametrize("seed", range(6))
def test_the_same_tokens_are_written_on_both_ways(pair, prompts, families, seed, monkeypatch):
    ways = [{}, {"do_sample": True, "top_p": 0.9}, {"num_beams": 3}]
    for i, family in enumerate(families):
        ids, mask = prompts(2, 6, padding=(0, seed % 4), seed=seed)
        how = ways[(seed + i) % 3] | {
            "max_new_tokens": 9,
            "pad_token_id": 0,
            "attention_mask": mask,
        }

        model = pair(family, seed)[0]
        torch.manual_seed(seed)
        ours = generate(model, ids, **how)
        with monkeypatch.context() as patch:
            patch.setattr(fast, "FastForward", plainly)
            torch.manual_seed(seed)
            plain = generate(model, ids, **how)
        assert torch.equal(ours, plain), (family, seed, how)


def test_what_is_handed_out_can_be_used_like_any_tensor(pair, prompts):
    model = copy.deepcopy(pair("llama")[0])
    ids = prompts(2, 4)[0]

    class InPlace:
        def __call__(self, ids, scores):
            return scores.mul_(1.5)

    output = generate(
        model,
        ids,
        max_new_tokens=4,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_logits=True,
        output_scores=True,
        logits_processor=[InPlace()],
    )
    tensors = [output.sequences, *output.logits, *output.scores]
    for layer in output.past_key_values.layers:
        tensors += [layer.keys, layer.values]
    assert not any(each.is_inference() for each in tensors)
    longer = output.past_key_values.get_seq_length() + 1
    loss = model(output.sequences, labels=output.sequences).loss  # angles were kept, weights used
    loss.backward()
    assert longer == output.sequences.shape[1]


# Stepping aside.


def cache_of(model):
    return DynamicCache(list(model.base_model.windows) if any(model.base_model.windows) else None)


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3"])
def test_a_model_as_it_is_takes_the_short_way(pair, family):
    model = pair(family)[0]
    assert short_form(model, cache_of(model)) is not None


REPLACEABLE = [(home, name) for home, names in own_code.LEFT_OUT.items() for name in names]


@pytest.mark.parametrize(("home", "name"), REPLACEABLE, ids=[name for _, name in REPLACEABLE])
def test_a_function_of_the_readers_own_is_used(pair, monkeypatch, home, name):
    model = pair("llama")[0]
    own = getattr(home, name)
    monkeypatch.setattr(home, name, lambda *given, **named: own(*given, **named))
    assert not own_code.nothing_replaced()
    assert short_form(model, cache_of(model)) is None


def test_all_plain_functions_of_attention_and_layers_are_watched():
    for home in (own_code.attention, layers):
        names = {
            name
            for name, function in inspect.getmembers(home, inspect.isfunction)
            if function.__module__ == home.__name__ and not name.startswith("_")
        }
        assert names - {"activation"} <= set(own_code.LEFT_OUT[home])


def test_a_readers_norm_is_called_for_every_token(pair, prompts, monkeypatch):
    model, calls, own = pair("gpt2")[0], [], layers.layer_norm

    def counted(*given):
        calls.append(given)
        return own(*given)

    monkeypatch.setattr(layers, "layer_norm", counted)
    generate(model, prompts(1, 4)[0], max_new_tokens=5, pad_token_id=0)
    assert len(calls) == 5 * (2 * 2 + 1)


def hooked(model):
    model.base_model.layers[0].register_forward_hook(lambda *_: None)


def hooked_before(model):
    model.base_model.layers[1].register_forward_pre_hook(lambda *_: None)


def training(model):
    model.train()


def wrapped(model):
    class Adapter(nn.Linear):
        pass

    model.base_model.layers[0].self_attn.__dict__["_modules"]["q_proj"] = Adapter(16, 16)


def patched(model):
    layer = model.base_model.layers[0].mlp
    layer.forward = lambda x: x


def eager(model):
    model.set_attn_implementation("eager")


def mixed(model):
    model.base_model.layers[0].double()


@pytest.mark.parametrize(
    "change", [hooked, hooked_before, training, wrapped, patched, eager, mixed]
)
def test_a_model_that_was_changed_takes_the_plain_way(pair, change):
    model = copy.deepcopy(pair("llama")[0])
    change(model)
    assert short_form(model, cache_of(model)) is None


def test_attentions_and_hidden_states_come_from_the_plain_way(pair, prompts):
    output = generate(
        pair("llama")[0],
        prompts(1, 4)[0],
        max_new_tokens=3,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_attentions=True,
        output_hidden_states=True,
    )
    assert len(output.attentions) == len(output.hidden_states) == 3
    assert all(each is not None for step in output.attentions for each in step)


def test_a_hook_for_all_modules_is_called(pair):
    model = pair("llama")[0]
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert short_form(model, cache_of(model)) is None
    finally:
        handle.remove()
