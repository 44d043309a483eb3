"""Lesson 06's catalogue: its references worked by hand, and answers that are in no list."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap

import pytest
import torch
import torch.nn.functional as F

from minilm import layers, losses
from minilm.check import catalogue, installing, judging, messages
from minilm.check.catalogue import causal_lm as lesson
from minilm.check.catalogue.causal_lm.blocks import parts, reference_block, use_block
from minilm.check.keeping import loaded
from minilm.check.parameters import fit

EXERCISES = catalogue.all_exercises()
NAMES = [exercise.name for exercise in lesson.EXERCISES]
IMPORTS = """\
import math
import torch
import numpy as np
import torch.nn.functional as F
from functools import reduce
from torch import nn
from minilm import layers, losses

"""


def answer_of(source):
    """A function from its source text, as a reader types it in a cell that has the imports."""
    source = textwrap.dedent(source)
    name = source.partition("def ")[2].partition("(")[0]
    return name, loaded(IMPORTS + source, "<cell>")[name]


def verdict(source):
    name, answer = answer_of(source)
    exercise = EXERCISES[name]
    fitting, _ = fit(answer, installing.own(exercise))
    return judging.judge(exercise, fitting, in_place=True), answer


# --- the references, worked by hand --------------------------------------------------------------


def ask(name, **case):
    return EXERCISES[name].reference(
        **{
            key: torch.tensor(value) if isinstance(value, list) else value
            for key, value in case.items()
        }
    )


def test_layer_norm_by_hand():
    found = ask("layer_norm", x=[1.0, 3.0], weight=[1.0, 2.0], bias=[0.0, 5.0], eps=3.0)
    assert found.tolist() == pytest.approx([-0.5, 6.0])  # (x - 2) / √(1 + 3)


def test_rms_norm_by_hand():
    found = ask("rms_norm", x=[1.0, 7.0], weight=[1.0, 2.0], eps=11.0)
    assert found.tolist() == pytest.approx([1 / 6, 14 / 6])  # √(25 + 11)


def test_gelu_new_by_hand():
    z = math.sqrt(2 / math.pi) * (1 + 0.044715)
    assert ask("gelu_new", x=[0.0, 1.0]).tolist() == pytest.approx([0, (1 + math.tanh(z)) / 2])


def test_swiglu_by_hand():
    found = ask("swiglu", gate=[0.0, math.log(3)], up=[5.0, 4.0])
    assert found.tolist() == pytest.approx([0.0, 3 * math.log(3)])  # sigmoid(log 3) = 3/4


def test_conv1d_by_hand():
    found = ask("conv1d", x=[[1.0, 2.0]], weight=[[1.0, 0.0], [10.0, 1.0]], bias=[0.0, 100.0])
    assert found.tolist() == [[21.0, 102.0]]


def test_the_block_by_hand():
    found = reference_block(torch.tensor([[[2.0], [4.0]]]), **parts())
    # norm_1: 2, 3; attend: 2, 5; stream: 4, 9; norm_2: -1, -6; think: 1, 36
    assert found["stream"].tolist() == [[[5.0], [45.0]]]
    assert found["weights"].tolist() == [[[[2.0, 0.0], [3.0, 3.0]]]]


def test_labels_by_hand():
    assert ask("next_token_labels", labels=[[5, 6, 7]]).tolist() == [[6, 7, -100]]
    assert ask("next_token_labels", labels=[[5], [6]], ignore_index=-1).tolist() == [[-1], [-1]]


def test_the_loss_by_hand():
    logits = [[[0.0, math.log(3)], [0.0, 0.0], [9.0, 0.0]]]
    each = [-math.log(3 / 4), math.log(2)]
    found = ask("causal_lm_loss", logits=logits, labels=[[0, 1, 0]])
    assert found.item() == pytest.approx(sum(each) / 2)
    found = ask("causal_lm_loss", logits=logits, labels=[[0, -100, 0]])
    assert found.item() == pytest.approx(each[1])
    found = ask("causal_lm_loss", logits=logits, labels=[[0, 1, 0]], num_items_in_batch=4)
    assert found.item() == pytest.approx(sum(each) / 4)


def test_the_references_are_asked_in_transformers():
    for exercise in lesson.EXERCISES:
        assert not judging.expected_of(exercise).missing


def test_the_cases_hold_what_hides_bugs():
    def cases(name):
        return EXERCISES[name].draw_cases()

    for name in ("layer_norm", "rms_norm"):
        x = [case["x"] for case in cases(name)]
        assert any(0 < one.var() < 1e-4 for one in x), "eps is seen among small vectors"
        assert any(one.shape[-1] == one.shape[-2] for one in x if one.dim() > 1)
        assert {case.get("eps") for case in cases(name)} >= {None, 0.1, 1e-3}
        weights = [case["weight"] for case in cases(name)]
        assert all(not torch.allclose(weight, torch.ones(1).type_as(weight)) for weight in weights)
    assert any(case["x"].dtype == torch.float16 for case in cases("rms_norm"))
    weights = [case["weight"].shape for case in cases("conv1d")]
    assert {a == b for a, b in weights} == {True, False}
    assert any(case["labels"].shape[1] == 1 for case in cases("next_token_labels"))
    given = cases("causal_lm_loss")
    assert {case.get("ignore_index") for case in given} >= {None, 0, -1}
    assert {type(case.get("num_items_in_batch")) for case in given} == {
        type(None),
        int,
        torch.Tensor,
    }
    judged = [(case["labels"][:, 1:] != case.get("ignore_index", -100)).sum(1) for case in given]
    assert any(len(set(counts.tolist())) > 1 for counts in judged), "rows that count differently"
    assert any(case["logits"].dtype == torch.bfloat16 for case in given)


def test_the_catalogue_loads_without_torch():
    script = (
        "import sys; from minilm.check.catalogue import causal_lm; "
        "assert len(causal_lm.EXERCISES) == 8; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- right answers that are in no list -----------------------------------------------------------

RIGHT = [
    """
    def layer_norm(x, weight, bias, eps=1e-5):
        mu = torch.mean(x, axis=-1)[..., None]
        sigma = x.std(dim=-1, correction=0, keepdim=True)
        return weight * (x - mu) / torch.sqrt(sigma ** 2 + eps) + bias
    """,
    """
    def layer_norm(x, weight, bias, eps: float = 1e-5):
        n = x.size(-1)
        mean = x.sum(-1, keepdims=True) / n
        d = x - mean
        return torch.addcmul(bias, d * ((d * d).sum(-1, keepdims=True) / n + eps) ** -0.5, weight)
    """,
    """
    def layer_norm(x, weight, bias, eps=1e-5):
        norm = nn.LayerNorm(x.shape[-1], eps=eps, elementwise_affine=False)
        return torch.addcmul(bias, norm(x), weight)
    """,
    """
    def layer_norm(x, weight, bias, eps=1e-5):
        var = x.var(-1, keepdim=True, unbiased=False)
        mean = x.mean(-1, keepdim=True)
        return (x - mean) * (weight / (var + eps).sqrt()) + bias
    """,
    """
    def layer_norm(x, weight, bias, eps=1e-5):
        centred = x - x.mean(-1).unsqueeze(-1)
        return F.rms_norm(centred, centred.shape[-1:], weight, eps) + bias
    """,
    """
    def rms_norm(x, weight, eps=1e-6):
        norm = x.float().norm(2, dim=-1, keepdim=True) * x.shape[-1] ** -0.5
        return (x.float() / (norm.pow(2) + eps).sqrt()).type_as(x) * weight
    """,
    """
    def rms_norm(x, weight, eps=1e-6):
        dtype = x.dtype
        x = x.to(torch.float32)
        var = (x * x).mean(-1, keepdim=True)
        x = x * torch.rsqrt(var + eps)
        return weight * x.to(dtype)
    """,
    """
    def rms_norm(x, weight, eps=1e-6):
        wide = x.to(torch.float64)
        return ((wide / (wide ** 2).mean(-1, True).add(eps).sqrt()) * weight.double()).to(x.dtype)
    """,
    """
    def rms_norm(x, weight, eps=1e-6):
        return F.rms_norm(x, (x.shape[-1],), weight, eps)
    """,
    """
    def gelu_new(x):
        return 0.5 * x * (1.0 + torch.tanh((2 / math.pi) ** 0.5 * x * (1 + 0.044715 * x * x)))
    """,
    """
    def gelu_new(x):
        inner = 0.7978845608 * (x + 0.044715 * torch.pow(x, 3))
        return x / 2 + x / 2 * inner.tanh()
    """,
    """
    def gelu_new(x):
        return nn.GELU(approximate="tanh")(x)
    """,
    """
    def gelu_new(x):
        z = 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)
        return x / (1 + torch.exp(-z))
    """,
    """
    def swiglu(gate, up):
        return up * nn.functional.silu(gate)
    """,
    """
    def swiglu(gate, up):
        swish = nn.SiLU()
        return torch.mul(swish(gate), up)
    """,
    """
    def swiglu(gate, up):
        return F.glu(torch.cat([gate * up, gate], dim=-1), dim=-1)
    """,
    """
    def conv1d(x, weight, bias):
        return torch.matmul(x, weight).add(bias)
    """,
    """
    def conv1d(x, weight, bias):
        return F.linear(x, weight.t().contiguous()) + bias
    """,
    """
    def conv1d(x, weight, bias):
        return torch.tensordot(x, weight, dims=1) + bias
    """,
    """
    def conv1d(x, weight, bias):
        rows = x.view(-1, x.size(-1))
        out = torch.zeros(len(rows), weight.shape[1], dtype=x.dtype) + bias
        for i in range(weight.shape[0]):
            out = out + rows[:, i : i + 1] * weight[i]
        return out.view(x.size()[:-1] + (weight.shape[1],))
    """,
    """
    def pre_norm_block(x, attend, think, norm_1, norm_2):
        a, w = attend(norm_1(x))
        h = x + a
        return (h + think(norm_2(h)), w)
    """,
    """
    def pre_norm_block(x, attend, think, norm_1, norm_2):
        answer = attend(norm_1(x))
        out = x.clone()
        out += answer[0]
        out = out + think(norm_2(out))
        return out, answer[1]
    """,
    """
    def pre_norm_block(x, attend, think, norm_1, norm_2):
        mixed, weights = attend(norm_1(x))
        thought = think(norm_2(x + mixed))
        return x + mixed + thought, weights
    """,
    """
    def next_token_labels(labels, ignore_index=-100):
        out = torch.empty_like(labels).fill_(ignore_index)
        out[:, :-1] = labels[:, 1:]
        return out
    """,
    """
    def next_token_labels(labels, ignore_index=-100):
        last = torch.tensor([[ignore_index]]).expand(labels.shape[0], 1)
        return torch.hstack([labels[:, 1:], last])
    """,
    """
    def next_token_labels(labels, ignore_index=-100):
        new = labels.clone()
        T = labels.shape[1]
        for t in range(T - 1):
            new[:, t] = labels[:, t + 1]
        new[:, T - 1] = ignore_index
        return new
    """,
    """
    def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
        shift_logits = logits[..., :-1, :].contiguous().float()
        shift_labels = labels[..., 1:].contiguous()
        loss_fct = nn.CrossEntropyLoss(
            ignore_index=ignore_index, reduction="mean" if num_items_in_batch is None else "sum")
        loss = loss_fct(shift_logits.view(-1, shift_logits.size(-1)), shift_labels.view(-1))
        return loss if num_items_in_batch is None else loss / num_items_in_batch
    """,
    """
    def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
        target = losses.next_token_labels(labels, ignore_index)
        each = F.cross_entropy(
            logits.float().transpose(1, 2), target, ignore_index=ignore_index, reduction="none")
        n = (target != ignore_index).sum() if num_items_in_batch is None else num_items_in_batch
        return each.sum() / n
    """,
    """
    def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
        scores, after = logits[:, :-1].float().reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1)
        keep = after != ignore_index
        logp = scores[keep].log_softmax(-1)
        total = -logp[torch.arange(len(logp)), after[keep]].sum()
        if num_items_in_batch is None:
            return total / keep.sum()
        return total / num_items_in_batch
    """,
    """
    def layer_norm(x, weight, bias, eps=1e-5):
        c = x - torch.einsum("...c->...", x)[..., None] / x.shape[-1]
        v = torch.einsum("...c,...c->...", c, c) / x.shape[-1]
        return torch.einsum("...c,c->...c", c * torch.rsqrt(v + eps)[..., None], weight) + bias
    """,
    """
    def layer_norm(x, weight, bias, eps=1e-5):
        return torch.native_layer_norm(x, [x.shape[-1]], weight, bias, eps)[0]
    """,
    """
    def layer_norm(x, weight, bias, eps=1e-5):
        flat = x.reshape(-1, x.shape[-1])
        return F.group_norm(flat[:, :, None].mT.reshape(len(flat), 1, -1), 1, None, None, eps).reshape(x.shape) * weight + bias
    """,
    """
    def layer_norm(x, weight, bias, eps=1e-5):
        h = x.to(torch.float64)
        h = (h - h.mean(dim=-1, keepdim=True)) / torch.sqrt(torch.var(h, dim=-1, unbiased=False, keepdim=True) + eps)
        return (h * weight + bias).to(x.dtype)
    """,
    """
    def layer_norm(x, weight, bias, eps=1e-5):
        m = x.mean(-1, keepdim=True)
        v = (x**2).mean(-1, keepdim=True) - m**2
        return (x - m) * (v + eps) ** -0.5 * weight + bias
    """,
    """
    def rms_norm(x, weight, eps=1e-6):
        w = x.float(); ms = torch.einsum("...c,...c->...", w, w)[..., None] / x.shape[-1]
        return weight * (w / torch.sqrt(ms + eps)).to(x.dtype)
    """,
    """
    def rms_norm(x, weight, eps=1e-6):
        return F.rms_norm(x.float(), [x.size(-1)], weight.float(), eps).type(x.dtype)
    """,
    """
    def rms_norm(x, weight, eps=1e-6):
        w = x.to(torch.float32).unsqueeze(-2)
        ms = (w @ w.mT).squeeze(-1) / x.shape[-1]
        return (x.to(torch.float32) * (ms + eps).pow(-0.5)).to(dtype=x.dtype) * weight
    """,
    """
    def rms_norm(x, weight, eps=1e-6):
        flat = x.double().reshape(-1, x.size(-1))
        out = torch.stack([r / torch.sqrt(torch.dot(r, r) / r.numel() + eps) for r in flat])
        return (out.view(x.shape) * weight).to(x.dtype)
    """,
    """
    def rms_norm(x, weight, eps=1e-6):
        return nn.RMSNorm(x.shape[-1], eps=eps, elementwise_affine=False)(x.float()).to(x) * weight
    """,
    """
    def gelu_new(x):
        return x * 0.5 * (1 + torch.tanh(torch.tensor(2 / math.pi, dtype=x.dtype).sqrt() * torch.addcmul(x, x * x, x, value=0.044715)))
    """,
    """
    def gelu_new(x):
        return torch.sigmoid(1.5957691216057308 * (x + 0.044715 * x.pow(3))) * x
    """,
    """
    def gelu_new(x):
        return torch.stack([0.5 * v * (1 + torch.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) for v in x.reshape(-1)]).view_as(x)
    """,
    """
    def gelu_new(x):
        t = torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x ** 3))
        return torch.lerp(torch.zeros_like(x), x, (t + 1) / 2)
    """,
    """
    def gelu_new(x):
        return 0.5 * x * (1 + torch.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * torch.pow(x, 3))))
    """,
    """
    def swiglu(gate, up):
        return gate * up / (1 + (-gate).exp())
    """,
    """
    def swiglu(gate, up):
        return torch.einsum("...f,...f->...f", F.silu(gate), up)
    """,
    """
    def swiglu(gate, up):
        return gate * F.logsigmoid(gate).exp() * up
    """,
    """
    def swiglu(gate, up):
        return reduce(torch.mul, [gate, torch.sigmoid(gate), up])
    """,
    """
    def swiglu(gate, up):
        return torch.special.expit(gate) * gate * up
    """,
    """
    def swiglu(gate, up):
        return torch.stack([gate.sigmoid() * gate, up]).prod(0)
    """,
    """
    def conv1d(x, weight, bias):
        return torch.addmm(bias, x.flatten(0, -2) if x.dim() > 1 else x[None], weight).view(x.shape[:-1] + weight.shape[1:])
    """,
    """
    def conv1d(x, weight, bias):
        return F.linear(x, weight.mT, bias)
    """,
    """
    def conv1d(x, weight, bias):
        lin = nn.Linear(*weight.shape, dtype=x.dtype)
        return torch.func.functional_call(lin, {"weight": weight.T, "bias": bias}, x)
    """,
    """
    def conv1d(x, weight, bias):
        return (x.unsqueeze(-1) * weight).sum(-2) + bias
    """,
    """
    def conv1d(x, weight, bias):
        return reduce(torch.add, [x[..., i, None] * weight[i] for i in range(len(weight))], bias)
    """,
    """
    def conv1d(x, weight, bias):
        return torch.inner(x, weight.T) + bias
    """,
    """
    def pre_norm_block(x, attend, think, norm_1, norm_2):
        m, w = attend(norm_1(x))
        r = torch.stack([x, m]).sum(0)
        return sum([r, think(norm_2(r))]), w
    """,
    """
    def pre_norm_block(x, attend, think, norm_1, norm_2):
        m, *rest = attend(norm_1(x))
        x = m.add(x)
        return x.add(think(norm_2(x))), *rest
    """,
    """
    def pre_norm_block(x, attend, think, norm_1, norm_2):
        out = attend(norm_1(x))
        h = out[0] + x
        t = norm_2(h)
        t = think(t)
        return tuple([h + t, out[1]])
    """,
    """
    def pre_norm_block(x, attend, think, norm_1, norm_2):
        def residual(y, part): return y + part(y)
        kept = {}
        def a(y):
            kept["m"], kept["w"] = attend(norm_1(y))
            return kept["m"]
        x = residual(residual(x, a), lambda y: think(norm_2(y)))
        return x, kept["w"]
    """,
    """
    def next_token_labels(labels, ignore_index=-100):
        return torch.cat((labels.narrow(1, 1, labels.shape[1] - 1), labels.new_full((len(labels), 1), ignore_index)), 1)
    """,
    """
    def next_token_labels(labels, ignore_index=-100):
        T = labels.shape[1]
        return torch.where(torch.arange(T) < T - 1, labels.roll(-1, 1), ignore_index)
    """,
    """
    def next_token_labels(labels, ignore_index=-100):
        return labels.roll(-1, 1).index_fill(1, torch.tensor([labels.shape[1] - 1]), ignore_index)
    """,
    """
    def next_token_labels(labels, ignore_index=-100):
        out = np.full(labels.shape, ignore_index); out[:, :-1] = labels.numpy()[:, 1:]
        return torch.from_numpy(out)
    """,
    """
    def next_token_labels(labels, ignore_index=-100):
        return torch.stack([torch.cat([row[1:], torch.tensor([ignore_index])]) for row in labels])
    """,
    """
    def next_token_labels(labels, ignore_index=-100):
        end = torch.ones(labels.shape[0], dtype=torch.long) * ignore_index
        return torch.column_stack((labels[:, 1:], end))
    """,
    """
    def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
        t = labels[:, 1:]; keep = t.ne(ignore_index)
        lp = F.log_softmax(logits[:, :-1], dim=-1, dtype=torch.float32)
        nll = -torch.gather(lp, 2, t.masked_fill(~keep, 0).unsqueeze(2)).squeeze(2)
        nll = nll * keep
        return nll.sum() / (num_items_in_batch if num_items_in_batch is not None else keep.sum())
    """,
    """
    def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
        t = labels[:, 1:]; keep = t != ignore_index
        hot = F.one_hot(t.where(keep, torch.zeros_like(t)), logits.shape[-1]).float() * keep[..., None]
        total = -torch.einsum("btv,btv->", hot, logits[:, :-1].float().log_softmax(-1))
        return total / (keep.sum() if num_items_in_batch is None else num_items_in_batch)
    """,
    """
    def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
        L = logits.float()[:, :-1]; t = labels[:, 1:]; m = t != ignore_index
        z = torch.logsumexp(L, -1)[m] - L[m].gather(1, t[m][:, None])[:, 0]
        return z.mean() if num_items_in_batch is None else z.sum() / num_items_in_batch
    """,
    """
    def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
        lp = logits.float().log_softmax(-1).permute(0, 2, 1)
        t = losses.next_token_labels(labels, ignore_index)
        if num_items_in_batch is None: return nn.NLLLoss(ignore_index=ignore_index)(lp, t)
        return nn.NLLLoss(ignore_index=ignore_index, reduction="sum")(lp, t).div(num_items_in_batch)
    """,
    """
    def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
        totals = [F.cross_entropy(l[:-1].float(), t[1:], ignore_index=ignore_index, reduction="sum") for l, t in zip(logits, labels)]
        n = (labels[:, 1:] != ignore_index).sum() if num_items_in_batch is None else num_items_in_batch
        return torch.stack(totals).sum() / n
    """,
    """
    def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
        V = logits.size(-1)
        l = F.cross_entropy(logits.double()[:, :-1].reshape(-1, V), labels[:, 1:].reshape(-1), reduction="none", ignore_index=ignore_index).sum()
        return (l / (num_items_in_batch or (labels[:, 1:] != ignore_index).sum())).float()
    """,
]


@pytest.mark.parametrize(
    "source", RIGHT, ids=[f"{answer_of(s)[0]} {i}" for i, s in enumerate(RIGHT)]
)
def test_right_answers_that_are_in_no_list_pass(source):
    found, answer = verdict(source)
    assert found.right, messages.wrong(found, answer)


def test_every_exercise_has_such_answers():
    assert {answer_of(source)[0] for source in RIGHT} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(5, 9))
def test_right_answers_pass_on_many_draws(name, seed):
    exercise = EXERCISES[name]
    for answer in exercise.accepts:
        found = judging.judge(exercise, answer, judging.expected_of(exercise, seed))
        assert found.right, messages.wrong(found, answer)


# --- mistakes as readers type them ---------------------------------------------------------------

NAMED = [
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            return weight * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps) + bias
        """,
        "divides by C - 1, and adds eps outside the root",
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            mean, var = x.mean(-1, keepdim=True), x.var(-1, keepdim=True)
            return (x - mean) / torch.sqrt(var + eps) * weight + bias
        """,
        "divides the variance by C - 1",
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            return F.layer_norm(x, x.shape[-1:], weight, bias)
        """,
        "knows one eps only",
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            return F.layer_norm(x, x.shape[-1:], eps=eps)
        """,
        "forgets weight and bias",
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            mean, var = x.mean(), x.var(unbiased=False)
            return (x - mean) / torch.sqrt(var + eps) * weight + bias
        """,
        "norms everything at once",
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            mean = x.mean(0, keepdim=True)
            var = x.var(0, keepdim=True, unbiased=False)
            return (x - mean) / torch.sqrt(var + eps) * weight + bias
        """,
        "norms over the first axis",
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            return F.rms_norm(x, x.shape[-1:], weight, eps) + bias
        """,
        "never takes the mean away",
    ),
    (
        """
        def rms_norm(x, weight, eps=1e-6):
            return x / (x.pow(2).mean(-1, keepdim=True).sqrt() + eps) * weight
        """,
        "adds eps outside the root",
    ),
    (
        """
        def rms_norm(x, weight, eps=1e-6):
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight
        """,
        "squares in half precision",
    ),
    (
        """
        def rms_norm(x, weight, eps=1e-6):
            return weight * F.normalize(x.float(), dim=-1).to(x.dtype)
        """,
        "takes the sum of the squares",
    ),
    (
        """
        def rms_norm(x, weight, eps=1e-6):
            x32 = x.float()
            x32 = x32 - x32.mean(-1, keepdim=True)
            return (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype) * weight
        """,
        "takes the mean away",
    ),
    (
        """
        def rms_norm(x, weight, eps=1e-6):
            x32 = x.float()
            return (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True))).to(x.dtype) * weight
        """,
        "has no eps",
    ),
    ("def gelu_new(x):\n    return F.gelu(x)", "takes the exact GELU"),
    (
        "def gelu_new(x):\n    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))",
        "takes the exact GELU",
    ),
    ("def gelu_new(x):\n    return F.silu(x)", "takes SiLU"),
    (
        """
        def gelu_new(x):
            return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * x + 0.044715 * x ** 3))
        """,
        "scales x alone",
    ),
    (
        """
        def gelu_new(x):
            return x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))
        """,
        "forgets the half",
    ),
    ("def swiglu(gate, up):\n    return gate * F.silu(up)", "bends up instead of gate"),
    ("def swiglu(gate, up):\n    return gate.sigmoid() * up", "takes the sigmoid for silu"),
    ("def swiglu(gate, up):\n    return F.silu(gate * up)", "bends the product"),
    ("def swiglu(gate, up):\n    return F.gelu(gate) * up", "takes the exact GELU"),
    ("def conv1d(x, weight, bias):\n    return x @ weight.T + bias", "turns the weight round"),
    (
        "def conv1d(x, weight, bias):\n    return F.linear(x, weight, bias)",
        "turns the weight round",
    ),
    ("def conv1d(x, weight, bias):\n    return torch.matmul(x, weight)", "forgets the bias"),
    (
        "def conv1d(x, weight, bias):\n"
        "    return torch.addmm(bias, x.view(-1, x.size(-1)), weight)",
        "loses the shape of the batch",
    ),
    (
        """
        def pre_norm_block(x, attend, think, norm_1, norm_2):
            x = norm_1(x)
            mixed, weights = attend(x)
            x = x + mixed
            x = norm_2(x)
            return x + think(x), weights
        """,
        "adds to the normed stream",
    ),
    (
        """
        def pre_norm_block(x, attend, think, norm_1, norm_2):
            mixed, weights = attend(x)
            x = norm_1(x + mixed)
            return norm_2(x + think(x)), weights
        """,
        "norms after adding",
    ),
    (
        """
        def pre_norm_block(x, attend, think, norm_1, norm_2):
            mixed, weights = attend(norm_1(x))
            return x + mixed + think(norm_2(x)), weights
        """,
        "lets both read the same stream",
    ),
    (
        """
        def pre_norm_block(x, attend, think, norm_1, norm_2):
            x = x + attend(norm_1(x))
            x = x + think(norm_2(x))
            return x, None
        """,
        "adds attention's whole answer",
    ),
    (
        """
        def pre_norm_block(x, attend, think, norm_1, norm_2):
            mixed, weights = attend(norm_1(x))
            x += mixed
            x = x + think(norm_2(x))
            return x, weights
        """,
        "writes attention's answer into the stream",
    ),
    (
        """
        def pre_norm_block(x, attend, think, norm_1, norm_2):
            x = x.clone()
            mixed, weights = attend(norm_1(x))
            x += mixed
            x += think(norm_2(x))
            return x, weights
        """,
        "overwrites what the gradients need",
    ),
    (
        """
        @torch.no_grad()
        def layer_norm(x, weight, bias, eps=1e-5):
            return F.layer_norm(x, x.shape[-1:], weight, bias, eps)
        """,
        "loses the gradients",
    ),
    (
        """
        def gelu_new(x):
            y = F.gelu(x, approximate="tanh").tolist()
            return torch.tensor(y, dtype=x.dtype)
        """,
        "loses the gradients",
    ),
    (
        """
        def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
            target = losses.next_token_labels(labels, ignore_index)
            loss = F.cross_entropy(logits.float().flatten(0, 1), target.flatten(),
                ignore_index=ignore_index, reduction="mean" if num_items_in_batch is None else "sum")
            loss = loss if num_items_in_batch is None else loss / num_items_in_batch
            return torch.tensor(loss.item())
        """,
        "loses the gradients",
    ),
    (
        """
        def next_token_labels(labels, ignore_index=-100):
            return torch.roll(labels, -1, dims=1)
        """,
        "goes round at the end",
    ),
    ("def next_token_labels(labels, ignore_index=-100):\n    return labels", "does not shift"),
    (
        "def next_token_labels(labels, ignore_index=-100):\n    return labels[:, 1:]",
        "is one place shorter",
    ),
    (
        """
        def next_token_labels(labels, ignore_index=-100):
            return F.pad(labels[:, :-1], (1, 0), value=ignore_index)
        """,
        "shifts the other way",
    ),
    (
        """
        def next_token_labels(labels, ignore_index=-100):
            return F.pad(labels[:, 2:], (0, 2), value=ignore_index)[:, : labels.shape[1]]
        """,
        "shifts twice",
    ),
    (
        """
        def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
            loss = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(),
                ignore_index=ignore_index, reduction="mean" if num_items_in_batch is None else "sum")
            return loss if num_items_in_batch is None else loss / num_items_in_batch
        """,
        "does not shift",
    ),
    (
        """
        def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
            labels = losses.next_token_labels(labels, ignore_index)
            logits, labels = logits[:, :-1].float(), labels[:, 1:]
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(),
                ignore_index=ignore_index, reduction="mean" if num_items_in_batch is None else "sum")
            return loss if num_items_in_batch is None else loss / num_items_in_batch
        """,
        "shifts twice",
    ),
    (
        """
        def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
            target = losses.next_token_labels(labels, ignore_index)
            return F.cross_entropy(
                logits.float().flatten(0, 1), target.flatten(), ignore_index=ignore_index)
        """,
        "ignores num_items_in_batch",
    ),
    (
        """
        def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
            target = losses.next_token_labels(labels, ignore_index)
            p = logits.float().softmax(-1)
            loss = F.cross_entropy(p.flatten(0, 1), target.flatten(), ignore_index=ignore_index,
                reduction="mean" if num_items_in_batch is None else "sum")
            return loss if num_items_in_batch is None else loss / num_items_in_batch
        """,
        "takes the softmax first",
    ),
    (
        """
        def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
            total = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(),
                ignore_index=ignore_index, reduction="sum")
            return total / (labels.numel() if num_items_in_batch is None else num_items_in_batch)
        """,
        "counts the last place",
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            with torch.no_grad():
                m = x.mean(-1, keepdim=True); v = x.var(-1, unbiased=False, keepdim=True)
            return (x - m) / (v + eps).sqrt() * weight + bias
        """,
        None,
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            m = x.mean(-1, keepdim=True); s = x.std(-1, unbiased=False, keepdim=True)
            return (x - m) / torch.sqrt(s**2 + eps**2) * weight + bias
        """,
        "squares eps",
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            m = x.mean(-1, keepdim=True); s = x.std(-1, unbiased=False, keepdim=True)
            return (x - m) / s.clamp(min=eps) * weight + bias
        """,
        "takes eps for a floor",
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            m = x.mean(1, keepdim=True); v = x.var(1, unbiased=False, keepdim=True)
            return (x - m) / (v + eps).sqrt() * weight + bias
        """,
        "norms over axis 1",
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            m = x.mean(2, keepdim=True); v = x.var(2, unbiased=False, keepdim=True)
            return (x - m) / (v + eps).sqrt() * weight + bias
        """,
        "norms over axis 2",
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            n = x.detach().numpy(); m = n.mean(-1, keepdims=True); v = n.var(-1, keepdims=True)
            return torch.from_numpy((n - m) / np.sqrt(v + eps)) * weight + bias
        """,
        None,
    ),
    (
        """
        def layer_norm(x, weight, bias, eps=1e-5):
            ln = nn.LayerNorm(x.shape[-1], eps=eps)
            ln.weight = nn.Parameter(weight); ln.bias = nn.Parameter(bias)
            return ln(x)
        """,
        "makes parameters of its own",
    ),
    (
        """
        def rms_norm(x, weight, eps=1e-6):
            w = x.float(); rms = w.pow(2).mean(-1, keepdim=True).sqrt()
            return (w / rms.clamp(min=eps)).to(x.dtype) * weight
        """,
        "takes eps for a floor",
    ),
    (
        """
        def rms_norm(x, weight, eps=1e-6):
            return F.rms_norm(x, x.shape[-1:], weight)
        """,
        "leaves eps to torch",
    ),
    (
        """
        def rms_norm(x, weight, eps=1e-6):
            w = x.float()
            with torch.no_grad(): r = torch.rsqrt(w.pow(2).mean(-1, keepdim=True) + eps)
            return (w * r).to(x.dtype) * weight
        """,
        None,
    ),
    (
        """
        def rms_norm(x, weight, eps=1e-6):
            w = x.float()
            return (w * torch.rsqrt(w.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype) * weight.data
        """,
        None,
    ),
    (
        """
        def rms_norm(x, weight, eps=1e-6):
            w = x.float()
            return (w * torch.rsqrt(w.pow(2).mean(1, keepdim=True) + eps)).to(x.dtype) * weight
        """,
        "norms over axis 1",
    ),
    (
        """
        def rms_norm(x, weight, eps=1e-6):
            n = x.detach().float().numpy()
            return torch.tensor(n / np.sqrt((n**2).mean(-1, keepdims=True) + eps)).to(x.dtype) * weight
        """,
        None,
    ),
    (
        """
        def gelu_new(x):
            return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.0447 * x ** 3)))
        """,
        "rounds the constant",
    ),
    (
        """
        def gelu_new(x):
            return 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.044715 * x ** 3)))
        """,
        "rounds the factor",
    ),
    (
        """
        def gelu_new(x):
            return x.clone().detach().apply_(lambda v: 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))))
        """,
        "loses the gradients",
    ),
    (
        """
        def gelu_new(x):
            n = x.detach().numpy()
            return torch.from_numpy(0.5 * n * (1 + np.tanh(np.sqrt(2 / np.pi) * (n + 0.044715 * n**3)))).to(x.dtype)
        """,
        "loses the gradients",
    ),
    (
        """
        def gelu_new(x):
            return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * torch.tensor(x + 0.044715 * x ** 3)))
        """,
        None,
    ),
    (
        """
        def swiglu(gate, up):
            return F.silu(gate, inplace=True) * up
        """,
        "writes into the gate",
    ),
    (
        """
        def swiglu(gate, up):
            return F.silu(gate.detach()) * up
        """,
        None,
    ),
    (
        """
        def swiglu(gate, up):
            g, u = gate.detach().numpy(), up.detach().numpy()
            return torch.from_numpy(g / (1 + np.exp(-g)) * u)
        """,
        "loses the gradients",
    ),
    (
        """
        def conv1d(x, weight, bias):
            return torch.einsum("bti,io->bto", x, weight) + bias
        """,
        None,
    ),
    (
        """
        def conv1d(x, weight, bias):
            return torch.einsum("...i,oi->...o", x, weight) + bias
        """,
        "turns the weight round",
    ),
    (
        """
        def conv1d(x, weight, bias):
            lin = nn.Linear(weight.shape[0], weight.shape[1])
            lin.weight = nn.Parameter(weight.T); lin.bias = nn.Parameter(bias)
            return lin(x)
        """,
        None,
    ),
    (
        """
        def conv1d(x, weight, bias):
            return F.linear(x, weight.T, bias) + bias
        """,
        None,
    ),
    (
        """
        def conv1d(x, weight, bias):
            return torch.from_numpy(x.detach().numpy() @ weight.detach().numpy()) + bias
        """,
        None,
    ),
    (
        """
        def pre_norm_block(x, attend, think, norm_1, norm_2):
            with torch.no_grad():
                m, w = attend(norm_1(x))
            x = x + m
            return x + think(norm_2(x)), w
        """,
        "leaves attention out of training",
    ),
    (
        """
        def pre_norm_block(x, attend, think, norm_1, norm_2):
            h = x.detach().clone()
            m, w = attend(norm_1(h))
            h = h + m
            return h + think(norm_2(h)), w
        """,
        "cuts the stream",
    ),
    (
        """
        def pre_norm_block(x, attend, think, norm_1, norm_2):
            m, w = attend(norm_1(x))
            x = x + m
            return x.add_(think(norm_2(x))), w
        """,
        "overwrites what the gradients need",
    ),
    (
        """
        def pre_norm_block(x, attend, think, norm_1, norm_2):
            m, _ = attend(norm_1(x))
            x = x + m
            return x + think(norm_2(x)), None
        """,
        "returns None for the weights",
    ),
    (
        """
        def next_token_labels(labels, ignore_index=-100):
            flat = labels.flatten()
            return F.pad(flat[1:], (0, 1), value=ignore_index).view(labels.shape)
        """,
        "lets one text follow on another",
    ),
    (
        """
        def next_token_labels(labels, ignore_index=-100):
            out = labels.roll(-1, 1); out[-1, -1] = ignore_index
            return out
        """,
        "hides the end of the last text only",
    ),
    (
        """
        def next_token_labels(labels, ignore_index=-100):
            return F.pad(labels, (0, 1), value=ignore_index)
        """,
        "is one place longer",
    ),
    (
        """
        def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
            V = logits.shape[-1]
            s = logits.float().reshape(-1, V)[:-1]; t = labels.flatten()[1:]
            l = F.cross_entropy(s, t, ignore_index=ignore_index, reduction="sum")
            return l / ((t != ignore_index).sum() if num_items_in_batch is None else num_items_in_batch)
        """,
        "lets one text follow on another",
    ),
    (
        """
        def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
            l = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=ignore_index, reduction="sum")
            return l / ((labels != ignore_index).sum() if num_items_in_batch is None else num_items_in_batch)
        """,
        "counts before it shifts",
    ),
    (
        """
        def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
            l = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=ignore_index, reduction="sum")
            return l / (len(labels) if num_items_in_batch is None else num_items_in_batch)
        """,
        "divides by the number of texts",
    ),
    (
        """
        def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
            t = labels[:, 1:]; m = t >= 0
            lp = logits[:, :-1].float().log_softmax(-1)
            nll = -lp.gather(-1, t.clamp(min=0)[..., None])[..., 0] * m
            return nll.sum() / (m.sum() if num_items_in_batch is None else num_items_in_batch)
        """,
        "knows one ignore_index only",
    ),
    (
        """
        def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
            labels[:, 0] = ignore_index
            t = labels.roll(-1, 1)
            l = F.cross_entropy(logits.float().flatten(0, 1), t.flatten(), ignore_index=ignore_index, reduction="sum")
            return l / ((t != ignore_index).sum() if num_items_in_batch is None else num_items_in_batch)
        """,
        None,
    ),
    (
        """
        def causal_lm_loss(logits, labels, ignore_index=-100, num_items_in_batch=None):
            l = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=ignore_index)
            return l if num_items_in_batch is None else l * num_items_in_batch
        """,
        None,
    ),
]


