"""The tokenizers of the checkpoints: trained on the world by the code of the first two lessons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minilm.tokenization.pipeline import Pipeline
from minilm.tokenization.tokenizer import PreTrainedTokenizer

# What a family calls its special tokens.
_SPECIAL: dict[str, dict[str, Any]] = {
    "gpt2": {
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|pad|>",
    },
    "llama": {
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|end_of_text|>",
        "pad_token": "<|pad|>",
    },
}


def train_tokenizer(
    model_type: str, texts: Iterable[str], vocab_size: int, max_length: int
) -> PreTrainedTokenizer:
    """Train a byte-level BPE tokenizer, with the special tokens of a family.

    model_type: "gpt2" or "llama"; the latter puts its first token before every text, as Llama 3
    texts: what to count words in
    vocab_size: how many tokens, the special ones counted
    max_length: how many tokens the model takes

    Returns the tokenizer.
    """
    roles: dict[str, Any] = _SPECIAL[model_type]
    tokens = list(dict.fromkeys(roles.values()))
    first = roles["bos_token"]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    begins = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": first, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [
            {"SpecialToken": {"id": first, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": first, "type_id": 1}},
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {first: {"id": first, "ids": [tokens.index(first)], "tokens": [first]}},
    }
    empty: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": place,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for place, token in enumerate(tokens)
        ],
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "use_regex": True},
        "post_processor": begins if model_type == "llama" else {**byte_level, "use_regex": True},
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: place for place, token in enumerate(tokens)},
            "merges": [],
        },
    }
    pattern = PreTrainedTokenizer(Pipeline.from_json(empty), model_max_length=max_length, **roles)
    return pattern.train_new_from_iterator(texts, vocab_size)
