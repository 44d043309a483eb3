"""MyST-Markdown becomes Markdown that every notebook program shows."""

from __future__ import annotations

import base64

import pytest


@pytest.fixture
def plain(builder, tmp_path):
    from builder.markdown import plain

    return lambda text: plain(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":::{note}\nA box.\n:::", "> **Note**\n>\n> A box."),
        ("```{tip} Try `x`\nOne.\n\nTwo.\n```", "> **Try `x`**\n>\n> One.\n>\n> Two."),
        (":::{admonition} Why\n:class: tip\nSo.\n:::", "> **Why**\n>\n> So."),
        (":::{seealso}\nThere.\n:::", "> **See also**\n>\n> There."),
        (":::{warning}\n:::", "> **Warning**"),
        (
            "::::{note}\n:::{tip}\nIn.\n:::\nOut.\n::::",
            "> **Note**\n>\n> > **Tip**\n> >\n> > In.\n> Out.",
        ),
        (
            ":::{note}\n```python\n# {not} a role\n```\n:::",
            "> **Note**\n>\n> ```python\n> # {not} a role\n> ```",
        ),
        (
            ":::{dropdown} An answer\nYes.\n:::",
            "<details><summary>An answer</summary>\n\nYes.\n\n</details>",
        ),
        ("```{math}\nx^2\n```", "$$\nx^2\n$$"),
        ("so {math}`x^2` is", "so $x^2$ is"),
        ("see {doc}`01_byte_pairs`", "see [01_byte_pairs](01_byte_pairs.ipynb)"),
        ("a [page](01_byte_pairs.md#why) here", "a [page](01_byte_pairs.ipynb#why) here"),
        ("a [site](https://example.org/a.md)", "a [site](https://example.org/a.md)"),
        ("(a-target)=\n## A", "## A"),
        ("One\n% a note to writers\nTwo", "One\nTwo"),
        ("100 % of it\n50% too", "100 % of it\n50% too"),
        # Nothing of ours within code.
        ("`{x}` and `[a](b.md)`", "`{x}` and `[a](b.md)`"),
        ('`f"{x}"` then `y`', '`f"{x}"` then `y`'),
        ("``{role}`x` ``", "``{role}`x` ``"),
        ("```\n:::{note}\n[a](b.md)\n```", "```\n:::{note}\n[a](b.md)\n```"),
        ("````\n```{note}\n```\n````", "````\n```{note}\n```\n````"),
        ("<details><summary>An answer</summary>Yes.</details>",) * 2,
        ("a {curly} word", "a {curly} word"),
    ],
)
def test_myst_becomes(text, expected, plain):
    assert plain(text) == (expected, {})


def test_a_figure_travels_inside_its_cell(plain, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_bytes(b"picture")
    text, attachments = plain("```{figure} figures/a.png\n:alt: A tree\nThe *caption*.\n```")
    assert text == "![A tree](attachment:a.png)\n\nThe *caption*."
    assert base64.b64decode(attachments["a.png"]["image/png"]) == b"picture"