@pytest.mark.parametrize(
    ("source", "mistake"), NAMED, ids=[f"{answer_of(s)[0]}: {m}" for s, m in NAMED]
)
def test_the_mistake_that_is_named_is_the_one_that_was_made(source, mistake):
    found, _ = verdict(source)
    assert not found.right
    assert (found.mistake.name if found.mistake else None) == mistake


def test_the_exact_gelu_is_found_out_though_it_is_so_near():
    x = torch.linspace(-6, 6, 1001)
    assert 1e-4 < (F.gelu(x) - layers.gelu_new(x)).abs().max() < 6e-4


def test_the_message_shows_a_block_that_can_be_worked_out_by_hand():
    found, answer = verdict(
        """
        def pre_norm_block(x, attend, think, norm_1, norm_2):
            mixed, weights = attend(x)
            x = x + mixed
            return x + think(norm_2(x)), weights
        """
    )
    message = messages.wrong(found, answer)
    assert "y → y/2 + 1" in message
    assert "forgets the first norm" in message


def test_a_block_is_asked_for_its_stream_its_weights_and_how_often_it_looked():
    given = use_block(layers.pre_norm_block, torch.ones(1, 2, 2), **parts())
    assert given["attend was called"] == 1
    assert set(given) == {"stream", "weights", "attend was called"}


