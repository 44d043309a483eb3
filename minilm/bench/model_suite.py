"""Whole models: starting, loading, reading a prompt, one training step; the same weights on both sides."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minilm.bench.comparing import Comparison, seconds

# Sizes of GPT-2 to train: name → (vocabulary, width, layers, heads, batch, tokens).
TRAINED = {
    "1 million": (2000, 128, 4, 4, 8, 128),
    "10 million": (8000, 256, 10, 8, 4, 128),
    "124 million": (50257, 768, 12, 12, 1, 128),
}
LENGTHS = (128, 256, 512, 1024, 2048)


def comparisons(folder: Path, quick: bool) -> Iterator[Comparison]:
    """Yield what to measure.

    folder: an empty folder for the models that both sides read
    quick: with small models
    """
    import transformers

    small = folder / "small"
    save_llama(small, layers=2, width=64)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    yield _first_use(small)
    large = folder / "large"
    save_gpt2(large, (1000, 64, 2, 2) if quick else TRAINED["124 million"][:4])
    yield from _loading(large)
    yield from _forward(quick)
    for name, sizes in TRAINED.items():
        if quick:
            sizes = (500, 32, 2, 2, 2, 16)
        yield _training_step(f"GPT-2 of {name}", sizes)
    yield from _doubling(quick)


def save_gpt2(folder: Path, sizes: tuple[int, ...]) -> None:
    """Save a GPT-2 with random weights.

    sizes: vocabulary, width, layers, heads
    """
    import transformers

    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**_gpt2_settings(*sizes)))
    model.save_pretrained(folder)


def save_llama(folder: Path, layers: int, width: int) -> None:
    """Save a Llama with random weights, and a tokenizer.

    layers, width: of the model
    """
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(letters, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    config = transformers.LlamaConfig(
        vocab_size=256,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}), encoding="utf-8"
    )


def _gpt2_settings(vocab: int, width: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "vocab_size": vocab,
        "n_embd": width,
        "n_layer": layers,
        "n_head": heads,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }


def both_gpt2(sizes: tuple[int, ...]) -> tuple[Any, Any]:
    """Make the same GPT-2 twice, with random weights: minilm's and transformers'.

    sizes: vocabulary, width, layers, heads
    """
    import transformers

    from minilm.models.gpt2 import GPT2Config, GPT2LMHeadModel

    settings = _gpt2_settings(*sizes)
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**settings))
    ours = GPT2LMHeadModel(GPT2Config(**settings))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


FIRST_USE = """
import sys
if {quiet}:
    import transformers
    transformers.logging.disable_progress_bar()
from {library} import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({folder!r})
model = AutoModelForCausalLM.from_pretrained({folder!r})
logits = model(**tokenizer("The first use", return_tensors="pt")).logits
assert logits.shape[:2] == (1, 13), logits.shape
"""

MEMORY = """
import pathlib, threading, time
from {library} import AutoModelForCausalLM
import torch
status = pathlib.Path("/proc/self/smaps_rollup")
def held():
    fields = dict(line.split()[:2] for line in status.read_text().splitlines()[1:])
    return 1024 * int(fields["Rss:"])
before = held()
model = AutoModelForCausalLM.from_pretrained({folder!r})
total = sum(float(p.sum()) for p in model.parameters())  # every number has been read once
print(held() - before)
"""


def _in_a_fresh_process(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise RuntimeError(f"A process of the benchmark failed:\n{done.stderr[-2000:]}")
    return done.stdout


def _first_use(folder: Path) -> Comparison:
    def of(library: str) -> Callable[[], float]:
        script = FIRST_USE.format(
            library=library, folder=str(folder), quiet=library == "transformers"
        )
        return lambda: seconds(lambda: _in_a_fresh_process(script))

    return Comparison(
        "import and first use, fresh process",
        "s",
        of("minilm"),
        of("transformers"),
        at_most=0.5,
        runs=5,
    )


def _loading(folder: Path) -> Iterator[Comparison]:
    import transformers

    import minilm

    transformers.logging.disable_progress_bar()
    size = (folder / "model.safetensors").stat().st_size

    def of(library: Any) -> Callable[[], float]:
        return lambda: seconds(lambda: library.AutoModelForCausalLM.from_pretrained(str(folder)))

    name = f"load a GPT-2 of {size / 4e6:.0f} million"
    yield Comparison(name, "s", of(minilm), of(transformers), at_most=0.8, runs=7)
    yield Comparison(
        f"{name}: memory held beside the file's size",
        "× the file",
        lambda: (
            int(_in_a_fresh_process(MEMORY.format(library="minilm", folder=str(folder)))) / size
        ),
        at_most=1.1,
        runs=3,
    )


def _forward(quick: bool) -> Iterator[Comparison]:
    import torch

    sizes = (500, 32, 2, 2) if quick else TRAINED["124 million"][:4]
    ours, theirs = (model.eval() for model in both_gpt2(sizes))
    ids = torch.randint(0, sizes[0], (1, 64 if quick else 512))

    def of(model: Any) -> Callable[[], float]:
        def run() -> float:
            with torch.no_grad():
                return 1 / seconds(lambda: model(ids))

        return run

    with torch.no_grad():
        _assert_close(ours(ids).logits, theirs(ids).logits)
    yield Comparison(
        "GPT-2 of 124 million reads 512 tokens", "1/s", of(ours), of(theirs), at_least=1.0, runs=9
    )


def _training_step(name: str, sizes: tuple[int, ...]) -> Comparison:
    import torch

    ours, theirs = (model.train() for model in both_gpt2(sizes[:4]))
    ids = torch.randint(0, sizes[0], sizes[4:])
    _assert_close(ours(ids, labels=ids).loss, theirs(ids, labels=ids).loss)

    def of(model: Any) -> Callable[[], float]:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

        def step() -> None:
            model(ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        step()  # the optimizer makes its memory
        return lambda: 1 / seconds(step)

    batch, length = sizes[4:]
    return Comparison(
        f"one training step, {name}, {batch} × {length} tokens",
        "1/s",
        of(ours),
        of(theirs),
        at_least=1.0,
        runs=15,
    )


def _doubling(quick: bool) -> Iterator[Comparison]:
    """How the cost grows with the length, without a wanted ratio: the lesson's picture."""
    import torch
    import transformers

    from minilm.models.gpt2 import GPT2Config, GPT2LMHeadModel

    settings = {**_gpt2_settings(500, 64 if quick else 256, 2, 4), "n_positions": 2048}
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**settings)).eval()
    ours = GPT2LMHeadModel(GPT2Config(**settings)).eval()
    for length in LENGTHS[:2] if quick else LENGTHS:
        ids = torch.randint(0, 500, (1, length))

        def of(model: Any, ids: torch.Tensor = ids) -> Callable[[], float]:
            def run() -> float:
                with torch.no_grad():
                    return 1000 * seconds(lambda: model(ids))

            return run

        yield Comparison(f"2 layers × 256 read {length} tokens", "ms", of(ours), of(theirs))


def _assert_close(ours: Any, theirs: Any) -> None:
    difference = (ours - theirs).detach().abs().max().item()
    if not difference <= 1e-4:
        raise AssertionError(f"The results differ by {difference}: the speeds compare nothing.")
