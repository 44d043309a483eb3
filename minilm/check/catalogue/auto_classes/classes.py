"""The exercises class_at and register, and their known mistakes."""

from __future__ import annotations

import contextlib
import random
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from pkgutil import resolve_name
from types import ModuleType
from typing import Any

from minilm.check.catalogue.auto_classes.common import LESSON, Refused, kind_of
from minilm.check.exercise import Case, Exercise, Mistake, Raises
from minilm.errors import InvalidInput

# --- class_at -----------------------------------------------------------------------------------


def imported(place):
    module, name = place.split(":")
    return getattr(import_module(module), name)


def reference_class(table, key):
    try:
        return resolve_name(table[key]) if isinstance(table[key], str) else table[key]
    except (ImportError, AttributeError):
        return Raises(Exception)


# A module that nobody needs: the only one that can be made to be not imported yet.
NOT_IMPORTED = "wave"


@contextlib.contextmanager
def not_imported() -> Iterator[None]:
    """Let a module be one that nobody has imported yet; afterwards it is what it was."""
    kept = sys.modules.pop(NOT_IMPORTED, None)
    try:
        yield
    finally:
        if kept is not None:
            sys.modules[NOT_IMPORTED] = kept


def twice(function, table, key):
    """The class that is found; if a second look-up finds something else, both.

    And the keys that the table then has, if they are others than before.
    """
    before = list(table)
    with not_imported():
        found = shown(function(table, key)), shown(function(table, key))
    first, second = map(as_it_was, found)
    answer = first if first == second else (first, "and then", second)
    return answer if list(table) == before else (answer, "and in the table", list(table))


def as_it_was(answer):
    """The answer; for a class whose module was imported anew, the class from before."""
    if isinstance(answer, type) and answer.__module__ == NOT_IMPORTED:
        return getattr(import_module(NOT_IMPORTED), answer.__name__, answer)
    return answer


def shown(answer):
    """The answer; of a module its name; of an object made by a class, whose it is.

    Two such objects are never equal.
    """
    if isinstance(answer, ModuleType):
        return f"the module {answer.__name__}"
    is_plain = isinstance(answer, type | str | None)
    return answer if is_plain else f"an object of {type(answer).__name__}"


def found_by(find: Callable[[str], Any]) -> Callable[..., Any]:
    """Make a class_at that reads a place in another way, and takes a class as it is."""

    def class_at(table, key):
        return find(table[key]) if isinstance(table[key], str) else table[key]

    return class_at


def by_the_last_dot(place):
    module, _, name = place.rpartition(".")
    return getattr(import_module(module), name)


def by_dunder_import(place):
    module, _, name = place.partition(":")
    return getattr(__import__(module), name)


def by_eval(place):
    return eval(place.replace(":", "."), {})


def everything_at_once(table, key):
    for name, place in table.items():
        table[name] = imported(place) if isinstance(place, str) else place
    return table[key]


def only_places(table, key):
    module, _, name = table[key].partition(":")
    return getattr(import_module(module), name)


def only_places_that_are_replaced(table, key):
    table[key] = only_places(table, key)
    return table[key]


def only_what_was_a_place(table, key):
    if isinstance(table[key], str):
        table[key] = imported(table[key])
        return table[key]
    return None


def stored_and_not_returned(table, key):
    if isinstance(table[key], str):
        table[key] = imported(table[key])


def taken_out(table, key):
    place = table.pop(key)
    return imported(place) if isinstance(place, str) else place


def by_the_keys_name(table, key):
    if not isinstance(table[key], str):
        return table[key]
    return getattr(import_module(table[key].partition(":")[0]), key)


def the_module_is_kept(table, key):
    if isinstance(table[key], str):
        module, _, name = table[key].partition(":")
        table[key] = import_module(module)
        return getattr(table[key], name)
    return table[key]


def only_what_is_imported(place):
    module, _, name = place.partition(":")
    return getattr(sys.modules[module], name)


def none_if_missing(place):
    module, _, name = place.partition(":")
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


FOUND_BEFORE: dict[str, Any] = {}


def by_key_alone(table, key):
    if key not in FOUND_BEFORE:
        FOUND_BEFORE[key] = found_by(imported)(table, key)
    return FOUND_BEFORE[key]


