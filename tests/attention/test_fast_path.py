"""The fast ways beside the plain one, and beside transformers' "sdpa"."""

from __future__ import annotations

import pytest
import torch

from minilm import attention, fast_causal, masks

# The gradients' relative to the largest one; exactness is shown in float64.
OUTPUT, GRADIENT = 2e-6, 2e-6
SIZES = [
    (2, 6, 3, 4, 7, 5),
    (3, 4, 2, 1, 6, 8),
    (2, 8, 2, 1, 1, 4),
    (1, 6, 2, 2, 2, 4),
    (2, 3, 3, 1, 9, 7),
    (2, 6, 1, 33, 70, 16),
    (1, 4, 4, 70, 70, 24),
]
MASKS = {
    "none": None,
    "(T, S)": lambda b, h, t, s: (t, s),
    "(1, 1, T, S)": lambda b, h, t, s: (1, 1, t, s),
    "(B, 1, 1, S)": lambda b, h, t, s: (b, 1, 1, s),
    "(B, 1, T, S)": lambda b, h, t, s: (b, 1, t, s),
    "(B, H, T, S)": lambda b, h, t, s: (b, h, t, s),
    "(B, H, 1, S)": lambda b, h, t, s: (b, h, 1, s),
    "(H, T, S)": lambda b, h, t, s: (h, t, s),
}
# Lengths at which strips come out even, odd, and with a last one of a single token.
LENGTHS = [128, 129, 131, 257, 515, 1025]


def plain(*inputs, **options):
    return attention.attention(*inputs, output_attentions=True, **options)[0]


def fast(*inputs, **options):
    mixed, weights = attention.attention(*inputs, **options)
    assert weights is None
    return mixed


def agree(mine, other):
    assert (mine[0] - other[0]).abs().max() <= OUTPUT
    for ours, theirs in zip(mine[1], other[1], strict=True):
        assert (ours - theirs).abs().max() <= GRADIENT * max(1.0, theirs.abs().max().item())


