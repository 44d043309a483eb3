"""A saved tokenizer loads again, here and in transformers, and a killed process leaves no half of one."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys

import pytest

from minilm import AutoTokenizer
from minilm.errors import FileProblem, InvalidInput, WrongType

TEXTS = [
    "Hello world, naïve 日本 🎉!",
    "  don't   tokenize </s> [SEP] <|eot_id|> this\n\n",
    "",
    "new-token and <extra> 1234",
]


def test_a_saved_folder_gives_the_same_ids_in_both_libraries(both_tokenizers, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours, _ = both_tokenizers
    paths = ours.save_pretrained(tmp_path / "ours")
    assert sorted(map(os.path.basename, paths)) == ["tokenizer.json", "tokenizer_config.json"]
    (tmp_path / "ours" / "config.json").write_text("{}")
    again = AutoTokenizer.from_pretrained(tmp_path / "ours")
    in_transformers = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "ours"))
    for other in (again, in_transformers):
        for text in TEXTS:
            for pair in (None, "and a pair"):
                assert dict(other(text, pair)) == dict(ours(text, pair)), text
        for name in [
            "special_tokens_map",
            "model_max_length",
            "padding_side",
            "truncation_side",
            "model_input_names",
            "all_special_tokens",
            "all_special_ids",
            "clean_up_tokenization_spaces",
        ]:
            assert getattr(other, name) == getattr(ours, name), name
        assert len(other) == len(ours)
        assert other.get_vocab() == ours.get_vocab()
        ids = ours(TEXTS[1])["input_ids"]
        assert other.decode(ids, skip_special_tokens=True) == ours.decode(
            ids, skip_special_tokens=True
        )


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "llama", "mistral", "t5", "marian"])
def test_the_model_beside_it_does_not_change_how_transformers_reads_it(
    both_tokenizers, tmp_path, model_type
):
    transformers = pytest.importorskip("transformers")
    ours, _ = both_tokenizers
    ours.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert dict(theirs(text)) == dict(again(text)) == dict(ours(text))
    assert theirs.padding_side == again.padding_side == ours.padding_side


def test_what_transformers_saves_gives_the_same_ids_here(both_tokenizers, tmp_path):
    theirs = copy.deepcopy(both_tokenizers[1])
    theirs.add_tokens(["new-token"])
    theirs.add_special_tokens({"extra_special_tokens": ["<extra>"]})
    theirs.save_pretrained(str(tmp_path))
    ours = AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        for pair in (None, "and a pair"):
            assert dict(ours(text, pair)) == dict(theirs(text, pair)), text
    assert ours.all_special_tokens == theirs.all_special_tokens
    assert ours.special_tokens_map == theirs.special_tokens_map
    assert len(ours) == len(theirs)


def test_saving_twice_changes_no_byte(bert, tmp_path):
    bert.save_pretrained(tmp_path / "a")
    AutoTokenizer.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_tokenizer_json_is_written_as_it_was_read(tokenizer_folders, tmp_path):
    for family, folder in tokenizer_folders.items():
        AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / family)
        before = json.loads((folder / "tokenizer.json").read_text())
        after = json.loads((tmp_path / family / "tokenizer.json").read_text())
        assert after == before, family


def test_everything_that_was_set_is_still_set_after_loading(llama3, tmp_path):
    llama3.add_tokens(["new-token"])
    llama3.add_special_tokens({"mask_token": "<mask>", "extra_special_tokens": ["<extra>"]})
    llama3.padding_side = "left"
    llama3.truncation_side = "left"
    llama3.model_max_length = 77
    llama3.model_input_names = ["input_ids"]
    llama3.clean_up_tokenization_spaces = True
    llama3.chat_template = "{{ messages[0].content }}"
    llama3.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    for name in [
        "padding_side",
        "truncation_side",
        "model_max_length",
        "model_input_names",
        "chat_template",
        "clean_up_tokenization_spaces",
        "mask_token",
        "mask_token_id",
        "extra_special_tokens",
    ]:
        assert getattr(again, name) == getattr(llama3, name), name
    assert again("new-token<mask><extra>") == llama3("new-token<mask><extra>")
    assert again.decode(again("a<extra>")["input_ids"], skip_special_tokens=True) == "a"


def test_named_chat_templates_are_files_of_their_own(bert, tmp_path):
    transformers = pytest.importorskip("transformers")
    bert.chat_template = {"default": "D", "tool_use": "T"}
    paths = bert.save_pretrained(tmp_path)
    assert (tmp_path / "chat_template.jinja").read_text() == "D"
    assert (tmp_path / "additional_chat_templates" / "tool_use.jinja").read_text() == "T"
    assert all(os.path.isfile(path) for path in paths)
    (tmp_path / "config.json").write_text("{}")
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == bert.chat_template
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert theirs.chat_template == bert.chat_template


def test_files_of_the_tokenizer_before_are_not_read_with_the_new_one(bert, tmp_path):
    bert.chat_template = {"default": "D", "tool_use": "T"}
    bert.save_pretrained(tmp_path)
    (tmp_path / "special_tokens_map.json").write_text('{"pad_token": "[MASK]"}')
    (tmp_path / "added_tokens.json").write_text('{"old": 999}')
    (tmp_path / "notes.txt").write_text("mine")
    bert.chat_template = None
    bert.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.chat_template is None
    assert again.pad_token == "[PAD]"
    assert "old" not in again.get_vocab()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_name_that_is_no_file_name_is_no_templates_name(bert, tmp_path):
    for name in ("../evil", "a/b", "", ".hidden"):
        bert.chat_template = {"default": "D", name: "T"}
        with pytest.raises(InvalidInput, match="no file name"):
            bert.save_pretrained(tmp_path / "deep" / "folder")


def test_a_prefix_goes_before_each_name(bert, tmp_path):
    bert.save_pretrained(tmp_path, filename_prefix="old")
    assert sorted(os.listdir(tmp_path)) == ["old-tokenizer.json", "old-tokenizer_config.json"]


def test_a_file_is_no_folder_to_save_to(bert, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileProblem, match="is a file"):
        bert.save_pretrained(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "x"


def test_what_is_not_done_is_refused(bert, tmp_path):
    with pytest.raises(InvalidInput, match="push_to_hub"):
        bert.save_pretrained(tmp_path, push_to_hub=True)
    with pytest.raises(InvalidInput, match="legacy_format"):
        bert.save_pretrained(tmp_path, legacy_format=True)
    with pytest.raises(WrongType, match="filename_prefix"):
        bert.save_pretrained(tmp_path, filname_prefix="x")
    assert os.listdir(tmp_path) == []


def test_a_pickled_tokenizer_is_the_same(both_tokenizers):
    import pickle

    ours, _ = both_tokenizers
    again = pickle.loads(pickle.dumps(ours))
    for text in TEXTS:
        assert dict(again(text)) == dict(ours(text))
    batch = ours(TEXTS)
    same = pickle.loads(pickle.dumps(batch))
    assert dict(same) == dict(batch)
    assert same.word_ids(1) == batch.word_ids(1)


SAVER = """
import os, random, signal, sys, time
from pathlib import Path
from minilm import AutoTokenizer

