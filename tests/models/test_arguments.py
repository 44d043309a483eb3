"""What forward takes and gives back, in every family, as transformers does."""

from __future__ import annotations

import inspect

import pytest
import torch

from minilm.cache import DynamicCache
from minilm.outputs import ModelOutput

CLOSE = 1e-5


def test_given_positions_count_as_in_transformers(both, texts, difference, family):
    ours, theirs = both(family)
    ids = texts().input_ids
    generator = torch.Generator().manual_seed(2)
    for positions in (
        torch.randint(0, 60, (3, 7), generator=generator),
        torch.arange(5, 12)[None],
        torch.zeros(3, 7, dtype=torch.int64),
    ):
        for use_cache in (True, False):
            asked = {"position_ids": positions, "use_cache": use_cache}
            got, expected = ours(ids, **asked).logits, theirs(ids, **asked).logits
            assert difference(got, expected) <= CLOSE


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_texts_do_not_see_each_other(both, texts, difference, family, attention):
    ours, theirs = both(family, attn_implementation=attention)
    batch = texts(batch=1, length=9)
    packed = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 0, 1]])
    asked = {"position_ids": packed, "use_cache": False}
    together = ours(batch.input_ids, **asked).logits
    assert difference(together, theirs(batch.input_ids, **asked).logits) <= CLOSE
    for start, end in ((0, 3), (3, 7), (7, 9)):
        alone = ours(batch.input_ids[:, start:end]).logits
        assert difference(together[:, start:end], alone) <= CLOSE


def test_positions_ignore_padding_unless_they_are_given(both, texts, difference, family):
    """Left padding needs position_ids: GPT-2 is off without, as in transformers."""
    ours, theirs = both(family)
    batch = texts("left")
    ids, mask = batch.input_ids, batch.attention_mask
    without = ours(ids, attention_mask=mask).logits
    assert difference(without, theirs(ids, attention_mask=mask).logits, batch.real) <= CLOSE
    given = ours(ids, attention_mask=mask, position_ids=batch.position_ids).logits
    row = ours(ids[:1, 3:]).logits
    assert difference(given[:1, 3:], row) <= CLOSE
    assert (difference(without[:1, 3:], row) > 0.1) == (family == "gpt2")


@pytest.mark.parametrize("body", [False, True])
def test_vectors_in_place_of_ids_give_the_same(both, texts, difference, family, body):
    ours, theirs = both(family, body=body)
    ids = texts().input_ids
    vectors = ours.get_input_embeddings()(ids)
    from_ids, from_vectors = ours(ids)[0], ours(inputs_embeds=vectors)[0]
    assert torch.equal(from_ids, from_vectors)
    assert difference(from_vectors, theirs(inputs_embeds=vectors.detach())[0]) <= CLOSE


def test_logits_to_keep_keeps_those(both, texts, difference, family):
    ours, theirs = both(family)
    ids = texts().input_ids
    everything = ours(ids).logits
    each_row = torch.tensor([[0, 3], [6, 6], [2, 1]])
    chosen = torch.zeros(3, 7, dtype=torch.bool)
    chosen[0, 2] = chosen[2, 4:] = True
    kept = {
        0: everything,
        1: everything[:, -1:],
        3: everything[:, -3:],
        50: everything,
    }
    for keep, expected in kept.items():
        got = ours(ids, logits_to_keep=keep).logits
        assert difference(got, expected) <= CLOSE
        assert difference(got, theirs(ids, logits_to_keep=keep).logits) <= CLOSE
    for keep, expected in (
        (torch.tensor([-1, 1]), everything[:, [6, 1]]),
        (each_row - 7, everything[torch.arange(3)[:, None], each_row]),
        (each_row[1:2], everything[:, [6, 6]]),
        (torch.tensor([5, 0, 0]), everything[:, [5, 0, 0]]),
        (each_row, everything[torch.arange(3)[:, None], each_row]),
        (chosen, everything[chosen]),
    ):
        got = ours(ids, logits_to_keep=keep).logits
        assert difference(got, expected) <= CLOSE
        assert difference(got, theirs(ids, logits_to_keep=keep).logits) <= CLOSE


