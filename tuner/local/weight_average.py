"""The mean of an adapter's weights over the epochs that had learned most of the rows."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

LEAST_RECALLED = 0.5
"""Share of an epoch's answers whose every token was the likeliest, from which it counts."""
FILE, COUNT = "average.safetensors", "count"


class WeightAverage:
    """A running mean: https://arxiv.org/abs/1803.05407. Empty until something is added."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._mean: dict[str, torch.Tensor] = {}
        self.count = 0
        """Epochs in the mean."""

    def add(self) -> None:
        self.count += 1
        for name, weight in self._trained().items():
            if name in self._mean:
                self._mean[name].lerp_(weight.detach(), 1 / self.count)
            else:
                self._mean[name] = weight.detach().clone()

    def apply(self) -> None:
        """The model has the mean for its weights from now on."""
        for name, weight in self._trained().items():
            if name in self._mean:
                weight.data.copy_(self._mean[name])

    def save(self, folder: Path) -> None:
        save_file({**self._mean, COUNT: torch.tensor(self.count)}, folder / FILE)

    def load(self, folder: Path) -> None:
        """What `save` wrote; nothing where a version before this one saved."""
        if not (folder / FILE).exists():
            return
        found = load_file(folder / FILE)
        self.count = int(found.pop(COUNT))
        here = self._trained()
        self._mean = {name: mean.to(here[name].device) for name, mean in found.items()}

    def _trained(self) -> dict[str, nn.Parameter]:
        named = self._model.named_parameters()
        return {name: weight for name, weight in named if weight.requires_grad}
