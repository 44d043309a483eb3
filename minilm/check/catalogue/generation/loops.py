"""The exercises choose_next and write_tokens, and their known mistakes."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

from minilm.check.catalogue.generation.common import FEW, LESSON, distinct, without
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch

# --- choose_next ---------------------------------------------------------------------------------


@functools.cache
def small_model(vocab_size: int) -> Any:
    """A GPT-2 of transformers whose own scores nobody looks at."""
    import transformers

    sizes = {"n_embd": 2, "n_layer": 1, "n_head": 1, "n_positions": 64}
    config = transformers.GPT2Config(vocab_size=vocab_size, **sizes, bos_token_id=0)
    config.eos_token_id = None
    with torch.random.fork_rng(devices=[]):
        return transformers.GPT2LMHeadModel(config).eval()


def reference_choice(scores, do_sample=False, seed=0):
    """Let transformers' generate write one token, with these scores in place of its own."""
    model = small_model(scores.shape[1])
    prompt = torch.zeros(len(scores), 1, dtype=torch.int64)
    how: dict[str, Any] = {"do_sample": do_sample, "max_new_tokens": 1, "pad_token_id": 0}
    if do_sample:
        how |= {"top_k": 0, "top_p": 1.0, "temperature": 1.0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        ids = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            logits_processor=[lambda ids, own: scores.clone()],
            **how,
        )
        return {"tokens": ids[:, -1], "drawn next": drawn_next(None) if do_sample else None}


def drawn_next(generator):
    """A number drawn afterwards: it tells whether exactly one draw was made before."""
    return torch.rand(1, generator=generator, dtype=torch.float64)


