"""Names of arguments that TrainingArguments has not: what is said of them, and what to write instead."""

from __future__ import annotations

import difflib
import functools
from dataclasses import fields
from typing import Any, TypeVar

from minilm.errors import InvalidInput, WrongType

# What an older transformers called it, and what people call it → what to write today.
TODAY = {
    "adafactor": "Leave it out; optim has AdamW and SGD.",
    "batch_size": "Give per_device_train_batch_size.",
    "betas": "Give adam_beta1 and adam_beta2.",
    "device": "Leave it out: a GPU is used when there is one; use_cpu=True keeps away from it.",
    "dispatch_batches": "Leave it out: every process reads its own batches.",
    "early_stopping_patience": "Give it to EarlyStoppingCallback, among the Trainer's callbacks.",
    "epochs": "Give num_train_epochs.",
    "eval_batch_size": "Give per_device_eval_batch_size.",
    "evaluate_during_training": 'Give eval_strategy="steps".',
    "evaluation_strategy": "It is called eval_strategy since 2024.",
    "fp16_backend": "Leave it out, and give bf16=True for mixed precision.",
    "fp16_opt_level": "Leave it out, and give bf16=True for mixed precision.",
    "fsdp_min_num_params": "It belongs into fsdp_config.",
    "fsdp_transformer_layer_cls_to_wrap": "It belongs into fsdp_config.",
    "generation_config": "It belongs to Seq2SeqTrainingArguments.",
    "generation_max_length": "It belongs to Seq2SeqTrainingArguments.",
    "generation_num_beams": "It belongs to Seq2SeqTrainingArguments.",
    "group_by_length": "Leave it out: examples are not sorted by length here, and "
    "DataCollatorWithFlattening needs no padding.",
    "half_precision_backend": "Leave it out, and give bf16=True for mixed precision.",
    "include_inputs_for_metrics": 'It is called include_for_metrics=["inputs"] today.',
    "include_tokens_per_second": "Leave it out: tokens per second are always measured.",
    "jit_mode_eval": "Leave it out.",
    "logging_dir": "Leave it out: the log is log.jsonl in output_dir.",
    "lr": "Give learning_rate.",
    "lr_scheduler": "Give lr_scheduler_type.",
    "max_epochs": "Give num_train_epochs.",
    "max_seq_length": "Leave it out: cut the texts yourself, as group_texts does.",
    "mp_parameters": "Leave it out.",
    "n_gpu": "Leave it out: start one process for each GPU, with torchrun.",
    "no_cuda": "It is called use_cpu since 2023.",
    "num_epochs": "Give num_train_epochs.",
    "overwrite_output_dir": "Leave it out: a new run writes its checkpoints over those of an old one.",
    "past_index": "Leave it out.",
    "per_gpu_eval_batch_size": "It is called per_device_eval_batch_size since 2020.",
    "per_gpu_train_batch_size": "It is called per_device_train_batch_size since 2020.",
    "precision": "Give bf16=True for mixed precision.",
    "predict_with_generate": "It belongs to Seq2SeqTrainingArguments.",
    "push_to_hub_model_id": "Leave it out: nothing is uploaded.",
    "push_to_hub_organization": "Leave it out: nothing is uploaded.",
    "push_to_hub_token": "Leave it out: nothing is uploaded.",
    "ray_scope": "Leave it out.",
    "resume": "Give it to train(), as resume_from_checkpoint.",
    "save_safetensors": "Leave it out: weights are always saved as safetensors.",
    "sharded_ddp": "Give fsdp=True.",
    "shuffle": 'Give train_sampling_strategy: "random" or "sequential".',
    "sortish_sampler": "Leave it out: examples are not sorted by length.",
    "split_batches": "Leave it out: per_device_train_batch_size is that of one process.",
    "tokenizer": "Give it to the Trainer, as processing_class.",
    "torchdynamo": "It is called torch_compile_backend since 2023.",
    "tp_size": "Leave it out.",
    "tpu_metrics_debug": "Leave it out.",
    "tpu_num_cores": "Leave it out.",
    "train_batch_size": "Give per_device_train_batch_size.",
    "use_ipex": "Leave it out.",
    "use_legacy_prediction_loop": "Leave it out.",
    "use_mps_device": "Leave it out: a GPU is used when there is one.",
    "warmup_ratio": "Give warmup_steps: below 1 it is a share of the run.",
    "xpu_backend": "It is called ddp_backend today.",
}

