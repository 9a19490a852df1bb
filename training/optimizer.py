"""Muon for the matrices of the layers, Adam for everything else.

Muon makes each update orthogonal; on this model it needs about half the tokens that Adam needs. Matrices of one shape
are orthogonalised together, since one small product after another leaves the processor idle.
"""

from collections import defaultdict

import torch
from torch import Tensor, nn

MUON_RATE = 0.008
MUON_MOMENTUM = 0.95
MUON_DECAY = 0.05
ADAM_RATE = 0.003
ADAM_BETAS = (0.9, 0.98)

# The quintic iteration of Newton and Schulz with the coefficients published with Muon.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


class Optimizer:
    """Steps a model's parameters; the rates are multiplied by a factor that the schedule gives."""

    def __init__(self, model: nn.Module) -> None:
        matrices = [parameter for name, parameter in model.named_parameters() if _is_layer_matrix(name, parameter)]
        others = [parameter for name, parameter in model.named_parameters() if not _is_layer_matrix(name, parameter)]
        self._adam = torch.optim.Adam(others, lr=ADAM_RATE, betas=ADAM_BETAS)
        self._by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for matrix in matrices:
            self._by_shape[matrix.shape].append(matrix)
        self._momenta = {shape: torch.zeros(len(group), *shape) for shape, group in self._by_shape.items()}

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Applies the gradients and clears them."""
        for group in self._adam.param_groups:
            group["lr"] = ADAM_RATE * factor
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        for shape, matrices in self._by_shape.items():
            self._muon_step(shape, matrices, MUON_RATE * factor)

    def _muon_step(self, shape: torch.Size, matrices: list[Tensor], rate: float) -> None:
        gradients = torch.stack([matrix.grad for matrix in matrices if matrix.grad is not None])
        momentum = self._momenta[shape].lerp_(gradients, 1 - MUON_MOMENTUM)
        updates = orthogonal(gradients.lerp(momentum, MUON_MOMENTUM))
        scale = rate * max(1.0, shape[0] / shape[1]) ** 0.5
        for matrix, update in zip(matrices, updates, strict=True):
            matrix.mul_(1 - rate * MUON_DECAY).add_(update, alpha=-scale)
            matrix.grad = None

    def state(self) -> dict[str, object]:
        """What a checkpoint keeps."""
        return {"adam": self._adam.state_dict(), "momenta": list(self._momenta.values())}

    def restore(self, state: dict[str, object]) -> None:
        """Takes up the state of a checkpoint."""
        self._adam.load_state_dict(state["adam"])  # pyright: ignore[reportArgumentType]
        for mine, saved in zip(self._momenta.values(), state["momenta"], strict=True):  # pyright: ignore
            mine.copy_(saved)


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest matrices whose singular values are all about one; `[count, rows, columns]` in and out."""
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    x = x / (x.square().sum((1, 2), keepdim=True).sqrt() + 1e-7)
    linear, cubic, quintic = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = x @ x.mT
        polynomial = torch.baddbmm(square, square, square, beta=cubic, alpha=quintic)
        x = torch.baddbmm(x, polynomial, x, beta=linear)
    return x if wide else x.mT


def _is_layer_matrix(name: str, parameter: Tensor) -> bool:
    return name.startswith("layers.") and parameter.ndim == 2
