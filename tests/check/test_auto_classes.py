"""Lesson 07's catalogue: its references worked by hand, and answers that are in no list."""

from __future__ import annotations

import difflib
import importlib
import re
import subprocess
import sys
import textwrap
from decimal import Decimal
from fractions import Fraction

import pytest
import torch
from torch import nn

from minilm.check import catalogue, installing, judging, messages
from minilm.check.catalogue import auto_classes as lesson
from minilm.check.catalogue.auto_classes.common import Refused
from minilm.check.keeping import loaded
from minilm.check.parameters import fit
from minilm.config import OLDER_ROPE_NAMES
from minilm.errors import InvalidInput

EXERCISES = catalogue.all_exercises()


def verdict(name, answer):
    exercise = EXERCISES[name]
    return judging.judge(exercise, fit(answer, installing.own(exercise))[0])


# --- the references, worked by hand ------------------------------------------------------------

KNOWN = {"gpt2": 1, "llama": 2}
BY_HAND = [
    ("model_type_of", ({"model_type": "llama"}, KNOWN, "gpt2"), "llama"),
    (
        "model_type_of",
        ({"model_type": "lama"}, KNOWN, "gpt2"),
        Refused(names="llama and the place"),
    ),
    ("model_type_of", ({}, KNOWN, "gpt2"), Refused(names="the place")),
    ("class_at", ({"a": "fractions:Fraction"}, "a"), Fraction),
    ("class_at", ({"a": Decimal, "b": "nowhere:X"}, "a"), Decimal),
    ("register", ({}, "a", Decimal), {"a": Decimal}),
    ("register", ({"a": "decimal:Decimal"}, "a", Decimal), {"a": Decimal}),
    ("register", ({"a": Fraction}, "a", Decimal), (Refused(), {"a": Fraction})),
    ("register", ({"a": Fraction}, "a", Decimal, True), {"a": Decimal}),
    (
        "gather_rope",
        (
            {"rope_theta": 5.0, "rope_scaling": {"type": "linear", "factor": 2.0}},
            {"rope_theta": 10000.0},
        ),
        {"rope_theta": 5.0, "rope_type": "linear", "factor": 2.0},
    ),
    (
        "gather_rope",
        ({"rotary_pct": 0.5}, {"rope_theta": 10000.0, "partial_rotary_factor": 0.25}),
        {"rope_theta": 10000.0, "rope_type": "default", "partial_rotary_factor": 0.5},
    ),
    ("in_todays_name", ("bert.LayerNorm.gamma",), "bert.LayerNorm.weight"),
    ("in_todays_name", ("gamma.LayerNorm.beta",), "gamma.LayerNorm.bias"),
    (
        "match_keys",
        (["t.wte", "t.ln.weight", "head"], ["wte", "t.ln.gamma", "pooler"], "t"),
        ({"t.wte": "wte", "t.ln.weight": "t.ln.gamma"}, ["head"], ["pooler"]),
    ),
    ("match_keys", (["wte"], ["t.wte", "head"], "t"), ({"wte": "t.wte"}, [], ["head"])),
    (
        "plan_shards",
        ({"a": 6, "b": 6, "c": 2, "d": 6, "e": 2, "f": 2}, 10),
        [["a"], ["b", "c"], ["d", "e", "f"]],
    ),
    ("plan_shards", ({"a": 2, "b": 6, "c": 3}, 5), [["b"], ["a", "c"]]),
]


@pytest.mark.parametrize(("name", "case", "expected"), BY_HAND)
def test_a_reference_agrees_with_a_case_worked_by_hand(name, case, expected):
    assert EXERCISES[name].reference(*case) == expected


def test_the_cases_hold_what_hides_bugs():
    def cases(exercise):
        return exercise.draw_cases()

    types = cases(lesson.MODEL_TYPE_OF)
    names = [case["settings"].get("model_type") for case in types]
    assert any(name not in case["where"] for name, case in zip(names, types, strict=True) if name)
    assert {"model_type" in case["settings"] for case in types} == {True, False}
    assert any(str(name) != kind and str(name).startswith(kind) for name in names for kind in KNOWN)
    places = [case["table"][case["key"]] for case in cases(lesson.CLASS_AT)]
    assert any(isinstance(place, str) and "." in place for place in places)
    assert any(isinstance(place, type) for place in places)
    files = cases(lesson.GATHER_ROPE)
    assert any(case["settings"].get("rope_scaling", 0) is None for case in files)
    assert {name for case in files for name in case["settings"]} > set(OLDER_ROPE_NAMES)
    sizes = cases(lesson.PLAN_SHARDS)
    assert any(max(case["sizes"].values()) > case["max_shard_size"] for case in sizes)
    assert any(sum(case["sizes"].values()) == case["max_shard_size"] for case in sizes)


