"""Parses responses of hosts, which may lack fields or have them in other forms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite

import httpx2

from adapters.openai.errors import ProtocolViolation, error_in_response, one_line
from adapters.openai.job_statuses import UNKNOWN_STATUS, openai_status_of
from bot.domain import Checkpoint, JobEvent, ModelName
from bot.ports.model_hosts import RemoteFile, RemoteJob, RemoteModel

Json = Mapping[str, object]

_EXCERPT = 2000
_MAX_NAME_LENGTH = 512
_MAX_COUNT = 2**53
_MAX_STEP = 2**31 - 1
EPOCH = datetime.fromtimestamp(0, UTC)
_SECONDS_OF_5138 = 100_000_000_000
# Crusoe's event ids end in a number, such as `…-12`.
_TRAILING_NUMBER = re.compile(r"[-_.](\d{1,9})$")


def parse_json_object(response: httpx2.Response) -> Json:
    """Returns the JSON object of a response, whatever its content type.

    Raises ProtocolViolation, also with the message of an error that is sent with status 200.
    """
    try:
        body = response.json()
    except ValueError as error:
        words = response.content[:_EXCERPT].decode(errors="replace")
        raise ProtocolViolation(f"The answer is no JSON: {words}") from error
    if not isinstance(body, dict):
        raise ProtocolViolation("The answer is not a JSON object.")
    if body.get("error") and not body.keys() & {"id", "data"}:
        words = _error(body["error"])[1] or "The answer is an error without words."
        raise error_in_response(response, words)
    return body


def list_rows(response: httpx2.Response) -> Sequence[Json]:
    """Returns the rows of a list without pages; Together's list of models is a JSON array."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, list):
        return [row for row in body if isinstance(row, dict)]
    return read_page(parse_json_object(response))[0]


def read_page(body: Json) -> tuple[Sequence[Json], bool | None]:
    """Returns the rows of a page and its `has_more`, or None without that field.

    Raises ProtocolViolation if there is no list, since a caller that takes an invalid response for
    an empty list would repeat its upload or job.
    """
    rows = body.get("data", "missing")
    if rows is not None and not isinstance(rows, list):
        raise ProtocolViolation("The list has no data.")
    more = body.get("has_more")
    valid = [row for row in rows or () if isinstance(row, dict)]
    return valid, more if isinstance(more, bool) else None


def to_remote_file(row: Json) -> RemoteFile:
    return RemoteFile(
        id=_id(row),
        name=_text(row.get("filename")) or "",
        bytes=to_count(row.get("bytes")) or 0,
        created_at=to_datetime(row.get("created_at")) or EPOCH,
    )


def to_remote_job(row: Json, *, seconds_left: float | None = None) -> RemoteJob:
    code, message, param = _error(row.get("error"))
    model = _text(row.get("fine_tuned_model"))
    return RemoteJob(
        id=_id(row),
        status=openai_status_of(_status(row.get("status"))),
        training_file=_text(row.get("training_file")) or "",
        model=ModelName(model) if model else None,
        trained_tokens=to_count(row.get("trained_tokens")),
        error_code=code,
        error_message=message,
        error_param=param,
        resolved_hyperparameters=_resolved_hyperparameters(row),
        estimated_finish=to_datetime(row.get("estimated_finish")),
        result_files=_texts(row.get("result_files")),
        seconds_left=seconds_left,
    )


def to_remote_model(row: Json) -> RemoteModel:
    return RemoteModel(
        name=ModelName(_id(row)),
        expires_on=_text(row.get("shutdown_date")),
        takes_pictures=_takes_pictures(row),
    )


def _takes_pictures(row: Json) -> bool:
    """Whether a model accepts images, by the field of each host.

    OpenRouter and Nebius: `architecture`; Mistral: `capabilities.vision`; llama.cpp and Ollama:
    a list of capabilities; Fireworks: `supports_image_input`; LM Studio: the type "vlm".
    """
    architecture, capabilities = _object(row.get("architecture")), row.get("capabilities")
    words = [*_texts(architecture.get("input_modalities")), *_texts(row.get("input_modalities"))]
    words += _texts(capabilities)
    input_modality = (_text(architecture.get("modality")) or "").partition("->")[0]
    return (
        not {"image", "vision", "multimodal"}.isdisjoint(words)
        or "image" in input_modality
        or _object(capabilities).get("vision") is True
        or row.get("supports_image_input") is True
        or row.get("type") == "vlm"
    )