def use_choice(function, scores, do_sample=False, seed=0):
    """What is chosen with a generator of that seed, and what the generator draws afterwards."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)  # another one, for whoever passes the generator over
        chosen = function(scores=scores, do_sample=do_sample, generator=generator)
    return {"tokens": chosen, "drawn next": drawn_next(generator) if do_sample else None}


def choosing(
    best: Callable = lambda scores: scores.argmax(-1),
    share: Callable = lambda scores: scores.softmax(-1),
    shape: Callable = lambda drawn: drawn[:, 0],
) -> Callable:
    """A choose_next that takes one of its steps in another way."""

    def choose(scores, do_sample=False, generator=None):
        if not do_sample:
            return best(scores)
        return shape(torch.multinomial(share(scores), 1, generator=generator))

    return choose


def always_draws(scores, do_sample=False, generator=None):
    return torch.multinomial(scores.softmax(-1), 1, generator=generator)[:, 0]


def never_draws(scores, do_sample=False, generator=None):
    return scores.argmax(-1)


def without_the_generator(scores, do_sample=False, generator=None):
    return choosing()(scores, do_sample, None)


def one_for_all(scores, do_sample=False, generator=None):
    if not do_sample:
        return scores.argmax(-1)
    return torch.multinomial(scores[0].softmax(-1), len(scores), True, generator=generator)


def drawn_in_vain(scores, do_sample=False, generator=None):
    if do_sample:
        torch.multinomial(scores.softmax(-1), 1, generator=generator)
    return choosing()(scores, do_sample, generator)


def by_the_sum(scores, do_sample=False, generator=None):
    if not do_sample:
        return scores.argmax(-1)
    dice = torch.rand(len(scores), 1, generator=generator)
    found = torch.searchsorted(scores.softmax(-1).cumsum(-1), dice)[:, 0]
    return found.clamp(max=scores.shape[1] - 1)


def by_log_softmax(scores, do_sample=False, generator=None):
    if do_sample:
        p = scores.log_softmax(dim=1).exp()
        return p.multinomial(1, generator=generator).squeeze(-1)
    return torch.max(scores, dim=-1).indices


def draw_choices(draw: random.Random) -> list[Case]:
    cases: list[Case] = [
        {"scores": torch.tensor([[1.0, 3.0, 2.0]])},
        {"scores": torch.tensor([[-1.0, -3.0], [-2.0, -0.5]])},
        {"scores": torch.tensor([[0.5, 0.0, -0.5]]), "do_sample": True, "seed": 1},
    ]
    for rows, size in [(2, 4), (3, 5), (6, 7)]:
        cases.append({"scores": distinct(draw, rows, size)})
    for rows, size in [(1, 6), (2, 3), (3, 3), (2, 5), (4, 6), (5, 4), (3, 8), (2, 9), (6, 5)]:
        scores, seed = distinct(draw, rows, size), draw.randrange(100)
        cases.append({"scores": scores, "do_sample": True, "seed": seed})
    cut = without(distinct(draw, 3, 5), (0, 1), (0, 2), (1, 0), (2, 3), (2, 4))
    cases.append({"scores": cut, "do_sample": True, "seed": draw.randrange(100)})
    return cases


CHOOSE_NEXT = Exercise(
    answer="minilm.generation.loop:choose_next",
    lesson=LESSON,
    cases=draw_choices,
    reference=reference_choice,
    use=use_choice,
    reference_name="what transformers' generate chooses with the same seed",
    mistakes=[
        Mistake(
            "never draws",
            never_draws,
            "do_sample is passed over, and the likeliest token is always taken: no temperature "
            "will ever change anything.",
        ),
        Mistake(
            "always draws",
            always_draws,
            "It draws without being asked to. Unless do_sample is True, the likeliest token is "
            "taken: that is greedy search.",
        ),
        Mistake(
            "takes the least likely",
            choosing(best=lambda scores: scores.argmin(-1)),
            "argmin takes the token that the model holds for least likely.",
        ),
        Mistake(
            "looks down the batch",
            choosing(best=lambda scores: scores.argmax(0)),
            "argmax over axis 0 tells which *row* has the largest score for each token. It is over "
            "the vocabulary, the last axis.",
        ),
        Mistake(
            "takes one place for the whole batch",
            choosing(best=lambda scores: scores.argmax()),
            "argmax without an axis finds one place in the flattened batch. Each row chooses for "
            "itself: dim=-1.",
        ),
        Mistake(
            "returns a score",
            choosing(best=lambda scores: scores.amax(-1)),
            "The largest score comes back instead of its place. The place is the token's id.",
        ),
        Mistake(
            "keeps an axis",
            choosing(lambda scores: scores.argmax(-1, keepdim=True), shape=lambda drawn: drawn),
            "The answer is (B, 1). It is one id for each row, (B,): `[:, 0]`.",
        ),
        Mistake(
            "keeps an axis when it draws",
            choosing(shape=lambda drawn: drawn),
            "multinomial gives (B, 1), one column for each draw. The answer is (B,), as without "
            "drawing: `[:, 0]`.",
        ),
        Mistake(
            "draws with scores",
            choosing(
                share=lambda scores: (
                    (scores - scores.amin()).masked_fill(scores.isinf(), 0.0) + 0.01
                )
            ),
            "It draws in proportion to the scores, made positive. They are logarithms: softmax "
            "makes probabilities of them.",
        ),
        Mistake(
            "takes the softmax twice",
            choosing(share=lambda scores: scores.softmax(-1).softmax(-1)),
            "The softmax of probabilities is nearly flat: it draws almost at random. And what was "
            "cut away comes back.",
        ),
        Mistake(
            "lets the rows compete",
            choosing(share=lambda scores: scores.nan_to_num(neginf=-9.0).softmax(0)),
            "The softmax runs over the rows. Each row is a distribution: the last axis.",
        ),
        Mistake(
            "passes the generator over",
            without_the_generator,
            "The draw is made with torch's own generator, so a seed given to yours changes nothing. "
            "Hand it on: `generator=generator`.",
        ),
        Mistake(
            "draws for the first row only",
            one_for_all,
            "All tokens are drawn from the first row's distribution. Each row has its own.",
        ),
        Mistake(
            "draws by itself",
            by_the_sum,
            "One random number is laid on the sum of the probabilities. That is a right draw, and "
            "another one than multinomial's: the same seed gives other tokens.",
        ),
        Mistake(
            "draws twice",
            drawn_in_vain,
            "It draws twice and uses one: the first draw moves the generator on. With the same "
            "seed other tokens come than from transformers, which draws once a step.",
        ),
    ],
    accepts=[choosing(), by_log_softmax],
)

# --- write_tokens --------------------------------------------------------------------------------


class Says:
    """A model that says what it was told to: one row of tokens for each text."""

    def __init__(self, length: int, tokens: list[list[int]]) -> None:
        self.length, self.tokens = length, tokens

    def __call__(self, ids: Any) -> Any:
        steps = len(self.tokens[0])
        at = int(ids.shape[1]) - self.length
        if at < 0:
            raise RuntimeError("The model was not shown the whole text.")
        if at > steps + 6:
            raise RuntimeError("The model is asked on and on, though all texts have ended.")
        column = torch.tensor(self.tokens)[:, min(at, steps - 1)]  # (B,)
        scores = torch.zeros(len(column), FEW)
        scores[torch.arange(len(column)), column] = 1.0
        scores[torch.arange(len(column)), (column + 1) % FEW] = 2.0
        return scores

    def __repr__(self) -> str:
        return f"scores that mean {self.tokens}"


class SecondBest:
    """Chooses the second best, to tell apart who asks `choose` and who does not."""

    def __call__(self, scores: Any) -> Any:
        return scores.topk(2).indices[:, 1]  # (B,)

    def __repr__(self) -> str:
        return "the second best"


class Ends:
    """Whether the last token ends a text, or it is as long as it may be."""

    def __init__(self, tokens: list[int], longest: int) -> None:
        self.tokens, self.longest = tokens, longest

    def __call__(self, ids: Any) -> Any:
        is_end = torch.isin(ids[:, -1], torch.tensor(self.tokens, dtype=torch.int64))
        return is_end | (ids.shape[1] >= self.longest)  # (B,)

    def __repr__(self) -> str:
        ends = " or ".join(map(str, self.tokens))
        return f"{f'ends in {ends}, or ' if ends else ''}has {self.longest} tokens"


def reference_text(input_ids, next_scores, choose, has_finished, pad_token_id=None):
    """Let transformers' generate write, with the scores of the case in place of its own."""

    def scores(ids, own):
        chosen = choose(next_scores(ids))  # (B,)
        return torch.full_like(own, -torch.inf).scatter(1, chosen[:, None], 0.0)

    ends = {"eos_token_id": has_finished.tokens} if has_finished.tokens else {}
    return small_model(FEW).generate(
        input_ids,
        attention_mask=torch.ones_like(input_ids),
        logits_processor=[scores],
        do_sample=False,
        max_length=has_finished.longest,
        pad_token_id=pad_token_id,
        **ends,
    )


