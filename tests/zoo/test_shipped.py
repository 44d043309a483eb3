"""The checkpoints that ship: small, near the floor, the same for transformers."""

from __future__ import annotations

import pytest
import torch

from minilm import AutoModelForCausalLM, AutoTokenizer, world
from minilm.hub import SHIPPED, shipped_names
from minilm.zoo import causal
from minilm.zoo.card import CARD, as_card, read_facts
from minilm.zoo.recipes import RECIPES

TELLERS = [name for name, recipe in RECIPES.items() if recipe.task == "causal"]


@pytest.fixture(scope="module", params=TELLERS)
def teller(request):
    return (
        request.param,
        AutoModelForCausalLM.from_pretrained(request.param),
        AutoTokenizer.from_pretrained(request.param),
    )


def test_every_recipe_has_its_checkpoint_and_every_checkpoint_its_recipe():
    assert shipped_names() == sorted(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_checkpoint_is_small_and_its_card_says_what_its_facts_say(name):
    folder = SHIPPED / name
    assert (folder / "model.safetensors").stat().st_size <= 8_000_000
    facts = read_facts(folder)
    assert facts["command"] == f"python -m minilm zoo train {name}"
    assert (folder / CARD).read_text("utf-8") == as_card(facts, RECIPES[name])


def test_the_loss_is_near_the_floor_and_as_the_card_says(teller):
    name, model, tokenizer = teller
    score = causal.score(model, tokenizer, 300)
    assert score["ratio"] <= 1.06  # of 300 stories; the card's figure is of 2,000
    facts = read_facts(SHIPPED / name)["score"]
    assert facts["ratio"] <= 1.05
    assert score["loss"] == pytest.approx(facts["loss"], rel=0.02)


def test_transformers_finds_the_same_loss(teller):
    import transformers

    name, model, tokenizer = teller
    theirs = transformers.AutoModelForCausalLM.from_pretrained(SHIPPED / name)
    assert theirs.dtype == torch.float32
    texts = [story.text for story in world.stories("test", 30)]
    ours = list(causal.nats(model, tokenizer, texts))
    other = list(causal.nats(theirs.eval(), tokenizer, texts))
    for (mine, n), (his, _) in zip(ours, other, strict=True):
        assert mine / n == pytest.approx(his / n, abs=1e-4)
