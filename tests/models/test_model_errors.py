"""Wrong input to a model: one clear error that says what was given and what to do."""

from __future__ import annotations

import pytest
import torch

from minilm.errors import MinilmError

IDS = torch.tensor([[5, 6, 7]])
FAMILIES = ("gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3")

# What is wrong → what is given, the built-in error, and words of the message.
WRONG = {
    "neither ids nor vectors": ({"input_ids": None}, ValueError, "neither was given"),
    "both ids and vectors": (
        {"inputs_embeds": torch.zeros(1, 3, 24)},
        ValueError,
        "Of input_ids and inputs_embeds, both was given",
    ),
    "an id past the vocabulary": (
        {"input_ids": torch.tensor([[0, 1], [2, 37]])},
        IndexError,
        r"input_ids\[1, 1\] is 37; the vocabulary has 37 tokens, ids 0 to 36",
    ),
    "a negative id": (
        {"input_ids": torch.tensor([[-1, 3]])},
        IndexError,
        r"input_ids\[0, 0\] is -1; the vocabulary has 37",
    ),
    "fractions as ids": ({"input_ids": torch.zeros(1, 3)}, TypeError, "ids are whole numbers"),
    "yes and no as ids": ({"input_ids": IDS > 5}, TypeError, "ids are whole numbers"),
    "ids in a list": ({"input_ids": [[5, 6]]}, TypeError, "input_ids are a list; .*return_tensors"),
    "a text that is no batch": ({"input_ids": IDS[0]}, ValueError, r"input_ids\[None\]"),
    "no token": ({"input_ids": IDS[:, :0]}, ValueError, "at least one token"),
    "vectors of another width": (
        {"input_ids": None, "inputs_embeds": torch.zeros(1, 3, 23)},
        ValueError,
        r"inputs_embeds of shape \(1, 3, 23\) .* \(batch, tokens, 24\)",
    ),
    "vectors of no batch": (
        {"input_ids": None, "inputs_embeds": torch.zeros(3, 24)},
        ValueError,
        r"inputs_embeds of shape \(3, 24\)",
    ),
    "vectors of no token": (
        {"input_ids": None, "inputs_embeds": torch.zeros(1, 0, 24)},
        ValueError,
        r"inputs_embeds of shape \(1, 0, 24\) .* at least one token",
    ),
    "vectors in a list": (
        {"input_ids": None, "inputs_embeds": [[0.0] * 24]},
        TypeError,
        "inputs_embeds are a list; .*get_input_embeddings",
    ),
    "vectors of another precision": (
        {"input_ids": None, "inputs_embeds": torch.zeros(1, 3, 24, dtype=torch.float64)},
        TypeError,
        r"inputs_embeds are torch.float64 and the model is torch.float32\. .*to\(model.dtype\)",
    ),
    "vectors of whole numbers": (
        {"input_ids": None, "inputs_embeds": torch.zeros(1, 3, 24, dtype=torch.int64)},
        TypeError,
        "inputs_embeds are torch.int64 .* ids go in as input_ids",
    ),
    "fewer than no logits": (
        {"logits_to_keep": -2},
        ValueError,
        "logits_to_keep=-2 was given; .* 0 keeps all",
    ),
    "half a logit": ({"logits_to_keep": 1.5}, TypeError, "logits_to_keep=1.5 was given"),
    "logits of places in a list": (
        {"logits_to_keep": [0, 1]},
        TypeError,
        r"logits_to_keep=\[0, 1\] was given; .*torch.tensor",
    ),
    "logits of a place that is not there": (
        {"logits_to_keep": torch.tensor([0, 3])},
        IndexError,
        r"logits_to_keep of shape \(2,\) .* 1 × 3 tokens. Give places, int64 from 0 to 2",
    ),
    "logits of a row's place that is not there": (
        {"logits_to_keep": torch.tensor([[3]])},
        IndexError,
        r"logits_to_keep of shape \(1, 1\) .* 1 × 3 tokens",
    ),
    "logits of a row's place before the first": (
        {"logits_to_keep": torch.tensor([[0, -4]])},
        IndexError,
        r"logits_to_keep of shape \(1, 2\)",
    ),
    "logits of another batch's places": (
        {"logits_to_keep": torch.tensor([[0], [1]])},
        IndexError,
        r"logits_to_keep of shape \(2, 1\)",
    ),
    "logits where a shorter mask says": (
        {"logits_to_keep": torch.ones(1, 2, dtype=torch.bool)},
        IndexError,
        r"logits_to_keep of shape \(1, 2\) and torch.bool .* \(B, T\)",
    ),
    "shifted labels that are shorter": (
        {"shift_labels": IDS[:, 1:]},
        ValueError,
        r"shift_labels of shape \(1, 2\) .*: at each place the token that comes after it\.$",
    ),
    "shifted labels past the vocabulary": (
        {"shift_labels": torch.tensor([[1, -100, 40]])},
        IndexError,
        r"shift_labels\[0, 2\] is 40",
    ),
    "a loss divided by nothing": (
        {"labels": IDS, "num_items_in_batch": 0},
        ValueError,
        "num_items_in_batch=0 was given; the loss is divided by it",
    ),
    "a loss divided by a word": (
        {"labels": IDS, "num_items_in_batch": "3"},
        TypeError,
        "num_items_in_batch='3' was given",
    ),
    "labels that are shorter": (
        {"labels": IDS[:, 1:]},
        ValueError,
        r"labels of shape \(1, 2\) .* logits of shape \(1, 3, 37\)",
    ),
    "labels for logits that are not kept": (
        {"labels": IDS, "logits_to_keep": 1},
        ValueError,
        r"labels of shape \(1, 3\) .* logits of shape \(1, 1, 37\)",
    ),
    "labels past the vocabulary": (
        {"labels": torch.tensor([[1, -100, 40]])},
        IndexError,
        r"labels\[0, 2\] is 40; the vocabulary has 37",
    ),
    "negative labels": (
        {"labels": torch.tensor([[1, -1, 4]])},
        IndexError,
        r"labels\[0, 1\] is -1",
    ),
    "fractions as labels": ({"labels": torch.zeros(1, 3)}, TypeError, "labels are torch.float32"),
    "labels in a list": ({"labels": [[1, 2, 3]]}, TypeError, "labels are list"),
    "positions of other tokens": (
        {"position_ids": torch.arange(4)[None]},
        ValueError,
        r"position_ids of shape \(1, 4\) .* 1 × 3 tokens",
    ),
    "positions in a list": ({"position_ids": [[0, 1, 2]]}, TypeError, "position_ids are a list"),
    "a mask in a list": ({"attention_mask": [[1, 1, 1]]}, TypeError, "attention_mask is a list"),
    "positions of no batch": ({"position_ids": torch.arange(3)}, ValueError, "position_ids of"),
    "a mask that is too long": (
        {"attention_mask": torch.ones(1, 4)},
        ValueError,
        "4 columns and there are 3 tokens: 0 cached and 3 new",
    ),
    "a mask for another batch": (
        {"attention_mask": torch.ones(2, 3)},
        ValueError,
        r"attention_mask of shape \(2, 3\) was given for a batch of 1",
    ),
    "a mask of no batch": ({"attention_mask": torch.ones(3)}, ValueError, "attention_mask"),
    "a cache in tuples": (
        {"past_key_values": ((torch.zeros(1, 2, 3, 6), torch.zeros(1, 2, 3, 6)),)},
        TypeError,
        "is a tuple; expected a Cache, .* before 2025",
    ),
    "a cache that is none": ({"past_key_values": {}}, TypeError, "is a dict; expected a Cache"),
    "cache_position": (
        {"cache_position": torch.arange(3)},
        TypeError,
        r"no argument 'cache_position': positions follow from the cache, .* as position_ids\.$",
    ),
    "a typing error": (
        {"atention_mask": torch.ones(1, 3)},
        TypeError,
        r"no argument 'atention_mask'; did you mean attention_mask\?$",
    ),
    "banana": ({"banana": 1}, TypeError, "no argument 'banana'. There are: input_ids"),
    "an encoder": (
        {"encoder_hidden_states": torch.zeros(1, 3, 24)},
        TypeError,
        "no argument 'encoder_hidden_states': this model has no encoder",
    ),
    "past_key_value": ({"past_key_value": None}, TypeError, "it is called past_key_values"),
}


