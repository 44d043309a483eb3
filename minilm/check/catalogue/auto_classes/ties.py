"""The exercise tie and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from minilm.check.catalogue.auto_classes.common import LESSON
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch


def facts(model, name, source):
    """What can be seen from outside of two weights of a model."""
    one, other = weight_at(model, name), weight_at(model, source)
    if one is None or other is None:
        return f"{name if one is None else source} is gone"
    owner = model.get_submodule(name.rpartition(".")[0])
    return {
        "one tensor": one is other,
        "same memory": one.data_ptr() == other.data_ptr(),
        "numbers": one.detach().flatten().tolist(),
        "numbers of the source": other.detach().flatten().tolist(),
        "trains": one.requires_grad,
        "owner": type(owner).__name__,
    }


def weight_at(model, name):
    return dict(model.named_parameters(remove_duplicate=False)).get(name)


def tied_facts(function, model, name, source):
    before = weight_at(model, source)
    function(model, name, source)
    found = facts(model, name, source)
    # Others may hold the source's parameter, an optimizer or a third name that is tied to it.
    is_new = isinstance(found, dict) and weight_at(model, source) is not before
    return {**found, "the source's parameter is": "a new one"} if is_new else found


def reference_tie(model, name, source):
    kept = model.get_parameter(source).detach().flatten().tolist()
    return {
        "one tensor": True,
        "same memory": True,
        "numbers": kept,
        "numbers of the source": kept,
        "trains": True,
        "owner": type(model.get_submodule(name.rpartition(".")[0])).__name__,
    }


def place(model, name):
    owner, _, attribute = name.rpartition(".")
    return model.get_submodule(owner), attribute


def putting(made: Callable[[Any], Any]) -> Callable[..., Any]:
    """Make a tie that puts something made of the source's weight in the other's place."""

    def tie(model, name, source):
        setattr(*place(model, name), made(model.get_parameter(source)))

    return tie


def copied_numbers(model, name, source):
    with torch.no_grad():
        model.get_parameter(name).copy_(model.get_parameter(source))


def shared_memory(model, name, source):
    model.get_parameter(name).data = model.get_parameter(source).data


def the_wrong_way(model, name, source):
    setattr(*place(model, source), model.get_parameter(name))


def in_a_copy_of_the_state(model, name, source):
    state = model.state_dict()
    state[name] = state[source]


def with_the_dots(model, name, source):
    setattr(model, name, model.get_parameter(source))


def on_the_model_itself(model, name, source):
    setattr(model, name.rpartition(".")[2], model.get_parameter(source))


def the_modules(model, name, source):
    owner, attribute = place(model, name.rpartition(".")[0])
    if attribute:
        setattr(owner, attribute, place(model, source)[0])
    else:
        setattr(*place(model, name), model.get_parameter(source))


def a_new_one_for_both(model, name, source):
    new = torch.nn.Parameter(model.get_parameter(source).data)
    setattr(*place(model, name), new)
    setattr(*place(model, source), new)


def weights_only(model, name, source):
    owner, _ = place(model, name)
    owner.weight = place(model, source)[0].weight


def taken_away(model, name, source):
    delattr(*place(model, name))


def by_registering(model, name, source):
    owner, attribute = place(model, name)
    owner.register_parameter(attribute, model.get_parameter(source))


def by_the_dict_of_parameters(model, name, source):
    weights = dict(model.named_parameters())
    owner, attribute = place(model, name)
    owner._parameters[attribute] = weights[source]


def by_walking(model, name, source):
    weight = model
    for piece in source.split("."):
        weight = getattr(weight, piece)
    *path, last = name.split(".")
    owner = model
    for piece in path:
        owner = getattr(owner, piece)
    setattr(owner, last, weight)


def numbered(module: Any, first: float) -> Any:
    """The module with whole numbers in its weights, counted on from one."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.arange(weight.numel()).view(weight.shape) + first)
            first += 100
    return module


