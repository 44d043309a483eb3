"""The pieces of a training step: what torch does, and what transformers counts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from minilm import losses
from minilm.training import steps

IGNORE = -100


def model_of(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Embedding(11, 6), nn.Linear(6, 11))


def batches():
    """Three batches whose texts, lengths and hidden places all differ."""
    torch.manual_seed(1)
    made = []
    for B, T in ((2, 5), (1, 3), (3, 4)):
        labels = torch.randint(11, (B, T))
        made.append({"input_ids": labels.clone(), "labels": labels})
    made[0]["labels"][0, 2:] = IGNORE
    made[2]["labels"][:, 0] = IGNORE
    return made


def test_targets_are_counted_after_the_shift():
    # 2 rows of 5 with 4 places each, 3 hidden; 1 of 3; 3 of 4 whose first is hidden anyway
    assert steps.count_targets(batches()).item() == (8 - 3) + 2 + 9
    assert steps.count_targets(batches(), shifts=False).item() == 7 + 3 + 9
    assert steps.count_targets([{"labels": torch.tensor([[4]])}]).item() == 0


def test_several_batches_are_one():
    model = model_of()
    parts = batches()
    count = steps.count_targets(parts)

    def loss_of(batch, num_items):
        logits = model(batch["input_ids"])
        return losses.causal_lm_loss(logits, batch["labels"], num_items_in_batch=num_items)

    total = steps.accumulate(parts, loss_of, count)
    assert not total.requires_grad
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()

    together = []  # all rows, padded to one length
    for name, fill in (("input_ids", 0), ("labels", IGNORE)):
        rows = [row for batch in parts for row in batch[name]]
        together.append(
            torch.stack([nn.functional.pad(r, (0, 5 - len(r)), value=fill) for r in rows])
        )
    loss = losses.causal_lm_loss(model(together[0]), together[1])
    loss.backward()
    assert total.item() == pytest.approx(loss.item(), abs=1e-6)
    for mine, parameter in zip(found, model.parameters(), strict=True):
        assert torch.allclose(mine, parameter.grad, atol=1e-6)


def test_one_batch_is_worth_its_loss_to_the_last_bit():
    model, (batch, *_) = model_of(), batches()

    def loss_of(batch, num_items):
        logits = model(batch["input_ids"])
        return losses.causal_lm_loss(logits, batch["labels"], num_items_in_batch=num_items)

    count = steps.count_targets([batch])
    assert torch.equal(steps.accumulate([batch], loss_of, count), loss_of(batch, count).detach())


def with_gradients(scale=10.0):
    torch.manual_seed(3)
    parameters = [nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(4))]
    for parameter in parameters:
        parameter.grad = scale * torch.randn_like(parameter)
    return parameters


@pytest.mark.parametrize("limit", [1.0, 0.5, 1e6, 0.0, None])
def test_a_step_clips_moves_and_clears(limit):
    parameters, expected = with_gradients(), with_gradients()
    optimizer, theirs = (torch.optim.SGD(each, lr=1.0) for each in (parameters, expected))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    norm = steps.optimizer_step(iter(parameters), optimizer, scheduler, limit)
    right = nn.utils.clip_grad_norm_(expected, limit or math.inf)
    theirs.step()
    assert torch.equal(norm, right)
    assert norm > 10
    for mine, other in zip(parameters, expected, strict=True):
        assert torch.equal(mine, other)
        assert mine.grad is None
    assert scheduler.get_last_lr() == [0.5]


def test_a_step_needs_no_schedule():
    parameters = with_gradients()
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    steps.optimizer_step(parameters, optimizer)
    assert optimizer.param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize(
    "settings", [{}, {"lr": 0.1, "weight_decay": 0.3}, {"betas": (0.7, 0.8), "eps": 1e-2}]
)
def test_adamw_by_hand_is_torchs(settings):
    torch.manual_seed(0)
    weight = torch.randn(4, 3)
    parameter = nn.Parameter(weight.clone())
    optimizer = torch.optim.AdamW([parameter], **settings)
    mean = square = torch.zeros(4, 3)
    for step in range(1, 8):
        gradient = torch.randn(4, 3)
        parameter.grad = gradient.clone()
        optimizer.step()
        weight, mean, square = steps.adamw_update(weight, gradient, mean, square, step, **settings)
        assert torch.allclose(weight, parameter, atol=1e-6)
        state = optimizer.state[parameter]
        assert torch.allclose(mean, state["exp_avg"])
        assert torch.allclose(square, state["exp_avg_sq"])


def test_perplexity_counts_each_token_once():
    assert steps.perplexity([math.log(2), math.log(8)], [1, 1]) == pytest.approx(4.0)
    assert steps.perplexity([math.log(2), math.log(8)], [2, 1]) == pytest.approx(2 ** (5 / 3))
    assert steps.perplexity([0.0], [7]) == 1.0
    assert steps.perplexity([1e4], [3]) == math.inf


def test_perplexity_of_batches_is_that_of_the_whole():
    model, parts = model_of(), batches()
    judged = [(losses.causal_lm_loss(model(b["input_ids"]), b["labels"]).item()) for b in parts]
    counts = [int(steps.count_targets([batch])) for batch in parts]
    total = sum(
        losses.causal_lm_loss(model(b["input_ids"]), b["labels"], num_items_in_batch=1).item()
        for b in parts
    )
    assert steps.perplexity(judged, counts) == pytest.approx(math.exp(total / sum(counts)))
