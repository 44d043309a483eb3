"""The exercise model_type_of and its known mistakes."""

from __future__ import annotations

import difflib
import random
import re

from minilm.check.catalogue.auto_classes.common import LESSON, Refused, kind_of
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.errors import InvalidInput

KNOWN = {
    "gpt2": "GPT2Config",
    "gpt_neox": "GPTNeoXConfig",
    "llama": "LlamaConfig",
    "mistral": "MistralConfig",
    "qwen2": "Qwen2Config",
}


def nearest(model_type, known):
    """The known type that is most like another word, or ""."""
    return next(iter(difflib.get_close_matches(str(model_type), known, 1)), "")


def reference_type(settings, known, where):
    model_type = settings.get("model_type")
    if model_type in known:
        return model_type
    return Refused(names=named(nearest(model_type, known) if model_type is not None else "", True))


def named(near, says_where):
    """What an error names, in words: the nearest known type, and the place."""
    return " and ".join(filter(None, [near, "the place" if says_where else ""]))


def asked(function, settings, known, where):
    """The answer; of an error, its kind and whether it names the nearest known type and the place."""
    try:
        answer = function(settings, known, where)
    except (ValueError, KeyError) as error:
        model_type, text = settings.get("model_type"), str(error)
        is_unknown = model_type is not None and model_type not in known
        near = nearest(model_type, known) if is_unknown else ""
        is_near = re.search(rf"(?<!\w){re.escape(near)}(?!\w)", text.replace(where, ""))
        return Refused(kind_of(error), named(near if is_near else "", where in text))
    return Refused(f"{type(answer).__name__}, returned") if _is_error(answer) else answer


def _is_error(answer):
    return isinstance(answer, BaseException)


def refuse(settings, known, where):
    raise InvalidInput(
        f"{settings.get('model_type')} in {where} is none of: {', '.join(sorted(known))}"
    )


def checked(settings, known, where):
    return settings["model_type"] if settings.get("model_type") in known else refuse(**locals())


def by_the_folders_name(settings, known, where):
    return next((name for name in known if name in where), None) or checked(settings, known, where)


def by_architectures(settings, known, where):
    said = "".join(settings.get("architectures") or []).lower()
    return next((name for name in known if said.startswith(name)), None) or checked(
        settings, known, where
    )


def lets_errors_out(settings, known, where):
    assert known[settings["model_type"]]
    return settings["model_type"]


def unchecked(settings, known, where):
    return settings.get("model_type") or refuse(settings, known, where)


def says_little(settings, known, where):
    if settings.get("model_type") not in known:
        raise InvalidInput(f"unknown model_type in {where}")
    return settings["model_type"]


def says_nothing(settings, known, where):
    if settings.get("model_type") not in known:
        raise InvalidInput("unknown model_type")
    return settings["model_type"]


def says_no_place(settings, known, where):
    if settings.get("model_type") not in known:
        raise InvalidInput(f"{settings.get('model_type')} is none of: {', '.join(sorted(known))}")
    return settings["model_type"]


def takes_the_nearest(settings, known, where):
    found = nearest(settings.get("model_type"), known)
    return found or refuse(settings, known, where)


def falls_back(settings, known, where):
    return checked({"model_type": "gpt2", **settings}, known, where)


def none_if_missing(settings, known, where):
    return None if settings.get("model_type") is None else checked(settings, known, where)


def none_if_unknown(settings, known, where):
    model_type = settings.get("model_type")
    return model_type if model_type in known else None


def the_entry(settings, known, where):
    return known[checked(settings, known, where)]


def in_any_case(settings, known, where):
    model_type = settings.get("model_type")
    lowered = {"model_type": model_type.lower()} if model_type else {}
    return checked(lowered, known, where)


def by_its_beginning(settings, known, where):
    said = settings.get("model_type") or ""
    return next((name for name in known if said.startswith(name)), None) or checked(
        settings, known, where
    )


def error_returned(settings, known, where):
    try:
        return checked(settings, known, where)
    except InvalidInput as error:
        return error


def by_try(settings, known, where):
    try:
        known[settings["model_type"]]
    except KeyError as error:
        raise ValueError(f"{where}: {error} is not one of {list(known)}") from None
    return settings["model_type"]


def by_loop(settings, known, where):
    for name in known:
        if name == settings.get("model_type"):
            return name
    near = difflib.get_close_matches(str(settings.get("model_type")), known)
    raise InvalidInput(f"{where}: perhaps {near}, or one of {set(known)}")


