"""Reads and validates request bodies; errors are in the protocol's form."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import NoReturn, TypeVar

from fastapi import Depends
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from tuner.errors import ApiError, TooLarge, UnsupportedMediaType

MAX_BODY_BYTES = 8 << 20
MAX_NESTING_DEPTH = 64
MAX_JSON_VALUES = 200_000
"""Maximum of brackets and colons in a body, including those in strings; each may cost 100 bytes."""

ModelT = TypeVar("ModelT", bound=BaseModel)


class ClientDisconnected(ApiError):
    """The client went away before it had sent everything."""


async def json_body(request: Request) -> dict[str, object]:
    """Returns the JSON object in the body. Raises ApiError, also for unstorable values."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise UnsupportedMediaType
    value = _parse(await _whole_body(request))
    if not isinstance(value, dict):
        raise ApiError("The body must be a JSON object.")
    return value


async def refuse_large(request: Request) -> None:
    """Reads and discards the body of a request that needs none. Raises TooLarge."""
    _check_content_length(request)
    size = 0
    async for chunk in _chunks(request):
        size += len(chunk)
        _refuse_size(size)


REFUSES_LARGE_BODY = Depends(refuse_large)


async def _whole_body(request: Request) -> bytes:
    _check_content_length(request)
    body = bytearray()
    async for chunk in _chunks(request):
        body += chunk
        _refuse_size(len(body))
    return bytes(body)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise ClientDisconnected from error


def _check_content_length(request: Request) -> None:
    """Raises TooLarge by the Content-Length header, before the body is read."""
    length = request.headers.get("content-length", "0")
    _refuse_size(int(length) if length.isdigit() and len(length) < 20 else 0)


def _refuse_size(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise TooLarge(f"The body is larger than {MAX_BODY_BYTES >> 20} MiB.")


def _parse(body: bytes) -> object:
    if sum(body.count(mark) for mark in (b"[", b"{", b":")) > MAX_JSON_VALUES:
        raise ApiError("The JSON has too many lists, objects or keys.")
    try:
        value: object = json.loads(body.decode(), parse_constant=_refuse_constant)
        _refuse_unstorable(value)
    except RecursionError as error:
        raise ApiError("The JSON is nested too deeply.") from error
    except ValueError as error:
        raise ApiError(
            "We could not parse the JSON body of your request: it must be valid JSON in UTF-8."
        ) from error
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ApiError(f"{name} is not a JSON number.")


def _refuse_unstorable(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    text.encode()  # an unpaired surrogate has no bytes: UnicodeEncodeError is a ValueError
    if "\\u0000" in text:
        _refuse_nul(value)
    if _depth(value) > MAX_NESTING_DEPTH:
        raise ApiError("The JSON is nested too deeply.")


def _refuse_nul(value: object) -> None:
    """Raises ApiError if a string contains NUL; the escape may also be escaped text."""
    if isinstance(value, str) and "\0" in value:
        raise ApiError("A text in the body contains a NUL character.")
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_nul(key)
            _refuse_nul(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_nul(item)


def _depth(value: object) -> int:
    children: Iterable[object] = ()
    if isinstance(value, dict):
        children = value.values()
    elif isinstance(value, list):
        children = value
    else:
        return 0
    return 1 + max(map(_depth, children), default=0)


def read_as(shape: type[ModelT], body: Mapping[str, object]) -> ModelT:
    """Validates the body. Raises ApiError that names the first invalid parameter."""
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        raise _refusal_of(error, body) from error


def _refusal_of(error: ValidationError, body: Mapping[str, object]) -> ApiError:
    problems = error.errors(include_url=False, include_context=False)
    param = _param(problems[0]["loc"], body)
    match problems[0]["type"]:
        case "extra_forbidden":
            sentence, code = f"Unrecognized request argument supplied: {param}", "unknown_parameter"
        case "missing":
            sentence, code = (
                f"Missing required parameter: '{param}'.",
                "missing_required_parameter",
            )
        case _:
            reasons = [
                problem["msg"] for problem in problems if _param(problem["loc"], body) == param
            ]
            sentence = f"Invalid value for '{param}': {_joined(reasons)}."
            code = "invalid_value"
    return ApiError(sentence, param=param, code=code)


def _joined(reasons: list[str]) -> str:
    plain = [reason.removeprefix("Value error, ").rstrip(".") for reason in dict.fromkeys(reasons)]
    first, *others = plain
    return " or ".join([first[:1].lower() + first[1:], *(o[:1].lower() + o[1:] for o in others)])


def _param(location: tuple[int | str, ...], body: object) -> str:
    """Returns a parameter's path as a client writes it, without pydantic's steps in unions."""
    path = ""
    for position, step in enumerate(location):
        is_last = position == len(location) - 1
        if isinstance(body, dict) and isinstance(step, str) and (step in body or is_last):
            path += f".{step}" if path else step
            body = body.get(step)
        elif isinstance(body, list) and isinstance(step, int):
            path += f"[{step}]"
            body = body[step] if step < len(body) else None
        elif position == 0:
            return str(step)
    return path