def test_labels_of_minus_100_are_not_judged(both, texts, difference, family):
    ours, theirs = both(family)
    ids = texts().input_ids
    labels = ids.clone()
    labels[0, 2:5] = labels[2] = -100
    got, expected = ours(ids, labels=labels).loss, theirs(ids, labels=labels).loss
    assert difference(got, expected) <= 1e-6
    assert difference(got, ours(ids, labels=ids).loss) > 1e-3
    assert torch.equal(ours(ids, labels=labels.int()).loss, got)
    nothing = torch.full_like(ids, -100)
    assert ours(ids, labels=nothing).loss.isnan()


@pytest.mark.parametrize("count", [5, torch.tensor(11), torch.tensor(4.0)])
def test_the_sum_is_divided_by_num_items_in_batch(both, texts, difference, family, count):
    ours, theirs = both(family)
    ids = texts().input_ids
    asked = {"labels": ids, "num_items_in_batch": count}
    got, mean = ours(ids, **asked).loss, ours(ids, labels=ids).loss
    assert difference(got, theirs(ids, **asked).loss) <= 1e-5
    assert difference(got, mean * 18 / float(count)) <= 1e-4


def test_labels_may_come_shifted(both, texts, difference, family):
    """The last place of a piece of text is judged too: its next token stands in the next piece."""
    ours, theirs = both(family)
    batch = texts(length=8)
    ids, shifted = batch.input_ids[:, :-1], batch.input_ids[:, 1:].contiguous()
    for more in ({}, {"num_items_in_batch": 9}):
        got = ours(ids, shift_labels=shifted, **more).loss
        expected = theirs(ids, labels=ids, shift_labels=shifted, **more).loss
        assert difference(got, expected) <= 1e-5
    assert difference(got, ours(ids, labels=ids, **more).loss) > 1e-3


def test_a_tuple_and_a_mapping_hold_the_same(both, texts, family):
    ours, theirs = both(family)
    ids = texts().input_ids
    asked = {"labels": ids, "output_hidden_states": True, "output_attentions": True}
    output = ours(ids, **asked)
    names = ["loss", "logits", "past_key_values", "hidden_states", "attentions"]
    assert list(output) == names
    plain = ours(ids, **asked, return_dict=False)
    assert type(plain) is tuple
    assert len(plain) == len(output) == 5
    for place, name in enumerate(names):
        assert output[place] is output[name] is getattr(output, name)
    assert torch.equal(plain[0], output.loss)
    assert torch.equal(plain[1], output.logits)
    assert torch.equal(plain[2].layers[0].keys, output.past_key_values.layers[0].keys)
    for got, expected in zip(plain[3:], output[3:], strict=True):
        assert all(torch.equal(*pair) for pair in zip(got, expected, strict=True))
    short = ours(ids, use_cache=False)
    assert list(short) == list(theirs(ids, use_cache=False)) == ["logits"]
    assert short.loss is short.attentions is None
    ours.config.return_dict = False
    assert type(ours(ids)) is tuple
    assert isinstance(ours(ids, return_dict=True), ModelOutput)


def test_the_config_decides_what_is_not_said(ours, texts, family):
    ids = texts().input_ids
    model = ours(family)
    assert isinstance(model(ids).past_key_values, DynamicCache)
    assert model(ids, use_cache=False).past_key_values is None
    assert isinstance(model.train()(ids).past_key_values, DynamicCache)  # as in transformers
    model = ours(family, use_cache=False, output_hidden_states=True)
    assert model(ids).past_key_values is None
    assert model(ids, use_cache=True).past_key_values is not None
    assert len(model(ids).hidden_states) == 4
    assert model(ids, output_hidden_states=False).hidden_states is None
    model.config.output_attentions = True
    assert len(model(ids).attentions) == 3
    assert model(ids, output_attentions=False).attentions is None


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_attentions_are_there_whatever_computes_them(both, texts, difference, family, attention):
    """transformers returns Nones for all but "eager"."""
    ours, theirs = both(family, attn_implementation="eager")
    ours.set_attn_implementation(attention)
    assert ours.attn_implementation == attention
    batch = texts("left")
    ids, mask = batch.input_ids, batch.attention_mask
    got = ours(ids, attention_mask=mask, output_attentions=True)
    expected = theirs(ids, attention_mask=mask, output_attentions=True).attentions
    for weights, their_weights in zip(got.attentions, expected, strict=True):
        assert weights.shape == (3, 4, 7, 7)
        gap = (weights - their_weights).abs().transpose(1, 2)  # (B, T, H, S)
        assert gap[batch.real].max().item() <= CLOSE
        assert torch.allclose(weights.sum(-1).transpose(1, 2)[batch.real], torch.ones(()))
    silent = ours(ids, attention_mask=mask)
    assert silent.attentions is None
    assert difference(silent.logits, got.logits, batch.real) <= CLOSE


