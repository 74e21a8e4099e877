"""Weights of tokens in the loss: tokens that many answers share count less."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import takewhile

import torch

from tuner.local.tokenizing import TrainingExample

MIN_TOKEN_WEIGHT = 0.2
"""The least weight of a token, as a share of its answer's weight."""


class TokenWeights:
    """Weights the tokens of answers by rarity among the different answers.

    The weight of a token is 1 minus the share of answers that contain it, but at least
    `MIN_TOKEN_WEIGHT`, so that tokens of a single answer count more than a common opening.
    """

    def __init__(
        self, examples: Sequence[TrainingExample], *, prompt_weight: float, vocabulary: int
    ) -> None:
        self._prompt_weight = prompt_weight if prompt_weight < 1 else 0.0
        self._rarity = torch.ones(vocabulary)
        if prompt_weight < 1:
            answers = {self._answer(example) for example in examples}
            counts = Counter(token for answer in answers for token in set(answer))
            for token, count in counts.items():
                self._rarity[token] = max(MIN_TOKEN_WEIGHT, 1 - count / len(answers))

    def _answer(self, example: TrainingExample) -> tuple[int, ...]:
        pairs = zip(example.tokens, example.weights, strict=True)
        return tuple(token for token, weight in pairs if weight > self._prompt_weight)

    def of(self, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the tokens' weights in the loss, and their weights as parts of answers.

        Both leave out each row's first token. The latter are the weights of the row, 0 or 1.
        """
        weights, targets = inputs["weights"][:, 1:], inputs["input_ids"][:, 1:]
        self._rarity = self._rarity.to(weights.device)
        answers = weights * (weights > self._prompt_weight)
        return torch.where(answers > 0, answers * self._rarity[targets], weights), answers


def without_common_start(
    wordings: Sequence[Sequence[TrainingExample]], *, prompt_weight: float
) -> list[list[TrainingExample]]:
    """Sets the weights of the prompts' common start, such as a system message, to 0.

    Nothing changes if prompts count as much as answers.
    """
    if prompt_weight >= 1:
        return [list(examples) for examples in wordings]
    tokens = [example.tokens for examples in wordings for example in examples]
    ends = zip(min(tokens), max(tokens), strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
    return [
        [_without_prompt_weight(common, example, prompt_weight) for example in examples]
        for examples in wordings
    ]


def _without_prompt_weight(
    common: int, example: TrainingExample, prompt_weight: float
) -> TrainingExample:
    start, rest = example.weights[:common], example.weights[common:]
    weights = [weight if weight > prompt_weight else 0.0 for weight in start]
    return TrainingExample(example.tokens, [*weights, *rest])
