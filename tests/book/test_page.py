"""A page that cannot be built says which page, which line and what to do."""

from __future__ import annotations

import pytest

FRONT = "---\ntitle: Test\n---\n\n"
LONG = "\n".join(f"a{number} = {number}" for number in range(26))
LONG_BODY = "def long():\n" + "".join(f"    a{n} = {n}\n" for n in range(16))


def cell(body: str, tags: str = "") -> str:
    options = f":tags: [{tags}]\n" if tags else ""
    return f"```{{code-cell}}\n{options}{body}\n```\n\n"


EXERCISE = cell("tiny.sums:add_up", "exercise")

# What is wrong → (the page after its front matter, the line to name, words of the message).
BAD = {
    "an unknown module": (cell("tiny.sum:add_up", "exercise"), 5, "no module 'tiny.sum'"),
    "an unknown function": (cell("tiny.sums:add", "exercise"), 5, "has no 'add'"),
    "an unknown method": (cell("tiny.sums:Counter.down", "exercise"), 5, "'Counter.down'"),
    "code where a reference belongs": (
        cell("tiny.sums:add_up\nadd_up([])", "exercise"), 5, "not a reference"),
    "a file name where a reference belongs": (
        cell("tiny/sums.py:add_up", "exercise"), 5, "not a reference"),
    "code where something shown belongs": (cell("print(1)", "show"), 5, "not a reference"),
    "an exercise that is a constant": (
        cell("tiny.sums:NOTHING", "exercise"), 5, "a function, a method or a class"),
    "an exercise with a body too long": (cell("tiny.long:long", "exercise"), 5, "15 lines"),
    "an exercise on one line": (cell("tiny.long:one_line", "exercise"), 5, "lines of its own"),
    "an exercise without body": (cell("tiny.long:empty", "exercise"), 5, "no body"),
    "an exercise without check": (EXERCISE, 5, "followed by its check"),
    "an exercise before another": (EXERCISE + EXERCISE, 10, "followed by its check"),
    "code between exercise and check": (
        EXERCISE + cell("print(1)") + cell("check(add_up)"), 10, "followed by its check"),
    "a check without exercise": (
        "Some prose.\n\n" + cell("check(add_up)"), 7, "without exercise"),
    "a check of another function": (
        EXERCISE + cell("check(greeting)"), 10, "after the exercise 'add_up'"),
    "a check with company": (cell("x = 1\ncheck(add_up)"), 5, "cell of its own"),
    "the same exercise twice": (
        EXERCISE + cell("check(add_up)") + EXERCISE + cell("check(add_up)"), 14, "second exercise"),
    "a cell too long": ("Prose.\n\n" + cell(LONG), 7, "26 lines"),
    "an empty cell": (cell(""), 5, "empty"),
    "a cell that is not Python": (cell("x = 1\nif x"), 7, "not Python"),
    "an unknown tag": (cell("x = 1", "exercize"), 5, "unknown tag 'exercize'"),
    "another option": ("```{code-cell}\n:name: x\nx = 1\n```\n", 5, "not 'name'"),
    "an unknown directive": ("One.\n\nTwo.\n\n:::{mermaid}\na\n:::\n", 9, "'mermaid'"),
    "a misspelt code cell": ("```{code_cell}\nx = 1\n```\n", 5, "'code_cell'"),
    "an unknown role": ("One.\n\nSee {ref}`there`.\n", 7, "'ref'"),
    "a box never closed": (":::{note}\nOne.\n", 5, "never closed"),
    "a missing picture": ("```{figure} no.png\n:alt: no\n```\n", 5, "no.png"),
    "a picture without words": ("```{image} here.png\n```\n", 5, ":alt:"),
    "a raw cell": ("```{raw-cell}\nx\n```\n", 5, "no raw cells"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_page_is_refused_for(what, fresh_book, capsys):
    text, line, words = BAD[what]
    (fresh_book.root / "tiny" / "long.py").write_text(
        LONG_BODY + "\n\ndef one_line(): return 1\n\n\ndef empty():\n    '''Nothing.'''\n"
    )
    (fresh_book.root / "book" / "here.png").write_bytes(b"")
    fresh_book.write("00_sums", FRONT + text)
    assert fresh_book.run("00") == 1
    said = capsys.readouterr().out
    assert f"00_sums.md, line {line}: " in said
    assert words in said
    assert fresh_book.bytes() == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Prose without a title.\n", "needs a title"),
        ("", "empty page"),
        ("---\ntitle: Test\n---\n", "empty page"),
        ("---\ntitle: [\n---\n\nProse.\n", "00_sums.md, line 1"),
    ],
)
def test_a_page_needs_a_title_and_something_in_it(text, words, fresh_book, capsys):
    fresh_book.write("00_sums", text)
    assert fresh_book.run("00") == 1
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    "body",
    [
        "assert True\ntry:\n    check(add_up)\nexcept ValueError:\n    pass",  # a break, shown
        "%matplotlib inline\nx = 1",
        "\n".join(["x = 1"] * 25),
        "recheck = 1",
    ],
)
def test_an_ordinary_cell_may_hold(body, fresh_book, capsys):
    # It fails when it runs, if at all: nothing is said about the page.
    fresh_book.write("00_sums", FRONT + cell(body))
    fresh_book.run("--check", "00")
    assert "missing" in capsys.readouterr().out


def read(fresh_book, text: str):
    fresh_book.write("00_sums", FRONT + text)
    page = fresh_book.builder.read_page(fresh_book.root / "book" / "00_sums.md", fresh_book.root)
    return page.notebook.cells


def test_ids_stay_unique_when_headings_repeat_or_look_like_exercises(fresh_book):
    text = "## add_up\n\n+++\n\n## Again\n\n+++\n\n## Again\n\n+++\n\n## ???\n\n" + EXERCISE
    cells = read(fresh_book, text + cell("check(add_up)") + "## check_add_up\n")
    assert [one["id"] for one in cells] == [
        "test-1", "add-up-1", "again-1", "again-2", "again-3", "add_up", "check_add_up",
        "check-add-up-1",
    ]  # fmt: skip


def test_a_method_becomes_a_function_of_the_cell(fresh_book):
    cells = read(fresh_book, cell("tiny.sums:Counter.up", "exercise") + cell("check(up)"))
    assert cells[1].source.split("\n") == [
        "def up(self) -> int:",
        '    """One more."""',
        "    ### BEGIN SOLUTION",
        "    self.count += self.step",
        "    return self.count",
        "    ### END SOLUTION",
    ]


def test_a_cell_with_a_slider_is_not_compared(fresh_book):
    cells = read(fresh_book, cell("plots.slider(draw, x=3)") + cell("no_slider(1)"))
    assert [one.metadata.get("tags") for one in cells[1:]] == [["nbval-ignore-output"], None]


def test_prose_may_stand_between_exercise_and_check(fresh_book):
    assert len(read(fresh_book, EXERCISE + "Now check it.\n\n" + cell("check(add_up)"))) == 4
