"""The exercises optimizer_step and adamw_update, and their known mistakes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from minilm.check.catalogue.training.common import LESSON, TOLERANCE, Stand, plain
from minilm.check.comparing import alike
from minilm.check.drawing import normal
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch


class Weights:
    """Two parameters, of one and of two numbers, and their gradients; made afresh for each answer."""

    def __init__(self, weights: list[float], gradients: list[list[float]]) -> None:
        self.weights, self.gradients = weights, gradients

    def __repr__(self) -> str:
        one, *two = self.weights
        first, *second = self.gradients[0]
        return f"two parameters, [{one}] and {two}, with gradients [{first}] and {second}"

    def made(self) -> list[Any]:
        return [torch.nn.Parameter(part) for part in self.parts(self.weights)]

    @staticmethod
    def parts(numbers: list[float]) -> list[Any]:
        return [torch.tensor(numbers[:1]), torch.tensor(numbers[1:])]


def sgd(lr: float) -> Stand:
    return Stand(f"SGD(parameters, lr={lr:g})", lambda given: torch.optim.SGD(given, lr=lr))


def with_momentum(lr: float) -> Stand:
    return Stand(
        f"SGD(parameters, lr={lr:g}, momentum=0.5)",
        lambda given: torch.optim.SGD(given, lr=lr, momentum=0.5),
    )


def halving() -> Stand:
    return Stand(
        "halves the learning rate at each step",
        lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step),
    )


def use_step(function, parameters, optimizer, scheduler=None, max_grad_norm=1.0):
    """Take a step for each list of gradients; they are added to what is there, as backward does."""
    made = parameters.made()
    moved = optimizer.make(made)
    timed = scheduler.make(moved) if scheduler else None
    norms, rates, moves = [], [], []
    moved.register_step_post_hook(lambda *given: moves.append(1))
    for gradients in parameters.gradients:
        for parameter, new in zip(made, parameters.parts(gradients), strict=True):
            parameter.grad = new if parameter.grad is None else parameter.grad + new
        norm = function(
            parameters=list(made), optimizer=moved, scheduler=timed, max_grad_norm=max_grad_norm
        )
        norm = plain(norm)
        norms.append(round(norm, 6) if isinstance(norm, float) else norm)
        rates.append(moved.param_groups[0]["lr"])
    left = [0.0 if p.grad is None else p.grad.abs().sum().item() for p in made]
    return {
        "weights": [[round(number, 6) for number in p.tolist()] for p in made],
        "norms returned": norms,
        "learning rates afterwards": rates,
        "gradients left": left,
        "times that the optimizer stepped": len(moves),
    }


def reference_step(parameters, optimizer, scheduler=None, max_grad_norm=1.0):
    """What transformers' Trainer does in a step, with the same calls in the same order."""

    def as_the_trainer_does(parameters, optimizer, scheduler, max_grad_norm):
        norm = torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm or math.inf)
        optimizer.step()
        if scheduler:
            scheduler.step()
        for parameter in parameters:
            parameter.grad = None
        return norm

    return use_step(as_the_trainer_does, parameters, optimizer, scheduler, max_grad_norm)


def clip_all(parameters, limit):
    return torch.nn.utils.clip_grad_norm_(parameters, limit or math.inf)


def stepping(order: str = "clip move time clear", clip: Callable = clip_all) -> Callable:
    """Make an optimizer_step that does these things, in this order."""

    def optimizer_step(parameters, optimizer, scheduler=None, max_grad_norm=1.0):
        norm = None
        for what in order.split():
            if what == "clip":
                norm = clip(parameters, max_grad_norm)
            elif what == "move":
                optimizer.step()
            elif what == "clear":
                optimizer.zero_grad()
            elif scheduler is not None:
                scheduler.step()
        return norm

    return optimizer_step


def clip_numbers(parameters, limit):
    norm = clip_all(parameters, None)
    if limit:
        torch.nn.utils.clip_grad_value_(parameters, limit)
    return norm


def clip_each(parameters, limit):
    norm = clip_all(parameters, None)
    for parameter in parameters:
        clip_all([parameter], limit)
    return norm


def clip_to(parameters, limit):
    norm = clip_all(parameters, None)
    for parameter in parameters:
        parameter.grad.mul_(limit / norm if limit else 1.0)
    return norm


