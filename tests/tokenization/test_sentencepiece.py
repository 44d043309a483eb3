"""SentencePiece models give the ids of the sentencepiece library itself, and Marian's pairs those of transformers."""

from __future__ import annotations

import io
import json
import random
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm import AutoTokenizer
from minilm.errors import FileProblem, MissingPackage

sentencepiece = pytest.importorskip("sentencepiece")

LINES = [
    "the quick brown fox jumps over the lazy dog",
    "hello world how are you today I am fine thanks",
    "    def function(self):\n        return     None",
    "naïve café déjà vu, 日本語 テスト über",
    "translation models read one language and write another one",
    "numbers 0 1 2 3 4 5 6 7 8 9 12 34 567, and punctuation: a.b-c?!",
]
CORPUS = [" ".join(LINES[i:] + LINES[:i]) for i in range(6)] + LINES * 20
IDENTITY = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
LLAMA = {
    "model_type": "bpe",
    "vocab_size": 560,
    "byte_fallback": True,
    "allow_whitespace_only_pieces": True,
    "split_digits": True,
    **IDENTITY,
}
T5 = {
    "model_type": "unigram",
    "vocab_size": 160,
    "pad_id": 0,
    "eos_id": 1,
    "unk_id": 2,
    "bos_id": -1,
}
# name → (options of the trainer, tokenizer_class, file name)
MODELS = {
    "llama": (LLAMA, "LlamaTokenizer", "tokenizer.model"),
    "bpe, normalised": ({"model_type": "bpe", "vocab_size": 300}, None, "tokenizer.model"),
    "t5": (T5, "T5Tokenizer", "spiece.model"),
    "xlm-roberta": (
        {"model_type": "unigram", "vocab_size": 160},
        "XLMRobertaTokenizer",
        "sentencepiece.bpe.model",
    ),
    "unigram, as it is": (
        {"model_type": "unigram", "vocab_size": 420, "byte_fallback": True, **IDENTITY},
        "PreTrainedTokenizerFast",
        "tokenizer.model",
    ),
    "unigram, no prefix": (
        {"model_type": "unigram", "vocab_size": 160, "add_dummy_prefix": False},
        None,
        "odd-name.model",
    ),
}


