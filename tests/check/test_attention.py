"""Lesson 05's catalogue: its references, and answers that are in no list."""

from __future__ import annotations

import inspect
import math
import textwrap

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minilm import attention, cache
from minilm.check import catalogue, installing, judging, messages
from minilm.check.catalogue.attention.by_transformers import (
    eager,
    scores_of_eager,
    weights_of_eager,
)
from minilm.check.catalogue.attention.caches import (
    reference_bytes,
    reference_window,
    reference_writing,
)
from minilm.check.catalogue.attention.decoding import reference_cached
from minilm.check.catalogue.attention.heads import reference_merge, reference_split
from minilm.check.keeping import loaded
from minilm.check.parameters import fit
from minilm.positions import rotary

EXERCISES = catalogue.all_exercises()
NAMES = [name for name, exercise in EXERCISES.items() if exercise.lesson == "05_attention"]


def answer_of(source):
    """A function from its source text, as a reader would type it in a cell that has the imports."""
    imports = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\n"
    imports += "from minilm.attention import attention_scores, masked_softmax, repeat_kv\n"
    imports += "from minilm import attention, cache, masks\nfrom minilm.positions import rotary\n"
    imports += "from minilm.errors import OutOfRange\n\n"
    source = textwrap.dedent(source)
    name = source.strip().removeprefix("def ").partition("(")[0]
    return name, loaded(imports + source, "<cell>")[name]


def verdict(source):
    name, answer = answer_of(source)
    exercise = EXERCISES[name]
    fitting, _ = fit(answer, installing.own(exercise))
    return judging.judge(exercise, fitting, in_place=True), answer


def named(source):
    found, answer = verdict(source)
    assert not found.right
    assert found.mistake is not None, messages.wrong(found, answer)
    return found.mistake.name


# --- the references say what they claim --------------------------------------------------------


def test_the_lesson_has_its_exercises_in_order():
    assert NAMES == [
        "attention_scores",
        "masked_softmax",
        "eager_attention",
        "split_heads",
        "merge_heads",
        "repeat_kv",
        "cache_bytes",
        "write_in_place",
        "keep_window",
        "cached_attention",
    ]


def test_the_scores_that_the_softmax_is_given_are_the_scaled_products():
    query, key = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 6, 5)
    products = torch.einsum("bhtd,bhsd->bhts", query, key)
    assert torch.allclose(scores_of_eager(query, key), products / 5**0.5, atol=1e-6)
    assert torch.allclose(scores_of_eager(query, key, 2.0), products * 2, atol=1e-6)


def test_eager_weights_can_be_asked_for_scores_of_ones_choice():
    scores = torch.randn(2, 3, 4, 5)
    assert torch.allclose(weights_of_eager(scores), scores.softmax(-1), atol=1e-6)
    mask = torch.tensor([[True, False, True, True, False]])
    weights = weights_of_eager(scores * 1e4, mask)
    assert (weights[..., [1, 4]] == 0).all()
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3, 4))


def test_a_row_that_may_look_nowhere_gets_zeros_from_the_reference():
    x = torch.randn(1, 2, 3, 4)
    output, weights = eager(x, x, x, torch.tensor([[True] * 3, [False] * 3, [True] * 3]))
    assert (output[:, :, 1] == 0).all()
    assert (weights[:, :, 1] == 0).all()
    assert torch.allclose(weights[:, :, [0, 2]].sum(-1), torch.ones(1, 2, 2))


def test_eager_and_sdpa_of_torch_agree():
    query, key, value = torch.randn(2, 4, 3, 6), torch.randn(2, 2, 5, 6), torch.randn(2, 2, 5, 6)
    mask = torch.rand(2, 1, 3, 5) < 0.6
    fused = F.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)
    assert torch.allclose(eager(query, key, value, mask)[0], fused, atol=1e-6)


def test_splitting_gives_each_head_a_run_of_numbers_and_merging_undoes_it():
    x = torch.arange(12.0).reshape(1, 2, 6)
    split = reference_split(x, 3)
    assert split[0, :, 1].tolist() == [[6, 7], [8, 9], [10, 11]]
    assert torch.equal(reference_merge(split), x)


def test_the_bytes_of_a_real_cache_are_counted():
    assert reference_bytes(2, 3, 4, 5, 6) == 2 * 2 * 3 * 4 * 5 * 6 * 4
    assert reference_bytes(32, 8, 8, 4096, 128, 2) == 2**32
    assert reference_bytes(1, 1, 1, 1, 1, 1) == 2


def test_a_static_layer_writes_behind_what_is_there():
    buffer, new = torch.zeros(1, 1, 4, 1), torch.ones(1, 1, 2, 1)
    answer = reference_writing(buffer, new, 1)
    assert answer["returned"].flatten().tolist() == [0, 1, 1]
    assert answer["buffer afterwards"].flatten().tolist() == [0, 1, 1, 0]
    assert isinstance(reference_writing(buffer, new, 3), judging.Raises)


@pytest.mark.parametrize("window", [1, 2, 5])
def test_a_sliding_layer_keeps_one_less_than_the_window_also_where_that_is_none(window):
    past, new = torch.zeros(1, 1, window - 1, 2), torch.ones(1, 1, 3, 2)
    to_attend, to_keep = reference_window(past, new, window)
    assert to_attend.shape[2] == window + 2
    assert to_keep.shape[2] == window - 1


