"""What a reader writes is what minilm runs: every exercise's function is called through its module."""

from __future__ import annotations

import ast
from collections import Counter
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import minilm
from minilm.check import catalogue
from minilm.tokenization.pipeline import Pipeline
from minilm.tokenization.tokenizer import PreTrainedTokenizer

ROOT = Path(__file__).parents[2]
EXERCISES = catalogue.all_exercises()
# The page of lesson 01 trains with it; minilm's own trainer merges in all words at once.
ON_THE_PAGE_ALONE = {"merge_pair"}
TEXTS = ["The café's 12 cats sat, and sat. \N{SLIGHTLY SMILING FACE}", "A cat</s>sat"]


def by_name(source: str) -> list[str]:
    """The exercises' functions that a module imports by name, out of a reader's reach."""
    answers = {(e.module, e.path) for e in EXERCISES.values()}
    return [
        alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if (node.module, alias.name) in answers
    ]


def test_no_module_imports_a_readers_function_by_name() -> None:
    modules = sorted((ROOT / "minilm" / "tokenization").glob("*.py"))
    assert len(modules) > 20
    assert {path.name: names for path in modules if (names := by_name(path.read_text()))} == {}


def test_such_an_import_would_be_seen() -> None:
    assert by_name("def f():\n    from minilm.tokenization.bpe import merge_pair as m") == [
        "merge_pair"
    ]


def tokenizer_of(model: Any, tmp_path: Path, **steps: Any) -> PreTrainedTokenizer:
    """A tokenizer from a saved tokenizers.Tokenizer, opened as a reader opens it."""
    from tokenizers import Tokenizer

    theirs = Tokenizer(model)
    for name, step in steps.items():
        setattr(theirs, name, step)
    theirs.add_special_tokens(["</s>"])
    folder = tmp_path / type(model).__name__
    folder.mkdir()
    theirs.save(str(folder / "tokenizer.json"))
    return minilm.AutoTokenizer.from_pretrained(folder, eos_token="</s>", pad_token="</s>")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each exercise's function has been called since."""
    counted: Counter[str] = Counter()
    for name, exercise in EXERCISES.items():
        module = import_module(exercise.module)
        own = getattr(module, exercise.path)

        @wraps(own)
        def counting(*args: Any, _name: str = name, _own: Any = own, **kwargs: Any) -> Any:
            counted[_name] += 1
            return _own(*args, **kwargs)

        monkeypatch.setattr(module, exercise.path, counting)
    return counted


def test_tokenizers_at_work_call_every_function_that_readers_write(
    calls: Counter[str], tmp_path: Path
) -> None:
    from tokenizers import decoders, models, pre_tokenizers

    letters = {letter: i for i, letter in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    gpt2 = tokenizer_of(
        models.BPE({**letters, "at": 256}, [("a", "t")]),
        tmp_path,
        pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoder=decoders.ByteLevel(),
    )
    batch = gpt2(TEXTS, padding=True)
    gpt2.batch_decode(batch["input_ids"], skip_special_tokens=True)
    gpt2(TEXTS[0], truncation=True, max_length=6, stride=2, return_overflowing_tokens=True)
    gpt2.chat_template = "{{ messages[0].content }}"
    gpt2.apply_chat_template([{"role": "user", "content": "hi"}])
    gpt2.train_new_from_iterator(TEXTS, 270)
    tokenizer_of(models.WordPiece({"[UNK]": 0, "c": 1, "##at": 2}, unk_token="[UNK]"), tmp_path)(
        "cat"
    )
    tokenizer_of(models.Unigram([("<unk>", 0.0), ("c", -1.0), ("at", -2.0)], 0), tmp_path)("cat")
    bytes_of_e = {"<unk>": 0, "a": 1, "<0xC3>": 2, "<0xA9>": 3}
    llama = Pipeline.from_json(
        {"model": {"type": "BPE", "vocab": bytes_of_e, "merges": [], "byte_fallback": True}}
    )
    llama.encode_ids("aé")
    assert set(EXERCISES) - set(calls) == ON_THE_PAGE_ALONE
