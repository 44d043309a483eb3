"""Train small models one after the other, in one process or under torchrun, and measure.

    torchrun --standalone --nproc_per_node 2 train_together.py folder '{"first": {"max_steps": 8}}'

folder: gets a folder of each run's name, with its checkpoints, its final model and result.json
The second argument, JSON: for each run its TrainingArguments, and besides them
    family: "llama" or "gpt2"    layers, width: of the model    tied: its embeddings and its head
    dropout: rate    means: a model that gives mean losses only    init_seed: of this process, or None
    rows, length: of the data    eval_rows: of the data to measure    resume: a checkpoint, or True
    kill: [rank, step], SIGKILL to this process    interrupt: [rank, step], Ctrl-C for torchrun
    fail: [rank, step], an error    stop: [rank, step], a wish to stop    double: float64 or not
    unused: a model with weights that no loss depends on
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch

import minilm
from minilm.training.arguments import TrainingArguments
from minilm.training.callbacks import TrainerCallback
from minilm.training.trainer import Trainer

RANK = int(os.environ.get("RANK", "0"))
SETTINGS = {
    "use_cpu": True,
    "disable_tqdm": True,
    "logging_steps": 1,
    "save_strategy": "no",
    "per_device_train_batch_size": 2,
    "learning_rate": 1e-2,
    "weight_decay": 0.1,
    "num_train_epochs": 1,
    "ddp_timeout": 60,
}
OWN = {
    "family": "llama",
    "layers": 2,
    "width": 24,
    "tied": True,
    "dropout": 0.0,
    "means": False,
    "double": False,
    "unused": False,
    "init_seed": 1,
    "rows": 21,
    "length": 11,
    "eval_rows": 0,
    "resume": False,
    "kill": None,
    "interrupt": None,
    "fail": None,
    "stop": None,
}


class Disturbs(TrainerCallback):
    """Do something to one process at a step."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked

    def due(self, what: str, step: int) -> bool:
        return self.asked[what] == [RANK, step]

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.due("kill", state.global_step):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.due("interrupt", state.global_step):
            os.kill(os.getppid(), signal.SIGINT)  # torchrun, which tells all
        if self.due("fail", state.global_step):
            raise ZeroDivisionError("a mistake of this process alone")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.due("stop", state.global_step):
            control.should_training_stop = True


def make_model(asked: dict[str, Any]) -> Any:
    """Make a model, the same in each process only if its seed is."""
    torch.manual_seed(asked["init_seed"] + (100 * RANK if asked["init_seed"] > 1 else 0))
    width, layers, rate = asked["width"], asked["layers"], asked["dropout"]
    if asked["family"] == "gpt2":
        sizes = {"vocab_size": 67, "n_embd": width, "n_layer": layers, "n_head": 4}
        rates = {f"{place}_pdrop": rate for place in ("attn", "embd", "resid")}
        config = minilm.GPT2Config(**sizes, n_positions=64, **rates)
        return minilm.GPT2LMHeadModel(config)
    config = minilm.LlamaConfig(
        vocab_size=67,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=asked["tied"],
        attention_dropout=rate,
    )
    return minilm.LlamaForCausalLM(config)


def make_rows(count: int, length: int, seed: int) -> list[dict[str, list[int]]]:
    """Make examples with different numbers of labels, so that a mean of means is wrong."""
    draw = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(count):
        ids = torch.randint(0, 67, (length,), generator=draw).tolist()
        hidden = int(torch.randint(0, length - 3, (1,), generator=draw))
        rows.append({"input_ids": ids, "labels": [*ids[: length - hidden], *[-100] * hidden]})
    return rows


def run(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Train once.

    folder: of the run    given: TrainingArguments, and what OWN has

    Returns what was measured; the main process writes it down as well.
    """
    asked = {name: given.get(name, value) for name, value in OWN.items()}
    given = {name: value for name, value in given.items() if name not in OWN}
    model = make_model(asked)
    if asked["unused"]:
        model.unused = torch.nn.Linear(3, 5)
    if asked["double"]:
        model.double()
    if asked["means"]:
        model.accepts_loss_kwargs = False
    eval_rows = asked["eval_rows"]
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**{"output_dir": str(folder / "run"), **SETTINGS, **given}),
        train_dataset=make_rows(asked["rows"], asked["length"], seed=0),
        eval_dataset=make_rows(eval_rows, asked["length"], seed=5) if eval_rows else None,
        callbacks=[Disturbs(asked)],
        compute_metrics=first_logit if eval_rows else None,
    )
    began = time.perf_counter()
    output = trainer.train(resume_from_checkpoint=asked["resume"])
    seconds = time.perf_counter() - began
    trainer.save_model(str(folder / "model"))
    result = {
        "loss": output.training_loss,
        "steps": output.global_step,
        "tokens": trainer.state.num_input_tokens_seen,
        "tokens_per_second": trainer.state.num_input_tokens_seen / seconds,
        "history": trainer.state.log_history,
        "measured": trainer.evaluate() if eval_rows else {},
    }
    if trainer.is_world_process_zero():
        (folder / "result.json").write_text(json.dumps(result))
    return result


def main() -> None:
    """Train as asked."""
    torch.set_num_threads(1)
    for name, given in json.loads(sys.argv[2]).items():
        run(Path(sys.argv[1]) / name, given)


def first_logit(prediction: Any) -> dict[str, Any]:
    """Weigh the logits of each example by its place, so that order and number of examples matter."""
    logits, labels = prediction
    places = range(1, len(logits) + 1)
    said = sum(place * float(row[0, 0]) for place, row in zip(places, logits, strict=True))
    return {"count": len(labels), "logits": said, "labels": int(labels.sum())}


if __name__ == "__main__":
    main()