def the_others_thrown_away(table, key):
    found = found_by(imported)(table, key)
    table.clear()
    table[key] = found
    return found


def kept_in_the_table(table, key):
    entry = table[key]
    if isinstance(entry, str):
        entry = imported(entry)
        table.update({key: entry})
    return entry


def by_asking_for_a_class(table, key):
    return table[key] if isinstance(table[key], type) else resolve_name(table[key])


def draw_tables(draw: random.Random) -> list[Case]:
    places = {
        "ordered": "collections:OrderedDict",
        "exact": "fractions:Fraction",
        "later": "concurrent.futures:Future",
        "page": "xml.dom.minidom:Document",
        "letter": "email.message:Message",
        "there": Counter,
        # Whoever imports more than was asked for stops here.
        "elsewhere": "a_package_that_is_not_installed:Thing",
    }
    cases: list[Case] = [
        {"table": {"ordered": "collections:OrderedDict"}, "key": "ordered"},
        {"table": {"there": Counter}, "key": "there"},
        {"table": {"later": "concurrent.futures:Future"}, "key": "later"},
        {"table": {"sound": f"{NOT_IMPORTED}:Error"}, "key": "sound"},
        {"table": {"nowhere": "a_package_that_is_not_installed:Thing"}, "key": "nowhere"},
        {"table": {"nowhere": "fractions:Thing"}, "key": "nowhere"},
        # Every purpose has a table of its own, with the same keys.
        {"table": {"ordered": "fractions:Fraction"}, "key": "ordered"},
        {"table": {"there": deque}, "key": "there"},
    ]
    for key in places:
        if key != "elsewhere":
            names = [key, "elsewhere", draw.choice([name for name in places if name != key])]
            draw.shuffle(names)
            cases.append({"table": {name: places[name] for name in names}, "key": key})
    return cases


CLASS_AT = Exercise(
    answer="minilm.auto:class_at",
    lesson=LESSON,
    cases=draw_tables,
    reference=reference_class,
    reference_name="Python's pkgutil.resolve_name",
    use=twice,
    may_change_inputs=True,
    mistakes=[
        Mistake(
            "returns the place",
            lambda table, key: table[key],
            "What is in the table may be a string that says where the class is. Import its module "
            "and get the class from there.",
        ),
        Mistake(
            "returns the module",
            found_by(lambda place: import_module(place.partition(":")[0])),
            "import_module gives the module. The class is an attribute of it: getattr(module, name).",
        ),
        Mistake(
            "imports the package above",
            found_by(by_dunder_import),
            "__import__('a.b') gives a, not a.b: that is how the import statement is made. "
            "importlib's import_module gives what the name says.",
        ),
        Mistake(
            "splits at the last dot",
            found_by(by_the_last_dot),
            "A place is 'module:Class'. The dots belong to the module; the colon is where to split.",
        ),
        Mistake(
            "evaluates the place",
            found_by(by_eval),
            "eval knows only what is imported already, and a table that comes from a file could "
            "run anything. Import the module, then getattr.",
        ),
        Mistake(
            "makes an object",
            found_by(lambda place: imported(place)()),
            "The class is asked for, and you call it. Whoever looks it up makes the object, with "
            "a config that is not known here.",
        ),
        Mistake(
            "imports the whole table",
            everything_at_once,
            "Every entry is imported to get one. The table holds places so that a model nobody "
            "asked for costs nothing, and one whose package is missing does no harm.",
        ),
        Mistake(
            "knows places only",
            only_places,
            "A class that was registered, or looked up before, stands in the table as a class. "
            "Only a string is a place.",
        ),
        Mistake(
            "splits the class that it has stored",
            only_places_that_are_replaced,
            "The first look-up writes the class into the table, and the second tries to read it as "
            "a place. Only a string is a place; a class is returned as it is.",
        ),
        Mistake(
            "returns nothing for a class",
            only_what_was_a_place,
            "If the table holds a class, your function ends without a return. So the second "
            "look-up of the same key gives None.",
        ),
        Mistake(
            "stores it and returns nothing",
            stored_and_not_returned,
            "The class is written into the table, and the function ends without a return. Return "
            "table[key].",
        ),
        Mistake(
            "takes it out of the table",
            taken_out,
            "pop removes the entry, so the next look-up of the same key finds nothing.",
        ),
        Mistake(
            "looks for the key in the module",
            by_the_keys_name,
            "The key is what config.json calls the family. The class has a name of its own: it "
            "stands behind the colon.",
        ),
        Mistake(
            "finds only what is imported",
            found_by(only_what_is_imported),
            "sys.modules holds what somebody has imported already. The place is there so that "
            "nobody need have: importlib's import_module does it now.",
        ),
        Mistake(
            "returns None where nothing is",
            found_by(none_if_missing),
            "A package that is not installed, or a name that is misspelled, gives None, which "
            "fails somewhere else, later. Let the error out: it says what is missing.",
        ),
        Mistake(
            "remembers by the key alone",
            by_key_alone,
            "What was found once is kept under its key, outside of the table. Every purpose has a "
            "table of its own with the same keys, and gets the first one's class. Keep it in the "
            "table.",
        ),
        Mistake(
            "throws the others away",
            the_others_thrown_away,
            "The class is right, and the table has lost its other entries. Whoever looks for them "
            "next finds nothing.",
        ),
        Mistake(
            "keeps the module",
            the_module_is_kept,
            "The first answer is right; but you write the module into the table, and the second "
            "look-up returns it. Keep the class.",
        ),
    ],
    accepts=[
        found_by(imported),
        kept_in_the_table,
        by_asking_for_a_class,
        """
def class_at(table, key):
    value = table[key]
    if type(value) == str:
        module_name, class_name = value.split(":")
        import importlib
        module = importlib.import_module(module_name)
        value = module.__dict__[class_name]
        table[key] = value
    return value
""",
    ],
)

