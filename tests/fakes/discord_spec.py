"""Validates request bodies against Discord's published OpenAPI description."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "specs" / "discord.json"
_ADDRESS = "urn:discord"


class Description:
    """The OpenAPI description as JSON Schema 2020-12."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = _absolute(document)
        resource: Resource[Any] = DRAFT202012.create_resource(self._document)
        self._registry: Registry[Any] = Registry().with_resource(_ADDRESS, resource)
        self._paths = [(_pattern(path), path) for path in document["paths"]]
        self._problems_by_body: dict[tuple[str, str, str], list[str]] = {}

    def problems(self, method: str, path: str, body: object) -> list[str]:
        """Returns what is wrong with a body, or with a path that is not described.

        Results are cached, since each start sends the same commands.
        """
        template = next(
            (path_template for pattern, path_template in self._paths if pattern.fullmatch(path)),
            None,
        )
        if template is None:
            return [f"{path} is not described"]
        key = (method, template, json.dumps(body))
        if key not in self._problems_by_body:
            self._problems_by_body[key] = self._problems(method, template, body)
        return self._problems_by_body[key]

    def _problems(self, method: str, template: str, body: object) -> list[str]:
        operation = self._document["paths"][template].get(method.lower(), {})
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            return [f"{method} {template} takes no body"]
        validator = Draft202012Validator(
            content["application/json"]["schema"], registry=self._registry
        )
        return [
            f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(body)
        ]


@cache
def published() -> Description | None:
    """Returns the description if its file exists, else None."""
    return Description(json.loads(PUBLISHED.read_bytes())) if PUBLISHED.exists() else None


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template)))


def _absolute(node: Any) -> Any:
    """Makes references absolute, so that parts of the document can be used alone."""
    if isinstance(node, dict):
        return {key: _absolute(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_absolute(item) for item in node]
    return _ADDRESS + node if isinstance(node, str) and node.startswith("#/") else node
