"""Every scaling of rotary frequencies over the settings of published models."""

from __future__ import annotations

import pytest
import torch

from minilm.errors import InvalidInput, WrongType
from minilm.positions import SCALINGS, rotary, scaled_frequencies

LLAMA3 = {
    "rope_type": "llama3",
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_theta": 500000.0,
}
DEEPSEEK = {
    "rope_type": "yarn",
    "factor": 40,
    "beta_fast": 32,
    "beta_slow": 1,
    "original_max_position_embeddings": 4096,
    "rope_theta": 10000,
}
QWEN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 32768,
    "rope_theta": 1e6,
}
PHI = {
    "rope_type": "longrope",
    "short_factor": [1.0 + 0.05 * i for i in range(48)],
    "long_factor": [1.0 + 0.03 * i**1.9 for i in range(48)],
    "original_max_position_embeddings": 4096,
    "rope_theta": 10000.0,
}

# Whose setting -> (head_dim, max_position_embeddings, rope_parameters).
PUBLISHED = {
    "Llama 2": (128, 4096, {"rope_type": "default", "rope_theta": 10000.0}),
    "GPT-NeoX-20B": (96, 2048, {"rope_theta": 10000, "partial_rotary_factor": 0.25}),
    "Phi-2": (80, 2048, {"rope_theta": 10000.0, "partial_rotary_factor": 0.4}),
    "Vicuna 16k": (128, 16384, {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}),
    "Gemma 3": (256, 131072, {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}),
    "dynamic": (128, 4096, {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}),
    "dynamic, in part": (
        64,
        2048,
        {"rope_type": "dynamic", "factor": 4, "rope_theta": 1e4, "partial_rotary_factor": 0.5},
    ),
    "Llama 3.1": (128, 131072, {**LLAMA3, "factor": 8.0}),
    "Llama 3.2": (64, 131072, {**LLAMA3, "factor": 32.0}),
    "Llama 3.2, in part": (64, 131072, {**LLAMA3, "factor": 32, "partial_rotary_factor": 0.5}),
    "Qwen 2.5": (128, 32768, QWEN),
    "Qwen 2.5, 1M": (128, 1010000, {**QWEN, "original_max_position_embeddings": 262144}),
    "Qwen, attention factor": (128, 131072, {**QWEN, "attention_factor": 1.5}),
    "Qwen, by length": (128, 131072, {**QWEN, "factor": None}),
    "Qwen, other ramp": (128, 32768, {**QWEN, "beta_fast": 64.0, "beta_slow": 2.0}),
    "Qwen, in part": (128, 32768, {**QWEN, "partial_rotary_factor": 0.5}),
    "DeepSeek V2": (64, 163840, {**DEEPSEEK, "mscale": 0.707, "mscale_all_dim": 0.707}),
    "DeepSeek V3": (64, 163840, {**DEEPSEEK, "mscale": 1.0, "mscale_all_dim": 1.0}),
    "DeepSeek, uneven": (64, 163840, {**DEEPSEEK, "mscale": 1.0, "mscale_all_dim": 0.8}),
    "DeepSeek, one mscale": (64, 163840, {**DEEPSEEK, "mscale": 0.5, "mscale_all_dim": 0}),
    "gpt-oss": (64, 131072, {**DEEPSEEK, "factor": 32.0, "rope_theta": 150000, "truncate": False}),
    "a step for a ramp": (8, 64, {**QWEN, "original_max_position_embeddings": 4}),
    "a ramp past the end": (
        8,
        8192,
        {**DEEPSEEK, "rope_theta": 10.0, "beta_fast": 600},
    ),
    "Qwen, shorter": (128, 32768, {**QWEN, "factor": 0.5}),
    "Phi-3 mini": (96, 131072, PHI),
    "Phi-4 mini": (128, 131072, {**PHI, "partial_rotary_factor": 0.75}),
    "Phi, factor": (96, 131072, {**PHI, "factor": 16.0}),
    "Phi, attention factor": (96, 131072, {**PHI, "attention_factor": 1.19}),
    "Phi, not longer": (96, 4096, PHI),
    "Phi, shorter": (96, 2048, PHI),
    "Gemma 4": (
        512,
        131072,
        {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25},
    ),
    "proportional, slowed": (64, 4096, {"rope_type": "proportional", "factor": 8.0}),
}


@pytest.fixture
def transformers_frequencies():
    """What transformers computes for a setting, and a model's module for it."""
    from transformers import GPTNeoXConfig, LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXRotaryEmbedding

    def compute(head_dim, max_position_embeddings, parameters, length=None):
        parameters = {"rope_theta": 10000.0, **parameters}
        kind = parameters.setdefault("rope_type", "default")
        if kind == "default":  # Llama's own turns whole heads whatever the config says
            parameters.setdefault("partial_rotary_factor", 1.0)  # 0.25 in GPT-NeoX
            config = GPTNeoXConfig(
                hidden_size=head_dim, num_attention_heads=1, rope_parameters=parameters
            )
            return GPTNeoXRotaryEmbedding.compute_default_rope_parameters(config)
        config = LlamaConfig(
            head_dim=head_dim,
            max_position_embeddings=max_position_embeddings,
            rope_parameters=parameters,
        )
        return ROPE_INIT_FUNCTIONS[kind](config, seq_len=length)

    return compute