def test_gradients_are_asked_for_where_something_is_trained():
    for name in NAMES:
        asking = [
            case
            for case in EXERCISES[name].draw_cases()
            if any(getattr(value, "requires_grad", False) for value in case.values())
        ]
        assert bool(asking) == (name != "next_token_labels")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "def rms_norm(x, weight, eps=1e-6):\n"
            "    scale = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + eps).detach()\n"
            "    return (x.float() * scale).to(x.dtype) * weight",
            "the gradient of x is not",
        ),
        (
            "def swiglu(gate, up):\n    return F.silu(gate.detach()) * up",
            "no gradient reaches gate",
        ),
        (
            "def gelu_new(x):\n"
            "    bent = torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))\n"
            "    bent += 1\n"
            "    return 0.5 * x * bent",
            "something that it needs was written over",
        ),
        (
            "def conv1d(x, weight, bias):\n    return x @ nn.Parameter(weight) + bias",
            "no gradient reaches weight",
        ),
    ],
)
def test_whose_way_back_is_cut_is_told_whose_gradient_is_lost(source, words):
    found, answer = verdict(source)
    assert not found.right
    assert found.mistake is None
    message = messages.wrong(found, answer)
    assert "The numbers are right" in message
    assert words in message


def test_numpy_is_not_mended_by_cutting_the_way_back():
    found, answer = verdict(
        "def gelu_new(x):\n"
        "    z = math.sqrt(2 / math.pi) * (x.numpy() + 0.044715 * x.numpy() ** 3)\n"
        "    return 0.5 * x * (1 + torch.from_numpy(np.tanh(z)))"
    )
    assert "numpy knows nothing of gradients" in messages.wrong(found, answer)


def test_labels_that_were_shifted_before_are_told_so():
    text = torch.tensor([[1, 2, 3, 4]])
    logits = torch.zeros(1, 4, 9)
    shifted = losses.next_token_labels(text)
    assert not torch.equal(losses.next_token_labels(shifted), shifted)
    assert losses.causal_lm_loss(logits, shifted).item() == pytest.approx(math.log(9))
