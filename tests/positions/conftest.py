"""Small models of transformers whose positions are compared, with weights that hide no bug."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch


@pytest.fixture
def wake() -> Callable[[torch.nn.Module], torch.nn.Module]:
    """Larger matrices and vectors that are neither 0 nor 1: on default weights bugs hide."""

    def wake(module: torch.nn.Module) -> torch.nn.Module:
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(4)
                else:
                    parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        return module.eval()

    return wake


@pytest.fixture
def draw() -> Callable[..., torch.Tensor]:
    """Normal numbers of a shape, the same on every run."""
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float32).to(dtype)

    return draw
