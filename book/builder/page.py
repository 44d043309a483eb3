"""From a page, book/NN_name.md, to the notebook that is executed, and from that to the lesson."""

from __future__ import annotations

import ast
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from jupytext.myst import MystMetadataParsingError, myst_to_notebook
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from builder.markdown import BadMarkdown, plain
from builder.sources import BEGIN, END, BadReference, blank, read_source

LONGEST_CELL = 25
CHECK = re.compile(r"^check\((?P<name>[A-Za-z_]\w*)\)$")
# `varies`: what the cell prints depends on the machine, so nothing of it is stored or compared.
OUR_TAGS = ("exercise", "show", "varies", "raises-exception")
OTHER_TAGS = ("nbval-", "hide-", "remove-")
# The same in every notebook: no Python version, no machine, no time.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class PageError(Exception):
    """A page that cannot be built. The message names the page, the line and the remedy."""

    def __init__(self, page: str, line: int, message: str):
        super().__init__(f"{page}.md, line {line}: {message}")


@dataclass
class Page:
    """A page as a notebook that has not run yet."""

    name: str
    notebook: NotebookNode
    lines: dict[str, int] = field(default_factory=dict)  # cell id → line of the page

    def error(self, cell: NotebookNode, message: str) -> PageError:
        return PageError(self.name, self.lines[cell["id"]], message)


def read_page(path: Path, root: Path) -> Page:
    """Read a page into the notebook its solution will be, cells named, outputs empty.

    path: book/NN_name.md
    root: the folder that the references `package.module:name` start from
    """
    name = path.stem
    text = path.read_text(encoding="utf-8")
    try:
        raw = myst_to_notebook(text, add_source_map=True)
    except MystMetadataParsingError as error:
        raise PageError(name, 1, str(error)) from None
    builder = _Builder(name, path.parent, root)
    rows = text.split("\n")
    for start, cell in zip(raw.metadata["source_map"], raw.cells, strict=True):
        if cell.cell_type == "code":
            builder.add_code(cell, start)
        elif cell.cell_type == "markdown":
            while not rows[start].strip():
                start += 1
            builder.add_prose(cell.source, start + 1)
        else:
            raise PageError(name, start, "a page has code cells and prose, no raw cells")
    return builder.finish(str(raw.metadata.get("title", "")))


