"""From a folder to a tokenizer: tokenizer.json as written, all that stands beside it, and clear errors."""

from __future__ import annotations

import gc
import json
import shutil

import pytest

from minilm import AutoTokenizer, PreTrainedTokenizer
from minilm.errors import FileProblem, InvalidInput, MinilmError, WrongType

TEXTS = ["Hello World, naïve 1234 tokens", "  ÀÉ ☃ 日本 [MASK] x", "", "<|endoftext|>Hi"]


def copy_of(folder, tmp_path, **changes):
    """A copy of a tokenizer's folder with other settings in tokenizer_config.json."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    path = copy / "tokenizer_config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))
    return copy


def both(folder, **kwargs):
    transformers = pytest.importorskip("transformers")
    return (
        AutoTokenizer.from_pretrained(folder, **kwargs),
        transformers.AutoTokenizer.from_pretrained(str(folder), **kwargs),
    )


def in_tokenizers(folder):
    tokenizers = pytest.importorskip("tokenizers")
    return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))


# -- tokenizer.json as written -----------------------------------------------------------------


def test_digits_stay_apart_where_the_file_says_so(tokenizer_folders, tmp_path):
    """StarCoder2's file splits digits; transformers rebuilds the class without that step."""
    folder = copy_of(tokenizer_folders["gpt2"], tmp_path, tokenizer_class="GPT2Tokenizer")
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text())
    digits = {"type": "Digits", "individual_digits": True}
    data["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [digits, data["pre_tokenizer"]],
    }
    path.write_text(json.dumps(data))
    (folder / "config.json").write_text('{"model_type": "starcoder2"}')
    ours, theirs = both(folder)
    original = in_tokenizers(folder).encode("12345678", add_special_tokens=False)
    assert original.tokens == list("12345678")
    assert ours.tokenize("12345678") == original.tokens
    assert theirs.tokenize("12345678") != original.tokens


def test_a_cased_bert_stays_cased(tokenizer_folders, tmp_path):
    """transformers lowercases unless tokenizer_config.json repeats do_lower_case=False."""
    folder = copy_of(tokenizer_folders["bert"], tmp_path)
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text())
    data["normalizer"]["lowercase"] = False
    path.write_text(json.dumps(data))
    ours, theirs = both(folder)
    text = "hello World"
    expected = in_tokenizers(folder).encode(text).ids
    assert ours(text)["input_ids"] == expected
    assert theirs(text)["input_ids"] != expected


def test_tokenizer_config_has_the_last_word_on_what_kind_an_added_token_is(
    tokenizer_folders, tmp_path
):
    """As in Command R, whose end of a turn is an ordinary token in tokenizer.json."""
    folder = copy_of(tokenizer_folders["gpt2"], tmp_path)
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    end = {"content": "<|end|>", "special": False, **flags}
    data["added_tokens"].append({"id": len(data["model"]["vocab"]), **end})
    path.write_text(json.dumps(data))
    number = str(len(data["model"]["vocab"]))
    for changes in ({"special": True}, {"special": True, "rstrip": True}, {"lstrip": True}):
        path = folder / "tokenizer_config.json"
        config = {**json.loads(path.read_text()), "added_tokens_decoder": {number: end | changes}}
        path.write_text(json.dumps(config))
        ours, theirs = both(folder)
        row = ours("Hi <|end|> you")["input_ids"]
        assert row == theirs("Hi <|end|> you")["input_ids"]
        assert int(number) in row
        for skip in (True, False):
            assert ours.decode(row, skip_special_tokens=skip) == theirs.decode(
                row, skip_special_tokens=skip
            )
        assert ("<|end|>" in ours.decode(row, skip_special_tokens=True)) is (
            "special" not in changes
        )


