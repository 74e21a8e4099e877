"""A Transformers trainer with a weighted loss on answers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import torch
from peft import PeftModel
from peft.helpers import disable_input_dtype_casting
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers import PreTrainedTokenizerBase as Tokenizer

from tuner.local.hyperparameters import MAX_TOKENS_PER_PASS_ON_CPU
from tuner.local.token_weights import TokenWeights
from tuner.local.tokenizing import TrainingExample
from tuner.local.training_schedule import EpochSampler, TrainingSchedule, Wordings, rate_scheduler

Tensors = dict[str, torch.Tensor]
LossAndAccuracy = tuple[float, float]


class WeightedSFTTrainer(Trainer):
    """Trains with a weight for each token.

    The loss is the weighted mean over the whole batch, across all processes.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        args: TrainingArguments,
        tokenizer: Tokenizer,
        data: Wordings,
        validation: Sequence[TrainingExample],
        schedule: TrainingSchedule,
        *,
        token_weights: TokenWeights,
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            train_dataset=data,
            data_collator=Collator(tokenizer.pad_token_id),
            processing_class=tokenizer,
        )
        self.loss_is_scaled_for_ga = True
        self._data, self._schedule = data, schedule
        self._validation = validation
        self._token_weights = token_weights
        self._answers: list[torch.Tensor] = []
        self._recalled: list[torch.Tensor] = []

    def _get_train_sampler(self, *_: object) -> EpochSampler:
        return EpochSampler(self._schedule, self._data, self._epoch)

    def _epoch(self) -> int:
        per_epoch = max(1, self.state.max_steps // self._schedule.epochs)
        return int(self.state.global_step // per_epoch)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        target = optimizer or self.optimizer
        scheduler = rate_scheduler(target, self._schedule, num_training_steps)
        self.lr_scheduler = scheduler
        return scheduler

    def get_batch_samples(
        self, epoch_iterator: Iterator[Tensors], num_batches: int, device: torch.device
    ) -> tuple[list[Tensors], torch.Tensor]:
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        total = sum(self._token_weights.of(batch)[0].sum() for batch in batches)
        return batches, self.accelerator.gather(torch.as_tensor(total).to(device)).sum()

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: Tensors,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Splits batches with long rows on a CPU, but not with several processes.

        All processes need the same number of calls.
        """
        is_alone_on_cpu = self.args.device.type == "cpu" and self.accelerator.num_processes == 1
        parts = split_batch(inputs, MAX_TOKENS_PER_PASS_ON_CPU) if is_alone_on_cpu else [inputs]
        step = super().training_step
        return torch.stack([step(model, part, num_items_in_batch) for part in parts]).sum()

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Tensors,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        assert num_items_in_batch is not None
        measured = measure_loss(model, inputs, self._token_weights)
        self._answers.append(measured.answer_sums.detach())
        self._recalled.append(measured.recalled)
        return measured.loss / num_items_in_batch * self.accelerator.num_processes

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs loss, accuracy and share of recalled rows, of the answers only."""
        if self._answers:
            sums = self.accelerator.gather(torch.stack(self._answers).sum(dim=0)[None]).sum(dim=0)
            logs["loss"], logs["accuracy"] = (sums[:2] / sums[2].clamp(min=1e-9)).tolist()
            recalled = torch.cat(self._recalled).mean().reshape(1)
            logs["recalled"] = self.accelerator.gather(recalled).mean().item()
            self._answers.clear()
            self._recalled.clear()
        super().log(logs, start_time)

    @property
    def held_out_count(self) -> int:
        return len(self._validation)

    @property
    def rows(self) -> int:
        return self._data.rows

    def measure_held_out(self, chosen: Sequence[int], size: int) -> LossAndAccuracy:
        """Returns loss and accuracy on some validation rows, `size` rows at a time."""
        examples = [self._validation[n] for n in chosen]
        sums = torch.zeros(3)
        for first in range(0, len(examples), size):
            inputs = self._prepare_inputs(self.data_collator(examples[first : first + size]))
            sums += self._measure(inputs).cpu()
        loss, right = (sums[:2] / sums[2].clamp(min=1e-9)).tolist()
        return loss, right

    def _measure(self, inputs: Tensors) -> torch.Tensor:
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad():
            measured = measure_loss(self.model, inputs, self._token_weights)
        self.model.train(was_training)
        return measured.answer_sums


class Collator:
    """Collates examples of different lengths to one batch; padding has no weight."""

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, examples: Sequence[TrainingExample]) -> Tensors:
        tokens = [torch.tensor(example.tokens) for example in examples]
        weights = [torch.tensor(example.weights) for example in examples]
        masks = [torch.ones(len(row), dtype=torch.long) for row in tokens]
        return {
            "input_ids": pad_sequence(tokens, batch_first=True, padding_value=self._pad),
            "attention_mask": pad_sequence(masks, batch_first=True),
            "weights": pad_sequence(weights, batch_first=True),
        }


def split_batch(inputs: Tensors, most: int) -> Iterator[Tensors]:
    """Yields parts of at most `most` tokens, short rows first, each cut to its longest row."""
    lengths = inputs["attention_mask"].sum(dim=1)
    part: list[int] = []
    for row in lengths.argsort(stable=True).tolist():
        if part and (len(part) + 1) * int(lengths[row]) > most:
            yield _cut(inputs, part)
            part = []
        part.append(row)
    yield _cut(inputs, part)


def _cut(inputs: Tensors, rows: Sequence[int]) -> Tensors:
    longest = int(inputs["attention_mask"][rows].sum(dim=1).max())
    return {name: values[rows, :longest] for name, values in inputs.items()}


@dataclass(frozen=True, slots=True)
class MeasuredLoss:
    """Losses of a batch.

    `answer_sums`: summed loss, summed weight of correctly predicted tokens, and summed weight, of
    the answers only. `recalled`: for each row 1 if all tokens of its answer were predicted, else 0.
    """

    loss: torch.Tensor
    answer_sums: torch.Tensor
    recalled: torch.Tensor


def measure_loss(
    model: torch.nn.Module, inputs: Mapping[str, torch.Tensor], token_weights: TokenWeights
) -> MeasuredLoss:
    """Returns the losses of a batch; computes logits only at positions of tokens with a weight."""
    weights, answers = token_weights.of(inputs)
    positions = (weights != 0).any(dim=0).nonzero().squeeze(1)
    with _computing_as_base(model):
        logits = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            logits_to_keep=positions,
            use_cache=False,
        ).logits
    targets = inputs["input_ids"][:, 1:]
    # Row by row and recomputed in the backward pass, as float32 logits take much memory.
    rows = [
        checkpoint(_row_loss, *row, use_reentrant=False)
        for row in zip(
            logits, *(values[:, positions] for values in (targets, weights, answers)), strict=True
        )
    ]
    losses, sums = (torch.stack(values) for values in zip(*rows, strict=True))
    return MeasuredLoss(losses.sum(), sums.sum(dim=0), (sums[:, 1] == sums[:, 2]).float())


def _row_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, answers: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns loss and `answer_sums` of one row; shapes (positions, vocabulary) and (positions)."""
    mask = weights != 0
    predicted, answer = logits[mask].float(), answers[mask]
    losses = cross_entropy(predicted, targets[mask], reduction="none")
    correct = (predicted.argmax(dim=-1) == targets[mask]).float()
    sums = (losses.detach() * answer, correct * answer, answer)
    return (losses * weights[mask]).sum(), torch.stack([values.sum() for values in sums])


def _computing_as_base(model: torch.nn.Module) -> AbstractContextManager[object]:
    """Returns a context in which float32 adapters compute in the base's bfloat16, as in serving."""
    contexts = ExitStack()
    inner = getattr(model, "module", model)  # with several processes the model is wrapped
    if isinstance(inner, PeftModel) and inner.dtype == torch.bfloat16:
        contexts.enter_context(disable_input_dtype_casting(inner))
        contexts.enter_context(torch.autocast(inner.device.type, dtype=torch.bfloat16))
    return contexts
