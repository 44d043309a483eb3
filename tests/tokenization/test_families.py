"""The table of what tokenizer classes take for granted says what transformers' classes do."""

from __future__ import annotations

import pytest

from minilm.tokenization import families
from minilm.tokenization.special_tokens import as_added_token

auto = pytest.importorskip("transformers.models.auto.tokenization_auto")

# Made from two SentencePiece models, so there is none without files.
NEEDS_FILES = {"MarianTokenizer"}


@pytest.mark.parametrize("name", sorted(set(families.FAMILIES) - NEEDS_FILES))
def test_a_class_has_the_defaults_of_transformers(name):
    theirs = auto.tokenizer_class_from_name(name)()
    family = families.FAMILIES[name]
    roles = {role: str(as_added_token(token)) for role, token in family.special_tokens.items()}
    if name != "CodeLlamaTokenizer":  # which has roles of its own, for filling in
        assert roles == theirs.special_tokens_map
        assert list(family.extra_special_tokens) == theirs.extra_special_tokens
    assert family.padding_side == theirs.padding_side
    assert sorted(family.model_input_names) == sorted(theirs.model_input_names)


@pytest.mark.parametrize("model_type", sorted(families.MODEL_TYPES))
def test_a_model_type_means_the_class_it_means_in_transformers(model_type):
    theirs = auto.TOKENIZER_MAPPING_NAMES.get(model_type)
    if theirs is None:
        pytest.fail(f"transformers knows no tokenizer for {model_type}")
    theirs = theirs.removesuffix("Fast").replace("MistralCommonBackend", "TokenizersBackend")
    assert families.MODEL_TYPES[model_type] == theirs


@pytest.mark.parametrize(
    ("named", "model_type", "is_byte_level", "expected"),
    [
        (None, None, False, "TokenizersBackend"),
        ("BertTokenizerFast", None, False, "BertTokenizer"),
        (None, "bert", False, "BertTokenizer"),
        ("DistilBertTokenizer", "distilbert", False, "DistilBertTokenizer"),
        ("LlamaTokenizer", "llama", False, "LlamaTokenizer"),
        ("LlamaTokenizerFast", "llama", True, "TokenizersBackend"),
        ("LlamaTokenizer", "phi3", False, "TokenizersBackend"),
        ("GPT2TokenizerFast", "gpt_bigcode", False, "TokenizersBackend"),
        ("GPT2Tokenizer", "qwen2", False, "Qwen2Tokenizer"),
        ("OddTokenizer", "odd", False, "OddTokenizer"),
    ],
)
def test_the_class_is_chosen_as_transformers_chooses_it(named, model_type, is_byte_level, expected):
    assert families.class_name_for(named, model_type, is_byte_level) == expected