@pytest.fixture
def strips(monkeypatch):
    """Count the work of the strips, and have them do tensors of any size."""
    done = []
    own = fast_causal.in_strips
    monkeypatch.setattr(fast_causal, "SHORTEST", 128)
    monkeypatch.setattr(fast_causal, "_FEWEST_SCORES", 0)
    monkeypatch.setattr(
        fast_causal, "in_strips", lambda *inputs: done.append(inputs[0].shape) or own(*inputs)
    )
    return done


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("form", MASKS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_fast_and_plain_agree(size, form, is_causal, draw, random_mask, gradients):
    inputs = draw(1, *size)
    batch, n_heads, _, queries, keys, _ = size
    mask = MASKS[form] and random_mask(2, *MASKS[form](batch, n_heads, queries, keys))
    options = {"may_attend": mask, "is_causal": is_causal}
    agree(
        gradients(lambda *x: fast(*x, **options), inputs),
        gradients(lambda *x: plain(*x, **options), inputs),
    )


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", ["(1, H, T, S)", "(H, T, S)", "(B, H, T, S)", "(1, H, 1, S)"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_fast_and_plain_agree_with_a_bias(
    size, shape, masked, is_causal, draw, random_mask, gradients
):
    batch, n_heads, _, queries, keys, _ = size
    sizes = {"B": batch, "H": n_heads, "T": queries, "S": keys, "1": 1}
    bias = torch.randn([sizes[name] for name in shape.strip("()").split(", ")])
    mask = random_mask(3, batch, 1, 1, keys) if masked else None
    options = {"may_attend": mask, "is_causal": is_causal, "scale": 1.0}
    inputs = (*draw(2, *size), bias)
    agree(
        gradients(lambda q, k, v, b: fast(q, k, v, bias=b, **options), inputs),
        gradients(lambda q, k, v, b: plain(q, k, v, bias=b, **options), inputs),
    )


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("window", [None, 1, 3, 100])
def test_fast_and_plain_agree_with_padding_and_windows(side, window, draw, gradients):
    real = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]])
    real = real if side == "left" else real.flip(-1)
    mask = masks.padding_mask(real)
    if window:
        mask = mask & masks.sliding_window_mask(5, 8, window)
    inputs = draw(3, 2, 6, 2, 5, 8, 4)
    options = {"may_attend": mask, "is_causal": True}
    ours = gradients(lambda *x: fast(*x, **options), inputs)
    agree(ours, gradients(lambda *x: plain(*x, **options), inputs))
    nowhere = ~(mask & masks.causal_mask(5, 8)).any(-1).expand(2, 6, 5)
    assert (ours[0][nowhere] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("attend", [fast, plain])
def test_rows_that_may_look_nowhere_give_zeros_and_finite_gradients(
    attend, biased, dtype, draw, gradients
):
    query, key, value = draw(4, 2, 4, 2, 3, 5, 8, dtype)
    mask = torch.rand(2, 1, 3, 5) < 0.7
    mask[0, 0, 1] = False
    mask[1] = False
    bias = [torch.randn(1, 4, 3, 5, dtype=dtype)] if biased else []
    mixed, grads = gradients(
        lambda q, k, v, *b: attend(q, k, v, mask, bias=b[0] if b else None),
        (query, key, value, *bias),
    )
    assert (mixed[0, :, 1] == 0).all()
    assert (mixed[1] == 0).all()
    assert all(grad.isfinite().all() for grad in grads)
    assert (grads[0][0, :, 1] == 0).all()
    assert all((grad[1] == 0).all() for grad in grads[:3])


@pytest.mark.parametrize("attend", [fast, plain])
def test_very_large_scores_do_not_outweigh_a_mask(attend, draw):
    query, key, value = draw(5, 2, 2, 2, 4, 6, 8)
    query, key = query.abs() * 100, key.abs() * 100  # scores of ten thousands
    mask = torch.ones(4, 6, dtype=torch.bool)
    mask[:, 3:] = False
    seen = attend(query, key[:, :, :3], value[:, :, :3])
    assert (attend(query, key, value, mask) - seen).abs().max() <= OUTPUT
    changed = value.clone()
    changed[:, :, 3:] = 1e6
    assert torch.equal(attend(query, key, value, mask), attend(query, key, changed, mask))


@pytest.mark.parametrize("queries", [1, 2, 4])
def test_queries_are_the_last_of_the_keys(queries, draw):
    query, key, value = draw(6, 2, 4, 2, 7, 7, 8)
    whole = fast(query, key, value, is_causal=True)
    last = fast(query[:, :, -queries:], key, value, is_causal=True)
    assert (last - whole[:, :, -queries:]).abs().max() <= OUTPUT


@pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
@pytest.mark.parametrize("length", LENGTHS)
def test_strips_are_exact(length, n_kv_heads, draw, gradients, strips):
    inputs = draw(7, 1, 4, n_kv_heads, length, length, 3, torch.float64)
    scale = 1.0 if length % 2 else None
    mine = gradients(lambda *x: fast(*x, is_causal=True, scale=scale), inputs)
    other = gradients(lambda *x: plain(*x, is_causal=True, scale=scale), inputs)
    assert (mine[0] - other[0]).abs().max() <= 1e-12
    for ours, theirs in zip(mine[1], other[1], strict=True):
        assert (ours - theirs).abs().max() <= 1e-11
    assert strips == [(1, 4, length, 3)]


@pytest.mark.usefixtures("strips")
@pytest.mark.parametrize("length", [129, 1025])
def test_strips_agree_in_float32(length, draw, gradients):
    inputs = draw(7, 1, 6, 2, length, length, 8)
    mine = gradients(lambda *x: fast(*x, is_causal=True) / length, inputs)
    agree(mine, gradients(lambda *x: plain(*x, is_causal=True) / length, inputs))
    assert (fast(*inputs, is_causal=True) - plain(*inputs, is_causal=True)).abs().max() <= OUTPUT


@pytest.mark.usefixtures("strips")
def test_no_strip_lets_a_token_see_a_later_one(draw, gradients):
    query, key, value = draw(8, 1, 2, 1, 300, 300, 8)
    for at in (0, 74, 75, 149, 150, 299):
        _, grads = gradients(
            lambda q, k, v, at=at: fast(q, k, v, is_causal=True)[:, :, at], (query, key, value)
        )
        for grad in grads[1:]:
            assert (grad[:, :, at + 1 :] == 0).all()
        assert (grads[2][:, :, : at + 1] != 0).all()


def test_strips_take_tensors_as_a_model_lays_them_out(draw, gradients, strips):
    inputs = [x.transpose(1, 2).contiguous() for x in draw(9, 2, 4, 2, 150, 150, 8)]

    def swapped(attend):
        return lambda *x: attend(*(y.transpose(1, 2) for y in x), is_causal=True).transpose(1, 2)

    agree(gradients(swapped(fast), inputs), gradients(swapped(plain), inputs))
    assert len(strips) == 1


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("nothing learns", lambda q, k, v: ([q, k, v], {})),
        (
            "half precision",
            lambda q, k, v: ([x.bfloat16().requires_grad_() for x in (q, k, v)], {}),
        ),
        ("fewer queries", lambda q, k, v: ([q[:, :, :130].requires_grad_(), k, v], {})),
        ("narrow values", lambda q, k, v: ([q.requires_grad_(), k, v[..., :3]], {})),
        ("dropout", lambda q, k, v: ([q.requires_grad_(), k, v], {"dropout": 0.5})),
        (
            "a mask",
            lambda q, k, v: ([q.requires_grad_(), k, v], {"may_attend": torch.ones(140) > 0}),
        ),
        ("a bias", lambda q, k, v: ([q.requires_grad_(), k, v], {"bias": torch.ones(140)})),
        ("turned round", lambda q, k, v: ([q.mT.contiguous().mT.requires_grad_(), k, v], {})),
    ],
)
def test_strips_are_left_alone_with(why, change, draw, strips):
    inputs, options = change(*draw(10, 2, 4, 2, 140, 140, 8))
    mixed = fast(*inputs, is_causal=True, **options)
    assert strips == []
    if why != "dropout":
        other = plain(*inputs, is_causal=True, **options)
        assert (mixed - other).abs().max() <= (0.05 if why == "half precision" else OUTPUT)