def draw_models(draw: random.Random) -> list[Case]:
    nn = torch.nn
    cases = []
    for rows, width, first in [(2, 1, 0), (3, 2, 1), (draw.randint(4, 6), 3, 5)]:
        wte, head = nn.Embedding(rows, width), nn.Linear(width, rows, bias=False)
        plain = numbered(nn.ModuleDict({"wte": wte, "lm_head": head}), first)
        cases.append({"model": plain, "name": "lm_head.weight", "source": "wte.weight"})
        body = nn.ModuleDict({"wte": nn.Embedding(rows, width), "ln": nn.LayerNorm(width)})
        deep = nn.ModuleDict({"body": body, "head": nn.Sequential(nn.Linear(width, rows))})
        name, source = "head.0.weight", "body.wte.weight"
        cases.append({"model": numbered(deep, first), "name": name, "source": source})
    # As in BERT, whose head ties its biases too.
    head = nn.ModuleDict({"transform": nn.Linear(2, 3), "decoder": nn.Linear(2, 3)})
    cases.append({"model": numbered(head, 2), "name": "decoder.bias", "source": "transform.bias"})
    table = nn.ParameterDict({"table": torch.zeros(3, 2)})
    named = nn.ModuleDict({"body": table, "head": nn.Linear(2, 3, bias=False)})
    cases.append({"model": numbered(named, 4), "name": "head.weight", "source": "body.table"})
    own = nn.Linear(2, 2)  # a weight that is the model's own, in no module below it
    own.add_module("another_module_below", nn.Linear(2, 2))
    cases.append(
        {"model": numbered(own, 3), "name": "weight", "source": "another_module_below.weight"}
    )
    return cases


TIE = Exercise(
    answer="minilm.models.base:tie",
    lesson=LESSON,
    cases=draw_models,
    reference=reference_tie,
    reference_name="one tensor under two names",
    use=tied_facts,
    may_change_inputs=True,
    mistakes=[
        Mistake(
            "copies the numbers",
            copied_numbers,
            "Two tensors hold the same numbers now, until the first step of training changes one of them. "
            "Tied is one tensor under two names: put the source's parameter itself in the place.",
        ),
        Mistake(
            "shares the memory between two parameters",
            shared_memory,
            "Both look at the same numbers, yet they are two parameters: each has a gradient of "
            "its own, an optimizer steps twice, and the model counts them twice. Use the same object.",
        ),
        Mistake(
            "ties the wrong way",
            the_wrong_way,
            "They are one, and it is the wrong one: the numbers that the file gave the source are "
            "thrown away, and the random ones of the other are kept.",
        ),
        Mistake(
            "freezes it",
            putting(lambda weight: torch.nn.Parameter(weight.data, requires_grad=False)),
            "The new parameter asks for no gradient, so what is tied does not learn. Put the "
            "source's parameter itself in the place.",
        ),
        Mistake(
            "puts a plain tensor there",
            putting(lambda weight: weight.detach()),
            "A module takes only a Parameter where a parameter was, so torch refuses. detach and "
            ".data give a plain tensor: leave them out.",
        ),
        Mistake(
            "leaves the model as it was",
            in_a_copy_of_the_state,
            "Both weights are what they were. If you wrote into state_dict(): that is a new dict, and "
            "nothing of it reaches the model. Set the attribute of the module.",
        ),
        Mistake(
            "asks for an attribute with dots",
            with_the_dots,
            "setattr knows no path: 'lm_head.weight' is not an attribute of the model. Find the "
            "module that has it first: model.get_submodule('lm_head').",
        ),
        Mistake(
            "puts it on the model",
            on_the_model_itself,
            "The model gets an attribute called weight of its own, and lm_head keeps its old one. "
            "Set it on the module that has it.",
        ),
        Mistake(
            "replaces the module",
            the_modules,
            "The head is now an embedding: called with vectors it would look them up as ids. Only "
            "the weight is shared; each module does its own with it.",
        ),
        Mistake(
            "makes a new one for both",
            a_new_one_for_both,
            "Both have a new parameter now. Whoever held the source's before, an optimizer or a "
            "third name tied to it, is left with the old one. Put the source's parameter itself "
            "in the place.",
        ),
        Mistake(
            "knows weights only",
            weights_only,
            "The attribute is called weight whatever the names say. Biases are tied too: what "
            "stands behind the last dot is the attribute.",
        ),
        Mistake(
            "takes it away",
            taken_away,
            "The weight is deleted, as it may be in the file. In the model the module still needs "
            "one: the source's.",
        ),
    ],
    accepts=[
        putting(lambda weight: weight),
        by_registering,
        by_the_dict_of_parameters,
        by_walking,
    ],
)