@pytest.fixture(scope="module")
def models():
    """Models made once: nothing here changes them."""
    return {}


@pytest.mark.parametrize("what", list(WRONG))
def test_wrong_input_is_explained(models, ours, family, what):
    model = models.setdefault(family, None) or models.setdefault(family + "!", ours(family))
    given, kind, words = WRONG[what]
    with pytest.raises(kind, match=words) as caught:
        model(**{"input_ids": IDS, **given})
    assert isinstance(caught.value, MinilmError)
    assert model(IDS).logits.shape == (1, 3, 37)  # and nothing is broken


@pytest.mark.parametrize("what", ["banana", "cache_position", "neither ids nor vectors"])
def test_bodies_explain_as_well(ours, family, what):
    given, kind, words = WRONG[what]
    model = ours(family, body=True)
    with pytest.raises(kind, match=words) as caught:
        model(**{"input_ids": IDS, **given})
    if kind is TypeError:
        assert type(model).__name__ in str(caught.value)


def test_a_text_longer_than_learned_positions_is_explained(ours):
    model = ours("gpt2", n_positions=5)
    with pytest.raises(IndexError, match=r"Position 5 .* the table has 5 positions"):
        model(torch.zeros(2, 6, dtype=torch.int64))
    past = model(torch.zeros(2, 4, dtype=torch.int64)).past_key_values
    model(torch.zeros(2, 1, dtype=torch.int64), past_key_values=past)
    with pytest.raises(IndexError, match=r"Position 5 .* the table has 5 positions"):
        model(torch.zeros(2, 1, dtype=torch.int64), past_key_values=past)
    with pytest.raises(IndexError, match="Position -1"):
        model(IDS, position_ids=torch.tensor([[0, 1, -1]]))


