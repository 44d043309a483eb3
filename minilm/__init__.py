"""minilm: what transformers' Auto classes do, built stage by stage.

Public names load on first use, so that `import minilm` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from minilm.auto import AutoConfig as AutoConfig
    from minilm.auto import AutoModel as AutoModel
    from minilm.auto import AutoModelForCausalLM as AutoModelForCausalLM
    from minilm.cache import DynamicCache as DynamicCache
    from minilm.cache import EncoderDecoderCache as EncoderDecoderCache
    from minilm.cache import StaticCache as StaticCache
    from minilm.config import PreTrainedConfig as PreTrainedConfig
    from minilm.errors import MinilmError as MinilmError
    from minilm.generation.config import GenerationConfig as GenerationConfig
    from minilm.generation.criteria import StoppingCriteria as StoppingCriteria
    from minilm.generation.criteria import StoppingCriteriaList as StoppingCriteriaList
    from minilm.generation.processors import LogitsProcessor as LogitsProcessor
    from minilm.generation.processors import LogitsProcessorList as LogitsProcessorList
    from minilm.generation.streamers import TextIteratorStreamer as TextIteratorStreamer
    from minilm.generation.streamers import TextStreamer as TextStreamer
    from minilm.models.base import PreTrainedModel as PreTrainedModel
    from minilm.models.gpt2 import GPT2Config as GPT2Config
    from minilm.models.gpt2 import GPT2LMHeadModel as GPT2LMHeadModel
    from minilm.models.gpt2 import GPT2Model as GPT2Model
    from minilm.models.gpt_neox import GPTNeoXConfig as GPTNeoXConfig
    from minilm.models.gpt_neox import GPTNeoXForCausalLM as GPTNeoXForCausalLM
    from minilm.models.gpt_neox import GPTNeoXModel as GPTNeoXModel
    from minilm.models.llama import LlamaConfig as LlamaConfig
    from minilm.models.llama import LlamaForCausalLM as LlamaForCausalLM
    from minilm.models.llama import LlamaModel as LlamaModel
    from minilm.models.llama import MistralConfig as MistralConfig
    from minilm.models.llama import MistralForCausalLM as MistralForCausalLM
    from minilm.models.llama import MistralModel as MistralModel
    from minilm.models.llama import Qwen2Config as Qwen2Config
    from minilm.models.llama import Qwen2ForCausalLM as Qwen2ForCausalLM
    from minilm.models.llama import Qwen2Model as Qwen2Model
    from minilm.models.llama import Qwen3Config as Qwen3Config
    from minilm.models.llama import Qwen3ForCausalLM as Qwen3ForCausalLM
    from minilm.models.llama import Qwen3Model as Qwen3Model
    from minilm.pipelines.making import pipeline as pipeline
    from minilm.tokenization.auto_tokenizer import AutoTokenizer as AutoTokenizer
    from minilm.tokenization.batch_encoding import BatchEncoding as BatchEncoding
    from minilm.tokenization.tokenizer import PreTrainedTokenizer as PreTrainedTokenizer
    from minilm.training.arguments import TrainingArguments as TrainingArguments
    from minilm.training.callbacks import EarlyStoppingCallback as EarlyStoppingCallback
    from minilm.training.callbacks import TrainerCallback as TrainerCallback
    from minilm.training.collators import (
        DataCollatorForLanguageModeling as DataCollatorForLanguageModeling,
    )
    from minilm.training.collators import DataCollatorWithFlattening as DataCollatorWithFlattening
    from minilm.training.collators import DataCollatorWithPadding as DataCollatorWithPadding
    from minilm.training.collators import DefaultDataCollator as DefaultDataCollator
    from minilm.training.collators import default_data_collator as default_data_collator
    from minilm.training.schedules import get_constant_schedule as get_constant_schedule
    from minilm.training.schedules import (
        get_constant_schedule_with_warmup as get_constant_schedule_with_warmup,
    )
    from minilm.training.schedules import (
        get_cosine_schedule_with_warmup as get_cosine_schedule_with_warmup,
    )
    from minilm.training.schedules import (
        get_cosine_with_hard_restarts_schedule_with_warmup as get_cosine_with_hard_restarts_schedule_with_warmup,
    )
    from minilm.training.schedules import get_inverse_sqrt_schedule as get_inverse_sqrt_schedule
    from minilm.training.schedules import (
        get_linear_schedule_with_warmup as get_linear_schedule_with_warmup,
    )
    from minilm.training.schedules import (
        get_polynomial_decay_schedule_with_warmup as get_polynomial_decay_schedule_with_warmup,
    )
    from minilm.training.schedules import get_scheduler as get_scheduler
    from minilm.training.schedules import get_wsd_schedule as get_wsd_schedule
    from minilm.training.seeding import set_seed as set_seed
    from minilm.training.trainer import Trainer as Trainer

# Public name -> the module it lives in.
_HOMES = {
    "AutoConfig": "minilm.auto",
    "AutoModel": "minilm.auto",
    "AutoModelForCausalLM": "minilm.auto",
    "AutoTokenizer": "minilm.tokenization.auto_tokenizer",
    "BatchEncoding": "minilm.tokenization.batch_encoding",
    "DataCollatorForLanguageModeling": "minilm.training.collators",
    "DataCollatorWithFlattening": "minilm.training.collators",
    "DataCollatorWithPadding": "minilm.training.collators",
    "DefaultDataCollator": "minilm.training.collators",
    "DynamicCache": "minilm.cache",
    "EarlyStoppingCallback": "minilm.training.callbacks",
    "EncoderDecoderCache": "minilm.cache",
    "GPT2Config": "minilm.models.gpt2",
    "GPT2LMHeadModel": "minilm.models.gpt2",
    "GPT2Model": "minilm.models.gpt2",
    "GPTNeoXConfig": "minilm.models.gpt_neox",
    "GPTNeoXForCausalLM": "minilm.models.gpt_neox",
    "GPTNeoXModel": "minilm.models.gpt_neox",
    "GenerationConfig": "minilm.generation.config",
    "LlamaConfig": "minilm.models.llama",
    "LlamaForCausalLM": "minilm.models.llama",
    "LlamaModel": "minilm.models.llama",
    "LogitsProcessor": "minilm.generation.processors",
    "LogitsProcessorList": "minilm.generation.processors",
    "MinilmError": "minilm.errors",
    "MistralConfig": "minilm.models.llama",
    "MistralForCausalLM": "minilm.models.llama",
    "MistralModel": "minilm.models.llama",
    "PreTrainedConfig": "minilm.config",
    "PreTrainedModel": "minilm.models.base",
    "PreTrainedTokenizer": "minilm.tokenization.tokenizer",
    "Qwen2Config": "minilm.models.llama",
    "Qwen2ForCausalLM": "minilm.models.llama",
    "Qwen2Model": "minilm.models.llama",
    "Qwen3Config": "minilm.models.llama",
    "Qwen3ForCausalLM": "minilm.models.llama",
    "Qwen3Model": "minilm.models.llama",
    "StaticCache": "minilm.cache",
    "StoppingCriteria": "minilm.generation.criteria",
    "StoppingCriteriaList": "minilm.generation.criteria",
    "TextIteratorStreamer": "minilm.generation.streamers",
    "TextStreamer": "minilm.generation.streamers",
    "Trainer": "minilm.training.trainer",
    "TrainerCallback": "minilm.training.callbacks",
    "TrainingArguments": "minilm.training.arguments",
    "default_data_collator": "minilm.training.collators",
    "get_constant_schedule": "minilm.training.schedules",
    "get_constant_schedule_with_warmup": "minilm.training.schedules",
    "get_cosine_schedule_with_warmup": "minilm.training.schedules",
    "get_cosine_with_hard_restarts_schedule_with_warmup": "minilm.training.schedules",
    "get_inverse_sqrt_schedule": "minilm.training.schedules",
    "get_linear_schedule_with_warmup": "minilm.training.schedules",
    "get_polynomial_decay_schedule_with_warmup": "minilm.training.schedules",
    "get_scheduler": "minilm.training.schedules",
    "get_wsd_schedule": "minilm.training.schedules",
    "pipeline": "minilm.pipelines.making",
    "set_seed": "minilm.training.seeding",
}

__all__ = [*_HOMES, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'minilm' has no attribute '{name}'")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
