"""vocab.json with merges.txt, and vocab.txt, give what transformers makes of them."""

from __future__ import annotations

import json

import pytest

from minilm import AutoTokenizer
from minilm.errors import FileProblem
from minilm.tokenization import byte_alphabet

TEXTS = [
    "Hello World, naïve Café 1234 日本語",
    "  don't  tokenize\tthis\n\n[MASK] # # <mask> </s>",
    "",
    "☃ unknown ÀÉÎ #",
]


def both(folder, **kwargs):
    transformers = pytest.importorskip("transformers")
    return (
        AutoTokenizer.from_pretrained(folder, **kwargs),
        transformers.AutoTokenizer.from_pretrained(str(folder), **kwargs),
    )


def assert_same(folder, **kwargs):
    ours, theirs = both(folder, **kwargs)
    assert ours.get_vocab() == theirs.get_vocab()
    for name in ["special_tokens_map", "all_special_ids", "padding_side", "model_input_names"]:
        assert getattr(ours, name) == getattr(theirs, name), name
    for text in TEXTS:
        for pair in (None, "and  more"):
            got = ours(text, pair, return_offsets_mapping=True)
            expected = theirs(text, pair, return_offsets_mapping=True)
            assert dict(got) == dict(expected), (text, pair)
        ids = theirs(text)["input_ids"]
        assert ours.decode(ids) == theirs.decode(ids)
        assert ours.decode(ids, skip_special_tokens=True) == theirs.decode(
            ids, skip_special_tokens=True
        )
    return ours