def test_rotary_positions_have_no_end(ours):
    model = ours("llama", max_position_embeddings=5)
    assert model(torch.zeros(1, 9, dtype=torch.int64)).logits.isfinite().all()


def test_a_mask_of_new_tokens_alone_beside_a_cache_is_explained(ours, family):
    model = ours(family)
    past = model(IDS).past_key_values
    with pytest.raises(ValueError, match="covers only the new ones, and 3 cached ones") as caught:
        model(IDS, past_key_values=past, attention_mask=torch.ones(1, 3))
    assert isinstance(caught.value, MinilmError)
    for columns in (2, 5, 9):
        with pytest.raises(ValueError, match=f"{columns} columns .* 6 tokens: 3 cached and 3 new"):
            model(IDS, past_key_values=past, attention_mask=torch.ones(1, columns))
    assert past.get_seq_length() == 3


def test_a_cache_of_another_batch_is_explained(ours, family):
    model = ours(family)
    past = model(IDS).past_key_values
    with pytest.raises(ValueError, match="batch is 2; the cache was begun with 1"):
        model(IDS.expand(2, 3), past_key_values=past)


def test_a_config_of_another_family_is_explained(classes, settings):
    made = {}
    for family in FAMILIES:
        config, model = classes(family)
        made[family] = (config(**settings(family)), model)
    for family, (_, model) in made.items():
        for other, (config, _) in made.items():
            if other != family:
                words = f"takes a {model.config_class.__name__}, and got {type(config).__name__}"
                with pytest.raises(TypeError, match=words):
                    model(config)
        with pytest.raises(TypeError, match="got dict"):
            model(settings(family))


