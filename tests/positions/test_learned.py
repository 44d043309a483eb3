"""Learned positions: GPT-2's, BERT's and BART's, and an error that says which position has none."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from minilm.errors import InvalidInput, OutOfRange, WrongType
from minilm.positions import LearnedPositions


@pytest.fixture
def positions() -> LearnedPositions:
    return LearnedPositions(6, 4)


def ids(*shape: int, highest: int) -> torch.Tensor:
    return torch.randint(0, highest + 1, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("B, T", [(1, 1), (3, 2), (2, 7)])
def test_gpt2_adds_these_to_its_tokens(B, T, wake):
    from transformers import GPT2Config, GPT2Model

    model = wake(GPT2Model(GPT2Config(n_layer=0, n_head=1, n_embd=12, vocab_size=9, n_positions=8)))
    ours = LearnedPositions(8, 12)
    ours.load_state_dict(model.wpe.state_dict())
    input_ids, position_ids = ids(B, T, highest=8), ids(B, T, highest=7)
    embedded = model.ln_f(model.wte(input_ids) + ours(position_ids))
    theirs = model(input_ids, position_ids=position_ids).last_hidden_state
    assert torch.equal(embedded, theirs)


@pytest.mark.parametrize("B, T", [(1, 1), (3, 2), (2, 7)])
def test_bert_adds_these_to_its_tokens(B, T, wake):
    from transformers import BertConfig
    from transformers.models.bert.modeling_bert import BertEmbeddings

    config = BertConfig(hidden_size=12, num_attention_heads=2, vocab_size=9)
    config.max_position_embeddings = 8
    bert = wake(BertEmbeddings(config))
    ours = LearnedPositions(8, 12)
    ours.load_state_dict(bert.position_embeddings.state_dict())
    input_ids, position_ids = ids(B, T, highest=8), ids(B, T, highest=7)
    types = bert.token_type_embeddings(torch.zeros_like(input_ids))
    embedded = bert.LayerNorm(bert.word_embeddings(input_ids) + types + ours(position_ids))
    assert torch.equal(embedded, bert(input_ids=input_ids, position_ids=position_ids))


@pytest.mark.parametrize("B, T, past", [(1, 1, 0), (3, 2, 5), (2, 7, 1), (1, 8, 0)])
def test_bart_skips_two_rows(B, T, past):
    from transformers.models.bart.modeling_bart import BartLearnedPositionalEmbedding

    bart = BartLearnedPositionalEmbedding(8, 12)
    ours = LearnedPositions(8, 12, offset=2)
    ours.load_state_dict(bart.state_dict())  # 10 rows
    position_ids = torch.arange(past, past + T).expand(B, T)
    theirs = bart(torch.zeros(B, T), past_key_values_length=past)
    assert torch.equal(ours(position_ids), theirs)
    assert not torch.equal(theirs, bart.weight[position_ids])  # without the offset: other rows


def test_gradients_are_those_of_bart(draw):
    from transformers.models.bart.modeling_bart import BartLearnedPositionalEmbedding

    bart = BartLearnedPositionalEmbedding(8, 12)
    ours = LearnedPositions(8, 12, offset=2)
    ours.load_state_dict(bart.state_dict())
    weights = draw(3, 5, 12)
    (bart(torch.zeros(3, 5)) * weights).sum().backward()
    (ours(torch.arange(5).expand(3, 5)) * weights).sum().backward()
    assert (ours.weight.grad - bart.weight.grad).abs().max() <= 1e-6
    assert ours.weight.grad[2:7].abs().min() > 0  # rows of positions 0 to 4, and no others
    assert ours.weight.grad[:2].abs().max() == ours.weight.grad[7:].abs().max() == 0


@pytest.mark.parametrize("offset", [0, 2])
def test_the_last_position_is_there(offset):
    ours = LearnedPositions(6, 4, offset)
    assert torch.equal(ours(torch.tensor([5])), ours.weight[-1:])
    assert ours.weight.shape == (6 + offset, 4)


@pytest.mark.parametrize("offset", [0, 2])
@pytest.mark.parametrize("bad", [6, 7, 100, -1, -2, -3])
def test_a_position_outside_is_named_with_its_place(offset, bad):
    ours = LearnedPositions(6, 4, offset)
    position_ids = torch.tensor([[0, 1, 2], [3, bad, bad]])
    with pytest.raises(OutOfRange, match=rf"Position {bad} \(position_ids\[1, 1\]\).* 6 positions"):
        ours(position_ids)


def test_the_errors_are_built_in_ones_too_without_torchs_own_before_them(positions):
    for bad, kind in ((torch.tensor(6), IndexError), (torch.tensor(0.5), TypeError)):
        with pytest.raises(kind) as caught:
            positions(bad)
        assert caught.value.__suppress_context__


def test_positions_that_are_no_integers_are_refused(positions):
    with pytest.raises(WrongType, match=r"torch\.float32.*whole numbers"):
        positions(torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize("sizes", [(0, 4), (6, 0), (6, 4, -1)])
def test_sizes_that_make_no_table_are_refused(sizes):
    with pytest.raises(InvalidInput, match="were given"):
        LearnedPositions(*sizes)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_integers_of_both_sizes_and_any_shape_do(dtype, positions):
    for shape in [(), (1,), (2, 3), (2, 1, 3), (0,), (2, 0)]:
        position_ids = torch.zeros(shape, dtype=dtype)
        assert positions(position_ids).shape == (*shape, 4)


def test_the_table_follows_dtype_device_and_copies(positions):
    assert positions.to(torch.bfloat16)(torch.tensor([1])).dtype == torch.bfloat16
    for twin in (copy.deepcopy(positions), pickle.loads(pickle.dumps(positions))):
        assert torch.equal(twin(torch.arange(6)), positions(torch.arange(6)))
    on_meta = copy.deepcopy(positions).to("meta")
    assert on_meta(torch.zeros(2, 3, dtype=torch.int64, device="meta")).shape == (2, 3, 4)


def test_it_says_what_it_is():
    assert repr(LearnedPositions(6, 4, offset=2)) == "LearnedPositions(6, 4, offset=2)"


@pytest.mark.parametrize("nothing", [None, [[0, 1]]])
def test_positions_that_are_no_tensor_are_refused(nothing):
    with pytest.raises(WrongType, match=f"position_ids is a {type(nothing).__name__}"):
        LearnedPositions(4, 2)(nothing)
