"""The module that gives cosines and sines: exact, unmoved by dtype and history, and cheap."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from minilm.errors import InvalidInput, WrongType
from minilm.positions import RotaryEmbedding, rotary, rotary_scaling

TOLERANCE = 1e-7
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
    "rope_theta": 500000.0,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
LINEAR = {"rope_type": "linear", "factor": 4.0}
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0}
LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.1, 1.2, 1.5],
    "long_factor": [1.5, 3.0, 7.5, 20.0],
    "original_max_position_embeddings": 64,
}
SETTINGS = {"default": None, "llama3": LLAMA3, "yarn": YARN, "linear": LINEAR}
SETTINGS |= {"dynamic": DYNAMIC, "longrope": LONGROPE}


@pytest.fixture
def llama():
    """Llama's module for a setting of ours; a new one each time, for it remembers."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    def build(head_dim: int, longest: int, parameters: dict | None) -> LlamaRotaryEmbedding:
        parameters = {"rope_type": "default", "rope_theta": 10000.0, **(parameters or {})}
        config = LlamaConfig(
            head_dim=head_dim, max_position_embeddings=longest, rope_parameters=parameters
        )
        return LlamaRotaryEmbedding(config)

    return build


def largest_difference(ours, theirs) -> float:
    differences = [mine.float() - other.float() for mine, other in zip(ours, theirs, strict=True)]
    assert [d.shape for d in differences] == [other.shape for other in theirs]
    assert [mine.dtype for mine in ours] == [other.dtype for other in theirs]
    return max(float(d.abs().max()) for d in differences if d.numel())


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("B, T, first", [(1, 1, 0), (1, 1, 63), (3, 2, 5), (2, 64, 0), (1, 1, 64)])
def test_it_is_llamas_within_and_past_the_trained_length(kind, B, T, first, llama):
    position_ids = (torch.arange(T) + first).expand(B, T)
    ours = RotaryEmbedding(8, 64, SETTINGS[kind])
    for longest in (0, 100, 5000):  # also with a far position in the last row
        position_ids = torch.cat([position_ids, position_ids[-1:] + longest])
        theirs = llama(8, 64, SETTINGS[kind])(torch.zeros(1), position_ids)
        assert largest_difference(ours(torch.zeros(1), position_ids), theirs) <= TOLERANCE


@pytest.mark.parametrize("kind", ["longrope", "yarn", "llama3"])
@pytest.mark.parametrize("highest", [62, 63, 64, 100, 255, 256])
def test_the_trained_length_counts_and_not_the_longest(kind, highest, llama):
    position_ids = torch.tensor([[0, highest]])
    theirs = llama(8, 256, SETTINGS[kind])(torch.zeros(1), position_ids)
    ours = RotaryEmbedding(8, 256, SETTINGS[kind])(torch.zeros(1), position_ids)
    assert largest_difference(ours, theirs) <= TOLERANCE


@pytest.mark.parametrize("kind", SETTINGS)
def test_positions_by_the_hundred_thousand_are_as_exact(kind, llama):
    position_ids = torch.tensor([[0, 4095, 16383, 16384, 100_000, 1_000_000]])
    for at in ([position_ids], position_ids.T[:, :, None]):  # together, and one by one
        for ids in at:
            theirs = llama(8, 64, SETTINGS[kind])(torch.zeros(1), ids)
            ours = RotaryEmbedding(8, 64, SETTINGS[kind])(torch.zeros(1), ids)
            assert largest_difference(ours, theirs) <= TOLERANCE


@pytest.mark.parametrize("factor", [0.25, 0.4, 0.5])
def test_a_part_of_each_head_turns_as_in_gpt_neox(factor):
    from transformers import GPTNeoXConfig
    from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXRotaryEmbedding

    parameters = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": factor}
    config = GPTNeoXConfig(hidden_size=80, num_attention_heads=1, rope_parameters=parameters)
    position_ids = torch.tensor([[0, 1, 2, 300]])
    theirs = GPTNeoXRotaryEmbedding(config)(torch.zeros(1), position_ids)
    ours = RotaryEmbedding(80, 2048, parameters)(torch.zeros(1), position_ids)
    assert ours[0].shape[-1] == 80 * factor
    assert largest_difference(ours, theirs) <= TOLERANCE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("kind", SETTINGS)
