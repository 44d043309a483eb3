"""Tokenizers of every published kind, with small vocabularies trained here by tokenizers."""

from __future__ import annotations

import io
import json
import os
from pydoc_data.topics import topics

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")

MULTILINGUAL = """
The café's naïve façade — “quoted”, it’s £42.50 or €1,234! Ångström, Straße, ﬁne, ｆｕｌｌ ｗｉｄｔｈ.
Η Αθήνα είναι η πρωτεύουσα της Ελλάδας. ΣΊΣΥΦΟΣ. Привет, мир! Ещё раз: ёлка. İstanbul, ığdır.
שלום עולם, מה שלומך? שָׁלוֹם. مرحبا بالعالم، كيف حالك؟ ٣٤٥ قِطَطٍ. नमस्ते दुनिया, आप कैसे हैं? สวัสดีชาวโลก
你好，世界！今天天气很好。 こんにちは世界。カタカナとひらがな。 안녕하세요 세계. 각 각
🙂 👩‍👩‍👧‍👦 🇩🇪 👍🏽 ❤️ e\u0301 n\u0303 \u1e9b\u0323 Ⅳ ½ ² ｶﾞ ① ㎏
def f(x):\n\tif x > 10:\n\t\treturn x ** 2   # comment\n\n\nclass A: pass\r\n
"""

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<mask>"]


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    names = ["assert", "lambda", "strings", "numbers", "floating", "with", "try", "class"]
    return [topics[name] for name in names if name in topics] + MULTILINGUAL.splitlines() * 3


def added(content: str, **flags: bool):
    from tokenizers import AddedToken

    return AddedToken(content, **flags)


