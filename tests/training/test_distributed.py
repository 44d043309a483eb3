"""Two processes that train together do what one does with the same examples."""

from __future__ import annotations

import json
import math
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from minilm import AutoModelForCausalLM
from minilm.errors import InvalidInput
from minilm.training import checkpoints, distributed

SCRIPT = Path(__file__).parent / "scripts" / "train_together.py"
# float32 sums in another order; Adam makes much of the smallest gradients at a high learning rate.
SINGLE, DOUBLE = 1e-6, 1e-10
PATIENCE = 1200  # seconds; on a busy machine the start of two processes takes minutes
MEASURED = ("loss", "grad_norm", "learning_rate", "epoch", "eval_loss", "eval_perplexity")

# One process sees in a batch what two see in two; 21 examples leave the second one with none.
WHOLE = {
    "double": True,
    "gradient_accumulation_steps": 2,
    "num_train_epochs": 2,
    "eval_strategy": "steps",
    "eval_steps": 2,
    "eval_rows": 5,  # three batches: in the last round the second process has none
    "per_device_eval_batch_size": 2,
    "save_strategy": "steps",
    "save_steps": 2,
    "load_best_model_at_end": True,
    "init_seed": 7,  # another one in each process: the main one's weights are everybody's
}
MEANS = {"double": True, "means": True, "family": "gpt2", "gradient_accumulation_steps": 2}
PLAIN = {"learning_rate": 1e-3, "tied": False, "warmup_steps": 2, "rows": 24}
FEW = {"double": True, "rows": 1}
UNUSED = {"double": True, "unused": True}
CHANCE = {"dropout": 0.2, "save_strategy": "steps", "save_steps": 2}
ALONE = {"per_device_train_batch_size": 4, "per_device_eval_batch_size": 4}
DIVIDED = {"fsdp": "full_shard"}
KINDS = {"copies": {}, "divided": DIVIDED}