# --- register -----------------------------------------------------------------------------------


def known_at(table, key):
    """What stands in a table, as a class."""
    return imported(table[key]) if isinstance(table[key], str) else table[key]


def classes_of(table):
    """The table with every place as the class that is there: looking may have imported some."""
    return {
        key: known_at(table, key) if isinstance(entry, str) and ":" in entry else shown(entry)
        for key, entry in table.items()
    }


def is_same(one, other):
    """Whether two classes are one, or one is the other defined anew, by a cell that ran twice."""
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def reference_register(table, key, chosen, exist_ok=False):
    table = classes_of(table)
    if key in table and not is_same(table[key], chosen) and not exist_ok:
        return Refused(), table
    return {**table, key: chosen}


def table_after(function, **case):
    """The table as it is afterwards, with the error if there was one."""
    table = case["table"]
    try:
        function(**case)
    except (ValueError, KeyError) as error:
        return Refused(kind_of(error)), classes_of(table)
    return classes_of(table)


def registering(may: Callable[..., bool]) -> Callable[..., Any]:
    """Make a register that decides in another way whether it may."""

    def register(table, key, chosen, exist_ok=False):
        if not may(table, key, chosen, exist_ok):
            raise InvalidInput(f"{key} is taken")
        table[key] = chosen

    return register


def may(table, key, chosen, exist_ok):
    return key not in table or exist_ok or is_same(known_at(table, key), chosen)


def as_another(made: Callable[[Any], Any]) -> Callable[..., Any]:
    """Make a register that writes something else than the class."""

    def register(table, key, chosen, exist_ok=False):
        if not may(table, key, chosen, exist_ok):
            raise InvalidInput(f"{key} is taken")
        table[key] = made(chosen)

    return register


def keeps_the_old(table, key, chosen, exist_ok=False):
    if exist_ok:
        table[key] = chosen
    table.setdefault(key, chosen)


def into_a_copy(table, key, chosen, exist_ok=False):
    if not may(table, key, chosen, exist_ok):
        raise InvalidInput(f"{key} is taken")
    table = {**table, key: chosen}


def under_its_own_name(table, key, chosen, exist_ok=False):
    if not may(table, key, chosen, exist_ok):
        raise InvalidInput(f"{key} is taken")
    table[chosen.__name__] = chosen


