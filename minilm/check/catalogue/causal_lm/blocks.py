"""The exercise pre_norm_block and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from minilm.check.catalogue.causal_lm.common import (
    LESSON,
    alike_with_gradients,
    gradients,
    learning,
)
from minilm.check.drawing import normal
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch


class Part:
    """A part of a block that can be worked out by hand, and says what it does."""

    def __init__(self, says: str, does: Callable[[Any], Any]) -> None:
        self.says, self.does, self.calls = says, does, 0

    def __call__(self, y: Any) -> Any:
        self.calls += 1
        return self.does(y)

    def __repr__(self) -> str:
        return self.says


def sum_so_far(y):
    T = y.shape[-2]
    seen = torch.ones(T, T, dtype=y.dtype).tril()
    return y.cumsum(-2), seen * y[:, None, :, :1]  # (B, T, C), (B, 1, T, T)


def parts() -> dict[str, Part]:
    """Attention, network and norms that tell every order of doing things apart."""
    return {
        "attend": Part("y → (the sum of y over the tokens so far, weights)", sum_so_far),
        "think": Part("y → y²", lambda y: y * y),
        "norm_1": Part("y → y/2 + 1", lambda y: y / 2 + 1),
        "norm_2": Part("y → 3 - y", lambda y: 3 - y),
    }


def use_block(function, x, attend, think, norm_1, norm_2):
    """The stream and the weights, how often attention was asked, and gradients if x asks for them."""
    with torch.set_grad_enabled(x.requires_grad):
        given = function(x=x, attend=attend, think=think, norm_1=norm_1, norm_2=norm_2)
        if not isinstance(given, tuple | list) or len(given) != 2:
            return given
        found = {"stream": given[0], "weights": given[1], "attend was called": attend.calls}
        if x.requires_grad and isinstance(given[0], torch.Tensor):
            found |= gradients(given[0], {"x": x})
    return {
        name: value.detach() if isinstance(value, torch.Tensor) else value
        for name, value in found.items()
    }


def reference_block(x, attend, think, norm_1, norm_2):
    """Put the parts into transformers' GPT2Block."""
    return use_block(block_of_transformers, x, attend, think, norm_1, norm_2)


def block_of_transformers(x, attend, think, norm_1, norm_2):
    from transformers import GPT2Config
    from transformers.models.gpt2.modeling_gpt2 import GPT2Block

    kept = []

    class Module(torch.nn.Module):
        def __init__(self, part):
            super().__init__()
            self.part = part

        def forward(self, y, **rest):
            given = self.part(y)
            if self.part is attend:
                kept.append(given[1])
            return given

    block = GPT2Block(GPT2Config(n_embd=2, n_head=1, vocab_size=2, n_positions=2), layer_idx=0)
    for name, part in {"attn": attend, "mlp": think, "ln_1": norm_1, "ln_2": norm_2}.items():
        setattr(block, name, Module(part))
    stream = block.eval()(x)
    stream = stream[0] if isinstance(stream, tuple) else stream
    return stream, kept[0]


def flowing(
    first: Callable = lambda x, mixed, normed: x + mixed,
    second: Callable = lambda x, thought, normed, mixed, start: x + thought,
    norm_a: Callable = lambda norm_1, norm_2: norm_1,
    norm_b: Callable = lambda norm_1, norm_2: norm_2,
    give: Callable = lambda x, weights: (x, weights),
) -> Callable:
    """Make a pre_norm_block that takes one of its steps in another way."""

    def pre_norm_block(x, attend, think, norm_1, norm_2):
        start, before = x, norm_a(norm_1, norm_2)(x)
        mixed, weights = attend(before)
        x = first(x, mixed, before)
        between = norm_b(norm_1, norm_2)(x)
        x = second(x, think(between), between, mixed, start)
        return give(x, weights)

    return pre_norm_block


def none_of(norm_1, norm_2):
    return lambda y: y


def post_norm(x, attend, think, norm_1, norm_2):
    mixed, weights = attend(x)
    x = norm_1(x + mixed)
    return norm_2(x + think(x)), weights


def norm_what_is_added(x, attend, think, norm_1, norm_2):
    mixed, weights = attend(x)
    x = x + norm_1(mixed)
    return x + norm_2(think(x)), weights


def parallel(x, attend, think, norm_1, norm_2):
    mixed, weights = attend(norm_1(x))
    return x + mixed + think(norm_2(x)), weights


def think_first(x, attend, think, norm_1, norm_2):
    x = x + think(norm_1(x))
    mixed, weights = attend(norm_2(x))
    return x + mixed, weights


def think_first_with_its_own_norm(x, attend, think, norm_1, norm_2):
    x = x + think(norm_2(x))
    mixed, weights = attend(norm_1(x))
    return x + mixed, weights


def think_about_what_was_mixed(x, attend, think, norm_1, norm_2):
    mixed, weights = attend(norm_1(x))
    return x + mixed + think(norm_2(mixed)), weights


def whole_answer_added(x, attend, think, norm_1, norm_2):
    x = x + attend(norm_1(x))
    return x + think(norm_2(x))


