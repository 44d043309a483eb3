"""The exercise accumulate and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from minilm.check.catalogue.training.common import LESSON, TOLERANCE, Stand
from minilm.check.comparing import alike
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch

LOSS_OF = "(batch, n) → the sum of (w·x − 1)² over the x of the batch, divided by n; w is 2"


class Weighing:
    """A model of one weight, which remembers how it is treated."""

    def __init__(self) -> None:
        self.weight = torch.tensor([2.0], requires_grad=True)
        self.waiting, self.most, self.times = 0, 0, 0

    def loss_of(self, batch: Any, num_items: Any) -> Any:
        self.times += 1
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        loss = (self.weight * batch["x"] - 1).square().sum() / num_items

        def freed(gradient: Any) -> None:
            self.waiting -= 1

        loss.register_hook(freed)
        return loss


def use_accumulate(function, batches, loss_of, num_items):
    """The loss, the gradient, and how many batches had to be held at once."""
    model = Weighing()
    with torch.enable_grad():
        total = function(batches=batches, loss_of=model.loss_of, num_items=num_items)
    found: dict[str, Any] = {"loss": total}
    if isinstance(total, torch.Tensor):
        found["loss"] = total.detach().double().item() if total.numel() == 1 else total.detach()
        found["has a graph"] = total.requires_grad
    else:
        found["has a graph"] = False
    grad = model.weight.grad
    found["gradient of w"] = None if grad is None else grad.double().item()
    found["batches held at once"] = model.most
    found["times loss_of was asked"] = model.times
    return found


def reference_accumulate(batches, loss_of, num_items):
    """All batches in one, and torch's gradient."""
    model = Weighing()
    with torch.enable_grad():
        x = torch.cat([batch["x"].flatten() for batch in batches])
        loss = model.loss_of({"x": x}, num_items)
        loss.backward()
    return {
        "loss": loss.detach().double().item(),
        "has a graph": False,
        "gradient of w": model.weight.grad.double().item(),
        "batches held at once": 1,
        "times loss_of was asked": len(batches),
    }


def accumulating(
    ask: Callable = lambda loss_of, batch, num_items, batches: loss_of(batch, num_items),
    back: Callable = lambda loss, at, batches: loss.backward(),
    keep: Callable = lambda total, loss, at: total + loss.detach(),
    give: Callable = lambda total, batches, num_items: total,
    of: Callable = lambda batches: batches,
) -> Callable:
    """Make an accumulate that takes one of its steps in another way."""

    def accumulate(batches, loss_of, num_items):
        total = torch.zeros(())
        for at, batch in enumerate(of(batches)):
            loss = ask(loss_of, batch, num_items, batches)
            back(loss, at, batches)
            total = keep(total, loss, at)
        return give(total, batches, num_items)

    return accumulate


def own_mean(loss_of, batch, num_items, batches):
    return loss_of(batch, batch["x"].numel())


def mean_of_means(loss_of, batch, num_items, batches):
    return loss_of(batch, batch["x"].numel()) / len(batches)


def only_last(loss, at, batches):
    if at == len(batches) - 1:
        loss.backward()


def only_first(loss, at, batches):
    if at == 0:
        loss.backward()


def never(loss, at, batches):
    pass


def all_at_the_end(batches, loss_of, num_items):
    total = sum(loss_of(batch, num_items) for batch in batches)
    total.backward()
    return total.detach()


def with_the_graph(batches, loss_of, num_items):
    total = 0
    for batch in batches:
        loss = loss_of(batch, num_items)
        loss.backward()
        total = total + loss
    return total


def total_at_every_step(batches, loss_of, num_items):
    total = 0
    for batch in batches:
        total = total + loss_of(batch, num_items)
        total.backward(retain_graph=True)
    return total.detach()


def in_one_batch(batches, loss_of, num_items):
    names = batches[0]
    whole = {name: torch.cat([b[name].flatten() for b in batches]) for name in names}
    loss = loss_of(whole, num_items)
    loss.backward()
    return loss.detach()


def by_items(batches, loss_of, num_items):
    total = 0.0
    for batch in batches:
        loss = loss_of(batch, num_items)
        loss.backward()
        total += loss.item()
    return total


def by_lists(batches, loss_of, num_items):
    losses = []
    for batch in batches:
        losses.append(loss_of(batch, num_items))
        losses[-1].backward()
        losses[-1] = losses[-1].detach()
    return torch.stack(losses).sum()


def by_autograd(batches, loss_of, num_items):
    total = torch.tensor(0.0)
    for batch in batches:
        loss = loss_of(batch, num_items)
        torch.autograd.backward(loss)
        with torch.no_grad():
            total += loss
    return total


def draw_batches(draw: random.Random) -> list[Case]:
    def case(*rows, num_items=None):
        count = sum(map(len, rows)) if num_items is None else num_items
        return {
            "batches": [{"x": torch.tensor(row)} for row in rows],
            "loss_of": Stand(LOSS_OF, Weighing),
            "num_items": count,
        }

    cases = [
        case([1.0]),
        case([1.0, 2.0]),
        case([1.0], [2.0]),
        case([1.0], [2.0, 3.0]),
        case([3.0, 1.0], [2.0, 0.5], [1.5, 4.0]),
        case([1.0, 2.0, 3.0], [4.0], num_items=7),
    ]
    for at in range(5):
        rows = [
            [round(draw.uniform(-3, 3), 1) for _ in range(draw.randint(1, 5))]
            for _ in range(draw.randint(2, 5))
        ]
        count = torch.tensor(sum(map(len, rows))) if at % 2 else None
        cases.append(case(*rows, num_items=count))
    return cases