@pytest.fixture(scope="session")
def charsmaps(corpus) -> dict[str, bytes]:
    """sentencepiece's compiled normalization tables, by the name of the rule."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    maps = {}
    for rule in ("nmt_nfkc", "nmt_nfkc_cf"):
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus),
            model_writer=model,
            vocab_size=300,
            normalization_rule_name=rule,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
        maps[rule] = proto.normalizer_spec.precompiled_charsmap
    return maps


def _bpe(corpus, vocab_size=600, byte_level=False, alphabet=None, special=(), **model_options):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(**model_options))
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if byte_level else (alphabet or []),
        show_progress=False,
        **{
            name: value
            for name, value in model_options.items()
            if name in ("end_of_word_suffix", "continuing_subword_prefix")
        },
    )
    return tokenizer, lambda: tokenizer.train_from_iterator(corpus, trainer)


def _byte_level(corpus, pre_tokenizer, **options):
    from tokenizers import decoders

    tokenizer, train = _bpe(corpus, byte_level=True, special=["<|endoftext|>"], **options)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    train()
    return tokenizer


def gpt2(corpus, charsmaps):
    from tokenizers import pre_tokenizers as P
    from tokenizers import processors

    tokenizer = _byte_level(corpus, P.ByteLevel(add_prefix_space=False))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def gpt2_with_prefix_space(corpus, charsmaps):
    from tokenizers import pre_tokenizers as P
    from tokenizers import processors

    tokenizer = _byte_level(corpus, P.ByteLevel(add_prefix_space=True))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True, add_prefix_space=True)
    return tokenizer


def gpt_neox(corpus, charsmaps):
    from tokenizers import normalizers, processors
    from tokenizers import pre_tokenizers as P

    tokenizer = _byte_level(corpus, P.ByteLevel(add_prefix_space=False, trim_offsets=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True, add_prefix_space=False)
    tokenizer.add_tokens([added(" " * n, normalized=True) for n in range(24, 1, -1)])
    return tokenizer


def starcoder(corpus, charsmaps):
    from tokenizers import pre_tokenizers as P

    steps = [P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)]
    tokenizer = _byte_level(corpus, P.Sequence(steps))
    tokenizer.add_special_tokens(["<fim_prefix>", "<fim_suffix>", "<fim_middle>"])
    return tokenizer


def falcon(corpus, charsmaps):
    from tokenizers import Regex
    from tokenizers import pre_tokenizers as P

    steps = [
        P.Punctuation("contiguous"),
        P.ByteLevel(add_prefix_space=False),
        P.Digits(individual_digits=False),
        P.Split(Regex("[0-9][0-9][0-9]"), "isolated"),
    ]
    tokenizer = _byte_level(corpus, P.Sequence(steps))
    tokenizer.add_special_tokens([">>TITLE<<", ">>ABSTRACT<<"])
    return tokenizer


def deepseek_v2(corpus, charsmaps):
    from tokenizers import Regex, processors
    from tokenizers import pre_tokenizers as P

    letters = (
        r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ"
        r"\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
        r"\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u2c00-\u2c7b\u2c7e-\u2ce4"
        r"\ufb00-\ufb06Ａ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𑢠-𑣟𞤀-𞥃]+"
    )
    steps = [
        P.Split(Regex(r"[\r\n]"), "isolated"),
        P.Split(Regex(letters), "isolated"),
        P.Split(Regex(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"), "isolated"),
        P.Split(Regex(r"\s+$"), "isolated"),
        P.Split(Regex(r"[一-龥ࠀ-一가-퟿]+"), "isolated"),
        P.Digits(individual_digits=True),
        P.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
    ]
    tokenizer = _byte_level(corpus, P.Sequence(steps))
    tokenizer.add_special_tokens([added("<｜begin▁of▁sentence｜>"), added("<｜end▁of▁sentence｜>")])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def deepseek_v3(corpus, charsmaps):
    from tokenizers import Regex, normalizers
    from tokenizers import pre_tokenizers as P

    words = (
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    steps = [
        P.Split(Regex(r"\p{N}{1,3}"), "isolated"),
        P.Split(Regex(r"[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
        P.Split(Regex(words), "isolated"),
        P.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
    ]
    tokenizer = _byte_level(corpus, P.Sequence(steps))
    tokenizer.normalizer = normalizers.Sequence([])
    return tokenizer


CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def llama3(corpus, charsmaps):
    from tokenizers import Regex, processors
    from tokenizers import pre_tokenizers as P

    steps = [
        P.Split(Regex(CL100K), "isolated", invert=False),
        P.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
    ]
    tokenizer = _byte_level(corpus, P.Sequence(steps), ignore_merges=True)
    tokenizer.add_special_tokens(
        ["<|begin_of_text|>", "<|eot_id|>"] + [f"<|reserved_special_token_{n}|>" for n in range(60)]
    )
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True, add_prefix_space=True),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A",
                pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                special_tokens=[("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))],
            ),
        ]
    )
    return tokenizer


def qwen2(corpus, charsmaps):
    from tokenizers import Regex, normalizers, processors
    from tokenizers import pre_tokenizers as P

    pattern = CL100K.replace("{1,3}", "")
    steps = [
        P.Split(Regex(pattern), "isolated", invert=False),
        P.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
    ]
    tokenizer = _byte_level(corpus, P.Sequence(steps))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([added("<think>", normalized=False), added("</think>", normalized=False)])
    tokenizer.post_processor = processors.ByteLevel(
        add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    return tokenizer


def gpt4_possessive(corpus, charsmaps):
    """tiktoken's own writing of the pattern, possessive quantifiers and all."""
    from tokenizers import Regex
    from tokenizers import pre_tokenizers as P

    pattern = (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    )
    steps = [P.Split(Regex(pattern), "removed", invert=True), P.ByteLevel(False, use_regex=False)]
    return _byte_level(corpus, P.Sequence(steps))


