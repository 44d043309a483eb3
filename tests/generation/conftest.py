"""Tiny models of every family, minilm's and transformers' with the same weights, and prompts."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor

from minilm.tokenization.auto_tokenizer import AutoTokenizer

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()
tokenizers = pytest.importorskip("tokenizers")
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

VOCAB = 19
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
# Family → minilm's module, how its classes' names begin and end, and the settings of a tiny one.
FAMILIES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "gpt2": (
        "gpt2",
        "GPT2",
        "LMHeadModel",
        {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64}
        | {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    ),
    "gpt_neox": ("gpt_neox", "GPTNeoX", "ForCausalLM", {**SIZES, "rotary_pct": 0.5}),
    "llama": ("llama", "Llama", "ForCausalLM", GROUPED),
    "mistral": ("llama", "Mistral", "ForCausalLM", {**GROUPED, "sliding_window": 4}),
    "qwen2": (
        "llama",
        "Qwen2",
        "ForCausalLM",
        {**GROUPED, "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1},
    ),
    "qwen3": ("llama", "Qwen3", "ForCausalLM", {**GROUPED, "head_dim": 6}),
}


@functools.cache
def made(family: str, seed: int, others: tuple[tuple[str, Any], ...]) -> tuple[Any, Any]:
    """One pair of models, made once for all tests: they do not change it."""
    module, start, head, sizes = FAMILIES[family]
    settings = {"vocab_size": VOCAB, "bos_token_id": 1, "eos_token_id": None, "pad_token_id": None}
    settings |= {**sizes, "tie_word_embeddings": False, **dict(others)}
    torch.manual_seed(seed)
    config = getattr(transformers, f"{start}Config")(**copy.deepcopy(settings))
    theirs = getattr(transformers, f"{start}{head}")(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6)  # on weights as they begin, all tokens are about as likely
    home = import_module(f"minilm.models.{module}")
    ours = getattr(home, f"{start}{head}")(getattr(home, f"{start}Config")(**settings)).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.fixture
def families() -> list[str]:
    """The model_types of all of them."""
    return list(FAMILIES)


@pytest.fixture
def pair() -> Callable[..., tuple[Any, Any]]:
    """The same tiny model twice, minilm's and transformers': pair("llama", seed=0, **settings)."""
    return lambda family, seed=0, **others: made(family, seed, tuple(others.items()))


@functools.cache
def nearly(family: str, seed: int) -> tuple[Any, Any]:
    """Copies of a pair whose weights are a little off: good at guessing, and at times wrong."""
    ours, theirs = (copy.deepcopy(model) for model in made(family, seed, ()))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(1 + 0.1 * torch.randn(parameter.shape, generator=generator))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.fixture
def near_copy() -> Callable[[str, int], tuple[Any, Any]]:
    """A pair that is nearly pair(family, seed): near_copy("llama", 0)."""
    return nearly


@pytest.fixture
def prompts() -> Callable[..., tuple[Tensor, Tensor]]:
    """Prompts and their masks: prompts(batch, length, padding=(3, 0, …), seed=0).

    padding: tokens on the left of each row that are none
    """

    def prompts(
        batch: int, length: int, padding: Any = (), pad_token_id: int = 0, seed: int = 0
    ) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(3, VOCAB - 1, (batch, length), generator=generator)
        mask = torch.ones_like(ids)
        for row, n in enumerate(padding):
            ids[row, :n], mask[row, :n] = pad_token_id, 0
        return ids, mask

    return prompts


@pytest.fixture
def exact() -> Callable[..., dict[tuple[int, ...], float]]:
    """How likely every text is, one by one: exact(model, ids (1, L), n_tokens, change).

    change: what a filter does to the probabilities (V,) of the next token, given the text
    """

    def exact(model: Any, ids: Tensor, n_tokens: int, change: Any = None) -> dict[Any, float]:
        found = {}
        vocab = model.config.vocab_size
        for text in itertools.product(range(vocab), repeat=n_tokens):
            whole = torch.cat([ids[0], torch.tensor(text)])
            with torch.no_grad():
                probs = model(whole[None]).logits[0].double().softmax(-1)  # (L + n, V)
            found[text] = 1.0
            for i, token in enumerate(text):
                length = ids.shape[1] + i
                row = probs[length - 1]
                if change is not None:
                    row = change(whole[:length].tolist(), row)
                found[text] *= float(row[token] / row.sum())
        return found

    return exact


@pytest.fixture
def chi_squared() -> Callable[[dict[Any, int], dict[Any, float]], None]:
    """Refuse counts that do not come from these probabilities: chi_squared(found, expected)."""

    def chi_squared(found: dict[Any, int], expected: dict[Any, float]) -> None:
        total, statistic, freedom, rare = sum(found.values()), 0.0, -1, [0.0, 0.0]
        for what, probability in expected.items():
            if probability == 0:
                assert found[what] == 0, what
            elif probability * total < 5:  # too rare to be counted alone
                rare = [rare[0] + found[what], rare[1] + probability * total]
            else:
                statistic += (found[what] - probability * total) ** 2 / (probability * total)
                freedom += 1
        if rare[1] > 0:
            statistic += (rare[0] - rare[1]) ** 2 / max(rare[1], 1.0)
            freedom += 1
        assert freedom > 0
        # Four standard deviations above what is expected.
        assert statistic < freedom + 4 * (2 * freedom) ** 0.5, (statistic, freedom)

    return chi_squared


# Texts that small tokenizers are trained on, of every kind that there is.
TEXTS = [
    "the cat sat on the mat. The dog's café — naïve 漢字 🙂 stop here\nnew line, do not stop! END",
    "the cat sat. I do not know, café — naïve 漢字 🙂🙃 stop\nnew line\n\nit 's here . END",
]


def byte_level() -> tuple[Any, Any]:
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return made, trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<|end|>"], show_progress=False
    )


def byte_fallback() -> tuple[Any, Any]:
    made = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    special = ["<unk>", "<s>", *(f"<0x{i:02X}>" for i in range(256))]
    return made, trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)


def word_pieces() -> tuple[Any, Any]:
    made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    return made, trainers.WordPieceTrainer(
        vocab_size=120, special_tokens=["[UNK]", "[PAD]"], show_progress=False
    )


def metaspace() -> tuple[Any, Any]:
    made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    return made, trainers.BpeTrainer(vocab_size=90, special_tokens=["<unk>"], show_progress=False)


KINDS = {
    "byte_level": byte_level,
    "byte_fallback": byte_fallback,
    "word_pieces": word_pieces,
    "metaspace": metaspace,
}


@pytest.fixture(scope="session")
def tokenizer_pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Any]]:
    """The same tokenizer twice, minilm's and transformers'."""
    found: dict[str, tuple[Any, Any]] = {}

    def pair(kind: str) -> tuple[Any, Any]:
        if kind not in found:
            made, trainer = KINDS[kind]()
            made.train_from_iterator(TEXTS * 5, trainer)
            folder = tmp_path_factory.mktemp(kind)
            theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=made)
            theirs.save_pretrained(folder)
            found[kind] = AutoTokenizer.from_pretrained(folder), theirs
        return found[kind]

    return pair
