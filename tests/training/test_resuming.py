"""A run that was interrupted ends as one that never was."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minilm import AutoConfig, AutoModelForCausalLM
from minilm.errors import FileProblem, InvalidInput, WrongType
from minilm.training import checkpoints, collators
from minilm.training.callbacks import EarlyStoppingCallback, TrainerCallback

SAVING = {"save_strategy": "steps", "save_steps": 3, "num_train_epochs": 3}


class StopsAt(TrainerCallback):
    """Break a run off behind a step, as an error would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise ZeroDivisionError


def by_chance(examples: list[Any]) -> dict[str, torch.Tensor]:
    """Hide labels by all three generators: batches that are read ahead draw as well."""
    batch = collators.default_data_collator(examples)
    share = 0.2 + 0.1 * random.random() + 0.1 * np.random.rand()
    hidden = torch.rand(batch["labels"].shape) < share
    return {**batch, "labels": batch["labels"].masked_fill(hidden, -100)}


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("stop", [4, 6, 7, 8])
def test_a_resumed_run_gives_the_same_weights_and_the_same_log(
    trainer: Any,
    small_model: Any,
    same_weights: Any,
    measured: Any,
    tmp_path: Path,
    accumulation: int,
    stop: int,
) -> None:
    given = {
        **SAVING,
        "data_collator": by_chance,
        "gradient_accumulation_steps": accumulation,
        "logging_steps": 4,
        "warmup_steps": 2,
        "eval_strategy": "epoch",
        "save_total_limit": 2,
    }

    def make(name: str, *callbacks: Any) -> Any:
        where = str(tmp_path / name)
        model = small_model(dropout=0.2)
        return trainer(model=model, output_dir=where, callbacks=list(callbacks), **given)

    whole = make("whole")
    whole.train()
    with pytest.raises(ZeroDivisionError):
        make("broken", StopsAt(stop)).train()
    random.seed(5)
    torch.manual_seed(99)
    resumed = make("broken")
    resumed.train(resume_from_checkpoint=True)
    assert same_weights(whole.model, resumed.model) == 0.0
    assert measured(whole) == measured(resumed)
    logs = [_without_times(tmp_path / name / "log.jsonl") for name in ("whole", "broken")]
    assert logs[0] == logs[1]


def _without_times(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if "second" not in k and "runtime" not in k}
        for line in lines
    ]


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "tied llama"])
def test_every_family_is_resumed(trainer: Any, same_weights: Any, family: str) -> None:
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    sizes |= {"vocab_size": 67, "tie_word_embeddings": family != "gpt_neox"}

    def make() -> Any:
        torch.manual_seed(0)
        config = AutoConfig.for_model(family.split()[-1], **sizes, bos_token_id=1, eos_token_id=2)
        return AutoModelForCausalLM.from_config(config)

    whole = trainer(model=make(), **SAVING)
    whole.train()
    resumed = trainer(model=make(), **SAVING)
    resumed.train(resume_from_checkpoint=whole.args.output_dir + "/checkpoint-9")
    assert same_weights(whole.model, resumed.model) == 0.0


@pytest.mark.parametrize("strategy", ["steps", "epoch"])
def test_a_checkpoint_at_the_end_of_an_epoch_is_resumed_exactly(
    trainer: Any, small_model: Any, same_weights: Any, measured: Any, tmp_path: Path, strategy: str
) -> None:
    # 23 examples are 6 steps: step 6 is saved before, or after, the evaluation that ends the epoch.
    given = {**SAVING, "save_strategy": strategy, "eval_strategy": "epoch"}
    whole = trainer(model=small_model(dropout=0.2), output_dir=str(tmp_path / "a"), **given)
    whole.train()
    resumed = trainer(model=small_model(dropout=0.2), output_dir=str(tmp_path / "b"), **given)
    resumed.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-6"))
    assert same_weights(whole.model, resumed.model) == 0.0
    assert measured(whole) == measured(resumed)


def test_workers_that_read_the_data_change_nothing(
    trainer: Any, small_model: Any, same_weights: Any, tmp_path: Path
) -> None:
    given = {**SAVING, "num_train_epochs": 1}
    alone = trainer(model=small_model(dropout=0.2), output_dir=str(tmp_path / "a"), **given)
    alone.train()
    helped = trainer(
        model=small_model(dropout=0.2),
        output_dir=str(tmp_path / "b"),
        dataloader_num_workers=2,
        **given,
    )
    helped.train()
    assert same_weights(alone.model, helped.model) == 0.0
    resumed = trainer(
        model=small_model(dropout=0.2),
        output_dir=str(tmp_path / "c"),
        dataloader_num_workers=2,
        **given,
    )
    resumed.train(resume_from_checkpoint=str(tmp_path / "b" / "checkpoint-3"))
    assert same_weights(alone.model, resumed.model) == 0.0


