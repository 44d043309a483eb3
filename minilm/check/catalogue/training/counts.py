"""The exercise count_targets and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable

from minilm.check.catalogue.training.common import LESSON, plain
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch


def reference_count(batches, shifts=True):
    """Let transformers' Trainer count, with a loss that shifts and with one that does not."""
    from types import SimpleNamespace

    from transformers import Trainer

    trainer = SimpleNamespace(
        model_accepts_loss_kwargs=True,
        compute_loss_func=None,
        _loss_shifts_labels=shifts,
        args=SimpleNamespace(average_tokens_across_devices=False, n_gpu=1, world_size=1),
        get_tp_size=lambda: 1,
        get_cp_size=lambda: 1,
        get_sp_size=lambda: 1,
    )
    return int(Trainer._get_num_items_in_batch(trainer, batches, torch.device("cpu")))


def use_count(function, batches, shifts=True):
    answer = plain(function(batches=batches, shifts=shifts))
    return int(answer) if isinstance(answer, float) and answer.is_integer() else answer


def counting(
    one: Callable = lambda labels: (labels != -100).sum().item(),
    judged: Callable = lambda labels, shifts: labels[:, 1:] if shifts else labels,
    together: Callable = sum,
    of: Callable = lambda batches: batches,
) -> Callable:
    """Make a count_targets that takes one of its steps in another way."""

    def count_targets(batches, shifts=True):
        return together([one(judged(batch["labels"], shifts)) for batch in of(batches)])

    return count_targets


def after_the_last_real(labels, shifts):
    return labels[:, :-1] if shifts else labels


def minus_one(labels):
    return (labels != -100).sum().item() - 1


def fewer_by_rows(batches, shifts=True):
    found = counting()(batches, shifts=False)
    return found - sum(len(batch["labels"]) for batch in batches) * bool(shifts)


def mean_of(counts):
    return sum(counts) / len(counts)


def by_cat(batches, shifts=True):
    labels = [batch["labels"][..., int(shifts) :].reshape(-1) for batch in batches]
    return torch.cat(labels).ne(-100).sum()


def by_next_token_labels(batches, shifts=True):
    from minilm import losses

    total = 0
    for batch in batches:
        labels = losses.next_token_labels(batch["labels"]) if shifts else batch["labels"]
        total += int((labels != -100).sum())
    return total


def by_loops(batches, shifts=True):
    count = 0
    for batch in batches:
        for row in batch["labels"].tolist():
            count += sum(label != -100 for label in (row[1:] if shifts else row))
    return count


def draw_batches(draw: random.Random) -> list[Case]:
    def case(*batches, **rest):
        return {"batches": [{"labels": torch.tensor(rows)} for rows in batches], **rest}

    cases: list[Case] = [
        case([[5, 6, 7]]),
        case([[5, 6, 7]], shifts=False),
        case([[-100, 6, 7]]),
        case([[5, 6, -100]]),
        case([[5, 6], [7, 8]]),
        case([[5, 6, 7], [8, -100, -100]]),
        case([[5, 6, 0]]),
        case([[3, 4, 5, 6]], [[7, 8]]),
        case([[-100, -100, 3, 4], [5, 6, 7, 8]], [[9, 1, -100], [1, 2, 3]]),
        case([[4]], [[5, 6]]),
    ]
    for at in range(6):
        batches = []
        for _ in range(draw.randint(1, 3)):
            T = draw.randint(2, 6)
            rows = []
            for _ in range(draw.randint(1, 4)):
                hidden = draw.randint(0, T - 1)
                row = [draw.randint(0, 9) for _ in range(T)]
                row[:hidden] = [-100] * hidden if at % 2 else row[:hidden]
                row[T - hidden :] = row[T - hidden :] if at % 2 else [-100] * hidden
                rows.append(row)
            batches.append(rows)
        cases.append(case(*batches, **({"shifts": False} if at % 3 == 2 else {})))
    return cases


COUNT_TARGETS = Exercise(
    answer="minilm.training.steps:count_targets",
    lesson=LESSON,
    cases=draw_batches,
    reference=reference_count,
    reference_name="what transformers' Trainer counts where it knows that the loss shifts",
    use=use_count,
    mistakes=[
        Mistake(
            "counts before the shift",
            counting(judged=lambda labels, shifts: labels),
            "The first label of each row is counted, and nothing predicts it. The reported loss "
            "comes out too low by 1/T. (transformers' Trainer does this with GPT-2.)",
        ),
        Mistake(
            "always counts after the shift",
            counting(judged=lambda labels, shifts: labels[:, 1:]),
            "The first label is left out although shifts=False says that this model's loss does "
            "not shift: there every label is judged.",
        ),
        Mistake(
            "leaves out the last place instead of the first",
            counting(judged=after_the_last_real),
            "The last label of each row is left out. It *is* judged, by the place before it; the "
            "first one is not, for nothing comes before it.",
        ),
        Mistake(
            "takes one off for each row",
            fewer_by_rows,
            "You count all labels and take one off for each row. Where the first label is hidden "
            "anyway, that is one too many: cut it off, then count.",
        ),
        Mistake(
            "takes one off for each batch",
            counting(one=minus_one, judged=lambda labels, shifts: labels),
            "One is taken off for each batch. Every *row* has a first token that nothing predicts.",
        ),
        Mistake(
            "counts what is hidden as well",
            counting(one=lambda labels: labels.numel()),
            "Places with -100 are counted. They add nothing to the loss, so with much padding it "
            "would look small.",
        ),
        Mistake(
            "counts what is hidden, and before the shift",
            counting(one=lambda labels: labels.numel(), judged=lambda labels, shifts: labels),
            "This is the size of the labels. Neither the places with -100 are judged, nor (if the "
            "loss shifts) the first of each row.",
        ),
        Mistake(
            "counts what is hidden only",
            counting(one=lambda labels: (labels == -100).sum().item()),
            "You count the places that are *not* judged: == and != are exchanged.",
        ),
        Mistake(
            "takes token 0 for hidden",
            counting(one=lambda labels: (labels > 0).sum().item()),
            "Token 0 is a token like any other. Hidden is -100 and nothing else.",
        ),
        Mistake(
            "adds up the labels",
            counting(one=lambda labels: labels[labels != -100].sum().item()),
            "You add up the token ids themselves. Compare with -100 first, and add up the Trues.",
        ),
        Mistake(
            "counts the first batch only",
            counting(of=lambda batches: batches[:1]),
            "Only the first batch is counted. A step's loss is divided by the labels of all of its "
            "batches together.",
        ),
        Mistake(
            "counts the last batch only",
            counting(together=lambda counts: counts[-1]),
            "Only the last batch is counted: the number is set anew for each. Add them up.",
        ),
        Mistake(
            "takes the mean of the batches",
            counting(together=mean_of),
            "The counts of the batches are averaged. The step is divided by how many there are "
            "together: their sum.",
        ),
        Mistake(
            "counts rows",
            counting(one=len),
            "len() of a tensor is its number of rows. It is tokens that are judged.",
        ),
        Mistake(
            "returns a count for each batch",
            counting(together=list),
            "A list comes back, with a number for each batch. One number is asked for, their sum.",
        ),
        Mistake(
            "drops the first row",
            counting(judged=lambda labels, shifts: labels[1:] if shifts else labels),
            "labels[1:] leaves the first *row* out. Tokens run along the second axis: "
            "labels[:, 1:].",
        ),
    ],
    accepts=[counting(), by_cat, by_next_token_labels, by_loops],
)
