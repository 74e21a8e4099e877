"""Every exception of the openai package becomes one of ours."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from functools import cache

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion

from adapters.openai.errors import retry_after_seconds, translate_errors
from bot.errors import (
    HostBusy,
    HostError,
    HostRefused,
    HostServerError,
    HostTimeout,
    HostUnreachable,
    KeyRefused,
    NotNow,
    TrainingClosed,
    TrainsNothing,
)

REQUEST = httpx2.Request("POST", "http://host/v1/files")
COMPLETION = ChatCompletion.construct()


def status(
    code: int, body: object = None, headers: dict[str, str] | None = None
) -> openai.APIStatusError:
    answer = httpx2.Response(code, request=REQUEST, headers=headers)
    return _client()._make_status_error("words", body={"error": body}, response=answer)


@cache
def _client() -> openai.OpenAI:
    return openai.OpenAI(api_key="x", base_url="http://host/v1")


def connection(cause: Exception) -> openai.APIConnectionError:
    error = openai.APIConnectionError(request=REQUEST)
    error.__cause__ = cause
    return error


def unread(code: int = 200) -> httpx2.Response:
    return httpx2.Response(code, request=REQUEST)


EXPECTED: dict[str, tuple[Exception, type[HostError]]] = {
    "APIConnectionError": (openai.APIConnectionError(request=REQUEST), HostTimeout),
    "APIError": (openai.APIError("The engine died.", REQUEST, body=None), HostServerError),
    "APIResponseValidationError": (
        openai.APIResponseValidationError(unread(), body=None),
        HostServerError,
    ),
    "APIStatusError": (
        openai.APIStatusError("?", response=unread(302), body=None),
        HostServerError,
    ),
    "APITimeoutError": (openai.APITimeoutError(request=REQUEST), HostTimeout),
    "AuthenticationError": (status(401), KeyRefused),
    "BadRequestError": (status(400), HostRefused),
    "ConflictError": (status(409), HostRefused),
    "ContentFilterFinishReasonError": (openai.ContentFilterFinishReasonError(), HostRefused),
    "InternalServerError": (status(503), HostServerError),
    "InvalidWebhookSignatureError": (openai.InvalidWebhookSignatureError("?"), HostServerError),
    "LengthFinishReasonError": (
        openai.LengthFinishReasonError(completion=COMPLETION),
        HostServerError,
    ),
    "NotFoundError": (status(404), TrainsNothing),
    "OAuthError": (openai.OAuthError(response=unread(400), body=None), KeyRefused),
    "OpenAIError": (openai.OpenAIError("?"), HostServerError),
    "PermissionDeniedError": (status(403), HostRefused),
    "RateLimitError": (status(429), HostBusy),
    "UnprocessableEntityError": (status(422), HostRefused),
    "WebSocketConnectionClosedError": (
        openai.WebSocketConnectionClosedError("?", unsent_messages=[]),
        HostTimeout,
    ),
    "WebSocketQueueFullError": (openai.WebSocketQueueFullError("?"), HostTimeout),
}

EXPORTED = [
    name
    for name, value in list(vars(openai).items())
    # By its type: to ask a lazy client of the package for its class imports all of it.
    if issubclass(type(value), type) and issubclass(value, Exception) and not name.startswith("_")
]


def after(error: BaseException) -> HostError:
    """What comes out when this goes in."""
    with (
        pytest.raises(HostError) as raised,
        translate_errors(host="here", key_variable="THE_KEY", secrets=["sk-secret", ""]),
    ):
        raise error
    return raised.value


@pytest.mark.parametrize("name", EXPORTED)
def test_every_exception_the_package_exports_is_mapped(name: str) -> None:
    assert name in EXPECTED, f"openai has a new exception: {name}"

    error, expected = EXPECTED[name]

    assert type(error).__name__ == name
    assert type(after(error)) is expected


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (httpx2.ConnectError("refused"), HostUnreachable),
        (httpx2.ConnectTimeout("slow"), HostUnreachable),
        (httpx2.PoolTimeout("full"), HostUnreachable),
        (httpx2.ProxyError("closed"), HostUnreachable),
        (httpx2.UnsupportedProtocol("ftp"), HostUnreachable),
        (ssl.SSLCertVerificationError("expired"), HostUnreachable),
        (httpx2.ReadTimeout("slow"), HostTimeout),
        (httpx2.WriteError("lost"), HostTimeout),
        (httpx2.RemoteProtocolError("lost"), HostTimeout),
        (ssl.SSLError("lost"), HostTimeout),
        (httpx2.DecodingError("gzip"), HostServerError),
        (httpx2.TooManyRedirects("round"), HostServerError),
    ],
)
def test_what_the_transport_raised_tells_how_far_the_request_came(
    cause: Exception, expected: type[HostError]
) -> None:
    assert type(after(connection(cause))) is expected
    assert type(after(cause)) is expected


def test_a_time_limit_of_our_own_leaves_the_outcome_unknown() -> None:
    assert type(after(TimeoutError())) is HostTimeout


def test_json_that_is_none_is_the_hosts_fault() -> None:
    assert type(after(json.JSONDecodeError("Expecting value", "<html>", 0))) is HostServerError


def test_a_closed_training_door_is_told_from_other_refusals() -> None:
    error = after(status(403, {"code": "training_not_available", "message": "Closed."}))

    assert type(error) is TrainingClosed


def test_the_hosts_own_words_code_and_parameter_are_kept() -> None:
    error = after(status(400, {"message": "No such file", "code": "bad", "param": "file"}))

    assert error.details["host"] == "here"
    assert error.details["message"] == "No such file"
    assert error.details["code"] == "bad"
    assert error.details["param"] == "file"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("Just words.", "Just words."),
        ({"detail": "Not found here."}, "Not found here."),
        ("<html><h1>Bad gateway</h1></html>", "HTTP 400 Bad Request"),
        ({}, "HTTP 400 Bad Request"),
        ("two\nlines\x1b[31m and\u202e more", "two lines [31m and more"),
        ("x" * 900, "x" * 500),
        ("The key sk-secret is wrong.", "The key … is wrong."),
    ],
)
def test_a_message_is_one_clean_line(body: object, words: str) -> None:
    assert after(status(400, body)).details["message"] == words


def test_a_refused_key_names_its_variable() -> None:
    assert "must check THE_KEY" in after(status(401)).sentence


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Fri, 01 Jan 2021 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_a_busy_host_says_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert after(status(429, None, headers)).retry_after == seconds


def test_a_date_in_the_future_becomes_seconds() -> None:
    assert (retry_after_seconds({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}) or 0) > 1e9


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit(), NotNow(problem="-")])
def test_what_is_not_the_hosts_passes_through(error: BaseException) -> None:
    with pytest.raises(type(error)), translate_errors(host="here", key_variable="THE_KEY"):
        raise error


async def test_an_iteration_can_be_wrapped_too() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise openai.APIConnectionError(request=REQUEST)

    with pytest.raises(HostTimeout), translate_errors(host="here", key_variable="THE_KEY"):
        assert [number async for number in broken()]


def test_an_empty_purse_is_a_refusal_and_not_a_pause() -> None:
    error = after(status(429, {"message": "Check your plan.", "code": "insufficient_quota"}))

    assert type(error) is HostRefused
