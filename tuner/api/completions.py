"""The route for a bare prompt: `/v1/completions`, answered as a question of one turn.

All models here learn conversations, so the prompt is shown to them as what a user says.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tuner.api.answering import (
    EVENT_STREAM,
    NO_CACHE,
    NeutralValues,
    Usage,
    ask,
    cancel_on_disconnect,
    collect_choices,
    refuse_stream_options,
    refuse_token_ids,
    refuse_unsupported,
    sampling_of,
    server_sent_event,
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

UNSUPPORTED: NeutralValues = {"logit_bias": ({},), "suffix": ("",)}

WITHOUT_TOKENS: NeutralValues = {**UNSUPPORTED, "logprobs": ()}


@router.post("/completions")
async def create_completion(request: Request) -> Response:
    place = dependencies_of(request)
    wanted = _read(await json_body(request), place)
    prompts = [wanted.prompt] if isinstance(wanted.prompt, str) else wanted.prompt
    sampling = sampling_of(wanted, most_tokens=wanted.max_tokens, top_logprobs=wanted.logprobs)
    answers = await asyncio.gather(
        *(ask(place, wanted.model, _asked(each), sampling) for each in prompts)
    )
    echoes = [each if wanted.echo else "" for each in prompts]
    usage = Usage(sum(answer.prompt_tokens for answer in answers))
    head = _head(wanted.model)
    each_has = wanted.n or 1
    if not wanted.stream:
        work = _whole(head, usage, list(zip(echoes, answers, strict=True)), each_has=each_has)
        return JSONResponse(await cancel_on_disconnect(request, work))
    options = wanted.stream_options
    events = _events(
        head,
        usage,
        list(zip(echoes, answers, strict=True)),
        each_has=each_has,
        with_usage=bool(options and options.include_usage),
    )
    return StreamingResponse(events, media_type=EVENT_STREAM, headers=NO_CACHE)


def _read(body: dict[str, object], place: ApiDependencies) -> CreateCompletion:
    refuse_token_ids(body, "prompt")
    model = place.model_named(str(body.get("model")))
    has_logprobs = writes_tokens(place, model)
    refuse_unsupported(body, UNSUPPORTED if has_logprobs else WITHOUT_TOKENS)
    wanted = read_as(CreateCompletion, body)
    wanted.model = model
    if wanted.best_of not in (None, wanted.n or 1):
        raise ApiError("'best_of' must be the same as 'n': every answer is given.", param="best_of")
    refuse_stream_options(wanted)
    return wanted


def _asked(prompt: str) -> Sequence[Mapping[str, object]]:
    return [{"role": "user", "content": prompt}]


def _head(model: str) -> dict[str, object]:
    made = {"id": f"cmpl-{secrets.token_hex(14)}", "created": int(time.time())}
    return {**made, "object": "text_completion", "model": model}


def _choice(
    index: int, text: str, finish_reason: str | None, logprobs: dict[str, object] | None
) -> dict[str, object]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}


async def _whole(
    head: Mapping[str, object],
    usage: Usage,
    answers: Sequence[tuple[str, Generation]],
    *,
    each_has: int,
) -> dict[str, object]:
    shown = [
        _choice(
            number * each_has + index,
            echo + choice.text,
            choice.finish_reason,
            completion_logprobs(choice.logprobs, offset=len(echo)),
        )
        for number, (echo, answer) in enumerate(answers)
        for index, choice in enumerate(await collect_choices(usage, answer))
    ]
    return {**head, "choices": shown, "usage": usage.to_json()}


async def _events(
    head: Mapping[str, object],
    usage: Usage,
    answers: Sequence[tuple[str, Generation]],
    *,
    each_has: int,
    with_usage: bool,
) -> AsyncIterator[bytes]:
    for number, (echo, answer) in enumerate(answers):
        said: dict[int, int] = {}
        async with aclosing(stream_counting_usage(usage, answer)) as pieces:
            async for piece in pieces:
                text = piece.text if piece.choice in said else echo + piece.text
                offset = said.setdefault(piece.choice, len(echo))
                said[piece.choice] += len(piece.text)
                if text or piece.finish_reason:
                    place = number * each_has + piece.choice
                    logprobs = completion_logprobs(piece.logprobs, offset=offset)
                    choice = _choice(place, text, piece.finish_reason, logprobs)
                    yield server_sent_event({**head, "choices": [choice]})
    if with_usage:
        yield server_sent_event({**head, "choices": [], "usage": usage.to_json()})
    yield b"data: [DONE]\n\n"
