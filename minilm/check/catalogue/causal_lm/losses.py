"""The exercise causal_lm_loss and its known mistakes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from minilm.check.catalogue.causal_lm.common import (
    LESSON,
    NO_GRADIENTS,
    alike_with_gradients,
    asked,
    learning,
    use_with_gradients,
)
from minilm.check.drawing import normal
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch


def reference_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
    from transformers.loss.loss_utils import ForCausalLMLoss

    V = logits.shape[-1]
    return ForCausalLMLoss(logits, labels, V, num_items_in_batch, ignore_index)


def shift(logits, labels, ignore_index):
    return logits[:, :-1], labels[:, 1:]


def surprise(logits, target, ignore_index):
    """−log p of each label; 0 where it is not judged."""
    judged = target != ignore_index
    chosen = logits.log_softmax(-1).gather(-1, target.where(judged, 0)[..., None])[..., 0]
    return (-chosen).where(judged, 0.0)


def mean(each, judged):
    return each.sum() / judged.sum()


def divide(total, items, average):
    return average if items is None else total / items


def losing(
    align: Callable = shift,
    judge: Callable = surprise,
    average: Callable = mean,
    count: Callable = divide,
    told: Callable = lambda ignore_index: ignore_index,
    wide: bool = True,
) -> Callable:
    """Make a causal_lm_loss that takes one of its steps in another way."""

    def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
        index = told(ignore_index)
        if wide:
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        source, target = align(logits, labels, index)
        each = judge(source, target, index)
        return count(each.sum(), num_items_in_batch, average(each, target != index))

    return causal_lm_loss


def last_judged_as(fill: Callable) -> Callable:
    """Make an alignment that keeps the last place, and judges it by something."""
    return lambda logits, labels, ignore_index: (
        logits,
        torch.cat([labels[:, 1:], fill(labels)], dim=1),
    )


def through_the_rows(logits, labels, ignore_index):
    V = logits.shape[-1]
    return logits.reshape(1, -1, V)[:, :-1], labels.reshape(1, -1)[:, 1:]


def counted_before_the_shift(logits, labels, ignore_index=-100, num_items_in_batch=None):
    judged = (labels != ignore_index).sum()
    return losing()(
        logits,
        labels,
        ignore_index,
        judged if num_items_in_batch is None else num_items_in_batch,
    )


def mean_of_rows(each, judged):
    return (each.sum(-1) / judged.sum(-1)).mean()


def mean_of_all(each, judged):
    return each.mean()


def mean_with_the_last_place(each, judged):
    return each.sum() / (each.shape[0] * (each.shape[1] + 1))


def of_probabilities(logits, target, ignore_index):
    return surprise(logits.softmax(-1), target, ignore_index)


def over_tokens(logits, target, ignore_index):
    judged = target != ignore_index
    chosen = logits.log_softmax(1).gather(-1, target.where(judged, 0)[..., None])[..., 0]
    return (-chosen).where(judged, 0.0)


def without_softmax(logits, target, ignore_index):
    judged = target != ignore_index
    chosen = logits.gather(-1, target.where(judged, 0)[..., None])[..., 0]
    return (-chosen).where(judged, 0.0)


def without_logarithm(logits, target, ignore_index):
    judged = target != ignore_index
    chosen = logits.softmax(-1).gather(-1, target.where(judged, 0)[..., None])[..., 0]
    return (-chosen).where(judged, 0.0)


def in_bits(logits, target, ignore_index):
    return surprise(logits, target, ignore_index) / math.log(2)


def judge_the_ignored_as_zero(logits, target, ignore_index):
    return surprise(logits, target.where(target != ignore_index, 0), -(10**6))


def with_everything_judged(each, judged):
    return each.mean()


def by_view_of_a_slice(logits, labels, ignore_index=-100, num_items_in_batch=None):
    source, target = logits.float()[:, :-1], labels[:, 1:]
    return reduced(
        source.view(-1, source.shape[-1]), target.reshape(-1), ignore_index, num_items_in_batch
    )


def without_flattening(logits, labels, ignore_index=-100, num_items_in_batch=None):
    return reduced(logits.float()[:, :-1], labels[:, 1:], ignore_index, num_items_in_batch)


def reduced(source, target, ignore_index, num_items_in_batch=None):
    cross_entropy = torch.nn.functional.cross_entropy
    if num_items_in_batch is None:
        return cross_entropy(source, target, ignore_index=ignore_index)
    total = cross_entropy(source, target, ignore_index=ignore_index, reduction="sum")
    return total / num_items_in_batch


def by_slices(logits, labels, ignore_index=-100, num_items_in_batch=None):
    source = logits[:, :-1, :].contiguous().float()
    target = labels[..., 1:].contiguous()
    return reduced(
        source.view(-1, source.size(-1)), target.view(-1), ignore_index, num_items_in_batch
    )


def by_classes_second(logits, labels, ignore_index=-100, num_items_in_batch=None):
    source = logits.float()[:, :-1].transpose(1, 2)  # (B, V, T - 1)
    return reduced(source, labels[:, 1:], ignore_index, num_items_in_batch)


def by_two_steps(logits, labels, ignore_index=-100, num_items_in_batch=None):
    target = torch.nn.functional.pad(labels, (0, 1), value=ignore_index)[:, 1:].reshape(-1)
    log_p = torch.log_softmax(logits.float(), dim=-1).flatten(0, 1)
    total = torch.nn.functional.nll_loss(log_p, target, ignore_index=ignore_index, reduction="sum")
    count = num_items_in_batch if num_items_in_batch is not None else (target != ignore_index).sum()
    return total / count


def by_loops(logits, labels, ignore_index=-100, num_items_in_batch=None):
    total, count = torch.zeros(()), 0
    for row, text in zip(logits.float(), labels, strict=True):
        for scores, after in zip(row[:-1], text[1:], strict=True):
            if after != ignore_index:
                total = total + torch.logsumexp(scores, 0) - scores[after]
                count += 1
    divisor = count if num_items_in_batch is None else num_items_in_batch
    return total / divisor if divisor else total / torch.tensor(0.0)


def by_minilms_own_step(logits, labels, ignore_index=-100, num_items_in_batch=None):
    from minilm import losses

    target = losses.next_token_labels(labels, ignore_index)
    return reduced(logits.float().flatten(0, 1), target.flatten(), ignore_index, num_items_in_batch)


def draw_losses(draw: random.Random) -> list[Case]:
    cases: list[Case] = []

    def add(B: int, T: int, V: int, hide: Any = (), dtype: Any = None, **rest: Any) -> None:
        labels = [[draw.randrange(V) for _ in range(T)] for _ in range(B)]
        for row, at in hide:
            labels[row][at] = rest.get("ignore_index", -100)
        logits = normal(draw, B, T, V, scale=2.0, dtype=dtype)
        cases.append({"logits": logits, "labels": torch.tensor(labels), **rest})

    for B, T, V in [(1, 2, 2), (1, 3, 2), (1, 3, 3), (2, 2, 3), (2, 3, 3), (2, 4, 5), (3, 5, 7)]:
        add(B, T, V)
    add(1, 4, 3, hide=[(0, 1)])
    add(2, 4, 5, hide=[(0, 2), (0, 3), (1, 0)])
    add(2, 6, 5, hide=[(1, 2), (1, 3), (1, 4), (1, 5)])
    add(3, 5, 4, hide=[(0, 0), (0, 1), (0, 2), (2, 4)])
    add(2, 4, 5, hide=[(0, 2), (1, 3)], ignore_index=0)
    add(2, 5, 4, hide=[(0, 1), (1, 3), (1, 4)], ignore_index=-1)
    add(1, 3, 3, num_items_in_batch=5)
    add(1, 1, 3, num_items_in_batch=4)
    add(2, 4, 5, hide=[(0, 3)], num_items_in_batch=torch.tensor(draw.choice([7, 11])))
    add(2, 4, 5, dtype=torch.bfloat16)
    add(4, 8, 16, hide=[(1, 7), (1, 6), (3, 0)])
    cases += [learning(cases[2]), learning(cases[5])]
    return cases


CAUSAL_LM_LOSS = Exercise(
    answer="minilm.losses:causal_lm_loss",
    lesson=LESSON,
    cases=draw_losses,
    reference=asked(reference_loss),
    use=use_with_gradients,
    reference_name="transformers' ForCausalLMLoss",
    compare=alike_with_gradients(),
    mistakes=[
        Mistake(
            "does not shift",
            losing(lambda logits, labels, ignore_index: (logits, labels)),
            "The logits of place t are judged by token t, which stands in the input. The loss goes "
            "to zero, wonderfully fast, and the model has learned to repeat the last word.",
        ),
        Mistake(
            "shifts twice",
            losing(lambda logits, labels, ignore_index: (logits[:, :-2], labels[:, 2:])),
            "The logits of place t are judged by token t + 2. The model learns to skip a word, and "
            "its loss falls all the same. Labels are the text itself; the loss shifts once.",
        ),
        Mistake(
            "shifts the other way",
            losing(lambda logits, labels, ignore_index: (logits[:, 1:], labels[:, :-1])),
            "The logits of place t are judged by token t - 1, which the model has read already. "
            "Drop the *last* logits and the *first* label.",
        ),
        Mistake(
            "goes round at the end",
            losing(last_judged_as(lambda labels: labels[:, :1])),
            "`roll` brings the first token round, so the last place is to predict how the text "
            "began. Nothing is known to come after it: it is not judged.",
        ),
        Mistake(
            "judges the last place by the last token",
            losing(last_judged_as(lambda labels: labels[:, -1:])),
            "The last place is judged by the last token once more. Nothing is known to come after "
            "it: it is not judged.",
        ),
        Mistake(
            "judges the last place by token 0",
            losing(last_judged_as(lambda labels: torch.zeros_like(labels[:, :1]))),
            "The last place is judged by 0, which is a token like any other. Fill up with "
            "ignore_index.",
        ),
        Mistake(
            "lets one text follow on another",
            losing(through_the_rows),
            "You flatten first and shift then, so the last place of each text is judged by the "
            "first token of the next. Shift every row, then flatten.",
        ),
        Mistake(
            "counts before it shifts",
            counted_before_the_shift,
            "The sum is divided by how many labels there are, the first of each row among them. "
            "No place is judged by that one: count what is left after the shift.",
        ),
        Mistake(
            "divides by the number of texts",
            losing(average=lambda each, judged: each.sum() / len(each)),
            "The sum is divided by B, so that long texts look worse than short ones. Divide by "
            "how many places are judged.",
        ),
        Mistake(
            "counts the last place",
            losing(average=mean_with_the_last_place),
            "The sum is divided by B·T. Only T - 1 places of each row have a next token. "
            "(transformers' Trainer reports GPT-2's loss so, too low by a share of 1/T.)",
        ),
        Mistake(
            "counts what is not judged",
            losing(average=mean_of_all),
            "The sum leaves the ignored places out, and you divide by all. With much padding the "
            "loss looks small. Divide by how many were judged.",
        ),
        Mistake(
            "judges what is to be ignored",
            losing(judge=judge_the_ignored_as_zero, average=with_everything_judged),
            "Places with ignore_index are judged as if token 0 were right there. They do not "
            "count at all, neither in the sum nor in the number.",
        ),
        Mistake(
            "knows one ignore_index only",
            lambda logits, labels, ignore_index=-100, num_items_in_batch=None: reduced(
                logits.float()[:, :-1].flatten(0, 1),
                labels[:, 1:].flatten(),
                -100,
                num_items_in_batch,
            ),
            "`ignore_index` is not listened to: cross_entropy goes by its own, -100, unless it is "
            "handed on, and `labels >= 0` goes by the sign.",
        ),
        Mistake(
            "takes the mean of the rows' means",
            losing(average=mean_of_rows),
            "Each row is averaged, and then the rows. A row of two judged places then counts as "
            "much as one of a thousand. Sum over all, and divide once.",
        ),
        Mistake(
            "takes the sum",
            losing(average=lambda each, judged: each.sum()),
            "You return the sum over all places, which grows with the batch. Without "
            "num_items_in_batch it is the mean.",
        ),
        Mistake(
            "returns a loss for each place",
            losing(average=lambda each, judged: each),
            "One number is asked for, and you return one for each place: reduction='none'. Take "
            "the mean.",
        ),
        Mistake(
            "ignores num_items_in_batch",
            losing(count=lambda total, items, average: average),
            "The mean is taken over this batch, whatever num_items_in_batch says. A step that is "
            "made of several batches divides each one's sum by the number of all.",
        ),
        Mistake(
            "divides the mean once more",
            losing(count=lambda total, items, average: average / (1 if items is None else items)),
            "You divide the *mean* by num_items_in_batch. It takes the place of the number that "
            "the sum is divided by.",
        ),
        Mistake(
            "takes the sum and does not divide",
            losing(count=lambda total, items, average: average if items is None else total),
            "With num_items_in_batch you return the sum. Divide it by that number.",
        ),
        Mistake(
            "takes the softmax first",
            losing(judge=of_probabilities),
            "cross_entropy takes logits, and does the softmax itself. Given probabilities, it "
            "squeezes them once more: the loss cannot come near 0, and learning is slow.",
        ),
        Mistake(
            "takes no softmax",
            losing(judge=without_softmax),
            "nll_loss takes log-probabilities, and you give it logits. The loss falls below zero "
            "and on to minus infinity. Use cross_entropy, or log_softmax first.",
        ),
        Mistake(
            "takes no logarithm",
            losing(judge=without_logarithm),
            "nll_loss takes log-probabilities, and you give it probabilities. The loss is the mean "
            "of -p, between -1 and 0.",
        ),
        Mistake(
            "takes the softmax over the tokens",
            losing(judge=over_tokens),
            "The softmax runs over dim 1, so that the places of a text compete for each word. Each "
            "place shares itself out among the words of the vocabulary: the last axis.",
        ),
        Mistake(
            "forgets to flatten",
            without_flattening,
            "cross_entropy takes the second axis for the vocabulary, and here it is the tokens. "
            "Flatten to (B·T, V) and (B·T,), or transpose to (B, V, T).",
        ),
        Mistake(
            "views a slice",
            by_view_of_a_slice,
            "logits[:, :-1] is a slice with gaps in it, and `view` cannot flatten it unless the "
            "batch has one row. Use `reshape` or `flatten`.",
        ),
        Mistake(
            "has the sign the other way round",
            losing(judge=lambda *given: -surprise(*given)),
            "This is the mean of log p, which is negative. A loss is to be made small: -log p.",
        ),
        Mistake(
            "returns the perplexity",
            losing(average=lambda each, judged: mean(each, judged).exp()),
            "exp of the mean is the perplexity. The loss is the mean itself.",
        ),
        Mistake(
            "counts in bits",
            losing(judge=in_bits),
            "You take the logarithm to base 2. The loss is in nats: the natural logarithm.",
        ),
        Mistake(
            "judges the end of the text only",
            losing(lambda logits, labels, ignore_index: (logits[:, -2:-1], labels[:, -1:])),
            "Only the last token is judged. Every place but the last is a prediction, and training "
            "learns from all of them at once.",
        ),
        Mistake(
            "judges the first text only",
            losing(lambda logits, labels, ignore_index: (logits[:1, :-1], labels[:1, 1:])),
            "Only the first row of the batch is judged. Flatten all rows.",
        ),
        Mistake(
            "takes the number out",
            lambda logits, labels, ignore_index=-100, num_items_in_batch=None: losing()(
                logits, labels, ignore_index, num_items_in_batch
            ).item(),
            "`.item()` makes a plain number of it, and a number has no gradients: nothing could be "
            "trained. Return the tensor.",
        ),
        Mistake(
            "stays in half precision",
            losing(wide=False),
            "The loss of bfloat16 logits is computed in bfloat16, which has two to three digits. "
            "Make the logits float32 first.",
        ),
        Mistake(
            "loses the gradients",
            lambda logits, labels, ignore_index=-100, num_items_in_batch=None: losing()(
                logits, labels, ignore_index, num_items_in_batch
            ).detach(),
            NO_GRADIENTS,
        ),
    ],
    accepts=[
        losing(),
        by_slices,
        by_classes_second,
        by_two_steps,
        by_loops,
        by_minilms_own_step,
    ],
)