def draw_settings(draw: random.Random) -> list[Case]:
    def case(where="here", **settings):
        return {"settings": settings, "known": dict(KNOWN), "where": where}

    cases = [
        case(model_type="gpt2"),
        case(model_type="llama"),
        case(),
        case(model_type="lama"),
        case(model_type="nope"),
        case(model_type="GPT2"),
        case(model_type="llama4"),
        case(model_type="gpt2_custom"),
        case(model_type="gpt-neox"),
        case(model_type=None),
        case("the folder 'llama'", model_type="gpt2"),
        case("the folder 'my-gpt2'", model_type="mistral", n_layer=2),
        case("the folder 'gpt2'"),
        case("the folder 'qwen2'", architectures=["GPT2LMHeadModel"]),
        case(architectures=["LlamaForCausalLM"], model_type="mistral"),
        case(architectures=["GPT2LMHeadModel"], model_type="gpt_neox"),
        case("the folder 'qwen2'", model_type="qwen"),
    ]
    for _ in range(6):
        model_type, folder = draw.sample(sorted(KNOWN), 2)
        cases.append(case(f"the folder '{folder}'", model_type=model_type, n=draw.randint(1, 9)))
    return cases


MODEL_TYPE_OF = Exercise(
    answer="minilm.auto:model_type_of",
    lesson=LESSON,
    cases=draw_settings,
    reference=reference_type,
    reference_name="what each config.json says",
    use=asked,
    mistakes=[
        Mistake(
            "goes by the folder's name",
            by_the_folders_name,
            "A folder can be called anything: people rename them, and fine-tuned models get names "
            "of their own. `where` is there for the error message; model_type decides.",
        ),
        Mistake(
            "goes by architectures",
            by_architectures,
            "architectures names the class that the weights were saved from, and may be missing or "
            "an old one. The family is model_type.",
        ),
        Mistake(
            "lets a KeyError out",
            lets_errors_out,
            "settings['model_type'], or a look-up in the table, stops with a bare KeyError. Whoever "
            "has a folder without model_type, or with a strange one, needs a sentence: raise "
            "InvalidInput.",
        ),
        Mistake(
            "returns what nobody knows",
            unchecked,
            "A type that is not in the table comes back as if all were well, and the error follows "
            "later, where nobody can tell why. Look whether it is in known.",
        ),
        Mistake(
            "does not say what is near",
            says_little,
            "The error is right, and it leaves the reader alone. Somebody typed 'lama': name the "
            "nearest known types (difflib.get_close_matches finds them), or list all.",
        ),
        Mistake(
            "does not say where",
            says_no_place,
            "The error is right, and does not say which config.json is meant. Whoever loads three "
            "models in a row has to guess: name the place, which is `where`.",
        ),
        Mistake(
            "says neither where nor what is near",
            says_nothing,
            "The error is right, and it leaves the reader alone. Somebody typed 'lama': name the "
            "nearest known types (difflib.get_close_matches finds them), or list all; and say "
            "where the config is, which is `where`.",
        ),
        Mistake(
            "takes the nearest",
            takes_the_nearest,
            "An unknown type is replaced by the one spelled most like it. Weights would be poured "
            "into another architecture. Guess in the error message, never in the answer.",
        ),
        Mistake(
            "falls back on gpt2",
            falls_back,
            "Without a model_type you assume a GPT-2. It may be anything; a config.json that does "
            "not say what it describes is refused.",
        ),
        Mistake(
            "returns None for a missing type",
            none_if_missing,
            "Without a model_type you return None, which fails somewhere else, later. Raise "
            "InvalidInput here, where it is known what is missing.",
        ),
        Mistake(
            "returns None instead of raising",
            none_if_unknown,
            "A missing or unknown type gives None, which fails somewhere else, later. Raise "
            "InvalidInput here, where it is known what is wrong.",
        ),
        Mistake(
            "returns the entry",
            the_entry,
            "You return what the table holds under the type. The type itself is asked for: one "
            "name, by which several tables are read.",
        ),
        Mistake(
            "overlooks capital letters",
            in_any_case,
            "'GPT2' is made 'gpt2'. Names in config.json are exact, in transformers too; say what "
            "is near, and let the owner of the file mend it.",
        ),
        Mistake(
            "takes what begins alike",
            by_its_beginning,
            "'llama4' begins with 'llama' and is another family, with other layers. Only equal "
            "names are equal.",
        ),
        Mistake(
            "returns the error",
            error_returned,
            "The error is made and returned, so the caller goes on with it as if it were a type. "
            "Errors are raised.",
        ),
    ],
    accepts=[by_try, by_loop, checked],
)
