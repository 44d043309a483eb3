"""`check` as a reader meets it: cells that run one after the other."""

from __future__ import annotations

import dataclasses
import gc
from pathlib import Path
from typing import Any

import pytest

from minilm.check import CheckFailed, Exercise, Mistake, installing
from minilm.errors import InvalidInput

RIGHT = """
def total(numbers, start=0):
    if start < 0:
        raise ValueError("negative")
    return start + sum(numbers)
"""
STUB = '''
def total(numbers, start=0):
    """The sum of numbers and a start."""
    # YOUR CODE HERE
    raise NotImplementedError()
'''


def test_a_right_answer_gets_one_line_and_nothing_else(notebook: Any) -> None:
    notebook.run(RIGHT)
    line = "total: right. Equals Python's sum on 7 cases (largest difference 0).\n"
    assert notebook.run("check(total)") == line
    assert notebook.run("check(total)") == line


def test_check_returns_none(notebook: Any) -> None:
    notebook.run(RIGHT)
    notebook.run("result = check(total)")
    assert notebook.names["result"] is None


def test_a_right_answer_takes_minilms_place(notebook: Any, toy_home: Any) -> None:
    own = toy_home.total
    notebook.run(RIGHT + "check(total)")
    assert toy_home.total is notebook.names["total"] is not own
    assert toy_home.use_total([1, 2]) == 3


def test_a_newer_right_answer_takes_the_place_of_the_older(notebook: Any, toy_home: Any) -> None:
    notebook.run(RIGHT + "check(total)")
    notebook.run(RIGHT.replace("start + sum(numbers)", "sum(numbers, start)") + "check(total)")
    assert toy_home.total is notebook.names["total"]


def test_a_method_takes_the_place_of_the_method(notebook: Any, toy_home: Any) -> None:
    out = notebook.run("def top(self):\n    return self.items[len(self.items) - 1]\ncheck(top)")
    assert out.startswith("top: right.")
    assert toy_home.Pile([1, 5]).top() == 5
    assert toy_home.Pile.top is notebook.names["top"]


def test_a_static_method_stays_one(notebook: Any, toy_home: Any) -> None:
    notebook.run("def doubled(number):\n    return number << 1\ncheck(doubled)")
    assert toy_home.Pile([]).doubled(4) == 8
    assert toy_home.Pile.doubled is notebook.names["doubled"]


@pytest.mark.parametrize(
    "body",
    [
        '"""Says it."""\n    # YOUR CODE HERE\n    raise NotImplementedError()',
        "raise NotImplementedError",
        "pass",
        "...",
        '"""Says it."""',
        '"""Says it."""\n    pass',
    ],
)
def test_a_blank_function_lets_the_lesson_go_on(notebook: Any, toy_home: Any, body: str) -> None:
    notebook.run(f"def total(numbers, start=0):\n    {body}")
    out = notebook.run("check(total)")
    assert out == (
        "total is not written yet. The lesson goes on with minilm's own; "
        "come back to it when you like.\n"
    )
    assert notebook.run("print(total([1, 2]))") == "3\n"
    assert notebook.names["total"] is toy_home.total


def test_every_name_of_a_blank_function_is_bound_anew(notebook: Any, toy_home: Any) -> None:
    notebook.run(STUB + "add = total\ncheck(total)")
    assert notebook.names["add"] is toy_home.total


def test_checking_minilms_own_says_so(notebook: Any) -> None:
    notebook.run(STUB + "check(total)")
    assert notebook.run("check(total)").startswith("total is minilm's own here.")


def test_a_blank_function_goes_on_with_the_version_written_before(
    notebook: Any, toy_home: Any
) -> None:
    notebook.run(RIGHT + "check(total)\nmine = total")
    out = notebook.run(STUB + "check(total)")
    assert "the version you wrote before" in out
    assert notebook.names["total"] is notebook.names["mine"] is toy_home.total