def test_step_by_step_the_reference_gives_what_it_gives_at_once():
    torch.manual_seed(0)
    query, key, value = torch.randn(1, 4, 5, 6), torch.randn(1, 2, 5, 6), torch.randn(1, 2, 5, 6)
    cos_sin = rotary.rotary_cos_sin(torch.arange(5)[None], rotary.rotary_frequencies(6))
    whole = reference_cached(query, key, value, "any", cos_sin=cos_sin)
    held = {}
    for step in range(5):
        one = slice(step, step + 1)
        angles = tuple(x[:, one] for x in cos_sin)
        now = reference_cached(
            query[:, :, one], key[:, :, one], value[:, :, one], "any", cos_sin=angles, **held
        )
        held = {"held_keys": now["keys in the cache"], "held_values": now["values in the cache"]}
        assert torch.allclose(now["mixed values"], whole["mixed values"][:, :, one], atol=1e-6)
    assert torch.allclose(held["held_keys"], whole["keys in the cache"], atol=1e-6)
    assert not torch.allclose(held["held_keys"], key, atol=0.1)
    assert torch.equal(held["held_values"], value)


@pytest.mark.parametrize("name", NAMES)
def test_the_cases_have_sizes_that_tell_axes_apart(name):
    """Somewhere in the cases every axis has a length of its own, and somewhere it is 1 or 2."""
    shapes = [
        value.shape
        for case in EXERCISES[name].draw_cases()
        for value in case.values()
        if isinstance(value, torch.Tensor)
    ]
    assert name == "cache_bytes" or any(len(set(shape)) == len(shape) > 2 for shape in shapes)
    assert name == "cache_bytes" or any(max(shape) <= 2 for shape in shapes)


def test_the_cases_of_the_softmax_hold_what_finite_infinities_are_beaten_by():
    cases = EXERCISES["masked_softmax"].draw_cases()
    assert any(case["scores"].min() <= -1e4 for case in cases)
    assert any(case["scores"].max() >= 1e4 for case in cases)
    empty = [not case["may_attend"].any(-1).all() for case in cases if "may_attend" in case]
    assert any(empty)
    assert not all(empty)
    assert {case["scores"].dtype for case in cases} >= {torch.bfloat16, torch.float64}


@pytest.mark.parametrize("name", NAMES)
def test_a_check_takes_no_long_time(name):
    """In processor time and with room for a slow machine: a second is long after every exercise."""
    import time

    exercise = EXERCISES[name]
    judging.expected_of(exercise)
    started = time.process_time()
    judging.judge(exercise, installing.own(exercise))
    assert time.process_time() - started < exercise.time_limit / 2


# --- right answers that are in no list ---------------------------------------------------------

