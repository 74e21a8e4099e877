"""Prices of a host for training, hosting and answers, by base model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.openai import request_fields
from bot.domain import ModelName
from bot.ports.model_hosts import Price


@dataclass(frozen=True, slots=True)
class HostPrices:
    """Prices in US dollars; `usual` and `usual_chat` are for bases that are not listed.

    `training` and `chat` (prompt, completion) are per million tokens, `hosting` is per hour of a
    deployment.
    """

    training: Mapping[str, float] = field(default_factory=dict)
    usual: float | None = None
    hosting: float | None = None
    chat: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    usual_chat: tuple[float, float] | None = None

    def of(self, base: ModelName) -> Price:
        """Returns the price of a base, or of the base of a tuned model (`ft:BASE:…`)."""
        family = request_fields.base_of_model_name(base)
        training = self.training.get(base, self.training.get(family, self.usual))
        chat = self.chat.get(base, self.chat.get(family, self.usual_chat))
        prompt, completion = chat or (None, None)
        return Price(training, self.hosting, prompt, completion)
