"""What routes with answers share: the model, its engine, collecting or streaming an answer."""

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

Result = TypeVar("Result")
Messages = Sequence[Mapping[str, object]]
ValuesWithoutEffect = Mapping[str, tuple[object, ...]]
NO_CACHE_HEADERS = {"cache-control": "no-cache"}
NO_TOKENS_HINT = (
    " It picks whole replies from its examples; a model of the engine 'local' writes its own."
)
EVENT_STREAM_MEDIA_TYPE = "text/event-stream"


@dataclass(slots=True)
class Choice:
    """One choice of a completion, built from its deltas."""

    text: str = ""
    tool_calls: list[Mapping[str, object]] = field(default_factory=list)
    finish_reason: str | None = None
    is_refusal: bool = False
    logprobs: list[TokenLogprob] = field(default_factory=list)
    reasoning: str = ""

    def add(self, delta: Delta) -> None:
        self.text += delta.text
        self.reasoning += delta.reasoning
        self.tool_calls += delta.tool_calls
        self.finish_reason = delta.finish_reason or self.finish_reason
        self.is_refusal |= delta.is_refusal
        self.logprobs += delta.logprobs


@dataclass(slots=True)
class Usage:
    """Token counts of one request, added up while its answers are generated."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    """Tokens of the reasoning before the answer, which are part of `completion_tokens`."""

    def to_json(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


def writes_tokens(deps: ApiDependencies, model: str) -> bool:
    """Whether the model's engine generates token by token; False for an unknown model."""
    engine = deps.engines.find(model)
    return engine is not None and engine.writes_tokens


def refuse_unsupported(
    body: dict[str, object], neutral_values: ValuesWithoutEffect, *, why: str = ""
) -> None:
    """Removes these parameters from the body. Raises ApiError for one with an effect."""
    for name, neutral in neutral_values.items():
        value = body.pop(name, None)
        if value is not None and not any(_is_same(value, allowed) for allowed in neutral):
            raise ApiError(
                f"'{name}' is not supported by this model.{why}",
                param=name,
                code="unsupported_parameter",
            )


def refuse_stream_options(params: CreateChat | CreateCompletion) -> None:
    """Raises ApiError if `stream_options` are given without `stream`."""
    if params.stream_options is not None and not params.stream:
        raise ApiError(
            "'stream_options' is only allowed when 'stream' is true.", param="stream_options"
        )


def refuse_token_ids(body: Mapping[str, object], name: str, *, hint: str = "") -> None:
    """Raises ApiError if the field holds token ids instead of texts."""
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
    params: SamplingShape, *, most_tokens: int | None, top_logprobs: int | None = None
) -> Sampling:
    return Sampling(
        temperature=params.temperature,
        top_p=params.top_p,
        seed=params.seed,
        choices=params.n or 1,
        stops=[params.stop] if isinstance(params.stop, str) else params.stop or [],
        most_tokens=most_tokens,
        presence_penalty=params.presence_penalty or 0.0,
        frequency_penalty=params.frequency_penalty or 0.0,
        top_logprobs=top_logprobs,
    )


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """Constraints of an answer; see `GenerationRequest`."""

    tools: Sequence[Mapping[str, object]] = ()
    forced_tools: Sequence[Mapping[str, object]] = ()
    has_parallel_calls: bool = True
    schema: Mapping[str, object] | None = None
    is_thinking: bool = False


async def start_generation(
    deps: ApiDependencies,
    model: str,
    messages: Messages,
    sampling: Sampling,
    options: AnswerOptions | None = None,
) -> Generation:
    """Starts the model's answer to a validated conversation. Raises ApiError."""
    weights = await run_in_threadpool(_weights_of, deps, model)
    constraints = options or AnswerOptions()
    request = GenerationRequest(
        base_of(deps, model),
        weights,
        messages,
        sampling,
        tools=constraints.tools,
        forced_tools=constraints.forced_tools,
        has_parallel_calls=constraints.has_parallel_calls,
        schema=constraints.schema,
        is_thinking=constraints.is_thinking,
    )
    try:
        return await deps.engines.answer(request)
    except FileNotFoundError as error:
        raise NotFound(
            f"The model '{model}' does not exist or has been deleted.",
            param="model",
            code="model_not_found",
        ) from error


def _weights_of(deps: ApiDependencies, model: str) -> Path | None:
    """Returns the path of a tuned model's files; None for a base. Raises NotFound."""
    if model in deps.engines.bases:
        return None
    stored = deps.models.get(model)
    return deps.runner.folder_of(stored.job).weights(stored.step)


async def stream_counting_usage(usage: Usage, answer: Generation) -> AsyncGenerator[Delta, None]:
    """Yields the deltas and counts their tokens; generation stops when the iteration ends."""
    try:
        async for delta in answer.pieces:
            usage.completion_tokens += delta.tokens
            usage.reasoning_tokens += delta.tokens if delta.reasoning and not delta.text else 0
            yield delta
    finally:
        if isinstance(answer.pieces, AsyncGenerator):
            await answer.pieces.aclose()


async def collect_choices(usage: Usage, answer: Generation) -> list[Choice]:
    """Returns the complete choices, in order."""
    choices: dict[int, Choice] = {}
    async for delta in stream_counting_usage(usage, answer):
        choices.setdefault(delta.choice, Choice()).add(delta)
    return [choices[index] for index in sorted(choices)]


async def cancel_on_disconnect(request: Request, work: Coroutine[None, None, Result]) -> Result:
    """Returns the result of the work. Raises ClientDisconnected if the client leaves before."""
    work_task = asyncio.create_task(work, name="completion")
    disconnect_task = asyncio.create_task(_wait_for_disconnect(request), name="asker")
    try:
        await asyncio.wait({work_task, disconnect_task}, return_when=asyncio.FIRST_COMPLETED)
        if not work_task.done():
            raise ClientDisconnected
        return work_task.result()
    finally:
        for task in (work_task, disconnect_task):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def server_sent_event(body: Mapping[str, object], *, name: str = "") -> bytes:
    """Encodes a server-sent event.

    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
