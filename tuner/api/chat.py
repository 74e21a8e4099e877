"""The route that answers a conversation: `/v1/chat/completions`."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tuner.api.answering import (
    EVENT_STREAM,
    NO_CACHE,
    PICKS_WHOLE_REPLIES,
    Choice,
    NeutralValues,
    Usage,
    ask,
    cancel_on_disconnect,
    collect_choices,
    refuse_stream_options,
    refuse_unsupported,
    sampling_of,
    server_sent_event,
    stream_counting_usage,
    writes_tokens,
)
from tuner.api.dependencies import ApiDependencies, dependencies_of
from tuner.api.logprobs import chat_logprobs
from tuner.api.output_constraints import output_constraints_of
from tuner.api.request_body import json_body, read_as
from tuner.api.schemas import CreateChat
from tuner.conversation import read_messages
from tuner.engine import Delta, Generation
from tuner.errors import ApiError

router = APIRouter()

# What the protocol has and this server has not, with the values that ask for nothing.
UNSUPPORTED: NeutralValues = {
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
# Of an engine that does not write token by token.
WITHOUT_TOKENS: NeutralValues = {
    "logprobs": (False,),
    "parallel_tool_calls": (False, True),
    "response_format": ({"type": "text"}, {"type": "json_object"}),
    "tool_choice": ("none",),
    "tools": ([],),
    "top_logprobs": (0,),
}


@dataclass(slots=True)
class Completion:
    """What is told of an answer beside its pieces."""

    model: str
    usage: Usage
    has_json: bool = False
    """Whether JSON was asked for, so that a refusal has to stand apart from it."""
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(14)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def head(self, kind: str) -> dict[str, object]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


@router.post("/chat/completions")
async def create_completion(request: Request) -> Response:
    place = dependencies_of(request)
    wanted = _read(await json_body(request), place)
    answer = await _ask(place, wanted)
    form = wanted.response_format
    has_json = form is not None and form.type != "text"
    completion = Completion(wanted.model, Usage(answer.prompt_tokens), has_json)
    if not wanted.stream:
        return JSONResponse(await cancel_on_disconnect(request, _whole(completion, answer)))
    options = wanted.stream_options
    events = _events(completion, answer, with_usage=bool(options and options.include_usage))
    return StreamingResponse(events, media_type=EVENT_STREAM, headers=NO_CACHE)


def _read(body: dict[str, object], place: ApiDependencies) -> CreateChat:
    model = place.model_named(str(body.get("model")))
    refuse_unsupported(body, UNSUPPORTED)
    if not writes_tokens(place, model):
        response_format = body.get("response_format")
        refuse_unsupported(body, WITHOUT_TOKENS, why=PICKS_WHOLE_REPLIES)
        body["response_format"] = response_format
    wanted = read_as(CreateChat, body)
    wanted.model = model
    refuse_stream_options(wanted)
    if wanted.top_logprobs and not wanted.logprobs:
        raise ApiError("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    return wanted


async def _ask(place: ApiDependencies, wanted: CreateChat) -> Generation:
    messages = read_messages(wanted.messages, with_tools=writes_tokens(place, wanted.model))
    limits = [n for n in (wanted.max_tokens, wanted.max_completion_tokens) if n is not None]
    sampling = sampling_of(
        wanted,
        most_tokens=min(limits, default=None),
        top_logprobs=(wanted.top_logprobs or 0) if wanted.logprobs else None,
    )
    return await ask(place, wanted.model, messages, sampling, output_constraints_of(wanted))


async def _whole(completion: Completion, answer: Generation) -> dict[str, object]:
    choices = await collect_choices(completion.usage, answer)
    return {
        **completion.head("chat.completion"),
        "choices": [_shown(completion, index, choice) for index, choice in enumerate(choices)],
        "usage": completion.usage.to_json(),
    }


def _said(completion: Completion, text: str, *, is_refusal: bool) -> dict[str, object]:
    """A refusal is marked, and stands in `refusal` only where `content` must be JSON.

    Many programs read `content` alone, and the AI SDK shows both, one behind the other.
    """
    if not is_refusal:
        return {"content": text}
    if completion.has_json:
        return {"content": None, "refusal": text, "is_refusal": True}
    return {"content": text, "is_refusal": True}


def _shown(completion: Completion, index: int, choice: Choice) -> dict[str, object]:
    said = _said(completion, choice.text, is_refusal=choice.is_refusal)
    message: dict[str, object] = {"role": "assistant", "refusal": None, **said}
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
    begun: set[int] = set()
    async with aclosing(stream_counting_usage(completion.usage, answer)) as pieces:
        async for piece in pieces:
            logprobs = chat_logprobs(piece.logprobs)
            for delta, finish_reason in _deltas(
                completion, piece, is_first=piece.choice not in begun
            ):
                has_text = "role" not in delta
                said = {"index": piece.choice, "delta": delta, "logprobs": None}
                if has_text:
                    said["logprobs"], logprobs = logprobs, None
                yield server_sent_event(
                    {**head, "choices": [{**said, "finish_reason": finish_reason}], **extra}
                )
            begun.add(piece.choice)
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
        deltas.append((_said(completion, piece.text, is_refusal=piece.is_refusal), None))
    if piece.tool_calls:
        calls = [{"index": index, **call} for index, call in enumerate(piece.tool_calls)]
        deltas.append(({"tool_calls": calls}, None))
    if piece.finish_reason:
        deltas.append(({}, piece.finish_reason))
    return deltas
