"""What lesson 07 says in words holds for what its cells compute, on this Python."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import nbformat
import pytest
import torch

from minilm import auto, config, weights
from minilm.models import base

LESSON = Path(__file__).resolve().parents[2] / "lessons" / "07_auto_classes.ipynb"
ANSWERS = [
    *(auto.model_type_of, auto.class_at, auto.register, config.gather_rope),
    *(weights.in_todays_name, weights.match_keys, base.tie, weights.plan_shards),
]
# A model of 120 MB and two clocks: for whoever reads, not for a test.
MEASURES = "import time"


@pytest.fixture(scope="module")
def cells() -> list[nbformat.NotebookNode]:
    return nbformat.read(LESSON, as_version=4).cells


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    """What each cell printed, by its first line."""
    return {}


@pytest.fixture(scope="module")
def names(cells, printed):
    """What the lesson's own cells leave behind, with minilm's answers to its exercises."""
    space: dict = {"__name__": "lesson", **{answer.__name__: answer for answer in ANSWERS}}
    tables = [dict(auto.CONFIGS), {purpose: dict(table) for purpose, table in auto.MODELS.items()}]
    options = vars(torch._tensor_str.PRINT_OPTS).copy()
    for cell in cells:
        first = cell.source.split("\n")[0]
        if cell.cell_type == "code" and "nbgrader" not in cell.metadata and first != MEASURES:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(cell.source, LESSON.name, "exec", dont_inherit=True), space)
            printed[first] = out.getvalue()
    yield space
    torch._tensor_str.PRINT_OPTS = type(torch._tensor_str.PRINT_OPTS)(**options)
    space["folder_for_this_lesson"].cleanup()
    auto.CONFIGS.clear()
    auto.CONFIGS.update(tables[0])
    for purpose, table in tables[1].items():
        auto.MODELS[purpose].clear()
        auto.MODELS[purpose].update(table)


def said(printed: dict[str, str], beginning: str) -> list[str]:
    [found] = [text for line, text in printed.items() if line.startswith(beginning)]
    return found.splitlines()


def numbers(line: str) -> list[float]:
    return [float(each) for each in line[22:].split()]


def test_a_gpt2_in_a_folder_called_llama_is_a_gpt2(names, printed):
    lines = said(printed, "folder_for_this_lesson")
    assert lines[0] == "GPT2LMHeadModel"
    assert {"config.json", "model.safetensors"} < {line.split()[-1] for line in lines[1:]}


def test_every_weight_of_the_random_models_matters(names):
    for weight in names["gpt2"].parameters():
        assert not (weight == 0).all()
        assert not (weight == 1).all()


def test_the_errors_name_what_is_near(names, printed):
    lines = said(printed, "settings = json.loads")
    assert lines[1] == "gpt2"
    assert "no model_type" in lines[2]
    assert lines[3].endswith("Nearest known: llama.")


def test_six_families_are_known_and_transformers_knows_hundreds(names):
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    assert len([name for name in auto.CONFIGS if name != "counts"]) == 6
    assert len(list(CONFIG_MAPPING.keys())) > 200


def test_a_family_of_ones_own_is_saved_and_loaded(names, printed):
    assert said(printed, "class CountsConfig") == ["CountsLM True"]
    assert names["again"](torch.tensor([[0, 3]])).logits.shape == (1, 2, 4)


def test_body_and_head_read_one_file_under_two_names(names, printed):
    body, whole = said(printed, "ids = torch.arange")
    assert body.split()[1:3] == ["GPT2Model", "wte.weight"]
    assert whole.split()[1:3] == ["GPT2LMHeadModel", "transformer.wte.weight"]


def test_null_in_a_file_is_not_a_missing_name():
    assert {"rope_scaling": None}.get("rope_scaling", {}) is None


def test_the_file_read_by_hand_holds_the_models_numbers(names, printed):
    metadata, entry = said(printed, "raw = (home")
    assert metadata.startswith("{'format': 'pt'} and 28 tensors")
    assert entry.endswith("True")
    assert len(names["raw"]) == 8 + names["length"] + len(names["numbers"])


def test_the_pictures_show_what_the_text_says(names):
    kinds = [kind for kind, _ in names["pieces"]]
    assert kinds[-2:] == ["positions", "tokens"]
    assert "head" not in kinds
    assert sum(size for _, size in names["pieces"]) == len(names["numbers"])
    part = {
        name: {kind: count / sum(dict(pieces).values()) for kind, count in pieces}
        for name, pieces in names["shares"].items()
    }
    assert 0.28 < part["gpt2, 124 million"]["tokens"] < 0.36
    for name in ("gpt2-xl", "Llama 2 7B", "Llama 3 8B"):
        assert 0.6 < part[name]["feed-forward"] < 0.72


def test_the_large_models_take_no_memory(names):
    assert all(weight.is_meta for weight in names["empty"].parameters())
    assert names["empty"].num_parameters() == 8_030_261_248  # as Llama 3 8B has


def test_the_loader_of_the_page_equals_transformers(names, printed):
    missing, one, difference = said(printed, "def load(folder)")
    assert missing == "missing: ['lm_head.weight']  left over: []"
    assert one == "one tensor: True"
    assert float(difference.split()[-1]) < 1e-5
    loaded = names["load"](names["home"] / "llama")
    assert not loaded.training
    with torch.no_grad():
        away = loaded(names["ids"]).logits - names["gpt2"](names["ids"]).logits
    assert away.abs().max() < 1e-5


def test_three_accidents_raise_nothing_and_one_of_them_is_in_no_report(names, printed):
    lines = said(printed, "found = load_file")
    table = {line[:22].strip(): numbers(line) for line in lines[1:]}
    assert list(table) == list(names["accidents"])
    right, prefix, old, turned = table.values()
    assert right[1] < 1e-5
    assert min(prefix[1], old[1], turned[1]) > 0.05
    for row in table.values():
        assert 3 < row[0] < 5
    assert prefix[0] == min(row[0] for row in table.values())
    assert prefix[2:] == [29, 28]
    assert right[2:] == old[2:] == turned[2:] == [1, 0]


def test_strict_loading_would_have_refused_two_of_the_three(names):
    settings = names["load"](names["home"] / "llama").config
    for name, given in names["accidents"].items():
        model = auto.AutoModelForCausalLM.from_config(settings)
        found = model.load_state_dict(given, strict=False)
        left = [key for key in found.missing_keys if key != "lm_head.weight"]
        assert bool(left) == (name in ("prefix misspelled", "norms in old names"))


def test_a_missing_head_is_told_and_a_tied_one_is_not_missing(names, printed):
    tied, untied, which = said(printed, "AutoModel.from_pretrained")
    assert tied == "body, warnings: 0"
    assert untied.startswith("untied body, warnings: 1")
    assert "random numbers" in untied
    assert which.split()[:2] == ["lm_head.weight", "missing"]


def test_everything_goes_there_and_back(names, printed):
    lines = said(printed, "print(f\"{'family'")
    rows = [line for line in lines if line[10:16].strip() in ("True", "False")]
    assert len(rows) == 12
    for row in rows:
        _, _, missing, differs, absent, away = row.split()
        assert (missing, absent) == ("0", "0")
        assert max(float(differs), float(away)) < 1e-5


@pytest.fixture(scope="module")
def solutions(cells) -> list[str]:
    return re.findall(r"```python\n(.*?)```", cells[-1].source, re.DOTALL)


def test_the_first_solution_halves_the_file_and_wins_no_numbers_back(names, solutions, capsys):
    exec(solutions[0], names)
    whole, half, low, wide = capsys.readouterr().out.splitlines()
    assert 0.4 < int(half.split()[1]) / int(whole.split()[1]) < 0.6
    assert low.startswith("torch.bfloat16")
    assert wide.startswith("torch.float32")
    assert float(low.split()[1]) > float(wide.split()[1]) > 1e-4


def test_the_second_solution_sees_the_copy_drift(names, solutions, capsys):
    exec(solutions[1], names)
    tied, copied = capsys.readouterr().out.splitlines()
    assert tied == "tied 0.0"
    assert float(copied.split()[1]) > 1e-3
