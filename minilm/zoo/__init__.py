"""`python -m minilm zoo`: the checkpoints that ship with minilm, and how to make them again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

# Where trainings work unless told otherwise; git passes it over.
WORK = Path("build") / "zoo"


def main(arguments: Sequence[str] | None = None) -> int:
    """List the checkpoints, or train one.

    arguments: of the command; those of the shell unless given

    Returns the exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m minilm zoo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="show them with their loss beside what is possible")
    train = commands.add_parser("train", help="make one by its recipe; goes on where it stopped")
    train.add_argument("name", metavar="NAME", help="such as story-gpt2")
    train.add_argument("--folder", type=Path, default=WORK, help=f"where to work ({WORK})")
    train.add_argument("--threads", type=int, help="for torch; all unless given")
    train.add_argument(
        "--install", action="store_true", help="put it among those that ship with minilm"
    )
    options = parser.parse_args(arguments)
    if options.command == "list":
        from minilm.zoo.listing import as_table

        print(as_table())
        return 0
    return _train(options)


def _train(options: argparse.Namespace) -> int:
    from minilm.zoo.recipes import recipe

    chosen = recipe(options.name)
    # torch is loaded only for a recipe that there is.
    import torch

    from minilm.zoo import making

    if options.threads:
        torch.set_num_threads(options.threads)
    finished = making.make(chosen, options.folder)
    print(f"{chosen.name} is in '{finished}'.")
    if options.install:
        print(f"It ships from '{making.install(finished)}'.")
    return 0