RIGHT = [
    """
    def attention_scores(query, key, scale=None):
        d_k = query.size(-1)
        scores = torch.matmul(query, key.transpose(-1, -2))
        return scores / math.sqrt(d_k) if scale is None else scores * scale
    """,
    """
    def attention_scores(q, k, scale=None):
        if scale is None:
            scale = q.shape[3] ** (-1 / 2)
        B, H, T, D = q.shape
        flat = torch.bmm(q.reshape(B * H, T, D), k.reshape(B * H, -1, D).mT)
        return flat.mul(scale).view(B, H, T, -1)
    """,
    """
    def attention_scores(query, key, scale=None):
        out = query.new_empty(*query.shape[:-1], key.shape[-2])
        for b in range(query.shape[0]):
            for h in range(query.shape[1]):
                out[b, h] = query[b, h] @ key[b, h].T
        return out * (scale or query.shape[-1] ** -0.5)
    """,
    """
    def attention_scores(query, key, scale=None):
        root = math.sqrt(query.shape[-1] ** -0.5 if scale is None else scale)
        return (query * root) @ (key * root).transpose(2, 3)
    """,
    """
    def attention_scores(query, key, scale=None):
        return torch.tensordot(query, key, dims=([3], [3])).diagonal(dim1=0, dim2=3).diagonal(
            dim1=0, dim2=2).permute(2, 3, 0, 1) * (query.size(-1) ** -.5 if scale is None else scale)
    """,
    """
    def masked_softmax(scores, may_attend=None):
        if may_attend is not None:
            hidden = ~may_attend
            scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
        weights = F.softmax(scores, dim=-1, dtype=torch.float64).to(scores.dtype)
        if may_attend is not None:
            weights = weights.masked_fill(hidden, 0.0)
        return weights
    """,
    """
    def masked_softmax(scores, may_attend=None):
        if may_attend is None:
            return torch.softmax(scores, -1)
        any_key = may_attend.any(dim=-1, keepdim=True)
        scores = torch.where(may_attend | ~any_key, scores, -torch.inf)
        return torch.softmax(scores, -1) * any_key
    """,
    """
    def masked_softmax(scores, may_attend=None):
        x = scores.float()
        if may_attend is not None:
            x = x + masks.mask_to_scores(may_attend | ~may_attend.any(-1, keepdim=True))
        x = x - x.max(dim=-1, keepdim=True).values
        e = torch.exp(x)
        w = e / e.sum(-1, keepdim=True)
        if may_attend is not None:
            w = torch.where(may_attend, w, torch.zeros_like(w))
        return w.type_as(scores)
    """,
    """
    def masked_softmax(scores, may_attend=None):
        if may_attend is None:
            return scores.softmax(-1)
        masked = scores.masked_fill(may_attend.logical_not(), float("-inf"))
        return torch.nan_to_num(masked.softmax(-1))
    """,
    """
    def masked_softmax(scores, may_attend=None):
        if may_attend is None:
            may_attend = torch.ones(scores.shape[-1], dtype=torch.bool)
        masked = scores.masked_fill(~may_attend, -math.inf)
        logs = masked - masked.logsumexp(-1, keepdim=True)
        return logs.exp().masked_fill(~may_attend, 0.0)
    """,
    """
    def eager_attention(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
        groups = query.size(1) // key.size(1)
        keys, values = repeat_kv(key, groups), repeat_kv(value, groups)
        scores = attention_scores(query, keys, scale)
        scores = scores if bias is None else bias + scores
        weights = masked_softmax(scores, may_attend)
        weights = nn.Dropout(dropout)(weights)
        return torch.matmul(weights, values), weights
    """,
    """
    def eager_attention(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
        heads = query.shape[1]
        key = torch.stack([key[:, h * key.shape[1] // heads] for h in range(heads)], 1)
        value = torch.stack([value[:, h * value.shape[1] // heads] for h in range(heads)], 1)
        scores = attention_scores(query, key, scale)
        if bias is not None:
            scores = scores + bias
        weights = masked_softmax(scores, may_attend)
        if dropout > 0:
            keep = torch.bernoulli(torch.full_like(weights, 1 - dropout))
            weights = weights * keep / (1 - dropout)
        output = (weights[..., None] * value[:, :, None]).sum(-2)
        return [output, weights]
    """,
    """
    def split_heads(x, n_heads):
        return x.reshape(*x.shape[:2], n_heads, -1).movedim(2, 1)
    """,
    """
    def split_heads(x, n_heads):
        d = x.shape[-1] // n_heads
        return torch.stack(torch.split(x, d, dim=-1), dim=1)
    """,
    """
    def split_heads(x, n_heads):
        out = torch.empty(x.shape[0], n_heads, x.shape[1], x.shape[2] // n_heads, dtype=x.dtype)
        for t in range(x.shape[1]):
            out[:, :, t] = x[:, t].reshape(x.shape[0], n_heads, -1)
        return out
    """,
    """
    def merge_heads(x):
        return torch.cat([x[:, h] for h in range(x.shape[1])], dim=2)
    """,
    """
    def merge_heads(x):
        B, H, T, D = x.size()
        return x.swapaxes(1, 2).reshape(B, T, -1)
    """,
    """
    def merge_heads(x):
        return torch.einsum("bhtd->bthd", x).flatten(start_dim=-2)
    """,
    """
    def repeat_kv(x, n_rep):
        return torch.repeat_interleave(x, repeats=n_rep, dim=1)
    """,
    """
    def repeat_kv(x, n_rep):
        return torch.cat([x[:, h:h + 1].expand(-1, n_rep, -1, -1) for h in range(x.size(1))], 1)
    """,
    """
    def repeat_kv(x, n_rep):
        if n_rep == 1:
            return x
        return torch.kron(x.movedim(1, 0).reshape(x.shape[1], -1), torch.ones(n_rep, 1)).reshape(
            -1, x.shape[0], *x.shape[2:]).movedim(0, 1)
    """,
    """
    def cache_bytes(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=4):
        keys = values = batch_size * n_kv_heads * length * head_dim
        return n_layers * (keys + values) * bytes_per_number
    """,
    """
    def cache_bytes(layers, batch, heads, tokens, dim, size=4):
        return math.prod([2, layers, batch, heads, tokens, dim, size])
    """,
    """
    def write_in_place(buffer, new, length):
        end = length + new.shape[2]
        if not end <= buffer.shape[2]:
            raise OutOfRange(f"{end} tokens, and room for {buffer.shape[2]}")
        buffer[..., length:end, :] = new
        return buffer[..., :end, :]
    """,
    """
    def write_in_place(buffer, new, length):
        filled = buffer[:, :, :length + new.shape[2]]
        if filled.shape[2] < length + new.shape[2]:
            raise ValueError("no room")
        filled[:, :, length:] = new
        return filled
    """,
    """
    def write_in_place(buffer, new, length):
        where = torch.arange(length, length + new.size(-2))
        if where[-1] >= buffer.size(-2):
            raise IndexError("out of room")
        buffer[:, :, where] = new
        return torch.narrow(buffer, 2, 0, length + new.size(-2))
    """,
    """
    def keep_window(past, new, window):
        if past is not None:
            new = torch.cat([past, new], dim=2)
        if window == 1:
            return new, new[:, :, :0]
        return new, new[:, :, -(window - 1):]
    """,
    """
    def keep_window(past, new, window):
        to_attend = torch.concat([past, new], -2) if past is not None else new
        length = to_attend.size(2)
        return to_attend, to_attend[:, :, length - min(length, window - 1):]
    """,
    """
    def keep_window(past, new, window):
        past = new[:, :, :0] if past is None else past
        both = torch.cat((past, new), 2)
        kept = both
        while kept.shape[2] > window - 1:
            kept = kept[:, :, 1:]
        return both, kept
    """,
    """
    def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                         is_causal=True, **options):
        if cos_sin is not None:
            cos, sin = cos_sin
            query, key = rotary.apply_rotary_pos_emb(query, key, cos, sin)
        if layer is not None:
            key, value = layer.update(key, value)
        return attention.attention(query, key, value, may_attend=may_attend,
                                   is_causal=is_causal, **options)
    """,
    """
    def cached_attention(q, k, v, layer=None, cos_sin=None, may_attend=None, is_causal=True, **rest):
        if cos_sin:
            cos, sin = cos_sin[0].unsqueeze(1), cos_sin[1].unsqueeze(1)
            q = q * cos + rotary.rotate_half(q) * sin
            k = k * cos + rotary.rotate_half(k) * sin
        k, v = layer.update(k, v) if layer else (k, v)
        if is_causal:
            causal = masks.causal_mask(q.shape[2], k.shape[2])
            may_attend = causal if may_attend is None else may_attend & causal
        rest.pop("output_attentions", None)
        return attention.eager_attention(q, k, v, may_attend, **rest)
    """,
]


@pytest.mark.parametrize("source", RIGHT)
def test_a_right_answer_passes_whatever_its_way(source):
    found, answer = verdict(source)
    assert found.right, messages.wrong(found, answer)


# --- wrong answers that are in no list, each named by what it does -----------------------------

