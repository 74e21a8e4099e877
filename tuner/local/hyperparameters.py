"""Puts numbers where a job asked for "auto"."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from tuner.training_run import Rejected

STEPS_WANTED = 200
FEWEST_EPOCHS, MOST_EPOCHS = 3, 40
AUTO_BATCHES = ((20, 2), (50, 4), (500, 8), (math.inf, 16))
# For a model 2,048 wide; narrower ones bear, and need, larger steps.
WIDTH = 2048
LORA_RATE, FULL_RATE = 2e-4, 2e-5
DPO_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What a job trains with."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float
    beta: float
    prompt_loss_weight: float
    lora: bool
    lora_r: int

    def told(self, requested: Mapping[str, object]) -> dict[str, object]:
        """Those that the job shows: the protocol's, and of our own those that were asked for."""
        return {name: value for name, value in asdict(self).items() if name in requested}

    def rate(self, width: int, *, is_dpo: bool) -> float:
        """The learning rate at its highest, for a model of this width."""
        base = LORA_RATE if self.lora else FULL_RATE
        share = DPO_SHARE if is_dpo else 1.0
        return base * share * WIDTH / width * self.learning_rate_multiplier


def resolve(requested: Mapping[str, object], *, rows: int, is_full: bool | None) -> Hyperparameters:
    """`is_full` says what the model that the job starts from is, None where it is a base."""
    batch = _number(requested, "batch_size") or next(n for most, n in AUTO_BATCHES if rows <= most)
    size = max(1, min(rows, int(batch)))
    per_epoch = math.ceil(rows / size)
    auto = max(FEWEST_EPOCHS, min(MOST_EPOCHS, math.ceil(STEPS_WANTED / per_epoch)))
    return Hyperparameters(
        n_epochs=int(_number(requested, "n_epochs") or auto),
        batch_size=size,
        learning_rate_multiplier=_number(requested, "learning_rate_multiplier") or 1.0,
        beta=_number(requested, "beta") or 0.1,
        prompt_loss_weight=_number(requested, "prompt_loss_weight") or 0.0,
        lora=_is_lora(requested.get("lora"), is_full),
        lora_r=int(_number(requested, "lora_r") or 16),
    )


def _is_lora(asked: object, is_full: bool | None) -> bool:
    if is_full is None:
        return asked is not False
    if isinstance(asked, bool) and asked is is_full:
        made = "as a whole" if is_full else "as an adapter (LoRA)"
        raise Rejected(
            "wrong_start",
            f"The model to start from was trained {made}, and can only be trained on like that."
            " Leave 'lora' out, or start from the base.",
            "lora",
        )
    return not is_full


def _number(requested: Mapping[str, object], name: str) -> float | None:
    value = requested.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
