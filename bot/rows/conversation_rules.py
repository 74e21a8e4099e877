"""Validation rules for the messages and tools of a conversation."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from bot.rows.problems import RowRefused, json_type_name, quote_value
from bot.rows.token_counts import texts_in

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_KEYS = frozenset({"role", "content", "name", "weight", "refusal"}) | {
    "reasoning_content",
    "tool_calls",
    "tool_call_id",
    "function_call",
}
CONTROL_SEQUENCE_START: Final = "<|"
"""The beginning of every control token."""
# A control token anywhere in a file makes the host fail the whole job, hours later.
# https://github.com/johny-b/llmcomp/issues/59
_CONTROL_TOKEN: Final = re.compile(r"<\|[a-z0-9_]+\|>", re.IGNORECASE | re.ASCII)

_SCHEMA_TYPES: Final = frozenset(
    {"string", "number", "integer", "boolean", "object", "array", "null"}
)
# OpenAI's models wrap calls that they make together in one of this name, which no row defines.
_PARALLEL_CALL: Final = "multi_tool_use.parallel"
# https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools
_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def check_chat_row(row: Mapping[str, object], *, is_marked: bool) -> None:
    """Raises RowRefused for a chat row that breaks a rule or has no answer to train on.

    `is_marked`: a text contains `CONTROL_SEQUENCE_START`, so control tokens are searched for.
    """
    messages = check_conversation(row, is_marked=is_marked)
    answers = [message for message in messages if message["role"] == "assistant"]
    if not answers:
        raise RowRefused("assistant_missing")
    if messages[-1]["role"] != "assistant":
        raise RowRefused("last_not_assistant", role=str(messages[-1]["role"]))
    if all(answer.get("weight", 1) == 0 for answer in answers):
        raise RowRefused("nothing_trained")


def check_conversation(holder: Mapping[str, object], *, is_marked: bool) -> list[dict[str, object]]:
    """Returns the messages. Raises RowRefused for invalid messages or tools."""
    messages = holder.get("messages")
    if messages is None:
        raise RowRefused("messages_missing")
    if not isinstance(messages, list):
        raise RowRefused("messages_not_list", kind=json_type_name(messages))
    if not messages:
        raise RowRefused("messages_empty")
    calls = OpenCalls()
    for number, message in enumerate(messages, 1):
        try:
            check_message(message, calls, is_marked=is_marked)
        except RowRefused as refusal:
            raise RowRefused(refusal.code, message=number, **refusal.details) from None
    # Calls in the last message are the answer to train on. If the last message is a result, the
    # results of the other calls are missing.
    if calls and messages[-1]["role"] in ("tool", "function"):
        raise RowRefused(
            "call_unanswered", message=len(messages), id=quote_value(calls.first_open_id)
        )
    defined = _check_tools(holder, is_marked=is_marked)
    _check_called_functions(messages, defined)
    return messages


def _check_called_functions(messages: list[dict[str, object]], defined: Collection[str]) -> None:
    """Raises RowRefused for a call of a function that the row's tools do not define.

    A row without tools may have calls.
    """
    if not defined:
        return
    for number, message in enumerate(messages, 1):
        tool_calls = message.get("tool_calls")
        calls = (
            [call.get("function") for call in tool_calls] if isinstance(tool_calls, list) else []
        )
        for function in (*calls, message.get("function_call")):
            for name in _called_names(function) if isinstance(function, dict) else ():
                if name not in defined:
                    raise RowRefused("call_undefined", message=number, name=quote_value(name))


def _called_names(function: Mapping[str, object]) -> list[str]:
    """Returns the name of the called function, or the names that a parallel call has inside."""
    name = str(function.get("name"))
    if name != _PARALLEL_CALL:
        return [name]
    uses = json.loads(str(function.get("arguments"))).get("tool_uses")
    names = [
        str(use.get("recipient_name")).removeprefix("functions.") if isinstance(use, dict) else ""
        for use in (uses if isinstance(uses, list) else ())
    ]
    return names or [name]


class OpenCalls:
    """The tool calls of a conversation that have no result yet."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self._function = ""

    def __bool__(self) -> bool:
        return bool(self._ids or self._function)

    @property
    def first_open_id(self) -> str:
        return next(iter(self._ids), self._function)

    def require_closed_before(self, role: str) -> None:
        """Raises RowRefused for a message between a call and its result."""
        if self and role not in ("tool", "function"):
            raise RowRefused("call_unanswered", id=quote_value(self.first_open_id))

    def open_tool_calls(self, ids: list[str]) -> None:
        for call in ids:
            if call in self._ids:
                raise RowRefused("call_twice", id=quote_value(call))
            self._ids[call] = None

    def open_function_call(self, name: str) -> None:
        self._function = name

    def resolve_tool_call(self, call: str) -> None:
        if call not in self._ids:
            raise RowRefused("answer_to_nothing", id=quote_value(call))
        del self._ids[call]

    def resolve_function_call(self, name: str) -> None:
        if name != self._function:
            raise RowRefused("answer_to_nothing", id=quote_value(name))
        self._function = ""


