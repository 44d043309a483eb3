"""Every family against transformers: the same weights, the same numbers."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from minilm.cache import DynamicCache

CLOSE = 1e-5
GRADIENTS = 1e-6
PADDINGS = ("none", "left", "right")
tied = pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
woken = pytest.mark.parametrize("woken", [False, True], ids=["default", "woken"])
attention = pytest.mark.parametrize("attention", ["sdpa", "eager"])
padding = pytest.mark.parametrize("padding", PADDINGS)


@tied
@woken
@attention
@padding
def test_everything_returned_equals_transformers(
    both, texts, difference, family, tied, woken, attention, padding
):
    ours, theirs = both(family, tied, woken, attn_implementation=attention)
    ids, mask, _, labels, real = texts(padding)
    mask = None if padding == "none" else mask
    asked = {"output_hidden_states": True, "output_attentions": attention == "eager"}
    got = ours(ids, attention_mask=mask, labels=labels, **asked)
    expected = theirs(ids, attention_mask=mask, labels=labels, **asked)
    assert difference(got.logits, expected.logits, real) <= CLOSE
    assert difference(got.loss, expected.loss) <= 1e-6  # the same logits but for the last bit
    assert len(got.hidden_states) == len(expected.hidden_states) == 4
    for state, their_state in zip(got.hidden_states, expected.hidden_states, strict=True):
        assert difference(state, their_state, real) <= CLOSE
    if attention == "eager":
        for weights, their_weights in zip(got.attentions, expected.attentions, strict=True):
            gap = (weights - their_weights).abs().transpose(1, 2)  # (B, T, H, S)
            assert float(gap[real].max()) <= CLOSE

    got.loss.backward()
    expected.loss.backward()
    gradients = {name: weight.grad for name, weight in theirs.named_parameters()}
    assert [name for name, _ in ours.named_parameters()] == list(gradients)
    for name, weight in ours.named_parameters():
        assert difference(weight.grad, gradients[name]) <= GRADIENTS, name


def in_chunks(model, batch, sizes, cache=None, **more):
    """Read a text piece by piece; returns the logits of all of it."""
    logits, start = [], 0
    for size in sizes:
        end = start + size
        output = model(
            batch.input_ids[:, start:end],
            attention_mask=batch.attention_mask[:, :end],
            position_ids=batch.position_ids[:, start:end],
            past_key_values=cache,
            **more,
        )
        cache = output.past_key_values
        assert cache.get_seq_length() == end
        logits.append(output.logits)
        start = end
    return torch.cat(logits, dim=1)


@woken
@attention
@padding
def test_a_text_read_in_pieces_gives_the_logits_of_the_whole(
    both, texts, difference, family, woken, attention, padding
):
    ours, theirs = both(family, woken=woken, attn_implementation=attention)
    batch = texts(padding)
    with torch.no_grad():
        whole = theirs(
            batch.input_ids, attention_mask=batch.attention_mask, position_ids=batch.position_ids
        ).logits
        for sizes in ((1,) * 7, (3, 1, 1, 2), (2, 5), (7,)):
            got = in_chunks(ours, batch, sizes)
            assert difference(got, whole, batch.real) <= CLOSE, sizes
            expected = in_chunks(theirs, batch, sizes)
            assert difference(got, expected, batch.real) <= CLOSE, sizes


@tied
def test_gradients_flow_through_a_cache(both, texts, difference, family, tied):
    ours, theirs = both(family, tied)
    batch = texts()
    for model in (ours, theirs):
        in_chunks(model, batch, (3, 4)).square().sum().backward()
    gradients = {name: weight.grad for name, weight in theirs.named_parameters()}
    for name, weight in ours.named_parameters():
        scale = float(gradients[name].abs().max()) + 1
        assert difference(weight.grad, gradients[name]) <= GRADIENTS * scale, name


@attention
@padding
def test_a_text_alone_gives_its_row_of_the_batch(
    ours, texts, difference, family, attention, padding
):
    model = ours(family, attn_implementation=attention)
    batch = texts(padding)
    with torch.no_grad():
        together = model(
            batch.input_ids, attention_mask=batch.attention_mask, position_ids=batch.position_ids
        ).logits
        for row, real in enumerate(batch.real):
            alone = model(batch.input_ids[row, real][None]).logits[0]
            assert difference(alone, together[row, real]) <= CLOSE


@attention
@pytest.mark.parametrize("length", [1, 2])
def test_the_shortest_texts_equal_transformers(both, texts, difference, family, attention, length):
    ours, theirs = both(family, attn_implementation=attention)
    ids = texts(length=length).input_ids
    got, expected = ours(ids, labels=ids), theirs(ids, labels=ids)
    assert difference(got.logits, expected.logits) <= CLOSE
    if length > 1:
        assert difference(got.loss, expected.loss) <= 1e-6
    else:  # nothing follows a single token
        assert got.loss.isnan()
        assert expected.loss.isnan()


def test_a_text_longer_than_the_strips_of_attention_equals_transformers(
    both, texts, difference, family
):
    """From a million scores on, training attends strip by strip."""
    size = {"n_positions": 300} if family == "gpt2" else {"max_position_embeddings": 300}
    ours, theirs = both(family, woken=False, **size)
    ids = texts(batch=4, length=270).input_ids
    got, expected = ours(ids, labels=ids), theirs(ids, labels=ids)
    assert difference(got.logits, expected.logits) <= CLOSE
    got.loss.backward()
    expected.loss.backward()
    gradients = {name: weight.grad for name, weight in theirs.named_parameters()}
    for name, weight in ours.named_parameters():
        assert difference(weight.grad, gradients[name]) <= GRADIENTS, name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@attention
def test_halved_precision_equals_transformers(both, texts, difference, family, dtype, attention):
    ours, theirs = both(family, attn_implementation=attention)
    ours, theirs = ours.to(dtype), theirs.to(dtype)
    batch = texts("left")
    got, expected = (
        model(batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels)
        for model in (ours, theirs)
    )
    assert got.logits.dtype == dtype
    assert got.loss.dtype == torch.float32
    scale = float(expected.logits[batch.real].abs().max())
    gap = float((got.logits - expected.logits)[batch.real].abs().max())
    assert gap <= 4 * torch.finfo(dtype).eps * scale
    assert difference(got.loss, expected.loss) <= 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize("training", [False, True])
def test_mixed_precision_equals_transformers(both, texts, difference, family, training):
    ours, theirs = (model.train(training) for model in both(family))
    ids = texts().input_ids
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, expected = (model(ids, labels=ids) for model in (ours, theirs))
        bar = 4 * torch.finfo(torch.bfloat16).eps * float(expected.logits.detach().abs().max())
        assert difference(got.logits, expected.logits) <= bar
        assert difference(got.loss, expected.loss) <= 0.01
        with torch.no_grad():
            past = ours(ids[:, :4]).past_key_values
            rest = ours(ids[:, 4:], past_key_values=past).logits
            assert difference(rest, got.logits[:, 4:]) <= bar


@pytest.mark.parametrize("model", ["llama", "mistral", "qwen2", "qwen3", "gpt_neox"])
def test_rotary_families_equal_transformers_to_the_last_bit(both, texts, model):
    ours, theirs = both(model)
    ids = texts().input_ids
    got, expected = ours(ids, labels=ids), theirs(ids, labels=ids)
    assert torch.equal(got.logits, expected.logits)
    assert torch.equal(got.loss, expected.loss)


@attention
def test_the_same_seed_drops_the_same_numbers(both, texts, family, attention):
    dropouts = {
        "gpt2": {"resid_pdrop": 0.3, "embd_pdrop": 0.2, "attn_pdrop": 0.25},
        "gpt_neox": {"hidden_dropout": 0.3, "attention_dropout": 0.25},
    }.get(family, {"attention_dropout": 0.25})
    models = both(family, attn_implementation=attention, **dropouts)
    ids = texts().input_ids
    losses = []
    for model in models:
        model.train()
        torch.manual_seed(3)
        losses.append(float(model(ids, labels=ids).loss))
    assert abs(losses[0] - losses[1]) <= 2e-6
    models[0].eval()
    assert abs(losses[0] - float(models[0](ids, labels=ids).loss)) > 1e-3


def test_a_body_equals_transformers_body(both, texts, difference, family):
    ours, theirs = both(family, body=True)
    batch = texts("left")
    got, expected = (
        model(batch.input_ids, attention_mask=batch.attention_mask) for model in (ours, theirs)
    )
    assert difference(got.last_hidden_state, expected.last_hidden_state, batch.real) <= CLOSE
    assert list(got) == list(expected) == ["last_hidden_state", "past_key_values"]


def test_training_step_by_step_stays_with_transformers(both, texts, difference, family):
    models = both(family, woken=False)
    batch = texts("right")
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-3) for model in models]
    for _ in range(5):
        losses = []
        for model, optimizer in zip(models, optimizers, strict=True):
            loss = model(
                batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels
            ).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss))
        assert abs(losses[0] - losses[1]) <= 1e-5


@pytest.mark.parametrize("change", [{"scale_attn_by_inverse_layer_idx": True}, {"n_inner": 30}])
@attention
def test_gpt2_settings_equal_transformers(both, texts, difference, change, attention):
    ours, theirs = both("gpt2", attn_implementation=attention, **change)
    plain, _ = both("gpt2", attn_implementation=attention)
    ids = texts().input_ids
    got = ours(ids).logits
    assert difference(got, theirs(ids).logits) <= CLOSE
    assert difference(got, plain(ids).logits) > 1e-3


@pytest.mark.parametrize(
    "change", [{"scale_attn_weights": False}, {"reorder_and_upcast_attn": True}]
)
def test_gpt2_scores_equal_transformers(both, texts, difference, change):
    ours, theirs = both("gpt2", attn_implementation="eager", **change)
    ids = texts().input_ids
    assert difference(ours(ids).logits, theirs(ids).logits) <= CLOSE


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_gpt_neox_settings_equal_transformers(both, texts, difference, parallel, bias):
    ours, theirs = both("gpt_neox", use_parallel_residual=parallel, attention_bias=bias)
    ids = texts().input_ids
    assert difference(ours(ids).logits, theirs(ids).logits) <= CLOSE


@pytest.mark.parametrize("model", ["llama", "mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize("attention_bias", [True, False])
@pytest.mark.parametrize("mlp_bias", [True, False])
def test_biases_are_where_transformers_has_them(both, model, attention_bias, mlp_bias):
    """Settings that belong to another member of the family are kept, and change nothing."""
    ours, theirs = both(model, attention_bias=attention_bias, mlp_bias=mlp_bias)
    assert set(ours.state_dict()) == set(theirs.state_dict())


@pytest.mark.parametrize("act", ["gelu", "relu", "gelu_pytorch_tanh", "swish"])
def test_other_activations_equal_transformers(both, texts, difference, family, act):
    name = "activation_function" if family == "gpt2" else "hidden_act"
    ours, theirs = both(family, **{name: act})
    ids = texts().input_ids
    assert difference(ours(ids).logits, theirs(ids).logits) <= CLOSE


def test_parameters_are_named_counted_and_shaped_as_in_transformers(both, family):
    for tied in (False, True):
        ours, theirs = both(family, tied)
        shapes = {name: weight.shape for name, weight in theirs.state_dict().items()}
        assert {name: weight.shape for name, weight in ours.state_dict().items()} == shapes
        for asked in ({}, {"exclude_embeddings": True}):
            assert ours.num_parameters(**asked) == theirs.num_parameters(**asked)


def test_a_cache_that_minilm_filled_is_the_one_given(ours, texts, family):
    model, ids = ours(family), texts().input_ids
    cache = DynamicCache()
    assert model(ids, past_key_values=cache).past_key_values is cache
    assert cache.get_seq_length() == 7
    assert model(ids, past_key_values=cache, use_cache=False).past_key_values is None


def test_new_weights_are_drawn_as_transformers_draws_them(classes, settings, family):
    """Names of weights → zeros, ones, or the spread of what is drawn, as in a new model there."""
    import transformers

    config, model = classes(family)
    deeper = {"num_hidden_layers": 8, "hidden_size": 48}
    if family == "gpt2":
        deeper = {"n_layer": 8, "n_embd": 48}
    wider = settings(family, **deeper, initializer_range=0.05, pad_token_id=4)
    made = model(config(**wider))
    theirs = getattr(transformers, model.__name__)(getattr(transformers, config.__name__)(**wider))
    kinds: Counter[str] = Counter()
    for name, expected in theirs.state_dict().items():
        got = made.state_dict()[name]
        if expected.unique().numel() == 1:
            assert torch.equal(got, expected), name
            kinds["constant"] += 1
        else:
            ratio = float(got.std() / expected.std())
            assert 0.85 < ratio < 1.15, (name, ratio)
            assert abs(float(got.mean())) < 0.15 * float(got.std()), name
            zero_rows = (expected == 0).all(-1)
            assert torch.equal((got == 0).all(-1), zero_rows), name
            kinds["zero rows"] += int(zero_rows.sum())
            kinds["drawn"] += 1
    assert kinds["constant"] > 8
    assert kinds["drawn"] > 30
    assert kinds["zero rows"] == (0 if family in ("gpt2", "gpt_neox") else 1)
