"""The exercise gather_rope and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from minilm.check.catalogue.auto_classes.common import LESSON
from minilm.check.exercise import Case, Exercise, Mistake

LLAMA = {"rope_theta": 10000.0}
COHERE = {"rope_theta": 500000.0}
NEOX = {"rope_theta": 10000.0, "partial_rotary_factor": 0.25}
NAMES = {
    "rope_theta": "rope_theta",
    "rotary_emb_base": "rope_theta",
    "partial_rotary_factor": "partial_rotary_factor",
    "rotary_pct": "partial_rotary_factor",
}


def reference_rope(settings, defaults):
    from transformers import CohereConfig, GPTNeoXConfig, LlamaConfig

    family = CohereConfig if defaults["rope_theta"] == COHERE["rope_theta"] else LlamaConfig
    family = GPTNeoXConfig if "partial_rotary_factor" in defaults else family
    return without_type(family(**settings).rope_parameters)


def without_type(found):
    """The parameters; the older "type" may stay beside "rope_type" or go."""
    is_known = isinstance(found, dict) and "rope_type" in found
    return {k: v for k, v in found.items() if k != "type"} if is_known else found


def use_without_type(function, settings, defaults):
    return without_type(function(settings, defaults))


def inside_of(settings):
    return dict(settings.get("rope_scaling") or settings.get("rope_parameters") or {})


def beside_of(settings, names=NAMES):
    found = ((names[name], settings.get(name)) for name in names)
    return {name: value for name, value in found if value is not None}


def typed(found):
    return {**found, "rope_type": found.get("rope_type", found.get("type", "default"))}


def gathering(gather: Callable[..., dict], finish: Callable[[dict], Any] = typed) -> Callable:
    """Make a gather_rope that puts the pieces together in another way."""

    def gather_rope(settings, defaults):
        return finish(gather(defaults, beside_of(settings), inside_of(settings)))

    return gather_rope


def in_order(defaults, beside, inside):
    return {**defaults, **beside, **inside}


def _without(defaults):
    return {name: value for name, value in defaults.items() if name != "rope_theta"}


def new_names_only(settings, defaults):
    known = {name: name for name in ("rope_theta", "partial_rotary_factor")}
    return typed(in_order(defaults, beside_of(settings, known), inside_of(settings)))


def no_scaling(settings, defaults):
    inside = settings.get("rope_parameters") or {}
    return typed(in_order(defaults, beside_of(settings), inside))


def scaling_alone(settings, defaults):
    inside = settings.get("rope_scaling") or {}
    return typed(in_order(defaults, beside_of(settings), inside))


def stops_at_null(settings, defaults):
    inside = settings.get("rope_scaling", settings.get("rope_parameters", {}))
    return typed({**defaults, **beside_of(settings), **inside})


def null_is_a_value(settings, defaults):
    beside = {today: settings[older] for older, today in NAMES.items() if older in settings}
    return typed(in_order(defaults, beside, inside_of(settings)))


def names_as_they_are(settings, defaults):
    beside = {name: settings[name] for name in NAMES if settings.get(name) is not None}
    return typed(in_order(defaults, beside, inside_of(settings)))


def written_into_the_file(settings, defaults):
    found = settings.get("rope_scaling") or settings.get("rope_parameters") or {}
    for name, value in {**defaults, **beside_of(settings)}.items():
        found.setdefault(name, value)
    found.setdefault("rope_type", found.get("type", "default"))
    return found


def written_into_the_defaults(settings, defaults):
    defaults.update(beside_of(settings))
    defaults.update(inside_of(settings))
    defaults.setdefault("rope_type", defaults.get("type", "default"))
    return defaults


def all_settings(settings, defaults):
    found = typed(in_order(defaults, beside_of(settings), inside_of(settings)))
    return {**settings, "rope_parameters": found}


def by_setdefault(settings, defaults):
    found = inside_of(settings)
    for older, today in NAMES.items():
        if settings.get(older) is not None and today not in found:
            found[today] = settings[older]
    for name in defaults:
        found.setdefault(name, defaults[name])
    if "rope_type" not in found:
        found["rope_type"] = found.pop("type", "default")
    return found


def by_cases(settings, defaults):
    rope = dict(defaults)
    for older in ("rotary_emb_base", "rope_theta"):
        rope["rope_theta"] = settings.get(older) or rope["rope_theta"]
    for older in ("rotary_pct", "partial_rotary_factor"):
        if settings.get(older):
            rope["partial_rotary_factor"] = settings[older]
    rope |= settings.get("rope_scaling") or settings.get("rope_parameters") or {}
    if "type" in rope:
        rope = {"rope_type": rope["type"], **rope}
    return {"rope_type": "default", **rope}


def draw_settings(draw: random.Random) -> list[Case]:
    linear = {"type": "linear", "factor": 2.0}
    llama3 = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    llama: list[dict[str, Any]] = [
        {},
        {"rope_theta": 500.0},
        {"rope_scaling": None},
        {"rope_theta": 500.0, "rope_scaling": None},
        {"rope_scaling": linear},
        {"rope_theta": 500.0, "rope_scaling": linear},
        {"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}},
        {"rope_theta": 500000.0, "rope_scaling": llama3},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 7.0}},
        {"rope_parameters": {**llama3, "rope_theta": 7.0}},
        {"rope_parameters": {"rope_type": "linear", "factor": 3.0, "rope_theta": 7.0}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 7.0}, "rope_theta": 9.0},
        {"partial_rotary_factor": 0.5, "rope_theta": 500.0},
        {"partial_rotary_factor": None, "rope_theta": 500.0},
    ]
    neox: list[dict[str, Any]] = [
        {},
        {"rotary_pct": 1.0},
        {"rotary_emb_base": 500},
        {"rotary_pct": 0.5, "rotary_emb_base": 500, "rope_scaling": linear},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 7.0}},
    ]
    cohere: list[dict[str, Any]] = [{}, {"rope_theta": 7.0}, {"rope_scaling": linear}]
    for _ in range(6):
        settings: dict[str, Any] = {"rope_theta": float(draw.randint(2, 99))}
        if draw.random() < 0.7:
            kind = draw.choice(["linear", "dynamic"])
            factor = float(draw.randint(2, 9))
            settings["rope_scaling"] = {draw.choice(["type", "rope_type"]): kind, "factor": factor}
        llama.append(settings)
    return [{"settings": each, "defaults": dict(LLAMA)} for each in llama] + [
        {"settings": each, "defaults": dict(defaults)}
        for defaults, group in ((COHERE, cohere), (NEOX, neox))
        for each in group
    ]


GATHER_ROPE = Exercise(
    answer="minilm.config:gather_rope",
    lesson=LESSON,
    cases=draw_settings,
    reference=reference_rope,
    reference_name="transformers' configs of Llama, Cohere and GPT-NeoX",
    use=use_without_type,
    mistakes=[
        Mistake(
            "leaves the type under its older name",
            gathering(in_order, lambda found: {"rope_type": "default", **found}),
            'Older files say "type": "linear". Without a rope_type you take \'default\' for it, '
            "and the scaling is lost: the model reads long texts with angles it never saw.",
        ),
        Mistake(
            "names no type unless there is one",
            gathering(
                in_order,
                lambda found: {**found, "rope_type": found["type"]} if "type" in found else found,
            ),
            "Where the file says nothing of a type, rope_type is 'default', and it is said: "
            "whoever reads the parameters looks for it.",
        ),
        Mistake(
            "calls every type default",
            gathering(in_order, lambda found: {**found, "rope_type": "default"}),
            "The type that the file gives is overwritten, so every scaling is lost.",
        ),
        Mistake(
            "forgets what stands beside",
            gathering(lambda defaults, beside, inside: {**defaults, **inside}),
            "Before 2025 rope_theta stood beside rope_scaling, not in it. Llama 3 says 500,000 "
            "there; with 10,000 every angle is wrong, and no shape tells.",
        ),
        Mistake(
            "lets the defaults go first",
            gathering(lambda defaults, beside, inside: {**beside, **inside, **defaults}),
            "Where the file says something and the family has a default, yours takes the default. "
            "It is there for silent files only.",
        ),
        Mistake(
            "lets what stands beside go first",
            gathering(lambda defaults, beside, inside: {**defaults, **inside, **beside}),
            "A file of today may carry an old rope_theta along. What stands inside "
            "rope_parameters comes before what stands beside it.",
        ),
        Mistake(
            "takes 10,000 for granted",
            gathering(
                lambda _, beside, inside: {"rope_theta": 10000.0, **_without(_), **beside, **inside}
            ),
            "Where the file is silent you take 10,000. Other families have other defaults, and "
            "`defaults` says which.",
        ),
        Mistake(
            "leaves the defaults out",
            gathering(lambda defaults, beside, inside: {**beside, **inside}),
            "Where the file is silent the family's defaults hold. Without a rope_theta no angle "
            "can be computed.",
        ),
        Mistake(
            "does not know GPT-NeoX's names",
            new_names_only,
            "GPT-NeoX says rotary_emb_base for rope_theta and rotary_pct for "
            "partial_rotary_factor. OLDER_ROPE_NAMES has them all.",
        ),
        Mistake(
            "keeps the older names",
            names_as_they_are,
            "rotary_pct and rotary_emb_base stand inside under their older names, where nobody "
            "looks for them. OLDER_ROPE_NAMES says what each is called today.",
        ),
        Mistake(
            "does not read rope_scaling",
            no_scaling,
            "Only rope_parameters is read. Files before 2025 have rope_scaling instead, and its "
            "scaling is lost.",
        ),
        Mistake(
            "does not read rope_parameters",
            scaling_alone,
            "Only rope_scaling is read. Today's files have rope_parameters, and all that they say "
            "is lost.",
        ),
        Mistake(
            "stops at null",
            stops_at_null,
            "Most older files say \"rope_scaling\": null. settings.get('rope_scaling', {}) is then "
            "None and not {}: the default serves only if the name is missing. Use `or {}`.",
        ),
        Mistake(
            "takes null for a value",
            null_is_a_value,
            "A setting that is null in the file says nothing, like one that is missing, and leaves "
            "the default as it is.",
        ),
        Mistake(
            "writes into the file's settings",
            written_into_the_file,
            "The dict inside settings is filled up in place. Whoever lent it saves it later, or "
            "makes a second config of it. Begin with a copy.",
        ),
        Mistake(
            "writes into the defaults",
            written_into_the_defaults,
            "The family's defaults are changed in place, so the next model of that family begins "
            "with this one's. Begin with a copy.",
        ),
        Mistake(
            "returns all settings",
            all_settings,
            "Only the rope_parameters are asked for, not the settings that hold them.",
        ),
    ],
    accepts=[gathering(in_order), by_setdefault, by_cases],
)
