"""The route for chat completions: `/v1/chat/completions`."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tuner.api.answering import (
    EVENT_STREAM_MEDIA_TYPE,
    NO_CACHE_HEADERS,
    NO_TOKENS_HINT,
    Choice,
    Usage,
    ValuesWithoutEffect,
    cancel_on_disconnect,
    collect_choices,
    refuse_stream_options,
    refuse_unsupported,
    sampling_of,
    server_sent_event,
    start_generation,
    stream_counting_usage,
    writes_tokens,
)
from tuner.api.dependencies import ApiDependencies, dependencies_of
from tuner.api.logprobs import chat_logprobs
from tuner.api.output_constraints import output_constraints_of
from tuner.api.request_body import json_body, read_as
from tuner.api.schemas import CreateChat
from tuner.chat_messages import read_messages
from tuner.engine import Delta, Generation
from tuner.errors import ApiError

router = APIRouter()

# Parameters of the protocol without support here, with the values that have no effect.
UNSUPPORTED_PARAMETERS: ValuesWithoutEffect = {
    "audio": (),
    "function_call": ("none",),
    "functions": ([],),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "moderation": (),
    "prediction": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "reasoning_effort": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "verbosity": (),
    "web_search_options": (),
}
# The same for an engine that does not generate token by token.
PARAMETERS_OF_TOKEN_ENGINES: ValuesWithoutEffect = {
    "logprobs": (False,),
    "parallel_tool_calls": (False, True),
    "response_format": ({"type": "text"}, {"type": "json_object"}),
    "tool_choice": ("none",),
    "tools": ([],),
    "top_logprobs": (0,),
}


@dataclass(slots=True)
class Completion:
    """What the objects of one completion have in common."""

    model: str
    usage: Usage
    has_json: bool = False
    """Whether JSON was requested, so that a refusal must not be in `content`."""
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(14)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def head(self, kind: str) -> dict[str, object]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


@router.post("/chat/completions")
async def create_completion(request: Request) -> Response:
    deps = dependencies_of(request)
    params = _read(await json_body(request), deps)
    answer = await _start_answer(deps, params)
    form = params.response_format
    has_json = form is not None and form.type != "text"
    completion = Completion(params.model, Usage(answer.prompt_tokens), has_json)
    if not params.stream:
        return JSONResponse(await cancel_on_disconnect(request, _collect(completion, answer)))
    options = params.stream_options
    events = _events(completion, answer, with_usage=bool(options and options.include_usage))
    return StreamingResponse(events, media_type=EVENT_STREAM_MEDIA_TYPE, headers=NO_CACHE_HEADERS)


def _read(body: dict[str, object], deps: ApiDependencies) -> CreateChat:
    model = deps.model_named(str(body.get("model")))
    refuse_unsupported(body, UNSUPPORTED_PARAMETERS)
    if not writes_tokens(deps, model):
        response_format = body.get("response_format")
        refuse_unsupported(body, PARAMETERS_OF_TOKEN_ENGINES, why=NO_TOKENS_HINT)
        body["response_format"] = response_format
    params = read_as(CreateChat, body)
    params.model = model
    refuse_stream_options(params)
    if params.top_logprobs and not params.logprobs:
        raise ApiError("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    return params


async def _start_answer(deps: ApiDependencies, params: CreateChat) -> Generation:
    messages = read_messages(params.messages, with_tools=writes_tokens(deps, params.model))
    limits = [n for n in (params.max_tokens, params.max_completion_tokens) if n is not None]
    sampling = sampling_of(
        params,
        most_tokens=min(limits, default=None),
        top_logprobs=(params.top_logprobs or 0) if params.logprobs else None,
    )
    return await start_generation(
        deps, params.model, messages, sampling, output_constraints_of(params)
    )


async def _collect(completion: Completion, answer: Generation) -> dict[str, object]:
    choices = await collect_choices(completion.usage, answer)
    return {
        **completion.head("chat.completion"),
        "choices": [
            _choice_object(completion, index, choice) for index, choice in enumerate(choices)
        ],
        "usage": completion.usage.to_json(),
    }


def _content_fields(completion: Completion, text: str, *, is_refusal: bool) -> dict[str, object]:
    """Returns the text as `content`, with a flag for a refusal.

    A refusal is in `refusal` only if `content` must be JSON: many clients read `content` alone,
    and the AI SDK shows both, one after the other.
    """
    if not is_refusal:
        return {"content": text}
    if completion.has_json:
        return {"content": None, "refusal": text, "is_refusal": True}
    return {"content": text, "is_refusal": True}


def _choice_object(completion: Completion, index: int, choice: Choice) -> dict[str, object]:
    content = _content_fields(completion, choice.text, is_refusal=choice.is_refusal)
    message: dict[str, object] = {"role": "assistant", "refusal": None, **content}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message |= {"content": choice.text or None, "tool_calls": choice.tool_calls}
    return {
        "index": index,
        "message": message,
        "logprobs": chat_logprobs(choice.logprobs),
        "finish_reason": choice.finish_reason,
    }


async def _events(
    completion: Completion, answer: Generation, *, with_usage: bool
) -> AsyncIterator[bytes]:
    extra: dict[str, object] = {"usage": None} if with_usage else {}
    head = completion.head("chat.completion.chunk")
    started: set[int] = set()
    async with aclosing(stream_counting_usage(completion.usage, answer)) as pieces:
        async for piece in pieces:
            logprobs = chat_logprobs(piece.logprobs)
            for delta, finish_reason in _deltas(
                completion, piece, is_first=piece.choice not in started
            ):
                has_text = "role" not in delta
                fields = {"index": piece.choice, "delta": delta, "logprobs": None}
                if has_text:
                    fields["logprobs"], logprobs = logprobs, None
                yield server_sent_event(
                    {**head, "choices": [{**fields, "finish_reason": finish_reason}], **extra}
                )
            started.add(piece.choice)
    if with_usage:
        yield server_sent_event({**head, "choices": [], "usage": completion.usage.to_json()})
    yield b"data: [DONE]\n\n"


def _deltas(
    completion: Completion, piece: Delta, *, is_first: bool
) -> list[tuple[dict[str, object], str | None]]:
    deltas: list[tuple[dict[str, object], str | None]] = []
    if is_first:
        deltas.append(({"role": "assistant", "content": "", "refusal": None}, None))
    if piece.reasoning:
        deltas.append(({"reasoning_content": piece.reasoning}, None))
    if piece.text:
        deltas.append((_content_fields(completion, piece.text, is_refusal=piece.is_refusal), None))
    if piece.tool_calls:
        calls = [{"index": index, **call} for index, call in enumerate(piece.tool_calls)]
        deltas.append(({"tool_calls": calls}, None))
    if piece.finish_reason:
        deltas.append(({}, piece.finish_reason))
    return deltas
