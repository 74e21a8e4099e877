"""The route for responses: `/v1/responses`, whole or streamed, with function calls.

Nothing is stored: a response cannot be retrieved or continued by its id. Shapes and order of
events: https://developers.openai.com/api/reference/resources/responses.
"""

import secrets
import time
from collections.abc import AsyncIterator, Iterator
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
    refuse_unsupported,
    server_sent_event,
    start_generation,
    stream_counting_usage,
    writes_tokens,
)
from tuner.api.dependencies import ApiDependencies, dependencies_of
from tuner.api.output_constraints import output_constraints_of
from tuner.api.request_body import json_body, read_as
from tuner.api.response_items import (
    call_items,
    logprob_items,
    messages_of,
    reasoning_item,
    reasoning_part,
    text_item,
    text_part,
    to_chat_request,
)
from tuner.api.schemas import CreateChat, CreateResponse
from tuner.chat_messages import read_messages
from tuner.engine import Delta, Generation, Sampling
from tuner.errors import ApiError

router = APIRouter()

UNSUPPORTED_PARAMETERS: ValuesWithoutEffect = {
    "background": (False,),
    "context_management": ([],),
    "conversation": (),
    "max_tool_calls": (),
    "moderation": (),
    "previous_response_id": (),
    "prompt": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "service_tier": ("auto", "default"),
    "truncation": ("disabled",),
}
# The same for an engine that does not generate token by token.
PARAMETERS_OF_TOKEN_ENGINES: ValuesWithoutEffect = {
    "include": ([],),
    "parallel_tool_calls": (False, True),
    "reasoning": ({}, {"effort": "none"}),
    "text": ({}, {"format": {"type": "text"}}),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
}


@dataclass(slots=True)
class ResponseObject:
    """The response object, before, during and after generation."""

    request: CreateResponse
    usage: Usage
    id: str = field(default_factory=lambda: f"resp_{secrets.token_hex(24)}")
    item_id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(24)}")
    created_at: int = field(default_factory=lambda: int(time.time()))
    reasoning_id: str = field(default_factory=lambda: f"rs_{secrets.token_hex(24)}")
    calls: list[dict[str, object]] = field(default_factory=list)
    has_reasoning: bool = False
    """Whether a reasoning item comes before the message in the stream."""
    is_thinking: bool = False
    """Whether the reasoning item is in progress."""

    def to_json(self, choice: Choice | None = None) -> dict[str, object]:
        """Returns the response object; without a choice, it is in progress."""
        params, is_cut = self.request, choice is not None and choice.finish_reason == "length"
        final_status = "incomplete" if is_cut else "completed"
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "completed_at": None if choice is None or is_cut else int(time.time()),
            "status": "in_progress" if choice is None else final_status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "instructions": params.instructions,
            "max_output_tokens": params.max_output_tokens,
            "metadata": params.metadata or {},
            "model": params.model,
            "output": [] if choice is None else self.items(choice),
            "parallel_tool_calls": params.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": {"effort": _effort(params), "summary": None},
            "store": False,
            "temperature": 1.0 if params.temperature is None else params.temperature,
            "text": {"format": _format(params)},
            "tool_choice": _tool_choice(params),
            "tools": [tool.model_dump() for tool in params.tools or ()],
            "top_p": 1.0 if params.top_p is None else params.top_p,
            "truncation": "disabled",
            "usage": None if choice is None else self._usage(),
            "user": params.user,
        }

    def items(self, choice: Choice) -> list[dict[str, object]]:
        """Returns the reasoning, the message (unless there are only calls), and the calls."""
        if not self.calls:
            self.calls = call_items(choice.tool_calls)
        thoughts = [reasoning_item(self.reasoning_id, choice.reasoning)] if choice.reasoning else []
        has_text = bool(choice.text) or not self.calls
        return [*thoughts, *([text_item(self.item_id, choice)] if has_text else []), *self.calls]

    def _usage(self) -> dict[str, object]:
        usage = self.usage
        return {
            "input_tokens": usage.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        }


def _effort(params: CreateResponse) -> str | None:
    return params.reasoning.effort if params.reasoning else None


def _format(params: CreateResponse) -> dict[str, object]:
    text_format = params.text.format if params.text else None
    return (
        text_format.model_dump(by_alias=True, exclude_none=True)
        if text_format
        else {"type": "text"}
    )


def _tool_choice(params: CreateResponse) -> object:
    choice = params.tool_choice
    return (choice or "auto") if choice is None or isinstance(choice, str) else choice.model_dump()


@router.post("/responses")
async def create_response(request: Request) -> Response:
    deps = dependencies_of(request)
    params = _read(await json_body(request), deps)
    has_tools = writes_tokens(deps, params.model)
    input_messages = read_messages(messages_of(params), with_tools=has_tools, where="input")
    chat_body = {"messages": [{"role": "user", "content": ""}], **to_chat_request(params)}
    options = output_constraints_of(read_as(CreateChat, chat_body))
    sampling = Sampling(
        temperature=params.temperature,
        top_p=params.top_p,
        most_tokens=params.max_output_tokens,
        top_logprobs=(params.top_logprobs or 0) if params.include or params.top_logprobs else None,
    )
    messages = [*_instructions(params), *input_messages]
    generation = await start_generation(deps, params.model, messages, sampling, options)
    answer = ResponseObject(params, Usage(generation.prompt_tokens))
    if params.stream:
        events = _events(answer, generation)
        return StreamingResponse(
            events, media_type=EVENT_STREAM_MEDIA_TYPE, headers=NO_CACHE_HEADERS
        )
    return JSONResponse(await cancel_on_disconnect(request, _collect(answer, generation)))