def test_a_config_of_the_same_name_is_told_apart(classes, settings, family):
    transformers = pytest.importorskip("transformers")
    config, model = classes(family)
    name = config.__name__
    words = rf"takes a {name}, and got transformers\.models\..*\.{name}; .*{name}\.from_dict"
    with pytest.raises(TypeError, match=words):
        model(getattr(transformers, name)(**settings(family)))


def test_layers_may_be_cut_off_and_not_added_in_silence(ours, family):
    body = ours(family, body=True)
    first, last = body(IDS, output_hidden_states=True).hidden_states[1], body.layers[-1]
    del body.layers[1:]
    assert torch.equal(body(IDS)[0], body.finish(first))
    body.layers.extend([last] * 4)
    with pytest.raises(ValueError, match="There are 5 layers, and windows for 3") as caught:
        body(IDS)
    assert isinstance(caught.value, MinilmError)
    body.windows = [None] * 5
    assert len(body(IDS, output_hidden_states=True).hidden_states) == 6
    assert body(IDS).past_key_values.get_seq_length() == 3


def test_sizes_of_a_vocabulary_are_whole_numbers(ours, family):
    model = ours(family)
    for given in (1.5, "40", True):
        for name in ("new_num_tokens", "pad_to_multiple_of"):
            with pytest.raises(TypeError, match=f"{name}={given!r} was given") as caught:
                model.resize_token_embeddings(**{name: given})
            assert isinstance(caught.value, MinilmError)


def test_autocast_takes_vectors_of_another_precision(ours, family):
    model = ours(family)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors = model.get_input_embeddings()(IDS).to(torch.bfloat16)
        assert model(inputs_embeds=vectors).logits.isfinite().all()


def test_unknown_ways_to_attend_are_refused(ours, classes, settings, family):
    with pytest.raises(ValueError, match="there are sdpa and eager"):
        ours(family).set_attn_implementation("flash_attention_2")
    config, model = classes(family)
    with pytest.raises(ValueError, match=r"'flex' was given, .* Give attn_implementation='sdpa'"):
        model(config(**settings(family, attn_implementation="flex")))


def test_unknown_activations_are_refused_with_a_near_one(classes, settings, family):
    config, model = classes(family)
    name = "activation_function" if family == "gpt2" else "hidden_act"
    with pytest.raises(ValueError, match=r"'gelu_nev' was given; .* Did you mean 'gelu_new'"):
        model(config(**settings(family, **{name: "gelu_nev"})))


def test_a_config_that_was_changed_is_checked_again(classes, settings, family):
    config, model = classes(family)
    chosen = config(**settings(family))
    chosen.num_attention_heads = 0
    with pytest.raises(ValueError, match="=0 was given; it is 1 or more"):
        model(chosen)
    if family in ("gpt2", "gpt_neox"):
        chosen.num_attention_heads = 5
        with pytest.raises(ValueError, match="must be a multiple"):
            model(chosen)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_heads_that_cannot_be_shared_are_refused(classes, settings, family):
    config, model = classes(family)
    with pytest.raises(ValueError, match="num_attention_heads=4 and num_key_value_heads=3"):
        model(config(**settings(family, num_key_value_heads=3)))
    if family != "llama":  # as in transformers, a config of more key heads than heads can be made
        chosen = config(num_attention_heads=4, num_key_value_heads=8)
        with pytest.raises(ValueError, match="num_attention_heads=4 and num_key_value_heads=8"):
            model(chosen)
    with pytest.raises(ValueError, match="head_dim=7"):  # positions turn pairs
        model(config(**settings(family, head_dim=7)))


def test_a_model_outside_the_table_is_explained():
    from minilm.models.llama import LlamaLikeConfig, LlamaModel

    class OwnConfig(LlamaLikeConfig):
        model_type = "own"

    class OwnModel(LlamaModel):
        config_class = OwnConfig

    with pytest.raises(ValueError, match="OwnConfig is none of this family, which has: llama"):
        OwnModel(OwnConfig())
