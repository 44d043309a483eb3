"""The exercise cached_attention and its known mistakes."""

from __future__ import annotations

import random

from minilm.check.catalogue.attention.by_transformers import LESSON, TOLERANCE
from minilm.check.comparing import Difference, alike
from minilm.check.drawing import may_attend as draw_mask
from minilm.check.drawing import normal
from minilm.check.exercise import Exercise, Mistake
from minilm.check.later import torch

GROWING, PREALLOCATED = "a DynamicLayer", "a StaticLayer for 16 tokens"
SLIDING = "a DynamicSlidingWindowLayer of 3"


def use_cached(
    function,
    query,
    key,
    value,
    layer=None,
    held_keys=None,
    held_values=None,
    **rest,
):
    """Fill a layer of a cache, attend once, and look at the output and at what the layer holds."""
    from minilm import cache

    made = None
    if layer is not None:
        made = {
            GROWING: cache.DynamicLayer,
            PREALLOCATED: lambda: cache.StaticLayer(16),
            SLIDING: lambda: cache.DynamicSlidingWindowLayer(3),
        }[layer]()
        if held_keys is not None:
            made.update(held_keys, held_values)
        rest["layer"] = made
    given = function(query, key, value, **rest)
    if not isinstance(given, tuple | list) or len(given) != 2:
        return given
    answer = {"mixed values": given[0]}
    if rest.get("output_attentions"):
        answer["weights"] = given[1]
    if made is not None:
        answer["keys in the cache"], answer["values in the cache"] = made.keys, made.values
    return answer


def reference_cached(
    query,
    key,
    value,
    layer=None,
    held_keys=None,
    held_values=None,
    cos_sin=None,
    may_attend=None,
    is_causal=True,
    scale=None,
    output_attentions=False,
):
    """Ask transformers' LlamaAttention, whose projections pick queries, keys and values apart."""
    from transformers import DynamicCache, LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaAttention

    _, H, T, D = query.shape
    H_kv = key.shape[1]
    rows = [x.transpose(1, 2).flatten(2) for x in (query, key, value)]  # (B, T, H·D) each
    widths = [row.shape[-1] for row in rows]
    config = LlamaConfig(
        hidden_size=sum(widths), num_attention_heads=H, num_key_value_heads=H_kv, head_dim=D
    )
    config._attn_implementation = "eager"
    module = LlamaAttention(config, layer_idx=0).eval()
    module.scaling = D**-0.5 if scale is None else scale
    everything = torch.eye(sum(widths))
    parts = [module.q_proj, module.k_proj, module.v_proj]
    cache = DynamicCache()
    if held_keys is not None:
        cache.update(held_keys, held_values, 0)
    S = cache.get_seq_length() + T
    may = torch.ones(T, S).tril(S - T).bool() if is_causal else torch.ones(T, S).bool()
    if may_attend is not None:
        may = may & may_attend
    hidden = torch.zeros(may.shape).masked_fill(~may, torch.finfo(torch.float32).min)
    if cos_sin is None:
        cos_sin = torch.ones(1, T, D), torch.zeros(1, T, D)
    with torch.no_grad():
        for part, rows_of_it in zip(parts, everything.split(widths), strict=True):
            part.weight.copy_(rows_of_it)
        module.o_proj.weight.copy_(everything[:, : widths[0]])
        mixed, weights = module(torch.cat(rows, dim=-1), cos_sin, hidden, cache)
    mixed = mixed[..., : widths[0]].unflatten(-1, (H, D)).transpose(1, 2)
    answer = {"mixed values": mixed}
    if output_attentions:
        answer["weights"] = weights
    if layer is not None:
        kept = slice(-2 if layer == SLIDING else None, None)
        answer["keys in the cache"] = cache.layers[0].keys[:, :, kept]
        answer["values in the cache"] = cache.layers[0].values[:, :, kept]
    return answer


equal = alike(tolerance=TOLERANCE)


def compare_cached(got, expected):
    """Compare as usual, and tell what is wrong with an answer that is not two things."""
    if isinstance(expected, dict) and not isinstance(got, dict):
        found = equal(got, (expected["mixed values"], None))
        return Difference(
            found.size, f"{found.sentence} Wanted: the mixed values, and the weights or None."
        )
    return equal(got, expected)


def turn(x, cos_sin):
    from minilm.positions import rotary

    return x if cos_sin is None else rotary.apply_rotary_pos_emb(x, x, *cos_sin)[0]


def attend(query, key, value, may_attend=None, is_causal=True, **options):
    from minilm import attention

    return attention.attention(query, key, value, may_attend, is_causal=is_causal, **options)


