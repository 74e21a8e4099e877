"""What all ways of asking share: the model, its engine, and the answer as it grows."""

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from tuner.api.dependencies import ApiDependencies
from tuner.api.models import base_of
from tuner.api.request_body import ClientDisconnected
from tuner.api.schemas import CreateChat, CreateCompletion, SamplingShape
from tuner.engine import Delta, Generation, GenerationRequest, Sampling, TokenLogprob
from tuner.errors import ApiError, NotFound

Whole = TypeVar("Whole")
Messages = Sequence[Mapping[str, object]]
NeutralValues = Mapping[str, tuple[object, ...]]
NO_CACHE = {"cache-control": "no-cache"}
PICKS_WHOLE_REPLIES = (
    " It picks whole replies from its examples; a model of the engine 'local' writes its own."
)
EVENT_STREAM = "text/event-stream"


@dataclass(slots=True)
class Choice:
    """One answer of several, as it grows."""

    text: str = ""
    tool_calls: list[Mapping[str, object]] = field(default_factory=list)
    finish_reason: str | None = None
    is_refusal: bool = False
    logprobs: list[TokenLogprob] = field(default_factory=list)
    reasoning: str = ""

    def add(self, piece: Delta) -> None:
        self.text += piece.text
        self.reasoning += piece.reasoning
        self.tool_calls += piece.tool_calls
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.is_refusal |= piece.is_refusal
        self.logprobs += piece.logprobs


@dataclass(slots=True)
class Usage:
    """Tokens of one request, counted as its answers grow."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    """Those of the completion that belong to what was thought before it."""

    def to_json(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


def writes_tokens(place: ApiDependencies, model: str) -> bool:
    """Whether the model's engine writes token by token; of a model not here, none does."""
    engine = place.engines.find(model)
    return engine is not None and engine.writes_tokens


def refuse_unsupported(
    body: dict[str, object], neutral_values: NeutralValues, *, why: str = ""
) -> None:
    """Take these parameters out of the body, and refuse those that ask for something."""
    for name, neutral in neutral_values.items():
        value = body.pop(name, None)
        if value is not None and not any(_is_same(value, each) for each in neutral):
            raise ApiError(
                f"'{name}' is not supported by this model.{why}",
                param=name,
                code="unsupported_parameter",
            )


def refuse_stream_options(wanted: CreateChat | CreateCompletion) -> None:
    """Raises ApiError where options of a stream are given and no stream is asked for."""
    if wanted.stream_options is not None and not wanted.stream:
        raise ApiError(
            "'stream_options' is only allowed when 'stream' is true.", param="stream_options"
        )


def refuse_token_ids(body: Mapping[str, object], name: str, *, hint: str = "") -> None:
    """Raises ApiError where the field holds numbers of tokens instead of texts."""
    texts = body.get(name)
    if isinstance(texts, list) and texts and not isinstance(texts[0], str):
        raise ApiError(
            f"'{name}' must be a text or a list of texts; numbers of tokens are another"
            f" tokenizer's and are not read here.{hint}",
            param=name,
            code="unsupported_content",
        )


def _is_same(value: object, neutral: object) -> bool:
    return type(value) is type(neutral) and value == neutral


def sampling_of(
    wanted: SamplingShape, *, most_tokens: int | None, top_logprobs: int | None = None
) -> Sampling:
    return Sampling(
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        seed=wanted.seed,
        choices=wanted.n or 1,
        stops=[wanted.stop] if isinstance(wanted.stop, str) else wanted.stop or [],
        most_tokens=most_tokens,
        presence_penalty=wanted.presence_penalty or 0.0,
        frequency_penalty=wanted.frequency_penalty or 0.0,
        top_logprobs=top_logprobs,
    )


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """What an answer must be, beside being one: see `GenerationRequest`."""

    tools: Sequence[Mapping[str, object]] = ()
    forced_tools: Sequence[Mapping[str, object]] = ()
    has_parallel_calls: bool = True
    schema: Mapping[str, object] | None = None
    is_thinking: bool = False


async def ask(
    place: ApiDependencies,
    model: str,
    messages: Messages,
    sampling: Sampling,
    options: AnswerOptions | None = None,
) -> Generation:
    """The model's answer to a conversation that has been read. Raises ApiError."""
    weights = await run_in_threadpool(_weights_of, place, model)
    chosen = options or AnswerOptions()
    asked = GenerationRequest(
        base_of(place, model),
        weights,
        messages,
        sampling,
        tools=chosen.tools,
        forced_tools=chosen.forced_tools,
        has_parallel_calls=chosen.has_parallel_calls,
        schema=chosen.schema,
        is_thinking=chosen.is_thinking,
    )
    try:
        return await place.engines.answer(asked)
    except FileNotFoundError as error:
        raise NotFound(
            f"The model '{model}' does not exist or has been deleted.",
            param="model",
            code="model_not_found",
        ) from error


def _weights_of(place: ApiDependencies, model: str) -> Path | None:
    """Where a tuned model's files are; None for a base. Raises NotFound."""
    if model in place.engines.bases:
        return None
    stored = place.models.get(model)
    return place.runner.folder_of(stored.job).weights(stored.step)


async def stream_counting_usage(usage: Usage, answer: Generation) -> AsyncGenerator[Delta, None]:
    """The pieces; however this ends, the engine is told to stop."""
    try:
        async for piece in answer.pieces:
            usage.completion_tokens += piece.tokens
            usage.reasoning_tokens += piece.tokens if piece.reasoning and not piece.text else 0
            yield piece
    finally:
        if isinstance(answer.pieces, AsyncGenerator):
            await answer.pieces.aclose()


async def collect_choices(usage: Usage, answer: Generation) -> list[Choice]:
    choices: dict[int, Choice] = {}
    async for piece in stream_counting_usage(usage, answer):
        choices.setdefault(piece.choice, Choice()).add(piece)
    return [choices[index] for index in sorted(choices)]


async def cancel_on_disconnect(request: Request, work: Coroutine[None, None, Whole]) -> Whole:
    """What the work gives; nobody waits for the end of it once the asker has left."""
    working = asyncio.create_task(work, name="completion")
    left = asyncio.create_task(_left(request), name="asker")
    try:
        await asyncio.wait({working, left}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnected
        return working.result()
    finally:
        for task in (working, left):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def server_sent_event(body: Mapping[str, object], *, name: str = "") -> bytes:
    """A server-sent event: https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
