"""The loss of a language model: equal to transformers' to the last bit."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from minilm import losses
from minilm.errors import MinilmError

pytest.importorskip("transformers")
from transformers.loss.loss_utils import ForCausalLMLoss

SHAPES = [(3, 7, 11), (1, 2, 5), (2, 1, 4), (4, 9, 2)]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def drawn(shape, seed=0, scale=3.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(shape, generator=generator)).to(dtype)
    labels = torch.randint(0, shape[-1], shape[:-1], generator=generator)
    ignored = torch.rand(shape[:-1], generator=generator) < 0.3
    return logits, labels.masked_fill(ignored, -100)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("items", [None, 7, torch.tensor(5)], ids=str)
def test_the_loss_equals_transformers_bit_for_bit(shape, dtype, items):
    logits, labels = drawn(shape, dtype=dtype)
    got = losses.causal_lm_loss(logits, labels, num_items_in_batch=items)
    expected = ForCausalLMLoss(logits, labels, shape[-1], num_items_in_batch=items)
    assert got.dtype == torch.float32
    assert got.shape == ()
    assert torch.equal(got, expected) or (got.isnan() and expected.isnan())


@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_gradients_equal_transformers_bit_for_bit(shape):
    logits, labels = drawn(shape, seed=1)
    gradients = []
    for loss in (losses.causal_lm_loss, lambda *of: ForCausalLMLoss(*of, shape[-1])):
        own = logits.clone().requires_grad_()
        loss(own, labels).backward()
        gradients.append(own.grad)
    assert torch.equal(*gradients)
    assert not gradients[0][:, -1].any()  # nothing follows the last token


def test_the_loss_is_the_mean_surprise_at_what_comes_next():
    """Of four tokens three are judged, each by the logits one place before it."""
    logits = torch.log(
        torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [1, 2, 3]]])
    )
    labels = torch.tensor([[2, 0, 1, 2]])
    expected = -(math.log(0.5) + math.log(0.8) + math.log(0.6)) / 3
    assert losses.causal_lm_loss(logits, labels).item() == pytest.approx(expected)
    plain = F.cross_entropy(logits[0, :-1], labels[0, 1:])
    assert losses.causal_lm_loss(logits, labels).item() == pytest.approx(plain.item())


def test_another_number_can_mean_not_judged():
    logits, labels = drawn((2, 5, 7))
    other = labels.masked_fill(labels == -100, -1)
    got = losses.causal_lm_loss(logits, other, ignore_index=-1)
    assert torch.equal(got, losses.causal_lm_loss(logits, labels))


def test_double_precision_stays_double():
    logits, labels = drawn((2, 5, 7), dtype=torch.float64)
    got = losses.causal_lm_loss(logits, labels)
    assert got.dtype == torch.float64
    assert abs(got.item() - losses.causal_lm_loss(logits.float(), labels).item()) < 1e-6


def test_labels_move_one_place():
    labels = torch.tensor([[5, 6, 7], [8, -100, 9]])
    before = labels.clone()
    moved = losses.next_token_labels(labels)
    assert moved.tolist() == [[6, 7, -100], [-100, 9, -100]]
    assert moved.dtype == torch.int64
    assert losses.next_token_labels(labels, -1).tolist() == [[6, 7, -1], [-100, 9, -1]]
    assert losses.next_token_labels(labels[:, :1]).tolist() == [[-100], [-100]]
    assert torch.equal(labels, before)


@pytest.mark.parametrize("items", [None, 4])
def test_shifted_labels_are_judged_where_they_stand(items):
    logits, labels = drawn((3, 6, 9), seed=2)
    got = losses.shifted_loss(logits, labels, num_items_in_batch=items)
    expected = ForCausalLMLoss(
        logits, None, 9, num_items_in_batch=items, shift_labels=labels.contiguous()
    )
    assert got.item() == pytest.approx(expected.item(), abs=1e-6)
    moved = losses.next_token_labels(labels)
    same = losses.causal_lm_loss(logits, labels, num_items_in_batch=items)
    again = losses.shifted_loss(logits, moved, num_items_in_batch=items)
    assert again.item() == pytest.approx(same.item(), abs=1e-6)


def test_a_readers_function_is_used_within(monkeypatch):
    logits, labels = drawn((2, 5, 7))
    monkeypatch.setattr(losses, "next_token_labels", lambda labels, ignore_index=-100: labels)
    unshifted = losses.causal_lm_loss(logits, labels)
    assert torch.equal(unshifted, F.cross_entropy(logits.flatten(0, 1), labels.flatten()))
    monkeypatch.setattr(losses, "causal_lm_loss", lambda *of, **more: logits.sum())
    assert torch.equal(losses.shifted_loss(logits, labels), logits.sum())


LOGITS = torch.zeros(2, 3, 5)


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        (
            torch.zeros(2, 2, dtype=torch.int64),
            ValueError,
            r"labels of shape \(2, 2\) .* \(2, 3, 5\)",
        ),
        (torch.zeros(6, dtype=torch.int64), ValueError, r"labels of shape \(6,\)"),
        (torch.zeros(2, 3), TypeError, "labels are torch.float32; give a tensor of int64"),
        (torch.zeros(2, 3, dtype=torch.bool), TypeError, "labels are torch.bool"),
        ([[1, 2, 3]], TypeError, "labels are list"),
    ],
)
def test_labels_that_do_not_belong_to_the_logits_are_refused(labels, kind, words):
    with pytest.raises(kind, match=words) as caught:
        losses.check_labels(LOGITS, labels)
    assert isinstance(caught.value, MinilmError)


def test_labels_that_belong_pass():
    losses.check_labels(LOGITS, torch.zeros(2, 3, dtype=torch.int64))
    losses.check_labels(LOGITS, torch.zeros(2, 3, dtype=torch.int32))
    losses.explain_labels(torch.tensor([[0, 4, -100]]), 5)


@pytest.mark.parametrize("label", [5, -1, -101])
def test_the_first_label_without_a_logit_is_named(label):
    labels = torch.tensor([[0, 1], [4, label], [label, 2]])
    with pytest.raises(
        IndexError, match=rf"labels\[1, 1\] is {label}; the vocabulary has 5 tokens"
    ):
        losses.explain_labels(labels, 5)