def clip_to_one(parameters, limit):
    return torch.nn.utils.clip_grad_norm_(parameters, 1.0)


def clip_literally(parameters, limit):
    return torch.nn.utils.clip_grad_norm_(parameters, 0.0 if limit is None else limit)


def only_measure(parameters, limit):
    return clip_all(parameters, None)


def clip_and_measure_then(parameters, limit):
    clip_all(parameters, limit)
    return clip_all(parameters, None)


def sum_of_norms(parameters, limit):
    norm = sum(p.grad.norm() for p in parameters)
    if limit and norm > limit:
        for parameter in parameters:
            parameter.grad.mul_(limit / norm)
    return norm


def square_norm(parameters, limit):
    norm = sum(p.grad.square().sum() for p in parameters)
    if limit and norm > limit:
        for parameter in parameters:
            parameter.grad.mul_(limit / norm)
    return norm


def without_return(parameters, optimizer, scheduler=None, max_grad_norm=1.0):
    stepping()(parameters, optimizer, scheduler, max_grad_norm)


def none_when_not_clipped(parameters, optimizer, scheduler=None, max_grad_norm=1.0):
    norm = stepping()(parameters, optimizer, scheduler, max_grad_norm)
    return norm if max_grad_norm else None


def by_hand(parameters, optimizer, scheduler=None, max_grad_norm=1.0):
    parameters = list(parameters)
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    if max_grad_norm and norm > max_grad_norm:
        for gradient in gradients:
            gradient *= max_grad_norm / norm
    optimizer.step()
    scheduler and scheduler.step()
    for parameter in parameters:
        parameter.grad = None
    return norm.item()


def in_another_order(parameters, optimizer, scheduler=None, max_grad_norm=1.0):
    limit = max_grad_norm if max_grad_norm else float("inf")
    norm = torch.nn.utils.clip_grad_norm_(list(parameters), limit)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    if scheduler:
        scheduler.step()
    return norm


def draw_parameters(draw: random.Random) -> list[Case]:
    def case(weights, *gradients, optimizer=None, scheduler=True, **rest):
        made: Case = {
            "parameters": Weights(weights, [list(g) for g in gradients]),
            "optimizer": optimizer or sgd(0.5),
        }
        if scheduler:
            made["scheduler"] = halving()
        return {**made, **rest}

    cases = [
        case([1.0, 2.0, 0.0], (0.2, 0.3, 0.6), scheduler=False),
        case([1.0, 2.0, 0.0], (2.0, 3.0, 6.0), scheduler=False),
        case([1.0, 2.0, 0.0], (0.2, 0.3, 0.6)),
        case([1.0, 2.0, 0.0], (2.0, 3.0, 6.0), max_grad_norm=2.0),
        case([1.0, 2.0, 0.0], (2.0, 3.0, 6.0), max_grad_norm=None),
        case([1.0, 2.0, 0.0], (2.0, 3.0, 6.0), max_grad_norm=0.0),
        case([1.0, 2.0, 0.0], (2.0, 3.0, 6.0), (0.3, -0.4, 0.1)),
        case([1.0, 2.0, 0.0], (0.5, 6.0, 1.0), (-2.0, 0.1, 0.2), optimizer=with_momentum(0.1)),
    ]
    for _ in range(4):
        rounds = [
            [round(draw.uniform(-4, 4), 1) or 1.0 for _ in range(3)]
            for _ in range(draw.randint(2, 4))
        ]
        limit = draw.choice([0.5, 1.0, 3.0])
        cases.append(case([0.5, -1.0, 2.0], *rounds, optimizer=sgd(0.2), max_grad_norm=limit))
    return cases


