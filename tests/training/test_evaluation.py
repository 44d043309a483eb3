"""Evaluation: a mean over labels, perplexity, predictions, other heads, and what is logged."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from minilm.errors import InvalidInput
from minilm.training.callbacks import EarlyStoppingCallback, TrainerCallback
from minilm.training.collators import DataCollatorForLanguageModeling
from minilm.training.trainer import Trainer

TOLERANCE = 1e-6


class Pads:
    """As much of a tokenizer as padding needs."""

    pad_token_id, padding_side = 0, "right"
    pad = None  # bare rows are padded without it


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("batch_size", [1, 2, 4, 9])
def test_the_loss_is_a_mean_over_labels_however_the_batches_are_cut(
    trainer: Any, small_model: Any, family: str, batch_size: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    texts = [torch.randint(1, 60, (length,), generator=generator) for length in (3, 11, 5, 2, 9)]
    model = small_model(family=family).eval()
    total = count = 0.0
    with torch.no_grad():
        for ids in texts:
            total += model(input_ids=ids[None], labels=ids[None]).loss.item() * (len(ids) - 1)
            count += len(ids) - 1
    metrics = trainer(
        model=model,
        eval_dataset=texts,
        data_collator=DataCollatorForLanguageModeling(Pads(), mlm=False),
        per_device_eval_batch_size=batch_size,
    ).evaluate()
    assert metrics["eval_loss"] == pytest.approx(total / count, abs=TOLERANCE)
    assert metrics["eval_perplexity"] == pytest.approx(math.exp(total / count), rel=1e-5)


def test_a_batch_in_which_nothing_is_judged_counts_nothing(trainer: Any, rows: Any) -> None:
    data = rows(4)
    silent = {**data[0], "labels": [-100] * 11}
    alone = trainer(eval_dataset=data, per_device_eval_batch_size=1).evaluate()
    among = trainer(eval_dataset=[*data, silent], per_device_eval_batch_size=1).evaluate()
    assert among["eval_loss"] == alone["eval_loss"]


def test_an_evaluation_leaves_no_example_out(trainer: Any, rows: Any) -> None:
    given = {"eval_dataset": rows(9, 5), "per_device_eval_batch_size": 4}
    found = [trainer(dataloader_drop_last=drops, **given).evaluate() for drops in (False, True)]
    assert found[0]["eval_loss"] == found[1]["eval_loss"]


def test_several_datasets_are_measured_each(trainer: Any, rows: Any) -> None:
    datasets = {"one": rows(5, 1), "two": rows(6, 2)}
    run = trainer(eval_dataset=datasets)
    metrics = run.evaluate()
    assert metrics["eval_one_loss"] != metrics["eval_two_loss"]
    assert run.evaluate("one")["eval_one_loss"] == metrics["eval_one_loss"]


def test_compute_metrics_gets_all_logits_and_labels(trainer: Any, rows: Any) -> None:
    seen = {}

    def metrics(prediction: Any) -> dict[str, Any]:
        logits, labels = prediction
        seen.update(logits=logits, labels=labels)
        return {"right": np.float32((logits.argmax(-1)[:, :-1] == labels[:, 1:]).mean())}

    data = [*rows(5), *rows(4, length=7)]
    result = trainer(
        eval_dataset=data, compute_metrics=metrics, per_device_eval_batch_size=5
    ).evaluate()
    assert seen["logits"].shape == (9, 11, 67) and seen["labels"].shape == (9, 11)
    assert (seen["labels"][5:, 7:] == -100).all()
    assert isinstance(result["eval_right"], float)


def test_predict_returns_predictions_with_and_without_labels(trainer: Any, rows: Any) -> None:
    run = trainer()
    output = run.predict(rows(5))
    assert output.predictions.shape == (5, 11, 67) and output.label_ids.shape == (5, 11)
    assert "test_loss" in output.metrics and output[2] is output.metrics
    bare = run.predict([{"input_ids": row["input_ids"]} for row in rows(5)])
    assert np.array_equal(bare.predictions, output.predictions) and bare.label_ids is None
    assert "test_loss" not in bare.metrics


def test_an_evaluation_leaves_the_model_as_it_was(trainer: Any) -> None:
    run = trainer()
    run.model.train()
    run.evaluate()
    assert run.model.training
    run.model.eval()
    run.evaluate()
    assert not run.model.training


class Classifier(nn.Module):
    """A head that is not a language model's: one label for each text, and a mean as its loss."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(67, width)
        self.head = nn.Linear(width, 3)

    def forward(self, input_ids: Any, attention_mask: Any = None, labels: Any = None) -> Any:
        logits = self.head(self.embed(input_ids).mean(1))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits} if loss is not None else {"logits": logits}


