"""The route of the newer form: `/v1/responses`, text in and text out, whole or streamed.

Nothing is stored: an answer cannot be fetched again or gone on from by its id.
Shapes and order of events: https://developers.openai.com/api/reference/resources/responses.
"""

import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tuner.api.answering import (
    EVENT_STREAM,
    NO_CACHE,
    Choice,
    NeutralValues,
    Usage,
    ask,
    cancel_on_disconnect,
    collect_choices,
    event,
    refuse_unsupported,
    stream_counting_usage,
)
from tuner.api.dependencies import ApiDependencies, dependencies_of
from tuner.api.request_body import json_body, read_as
from tuner.api.schemas import CreateResponse
from tuner.conversation import read_messages
from tuner.engine import Generation, Sampling
from tuner.errors import ApiError

router = APIRouter()

UNSUPPORTED: NeutralValues = {
    "background": (False,),
    "context_management": ([],),
    "conversation": (),
    "include": ([],),
    "max_tool_calls": (),
    "moderation": (),
    "parallel_tool_calls": (False, True),
    "previous_response_id": (),
    "prompt": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "reasoning": ({},),
    "service_tier": ("auto", "default"),
    "text": ({}, {"format": {"type": "text"}}),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "truncation": ("disabled",),
}
_TEXT_PARTS = frozenset({"input_text", "output_text", "text", "refusal"})


@dataclass(slots=True)
class Answer:
    """The response object, as it is before, while and after the text comes."""

    wanted: CreateResponse
    usage: Usage
    id: str = field(default_factory=lambda: f"resp_{secrets.token_hex(24)}")
    item_id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(24)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def shown(self, choice: Choice | None = None) -> dict[str, object]:
        """In progress without a choice, and ended with one."""
        wanted, is_cut = self.wanted, choice is not None and choice.finish_reason == "length"
        ended = "incomplete" if is_cut else "completed"
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "completed_at": None if choice is None or is_cut else int(time.time()),
            "status": "in_progress" if choice is None else ended,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "instructions": wanted.instructions,
            "max_output_tokens": wanted.max_output_tokens,
            "metadata": wanted.metadata or {},
            "model": wanted.model,
            "output": [] if choice is None else [self.item(choice)],
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": 1.0 if wanted.temperature is None else wanted.temperature,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0 if wanted.top_p is None else wanted.top_p,
            "truncation": "disabled",
            "usage": None if choice is None else self._usage(),
            "user": wanted.user,
        }

    def item(self, choice: Choice | None = None) -> dict[str, object]:
        is_cut = choice is not None and choice.finish_reason == "length"
        ended = "incomplete" if is_cut else "completed"
        return {
            "id": self.item_id,
            "type": "message",
            "role": "assistant",
            "status": "in_progress" if choice is None else ended,
            "content": [] if choice is None else [part(choice.text)],
        }

    def _usage(self) -> dict[str, object]:
        said = self.usage
        return {
            "input_tokens": said.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": said.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": said.prompt_tokens + said.completion_tokens,
        }


def part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


@router.post("/responses")
async def create_response(request: Request) -> Response:
    place = dependencies_of(request)
    wanted = _read(await json_body(request), place)
    messages = [*_instructions(wanted), *read_messages(_messages(wanted), where="input")]
    sampling = Sampling(
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        most_tokens=wanted.max_output_tokens,
    )
    generation = await ask(place, wanted.model, messages, sampling)
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
    wanted = read_as(CreateResponse, body)
    wanted.model = place.model_named(wanted.model)
    return wanted


def _instructions(wanted: CreateResponse) -> list[dict[str, object]]:
    text = wanted.instructions
    return [{"role": "system", "content": text}] if text else []


def _messages(wanted: CreateResponse) -> Iterator[Mapping[str, object]]:
    """As the chat form has them."""
    if isinstance(wanted.input, str):
        yield {"role": "user", "content": wanted.input}
        return
    for number, item in enumerate(wanted.input):
        yield _message(f"input[{number}]", item)


def _message(path: str, item: Mapping[str, object]) -> Mapping[str, object]:
    if item.get("type", "message") != "message":
        raise ApiError(
            f"'{path}' is not a message; this model reads messages of text only.",
            param=f"{path}.type",
            code="unsupported_content",
        )
    content = item.get("content")
    return {
        "role": item.get("role"),
        "content": _parts(path, content) if isinstance(content, list) else content,
    }


def _parts(path: str, parts: Sequence[object]) -> list[dict[str, object]]:
    """Text in and text out have other names in the chat form."""
    shown = []
    for number, each in enumerate(parts):
        if not isinstance(each, Mapping) or each.get("type") not in _TEXT_PARTS:
            raise ApiError(
                f"'{path}.content[{number}]' is not a text part; this model reads text only.",
                param=f"{path}.content[{number}].type",
                code="unsupported_content",
            )
        shown.append({"type": "text", "text": each.get("text", each.get("refusal"))})
    return shown


async def _whole(answer: Answer, generation: Generation) -> dict[str, object]:
    [choice] = await collect_choices(answer.usage, generation)
    return answer.shown(choice)


async def _events(answer: Answer, generation: Generation) -> AsyncIterator[bytes]:
    numbered = _Events()
    place: dict[str, object] = {"item_id": answer.item_id, "output_index": 0, "content_index": 0}
    yield numbered.event("response.created", response=answer.shown())
    yield numbered.event("response.in_progress", response=answer.shown())
    yield numbered.event("response.output_item.added", output_index=0, item=answer.item())
    yield numbered.event("response.content_part.added", **place, part=part(""))
    choice = Choice()
    async with aclosing(stream_counting_usage(answer.usage, generation)) as pieces:
        async for piece in pieces:
            choice.add(piece)
            if piece.text:
                yield numbered.event(
                    "response.output_text.delta", **place, delta=piece.text, logprobs=[]
                )
    yield numbered.event("response.output_text.done", **place, text=choice.text, logprobs=[])
    yield numbered.event("response.content_part.done", **place, part=part(choice.text))
    yield numbered.event("response.output_item.done", output_index=0, item=answer.item(choice))
    ended = answer.shown(choice)
    yield numbered.event(f"response.{ended['status']}", response=ended)


class _Events:
    """Each event with its number."""

    def __init__(self) -> None:
        self._number = 0

    def event(self, kind: str, **content: object) -> bytes:
        number, self._number = self._number, self._number + 1
        return event({"type": kind, "sequence_number": number, **content}, name=kind)