def ask_twice(x, attend, think, norm_1, norm_2):
    x = x + attend(norm_1(x))[0]
    return x + think(norm_2(x)), attend(norm_1(x))[1]


def ask_twice_for_the_same(x, attend, think, norm_1, norm_2):
    y = x + attend(norm_1(x))[0]
    return y + think(norm_2(y)), attend(norm_1(x))[1]


def in_place(x, attend, think, norm_1, norm_2):
    mixed, weights = attend(norm_1(x))
    x += mixed
    x += think(norm_2(x))
    return x, weights


def half_in_place(x, attend, think, norm_1, norm_2):
    mixed, weights = attend(norm_1(x))
    x += mixed
    return x + think(norm_2(x)), weights


def in_one_breath(x, attend, think, norm_1, norm_2):
    mixed, weights = attend(norm_1(x))
    return (y := mixed + x) + think(norm_2(y)), weights


def by_a_list_of_layers(x, attend, think, norm_1, norm_2):
    weights = None
    for norm, layer in [(norm_1, attend), (norm_2, think)]:
        residual = x
        said = layer(norm(x))
        if layer is attend:
            said, weights = said
        x = residual + said
    return x, weights


def as_in_transformers(x, attend, think, norm_1, norm_2):
    residual = x
    hidden_states = norm_1(x)
    attn_outputs = attend(hidden_states)
    hidden_states = torch.add(residual, attn_outputs[0])
    residual = hidden_states
    hidden_states = think(norm_2(hidden_states))
    return [residual + hidden_states, attn_outputs[1]]


def in_place_on_a_copy(x, attend, think, norm_1, norm_2):
    x = x.clone()
    mixed, weights = attend(norm_1(x))
    x += mixed
    x += think(norm_2(x))
    return x, weights


def cut_off(x, attend, think, norm_1, norm_2):
    return flowing()(x.detach(), attend, think, norm_1, norm_2)


def attention_not_trained(x, attend, think, norm_1, norm_2):
    with torch.no_grad():
        mixed, weights = attend(norm_1(x))
    x = x + mixed
    return x + think(norm_2(x)), weights


def weights_forgotten(x, attend, think, norm_1, norm_2):
    return flowing()(x, attend, think, norm_1, norm_2)[0], None


def draw_streams(draw: random.Random) -> list[Case]:
    shapes = [(1, 1, 1), (1, 1, 2), (1, 2, 1), (1, 2, 2), (2, 2, 3), (2, 3, 4), (3, 4, 5)]
    cases: list[Case] = [{"x": torch.tensor([[[2.0], [4.0]]]), **parts()}]
    cases += [{"x": normal(draw, *shape, scale=2.0), **parts()} for shape in shapes]
    # A norm whose way back needs what it has read, as that of a real one does.
    cubing = {**parts(), "norm_2": Part("y → y³", lambda y: y**3)}
    return [*cases, learning({"x": normal(draw, 1, 2, 2), **cubing})]


