"""Small models of every family, made and saved by transformers, their weights woken."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest
import torch

FAMILIES = ("gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3")
IDS = torch.tensor([[1, 5, 7, 2, 9, 30, 4], [8, 8, 3, 40, 0, 6, 11]])  # (2, 7)


def settings_of(family: str, tied: bool) -> dict:
    """The settings of a small model; no two sizes are equal."""
    common = {"vocab_size": 41, "bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": tied}
    if family == "gpt2":
        return {**common, "n_embd": 24, "n_layer": 3, "n_head": 4, "n_positions": 37}
    sizes = {
        "hidden_size": 24,
        "intermediate_size": 20,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 37,
    }
    if family == "gpt_neox":
        return {**common, **sizes}
    sizes |= {"num_key_value_heads": 2, "head_dim": 10 if family == "qwen3" else 6}
    return {**common, **sizes, "pad_token_id": None}


@pytest.fixture(scope="session")
def transformers():
    library = pytest.importorskip("transformers")
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    return library


@pytest.fixture(scope="session")
def make_theirs(transformers):
    """Make a model of transformers: (family, tied) → the model, woken and in eval mode."""

    def make(family: str, tied: bool = True, dtype: torch.dtype = torch.float32):
        config = transformers.AutoConfig.for_model(family, **settings_of(family, tied))
        torch.manual_seed(7)
        model = transformers.AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(4)
                else:
                    parameter.add_(torch.randn_like(parameter) / 10)
        return model.to(dtype).eval()

    return make


@pytest.fixture(scope="session")
def saved(make_theirs, tmp_path_factory):
    """A folder that transformers wrote, made once: (family, tied) → the folder; not to be changed."""
    made: dict[tuple[str, bool], Path] = {}

    def folder(family: str = "llama", tied: bool = True) -> Path:
        if (family, tied) not in made:
            made[family, tied] = tmp_path_factory.mktemp(f"{family}-{tied}")
            make_theirs(family, tied).save_pretrained(made[family, tied])
        return made[family, tied]

    return folder


@pytest.fixture
def copied(saved, tmp_path):
    """A folder of one's own to change: (family, tied) → the folder."""

    def folder(family: str = "llama", tied: bool = True) -> Path:
        return Path(shutil.copytree(saved(family, tied), tmp_path / f"{family}-{tied}"))

    return folder


@pytest.fixture(scope="session")
def ids() -> torch.Tensor:
    return IDS


def _tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="session")
def tensors_of():
    """The tensors in a folder's model.safetensors, by name."""
    return _tensors_of


@pytest.fixture(scope="session")
def rewrite():
    """Change the tensors or the config in a folder: rewrite(folder, tensors=…, **settings)."""
    from safetensors.torch import save_file

    def write(folder: Path, tensors=None, remove=(), **settings) -> Path:
        if tensors is not None:
            save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
        path = folder / "config.json"
        config = json.loads(path.read_text())
        config.update(settings)
        for name in remove:
            config.pop(name, None)
        path.write_text(json.dumps(config))
        return folder

    return write


@pytest.fixture(scope="session")
def safetensors_header():
    """Take a safetensors file apart: path → (its header, the numbers behind it)."""

    def take_apart(path: Path) -> tuple[dict, bytes]:
        content = path.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        return json.loads(content[8 : 8 + length]), content[8 + length :]

    return take_apart


@pytest.fixture(scope="session")
def safetensors_file():
    """Put a safetensors file together, of a header as it is given and the numbers behind it."""

    def put_together(
        header: dict | bytes, numbers: bytes = b"", length: int | None = None
    ) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + numbers

    return put_together
