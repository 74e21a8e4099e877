"""The mean of an adapter's weights over the epochs that had learned most of the rows."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

MIN_RECALLED_SHARE = 0.5
"""The least share of answers with only most likely tokens for an epoch to be averaged."""
FILE, COUNT = "average.safetensors", "count"


class WeightAverage:
    """A running mean of weights, https://arxiv.org/abs/1803.05407.

    Empty until something is added.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._mean: dict[str, torch.Tensor] = {}
        self.count = 0
        """The number of epochs in the mean."""

    def add(self) -> None:
        """Adds the present weights to the mean."""
        self.count += 1
        for name, weight in self._trained().items():
            if name in self._mean:
                self._mean[name].lerp_(weight.detach(), 1 / self.count)
            else:
                self._mean[name] = weight.detach().clone()

    def apply(self) -> None:
        """Replaces the model's weights by the mean."""
        for name, weight in self._trained().items():
            if name in self._mean:
                weight.data.copy_(self._mean[name])

    def save(self, folder: Path) -> None:
        """Saves the mean to a folder."""
        save_file({**self._mean, COUNT: torch.tensor(self.count)}, folder / FILE)

    def load(self, folder: Path) -> None:
        """Loads a saved mean; does nothing for a state of an older version without one."""
        if not (folder / FILE).exists():
            return
        tensors = load_file(folder / FILE)
        self.count = int(tensors.pop(COUNT))
        weights = self._trained()
        self._mean = {name: mean.to(weights[name].device) for name, mean in tensors.items()}

    def _trained(self) -> dict[str, nn.Parameter]:
        named = self._model.named_parameters()
        return {name: weight for name, weight in named if weight.requires_grad}
