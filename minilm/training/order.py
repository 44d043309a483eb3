"""Which examples come when: the same on every machine, and shared out among processes.

An epoch's order is one permutation. It is cut into batches, and the batches are dealt to the
processes in turn, so that one optimizer step sees the same examples however many processes share it.
"""

from __future__ import annotations

import torch


def epoch_order(length: int, seed: int, epoch: int) -> list[int]:
    """Shuffle an epoch.

    length: examples    seed: of the run    epoch: counted from 0

    Returns every index once. Equals the order of transformers' Trainer.
    """
    generator = torch.Generator().manual_seed(seed + epoch)
    return torch.randperm(length, generator=generator).tolist()


def cut(order: list[int], batch_size: int, drop_last: bool = False) -> list[list[int]]:
    """Cut an order into batches.

    order: indices    batch_size: B    drop_last: leave out a last one that is smaller
    """
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    if drop_last and batches and len(batches[-1]) < batch_size:
        batches.pop()
    return batches


def deal(batches: list[list[int]], rank: int, size: int) -> list[list[int]]:
    """Give one process its batches: every so-manieth, as many as every other one gets.

    batches: of all    rank: which process, from 0    size: how many there are

    Where batches run out, the last processes get empty ones.
    """
    rounds = -(-len(batches) // size)
    mine = batches[rank::size]
    return mine + [[] for _ in range(rounds - len(mine))]