ACCUMULATE = Exercise(
    answer="minilm.training.steps:accumulate",
    lesson=LESSON,
    cases=draw_batches,
    reference=reference_accumulate,
    reference_name="torch's gradient of all batches in one",
    use=use_accumulate,
    compare=alike(tolerance=TOLERANCE),
    mistakes=[
        Mistake(
            "never goes back",
            accumulating(back=never),
            "`backward` is missing: the loss is right, and no weight would ever move. Each batch's "
            "loss needs its loss.backward().",
        ),
        Mistake(
            "goes back for the last batch only",
            accumulating(back=only_last),
            "Only the last batch's loss is followed back; what the others say about the weights is "
            "lost. `backward` belongs into the loop.",
        ),
        Mistake(
            "goes back for the first batch only",
            accumulating(back=only_first),
            "Only the first batch's loss is followed back. `backward` belongs into every round of "
            "the loop.",
        ),
        Mistake(
            "goes back once, at the end",
            all_at_the_end,
            "The numbers are right, but the graphs of all batches wait in memory for the one "
            "`backward` at the end. Gradients add up by themselves: go back after each batch.",
        ),
        Mistake(
            "puts all batches into one",
            in_one_batch,
            "The batches are joined and asked at once. They were cut because they do not fit into "
            "memory together: ask loss_of for one after the other.",
        ),
        Mistake(
            "divides by the number of batches once more",
            accumulating(
                ask=lambda loss_of, batch, num_items, batches: (
                    loss_of(batch, num_items) / len(batches)
                )
            ),
            "Each loss is divided by the number of batches, and loss_of has divided by num_items "
            "already. The gradients come out too small.",
        ),
        Mistake(
            "takes the mean of the means",
            accumulating(ask=mean_of_means),
            "Each batch is divided by its own number of labels, and then by the number of batches. "
            "A label in a short batch then counts more than one in a long batch: hand num_items "
            "on. (Trainers all over the world did this until 2024.)",
        ),
        Mistake(
            "divides each batch by its own number",
            accumulating(ask=own_mean),
            "loss_of gets each batch's own number of labels instead of num_items, so the sum grows "
            "with the number of batches. Hand num_items on.",
        ),
        Mistake(
            "divides each loss by num_items once more",
            accumulating(
                ask=lambda loss_of, batch, num_items, batches: loss_of(batch, num_items) / num_items
            ),
            "Each loss is divided by num_items before `backward`, and loss_of has done that "
            "already. The gradients come out too small.",
        ),
        Mistake(
            "returns nothing",
            accumulating(give=lambda total, batches, num_items: None),
            "The gradients are right, and None comes back. Return the sum of the losses: it is "
            "what the log shows.",
        ),
        Mistake(
            "divides by num_items once more",
            accumulating(
                give=lambda total, batches, num_items: total / num_items,
            ),
            "The loss that you return is divided by num_items, which loss_of has done already.",
        ),
        Mistake(
            "returns the mean of the losses",
            accumulating(give=lambda total, batches, num_items: total / len(batches)),
            "You return the mean of the batches' losses. Each one is its part of the whole: they "
            "are added up.",
        ),
        Mistake(
            "returns the last loss",
            accumulating(keep=lambda total, loss, at: loss.detach()),
            "You return the last batch's loss. The loss of the step is the sum of them all.",
        ),
        Mistake(
            "returns the first loss",
            accumulating(keep=lambda total, loss, at: total if at else loss.detach()),
            "You return after the first round, or keep the first loss only. The loss of the step "
            "is the sum of them all.",
        ),
        Mistake(
            "keeps the graph of the loss",
            with_the_graph,
            "The sum that you return still has its graph, and whoever collects the losses for a "
            "curve collects all graphs with them. Add loss.detach().",
        ),
        Mistake(
            "goes back along the running total",
            total_at_every_step,
            "`backward` runs from the running total, so the first batch is counted again with every "
            "batch that follows. Go back from the batch's own loss.",
        ),
        Mistake(
            "leaves out the last batch",
            accumulating(of=lambda batches: batches[:-1]),
            "The last batch is never asked.",
        ),
        Mistake(
            "looks at the first batch only",
            accumulating(of=lambda batches: batches[:1]),
            "Only the first batch is asked: the `return` stands inside the loop, or there is none.",
        ),
        Mistake(
            "asks for every loss twice",
            accumulating(
                keep=lambda total, loss, at: total + loss.detach(),
                ask=lambda loss_of, batch, num_items, batches: (
                    loss_of(batch, num_items).detach() * 0 + loss_of(batch, num_items)
                ),
            ),
            "loss_of is asked twice for a batch. Asking is the expensive part: keep its answer in "
            "a variable.",
        ),
    ],
    accepts=[accumulating(), by_items, by_lists, by_autograd],
)