class _Builder:
    """Collects the cells of one page, in order."""

    def __init__(self, name: str, folder: Path, root: Path):
        self.name, self.folder, self.root = name, folder, root
        self.cells: list[NotebookNode] = []
        self.starts: list[int] = []
        self.waiting = ""  # an exercise that its check has not followed yet
        self.waiting_line = 0
        self.taken: set[str] = set()  # ids of exercises and checks

    def add_prose(self, source: str, line: int) -> None:
        try:
            source, attachments = plain(source, self.folder)
        except BadMarkdown as error:
            raise PageError(self.name, line + error.line, str(error)) from None
        if not source:
            return
        cell = new_markdown_cell(source)
        if attachments:
            cell["attachments"] = nbformat.from_dict(attachments)
        self._append(cell, line)

    def add_code(self, raw: NotebookNode, line: int) -> None:
        tags = self._tags(raw, line)
        source = raw.source.strip("\n")
        if not source.strip():
            raise PageError(self.name, line, "an empty code cell")
        check = CHECK.match(source.strip())
        if "show" in tags:
            self._append(new_markdown_cell(self._listing(source.strip(), line)), line)
            return
        if self.waiting and not check:
            raise PageError(
                self.name, line, f"the exercise '{self.waiting}' must be followed by its check cell"
            )
        if "exercise" in tags:
            cell = self._exercise(source, line)
        elif check:
            cell = self._check(check["name"], source.strip(), line)
        elif re.search(r"^check\(", source, re.MULTILINE):
            raise PageError(self.name, line, "a check stands in a cell of its own: check(name)")
        else:
            self._parse(source, line)
            cell = new_code_cell(source)
        self._limit(cell, line)
        if "varies" in tags or _calls_slider(source):
            tags.append("nbval-ignore-output")
        tags = [tag for tag in dict.fromkeys(tags) if tag != "exercise"]
        if tags:
            cell.metadata["tags"] = tags
        self._append(cell, line)

    def finish(self, title: str) -> Page:
        if self.waiting:
            raise PageError(
                self.name,
                self.waiting_line,
                f"the exercise '{self.waiting}' must be followed by its check cell",
            )
        if not self.cells:
            raise PageError(self.name, 1, "an empty page")
        if not self.cells[0].source.startswith("# "):
            if not title:
                raise PageError(self.name, 1, "the page needs a title in its front matter")
            self.cells.insert(0, new_markdown_cell(f"# {title}"))
            self.starts.insert(0, 1)
        title = self.cells[0].source.split("\n")[0].removeprefix("# ").strip()
        page = Page(
            self.name, new_notebook(cells=self.cells, metadata={**METADATA, "title": title})
        )
        page.notebook.nbformat, page.notebook.nbformat_minor = 4, 5
        self._name_cells()
        page.lines = {cell["id"]: line for cell, line in zip(self.cells, self.starts, strict=True)}
        return page

    def _append(self, cell: NotebookNode, line: int) -> None:
        self.cells.append(cell)
        self.starts.append(line)

    def _tags(self, raw: NotebookNode, line: int) -> list[str]:
        unknown = [key for key in raw.metadata if key != "tags"]
        if unknown:
            raise PageError(self.name, line, f"a code cell has tags only, not '{unknown[0]}'")
        tags = raw.metadata.get("tags", [])
        tags = [tags] if isinstance(tags, str) else list(tags)
        for tag in tags:
            if tag not in OUR_TAGS and not tag.startswith(OTHER_TAGS):
                known = ", ".join([*OUR_TAGS, *(f"{start}…" for start in OTHER_TAGS)])
                raise PageError(self.name, line, f"unknown tag '{tag}'; known are {known}")
        return tags

    def _parse(self, source: str, line: int) -> None:
        try:
            ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE))
        except SyntaxError as error:
            raise PageError(
                self.name, line + (error.lineno or 1), f"the cell is not Python: {error.msg}"
            ) from None

    def _limit(self, cell: NotebookNode, line: int) -> None:
        rows = [row for row in cell.source.split("\n") if row.strip() not in (BEGIN, END)]
        if len(rows) > LONGEST_CELL:
            raise PageError(
                self.name,
                line,
                f"the cell has {len(rows)} lines; {LONGEST_CELL} is the most (split it)",
            )

    def _listing(self, reference: str, line: int) -> str:
        try:
            source = read_source(reference, self.root)
        except BadReference as error:
            raise PageError(self.name, line, f"cell tagged 'show': {error}") from None
        where = source.path.relative_to(self.root).as_posix()
        return f"From `{where}`:\n\n```python\n{source.text}\n```"

    def _exercise(self, source: str, line: int) -> NotebookNode:
        try:
            found = read_source(source.strip(), self.root)
            text = blank(found.text)
        except BadReference as error:
            raise PageError(self.name, line, f"cell tagged 'exercise': {error}") from None
        if found.name in self.taken:
            raise PageError(self.name, line, f"a second exercise called '{found.name}'")
        self.taken |= {found.name, f"check_{found.name}"}
        self.waiting, self.waiting_line = found.name, line
        return new_code_cell(text, metadata={"nbgrader": _grading(found.name, solution=True)})

    def _check(self, name: str, source: str, line: int) -> NotebookNode:
        if name != self.waiting:
            problem = f"after the exercise '{self.waiting}'" if self.waiting else "without exercise"
            raise PageError(self.name, line, f"check({name}) stands {problem}")
        self.waiting = ""
        grading = _grading(f"check_{name}", grade=True, locked=True, points=1)
        return new_code_cell(source, metadata={"nbgrader": grading})

    def _name_cells(self) -> None:
        """Give each cell an id that a person can read: its grade id, or its section and a number."""
        section, counts, used = "opening", {"opening": 0}, set(self.taken)
        for cell in self.cells:
            if cell.cell_type == "markdown":
                section = _slug(_last_heading(cell.source)) or section
            if "nbgrader" in cell.metadata:
                cell["id"] = cell.metadata["nbgrader"]["grade_id"]
                continue
            while True:
                counts[section] = counts.get(section, 0) + 1
                cell["id"] = f"{section}-{counts[section]}"
                if cell["id"] not in used:
                    break
            used.add(cell["id"])


def _grading(grade_id: str, **settings: object) -> dict[str, object]:
    base = {"grade": False, "grade_id": grade_id, "locked": False, "schema_version": 3}
    return {**base, "solution": False, "task": False, **settings}


def _calls_slider(source: str) -> bool:
    return re.search(r"(?<![\w.])(\w+\.)?slider\(", source) is not None


def _last_heading(source: str) -> str:
    outside = re.sub(r"^(`{3,}|~{3,}).*?^\1", "", source, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#{1,6}\s+(.+)$", outside, flags=re.MULTILINE)
    return headings[-1] if headings else ""


def _slug(heading: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")[:48].strip("-")
