"""MyST-Markdown turned into the plain Markdown that every notebook program shows.

JupyterLab, CoCalc and VS Code know no directives and no roles. Boxes become quotations, figures
become attachments of their cell, and anything else of MyST is refused by name rather than shown raw.
"""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Callable
from pathlib import Path

BOXES = (
    *("note", "tip", "hint", "important", "warning", "caution", "attention", "danger", "error"),
    *("seealso", "admonition"),
)
_OPENING = re.compile(r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w-]+)\}[ \t]*(?P<title>.*)$")
_PLAIN_FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}|~{3,})")
_OPTION = re.compile(r"^:(?P<key>[\w-]+):[ \t]*(?P<value>.*)$")
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_TARGET = re.compile(r"^\([\w-]+\)=\s*$")
_PAGE_LINK = re.compile(r"(\]\()(?!\w+:|/)([\w./-]+)\.md(#[^)\s]*)?(\))")

Attachments = dict[str, dict[str, str]]


class BadMarkdown(Exception):
    """Something a notebook cannot show; `line` counts from 0 within the text."""

    def __init__(self, line: int, message: str):
        super().__init__(message)
        self.line = line


def plain(text: str, folder: Path) -> tuple[str, Attachments]:
    """Return a cell's text as plain Markdown, and the pictures it shows.

    text: the MyST-Markdown of one cell
    folder: where the page lies; paths of figures start there
    """
    attachments: Attachments = {}
    lines = text.split("\n")
    return "\n".join(_blocks(lines, 0, folder, attachments)).strip("\n"), attachments


def _blocks(lines: list[str], offset: int, folder: Path, attachments: Attachments) -> list[str]:
    """Turn a run of lines; offset is the number of the first of them, for messages."""
    out: list[str] = []
    row = 0
    while row < len(lines):
        line = lines[row]
        opening = _OPENING.match(line)
        fence = _PLAIN_FENCE.match(line)
        if opening:
            end = _closing(lines, row, opening["fence"], offset)
            out += _directive(opening, lines[row + 1 : end], offset + row, folder, attachments)
            row = end + 1
        elif fence:  # an ordinary code listing: nothing in it is ours
            end = _closing(lines, row, fence["fence"], offset)
            out += lines[row : end + 1]
            row = end + 1
        else:
            if not (_TARGET.match(line) or line.startswith("% ") or line == "%"):
                out.append(_inline(line, offset + row))
            row += 1
    return out


def _closing(lines: list[str], row: int, fence: str, offset: int) -> int:
    # A fence closes with at least as many of the same character, and nothing behind them.
    closing = re.compile(rf"^ {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}\s*$")
    for end in range(row + 1, len(lines)):
        if closing.match(lines[end]):
            return end
    raise BadMarkdown(offset + row, f"the block opened with '{lines[row].strip()}' is never closed")


def _directive(
    opening: re.Match[str], body: list[str], row: int, folder: Path, attachments: Attachments
) -> list[str]:
    name, title = opening["name"], opening["title"].strip()
    options: dict[str, str] = {}
    start = 0
    while start < len(body) and (option := _OPTION.match(body[start])):
        options[option["key"]] = option["value"].strip()
        start += 1
    body, first = body[start:], row + 1 + start

    def inner() -> list[str]:
        turned = "\n".join(_blocks(body, first, folder, attachments)).strip("\n")
        return turned.split("\n") if turned else []

    if name in BOXES:
        if name == "admonition" and not title:
            raise BadMarkdown(row, "an admonition needs a title")
        heading = _inline(title, row) if title else name.replace("seealso", "see also").capitalize()
        content = [f"**{heading}**", *(["", *inner()] if any(body) else [])]
        return [f"> {line}".rstrip() for line in content]
    if name == "dropdown":
        return [f"<details><summary>{title}</summary>", "", *inner(), "", "</details>"]
    if name == "math":
        return ["$$", *(line for line in body if line.strip()), "$$"]
    if name in ("figure", "image"):
        picture = _picture(title, options.get("alt", ""), row, folder, attachments)
        caption = inner()
        return [picture, *(["", *caption] if caption else [])]
    raise BadMarkdown(
        row,
        f"the directive '{name}' has no form in a notebook; known are "
        + ", ".join([*BOXES, "dropdown", "math", "figure", "image", "code-cell"]),
    )


def _picture(target: str, alt: str, row: int, folder: Path, attachments: Attachments) -> str:
    path = folder / target
    if not path.is_file():
        raise BadMarkdown(row, f"there is no picture '{target}' beside the page")
    if not alt:
        raise BadMarkdown(
            row, f"the picture '{target}' needs ':alt:', for readers who cannot see it"
        )
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    attachments[path.name] = {kind: base64.b64encode(path.read_bytes()).decode("ascii")}
    return f"![{alt}](attachment:{path.name})"


_ROLES: dict[str, Callable[[str], str]] = {
    "math": lambda text: f"${text}$",
    "code": lambda text: f"`{text}`",
    "term": lambda text: f"*{text}*",
    "doc": lambda text: f"[{text}]({text}.ipynb)",
}


def _inline(line: str, row: int) -> str:
    """Turn the roles of a line, and links to pages into links to notebooks."""
    turned: list[str] = []
    end = 0
    # Roles are found between code spans: `{x}` inside one is code.
    for span in [*_CODE_SPAN.finditer(line), None]:
        start = span.start() if span else len(line)
        between = line[end:start]
        role = re.search(r"\{([a-z][\w:-]*)\}$", between) if span else None
        if role and span:
            if role[1] not in _ROLES:
                raise BadMarkdown(
                    row,
                    f"the role '{role[1]}' has no form in a notebook; known are "
                    + ", ".join(_ROLES),
                )
            turned += [_links(between[: role.start()]), _ROLES[role[1]](span[2])]
        else:
            turned += [_links(between), span[0] if span else ""]
        end = span.end() if span else end
    return "".join(turned)


def _links(text: str) -> str:
    return _PAGE_LINK.sub(
        lambda match: f"{match[1]}{match[2]}.ipynb{match[3] or ''}{match[4]}", text
    )