def lengths(max_position_embeddings: int, parameters: dict) -> list[int | None]:
    """None, and the lengths around the one from which on frequencies may differ."""
    trained = parameters.get("original_max_position_embeddings", max_position_embeddings)
    return [None, 1, trained, trained + 1, 3 * trained]


@pytest.mark.parametrize("name", PUBLISHED)
def test_frequencies_and_attention_scaling_are_those_of_transformers(
    name, transformers_frequencies
):
    head_dim, longest, parameters = PUBLISHED[name]
    for length in lengths(longest, parameters):
        ours, scaling = scaled_frequencies(head_dim, parameters, longest, length)
        theirs, their_scaling = transformers_frequencies(head_dim, longest, parameters, length)
        assert ours.dtype == torch.float32
        # To the last bit: position 100,000 makes an error a hundred thousand times as large.
        assert torch.equal(ours, theirs), length
        assert scaling == pytest.approx(their_scaling, rel=1e-12)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_setting_differs_from_no_scaling_or_is_none(name):
    head_dim, longest, parameters = PUBLISHED[name]
    plain = {key: parameters[key] for key in parameters if key == "rope_theta"}
    ours, _ = scaled_frequencies(head_dim, parameters, longest, 3 * longest)
    same = torch.equal(ours, scaled_frequencies(head_dim, plain, longest)[0])
    assert same == (name == "Llama 2")


def test_every_scaling_has_a_published_setting():
    kinds = {parameters.get("rope_type", "default") for _, _, parameters in PUBLISHED.values()}
    assert kinds == set(SCALINGS)


def test_transformers_knows_no_other_scaling():
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    assert set(SCALINGS) == {"default", *ROPE_INIT_FUNCTIONS}


def test_a_tensor_of_a_length_rounds_as_transformers_forward_does(transformers_frequencies):
    head_dim, longest, parameters = PUBLISHED["dynamic"]
    for length in (longest + 1, 5000, 12345):
        length = torch.tensor(length)
        ours, _ = scaled_frequencies(head_dim, parameters, longest, length)
        theirs, _ = transformers_frequencies(head_dim, longest, parameters, length)
        assert torch.equal(ours, theirs)


def test_phi_takes_the_long_factors_past_the_trained_length_alone():
    head_dim, longest, parameters = PUBLISHED["Phi-3 mini"]
    short, at_limit, past = (
        scaled_frequencies(head_dim, parameters, longest, length)[0] for length in (1, 4096, 4097)
    )
    assert torch.equal(short, at_limit)
    assert not torch.equal(short, past)


def test_the_older_key_type_names_the_scaling_too():
    older = {"type": "linear", "factor": 2.0}
    ours, _ = scaled_frequencies(8, older, 64)
    assert torch.equal(ours, rotary.rotary_frequencies(8) / 2)


@pytest.mark.parametrize("nothing", [None, {}, {"rope_type": None}, {"rope_type": "default"}])
def test_without_parameters_nothing_is_scaled(nothing):
    ours, scaling = scaled_frequencies(8, nothing, 64)
    assert torch.equal(ours, rotary.rotary_frequencies(8))
    assert scaling == 1.0


def test_parameters_that_are_none_count_as_absent(transformers_frequencies):
    absent = {"rope_theta": None, "partial_rotary_factor": None, "factor": 2.0, "type": "linear"}
    ours, _ = scaled_frequencies(8, absent, 64)
    assert torch.equal(ours, rotary.rotary_frequencies(8) / 2)


def test_without_a_trained_length_the_longest_is_it(transformers_frequencies):
    for name in ("Llama 3.1", "Qwen 2.5", "Phi-3 mini"):
        head_dim, longest, parameters = PUBLISHED[name]
        parameters = dict(parameters)
        del parameters["original_max_position_embeddings"]
        ours, scaling = scaled_frequencies(head_dim, parameters, longest)
        theirs, their_scaling = transformers_frequencies(head_dim, longest, parameters)
        assert torch.equal(ours, theirs)
        assert scaling == pytest.approx(their_scaling)


def test_an_odd_part_of_a_head_turns_one_dimension_more_as_in_transformers(
    transformers_frequencies,
):
    for kind in ({}, {"rope_type": "linear", "factor": 2.0}, {"rope_type": "dynamic", "factor": 2}):
        parameters = {**kind, "rope_theta": 1e4, "partial_rotary_factor": 0.25}
        ours, _ = scaled_frequencies(20, parameters, 64, 100)
        theirs, _ = transformers_frequencies(20, 64, parameters, 100)
        assert len(ours) == 3
        assert torch.equal(ours, theirs)


