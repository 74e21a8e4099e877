"""Trains on answers, by weight: a trainer of Transformers with a loss of our own."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers import PreTrainedTokenizerBase as Tokenizer

from tuner.local.rendering import TrainingExample

Tensors = dict[str, torch.Tensor]
Figures = tuple[float, float]


class WeightedSFTTrainer(Trainer):
    """Learns each token as much as it counts.

    Its loss is the mean by weight over the whole batch, on however many processes that lies.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        args: TrainingArguments,
        tokenizer: Tokenizer,
        lessons: Sequence[TrainingExample],
        validation: Sequence[TrainingExample],
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            train_dataset=list(lessons),
            data_collator=Collator(tokenizer.pad_token_id),
            processing_class=tokenizer,
        )
        self.loss_is_scaled_for_ga = True
        self._validation = validation
        self._right: list[torch.Tensor] = []

    def get_batch_samples(
        self, epoch_iterator: Iterator[Tensors], num_batches: int, device: torch.device
    ) -> tuple[list[Tensors], torch.Tensor]:
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        total = sum(batch["weights"][:, 1:].sum() for batch in batches)
        return batches, self.accelerator.gather(torch.as_tensor(total).to(device)).sum()

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Tensors,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        assert num_items_in_batch is not None
        loss, right = measured(model, inputs)
        self._right.append((right / num_items_in_batch).detach())
        return loss / num_items_in_batch * self.accelerator.num_processes

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self._right:
            right = self.accelerator.gather(torch.stack(self._right).sum()).sum()
            logs["accuracy"] = right.item()
            self._right.clear()
        super().log(logs, start_time)

    @property
    def held_out(self) -> int:
        return len(self._validation)

    def figures(self, chosen: Sequence[int], size: int) -> Figures:
        """Loss and accuracy on some of the validation rows, a few at a time."""
        loss, right, total = 0.0, 0.0, 0.0
        for first in range(0, len(chosen), size):
            batch = [self._validation[n] for n in chosen[first : first + size]]
            inputs = self._prepare_inputs(self.data_collator(batch))
            total += inputs["weights"][:, 1:].sum().item()
            summed = _unlearned(self.model, inputs)
            loss, right = loss + summed[0], right + summed[1]
        return loss / max(total, 1e-9), right / max(total, 1e-9)


class Collator:
    """Lessons of different lengths as one block; padding has no weight."""

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, lessons: Sequence[TrainingExample]) -> Tensors:
        tokens = [torch.tensor(lesson.tokens) for lesson in lessons]
        weights = [torch.tensor(lesson.weights) for lesson in lessons]
        seen = [torch.ones(len(each), dtype=torch.long) for each in tokens]
        return {
            "input_ids": pad_sequence(tokens, batch_first=True, padding_value=self._pad),
            "attention_mask": pad_sequence(seen, batch_first=True),
            "weights": pad_sequence(weights, batch_first=True),
        }


def measured(model: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> Sequence[torch.Tensor]:
    """The summed loss by weight, and the summed weight of the tokens that were guessed right.

    What has no weight costs no row of the large matrix at the model's end.
    """
    weights, targets = inputs["weights"][:, 1:], inputs["input_ids"][:, 1:]
    places = (weights != 0).any(dim=0).nonzero().squeeze(1)
    logits = model(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        logits_to_keep=places,
        use_cache=False,
    ).logits
    counts = weights[:, places]
    mask = counts != 0
    wanted, counts = targets[:, places][mask], counts[mask]
    guessed = logits[mask].float()
    losses = cross_entropy(guessed, wanted, reduction="none")
    right = (guessed.argmax(dim=-1) == wanted).float()
    return (losses * counts).sum(), (right * counts).sum()


def _unlearned(model: torch.nn.Module, inputs: Tensors) -> Figures:
    was_training = model.training
    model.eval()
    with torch.no_grad():
        loss, right = measured(model, inputs)
    model.train(was_training)
    return loss.item(), right.item()