@pytest.mark.parametrize(
    ("batch", "length", "pays"),
    [
        (8, 128, False),
        (4, 255, False),
        (1, 256, False),
        (2, 256, True),
        (1, 512, True),
    ],
)
def test_strips_are_for_long_texts_alone(batch, length, pays, draw):
    inputs = [x.requires_grad_() for x in draw(11, batch, 8, 2, length, length, 4)]
    assert fast_causal.pays(*inputs) is pays


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.usefixtures("strips")
def test_autocast_and_functional_transforms_still_work(draw):
    inputs = [x.requires_grad_() for x in draw(12, 2, 4, 2, 140, 140, 8)]
    with torch.autocast("cpu", torch.bfloat16):
        assert fast(*inputs, is_causal=True).dtype == torch.bfloat16
    rows = torch.vmap(lambda q: fast(q[None], *(x[:1] for x in inputs[1:]), is_causal=True)[0])(
        inputs[0]
    )
    assert (rows[0] - plain(*(x[:1] for x in inputs), is_causal=True)[0]).abs().max() <= OUTPUT
    ours = torch.func.grad(lambda q: fast(q, *inputs[1:], is_causal=True).square().sum())(inputs[0])
    other = torch.autograd.grad(plain(*inputs, is_causal=True).square().sum(), inputs[0])[0]
    assert (ours - other).abs().max() <= 1e-5


@pytest.mark.usefixtures("strips")
@pytest.mark.parametrize("attend", [fast, plain])
@pytest.mark.parametrize("length", [2, 128])
def test_gradients_are_the_derivatives(attend, length, draw):
    inputs = [x.requires_grad_() for x in draw(13, 1, 2, 1, length, length, 2, torch.float64)]
    assert torch.autograd.gradcheck(
        lambda *x: attend(*x, is_causal=True), inputs, fast_mode=length > 2
    )


