"""minilm: what transformers' Auto classes do, built stage by stage.

Public names load on first use, so that `import minilm` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from minilm.cache import DynamicCache as DynamicCache
    from minilm.cache import EncoderDecoderCache as EncoderDecoderCache
    from minilm.cache import StaticCache as StaticCache
    from minilm.errors import MinilmError as MinilmError
    from minilm.tokenization.auto_tokenizer import AutoTokenizer as AutoTokenizer
    from minilm.tokenization.batch_encoding import BatchEncoding as BatchEncoding
    from minilm.tokenization.tokenizer import PreTrainedTokenizer as PreTrainedTokenizer

# Public name -> the module it lives in.
_HOMES = {
    "AutoTokenizer": "minilm.tokenization.auto_tokenizer",
    "BatchEncoding": "minilm.tokenization.batch_encoding",
    "DynamicCache": "minilm.cache",
    "EncoderDecoderCache": "minilm.cache",
    "MinilmError": "minilm.errors",
    "PreTrainedTokenizer": "minilm.tokenization.tokenizer",
    "StaticCache": "minilm.cache",
}

__all__ = [*_HOMES, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'minilm' has no attribute '{name}'")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
