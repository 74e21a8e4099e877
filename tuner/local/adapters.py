"""Several adapters on one base, mixed row by row in one batch.

The adapters in use lie side by side as one wide pair of matrices; a mask lets each row of the batch
see its own part alone. So a step costs two products a layer, however many adapters are at work, and
who comes or goes changes the mask and no weights.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from tuner.errors import ModelLoadFailed
from tuner.local.loading import ADAPTER

WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True)
class Adapter:
    """What a job made: for each layer that it changes, the way down and the way up."""

    rank: int
    pairs: Mapping[str, tuple[torch.Tensor, torch.Tensor]]
    other_weights: frozenset[str] = frozenset()
    """Names of weights that are no such pair."""

    @classmethod
    def load(cls, folder: Path, *, like: torch.Tensor) -> "Adapter":
        """From safetensors; its scale is multiplied in, once."""
        config = json.loads((folder / ADAPTER).read_bytes())
        scale = float(config["lora_alpha"]) / float(config["r"])
        found = load_file(folder / WEIGHTS)
        pairs: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for name, down in found.items():
            if not name.endswith(".lora_A.weight"):
                continue
            layer = name.removesuffix(".lora_A.weight")
            up = found[f"{layer}.lora_B.weight"] * scale
            pairs[layer.removeprefix(_PREFIX)] = (
                down.t().to(like).contiguous(),
                up.t().to(like).contiguous(),
            )
        others = {name for name in found if not name.endswith((".lora_A.weight", ".lora_B.weight"))}
        return cls(int(config["r"]), pairs, frozenset(others))


class MultiLoRALinear(nn.Module):
    """A linear layer with room beside it for what adapters add."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner
        self.down: torch.Tensor | None = None
        self.up: torch.Tensor | None = None
        self.mask: torch.Tensor | None = None

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(states)
        if self.down is None or self.up is None:
            return out
        low = states @ self.down
        if self.mask is not None:
            low = low * self._mask_for(low)
        out += low @ self.up
        return out

    @property
    def weight(self) -> torch.Tensor:
        """As some models look at it; in 4 bits it is packed."""
        return self.inner.weight

    def _mask_for(self, low: torch.Tensor) -> torch.Tensor:
        """Some layers are given the tokens of all rows one behind the other."""
        assert self.mask is not None
        if low.dim() == self.mask.dim():
            return self.mask
        return self.mask[:, 0].repeat_interleave(low.shape[0] // len(self.mask), dim=0)


class AdapterBank:
    """The adapters that lie beside a model's layers now, and who of the batch sees which."""

    def __init__(self, model: nn.Module) -> None:
        self._layers = dict(_mixable(model))
        self._laid: list[tuple[str, int]] = []
        self._shown: Sequence[str | None] | None = None
        self.like = model.get_input_embeddings().weight.detach()

    def refuse_foreign(self, adapter: Adapter) -> None:
        """Raises ModelLoadFailed for one that changes what cannot be mixed."""
        foreign = sorted({*(adapter.pairs.keys() - self._layers.keys()), *adapter.other_weights})
        if foreign:
            raise ModelLoadFailed(
                f"This model changes '{foreign[0]}', which cannot be served beside other models."
            )

    def select(self, names: Sequence[str | None], adapters: Mapping[str, Adapter]) -> None:
        """Row n of the batch is to be answered by the adapter names[n], or by the base."""
        if names == self._shown:
            return
        wanted = list(dict.fromkeys(name for name in names if name is not None))
        laid = [name for name, _ in self._laid]
        # A few that nobody asks now may stay: laying them again costs more than they do.
        if not set(wanted) <= set(laid) or len(laid) > 2 * len(wanted) + 1 or not wanted:
            self._lay([(name, adapters[name]) for name in wanted])
        self._show(self._mask(names))
        self._shown = list(names)

    def _lay(self, chosen: Sequence[tuple[str, Adapter]]) -> None:
        self._laid = [(name, adapter.rank) for name, adapter in chosen]
        for name, layer in self._layers.items():
            if not chosen:
                layer.down = layer.up = None
                continue
            pairs = [self._pair(adapter, name, layer) for _, adapter in chosen]
            layer.down = torch.cat([down for down, _ in pairs], dim=1)
            layer.up = torch.cat([up for _, up in pairs], dim=0)

    def _pair(
        self, adapter: Adapter, name: str, layer: MultiLoRALinear
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if name in adapter.pairs:
            return adapter.pairs[name]
        giving, taking = layer.inner.out_features, layer.inner.in_features
        down = self.like.new_zeros(taking, adapter.rank)
        return down, self.like.new_zeros(adapter.rank, giving)

    def _mask(self, names: Sequence[str | None]) -> torch.Tensor | None:
        if len(self._laid) <= 1 and len(set(names)) <= 1:
            return None
        places, at = {}, 0
        for name, rank in self._laid:
            places[name] = (at, at + rank)
            at += rank
        mask = self.like.new_zeros(len(names), 1, at)
        for row, asked in enumerate(names):
            if asked is not None:
                start, end = places[asked]
                mask[row, 0, start:end] = 1
        return mask

    def _show(self, mask: torch.Tensor | None) -> None:
        for layer in self._layers.values():
            layer.mask = mask


def _mixable(model: nn.Module) -> Iterator[tuple[str, MultiLoRALinear]]:
    """Every linear layer but the last one, wrapped: what "all-linear" stands for in training.

    Not those of experts, which see some tokens of some rows and cannot tell which.
    """
    head = model.get_output_embeddings()
    layers = [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and layer is not head and ".experts." not in name
    ]
    for name, layer in layers:
        mixed = MultiLoRALinear(layer)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, mixed)
        yield name, mixed
