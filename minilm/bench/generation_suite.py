"""Writing tokens: minilm's generate beside transformers', the same weights and the same tokens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minilm.bench.comparing import Comparison, seconds

# The sizes of the stories' models, and of those that GPT-2 was published with.
SMALL = {
    "gpt2": {"vocab_size": 1400, "n_embd": 160, "n_layer": 5, "n_head": 5, "n_positions": 256},
    "llama": {
        "vocab_size": 1400,
        "hidden_size": 160,
        "intermediate_size": 432,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
    },
}
LARGE = {
    "gpt2": {"vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024},
    "llama": {
        "vocab_size": 32000,
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 1024,
        "tie_word_embeddings": True,
    },
}
NAMES = {"gpt2": "GPT-2 of 124 million", "llama": "Llama of 110 million"}
# What is written with small models: name → (prompts, settings, the wanted ratio).
WAYS: dict[str, tuple[int, dict[str, Any], float]] = {
    "greedy": (1, {}, 3.0),
    "sampling with top_p": (1, {"do_sample": True, "top_p": 0.9, "top_k": 0}, 2.5),
    "8 prompts": (8, {}, 2.0),
    "4 beams": (1, {"num_beams": 4}, 2.5),
}
PROMPT = 8


def comparisons(folder: Path, quick: bool) -> Iterator[Comparison]:
    """Yield what to measure.

    folder: an empty folder for the models that both sides read
    quick: with small models and few tokens
    """
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    n_tokens = 6 if quick else 128
    for family, sizes in SMALL.items():
        models = both(family, sizes)
        for way, (batch, settings, wanted) in WAYS.items():
            name = f"{family} of 1.8 million, {way}, {n_tokens} tokens"
            yield speed(name, models, prompt(batch), n_tokens, settings, wanted)
        yield from ladder(family, models[0], n_tokens)
    for family, sizes in LARGE.items():
        yield from _large(folder, family, SMALL[family] if quick else sizes, 4 if quick else 64)


def both(family: str, sizes: dict[str, Any]) -> tuple[Any, Any]:
    """Make the same model twice, with random weights: minilm's and transformers'.

    family: "gpt2" or "llama"    sizes: settings by name
    """
    import torch
    import transformers

    from minilm.models import gpt2, llama

    start, head, home = {
        "gpt2": ("GPT2", "LMHeadModel", gpt2),
        "llama": ("Llama", "ForCausalLM", llama),
    }[family]
    settings = {**sizes, "bos_token_id": 0, "eos_token_id": None}
    torch.manual_seed(0)
    config = getattr(transformers, f"{start}Config")(**settings)
    theirs = getattr(transformers, f"{start}{head}")(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)  # on weights as they begin, all tokens are about as likely
    ours = getattr(home, f"{start}{head}")(getattr(home, f"{start}Config")(**settings)).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def prompt(batch: int) -> Any:
    """Draw prompts: int (batch, PROMPT).

    batch: how many
    """
    import torch

    return torch.randint(1, 1000, (batch, PROMPT), generator=torch.Generator().manual_seed(batch))


def speed(
    name: str,
    models: tuple[Any, Any],
    ids: Any,
    n_tokens: int,
    settings: dict[str, Any],
    wanted: float | None,
    runs: int = 7,
) -> Comparison:
    """Compare how fast two models write, once it is clear that they write the same.

    name: of the row    models: minilm's, transformers'    ids: the prompts
    n_tokens: new ones, of each prompt    settings: of generate    wanted: the ratio
    """
    import torch

    from minilm.generation.generate import generate

    ours, theirs = models
    how = {"max_new_tokens": n_tokens, "do_sample": False, "pad_token_id": 0, **settings}

    def of(write: Callable[..., Any]) -> Callable[[], Any]:
        def run() -> Any:
            torch.manual_seed(0)
            return write(ids, **how)

        return run

    write_ours, write_theirs = (
        of(lambda *given, **named: generate(ours, *given, **named)),
        of(theirs.generate),
    )
    if not torch.equal(write_ours(), write_theirs()):
        raise AssertionError(f"{name}: the tokens differ, and the speeds compare nothing.")

    def rate(run: Callable[[], Any]) -> Callable[[], float]:
        return lambda: len(ids) * n_tokens / seconds(run)

    return Comparison(
        name, "tokens/s", rate(write_ours), rate(write_theirs), at_least=wanted, runs=runs
    )


def ladder(family: str, model: Any, n_tokens: int) -> Iterator[Comparison]:
    """Yield how fast one text is written at each step from the naive loop to `generate`.

    family: its name    model: minilm's    n_tokens: new ones
    """
    ids = prompt(1)
    for name, write in rungs(model, ids, n_tokens).items():

        def rate(write: Callable[[], Any] = write) -> float:
            return n_tokens / seconds(write)

        yield Comparison(f"{family} of 1.8 million, ladder: {name}", "tokens/s", rate, runs=5)


def rungs(model: Any, ids: Any, n_tokens: int) -> dict[str, Callable[[], Any]]:
    """Return the steps of the ladder by name; each function writes the same tokens, int (1, L + new).

    model: minilm's    ids: int (1, L)    n_tokens: new ones
    """
    from minilm.cache import DynamicCache
    from minilm.generation.fast import FastForward
    from minilm.generation.forward import Forward
    from minilm.generation.generate import generate
    from minilm.generation.shared_cache import SharedCache

    length, n_layers = ids.shape[1] + n_tokens, len(model.base_model.layers)

    def by_hand(kind: Any, new_cache: Callable[[], Any] | None, copied: int = 0) -> Any:
        return lambda: _write_by_hand(model, ids, length, kind, new_cache, copied)

    return {
        "the whole text again for each token": by_hand(Forward, None),
        "keys and values kept": by_hand(Forward, DynamicCache),
        "short layers": by_hand(FastForward, DynamicCache),
        "weights laid out for one row": by_hand(FastForward, DynamicCache, 32 << 20),
        "one memory for all layers": by_hand(
            FastForward, lambda: SharedCache(n_layers, length), 32 << 20
        ),
        "generate, with its short loop": lambda: generate(
            model, ids, max_new_tokens=n_tokens, do_sample=False, pad_token_id=0
        ),
    }


def _write_by_hand(
    model: Any,
    ids: Any,
    length: int,
    kind: Any,
    new_cache: Callable[[], Any] | None,
    copied: int,
) -> Any:
    """Write greedily with the plain loop; what calls the model, and with what cache, is given."""
    import torch

    from minilm.generation import fast_layers, loop

    before, fast_layers.MOST_COPIED = fast_layers.MOST_COPIED, copied
    try:
        cache = new_cache() if new_cache is not None else None
        forward = kind(model, ids, past_key_values=cache, use_cache=cache is not None)
        with torch.no_grad():
            return loop.write_tokens(
                ids,
                forward.next_logits,
                loop.choose_next,
                lambda written: torch.full((len(written),), written.shape[1] >= length),
            )
    finally:
        fast_layers.MOST_COPIED = before


def _large(folder: Path, family: str, sizes: dict[str, Any], n_tokens: int) -> Iterator[Comparison]:
    models = both(family, sizes)
    name = NAMES[family]
    yield speed(f"{name}, greedy, {n_tokens} tokens", models, prompt(1), n_tokens, {}, 1.3, runs=5)
    yield _share_of_bandwidth(name, models[0], n_tokens)
    if family == "gpt2":
        text = prompt(1)[:, :PROMPT].repeat(1, 6)
        guessing = {"prompt_lookup_num_tokens": 8}
        row = f"{name}, prompt lookup on repetitive text, {n_tokens} tokens"
        yield speed(row, models, text, n_tokens, guessing, 1.3, runs=5)
    saved = folder / family
    models[1].save_pretrained(saved)
    del models  # the processes to come shall have the memory
    yield _memory(f"{name}, peak memory", saved, n_tokens)


def _share_of_bandwidth(name: str, model: Any, n_tokens: int) -> Comparison:
    """What share of the bytes that this machine can read its weights' bytes per token come to."""
    import torch

    from minilm.generation.generate import generate

    n_bytes = sum(parameter.nbytes for parameter in model.parameters())
    if hasattr(model.base_model, "wpe"):
        n_bytes -= model.base_model.wpe.weight.nbytes  # of it one row is read
    ids = prompt(1)

    def run() -> float:
        def write(n: int) -> float:
            return seconds(
                lambda: generate(model, ids, max_new_tokens=n, do_sample=False, pad_token_id=0)
            )

        per_token = (write(n_tokens + 1) - write(1)) / n_tokens
        return n_bytes / per_token / bandwidth()

    with torch.no_grad():
        return Comparison(f"{name}, weights read, of the bandwidth", "× measured", run, runs=3)


