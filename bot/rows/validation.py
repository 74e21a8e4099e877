"""Checks whether a row is a valid training row: a fast check for plain rows, then every rule."""

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Final, TypeGuard

from bot.rows.conversation_rules import CONTROL_SEQUENCE_START, check_chat_row
from bot.rows.preference_rules import PREFERENCE_OUTPUT_KEYS, check_preference
from bot.rows.problems import Method, Problem, RowRefused, json_type_name, quote_value
from bot.rows.token_counts import (
    FIXED_TOKENS_PER_ROW,
    TokenCounter,
    count_tokens,
    max_estimated_tokens,
)

MAX_NESTING_DEPTH: Final = 64
_MAX_TOKENS_PER_CHARACTER = 4
"""Upper bound of estimated tokens per character of a row's keys and texts, with images."""
_PLAIN_ROLES = frozenset({"system", "developer", "user", "assistant"})


def check_rows(
    rows: Iterable[tuple[int, object]], method: Method, *, max_tokens: int = 65_536
) -> Iterator[tuple[int, dict[str, object] | Problem]]:
    """Yields each valid row, and a Problem in place of each invalid one, in order."""
    may_be_plain = method is Method.SUPERVISED
    for line, row in rows:
        if (may_be_plain and is_plain_row(row, max_tokens)) or isinstance(row, Problem):
            yield line, row
        else:
            yield line, _check(row, method, line=line, max_tokens=max_tokens)


def check_row(
    row: object,
    method: Method,
    *,
    line: int = 0,
    max_tokens: int = 65_536,
    token_counter: TokenCounter | None = None,
) -> Problem | None:
    """Returns the first rule that a parsed row breaks; never raises, whatever the JSON value.

    `of_text` counts tokens as the model does; without it they are estimated.
    """
    if token_counter is None and method is Method.SUPERVISED and is_plain_row(row, max_tokens):
        return None
    checked = _check(row, method, line=line, max_tokens=max_tokens, of_text=token_counter)
    return checked if isinstance(checked, Problem) else None


def detect_method(row: object) -> Method | None:
    """Returns the method that a row's keys belong to; None if they belong to none."""
    if not isinstance(row, Mapping):
        return None
    if any(key in row for key in PREFERENCE_OUTPUT_KEYS):
        return Method.DPO
    return Method.SUPERVISED if "messages" in row else None


def is_plain_row(row: object, max_tokens: int) -> TypeGuard[dict[str, object]]:
    """Whether a row is certainly valid: text messages without tools and the like.

    A fast check, since most files have only such rows. A row for which it is False may be valid.
    """
    if not isinstance(row, dict) or len(row) != 1:
        return False
    messages = row.get("messages")
    if not isinstance(messages, list):
        return False
    size, role = 0, ""
    try:
        for message in messages:
            role, content = message["role"], message["content"]
            if (
                (len(message) != 2 and not _has_plain_extra(message))
                or role not in _PLAIN_ROLES
                or type(content) is not str
                or "<|" in content
                or "\0" in content
                or not content
                or content.isspace()
                # An unpaired surrogate cannot be encoded.
                or not (content.isascii() or content.encode())
            ):
                return False
            size += len(content) + len(message.get("name", ""))
    except (KeyError, TypeError, UnicodeEncodeError):
        return False
    if role != "assistant" or messages[-1].get("weight") == 0:
        return False
    return max_estimated_tokens(size, len(messages)) <= max_tokens


def _has_plain_extra(message: dict[str, object]) -> bool:
    """Whether a message has a role, a content, and a valid name or weight besides."""
    if len(message) != 3:
        return False
    name, weight = message.get("name"), message.get("weight")
    if type(name) is str:
        return name.isascii() and "<|" not in name and "\0" not in name
    return type(weight) is int and weight in (0, 1) and message["role"] == "assistant"


def _check(
    row: object, method: Method, *, line: int, max_tokens: int, of_text: TokenCounter | None = None
) -> dict[str, object] | Problem:
    try:
        return _require_valid(row, method, max_tokens, of_text)
    except RowRefused as refusal:
        return refusal.to_problem(line)


def _require_valid(
    row: object, method: Method, max_tokens: int, of_text: TokenCounter | None
) -> dict[str, object]:
    """Returns the row if it is valid. Raises RowRefused."""
    if not isinstance(row, dict):
        raise RowRefused("row_not_object", kind=json_type_name(row))
    text = _joined_texts(row)
    _check_method(row, method)
    check = check_chat_row if method is Method.SUPERVISED else check_preference
    check(row, is_marked=CONTROL_SEQUENCE_START in text)
    if of_text or len(text) * _MAX_TOKENS_PER_CHARACTER + FIXED_TOKENS_PER_ROW > max_tokens:
        _check_length(row, max_tokens, of_text)
    return row


def _check_length(row: dict[str, object], max_tokens: int, of_text: TokenCounter | None) -> None:
    tokens = count_tokens(row, of_text)
    if tokens > max_tokens:
        raise RowRefused("too_long", tokens=tokens, limit=max_tokens)


def _joined_texts(row: object) -> str:
    """Returns all keys and texts of a row, joined.

    Raises RowRefused for invalid characters or numbers, and for a row that is nested too deeply.
    """
    texts: list[str] = []
    # Level by level, because an uploaded row could exceed the recursion limit.
    level: list[object] = [row]
    for _ in range(MAX_NESTING_DEPTH):
        below: list[object] = []
        for value in level:
            if isinstance(value, str):
                texts.append(value)
            elif isinstance(value, dict):
                texts += value
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, float) and not isfinite(value):
                raise RowRefused("not_finite", number=quote_value(value))
        if not below:
            return _valid_unicode("".join(texts))
        level = below
    raise RowRefused("too_deep")


def _valid_unicode(text: str) -> str:
    if "\0" in text:
        raise RowRefused("null_byte")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RowRefused("broken_character") from None
    return text


def _check_method(row: Mapping[str, object], method: Method) -> None:
    own_method = detect_method(row)
    if method is Method.DPO and own_method is Method.SUPERVISED and "input" not in row:
        raise RowRefused("chat_among_preferences")
    if method is Method.SUPERVISED and own_method is Method.DPO and "messages" not in row:
        raise RowRefused("preference_among_chats")
