"""Following a recipe: the checkpoint it ends with, going on after an interruption, the table."""

from __future__ import annotations

import json
import math
import random

import pytest
import torch

from minilm import AutoModelForCausalLM, AutoTokenizer, world
from minilm.errors import FileProblem, InvalidInput
from minilm.zoo import causal, listing, main, making
from minilm.zoo.card import read_facts
from minilm.zoo.recipes import RECIPES


def test_a_recipe_ends_in_a_checkpoint_with_a_card(small, tmp_path):
    finished = making.make(small, tmp_path)
    assert finished == tmp_path / small.name
    facts = read_facts(finished)
    model = AutoModelForCausalLM.from_pretrained(finished)
    tokenizer = AutoTokenizer.from_pretrained(finished)
    assert facts["parameters"] == sum(p.numel() for p in set(model.parameters()))
    assert facts["vocab_size"] == len(tokenizer) == model.config.vocab_size
    stories = world.stories("train", small.n_stories)
    assert facts["tokens_seen"] == sum(len(causal.framed(tokenizer, s.text)) for s in stories)
    score = causal.score(model, tokenizer, causal.TEST_STORIES)
    assert facts["score"] == pytest.approx(score)
    assert score["loss"] > score["floor"] > 0
    card = (finished / "README.md").read_text("utf-8")
    for told in (facts["command"], f"{facts['parameters']:,}", small.good_at, small.bad_at, "loss"):
        assert told in card


class _Interrupted(Exception):
    pass


def test_an_interrupted_training_ends_in_the_same_weights(small, tmp_path, monkeypatch):
    at_once = AutoModelForCausalLM.from_pretrained(making.make(small, tmp_path / "at once"))
    rows = causal.Rows.__getitem__
    read = []

    def give_up(self, index):
        read.append(index)
        if len(read) == 15:
            raise _Interrupted
        return rows(self, index)

    monkeypatch.setattr(causal.Rows, "__getitem__", give_up)
    with pytest.raises(_Interrupted):
        making.make(small, tmp_path / "in two")
    assert not (tmp_path / "in two" / small.name / "model.safetensors").exists()
    monkeypatch.setattr(causal.Rows, "__getitem__", rows)
    in_two = AutoModelForCausalLM.from_pretrained(making.make(small, tmp_path / "in two"))
    for name, weight in at_once.state_dict().items():
        assert torch.equal(weight, in_two.state_dict()[name]), name


def test_work_begun_with_other_settings_is_not_mixed_up(small, tmp_path):
    import dataclasses

    making._claim(tmp_path / "work", small)
    making._claim(tmp_path / "work", small)
    with pytest.raises(FileProblem, match="begun with other settings"):
        making._claim(tmp_path / "work", dataclasses.replace(small, n_stories=61))


def test_a_score_is_the_loss_and_the_floor_of_the_same_tokens(small):
    tokenizer = causal.make_tokenizer(small)
    torch.manual_seed(0)
    model = causal.make_model(small, tokenizer).eval()
    told = list(world.stories("test", 5))
    said = list(causal.nats(model, tokenizer, [story.text for story in told], batch_size=2))
    for story, (surprise, tokens) in zip(told, said, strict=True):
        ids = torch.tensor([causal.framed(tokenizer, story.text)])
        alone = model(input_ids=ids, labels=ids).loss.item() * tokens
        assert ids.shape[1] - 1 == tokens
        assert surprise == pytest.approx(alone, abs=1e-3)
    score = causal.score(model, tokenizer, 5)
    tokens = sum(n for _, n in said)
    assert score["tokens"] == tokens
    assert score["loss"] == pytest.approx(math.fsum(s for s, _ in said) / tokens)
    floor = -sum(world.log_prob(story.text) for story in told) / tokens
    assert score["floor"] == pytest.approx(floor)


def test_a_row_is_one_whole_story(small, tmp_path):
    tokenizer = causal.make_tokenizer(small)
    rows = causal.make_rows(tokenizer, "train", 20, tmp_path / "rows")
    again = causal.make_rows(tokenizer, "train", 20, tmp_path / "rows")
    assert len(rows) == len(again) == 20
    told = []
    for number in range(20):
        ids = rows[number]["input_ids"]
        assert ids == again[number]["input_ids"]
        assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
        told.append(tokenizer.decode(ids[1:-1]))
    assert sorted(told) == sorted(story.text for story in world.stories("train", 20))
    batch = causal.make_collator(tokenizer)([rows[number] for number in range(3)])
    is_padding = batch["input_ids"] == tokenizer.pad_token_id
    assert is_padding.any()
    assert ((batch["labels"] == -100) == is_padding).all()
    assert (batch["labels"] == batch["input_ids"])[~is_padding].all()


def test_a_batch_holds_rows_of_nearly_one_length_and_every_row_comes_once():
    dice = random.Random(0)
    lengths = [dice.randrange(60, 120) for _ in range(700)]
    order = list(causal.like_to_like(lengths, 4))
    assert sorted(order) == list(range(700))
    batches = [[lengths[i] for i in order[at : at + 4]] for at in range(0, 700, 4)]
    assert sum(max(batch) - min(batch) for batch in batches) < 3 * len(batches)
    # Short and long batches take turns: the order is no curriculum.
    firsts = [batch[0] for batch in batches]
    assert abs(sum(firsts[:87]) - sum(firsts[87:174])) < 87 * 6
    assert order == list(causal.like_to_like(lengths, 4))
    assert order != list(causal.like_to_like(lengths, 4, seed=1))


def test_a_tokenizer_is_read_by_transformers_as_it_was_written(small, tmp_path):
    import transformers

    tokenizer = causal.make_tokenizer(small)
    tokenizer.save_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for story in world.stories("validation", 10):
        for text in (story.text, story.german):
            assert theirs(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert theirs.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id


def test_stories_told_by_a_model_are_judged_by_the_world(small):
    real = [story.text for story in world.stories("test", 3)]
    assert causal.share_possible([*real, "Mia ate the moon."]) == 0.75
    tokenizer = causal.make_tokenizer(small)
    torch.manual_seed(0)
    model = causal.make_model(small, tokenizer)
    told = causal.tell(model, tokenizer, 3, temperature=0.7, seed=1)
    assert told == causal.tell(model, tokenizer, 3, temperature=0.7, seed=1)
    assert told != causal.tell(model, tokenizer, 3, temperature=0.7, seed=2)
    assert causal.share_possible(told) == 0


def test_the_table_names_every_recipe(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(RECIPES)
    assert listing.as_table() == "\n".join(lines)


def test_an_unknown_checkpoint_is_named_with_those_there_are():
    with pytest.raises(InvalidInput, match=r"'story-gpt3'.*story-gpt2, story-llama"):
        main(["train", "story-gpt3"])


def test_installing_puts_all_files_where_names_are_found(small, tmp_path, monkeypatch):
    finished = tmp_path / "story-tiny"
    finished.mkdir()
    for name in ("config.json", "model.safetensors", "README.md"):
        (finished / name).write_text(json.dumps(name), "utf-8")
    monkeypatch.setattr(making, "SHIPPED", tmp_path / "shipped")
    place = making.install(finished)
    assert place == tmp_path / "shipped" / "story-tiny"
    names = sorted(path.name for path in place.iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
