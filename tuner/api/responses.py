"""The route of the newer form: `/v1/responses`, whole or streamed, with calls of functions.

Nothing is stored: an answer cannot be fetched again or gone on from by its id.
Shapes and order of events: https://developers.openai.com/api/reference/resources/responses.
"""

import secrets
import time
from collections.abc import AsyncIterator, Iterator
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
    refuse_unsupported,
    server_sent_event,
    stream_counting_usage,
    writes_tokens,
)
from tuner.api.dependencies import ApiDependencies, dependencies_of
from tuner.api.output_constraints import output_constraints_of
from tuner.api.request_body import json_body, read_as
from tuner.api.response_items import (
    as_chat,
    call_items,
    logprob_items,
    messages_of,
    part,
    reasoning_item,
    reasoning_part,
    text_item,
)
from tuner.api.schemas import CreateChat, CreateResponse
from tuner.conversation import read_messages
from tuner.engine import Delta, Generation, Sampling
from tuner.errors import ApiError

router = APIRouter()

UNSUPPORTED: NeutralValues = {
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
# Of an engine that does not write token by token.
WITHOUT_TOKENS: NeutralValues = {
    "include": ([],),
    "parallel_tool_calls": (False, True),
    "reasoning": ({}, {"effort": "none"}),
    "text": ({}, {"format": {"type": "text"}}),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
}


@dataclass(slots=True)
class Answer:
    """The response object, as it is before, while and after the text comes."""

    request: CreateResponse
    usage: Usage
    id: str = field(default_factory=lambda: f"resp_{secrets.token_hex(24)}")
    item_id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(24)}")
    created_at: int = field(default_factory=lambda: int(time.time()))
    reasoning_id: str = field(default_factory=lambda: f"rs_{secrets.token_hex(24)}")
    calls: list[dict[str, object]] = field(default_factory=list)
    has_reasoning: bool = False
    """Whether an item of thoughts stands before the message in the stream."""
    is_thinking: bool = False
    """Whether that item is not at its end yet."""

    def to_json(self, choice: Choice | None = None) -> dict[str, object]:
        """In progress without a choice, and ended with one."""
        wanted, is_cut = self.request, choice is not None and choice.finish_reason == "length"
        ended = "incomplete" if is_cut else "completed"
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "completed_at": None if choice is None or is_cut else int(time.time()),
            "status": "in_progress" if choice is None else ended,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "instructions": wanted.instructions,
            "max_output_tokens": wanted.max_output_tokens,
            "metadata": wanted.metadata or {},
            "model": wanted.model,
            "output": [] if choice is None else self.items(choice),
            "parallel_tool_calls": wanted.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": {"effort": _effort(wanted), "summary": None},
            "store": False,
            "temperature": 1.0 if wanted.temperature is None else wanted.temperature,
            "text": {"format": _format(wanted)},
            "tool_choice": _chosen(wanted),
            "tools": [tool.model_dump() for tool in wanted.tools or ()],
            "top_p": 1.0 if wanted.top_p is None else wanted.top_p,
            "truncation": "disabled",
            "usage": None if choice is None else self._usage(),
            "user": wanted.user,
        }

    def items(self, choice: Choice) -> list[dict[str, object]]:
        """What was thought, the message, unless there are calls alone, and the calls."""
        if not self.calls:
            self.calls = call_items(choice.tool_calls)
        thoughts = [reasoning_item(self.reasoning_id, choice.reasoning)] if choice.reasoning else []
        has_text = bool(choice.text) or not self.calls
        return [*thoughts, *([text_item(self.item_id, choice)] if has_text else []), *self.calls]

    def _usage(self) -> dict[str, object]:
        said = self.usage
        return {
            "input_tokens": said.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": said.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
            "total_tokens": said.prompt_tokens + said.completion_tokens,
        }


def _effort(wanted: CreateResponse) -> str | None:
    return wanted.reasoning.effort if wanted.reasoning else None


def _format(wanted: CreateResponse) -> dict[str, object]:
    form = wanted.text.format if wanted.text else None
    return form.model_dump(by_alias=True, exclude_none=True) if form else {"type": "text"}


def _chosen(wanted: CreateResponse) -> object:
    choice = wanted.tool_choice
    return (choice or "auto") if choice is None or isinstance(choice, str) else choice.model_dump()


@router.post("/responses")
async def create_response(request: Request) -> Response:
    place = dependencies_of(request)
    wanted = _read(await json_body(request), place)
    has_tools = writes_tokens(place, wanted.model)
    said = read_messages(messages_of(wanted), with_tools=has_tools, where="input")
    asked = {"messages": [{"role": "user", "content": ""}], **as_chat(wanted)}
    options = output_constraints_of(read_as(CreateChat, asked))
    sampling = Sampling(
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        most_tokens=wanted.max_output_tokens,
        top_logprobs=(wanted.top_logprobs or 0) if wanted.include or wanted.top_logprobs else None,
    )
    messages = [*_instructions(wanted), *said]
    generation = await ask(place, wanted.model, messages, sampling, options)
    answer = Answer(wanted, Usage(generation.prompt_tokens))
    if wanted.stream:
        events = _events(answer, generation)
        return StreamingResponse(events, media_type=EVENT_STREAM, headers=NO_CACHE)
    return JSONResponse(await cancel_on_disconnect(request, _whole(answer, generation)))


