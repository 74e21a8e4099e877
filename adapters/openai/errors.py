"""Translates the exceptions of the openai package and of HTTP into HostErrors."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import mktime_tz, parsedate_tz
from math import isfinite

import httpx2
import openai

from bot.errors import (
    AnswerFiltered,
    HostBusy,
    HostError,
    HostNotFound,
    HostRefused,
    HostServerError,
    HostTimeout,
    HostUnreachable,
    KeyRefused,
    TrainingClosed,
    TrainsNothing,
    WrongAddress,
)

MAX_MESSAGE_LENGTH = 500
# HTML tags, and style sheets and scripts with their content. "a < b" is not a tag.
_TAG = re.compile(
    r"<(style|script)\b[^>]*>.*?</\1\s*>|<[!/@#a-zA-Z][^<>]*>", re.DOTALL | re.IGNORECASE
)


class ProtocolViolation(ValueError):
    """The host's response does not follow the protocol."""


class NoSuchPath(ProtocolViolation):
    """The host answers with status 200 that it has no such path, as LM Studio does."""

    def __init__(self, url: httpx2.URL) -> None:
        super().__init__(_plain_address(url))
        self.path = url.path


def error_in_response(response: httpx2.Response, words: str) -> ProtocolViolation:
    """Returns the error for a response with status 200 whose body is an error with these words."""
    is_path_missing = _COLLECTION.search(response.url.path) and _NO_PATH.match(words.strip())
    return NoSuchPath(response.url) if is_path_missing else ProtocolViolation(words)


class RedirectedRequest(ValueError):
    """The host redirects a POST request to another address."""

    def __init__(self, address: str) -> None:
        super().__init__(f"It sends this on to {address}; that address belongs into base_url.")


_NOT_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    ssl.SSLCertVerificationError,
)
_INVALID_RESPONSE = (
    ProtocolViolation,
    json.JSONDecodeError,
    UnicodeDecodeError,
    httpx2.DecodingError,
    httpx2.TooManyRedirects,
    openai.InvalidWebhookSignatureError,
)
_OUTCOME_UNKNOWN = (
    TimeoutError,
    httpx2.HTTPError,
    openai.APIConnectionError,
    openai.WebSocketConnectionClosedError,
    openai.WebSocketQueueFullError,
)
_OTHER_ERRORS = (ssl.SSLError, RedirectedRequest)
_BY_STATUS: Mapping[int, type[HostError]] = {
    401: KeyRefused,
    404: HostNotFound,
    408: HostTimeout,
    429: HostBusy,
}

_COLLECTION = re.compile(r"/(?:chat/completions|models|files|fine_tuning/jobs)/?$")
_TRAINING = re.compile(r"/(?:files|fine_tuning/jobs)/?$")
# Messages of FastAPI, gin, llama.cpp, Azure and express, and responses without a message.
_NO_PATH = re.compile(
    r"(?:HTTP 40[45]\b|not found$|404 page not found|file not found|resource not found|"
    r"unexpected endpoint|cannot (?:get|post)|invalid url|no route|method not allowed)",
    re.IGNORECASE,
)

# Hosts send these codes with status 429 too, but waiting does not help.
_INSUFFICIENT_FUNDS = ("insufficient_quota", "billing_hard_limit_reached")


@contextmanager
def translate_errors(
    *, host: str, key_variable: str, secrets: Sequence[str] = ()
) -> Iterator[None]:
    """Raises a HostError for each error of the openai package and of HTTP in its block.

    `secrets` are removed from the host's message, as some hosts repeat the key that they refuse.
    """
    try:
        yield
    except (openai.OpenAIError, *_OUTCOME_UNKNOWN, *_INVALID_RESPONSE, *_OTHER_ERRORS) as error:
        kind = _kind(error)
        is_about_address = issubclass(kind, WrongAddress | TrainsNothing)
        message = _address(error) if is_about_address else _error_message(error)
        raise kind(
            host=host,
            message=one_line(_without_secrets(secrets, message)),
            code=_text(getattr(error, "code", None)),
            param=_text(getattr(error, "param", None)),
            retry_after=_retry_after(error),
            variable=key_variable,
        ) from error


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Returns the wait in seconds that Retry-After (seconds or a date) or retry-after-ms asks for.

    None without a valid header.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None:
        return seconds
    date = parsedate_tz(value) if value else None
    return max(0.0, mktime_tz(date) - time.time()) if date else None


