"""What a host charges for training, hosting and answers, by the name of the base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.openai import request_fields
from bot.domain import ModelName
from bot.ports.provider import Price


@dataclass(frozen=True, slots=True)
class HostPrices:
    """Dollars for a million tokens; `usual` and `usual_chat` are for bases that are not listed.

    `chat` is for the prompt and for the answer; `hosting` is a served model's price of an hour.
    """

    training: Mapping[str, float] = field(default_factory=dict)
    usual: float | None = None
    hosting: float | None = None
    chat: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    usual_chat: tuple[float, float] | None = None

    def of(self, base: ModelName) -> Price:
        """None where it is not known; a tuned model (`ft:BASE:…`) costs what its base does."""
        family = request_fields.base_of(base)
        training = self.training.get(base, self.training.get(family, self.usual))
        chat = self.chat.get(base, self.chat.get(family, self.usual_chat))
        prompt, completion = chat or (None, None)
        return Price(training, self.hosting, prompt, completion)
