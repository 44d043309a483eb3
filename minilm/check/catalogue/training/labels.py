"""The exercise causal_labels and its known mistakes."""

from __future__ import annotations

import random
from types import SimpleNamespace

from minilm.check.catalogue.training.common import LESSON
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch


def reference_labels(input_ids, pad_token_id=None):
    """What transformers' causal collator makes of rows of one length."""
    from transformers import DataCollatorForLanguageModeling

    tokenizer = SimpleNamespace(pad_token_id=pad_token_id, pad_token="", padding_side="right")
    return DataCollatorForLanguageModeling(tokenizer, mlm=False)([*input_ids])["labels"]


class TheTextItself:
    """Stands for labels that are input_ids under a second name."""

    def __repr__(self) -> str:
        return "input_ids itself, and not a new tensor"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TheTextItself)

    __hash__ = None  # type: ignore[assignment]


def use_labels(function, **case):
    """The labels, or a word that they share memory with the text."""
    labels = function(**case)
    shares = isinstance(labels, torch.Tensor) and labels.numel()
    shares = shares and labels.data_ptr() == case["input_ids"].data_ptr()
    return TheTextItself() if shares else labels


def ignored(labels, where, value=-100):
    return torch.where(where, torch.full_like(labels, value), labels)


def right(input_ids, pad_token_id=None):
    if pad_token_id is None:
        return input_ids.clone()
    return ignored(input_ids, input_ids == pad_token_id)


def shifted(input_ids, pad_token_id=None):
    labels = right(input_ids, pad_token_id)
    return torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], -100)], dim=1)


def shifted_to_the_right(input_ids, pad_token_id=None):
    labels = right(input_ids, pad_token_id)
    return torch.cat([torch.full_like(labels[:, :1], -100), labels[:, :-1]], dim=1)


def shorter(input_ids, pad_token_id=None):
    return right(input_ids, pad_token_id)[:, 1:].clone()


def in_the_text(input_ids, pad_token_id=None):
    labels = input_ids
    if pad_token_id is not None:
        labels[labels == pad_token_id] = -100
    return labels


def without_a_copy(input_ids, pad_token_id=None):
    return input_ids if pad_token_id is None else right(input_ids, pad_token_id)


def last_one_doubled(input_ids, pad_token_id=None):
    labels = right(input_ids, pad_token_id)
    return torch.cat([labels[:, 1:], labels[:, -1:]], dim=1)


def falsy(input_ids, pad_token_id=None):
    return right(input_ids, pad_token_id) if pad_token_id else input_ids.clone()


def with_value(value):
    def causal_labels(input_ids, pad_token_id=None):
        if pad_token_id is None:
            return input_ids.clone()
        return ignored(input_ids, input_ids == pad_token_id, value)

    return causal_labels


def the_other_way_round(input_ids, pad_token_id=None):
    if pad_token_id is None:
        return input_ids.clone()
    return ignored(input_ids, input_ids != pad_token_id)


def always_zero(input_ids, pad_token_id=None):
    return right(input_ids, 0)


def first_of_the_padding_stays(input_ids, pad_token_id=None):
    if pad_token_id is None:
        return input_ids.clone()
    is_pad = input_ids == pad_token_id
    before = torch.cat([torch.zeros_like(is_pad[:, :1]), is_pad[:, :-1]], dim=1)
    return ignored(input_ids, is_pad & before)


def at_the_end_only(input_ids, pad_token_id=None):
    if pad_token_id is None:
        return input_ids.clone()
    is_pad = (input_ids == pad_token_id).long()
    return ignored(input_ids, is_pad.flip(1).cumprod(1).flip(1).bool())


def mask_itself(input_ids, pad_token_id=None):
    if pad_token_id is None:
        return torch.ones_like(input_ids)
    return (input_ids != pad_token_id).long()


def last_one_ignored(input_ids, pad_token_id=None):
    labels = right(input_ids, pad_token_id)
    labels[:, -1] = -100
    return labels


def first_one_ignored(input_ids, pad_token_id=None):
    labels = right(input_ids, pad_token_id)
    labels[:, 0] = -100
    return labels


def dropped(input_ids, pad_token_id=None):
    return input_ids[input_ids != pad_token_id]


def everything_above(input_ids, pad_token_id=None):
    if pad_token_id is None:
        return input_ids.clone()
    return ignored(input_ids, input_ids <= pad_token_id)


def by_masked_fill(input_ids, pad_token_id=None):
    if pad_token_id is None:
        return input_ids.clone()
    return input_ids.masked_fill(input_ids == pad_token_id, -100)


def by_lists(input_ids, pad_token_id=None):
    return torch.tensor(
        [[-100 if token == pad_token_id else token for token in row] for row in input_ids.tolist()],
        dtype=input_ids.dtype,
    )


def by_arithmetic(input_ids, pad_token_id=None):
    is_pad = 0 if pad_token_id is None else (input_ids == pad_token_id).long()
    return input_ids * (1 - is_pad) - 100 * is_pad


