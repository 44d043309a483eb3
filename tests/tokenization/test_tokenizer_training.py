"""A new tokenizer of the same kind is what transformers trains from the same texts."""

from __future__ import annotations

import dataclasses
import tracemalloc

import pytest

from minilm.errors import InvalidInput, MinilmError, WrongType

CORPUS = [
    "the cat sat on the mat and the dog ran",
    "naïve café déjà vu — 日本語 日本",
    "training training trained trainer 123 1234",
    "lower case, UPPER CASE; MiXeD. <|endoftext|> [SEP]",
] * 8
TEXTS = ["the trainer sat on 12345 cats", "naïve 日本 ☃", " training  UPPER\n", ""]


def both_trained(both_tokenizers, **options):
    ours, theirs = both_tokenizers
    size = options.pop("vocab_size", 320)
    batches = [CORPUS[i : i + 3] for i in range(0, len(CORPUS), 3)]
    return (
        ours.train_new_from_iterator(iter(CORPUS), size, show_progress=False, **options),
        theirs.train_new_from_iterator(iter(batches), size, show_progress=False, **options),
    )


def is_exact(both_tokenizers):
    """Whether training has one outcome: WordPiece and Unigram have several in tokenizers itself."""
    return type(both_tokenizers[0].pipeline.model).__name__ == "BPE"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"new_special_tokens": ["<new>", "<newer>"]},
        {"vocab_size": 290, "min_frequency": 5},
    ],
)
def test_the_new_tokenizer_is_the_same(both_tokenizers, options):
    if "min_frequency" in options and not is_exact(both_tokenizers):
        options = {"vocab_size": options["vocab_size"]}  # Unigram knows no such option
    ours, theirs = both_trained(both_tokenizers, **options)
    assert ours.special_tokens_map == theirs.special_tokens_map
    assert ours.extra_special_tokens == theirs.extra_special_tokens
    assert ours.all_special_ids == theirs.all_special_ids
    assert ours.padding_side == theirs.padding_side
    assert ours.model_input_names == theirs.model_input_names
    if is_exact(both_tokenizers):
        assert ours.get_vocab() == theirs.get_vocab()
        for text in [*TEXTS, "<new>a<newer>"]:
            assert ours.encode(text, add_special_tokens=False) == theirs.encode(
                text, add_special_tokens=False
            )
    ids = ours("the cat", "sat")["input_ids"]
    special = [number for number in ids if number in ours.all_special_ids]
    assert len(special) == ours.num_special_tokens_to_add(pair=True)


def test_special_tokens_can_be_renamed(both_tokenizers):
    old = both_tokenizers[0].all_special_tokens[-1]
    ours, theirs = both_trained(both_tokenizers, special_tokens_map={old: "<renamed>"})
    assert "<renamed>" in ours.get_vocab() and old not in ours.get_vocab()
    assert ours.special_tokens_map == theirs.special_tokens_map
    assert ours.all_special_ids == theirs.all_special_ids
    assert ours.convert_tokens_to_ids("no-such") == theirs.convert_tokens_to_ids("no-such")


def test_the_pattern_stays_as_it_is(both_tokenizers):
    ours, _ = both_tokenizers
    before = [dict(ours(text)) for text in TEXTS]
    new = ours.train_new_from_iterator(CORPUS, 300, show_progress=False)
    assert [dict(ours(text)) for text in TEXTS] == before
    assert new.get_vocab() != ours.get_vocab()


def test_ids_in_a_sequence_of_post_processors_are_renewed(llama3, tokenizer_folders):
    """transformers leaves the ids of the old vocabulary there."""
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(str(tokenizer_folders["llama3"]))
    ours, theirs = both_trained((llama3, theirs))
    assert ours.bos_token_id == theirs.bos_token_id == 0
    assert ours("the")["input_ids"][0] == ours.bos_token_id
    assert theirs("the")["input_ids"][0] != theirs.bos_token_id


def test_a_long_stream_takes_no_memory(bert):
    def stream():
        for number in range(3000):
            yield f"the cat {number % 50} sat on the mat " * 20

    tracemalloc.start()
    bert.train_new_from_iterator(stream(), 200, show_progress=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The texts together are two million characters.
    assert peak < 1_500_000


def test_a_bar_is_shown_when_asked_for(bert, capfd):
    bert.train_new_from_iterator(CORPUS, 200, length=len(CORPUS), show_progress=True)
    assert f"{len(CORPUS)}/{len(CORPUS)}" in capfd.readouterr().err
    bert.train_new_from_iterator(CORPUS, 200)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ("one text", "Put a single text in a list"),
        (b"bytes", "list"),
        (5, "int"),
        ([5], "Item 0"),
        (["a", None], "Item 1"),
        ([["a"], ["b", 3]], "Batch 1"),
    ],
)
def test_what_are_no_texts_is_refused(bert, texts, words):
    with pytest.raises(WrongType, match=words):
        bert.train_new_from_iterator(texts, 200)


def test_sizes_and_options_that_make_no_sense_are_refused(bert):
    for size, options in ((-1, {}), ("200", {}), (200, {"min_freqency": 2})):
        with pytest.raises(MinilmError):
            bert.train_new_from_iterator(CORPUS, size, **options)


def test_a_post_processor_needs_its_tokens(bert):
    added = bert.pipeline.added_tokens.by_id
    for number, token in added.items():
        added[number] = dataclasses.replace(token, special=False)
    with pytest.raises(InvalidInput, match="post-processor adds the token"):
        bert.train_new_from_iterator(CORPUS, 200, show_progress=False)
