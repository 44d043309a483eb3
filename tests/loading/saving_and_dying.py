"""Run by test_killed_saving.py: saves models over each other in processes that are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from minilm import AutoConfig, AutoModelForCausalLM

# What a save does to a disk, as Python announces it.
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "tempfile.mkdtemp"}
# Takes most of the time, and nothing here depends on it: what a process wrote outlives it anyway.
os.fsync = lambda handle: None


def model(number, **sizes):
    """A model all of whose weights are one number: a mixture of two would show."""
    config = AutoConfig.for_model("llama", num_attention_heads=2, **sizes)
    made = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.fill_(number)
    return made


OLD = model(0.5, vocab_size=17, hidden_size=8, intermediate_size=12, num_hidden_layers=1)
NEW = model(0.25, vocab_size=19, hidden_size=12, intermediate_size=6, num_hidden_layers=2)


def holds(folder, loaded=None):
    """Which of the two models a folder holds, whole; anything else is an error."""
    loaded = AutoModelForCausalLM.from_pretrained(folder) if loaded is None else loaded
    for name, made in (("old", OLD), ("new", NEW)):
        if loaded.config.vocab_size == made.config.vocab_size:
            ours, theirs = made.state_dict(), loaded.state_dict()
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(ours[key], theirs[key]) for key in ours), name
            return name
    raise AssertionError(loaded.config)


def in_a_child(work):
    """Run work in a process of its own, and give back its id."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def die_at_every_step(folder, old_size, new_size):
    """Save the new over the old, killed at the first step, the second, …; until it gets through."""
    found = []

    def dying():
        steps = iter(range(10_000))

        def hook(event, arguments):
            if event in EVENTS and str(folder) in str(arguments) and next(steps) == len(found):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        NEW.save_pretrained(folder, max_shard_size=new_size)

    while True:
        OLD.save_pretrained(folder, max_shard_size=old_size)
        before = left_in(folder)
        status = os.waitpid(in_a_child(dying), 0)[1]
        found.append(holds(folder))
        assert found[-1] == "new" or left_in(folder) == before, left_in(folder)
        assert not any(name.startswith(".") for name in left_in(folder)), left_in(folder)
        if not os.WIFSIGNALED(status):
            assert status == 0, status
            return found


def die_at_any_moment(folder, kills, seed):
    """Save old and new in turns, sharded and not, until killed; again and again."""
    rng = random.Random(seed)
    OLD.save_pretrained(folder)
    found = []

    def saving():
        turn = random.Random(rng.random())
        while True:
            size = turn.choice(["1GB", "1KB", "700B"])
            turn.choice([OLD, NEW]).save_pretrained(folder, max_shard_size=size)

    for _ in range(kills):
        child = in_a_child(saving)
        time.sleep(rng.uniform(0.0, 0.08))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        rng.random()
        found.append(holds(folder))
        assert not any(name.startswith(".") for name in left_in(folder)), left_in(folder)
        if len(found) % 8 == 0 and "transformers" in sys.argv:
            import transformers

            theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
            assert holds(folder, theirs) == found[-1]
    return found


if __name__ == "__main__":
    place = Path(sys.argv[1])
    report = {
        "any moment": die_at_any_moment(place / "any", kills=25, seed=int(sys.argv[2])),
        "whole over whole": die_at_every_step(place / "a", "1GB", "1GB"),
        "shards over whole": die_at_every_step(place / "b", "1GB", "2KB"),
        "whole over shards": die_at_every_step(place / "c", "1KB", "1GB"),
    }
    print(json.dumps(report))