def draw_rows(draw: random.Random) -> list[Case]:
    small = [
        ([[4, 5]], None),
        ([[4, 5]], 9),
        ([[4, 0]], 0),
        ([[4, 9, 9]], 9),
        ([[9, 4, 5]], 9),
        ([[0, 0, 7]], None),
        ([[5, 0, 9], [6, 7, 9]], 9),
        ([[5, 9, 6, 9, 9]], 9),
        ([[7]], 1),
    ]
    cases: list[Case] = [{"input_ids": torch.tensor(r), "pad_token_id": pad} for r, pad in small]
    for at in range(6):
        B, T, pad = draw.randint(2, 4), draw.randint(3, 6), draw.choice([0, 2, 50])
        rows = []
        for _ in range(B):
            length = draw.randint(1, T)
            row = [draw.randint(1, 60) for _ in range(length)]
            fill = [pad] * (T - length)
            rows.append(fill + row if at % 2 else row + fill)
        rows[0] = [pad, *rows[0][1:]] if at == 4 else rows[0]
        cases.append({"input_ids": torch.tensor(rows), "pad_token_id": pad})
    cases.append({"input_ids": torch.tensor([[3, 1, 2]])})
    return cases


CAUSAL_LABELS = Exercise(
    answer="minilm.training.collators:causal_labels",
    lesson=LESSON,
    cases=draw_rows,
    reference=reference_labels,
    reference_name="transformers' DataCollatorForLanguageModeling",
    use=use_labels,
    mistakes=[
        Mistake(
            "shifts the labels",
            shifted,
            "The labels are moved one place to the left. The loss does that: moved twice, place t "
            "is judged by token t + 2, and the model learns to leave out words.",
        ),
        Mistake(
            "shifts the labels to the right",
            shifted_to_the_right,
            "The labels are moved one place to the right, as the guide's text has it. Nothing is "
            "moved here: labels are the text itself, and the loss shifts.",
        ),
        Mistake(
            "shifts the labels and doubles the last one",
            last_one_doubled,
            "The labels are moved one place to the left, and the last one stands there twice. "
            "Nothing is moved here: the loss shifts.",
        ),
        Mistake(
            "returns the text itself",
            without_a_copy,
            "Without a padding token input_ids comes back under a second name. Whoever hides a "
            "label later, as for a prompt, would write -100 into the text: return a clone.",
        ),
        Mistake(
            "gives one label less",
            shorter,
            "The first label is cut off. The loss shifts by itself, and wants a label for each "
            "token.",
        ),
        Mistake(
            "leaves the padding in",
            lambda input_ids, pad_token_id=None: input_ids.clone(),
            "The padding tokens stay labels, so the model learns to write padding, of which there "
            "is plenty. Where input_ids are pad_token_id the label is -100.",
        ),
        Mistake(
            "writes into the text",
            in_the_text,
            "`labels = input_ids` gives the same tensor a second name, and the -100 are written "
            "into the text as well: the embedding has no row -100. Take a clone first.",
        ),
        Mistake(
            "takes 0 for no padding token",
            falsy,
            "`if pad_token_id:` is not true for 0, and 0 is the padding token of many models. Ask "
            "`is not None`.",
        ),
        Mistake(
            "takes 0 for the padding token",
            always_zero,
            "Token 0 is ignored, whatever pad_token_id says. In GPT-2's vocabulary it is the "
            "exclamation mark.",
        ),
        Mistake(
            "hides everything but the padding",
            the_other_way_round,
            "The text is ignored and the padding is learned: == and != are exchanged.",
        ),
        Mistake(
            "ignores with -1",
            with_value(-1),
            "The padding gets -1. The cross entropy passes over -100, and stops with an error at "
            "any other negative number.",
        ),
        Mistake(
            "ignores with 100",
            with_value(100),
            "The padding gets 100, which is a token like any other. The sign is missing: -100.",
        ),
        Mistake(
            "ignores with 0",
            with_value(0),
            "The padding gets 0, which is a token like any other. What the cross entropy passes "
            "over is -100.",
        ),
        Mistake(
            "leaves the first padding token in",
            first_of_the_padding_stays,
            "The first padding token of each run stays a label. That is a way to teach the end of "
            "a text; transformers ignores them all.",
        ),
        Mistake(
            "looks for padding at the end only",
            at_the_end_only,
            "Only padding on the right is ignored. It may stand on the left too; every place with "
            "pad_token_id is.",
        ),
        Mistake(
            "ignores small numbers too",
            everything_above,
            "All ids up to pad_token_id are ignored. Compare with ==.",
        ),
        Mistake(
            "returns the mask",
            mask_itself,
            "This is an attention mask: 1 for text, 0 for padding. Labels are tokens.",
        ),
        Mistake(
            "ignores the last place",
            last_one_ignored,
            "The last label is ignored. It is the last token to be predicted; the loss knows that "
            "nothing comes after it.",
        ),
        Mistake(
            "ignores the first place",
            first_one_ignored,
            "The first label is ignored. It does no harm, for the loss drops it anyway, but labels "
            "are the text itself here.",
        ),
        Mistake(
            "drops the padding",
            dropped,
            "Picking by a mask gives a single row of what is left. The shape stays (B, T), with "
            "-100 in the places of the padding.",
        ),
    ],
    accepts=[right, by_masked_fill, by_lists, by_arithmetic],
)
