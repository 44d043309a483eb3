"""What holds for every model: transformers' common tests that say something, written anew."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

CLOSE = 1e-5
# How far the two ways to compute attention may differ, by dtype: transformers' own bars.
BARS = {torch.float32: 1e-6, torch.float16: 5e-3, torch.bfloat16: 1e-2}


def test_the_same_text_gives_the_same_numbers_twice(ours, texts, family):
    model, ids = ours(family), texts().input_ids
    assert torch.equal(model(ids).logits, model(ids).logits)
    model.train()  # nothing is dropped where nothing is asked to be
    assert torch.equal(model(ids, use_cache=False).logits, model(ids, use_cache=False).logits)


def test_hidden_states_and_attentions_have_their_shapes(ours, texts, family):
    model, batch = ours(family), texts("right")
    output = model(
        batch.input_ids,
        attention_mask=batch.attention_mask,
        output_hidden_states=True,
        output_attentions=True,
    )
    assert [tuple(state.shape) for state in output.hidden_states] == [(3, 7, 24)] * 4
    assert [tuple(weights.shape) for weights in output.attentions] == [(3, 4, 7, 7)] * 3
    body = model.base_model(batch.input_ids, attention_mask=batch.attention_mask)
    assert torch.allclose(output.hidden_states[-1][batch.real], body[0][batch.real], atol=CLOSE)
    for weights in output.attentions:
        assert not weights.triu(1).any()  # nobody looks ahead
        assert not weights.masked_select(~batch.real[:, None, None]).any()  # nor at padding


def test_attentions_beside_a_cache_cover_the_cached_tokens(ours, texts, family):
    model, ids = ours(family, sliding_window=None, use_sliding_window=False), texts().input_ids
    past = model(ids[:, :4]).past_key_values
    output = model(ids[:, 4:], past_key_values=past, output_attentions=True)
    assert [tuple(weights.shape) for weights in output.attentions] == [(3, 4, 3, 7)] * 3
    whole = model(ids, output_attentions=True).attentions
    for weights, expected in zip(output.attentions, whole, strict=True):
        assert torch.allclose(weights, expected[:, :, 4:], atol=CLOSE)


def test_gradients_reach_hidden_states_and_attentions(ours, texts, family):
    model, ids = ours(family), texts().input_ids
    output = model(ids, output_hidden_states=True, output_attentions=True)
    for each in (*output.hidden_states, *output.attentions):
        each.retain_grad()
    output.logits.square().sum().backward()
    for each in (*output.hidden_states, *output.attentions):
        assert each.grad is not None
        assert each.grad.abs().sum() > 0


def test_padding_on_the_left_changes_no_real_token(ours, texts, difference, family):
    model, ids = ours(family), texts(batch=2).input_ids
    expected = model(ids).logits
    for n_padding in (1, 5):
        padding = torch.full((2, n_padding), 4)
        mask = torch.cat([torch.zeros_like(padding), torch.ones_like(ids)], dim=1)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        padded = torch.cat([padding, ids], dim=1)
        got = model(padded, attention_mask=mask, position_ids=positions).logits[:, n_padding:]
        assert difference(got, expected) <= CLOSE


def test_what_comes_later_changes_nothing_before(ours, texts, difference, family):
    model, ids = ours(family), texts().input_ids
    changed = ids.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % 37
    one, other = model(ids).logits, model(changed).logits
    assert difference(one[:, :4], other[:, :4]) == 0
    assert difference(one[:, 4:], other[:, 4:]) > 0.1


@pytest.mark.parametrize("dtype", list(BARS), ids=str)
@pytest.mark.parametrize("padding", ["none", "left", "right"])
def test_both_ways_to_attend_give_the_same(ours, texts, family, dtype, padding):
    """On real tokens: of padding that sees nothing, each makes what it likes."""
    model = ours(family, woken=False).to(dtype)
    batch = texts(padding)
    mask = None if padding == "none" else batch.attention_mask
    logits = []
    with torch.no_grad():
        for attention in ("eager", "sdpa"):
            model.set_attn_implementation(attention)  # at any time
            logits.append(model(batch.input_ids, attention_mask=mask).logits[batch.real])
    assert logits[0].dtype == dtype
    assert torch.allclose(*logits, atol=BARS[dtype], rtol=1e-4)


def test_tied_weights_are_one_tensor(ours, texts, family):
    tied, untied = ours(family, tied=True), ours(family)
    for model, one in ((tied, True), (untied, False)):
        head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
        assert (head.weight is embedding.weight) == one
        names = [name for name, _ in model.named_parameters()]
        assert ("lm_head.weight" in names) != one
        assert "lm_head.weight" in model.state_dict()
    assert untied.num_parameters() - tied.num_parameters() == 37 * 24
    ids = texts().input_ids
    tied(ids, labels=ids).loss.backward()
    torch.optim.SGD(tied.parameters(), lr=0.1).step()
    assert tied.lm_head.weight is tied.get_input_embeddings().weight
    again = copy.deepcopy(tied)
    assert again.lm_head.weight is again.get_input_embeddings().weight
    assert again.lm_head.weight is not tied.lm_head.weight


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("mean_resizing", [False, True])
def test_the_vocabulary_can_grow_and_shrink(ours, texts, difference, family, tied, mean_resizing):
    model, ids = ours(family, tied=tied), texts().input_ids
    before, old = model(ids).logits, model.get_input_embeddings().weight.detach().clone()
    embedding = model.resize_token_embeddings(41, mean_resizing=mean_resizing)
    assert embedding is model.get_input_embeddings()
    assert tuple(embedding.weight.shape) == tuple(model.lm_head.weight.shape) == (41, 24)
    assert model.config.vocab_size == embedding.num_embeddings == model.lm_head.out_features == 41
    assert (model.lm_head.weight is embedding.weight) == tied
    after = model(ids).logits
    assert difference(after[..., :37], before) <= CLOSE
    assert torch.equal(embedding.weight[:37], old)
    new = embedding.weight[37:].detach()
    gap = float((new - old.mean(0)).abs().max())
    assert 0 < gap < 1e-3 if mean_resizing else gap > 1e-2
    assert len(new.unique(dim=0)) == 4  # no two of them alike
    model(torch.tensor([[40]]), labels=torch.tensor([[40]]))

    assert tuple(model.resize_token_embeddings(36).weight.shape) == (36, 24)
    ids = ids.clamp(max=35)
    assert model(ids, labels=ids).logits.shape[-1] == 36
    assert (model.lm_head.weight is model.get_input_embeddings().weight) == tied
    assert model.resize_token_embeddings().num_embeddings == 36
    assert model.resize_token_embeddings(pad_to_multiple_of=8).num_embeddings == 40
    assert model.resize_token_embeddings(42, pad_to_multiple_of=8).num_embeddings == 48
    with pytest.raises(ValueError, match="new_num_tokens=0"):
        model.resize_token_embeddings(0)


def test_a_body_can_be_resized_and_stays_frozen(ours, family):
    body = ours(family, body=True).to(torch.bfloat16)
    body.requires_grad_(False)
    embedding = body.resize_token_embeddings(40)
    assert (embedding.weight.dtype, embedding.weight.requires_grad) == (torch.bfloat16, False)
    assert body.get_output_embeddings() is None
    with pytest.raises(ValueError, match="has no head"):
        body.set_output_embeddings(torch.nn.Linear(24, 40))


def test_embeddings_and_head_can_be_exchanged(ours, texts, family):
    model, ids = ours(family), texts().input_ids
    embedding, head = torch.nn.Embedding(50, 24), torch.nn.Linear(24, 50, bias=False)
    model.set_input_embeddings(embedding)
    model.set_output_embeddings(head)
    assert model.get_input_embeddings() is model.base_model.get_input_embeddings() is embedding
    assert model.get_output_embeddings() is head
    assert model(ids).logits.shape == (3, 7, 50)


def test_hooks_on_the_body_are_called(ours, texts, family):
    model, seen = ours(family), []
    model.base_model.register_forward_hook(lambda *of: seen.append(of))
    model(texts().input_ids)
    assert len(seen) == 1


def test_models_survive_copying_and_pickling(ours, texts, family):
    model, ids = ours(family, tied=True), texts().input_ids
    expected = model(ids).logits
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(again(ids).logits, expected)
        assert again.config == model.config


def test_a_model_made_without_memory_can_be_filled(ours, classes, settings, texts, family):
    """On the meta device weights have no numbers; what a model computes for itself has."""
    config, model = classes(family)
    with torch.device("meta"):
        empty = model(config(**settings(family)))
    assert empty.device.type == "meta"
    filled = ours(family)
    empty.load_state_dict(filled.state_dict(), assign=True)
    ids = texts().input_ids
    assert empty.device.type == "cpu"
    assert torch.equal(empty.eval()(ids).logits, filled(ids).logits)
    with torch.device("meta"):
        empty = model(config(**settings(family)))
    empty = empty.to_empty(device="cpu")
    empty.load_state_dict(filled.state_dict())
    assert torch.equal(empty.eval()(ids).logits, filled(ids).logits)


def test_shapes_can_be_asked_for_without_computing(classes, settings, family):
    config, model = classes(family)
    with torch.device("meta"):
        empty = model(config(**settings(family)))
        output = empty(torch.zeros(2, 5, dtype=torch.int64))
    assert output.logits.is_meta
    assert output.logits.shape == (2, 5, 37)


def test_layers_can_be_cut_off(ours, texts, family):
    model, ids = ours(family), texts().input_ids
    expected = model(ids, output_hidden_states=True).hidden_states[2]
    del model.base_model.layers[2]
    states = model(ids, output_hidden_states=True).hidden_states
    assert len(states) == 3
    assert torch.equal(model.base_model.finish(expected), states[-1])


def test_a_new_model_trains_and_says_what_it_is(classes, settings, family):
    config, model = classes(family)
    made = model(config(**settings(family)))
    assert made.training
    assert (made.dtype, made.device.type) == (torch.float32, "cpu")
    assert made.to(torch.bfloat16).dtype == torch.bfloat16
    assert made.attn_implementation == "sdpa"
    assert made.base_model is made.base_model.base_model
    made.base_model.requires_grad_(False)
    assert made.num_parameters(only_trainable=True) == (0 if family == "gpt2" else 37 * 24)


def test_a_family_of_ones_own_differs_as_the_one_it_extends(ours, texts):
    from minilm.models.llama import FAMILIES, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    class OwnConfig(Qwen3Config):
        model_type = "own"

        flavour: str = "plain"

    class OwnModel(Qwen3ForCausalLM):
        config_class = OwnConfig

    qwen, ids = ours("qwen3"), texts().input_ids
    config = OwnConfig(**{**qwen.config.to_dict(), "flavour": "salty"})
    assert (config.model_type, config.flavour) == ("own", "salty")
    assert config.model_type not in FAMILIES
    own = OwnModel(config).eval()
    own.load_state_dict(qwen.state_dict())
    assert torch.equal(own(ids).logits, qwen(ids).logits)
    with pytest.raises(TypeError, match="LlamaForCausalLM takes a LlamaConfig, and got OwnConfig"):
        LlamaForCausalLM(config)
