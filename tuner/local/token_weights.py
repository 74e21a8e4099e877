"""How much each token counts in the loss: what many answers share counts less."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import takewhile

import torch

from tuner.local.rendering import TrainingExample

LEAST = 0.2
"""What a token counts that stands in every answer, of what the answer counts."""


class TokenWeights:
    """Weighs the tokens of answers by how few of the different answers have them.

    A token counts 1 less the share of answers that it stands in, but at least `LEAST`: so what one
    answer alone says counts more than an opening that all have.
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
                self._rarity[token] = max(LEAST, 1 - count / len(answers))

    def _answer(self, example: TrainingExample) -> tuple[int, ...]:
        pairs = zip(example.tokens, example.weights, strict=True)
        return tuple(token for token, weight in pairs if weight > self._prompt_weight)

    def of(self, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Of all tokens but the first, row by row: the weights in the loss, and those of answers.

        The latter are as the rows have them: 0 or 1, whatever the token.
        """
        weights, targets = inputs["weights"][:, 1:], inputs["input_ids"][:, 1:]
        self._rarity = self._rarity.to(weights.device)
        answers = weights * (weights > self._prompt_weight)
        return torch.where(answers > 0, answers * self._rarity[targets], weights), answers


def without_common_start(
    wordings: Sequence[Sequence[TrainingExample]], *, prompt_weight: float
) -> list[list[TrainingExample]]:
    """What all prompts begin with, as a system message, counts nothing unless all counts alike."""
    if prompt_weight >= 1:
        return [list(shown) for shown in wordings]
    tokens = [each.tokens for shown in wordings for each in shown]
    ends = zip(min(tokens), max(tokens), strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
    return [[_from(common, each, prompt_weight) for each in shown] for shown in wordings]


def _from(common: int, example: TrainingExample, prompt_weight: float) -> TrainingExample:
    start, rest = example.weights[:common], example.weights[common:]
    kept = [weight if weight > prompt_weight else 0.0 for weight in start]
    return TrainingExample(example.tokens, [*kept, *rest])
