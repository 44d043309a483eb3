"""Lesson 03's catalogue: its references, and answers that are in no list."""

from __future__ import annotations

import itertools
import math
import random
import sys

import numpy as np
import pytest
import torch
from torch import nn

from minilm.check import catalogue, installing, judging, messages
from minilm.check.catalogue.positions.angles import reference_cos_sin, reference_frequencies
from minilm.check.catalogue.positions.buckets import reference_bucket
from minilm.check.catalogue.positions.counting import reference_position_ids
from minilm.check.catalogue.positions.slopes import reference_slopes
from minilm.check.catalogue.positions.turning import reference_apply
from minilm.check.catalogue.positions.waves import reference_table
from minilm.check.parameters import fit

EXERCISES = catalogue.all_exercises()
NAMES = [name for name, e in EXERCISES.items() if e.lesson == "03_positions"]


def verdict(name, answer):
    exercise = EXERCISES[name]
    return judging.judge(exercise, fit(answer, installing.own(exercise))[0])


# --- the references are what transformers computes in its models -----------------------------


def test_the_counted_positions_are_those_that_generate_gives_to_forward():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=19, n_embd=8, n_layer=1, n_head=2)).eval()
    seen = []

    def note(module, args, kwargs):
        seen.append(kwargs["position_ids"])

    model.register_forward_pre_hook(note, with_kwargs=True)
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    options = {"max_new_tokens": 3, "do_sample": False, "pad_token_id": 18, "eos_token_id": None}
    model.generate(torch.ones(2, 4, dtype=torch.long), attention_mask=mask, **options)
    assert seen[0].tolist() == reference_position_ids(mask).tolist()
    grown = torch.cat([mask, torch.ones(2, 2, dtype=torch.long)], dim=1)
    assert seen[2].tolist() == reference_position_ids(grown, 1).tolist() == [[3], [5]]


def test_the_waves_are_those_of_marian_and_of_the_paper():
    for layout, places in (("half", (2, 7)), ("interleaved", (4, 5))):
        table = reference_table(7, 10, layout)
        angle = 6 / 10000 ** (2 * 2 / 10)
        expected = [math.sin(angle), math.cos(angle)]
        assert [float(table[6, place]) for place in places] == pytest.approx(expected)


