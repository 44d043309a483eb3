"""A tiny model and its tokenizer in a folder, and both libraries' pipelines on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from minilm.pipelines.making import pipeline

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()
tokenizers = pytest.importorskip("tokenizers")
from tokenizers import decoders, models, pre_tokenizers, trainers  # noqa: E402

TEXTS = ["the cat sat on the mat. The dog's café — naïve 漢字 🙂 stop here\nnew line"] * 5
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}> {{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<assistant> {% endif %}"
)
SIZES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "llama": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
    },
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Where a tiny model is: folder("llama", generation={…}, pad=False)."""
    found: dict[Any, Path] = {}

    def folder(family: str = "llama", generation: Any = None, pad: bool = True) -> Path:
        key = (family, str(generation), pad)
        if key in found:
            return found[key]
        made = tokenizers.Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=300,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<|end|>", "<|pad|>"],
            show_progress=False,
        )
        made.train_from_iterator(TEXTS, trainer)
        special = {"eos_token": "<|end|>", "bos_token": "<|end|>"}
        special |= {"pad_token": "<|pad|>"} if pad else {}
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **special)
        tokenizer.chat_template = TEMPLATE
        torch.manual_seed(0)
        kind = "LlamaConfig" if family == "llama" else "GPT2Config"
        ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
        config = getattr(transformers, kind)(
            vocab_size=len(tokenizer), **ids, **SIZES[family], tie_word_embeddings=False
        )
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(6)  # on weights as they begin, all tokens are about as likely
        place = found[key] = tmp_path_factory.mktemp(family)
        model.save_pretrained(place)
        tokenizer.save_pretrained(place)
        (place / "generation_config.json").write_text(
            json.dumps({"eos_token_id": 0, "bos_token_id": 0, **(generation or {})})
        )
        return place

    return folder


@pytest.fixture(scope="session")
def pair(folder: Callable[..., Path]) -> Callable[..., tuple[Any, Any]]:
    """The same pipeline twice, minilm's and transformers': pair("llama", **options)."""

    def pair(family: str = "llama", *, files: Any = None, **options: Any) -> tuple[Any, Any]:
        place = str(folder(family, **(files or {})))
        options |= {"model": place, "device": "cpu"}
        ours = pipeline("text-generation", **options)
        return ours, transformers.pipeline("text-generation", **options)

    return pair


@pytest.fixture(scope="session")
def steady_pair(pair: Callable[..., tuple[Any, Any]]) -> Callable[[str], tuple[Any, Any]]:
    """The same, made once for all tests: they do not change it. It has room for 40 tokens."""
    found: dict[str, tuple[Any, Any]] = {}

    def steady_pair(family: str) -> tuple[Any, Any]:
        if family not in found:
            found[family] = pair(family)
            for pipe in found[family]:
                pipe.tokenizer.model_max_length = 40
        return found[family]

    return steady_pair