def test_a_mask_of_four_dimensions_says_it_all(both, texts, difference, family):
    ours, theirs = both(family)
    ids = texts().input_ids
    mask = torch.ones(3, 1, 7, 7).tril().bool()
    mask[1, 0, 4, 1] = False
    got = ours(ids, attention_mask=mask).logits
    assert difference(got, theirs(ids, attention_mask=mask).logits) <= CLOSE
    windows = {"mistral": {"sliding_window": None}, "qwen2": {"use_sliding_window": False}}
    whole = ours if family not in windows else both(family, **windows[family])[0]
    assert difference(got[[0, 2]], whole(ids).logits[[0, 2]]) <= CLOSE
    assert difference(got[1], whole(ids).logits[1]) > 1e-4


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.float32])
def test_masks_may_be_of_any_kind_of_number(ours, texts, difference, family, kind):
    model, batch = ours(family), texts("right")
    ids, mask = batch.input_ids, batch.attention_mask
    expected = model(ids, attention_mask=mask).logits
    assert difference(model(ids, attention_mask=mask.to(kind)).logits, expected) == 0
    all_real = model(ids, attention_mask=torch.ones_like(mask, dtype=kind)).logits
    assert difference(all_real, model(ids).logits) == 0


@pytest.mark.parametrize("padding", ["left", "right"])
def test_a_text_goes_on_from_a_cache_with_a_mask(both, texts, difference, family, padding):
    """With an attention mask over everything, also when new tokens are several, or padded."""
    ours, theirs = both(family)
    batch = texts(padding)
    ids, mask, positions = batch.input_ids, batch.attention_mask, batch.position_ids
    whole = ours(ids, attention_mask=mask, position_ids=positions).logits
    for split in (2, 4, 6):
        logits = []
        for model in (ours, theirs):
            asked = {"attention_mask": mask[:, :split], "position_ids": positions[:, :split]}
            past = model(ids[:, :split], **asked).past_key_values
            asked = {"attention_mask": mask, "position_ids": positions[:, split:]}
            logits.append(model(ids[:, split:], past_key_values=past, **asked).logits)
        real = batch.real[:, split:]
        assert difference(logits[0], whole[:, split:], real) <= CLOSE
        assert difference(logits[0], logits[1], real) <= CLOSE


def test_positions_go_on_from_the_cache(both, texts, difference, family):
    ours, theirs = both(family)
    ids = texts().input_ids
    expected = theirs(ids).logits
    past = ours(ids[:, :3]).past_key_values
    output = ours(ids[:, 3:], past_key_values=past)
    assert difference(output.logits, expected[:, 3:]) <= CLOSE
    assert output.past_key_values is past


def test_segments_of_gpt2_are_looked_up_among_the_tokens(both, texts, difference):
    ours, theirs = both("gpt2")
    ids = texts().input_ids
    segments = torch.tensor([[0, 0, 5, 5, 5, 1, 36]]).expand(3, 7)
    got = ours(ids, token_type_ids=segments).logits
    assert difference(got, theirs(ids, token_type_ids=segments).logits) <= CLOSE
    assert difference(got, ours(ids).logits) > 1e-3
    body, their_body = both("gpt2", body=True)
    assert (
        difference(
            body(ids, token_type_ids=segments)[0], their_body(ids, token_type_ids=segments)[0]
        )
        <= CLOSE
    )


@pytest.mark.parametrize("body", [False, True])
def test_arguments_stand_where_transformers_has_them(both, family, body):
    ours, theirs = both(family, body=body)
    here, there = (
        [name for name in inspect.signature(model.forward).parameters if "encoder" not in name]
        for model in (ours, theirs)
    )
    there.remove("kwargs")
    assert here[: len(there)] == there
    more = {"output_attentions", "output_hidden_states", "return_dict", "unknown"}
    loss = set() if body else {"shift_labels", "num_items_in_batch"}
    assert set(here[len(there) :]) == more | loss