# What transformers' Trainer has and this one has not → the value that changes nothing.
ELSEWHERE: dict[str, Any] = {
    "accelerator_config": None,
    "auto_find_batch_size": False,
    "batch_eval_metrics": False,
    "debug": "",
    "deepspeed": None,
    "enable_jit_checkpoint": False,
    "eval_do_concat_batches": True,
    "eval_use_gather_object": False,
    "fp16": False,
    "fp16_full_eval": False,
    "hub_always_push": False,
    "hub_model_id": None,
    "hub_private_repo": None,
    "hub_revision": None,
    "hub_strategy": "every_save",
    "hub_token": None,
    "label_smoothing_factor": 0.0,
    "liger_kernel_config": None,
    "log_level": "passive",
    "log_level_replica": "warning",
    "log_on_each_node": True,
    "neftune_noise_alpha": None,
    "optim_args": None,
    "optim_target_modules": None,
    "parallelism_config": None,
    "project": "huggingface",
    "push_to_hub": False,
    "save_on_each_node": False,
    "skip_memory_metrics": True,
    "trackio_bucket_id": None,
    "trackio_space_id": None,
    "trackio_static_space_id": None,
    "use_liger_kernel": False,
}
# The Trainer's own arguments, which are looked for here now and then.
_TRAINERS = (
    "callbacks",
    "compute_loss_func",
    "compute_metrics",
    "data_collator",
    "eval_dataset",
    "model",
    "model_init",
    "optimizers",
    "preprocess_logits_for_metrics",
    "processing_class",
    "train_dataset",
)
_INSTEAD = {
    "fp16": "Give bf16=True.",
    "fp16_full_eval": "Give bf16_full_eval=True.",
    "push_to_hub": "Nothing is uploaded: save_model(folder) writes what a hub takes.",
}

Class = TypeVar("Class", bound=type)


def naming_arguments(cls: Class) -> Class:
    """Let a dataclass of arguments say by name what it does not know, and what to write instead.

    cls: a dataclass
    """
    made: Any = vars(cls)["__init__"]

    @functools.wraps(made)
    def __init__(self: Any, *args: Any, **given: Any) -> None:  # noqa: N807
        known = {each.name for each in fields(cls)}
        for name in [name for name in given if name not in known]:
            _explain(cls.__name__, name, given.pop(name), known)
        made(self, *args, **given)

    setattr(cls, "__init__", __init__)  # noqa: B010
    return cls


def _explain(owner: str, name: str, value: Any, known: set[str]) -> None:
    """Refuse an argument, unless it says what is so anyway."""
    if name in ELSEWHERE:
        if value is None or value == ELSEWHERE[name] or not (value or ELSEWHERE[name]):
            return
        raise InvalidInput(
            f"{owner}({name}={value!r}): minilm's Trainer does not do this; transformers' does. "
            + _INSTEAD.get(name, "Leave it out.")
        )
    if name in TODAY:
        raise WrongType(f"{owner} has no argument {name}. {TODAY[name]}")
    if name in _TRAINERS:
        raise WrongType(f"{owner} has no argument {name}. Give it to Trainer(…, {name}=…).")
    near = [each for each in sorted(known) if name in each]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7) or near[:1]
    near = near or difflib.get_close_matches(name, ELSEWHERE, n=1, cutoff=0.9)
    raise WrongType(
        f"{owner} has no argument {name}."
        + (f" Did you mean {near[0]}?" if near else " help(TrainingArguments) lists them.")
    )
