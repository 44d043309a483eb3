"""The lessons in JupyterLab: run, answer rightly and wrongly, turn a knob, take a picture."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, writes
from PIL import Image
from playwright.sync_api import expect

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted(path.stem for path in (ROOT / "lessons").glob("*.ipynb"))
LARGEST_PICTURE = 200_000

# JupyterLab draws warnings and tracebacks alike: as the red box of stderr.
RED_BOX = '[data-mime-type="application/vnd.jupyter.stderr"]'

# Not written as the book writes them.
RIGHT_MERGE_PAIR = '''
def merge_pair(symbols, pair, merged):
    """My own way."""
    done = []
    todo = list(symbols)
    while todo:
        if tuple(todo[:2]) == tuple(pair):
            done.append(merged)
            todo = todo[2:]
        else:
            done.append(todo.pop(0))
    return done
'''
WRONG_MERGE_PAIR = '''
def merge_pair(symbols, pair, merged):
    """Move on by one after a merge, as many first tries do."""
    done = []
    for here, following in zip(symbols, [*symbols[1:], None]):
        done.append(merged if (here, following) == tuple(pair) else here)
    return done
'''

RIGHT_APPLY_MERGES = '''
def apply_merges(symbols, ranks):
    """Join the pair of lowest rank, leftmost first, until no neighbours are a known pair."""
    symbols = list(symbols)
    while len(symbols) > 1:
        pairs = enumerate(zip(symbols, symbols[1:]))
        rank, at = min((ranks.get(pair, math.inf), at) for at, pair in pairs)
        if rank == math.inf:
            break
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
    return symbols
'''


def stderr_of(cells: list[dict]) -> list[str]:
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return ["".join(o["text"]) for o in outputs if o.get("name") == "stderr"]


def errors_of(cells: list[dict]) -> list[str]:
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]


@pytest.fixture(scope="session", params=LESSONS)
def lesson(request, open_and_run: Callable):
    return open_and_run(request.param)


@pytest.fixture(scope="session")
def start_here(open_and_run: Callable):
    return open_and_run("00_start_here")


@pytest.fixture(scope="session")
def byte_pairs(open_and_run: Callable):
    return open_and_run("01_byte_pairs")


def test_every_cell_of_a_lesson_runs_and_nothing_goes_wrong(lesson):
    assert len(lesson.ran) > 10
    assert errors_of(lesson.ran) == []
    assert stderr_of(lesson.ran) == []
    counts = [cell["execution_count"] for cell in lesson.ran]
    assert counts == list(range(1, len(counts) + 1))


def test_the_page_shows_no_box_of_warnings_or_errors(lesson):
    assert lesson.panel.locator(RED_BOX).count() == 0


def test_every_picture_on_the_page_has_words(lesson):
    pictures = lesson.pictures()
    assert pictures
    words = [picture.get_attribute("alt") for picture in pictures]
    assert all(len(alt) > 20 for alt in words), words


def test_the_main_picture_of_a_lesson_can_be_looked_at(lesson):
    """The largest picture goes to build/screenshots/, as the page shows it."""
    pictures = lesson.pictures()
    boxes = [picture.bounding_box() for picture in pictures]
    assert all(box and box["width"] > 150 and box["height"] > 60 for box in boxes), boxes
    largest = max(range(len(boxes)), key=lambda at: boxes[at]["width"] * boxes[at]["height"])
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{lesson.file.stem}.png"
    pictures[largest].screenshot(path=target, animations="disabled")
    with Image.open(target) as picture:
        shades = picture.convert("L").getextrema()
    assert shades[1] - shades[0] > 100  # something is drawn, and can be seen


def test_moving_a_slider_changes_the_picture_and_the_saved_file(start_here):
    cell = start_here.cell_with("plots.slider(by_length")
    picture = cell.locator(".jp-OutputArea-output img")
    handle = cell.get_by_role("slider")
    before, words = picture.get_attribute("src"), picture.get_attribute("alt")
    assert "k = 0.001" in words
    handle.focus()
    handle.press("ArrowRight")
    expect(picture).to_have_attribute("alt", words.replace("k = 0.001", "k = 0.01"))
    assert picture.get_attribute("src") != before
    start_here.save()
    [saved] = [c for c in start_here.read() if "plots.slider(by_length" in "".join(c["source"])]
    assert words.replace("k = 0.001", "k = 0.01") in json.dumps(saved["outputs"])


def test_choosing_from_a_list_changes_the_picture(start_here):
    cell = start_here.cell_with("plots.slider(next_words")
    picture = cell.locator(".jp-OutputArea-output img")
    before, words = picture.get_attribute("src"), picture.get_attribute("alt")
    cell.locator("select").select_option("python")
    expect(picture).to_have_attribute("alt", words.replace("“the”", "“python”"))
    assert picture.get_attribute("src") != before


def test_an_exercise_not_written_yet_is_said_in_a_friendly_line(byte_pairs):
    saved = byte_pairs.read()[byte_pairs.index("check_merge_pair")]
    said = "".join("".join(output["text"]) for output in saved["outputs"])
    assert "merge_pair" in said
    assert "right" not in said.split("\n")[0]


def test_a_wrong_answer_is_told_its_mistake_and_a_right_one_that_it_is_right(byte_pairs):
    byte_pairs.write("merge_pair", WRONG_MERGE_PAIR)
    byte_pairs.run("merge_pair")
    verdict = byte_pairs.run("check_merge_pair")
    expect(verdict).to_contain_text("merge_pair is not right yet")
    expect(verdict).to_contain_text('known mistake, "keeps the second symbol"')
    expect(verdict).to_contain_text("your answer")

    byte_pairs.write("merge_pair", RIGHT_MERGE_PAIR)
    byte_pairs.run("merge_pair")
    verdict = byte_pairs.run("check_merge_pair")
    expect(verdict).to_contain_text("merge_pair: right.")
    expect(verdict).not_to_contain_text("not right yet")
    assert verdict.locator(RED_BOX).count() == 0


def test_a_lesson_page_can_be_shown(byte_pairs):
    """The picture goes to build/screenshots/; with MINILM_PICTURE=1 the README's is made anew."""
    byte_pairs.write("apply_merges", RIGHT_APPLY_MERGES)
    byte_pairs.run("apply_merges")
    verdict = byte_pairs.run("check_apply_merges")
    expect(verdict).to_contain_text("apply_merges: right.")
    ids = [cell["id"] for cell in byte_pairs.read()]
    below = byte_pairs.run(ids[byte_pairs.index("check_apply_merges") + 1])
    expect(below.locator("img")).to_be_visible()
    byte_pairs.cell("apply_merges").evaluate("cell => cell.scrollIntoView({block: 'start'})")
    expect(below.locator("img")).to_be_in_viewport()

    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "lesson_page.png"
    byte_pairs.page.screenshot(path=target, animations="disabled", caret="hide")
    assert dimensions(target) == (1280, 800)
    packed = smaller(target)
    assert len(packed) < LARGEST_PICTURE
    if os.environ.get("MINILM_PICTURE") == "1":
        (ROOT / "book" / "figures").mkdir(exist_ok=True)
        (ROOT / "book" / "figures" / "lesson_page.png").write_bytes(packed)


def test_what_these_tests_look_for_would_be_seen(lab, open_notebook):
    cells = [
        new_code_cell("import sys\nprint('a warning', file=sys.stderr)", id="warns"),
        new_code_cell("1 / 0", id="fails"),
        new_code_cell("'never'", id="never-runs"),
    ]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    lab.desk.mkdir(exist_ok=True)
    (lab.desk / "bad.ipynb").write_text(writes(new_notebook(cells=cells, metadata=metadata)))
    notebook = open_notebook("bad.ipynb")  # last of all tests: it would stand in the picture
    saved = notebook.run_all_and_read()
    assert stderr_of(saved) == ["a warning\n"]
    assert errors_of(saved) == ["ZeroDivisionError: division by zero"]
    assert [bool(cell["execution_count"]) for cell in saved] == [True, True, False]
    expect(notebook.panel.locator(RED_BOX)).to_have_count(2)


def dimensions(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def smaller(path: Path) -> bytes:
    packed = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
            packed, format="png", optimize=True
        )
    return packed.getvalue()