def test_a_checkpoint_is_a_model_that_minilm_and_transformers_load(
    trainer: Any, same_weights: Any, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    run = trainer(**SAVING)
    run.train()
    folder = tmp_path / "run" / "checkpoint-18"
    assert same_weights(run.model, AutoModelForCausalLM.from_pretrained(folder)) == 0.0
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ours, others = run.model.state_dict(), theirs.state_dict()
    assert all(torch.equal(ours[name], others[name]) for name in ours)
    assert run.model.config.use_cache is True


def test_the_tokenizer_lies_beside_the_model(trainer: Any, tmp_path: Path) -> None:
    class Tokenizer:
        def save_pretrained(self, folder: str) -> None:
            (Path(folder) / "tokenizer.json").write_text("{}")

    run = trainer(processing_class=Tokenizer(), max_steps=3, **SAVING)
    run.train()
    run.save_model(str(tmp_path / "out"))
    assert (tmp_path / "run/checkpoint-3/tokenizer.json").exists()
    assert (tmp_path / "out/tokenizer.json").exists()


def test_nothing_in_a_checkpoint_runs_code_when_it_is_loaded(trainer: Any, tmp_path: Path) -> None:
    trainer(**SAVING).train()
    folder = tmp_path / "run" / "checkpoint-3"
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "run_rng.pth"):
        torch.load(folder / name, weights_only=True)
    evil = {"state": _Evil(str(tmp_path / "ran"))}
    torch.save(evil, folder / "optimizer.pt")
    with pytest.raises(FileProblem, match=r"optimizer\.pt"):
        trainer(**SAVING).train(resume_from_checkpoint=str(folder))
    assert not (tmp_path / "ran").exists()


class _Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_the_newest_complete_checkpoint_is_found(trainer: Any, tmp_path: Path) -> None:
    trainer(**SAVING).train()
    run = tmp_path / "run"
    assert checkpoints.newest_checkpoint(run) == str(run / "checkpoint-18")
    (run / "checkpoint-18" / "trainer_state.json").write_text('{"global_step": 1')
    assert checkpoints.newest_checkpoint(run) == str(run / "checkpoint-15")
    (run / "checkpoint-15" / "model.safetensors").unlink()
    assert checkpoints.newest_checkpoint(run) == str(run / "checkpoint-12")


def test_a_new_run_does_not_take_an_older_ones_checkpoints_for_its_own(
    trainer: Any, tmp_path: Path
) -> None:
    trainer(**SAVING).train()
    trainer(**SAVING, max_steps=4).train()
    # checkpoint-18 is there still, with a higher number, and it is not of this run.
    run = tmp_path / "run"
    assert (run / "checkpoint-18").exists()
    assert checkpoints.newest_checkpoint(run) == str(run / "checkpoint-4")


def test_a_moved_folder_is_resumed_with_its_best_checkpoint(trainer: Any, tmp_path: Path) -> None:
    given = {**SAVING, "eval_strategy": "steps", "eval_steps": 3, "load_best_model_at_end": True}
    trainer(**given, output_dir=str(tmp_path / "a")).train()
    shutil.move(tmp_path / "a", tmp_path / "b")
    moved = trainer(**given, output_dir=str(tmp_path / "b"))
    moved.train(resume_from_checkpoint=True)
    best = moved.state.best_model_checkpoint
    assert best is not None and Path(best).parent == tmp_path / "b"


def test_going_on_with_other_data_is_refused(trainer: Any, rows: Any) -> None:
    trainer(**SAVING).train()
    with pytest.raises(InvalidInput, match="had 23"):
        trainer(**SAVING, train_dataset=rows(20)).train(resume_from_checkpoint=True)
    with pytest.raises(InvalidInput, match="a step takes 8 examples, and took 4"):
        trainer(**SAVING, gradient_accumulation_steps=2).train(resume_from_checkpoint=True)
    trainer(**SAVING, train_dataset=rows(20), ignore_data_skip=True).train(
        resume_from_checkpoint=True
    )