def test_a_wrong_answer_shows_the_smallest_case_and_names_the_mistake(notebook: Any) -> None:
    error = notebook.fail(RIGHT.replace("sum(numbers)", "sum(numbers[1:])") + "check(total)")
    assert isinstance(error, CheckFailed)
    assert str(error).startswith("total is not right yet: it is wrong on 5 of 7 cases.")
    assert "    numbers     = [" in str(error)
    assert "    your answer = 0" in str(error)
    assert 'This is a known mistake, "skips the first".' in str(error)
    assert "The loop begins at 1, so the first number is lost." in str(error)


def test_a_notebook_shows_the_words_and_no_calls_inside_minilm(notebook: Any) -> None:
    out, error = notebook.run_any("def total(numbers, start=0):\n    return 7\ncheck(total)")
    assert out.strip() == f"CheckFailed: {error}"
    assert "Traceback" not in out


def test_a_wrong_answer_leaves_the_notebooks_names_alone(notebook: Any, toy_home: Any) -> None:
    own = toy_home.total
    notebook.fail("def total(numbers, start=0):\n    return 7\ncheck(total)")
    assert notebook.run("print(total([]))") == "7\n"
    assert toy_home.total is own


def test_a_wrong_answer_after_a_right_one_keeps_the_right_one_in_use(
    notebook: Any, toy_home: Any
) -> None:
    notebook.run(RIGHT + "check(total)\nmine = total")
    error = notebook.fail("def total(numbers, start=0):\n    return 7\ncheck(total)")
    assert "your earlier version, which was right, stays in use" in str(error)
    assert toy_home.total is notebook.names["mine"]


def test_an_error_in_the_answer_shows_the_case_and_the_line(notebook: Any) -> None:
    error = notebook.fail(
        "def total(numbers, start=0):\n    first = numbers[0]\n    return first\ncheck(total)"
    )
    assert "numbers     = []" in str(error)
    assert "your answer = no answer, but IndexError: list index out of range" in str(error)
    assert "It stops in line 2: first = numbers[0]" in str(error)
    assert isinstance(error.__cause__, IndexError)


def test_an_error_in_a_helper_names_the_helper(notebook: Any) -> None:
    error = notebook.fail(
        "def first(numbers):\n    return numbers[0]\n"
        "def total(numbers, start=0):\n    return first(numbers)\ncheck(total)"
    )
    assert "It stops in line 2 of `first`: return numbers[0]" in str(error)


def test_a_left_over_stub_is_pointed_out(notebook: Any) -> None:
    error = notebook.fail(
        "def total(numbers, start=0):\n    result = start + sum(numbers)\n"
        "    raise NotImplementedError()\ncheck(total)"
    )
    assert "`raise NotImplementedError()` still stands" in str(error)


def test_a_left_over_stub_that_is_never_reached_is_no_fault(notebook: Any) -> None:
    notebook.run(RIGHT + "    raise NotImplementedError()\ncheck(total)")


def test_a_call_of_an_unwritten_function_names_that_function(notebook: Any) -> None:
    error = notebook.fail(
        "def add(a, b):\n    raise NotImplementedError()\n"
        "def total(numbers, start=0):\n    return add(start, 0)\ncheck(total)"
    )
    assert "It calls `add`, which is not written yet." in str(error)


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        ("sum(numbers)", "Your function returns None. Is the line missing"),
        ("print(start + sum(numbers))", "write `return` in place of `print`"),
        ("if numbers:\n        return sum(numbers)", "without passing a `return`"),
        ("yield sum(numbers)", "it has a `yield`"),
        ("return map(str, numbers)", "Put `list(...)` around it"),
        ("return sum", "Are the brackets missing?"),
        ("return str(sum(numbers))", "Your answer is a str; expected an int."),
        ("return [sum(numbers)]", "Your answer is a list; expected an int."),
        ("return float(start + sum(numbers))", "Your answer is a float; expected an int."),
        ("import sys\n    sys.exit()", "It ends the whole program"),
        ("return total(numbers, start)", "It calls itself too often"),
        ("import toy_home\n    return toy_home.total(numbers, start)", "asks minilm's own total"),
        ("return own(numbers, start)", "asks minilm's own total"),
        ("return start + summ(numbers)", "Is the name spelt right"),
        ("while True: start += 1", "Does the loop always get closer to its end?"),
        ("import random\n    return random.random", "Are the brackets missing?"),
    ],
)
def test_what_goes_wrong_gets_its_own_sentence(notebook: Any, body: str, advice: str) -> None:
    notebook.run("from toy_home import total as own")
    error = notebook.fail(f"def total(numbers, start=0):\n    {body}\ncheck(total)")
    assert isinstance(error, CheckFailed)
    assert advice in str(error)
    assert notebook.run("print(own([1, 2]))") == "3\n"