def _read(body: dict[str, object], place: ApiDependencies) -> CreateResponse:
    if body.get("previous_response_id") is not None:
        raise ApiError(
            "Answers are not stored here: send the whole conversation as 'input'.",
            param="previous_response_id",
            code="unsupported_parameter",
        )
    refuse_unsupported(body, UNSUPPORTED)
    model = place.model_named(str(body.get("model")))
    if not writes_tokens(place, model):
        refuse_unsupported(body, WITHOUT_TOKENS, why=PICKS_WHOLE_REPLIES)
    wanted = read_as(CreateResponse, body)
    wanted.model = model
    return wanted


def _instructions(wanted: CreateResponse) -> list[dict[str, object]]:
    text = wanted.instructions
    return [{"role": "system", "content": text}] if text else []


async def _whole(answer: Answer, generation: Generation) -> dict[str, object]:
    [choice] = await collect_choices(answer.usage, generation)
    return answer.to_json(choice)


async def _events(answer: Answer, generation: Generation) -> AsyncIterator[bytes]:
    numbered, choice = _Events(), Choice()
    yield numbered.event("response.created", response=answer.to_json())
    yield numbered.event("response.in_progress", response=answer.to_json())
    async with aclosing(stream_counting_usage(answer.usage, generation)) as pieces:
        async for piece in pieces:
            is_first = not choice.text
            choice.add(piece)
            for told in _deltas(numbered, answer, piece, choice, is_first=is_first):
                yield told
    for told in _rest(numbered, answer, choice):
        yield told
    ended = answer.to_json(choice)
    yield numbered.event(f"response.{ended['status']}", response=ended)


def _rest(numbered: "_Events", answer: Answer, choice: Choice) -> Iterator[bytes]:
    """What follows the last piece: the ends of the items, and the calls whole."""
    if answer.is_thinking:
        yield from _thoughts_end(numbered, answer, choice)
    if not choice.text and not choice.tool_calls:
        yield from _text_begins(numbered, answer)
    for number, item in enumerate(answer.items(choice)):
        if item["type"] != "reasoning":
            yield from _item_ends(numbered, answer, number, item, choice)


def _deltas(
    numbered: "_Events", answer: Answer, piece: Delta, choice: Choice, *, is_first: bool
) -> Iterator[bytes]:
    if piece.reasoning:
        if not answer.has_reasoning:
            answer.has_reasoning = answer.is_thinking = True
            yield from _thoughts_begin(numbered, answer)
        place = _thoughts_place(answer)
        yield numbered.event("response.reasoning_text.delta", **place, delta=piece.reasoning)
    if piece.text:
        if answer.is_thinking:
            yield from _thoughts_end(numbered, answer, choice)
        if is_first:
            yield from _text_begins(numbered, answer)
        logprobs = logprob_items(piece.logprobs)
        kind = "response.output_text.delta"
        yield numbered.event(kind, **_place(answer), delta=piece.text, logprobs=logprobs)


def _thoughts_place(answer: Answer) -> dict[str, object]:
    return {"item_id": answer.reasoning_id, "output_index": 0, "content_index": 0}


def _thoughts_begin(numbered: "_Events", answer: Answer) -> Iterator[bytes]:
    item, place = reasoning_item(answer.reasoning_id, None), _thoughts_place(answer)
    yield numbered.event("response.output_item.added", output_index=0, item=item)
    yield numbered.event("response.content_part.added", **place, part=reasoning_part(""))


def _thoughts_end(numbered: "_Events", answer: Answer, choice: Choice) -> Iterator[bytes]:
    answer.is_thinking = False
    text, place = choice.reasoning, _thoughts_place(answer)
    yield numbered.event("response.reasoning_text.done", **place, text=text)
    yield numbered.event("response.content_part.done", **place, part=reasoning_part(text))
    item = reasoning_item(answer.reasoning_id, text)
    yield numbered.event("response.output_item.done", output_index=0, item=item)


def _place(answer: Answer) -> dict[str, object]:
    index = int(answer.has_reasoning)
    return {"item_id": answer.item_id, "output_index": index, "content_index": 0}


def _text_begins(numbered: "_Events", answer: Answer) -> Iterator[bytes]:
    item, index = text_item(answer.item_id, None), int(answer.has_reasoning)
    yield numbered.event("response.output_item.added", output_index=index, item=item)
    yield numbered.event("response.content_part.added", **_place(answer), part=part(""))


def _item_ends(
    numbered: "_Events", answer: Answer, number: int, item: dict[str, object], choice: Choice
) -> Iterator[bytes]:
    """A call comes whole, so its beginning and its end stand here together."""
    if item["type"] == "message":
        place, logprobs = _place(answer), logprob_items(choice.logprobs)
        text = choice.text
        yield numbered.event("response.output_text.done", **place, text=text, logprobs=logprobs)
        whole = part(text, choice.logprobs)
        yield numbered.event("response.content_part.done", **place, part=whole)
    else:
        arguments, place = item["arguments"], {"item_id": item["id"], "output_index": number}
        begun = {**item, "status": "in_progress", "arguments": ""}
        yield numbered.event("response.output_item.added", output_index=number, item=begun)
        kind = "response.function_call_arguments"
        yield numbered.event(f"{kind}.delta", **place, delta=arguments)
        yield numbered.event(f"{kind}.done", **place, arguments=arguments, name=item["name"])
    yield numbered.event("response.output_item.done", output_index=number, item=item)


class _Events:
    """Each event with its number."""

    def __init__(self) -> None:
        self._number = 0

    def event(self, kind: str, **content: object) -> bytes:
        number, self._number = self._number, self._number + 1
        return server_sent_event({"type": kind, "sequence_number": number, **content}, name=kind)