def key_error(table, key, chosen, exist_ok=False):
    if not may(table, key, chosen, exist_ok):
        raise KeyError(key)
    table[key] = chosen


def written_before_it_looks(table, key, chosen, exist_ok=False):
    is_free = may(table, key, chosen, exist_ok)
    table[key] = chosen
    if not is_free:
        raise InvalidInput(f"{key} is taken")


def by_early_return(table, key, chosen, exist_ok=False):
    if key not in table or exist_ok:
        table[key] = chosen
        return
    if is_same(known_at(table, key), chosen):
        table[key] = chosen
    else:
        raise ValueError(f"{key} belongs to {known_at(table, key).__name__}")


def returns_the_table(table, key, chosen, exist_ok=False):
    old = known_at(table, key) if key in table else chosen
    if not (exist_ok or str(old) == str(chosen)):
        raise InvalidInput(f"'{key}' is taken by {old}; say exist_ok=True")
    table.update({key: chosen})
    return table


def by_the_minilm_way(table, key, chosen, exist_ok=False):
    from minilm import auto

    if key in table and not exist_ok and repr(auto.class_at(table, key)) != repr(chosen):
        raise InvalidInput(f"{auto.class_at(table, key)} has it")
    table[key] = chosen


def refuses_what_another_module_hands_on(table, key, chosen, exist_ok=False):
    there = table.get(key, chosen)
    place = there if isinstance(there, str) else f"{there.__module__}:{there.__qualname__}"
    if place != f"{chosen.__module__}:{chosen.__qualname__}" and not exist_ok:
        raise InvalidInput(f"{key} is taken")
    table[key] = chosen


def keeps_the_class_of_the_first_run(table, key, chosen, exist_ok=False):
    if exist_ok or key not in table:
        table[key] = chosen
    elif not is_same(known_at(table, key), chosen):
        raise InvalidInput(f"{key} is taken")


class Mini:
    """A class of a reader's own."""


FIRST = Mini


class Mini:  # type: ignore[no-redef]
    """The same, when its cell has run again."""


# A reader's own, by chance called like another's.
NAMESAKE = type("Fraction", (), {"__module__": "__main__"})


def draw_registrations(draw: random.Random) -> list[Case]:
    cases: list[Case] = [
        {"table": {"mini": Fraction}, "key": "mini", "chosen": NAMESAKE},
        {"table": {"mini": "fractions:Fraction"}, "key": "mini", "chosen": NAMESAKE},
        # The class says that it is from concurrent.futures._base.
        {"table": {"mini": "concurrent.futures:Future"}, "key": "mini", "chosen": Future},
    ]
    for entry in (None, Decimal, "fractions:Fraction"):
        for chosen in (Decimal, Fraction, deque):
            for exist_ok in (False, True):
                table = {} if entry is None else {"mini": entry}
                case = {"table": table, "key": "mini", "chosen": chosen}
                cases.append({**case, "exist_ok": True} if exist_ok else case)
    cases += [
        {"table": {"mini": FIRST}, "key": "mini", "chosen": Mini},
        {"table": {"mini": FIRST, "gpt2": Decimal}, "key": "mini", "chosen": Mini},
        {"table": {"gpt2": Mini}, "key": "mini", "chosen": FIRST},
    ]
    for _ in range(8):
        table = {
            name: draw.choice([Decimal, OrderedDict, "fractions:Fraction", "collections:Counter"])
            for name in ("gpt2", "llama", "mini")
        }
        key = draw.choice(["gpt2", "mini", "new"])
        chosen = draw.choice([Counter, Fraction, Decimal, deque])
        case = {"table": table, "key": key, "chosen": chosen}
        cases.append({**case, "exist_ok": True} if draw.random() < 0.3 else case)
    return cases


