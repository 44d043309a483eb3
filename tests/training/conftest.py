"""Small models and data for training, the same for minilm and transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import minilm
from minilm.training.arguments import TrainingArguments
from minilm.training.trainer import Trainer

VOCAB = 67
LLAMA = {
    "vocab_size": VOCAB,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {
    "vocab_size": VOCAB,
    "n_embd": 24,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 32,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SETTINGS = {
    "use_cpu": True,
    "disable_tqdm": True,
    "report_to": "none",
    "logging_steps": 1,
    "save_strategy": "no",
    "per_device_train_batch_size": 4,
    "num_train_epochs": 2,
    "learning_rate": 1e-2,
    "weight_decay": 0.1,
}


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def small_model() -> Any:
    """(library, family, dropout) → a model with the same weights each time."""

    def make(library: Any = minilm, family: str = "llama", dropout: float = 0.0) -> Any:
        torch.manual_seed(1)
        if family == "llama":
            config = library.LlamaConfig(**LLAMA, attention_dropout=dropout)
            return library.LlamaForCausalLM(config)
        rates = {f"{place}_pdrop": dropout for place in ("attn", "embd", "resid")}
        return library.GPT2LMHeadModel(library.GPT2Config(**GPT2, **rates))

    return make


@pytest.fixture
def rows() -> Any:
    """(count, seed) → examples of one length, each with some labels that are not judged."""

    def make(count: int = 23, seed: int = 0, length: int = 11) -> list[dict[str, list[int]]]:
        generator = torch.Generator().manual_seed(seed)
        examples = []
        for _ in range(count):
            ids = torch.randint(0, VOCAB, (length,), generator=generator).tolist()
            hidden = int(torch.randint(0, 5, (1,), generator=generator))
            labels = [*ids[: length - hidden], *[-100] * hidden]
            examples.append({"input_ids": ids, "labels": labels})
        return examples

    return make


@pytest.fixture
def arguments(tmp_path: Path) -> Any:
    """Arguments for a short run in a folder of its own; what is given comes on top."""

    def make(**given: Any) -> TrainingArguments:
        return TrainingArguments(**{"output_dir": str(tmp_path / "run"), **SETTINGS, **given})

    return make


@pytest.fixture
def trainer(small_model: Any, rows: Any, arguments: Any) -> Any:
    """A Trainer of a small model; model, data and callbacks can be given, and any argument."""

    def make(
        model: Any = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        callbacks: Any = None,
        data_collator: Any = None,
        compute_metrics: Any = None,
        processing_class: Any = None,
        **given: Any,
    ) -> Trainer:
        return Trainer(
            model=small_model() if model is None else model,
            args=arguments(**given),
            train_dataset=rows() if train_dataset is None else train_dataset,
            eval_dataset=rows(9, 5) if eval_dataset is None else eval_dataset,
            callbacks=callbacks,
            data_collator=data_collator,
            compute_metrics=compute_metrics,
            processing_class=processing_class,
        )

    return make


@pytest.fixture
def same_weights() -> Any:
    """The largest difference between the weights of two models; 0.0 = bit for bit the same."""

    def compare(one: torch.nn.Module, other: torch.nn.Module) -> float:
        pairs = zip(one.parameters(), other.parameters(), strict=True)
        return max((a - b).abs().max().item() for a, b in pairs)

    return compare


@pytest.fixture
def measured() -> Any:
    """What a run measured, without how long it took."""

    def clean(trainer: Any) -> list[dict[str, Any]]:
        times = ("runtime", "second")
        return [
            {name: value for name, value in row.items() if not any(t in name for t in times)}
            for row in trainer.state.log_history
        ]

    return clean