def test_the_numbers_come_in_the_dtype_of_the_input(dtype, kind, llama):
    position_ids = torch.tensor([[0, 3, 40, 63], [1, 2, 50, 200]])
    x = torch.zeros(1, dtype=dtype)
    ours = RotaryEmbedding(8, 64, SETTINGS[kind])(x, position_ids)
    # float64 shows float32's last digit; the shorter dtypes round it off.
    allowed = TOLERANCE if dtype == torch.float64 else 0
    assert largest_difference(ours, llama(8, 64, SETTINGS[kind])(x, position_ids)) <= allowed


def test_one_module_serves_several_dtypes_in_turn():
    ours = RotaryEmbedding(8)
    position_ids = torch.arange(5)[None]
    for dtype in (torch.float32, torch.bfloat16, torch.float32, torch.float16):
        fresh = RotaryEmbedding(8)(torch.zeros(1, dtype=dtype), position_ids)
        assert largest_difference(ours(torch.zeros(1, dtype=dtype), position_ids), fresh) == 0


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("move", ["bfloat16", "half", "double"])
def test_another_dtype_for_the_model_leaves_the_frequencies_precise(kind, move):
    ours = RotaryEmbedding(8, 64, SETTINGS[kind])
    position_ids = torch.tensor([[0, 63, 1000]])
    before = ours(torch.zeros(1), position_ids)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), ours)
    getattr(model, move)()
    assert model[0].weight.dtype != torch.float32
    assert ours.inv_freq.dtype == torch.float32
    assert largest_difference(ours(torch.zeros(1), position_ids), before) == 0


def test_frequencies_in_bfloat16_would_turn_far_positions_elsewhere():
    rough = rotary.rotary_frequencies(64).bfloat16()
    position_ids = torch.tensor([[1000]])
    cos, _ = rotary.rotary_cos_sin(position_ids, rough)
    exact, _ = RotaryEmbedding(64)(torch.zeros(1), position_ids)
    assert (cos - exact).abs().max() > 0.4


def test_a_default_dtype_of_float64_changes_nothing():
    position_ids = torch.tensor([[0, 63, 1000]])
    for parameters in SETTINGS.values():
        expected = RotaryEmbedding(8, 64, parameters)(torch.zeros(1), position_ids)
        try:
            torch.set_default_dtype(torch.float64)
            ours = RotaryEmbedding(8, 64, parameters)(torch.zeros(1).float(), position_ids)
        finally:
            torch.set_default_dtype(torch.float32)
        assert largest_difference(ours, expected) == 0


def test_nothing_is_saved_or_trained():
    ours = RotaryEmbedding(8, 64, DYNAMIC)
    ours(torch.zeros(1), torch.tensor([[100]]))
    assert ours.state_dict() == {}
    assert list(ours.parameters()) == list(ours.buffers()) == []
    cos, sin = ours(torch.zeros(1, requires_grad=True), torch.tensor([[1]]))
    assert not cos.requires_grad
    assert not sin.requires_grad


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_what_came_before_changes_nothing(kind):
    short, long, middle = (torch.arange(n)[None] for n in (10, 300, 100))
    ours = RotaryEmbedding(8, 64, SETTINGS[kind])
    for position_ids in (long, short, middle, short, long):
        fresh = RotaryEmbedding(8, 64, SETTINGS[kind])(torch.zeros(1), position_ids)
        assert largest_difference(ours(torch.zeros(1), position_ids), fresh) == 0


def test_in_transformers_a_longer_text_before_changes_dynamic_scaling(llama):
    middle = torch.arange(100)[None]
    theirs = llama(8, 64, DYNAMIC)
    before = theirs(torch.zeros(1), middle)
    theirs(torch.zeros(1), torch.arange(300)[None])
    assert largest_difference(theirs(torch.zeros(1), middle), before) > 0.1


