"""Checkpoints that tell stories: what they read, and how near they come to the floor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import load, save
from torch.nn import functional as F
from tqdm import tqdm

from minilm import world
from minilm.auto import AutoConfig, AutoModelForCausalLM
from minilm.files import write_atomically
from minilm.training.collators import DataCollatorForLanguageModeling
from minilm.zoo.recipes import Recipe
from minilm.zoo.tokenizers import train_tokenizer

if TYPE_CHECKING:
    from minilm.models.base import PreTrainedModel
    from minilm.tokenization.tokenizer import PreTrainedTokenizer

# The words are few: this many stories hold them all, each often enough.
TOKENIZER_STORIES = 5_000
VALIDATION_STORIES = 500
TEST_STORIES = 2_000


class Rows:
    """Rows of token ids, one story each, as the Trainer takes them; two bytes a token.

    ids: (tokens,) uint16, all rows one behind the other
    ends: (rows,) int64, where each ends
    """

    def __init__(self, ids: np.ndarray[Any, Any], ends: np.ndarray[Any, Any]) -> None:
        self.ids = ids
        self.ends = ends

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        start = self.ends[index - 1] if index else 0
        return {"input_ids": self.ids[start : self.ends[index]].tolist()}


def make_tokenizer(recipe: Recipe) -> PreTrainedTokenizer:
    """Train the tokenizer of a recipe on stories of the world.

    recipe: what to make
    """
    texts = (story.text for story in world.stories("train", TOKENIZER_STORIES))
    config = recipe.config
    max_length = config.get("n_positions") or config["max_position_embeddings"]
    return train_tokenizer(config["model_type"], texts, recipe.vocab_size, max_length)


def make_model(recipe: Recipe, tokenizer: PreTrainedTokenizer) -> PreTrainedModel:
    """Make the model of a recipe, with weights drawn at random from torch's generator.

    recipe: what to make
    tokenizer: gives the size of the vocabulary and the special tokens
    """
    config = dict(recipe.config)
    settings = AutoConfig.for_model(
        config.pop("model_type"),
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **config,
    )
    return AutoModelForCausalLM.from_config(settings)


def make_rows(
    tokenizer: PreTrainedTokenizer, split: str, count: int, cache: Path, batch_size: int = 16
) -> Rows:
    """Cut stories into tokens, one row each.

    tokenizer: of the model
    split: "train" or "validation"
    count: how many stories
    cache: a file to keep the rows in, and to take them from if it is there
    batch_size: so many rows that follow each other are of nearly one length
    """
    if not cache.exists():
        told = world.stories(split, count)
        frames = [
            framed(tokenizer, story.text)
            for story in tqdm(told, total=count, desc=f"{split}: telling stories", unit="story")
        ]
        frames = [frames[i] for i in like_to_like([len(frame) for frame in frames], batch_size)]
        ids = np.fromiter(chain.from_iterable(frames), dtype=np.uint16)
        ends = np.cumsum([len(frame) for frame in frames])
        write_atomically(cache, save({"ids": ids, "ends": ends}))
    rows = load(cache.read_bytes())
    return Rows(rows["ids"], rows["ends"])


def like_to_like(lengths: Sequence[int], batch_size: int, seed: int = 0) -> Iterator[int]:
    """Order rows so that a batch holds rows of nearly one length, and little of it is padding.

    lengths: of the rows, in tokens
    batch_size: rows to a batch
    seed: of the order in which the batches come

    Rows are sorted within pools of 64 batches only: batches of one length still differ.
    """
    pool = 64 * batch_size
    batches = []
    for start in range(0, len(lengths), pool):
        of_pool = range(start, min(start + pool, len(lengths)))
        rows = sorted(of_pool, key=lengths.__getitem__)
        batches += [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    for batch in np.random.default_rng(seed).permutation(len(batches)):
        yield from batches[batch]


def make_collator(tokenizer: PreTrainedTokenizer) -> Callable[[list[Any]], dict[str, Any]]:
    """Make what turns rows into a batch: padded to the longest, nothing asked of the padding.

    tokenizer: of the model
    """
    # A few lengths instead of seventy: torch prepares itself anew for each that it meets.
    collate = DataCollatorForLanguageModeling(tokenizer, mlm=False, pad_to_multiple_of=8)

    def without_mask(rows: list[Any]) -> dict[str, Any]:
        batch = dict(collate(rows))
        # Padding stands on the right, where no real token looks: causal order is mask enough, and
        # attention that is causal alone is computed faster.
        del batch["attention_mask"]
        return batch

    return without_mask


def framed(tokenizer: PreTrainedTokenizer, text: str) -> list[int]:
    """Cut a story into tokens, with the first token before it and the last behind it.

    tokenizer: of the model; for GPT-2 both are <|endoftext|>
    text: of one story

    From such rows a model learns both: to begin, and to stop.
    """
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]


@torch.no_grad()
def nats(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizer,
    texts: Iterable[str],
    batch_size: int = 32,
) -> Iterator[tuple[float, int]]:
    """Say how surprised a model is by stories.

    model: of either library; in evaluation mode
    tokenizer: its tokenizer
    texts: stories
    batch_size: how many to read at once

    Yields, story by story, the nats from the first word to the last token and the number of those
    tokens. The last token is counted: that a story ends here has to be told, too.
    """
    rest = iter(texts)
    while some := list(islice(rest, batch_size)):
        rows = [framed(tokenizer, text) for text in some]
        longest = max(map(len, rows))
        # Padding stands on the right, where no real token looks.
        ids = torch.tensor([row + [row[-1]] * (longest - len(row)) for row in rows])  # (B, T)
        logits = model(input_ids=ids).logits[:, :-1]  # (B, T - 1, V)
        loss = F.cross_entropy(logits.transpose(1, 2).float(), ids[:, 1:], reduction="none")
        for row, losses in zip(rows, loss, strict=True):
            yield float(losses[: len(row) - 1].sum(dtype=torch.float64)), len(row) - 1


def score(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizer, count: int | None = None
) -> dict[str, float]:
    """Measure a model on stories it never read, beside the floor.

    model, tokenizer: what to measure
    count: how many stories of the split "test"; TEST_STORIES unless given

    Returns loss and floor in nats per token, their ratio, and the number of tokens. The floor is
    what the world itself says of the same stories: `log_prob` is exact.
    """
    tested = list(world.stories("test", TEST_STORIES if count is None else count))
    model.eval()
    said = list(
        tqdm(
            nats(model, tokenizer, (story.text for story in tested)),
            total=len(tested),
            desc="test",
            unit="story",
            leave=False,
        )
    )
    tokens = sum(n for _, n in said)
    loss = math.fsum(surprise for surprise, _ in said) / tokens
    floor = -math.fsum(story.log_prob for story in tested) / tokens
    return {"loss": loss, "floor": floor, "ratio": loss / floor, "tokens": tokens}


@torch.no_grad()
def tell(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizer,
    count: int,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[str]:
    """Let a model tell stories.

    model, tokenizer: the teller
    count: how many stories
    temperature: below 1 likely words become likelier
    seed: of the draws

    Returns the stories; one that found no end is cut where the positions of the model end.
    """
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    ids = torch.full((count, 1), tokenizer.bos_token_id)  # (B, 1)
    told, cache = ids, None
    is_done = torch.zeros(count, dtype=torch.bool)  # (B)
    while told.shape[1] < model.config.max_position_embeddings and not bool(is_done.all()):
        output = model(input_ids=ids, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        chances = (output.logits[:, -1] / temperature).softmax(-1)  # (B, V)
        ids = torch.multinomial(chances, 1, generator=generator)  # (B, 1)
        ids[is_done] = tokenizer.eos_token_id
        told = torch.cat([told, ids], 1)
        is_done |= ids[:, 0] == tokenizer.eos_token_id
    return [text.strip() for text in tokenizer.batch_decode(told, skip_special_tokens=True)]


def share_possible(stories: Sequence[str]) -> float:
    """Say which share of some stories the world could have told.

    stories: the texts
    """
    return sum(math.isfinite(world.log_prob(text)) for text in stories) / len(stories)