def labelled(count: int) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 67, (count, 6), generator=generator).tolist()
    return [{"input_ids": row, "label": sum(row) % 3} for row in ids]


def test_a_classifier_trains_and_is_measured(trainer: Any) -> None:
    data = labelled(11)
    run = trainer(
        model=Classifier(),
        train_dataset=data,
        eval_dataset=data,
        num_train_epochs=30,
        learning_rate=0.05,
        per_device_eval_batch_size=4,
        compute_metrics=lambda p: {"accuracy": (p.predictions.argmax(-1) == p.label_ids).mean()},
    )
    before = run.evaluate()
    run.train()
    after = run.evaluate()
    assert "eval_perplexity" not in after
    assert after["eval_accuracy"] == 1.0 and after["eval_loss"] < before["eval_loss"]
    logits = torch.tensor(run.predict(data).predictions)
    labels = torch.tensor([row["label"] for row in data])
    true = nn.functional.cross_entropy(logits, labels).item()
    assert after["eval_loss"] == pytest.approx(true, abs=TOLERANCE)


@pytest.mark.parametrize("accumulation", [2, 3])
def test_means_of_unequal_batches_are_weighed(
    trainer: Any, same_weights: Any, accumulation: int
) -> None:
    # 11 examples: one step of all, or of batches of 4, 4 and 3, or of 6 and 5.
    given = {"train_dataset": labelled(11), "num_train_epochs": 1, "max_grad_norm": 0.0}
    given |= {"optim": "sgd", "learning_rate": 1.0, "train_sampling_strategy": "sequential"}
    whole = trainer(model=Classifier(), per_device_train_batch_size=11, **given)
    whole.train()
    parts = trainer(
        model=Classifier(),
        per_device_train_batch_size=-(-11 // accumulation),
        gradient_accumulation_steps=accumulation,
        **given,
    )
    parts.train()
    assert parts.state.global_step == 1
    assert same_weights(whole.model, parts.model) < TOLERANCE


def test_a_plain_module_is_saved_and_resumed(trainer: Any, same_weights: Any) -> None:
    given = {"save_strategy": "steps", "save_steps": 2, "train_dataset": labelled(11)}
    whole = trainer(model=Classifier(), **given)
    whole.train()
    resumed = trainer(model=Classifier(), **given)
    resumed.train(resume_from_checkpoint=resumed.args.output_dir + "/checkpoint-2")
    assert same_weights(whole.model, resumed.model) == 0.0


def test_a_loss_of_ones_own_is_used(
    trainer: Any, small_model: Any, arguments: Any, rows: Any
) -> None:
    def loss(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        logits, target = outputs["logits"][:, :-1].flatten(0, 1), labels[:, 1:].flatten()
        total = nn.functional.cross_entropy(logits, target, ignore_index=-100, reduction="sum")
        return total / (
            num_items_in_batch if num_items_in_batch is not None else (target >= 0).sum()
        )

    plain = trainer()
    plain.train()
    own = Trainer(
        model=small_model(),
        args=arguments(),
        train_dataset=rows(),
        eval_dataset=rows(9, 5),
        compute_loss_func=loss,
    )
    own.train()
    pairs = zip(plain.state.log_history[:-1], own.state.log_history[:-1], strict=True)
    assert all(a["loss"] == pytest.approx(b["loss"], abs=1e-4) for a, b in pairs)
    assert own.evaluate()["eval_loss"] == pytest.approx(plain.evaluate()["eval_loss"], abs=1e-4)


def test_the_log_has_a_line_for_everything_measured(trainer: Any, tmp_path: Path) -> None:
    run = trainer(eval_strategy="epoch", logging_steps=3)
    output = run.train()
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6, 6, 9, 12, 12, 12]
    assert lines[-2]["eval_loss"] > 0 and lines[-1]["train_loss"] == output.training_loss
    assert lines[-1]["tokens"] == 2 * 23 * 11 == run.state.num_input_tokens_seen
    losses = [line["loss"] for line in lines if "loss" in line]
    assert output.training_loss == pytest.approx(sum(losses) / len(losses))
    assert all(a["seconds"] <= b["seconds"] for a, b in itertools.pairwise(lines))


def test_a_bar_shows_the_loss_and_the_speed(trainer: Any, capsys: Any) -> None:
    trainer(disable_tqdm=False, logging_steps=6).train()
    shown = capsys.readouterr()
    assert "12/12" in shown.err and "tokens/s" in shown.err
    assert "step 6 · loss " in shown.out and "grad norm" in shown.out


def test_a_notebook_gets_a_curve(trainer: Any, monkeypatch: Any) -> None:
    from minilm.training import curve

    pytest.importorskip("IPython")
    shown: list[Any] = []

    class Place:
        def update(self, bundle: Any, **given: Any) -> None:
            shown.append(bundle)

    def display(bundle: Any, **given: Any) -> Place:
        shown.append(bundle)
        return Place()

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(curve, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setenv("MINILM_STATIC", "0")
    trainer(callbacks=[curve.LiveCurve(floor=1.0)]).train()
    assert sum("image/png" in bundle for bundle in shown) > 3
    assert "Step 12 of 12 done" in str(shown)
    shown.clear()
    monkeypatch.setenv("MINILM_STATIC", "1")
    trainer(callbacks=[curve.LiveCurve()]).train()
    assert len(shown) == 1 and "image/png" in shown[0]


def test_callbacks_are_called_in_order_with_what_there_is(trainer: Any) -> None:
    calls: list[str] = []

    class Listens(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **known: Any) -> None:
            assert known["model"] is not None and known["optimizer"] is not None
            calls.append("train")

        def on_epoch_begin(self, *given: Any, **known: Any) -> None:
            calls.append("epoch")

        def on_substep_end(self, *given: Any, **known: Any) -> None:
            calls.append("substep")

        def on_step_end(self, args: Any, state: Any, control: Any, **known: Any) -> Any:
            calls.append("step")
            if state.global_step == 2:
                control.should_training_stop = True

        def on_train_end(self, *given: Any, **known: Any) -> None:
            calls.append("end")

    run = trainer(callbacks=[Listens], gradient_accumulation_steps=2)
    run.train()
    assert calls == ["train", "epoch", "substep", "step", "substep", "step", "end"]
    assert isinstance(run.pop_callback(Listens), Listens) and run.pop_callback(Listens) is None


def test_early_stopping_needs_something_to_go_by(trainer: Any) -> None:
    with pytest.raises(InvalidInput, match="eval_strategy"):
        trainer(callbacks=[EarlyStoppingCallback()]).train()


def test_a_metric_that_is_not_there_is_named(trainer: Any) -> None:
    with pytest.raises(InvalidInput, match="'bleu': an evaluation gives eval_loss"):
        trainer(eval_strategy="epoch", metric_for_best_model="bleu").train()


def test_gradient_checkpointing_changes_no_number(
    trainer: Any, same_weights: Any, small_model: Any
) -> None:
    calls = {False: 0, True: 0}

    def run(saving: bool) -> Any:
        made = trainer(gradient_checkpointing=saving)

        def count(*given: Any) -> None:
            calls[saving] += 1

        made.model.base_model.layers[0].register_forward_pre_hook(count)
        made.train()
        return made

    assert same_weights(run(False).model, run(True).model) == 0.0
    assert calls[True] == 2 * calls[False]  # each layer is computed a second time


def test_tensors_need_no_collator_and_train_as_lists_do(trainer: Any, same_weights: Any) -> None:
    ids = torch.randint(0, 67, (20, 9), generator=torch.Generator().manual_seed(0))
    kinds = [
        ids,
        ids.to(torch.uint16),
        list(ids),
        ids.numpy(),
        ids.tolist(),
        [{"input_ids": row, "labels": row} for row in ids],
        [{"input_ids": row.tolist(), "labels": row.tolist(), "text": "x"} for row in ids],
    ]
    runs = [trainer(train_dataset=kind, eval_dataset=kind) for kind in kinds]
    for run in runs:
        run.train()
        assert same_weights(runs[0].model, run.model) == 0.0
        assert run.evaluate()["eval_loss"] == runs[0].evaluate()["eval_loss"]


def test_a_model_may_be_made_by_a_function(arguments: Any, rows: Any, small_model: Any) -> None:
    run = Trainer(model_init=small_model, args=arguments(), train_dataset=rows())
    first = run.train()
    assert run.train().training_loss == first.training_loss


def test_columns_and_models_say_how_labels_are_counted(small_model: Any) -> None:
    from minilm.training.evaluating import shifts_labels

    assert shifts_labels(small_model()) and shifts_labels(small_model(family="gpt2"))
    assert not shifts_labels(Classifier())
    told = Classifier()
    told.loss_shifts_labels = True
    assert shifts_labels(told)
