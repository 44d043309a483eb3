"""Small tokenizers of every family, trained here and saved the way published models are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

LINES = [
    "The quick brown fox jumps over the lazy dog. ",
    "Hello world! How are you? I'm fine, thanks.",
    "naïve café — déjà vu ½ ™ 日本語テスト Ünïcödé",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z A B C 0 1 2 3 4 5 6 7 8 9",
    "tokenizers tokenize tokens; 1234 5678 90",
    "don't can't we've they'll",
] * 5
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_bert():
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import WordPieceTrainer

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        LINES, WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tokenizer, {"tokenizer_class": "BertTokenizer", "model_max_length": 64}


def train_gpt2():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    end = "<|endoftext|>"
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        LINES,
        BpeTrainer(
            vocab_size=400, special_tokens=[end], initial_alphabet=alphabet, show_progress=False
        ),
    )
    roles = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), end)
    return tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast", **roles}


def train_llama2():
    from tokenizers import Tokenizer, decoders, models, normalizers, processors
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = BpeTrainer(
        vocab_size=600, special_tokens=["<unk>", "<s>", "</s>", *byte_pieces], show_progress=False
    )
    tokenizer.train_from_iterator([word for line in LINES for word in line.split()], trainer)
    content = json.loads(tokenizer.to_str())
    # As in the published file, the byte pieces are ordinary pieces.
    content["added_tokens"] = [
        token for token in content["added_tokens"] if token["content"] not in byte_pieces
    ]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    roles = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "</s>",
        "padding_side": "left",
    }
    return tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast", **roles}


def train_llama3():
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        LINES, BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens(
        [
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eot_id|>",
        ]
    )
    begin = "<|begin_of_text|>"
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{begin} $A",
                pair=f"{begin} $A {begin}:1 $B:1",
                special_tokens=[(begin, tokenizer.token_to_id(begin))],
            ),
        ]
    )
    return tokenizer, {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": "<|eot_id|>",
        "pad_token": "<|end_of_text|>",
        "model_max_length": 131072,
    }


def train_t5():
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import UnigramTrainer

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = UnigramTrainer(
        vocab_size=200,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    roles = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast", **roles}


TRAINERS = {
    "bert": train_bert,
    "gpt2": train_gpt2,
    "llama2": train_llama2,
    "llama3": train_llama3,
    "t5": train_t5,
}


@pytest.fixture(scope="session")
def tokenizer_folders(tmp_path_factory) -> dict[str, Path]:
    """Family → a folder with its tokenizer.json, tokenizer_config.json and config.json."""
    root = tmp_path_factory.mktemp("tokenizers")
    folders = {}
    for family, train in TRAINERS.items():
        folder = root / family
        folder.mkdir()
        tokenizer, config = train()
        tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        # transformers does not load a folder without it.
        (folder / "config.json").write_text("{}")
        folders[family] = folder
    return folders


@pytest.fixture(scope="session", params=list(TRAINERS))
def both_tokenizers(request, tokenizer_folders):
    """One family's tokenizer, as minilm loads it and as transformers does."""
    transformers = pytest.importorskip("transformers")
    from minilm import AutoTokenizer

    folder = tokenizer_folders[request.param]
    return (
        AutoTokenizer.from_pretrained(folder),
        transformers.AutoTokenizer.from_pretrained(str(folder)),
    )


@pytest.fixture
def bert(tokenizer_folders):
    """A fresh BERT-like tokenizer."""
    from minilm import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer_folders["bert"])


@pytest.fixture
def gpt2(tokenizer_folders):
    """A fresh GPT-2-like tokenizer, without a padding token as the published one."""
    from minilm import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer_folders["gpt2"], pad_token=None)


@pytest.fixture
def llama3(tokenizer_folders):
    """A fresh Llama-3-like tokenizer."""
    from minilm import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer_folders["llama3"])
