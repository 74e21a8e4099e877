"""Validates answers by OpenAI's published API description."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "specs" / "openai-finetuning.json"
_ADDRESS = "urn:openai"
_ERROR = {"$ref": f"{_ADDRESS}#/components/schemas/ErrorResponse"}


class Description:
    """The description as JSON Schema 2020-12, converted from its mixture of OpenAPI 3.0 and 3.1."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._document = _convert_mapping(document)
        _add_paused_status(self._document)
        resource: Resource[Any] = DRAFT202012.create_resource(self._document)
        self._registry: Registry[Any] = Registry().with_resource(_ADDRESS, resource)
        self._paths = [(_pattern(path), path) for path in _entry(self._document, "paths")]

    def problems(
        self, method: str, path: str, status: int, body: object, *, media: str = "application/json"
    ) -> list[str]:
        """Returns what is wrong with an answer, with JSON paths; an unknown URL is wrong too."""
        try:
            schema = _ERROR if status >= 400 else self._schema(method, path, media)
        except LookupError as error:
            return [str(error)]
        validator = Draft202012Validator(schema, registry=self._registry)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]

    def request_problems(self, method: str, path: str, body: object) -> list[str]:
        """Returns what is wrong with a request body, each with its JSON path."""
        steps = ("requestBody", "content", "application/json", "schema")
        schema = self._reference(method, path, *steps)
        validator = Draft202012Validator(schema, registry=self._registry)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]

    def _schema(self, method: str, path: str, media: str) -> dict[str, object]:
        return self._reference(method, path, "responses", "200", "content", media, "schema")

    def _reference(self, method: str, path: str, *inner: str) -> dict[str, object]:
        template = self._template(path)
        steps = ("paths", template, method.lower(), *inner)
        pointer = "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)
        node: object = self._document
        for step in steps:
            if not isinstance(node, dict) or step not in node:
                raise LookupError(f"{method} {template} has nothing described at {step}")
            node = node[step]
        return {"$ref": f"{_ADDRESS}#/{pointer}"}

    def _template(self, path: str) -> str:
        bare = path.removeprefix("/v1")
        for pattern, template in self._paths:
            if pattern.fullmatch(bare):
                return template
        raise LookupError(f"{path} is not described")


@cache
def published() -> Description | None:
    """Returns the description if its file exists, else None."""
    if not PUBLISHED.exists():
        return None
    return Description(json.loads(PUBLISHED.read_bytes()))


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template)))


def _entry(document: object, *steps: str) -> dict[str, object]:
    for step in steps:
        document = document[step] if isinstance(document, dict) else {}
    return document if isinstance(document, dict) else {}


def _convert_mapping(node: Mapping[str, object]) -> dict[str, object]:
    return dict(_converted_entries(node))


def _converted_entries(node: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    entries = {key: _convert(value) for key, value in node.items()}
    for side, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(entries.get(side), bool):
            is_exclusive = entries.pop(side)
            if is_exclusive and bound in entries:
                entries[side] = entries.pop(bound)
    if entries.pop("nullable", False) is True:
        entries = {"anyOf": [entries, {"type": "null"}]}
    yield from entries.items()


def _convert(value: object) -> object:
    if isinstance(value, dict):
        return _convert_mapping(value)
    if isinstance(value, list):
        return [_convert(item) for item in value]
    if isinstance(value, str) and value.startswith("#/"):
        return _ADDRESS + value
    return value


def _add_paused_status(document: dict[str, object]) -> None:
    """Adds the status `paused`, which the API has but its description lacks."""
    status = _entry(document, "components", "schemas", "FineTuningJob", "properties", "status")
    statuses = status.get("enum")
    if isinstance(statuses, list):
        statuses.append("paused")