@pytest.mark.parametrize("kind", SETTINGS)
def test_token_by_token_is_as_all_at_once_within_the_trained_length(kind):
    ours = RotaryEmbedding(8, 64, SETTINGS[kind])
    at_once = ours(torch.zeros(1), torch.arange(64)[None])
    one_by_one = [ours(torch.zeros(1), torch.tensor([[p]])) for p in range(64)]
    joined = [torch.cat(parts, dim=1) for parts in zip(*one_by_one, strict=True)]
    assert largest_difference(joined, at_once) <= TOLERANCE


def test_generating_computes_cosines_a_handful_of_times(monkeypatch):
    calls = []
    compute = rotary.rotary_cos_sin
    monkeypatch.setattr(
        rotary, "rotary_cos_sin", lambda *args: calls.append(args) or compute(*args)
    )
    ours = RotaryEmbedding(8)
    for position in range(1000):
        ours(torch.zeros(1), torch.tensor([[position]]))
    assert 1 <= len(calls) <= 3  # 256, 512 and 1,024 rows


def test_past_the_trained_length_longrope_computes_its_frequencies_once(monkeypatch):
    calls = []
    compute = rotary_scaling.scaled_frequencies
    monkeypatch.setattr(
        rotary_scaling, "scaled_frequencies", lambda *args: calls.append(args) or compute(*args)
    )
    ours = RotaryEmbedding(8, 64, LONGROPE)
    for position in range(100, 110):
        ours(torch.zeros(1), torch.tensor([[position]]))
    assert len(calls) == 2  # for texts up to the trained length, and past it


def test_past_the_rows_that_are_kept_it_computes_and_keeps_no_more(monkeypatch):
    monkeypatch.setattr(rotary, "MOST_ROWS", 512)
    ours, unlimited = RotaryEmbedding(8), RotaryEmbedding(8)
    monkeypatch.undo()
    for positions in ([[511]], [[512]], [[0, 100_000]], [[2]]):
        position_ids = torch.tensor(positions)
        monkeypatch.setattr(rotary, "MOST_ROWS", 512)
        few = ours(torch.zeros(1), position_ids)
        monkeypatch.undo()
        assert largest_difference(few, unlimited(torch.zeros(1), position_ids)) <= TOLERANCE
    assert [len(rows) for rows in ours._rows.values()] == [512]


@pytest.mark.parametrize("kind", SETTINGS)
def test_negative_and_broken_positions_turn_as_in_llama(kind, llama):
    ours = RotaryEmbedding(8, 64, SETTINGS[kind])
    for positions in ([-3, 0, 5], [0.5, 2.0, 7.25], [-1, 0, 63], [-1, 0, 64], [-1, 0, 200]):
        position_ids = torch.tensor([positions])
        theirs = llama(8, 64, SETTINGS[kind])(torch.zeros(1), position_ids)
        assert largest_difference(ours(torch.zeros(1), position_ids), theirs) <= TOLERANCE


@pytest.mark.parametrize("kind", SETTINGS)
def test_no_positions_give_no_rows(kind):
    cos, sin = RotaryEmbedding(8, 64, SETTINGS[kind])(torch.zeros(1), torch.zeros(2, 0).long())
    assert cos.shape == sin.shape == (2, 0, 8)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_integers_of_both_sizes_do(dtype, llama):
    position_ids = torch.tensor([[0, 5, 63]], dtype=dtype)
    theirs = llama(8, 64, None)(torch.zeros(1), position_ids)
    assert largest_difference(RotaryEmbedding(8)(torch.zeros(1), position_ids), theirs) <= TOLERANCE


@pytest.mark.parametrize("kind", SETTINGS)
def test_copies_and_files_are_small_and_equal(kind):
    ours = RotaryEmbedding(8, 4096, SETTINGS[kind])
    position_ids = torch.tensor([[0, 63, 3000]])
    expected = ours(torch.zeros(1), position_ids)
    written = pickle.dumps(ours)
    assert len(written) < 6_000  # without the rows, which are 200,000 bytes
    for twin in (copy.deepcopy(ours), pickle.loads(written)):
        assert largest_difference(twin(torch.zeros(1), position_ids), expected) == 0
    assert largest_difference(ours(torch.zeros(1), position_ids), expected) == 0