def test_a_readers_frequencies_are_used_by_every_scaling(monkeypatch):
    monkeypatch.setattr(
        rotary, "rotary_frequencies", lambda d, base=1e4: torch.full((d // 2,), 9.0)
    )
    for name, (head_dim, longest, parameters) in PUBLISHED.items():
        if parameters.get("rope_type") != "longrope":  # which has factors in place of all of it
            assert scaled_frequencies(head_dim, parameters, longest)[0].max() > 1.1, name


MISSING = [
    ("linear", "factor"),
    ("dynamic", "factor"),
    ("yarn", "factor"),
    ("llama3", "factor"),
    ("llama3", "low_freq_factor"),
    ("llama3", "high_freq_factor"),
    ("longrope", "short_factor"),
    ("longrope", "long_factor"),
]


@pytest.mark.parametrize("kind, key", MISSING)
def test_a_missing_parameter_is_named(kind, key):
    everything = {**PHI, **LLAMA3, "factor": 2.0, "rope_type": kind}
    del everything[key]
    with pytest.raises(InvalidInput, match=f"type '{kind}' lack '{key}'"):
        scaled_frequencies(96, everything, 131072)


@pytest.mark.parametrize("value", [0, -2.0, "8", True, [8.0], float("nan"), None])
def test_a_factor_that_is_no_positive_number_is_refused(value):
    with pytest.raises(InvalidInput, match=r"rope_parameters\['factor'\]=.*a positive number"):
        scaled_frequencies(64, {**LLAMA3, "factor": value}, 131072)


@pytest.mark.parametrize("key", ["rope_theta", "partial_rotary_factor"])
def test_a_zero_is_not_taken_for_nothing(key):
    with pytest.raises(InvalidInput, match=rf"\['{key}'\]=0 was given"):
        scaled_frequencies(8, {key: 0}, 64)


@pytest.mark.parametrize("key", ["short_factor", "long_factor"])
@pytest.mark.parametrize("factors, said", [([1.0] * 47, "47"), ([], "0"), (4.0, "4.0")])
def test_factors_of_another_length_are_refused(key, factors, said):
    with pytest.raises(InvalidInput, match=rf"\['{key}'\] has {said} numbers; there are 48 pairs"):
        scaled_frequencies(96, {**PHI, key: factors}, 131072)


def test_an_unknown_type_is_told_the_known_ones():
    with pytest.raises(InvalidInput, match="rope_type='ntk' was given; minilm knows default, lin"):
        scaled_frequencies(64, {"rope_type": "ntk"}, 64)


def test_parameters_for_each_kind_of_layer_are_not_taken_for_one_set():
    nested = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}
    with pytest.raises(InvalidInput, match=r"\['full_attention', 'sliding_attention'\]. Give one"):
        scaled_frequencies(64, nested, 64)


def test_parameters_that_are_no_dict_are_refused():
    with pytest.raises(WrongType, match="takes a dict, or None"):
        scaled_frequencies(64, "llama3", 64)


@pytest.mark.parametrize(
    "head_dim, factor", [(5, 1.0), (0, 1.0), (-4, 1.0), (8, 0.1), (8, 1.5), (7, None)]
)
def test_dimensions_that_cannot_turn_are_refused(head_dim, factor):
    with pytest.raises(InvalidInput, match=f"head_dim={head_dim}.*even head_dim"):
        scaled_frequencies(head_dim, {"partial_rotary_factor": factor}, 64)


def test_dynamic_scaling_of_two_dimensions_is_refused():
    with pytest.raises(InvalidInput, match="more than 2 dimensions"):
        scaled_frequencies(2, {"rope_type": "dynamic", "factor": 2.0}, 64)


def test_the_default_dtype_changes_nothing():
    for head_dim, longest, parameters in PUBLISHED.values():
        expected, _ = scaled_frequencies(head_dim, parameters, longest, 3 * longest)
        try:
            torch.set_default_dtype(torch.float64)
            ours, _ = scaled_frequencies(head_dim, parameters, longest, 3 * longest)
        finally:
            torch.set_default_dtype(torch.float32)
        assert ours.dtype == torch.float32
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("key", ["beta_fast", "beta_slow", "mscale", "mscale_all_dim"])
@pytest.mark.parametrize("value", ["32", -1.0, [1.0]])
def test_what_yarn_may_be_given_besides_is_a_positive_number(key, value):
    everything = {"rope_type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 1.0}
    with pytest.raises(InvalidInput, match=rf"\['{key}'\]=.*a positive number"):
        scaled_frequencies(64, {**everything, key: value}, 4096)


@pytest.mark.parametrize("kind", ["default", "dynamic", "yarn"])
@pytest.mark.parametrize("length", [0, -1, None, "2048"])
def test_a_model_made_for_no_tokens_is_refused(kind, length):
    with pytest.raises(InvalidInput, match="max_position_embeddings="):
        scaled_frequencies(64, {"rope_type": kind, "factor": 2.0}, length)
