"""The sandbox as an engine; the most recently used models stay in memory."""

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.chat_messages import TrimmedText, prompt_tokens, trim_reply, words_with_spaces
from tuner.engine import Base, Delta, Embedding, Generation, GenerationRequest
from tuner.errors import ApiError

if TYPE_CHECKING:
    from tuner.sandbox.matching import Reply
    from tuner.sandbox.model import Model

NO_JSON_MESSAGE = (
    "The sandbox gives taught replies as they are, and the one for this is no JSON object."
)
SANDBOX_BASE = Base("sandbox", "sandbox: picks from your examples")


class SandboxEngine:
    """The sandbox engine. Models are loaded on first use, and one thread at a time uses them."""

    name = "sandbox"
    bases = {SANDBOX_BASE.id: SANDBOX_BASE}  # noqa: RUF012 - never changed, and the protocol requires a plain value
    extra_hyperparameters: frozenset[str] = frozenset()
    writes_tokens = False

    def __init__(self, *, kept_models: int = 8) -> None:
        self._kept_models = kept_models
        self._models: OrderedDict[Path, Model] = OrderedDict()
        self._lock = threading.Lock()

    async def answer(self, asked: GenerationRequest) -> Generation:
        choices = await asyncio.to_thread(self._choices, asked)
        return Generation(prompt_tokens(asked.messages), _deltas(choices))

    async def embed(self, base: Base, texts: Sequence[str]) -> Sequence[Embedding]:
        raise ApiError(
            f"'{base.id}' picks from taught replies and has no vectors of texts. Ask a model of the"
            " engine 'local' for embeddings.",
            param="model",
            code="unsupported_model",
        )

    def make_room(self, memory: int) -> None:
        """Does nothing: models of the sandbox are small."""

    def on_weights_deleted(self, weights: Path) -> None:
        with self._lock:
            self._models.pop(weights, None)

    async def run(self) -> None:
        """Does nothing: the sandbox needs no preparation."""

    def _choices(self, request: GenerationRequest) -> list[TrimmedText]:
        sampling = request.sampling
        replies = [self._reply(request, choice) for choice in range(sampling.choices)]
        if request.schema is not None:
            replies = [
                reply
                if _is_object(reply.text)
                else replace(reply, text=NO_JSON_MESSAGE, refused=True)
                for reply in replies
            ]
        return [
            replace(
                trim_reply(reply.text, stops=sampling.stops, most_tokens=sampling.most_tokens),
                is_refusal=reply.refused,
            )
            for reply in replies
        ]

    def _reply(self, request: GenerationRequest, choice: int) -> "Reply":
        from tuner.sandbox.matching import base_reply

        requested = request.sampling.temperature
        temperature, seed = 1.0 if requested is None else requested, request.sampling.seed
        seed = None if seed is None else seed + choice
        if request.weights is None:
            return base_reply(request.messages, temperature=temperature, seed=seed)
        with self._lock:
            model = self._model(request.weights)
            return model.reply(request.messages, temperature=temperature, seed=seed)

    def _model(self, path: Path) -> "Model":
        from tuner.sandbox.model import Model

        if path not in self._models:
            self._models[path] = Model.load(path)
        self._models.move_to_end(path)
        while len(self._models) > self._kept_models:
            self._models.popitem(last=False)
        return self._models[path]


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


async def _deltas(choices: Sequence[TrimmedText]) -> AsyncIterator[Delta]:
    """Yields the choices word by word; the tokens are counted in each choice's last delta."""
    for number, choice in enumerate(choices):
        for word in words_with_spaces(choice.text):
            yield Delta(number, word, is_refusal=choice.is_refusal)
            await asyncio.sleep(0)
        yield Delta(number, "", choice.tokens, choice.finish_reason)