OPTIMIZER_STEP = Exercise(
    answer="minilm.training.steps:optimizer_step",
    lesson=LESSON,
    cases=draw_parameters,
    reference=reference_step,
    reference_name="the order of transformers' Trainer, with torch's clip_grad_norm_",
    use=use_step,
    compare=alike(tolerance=TOLERANCE),
    mistakes=[
        Mistake(
            "does not clip in time",
            stepping(clip=only_measure),
            "Gradients longer than max_grad_norm are followed as they are: not clipped, or clipped "
            "when the weights have moved already. One odd batch can throw them far away.",
        ),
        Mistake(
            "clears before the step",
            stepping("clip clear move time"),
            "The gradients are cleared before the optimizer has used them, and nothing moves. "
            "Clear them last.",
        ),
        Mistake(
            "clears before it does anything",
            stepping("clear clip move time"),
            "zero_grad() stands first, and takes away the gradients that `backward` has left for "
            "this step. In a loop it may stand before `backward`; here it comes last.",
        ),
        Mistake(
            "does not clear",
            stepping("clip move time"),
            "The gradients stay, and the next step's are added to them. Each step would be pulled "
            "along by all before it: optimizer.zero_grad().",
        ),
        Mistake(
            "forgets the schedule",
            stepping("clip move clear"),
            "scheduler.step() is missing: the learning rate stays what it was at the first step, "
            "and with a rise from 0 that is 0.",
        ),
        Mistake(
            "sets the learning rate first",
            stepping("clip time move clear"),
            "The scheduler steps before the optimizer, so that the first learning rate of the "
            "schedule is never used. First the weights, then the learning rate.",
        ),
        Mistake(
            "forgets to move",
            stepping("clip time clear"),
            "optimizer.step() is missing: everything is prepared, and the weights stay where they "
            "are.",
        ),
        Mistake(
            "moves twice",
            stepping("clip move move time clear"),
            "optimizer.step() is called twice, along the same gradients.",
        ),
        Mistake(
            "clips every number",
            stepping(clip=clip_numbers),
            "Each number of the gradient is cut to max_grad_norm (clip_grad_value_), which turns "
            "the direction. All gradients together are one vector, and it is shortened.",
        ),
        Mistake(
            "clips each weight by itself",
            stepping(clip=clip_each),
            "Each parameter's gradient is shortened on its own, which turns the direction. All "
            "gradients together are one vector with one length.",
        ),
        Mistake(
            "makes short gradients longer",
            stepping(clip=clip_to),
            "Every gradient is scaled to max_grad_norm, the short ones too. They would never get "
            "small near the goal; only longer ones are shortened.",
        ),
        Mistake(
            "clips to 1, whatever is asked",
            stepping(clip=clip_to_one),
            "Gradients are shortened to 1, whatever max_grad_norm says.",
        ),
        Mistake(
            "clips to nothing when clipping is off",
            stepping(clip=clip_literally),
            "max_grad_norm=None or 0 means that nothing is clipped. Handed on as it is, it "
            "shortens every gradient to nothing.",
        ),
        Mistake(
            "measures after clipping",
            stepping(clip=clip_and_measure_then),
            "The length that you return is that of the clipped gradients, hardly ever more than "
            "max_grad_norm. What one wants to see in the log is how long they were.",
        ),
        Mistake(
            "adds up the lengths",
            stepping(clip=sum_of_norms),
            "The length of all is not the sum of the lengths: it is the root of the sum of their "
            "squares.",
        ),
        Mistake(
            "forgets the root",
            stepping(clip=square_norm),
            "This is the sum of the squares. The length is its root.",
        ),
        Mistake(
            "returns nothing",
            without_return,
            "Everything is done, and None comes back. Return how long the gradients were: the "
            "first thing to look at when a training goes wrong.",
        ),
        Mistake(
            "returns nothing when clipping is off",
            none_when_not_clipped,
            "With max_grad_norm=None or 0 there is no length. It is measured even then: "
            "clip_grad_norm_ with math.inf measures and changes nothing.",
        ),
    ],
    accepts=[stepping(), by_hand, in_another_order],
)


# --- AdamW by hand -------------------------------------------------------------------------------