PRE_NORM_BLOCK = Exercise(
    answer="minilm.layers:pre_norm_block",
    lesson=LESSON,
    cases=draw_streams,
    reference=reference_block,
    reference_name="transformers' GPT2Block",
    compare=alike_with_gradients(),
    use=use_block,
    mistakes=[
        Mistake(
            "adds to the normed stream",
            flowing(
                lambda x, mixed, normed: normed + mixed,
                lambda x, thought, normed, mixed, start: normed + thought,
            ),
            "You add to what the norm made of x. The stream itself must run through untouched, so "
            "that what early layers wrote arrives at the end. Write x + …, and never norm(x) + … .",
        ),
        Mistake(
            "adds attention to the normed stream",
            flowing(lambda x, mixed, normed: normed + mixed),
            "What attention says is added to norm_1(x). Add it to x: the stream is read through a "
            "norm, and never normed itself.",
        ),
        Mistake(
            "adds the network to the normed stream",
            flowing(second=lambda x, thought, normed, mixed, start: normed + thought),
            "What the network says is added to norm_2(x). Add it to x: the stream is read through "
            "a norm, and never normed itself.",
        ),
        Mistake(
            "norms after adding",
            post_norm,
            "norm(x + …) is post-norm, as in BERT and the first transformer. GPT-2 and Llama norm "
            "what goes into attention and network, and leave the stream alone.",
        ),
        Mistake(
            "norms what is added",
            norm_what_is_added,
            "x + norm(attend(x)): the norms stand behind attention and network instead of before "
            "them.",
        ),
        Mistake(
            "norms the stream it returns",
            flowing(
                second=lambda x, thought, normed, mixed, start: x + thought,
                give=lambda x, weights: (3 - x, weights),
            ),
            "norm_2 is applied once more at the end. The stream leaves the block as it is; one "
            "final norm comes after the last block.",
        ),
        Mistake(
            "forgets both norms",
            flowing(norm_a=none_of, norm_b=none_of),
            "Neither norm is used. The stream grows from block to block, and attention's scores "
            "with it.",
        ),
        Mistake(
            "forgets the first norm",
            flowing(norm_a=none_of),
            "Attention reads the stream as it is. It was trained on norm_1(x).",
        ),
        Mistake(
            "forgets the second norm",
            flowing(norm_b=none_of),
            "The network reads the stream as it is. It was trained on norm_2(x).",
        ),
        Mistake(
            "lets both read the same stream",
            parallel,
            "Attention and network both read the x that came in: parallel residuals, as in "
            "GPT-NeoX. In GPT-2 and Llama the network reads what attention has added to.",
        ),
        Mistake(
            "takes the first norm twice",
            flowing(norm_b=lambda norm_1, norm_2: norm_1),
            "norm_1 stands before both. Each has a norm of its own; in a new model the two are "
            "alike, in a trained one they are not.",
        ),
        Mistake(
            "takes the second norm twice",
            flowing(norm_a=lambda norm_1, norm_2: norm_2),
            "norm_2 stands before both. Each has a norm of its own; in a new model the two are "
            "alike, in a trained one they are not.",
        ),
        Mistake(
            "exchanges the norms",
            flowing(
                norm_a=lambda norm_1, norm_2: norm_2,
                norm_b=lambda norm_1, norm_2: norm_1,
            ),
            "norm_2 stands before attention and norm_1 before the network. In a new model the two "
            "are alike, in a trained one they are not.",
        ),
        Mistake(
            "drops the stream twice",
            flowing(
                lambda x, mixed, normed: mixed,
                lambda x, thought, normed, mixed, start: thought,
            ),
            "x is never added: each part replaces the stream instead of adding to it. Deep stacks "
            "of such blocks hardly train.",
        ),
        Mistake(
            "drops the stream at attention",
            flowing(lambda x, mixed, normed: mixed),
            "What attention says replaces x. It is added: x + mixed.",
        ),
        Mistake(
            "drops the stream at the network",
            flowing(second=lambda x, thought, normed, mixed, start: thought),
            "What the network says replaces x. It is added to it.",
        ),
        Mistake(
            "loses what attention said",
            flowing(second=lambda x, thought, normed, mixed, start: start + thought),
            "The network's answer is added to the x that came in, and attention's is lost on the "
            "way. Add to the stream as it is after attention.",
        ),
        Mistake(
            "thinks before it looks",
            think_first,
            "The network comes before attention, with the norms in their order. Attention comes "
            "first.",
        ),
        Mistake(
            "thinks before it looks, each with its norm",
            think_first_with_its_own_norm,
            "The network comes before attention. Attention comes first, and the network thinks "
            "about what it brought.",
        ),
        Mistake(
            "thinks about attention's answer alone",
            think_about_what_was_mixed,
            "The network reads norm_2(mixed), only what attention said. It reads the whole stream: "
            "norm_2(x + mixed).",
        ),
        Mistake(
            "adds attention's whole answer",
            whole_answer_added,
            "attend returns two things, the mixed values and the weights, and a tuple cannot be "
            "added. `mixed, weights = attend(…)`.",
        ),
        Mistake(
            "returns the stream alone",
            flowing(give=lambda x, weights: x),
            "Two things are asked for: `return x, weights`.",
        ),
        Mistake(
            "returns the weights first",
            flowing(give=lambda x, weights: (weights, x)),
            "The weights come first and the stream second. The stream comes first.",
        ),
        Mistake(
            "looks twice, the second time at the end",
            ask_twice,
            "attend is called twice, the second time on the stream that already has its answer in "
            "it. Keep both things it returns: `mixed, weights = attend(…)`.",
        ),
        Mistake(
            "looks twice",
            ask_twice_for_the_same,
            "attend is called twice, once for each thing it returns. That is twice the work, and a "
            "cache gets every token twice. `mixed, weights = attend(…)`.",
        ),
        Mistake(
            "writes attention's answer into the stream",
            half_in_place,
            "`x += mixed` changes the tensor that was handed in, and others still hold it: the "
            "hidden states that a model returns would be wrong. `x = x + mixed` makes a new one.",
        ),
        Mistake(
            "writes into the stream",
            in_place,
            "`x += …` changes the tensor that was handed in, and others still hold it: the hidden "
            "states of all layers would be one and the same. `x = x + …` makes a new one.",
        ),
        Mistake(
            "returns None for the weights",
            weights_forgotten,
            "The stream is right, and what attend said of its weights is thrown away. Hand it on: "
            "`return x, weights`.",
        ),
        Mistake(
            "cuts the stream",
            cut_off,
            "The numbers are right, but `detach` (or `.data`, or no_grad) cuts the stream: no "
            "gradient runs back through this block, and nothing below it would ever be trained.",
        ),
        Mistake(
            "leaves attention out of training",
            attention_not_trained,
            "The numbers are right, but attention is asked under no_grad, or its answer is "
            "detached: no gradient runs back through it, and it never learns.",
        ),
        Mistake(
            "overwrites what the gradients need",
            in_place_on_a_copy,
            "The numbers are right. But `x += …` overwrites the stream that the network has just "
            "read, and the way back needs it: training stops with an error about an inplace "
            "operation. `x = x + …` keeps both.",
        ),
    ],
    accepts=[flowing(), in_one_breath, by_a_list_of_layers, as_in_transformers],
)