@pytest.mark.parametrize("other", ["kind", "weights"])
def test_the_state_of_another_optimizer_is_refused(trainer: Any, rows: Any, other: str) -> None:
    trainer(save_strategy="steps", save_steps=2).train()
    if other == "kind":
        second, word = trainer(optim="sgd"), "says nothing of"
    else:
        second, word = trainer(), "weights in its groups"
        next(second.model.parameters()).requires_grad_(False)
    with pytest.raises(InvalidInput, match=word):
        second.train(resume_from_checkpoint=True)


def test_a_longer_run_goes_on_where_a_finished_one_ended(trainer: Any) -> None:
    trainer(**SAVING).train()
    longer = trainer(**{**SAVING, "num_train_epochs": 4})
    assert longer.train(resume_from_checkpoint=True).global_step == 24
    assert longer.state.epoch == 4.0


@pytest.mark.parametrize("damage", ["model.safetensors", "optimizer.pt", "rng_state.pth"])
def test_a_damaged_file_is_named(trainer: Any, tmp_path: Path, damage: str) -> None:
    trainer(**SAVING).train()
    path = tmp_path / "run" / "checkpoint-18" / damage
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileProblem, match=damage):
        trainer(**SAVING).train(resume_from_checkpoint=True)


@pytest.mark.parametrize("damage", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_an_empty_file_is_named(trainer: Any, tmp_path: Path, damage: str) -> None:
    trainer(**SAVING).train()
    (tmp_path / "run" / "checkpoint-18" / damage).write_bytes(b"")
    with pytest.raises(FileProblem, match=f"{damage}' cannot be read"):
        trainer(**SAVING).train(resume_from_checkpoint=True)


# File of the newest checkpoint → what is done to it, and what the error says of that.
WRONG: dict[str, list[tuple[Any, str]]] = {
    "trainer_state.json": [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("\udcff", "is no JSON"),
        ("[1]", r"holds \[1\], where an object belongs"),
        ({"global_step": "18"}, "says global_step = '18', where a whole number from 0 belongs"),
        ({"global_step": True}, "says global_step = True"),
        ({"global_step": -3}, "says global_step = -3"),
        ({"global_step": 18.5}, "says global_step = 18.5"),
        ({"log_history": {}}, "says log_history = {}, where a list belongs"),
        ({"log_history": [3]}, r"says log_history = \[3\]"),
        ({"num_input_tokens_seen": "many"}, "says num_input_tokens_seen"),
        ({"num_input_tokens_seen": 10**300}, "says num_input_tokens_seen"),
        ({"best_metric": "low"}, "says best_metric = 'low', where a finite number or null belongs"),
        ({"best_model_checkpoint": 3}, "says best_model_checkpoint = 3, where a text or null"),
        ({"stateful_callbacks": []}, "says stateful_callbacks"),
        (
            {"stateful_callbacks": {"EarlyStoppingCallback": 3}},
            "says of EarlyStoppingCallback 3",
        ),
        (
            {"stateful_callbacks": {"EarlyStoppingCallback": {"attributes": [3]}}},
            r"says of EarlyStoppingCallback \[3\]",
        ),
        (
            {
                "stateful_callbacks": {
                    "EarlyStoppingCallback": {
                        "attributes": {"early_stopping_patience_counter": "two"}
                    }
                }
            },
            "says early_stopping_patience_counter = 'two'",
        ),
    ],
    "run.json": [
        ("{", "is no JSON"),
        ("3", "holds 3, where an object belongs"),
        ({"log_lines": "12"}, "says log_lines = '12', where a whole number from 0 belongs"),
        ({"log_lines": -1}, "says log_lines = -1"),
        ({"log_lines": None}, "says log_lines = None"),
        ({"loss": "2.5"}, "says loss = '2.5', where a finite number belongs"),
        ({"loss": float("nan")}, "says loss = nan"),
        ({"loss": 10**400}, "says loss = 1000"),
        ({"last_logged": 2.5}, "says last_logged = 2.5"),
        ({"total_loss": []}, r"says total_loss = \[\]"),
        ({"first_counted": None}, "says first_counted"),
        ({"grad_norm": "1"}, "says grad_norm = '1', where a finite number or null belongs"),
        ({"grad_norm": float("inf")}, "says grad_norm = inf"),
        ({"seconds": "long"}, "says seconds"),
        ({"epoch_ended": "no"}, "says epoch_ended = 'no', where true or false belongs"),
        ({"stopped": 1}, "says stopped = 1"),
        ({"examples": "23"}, "says examples = '23'"),
        ({"began": "today"}, "says began"),
    ],
    "optimizer.pt": [
        (lambda found: 3, "holds no state of an optimizer, but 3"),
        (lambda found: [found], "holds no state of an optimizer"),
        (lambda found: {"state": found["state"]}, "holds no state of an optimizer"),
        (lambda found: {**found, "param_groups": []}, "holds no state of an optimizer"),
        (lambda found: {**found, "param_groups": [3]}, "holds no state of an optimizer"),
        (lambda found: {**found, "state": [3]}, "holds no state of an optimizer"),
        (lambda found: {**found, "state": {0: 3}}, "speaks of a weight 0"),
        (lambda found: {**found, "state": {"a": {}}}, "speaks of a weight 'a'; there are 21"),
        (lambda found: {**found, "state": {99: {}}}, "speaks of a weight 99"),
        (lambda found: _put(found, "exp_avg", torch.zeros(3)), r"its exp_avg is of shape \(3,\)"),
        (lambda found: _put(found, "exp_avg_sq", 3), "its exp_avg_sq is of shape int"),
        (lambda found: _put(found, "exp_avg", None), "its exp_avg is missing"),
        (lambda found: _put(found, "step", None), "its step is missing"),
        (lambda found: _put(found, "step", torch.ones(2)), r"its step is of shape \(2,\)"),
        (lambda found: _set(found, "lr", "high"), "says lr = 'high'"),
        (lambda found: _set(found, "betas", (0.9,)), r"says betas = \(0.9,\)"),
        (lambda found: _set(found, "weight_decay", None), "says weight_decay = None"),
    ],
    "scheduler.pt": [
        (lambda found: [3], r"holds no state of a schedule, but \[3\]"),
        (lambda found: {}, "does not say last_epoch"),
        (lambda found: {**found, "last_epoch": "18"}, "says last_epoch = '18'"),
        (lambda found: {**found, "base_lrs": 3}, "says base_lrs = 3"),
        (lambda found: {**found, "base_lrs": ["a", "b"]}, "says base_lrs"),
        (lambda found: {**found, "base_lrs": [0.1]}, "says base_lrs"),
        (lambda found: {**found, "lr_lambdas": [3, 3]}, "cannot be taken over"),
        (lambda found: {k: v for k, v in found.items() if k != "lr_lambdas"}, "lr_lambdas"),
    ],
    "rng_state.pth": [
        (lambda found: 3, "holds no state of random generators"),
        (lambda found: {}, "holds no state of random generators"),
        (lambda found: {**found, "python": "now"}, "holds no state of random generators"),
        (lambda found: {**found, "numpy": (1, 2)}, "holds no state of random generators"),
        (lambda found: {**found, "cpu": torch.zeros(3)}, "holds no state of random generators"),
    ],
    "run_rng.pth": [
        (lambda found: {}, "holds no list of states"),
        (lambda found: [3], "holds no state of random generators"),
    ],
}


def _put(found: Any, name: str, value: Any) -> Any:
    """Another value for what an optimizer keeps of its first weight."""
    found["state"][0][name] = value
    return found


def _set(found: Any, name: str, value: Any) -> Any:
    """Another value for a setting of an optimizer's first group."""
    found["param_groups"][0][name] = value
    return found


@pytest.mark.parametrize("name", WRONG)
def test_what_a_file_of_a_checkpoint_cannot_hold_is_named_with_a_way_out(
    trainer: Any, tmp_path: Path, name: str
) -> None:
    given = {**SAVING, "eval_strategy": "epoch", "metric_for_best_model": "loss"}

    def make() -> Any:
        return trainer(**given, callbacks=[EarlyStoppingCallback(5)])

    make().train()
    path = tmp_path / "run" / "checkpoint-15" / name
    before = path.read_bytes()
    for change, said in WRONG[name]:
        if isinstance(change, str):
            path.write_text(change, errors="surrogateescape")
        elif isinstance(change, dict):
            path.write_text(json.dumps({**json.loads(before), **change}))
        else:
            path.write_bytes(before)
            torch.save(change(torch.load(path)), path)
        with pytest.raises(FileProblem, match=said) as problem:
            make().train(resume_from_checkpoint=str(path.parent))
        assert f"'{path}'" in str(problem.value), change
        assert "remove its folder, and go on from the one before it" in str(problem.value)
    shutil.rmtree(path.parent)
    shutil.rmtree(tmp_path / "run" / "checkpoint-18")
    assert make().train(resume_from_checkpoint=True).global_step == 18


def test_a_checkpoint_of_which_nobody_knows_when_its_run_began_is_as_old_as_its_folder(
    trainer: Any, tmp_path: Path
) -> None:
    trainer(**SAVING).train()
    folder = tmp_path / "run" / "checkpoint-9"
    for began in ("NaN", "1e999", "1" + "0" * 400, '"today"', "[" * 100_000):
        (folder / "run.json").write_text(f'{{"began": {began}}}')
        os.utime(folder, (10, 10))
        assert checkpoints.find_checkpoints(tmp_path / "run")[0].path == folder, began


def test_a_run_of_transformers_goes_on_and_the_log_keeps_what_came_before(
    trainer: Any, tmp_path: Path
) -> None:
    trainer(**SAVING).train()
    folder = tmp_path / "run" / "checkpoint-9"
    (folder / "run.json").unlink()
    (folder / "run_rng.pth").unlink()
    log = tmp_path / "run" / "log.jsonl"
    before = log.read_text().splitlines()
    log.write_text("a note that somebody made\n" + log.read_text())
    trainer(**SAVING).train(resume_from_checkpoint=str(folder))
    after = log.read_text().splitlines()
    assert after[:10] == ["a note that somebody made", *before[:9]]
    assert [json.loads(line)["step"] for line in after[1:]] == [*range(1, 19), 18]
    # From here on it is counted how many lines there are.
    trainer(**SAVING).train(resume_from_checkpoint=True)
    assert log.read_text().splitlines()[:-1] == after[:-1]


def test_a_checkpoint_is_given_by_its_folder(trainer: Any) -> None:
    with pytest.raises(WrongType, match="a checkpoint's folder"):
        trainer(**SAVING).train(resume_from_checkpoint=18)


def test_another_models_checkpoint_is_refused(
    trainer: Any, small_model: Any, tmp_path: Path
) -> None:
    trainer(**SAVING).train()
    with pytest.raises(FileProblem, match="another model"):
        trainer(**SAVING, model=small_model(family="gpt2")).train(resume_from_checkpoint=True)


@pytest.mark.parametrize(
    ("given", "word"), [(True, "no complete checkpoint"), ("nowhere", "no checkpoint 'nowhere'")]
)
def test_where_there_is_no_checkpoint_it_says_so(trainer: Any, given: Any, word: str) -> None:
    with pytest.raises(FileProblem, match=word):
        trainer(**SAVING).train(resume_from_checkpoint=given)


def test_old_checkpoints_go_and_the_newest_and_the_best_stay(trainer: Any, tmp_path: Path) -> None:
    losses = iter([5.0, 1.0, 3.0, 4.0, 2.5, 2.0])
    given = {**SAVING, "eval_strategy": "steps", "eval_steps": 3, "metric_for_best_model": "score"}
    run = trainer(
        **given,
        greater_is_better=False,
        save_total_limit=2,
        load_best_model_at_end=True,
        compute_metrics=lambda prediction: {"score": next(losses)},
    )
    run.train()
    left = sorted(path.name for path in (tmp_path / "run").glob("checkpoint-*"))
    assert left == ["checkpoint-18", "checkpoint-6"]
    assert run.state.best_metric == 1.0 and run.state.best_global_step == 6


def test_the_best_model_is_there_in_the_end(
    trainer: Any, same_weights: Any, tmp_path: Path
) -> None:
    losses = iter([5.0, 1.0, 3.0, 4.0, 2.5, 2.0])
    given = {**SAVING, "eval_strategy": "steps", "eval_steps": 3, "metric_for_best_model": "score"}
    run = trainer(
        **given,
        greater_is_better=False,
        load_best_model_at_end=True,
        compute_metrics=lambda prediction: {"score": next(losses)},
    )
    run.train()
    best = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "checkpoint-6")
    assert same_weights(run.model, best) == 0.0


