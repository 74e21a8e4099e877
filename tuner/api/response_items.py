"""The items of `/v1/responses`, as the chat form has them, and an answer as such items.

https://developers.openai.com/api/reference/resources/responses
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from tuner.api.answering import Choice
from tuner.api.schemas import CreateResponse
from tuner.engine import TokenLogprob
from tuner.errors import ApiError

_TEXT_PARTS = frozenset({"input_text", "output_text", "text", "refusal"})

Item = Mapping[str, object]


def as_chat(wanted: CreateResponse) -> dict[str, object]:
    """The body of a chat completion that asks for the same answer, but for its messages."""
    choice, form = wanted.tool_choice, wanted.text.format if wanted.text else None
    body: dict[str, object] = {
        "model": wanted.model,
        "tools": [_tool(tool.model_dump(exclude_none=True)) for tool in wanted.tools or ()] or None,
        "tool_choice": choice
        if choice is None or isinstance(choice, str)
        else {"type": "function", "function": {"name": choice.name}},
        "parallel_tool_calls": wanted.parallel_tool_calls,
    }
    if wanted.reasoning is not None:
        is_thinking = wanted.reasoning.effort not in (None, "none")
        body["chat_template_kwargs"] = {"enable_thinking": is_thinking}
    if form is not None:
        said = form.model_dump(by_alias=True, exclude_none=True)
        kind = said.pop("type")
        body["response_format"] = {"type": kind, **({"json_schema": said} if said else {})}
    return body


def _tool(tool: dict[str, object]) -> Item:
    return {"type": tool.pop("type"), "function": tool}


def messages_of(wanted: CreateResponse) -> Iterator[Item]:
    """Calls that follow one another are one answer. Raises ApiError for items of another kind."""
    if isinstance(wanted.input, str):
        yield {"role": "user", "content": wanted.input}
        return
    items = enumerate(wanted.input)
    for is_call, group in groupby(items, lambda each: each[1].get("type") == "function_call"):
        if is_call:
            calls = [_call(item) for _, item in group]
            yield {"role": "assistant", "content": None, "tool_calls": calls}
        else:
            for number, item in group:
                yield from _said(f"input[{number}]", item)


def _said(path: str, item: Item) -> Iterator[Item]:
    """A message, or what a call gave; what was thought before an answer is passed over."""
    kind = item.get("type", "message")
    if kind == "message":
        content = item.get("content")
        text = _parts(path, content) if isinstance(content, list) else content
        yield {"role": item.get("role"), "content": text}
    elif kind == "function_call_output":
        yield _output(path, item)
    elif kind != "reasoning":
        raise ApiError(
            f"'{path}' is of a kind that is not read here; messages and calls of functions are.",
            param=f"{path}.type",
            code="unsupported_content",
        )


def _call(item: Item) -> Item:
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    return {"type": "function", "id": item.get("call_id"), "function": function}


def _output(path: str, item: Item) -> Item:
    said = item.get("output")
    text = _parts(path, said) if isinstance(said, list) else said
    return {"role": "tool", "tool_call_id": item.get("call_id"), "content": text}


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


def text_item(item_id: str, choice: Choice | None) -> dict[str, object]:
    """The message of an answer, which is in progress without a choice."""
    is_cut = choice is not None and choice.finish_reason == "length"
    ended = "incomplete" if is_cut else "completed"
    content = [] if choice is None else [part(choice.text, choice.logprobs)]
    return {
        "id": item_id,
        "type": "message",
        "role": "assistant",
        "status": "in_progress" if choice is None else ended,
        "content": content,
    }


def reasoning_item(item_id: str, text: str | None) -> dict[str, object]:
    """What was thought before an answer, which is in progress without a text."""
    return {
        "id": item_id,
        "type": "reasoning",
        "status": "in_progress" if text is None else "completed",
        "summary": [],
        "content": [] if text is None else [reasoning_part(text)],
    }


def reasoning_part(text: str) -> dict[str, object]:
    return {"type": "reasoning_text", "text": text}


def call_items(calls: Sequence[Item]) -> list[dict[str, object]]:
    return [
        {
            "id": f"fc_{secrets.token_hex(24)}",
            "type": "function_call",
            "status": "completed",
            "call_id": call["id"],
            **_function(call),
        }
        for call in calls
    ]


def _function(call: Item) -> dict[str, object]:
    function = call["function"]
    assert isinstance(function, Mapping)
    return {"name": function["name"], "arguments": function["arguments"]}


def part(text: str, logprobs: Sequence[TokenLogprob] = ()) -> dict[str, object]:
    return {
        "type": "output_text",
        "text": text,
        "annotations": [],
        "logprobs": logprob_items(logprobs),
    }


def logprob_items(logprobs: Sequence[TokenLogprob]) -> list[dict[str, object]]:
    return [
        {
            **_likeliness(each.token, each.logprob),
            "top_logprobs": [_likeliness(*top) for top in each.top],
        }
        for each in logprobs
    ]


def _likeliness(token: str, logprob: float) -> dict[str, object]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
