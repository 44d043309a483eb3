"""Training: minilm's Trainer beside transformers', with the same weights, rows and settings."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minilm.bench.comparing import Comparison

# Name → (vocabulary, width, layers, heads, batch, tokens).
SIZES = {
    "1 million": (2000, 128, 4, 4, 8, 128),
    "10 million": (8000, 256, 10, 8, 4, 128),
}
FAMILIES = ("gpt2", "llama")
# Steps that are timed, after those in which memory is made and torch's optimizers are loaded.
TIMED, BEFORE = 12, 3


def comparisons(folder: Path, quick: bool) -> Iterator[Comparison]:
    """Yield what to measure.

    folder: an empty folder for the models that both sides read
    quick: with small models and few steps
    """
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for family in FAMILIES:
        for name, sizes in SIZES.items():
            if quick:
                sizes = (500, 32, 2, 2, 2, 16)
            model = save_model(folder / f"{family} {name}", family, sizes)
            steps = 2 if quick else TIMED
            title = f"{family} of {name}, {sizes[4]} × {sizes[5]} tokens"
            yield _speed(f"train {title}", model, sizes, steps)
            yield _memory(f"peak memory, {title}", model, sizes)
    yield _two_processes(model, sizes, 2 if quick else TIMED)


def save_model(folder: Path, family: str, sizes: tuple[int, ...]) -> Path:
    """Save a model with random weights, and return its folder.

    family: "gpt2" or "llama"    sizes: vocabulary, width, layers, heads …
    """
    import transformers

    vocab, width, layers, heads, *_ = sizes
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    config: Any
    if family == "gpt2":
        dropout = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        config = transformers.GPT2Config(
            vocab_size=vocab, n_embd=width, n_layer=layers, n_head=heads, **dropout, **ends
        )
    else:
        config = transformers.LlamaConfig(
            vocab_size=vocab,
            hidden_size=width,
            intermediate_size=width * 8 // 3,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            tie_word_embeddings=True,
            **ends,
        )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def make_trainer(library: Any, model: Path, sizes: tuple[int, ...], steps: int) -> Any:
    """Make the Trainer of a library for rows of random ids.

    library: minilm or transformers    model: its folder    steps: how many to train
    """
    import torch

    vocab, _, _, _, batch, length = sizes
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(1, vocab, (batch * steps, length), generator=draw)
    rows = [{"input_ids": row, "labels": row} for row in ids.tolist()]
    args = library.TrainingArguments(
        output_dir=str(model.parent / "runs"),
        per_device_train_batch_size=batch // int(os.environ.get("WORLD_SIZE", "1")),
        max_steps=steps,
        learning_rate=1e-4,
        logging_steps=10,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    loaded = library.AutoModelForCausalLM.from_pretrained(str(model))
    # Without it transformers divides GPT-2's loss by another number.
    loaded.loss_type = "ForCausalLM"
    return library.Trainer(model=loaded, args=args, train_dataset=rows)


def tokens_per_second(library: Any, model: Path, sizes: tuple[int, ...], steps: int) -> float:
    """Train, and return the tokens a second of the last steps.

    library: minilm or transformers    model: its folder    steps: how many are timed
    """
    moments: list[float] = []

    class Clock(library.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            moments.append(time.perf_counter())

    trainer = make_trainer(library, model, sizes, BEFORE + steps)
    trainer.add_callback(Clock())
    with contextlib.redirect_stdout(io.StringIO()):  # transformers prints its log
        trainer.train()
    return sizes[4] * sizes[5] * steps / (moments[-1] - moments[BEFORE - 1])


def _speed(name: str, model: Path, sizes: tuple[int, ...], steps: int) -> Comparison:
    import transformers

    import minilm

    def of(library: Any) -> Callable[[], float]:
        return lambda: tokens_per_second(library, model, sizes, steps)

    return Comparison(name, "tokens/s", of(minilm), of(transformers), at_least=1.0, runs=7)


_PEAK = """
import resource
import torch, {library} as library
from pathlib import Path
from minilm.bench.training_suite import tokens_per_second
torch.set_num_threads({threads})
tokens_per_second(library, Path({model!r}), {sizes}, 3)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def _memory(name: str, model: Path, sizes: tuple[int, ...]) -> Comparison:
    import torch

    def of(library: str) -> Callable[[], float]:
        script = _PEAK.format(
            library=library, model=str(model), sizes=sizes, threads=torch.get_num_threads()
        )
        return lambda: float(_run([sys.executable, "-c", script]))

    return Comparison(name, "MiB", of("minilm"), of("transformers"), at_most=1.0, runs=3)


_TOGETHER = """
import os, sys
import minilm, torch
from pathlib import Path
from minilm.bench.training_suite import tokens_per_second
torch.set_num_threads(2 // int(os.environ.get("WORLD_SIZE", "1")))
found = tokens_per_second(minilm, Path({model!r}), {sizes}, {steps})
if os.environ.get("RANK", "0") == "0":
    print(found)
"""


def _two_processes(model: Path, sizes: tuple[int, ...], steps: int) -> Comparison:
    """Two processes of one thread beside one of two threads; what it comes to is not judged."""
    script = model.parent / "together.py"
    script.write_text(_TOGETHER.format(model=str(model), sizes=sizes, steps=steps), "utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    return Comparison(
        "the last one in two processes of one thread, beside one of two",
        "tokens/s",
        lambda: float(_run([*torchrun, "2", str(script)])),
        lambda: float(_run([sys.executable, str(script)])),
        runs=3,
    )


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise RuntimeError(f"A process of the benchmark failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1]
