"""Run by test_killed_training.py: trains in processes that are killed, and goes on each time.

python training_and_dying.py FOLDER KILLS SEED
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

import minilm
from minilm.training.arguments import TrainingArguments
from minilm.training.checkpoints import find_checkpoints, newest_checkpoint
from minilm.training.trainer import Trainer

# What a run does to a disk, as Python announces it.
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "tempfile.mkdtemp"}
STEPS = 24


def run(folder: Path, resume: str | None = None) -> Trainer:
    """Train, or go on: dropout, evaluation and accumulation included, a checkpoint every 2 steps."""
    torch.manual_seed(1)
    config = minilm.LlamaConfig(
        vocab_size=37,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        attention_dropout=0.2,
    )
    args = TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        disable_tqdm=True,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        max_steps=STEPS,
        learning_rate=1e-2,
        logging_steps=3,
        save_steps=2,
        save_total_limit=2,
        eval_strategy="steps",
        eval_steps=4,
        load_best_model_at_end=False,
    )
    data = torch.randint(0, 37, (30, 9), generator=torch.Generator().manual_seed(0))
    trainer = Trainer(
        model=minilm.LlamaForCausalLM(config), args=args, train_dataset=data, eval_dataset=data[:5]
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def in_a_child(folder: Path, die_at_event: int | None) -> int:
    """Begin, or go on, in a process of its own."""
    child = os.fork()
    if child:
        return child
    try:
        if die_at_event is not None:
            left = [die_at_event]

            def die(event: str, arguments: object) -> None:
                if event in EVENTS:
                    left[0] -= 1
                    if left[0] == 0:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(die)
        run(folder, newest_checkpoint(folder))
    except BaseException as error:
        print("child:", repr(error), flush=True)
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Kill as often as asked, at random times and at random file operations."""
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    draw = random.Random(seed)
    torch.set_num_threads(1)
    run(folder / "first")  # which is slow: everything is imported
    began = time.perf_counter()
    whole = run(folder / "whole")
    seconds = time.perf_counter() - began
    expected = {name: weight.clone() for name, weight in whole.model.state_dict().items()}
    done = finished = 0
    resumed_from = set()
    work = folder / "killed-0"
    while done < kills or newest_checkpoint(work) is not None:
        last = done >= kills
        by_event = not last and draw.random() < 0.5
        child = in_a_child(work, draw.randrange(1, 160) if by_event else None)
        if not last and not by_event:
            time.sleep(draw.uniform(0, 0.8 * seconds))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL, status
            done += 1
            newest = newest_checkpoint(work)
            if newest is not None:
                resumed_from.add(Path(newest).name)
                for each in find_checkpoints(work):
                    minilm.AutoModelForCausalLM.from_pretrained(each.path)
            continue
        assert os.WEXITSTATUS(status) == 0, status
        found = minilm.AutoModelForCausalLM.from_pretrained(newest_checkpoint(work)).state_dict()
        assert Path(newest_checkpoint(work)).name == f"checkpoint-{STEPS}"
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert len(list(work.glob("checkpoint-*"))) == 2
        left = [path.name for path in work.iterdir() if path.name.startswith(".")]
        assert not left, left
        finished += 1
        work = folder / f"killed-{finished}"
    print(f"killed {done}, finished {finished}, resumed from {len(resumed_from)} places")


if __name__ == "__main__":
    main()