def reference_update(
    weight, gradient, mean, square, step, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    """torch's AdamW, put into the middle of a training."""
    parameter = torch.nn.Parameter(weight.clone())
    parameter.grad = gradient.clone()
    optimizer = torch.optim.AdamW(
        [parameter], lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=False
    )
    optimizer.state[parameter] = state = {
        "step": torch.tensor(float(step - 1)),
        "exp_avg": mean.clone(),
        "exp_avg_sq": square.clone(),
    }
    optimizer.step()
    return parameter.detach(), state["exp_avg"], state["exp_avg_sq"]


def moving(
    average: Callable = lambda old, new, beta: beta * old + (1 - beta) * new,
    squared: Callable = lambda gradient, mean: gradient**2,
    fair_mean: Callable = lambda mean, beta, step: mean / (1 - beta**step),
    fair_square: Callable = lambda square, beta, step: square / (1 - beta**step),
    direction: Callable = lambda mean, square, eps: mean / (square.sqrt() + eps),
    decay: Callable = lambda weight, lr, weight_decay: weight - lr * weight_decay * weight,
    moved: Callable = lambda weight, direction, lr: weight - lr * direction,
    told: Callable = lambda lr, betas, eps, weight_decay: (lr, betas, eps, weight_decay),
    gradient_of: Callable = lambda gradient, weight, weight_decay: gradient,
    give: Callable = lambda weight, mean, square, fair: (weight, mean, square),
) -> Callable:
    """Make an adamw_update that takes one of its steps in another way."""

    def adamw_update(
        weight,
        gradient,
        mean,
        square,
        step,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.01,
    ):
        lr, betas, eps, weight_decay = told(lr, betas, eps, weight_decay)
        gradient = gradient_of(gradient, weight, weight_decay)
        mean = average(mean, gradient, betas[0])
        square = average(square, squared(gradient, mean), betas[1])
        fair = fair_mean(mean, betas[0], step), fair_square(square, betas[1], step)
        weight = decay(weight, lr, weight_decay)
        weight = moved(weight, direction(*fair, eps), lr)
        return give(weight, mean, square, fair)

    return adamw_update


def as_it_is(weight, lr, weight_decay):
    return weight


def decay_at_the_end(
    weight, gradient, mean, square, step, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    new, mean, square = moving(decay=as_it_is)(
        weight, gradient, mean, square, step, lr, betas, eps, weight_decay
    )
    return new - lr * weight_decay * new, mean, square


def added_to_the_weight(
    weight, gradient, mean, square, step, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    told = step, lr, betas, 0.0, weight_decay
    new, mean, square = moving()(weight, gradient, mean, square, *told)
    return new + eps, mean, square


def in_place(
    weight, gradient, mean, square, step, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    mean.mul_(betas[0]).add_(gradient, alpha=1 - betas[0])
    square.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    fair = mean / (1 - betas[0] ** step), square / (1 - betas[1] ** step)
    weight.mul_(1 - lr * weight_decay).sub_(lr * fair[0] / (fair[1].sqrt() + eps))
    return weight, mean, square


def as_torch_writes_it(
    weight, gradient, mean, square, step, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    weight = weight * (1 - lr * weight_decay)
    mean = mean.lerp(gradient, 1 - betas[0])
    square = (square * betas[1]).addcmul(gradient, gradient, value=1 - betas[1])
    step_size = lr / (1 - betas[0] ** step)
    denominator = square.sqrt() / math.sqrt(1 - betas[1] ** step) + eps
    return weight.addcdiv(mean, denominator, value=-step_size), mean, square


def in_float64(
    weight, gradient, mean, square, step, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    wide = [tensor.double() for tensor in (weight, gradient, mean, square)]
    return [t.float() for t in moving()(*wide, step, lr, betas, eps, weight_decay)]


def on_a_copy(
    weight, gradient, mean, square, step, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    given = weight.clone(), gradient.clone(), mean.clone(), square.clone()
    return in_place(*given, step, lr, betas, eps, weight_decay)


def draw_updates(draw: random.Random) -> list[Case]:
    cases: list[Case] = []

    def add(size: int, step: int, **rest: Any) -> None:
        nonzero = normal(draw, size, digits=1)
        gradient = torch.where(nonzero == 0, torch.full_like(nonzero, 0.5), nonzero)
        fresh = step == 1
        mean = torch.zeros(size) if fresh else normal(draw, size, scale=0.5, digits=2)
        square = torch.zeros(size) if fresh else normal(draw, size, digits=1).square() + 0.05
        weight = normal(draw, size, scale=2.0, digits=1) + 0.05
        cases.append(
            {
                "weight": weight,
                "gradient": gradient,
                "mean": mean,
                "square": square,
                "step": step,
                "lr": 0.1,
                **rest,
            }
        )

    add(1, 1, weight_decay=0.0)
    add(1, 2, weight_decay=0.0)
    add(1, 1, weight_decay=0.5)
    add(2, 1, eps=0.5, weight_decay=0.0)
    add(2, 3, betas=(0.5, 0.8), weight_decay=0.0)
    add(3, 4, betas=(0.5, 0.8), eps=0.1, weight_decay=0.3)
    add(2, 2)
    for _ in range(4):
        add(
            draw.randint(2, 4),
            draw.randint(2, 9),
            betas=(draw.choice([0.6, 0.8]), draw.choice([0.7, 0.95])),
            eps=draw.choice([0.01, 0.2]),
            weight_decay=draw.choice([0.1, 0.4]),
        )
    return cases


ADAMW_UPDATE = Exercise(
    answer="minilm.training.steps:adamw_update",
    lesson=LESSON,
    cases=draw_updates,
    reference=reference_update,
    reference_name="torch.optim.AdamW",
    compare=alike(tolerance=TOLERANCE),
    mistakes=[
        Mistake(
            "does not make the means fair",
            moving(
                fair_mean=lambda mean, beta, step: mean,
                fair_square=lambda square, beta, step: square,
            ),
            "The means began at 0 and are too small at first, the square far more than the mean: "
            "the first steps come out several times too long. Divide each by 1 - beta**step.",
        ),
        Mistake(
            "makes only the mean fair",
            moving(fair_square=lambda square, beta, step: square),
            "The mean of the squares is too small at first as well: divide it by "
            "1 - betas[1]**step.",
        ),
        Mistake(
            "makes only the square fair",
            moving(fair_mean=lambda mean, beta, step: mean),
            "The mean is too small at first as well: divide it by 1 - betas[0]**step.",
        ),
        Mistake(
            "multiplies by the step instead of raising",
            moving(
                fair_mean=lambda mean, beta, step: mean / (1 - beta),
                fair_square=lambda square, beta, step: square / (1 - beta),
            ),
            "1 - beta is right at the first step only. After more steps the means have caught up: "
            "1 - beta**step.",
        ),
        Mistake(
            "multiplies beta by the step",
            moving(
                fair_mean=lambda mean, beta, step: mean / (1 - beta * step),
                fair_square=lambda square, beta, step: square / (1 - beta * step),
            ),
            "beta * step passes 1 at the second step, and the means change their sign. What is "
            "left of the 0 at the beginning shrinks by beta each time: beta**step.",
        ),
        Mistake(
            "raises the whole instead of beta",
            moving(
                fair_mean=lambda mean, beta, step: mean / (1 - beta) ** step,
                fair_square=lambda square, beta, step: square / (1 - beta) ** step,
            ),
            "(1 - beta)**step shrinks to nothing, and the means grow without end. It is beta that "
            "is raised: 1 - beta**step.",
        ),
        Mistake(
            "counts the steps from 0",
            moving(
                fair_mean=lambda mean, beta, step: mean / (1 - beta ** (step - 1) + 1e-12),
                fair_square=lambda square, beta, step: square / (1 - beta ** (step - 1) + 1e-12),
            ),
            "The first step has the number 1 here, and you take one off: 1 - beta**0 is 0, and "
            "something is divided by it.",
        ),
        Mistake(
            "counts the steps one too far",
            moving(
                fair_mean=lambda mean, beta, step: mean / (1 - beta ** (step + 1)),
                fair_square=lambda square, beta, step: square / (1 - beta ** (step + 1)),
            ),
            "step is the number of this step already, 1 for the first; you add one more.",
        ),
        Mistake(
            "adds the decay to the gradient",
            moving(
                gradient_of=lambda gradient, weight, decay: gradient + decay * weight,
                decay=as_it_is,
            ),
            "weight_decay goes into the gradient, as in Adam, and is then divided by the root like "
            "all the rest: weights with large gradients hardly shrink. The W means that the weight "
            "shrinks by itself, lr * weight_decay * weight.",
        ),
        Mistake(
            "does not decay",
            moving(decay=as_it_is),
            "weight_decay is not used. The weight shrinks by lr * weight_decay of itself at every "
            "step.",
        ),
        Mistake(
            "decays without the learning rate",
            moving(decay=lambda weight, lr, decay: weight - decay * weight),
            "The weight shrinks by weight_decay of itself, ten or a thousand times too much: the "
            "learning rate belongs to it.",
        ),
        Mistake(
            "decays after the step",
            decay_at_the_end,
            "The weight shrinks after it was moved, so that the move shrinks with it. It is a "
            "small thing; torch and the paper shrink the old weight.",
        ),
        Mistake(
            "lets the weight grow",
            moving(decay=lambda weight, lr, decay: weight + lr * decay * weight),
            "The decay is added. Weights are to shrink: minus.",
        ),
        Mistake(
            "goes uphill",
            moving(moved=lambda weight, direction, lr: weight + lr * direction),
            "The weight moves along the gradient, to where the loss is larger. Downhill is minus.",
        ),
        Mistake(
            "adds eps under the root",
            moving(direction=lambda mean, square, eps: mean / (square + eps).sqrt()),
            "eps stands under the root. There it counts as its own root, 1e-4 for 1e-8: AdamW adds "
            "it to the root.",
        ),
        Mistake(
            "adds eps to the weight",
            added_to_the_weight,
            "Without parentheses / comes before +, and eps is added to the weight. Write "
            "mean / (root + eps).",
        ),
        Mistake(
            "has no eps",
            moving(direction=lambda mean, square, eps: mean / square.sqrt()),
            "eps is missing, and a weight that never had a gradient divides 0 by 0. Add it to the "
            "root.",
        ),
        Mistake(
            "takes no root",
            moving(direction=lambda mean, square, eps: mean / (square + eps)),
            "The mean is divided by the mean square itself. Divided by its root, the step has no "
            "unit: about lr, however large the gradients are.",
        ),
        Mistake(
            "divides by nothing",
            moving(direction=lambda mean, square, eps: mean),
            "This is a step along the mean gradient, as SGD with momentum makes it. Divide by the "
            "root of the mean square.",
        ),
        Mistake(
            "follows the gradient instead of the mean",
            moving(
                fair_mean=lambda mean, beta, step: mean,
                give=lambda weight, mean, square, fair: (weight, mean, square),
                average=lambda old, new, beta: (
                    new if beta in (0.9, 0.5, 0.6, 0.8) else beta * old + (1 - beta) * new
                ),
            ),
            "The newest gradient is taken for the mean, so that the past is forgotten. The mean is "
            "betas[0] * mean + (1 - betas[0]) * gradient.",
        ),
        Mistake(
            "exchanges the shares",
            moving(average=lambda old, new, beta: (1 - beta) * old + beta * new),
            "The new gradient gets the share beta, and the past 1 - beta. beta is near 1 and "
            "belongs to the past.",
        ),
        Mistake(
            "adds without shrinking the past",
            moving(average=lambda old, new, beta: old + (1 - beta) * new),
            "The old mean is kept whole, so that it grows and grows. It is multiplied by beta.",
        ),
        Mistake(
            "exchanges the betas",
            moving(told=lambda lr, betas, eps, decay: (lr, betas[::-1], eps, decay)),
            "betas[0] is for the mean and betas[1] for the squares; you have them the other way "
            "round.",
        ),
        Mistake(
            "squares the mean",
            moving(squared=lambda gradient, mean: mean**2),
            "You average the square of the *mean*. It is the gradient that is squared.",
        ),
        Mistake(
            "does not square",
            moving(squared=lambda gradient, mean: gradient.abs()),
            "The mean of the squares needs gradient**2.",
        ),
        Mistake(
            "returns the fair means",
            moving(give=lambda weight, mean, square, fair: (weight, *fair)),
            "The corrected means come back, and would be corrected again at the next step. Keep "
            "the running ones; the corrected are for this step only.",
        ),
        Mistake(
            "exchanges what it returns",
            moving(give=lambda weight, mean, square, fair: (weight, square, mean)),
            "square comes back where mean belongs. The order is weight, mean, square.",
        ),
        Mistake(
            "moves without the learning rate",
            moving(moved=lambda weight, direction, lr: weight - direction),
            "The step is not multiplied by lr, so that every weight moves by about 1.",
        ),
        Mistake(
            "returns the weight alone",
            moving(give=lambda weight, mean, square, fair: weight),
            "Only the weight comes back. The next step needs mean and square too.",
        ),
        Mistake(
            "writes over what it was given",
            in_place,
            "The tensors that were handed in are changed. Optimizers do that to save memory; here "
            "new tensors are asked for, so that a step can be looked at.",
        ),
        Mistake(
            "knows its own settings only",
            moving(told=lambda lr, betas, eps, decay: (lr, (0.9, 0.999), 1e-8, 0.01)),
            "betas, eps and weight_decay are the usual ones, whatever the arguments say.",
        ),
    ],
    accepts=[moving(), as_torch_writes_it, in_float64, on_a_copy],
)
