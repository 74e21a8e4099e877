"""Converts the row formats of published datasets into chat and preference rows."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from bot.rows.problems import RowRefused, json_type_name, quote_value

_MAX_LITERAL_LENGTH = 1 << 20
# The roles of ShareGPT and of formats derived from it.
_ROLES: Final = {
    **dict.fromkeys(("human", "user", "prompter", "customer", "client"), "user"),
    **dict.fromkeys(
        (
            "gpt",
            "assistant",
            "chatgpt",
            "chatbot",
            "bot",
            "model",
            "bing",
            "bard",
            "claude",
            "agent",
            "ai",
        ),
        "assistant",
    ),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("observation", "tool", "function_response", "tool_response"), "tool"),
    **dict.fromkeys(("function_call", "tool_call"), "function_call"),
}
_GOOD: Final = frozenset(
    (
        *("true", "1", "1.0", "yes", "good", "desirable", "thumbsup", "+1", "up", "👍"),
        *("positive", "like", "liked", "helpful", "correct", "accepted"),
    )
)
_BAD: Final = frozenset(
    (
        *("false", "0", "0.0", "no", "bad", "undesirable", "thumbsdown", "-1", "down", "👎"),
        *("negative", "dislike", "disliked", "unhelpful", "incorrect", "rejected"),
    )
)
_MESSAGE_KEYS: Final = frozenset(
    (
        *("role", "content", "name", "weight", "refusal", "reasoning_content"),
        *("tool_calls", "tool_call_id", "function_call"),
    )
)
_STANDARD_ROLES: Final = frozenset(("system", "developer", "user", "assistant", "tool", "function"))
# NumPy, and so pandas, writes no commas between the objects of a list.
_NEXT_OBJECT: Final = re.compile(r"\}\r?\n\s*(?=\{)")
_TURN: Final = re.compile(r"\n\n(Human|Assistant): ")


def are_good_bad_labels(values: Sequence[object]) -> bool:
    """Whether a column labels the answer of each row as good or bad."""
    seen = [_label(value) for value in values if value not in (None, "")]
    return bool(seen) and all(value in _GOOD | _BAD for value in seen)


def is_good_label(value: object) -> bool:
    """Whether a label calls an answer good."""
    return _label(value) in _GOOD


def _label(value: object) -> str:
    return re.sub(r"[\s_]", "", str(value)).lower()


def parse_cell(value: object) -> object:
    """Returns the list or object that a cell has as JSON or as a Python literal, else the value."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    if len(value) >= _MAX_LITERAL_LENGTH:
        return value
    try:
        return ast.literal_eval(_NEXT_OBJECT.sub("}, ", value.strip()))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return value


def is_messages(value: object) -> bool:
    """Whether a value, or its text, is a list of messages in any known format."""
    listed = parse_cell(value)
    if not isinstance(listed, list) or not listed:
        return False
    first = listed[0]
    keys = first.keys() if isinstance(first, Mapping) else ()
    has_text = not {"content", "value", "text", "parts"}.isdisjoint(keys)
    return ("role" in keys or "from" in keys) and has_text


def messages_of(value: object, column: str) -> list[object]:
    """Returns the messages in OpenAI's format. Raises RowRefused."""
    listed = parse_cell(value)
    if listed is None:
        raise RowRefused("cell_missing", column=column)
    if not isinstance(listed, list):
        raise RowRefused("cell_not_messages", column=column, kind=json_type_name(listed))
    if not listed:
        raise RowRefused("messages_empty")
    if not any(isinstance(message, Mapping) and "from" in message for message in listed):
        listed = [_in_openai_form(message) for message in listed]
        # Unknown keys stay in a column “messages”, so that the check of the row reports them.
        return listed if column == "messages" else [_known_keys(message) for message in listed]
    messages: list[object] = []
    for number, message in enumerate(listed, 1):
        messages.append(_from_sharegpt(message, number, messages))
    return messages


def is_openai_message(message: object) -> bool:
    """Whether a message need not be converted; False for the forms of Gemini and Bedrock."""
    return _in_openai_form(message) is message


def _in_openai_form(message: object) -> object:
    """Returns a message with another name of a role, or with bare parts, in OpenAI's format."""
    if not isinstance(message, Mapping):
        return message
    role, content = message.get("role"), message.get("parts", message.get("content"))
    known = _ROLES.get(role.lower()) if isinstance(role, str) else None
    changed: dict[str, object] = {}
    if known in _STANDARD_ROLES and role not in _STANDARD_ROLES:
        changed["role"] = known
    text = text_of_parts(content)
    if text is not None:
        changed["content"] = text
    if not changed:
        return message
    return {**{key: value for key, value in message.items() if key != "parts"}, **changed}


def text_of_parts(value: object) -> str | None:
    """Returns the text of a list of parts that have only a text; None for anything else."""
    # https://ai.google.dev/api/caching#Content, and Converse of Amazon Bedrock
    parts = value.get("parts") if isinstance(value, Mapping) else value
    listed = parts if isinstance(parts, list) else []
    texts = [part["text"] for part in listed if isinstance(part, Mapping) and [*part] == ["text"]]
    is_whole = bool(listed) and len(texts) == len(listed)
    return "\n".join(map(str, texts)) if is_whole else None