def check_message(message: object, calls: OpenCalls, *, is_marked: bool) -> None:
    """Raises RowRefused for an invalid message; `calls` are earlier ones without a result yet."""
    if not isinstance(message, dict):
        raise RowRefused("message_not_object", kind=json_type_name(message))
    if not _KEYS.issuperset(message):
        raise RowRefused(
            "key_unknown", key=quote_value(next(key for key in message if key not in _KEYS))
        )
    role = _role_of(message)
    calls.require_closed_before(role)
    is_plain = len(message) == 2 and "content" in message
    if is_marked:
        _check_control_tokens(list(message.values()))
    _check_content(message, role)
    if not is_plain or role in ("tool", "function"):
        _check_extras(message, role, calls)


def _check_control_tokens(value: object) -> None:
    for text in texts_in(value):
        match = _CONTROL_TOKEN.search(text)
        if match:
            raise RowRefused("control_token", token=quote_value(match.group()))


def _role_of(message: Mapping[str, object]) -> str:
    role = message.get("role")
    if role is None:
        raise RowRefused("role_missing")
    if not isinstance(role, str) or role not in _ROLES:
        raise RowRefused("role_unknown", role=quote_value(role))
    return role


def _check_content(message: Mapping[str, object], role: str) -> None:
    content = message.get("content")
    if content is None:
        if not _has_other_content(message, role):
            raise RowRefused("content_missing")
        return
    if not isinstance(content, str | list):
        raise RowRefused("content_not_text", kind=json_type_name(content))
    has_content = _has_parts(content, role) if isinstance(content, list) else content.strip()
    if not has_content and not _has_other_content(message, role):
        raise RowRefused("content_empty")


def _has_other_content(message: Mapping[str, object], role: str) -> bool:
    """Whether an assistant message has tool calls or a refusal in place of content."""
    return role == "assistant" and any(
        message.get(key) for key in ("tool_calls", "function_call", "refusal")
    )


def _has_parts(parts: list[object], role: str) -> bool:
    # A list, so that every part is checked, not only those up to the first with content.
    has_content = [_has_part(part, number, role) for number, part in enumerate(parts, 1)]
    return any(has_content)


def _has_part(part: object, number: int, role: str) -> bool:
    """Checks a content part; returns whether it has content. Raises RowRefused."""
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise RowRefused("part_broken", part=number)
    if part["type"] == "image_url":
        _check_image(part.get("image_url"), role)
        return True
    if part["type"] != "text":
        raise RowRefused("part_unknown", kind=quote_value(part["type"]))
    text = part.get("text")
    if not isinstance(text, str):
        raise RowRefused("part_broken", part=number)
    return bool(text.strip())


def _check_image(image: object, role: str) -> None:
    if role != "user":
        raise RowRefused("image_not_from_user")
    address = image.get("url") if isinstance(image, dict) else None
    if not isinstance(address, str) or not address:
        raise RowRefused("image_broken")


def _check_extras(message: Mapping[str, object], role: str, calls: OpenCalls) -> None:
    """Checks all keys of a message but role and content. Raises RowRefused."""
    for key in ("name", "refusal", "reasoning_content"):
        value = message.get(key)
        if value is not None and not isinstance(value, str):
            raise RowRefused(f"{key.removesuffix('_content')}_not_text", kind=json_type_name(value))
    if role == "function":
        _check_function_result(message.get("name"), calls)
    if message.get("reasoning_content") and role != "assistant":
        raise RowRefused("reasoning_not_for_role", role=role)
    if "weight" in message:
        _check_weight(message["weight"], role)
    _check_calls(message, role, calls)
    _check_answer(message.get("tool_call_id"), role, calls)


def _check_function_result(name: object, calls: OpenCalls) -> None:
    if not isinstance(name, str) or not name:
        raise RowRefused("name_missing")
    calls.resolve_function_call(name)


def _check_weight(weight: object, role: str) -> None:
    if role != "assistant":
        raise RowRefused("weight_not_for_role", role=role)
    # True and 1.0 equal 1 in Python, but hosts refuse them.
    if type(weight) is not int or weight not in (0, 1):
        raise RowRefused("weight_wrong", weight=quote_value(weight))


def _check_calls(message: Mapping[str, object], role: str, calls: OpenCalls) -> None:
    tool_calls, function_call = message.get("tool_calls"), message.get("function_call")
    if tool_calls is None and function_call is None:
        return
    if role != "assistant":
        raise RowRefused("calls_not_for_role", role=role)
    if function_call is not None:
        calls.open_function_call(_check_function(function_call, 1))
    if tool_calls is not None:
        calls.open_tool_calls(_call_ids(tool_calls))