REGISTER = Exercise(
    answer="minilm.auto:register",
    lesson=LESSON,
    cases=draw_registrations,
    reference=reference_register,
    reference_name="the table as it should be",
    use=table_after,
    may_change_inputs=True,
    mistakes=[
        Mistake(
            "overwrites whoever is there",
            registering(lambda table, key, chosen, exist_ok: True),
            "Whoever registers 'llama' for a toy replaces the real one for everybody, in silence. "
            "If another class is there, raise InvalidInput unless exist_ok says otherwise.",
        ),
        Mistake(
            "refuses the same class again",
            registering(lambda table, key, chosen, exist_ok: key not in table or exist_ok),
            "Somebody runs the same cell twice, and the second time it is refused. Nothing would "
            "change: the same class under the same key is no conflict.",
        ),
        Mistake(
            "refuses a class that was defined anew",
            registering(
                lambda table, key, chosen, exist_ok: (
                    key not in table or exist_ok or known_at(table, key) is chosen
                )
            ),
            "A notebook cell that runs twice makes its class anew: another object with the same "
            "name from the same module. Compare __module__ and __qualname__, so that running it "
            "again is no conflict.",
        ),
        Mistake(
            "compares names alone",
            registering(
                lambda table, key, chosen, exist_ok: (
                    key not in table or exist_ok or known_at(table, key).__name__ == chosen.__name__
                )
            ),
            "Two classes of the same name are taken for one, from whatever modules they are, and "
            "one replaces the other in silence. Compare __module__ as well.",
        ),
        Mistake(
            "compares places",
            refuses_what_another_module_hands_on,
            "A place is compared with where the class says it is from. A package may hand on what "
            "one of its modules defines, and then the two differ. class_at says which class "
            "stands there.",
        ),
        Mistake(
            "keeps the class of the first run",
            keeps_the_class_of_the_first_run,
            "A class that was defined anew is let in and not put into the table: whoever has "
            "mended the class and run the cell again goes on with the old one.",
        ),
        Mistake(
            "does not look behind a place",
            registering(
                lambda table, key, chosen, exist_ok: (
                    (not isinstance(table.get(key), str) and may(table, key, chosen, exist_ok))
                    or exist_ok
                )
            ),
            "A place such as 'fractions:Fraction' is compared with a class, and they are never "
            "equal. class_at says which class stands there.",
        ),
        Mistake(
            "does not listen to exist_ok",
            registering(
                lambda table, key, chosen, exist_ok: key not in table or may(table, key, chosen, 0)
            ),
            "With exist_ok=True whoever calls has said that the old one may go.",
        ),
        Mistake(
            "turns exist_ok round",
            registering(lambda table, key, chosen, exist_ok: may(table, key, chosen, not exist_ok)),
            "It refuses when exist_ok is True, and overwrites when it is not. The flag says that "
            "it is fine if one exists already.",
        ),
        Mistake(
            "wants exist_ok even for a free key",
            registering(
                lambda table, key, chosen, exist_ok: (
                    exist_ok or (key in table and is_same(known_at(table, key), chosen))
                )
            ),
            "A key that nobody has is refused without exist_ok. Only a taken one needs it.",
        ),
        Mistake(
            "keeps the old one without a word",
            keeps_the_old,
            "If the key is taken, nothing happens and nobody is told: the new class seems to be "
            "registered, and the old one is loaded. Raise InvalidInput.",
        ),
        Mistake(
            "makes an object",
            as_another(lambda chosen: chosen()),
            "You call the class and keep the object. The table holds classes; they are called "
            "when a config is there.",
        ),
        Mistake(
            "keeps the name",
            as_another(lambda chosen: chosen.__name__),
            "The class's name alone does not say where the class is. Keep the class.",
        ),
        Mistake(
            "changes a copy",
            into_a_copy,
            "The table that was given is as it was: what you changed is another. Everybody else looks "
            "into the given one, so write into that.",
        ),
        Mistake(
            "files it under its own name",
            under_its_own_name,
            "The class stands under the name that it has in Python. It is looked for under key, "
            "which is what config.json says.",
        ),
        Mistake(
            "raises a KeyError",
            key_error,
            "A KeyError says that something is missing, and is printed in quotes, its sentence "
            "with it. Here a value is wrong: InvalidInput, which is a ValueError.",
        ),
        Mistake(
            "writes before it looks",
            written_before_it_looks,
            "The error comes, and the new class is in the table all the same. Whoever catches the "
            "error believes that nothing has changed. Look first.",
        ),
    ],
    accepts=[registering(may), by_early_return, returns_the_table, by_the_minilm_way],
)
