"""The order, wording and learning rate of the rows in a training, and early stopping."""

import random
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

import torch
from torch.utils.data import Dataset, Sampler

from tuner.job_folder import KEPT_CHECKPOINTS
from tuner.local.nearest_rows import EXAMPLES_BEFORE_QUESTION
from tuner.local.tokenizing import TrainingExample

MAX_FEW_ROWS = 30
MIN_RECALLED_SHARE, MIN_RECALLED_SHARE_OF_FEW = 0.9, 0.97
"""Minimum shares of recalled answers over two epochs for the rows to count as learned.

An answer is recalled if all of its tokens were the most likely ones. Wordings differ between
epochs, so recalling is more than repetition. Few rows need a higher share, as they are cheap.
"""
AVERAGED_EPOCHS = 14
"""Epochs in the mean of an adapter's weights, which generalises better than a single epoch."""
SHARE_BEHIND_EXAMPLES = 0.25
"""The share of rows that get examples before them once all rows are learned, drawn each epoch."""
WARMUP_SHARE = 0.05
MIN_RATE_SHARE = 0.4
"""The share of the highest rate before the last epoch, if weights are averaged."""


RowAfterExamples = Callable[[int, int], TrainingExample | None]
"""Returns a row (wording, row) after examples, or None if that is impossible."""


class Wordings(Dataset[TrainingExample]):
    """The rows in several wordings of equal length; the first wording is the original.

    `lead` returns a row of a wording after examples, None if that is impossible.
    """

    def __init__(
        self, wordings: Sequence[Sequence[TrainingExample]], lead: RowAfterExamples | None
    ) -> None:
        self.rows = len(wordings[0])
        self.wordings = wordings
        self._lead = lead

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, key: int) -> TrainingExample:
        """Returns a row by its key; keys from rows * wordings on are for rows after examples."""
        wording, row = divmod(key, self.rows)
        has_examples, wording = divmod(wording, len(self.wordings))
        example = self._lead(wording, row) if has_examples and self._lead else None
        return example or self.wordings[wording][row]


class TrainingSchedule:
    """The schedule of a training; the last epoch has the original wording and ends with rate 0."""

    def __init__(
        self, *, epochs: int, batch: int, seed: int, may_end_early: bool, is_averaged: bool
    ) -> None:
        self.epochs, self.batch = epochs, batch
        self.last_epoch = epochs - 1
        self._seed, self._may_end_early = seed, may_end_early
        self._is_averaged = is_averaged

    def decide(self, epoch: int, *, rows: int, recalled: Sequence[float], averaged: int) -> None:
        """Sets the last epoch if the rows are learned after this epoch, counted from 0.

        `recalled` has the share of recalled answers in each step of this epoch and the previous
        one; `averaged` is the number of epochs in the mean so far. At least KEPT_CHECKPOINTS more
        epochs follow, if there are as many.
        """
        if not self._may_end_early or self.is_shortened:
            return
        enough = MIN_RECALLED_SHARE if rows > MAX_FEW_ROWS else MIN_RECALLED_SHARE_OF_FEW
        if fmean(recalled) >= enough:
            missing = AVERAGED_EPOCHS - averaged if self._is_averaged else 0
            self.last_epoch = min(epoch + max(KEPT_CHECKPOINTS, missing), self.epochs - 1)

    @property
    def is_shortened(self) -> bool:
        return self.last_epoch < self.epochs - 1

    def steps(self, planned: int) -> int:
        """Returns the number of steps, given the planned one."""
        return planned // self.epochs * (self.last_epoch + 1)

    def rate(self, step: int, planned: int) -> float:
        """Returns the share of the highest rate: warm-up, slow decay, 0 at the last epoch's end."""
        warm = (step + 1) / max(1.0, WARMUP_SHARE * planned)
        per_epoch = planned // self.epochs
        last_epoch_start = self.last_epoch * per_epoch
        lowest = MIN_RATE_SHARE if self._is_averaged else 0.0
        slow = 1 - (1 - lowest) * min(step, last_epoch_start) / planned
        return min(1.0, warm, slow * min(1.0, 1 - (step - last_epoch_start) / per_epoch))

    def order(self, epoch: int, lengths: Sequence[int], wordings: int) -> list[int]:
        """Returns an epoch's keys: rows of similar length in a batch, batches in random order."""
        rng = random.Random(f"{self._seed}:{epoch}")
        count = len(lengths)
        share = SHARE_BEHIND_EXAMPLES if self.is_shortened else 0.0
        with_examples = set(rng.sample(range(count), round(share * count)))
        wording = 0 if epoch == self.last_epoch else epoch % wordings
        offset = {
            row: (wording + wordings * (row in with_examples)) * count for row in range(count)
        }
        size = {
            row: lengths[row] * (1 + EXAMPLES_BEFORE_QUESTION * (row in with_examples))
            for row in range(count)
        }
        rows = sorted(range(count), key=lambda row: size[row] * rng.uniform(0.85, 1.15))
        batches = [rows[n : n + self.batch] for n in range(0, count, self.batch)]
        remainder = [batches.pop()] if len(batches[-1]) < self.batch else []
        rng.shuffle(batches)
        return [offset[row] + row for batch in (*batches, *remainder) for row in batch]


class EpochSampler(Sampler[int]):
    """Yields the keys of the trainer's present epoch."""

    def __init__(
        self, schedule: TrainingSchedule, data: Wordings, epoch: Callable[[], int]
    ) -> None:
        self._schedule, self._data, self._epoch = schedule, data, epoch
        self._lengths = [len(example.tokens) for example in data.wordings[0]]

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        order = self._schedule.order(self._epoch(), self._lengths, len(self._data.wordings))
        return iter(order)


def rate_scheduler(
    optimizer: torch.optim.Optimizer, schedule: TrainingSchedule, planned: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Returns a scheduler for the optimizer."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule.rate(step, planned))