def test_a_known_mistake_may_be_made_of_minilms_own_function(
    notebook: Any, toys: dict[str, Exercise], toy_home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_based = Mistake("adds one", lambda numbers, start=0: toy_home.total(numbers, start) + 1, "")
    monkeypatch.setitem(toys, "total", dataclasses.replace(toys["total"], mistakes=[own_based]))
    error = notebook.fail(RIGHT.replace("start + sum", "1 + start + sum") + "check(total)")
    assert 'This is a known mistake, "adds one".' in str(error)


@pytest.mark.filterwarnings(
    "error::RuntimeWarning", "error::pytest.PytestUnraisableExceptionWarning"
)
def test_an_async_function_gets_its_own_sentence(notebook: Any) -> None:
    error = notebook.fail("async def total(numbers, start=0):\n    return 1\ncheck(total)")
    assert "Write `def`." in str(error)
    del error
    gc.collect()  # nobody complains about one that was not awaited


def test_what_a_function_printed_is_shown_when_it_fails(notebook: Any) -> None:
    error = notebook.fail(
        "def total(numbers, start=0):\n    print('saw', numbers)\n    return 7\ncheck(total)"
    )
    assert "It printed:\n    saw []" in str(error)


def test_what_a_right_function_prints_is_left_out(notebook: Any) -> None:
    out = notebook.run(RIGHT.replace("    if", "    print('hello')\n    if") + "check(total)")
    assert "hello" not in out


def test_changing_an_argument_is_told(notebook: Any) -> None:
    error = notebook.fail(
        RIGHT.replace("    return", "    numbers.sort()\n    return") + "check(total)"
    )
    assert "It changes `numbers`, which it was only lent." in str(error)
    assert "Make a copy first" in str(error)


def test_a_known_mistake_may_be_to_change_an_argument(notebook: Any) -> None:
    error = notebook.fail(
        "def total(numbers, start=0):\n    if start < 0: raise ValueError\n"
        "    while numbers: start += numbers.pop()\n    return start\ncheck(total)"
    )
    assert '"empties the list"' in str(error)


def test_an_answer_that_outlives_the_call_is_told(notebook: Any) -> None:
    error = notebook.fail(
        "seen = []\n"
        "def total(numbers, start=0):\n    if start < 0: raise ValueError\n"
        "    seen.extend(numbers)\n    return start + sum(seen)\ncheck(total)"
    )
    assert "Something outlives the call" in str(error)


def test_a_default_that_grows_is_found_wrong_and_given_back(notebook: Any) -> None:
    notebook.run(
        "def tally(words, counts={}):\n"
        "    for w in words: counts[w] = counts.get(w, 0) + 1\n    return counts"
    )
    assert isinstance(notebook.fail("check(tally)"), CheckFailed)
    assert notebook.names["tally"].__defaults__ == ({},)


@pytest.mark.parametrize(
    ("definition", "advice"),
    [
        ("def total():", "It takes 0 arguments, and minilm gives it 2."),
        ("def total(numbers):", "It takes 1 argument, and minilm gives it 2."),
        ("def total(numbers, start, more):", "It takes 3 arguments, and minilm gives it 2."),
        ("def total(start, numbers):", "do not come in the order"),
        ("def total(numbers, start):", "`start` has lost its default value"),
    ],
)
def test_parameters_that_do_not_fit_are_told(notebook: Any, definition: str, advice: str) -> None:
    error = notebook.fail(f"{definition}\n    return 1\ncheck(total)")
    assert advice in str(error)
    assert "`def total(numbers, start=0):`" in str(error)


@pytest.mark.parametrize(
    "definition",
    [
        "def total(values, first=0):\n    numbers, start = values, first",
        "def total(numbers, /, start=0):\n    pass",
        "def total(numbers, *, start=0):\n    pass",
        "def total(numbers, start=0, verbose=False):\n    pass",
        "def total(*args, **kwargs):\n"
        "    def names(numbers, start=0): return numbers, start\n"
        "    numbers, start = names(*args, **kwargs)",
        "def total(numbers, **others):\n    start = others.get('start', 0)",
        "def total(numbers, *others):\n    start = others[0] if others else 0",
    ],
)
def test_other_ways_to_take_the_same_arguments_pass(
    notebook: Any, toy_home: Any, definition: str
) -> None:
    body = "if start < 0: raise ValueError\n    return start + sum(numbers)"
    out = notebook.run(f"{definition}\n    {body}\ncheck(total)")
    assert out.startswith("total: right.")
    assert toy_home.total([1], 2) == toy_home.total(numbers=[1], start=2) == 3
    assert toy_home.total([1], start=2) == 3
    assert toy_home.total([1]) == 1


def test_other_parameter_names_are_remarked(notebook: Any) -> None:
    out = notebook.run(RIGHT.replace("numbers", "values") + "check(total)")
    assert out.endswith("Your names for its arguments work too: `values` is `numbers` in minilm.\n")


@pytest.mark.parametrize(
    "answer",
    [
        "import numpy as np\ndef total(numbers, start=0):\n    if start < 0: raise ValueError\n"
        "    return np.int64(start) + np.array(numbers, int).sum()",
        "def total(numbers, start=0):\n    assert start is not None\n"
        "    if start < 0: raise UnicodeError\n"
        "    return total(numbers[1:], start + numbers[0]) if numbers else start",
        "from functools import reduce, lru_cache, partial\nimport operator\n"
        "def checked(start):\n    if start < 0: raise ValueError\n    return start\n"
        "total = lambda numbers, start=0: reduce(operator.add, numbers, checked(start))",
        "def my_total(numbers, start=0):\n    if start < 0: raise ValueError\n"
        "    return start + sum(numbers)\ntotal = my_total",
        "import functools\ndef quietly(f):\n    @functools.wraps(f)\n"
        "    def g(*a, **k): return f(*a, **k)\n    return g\n"
        "@quietly\ndef total(numbers, start=0):\n    if start < 0: raise ValueError\n"
        "    return start + sum(numbers)",
        "class Adder:\n    def __call__(self, numbers, start=0):\n"
        "        if start < 0: raise ValueError\n        return start + sum(numbers)\n"
        "total = Adder()",
    ],
)
def test_right_answers_written_another_way_pass(notebook: Any, answer: str) -> None:
    assert notebook.run(f"{answer}\ncheck(total)").startswith("total: right.")


@pytest.mark.parametrize(
    "body",
    [
        "from collections import Counter\n    return Counter(reversed(words))",
        "from collections import defaultdict\n    counts = defaultdict(int)\n"
        "    for w in words: counts[w] += 1\n    return counts",
    ],
)
def test_other_kinds_of_dict_pass(notebook: Any, body: str) -> None:
    assert notebook.run(f"def tally(words):\n    {body}\ncheck(tally)").startswith("tally: right.")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("check(total([1, 2]))", "this is a value (3)"),
        ("check('total')", "not its name: `check(total)`, without quotes"),
        ("class total: pass\ncheck(total)", "this is a class"),
        ("check(lambda numbers: 3)", "has no name (a lambda)"),
        ("check(None)", "this is a value (None)"),
    ],
)
def test_what_is_no_function_gets_its_own_sentence(notebook: Any, call: str, says: str) -> None:
    notebook.run(RIGHT)
    error = notebook.fail(call)
    assert isinstance(error, CheckFailed)
    assert says in str(error)