def writing(
    pad: Callable = lambda tokens, unfinished, pad: tokens.where(unfinished, pad),
    join: Callable = lambda ids, tokens: torch.cat([ids, tokens[:, None]], dim=1),
    still: Callable = lambda unfinished, finished: unfinished & ~finished,
    go_on: Callable = lambda unfinished: bool(unfinished.any()),
    pads_first: bool = True,
) -> Callable:
    """A write_tokens that takes one of its steps in another way."""

    def write(input_ids, next_scores, choose, has_finished, pad_token_id=None):
        unfinished = torch.ones(len(input_ids), dtype=torch.bool)
        while go_on(unfinished):
            tokens = choose(next_scores(input_ids))
            if not pads_first:
                unfinished = still(unfinished, has_finished(join(input_ids, tokens)))
            if pad_token_id is not None:
                tokens = pad(tokens, unfinished, pad_token_id)
            input_ids = join(input_ids, tokens)
            if pads_first:
                unfinished = still(unfinished, has_finished(input_ids))
        return input_ids

    return write


def takes_the_best(input_ids, next_scores, choose, has_finished, pad_token_id=None):
    best = lambda scores: scores.argmax(-1)  # noqa: E731
    return writing()(input_ids, next_scores, best, has_finished, pad_token_id)


def returns_the_new_only(input_ids, next_scores, choose, has_finished, pad_token_id=None):
    written = writing()(input_ids, next_scores, choose, has_finished, pad_token_id)
    return written[:, input_ids.shape[1] :]


