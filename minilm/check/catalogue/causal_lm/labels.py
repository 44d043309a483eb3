"""The exercise next_token_labels and its known mistakes."""

from __future__ import annotations

import random

from minilm.check.catalogue.causal_lm.common import LESSON
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch


def reference_labels(labels, ignore_index=-100):
    """What transformers' ForCausalLMLoss hands to the cross entropy."""
    from torch.overrides import TorchFunctionMode
    from transformers.loss.loss_utils import ForCausalLMLoss

    given = []

    class Listening(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.nn.functional.cross_entropy:
                given.append(args[1])
            return func(*args, **(kwargs or {}))

    V = max(2, int(labels.max()) + 1)
    with Listening():
        ForCausalLMLoss(torch.zeros(*labels.shape, V), labels, V, ignore_index=ignore_index)
    [target] = given
    return target.view(labels.shape)


def ends(labels, ignore_index, count=1):
    return torch.full_like(labels[:, :count], ignore_index)


def right(labels, ignore_index=-100):
    return torch.cat([labels[:, 1:], ends(labels, ignore_index)], dim=1)


def twice(labels, ignore_index=-100):
    return right(right(labels, ignore_index), ignore_index)


def the_other_way(labels, ignore_index=-100):
    return torch.cat([ends(labels, ignore_index), labels[:, :-1]], dim=1)


def round_and_round(labels, ignore_index=-100):
    return labels.roll(-1, dims=1)


def roll_all(labels, ignore_index=-100):
    return labels.roll(-1)


def through_the_rows(labels, ignore_index=-100):
    moved = labels.flatten().roll(-1)
    moved[-1] = ignore_index
    return moved.view(labels.shape)


def end_of_the_batch_only(labels, ignore_index=-100):
    moved = labels.roll(-1, dims=1)
    moved[-1, -1] = ignore_index
    return moved


def one_place_longer(labels, ignore_index=-100):
    return torch.cat([labels, ends(labels, ignore_index)], dim=1)


def last_repeated(labels, ignore_index=-100):
    return torch.cat([labels[:, 1:], labels[:, -1:]], dim=1)


def last_hidden_only(labels, ignore_index=-100):
    hidden = labels.clone()
    hidden[:, -1] = ignore_index
    return hidden


def first_hidden_only(labels, ignore_index=-100):
    hidden = labels.clone()
    hidden[:, 0] = ignore_index
    return hidden


def always(last: int):
    """Make a next_token_labels that ends in one number, whatever it is told."""
    return lambda labels, ignore_index=-100: right(labels, last)


def down_the_batch(labels, ignore_index=-100):
    return torch.cat([labels[1:], torch.full_like(labels[:1], ignore_index)])


def over_the_text_itself(labels, ignore_index=-100):
    labels[:, :-1] = labels[:, 1:].clone()
    labels[:, -1] = ignore_index
    return labels


def as_floats(labels, ignore_index=-100):
    return torch.cat([labels[:, 1:], torch.full((len(labels), 1), float(ignore_index))], dim=1)


def by_roll(labels, ignore_index=-100):
    moved = labels.roll(-1, dims=1)
    moved[:, -1] = ignore_index
    return moved


def by_full(labels, ignore_index=-100):
    moved = torch.full(labels.shape, ignore_index, dtype=labels.dtype)
    moved[:, :-1] = labels[:, 1:]
    return moved


def by_lists(labels, ignore_index=-100):
    return torch.tensor([[*row[1:], ignore_index] for row in labels.tolist()])


def as_in_transformers(labels, ignore_index=-100):
    padded = torch.nn.functional.pad(labels, (0, 1), value=ignore_index)
    return padded[..., 1:].contiguous()


def by_gather(labels, ignore_index=-100):
    at = torch.arange(1, labels.shape[1] + 1)
    moved = labels[:, at.clamp(max=labels.shape[1] - 1)]
    return moved.masked_fill(at == labels.shape[1], ignore_index)


def draw_labels(draw: random.Random) -> list[Case]:
    small: list[list[list[int]]] = [
        [[5, 6]],
        [[5]],
        [[5, 6, 7]],
        [[1, 2, 3, 4]],
        [[1, 2], [3, 4]],
        [[1, 2, 3], [4, 5, 6]],
        [[1, 2, 2], [3, 3, 3], [7, 8, 9]],
        [[-100, -100, 7, 8], [4, 5, 6, -100]],
    ]
    cases: list[Case] = [{"labels": torch.tensor(rows)} for rows in small]
    for at in range(8):
        shape = draw.randint(1, 4), draw.randint(2, 7)
        rows = [[draw.randint(0, 50) for _ in range(shape[1])] for _ in range(shape[0])]
        case: Case = {"labels": torch.tensor(rows)}
        if at % 3 == 2:
            case["ignore_index"] = draw.choice([-1, 99])
        cases.append(case)
    return cases


NEXT_TOKEN_LABELS = Exercise(
    answer="minilm.losses:next_token_labels",
    lesson=LESSON,
    cases=draw_labels,
    reference=reference_labels,
    reference_name="the targets of transformers' ForCausalLMLoss",
    mistakes=[
        Mistake(
            "does not shift",
            lambda labels, ignore_index=-100: labels.clone(),
            "Place t holds token t itself. A model judged by that learns to repeat what it has "
            "just read: its loss goes to zero, and it can do nothing else.",
        ),
        Mistake(
            "hides the last and does not shift",
            last_hidden_only,
            "The last place is ignored, and place t still holds token t itself. Move the labels "
            "one place to the left as well.",
        ),
        Mistake(
            "hides the first and does not shift",
            first_hidden_only,
            "The first place is ignored, and place t still holds token t itself. Move the labels "
            "one place to the left; then it is the last that has nothing after it.",
        ),
        Mistake(
            "shifts twice",
            twice,
            "Place t holds token t + 2. The model learns to skip a word; its loss falls all the "
            "same. This is what happens when data are shifted, and then the loss shifts again.",
        ),
        Mistake(
            "shifts the other way",
            the_other_way,
            "Place t holds token t - 1, which the model has read already. The labels move to the "
            "*left*.",
        ),
        Mistake(
            "goes round at the end",
            round_and_round,
            "`roll` brings the first token round to the last place, so that the model is to "
            "predict how the text began. Nothing comes after the last place: ignore_index.",
        ),
        Mistake(
            "rolls through the whole batch",
            roll_all,
            "`roll` without dims runs through all rows as if they were one: the last place of each "
            "gets the first token of the next. Nothing comes after the last place.",
        ),
        Mistake(
            "lets one text follow on another",
            through_the_rows,
            "The last place of each row gets the first token of the next row. They are different "
            "texts: every row's last place gets ignore_index.",
        ),
        Mistake(
            "hides the end of the last text only",
            end_of_the_batch_only,
            "Only the very last place of the batch gets ignore_index; every other row goes round "
            "to its own first token. All rows end: [:, -1], not [-1, -1].",
        ),
        Mistake(
            "is one place longer",
            one_place_longer,
            "ignore_index is put behind the labels, and the first one is not dropped: place t "
            "still holds token t, and there is a place too many.",
        ),
        Mistake(
            "repeats the last token",
            last_repeated,
            "The last place gets the last token once more, as if the text went on with it. Nothing "
            "is known to come: ignore_index.",
        ),
        Mistake(
            "ends in zeros",
            always(0),
            "The last place gets 0, which is a token like any other. The loss passes over "
            "ignore_index and nothing else.",
        ),
        Mistake(
            "ends in -1",
            always(-1),
            "The last place gets -1. The cross entropy passes over ignore_index and stops with an "
            "error at any other negative number.",
        ),
        Mistake(
            "knows one ignore_index only",
            always(-100),
            "The last place gets -100, whatever `ignore_index` says.",
        ),
        Mistake(
            "is one place shorter",
            lambda labels, ignore_index=-100: labels[:, 1:].clone(),
            "There is one place less than before. That is right if the logits lose their last "
            "place too. Here the shape stays: the last place gets ignore_index.",
        ),
        Mistake(
            "cuts the end off",
            lambda labels, ignore_index=-100: labels[:, :-1].clone(),
            "The last label is cut off, and place t still holds token t. Drop the *first* one and "
            "fill up at the end.",
        ),
        Mistake(
            "shifts down the batch",
            down_the_batch,
            "labels[1:] drops the first *row*. Tokens run along the second axis: labels[:, 1:].",
        ),
        Mistake(
            "writes into the text",
            over_the_text_itself,
            "You move the numbers inside the tensor that was handed in. Labels are usually the "
            "input_ids themselves: the next epoch would begin one token later.",
        ),
        Mistake(
            "makes floats of them",
            as_floats,
            "torch.full with a float makes floats of everything it is joined to, and labels are "
            "whole numbers. Give it the dtype of the labels (`full_like`).",
        ),
    ],
    accepts=[right, by_roll, by_full, by_lists, as_in_transformers, by_gather],
)