def test_the_ends_of_words_that_clip_marks_are_spaces_in_decoded_text(tmp_path):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.trainers import BpeTrainer

    transformers = pytest.importorskip("transformers")
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        ["a photo of a cat", "a photo of two dogs"] * 5,
        BpeTrainer(
            vocab_size=600,
            special_tokens=["<|startoftext|>", "<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            end_of_word_suffix="</w>",
            show_progress=False,
        ),
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    transformers.CLIPTokenizer.from_pretrained(str(tmp_path)).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    ours, theirs = both(tmp_path)
    texts = ["A photo of two cats", "a", "", "photo of<|endoftext|>dogs a"]
    for row in map(theirs.encode, texts):
        for skip in (True, False):
            assert ours.decode(row, skip_special_tokens=skip) == theirs.decode(
                row, skip_special_tokens=skip
            )
    assert ours.decode(ours.encode(texts[0]), skip_special_tokens=True) == texts[0].lower()


@pytest.mark.parametrize("was_on", [True, False])
def test_loading_leaves_pythons_garbage_collector_as_it_was(tokenizer_folders, tmp_path, was_on):
    assert gc.isenabled()
    try:
        if not was_on:
            gc.disable()
        AutoTokenizer.from_pretrained(tokenizer_folders["gpt2"])
        assert gc.isenabled() is was_on
        with pytest.raises(FileProblem):
            AutoTokenizer.from_pretrained(tmp_path)
        assert gc.isenabled() is was_on
    finally:
        gc.enable()


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama2", "llama3", "t5"])
def test_ids_are_those_of_the_file_itself(tokenizer_folders, family):
    ours = AutoTokenizer.from_pretrained(tokenizer_folders[family])
    original = in_tokenizers(tokenizer_folders[family])
    for text in TEXTS:
        assert ours(text)["input_ids"] == original.encode(text).ids


# -- what stands beside it ---------------------------------------------------------------------

NAMES = [
    "special_tokens_map",
    "extra_special_tokens",
    "all_special_tokens",
    "all_special_ids",
    "padding_side",
    "model_input_names",
    "model_max_length",
    "truncation_side",
    "clean_up_tokenization_spaces",
]


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("gpt2", {"pad_token": "<new pad>"}),
        ("gpt2", {"extra_special_tokens": ["<a>", "<b>"], "mask_token": "<mask>"}),
        ("gpt2", {"additional_special_tokens": ["<a>"]}),
        ("gpt2", {"extra_special_tokens": {"image_token": "<image>"}}),
        ("gpt2", {"image_token": "<image>"}),
        (
            "gpt2",
            {
                "mask_token": {
                    "__type": "AddedToken",
                    "content": "<mask>",
                    "lstrip": True,
                    "rstrip": False,
                    "normalized": False,
                    "single_word": False,
                }
            },
        ),
        (
            "llama3",
            {
                "added_tokens_decoder": {
                    "500": {"content": "<later>", "special": False, "normalized": False},
                    "499": {"content": "<sooner>", "special": True, "normalized": False},
                }
            },
        ),
        ("t5", {"padding_side": "left", "truncation_side": "left", "model_max_length": 17}),
        ("bert", {"model_max_length": ..., "pad_token": None, "do_lower_case": True}),
        ("bert", {"tokenizer_class": "DistilBertTokenizer"}),
        ("bert", {"tokenizer_class": "BertTokenizerFast", "clean_up_tokenization_spaces": True}),
        ("gpt2", {"tokenizer_class": "GPT2TokenizerFast", "pad_token": ...}),
        ("gpt2", {"tokenizer_class": "GPTNeoXTokenizer", "pad_token": ...}),
        ("llama2", {"tokenizer_class": "LlamaTokenizer", "padding_side": ..., "pad_token": ...}),
        ("llama3", {"tokenizer_class": "LlamaTokenizerFast", "padding_side": ...}),
        ("llama3", {"tokenizer_class": "NoSuchTokenizer"}),
    ],
)
def test_settings_are_read_as_transformers_reads_them(tokenizer_folders, tmp_path, family, changes):
    folder = copy_of(tokenizer_folders[family], tmp_path, **changes)
    ours, theirs = both(folder)
    for name in NAMES:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.get_vocab() == theirs.get_vocab()
    if isinstance(changes.get("extra_special_tokens"), dict) or "image_token" in changes:
        assert ours.image_token == theirs.image_token == "<image>"
        assert ours.image_token_id == theirs.image_token_id
    text = "Hi <new pad> <a><b> <image>  <mask> x <later><sooner>"
    assert ours(text)["input_ids"] == theirs(text)["input_ids"]
    ids = ours(text)["input_ids"]
    assert ours.decode(ids, skip_special_tokens=True) == theirs.decode(
        ids, skip_special_tokens=True
    )