def unknown_message_keys(value: object) -> list[str]:
    """Returns the keys of the messages that OpenAI's format does not have, each once."""
    listed = parse_cell(value)
    messages = [m for m in listed if isinstance(m, Mapping)] if isinstance(listed, list) else []
    keys = dict.fromkeys(str(key) for message in messages for key in message)
    return [key for key in keys if key not in (*_MESSAGE_KEYS, "from", "value", "parts")]


def _known_keys(message: object) -> object:
    if not isinstance(message, Mapping):
        return message
    return {key: value for key, value in message.items() if key in _MESSAGE_KEYS}


def to_openai_tools(value: object) -> object:
    """Returns the tools of a row in OpenAI's format; wraps functions that are listed without it."""
    listed = parse_cell(value)
    if not isinstance(listed, list):
        return listed
    is_bare = all(isinstance(tool, Mapping) and "name" in tool for tool in listed)
    return [{"type": "function", "function": tool} for tool in listed] if is_bare else listed


def _from_sharegpt(message: object, number: int, before: Sequence[object]) -> object:
    """Converts a message of ShareGPT's format to OpenAI's format. Raises RowRefused."""
    if not isinstance(message, Mapping):
        raise RowRefused("message_not_object", message=number, kind=json_type_name(message))
    speaker = message.get("from")
    role = _ROLES.get(speaker.lower()) if isinstance(speaker, str) else None
    if role is None:
        raise RowRefused("role_unknown", message=number, role=quote_value(speaker))
    text = message.get("value", message.get("content"))
    if role == "function_call":
        return {"role": "assistant", "tool_calls": [_call_of(text, number)]}
    if role == "tool":
        last = before[-1] if before and isinstance(before[-1], Mapping) else {}
        calls = last.get("tool_calls")
        call = calls[0]["id"] if isinstance(calls, list) else ""
        return {"role": "tool", "tool_call_id": call, "content": text}
    weight = message.get("weight")
    # ShareGPT allows a weight for every message, hosts only for assistant messages.
    extra = {"weight": 0 if weight == 0 else 1} if weight in (0, 1) and role == "assistant" else {}
    return {"role": role, "content": text, **extra}


def _call_of(text: object, number: int) -> dict[str, object]:
    """Converts a function call of ShareGPT's format to a tool call. Raises RowRefused."""
    call = parse_cell(text)
    name = call.get("name") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(name, str):
        raise RowRefused("call_broken", message=number, call=1)
    arguments = call.get("arguments", {})
    encoded = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    function = {"name": name, "arguments": encoded}
    return {"id": f"call_{number}", "type": "function", "function": function}


def history_of(value: object, column: str) -> list[object]:
    """Returns earlier turns as messages, from messages or question-answer pairs.

    Raises RowRefused.
    """
    listed = parse_cell(value)
    if listed in (None, "", []):
        return []
    if not isinstance(listed, list):
        raise RowRefused("history_unknown", column=column)
    if is_messages(listed):
        return messages_of(listed, column)
    messages: list[object] = []
    for pair in listed:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise RowRefused("history_unknown", column=column)
        roles = zip(("user", "assistant"), pair, strict=True)
        messages += [{"role": role, "content": text} for role, text in roles]
    return messages


def preference_of(prompt: object, preferred: object, rejected: object) -> dict[str, object]:
    """Returns a preference row from texts or lists of messages. Raises RowRefused.

    Accepts the formats of TRL: conversations with or without the prompt, or only the answers.
    https://huggingface.co/docs/trl/dataset_formats
    """
    sides = _turns_of(preferred, "preferred"), _turns_of(rejected, "rejected")
    before, other = sides[0][:-1], sides[1][:-1]
    prompt_messages = _prompt_of(prompt)
    if len(before) >= len(prompt_messages):
        prompt_messages = before
    if before and other and before != other:
        raise RowRefused("prompts_differ")
    return {
        "input": {"messages": prompt_messages},
        "preferred_output": sides[0][-1:],
        "non_preferred_output": sides[1][-1:],
    }


def _prompt_of(prompt: object) -> list[object]:
    """Returns a text or a list of messages as messages. Raises RowRefused."""
    listed = parse_cell(prompt)
    if isinstance(listed, list):
        return messages_of(listed, "prompt")
    text = listed.strip() if isinstance(listed, str) else ""
    return [{"role": "user", "content": text}] if text else []


def _turns_of(value: object, column: str) -> list[object]:
    """Returns an answer, or a conversation that ends with it, as messages. Raises RowRefused."""
    listed = parse_cell(value)
    if listed is None:
        raise RowRefused("cell_missing", column=column)
    if isinstance(listed, Mapping):
        listed = [listed]
    if isinstance(listed, list):
        return messages_of(listed, column)
    if not isinstance(listed, str):
        raise RowRefused("cell_not_text", column=column, kind=json_type_name(listed))
    if not listed.strip():
        raise RowRefused("cell_empty", column=column)
    # https://huggingface.co/datasets/Anthropic/hh-rlhf
    if listed.startswith("\n\nHuman: "):
        _, *parts = _TURN.split(listed)
        roles = ["user" if author == "Human" else "assistant" for author in parts[::2]]
        texts = zip(roles, parts[1::2], strict=True)
        return [{"role": role, "content": text.strip()} for role, text in texts]
    return [{"role": "assistant", "content": listed.strip()}]