def train(lines=CORPUS, **options) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        minloglevel=2,
        hard_vocab_limit=False,
        **options,
    )
    return model.getvalue()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Name → (folder, the sentencepiece library's own processor)."""
    made = {}
    for name, (options, tokenizer_class, file) in MODELS.items():
        folder = tmp_path_factory.mktemp("sentencepiece")
        content = train(**options)
        (folder / file).write_bytes(content)
        config = {} if tokenizer_class is None else {"tokenizer_class": tokenizer_class}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        (folder / "config.json").write_text("{}")
        made[name] = folder, sentencepiece.SentencePieceProcessor(model_proto=content)
    return made


@pytest.fixture(scope="module", params=list(MODELS))
def model(request, folders):
    folder, processor = folders[request.param]
    return request.param, AutoTokenizer.from_pretrained(folder), processor


def library_ids(name, processor, text):
    ids = processor.encode(text)
    if name == "xlm-roberta":
        # fairseq's <pad> stands before </s>, so all others move on by one, and <unk> is 3.
        return [3 if number == 0 else number + 1 for number in ids]
    return ids


# "=" and the like, many times over, can be cut in ways that are equally likely; the library adds
# the logarithms up with less precision and may take another of them. Not so with few of one kind.
CHARACTERS = st.one_of(
    st.sampled_from([" ", "  ", "\n", "\t", "▁", "the", "ing", "é", "e\u0301", "\u3000", "\u00a0"]),
    st.characters(exclude_categories=["Cs"]),
)


def test_ids_are_the_librarys(model):
    name, tokenizer, processor = model

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(st.lists(CHARACTERS, max_size=20).map("".join))
    def holds(text):
        if any(token in text for token in tokenizer.all_special_tokens):
            return
        expected = library_ids(name, processor, text)
        assert tokenizer.encode(text, add_special_tokens=False) == expected, text

    holds()
    for line in CORPUS:
        expected = library_ids(name, processor, line)
        assert tokenizer.encode(line, add_special_tokens=False) == expected


def test_runs_of_spaces_come_out_as_the_library_has_them(folders):
    """A list of merges cannot rank two cuts of one piece alike, and gets some of them wrong."""
    folder, processor = folders["llama"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for length in range(60):
        for text in (" " * length, "a" + " " * length + "b", " " * length + "\n" + " " * length):
            ids = tokenizer.encode(text, add_special_tokens=False)
            assert ids == processor.encode(text), length
    assert any(set(token) == {"▁"} and len(token) > 2 for token in tokenizer.get_vocab())


def test_decoding_gives_the_librarys_text(model):
    name, tokenizer, processor = model
    if name == "unigram, no prefix":
        return  # the library takes a space away here that it never added
    draw = random.Random(0)
    for _ in range(200):
        text = "".join(draw.choices([" ", "the", "é", "日", "x", ".", "  "], k=draw.randint(0, 9)))
        ids = processor.encode(text)
        if processor.unk_id() in ids:
            continue  # the library writes " ⁇ " for it
        expected = processor.decode(ids)
        assert tokenizer.decode(library_ids(name, processor, text)) == expected


@pytest.mark.parametrize("name", ["llama", "t5", "xlm-roberta"])
def test_transformers_gives_the_same_ids_for_ordinary_texts(folders, name):
    transformers = pytest.importorskip("transformers")
    folder, _ = folders[name]
    ours = AutoTokenizer.from_pretrained(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(str(folder))
    for text in (LINES[0], LINES[1], LINES[4], "quick dogs, 12"):
        assert dict(ours(text)) == dict(theirs(text)), text
        assert dict(ours(text, "and you")) == dict(theirs(text, "and you")), text
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.special_tokens_map == theirs.special_tokens_map
    assert ours.padding_side == theirs.padding_side


@pytest.mark.parametrize(
    ("tokenizer_class", "options"),
    [
        (
            "AlbertTokenizer",
            {
                "model_type": "unigram",
                "pad_id": 0,
                "unk_id": 1,
                "bos_id": -1,
                "eos_id": -1,
                "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
            },
        ),
        ("CamembertTokenizer", {"model_type": "unigram"}),
        (
            "DebertaV2Tokenizer",
            {
                "model_type": "unigram",
                "pad_id": 0,
                "bos_id": 1,
                "eos_id": 2,
                "unk_id": 3,
                "pad_piece": "[PAD]",
                "bos_piece": "[CLS]",
                "eos_piece": "[SEP]",
                "unk_piece": "[UNK]",
            },
        ),
        (
            "GemmaTokenizer",
            {
                "model_type": "bpe",
                "byte_fallback": True,
                "add_dummy_prefix": False,
                "pad_id": 0,
                "eos_id": 1,
                "bos_id": 2,
                "unk_id": 3,
                "eos_piece": "<eos>",
                "bos_piece": "<bos>",
                "user_defined_symbols": ["<mask>"],
                **IDENTITY,
            },
        ),
    ],
)
def test_other_classes_put_their_special_tokens_the_same(tmp_path, tokenizer_class, options):
    transformers = pytest.importorskip("transformers")
    size = 560 if "byte_fallback" in options else 160
    content = train(vocab_size=size, **options)
    for name in ("spiece.model", "tokenizer.model"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": tokenizer_class})
    )
    (tmp_path / "config.json").write_text("{}")
    ours = AutoTokenizer.from_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.special_tokens_map == theirs.special_tokens_map
    for text in (LINES[0], "The Quick brown", "naïve ones 12"):
        for pair in (None, "and you"):
            assert dict(ours(text, pair)) == dict(theirs(text, pair))


def test_a_class_with_ways_of_its_own_is_refused(folders, tmp_path):
    content = (folders["t5"][0] / "spiece.model").read_bytes()
    (tmp_path / "spiece.model").write_bytes(content)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "XLNetTokenizer"}')
    with pytest.raises(FileProblem, match=r"XLNetTokenizer.*tokenizer\.json"):
        AutoTokenizer.from_pretrained(tmp_path)


def test_a_space_at_the_beginning_is_kept(folders):
    """The library writes two spaces for it, its own and the text's; transformers writes one."""
    transformers = pytest.importorskip("transformers")
    folder, processor = folders["llama"]
    ours = AutoTokenizer.from_pretrained(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(str(folder))
    text = " the"
    assert ours.encode(text, add_special_tokens=False) == processor.encode(text)
    assert theirs.encode(text, add_special_tokens=False) != processor.encode(text)
    assert ours.decode(ours(text)["input_ids"]) == text


def test_the_saved_model_gives_the_same_ids_here(model, tmp_path):
    _, tokenizer, _ = model
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    draw = random.Random(1)
    for _ in range(200):
        text = "".join(
            draw.choices([" ", "the", "é", "日", "x", "\n", "   "], k=draw.randint(0, 15))
        )
        assert again(text) == tokenizer(text)
    assert again.special_tokens_map == tokenizer.special_tokens_map
    assert len(again) == len(tokenizer)


def test_the_saved_model_gives_the_same_ids_in_transformers(model, tmp_path):
    """All of them for Unigram. A BPE model's ties are not to be said in tokenizer.json: where one
    piece can be cut at two places, the longer left part is ranked first, which gives the library's
    ids for words and for runs of spaces."""
    transformers = pytest.importorskip("transformers")
    _, tokenizer, _ = model
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    texts = [*CORPUS[:8], *(" " * length + "x" + " " * length for length in range(40))]
    for text in texts:
        assert theirs(text)["input_ids"] == tokenizer(text)["input_ids"], text
    assert theirs.get_vocab() == tokenizer.get_vocab()


def test_the_sentinels_of_t5_come_behind_the_pieces_in_reverse(folders):
    folder, processor = folders["t5"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    size = processor.get_piece_size()
    assert tokenizer.convert_tokens_to_ids("<extra_id_99>") == size
    assert tokenizer.convert_tokens_to_ids("<extra_id_0>") == size + 99
    assert tokenizer.encode("<extra_id_0>", add_special_tokens=False) == [size + 99]
    fewer = AutoTokenizer.from_pretrained(folder, extra_ids=3)
    assert len(fewer) == size + 3


def test_the_start_token_is_added_where_the_configuration_says_so(folders, tmp_path):
    folder, processor = folders["llama"]
    (tmp_path / "tokenizer.model").write_bytes((folder / "tokenizer.model").read_bytes())
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("the")["input_ids"] == [1, *processor.encode("the"), 2]
    assert tokenizer.padding_side == "left"


def test_symbols_of_the_users_own_are_kept_whole(tmp_path):
    content = train(model_type="bpe", vocab_size=300, user_defined_symbols=["<sep>", "<cls>"])
    (tmp_path / "tokenizer.model").write_bytes(content)
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer.encode("the<sep>", add_special_tokens=False)
    assert ids == processor.encode("the<sep>")
    assert tokenizer.decode(ids, skip_special_tokens=True) == "the<sep>"
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token) == (
        "<s>",
        "</s>",
        "<unk>",
    )


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x00" * 50, "half"])
def test_a_damaged_model_is_one_clear_error(folders, tmp_path, content):
    if content == "half":
        whole = (folders["llama"][0] / "tokenizer.model").read_bytes()
        content = whole[: len(whole) // 2]
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(FileProblem, match=r"tokenizer\.model"):
        AutoTokenizer.from_pretrained(tmp_path)


def test_a_kind_of_model_that_is_not_supported_says_so(tmp_path):
    content = train(model_type="char", vocab_size=60)
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(FileProblem, match="only unigram and bpe"):
        AutoTokenizer.from_pretrained(tmp_path)


def test_without_the_library_the_error_names_it(folders, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(MissingPackage, match="Install sentencepiece"):
        AutoTokenizer.from_pretrained(folders["llama"][0])


# -- Marian ------------------------------------------------------------------------------------

GERMAN = [
    "die Katze saß auf der Matte",
    "ein Hund lief über den Hügel",
    "hallo Welt wie geht es dir heute",
    "Übersetzungsmodelle lesen eine Sprache",
]


@pytest.fixture(scope="module")
def marian_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("marian")
    vocab = {"</s>": 0, "<unk>": 1}
    for name, lines in (("source", CORPUS), ("target", GERMAN * 20)):
        content = train(lines, vocab_size=70, model_type="unigram")
        (folder / f"{name}.spm").write_bytes(content)
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        for number in range(3, processor.get_piece_size()):
            vocab.setdefault(processor.id_to_piece(number), len(vocab))
    for token in (">>deu<<", ">>nld<<", "<pad>"):
        vocab[token] = len(vocab)
    (folder / "vocab.json").write_text(json.dumps(vocab))
    config = {"tokenizer_class": "MarianTokenizer", "source_lang": "en", "target_lang": "de"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text('{"model_type": "marian"}')
    return folder


@pytest.fixture(scope="module")
def marian(marian_folder):
    transformers = pytest.importorskip("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = transformers.AutoTokenizer.from_pretrained(str(marian_folder))
    return AutoTokenizer.from_pretrained(marian_folder), theirs


MARIAN_TEXTS = [
    "the quick fox",
    "  two   spaces ",
    ">>deu<< hello world",
    ">>deu<<hello",
    ">>xyz<< unknown code",
    "not >>deu<< at the beginning",
    "hello</s> world <pad>",
    "ωωω ☃☃ unknown",
    "",
    "naïve 日本語",
]


@pytest.mark.parametrize("text", MARIAN_TEXTS)
def test_marian_encodes_and_decodes_the_same(marian, text):
    ours, theirs = marian
    for options in (
        {},
        {"add_special_tokens": False},
        {"max_length": 4},
        {"max_length": 9, "padding": "max_length", "truncation": True},
    ):
        assert dict(ours(text, **options)) == dict(theirs(text, **options))
        assert dict(ours(text_target=text, **options)) == dict(theirs(text_target=text, **options))
    assert ours.tokenize(text) == theirs.tokenize(text)
    for ids in (theirs(text)["input_ids"], theirs(text_target=text)["input_ids"]):
        assert ours.decode(ids) == theirs.decode(ids)
        assert ours.decode(ids, skip_special_tokens=True) == theirs.decode(
            ids, skip_special_tokens=True
        )
        assert ours.convert_ids_to_tokens(ids) == theirs.convert_ids_to_tokens(ids)


def test_marian_makes_a_batch_with_labels_the_same(marian):
    ours, theirs = marian
    texts = ["the fox", ">>deu<< hello world how are you"]
    options = {"text_target": ["die Katze", GERMAN[3]], "padding": True, "return_tensors": "pt"}
    got, expected = ours(texts, **options), theirs(texts, **options)
    assert list(got) == list(expected)
    for name in expected:
        assert got[name].tolist() == expected[name].tolist()
    target_options = {"max_target_length": 3, "truncation": True, "max_length": 6}
    assert dict(ours(texts[0], text_target=GERMAN[0], **target_options)) == dict(
        theirs(texts[0], text_target=GERMAN[0], **target_options)
    )


def test_marian_says_the_same_of_itself(marian):
    ours, theirs = marian
    for name in [
        "vocab_size",
        "model_max_length",
        "special_tokens_map",
        "all_special_ids",
        "pad_token_id",
        "eos_token_id",
        "unk_token_id",
        "padding_side",
        "model_input_names",
        "supported_language_codes",
    ]:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.num_special_tokens_to_add() == theirs.num_special_tokens_to_add()


def test_marian_knows_offsets_too(marian):
    ours, _ = marian
    text = ">>deu<< the  fox ☃"
    batch = ours(text, return_offsets_mapping=True)
    pieces = [text[start:end] for start, end in batch["offset_mapping"]]
    assert pieces[0] == ">>deu<<" and pieces[-1] == ""
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


def test_marian_is_saved_and_loaded(marian, tmp_path):
    import pickle

    transformers = pytest.importorskip("transformers")
    ours, theirs = marian
    paths = ours.save_pretrained(tmp_path)
    assert {"source.spm", "target.spm", "vocab.json"} <= {path.rpartition("/")[2] for path in paths}
    (tmp_path / "config.json").write_text('{"model_type": "marian"}')
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        others = [
            AutoTokenizer.from_pretrained(tmp_path),
            transformers.AutoTokenizer.from_pretrained(str(tmp_path)),
            pickle.loads(pickle.dumps(ours)),
        ]
    for other in others:
        for text in MARIAN_TEXTS:
            assert dict(other(text)) == dict(theirs(text))
            assert dict(other(text_target=text)) == dict(theirs(text_target=text))


def test_tokens_are_added_to_both_languages(marian_folder, tmp_path):
    ours = AutoTokenizer.from_pretrained(marian_folder)
    size = len(ours)
    assert ours.add_tokens(["<new>"]) == 1
    assert ours("the<new>")["input_ids"][-2] == size
    assert ours(text_target="die<new>")["input_ids"][-2] == size
    assert ours.decode([size]) == "<new>"
    ours.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(text_target="die<new>") == ours(text_target="die<new>")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("source.spm", b"", "source.spm"),
        ("target.spm", b"nonsense", "target.spm"),
        ("vocab.json", b"{", "not valid JSON"),
        ("vocab.json", b'{"</s>": 0}', "vocab.json.*<unk>"),
        ("vocab.json", None, "no vocab.json"),
    ],
)
def test_damaged_files_of_marian_are_named(marian_folder, tmp_path, name, content, words):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(marian_folder, folder)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(FileProblem, match=words):
        AutoTokenizer.from_pretrained(folder)


def test_marian_is_not_trained_here(marian):
    from minilm.errors import InvalidInput

    with pytest.raises(InvalidInput, match="sentencepiece library"):
        marian[0].train_new_from_iterator(["a"], 100)


@pytest.mark.parametrize("options, tokenizer_class, file", [MODELS["llama"], MODELS["t5"]])
@pytest.mark.parametrize("config", [{}, {"extra_special_tokens": ["[INST]"]}])
def test_control_symbols_are_special_tokens_unless_the_config_lists_its_own(
    tmp_path, options, tokenizer_class, file, config
):
    """As in Mistral's models from the third on, which have hundreds."""
    transformers = pytest.importorskip("transformers")
    (tmp_path / file).write_bytes(train(**options, control_symbols=["[INST]", "[/INST]"]))
    config = {"tokenizer_class": tokenizer_class, **config}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "config.json").write_text("{}")
    ours = AutoTokenizer.from_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert ours.all_special_tokens == theirs.all_special_tokens
    assert "[INST]" in ours.all_special_tokens
    ours.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again.all_special_tokens == ours.all_special_tokens


MARKED = ["\u0301", "\u0302", "\u0323", "\u031b", "\u0308", "\u3099", "\uff9e", "\uff9f"]
LETTERS = [
    "a",
    "e",
    "o",
    "u",
    "ω",
    "\uff76",
    "\uff8a",
    "か",
    "\u1112",
    "\u1161",
    "\u11ab",
    "\u3000",
]


def test_letters_keep_all_their_accents(folders):
    """tokenizers takes a letter with its marks for one, and all but the first mark are lost."""
    folder, processor = folders["t5"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    normalize = tokenizer.pipeline.normalizer.normalize
    assert normalize("a\u0323\u0302") == "▁\u1ead"
    assert normalize("\uff76\uff9e") == "▁ガ"
    draw = random.Random(5)
    for _ in range(1000):
        text = "".join(draw.choice(MARKED + LETTERS + ["x", " "]) for _ in range(12))
        assert normalize(text).replace(" ", "▁") == processor.normalize(text), ascii(text)
        row = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        assert row["input_ids"] == tokenizer.encode(text, add_special_tokens=False)
        assert row["input_ids"] == processor.encode(text)
    tokenizer.save_pretrained(folder / "saved")
    again = AutoTokenizer.from_pretrained(folder / "saved")
    assert again.pipeline.normalizer.normalize("a\u0323\u0302") == "▁\u1ead"


def test_rules_of_ones_own_replace_the_longest_match(tmp_path):
    rules = {"ab": "x", "abc": "yé", "``": '"', "a\u0301b": "z", "bb": ""}
    table = "".join(
        " ".join(f"{ord(c):X}" for c in old) + "\t" + " ".join(f"{ord(c):X}" for c in new) + "\n"
        for old, new in rules.items()
    )
    (tmp_path / "rules.tsv").write_text(table)
    content = train(
        model_type="unigram",
        vocab_size=160,
        normalization_rule_tsv=str(tmp_path / "rules.tsv"),
        remove_extra_whitespaces=False,
    )
    (tmp_path / "tokenizer.model").write_bytes(content)
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    normalize = tokenizer.pipeline.normalizer.normalize
    draw = random.Random(6)
    for _ in range(500):
        text = "".join(draw.choice("aabbc`\u0301 é") for _ in range(10))
        assert normalize(text).replace(" ", "▁") == processor.normalize(text), ascii(text)
        assert tokenizer.encode(text, add_special_tokens=False) == processor.encode(text)
