"""The route for a bare prompt: `/v1/completions`, answered like a chat of one message.

All models here learn conversations, so the prompt is passed to them as a user's message.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tuner.api.answering import (
    EVENT_STREAM_MEDIA_TYPE,
    NO_CACHE_HEADERS,
    Usage,
    ValuesWithoutEffect,
    cancel_on_disconnect,
    collect_choices,
    refuse_stream_options,
    refuse_token_ids,
    refuse_unsupported,
    sampling_of,
    server_sent_event,
    start_generation,
    stream_counting_usage,
    writes_tokens,
)
from tuner.api.dependencies import ApiDependencies, dependencies_of
from tuner.api.logprobs import completion_logprobs
from tuner.api.request_body import json_body, read_as
from tuner.api.schemas import CreateCompletion
from tuner.engine import Generation
from tuner.errors import ApiError

router = APIRouter()

UNSUPPORTED_PARAMETERS: ValuesWithoutEffect = {"logit_bias": ({},), "suffix": ("",)}

PARAMETERS_OF_TOKEN_ENGINES: ValuesWithoutEffect = {**UNSUPPORTED_PARAMETERS, "logprobs": ()}


@router.post("/completions")
async def create_completion(request: Request) -> Response:
    deps = dependencies_of(request)
    params = _read(await json_body(request), deps)
    prompts = [params.prompt] if isinstance(params.prompt, str) else params.prompt
    sampling = sampling_of(params, most_tokens=params.max_tokens, top_logprobs=params.logprobs)
    answers = await asyncio.gather(
        *(
            start_generation(deps, params.model, _as_messages(prompt), sampling)
            for prompt in prompts
        )
    )
    echoes = [prompt if params.echo else "" for prompt in prompts]
    usage = Usage(sum(answer.prompt_tokens for answer in answers))
    head = _head(params.model)
    choices_per_prompt = params.n or 1
    if not params.stream:
        work = _collect(
            head,
            usage,
            list(zip(echoes, answers, strict=True)),
            choices_per_prompt=choices_per_prompt,
        )
        return JSONResponse(await cancel_on_disconnect(request, work))
    options = params.stream_options
    events = _events(
        head,
        usage,
        list(zip(echoes, answers, strict=True)),
        choices_per_prompt=choices_per_prompt,
        with_usage=bool(options and options.include_usage),
    )
    return StreamingResponse(events, media_type=EVENT_STREAM_MEDIA_TYPE, headers=NO_CACHE_HEADERS)


def _read(body: dict[str, object], deps: ApiDependencies) -> CreateCompletion:
    refuse_token_ids(body, "prompt")
    model = deps.model_named(str(body.get("model")))
    has_logprobs = writes_tokens(deps, model)
    refuse_unsupported(
        body, UNSUPPORTED_PARAMETERS if has_logprobs else PARAMETERS_OF_TOKEN_ENGINES
    )
    params = read_as(CreateCompletion, body)
    params.model = model
    if params.best_of not in (None, params.n or 1):
        raise ApiError("'best_of' must be the same as 'n': every answer is given.", param="best_of")
    refuse_stream_options(params)
    return params


def _as_messages(prompt: str) -> Sequence[Mapping[str, object]]:
    return [{"role": "user", "content": prompt}]


def _head(model: str) -> dict[str, object]:
    ids = {"id": f"cmpl-{secrets.token_hex(14)}", "created": int(time.time())}
    return {**ids, "object": "text_completion", "model": model}


def _choice(
    index: int, text: str, finish_reason: str | None, logprobs: dict[str, object] | None
) -> dict[str, object]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}


async def _collect(
    head: Mapping[str, object],
    usage: Usage,
    answers: Sequence[tuple[str, Generation]],
    *,
    choices_per_prompt: int,
) -> dict[str, object]:
    choices = [
        _choice(
            number * choices_per_prompt + index,
            echo + choice.text,
            choice.finish_reason,
            completion_logprobs(choice.logprobs, offset=len(echo)),
        )
        for number, (echo, answer) in enumerate(answers)
        for index, choice in enumerate(await collect_choices(usage, answer))
    ]
    return {**head, "choices": choices, "usage": usage.to_json()}


async def _events(
    head: Mapping[str, object],
    usage: Usage,
    answers: Sequence[tuple[str, Generation]],
    *,
    choices_per_prompt: int,
    with_usage: bool,
) -> AsyncIterator[bytes]:
    for number, (echo, answer) in enumerate(answers):
        offsets: dict[int, int] = {}
        async with aclosing(stream_counting_usage(usage, answer)) as pieces:
            async for piece in pieces:
                text = piece.text if piece.choice in offsets else echo + piece.text
                offset = offsets.setdefault(piece.choice, len(echo))
                offsets[piece.choice] += len(piece.text)
                if text or piece.finish_reason:
                    index = number * choices_per_prompt + piece.choice
                    logprobs = completion_logprobs(piece.logprobs, offset=offset)
                    choice = _choice(index, text, piece.finish_reason, logprobs)
                    yield server_sent_event({**head, "choices": [choice]})
    if with_usage:
        yield server_sent_event({**head, "choices": [], "usage": usage.to_json()})
    yield b"data: [DONE]\n\n"
