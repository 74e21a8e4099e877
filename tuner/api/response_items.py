"""Converts the items of `/v1/responses` to chat messages, and an answer to such items.

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


def to_chat_request(params: CreateResponse) -> dict[str, object]:
    """Returns the chat completion body for the same answer, without messages."""
    choice, text_format = params.tool_choice, params.text.format if params.text else None
    body: dict[str, object] = {
        "model": params.model,
        "tools": [_tool(tool.model_dump(exclude_none=True)) for tool in params.tools or ()] or None,
        "tool_choice": choice
        if choice is None or isinstance(choice, str)
        else {"type": "function", "function": {"name": choice.name}},
        "parallel_tool_calls": params.parallel_tool_calls,
    }
    if params.reasoning is not None:
        is_thinking = params.reasoning.effort not in (None, "none")
        body["chat_template_kwargs"] = {"enable_thinking": is_thinking}
    if text_format is not None:
        format_fields = text_format.model_dump(by_alias=True, exclude_none=True)
        kind = format_fields.pop("type")
        body["response_format"] = {
            "type": kind,
            **({"json_schema": format_fields} if format_fields else {}),
        }
    return body


def _tool(tool: dict[str, object]) -> Item:
    return {"type": tool.pop("type"), "function": tool}


def messages_of(params: CreateResponse) -> Iterator[Item]:
    """Yields chat messages; consecutive function calls become one message. Raises ApiError."""
    if isinstance(params.input, str):
        yield {"role": "user", "content": params.input}
        return
    items = enumerate(params.input)
    for is_call, group in groupby(items, lambda entry: entry[1].get("type") == "function_call"):
        if is_call:
            calls = [_tool_call(item) for _, item in group]
            yield {"role": "assistant", "content": None, "tool_calls": calls}
        else:
            for number, item in group:
                yield from _item_messages(f"input[{number}]", item)


def _item_messages(path: str, item: Item) -> Iterator[Item]:
    """Yields the message of an item; reasoning items are skipped. Raises ApiError."""
    kind = item.get("type", "message")
    if kind == "message":
        content = item.get("content")
        text = _parts(path, content) if isinstance(content, list) else content
        yield {"role": item.get("role"), "content": text}
    elif kind == "function_call_output":
        yield _tool_message(path, item)
    elif kind != "reasoning":
        raise ApiError(
            f"'{path}' is of a kind that is not read here; messages and calls of functions are.",
            param=f"{path}.type",
            code="unsupported_content",
        )


def _tool_call(item: Item) -> Item:
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    return {"type": "function", "id": item.get("call_id"), "function": function}


def _tool_message(path: str, item: Item) -> Item:
    output = item.get("output")
    text = _parts(path, output) if isinstance(output, list) else output
    return {"role": "tool", "tool_call_id": item.get("call_id"), "content": text}


def _parts(path: str, parts: Sequence[object]) -> list[dict[str, object]]:
    """Returns text parts in the chat form. Raises ApiError for parts of another type."""
    text_parts = []
    for number, text_part in enumerate(parts):
        if not isinstance(text_part, Mapping) or text_part.get("type") not in _TEXT_PARTS:
            raise ApiError(
                f"'{path}.content[{number}]' is not a text part; this model reads text only.",
                param=f"{path}.content[{number}].type",
                code="unsupported_content",
            )
        text_parts.append({"type": "text", "text": text_part.get("text", text_part.get("refusal"))})
    return text_parts


def text_item(item_id: str, choice: Choice | None) -> dict[str, object]:
    """Returns the message item of an answer; without a choice, the item is in progress."""
    is_cut = choice is not None and choice.finish_reason == "length"
    status = "incomplete" if is_cut else "completed"
    content = [] if choice is None else [text_part(choice.text, choice.logprobs)]
    return {
        "id": item_id,
        "type": "message",
        "role": "assistant",
        "status": "in_progress" if choice is None else status,
        "content": content,
    }


def reasoning_item(item_id: str, text: str | None) -> dict[str, object]:
    """Returns the reasoning item of an answer; without a text, the item is in progress."""
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
            **_function_fields(call),
        }
        for call in calls
    ]


def _function_fields(call: Item) -> dict[str, object]:
    function = call["function"]
    assert isinstance(function, Mapping)
    return {"name": function["name"], "arguments": function["arguments"]}


def text_part(text: str, logprobs: Sequence[TokenLogprob] = ()) -> dict[str, object]:
    return {
        "type": "output_text",
        "text": text,
        "annotations": [],
        "logprobs": logprob_items(logprobs),
    }


def logprob_items(logprobs: Sequence[TokenLogprob]) -> list[dict[str, object]]:
    return [
        {
            **_token_object(token.token, token.logprob),
            "top_logprobs": [_token_object(*top) for top in token.top],
        }
        for token in logprobs
    ]


def _token_object(token: str, logprob: float) -> dict[str, object]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
