"""The exercises split_heads, merge_heads and repeat_kv, and their known mistakes."""

from __future__ import annotations

import random

from minilm.check.catalogue.attention.by_transformers import LESSON
from minilm.check.drawing import normal
from minilm.check.exercise import Exercise, Mistake, of
from minilm.check.later import torch


def counted(*shape):
    """A tensor that counts 0, 1, 2 …, so that one sees where each number went."""
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape)


def reference_split(x, n_heads):
    """Ask GPT-Neo, one of the models in which splitting is a function of its own."""
    from transformers.models.gpt_neo.modeling_gpt_neo import GPTNeoSelfAttention

    return GPTNeoSelfAttention._split_heads(None, x, n_heads, x.shape[-1] // n_heads)


def reference_merge(x):
    """Ask GPT-Neo, one of the models in which merging is a function of its own."""
    from transformers.models.gpt_neo.modeling_gpt_neo import GPTNeoSelfAttention

    return GPTNeoSelfAttention._merge_heads(None, x, x.shape[1], x.shape[-1])


# --- split_heads ------------------------------------------------------------------------------


def split_by_view(x, n_heads):
    B, T, width = x.shape
    return x.view(B, T, n_heads, width // n_heads).transpose(1, 2)


def split_by_chunks(x, n_heads):
    return torch.stack(torch.chunk(x, n_heads, dim=-1), dim=1)


def split_by_loop(x, n_heads):
    size = x.shape[-1] // n_heads
    heads = [x[:, :, head * size : (head + 1) * size] for head in range(n_heads)]
    return torch.stack(heads).permute(1, 0, 2, 3)


def split_by_unflatten(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).permute(0, 2, 1, 3).contiguous()


def split_straight(x, n_heads):
    B, T, width = x.shape
    return x.reshape(B, n_heads, T, width // n_heads)


def split_and_stay(x, n_heads):
    B, T, width = x.shape
    return x.reshape(B, T, n_heads, width // n_heads)


def split_by_turns(x, n_heads):
    B, T, width = x.shape
    return x.reshape(B, T, width // n_heads, n_heads).permute(0, 3, 1, 2)


def split_into_heads_of_that_size(x, n_heads):
    B, T, width = x.shape
    return x.reshape(B, T, width // n_heads, n_heads).transpose(1, 2)


def split_into_the_batch(x, n_heads):
    B, T, width = x.shape
    split = x.reshape(B, T, n_heads, width // n_heads).transpose(1, 2)
    return split.reshape(B * n_heads, T, width // n_heads)


def split_as_columns(x, n_heads):
    B, T, width = x.shape
    return x.reshape(B, T, n_heads, width // n_heads).permute(0, 2, 3, 1)


def split_heads_first(x, n_heads):
    return torch.stack(x.chunk(n_heads, dim=-1))


def split_the_tokens(x, n_heads):
    """Chunk along the wrong axis."""
    return torch.stack(x.chunk(n_heads, dim=1), dim=1)


SHAPES = [
    # B  T  H  D
    (1, 1, 1, 2),
    (1, 2, 1, 2),
    (1, 1, 2, 2),
    (1, 2, 2, 1),
    (1, 3, 2, 2),
    (1, 2, 3, 2),
    (2, 2, 2, 3),
    (1, 3, 3, 3),
    (1, 4, 2, 3),
    (2, 3, 4, 5),
    (3, 5, 2, 4),
    (2, 7, 3, 4),
    (2, 6, 8, 4),
]


def draw_splits(draw: random.Random) -> list[dict]:
    cases = []
    for B, T, H, D in SHAPES:
        cases.append({"x": counted(B, T, H * D), "n_heads": H})
    for _ in range(4):
        B, T, H, D = draw.sample(range(2, 7), 4)
        cases.append({"x": normal(draw, B, T, H * D), "n_heads": H})
    return cases


SPLIT_HEADS = Exercise(
    answer="minilm.attention:split_heads",
    lesson=LESSON,
    cases=draw_splits,
    reference=reference_split,
    reference_name="the splitting in transformers' GPT-Neo",
    mistakes=[
        Mistake(
            "deals the numbers out in the order they lie",
            split_straight,
            "`view(B, H, T, D)` keeps the numbers in their order, so a head gets pieces of several "
            "tokens. The shape is right, and nothing else. Give each token its heads first, "
            "(B, T, H, D), then let H and T change places.",
        ),
        Mistake(
            "leaves the heads behind the tokens",
            split_and_stay,
            "The shape is (B, T, H, D). The product of queries and keys runs over the last two "
            "axes, which must be tokens and numbers: let T and H change places.",
        ),
        Mistake(
            "deals the numbers out by turns",
            split_by_turns,
            "Head 0 gets every H-th number of a token. It should get the first D in a row: the "
            "last axis is cut into (H, D), not (D, H).",
        ),
        Mistake(
            "takes the number of heads for their size",
            split_into_heads_of_that_size,
            "You make heads of `n_heads` numbers each. n_heads says how many there are, and each "
            "has width // n_heads numbers. (`torch.split` wants a size, `torch.chunk` a count.)",
        ),
        Mistake(
            "folds the heads into the batch",
            split_into_the_batch,
            "The shape is (B·H, T, D), as older models have it. Keep the heads on an axis of their "
            "own, where a mask (B, 1, T, S) can be shared by all of them.",
        ),
        Mistake(
            "turns the tokens into columns",
            split_as_columns,
            "The shape is (B, H, D, T): tokens and numbers have changed places. Keys are "
            "transposed when they meet the queries, not before.",
        ),
        Mistake(
            "exchanges heads and numbers",
            lambda x, n_heads: split_and_stay(x, n_heads).transpose(2, 3),
            "The shape is (B, T, D, H): the last two axes have changed places. Let T and H change "
            "places, `transpose(1, 2)`.",
        ),
        Mistake(
            "puts the heads before the batch",
            split_heads_first,
            "`torch.stack` puts its new axis first: (H, B, T, D). The batch comes first: "
            "`torch.stack(..., dim=1)`.",
        ),
        Mistake(
            "cuts the text instead of the tokens",
            split_the_tokens,
            "You cut along the axis of the tokens, so each head gets other tokens. Every head sees "
            "all tokens, and a part of each vector: the last axis.",
        ),
        Mistake(
            "splits nothing",
            lambda x, n_heads: x[:, None].expand(-1, n_heads, -1, -1),
            "Every head gets the whole vector. Each has width // n_heads numbers of its own.",
        ),
    ],
    accepts=[split_by_view, split_by_chunks, split_by_loop, split_by_unflatten],
)


# --- merge_heads ------------------------------------------------------------------------------


def merge_by_flatten(x):
    return x.permute(0, 2, 1, 3).flatten(2)


def merge_by_cat(x):
    return torch.cat(list(x.unbind(dim=1)), dim=-1)


def merge_contiguous(x):
    B, H, T, D = x.shape
    return x.transpose(1, 2).contiguous().view(B, T, H * D)


def merge_by_writing(x):
    B, H, T, D = x.shape
    merged = x.new_zeros(B, T, H * D)
    for head in range(H):
        merged[..., head * D : (head + 1) * D] = x[:, head]
    return merged


def merge_straight(x):
    B, H, T, D = x.shape
    return x.reshape(B, T, H * D)


def merge_by_turns(x):
    B, H, T, D = x.shape
    return x.permute(0, 2, 3, 1).reshape(B, T, H * D)


def merge_into_columns(x):
    B, H, T, D = x.shape
    return x.transpose(2, 3).reshape(B, H * D, T)


def merge_without_contiguous(x):
    B, H, T, D = x.shape
    return x.transpose(1, 2).view(B, T, H * D)


def draw_merges(draw: random.Random) -> list[dict]:
    cases = [{"x": counted(B, H, T, D)} for B, T, H, D in SHAPES]
    for number in range(4):
        B, T, H, D = draw.sample(range(2, 7), 4)
        x = normal(draw, B, T, H, D).transpose(1, 2)
        # What comes out of attention may lie in memory in either order.
        cases.append({"x": x if number % 2 else x.contiguous()})
    return cases


MERGE_HEADS = Exercise(
    answer="minilm.attention:merge_heads",
    lesson=LESSON,
    cases=draw_merges,
    reference=reference_merge,
    reference_name="the merging in transformers' GPT-Neo",
    mistakes=[
        Mistake(
            "merges in the order they lie",
            merge_straight,
            "`reshape(B, T, H·D)` without a transpose puts pieces of several tokens of one head "
            "side by side. The shape is right, and nothing else. Let H and T change places first.",
        ),
        Mistake(
            "merges the numbers by turns",
            merge_by_turns,
            "The heads' numbers are mixed like two halves of a pack of cards. Head 0's D numbers "
            "come first, then head 1's: (B, T, H, D) before the reshape.",
        ),
        Mistake(
            "keeps the heads apart",
            lambda x: x.transpose(1, 2),
            "The shape is (B, T, H, D). The projection that follows wants one vector of H·D "
            "numbers for each token.",
        ),
        Mistake(
            "averages the heads",
            lambda x: x.mean(dim=1),
            "The mean over the heads throws away what each of them found. Put their numbers side "
            "by side.",
        ),
        Mistake(
            "adds the heads",
            lambda x: x.sum(dim=1),
            "The sum over the heads mixes them before the projection could weigh them. Put their "
            "numbers side by side.",
        ),
        Mistake(
            "puts the heads one after the other",
            lambda x: x.flatten(1, 2),
            "The shape is (B, H·T, D): a text that is H times as long. The heads of one token "
            "belong side by side, in the last axis.",
        ),
        Mistake(
            "keeps one head",
            lambda x: x[:, 0],
            "Only the first head is returned. All of them belong to the token's vector.",
        ),
        Mistake(
            "merges without moving the heads",
            lambda x: x.flatten(2),
            "The shape is (B, H, T·D): the tokens have been merged. First let H and T change "
            "places, then flatten the last two axes.",
        ),
        Mistake(
            "turns the tokens into columns",
            merge_into_columns,
            "The shape is (B, H·D, T): tokens run along the last axis. Each token is a row, "
            "(B, T, H·D).",
        ),
        Mistake(
            "moves the numbers instead of the heads",
            lambda x: x.transpose(2, 3).reshape(x.shape[0], x.shape[2], -1),
            "You exchange tokens and numbers, `transpose(2, 3)`; the reshape then cuts across "
            "tokens. Exchange heads and tokens, `transpose(1, 2)`.",
        ),
        Mistake(
            "views what does not lie in a row",
            merge_without_contiguous,
            "After the transpose the numbers of a token no longer lie side by side in memory, and "
            "`view` never moves a number. Use `reshape`, which copies where it must.",
        ),
    ],
    accepts=[merge_by_flatten, merge_by_cat, merge_contiguous, merge_by_writing],
)


# --- repeat_kv --------------------------------------------------------------------------------


def repeat_by_expand(x, n_rep):
    B, H, S, D = x.shape
    return x[:, :, None].expand(B, H, n_rep, S, D).reshape(B, H * n_rep, S, D)


def repeat_by_index(x, n_rep):
    heads = [head // n_rep for head in range(x.shape[1] * n_rep)]
    return x[:, heads]


def repeat_by_stack(x, n_rep):
    return torch.stack([x] * n_rep, dim=2).flatten(1, 2)


def repeat_by_loop(x, n_rep):
    heads = []
    for head in range(x.shape[1]):
        for _ in range(n_rep):
            heads.append(x[:, head])
    return torch.stack(heads, dim=1)


def repeat_into_new_axis(x, n_rep):
    return x.unsqueeze(2).repeat(1, 1, n_rep, 1, 1)


def repeat_up_to(x, n_rep):
    """Take n_rep for the number of query heads."""
    return x.repeat_interleave(max(1, n_rep // x.shape[1]), dim=1)


def draw_repeats(draw: random.Random) -> list[dict]:
    shapes = [
        # B  H  S  D  n
        (1, 1, 1, 2, 1),
        (1, 2, 1, 1, 1),
        (1, 1, 2, 2, 2),
        (1, 2, 1, 2, 2),
        (1, 2, 2, 1, 3),
        (1, 3, 1, 2, 2),
        (1, 2, 3, 2, 2),
        (2, 2, 1, 3, 2),
        (2, 2, 2, 2, 2),
        (2, 3, 4, 5, 2),
    ]
    cases = [{"x": counted(*shape), "n_rep": n} for *shape, n in shapes]
    for _ in range(4):
        B, H, S, D, n = draw.sample(range(2, 8), 5)
        cases.append({"x": normal(draw, B, H, S, D), "n_rep": n})
    return cases


REPEAT_KV = Exercise(
    answer="minilm.attention:repeat_kv",
    lesson=LESSON,
    cases=draw_repeats,
    reference=lambda x, n_rep: of("transformers.models.llama.modeling_llama:repeat_kv")(
        hidden_states=x, n_rep=n_rep
    ),
    reference_name="transformers' repeat_kv",
    mistakes=[
        Mistake(
            "repeats the row of heads as a whole",
            lambda x, n_rep: x.repeat(1, n_rep, 1, 1),
            "With two heads you give 0, 1, 0, 1 (`repeat`, `tile`, `cat`); wanted is 0, 0, 1, 1 "
            "(`repeat_interleave`). The shapes agree, and half the query heads meet a key head "
            "they were not trained with.",
        ),
        Mistake(
            "repeats the batch",
            lambda x, n_rep: x.repeat_interleave(n_rep, dim=0),
            "Axis 0 is the batch: there are more texts now. The heads are axis 1.",
        ),
        Mistake(
            "repeats the tokens",
            lambda x, n_rep: x.repeat_interleave(n_rep, dim=2),
            "Axis 2 is the tokens: every key stands there several times. The heads are axis 1.",
        ),
        Mistake(
            "repeats the text",
            lambda x, n_rep: x.repeat(1, 1, n_rep, 1),
            "The text stands there several times over: axis 2 is the tokens. The heads are axis 1.",
        ),
        Mistake(
            "repeats the numbers",
            lambda x, n_rep: x.repeat_interleave(n_rep, dim=3),
            "The last axis is the numbers of one key; repeating them makes the keys longer than "
            "the queries. The heads are axis 1.",
        ),
        Mistake(
            "repeats every number and loses the shape",
            lambda x, n_rep: x.repeat_interleave(n_rep),
            "Without a `dim`, repeat_interleave lays all numbers in one row first. Say dim=1.",
        ),
        Mistake(
            "keeps the copies on an axis of their own",
            repeat_into_new_axis,
            "The shape has five axes, (B, H_kv, n_rep, S, D). Fold the second and third into one: "
            "H_kv·n_rep heads.",
        ),
        Mistake(
            "adds the copies to the original",
            lambda x, n_rep: x.repeat_interleave(n_rep + 1, dim=1),
            "There is one copy too many: n_rep counts all of them, the original too. With n_rep 1 "
            "nothing changes.",
        ),
        Mistake(
            "takes n_rep for the number of query heads",
            repeat_up_to,
            "You repeat until there are n_rep heads. n_rep says how often each head is repeated; "
            "H_kv·n_rep come out.",
        ),
        Mistake(
            "repeats nothing",
            lambda x, n_rep: x,
            "There are still H_kv heads. Each has to stand there n_rep times, once for every query "
            "head that shares it.",
        ),
    ],
    accepts=[repeat_by_expand, repeat_by_index, repeat_by_stack, repeat_by_loop],
)
