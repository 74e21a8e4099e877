"""In which precision an adapter is trained, and how little of it is held at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tuner.local.hyperparameters import resolve_hyperparameters

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

pytestmark = pytest.mark.torch


@pytest.fixture
def short_base(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny base in bfloat16, on a machine that is said to be quick at it."""
    import torch
    from transformers import AutoModelForCausalLM

    from tuner.local import model_loading

    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "short")
    monkeypatch.setattr(model_loading, "has_bf16", lambda: True)
    return tmp_path / "short"


def loaded(base: Path) -> PeftModel:
    from peft import PeftModel

    from tuner.local.model_loading import load_for_training, silence_libraries

    silence_libraries()
    model = load_for_training(
        base, None, resolve_hyperparameters({}, rows=8, is_full=None), quantization=""
    )
    assert isinstance(model, PeftModel)
    return model.train()


def loss_of(model: torch.nn.Module) -> torch.Tensor:
    """Of four rows of thirty tokens, the last twenty of them learned."""
    from tuner.local.token_weights import TokenWeights
    from tuner.local.tokenizing import TrainingExample
    from tuner.local.weighted_trainer import Collator, measure_loss

    rows = [TrainingExample([*range(n, n + 30)], [0.0] * 10 + [1.0] * 20) for n in range(10, 14)]
    weights = TokenWeights(rows, prompt_weight=0.0, vocabulary=2_400)
    return measure_loss(model, Collator(pad=0)(rows), weights).loss


def test_an_adapter_computes_in_the_precision_of_its_base_and_learns_in_a_longer_one(
    short_base: Path,
) -> None:
    import torch

    model, computed = loaded(short_base), set[torch.dtype]()
    for name, module in model.named_modules():
        if name.endswith(("lora_A.default", "lora_B.default")):
            module.register_forward_hook(lambda _, __, out: computed.add(out.dtype))

    loss_of(model).backward()

    trained = [weight for weight in model.parameters() if weight.requires_grad]
    assert computed == {torch.bfloat16}
    assert {each.grad.dtype for each in trained if each.grad is not None} == {torch.float32}


def test_no_logits_in_full_precision_wait_for_the_way_back(short_base: Path) -> None:
    import torch

    model, kept = loaded(short_base), list[torch.Tensor]()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss_of(model).backward()

    vocabulary = model.config.vocab_size
    logits = [each for each in kept if each.shape[-1:] == (vocabulary,)]
    assert [each.shape for each in logits if each.dtype == torch.float32] == []


def test_layers_that_are_computed_anew_learn_the_same_in_a_short_precision(
    short_base: Path,
) -> None:
    import torch

    def gradients(*, recomputes: bool) -> list[torch.Tensor]:
        torch.manual_seed(1)
        model = loaded(short_base)
        if recomputes:
            model.gradient_checkpointing_enable({"use_reentrant": False})
            model.enable_input_require_grads()
        loss_of(model).backward()
        return [each.grad for each in model.parameters() if each.grad is not None]

    kept, anew = gradients(recomputes=False), gradients(recomputes=True)

    assert len(kept) == len(anew) > 0
    assert all(torch.allclose(*pair, rtol=0.01, atol=1e-4) for pair in zip(kept, anew, strict=True))
