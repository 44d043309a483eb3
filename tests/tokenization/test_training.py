import json
import pydoc_data.topics
from collections import Counter

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from minilm.errors import InvalidInput, WrongType
from minilm.tokenization import bpe_training
from minilm.tokenization.bpe_model import BPE
from minilm.tokenization.training import train_like
from minilm.tokenization.unigram import Unigram
from minilm.tokenization.word_level import WordLevel
from minilm.tokenization.wordpiece import WordPiece

TEXT = "\n".join(list(pydoc_data.topics.topics.values())[:12])
WHITESPACE = pre_tokenizers.WhitespaceSplit()
WORDS = Counter(TEXT.split())


def reference(model, trainer):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = WHITESPACE
    tokenizer.train_from_iterator([TEXT], trainer)
    return json.loads(tokenizer.to_str())["model"]


def test_bpe_is_trained_merge_for_merge_with_the_settings_kept():
    model = BPE({"<unk>": 0}, [], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    trained = train_like(model, WORDS, 500, ["<unk>"], min_frequency=2, initial_alphabet=["☃!"])
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<unk>"],
        min_frequency=2,
        initial_alphabet=["☃!"],
        show_progress=False,
    )
    settings = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    assert trained.to_json() == reference(models.BPE(**settings), trainer)
    assert model.vocab == {"<unk>": 0}


def test_wordpiece_is_trained_as_bpe_with_the_prefix():
    model = WordPiece({"[UNK]": 0}, max_input_chars_per_word=50)
    trained = train_like(model, WORDS, 600, ["[PAD]", "[UNK]"])
    trainer = trainers.WordPieceTrainer(
        vocab_size=600, special_tokens=["[PAD]", "[UNK]"], show_progress=False
    )
    theirs = reference(models.WordPiece(unk_token="[UNK]"), trainer)["vocab"]
    assert len(trained.vocab) == len(theirs) == 600
    # The ties of the reference fall differently each time; most of the vocabulary has none.
    assert len(trained.vocab.keys() & theirs.keys()) > 540
    assert [trained.id_to_token(number) for number in range(2)] == ["[PAD]", "[UNK]"]
    assert trained.to_json()["max_input_chars_per_word"] == 50
    assert min(trained.encode("unwritten")) >= 0


def test_word_level_is_trained_word_for_word():
    trained = train_like(WordLevel({}, unk_token="?"), WORDS, 300, ["?", "<s>"], min_frequency=2)
    trainer = trainers.WordLevelTrainer(
        vocab_size=300, special_tokens=["?", "<s>"], min_frequency=2, show_progress=False
    )
    assert trained.to_json() == reference(models.WordLevel(unk_token="?"), trainer)


def test_unigram_is_trained_with_the_unknown_piece_of_the_model():
    model = Unigram([("<s>", 0.0), ("<unk>", 0.0)], unk_id=1, byte_fallback=True)
    trained = train_like(model, Counter(TEXT[:9000].split()), 300, ["<s>", "<unk>"])
    assert [piece for piece, _ in trained.pieces[:2]] == ["<s>", "<unk>"]
    assert (trained.unk_id, trained.byte_fallback, len(trained.pieces)) == (1, True, 300)
    assert len(trained.encode("function")) < len("function")


def test_marks_come_from_the_model_or_from_the_options():
    model = BPE({}, [], end_of_word_suffix="</w>")
    trained = train_like(model, {"ab": 5, "b": 2}, 9)
    assert trained.end_of_word_suffix == "</w>"
    assert trained.encode("ab") == [trained.vocab["ab</w>"]]
    marked = train_like(BPE({}, []), {"ab": 5}, 9, continuing_subword_prefix="##")
    assert "##b" in marked.vocab
    assert marked.to_json()["continuing_subword_prefix"] == "##"


def test_plain_bpe_is_trained_by_the_function_that_readers_write(monkeypatch):
    monkeypatch.setattr(bpe_training, "train_bpe", lambda *rest: ({"a": 0}, []))
    assert train_like(BPE({}, []), {"ab": 5}, 9).vocab == {"a": 0}


@pytest.mark.parametrize(
    ("model", "options", "error", "words"),
    [
        (BPE({}, []), {"min_freq": 2}, InvalidInput, "no option 'min_freq'.*min_frequency"),
        (WordLevel({}), {"limit_alphabet": 2}, InvalidInput, "WordLevel.*'limit_alphabet'"),
        ("BPE", {}, WrongType, "str"),
    ],
)
def test_what_cannot_be_trained_is_said(model, options, error, words):
    with pytest.raises(error, match=words):
        train_like(model, {"ab": 1}, 10, **options)


@pytest.mark.parametrize(
    ("size", "error"), [(-1, InvalidInput), ("10", WrongType), (True, WrongType)]
)
def test_a_size_that_is_none_is_refused(size, error):
    with pytest.raises(error, match="vocab_size"):
        train_like(BPE({}, []), {"ab": 1}, size)
