"""What the exercises of lesson 06 share: functions that are trained have to have gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minilm.check.comparing import Difference, alike
from minilm.check.exercise import Case
from minilm.check.later import torch

LESSON = "06_causal_lm"
# Sums come out differently in another order of adding; mistakes are far larger.
TOLERANCE = 1e-5
GRADIENT = "gradient of "
OVERWRITTEN = "none, for something that it needs was overwritten"

NO_GRADIENTS = (
    "The numbers are right, and the way back is cut: `.tolist()`, `.item()`, `.detach()`, "
    "`torch.tensor(…)` and numpy make new numbers that do not know where they come from. Nothing "
    "below this would ever be trained. Compute with the tensors themselves."
)


def learning(case: Case) -> Case:
    """The same case, in which gradients are asked for as well."""
    return {
        name: value.clone().requires_grad_()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
        else value
        for name, value in case.items()
    }


def use_with_gradients(function: Callable[..., Any], **case: Any) -> Any:
    """The answer; and the gradients, for a case whose tensors ask for them."""
    asking = {
        name: value
        for name, value in case.items()
        if isinstance(value, torch.Tensor) and value.requires_grad
    }
    if not asking:
        return function(**case)
    with torch.enable_grad():
        answer = function(**case)
        if not isinstance(answer, torch.Tensor) or not answer.is_floating_point():
            return answer
        return {"answer": answer.detach(), **gradients(answer, asking)}


def gradients(answer: Any, asking: dict[str, Any]) -> dict[str, Any]:
    """How each tensor would have to change for the numbers of an answer to grow, the last most."""
    names = [GRADIENT + name for name in asking]
    if not answer.requires_grad:
        return dict.fromkeys(names)
    pull = 1 + torch.arange(answer.numel(), dtype=answer.dtype).view(answer.shape) / answer.numel()
    try:
        found = torch.autograd.grad((answer * pull).sum(), [*asking.values()], allow_unused=True)
    except RuntimeError:  # something that they need was overwritten
        return dict.fromkeys(names, OVERWRITTEN)
    return dict(zip(names, found, strict=True))


def asked(reference: Callable[..., Any]) -> Callable[..., Any]:
    """Ask a reference as `use_with_gradients` asks an answer."""

    def answer(**case: Any) -> Any:
        found = use_with_gradients(reference, **case)
        return found.detach() if isinstance(found, torch.Tensor) else found

    return answer


def alike_with_gradients(tolerance: float = TOLERANCE) -> Callable[[Any, Any], Any]:
    """Make a comparison that says so where the numbers are right and a gradient is not."""
    compare = alike(tolerance=tolerance)

    def numbers(given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if not name.startswith(GRADIENT)}

    def compare_with_gradients(got: Any, expected: Any) -> Any:
        found = compare(got, expected)
        if found.equal or not (isinstance(got, dict) and isinstance(expected, dict)):
            return found
        if not compare(numbers(got), numbers(expected)).equal or got.keys() != expected.keys():
            return found
        for name, right in expected.items():
            if name.startswith(GRADIENT) and not compare(got[name], right).equal:
                sentence = _what_is_cut(name.removeprefix(GRADIENT), got[name])
                return Difference(found.size, sentence, (name,))
        return found

    return compare_with_gradients


def _what_is_cut(name: str, gradient: Any) -> str:
    """What to look for where the way back to one of the arguments is not whole."""
    if isinstance(gradient, str):
        return (
            f"The numbers are right, but torch cannot find the gradient of {name}: something that "
            "it needs was written over. `x += …`, and names that end in _, do that."
        )
    if gradient is None:
        return (
            f"The numbers are right, but no gradient reaches {name}: somewhere between it and the "
            "answer new numbers are made (`detach`, `.data`, `.item()`, `torch.tensor(…)`, "
            "`nn.Parameter(…)`, numpy, `torch.no_grad`)."
        )
    return (
        f"The numbers are right, but the gradient of {name} is not: one of the ways from it to the "
        "answer is cut (`detach`, `.data`, `.item()`, `torch.tensor(…)`, numpy, `torch.no_grad`)."
    )
