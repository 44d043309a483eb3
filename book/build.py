"""Build the notebooks: `python book/build.py [PAGE …]` (`--help` tells the rest).

book/NN_name.md is the source. solutions/NN_name.ipynb is the page completed and executed, in
nbgrader's source form; lessons/NN_name.ipynb is what `nbgrader generate_assignment` makes of it.
solutions/made_from/NN_name.json notes which files the outputs were computed with.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "book"), str(ROOT)]

try:
    import nbformat
    from builder.page import Page, PageError, read_page
    from builder.sources import code_only
    from nbformat import NotebookNode
except ModuleNotFoundError as error:
    sys.exit(
        f"The builder needs '{error.name}', which this Python lacks. Run `make build`, or install "
        'what the book needs: pip install -c constraints.txt -e ".[book]"'
    )

from minilm.files import replace_files, write_atomically  # noqa: E402

HELP = """\
A page is a MyST-Markdown text notebook. Front matter: `kernelspec` and `title`. Its code cells:

  ```{code-cell}            an ordinary cell: at most 25 lines
  :tags: [exercise]         the body is one reference, package.module:function, or :Class, or
                            :Class.method. The lesson shows signature and docstring, the reader
                            writes the body (at most 15 lines). The next code cell must be
                            check(function), alone in its cell.
  :tags: [show]             the body is one reference; the source is shown as a listing
  :tags: [varies]           the output depends on the machine (timings): it is not stored
  :tags: [raises-exception] the cell fails on purpose
  other tags                nbval-…, hide-…, remove-…

Prose is CommonMark with these MyST forms: note, tip, hint, important, warning, caution, attention,
danger, error, seealso, admonition, dropdown, math, figure, image (with :alt:, path beside the page);
roles math, code, term, doc; links to other pages as [text](02_tokenizers.md). A line `+++` begins a new
prose cell.

Without names, every stale page is built. Executing needs no network, and sees no desk.
"""


@dataclass(frozen=True)
class Folders:
    """Where everything lies; another book can be built from other folders."""

    root: Path = ROOT
    book: Path = ROOT / "book"
    lessons: Path = ROOT / "lessons"
    solutions: Path = ROOT / "solutions"

    def page(self, name: str) -> Path:
        return self.book / f"{name}.md"

    def lesson(self, name: str) -> Path:
        return self.lessons / f"{name}.ipynb"

    def solution(self, name: str) -> Path:
        return self.solutions / f"{name}.ipynb"

    def record(self, name: str) -> Path:
        return self.solutions / "made_from" / f"{name}.json"

    def names(self) -> list[str]:
        """The pages of the book, in order."""
        return sorted(path.stem for path in self.book.glob("[0-9][0-9]_*.md"))


def lesson_of(solution: NotebookNode) -> NotebookNode:
    """Return the lesson of a solution: what `nbgrader generate_assignment` makes of it."""
    from nbgrader.converters.generate_assignment import GenerateAssignment

    lesson, resources = copy.deepcopy(solution), {}  # type: ignore[var-annotated]
    for step in GenerateAssignment().preprocessors:
        # These read a header file, test templates and the gradebook; here there are none.
        if step.__name__ not in ("IncludeHeaderFooter", "InstantiateTests", "SaveCells"):
            lesson, resources = step().preprocess(lesson, resources)
    return lesson


def as_text(notebook: NotebookNode) -> str:
    """Return a notebook as the text of its file, as nbconvert writes it."""
    text = nbformat.writes(notebook, version=4)
    return text if text.endswith("\n") else text + "\n"


def hash_of(data: str | bytes) -> str:
    raw = data.encode("utf-8") if isinstance(data, str) else data
    return hashlib.sha256(raw).hexdigest()[:16]


def build(name: str, folders: Folders) -> str:
    """Execute a page and write its solution and its lesson; return what to tell about it."""
    from builder.execute import execute

    page = read_page(folders.page(name), folders.root)
    started = time.perf_counter()
    notebook, loaded = execute(page, folders.root)
    seconds = time.perf_counter() - started
    solution = as_text(notebook)
    files = [path.relative_to(folders.root).as_posix() for path in loaded]
    code = {relative: _hash_now(relative, folders) for relative in files}
    record = {"solution": hash_of(solution), "code": code}
    folders.lessons.mkdir(parents=True, exist_ok=True)
    folders.record(name).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(folders.lesson(name), as_text(lesson_of(notebook)))
    replace_files(folders.solutions, {f"{name}.ipynb": solution})
    write_atomically(folders.record(name), json.dumps(record, indent=1) + "\n")
    exercises = sum(
        cell.metadata.get("nbgrader", {}).get("solution", False) for cell in notebook.cells
    )
    return f"{seconds:5.1f} s, {len(notebook.cells)} cells, {exercises} exercises"


def problems(name: str, folders: Folders) -> list[str]:
    """Say everything that is stale about one page; nothing is executed, nothing is written."""
    page = read_page(folders.page(name), folders.root)
    missing = [
        f"{path.parent.name}/{path.name} is missing"
        for path in (folders.solution(name), folders.lesson(name), folders.record(name))
        if not path.exists()
    ]
    if missing:
        return missing
    text = folders.solution(name).read_text(encoding="utf-8")
    try:
        solution = nbformat.reads(text, as_version=4)
    except Exception:
        return [f"solutions/{name}.ipynb is not a notebook"]
    found = _differences(page, solution)
    if not found:
        found += _about_outputs(name, text, solution, folders)
    if as_text(lesson_of(solution)) != folders.lesson(name).read_text(encoding="utf-8"):
        found.append(f"lessons/{name}.ipynb is not what its solution gives")
    return found


def _differences(page: Page, solution: NotebookNode) -> list[str]:
    """Where a stored solution's cells are not those of its page."""
    wanted, stored = page.notebook, copy.deepcopy(solution)
    for cell in stored.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    theirs = {cell.get("id", ""): cell for cell in stored.cells}
    found = []
    for cell in wanted.cells:
        if cell != theirs.get(cell["id"]):
            line = page.lines[cell["id"]]
            found.append(
                f"cell '{cell['id']}' in solutions/{page.name}.ipynb is not what the page "
                f"(line {line}) and the package give"
            )
    if not found and wanted != stored:
        found.append(f"solutions/{page.name}.ipynb has other cells than its page, or another order")
    return found[:3] + ([f"… and {len(found) - 3} more cells"] if len(found) > 3 else [])


def _about_outputs(name: str, text: str, solution: NotebookNode, folders: Folders) -> list[str]:
    """Whether the stored outputs are there, whole, and made by today's code."""
    cells = [cell for cell in solution.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        return [f"solutions/{name}.ipynb has cells that were not executed: outputs are missing"]
    try:
        record = json.loads(folders.record(name).read_text(encoding="utf-8"))
        built, code = record["solution"], dict(record["code"])
    except (ValueError, KeyError, TypeError):
        return [f"solutions/made_from/{name}.json is not what the builder writes"]
    if built != hash_of(text):
        return [f"solutions/{name}.ipynb was changed after it was built"]
    changed = [relative for relative, then in code.items() if _hash_now(relative, folders) != then]
    if changed:
        names = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if changed[3:] else "")
        return [f"the outputs in solutions/{name}.ipynb were made with another {names}"]
    return []


def _hash_now(relative: str, folders: Folders) -> str:
    path = folders.root / relative
    return hash_of(code_only(path.read_text("utf-8"))) if path.exists() else ""


def leftovers(folders: Folders) -> list[Path]:
    """Generated files that no page stands for any more."""
    names = set(folders.names())
    found = []
    for folder, pattern in (
        (folders.lessons, "*"),
        (folders.solutions, "*.ipynb"),
        (folders.solutions / "made_from", "*"),
    ):
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and not path.name.startswith(".") and path.stem not in names:
                found.append(path)
    return found


def check(names: list[str], folders: Folders, whole: bool) -> int:
    """Print what is stale; return the exit status."""
    stale = 0
    for name in names:
        try:
            found = problems(name, folders)
        except PageError as error:
            found = [str(error)]
        stale += bool(found)
        for problem in found:
            print(f"{name}: {problem}")
    extra = leftovers(folders) if whole else []
    for path in extra:
        print(f"{path.parent.name}/{path.name} has no page in {folders.book.name}/: delete it")
    if stale:
        print(f"{stale} of {len(names)} pages are stale. Run: make build")
    elif not extra:
        print(f"{len(names)} pages are up to date.")
    return 1 if stale or extra else 0


def _is_stale(name: str, folders: Folders) -> bool:
    try:
        return bool(problems(name, folders))
    except PageError:
        return True  # building it says why


def build_all(names: list[str], folders: Folders) -> int:
    """Build pages one after the other, with a line for each; return the exit status."""
    failed = 0
    for name in names:
        print(f"{name} …", end=" ", flush=True)
        try:
            print(build(name, folders), flush=True)
        except PageError as error:
            failed += 1
            print(f"failed\n{error}", flush=True)
    if failed:
        print(f"{failed} of {len(names)} pages could not be built; their notebooks are as before.")
    return 1 if failed else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="book/build.py",
        description="Build lessons/ and solutions/ from the pages in book/.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="01_byte_pairs, or only 01")
    parser.add_argument("--check", action="store_true", help="only say what is stale (seconds)")
    parser.add_argument("--all", action="store_true", help="build every page, stale or not")
    parser.add_argument("--book", type=Path, default=Folders.book, help="folder of the pages")
    parser.add_argument("--lessons", type=Path, default=Folders.lessons)
    parser.add_argument("--solutions", type=Path, default=Folders.solutions)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder that holds the package")
    given = parser.parse_args(arguments)
    folders = Folders(
        *(p.resolve() for p in (given.root, given.book, given.lessons, given.solutions))
    )
    names = folders.names()
    if given.pages:
        wanted = [Path(page).name.removesuffix(".md") for page in given.pages]
        unknown = [one for one in wanted if not any(_matches(name, one) for name in names)]
        if unknown:
            parser.error(f"no page '{unknown[0]}'; there are: {', '.join(names) or 'none'}")
        names = [name for name in names if any(_matches(name, one) for one in wanted)]
    if given.check:
        return check(names, folders, whole=not given.pages)
    if not given.pages and not given.all:
        names = [name for name in names if _is_stale(name, folders)]
        if not names:
            print("Every notebook is up to date.")
    status = build_all(names, folders)
    if not given.pages:
        for path in leftovers(folders):
            path.unlink()
            print(f"{path.parent.name}/{path.name} had no page any more: deleted")
    return status


def _matches(name: str, wanted: str) -> bool:
    return wanted in (name, name.split("_")[0])


if __name__ == "__main__":
    sys.exit(main())
