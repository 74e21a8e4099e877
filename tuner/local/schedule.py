"""Early stopping, and the order, wording and learning rate in which rows are trained on."""

import random
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

import torch
from torch.utils.data import Dataset, Sampler

from tuner.local.rendering import TrainingExample

FEW_ROWS = 30
ENOUGH_RECALLED, ENOUGH_OF_FEW = 0.9, 0.97
"""Of the answers of two epochs running, those whose every token is the likeliest; each epoch asks
in another wording, so that this is no mere repeating. A few rows cost little and take longer."""
WARMUP = 0.05


class Wordings(Dataset[TrainingExample]):
    """The rows in several wordings, of the same number of rows each; the first is as taught."""

    def __init__(self, wordings: Sequence[Sequence[TrainingExample]]) -> None:
        self.rows = len(wordings[0])
        self.wordings = wordings

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, key: int) -> TrainingExample:
        """Wording times rows plus row."""
        wording, row = divmod(key, self.rows)
        return self.wordings[wording][row]


class Schedule:
    """The course of one training; the last epoch asks as taught, and brings the rate to zero."""

    def __init__(self, *, epochs: int, batch: int, seed: int, may_end_early: bool) -> None:
        self.epochs, self.batch = epochs, batch
        self.last_epoch = epochs - 1
        self.may_be_third_last = False
        """Whether the next epoch can decide the end, which makes this one the third last."""
        self._seed, self._may_end_early = seed, may_end_early

    def decide(self, epoch: int, *, rows: int, recalled: Sequence[float]) -> None:
        """After an epoch, counted from 0: whether the next one is the last.

        `recalled` has the share of each step of this epoch and the one before.
        """
        self.may_be_third_last = False
        if not self._may_end_early or epoch >= self.last_epoch:
            return
        enough = ENOUGH_RECALLED if rows > FEW_ROWS else ENOUGH_OF_FEW
        if fmean(recalled) >= enough:
            self.last_epoch = epoch + 1
        else:
            this_epoch = recalled[-(len(recalled) // (2 if epoch else 1)) :]
            self.may_be_third_last = (fmean(this_epoch) + 1.0) / 2 >= enough

    @property
    def is_shortened(self) -> bool:
        return self.last_epoch < self.epochs - 1

    def steps(self, planned: int) -> int:
        """How many steps there will be, of those that were planned."""
        return planned // self.epochs * (self.last_epoch + 1)

    def rate(self, step: int, planned: int) -> float:
        """The share of the highest rate at this step: up, slowly down, and down to 0 at the end."""
        warm = (step + 1) / max(1.0, WARMUP * planned)
        per_epoch = planned // self.epochs
        turn = self.last_epoch * per_epoch
        if step <= turn or not self.is_shortened:
            return min(1.0, warm, 1 - step / planned)
        return (1 - turn / planned) * max(0.0, 1 - (step - turn) / per_epoch)

    def order(self, epoch: int, lengths: Sequence[int], wordings: int) -> list[int]:
        """The keys of an epoch's rows: short ones beside short ones, in batches drawn by chance."""
        rng = random.Random(f"{self._seed}:{epoch}")
        rows = sorted(range(len(lengths)), key=lambda row: lengths[row] * rng.uniform(0.85, 1.15))
        batches = [rows[n : n + self.batch] for n in range(0, len(rows), self.batch)]
        short = [batches.pop()] if len(batches[-1]) < self.batch else []
        rng.shuffle(batches)
        wording = 0 if epoch == self.last_epoch else epoch % wordings
        return [wording * len(lengths) + row for batch in (*batches, *short) for row in batch]


class EpochSampler(Sampler[int]):
    """Gives the keys of whichever epoch the trainer is at."""

    def __init__(self, schedule: Schedule, data: Wordings, epoch: Callable[[], int]) -> None:
        self._schedule, self._data, self._epoch = schedule, data, epoch
        self._lengths = [len(example.tokens) for example in data.wordings[0]]

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        order = self._schedule.order(self._epoch(), self._lengths, len(self._data.wordings))
        return iter(order)


def rate_scheduler(
    optimizer: torch.optim.Optimizer, schedule: Schedule, planned: int
) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule.rate(step, planned))
