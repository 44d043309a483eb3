"""Models that learn: a fixed batch by heart, and said back token by token."""

from __future__ import annotations

import pytest
import torch

# Two texts that begin with different tokens, so that the first token decides the rest.
BY_HEART = torch.tensor(
    [
        [3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 32],
        [27, 18, 28, 18, 28, 4, 5, 9, 4, 5, 23, 5],
    ]
)


def greedily(model, ids, length):
    """Continue texts with the likeliest token, with a cache."""
    cache, new = None, ids
    with torch.no_grad():
        while ids.shape[1] < length:
            output = model(new, past_key_values=cache, logits_to_keep=1)
            cache, new = output.past_key_values, output.logits.argmax(-1)  # (B, 1)
            ids = torch.cat([ids, new], dim=1)
    return ids


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_a_batch_learned_by_heart_is_said_back(ours, family, tied):
    model = ours(family, tied=tied, woken=False).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses, norms = [], []
    for _ in range(60):
        loss = model(BY_HEART, labels=BY_HEART).loss
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert 3.4 < losses[0] < 3.9  # log 37 = 3.6: it knew nothing
    assert losses[-1] < 0.1 * losses[0]
    assert norms[-1] < 0.5 * max(norms)
    model.eval()
    assert torch.equal(greedily(model, BY_HEART[:, :1], 12), BY_HEART)


def test_layers_computed_twice_give_the_same_gradients(ours, texts, difference, family):
    model, batch = ours(family).train(), texts("right")
    asked = {"attention_mask": batch.attention_mask, "labels": batch.labels}
    plain = model(batch.input_ids, **asked)
    plain.loss.backward()
    expected = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    calls = []
    model.base_model.layers[1].register_forward_pre_hook(lambda *of: calls.append(of))
    assert not model.is_gradient_checkpointing
    model.gradient_checkpointing_enable()
    assert model.is_gradient_checkpointing
    output = model(batch.input_ids, **asked)
    assert output.past_key_values is None  # two passes would fill it twice
    output.loss.backward()
    assert len(calls) == 2
    assert torch.equal(output.loss, plain.loss)
    for name, weight in model.named_parameters():
        assert difference(weight.grad, expected[name]) <= 1e-7, name
    with pytest.raises(ValueError, match="gradient checkpointing is on"):
        model(batch.input_ids, past_key_values=plain.past_key_values)
    calls.clear()
    assert model.eval()(batch.input_ids).past_key_values is not None
    model.train().gradient_checkpointing_disable()
    model(batch.input_ids, labels=batch.labels).loss.backward()
    assert len(calls) == 2


def test_dropped_numbers_are_the_same_both_times(ours, texts):
    model = ours("gpt2", resid_pdrop=0.3, embd_pdrop=0.2, attn_pdrop=0.2).train()
    ids, gradients = texts().input_ids, []
    for on in (False, True):
        if on:
            model.gradient_checkpointing_enable()
        torch.manual_seed(4)
        model(ids, labels=ids).loss.backward()
        gradients.append(model.transformer.h[0].mlp.c_fc.weight.grad.clone())
        model.zero_grad()
    assert torch.allclose(*gradients, atol=1e-7)


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("gpt2", ["resid_pdrop", "embd_pdrop", "attn_pdrop"]),
        ("gpt_neox", ["hidden_dropout", "attention_dropout"]),
        ("llama", ["attention_dropout"]),
        ("qwen3", ["attention_dropout"]),
    ],
)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_every_dropout_drops_in_training_alone(ours, texts, family, names, attention):
    ids = texts().input_ids
    for name in names:
        model = ours(family, attn_implementation=attention, **{name: 0.5})
        expected = ours(family, attn_implementation=attention)(ids).logits
        assert torch.equal(model(ids).logits, expected)
        assert not torch.allclose(model.train()(ids).logits, expected, atol=1e-3), name
