"""Every family's small models, minilm's and transformers' with the same weights, and texts for them.

Sizes differ from each other wherever they can, so that no two dimensions can be mixed up unseen:
3 texts of 7 tokens, 4 heads of 6 numbers, 2 key heads, 3 layers, 37 words.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import minilm.models.gpt2
import minilm.models.gpt_neox
import minilm.models.llama

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()

VOCAB, BATCH, LENGTH = 37, 3, 7
SPECIAL = {"bos_token_id": 1, "eos_token_id": 2}
GPT2 = {"n_embd": 24, "n_layer": 3, "n_head": 4, "n_positions": 64}
DROPOUTS = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
SIZES = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}

# Family → beginnings and ends of its classes' names, and the settings of a small one.
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt2": ("GPT2", "LMHeadModel", {**GPT2, **DROPOUTS}),
    "gpt_neox": ("GPTNeoX", "ForCausalLM", {**SIZES, "rotary_pct": 0.5}),
    "llama": ("Llama", "ForCausalLM", {**GROUPED, "attention_bias": True, "mlp_bias": True}),
    "mistral": ("Mistral", "ForCausalLM", {**GROUPED, "sliding_window": 3}),
    "qwen2": (
        "Qwen2",
        "ForCausalLM",
        {**GROUPED, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", "ForCausalLM", {**GROUPED, "head_dim": 10, "attention_bias": True}),
}
HOMES = {"gpt2": minilm.models.gpt2, "gpt_neox": minilm.models.gpt_neox}


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    """The model_type of each family in turn."""
    return request.param


@pytest.fixture
def families() -> list[str]:
    """The model_types of all of them."""
    return list(FAMILIES)


def class_names(family: str, body: bool = False) -> tuple[str, str]:
    """The names of a family's config and model."""
    start, head, _ = FAMILIES[family]
    return f"{start}Config", f"{start}{'Model' if body else head}"


@pytest.fixture
def classes() -> Callable[..., tuple[Any, Any]]:
    """Minilm's config and model classes of a family: classes(family, body=False)."""

    def classes(family: str, body: bool = False) -> tuple[Any, Any]:
        home = HOMES.get(family, minilm.models.llama)
        config, model = (getattr(home, name) for name in class_names(family, body))
        return config, model

    return classes


@pytest.fixture
def settings() -> Callable[..., dict[str, Any]]:
    """The settings of a small model of a family, and others in their place."""

    def settings(family: str, **others: Any) -> dict[str, Any]:
        return {"vocab_size": VOCAB, **SPECIAL, **FAMILIES[family][2], **others}

    return settings


def wake(module: nn.Module) -> None:
    """Larger matrices and vectors that are neither 0 nor 1: on default weights bugs hide."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
            else:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


@pytest.fixture
def ours(classes: Any, settings: Any) -> Callable[..., Any]:
    """A model of minilm's alone, for tests that compare it with itself."""

    def ours(
        family: str, tied: bool = False, woken: bool = True, body: bool = False, **others: Any
    ) -> Any:
        config, model = classes(family, body)
        torch.manual_seed(11)
        made = model(config(**settings(family, tie_word_embeddings=tied, **others))).eval()
        if woken:
            wake(made)
        return made

    return ours


@pytest.fixture
def both(classes: Any, settings: Any) -> Callable[..., tuple[Any, Any]]:
    """The same model twice, minilm's and transformers', in eval mode."""

    def both(
        family: str, tied: bool = False, woken: bool = True, body: bool = False, **others: Any
    ) -> tuple[Any, Any]:
        chosen = settings(family, tie_word_embeddings=tied, **others)
        their_config, their_model = (
            getattr(transformers, name) for name in class_names(family, body)
        )
        torch.manual_seed(11)
        copies = copy.deepcopy(chosen), copy.deepcopy(chosen)  # theirs writes into what it gets
        theirs = their_model(their_config(**copies[0])).eval()
        if woken:
            wake(theirs)
        config, model = classes(family, body)
        made = model(config(**copies[1])).eval()
        made.load_state_dict(theirs.state_dict())  # by name, with nothing missing or left over
        return made, theirs

    return both


class Batch(NamedTuple):
    """Texts as a model takes them, and which of their tokens are no padding."""

    input_ids: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    labels: Tensor
    real: Tensor


@pytest.fixture
def texts() -> Callable[..., Batch]:
    """Texts with padding on a side: texts("left"), also of another batch or length.

    Labels are −100 where there is padding, and where only padding stands before: that prediction is
    made from nothing, and each way to attend makes another nothing of it.
    """

    def texts(padding: str = "none", batch: int = BATCH, length: int = LENGTH) -> Batch:
        generator = torch.Generator().manual_seed(5)
        ids = torch.randint(0, VOCAB, (batch, length), generator=generator)
        mask = torch.ones(batch, length, dtype=torch.int64)
        for row, n in enumerate((3, 1)[: batch if length > 3 else 0]):
            if padding == "left":
                mask[row, :n] = 0
            elif padding == "right":
                mask[row, -n:] = 0
        real = mask.bool()
        position_ids = (mask.cumsum(-1) - 1).clamp(min=0)
        judged = real.clone()
        judged[:, 1:] &= real[:, :-1]
        return Batch(ids, mask, position_ids, ids.masked_fill(~judged, -100), real)

    return texts


@pytest.fixture
def difference() -> Callable[..., float]:
    """The largest absolute difference of two tensors (B, T, …), of real tokens where given."""

    def difference(one: Tensor, other: Tensor, real: Tensor | None = None) -> float:
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        gap = (one - other).detach().float().abs()
        return float((gap if real is None else gap[real]).max())

    return difference
