"""A table of the checkpoints: how large, and how near each comes to what is possible."""

from __future__ import annotations

from minilm.hub import SHIPPED
from minilm.zoo.card import figure, read_facts
from minilm.zoo.recipes import RECIPES

_HEADINGS = ("name", "model", "parameters", "score")


def as_table() -> str:
    """Lay out the recipes as a table, with the score of those that are there."""
    lines = [_HEADINGS]
    for recipe in RECIPES.values():
        facts = read_facts(SHIPPED / recipe.name)
        model = str(recipe.config["model_type"])
        if facts:
            score = ", ".join(f"{name} {figure(value)}" for name, value in facts["score"].items())
            lines.append((recipe.name, model, f"{facts['parameters']:,}", score))
        else:
            told = f"not made yet: python -m minilm zoo train {recipe.name}"
            lines.append((recipe.name, model, "", told))
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place == 2 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