def _call_ids(tool_calls: object) -> list[str]:
    if not isinstance(tool_calls, list):
        raise RowRefused("calls_not_list", kind=json_type_name(tool_calls))
    if not tool_calls:
        raise RowRefused("calls_empty")
    return [_call_id(call, number) for number, call in enumerate(tool_calls, 1)]


def _call_id(call: object, number: int) -> str:
    """Checks a tool call and returns its id. Raises RowRefused."""
    if not isinstance(call, dict) or call.get("type") != "function":
        raise RowRefused("call_broken", call=number)
    name = call.get("id")
    if not isinstance(name, str) or not name:
        raise RowRefused("call_broken", call=number)
    _check_function(call.get("function"), number)
    return name


def _check_function(function: object, number: int) -> str:
    """Checks the function of a call and returns its name. Raises RowRefused."""
    if not isinstance(function, dict):
        raise RowRefused("call_broken", call=number)
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise RowRefused("call_without_name", call=number)
    arguments = function.get("arguments")
    try:
        parsed = json.loads(arguments) if isinstance(arguments, str) else None
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise RowRefused("arguments_not_json", call=number)
    return name


def _check_answer(call_id: object, role: str, calls: OpenCalls) -> None:
    if role != "tool":
        if call_id is not None:
            raise RowRefused("answer_not_for_role", role=role)
        return
    if not isinstance(call_id, str) or not call_id:
        raise RowRefused("answer_without_id")
    calls.resolve_tool_call(call_id)


def _check_tools(holder: Mapping[str, object], *, is_marked: bool) -> set[str]:
    """Returns the names of the functions that the row's tools define. Raises RowRefused."""
    parallel = holder.get("parallel_tool_calls")
    if parallel is not None and not isinstance(parallel, bool):
        raise RowRefused("parallel_not_boolean", kind=json_type_name(parallel))
    defined: set[str] = set()
    for field in ("tools", "functions"):
        tools = holder.get(field)
        if tools is not None:
            if is_marked:
                _check_tool_tokens(tools, field)
            defined |= _check_definitions(tools, field)
    return defined


def _check_definitions(tools: object, field: str) -> set[str]:
    """Returns the names of the functions. Raises RowRefused."""
    if not isinstance(tools, list):
        raise RowRefused("tools_not_list", field=field, kind=json_type_name(tools))
    names: set[str] = set()
    for number, tool in enumerate(tools, 1):
        function = tool if field == "functions" else _function_in(tool)
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str) or not name:
            raise RowRefused("tool_broken", field=field, tool=number)
        if not _TOOL_NAME.fullmatch(name):
            raise RowRefused("tool_name", field=field, tool=number, name=quote_value(name))
        if name in names:
            raise RowRefused("tool_twice", field=field, tool=number, name=quote_value(name))
        names.add(name)
        _check_parameters(function.get("parameters"), field, number)
    return names


def _check_parameters(parameters: object, field: str, number: int) -> None:
    """Raises RowRefused for parameters that are no JSON Schema, as far as hosts check that."""
    if not _is_object_schema(parameters):
        raise RowRefused("tool_schema", field=field, tool=number)
    properties = parameters.get("properties", {}) if isinstance(parameters, dict) else {}
    for name, schema in properties.items():
        if not isinstance(schema, dict | bool) or not _has_known_types(schema):
            raise RowRefused("tool_property", field=field, tool=number, name=quote_value(name))


def _is_object_schema(parameters: object) -> bool:
    """Whether parameters are missing or of an object; schemas of its properties are not read."""
    if parameters is None or parameters == {}:
        return True
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        return False
    properties, required = parameters.get("properties", {}), parameters.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    return all(isinstance(name, str) and name in properties for name in required)


def _has_known_types(schema: object) -> bool:
    """Whether a schema, and every one in it at any depth, has types of JSON Schema."""
    # Level by level; a row that is nested too deeply was refused before.
    level = [schema]
    while level:
        schemas = [schema for schema in level if isinstance(schema, dict)]
        for schema in schemas:
            types = schema.get("type", [])
            listed = types if isinstance(types, list) else [types]
            if not all(isinstance(one, str) and one in _SCHEMA_TYPES for one in listed):
                return False
        level = [below for schema in schemas for below in _schemas_below(schema)]
    return True


def _schemas_below(schema: dict[str, object]) -> Iterator[object]:
    inner = schema.get("properties")
    if isinstance(inner, dict):
        yield from inner.values()
    for key in ("items", "additionalProperties"):
        yield schema.get(key)
    for key in ("anyOf", "oneOf", "allOf"):
        several = schema.get(key)
        if isinstance(several, list):
            yield from several


def _check_tool_tokens(tools: object, field: str) -> None:
    try:
        _check_control_tokens(tools)
    except RowRefused as refusal:
        raise RowRefused("tool_control_token", field=field, **refusal.details) from None


def _function_in(tool: object) -> object:
    is_function = isinstance(tool, dict) and tool.get("type") == "function"
    return tool.get("function") if is_function and isinstance(tool, dict) else None
