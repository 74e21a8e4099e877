"""Validation rules for preference rows: a conversation, a preferred and a rejected answer."""

from collections.abc import Mapping
from typing import Final

from bot.rows.conversation_rules import OpenCalls, check_conversation, check_message
from bot.rows.fingerprints import normalized_content
from bot.rows.problems import RowRefused, json_type_name

PREFERENCE_OUTPUT_KEYS: Final = ("preferred_output", "non_preferred_output")


def check_preference(row: Mapping[str, object], *, is_marked: bool) -> None:
    """Raises RowRefused for a preference row that breaks a rule."""
    messages = check_conversation(_input_of(row), is_marked=is_marked)
    if messages[-1]["role"] == "assistant":
        raise RowRefused("input_ends_with_assistant")
    for number, message in enumerate(messages, 1):
        if _has_image(message.get("content")):
            raise RowRefused("image_in_preference", message=number)
    preferred, other = (
        _output_of(row, field, is_marked=is_marked) for field in PREFERENCE_OUTPUT_KEYS
    )
    if preferred == other:
        raise RowRefused("outputs_same")


def _input_of(row: Mapping[str, object]) -> Mapping[str, object]:
    conversation = row.get("input")
    if conversation is None:
        raise RowRefused("input_missing")
    if isinstance(conversation, list):
        raise RowRefused("input_bare_list")
    if not isinstance(conversation, dict):
        raise RowRefused("input_not_object", kind=json_type_name(conversation))
    return conversation


def _has_image(content: object) -> bool:
    parts = content if isinstance(content, list) else []
    return any(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)


def _output_of(row: Mapping[str, object], field: str, *, is_marked: bool) -> object:
    """Returns the normalised content of an output's only message. Raises RowRefused."""
    messages = row.get(field)
    if messages is None:
        raise RowRefused("output_missing", field=field)
    if not isinstance(messages, list):
        raise RowRefused("output_not_list", field=field, kind=json_type_name(messages))
    if len(messages) != 1:
        raise RowRefused("output_not_single", field=field, count=len(messages))
    message = messages[0]
    try:
        check_message(message, OpenCalls(), is_marked=is_marked)
    except RowRefused as refusal:
        raise RowRefused(f"output_{refusal.code}", field=field, **refusal.details) from None
    if message["role"] != "assistant":
        raise RowRefused("output_not_assistant", field=field, role=message["role"])
    if any(message.get(key) for key in ("tool_calls", "function_call", "refusal")):
        raise RowRefused("output_not_text", field=field)
    return normalized_content(message["content"])
