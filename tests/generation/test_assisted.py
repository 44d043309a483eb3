"""Writing with guesses: the same text, fewer calls."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch

from minilm.errors import InvalidInput
from minilm.generation import assisted, candidates
from minilm.generation.config import GenerationConfig
from minilm.generation.criteria import StoppingCriteria
from minilm.generation.generate import generate

SCORES = 1e-4
FAMILIES = ["gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3"]
ALL = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}


@pytest.mark.parametrize("family", FAMILIES)
def test_whoever_guesses_the_text_is_that_of_greedy_search(family, pair, near_copy, prompts):
    ours, _ = pair(family)
    ids, mask = prompts(1, 6, (2,))
    plain = {"attention_mask": mask, "max_new_tokens": 20, "pad_token_id": 18}
    expected = generate(ours, ids, **plain)
    assert expected.shape == (1, 26)
    for assistant, n, (schedule, threshold) in itertools.product(
        [ours, near_copy(family, 0)[0], pair(family, 2)[0], pair("gpt2", 5)[0]],
        [1, 5],
        [("constant", 0.0), ("heuristic", 0.4)],
    ):
        got = generate(
            ours,
            ids,
            assistant_model=assistant,
            num_assistant_tokens=n,
            num_assistant_tokens_schedule=schedule,
            assistant_confidence_threshold=threshold,
            **plain,
        )
        assert torch.equal(got, expected)
    for n, size in itertools.product([1, 10], [1, 3]):
        got = generate(ours, ids, prompt_lookup_num_tokens=n, max_matching_ngram_size=size, **plain)
        assert torch.equal(got, expected)


def calls_of(model, monkeypatch):
    """How many tokens the model is shown in each call from now on."""
    lengths = []
    forward = model.forward

    def counted(input_ids=None, **more):
        lengths.append(input_ids.shape[1])
        return forward(input_ids=input_ids, **more)

    monkeypatch.setattr(model, "forward", counted)
    return lengths


def test_good_guesses_save_calls(pair, prompts, monkeypatch):
    ours, _ = pair("llama")
    ids, _ = prompts(1, 5)
    lengths = calls_of(ours, monkeypatch)
    how = {"max_new_tokens": 12, "pad_token_id": 18}
    generate(ours, ids.repeat(1, 3), prompt_lookup_num_tokens=3, **how)
    assert len(lengths) < 12
    del lengths[:]
    generate(
        ours,
        ids,
        assistant_model=ours,
        num_assistant_tokens=3,
        assistant_confidence_threshold=0.0,
        **how,
    )
    # As the assistant it is shown the prompt and then a token or two at once; as the model the
    # prompt and three guesses, and then a token and three guesses, twice.
    assert [n for n in lengths if n > 2] == [5, 8, 4, 4]


def test_what_is_kept_of_each_token_is_what_it_is_without_guesses(pair, near_copy, prompts):
    for family in ("gpt2", "llama"):
        ours, _ = pair(family)
        ids, _ = prompts(1, 5)
        how = {"max_new_tokens": 12, "pad_token_id": 18, **ALL}
        how |= {"output_attentions": True, "output_hidden_states": True}
        how |= {"repetition_penalty": 1.3, "min_new_tokens": 3, "eos_token_id": 2}
        expected = generate(ours, ids, **how)
        for guesses in (
            {"assistant_model": near_copy(family, 0)[0], "assistant_confidence_threshold": 0.0},
            {"prompt_lookup_num_tokens": 3, "max_matching_ngram_size": 1},
        ):
            got = generate(ours, ids, **how, **guesses)
            assert torch.equal(got.sequences, expected.sequences)
            for name in ("scores", "logits"):
                for one, other in zip(got[name], expected[name], strict=True):
                    torch.testing.assert_close(one, other, rtol=0, atol=SCORES)
            for name in ("attentions", "hidden_states"):
                for one, other in zip(got[name], expected[name], strict=True):
                    for a, b in zip(one, other, strict=True):
                        torch.testing.assert_close(a, b, rtol=0, atol=SCORES)
            assert got.past_key_values.get_seq_length() == got.sequences.shape[1] - 1


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_the_cache_of_one_call_is_gone_on_from_in_the_next(family, pair, prompts):
    ours, _ = pair(family)
    ids, _ = prompts(1, 5)
    how = {"pad_token_id": 18, "prompt_lookup_num_tokens": 3, "return_dict_in_generate": True}
    first = generate(ours, ids, max_new_tokens=6, **how)
    then = generate(
        ours, first.sequences, past_key_values=first.past_key_values, max_new_tokens=6, **how
    )
    assert torch.equal(then.sequences, generate(ours, ids, max_new_tokens=12, pad_token_id=18))


class Listens:
    """A streamer that keeps what it is given."""

    def __init__(self) -> None:
        self.ids, self.has_ended = [], False

    def put(self, ids):
        self.ids += ids.flatten().tolist()

    def end(self):
        self.has_ended = True


def test_a_streamer_is_given_every_token_once_and_in_order(pair, prompts):
    ours, _ = pair("llama")
    ids, _ = prompts(1, 5)
    how = {"max_new_tokens": 12, "pad_token_id": 18, "streamer": Listens()}
    got = generate(ours, ids, assistant_model=ours, assistant_confidence_threshold=0.0, **how)
    assert how["streamer"].ids == got[0].tolist()
    assert how["streamer"].has_ended


@pytest.mark.parametrize("guesses", [{"prompt_lookup_num_tokens": 3}, {"num_beams": 3}])
def test_vectors_can_take_the_place_of_the_prompt(guesses, pair, prompts):
    ours, _ = pair("gpt2")
    ids, _ = prompts(1, 5)
    how = {"max_new_tokens": 12, "pad_token_id": 18, **guesses}
    vectors = ours.get_input_embeddings()(ids).detach()
    got = generate(ours, inputs_embeds=vectors, **how)
    assert torch.equal(got, generate(ours, ids, **how)[:, 5:])


class StopsAt(StoppingCriteria):
    """Stop after a token."""

    def __init__(self, token: int) -> None:
        self.token = token

    def __call__(self, input_ids, scores=None, **more):
        return input_ids[:, -1] == self.token


def test_a_reason_to_stop_holds_in_the_midst_of_a_guess_and_in_transformers_at_its_end(
    pair, prompts
):
    ours, theirs = pair("llama")
    ids, _ = prompts(1, 5)
    how = {"max_new_tokens": 12, "pad_token_id": 18}
    token = int(generate(ours, ids, **how)[0, 6])  # the second new one
    expected = generate(ours, ids, stopping_criteria=[StopsAt(token)], **how)
    assert expected.shape[1] <= 7
    got = generate(
        ours,
        ids,
        stopping_criteria=[StopsAt(token)],
        assistant_model=ours,
        assistant_confidence_threshold=0.0,
        **how,
    )
    assert torch.equal(got, expected)
    theirs.generation_config.assistant_confidence_threshold = 0.0
    too_long = theirs.generate(
        ids, stopping_criteria=[StopsAt(token)], assistant_model=theirs, **how
    )
    theirs.generation_config.assistant_confidence_threshold = None
    assert torch.equal(too_long[:, : expected.shape[1]], expected)
    assert too_long.shape[1] > expected.shape[1]


def test_the_assistant_sees_the_right_positions_and_in_transformers_it_does_not(
    pair, near_copy, prompts, monkeypatch
):
    import transformers.generation.utils as theirs_of

    ours, theirs = pair("gpt2")
    our_assistant, their_assistant = near_copy("gpt2", 0)
    our_guesses, their_guesses = [], []
    accept, speculative = assisted.accept_guesses, theirs_of._speculative_sampling

    def ours_watched(guesses, drawn_from, probs, generator=None):
        our_guesses.append((guesses, drawn_from))
        return accept(guesses, drawn_from, probs, generator)

    def theirs_watched(ids, logits, length, *rest, **more):
        their_guesses.append((ids[0], logits[0].softmax(-1)))
        return speculative(ids, logits, length, *rest, **more)

    monkeypatch.setattr(assisted, "accept_guesses", ours_watched)
    monkeypatch.setattr(theirs_of, "_speculative_sampling", theirs_watched)
    ids, _ = prompts(1, 5)
    how = {"do_sample": True, "max_new_tokens": 20, "top_k": 0, "pad_token_id": 18}
    settings = {"num_assistant_tokens": 1, "assistant_confidence_threshold": 0.0}
    vars(their_assistant.generation_config).update(settings)
    torch.manual_seed(0)
    text = generate(ours, ids, assistant_model=our_assistant, **how, **settings)[0]
    for seed in range(3):
        torch.manual_seed(seed)
        theirs.generate(ids, assistant_model=their_assistant, **how)

    def off(whole, drawn_from):
        """How far the probabilities of guesses are from those of the assistant alone."""
        with torch.no_grad():
            logits = our_assistant(whole[None]).logits[0]
        right = logits[len(whole) - len(drawn_from) - 1 : -1].softmax(-1)
        return float((right - drawn_from).abs().max())

    start, all_off = 5, []
    for guesses, drawn_from in our_guesses:
        # Where in the text this guess was made: behind what was kept of those before.
        all_off.append(off(torch.cat([text[:start], guesses]), drawn_from))
        agreed = (text[start : start + len(guesses)] == guesses[: len(text) - start]).cumprod(0)
        start += int(agreed.sum()) + 1
    assert len(all_off) > 2
    assert max(all_off) < SCORES
    assert max(off(*guess) for guess in their_guesses) > 10 * SCORES


def test_the_assistants_own_settings_hold_where_the_caller_says_nothing(pair, prompts):
    ids, _ = prompts(1, 4)
    model = copy.deepcopy(pair("gpt2")[0])
    said, unsaid = {"num_assistant_tokens": 7}, GenerationConfig(max_length=30)
    own = GenerationConfig(num_assistant_tokens=3, assistant_confidence_threshold=0.1)
    assert candidates.Assistant(model, ids, unsaid).n_tokens == 20
    model.generation_config = own
    guesser = candidates.Assistant(model, ids, unsaid)
    assert (guesser.n_tokens, guesser.threshold, guesser.schedule) == (3, 0.1, "constant")
    guesser = candidates.Assistant(model, ids, GenerationConfig(max_length=30, **said))
    assert guesser.n_tokens == 7


def test_a_schedule_guesses_more_after_a_good_guess_and_less_after_a_bad_one(pair, prompts):
    ids, _ = prompts(1, 4)
    model = pair("gpt2")[0]
    settings = GenerationConfig(
        max_length=30, num_assistant_tokens=5, num_assistant_tokens_schedule="heuristic"
    )
    guesser = candidates.Assistant(model, ids, settings)
    guesser.guess(ids, 5)
    guesser.learn(5, 5)
    assert guesser.n_tokens == 7
    for _ in range(8):
        guesser.learn(1, 0)
    assert guesser.n_tokens == 1


def test_an_unlikely_token_is_the_last_of_a_guess(pair, prompts):
    ids, _ = prompts(1, 4)
    model = pair("llama")[0]
    settings = GenerationConfig(max_length=60, assistant_confidence_threshold=0.3)
    guesses, scores = candidates.Assistant(model, ids, settings).guess(ids, 20)
    probs = scores.softmax(-1)[range(len(guesses)), guesses]
    assert 1 <= len(guesses) < 20
    assert (probs[:-1] >= 0.3).all()
    assert probs[-1] < 0.3


@pytest.mark.parametrize(
    ("ids", "n", "size", "expected"),
    [
        ([1, 2, 3, 9, 1, 2], 2, 2, [3, 9]),
        ([1, 2, 3, 9, 1, 2], 9, 2, [3, 9, 1, 2]),
        ([1, 2, 3, 2, 4, 1, 2], 1, 1, [3]),  # the first place of several
        ([1, 2, 5, 2, 6, 7, 6, 2], 2, 3, [5, 2]),  # no three alike, no two: one
        ([1, 2, 3], 2, 2, []),
        ([4, 4], 3, 2, [4]),
        ([4], 3, 2, []),
    ],
)
def test_looking_up_finds_what_followed_the_last_tokens_before(ids, n, size, expected):
    assert candidates.look_up(torch.tensor(ids), n, size).tolist() == expected


def test_looking_up_finds_what_transformers_finds():
    from transformers.generation.candidate_generator import PromptLookupCandidateGenerator

    torch.manual_seed(0)
    n_found = 0
    for number in range(300):
        ids = torch.randint(0, 4 + number % 7, (1 + number % 20,))
        n, size = 1 + number % 5, 1 + number % 3
        theirs = PromptLookupCandidateGenerator(None, n, size, max_length=1000)
        expected = theirs.get_candidates(ids[None])[0][0, len(ids) :]
        got = candidates.look_up(ids, n, size)
        assert torch.equal(got, expected)
        n_found += bool(len(got))
    assert 100 < n_found < 300


def test_the_last_position_of_a_model_can_be_reached_with_guesses(pair, prompts):
    ours, _ = pair("gpt2")  # 64 learned positions
    ids = prompts(1, 10)[0].repeat(1, 5)
    how = {"max_length": 64, "pad_token_id": 18}
    expected = generate(ours, ids, **how)
    assert torch.equal(generate(ours, ids, prompt_lookup_num_tokens=10, **how), expected)
    assert torch.equal(generate(ours, ids, assistant_model=ours, **how), expected)


class Letters:
    """A tokenizer with one token for each letter, or for each pair of letters."""

    def __init__(self, size: int) -> None:
        self.size, self.eos_token_id = size, None

    def __call__(self, text, add_special_tokens=True):
        pieces = [text[i : i + self.size] for i in range(0, len(text), self.size)]
        return {"input_ids": [self.id_of(piece) for piece in pieces]}

    def id_of(self, piece):
        codes = [ord(letter) - ord("a") for letter in piece]
        return codes[0] if self.size == 1 else codes[0] * 19 + codes[-1]

    def decode(self, ids, skip_special_tokens=True):
        ids = [int(one) for one in ids]
        letters = ids if self.size == 1 else [half for one in ids for half in divmod(one, 19)]
        return "".join(chr(ord("a") + letter) for letter in letters)


def test_an_assistant_with_other_tokens_guesses_by_way_of_the_text(pair, prompts, monkeypatch):
    ours, _ = pair("llama")
    other, _ = pair("gpt2", 4, vocab_size=361)
    ids, _ = prompts(1, 6)
    how = {"max_new_tokens": 20, "pad_token_id": 18}
    expected = generate(ours, ids, **how)
    lengths = calls_of(ours, monkeypatch)
    tokenizers = {"tokenizer": Letters(1), "assistant_tokenizer": Letters(2)}
    settings = {"num_assistant_tokens": 3, "assistant_confidence_threshold": 0.0}
    got = generate(ours, ids, assistant_model=other, **tokenizers, **settings, **how)
    assert torch.equal(got, expected)
    assert max(lengths[1:]) == 7  # three pairs of letters, and the token before them


def test_what_cannot_be_guessed_ahead_is_said(pair, prompts):
    ours, _ = pair("llama")
    ids, _ = prompts(2, 4)
    how = {"max_new_tokens": 4, "pad_token_id": 18}
    with pytest.raises(InvalidInput, match="one at a time"):
        generate(ours, ids, prompt_lookup_num_tokens=3, **how)
    with pytest.raises(InvalidInput, match="use_cache=False"):
        generate(ours, ids[:1], prompt_lookup_num_tokens=3, use_cache=False, **how)
    other, _ = pair("gpt2", 4, vocab_size=361)
    with pytest.raises(InvalidInput, match=r"19 tokens and the assistant_model 361.*tokenizer"):
        generate(ours, ids[:1], assistant_model=other, **how)
    with pytest.raises(InvalidInput, match="prompt_lookup_num_tokens=0"):
        candidates.PromptLookup(0)


class Interrupts(StoppingCriteria):
    """Somebody presses Ctrl-C while the n-th token is written."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, input_ids, scores=None, **more):
        self.n -= 1
        if self.n < 0:
            raise KeyboardInterrupt
        return torch.zeros(len(input_ids), dtype=torch.bool)


def test_an_interrupted_call_returns_what_there_is_if_asked_to(pair, prompts):
    ours, _ = pair("llama")
    ids, _ = prompts(1, 4)
    how = {"max_new_tokens": 9, "pad_token_id": 18, "prompt_lookup_num_tokens": 3, **ALL}
    expected = generate(ours, ids, **how).sequences
    got = generate(ours, ids, stopping_criteria=[Interrupts(3)], on_interrupt="return", **how)
    assert 4 + 3 <= got.sequences.shape[1] < 13
    assert torch.equal(got.sequences, expected[:, : got.sequences.shape[1]])
    assert len(got.scores) == got.sequences.shape[1] - 4
    with pytest.raises(KeyboardInterrupt):
        generate(ours, ids, stopping_criteria=[Interrupts(3)], **how)
