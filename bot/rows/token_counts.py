"""Counts the tokens of rows, with the model's tokenizer or with an estimate."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import ceil
from typing import Final

FIXED_TOKENS_PER_ROW: Final = 3
TokenCounter = Callable[[str], int]
"""Returns the number of tokens of a text."""
_MESSAGE_TOKENS = 4
"""Tokens of each message beside its text: three, as in OpenAI's cookbook, and one for the role."""
_IMAGE_MARK = "🖼"
_IMAGE_TEXT = "x" * 4 * 85
"""A text with 85 estimated tokens, which OpenAI counts for an image in low detail, the minimum."""
_MAX_TOKENS_PER_CHARACTER = 2
"""Upper bound of the estimate."""


def count_tokens(row: Mapping[str, object], token_counter: TokenCounter | None = None) -> int:
    """Returns the tokens of a chat row, or of a preference row with both outputs.

    `of_text` counts tokens as the model does; without it they are estimated. The tokens between
    messages are always an estimate.
    """
    token_counter = token_counter or estimate_text_tokens
    conversation = row.get("input") if "messages" not in row else row
    lists: list[object] = [row.get("preferred_output"), row.get("non_preferred_output")]
    total = FIXED_TOKENS_PER_ROW
    if isinstance(conversation, Mapping):
        lists.append(conversation.get("messages"))
        total += sum(
            _value_tokens(conversation.get(key), token_counter) for key in ("tools", "functions")
        )
    messages = [message for part in lists if isinstance(part, list) for message in part]
    return total + sum(_message_tokens(message, token_counter) for message in messages)


def estimate_text_tokens(text: str) -> int:
    """Estimates the tokens of a text, for the tokenizers of about 2024 and later.

    Four ASCII characters make a token, and a word at least one; a character of two bytes in UTF-8
    (Cyrillic, Greek, Arabic) is two fifths of a token, one of three bytes (Chinese, Japanese,
    Korean, Hindi) three quarters, an emoji two. The error is within a fifth for English and
    Chinese prose; older tokenizers need about a half more for Chinese, and code or random letters
    need more than the estimate.
    """
    if text.isascii():
        return max(ceil(len(text) / 4), len(text.split()))
    size = len(text)
    one_byte = len(text.encode("ascii", "ignore"))
    all_bytes = len(text.encode("utf-8", "surrogatepass"))
    four_bytes = len(text.encode("utf-16-le", "surrogatepass")) // 2 - size
    wide = all_bytes - one_byte - 4 * four_bytes
    three_bytes = wide - 2 * (size - one_byte - four_bytes)
    two_bytes = size - one_byte - four_bytes - three_bytes
    tokens = one_byte / 4 + two_bytes * 0.4 + three_bytes * 0.75 + four_bytes * 2
    return max(ceil(tokens), len(text.split()))


def estimate_message_tokens(messages: Iterable[Mapping[str, object]]) -> int:
    """Estimates the tokens in the texts of messages."""
    return sum(estimate_text_tokens(_text_of(message.get("content"))) for message in messages)


def _text_of(content: object) -> str:
    """Returns a message's text; of a list of content parts their texts."""
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "".join(text for text in texts if isinstance(text, str))


def max_estimated_tokens(characters: int, messages: int) -> int:
    """Returns an upper bound of the estimate for plain messages, by their length alone."""
    return (
        FIXED_TOKENS_PER_ROW + messages * _MESSAGE_TOKENS + characters * _MAX_TOKENS_PER_CHARACTER
    )


def content_text(content: object) -> str:
    """Returns the text of a message's content, with a mark in place of each image."""
    if not isinstance(content, list):
        return str(content or "")
    parts = [part for part in content if isinstance(part, Mapping)]
    texts = (_IMAGE_MARK if "image_url" in part else str(part.get("text") or "") for part in parts)
    return "\n".join(texts)


def texts_in(value: object) -> Iterator[str]:
    """Yields every text in a JSON value; for an image a text with as many tokens."""
    # With a stack instead of recursion: an uploaded row may be nested very deeply.
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict) and "image_url" in item:
            yield _IMAGE_TEXT
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())


def _message_tokens(message: object, of_text: TokenCounter) -> int:
    if not isinstance(message, Mapping):
        return _MESSAGE_TOKENS
    content = message.get("content")
    if isinstance(content, str) and len(message) == 2:
        return _MESSAGE_TOKENS + of_text(content)
    texts = (value for key, value in message.items() if key not in ("role", "weight"))
    return _MESSAGE_TOKENS + sum(_value_tokens(value, of_text) for value in texts)


def _value_tokens(value: object, of_text: TokenCounter) -> int:
    return sum(of_text(text) for text in texts_in(value))