def test_only_what_is_best_is_saved_if_asked(trainer: Any, tmp_path: Path) -> None:
    scores = iter([1.0, 3.0, 2.0, 4.0, 0.0, 0.0])
    trainer(
        save_strategy="best",
        eval_strategy="steps",
        eval_steps=3,
        num_train_epochs=3,
        metric_for_best_model="score",
        compute_metrics=lambda prediction: {"score": next(scores)},
    ).train()
    left = {path.name for path in (tmp_path / "run").glob("checkpoint-*")}
    assert left == {"checkpoint-3", "checkpoint-6", "checkpoint-12"}


def test_early_stopping_counts_on_over_an_interruption(trainer: Any, tmp_path: Path) -> None:
    # Better, worse, worse, worse: patience 3 ends at the fourth evaluation, step 12.
    given = {**SAVING, "eval_strategy": "steps", "eval_steps": 3, "metric_for_best_model": "score"}
    given |= {"greater_is_better": False, "load_best_model_at_end": True}
    scores = [1.0, 2.0, 3.0, 4.0, 0.5, 0.4]

    def make(of: Any, *callbacks: Any) -> Any:
        return trainer(
            **given,
            compute_metrics=lambda prediction: {"score": next(of)},
            callbacks=[EarlyStoppingCallback(3), *callbacks],
        )

    whole = make(iter(scores))
    whole.train()
    assert whole.state.global_step == 12
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(ZeroDivisionError):
        make(iter(scores), StopsAt(8)).train()
    resumed = make(iter(scores[2:]))
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 12
    # A run that stopped early has stopped, also when it is resumed.
    assert make(iter([])).train(resume_from_checkpoint=True).global_step == 12


