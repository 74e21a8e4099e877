"""The built-in engine: a small linear scorer that learns to pick from taught replies."""

from tuner.sandbox.matching import NOT_TAUGHT, NOTHING_TAUGHT, REFUSALS, Reply, base_reply
from tuner.sandbox.model import Model
from tuner.sandbox.scorer_training import Hyperparameters, Metrics, Training, loss, resolve

BASE = "sandbox"
LABEL = "sandbox: picks from your examples"

__all__ = [
    "BASE",
    "LABEL",
    "NOTHING_TAUGHT",
    "NOT_TAUGHT",
    "REFUSALS",
    "Hyperparameters",
    "Metrics",
    "Model",
    "Reply",
    "Training",
    "base_reply",
    "loss",
    "resolve",
]
