"""The exercises in_todays_name and match_keys, and their known mistakes."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from minilm.check.catalogue.auto_classes.common import LESSON
from minilm.check.exercise import Case, Exercise, Mistake

TODAY = {"gamma": "weight", "beta": "bias"}

# --- in_todays_name -----------------------------------------------------------------------------


def reference_name_today(name):
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    for renaming in get_checkpoint_conversion_mapping("legacy"):
        name = re.sub(renaming.source_patterns[0] + "$", renaming.target_patterns[0], name)
    return name


def renamed(name, today=TODAY):
    head, dot, last = name.rpartition(".")
    return head + dot + today.get(last, last)


def by_endings(name):
    if name == "gamma" or name.endswith(".gamma"):
        return name[:-5] + "weight"
    return name[:-4] + "bias" if name == "beta" or name.endswith(".beta") else name


def by_pieces(name):
    pieces = name.split(".")
    pieces[-1] = TODAY.get(pieces[-1], pieces[-1])
    return ".".join(pieces)


def by_pattern(name):
    return re.sub(r"(?<![^.])(gamma|beta)$", lambda found: TODAY[found[0]], name)


def draw_names(draw: random.Random) -> list[Case]:
    names = [
        "weight",
        "h.0.ln_1.weight",
        "bert.LayerNorm.gamma",
        "bert.LayerNorm.beta",
        "LayerNorm.gamma",
        "LayerNorm.beta",
        "lm_head.bias",
        "gamma.weight",
        "beta_block.weight",
        "layer.gamma.bias",
        "layer.log_gamma",
        "layer.alphabeta",
        "Encoder.Layer.LayerNorm.weight",
        "encoder.gamma_block.LayerNorm.gamma",
        "encoder.beta.LayerNorm.beta",
    ]
    for _ in range(8):
        pieces = draw.choices(["encoder", "layer", "0", "11", "attention", "output"], k=3)
        last = draw.choice(["gamma", "beta", "weight", "bias"])
        names.append(".".join([*pieces, "LayerNorm", last]))
    return [{"name": name} for name in names]


IN_TODAYS_NAME = Exercise(
    answer="minilm.weights:in_todays_name",
    lesson=LESSON,
    cases=draw_names,
    reference=reference_name_today,
    reference_name="transformers' table of old names",
    mistakes=[
        Mistake(
            "replaces it anywhere",
            lambda name: name.replace("gamma", "weight").replace("beta", "bias"),
            "replace changes every place where the letters stand, in the names of modules too. "
            "Only the last piece is the parameter.",
        ),
        Mistake(
            "renames modules as well",
            lambda name: ".".join(TODAY.get(piece, piece) for piece in name.split(".")),
            "A piece in the middle is a module, and keeps its name even if it is called gamma. "
            "Only the last piece is the parameter.",
        ),
        Mistake(
            "looks at the last letters",
            lambda name: re.sub("gamma$", "weight", re.sub("beta$", "bias", name)),
            "A parameter called log_gamma ends with these letters too, and is another. Compare "
            "the whole piece behind the last dot.",
        ),
        Mistake(
            "exchanges the two",
            lambda name: renamed(name, {"gamma": "bias", "beta": "weight"}),
            "gamma is what a norm multiplies by: its weight. beta is what it adds: its bias. Both "
            "have the same shape, so nothing would tell.",
        ),
        Mistake(
            "knows gamma only",
            lambda name: renamed(name, {"gamma": "weight"}),
            "beta is left as it is, so every bias of a norm would be missing. OLD_NAMES has both.",
        ),
        Mistake(
            "splits at the first dot",
            lambda name: (
                name.partition(".")[0]
                + name.partition(".")[1]
                + TODAY.get(name.partition(".")[2], name.partition(".")[2])
            ),
            "`partition` splits at the first dot, and there may be many. The parameter stands "
            "behind the last one: rpartition.",
        ),
        Mistake(
            "returns the last piece alone",
            lambda name: TODAY.get(name.rpartition(".")[2], name.rpartition(".")[2]),
            "The path before the last dot is lost, and with it to which layer the weight belongs.",
        ),
        Mistake(
            "loses the dot",
            lambda name: "".join(renamed(name).rpartition(".")[::2]),
            "The path and the parameter are joined without the dot between them.",
        ),
        Mistake(
            "begins with a dot",
            lambda name: f"{name.rpartition('.')[0]}.{renamed(name).rpartition('.')[2]}",
            "A name without a path comes back with a dot before it. rpartition gives the dot, or "
            "nothing where there is none.",
        ),
        Mistake(
            "stops at other names",
            lambda name: ".".join([*name.split(".")[:-1], TODAY[name.split(".")[-1]]]),
            "A name that is in no table raises a KeyError, and nearly all names are: use "
            ".get(last, last).",
        ),
        Mistake(
            "returns nothing for other names",
            lambda name: renamed(name) if renamed(name) != name else None,
            "A name that is today's already comes back as it is; yours gives None.",
        ),
        Mistake(
            "goes back in time",
            lambda name: renamed(name, {"weight": "gamma", "bias": "beta"}),
            "It gives today's names the old ones. The file has the old name, the model today's.",
        ),
        Mistake(
            "writes everything small",
            lambda name: renamed(name.lower()),
            "Names of modules have capital letters, LayerNorm among them, and must stay as they "
            "are.",
        ),
        Mistake(
            "drops the first piece",
            lambda name: renamed(name).partition(".")[2] or renamed(name),
            "The first piece is the body's prefix, and not every file has one. That is the next "
            "function's work; here only the last piece changes.",
        ),
    ],
    accepts=[renamed, by_endings, by_pieces, by_pattern],
)

# --- match_keys ---------------------------------------------------------------------------------


def reference_match(expected, found, prefix):
    """For every name, by looking at every key: as it is, and with the prefix on either side."""

    def bare(name):
        start = prefix + "."
        return name[len(start) :] if name.startswith(start) else name

    names = {}
    for name in expected:
        keys = [key for key in found if bare(by_endings(key)) == bare(name)]
        if keys:
            names[name] = keys[0]
    missing = [name for name in expected if name not in names]
    return names, sorted(missing), sorted(set(found) - set(names.values()))


def use_in_any_order(function, **case):
    """What is found; in what order the rest is told makes no difference."""
    answer = function(**case)
    if not (isinstance(answer, tuple | list) and len(answer) == 3):
        return answer
    names, *rest = answer
    tidy = [sorted(each) if isinstance(each, list | tuple | set) else each for each in rest]
    return (names, *tidy)


def matching(
    also: Callable[[str, str], list[str]], rename: Callable[[str], str] = by_endings
) -> Callable[..., Any]:
    """Make a match_keys that tries other names for a key of the file.

    also: (key, prefix) → names it may have in the model, best first
    """

    def match_keys(expected, found, prefix):
        expected, found = list(expected), list(found)
        names: dict[str, str] = {}
        for key in found:
            for name in also(rename(key), prefix):
                if name in expected and name not in names:
                    names[name] = key
                    break
        missing = [name for name in expected if name not in names]
        return names, missing, [key for key in found if key not in names.values()]

    return match_keys


def every_way(key, prefix):
    return [key, f"{prefix}.{key}", key.removeprefix(f"{prefix}.")]


def every_end(key):
    pieces = key.split(".")
    return [".".join(pieces[at:]) for at in range(1, len(pieces))]


match_every_way = matching(every_way)


def reported(report: Callable[..., Any]) -> Callable[..., Any]:
    """Make a match_keys that finds the right names and tells them wrongly."""

    def match_keys(expected, found, prefix):
        expected, found = list(expected), list(found)
        return report(*match_every_way(expected, found, prefix), expected, found)

    return match_keys


def stops_when_one_is_missing(names, missing, unexpected, expected, found):
    if missing:
        raise KeyError(missing[0])
    return names, missing, unexpected


def by_bare_names(expected, found, prefix):
    def bare(name):
        return renamed(name).removeprefix(prefix + ".")

    expected, found = list(expected), list(found)
    keys = {bare(key): key for key in found}
    names = {name: keys[bare(name)] for name in expected if bare(name) in keys}
    return names, set(expected) - set(names), set(found) - set(names.values())


def by_cut_names(cut: Callable[[str, str], str]) -> Callable[..., Any]:
    """Make a match_keys that compares what is left when both sides are cut."""

    def match_keys(expected, found, prefix):
        keys = {cut(by_endings(key), prefix): key for key in found}
        names = {name: keys[cut(name, prefix)] for name in expected if cut(name, prefix) in keys}
        missing = [name for name in expected if name not in names]
        return names, missing, [key for key in found if key not in names.values()]

    return match_keys


by_letters = by_cut_names(
    lambda name, prefix: name[len(prefix) + 1 :] if prefix and name.startswith(prefix) else name
)
by_letters_and_dots = by_cut_names(lambda name, prefix: name.removeprefix(prefix).lstrip("."))


def by_last_letters(expected, found, prefix):
    def fits(name, key):
        return name.endswith(by_endings(key)) or by_endings(key).endswith(name)

    names = {}
    for name in expected:
        keys = [key for key in found if fits(name, key)]
        if keys:
            names[name] = keys[0]
    missing = [name for name in expected if name not in names]
    return names, missing, [key for key in found if key not in names.values()]


def from_the_models_side(expected, found, prefix):
    left = {renamed(key): key for key in found}
    names, missing = {}, []
    for name in expected:
        for way in (name, name.removeprefix(f"{prefix}."), f"{prefix}.{name}"):
            if way in left:
                names[name] = left.pop(way)
                break
        else:
            missing.append(name)
    return names, missing, list(left.values())


def draw_keys(draw: random.Random) -> list[Case]:
    body = ["wte.weight", "h.0.norm.weight", "h.0.norm.bias", "ln_f.weight"]
    cases = []

    def case(expected, found, prefix="transformer"):
        cases.append({"expected": list(expected), "found": list(found), "prefix": prefix})

    def below(names, prefix="transformer"):
        return [f"{prefix}.{name}" for name in names]

    head = "lm_head.weight"
    case(["wte.weight"], ["wte.weight"])
    case(["wte.weight"], ["transformer.wte.weight"])
    case(["transformer.wte.weight"], ["wte.weight"])
    case(["wte.weight", head], ["wte.weight"])
    case(["wte.weight"], ["wte.weight", head])
    case(["norm.weight"], ["transformer.norm.weight"])
    # Called LayerNorm: so in_todays_name may go by that name alone, and be right.
    case(["LayerNorm.weight"], ["LayerNorm.gamma"])
    case(
        ["LayerNorm.weight", "LayerNorm.bias"],
        ["transformer.LayerNorm.gamma", "transformer.LayerNorm.beta"],
    )
    case([], ["wte.weight"])
    case(["wte.weight"], [])
    case(["wte.weight"], ["h.0.wte.weight"])
    case(["wte.weight"], ["decoder.wte.weight"])
    case(["norm.weight"], ["model_norm.weight", "modelnorm.weight"], "model")
    case(["model_norm.weight"], ["norm.weight"], "model")
    case(["h.1.weight", "h.11.weight"], ["h.11.weight", "h.1.weight"])
    case(["model.norm.weight"], ["norm.weight"], "model")
    case(["sub.model.weight"], ["model.sub.model.weight"], "model")
    case(["norm.weight"], ["norm.weight", "extra"], "")
    case(body, body)
    case(body, below(body))
    case(below(body), body)
    case([*below(body), head], below(body))
    case([*below(body), head], body)
    case([*below(body), head], [*below(body), head])
    case([*below(body), head], [*body, head, "score.weight"])
    case(body, [*below(body), head])
    case([*below(body), "score.weight"], [*below(body), head])
    for _ in range(5):
        names = [f"h.{draw.randint(0, 20)}.{draw.choice(['mlp', 'attn', 'norm'])}.weight"]
        names += draw.sample(body, 3)
        names = list(dict.fromkeys(names))
        there = draw.sample(names, len(names) - 1)
        draw.choice(
            [
                lambda n=names, t=there: case([*below(n), head], t),
                lambda n=names, t=there: case(n, [*below(t), head]),
            ]
        )()
    return cases


MATCH_KEYS = Exercise(
    answer="minilm.weights:match_keys",
    lesson=LESSON,
    cases=draw_keys,
    reference=reference_match,
    reference_name="a search for every name among all keys",
    use=use_in_any_order,
    mistakes=[
        Mistake(
            "takes equal names only",
            matching(lambda key, prefix: [key]),
            "A body saved by itself says wte.weight; inside a model with a head the same weight is "
            "transformer.wte.weight. Try the key with the prefix added, and with it taken away; "
            "a dot belongs between them.",
        ),
        Mistake(
            "never takes the prefix away",
            matching(lambda key, prefix: [key, f"{prefix}.{key}"]),
            "A body that is loaded from the file of a model with a head finds none of its weights: "
            "there they begin with the prefix. Take it away as well.",
        ),
        Mistake(
            "never adds the prefix",
            matching(lambda key, prefix: [key, key.removeprefix(f"{prefix}.")]),
            "A model with a head that is loaded from the file of a body finds none of its weights: "
            "in the model they begin with the prefix. Add it as well.",
        ),
        Mistake(
            "always adds the prefix",
            matching(lambda key, prefix: [f"{prefix}.{key}"]),
            "The head's own weights have no prefix, and a file may have it already. Try the key "
            "as it is first.",
        ),
        Mistake(
            "always takes the prefix away",
            matching(lambda key, prefix: [key.removeprefix(f"{prefix}.")]),
            "In a model with a head the body's weights do begin with the prefix, and there you "
            "find none of them. Try the key as it is first.",
        ),
        Mistake(
            "does not know old names",
            matching(every_way, rename=str),
            "A file with gamma and beta holds the norms' weights under old names. Ask "
            "in_todays_name before you compare.",
        ),
        Mistake(
            "strips letters instead of a prefix",
            matching(lambda key, prefix: [key, f"{prefix}.{key}", key.lstrip(f"{prefix}.")]),
            "lstrip takes away all letters that occur in its argument, in any order, so of "
            "transformer.norm.weight nothing but weight is left. removeprefix is meant.",
        ),
        Mistake(
            "knows one prefix only",
            lambda expected, found, prefix: match_every_way(expected, found, "transformer"),
            "You add and take away 'transformer', whatever `prefix` says. In Llama the body is "
            "called model.",
        ),
        Mistake(
            "takes any first piece away",
            matching(lambda key, prefix: [key, f"{prefix}.{key}", key.partition(".")[2]]),
            "Whatever stands before the first dot is taken away. decoder.wte.weight is another "
            "weight than wte.weight: only the prefix may go.",
        ),
        Mistake(
            "takes the letters of the prefix away without its dot",
            by_letters,
            "model_norm.weight begins with the letters of 'model' and is no part of it. The dot "
            "belongs to the prefix: startswith(prefix + '.').",
        ),
        Mistake(
            "takes the prefix away, and then the dot",
            by_letters_and_dots,
            "modelnorm.weight begins with the letters of 'model' and is no part of it. Take prefix "
            "and dot away together, or neither.",
        ),
        Mistake(
            "gives the key its name of today",
            reported(
                lambda names, missing, left, *_: (
                    {name: by_endings(key) for name, key in names.items()},
                    missing,
                    left,
                )
            ),
            "The dict gives names that the file does not have: in it the weight is still called "
            "gamma. Compare by today's name, and return the file's own.",
        ),
        Mistake(
            "removes the prefix everywhere",
            matching(lambda key, prefix: [key, f"{prefix}.{key}", key.replace(f"{prefix}.", "")]),
            "replace takes the prefix out of the middle of a name too. Only at the beginning is "
            "it the body's.",
        ),
        Mistake(
            "compares the ends of names",
            matching(
                lambda key, prefix: [key, f"{prefix}.{key}", *every_end(key)],
            ),
            "h.0.wte.weight ends like wte.weight and is another weight. Only the prefix may be "
            "added or taken away.",
        ),
        Mistake(
            "compares the last letters of names",
            by_last_letters,
            "h.11.weight ends with the letters of 1.weight, and h.0.wte.weight ends like "
            "wte.weight: other weights. Only the prefix may be added or taken away.",
        ),
        Mistake(
            "maps from the file to the model",
            reported(
                lambda names, missing, left, *_: ({k: n for n, k in names.items()}, missing, left)
            ),
            "The dict is turned round: asked for is name in the model → name in the file.",
        ),
        Mistake(
            "exchanges missing and left over",
            reported(lambda names, missing, left, *_: (names, left, missing)),
            "Missing is what the model wants and the file lacks: it stays random. Left over is "
            "what the file has and nobody wants. You have them the other way round.",
        ),
        Mistake(
            "reports what it has matched",
            reported(
                lambda names, _, __, expected, found: (
                    names,
                    [name for name in expected if name not in found],
                    [key for key in found if key not in expected],
                )
            ),
            "The names are matched rightly, and the report compares the two lists as they were: "
            "whatever was matched by its prefix is called missing and left over all the same.",
        ),
        Mistake(
            "says nothing is missing",
            reported(lambda names, missing, left, *_: (names, [], left)),
            "Weights that the file lacks stay random, and your list of them is empty. That is how "
            "strict=False goes wrong in silence.",
        ),
        Mistake(
            "says nothing is left over",
            reported(lambda names, missing, left, *_: (names, missing, [])),
            "Weights of the file that nobody wants are not told. They may be the ones that are "
            "missing, under a misspelled name.",
        ),
        Mistake(
            "stops when one is missing",
            reported(stops_when_one_is_missing),
            "A body is often loaded into a model with a new head, whose weights no file has yet. "
            "Report what is missing; whoever called decides.",
        ),
    ],
    accepts=[match_every_way, by_bare_names, from_the_models_side],
)