def _kind(error: Exception) -> type[HostError]:
    if isinstance(error, openai.APIStatusError):
        return _kind_of_status(error)
    if isinstance(error, openai.ContentFilterFinishReasonError):
        return HostRefused
    # The package wraps the error of the transport, which says whether the request was sent.
    root = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
    if isinstance(root, NoSuchPath):
        return _missing_path_error(root.path)
    if isinstance(root, RedirectedRequest):
        return HostRefused
    if isinstance(root, _NOT_SENT):
        return HostUnreachable
    if isinstance(root, _INVALID_RESPONSE):
        return HostServerError
    if isinstance(error, (*_OUTCOME_UNKNOWN, ssl.SSLError)):
        return HostTimeout
    return HostServerError


def _kind_of_status(error: openai.APIStatusError) -> type[HostError]:
    if error.code == "training_not_available":
        return TrainingClosed
    if error.code in _INSUFFICIENT_FUNDS:
        return HostRefused
    if isinstance(error, openai.AuthenticationError):
        return KeyRefused
    if error.code == "content_filter":
        return AnswerFiltered
    if error.status_code in (404, 405) and _is_about_the_path(error):
        return _missing_path_error(error.request.url.path)
    fallback = HostRefused if 400 <= error.status_code < 500 else HostServerError
    return _BY_STATUS.get(error.status_code, fallback)


def _missing_path_error(path: str) -> type[HostError]:
    return TrainsNothing if _TRAINING.search(path) else WrongAddress


def _is_about_the_path(error: openai.APIStatusError) -> bool:
    """Whether the host has no such path at all, rather than no such object below it."""
    path = error.request.url.path
    return bool(_COLLECTION.search(path) and _NO_PATH.match(_error_message(error).strip()))


def _address(error: Exception) -> str:
    if not isinstance(error, openai.APIStatusError):
        return _error_message(error)
    return _plain_address(error.request.url)


def _plain_address(url: httpx2.URL) -> str:
    return str(url.copy_with(query=None, username=None, password=None))


def _message_in(body: object) -> object:
    """Returns the message of an error body at any depth; several problems are joined."""
    if isinstance(body, Mapping):
        values = (body.get(name) for name in ("message", "detail", "error", "msg"))
        return _message_in(next((value for value in values if value), None))
    if isinstance(body, list):
        return "; ".join(str(_message_in(item)) for item in body if isinstance(item, Mapping))
    return body


def _error_message(error: Exception) -> str:
    """Returns the host's own message if there is one; a page of HTML is none."""
    body = _message_in(getattr(error, "body", None))
    if isinstance(body, str) and one_line(body) and not body.lstrip().startswith("<"):
        return body
    if isinstance(error, openai.APIStatusError):
        return f"HTTP {error.status_code} {error.response.reason_phrase}"
    return str(error) or type(error).__name__


def _without_secrets(secrets: Sequence[str], text: str) -> str:
    for secret in filter(None, secrets):
        text = text.replace(secret, "…")
    return text


def one_line(text: str) -> str:
    """Returns the text on one line, without HTML tags, cut to `MAX_MESSAGE_LENGTH` characters."""
    untagged = _TAG.sub(" ", text[: 8 * MAX_MESSAGE_LENGTH])
    printable = "".join(c if c.isprintable() else " " for c in untagged)
    return " ".join(printable.split())[:MAX_MESSAGE_LENGTH]


def _retry_after(error: Exception) -> float | None:
    if isinstance(error, openai.APIStatusError):
        return retry_after_seconds(error.response.headers)
    return None


def _text(value: object) -> str | None:
    return one_line(value) if isinstance(value, str) else None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return max(0.0, number) if isfinite(number) else None
