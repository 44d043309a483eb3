"""Loading maps the files: what it takes besides them is next to nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from minilm.models.gpt2 import GPT2Config, GPT2LMHeadModel

LOAD = """
import sys
from pathlib import Path
import torch
from minilm import AutoModelForCausalLM

def held():
    rows = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    fields = dict(row.split()[:2] for row in rows)
    return 1024 * int(fields["Rss:"])

def peak():
    return 1024 * next(
        int(row.split()[1])
        for row in Path("/proc/self/status").read_text().splitlines()
        if row.startswith("VmHWM")
    )

AutoModelForCausalLM.from_pretrained(sys.argv[1])  # whatever is imported on the way
before = held()
model = AutoModelForCausalLM.from_pretrained(sys.argv[2])
opened = held() - before
total = sum(float(parameter.detach().sum()) for parameter in model.parameters())
print(opened, held() - before, peak() - before)
"""


@pytest.fixture(scope="module")
def model():
    config = GPT2Config(vocab_size=9000, n_embd=384, n_layer=8, n_head=8, n_positions=64)
    return GPT2LMHeadModel(config)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("kind", ["safetensors", "shards", "pickle"])
def test_a_loaded_model_takes_no_more_than_its_file(kind, model, tmp_path, saved):
    model.save_pretrained(tmp_path, max_shard_size="20MB" if kind == "shards" else "1GB")
    size = sum(path.stat().st_size for path in tmp_path.glob("*.safetensors"))
    assert size > 70_000_000
    if kind == "pickle":
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
        (tmp_path / "model.safetensors").unlink()
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(saved("gpt2")), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    opened, read, peak = map(int, done.stdout.split())
    assert opened < 0.1 * size  # nothing is read before it is used
    assert 0.9 * size < read < 1.1 * size
    assert peak < 1.1 * size


LIGHT = """
import sys
from minilm import AutoModelForCausalLM
for folder in sys.argv[1:]:
    AutoModelForCausalLM.from_pretrained(folder)
print(*sorted({"sympy", "torch._dynamo", "torch._inductor", "transformers"} & sys.modules.keys()))
"""


def test_loading_does_not_wake_torchs_compiler(saved):
    """It would take seconds and 70 MB, to fill weights that the files fill anyway."""
    folders = [str(saved(family)) for family in ("gpt2", "gpt_neox", "llama", "mistral", "qwen3")]
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *folders],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == []
