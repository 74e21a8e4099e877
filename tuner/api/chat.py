"""The route that answers."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from tuner.api.dependencies import ApiDependencies, dependencies_of
from tuner.api.models import base_of
from tuner.api.request_body import Gone, json_body, read_as
from tuner.api.schemas import CreateChat
from tuner.conversation import read_messages
from tuner.engine import Delta, Generation, GenerationRequest, Sampling
from tuner.errors import ApiError, Unknown

router = APIRouter()

# What the protocol has and this server has not, with the values that ask for nothing.
UNSUPPORTED: dict[str, tuple[object, ...]] = {
    "audio": (),
    "function_call": ("none",),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "parallel_tool_calls": (),
    "prediction": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "reasoning_effort": (),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none",),
    "tools": ([],),
    "top_logprobs": (),
    "verbosity": (),
    "web_search_options": (),
}


# What an engine that knows of functions takes beside, and where it goes no further.
WITH_TOOLS: dict[str, tuple[object, ...]] = {"tool_choice": ("none", "auto")}


@dataclass(slots=True)
class Completion:
    """What is told of an answer beside its pieces."""

    model: str
    prompt_tokens: int
    completion_tokens: int = 0
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(14)}")
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }

    def head(self, kind: str) -> dict[str, object]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


@dataclass(slots=True)
class Choice:
    """One answer of several, as it grows."""

    text: str = ""
    tool_calls: list[Mapping[str, object]] = field(default_factory=list)
    finish_reason: str | None = None
    is_refusal: bool = False

    def take(self, piece: Delta) -> None:
        self.text += piece.text
        self.tool_calls += piece.tool_calls
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.is_refusal |= piece.is_refusal


@router.post("/chat/completions")
async def create_completion(request: Request) -> Response:
    place = dependencies_of(request)
    wanted = _read(await json_body(request), place)
    answer = await _ask(place, wanted)
    completion = Completion(wanted.model, answer.prompt_tokens)
    if not wanted.stream:
        return JSONResponse(await _unless_gone(request, completion, answer))
    options = wanted.stream_options
    events = _events(completion, answer, with_usage=bool(options and options.include_usage))
    headers = {"cache-control": "no-cache"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def _read(body: dict[str, object], place: ApiDependencies) -> CreateChat:
    model = place.model_named(str(body.get("model")))
    _refuse_unsupported(body, has_tools=_has_tools(place, model))
    wanted = read_as(CreateChat, body)
    wanted.model = model
    if wanted.stream_options is not None and not wanted.stream:
        raise ApiError(
            "'stream_options' is only allowed when 'stream' is true.", param="stream_options"
        )
    return wanted


def _has_tools(place: ApiDependencies, model: object) -> bool:
    """Whether the model's engine knows of functions; of a model not here, none does."""
    engine = place.engines.find(str(model))
    return engine is not None and engine.has_tools


def _refuse_unsupported(body: dict[str, object], *, has_tools: bool) -> None:
    for name, neutral in {**UNSUPPORTED, **(WITH_TOOLS if has_tools else {})}.items():
        if has_tools and name == "tools":
            continue
        value = body.pop(name, None)
        if name == "tool_choice" and value == "none" and has_tools:
            body.pop("tools", None)
        if value is not None and not any(_is_same(value, each) for each in neutral):
            raise ApiError(
                f"'{name}' is not supported by this model.",
                param=name,
                code="unsupported_parameter",
            )


def _is_same(value: object, neutral: object) -> bool:
    return type(value) is type(neutral) and value == neutral


async def _ask(place: ApiDependencies, wanted: CreateChat) -> Generation:
    asked = await run_in_threadpool(_asked, place, wanted)
    try:
        return await place.engines.answer(asked)
    except FileNotFoundError as error:
        raise Unknown(
            f"The model '{wanted.model}' does not exist or has been deleted.",
            param="model",
            code="model_not_found",
        ) from error


def _asked(place: ApiDependencies, wanted: CreateChat) -> GenerationRequest:
    limits = [n for n in (wanted.max_tokens, wanted.max_completion_tokens) if n is not None]
    sampling = Sampling(
        temperature=1.0 if wanted.temperature is None else wanted.temperature,
        top_p=1.0 if wanted.top_p is None else wanted.top_p,
        seed=wanted.seed,
        choices=wanted.n or 1,
        stops=[wanted.stop] if isinstance(wanted.stop, str) else wanted.stop or [],
        most_tokens=min(limits, default=None),
        presence_penalty=wanted.presence_penalty or 0.0,
        frequency_penalty=wanted.frequency_penalty or 0.0,
    )
    messages = read_messages(wanted.messages, with_tools=_has_tools(place, wanted.model))
    weights = None
    if wanted.model not in place.engines.bases:
        model = place.models.get(wanted.model)
        weights = place.runner.folder_of(model.job).weights(model.step)
    return GenerationRequest(
        base_of(place, wanted.model), weights, messages, sampling, wanted.tools or ()
    )


async def _unless_gone(
    request: Request, completion: Completion, answer: Generation
) -> dict[str, object]:
    """The whole answer; nobody waits for the end of one whose asker has left."""
    work = asyncio.create_task(_whole(completion, answer), name="completion")
    left = asyncio.create_task(_left(request), name="asker")
    try:
        await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Gone
        return work.result()
    finally:
        for task in (work, left):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _whole(completion: Completion, answer: Generation) -> dict[str, object]:
    choices: dict[int, Choice] = {}
    async for piece in _counted(completion, answer):
        choices.setdefault(piece.choice, Choice()).take(piece)
    return {
        **completion.head("chat.completion"),
        "choices": [_shown(index, choices[index]) for index in sorted(choices)],
        "usage": completion.usage,
    }


def _shown(index: int, choice: Choice) -> dict[str, object]:
    # A refusal stands in both: whoever reads `content` alone shows it all the same.
    refusal = choice.text if choice.is_refusal else None
    message: dict[str, object] = {"role": "assistant", "content": choice.text, "refusal": refusal}
    if choice.tool_calls:
        message |= {"content": choice.text or None, "tool_calls": choice.tool_calls}
    return {
        "index": index,
        "message": message,
        "logprobs": None,
        "finish_reason": choice.finish_reason,
    }


async def _counted(completion: Completion, answer: Generation) -> AsyncGenerator[Delta, None]:
    """The pieces; however this ends, the engine is told to stop."""
    try:
        async for piece in answer.pieces:
            completion.completion_tokens += piece.tokens
            yield piece
    finally:
        if isinstance(answer.pieces, AsyncGenerator):
            await answer.pieces.aclose()


async def _events(
    completion: Completion, answer: Generation, *, with_usage: bool
) -> AsyncIterator[bytes]:
    extra: dict[str, object] = {"usage": None} if with_usage else {}
    head = completion.head("chat.completion.chunk")
    begun: set[int] = set()
    async with aclosing(_counted(completion, answer)) as pieces:
        async for piece in pieces:
            for delta, finish_reason in _deltas(piece, is_first=piece.choice not in begun):
                said = {"index": piece.choice, "delta": delta, "logprobs": None}
                yield _event(
                    {**head, "choices": [{**said, "finish_reason": finish_reason}], **extra}
                )
            begun.add(piece.choice)
    if with_usage:
        yield _event({**head, "choices": [], "usage": completion.usage})
    yield b"data: [DONE]\n\n"


def _deltas(piece: Delta, *, is_first: bool) -> list[tuple[dict[str, object], str | None]]:
    deltas: list[tuple[dict[str, object], str | None]] = []
    if is_first:
        deltas.append(({"role": "assistant", "content": "", "refusal": None}, None))
    if piece.text:
        refusal = {"refusal": piece.text} if piece.is_refusal else {}
        deltas.append(({"content": piece.text, **refusal}, None))
    if piece.tool_calls:
        calls = [{"index": index, **call} for index, call in enumerate(piece.tool_calls)]
        deltas.append(({"tool_calls": calls}, None))
    if piece.finish_reason:
        deltas.append(({}, piece.finish_reason))
    return deltas


def _event(body: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