def turn_by_hand(
    query, key, value, layer=None, cos_sin=None, may_attend=None, is_causal=True, **options
):
    if cos_sin is not None:
        cos, sin = (x[:, None] for x in cos_sin)
        half = query.shape[-1] // 2

        def quarter(x):
            return torch.cat((-x[..., half:], x[..., :half]), dim=-1)

        query = query * cos + quarter(query) * sin
        key = key * cos + quarter(key) * sin
    keys, values = (key, value) if layer is None else layer.update(key, value)
    return attend(query, keys, values, may_attend, is_causal, **options)


def with_a_mask_of_its_own(
    query, key, value, layer=None, cos_sin=None, may_attend=None, is_causal=True, **options
):
    from minilm import attention, masks

    query, key = turn(query, cos_sin), turn(key, cos_sin)
    if layer is not None:
        key, value = layer.update(key, value)
    if is_causal:
        causal = masks.causal_mask(query.size(2), key.size(2))
        may_attend = causal if may_attend is None else causal & may_attend
    weights_too = options.pop("output_attentions", False)
    output, weights = attention.eager_attention(query, key, value, may_attend, **options)
    return output, weights if weights_too else None


def step_by_step(
    query, key, value, layer=None, cos_sin=None, may_attend=None, is_causal=True, **options
):
    new = turn(key, cos_sin), value
    everything = new if layer is None else layer.update(*new)
    return list(attend(turn(query, cos_sin), *everything, may_attend, is_causal, **options))


def reading_the_layer(layer, key, value):
    if layer is None:
        return key, value
    layer.update(key, value)
    return layer.keys, layer.values


def keep(layer, key, value):
    return (key, value) if layer is None else layer.update(key, value)


def stepping(
    queries=turn,
    keys=turn,
    values=lambda value, cos_sin: value,
    held=keep,
    after=lambda keys, cos_sin: keys,
    attention=attend,
):
    """Make a cached_attention that takes one of its steps in another way."""

    def cached_attention(
        query, key, value, layer=None, cos_sin=None, may_attend=None, is_causal=True, **options
    ):
        query, key, value = queries(query, cos_sin), keys(key, cos_sin), values(value, cos_sin)
        key, value = held(layer, key, value)
        return attention(query, after(key, cos_sin), value, may_attend, is_causal, **options)

    return cached_attention


def not_turned(x, cos_sin):
    return x


def keep_but_see_the_new(layer, key, value):
    if layer is not None:
        layer.update(key, value)
    return key, value


def see_the_old(layer, key, value):
    if layer is None:
        return key, value
    before = layer.keys, layer.values
    layer.update(key, value)
    return before if before[0] is not None and before[0].shape[2] else (key, value)


def see_all_but_keep_nothing(layer, key, value):
    if layer is None or layer.keys is None or not layer.keys.shape[2]:
        return key, value
    return torch.cat([layer.keys, key], dim=2), torch.cat([layer.values, value], dim=2)


def keep_twice(layer, key, value):
    keep(layer, key, value)
    return keep(layer, key, value)


def keep_exchanged(layer, key, value):
    return (key, value) if layer is None else layer.update(value, key)[::-1]


def causal_from_the_front(query, key, value, may_attend=None, is_causal=True, **options):
    if is_causal:
        front = torch.ones(query.shape[2], key.shape[2]).tril().bool()
        may_attend = front if may_attend is None else front & may_attend
    return attend(query, key, value, may_attend, False, **options)


def turned_after_keeping(
    query, key, value, layer=None, cos_sin=None, may_attend=None, is_causal=True, **options
):
    """Keep the keys as they are; turn the new ones for this call alone."""
    all_keys, all_values = keep(layer, key, value)
    before = all_keys[:, :, : all_keys.shape[2] - key.shape[2]]
    keys = torch.cat([before, turn(key, cos_sin)], dim=2)
    return attend(turn(query, cos_sin), keys, all_values, may_attend, is_causal, **options)


def exchanged_by_turning(
    query, key, value, layer=None, cos_sin=None, may_attend=None, is_causal=True, **options
):
    if cos_sin is not None:
        query, key = turn(key, cos_sin), turn(query, cos_sin)
    key, value = keep(layer, key, value)
    return attend(query, key, value, may_attend, is_causal, **options)


def without_asking_for_angles(
    query, key, value, layer=None, cos_sin=None, may_attend=None, is_causal=True, **options
):
    from minilm.positions import rotary

    query, key = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
    key, value = keep(layer, key, value)
    return attend(query, key, value, may_attend, is_causal, **options)


