"""What holds of any causal attention layer, whatever its weights; and that wrong ones break it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minilm import attention, masks
from minilm.positions import counting, rotary

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}
# What a wrong layer changes, on some of the texts below: it is no rounding.
PLAIN_TO_SEE = 1e-3

Masking = Callable[[int, Tensor], Tensor | None]


def right_mask(length: int, attention_mask: Tensor) -> Tensor | None:
    return masks.decoder_mask(length, length, attention_mask)


@dataclass(frozen=True)
class Setting:
    """A layer with grouped queries and a text, both drawn."""

    batch: int
    length: int
    n_kv_heads: int
    n_groups: int
    head_dim: int
    woken: bool
    seed: int
    dtype: torch.dtype = torch.float64

    @property
    def width(self) -> int:
        return 7

    @property
    def tolerance(self) -> float:
        return TOLERANCES[self.dtype]

    def random(self, *shape: int, more: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed + more)
        return torch.randn(*shape, generator=generator).to(self.dtype)

    def text(self, more: int = 0) -> Tensor:
        return self.random(self.batch, self.length, self.width, more=more)

    def layer(self) -> attention.MultiHeadAttention:
        n_heads = self.n_kv_heads * self.n_groups
        made = attention.MultiHeadAttention(
            self.width, n_heads, self.n_kv_heads, self.head_dim, bias=True
        ).to(self.dtype)
        with torch.no_grad():
            for i, weight in enumerate(made.parameters()):
                weight.copy_(self.random(*weight.shape, more=i) * (0.6 if self.woken else 0.2))
        return made


SETTINGS = st.builds(
    Setting,
    batch=st.integers(1, 4),
    length=st.integers(1, 9),
    n_kv_heads=st.integers(1, 3),
    n_groups=st.integers(1, 3),
    head_dim=st.sampled_from([2, 4, 6]),
    woken=st.booleans(),
    seed=st.integers(0, 2**30),
    dtype=st.sampled_from(list(TOLERANCES)),
)
# Where wrong layers are tried.
SAMPLES = [
    Setting(batch, length, n_kv, groups, 4, True, seed)
    for seed, (batch, length, n_kv, groups) in enumerate(
        [(3, 5, 2, 3), (2, 7, 1, 4), (4, 6, 3, 1), (2, 4, 2, 2)]
    )
]


@torch.no_grad()
def attend(
    drawn: Setting,
    text: Tensor,
    attention_mask: Tensor | None = None,
    masking: Masking = right_mask,
    **options: bool,
) -> Tensor:
    """What the layer makes of a text: (B, T, C)."""
    if attention_mask is None:
        attention_mask = torch.ones(text.shape[:2], dtype=torch.int64)
    positions = counting.position_ids_from_mask(attention_mask)
    cos, sin = rotary.rotary_cos_sin(positions, rotary.rotary_frequencies(drawn.head_dim))
    may_attend = masking(text.shape[1], attention_mask)
    output = drawn.layer()(
        text,
        may_attend=may_attend,
        is_causal=may_attend is None,
        cos_sin=(cos.to(text.dtype), sin.to(text.dtype)),
        **options,
    )
    return output[0] if isinstance(output, tuple) else output


def largest(difference: Tensor) -> float:
    return float(difference.abs().max()) if difference.numel() else 0.0


def changed_on_the_left(drawn: Setting, masking: Masking = right_mask, **options: bool) -> float:
    """How much the outputs before a token change with it, for the token that changes most."""
    text, other = drawn.text(), drawn.text(more=1)
    before = attend(drawn, text, None, masking, **options)
    worst = 0.0
    for place in range(drawn.length):
        changed = text.clone()
        changed[:, place] = other[:, place]
        after = attend(drawn, changed, None, masking, **options)
        worst = max(worst, largest((after - before)[:, :place]))
    return worst


def changed_by_left_padding(
    drawn: Setting, masking: Masking = right_mask, **options: bool
) -> float:
    """How much the outputs of real tokens change when padding is put before them."""
    text = drawn.text()
    worst = 0.0
    for n_padding in (1, 3):
        padding = drawn.random(drawn.batch, n_padding, drawn.width, more=2)
        padded = torch.cat([padding, text], dim=1)  # (B, n + T, C)
        attention_mask = torch.ones(padded.shape[:2], dtype=torch.int64)
        attention_mask[:, :n_padding] = 0
        real = attend(drawn, padded, attention_mask, masking, **options)[:, n_padding:]
        worst = max(worst, largest(real - attend(drawn, text, None, masking, **options)))
    return worst


def changed_by_the_batch(drawn: Setting, masking: Masking = right_mask, **options: bool) -> float:
    """How much a row changes with its place and its neighbours, in a batch with padding."""
    text, attention_mask = drawn.text(), torch.ones(drawn.batch, drawn.length, dtype=torch.int64)
    for row in range(drawn.batch):
        attention_mask[row, : min(row, drawn.length - 1)] = 0
    together = attend(drawn, text, attention_mask, masking, **options)
    order = torch.randperm(drawn.batch, generator=torch.Generator().manual_seed(drawn.seed))
    permuted = attend(drawn, text[order], attention_mask[order], masking, **options)
    worst = largest(permuted - together[order])
    for row in range(drawn.batch):
        one = slice(row, row + 1)
        alone = attend(drawn, text[one], attention_mask[one], masking, **options)
        worst = max(worst, largest(alone - together[one]))
    return worst


@pytest.mark.parametrize("output_attentions", [False, True])
@pytest.mark.parametrize(
    "what", [changed_on_the_left, changed_by_left_padding, changed_by_the_batch]
)
def test_it_holds_of_every_layer(what: Callable[..., float], output_attentions: bool) -> None:
    @settings(deadline=None, max_examples=60)
    @given(SETTINGS)
    def check(drawn: Setting) -> None:
        assert what(drawn, output_attentions=output_attentions) <= drawn.tolerance

    check()


@settings(deadline=None)
@given(SETTINGS)
def test_a_token_does_change_what_comes_from_there_on(drawn: Setting) -> None:
    """Or a layer that looks at nothing would have all of these properties."""
    changed = drawn.text()
    changed[:, 0] = drawn.text(more=1)[:, 0]
    difference = attend(drawn, changed) - attend(drawn, drawn.text())
    assert (difference.abs().amax(dim=-1) > drawn.tolerance).all()


@settings(deadline=None)
@given(SETTINGS)
def test_merging_heads_undoes_splitting(drawn: Setting) -> None:
    n_heads = drawn.n_kv_heads * drawn.n_groups
    merged = drawn.random(drawn.batch, drawn.length, n_heads * drawn.head_dim)
    split = attention.split_heads(merged, n_heads)
    assert split.shape == (drawn.batch, n_heads, drawn.length, drawn.head_dim)
    assert torch.equal(attention.merge_heads(split), merged)
    assert torch.equal(attention.split_heads(attention.merge_heads(split), n_heads), split)


@pytest.mark.parametrize("output_attentions", [False, True])
def test_what_a_mask_hides_changes_nothing(output_attentions: bool) -> None:
    """Any mask at all: rows that look nowhere, and rows that look into the future."""

    @settings(deadline=None, max_examples=60)
    @given(SETTINGS)
    def check(drawn: Setting) -> None:
        may_attend = drawn.random(drawn.batch, 1, drawn.length, drawn.length, more=3) > 0

        def masking(length: int, attention_mask: Tensor) -> Tensor:
            return may_attend

        text, other = drawn.text(), drawn.text(more=1)
        before = attend(drawn, text, None, masking, output_attentions=output_attentions)
        assert before.isfinite().all()
        for place in range(drawn.length):
            changed = text.clone()
            changed[:, place] = other[:, place]
            after = attend(drawn, changed, None, masking, output_attentions=output_attentions)
            blind = ~may_attend[:, 0, :, place]  # (B, T)
            blind[:, place] = False  # its own query has changed
            assert largest((after - before)[blind]) <= drawn.tolerance

    check()


def shifted(length: int, attention_mask: Tensor) -> Tensor:
    real = masks.padding_mask(attention_mask)
    return real & torch.ones(length, length).tril(1).bool()


def inverted(length: int, attention_mask: Tensor) -> Tensor:
    return masks.padding_mask(attention_mask) & ~masks.causal_mask(length, length)


def everything(length: int, attention_mask: Tensor) -> Tensor:
    return masks.padding_mask(attention_mask) & torch.ones(length, length).bool()


def transposed(length: int, attention_mask: Tensor) -> Tensor:
    return masks.padding_mask(attention_mask) & masks.causal_mask(length, length).T


def without_padding(length: int, attention_mask: Tensor) -> Tensor:
    return masks.causal_mask(length, length)


def padding_inverted(length: int, attention_mask: Tensor) -> Tensor:
    return masks.padding_mask(1 - attention_mask) & masks.causal_mask(length, length)


def padding_of_queries(length: int, attention_mask: Tensor) -> Tensor:
    hidden = masks.padding_mask(attention_mask).transpose(-2, -1)  # (B, 1, T, 1): rows, not columns
    return hidden & masks.causal_mask(length, length)


def padding_of_the_first_row(length: int, attention_mask: Tensor) -> Tensor:
    return masks.padding_mask(attention_mask[:1]) & masks.causal_mask(length, length)


WRONG_MASKS = {
    shifted: changed_on_the_left,
    inverted: changed_on_the_left,
    everything: changed_on_the_left,
    transposed: changed_on_the_left,
    without_padding: changed_by_left_padding,
    padding_inverted: changed_by_left_padding,
    padding_of_queries: changed_by_left_padding,
    padding_of_the_first_row: changed_by_the_batch,
}


@pytest.mark.parametrize("wrong", WRONG_MASKS, ids=lambda wrong: wrong.__name__)
def test_a_wrong_mask_breaks_it(wrong: Masking) -> None:
    what = WRONG_MASKS[wrong]
    for drawn in SAMPLES:
        assert what(drawn) <= drawn.tolerance
        for output_attentions in (False, True):
            change = what(drawn, wrong, output_attentions=output_attentions)
            assert change > PLAIN_TO_SEE, drawn


def split_without_moving_the_heads(x: Tensor, n_heads: int) -> Tensor:
    return x.reshape(x.shape[0], n_heads, x.shape[1], x.shape[2] // n_heads)


def softmax_over_the_queries(scores: Tensor, may_attend: Tensor | None = None) -> Tensor:
    if may_attend is not None:
        scores = scores.masked_fill(~may_attend, -math.inf)
    return scores.softmax(dim=-2).nan_to_num(0.0)


def mask_after_the_softmax(scores: Tensor, may_attend: Tensor | None = None) -> Tensor:
    weights = scores.softmax(dim=-1)
    return weights if may_attend is None else weights * may_attend


def softmax_over_the_batch(scores: Tensor, may_attend: Tensor | None = None) -> Tensor:
    weights = scores.softmax(dim=0)
    return weights if may_attend is None else weights * may_attend


WRONG_FUNCTIONS = {
    ("split_heads", split_without_moving_the_heads): changed_on_the_left,
    ("masked_softmax", softmax_over_the_queries): changed_on_the_left,
    ("masked_softmax", mask_after_the_softmax): changed_on_the_left,
    ("masked_softmax", softmax_over_the_batch): changed_by_the_batch,
}


@pytest.mark.parametrize("wrong", WRONG_FUNCTIONS, ids=lambda wrong: wrong[1].__name__)
def test_a_wrong_function_in_minilms_place_breaks_it(
    wrong: tuple[str, Callable[..., Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    what = WRONG_FUNCTIONS[wrong]
    for drawn in SAMPLES:
        assert what(drawn, output_attentions=True) <= drawn.tolerance
    monkeypatch.setattr(attention, *wrong)
    for drawn in SAMPLES:
        assert what(drawn, output_attentions=True) > PLAIN_TO_SEE, drawn