def without_the_last(input_ids, next_scores, choose, has_finished, pad_token_id=None):
    return writing()(input_ids, next_scores, choose, has_finished, pad_token_id)[:, :-1]


def one_more_token(input_ids, next_scores, choose, has_finished, pad_token_id=None):
    ids = writing()(input_ids, next_scores, choose, has_finished, pad_token_id)
    tokens = choose(next_scores(ids))
    if pad_token_id is not None:
        tokens = torch.full_like(tokens, pad_token_id)
    return torch.cat([ids, tokens[:, None]], dim=1)


def rows_that_stop(input_ids, next_scores, choose, has_finished, pad_token_id=None):
    return writing(pad=lambda tokens, unfinished, pad: tokens.where(unfinished, 0))(
        input_ids, next_scores, choose, has_finished, pad_token_id
    )


def looks_before_it_writes(input_ids, next_scores, choose, has_finished, pad_token_id=None):
    unfinished = torch.ones(len(input_ids), dtype=torch.bool)
    while unfinished.any():
        tokens = choose(next_scores(input_ids))
        if pad_token_id is not None:
            tokens = tokens.where(unfinished, pad_token_id)
        unfinished = unfinished & ~has_finished(input_ids)
        input_ids = torch.cat([input_ids, tokens[:, None]], dim=1)
    return input_ids


def ended_by_the_prompt(input_ids, next_scores, choose, has_finished, pad_token_id=None):
    unfinished = ~has_finished(input_ids)
    while unfinished.any():
        tokens = choose(next_scores(input_ids))
        if pad_token_id is not None:
            tokens = tokens.where(unfinished, pad_token_id)
        input_ids = torch.cat([input_ids, tokens[:, None]], dim=1)
        unfinished = unfinished & ~has_finished(input_ids)
    return input_ids


def written_by_lists(input_ids, next_scores, choose, has_finished, pad_token_id=None):
    rows, finished = input_ids.tolist(), [False] * len(input_ids)
    while not all(finished):
        tokens = choose(next_scores(torch.tensor(rows))).tolist()
        for i, token in enumerate(tokens):
            rows[i].append(pad_token_id if finished[i] and pad_token_id is not None else token)
        now = has_finished(torch.tensor(rows)).tolist()
        finished = [a or b for a, b in zip(finished, now, strict=True)]
    return torch.tensor(rows)


def written_with_products(input_ids, next_scores, choose, has_finished, pad_token_id=None):
    alive = torch.ones(len(input_ids), dtype=torch.int64)
    while alive.max() > 0:
        tokens = choose(next_scores(input_ids))
        if pad_token_id is not None:
            tokens = tokens * alive + pad_token_id * (1 - alive)
        input_ids = torch.hstack([input_ids, tokens.unsqueeze(1)])
        alive = alive * (1 - has_finished(input_ids).long())
    return input_ids


