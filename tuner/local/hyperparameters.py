"""Chooses hyperparameters for which a job requested "auto"."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from tuner.classification_metrics import CLASSIFICATION_FIELDS
from tuner.training_interface import JobRejected

AUTO_TRAINING_STEPS = 240
MAX_AUTO_EPOCHS = 50
MIN_AUTO_EPOCHS = ((1000, 6), (math.inf, 3))
AUTO_BATCH_SIZES = ((20, 2), (60, 4), (500, 8), (math.inf, 16))
# For a model of width 2,048; narrower models need higher rates. All but those of whole models were
# measured on SmolLM2-135M (docs/look-up/measured.md).
REFERENCE_HIDDEN_SIZE = 2048
LORA_RATE, FULL_RATE, DPO_RATE, DPO_FULL_RATE = 5e-4, 2e-5, 4e-5, 4e-6
MAX_LEARNING_RATE = 5e-3
PROMPT_WEIGHT_NAME, DEFAULT_PROMPT_WEIGHT = "prompt_loss_weight", 0.2


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The hyperparameters of a job."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float
    beta: float
    prompt_loss_weight: float
    lora: bool
    lora_r: int
    may_end_early: bool

    def as_shown(self, requested: Mapping[str, object]) -> dict[str, object]:
        """Returns the requested hyperparameters with their resolved values, as jobs show them."""
        own = {name: value for name, value in asdict(self).items() if name in requested}
        return own | {
            name: value for name, value in requested.items() if name in CLASSIFICATION_FIELDS
        }

    def rate(self, width: int, *, is_dpo: bool) -> float:
        """Returns the highest learning rate of the schedule, for a model of this width."""
        rates = (DPO_RATE, DPO_FULL_RATE) if is_dpo else (LORA_RATE, FULL_RATE)
        scaled = rates[not self.lora] * REFERENCE_HIDDEN_SIZE / width
        return min(MAX_LEARNING_RATE, scaled) * self.learning_rate_multiplier


LARGE_MODEL_PARAMETERS = 500_000_000
"""Parameters above which memory is saved at the cost of a third more computation."""
MAX_ROWS_PER_PASS_OF_LARGE, MAX_ROWS_PER_PASS_ON_CPU = 2, 4
"""Rows in one forward pass; a CPU is not faster with more."""
MAX_TOKENS_PER_PASS_ON_CPU = 272
"""Tokens in one forward pass on a CPU, unless a single row has more."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a batch is split: rows in one forward pass, and passes of one step."""

    rows: int
    accumulation_steps: int
    recomputes: bool
    """Whether activations are recomputed in the backward pass (gradient checkpointing)."""


def plan_memory(batch: int, *, parameters: int, processes: int, is_on_cpu: bool) -> MemoryPlan:
    """Returns the plan for a batch of all processes together; a remainder is dropped."""
    own, is_large = max(1, batch // processes), parameters > LARGE_MODEL_PARAMETERS
    most = (
        MAX_ROWS_PER_PASS_OF_LARGE if is_large else MAX_ROWS_PER_PASS_ON_CPU if is_on_cpu else own
    )
    rows = next(n for n in range(most, 0, -1) if own % n == 0)
    return MemoryPlan(rows, own // rows, recomputes=is_large)


def resolve_hyperparameters(
    requested: Mapping[str, object], *, rows: int, is_full: bool | None
) -> Hyperparameters:
    """Returns the hyperparameters; `is_full` describes the start model, None for a base."""
    batch = _number(requested, "batch_size") or next(
        n for most, n in AUTO_BATCH_SIZES if rows <= most
    )
    size = max(1, min(rows, int(batch)))
    per_epoch = math.ceil(rows / size)
    fewest = next(n for most, n in MIN_AUTO_EPOCHS if rows <= most)
    auto = max(fewest, min(MAX_AUTO_EPOCHS, math.ceil(AUTO_TRAINING_STEPS / per_epoch)))
    epochs, prompt_weight = (_number(requested, name) for name in ("n_epochs", PROMPT_WEIGHT_NAME))
    return Hyperparameters(
        n_epochs=int(epochs or auto),
        batch_size=size,
        learning_rate_multiplier=_number(requested, "learning_rate_multiplier") or 1.0,
        beta=_number(requested, "beta") or 0.1,
        prompt_loss_weight=DEFAULT_PROMPT_WEIGHT if prompt_weight is None else prompt_weight,
        lora=_is_lora(requested.get("lora"), is_full),
        lora_r=int(_number(requested, "lora_r") or 16),
        may_end_early=epochs is None,
    )


def _is_lora(requested: object, is_full: bool | None) -> bool:
    """Whether to train an adapter. Raises JobRejected if the start model is of the other kind."""
    if is_full is None:
        return requested is not False
    if isinstance(requested, bool) and requested is is_full:
        made = "as a whole" if is_full else "as an adapter (LoRA)"
        raise JobRejected(
            "wrong_start",
            f"The model to start from was trained {made}, and can only be trained on like that."
            " Leave 'lora' out, or start from the base.",
            "lora",
        )
    return not is_full


def _number(requested: Mapping[str, object], name: str) -> float | None:
    value = requested.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