@pytest.mark.parametrize("form", ["none", "(B, 1, 1, S)", "(B, 1, T, S)", "(B, H, T, S)"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sdpa_attention_equals_theirs(size, form, draw, random_mask, module_like, gradients):
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    batch, n_heads, n_kv_heads, queries, keys, _ = size
    # They take the queries for the first of the keys, and no mask besides.
    is_causal = queries == keys and form == "none"
    inputs = draw(14, *size)
    mask = MASKS[form] and random_mask(2, *MASKS[form](batch, n_heads, queries, keys))
    layer = module_like(n_heads // n_kv_heads)
    theirs = ALL_ATTENTION_FUNCTIONS["sdpa"]
    agree(
        gradients(
            lambda *x: attention.sdpa_attention(*x, mask, is_causal=is_causal).transpose(1, 2),
            inputs,
        ),
        gradients(lambda *x: theirs(layer, *x, mask, scaling=None, is_causal=is_causal)[0], inputs),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("n_kv_heads", [6, 2])
def test_sdpa_attention_is_bit_equal_to_theirs(n_kv_heads, dtype, draw, module_like):
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    layer = module_like(6 // n_kv_heads)
    theirs = ALL_ATTENTION_FUNCTIONS["sdpa"]
    sizes = [(1, 9, False), (9, 9, True), (9, 9, False), (140, 140, True)]
    for queries, keys, is_causal in sizes[n_kv_heads == 2 :]:
        inputs = draw(15, 2, 6, n_kv_heads, queries, keys, 16, dtype)
        ours = attention.sdpa_attention(*inputs, is_causal=is_causal)
        other = theirs(layer, *inputs, None, scaling=0.25, is_causal=is_causal)[0]
        assert torch.equal(ours.transpose(1, 2), other)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2e-2), (torch.float16, 3e-3)])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_half_precision_stays_near_the_exact_result(size, dtype, tolerance, draw):
    exact = plain(*draw(16, *size, torch.float64))
    for attend in (fast, plain):
        mixed = attend(*draw(16, *size, dtype))
        assert mixed.dtype == dtype
        assert (mixed - exact).abs().max() <= tolerance


@pytest.mark.parametrize("queries", [1, 4])
def test_values_may_be_narrower_than_keys(queries, draw, gradients):
    query, key, value = draw(17, 2, 4, 2, queries, 6, 8)
    inputs = (query, key, value[..., :3])
    mine = gradients(lambda *x: fast(*x), inputs)
    assert mine[0].shape == (2, 4, queries, 3)
    agree(mine, gradients(lambda *x: plain(*x), inputs))


@pytest.mark.parametrize("queries", [1, 5])
def test_any_layout_in_memory_gives_the_same(queries, draw, random_mask):
    query, key, value = draw(18, 2, 6, 2, queries, 7, 4)
    mask = random_mask(1, 2, 6, queries, 7)
    expected = plain(query, key, value, mask)
    layouts = {
        "heads last": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
        "turned round": lambda x: x.mT.contiguous().mT,
        "part of a buffer": lambda x: torch.cat([x, x], 2)[:, :, : x.shape[2]],
    }
    for change in layouts.values():
        for attend in (fast, plain):
            mixed = attend(change(query), change(key), change(value), change(mask))
            assert (mixed - expected).abs().max() <= OUTPUT
    one = draw(18, 1, 6, 2, queries, 7, 4)
    expanded = [x.expand(3, -1, -1, -1) for x in one]
    assert (fast(*expanded) - plain(*one)).abs().max() <= OUTPUT


def test_dropout_of_the_fast_path_keeps_the_mean_and_none_changes_nothing(draw):
    query, key, _ = draw(19, 1, 2, 1, 4, 64, 8)
    value = torch.eye(64).expand(1, 1, 64, 64)  # so that the output is the weights
    torch.manual_seed(0)
    for queries in (1, 4):
        q = query[:, :, :queries]
        whole = fast(q, key, value)
        draws = torch.stack([fast(q, key, value, dropout=0.25) for _ in range(400)])
        assert abs((draws == 0).float().mean().item() - 0.25) < 0.01
        assert (draws.mean(0) - whole).abs().max() < 0.01
        assert torch.equal(fast(q, key, value, dropout=0.0), whole)