def test_the_catalogues_load_without_torch():
    script = (
        "import sys; from minilm.check.catalogue import auto_classes; "
        "assert len(auto_classes.EXERCISES) == 8; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- right answers that are in no list ---------------------------------------------------------


def a_friendly_type(settings, known, where):
    if "model_type" not in settings or settings["model_type"] is None:
        raise InvalidInput(f"no model_type in {where}")
    match settings["model_type"]:
        case name if name in known:
            return name
        case name:
            options = difflib.get_close_matches(name, list(known), n=1, cutoff=0.1)
            hint = f"Did you mean {options[0]}?" if options else f"unknown {name}"
            raise InvalidInput(f"{where}: {hint}")


def a_value_error_will_do(settings, known, where):
    if settings.get("model_type") in [*known]:
        return settings["model_type"]
    raise ValueError(f"{where}: expected one of {tuple(known)}")


def a_class_by_splitting(table, key):
    entry = table[key]
    if type(entry) is not str:
        return entry
    module, name = entry.split(":")
    return vars(importlib.import_module(module))[name]


def a_class_by_exec(table, key):
    if isinstance(table[key], str):
        scope = {}
        exec("from {} import {} as found".format(*table[key].split(":")), scope)
        return scope["found"]
    return table[key]


def a_registration_that_asks_first(table, key, chosen, exist_ok=False):
    from minilm import auto

    free = key not in table
    if not free and not exist_ok:
        old = auto.class_at(dict(table), key)
        free = old.__qualname__ == chosen.__qualname__ and old.__module__ == chosen.__module__
        if not free:
            raise ValueError("taken by " + old.__name__)
    table |= {key: chosen}


def rope_without_a_type(settings, defaults):
    found = {**(settings.get("rope_parameters") or {}), **(settings.get("rope_scaling") or {})}
    for older in reversed(OLDER_ROPE_NAMES):
        if settings.get(older) is not None:
            found.setdefault(OLDER_ROPE_NAMES[older], settings[older])
    found = defaults | found
    found["rope_type"] = found.pop("rope_type", None) or found.pop("type", "default")
    found.pop("type", None)
    return found


def a_name_by_removing_suffixes(name):
    for old, new in (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")):
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def keys_by_sets(expected, found, prefix):
    from minilm import weights

    expected, names = set(expected), {}
    for key in found:
        today = weights.in_todays_name(key)
        head, dot, rest = today.partition(".")
        ways = {today, prefix + "." + today} | ({rest} if dot and head == prefix else set())
        names.update(dict.fromkeys(ways & expected, key))
    return names, expected - set(names), set(found) - set(names.values())


def tied_by_parameters(model, name, source):
    *path, last = name.split(".")
    module = model.get_submodule(".".join(path))
    module._parameters[last] = dict(model.named_parameters(remove_duplicate=False))[source]


def shards_by_generator(sizes, max_shard_size):
    def files():
        open_file, room = [], max_shard_size
        for name, size in sizes.items():
            if size > max_shard_size:
                yield [name]
            elif size <= room:
                open_file.append(name)
                room -= size
            else:
                yield open_file
                open_file, room = [name], max_shard_size - size
        if open_file:
            yield open_file

    return list(files())


RIGHT = {
    "model_type_of": [a_friendly_type, a_value_error_will_do],
    "class_at": [a_class_by_splitting, a_class_by_exec],
    "register": [a_registration_that_asks_first],
    "gather_rope": [rope_without_a_type],
    "in_todays_name": [a_name_by_removing_suffixes],
    "match_keys": [keys_by_sets],
    "tie": [tied_by_parameters],
    "plan_shards": [shards_by_generator],
}


@pytest.mark.parametrize(
    ("name", "answer"), [(name, answer) for name, answers in RIGHT.items() for answer in answers]
)
def test_nobody_is_falsely_accused(name, answer):
    found = verdict(name, answer)
    assert found.right, messages.wrong(found, answer)


def test_every_exercise_has_such_an_answer():
    assert set(RIGHT) == {exercise.name for exercise in lesson.EXERCISES}


# --- wrong answers that are in no list, and what they are told ---------------------------------


def folder_first(settings, known, where):
    for name in known:
        if name in where.lower():
            return name
    if settings.get("model_type") not in known:
        raise InvalidInput(f"{where}: one of {list(known)}")
    return settings["model_type"]


def bare_lookup(settings, known, where):
    model_type = settings["model_type"]
    if model_type not in known:
        raise KeyError(f"unknown model type {model_type}")
    return model_type


def short_words(settings, known, where):
    if settings.get("model_type") in known:
        return settings["model_type"]
    raise ValueError("bad config")


def few_words(settings, known, where):
    if settings.get("model_type") in known:
        return settings["model_type"]
    raise ValueError(f"bad config in {where}")


def no_place(settings, known, where):
    if settings.get("model_type") in known:
        return settings["model_type"]
    raise ValueError(f"bad config, perhaps {list(known)}")


def split_at_dots(table, key):
    if not isinstance(table[key], str):
        return table[key]
    *module, name = table[key].split(".")
    return getattr(importlib.import_module(".".join(module)), name)


def attribute_forgotten(table, key):
    value = table[key]
    return importlib.import_module(value.split(":")[0]) if isinstance(value, str) else value


def always_splits(table, key):
    module, _, name = table[key].partition(":")
    table[key] = getattr(importlib.import_module(module), name)
    return table[key]


def plain_assignment(table, key, chosen, exist_ok=False):
    table[key] = chosen


def strict_about_keys(table, key, chosen, exist_ok=False):
    if key in table and not exist_ok:
        raise InvalidInput("taken")
    table[key] = chosen


def only_if_absent(table, key, chosen, exist_ok=False):
    if key not in table or exist_ok:
        table[key] = chosen


def defaults_last(settings, defaults):
    rope = dict(settings.get("rope_scaling") or settings.get("rope_parameters") or {})
    for older, today in OLDER_ROPE_NAMES.items():
        if settings.get(older) is not None:
            rope[today] = settings[older]
    rope["rope_type"] = rope.get("rope_type") or rope.get("type") or "default"
    return {**defaults, **rope}


def no_theta(settings, defaults):
    rope = dict(defaults)
    rope.update(settings.get("rope_scaling") or settings.get("rope_parameters") or {})
    rope.setdefault("rope_type", rope.get("type", "default"))
    return rope


def by_replace(name):
    return name.replace("beta", "bias").replace("gamma", "weight")


def by_suffix(name):
    if name.endswith("gamma"):
        return name.removesuffix("gamma") + "weight"
    return name.removesuffix("beta") + "bias" if name.endswith("beta") else name


def intersection(expected, found, prefix):
    expected, found = list(expected), list(found)
    names = {name: name for name in expected if name in found}
    return (
        names,
        [n for n in expected if n not in names],
        [k for k in found if k not in names],
    )


def strips_only(expected, found, prefix):
    from minilm import weights

    names = {}
    for key in found:
        name = weights.in_todays_name(key).removeprefix(prefix + ".")
        if name in expected:
            names[name] = key
    return names, set(expected) - set(names), set(found) - set(names.values())


def copy_into_data(model, name, source):
    model.get_parameter(name).data.copy_(model.get_parameter(source).data)


def same_storage(model, name, source):
    module = model.get_submodule(name.rpartition(".")[0])
    setattr(module, name.rpartition(".")[2], nn.Parameter(model.get_parameter(source).data))


def other_way(model, name, source):
    owner, _, attribute = source.rpartition(".")
    setattr(model.get_submodule(owner), attribute, model.get_parameter(name))


def whole_path(model, name, source):
    setattr(model, name, dict(model.named_parameters())[source])


def too_late(sizes, max_shard_size):
    files, current = [], []
    for name in sizes:
        current.append(name)
        if sum(sizes[each] for each in current) > max_shard_size:
            files.append(current)
            current = []
    if current:
        files.append(current)
    return files


def the_rest_is_lost(sizes, max_shard_size):
    files, current = [], []
    for name, size in sizes.items():
        if size > max_shard_size:
            files.append([name])
        elif sum(sizes[each] for each in current) + size > max_shard_size:
            files.append(current)
            current = [name]
        else:
            current.append(name)
    return files


NAMED = [
    ("model_type_of", folder_first, "goes by the folder's name"),
    ("model_type_of", bare_lookup, "lets a KeyError out"),
    ("model_type_of", short_words, "says neither where nor what is near"),
    ("model_type_of", few_words, "does not say what is near"),
    ("model_type_of", no_place, "does not say where"),
    (
        "model_type_of",
        lambda settings, known, where: settings["model_type"],
        "returns what nobody knows",
    ),
    ("class_at", split_at_dots, "splits at the last dot"),
    ("class_at", attribute_forgotten, "returns the module"),
    ("class_at", always_splits, "splits the class that it has stored"),
    ("register", plain_assignment, "overwrites whoever is there"),
    ("register", strict_about_keys, "refuses the same class again"),
    ("register", only_if_absent, "keeps the old one without a word"),
    ("gather_rope", defaults_last, "lets what stands beside go first"),
    ("gather_rope", no_theta, "forgets what stands beside"),
    ("in_todays_name", by_replace, "replaces it anywhere"),
    ("in_todays_name", by_suffix, "looks at the last letters"),
    ("match_keys", intersection, "takes equal names only"),
    ("match_keys", strips_only, "always takes the prefix away"),
    ("tie", copy_into_data, "copies the numbers"),
    ("tie", same_storage, "shares the memory between two parameters"),
    ("tie", other_way, "ties the wrong way"),
    ("tie", whole_path, "asks for an attribute with dots"),
    ("plan_shards", too_late, "one weight too many in a file"),
    ("plan_shards", the_rest_is_lost, "forgets the last file"),
]


@pytest.mark.parametrize(
    ("name", "answer", "mistake"), NAMED, ids=[f"{row[0]}: {row[2]}" for row in NAMED]
)
def test_the_mistake_that_is_named_is_the_one_that_was_made(name, answer, mistake):
    found = verdict(name, answer)
    assert not found.right
    assert (found.mistake.name if found.mistake else None) == mistake


def test_a_tie_is_told_what_can_be_seen_from_outside():
    message = messages.wrong(verdict("tie", copy_into_data), copy_into_data)
    assert "one tensor" in message
    assert "until the first step of training" in message.replace("\n", " ")


def test_a_class_from_a_cell_that_ran_twice_may_be_registered_again():
    from minilm import auto

    table = {}
    for _ in range(2):
        made = type("Mine", (), {"__module__": "__main__"})
        auto.register(table, "mine", made)
        assert table["mine"] is made


def test_what_is_tied_learns_as_one():
    from minilm.models.base import tie

    model = nn.ModuleDict({"wte": nn.Embedding(3, 2), "head": nn.Linear(2, 3, bias=False)})
    tie(model, "head.weight", "wte.weight")
    assert len(list(model.parameters())) == 1
    model["head"](model["wte"](torch.tensor([0, 2]))).square().sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert torch.equal(model["head"].weight, model["wte"].weight)


# --- the same, as readers type it --------------------------------------------------------------

IMPORTS = """\
import difflib, functools, importlib, operator, pkgutil, re, sys
from functools import reduce
from torch import nn
from minilm import auto, weights
from minilm.config import OLDER_ROPE_NAMES
from minilm.errors import InvalidInput
from minilm.weights import OLD_NAMES
"""


def typed(source):
    """The last of the functions in a source text, under the name of the exercise it answers."""
    source = textwrap.dedent(source)
    name = re.findall(r"^def (\w+)", source, re.MULTILINE)[-1]
    answer = loaded(IMPORTS + source, "<cell>")[name]
    exercise = EXERCISES[name]
    return judging.judge(exercise, fit(answer, installing.own(exercise))[0], in_place=True), answer


TYPED_RIGHT = [
    """
    def model_type_of(settings, known, where):
        mt = settings.get("model_type")
        if mt is None: raise InvalidInput(f"{where}: no model_type")
        if mt not in known:
            raise InvalidInput(f"{where}: {mt!r} unknown, did you mean {difflib.get_close_matches(mt, known)}?")
        return mt
    """,
    """
    def model_type_of(settings, known, where):
        hits = [k for k in known if k == settings.get("model_type")]
        if len(hits) == 1: return hits[0]
        raise ValueError(f"{settings!r} in {where}: {sorted(known)}")
    """,
    """
    def model_type_of(settings, known, where):
        if (mt := settings.get("model_type")) in known.keys(): return mt
        raise InvalidInput("In {}: {}, not in {}".format(where, mt, " ".join(known)))
    """,
    """
    def model_type_of(settings, known, where):
        try: mt = settings["model_type"]
        except KeyError: raise InvalidInput(f"{where} has no model_type") from None
        if mt in set(known): return mt
        raise InvalidInput(f"{mt} unknown in {where}; nearest: " + ", ".join(difflib.get_close_matches(str(mt), list(known), n=3, cutoff=0.3)))
    """,
    """
    def model_type_of(settings, known, where):
        mt = settings.get("model_type", None)
        if mt in known: return mt
        near = min(known, key=lambda k: -difflib.SequenceMatcher(None, k, str(mt)).ratio())
        raise InvalidInput(f"{mt} in {where} is not known; nearest is {near}")
    """,
    """
    def class_at(table, key):
        v = table[key]
        if isinstance(v, str):
            m, c = v.rsplit(":", 1)
            v = table[key] = getattr(importlib.import_module(m), c)
        return v
    """,
    """
    def class_at(table, key):
        v = table[key]
        if not isinstance(v, str): return v
        m, _, c = v.partition(":")
        return getattr(__import__(m, fromlist=[c]), c)
    """,
    """
    def class_at(table, key):
        if isinstance(table[key], type): return table[key]
        m, c = table[key].split(":")
        return operator.attrgetter(c)(importlib.import_module(m))
    """,
    """
    def class_at(table, key):
        if callable(table[key]): return table[key]
        m, c = table[key].split(":")
        __import__(m)
        table[key] = getattr(sys.modules[m], c)
        return table[key]
    """,
    """
    def class_at(table, key):
        try: m, c = table[key].split(":")
        except AttributeError: return table[key]
        return functools.reduce(getattr, c.split("."), importlib.import_module(m))
    """,
    """
    def register(table, key, chosen, exist_ok=False):
        if exist_ok: table[key] = chosen; return
        there = table.setdefault(key, chosen)
        if isinstance(there, str): there = pkgutil.resolve_name(there)
        if f"{there.__module__}.{there.__qualname__}" != f"{chosen.__module__}.{chosen.__qualname__}": raise InvalidInput(f"{key} taken")
        table[key] = chosen
    """,
    """
    def register(table, key, chosen, exist_ok=False):
        same = lambda a, b: a is b or (a.__module__, a.__name__) == (b.__module__, b.__name__)
        if not exist_ok and key in table and not same(auto.class_at(table, key), chosen):
            raise ValueError(f"There is a {table[key]} at {key}")
        table[key] = chosen
    """,
    """
    def register(table, key, chosen, exist_ok=False):
        old = table.get(key)
        if old is not None and not exist_ok:
            old = auto.class_at(table, key)
            if any(getattr(old, a) != getattr(chosen, a) for a in ("__module__", "__qualname__")): raise InvalidInput(key)
        table.__setitem__(key, chosen)
    """,
    """
    def register(table, key, chosen, exist_ok=False):
        try: old = auto.class_at(table, key)
        except KeyError: old = chosen
        if (old.__module__, old.__qualname__) == (chosen.__module__, chosen.__qualname__) or exist_ok: table |= {key: chosen}
        else: raise InvalidInput("taken")
    """,
    """
    def gather_rope(settings, defaults):
        from collections import ChainMap
        inside = next((settings[n] for n in ("rope_parameters", "rope_scaling") if settings.get(n)), {})
        beside = {new: settings[old] for old, new in OLDER_ROPE_NAMES.items() if settings.get(old) is not None}
        found = dict(ChainMap(inside, beside, defaults))
        found["rope_type"] = found.get("rope_type") or found.get("type") or "default"
        return found
    """,
    """
    def gather_rope(settings, defaults):
        out = dict(defaults)
        for old in OLDER_ROPE_NAMES:
            if old in settings and settings[old] is not None: out[OLDER_ROPE_NAMES[old]] = settings[old]
        for name in ("rope_scaling", "rope_parameters"):
            out.update(settings.get(name) or {})
        if "type" in out: out["rope_type"] = out.pop("type")
        out.setdefault("rope_type", "default")
        return out
    """,
    """
    def gather_rope(settings, defaults):
        inside = settings.get("rope_parameters", None) or settings.get("rope_scaling", None) or dict()
        beside = {OLDER_ROPE_NAMES[k]: v for k, v in settings.items() if k in OLDER_ROPE_NAMES and v is not None}
        return {"rope_type": inside.get("type", "default")} | {**defaults} | beside | {**inside}
    """,
    """
    def gather_rope(settings, defaults):
        pick = lambda d: {k: v for k, v in d.items() if v is not None}
        old = pick({new: settings.get(o) for o, new in OLDER_ROPE_NAMES.items() if settings.get(o) is not None})
        res = functools.reduce(operator.or_, [dict(defaults), old, dict(settings.get("rope_scaling") or {}), dict(settings.get("rope_parameters") or {})])
        res.setdefault("rope_type", res.get("type", "default"))
        return res
    """,
    """
    def in_todays_name(name):
        *path, last = name.split(".")
        return ".".join(path + [dict(gamma="weight", beta="bias").get(last, last)])
    """,
    r"""
    def in_todays_name(name):
        return re.sub(r"(^|\.)beta$", r"\1bias", re.sub(r"(^|\.)gamma$", r"\1weight", name))
    """,
    """
    def in_todays_name(name):
        at = name.rfind(".") + 1
        return name[:at] + OLD_NAMES.get(name[at:], name[at:])
    """,
    """
    def in_todays_name(name):
        return reduce(lambda n, p: n[: -len(p[0])] + p[1] if ("." + n).endswith("." + p[0]) else n, OLD_NAMES.items(), name)
    """,
    """
    def match_keys(expected, found, prefix):
        expected, found = list(expected), list(found)
        today = {weights.in_todays_name(k): k for k in found}
        cut = lambda s: s[len(prefix) + 1:] if s.startswith(prefix + ".") else s
        table = {cut(t): k for t, k in today.items()}
        names = {e: table[cut(e)] for e in expected if cut(e) in table}
        return names, [e for e in expected if e not in names], [k for k in found if k not in set(names.values())]
    """,
    """
    def match_keys(expected, found, prefix):
        names, exp = {}, set(expected)
        left = []
        for k in found:
            t = weights.in_todays_name(k)
            for form in (t, f"{prefix}.{t}", t.removeprefix(f"{prefix}.")):
                if form in exp:
                    names.setdefault(form, k); break
            else: left.append(k)
        return names, sorted(exp - names.keys()), left
    """,
    """
    def in_todays_name(name):
        for a, b in (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")):
            if name.endswith(a): name = name[: -len(a)] + b
        return name
    def match_keys(expected, found, prefix):
        expected, found = list(expected), list(found)
        cut = lambda s: s.removeprefix(prefix + ".")
        table = {cut(in_todays_name(k)): k for k in found}
        names = {e: table[cut(e)] for e in expected if cut(e) in table}
        return names, [e for e in expected if e not in names], [k for k in found if k not in names.values()]
    """,
    r"""
    def match_keys(expected, found, prefix):
        found = list(found)
        strip = re.compile("^" + re.escape(prefix) + r"\.")
        names = {e: k for e in expected for k in found if strip.sub("", weights.in_todays_name(k), count=1) == strip.sub("", e, count=1)}
        return names, [e for e in expected if e not in names], [k for k in found if k not in names.values()]
    """,
    """
    def match_keys(expected, found, prefix):
        missing, left, names = list(expected), list(found), {}
        for e in list(missing):
            for k in list(left):
                t = weights.in_todays_name(k)
                if e in (t, prefix + "." + t) or prefix + "." + e == t:
                    names[e] = k; missing.remove(e); left.remove(k); break
        return names, missing, left
    """,
    """
    def tie(model, name, source):
        mod, _, attr = name.rpartition(".")
        sub, _, sattr = source.rpartition(".")
        setattr(functools.reduce(getattr, mod.split(".") if mod else [], model), attr, getattr(model.get_submodule(sub), sattr))
    """,
    """
    def tie(model, name, source):
        owner = dict(model.named_modules())[name.rpartition(".")[0]]
        p = operator.attrgetter(source)(model)
        delattr(owner, name.split(".")[-1])
        owner.register_parameter(name.split(".")[-1], p)
    """,
    """
    def tie(model, name, source):
        def find(m, path): return m if not path else find(m._modules[path[0]], path[1:])
        *p, a = name.split("."); *q, b = source.split(".")
        find(model, p)._parameters[a] = find(model, q)._parameters[b]
    """,
    """
    def tie(model, name, source):
        for n, m in model.named_modules():
            for a in list(m._parameters):
                if (n + "." + a).lstrip(".") == name: setattr(m, a, model.get_parameter(source))
        return model
    """,
    """
    def plan_shards(sizes, max_shard_size):
        done, cur = [], []
        for n in sizes:
            if sizes[n] > max_shard_size: done += [[n]]
            elif sum(map(sizes.get, cur)) + sizes[n] > max_shard_size: done += [cur]; cur = [n]
            else: cur += [n]
        return done + [cur] * bool(cur)
    """,
    """
    def plan_shards(sizes, max_shard_size):
        def step(s, it):
            d, c, f = s; n, z = it
            if z > max_shard_size: return d + [[n]], c, f
            if f + z > max_shard_size: return d + [c], [n], z
            return d, c + [n], f + z
        d, c, _ = reduce(step, sizes.items(), ([], [], 0))
        return d + [c] if c else d
    """,
    """
    def plan_shards(sizes, max_shard_size):
        queue = list(sizes.items()); out = []; block = {}
        while queue:
            n, z = queue.pop(0)
            if z > max_shard_size: out.append([n]); continue
            if sum(block.values()) + z > max_shard_size:
                out.append(list(block)); block = {}
            block[n] = z
        if len(block) > 0: out.append(list(block))
        return out
    """,
    """
    def plan_shards(sizes, max_shard_size):
        it = iter(sizes); out = []; cur = []; room = max_shard_size
        for n in it:
            z = sizes[n]
            if z > max_shard_size: out.append((n,)); continue
            if z > room: out.append(cur.copy()); cur.clear(); room = max_shard_size
            cur.append(n); room -= z
        cur and out.append(cur)
        return out
    """,
]


@pytest.mark.parametrize("source", TYPED_RIGHT)
def test_right_answers_as_they_are_typed_pass(source):
    found, answer = typed(source)
    assert found.right, messages.wrong(found, answer)


TYPED_WRONG = [
    (
        """
        def model_type_of(settings, known, where):
            mt = settings.pop("model_type", None)
            if mt in known: return mt
            raise InvalidInput(f"{mt} in {where}: {list(known)}")
        """,
        None,
    ),
    (
        """
        def model_type_of(settings, known, where):
            mt = settings.get("model_type") or ""
            for k in known:
                if k in mt: return k
            raise InvalidInput(f"{mt} in {where}: {list(known)}")
        """,
        "takes what begins alike",
    ),
    (
        """
        def model_type_of(settings, known, where):
            mt = settings.get("model_type")
            if mt in str(list(known)): return mt
            raise InvalidInput(f"{mt} in {where}: {list(known)}")
        """,
        None,
    ),
    (
        """
        def model_type_of(settings, known, where):
            assert settings.get("model_type") in known, f"{where} {list(known)}"
            return settings["model_type"]
        """,
        None,
    ),
    (
        """
        def class_at(table, key):
            if not isinstance(table[key], str): return table[key]
            m, c = table[key].split(":")
            return getattr(sys.modules[m], c)
        """,
        "finds only what is imported",
    ),
    (
        """
        CACHE = {}
        def class_at(table, key):
            if key not in CACHE:
                v = table[key]
                CACHE[key] = pkgutil.resolve_name(v) if isinstance(v, str) else v
            return CACHE[key]
        """,
        "remembers by the key alone",
    ),
    (
        """
        def class_at(table, key):
            if not isinstance(table[key], str): return table[key]
            try:
                m, c = table[key].split(":")
                return getattr(importlib.import_module(m), c)
            except ImportError: return None
        """,
        "returns None where nothing is",
    ),
    (
        """
        def class_at(table, key):
            if not isinstance(table[key], str): return table[key]
            m, c = table[key].split(":")
            return getattr(importlib.import_module(m), c, None)
        """,
        "returns None where nothing is",
    ),
    (
        """
        def class_at(table, key):
            v = table[key]; v = pkgutil.resolve_name(v) if isinstance(v, str) else v
            table.clear(); table[key] = v
            return v
        """,
        "throws the others away",
    ),
    (
        """
        def register(table, key, chosen, exist_ok=False):
            if key in table and not exist_ok and auto.class_at(table, key).__name__ != chosen.__name__: raise InvalidInput("taken")
            table[key] = chosen
        """,
        "compares names alone",
    ),
    (
        """
        def register(table, key, chosen, exist_ok=False):
            if key in table and not exist_ok:
                t = table[key] if isinstance(table[key], str) else f"{table[key].__module__}:{table[key].__qualname__}"
                if t != f"{chosen.__module__}:{chosen.__qualname__}": raise InvalidInput("taken")
            table[key] = chosen
        """,
        "compares places",
    ),
    (
        """
        def register(table, key, chosen, exist_ok=False):
            if key in table and not exist_ok and not issubclass(chosen, auto.class_at(table, key)): raise InvalidInput("taken")
            table[key] = chosen
        """,
        "refuses a class that was defined anew",
    ),
    (
        """
        def register(table, key, chosen, exist_ok=False):
            if key in table and not exist_ok:
                t = auto.class_at(table, key)
                if (t.__module__, t.__qualname__) != (chosen.__module__, chosen.__qualname__): raise InvalidInput("taken")
                return
            table[key] = chosen
        """,
        "keeps the class of the first run",
    ),
    (
        """
        def register(table, key, chosen, exist_ok=False):
            if key in table and not exist_ok and repr(auto.class_at(table, key)) != repr(chosen): raise InvalidInput("taken")
            table[key] = f"{chosen.__module__}:{chosen.__qualname__}"
        """,
        None,
    ),
    (
        """
        def gather_rope(settings, defaults):
            inside = dict(settings.get("rope_scaling") or settings.get("rope_parameters") or {})
            theta = settings.get("rope_theta") or settings.get("rotary_emb_base") or 10000.0
            out = {"rope_theta": theta}
            if "partial_rotary_factor" in defaults or settings.get("partial_rotary_factor"):
                out["partial_rotary_factor"] = settings.get("partial_rotary_factor") or settings.get("rotary_pct") or defaults["partial_rotary_factor"]
            out.update(inside)
            out.setdefault("rope_type", out.get("type", "default"))
            return out
        """,
        "takes 10,000 for granted",
    ),
    (
        """
        def gather_rope(settings, defaults):
            inside = dict(settings.get("rope_scaling") or settings.get("rope_parameters") or {})
            out = {"rope_theta": settings.get("rope_theta") or settings.get("rotary_emb_base") or defaults["rope_theta"]}
            out["partial_rotary_factor"] = settings.get("partial_rotary_factor") or settings.get("rotary_pct") or 0.25
            out.update(inside)
            out.setdefault("rope_type", out.get("type", "default"))
            return out
        """,
        None,
    ),
    (
        """
        def gather_rope(settings, defaults):
            out = dict(defaults)
            for o, n in OLDER_ROPE_NAMES.items():
                if settings.get(o) is not None: out[n] = settings[o]
            out["rope_scaling"] = settings.get("rope_scaling") or settings.get("rope_parameters") or {}
            out["rope_type"] = out["rope_scaling"].get("rope_type", out["rope_scaling"].get("type", "default"))
            return out
        """,
        None,
    ),
    (
        """
        def gather_rope(settings, defaults):
            out = dict(defaults)
            for o, n in OLDER_ROPE_NAMES.items():
                v = settings.pop(o, None)
                if v is not None: out[n] = v
            out.update(settings.pop("rope_scaling", None) or settings.pop("rope_parameters", None) or {})
            out.setdefault("rope_type", out.get("type", "default"))
            return out
        """,
        None,
    ),
    (
        """
        def in_todays_name(name):
            for o, n in OLD_NAMES.items():
                name = name.replace("." + o, "." + n, 1)
            return name
        """,
        None,
    ),
    (
        """
        def in_todays_name(name):
            head, dot, last = name.rpartition(".")
            return head + dot + OLD_NAMES[last]
        """,
        "stops at other names",
    ),
    (
        """
        def in_todays_name(name):
            head, dot, last = name.partition(".")
            return head + dot + OLD_NAMES.get(last, last)
        """,
        "splits at the first dot",
    ),
    (
        """
        def match_keys(expected, found, prefix):
            expected, found = list(expected), list(found)
            cut = lambda s: s.removeprefix("transformer.")
            table = {cut(weights.in_todays_name(k)): k for k in found}
            names = {e: table[cut(e)] for e in expected if cut(e) in table}
            return names, [e for e in expected if e not in names], [k for k in found if k not in names.values()]
        """,
        "knows one prefix only",
    ),
    (
        """
        def match_keys(expected, found, prefix):
            expected, found = list(expected), list(found)
            names = {}
            for k in found:
                t = weights.in_todays_name(k)
                for f in (t, prefix + "." + t, t.partition(".")[2]):
                    if f in expected and f not in names: names[f] = k; break
            return names, [e for e in expected if e not in names], [k for k in found if k not in names.values()]
        """,
        "takes any first piece away",
    ),
    (
        """
        def match_keys(expected, found, prefix):
            expected, found = list(expected), list(found)
            cut = lambda s: s[len(prefix) + 1:] if s.startswith(prefix) and prefix else s
            table = {cut(weights.in_todays_name(k)): k for k in found}
            names = {e: table[cut(e)] for e in expected if cut(e) in table}
            return names, [e for e in expected if e not in names], [k for k in found if k not in names.values()]
        """,
        "takes the letters of the prefix away without its dot",
    ),
    (
        """
        def match_keys(expected, found, prefix):
            expected, found = list(expected), list(found)
            cut = lambda s: s.removeprefix(prefix).lstrip(".")
            table = {cut(weights.in_todays_name(k)): k for k in found}
            names = {e: table[cut(e)] for e in expected if cut(e) in table}
            return names, [e for e in expected if e not in names], [k for k in found if k not in names.values()]
        """,
        "takes the prefix away, and then the dot",
    ),
    (
        """
        def match_keys(expected, found, prefix):
            expected, found = list(expected), list(found)
            names = {}
            for e in expected:
                for k in found:
                    t = weights.in_todays_name(k)
                    if t.endswith(e) or e.endswith(t): names[e] = k; break
            return names, [e for e in expected if e not in names], [k for k in found if k not in names.values()]
        """,
        "compares the last letters of names",
    ),
    (
        """
        def match_keys(expected, found, prefix):
            expected, found = list(expected), [weights.in_todays_name(k) for k in found]
            cut = lambda s: s.removeprefix(prefix + ".")
            table = {cut(k): k for k in found}
            names = {e: table[cut(e)] for e in expected if cut(e) in table}
            return names, [e for e in expected if e not in names], [k for k in found if k not in names.values()]
        """,
        "gives the key its name of today",
    ),
    (
        """
        def match_keys(expected, found, prefix):
            names = {}
            for e in expected:
                for k in found:
                    t = weights.in_todays_name(k)
                    if e in (t, prefix + "." + t) or prefix + "." + e == t:
                        names[e] = k; found.remove(k); break
            return names, [e for e in expected if e not in names], found
        """,
        None,
    ),
    (
        """
        def tie(model, name, source):
            model.get_submodule(name.rpartition(".")[0]).weight = model.get_submodule(source.rpartition(".")[0]).weight
        """,
        "knows weights only",
    ),
    (
        """
        def tie(model, name, source):
            import copy
            o, _, a = name.rpartition(".")
            setattr(model.get_submodule(o), a, copy.deepcopy(model.get_parameter(source)))
        """,
        "copies the numbers",
    ),
    (
        """
        def tie(model, name, source):
            o, _, a = name.rpartition(".")
            object.__setattr__(model.get_submodule(o), a, model.get_parameter(source))
        """,
        "leaves the model as it was",
    ),
    (
        """
        def tie(model, name, source):
            p = nn.Parameter(model.get_parameter(source).data)
            for n in (name, source):
                o, _, a = n.rpartition("."); setattr(model.get_submodule(o), a, p)
        """,
        "makes a new one for both",
    ),
    (
        """
        def plan_shards(sizes, max_shard_size):
            out, cur, f = [], [], 0
            for n, z in sizes.items():
                if z > max_shard_size: out.append([n]); continue
                if f + z > max_shard_size: out.append(cur); cur.clear(); f = 0
                cur.append(n); f += z
            if cur: out.append(cur)
            return out
        """,
        "clears the list that it has kept",
    ),
    (
        """
        def plan_shards(sizes, max_shard_size):
            out = [[]]; f = 0
            for n, z in sizes.items():
                if z > max_shard_size: out.append([n]); continue
                if f + z > max_shard_size: out.append([]); f = 0
                out[-1].append(n); f += z
            return [o for o in out if o]
        """,
        "fills the large one's file",
    ),
    (
        """
        def plan_shards(sizes, max_shard_size):
            out = [[]]; cur = 0; f = 0
            for n, z in sizes.items():
                if z > max_shard_size: out.append([n]); continue
                if f + z > max_shard_size: out.append([]); cur = len(out) - 1; f = 0
                out[cur].append(n); f += z
            return [o for o in out if o]
        """,
        "numbers the files when they begin",
    ),
    (
        """
        def plan_shards(sizes, max_shard_size):
            out, cur, f, big = [], [], 0, []
            for n, z in sizes.items():
                if z > max_shard_size: big.append([n]); continue
                if f + z > max_shard_size: out.append(cur); cur, f = [], 0
                cur.append(n); f += z
            return big + out + ([cur] if cur else [])
        """,
        None,
    ),
    (
        """
        def plan_shards(sizes, max_shard_size):
            out, cur, f = [], [], 0
            for n, z in reversed(sizes.items()):
                if z > max_shard_size: out.append([n]); continue
                if f + z > max_shard_size: out.append(cur); cur, f = [], 0
                cur.append(n); f += z
            return out + ([cur] if cur else [])
        """,
        None,
    ),
    (
        """
        def plan_shards(sizes, max_shard_size):
            out, cur, f = [], [], 0
            for n, z in sizes.items():
                if z > max_shard_size: out.append([n]); continue
                if f + z > max_shard_size: out.append(cur); cur, f = [], 0
                else: cur.append(n); f += z
            return out + ([cur] if cur else [])
        """,
        "loses what did not fit",
    ),
    (
        """
        def plan_shards(sizes, max_shard_size):
            out, cur, f = [], [], 0
            for n, z in sizes.items():
                if z > max_shard_size: out.append([n]); f = 0; continue
                if f + z > max_shard_size: out.append(cur); cur, f = [], 0
                cur.append(n); f += z
            return out + ([cur] if cur else [])
        """,
        "forgets how full the file was",
    ),
]


@pytest.mark.parametrize(("source", "mistake"), TYPED_WRONG, ids=[str(m) for _, m in TYPED_WRONG])
def test_wrong_answers_as_they_are_typed_do_not_pass(source, mistake):
    found, answer = typed(source)
    assert not found.right
    assert (found.mistake.name if found.mistake else None) == mistake
    assert messages.wrong(found, answer)


def test_the_module_that_is_made_not_imported_is_there_again_afterwards():
    import wave

    found, _ = typed("def class_at(table, key):\n    return table[key]")
    assert not found.right
    assert sys.modules["wave"] is wave