@pytest.fixture
def byte_level(tokenizer_folders, tmp_path):
    """A folder with vocab.json and merges.txt, and a writer for the configurations beside them."""
    data = json.loads((tokenizer_folders["gpt2"] / "tokenizer.json").read_text())
    vocab = data["model"]["vocab"]
    merges = [" ".join(pair) for pair in data["model"]["merges"]]
    # A merge that begins as the header does, and one that some readers take for a comment.
    vocab["##"] = len(vocab)
    merges.append("# #")

    def write(config, model_config, special=()):
        for token in special:
            vocab.setdefault(token, len(vocab))
        (tmp_path / "vocab.json").write_text(json.dumps(vocab))
        (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
        if config is not None:
            (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        if model_config is not None:
            (tmp_path / "config.json").write_text(json.dumps(model_config))
        return tmp_path

    return write


ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


@pytest.mark.parametrize(
    ("config", "model_config", "special"),
    [
        ({"tokenizer_class": "GPT2Tokenizer"}, {}, ()),
        (None, {"model_type": "gpt2"}, ()),
        ({}, {"model_type": "gpt_neo"}, ()),
        ({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}, {}, ()),
        ({"tokenizer_class": "GPT2TokenizerFast", "add_bos_token": True}, {}, ()),
        ({"tokenizer_class": "GPT2Tokenizer", "pad_token": "<new>"}, {}, ()),
        ({"tokenizer_class": "RobertaTokenizer"}, {}, ROBERTA),
        (None, {"model_type": "roberta"}, ROBERTA),
        (None, {"model_type": "bart"}, ROBERTA),
        ({"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}, {}, ROBERTA),
        ({"tokenizer_class": "RobertaTokenizer", "trim_offsets": False}, {}, ROBERTA),
        ({"tokenizer_class": "GPTNeoXTokenizer"}, {}, ()),
        ({"tokenizer_class": "Qwen2Tokenizer"}, {"model_type": "qwen2"}, ()),
    ],
)
def test_vocab_json_and_merges_txt_give_the_same(byte_level, config, model_config, special):
    folder = byte_level(config, model_config, special)
    ours = assert_same(folder)
    assert ours.tokenize("##")[-1] == "##"


@pytest.mark.parametrize(
    ("config", "model_config"),
    [
        ({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}, {}),
        (None, {"model_type": "clip"}),
        ({"tokenizer_class": "CLIPTokenizer", "pad_token": "!"}, {"model_type": "clip"}),
    ],
)
def test_clips_files_give_the_same(tmp_path, config, model_config):
    """Its tokens know where a word ends, and all white space between words is dropped."""
    letters = list(byte_alphabet.byte_alphabet().values())
    merges = ["h e", "l l", "ll o</w>", "he llo</w>", "c a", "ca t</w>", "' s</w>"]
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    tokens += [merge.replace(" ", "") for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (tmp_path / "config.json").write_text(json.dumps(model_config))
    if config is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    ours = assert_same(tmp_path)
    assert ours.tokenize("Hello\n  CAT's  12") == [
        "hello</w>",
        "cat</w>",
        "'s</w>",
        "1</w>",
        "2</w>",
    ]
    assert_same(tmp_path, unk_token="!")


def test_added_tokens_beside_them_are_read(byte_level):
    folder = byte_level({"tokenizer_class": "GPT2Tokenizer"}, {})
    size = len(json.loads((folder / "vocab.json").read_text()))
    (folder / "added_tokens.json").write_text(json.dumps({"<mask>": size, "World": size + 1}))
    assert_same(folder)


def test_the_callers_prefix_space_counts(byte_level):
    folder = byte_level({"tokenizer_class": "RobertaTokenizer"}, {}, ROBERTA)
    assert_same(folder, add_prefix_space=True)


def test_a_folder_without_configuration_is_told_by_its_vocabulary(byte_level):
    """transformers needs a config.json."""
    folder = byte_level(None, None, ROBERTA)
    ours = AutoTokenizer.from_pretrained(folder)
    assert ours.tokenize("Hi", add_special_tokens=True) == ["<s>", "H", "i", "</s>"]


@pytest.fixture
def wordpiece(tokenizer_folders, tmp_path):
    """A folder with vocab.txt, and a writer for the configurations beside it."""
    data = json.loads((tokenizer_folders["bert"] / "tokenizer.json").read_text())
    vocab = data["model"]["vocab"]
    tokens = sorted(vocab, key=vocab.get)
    tokens += list("HWÀÉÎï")

    def write(config, model_config):
        (tmp_path / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
        if config is not None:
            (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        if model_config is not None:
            (tmp_path / "config.json").write_text(json.dumps(model_config))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("config", "model_config"),
    [
        ({"tokenizer_class": "BertTokenizer"}, {}),
        (None, {"model_type": "bert"}),
        ({"do_lower_case": False}, {"model_type": "bert"}),
        ({"strip_accents": False}, {"model_type": "bert"}),
        ({"do_lower_case": False, "strip_accents": True}, {"model_type": "bert"}),
        ({"tokenize_chinese_chars": False}, {"model_type": "bert"}),
        (None, {"model_type": "distilbert"}),
        ({"tokenizer_class": "DistilBertTokenizer"}, {"model_type": "distilbert"}),
        ({"tokenizer_class": "BertTokenizer", "model_max_length": 9}, {"model_type": "electra"}),
    ],
)
def test_vocab_txt_gives_the_same(wordpiece, config, model_config):
    assert_same(wordpiece(config, model_config))


def test_vocab_txt_alone_is_taken_for_bert(wordpiece):
    folder = wordpiece(None, None)
    ours = AutoTokenizer.from_pretrained(folder)
    assert ours.tokenize("hello", add_special_tokens=True)[0] == "[CLS]"
    assert ours.model_input_names == ["input_ids", "token_type_ids", "attention_mask"]


def test_what_is_read_from_older_files_is_saved_as_tokenizer_json(byte_level, wordpiece, tmp_path):
    transformers = pytest.importorskip("transformers")
    byte_level({"tokenizer_class": "RobertaTokenizer"}, {}, ROBERTA)
    ours = AutoTokenizer.from_pretrained(tmp_path)
    ours.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "config.json").write_text("{}")
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "saved"))
    for text in TEXTS:
        assert dict(theirs(text, "pair")) == dict(ours(text, "pair"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("merges.txt", "#version: 0.2\na b c\n", "Line 2 of .*merges.txt.*'a b c'"),
        ("merges.txt", "ab\n", "Line 1"),
        ("merges.txt", "no-such a\n", "no-such"),
        ("vocab.json", "{", "not valid JSON"),
        ("vocab.json", "[1]", "JSON object"),
        ("vocab.json", '{"a": "x"}', "merges.txt.*id of token 'a'"),
        (
            "tokenizer_config.json",
            '{"tokenizer_class": "HerbertTokenizer"}',
            "HerbertTokenizer.*known only",
        ),
    ],
)
def test_damaged_older_files_are_named(byte_level, name, content, words):
    folder = byte_level({"tokenizer_class": "GPT2Tokenizer"}, {})
    (folder / name).write_text(content)
    with pytest.raises(FileProblem, match=words):
        AutoTokenizer.from_pretrained(folder)


def test_a_vocabulary_that_is_no_text_is_named(wordpiece):
    folder = wordpiece(None, None)
    (folder / "vocab.txt").write_bytes(b"[UNK]\n\xff\n")
    with pytest.raises(FileProblem, match=r"vocab\.txt.*UTF-8"):
        AutoTokenizer.from_pretrained(folder)
