"""The text-generation pipeline beside transformers', and what it does better."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from minilm.errors import InvalidInput, WrongType
from minilm.generation.config import GenerationConfig, set_config_of
from minilm.generation.streamers import TextIteratorStreamer
from minilm.pipelines.making import pipeline

N = {"max_new_tokens": 8}
GREEDY = {**N, "do_sample": False}
USER = {"role": "user", "content": "the cat"}
BEGUN = {"role": "assistant", "content": "sat"}
SEVERAL = ["the cat", "the dog sat on", "x", "on the mat. The dog's café"]

# What is asked → inputs, options.
ASKED: dict[str, tuple[Any, dict[str, Any]]] = {
    "nothing but a text": ("the cat", {}),
    "a few tokens": ("the cat", N),
    "the likeliest ones": ("the cat", GREEDY),
    "several texts, drawn": (SEVERAL, N),
    "several texts, the likeliest": (SEVERAL, GREEDY),
    "batches": (SEVERAL, {**GREEDY, "batch_size": 3}),
    "a text in a list": (["the cat"], N),
    "beams": ("the cat", {**GREEDY, "num_beams": 3, "num_return_sequences": 2}),
    "batches, drawn": (["the cat", "x", "the dog sat on"], {**N, "batch_size": 3}),
    "batches of beams": (SEVERAL, {**GREEDY, "num_beams": 2, "batch_size": 2}),
    "three texts for each": (SEVERAL, {**N, "num_return_sequences": 3}),
    "other chances": ("the cat", {**N, "temperature": 1.5, "top_k": 5, "top_p": 0.9}),
    "new text alone": ("the cat", {**N, "return_full_text": False}),
    "all of it": ("the cat", {**N, "return_full_text": True}),
    "ids": ("the cat", {**N, "return_tensors": True}),
    "text": ("the cat", {**N, "return_text": True}),
    "special tokens": ("the cat", {"max_new_tokens": 60, "skip_special_tokens": False}),
    "cleaned spaces": ("the cat", {**N, "clean_up_tokenization_spaces": True}),
    "a length of all": ("the cat", {"max_length": 12}),
    "a least length": ("the cat", {"max_length": 12, "min_length": 10}),
    "a prefix": ("the cat", {"prefix": "on the mat. ", "max_length": 9}),
    "a prefix and few tokens": ("the cat", {"prefix": "on the mat. ", **N}),
    "no prompt": ("", N),
    "a word to stop at": ("the cat", {"max_new_tokens": 30, "stop_sequence": "a"}),
    "words to stop at": ("the cat", {"max_new_tokens": 30, "stop_sequence": ["e", "at"]}),
    "special tokens before": ("the cat", {**N, "add_special_tokens": True}),
    "a hole": ("the dog " * 20, {**N, "handle_long_generation": "hole"}),
    "a chat": ([USER], N),
    "a chat, new text alone": ([USER], {**N, "return_full_text": False}),
    "a begun answer": ([USER, BEGUN], N),
    "a begun answer left": ([USER, BEGUN], {**N, "continue_final_message": False}),
    "a question gone on with": ([USER], {**N, "continue_final_message": True}),
    "several chats": ([[USER], [USER, BEGUN]], N),
    "batches of chats": ([[USER], [USER, BEGUN], [USER] * 3], {**GREEDY, "batch_size": 2}),
    "a chat with variables": ([USER], {**N, "tokenizer_encode_kwargs": {"mood": "good"}}),
}


@pytest.mark.filterwarnings("ignore:clean_up_tokenization_spaces")
@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("what", ASKED)
def test_answers_equal_those_of_transformers(steady_pair: Any, family: str, what: str):
    ours, theirs = steady_pair(family)
    inputs, options = ASKED[what]
    if family == "gpt2" and not {"max_new_tokens", "max_length"} & options.keys():
        options = N  # transformers' runs out of positions
    torch.manual_seed(1)
    found = ours(inputs, **options)
    torch.manual_seed(1)
    same = found == (expected := theirs(inputs, **options))
    assert same, (found, expected)  # pytest would take minutes to find the difference


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ({"generation": {"do_sample": False}}, {}),
        ({"generation": {"do_sample": True, "temperature": 0.2, "top_k": 3}}, {}),
        ({"generation": {"max_length": 15}}, {}),
        ({"generation": {"max_length": 15}}, {"max_new_tokens": 20}),
        ({"generation": {"max_new_tokens": 5}}, {"do_sample": False}),
        ({"pad": False}, {"num_return_sequences": 2}),
    ],
)
def test_what_the_files_say_counts_as_in_transformers(pair: Any, files: Any, options: Any):
    ours, theirs = pair("llama", files=files)
    if "generation" in files:  # as the loader reads it
        settings = GenerationConfig.from_pretrained(ours.model.config.name_or_path)
        set_config_of(ours.model, settings)
    torch.manual_seed(2)
    found = ours("the cat", **options)
    torch.manual_seed(2)
    assert found == theirs("the cat", **options)


def test_prompts_may_be_given_by_name_as_in_transformers(steady_pair: Any):
    ours, theirs = steady_pair("llama")
    found = ours(text_inputs="the cat", **GREEDY)
    assert found == theirs(text_inputs="the cat", **GREEDY) == ours("the cat", **GREEDY)


def test_options_of_every_call_give_way_to_those_of_one(pair: Any):
    ours, theirs = pair(max_new_tokens=6, return_full_text=False, do_sample=False)
    for options in ({}, {"max_new_tokens": 3}, {"return_tensors": True}):
        assert ours("the cat", **options) == theirs("the cat", **options)


@pytest.mark.parametrize("settings", [{"max_new_tokens": 5}, {"do_sample": False}, {"top_k": 2}])
def test_a_generation_config_takes_the_place_of_the_pipelines(pair: Any, settings: Any):
    ours, theirs = pair(max_new_tokens=20, temperature=1.2)
    texts = []
    for pipe, library in ((ours, GenerationConfig), (theirs, transformers.GenerationConfig)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = library(**settings)
        before = config.to_dict()
        torch.manual_seed(3)
        texts.append(pipe("the cat", generation_config=config))
        assert config.to_dict() == before
    assert texts[0] == texts[1]


def test_scores_that_are_asked_for_stand_in_the_records(pair: Any):
    ours, theirs = pair()
    options = {"return_dict_in_generate": True, "output_scores": True, "num_beams": 2, **GREEDY}
    (found,), (expected,) = ours("the cat", **options), theirs("the cat", **options)
    assert found.keys() == expected.keys()
    assert found["beam_indices"] == expected["beam_indices"]
    assert found["sequences_scores"] == pytest.approx(expected["sequences_scores"], abs=1e-5)
    options["num_beams"] = 1
    (found,), (expected,) = ours("the cat", **options), theirs("the cat", **options)
    torch.testing.assert_close(
        torch.tensor(found["scores"]), torch.tensor(expected["scores"]), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize("pad", [True, False])
def test_a_text_is_the_same_in_a_batch_as_alone(pair: Any, pad: bool, ids: bool):
    ours, _ = pair(files={"pad": pad})
    options = {"max_new_tokens": 60, "do_sample": False, "repetition_penalty": 1.0}
    options["return_tensors"] = ids
    assert ours(SEVERAL, batch_size=4, **options) == [ours(each, **options) for each in SEVERAL]


def test_padding_that_the_model_does_not_know_is_not_shown_to_it(pair: Any):
    """As after tokenizer.add_special_tokens without model.resize_token_embeddings."""
    ours, _ = pair("llama", files={"pad": False})
    alone = [ours(text, **GREEDY) for text in SEVERAL]
    ours.tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert ours.tokenizer.pad_token_id >= ours.model.config.vocab_size
    assert ours(SEVERAL, batch_size=2, **GREEDY) == alone
    assert ours(SEVERAL * 9, **GREEDY) == alone * 9, "enough for batches of its own"
    ours.model.generation_config.pad_token_id = 32000
    assert ours(SEVERAL, batch_size=2, **GREEDY) == alone


def test_prompts_are_padded_on_the_left_whatever_the_tokenizer_says(pair: Any):
    ours, _ = pair()
    alone = [ours(each, **GREEDY) for each in SEVERAL]
    ours.tokenizer.padding_side = "right"
    assert ours(SEVERAL, batch_size=4, **GREEDY) == alone
    assert ours.tokenizer.padding_side == "right"


def test_a_generator_of_messages_is_one_chat_and_of_chats_several(pair: Any):
    ours, _ = pair()
    assert ours((each for each in [USER, BEGUN]), **GREEDY) == ours([USER, BEGUN], **GREEDY)
    chats = [[USER], [USER, BEGUN]]
    assert list(ours((each for each in chats), **GREEDY)) == ours(chats, **GREEDY)
    assert ours((USER, BEGUN), **GREEDY) == ours([USER, BEGUN], **GREEDY)


def test_the_usual_number_of_tokens_gives_way_to_the_models_positions(pair: Any):
    ours, _ = pair("gpt2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ids = ours("the cat", return_tensors=True, eos_token_id=-1)[0]["generated_token_ids"]
    assert len(ids) == 64
    config = GenerationConfig(eos_token_id=-1)
    ids = ours("the cat", return_tensors=True, generation_config=config)[0]["generated_token_ids"]
    assert len(ids) == 64


def test_nothing_is_warned_of_in_a_plain_call(pair: Any):
    for pad in (True, False):
        ours, _ = pair(files={"pad": pad})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ours("the cat")
            ours(SEVERAL, batch_size=2, **N)
            ours("the cat", **GREEDY)
            ours("the cat", max_length=12)
            ours.tokenizer.model_max_length = 20
            ours("the dog " * 20, handle_long_generation="hole", **N)
            ours([{**USER, "content": "dog " * 40}], handle_long_generation="hole", **N)


def test_a_text_can_be_streamed(pair: Any):
    ours, _ = pair()
    streamer = TextIteratorStreamer(ours.tokenizer, skip_prompt=True, skip_special_tokens=True)
    whole = ours("the cat", streamer=streamer, return_full_text=False, **GREEDY)
    assert "".join(streamer) == whole[0]["generated_text"]


def test_a_generator_of_numbers_can_be_given(pair: Any):
    ours, _ = pair()
    texts = [ours("the cat", generator=torch.Generator().manual_seed(5), **N) for _ in range(2)]
    assert texts[0] == texts[1]


def test_a_smaller_model_may_guess_ahead(pair: Any, folder: Callable[..., Any]):
    ours, _ = pair()
    guessing = pipeline(model=str(folder()), device="cpu", assistant_model=str(folder()))
    assert guessing("the cat", **GREEDY) == ours("the cat", **GREEDY)


def test_dropout_is_off_while_texts_are_written_and_on_again_after(pair: Any):
    ours, _ = pair("gpt2")
    expected = ours("the cat", **GREEDY)
    ours.model.train()
    ours.model.transformer.h[0].eval()
    assert ours("the cat", **GREEDY) == expected
    assert ours.model.training and not ours.model.transformer.h[0].attn.training


# What is wrong → inputs, options, error, words of it.
WRONG: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "an unknown option": ("x", {"max_new_token": 3}, WrongType, "did you mean max_new_tokens"),
    "another unknown one": ("x", {"return_fulltext": True}, WrongType, "return_full_text"),
    "a number": (3, {}, WrongType, "expected a text"),
    "nothing": (None, {}, WrongType, "expected a text"),
    "a message alone": (USER, {}, WrongType, "Put it in a list"),
    "a message without role": ([{"content": "x"}], {}, InvalidInput, "no 'role'"),
    "a text among messages": ([USER, "x"], {}, WrongType, "Message 1"),
    "a number among texts": (["x", 3], {}, WrongType, r"Input 1 \(from 0\)"),
    "an answer in parts": (
        *([USER, {**BEGUN, "content": [{"type": "text", "text": "sat"}]}], {}),
        *(WrongType, "Give it as a text"),
    ),
    "an empty chat": ([[USER], []], {}, InvalidInput, "Input 1 .* empty"),
    "two returns": ("x", {"return_full_text": True, "return_tensors": True}, InvalidInput, "one"),
    "two others": ("x", {"return_text": True, "return_tensors": True}, InvalidInput, "one"),
    "an unknown way": ("x", {"handle_long_generation": "cut"}, InvalidInput, "'hole'"),
    "no room": ("x " * 9, {"max_length": 5}, InvalidInput, "max_new_tokens"),
    "a hole without room": (
        *("x " * 60, {"handle_long_generation": "hole", "max_new_tokens": 64}),
        *(InvalidInput, "smaller max_new_tokens"),
    ),
    "a stop that is no text": ("x", {"stop_sequence": 3}, WrongType, "expected a text"),
    "no config": ("x", {"generation_config": {"top_k": 3}}, WrongType, "GenerationConfig"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_said(steady_pair: Any, what: str):
    ours, _ = steady_pair("gpt2")
    inputs, options, error, words = WRONG[what]
    with pytest.raises(error, match=words):
        ours(inputs, **options)


def test_without_a_token_to_pad_with_it_says_what_to_do(pair: Any):
    ours, _ = pair(files={"pad": False})
    ours.tokenizer.eos_token = None
    with pytest.raises(InvalidInput, match=r"batch_size=1"):
        ours(SEVERAL, batch_size=2, eos_token_id=[], **GREEDY)
    config = {"eos_token_id": [], **GREEDY}
    assert ours(SEVERAL, batch_size=2, pad_token_id=3, **config) == ours(SEVERAL, **config)