def bandwidth(megabytes: int = 256) -> float:
    """Measure how many bytes per second this machine reads, at its best of five times.

    megabytes: to read; far more than a cache holds
    """
    import torch

    numbers = torch.ones(megabytes << 18)  # float32
    return numbers.nbytes / min(seconds(numbers.sum) for _ in range(5))


PEAK = """
import resource, torch
{first}
model = {library}.from_pretrained({folder!r}).eval()
ids = torch.randint(1, 1000, (1, {prompt}))
how = dict(max_new_tokens={n_tokens}, do_sample=False, pad_token_id=0)
{write}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
# Library → what is imported, the class, and how it writes.
SIDES = {
    "minilm": (
        "from minilm import AutoModelForCausalLM\nfrom minilm.generation.generate import generate",
        "AutoModelForCausalLM",
        "generate(model, ids, **how)",
    ),
    "transformers": (
        "import transformers\ntransformers.logging.disable_progress_bar()",
        "transformers.AutoModelForCausalLM",
        "model.generate(ids, **how)",
    ),
}


def _memory(name: str, folder: Path, n_tokens: int) -> Comparison:
    """The most memory that a fresh process held which loads a model and writes."""

    def of(side: str) -> Callable[[], float]:
        first, library, write = SIDES[side]
        script = PEAK.format(
            first=first,
            library=library,
            folder=str(folder),
            prompt=PROMPT,
            n_tokens=n_tokens,
            write=write,
        )

        def run() -> float:
            done = subprocess.run(
                [sys.executable, "-c", script],
                capture_output=True,
                text=True,
                check=False,
                timeout=600,
            )
            if done.returncode:
                raise RuntimeError(f"A process of the benchmark failed:\n{done.stderr[-2000:]}")
            return int(done.stdout.split()[-1]) / 1024

        return run

    return Comparison(name, "MiB", of("minilm"), of("transformers"), at_most=1.0, runs=3)