def draw_steps(draw: random.Random) -> list[dict]:
    cases: list[dict] = []

    def add(B, H, H_kv, T, P, D, turned=False, layer=GROWING, **rest):
        case = {
            "query": normal(draw, B, H, T, D),
            "key": normal(draw, B, H_kv, T, D),
            "value": normal(draw, B, H_kv, T, D),
            "layer": layer,
        }
        if layer is not None and P:
            case["held_keys"] = normal(draw, B, H_kv, P, D)
            case["held_values"] = normal(draw, B, H_kv, P, D)
        if turned:
            angles = (P + torch.arange(T))[None, :, None] / torch.arange(1, D // 2 + 1) ** 2
            angles = torch.cat([angles, angles], dim=-1)  # (1, T, D)
            cos_sin = angles.cos(), angles.sin()
            case["cos_sin"] = tuple(x.float().round(decimals=2) for x in cos_sin)
        cases.append(case | rest)

    add(1, 1, 1, 1, 0, 2, layer=None)
    add(1, 1, 1, 2, 0, 1, layer=None)
    add(1, 1, 1, 2, 0, 2, turned=True, layer=None)
    add(1, 1, 1, 1, 0, 1)
    add(1, 1, 1, 1, 1, 1)
    add(1, 1, 1, 1, 2, 1)
    add(1, 1, 1, 2, 0, 1)
    add(1, 1, 1, 2, 1, 1)
    add(1, 1, 1, 1, 1, 2, turned=True)
    add(1, 1, 1, 2, 1, 2, turned=True)
    add(1, 1, 1, 1, 2, 2, turned=True)
    add(1, 1, 1, 1, 2, 1, layer=SLIDING)
    add(1, 1, 1, 3, 0, 1, layer=SLIDING)
    add(2, 4, 2, 5, 1, 6, turned=True, layer=SLIDING)
    add(1, 1, 1, 1, 2, 1, may_attend=torch.tensor([[False, True, True]]))
    add(1, 1, 1, 2, 1, 1, may_attend=torch.tensor([[False, True, True]]))
    add(1, 1, 1, 2, 1, 1, is_causal=False)
    add(2, 4, 2, 3, 4, 6, turned=True, layer=PREALLOCATED)
    add(2, 4, 2, 1, 5, 6, turned=True, layer=PREALLOCATED)
    add(3, 2, 2, 5, 0, 4, turned=True, layer=PREALLOCATED)
    add(1, 1, 1, 1, 1, 2, scale=draw.choice([1.0, 2.0]))
    add(1, 2, 1, 1, 1, 2, output_attentions=True)
    add(2, 6, 3, 4, 7, 8, turned=True, scale=1.0)
    # The own key may always be seen: what a row does that may look nowhere is asked elsewhere.
    may = draw_mask(draw, 2, 1, 3, 7) | (torch.arange(7) - 4 == torch.arange(3)[:, None])
    add(2, 4, 2, 3, 4, 6, turned=True, may_attend=may)
    for _ in range(3):
        B, H_kv, T, P = draw.sample(range(1, 6), 4)
        add(B, 2 * H_kv, H_kv, T, P, draw.choice([2, 4, 6]), turned=True)
    return cases


CACHED_ATTENTION = Exercise(
    answer="minilm.attention:cached_attention",
    lesson=LESSON,
    cases=draw_steps,
    reference=reference_cached,
    reference_name="transformers' LlamaAttention with a DynamicCache",
    use=use_cached,
    compare=compare_cached,
    mistakes=[
        Mistake(
            "turns the values",
            stepping(values=turn),
            "The values are turned as well. Turning lets queries and keys compare positions; the "
            "values carry what is found, and the layers above cannot undo it.",
        ),
        Mistake(
            "does not turn the queries",
            stepping(queries=not_turned),
            "Only the keys are turned. A product knows the distance of two tokens when both are "
            "turned, each at its own position.",
        ),
        Mistake(
            "does not turn the keys",
            stepping(keys=not_turned),
            "Only the queries are turned, and the cache holds keys that were never turned. A "
            "product knows the distance of two tokens when both are.",
        ),
        Mistake(
            "turns nothing",
            stepping(queries=not_turned, keys=not_turned),
            "`cos_sin` is not used, so the model cannot tell one order of the tokens from another.",
        ),
        Mistake(
            "keeps the keys before turning them",
            turned_after_keeping,
            "The new keys are turned for this call, but the cache has got them unturned: the next "
            "token meets keys without a position. Turn first, then update.",
        ),
        Mistake(
            "turns the kept keys again",
            stepping(keys=not_turned, after=turn),
            "You turn what `update` returns, so the cache holds unturned keys, and all of them are "
            "turned as if they were new. `cos_sin` belongs to the new tokens alone: turn first, "
            "then update.",
        ),
        Mistake(
            "turns the keys twice",
            stepping(after=turn),
            "The keys are turned before `update` and again behind it, the kept ones too. A key is "
            "turned once in its life, when it is new: `cos_sin` belongs to the new tokens.",
        ),
        Mistake(
            "attends to the new tokens alone",
            stepping(held=keep_but_see_the_new),
            "The cache is filled, but attention sees the new keys alone: either it comes before "
            "`update`, or what `update` returns is dropped. With one token at a time each would "
            "see nobody but itself.",
        ),
        Mistake(
            "attends to the old tokens alone",
            stepping(held=see_the_old),
            "You attend to what the cache held before `update`, so the new token cannot see "
            "itself, nor its new neighbours. Attend to what `update` returns.",
        ),
        Mistake(
            "reads the layer instead of what it gives back",
            stepping(held=reading_the_layer),
            "You attend to `layer.keys`. A layer with a sliding window has already dropped what the "
            "first of the new tokens still sees; `update` gives it back. Take what it returns.",
        ),
        Mistake(
            "exchanges what update gives back",
            stepping(
                held=lambda layer, key, value: (
                    (key, value) if layer is None else layer.update(key, value)[::-1]
                )
            ),
            "`update` gives back the keys first, then the values; you take them the other way "
            "round, so the queries are compared with values.",
        ),
        Mistake(
            "exchanges query and key",
            exchanged_by_turning,
            "`apply_rotary_pos_emb` gives back the query first, then the key; you take them the "
            "other way round, so the keys do the asking.",
        ),
        Mistake(
            "keeps nothing",
            stepping(held=see_all_but_keep_nothing),
            "The output is right this time, but the cache stays as it was, so the next call will "
            "miss these tokens. `layer.update(key, value)` puts them in.",
        ),
        Mistake(
            "keeps them twice",
            stepping(held=keep_twice),
            "`update` is called twice, so every new token stands in the cache two times. Call it "
            "once and take both things it returns.",
        ),
        Mistake(
            "exchanges keys and values",
            stepping(held=keep_exchanged),
            "`update` takes the key first, then the value. Exchanged, they come back right to you, "
            "but whoever looks into the cache finds values for keys.",
        ),
        Mistake(
            "lets new tokens see later ones",
            stepping(
                attention=lambda q, k, v, may, causal, **rest: attend(q, k, v, may, False, **rest)
            ),
            "Of several new tokens the first one sees the last. One at a time nobody notices; a "
            "prompt, or text in training, would be read ahead. Hand `is_causal` on.",
        ),
        Mistake(
            "forgets the order where there is a mask",
            stepping(
                attention=lambda q, k, v, may, causal, **rest: attend(
                    q, k, v, may, causal and may is None, **rest
                )
            ),
            "With a mask of padding you drop `is_causal`, and the new tokens see later ones. The "
            "two are combined: hand both on.",
        ),
        Mistake(
            "is always causal",
            stepping(
                attention=lambda q, k, v, may, causal, **rest: attend(q, k, v, may, True, **rest)
            ),
            "`is_causal=False` makes no difference. Encoders and cross attention look both ways: "
            "hand it on.",
        ),
        Mistake(
            "counts the order from the front of the cache",
            stepping(attention=causal_from_the_front),
            "The first new token is treated as the first of the text, and sees one key. The "
            "queries are the last T of the S keys.",
        ),
        Mistake(
            "ignores the mask",
            stepping(
                attention=lambda q, k, v, may, causal, **rest: attend(q, k, v, None, causal, **rest)
            ),
            "`may_attend` is not used, so padding is attended to. Hand it on.",
        ),
        Mistake(
            "drops the other options",
            stepping(attention=lambda q, k, v, may, causal, **rest: attend(q, k, v, may, causal)),
            "`**options` is not handed on: a scale, a bias or the wish for weights is lost.",
        ),
        Mistake(
            "returns the output alone",
            lambda *args, **case: stepping()(*args, **case)[0],
            "`attention` gives two things, the mixed values and the weights (or None). Return both.",
        ),
        Mistake(
            "does not work without angles",
            without_asking_for_angles,
            "`cos_sin` is None for models that learn of positions in another way, as GPT-2 does. "
            "Turn only where there are angles.",
        ),
        Mistake(
            "does not work without a cache",
            stepping(held=lambda layer, key, value: layer.update(key, value)),
            "In training there is no cache: `layer` is None, and None has no `update`. Attend over "
            "the new keys then.",
        ),
    ],
    accepts=[turn_by_hand, with_a_mask_of_its_own, step_by_step],
)