def to_checkpoint(row: Json, names: Sequence[str]) -> Checkpoint | None:
    """Returns a checkpoint, or None without a model name, as it could not be used.

    `names` are the fields that may have the model name.
    """
    model = next(filter(None, (_text(row.get(name)) for name in names)), None)
    metrics = _object(row.get("metrics"))
    step = _step(row.get("step_number")) or _step(metrics.get("step")) or 0
    return Checkpoint(step, ModelName(model), _numbers(metrics)) if model else None


def to_job_event(row: Json) -> JobEvent:
    data = _object(row.get("data"))
    return JobEvent(
        id=_text(row.get("id")) or "|".join(map(str, event_content(row))),
        at=to_datetime(row.get("created_at")) or EPOCH,
        level=_text(row.get("level")) or "info",
        message=_sentence(row.get("message")) or "",
        step=_step(data.get("step")),
        total_steps=_step(data.get("total_steps")),
        metrics=_numbers(data),
    )


def event_content(row: Json) -> tuple[str, ...]:
    """Returns values that identify an event at hosts that send new ids at every call."""
    step = _object(row.get("data")).get("step")
    return (str(row.get("created_at")), str(row.get("message")), str(step))


def oldest_first(newest_first: Iterable[JobEvent]) -> list[JobEvent]:
    """Returns the events by time, then step, then the number at the end of their ids.

    Times are whole seconds, so an event without a step ("completed") is sorted after the last
    step that the host has sent before it.
    """
    keyed: list[tuple[tuple[datetime, int, bool, int], JobEvent]] = []
    step = -1
    for event in reversed(list(newest_first)):
        step = step if event.step is None else event.step
        keyed.append(((event.at, step, event.step is None, _trailing_number(event.id)), event))
    return [event for _, event in sorted(keyed, key=lambda pair: pair[0])]


def to_datetime(value: object) -> datetime | None:
    """Returns a time given as a number, as digits or as ISO 8601; UTC without a time zone.

    A number is seconds; a number beyond the year 5138 is milliseconds or a smaller unit. None for
    any other value.
    """
    number = to_number(value)
    if number is not None:
        while number > _SECONDS_OF_5138:
            number /= 1000
        return datetime.fromtimestamp(number, UTC) if number > 0 else None
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return time.replace(tzinfo=time.tzinfo or UTC) if time else None


def id_of_row(row: Json) -> str | None:
    return _text(row.get("id"))


def _id(row: Json) -> str:
    value = id_of_row(row)
    if value is None:
        raise ProtocolViolation("The answer has no id.")
    return value


def _status(value: object) -> str:
    nested = _object(value)
    return (
        _text(value) or _text(nested.get("status")) or _text(nested.get("state")) or UNKNOWN_STATUS
    )


def _error(value: object) -> tuple[str | None, str | None, str | None]:
    """Returns code, message and param of an error; a job without one has None, {} or Nones."""
    fields = _object(value)
    message = _sentence(fields.get("message")) or _sentence(value)
    return _text(fields.get("code")), message, _text(fields.get("param"))


def _resolved_hyperparameters(row: Json) -> Mapping[str, object]:
    """Returns the hyperparameters that a host has chosen, at the top level or in `method`."""
    method = _object(row.get("method"))
    locations = [row, *(_object(part) for part in method.values())]
    return {
        name: value
        for location in locations
        for name, value in _object(location.get("hyperparameters")).items()
        if value is not None and value != "auto"
    }


def _numbers(fields: Json) -> dict[str, float]:
    numbers = {name: to_number(value) for name, value in fields.items()}
    steps = ("step", "total_steps")
    return {n: value for n, value in numbers.items() if value is not None and n not in steps}


def to_number(value: object) -> float | None:
    """Returns a finite number, also of a string; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def to_count(value: object, *, most: int = _MAX_COUNT) -> int | None:
    """Returns a whole number from 0 to `most`, which a database column can hold, else None."""
    number = to_number(value)
    return int(number) if number is not None and 0 <= number <= most else None


def _step(value: object) -> int | None:
    return to_count(value, most=_MAX_STEP)


def _text(value: object) -> str | None:
    """Returns a name, or None if it is empty, too long or no string.

    Characters that a database cannot store, such as NUL, are removed.
    """
    if not isinstance(value, str) or len(value) > _MAX_NAME_LENGTH:
        return None
    return value.encode(errors="ignore").decode().replace("\0", "") or None


def _sentence(value: object) -> str | None:
    """Returns a host's message on one line, cut to a maximum length; None if it is empty."""
    return one_line(value) or None if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else []
    return tuple(text for text in map(_text, items) if text)


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _trailing_number(identifier: str) -> int:
    match = _TRAILING_NUMBER.search(identifier)
    return int(match[1]) if match else 0
