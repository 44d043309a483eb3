"""The size and the tone of a lesson."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))
MARKERS = ("### BEGIN SOLUTION", "### END SOLUTION")


@pytest.fixture(params=SOLUTIONS, ids=lambda path: path.stem)
def cells(request) -> list[nbformat.NotebookNode]:
    return nbformat.read(request.param, as_version=4).cells


def lines(cell: nbformat.NotebookNode) -> list[str]:
    return [line for line in cell.source.split("\n") if line.strip() not in MARKERS]


def prose(cells: list[nbformat.NotebookNode]) -> str:
    """What is read as text: no listings, no formulas set apart, no HTML tags, no picture data."""
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    text = re.sub(r"^ *(`{3,}|~{3,}).*?^ *\1", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\$\$.*?\$\$", "", text, flags=re.DOTALL)
    return re.sub(r"</?[a-z]+>", "", text)


def code(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    return [cell for cell in cells if cell.cell_type == "code"]


def test_a_lesson_has_thirty_to_forty_five_cells(cells):
    assert 30 <= len(cells) <= 45


def test_a_lesson_has_twelve_to_eighteen_hundred_words(cells):
    words = re.findall(r"[^\W_][\w'’-]*", prose(cells))
    assert 1200 <= len(words) <= 1800


def test_code_cells_are_short(cells):
    lengths = [len(lines(cell)) for cell in code(cells)]
    assert statistics.median(lengths) <= 8
    assert max(lengths) <= 25


def test_an_exercise_asks_for_fifteen_lines_at_most(cells):
    for cell in code(cells):
        source = cell.source.split("\n")
        starts = [row for row, line in enumerate(source) if line.strip() == MARKERS[0]]
        ends = [row for row, line in enumerate(source) if line.strip() == MARKERS[1]]
        for start, end in zip(starts, ends, strict=True):
            body = [line.strip() for line in source[start + 1 : end]]
            assert sum(bool(line) and not line.startswith("#") for line in body) <= 15


def test_the_first_code_cell_brings_the_check_bench_and_the_desk(cells):
    first = code(cells)[0].source
    assert re.search(r"^from minilm\.check import .*\bdesk\b", first, re.MULTILINE)
    assert "desk.load()" in first


def test_the_prose_keeps_its_tone(cells):
    text = re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)|\]\([^)]*\)|!\[", "", prose(cells))
    assert not re.findall(r"\b(?:simply|just|obviously)\b", text, flags=re.IGNORECASE)
    assert "!" not in text
    # Emoji and drawn boxes; characters that a lesson talks about stand in code.
    assert not re.findall(r"[\U0001F300-\U0001FAFF\u2500-\u259F\u2600-\u27BF]", text)


def test_a_lesson_opens_with_a_question_and_ends_with_what_one_can_now_say(cells):
    headings = [c.source for c in cells if c.cell_type == "markdown"]
    assert headings[0].startswith("# ")
    assert "?" in "\n".join(headings[:3])
    assert re.search(r"what you can now say", "\n".join(headings), flags=re.IGNORECASE)


def test_answers_are_folded(cells):
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert text.count("<details>") == text.count("</details>") >= 3
    assert text.count("<summary>") == text.count("</summary>") == text.count("<details>")