def _read(body: dict[str, object], deps: ApiDependencies) -> CreateResponse:
    if body.get("previous_response_id") is not None:
        raise ApiError(
            "Answers are not stored here: send the whole conversation as 'input'.",
            param="previous_response_id",
            code="unsupported_parameter",
        )
    refuse_unsupported(body, UNSUPPORTED_PARAMETERS)
    model = deps.model_named(str(body.get("model")))
    if not writes_tokens(deps, model):
        refuse_unsupported(body, PARAMETERS_OF_TOKEN_ENGINES, why=NO_TOKENS_HINT)
    params = read_as(CreateResponse, body)
    params.model = model
    return params


def _instructions(params: CreateResponse) -> list[dict[str, object]]:
    text = params.instructions
    return [{"role": "system", "content": text}] if text else []


async def _collect(answer: ResponseObject, generation: Generation) -> dict[str, object]:
    [choice] = await collect_choices(answer.usage, generation)
    return answer.to_json(choice)


async def _events(answer: ResponseObject, generation: Generation) -> AsyncIterator[bytes]:
    events, choice = _EventEncoder(), Choice()
    yield events.encode("response.created", response=answer.to_json())
    yield events.encode("response.in_progress", response=answer.to_json())
    async with aclosing(stream_counting_usage(answer.usage, generation)) as pieces:
        async for piece in pieces:
            is_first = not choice.text
            choice.add(piece)
            for event in _deltas(events, answer, piece, choice, is_first=is_first):
                yield event
    for event in _final_events(events, answer, choice):
        yield event
    body = answer.to_json(choice)
    yield events.encode(f"response.{body['status']}", response=body)


def _final_events(
    events: "_EventEncoder", answer: ResponseObject, choice: Choice
) -> Iterator[bytes]:
    """Yields the events after the last delta: the ends of the items, and the complete calls."""
    if answer.is_thinking:
        yield from _reasoning_end(events, answer, choice)
    if not choice.text and not choice.tool_calls:
        yield from _text_start(events, answer)
    for number, item in enumerate(answer.items(choice)):
        if item["type"] != "reasoning":
            yield from _item_end(events, answer, number, item, choice)


def _deltas(
    events: "_EventEncoder", answer: ResponseObject, piece: Delta, choice: Choice, *, is_first: bool
) -> Iterator[bytes]:
    if piece.reasoning:
        if not answer.has_reasoning:
            answer.has_reasoning = answer.is_thinking = True
            yield from _reasoning_start(events, answer)
        position = _reasoning_position(answer)
        yield events.encode("response.reasoning_text.delta", **position, delta=piece.reasoning)
    if piece.text:
        if answer.is_thinking:
            yield from _reasoning_end(events, answer, choice)
        if is_first:
            yield from _text_start(events, answer)
        logprobs = logprob_items(piece.logprobs)
        kind = "response.output_text.delta"
        yield events.encode(kind, **_text_position(answer), delta=piece.text, logprobs=logprobs)


def _reasoning_position(answer: ResponseObject) -> dict[str, object]:
    return {"item_id": answer.reasoning_id, "output_index": 0, "content_index": 0}


def _reasoning_start(events: "_EventEncoder", answer: ResponseObject) -> Iterator[bytes]:
    item, position = reasoning_item(answer.reasoning_id, None), _reasoning_position(answer)
    yield events.encode("response.output_item.added", output_index=0, item=item)
    yield events.encode("response.content_part.added", **position, part=reasoning_part(""))


def _reasoning_end(
    events: "_EventEncoder", answer: ResponseObject, choice: Choice
) -> Iterator[bytes]:
    answer.is_thinking = False
    text, position = choice.reasoning, _reasoning_position(answer)
    yield events.encode("response.reasoning_text.done", **position, text=text)
    yield events.encode("response.content_part.done", **position, part=reasoning_part(text))
    item = reasoning_item(answer.reasoning_id, text)
    yield events.encode("response.output_item.done", output_index=0, item=item)


def _text_position(answer: ResponseObject) -> dict[str, object]:
    index = int(answer.has_reasoning)
    return {"item_id": answer.item_id, "output_index": index, "content_index": 0}


def _text_start(events: "_EventEncoder", answer: ResponseObject) -> Iterator[bytes]:
    item, index = text_item(answer.item_id, None), int(answer.has_reasoning)
    yield events.encode("response.output_item.added", output_index=index, item=item)
    yield events.encode("response.content_part.added", **_text_position(answer), part=text_part(""))


def _item_end(
    events: "_EventEncoder",
    answer: ResponseObject,
    number: int,
    item: dict[str, object],
    choice: Choice,
) -> Iterator[bytes]:
    """Yields the last events of an item; a call also begins here, since it arrives complete."""
    if item["type"] == "message":
        position, logprobs = _text_position(answer), logprob_items(choice.logprobs)
        text = choice.text
        yield events.encode("response.output_text.done", **position, text=text, logprobs=logprobs)
        finished = text_part(text, choice.logprobs)
        yield events.encode("response.content_part.done", **position, part=finished)
    else:
        arguments, position = item["arguments"], {"item_id": item["id"], "output_index": number}
        started = {**item, "status": "in_progress", "arguments": ""}
        yield events.encode("response.output_item.added", output_index=number, item=started)
        kind = "response.function_call_arguments"
        yield events.encode(f"{kind}.delta", **position, delta=arguments)
        yield events.encode(f"{kind}.done", **position, arguments=arguments, name=item["name"])
    yield events.encode("response.output_item.done", output_index=number, item=item)


class _EventEncoder:
    """Encodes events with their sequence number."""

    def __init__(self) -> None:
        self._sequence_number = 0

    def encode(self, kind: str, **content: object) -> bytes:
        number, self._sequence_number = self._sequence_number, self._sequence_number + 1
        return server_sent_event({"type": kind, "sequence_number": number, **content}, name=kind)
