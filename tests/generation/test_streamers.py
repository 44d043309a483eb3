"""Pieces of a text while it is written: joined they are the text, and never half a character."""

from __future__ import annotations

import queue
import random
from threading import Thread

import pytest
import torch

import minilm.generation as generation
from minilm.errors import InvalidInput
from minilm.generation.generate import generate

transformers = pytest.importorskip("transformers")
TEXT = "the cat sat. I do not know, café — naïve 漢字 🙂🙃 stop\nnew line\n\nit 's here . END"


KINDS = ["byte_level", "byte_fallback", "word_pieces", "metaspace"]


def pieces_of(streamer, ids: list[int], n_prompt: int) -> list[str]:
    streamer.put(torch.tensor([ids[:n_prompt]]))
    for each in ids[n_prompt:]:
        streamer.put(torch.tensor([each]))
    streamer.end()
    return list(streamer)


def texts(tokenizer, n_words: int):
    """Ends of a real text, and tokens drawn at random, which are seldom whole characters."""
    rng = random.Random(4)
    real = tokenizer.encode(TEXT, add_special_tokens=False)
    for _ in range(60):
        yield [rng.randrange(2, n_words) for _ in range(rng.randrange(1, 40))]
        yield real[rng.randrange(len(real)) :]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("skip_prompt", [False, True])
def test_pieces_joined_are_the_text(tokenizer_pair, kind, skip_prompt):
    ours, theirs = tokenizer_pair(kind)
    n_alike = n_several = 0
    for ids in texts(ours, len(ours.get_vocab())):
        pieces = pieces_of(generation.TextIteratorStreamer(ours, skip_prompt), ids, 3)
        written = ids[3:] if skip_prompt else ids
        assert "".join(pieces) == ours.decode(written)
        reference = transformers.TextIteratorStreamer(theirs, skip_prompt)
        n_alike += pieces == pieces_of(reference, ids, 3)
        n_several += sum(map(bool, pieces)) > 1
    assert n_alike > 60, "the same pieces, where transformers' are right"
    assert n_several > 20


@pytest.mark.parametrize("kind", KINDS)
def test_no_piece_has_half_a_character(tokenizer_pair, kind):
    ours, _ = tokenizer_pair(kind)
    ids = ours.encode(TEXT, add_special_tokens=False)
    whole = ours.decode(ids)
    for n_prompt in (1, 4):
        pieces = pieces_of(generation.TextIteratorStreamer(ours), ids, n_prompt)
        assert "".join(pieces) == whole
        assert "\ufffd" not in whole
        assert not any("\ufffd" in piece for piece in pieces)


def test_words_that_cleaning_up_changes_are_waited_for(tokenizer_pair):
    ours, _ = tokenizer_pair("word_pieces")
    ids = ours.encode("I do not know . it 's here", add_special_tokens=False)
    for asked in (True, False):
        streamer = generation.TextIteratorStreamer(ours, clean_up_tokenization_spaces=asked)
        whole = ours.decode(ids, clean_up_tokenization_spaces=asked)
        assert "".join(pieces_of(streamer, ids, 1)) == whole


def test_a_text_is_printed_as_it_comes(tokenizer_pair, capsys):
    ours, theirs = tokenizer_pair("byte_level")
    ids = ours.encode(TEXT)
    shown = []
    for streamer in (generation.TextStreamer(ours), transformers.TextStreamer(theirs)):
        streamer.put(torch.tensor([ids]))
        streamer.end()
        shown.append(capsys.readouterr().out)
    assert shown == [TEXT + "\n"] * 2


def test_special_tokens_are_left_out_when_asked(tokenizer_pair):
    ours, _ = tokenizer_pair("byte_level")
    ids = [*ours.encode("the cat"), 0]
    streamer = generation.TextIteratorStreamer(ours, skip_special_tokens=True)
    assert "".join(pieces_of(streamer, ids, 1)) == "the cat"


def test_a_streamer_serves_again(tokenizer_pair):
    ours, _ = tokenizer_pair("byte_level")
    streamer = generation.TextIteratorStreamer(ours, skip_prompt=True)
    ids = ours.encode("the cat sat here")
    assert pieces_of(streamer, ids, 2) == pieces_of(streamer, ids, 2)


def test_generate_streams_what_it_returns_to_another_thread(pair, tokenizer_pair):
    tokenizer, _ = tokenizer_pair("byte_level")
    ours, _ = pair("llama", vocab_size=len(tokenizer.get_vocab()))
    prompt = torch.tensor([tokenizer.encode("the cat")])
    streamer = generation.TextIteratorStreamer(tokenizer, timeout=60)
    written = []
    writer = Thread(
        target=lambda: written.append(
            generate(ours, prompt, max_new_tokens=25, do_sample=True, streamer=streamer)
        )
    )
    writer.start()
    streamed = "".join(streamer)
    writer.join()
    assert streamed == tokenizer.decode(written[0][0])


def test_whoever_waits_is_let_go_when_writing_fails(pair, tokenizer_pair):
    tokenizer, _ = tokenizer_pair("byte_level")
    ours, _ = pair("llama")
    streamer = generation.TextIteratorStreamer(tokenizer, timeout=60)
    with pytest.raises(InvalidInput):
        generate(ours, torch.tensor([[3, 4]]), max_length=1, streamer=streamer)
    assert list(streamer) == [""]

    def fails(input_ids, scores):
        raise KeyboardInterrupt

    streamer = generation.TextIteratorStreamer(tokenizer, timeout=60)
    prompt = torch.tensor([[3, 4]])
    with pytest.raises(KeyboardInterrupt):
        generate(ours, prompt, max_new_tokens=4, streamer=streamer, logits_processor=[fails])
    assert "".join(streamer) == tokenizer.decode([3, 4])


def test_a_text_that_does_not_come_in_time(tokenizer_pair):
    ours, _ = tokenizer_pair("byte_level")
    streamer = generation.TextIteratorStreamer(ours, timeout=0.01)
    with pytest.raises(queue.Empty):
        next(streamer)


def test_several_texts_are_refused(tokenizer_pair):
    ours, _ = tokenizer_pair("byte_level")
    with pytest.raises(InvalidInput, match="batch of 2"):
        generation.TextStreamer(ours).put(torch.zeros(2, 3, dtype=torch.int64))
