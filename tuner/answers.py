"""Who answers for a model: the last few used are kept in memory."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuner.sandbox import Model

Conversation = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Sampling:
    temperature: float
    seed: int | None


class Answers:
    """The engine is loaded when first needed; a model thinks for one thread at a time."""

    def __init__(self, *, kept_models: int = 8) -> None:
        self._kept_models = kept_models
        self._models: OrderedDict[Path, Model] = OrderedDict()
        self._lock = threading.Lock()

    def base(self, conversation: Conversation, sampling: Sampling) -> str:
        from tuner.sandbox import base_reply

        reply = base_reply(conversation, temperature=sampling.temperature, seed=sampling.seed)
        return reply.text

    def tuned(self, path: Path, conversation: Conversation, sampling: Sampling) -> str:
        """Raises FileNotFoundError for a model that was deleted meanwhile."""
        with self._lock:
            reply = self._model(path).reply(
                conversation, temperature=sampling.temperature, seed=sampling.seed
            )
        return reply.text

    def forget(self, path: Path) -> None:
        with self._lock:
            self._models.pop(path, None)

    def _model(self, path: Path) -> "Model":
        from tuner.sandbox import Model

        if path not in self._models:
            self._models[path] = Model.load(path)
        self._models.move_to_end(path)
        while len(self._models) > self._kept_models:
            self._models.popitem(last=False)
        return self._models[path]