WRONG = [
    (
        "divides by 2·D",
        """
        def attention_scores(query, key, scale=None):
            d = query.shape[-1]
            if scale is None:
                scale = 1 / d ** 1 / 2
            return query @ key.transpose(-2, -1) * scale
        """,
    ),
    (
        "scales only when told to",
        """
        def attention_scores(query, key, scale=1.0):
            return query @ key.transpose(-2, -1) * scale
        """,
    ),
    (
        "hides what may be seen, and gets NaN",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is not None:
                scores = torch.where(may_attend, float("-inf"), scores)
            return scores.softmax(-1)
        """,
    ),
    (
        "hides what may be seen with a large negative number",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is not None:
                scores = scores.masked_fill(may_attend == 1, -1e9)
            return scores.softmax(-1)
        """,
    ),
    (
        "multiplies minus infinity by 0",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is not None:
                scores = scores + (1 - may_attend.float()) * float("-inf")
            return scores.softmax(-1)
        """,
    ),
    (
        "repeats nothing",
        """
        def eager_attention(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
            scores = attention_scores(query, key, scale)
            if bias is not None:
                scores = scores + bias
            weights = F.dropout(masked_softmax(scores, may_attend), dropout)
            return weights @ value, weights
        """,
    ),
    (
        "hides what may be seen",
        """
        def eager_attention(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
            n = query.shape[1] // key.shape[1]
            key, value = repeat_kv(key, n), repeat_kv(value, n)
            scores = attention_scores(query, key, scale) + (0.0 if bias is None else bias)
            weights = masked_softmax(scores, None if may_attend is None else ~may_attend)
            weights = F.dropout(weights, dropout)
            return weights @ value, weights
        """,
    ),
    (
        "fills all that is free",
        """
        def write_in_place(buffer, new, length):
            if length + new.shape[2] > buffer.shape[2]:
                raise OutOfRange("full")
            buffer[:, :, length:] = new
            return buffer[:, :, :length + new.shape[2]]
        """,
    ),
    (
        "drops one key whatever the length",
        """
        def keep_window(past, new, window):
            x = torch.cat([past, new], dim=2) if past is not None else new
            return x, x[:, :, 1:]
        """,
    ),
    (
        "joins the heads",
        """
        def keep_window(past, new, window):
            x = torch.cat([past, new], dim=1) if past is not None else new
            return x, x[:, :, max(0, x.shape[2] - window + 1):]
        """,
    ),
    (
        "reads the layer instead of what it gives back",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            if cos_sin is not None:
                query, key = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
            if layer is not None:
                layer.update(key, value)
                key, value = layer.keys, layer.values
            return attention.attention(query, key, value, may_attend, is_causal=is_causal, **options)
        """,
    ),
    (
        "turns the keys twice",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            def turn(x):
                return rotary.apply_rotary_pos_emb(x, x, *cos_sin)[0] if cos_sin else x
            if layer is not None:
                key, value = layer.update(turn(key), value)
            else:
                key = turn(key)
            query, key = turn(query), turn(key)
            return attention.attention(query, key, value, may_attend, is_causal=is_causal, **options)
        """,
    ),
    (
        "does not work without angles",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            query, key = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
            if layer is not None:
                key, value = layer.update(key, value)
            return attention.attention(query, key, value, may_attend, is_causal=is_causal, **options)
        """,
    ),
    (
        "never scales",
        """
        def attention_scores(query, key, scale=None):
            return torch.einsum("bhtd,bhsd->bhts", query, key)
        """,
    ),
    (
        "divides by D",
        """
        def attention_scores(query, key, scale=None):
            if scale is not None:
                return query @ key.mT * scale
            d = query.shape[-1] ** 0.5
            return (query / d) @ (key / d).mT
        """,
    ),
    (
        "divides by the scale",
        """
        def attention_scores(query, key, scale=None):
            scale = scale or math.sqrt(query.size(-1))
            return torch.matmul(query, key.transpose(-1, -2)) / scale
        """,
    ),
    (
        "multiplies by √D",
        """
        def attention_scores(query, key, scale=None):
            scale = query.shape[-1] ** 0.5 if scale is None else scale
            return query @ key.transpose(2, 3) * scale
        """,
    ),
    (
        "divides by the root of the model's width",
        """
        def attention_scores(query, key, scale=None):
            B, H, T, D = query.shape
            if scale is None:
                scale = 1 / math.sqrt(H * D)
            return query @ key.transpose(2, 3) * scale
        """,
    ),
    (
        "takes the number of queries for D",
        """
        def attention_scores(query, key, scale=None):
            d = query.size(2)
            return query @ key.transpose(2, 3) * (d ** -0.5 if scale is None else scale)
        """,
    ),
    (
        "lets the keys ask",
        """
        def attention_scores(query, key, scale=None):
            scale = query.shape[-1] ** -0.5 if scale is None else scale
            return (query @ key.mT * scale).mT
        """,
    ),
    (
        "does not transpose the keys",
        """
        def attention_scores(query, key, scale=None):
            if scale is None:
                scale = 1 / math.sqrt(query.shape[-1])
            return query @ key * scale
        """,
    ),
    (
        "goes on to the softmax",
        """
        def attention_scores(query, key, scale=None):
            if scale is None:
                scale = query.shape[-1] ** -0.5
            return F.softmax(query @ key.mT * scale, dim=-1)
        """,
    ),
    (
        "sums to 1 over the queries",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is not None:
                scores = scores.masked_fill(~may_attend, float("-inf"))
            weights = torch.softmax(scores, dim=2)
            return weights if may_attend is None else weights.masked_fill(~may_attend, 0)
        """,
    ),
    (
        "sums to 1 over the heads",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is not None:
                scores = scores.masked_fill(~may_attend, float("-inf"))
            weights = F.softmax(scores)
            return weights if may_attend is None else weights.masked_fill(~may_attend, 0)
        """,
    ),
    (
        "looks everywhere where it may look nowhere",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is not None:
                scores = torch.where(may_attend, scores, torch.finfo(scores.dtype).min)
            return scores.softmax(-1)
        """,
    ),
    (
        "adds a large negative number",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is not None:
                scores = scores + (1.0 - may_attend.to(scores.dtype)) * -1e9
            return scores.softmax(-1)
        """,
    ),
    (
        "gives NaN where it may look nowhere",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is not None:
                scores = torch.where(may_attend, scores, -math.inf)
            return torch.softmax(scores, dim=-1)
        """,
    ),
    (
        "repairs the weights but not the gradients",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is None:
                return scores.softmax(-1)
            scores = scores + masks.mask_to_scores(may_attend, scores.dtype)
            weights = scores.softmax(-1)
            return weights.masked_fill(~may_attend.any(-1, keepdim=True), 0.0)
        """,
    ),
    (
        "hides what may be seen",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is None:
                return scores.softmax(-1)
            weights = scores.masked_fill(may_attend, -1e30).softmax(-1)
            return weights.masked_fill(may_attend, 0.0)
        """,
    ),
    (
        "hides after the softmax",
        """
        def masked_softmax(scores, may_attend=None):
            weights = torch.softmax(scores, dim=-1)
            return weights if may_attend is None else weights.masked_fill(~may_attend, 0.0)
        """,
    ),
    (
        "multiplies the scores by the mask",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is not None:
                scores = scores.masked_fill(~may_attend, 0.0)
            return torch.softmax(scores, dim=-1)
        """,
    ),
    (
        "overflows",
        """
        def masked_softmax(scores, may_attend=None):
            e = torch.exp(scores)
            if may_attend is not None:
                e = torch.where(may_attend, e, 0.0)
            total = e.sum(-1, keepdim=True)
            return torch.where(total == 0, 0.0, e / total.masked_fill(total == 0, 1.0))
        """,
    ),
    (
        "changes the dtype",
        """
        def masked_softmax(scores, may_attend=None):
            scores = scores.to(torch.float32)
            if may_attend is not None:
                scores = scores.masked_fill(~may_attend, torch.finfo(torch.float32).min)
            weights = scores.softmax(-1)
            return weights if may_attend is None else weights * may_attend
        """,
    ),
    (
        "does not work without a mask",
        """
        def masked_softmax(scores, may_attend=None):
            scores = scores.masked_fill(~may_attend, float("-inf"))
            return scores.softmax(-1).nan_to_num(0.0)
        """,
    ),
    (
        "scales the bias",
        """
        def eager_attention(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
            n = query.shape[1] // key.shape[1]
            key, value = repeat_kv(key, n), repeat_kv(value, n)
            scores = attention_scores(query, key, scale=1.0)
            if bias is not None:
                scores = scores + bias
            scores = scores * (query.shape[-1] ** -0.5 if scale is None else scale)
            weights = F.dropout(masked_softmax(scores, may_attend), dropout)
            return weights @ value, weights
        """,
    ),
    (
        "repeats the row of heads as a whole",
        """
        def eager_attention(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
            n = query.shape[1] // key.shape[1]
            key, value = torch.cat([key] * n, dim=1), torch.cat([value] * n, dim=1)
            scores = attention_scores(query, key, scale)
            if bias is not None:
                scores = scores + bias
            weights = F.dropout(masked_softmax(scores, may_attend), dropout)
            return weights @ value, weights
        """,
    ),
    (
        "puts the tokens before the heads",
        """
        def eager_attention(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
            n = query.shape[1] // key.shape[1]
            key, value = repeat_kv(key, n), repeat_kv(value, n)
            scores = attention_scores(query, key, scale)
            if bias is not None:
                scores = scores + bias
            weights = F.dropout(masked_softmax(scores, may_attend), dropout)
            return (weights @ value).transpose(1, 2), weights
        """,
    ),
    (
        "ignores the scale it is given",
        """
        def eager_attention(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
            n = query.shape[1] // key.shape[1]
            key, value = repeat_kv(key, n), repeat_kv(value, n)
            scores = attention_scores(query, key)
            if bias is not None:
                scores = scores + bias
            weights = F.dropout(masked_softmax(scores, may_attend), dropout)
            return weights @ value, weights
        """,
    ),
    (
        "forgets the bias",
        """
        def eager_attention(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
            n = query.shape[1] // key.shape[1]
            key, value = repeat_kv(key, n), repeat_kv(value, n)
            weights = masked_softmax(attention_scores(query, key, scale), may_attend)
            weights = F.dropout(weights, dropout)
            return weights @ value, weights
        """,
    ),
    (
        "leaves out nothing",
        """
        def eager_attention(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
            n = query.shape[1] // key.shape[1]
            key, value = repeat_kv(key, n), repeat_kv(value, n)
            scores = attention_scores(query, key, scale) + (0.0 if bias is None else bias)
            weights = F.dropout(masked_softmax(scores, may_attend), dropout, training=False)
            return weights @ value, weights
        """,
    ),
    (
        "deals the numbers out in the order they lie",
        """
        def split_heads(x, n_heads):
            B, T, C = x.size()
            return x.view(B, n_heads, T, C // n_heads)
        """,
    ),
    (
        "leaves the heads behind the tokens",
        """
        def split_heads(x, n_heads):
            return x.unflatten(-1, (n_heads, x.shape[-1] // n_heads))
        """,
    ),
    (
        "takes the number of heads for their size",
        """
        def split_heads(x, n_heads):
            return torch.stack(x.split(n_heads, dim=-1), dim=1)
        """,
    ),
    (
        "deals the numbers out by turns",
        """
        def split_heads(x, n_heads):
            return torch.stack([x[..., h::n_heads] for h in range(n_heads)], dim=1)
        """,
    ),
    (
        "turns the tokens into columns",
        """
        def split_heads(x, n_heads):
            B, T, C = x.shape
            return x.transpose(1, 2).reshape(B, n_heads, C // n_heads, T)
        """,
    ),
    (
        "merges in the order they lie",
        """
        def merge_heads(x):
            B, H, T, D = x.shape
            return x.contiguous().view(B, T, H * D)
        """,
    ),
    (
        "merges the numbers by turns",
        """
        def merge_heads(x):
            return torch.stack(x.unbind(1), dim=-1).flatten(2)
        """,
    ),
    (
        "views what does not lie in a row",
        """
        def merge_heads(x):
            B, H, T, D = x.shape
            return x.permute(0, 2, 1, 3).view(B, T, -1)
        """,
    ),
    (
        "puts the heads one after the other",
        """
        def merge_heads(x):
            B, H, T, D = x.shape
            return x.reshape(B, H * T, D)
        """,
    ),
    (
        "repeats the row of heads as a whole",
        """
        def repeat_kv(x, n_rep):
            return torch.cat([x] * n_rep, dim=1)
        """,
    ),
    (
        "repeats the row of heads as a whole",
        """
        def repeat_kv(x, n_rep):
            B, H, S, D = x.shape
            return x[:, None].expand(B, n_rep, H, S, D).reshape(B, n_rep * H, S, D)
        """,
    ),
    (
        "repeats the tokens",
        """
        def repeat_kv(x, n_rep):
            return torch.repeat_interleave(x, n_rep, -2)
        """,
    ),
    (
        "keeps the copies on an axis of their own",
        """
        def repeat_kv(x, n_rep):
            return torch.stack([x] * n_rep, dim=2)
        """,
    ),
    (
        "forgets the values",
        """
        def cache_bytes(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=4):
            per_layer = batch_size * n_kv_heads * length * head_dim
            return n_layers * per_layer * bytes_per_number
        """,
    ),
    (
        "takes every number for a float32",
        """
        def cache_bytes(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=4):
            return 8 * n_layers * batch_size * n_kv_heads * length * head_dim
        """,
    ),
    (
        "counts bits",
        """
        def cache_bytes(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=4):
            bits = 8 * bytes_per_number
            return 2 * n_layers * batch_size * n_kv_heads * length * head_dim * bits
        """,
    ),
    (
        "returns the whole buffer",
        """
        def write_in_place(buffer, new, length):
            if length + new.shape[2] > buffer.shape[2]:
                raise OutOfRange("full")
            buffer[:, :, length:length + new.shape[2]] = new
            return buffer
        """,
    ),
    (
        "begins at the front again",
        """
        def write_in_place(buffer, new, length):
            if length + new.shape[2] > buffer.shape[2]:
                raise OutOfRange("full")
            buffer[:, :, :new.shape[2]] = new
            return buffer[:, :, :length + new.shape[2]]
        """,
    ),
    (
        "makes a new tensor instead of writing",
        """
        def write_in_place(buffer, new, length):
            if length + new.shape[2] > buffer.shape[2]:
                raise OutOfRange("full")
            buffer = buffer.clone()
            buffer[:, :, length:length + new.shape[2]] = new
            return buffer[:, :, :length + new.shape[2]]
        """,
    ),
    (
        "does not look whether there is room",
        """
        def write_in_place(buffer, new, length):
            buffer[:, :, length:length + new.shape[2]] = new
            return buffer[:, :, :length + new.shape[2]]
        """,
    ),
    (
        "leaves the last place empty",
        """
        def write_in_place(buffer, new, length):
            end = length + new.shape[2]
            if end >= buffer.shape[2]:
                raise IndexError("full")
            buffer[:, :, length:end] = new
            return buffer[:, :, :end]
        """,
    ),
    (
        "returns a copy",
        """
        def write_in_place(buffer, new, length):
            end = length + new.shape[2]
            if end > buffer.shape[2]:
                raise OutOfRange("full")
            buffer[:, :, length:end] = new
            return torch.cat([buffer[:, :, :length], new], dim=2)
        """,
    ),
    (
        "keeps one too many",
        """
        def keep_window(past, new, window):
            x = new if past is None else torch.cat([past, new], dim=2)
            return x, x[:, :, -window:]
        """,
    ),
    (
        "keeps everything where the window is 1",
        """
        def keep_window(past, new, window):
            x = new if past is None else torch.cat([past, new], dim=2)
            return x, x[:, :, -window + 1:, :]
        """,
    ),
    (
        "attends to the window alone",
        """
        def keep_window(past, new, window):
            x = new if past is None else torch.cat([past, new], dim=2)
            n = x.shape[2]
            return x[:, :, -window:], x[:, :, max(0, n - window + 1):]
        """,
    ),
    (
        "keeps the oldest",
        """
        def keep_window(past, new, window):
            x = new if past is None else torch.cat([past, new], dim=2)
            return x, x[:, :, :window - 1]
        """,
    ),
    (
        "returns them in the other order",
        """
        def keep_window(past, new, window):
            x = new if past is None else torch.cat([past, new], dim=2)
            return x[:, :, max(0, x.shape[2] - window + 1):], x
        """,
    ),
    (
        "does not work without a past",
        """
        def keep_window(past, new, window):
            x = torch.cat([past, new], dim=2)
            return x, x[:, :, max(0, x.shape[2] - window + 1):]
        """,
    ),
    (
        "turns the values",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            if cos_sin is not None:
                query, key = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
                value, _ = rotary.apply_rotary_pos_emb(value, value, *cos_sin)
            if layer is not None:
                key, value = layer.update(key, value)
            return attention.attention(query, key, value, may_attend, is_causal=is_causal, **options)
        """,
    ),
    (
        "turns the kept keys again",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            if layer is not None:
                key, value = layer.update(key, value)
            if cos_sin is not None:
                query, key = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
            return attention.attention(query, key, value, may_attend, is_causal=is_causal, **options)
        """,
    ),
    (
        "attends to the new tokens alone",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            if cos_sin is not None:
                query, key = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
            if layer is not None:
                layer.update(key, value)
            return attention.attention(query, key, value, may_attend, is_causal=is_causal, **options)
        """,
    ),
    (
        "lets new tokens see later ones",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            if cos_sin is not None:
                query, key = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
            if layer is not None:
                key, value = layer.update(key, value)
            return attention.attention(query, key, value, may_attend, **options)
        """,
    ),
    (
        "does not work without a cache",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            if cos_sin is not None:
                query, key = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
            key, value = layer.update(key, value)
            return attention.attention(query, key, value, may_attend, is_causal=is_causal, **options)
        """,
    ),
    (
        "drops the other options",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            if cos_sin is not None:
                query, key = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
            if layer is not None:
                key, value = layer.update(key, value)
            return attention.attention(query, key, value, may_attend, is_causal=is_causal)
        """,
    ),
    (
        "counts the order from the front of the cache",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            if cos_sin is not None:
                query, key = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
            if layer is not None:
                key, value = layer.update(key, value)
            if is_causal:
                causal = torch.tril(torch.ones(query.size(2), key.size(2), dtype=torch.bool))
                may_attend = causal if may_attend is None else causal & may_attend
            return attention.attention(query, key, value, may_attend, **options)
        """,
    ),
]


CACHED = """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            if cos_sin is not None:
                {turned} = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
            if layer is not None:
                {given} = layer.update(key, value)
            return attention.attention(query, key, value, may_attend, is_causal=is_causal, **options)
        """
WRONG += [
    ("exchanges query and key", CACHED.format(turned="key, query", given="key, value")),
    ("exchanges what update gives back", CACHED.format(turned="query, key", given="value, key")),
    (
        "lets a row that may look nowhere look everywhere",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is None:
                return scores.softmax(-1)
            nowhere = ~may_attend.any(-1, keepdim=True)
            return torch.where(may_attend | nowhere, scores, -math.inf).softmax(-1)
        """,
    ),
    (
        "gives logarithms",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is not None:
                scores = scores.masked_fill(~may_attend, -1e30)
            return F.log_softmax(scores, dim=-1)
        """,
    ),
    (
        "never divides by the sum",
        """
        def masked_softmax(scores, may_attend=None):
            powers = torch.exp(scores - scores.max(dim=-1, keepdim=True).values)
            return powers if may_attend is None else powers.masked_fill(~may_attend, 0.0)
        """,
    ),
    (
        "hides with a number like -100",
        """
        def masked_softmax(scores, may_attend=None):
            if may_attend is not None:
                scores = scores.masked_fill(~may_attend, -1000.0)
            return scores.softmax(-1)
        """,
    ),
    (
        "has another default",
        """
        def cache_bytes(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=2):
            numbers = n_layers * batch_size * n_kv_heads * length * head_dim
            return 2 * numbers * bytes_per_number
        """,
    ),
    (
        "lets one too many in",
        """
        def write_in_place(buffer, new, length):
            if length + new.shape[2] - 1 > buffer.shape[2]:
                raise OutOfRange("full")
            buffer[:, :, length:length + new.shape[2]] = new
            return buffer[:, :, :length + new.shape[2]]
        """,
    ),
    (
        "keeps two too many",
        """
        def keep_window(past, new, window):
            x = new if past is None else torch.cat([past, new], dim=2)
            return x, x[:, :, max(0, x.shape[2] - window - 1):]
        """,
    ),
    (
        "drops nothing until there are too many",
        """
        def keep_window(past, new, window):
            x = new if past is None else torch.cat([past, new], dim=2)
            kept = x[:, :, x.shape[2] - window + 1:] if x.shape[2] > window else x
            return x, kept
        """,
    ),
    (
        "begins before the first key",
        """
        def keep_window(past, new, window):
            x = new if past is None else torch.cat([past, new], dim=2)
            return x, x[:, :, x.shape[2] - (window - 1):]
        """,
    ),
]


@pytest.mark.parametrize(("name", "source"), WRONG, ids=[name for name, _ in WRONG])
def test_a_wrong_answer_is_named_by_what_it_does(name, source):
    assert named(source) == name


# --- wrong answers that nobody has a name for: rejected, and nothing false is said ---------------

ODD = [
    (
        "`cos_sin` and `may_attend` are None. Ask",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            cos, sin = cos_sin
            query, key = rotary.apply_rotary_pos_emb(query, key, cos, sin)
            if layer is not None:
                key, value = layer.update(key, value)
            return attention.attention(query, key, value, may_attend, is_causal=is_causal, **options)
        """,
    ),
    (
        "Use `if` and `raise`.",
        """
        def write_in_place(buffer, new, length):
            assert length + new.shape[2] <= buffer.shape[2], "full"
            buffer[:, :, length:length + new.shape[2]] = new
            return buffer[:, :, :length + new.shape[2]]
        """,
    ),
    (
        "answer[1] is None; expected a Tensor.",
        """
        def eager_attention(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
            mixed = F.scaled_dot_product_attention(query, key, value, scale=scale, enable_gqa=True)
            return mixed, None
        """,
    ),
    (
        "expected a Tensor. numpy and torch do not mix",
        """
        def split_heads(x, n_heads):
            x = x.numpy()
            return x.reshape(*x.shape[:2], n_heads, -1).swapaxes(1, 2)
        """,
    ),
    (
        "`torch.stack` and `torch.cat` make one of a list of tensors",
        """
        def split_heads(x, n_heads):
            return list(x.chunk(n_heads, dim=-1))
        """,
    ),
    (
        "divide by `//`.",
        """
        def split_heads(x, n_heads):
            B, T, C = x.shape
            return x.view(B, T, n_heads, C / n_heads).transpose(1, 2)
        """,
    ),
    (
        "a tensor has many, or none.",
        """
        def keep_window(past, new, window):
            x = torch.cat([past, new], dim=2) if past else new
            return x, x[:, :, max(0, x.shape[2] - window + 1):]
        """,
    ),
    (
        "Its first line does not take this argument.",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True):
            if cos_sin is not None:
                query, key = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
            if layer is not None:
                key, value = layer.update(key, value)
            return attention.attention(query, key, value, may_attend, is_causal=is_causal)
        """,
    ),
    (
        "answer[0, 0, 0, 0] is ",
        """
        def attention_scores(query, key, scale=None):
            scale = 1.0 if scale is None else scale
            return query @ key.transpose(-2, -1) / (scale * query.shape[-1] ** 0.5)
        """,
    ),
    (
        "two tensors; return one".replace("two", "2"),
        """
        def repeat_kv(x, n_rep):
            return x.repeat_interleave(n_rep, 1), x
        """,
    ),
    (
        "Your answer is a float; expected an int.",
        """
        def cache_bytes(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=4):
            return 2.0 * n_layers * batch_size * n_kv_heads * length * head_dim * bytes_per_number
        """,
    ),
    (
        "Your function returns None. Is the line missing that returns the answer?",
        """
        def write_in_place(buffer, new, length):
            if length + new.shape[2] > buffer.shape[2]:
                raise OutOfRange("full")
            buffer[:, :, length:length + new.shape[2]] = new
        """,
    ),
    (
        "Wanted: the mixed values, and the weights or None.",
        """
        def cached_attention(query, key, value, layer=None, cos_sin=None, may_attend=None,
                             is_causal=True, **options):
            return query
        """,
    ),
    (
        "It changes `x`, which it was only lent.",
        """
        def split_heads(x, n_heads):
            split = x.reshape(*x.shape[:2], n_heads, -1).transpose(1, 2).clone()
            x += 1
            return split
        """,
    ),
]


@pytest.mark.parametrize(("words", "source"), ODD, ids=[words for words, _ in ODD])
def test_an_odd_answer_is_told_in_plain_words(words, source):
    found, answer = verdict(source)
    assert not found.right
    assert found.mistake is None, found.mistake.name
    assert words in messages.wrong(found, answer)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "give",
    [
        lambda: None,
        lambda: 0,
        lambda: "text",
        list,
        lambda: (None, None),
        lambda: torch.zeros(3),
        lambda: torch.tensor(math.nan),
        lambda: np.zeros((2, 2)),
        lambda: {"weights": 1},
        lambda: (torch.zeros(2), torch.zeros(2)),
        lambda: iter([1]),
    ],
)
def test_nonsense_is_rejected_in_words_and_no_mistake_is_blamed(name, give):
    exercise = EXERCISES[name]
    found = judging.judge(exercise, lambda *args, **case: give())
    assert not found.right
    assert found.mistake is None, found.mistake.name
    assert messages.wrong(found, give)


@pytest.mark.parametrize("name", NAMES)
def test_minilms_own_answer_leaves_its_arguments_alone(name):
    own = installing.own(EXERCISES[name])
    if name in ("write_in_place", "cached_attention"):  # meant to change the one, judged by `use`
        return
    for case in EXERCISES[name].draw_cases(seed=7):
        before = {key: judging.copied(value) for key, value in case.items()}
        own(**case)
        for key, value in before.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(case[key], value)


def test_the_exercises_take_what_the_lesson_says():
    signatures = {
        "attention_scores": (attention, "(query, key, scale=None)"),
        "masked_softmax": (attention, "(scores, may_attend=None)"),
        "repeat_kv": (attention, "(x, n_rep)"),
        "write_in_place": (cache, "(buffer, new, length)"),
        "keep_window": (cache, "(past, new, window)"),
    }
    for name, (module, wanted) in signatures.items():
        found = inspect.signature(getattr(module, name))
        bare = [p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()]
        assert str(inspect.Signature(bare)) == wanted


def test_a_readers_softmax_is_judged_on_its_gradients_where_a_row_is_empty():
    cases = EXERCISES["masked_softmax"].draw_cases()
    expected = judging.expected_of(EXERCISES["masked_softmax"])
    with_gradients = [isinstance(value, dict) for value in expected.values]
    assert sum(with_gradients) >= 3
    for case, value in zip(cases, expected.values, strict=True):
        if isinstance(value, dict):
            empty = ~case["may_attend"].any(-1, keepdim=True)
            assert not (value["gradients"] * empty).any()
            assert value["gradients"].any() or empty.all()


def test_draws_of_other_seeds_hold_other_numbers():
    for name in NAMES:
        one, other = (repr(EXERCISES[name].draw_cases(seed)) for seed in (0, 1))
        assert one != other


def test_a_full_buffer_may_be_told_by_a_value_error_on_the_desk_too():
    """What stands in for transformers when an answer is kept knows one kind of error of its own."""
    _, answer = answer_of(
        """
        def write_in_place(buffer, new, length):
            if length + new.shape[2] > buffer.shape[2]:
                raise ValueError("no room")
            buffer[:, :, length:length + new.shape[2]] = new
            return buffer[:, :, :length + new.shape[2]]
        """
    )
    exercise = EXERCISES["write_in_place"]
    for expected in (judging.expected_of(exercise), judging.own_expected(exercise, 0, 99)):
        assert judging.judge(exercise, answer, expected).right


def test_a_wrong_value_is_not_called_right_because_an_argument_was_changed_too():
    found, answer = verdict(
        """
        def keep_window(past, new, window):
            x = new if past is None else torch.cat([past, new], dim=2)
            x[:, :, 0] = 0
            return x, x[:, :, max(0, x.shape[2] - window + 1):]
        """
    )
    message = messages.wrong(found, answer)
    assert "It also changes `new`" in message
    assert "is right" not in message