def gpt4o(corpus, charsmaps):
    from tokenizers import Regex
    from tokenizers import pre_tokenizers as P

    upper, lower = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
    contraction = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    pattern = (
        rf"[^\r\n\p{{L}}\p{{N}}]?[{upper}]*[{lower}]+{contraction}"
        rf"|[^\r\n\p{{L}}\p{{N}}]?[{upper}]+[{lower}]*{contraction}"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    steps = [P.Split(Regex(pattern), "isolated"), P.ByteLevel(False, use_regex=False)]
    return _byte_level(corpus, P.Sequence(steps))


def bloom(corpus, charsmaps):
    from tokenizers import Regex
    from tokenizers import pre_tokenizers as P

    pattern = " ?[^(\\s|[.,!?…。，、।۔،])]+"
    steps = [
        P.Split(Regex(pattern), "isolated", invert=False),
        P.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
    ]
    return _byte_level(corpus, P.Sequence(steps))


def roberta(corpus, charsmaps):
    from tokenizers import pre_tokenizers as P
    from tokenizers import processors

    tokenizer = _byte_level(corpus, P.ByteLevel(add_prefix_space=False))
    tokenizer.add_special_tokens(["<s>", "</s>", added("<mask>", lstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", tokenizer.token_to_id("</s>")),
        ("<s>", tokenizer.token_to_id("<s>")),
        trim_offsets=True,
        add_prefix_space=False,
    )
    return tokenizer


def clip(corpus, charsmaps):
    from tokenizers import Regex, decoders, normalizers, processors
    from tokenizers import pre_tokenizers as P

    tokenizer, train = _bpe(
        corpus,
        byte_level=True,
        vocab_size=1000,
        special=["<|startoftext|>", "<|endoftext|>"],
        end_of_word_suffix="</w>",
        unk_token="<|endoftext|>",
        continuing_subword_prefix="",
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    pattern = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = P.Sequence(
        [P.Split(Regex(pattern), "removed", invert=True), P.ByteLevel(add_prefix_space=False)]
    )
    train()
    tokenizer.decoder = decoders.ByteLevel()
    start, end = "<|startoftext|>", "<|endoftext|>"
    tokenizer.post_processor = processors.RobertaProcessing(
        (end, tokenizer.token_to_id(end)),
        (start, tokenizer.token_to_id(start)),
        trim_offsets=False,
        add_prefix_space=False,
    )
    return tokenizer


def _bert(corpus, lowercase):
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
    from tokenizers import pre_tokenizers as P

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = P.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=900, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(t, tokenizer.token_to_id(t)) for t in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def bert_uncased(corpus, charsmaps):
    return _bert(corpus, lowercase=True)


def bert_cased(corpus, charsmaps):
    from tokenizers import processors

    tokenizer = _bert(corpus, lowercase=False)
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", tokenizer.token_to_id("[SEP]")), ("[CLS]", tokenizer.token_to_id("[CLS]"))
    )
    return tokenizer


def _llama_bpe(corpus):
    """A sentencepiece-like BPE over "▁", with byte pieces for what it lacks."""
    from tokenizers import Tokenizer
    from tokenizers import pre_tokenizers as P

    tokenizer, train = _bpe(
        corpus,
        vocab_size=900,
        special=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    tokenizer.pre_tokenizer = P.Metaspace()
    train()
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = data["added_tokens"][:3]  # byte pieces are ordinary tokens
    return Tokenizer.from_str(json.dumps(data))


def llama2(corpus, charsmaps):
    from tokenizers import decoders, normalizers, processors

    tokenizer = _llama_bpe(corpus)
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A",
        pair="<s> $A <s>:1 $B:1",
        special_tokens=[("<s>", tokenizer.token_to_id("<s>"))],
    )
    return tokenizer


def llama2_metaspace(corpus, charsmaps):
    from tokenizers import pre_tokenizers as P

    tokenizer = llama2(corpus, charsmaps)
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = P.Metaspace(prepend_scheme="first", split=False)
    return tokenizer


def phi3(corpus, charsmaps):
    tokenizer = llama2(corpus, charsmaps)
    names = ["<|user|>", "<|assistant|>", "<|end|>", "<|placeholder1|>"]
    tokenizer.add_special_tokens([added(name, rstrip=True) for name in names])
    return tokenizer


def gemma(corpus, charsmaps):
    from tokenizers import decoders, normalizers
    from tokenizers import pre_tokenizers as P

    tokenizer = _llama_bpe(corpus)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = P.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_tokens([added("\n" * n, normalized=False) for n in range(1, 6)])
    tokenizer.add_tokens([added("▁" * n, normalized=False) for n in range(2, 6)])
    return tokenizer


def _unigram(corpus, normalizer, pre_tokenizer, special=SPECIAL):
    from tokenizers import Tokenizer, decoders, models, trainers
    from tokenizers import pre_tokenizers as P

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = P.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=600, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def t5(corpus, charsmaps):
    from tokenizers import normalizers, processors
    from tokenizers import pre_tokenizers as P

    tokenizer = _unigram(
        corpus,
        normalizers.Precompiled(charsmaps["nmt_nfkc"]),
        P.Sequence([P.WhitespaceSplit(), P.Metaspace()]),
    )
    tokenizer.add_special_tokens(
        [added(f"<extra_id_{n}>", lstrip=True, rstrip=True) for n in range(100)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>",
        pair="$A </s> $B </s>",
        special_tokens=[("</s>", tokenizer.token_to_id("</s>"))],
    )
    return tokenizer


def xlm_roberta(corpus, charsmaps):
    from tokenizers import Regex, normalizers, processors
    from tokenizers import pre_tokenizers as P

    tokenizer = _unigram(
        corpus,
        normalizers.Sequence(
            [
                normalizers.Precompiled(charsmaps["nmt_nfkc"]),
                normalizers.Replace(Regex(" {2,}"), " "),
            ]
        ),
        P.Metaspace(),
    )
    tokenizer.add_special_tokens([added("<mask>", lstrip=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(t, tokenizer.token_to_id(t)) for t in ("<s>", "</s>")],
    )
    return tokenizer


def albert(corpus, charsmaps):
    from tokenizers import Regex, normalizers, processors
    from tokenizers import pre_tokenizers as P

    tokenizer = _unigram(
        corpus,
        normalizers.Sequence(
            [
                normalizers.Replace("``", '"'),
                normalizers.Replace("''", '"'),
                normalizers.NFKD(),
                normalizers.StripAccents(),
                normalizers.Lowercase(),
                normalizers.Precompiled(charsmaps["nmt_nfkc_cf"]),
                normalizers.Replace(Regex(" {2,}"), " "),
            ]
        ),
        P.Metaspace(),
        ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(t, tokenizer.token_to_id(t)) for t in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def marian_like(corpus, charsmaps):
    """Unigram with Metaspace "first" behind a normalizer that can delete the beginning."""
    from tokenizers import normalizers
    from tokenizers import pre_tokenizers as P

    return _unigram(
        corpus,
        normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Strip()]),
        P.Metaspace(prepend_scheme="first"),
    )


def word_level(corpus, charsmaps):
    from tokenizers import Tokenizer, models, normalizers, trainers
    from tokenizers import pre_tokenizers as P

    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
    tokenizer.pre_tokenizer = P.Sequence([P.Whitespace(), P.Digits(), P.CharDelimiterSplit("_")])
    trainer = trainers.WordLevelTrainer(vocab_size=900, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_tokens(
        [
            added("Words", single_word=True),
            added("é", normalized=True),
            added("return", rstrip=True),
        ]
    )
    return tokenizer


def odd_pieces(corpus, charsmaps):
    """Pieces that hardly any published file uses, all in one."""
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers
    from tokenizers import pre_tokenizers as P

    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>", max_input_chars_per_word=50))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.ByteLevel()])
    tokenizer.pre_tokenizer = P.Sequence([P.UnicodeScripts(), P.FixedLength(7), P.Metaspace()])
    trainer = trainers.WordPieceTrainer(vocab_size=900, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.decoder = decoders.Sequence([decoders.WordPiece(), decoders.ByteLevel()])
    return tokenizer


FAMILIES = [
    albert, bert_cased, bert_uncased, bloom, clip, deepseek_v2, deepseek_v3, falcon, gemma, gpt2,
    gpt2_with_prefix_space, gpt4_possessive, gpt4o, gpt_neox, llama2, llama2_metaspace, llama3,
    marian_like, odd_pieces, phi3, qwen2, roberta, starcoder, t5, word_level, xlm_roberta,
]  # fmt: skip


def read_by_both(tokenizer):
    """(tokenizers' Tokenizer, our Pipeline), both read from the same file."""
    from tokenizers import Tokenizer

    from minilm.tokenization.pipeline import Pipeline

    written = tokenizer.to_str()
    return Tokenizer.from_str(written), Pipeline.from_json(json.loads(written))


@pytest.fixture(scope="session", params=FAMILIES, ids=lambda family: family.__name__)
def pair(request, corpus, charsmaps):
    """(tokenizers' Tokenizer, our Pipeline) of each family in turn."""
    return read_by_both(request.param(corpus, charsmaps))


@pytest.fixture
def build(corpus, charsmaps):
    """A function: name of a family → (tokenizers' Tokenizer, our Pipeline)."""
    by_name = {family.__name__: family for family in FAMILIES}
    return lambda name: read_by_both(by_name[name](corpus, charsmaps))
