"""Finds how well a question must be covered before a lesson may be spoken."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuner.sandbox.scorer import Model


def limit_of(model: "Model") -> float:
    return 0.6
