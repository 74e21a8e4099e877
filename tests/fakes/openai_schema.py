"""Holds answers against OpenAI's published description, by method, path and status."""

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
    """The description as JSON Schema 2020-12; its mixture of 3.0 and 3.1 is straightened."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._document = _straightened(document)
        _let_jobs_pause(self._document)
        resource: Resource[Any] = DRAFT202012.create_resource(self._document)
        self._registry: Registry[Any] = Registry().with_resource(_ADDRESS, resource)
        self._paths = [(_pattern(path), path) for path in _entry(self._document, "paths")]

    def problems(
        self, method: str, path: str, status: int, body: object, *, media: str = "application/json"
    ) -> list[str]:
        """What is wrong with an answer, each with its place; an unknown address is wrong too."""
        try:
            schema = _ERROR if status >= 400 else self._schema(method, path, media)
        except LookupError as error:
            return [str(error)]
        validator = Draft202012Validator(schema, registry=self._registry)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]

    def request_problems(self, method: str, path: str, body: object) -> list[str]:
        """What is wrong with a request's body, each with its place."""
        steps = ("requestBody", "content", "application/json", "schema")
        schema = self._described(method, path, *steps)
        validator = Draft202012Validator(schema, registry=self._registry)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]

    def _schema(self, method: str, path: str, media: str) -> dict[str, object]:
        return self._described(method, path, "responses", "200", "content", media, "schema")

    def _described(self, method: str, path: str, *inner: str) -> dict[str, object]:
        template = self._template(path)
        steps = ("paths", template, method.lower(), *inner)
        pointer = "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)
        found: object = self._document
        for step in steps:
            if not isinstance(found, dict) or step not in found:
                raise LookupError(f"{method} {template} has nothing described at {step}")
            found = found[step]
        return {"$ref": f"{_ADDRESS}#/{pointer}"}

    def _template(self, path: str) -> str:
        bare = path.removeprefix("/v1")
        for pattern, template in self._paths:
            if pattern.fullmatch(bare):
                return template
        raise LookupError(f"{path} is not described")


@cache
def published() -> Description | None:
    """The description beside this checkout; None where there is none."""
    if not PUBLISHED.exists():
        return None
    return Description(json.loads(PUBLISHED.read_bytes()))


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template)))


def _entry(document: object, *steps: str) -> dict[str, object]:
    for step in steps:
        document = document[step] if isinstance(document, dict) else {}
    return document if isinstance(document, dict) else {}


def _straightened(node: Mapping[str, object]) -> dict[str, object]:
    return dict(_straightened_entries(node))


def _straightened_entries(node: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    straight = {key: _straight(value) for key, value in node.items()}
    for side, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(straight.get(side), bool):
            is_exclusive = straight.pop(side)
            if is_exclusive and bound in straight:
                straight[side] = straight.pop(bound)
    if straight.pop("nullable", False) is True:
        straight = {"anyOf": [straight, {"type": "null"}]}
    yield from straight.items()


def _straight(value: object) -> object:
    if isinstance(value, dict):
        return _straightened(value)
    if isinstance(value, list):
        return [_straight(each) for each in value]
    if isinstance(value, str) and value.startswith("#/"):
        return _ADDRESS + value
    return value


def _let_jobs_pause(document: dict[str, object]) -> None:
    """The status that the API has and its description forgot."""
    job = _entry(document, "components", "schemas", "FineTuningJob", "properties", "status")
    known = job.get("enum")
    if isinstance(known, list):
        known.append("paused")
