"""Making pipelines, and what they all do: many inputs, batches, order, a bar, interruptions."""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from minilm.auto import AutoModel, AutoModelForCausalLM
from minilm.errors import InvalidInput, UnknownToken, WrongType
from minilm.pipelines import base, progress, registry
from minilm.pipelines.base import Pipeline, batches_by_length, device_named
from minilm.pipelines.making import pipeline
from minilm.pipelines.text_generation import TextGenerationPipeline
from minilm.tokenization.auto_tokenizer import AutoTokenizer

GREEDY = {"max_new_tokens": 4, "do_sample": False}


@pytest.fixture(scope="module")
def place(folder: Callable[..., Any]) -> str:
    return str(folder())


@pytest.fixture
def ours(place: str) -> Any:
    return pipeline(model=place, device="cpu")


class Echo(Pipeline):
    """Gives back texts, and notes what it ran together."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.batches: list[list[str]] = []

    def check_options(self, options: dict[str, Any]) -> dict[str, Any]:
        return options

    def settle(self, options: dict[str, Any]) -> Any:
        return {**self.options, **options}

    def prepare(self, given: Any, settings: Any) -> Any:
        return given

    def length(self, item: Any) -> int:
        return len(item)

    def run(self, items: list[Any], settings: Any) -> list[Any]:
        self.batches.append(items)
        if settings.get("stop_at") == len(self.batches):
            raise KeyboardInterrupt
        return [item.upper() for item in items]


@pytest.fixture
def echo() -> Callable[..., Echo]:
    model = torch.nn.Linear(2, 2)
    return lambda **options: Echo(model, "a tokenizer", task="echo", **options)


def texts(n: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [f"{i}" + "x" * draw.randrange(50) for i in range(n)]


# Making.


def test_the_task_is_found_by_the_models_head(place: str):
    made = pipeline(model=place)
    assert type(made) is TextGenerationPipeline and made.task == "text-generation"
    model = AutoModelForCausalLM.from_pretrained(place)
    made = pipeline(model=model)
    assert made.model is model and made.task == "text-generation"
    assert made("the cat", **GREEDY) == pipeline("text-generation", place)("the cat", **GREEDY)


def test_a_model_without_a_head_has_no_task(place: str):
    with pytest.raises(InvalidInput, match=r"it is a LlamaModel, .* Name a task"):
        pipeline(model=AutoModel.from_pretrained(place))
    with pytest.raises(WrongType, match="AutoModelForCausalLM"):
        pipeline("text-generation", model=AutoModel.from_pretrained(place))


def test_a_tokenizer_may_be_given_by_name_with_options_or_made(place: str):
    model = AutoModelForCausalLM.from_pretrained(place)
    expected = pipeline(model=place)("the cat", **GREEDY)
    for each in (place, (place, {"padding_side": "left"}), AutoTokenizer.from_pretrained(place)):
        assert pipeline(model=model, tokenizer=each)("the cat", **GREEDY) == expected
    unnamed = AutoModelForCausalLM.from_config(model.config)
    unnamed.config.name_or_path = ""
    with pytest.raises(InvalidInput, match="Give tokenizer="):
        pipeline(model=unnamed)


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_the_dtype_of_the_weights_can_be_chosen(place: str, name: str):
    made = pipeline(model=place, **{name: torch.bfloat16})
    assert made.dtype == made.torch_dtype == made.model.dtype == torch.bfloat16
    with pytest.raises(InvalidInput, match="loaded already"):
        pipeline(model=made.model, **{name: torch.float16})


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("text-generatoin", "did you mean 'text-generation'"),
        ("Text Generation", "did you mean 'text-generation'"),
        ("fill-mask", "comes with lesson 10_masked_lm"),
        ("translation_en_to_de", "comes with lesson 11_seq2seq"),
        ("fil-mask", "did you mean 'fill-mask'"),
        ("story-gpt2", "given as model="),
    ],
)
def test_an_unknown_task_is_named_with_the_nearest(task: str, words: str):
    with pytest.raises(UnknownToken, match=words):
        pipeline(task, model="nowhere")
    with pytest.raises(KeyError):  # as in transformers
        pipeline(task, model="nowhere")


def test_tasks_that_come_later_are_not_here_yet():
    assert not registry.LATER.keys() & {*registry.TASKS, *registry.ALIASES}


def test_a_task_can_be_registered(place: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "TASKS", dict(registry.TASKS))
    monkeypatch.setattr(registry, "ALIASES", {})
    registry.register_task("echo", Echo, aliases=["repeat"])
    registry.register_task("echo", Echo)
    assert type(pipeline("repeat", model=place)) is Echo
    with pytest.raises(InvalidInput, match="exist_ok=True"):
        registry.register_task("text-generation", Echo)
    with pytest.raises(WrongType, match="extends Pipeline"):
        registry.register_task("other", Echo.run)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, InvalidInput, "no model"),
        ({"model": 3}, WrongType, "expected a model"),
        ({"task": 3}, WrongType, "a task is a name"),
        ({"config": "x"}, InvalidInput, "no weights"),
        ({"model": "x", "image_processor": "y"}, WrongType, "work on text"),
        ({"batch_size": 0}, InvalidInput, "1 or more"),
        ({"batch_size": "2"}, WrongType, "whole number"),
        ({"progress_bar": "yes"}, WrongType, "True, False or None"),
        ({"on_interrupt": "stop"}, InvalidInput, "'raise' or 'return'"),
        ({"device": "gpu"}, InvalidInput, "'cpu' or 'cuda:0'"),
        ({"device": 1.5}, WrongType, "number of a GPU"),
        ({"device": 99}, InvalidInput, "device='cpu'"),
        ({"max_new_token": 3}, WrongType, "did you mean max_new_tokens"),
        ({"device_map": "auto"}, WrongType, "device_map"),
    ],
)
def test_what_does_not_fit_is_said(place: str, options: Any, error: Any, words: str):
    if not {"model", "task", "config"} & options.keys() and options:
        options = {"model": place, **options}
    with pytest.raises(error, match=words):
        pipeline(**options)


def test_devices_go_by_name_and_number():
    assert device_named(-1) == device_named("cpu") == torch.device("cpu")


def test_model_and_tokenizer_are_saved_together(ours: Any, tmp_path: Any):
    ours.save_pretrained(tmp_path / "saved")
    again = pipeline(model=tmp_path / "saved", device="cpu")
    assert again("the cat", **GREEDY) == ours("the cat", **GREEDY)
    assert "LlamaForCausalLM" in repr(again)


# Many inputs.


def test_a_thousand_prompts_are_answered_in_order_in_batches_by_length(
    ours: Any, monkeypatch: pytest.MonkeyPatch
):
    sizes, draw = [], random.Random(0)
    words = ["the", "cat", "sat", "on", "mat", "dog"]
    prompts = [" ".join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(1000)]
    run = ours.run

    def noted(items: Any, settings: Any) -> Any:
        sizes.append((len(items), {len(item.ids) for item in items}))
        return run(items, settings)

    monkeypatch.setattr(ours, "run", noted)
    answers = ours(prompts, max_new_tokens=2, do_sample=False)
    assert len(answers) == 1000 and len(sizes) == -(-1000 // base.BATCH)
    assert max(max(lengths) - min(lengths) for _, lengths in sizes) <= 2
    for i in (0, 1, 500, 999):
        assert answers[i] == ours(prompts[i], max_new_tokens=2, do_sample=False)
    sizes.clear()
    ours(prompts[:40], max_new_tokens=1)  # what is drawn depends on the order
    assert [size for size, _ in sizes] == [1] * 40


@pytest.mark.parametrize("n", [0, 1, 2, 7, 40])
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_batches_by_length_hold_each_input_once(n: int, size: int):
    lengths = [len(text) for text in texts(n)]
    batches = batches_by_length(lengths, size)
    assert sorted(place for batch in batches for place in batch) == list(range(n))
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(batch == sorted(batch) for batch in batches)
    in_order = [n for batch in batches for n in sorted((lengths[i] for i in batch), reverse=True)]
    assert in_order == (lengths if size == 1 else sorted(lengths, reverse=True))


def test_answers_to_a_list_come_in_its_order(echo: Any):
    given = texts(100)
    for size in (None, 1, 7):
        assert echo(batch_size=size)(given) == [each.upper() for each in given]
    assert echo()(tuple(given)) == [each.upper() for each in given]
    assert echo()([]) == []


def test_a_generator_is_read_as_answers_are_asked_for(echo: Any):
    read = []

    def given() -> Iterator[str]:
        for each in texts(9):
            read.append(each)
            yield each

    answers = echo(batch_size=2)(given())
    assert read == []
    assert next(answers) == texts(9)[0].upper() and len(read) == 2
    assert list(answers) == [each.upper() for each in texts(9)[1:]]


@pytest.mark.parametrize("kind", ["items alone", "iterable"])
def test_a_dataset_is_answered_in_order_and_knows_its_length(echo: Any, kind: str):
    class Dataset:
        def __len__(self) -> int:
            return 50

        def __getitem__(self, place: int) -> str:
            return texts(50)[place]

    given = Dataset() if kind == "items alone" else dict.fromkeys(texts(50)).keys()
    made = echo(batch_size=4)
    answers = made(given)
    assert len(answers) == 50
    assert list(answers) == [each.upper() for each in texts(50)]
    assert len(made.batches) == 13
    assert len({len(text) for text in made.batches[0]}) <= 4


@pytest.mark.parametrize("given", [3, {"a": "b"}, b"abc", None])
def test_what_is_no_input_is_refused(echo: Any, given: Any):
    with pytest.raises(WrongType, match="expected a text"):
        echo()(given)


# Interruptions, and a bar.


def test_an_interruption_gives_back_what_is_done_if_asked(echo: Any):
    given = texts(12)
    made = echo(batch_size=5, on_interrupt="return")
    answers = made(given, stop_at=3)
    done = {text for batch in made.batches[:2] for text in batch}
    assert len(done) == 10
    assert answers == [text.upper() if text in done else None for text in given]
    with pytest.raises(KeyboardInterrupt):
        echo(batch_size=5)(given, stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        made(given, stop_at=len(made.batches) + 1, on_interrupt="raise")


def test_an_interrupted_text_is_as_long_as_it_got(ours: Any):
    class Interrupt:
        n = 0

        def put(self, value: Any) -> None:
            self.n += 1
            if self.n == 4:
                raise KeyboardInterrupt

        def end(self) -> None:
            pass

    options = {"do_sample": False, "return_full_text": False}
    text = ours("the cat", streamer=Interrupt(), on_interrupt="return", **options)
    assert text == ours("the cat", max_new_tokens=3, **options)
    with pytest.raises(KeyboardInterrupt):
        ours("the cat", streamer=Interrupt(), **options)


def test_a_bar_is_shown_for_many_inputs_where_somebody_sees_it(
    echo: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def shown(n: int, **options: Any) -> bool:
        echo(batch_size=4)(texts(n), **options)
        return "echo" in capsys.readouterr().err

    monkeypatch.delenv("MINILM_STATIC")
    assert not shown(100)  # into a file
    assert shown(3, progress_bar=True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert shown(100) and not shown(12) and not shown(100, progress_bar=False)
    monkeypatch.setenv("MINILM_STATIC", "1")
    assert not shown(100)


def test_on_a_page_of_a_notebook_the_bar_is_a_widget(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ipywidgets")
    made = []
    page = types.SimpleNamespace(tqdm=lambda **options: made.append(options))
    shell = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "tqdm.notebook", page)
    monkeypatch.delenv("MINILM_STATIC")
    progress.progress_bar(100)
    assert made == [{"total": 100, "desc": "", "unit": "text"}]
