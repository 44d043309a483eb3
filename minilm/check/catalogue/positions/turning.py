"""The exercises rotate_half and apply_rotary_pos_emb, and their known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from minilm.check.drawing import normal
from minilm.check.exercise import Exercise, Mistake
from minilm.check.later import torch

LESSON = "03_positions"


def reference_rotate_half(x):
    from transformers.models.llama.modeling_llama import rotate_half

    return rotate_half(x)


def swapping(pieces: Callable[[Any, Any], list]) -> Callable[..., Any]:
    """Make a rotate_half out of the first half and the second."""

    def rotate_half(x):
        half = x.shape[-1] // 2
        return torch.cat(pieces(x[..., :half], x[..., half:]), dim=-1)

    return rotate_half


quarter_turn = swapping(lambda first, second: [-second, first])


def rotate_neighbours(x):
    return torch.stack([-x[..., 1::2], x[..., 0::2]], dim=-1).reshape(x.shape)


def rotate_unravelled(x):
    return torch.cat([-x[..., 1::2], x[..., 0::2]], dim=-1)


def rotate_stacked(x):
    first, second = x.chunk(2, dim=-1)
    return torch.stack([-second, first], dim=-1)


def rotate_tokens(x):
    first, second = x.chunk(2, dim=0)
    return torch.cat([-second, first], dim=0)


def rotate_and_pile(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first])


def rotate_only_four(x):
    _, _, _, D = x.shape
    return torch.cat([-x[:, :, :, D // 2 :], x[:, :, :, : D // 2]], dim=-1)


def rotate_in_place(x):
    half = x.shape[-1] // 2
    x[..., :half], x[..., half:] = -x[..., half:], x[..., :half].clone()
    return x


def rotate_and_overwrite(x):
    result = x.clone()
    half = x.shape[-1] // 2
    result[..., :half] = -result[..., half:]
    result[..., half:] = result[..., :half]
    return result


def rotate_by_loop(x):
    result, half = torch.empty_like(x), x.shape[-1] // 2
    for i in range(half):
        result[..., i] = -x[..., i + half]
        result[..., i + half] = x[..., i]
    return result


def rotate_by_rolling(x):
    rolled = torch.roll(x, x.shape[-1] // 2, dims=-1)
    signs = torch.ones_like(x)
    signs[..., : x.shape[-1] // 2] = -1
    return rolled * signs


def rotate_by_matrix(x):
    half = x.shape[-1] // 2
    matrix = torch.zeros(2 * half, 2 * half, dtype=x.dtype)
    for i in range(half):
        matrix[i, i + half], matrix[i + half, i] = -1, 1
    return torch.einsum("ij,...j->...i", matrix, x)


def rotate_by_complex(x):
    pairs = torch.complex(*x.chunk(2, dim=-1)) * 1j
    return torch.cat([pairs.real, pairs.imag], dim=-1)


def draw_vectors(draw: random.Random) -> list[dict]:
    shapes = [(1, 2), (3, 6), (5, 8), (3, 4, 10), (2, 3, 5, 4), (3, 2, 7, 8), (1, 4, 2, 6)]
    return [
        {"x": torch.tensor([1.0, 2.0, 3.0, 4.0])},
        {"x": torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])},
        {"x": torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])},
        *({"x": normal(draw, *shape)} for shape in shapes),
        {"x": normal(draw, 2, 1, 3, 8, dtype=torch.float64)},
        {"x": normal(draw, 2, 4, 3, 6).transpose(1, 2)},
    ]


ROTATE_HALF = Exercise(
    answer="minilm.positions.rotary:rotate_half",
    lesson=LESSON,
    cases=draw_vectors,
    reference=reference_rotate_half,
    reference_name="transformers' rotate_half",
    mistakes=[
        Mistake(
            "pairs neighbours",
            rotate_neighbours,
            "You turn (x0, x1), (x2, x3) …: the pairs of Meta's own files. In transformers x_i is "
            "paired with x_(i + D/2), and weights are stored to fit that.",
        ),
        Mistake(
            "takes neighbours apart and joins halves",
            rotate_unravelled,
            "You split into even and odd places, and join them as if they had been halves: no "
            "number meets its partner. Split where you join, in the middle.",
        ),
        Mistake(
            "negates the wrong half",
            swapping(lambda first, second: [second, -first]),
            "(second, -first) turns the other way. A quarter turn sends (x, y) to (-y, x).",
        ),
        Mistake(
            "forgets the minus",
            swapping(lambda first, second: [second, first]),
            "Swapping the halves is a mirror, not a rotation: with it, x cos + y sin changes the "
            "length of the vector.",
        ),
        Mistake(
            "negates both halves",
            swapping(lambda first, second: [-second, -first]),
            "With both signs flipped it is a mirror, not a rotation. Only the second half, which "
            "comes first, is negated.",
        ),
        Mistake(
            "does not swap",
            swapping(lambda first, second: [-first, second]),
            "The halves stay where they are, and one changes its sign. In a rotation each number "
            "goes to its partner's place.",
        ),
        Mistake(
            "negates the half that stays first",
            swapping(lambda first, second: [first, -second]),
            "The halves stay where they are: (x, y) becomes (x, -y), a mirror. A quarter turn "
            "gives (-y, x).",
        ),
        Mistake(
            "turns by a half",
            lambda x: -x,
            "-x is two quarter turns. Turn by one: (x, y) becomes (-y, x).",
        ),
        Mistake(
            "reverses the order",
            lambda x: torch.cat(
                [-x.flip(-1)[..., : x.shape[-1] // 2], x.flip(-1)[..., x.shape[-1] // 2 :]], -1
            ),
            "You run backwards through the dimensions, so x_i meets x_(D-1-i). Its partner is "
            "x_(i + D/2): both halves keep their order.",
        ),
        Mistake(
            "stacks in place of joining",
            rotate_stacked,
            "torch.stack makes a new dimension. Join the halves along the last one, torch.cat.",
        ),
        Mistake(
            "splits the first dimension",
            rotate_tokens,
            "chunk and cat work on dimension 0 unless told otherwise, and here that is the batch. "
            "The pairs lie in the last dimension, dim=-1.",
        ),
        Mistake(
            "joins along the first dimension",
            rotate_and_pile,
            "torch.cat joins along dimension 0 unless told otherwise, so the halves lie one below "
            "the other. Join along the last dimension, dim=-1.",
        ),
        Mistake(
            "expects four dimensions",
            rotate_only_four,
            "x is (..., D): a vector, or (T, D), or (B, H, T, D). The pairs lie in the last "
            "dimension, whatever stands before it: x.shape[-1] and x[..., :half].",
        ),
        Mistake(
            "overwrites what it still needs",
            rotate_and_overwrite,
            "The first half is overwritten before it is copied to the second, so the second half "
            "gets its own numbers back, negated.",
        ),
        Mistake(
            "returns one half",
            swapping(lambda first, second: [-second]),
            "Only the negated second half comes back. The first follows it: D numbers in all.",
        ),
    ],
    accepts=[rotate_by_loop, rotate_by_rolling, rotate_by_matrix, rotate_by_complex],
)


def reference_apply(q, k, cos, sin, unsqueeze_dim=1):
    from transformers.models.gpt_neox.modeling_gpt_neox import apply_rotary_pos_emb

    return apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim)


def turned(x, cos, sin):
    """Turn the first dimensions, as many as cos and sin have."""
    n_turned = cos.shape[-1]
    first, rest = x[..., :n_turned], x[..., n_turned:]
    return torch.cat([first * cos + quarter_turn(first) * sin, rest], dim=-1)


def applying(
    query: Callable[..., Any] = turned, key: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """Make an apply_rotary_pos_emb that turns the query, and the key, in another way."""

    def apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=1):
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        return query(q, cos, sin), (key or query)(k, cos, sin)

    return apply_rotary_pos_emb


def turned_whole(x, cos, sin):
    return x * cos + quarter_turn(x) * sin


def turned_neighbours(x, cos, sin):
    """A true rotation of (x0, x1), (x2, x3) …, each pair by the angle that belongs to it."""
    n_turned = cos.shape[-1]
    first, rest = x[..., :n_turned], x[..., n_turned:]
    half = n_turned // 2
    cos = cos[..., :half].repeat_interleave(2, dim=-1)
    sin = sin[..., :half].repeat_interleave(2, dim=-1)
    return torch.cat([first * cos + rotate_neighbours(first) * sin, rest], dim=-1)


def turned_by(rotate: Callable[[Any], Any]) -> Callable[..., Any]:
    def turned(x, cos, sin):
        n_turned = cos.shape[-1]
        first, rest = x[..., :n_turned], x[..., n_turned:]
        return torch.cat([first * cos + rotate(first) * sin, rest], dim=-1)

    return turned


def turned_at_the_end(x, cos, sin):
    start = x.shape[-1] - cos.shape[-1]
    first, rest = x[..., :start], x[..., start:]
    return torch.cat([first, rest * cos + quarter_turn(rest) * sin], dim=-1)


def turned_without_the_rest(x, cos, sin):
    return turned(x[..., : cos.shape[-1]], cos, sin)


def turned_with_an_empty_rest(x, cos, sin):
    answer = torch.zeros_like(x)
    answer[..., : cos.shape[-1]] = turned_without_the_rest(x, cos, sin)
    return answer


def turned_one_after_the_other(x, cos, sin):
    half = cos.shape[-1] // 2
    cos, sin = cos[..., :half], sin[..., :half]
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    first = first * cos - second * sin
    second = second * cos + first * sin
    return torch.cat([first, second, rest], dim=-1)


def turned_across(x, cos, sin):
    """Pairs over the whole width, though only the first dimensions turn."""
    n_turned = cos.shape[-1]
    first = x[..., :n_turned] * cos + quarter_turn(x)[..., :n_turned] * sin
    return torch.cat([first, x[..., n_turned:]], dim=-1)


def apply_without_unsqueeze(q, k, cos, sin, unsqueeze_dim=1):
    return turned(q, cos, sin), turned(k, cos, sin)


def apply_with_the_querys_partners(q, k, cos, sin, unsqueeze_dim=1):
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    n = cos.shape[-1]
    wrong = k[..., :n] * cos + quarter_turn(q[..., :n]) * sin
    return turned(q, cos, sin), torch.cat([wrong, k[..., n:]], dim=-1)


def apply_to_the_first_row(q, k, cos, sin, unsqueeze_dim=1):
    return applying()(q, k, cos[:1], sin[:1], unsqueeze_dim)


def apply_by_parts(q, k, cos, sin, unsqueeze_dim=1):
    c, s = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    n, half = c.shape[-1], c.shape[-1] // 2

    def turn(x):
        a, b = x[..., :half], x[..., half:n]
        return torch.cat(
            [
                a * c[..., :half] - b * s[..., :half],
                b * c[..., half:] + a * s[..., half:],
                x[..., n:],
            ],
            dim=-1,
        )

    return turn(q), turn(k)


def apply_by_complex(q, k, cos, sin, unsqueeze_dim=1):
    half = cos.shape[-1] // 2
    turns = torch.complex(cos[..., :half], sin[..., :half]).unsqueeze(unsqueeze_dim)

    def turn(x):
        pairs = torch.complex(x[..., :half].contiguous(), x[..., half : 2 * half].contiguous())
        pairs = pairs * turns
        return torch.cat([pairs.real, pairs.imag, x[..., 2 * half :]], dim=-1)

    return turn(q), turn(k)


def apply_by_matrices(q, k, cos, sin, unsqueeze_dim=1):
    """A matrix for every position: cosines on the diagonal, sines beside it."""
    n, half = cos.shape[-1], cos.shape[-1] // 2
    matrices = torch.diag_embed(cos)
    for i in range(half):
        matrices[..., i, i + half] = -sin[..., i]
        matrices[..., i + half, i] = sin[..., i + half]
    equation = "btij,bhtj->bhti" if unsqueeze_dim == 1 else "btij,bthj->bthi"

    def turn(x):
        every = matrices.expand(x.shape[0], -1, -1, -1)
        return torch.cat([torch.einsum(equation, every, x[..., :n]), x[..., n:]], dim=-1)

    return [turn(q), turn(k)]


def draw_queries(draw: random.Random) -> list[dict]:
    # batch, query heads, key heads, tokens, head size, how many turn, rows of cos, unsqueeze_dim
    sizes = [
        (1, 1, 1, 1, 2, 2, 1, 1),
        (1, 1, 1, 2, 4, 4, 1, 1),
        (2, 2, 2, 3, 4, 4, 2, 1),
        (2, 2, 2, 1, 4, 4, 2, 1),
        (3, 3, 3, 2, 6, 6, 3, 1),
        (3, 3, 3, 1, 4, 4, 3, 1),
        (2, 4, 2, 3, 6, 6, 2, 1),
        (2, 3, 1, 5, 8, 8, 1, 1),
        (3, 4, 2, 1, 6, 6, 3, 1),
        (1, 1, 1, 1, 4, 2, 1, 1),
        (1, 1, 1, 1, 6, 4, 1, 1),
        (2, 1, 1, 3, 8, 4, 2, 1),
        (2, 6, 3, 4, 10, 2, 1, 1),
        (1, 2, 1, 2, 2, 2, 1, 2),
        (1, 3, 3, 3, 4, 4, 1, 2),
        (2, 5, 1, 3, 6, 4, 2, 2),
    ]
    cases: list[dict[str, Any]] = []
    for batch, heads, kv_heads, tokens, head_dim, turning, rows, dim in sizes:
        starts = [draw.randint(1, 9) for _ in range(rows)]
        positions = torch.tensor([[start + t for t in range(tokens)] for start in starts])
        frequencies = torch.tensor([0.7 / 3**i for i in range(turning // 2)])
        angles = (positions[..., None] * frequencies).repeat(1, 1, 2)
        q = normal(draw, batch, heads, tokens, head_dim)
        k = normal(draw, batch, kv_heads, tokens, head_dim)
        if dim == 2:
            q, k = q.transpose(1, 2), k.transpose(1, 2)
        # Few digits, so that a small case can be read.
        cos, sin = (wave.round(decimals=2) for wave in (angles.cos(), angles.sin()))
        case = {"q": q, "k": k, "cos": cos, "sin": sin}
        cases.append(case | ({"unsqueeze_dim": 2} if dim == 2 else {}))
    return cases


APPLY_ROTARY_POS_EMB = Exercise(
    answer="minilm.positions.rotary:apply_rotary_pos_emb",
    lesson=LESSON,
    cases=draw_queries,
    reference=reference_apply,
    reference_name="GPT-NeoX's apply_rotary_pos_emb, which is Llama's where all dimensions turn",
    mistakes=[
        Mistake(
            "turns the query alone",
            applying(key=lambda x, cos, sin: x),
            "The keys stay as they were, so the score depends on where the query stands and not "
            "on the distance. Turn both.",
        ),
        Mistake(
            "turns the key alone",
            applying(query=lambda x, cos, sin: x, key=turned),
            "The queries stay as they were, so the score depends on where the key stands and not "
            "on the distance. Turn both.",
        ),
        Mistake(
            "turns the key with the query's partners",
            apply_with_the_querys_partners,
            "In the line of the key, what goes with the sine is rotate_half of the query (or the "
            "other way round). Each vector is turned with its own partners.",
        ),
        Mistake(
            "turns query and key against each other",
            applying(key=lambda x, cos, sin: turned(x, cos, -sin)),
            "One turns forwards, the other backwards: the score now depends on the sum of the two "
            "positions. Both turn the same way, and their difference is left.",
        ),
        Mistake(
            "swaps cos and sin",
            applying(lambda x, cos, sin: turned(x, sin, cos)),
            "x goes with cos, and its quarter turn with sin: at position 0, where sin is 0, a "
            "vector must come back as it was.",
        ),
        Mistake(
            "turns backwards",
            applying(lambda x, cos, sin: turned(x, cos, -sin)),
            "With the minus it turns by -angle. Scores of a model by itself stay the same if both "
            "do it, but a distance of +3 is now what its weights learned as -3.",
        ),
        Mistake(
            "pairs neighbours",
            applying(turned_neighbours),
            "A true rotation, of (x0, x1), (x2, x3) … A checkpoint of transformers expects x_i "
            "with x_(i + D/2): shapes and loss look fine, and the text goes wrong.",
        ),
        Mistake(
            "pairs neighbours, with the angles of the halves",
            applying(turned_by(rotate_neighbours)),
            "Your quarter turn pairs (x0, x1), but cos and sin hold the angles for x_i and "
            "x_(i + D/2). The two numbers of a pair turn by different angles: no rotation.",
        ),
        Mistake(
            "mirrors in place of turning",
            applying(turned_by(swapping(lambda first, second: [second, first]))),
            "The halves are swapped without a minus, so the vector changes its length. Use "
            "rotate_half.",
        ),
        Mistake(
            "leaves out the quarter turn",
            applying(turned_by(lambda x: x)),
            "x cos + x sin only makes the numbers larger and smaller. The sine goes with "
            "rotate_half(x).",
        ),
        Mistake(
            "turns the second with the turned first",
            applying(turned_one_after_the_other),
            "When the second half is computed, the first has been overwritten already. Both need "
            "the old numbers.",
        ),
        Mistake(
            "does not make room for the heads",
            apply_without_unsqueeze,
            "cos is (B, T, R) and q is (B, H, T, D): without unsqueeze, broadcasting lays the "
            "batch over the heads. It fails, or where B equals H, it is silently wrong.",
        ),
        Mistake(
            "ignores unsqueeze_dim",
            lambda q, k, cos, sin, unsqueeze_dim=1: applying()(q, k, cos, sin),
            "You always put the heads at dimension 1. With unsqueeze_dim=2, q is (B, T, H, D), "
            "and where T equals H each head would get another token's angle.",
        ),
        Mistake(
            "makes room behind the tokens",
            lambda q, k, cos, sin, unsqueeze_dim=1: applying()(q, k, cos, sin, 2),
            "unsqueeze(2) gives (B, T, 1, R), which fits q of (B, T, H, D). For (B, H, T, D) it "
            "lays tokens over heads: use unsqueeze_dim, which is 1 unless given.",
        ),
        Mistake(
            "takes the first row's angles",
            apply_to_the_first_row,
            "Every row of the batch is turned by the positions of the first. In a padded batch "
            "each has its own.",
        ),
        Mistake(
            "cannot leave a rest",
            applying(turned_whole),
            "That is right for Llama, where all D dimensions turn. cos may have fewer, R (GPT-NeoX, "
            "Phi): then the first R turn and the others pass through.",
        ),
        Mistake(
            "drops the rest",
            applying(turned_without_the_rest),
            "You return the R dimensions that turn. The others pass through unchanged: join them "
            "on again.",
        ),
        Mistake(
            "empties the rest",
            applying(turned_with_an_empty_rest),
            "Behind the R dimensions that turn you leave zeros. The others pass through unchanged.",
        ),
        Mistake(
            "turns the last dimensions",
            applying(turned_at_the_end),
            "Where cos is narrower than q, you turn the last R dimensions. It is the first R.",
        ),
        Mistake(
            "pairs across the rest",
            applying(turned_across),
            "You halve all D dimensions, so x_0 is paired with x_(D/2). Cut off the first R, and "
            "halve those.",
        ),
        Mistake(
            "returns the key first",
            lambda q, k, cos, sin, unsqueeze_dim=1: applying()(k, q, cos, sin, unsqueeze_dim),
            "The two are swapped on the way out. The query comes first, as it came in.",
        ),
        Mistake(
            "turns twice",
            applying(lambda x, cos, sin: turned(turned(x, cos, sin), cos, sin)),
            "Each vector is turned by twice its angle, so every distance counts double.",
        ),
    ],
    accepts=[apply_by_parts, apply_by_complex, apply_by_matrices],
)