def test_rows_made_while_inferring_serve_training():
    ours = RotaryEmbedding(8)
    with torch.inference_mode():
        ours(torch.zeros(1), torch.tensor([[3]]))
    q = torch.ones(1, 2, 1, 8, requires_grad=True)
    turned, _ = rotary.apply_rotary_pos_emb(q, q, *ours(q, torch.tensor([[3]])))
    turned.sum().backward()
    assert q.grad.abs().max() > 0


def test_another_default_device_changes_nothing():
    ours, x, position_ids = RotaryEmbedding(8), torch.zeros(1), torch.tensor([[0, 3]])
    with torch.device("meta"):
        cos, sin = ours(x, position_ids)
    assert largest_difference((cos, sin), RotaryEmbedding(8)(x, position_ids)) == 0


def test_a_caller_who_changes_what_it_got_harms_no_other():
    ours = RotaryEmbedding(8)
    cos, _ = ours(torch.zeros(1), torch.tensor([[3]]))
    expected = cos.clone()
    cos.zero_()
    assert torch.equal(ours(torch.zeros(1), torch.tensor([[3]]))[0], expected)


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_model_made_without_memory_gets_real_frequencies(kind):
    with torch.device("meta"):
        ours = RotaryEmbedding(8, 64, SETTINGS[kind])
    position_ids = torch.tensor([[0, 5, 100]])
    expected = RotaryEmbedding(8, 64, SETTINGS[kind])(torch.zeros(1), position_ids)
    for moved in (ours, ours.to("meta"), ours.to_empty(device="cpu")):
        assert largest_difference(moved(torch.zeros(1), position_ids), expected) == 0
    on_meta = ours(torch.zeros(1, device="meta"), position_ids.to("meta"))
    assert [part.shape for part in on_meta] == [(1, 3, 8)] * 2
    assert all(part.is_meta for part in on_meta)


@pytest.mark.parametrize("kind", ["default", "yarn"])
def test_it_compiles_to_one_graph(kind):
    ours = RotaryEmbedding(8, 64, SETTINGS[kind])
    compiled = torch.compile(ours, backend="eager", fullgraph=True)
    position_ids = torch.tensor([[0, 5, 100]])
    expected = ours(torch.zeros(1), position_ids)
    assert largest_difference(compiled(torch.zeros(1), position_ids), expected) <= TOLERANCE


def test_a_readers_functions_are_used(monkeypatch):
    monkeypatch.setattr(
        rotary, "rotary_cos_sin", lambda p, f: (torch.ones(1, 1, 8).expand(*p.shape, 8),) * 2
    )
    monkeypatch.setattr(
        rotary, "rotary_frequencies", lambda d, base=1e4: torch.full((d // 2,), 2.0)
    )
    ours = RotaryEmbedding(8)
    assert ours.inv_freq.tolist() == [2.0] * 4
    cos, sin = ours(torch.zeros(1), torch.tensor([[0, 7]]))
    assert cos.tolist() == sin.tolist() == [[[1.0] * 8] * 2]


@pytest.mark.parametrize(
    "head_dim, parameters",
    [(5, None), (0, None), (8, {"rope_type": "ntk"}), (8, {"type": "linear"})],
)
def test_what_cannot_be_is_refused_when_it_is_made(head_dim, parameters):
    with pytest.raises(InvalidInput):
        RotaryEmbedding(head_dim, 64, parameters)


def test_the_parameters_given_are_left_as_they_were():
    given = {"type": "linear", "factor": 2.0}
    RotaryEmbedding(8, 64, given)(torch.zeros(1), torch.tensor([[3]]))
    assert given == {"type": "linear", "factor": 2.0}


def test_it_says_what_it_is():
    text = "RotaryEmbedding(8, 64, rope_type='llama3')"
    assert repr(RotaryEmbedding(8, 64, LLAMA3)) == text


@pytest.mark.parametrize("nothing", [None, [[0, 1]]])
def test_positions_that_are_no_tensor_are_refused(nothing):
    with pytest.raises(WrongType, match=f"position_ids is a {type(nothing).__name__}"):
        RotaryEmbedding(8)(torch.zeros(1), nothing)
