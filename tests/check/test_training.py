"""Lesson 09's catalogue: its references worked by hand, and answers that are in no list."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap

import pytest
import torch

from minilm.check import catalogue, installing, judging, messages
from minilm.check.catalogue import training as lesson
from minilm.check.catalogue.training.accumulation import reference_accumulate
from minilm.check.catalogue.training.updates import Weights, halving, reference_step, sgd
from minilm.check.keeping import loaded
from minilm.check.parameters import fit

EXERCISES = catalogue.all_exercises()
NAMES = [exercise.name for exercise in lesson.EXERCISES]
IMPORTS = """\
import itertools
import math
import torch
import numpy as np
import torch.nn.functional as F
from functools import reduce
from itertools import chain
from torch import nn
from torch.nn.utils import clip_grad_norm_
from minilm.losses import IGNORE
from minilm.training import steps

"""


def answer_of(source):
    """A function from its source text, as a reader types it in a cell that has the imports."""
    source = textwrap.dedent(source)
    name = source.partition("def ")[2].partition("(")[0]
    return name, loaded(IMPORTS + source, "<cell>")[name]


def verdict(source):
    name, answer = answer_of(source)
    exercise = EXERCISES[name]
    fitting, _ = fit(answer, installing.own(exercise))
    return judging.judge(exercise, fitting, in_place=True), answer


# --- the references, worked by hand --------------------------------------------------------------


def ask(name, **case):
    return EXERCISES[name].reference(**case)


def test_blocks_by_hand():
    found = ask("group_texts", examples={"input_ids": [[1, 2, 3], [], [4, 5]]}, block_size=2)
    assert found == {"input_ids": [[1, 2], [3, 4]], "labels": [[1, 2], [3, 4]]}
    found = ask("group_texts", examples={"input_ids": [[1]], "m": [[0]]}, block_size=2)
    assert found == {"input_ids": [[1]], "m": [[0]], "labels": [[1]]}


def test_labels_by_hand():
    ids = torch.tensor([[0, 5, 6], [7, 0, 0]])
    labels = ask("causal_labels", input_ids=ids, pad_token_id=0)
    assert labels.tolist() == [[-100, 5, 6], [7, -100, -100]]
    assert ask("causal_labels", input_ids=ids).tolist() == ids.tolist()


def test_targets_by_hand():
    batches = [{"labels": torch.tensor([[4, 5, -100], [-100, 5, 6]])}, {"labels": torch.ones(1, 1)}]
    assert ask("count_targets", batches=batches) == 1 + 2
    assert ask("count_targets", batches=batches, shifts=False) == 2 + 2 + 1


def test_the_accumulated_loss_by_hand():
    batches = [{"x": torch.tensor([1.0])}, {"x": torch.tensor([2.0, 0.5])}]
    found = reference_accumulate(batches, None, 4)
    assert found["loss"] == pytest.approx((1 + 9 + 0) / 4)  # (2x - 1)²
    assert found["gradient of w"] == pytest.approx((2 * 1 + 2 * 3 * 2 + 0) / 4)  # 2 (2x - 1) x


def test_a_step_by_hand():
    given = Weights([1.0, 2.0, 0.0], [[2.0, 3.0, 6.0], [0.7, 0.0, 0.0]])
    found = reference_step(given, sgd(0.7), halving(), max_grad_norm=7.0)
    assert found["weights"][0] == pytest.approx([1 - 0.7 * 2 - 0.35 * 0.7], abs=1e-5)
    assert found["weights"][1] == pytest.approx([2 - 0.7 * 3, -0.7 * 6], abs=1e-5)
    assert found["norms returned"] == pytest.approx([7.0, 0.7])
    assert found["learning rates afterwards"] == pytest.approx([0.35, 0.175])
    found = reference_step(given, sgd(0.7), None, max_grad_norm=3.5)
    assert found["weights"][0] == pytest.approx([1 - 0.7 * 1 - 0.7 * 0.7], abs=1e-5)


def test_adamw_by_hand():
    one = torch.ones(1)
    found = ask(
        "adamw_update", weight=2 * one, gradient=3 * one, mean=0 * one, square=0 * one, step=1,
        lr=0.1, betas=(0.5, 0.75), eps=1.0, weight_decay=0.5,
    )  # fmt: skip
    # mean 1.5, fair 3; square 2.25, fair 9: 2 - 0.1·0.5·2 - 0.1·3/(3 + 1)
    assert [each.item() for each in found] == pytest.approx([2 - 0.1 - 0.075, 1.5, 2.25])


def test_the_schedule_by_hand():
    given = {"num_warmup_steps": 2, "num_training_steps": 6}
    factors = [ask("linear_with_warmup", step=step, **given) for step in range(8)]
    assert factors == [0, 0.5, 1, 0.75, 0.5, 0.25, 0, 0]


def test_perplexity_by_hand():
    assert ask("perplexity", losses=[math.log(2), math.log(16)], counts=[3, 1]) == pytest.approx(
        2 ** (7 / 4)
    )


def test_the_references_are_asked():
    for exercise in lesson.EXERCISES:
        assert not judging.expected_of(exercise).missing


def test_the_cases_hold_what_hides_bugs():
    def cases(name):
        return EXERCISES[name].draw_cases()

    totals = [
        (sum(map(len, case["examples"]["input_ids"])), case.get("block_size", 128))
        for case in cases("group_texts")
    ]
    assert any(total % size == 0 for total, size in totals)
    assert any(total % size and total > size for total, size in totals)
    assert any(total < size for total, size in totals)
    assert any(len(case["examples"]) > 1 for case in cases("group_texts"))
    pads = [case.get("pad_token_id") for case in cases("causal_labels")]
    assert 0 in pads
    assert None in pads
    given = [batch["labels"] for case in cases("count_targets") for batch in case["batches"]]
    assert any((labels[:, 0] == -100).any() for labels in given)
    assert any((labels[:, -1] == -100).any() for labels in given)
    sizes = [{len(batch["x"]) for batch in case["batches"]} for case in cases("accumulate")]
    assert any(len(each) > 1 for each in sizes), "a mean of means would pass"
    assert any(len(set(case["counts"])) > 1 for case in cases("perplexity"))
    limits = [case.get("max_grad_norm", 1.0) for case in cases("optimizer_step")]
    assert {None, 0.0, 1.0} <= set(limits)
    assert any(len(case["parameters"].gradients) > 1 for case in cases("optimizer_step"))
    updates = cases("adamw_update")
    assert {1, 2} < {case["step"] for case in updates}
    assert any("eps" in case for case in updates)


def test_the_catalogue_loads_without_torch():
    script = (
        "import sys; from minilm.check.catalogue import training; "
        "assert len(training.EXERCISES) == 8; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- right answers that are in no list -----------------------------------------------------------

ADAMW = """
    def adamw_update(weight, gradient, mean, square, step, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
"""

RIGHT = [
    """
    def group_texts(examples, block_size=128):
        joined = {k: list(chain.from_iterable(v)) for k, v in examples.items()}
        n = len(joined["input_ids"])
        n = n - n % block_size if n >= block_size else n
        out = {k: [v[i:i + block_size] for i in range(0, n, block_size)] for k, v in joined.items()}
        out["labels"] = out["input_ids"]
        return out
    """,
    """
    def group_texts(examples, block_size=128):
        result = {}
        for key in examples:
            tokens = reduce(lambda a, b: a + b, examples[key], [])
            blocks, i = [], 0
            while i + block_size <= len(tokens):
                blocks.append(tokens[i : i + block_size])
                i += block_size
            result[key] = blocks if blocks or not tokens else [tokens]
        result["labels"] = [b.copy() for b in result["input_ids"]]
        return result
    """,
    """
    def group_texts(examples, block_size=128):
        def cut(rows):
            flat = [t for r in rows for t in r]
            k = len(flat) // block_size
            if k == 0:
                return [flat] if flat else []
            return np.array(flat[: k * block_size]).reshape(k, block_size).tolist()
        out = {"labels": cut(examples["input_ids"])}
        out.update({name: cut(rows) for name, rows in examples.items()})
        return out
    """,
    """
    def causal_labels(input_ids, pad_token_id=None):
        if pad_token_id is None:
            return input_ids.clone()
        return torch.where(input_ids == pad_token_id, -100, input_ids)
    """,
    """
    def causal_labels(input_ids, pad_token_id=None):
        labels = torch.empty_like(input_ids)
        labels.copy_(input_ids)
        if pad_token_id is not None:
            labels.masked_fill_(labels.eq(pad_token_id), IGNORE)
        return labels
    """,
    """
    def causal_labels(input_ids, pad_token_id=None):
        labels = input_ids.clone()
        for b in range(labels.shape[0]):
            for t in range(labels.shape[1]):
                if labels[b, t] == pad_token_id:
                    labels[b, t] = -100
        return labels
    """,
    ADAMW
    + """
        b1, b2 = betas
        m = b1 * mean + (1 - b1) * gradient
        v = b2 * square + (1 - b2) * gradient * gradient
        w = weight * (1 - lr * weight_decay)
        m_hat, v_hat = m / (1 - b1 ** step), v / (1 - b2 ** step)
        return w - lr * m_hat / (torch.sqrt(v_hat) + eps), m, v
    """,
    ADAMW
    + """
        p = nn.Parameter(weight.clone())
        p.grad = gradient.clone()
        opt = torch.optim.AdamW([p], lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        opt.state[p] = dict(step=torch.tensor(step - 1.0), exp_avg=mean.clone(), exp_avg_sq=square.clone())
        opt.step()
        return p.detach(), opt.state[p]["exp_avg"], opt.state[p]["exp_avg_sq"]
    """,
    ADAMW
    + """
        new_mean = mean + (1 - betas[0]) * (gradient - mean)
        new_square = square + (1 - betas[1]) * (gradient.pow(2) - square)
        scale = math.sqrt(1 - betas[1] ** step) / (1 - betas[0] ** step)
        root = new_square.sqrt() + eps * math.sqrt(1 - betas[1] ** step)
        return weight - lr * (scale * new_mean / root + weight_decay * weight), new_mean, new_square
    """,
    """
    def linear_with_warmup(step, num_warmup_steps, num_training_steps):
        if step < num_warmup_steps:
            return step / max(1, num_warmup_steps)
        if step >= num_training_steps:
            return 0.0
        return (num_training_steps - step) / (num_training_steps - num_warmup_steps)
    """,
    """
    def linear_with_warmup(step, num_warmup_steps, num_training_steps):
        rise = step / num_warmup_steps if num_warmup_steps > step else 1
        fall = (num_training_steps - step) / max(1, num_training_steps - num_warmup_steps)
        return rise if step < num_warmup_steps else max(0, fall)
    """,
    """
    def linear_with_warmup(step, num_warmup_steps, num_training_steps):
        if step < num_warmup_steps:
            return torch.tensor(step / num_warmup_steps, dtype=torch.float64)
        x = (num_training_steps - step) / max(1, num_training_steps - num_warmup_steps)
        return np.clip(x, 0, 1)
    """,
    """
    def optimizer_step(parameters, optimizer, scheduler=None, max_grad_norm=1.0):
        norm = clip_grad_norm_(parameters, max_grad_norm if max_grad_norm else float("inf"))
        optimizer.step()
        if scheduler:
            scheduler.step()
        optimizer.zero_grad()
        return norm.item()
    """,
    """
    def optimizer_step(parameters, optimizer, scheduler=None, max_grad_norm=1.0):
        grads = [p.grad for p in parameters]
        length = torch.sqrt(sum((g ** 2).sum() for g in grads))
        if max_grad_norm:
            for g in grads:
                g.mul_(min(1.0, max_grad_norm / (length.item() + 1e-6)))
        optimizer.step()
        optimizer.zero_grad()
        if scheduler is not None:
            scheduler.step()
        return length
    """,
    """
    def optimizer_step(parameters, optimizer, scheduler=None, max_grad_norm=1.0):
        parameters = list(parameters)
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        if max_grad_norm not in (None, 0):
            torch.nn.utils.clip_grads_with_norm_(parameters, max_grad_norm, norm)
        optimizer.step()
        [s.step() for s in [scheduler] if s]
        for p in parameters:
            p.grad = None
        return norm
    """,
    """
    def count_targets(batches, shifts=True):
        total = 0
        for batch in batches:
            labels = batch["labels"]
            if shifts:
                labels = labels[:, 1:]
            total += labels.ne(IGNORE).sum()
        return total
    """,
    """
    def count_targets(batches, shifts=True):
        start = 1 if shifts else 0
        return sum(int((b["labels"][:, start:] != -100).sum()) for b in batches)
    """,
    """
    def count_targets(batches, shifts=True):
        n = torch.tensor(0)
        for batch in batches:
            labels = batch["labels"].clone()
            if shifts:
                labels[:, 0] = -100
            n = n + torch.count_nonzero(labels != -100)
        return n
    """,
    """
    def accumulate(batches, loss_of, num_items):
        total = 0
        for batch in batches:
            loss = loss_of(batch, num_items)
            loss.backward()
            total += loss.detach()
        return total
    """,
    """
    def accumulate(batches, loss_of, num_items):
        def one(batch):
            loss = loss_of(batch, num_items)
            loss.backward()
            return loss.item()
        return sum(map(one, batches))
    """,
    """
    def accumulate(batches, loss_of, num_items):
        losses = torch.zeros(len(batches))
        for i, batch in enumerate(batches):
            loss = loss_of(batch, num_items)
            loss.backward()
            losses[i] = loss.data
        return losses.sum()
    """,
    """
    def perplexity(losses, counts):
        total, n = 0.0, 0
        for loss, count in zip(losses, counts):
            total += loss * count
            n += count
        return math.exp(total / n) if total / n < 700 else math.inf
    """,
    """
    def perplexity(losses, counts):
        losses, counts = np.array(losses), np.array(counts)
        return np.exp((losses * counts).sum() / counts.sum())
    """,
    """
    def perplexity(losses, counts):
        t = torch.tensor(losses, dtype=torch.double) @ torch.tensor(counts, dtype=torch.double)
        return (t / sum(counts)).exp()
    """,
]


@pytest.mark.parametrize(
    "source", RIGHT, ids=[f"{answer_of(s)[0]} {i}" for i, s in enumerate(RIGHT)]
)
def test_right_answers_that_are_in_no_list_pass(source):
    found, answer = verdict(source)
    assert found.right, messages.wrong(found, answer)


def test_every_exercise_has_such_answers():
    assert {answer_of(source)[0] for source in RIGHT} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(5, 9))
def test_right_answers_pass_on_many_draws(name, seed):
    exercise = EXERCISES[name]
    for answer in exercise.accepts:
        found = judging.judge(exercise, answer, judging.expected_of(exercise, seed))
        assert found.right, messages.wrong(found, answer)


# --- mistakes as readers type them ---------------------------------------------------------------

NAMED = [
    (
        """
        def group_texts(examples, block_size=128):
            out = {k: list(chain(*v)) for k, v in examples.items()}
            out = {k: [v[i:i+block_size] for i in range(0, len(v), block_size)] for k, v in out.items()}
            out["labels"] = out["input_ids"].copy()
            return out
        """,
        "keeps the remainder",
    ),
    (
        """
        def group_texts(examples, block_size=128):
            out = {}
            for k, v in examples.items():
                flat = sum(v, [])
                out[k] = [flat[i:i+block_size] for i in range(0, len(flat) - block_size, block_size)]
            out["labels"] = out["input_ids"]
            return out
        """,
        "drops the last block although it is whole",
    ),
    (
        """
        def group_texts(examples, block_size=128):
            ids = sum(examples["input_ids"], [])
            n = len(ids) // block_size
            blocks = [ids[i * block_size:(i + 1) * block_size] for i in range(n)]
            return {"input_ids": blocks, "labels": [b[1:] + [-100] for b in blocks]}
        """,
        "shifts the labels in each block",
    ),
    (
        """
        def causal_labels(input_ids, pad_token_id=None):
            labels = input_ids
            labels[labels == pad_token_id] = -100
            return labels
        """,
        "writes into the text",
    ),
    (
        """
        def causal_labels(input_ids, pad_token_id=None):
            labels = input_ids.clone()
            if pad_token_id:
                labels[labels == pad_token_id] = -100
            return labels
        """,
        "takes 0 for no padding token",
    ),
    (
        """
        def causal_labels(input_ids, pad_token_id=None):
            labels = input_ids.roll(-1, 1)
            labels[:, -1] = -100
            if pad_token_id is not None:
                labels[labels == pad_token_id] = -100
            return labels
        """,
        "shifts the labels",
    ),
    (
        ADAMW
        + """
            mean = betas[0] * mean + (1 - betas[0]) * gradient
            square = betas[1] * square + (1 - betas[1]) * gradient ** 2
            weight = weight - lr * weight_decay * weight
            return weight - lr * mean / (square.sqrt() + eps), mean, square
        """,
        "does not make the means fair",
    ),
    (
        ADAMW
        + """
            gradient = gradient + weight_decay * weight
            mean = betas[0] * mean + (1 - betas[0]) * gradient
            square = betas[1] * square + (1 - betas[1]) * gradient ** 2
            m, s = mean / (1 - betas[0] ** step), square / (1 - betas[1] ** step)
            return weight - lr * m / (s.sqrt() + eps), mean, square
        """,
        "adds the decay to the gradient",
    ),
    (
        ADAMW
        + """
            mean = betas[0] * mean + (1 - betas[0]) * gradient
            square = betas[1] * square + (1 - betas[1]) * gradient ** 2
            m, s = mean / (1 - betas[0] ** step), square / (1 - betas[1] ** step)
            weight = weight - weight_decay * weight
            return weight - lr * m / (s.sqrt() + eps), mean, square
        """,
        "decays without the learning rate",
    ),
    (
        """
        def linear_with_warmup(step, num_warmup_steps, num_training_steps):
            if step < num_warmup_steps:
                return step / num_warmup_steps
            return 1 - (step - num_warmup_steps) / max(1, num_training_steps - num_warmup_steps)
        """,
        "falls below zero",
    ),
    (
        """
        def linear_with_warmup(step, num_warmup_steps, num_training_steps):
            if step < num_warmup_steps:
                return step / num_warmup_steps
            return max(0, (num_training_steps - step) / num_training_steps)
        """,
        "falls as if there had been no rise",
    ),
    (
        """
        def optimizer_step(parameters, optimizer, scheduler=None, max_grad_norm=1.0):
            optimizer.zero_grad()
            norm = clip_grad_norm_(parameters, max_grad_norm or math.inf)
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            return norm
        """,
        "clears before it does anything",
    ),
    (
        """
        def optimizer_step(parameters, optimizer, scheduler=None, max_grad_norm=1.0):
            norm = clip_grad_norm_(parameters, max_grad_norm or math.inf)
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            return norm
        """,
        "does not clear",
    ),
    (
        """
        def optimizer_step(parameters, optimizer, scheduler=None, max_grad_norm=1.0):
            norm = clip_grad_norm_(parameters, max_grad_norm)
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            optimizer.zero_grad()
            return norm
        """,
        "clips to nothing when clipping is off",
    ),
    (
        """
        def count_targets(batches, shifts=True):
            return sum((b["labels"] != -100).sum() for b in batches)
        """,
        "counts before the shift",
    ),
    (
        """
        def count_targets(batches, shifts=True):
            return sum(b["labels"].numel() for b in batches)
        """,
        "counts what is hidden, and before the shift",
    ),
    (
        """
        def accumulate(batches, loss_of, num_items):
            total = 0
            for batch in batches:
                loss = loss_of(batch, num_items) / len(batches)
                loss.backward()
                total += loss.detach()
            return total
        """,
        "divides by the number of batches once more",
    ),
    (
        """
        def accumulate(batches, loss_of, num_items):
            total = 0
            for batch in batches:
                total = total + loss_of(batch, num_items)
            total.backward()
            return total.detach()
        """,
        "goes back once, at the end",
    ),
    (
        """
        def accumulate(batches, loss_of, num_items):
            total = 0
            for batch in batches:
                loss = loss_of(batch, num_items)
                loss.backward()
                total += loss
            return total
        """,
        "keeps the graph of the loss",
    ),
    (
        """
        def causal_labels(input_ids, pad_token_id=None):
            if pad_token_id is None:
                return input_ids
            return input_ids.masked_fill(input_ids == pad_token_id, -100)
        """,
        "returns the text itself",
    ),
    (
        ADAMW
        + """
            mean = betas[0] * mean + (1 - betas[0]) * gradient
            square = betas[1] * square + (1 - betas[1]) * gradient**2
            m, v = mean / (1 - betas[0] ** step), square / (1 - betas[1] ** step)
            weight = weight - lr * weight_decay * weight
            return weight - lr * m / v.sqrt() + eps, mean, square
        """.replace("\n            ", "\n        "),
        "adds eps to the weight",
    ),
    (
        """
        def group_texts(examples, block_size=128):
            flat = {k: sum(v, []) for k, v in examples.items()}
            n = len(flat)
            n = n // block_size * block_size if n >= block_size else n
            out = {k: [v[i:i + block_size] for i in range(0, n, block_size)] for k, v in flat.items()}
            out["labels"] = out["input_ids"].copy()
            return out
        """,
        "counts columns instead of tokens",
    ),
    (
        """
        def linear_with_warmup(step, num_warmup_steps, num_training_steps):
            if step < num_warmup_steps:
                return step / num_training_steps
            return max(0, num_training_steps - step) / max(1, num_training_steps - num_warmup_steps)
        """,
        "rises over the whole run",
    ),
    (
        """
        def accumulate(batches, loss_of, num_items):
            for batch in batches:
                loss = loss_of(batch, num_items)
                loss.backward()
        """,
        "returns nothing",
    ),
    (
        """
        def perplexity(losses, counts):
            return math.exp(sum(losses) / len(losses))
        """,
        "takes the mean of the batches",
    ),
    (
        """
        def perplexity(losses, counts):
            return math.exp(sum(l * c for l, c in zip(losses, counts)) / sum(counts))
        """,
        "breaks off when the loss is large",
    ),
    (
        """
        def perplexity(losses, counts):
            return 2 ** (np.dot(losses, counts) / sum(counts))
        """,
        "takes 2 to the loss",
    ),
]


@pytest.mark.parametrize(
    ("source", "name"), NAMED, ids=[f"{n} ({i})" for i, (_, n) in enumerate(NAMED)]
)
def test_a_mistake_as_readers_type_it_is_called_by_its_name(source, name):
    found, answer = verdict(source)
    assert not found.right
    assert found.mistake is not None, messages.wrong(found, answer)
    assert found.mistake.name == name
