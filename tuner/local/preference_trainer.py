"""Trains on preferences with TRL's DPO trainer, on tokenised rows."""

from collections.abc import Sequence
from dataclasses import asdict

import torch
from datasets import Dataset, disable_progress_bars
from peft import PeftModel
from transformers import PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer
from trl import DPOConfig, DPOTrainer

from tuner.local.tokenizing import PreferencePair

Tensors = dict[str, torch.Tensor]
PairMetrics = tuple[float, float]


def make_preference_trainer(
    model: PreTrainedModel | PeftModel,
    arguments: dict[str, object],
    tokenizer: Tokenizer,
    pairs: Sequence[PreferencePair],
    validation: Sequence[PreferencePair],
    *,
    beta: float,
) -> "PreferenceTrainer":
    """Returns a trainer whose reference is the model before the training.

    The log probabilities of the reference are computed here.
    """
    disable_progress_bars()
    config = DPOConfig(**arguments, beta=beta, max_length=None, precompute_ref_log_probs=True)
    return PreferenceTrainer(model, config, tokenizer, pairs, validation)


class PreferenceTrainer(DPOTrainer):
    """A DPO trainer for tokenised pairs, with the start model as reference."""

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        args: DPOConfig,
        tokenizer: Tokenizer,
        pairs: Sequence[PreferencePair],
        validation: Sequence[PreferencePair],
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            processing_class=tokenizer,
            train_dataset=_dataset(pairs),
            eval_dataset=_dataset(validation) if validation else None,
        )

    def _prepare_dataset(self, dataset: Dataset, *_: object, **__: object) -> Dataset:
        return dataset

    def create_model_card(self, *_: object, **__: object) -> None:
        """Does nothing; TRL's method sends requests to the hub."""

    @property
    def held_out_count(self) -> int:
        return 0 if self.eval_dataset is None else len(self.eval_dataset)

    def measure_held_out(self, chosen: Sequence[int], size: int) -> PairMetrics:
        """Returns loss and reward accuracy on some validation rows, `size` rows at a time."""
        losses, won = 0.0, 0.0
        for first in range(0, len(chosen), size):
            rows = [self.eval_dataset[n] for n in chosen[first : first + size]]
            loss = self._loss_without_gradient(self._prepare_inputs(self.data_collator(rows)))
            won += self._metrics["eval"]["rewards/accuracies"][-1] * len(rows)
            losses += loss * len(rows)
        self._metrics["eval"].clear()
        return losses / len(chosen), won / len(chosen)

    def _loss_without_gradient(self, inputs: Tensors) -> float:
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad():
            loss: float = self.compute_loss(self.model, inputs).item()
        self.model.train(was_training)
        return loss


def _dataset(pairs: Sequence[PreferencePair]) -> Dataset:
    names = {"prompt": "prompt_ids", "chosen": "chosen_ids", "rejected": "rejected_ids"}
    return Dataset.from_list(
        [{names[key]: value for key, value in asdict(pair).items()} for pair in pairs]
    )
