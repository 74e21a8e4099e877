"""Fingerprints that are equal for rows with the same meaning, however they are written."""

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from unicodedata import normalize

_encode_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_encode_string = json.encoder.encode_basestring_ascii


def fingerprint(row: Mapping[str, object]) -> str:
    """Returns a SHA-256 in hex; rows with equal fingerprints are duplicates.

    Key order, white space, ids of tool calls, unknown keys and Unicode normalisation do not count.
    """
    plain = _plain_meaning(row)
    if plain is not None:
        return sha256(plain.encode()).hexdigest()
    meaning: list[object] = [_conversation_meaning(row)]
    if _is_preference(row):
        outputs = ("preferred_output", "non_preferred_output")
        meaning += [_messages_meaning(row.get(key)) for key in outputs]
    return _hash(meaning)


def _plain_meaning(row: Mapping[str, object]) -> str | None:
    """Returns the text to hash of a row with only roles and texts; None for other rows.

    The text is the same as the general code makes, which takes five times as long. Nearly every
    row of an import has only roles and texts.
    """
    messages = row.get("messages") if len(row) == 1 else None
    if type(messages) is not list:
        return None
    encoded: list[str] = []
    for message in messages:
        if type(message) is not dict or len(message) != 2:
            return None
        role, content = message.get("role"), message.get("content")
        if type(role) is not str or type(content) is not str:
            return None
        text = _normalised(content)
        field = f'"content":{_encode_string(text)},' if text else ""
        encoded.append(f'{{{field}"role":{_encode_string(role)}}}')
    return f'[{{"messages":[{",".join(encoded)}]}}]'


def prompt_fingerprint(row: Mapping[str, object]) -> str:
    """Returns a SHA-256 in hex of all before the answer, equal for chat and preference rows."""
    conversation = _conversation_meaning(row)
    messages = conversation["messages"]
    if not _is_preference(row) and isinstance(messages, list) and _ends_with_answer(messages):
        conversation["messages"] = messages[:-1]
    return _hash([conversation])


def find_overlaps(
    training: Iterable[tuple[int, Mapping[str, object]]],
    validation: Iterable[tuple[int, Mapping[str, object]]],
) -> Iterator[tuple[int, int]]:
    """Yields (training line, validation line) of rows with the same fingerprint.

    If training rows are duplicates of each other, the first line is used.
    """
    lines: dict[str, int] = {}
    for line, row in training:
        lines.setdefault(fingerprint(row), line)
    for line, row in validation:
        training_line = lines.get(fingerprint(row))
        if training_line is not None:
            yield training_line, line


def normalized_content(content: object) -> object:
    """Returns the normalised text of a message's content; the content itself if it has more."""
    if isinstance(content, str):
        return _normalised(content) or None
    if not isinstance(content, list):
        return content
    texts = [part.get("text") for part in content if isinstance(part, Mapping)]
    if len(texts) == len(content) and all(isinstance(text, str) for text in texts):
        return _normalised("\n".join(map(str, texts))) or None
    return content


def _is_preference(row: Mapping[str, object]) -> bool:
    return "messages" not in row and "input" in row


def _conversation_meaning(row: Mapping[str, object]) -> dict[str, object]:
    inside = row.get("input") if _is_preference(row) else row
    source = inside if isinstance(inside, Mapping) else {}
    extras = {
        key: source[key]
        for key in ("tools", "functions", "function_call", "parallel_tool_calls")
        if source.get(key) not in (None, [])
    }
    return {"messages": _messages_meaning(source.get("messages")), **extras}


def _messages_meaning(messages: object) -> list[object]:
    if not isinstance(messages, list):
        return [messages]
    calls: dict[object, int] = {}
    return [
        _message_meaning(message, calls) if isinstance(message, Mapping) else message
        for message in messages
    ]


def _message_meaning(message: Mapping[str, object], calls: dict[object, int]) -> dict[str, object]:
    role, content = message.get("role"), message.get("content")
    if len(message) == 2 and type(role) is str and type(content) is str:
        # Nearly every message of an import; the general code takes three times as long.
        text = _normalised(content)
        return {"role": role, "content": text} if text else {"role": role}
    meaning: dict[str, object] = {
        "role": role,
        "content": normalized_content(content),
        "name": message.get("name"),
        "refusal": normalized_content(message.get("refusal")),
        "reasoning_content": normalized_content(message.get("reasoning_content")),
        "weight": 0 if message.get("weight") == 0 else None,
        "function_call": _call_meaning(message.get("function_call")),
        "tool_calls": _tool_calls_meaning(message.get("tool_calls"), calls),
        "tool_call_id": _number_of(message.get("tool_call_id"), calls),
    }
    return {key: value for key, value in meaning.items() if value is not None}


def _tool_calls_meaning(tool_calls: object, calls: dict[object, int]) -> object:
    if not isinstance(tool_calls, list):
        return tool_calls
    valid = [call for call in tool_calls if isinstance(call, Mapping)]
    return [
        [_number_of(call.get("id"), calls), _call_meaning(call.get("function"))] for call in valid
    ]


def _number_of(call_id: object, calls: dict[object, int]) -> int | None:
    """Returns a call's number in order of appearance, which replaces its random id."""
    if not isinstance(call_id, str):
        return None
    return calls.setdefault(call_id, len(calls))


def _call_meaning(function: object) -> object:
    if not isinstance(function, Mapping):
        return function
    arguments = function.get("arguments")
    try:
        meaning = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        meaning = arguments
    return [function.get("name"), meaning]


def _ends_with_answer(messages: list[object]) -> bool:
    last = messages[-1] if messages else None
    return isinstance(last, Mapping) and last.get("role") == "assistant"


def _hash(meaning: list[object]) -> str:
    return sha256(_encode_json(meaning).encode()).hexdigest()


def _normalised(text: str) -> str:
    composed = text if text.isascii() else normalize("NFC", text)
    if composed.isprintable() and "  " not in composed:
        # The space is the only printable white space, so there is nothing to split; this is faster.
        return composed.strip()
    return " ".join(composed.split())
