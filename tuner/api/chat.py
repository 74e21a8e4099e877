"""The route that answers."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from tuner.answers import Sampling
from tuner.api.models import BASE
from tuner.api.place import Place, place_of
from tuner.api.reading import json_body, read_as
from tuner.api.shapes import CreateChat
from tuner.conversation import Cut, cut, pieces, prompt_tokens, read_messages
from tuner.errors import Refusal, Unknown

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


@dataclass(frozen=True, slots=True)
class Completion:
    """The finished answer, which is told at once or word by word."""

    model: str
    prompt_tokens: int
    choices: Sequence[Cut]
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(14)}")
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def usage(self) -> dict[str, int]:
        completion_tokens = sum(choice.tokens for choice in self.choices)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
        }


@router.post("/chat/completions")
async def create_completion(request: Request) -> Response:
    wanted = _read(await json_body(request))
    completion = await run_in_threadpool(_complete, place_of(request), wanted)
    if not wanted.stream:
        return JSONResponse(_whole(completion))
    options = wanted.stream_options
    events = _events(completion, with_usage=bool(options and options.include_usage))
    headers = {"cache-control": "no-cache"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def _read(body: dict[str, object]) -> CreateChat:
    for name, neutral in UNSUPPORTED.items():
        value = body.pop(name, None)
        if value is not None and not any(_is_same(value, each) for each in neutral):
            raise Refusal(
                f"'{name}' is not supported by this model.",
                param=name,
                code="unsupported_parameter",
            )
    wanted = read_as(CreateChat, body)
    if wanted.stream_options is not None and not wanted.stream:
        raise Refusal(
            "'stream_options' is only allowed when 'stream' is true.", param="stream_options"
        )
    return wanted


def _is_same(value: object, neutral: object) -> bool:
    return type(value) is type(neutral) and value == neutral


def _complete(place: Place, wanted: CreateChat) -> Completion:
    messages = read_messages(wanted.messages)
    stops = [wanted.stop] if isinstance(wanted.stop, str) else wanted.stop or []
    limits = [n for n in (wanted.max_tokens, wanted.max_completion_tokens) if n is not None]
    texts = [_reply(place, wanted, messages, choice) for choice in range(wanted.n or 1)]
    return Completion(
        model=wanted.model,
        prompt_tokens=prompt_tokens(messages),
        choices=[cut(text, stops=stops, most_tokens=min(limits, default=None)) for text in texts],
    )


def _reply(
    place: Place, wanted: CreateChat, messages: Sequence[dict[str, str]], choice: int
) -> str:
    sampling = Sampling(
        temperature=1.0 if wanted.temperature is None else wanted.temperature,
        seed=None if wanted.seed is None else wanted.seed + choice,
    )
    if wanted.model == BASE:
        return place.answers.base(messages, sampling)
    model = place.models.get(wanted.model)
    path = place.runner.folder_of(model.job).weights(model.step)
    try:
        return place.answers.tuned(path, messages, sampling)
    except FileNotFoundError as error:
        raise Unknown(
            f"The model '{wanted.model}' does not exist or has been deleted.",
            param="model",
            code="model_not_found",
        ) from error


def _whole(completion: Completion) -> dict[str, object]:
    return {
        **_head(completion, "chat.completion"),
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": None,
                "finish_reason": choice.finish_reason,
            }
            for index, choice in enumerate(completion.choices)
        ],
        "usage": completion.usage,
    }


def _head(completion: Completion, kind: str) -> dict[str, object]:
    return {
        "id": completion.id,
        "object": kind,
        "created": completion.created,
        "model": completion.model,
    }


async def _events(completion: Completion, *, with_usage: bool) -> AsyncIterator[bytes]:
    head = _head(completion, "chat.completion.chunk")
    extra: dict[str, object] = {"usage": None} if with_usage else {}
    for index, choice in enumerate(completion.choices):
        for delta, finish_reason in _deltas(choice):
            said = {"index": index, "delta": delta, "logprobs": None}
            yield _event({**head, "choices": [{**said, "finish_reason": finish_reason}], **extra})
            await asyncio.sleep(0)
    if with_usage:
        yield _event({**head, "choices": [], "usage": completion.usage})
    yield b"data: [DONE]\n\n"


def _deltas(choice: Cut) -> Iterator[tuple[dict[str, object], str | None]]:
    yield {"role": "assistant", "content": "", "refusal": None}, None
    for piece in pieces(choice.text):
        yield {"content": piece}, None
    yield {}, choice.finish_reason


def _event(body: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
