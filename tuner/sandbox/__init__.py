"""The embedded engine: a small scorer that learns to pick from the replies it was taught."""

from tuner.sandbox.matching import NOT_TAUGHT, NOTHING_TAUGHT, REFUSALS, Reply, base_reply
from tuner.sandbox.model import Model
from tuner.sandbox.training import Hyperparameters, Metrics, Training, loss, resolve

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