def start(folder: Path, runs: dict[str, Any]) -> tuple[int, str]:
    """Run the script in two processes; returns its exit code and what it said."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc_per_node", "2", str(SCRIPT), str(folder), json.dumps(runs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)  # torchrun ends those that it started
        said, _ = process.communicate(timeout=60)
        pytest.fail(f"The processes did not end:\n{said}")
    return process.returncode, said


class Runs:
    """What the runs left in their folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        torch.set_num_threads(1)
        self.run = runpy.run_path(str(SCRIPT))["run"]

    def alone(self, name: str, **given: Any) -> None:
        """Train in this process."""
        self.run(self.folder / name, {**ALONE, **given})

    def checkpoint(self, name: str, step: int) -> str:
        return str(self.folder / name / "run" / f"checkpoint-{step}")

    def result(self, name: str) -> Any:
        return json.loads((self.folder / name / "result.json").read_text())

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        return load_file(self.folder / name / "model" / "model.safetensors")

    def difference(self, one: str, other: str) -> float:
        """The largest difference of a weight."""
        a, b = self.weights(one), self.weights(other)
        assert a.keys() == b.keys()
        return max((a[name] - b[name]).abs().max().item() for name in a)

    def measured(self, name: str, last: int | None = None) -> list[list[float]]:
        history = self.result(name)["history"]
        return [[row.get(key, 0.0) for key in MEASURED] for row in history[-(last or 0) :]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Everything that can be trained without being disturbed, in one go: processes start slowly."""
    made = Runs(tmp_path_factory.mktemp("together"))
    same = {"whole": WHOLE, "means": MEANS, "plain": PLAIN, "few": FEW, "unused": UNUSED}
    for name, given in same.items():
        made.alone(name, **given)
    together: dict[str, Any] = {}
    for kind, more in KINDS.items():
        together[f"whole {kind}"] = {**WHOLE, **more}
        together[f"means {kind}"] = {**MEANS, **more}
        together[f"plain {kind}"] = {**PLAIN, **more}
        together[f"few {kind}"] = {**FEW, **more, "per_device_train_batch_size": 1}
        together[f"unused {kind}"] = {**UNUSED, **more, "ddp_find_unused_parameters": True}
        together[f"one then {kind}"] = {**WHOLE, **more, "resume": made.checkpoint("whole", 2)}
    for before, after in (("copies", "divided"), ("divided", "copies")):
        given = {**WHOLE, **KINDS[after], "resume": made.checkpoint(f"whole {before}", 2)}
        together[f"{before} then {after}"] = given
    together["chance"] = CHANCE
    together["chance again"] = {**CHANCE, "resume": made.checkpoint("chance", 2)}
    together["stopped"] = {**WHOLE, "stop": [1, 1]}
    code, said = start(made.folder, together)
    assert code == 0, said
    made.said = said  # type: ignore[attr-defined]
    for kind in KINDS:
        made.alone(f"{kind} then one", **WHOLE, resume=made.checkpoint(f"whole {kind}", 2))
    yield made


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_end_with_the_weights_of_one(runs: Runs, kind: str) -> None:
    assert runs.difference("whole", f"whole {kind}") < DOUBLE
    assert runs.difference("plain", f"plain {kind}") < SINGLE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["whole", "plain"])
def test_two_processes_report_what_one_does(runs: Runs, name: str, kind: str) -> None:
    assert any(row[1] > 1 for row in runs.measured(name)), "no gradient is clipped"
    torch.testing.assert_close(
        torch.tensor(runs.measured(name)),
        torch.tensor(runs.measured(f"{name} {kind}")),
        rtol=0,
        atol=SINGLE * (70 if name == "whole" else 1),  # perplexities are around 70
    )
    one, two = runs.result(name), runs.result(f"{name} {kind}")
    assert (one["steps"], one["tokens"]) == (two["steps"], two["tokens"])
    assert math.isclose(one["loss"], two["loss"], rel_tol=SINGLE)


@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_counts_each_example_once_and_in_order(runs: Runs, kind: str) -> None:
    one, two = runs.result("whole")["measured"], runs.result(f"whole {kind}")["measured"]
    assert one["eval_count"] == two["eval_count"] == 5
    assert one["eval_labels"] == two["eval_labels"]
    assert math.isclose(one["eval_logits"], two["eval_logits"], rel_tol=DOUBLE)
    assert math.isclose(one["eval_loss"], two["eval_loss"], rel_tol=SINGLE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_gives_means_is_weighed_by_its_labels(runs: Runs, kind: str) -> None:
    assert runs.difference("means", f"means {kind}") < DOUBLE


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_without_any_example_changes_nothing(runs: Runs, kind: str) -> None:
    assert runs.difference("few", f"few {kind}") < DOUBLE


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_not_used_stay_as_they_are(runs: Runs, kind: str) -> None:
    assert runs.difference("unused", f"unused {kind}") < DOUBLE


@pytest.mark.parametrize(
    "name",
    [
        "one then copies",
        "one then divided",
        "copies then one",
        "divided then one",
        "copies then divided",
        "divided then copies",
    ],
)
def test_a_run_goes_on_with_another_number_or_kind_of_processes(runs: Runs, name: str) -> None:
    assert runs.difference("whole", name) < DOUBLE
    torch.testing.assert_close(
        torch.tensor(runs.measured("whole", last=3)),
        torch.tensor(runs.measured(name, last=3)),
        rtol=0,
        atol=70 * SINGLE,
    )


def test_each_process_goes_on_with_its_own_chances(runs: Runs) -> None:
    assert runs.difference("chance", "chance again") == 0.0
    states = [
        torch.load(Path(runs.checkpoint("chance", 2)) / f"rng_state_{rank}.pth")["cpu"]
        for rank in (0, 1)
    ]
    assert not torch.equal(*states)


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_is_whole_and_loads_anywhere(runs: Runs, kind: str) -> None:
    folder = Path(runs.checkpoint(f"whole {kind}", 4))
    one = Path(runs.checkpoint("whole", 4))
    more = {"rng_state_0.pth", "rng_state_1.pth"}
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in one.iterdir()} - {"rng_state.pth"} | more
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.architectures == ["LlamaForCausalLM"]
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    states = [torch.load(each / "optimizer.pt", weights_only=True) for each in (one, folder)]
    assert states[0]["param_groups"] == states[1]["param_groups"]
    for place, state in states[0]["state"].items():
        for name, value in state.items():
            torch.testing.assert_close(value, states[1]["state"][place][name], rtol=0, atol=DOUBLE)


def test_what_one_process_wishes_all_do(runs: Runs) -> None:
    assert runs.result("stopped")["steps"] == 1


def test_nobody_says_anything(runs: Runs) -> None:
    assert not runs.said.strip(), runs.said  # type: ignore[attr-defined]


LONG = {"save_strategy": "steps", "save_steps": 2, "rows": 40, "double": True}


@pytest.mark.parametrize(("kind", "rank"), [("copies", 1), ("divided", 0)])
def test_a_killed_process_ends_the_run_with_one_clear_word(
    tmp_path: Path, kind: str, rank: int
) -> None:
    code, said = start(tmp_path, {"killed": {**LONG, **KINDS[kind], "kill": [rank, 5]}})
    assert code != 0
    words = [line for line in said.splitlines() if line.startswith("Process ")]
    assert len(words) == 1 and words[0].startswith(f"Process {1 - rank} of 2 stops"), said
    newest = checkpoints.newest_checkpoint(tmp_path / "killed" / "run")
    assert newest is not None and newest.endswith("checkpoint-4") and newest in words[0]
    assert "Traceback" not in said.split("torch/distributed/elastic")[0]
    left = Runs(tmp_path)
    left.alone("undisturbed", **LONG)
    left.alone("resumed", **LONG, resume=newest)
    assert left.difference("undisturbed", "resumed") < DOUBLE


def test_ctrl_c_leaves_a_checkpoint_of_all_processes(tmp_path: Path) -> None:
    given = {"save_strategy": "epoch", "rows": 4000, "logging_steps": 1000, "interrupt": [1, 5]}
    code, said = start(tmp_path, {"stopped": given})
    assert code != 0
    newest = checkpoints.newest_checkpoint(tmp_path / "stopped" / "run")
    assert newest is not None, said
    assert said.count("Finishing this step") == 1
    assert said.count(f"'{newest}' is whole") == 1
    assert "Traceback" not in said.split("torch/distributed/elastic")[-1].split(newest)[0]
    assert checkpoints.read_state(newest).global_step < 1000


TOLD = {
    "RANK": "0",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "1",
}


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"RANK": None}, "RANK not"),
        ({"MASTER_ADDR": None, "MASTER_PORT": None}, "MASTER_ADDR and MASTER_PORT not"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE='two'"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE='0'"),
        ({"RANK": "2"}, "RANK='2'.*from 0 to 1"),
    ],
)
def test_what_torchrun_did_not_say_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, arguments: Any, wrong: dict[str, Any], word: str
) -> None:
    for name, value in {**TOLD, **wrong}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput, match=word):
        distributed.join(arguments())


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"ddp_backend": "nccl"}, "on a CPU it is 'gloo'"),
        ({"average_tokens_across_devices": False}, "average_tokens_across_devices"),
    ],
)
def test_arguments_that_fit_no_two_processes_are_refused(
    monkeypatch: pytest.MonkeyPatch, arguments: Any, given: dict[str, Any], word: str
) -> None:
    for name, value in TOLD.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput, match=word):
        distributed.join(arguments(**given))


def test_torchrun_with_one_process_is_one_process(
    monkeypatch: pytest.MonkeyPatch, arguments: Any
) -> None:
    for name, value in {**TOLD, "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    world = distributed.join(arguments())
    assert world.size == 1 and world.is_main and not torch.distributed.is_initialized()


def test_a_group_is_left_when_its_threads_have_had_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    monkeypatch.setattr(distributed.time, "sleep", lambda seconds: done.append("waited"))
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: done.append("left"))
    for there in (False, True):
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda there=there: there)
        distributed._leave()
    assert done == ["waited", "left"]


def test_one_process_has_nothing_to_divide(trainer: Any, same_weights: Any) -> None:
    runs = [trainer(), trainer(fsdp="full_shard")]
    for run in runs:
        run.train()
    assert same_weights(runs[0].model, runs[1].model) == 0.0