def draw_texts(draw: random.Random) -> list[Case]:
    def case(prompts, tokens, ends, longest, pad):
        length = len(prompts[0])
        return {
            "input_ids": torch.tensor(prompts),
            "next_scores": Says(length, tokens),
            "choose": SecondBest(),
            "has_finished": Ends(ends, longest),
            "pad_token_id": pad,
        }

    cases = [
        case([[5]], [[7, 3]], [3], 9, 0),
        case([[5], [6]], [[3, 7], [8, 3]], [3], 9, 0),
        case([[5], [6]], [[3, 7, 7], [8, 4, 3]], [3], 9, 0),
        case([[5], [6]], [[3, 7, 7], [8, 4, 3]], [3], 9, 3),
        case([[5, 6], [6, 7]], [[4, 5], [6, 8]], [], 4, None),
        case([[5, 3], [3, 7]], [[4, 5, 6], [6, 8, 3]], [3], 9, 1),
    ]
    for rows, length, steps in [(1, 2, 4), (2, 3, 4), (3, 1, 5), (3, 2, 6), (4, 3, 5)]:
        pad = draw.choice([0, 1, 3])
        ends = draw.choice([[3], [3, 4]])
        others = [5, 6, 7, 8, 9, 10]
        tokens = [[draw.choice(others) for _ in range(steps)] for _ in range(rows)]
        for row, at in zip(tokens, draw.sample(range(steps), rows), strict=True):
            row[at] = draw.choice(ends)
        prompts = [[draw.choice([*others, 3]) for _ in range(length)] for _ in range(rows)]
        longest = length + steps + draw.choice([-1, 0, 2])
        if not any(set(row).isdisjoint(ends) for row in tokens):
            cases.append(case(prompts, tokens, ends, longest, pad))
    return cases


WRITE_TOKENS = Exercise(
    answer="minilm.generation.loop:write_tokens",
    lesson=LESSON,
    cases=draw_texts,
    reference=reference_text,
    reference_name="the texts of transformers' generate",
    mistakes=[
        Mistake(
            "forgets who has finished",
            writing(still=lambda unfinished, finished: ~finished),
            "A row counts as finished only while its last token is an end. Once the padding "
            "follows, it comes to life again. What is finished stays so: `unfinished & ~…`.",
        ),
        Mistake(
            "stops with the first",
            writing(go_on=lambda unfinished: bool(unfinished.all())),
            "The loop ends as soon as one row has finished; the others are cut off. It goes on "
            "while *any* is unfinished.",
        ),
        Mistake(
            "does not pad",
            writing(pad=lambda tokens, unfinished, pad: tokens),
            "A row that has finished goes on writing, because the others do. It gets pad_token_id "
            "from then on.",
        ),
        Mistake(
            "pads those that go on",
            writing(pad=lambda tokens, unfinished, pad: tokens.where(~unfinished, pad)),
            "The rows still being written get the padding, and the finished ones go on: the mask "
            "is the wrong way round.",
        ),
        Mistake(
            "pads the end itself",
            writing(pads_first=False),
            "The padding is put in after the end was seen, and overwrites it. The end-of-text "
            "token belongs to the text; padding begins with the next.",
        ),
        Mistake(
            "pads with zeros",
            rows_that_stop,
            "Finished rows get 0, whatever pad_token_id says. 0 is a token like any other.",
        ),
        Mistake(
            "takes the best always",
            takes_the_best,
            "The likeliest token is taken here, and `choose` is never asked. Then nobody can draw.",
        ),
        Mistake(
            "returns the new tokens only",
            returns_the_new_only,
            "The prompts are missing. generate returns prompt and new tokens in one; who wants the "
            "new ones only cuts them off.",
        ),
        Mistake(
            "loses the last token",
            without_the_last,
            "The last token is chosen and not written down: the check whether all have finished "
            "comes before it is appended.",
        ),
        Mistake(
            "writes one too many",
            one_more_token,
            "One more token is written after all rows have finished. Look whether any is unfinished "
            "before the model is asked again.",
        ),
        Mistake(
            "looks before it writes",
            looks_before_it_writes,
            "has_finished is asked before the new token stands in the text, so a row that has ended "
            "is noticed one step late. Append first, then ask.",
        ),
        Mistake(
            "takes the end of the prompt for an end",
            ended_by_the_prompt,
            "A prompt that ends in an end-of-text token counts as finished before anything is "
            "written. Stories here begin with that token: at the start all rows are unfinished.",
        ),
        Mistake(
            "writes from the front",
            writing(join=lambda ids, tokens: torch.cat([tokens[:, None], ids], dim=1)),
            "The new token is put before the text. It goes behind, as the last column.",
        ),
    ],
    accepts=[writing(), written_by_lists, written_with_products],
)