folder, *sources = sys.argv[1:]
tokenizers = [AutoTokenizer.from_pretrained(source) for source in sources]
whole = {}
for tokenizer in tokenizers:
    for path in map(Path, tokenizer.save_pretrained(folder)):
        whole.setdefault(path.name, set()).add(path.read_bytes())


def in_a_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def check(when):
    for name, contents in whole.items():
        assert (Path(folder) / name).read_bytes() in contents, (when, name)
    assert len(AutoTokenizer.from_pretrained(folder)) > 0
    left = [path for path in Path(folder).iterdir() if path.name not in whole]
    for path in left:
        path.unlink()
    return bool(left)


def killed_before(function, count):
    # The child dies just before it calls os.fsync or os.replace for the count-th time.
    original, calls = getattr(os, function), []

    def counted(*arguments):
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)

    def work():
        setattr(os, function, counted)
        for tokenizer in tokenizers:
            tokenizer.save_pretrained(folder)

    return work


def saving_for_ever():
    while True:
        for tokenizer in tokenizers:
            tokenizer.save_pretrained(folder)


left_behind = 0
for function in ("fsync", "replace"):
    for count in range(1, 5):
        _, status = os.waitpid(in_a_child(killed_before(function, count)), 0)
        assert os.WIFSIGNALED(status), (function, count)
        left_behind += check((function, count))
assert left_behind >= 6, left_behind
draw = random.Random(0)
for number in range(40):
    child = in_a_child(saving_for_ever)
    time.sleep(draw.uniform(0.0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    check(number)
print("all whole")
"""


def test_a_process_killed_while_saving_leaves_whole_files(tokenizer_folders, tmp_path):
    """Killed at every step of saving and 40 times at any moment: each file is an old or a new one."""
    sources = [str(tokenizer_folders[name]) for name in ("bert", "llama3")]
    result = subprocess.run(
        [sys.executable, "-c", SAVER, str(tmp_path / "folder"), *sources],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.stdout == "all whole\n", result.stderr