def test_an_unknown_name_lists_near_ones_and_all(notebook: Any) -> None:
    error = notebook.fail("def totale(numbers): return 1\ncheck(totale)")
    assert isinstance(error, InvalidInput)
    assert "Did you mean total?" in str(error)
    assert "02_more_toys: mean, tally, top, doubled" in str(error)


@pytest.mark.parametrize("mode", ["autograde", "validate"])
def test_under_nbgrader_unwritten_and_wrong_both_raise(
    notebook: Any, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("NBGRADER_EXECUTION", mode)
    assert "is not written yet" in str(notebook.fail(STUB + "check(total)"))
    assert isinstance(notebook.fail("import toy_home\ncheck(toy_home.total)"), CheckFailed)
    assert isinstance(
        notebook.fail("def total(numbers, start=0): return 1\ncheck(total)"), CheckFailed
    )
    notebook.run(RIGHT + "check(total)")


def test_under_nbgrader_the_desk_is_neither_read_nor_written(
    notebook: Any, desk_folder: Path, monkeypatch: pytest.MonkeyPatch, toys: Any
) -> None:
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    notebook.run(RIGHT + "check(total)")
    assert not desk_folder.exists()
    monkeypatch.delenv("NBGRADER_EXECUTION")
    notebook.run("check(total)")
    assert desk_folder.exists()
    installing.restore(toys["total"])
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert "No answers of yours yet" in notebook.run("desk.load()")
    assert installing.readers(toys["total"]) is None


@pytest.mark.filterwarnings("ignore:careful")
def test_warnings_and_logs_and_raw_stderr_stay_away(notebook: Any) -> None:
    noise = (
        "    import warnings, logging, sys, os\n    warnings.warn('careful')\n"
        "    logging.getLogger('x').error('bad')\n    print('oh', file=sys.stderr)\n"
        "    os.write(2, b'raw')\n"
    )
    out, err = notebook.run_loud(RIGHT.replace("    if", noise + "    if") + "total([])")
    assert err == "oh\nraw"  # pytest takes the rest
    out, err = notebook.run_loud("check(total)")
    assert out.startswith("total: right.")
    assert err == ""


def test_random_numbers_of_the_notebook_go_on_undisturbed(notebook: Any) -> None:
    notebook.run("import random\nrandom.seed(3)\nexpected = [random.random(), random.random()]")
    drawing = RIGHT.replace("    if", "    random.random()\n    if")
    notebook.run(drawing + "random.seed(3)\nfirst = random.random()\ncheck(total)")
    notebook.run("assert [first, random.random()] == expected")


def test_an_interrupt_passes_through(notebook: Any) -> None:
    error = notebook.fail("def total(numbers, start=0):\n    raise KeyboardInterrupt\ncheck(total)")
    assert isinstance(error, KeyboardInterrupt)


def test_check_works_in_a_thread_too(notebook: Any) -> None:
    notebook.run(RIGHT)
    notebook.run(
        "import threading\nthread = threading.Thread(target=lambda: check(total))\n"
        "thread.start(); thread.join()\n"
    )
    notebook.run("import toy_home\nassert toy_home.total is total")


def test_progress_counts_the_readers_functions(notebook: Any) -> None:
    assert notebook.run("progress()") == (
        "01_toys       [....................]   0 of 1 yours\n"
        "    minilm's: total\n"
        "02_more_toys  [....................]   0 of 4 yours\n"
        "    minilm's: mean, tally, top, doubled\n"
        "all           [....................]   0 of 5 yours\n"
    )
    notebook.run(RIGHT + "check(total)")
    assert notebook.run("progress()") == (
        "01_toys       [####################]   1 of 1 yours\n"
        "    yours:    total\n"
        "02_more_toys  [....................]   0 of 4 yours\n"
        "    minilm's: mean, tally, top, doubled\n"
        "all           [####................]   1 of 5 yours\n"
    )