class Interrupts(TrainerCallback):
    """Press Ctrl-C in the middle of something."""

    def __init__(self, step: int, event: str = "on_step_begin", times: int = 1) -> None:
        self.step, self.times = step, times
        setattr(self, event, self.press)

    def press(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("event", ["on_step_begin", "on_prediction_step", "on_epoch_end"])
def test_ctrl_c_leaves_a_checkpoint_to_go_on_from(
    trainer: Any, small_model: Any, same_weights: Any, tmp_path: Path, event: str, capsys: Any
) -> None:
    given = {"save_strategy": "epoch", "num_train_epochs": 3, "eval_strategy": "epoch"}
    whole = trainer(model=small_model(dropout=0.2), output_dir=str(tmp_path / "whole"), **given)
    whole.train()
    before = signal.getsignal(signal.SIGINT)
    step = 8 if event == "on_step_begin" else 12
    with pytest.raises(KeyboardInterrupt, match="checkpoint-"):
        trainer(
            model=small_model(dropout=0.2), callbacks=[Interrupts(step, event)], **given
        ).train()
    assert signal.getsignal(signal.SIGINT) is before
    assert "Finishing this step" in capsys.readouterr().out
    newest = checkpoints.newest_checkpoint(tmp_path / "run")
    assert newest == str(tmp_path / "run" / f"checkpoint-{9 if step == 8 else 12}")
    resumed = trainer(model=small_model(dropout=0.2), **given)
    resumed.train(resume_from_checkpoint=True)
    assert same_weights(whole.model, resumed.model) == 0.0


def test_a_second_ctrl_c_stops_at_once(trainer: Any) -> None:
    with pytest.raises(KeyboardInterrupt) as stopped:
        trainer(callbacks=[Interrupts(4, times=2)], **SAVING).train()
    assert not str(stopped.value)


def test_ctrl_c_saves_nothing_where_nothing_is_to_be_saved(trainer: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="nothing was saved"):
        trainer(callbacks=[Interrupts(4)]).train()
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_ctrl_c_before_the_first_step_ends_a_run_that_measures_first(trainer: Any) -> None:
    with pytest.raises(KeyboardInterrupt, match="before its first step"):
        trainer(
            callbacks=[Interrupts(0, "on_prediction_step")], eval_on_start=True, **SAVING
        ).train()


def test_the_log_that_ends_an_epoch_is_written_by_the_run_that_goes_on(
    trainer: Any, same_weights: Any, measured: Any, tmp_path: Path
) -> None:
    given = {**SAVING, "logging_strategy": "epoch"}
    whole = trainer(output_dir=str(tmp_path / "a"), **given)
    whole.train()
    resumed = trainer(output_dir=str(tmp_path / "b"), **given)
    resumed.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-6"))
    assert same_weights(whole.model, resumed.model) == 0.0
    assert measured(whole) == measured(resumed)


def test_ctrl_c_in_the_last_step_of_an_epoch_leaves_what_ends_it_to_be_done(
    trainer: Any, same_weights: Any, measured: Any, tmp_path: Path
) -> None:
    given = {"save_strategy": "epoch", "num_train_epochs": 3, "eval_strategy": "epoch"}
    whole = trainer(output_dir=str(tmp_path / "whole"), **given)
    whole.train()
    with pytest.raises(KeyboardInterrupt, match="checkpoint-6"):
        trainer(callbacks=[Interrupts(5)], **given).train()
    resumed = trainer(**given)
    resumed.train(resume_from_checkpoint=True)
    assert same_weights(whole.model, resumed.model) == 0.0
    assert measured(whole) == measured(resumed)
