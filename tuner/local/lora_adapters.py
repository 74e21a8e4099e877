"""Several LoRA adapters on one base model, applied row by row in one batch.

The adapters in use are concatenated to one wide pair of matrices, and a mask limits each row of the
batch to its own adapter's part. A step takes two matrix products a layer for any number of
adapters, and a new set of rows changes only the mask.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from tuner.errors import ModelLoadFailed
from tuner.local.model_loading import ADAPTER_CONFIG_FILE

WEIGHTS_FILE = "adapter_model.safetensors"
_PEFT_PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True)
class Adapter:
    """The LoRA weights of a job: a pair of matrices (A, B) for each layer that the job trained."""

    rank: int
    pairs: Mapping[str, tuple[torch.Tensor, torch.Tensor]]
    other_weights: frozenset[str] = frozenset()
    """Names of weights that are not LoRA pairs."""

    @classmethod
    def load(cls, folder: Path, *, like: torch.Tensor) -> "Adapter":
        """Loads an adapter from safetensors; its scale is multiplied into the B matrices."""
        config = json.loads((folder / ADAPTER_CONFIG_FILE).read_bytes())
        scale = float(config["lora_alpha"]) / float(config["r"])
        tensors = load_file(folder / WEIGHTS_FILE)
        pairs: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for name, a in tensors.items():
            if not name.endswith(".lora_A.weight"):
                continue
            layer = name.removesuffix(".lora_A.weight")
            b = tensors[f"{layer}.lora_B.weight"] * scale
            pairs[layer.removeprefix(_PEFT_PREFIX)] = (
                a.t().to(like).contiguous(),
                b.t().to(like).contiguous(),
            )
        others = {
            name for name in tensors if not name.endswith((".lora_A.weight", ".lora_B.weight"))
        }
        return cls(int(config["r"]), pairs, frozenset(others))


class MultiLoRALinear(nn.Module):
    """A linear layer that also applies the selected adapters."""

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
        """The inner layer's weight, which some models read; packed if it has 4 bits."""
        return self.inner.weight

    def _mask_for(self, low: torch.Tensor) -> torch.Tensor:
        """Returns the mask, repeated for layers that get all rows' tokens in one dimension."""
        assert self.mask is not None
        if low.dim() == self.mask.dim():
            return self.mask
        return self.mask[:, 0].repeat_interleave(low.shape[0] // len(self.mask), dim=0)


class AdapterBank:
    """The adapters that are concatenated at a model's layers, and each row's adapter."""

    def __init__(self, model: nn.Module) -> None:
        self._layers = dict(_wrap_linear_layers(model))
        self._loaded: list[tuple[str, int]] = []
        self._selected: Sequence[str | None] | None = None
        self.like = model.get_input_embeddings().weight.detach()

    def refuse_foreign(self, adapter: Adapter) -> None:
        """Raises ModelLoadFailed for an adapter that changes other weights than linear layers."""
        foreign = sorted({*(adapter.pairs.keys() - self._layers.keys()), *adapter.other_weights})
        if foreign:
            raise ModelLoadFailed(
                f"This model changes '{foreign[0]}', which cannot be served beside other models."
            )

    def select(self, names: Sequence[str | None], adapters: Mapping[str, Adapter]) -> None:
        """Selects the adapter names[n] for row n of the batch, None for the base."""
        if names == self._selected:
            return
        used = list(dict.fromkeys(name for name in names if name is not None))
        loaded = [name for name, _ in self._loaded]
        # A few unused adapters may stay, as loading all again costs more than their products.
        if not set(used) <= set(loaded) or len(loaded) > 2 * len(used) + 1 or not used:
            self._load([(name, adapters[name]) for name in used])
        self._set_mask(self._mask(names))
        self._selected = list(names)

    def _load(self, chosen: Sequence[tuple[str, Adapter]]) -> None:
        """Concatenates the adapters at every layer; an adapter without a pair there gets zeros."""
        self._loaded = [(name, adapter.rank) for name, adapter in chosen]
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
        outputs, inputs = layer.inner.out_features, layer.inner.in_features
        down = self.like.new_zeros(inputs, adapter.rank)
        return down, self.like.new_zeros(adapter.rank, outputs)

    def _mask(self, names: Sequence[str | None]) -> torch.Tensor | None:
        """Returns the mask of shape (rows, 1, ranks), None if all rows have the same adapter."""
        if len(self._loaded) <= 1 and len(set(names)) <= 1:
            return None
        columns, width = {}, 0
        for name, rank in self._loaded:
            columns[name] = (width, width + rank)
            width += rank
        mask = self.like.new_zeros(len(names), 1, width)
        for row, name_of_row in enumerate(names):
            if name_of_row is not None:
                start, end = columns[name_of_row]
                mask[row, 0, start:end] = 1
        return mask

    def _set_mask(self, mask: torch.Tensor | None) -> None:
        for layer in self._layers.values():
            layer.mask = mask


def _wrap_linear_layers(model: nn.Module) -> Iterator[tuple[str, MultiLoRALinear]]:
    """Wraps every linear layer but the output layer, as PEFT's "all-linear", and yields each one.

    Layers of experts are left out: they get some tokens of some rows and cannot tell which rows.
    """
    head = model.get_output_embeddings()
    layers = [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and layer is not head and ".experts." not in name
    ]
    for name, layer in layers:
        wrapped = MultiLoRALinear(layer)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, wrapped)
        yield name, wrapped