def test_the_angles_are_those_inside_a_llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    size = {"vocab_size": 9, "hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 1}
    rope = {"rope_type": "default", "rope_theta": 5e5}
    model = LlamaForCausalLM(LlamaConfig(**size, intermediate_size=8, rope_parameters=rope))
    positions = torch.tensor([[3, 0, 11]])
    cos, sin = model.model.rotary_emb(torch.zeros(1), positions)
    mine = reference_cos_sin(positions, reference_frequencies(8, 5e5))
    assert torch.equal(mine[0], cos)
    assert torch.equal(mine[1], sin)


def test_where_everything_turns_the_reference_is_llamas():
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    q, k, cos, sin = (torch.randn(size) for size in [(2, 4, 3, 6), (2, 1, 3, 6), *[(2, 3, 6)] * 2])
    for mine, theirs in zip(
        reference_apply(q, k, cos, sin), apply_rotary_pos_emb(q, k, cos, sin), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_the_buckets_are_those_of_a_whole_t5():
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    for decoder in (False, True):
        config = T5Config(num_heads=2, is_decoder=decoder)
        attention = T5Attention(config, has_relative_attention_bias=True)
        distance = torch.arange(150)[None, :] - torch.arange(150)[:, None]
        bucket = reference_bucket(distance, bidirectional=not decoder)
        bias = attention.relative_attention_bias(bucket).permute(2, 0, 1)
        assert torch.equal(attention.compute_bias(150, 150)[0], bias)


def test_the_slopes_of_eight_heads_are_those_of_the_paper():
    assert reference_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]


def test_float_and_exact_logarithms_agree_on_every_distance_that_is_drawn():
    """Or else an answer in float64 would be accused of what float32 rounds away."""
    for seed in range(5):
        for case in EXERCISES["relative_position_bucket"].draw_cases(seed):
            given = {"bidirectional": True, "num_buckets": 32, "max_distance": 128} | case
            per_side = given["num_buckets"] // (2 if given["bidirectional"] else 1)
            exact = per_side // 2
            for distance in set(given["relative_position"].abs().flatten().tolist()):
                if exact <= distance < given["max_distance"]:
                    share = math.log(distance / exact) / math.log(given["max_distance"] / exact)
                    step = share * (per_side - exact)
                    near = abs(step - round(step)) < 1e-4
                    assert not near or math.floor(step + 1e-9) == math.floor(np.float32(step))


def test_torch_is_not_loaded_with_the_catalogue():
    """The lessons on tokens would pay two seconds for it."""
    import subprocess

    code = "import sys, minilm.check.catalogue.positions as p; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


# --- right answers that are in no list -------------------------------------------------------


def count_with_where(attention_mask, query_length=None):
    mask = attention_mask.bool()
    ids = torch.where(mask, mask.cumsum(1) - 1, torch.zeros_like(mask, dtype=torch.long))
    if query_length is not None:
        ids = ids[:, -query_length:]
    return ids


def count_and_fill_in_place(mask, query_length=None):
    ids = torch.cumsum(mask.long(), -1) - 1
    ids.masked_fill_(mask == 0, 0)
    start = 0 if query_length is None else ids.size(1) - query_length
    return ids.narrow(1, start, ids.size(1) - start)


def count_by_nonzero(mask, query_length=None):
    positions = torch.zeros(mask.shape, dtype=torch.int64)
    for row in range(len(mask)):
        real = mask[row].nonzero().flatten()
        positions[row, real] = torch.arange(len(real))
    return positions if query_length is None else positions[..., -query_length:]


def waves_by_the_formula(length, width, layout="half"):
    pe = torch.zeros(length, width)
    for pos in range(length):
        for i in range(width // 2):
            angle = pos / (10000 ** ((2 * i) / width))
            if layout == "interleaved":
                pe[pos, 2 * i] = math.sin(angle)
                pe[pos, 2 * i + 1] = math.cos(angle)
            else:
                pe[pos, i] = math.sin(angle)
                pe[pos, width // 2 + i] = math.cos(angle)
    return pe


def waves_with_a_phase(length, width, layout="half"):
    j = torch.arange(width)
    if layout == "half":
        pair, phase = j % (width // 2), (j >= width // 2) * math.pi / 2
    else:
        pair, phase = j // 2, (j % 2) * math.pi / 2
    angles = torch.arange(length).double()[:, None] / 10000.0 ** (2 * pair.double() / width)
    return torch.sin(angles + phase).float()


def waves_by_concatenation(length, width, layout="half"):
    freq = torch.pow(10000, -torch.arange(0, width, 2).float() / width)
    a = torch.arange(length, dtype=torch.float).unsqueeze(-1) @ freq.unsqueeze(0)
    if layout == "half":
        return torch.cat((a.sin(), a.cos()), dim=-1)
    return torch.stack((a.sin(), a.cos()), dim=-1).flatten(-2)


def frequencies_by_numpy(head_dim, base=10000.0):
    return torch.from_numpy(1 / base ** (np.arange(0, head_dim, 2) / head_dim)).float()


def angles_with_a_loop_over_rows(position_ids, inv_freq):
    rows = [torch.cat([torch.outer(row, inv_freq)] * 2, dim=1) for row in position_ids]
    angles = torch.stack(rows)
    return torch.cos(angles), torch.sin(angles)


def angles_by_broadcasting(position_ids, inv_freq):
    twice = torch.cat((inv_freq, inv_freq))
    angles = position_ids.unsqueeze(-1) * twice.view(1, 1, -1)
    return angles.cos(), angles.sin()


def rotate_by_slices(x):
    d = x.size(-1)
    y = x.new_zeros(x.shape)
    y[..., : d // 2] = -x[..., d // 2 :]
    y[..., d // 2 :] = x[..., : d // 2]
    return y


def rotate_by_unbinding(x):
    a, b = x.unflatten(-1, (2, -1)).unbind(-2)
    return torch.stack([b.neg(), a], dim=-2).flatten(-2)


def rotate_by_index(x):
    d = x.shape[-1]
    order = [*range(d // 2, d), *range(d // 2)]
    sign = torch.tensor([-1.0] * (d // 2) + [1.0] * (d // 2), dtype=x.dtype)
    return x[..., order] * sign


def turn_by_loops(q, k, cos, sin, unsqueeze_dim=1):
    def turn(x):
        out = x.clone()
        half = cos.shape[-1] // 2
        for b in range(x.shape[0]):
            c, s = cos[b % len(cos)].unsqueeze(unsqueeze_dim - 1), sin[b % len(sin)]
            s = s.unsqueeze(unsqueeze_dim - 1)
            for i in range(half):
                one, two = x[b, ..., i], x[b, ..., i + half]
                out[b, ..., i] = one * c[..., i] - two * s[..., i]
                out[b, ..., i + half] = two * c[..., i + half] + one * s[..., i + half]
        return out

    return turn(q), turn(k)


def turn_as_gpt_neox(query, key, cosine, sine, unsqueeze_dim=1):
    cosine, sine = cosine.unsqueeze(unsqueeze_dim), sine.unsqueeze(unsqueeze_dim)
    r = cosine.shape[-1]
    q_rot, q_pass = query[..., :r], query[..., r:]
    k_rot, k_pass = key[..., :r], key[..., r:]
    q_rot = q_rot * cosine + rotate_by_slices(q_rot) * sine
    k_rot = k_rot * cosine + rotate_by_slices(k_rot) * sine
    return torch.cat((q_rot, q_pass), -1), torch.cat((k_rot, k_pass), -1)


def bucket_as_t5(relative_position, bidirectional=True, num_buckets=32, max_distance=128):
    ret = torch.zeros_like(relative_position)
    n = -relative_position
    if bidirectional:
        num_buckets //= 2
        ret += (n < 0).to(torch.long) * num_buckets
        n = n.abs()
    else:
        n = torch.max(n, torch.zeros_like(n))
    max_exact = num_buckets // 2
    val = torch.log(n.float() / max_exact) / math.log(max_distance / max_exact)
    val = max_exact + (val * (num_buckets - max_exact)).to(torch.long)
    val = torch.min(val, torch.full_like(val, num_buckets - 1))
    return ret + torch.where(n < max_exact, n, val)


def bucket_by_counting(relative_position, bidirectional=True, num_buckets=32, max_distance=128):
    side = num_buckets // 2 if bidirectional else num_buckets
    near = side // 2
    d = relative_position.abs() if bidirectional else (-relative_position).clamp(min=0)
    result = d.clamp(max=near)
    for step in range(1, side - near):
        result = result + (d >= near * (max_distance / near) ** (step / (side - near)) - 1e-9)
    return result + (side * (relative_position > 0) if bidirectional else 0)


def slopes_as_press(n_heads):
    def power_of_2(n):
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    if math.log2(n_heads).is_integer():
        return torch.tensor(power_of_2(n_heads))
    closest = 2 ** math.floor(math.log2(n_heads))
    extra = slopes_as_press(2 * closest).tolist()[0::2][: n_heads - closest]
    return torch.tensor(power_of_2(closest) + extra)


def slopes_by_powers(n_heads):
    low = 2 ** math.floor(math.log2(n_heads))
    slopes = torch.pow(2.0 ** (-8 / low), torch.arange(1, low + 1))
    if low < n_heads:
        more = torch.pow(2.0 ** (-4 / low), torch.arange(1, 2 * (n_heads - low) + 1, 2))
        slopes = torch.cat([slopes, more])
    return slopes


RIGHT = [
    ("position_ids_from_mask", count_with_where),
    ("position_ids_from_mask", count_and_fill_in_place),
    ("position_ids_from_mask", count_by_nonzero),
    ("sinusoid_table", waves_by_the_formula),
    ("sinusoid_table", waves_with_a_phase),
    ("sinusoid_table", waves_by_concatenation),
    ("rotary_frequencies", frequencies_by_numpy),
    ("rotary_frequencies", lambda d, base=1e4: base ** (torch.arange(0, d, 2) / -d)),
    ("rotary_frequencies", lambda d, base=1e4: torch.pow(1 / base, torch.arange(d // 2) * 2 / d)),
    ("rotary_cos_sin", angles_with_a_loop_over_rows),
    ("rotary_cos_sin", angles_by_broadcasting),
    ("rotate_half", rotate_by_slices),
    ("rotate_half", rotate_by_unbinding),
    ("rotate_half", rotate_by_index),
    ("rotate_half", lambda x: torch.cat((-x.chunk(2, -1)[1], x.chunk(2, -1)[0]), -1)),
    ("apply_rotary_pos_emb", turn_by_loops),
    ("apply_rotary_pos_emb", turn_as_gpt_neox),
    ("relative_position_bucket", bucket_as_t5),
    ("relative_position_bucket", bucket_by_counting),
    ("alibi_slopes", slopes_as_press),
    ("alibi_slopes", slopes_by_powers),
]


@pytest.mark.parametrize(
    ("name", "answer"), RIGHT, ids=[f"{name} {at}" for at, (name, _) in enumerate(RIGHT)]
)
def test_nobody_is_falsely_accused(name, answer):
    found = verdict(name, answer)
    assert found.right, messages.wrong(found, answer)


def test_every_exercise_is_answered_in_more_than_one_way_here():
    assert {name for name, _ in RIGHT} == set(NAMES)


@pytest.mark.parametrize(("name", "answer"), RIGHT, ids=[str(at) for at in range(len(RIGHT))])
def test_no_right_answer_is_accused_by_another_draw(name, answer):
    exercise = EXERCISES[name]
    function = fit(answer, installing.own(exercise))[0]
    for seed in (1, 2):
        found = judging.judge(exercise, function, judging.expected_of(exercise, seed))
        assert found.right, messages.wrong(found, answer)


# --- wrong answers as people type them, and what they are told --------------------------------


def wave_of_the_tutorial(length, width, layout="half"):
    """PyTorch's old tutorial, which interleaves."""
    pe = torch.zeros(length, width)
    position = torch.arange(0, length, dtype=torch.float).unsqueeze(1)
    div_term = torch.exp(torch.arange(0, width, 2).float() * (-math.log(10000.0) / width))
    pe[:, 0::2] = torch.sin(position * div_term)
    pe[:, 1::2] = torch.cos(position * div_term)
    return pe


def wave_of_fairseq(length, width, layout="half"):
    half = width // 2
    emb = math.log(10000) / max(half - 1, 1)
    emb = torch.exp(torch.arange(half, dtype=torch.float) * -emb)
    emb = torch.arange(length, dtype=torch.float).unsqueeze(1) * emb.unsqueeze(0)
    if layout == "half":
        return torch.cat([torch.sin(emb), torch.cos(emb)], dim=1)
    return torch.stack([torch.sin(emb), torch.cos(emb)], dim=2).view(length, -1)


def turn_as_llama(q, k, cos, sin, unsqueeze_dim=1):
    cos = cos.unsqueeze(unsqueeze_dim)
    sin = sin.unsqueeze(unsqueeze_dim)
    q_embed = (q * cos) + (rotate_by_slices(q) * sin)
    k_embed = (k * cos) + (rotate_by_slices(k) * sin)
    return q_embed, k_embed


def turn_as_llama_with_room_behind(q, k, cos, sin, unsqueeze_dim=1):
    return turn_as_gpt_neox(q, k, cos, sin, unsqueeze_dim=2)


def turn_without_room(q, k, cos, sin, unsqueeze_dim=1):
    return q * cos + rotate_by_slices(q) * sin, k * cos + rotate_by_slices(k) * sin


def turn_as_meta(xq, xk, cos, sin, unsqueeze_dim=1):
    r = cos.shape[-1]
    half = r // 2
    freqs = torch.complex(cos[..., :half], sin[..., :half]).unsqueeze(unsqueeze_dim)

    def turn(x):
        pairs = torch.view_as_complex(x[..., :r].reshape(*x.shape[:-1], -1, 2).contiguous())
        return torch.cat([torch.view_as_real(pairs * freqs).flatten(-2), x[..., r:]], dim=-1)

    return turn(xq), turn(xk)


def rotate_every_two(x):
    x1 = x[..., ::2]
    x2 = x[..., 1::2]
    return torch.stack((-x2, x1), dim=-1).flatten(-2)


def turn_as_gptj_with_llamas_angles(q, k, cos, sin, unsqueeze_dim=1):
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    r = cos.shape[-1]
    return tuple(
        torch.cat([x[..., :r] * cos + rotate_every_two(x[..., :r]) * sin, x[..., r:]], -1)
        for x in (q, k)
    )


def turn_in_place(q, k, cos, sin, unsqueeze_dim=1):
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    half = cos.shape[-1] // 2
    for x in (q, k):
        x[..., :half] = x[..., :half] * cos[..., :half] - x[..., half : 2 * half] * sin[..., :half]
        x[..., half : 2 * half] = (
            x[..., half : 2 * half] * cos[..., :half] + x[..., :half] * sin[..., :half]
        )
    return q, k


def t5_without(*, halve=True, clamp=True, flip=True, floor=True, sign=True):
    def relative_position_bucket(
        relative_position, bidirectional=True, num_buckets=32, max_distance=128
    ):
        ret = 0
        n = -relative_position if flip else relative_position
        if bidirectional:
            if halve:
                num_buckets //= 2
            ret = ((n < 0) if sign else (n > 0)).long() * (
                num_buckets if halve else num_buckets // 2
            )
            n = n.abs()
        else:
            n = n.clamp(min=0)
        exact = num_buckets // 2
        far = torch.log(n.clamp(min=1).float() / exact) / math.log(max_distance / exact)
        far = far * (num_buckets - exact)
        far = exact + (far.long() if floor else far.round().long())
        if clamp:
            far = far.clamp(max=num_buckets - 1)
        return ret + torch.where(n < exact, n, far)

    return relative_position_bucket


def arange_for_all(attention_mask, query_length=None):
    batch, length = attention_mask.shape
    ids = torch.arange(length).unsqueeze(0).repeat(batch, 1)
    return ids if query_length is None else ids[:, -query_length:]


def only_the_new(attention_mask, query_length=None):
    if query_length is not None:
        attention_mask = attention_mask[:, -query_length:]
    ids = attention_mask.long().cumsum(-1) - 1
    return ids.masked_fill(attention_mask == 0, 0)


def left_with_minus_one(attention_mask, query_length=None):
    ids = attention_mask.long().cumsum(-1) - 1
    return ids if query_length is None else ids[:, -query_length:]


def as_in_version_four(attention_mask, query_length=None):
    ids = attention_mask.long().cumsum(-1) - 1
    ids.masked_fill_(attention_mask == 0, 1)
    return ids if query_length is None else ids[:, -query_length:]


def clamped(attention_mask, query_length=None):
    ids = torch.clamp(torch.cumsum(attention_mask.long(), dim=-1) - 1, min=0)
    return ids if query_length is None else ids[:, -query_length:]


def angles_of_meta(position_ids, inv_freq):
    angles = position_ids[..., None].float() * inv_freq
    angles = torch.repeat_interleave(angles, 2, dim=-1)
    return angles.cos(), angles.sin()


def angles_of_a_range(position_ids, inv_freq):
    t = torch.arange(position_ids.shape[1]).float()
    freqs = torch.outer(t, inv_freq)
    emb = torch.cat((freqs, freqs), dim=-1)
    return emb.cos(), emb.sin()


def angles_once(position_ids, inv_freq):
    angles = position_ids[..., None] * inv_freq
    return angles.cos(), angles.sin()


def exponents(count, scale=1.0, start=0.0):
    def rotary_frequencies(head_dim, base=10000.0):
        i = torch.arange(count(head_dim)).float()
        return 1.0 / base ** (scale * (i + start) / head_dim)

    return rotary_frequencies


def counter_that_is_not_set_back(attention_mask, query_length=None):
    ids, seen = torch.zeros(attention_mask.shape, dtype=torch.long), 0
    for row in range(attention_mask.shape[0]):
        for column in range(attention_mask.shape[1]):
            if attention_mask[row, column]:
                ids[row, column] = seen
                seen += 1
    return ids if query_length is None else ids[:, -query_length:]


def columns_less_the_zeros(attention_mask, query_length=None):
    length, real = attention_mask.shape[1], attention_mask.long().sum(-1, keepdim=True)
    ids = (torch.arange(length) - (length - real)).clamp(min=0)
    return ids if query_length is None else ids[:, -query_length:]


def angles_squeezed(position_ids, inv_freq):
    angles = torch.cat([position_ids[..., None].float() * inv_freq] * 2, dim=-1).squeeze()
    return angles.cos(), angles.sin()


def rotate_with_four_names(x):
    batch, heads, tokens, d = x.shape
    x = x.reshape(batch, heads, tokens, d)
    return torch.cat([-x[..., d // 2 :], x[..., : d // 2]], dim=-1)


def turn_with_a_line_copied(q, k, cos, sin, unsqueeze_dim=1):
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    r = cos.shape[-1]
    q_turned = q[..., :r] * cos + rotate_by_slices(q[..., :r]) * sin
    k_turned = k[..., :r] * cos + rotate_by_slices(q[..., :r]) * sin
    return torch.cat([q_turned, q[..., r:]], -1), torch.cat([k_turned, k[..., r:]], -1)


def turn_into_zeros(q, k, cos, sin, unsqueeze_dim=1):
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    r = cos.shape[-1]
    turned = torch.zeros_like(q), torch.zeros_like(k)
    for to, x in zip(turned, (q, k), strict=True):
        to[..., :r] = x[..., :r] * cos + rotate_by_slices(x[..., :r]) * sin
    return turned


def bucket_of_what_is_after(relative, bidirectional=True, num_buckets=32, max_distance=128):
    relative = relative if bidirectional else -relative.clamp(min=0)
    return bucket_as_t5(relative, bidirectional, num_buckets, max_distance)


def bucket_cut_off_early(relative, bidirectional=True, num_buckets=32, max_distance=128):
    side = num_buckets // 2 if bidirectional else num_buckets
    distance = relative.abs() if bidirectional else (-relative).clamp(min=0)
    near = side // 2
    share = torch.log(distance / near) / math.log(max_distance / near)
    far = (near + share.long() * (side - near)).clamp(max=side - 1)
    ahead = (relative > 0) * side if bidirectional else 0
    return ahead + torch.where(distance < near, distance, far)


# What is typed, and the mistake that it should be taken for.
WRONG = [
    ("position_ids_from_mask", arange_for_all, "counts the padding too"),
    ("position_ids_from_mask", only_the_new, "starts again with a cache"),
    ("position_ids_from_mask", left_with_minus_one, "leaves -1 at the padding"),
    ("position_ids_from_mask", as_in_version_four, "gives padding a 1"),
    ("position_ids_from_mask", clamped, "clamps in place of filling"),
    (
        "position_ids_from_mask",
        counter_that_is_not_set_back,
        "goes on counting in the next row",
    ),
    ("position_ids_from_mask", columns_less_the_zeros, "expects padding on the left"),
    ("sinusoid_table", wave_of_the_tutorial, "always interleaves"),
    ("sinusoid_table", wave_of_fairseq, "ends at the lowest frequency"),
    ("rotary_frequencies", exponents(lambda d: d // 2), "halves the exponent"),
    ("rotary_frequencies", exponents(lambda d: d), "has one for every dimension"),
    ("rotary_frequencies", exponents(lambda d: d // 2, scale=4), "doubles the exponent"),
    ("rotary_frequencies", exponents(lambda d: d // 2, scale=-2), "multiplies where it divides"),
    (
        "rotary_frequencies",
        exponents(lambda d: d // 2, scale=2, start=1),
        "begins with the second pair",
    ),
    (
        "rotary_frequencies",
        lambda d, base=1e4: 1 / base ** torch.arange(0, d, 2) / d,
        "divides by D too late",
    ),
    (
        "rotary_frequencies",
        lambda d, base=1e4: torch.exp(torch.arange(0, d, 2) * (-math.log2(base) / d)),
        "mixes two kinds of logarithm",
    ),
    ("rotary_cos_sin", angles_squeezed, "squeezes"),
    (
        "rotary_cos_sin",
        lambda p, f: angles_by_broadcasting(p.half(), f),
        "rounds the positions",
    ),
    ("rotary_cos_sin", angles_of_meta, "interleaves the angles"),
    ("rotary_cos_sin", angles_once, "writes each angle once"),
    ("rotary_cos_sin", angles_of_a_range, "counts columns, for no batch"),
    ("rotate_half", rotate_every_two, "pairs neighbours"),
    (
        "rotate_half",
        lambda x: torch.cat((-x[..., 1::2], x[..., ::2]), dim=-1),
        "takes neighbours apart and joins halves",
    ),
    (
        "rotate_half",
        lambda x: torch.cat((x[..., x.shape[-1] // 2 :], -x[..., : x.shape[-1] // 2]), -1),
        "negates the wrong half",
    ),
    (
        "rotate_half",
        lambda x: torch.cat((-x[..., x.shape[-1] // 2 :], x[..., : x.shape[-1] // 2])),
        "joins along the first dimension",
    ),
    ("rotate_half", rotate_with_four_names, "expects four dimensions"),
    (
        "apply_rotary_pos_emb",
        turn_with_a_line_copied,
        "turns the key with the query's partners",
    ),
    ("apply_rotary_pos_emb", turn_into_zeros, "empties the rest"),
    ("apply_rotary_pos_emb", turn_as_llama, "cannot leave a rest"),
    ("apply_rotary_pos_emb", turn_as_meta, "pairs neighbours"),
    (
        "apply_rotary_pos_emb",
        turn_as_gptj_with_llamas_angles,
        "pairs neighbours, with the angles of the halves",
    ),
    ("apply_rotary_pos_emb", turn_without_room, "does not make room for the heads"),
    ("apply_rotary_pos_emb", turn_as_llama_with_room_behind, "makes room behind the tokens"),
    ("relative_position_bucket", t5_without(halve=False), "does not halve for two sides"),
    ("relative_position_bucket", t5_without(clamp=False), "has no last bucket"),
    ("relative_position_bucket", t5_without(flip=False), "takes query minus key"),
    ("relative_position_bucket", t5_without(floor=False), "rounds to the nearest"),
    ("relative_position_bucket", t5_without(sign=False), "swaps before and after"),
    ("relative_position_bucket", bucket_of_what_is_after, "takes the future for the past"),
    ("relative_position_bucket", bucket_cut_off_early, "cuts off before it multiplies"),
    (
        "relative_position_bucket",
        lambda r, b=True, n=32, m=128: bucket_as_t5(r, b, 32, m),
        "ignores num_buckets",
    ),
    (
        "relative_position_bucket",
        lambda r, b=True, n=32, m=128: bucket_as_t5(r, True, n, m),
        "ignores bidirectional",
    ),
    (
        "alibi_slopes",
        lambda n_heads: torch.tensor([1 / 2**h for h in range(1, n_heads + 1)]),
        "is right for eight heads alone",
    ),
    (
        "alibi_slopes",
        lambda n: 2.0 ** (-8 / n * torch.arange(1, n + 1)),
        "takes one formula for every number",
    ),
]


@pytest.mark.parametrize(
    ("name", "answer", "mistake"), WRONG, ids=[f"{name}: {mistake}" for name, _, mistake in WRONG]
)
def test_a_mistake_is_known_as_people_type_it(name, answer, mistake):
    found = verdict(name, answer)
    assert not found.right
    assert found.mistake is not None, messages.wrong(found, answer)
    assert found.mistake.name == mistake


# Wrong too, and in no list: nothing is asked of the message but that there is one.
UNKNOWN = [
    ("position_ids_from_mask", lambda mask, query_length=None: mask),
    ("position_ids_from_mask", lambda mask, query_length=None: mask.long().cumsum(-1)),
    ("position_ids_from_mask", lambda mask, query_length=None: count_with_where(mask)[0]),
    ("position_ids_from_mask", lambda mask, n=None: count_with_where(mask, n).tolist()),
    ("position_ids_from_mask", lambda mask, n=None: count_with_where(mask, n).int()),
    ("sinusoid_table", lambda length, width, layout="half": torch.zeros(length, width)),
    ("sinusoid_table", lambda n, d, layout="half": waves_by_the_formula(n, d, layout)[None]),
    ("sinusoid_table", lambda n, d, layout="half": waves_by_the_formula(n, d, layout) * d**0.5),
    ("sinusoid_table", lambda n, d, layout="half": waves_by_the_formula(n, d, layout).numpy()),
    ("sinusoid_table", lambda n, d, layout="half": nn.Embedding(n, d).weight),
    ("rotary_frequencies", lambda d, base=1e4: torch.ones(d // 2)),
    ("rotary_frequencies", lambda d, base=1e4: [base ** (-2 * i / d) for i in range(d // 2)]),
    ("rotary_cos_sin", lambda p, f: angles_by_broadcasting(p, f)[0]),
    ("rotary_cos_sin", lambda p, f: torch.stack(angles_by_broadcasting(p, f))[0:1]),
    ("rotary_cos_sin", lambda p, f: tuple(t.unsqueeze(1) for t in angles_by_broadcasting(p, f))),
    ("rotary_cos_sin", lambda p, f: tuple(t.half() for t in angles_by_broadcasting(p, f))),
    ("rotate_half", lambda x: x),
    ("rotate_half", lambda x: x.roll(1, -1)),
    ("rotate_half", lambda x: rotate_by_slices(rotate_by_slices(x))),
    ("rotate_half", lambda x: x.neg_()),
    ("apply_rotary_pos_emb", lambda q, k, cos, sin, unsqueeze_dim=1: (q, k)),
    ("apply_rotary_pos_emb", turn_in_place),
    ("apply_rotary_pos_emb", lambda q, k, c, s, unsqueeze_dim=1: turn_by_loops(q, k, c, s)[0]),
    ("apply_rotary_pos_emb", lambda q, k, c, s, unsqueeze_dim=1: turn_by_loops(q, q, c, s)),
    ("relative_position_bucket", lambda r, b=True, n=32, m=128: r.abs()),
    ("relative_position_bucket", lambda r, b=True, n=32, m=128: bucket_as_t5(r, True, n, m)),
    ("relative_position_bucket", lambda r, b=True, n=32, m=128: bucket_as_t5(r, b)),
    ("relative_position_bucket", lambda r, b=True, n=32, m=128: bucket_as_t5(r, b, n, m).flatten()),
    ("alibi_slopes", lambda n_heads: torch.ones(n_heads)),
    ("alibi_slopes", lambda n_heads: slopes_as_press(n_heads).tolist()),
    ("alibi_slopes", lambda n_heads: slopes_as_press(n_heads)[:, None, None]),
    ("alibi_slopes", lambda n_heads: 1 / torch.arange(1, n_heads + 1)),
]


@pytest.mark.parametrize(
    ("name", "answer"), UNKNOWN, ids=[f"{name} {at}" for at, (name, _) in enumerate(UNKNOWN)]
)
def test_nothing_wrong_slips_through(name, answer):
    found = verdict(name, answer)
    assert not found.right
    assert len(messages.wrong(found, answer)) < 3000


def test_turning_in_place_is_told_by_what_it_does_to_the_query():
    found = verdict("apply_rotary_pos_emb", turn_in_place)
    assert "`q`" in messages.wrong(found, turn_in_place) or found.mistake is not None


# --- what the cases must hold, or mistakes would hide -----------------------------------------


def test_the_cases_of_the_mask_pad_on_both_sides_and_hold_an_empty_row():
    cases = [case["attention_mask"] for case in EXERCISES["position_ids_from_mask"].draw_cases()]
    rows = [row.long().tolist() for mask in cases for row in mask]
    assert any(row[0] == 0 and row[-1] == 1 for row in rows)
    assert any(row[0] == 1 and row[-1] == 0 for row in rows)
    assert any(sum(row) == 0 for row in rows)
    assert {mask.dtype for mask in cases} >= {torch.int64, torch.bool, torch.float32}


def test_the_cases_of_the_turn_hold_batches_as_large_as_heads_and_others():
    cases = EXERCISES["apply_rotary_pos_emb"].draw_cases()
    assert any(c["q"].shape[0] == c["q"].shape[1] == c["k"].shape[1] > 1 for c in cases)
    assert any(len({*c["q"].shape, c["k"].shape[1]}) == 5 for c in cases)
    assert any(c["cos"].shape[-1] < c["q"].shape[-1] for c in cases)


def test_the_cases_of_the_buckets_reach_past_8_and_16_and_128_on_both_sides():
    for bidirectional, sign in itertools.product((True, False), (1, -1)):
        distances = {
            sign * int(d)
            for case in EXERCISES["relative_position_bucket"].draw_cases()
            if case.get("bidirectional", True) is bidirectional and "num_buckets" not in case
            for d in case["relative_position"].flatten()
        }
        assert {7, 8, 9, 15, 16, 17, 127, 128, 129} <= distances


def test_the_cases_of_the_slopes_hold_the_heads_of_bloom_and_numbers_that_are_no_power_of_two():
    heads = {case["n_heads"] for case in EXERCISES["alibi_slopes"].draw_cases()}
    assert {1, 12, 16, 32, 112} <= heads


@pytest.mark.parametrize("name", NAMES)
def test_a_draw_of_another_seed_brings_other_numbers(name):
    if name in ("rotate_half", "alibi_slopes", "relative_position_bucket"):
        pytest.skip("most of its cases are fixed")
    assert repr(EXERCISES[name].draw_cases(0)) != repr(EXERCISES[name].draw_cases(1))


def test_no_two_mistakes_do_the_same_on_every_case():
    for name in NAMES:
        exercise = EXERCISES[name]
        cases = exercise.draw_cases()
        seen: dict[str, str] = {}
        for mistake in exercise.mistakes:
            outcomes = judging.run(exercise, mistake.variant, cases, 10.0)
            key = repr([(o.kind, o.value, repr(o.error)) for o in outcomes])
            assert key not in seen, f"{name}: {mistake.name} is {seen.get(key)}"
            seen[key] = mistake.name


def test_draws_do_not_touch_torchs_own_random_numbers():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for name in NAMES:
        EXERCISES[name].cases(random.Random(0))
    assert torch.equal(before, torch.get_rng_state())


def test_zeros_as_integers_are_not_called_the_right_values_of_small_slopes():
    def alibi_slopes(n_heads):
        return 2 ** -(8 * torch.arange(1, n_heads + 1) // n_heads)

    found = verdict("alibi_slopes", alibi_slopes)
    assert not found.right
    assert "The values are right" not in messages.wrong(found, alibi_slopes)
