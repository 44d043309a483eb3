"""What a reader writes is what minilm runs: every exercise's function is called through its module."""

from __future__ import annotations

import ast
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
import torch

import minilm
from minilm import attention, auto, cache, masks, positions
from minilm.check import catalogue
from minilm.check.keeping import loaded
from minilm.positions import alibi
from minilm.tokenization.pipeline import Pipeline
from minilm.tokenization.tokenizer import PreTrainedTokenizer
from minilm.training import DataCollatorForLanguageModeling, Trainer, TrainingArguments
from minilm.training.grouping import text_blocks

ROOT = Path(__file__).parents[2]
EXERCISES = catalogue.all_exercises()
TOKENIZER_LESSONS = ("01_byte_pairs", "02_tokenizers")
ATTENTION_LESSONS = ("03_positions", "04_masks", "05_attention")
MODEL_LESSONS = ("06_causal_lm", "07_auto_classes")
GENERATION_LESSONS = ("08_generation",)
TRAINING_LESSONS = ("09_training",)
# What the stages built so far have no use for themselves, and why.
NOT_CALLED = {
    "merge_pair",  # the page of lesson 01 trains with it; our trainer merges in all words at once
    "position_ids_from_mask",  # attention is told its positions, and generate counts them
    "cache_bytes",  # for whoever plans a cache; a cache says what it takes by looking
    "adamw_update",  # the page of lesson 09 trains with it; our Trainer takes torch's, fused
}
# Minilm's own, kept to see whether a reader's stands in its place: the quick way is for ours alone.
KEPT_TO_COMPARE = re.compile(r"_own_split_words|_OWN: \w+")
TEXTS = ["The café's 12 cats sat, and sat. \N{SLIGHTLY SMILING FACE}", "A cat</s>sat"]


def of_lessons(lessons: Iterable[str]) -> set[str]:
    return {name for name, exercise in EXERCISES.items() if exercise.lesson in lessons}


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Everything in a module but what stands under `if TYPE_CHECKING`."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield from executed(child)


def by_name(source: str) -> list[str]:
    """The exercises' functions that a module imports by name, out of a reader's reach."""
    # From its home, or from a package above that hands it on.
    answers = {
        (exercise.module.rsplit(".", up)[0], exercise.path)
        for exercise in EXERCISES.values()
        for up in range(exercise.module.count("."))
    }
    homes = {module for module, _ in answers}
    modules = {tuple(exercise.module.rsplit(".", 1)) for exercise in EXERCISES.values()}
    answers -= modules  # byte_alphabet is the name of a function, and of its module
    return [
        alias.name
        for node in executed(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if (node.module, alias.name) in answers or (alias.name == "*" and node.module in homes)
    ]


def test_no_module_imports_a_readers_function_by_name() -> None:
    modules = sorted((ROOT / "minilm").rglob("*.py"))
    assert len(modules) > 90
    assert {path.name: names for path in modules if (names := by_name(path.read_text()))} == {}


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("def f():\n    from minilm.tokenization.bpe import merge_pair as m", ["merge_pair"]),
        ("from minilm.positions import rotary, rotate_half", ["rotate_half"]),
        ("from minilm.positions.rotary import rotate_half", ["rotate_half"]),
        ("from minilm.tokenization import byte_alphabet", []),
        ("if x:\n    from minilm.masks import *", ["*"]),
        ("from minilm import masks\nfrom minilm.masks import decoder_mask", []),
        ("if TYPE_CHECKING:\n    from minilm.masks import causal_mask", []),
    ],
)
def test_such_an_import_would_be_seen(source: str, seen: list[str]) -> None:
    assert by_name(source) == seen


def kept_aside(module: ModuleType) -> list[str]:
    """The names and defaults by which a module holds on to exercises' functions of its own making.

    A function that a reader replaces is found under its own name in its own module; whatever else
    points to it goes on calling the old one.
    """
    functions = {(e.module, e.path) for e in EXERCISES.values()}
    own = {id(getattr(import_module(e.module), e.path)): name for name, e in EXERCISES.items()}
    found: list[str] = []
    for name, value in vars(module).items():
        if id(value) in own and (module.__name__, name) not in functions:
            found.append(name)
        for function in (value, *(vars(value).values() if isinstance(value, type) else ())):
            if isinstance(function, FunctionType):
                defaults = (
                    *(function.__defaults__ or ()),
                    *(function.__kwdefaults__ or {}).values(),
                )
                found += [f"{name}: {own[id(each)]}" for each in defaults if id(each) in own]
        held = value.values() if isinstance(value, dict) else value
        if isinstance(value, dict | list | tuple):
            found += [f"{name}: {own[id(each)]}" for each in held if id(each) in own]
    return found


