"""The order of the lessons is the architecture: a stage imports only its own and lower stages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINTER = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINTER), "--no-cache", "--config", str(folder / "pyproject.toml")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_every_stage_keeps_to_its_floor():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


# What would break the order → (file, line to add, words of the linter).
BROKEN = {
    "a first stage that imports from the second": (
        "minilm/tokenization/bpe.py",
        "from minilm.tokenization import wordpiece",
        "minilm.tokenization.bpe is not allowed to import minilm.tokenization.wordpiece",
    ),
    "the same inside a function": (
        "minilm/tokenization/utf8.py",
        "def late():\n    from minilm.tokenization.tokenizer import PreTrainedTokenizer",
        "minilm.tokenization.utf8 is not allowed to import minilm.tokenization.tokenizer",
    ),
    "masks that import from the lesson after them": (
        "minilm/masks.py",
        "import minilm.attention",
        "minilm.masks is not allowed to import minilm.attention",
    ),
    "positions that import from the lesson after them": (
        "minilm/positions/rotary.py",
        "from minilm import masks",
        "minilm.positions is not allowed to import minilm.masks",
    ),
    "models that import what loads them": (
        "minilm/models/gpt2.py",
        "from minilm import loading",
        "minilm.models is not allowed to import minilm.loading",
    ),
    "a stage that imports the check bench": (
        "minilm/tokenization/bpe.py",
        "import minilm.check",
        "minilm.tokenization is not allowed to import minilm.check",
    ),
    "plots that import a stage": (
        "minilm/plots/__init__.py",
        "import minilm.tokenization.bpe",
        "minilm.plots is not allowed to import minilm.tokenization",
    ),
    "errors that import anything": (
        "minilm/errors.py",
        "import minilm.files",
        "minilm.errors is not allowed to import minilm.files",
    ),
    "a module on no floor": ("minilm/tokenization/attic.py", "", "attic"),
    "a new part on no floor": ("minilm/attic.py", "", "attic"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_linter_refuses(what, tmp_path):
    file, line, words = BROKEN[what]
    shutil.copytree(ROOT / "minilm", tmp_path / "minilm")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with open(tmp_path / file, "a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode != 0
    assert words in " ".join((done.stdout + done.stderr).split())


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement loads in a fresh Python."""
    script = (
        f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    return set(done.stdout.split())


HEAVY = {"torch", "transformers", "tokenizers", "matplotlib", "numpy", "jinja2", "huggingface_hub"}


def test_importing_minilm_loads_next_to_nothing():
    loaded = loaded_by("import minilm")
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("minilm")} == {"minilm"}
    assert len(loaded) < 30


@pytest.mark.parametrize(
    "module",
    ["errors", "files", "hub", "plots", "check", "bench", "course", "doctor", "lab", "__main__"],
)
def test_what_lies_beside_the_floors_loads_none_of_them(module):
    loaded = loaded_by(f"import minilm.{module}")
    assert not {name for name in loaded if name.startswith("minilm.tokenization")}
    assert not loaded & {"torch", "transformers", "tokenizers"}


def test_the_tokenizers_load_without_torch_transformers_and_plots():
    loaded = loaded_by("from minilm import AutoTokenizer")
    assert "minilm.tokenization.auto_tokenizer" in loaded
    assert not loaded & {"torch", "transformers", "tokenizers", "matplotlib"}


def test_only_the_bench_and_the_check_name_transformers():
    allowed = ("minilm/check/", "minilm/bench/")
    for path in sorted((ROOT / "minilm").rglob("*.py")):
        relative = path.relative_to(ROOT).as_posix()
        if relative.startswith(allowed):
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            imports = words[:1] in (["import"], ["from"]) and words[1].split(".")[0]
            assert imports not in ("transformers", "tokenizers"), f"{relative}: {line}"