def test_older_lists_of_special_tokens_are_read(tokenizer_folders, tmp_path):
    folder = copy_of(tokenizer_folders["gpt2"], tmp_path, pad_token=...)
    (folder / "special_tokens_map.json").write_text(
        json.dumps(
            {
                "pad_token": "<pad>",
                "mask_token": {
                    "content": "<mask>",
                    "lstrip": True,
                    "normalized": False,
                    "rstrip": False,
                    "single_word": False,
                },
                "additional_special_tokens": ["<x>"],
            }
        )
    )
    (folder / "added_tokens.json").write_text('{"<y>": 402, "<x>": 401}')
    ours, theirs = both(folder)
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.special_tokens_map == theirs.special_tokens_map
    text = "a <mask> b<x><y>"
    assert ours(text)["input_ids"] == theirs(text)["input_ids"]


@pytest.mark.parametrize(
    "kwargs",
    [
        {"padding_side": "left", "model_max_length": 9},
        {"pad_token": "<pad>"},
        {"pad_token": "<|endoftext|>", "truncation_side": "left"},
        {"extra_special_tokens": ["<x>"]},
        {"clean_up_tokenization_spaces": True, "use_fast": True},
        {"chat_template": "{{ 1 }}"},
    ],
)
def test_what_the_caller_says_comes_first(tokenizer_folders, kwargs):
    ours, theirs = both(tokenizer_folders["gpt2"], **kwargs)
    for name in (*NAMES, "chat_template"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.get_vocab() == theirs.get_vocab()


def test_steps_can_be_changed_by_name(tokenizer_folders, tmp_path):
    roberta = copy_of(
        tokenizer_folders["gpt2"], tmp_path, tokenizer_class="GPT2Tokenizer", pad_token=...
    )
    ours, theirs = both(roberta, add_prefix_space=True)
    assert (
        ours.tokenize("Hello world")
        == theirs.tokenize("Hello world")
        == ours.tokenize(" Hello world")
    )
    ours, theirs = both(tokenizer_folders["bert"], do_lower_case=False, strip_accents=True)
    for text in TEXTS:
        assert ours.tokenize(text) == theirs.tokenize(text)


def test_start_and_end_tokens_can_be_asked_for(tokenizer_folders):
    for flags in ({"add_bos_token": True}, {"add_bos_token": False, "add_eos_token": True}):
        ours, theirs = both(tokenizer_folders["llama3"], **flags)
        assert dict(ours("Hi", "you")) == dict(theirs("Hi", "you"))
        assert ours.add_bos_token == flags["add_bos_token"]
    ours.add_eos_token = False
    assert ours("Hi")["input_ids"] == ours.encode("Hi", add_special_tokens=False)


def test_whether_a_start_token_is_added_is_said_as_it_is(tokenizer_folders):
    """transformers says False of a tokenizer whose file adds one."""
    ours, theirs = both(tokenizer_folders["llama3"])
    assert theirs("Hi")["input_ids"][0] == theirs.bos_token_id
    assert (ours.add_bos_token, theirs.add_bos_token) == (True, False)


@pytest.mark.parametrize("form", ["string", "list", "file"])
def test_chat_templates_are_found_wherever_they_stand(tokenizer_folders, tmp_path, form):
    listed = [{"name": "default", "template": "D"}, {"name": "rag", "template": "R"}]
    template = {"string": "S", "list": listed, "file": "old"}[form]
    folder = copy_of(tokenizer_folders["gpt2"], tmp_path, chat_template=template)
    if form == "file":
        (folder / "chat_template.jinja").write_text("new\n")
    ours, theirs = both(folder)
    assert ours.chat_template == theirs.chat_template
    assert ours.get_chat_template() == theirs.get_chat_template()


def test_a_subfolder_is_found(tokenizer_folders):
    folder = tokenizer_folders["bert"]
    ours = AutoTokenizer.from_pretrained(folder.parent, subfolder="bert")
    assert ours("Hello") == AutoTokenizer.from_pretrained(folder)("Hello")
    assert PreTrainedTokenizer.from_pretrained(str(folder)).name_or_path == str(folder)


def test_padding_in_the_file_gives_defaults_and_pads_nothing(tokenizer_folders, tmp_path):
    folder = copy_of(tokenizer_folders["gpt2"], tmp_path, pad_token=...)
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text())
    data["padding"] = {
        "strategy": {"Fixed": 10},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<|endoftext|>",
    }
    data["truncation"] = {
        "direction": "Left",
        "max_length": 2,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    path.write_text(json.dumps(data))
    ours, theirs = both(folder)
    for name in NAMES:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert dict(ours("Hello there world")) == dict(theirs("Hello there world"))


# -- errors ------------------------------------------------------------------------------------


def test_an_empty_folder_is_no_tokenizer(tmp_path):
    """With a config.json in it, transformers makes a tokenizer with an empty vocabulary of it."""
    transformers = pytest.importorskip("transformers")
    with pytest.raises(FileProblem, match=r"is empty.*tokenizer\.json"):
        AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(FileProblem, match=r"holds no tokenizer.*config\.json.*vocab\.txt"):
        AutoTokenizer.from_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert theirs("hello")["input_ids"] == []


def test_a_missing_folder_says_so(tmp_path):
    for name in (tmp_path / "nowhere", "no-such-owner/no-such-model", "no-such-model", "a/b/c/d"):
        with pytest.raises(FileProblem, match="There is no folder"):
            AutoTokenizer.from_pretrained(name)
    with pytest.raises(FileProblem, match="There is no folder"):
        AutoTokenizer.from_pretrained(tmp_path, subfolder="nowhere")


def test_a_file_is_no_folder(tokenizer_folders):
    with pytest.raises(FileProblem, match=r"is a file.*Give its folder"):
        AutoTokenizer.from_pretrained(tokenizer_folders["bert"] / "tokenizer.json")


def test_what_is_no_path_is_refused():
    for name in (None, 5, ["folder"]):
        with pytest.raises(WrongType, match="string or a path"):
            AutoTokenizer.from_pretrained(name)
    with pytest.raises(InvalidInput, match="from_pretrained"):
        AutoTokenizer()


def test_an_unknown_setting_is_refused(tokenizer_folders):
    with pytest.raises(WrongType, match="Did you mean 'padding_side'"):
        AutoTokenizer.from_pretrained(tokenizer_folders["bert"], paddding_side="left")
    with pytest.raises(WrongType, match="model_max_length is 'long'"):
        AutoTokenizer.from_pretrained(tokenizer_folders["bert"], model_max_length="long")
    with pytest.raises(InvalidInput, match="padding_side is 'up'"):
        AutoTokenizer.from_pretrained(tokenizer_folders["bert"], padding_side="up")


def test_a_cached_model_is_found_by_its_name(tokenizer_folders, tmp_path, monkeypatch):
    """The layout is that of the Hugging Face cache; nothing is fetched."""
    constants = pytest.importorskip("huggingface_hub.constants")
    snapshot = tmp_path / "models--owner--model" / "snapshots" / ("a" * 40)
    shutil.copytree(tokenizer_folders["bert"], snapshot)
    refs = tmp_path / "models--owner--model" / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    ours = AutoTokenizer.from_pretrained("owner/model")
    assert ours("Hello") == AutoTokenizer.from_pretrained(tokenizer_folders["bert"])("Hello")


def damaged(content):
    """A valid tokenizer.json and what may have happened to it: name → (bytes, words of the error)."""
    data = json.loads(content)

    def changed(change):
        copy = json.loads(content)
        change(copy)
        return json.dumps(copy).encode()

    def lose(*path):
        def change(copy):
            for key in path[:-1]:
                copy = copy[key]
            del copy[path[-1]]

        return changed(change)

    def put(value, *path):
        def change(copy):
            for key in path[:-1]:
                copy = copy[key]
            copy[path[-1]] = value

        return changed(change)

    assert data["model"]["type"] == "BPE"
    return {
        "truncated": (content[: len(content) // 2], "not valid JSON.*ends too early"),
        "empty": (b"", "not valid JSON"),
        "malformed": (content.replace(b":", b";", 1), "not valid JSON.*malformed"),
        "not UTF-8": (b"\xff" + content, "not UTF-8"),
        "list": (b"[]", "JSON object was expected"),
        "null": (b"null", "JSON object was expected"),
        "other JSON": (b'{"a": 1}', "no tokenizer.json"),
        "no model": (lose("model"), "no tokenizer.json"),
        "model of wrong shape": (put([], "model"), "no tokenizer.json"),
        "no vocab": (lose("model", "vocab"), "vocab"),
        "no merges": (lose("model", "merges"), "merges"),
        "vocab of wrong shape": (put([1], "model", "vocab"), "vocab"),
        "id of wrong shape": (put("1", "model", "vocab", "a"), "id of token 'a'"),
        "unknown model": (put("GPT9", "model", "type"), "GPT9.*BPE"),
        "model type of wrong shape": (put(["BPE"], "model", "type"), "BPE"),
        "unknown step": (put({"type": "Magic"}, "pre_tokenizer"), "Magic.*ByteLevel"),
        "step of wrong shape": (put("ByteLevel", "decoder"), "decoder"),
        "merge of an unknown token": (
            put([["a", "no-such"]], "model", "merges"),
            "no-such",
        ),
        "merge of wrong shape": (put(["a"], "model", "merges"), "merge"),
        "merge into an unknown token": (put([["q", "q"]], "model", "merges"), "qq"),
        "added token of wrong shape": (put([{"id": "x"}], "added_tokens"), "added_tokens"),
        "added tokens of wrong shape": (put({"a": 1}, "added_tokens"), "added_tokens"),
    }


@pytest.fixture(scope="module")
def damages(tokenizer_folders):
    return damaged((tokenizer_folders["gpt2"] / "tokenizer.json").read_bytes())


@pytest.mark.parametrize(
    "name",
    list(
        damaged(
            b'{"model": {"type": "BPE", "vocab": {}, "merges": []}, "pre_tokenizer": null, "decoder": null, "added_tokens": []}'
        )
    ),
)
def test_a_damaged_file_is_one_clear_error(tokenizer_folders, tmp_path, damages, name):
    content, words = damages[name]
    folder = copy_of(tokenizer_folders["gpt2"], tmp_path)
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(FileProblem, match=words) as caught:
        AutoTokenizer.from_pretrained(folder)
    assert "tokenizer.json" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tokenizer_config.json", "{", "not valid JSON"),
        ("tokenizer_config.json", "[]", "JSON object"),
        ("config.json", "nonsense", "not valid JSON"),
        ("special_tokens_map.json", "[", "not valid JSON"),
        ("added_tokens.json", "{", "not valid JSON"),
        ("tokenizer_config.json", '{"chat_template": [{"nme": "x"}]}', "chat_template"),
        ("tokenizer_config.json", '{"pad_token": 5}', "pad_token"),
        ("tokenizer_config.json", '{"padding_side": "up"}', "padding_side"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": "<a>"}}', "added_tokens_decoder"),
        ("tokenizer_config.json", '{"model_max_length": "long"}', "model_max_length"),
        ("tokenizer_config.json", '{"extra_special_tokens": "<a>"}', "extra_special_tokens"),
        ("tokenizer_config.json", '{"additional_special_tokens": 5}', "additional_special_tokens"),
        ("tokenizer_config.json", '{"tokenizer_class": ["x"]}', "tokenizer_class is .*str was"),
        ("tokenizer_config.json", '{"model_input_names": [5]}', "list or tuple of str"),
        ("tokenizer_config.json", '{"chat_template": {"default": 5}}', "chat_template"),
        ("tokenizer_config.json", '{"clean_up_tokenization_spaces": "no"}', "bool was expected"),
        ("config.json", '{"model_type": 5}', "model_type is 5"),
    ],
)
def test_a_damaged_file_beside_it_is_named(tokenizer_folders, tmp_path, name, content, words):
    folder = copy_of(tokenizer_folders["gpt2"], tmp_path)
    (folder / name).write_text(content)
    with pytest.raises(MinilmError, match=words):
        AutoTokenizer.from_pretrained(folder)