def test_no_module_keeps_a_readers_function_aside() -> None:
    for path in sorted((ROOT / "minilm").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "check" not in parts and parts[-1] not in ("__init__", "__main__"):
            module = import_module(".".join(parts))
            kept = [name for name in kept_aside(module) if not KEPT_TO_COMPARE.fullmatch(name)]
            assert not kept, module.__name__


def test_a_function_kept_aside_would_be_seen() -> None:
    attic = ModuleType("attic")
    exec(
        "from minilm import masks\n"
        "shade = masks.causal_mask\n"
        "def f(mask=masks.padding_mask): pass\n"
        "class C:\n    def g(self, *, mask=masks.prefix_mask): pass\n"
        "KINDS = {'causal': masks.causal_mask}\n",
        vars(attic),
    )
    expected = ["shade", "f: padding_mask", "C: prefix_mask", "KINDS: causal_mask"]
    assert kept_aside(attic) == expected


def tokenizer_of(model: Any, tmp_path: Path, **steps: Any) -> PreTrainedTokenizer:
    """A tokenizer from a saved tokenizers.Tokenizer, opened as a reader opens it."""
    from tokenizers import Tokenizer

    theirs = Tokenizer(model)
    for name, step in steps.items():
        setattr(theirs, name, step)
    theirs.add_special_tokens(["</s>"])
    folder = tmp_path / type(model).__name__
    folder.mkdir()
    theirs.save(str(folder / "tokenizer.json"))
    return minilm.AutoTokenizer.from_pretrained(folder, eos_token="</s>", pad_token="</s>")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each exercise's function has been called since."""
    counted: Counter[str] = Counter()
    for name, exercise in EXERCISES.items():
        module = import_module(exercise.module)
        own = getattr(module, exercise.path)

        @wraps(own)
        def counting(*args: Any, _name: str = name, _own: Any = own, **kwargs: Any) -> Any:
            counted[_name] += 1
            return _own(*args, **kwargs)

        monkeypatch.setattr(module, exercise.path, counting)
    return counted


def test_tokenizers_at_work_call_every_function_that_readers_write(
    calls: Counter[str], tmp_path: Path
) -> None:
    from tokenizers import decoders, models, pre_tokenizers

    letters = {letter: i for i, letter in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    gpt2 = tokenizer_of(
        models.BPE({**letters, "at": 256}, [("a", "t")]),
        tmp_path,
        pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoder=decoders.ByteLevel(),
    )
    batch = gpt2(TEXTS, padding=True)
    gpt2.batch_decode(batch["input_ids"], skip_special_tokens=True)
    gpt2(TEXTS[0], truncation=True, max_length=6, stride=2, return_overflowing_tokens=True)
    gpt2.chat_template = "{{ messages[0].content }}"
    gpt2.apply_chat_template([{"role": "user", "content": "hi"}])
    gpt2.train_new_from_iterator(TEXTS, 270)
    tokenizer_of(models.WordPiece({"[UNK]": 0, "c": 1, "##at": 2}, unk_token="[UNK]"), tmp_path)(
        "cat"
    )
    tokenizer_of(models.Unigram([("<unk>", 0.0), ("c", -1.0), ("at", -2.0)], 0), tmp_path)("cat")
    bytes_of_e = {"<unk>": 0, "a": 1, "<0xC3>": 2, "<0xA9>": 3}
    llama = Pipeline.from_json(
        {"model": {"type": "BPE", "vocab": bytes_of_e, "merges": [], "byte_fallback": True}}
    )
    llama.encode_ids("aé")
    assert of_lessons(TOKENIZER_LESSONS) - set(calls) == NOT_CALLED & of_lessons(TOKENIZER_LESSONS)


def attend_to_everything() -> list[torch.Tensor]:
    """What a model does: positions of every kind, masks of every kind, layers with caches."""
    torch.manual_seed(0)
    n_heads, head_dim, width, length = 4, 6, 24, 7
    text = torch.randn(2, length, width)
    attention_mask = torch.ones(2, length, dtype=torch.int64)
    attention_mask[0, :2] = 0
    position_ids = torch.arange(length).expand(2, length)
    layer = attention.MultiHeadAttention(width, n_heads, 2, head_dim)

    outputs = [positions.SinusoidalPositions(length, width)(position_ids)]
    outputs += [positions.SinusoidalPositions(9, 6, "interleaved").weight]
    bias = positions.RelativePositionBias(n_heads)(length, length)
    bias = bias + alibi.alibi_bias(n_heads, length, length)
    decoder_bias = positions.RelativePositionBias(n_heads, 8, 20, bidirectional=False)
    outputs += [bias, decoder_bias(2, 150)]
    cos_sin = positions.RotaryEmbedding(head_dim)(text, position_ids)
    packed = masks.decoder_mask(length, length, position_ids=position_ids % 4)
    near = masks.decoder_mask(length, length, attention_mask, sliding_window=3)
    prefixed = masks.decoder_mask(length, length, prefix_length=3)
    for may_attend in (packed, near, prefixed):
        assert may_attend is not None
        for output_attentions in (True, False):
            outputs += [
                each
                for each in layer(
                    text, may_attend=may_attend, bias=bias, output_attentions=output_attentions
                )
                if each is not None
            ]
    total = sum(each.square().sum() for each in outputs if each.requires_grad)
    outputs += torch.autograd.grad(total, [*layer.parameters()])
    with torch.no_grad():
        for held in (
            cache.StaticCache(length),
            cache.DynamicCache(),
            cache.StaticCache(length, 3),
            cache.DynamicCache(3),
        ):
            for first, end in ((0, 4), (4, 5), (5, 7)):
                turning = [part[:, first:end] for part in cos_sin]
                n_keys, _ = held.get_mask_sizes(end - first)
                may_attend = masks.decoder_mask(
                    end - first,
                    n_keys,
                    attention_mask[:, :end],
                    sliding_window=3 if True in held.is_sliding else None,
                )
                outputs += layer(
                    text[:, first:end],
                    may_attend=may_attend,
                    is_causal=may_attend is None,
                    layer=held.layer(0),
                    cos_sin=turning,
                )[:1]
                held.reorder(torch.tensor([1, 0]))
    return outputs


def test_attention_at_work_calls_every_function_that_readers_write(calls: Counter[str]) -> None:
    assert len(attend_to_everything()) > 20
    assert of_lessons(ATTENTION_LESSONS) - set(calls) == NOT_CALLED & of_lessons(ATTENTION_LESSONS)


def make_save_and_load() -> list[torch.Tensor]:
    """What models do: they are made, judged, saved in several files, and loaded with another head."""
    sizes = {"vocab_size": 20, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
    llama = {"intermediate_size": 14, "rope_theta": 50.0, "rope_scaling": None}
    input_ids = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    outputs = []
    with tempfile.TemporaryDirectory() as folder:
        for family, settings in {
            "gpt2": {},
            "llama": {**llama, "tie_word_embeddings": True},
        }.items():
            torch.manual_seed(0)
            config = minilm.AutoConfig.for_model(family, **sizes, **settings)
            auto.AutoModelForCausalLM.register(
                type(config), auto.AutoModelForCausalLM.class_for(config)
            )
            model = minilm.AutoModelForCausalLM.from_config(config).eval()
            result = model(input_ids, labels=input_ids)
            outputs += [result.logits, result.loss]
            outputs += torch.autograd.grad(result.loss, [*model.parameters()])
            model.save_pretrained(folder, max_shard_size=3000)
            assert len(list(Path(folder).glob("*.safetensors"))) > 1
            again = minilm.AutoModelForCausalLM.from_pretrained(folder)
            assert again.lm_head.weight is again.get_input_embeddings().weight
            outputs += [again(input_ids).logits]
            outputs += [minilm.AutoModel.from_pretrained(folder)(input_ids).last_hidden_state]
    return [output.detach() for output in outputs]


def generate_a_little() -> list[torch.Tensor]:
    """What writing does: every way to choose tokens, every filter, and guesses from two sources."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 11, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
    model, smaller = (
        minilm.AutoModelForCausalLM.from_config(minilm.AutoConfig.for_model("gpt2", **sizes)).eval()
        for _ in range(2)
    )
    with torch.no_grad():
        for parameter in (*model.parameters(), *smaller.parameters()):
            if parameter.dim() > 1:
                parameter.mul_(6)  # so that some tokens are likelier than others
    prompts = torch.tensor([[0, 3, 1, 3], [4, 5, 4, 5]])
    side_by_side = {"attention_mask": torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])}
    filtered = {
        "do_sample": True,
        "temperature": 0.8,
        "top_k": 8,
        "top_p": 0.9,
        "min_p": 0.02,
        "repetition_penalty": 1.2,
    }
    ways: list[tuple[torch.Tensor, dict[str, Any]]] = [
        (prompts, side_by_side),
        (prompts, {**filtered, **side_by_side}),
        (prompts, {"num_beams": 3, **side_by_side}),
        (prompts[1:], {"prompt_lookup_num_tokens": 2}),
        (prompts[1:], {"assistant_model": smaller, "num_assistant_tokens": 3, "do_sample": True}),
    ]
    ends = {"max_new_tokens": 6, "eos_token_id": 2, "pad_token_id": 0}
    kept = {"return_dict_in_generate": True, "output_scores": True}
    outputs: list[torch.Tensor] = []
    for seed, (ids, options) in enumerate(ways):
        torch.manual_seed(seed)
        found = model.generate(ids, **ends, **kept, **options)
        outputs += [found.sequences, *found.scores]
    return outputs


def train_a_little() -> list[torch.Tensor]:
    """What training does: texts become blocks, several batches a step, and a number for the whole."""

    class Letters:
        eos_token_id = pad_token_id = 0
        pad_token, padding_side, model_input_names = "a", "right", ("input_ids",)

        def __call__(self, texts: list[str]) -> dict[str, list[list[int]]]:
            return {"input_ids": [[ord(letter) - 97 for letter in text] for text in texts]}

        def pad(self, rows: list[dict[str, list[int]]], **how: Any) -> dict[str, torch.Tensor]:
            longest = max(len(row["input_ids"]) for row in rows)
            ids = [row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in rows]
            return {"input_ids": torch.tensor(ids)}

    texts = ["abcdefgh", "hgf", "decade", "abba", "fadedfacade", "beg"]
    rows = [{"input_ids": row["input_ids"]} for row in text_blocks(Letters(), texts, 5)]
    rows[1]["input_ids"] = rows[1]["input_ids"][:3]
    torch.manual_seed(0)
    config = minilm.AutoConfig.for_model(
        "gpt2", vocab_size=9, n_embd=8, n_layer=1, n_head=2, n_positions=8
    )
    model = minilm.AutoModelForCausalLM.from_config(config)
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            folder,
            max_steps=4,
            per_device_train_batch_size=2,
            per_device_eval_batch_size=2,
            gradient_accumulation_steps=2,
            learning_rate=1e-2,
            warmup_steps=2,
            logging_steps=1,
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        )
        collate = DataCollatorForLanguageModeling(Letters(), mlm=False)
        trainer = Trainer(model, args, collate, rows, rows[:3])
        trainer.train()
        found = trainer.evaluate()
    logged = [row for row in trainer.state.log_history if "loss" in row]
    numbers = [row[name] for row in logged for name in ("loss", "grad_norm", "learning_rate")]
    numbers += [found["eval_loss"], found["eval_perplexity"]]
    return [
        torch.tensor([float(number) for number in numbers]),
        *(each.detach() for each in model.parameters()),
    ]


# What is done with all that readers write, lesson by lesson.
AT_WORK = dict.fromkeys(ATTENTION_LESSONS, attend_to_everything)
AT_WORK |= dict.fromkeys(MODEL_LESSONS, make_save_and_load)
AT_WORK |= dict.fromkeys(GENERATION_LESSONS, generate_a_little)
AT_WORK |= dict.fromkeys(TRAINING_LESSONS, train_a_little)
REPLACEABLE = sorted(of_lessons(AT_WORK) - NOT_CALLED)


def test_models_at_work_call_every_function_that_readers_write(calls: Counter[str]) -> None:
    assert len(make_save_and_load()) > 8
    assert of_lessons(MODEL_LESSONS) - set(calls) == NOT_CALLED & of_lessons(MODEL_LESSONS)


def test_generation_at_work_calls_every_function_that_readers_write(calls: Counter[str]) -> None:
    assert len(generate_a_little()) > 20
    assert of_lessons(GENERATION_LESSONS) <= set(calls)
    assert "position_ids_from_mask" in calls


def test_training_at_work_calls_every_function_that_readers_write(calls: Counter[str]) -> None:
    assert len(train_a_little()) > 8
    assert of_lessons(TRAINING_LESSONS) - set(calls) == NOT_CALLED & of_lessons(TRAINING_LESSONS)


def test_no_lesson_is_forgotten_here() -> None:
    assert {e.lesson for e in EXERCISES.values()} == {*TOKENIZER_LESSONS, *AT_WORK}
    assert set(EXERCISES) > NOT_CALLED


@pytest.mark.parametrize("name", REPLACEABLE)
def test_each_can_be_replaced_under_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader's function is called by the very objects that minilm's own has made before."""

    class Called(Exception):
        pass

    def readers(*args: Any, **kwargs: Any) -> Any:
        raise Called

    exercise = EXERCISES[name]
    work = AT_WORK[exercise.lesson]
    work()
    monkeypatch.setattr(sys.modules[exercise.module], exercise.path, readers)
    with pytest.raises(Called):
        work()


ACCEPTED = [
    pytest.param(name, answer, id=f"{name} {number}")
    for name in REPLACEABLE
    for number, answer in enumerate(EXERCISES[name].accepts, 1)
]


@pytest.mark.parametrize(("name", "answer"), ACCEPTED)
def test_right_answers_written_another_way_serve_in_minilms_place(
    name: str, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exercise = EXERCISES[name]
    work = AT_WORK[exercise.lesson]
    expected = work()
    function = answer if callable(answer) else loaded(answer, "<accepted>")[name]
    monkeypatch.setattr(sys.modules[exercise.module], exercise.path, function)
    for got, own in zip(work(), expected, strict=True):
        assert got.dtype == own.dtype
        assert torch.allclose(got, own, atol=1e-6, rtol=1e-5)
